//! Which accesses a register bank admits.

use mmu::BusFault;
use std::ops::RangeInclusive;

/// Admits a naturally aligned access whose size in bytes lies in `sizes`.
pub(crate) fn admit(offset: u64, size: u8, sizes: RangeInclusive<u8>) -> Result<(), BusFault> {
    let suitable = matches!(size, 1 | 2 | 4 | 8)
        && sizes.contains(&size)
        && offset.is_multiple_of(u64::from(size));
    if suitable { Ok(()) } else { Err(BusFault) }
}

/// The part of the 64-bit register `whole` that an access of `size` bytes at byte `lane` reads.
pub(crate) fn part(whole: u64, lane: u64, size: u8) -> u64 {
    (whole >> (8 * lane)) & ones(size)
}

/// The 64-bit register `whole` after a write of `size` bytes at byte `lane`.
pub(crate) fn with_part(whole: u64, lane: u64, size: u8, value: u64) -> u64 {
    let mask = ones(size) << (8 * lane);
    (whole & !mask) | ((value << (8 * lane)) & mask)
}

fn ones(size: u8) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (8 * size)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aligned_accesses_of_an_admitted_size_pass() {
        assert_eq!(admit(4, 4, 4..=8), Ok(()));
        assert_eq!(admit(4, 8, 4..=8), Err(BusFault));
        assert_eq!(admit(4, 2, 4..=8), Err(BusFault));
        assert_eq!(admit(3, 3, 1..=8), Err(BusFault));
    }

    #[test]
    fn halves_of_a_wide_register_are_independent() {
        assert_eq!(part(0x1122_3344_5566_7788, 4, 4), 0x1122_3344);
        assert_eq!(with_part(0x1122_3344_5566_7788, 4, 4, 0xaabb_ccdd), 0xaabb_ccdd_5566_7788);
        assert_eq!(with_part(0x1122_3344_5566_7788, 0, 8, 5), 5);
    }
}
