//! What a user does with the command, end to end; one file per capability.

mod bench;
mod cli;
mod cores;
mod events;
mod fences;
mod gdb;
mod guest;
mod guests;
mod ins;
mod lockstep;
mod memory;
mod migrate;
mod run;
mod signature;
mod suite;
mod terminal;
mod tidy;
mod timing;

use std::process::{Command, Output, Stdio};

/// The command under test, without input and deaf to the environment's diagnostics filter.
fn nestwalk() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nestwalk"));
    command.stdin(Stdio::null()).env_remove("NESTWALK_LOG");
    command
}

/// What became of one run.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the command with `args`, separated by white space.
fn run_words(args: &str) -> Ended {
    ended(nestwalk().args(args.split_whitespace()).output().expect("nestwalk starts"))
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
