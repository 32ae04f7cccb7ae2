//! The built-in firmware: a Supervisor Execution Environment after the RISC-V SBI specification 3.0,
//! in Rust instead of in M-mode.
//!
//! It takes the traps that reach M-mode and acts through a [`Port`]. It never runs an instruction,
//! occupies no memory of the guest, and knows neither devices nor the engine of a hart. What M-mode
//! software would have set up before S-mode starts stands in `setup`, traps that are not its own
//! in `redirect`, the calls in `sbi`, one file an extension.

mod port;
mod redirect;
mod sbi;
mod setup;

#[cfg(test)]
mod fake;

pub use port::Port;

use isa::{Cause, Exception, Interrupt, Pa, csr};
use sbi::hsm::State;
use sbi::pmu::Counters;
use serde::{Deserialize, Serialize};

/// What the hart that trapped does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It leaves M-mode by MRET.
    Return,
    /// It waits as WFI in M-mode would, until an interrupt is pending in `mip` and `mie`. Then
    /// [`Firmware::woken`] is called, and it leaves M-mode by MRET.
    Wait,
    /// It stops until [`Port::start`].
    Stop,
    /// The machine ends.
    End(End),
}

/// How supervisor software ended the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum End {
    /// Power off.
    Shutdown,
    /// Power off, because the system has failed.
    Failure,
    /// Start again from power-on.
    Reboot,
}

/// The firmware. Everything it remembers is here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Firmware {
    harts: Vec<PerHart>,
}

/// What it remembers of a hart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct PerHart {
    state: State,
    counters: Counters,
    /// `PTE_AD_HW_UPDATING` may not be changed any more.
    ad_updating_locked: bool,
    pointer_masking_locked: bool,
    /// `MISALIGNED_EXC_DELEG` may not be.
    misaligned_locked: bool,
}

impl Firmware {
    /// Firmware for a machine of so many harts, none of them started.
    pub fn new(harts: usize) -> Self {
        Self { harts: vec![PerHart::default(); harts] }
    }

    /// Sets up all harts after power-on and starts hart 0 in S-mode at `pc`, with its number in `a0` and
    /// the address of the device tree in `a1`.
    pub fn boot(&mut self, port: &mut dyn Port, pc: Pa, tree: Pa) {
        for hart in 0..self.harts.len() {
            setup::power_on(port, hart);
        }
        if let Some(first) = self.harts.first_mut() {
            first.state = State::Started;
            setup::enter_supervisor(port, 0, pc, tree.0);
            port.start(0);
        }
    }

    /// Sets up all harts after power-on for a hypervisor outside: they are in S-mode and wait.
    pub fn boot_hypervised(&mut self, port: &mut dyn Port) {
        for (hart, of_hart) in self.harts.iter_mut().enumerate() {
            setup::power_on(port, hart);
            setup::enter_supervisor(port, hart, Pa(0), 0);
            of_hart.state = State::Started;
        }
    }

    /// A hart has taken a trap to M-mode.
    pub fn trap(&mut self, port: &mut dyn Port, hart: usize) -> Outcome {
        if hart >= self.harts.len() {
            return Outcome::Stop;
        }
        let cause = port.csr(hart, csr::MCAUSE);
        let call = Cause::Exception(Exception::EcallS).bits();
        let timer = Cause::Interrupt(Interrupt::MachineTimer).bits();
        if cause == call {
            sbi::call(self, port, hart)
        } else if cause == timer {
            sbi::time::machine_timer(port, hart);
            Outcome::Return
        } else if cause >> 63 != 0 {
            // Nothing else was enabled; if it comes all the same, once is enough.
            let enabled = port.csr(hart, csr::MIE);
            port.set_csr(hart, csr::MIE, enabled & !(1 << (cause & 63)));
            tracing::warn!(hart, cause = cause & 63, "interrupt that the firmware did not enable");
            Outcome::Return
        } else {
            redirect::exception(port, hart)
        }
    }

    /// The hart's [`Outcome::Wait`] is over.
    pub fn woken(&mut self, port: &mut dyn Port, hart: usize) {
        let Some(of_hart) = self.harts.get_mut(hart) else { return };
        if let State::Suspended { resume } = std::mem::replace(&mut of_hart.state, State::Started)
            && let Some(resume) = resume
        {
            setup::enter_supervisor(port, hart, Pa(resume.pc), resume.opaque);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::{Fake, RAM_BASE};
    use super::*;
    use isa::field::{mip, mstatus};

    #[test]
    fn boot_starts_hart_0_and_no_other() {
        let mut port = Fake::new(2);
        let mut firmware = Firmware::new(2);
        firmware.boot(&mut port, Pa(0x8020_0000), Pa(0x8fe0_0000));
        assert_eq!(port.started, [0]);
        assert_eq!(port.csr(0, csr::MEPC), 0x8020_0000);
        assert_eq!((port.x(0, 10), port.x(0, 11)), (0, 0x8fe0_0000));
        assert_eq!(port.csr(0, csr::SATP), 0);
        let mpp = isa::field::get(port.csr(0, csr::MSTATUS), mstatus::MPP);
        assert_eq!(mpp, 1);
    }

    #[test]
    fn an_interrupt_that_was_not_enabled_comes_once() {
        let mut port = Fake::new(1);
        let mut firmware = Firmware::new(1);
        firmware.boot(&mut port, Pa(RAM_BASE), Pa(0));
        port.set_csr(0, csr::MIE, mip::MSIP | mip::SEIP);
        port.set_csr(0, csr::MCAUSE, 1 << 63 | 3);
        assert_eq!(firmware.trap(&mut port, 0), Outcome::Return);
        assert_eq!(port.csr(0, csr::MIE), mip::SEIP);
    }
}
