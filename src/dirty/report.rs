//! What was measured, as text and as JSON.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use machine::guests::ExitCycles;

use super::cpi;
use super::measure::{Faults, Measured, Part};
use crate::cli::DirtyLogArgs;

/// One line of the comparison.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) value: fn(&Measured) -> f64,
    /// Digits after the point.
    pub(super) digits: usize,
}

fn all(of: fn(&Part) -> u64) -> impl Fn(&Measured) -> f64 {
    move |run| [&run.enable, &run.logging, &run.disable].map(of).iter().sum::<u64>() as f64
}

macro_rules! row {
    ($name:literal, $field:ident) => {
        Row { name: $name, value: |run| all(|part| part.$field)(run), digits: 0 }
    };
}

/// The lines: while the log is on, from its beginning to its end, unless they say otherwise.
const ROWS: &[Row] = &[
    row!("exits", exits),
    row!("guest-page faults", faults),
    row!("of them stores that the log is the reason for", log_faults),
    row!("exits with a full ring", full_rings),
    row!("splits", splits),
    row!("collapses", collapses),
    Row {
        name: "splits before and after",
        value: |run| (run.before.splits + run.after.splits) as f64,
        digits: 0,
    },
    Row { name: "faults after", value: |run| run.after.faults as f64, digits: 0 },
    Row { name: "collapses after", value: |run| run.after.collapses as f64, digits: 0 },
    row!("HFENCE.GVMA by address", fences_by_address),
    row!("HFENCE.GVMA for all addresses", fences_of_all),
    row!("of both, on other harts", fences_remote),
    row!("interrupts to other harts", ipis),
    Row { name: "table pages at most", value: |run| run.table_pages as f64, digits: 0 },
    row!("PTEs read", pte_loads),
    row!("PTEs written", pte_writes),
    Row { name: "rounds", value: |run| run.rounds.len() as f64, digits: 0 },
    Row {
        name: "pages of the last round",
        value: |run| run.rounds.last().copied().unwrap_or(0) as f64,
        digits: 0,
    },
    Row { name: "pages sent", value: |run| run.rounds.iter().sum::<u64>() as f64, digits: 0 },
    Row {
        name: "pages named that had not changed",
        value: |run| run.not_changed as f64,
        digits: 0,
    },
    Row { name: "written pages that no log named", value: |run| run.lost as f64, digits: 0 },
    Row { name: "guest: stores a ms before", value: |run| run.before.stores_per_ms(), digits: 1 },
    Row {
        name: "guest: stores a ms while logging",
        value: |run| run.logging.stores_per_ms(),
        digits: 1,
    },
    Row { name: "guest: stores a ms after", value: |run| run.after.stores_per_ms(), digits: 1 },
    Row {
        name: "cost of exits, 1000 instructions",
        value: |run| all(|part| part.exits_cost)(run) / 1e3,
        digits: 1,
    },
    Row { name: "cost of enabling", value: |run| run.enable.log_cost as f64 / 1e3, digits: 1 },
    Row {
        name: "cost of reading and clearing",
        value: |run| run.logging.log_cost as f64 / 1e3,
        digits: 1,
    },
    Row { name: "cost of disabling", value: |run| run.disable.log_cost as f64 / 1e3, digits: 1 },
    Row { name: "cost of exits after", value: |run| run.after.exits_cost as f64 / 1e3, digits: 1 },
];

/// The mean cycles of a fault of one kind that went to something; 0 where there was none.
fn mean(of: fn(&Faults) -> &ExitCycles, part: fn(&ExitCycles) -> u64) -> impl Fn(&Measured) -> f64 {
    move |run| {
        let faults = run.fault_cycles.as_ref().map(of);
        faults.map_or(0.0, |faults| part(faults) as f64 / faults.count.max(1) as f64)
    }
}

macro_rules! cycles {
    ($($name:literal, $field:ident;)*) => {
        &[
            $(Row {
                name: concat!("logged write, no split: ", $name),
                value: |run| mean(|faults| &faults.logged, |sums| sums.$field)(run),
                digits: 0,
            },)*
            $(Row {
                name: concat!("logged write, split: ", $name),
                value: |run| mean(|faults| &faults.split, |sums| sums.$field)(run),
                digits: 0,
            },)*
        ]
    };
}

/// More lines, on a core: the mean cycles of a fault that the log is the reason for, from the issue of the store until it has its translation
/// when it comes again.
const CYCLES: &[Row] = cycles! {
    "cycles", total;
    "walk that faults", walk;
    "trap", trap;
    "return", returns;
    "hypervisor's instructions", instructions;
    "its PTEs", ptes;
    "fences, and walks behind them", fences;
    "refill: the guest's walk", refill;
};

/// The lines of a comparison.
pub(super) fn rows(args: &DirtyLogArgs) -> impl Iterator<Item = &'static Row> + Clone {
    let cycles = if args.core.is_some() { CYCLES } else { &[] };
    ROWS.iter().chain(cycles)
}

/// What was asked for, in a line.
pub(super) fn question(args: &DirtyLogArgs) -> String {
    let core = args
        .core
        .as_ref()
        .map_or(String::new(), |core| format!(", cycles of {core}, {}", cpi::told(args)));
    let ring = args.ring.map_or(String::new(), |ring| format!(", rings of {ring}"));
    format!(
        "{} of memory in pages of up to {}, {:?} stores at {}, {} vCPUs on {} harts, {} a second leave{ring}{core}",
        args.working_set,
        hyp_size(args),
        args.write_pattern,
        args.write_rate,
        args.vcpus,
        args.harts,
        args.bandwidth
    )
}

fn hyp_size(args: &DirtyLogArgs) -> &'static str {
    match hyp::gstage::Size::from(args.pages) {
        hyp::gstage::Size::Page => "4K",
        hyp::gstage::Size::Napot => "64K",
        hyp::gstage::Size::Mega => "2M",
        hyp::gstage::Size::Giga => "1G",
    }
}

/// The comparison, a column a policy.
pub(super) fn text(args: &DirtyLogArgs, runs: &[Measured]) -> String {
    let mut text = format!("{}\n\n", question(args));
    let first = rows(args).map(|row| row.name.len()).max().unwrap_or(0);
    let width = runs.iter().map(|run| run.policy.len()).max().unwrap_or(0).max(10) + 2;
    let _ = write!(text, "{:first$}", "");
    for run in runs {
        let _ = write!(text, "{:>width$}", run.policy);
    }
    text.push('\n');
    for Row { name, value, digits } in rows(args) {
        let _ = write!(text, "{name:first$}");
        for run in runs {
            let _ = write!(text, "{:>width$.digits$}", value(run));
        }
        text.push('\n');
    }
    text.push('\n');
    for run in runs {
        let rounds: Vec<String> = run.rounds.iter().map(u64::to_string).collect();
        let end = if run.converged { "" } else { " (never few)" };
        let _ = writeln!(text, "{}: pages by round {}{end}", run.policy, rounds.join(" "));
    }
    text
}

/// The figures for programs.
pub(super) fn json(args: &DirtyLogArgs, runs: &[Measured]) -> Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        schema: u32,
        generator: &'static str,
        question: String,
        costs_in_instructions: [(&'static str, u64); 8],
        runs: &'a [Measured],
    }
    let generator = concat!("nestwalk ", env!("CARGO_PKG_VERSION"));
    let hyp::cost::Costs { exit, fault, log_fault, load, write, split, fence, ipi } =
        hyp::cost::Costs::MEASURED;
    let costs_in_instructions = [
        ("exit", exit),
        ("fault", fault),
        ("log_fault", log_fault),
        ("pte_load", load),
        ("pte_write", write),
        ("split", split),
        ("fence", fence),
        ("ipi", ipi),
    ];
    let report =
        Report { schema: 1, generator, question: question(args), costs_in_instructions, runs };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}
