//! The programs, and how they are told how often to do what they do.

use anyhow::{Context, Result};
use object::{Object, ObjectSegment, ObjectSymbol};

/// What a program's time is divided by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Its instructions: MIPS.
    Instructions,
    /// Something it does: nanoseconds.
    Events(&'static str),
}

/// A program of benches/guest/.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: Unit,
    /// Events a round.
    pub(super) events: u64,
    /// The least rounds that say something.
    pub(super) least: u64,
}

const fn insns(name: &'static str, least: u64, what: &'static str) -> Program {
    Program { name, what, unit: Unit::Instructions, events: 1, least }
}

const fn events(
    name: &'static str,
    least: u64,
    unit: &'static str,
    events: u64,
    what: &'static str,
) -> Program {
    Program { name, what, unit: Unit::Events(unit), events, least }
}

pub(super) const PROGRAMS: &[Program] = &[
    insns("sort", 2, "quicksort of 4096 words"),
    insns("crc", 2, "CRC-32 with a table"),
    insns("matrix", 2, "products of matrices of words"),
    insns("string", 4, "text copied, compared, searched"),
    insns("list", 16, "a linked list sorted, searched, reversed"),
    insns("interpreter", 4, "an interpreter of bytecode, an indirect jump for each instruction"),
    insns("calls", 8, "Fibonacci's numbers by deep calls"),
    insns("bigcode", 5000, "0.8 MiB of code, called at random"),
    insns("fma", 8, "products of matrices of doubles, fused multiply-add"),
    insns("nbody", 1000, "five bodies: division, square root"),
    insns("sparse", 8, "a sparse matrix of doubles times a vector"),
    insns("stream", 1, "three arrays whose pages have equal low numbers"),
    insns("chase-in", 500, "a chain of pointers in the cache"),
    insns("chase-out", 200, "a chain of pointers out of the cache"),
    insns("amo", 20_000, "AMOs"),
    insns("lrsc", 20_000, "LR and SC"),
    events("csr", 20_000, "access", 2, "accesses to CSRs"),
    events("ecall", 2000, "ecall", 1, "ECALL from U to S and back"),
    events("timer", 2000, "trap", 1, "timer interrupts to S, one after the other"),
    events("exits", 2000, "exit", 1, "VM exits: ECALL from VS to HS and back"),
    events("faults", 50, "fault", 64, "guest-page faults: a page mapped and fenced for each"),
    events("asids", 500, "switch", 1, "address spaces in turn, 16 pages touched in each"),
    events("vmids", 500, "switch", 1, "guests in turn, 16 pages touched in each"),
    events("smc", 2000, "change", 1, "code written, fenced and run"),
    events("random-bare", 20_000, "access", 1, "random access over 256 MiB, S-mode, Bare"),
    events("random-4k", 20_000, "access", 1, "the same through Sv39, 4 KiB pages"),
    events("random-2m", 20_000, "access", 1, "the same through Sv39, 2 MiB pages"),
    events("random-fence", 1 << 20, "access", 1, "4 KiB pages, SFENCE.VMA every 2^20 accesses"),
    events("random-4k-4k", 20_000, "access", 1, "both stages, 4 KiB on 4 KiB"),
    events("random-4k-2m", 20_000, "access", 1, "both stages, 4 KiB on 2 MiB"),
    events("random-2m-2m", 20_000, "access", 1, "both stages, 2 MiB on 2 MiB"),
];

/// The ELF file with `rounds` in the variable of that name.
pub(super) fn with_rounds(elf: &[u8], rounds: u64) -> Result<Vec<u8>> {
    let file = object::File::parse(elf)?;
    let mut symbols = file.symbols();
    let at = symbols.find(|symbol| symbol.name() == Ok("rounds")).context("no symbol `rounds`")?;
    let place = file.segments().find_map(|segment| {
        let offset = at.address().checked_sub(segment.address())?;
        let (start, size) = segment.file_range();
        (offset + 8 <= size).then_some((start + offset) as usize)
    });
    let place = place.context("`rounds` is in no segment")?;
    let mut copy = elf.to_vec();
    copy.get_mut(place..place + 8)
        .context("the file is cut off")?
        .copy_from_slice(&rounds.to_le_bytes());
    Ok(copy)
}
