//! System reset [SBI: "System Reset Extension"].

use super::{Answer, Call, Done, SbiError};
use crate::firmware::{End, Outcome};

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    const SHUTDOWN: u32 = 0;
    const COLD_REBOOT: u32 = 1;
    const WARM_REBOOT: u32 = 2;
    const NO_REASON: u32 = 0;
    const SYSTEM_FAILURE: u32 = 1;

    if call.function != 0 {
        return Err(SbiError::NotSupported);
    }
    let end = match (call.args[0] as u32, call.args[1] as u32) {
        (SHUTDOWN, NO_REASON) => End::Shutdown,
        (SHUTDOWN, SYSTEM_FAILURE) => End::Failure,
        (COLD_REBOOT | WARM_REBOOT, NO_REASON | SYSTEM_FAILURE) => End::Reboot,
        _ => return Err(SbiError::InvalidParam),
    };
    Ok(Done::then(Outcome::End(end)))
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use super::*;

    #[test]
    fn each_type_and_reason_has_its_end() {
        let mut bench = Bench::new(1);
        let mut reset = |kind, reason| bench.call_on(0, id(b"SRST"), 0, &[kind, reason]);
        assert_eq!(reset(0, 0).2, Outcome::End(End::Shutdown));
        assert_eq!(reset(0, 1).2, Outcome::End(End::Failure));
        assert_eq!(reset(1, 0).2, Outcome::End(End::Reboot));
        assert_eq!(reset(2, 1).2, Outcome::End(End::Reboot));
        for (kind, reason) in [(3, 0), (0xf000_0000, 0), (0, 2), (0, 0xe000_0000)] {
            assert_eq!(reset(kind, reason).0, -3);
        }
    }
}
