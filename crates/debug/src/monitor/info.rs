//! `info` and `memory`.

use isa::csr::{CsrRow, Level, level_of};
use machine::HartState;

use mmu::Tables;

use super::words::Words;
use super::{Usage, map};
use crate::target::Debugged;
use crate::view::Space;

pub(super) fn run(debugged: &mut Debugged<'_>, words: &mut Words<'_>) -> Result<String, Usage> {
    match words.next() {
        Some("harts") => Ok(harts(debugged)),
        Some("csr") => csr(debugged, words),
        Some("tlb") => Ok(tlb(debugged)),
        Some("counts") => Ok(counts(debugged)),
        Some("smem") => Ok(map::text(debugged.hart_in_view(), Tables::S)),
        Some("vsmem") => Ok(map::text(debugged.hart_in_view(), Tables::Vs)),
        Some("gmem") => Ok(map::text(debugged.hart_in_view(), Tables::G)),
        Some(word) => Err(Usage(format!("there is no '{word}'"))),
        None => Err(Usage::new("about what?")),
    }
}

/// A line a hart.
fn harts(debugged: &Debugged<'_>) -> String {
    let line = |(index, hart): (usize, &cpu::Hart)| {
        let doing = match debugged.machine.hart_state(index) {
            HartState::Running if hart.waiting() => "waits in WFI",
            HartState::Running => "runs",
            HartState::Suspended => "is suspended in the firmware",
            HartState::Stopped => "is not started",
        };
        let mark = if index == debugged.selected { '*' } else { ' ' };
        format!(
            "{mark} hart {}: {:<2} pc {:#018x}, {doing}; {} instructions, cycle {}\n",
            hart.id(),
            hart.mode(),
            hart.pc(),
            hart.retired(),
            hart.cycle()
        )
    };
    debugged.machine.harts().iter().enumerate().map(line).collect()
}

/// A CSR by name, or all of a group.
fn csr(debugged: &Debugged<'_>, words: &mut Words<'_>) -> Result<String, Usage> {
    let name = words.next().ok_or_else(|| Usage::new("which CSR?"))?;
    let hart = debugged.hart_in_view();
    let line = |row: &CsrRow| {
        let value = hart.csr(row.number)?;
        Some(format!("{:<14} {value:#018x}  {}\n", row.name, row.doc))
    };
    let in_group = |row: &&CsrRow| group(row) == name;
    if isa::csr::all().any(|row| in_group(&row)) {
        return Ok(isa::csr::all().filter(in_group).filter_map(line).collect());
    }
    let row = isa::csr::by_name(name).ok_or_else(|| {
        let near = isa::nearest(name, isa::csr::all().map(|row| row.name));
        let hint = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
        Usage(format!("there is no CSR '{name}'{hint}"))
    })?;
    line(row).ok_or_else(|| Usage(format!("this hart has no {name}")))
}

fn group(row: &CsrRow) -> &'static str {
    match level_of(row.number) {
        Level::U => "user",
        Level::S => "supervisor",
        Level::Hs if row.name.starts_with("vs") => "vs",
        Level::Hs => "hypervisor",
        Level::M => "machine",
    }
}

/// What the MMU of the hart in view did.
fn tlb(debugged: &Debugged<'_>) -> String {
    let mmu = debugged.hart_in_view().mmu();
    let stats = mmu.stats();
    format!(
        "{} accesses were translated on the slow way, {} of them without a walk, {} walked again from the root\n\
         PTEs read: {} of the S-stage, {} of the VS-stage, {} of the G-stage; {} fences\n",
        stats.translations,
        stats.without_walk,
        stats.retries,
        stats.pte_fetches.s_stage,
        stats.pte_fetches.vs_stage,
        stats.pte_fetches.g_stage,
        stats.fences
    )
}

/// What happened on the hart in view, in all and since this was asked last.
fn counts(debugged: &mut Debugged<'_>) -> String {
    let hart = debugged.hart_in_view();
    let now: Vec<u64> = cpu::EVENTS.iter().map(|event| hart.count(event)).collect();
    let costs = if hart.has_model() { "" } else { ", on which an instruction is a cycle" };
    let title = format!("hart {}{costs}", hart.id());
    let mut text = format!("{title:44} {:>14} {:>14}\n", "in all", "since asked");
    let Some(counted) = debugged.counted.get_mut(debugged.selected) else { return text };
    let before = std::mem::replace(counted, now.clone());
    for ((event, now), before) in cpu::EVENTS.iter().zip(now).zip(before) {
        if now != 0 {
            text += &format!("{:44} {now:>14} {:>14}\n", event.doc, now.wrapping_sub(before));
        }
    }
    text
}

pub(super) fn memory(debugged: &mut Debugged<'_>, words: &mut Words<'_>) -> Result<String, Usage> {
    debugged.space = match words.next() {
        None => debugged.space,
        Some("virtual") => Space::Virtual,
        Some("physical") => Space::Physical,
        Some(word) => return Err(Usage(format!("'{word}' is no kind of address"))),
    };
    Ok(match debugged.space {
        Space::Virtual => "memory is read and written at virtual addresses of the selected hart\n",
        Space::Physical => "memory is read and written at physical addresses\n",
    }
    .into())
}
