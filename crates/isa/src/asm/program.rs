//! Programs: lines with labels, a few directives, and the pseudo-instructions that need more than
//! one instruction.
//!
//! | line | meaning |
//! | --- | --- |
//! | `name:` | a label; an instruction may follow |
//! | `li rd, number` | any 64-bit number, in one to eight instructions |
//! | `la rd, label` | the address of a label: `auipc`, `addi` |
//! | `call label`, `tail label` | `auipc` with `jalr` through ra, or through t1 without return |
//! | `.byte` `.half` `.word` `.dword` | numbers or, in `.dword`, labels |
//! | `.zero bytes`, `.align log2` | zero bytes |
//!
//! `#` begins a comment, `;` separates lines.

use std::collections::BTreeMap;

use thiserror::Error;

use super::operands::{number, x_register};
use super::{AsmError, assemble_at};
use crate::insn::X_NAMES;

/// The largest program, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Lines on their way to a program.
#[derive(Clone, Debug)]
pub struct Program {
    base: u64,
    lines: Vec<String>,
}

/// An assembled program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assembled {
    /// The address of the first byte.
    pub base: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The labels' addresses.
    pub labels: BTreeMap<String, u64>,
}

/// What is wrong with a program.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProgramError {
    /// A line that cannot be assembled.
    #[error("line {line}, '{text}': {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        error: AsmError,
    },
    /// A label defined twice.
    #[error("line {line}: label '{label}' is defined twice")]
    Twice {
        /// The number of the second line, from 1.
        line: usize,
        /// The label.
        label: String,
    },
    /// A program of more than 16 MiB.
    #[error("line {line}: the program exceeds 16 MiB")]
    TooLarge {
        /// The line's number, from 1.
        line: usize,
    },
}

/// What a line puts into the program.
enum Piece {
    /// Instructions without labels.
    Words(Vec<u32>),
    /// One instruction of this many bytes.
    Insn(String, u64),
    /// `auipc` with what makes it reach the label.
    Far { rd: u8, label: String, kind: Far },
    /// Data: numbers or labels, each in so many bytes.
    Data(Vec<String>, u64),
    /// Zeros.
    Zero(u64),
}

/// How an address relative to the pc is used.
#[derive(Clone, Copy)]
enum Far {
    Address,
    Call,
    Tail,
}

impl Piece {
    fn bytes(&self) -> u64 {
        match self {
            Self::Words(words) => 4 * words.len() as u64,
            Self::Insn(_, bytes) | Self::Zero(bytes) => *bytes,
            Self::Far { .. } => 8,
            Self::Data(words, size) => size * words.len() as u64,
        }
    }
}

impl Program {
    /// An empty program that will stand at `base`.
    pub const fn new(base: u64) -> Self {
        Self { base, lines: Vec::new() }
    }

    /// Adds lines.
    pub fn push(&mut self, source: &str) -> &mut Self {
        self.lines.extend(source.lines().map(str::to_owned));
        self
    }

    /// Assembles `source` at `base`.
    pub fn assemble(base: u64, source: &str) -> Result<Assembled, ProgramError> {
        Self::new(base).push(source).finish()
    }

    /// Assembles the lines.
    pub fn finish(&self) -> Result<Assembled, ProgramError> {
        let (pieces, labels) = self.place()?;
        let mut bytes = Vec::new();
        for (line, piece) in pieces {
            let pc = self.base.wrapping_add(bytes.len() as u64);
            piece.emit(pc, &labels, &mut bytes).map_err(|error| self.at(line, error))?;
        }
        Ok(Assembled { base: self.base, bytes, labels })
    }

    /// Every piece with the index of its line, and every label's address.
    #[expect(clippy::type_complexity, reason = "one caller takes it apart at once")]
    fn place(&self) -> Result<(Vec<(usize, Piece)>, BTreeMap<String, u64>), ProgramError> {
        let (mut pieces, mut labels, mut offset) = (Vec::new(), BTreeMap::new(), 0u64);
        for (line, text) in self.lines.iter().enumerate() {
            let text = text.split('#').next().unwrap_or_default();
            for statement in text.split(';') {
                let mut statement = statement.trim();
                while let Some((label, rest)) =
                    statement.split_once(':').filter(|(label, _)| is_label(label))
                {
                    let address = self.base.wrapping_add(offset);
                    if labels.insert(label.to_owned(), address).is_some() {
                        return Err(ProgramError::Twice { line: line + 1, label: label.into() });
                    }
                    statement = rest.trim();
                }
                if statement.is_empty() {
                    continue;
                }
                let pc = self.base.wrapping_add(offset);
                let piece = Piece::parse(statement, pc).map_err(|error| self.at(line, error))?;
                offset = offset.saturating_add(piece.bytes());
                if offset > MAX_BYTES {
                    return Err(ProgramError::TooLarge { line: line + 1 });
                }
                pieces.push((line, piece));
            }
        }
        Ok((pieces, labels))
    }

    fn at(&self, line: usize, error: AsmError) -> ProgramError {
        ProgramError::Line { line: line + 1, text: self.lines[line].trim().into(), error }
    }
}

impl Piece {
    fn parse(statement: &str, pc: u64) -> Result<Self, AsmError> {
        let (name, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
        let words: Vec<&str> =
            rest.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let data = |size| Self::Data(words.iter().map(|&word| word.to_owned()).collect(), size);
        let register = |word: &str| {
            let expected = "an integer register";
            x_register(word).ok_or_else(|| AsmError::Operand { found: word.into(), expected })
        };
        Ok(match (name, &words[..]) {
            ("li", [rd, value]) => {
                let expected = "a number";
                let value = number(value)
                    .ok_or_else(|| AsmError::Operand { found: (*value).into(), expected })?;
                Self::Words(load_immediate(register(rd)?, value)?)
            }
            ("la", [rd, label]) => {
                Self::Far { rd: register(rd)?, label: (*label).into(), kind: Far::Address }
            }
            ("call", [label]) => Self::Far { rd: 1, label: (*label).into(), kind: Far::Call },
            ("tail", [label]) => Self::Far { rd: 6, label: (*label).into(), kind: Far::Tail },
            ("la", _) => return Err(AsmError::Count { name: "la", expected: "rd, label" }),
            ("call", _) => return Err(AsmError::Count { name: "call", expected: "label" }),
            ("tail", _) => return Err(AsmError::Count { name: "tail", expected: "label" }),
            (".byte", _) => data(1),
            (".half", _) => data(2),
            (".word", _) => data(4),
            (".dword", _) => data(8),
            (".zero", [bytes]) => Self::Zero(count(bytes, MAX_BYTES)?),
            (".align", [log2]) => {
                let unit = 1 << count(log2, 20)?;
                Self::Zero(pc.wrapping_neg() & (unit - 1))
            }
            _ => Self::Insn(statement.into(), if name.starts_with("c.") { 2 } else { 4 }),
        })
    }

    fn emit(
        &self,
        pc: u64,
        labels: &BTreeMap<String, u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), AsmError> {
        let find = |label: &str| labels.get(label).copied();
        match self {
            Self::Words(words) => words.iter().for_each(|word| out.extend(word.to_le_bytes())),
            Self::Insn(statement, bytes) => {
                let bits = assemble_at(statement, pc, &find)?;
                out.extend_from_slice(&bits.to_le_bytes()[..*bytes as usize]);
            }
            Self::Far { rd, label, kind } => {
                let target = find(label).ok_or_else(|| AsmError::Label(label.clone()))?;
                let offset = target.wrapping_sub(pc) as i64;
                let (upper, lower) = split(offset).ok_or_else(|| AsmError::Range(label.clone()))?;
                let rd = X_NAMES[usize::from(*rd)];
                let second = match kind {
                    Far::Address => format!("addi {rd}, {rd}, {lower}"),
                    Far::Call => format!("jalr {rd}, {lower}({rd})"),
                    Far::Tail => format!("jalr zero, {lower}({rd})"),
                };
                for line in [format!("auipc {rd}, {upper}"), second] {
                    out.extend(assemble_at(&line, pc, &find)?.to_le_bytes());
                }
            }
            Self::Data(words, size) => {
                for word in words {
                    let address =
                        || find(word).filter(|_| *size == 8).map(|address| address as i64);
                    let value = number(word).or_else(address).ok_or_else(|| AsmError::Operand {
                        found: word.clone(),
                        expected: "a number",
                    })?;
                    out.extend_from_slice(&value.to_le_bytes()[..*size as usize]);
                }
            }
            Self::Zero(bytes) => out.resize(out.len() + *bytes as usize, 0),
        }
        Ok(())
    }
}

fn is_label(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '.')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

fn count(word: &str, limit: u64) -> Result<u64, AsmError> {
    let value = number(word).and_then(|value| u64::try_from(value).ok());
    value.filter(|&value| value <= limit).ok_or_else(|| AsmError::Range(word.into()))
}

/// A 32-bit number as 20 upper bits and a signed lower part of 12, for `lui` or `auipc` and an
/// addition.
fn split(value: i64) -> Option<(i64, i64)> {
    let lower = value << 52 >> 52;
    let upper = value.wrapping_sub(lower) >> 12;
    (-(1 << 19)..1 << 19).contains(&upper).then_some((upper & 0xf_ffff, lower))
}

/// The instructions that load any number: the lower 12 bits last, the rest by shifting.
fn load_immediate(rd: u8, value: i64) -> Result<Vec<u32>, AsmError> {
    let rd = X_NAMES[usize::from(rd)];
    let mut lines = Vec::new();
    load(rd, value, &mut lines);
    lines.iter().map(|line| super::assemble(line)).collect()
}

fn load(rd: &str, value: i64, lines: &mut Vec<String>) {
    if (-2048..2048).contains(&value) {
        lines.push(format!("addi {rd}, zero, {value}"));
        return;
    }
    if let (Ok(_), Some((upper, lower))) = (i32::try_from(value), split(value)) {
        lines.push(format!("lui {rd}, {upper}"));
        if lower != 0 {
            lines.push(format!("addiw {rd}, {rd}, {lower}"));
        }
        return;
    }
    let lower = value << 52 >> 52;
    let rest = value.wrapping_sub(lower);
    // At least 12 zeros, so that each step makes the rest shorter.
    let shift = rest.trailing_zeros();
    load(rd, rest >> shift, lines);
    lines.push(format!("slli {rd}, {rd}, {shift}"));
    if lower != 0 {
        lines.push(format!("addi {rd}, {rd}, {lower}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, ExtSet, Op};
    use proptest::prelude::*;

    fn words(source: &str) -> Vec<u32> {
        let program =
            Program::assemble(0x8000_0000, source).unwrap_or_else(|error| panic!("{error}"));
        let (chunks, _) = program.bytes.as_chunks();
        chunks.iter().map(|&chunk| u32::from_le_bytes(chunk)).collect()
    }

    #[test]
    fn labels_reach_both_ways() {
        let source = "
            start: addi a0, a0, -1   # count down
                   bnez a0, start
                   j end ; nop
            end:   ret";
        assert_eq!(
            words(source),
            [0xfff5_0513, 0xfe05_1ee3, 0x0080_006f, 0x0000_0013, 0x0000_8067]
        );
    }

    #[test]
    fn data_follows_its_directives() {
        let program = Program::assemble(
            0x1000,
            ".byte 1, -1\n.align 3\nhere: .dword here, 0xffffffffffffffff",
        )
        .unwrap();
        assert_eq!(program.labels["here"], 0x1008);
        let mut bytes = vec![1, 0xff, 0, 0, 0, 0, 0, 0];
        bytes.extend(0x1008u64.to_le_bytes());
        bytes.extend(u64::MAX.to_le_bytes());
        assert_eq!(program.bytes, bytes);
    }

    #[test]
    fn far_addresses_are_relative_to_their_auipc() {
        // 0x80000008 + 0x1000 - 8 is a lower part of -8 with an upper one of 1.
        assert_eq!(
            words("la a0, there\ncall there\n.zero 0xff0\nthere: nop")[..4],
            [0x0000_1517, 0x0005_0513, 0x0000_1097, 0xff80_80e7]
        );
    }

    #[test]
    fn errors_name_the_line() {
        let error = |source| Program::assemble(0, source).unwrap_err().to_string();
        assert_eq!(error("nop\nfoo a0"), "line 2, 'foo a0': unknown instruction 'foo'");
        assert_eq!(error("a:\na:"), "line 2: label 'a' is defined twice");
        assert_eq!(error("j away"), "line 1, 'j away': label 'away' is not defined");
        assert_eq!(error(".zero 0x1000000\nnop"), "line 2: the program exceeds 16 MiB");
    }

    /// What the few operations of `li` do.
    fn run(words: &[u32]) -> i64 {
        let decoder = Decoder::new(&ExtSet::default_set());
        let mut a0 = 0i64;
        for &word in words {
            let insn = decoder.decode(word).unwrap();
            let source = if insn.rs1 == 0 { 0 } else { a0 };
            let imm = i64::from(insn.imm);
            a0 = match insn.op {
                Op::Lui => imm,
                Op::Addi => source.wrapping_add(imm),
                Op::Addiw => i64::from(source.wrapping_add(imm) as i32),
                Op::Slli => source << imm,
                op => panic!("{op:?} in li"),
            };
        }
        a0
    }

    proptest! {
        #[test]
        fn li_loads_any_number(value: i64, shift in 0u32..64) {
            let power = 1i64 << shift;
            let near = [power, power.wrapping_sub(1), power.wrapping_neg()];
            for value in [value, value >> shift, value << shift].into_iter().chain(near) {
                let words = words(&format!("li a0, {value}"));
                prop_assert!(words.len() <= 8);
                prop_assert_eq!(run(&words), value);
            }
        }
    }
}
