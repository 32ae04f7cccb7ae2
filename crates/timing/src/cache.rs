//! Which lines a cache holds. It knows addresses and nothing of time: what a hit or a miss costs is the
//! pipeline's affair.

use serde::{Deserialize, Serialize};

/// Which way of a full set makes room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replacement {
    /// The low bits of an 8-bit shift register (Galois, taps 0xfa) that steps at each replacement.
    Lfsr8,
    /// The low bits of a 16-bit shift register (Fibonacci, taps 16, 14, 13 and 11) that steps at each miss, whether or not a way
    /// is vacant.
    Lfsr16,
    /// The one that was used longest ago.
    Lru,
}

/// How a cache is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// Capacity.
    pub bytes: u64,
    /// Lines in a set.
    pub ways: u64,
    /// Bytes in a line, a power of two.
    pub line: u64,
    /// What a full set gives up.
    pub replacement: Replacement,
}

impl Geometry {
    /// Whether a cache can be built like this: powers of two, and not larger than any real one.
    pub fn is_sound(&self) -> bool {
        const BYTES_MAX: u64 = 1 << 26;
        let powers = self.line.is_power_of_two() && self.bytes.is_power_of_two();
        powers
            && self.bytes <= BYTES_MAX
            && (8..=4096).contains(&self.line)
            && (1..=64).contains(&self.ways)
            && self.sets().is_power_of_two()
            && self.sets() * self.ways * self.line == self.bytes
    }

    /// Whether it makes no difference which lines are used while none is missing.
    pub(crate) fn is_random(&self) -> bool {
        matches!(self.replacement, Replacement::Lfsr8 | Replacement::Lfsr16)
    }

    fn sets(&self) -> u64 {
        self.bytes / self.line / self.ways
    }
}

/// What looking a line up came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lookup {
    /// It was there.
    pub(crate) hit: bool,
    /// A changed line had to go: its address.
    pub(crate) evicted: Option<u64>,
    /// Any line had to go: its address.
    pub(crate) replaced: Option<u64>,
    /// Where it is.
    pub(crate) slot: usize,
}

/// The lines of a cache, physically tagged.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    geometry: Geometry,
    line_bits: u32,
    sets: u64,
    /// Line numbers plus one, 0 for an empty way; ways of a set lie together.
    lines: Vec<u64>,
    dirty: Vec<bool>,
    used: Vec<u64>,
    clock: u64,
    lfsr: u64,
    /// How often a line went.
    age: u64,
}

impl Cache {
    /// An empty cache. The geometry must be [sound](Geometry::is_sound).
    pub(crate) fn new(geometry: Geometry) -> Self {
        let count = (geometry.bytes / geometry.line) as usize;
        Self {
            geometry,
            line_bits: geometry.line.trailing_zeros(),
            sets: geometry.sets(),
            lines: vec![0; count],
            dirty: vec![false; count],
            used: vec![0; count],
            clock: 0,
            age: 1,
            lfsr: match geometry.replacement {
                Replacement::Lfsr8 => 0xff,
                _ => 1,
            },
        }
    }

    /// The number of the line that holds `pa`.
    #[inline]
    pub(crate) fn line_of(&self, pa: u64) -> u64 {
        pa >> self.line_bits
    }

    /// Where a line begins.
    #[inline]
    pub(crate) fn address_of(&self, line: u64) -> u64 {
        line << self.line_bits
    }

    /// log2 of the bytes in a line.
    #[inline]
    pub(crate) fn line_bits(&self) -> u32 {
        self.line_bits
    }

    /// Changes whenever a line goes: what was there stays as long as this stays.
    #[inline]
    pub(crate) fn age(&self) -> u64 {
        self.age
    }

    /// Whether a line is there; it does not count as used.
    #[inline]
    pub(crate) fn has(&self, line: u64) -> bool {
        self.find(line << self.line_bits).is_some()
    }

    /// Whether the line of `pa` is there; it counts as used then, and as changed by a `store`.
    #[inline]
    pub(crate) fn probe(&mut self, pa: u64, store: bool) -> bool {
        match self.find(pa) {
            Some(slot) => {
                self.touch(slot, store);
                true
            }
            None => false,
        }
    }

    /// The same, and a line that is missing is brought in.
    #[inline]
    pub(crate) fn access(&mut self, pa: u64, store: bool) -> Lookup {
        if let Some(slot) = self.find(pa) {
            self.touch(slot, store);
            return Lookup { hit: true, evicted: None, replaced: None, slot };
        }
        let slot = self.victim(pa);
        let old = self.lines[slot];
        let replaced = (old != 0).then(|| (old - 1) << self.line_bits);
        let evicted = replaced.filter(|_| self.dirty[slot]);
        self.lines[slot] = self.line_of(pa) + 1;
        self.dirty[slot] = false;
        self.age += u64::from(old != 0);
        self.touch(slot, store);
        Lookup { hit: false, evicted, replaced, slot }
    }

    /// Gives up the line of `pa`, if it is there: says where it was.
    pub(crate) fn remove(&mut self, pa: u64) -> Option<usize> {
        let slot = self.find(pa)?;
        self.lines[slot] = 0;
        self.dirty[slot] = false;
        self.age += 1;
        Some(slot)
    }

    /// Gives up all lines of the set that `pa` belongs to: says where they were.
    pub(crate) fn clear_set(&mut self, pa: u64) -> std::ops::Range<usize> {
        let ways = self.ways(pa);
        self.lines[ways.clone()].fill(0);
        self.dirty[ways.clone()].fill(false);
        self.age += 1;
        ways
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.lines.fill(0);
        self.dirty.fill(false);
        self.age += 1;
    }

    fn ways(&self, pa: u64) -> std::ops::Range<usize> {
        let set = self.line_of(pa) & (self.sets - 1);
        let ways = self.geometry.ways as usize;
        let first = set as usize * ways;
        first..first + ways
    }

    #[inline]
    fn find(&self, pa: u64) -> Option<usize> {
        let tag = self.line_of(pa) + 1;
        let ways = self.ways(pa);
        let first = ways.start;
        self.lines[ways].iter().position(|&line| line == tag).map(|way| first + way)
    }

    fn touch(&mut self, slot: usize, store: bool) {
        self.clock += 1;
        self.used[slot] = self.clock;
        self.dirty[slot] |= store;
    }

    /// The way that makes room: a vacant one if there is any.
    fn victim(&mut self, pa: u64) -> usize {
        let ways = self.ways(pa);
        let vacant = ways.clone().find(|&slot| self.lines[slot] == 0);
        let random = self.lfsr % self.geometry.ways;
        match (self.geometry.replacement, vacant) {
            (Replacement::Lfsr16, _) => {
                let taps = self.lfsr >> 15 ^ self.lfsr >> 13 ^ self.lfsr >> 12 ^ self.lfsr >> 10;
                self.lfsr = (self.lfsr << 1 | taps & 1) & 0xffff;
                ways.start + random as usize
            }
            (_, Some(slot)) => slot,
            (Replacement::Lfsr8, None) => {
                let out = self.lfsr & 1;
                self.lfsr = self.lfsr >> 1 ^ if out != 0 { 0xfa } else { 0 };
                ways.start + random as usize
            }
            (Replacement::Lru, None) => {
                ways.min_by_key(|&slot| self.used[slot]).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes: u64, ways: u64, replacement: Replacement) -> Cache {
        let geometry = Geometry { bytes, ways, line: 16, replacement };
        assert!(geometry.is_sound());
        Cache::new(geometry)
    }

    #[test]
    fn a_line_stays_until_its_set_is_full() {
        let mut cache = cache(128, 2, Replacement::Lru);
        // Four sets of two: 0x00, 0x40, 0x80 share a set.
        assert!(!cache.access(0x00, false).hit);
        assert!(!cache.access(0x40, false).hit);
        assert!(cache.access(0x0f, false).hit);
        assert!(!cache.access(0x80, false).hit);
        // 0x40 was used longest ago.
        assert!(cache.probe(0x00, false));
        assert!(!cache.probe(0x40, false));
        assert!(!cache.probe(0x10, false));
    }

    #[test]
    fn only_changed_lines_are_written_back() {
        let mut cache = cache(32, 1, Replacement::Lru);
        cache.access(0x00, true);
        cache.access(0x10, false);
        assert_eq!(cache.access(0x40, false).evicted, Some(0));
        assert_eq!(cache.access(0x50, false).evicted, None);
    }

    #[test]
    fn a_probe_brings_nothing_in() {
        let mut cache = cache(128, 2, Replacement::Lfsr8);
        assert!(!cache.probe(0, true));
        assert!(!cache.probe(0, true));
    }

    #[test]
    fn the_shift_register_of_cva6_begins_with_all_ones_and_steps_when_it_chooses() {
        let mut cache = cache(64, 4, Replacement::Lfsr8);
        for line in 0..4 {
            cache.access(line * 16, false);
        }
        // By hand: 0xff chooses way 3 and becomes 0x7f ^ 0xfa = 0x85, which chooses way 1.
        cache.access(0x100, false);
        assert!(!cache.probe(0x30, false));
        cache.access(0x200, false);
        assert!(!cache.probe(0x10, false));
        assert!(cache.probe(0x00, false) && cache.probe(0x20, false));
    }

    #[test]
    fn the_shift_register_of_rocket_begins_with_one_and_takes_no_heed_of_vacant_ways() {
        let mut cache = cache(64, 4, Replacement::Lfsr16);
        // By hand: 1, 2, 4, 8, 16 choose the ways 1, 2, 0, 0, 0.
        for line in 0..5 {
            cache.access(line * 16, false);
        }
        let held: Vec<u64> = (0..5).filter(|line| cache.probe(line * 16, false)).collect();
        assert_eq!(held, [0, 1, 4]);
    }

    #[test]
    fn unsound_geometries_are_known() {
        let sound = Geometry { bytes: 4096, ways: 4, line: 64, replacement: Replacement::Lru };
        for wrong in [
            Geometry { bytes: 0, ..sound },
            Geometry { ways: 0, ..sound },
            Geometry { ways: 3, ..sound },
            Geometry { line: 24, ..sound },
            Geometry { bytes: 1 << 40, ..sound },
        ] {
            assert!(!wrong.is_sound(), "{wrong:?}");
        }
    }
}
