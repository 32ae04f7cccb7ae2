//! From options to what a machine is made of. Files of disks and cables are opened here, so that what
//! is wrong with them is said before anything runs.

use crate::cli::{self, Bios, Disk, DiskWrites, MachineOptions, Net, Rtc, RunOptions};
use crate::console::Output;
use crate::cores;
use anyhow::{Context, Result, ensure};
use devices::virtio::blk::{BlockBackend, FileBackend, FileMode, Overlay};
use devices::virtio::net::{NetBackend, NullNet, Pcap};
use devices::virtio::{Block, Console as VirtioConsole, Net as NetworkCard};
use isa::Pa;
use machine::board::{HARTS_MAX, VIRTIO_SLOTS};
use machine::config::Boot;
use machine::{Board, Extra, Follow, Setup, config};
use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
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
    let geilen = u32::from(options.geilen());
    ensure!(geilen <= 63, "--geilen {geilen}: a hart has at most 63 guest external interrupts");
    let cpu_hz = options.cpu_hz();
    let clock = Clock::new(cpu_hz.0, Clock::default().timebase_hz())
        .with_context(|| format!("--cpu-hz {cpu_hz}"))?;
    let of = cores::harts(options)?;
    Ok(Setup {
        harts,
        ram_bytes: options.memory().0,
        exts: of.exts,
        core: of.core,
        clock,
        follow: match options.clock() {
            cli::Clock::Virtual => Follow::Cycles,
            cli::Clock::Native => Follow::Wall,
        },
        shape: of.shape,
        pmp_entries: of.pmp_entries,
        geilen,
        asid_bits: of.asid_bits,
        vmid_bits: of.vmid_bits,
        misaligned: of.misaligned,
        seed: options.seed().0,
        power_on_ns: power_on_ns(options.rtc()),
        test_device: options.test_device(),
        boot,
        reboots: true,
        guests: None,
        extras: Vec::new(),
    })
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
