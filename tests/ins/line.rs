//! The notation of `tests/ins/*.ins`; `tests/ins/README.md` defines it.

use isa::{Exception, Mode, csr};

/// One instruction, what goes in and what must come out.
pub(super) struct Line {
    pub(super) bits: u32,
    pub(super) text: String,
    pub(super) before: Vec<Item>,
    pub(super) after: Vec<Item>,
}

/// A piece of state.
#[derive(Clone, Debug)]
pub(super) enum Item {
    X(usize, u64),
    F(usize, u64),
    Pc(u64),
    Mode(Mode),
    Csr(u16, u64),
    /// These flags, besides those that were up.
    Flags(u64),
    /// `mstatus.FS`.
    Fs(u64),
    Memory(u64, Vec<u8>),
    /// An LR of so many bytes went before.
    Reservation(u64, u64),
    Trap(Exception, Option<u64>),
}

impl Line {
    /// Reads a line; `None` for comments and empty ones.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (bits, rest) = line.split_once(" \"").ok_or("no text")?;
        let (text, rest) = rest.split_once('"').ok_or("the text does not end")?;
        let (before, after) = rest.split_once("=>").ok_or("no '=>'")?;
        let items = |words: &str| -> Result<Vec<Item>, String> {
            words.split_whitespace().map(item).collect()
        };
        Ok(Some(Self {
            bits: number(bits)? as u32,
            text: text.to_owned(),
            before: items(before)?,
            after: items(after)?,
        }))
    }

    /// Bytes of the instruction.
    pub(super) fn len(&self) -> u64 {
        if self.bits & 3 == 3 { 4 } else { 2 }
    }
}

fn item(word: &str) -> Result<Item, String> {
    let (name, value) = word.split_once('=').ok_or_else(|| format!("'{word}' has no '='"))?;
    let index = |name: &str| name[1..].parse::<usize>().ok().filter(|&n| n < 32);
    Ok(match name {
        "pc" => Item::Pc(number(value)?),
        "mode" => Item::Mode(mode(value)?),
        "fs" => Item::Fs(number(value)?),
        "fflags" => Item::Flags(flags(value)?),
        "trap" => trap(value)?,
        "reservation" => {
            let (address, bytes) = value.split_once(':').ok_or("no size of the reservation")?;
            Item::Reservation(number(address)?, number(bytes)?)
        }
        _ if name.starts_with('[') => memory(name, value)?,
        _ if name.starts_with('x') && index(name).is_some() => {
            Item::X(index(name).unwrap_or(0), number(value)?)
        }
        _ if name.starts_with('f') && index(name).is_some() => {
            Item::F(index(name).unwrap_or(0), number(value)?)
        }
        _ => {
            let row = csr::by_name(name).ok_or_else(|| format!("'{name}' names nothing"))?;
            Item::Csr(row.number, number(value)?)
        }
    })
}

fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|error| format!("'{text}': {error}"))
}

fn mode(name: &str) -> Result<Mode, String> {
    [Mode::U, Mode::S, Mode::M, Mode::VS, Mode::VU]
        .into_iter()
        .find(|mode| mode.to_string() == name)
        .ok_or_else(|| format!("'{name}' is no mode"))
}

fn flags(names: &str) -> Result<u64, String> {
    names.split('|').try_fold(0, |sum, name| {
        let bit = ["NX", "UF", "OF", "DZ", "NV"].iter().position(|&flag| flag == name);
        Ok(sum | 1 << bit.ok_or_else(|| format!("'{name}' is no flag"))?)
    })
}

fn trap(text: &str) -> Result<Item, String> {
    let (name, tval) = match text.split_once("(tval=") {
        Some((name, tval)) => (name, Some(number(tval.trim_end_matches(')'))?)),
        None => (text, None),
    };
    let exception = match name {
        "insn-access" => Exception::InstructionAccess,
        "illegal" => Exception::IllegalInstruction,
        "breakpoint" => Exception::Breakpoint,
        "load-access" => Exception::LoadAccess,
        "store-access" => Exception::StoreAccess,
        "ecall-u" => Exception::EcallU,
        "ecall-s" => Exception::EcallS,
        "ecall-vs" => Exception::EcallVs,
        "ecall-m" => Exception::EcallM,
        "virtual" => Exception::VirtualInstruction,
        _ => return Err(format!("'{name}' is no cause")),
    };
    Ok(Item::Trap(exception, tval))
}

fn memory(name: &str, value: &str) -> Result<Item, String> {
    let address = number(name.trim_start_matches('[').trim_end_matches(']'))?;
    let bytes = match value.split_once('*') {
        Some((count, byte)) => vec![number(byte)? as u8; number(count)? as usize],
        None => {
            let (width, value) = value.split_once(':').ok_or("no width")?;
            let bits = number(width.trim_start_matches('u'))?;
            number(value)?.to_le_bytes()[..bits as usize / 8].to_vec()
        }
    };
    Ok(Item::Memory(address, bytes))
}
