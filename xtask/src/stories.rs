//! Runs that are no plain boot of Linux: what happens to disks and networks, and U-Boot, and Linux under
//! the embedded hypervisor.
//!
//! To add one, add a row to [`STORIES`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::boots;
use crate::hyp;
use crate::initramfs;
use crate::inputs::{Inputs, Request, Suite};
use crate::linux::{Boot, Firmware, ScriptInitramfs};
use crate::process::{self, Watched};
use crate::scratch::Scratch;

/// A story and its name in results.
pub struct Story {
    /// Its name.
    pub name: &'static str,
    /// Only with `--full`.
    pub long: bool,
    /// Plays it with this `nestwalk`; an error says what was not as it must be. Returns the wall time.
    pub play: fn(nestwalk: &Path) -> Result<Duration>,
}

/// Every story.
pub const STORIES: &[Story] = &[
    Story {
        name: "Linux under the embedded hypervisor, 2 vCPUs on a hart",
        long: false,
        play: |nestwalk| hypervised(nestwalk, &["--vcpus", "2"]),
    },
    Story {
        name: "Linux under the embedded hypervisor, 4 vCPUs on 2 harts, no Sstc, adversarial TLB",
        long: true,
        play: |nestwalk| {
            let words =
                "--vcpus 4 --harts 2 --no-guest-sstc --mode sv57x4 --pages 64K --tlb adversarial";
            hypervised(nestwalk, &words.split(' ').collect::<Vec<_>>())
        },
    },
    Story {
        name: "Linux under the embedded hypervisor, dirty log on and off, every policy",
        long: true,
        play: dirty_logs,
    },
    Story { name: "disks and a network under Linux", long: true, play: disks_and_network },
    Story {
        name: "U-Boot, builtin firmware",
        long: true,
        play: |nestwalk| u_boot(nestwalk, "builtin"),
    },
    Story { name: "U-Boot, OpenSBI", long: true, play: |nestwalk| u_boot(nestwalk, "opensbi") },
];

/// The bytes of each disk: 8 MiB of a pattern that no write of the script leaves in place.
const DISK_BYTES: usize = 8 << 20;
const PATTERN: u8 = 0x5a;

/// Writes to all three disks and sends a frame. The read-only one must refuse, the other two must keep what was written.
const SCRIPT: &str = "
set -e
[ \"$(cat /sys/block/vdb/ro)\" = 1 ]
for disk in vda vdc; do
  echo written > /tmp/text
  dd if=/tmp/text of=/dev/$disk bs=512 seek=8 conv=fsync
  dd if=/dev/$disk bs=512 skip=8 count=1 | grep -q written
done
! dd if=/tmp/text of=/dev/vdb bs=512 seek=8 conv=fsync
dd if=/dev/hwrng of=/dev/null bs=16 count=1
ip link set eth0 up
ip addr add 10.0.0.2/24 dev eth0
! ping -c 1 -W 1 10.0.0.9
";

fn file(folder: &Scratch, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.path().join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn disks_and_network(nestwalk: &Path) -> Result<Duration> {
    let inputs = Inputs::get(&Request::new(Suite::Sid))?;
    let initramfs = ScriptInitramfs::new(&inputs, "disks", SCRIPT)?;
    let scratch = Scratch::folder("story")?;
    let blank = vec![PATTERN; DISK_BYTES];
    let [kept, refused, forgotten] = ["kept", "refused", "forgotten"];
    let mut extra = Vec::new();
    for (name, suffix) in [(kept, ""), (refused, ",ro"), (forgotten, ",overlay")] {
        let path = file(&scratch, name, &blank)?;
        extra.extend(["--disk".to_owned(), format!("{}{suffix}", path.display())]);
    }
    let frames = file(&scratch, "frames.pcap", &[])?;
    extra.extend(["--net".to_owned(), format!("dump:{}", frames.display())]);
    let boot = Boot {
        inputs: &inputs,
        initramfs: initramfs.path(),
        firmware: Firmware::Builtin,
        harts: 1,
        memory: "2G",
        append: &[],
        extra: &extra,
    };
    let ended = process::watch(&mut boot.command(nestwalk)?, Some(boots::LIMIT), false)?;
    let script = initramfs::script_exit(&ended.stdout);
    if script != Some(0) || !ended.status.is_some_and(|status| status.success()) {
        bail!("the script ended with {script:?}; {}", tails(&ended));
    }
    // The script's write, as the guest made it: sector 8, the text and its line end.
    let mut expect = blank.clone();
    expect[8 * 512..][..8].copy_from_slice(b"written\n");
    let read = |name: &str| fs::read(scratch.path().join(name));
    ensure!(read(kept)? == expect, "the disk does not hold exactly what the guest wrote");
    ensure!(read(refused)? == blank, "a read-only disk has changed");
    ensure!(read(forgotten)? == blank, "a disk under an overlay has changed");
    // An ARP request of RFC 826 for 10.0.0.9: Ethernet, IPv4, 6 and 4 bytes of address, operation 1.
    let request = [0, 1, 8, 0, 6, 4, 0, 1];
    let frames = fs::read(&frames)?;
    let asked = frames.windows(8).any(|bytes| bytes == request)
        && frames.windows(4).any(|bytes| bytes == [10, 0, 0, 9]);
    ensure!(asked, "the dump of the network holds no request for 10.0.0.9");
    Ok(ended.elapsed)
}

/// What Linux computes as a guest; 3 MiB of zeros have this checksum: md5sum on another machine says so.
const GUEST_SCRIPT: &str = "
set -e
[ \"$(nproc)\" = \"$vcpus\" ]
dd if=/dev/zero bs=1M count=3 2>/dev/null | md5sum | grep -q d1dd210d6b1312cb342b56d02bd5e651
";

/// The same with dirty logging on and off every 100 ms, under each policy; nestwalk itself compares logs and memory.
fn dirty_logs(nestwalk: &Path) -> Result<Duration> {
    let mut all = Duration::ZERO;
    for policy in hyp::policies() {
        let words = ["--vcpus", "2", "--memory", "256M", "--dirty-log-every", "0.1", "--policy"];
        all += hypervised(nestwalk, &[&words[..], &[&policy]].concat()).context(policy)?;
    }
    Ok(all)
}

/// Linux boots with no software in HS-mode, computes, and powers off.
fn hypervised(nestwalk: &Path, words: &[&str]) -> Result<Duration> {
    let inputs = Inputs::get(&Request::new(Suite::Sid))?;
    let vcpus = words.iter().skip_while(|word| **word != "--vcpus").nth(1).unwrap_or(&"1");
    let script = format!("vcpus={vcpus}\n{GUEST_SCRIPT}");
    let initramfs = ScriptInitramfs::new(&inputs, "hyp", &script)?;
    let mut command = Command::new(nestwalk);
    command.args(["hyp", "run", "--append", "earlycon=sbi console=ttyS0", "--kernel"]);
    command.arg(inputs.image()).arg("--initrd").arg(initramfs.path()).args(words);
    let ended = process::watch(&mut command, Some(boots::LIMIT), false)?;
    let script = initramfs::script_exit(&ended.stdout);
    if script != Some(0) || !ended.status.is_some_and(|status| status.success()) {
        bail!("the guest's script ended with {script:?}; {}", tails(&ended));
    }
    Ok(ended.elapsed)
}

/// More instructions than U-Boot needs to count two seconds down and to give up booting by itself.
const U_BOOT_INSNS: &str = "3e9";

/// U-Boot in S-mode counts down, finds nothing to boot and reaches its prompt, where it stays.
fn u_boot(nestwalk: &Path, bios: &str) -> Result<Duration> {
    let inputs = Inputs::get(&Request::new(Suite::Sid))?;
    let mut command = Command::new(nestwalk);
    command.arg("run").arg("--kernel").arg(inputs.u_boot()?).arg("--bios");
    match bios {
        "opensbi" => command.arg(inputs.fw_dynamic()?),
        builtin => command.arg(builtin),
    };
    command.args(["--max-insns", U_BOOT_INSNS]);
    let ended = process::watch(&mut command, Some(boots::LIMIT), false)?;
    let console = String::from_utf8_lossy(&ended.stdout);
    let counted = console.split_once("Hit any key to stop autoboot");
    if !counted.is_some_and(|(_, after)| after.trim_end().ends_with("=>")) {
        bail!("U-Boot did not reach its prompt; {}", tails(&ended));
    }
    Ok(ended.elapsed)
}

fn tails(ended: &Watched) -> String {
    let [console, said] =
        [&ended.stdout, &ended.stderr].map(|text| process::tail(&String::from_utf8_lossy(text)));
    format!("the end of its console and messages:\n{console}{said}")
}
