//! Traps: as plain data, their entry into M, HS or VS, and the way back [priv: machine 3.1.6–3.3;
//! hypervisor, "Trap Entry", "Trap Return"].

use isa::field::{hstatus, mstatus};
use isa::{Cause, Exception, Interrupt, Mode, Op, Privilege};

use crate::core::Core;
use crate::csr::environment::{has_guest_sdt, has_sdt};
use crate::witness::Notice;

/// An exception with everything its handler is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trap {
    /// The exception.
    pub exception: Exception,
    /// What `mtval`, `stval` or `vstval` receives.
    pub tval: u64,
    /// What `mtval2` or `htval` receives: a guest physical address, shifted right by two.
    pub tval2: u64,
    /// What `mtinst` or `htinst` receives.
    pub tinst: u64,
    /// Whether `tval` holds a guest virtual address.
    pub gva: bool,
}

impl Trap {
    /// An exception that reports nothing but `tval`.
    pub const fn new(exception: Exception, tval: u64) -> Self {
        Self { exception, tval, tval2: 0, tinst: 0, gva: false }
    }
}

/// The level that handles a trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// M-mode.
    M,
    /// HS-mode.
    Hs,
    /// VS-mode.
    Vs,
}

impl Core {
    /// Who handles an exception raised in `mode`: `medeleg`, then `hedeleg` if V was 1.
    pub(crate) fn exception_target(&self, mode: Mode, exception: Exception) -> Target {
        let delegated = |register: u64| register & exception.bit() != 0;
        if mode == Mode::M || !delegated(self.csrs.medeleg) {
            Target::M
        } else if mode.v() && delegated(self.csrs.hedeleg) {
            Target::Vs
        } else {
            Target::Hs
        }
    }

    /// Takes an exception at `pc`; says who handles it.
    pub(crate) fn take_exception(&mut self, trap: Trap) -> Target {
        let target = self.exception_target(self.mode, trap.exception);
        self.enter(target, Cause::Exception(trap.exception), trap)
    }

    /// Takes an interrupt at `pc`; says who handles it in the end.
    pub(crate) fn take_interrupt(&mut self, interrupt: Interrupt, target: Target) -> Target {
        let nothing = Trap::new(Exception::InstructionMisaligned, 0);
        self.enter(target, Cause::Interrupt(interrupt), nothing)
    }

    /// A trap that finds SDT set by an earlier one is a double trap, which M-mode takes [supervisor,
    /// "Double Trap Control in sstatus Register"].
    fn doubled(&self, target: Target, cause: Cause, trap: Trap) -> (Target, Cause, Trap) {
        let status = match target {
            Target::M => 0,
            Target::Hs => self.csrs.mstatus,
            Target::Vs => self.csrs.vsstatus,
        };
        if status & mstatus::SDT == 0 {
            return (target, cause, trap);
        }
        let exception = Exception::DoubleTrap;
        let trap = Trap { exception, tval2: cause.bits(), ..trap };
        (Target::M, Cause::Exception(exception), trap)
    }

    fn enter(&mut self, target: Target, cause: Cause, trap: Trap) -> Target {
        let (target, cause, trap) = &self.doubled(target, cause, trap);
        let (target, cause) = (*target, *cause);
        if target == Target::M && self.csrs.mstatus & mstatus::MDT != 0 {
            self.critical = Some(cause);
            return target;
        }
        match cause {
            Cause::Exception(_) => self.counters.events.exceptions += 1,
            Cause::Interrupt(_) => self.counters.events.interrupts += 1,
        }
        let events = &mut self.counters.events;
        events.exits += u64::from(self.mode.v() && target != Target::Vs);
        events.guest_page_faults += u64::from(is_guest_page_fault(cause));
        let (sdt, guest_sdt) = (has_sdt(self), has_guest_sdt(self));
        let scene = self.seen_at(self.pc);
        let why = self.why.take();
        let from = self.mode;
        let to_s = u64::from(from.privilege() == Privilege::S);
        let c = &mut self.csrs;
        match target {
            Target::M => {
                c.mepc = self.pc;
                c.mcause = cause.bits();
                c.mtval = trap.tval;
                c.mtval2 = trap.tval2;
                c.mtinst = trap.tinst;
                let mie = (c.mstatus & mstatus::MIE != 0) as u64;
                let mut status = c.mstatus
                    & !(mstatus::MIE | mstatus::MPIE | mstatus::MPP | mstatus::MPV | mstatus::GVA);
                status |= mie << mstatus::MPIE.trailing_zeros();
                status |= (from.privilege() as u64) << mstatus::MPP_SHIFT;
                if from.v() {
                    status |= mstatus::MPV;
                }
                if trap.gva {
                    status |= mstatus::GVA;
                }
                if self.has.smdbltrp {
                    status |= mstatus::MDT;
                }
                c.mstatus = status;
                self.pc = vector(c.mtvec, cause);
                self.mode = Mode::M;
            }
            Target::Hs => {
                c.sepc = self.pc;
                c.scause = cause.bits();
                c.stval = trap.tval;
                c.htval = trap.tval2;
                c.htinst = trap.tinst;
                if self.has.h {
                    let mut status = c.hstatus & !(hstatus::SPV | hstatus::GVA);
                    if from.v() {
                        // SPVP is left alone by a trap from V=0.
                        status = status & !hstatus::SPVP
                            | hstatus::SPV
                            | to_s << hstatus::SPVP.trailing_zeros();
                    }
                    if trap.gva {
                        status |= hstatus::GVA;
                    }
                    c.hstatus = status;
                }
                c.mstatus = stack_supervisor(c.mstatus, to_s);
                if sdt {
                    c.mstatus |= mstatus::SDT;
                }
                self.pc = vector(c.stvec, cause);
                self.mode = Mode::S;
            }
            Target::Vs => {
                let bits = match cause {
                    Cause::Interrupt(interrupt) => 1 << 63 | code_in_vs(interrupt),
                    Cause::Exception(_) => cause.bits(),
                };
                c.vsepc = self.pc;
                c.vscause = bits;
                c.vstval = trap.tval;
                c.vsstatus = stack_supervisor(c.vsstatus, to_s);
                if guest_sdt {
                    c.vsstatus |= mstatus::SDT;
                }
                self.pc = vector_bits(c.vstvec, bits);
                self.mode = Mode::VS;
            }
        }
        self.waiting = false;
        self.mode_changed(false);
        if let Some(scene) = scene {
            self.tell_trap(&scene, target, cause, trap, why);
        }
        target
    }

    /// MRET, as an instruction or on behalf of firmware outside the guest.
    #[inline(never)]
    pub(crate) fn mret(&mut self, by: Option<Op>) {
        let scene = self.seen_at(self.at());
        let status = self.csrs.mstatus;
        let privilege = self.mpp();
        let v = self.has.h && privilege != Privilege::M && status & mstatus::MPV != 0;
        let mpie = (status & mstatus::MPIE != 0) as u64;
        let mut next = status & !(mstatus::MIE | mstatus::MPP | mstatus::MPV);
        next |= mstatus::MPIE | mpie << mstatus::MIE.trailing_zeros() | self.least_mpp();
        if privilege != Privilege::M {
            next &= !mstatus::MPRV;
        }
        next &= !mstatus::MDT;
        let mode = Mode::new(privilege, v);
        // A mode below HS cannot be inside a handler of HS, nor VU inside one of VS.
        if matches!(mode, Mode::U | Mode::VS | Mode::VU) {
            next &= !mstatus::SDT;
        }
        if mode == Mode::VU {
            self.csrs.vsstatus &= !mstatus::SDT;
        }
        self.csrs.mstatus = next;
        self.pc = self.csrs.mepc & if self.has.c { !1 } else { !3 };
        self.mode = mode;
        self.mode_changed(by.is_some());
        if let Some(scene) = scene {
            self.tell(&scene, Notice::Return { to: self.mode, by });
        }
    }

    /// SRET from M, HS (by `hstatus.SPV`) or VS, as an instruction or on behalf of a hypervisor outside.
    #[inline(never)]
    pub(crate) fn sret(&mut self, by: Option<Op>) {
        let scene = self.seen_at(self.at());
        let align = if self.has.c { !1 } else { !3 };
        if self.mode.v() {
            let (status, privilege) = unstack_supervisor(self.csrs.vsstatus);
            self.csrs.vsstatus = status;
            self.pc = self.csrs.vsepc & align;
            self.mode = Mode::new(privilege, true);
        } else {
            let (status, privilege) = unstack_supervisor(self.csrs.mstatus);
            // Leaving for a mode below M clears MPRV, and ends a handler of M-mode that executes SRET.
            let ended = if self.mode == Mode::M { mstatus::MDT } else { 0 };
            self.csrs.mstatus = status & !(mstatus::MPRV | ended);
            let v = self.has.h && self.csrs.hstatus & hstatus::SPV != 0;
            self.csrs.hstatus &= !hstatus::SPV;
            self.pc = self.csrs.sepc & align;
            self.mode = Mode::new(privilege, v);
            if self.mode == Mode::VU {
                self.csrs.vsstatus &= !mstatus::SDT;
            }
        }
        self.mode_changed(by.is_some());
        if let Some(scene) = scene {
            self.tell(&scene, Notice::Return { to: self.mode, by });
        }
    }
}

fn is_guest_page_fault(cause: Cause) -> bool {
    use Exception::*;
    let Cause::Exception(exception) = cause else { return false };
    matches!(exception, InstructionGuestPage | LoadGuestPage | StoreGuestPage)
}

/// The code under which VS-mode knows an interrupt: VS-level ones are the supervisor's to it
/// [hypervisor, `hideleg`].
pub(crate) fn code_in_vs(interrupt: Interrupt) -> u64 {
    use Interrupt::*;
    match interrupt {
        VsSoftware => SupervisorSoftware.code(),
        VsTimer => SupervisorTimer.code(),
        VsExternal => SupervisorExternal.code(),
        other => other.code(),
    }
}

/// SPIE=SIE, SIE=0, SPP=the previous privilege.
fn stack_supervisor(status: u64, spp: u64) -> u64 {
    let sie = (status & mstatus::SIE != 0) as u64;
    status & !(mstatus::SIE | mstatus::SPIE | mstatus::SPP)
        | sie << mstatus::SPIE.trailing_zeros()
        | spp << mstatus::SPP.trailing_zeros()
}

/// SIE=SPIE, SPIE=1, SPP=U, SDT=0; and the privilege SPP named.
fn unstack_supervisor(status: u64) -> (u64, Privilege) {
    let spie = (status & mstatus::SPIE != 0) as u64;
    let privilege = if status & mstatus::SPP != 0 { Privilege::S } else { Privilege::U };
    let next = status & !(mstatus::SIE | mstatus::SPP | mstatus::SDT)
        | mstatus::SPIE
        | spie << mstatus::SIE.trailing_zeros();
    (next, privilege)
}

fn vector(tvec: u64, cause: Cause) -> u64 {
    vector_bits(tvec, cause.bits())
}

/// BASE, plus four bytes a cause for interrupts where the vector says so.
fn vector_bits(tvec: u64, cause: u64) -> u64 {
    let base = tvec & !3;
    if tvec & 1 != 0 && cause >> 63 != 0 { base.wrapping_add(4 * (cause & 0x3f)) } else { base }
}
