//! Instructions: a table of the 32-bit ones, of the 16-bit ones and of pseudo-instructions; the
//! decoder and the disassembler made from them.

mod alias;
mod compressed;
mod decode;
pub(crate) mod disasm;
pub mod pattern;
pub(crate) mod syntax;
mod table;

pub use alias::ALIASES;
pub use compressed::COMPRESSED;
pub(crate) use decode::compressed_row;
pub use decode::{Decoder, Insn, expand};
use pattern::{Operands, Pattern};
pub use syntax::{F_NAMES, X_NAMES};
pub use table::{INSTRUCTIONS, Op};

use crate::ext::ExtSet;

/// What the tables say about one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it does.
    pub op: Op,
    /// Its mnemonic; `{n}` stands for the immediate.
    pub name: &'static str,
    /// Its encoding as written in the table.
    pub encoding: &'static str,
    /// Its encoding.
    pub pattern: Pattern,
    /// Its operands in assembly.
    pub operands: &'static str,
    /// The sets of extensions each of which suffices for it.
    pub needs: &'static [ExtSet],
    /// What its operation's operands are where the encoding has no place for them.
    pub(crate) fixed: Operands,
}

/// No operand is fixed to anything but 0.
const NO_OPERANDS: Operands =
    Operands { rd: 0, rs1: 0, rs2: 0, rs3: 0, rm: 0, imm: 0, aq: false, rl: false };

impl Row {
    /// Whether a hart with these extensions has it.
    pub fn is_in(&self, exts: &ExtSet) -> bool {
        self.needs.iter().any(|&set| exts.contains_all(set))
    }

    /// The operands of the operation, given those in the encoding.
    #[inline]
    pub(crate) fn with_fixed(&self, operands: Operands) -> Operands {
        let fixed = &self.fixed;
        Operands {
            rd: operands.rd | fixed.rd,
            rs1: operands.rs1 | fixed.rs1,
            imm: operands.imm | fixed.imm,
            ..operands
        }
    }
}

impl Op {
    /// How many operations there are; `op as usize` is below this.
    pub const COUNT: usize = INSTRUCTIONS.len();

    /// Its row.
    #[inline]
    pub fn row(self) -> &'static Row {
        &INSTRUCTIONS[self as usize]
    }

    /// Its mnemonic; `{n}` stands for the immediate.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// All operations, in table order.
    pub fn all() -> impl Iterator<Item = Self> {
        INSTRUCTIONS.iter().map(|row| row.op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_indexes_its_row() {
        for (index, row) in INSTRUCTIONS.iter().enumerate() {
            assert_eq!(row.op as usize, index);
            assert_eq!(row.pattern.width, 32);
            assert_eq!(row.pattern.value & 3, 3, "{}", row.name);
        }
        for row in COMPRESSED {
            assert_eq!(row.pattern.width, 16);
            assert_ne!(row.pattern.value & 3, 3, "{}", row.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = INSTRUCTIONS.iter().chain(COMPRESSED).map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn rows_that_overlap_are_a_case_and_a_special_case() {
        for table in [INSTRUCTIONS, COMPRESSED] {
            for (i, a) in table.iter().enumerate() {
                for b in &table[i + 1..] {
                    let (a, b, names) = (&a.pattern, &b.pattern, (a.name, b.name));
                    if (a.value ^ b.value) & a.mask & b.mask != 0 {
                        continue;
                    }
                    let special = a.mask != b.mask
                        && (a.mask & b.mask == a.mask || a.mask & b.mask == b.mask);
                    assert!(special, "{names:?} overlap");
                }
            }
        }
    }

    #[test]
    fn the_only_special_cases_among_words_are_pause_and_zext_h() {
        let mut special = Vec::new();
        for a in INSTRUCTIONS {
            for b in INSTRUCTIONS {
                let overlap =
                    (a.pattern.value ^ b.pattern.value) & a.pattern.mask & b.pattern.mask == 0;
                if overlap && a.pattern.mask.count_ones() > b.pattern.mask.count_ones() {
                    special.push((a.name, b.name));
                }
            }
        }
        assert_eq!(special, [("pause", "fence"), ("zext.h", "packw")]);
    }
}
