//! `cargo xtask`: chores. The words; the work is in the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::bench::{self, BenchArgs};
use xtask::hyp::{self, HypArgs};
use xtask::kvm::{self, KvmArgs};
use xtask::linux::{self, InputArgs, LinuxArgs};
use xtask::lockstep::{self, LockstepArgs};
use xtask::norm::{self, NormArgs};
use xtask::test::{self, TestArgs};

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Chores of the Nestwalk workspace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Boot Debian's riscv64 kernel to a shell, or run a script in it
    Linux(LinuxArgs),
    /// Run guests of Linux KVM in our machine
    Kvm(KvmArgs),
    /// Run Linux as a guest of the embedded hypervisor: dirty logs on and off, moves
    Hyp(HypArgs),
    /// Run every test; installs what tests need where that is possible
    Test(TestArgs),
    /// Run guest programs on our hart and on Spike, instruction by instruction
    Lockstep(LockstepArgs),
    /// Measure guest programs on our hart and on the other emulators that are installed
    Bench(BenchArgs),
    /// Count the rules of the privileged manual that have a test
    Norm(NormArgs),
    /// Get the files that Linux boots need, and say where they are
    Inputs(InputArgs),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Linux(args) => linux::linux(&args),
        Chore::Kvm(args) => kvm::kvm(&args),
        Chore::Hyp(args) => hyp::hyp(&args),
        Chore::Test(args) => test::test(&args),
        Chore::Lockstep(args) => lockstep::lockstep(&args),
        Chore::Bench(args) => bench::bench(&args),
        Chore::Norm(args) => norm::norm(&args),
        Chore::Inputs(args) => linux::show_inputs(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
