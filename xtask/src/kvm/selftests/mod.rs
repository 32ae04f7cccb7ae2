//! `cargo xtask kvm selftests`: the kernel's own tests of KVM, in our machine and in QEMU.
//!
//! * [`build`] the programs, from the kernel's source
//! * [`list`] which run, how, and what is expected
//! * [`report`] what came of it

pub mod build;
pub mod list;
pub mod report;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::initramfs::Extra;
use crate::inputs::{self, Inputs, Request, Suite};
use crate::kvm::session::{Machine, Session};
use crate::linux::{self, Firmware, InputArgs};
use crate::process::{self, say};
use build::Programs;
use list::Test;
use report::{Report, Run};

/// How much longer a test may take on QEMU, whose guest time is wall time.
const QEMU_PATIENCE: u32 = 20;

/// Wall time that all tests together may take on one machine, at normal patience.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// The arguments of `cargo xtask kvm selftests`.
#[derive(Args, Debug)]
pub struct SelftestsArgs {
    #[command(flatten)]
    inputs: InputArgs,
    /// What runs in M-mode; QEMU always gets OpenSBI
    #[arg(long, value_enum, default_value_t = Firmware::Builtin)]
    firmware: Firmware,
    /// Number of harts
    #[arg(long, default_value_t = 2, value_name = "N")]
    harts: u32,
    /// RAM, with a unit
    #[arg(long, default_value = "3G", value_name = "SIZE")]
    memory: String,
    /// Do not run the tests on QEMU as well
    #[arg(long)]
    no_qemu: bool,
    /// Multiply the time limits, for slow settings such as a low --cpu-hz
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    patience: u32,
    /// Show the whole console
    #[arg(long, short)]
    verbose: bool,
    /// Run only tests whose command contains one of these
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
    /// More arguments for `nestwalk run`
    #[arg(last = true, value_name = "ARG")]
    extra: Vec<String>,
}

/// A few short tests that between them start a guest, list its registers, split huge pages and log dirty pages.
const SHORT: &[&str] = &[
    "guest_print_test",
    "get-reg-list",
    "dirty_log_perf_test -m SV39 -b 16M -s anonymous_hugetlb_2mb -g",
    "dirty_log_test -M dirty-ring",
];

/// Harts of the machine that runs [`SHORT`].
const SHORT_HARTS: u32 = 2;

/// What is the same for all machines.
struct Bench<'a> {
    inputs: &'a Inputs,
    programs: &'a Programs,
    tests: &'a [Test],
    firmware: Firmware,
    harts: u32,
    memory: &'a str,
    extra: &'a [String],
    patience: u32,
    verbose: bool,
}

/// `cargo xtask kvm selftests`.
pub fn selftests(args: &SelftestsArgs) -> Result<ExitCode> {
    if args.inputs.suite != Suite::Sid {
        bail!("what is expected of the tests is only known for sid's kernel");
    }
    let tests = list::choose(&args.tests, args.harts)?;
    let inputs = linux::get(&args.inputs)?;
    let programs = build::get(&inputs, &args.inputs.request())?;
    let bench = Bench {
        inputs: &inputs,
        programs: &programs,
        tests: &tests,
        firmware: args.firmware,
        harts: args.harts,
        memory: &args.memory,
        extra: &args.extra,
        patience: args.patience,
        verbose: args.verbose,
    };
    say("building nestwalk");
    let nestwalk = linux::build_nestwalk()?;
    let ours = bench.run(&nestwalk, Machine::Nestwalk(nestwalk.clone()), 1)?;
    let qemu = match process::find("qemu-system-riscv64") {
        _ if args.no_qemu => None,
        None => {
            say("not on QEMU: there is no qemu-system-riscv64 (Debian package qemu-system-misc)");
            None
        }
        Some(qemu) => Some(bench.run(&qemu, Machine::Qemu, QEMU_PATIENCE)?),
    };
    let mut origin = programs.origin.clone();
    origin.push(bench.settings());
    if qemu.is_some() {
        origin.push("OpenSBI and -cpu rv64,h=true on QEMU".to_owned());
    }
    conclude(&Report { tests: tests.clone(), origin, ours, qemu })
}

/// Runs a few short tests on our machine alone; an error tells what is not as expected.
pub fn check(nestwalk: &Path) -> Result<Duration> {
    let request = Request::new(Suite::Sid);
    let inputs = Inputs::get(&request)?;
    let programs = build::get(&inputs, &request)?;
    let short: Vec<String> = SHORT.iter().map(|&text| text.to_owned()).collect();
    let tests = list::choose(&short, SHORT_HARTS)?;
    let bench = Bench {
        inputs: &inputs,
        programs: &programs,
        tests: &tests,
        firmware: Firmware::Builtin,
        harts: SHORT_HARTS,
        memory: "2G",
        extra: &[],
        patience: 1,
        verbose: false,
    };
    let ours = bench.run(nestwalk, Machine::Nestwalk(nestwalk.to_owned()), 1)?;
    let elapsed = Duration::from_secs_f64(ours.wall_seconds);
    let wrong = Report { tests: tests.clone(), origin: Vec::new(), ours, qemu: None }.wrong();
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(elapsed)
}

/// The files and the script that run one command of a test, which is in no list, in a machine with `session::PREAMBLE`.
pub fn one(inputs: &Inputs, request: &Request, command: &str) -> Result<(Vec<Extra>, String)> {
    let programs = build::get(inputs, request)?;
    let test = Test {
        limit_seconds: 3600,
        expected: list::Verdict::Pass.into(),
        harts: 1,
        command: command.to_owned(),
        why: None,
    };
    let from = programs.directory.join(test.program());
    let file = Extra::copy(&format!("{}/{}", list::FOLDER, test.program()), 0o755, &from)?;
    Ok((vec![file], list::script(&[test], 1)))
}

/// Shows and writes the report; the tests' success is ours.
fn conclude(report: &Report) -> Result<ExitCode> {
    let folder = inputs::workspace().join("target/kvm");
    report.write(&folder)?;
    println!("{}\n{}", report.table(), report.notes());
    say(&format!("written to {}", folder.join("selftests.{md,json}").display()));
    let wrong = report.wrong();
    for text in &wrong {
        println!("not as expected: {text}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Bench<'_> {
    /// Runs the tests on one machine, whose program is `executable`.
    fn run(&self, executable: &Path, machine: Machine, patience: u32) -> Result<Run> {
        let version = process::output(Command::new(executable).arg("--version"))?;
        let version = version.lines().next().unwrap_or_default().to_owned();
        say(&format!("{} tests on {version}", self.tests.len()));
        let patience = self.patience.saturating_mul(patience);
        let session = Session {
            inputs: self.inputs,
            firmware: self.firmware,
            harts: self.harts,
            memory: self.memory,
            files: &self.files()?,
            script: &list::script(self.tests, patience),
            extra: self.extra,
            limit: LIMIT.saturating_mul(self.patience),
            verbose: self.verbose,
        };
        Run::read(version, self.tests, &session.run(&machine)?)
    }

    /// The programs that these tests call, as files for the machine.
    fn files(&self) -> Result<Vec<Extra>> {
        let mut names: Vec<&str> = self.tests.iter().map(Test::program).collect();
        names.sort_unstable();
        names.dedup();
        let directory = &self.programs.directory;
        let copy = |name: &str| {
            let path = format!("{}/{name}", list::FOLDER);
            Extra::copy(&path, 0o755, &directory.join(name)).with_context(|| {
                format!("{name} was not built; see {}", directory.join(build::LOG).display())
            })
        };
        names.into_iter().map(copy).collect()
    }

    /// What was run with what, in a line.
    fn settings(&self) -> String {
        let firmware = match self.firmware {
            Firmware::Builtin => "built-in firmware",
            Firmware::Opensbi => "OpenSBI",
        };
        let plural = if self.harts == 1 { "" } else { "s" };
        let mut text =
            format!("{} hart{plural}, {}, {firmware} on Nestwalk", self.harts, self.memory);
        for word in self.extra {
            text.push(' ');
            text.push_str(word);
        }
        text
    }
}
