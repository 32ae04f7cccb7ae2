//! What a debugger asks of a hart: where to halt, what to watch, which traps to catch, how far to go.
//!
//! Nothing in guest memory changes, and nothing that a guest can observe: a hart that is halted and
//! let go again does what it would have done. What stands at an address that shares its page offset
//! with a breakpoint is not kept with decoded code, so that only [`Hart::enter`] compares addresses;
//! all other code runs as fast as ever.

use isa::{Exception, Gpa, Mode, Va};
use mmu::{Access, Fault, Kind, WalkRecord, WatchedRange};

use super::{Exit, Hart};
use crate::code::Offsets;
use crate::memory::trap_of;
use crate::platform::Platform;
use crate::trap::{Target, Trap};
use crate::watch::WatchHit;
use crate::witness::is_of;

/// Where a hart halts. All of it holds in every mode and address space.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// Virtual addresses of instructions, before which it halts.
    pub breakpoints: Vec<u64>,
    /// Virtual memory, behind explicit accesses to which it halts.
    pub watched: Vec<WatchedRange>,
    /// Exceptions before which it halts.
    pub catches: Catches,
}

/// Exceptions that are caught when they are about to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Catches {
    /// A bit for each exception code, as in `medeleg`.
    pub exceptions: u64,
    /// Of guest-page faults only those at a guest physical address from the first to the last of
    /// these, as far as `htval` tells it: but for its two lowest bits.
    pub gpas: Option<(Gpa, Gpa)>,
}

impl Catches {
    fn include(&self, trap: &Trap) -> bool {
        use Exception::{InstructionGuestPage, LoadGuestPage, StoreGuestPage};
        let guest_page =
            matches!(trap.exception, InstructionGuestPage | LoadGuestPage | StoreGuestPage);
        let gpa = trap.tval2 << 2;
        let inside =
            |(first, last): (Gpa, Gpa)| (first.0 & !3..=last.0).contains(&gpa) || !guest_page;
        self.exceptions & trap.exception.bit() != 0 && self.gpas.is_none_or(inside)
    }
}

/// How far a hart goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// To behind one instruction, or to the first instruction of the handler of a trap it takes.
    Once,
    /// As long as `pc` stays in these addresses; one step at least.
    Within {
        /// The first address.
        start: u64,
        /// The first address behind.
        end: u64,
    },
}

/// Why a hart halted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Halt {
    /// It went as far as it should.
    Stepped,
    /// It is at a breakpoint.
    Breakpoint,
    /// The instruction before `pc` touched watched memory.
    Watched(WatchHit),
    /// The instruction at `pc` raises this exception, which is taken when the hart goes on.
    Caught(Caught),
}

/// An exception that is about to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caught {
    /// The exception and what its handler will be told.
    pub trap: Trap,
    /// Who handles it.
    pub target: Target,
    /// The translation that failed, if that is why.
    pub fault: Option<Fault>,
}

/// An access that nobody makes, explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The walk.
    pub record: WalkRecord,
    /// The exception it would raise, and who would handle it. What `htinst` would hold of a transformed
    /// instruction depends on the instruction and is missing.
    pub raises: Option<(Trap, Target)>,
}

/// The requests and what has come of them.
#[derive(Debug, Default)]
pub(super) struct Debug {
    /// In order.
    breakpoints: Vec<u64>,
    offsets: Offsets,
    catches: Catches,
    step: Option<Step>,
    halt: Option<Halt>,
    /// The count of instructions and the address at which it last halted: no breakpoint halts it
    /// there again before it has gone on.
    passed: Option<(u64, u64)>,
    /// The same for exceptions that were caught.
    passed_trap: Option<(u64, u64)>,
    /// The exception that was caught, as long as nothing changed that could prevent it.
    held: Option<Trap>,
}

impl Debug {
    pub(super) fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}

/// For debuggers.
impl Hart {
    /// Halts where `requests` say from now on, and nowhere else; `None` when the debugger leaves.
    pub fn set_requests(&mut self, requests: Option<&Requests>) {
        let mut offsets = Offsets::default();
        let Some(requests) = requests else {
            self.core.watch(&[]);
            if self.debug.take().is_some_and(|debug| !debug.breakpoints.is_empty()) {
                self.forget_decoded();
            }
            return;
        };
        self.core.watch(&requests.watched);
        let mut breakpoints = requests.breakpoints.clone();
        breakpoints.sort_unstable();
        breakpoints.dedup();
        breakpoints.iter().for_each(|&pc| offsets.insert(pc));
        let debug = self.debug.get_or_insert_default();
        debug.catches = requests.catches;
        if debug.breakpoints != breakpoints {
            (debug.breakpoints, debug.offsets) = (breakpoints, offsets);
            self.forget_decoded();
        }
    }

    /// Other instructions than before are not to be decoded with others.
    fn forget_decoded(&mut self) {
        self.codes.clear();
        if let Some(timed) = &mut self.timed {
            timed.forget_blocks();
        }
    }

    /// How far it goes from now on; `None` for no limit. Only with requests, empty ones will do.
    pub fn set_step(&mut self, step: Option<Step>) {
        if let Some(debug) = &mut self.debug {
            debug.step = step;
        }
    }

    /// Whether it halted and nobody has asked why.
    pub fn is_halted(&self) -> bool {
        self.debug.as_ref().is_some_and(|debug| debug.halt.is_some())
    }

    /// Why it halted, once; then it can go on.
    pub fn take_halt(&mut self) -> Option<Halt> {
        let debug = self.debug.as_mut()?;
        let halt = debug.halt.take()?;
        let now = Some((self.core.retired, self.core.pc));
        debug.passed = now;
        if matches!(halt, Halt::Caught(_)) {
            debug.passed_trap = now;
        }
        debug.step = None;
        Some(halt)
    }

    /// The privilege and V of its explicit loads and stores, as a mode: MPRV has been applied.
    pub fn data_mode(&self) -> Mode {
        let (privilege, v) = self.core.data_privilege();
        Mode::new(privilege, v)
    }

    /// Explains an access to the byte at `va` (a parcel, for a fetch) in `mode`, from memory alone and
    /// without side effects.
    pub fn explain(&self, va: Va, kind: Kind, mode: Mode) -> Explained {
        let access = self.imagined(kind, mode);
        self.judge(va, mode, self.core.mmu.explain(va, access))
    }

    /// The same for a guest physical address, as if `vsatp` were Bare.
    pub fn explain_gpa(&self, gpa: Gpa, kind: Kind) -> Explained {
        let access = self.imagined(kind, Mode::VS);
        self.judge(Va(gpa.0), Mode::VS, self.core.mmu.explain_gpa(gpa, access))
    }

    fn imagined(&self, kind: Kind, mode: Mode) -> Access {
        let size = if kind == Kind::Fetch { 2 } else { 1 };
        Access { kind, size, privilege: mode.privilege(), v: mode.v(), hlvx: false }
    }

    fn judge(&self, va: Va, mode: Mode, record: WalkRecord) -> Explained {
        let raises = record.outcome.err().map(|fault| {
            let trap = trap_of(&fault, record.access.kind, va, mode.v());
            (trap, self.core.exception_target(mode, trap.exception))
        });
        Explained { record, raises }
    }

    /// The debugger changed something: an exception that was caught is raised anew, if at all.
    pub fn forget_caught(&mut self) {
        self.take_held();
        if let Some(timed) = &mut self.timed {
            timed.forget_caught();
        }
    }

    /// The exception that was caught, once.
    pub(super) fn take_held(&mut self) -> Option<Trap> {
        self.debug.as_mut().and_then(|debug| debug.held.take())
    }

    /// Whether it goes so far and no further.
    pub(super) fn steps(&self) -> bool {
        self.debug.as_ref().is_some_and(|debug| debug.step.is_some())
    }

    /// [`Hart::run`] with requests.
    #[cold]
    pub(super) fn run_debugged(&mut self, port: &mut dyn Platform, end: u64) -> Exit {
        loop {
            if let Some(exit) = self.go_on(port, end) {
                return exit;
            }
            if let Some(hit) = self.core.take_watch_hit() {
                self.halt(Halt::Watched(hit));
            }
            if self.is_halted() {
                return Exit::Halted;
            }
        }
    }

    /// What [`Hart::run`] does in a round of its loop, for one instruction when it steps.
    fn go_on(&mut self, port: &mut dyn Platform, end: u64) -> Option<Exit> {
        if self.is_halted() {
            return Some(Exit::Halted);
        }
        let before = self.progress();
        if let Some(trap) = self.take_held() {
            let exit = self.take(trap);
            self.count_step(before);
            return exit;
        }
        if self.core.ram.page_events() != self.pages_seen.count() && self.read_page_events() {
            return Some(Exit::Tripped);
        }
        if self.core.recheck || self.core.cycle >= self.deadline {
            let exit = self.attend(port);
            self.count_step(before);
            if exit.is_some() || self.is_halted() {
                return exit;
            }
        }
        if self.core.cycle >= end {
            return Some(Exit::Budget);
        }
        let room = end.min(self.deadline) - self.core.cycle;
        let before = self.progress();
        let exit = self.advance(port, if self.steps() { 1 } else { room });
        self.count_step(before);
        exit
    }

    /// Instructions retired and traps taken.
    pub(super) fn progress(&self) -> (u64, u64) {
        let events = &self.core.counters.events;
        (self.core.retired, events.exceptions.wrapping_add(events.interrupts))
    }

    /// Halts if a step is done, now that some progress may have been made.
    pub(super) fn count_step(&mut self, before: (u64, u64)) {
        let step = self.debug.as_ref().and_then(|debug| debug.step);
        let done = match step {
            None => false,
            Some(Step::Once) => true,
            Some(Step::Within { start, end }) => !(start..end).contains(&self.core.pc),
        };
        if done && self.progress() != before {
            self.halt(Halt::Stepped);
        }
    }

    /// Halts for the first reason that comes up; an access to watched memory is told rather than the
    /// step that made it.
    pub(super) fn halt(&mut self, why: Halt) {
        let Some(debug) = &mut self.debug else { return };
        if matches!(debug.halt, None | Some(Halt::Stepped)) {
            debug.halt = Some(why);
        }
    }

    /// Whether a breakpoint shares its page offset with `pc`.
    pub(super) fn may_halt_at(&self, pc: u64) -> bool {
        self.debug.as_ref().is_some_and(|debug| debug.offsets.contains(pc))
    }

    /// Halts if there is a breakpoint at `pc`; says whether it did.
    #[cold]
    pub(super) fn breaks_at(&mut self, pc: u64) -> bool {
        let now = (self.core.retired, pc);
        let Some(debug) = &mut self.debug else { return false };
        let due = debug.breakpoints.binary_search(&pc).is_ok() && debug.passed != Some(now);
        if due {
            self.halt(Halt::Breakpoint);
        }
        due
    }

    /// Halts before an exception that is to be caught; says whether it did.
    #[cold]
    pub(super) fn catches(&mut self, trap: Trap) -> bool {
        let Some(debug) = &mut self.debug else { return false };
        let now = (self.core.retired, self.core.pc);
        let due = debug.catches.include(&trap) && debug.passed_trap != Some(now);
        if due {
            debug.held = Some(trap);
            let target = self.core.exception_target(self.core.mode, trap.exception);
            let fault = self.core.why.filter(|fault| is_of(trap.exception, fault));
            self.halt(Halt::Caught(Caught { trap, target, fault }));
        }
        due
    }
}
