//! IPI: supervisor software interrupts for other harts [SBI: "IPI Extension"].

use super::pmu::FirmwareEvent;
use super::{Answer, Call, Done, SbiError};
use isa::Interrupt;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    if call.function != 0 {
        return Err(SbiError::NotSupported);
    }
    let targets = call.harts(call.args[0], call.args[1])?;
    for hart in targets.iter().filter(|&hart| call.is_interruptible(hart)).collect::<Vec<_>>() {
        call.count(call.hart, FirmwareEvent::IpiSent);
        call.count(hart, FirmwareEvent::IpiReceived);
        call.port.set_pending(hart, Interrupt::SupervisorSoftware, true);
    }
    Ok(Done::OK)
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use crate::firmware::Port;
    use isa::csr;

    #[test]
    fn the_named_harts_get_the_interrupt() {
        let mut bench = Bench::new(3);
        assert_eq!(bench.call(id(b"sPI"), 0, &[0b10, 1]), (0, 0));
        let pending: Vec<u64> = (0..3).map(|hart| bench.port.csr(hart, csr::MIP)).collect();
        assert_eq!(pending, [0, 0, 2]);
        assert_eq!(bench.call(id(b"sPI"), 0, &[0b1000, 0]).0, -3);
    }

    #[test]
    fn a_stopped_hart_gets_none() {
        let mut bench = Bench::new(2);
        bench.call_on(1, id(b"HSM"), 1, &[]);
        assert_eq!(bench.call(id(b"sPI"), 0, &[0, u64::MAX]), (0, 0));
        assert_eq!((bench.port.csr(0, csr::MIP), bench.port.csr(1, csr::MIP)), (2, 0));
    }
}
