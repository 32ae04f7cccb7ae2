//! Randomness that repeats: a seeded generator for whoever needs entropy in a repeatable run.
//!
//! It is xoshiro256**, seeded through SplitMix64. It is not a cryptographic generator: a guest's
//! secrets are as public as the seed, which is what repeating a run means.

use serde::{Deserialize, Serialize};

/// A seeded generator of bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entropy {
    s: [u64; 4],
}

impl Entropy {
    /// The generator that `seed` stands for.
    pub fn new(seed: u64) -> Self {
        let mut x = seed;
        let s = std::array::from_fn(|_| split_mix(&mut x));
        Self { s }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.s;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

fn split_mix(x: &mut u64) -> u64 {
    *x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *x;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeding_is_splitmix64() {
        // The published sequence for the seed 1234567.
        let mut x = 1_234_567;
        assert_eq!(split_mix(&mut x), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut x), 3_203_168_211_198_807_973);
        assert_eq!(split_mix(&mut x), 9_817_491_932_198_370_423);
    }

    #[test]
    fn the_generator_is_xoshiro256_starstar() {
        // The published sequence for the state 1, 2, 3, 4.
        let mut e = Entropy { s: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| e.next_u64()).collect();
        assert_eq!(first, [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let (mut a, mut b) = ([0; 13], [0; 13]);
        Entropy::new(7).fill(&mut a);
        Entropy::new(7).fill(&mut b);
        assert_eq!(a, b);
        Entropy::new(8).fill(&mut b);
        assert_ne!(a, b);
    }
}
