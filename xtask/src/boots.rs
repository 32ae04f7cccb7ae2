//! Boots of Debian's kernel that `cargo xtask test` runs: a table, and what each must show.
//!
//! To add one, add a row to [`BOOTS`].

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::initramfs;
use crate::inputs::{Inputs, Request, Suite};
use crate::linux::{Boot, Firmware, ScriptInitramfs};
use crate::process::{self, Watched};

/// A boot and what is special about it.
pub struct Row {
    /// Its name in results.
    pub name: &'static str,
    suite: Suite,
    firmware: Firmware,
    harts: u32,
    /// Arguments of `nestwalk run` that differ from the usual.
    extra: &'static [&'static str],
    /// Boot a second time, and compare the consoles and the numbers of instructions.
    twice: bool,
    /// Only with `--full`.
    pub long: bool,
}

/// One hart, builtin firmware, the newest kernel: what the other rows differ from.
const USUAL: Row = Row {
    name: "newest kernel",
    suite: Suite::Sid,
    firmware: Firmware::Builtin,
    harts: 1,
    extra: &[],
    twice: false,
    long: false,
};

/// Every boot.
pub const BOOTS: &[Row] = &[
    Row { twice: true, ..USUAL },
    Row { name: "newest kernel, OpenSBI", firmware: Firmware::Opensbi, ..USUAL },
    Row { name: "newest kernel, cycles of CVA6", extra: &["--core", "cva6"], ..USUAL },
    Row {
        name: "newest kernel, cycles of CVA6 with a shared TLB",
        extra: &["--core", "cva6-stlb"],
        long: true,
        ..USUAL
    },
    Row {
        name: "newest kernel, cycles of Rocket",
        extra: &["--core", "rocket"],
        long: true,
        ..USUAL
    },
    Row { name: "newest kernel, cycles of U74", extra: &["--core", "u74"], long: true, ..USUAL },
    Row { name: "newest kernel, cycles of X60", extra: &["--core", "x60"], long: true, ..USUAL },
    Row {
        name: "newest kernel, cycles of a hypothetical U74 with H",
        extra: &["--core", "u74-h"],
        long: true,
        ..USUAL
    },
    Row {
        name: "newest kernel, cycles of a core in general",
        extra: &["--core", "generic-h"],
        long: true,
        ..USUAL
    },
    Row {
        name: "newest kernel, cycles of a core in general, 4 harts",
        extra: &["--core", "generic-h"],
        harts: 4,
        long: true,
        twice: true,
        ..USUAL
    },
    Row { name: "newest kernel, 4 harts", harts: 4, long: true, twice: true, ..USUAL },
    Row {
        name: "newest kernel, OpenSBI, 4 harts",
        firmware: Firmware::Opensbi,
        harts: 4,
        long: true,
        ..USUAL
    },
    Row { name: "newest kernel, no TLB", extra: &["--tlb", "none"], long: true, ..USUAL },
    Row {
        name: "newest kernel, adversarial TLB",
        extra: &["--tlb", "adversarial"],
        long: true,
        ..USUAL
    },
    Row {
        name: "newest kernel, adversarial TLB, 4 harts",
        extra: &["--tlb", "adversarial"],
        harts: 4,
        long: true,
        ..USUAL
    },
    Row { name: "Linux 6.12", suite: Suite::Trixie, long: true, ..USUAL },
    Row {
        name: "Linux 6.12, OpenSBI",
        suite: Suite::Trixie,
        firmware: Firmware::Opensbi,
        long: true,
        ..USUAL
    },
    Row { name: "Linux 6.12, 4 harts", suite: Suite::Trixie, harts: 4, long: true, ..USUAL },
    Row {
        name: "Linux 6.12, OpenSBI, 4 harts",
        suite: Suite::Trixie,
        firmware: Firmware::Opensbi,
        harts: 4,
        long: true,
        ..USUAL
    },
];

/// What each boot runs; it ends at the first command that fails.
const SCRIPT: &str = "
set -e
grep isa /proc/cpuinfo | head -n 1
grep -q 'isa.*: rv64[a-z]*h' /proc/cpuinfo
[ \"$(nproc)\" = \"$harts\" ]
modprobe kvm
ls -l /dev/kvm
";

/// What the kernel says when kvm.ko has found the H extension.
const KVM_READY: &str = "hypervisor extension available";

/// How long a boot may take: some twenty times what it needs, for a busy machine.
pub const LIMIT: Duration = Duration::from_secs(600);

impl Row {
    /// Boots it with this `nestwalk`; an error says what was not as it must be. Returns the wall time of one boot.
    pub fn run(&self, nestwalk: &std::path::Path) -> Result<Duration> {
        let inputs = Inputs::get(&Request::new(self.suite))?;
        let script = format!("harts={}\n{SCRIPT}", self.harts);
        let initramfs = ScriptInitramfs::new(&inputs, "boot", &script)?;
        let extra: Vec<String> = self.extra.iter().map(|word| (*word).to_owned()).collect();
        let boot = Boot {
            inputs: &inputs,
            initramfs: initramfs.path(),
            firmware: self.firmware,
            harts: self.harts,
            memory: "2G",
            append: &[],
            extra: &extra,
        };
        let run = || process::watch(&mut boot.command(nestwalk)?, Some(LIMIT), false);
        let first = run()?;
        check(&first)?;
        if self.twice {
            let second = run()?;
            check(&second)?;
            compare(&first, &second)?;
        }
        Ok(first.elapsed)
    }
}

/// Whether a boot went as every boot must.
fn check(boot: &Watched) -> Result<()> {
    let console = String::from_utf8_lossy(&boot.stdout);
    let said = String::from_utf8_lossy(&boot.stderr);
    let wrong = if boot.status.is_none() {
        format!("it had not ended after {} s", LIMIT.as_secs())
    } else if !console.contains(initramfs::READY) {
        "user space did not start".to_owned()
    } else if !console.contains(KVM_READY) {
        "kvm did not find the H extension".to_owned()
    } else if let Some(code @ 1..) = initramfs::script_exit(&boot.stdout) {
        format!("the script in the machine failed ({code})")
    } else if initramfs::script_exit(&boot.stdout).is_none() {
        "the script in the machine did not end".to_owned()
    } else if !boot.status.is_some_and(|status| status.success()) {
        let status = boot.status.map(|status| status.to_string()).unwrap_or_default();
        format!("nestwalk ended with {status}")
    } else {
        return Ok(());
    };
    bail!(
        "{wrong}; the end of its console and messages:\n{}{}",
        process::tail(&console),
        process::tail(&said)
    )
}

/// Two runs of one boot must show the same, byte for byte, and take the same number of instructions.
fn compare(first: &Watched, second: &Watched) -> Result<()> {
    if first.stdout != second.stdout {
        let consoles = [first, second].map(|boot| String::from_utf8_lossy(&boot.stdout));
        let mut pairs = consoles[0].lines().zip(consoles[1].lines());
        let (left, right) = pairs
            .find(|(left, right)| left != right)
            .context("two runs differ: one console ends before the other")?;
        bail!("two runs differ, first here:\n    {left}\n    {right}");
    }
    let (left, right) = (instructions(first)?, instructions(second)?);
    if left != right {
        bail!("two runs show the same but took {left} and {right} instructions");
    }
    Ok(())
}

/// The number of instructions in the line with which nestwalk ends a run: the one before the word.
pub fn instructions(boot: &Watched) -> Result<u64> {
    let said = String::from_utf8_lossy(&boot.stderr);
    let words: Vec<&str> = said.split_whitespace().collect();
    let number = words.windows(2).rev().find_map(|pair| {
        let named = pair[1].starts_with("instructions") || pair[1].starts_with("insns");
        named.then(|| pair[0].replace([',', '_'], "").parse().ok())?
    });
    number.with_context(|| {
        format!("nestwalk did not say how many instructions it took:\n{}", process::tail(&said))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn boot(status: Option<i32>, console: &str) -> Watched {
        Watched {
            status: status.map(|code| ExitStatus::from_raw(code << 8)),
            stdout: console.as_bytes().to_vec(),
            stderr: Vec::new(),
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    #[test]
    fn a_boot_must_show_everything() {
        let good = format!("{}\n{KVM_READY}\n{}0\n", initramfs::READY, initramfs::SCRIPT_EXIT);
        check(&boot(Some(0), &good)).unwrap();
        let bad = [
            (boot(None, &good), "not ended"),
            (boot(Some(70), &good), "nestwalk ended"),
            (boot(Some(0), "Kernel panic"), "user space"),
            (boot(Some(0), &good.replace(KVM_READY, "")), "H extension"),
            (boot(Some(0), &good.replace("exit 0", "exit 1")), "failed (1)"),
            (boot(Some(0), &good.replace("exit 0", "")), "did not end"),
        ];
        for (boot, expect) in bad {
            let error = check(&boot).unwrap_err().to_string();
            assert!(error.contains(expect), "{expect}: {error}");
        }
    }

    #[test]
    fn two_runs_are_compared_byte_for_byte() {
        let run = |console: &str, said: &str| Watched {
            stderr: said.as_bytes().to_vec(),
            ..boot(Some(0), console)
        };
        let five = "nestwalk: powered off: 5 instructions, 6 cycles\n";
        compare(&run("a\nb\n", five), &run("a\nb\n", five)).unwrap();
        let different = [
            (run("a\nc\n", five), "    b\n    c"),
            (run("a\n", five), "ends before"),
            (run("a\nb\n", "2,000 insns"), "5 and 2000"),
            (run("a\nb\n", "done"), "did not say"),
        ];
        for (second, expect) in different {
            let error = compare(&run("a\nb\n", five), &second).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn names_tell_boots_apart() {
        let names: HashSet<_> = BOOTS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), BOOTS.len());
    }
}
