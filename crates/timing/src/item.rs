//! Instructions as a pipeline sees them, prepared once: what each asks for, and how it lies in fetch packets.

use crate::issue::late_sources;
use crate::memo;
use crate::params::{Core, Multiplier};
use crate::work::{Unit, Work};
use isa::Insn;

/// An instruction, ready to be told to the model. What it holds depends on the core and on the low bits of its address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Item {
    pub(crate) work: Work,
    pub(crate) len: u8,
    pub(crate) imm: i32,
    /// It does not begin where a packet does: it is in the packet before, unless a jump came here.
    pub(crate) enters: bool,
    /// Where in it a packet begins, in bytes.
    pub(crate) begins: Option<u8>,
    /// Which operands decide how long it takes.
    pub(crate) operands: Operands,
    /// The pipes that take it, and which of its sources can come late, where several instructions issue a cycle.
    pub(crate) pipes: u8,
    pub(crate) late: u8,
    /// What follows is fetched anew.
    pub(crate) refetches: bool,
    /// All of that in short.
    pub(crate) print: u64,
}

/// What is done with integer operands on whose values the time depends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arithmetic(pub(crate) Unit);

/// The operands on whose values the time of an instruction depends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operands {
    /// None.
    None,
    /// `rs1` and `rs2` among the integer registers.
    Integer,
    /// `rs1` and `rs2` among the floating-point registers.
    Float,
}

impl Item {
    /// Prepares an instruction at an address with these low bits.
    pub(crate) fn new(core: &Core, insn: &Insn, address: u64) -> Self {
        let work = Work::of(insn);
        let bytes = core.fetch.bytes;
        let within = address & (bytes - 1);
        let begins = match within {
            0 => Some(0),
            _ if within + u64::from(insn.len) > bytes => Some((bytes - within) as u8),
            _ => None,
        };
        let operands = match work.unit {
            Unit::Mul { .. } | Unit::MulHigh => match core.integer.multiplier {
                Multiplier::Pipelined { .. } => Operands::None,
                Multiplier::Iterative { .. } => Operands::Integer,
            },
            Unit::Div { .. } => Operands::Integer,
            Unit::FpDivide { .. } | Unit::FpRoot { .. }
                if core.float.bitwise || core.float.divider.is_some() =>
            {
                Operands::Float
            }
            _ => Operands::None,
        };
        let refetches = match work.unit {
            Unit::CsrWrite(csr) => core.system.flushing.has(csr),
            Unit::Fence => core.system.fence_access == 0,
            Unit::FenceI | Unit::FenceTranslation | Unit::TrapReturn => true,
            Unit::Amo | Unit::LoadReserved | Unit::StoreConditional => {
                core.atomic.in_memory || core.store.is_some()
            }
            _ => false,
        };
        let mut item = Self {
            work,
            len: insn.len,
            imm: insn.imm,
            enters: within != 0,
            begins,
            operands,
            pipes: core.issue.as_ref().map_or(0, |issue| issue.pipes_of(work.unit)),
            late: core.issue.as_ref().map_or(0, |_| late_sources(&work)),
            refetches,
            print: 0,
        };
        item.print = memo::mixed(&item);
        item
    }

    /// Whether the model wants to know its address or operands: it is a touch of its block then.
    pub fn touches(&self) -> bool {
        let accesses = matches!(self.work.unit, Unit::Load | Unit::LoadNarrow | Unit::Store);
        accesses || self.operands != Operands::None
    }

    /// Whether the time it takes by itself is looked up: it moves the program counter nowhere, and nothing that it waits for is counted.
    pub(crate) fn is_looked_up(&self) -> bool {
        let counted = matches!(
            self.work.unit,
            Unit::Fence | Unit::FenceI | Unit::FenceTranslation | Unit::TrapReturn | Unit::Wait
        );
        self.work.flow.is_none() && !counted
    }

    /// What it does with its operands.
    pub fn arithmetic(&self) -> Arithmetic {
        Arithmetic(self.work.unit)
    }

    /// Which operands the model wants to know.
    pub fn operands(&self) -> Operands {
        self.operands
    }
}
