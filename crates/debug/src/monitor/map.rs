//! Maps of address spaces: what the page tables of a hart map, in runs of alike pages.

use std::fmt::Write;

use cpu::Hart;
use isa::pte;
use mmu::{Extent, Mapped, Tables};

/// Extents that are looked at, at most.
const EXTENTS_MAX: usize = 1 << 20;
/// Runs that are shown, at most.
const RUNS_MAX: usize = 2000;

/// Addresses one after the other, mapped one after the other, with the same flags and page size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    start: u64,
    /// The last address.
    last: u64,
    to: u64,
    /// The leaf PTEs without the page number.
    flags: u64,
    /// log2 of the page size.
    bits: u32,
}

impl Run {
    fn of(extent: &Extent, mapped: &Mapped) -> Self {
        let last = extent.start + ((1u64 << extent.bits) - 1);
        let flags = mapped.pte & !pte::PPN;
        Self { start: extent.start, last, to: mapped.to, flags, bits: extent.bits }
    }

    /// This run with the next one, if they are of one kind.
    fn joined(self, next: Self) -> Option<Self> {
        let alike = (self.flags, self.bits) == (next.flags, next.bits)
            && self.last.checked_add(1) == Some(next.start)
            && self.to.wrapping_add(next.start - self.start) == next.to;
        alike.then_some(Self { last: next.last, ..self })
    }
}

/// The map of these tables, a line a run.
pub(super) fn text(hart: &Hart, tables: Tables) -> String {
    let (register, from, to) = match tables {
        Tables::S => ("satp", "va", "pa"),
        Tables::Vs => ("vsatp", "va", "gpa"),
        Tables::G => ("hgatp", "gpa", "pa"),
    };
    let mmu = hart.mmu();
    let Some(width) = mmu.width_of(tables) else { return format!("{register} is Bare\n") };
    let mut runs: Vec<Run> = Vec::new();
    let mut complete = true;
    let mut looked = 0;
    'halves: for (first, last) in halves(tables, width) {
        let mut at = first;
        while let Some(extent) = mmu.extent(tables, at) {
            looked += 1;
            if looked > EXTENTS_MAX || runs.len() > RUNS_MAX {
                complete = false;
                break 'halves;
            }
            if let Some(mapped) = &extent.mapped {
                let run = Run::of(&extent, mapped);
                match runs.last_mut() {
                    Some(before) if before.joined(run).is_some() => before.last = run.last,
                    _ => runs.push(run),
                }
            }
            let end = extent.start + ((1u64 << extent.bits) - 1);
            if end >= last {
                break;
            }
            at = end + 1;
        }
    }
    let mut out = String::new();
    for run in &runs {
        let Run { start, last, to: target, flags, bits } = run;
        let pages = (last - start) / (1 << bits) + 1;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{from}:{start:#x}-{last:#x} -> {to}:{target:#x}  {}  {pages} x {}",
            super::explain::bits(*flags),
            super::explain::size(*bits)
        );
    }
    if runs.is_empty() {
        out.push_str("nothing is mapped\n");
    }
    if !complete {
        out.push_str("(and more)\n");
    }
    out
}

/// The parts of the address space: one, or two at its ends.
fn halves(tables: Tables, width: u32) -> Vec<(u64, u64)> {
    match tables {
        Tables::G => vec![(0, (1 << width) - 1)],
        Tables::S | Tables::Vs => {
            let half = 1u64 << (width - 1);
            vec![(0, half - 1), (half.wrapping_neg(), u64::MAX)]
        }
    }
}
