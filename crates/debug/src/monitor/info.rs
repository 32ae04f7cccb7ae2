//! `info` and `memory`.

use machine::HartState;

use super::Usage;
use super::words::Words;
use crate::target::Debugged;
use crate::view::Space;

pub(super) fn run(debugged: &mut Debugged<'_>, words: &mut Words<'_>) -> Result<String, Usage> {
    match words.next() {
        Some("harts") => Ok(harts(debugged)),
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
