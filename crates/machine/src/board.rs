//! The board: which device sits where, on which interrupt line. One table, laid out as QEMU's
//! `virt` machine, so that firmware, boot loaders and kernels for that machine run unchanged.
//!
//! The bus map, the physical memory attributes, the device tree, `--dump-map` and the table in
//! `docs/BOARD.md` are all read from here. Nothing here makes or knows a device.

use isa::Pa;
use std::fmt::Write as _;

/// Where main memory begins.
pub const RAM_BASE: Pa = Pa(0x8000_0000);
/// Interrupt sources of the PLIC, numbered from 1; as many as QEMU's `virt` has.
pub const PLIC_SOURCES: u8 = 95;
/// Slots for virtio-mmio devices.
pub const VIRTIO_SLOTS: u8 = 8;
/// The most harts that a board has.
pub const HARTS_MAX: usize = 8;

/// What a region is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// What firmware is told, read-only.
    BootRom,
    /// The test finisher: power off and reset.
    Finisher,
    /// The Goldfish real-time clock.
    Rtc,
    /// The ACLINT's MTIMER and MSWI, in the layout of the CLINT.
    Aclint,
    /// The platform-level interrupt controller.
    Plic,
    /// The 16550 UART.
    Uart,
    /// A slot for a virtio-mmio device, from 0.
    Virtio(u8),
    /// The test-only output page.
    TestOutput,
    /// Main memory.
    Ram,
}

/// A range of physical addresses and what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// What is there.
    pub part: Part,
    /// The name in maps and messages; all virtio slots share one.
    pub name: &'static str,
    /// The first address.
    pub base: Pa,
    /// The length, in bytes.
    pub bytes: u64,
    /// The source number at the PLIC.
    pub irq: Option<u8>,
    /// Whether instructions can be fetched from it.
    pub executable: bool,
    /// Whether stores to it are heard.
    pub writable: bool,
    /// What it is, in a line.
    pub doc: &'static str,
}

impl Region {
    /// The offset of `pa` in the region, or `None` where it lies outside.
    #[inline]
    pub fn offset_of(&self, pa: Pa) -> Option<u64> {
        pa.0.checked_sub(self.base.0).filter(|&offset| offset < self.bytes)
    }

    /// The last address.
    pub fn last(&self) -> Pa {
        Pa(self.base.0 + (self.bytes - 1))
    }

    /// The name, with its number where there are several of a kind.
    pub fn label(&self) -> String {
        match self.part {
            Part::Virtio(slot) => format!("{}{slot}", self.name),
            _ => self.name.to_owned(),
        }
    }

    /// `rwx` with dashes, as maps show it.
    fn rights(&self) -> &'static str {
        match (self.writable, self.executable) {
            (false, false) => "r--",
            (false, true) => "r-x",
            (true, false) => "rw-",
            (true, true) => "rwx",
        }
    }
}

/// One row of the table.
struct Row {
    part: fn(u8) -> Part,
    name: &'static str,
    base: u64,
    bytes: u64,
    /// How many there are, each `bytes` and one source further on.
    count: u8,
    irq: Option<u8>,
    rights: Rights,
    doc: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    R,
    Rw,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    //    part                  name           base         bytes       count             irq       rights      doc
    row(|_| Part::BootRom,    "boot-rom",    0x0000_1000, 0xf000,      1,               None,     Rights::R,  "Information block for firmware"),
    row(|_| Part::Finisher,   "finisher",    0x0010_0000, 0x1000,      1,               None,     Rights::Rw, "Test finisher: power off, exit code, reset"),
    row(|_| Part::Rtc,        "rtc",         0x0010_1000, 0x1000,      1,               Some(11), Rights::Rw, "Goldfish real-time clock"),
    row(|_| Part::Aclint,     "clint",       0x0200_0000, 0x1_0000,    1,               None,     Rights::Rw, "ACLINT MTIMER and MSWI in the layout of the CLINT"),
    row(|_| Part::Plic,       "plic",        0x0c00_0000, 0x60_0000,   1,               None,     Rights::Rw, "Platform-level interrupt controller"),
    row(|_| Part::Uart,       "uart",        0x1000_0000, 0x100,       1,               Some(10), Rights::Rw, "16550 UART: the guest's console"),
    row(Part::Virtio,         "virtio",      0x1000_1000, 0x1000,      VIRTIO_SLOTS,    Some(1),  Rights::Rw, "Slot for a virtio-mmio device"),
    row(|_| Part::TestOutput, "test-output", 0x6000_0000, 0x1000,      1,               None,     Rights::Rw, "Test output, exit and guest external interrupts, only with --test-device"),
];

#[expect(clippy::too_many_arguments, reason = "it is the shape of a table row")]
const fn row(
    part: fn(u8) -> Part,
    name: &'static str,
    base: u64,
    bytes: u64,
    count: u8,
    irq: Option<u8>,
    rights: Rights,
    doc: &'static str,
) -> Row {
    Row { part, name, base, bytes, count, irq, rights, doc }
}

impl Row {
    fn region(&self, index: u8) -> Region {
        Region {
            part: (self.part)(index),
            name: self.name,
            base: Pa(self.base + u64::from(index) * self.bytes),
            bytes: self.bytes,
            irq: self.irq.map(|irq| irq + index),
            executable: false,
            writable: self.rights == Rights::Rw,
            doc: self.doc,
        }
    }
}

/// A board of some size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Board {
    regions: Vec<Region>,
    ram: Region,
    harts: usize,
}

impl Board {
    /// A board with this many harts and bytes of main memory, and the test-only output page if it
    /// is wanted. The sizes are those of a checked configuration.
    pub fn new(harts: usize, ram_bytes: u64, test_device: bool) -> Self {
        let regions = ROWS
            .iter()
            .flat_map(|row| (0..row.count).map(|index| row.region(index)))
            .filter(|region| test_device || region.part != Part::TestOutput)
            .collect();
        let ram = Region {
            part: Part::Ram,
            name: "ram",
            base: RAM_BASE,
            bytes: ram_bytes,
            irq: None,
            executable: true,
            writable: true,
            doc: "Main memory",
        };
        Self { regions, ram, harts }
    }

    /// The devices' regions, by rising address.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Main memory.
    pub fn ram(&self) -> &Region {
        &self.ram
    }

    /// How many harts there are.
    pub fn harts(&self) -> usize {
        self.harts
    }

    /// The region of a device that this board has.
    pub fn region(&self, part: Part) -> Option<&Region> {
        self.regions.iter().chain([&self.ram]).find(|region| region.part == part)
    }

    /// The device's region that holds `pa`.
    #[inline]
    pub fn at(&self, pa: Pa) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.base <= pa);
        let region = self.regions.get(after.checked_sub(1)?)?;
        region.offset_of(pa).map(|_| region)
    }

    /// The map as text, one region a line.
    pub fn map(&self) -> String {
        let mut text = String::new();
        for region in self.regions.iter().chain([&self.ram]) {
            let irq = region.irq.map(|irq| format!("irq {irq}")).unwrap_or_default();
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "{:#012x}-{:#012x} {} {:<11} {:<6} {}",
                region.base.0,
                region.last().0,
                region.rights(),
                region.label(),
                irq,
                region.doc
            );
        }
        text
    }

    /// The map of the devices as a table in Markdown.
    pub fn markdown() -> String {
        let mut text =
            String::from("| from | to | rights | name | irq | what |\n|---|---|---|---|---|---|\n");
        for row in ROWS {
            let (first, last) = (row.region(0), row.region(row.count - 1));
            let irq = match (first.irq, last.irq) {
                (Some(low), Some(high)) if low != high => format!("{low}–{high}"),
                (Some(irq), _) => irq.to_string(),
                _ => String::new(),
            };
            let name = if row.count > 1 {
                format!("{}–{}", first.label(), row.count - 1)
            } else {
                first.label()
            };
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| {:#010x} | {:#010x} | {} | {name} | {irq} | {} |",
                first.base.0,
                last.last().0,
                first.rights(),
                row.doc
            );
        }
        let _ = writeln!(text, "| {:#010x} | | rwx | ram | | Main memory |", RAM_BASE.0);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_rise_and_never_touch_each_other() {
        let board = Board::new(8, 1 << 30, true);
        for pair in board.regions().windows(2) {
            assert!(pair[0].last() < pair[1].base, "{pair:?}");
        }
        assert!(board.regions().last().is_some_and(|last| last.last() < RAM_BASE));
    }

    #[test]
    fn the_map_is_that_of_qemus_virt_machine() {
        let board = Board::new(1, 1 << 30, false);
        // From the device tree that QEMU 10.0.2 prints for -M virt.
        for (part, base, bytes, irq) in [
            (Part::Finisher, 0x10_0000, 0x1000, None),
            (Part::Rtc, 0x10_1000, 0x1000, Some(11)),
            (Part::Aclint, 0x200_0000, 0x1_0000, None),
            (Part::Plic, 0xc00_0000, 0x60_0000, None),
            (Part::Uart, 0x1000_0000, 0x100, Some(10)),
            (Part::Virtio(0), 0x1000_1000, 0x1000, Some(1)),
            (Part::Virtio(7), 0x1000_8000, 0x1000, Some(8)),
            (Part::Ram, 0x8000_0000, 1 << 30, None),
        ] {
            let region = board.region(part).unwrap();
            assert_eq!((region.base.0, region.bytes, region.irq), (base, bytes, irq), "{part:?}");
        }
    }

    #[test]
    fn an_address_finds_its_region_to_the_last_byte() {
        let board = Board::new(1, 1 << 30, false);
        let part = |pa| board.at(Pa(pa)).map(|region| region.part);
        assert_eq!(part(0), None);
        assert_eq!(part(0x1000), Some(Part::BootRom));
        assert_eq!(part(0xffff), Some(Part::BootRom));
        assert_eq!(part(0x1_0000), None);
        assert_eq!(part(0x1000_00ff), Some(Part::Uart));
        assert_eq!(part(0x1000_0100), None);
        assert_eq!(part(0x1000_8fff), Some(Part::Virtio(7)));
        assert_eq!(part(u64::MAX), None);
    }

    #[test]
    fn the_test_page_is_there_only_on_request() {
        let at = |on| Board::new(1, 1 << 30, on).at(Pa(0x6000_0008)).map(|region| region.part);
        assert_eq!(at(true), Some(Part::TestOutput));
        assert_eq!(at(false), None);
    }

    #[test]
    fn the_registers_of_all_contexts_fit_the_plic() {
        // Two contexts a hart, a page each after 0x20_0000 [PLIC specification, memory map].
        let plic = *Board::new(HARTS_MAX, 1 << 30, false).region(Part::Plic).unwrap();
        assert!(0x20_0000 + 2 * HARTS_MAX as u64 * 0x1000 <= plic.bytes);
    }

    #[test]
    fn the_map_names_every_region_once() {
        let map = Board::new(1, 1 << 20, true).map();
        assert_eq!(map.lines().count(), 7 + 8 + 1);
        assert!(map.contains("0x0010008000-0x0010008fff rw- virtio7     irq 8"), "{map}");
        assert!(map.contains("0x0080000000-0x00800fffff rwx ram"), "{map}");
    }

    #[test]
    fn the_documentation_shows_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/BOARD.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&Board::markdown()), "put this into {path}:\n{}", Board::markdown());
    }
}
