//! `cargo xtask bench`: the programs of benches/guest/ on our hart and on the other emulators that are installed, with
//! the same ELF.
//!
//! What is measured is processor time, user and system, of the whole process, less that of a run of no rounds: start-up,
//! and what a program prepares. Runs of the emulators follow each other, so that each pair of them saw the same load.
//! Instructions are what the program counted on our hart. Nothing here says what a result should be: the workspace's
//! tests do.

mod emulator;
mod programs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use crate::inputs;
use crate::linux;
use crate::process::{self, say};
use crate::tools;
use emulator::{Emulator, Kind, Run};
use programs::{PROGRAMS, Program, Unit};

/// The arguments of `cargo xtask bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Programs to run, by the beginnings of their names; all of them unless named
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
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
    /// Runs on each emulator
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Processor seconds that one run shall take, about
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    seconds: f64,
    /// Also write everything, each run by itself, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the programs
    #[arg(long)]
    list: bool,
}

/// One program's results.
#[derive(Debug, Serialize)]
struct Row {
    program: &'static str,
    /// Instructions of one round on our hart.
    instructions: f64,
    /// What one round has of what the program is about.
    events: u64,
    unit: &'static str,
    results: BTreeMap<Kind, Results>,
}

/// One program on one emulator.
#[derive(Debug, Serialize)]
struct Results {
    /// Rounds of each run.
    rounds: u64,
    /// Processor nanoseconds a round, start-up subtracted, run by run.
    nanoseconds: Vec<f64>,
    /// How many times as long as ours these took, run by run.
    times_ours: Vec<f64>,
}

/// `cargo xtask bench`.
pub fn bench(args: &BenchArgs) -> Result<ExitCode> {
    if args.list {
        for program in PROGRAMS {
            println!("{:14} {}", program.name, program.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<&Program> = PROGRAMS.iter().filter(|program| wanted(args, program)).collect();
    ensure!(!chosen.is_empty(), "no program's name begins so: --list names them");
    ensure!(args.seconds > 0.0, "--seconds must be more than 0");
    tools::need(&[tools::CROSS_COMPILER])?;
    let emulators = emulators(args)?;
    let folder = build()?;
    println!("{}", heading(&emulators));
    let mut rows = Vec::new();
    for program in chosen {
        let row = measure(args, program, &emulators, &folder)?;
        println!("{}", line(&row, &emulators));
        rows.push(row);
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&rows)?;
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(args: &BenchArgs, program: &Program) -> bool {
    let named = |name: &String| program.name.starts_with(name.as_str());
    args.programs.is_empty() || args.programs.iter().any(named)
}

/// Those that run; ours first.
fn emulators(args: &BenchArgs) -> Result<Vec<Emulator>> {
    let on = |kind: Kind| args.on.is_empty() || args.on.contains(&kind);
    let mut emulators = Vec::new();
    if on(Kind::Nestwalk) {
        let path = match &args.nestwalk {
            Some(path) => path.clone(),
            None => linux::build_nestwalk()?,
        };
        emulators.push(Emulator { kind: Kind::Nestwalk, path });
    }
    if on(Kind::Spike) {
        emulators.extend(found(Kind::Spike, args.spike.clone().or_else(|| tools::spike().ok())));
    }
    if on(Kind::Qemu) {
        let path = args.qemu.clone().or_else(|| process::find("qemu-system-riscv64"));
        emulators.extend(found(Kind::Qemu, path));
    }
    ensure!(!emulators.is_empty(), "none of these emulators is installed");
    Ok(emulators)
}

fn found(kind: Kind, path: Option<PathBuf>) -> Option<Emulator> {
    if path.is_none() {
        say(&format!("{} is not installed", kind.name()));
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
    let mut first: Option<Run> = None;
    for emulator in emulators {
        let (same, rounds) = plan(args, program, |rounds| run(emulator, rounds))?;
        if let Some(first) = &first {
            ensure!(
                first.found == same.found,
                "{}: {} found {:#x}, {} {:#x}",
                program.name,
                emulators[0].kind.name(),
                first.found,
                emulator.kind.name(),
                same.found
            );
        }
        first.get_or_insert(same);
        plans.push(rounds);
    }
    let mut times = vec![Vec::new(); emulators.len()];
    for _ in 0..args.pairs {
        for ((emulator, &rounds), times) in emulators.iter().zip(&plans).zip(&mut times) {
            let start = run(emulator, 0)?.seconds;
            let whole = run(emulator, rounds)?.seconds;
            times.push((whole - start).max(0.0) / rounds as f64 * 1e9);
        }
    }
    let _ = fs::remove_file(&copy);
    let instructions = first.map_or(0, |run| run.instructions) as f64 / program.least as f64;
    let ours = times[0].clone();
    let results =
        emulators.iter().zip(plans).zip(times).map(|((emulator, rounds), nanoseconds)| {
            let times_ours = nanoseconds.iter().zip(&ours).map(|(theirs, ours)| theirs / ours);
            (emulator.kind, Results { rounds, times_ours: times_ours.collect(), nanoseconds })
        });
    let unit = match program.unit {
        Unit::Instructions => "instructions",
        Unit::Events(name) => name,
    };
    let results = results.collect();
    Ok(Row { program: program.name, instructions, events: program.events, unit, results })
}

/// Finds how many rounds take the time they shall. Returns the run of the least number as well, which is the same on
/// every emulator.
fn plan(
    args: &BenchArgs,
    program: &Program,
    run: impl Fn(u64) -> Result<Run>,
) -> Result<(Run, u64)> {
    let start = run(0)?.seconds;
    let first = run(program.least)?;
    let (mut rounds, mut seconds) = (program.least, first.seconds);
    loop {
        let net = (seconds - start).max(0.0);
        if net >= args.seconds / 8.0 {
            let factor = (args.seconds / net).max(1.0);
            return Ok((first, (rounds as f64 * factor).round() as u64));
        }
        rounds = match rounds.checked_mul(if net < args.seconds / 100.0 { 8 } else { 3 }) {
            Some(rounds) => rounds,
            None => bail!("{} takes no time", program.name),
        };
        seconds = run(rounds)?.seconds;
    }
}

fn heading(emulators: &[Emulator]) -> String {
    let mut line = format!("{:14} {:>12}", "", "insns/round");
    for emulator in emulators {
        line += &format!(" {:>14}", emulator.kind.name());
    }
    for emulator in emulators.iter().skip(1) {
        line += &format!(
            "   {:>22}",
            format!("{} / {}", emulator.kind.name(), emulators[0].kind.name())
        );
    }
    line
}

/// MIPS or nanoseconds, the median of each emulator, and how the others compare with the first: median, least and greatest.
fn line(row: &Row, emulators: &[Emulator]) -> String {
    let mut line = format!("{:14} {:>12.0}", row.program, row.instructions);
    for emulator in emulators {
        let Some(results) = row.results.get(&emulator.kind) else { continue };
        let time = median(&results.nanoseconds);
        let shown = match row.unit {
            "instructions" => format!("{:.0} MIPS", row.instructions * 1e3 / time),
            unit => format!("{:.1} ns/{unit}", time / row.events as f64),
        };
        line += &format!(" {shown:>14}");
    }
    for emulator in emulators.iter().skip(1) {
        let Some(results) = row.results.get(&emulator.kind) else { continue };
        let of = |pick: fn(f64, f64) -> f64| results.times_ours.iter().copied().reduce(pick);
        let (least, greatest) = (of(f64::min).unwrap_or(0.0), of(f64::max).unwrap_or(0.0));
        line += &format!("   {:>7.2} [{least:>5.2}, {greatest:>6.2}]", median(&results.times_ours));
    }
    line
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn the_plan_reaches_the_time_asked_for() {
        let args = BenchArgs {
            programs: Vec::new(),
            on: Vec::new(),
            nestwalk: None,
            spike: None,
            qemu: None,
            pairs: 1,
            seconds: 0.5,
            json: None,
            list: false,
        };
        let program = Program { least: 10, ..PROGRAMS[0] };
        // A tenth of a second to start, a microsecond a round.
        let run = |rounds: u64| {
            Ok(Run { seconds: 0.1 + rounds as f64 * 1e-6, instructions: rounds * 7, found: rounds })
        };
        let (first, rounds) = plan(&args, &program, run).unwrap();
        assert_eq!(first.found, 10);
        assert!((499_000..=501_000).contains(&rounds), "{rounds}");
    }

    #[test]
    fn every_program_has_a_source() {
        for program in PROGRAMS {
            let source = format!("benches/guest/{}.c", program.name);
            assert!(inputs::workspace().join(&source).is_file(), "{source}");
        }
    }
}
