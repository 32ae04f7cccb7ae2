//! What a hart tells of while it runs at full speed: traps and returns, fences, new roots, stores to watched tables.
//!
//! All of it happens off the hot path, so a [`Witness`] costs nothing where nothing happens, and without one the
//! hart only asks whether there is one. A witness cannot change the hart: a run with one is the same run.

use isa::{Cause, Exception, Mode, Op};
use mmu::{Fault, Fence};

use crate::core::Core;
use crate::trap::{Target, Trap};

/// Where and when something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scene {
    /// `mhartid`.
    pub hart: u64,
    /// Instructions that the hart had retired before: those before the one at `pc`.
    pub insns: u64,
    /// The hart's place in virtual time, in cycles.
    pub cycle: u64,
    /// The mode it was in.
    pub mode: Mode,
    /// `hgatp.VMID`.
    pub vmid: u16,
    /// The instruction that did it, that trapped or that an interrupt came before.
    pub pc: u64,
    /// What the hart's cycle model counted up to then; none without one.
    pub spent: Option<Spent>,
}

/// Cycles that a cycle model counted, for what they went to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// Walks that found a translation.
    pub walks: u64,
    /// Walks that found none.
    pub failed_walks: u64,
    /// Memory-management fences, and walks that waited behind them.
    pub fences: u64,
    /// From the issue of what trapped until it could commit, such as a walk that failed.
    pub raising: u64,
    /// Traps, from then on.
    pub traps: u64,
    /// Returns from traps.
    pub returns: u64,
}

impl Spent {
    pub(crate) fn of(totals: &timing::Totals) -> Self {
        let held = &totals.held;
        Self {
            walks: totals.walk_cycles,
            failed_walks: totals.failed_walk_cycles,
            fences: held.fences + held.walks_behind_fences,
            raising: held.raising,
            traps: held.traps,
            returns: held.returns,
        }
    }
}

/// A trap as its handler finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrapNotice {
    /// Why. An interrupt has its number from `mip`, whoever takes it.
    pub cause: Cause,
    /// The mode that handles it.
    pub to: Mode,
    /// `mtval`, `stval` or `vstval`.
    pub tval: u64,
    /// `mtval2` or `htval`; 0 in VS.
    pub tval2: u64,
    /// `mtinst` or `htinst`; 0 in VS.
    pub tinst: u64,
    /// Whether `tval` holds a guest virtual address.
    pub gva: bool,
    /// For a page fault, a guest-page fault and most access faults: where and why the translation failed.
    pub fault: Option<Fault>,
}

/// A register that holds the root of a guest's page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootRegister {
    /// `hgatp`, the G-stage's.
    Hgatp,
    /// `vsatp`, the VS-stage's.
    Vsatp,
}

/// Who wrote to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writer {
    /// The instruction at the scene's `pc`.
    Store,
    /// A page-table walk that set A or D, for that instruction.
    Walk,
    /// A device, when the hart met the machine.
    Device,
    /// Firmware outside the guest, on the hart's behalf.
    Firmware,
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A trap was taken.
    Trap(TrapNotice),
    /// A return from a trap.
    Return {
        /// Where to.
        to: Mode,
        /// MRET or SRET; `None` where firmware outside the guest did it.
        by: Option<Op>,
    },
    /// A memory-management fence took effect on this hart.
    Fence {
        /// What it orders, with the bits of ASID and VMID that the hart has.
        fence: Fence,
        /// The instruction; `None` where firmware outside the guest did it.
        by: Option<Op>,
    },
    /// SFENCE.W.INVAL or SFENCE.INVAL.IR.
    FenceBracket {
        /// Which.
        op: Op,
    },
    /// `hgatp` or `vsatp` was written.
    Root {
        /// Which.
        register: RootRegister,
        /// What it held.
        old: u64,
        /// What it holds.
        new: u64,
    },
    /// A page that is watched as a table was written: [`mmu::Ram::fetch_table_writes`] says where.
    TableWritten(Writer),
    /// The hart was reset: it is in M-mode.
    Reset,
}

/// Hears of what happens on a hart, in the order in which it happens.
pub trait Witness: Send {
    /// Something happened at `scene`.
    fn notice(&mut self, scene: &Scene, notice: &Notice);
}

impl Core {
    /// The present as a scene, at the instruction `pc`.
    fn scene(&self, pc: u64) -> Scene {
        Scene {
            hart: self.hartid,
            insns: self.retired,
            cycle: self.cycle,
            mode: self.mode,
            vmid: self.vmid(),
            pc,
            spent: self.counters.model.as_ref().map(Spent::of),
        }
    }

    /// The instruction that executes, where it can reach beyond the registers.
    pub(crate) fn at(&self) -> u64 {
        self.pc.wrapping_add_signed(i64::from(self.offset))
    }

    /// `hgatp.VMID`.
    pub(crate) fn vmid(&self) -> u16 {
        isa::field::get(self.csrs.hgatp, isa::field::hgatp::VMID) as u16
    }

    /// The present, if anybody wants to know: to be taken before what happens changes it.
    #[inline]
    pub(crate) fn seen_at(&self, pc: u64) -> Option<Scene> {
        if self.witness.is_some() { Some(self.scene(pc)) } else { None }
    }

    /// Tells the witness, and follows it where it has begun to watch pages.
    #[cold]
    pub(crate) fn tell(&mut self, scene: &Scene, notice: Notice) {
        if let Some(witness) = &mut self.witness {
            witness.notice(scene, &notice);
            self.mmu.sync_page_events();
        }
    }

    /// Tells of a trap that was just taken at `scene`.
    #[cold]
    pub(crate) fn tell_trap(
        &mut self,
        scene: &Scene,
        target: Target,
        cause: Cause,
        trap: &Trap,
        why: Option<Fault>,
    ) {
        // VS has no registers for these two.
        let (tval2, tinst) = if target == Target::Vs { (0, 0) } else { (trap.tval2, trap.tinst) };
        let fault = match cause {
            Cause::Exception(exception) => why.filter(|fault| is_of(exception, fault)),
            Cause::Interrupt(_) => None,
        };
        let &Trap { tval, gva, .. } = trap;
        let notice = TrapNotice { cause, to: self.mode, tval, tval2, tinst, gva, fault };
        self.tell(scene, Notice::Trap(notice));
    }

    /// Executes a fence; `by` is its instruction.
    #[inline(never)]
    pub(crate) fn fence(&mut self, fence: Fence, by: Option<Op>) {
        match by {
            Some(Op::SinvalVma | Op::HinvalVvma | Op::HinvalGvma) => self.mmu.invalidate(fence),
            _ => self.mmu.fence(fence),
        }
        if let Some(scene) = self.seen_at(self.at()) {
            let fence = self.mmu.narrowed(fence);
            self.tell(&scene, Notice::Fence { fence, by });
        }
    }

    /// After anything that may have written to memory off the hot path.
    #[inline]
    pub(crate) fn after_write(&mut self, by: Writer) {
        if self.witness.is_some() && self.ram.has_table_writes() {
            let scene = self.scene(self.at());
            self.tell(&scene, Notice::TableWritten(by));
        }
    }
}

/// Whether an exception is the one that a failed translation raises.
pub(crate) fn is_of(exception: Exception, fault: &Fault) -> bool {
    use Exception::*;
    match fault {
        Fault::Page { .. } => matches!(exception, InstructionPage | LoadPage | StorePage),
        Fault::GuestPage { .. } => {
            matches!(exception, InstructionGuestPage | LoadGuestPage | StoreGuestPage)
        }
        Fault::Access { .. } => matches!(exception, InstructionAccess | LoadAccess | StoreAccess),
    }
}
