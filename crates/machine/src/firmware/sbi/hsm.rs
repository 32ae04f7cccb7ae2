//! Hart state management [SBI: "Hart State Management Extension"]. Changes of state take no time
//! here, so the pending states are never seen.

use super::{Answer, Call, Done, SbiError};
use crate::firmware::{Outcome, PerHart, setup};
use isa::Pa;
use serde::{Deserialize, Serialize};

/// What a hart does, from the supervisor's point of view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(in crate::firmware) enum State {
    Started,
    #[default]
    Stopped,
    /// It waits for an interrupt, and then goes on where it was, or somewhere else.
    Suspended {
        resume: Option<Resume>,
    },
}

/// Where a hart goes on after a suspension that kept no registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::firmware) struct Resume {
    pub(in crate::firmware) pc: u64,
    pub(in crate::firmware) opaque: u64,
}

impl State {
    /// The number of the state in the specification.
    fn number(self) -> u64 {
        match self {
            Self::Started => 0,
            Self::Stopped => 1,
            Self::Suspended { .. } => 4,
        }
    }
}

const RETENTIVE: u32 = 0;
const NON_RETENTIVE: u32 = 0x8000_0000;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    match call.function {
        0 => start(call),
        1 => {
            *call.state_mut(call.hart) = State::Stopped;
            Ok(Done::then(Outcome::Stop))
        }
        2 => call.existing(call.args[0]).map(|hart| Done::value(call.state(hart).number())),
        3 => suspend(call),
        _ => Err(SbiError::NotSupported),
    }
}

fn start(call: &mut Call<'_>) -> Answer {
    let [id, pc, opaque, ..] = call.args;
    let hart = call.existing(id)?;
    if !call.is_executable(pc) {
        return Err(SbiError::InvalidAddress);
    }
    if call.state(hart) != State::Stopped {
        return Err(SbiError::AlreadyAvailable);
    }
    // What was set or counted in the hart's earlier life is gone, as after a reset.
    call.firmware.harts[hart] = PerHart { state: State::Started, ..PerHart::default() };
    setup::power_on(call.port, hart);
    setup::enter_supervisor(call.port, hart, Pa(pc), opaque);
    call.port.start(hart);
    Ok(Done::OK)
}

fn suspend(call: &mut Call<'_>) -> Answer {
    let [kind, pc, opaque, ..] = call.args;
    let resume = match kind as u32 {
        RETENTIVE => None,
        NON_RETENTIVE if !call.is_executable(pc) => return Err(SbiError::InvalidAddress),
        NON_RETENTIVE => Some(Resume { pc, opaque }),
        _ => return Err(SbiError::InvalidParam),
    };
    *call.state_mut(call.hart) = State::Suspended { resume };
    Ok(Done::then(Outcome::Wait))
}

impl Call<'_> {
    /// The hart with a number, if there is one.
    fn existing(&self, id: u64) -> Result<usize, SbiError> {
        let hart = usize::try_from(id).ok().filter(|&hart| hart < self.firmware.harts.len());
        hart.ok_or(SbiError::InvalidParam)
    }

    fn state(&self, hart: usize) -> State {
        self.firmware.harts[hart].state
    }

    fn state_mut(&mut self, hart: usize) -> &mut State {
        &mut self.firmware.harts[hart].state
    }

    /// Whether a hart hears interrupts and fences of others.
    pub(super) fn is_interruptible(&self, hart: usize) -> bool {
        self.firmware.harts.get(hart).is_some_and(|of_hart| of_hart.state != State::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{id, tests::Bench};
    use super::*;
    use crate::firmware::Port;
    use crate::firmware::fake::RAM_BASE;
    use isa::csr;

    const HSM: u64 = id(b"HSM");

    #[test]
    fn a_hart_stops_and_starts_again_elsewhere() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.call(HSM, 2, &[1]), (0, 0));
        assert_eq!(bench.call_on(1, HSM, 1, &[]).2, Outcome::Stop);
        assert_eq!(bench.call(HSM, 2, &[1]), (0, 1));
        bench.port.started.clear();
        assert_eq!(bench.call(HSM, 0, &[1, RAM_BASE + 0x100, 99]), (0, 0));
        assert_eq!(bench.port.started, [1]);
        assert_eq!(bench.port.csr(1, csr::MEPC), RAM_BASE + 0x100);
        assert_eq!((bench.port.x(1, 10), bench.port.x(1, 11)), (1, 99));
        assert_eq!(bench.call(HSM, 2, &[1]), (0, 0));
    }

    #[test]
    fn a_start_that_cannot_be_says_why() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.call(HSM, 0, &[1, RAM_BASE, 0]).0, -6);
        bench.call_on(1, HSM, 1, &[]);
        assert_eq!(bench.call(HSM, 0, &[2, RAM_BASE, 0]).0, -3);
        assert_eq!(bench.call(HSM, 0, &[u64::MAX, RAM_BASE, 0]).0, -3);
        assert_eq!(bench.call(HSM, 0, &[1, 0x1000, 0]).0, -5);
        assert_eq!(bench.call(HSM, 0, &[1, RAM_BASE + 1, 0]).0, -5);
        assert_eq!(bench.call(HSM, 2, &[7]).0, -3);
    }

    #[test]
    fn a_retentive_suspension_returns_as_a_call_does() {
        let mut bench = Bench::new(2);
        bench.port.set_csr(1, csr::MEPC, RAM_BASE + 8);
        assert_eq!(bench.call_on(1, HSM, 3, &[0, 0, 0]), (0, 0, Outcome::Wait));
        assert_eq!(bench.call(HSM, 2, &[1]), (0, 4));
        bench.firmware.woken(&mut bench.port, 1);
        assert_eq!(bench.call(HSM, 2, &[1]), (0, 0));
        assert_eq!(bench.port.csr(1, csr::MEPC), RAM_BASE + 12);
    }

    #[test]
    fn a_non_retentive_suspension_goes_on_at_its_address() {
        let mut bench = Bench::new(1);
        bench.port.set_csr(0, csr::SATP, 8 << 60);
        let args = [0x8000_0000, RAM_BASE + 0x40, 5];
        assert_eq!(bench.call_on(0, HSM, 3, &args).2, Outcome::Wait);
        assert_eq!(bench.port.csr(0, csr::SATP), 8 << 60);
        bench.firmware.woken(&mut bench.port, 0);
        assert_eq!(bench.port.csr(0, csr::MEPC), RAM_BASE + 0x40);
        assert_eq!(bench.port.csr(0, csr::SATP), 0);
        assert_eq!((bench.port.x(0, 10), bench.port.x(0, 11)), (0, 5));
    }

    #[test]
    fn reserved_and_platform_specific_suspensions_are_refused() {
        let mut bench = Bench::new(1);
        for kind in [1, 0x1000_0000, 0x8000_0001, 0x9000_0000] {
            assert_eq!(bench.call(HSM, 3, &[kind, RAM_BASE, 0]).0, -3, "{kind:#x}");
        }
        assert_eq!(bench.call(HSM, 3, &[0x8000_0000, 0, 0]).0, -5);
        assert_eq!(bench.call(HSM, 4, &[]).0, -2);
    }
}
