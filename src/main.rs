//! The nestwalk command.

mod build;
mod calibrate;
mod check;
mod cli;
mod console;
mod cores;
mod diagnostics;
mod dirty;
mod disasm;
mod events;
mod exit;
mod gdb;
mod guests;
mod log;
mod migrate;
mod run;
mod signature;
mod stats_table;
mod stop;
mod terminal;
mod test;

use cli::{Command, HypCommand, Refusal};
use std::process::ExitCode;

fn main() -> ExitCode {
    exit::on_panic();
    let command = match cli::parse(std::env::args_os().skip(1).collect()) {
        Ok(command) => command,
        Err(Refusal::Usage(why)) => return exit::usage_error(why),
        // Clap prints help to standard output and errors to standard error, and knows their codes.
        Err(Refusal::Clap(error)) => error.exit(),
    };
    let done = match &command {
        Command::Run(args) => run::run(args, None),
        Command::Hyp(HypCommand::Run(args)) => run::run(&args.run, Some(&args.guests)),
        Command::Hyp(HypCommand::Check(args)) => check::run(args),
        Command::Hyp(HypCommand::KillTable(args)) => check::kill_table(args),
        Command::Hyp(HypCommand::DirtyLog(args)) => dirty::run(args),
        Command::Hyp(HypCommand::Migrate(args)) => migrate::run(args),
        Command::Test(args) => test::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Disasm(args) => disasm::run(args).map(|()| ExitCode::SUCCESS),
    };
    exit::unless_unread(done).unwrap_or_else(exit::usage_error)
}
