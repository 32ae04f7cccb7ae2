//! How the command ends: exit codes and what it says on standard error.

use crate::terminal;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// Wrong words on the command line, or files that cannot be used.
pub(crate) const USAGE: u8 = 2;
/// Some test program did not pass.
pub(crate) const FAILED: u8 = 1;
/// Our own fault.
pub(crate) const INTERNAL: u8 = 70;
/// A limit of instructions or time was reached, or the guest can only go on for ever.
pub(crate) const LIMIT: u8 = 124;
/// Added to the number of the signal that ended the run.
pub(crate) const SIGNAL: u8 = 128;
/// The signal of a pipe without a reader, which we never take: writing fails instead.
pub(crate) const SIGPIPE: u8 = 13;

/// Says something on standard error, in one piece. Nobody may be listening.
pub(crate) fn say(what: impl Display) {
    let line = format!("nestwalk: {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Says why nothing was run.
pub(crate) fn usage_error(why: impl Display) -> ExitCode {
    say(format_args!("{why:#}"));
    ExitCode::from(USAGE)
}

/// Ends quietly because whoever read our output has seen enough, if that is what went wrong.
pub(crate) fn unless_unread(done: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let unread = |error: &anyhow::Error| {
        let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        kinds.map(std::io::Error::kind).any(|kind| kind == std::io::ErrorKind::BrokenPipe)
    };
    match done {
        Err(error) if unread(&error) => Ok(ExitCode::from(SIGNAL + SIGPIPE)),
        done => done,
    }
}

/// Makes a panic in any thread put the terminal back, say that it is our fault, and end the process.
pub(crate) fn on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        terminal::restore();
        say(format_args!("internal error: {panic}"));
        say("this is a bug in nestwalk, whatever the guest did; please report it");
        std::process::exit(INTERNAL.into());
    }));
}
