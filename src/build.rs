//! From options to what a machine is made of. Files of disks and cables are opened here, so that what
//! is wrong with them is said before anything runs.

use crate::cli::{
    self, Bios, Disk, DiskWrites, MachineOptions, Misaligned, Net, Rtc, RunOptions, Tlb,
};
use crate::console::Output;
use anyhow::{Context, Result, ensure};
use devices::virtio::blk::{BlockBackend, FileBackend, FileMode, Overlay};
use devices::virtio::net::{NetBackend, NullNet, Pcap};
use devices::virtio::{Block, Console as VirtioConsole, Net as NetworkCard};
use isa::{ExtSet, Pa};
use machine::board::{HARTS_MAX, VIRTIO_SLOTS};
use machine::config::Boot;
use machine::{Board, Extra, Follow, Setup, config};
use mmu::Shape;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;
use timing::Clock;

/// The most that is kept of a cable's frames, in bytes.
const PCAP_BYTES_MAX: u64 = 1 << 30;
/// The first card's address; the last byte counts cards. Locally administered, as QEMU's are.
const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// What a machine is made of, without disks and network cards.
///
/// # Errors
/// An option has a value that no machine can have.
pub(crate) fn setup(options: &MachineOptions, boot: Boot) -> Result<Setup> {
    let harts = usize::from(options.harts());
    ensure!((1..=HARTS_MAX).contains(&harts), "--harts {harts}: a board has 1 to {HARTS_MAX}");
    let pmp_entries = usize::from(options.pmp_entries());
    ensure!(
        matches!(pmp_entries, 0 | 16 | 64),
        "--pmp-entries {pmp_entries}: the manual knows 0, 16 and 64"
    );
    let geilen = u32::from(options.geilen());
    ensure!(geilen <= 63, "--geilen {geilen}: a hart has at most 63 guest external interrupts");
    let vmid_bits = u32::from(options.vmidlen());
    ensure!(vmid_bits <= 14, "--vmidlen {vmid_bits}: a VMID has at most 14 bits");
    let cpu_hz = options.cpu_hz();
    let clock = Clock::new(cpu_hz.0, Clock::default().timebase_hz())
        .with_context(|| format!("--cpu-hz {cpu_hz}"))?;
    let core = core(options)?;
    let isa = match (&options.isa, &core) {
        (None, Some((core, _))) => core.isa.clone(),
        _ => options.isa(),
    };
    Ok(Setup {
        harts,
        ram_bytes: options.memory().0,
        exts: ExtSet::parse(&isa).context("--isa")?,
        core,
        clock,
        follow: match options.clock() {
            cli::Clock::Virtual => Follow::Cycles,
            cli::Clock::Native => Follow::Wall,
        },
        shape: shape(&options.tlb())?,
        pmp_entries,
        geilen,
        vmid_bits,
        misaligned: match options.misaligned() {
            Misaligned::Trap => cpu::Misaligned::Trap,
            Misaligned::Handle => cpu::Misaligned::Handle,
        },
        seed: options.seed().0,
        power_on_ns: power_on_ns(options.rtc()),
        test_device: options.test_device(),
        boot,
        reboots: true,
        guests: None,
        extras: Vec::new(),
    })
}

/// The largest file of a shape or a core that is read, in bytes.
const SHAPE_BYTES_MAX: u64 = 1 << 16;

/// The core whose cycles are counted, and the latency of its memory.
fn core(options: &MachineOptions) -> Result<Option<(timing::Core, Option<u64>)>> {
    /// Far more than any memory takes.
    const LATENCY_MAX: u64 = 1 << 20;
    let latency = options.mem_latency.map(|count| count.0);
    ensure!(latency.is_none_or(|cycles| cycles <= LATENCY_MAX), "--mem-latency: too long");
    let Some(name) = &options.core else {
        ensure!(latency.is_none(), "--mem-latency needs a --core");
        return Ok(None);
    };
    Ok(Some((named_core(name)?, latency)))
}

/// The core that a preset's name or a file describes.
///
/// # Errors
/// There is none.
pub(crate) fn named_core(name: &str) -> Result<timing::Core> {
    let core = if name.ends_with(".toml") {
        let mut text = String::new();
        let file = File::open(name).with_context(|| format!("--core {name}"))?;
        file.take(SHAPE_BYTES_MAX).read_to_string(&mut text)?;
        timing::Core::parse(&text)
    } else {
        timing::Core::preset(name)
    };
    core.with_context(|| format!("--core {name}"))
}

fn shape(tlb: &Tlb) -> Result<Shape> {
    match tlb {
        Tlb::Preset(name) => Shape::preset(name).with_context(|| format!("--tlb {name}")),
        Tlb::File(path) => read_shape(path).with_context(|| format!("--tlb {}", path.display())),
    }
}

fn read_shape(path: &Path) -> Result<Shape> {
    let mut text = String::new();
    File::open(path)?.take(SHAPE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(toml::from_str(&text)?)
}

/// The board of a setup.
pub(crate) fn board(setup: &Setup) -> Board {
    Board::new(setup.harts, setup.ram_bytes, setup.test_device)
}

/// What is loaded.
pub(crate) fn boot(options: &RunOptions) -> Boot {
    Boot {
        program: options.program.clone(),
        bios: match options.bios() {
            Bios::Builtin => config::Bios::Builtin,
            Bios::None => config::Bios::None,
            Bios::File(path) => config::Bios::File(path),
        },
        kernel: options.kernel.clone(),
        initrd: options.initrd.clone(),
        append: options.append.clone(),
        dtb: options.dtb.clone(),
        entry: options.pc.map(|address| Pa(address.0)),
        symbols: options.symbols.clone(),
    }
}

/// The disks, network cards and virtio console, in this order, each kind in that of the command line.
///
/// # Errors
/// There are more than slots, or a file cannot be had.
pub(crate) fn extras(options: &RunOptions, clock: Clock, output: &Output) -> Result<Vec<Extra>> {
    let console = options.virtio_console.unwrap_or(false);
    let count = options.disk.len() + options.net.len() + usize::from(console);
    ensure!(
        count <= usize::from(VIRTIO_SLOTS),
        "{count} disks, network devices and consoles: the board has {VIRTIO_SLOTS} slots"
    );
    let console = console.then(|| Ok(Extra::Console(VirtioConsole::new(output.sink()))));
    let all_forget = options.overlay.unwrap_or(false);
    let disks = options.disk.iter().enumerate().map(|(n, disk)| block(disk, n, all_forget));
    let cards = options.net.iter().zip(0u8..).map(|(net, n)| network_card(net, n, clock));
    disks.chain(cards).chain(console).collect()
}

fn block(disk: &Disk, number: usize, all_forget: bool) -> Result<Extra> {
    let writes = match disk.writes {
        DiskWrites::Kept if all_forget => DiskWrites::Forgotten,
        writes => writes,
    };
    let mode = match writes {
        DiskWrites::Kept => FileMode::ReadWrite,
        DiskWrites::Refused | DiskWrites::Forgotten => FileMode::ReadOnly,
    };
    let file = Box::new(FileBackend::open(&disk.file, mode)?);
    ensure!(file.bytes() > 0, "the disk {} is empty", disk.file.display());
    let backend: Box<dyn BlockBackend> = match writes {
        DiskWrites::Forgotten => {
            let bytes_max = file.bytes().next_multiple_of(4096);
            Box::new(Overlay::in_file(file, scratch_file()?, bytes_max))
        }
        DiskWrites::Kept | DiskWrites::Refused => file,
    };
    Ok(Extra::Block(Block::new(backend, &format!("disk{number}"))))
}

/// A file without a name, which vanishes with the process.
fn scratch_file() -> Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("nestwalk-overlay-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let context = || format!("{}: for an overlay", path.display());
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(&path).with_context(context)?;
    fs::remove_file(&path).with_context(context)?;
    Ok(file)
}

fn network_card(net: &Net, number: u8, clock: Clock) -> Result<Extra> {
    let backend: Box<dyn NetBackend> = match net {
        Net::Null => Box::new(NullNet),
        Net::Dump(path) => Box::new(dump(path, clock).with_context(|| path.display().to_string())?),
    };
    let mut mac = MAC;
    mac[5] = mac[5].wrapping_add(number);
    Ok(Extra::Net(NetworkCard::new(mac, backend)))
}

fn dump(path: &Path, clock: Clock) -> Result<Pcap<BufWriter<File>>> {
    let file = BufWriter::new(File::create(path)?);
    Ok(Pcap::new(file, clock.timebase_hz(), PCAP_BYTES_MAX, Box::new(NullNet))?)
}

fn power_on_ns(rtc: Rtc) -> u64 {
    match rtc {
        Rtc::Seconds(seconds) => seconds.saturating_mul(1_000_000_000),
        Rtc::Now => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
    }
}
