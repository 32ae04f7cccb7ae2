//! Arithmetic and bit manipulation as pure functions of register values [unpriv: M, B, Zbkb, Zbkx].

pub(crate) fn sext32(value: u64) -> u64 {
    value as u32 as i32 as u64
}

pub(crate) fn mulh(a: u64, b: u64) -> u64 {
    ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
}

pub(crate) fn mulhsu(a: u64, b: u64) -> u64 {
    ((i128::from(a as i64) * i128::from(b)) >> 64) as u64
}

pub(crate) fn mulhu(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// Division by zero gives all ones; overflow gives the dividend.
pub(crate) fn div(a: u64, b: u64) -> u64 {
    if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 }
}

pub(crate) fn divu(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(u64::MAX)
}

/// Remainder of a division by zero is the dividend; of an overflow, zero.
pub(crate) fn rem(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { (a as i64).wrapping_rem(b as i64) as u64 }
}

pub(crate) fn remu(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(a)
}

pub(crate) fn divw(a: u64, b: u64) -> u64 {
    let (a, b) = (a as i32, b as i32);
    if b == 0 { u64::MAX } else { a.wrapping_div(b) as u64 }
}

pub(crate) fn divuw(a: u64, b: u64) -> u64 {
    (a as u32).checked_div(b as u32).unwrap_or(u32::MAX) as i32 as u64
}

pub(crate) fn remw(a: u64, b: u64) -> u64 {
    let (a, b) = (a as i32, b as i32);
    if b == 0 { a as u64 } else { a.wrapping_rem(b) as u64 }
}

pub(crate) fn remuw(a: u64, b: u64) -> u64 {
    (a as u32).checked_rem(b as u32).unwrap_or(a as u32) as i32 as u64
}

fn carryless(a: u64, b: u64) -> u128 {
    (0..64).filter(|i| b >> i & 1 != 0).fold(0, |product, i| product ^ u128::from(a) << i)
}

pub(crate) fn clmul(a: u64, b: u64) -> u64 {
    carryless(a, b) as u64
}

pub(crate) fn clmulh(a: u64, b: u64) -> u64 {
    (carryless(a, b) >> 64) as u64
}

pub(crate) fn clmulr(a: u64, b: u64) -> u64 {
    (carryless(a, b) >> 63) as u64
}

/// Each byte becomes all ones if any of its bits is set.
pub(crate) fn orc_b(a: u64) -> u64 {
    u64::from_le_bytes(a.to_le_bytes().map(|byte| if byte == 0 { 0 } else { 0xff }))
}

/// Reverses the bits within each byte.
pub(crate) fn brev8(a: u64) -> u64 {
    u64::from_le_bytes(a.to_le_bytes().map(u8::reverse_bits))
}

pub(crate) fn pack(a: u64, b: u64) -> u64 {
    a & 0xffff_ffff | b << 32
}

pub(crate) fn packh(a: u64, b: u64) -> u64 {
    a & 0xff | (b & 0xff) << 8
}

pub(crate) fn packw(a: u64, b: u64) -> u64 {
    sext32(a & 0xffff | (b & 0xffff) << 16)
}

/// Looks up each nibble of `b` among the nibbles of `a`; out of range gives zero.
pub(crate) fn xperm4(a: u64, b: u64) -> u64 {
    (0..64).step_by(4).fold(0, |out, at| out | (a >> (4 * (b >> at & 0xf)) & 0xf) << at)
}

/// Looks up each byte of `b` among the bytes of `a`; out of range gives zero.
pub(crate) fn xperm8(a: u64, b: u64) -> u64 {
    let table = a.to_le_bytes();
    u64::from_le_bytes(
        b.to_le_bytes().map(|index| table.get(usize::from(index)).copied().unwrap_or(0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_never_traps() {
        let min = i64::MIN as u64;
        assert_eq!(div(min, u64::MAX), min);
        assert_eq!(rem(min, u64::MAX), 0);
        assert_eq!(div(5, 0), u64::MAX);
        assert_eq!(rem(5, 0), 5);
        assert_eq!(divw(0x8000_0000, u64::MAX), sext32(0x8000_0000));
        assert_eq!(remuw(0xffff_fffe, 0), u64::MAX - 1);
    }

    #[test]
    fn carryless_products_by_hand() {
        // (x+1)^2 = x^2+1 without carries.
        assert_eq!(clmul(3, 3), 5);
        assert_eq!(clmulh(1 << 63, 2), 1);
        assert_eq!(clmulr(1 << 63, 1), 1);
    }

    #[test]
    fn permutations_by_hand() {
        assert_eq!(xperm8(0x0807_0605_0403_0201, 0x0001_0203_0405_0607), 0x0102_0304_0506_0708);
        assert_eq!(xperm8(!0, 0x08ff), 0xffff_ffff_ffff_0000);
        assert_eq!(xperm4(0xfedc_ba98_7654_3210, 0x0123), 0x0000_0000_0000_0123);
        assert_eq!(orc_b(0x0100_0000_8000), 0xff00_0000_ff00);
        assert_eq!(brev8(0x01), 0x80);
    }
}
