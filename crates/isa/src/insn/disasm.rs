//! Instructions as text, in the manner of `objdump`: ABI names, pseudo-instructions where they fit,
//! a 16-bit instruction as what it stands for.

use std::fmt;

use super::pattern::Operands;
use super::syntax::{CONSTANTS, F_NAMES, Operand, ROUNDING, Register, X_NAMES, operands};
use super::{ALIASES, Insn, Op, Row, compressed_row};
use crate::csr;

impl Insn {
    /// The text with targets as addresses, for an instruction at `pc`. With `{:#}` it is exactly
    /// what is there: no pseudo-instruction, and the name of the 16-bit instruction.
    pub fn display_at(&self, pc: u64) -> impl fmt::Display + use<> {
        InsnText { insn: *self, pc: Some(pc) }
    }
}

impl fmt::Display for Insn {
    /// The text with targets relative to the instruction, as in `j .+16`. With `{:#}` it is exactly
    /// what is there: no pseudo-instruction, and the name of the 16-bit instruction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        InsnText { insn: *self, pc: None }.fmt(f)
    }
}

/// An instruction, perhaps with its address.
struct InsnText {
    insn: Insn,
    pc: Option<u64>,
}

impl fmt::Display for InsnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if f.alternate() { self.exact() } else { self.readable() };
        // `pad` honours the width of `{:<32}` in traces.
        match text {
            Some(text) => f.pad(&text.to_string()),
            // Not from a decoder: someone made up the fields.
            None => write!(f, ".word {:#010x}", self.insn.bits),
        }
    }
}

impl InsnText {
    fn exact(&self) -> Option<RowText> {
        let row = match self.insn.len {
            2 => compressed_row(self.insn.bits)?,
            _ => self.insn.op.row(),
        };
        self.fit(row, self.insn.bits)
    }

    fn readable(&self) -> Option<RowText> {
        let Insn { op, rd, rs1, rs2, len, .. } = self.insn;
        if len == 2 && op == Op::Add && rs1 == 0 {
            // c.mv: the same as `addi rd, rs2, 0`, which is the 32-bit mv.
            let mv = Insn { op: Op::Addi, rd, rs1: rs2, rs2: 0, ..self.insn };
            return Self { insn: mv, pc: self.pc }.readable();
        }
        let bits = self.insn.expanded();
        let mut rows = ALIASES.iter().filter(|row| row.op == op).chain([op.row()]);
        rows.find_map(|row| self.fit(row, bits))
    }

    fn fit(&self, row: &'static Row, bits: u32) -> Option<RowText> {
        let operands = row.pattern.matches(bits).then(|| row.pattern.extract(bits))??;
        Some(RowText { row, operands: row.with_fixed(operands), pc: self.pc })
    }
}

/// A row with operands.
pub(crate) struct RowText {
    pub(crate) row: &'static Row,
    pub(crate) operands: Operands,
    pub(crate) pc: Option<u64>,
}

impl fmt::Display for RowText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row.name.strip_suffix("{n}") {
            Some(stem) => write!(f, "{stem}{}", self.operands.imm)?,
            None => f.write_str(self.row.name)?,
        }
        f.write_str(match (self.operands.aq, self.operands.rl) {
            (false, false) => "",
            (true, false) => ".aq",
            (false, true) => ".rl",
            (true, true) => ".aqrl",
        })?;
        let mut separator = " ";
        for operand in operands(self.row.operands) {
            let understood = match operand {
                Operand::Rounding(rm) => rm == self.operands.rm,
                Operand::FenceMode => self.operands.imm >> 8 == 0,
                _ => false,
            };
            if understood {
                continue;
            }
            f.write_str(separator)?;
            separator = ", ";
            self.operand(operand, f)?;
        }
        Ok(())
    }
}

impl RowText {
    fn register(&self, register: Register) -> usize {
        let number = match register {
            Register::Rd => self.operands.rd,
            Register::Rs1 => self.operands.rs1,
            Register::Rs2 => self.operands.rs2,
            Register::Rs3 => self.operands.rs3,
        };
        usize::from(number & 31)
    }

    fn operand(&self, operand: Operand, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imm = self.operands.imm;
        let rs1 = self.register(Register::Rs1);
        match operand {
            Operand::X(register) => f.write_str(X_NAMES[self.register(register)]),
            Operand::F(register) => f.write_str(F_NAMES[self.register(register)]),
            Operand::Imm => write!(f, "{imm}"),
            Operand::Upper => write!(f, "{:#x}", imm as u32 >> 12),
            Operand::Shamt => write!(f, "{imm:#x}"),
            Operand::Csr => match csr::by_number(imm as u16) {
                Some(row) => f.write_str(row.name),
                None => write!(f, "{imm:#x}"),
            },
            Operand::Uimm => write!(f, "{rs1}"),
            Operand::Target => match self.pc {
                Some(pc) => write!(f, "{:#x}", pc.wrapping_add_signed(i64::from(imm))),
                None => write!(f, ".{imm:+}"),
            },
            Operand::Memory => write!(f, "{imm}({})", X_NAMES[rs1]),
            Operand::Stack => write!(f, "{imm}(sp)"),
            Operand::Address => write!(f, "({})", X_NAMES[rs1]),
            Operand::Rounding(_) => f.write_str(ROUNDING[usize::from(self.operands.rm & 7)]),
            Operand::Predecessors => fence_set(imm >> 4, f),
            Operand::Successors => fence_set(imm, f),
            Operand::FenceMode => write!(f, "{}", imm >> 8),
            Operand::Constant => f.write_str(CONSTANTS[rs1]),
            Operand::Word(word) => f.write_str(word),
        }
    }
}

/// A set of `i`, `o`, `r` and `w`.
fn fence_set(bits: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if bits & 0xf == 0 {
        return f.write_str("0");
    }
    [(8, "i"), (4, "o"), (2, "r"), (1, "w")]
        .iter()
        .filter(|&&(bit, _)| bits & bit != 0)
        .try_for_each(|&(_, letter)| f.write_str(letter))
}

#[cfg(test)]
mod tests {
    use crate::{Decoder, ExtSet};

    fn text(bits: u32) -> String {
        Decoder::new(&ExtSet::default_set()).decode(bits).unwrap().to_string()
    }

    #[test]
    fn instructions_read_as_people_write_them() {
        assert_eq!(text(0xffd5_8513), "addi a0, a1, -3");
        assert_eq!(text(0x1141), "addi sp, sp, -16");
        assert_eq!(text(0x8082), "ret");
        assert_eq!(text(0x852e), "mv a0, a1");
        assert_eq!(text(0x1234_5537), "lui a0, 0x12345");
        assert_eq!(text(0x1800_10f3), "csrrw ra, satp, zero");
        assert_eq!(text(0x1800_2573), "csrr a0, satp");
        assert_eq!(text(0x7c05_9073), "csrw 0x7c0, a1");
        assert_eq!(text(0x0ff0_000f), "fence");
        assert_eq!(text(0x0310_000f), "fence rw, w");
        assert_eq!(text(0x8330_000f), "fence.tso");
        assert_eq!(text(0x02b5_75d3), "fadd.d fa1, fa0, fa1");
        assert_eq!(text(0x02b5_15d3), "fadd.d fa1, fa0, fa1, rtz");
        assert_eq!(text(0x1605_252f), "lr.w.aqrl a0, (a0)");
        assert_eq!(text(0x6c05_c573), "hlv.d a0, (a1)");
        assert_eq!(text(0x0215_e013), "prefetch.r 32(a1)");
    }

    #[test]
    fn the_alternate_form_names_what_is_there() {
        let exact =
            |bits| format!("{:#}", Decoder::new(&ExtSet::default_set()).decode(bits).unwrap());
        assert_eq!(exact(0x8082), "c.jr ra");
        assert_eq!(exact(0x852e), "c.mv a0, a1");
        assert_eq!(exact(0x6095), "c.lui ra, 0x5");
        assert_eq!(exact(0x6281), "c.mop.5");
        assert_eq!(exact(0x0000_8067), "jalr zero, 0(ra)");
        assert_eq!(exact(0x1800_2573), "csrrs a0, satp, zero");
    }

    #[test]
    fn targets_are_relative_without_a_pc_and_absolute_with_one() {
        let insn = Decoder::new(&ExtSet::default_set()).decode(0xfeb5_0ee3).unwrap();
        assert_eq!(insn.to_string(), "beq a0, a1, .-4");
        assert_eq!(insn.display_at(0x8000_0004).to_string(), "beq a0, a1, 0x80000000");
    }
}
