//! The emulators: how each runs a program, and what it took.
//!
//! All get the same file, one hart, a GiB of memory, no firmware, and the same ISA. The programs look at no device tree, and
//! no clock decides what they do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::process;
use crate::tools;

use super::watch::Watch;

/// Wall time after which a run is given up.
const LIMIT: Duration = Duration::from_secs(600);

/// What a program prints when it has prepared what it needs, and when it has done its work (`benches/guest/bench.c`).
const PREPARED: &str = "bench prepared";
const DONE: &str = "bench rounds=";

/// The ISA of the programs' hart.
pub(super) const ISA: &str = "rv64gch_zicntr_zihpm_sstc";

/// The same for QEMU, which takes differences from a hart of its own. (Built up from its `rv64i` instead, it lets S-mode reach
/// no memory.)
const QEMU_CPU: &str = "rv64,zicbom=false,zicbop=false,zicboz=false,zihintntl=false,zihintpause=false,zawrs=false,zfa=false,\
    zba=false,zbb=false,zbc=false,zbs=false,svadu=false,svvptc=false";

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
    /// Processor seconds, user and system, of what is measured.
    pub(super) seconds: f64,
    /// The same of the whole process, with its start, what the program prepares, and its end.
    pub(super) process: f64,
    /// Instructions of what is measured, as the program counted them.
    pub(super) instructions: u64,
    /// What the program found.
    pub(super) found: u64,
}

impl Emulator {
    /// What it says that it is.
    pub(super) fn version(&self) -> String {
        if self.kind == Kind::Spike && self.path.ends_with("spike/spike") {
            return tools::SPIKE.to_owned();
        }
        let said = process::output(Command::new(&self.path).arg("--version"));
        let said = said.ok().and_then(|text| Some(text.lines().next()?.to_owned()));
        said.unwrap_or_else(|| self.path.display().to_string())
    }

    /// Runs `elf` to its end.
    pub(super) fn run(&self, elf: &Path) -> Result<Run> {
        let mut command = Command::new(&self.path);
        match self.kind {
            Kind::Nestwalk => {
                command.args(["run", "--quiet", "--memory", "1G", "--isa", ISA]).arg(elf)
            }
            Kind::Spike => command.arg("-m1024").arg(format!("--isa={ISA}")).arg(elf),
            Kind::Qemu => command
                .args(["-machine", "virt", "-cpu", QEMU_CPU, "-m", "1G", "-nographic"])
                .args(["-no-reboot", "-bios"])
                .arg(elf),
        };
        let watch = Watch { marks: &[PREPARED, DONE], last: None, ram: None, limit: LIMIT };
        let watched = watch.run(&mut command)?;
        let (instructions, found) =
            told(&watched.console).with_context(|| watched.console.clone())?;
        let seconds = watched.at(DONE)? - watched.at(PREPARED)?;
        Ok(Run { seconds, process: watched.seconds, instructions, found })
    }
}

/// What a program printed: its instructions and what it found.
fn told(said: &str) -> Option<(u64, u64)> {
    let words = said.split_once(DONE)?.1;
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
