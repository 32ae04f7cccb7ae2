//! The command line: our own grammar, the words of QEMU and Spike, and configuration files.
//!
//! Parsing has no effects but reading the configuration file; it ends in values that the commands
//! take, or in a usage error (exit code 2).

mod calibrate;
mod check;
mod choices;
mod dialect;
mod dirty;
mod guests;
mod keys;
mod migrate;
mod nearest;
mod options;
mod qemu;
mod settings;
mod spike;
mod values;

pub(crate) use calibrate::CalibrateArgs;
pub(crate) use check::{CheckArgs, KillTableArgs};
pub(crate) use choices::{Bios, Console, Disk, DiskWrites, Net, Rtc, Tlb};
pub(crate) use dirty::{DirtyLogArgs, Pattern};
pub(crate) use guests::GuestOptions;
pub(crate) use migrate::{Address, MigrateArgs, Over};
pub(crate) use options::{Clock, LogFormat, MachineOptions, Misaligned, RunOptions, Timing};
pub(crate) use settings::print as print_settings;
pub(crate) use values::Hertz;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A RISC-V machine built around the hypervisor extension.
#[derive(Parser, Debug)]
#[command(
    name = "nestwalk",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Exit codes: that of the guest (low 8 bits); 2 usage; 70 internal error; 124 limit \
                  reached or no way to go on; 128+N ended by signal N."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Boot a kernel or run a bare ELF file
    Run(Box<RunArgs>),
    /// The embedded hypervisor
    #[command(subcommand)]
    Hyp(HypCommand),
    /// Run test programs, files or folders of them, and print the results
    Test(Box<TestArgs>),
    /// Run programs whose cycles were measured, and print how far off the models of cores are
    Calibrate(CalibrateArgs),
    /// Disassemble an ELF file or hexadecimal words
    Disasm(DisasmArgs),
}

/// What to do with the embedded hypervisor.
#[derive(Subcommand, Debug)]
pub(crate) enum HypCommand {
    /// Boot a kernel or run a bare ELF file in VS-mode, alone or several times; --memory is a guest's, and so
    /// is the console (SBI's DBCN: earlycon=sbi console=hvc0)
    Run(Box<HypRunArgs>),
    /// Compare policies of dirty logging: the same guest under each, brought up to date in rounds as a migration does
    DirtyLog(Box<DirtyLogArgs>),
    /// Run random schedules of guests, hypervisor and harts, and check each against the others
    Check(CheckArgs),
    /// Put in one fault after the other, on either side, and print what notices (needs a build with faults)
    KillTable(KillTableArgs),
    /// Move a guest from machine to machine while it runs, and compare the two sides each time
    Migrate(Box<MigrateArgs>),
}

/// `nestwalk hyp run`.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct HypRunArgs {
    #[command(flatten)]
    pub(crate) guests: GuestOptions,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// `nestwalk run`.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) machine: MachineOptions,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// TOML file with any of these options; the command line wins
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
}

/// What can be printed in place of a run.
#[derive(Args, Debug)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Shown {
    /// Prints all options as they are in effect, as a file for --config, and exits
    #[arg(long)]
    pub(crate) dump_config: bool,
    /// Writes the device tree blob to a file and exits
    #[arg(long, value_name = "FILE")]
    pub(crate) dump_dtb: Option<PathBuf>,
    /// Prints the device tree as source and exits
    #[arg(long)]
    pub(crate) dump_dts: bool,
    /// Prints the physical memory map and exits
    #[arg(long)]
    pub(crate) dump_map: bool,
}

/// `nestwalk test`.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct TestArgs {
    /// ELF files, and folders that are searched for them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How to print the results
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: ReportFormat,
    /// Programs to run at the same time [default: number of processors]
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Folder for each program's signature, as PROGRAM.signature: what it left between its symbols
    /// begin_signature and end_signature. Programs without them leave none
    #[arg(long, value_name = "FOLDER")]
    pub(crate) signature: Option<PathBuf>,
    /// Bytes in a line of a signature [default: 4]
    #[arg(long, value_name = "BYTES")]
    pub(crate) signature_granularity: Option<u8>,
    #[command(flatten)]
    pub(crate) machine: MachineOptions,
}

/// How `nestwalk test` prints results.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReportFormat {
    /// For people.
    Table,
    /// Test Anything Protocol, version 14.
    Tap,
    /// JUnit's XML.
    Junit,
}

/// `nestwalk disasm`.
#[derive(Args, Debug)]
pub(crate) struct DisasmArgs {
    /// An ELF file, or instructions as hexadecimal words such as 00a28293
    #[arg(required = true, value_name = "FILE|HEX")]
    pub(crate) inputs: Vec<OsString>,
    /// Address of the first hexadecimal word
    #[arg(long, value_name = "ADDR", default_value = "0")]
    pub(crate) address: values::Address,
}

/// Why a command line was refused, ready to print.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A usage error.
    Usage(String),
    /// What clap has to say: errors, and also help and version texts.
    Clap(Box<clap::Error>),
}

impl From<values::ValueError> for Refusal {
    fn from(error: values::ValueError) -> Self {
        Self::Usage(error.0)
    }
}

/// The command that `args`, without the program's name, asks for.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Command, Refusal> {
    let mut grammar = grammar();
    let mut words = args.into_iter();
    let mut ours: Vec<OsString> = vec!["nestwalk".into()];
    if let Some(first) = words.next() {
        let dialects = ["run", "test"].iter().find(|name| first == **name);
        let rest = match dialects.and_then(|name| grammar.find_subcommand(name)) {
            Some(subcommand) => dialect::translate(words, subcommand)?,
            None if first == "hyp" => {
                let second: Vec<OsString> = words.by_ref().take(1).collect();
                let name = second.first().and_then(|name| name.to_str()).unwrap_or_default();
                let hyp = grammar.find_subcommand("hyp");
                let known = hyp.and_then(|hyp| hyp.find_subcommand(name));
                let rest = match known {
                    Some(subcommand) => dialect::translate(words, subcommand)?,
                    None => words.collect(),
                };
                second.into_iter().chain(rest).collect()
            }
            None => {
                check_command(&grammar, &first)?;
                words.collect()
            }
        };
        ours.push(first);
        ours.extend(rest);
    }
    let clap = |error: clap::Error| Refusal::Clap(Box::new(error));
    let matches = grammar.try_get_matches_from_mut(ours).map_err(clap)?;
    let mut command = Cli::from_arg_matches(&matches).map_err(clap)?.command;
    let run = match &mut command {
        Command::Run(run) => Some(&mut **run),
        Command::Hyp(HypCommand::Run(args)) => Some(&mut args.run),
        Command::Hyp(HypCommand::Migrate(args)) => Some(&mut args.run),
        Command::Hyp(HypCommand::DirtyLog(_) | HypCommand::Check(_) | HypCommand::KillTable(_))
        | Command::Test(_)
        | Command::Calibrate(_)
        | Command::Disasm(_) => None,
    };
    if let Some(run) = run
        && let Some(path) = &run.config
    {
        let (machine, options) = settings::load(path)?;
        run.machine = std::mem::take(&mut run.machine).over(machine);
        run.run = std::mem::take(&mut run.run).over(options);
    }
    Ok(command)
}

/// Refuses what is neither a command nor a question, with what was probably meant.
fn check_command(grammar: &clap::Command, first: &OsStr) -> Result<(), Refusal> {
    let text = first.to_string_lossy();
    let known: Vec<&str> = grammar.get_subcommands().map(clap::Command::get_name).collect();
    let asks = ["-h", "--help", "-V", "--version"];
    if known.contains(&&*text) || asks.contains(&&*text) {
        return Ok(());
    }
    let hint = match nearest::nearest(&text, &known) {
        Some(command) => format!("; did you mean '{command}'?"),
        None => format!("; to run it, write 'nestwalk run {text} ...'"),
    };
    Err(Refusal::Usage(format!("'{text}' is no command{hint}")))
}

/// Clap's description of everything, with the tables of the other dialects in the help of `run`.
fn grammar() -> clap::Command {
    let dialects = format!(
        "Words of QEMU that are understood:\n{}\nWords of Spike that are understood:\n{}\n\
         Ctrl-A x ends a run from the console, Ctrl-A h lists the other keys.",
        dialect::help_lines(qemu::WORDS),
        dialect::help_lines(spike::WORDS)
    );
    let mut grammar = Cli::command().mut_subcommand("run", |run| run.after_long_help(dialects));
    grammar.build();
    grammar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_the_defaults_that_hold() {
        let grammar = grammar();
        let run = grammar.find_subcommand("run").unwrap();
        let defaults = settings::print(
            &MachineOptions::default().resolved(),
            &RunOptions::default().resolved(),
        );
        let table: toml::Table = defaults.unwrap().parse().unwrap();
        let mut told = 0;
        for arg in run.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let Some((_, default)) = help.split_once("[default: ") else { continue };
            let default = default.trim_end_matches(']').split([' ', ',']).next().unwrap();
            let name = arg.get_long().unwrap();
            let value = match table.get(name) {
                Some(toml::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                // The environment has a say in this one.
                None if name == "trace-filter" => continue,
                None => panic!("{name} has no default"),
            };
            assert_eq!(value, default, "{name}");
            told += 1;
        }
        assert!(told >= 10, "{told}");
    }

    #[test]
    fn the_grammar_is_sound() {
        grammar().debug_assert();
    }
}
