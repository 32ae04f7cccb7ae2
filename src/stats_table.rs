//! Statistics of a run as tables for people: what `--stats-table` prints at the end.

use machine::events::{Counts, Stats};
use std::fmt::Write;
use timing::{Lookups, Stages};

/// The tables.
pub(crate) fn text(stats: &Stats) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, &stats.total);
    out.trim_end().to_owned()
}

fn write(out: &mut String, counts: &Counts) -> std::fmt::Result {
    const MODES: [&str; 5] = ["M", "S", "U", "VS", "VU"];
    row(out, "mode", ["cycles", "instructions"])?;
    for (place, mode) in MODES.into_iter().enumerate() {
        let (cycles, insns) =
            (counts.cycles_by_mode.0[place], counts.instructions_by_mode.0[place]);
        if (cycles, insns) != (0, 0) {
            row(out, mode, [cycles, insns].map(text_of))?;
        }
    }
    if counts.vm_exits != 0 {
        writeln!(out)?;
        let heads = ["count", "cycles", "instructions", "cycles each"];
        row(out, "exit of a guest, to the next entry", heads)?;
        for exit in counts.exits.iter() {
            let name = format!("{} ({})", exit.cause, exit.to);
            let each = per(exit.cycles, exit.count);
            let numbers = [exit.count, exit.cycles, exit.instructions].map(text_of);
            row(out, &name, and(numbers, each))?;
        }
    }
    let fences: u64 = counts.fences.0.values().sum();
    let Some(model) = &counts.model else {
        let found = &counts.translation;
        writeln!(out)?;
        for (name, count) in [
            ("walks", found.walks),
            ("PTEs read, S-stage", found.s_stage_ptes),
            ("PTEs read, VS-stage", found.vs_stage_ptes),
            ("PTEs read, G-stage", found.g_stage_ptes),
            ("fences", fences),
        ] {
            row(out, name, [count.to_string()])?;
        }
        return Ok(());
    };
    writeln!(out)?;
    row(out, "looked up in", ["accesses", "hits", "misses", "misses, %"])?;
    for (name, lookups) in [
        ("instruction cache", &model.instruction_cache),
        ("data cache: loads", &model.data_cache_loads),
        ("data cache: stores", &model.data_cache_stores),
        ("data cache: PTEs of walks", &model.data_cache_walks),
        ("predictor", &model.transfers),
        ("walker's tables", &model.walker_tables),
    ] {
        lookups_row(out, name, lookups)?;
    }
    for space in model.spaces() {
        let of = space.vmid.map_or("V=0".to_owned(), |vmid| format!("VMID {vmid}"));
        lookups_row(out, &format!("instruction TLB, {of}"), &space.instruction_tlb)?;
        lookups_row(out, &format!("data TLB, {of}"), &space.data_tlb)?;
        lookups_row(out, &format!("shared TLB, {of}"), &space.shared_tlb)?;
    }
    writeln!(out)?;
    row(out, "walks", ["count", "cycles", "failed", "cycles each"])?;
    for stages in Stages::ALL {
        let walks = model.walks(stages);
        if walks.count == 0 {
            continue;
        }
        let each = per(walks.cycles, walks.count);
        let numbers = [walks.count, walks.cycles, walks.failed].map(text_of);
        row(out, stages.name(), and(numbers, each))?;
        for (references, count) in walks.by_references() {
            row(out, &format!("  of {references} PTEs"), [count.to_string()])?;
        }
    }
    writeln!(out)?;
    let held = &model.held;
    row(out, "held up by", ["count", "cycles", "", "cycles each"])?;
    let traps: u64 = counts.traps.iter().map(|trap| trap.count).sum();
    for (name, count, cycles) in [
        ("fences", fences, held.fences),
        ("fences: walks behind them", fences, held.walks_behind_fences),
        ("traps", traps, held.traps),
    ] {
        if count != 0 {
            let each = per(cycles, count);
            let numbers = [count.to_string(), cycles.to_string(), String::new()];
            row(out, name, and(numbers, each))?;
        }
    }
    row(out, "returns from traps", [String::new(), held.returns.to_string()])
}

/// Three columns and one more.
fn and([a, b, c]: [String; 3], last: String) -> [String; 4] {
    [a, b, c, last]
}

fn text_of(number: u64) -> String {
    number.to_string()
}

fn per(sum: u64, count: u64) -> String {
    if count == 0 { String::new() } else { format!("{:.1}", sum as f64 / count as f64) }
}

fn lookups_row(out: &mut String, name: &str, lookups: &Lookups) -> std::fmt::Result {
    if lookups.accesses == 0 {
        return Ok(());
    }
    let share = 100.0 * lookups.misses as f64 / lookups.accesses as f64;
    let numbers = [lookups.accesses, lookups.hits(), lookups.misses].map(text_of);
    row(out, name, and(numbers, format!("{share:.3}")))
}

fn row<T: AsRef<str>>(
    out: &mut String,
    name: &str,
    columns: impl IntoIterator<Item = T>,
) -> std::fmt::Result {
    let mut line = format!("{name:36}");
    for column in columns {
        write!(line, "{:>14}", column.as_ref())?;
    }
    writeln!(out, "{}", line.trim_end())
}
