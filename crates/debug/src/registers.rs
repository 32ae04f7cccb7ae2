//! The registers of a hart by GDB's numbers: `x`, `pc`, `f`, all CSRs, and two that stand for the mode.

use cpu::Hart;
use isa::{Mode, Privilege, csr};

/// GDB's numbers [gdb, riscv-tdep.h].
pub(crate) const PC: usize = 32;
pub(crate) const F0: usize = 33;
pub(crate) const CSR0: usize = 65;
pub(crate) const PRIV: usize = CSR0 + 4096;
/// Ours: V.
pub(crate) const VIRT: usize = PRIV + 1;

/// A register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Register {
    X(usize),
    Pc,
    F(usize),
    Csr(u16),
    /// The nominal privilege, encoded as in `mstatus.MPP`.
    Priv,
    /// V.
    Virt,
}

impl Register {
    /// The register with GDB's number `number`.
    pub(crate) fn from_number(number: usize) -> Option<Self> {
        Some(match number {
            0..PC => Self::X(number),
            PC => Self::Pc,
            F0..CSR0 => Self::F(number - F0),
            CSR0..PRIV => Self::Csr(u16::try_from(number - CSR0).ok()?),
            PRIV => Self::Priv,
            VIRT => Self::Virt,
            _ => return None,
        })
    }

    /// What it holds; `None` where the hart does not have it.
    pub(crate) fn read(self, hart: &Hart) -> Option<u64> {
        Some(match self {
            Self::X(index) => hart.x(index),
            Self::Pc => hart.pc(),
            Self::F(index) => hart.csr(csr::FCSR).map(|_| hart.f(index))?,
            Self::Csr(number) => hart.csr(number)?,
            Self::Priv => hart.mode().privilege() as u64,
            Self::Virt => u64::from(hart.mode().v()),
        })
    }

    /// Sets it as far as it can hold `value`; `None` where the hart does not have it or no mode is
    /// encoded so.
    pub(crate) fn write(self, hart: &mut Hart, value: u64) -> Option<()> {
        match self {
            Self::X(index) => hart.set_x(index, value),
            Self::Pc => hart.set_pc(value & !1),
            Self::F(index) => {
                hart.csr(csr::FCSR)?;
                hart.set_f(index, value);
            }
            Self::Csr(number) => hart.set_csr(number, value)?,
            Self::Priv => {
                let privilege = Privilege::from_bits(value).filter(|_| value < 4)?;
                hart.set_mode(Mode::new(privilege, hart.mode().v()));
            }
            Self::Virt => {
                hart.csr(csr::HGATP).filter(|_| value < 2)?;
                hart.set_mode(Mode::new(hart.mode().privilege(), value == 1));
            }
        }
        hart.forget_caught();
        Some(())
    }
}
