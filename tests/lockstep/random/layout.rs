//! Where everything is in a generated program's memory. The first 8 MiB of main memory are mapped to
//! themselves by every stage of translation (the *spine*), so that handlers, code and page tables are
//! always reached; what is random lies beside it.

/// Boot, M's handler, what sets episodes up.
pub(super) const M_CODE: u64 = 0x8000_0000;
pub(super) const M_HANDLER: u64 = 0x8000_0100;
pub(super) const BOOT: u64 = 0x8000_1000;
pub(super) const EPISODES: u64 = 0x8000_2000;
/// HS's handler and, a page on, VS's.
pub(super) const HS_HANDLER: u64 = 0x8008_0000;
pub(super) const VS_HANDLER: u64 = 0x8008_1000;
/// Code of M, HS and VS.
pub(super) const S_CODE: u64 = 0x8008_2000;
/// Code of U and VU; M may run it too.
pub(super) const U_CODE: u64 = 0x8010_0000;
pub(super) const U_CODE_END: u64 = 0x8020_0000;
/// Page tables.
pub(super) const TABLES: u64 = 0x8020_0000;
pub(super) const TOHOST: u64 = 0x803f_f000;
/// Data of supervisors, and of users.
pub(super) const S_DATA: u64 = 0x8040_0000;
pub(super) const U_DATA: u64 = 0x8060_0000;
/// Of each, what is used.
pub(super) const DATA_BYTES: u64 = 0x1_0000;
/// From here on in either, PMP may forbid accesses.
pub(super) const GUARDED: u64 = 0x8000;
/// Spike's machine timer.
pub(super) const MTIMECMP: u64 = 0x0200_4000;
/// No memory and no device.
pub(super) const HOLE: u64 = 0x4000_0000;
/// What a page of 1 GiB that holds the spine maps.
pub(super) const SPINE: u64 = 0x8000_0000;

pub(super) const PAGE: u64 = 0x1000;

/// Bytes that a leaf PTE at `level` maps.
pub(super) const fn leaf_bytes(level: u32) -> u64 {
    PAGE << (9 * level)
}
