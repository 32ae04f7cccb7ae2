//! Reading one operand: the reverse of what the disassembler prints.

use super::AsmError;
use crate::csr;
use crate::insn::pattern::Operands;
use crate::insn::syntax::{CONSTANTS, F_NAMES, Operand, ROUNDING, Register, X_NAMES};

/// What operands are relative to.
pub(super) struct Reader<'a> {
    pub(super) pc: u64,
    pub(super) label: &'a dyn Fn(&str) -> Option<u64>,
}

impl Reader<'_> {
    /// Reads `word` as `operand` into `values`.
    pub(super) fn read(
        &self,
        operand: Operand,
        word: &str,
        values: &mut Operands,
    ) -> Result<(), AsmError> {
        let expected = |expected| AsmError::Operand { found: word.into(), expected };
        match operand {
            Operand::X(register) => {
                *field(values, register) =
                    x_register(word).ok_or(expected("an integer register"))?;
            }
            Operand::F(register) => {
                *field(values, register) =
                    named(word, &F_NAMES, 'f').ok_or(expected("a floating-point register"))?;
            }
            Operand::Imm | Operand::Shamt => values.imm = immediate(word)?,
            Operand::Upper => match number(word) {
                Some(upper @ 0..=0xf_ffff) => values.imm = (upper << 12) as i32,
                Some(_) => return Err(AsmError::Range(word.into())),
                None => return Err(expected("a number of 20 bits")),
            },
            Operand::Csr => {
                let named = csr::by_name(word).map(|row| i64::from(row.number));
                match named.or_else(|| number(word)) {
                    Some(number @ 0..=0xfff) => values.imm = number as i32,
                    _ => return Err(expected("a CSR")),
                }
            }
            Operand::Uimm => match number(word) {
                Some(uimm @ 0..=31) => values.rs1 = uimm as u8,
                _ => return Err(expected("a number from 0 to 31")),
            },
            Operand::Target => values.imm = self.target(word)?,
            Operand::Memory | Operand::Stack | Operand::Address => {
                let (offset, register) = word
                    .strip_suffix(')')
                    .and_then(|word| word.split_once('('))
                    .ok_or(expected("an address such as 8(a0)"))?;
                let offset = if offset.trim().is_empty() { 0 } else { immediate(offset.trim())? };
                let register =
                    x_register(register.trim()).ok_or(expected("an address such as 8(a0)"))?;
                if operand == Operand::Address && offset != 0
                    || operand == Operand::Stack && register != 2
                {
                    return Err(AsmError::Range(word.into()));
                }
                if operand != Operand::Address {
                    values.imm = offset;
                }
                values.rs1 = register;
            }
            Operand::Rounding(_) => {
                let rm = ROUNDING.iter().position(|&name| name == word && name != "?");
                values.rm = rm.ok_or(expected("a rounding mode"))? as u8;
            }
            Operand::Predecessors => {
                values.imm |= (fence_set(word).ok_or(expected("a set of iorw"))?) << 4
            }
            Operand::Successors => {
                values.imm |= fence_set(word).ok_or(expected("a set of iorw"))?
            }
            Operand::FenceMode => match number(word) {
                Some(fm @ 0..=15) => values.imm |= (fm as i32) << 8,
                _ => return Err(expected("a number from 0 to 15")),
            },
            Operand::Constant => {
                let entry = CONSTANTS.iter().position(|&name| name == word);
                values.rs1 = entry.ok_or(expected("a constant of fli"))? as u8;
            }
            Operand::Word(fixed) if fixed == word => {}
            Operand::Word(fixed) => return Err(expected(fixed)),
        }
        Ok(())
    }

    /// The offset to a target: `.+16`, a label, or an address.
    fn target(&self, word: &str) -> Result<i32, AsmError> {
        let out_of_range = |_| AsmError::Range(word.into());
        let here =
            word.strip_prefix('.').filter(|rest| rest.is_empty() || rest.starts_with(['+', '-']));
        if let Some(rest) = here {
            return if rest.is_empty() { Ok(0) } else { immediate(rest) };
        }
        let address = match number(word) {
            Some(address) => address as u64,
            None => (self.label)(word).ok_or_else(|| AsmError::Label(word.into()))?,
        };
        i32::try_from(address.wrapping_sub(self.pc) as i64).map_err(out_of_range)
    }
}

fn field(values: &mut Operands, register: Register) -> &mut u8 {
    match register {
        Register::Rd => &mut values.rd,
        Register::Rs1 => &mut values.rs1,
        Register::Rs2 => &mut values.rs2,
        Register::Rs3 => &mut values.rs3,
    }
}

/// An integer register's number: by its ABI name, `fp`, or `x0` to `x31`.
pub(super) fn x_register(word: &str) -> Option<u8> {
    if word == "fp" { Some(8) } else { named(word, &X_NAMES, 'x') }
}

fn named(word: &str, names: &[&str; 32], prefix: char) -> Option<u8> {
    if let Some(number) = names.iter().position(|&name| name == word) {
        return Some(number as u8);
    }
    let digits = word.strip_prefix(prefix)?;
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|&number: &u8| plain && number < 32)
}

fn immediate(word: &str) -> Result<i32, AsmError> {
    let value = number(word)
        .ok_or_else(|| AsmError::Operand { found: word.into(), expected: "a number" })?;
    i32::try_from(value).map_err(|_| AsmError::Range(word.into()))
}

/// A number of at most 64 bits: decimal, `0x` or `0b`, with or without a sign. Those above the
/// largest signed one wrap.
pub(super) fn number(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(digits.get(2..)?, 16),
        Some("0b" | "0B") => u64::from_str_radix(digits.get(2..)?, 2),
        _ => digits.parse(),
    };
    let magnitude = magnitude.ok()?;
    Some(if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 })
}

/// A set of `i`, `o`, `r` and `w`, or `0`.
fn fence_set(word: &str) -> Option<i32> {
    if word == "0" {
        return Some(0);
    }
    let mut set = 0;
    for letter in word.chars() {
        set |= match letter {
            'i' => 8,
            'o' => 4,
            'r' => 2,
            'w' => 1,
            _ => return None,
        };
    }
    (set != 0).then_some(set)
}
