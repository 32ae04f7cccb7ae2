//! Runs a hart instruction by instruction, telling a cycle model of each one, and keeps the hart's place in virtual
//! time where the model says. The loop without a model knows nothing of this.

use isa::field::{self, hgatp, satp};
use isa::{Insn, Op, Privilege, Va};
use mmu::{
    Access, ImplicitAccess, Kind, StageName, Target as Place, Verdict, WalkRecord, WalkStep,
};
use timing::{Context, Flush, Model, Step, Target, Trap, Walk};

use super::{Exit, Hart, Outside};
use crate::commit::{plan, traps};
use crate::core::Core;
use crate::memory::Manner;
use crate::platform::Platform;

/// A cycle model and what the hart needs for it.
pub(super) struct Timed {
    model: Model,
    /// Whether an ECALL or EBREAK counts in `instret`.
    calls_retire: bool,
}

/// What an instruction is to the loop that told the model of it.
#[derive(Clone, Copy)]
struct Issued {
    accesses: bool,
    calls: bool,
    flush: Option<Flush>,
}

impl Hart {
    /// From now on its cycles are what `core` would take, on a memory of its own latency or of another one.
    pub fn set_model(&mut self, core: &timing::Core, memory_latency: Option<u64>) {
        let model = Model::new(core, memory_latency);
        self.timed = Some(Box::new(Timed { model, calls_retire: core.calls_retire }));
    }

    /// [`Hart::run`] with a model.
    pub(super) fn run_timed(&mut self, port: &mut dyn Platform, end: u64) -> Exit {
        let Some(mut timed) = self.timed.take() else { return Exit::Budget };
        let exit = loop {
            if let Some(exit) = self.advance_timed(&mut timed, port, end) {
                break exit;
            }
        };
        self.timed = Some(timed);
        exit
    }

    /// Takes one trap or executes one instruction.
    fn advance_timed(
        &mut self,
        timed: &mut Timed,
        port: &mut dyn Platform,
        end: u64,
    ) -> Option<Exit> {
        if self.core.ram.page_events() != self.pages_seen.count() && self.read_page_events() {
            return Some(Exit::Tripped);
        }
        if self.core.recheck || self.core.cycle >= self.deadline {
            let before = traps(&self.core);
            let exit = self.attend(port);
            if traps(&self.core) != before {
                timed.model.trap(Trap::Interrupt);
            }
            if exit.is_some() {
                return exit;
            }
        }
        if self.core.cycle >= end {
            return Some(Exit::Budget);
        }
        // The machine's clock may have passed it by while it waited.
        timed.model.skip_to(self.core.cycle);
        let (retired, trapped) = (self.core.retired, traps(&self.core));
        let mut issued = None;
        let exit = match self.enter() {
            Ok(index) => {
                let bits = self.blocks.get(index).and_then(|block| block.bits(0));
                let insn = bits.and_then(|bits| self.decoder.decode(bits));
                issued = insn.map(|insn| self.issue(timed, &insn));
                self.run_block(port, index, retired + 1).and_then(|trap| self.trap(trap))
            }
            Err(Outside::Done(exit)) => exit,
            Err(Outside::Uncached) => match self.fetch_uncached(port) {
                Ok(insn) => {
                    issued = Some(self.issue(timed, &insn));
                    self.run_uncached(port, &insn)
                }
                Err(trap) => self.trap(trap),
            },
        };
        if self.core.retired != retired {
            timed.model.retire(self.core.pc);
            if let Some(flush) = issued.and_then(|issued| issued.flush) {
                timed.model.flush(flush);
            }
        }
        if traps(&self.core) != trapped {
            let accesses = issued.is_some_and(|issued| issued.accesses);
            timed.model.trap(if accesses { Trap::Access } else { Trap::Other });
            if timed.calls_retire && issued.is_some_and(|issued| issued.calls) {
                self.core.count_unretired();
            }
        }
        self.core.cycle = timed.model.now();
        exit
    }

    /// Tells the model of the instruction at `pc`.
    fn issue(&mut self, timed: &mut Timed, insn: &Insn) -> Issued {
        let core = &self.core;
        let fetch = Manner { privilege: core.mode.privilege(), v: core.mode.v(), hlvx: false };
        let context = context(core, fetch);
        let planned = plan(core, insn);
        let access = planned.map(|planned| timing::Access {
            va: planned.va,
            place: place(core, planned.va, planned.manner),
            context: self::context(core, planned.manner),
        });
        let float = |register: u8| core.f[usize::from(register & 31)];
        let step = Step {
            insn,
            pc: core.pc,
            pa: match place(core, core.pc, fetch) {
                timing::Place::Memory(pa) => pa,
                timing::Place::Device | timing::Place::Nowhere => core.pc,
            },
            context,
            x: [core.x(insn.rs1 & 31), core.x(insn.rs2 & 31)],
            f: [float(insn.rs1), float(insn.rs2)],
            access,
        };
        let mut walk = |target| {
            let (va, kind, manner) = match (target, planned) {
                (Target::Data(va), Some(planned)) => (va, planned.kind, planned.manner),
                (Target::Fetch(va) | Target::Data(va), _) => (va, Kind::Fetch, fetch),
            };
            let Manner { privilege, v, hlvx } = manner;
            walk_of(&core.mmu.explain(Va(va), Access { kind, size: 1, privilege, v, hlvx }))
        };
        timed.model.issue(&step, &mut walk);
        let issued = Issued {
            accesses: access.is_some(),
            calls: is_call(insn.op),
            flush: flush_of(core, insn),
        };
        self.core.cycle = timed.model.now();
        issued
    }

    /// Firmware outside the guest fenced on its behalf.
    pub(super) fn forget_timed_translations(&mut self) {
        if let Some(timed) = &mut self.timed {
            timed.model.flush(Flush::S { va: None, asid: None });
            timed.model.flush(Flush::G { vmid: None });
        }
    }
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
    let (mut first, mut second, mut implicit) = (64, 64, None::<ImplicitAccess>);
    for step in &record.steps {
        match step {
            WalkStep::Fetch(fetch) => {
                walk.reads.push(fetch.pa.0);
                implicit = fetch.implicit;
            }
            WalkStep::Judged(judgement) => {
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
    walk.bits = if record.outcome.is_ok() { first.min(second) } else { 0 };
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
        Op::HfenceGvma | Op::HinvalGvma => Some(Flush::G { vmid: space }),
        _ => None,
    }
}
