//! `cargo xtask`: chores. The words; the work is in the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::linux::{self, InputArgs, LinuxArgs};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Nestwalk workspace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Boot Debian's riscv64 kernel to a shell, or run a script in it
    Linux(LinuxArgs),
    /// Get the files that Linux boots need, and say where they are
    Inputs(InputArgs),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Linux(args) => linux::linux(&args),
        Chore::Inputs(args) => linux::show_inputs(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
