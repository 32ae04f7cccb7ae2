//! `cargo xtask kvm`: guests of Linux KVM inside our machine.
//!
//! Debian's kernel boots, loads kvm.ko, and our small virtual machine monitor (`riscv-tests/kvm/`) starts guests in it.
//!
//! * [`session`] one boot with a script and files, watched
//! * [`guests`] a bare guest, and Linux in Linux
//! * [`dirty`] the dirty log of huge pages, compared with what the machine saw from [`outside`]
//! * [`costs`] what its paths take in instructions
//! * [`breakdown`] what the cycles of a fault in the dirty log go to, on a modelled core
//! * [`debugged`] a debugger at a guest-page fault of a guest
//! * [`pmu`] performance events as the kernel counts them
//! * [`perf`] Debian's perf, with the numbers that it shows
//! * [`report`] rows with what each cost
//! * [`selftests`] the kernel's own tests of KVM

pub mod breakdown;
pub mod costs;
pub mod debugged;
pub mod dirty;
pub mod guests;
pub mod outside;
pub mod perf;
pub mod pmu;
pub mod report;
pub mod selftests;
pub mod session;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::initramfs::Extra;
use crate::inputs::{self, Inputs, Request, Suite};
use crate::linux::{self, Firmware, InputArgs};
use crate::process::{self, say};
use crate::tools;

use self::report::Report;
use self::session::{Machine, Session};

/// The arguments of `cargo xtask kvm`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct KvmArgs {
    #[command(subcommand)]
    chore: Option<Chore>,
    #[command(flatten)]
    inputs: InputArgs,
    /// What to run; bare, linux and the short part of dirty unless said otherwise
    #[arg(value_enum, value_name = "WHAT")]
    what: Vec<What>,
    /// Number of harts
    #[arg(long, default_value_t = 1, value_name = "N")]
    harts: u32,
    /// Number of vCPUs of a Linux guest
    #[arg(long, default_value_t = 1, value_name = "N")]
    vcpus: u32,
    /// What runs in M-mode
    #[arg(long, value_enum, default_value_t = Firmware::Builtin)]
    firmware: Firmware,
    /// RAM, with a unit
    #[arg(long, default_value = "2G", value_name = "SIZE")]
    memory: String,
    /// The architectural TLB: none, default, adversarial, or a file
    #[arg(long, value_name = "SHAPE")]
    tlb: Option<String>,
    /// Start a Linux guest and leave its shell to you
    #[arg(long, conflicts_with = "what")]
    shell: bool,
    /// Run everything on QEMU as well, to compare times
    #[arg(long)]
    qemu: bool,
    /// Show the machine's whole console
    #[arg(long)]
    verbose: bool,
    /// More arguments for `nestwalk run`
    #[arg(last = true, value_name = "ARG")]
    extra: Vec<String>,
}

/// What has arguments of its own.
#[derive(Subcommand, Debug)]
enum Chore {
    /// Run the kernel's KVM selftests here and on QEMU, and show a table
    Selftests(selftests::SelftestsArgs),
}

/// A part of the command's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// A guest without an operating system prints a line
    Bare,
    /// The same kernel as a guest, to its own user space
    Linux,
    /// Dirty logging splits huge pages; the log is compared with what the machine saw
    Dirty,
    /// Instructions of KVM's paths from an exit to the entry after it
    Costs,
    /// Cycles of a write to a page of the dirty log, from the fault to the write made again: with a split, and without. On cva6
    /// unless `-- --core CORE` says otherwise
    Split,
    /// Performance events of the kernel, around known work and in a guest, on cva6 unless `-- --core CORE` says otherwise
    Pmu,
    /// Debian's perf counts a known program, samples and shows the exits of a guest, on cva6 unless `-- --core CORE` says otherwise
    Perf,
    /// GDB stops at a guest-page fault of a guest and follows it into the handler and back
    Debug,
    /// Everything, with 1 and 2 vCPUs, on 1 and 4 harts, with both firmwares
    All,
}

/// What every run needs, made once.
pub struct Kit<'a> {
    /// Kernel, busybox, modules, firmware.
    pub inputs: &'a Inputs,
    /// Our command.
    pub nestwalk: &'a Path,
    /// Our virtual machine monitor, as a file for the machine.
    pub vmm: Extra,
    /// RAM, with a unit.
    pub memory: &'a str,
    /// More arguments of `nestwalk run`.
    pub extra: Vec<String>,
    /// Run on QEMU as well.
    pub qemu: bool,
    /// Show the whole console.
    pub verbose: bool,
}

/// The shape of a machine: what `--harts`, `--vcpus` and `--firmware` say.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of harts.
    pub harts: u32,
    /// Number of vCPUs of a Linux guest.
    pub vcpus: u32,
    /// What runs in M-mode.
    pub firmware: Firmware,
}

impl Shape {
    /// The machine in words: "4 harts, OpenSBI".
    pub fn machine(self) -> String {
        let firmware = match self.firmware {
            Firmware::Builtin => "builtin firmware",
            Firmware::Opensbi => "OpenSBI",
        };
        format!("{}, {firmware}", plural(self.harts, "hart"))
    }
}

fn plural(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `cargo xtask kvm`.
pub fn kvm(args: &KvmArgs) -> Result<ExitCode> {
    if let Some(Chore::Selftests(args)) = &args.chore {
        return selftests::selftests(args);
    }
    tools::need(&[tools::CROSS_COMPILER, tools::CROSS_LIBC])?;
    let inputs = linux::get(&args.inputs)?;
    say("building nestwalk and vmm");
    let nestwalk = linux::build_nestwalk()?;
    let mut kit = Kit::new(&inputs, &nestwalk)?;
    kit.memory = &args.memory;
    kit.qemu = args.qemu;
    kit.verbose = args.verbose;
    if let Some(tlb) = &args.tlb {
        kit.extra.extend(["--tlb".to_owned(), tlb.clone()]);
    }
    kit.extra.extend(args.extra.iter().cloned());
    let shape = Shape { harts: args.harts, vcpus: args.vcpus, firmware: args.firmware };
    if args.shell {
        return guests::shell(&kit, shape);
    }
    let what: &[What] = if args.what.is_empty() { &[What::Bare, What::Linux] } else { &args.what };
    let mut report = Report::default();
    for part in what {
        match part {
            What::Bare => guests::bare(&kit, shape, &mut report),
            What::Linux => guests::linux(&kit, shape, &mut report),
            What::Dirty => dirty::run(&kit, shape, !args.what.is_empty(), &mut report),
            What::Costs => costs::run(&kit, shape, &mut report),
            What::Split => breakdown::run(&kit, shape, &mut report),
            What::Pmu => pmu::run(&kit, shape, &mut report),
            What::Perf => perf::run(&kit, shape, &args.inputs.request(), &mut report),
            What::Debug => debugged::run(&kit, shape, &mut report),
            What::All => all(&kit, &mut report),
        }
    }
    println!("\n{report}");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `cargo xtask test` runs: a nested guest that prints a line and a short check of the dirty log; everything if
/// that is wanted.
pub fn test(nestwalk: &Path, full: bool) -> Result<Report> {
    let inputs = Inputs::get(&Request::new(Suite::Sid))?;
    let kit = Kit::new(&inputs, nestwalk)?;
    let mut report = Report::default();
    if full {
        all(&kit, &mut report);
    } else {
        let shape = Shape { harts: 1, vcpus: 1, firmware: Firmware::Builtin };
        guests::bare(&kit, shape, &mut report);
        debugged::run(&kit, shape, &mut report);
        dirty::run(&kit, shape, false, &mut report);
    }
    Ok(report)
}

/// Everything, on every shape of machine.
fn all(kit: &Kit<'_>, report: &mut Report) {
    for firmware in [Firmware::Builtin, Firmware::Opensbi] {
        for harts in [1, 4] {
            guests::bare(kit, Shape { harts, vcpus: 1, firmware }, report);
            for vcpus in [1, 2] {
                guests::linux(kit, Shape { harts, vcpus, firmware }, report);
            }
        }
    }
    for (harts, firmware) in [(1, Firmware::Builtin), (4, Firmware::Opensbi)] {
        debugged::run(kit, Shape { harts, vcpus: 1, firmware }, report);
    }
    dirty::run(kit, Shape { harts: 1, vcpus: 1, firmware: Firmware::Builtin }, true, report);
    dirty::run(kit, Shape { harts: 4, vcpus: 1, firmware: Firmware::Opensbi }, false, report);
}

impl<'a> Kit<'a> {
    /// Builds vmm; everything else is as usual.
    pub fn new(inputs: &'a Inputs, nestwalk: &'a Path) -> Result<Kit<'a>> {
        let vmm = Extra::copy("bin/vmm", 0o755, &build_vmm()?)?;
        let extra = Vec::new();
        Ok(Kit { inputs, nestwalk, vmm, memory: "2G", extra, qemu: false, verbose: false })
    }

    /// A session on a machine of this shape, with vmm and `files` in it.
    pub fn session<'b>(&'b self, shape: Shape, files: &'b [Extra], script: &'b str) -> Session<'b> {
        Session {
            inputs: self.inputs,
            firmware: shape.firmware,
            harts: shape.harts,
            memory: self.memory,
            files,
            script,
            extra: &self.extra,
            limit: LIMIT,
            verbose: self.verbose,
        }
    }

    /// Our machine, and QEMU if it is wanted.
    pub fn machines(&self) -> Vec<Machine> {
        let qemu = self.qemu.then_some(Machine::Qemu);
        [Machine::Nestwalk(self.nestwalk.to_owned())].into_iter().chain(qemu).collect()
    }
}

/// How long a session may take, unless it says otherwise: some twenty times what it needs, for a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// Cross-builds vmm and returns where it is.
fn build_vmm() -> Result<PathBuf> {
    let folder = inputs::workspace().join("target/kvm");
    std::fs::create_dir_all(&folder)?;
    let vmm = folder.join("vmm");
    let build = inputs::workspace().join("riscv-tests/kvm/build.sh");
    process::output(Command::new(build).arg(&vmm))?;
    Ok(vmm)
}
