//! A machine with a hostile guest in it, and what drives it on when it gets stuck.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use devices::Sink;
use devices::virtio::blk::BlockBackend;
use devices::virtio::net::NullNet;
use devices::virtio::{Block, Console, Net};
use isa::field::mstatus;
use isa::{Ext, ExtSet, Pa, csr};
use machine::config::{Bios, Boot};
use machine::{Extra, Follow, Machine, Setup};
use mmu::Shape;
use timing::Clock;

use crate::place::{self, CODE, CODE_BYTES};
use crate::rng::Rng;
use crate::soup;

/// What a guest printed, as a number.
pub(crate) type Printed = Arc<AtomicU64>;

pub(crate) fn console(printed: &Printed) -> Box<dyn Sink> {
    let printed = Arc::clone(printed);
    Box::new(move |bytes: &[u8]| {
        let mut hash = printed.load(Ordering::Relaxed);
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        printed.store(hash, Ordering::Relaxed);
    })
}

/// A disk in memory.
struct Disk(Mutex<Vec<u8>>);

impl BlockBackend for Disk {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let bytes = self.0.lock().expect("one thread");
        let from = usize::try_from(offset).expect("a place on the disk");
        let rest = bytes.get(from..).expect("nobody asks for what is not on the disk");
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        out[n..].fill(0);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let mut bytes = self.0.lock().expect("one thread");
        let from = usize::try_from(offset).expect("a place on the disk");
        let end = (from + data.len()).min(bytes.len());
        let n = end.checked_sub(from).expect("nobody writes behind the disk");
        bytes[from..end].copy_from_slice(&data[..n]);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.0.lock().expect("one thread").len() as u64
    }

    fn read_only(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

/// ISA strings of hostile guests' harts.
const ISAS: &[&str] = &[
    "rv64,h=off",
    "rv64,sstc=off",
    "rv64,smepmp=on,ssdbltrp=on,smdbltrp=on",
    "rv64,zcd=off,c=off",
    "rv64,sv57=off,svade=off",
    "rv64im_zicsr_sv39",
    "rv64imac_zicsr",
];

fn exts(rng: &mut Rng) -> ExtSet {
    if rng.chance(60) {
        return ExtSet::default_set();
    }
    let text = rng.pick(ISAS);
    ExtSet::parse(text).unwrap_or_else(|_| ExtSet::default_set())
}

/// A machine, and the random numbers that its guest lives by.
pub(crate) struct Guest {
    pub(crate) machine: Machine,
    pub(crate) printed: Printed,
    /// Which of the driver's draws comes next.
    rng: Rng,
    firmware: bool,
    /// Its TLB keeps anything.
    keeps: bool,
}

impl Guest {
    /// The guest of a seed; `folder` takes its ELF file.
    pub(crate) fn new(seed: u64, folder: &Path) -> Self {
        let mut rng = Rng::new(seed);
        let exts = exts(&mut rng);
        let firmware = exts.contains(Ext::S) && rng.chance(50);
        let file = folder.join(format!("{seed}.elf"));
        std::fs::write(&file, elf()).expect("the folder can be written");
        let printed = Printed::default();
        let disk = Disk(Mutex::new(vec![0; rng.below(0x2_0000) as usize]));
        let clock = match rng.below(4) {
            0 => Clock::new(1, 1),
            1 => Clock::new(1_500_000_001, 10_000_000),
            _ => Ok(Clock::default()),
        };
        let shape = Shape::preset(rng.pick(&["none", "default", "adversarial"])).expect("a preset");
        let keeps = shape != Shape::none();
        let setup = Setup {
            harts: rng.pick(&[1, 1, 2, 3, 8]),
            ram_bytes: place::RAM_BYTES,
            exts,
            clock: clock.expect("frequencies of a clock"),
            follow: Follow::Cycles,
            shape,
            pmp_entries: rng.pick(&[0, 16, 64]),
            geilen: rng.pick(&[0, 1, 31, 63]),
            asid_bits: 16,
            vmid_bits: rng.pick(&[0, 1, 7, 14]),
            misaligned: rng.pick(&[cpu::Misaligned::Handle, cpu::Misaligned::Trap]),
            seed: rng.next(),
            power_on_ns: rng.number(),
            guests: None,
            core: None,
            test_device: true,
            boot: Boot {
                program: Some(file.clone()),
                bios: if firmware { Bios::Builtin } else { Bios::None },
                ..Boot::default()
            },
            reboots: rng.chance(50),
            extras: vec![
                Extra::Block(Block::new(Box::new(disk), "hostile")),
                Extra::Net(Net::new([2, 0, 0, 0, 0, 1], Box::new(NullNet))),
                Extra::Console(Console::new(console(&printed))),
            ],
        };
        let machine = Machine::new(setup, &|| console(&printed)).expect("a machine");
        let guest = Self { machine, printed, rng, firmware, keeps };
        // A guest that reboots is loaded again.
        guest.fill_memory(&mut Rng::new(!seed));
        guest
    }

    /// Code, page tables and queues.
    fn fill_memory(&self, rng: &mut Rng) {
        let (ram, board) = (self.machine.ram(), self.machine.board());
        let code = soup::code(rng, board, CODE_BYTES as usize);
        ram.write_bytes(Pa(CODE), &code).expect("code lies in memory");
        for at in (0..place::TABLE_PAGES * 4096).step_by(8) {
            let entry = if rng.chance(70) { place::entry(rng, board) } else { 0 };
            ram.write(Pa(place::TABLES + at), entry);
        }
        for queue in 0..2 {
            self.fill_queue(rng, place::RINGS + queue * 0x8000);
        }
    }

    /// A descriptor table, an available ring, a used ring, and buffers that look like requests.
    fn fill_queue(&self, rng: &mut Rng, at: u64) {
        let (ram, board) = (self.machine.ram(), self.machine.board());
        for index in 0..256 {
            let desc = at + 16 * index;
            let own = at + 0x6000 + 32 * rng.below(128);
            let addr = match rng.below(10) {
                0..=6 => own,
                7 => at + 16 * rng.below(256),
                _ => place::value(rng, board),
            };
            let any = rng.next() as u32;
            let bytes = rng.pick(&[0, 1, 16, 16, 17, 512, 4096, 0x10_0000, any]);
            let flags = match rng.below(10) {
                0..=2 => 1,
                3..=5 => 3,
                6 | 7 => 2,
                8 => 4,
                _ => rng.next() as u16,
            };
            ram.write(Pa(desc), addr);
            ram.write(Pa(desc + 8), bytes);
            ram.write(Pa(desc + 12), flags);
            let next = if rng.chance(95) { rng.below(256) as u16 } else { rng.next() as u16 };
            ram.write(Pa(desc + 14), next);
        }
        for slot in 0..0x400 {
            let value = if rng.chance(95) { rng.below(256) as u16 } else { rng.next() as u16 };
            ram.write(Pa(at + 0x2004 + 2 * slot), value);
        }
        ram.write(Pa(at + 0x2002), rng.below(300) as u16);
        for request in 0..128 {
            let kind = rng.pick(&[0u32, 1, 4, 8, 11, u32::MAX]);
            ram.write(Pa(at + 0x6000 + 32 * request), kind);
            let sector = if rng.chance(70) { rng.below(256) } else { rng.number() };
            ram.write(Pa(at + 0x6008 + 32 * request), sector);
        }
    }

    /// Turns the guest's hart somewhere else, as no guest could all at once: other registers, other
    /// CSRs, another mode, another place in the code.
    pub(crate) fn stir(&mut self) {
        let Self { machine, rng, firmware, keeps, .. } = self;
        let board = machine.board().clone();
        for hart in machine.harts_mut() {
            if !rng.chance(60) {
                continue;
            }
            for register in 1..32 {
                if rng.chance(60) {
                    hart.set_x(register, place::value(rng, &board));
                }
                hart.set_f(register, rng.number());
            }
            for _ in 0..rng.below(12) {
                let skipped = rng.below(csr::all().count() as u64) as usize;
                let number = csr::all().nth(skipped).map_or(0, |row| row.number);
                hart.set_csr(number, place::value(rng, &board));
            }
            for root in [csr::SATP, csr::VSATP, csr::HGATP] {
                let value = if rng.chance(50) { 0 } else { place::root(rng) };
                hart.set_csr(root, value);
            }
            for vector in [csr::MTVEC, csr::STVEC, csr::VSTVEC] {
                hart.set_csr(vector, place::code(rng) & !3 | rng.below(2));
            }
            for delegation in [csr::MEDELEG, csr::HEDELEG, csr::MIDELEG, csr::HIDELEG] {
                if rng.chance(30) {
                    hart.set_csr(delegation, rng.next());
                }
            }
            if *firmware {
                // What firmware needs of its harts' calls: they are its own.
                hart.set_csr(csr::MEDELEG, hart.csr(csr::MEDELEG).unwrap_or(0) & !(1 << 9));
            }
            if rng.chance(80) {
                // Everything is open to every mode.
                for (number, value) in [
                    (csr::PMPADDR0, u64::MAX),
                    (csr::PMPCFG0, 0x1f),
                    (csr::MSTATEEN0, u64::MAX),
                    (csr::HSTATEEN0, u64::MAX),
                    (csr::MENVCFG, u64::MAX),
                    (csr::HENVCFG, rng.number()),
                    (csr::MCOUNTEREN, u64::MAX),
                ] {
                    hart.set_csr(number, value);
                }
            }
            // All that can be counted is, but for walks where each block of code that is entered makes one.
            hart.set_csr(csr::MCOUNTINHIBIT, 0);
            for (event, row) in (1..).zip(cpu::EVENTS) {
                if *keeps || !row.name.ends_with("-ptes") {
                    hart.set_csr(csr::MHPMEVENT3 + event, event.into());
                }
            }
            // Firmware that runs outside the guest leaves nothing for M-mode to run.
            let mpp = if *firmware { rng.below(2) } else { rng.pick(&[0, 1, 1, 3, 3]) };
            let status = hart.csr(csr::MSTATUS).unwrap_or(0) & !(mstatus::MPP | mstatus::MDT);
            let guest = if rng.chance(50) { mstatus::MPV } else { 0 };
            let fs = mstatus::FS & (rng.next() | rng.next());
            hart.set_csr(csr::MSTATUS, status | mpp << mstatus::MPP_SHIFT | guest | fs);
            hart.set_csr(csr::MEPC, place::code(rng));
            hart.mret();
            hart.set_waiting(false);
        }
        let fill = rng.next();
        if rng.chance(25) {
            self.fill_memory(&mut Rng::new(fill));
        }
    }

    /// What a guest can see of itself but for its memory, and what it printed.
    pub(crate) fn portrait(&self) -> String {
        let mut text = format!("printed {:x}", self.printed.load(Ordering::Relaxed));
        for hart in self.machine.harts() {
            let (pc, retired, cycle, mode) = (hart.pc(), hart.retired(), hart.cycle(), hart.mode());
            text += &format!("; {mode:?} pc {pc:x} retired {retired} cycle {cycle}");
            for register in 1..32 {
                text += &format!(" {:x}/{:x}", hart.x(register), hart.f(register));
            }
            for row in csr::all() {
                if let Some(value) = hart.csr(row.number).filter(|&value| value != 0) {
                    text += &format!(" {}={value:x}", row.name);
                }
            }
        }
        text
    }

    /// All of its memory, as a number.
    pub(crate) fn memory(&self) -> u64 {
        let ram = self.machine.ram();
        let words = (0..place::RAM_BYTES).step_by(8);
        words.fold(0, |hash: u64, at| {
            let word = ram.read::<u64>(Pa(place::CODE + at)).expect("memory");
            (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(7)
        })
    }
}

/// An ELF file with nothing but symbols and an entry: the code comes from elsewhere.
pub(crate) fn elf() -> Vec<u8> {
    const SEGMENT: u64 = 0x78;
    const NAMES: &[u8] = b"\0tohost\0fromhost\0";
    let symbols = SEGMENT + 4;
    let names = symbols + 3 * 24;
    let sections = (names + NAMES.len() as u64).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0\x01\0\0\0".to_vec();
    for word in [CODE, 0x40, sections] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0; 4]);
    for half in [64u16, 56, 1, 64, 3, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    // In memory the segment reaches over the words of HTIF.
    for word in [SEGMENT, CODE, CODE, 4, 0x20_0000, 8] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0x6f, 0, 0, 0]);
    file.extend([0; 24]);
    for (name, value) in [(1u32, place::TOHOST), (8, place::FROMHOST)] {
        file.extend(name.to_le_bytes());
        // Global, absolute.
        file.extend([0x10, 0, 0xf1, 0xff]);
        file.extend(value.to_le_bytes());
        file.extend(8u64.to_le_bytes());
    }
    file.extend(NAMES);
    file.resize(sections as usize, 0);
    let section = |kind: u32, at: u64, bytes: u64, link: u32, info: u32, entry: u64| {
        let mut header = vec![0; 4];
        header.extend(kind.to_le_bytes());
        for word in [0, 0, at, bytes] {
            header.extend(word.to_le_bytes());
        }
        header.extend(link.to_le_bytes());
        header.extend(info.to_le_bytes());
        for word in [8, entry] {
            header.extend(word.to_le_bytes());
        }
        header
    };
    file.extend(section(0, 0, 0, 0, 0, 0));
    file.extend(section(2, symbols, 3 * 24, 2, 1, 24));
    file.extend(section(3, names, NAMES.len() as u64, 0, 0, 0));
    file
}
