//! Where everything lies, in the machine and in its guests.

use hyp::gstage::{Mode, Size};
use hyp::memslot::Slot;
use isa::{Gpa, PAGE_BYTES, Pa};

/// Harts.
pub(crate) const HARTS: usize = 3;
/// Virtual machines: the first has two vCPUs, the second one.
pub(crate) const VMS: usize = 2;
/// The VM of each vCPU, and its number there.
pub(crate) const VCPUS: [(usize, usize); 3] = [(0, 0), (0, 1), (1, 0)];

/// Main memory begins here, with what HS-mode executes.
pub(crate) const BASE: u64 = 0x8000_0000;
/// HS-mode's own page table: it sees physical memory where it is.
pub(crate) const HS_ROOT: u64 = BASE + 0x1000;
/// Main memory where no slot is larger than a few MiB.
pub(crate) const SMALL_RAM: u64 = 32 << 20;
/// Main memory where a slot has 1 GiB.
pub(crate) const LARGE_RAM: u64 = 2 << 30;
/// The first frame that is given to tables.
pub(crate) const HEAP: u64 = BASE + 0x10_0000;
/// How many there are.
pub(crate) const HEAP_FRAMES: u64 = 1200;

/// The root of a VM's G-stage.
pub(crate) fn root(vm: usize) -> Pa {
    Pa(BASE + 0x1_0000 + vm as u64 * Mode::Sv57x4.root_bytes())
}

/// The slots of each VM by number.
pub(crate) const MAIN: u32 = 1;
/// A slot that comes, goes and moves.
pub(crate) const AUX: u32 = 2;
/// The slot that holds the guest's page tables, from which nothing can be fetched.
pub(crate) const TABLES: u32 = 3;
/// All of them.
pub(crate) const SLOTS: [u32; 3] = [MAIN, AUX, TABLES];

/// Where the guest sees its main slot.
pub(crate) const MAIN_GPA: u64 = 0x4000_0000;
/// The two places of the second slot: in the second a large leaf never fits.
pub(crate) const AUX_GPAS: [u64; 2] = [0x8020_0000, 0x8060_3000];
/// Pages of the second slot: more than one large leaf, less than two.
pub(crate) const AUX_PAGES: u64 = 528;
/// Where the guest sees its page tables.
pub(crate) const TABLES_GPA: u64 = 0xa000_0000;
/// Pages for them: three for each vCPU.
pub(crate) const TABLES_PAGES: u64 = 16;
/// The page of the main slot that holds the guest's program.
pub(crate) const CODE_PAGE: u64 = 15;
/// Its address.
pub(crate) const CODE: u64 = MAIN_GPA + CODE_PAGE * PAGE_BYTES;
/// The pages of virtual memory that the guest maps now here, now there, and the first of them that is global.
pub(crate) const WINDOWS: std::ops::Range<u64> = 32..36;
/// See [`WINDOWS`].
pub(crate) const FIRST_GLOBAL: u64 = 34;
/// The word of a page that holds its value.
pub(crate) const WORD: u64 = 0x20;

/// A slot of a VM as it is at first.
pub(crate) fn slot(vm: usize, id: u32, large: bool, shift: u64) -> Slot {
    let (gpa, pages, memory) = match id {
        MAIN if large && vm == 0 => (MAIN_GPA, 1 << 18, 0xc000_0000),
        MAIN => (MAIN_GPA, 1024, BASE + 0x80_0000 + vm as u64 * 0x100_0000 + shift),
        AUX => (AUX_GPAS[0], AUX_PAGES, BASE + 0x100_0000 + vm as u64 * 0x40_0000 + shift),
        _ => (TABLES_GPA, TABLES_PAGES, BASE + 0x60_0000 + vm as u64 * 0x1_0000),
    };
    let mut slot = Slot::new(id, Gpa(gpa), pages * PAGE_BYTES, Pa(memory));
    slot.executable = id != TABLES;
    slot
}

/// Pages in a leaf of this size.
pub(crate) fn pages_of(size: Size) -> u64 {
    size.bytes() / PAGE_BYTES
}
