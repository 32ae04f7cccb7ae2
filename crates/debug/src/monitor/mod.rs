//! Monitor commands: what GDB's protocol has no words for. One table: name, arguments, help, handler.

mod catch;
mod explain;
mod info;
mod map;
mod ptw;
mod words;

use crate::target::Debugged;
use words::Words;

pub(crate) use catch::caught;

/// The longest answer, in bytes; what is longer is cut off, and says so.
const ANSWER_BYTES_MAX: usize = 1 << 18;

/// A command.
struct Command {
    name: &'static str,
    /// What follows the name.
    arguments: &'static str,
    help: &'static str,
    run: fn(&mut Debugged<'_>, &mut Words<'_>) -> Result<String, Usage>,
}

/// Why a command was not carried out, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Usage(String);

impl Usage {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        arguments: "[COMMAND]",
        help: "What there is",
        run: |_, words| help(words),
    },
    Command {
        name: "catch",
        arguments: "[EXCEPTION|guest-page-fault|all [on|off|FIRST-LAST]]",
        help: "Stop before an exception is taken, by name or code; guest-page faults also by a range of guest \
               physical addresses. Without words: what is caught",
        run: catch::run,
    },
    Command {
        name: "info",
        arguments: "harts|csr NAME|tlb|counts|smem|vsmem|gmem",
        help: "What each hart does; a CSR of the hart in view, or a group (user, supervisor, hypervisor, vs, machine); what \
               its MMU did; cycles, instructions and what else happened on it, in all and since that was asked last; what satp, \
               vsatp or hgatp maps",
        run: info::run,
    },
    Command {
        name: "memory",
        arguments: "[virtual|physical]",
        help: "Which addresses the debugger's own reads and writes of memory mean",
        run: info::memory,
    },
    Command {
        name: "ptw",
        arguments: "[gpa] ADDRESS [r|w|x] [as MODE]",
        help: "Explains a translation, PTE by PTE, as for an access that the hart in view would make in its mode or \
               another; with gpa that of a guest physical address. The address is a number or a register such as $pc, \
               $a0 or $stval",
        run: ptw::run,
    },
];

/// Carries out a command and gives the answer, which ends with a line break.
pub(crate) fn execute(debugged: &mut Debugged<'_>, line: &str) -> String {
    let mut words = Words::new(line);
    let Some(name) = words.next() else { return help(&mut words).unwrap_or_default() };
    let found = COMMANDS.iter().find(|command| command.name == name);
    let answer = match found {
        Some(command) => {
            let done = (command.run)(debugged, &mut words).and_then(|answer| match words.next() {
                None => Ok(answer),
                Some(word) => Err(Usage(format!("'{word}' is too much"))),
            });
            done.map_err(|Usage(why)| format!("{why}; usage: {}", usage(command)))
        }
        None => Err(unknown(name)),
    };
    let mut answer = answer.unwrap_or_else(|why| format!("{why}\n"));
    if answer.len() > ANSWER_BYTES_MAX {
        let end = (0..=ANSWER_BYTES_MAX).rev().find(|&at| answer.is_char_boundary(at));
        answer.truncate(end.unwrap_or(0));
        answer.push_str("\n(cut off here)\n");
    }
    answer
}

fn usage(command: &Command) -> String {
    format!("{} {}", command.name, command.arguments).trim_end().to_owned()
}

fn unknown(name: &str) -> String {
    match isa::nearest(name, COMMANDS.iter().map(|command| command.name)) {
        Some(near) => format!("unknown command '{name}'; did you mean '{near}'?"),
        None => format!("unknown command '{name}'; 'monitor help' lists them"),
    }
}

fn help(words: &mut Words<'_>) -> Result<String, Usage> {
    let wanted = words.next();
    let shown = COMMANDS.iter().filter(|command| wanted.is_none_or(|name| name == command.name));
    let text: String =
        shown.map(|command| format!("{}\n    {}\n", usage(command), command.help)).collect();
    match wanted {
        Some(name) if text.is_empty() => Err(Usage(unknown(name))),
        _ => Ok(text),
    }
}
