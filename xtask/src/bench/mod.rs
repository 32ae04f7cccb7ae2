//! `cargo xtask bench`: the programs of benches/guest/ on our hart and on the other emulators that are installed, with
//! the same ELF.
//!
//! What is measured is processor time, user and system, of the whole process from the line with which a program has prepared
//! what it needs to the line with its result. Runs of the emulators follow each other, so that each pair of them saw the same load.
//! Instructions are what the program counted on our hart. Nothing here says what a result should be: the workspace's
//! tests do.
//!
//! * `programs`: the programs; `plan`: how often each does its work; `emulator`: how it is run
//! * `linux`: boots of Linux, from power-on
//! * `watch`: processor time at lines of the console; `table`: what comes out

mod emulator;
mod linux;
mod plan;
mod programs;
mod table;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::inputs;
use crate::linux::{InputArgs, build_nestwalk};
use crate::process::{self, say};
use crate::qemu;
use crate::tools;
use emulator::{Emulator, Kind, Run};
use programs::{PROGRAMS, Program, Unit};
use table::{Report, Results, Row};

/// The arguments of `cargo xtask bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Rows to measure, by the beginnings of their names; all programs unless named
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Boots of Linux instead of programs, as far as no rows are named
    #[arg(long)]
    linux: bool,
    /// Only these emulators: nestwalk, spike, qemu
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    on: Vec<Kind>,
    /// Another build of Nestwalk than this tree's, for a comparison over time
    #[arg(long, value_name = "FILE")]
    nestwalk: Option<PathBuf>,
    /// Another Spike
    #[arg(long, value_name = "FILE")]
    spike: Option<PathBuf>,
    /// Another qemu-system-riscv64
    #[arg(long, value_name = "FILE")]
    qemu: Option<PathBuf>,
    /// Install QEMU where it is missing: Debian, as root; 12 has it in its backports. Spike is fetched anyway
    #[arg(long)]
    install: bool,
    /// Runs on each emulator: 5 unless told otherwise, 3 of a boot
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pairs: Option<u32>,
    /// Processor seconds that one run of a program shall take, about
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Also write everything, each run by itself, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the rows
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    inputs: InputArgs,
}

/// Runs of a program on each emulator.
const PROGRAM_PAIRS: u32 = 5;

/// Runs of a boot on each emulator.
const BOOT_PAIRS: u32 = 3;

/// `cargo xtask bench`.
pub fn bench(args: &BenchArgs) -> Result<ExitCode> {
    if args.list {
        for program in PROGRAMS {
            println!("{:16} {}", program.name, program.what);
        }
        println!("\nwith --linux, or by name:");
        for (name, what) in linux::rows() {
            println!("{name:16} {what}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let programs: Vec<&Program> =
        PROGRAMS.iter().filter(|program| args.wants(program.name, !args.linux)).collect();
    let boots = linux::chosen(|name| args.wants(name, args.linux));
    ensure!(
        !programs.is_empty() || !boots.is_empty(),
        "no row's name begins so: --list names them"
    );
    ensure!(
        args.seconds > 0.0 && args.seconds <= 60.0,
        "--seconds must be more than 0, at most 60"
    );
    for path in [&args.nestwalk, &args.spike, &args.qemu].into_iter().flatten() {
        ensure!(path.is_file(), "{} is no file", path.display());
    }
    if let Some(path) = &args.json {
        // What has taken an hour must not be lost to a wrong name.
        fs::write(path, "").with_context(|| path.display().to_string())?;
    }
    tools::need(&[tools::CROSS_COMPILER])?;
    let emulators = emulators(args)?;
    let mut report = Report {
        emulators: emulators.iter().map(|one| (one.kind, one.version())).collect(),
        settings: Vec::new(),
        rows: Vec::new(),
    };
    for (kind, version) in &report.emulators {
        println!("{:16} {version}", kind.name());
    }
    if !programs.is_empty() {
        report.settings.push(format!("programs: {}, no firmware, 1 GiB", emulator::ISA));
        println!("\n{}\n{}", report.settings[0], table::heading(&emulators));
        let folder = build()?;
        for program in programs {
            let row = measure(args, program, &emulators, &folder)?;
            println!("{}", row.line(&emulators));
            report.rows.push(row);
        }
    }
    if !boots.is_empty() {
        linux::measure(args, &boots, &emulators, &mut report)?;
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl BenchArgs {
    /// Whether the row of this name is measured; `unnamed` is what holds where no row was named.
    fn wants(&self, row: &str, unnamed: bool) -> bool {
        match self.rows.as_slice() {
            [] => unnamed,
            named => named.iter().any(|name| row.starts_with(name.as_str())),
        }
    }

    /// Whether this emulator was named by `--on`.
    fn names(&self, kind: Kind) -> bool {
        self.on.contains(&kind)
    }
}

/// Those that run; ours first.
fn emulators(args: &BenchArgs) -> Result<Vec<Emulator>> {
    let on = |kind: Kind| args.on.is_empty() || args.on.contains(&kind);
    let mut emulators = Vec::new();
    if on(Kind::Nestwalk) {
        let path = match &args.nestwalk {
            Some(path) => path.clone(),
            None => build_nestwalk()?,
        };
        emulators.push(Emulator { kind: Kind::Nestwalk, path });
    }
    if on(Kind::Spike) {
        emulators.extend(found(Kind::Spike, args.spike.clone().or_else(|| tools::spike().ok())));
    }
    if on(Kind::Qemu) {
        let path = match &args.qemu {
            Some(path) => Some(path.clone()),
            None if args.install => Some(qemu::installed()?),
            None => qemu::find(),
        };
        emulators.extend(found(Kind::Qemu, path));
    }
    ensure!(!emulators.is_empty(), "none of these emulators is installed");
    Ok(emulators)
}

fn found(kind: Kind, path: Option<PathBuf>) -> Option<Emulator> {
    if path.is_none() {
        let hint = if kind == Kind::Qemu { ": --install installs it" } else { "" };
        say(&format!("{} is not installed{hint}", kind.name()));
    }
    path.map(|path| Emulator { kind, path })
}

/// Builds the programs; where they are then.
fn build() -> Result<PathBuf> {
    let folder = inputs::workspace().join("target/bench");
    let script = inputs::workspace().join("benches/guest/build.sh");
    process::output(Command::new(script).arg(&folder))?;
    Ok(folder)
}

/// Runs one program on each emulator, again and again.
fn measure(
    args: &BenchArgs,
    program: &Program,
    emulators: &[Emulator],
    folder: &Path,
) -> Result<Row> {
    let elf = folder.join(program.name);
    let elf = fs::read(&elf).with_context(|| elf.display().to_string())?;
    let copy = folder.join(format!("{}.run", program.name));
    let run = |emulator: &Emulator, rounds: u64| -> Result<Run> {
        fs::write(&copy, programs::with_rounds(&elf, rounds)?)?;
        emulator.run(&copy).with_context(|| format!("{} on {}", program.name, emulator.kind.name()))
    };
    let mut plans = Vec::new();
    for emulator in emulators {
        let plan = plan::plan(args.seconds, program.least, |rounds| run(emulator, rounds))?;
        plans.push(plan);
        let (ours, theirs) = (plans[0].least.found, plan.least.found);
        ensure!(
            ours == theirs,
            "{}: {} found {ours:#x}, {} {theirs:#x}",
            program.name,
            emulators[0].kind.name(),
            emulator.kind.name(),
        );
    }
    let mut results = BTreeMap::new();
    for _ in 0..args.pairs.unwrap_or(PROGRAM_PAIRS) {
        for (emulator, plan) in emulators.iter().zip(&plans) {
            let one = run(emulator, plan.rounds)?;
            let all: &mut Results = results.entry(emulator.kind).or_default();
            all.rounds = plan.rounds;
            all.seconds.push(one.seconds);
            all.process_seconds.push(one.process);
            all.nanoseconds.push(one.seconds / plan.rounds as f64 * 1e9);
        }
    }
    let _ = fs::remove_file(&copy);
    let instructions = plans[0].least.instructions as f64 / program.least as f64;
    let unit = match program.unit {
        Unit::Instructions => "instructions",
        Unit::Events(name) => name,
    };
    let instructions = Some(instructions);
    let mut row = Row { name: program.name, instructions, events: program.events, unit, results };
    row.compare(emulators[0].kind);
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_source() {
        for program in PROGRAMS {
            let source = format!("benches/guest/{}.c", program.name);
            assert!(inputs::workspace().join(&source).is_file(), "{source}");
        }
    }
}
