//! Random numbers that are the same on every machine, and the values that hurt most.

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed);
        // Neighbouring seeds part at once.
        Self(rng.next() ^ seed.rotate_left(32))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Whether something that happens in so many of a hundred cases happens.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which are not none.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A number, often one at an edge.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => self.next(),
            1 => self.below(256),
            2 => 1 << self.below(64),
            3 => u64::MAX << self.below(64),
            4 => u64::MAX - self.below(0x1_0000),
            5 => self.next() as i32 as u64,
            6 => u64::MAX / (1 + self.below(200)),
            _ => self.next() & self.next() & self.next(),
        }
    }
}
