//! How operands are written. A row's `operands` is a list of the words in [`Operand::parse`];
//! printing and reading an instruction both follow it.

/// One operand in assembly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    /// An integer register.
    X(Register),
    /// A floating-point register.
    F(Register),
    /// A signed number.
    Imm,
    /// Bits 31–12 of the immediate, as a number of 20 bits.
    Upper,
    /// A shift amount.
    Shamt,
    /// A CSR by name or number.
    Csr,
    /// The number in the rs1 field.
    Uimm,
    /// An address relative to this instruction.
    Target,
    /// `imm(rs1)`.
    Memory,
    /// `imm(sp)`.
    Stack,
    /// `(rs1)`.
    Address,
    /// A rounding mode, left out if it is this one.
    Rounding(u8),
    /// What a fence orders before itself.
    Predecessors,
    /// What a fence orders after itself.
    Successors,
    /// The mode of a fence, left out if it is 0.
    FenceMode,
    /// A constant of `fli`.
    Constant,
    /// A fixed word.
    Word(&'static str),
}

/// A register field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Register {
    Rd,
    Rs1,
    Rs2,
    Rs3,
}

impl Operand {
    /// Whether it may be left out.
    pub(crate) const fn is_optional(self) -> bool {
        matches!(self, Self::Rounding(_) | Self::FenceMode)
    }

    /// The operand that a table's word stands for.
    fn parse(word: &'static str) -> Option<Self> {
        use Register::*;
        Some(match word {
            "rd" => Self::X(Rd),
            "rs1" => Self::X(Rs1),
            "rs2" => Self::X(Rs2),
            "frd" => Self::F(Rd),
            "frs1" => Self::F(Rs1),
            "frs2" => Self::F(Rs2),
            "frs3" => Self::F(Rs3),
            "imm" => Self::Imm,
            "imm20" => Self::Upper,
            "shamt" => Self::Shamt,
            "csr" => Self::Csr,
            "uimm" => Self::Uimm,
            "target" => Self::Target,
            "imm(rs1)" => Self::Memory,
            "imm('sp)" => Self::Stack,
            "(rs1)" => Self::Address,
            "rm" => Self::Rounding(7),
            "rm=rne" => Self::Rounding(0),
            "pred" => Self::Predecessors,
            "succ" => Self::Successors,
            "fm" => Self::FenceMode,
            "fli" => Self::Constant,
            _ => Self::Word(word.strip_prefix('\'')?),
        })
    }
}

/// The operands of a row's `operands`, in order.
pub(crate) fn operands(text: &'static str) -> impl Iterator<Item = Operand> {
    text.split(", ").filter_map(Operand::parse)
}

/// ABI names of the integer registers.
pub const X_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// ABI names of the floating-point registers.
pub const F_NAMES: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// Rounding modes by number; 5 and 6 are reserved.
pub(crate) const ROUNDING: [&str; 8] = ["rne", "rtz", "rdn", "rup", "rmm", "?", "?", "dyn"];

/// The constants of `fli` by number [unpriv: Zfa].
pub(crate) const CONSTANTS: [&str; 32] = [
    "-1.0",
    "min",
    "0.0000152587890625",
    "0.000030517578125",
    "0.00390625",
    "0.0078125",
    "0.0625",
    "0.125",
    "0.25",
    "0.3125",
    "0.375",
    "0.4375",
    "0.5",
    "0.625",
    "0.75",
    "0.875",
    "1.0",
    "1.25",
    "1.5",
    "1.75",
    "2.0",
    "2.5",
    "3.0",
    "4.0",
    "8.0",
    "16.0",
    "128.0",
    "256.0",
    "32768.0",
    "65536.0",
    "inf",
    "nan",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insn::{ALIASES, COMPRESSED, INSTRUCTIONS};

    #[test]
    fn every_word_of_the_tables_is_an_operand() {
        for row in INSTRUCTIONS.iter().chain(COMPRESSED).chain(ALIASES) {
            let words = row.operands.split(", ").filter(|word| !word.is_empty()).count();
            assert_eq!(operands(row.operands).count(), words, "{}: {}", row.name, row.operands);
        }
    }
}
