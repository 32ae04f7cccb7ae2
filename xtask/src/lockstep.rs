//! `cargo xtask lockstep`: guest programs on our hart and on Spike, side by side.
//!
//! The comparison itself is a test, `tests/lockstep.rs`; this gets Spike and says which programs.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::inputs;
use crate::process;
use crate::tools;

/// The arguments of `cargo xtask lockstep`.
#[derive(Args, Debug)]
pub struct LockstepArgs {
    /// ELF files, or folders of them, in place of the programs in riscv-tests/
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Random programs about the hypervisor extension, in place of those in riscv-tests/
    #[arg(long, conflicts_with = "paths")]
    random: bool,
    /// The first random program's seed; the next one has the next number
    #[arg(long, requires = "random", default_value_t = 1)]
    seed: u64,
    /// Go on to another random program until so many instructions have been compared
    #[arg(long, requires = "random", default_value_t = 1_000_000)]
    instructions: u64,
    /// The TLB that random programs run with: none, default or adversarial
    #[arg(long, requires = "random", value_name = "SHAPE", default_value = "default",
          value_parser = ["none", "default", "adversarial"])]
    tlb: String,
}

/// `cargo xtask lockstep`.
pub fn lockstep(args: &LockstepArgs) -> Result<ExitCode> {
    let ours = args.paths.is_empty() && !args.random;
    let needed = |name: &str| name == "spike" || ours && name.contains("gcc");
    if let Some((name, why)) = tools::prepare().into_iter().find(|(name, _)| needed(name)) {
        bail!("{name} is missing: {why}");
    }
    let test = match args.random {
        true => "lockstep::random::random_programs_run_in_lockstep",
        false => "lockstep::guest_programs",
    };
    let mut command = process::cargo();
    command.current_dir(inputs::workspace()).env("PATH", tools::path_with_spike()?);
    command.args(["test", "--test", "main", test, "--", "--nocapture"]);
    if args.random {
        let LockstepArgs { seed, instructions, tlb, .. } = args;
        let plan = format!("seed={seed},instructions={instructions},tlb={tlb}");
        command.env("NESTWALK_LOCKSTEP_RANDOM", plan);
    }
    if !args.paths.is_empty() {
        let paths = args.paths.iter().map(|path| {
            path.canonicalize().with_context(|| format!("there is no {}", path.display()))
        });
        let paths = paths.collect::<Result<Vec<_>>>()?;
        command.env("NESTWALK_LOCKSTEP", env::join_paths(paths)?);
    }
    let status = command.status().context("cargo does not start")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
