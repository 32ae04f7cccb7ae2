//! Which interrupts are pending, and which one is taken [priv: machine, "mip and mie"; supervisor;
//! hypervisor, "hvip, hip, hie", "VS interrupts"; Sstc].

use isa::field::menvcfg::STCE;
use isa::field::mstatus;
use isa::{Interrupt, Mode};

use crate::core::Core;
use crate::csr::environment::henvcfg;
use crate::trap::Target;

/// Highest first [priv: machine 3.1.9; hypervisor: the VS ones rank below the HS ones].
const PRIORITY: [Interrupt; 11] = [
    Interrupt::MachineExternal,
    Interrupt::MachineSoftware,
    Interrupt::MachineTimer,
    Interrupt::SupervisorExternal,
    Interrupt::SupervisorSoftware,
    Interrupt::SupervisorTimer,
    Interrupt::SupervisorGuestExternal,
    Interrupt::VsExternal,
    Interrupt::VsSoftware,
    Interrupt::VsTimer,
    Interrupt::CounterOverflow,
];

impl Core {
    /// STIP follows `stimecmp` instead of software.
    pub(crate) fn stimecmp_in_use(&self) -> bool {
        self.has.sstc && self.csrs.menvcfg & STCE != 0
    }

    /// VSTIP follows `vstimecmp` as well as `hvip`.
    fn vstimecmp_in_use(&self) -> bool {
        self.has.sstc && self.has.h && henvcfg(self) & STCE != 0
    }

    /// `mip`: software bits, lines, comparators and the VS-level sources.
    pub(crate) fn mip(&self) -> u64 {
        use Interrupt::*;
        let lines = if self.has.s { self.lines } else { self.lines & !SupervisorExternal.bit() };
        let mut pending = self.csrs.mip | lines;
        if self.stimecmp_in_use() {
            pending &= !SupervisorTimer.bit();
            if self.time() >= self.csrs.stimecmp {
                pending |= SupervisorTimer.bit();
            }
        }
        if self.has.h {
            pending |= self.csrs.hvip;
            if self.vstimecmp_in_use()
                && self.time().wrapping_add(self.csrs.htimedelta) >= self.csrs.vstimecmp
            {
                pending |= VsTimer.bit();
            }
            if self.selected_guest_line() {
                pending |= VsExternal.bit();
            }
            if self.hgeip() & self.csrs.hgeie != 0 {
                pending |= SupervisorGuestExternal.bit();
            }
        }
        pending
    }

    /// The interrupt to take now, and by whom.
    pub(crate) fn deliverable(&self) -> Option<(Interrupt, Target)> {
        let active = self.mip() & self.csrs.mie;
        if active == 0 {
            return None;
        }
        let to_hs_or_vs = self.csrs.mideleg | crate::csr::always_delegated(self);
        let enabled = |status: u64, bit: u64| status & bit != 0;
        let m = active & !to_hs_or_vs;
        if m != 0 && (self.mode != Mode::M || enabled(self.csrs.mstatus, mstatus::MIE)) {
            return highest(m).map(|interrupt| (interrupt, Target::M));
        }
        let hs = active & to_hs_or_vs & !self.csrs.hideleg;
        let hs_open = match self.mode {
            Mode::M => false,
            Mode::S => enabled(self.csrs.mstatus, mstatus::SIE),
            Mode::U | Mode::VS | Mode::VU => true,
        };
        if hs != 0 && hs_open {
            return highest(hs).map(|interrupt| (interrupt, Target::Hs));
        }
        let vs = active & to_hs_or_vs & self.csrs.hideleg;
        let vs_open = match self.mode {
            Mode::VS => enabled(self.csrs.vsstatus, mstatus::SIE),
            Mode::VU => true,
            _ => false,
        };
        if vs != 0 && vs_open {
            return highest(vs).map(|interrupt| (interrupt, Target::Vs));
        }
        None
    }

    /// Whether WFI has nothing to wait for: an enabled interrupt is pending, whatever the global
    /// enables and delegation say.
    pub(crate) fn wakes(&self) -> bool {
        self.mip() & self.csrs.mie != 0
    }

    /// The cycle at which the next comparator of this hart fires; `u64::MAX` for never.
    pub(crate) fn comparator_deadline(&self) -> u64 {
        let mut left = u64::MAX;
        if self.stimecmp_in_use() {
            left = ticks_to_change(self.time(), self.csrs.stimecmp);
        }
        if self.vstimecmp_in_use() {
            let guest_now = self.time().wrapping_add(self.csrs.htimedelta);
            left = left.min(ticks_to_change(guest_now, self.csrs.vstimecmp));
        }
        self.clock.cycles(self.clock.ticks(self.cycle).saturating_add(left))
    }
}

/// The ticks after which a clock at `now` reaches `compare`, or, being there, wraps and falls below it.
fn ticks_to_change(now: u64, compare: u64) -> u64 {
    if compare > now { compare - now } else { (u64::MAX - now).saturating_add(1) }
}

fn highest(pending: u64) -> Option<Interrupt> {
    PRIORITY.into_iter().find(|interrupt| pending & interrupt.bit() != 0)
}
