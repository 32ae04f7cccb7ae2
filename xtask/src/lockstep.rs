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
}

/// `cargo xtask lockstep`.
pub fn lockstep(args: &LockstepArgs) -> Result<ExitCode> {
    let needed = |name: &str| name == "spike" || args.paths.is_empty() && name.contains("gcc");
    if let Some((name, why)) = tools::prepare().into_iter().find(|(name, _)| needed(name)) {
        bail!("{name} is missing: {why}");
    }
    let mut command = process::cargo();
    command.current_dir(inputs::workspace()).env("PATH", tools::path_with_spike()?).args([
        "test",
        "--test",
        "main",
        "lockstep::guest_programs",
        "--",
        "--nocapture",
    ]);
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
