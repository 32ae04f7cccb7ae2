//! `catch`: exceptions before which the machine stops, and the line that says what was caught.

use std::fmt::Write;

use cpu::Caught;
use isa::{Exception, Gpa};

use super::explain::Instruction;
use super::words::{Words, number, range};
use super::{Usage, explain};
use crate::target::Debugged;

/// The three guest-page faults.
const GUEST_PAGE: u64 = Exception::InstructionGuestPage.bit()
    | Exception::LoadGuestPage.bit()
    | Exception::StoreGuestPage.bit();

pub(super) fn run(debugged: &mut Debugged<'_>, words: &mut Words<'_>) -> Result<String, Usage> {
    let catches = &mut debugged.points.catches;
    let Some(name) = words.next() else { return Ok(list(debugged)) };
    let exceptions = named(name)?;
    match words.next() {
        None | Some("on") => {
            catches.exceptions |= exceptions;
            if exceptions & GUEST_PAGE != 0 {
                catches.gpas = None;
            }
        }
        Some("off") => catches.exceptions &= !exceptions,
        Some(word) if exceptions & !GUEST_PAGE == 0 => {
            let (first, last) = range(word)?;
            catches.gpas = Some((Gpa(first), Gpa(last)));
            catches.exceptions |= exceptions;
        }
        Some(word) => return Err(Usage(format!("'{word}' is neither on nor off"))),
    }
    Ok(list(debugged))
}

/// The exceptions that a word stands for.
fn named(word: &str) -> Result<u64, Usage> {
    match word {
        "all" => {
            return Ok(Exception::ALL.iter().fold(0, |bits, exception| bits | exception.bit()));
        }
        "guest-page-fault" => return Ok(GUEST_PAGE),
        _ => {}
    }
    let found = Exception::ALL.iter().find(|exception| slug(**exception) == word).copied();
    let by_code = || number(word).ok().and_then(Exception::from_code);
    match found.or_else(by_code) {
        Some(exception) => Ok(exception.bit()),
        None => {
            let names = Exception::ALL.iter().map(|&exception| slug(exception)).collect::<Vec<_>>();
            Err(Usage(format!("'{word}' is none of {}", names.join(", "))))
        }
    }
}

/// An exception as a word: the manual's name with dashes.
fn slug(exception: Exception) -> String {
    exception.text().to_lowercase().replace([' ', '/'], "-")
}

fn list(debugged: &Debugged<'_>) -> String {
    let catches = &debugged.points.catches;
    let caught = |exception: &&Exception| catches.exceptions & exception.bit() != 0;
    let names: Vec<String> =
        Exception::ALL.iter().filter(caught).map(|&exception| slug(exception)).collect();
    if names.is_empty() {
        return "nothing is caught\n".into();
    }
    let mut text = format!("caught: {}", names.join(", "));
    if catches.exceptions & GUEST_PAGE != 0
        && let Some((first, last)) = catches.gpas
    {
        // Writing to a string cannot fail.
        let _ = write!(text, "; guest-page faults from {first} to {last}");
    }
    text.push('\n');
    text
}

/// One line about an exception that the hart in view is about to take.
pub(crate) fn caught(debugged: &Debugged<'_>, caught: &Caught) -> String {
    let hart = debugged.hart_in_view();
    let Caught { trap, target, fault } = caught;
    let place = format!("Hart {} in {}-mode at pc {:#x}", hart.id(), hart.mode(), hart.pc());
    let why = match fault {
        Some(fault) => format!("; {fault}"),
        None => String::new(),
    };
    format!("{place}: {}{why}\n", explain::raised(trap, *target, Instruction::Known))
}
