//! One run of Debian's kernel with KVM loaded: files to carry, a script, and a watch over the console.
//!
//! Everything under `cargo xtask kvm` runs through here, so that all of it starts the same way, shows its progress the
//! same way and can be run on QEMU as well, for comparison.
//!
//! The script speaks to us through the console: a line that begins with [`SAY`] is shown to the user as it comes; all
//! lines are in [`Ended::lines`] afterwards, for whoever gave the script to read its results from.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::boots;
use crate::initramfs::{self, Extra};
use crate::inputs::Inputs;
use crate::linux::{self, Boot, Firmware, KERNEL_ARGUMENTS, ScriptInitramfs};
use crate::process::{self, say};

/// How lines begin that the user sees without `--verbose`.
pub const SAY: &str = "kvm: ";

/// When nothing was shown for so long, the console's last line is.
const QUIET: Duration = Duration::from_secs(10);

/// What comes before every script. `hugepages N` reserves pages of 2 MiB.
///
/// DAMON's statistics, which Debian switches on, clear A of pages at random. With Linux 7.2 and harts that fault where A
/// is clear, a guest that writes to such a page while the dirty log is on never comes past it (docs/KVM.md, K6).
pub const PREAMBLE: &str = r#"
damon=/sys/module/damon_stat/parameters/enabled
[ ! -e $damon ] || echo N > $damon
say() { echo "kvm: $*"; }
hugepages() {
  echo "$1" > /proc/sys/vm/nr_hugepages
  [ "$(cat /proc/sys/vm/nr_hugepages)" -eq "$1" ] || { say "no $1 pages of 2 MiB to be had"; exit 1; }
}
modprobe kvm || { say "kvm.ko does not load"; exit 1; }
[ -c /dev/kvm ] || { say "there is no /dev/kvm"; exit 1; }
say "KVM is ready, $(nproc) harts, up $(cut -d ' ' -f 1 /proc/uptime) s"
"#;

/// What plays the machine.
#[derive(Clone, Debug)]
pub enum Machine {
    /// Our command.
    Nestwalk(PathBuf),
    /// `qemu-system-riscv64` from `PATH`, with Debian's OpenSBI whatever the session's firmware is.
    Qemu,
}

/// A session, described; [`Session::run`] plays it.
#[derive(Clone, Debug)]
pub struct Session<'a> {
    /// Kernel, busybox, modules, firmware.
    pub inputs: &'a Inputs,
    /// What runs in M-mode.
    pub firmware: Firmware,
    /// Number of harts.
    pub harts: u32,
    /// RAM, with a unit.
    pub memory: &'a str,
    /// Files in the machine beside those of every initramfs.
    pub files: &'a [Extra],
    /// What to run once KVM is there, as text for busybox's shell. Its exit status decides.
    pub script: &'a str,
    /// More arguments of `nestwalk run`; QEMU does not get them.
    pub extra: &'a [String],
    /// Wall time it may take.
    pub limit: Duration,
    /// Show the whole console, not only what begins with [`SAY`].
    pub verbose: bool,
}

/// A session that ended as it must: the script ended with 0 and the machine powered off.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The console, line by line.
    pub lines: Vec<Line>,
    /// Instructions of all harts; `None` on QEMU.
    pub instructions: Option<u64>,
    /// Processor time of the machine's process.
    pub cpu: Duration,
    /// Wall time.
    pub elapsed: Duration,
}

/// A line of the console.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it says, without its end.
    pub text: String,
    /// Processor time that the machine's process had used when the line was complete.
    pub cpu: Duration,
}

impl Session<'_> {
    /// Plays it on our machine with the user's terminal as its console.
    pub fn run_with_terminal(&self, nestwalk: &Path) -> Result<ExitStatus> {
        let script = format!("{PREAMBLE}\n{}", self.script);
        let initramfs = ScriptInitramfs::with(self.inputs, "kvm", &script, self.files)?;
        let machine = Machine::Nestwalk(nestwalk.to_owned());
        let mut command = self.command(&machine, initramfs.path())?;
        say(&linux::shown(&command));
        command.status().context("cannot start nestwalk")
    }

    /// Plays it. An error says what was not as it must be, with the end of the console.
    pub fn run(&self, machine: &Machine) -> Result<Ended> {
        self.run_heard(machine, |_| {})
    }

    /// As [`Session::run`], and hands each line that the machine's command says on stderr to `hear`.
    pub fn run_heard(&self, machine: &Machine, hear: impl FnMut(&str) + Send) -> Result<Ended> {
        let script = format!("{PREAMBLE}\n{}", self.script);
        let initramfs = ScriptInitramfs::with(self.inputs, "kvm", &script, self.files)?;
        let mut command = self.command(machine, initramfs.path())?;
        let mut shown = Instant::now();
        let mut lines = Vec::new();
        let each = |line: &str, cpu: Duration| {
            lines.push(Line { text: line.to_owned(), cpu });
            if self.verbose {
                return;
            }
            if let Some(text) = line.strip_prefix(SAY) {
                eprintln!("    {text}");
            } else if shown.elapsed() > QUIET && !line.is_empty() {
                eprintln!("    … {}", line.chars().take(100).collect::<String>());
            } else {
                return;
            }
            shown = Instant::now();
        };
        let limit = Some(self.limit);
        let watched = process::watch_streams(&mut command, limit, self.verbose, each, hear)?;
        let console = String::from_utf8_lossy(&watched.stdout);
        let wrong = if watched.status.is_none() {
            format!("it had not ended after {} s", self.limit.as_secs())
        } else {
            match initramfs::script_exit(&watched.stdout) {
                _ if !watched.status.is_some_and(|status| status.success()) => {
                    let status = watched.status.map(|s| s.to_string()).unwrap_or_default();
                    format!("the machine ended with {status}")
                }
                Some(0) => String::new(),
                Some(code) => format!("the script in the machine failed ({code})"),
                None => "the script in the machine did not end".to_owned(),
            }
        };
        if !wrong.is_empty() {
            let said = String::from_utf8_lossy(&watched.stderr);
            bail!(
                "{wrong}; the end of its console and messages:\n{}{}",
                process::tail(&console),
                process::tail(&said)
            );
        }
        let instructions = match machine {
            Machine::Nestwalk(_) => Some(boots::instructions(&watched)?),
            Machine::Qemu => None,
        };
        Ok(Ended { lines, instructions, cpu: watched.cpu, elapsed: watched.elapsed })
    }

    fn command(&self, machine: &Machine, initramfs: &Path) -> Result<Command> {
        match machine {
            Machine::Nestwalk(nestwalk) => {
                let boot = Boot {
                    inputs: self.inputs,
                    initramfs,
                    firmware: self.firmware,
                    harts: self.harts,
                    memory: self.memory,
                    append: &[],
                    extra: self.extra,
                };
                boot.command(nestwalk)
            }
            Machine::Qemu => {
                let qemu = process::find("qemu-system-riscv64")
                    .context("there is no qemu-system-riscv64 (Debian package qemu-system-misc)")?;
                let mut command = Command::new(qemu);
                command.args(["-M", "virt", "-cpu", "rv64,h=true", "-nographic", "-no-reboot"]);
                command.arg("-m").arg(self.memory).arg("-smp").arg(self.harts.to_string());
                command.arg("-bios").arg(self.inputs.fw_dynamic()?);
                command.arg("-kernel").arg(self.inputs.image()).arg("-initrd").arg(initramfs);
                command.arg("-append").arg(KERNEL_ARGUMENTS);
                Ok(command)
            }
        }
    }
}

impl Ended {
    /// What follows `prefix` in each line that begins with it.
    pub fn after<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.timed_after(prefix).map(|(text, _)| text)
    }

    /// As [`Ended::after`], with the processor time used by then.
    pub fn timed_after<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Duration)> {
        self.lines.iter().filter_map(move |line| Some((line.text.strip_prefix(prefix)?, line.cpu)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preamble_speaks_as_the_watch_expects() {
        assert!(PREAMBLE.contains(&format!("say() {{ echo \"{SAY}$*\"; }}")));
    }

    #[test]
    fn results_are_the_lines_with_their_prefix() {
        let ended = Ended {
            lines: ["[ 1.0] kernel", "RESULT a 0", "x RESULT b", "RESULT c 1"]
                .map(|text| Line { text: text.to_owned(), cpu: Duration::ZERO })
                .to_vec(),
            instructions: None,
            cpu: Duration::ZERO,
            elapsed: Duration::ZERO,
        };
        assert_eq!(ended.after("RESULT ").collect::<Vec<_>>(), ["a 0", "c 1"]);
    }
}
