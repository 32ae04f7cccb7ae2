//! `nestwalk disasm`: instructions as text, from ELF files or from hexadecimal words.
//!
//! Every instruction that is built can appear, whichever extensions a machine would have.

use crate::cli::DisasmArgs;
use anyhow::{Context, Result, bail, ensure};
use isa::ext::EXTENSIONS;
use isa::{Decoder, ExtSet};
use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionKind, SegmentFlags,
};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Runs `nestwalk disasm`; text goes to standard output.
///
/// # Errors
/// A file that cannot be read or holds no 64-bit RISC-V program, or a word that is not hexadecimal.
pub(crate) fn run(args: &DisasmArgs) -> Result<()> {
    let mut to = BufWriter::new(io::stdout().lock());
    write_inputs(&mut to, args)?;
    Ok(to.flush()?)
}

fn write_inputs(to: &mut impl Write, args: &DisasmArgs) -> Result<()> {
    let printer = Printer::new();
    let mut words = Vec::new();
    for input in &args.inputs {
        let path = Path::new(input);
        match input.to_str().and_then(hex_bytes) {
            Some(bytes) if !path.exists() => words.extend(bytes),
            _ => write_file(to, &printer, path)?,
        }
    }
    printer.write(to, &words, args.address.0, &Symbols::default())
}

/// The bytes in memory of a word such as `00a28293`, `0x8082` or `8082`: two or four bytes, the least
/// significant first.
fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let whole = matches!(digits.len(), 1..=8) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let word = u32::from_str_radix(digits, 16).ok().filter(|_| whole)?;
    let length = if digits.len() <= 4 { 2 } else { 4 };
    Some(word.to_le_bytes()[..length].to_vec())
}

fn write_file(to: &mut impl Write, printer: &Printer, path: &Path) -> Result<()> {
    let named = || path.display().to_string();
    let meta = std::fs::metadata(path).with_context(|| {
        format!("'{}' is neither a file nor a hexadecimal word", path.display())
    })?;
    ensure!(meta.is_file(), "{}: not a regular file", path.display());
    let bytes = std::fs::read(path).with_context(named)?;
    write_elf(to, printer, &bytes).with_context(named)
}

fn write_elf(to: &mut impl Write, printer: &Printer, bytes: &[u8]) -> Result<()> {
    let elf =
        ElfFile64::<LittleEndian>::parse(bytes).context("not a 64-bit little-endian ELF file")?;
    ensure!(elf.architecture() == object::Architecture::Riscv64, "not a RISC-V program");
    let symbols = Symbols::of(&elf);
    let mut empty = true;
    for section in elf.sections().filter(|section| section.kind() == SectionKind::Text) {
        empty = false;
        writeln!(to, "\nsection {}:", section.name().unwrap_or("?"))?;
        printer.write(to, section.data()?, section.address(), &symbols)?;
    }
    if empty {
        // A file without section headers still says what is executable.
        let executable =
            |flags| matches!(flags, SegmentFlags::Elf { p_flags, .. } if p_flags.0 & 1 != 0);
        for segment in elf.segments().filter(|segment| executable(segment.flags())) {
            empty = false;
            writeln!(to, "\nsegment at {:#x}:", segment.address())?;
            printer.write(to, segment.data()?, segment.address(), &symbols)?;
        }
    }
    if empty {
        bail!("nothing in it is executable");
    }
    Ok(())
}

/// Names of addresses.
#[derive(Default)]
struct Symbols<'a>(BTreeMap<u64, &'a str>);

impl<'a> Symbols<'a> {
    fn of(elf: &ElfFile64<'a, LittleEndian>) -> Self {
        let named = elf.symbols().filter(|symbol| symbol.is_definition());
        // `$x` and `$d` mark code and data for tools, `.L` names what a compiler made up.
        let wanted = |name: &&str| !name.is_empty() && !name.starts_with(['$', '.']);
        Self(
            named
                .filter_map(|symbol| Some((symbol.address(), symbol.name().ok().filter(wanted)?)))
                .collect(),
        )
    }

    fn at(&self, address: u64) -> Option<&'a str> {
        self.0.get(&address).copied()
    }

    /// `<name+0x10>` for an address behind a name; empty when there are no names before it.
    fn relative(&self, address: u64) -> String {
        match self.0.range(..=address).next_back() {
            Some((&start, name)) if start == address => format!(" <{name}>"),
            Some((&start, name)) => format!(" <{name}+{:#x}>", address - start),
            None => String::new(),
        }
    }
}

struct Printer {
    decoder: Decoder,
}

impl Printer {
    fn new() -> Self {
        let all: ExtSet = EXTENSIONS.iter().map(|row| row.ext).collect();
        Self { decoder: Decoder::new(&all) }
    }

    fn write(
        &self,
        to: &mut impl Write,
        mut bytes: &[u8],
        mut address: u64,
        symbols: &Symbols<'_>,
    ) -> Result<()> {
        while !bytes.is_empty() {
            if let Some(name) = symbols.at(address) {
                writeln!(to, "\n{address:016x} <{name}>:")?;
            }
            let (length, line) = self.line(bytes, address, symbols);
            writeln!(to, "{address:16x}:  {line}")?;
            let (_, rest) = bytes.split_at(length);
            bytes = rest;
            address = address.wrapping_add(length as u64);
        }
        Ok(())
    }

    /// How many of `bytes` the first instruction takes, and its bits and text.
    fn line(&self, bytes: &[u8], address: u64, symbols: &Symbols<'_>) -> (usize, String) {
        let half = |at| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let Some(low) = half(0) else {
            return (1, format!("{:02x}        .byte  {:#04x}", bytes[0], bytes[0]));
        };
        let long = low & 3 == 3;
        let Some(high) = (if long { half(2) } else { Some(0) }) else {
            return (2, format!("{low:04x}      .half  {low:#06x}"));
        };
        let bits = u32::from(high) << 16 | u32::from(low);
        let (length, hex, directive) = if long {
            (4, format!("{bits:08x}"), format!(".word  {bits:#010x}"))
        } else {
            (2, format!("{low:04x}    "), format!(".half  {low:#06x}"))
        };
        let Some(insn) = self.decoder.decode(bits) else {
            return (length, format!("{hex}  {directive}"));
        };
        let target = match insn.op.row().operands.contains("target") {
            true => symbols.relative(address.wrapping_add_signed(insn.imm.into())),
            false => String::new(),
        };
        (length, format!("{hex}  {}{target}", insn.display_at(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], address: u64, symbols: &Symbols<'_>) -> String {
        let mut text = Vec::new();
        Printer::new().write(&mut text, bytes, address, symbols).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn words_are_read_as_they_are_printed_by_tools() {
        assert_eq!(hex_bytes("00a28293"), Some(vec![0x93, 0x82, 0xa2, 0]));
        assert_eq!(hex_bytes("0x8082"), Some(vec![0x82, 0x80]));
        for bad in ["", "0x", "+1", "00a2829300", "8o82"] {
            assert_eq!(hex_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_instruction_is_data() {
        let text = text(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x93, 0x82, 0xa2], 0, &Symbols::default());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains(".half  0x0000"), "{text}");
        assert!(lines[1].contains(".word  0xffffffff"), "{text}");
        assert!(lines[2].contains(".half  0x8293"), "{text}");
        assert!(lines[3].contains(".byte  0xa2"), "{text}");
    }

    #[test]
    fn targets_are_told_by_name() {
        let symbols = Symbols(BTreeMap::from([(0x1000, "start"), (0x1008, "end")]));
        // jal x0, +8; c.nop; c.j -2
        let bytes = [0x6f, 0x00, 0x80, 0x00, 0x01, 0x00, 0xfd, 0xbf];
        let text = text(&bytes, 0x1000, &symbols);
        assert!(text.contains("<start>:"), "{text}");
        assert!(text.contains("<end>"), "{text}");
        assert!(text.contains("<start+0x4>"), "{text}");
    }
}
