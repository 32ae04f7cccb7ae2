//! Pointer masking: the upper bits of an address that explicit accesses of a mode ignore [priv: pointer masking].
//!
//! PMLEN is 0 or 7, which the profiles ask for; the other WARL value, 16, is not offered. So no masked bit is one that
//! translates a virtual address, and the native TLB, which holds no address that masking changes, is asked for the
//! address as it is: a hit is right, and what masking changes always misses it.

use isa::field::{get, henvcfg, hstatus, menvcfg, mseccfg, mstatus, pmm, satp, senvcfg};
use isa::{Privilege, field};

use crate::core::Core;
use crate::memory::Manner;

/// How many of the upper bits are ignored where masking is on.
const PMLEN: u32 = 7;

/// What a write of `value` to a register with a PMM field at `mask` stores over `old`: a value that is not offered
/// leaves the old one.
pub(crate) fn legal(old: u64, value: u64, mask: u64) -> u64 {
    match get(value, mask) {
        pmm::OFF | pmm::IGNORE_7 => value,
        _ => field::set(value, mask, get(old, mask)),
    }
}

impl Core {
    /// A PMM field, or HUPMM, was written.
    pub(crate) fn masking_changed(&mut self) {
        let csrs = &self.csrs;
        let fields = csrs.menvcfg & menvcfg::PMM
            | csrs.senvcfg & senvcfg::PMM
            | csrs.henvcfg & henvcfg::PMM
            | csrs.mseccfg & mseccfg::PMM
            | csrs.hstatus & hstatus::HUPMM;
        self.masks = fields != 0;
    }

    /// The address that an explicit access to `va` is made at.
    #[inline]
    pub(crate) fn masked(&self, va: u64, manner: Manner) -> u64 {
        if self.masks { self.ignoring(va, manner) } else { va }
    }

    #[cold]
    fn ignoring(&self, va: u64, manner: Manner) -> u64 {
        if manner.hlvx || self.ignores(manner) != pmm::IGNORE_7 {
            return va;
        }
        let root = if manner.v { self.csrs.vsatp } else { self.csrs.satp };
        let physical = manner.privilege == Privilege::M || get(root, satp::MODE) == satp::BARE;
        if physical { va << PMLEN >> PMLEN } else { ((va << PMLEN) as i64 >> PMLEN) as u64 }
    }

    /// What the PMM field says that governs accesses made like this: that of the effective privilege mode, unless MXR
    /// is in effect there, whether or not pages are [priv: pointer masking, "Memory Accesses Subject to Pointer Masking"].
    fn ignores(&self, manner: Manner) -> u64 {
        let csrs = &self.csrs;
        if manner.privilege == Privilege::M {
            return get(csrs.mseccfg, mseccfg::PMM);
        }
        let status = csrs.mstatus | if manner.v { csrs.vsstatus } else { 0 };
        if status & mstatus::MXR != 0 {
            return pmm::OFF;
        }
        // HLV and HSV in U-mode [priv: hypervisor, "Hypervisor Status", HUPMM].
        let from_u = self.mode == isa::Mode::U && manner.v;
        match (manner.privilege, manner.v) {
            (Privilege::S, false) => get(csrs.menvcfg, menvcfg::PMM),
            (Privilege::S, true) => get(csrs.henvcfg, henvcfg::PMM),
            _ if from_u => get(csrs.hstatus, hstatus::HUPMM),
            _ if !self.has.s => get(csrs.menvcfg, menvcfg::PMM),
            _ => get(csrs.senvcfg, senvcfg::PMM),
        }
    }
}
