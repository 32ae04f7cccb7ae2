//! Page-table entry bits [priv: supervisor, "Addressing and Memory Protection"; Svnapot; Svpbmt].

/// Valid.
pub const V: u64 = 1 << 0;
/// Readable.
pub const R: u64 = 1 << 1;
/// Writable.
pub const W: u64 = 1 << 2;
/// Executable.
pub const X: u64 = 1 << 3;
/// User-accessible; at the G-stage every leaf must have it.
pub const U: u64 = 1 << 4;
/// Global; ignored at the G-stage.
pub const G: u64 = 1 << 5;
/// Accessed.
pub const A: u64 = 1 << 6;
/// Dirty.
pub const D: u64 = 1 << 7;
/// The two bits reserved for software.
pub const RSW: u64 = 3 << 8;
/// Lowest bit of the physical page number.
pub const PPN_SHIFT: u32 = 10;
/// The physical page number, 44 bits.
pub const PPN: u64 = ((1 << 44) - 1) << PPN_SHIFT;
/// Bits 60–54, reserved.
pub const RESERVED: u64 = 0x7f << 54;
/// Lowest bit of the memory type.
pub const PBMT_SHIFT: u32 = 61;
/// Svpbmt: page-based memory type.
pub const PBMT: u64 = 3 << PBMT_SHIFT;
/// Svnapot: naturally aligned power-of-two contiguity.
pub const N: u64 = 1 << 63;
