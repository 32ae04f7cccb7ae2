//! What a hypervisor outside the machine's software does, as the cycle model sees it: a few instructions that are told to the model, as if they
//! stood in HS-mode with `satp` Bare, and between them others of which is only known how long they take.

use isa::Pa;
use timing::{Access, Context, Place, Step};

use super::{PAGE, Under, Walks};
use crate::hart::Hart;
use crate::memory::Manner;
use crate::witness::Spent;
use isa::Privilege;
use mmu::Kind;

/// LD t0, 0(t1).
const LOAD: u32 = 0x0003_3283;
/// SD t0, 0(t1).
const STORE: u32 = 0x0053_3023;
/// ADD t0, t0, t0: it needs what was loaded.
const USE: u32 = 0x0052_82b3;
/// HFENCE.GVMA t0, t1.
const FENCE: u32 = 0x6262_8073;
/// ADDI x0, x0, 0.
const NOP: u32 = super::NOP;
/// SRET.
const RETURN: u32 = 0x1020_0073;

/// Something that a hypervisor does, beside instructions of which nothing else is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutsideStep {
    /// It loads a doubleword, such as a PTE, and uses it.
    Load(Pa),
    /// It stores one.
    Store(Pa),
    /// It executes an HFENCE.GVMA. What that removes is told by [`Hart::fence`].
    Fence,
}

impl OutsideStep {
    /// The instructions that it is.
    pub fn instructions(self) -> u64 {
        match self {
            Self::Load(_) => 2,
            Self::Store(_) | Self::Fence => 1,
        }
    }
}

/// What a hart with a model remembers for a hypervisor outside of the traps that it hands it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// What cycles had gone to before the last instruction that was executed singly, which is any that traps.
    before: Spent,
    /// When that instruction issued.
    issued: u64,
    /// When the hypervisor entered the guest: instructions that had retired, and what cycles had gone to.
    entered: Option<(u64, Spent)>,
    /// Cycles of walks, and behind fences, of the guest's first instruction after that.
    refill: u64,
}

impl Marks {
    /// Before an instruction.
    pub(super) fn before(&mut self, spent: Spent) {
        self.before = spent;
    }

    /// It issued.
    pub(super) fn issued(&mut self, cycle: u64) {
        self.issued = cycle;
    }

    /// It was executed, as the one behind so many; `spent` says what cycles had gone to by then.
    pub(super) fn after(&mut self, retired: u64, spent: impl FnOnce() -> Spent) {
        if let Some((entered, before)) = self.entered.take()
            && entered == retired
        {
            let now = spent();
            self.refill = now.walks + now.fences - before.walks - before.fences;
        }
    }
}

/// The trap by which a hart left its guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// What cycles had gone to before the instruction that trapped.
    pub before: Spent,
    /// When it issued, in cycles.
    pub issued: u64,
}

impl Hart {
    /// How the hart came to its last trap; `None` without a model.
    pub fn left(&self) -> Option<Left> {
        let marks = &self.timed.as_ref()?.marks;
        Some(Left { before: marks.before, issued: marks.issued })
    }

    /// What cycles have gone to; `None` without a model.
    pub fn spent(&self) -> Option<Spent> {
        Some(Spent::of(&self.timed.as_ref()?.model.totals()))
    }

    /// Cycles that the guest's first instruction after the last entry waited for translations, if it has been executed.
    pub fn refill(&self) -> u64 {
        self.timed.as_ref().map_or(0, |timed| timed.marks.refill)
    }

    /// Has the model issue what a hypervisor does. No effect without one.
    pub fn step_outside(&mut self, step: OutsideStep) {
        match step {
            OutsideStep::Load(pa) => {
                self.issue_outside(LOAD, Some(pa));
                self.issue_outside(USE, None);
            }
            OutsideStep::Store(pa) => self.issue_outside(STORE, Some(pa)),
            OutsideStep::Fence => self.issue_outside(FENCE, None),
        }
    }

    /// Lets so many cycles pass with instructions of a hypervisor of which nothing else is known.
    pub fn work_outside(&mut self, cycles: u64) {
        if cycles == 0 {
            return;
        }
        // The first one waits for what is before it, such as a trap.
        self.issue_outside(NOP, None);
        if let Some(timed) = &mut self.timed {
            timed.model.work(cycles - 1);
            self.core.cycle = timed.model.now();
        }
    }

    /// Returns from HS-mode by SRET, as a hypervisor does to enter its guest.
    pub fn sret(&mut self) {
        self.core.offset = 0;
        self.issue_outside(RETURN, None);
        self.core.sret(None);
        let Some(mut timed) = self.timed.take() else { return };
        timed.tell_retired(&self.core);
        timed.marks.entered = Some((self.core.retired, Spent::of(&timed.model.totals())));
        timed.marks.refill = 0;
        self.timed = Some(timed);
    }

    fn issue_outside(&mut self, encoding: u32, pa: Option<Pa>) {
        let Some(mut timed) = self.timed.take() else { return };
        if let Some(insn) = self.decoder.decode(encoding) {
            timed.model.skip_to(self.core.cycle);
            // In the middle of a packet, which is there: fetching is part of what is not known.
            let pc = (self.core.csrs.stvec & PAGE) + 4;
            let context = Context { v: false, first: false, second: false, asid: 0, vmid: 0 };
            let item = timed.model.item(&insn, pc);
            let access = pa.map(|pa| Access { va: pa.0, place: Place::Memory(pa.0), context });
            let step = Step { item: &item, pc, pa: pc, context, operands: [0; 2], access };
            let core = &self.core;
            let hs = Manner { privilege: Privilege::S, v: false, hlvx: false };
            let under = Under { fetch: hs, data: hs, kind: Kind::Load, contexts: None };
            timed.model.issue(&step, &mut Walks { core, under: &under, known: &mut timed.walks });
            self.core.cycle = timed.model.now();
            self.core.recheck = true;
        }
        self.timed = Some(timed);
    }
}
