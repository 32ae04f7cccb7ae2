//! Counts of what happened, by hart and together, and the form in which they are written down.

use std::collections::BTreeMap;

use cpu::{Hart, Notice, RootRegister, Scene};
use isa::{Cause, Mode};
use mmu::{Fault, Fence, ImplicitAccess};
use serde::{Serialize, Serializer};

use super::exits::{Exits, OpenExit};
use super::tables::TableStore;

/// Modes in the order in which they are written.
const MODES: [Mode; 5] = [Mode::M, Mode::S, Mode::U, Mode::VS, Mode::VU];

/// The statistics of a run; `docs/EVENTS.md` describes them field by field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stats {
    /// The number of this form.
    pub schema: u32,
    /// Instructions retired by all harts.
    pub instructions: u64,
    /// Virtual time since power-on.
    pub cycles: u64,
    /// The counts of all harts together.
    pub total: Counts,
    /// Pages that serve as G-stage tables at the end.
    pub gstage_table_pages: usize,
    /// Each hart by itself.
    pub harts: Vec<HartStats>,
}

impl Stats {
    /// The number of the form. A change that a reader must know of increases it.
    pub const SCHEMA: u32 = 2;
}

/// The statistics of one hart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HartStats {
    /// `mhartid`.
    pub hart: u64,
    /// Its place in virtual time.
    pub cycles: u64,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What can be added up over harts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Instructions retired.
    pub instructions: u64,
    /// The same by mode.
    pub instructions_by_mode: ByMode,
    /// Cycles by mode.
    pub cycles_by_mode: ByMode,
    /// Returns from V=0 to V=1.
    pub vm_entries: u64,
    /// Traps from V=1 to V=0.
    pub vm_exits: u64,
    /// The same traps by cause, with what passed until the next entry.
    pub exits: Exits,
    /// Traps by cause and modes.
    pub traps: Traps,
    /// Guest-page faults by cause and by what was accessed.
    pub guest_page_faults: Named,
    /// Fences by instruction, and those of the built-in firmware.
    pub fences: Named,
    /// Writes of `hgatp` and `vsatp`.
    pub root_writes: Named,
    /// Stores to G-stage tables by what they did.
    pub gstage: Named,
    /// What the MMU did.
    pub translation: Translation,
    /// What the cycle model counted, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<timing::Counts>,
}

/// Instructions or cycles by mode, in the order M, S, U, VS, VU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ByMode(pub [u64; 5]);

impl ByMode {
    fn add(&mut self, mode: Mode, count: u64) {
        for (sum, of) in self.0.iter_mut().zip(MODES) {
            *sum += if of == mode { count } else { 0 };
        }
    }

    /// The count of a mode.
    pub fn get(&self, mode: Mode) -> u64 {
        MODES.into_iter().zip(self.0).find(|(of, _)| *of == mode).map_or(0, |(_, count)| count)
    }
}

impl Serialize for ByMode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(MODES.into_iter().map(|mode| mode.to_string()).zip(self.0))
    }
}

/// Counts under names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Named(pub BTreeMap<&'static str, u64>);

impl Named {
    fn one(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// The count under a name.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Traps by the bits of `mcause` and the places of both modes in [`MODES`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Traps(BTreeMap<(u64, usize, usize), (Cause, u64)>);

/// One line of [`Traps`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrapCount {
    /// Why.
    pub cause: Cause,
    /// From which mode.
    pub from: Mode,
    /// To which.
    pub to: Mode,
    /// How often.
    pub count: u64,
}

pub(super) fn place(mode: Mode) -> usize {
    MODES.iter().position(|&of| of == mode).unwrap_or(0)
}

impl Traps {
    fn add(&mut self, TrapCount { cause, from, to, count }: TrapCount) {
        let key = (cause.bits(), place(from), place(to));
        self.0.entry(key).or_insert((cause, 0)).1 += count;
    }

    /// Those that were taken, by cause.
    pub fn iter(&self) -> impl Iterator<Item = TrapCount> {
        let mode = |place: usize| MODES.get(place).copied().unwrap_or_default();
        self.0.iter().map(move |(&(_, from, to), &(cause, count))| TrapCount {
            cause,
            from: mode(from),
            to: mode(to),
            count,
        })
    }
}

impl Serialize for Traps {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            cause: &'static str,
            code: u64,
            interrupt: bool,
            from: String,
            to: String,
            count: u64,
        }
        to.collect_seq(self.iter().map(|TrapCount { cause, from, to, count }| {
            let (cause, code, interrupt) = super::json::cause(cause);
            Line { cause, code, interrupt, from: from.to_string(), to: to.to_string(), count }
        }))
    }
}

/// What a hart's MMU did. Hits of the native TLB cost nothing and are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Translation {
    /// Accesses that the native TLB did not serve.
    pub looked_up: u64,
    /// Those of them for which the architectural TLB, or no translation at all, was enough.
    pub without_walk: u64,
    /// Those that were walked: misses of the architectural TLB.
    pub walks: u64,
    /// Walks from the root because a kept entry denied the access.
    pub retries: u64,
    /// PTEs read by S-stage walks.
    pub s_stage_ptes: u64,
    /// PTEs read by VS-stage walks.
    pub vs_stage_ptes: u64,
    /// PTEs read by G-stage walks, also for VS-stage PTEs.
    pub g_stage_ptes: u64,
}

impl Translation {
    /// What an MMU says of itself.
    pub fn of(stats: &mmu::Stats) -> Self {
        Self {
            looked_up: stats.translations,
            without_walk: stats.without_walk,
            walks: stats.translations - stats.without_walk,
            retries: stats.retries,
            s_stage_ptes: stats.pte_fetches.s_stage,
            vs_stage_ptes: stats.pte_fetches.vs_stage,
            g_stage_ptes: stats.pte_fetches.g_stage,
        }
    }

    fn add(&mut self, other: &Self) {
        let Self {
            looked_up,
            without_walk,
            walks,
            retries,
            s_stage_ptes,
            vs_stage_ptes,
            g_stage_ptes,
        } = other;
        self.looked_up += looked_up;
        self.without_walk += without_walk;
        self.walks += walks;
        self.retries += retries;
        self.s_stage_ptes += s_stage_ptes;
        self.vs_stage_ptes += vs_stage_ptes;
        self.g_stage_ptes += g_stage_ptes;
    }
}

impl Counts {
    /// So much passed in a mode.
    fn pass(&mut self, mode: Mode, since: Moment, now: Moment) {
        self.instructions_by_mode.add(mode, now.insns.saturating_sub(since.insns));
        self.cycles_by_mode.add(mode, now.cycle.saturating_sub(since.cycle));
    }

    /// Adds the counts of another hart.
    pub fn add(&mut self, other: &Self) {
        let Self {
            instructions,
            instructions_by_mode,
            cycles_by_mode,
            vm_entries,
            vm_exits,
            exits,
            traps,
            guest_page_faults,
            fences,
            root_writes,
            gstage,
            translation,
            model,
        } = other;
        self.instructions += instructions;
        for (mode, &count) in MODES.into_iter().zip(&instructions_by_mode.0) {
            self.instructions_by_mode.add(mode, count);
        }
        for (mode, &count) in MODES.into_iter().zip(&cycles_by_mode.0) {
            self.cycles_by_mode.add(mode, count);
        }
        self.vm_entries += vm_entries;
        self.vm_exits += vm_exits;
        self.exits.add(exits);
        traps.iter().for_each(|trap| self.traps.add(trap));
        for (sum, more) in [
            (&mut self.guest_page_faults, guest_page_faults),
            (&mut self.fences, fences),
            (&mut self.root_writes, root_writes),
            (&mut self.gstage, gstage),
        ] {
            for (&name, count) in &more.0 {
                *sum.0.entry(name).or_default() += count;
            }
        }
        self.translation.add(translation);
        if let Some(model) = model {
            self.model.get_or_insert_default().add(model);
        }
    }
}

/// The counts of a hart while it runs.
pub(super) struct Tally {
    counts: Counts,
    mode: Mode,
    /// Where it stood when it came to that mode.
    since: Moment,
    /// The exit that no entry followed yet.
    open: Option<OpenExit>,
}

/// Where a hart stands: instructions retired, and its place in virtual time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Moment {
    pub(crate) insns: u64,
    pub(crate) cycle: u64,
}

impl Moment {
    pub(crate) fn of(hart: &Hart) -> Self {
        Self { insns: hart.retired(), cycle: hart.cycle() }
    }
}

impl Tally {
    pub(super) fn new(mode: Mode, now: Moment) -> Self {
        Self { counts: Counts::default(), mode, since: now, open: None }
    }

    /// The mode changes.
    fn enter(&mut self, from: Mode, to: Mode, now: Moment) {
        self.counts.pass(from, self.since, now);
        (self.mode, self.since) = (to, now);
    }

    pub(super) fn count(&mut self, scene: &Scene, notice: &Notice) {
        let from = scene.mode;
        let now = Moment { insns: scene.insns, cycle: scene.cycle };
        match notice {
            Notice::Trap(trap) => {
                self.enter(from, trap.to, now);
                let counts = &mut self.counts;
                counts.traps.add(TrapCount { cause: trap.cause, from, to: trap.to, count: 1 });
                if from.v() && !trap.to.v() {
                    counts.vm_exits += 1;
                    counts.exits.left(trap.cause, trap.to);
                    self.open = Some(OpenExit { cause: trap.cause, to: trap.to, at: now });
                }
                if let Some(fault) = &trap.fault
                    && let Some(name) = guest_page_fault(trap.cause, fault)
                {
                    counts.guest_page_faults.one(name);
                }
            }
            Notice::Return { to, by } => {
                // The instruction retires in the mode it leaves.
                let now = Moment { insns: now.insns + u64::from(by.is_some()), ..now };
                self.enter(from, *to, now);
                if to.v() && !from.v() {
                    self.counts.vm_entries += 1;
                    if let Some(open) = self.open.take() {
                        self.counts.exits.entered(&open, now);
                    }
                }
            }
            Notice::Fence { fence, by } => self.counts.fences.one(match (by, fence) {
                (Some(op), _) => op.name(),
                (None, Fence::Sfence { .. }) => "firmware/sfence.vma",
                (None, Fence::Vvma { .. }) => "firmware/hfence.vvma",
                (None, Fence::Gvma { .. }) => "firmware/hfence.gvma",
            }),
            Notice::FenceBracket { op } => self.counts.fences.one(op.name()),
            Notice::Root { register, .. } => self.counts.root_writes.one(match register {
                RootRegister::Hgatp => "hgatp",
                RootRegister::Vsatp => "vsatp",
            }),
            Notice::TableWritten(_) => {}
            Notice::Reset => {
                self.open = None;
                self.enter(from, Mode::M, now);
            }
        }
    }

    pub(super) fn count_table_store(&mut self, store: &TableStore) {
        self.counts.gstage.one(store.op.name());
    }

    /// The counts of a hart that stands there now.
    pub(super) fn until(&self, now: Moment) -> Counts {
        let mut counts = self.counts.clone();
        counts.pass(self.mode, self.since, now);
        counts.instructions = counts.instructions_by_mode.0.iter().sum();
        counts
    }
}

/// The name under which a guest-page fault is counted.
fn guest_page_fault(cause: Cause, fault: &Fault) -> Option<&'static str> {
    use isa::Exception::*;
    let Fault::GuestPage { implicit, .. } = fault else { return None };
    let Cause::Exception(exception) = cause else { return None };
    Some(match (exception, implicit) {
        (InstructionGuestPage, None) => "instruction",
        (InstructionGuestPage, Some(ImplicitAccess::Read)) => "instruction/vs-pte-read",
        (InstructionGuestPage, Some(ImplicitAccess::Write)) => "instruction/vs-pte-write",
        (LoadGuestPage, None) => "load",
        (LoadGuestPage, Some(ImplicitAccess::Read)) => "load/vs-pte-read",
        (LoadGuestPage, Some(ImplicitAccess::Write)) => "load/vs-pte-write",
        (_, None) => "store",
        (_, Some(ImplicitAccess::Read)) => "store/vs-pte-read",
        (_, Some(ImplicitAccess::Write)) => "store/vs-pte-write",
    })
}
