//! Where things are in a hostile guest, and values that point there.

use isa::{Pa, pte};
use machine::Board;

use crate::rng::Rng;

/// Main memory of every guest.
pub(crate) const RAM_BYTES: u64 = 8 << 20;
const RAM: u64 = machine::board::RAM_BASE.0;
/// Code, as much as is generated.
pub(crate) const CODE: u64 = RAM;
pub(crate) const CODE_BYTES: u64 = 0x1_0000;
/// Page tables.
pub(crate) const TABLES: u64 = RAM + 0x10_0000;
pub(crate) const TABLE_PAGES: u64 = 32;
/// Virtqueues and the buffers of their requests.
pub(crate) const RINGS: u64 = RAM + 0x18_0000;
pub(crate) const RINGS_BYTES: u64 = 0x1_0000;
/// The words of HTIF, and a block for its calls behind them.
pub(crate) const TOHOST: u64 = RAM + 0x1a_0000;
pub(crate) const FROMHOST: u64 = TOHOST + 0x1000;
pub(crate) const CALL_BLOCK: u64 = FROMHOST + 0x40;

/// A place in the code that begins an instruction of four bytes, or mostly so.
pub(crate) fn code(rng: &mut Rng) -> u64 {
    CODE + (rng.below(CODE_BYTES) & if rng.chance(90) { !3 } else { !1 })
}

/// An address: in memory, at its edges, in a device, at the edges of everything.
pub(crate) fn address(rng: &mut Rng, board: &Board) -> u64 {
    match rng.below(12) {
        0..=2 => RAM + rng.below(RAM_BYTES),
        3 => RAM + (rng.below(RAM_BYTES) & !63),
        4 => (RAM + RAM_BYTES).wrapping_sub(rng.below(32)),
        5 => RAM.wrapping_sub(rng.below(32)),
        6 => TABLES + (rng.below(TABLE_PAGES * 4096) & !7),
        7 => RINGS + (rng.below(RINGS_BYTES) & !3),
        8 | 9 => register(rng, board),
        10 => u64::MAX - rng.below(64),
        _ => rng.number(),
    }
}

/// A register of a device, or what lies between two.
pub(crate) fn register(rng: &mut Rng, board: &Board) -> u64 {
    let region = rng.pick(board.regions());
    let offset = match rng.below(4) {
        0 => rng.below(region.bytes),
        1 => rng.below(0x110) & !3,
        2 => rng.below(region.bytes) & !7,
        _ => (rng.below(0x80) * 0x1000 + rng.below(0x20) * 4) % region.bytes,
    };
    region.base.0 + offset
}

/// What a guest may write where an address, a PTE, a root or a number is expected.
pub(crate) fn value(rng: &mut Rng, board: &Board) -> u64 {
    match rng.below(8) {
        0..=2 => address(rng, board),
        3 => entry(rng, board),
        4 => root(rng),
        5 => code(rng),
        _ => rng.number(),
    }
}

/// A PTE.
pub(crate) fn entry(rng: &mut Rng, board: &Board) -> u64 {
    let table = |rng: &mut Rng| TABLES + 0x1000 * rng.below(TABLE_PAGES);
    let (target, mut bits) = match rng.below(10) {
        0..=3 => (table(rng), pte::V),
        4..=6 => (address(rng, board), 0xcf | rng.below(2) << 4),
        7 => (RAM + (rng.below(RAM_BYTES) & !0x1f_ffff), 0xcf | rng.below(2) << 4),
        _ => (address(rng, board), rng.below(0x400)),
    };
    if rng.chance(8) {
        bits |= rng.next() & 0xffc0_0000_0000_0000;
    }
    if rng.chance(10) {
        bits ^= 1 << rng.below(8);
    }
    (Pa(target).0 >> 12 << 10) & 0x003f_ffff_ffff_fc00 | bits
}

/// A value of `satp`, `vsatp` or `hgatp`.
pub(crate) fn root(rng: &mut Rng) -> u64 {
    let any = rng.below(16);
    let mode = rng.pick(&[0, 8, 8, 8, 9, 9, 10, any]);
    // A root of G-stage tables takes 16 KiB.
    let table = TABLES + 0x4000 * rng.below(TABLE_PAGES / 4);
    let id = if rng.chance(70) { rng.below(3) } else { rng.next() & 0xffff };
    mode << 60 | id << 44 | table >> 12
}
