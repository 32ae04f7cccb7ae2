//! Boots of Linux from power-on: to a shell, through a script, with a guest under KVM, with KVM's dirty log.
//!
//! All emulators get the same kernel, initramfs, OpenSBI, memory and ISA; Nestwalk and QEMU, whose boards agree, also the same
//! device tree, which Nestwalk writes. Spike's devices are its own, so its tree is too. Nothing is taken off: a row is the
//! processor time, user and system, of the process from its start, or between two lines of the console. QEMU's clock is
//! the wall's, so that what a kernel does each tick or second it does as often as QEMU is slow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::initramfs::{self, READY};
use crate::inputs::{self, Inputs, Request, Suite};
use crate::kvm::selftests::{self, list};
use crate::kvm::session::PREAMBLE;
use crate::kvm::{Kit, Shape, guests};
use crate::linux::{self, Firmware, KERNEL_ARGUMENTS, ScriptInitramfs};
use crate::process::{self, say};

use super::emulator::{Emulator, Kind};
use super::table::{self, Report, Results, Row};
use super::watch::{Watch, Watched};
use super::{BOOT_PAIRS, BenchArgs};

/// The ISA of the hart: what all three have of what the kernel makes use of.
const ISA: &str = "rv64gch_zicbom_zicbop_zicboz_zicntr_zihpm_zawrs_zfa_zba_zbb_zbc_zbs_sstc_svadu";

/// The same for QEMU, which takes differences from its own.
const QEMU_CPU: &str = "rv64,h=true,zihintntl=false,zihintpause=false,svvptc=false";

/// Wall time of a boot after which it is given up.
const LIMIT: Duration = Duration::from_secs(1800);

/// What the kernel prints last.
const POWER_DOWN: &str = "reboot: Power down";

/// A loop of a shell, MD5 of 8 MiB, and forks.
const SCRIPT: &str = "
set -e
i=0
while [ $i -lt 30000 ]; do i=$((i + 1)); done
dd if=/dev/zero of=/tmp/zeros bs=1M count=8 2> /dev/null
[ \"$(md5sum < /tmp/zeros)\" = '96995b58d4cbf6aaa9041b4f00c7f6ae  -' ]
i=0
while [ $i -lt 50 ]; do /bin/true; i=$((i + 1)); done
";

/// The part of `dirty_log_perf_test`'s list that is run, larger: 64 MiB of 2 MiB pages, three times written with the log on.
const DIRTY_LOG: &str = "dirty_log_perf_test -m SV39 -b 64M -i 3 -s anonymous_hugetlb_2mb";

/// What is on the console when it has ended well ([`list::END`]).
const DIRTY_LOG_ENDED: &str = "selftest-end: 1 0 ";

/// A moment of a boot.
#[derive(Clone, Copy, Debug)]
enum Moment {
    PowerOn,
    /// The first line of the console in which this is.
    Line(&'static str),
    PowerOff,
}

/// What a row is about.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: &'static str,
    what: &'static str,
    from: Moment,
    to: Moment,
}

/// What runs once the machine has a user space.
#[derive(Clone, Copy, Debug)]
enum Work {
    Script,
    NestedLinux,
    DirtyLog,
}

/// A boot that gives several rows.
#[derive(Clone, Copy, Debug)]
struct Boot {
    work: Work,
    /// MiB.
    memory: u32,
    /// Whether Spike runs it without being named: it takes minutes otherwise.
    on_spike: bool,
    spans: &'static [Span],
}

const GUEST_BEGINS: &str = "kvm: starting Linux as a guest";

const BOOTS: &[Boot] = &[
    Boot {
        work: Work::Script,
        memory: 1024,
        on_spike: true,
        spans: &[
            Span {
                name: "linux-shell",
                what: "Linux from power-on to a shell",
                from: Moment::PowerOn,
                to: Moment::Line(READY),
            },
            Span {
                name: "linux-script",
                what: "the same through a script (shell loop, md5sum, forks) to power-off",
                from: Moment::PowerOn,
                to: Moment::PowerOff,
            },
        ],
    },
    Boot {
        work: Work::NestedLinux,
        memory: 2048,
        on_spike: false,
        spans: &[
            Span {
                name: "nested",
                what: "Linux with KVM, and Linux as its guest, from power-on to power-off",
                from: Moment::PowerOn,
                to: Moment::PowerOff,
            },
            Span {
                name: "nested-guest",
                what: "of that, the guest from its start to the end of its script",
                from: Moment::Line(GUEST_BEGINS),
                to: Moment::Line(guests::ZEROS_MD5),
            },
        ],
    },
    Boot {
        work: Work::DirtyLog,
        memory: 2048,
        on_spike: false,
        spans: &[
            Span {
                name: "dirty-log",
                what: "Linux with KVM, dirty_log_perf_test on 64 MiB of huge pages, from power-on to power-off",
                from: Moment::PowerOn,
                to: Moment::PowerOff,
            },
            Span {
                name: "dirty-log-test",
                what: "of that, the test alone",
                from: Moment::Line(list::BEGIN),
                to: Moment::Line(DIRTY_LOG_ENDED),
            },
        ],
    },
];

/// A boot and those of its rows that are wanted.
pub(super) struct Chosen {
    boot: &'static Boot,
    spans: Vec<&'static Span>,
}

/// The rows, and what they are about.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    BOOTS.iter().flat_map(|boot| boot.spans).map(|span| (span.name, span.what))
}

/// The boots that have rows of these names.
pub(super) fn chosen(wanted: impl Fn(&str) -> bool) -> Vec<Chosen> {
    let of = |boot: &'static Boot| {
        let spans: Vec<_> = boot.spans.iter().filter(|span| wanted(span.name)).collect();
        (!spans.is_empty()).then_some(Chosen { boot, spans })
    };
    BOOTS.iter().filter_map(of).collect()
}

/// Measures them, and shows each row when it is there.
pub(super) fn measure(
    args: &BenchArgs,
    chosen: &[Chosen],
    emulators: &[Emulator],
    report: &mut Report,
) -> Result<()> {
    let is_dirty_log = |one: &Chosen| matches!(one.boot.work, Work::DirtyLog);
    ensure!(
        args.inputs.suite == Suite::Sid || !chosen.iter().any(is_dirty_log),
        "dirty_log_perf_test is there for sid's kernel only"
    );
    let inputs = linux::get(&args.inputs)?;
    let nestwalk = match emulators.iter().find(|one| one.kind == Kind::Nestwalk) {
        Some(ours) => ours.path.clone(),
        None => linux::build_nestwalk()?,
    };
    let folder = inputs::workspace().join("target/bench");
    fs::create_dir_all(&folder)?;
    let request = args.inputs.request();
    let kit = LinuxKit { inputs: &inputs, request: &request, nestwalk: &nestwalk, folder: &folder };
    report.settings.push(format!(
        "Linux: {ISA}, OpenSBI, one hart, the device tree of {}, except Spike's",
        nestwalk.display()
    ));
    println!("\n{}", report.settings.last().map_or("", String::as_str));
    println!("{}", table::heading(emulators));
    for Chosen { boot, spans } in chosen {
        let machines: Vec<&Emulator> = emulators
            .iter()
            .filter(|one| one.kind != Kind::Spike || boot.on_spike || args.names(Kind::Spike))
            .collect();
        let mut rows: Vec<Row> = spans
            .iter()
            .map(|span| Row {
                name: span.name,
                instructions: None,
                events: 1,
                unit: "seconds",
                results: BTreeMap::new(),
            })
            .collect();
        let initramfs = kit.initramfs(boot.work)?;
        for _ in 0..args.pairs.unwrap_or(BOOT_PAIRS) {
            for emulator in &machines {
                let taken = kit
                    .run(boot, emulator, initramfs.path())
                    .with_context(|| format!("{} on {}", spans[0].name, emulator.kind.name()))?;
                for (row, span) in rows.iter_mut().zip(spans) {
                    let seconds = taken.at(span.to)? - taken.at(span.from)?;
                    let all: &mut Results = row.results.entry(emulator.kind).or_default();
                    all.rounds = 1;
                    all.seconds.push(seconds);
                    all.process_seconds.push(taken.0.seconds);
                    all.nanoseconds.push(seconds * 1e9);
                    let so_far = all.beyond_ram_mib.unwrap_or(0.0);
                    all.beyond_ram_mib = taken.0.beyond_ram_mib.map(|mib| mib.max(so_far));
                }
            }
        }
        for mut row in rows {
            row.compare(emulators[0].kind);
            println!("{}", row.line(emulators));
            report.rows.push(row);
        }
    }
    let without = |one: &Chosen| !one.boot.on_spike && !args.names(Kind::Spike);
    if emulators.iter().any(|one| one.kind == Kind::Spike) && chosen.iter().any(without) {
        say("what needs KVM takes Spike minutes: there only if --on names spike");
    }
    Ok(())
}

/// What all boots have in common.
struct LinuxKit<'a> {
    inputs: &'a Inputs,
    request: &'a Request,
    nestwalk: &'a Path,
    folder: &'a Path,
}

impl LinuxKit<'_> {
    fn initramfs(&self, work: Work) -> Result<ScriptInitramfs> {
        match work {
            Work::Script => ScriptInitramfs::new(self.inputs, "bench", SCRIPT),
            Work::NestedLinux => {
                let kit = Kit::new(self.inputs, self.nestwalk)?;
                let files = guests::linux_files(&kit, Some(guests::NESTED_SCRIPT))?;
                let shape = Shape { harts: 1, vcpus: 1, firmware: Firmware::Opensbi };
                let script =
                    format!("{PREAMBLE}\n{}--limit 900 < /dev/null\n", guests::vmm_linux(shape));
                ScriptInitramfs::with(self.inputs, "bench", &script, &files)
            }
            Work::DirtyLog => {
                let (files, script) = selftests::one(self.inputs, self.request, DIRTY_LOG)?;
                let script = format!("{PREAMBLE}\n{script}");
                ScriptInitramfs::with(self.inputs, "bench", &script, &files)
            }
        }
    }

    fn run(&self, boot: &Boot, emulator: &Emulator, initramfs: &Path) -> Result<Taken> {
        let mut command = Command::new(&emulator.path);
        let memory = format!("{}M", boot.memory);
        let image = self.inputs.image();
        match emulator.kind {
            Kind::Nestwalk => {
                command.args(["run", "--quiet", "--isa", ISA, "--memory", &memory]);
                command.arg("--bios").arg(self.inputs.fw_dynamic()?).arg("--dtb");
                command.arg(self.device_tree(&memory)?).arg("--kernel").arg(image);
                command.arg("--initrd").arg(initramfs).args(["--append", KERNEL_ARGUMENTS]);
            }
            Kind::Qemu => {
                command.args(["-M", "virt", "-cpu", QEMU_CPU, "-nographic", "-no-reboot", "-m"]);
                command.arg(&memory).arg("-bios").arg(self.inputs.fw_dynamic()?).arg("-dtb");
                command.arg(self.device_tree(&memory)?).arg("-kernel").arg(image);
                command.arg("-initrd").arg(initramfs).args(["-append", KERNEL_ARGUMENTS]);
            }
            Kind::Spike => {
                let prefixed = |word: &str, path: &Path| format!("{word}={}", path.display());
                command.arg(format!("-m{}", boot.memory)).arg(format!("--isa={ISA}"));
                command.arg(prefixed("--kernel", &image)).arg(prefixed("--initrd", initramfs));
                command.arg(format!("--bootargs={KERNEL_ARGUMENTS}")).arg(self.spike_firmware()?);
            }
        }
        // The last one is for the memory at the end.
        let moments = boot.spans.iter().flat_map(|span| [span.from, span.to]);
        let lines = moments.filter_map(|moment| match moment {
            Moment::Line(text) => Some(text),
            Moment::PowerOn | Moment::PowerOff => None,
        });
        let lines: Vec<&'static str> = lines.chain([POWER_DOWN]).collect();
        let watch = Watch {
            marks: &lines,
            // Without the addresses of OpenSBI's words for HTIF, Spike never hears that it should end.
            last: (emulator.kind == Kind::Spike).then_some(POWER_DOWN),
            // It takes each page of RAM for itself, so that nothing tells them from other memory.
            ram: (emulator.kind != Kind::Spike).then_some(u64::from(boot.memory) << 20),
            limit: LIMIT,
        };
        let watched = watch.run(&mut command)?;
        match initramfs::script_exit(watched.console.as_bytes()) {
            Some(0) => Ok(Taken(watched)),
            other => bail!("the script ended with {other:?}\n{}", process::tail(&watched.console)),
        }
    }

    /// The device tree of our board with this ISA and memory.
    fn device_tree(&self, memory: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("board-{memory}.dtb"));
        let mut command = Command::new(self.nestwalk);
        command.args(["run", "--isa", ISA, "--memory", memory, "--dump-dtb"]).arg(&path);
        process::output(command.arg("--kernel").arg(self.inputs.image()))?;
        Ok(path)
    }

    /// OpenSBI as an ELF file that starts on Spike.
    fn spike_firmware(&self) -> Result<PathBuf> {
        let path = self.folder.join("spike-firmware");
        let sources = inputs::workspace().join("benches/linux");
        let firmware = self.inputs.fw_dynamic()?;
        let mut gcc = Command::new(crate::tools::CROSS_COMPILER);
        gcc.args(["-nostdlib", "-static", "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany"]);
        gcc.arg("-Wl,--build-id=none,--no-warn-rwx-segments,--no-relax");
        gcc.arg(format!("-DFIRMWARE=\"{}\"", firmware.display()));
        gcc.arg("-T").arg(sources.join("spike.ld")).arg(sources.join("spike.S"));
        process::output(gcc.arg("-o").arg(&path))?;
        Ok(path)
    }
}

/// What a boot took, and the console's lines that its rows are about.
struct Taken(Watched);

impl Taken {
    /// Processor seconds at a moment.
    fn at(&self, moment: Moment) -> Result<f64> {
        match moment {
            Moment::PowerOn => Ok(0.0),
            Moment::PowerOff => Ok(self.0.seconds),
            Moment::Line(text) => self.0.at(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_once() {
        let mut names: Vec<_> = rows().map(|(name, _)| name).collect();
        names.extend(super::super::PROGRAMS.iter().map(|program| program.name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(GUEST_BEGINS.starts_with(crate::kvm::session::SAY));
        assert!(DIRTY_LOG_ENDED.starts_with(list::END));
    }
}
