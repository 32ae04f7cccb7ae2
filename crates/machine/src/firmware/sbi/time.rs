//! Time: one timer a hart [SBI: "Timer Extension"]. With Sstc it is `stimecmp`; without, `mtimecmp`,
//! whose interrupt is passed on as the supervisor's.

use super::pmu::FirmwareEvent;
use super::{Answer, Call, Done, SbiError};
use crate::firmware::Port;
use isa::field::mip;
use isa::{Ext, Interrupt, csr};

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    match call.function {
        0 => {
            set_timer(call);
            Ok(Done::OK)
        }
        _ => Err(SbiError::NotSupported),
    }
}

/// Sets the calling hart's timer to the first argument, which clears the pending interrupt.
pub(super) fn set_timer(call: &mut Call<'_>) {
    let (hart, ticks) = (call.hart, call.args[0]);
    call.count(hart, FirmwareEvent::SetTimer);
    if call.port.exts().contains(Ext::Sstc) {
        call.port.set_csr(hart, csr::STIMECMP, ticks);
        return;
    }
    call.port.set_timer(hart, ticks);
    call.port.set_pending(hart, Interrupt::SupervisorTimer, false);
    let enabled = call.port.csr(hart, csr::MIE);
    call.port.set_csr(hart, csr::MIE, enabled | mip::MTIP);
}

/// The machine timer of a hart has rung: from now on it is the supervisor's interrupt.
pub(in crate::firmware) fn machine_timer(port: &mut dyn Port, hart: usize) {
    let enabled = port.csr(hart, csr::MIE);
    port.set_csr(hart, csr::MIE, enabled & !mip::MTIP);
    port.set_pending(hart, Interrupt::SupervisorTimer, true);
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use super::*;
    use crate::firmware::Outcome;
    use crate::firmware::fake::Fake;
    use isa::ExtSet;

    #[test]
    fn with_sstc_the_timer_is_stimecmp() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.call_on(1, id(b"TIME"), 0, &[12345]).0, 0);
        assert_eq!(bench.port.csr(1, csr::STIMECMP), 12345);
        assert_eq!(bench.port.csr(0, csr::STIMECMP), u64::MAX);
        assert_eq!(bench.port.csr(1, csr::MIE) & mip::MTIP, 0);
    }

    #[test]
    fn without_sstc_the_machine_timer_is_passed_on_once() {
        let exts = ExtSet::parse("rv64,sstc=off").unwrap();
        let mut bench = Bench::with_port(Fake::with_exts(1, exts));
        bench.port.set_pending(0, Interrupt::SupervisorTimer, true);
        assert_eq!(bench.call(id(b"TIME"), 0, &[777]), (0, 0));
        assert_eq!(bench.port.timers[0], 777);
        assert_eq!(bench.port.csr(0, csr::MIP), 0);
        assert_eq!(bench.port.csr(0, csr::MIE), mip::MTIP);

        bench.port.set_csr(0, csr::MCAUSE, 1 << 63 | 7);
        assert_eq!(bench.firmware.trap(&mut bench.port, 0), Outcome::Return);
        assert_eq!(bench.port.csr(0, csr::MIP), mip::STIP);
        assert_eq!(bench.port.csr(0, csr::MIE), 0);
    }
}
