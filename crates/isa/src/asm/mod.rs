//! A small assembler for tests: a line of text to an instruction, a text with labels to a program.
//!
//! It reads what the disassembler prints, from the same tables. It relaxes and compresses nothing:
//! what is written is what comes out.

mod operands;
mod program;

pub use program::{Assembled, Program, ProgramError};

use operands::Reader;
use thiserror::Error;

use crate::insn::pattern::{Operands, Slot};
use crate::insn::syntax::{Operand, operands};
use crate::insn::{ALIASES, COMPRESSED, INSTRUCTIONS, Row, compressed_row};

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AsmError {
    /// No row has this mnemonic.
    #[error("unknown instruction '{name}'{}", crate::nearest::hint(*nearest))]
    Mnemonic {
        /// The mnemonic.
        name: String,
        /// The most similar known one.
        nearest: Option<&'static str>,
    },
    /// The wrong number of operands.
    #[error("'{name}' takes operands '{expected}'")]
    Count {
        /// The mnemonic.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// An operand that is not what is expected there.
    #[error("'{found}' is not {expected}")]
    Operand {
        /// The operand.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// An operand that cannot be encoded: too large, misaligned, or a reserved value.
    #[error("'{0}' cannot be encoded: an operand is out of range, misaligned or reserved")]
    Range(String),
    /// A label that is not defined.
    #[error("label '{0}' is not defined")]
    Label(String),
}

/// Assembles one instruction at address 0 without labels. A 16-bit instruction (`c.…`) comes in the
/// low half.
pub fn assemble(line: &str) -> Result<u32, AsmError> {
    assemble_at(line, 0, &|_| None)
}

/// Assembles one instruction at `pc`; `label` gives labels' addresses.
pub(crate) fn assemble_at(
    line: &str,
    pc: u64,
    label: &dyn Fn(&str) -> Option<u64>,
) -> Result<u32, AsmError> {
    let line = line.trim();
    let (mnemonic, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let words: Vec<&str> = match rest.trim() {
        "" => Vec::new(),
        rest => rest.split(',').map(str::trim).collect(),
    };
    // A name may have several forms; the complaint about one with the right number of operands is
    // best.
    let mut complaint = None;
    for row in rows() {
        let Some(start) = start(row, mnemonic) else { continue };
        match encode(row, start, &words, &mut Reader { pc, label }) {
            Ok(bits) => return Ok(bits),
            Err(AsmError::Count { .. }) if complaint.is_some() => {}
            Err(error) => complaint = Some(error),
        }
    }
    Err(complaint.unwrap_or_else(|| AsmError::Mnemonic {
        name: mnemonic.into(),
        nearest: crate::nearest(mnemonic, rows().map(|row| row.name)),
    }))
}

fn rows() -> impl Iterator<Item = &'static Row> {
    ALIASES.iter().chain(INSTRUCTIONS).chain(COMPRESSED)
}

/// The operands that `mnemonic` itself gives if it names `row`: ordering bits, the number of a mop,
/// and what is understood where nothing is written.
fn start(row: &Row, mnemonic: &str) -> Option<Operands> {
    let mut start = row.fixed;
    if let Some(stem) = row.name.strip_suffix("{n}") {
        start.imm = mnemonic.strip_prefix(stem)?.parse().ok()?;
        return Some(start);
    }
    let suffix = mnemonic.strip_prefix(row.name)?;
    (start.aq, start.rl) = match suffix {
        "" => (false, false),
        ".aq" => (true, false),
        ".rl" => (false, true),
        ".aqrl" => (true, true),
        _ => return None,
    };
    start.rm = operands(row.operands)
        .find_map(|operand| if let Operand::Rounding(rm) = operand { Some(rm) } else { None })
        .unwrap_or_default();
    (suffix.is_empty() || row.pattern.has(Slot::Aq)).then_some(start)
}

fn encode(
    row: &'static Row,
    start: Operands,
    words: &[&str],
    reader: &mut Reader,
) -> Result<u32, AsmError> {
    let mut values = start;
    let mut left = words;
    for operand in operands(row.operands) {
        match left.split_first() {
            Some((word, rest)) => {
                reader.read(operand, word, &mut values)?;
                left = rest;
            }
            None if operand.is_optional() => {}
            None => return Err(AsmError::Count { name: row.name, expected: row.operands }),
        }
    }
    if !left.is_empty() {
        return Err(AsmError::Count { name: row.name, expected: row.operands });
    }
    if row.pattern.has(Slot::RdRs1) {
        values.rs1 = values.rd;
    }
    if row.pattern.has(Slot::Rs2IsRs1) {
        values.rs2 = values.rs1;
    }
    // What does not read back as written does not fit.
    let bits = row.pattern.insert(&values);
    let fits = row.pattern.extract(bits).is_some_and(|read| row.with_fixed(read) == values);
    let is_itself = row.pattern.width == 32
        || compressed_row(bits).is_some_and(|found| std::ptr::eq(found.name, row.name));
    if fits && is_itself {
        Ok(bits)
    } else {
        Err(AsmError::Range(format!("{} {}", row.name, words.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insn::disasm::RowText;
    use crate::{Decoder, ExtSet};
    use proptest::prelude::*;

    #[test]
    fn lines_assemble_to_the_manuals_encodings() {
        for (line, bits) in [
            ("addi a0, a1, -3", 0xffd5_8513),
            ("addi x10,x11,0xffffffffffffffff", 0xfff5_8513),
            ("beq a0, a1, .-4", 0xfeb5_0ee3),
            ("lui a0, 0x12345", 0x1234_5537),
            ("csrrw zero, satp, a0", 0x1805_1073),
            ("csrr a0, 0x180", 0x1800_2573),
            ("fence rw, w", 0x0310_000f),
            ("fence", 0x0ff0_000f),
            ("lr.w.aqrl a0, (a0)", 0x1605_252f),
            ("sc.d a0, a1, (a2)", 0x18b6_352f),
            ("hfence.gvma", 0x6200_0073),
            ("hlv.d a0, (a1)", 0x6c05_c573),
            ("fadd.d fa1, fa0, fa1", 0x02b5_75d3),
            ("fcvt.w.s a0, fa0, rtz", 0xc005_1553),
            ("mop.r.1 zero, zero", 0x81d0_4073),
            ("c.addi sp, -16", 0x1141),
            ("c.nop", 0x0001),
            ("ret", 0x0000_8067),
        ] {
            assert_eq!(assemble(line), Ok(bits), "{line}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let text = |line| assemble(line).unwrap_err().to_string();
        assert_eq!(text("adi a0, a1, 1"), "unknown instruction 'adi'; did you mean 'addi'?");
        assert_eq!(text("addi a0, a1"), "'addi' takes operands 'rd, rs1, imm'");
        assert_eq!(text("addi a0, b1, 1"), "'b1' is not an integer register");
        assert_eq!(text("csrr a0, sapt"), "'sapt' is not a CSR");
        assert!(matches!(assemble("addi a0, a1, 2048"), Err(AsmError::Range(_))));
        assert!(matches!(assemble("beq a0, a1, .+3"), Err(AsmError::Range(_))));
        assert!(matches!(assemble("c.lui sp, 5"), Err(AsmError::Range(_))), "that is c.addi16sp");
        assert!(matches!(assemble("c.mv a0, zero"), Err(AsmError::Range(_))), "that is c.jr");
        assert!(matches!(assemble("c.addi16sp sp, 0"), Err(AsmError::Range(_))));
        assert!(matches!(assemble("j nowhere"), Err(AsmError::Label(_))));
        assert!(matches!(assemble(""), Err(AsmError::Mnemonic { .. })));
    }

    /// Random operands for every row of every table.
    fn each_row(seed: u32, mut check: impl FnMut(&'static Row, u32)) {
        let mut state = seed | 1;
        for row in rows() {
            for _ in 0..8 {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let all = if row.pattern.width == 16 { 0xffff } else { u32::MAX };
                check(
                    row,
                    row.pattern.value | state & all & !row.pattern.mask & !row.pattern.ignored,
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn assembling_the_text_of_a_row_gives_it_back(seed: u32) {
            let mut result = Ok(());
            each_row(seed, |row, bits| {
                let Some(operands) = row.pattern.extract(bits) else { return };
                let is_another = |bits| compressed_row(bits).is_none_or(|it| it.name != row.name);
                if row.pattern.width == 16 && is_another(bits) {
                    return;
                }
                let operands = row.with_fixed(operands);
                let text = RowText { row, operands, pc: None }.to_string();
                let again = assemble(&text);
                if again != Ok(bits) && result.is_ok() {
                    let message = format!("{text}: {bits:#x} became {again:x?}");
                    result = Err(TestCaseError::fail(message));
                }
            });
            result?;
        }

        #[test]
        fn assembling_what_is_disassembled_gives_it_back(seed: u32) {
            let decoder = Decoder::new(&ExtSet::default_set());
            let mut result = Ok(());
            each_row(seed, |_, bits| {
                let Some(insn) = decoder.decode(bits) else { return };
                let readable = insn.to_string();
                let exact = format!("{insn:#}");
                // c.mv reads as mv, which is another instruction when assembled.
                let readable_is_same = insn.len == 2 || assemble(&readable) == Ok(bits);
                if (assemble(&exact) != Ok(bits) || !readable_is_same) && result.is_ok() {
                    result = Err(TestCaseError::fail(format!("{bits:#x}: {readable} or {exact}")));
                }
            });
            result?;
        }

        #[test]
        fn no_line_panics(line in "\\PC{0,30}", mnemonic in 0..INSTRUCTIONS.len()) {
            let _ = assemble(&line);
            let _ = assemble(&format!("{} {line}", INSTRUCTIONS[mnemonic].name));
        }
    }
}
