//! `cargo xtask test`: everything that must hold, in groups, with one closing line that says how much of it does.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::boots::BOOTS;
use crate::inputs;
use crate::linux;
use crate::norm::Coverage;
use crate::process::{self, say};
use crate::stories::STORIES;
use crate::tally::{Counts, Tally};
use crate::tools;

/// Machines that every guest program must pass on: shapes of TLB, and one with what only options bring.
const MACHINES: &[&[&str]] = &[
    &["--tlb", "default"],
    &["--tlb", "none"],
    &["--tlb", "adversarial"],
    &["--geilen", "3", "--test-device", "--isa", "rv64,ssdbltrp=on"],
];

/// Seconds that one guest program may take.
const GUEST_LIMIT_SECONDS: &str = "60";

/// The arguments of `cargo xtask test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Also run what takes long: boots with 4 harts, adversarial TLBs, Linux 6.12, disks, U-Boot, Linux
    /// under KVM
    #[arg(long)]
    full: bool,
    /// Run only these groups
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Group>,
}

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// The code's layout
    Format,
    /// Lints
    Lint,
    /// The manual's rules: each has a test, or a reason
    Norm,
    /// Unit and integration tests of the workspace
    Workspace,
    /// What only an optimised build shows: threads of operations on a small stack
    Release,
    /// Faults put in on purpose, on both sides of translation: each must be noticed
    Faults,
    /// The programs in riscv-tests/ on several machines of ours
    Guests,
    /// Boots of Linux
    Boots,
    /// Guests of Linux KVM in our machine
    Kvm,
}

/// `cargo xtask test`.
pub fn test(args: &TestArgs) -> Result<ExitCode> {
    let start = Instant::now();
    let mut tally = Tally::new(env::var("CI").is_ok_and(|value| value == "true"));
    say("tools");
    for (name, why) in tools::prepare() {
        tally.skip_required(&name, why);
    }
    for group in Group::value_variants() {
        if !args.groups.is_empty() && !args.groups.contains(group) {
            continue;
        }
        let (name, begun) = (group.name(), Instant::now());
        say(&name);
        let outcome = match group {
            Group::Format => cargo(&mut tally, &name, &["fmt", "--all", "--check"]),
            Group::Lint => cargo(
                &mut tally,
                &name,
                &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
            ),
            Group::Norm => norm(&mut tally, &name),
            Group::Workspace => workspace(&mut tally),
            Group::Release => cargo(
                &mut tally,
                &name,
                &["test", "--quiet", "--release", "-p", "nestwalk-cpu", "--test", "hart", "tiers"],
            ),
            Group::Faults => cargo(
                &mut tally,
                &name,
                &[
                    "test",
                    "--quiet",
                    "-p",
                    "nestwalk-hyp-check",
                    "--features",
                    "faults",
                    "--test",
                    "kill",
                ],
            ),
            Group::Guests => guests(&mut tally),
            Group::Boots => boots(&mut tally, args.full),
            Group::Kvm => kvm(&mut tally, args.full),
        };
        if let Err(error) = outcome {
            tally.fail(&name, format!("{error:#}"));
        }
        say(&format!("{name}: {} s", begun.elapsed().as_secs()));
    }
    println!("\n{} s\n{tally}", start.elapsed().as_secs());
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Group {
    /// As it is written on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn cargo(tally: &mut Tally, name: &str, args: &[&str]) -> Result<()> {
    process::run(process::cargo().current_dir(inputs::workspace()).args(args))?;
    tally.pass(name);
    Ok(())
}

/// Counts the manual's rules that have a test.
fn norm(tally: &mut Tally, name: &str) -> Result<()> {
    let coverage = Coverage::read()?;
    eprint!("{}", coverage.table());
    let wrong = coverage.wrong();
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    tally.pass(name);
    Ok(())
}

fn workspace(tally: &mut Tally) -> Result<()> {
    let mut command = process::cargo();
    command.current_dir(inputs::workspace()).env("PATH", tools::path_with_spike()?).args([
        "test",
        "--workspace",
        "--no-fail-fast",
        "--",
        "--show-output",
    ]);
    let mut counts = Counts::default();
    let status = process::lines(&mut command, |line| counts.add_cargo_line(line))?;
    tally.add(counts);
    if !status.success() && counts.failed == 0 {
        bail!("cargo test ended with {status}: a test program does not build or has crashed");
    }
    Ok(())
}

/// Builds the programs in `riscv-tests/` and runs each on every one of [`MACHINES`].
fn guests(tally: &mut Tally) -> Result<()> {
    let programs = inputs::workspace().join("target/riscv-tests");
    if process::find("riscv64-linux-gnu-gcc").is_none() {
        tally.skip_required("guests", "there is no compiler for them");
        return Ok(());
    }
    if programs.exists() {
        // A program whose source has gone must go too.
        fs::remove_dir_all(&programs)?;
    }
    let build = inputs::workspace().join("riscv-tests/build.sh");
    process::output(Command::new(build).arg(&programs))
        .context("the guest programs do not build")?;
    let nestwalk = linux::build_nestwalk()?;
    for machine in MACHINES {
        let counts = run_guests(&nestwalk, &programs, machine)?;
        if counts == Counts::default() {
            bail!("nestwalk test found no programs");
        }
        eprintln!(
            "    {}: {} passed, {} failed, {} skipped",
            machine.join(" "),
            counts.passed,
            counts.failed,
            counts.skipped
        );
        tally.add(counts);
    }
    Ok(())
}

fn run_guests(nestwalk: &Path, programs: &Path, machine: &[&str]) -> Result<Counts> {
    let mut command = Command::new(nestwalk);
    command.arg("test").arg(programs).args(["--format", "tap"]).args(machine);
    command.args(["--timeout", GUEST_LIMIT_SECONDS]);
    let watched = process::watch(&mut command, None, false)?;
    let report = String::from_utf8_lossy(&watched.stdout);
    let mut counts = Counts::default();
    report.lines().for_each(|line| counts.add_tap_line(line));
    let good = watched.status.is_some_and(|status| status.success());
    if !good {
        for line in report.lines().filter(|line| !line.starts_with("ok ")) {
            eprintln!("    {line}");
        }
        if counts.failed == 0 {
            let said = String::from_utf8_lossy(&watched.stderr);
            bail!("nestwalk test did not end well:\n{}", process::tail(&said));
        }
    }
    Ok(counts)
}

fn kvm(tally: &mut Tally, full: bool) -> Result<()> {
    if process::find(tools::CROSS_COMPILER).is_none() {
        tally.skip_required("kvm", "there is no compiler for its guests");
        return Ok(());
    }
    crate::kvm::test(&linux::build_nestwalk()?, full)?.add_to(tally);
    Ok(())
}

fn boots(tally: &mut Tally, full: bool) -> Result<()> {
    let nestwalk = linux::build_nestwalk()?;
    for boot in BOOTS.iter().filter(|boot| full || !boot.long) {
        match boot.run(&nestwalk) {
            Ok(elapsed) => tally.pass(&format!("{} ({:.1} s)", boot.name, elapsed.as_secs_f64())),
            Err(error) => tally.fail(boot.name, format!("{error:#}")),
        }
    }
    for story in STORIES.iter().filter(|story| full || !story.long) {
        match (story.play)(&nestwalk) {
            Ok(elapsed) => tally.pass(&format!("{} ({:.1} s)", story.name, elapsed.as_secs_f64())),
            Err(error) => tally.fail(story.name, format!("{error:#}")),
        }
    }
    Ok(())
}
