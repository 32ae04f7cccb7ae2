//! The options of a machine and of a run, once for the command line, for configuration files and
//! for `--dump-config`: the names, defaults and parsers are the same in all three.

use super::choices::{Bios, Console, Disk, EventKinds, Net, Rtc, Tlb};
use super::values::{Address, Count, Hertz, Listen, Seconds, Size};
use crate::signature::LINE_BYTES;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Defines an options struct whose fields are all optional or lists, and how one is laid over
/// another.
macro_rules! options {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)+ }) => {
        #[derive(Args, Serialize, Deserialize, Clone, PartialEq, Default, Debug)]
        $(#[$meta])*
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name { $($(#[$field_meta])* pub(crate) $field: $ty,)+ }

        impl $name {
            /// These options, with those of `base` where these say nothing.
            pub(crate) fn over(self, base: Self) -> Self {
                Self { $($field: Over::over(self.$field, base.$field),)+ }
            }

            /// The names of all options, as they are written in a configuration file.
            pub(crate) fn names() -> impl Iterator<Item = String> {
                [$(stringify!($field)),+].into_iter().map(|name| name.replace('_', "-"))
            }
        }
    };
}

/// A value that may be left out.
trait Over {
    fn over(self, base: Self) -> Self;
}

impl<T> Over for Option<T> {
    fn over(self, base: Self) -> Self {
        self.or(base)
    }
}

impl<T> Over for Vec<T> {
    fn over(self, base: Self) -> Self {
        if self.is_empty() { base } else { self }
    }
}

options! {
    /// What the board is, and how long it may run.
    #[command(next_help_heading = "Machine")]
    struct MachineOptions {
        /// Extensions of the harts: an ISA string such as rv64gch_sstc, or switches on the default
        /// such as rv64,svadu=on,sstc=off
        #[arg(long, value_name = "ISA")]
        isa: Option<String>,
        /// Main memory, committed as the guest touches it [default: 1G]
        #[arg(long, value_name = "SIZE")]
        memory: Option<Size>,
        /// Number of harts, 1 to 8 [default: 1]
        #[arg(long, value_name = "N")]
        harts: Option<u8>,
        /// Shape of the architectural TLBs: none (walk every time), default, adversarial (keep
        /// whatever the manual allows until exactly the fence that must remove it), or FILE.toml
        /// [default: default]
        #[arg(long, value_name = "SHAPE")]
        tlb: Option<Tlb>,
        /// Misaligned loads and stores: done by the hart, or trapped [default: handle, but trap with a
        /// --core whose ISA has no Zicclsm]
        #[arg(long, value_name = "trap|handle", num_args = 0..=1, require_equals = true,
              default_missing_value = "handle", hide_possible_values = true)]
        misaligned: Option<Misaligned>,
        /// PMP entries of each hart: 0, 16 or 64 [default: 16]
        #[arg(long, value_name = "N")]
        pmp_entries: Option<u8>,
        /// Guest external interrupt lines of each hart (GEILEN), 0 to 63; the test output device drives
        /// them [default: 0]
        #[arg(long, value_name = "N")]
        geilen: Option<u8>,
        /// Bits of ASID that each hart has (ASIDLEN), 0 to 16 [default: 16]
        #[arg(long, value_name = "N")]
        asidlen: Option<u8>,
        /// Bits of VMID that each hart has (VMIDLEN), 0 to 14 [default: 14]
        #[arg(long, value_name = "N")]
        vmidlen: Option<u8>,
        /// Cycles in a second of virtual time [default: 1GHz]
        #[arg(long, value_name = "HZ")]
        cpu_hz: Option<Hertz>,
        /// What the harts are, and whose cycles they take, approximately: a preset, or FILE.toml; list prints the
        /// presets. It sets the defaults of --isa, --tlb, --pmp-entries, --asidlen and --vmidlen too
        #[arg(long, value_name = "CORE")]
        core: Option<String>,
        /// Whether the harts take a core's cycles, or an instruction is a cycle; on without --core is generic-h
        /// [default: off, with --core on]
        #[arg(long, value_name = "on|off", hide_possible_values = true)]
        timing: Option<Timing>,
        /// Cycles until memory delivers the first bytes of a line, in place of the core's own
        #[arg(long, value_name = "CYCLES")]
        mem_latency: Option<Count>,
        /// What virtual time follows: cycles (repeatable; waiting takes no time), or the wall clock
        /// (for people at the console) [default: virtual]
        #[arg(long, value_name = "virtual|native", hide_possible_values = true)]
        clock: Option<Clock>,
        /// What the real-time clock shows at power-on: seconds since 1970, or now
        /// [default: 1767225600, with --clock native now]
        #[arg(long, value_name = "SECONDS|now")]
        rtc: Option<Rtc>,
        /// Where every random number of the machine comes from [default: 0]
        #[arg(long, value_name = "N")]
        seed: Option<Count>,
        /// Adds the test output device: a store to 0x60000000 prints a byte, one to 0x60000008 exits,
        /// one to 0x60000100 + 8 * hart drives the hart's guest external interrupts
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true)]
        test_device: Option<bool>,
        /// Stops with exit code 124 after N instructions of all harts together
        #[arg(long, value_name = "N", help_heading = "Limits")]
        max_insns: Option<Count>,
        /// Stops with exit code 124 after so many seconds of wall time
        #[arg(long, value_name = "SECONDS", help_heading = "Limits")]
        timeout: Option<Seconds>,
    }
}

options! {
    /// What the machine runs, and where its input and output are.
    #[command(next_help_heading = "Boot")]
    struct RunOptions {
        /// Bare ELF file; starts in M-mode with the hart's number in a0 and the device tree in a1
        #[arg(value_name = "ELF", help_heading = None::<&str>)]
        program: Option<PathBuf>,
        /// Firmware: builtin, none, or a file such as OpenSBI's fw_dynamic [default: builtin with
        /// --kernel, none with a bare ELF]
        #[arg(long, value_name = "builtin|none|FILE")]
        bios: Option<Bios>,
        /// Kernel: Linux Image or ELF, also compressed with gzip or zstd
        #[arg(long, value_name = "FILE")]
        kernel: Option<PathBuf>,
        /// Initial RAM disk for the kernel
        #[arg(long, value_name = "FILE")]
        initrd: Option<PathBuf>,
        /// Kernel command line
        #[arg(long, value_name = "TEXT")]
        append: Option<String>,
        /// Device tree blob in place of the generated one
        #[arg(long, value_name = "FILE")]
        dtb: Option<PathBuf>,
        /// Start address in place of the ELF's entry
        #[arg(long, value_name = "ADDR")]
        pc: Option<Address>,
        /// Disk from a raw image (repeatable); ro refuses writes, overlay forgets them at exit
        #[arg(long, value_name = "FILE[,ro|,overlay]", help_heading = "Devices")]
        disk: Vec<Disk>,
        /// Makes every disk that takes writes forget them at exit
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true, help_heading = "Devices")]
        overlay: Option<bool>,
        /// Network device (repeatable), connected to nothing; dump keeps what is sent as pcap
        #[arg(long, value_name = "null|dump:FILE", help_heading = "Devices")]
        net: Vec<Net>,
        /// Adds a virtio console (hvc0 to Linux): it prints to the same place as the UART, and input
        /// goes to it instead
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true, help_heading = "Devices")]
        virtio_console: Option<bool>,
        /// Where the guest's console goes [default: stdio]
        #[arg(long, value_name = "stdio|null|file:FILE", help_heading = "Devices")]
        console: Option<Console>,
        /// Files whose symbols name addresses in messages (repeatable)
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        symbols: Vec<PathBuf>,
        /// Serves debuggers at a TCP port, on the loopback interface unless told otherwise; 0 is any
        /// free port
        #[arg(long, value_name = "[ADDR:]PORT", help_heading = "Debugging")]
        gdb: Option<Listen>,
        /// Nothing runs before a debugger says so
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true, help_heading = "Debugging")]
        gdb_wait: Option<bool>,
        /// A guest that asks for a reset ends the run, as if it had powered the machine off
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true)]
        no_reboot: Option<bool>,
        /// Logs every retired instruction and every trap, on standard error unless --log says where
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true, help_heading = "Output")]
        log_commits: Option<bool>,
        /// File for the commit log, which it also switches on
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        log: Option<PathBuf>,
        /// Format of the commit log: spike, bit for bit, or v, which also shows VS, VU and guest
        /// physical addresses [default: spike]
        #[arg(long, value_name = "spike|v", hide_possible_values = true, help_heading = "Output")]
        log_format: Option<LogFormat>,
        /// File for what happens, one JSON object a line: traps, guest-page faults, fences, hgatp and
        /// vsatp, stores to G-stage tables; - for standard output. docs/EVENTS.md describes it
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        events: Option<PathBuf>,
        /// Kinds of events, separated by commas: exceptions, ecalls, interrupts, returns, exits,
        /// entries, faults, fences, roots, gstage; traps for the first three, all for everything.
        /// Unless told, all but ecalls, interrupts and returns
        #[arg(long, value_name = "KINDS", help_heading = "Output")]
        event_kinds: Option<EventKinds>,
        /// File for statistics in JSON, written when the run ends
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        stats: Option<PathBuf>,
        /// Prints statistics as tables when the run ends, on standard error
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true, help_heading = "Output")]
        stats_table: Option<bool>,
        /// File for what the program left between its symbols begin_signature and end_signature,
        /// as riscv-arch-test compares it; written however the run ends
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        signature: Option<PathBuf>,
        /// Bytes in a line of the signature [default: 4]
        #[arg(long, value_name = "BYTES", help_heading = "Output")]
        signature_granularity: Option<u8>,
        /// Says nothing on standard error but errors
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
              default_missing_value = "true", hide_possible_values = true, help_heading = "Output")]
        quiet: Option<bool>,
        /// Which diagnostics to print, such as info or machine=debug,devices=trace [default: warn]
        #[arg(long, value_name = "FILTER", help_heading = "Output")]
        trace_filter: Option<String>,
    }
}

/// What is so when nothing else is asked for.
impl MachineOptions {
    /// The ISA string of the harts.
    pub(crate) fn isa(&self) -> String {
        self.isa.clone().unwrap_or_else(|| "rv64".into())
    }

    /// The size of main memory.
    pub(crate) fn memory(&self) -> Size {
        self.memory.unwrap_or(Size(1 << 30))
    }

    /// The number of harts.
    pub(crate) fn harts(&self) -> u8 {
        self.harts.unwrap_or(1)
    }

    /// What becomes of misaligned accesses.
    pub(crate) fn misaligned(&self) -> Misaligned {
        self.misaligned.unwrap_or(Misaligned::Handle)
    }

    /// The PMP entries of each hart.
    pub(crate) fn pmp_entries(&self) -> u8 {
        self.pmp_entries.unwrap_or(16)
    }

    /// The guest external interrupt lines of each hart.
    pub(crate) fn geilen(&self) -> u8 {
        self.geilen.unwrap_or(0)
    }

    /// The bits of VMID of each hart.
    pub(crate) fn vmidlen(&self) -> u8 {
        self.vmidlen.unwrap_or(14)
    }

    /// The bits of ASID of each hart.
    pub(crate) fn asidlen(&self) -> u8 {
        self.asidlen.unwrap_or(16)
    }

    /// Whether the harts take a core's cycles.
    pub(crate) fn timing(&self) -> Timing {
        self.timing.unwrap_or(if self.core.is_some() { Timing::On } else { Timing::Off })
    }

    /// The cycles in a second.
    pub(crate) fn cpu_hz(&self) -> Hertz {
        self.cpu_hz.unwrap_or(Hertz(1_000_000_000))
    }

    /// The shape of the TLBs.
    pub(crate) fn tlb(&self) -> Tlb {
        self.tlb.clone().unwrap_or_else(|| Tlb::Preset("default".into()))
    }

    /// What virtual time follows.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.unwrap_or(Clock::Virtual)
    }

    /// The real-time clock at power-on: the first second of 2026, so that a run repeats, except
    /// where it cannot repeat anyway.
    pub(crate) fn rtc(&self) -> Rtc {
        self.rtc.unwrap_or(match self.clock() {
            Clock::Virtual => Rtc::Seconds(1_767_225_600),
            Clock::Native => Rtc::Now,
        })
    }

    /// The seed of everything random.
    pub(crate) fn seed(&self) -> Count {
        self.seed.unwrap_or(Count(0))
    }

    /// Whether the test output device is there.
    pub(crate) fn test_device(&self) -> bool {
        self.test_device.unwrap_or(false)
    }

    /// These options with every default written out, but for what the core decides.
    pub(crate) fn resolved(&self) -> Self {
        let coreless = self.core.is_none() && self.timing() == Timing::Off;
        Self {
            isa: self.isa.clone().or_else(|| coreless.then(|| self.isa())),
            memory: Some(self.memory()),
            harts: Some(self.harts()),
            tlb: self.tlb.clone().or_else(|| coreless.then(|| self.tlb())),
            misaligned: self.misaligned.or_else(|| coreless.then(|| self.misaligned())),
            pmp_entries: self.pmp_entries.or_else(|| coreless.then(|| self.pmp_entries())),
            geilen: Some(self.geilen()),
            asidlen: self.asidlen.or_else(|| coreless.then(|| self.asidlen())),
            vmidlen: self.vmidlen.or_else(|| coreless.then(|| self.vmidlen())),
            cpu_hz: Some(self.cpu_hz()),
            core: self.core.clone(),
            timing: Some(self.timing()),
            mem_latency: self.mem_latency,
            clock: Some(self.clock()),
            rtc: Some(self.rtc()),
            seed: Some(self.seed()),
            test_device: Some(self.test_device()),
            max_insns: self.max_insns,
            timeout: self.timeout,
        }
    }
}

impl RunOptions {
    /// The firmware.
    pub(crate) fn bios(&self) -> Bios {
        let default = if self.program.is_some() { Bios::None } else { Bios::Builtin };
        self.bios.clone().unwrap_or(default)
    }

    /// Where the guest's console goes.
    pub(crate) fn console(&self) -> Console {
        self.console.clone().unwrap_or(Console::Stdio)
    }

    /// These options with every default written out.
    pub(crate) fn resolved(&self) -> Self {
        Self {
            bios: Some(self.bios()),
            console: Some(self.console()),
            log_format: Some(self.log_format.unwrap_or_default()),
            signature_granularity: Some(self.signature_granularity.unwrap_or(LINE_BYTES)),
            ..self.clone()
        }
    }

    /// Makes relative file names, written as seen from `directory`, usable from here.
    pub(crate) fn rebase(&mut self, directory: &Path) {
        let bios = self.bios.as_mut().and_then(Bios::file_mut);
        let console = self.console.as_mut().and_then(Console::file_mut);
        let single = [
            &mut self.program,
            &mut self.kernel,
            &mut self.initrd,
            &mut self.dtb,
            &mut self.log,
            &mut self.stats,
            &mut self.signature,
        ]
        .into_iter()
        .filter_map(Option::as_mut)
        // Standard output is the same wherever it is seen from.
        .chain(self.events.as_mut().filter(|path| path.as_path() != Path::new("-")));
        let several = self
            .disk
            .iter_mut()
            .map(|disk| &mut disk.file)
            .chain(self.net.iter_mut().filter_map(Net::file_mut))
            .chain(&mut self.symbols);
        for path in single.chain(several).chain(bios).chain(console) {
            *path = directory.join(&*path);
        }
    }
}

impl MachineOptions {
    /// Makes relative file names, written as seen from `directory`, usable from here.
    pub(crate) fn rebase(&mut self, directory: &Path) {
        if let Some(Tlb::File(path)) = &mut self.tlb {
            *path = directory.join(&*path);
        }
        if let Some(core) = self.core.as_mut().filter(|core| core.ends_with(".toml")) {
            *core = directory.join(&*core).to_string_lossy().into_owned();
        }
    }
}

/// How the commit log is written.
#[derive(ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// As Spike does.
    #[default]
    Spike,
    /// With virtualization shown.
    V,
}

/// What virtual time follows.
#[derive(ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Clock {
    /// The cycles of the harts.
    Virtual,
    /// The wall clock.
    Native,
}

/// Whether the harts take a core's cycles.
#[derive(ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Timing {
    /// They do.
    On,
    /// An instruction is a cycle.
    Off,
}

/// What becomes of a misaligned access.
#[derive(ValueEnum, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Misaligned {
    /// It raises an address-misaligned exception.
    Trap,
    /// The hart does it.
    Handle,
}
