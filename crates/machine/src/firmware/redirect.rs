//! Exceptions that reached M-mode and are not for the firmware: handed to HS-mode or VS-mode as if
//! they had been delegated [priv: machine, "medeleg"; hypervisor, "Traps"].

use super::{Outcome, Port};
use isa::field::{get, hstatus, mstatus, set, sstatus, tvec};
use isa::{Ext, Privilege, csr};

/// Hands over the exception in `mcause`.
pub(super) fn exception(port: &mut dyn Port, hart: usize) -> Outcome {
    let status = port.csr(hart, csr::MSTATUS);
    let Some(from @ (Privilege::U | Privilege::S)) =
        Privilege::from_bits(get(status, mstatus::MPP))
    else {
        // The firmware runs no instructions in M-mode, so nothing there can be saved.
        tracing::error!(hart, cause = port.csr(hart, csr::MCAUSE), "exception in M-mode");
        return Outcome::Stop;
    };
    let has_h = port.exts().contains(Ext::H);
    let from_guest = has_h && status & mstatus::MPV != 0;
    let cause = port.csr(hart, csr::MCAUSE);
    let to_guest = from_guest && cause < 64 && port.csr(hart, csr::HEDELEG) >> cause & 1 != 0;
    let from_s = u64::from(from == Privilege::S);
    let status = if to_guest {
        let guest = taken(port.csr(hart, csr::VSSTATUS), from_s);
        port.set_csr(hart, csr::VSSTATUS, guest);
        copy(port, hart, csr::MTVAL, csr::VSTVAL);
        copy(port, hart, csr::MEPC, csr::VSEPC);
        copy(port, hart, csr::MCAUSE, csr::VSCAUSE);
        vector(port, hart, csr::VSTVEC);
        status
    } else {
        if has_h {
            let mut hyp = port.csr(hart, csr::HSTATUS);
            if from_guest {
                hyp = set(hyp, hstatus::SPVP, from_s);
            }
            hyp = set(hyp, hstatus::SPV, u64::from(from_guest));
            hyp = set(hyp, hstatus::GVA, get(status, mstatus::GVA));
            port.set_csr(hart, csr::HSTATUS, hyp);
            copy(port, hart, csr::MTVAL2, csr::HTVAL);
            copy(port, hart, csr::MTINST, csr::HTINST);
        }
        copy(port, hart, csr::MTVAL, csr::STVAL);
        copy(port, hart, csr::MEPC, csr::SEPC);
        copy(port, hart, csr::MCAUSE, csr::SCAUSE);
        vector(port, hart, csr::STVEC);
        set(taken(status, from_s), mstatus::MPV, 0)
    };
    port.set_csr(hart, csr::MSTATUS, set(status, mstatus::MPP, Privilege::S as u64));
    Outcome::Return
}

/// A status register after a trap: SPP and SPIE keep what was, SIE is off.
fn taken(status: u64, from_s: u64) -> u64 {
    let status = set(status, sstatus::SPIE, get(status, sstatus::SIE));
    set(set(status, sstatus::SPP, from_s), sstatus::SIE, 0)
}

fn copy(port: &mut dyn Port, hart: usize, from: u16, to: u16) {
    let value = port.csr(hart, from);
    port.set_csr(hart, to, value);
}

/// Exceptions go to the base in both modes of a vector.
fn vector(port: &mut dyn Port, hart: usize, number: u16) {
    let base = port.csr(hart, number) & !tvec::MODE;
    port.set_csr(hart, csr::MEPC, base);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware::fake::Fake;
    use isa::Exception;

    fn trapped(from: Privilege, guest: bool, delegated: bool) -> Fake {
        let mut port = Fake::new(1);
        let cause = Exception::LoadPage;
        let status = mstatus::SIE | if guest { mstatus::MPV | mstatus::GVA } else { 0 };
        for (number, value) in [
            (csr::MSTATUS, set(status, mstatus::MPP, from as u64)),
            (csr::VSSTATUS, mstatus::SIE),
            (csr::MCAUSE, cause.code()),
            (csr::MEPC, 0x1000),
            (csr::MTVAL, 0x2000),
            (csr::MTVAL2, 0x3000),
            (csr::MTINST, 0x4000),
            (csr::STVEC, 0x5001),
            (csr::VSTVEC, 0x6000),
            (csr::HEDELEG, if delegated { cause.bit() } else { 0 }),
        ] {
            port.set_csr(0, number, value);
        }
        assert_eq!(exception(&mut port, 0), Outcome::Return);
        port
    }

    fn values(port: &Fake, numbers: &[u16]) -> Vec<u64> {
        numbers.iter().map(|&number| port.csr(0, number)).collect()
    }

    #[test]
    fn a_trap_from_user_mode_goes_to_the_supervisor() {
        let port = trapped(Privilege::U, false, true);
        let seen = values(&port, &[csr::SCAUSE, csr::SEPC, csr::STVAL, csr::MEPC, csr::HSTATUS]);
        assert_eq!(seen, [13, 0x1000, 0x2000, 0x5000, 0]);
        // SPIE=1, SPP=0, SIE=0, MPP=S.
        assert_eq!(port.csr(0, csr::MSTATUS), mstatus::SPIE | 1 << mstatus::MPP_SHIFT);
    }

    #[test]
    fn a_trap_of_a_guest_that_is_not_delegated_goes_to_the_hypervisor() {
        let port = trapped(Privilege::S, true, false);
        let seen = values(&port, &[csr::SCAUSE, csr::HTVAL, csr::HTINST, csr::MEPC, csr::VSCAUSE]);
        assert_eq!(seen, [13, 0x3000, 0x4000, 0x5000, 0]);
        let all = hstatus::SPV | hstatus::SPVP | hstatus::GVA;
        assert_eq!(port.csr(0, csr::HSTATUS), all);
        let status = port.csr(0, csr::MSTATUS);
        assert_eq!(status & (mstatus::MPV | mstatus::SIE | mstatus::SPP), mstatus::SPP);
    }

    #[test]
    fn a_trap_of_a_guest_that_is_delegated_stays_in_the_guest() {
        let port = trapped(Privilege::U, true, true);
        let seen = values(&port, &[csr::VSCAUSE, csr::VSEPC, csr::VSTVAL, csr::MEPC, csr::SCAUSE]);
        assert_eq!(seen, [13, 0x1000, 0x2000, 0x6000, 0]);
        assert_eq!(port.csr(0, csr::VSSTATUS), mstatus::SPIE);
        let status = port.csr(0, csr::MSTATUS);
        assert_eq!(status & (mstatus::MPV | mstatus::SIE), mstatus::MPV | mstatus::SIE);
        assert_eq!(get(status, mstatus::MPP), 1);
    }
}
