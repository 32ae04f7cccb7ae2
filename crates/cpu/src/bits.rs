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

/// Bits 63 to 0 of the carry-less product, by integer products of factors of which only every fourth bit is left: at most 15
/// of their partial products have a bit in the same place, so that carries stay in the three places above; where it is 16, those places lie beyond bit 63.
pub(crate) fn clmul(a: u64, b: u64) -> u64 {
    const EVERY_FOURTH: u64 = 0x1111_1111_1111_1111;
    let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|at| a & EVERY_FOURTH << at);
    let [b0, b1, b2, b3] = [0, 1, 2, 3].map(|at| b & EVERY_FOURTH << at);
    let places = |at: u32, pairs: [(u64, u64); 4]| {
        pairs.iter().fold(0, |sum, (a, b)| sum ^ a.wrapping_mul(*b)) & EVERY_FOURTH << at
    };
    places(0, [(a0, b0), (a1, b3), (a2, b2), (a3, b1)])
        | places(1, [(a0, b1), (a1, b0), (a2, b3), (a3, b2)])
        | places(2, [(a0, b2), (a1, b1), (a2, b0), (a3, b3)])
        | places(3, [(a0, b3), (a1, b2), (a2, b1), (a3, b0)])
}

pub(crate) fn clmulh(a: u64, b: u64) -> u64 {
    clmulr(a, b) >> 1
}

/// Bits 126 to 63 of the product, which backwards are the lower ones of the product of what the factors are backwards.
pub(crate) fn clmulr(a: u64, b: u64) -> u64 {
    clmul(a.reverse_bits(), b.reverse_bits()).reverse_bits()
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
    fn carryless_products_are_sums_without_carries() {
        let mut number = 1u64;
        let mut random = || {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            number ^ number >> 33
        };
        let pairs = (0..1000).map(|_| (random(), random()));
        for (a, b) in pairs.chain([(!0, !0), (!0, 0x1111_1111_1111_1111), (0, !0)]) {
            let bits = (0..64).filter(|at| b >> at & 1 != 0);
            let product = bits.fold(0, |sum, at| sum ^ u128::from(a) << at);
            let halves = [product, product >> 64, product >> 63].map(|bits| bits as u64);
            assert_eq!([clmul(a, b), clmulh(a, b), clmulr(a, b)], halves, "{a:#x} {b:#x}");
        }
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
