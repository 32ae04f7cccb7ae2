//! A vCPU: the state of its hart while it is on none, and the way onto a hart and off it.
//!
//! While a vCPU is loaded, its state is the hart's: VS CSRs, registers, and, between an exit and the next entry,
//! `sepc`, `sstatus.SPP` and `hstatus.SPV`, which SRET takes it back by.

use isa::field::{context_status, hstatus, mstatus, set, sstatus};
use isa::{Privilege, csr};

use crate::port::Harts;

/// The CSRs that each vCPU has to itself, in the order in which they are written: what decides whether others
/// exist comes first. VS-mode reaches the last three under their own numbers.
pub const SWITCHED: [u16; 17] = [
    csr::HCOUNTEREN,
    csr::HENVCFG,
    csr::HSTATEEN0,
    csr::HTIMEDELTA,
    csr::VSSTATUS,
    csr::VSIE,
    csr::VSTVEC,
    csr::VSSCRATCH,
    csr::VSEPC,
    csr::VSCAUSE,
    csr::VSTVAL,
    csr::VSATP,
    csr::VSTIMECMP,
    csr::HVIP,
    csr::SCOUNTEREN,
    csr::SENVCFG,
    csr::SSTATEEN0,
];

/// What a hart holds of a vCPU.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Context {
    /// Where it goes on.
    pub pc: u64,
    /// VS-mode, or VU-mode.
    pub supervisor: bool,
    /// `x0` to `x31`.
    pub x: [u64; 32],
    /// `f0` to `f31`, raw.
    pub f: [u64; 32],
    /// `fcsr`.
    pub fcsr: u64,
    /// The CSRs of [`SWITCHED`].
    pub csrs: [u64; SWITCHED.len()],
}

impl Context {
    /// As a vCPU starts: in VS-mode, everything zero, its timer off.
    pub fn new() -> Self {
        let mut context = Self {
            pc: 0,
            supervisor: true,
            x: [0; 32],
            f: [0; 32],
            fcsr: 0,
            csrs: [0; SWITCHED.len()],
        };
        context.set_csr(csr::VSTIMECMP, u64::MAX);
        context
    }

    /// One of [`SWITCHED`]; 0 for any other.
    pub fn csr(&self, number: u16) -> u64 {
        self.slot(number).map_or(0, |index| self.csrs[index])
    }

    /// Sets one of [`SWITCHED`]; no effect for any other.
    pub fn set_csr(&mut self, number: u16, value: u64) {
        if let Some(index) = self.slot(number) {
            self.csrs[index] = value;
        }
    }

    fn slot(&self, number: u16) -> Option<usize> {
        SWITCHED.iter().position(|&switched| switched == number)
    }

    /// Takes the state off a hart that has left the guest.
    pub fn save(&mut self, harts: &dyn Harts, hart: usize) {
        self.pc = harts.csr(hart, csr::SEPC);
        self.supervisor = harts.csr(hart, csr::SSTATUS) & sstatus::SPP != 0;
        for index in 1..32 {
            self.x[usize::from(index)] = harts.x(hart, index);
        }
        for index in 0..32 {
            self.f[usize::from(index)] = harts.f(hart, index);
        }
        self.fcsr = harts.csr(hart, csr::FCSR);
        for (slot, number) in self.csrs.iter_mut().zip(SWITCHED) {
            *slot = harts.csr(hart, number);
        }
    }

    /// Puts the state onto a hart, whose next SRET enters the guest.
    pub fn restore(&self, harts: &mut dyn Harts, hart: usize) {
        for (&value, number) in self.csrs.iter().zip(SWITCHED) {
            harts.set_csr(hart, number, value);
        }
        let status = harts.csr(hart, csr::SSTATUS) & !(mstatus::SUM | mstatus::MXR);
        let status = set(status, mstatus::FS, context_status::DIRTY);
        let status = set(status, sstatus::SPP, u64::from(self.supervisor));
        harts.set_csr(hart, csr::SSTATUS, status);
        let status = harts.csr(hart, csr::HSTATUS) | hstatus::SPV | hstatus::VTW;
        let status = set(status, hstatus::SPVP, u64::from(self.supervisor));
        harts.set_csr(hart, csr::HSTATUS, status);
        harts.set_csr(hart, csr::SEPC, self.pc);
        for index in 1..32 {
            harts.set_x(hart, index, self.x[usize::from(index)]);
        }
        for index in 0..32 {
            harts.set_f(hart, index, self.f[usize::from(index)]);
        }
        harts.set_csr(hart, csr::FCSR, self.fcsr);
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a vCPU that slept goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Resume {
    /// The first instruction.
    pub pc: u64,
    /// What `a1` holds.
    pub opaque: u64,
}

/// What a vCPU does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Run {
    /// Nothing, until another starts it.
    Stopped,
    /// It waits for a hart.
    Ready,
    /// It runs.
    On {
        /// The hart.
        hart: usize,
    },
    /// It waits for an interrupt.
    Waiting {
        /// Whether it called for that by SBI, and not by WFI.
        suspended: bool,
        /// Where it then goes on, if not behind what made it wait.
        resume: Option<Resume>,
    },
}

/// A vCPU.
#[derive(Clone, Debug)]
pub struct Vcpu {
    /// Its state, while it runs as it was when it began to.
    pub context: Context,
    /// What it does.
    pub run: Run,
    /// Without Sstc: when its timer rings, by its own clock.
    pub timer: Option<u64>,
    /// Translations of its VS-stage that it had on any hart must not be used again.
    pub(crate) must_fence: bool,
    /// FENCE.I is due before it runs again.
    pub(crate) must_fence_i: bool,
    /// It waits until its dirty ring is reset.
    pub(crate) ring_is_full: bool,
    /// The hart it ran on last.
    pub(crate) last_hart: Option<usize>,
    /// What the machine's clock showed when its time on a hart began.
    pub(crate) since: u64,
}

impl Vcpu {
    /// A stopped one.
    pub fn new() -> Self {
        Self {
            context: Context::new(),
            run: Run::Stopped,
            ring_is_full: false,
            timer: None,
            must_fence: false,
            must_fence_i: false,
            last_hart: None,
            since: 0,
        }
    }

    /// Forgets everything but the VM's own registers, and lets it start in VS-mode: translation and interrupts off,
    /// its number in `a0`, `opaque` in `a1` [SBI: "Hart State Management Extension"].
    pub(crate) fn start_at(&mut self, number: usize, pc: u64, opaque: u64) {
        let kept = [csr::HCOUNTEREN, csr::HENVCFG, csr::HSTATEEN0, csr::HTIMEDELTA]
            .map(|number| (number, self.context.csr(number)));
        self.context = Context { pc, ..Context::new() };
        for (number, value) in kept {
            self.context.set_csr(number, value);
        }
        self.context.x[10] = number as u64;
        self.context.x[11] = opaque;
        self.timer = None;
        // What a hart held of its earlier life.
        self.must_fence = true;
    }

    /// Whether an interrupt it has enabled is pending at `time`, while it is on no hart. That is what WFI waits for.
    pub(crate) fn wakes(&self, time: u64) -> bool {
        let mut pending = self.context.csr(csr::HVIP) >> 1;
        if self.rings_at(time).is_some_and(|ticks| ticks <= time) {
            pending |= isa::Interrupt::SupervisorTimer.bit();
        }
        pending & self.context.csr(csr::VSIE) != 0
    }

    /// When its timer rings by the machine's clock, which shows `time`, while it is on no hart; `None` for never.
    pub(crate) fn rings_at(&self, time: u64) -> Option<u64> {
        let own = time.wrapping_add(self.context.csr(csr::HTIMEDELTA));
        let stce = isa::field::henvcfg::STCE;
        let at = if self.context.csr(csr::HENVCFG) & stce != 0 {
            self.context.csr(csr::VSTIMECMP)
        } else {
            self.timer?
        };
        (at != u64::MAX).then(|| time.saturating_add(at.saturating_sub(own)))
    }

    /// The privilege it had when it left the guest.
    pub(crate) fn privilege(harts: &dyn Harts, hart: usize) -> Privilege {
        let supervisor = harts.csr(hart, csr::SSTATUS) & sstatus::SPP != 0;
        if supervisor { Privilege::S } else { Privilege::U }
    }
}

impl Default for Vcpu {
    fn default() -> Self {
        Self::new()
    }
}
