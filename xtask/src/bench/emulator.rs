//! The emulators: how each runs a program, and what it took.
//!
//! All get one hart, a GiB of memory, no firmware, and H, Sstc and the counters.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use wait4::Wait4;

/// Seconds after which a run is given up.
const LIMIT: &str = "600";

/// Which emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Ours
    Nestwalk,
    /// The RISC-V International's reference
    Spike,
    /// QEMU's translator, machine `virt`
    Qemu,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Nestwalk => "nestwalk",
            Kind::Spike => "spike",
            Kind::Qemu => "qemu",
        }
    }
}

/// An emulator that is there.
#[derive(Debug)]
pub(super) struct Emulator {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
}

/// What one run did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Processor time, user and system.
    pub(super) seconds: f64,
    /// Instructions of what is measured, as the program counted them.
    pub(super) instructions: u64,
    /// What the program found.
    pub(super) found: u64,
}

impl Emulator {
    /// Runs `elf` to its end.
    pub(super) fn run(&self, elf: &Path) -> Result<Run> {
        // Its processor time is that of all it waited for.
        let mut command = Command::new("timeout");
        command.arg(LIMIT).arg(&self.path);
        match self.kind {
            Kind::Nestwalk => command.args(["run", "--quiet", "--memory", "1G"]).arg(elf),
            Kind::Spike => command.args(["-m1024", "--isa=rv64gch_zicntr_zihpm_sstc"]).arg(elf),
            Kind::Qemu => command
                .args(["-machine", "virt", "-m", "1G", "-nographic", "-no-reboot", "-bios"])
                .arg(elf),
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("timeout does not start")?;
        let mut said = String::new();
        child.stdout.take().context("no pipe")?.read_to_string(&mut said)?;
        let ended = child.wait4()?;
        if !ended.status.success() {
            bail!("{} ended with {}: {said}", self.path.display(), ended.status);
        }
        let seconds = (ended.rusage.utime + ended.rusage.stime).as_secs_f64();
        let (instructions, found) = told(&said).with_context(|| said.clone())?;
        Ok(Run { seconds, instructions, found })
    }
}

/// What a program printed: its instructions and what it found.
fn told(said: &str) -> Option<(u64, u64)> {
    let words = said.split_once("bench rounds=")?.1;
    let value = |key: &str| words.split_once(key)?.1.split_whitespace().next();
    let instructions = value("instructions=")?.parse().ok()?;
    let found = u64::from_str_radix(value("found=0x")?, 16).ok()?;
    Some((instructions, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_line_is_understood_among_others() {
        let said = "\nwarning\nbench rounds=2 instructions=1234 found=0xabc\n";
        assert_eq!(told(said), Some((1234, 0xabc)));
        assert_eq!(told("bench rounds=2 instructions=12"), None);
    }
}
