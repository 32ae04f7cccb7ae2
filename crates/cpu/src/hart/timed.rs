//! Runs a hart with a cycle model, and keeps the hart's place in virtual time where the model says. The loop without a model knows
//! nothing of this.
//!
//! Blocks of what is frequent and simple run first and are told to the model then; anything else goes instruction by instruction, through
//! the ordinary engine. Both come to the same cycles. So that it does not matter how code was cut into blocks, the hart looks for
//! interrupts and at its budget at the ends of *runs* alone: behind a jump, behind anything that could not stand in a block, and where
//! execution goes on in another page.

mod code;
mod debugged;
mod logged;
mod outside;
mod run;
mod walks;

use isa::field::{self, hgatp, satp};
use isa::{Decoder, Exception, Insn, Mode, Op, PAGE_BYTES, Pa, Privilege, Va, pte};
use mmu::{
    Access, Fence, ImplicitAccess, Kind, PageClass, StageName, Target as Place, Verdict,
    WalkRecord, WalkStep,
};
use timing::{Context, Flush, Item, Model, Operands, Step, Target, Trap, Walk, Walker};

use self::code::TimedCode;
use self::outside::Marks;
pub use self::outside::{Left, OutsideStep};
use self::walks::KnownWalks;
use super::debug::Debug;
use super::{Exit, Hart, Outside};
use crate::code::Offsets;
use crate::commit::{Recorder, plan, traps};
use crate::core::Core;
use crate::memory::Manner;
use crate::platform::Platform;
use crate::trap::Trap as CpuTrap;
use crate::witness::{Spent, Writer};

const PAGE: u64 = !(PAGE_BYTES - 1);
/// ADDI x0, x0, 0.
const NOP: u32 = 0x13;

/// A cycle model and what the hart needs for it.
pub(super) struct Timed {
    model: Model,
    code: TimedCode,
    walks: KnownWalks,
    /// Whether an ECALL or EBREAK counts in `instret`.
    calls_retire: bool,
    /// The last instruction was the last of a run.
    at_end: bool,
    /// Instruction by instruction, always.
    single: bool,
    marks: Marks,
    /// The cycle at which a debugger halted it, in the middle of what it was told to run.
    halted: Option<u64>,
    /// What a debugger caught and the model was told of: the trap is still to be taken.
    caught: Option<Caught>,
}

/// An exception that was caught before it was taken.
#[derive(Clone, Copy)]
struct Caught {
    trap: CpuTrap,
    /// What the instruction is to the loop; none if it could not be fetched.
    issued: Option<Issued>,
}

/// Where a hart was before it executed something.
#[derive(Clone, Copy)]
struct Before {
    pc: u64,
    mode: Mode,
    retired: u64,
    traps: u64,
}

/// What an instruction is to the loop that told the model of it.
#[derive(Clone, Copy)]
struct Issued {
    accesses: bool,
    calls: bool,
    csr: bool,
    flush: Option<Flush>,
    ends_run: bool,
}

impl Issued {
    /// What its trap is to the model.
    fn trap(self, raised: Option<Exception>) -> Trap {
        match raised {
            Some(Exception::IllegalInstruction) => Trap::Illegal,
            Some(Exception::VirtualInstruction) if self.csr => Trap::Illegal,
            _ if self.accesses => Trap::Access,
            _ => Trap::Other,
        }
    }
}

impl Timed {
    /// The pages of decoded code were written; all of them, if it is not known which.
    pub(super) fn forget_code(&mut self, page: Option<Pa>) {
        self.code.forget(page);
        self.model.forget_code();
    }

    /// Blocks are to be cut anew; what code does is the same.
    pub(super) fn forget_blocks(&mut self) {
        self.code.forget(None);
    }

    pub(super) fn forget_caught(&mut self) {
        self.caught = None;
    }
}

impl Timed {
    /// Runs block after block from `pa` on; see [`Hart::run_blocks`]. What blocks do themselves sets off no event.
    fn run_blocks(
        &mut self,
        core: &mut Core,
        decoder: &Decoder,
        stops: Option<&Offsets>,
        under: &Under,
        mut pa: Pa,
        end: u64,
    ) -> Option<(Insn, Item)> {
        let Self { model, code, at_end, walks, .. } = self;
        let page_events = core.ram.page_events();
        loop {
            if code.find(pa.0).is_none() {
                // Before the block runs for the first time, lest it store to its own page natively.
                core.ram.watch(pa.page(), PageClass::Code);
                core.mmu.sync_page_events();
                code.insert(code::prepare(decoder, model, &core.ram, pa, stops));
            }
            let leaves = core.recheck || core.ram.page_events() != page_events;
            let mut block = code.find(pa.0)?;
            loop {
                let pc = core.pc;
                let done = run::run(core, &block.ops, model.enter(pc));
                if done == 0 {
                    return block.single;
                }
                let all = done == block.ops.len();
                if !all {
                    core.pc = pc.wrapping_add(block.ops[done].offset().into());
                } else if !block.jumps {
                    core.pc = pc.wrapping_add(block.bytes.into());
                }
                let next = core.pc;
                core.retired += done as u64;
                let (known, seen) = (&mut *walks, &*core);
                let ran = timing::Run { pc, done, next };
                model.run(&block.timing, ran, move || Walks { core: seen, under, known });
                *at_end = all && block.ends_run;
                if !all || leaves || *at_end && model.now() >= end {
                    return None;
                }
                // Where the next one is.
                pa = if (pc ^ next) & PAGE == 0 {
                    // Both lie in one page of either address space.
                    Pa(pa.0.wrapping_add(next.wrapping_sub(pc)))
                } else {
                    core.mmu.fetch_page(next)?
                };
                let straight = next == pc.wrapping_add(block.bytes.into());
                match code.successor(block, straight, pa.0) {
                    Some(found) => block = found,
                    None => break,
                }
            }
        }
    }
}

impl Timed {
    /// Tells the model that the instruction that issued last retired, and where the hart goes on.
    fn tell_retired(&mut self, core: &Core) {
        let fetch = Manner { privilege: core.mode.privilege(), v: core.mode.v(), hlvx: false };
        let under = Under { fetch, data: fetch, kind: Kind::Fetch, contexts: None };
        let mut walks = Walks { core, under: &under, known: &mut self.walks };
        self.model.retire(core.pc, &mut walks);
    }
}

impl Hart {
    /// From now on its cycles are what `core` would take, on a memory of its own latency or of another one; `outer` is what it shares
    /// with other harts, as [`timing::Core::outer`] makes it.
    pub fn set_model(
        &mut self,
        core: &timing::Core,
        memory_latency: Option<u64>,
        outer: Option<&timing::Outer>,
    ) {
        self.timed = Some(Box::new(Timed {
            model: Model::sharing(core, memory_latency, outer),
            code: TimedCode::new(),
            walks: KnownWalks::default(),
            calls_retire: core.calls_retire,
            at_end: true,
            single: false,
            marks: Marks::default(),
            halted: None,
            caught: None,
        }));
        self.core.counters.model = Some(timing::Totals::default());
    }

    /// With a model, runs instruction by instruction, and nothing is remembered: slower, to the same cycles.
    pub fn model_plainly(&mut self) {
        if let Some(timed) = &mut self.timed {
            timed.single = true;
            timed.model.forget();
        }
    }

    /// Whether it has a model.
    pub fn has_model(&self) -> bool {
        self.timed.is_some()
    }

    /// What its model counted; `None` without one.
    pub fn model_counts(&self) -> Option<timing::Counts> {
        self.timed.as_ref().map(|timed| timed.model.counts())
    }

    /// [`Hart::run`] with a model.
    pub(super) fn run_modelled(&mut self, port: &mut dyn Platform, end: u64) -> Exit {
        let Some(mut timed) = self.timed.take() else { return Exit::Budget };
        if timed.halted.take() == Some(self.core.cycle) {
            // It goes on as if it had not been halted; meeting the machine once more could show a counter's overflow earlier.
            self.report_writes(Writer::Device);
        } else {
            self.meet(port);
        }
        let exit = if self.debug.is_some() || timed.caught.is_some() {
            self.debugged_timed(&mut timed, port, end)
        } else {
            self.run_timed(&mut timed, port, end)
        };
        self.core.counters.model = Some(timed.model.totals());
        self.timed = Some(timed);
        exit
    }

    fn run_timed(&mut self, timed: &mut Timed, port: &mut dyn Platform, end: u64) -> Exit {
        loop {
            if self.core.ram.page_events() != self.pages_seen.count()
                && self.follow_page_events(|page| timed.forget_code(page))
            {
                return Exit::Tripped;
            }
            if timed.at_end
                && let Some(exit) = self.attend_timed(timed, port, end)
            {
                return exit;
            }
            let single = self.run_blocks(timed, end);
            let due = self.core.recheck || self.core.cycle >= end.min(self.deadline);
            let events = self.core.ram.page_events() != self.pages_seen.count();
            if timed.at_end && due || events {
                continue;
            }
            if let Some(exit) = self.step_timed(timed, port, single, None) {
                return exit;
            }
        }
    }

    /// Shows the hart what the model counted so far, if anybody looks.
    #[inline]
    fn show_totals(&mut self, timed: &Timed, insn: Option<&Insn>) {
        let core = &mut self.core;
        let selects = insn.is_some_and(|insn| is_csr_access(insn.op));
        if selects || core.counts_model() || core.witness.is_some() {
            core.counters.model = Some(timed.model.totals());
        }
    }

    /// Between two runs: interrupts, comparators and the budget.
    fn attend_timed(
        &mut self,
        timed: &mut Timed,
        port: &mut dyn Platform,
        end: u64,
    ) -> Option<Exit> {
        while self.is_due() {
            let exit = self.attend_once(timed, port);
            if exit.is_some() {
                return exit;
            }
        }
        self.begin_run(timed, end)
    }

    /// Whether something is to be attended to between two runs.
    fn is_due(&self) -> bool {
        self.core.recheck || self.core.cycle >= self.deadline
    }

    /// Takes an interrupt at most, and the time it takes may make the next one due: that comes before any instruction.
    fn attend_once(&mut self, timed: &mut Timed, port: &mut dyn Platform) -> Option<Exit> {
        // The machine's clock may have passed it by while it waited: what it is woken for comes then.
        timed.model.skip_to(self.core.cycle);
        self.show_totals(timed, None);
        let before = traps(&self.core);
        let exit = self.attend(port);
        if traps(&self.core) != before {
            timed.model.trap(Trap::Interrupt);
            self.core.cycle = timed.model.now();
        }
        exit
    }

    /// A run begins, if there is time left.
    fn begin_run(&mut self, timed: &mut Timed, end: u64) -> Option<Exit> {
        if self.core.cycle >= end {
            return Some(Exit::Budget);
        }
        timed.model.skip_to(self.core.cycle);
        None
    }

    /// Runs block after block, up to one that has not all been done. Says what stands at `pc` then, if that is known to be nothing
    /// for blocks.
    fn run_blocks(&mut self, timed: &mut Timed, end: u64) -> Option<(Insn, Item)> {
        if timed.single {
            return None;
        }
        let core = &mut self.core;
        let pa = core.mmu.fetch_page(core.pc)?;
        let fetch = Manner { privilege: core.mode.privilege(), v: core.mode.v(), hlvx: false };
        let data = core.ordinary();
        let contexts = (context(core, fetch), context(core, data));
        timed.model.select(contexts.0, contexts.1);
        let contexts = Some((contexts.1, contexts.0));
        let under = Under { fetch, data, kind: Kind::Load, contexts };
        let retired = core.retired;
        let stops = self.debug.as_deref().map(Debug::offsets);
        let end = end.min(self.deadline);
        let single = timed.run_blocks(core, &self.decoder, stops, &under, pa, end);
        core.cycle = timed.model.now();
        if core.retired != retired {
            self.barren_traps = 0;
        }
        single
    }

    /// Executes one instruction, or takes its trap, unless a debugger halts the hart before either. `recorder` is told between the
    /// instruction's fetch and its execution.
    fn step_timed(
        &mut self,
        timed: &mut Timed,
        port: &mut dyn Platform,
        single: Option<(Insn, Item)>,
        recorder: Option<&mut Recorder>,
    ) -> Option<Exit> {
        let before = self.place();
        self.show_totals(timed, None);
        if self.hypervisor {
            timed.marks.before(Spent::of(&timed.model.totals()));
        }
        let (mut issued, mut raised) = (None, None);
        let exit = match self.enter() {
            Ok(entry) => {
                issued = match single {
                    Some((insn, item)) => Some(self.issue(timed, &insn, &item, true)),
                    None => {
                        let insn = self.decoded(entry);
                        self.issue_decoded(timed, insn)
                    }
                };
                if let Some(recorder) = recorder {
                    let insn = self.decoded(entry);
                    recorder.before(&mut self.core, insn);
                }
                raised = self.run_from(port, entry, before.retired + 1);
                raised.and_then(|trap| self.trap(trap))
            }
            Err(Outside::Done(exit)) => exit,
            Err(Outside::Uncached) => match self.fetch_uncached(port) {
                Ok(word) => {
                    let insn = self.decoder.decode(word);
                    issued = self.issue_decoded(timed, insn);
                    if let Some(recorder) = recorder {
                        recorder.before(&mut self.core, insn);
                    }
                    raised = self.run_uncached(port, word, insn);
                    raised.and_then(|trap| self.trap(trap))
                }
                Err(trap) => self.trap(trap),
            },
        };
        if exit == Some(Exit::Halted) {
            timed.caught = self.take_held().map(|trap| Caught { trap, issued });
            return exit;
        }
        self.tell(timed, before, issued, raised.map(|trap| trap.exception));
        exit
    }

    /// Where the hart is.
    fn place(&self) -> Before {
        let core = &self.core;
        Before { pc: core.pc, mode: core.mode, retired: core.retired, traps: traps(core) }
    }

    /// Tells the model what became of what was issued, if it was.
    fn tell(
        &mut self,
        timed: &mut Timed,
        before: Before,
        issued: Option<Issued>,
        raised: Option<Exception>,
    ) {
        if self.core.retired != before.retired {
            timed.tell_retired(&self.core);
            if let Some(flush) = issued.and_then(|issued| issued.flush) {
                timed.model.flush(flush);
            }
        }
        timed.at_end = issued.is_none_or(|issued| issued.ends_run)
            || (self.core.pc ^ before.pc) & PAGE != 0
            || self.core.device_accessed;
        if traps(&self.core) != before.traps {
            match issued {
                Some(issued) => timed.model.trap(issued.trap(raised)),
                None => self.fail_to_fetch(timed, before.pc, before.mode),
            }
            if timed.calls_retire && issued.is_some_and(|issued| issued.calls) {
                self.core.count_unretired();
            }
            timed.at_end = true;
        }
        self.core.cycle = timed.model.now();
        timed.marks.after(before.retired, || Spent::of(&timed.model.totals()));
    }

    /// Tells the model that the instruction at `pc` could not be fetched.
    fn fail_to_fetch(&mut self, timed: &mut Timed, pc: u64, mode: Mode) {
        let Some(nop) = self.decoder.decode(NOP) else { return };
        let item = timed.model.item(&nop, pc);
        let core = &self.core;
        let fetch = Manner { privilege: mode.privilege(), v: mode.v(), hlvx: false };
        let under = Under { fetch, data: fetch, kind: Kind::Fetch, contexts: None };
        let mut walks = Walks { core, under: &under, known: &mut timed.walks };
        timed.model.fail_to_fetch(&item, pc, context(core, fetch), &mut walks);
    }

    /// Tells the model of the instruction at `pc`. What is none goes the way of one until it traps.
    fn issue_decoded(&mut self, timed: &mut Timed, insn: Option<Insn>) -> Option<Issued> {
        let insn = insn.or_else(|| self.decoder.decode(NOP))?;
        let item = timed.model.item(&insn, self.core.pc);
        let ends_run = code::ends_run(&self.decoder, &insn);
        Some(self.issue(timed, &insn, &item, ends_run))
    }

    /// The same, of one that was prepared.
    fn issue(&mut self, timed: &mut Timed, insn: &Insn, item: &Item, ends_run: bool) -> Issued {
        let core = &self.core;
        let fetch = Manner { privilege: core.mode.privilege(), v: core.mode.v(), hlvx: false };
        let context = context(core, fetch);
        let planned = plan(core, insn);
        let access = planned.map(|planned| timing::Access {
            va: planned.va,
            place: place_under(core, planned.va, planned.manner),
            context: self::context(core, planned.manner),
        });
        let pa = core.mmu.fetch_page(core.pc).map_or_else(
            || match place(core, core.pc, fetch) {
                timing::Place::Memory(pa) => pa,
                timing::Place::Device | timing::Place::Nowhere => core.pc,
            },
            |pa| pa.0,
        );
        let operands = match item.operands() {
            Operands::None => [0; 2],
            Operands::Integer => [insn.rs1, insn.rs2].map(|register| core.x(register & 31)),
            Operands::Float => {
                [insn.rs1, insn.rs2].map(|register| core.f[usize::from(register & 31)])
            }
        };
        let step = Step { item, pc: core.pc, pa, context, operands, access };
        let (data, kind) =
            planned.map_or((fetch, Kind::Load), |planned| (planned.manner, planned.kind));
        // What an instruction does that may trap is walked for anew.
        let under = Under { fetch, data, kind, contexts: None };
        let mut walker = Walks { core, under: &under, known: &mut timed.walks };
        timed.model.issue(&step, &mut walker);
        timed.marks.issued(timed.model.now());
        let issued = Issued {
            accesses: access.is_some(),
            calls: is_call(insn.op),
            csr: is_csr_access(insn.op),
            flush: flush_of(core, insn),
            ends_run,
        };
        self.core.cycle = timed.model.now();
        self.show_totals(timed, Some(insn));
        issued
    }

    /// Firmware or a hypervisor outside the guest fenced on its behalf.
    pub(super) fn flush_timed(&mut self, fence: Fence) {
        let flush = match fence {
            Fence::Sfence { va, asid } => Flush::S { va: va.map(|va| va.0), asid },
            Fence::Vvma { va, asid, vmid } => Flush::Vs { va: va.map(|va| va.0), asid, vmid },
            Fence::Gvma { gpa, vmid } => Flush::G { gpa: gpa.map(|gpa| gpa.0), vmid },
        };
        if let Some(timed) = &mut self.timed {
            timed.model.flush(flush);
        }
    }
}

/// Walks as the hart's own walker makes them.
struct Walks<'a> {
    core: &'a Core,
    under: &'a Under,
    known: &'a mut KnownWalks,
}

/// As what instructions are fetched and data are accessed.
struct Under {
    fetch: Manner,
    data: Manner,
    kind: Kind,
    /// What data and fetches are translated under, where their accesses were made and did not trap.
    contexts: Option<(Context, Context)>,
}

impl Walker for Walks<'_> {
    fn walk(&mut self, target: Target) -> Walk {
        let (va, kind, manner) = match target {
            Target::Data(va) => (va, self.under.kind, self.under.data),
            Target::Fetch(va) => (va, Kind::Fetch, self.under.fetch),
        };
        let context = self.under.contexts.map(|(data, fetch)| match target {
            Target::Data(_) => data,
            Target::Fetch(_) => fetch,
        });
        if let Some(walk) = context.and_then(|context| self.known.find(self.core, va, context)) {
            return walk;
        }
        let Manner { privilege, v, hlvx } = manner;
        let record = self.core.mmu.explain(Va(va), Access { kind, size: 1, privilege, v, hlvx });
        let walk = walk_of(&record);
        if let Some(context) = context {
            self.known.keep(self.core, va, context, &walk);
        }
        walk
    }

    fn code(&mut self, pa: u64) -> Option<u16> {
        self.core.ram.read::<u16>(Pa(pa))
    }

    fn locate(&mut self, va: u64) -> u64 {
        match place_under(self.core, va, self.under.data) {
            timing::Place::Memory(pa) => pa,
            timing::Place::Device | timing::Place::Nowhere => va,
        }
    }
}

/// Where an access of this manner goes: an ordinary one that was made went where the native TLB says.
fn place_under(core: &Core, va: u64, manner: Manner) -> timing::Place {
    let ordinary = manner == core.ordinary();
    match core.mmu.readable::<u8>(va).filter(|_| ordinary) {
        Some(pa) => timing::Place::Memory(pa.0),
        None => place(core, va, manner),
    }
}

fn is_csr_access(op: Op) -> bool {
    use Op::{Csrrc, Csrrci, Csrrs, Csrrsi, Csrrw, Csrrwi};
    matches!(op, Csrrw | Csrrs | Csrrc | Csrrwi | Csrrsi | Csrrci)
}

fn is_call(op: Op) -> bool {
    matches!(op, Op::Ecall | Op::Ebreak)
}

/// What accesses of this manner are translated under.
fn context(core: &Core, manner: Manner) -> Context {
    let first = if manner.v { core.csrs.vsatp } else { core.csrs.satp };
    let translated = manner.privilege != Privilege::M;
    let second = manner.v && field::get(core.csrs.hgatp, hgatp::MODE) != 0;
    Context {
        v: manner.v,
        first: translated && field::get(first, satp::MODE) != 0,
        second: translated && second,
        asid: field::get(first, satp::ASID) as u16,
        vmid: if manner.v { core.vmid() } else { 0 },
    }
}

/// Where an access to `va` goes.
fn place(core: &Core, va: u64, manner: Manner) -> timing::Place {
    match core.mmu.locate(Va(va), manner.privilege, manner.v).map(|located| located.target) {
        Ok(Place::Ram { pa }) => timing::Place::Memory(pa.0),
        Ok(Place::Mmio { .. }) => timing::Place::Device,
        Err(_) => timing::Place::Nowhere,
    }
}

/// A walk as memory sees it.
fn walk_of(record: &WalkRecord) -> Walk {
    let mut walk = Walk::default();
    let (mut first, mut second, mut last, mut guest) = (64, 64, 0, 0);
    let mut implicit = None::<ImplicitAccess>;
    for step in &record.steps {
        match step {
            WalkStep::Fetch(fetch) => {
                walk.reads.push(fetch.pa.0);
                implicit = fetch.implicit;
                if fetch.stage != StageName::G {
                    walk.page.global |= fetch.value & pte::G != 0;
                } else if implicit.is_none() {
                    guest = fetch.input;
                }
            }
            WalkStep::Judged(judgement) => {
                last = 12 + 9 * judgement.level;
                if let Verdict::Leaf { bits, .. } = judgement.verdict {
                    match judgement.stage {
                        StageName::G if implicit.is_none() => second = bits,
                        StageName::G => {}
                        StageName::S | StageName::Vs => first = bits,
                    }
                }
            }
            WalkStep::Update(_) => {}
        }
    }
    walk.failed = record.outcome.is_err();
    walk.page.bits = if walk.failed { last } else { first.min(second) };
    walk.page.guest = (second < 64).then_some((guest, second));
    walk
}

/// What a fence instruction removes once it retires.
fn flush_of(core: &Core, insn: &Insn) -> Option<Flush> {
    let operand = |register: u8| (register != 0).then(|| core.x(register));
    let (address, space) = (operand(insn.rs1), operand(insn.rs2).map(|space| space as u16));
    let vmid = core.vmid();
    match insn.op {
        Op::SfenceVma | Op::SinvalVma if !core.mode.v() => {
            Some(Flush::S { va: address, asid: space })
        }
        Op::SfenceVma | Op::SinvalVma | Op::HfenceVvma | Op::HinvalVvma => {
            Some(Flush::Vs { va: address, asid: space, vmid })
        }
        Op::HfenceGvma | Op::HinvalGvma => {
            // rs1 holds it shifted right by 2 (Hypervisor Memory-Management Fence Instructions).
            Some(Flush::G { gpa: address.map(|address| address << 2), vmid: space })
        }
        _ => None,
    }
}
