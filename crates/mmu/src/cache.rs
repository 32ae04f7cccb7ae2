//! One set-associative cache of translations, whatever they are: leaves of a stage, both stages in one, or
//! pointers to tables.
//!
//! Sets are chosen by address, page size and the skew of the space: spaces that follow each other do not push out each
//! other's entries for one address, and yet a fence by address finds those of every space in a few sets per page
//! size. Replacement is first in, first out: hits, which the native TLB hides, change
//! nothing. Storage grows with the sets that are used.

use crate::shape::Geometry;
use crate::spaces::{Handed, SKEWS, SpaceId, Spaces};

/// What an entry translates, and for whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tag {
    space: SpaceId,
    /// The first input address, with log2 of the size and what was handed out in its low bits, which are zero otherwise: what
    /// is looked at together lies together.
    key: u64,
}

/// In a key, log2 of the size.
const SIZE: u64 = 0x3f;
/// In a key, what was handed out.
const DATA: u64 = 1 << 6;
const CODE: u64 = 1 << 7;

impl Tag {
    fn has(&self, key: u64) -> bool {
        self.key & !(DATA | CODE) == key
    }

    fn bits(&self) -> u8 {
        (self.key & SIZE) as u8
    }

    /// The first input address.
    fn input(&self) -> u64 {
        self.key >> self.bits() << self.bits()
    }

    fn handed(&self) -> Handed {
        Handed { data: self.key & DATA != 0, code: self.key & CODE != 0 }
    }
}

fn key(input: u64, bits: u8) -> u64 {
    input >> bits << bits | u64::from(bits)
}

/// Where an entry is, until the next change of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(u32);

/// An entry that is no longer kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dropped {
    pub(crate) space: SpaceId,
    /// The first input address.
    pub(crate) input: u64,
    /// log2 of the size.
    pub(crate) bits: u8,
    pub(crate) handed: Handed,
}

/// In the low bits 1 + the place of the first entry, or 0 where there is none yet; above, the way that goes next.
#[derive(Clone, Copy, Debug, Default)]
struct Set(u32);

const NEXT_SHIFT: u32 = 24;

impl Set {
    fn new(first: usize) -> Self {
        Self(first as u32 + 1)
    }

    fn first(self) -> Option<usize> {
        (self.0 & ((1 << NEXT_SHIFT) - 1)).checked_sub(1).map(|first| first as usize)
    }

    /// The way that goes next, of so many; then it is the turn of the one behind.
    fn turn(&mut self, ways: usize) -> usize {
        let way = (self.0 >> NEXT_SHIFT) as usize;
        let next = if way + 1 == ways { 0 } else { way + 1 };
        self.0 = self.0 & ((1 << NEXT_SHIFT) - 1) | (next as u32) << NEXT_SHIFT;
        way
    }
}

/// A cache of `T`.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    geometry: Geometry,
    sets: Vec<Set>,
    tags: Vec<Tag>,
    values: Vec<T>,
    /// Bit n is set if an entry of size 2^n was ever kept.
    sizes: u64,
    /// Bit n is set if an entry of skew n was ever kept.
    skews: u32,
    /// The last entry kept, and whether removal by address spares it, as an erratum has it.
    #[cfg(feature = "faults")]
    last: Option<usize>,
    #[cfg(feature = "faults")]
    pub(crate) spares_last: bool,
}

impl<T: Copy> Cache<T> {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            sets: vec![Set::default(); geometry.sets() as usize],
            tags: Vec::new(),
            values: Vec::new(),
            sizes: 0,
            skews: 0,
            #[cfg(feature = "faults")]
            last: None,
            #[cfg(feature = "faults")]
            spares_last: false,
        }
    }

    /// Whether it keeps anything at all.
    pub(crate) fn exists(&self) -> bool {
        self.geometry.sets() != 0
    }

    fn set(&self, key: u64, skew: u32) -> usize {
        // Fibonacci hashing; the upper half is well mixed.
        let hash = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
        (hash ^ (skew * 0x9e5)) as usize & (self.sets.len().wrapping_sub(1))
    }

    /// The places of the set for `key` and a skew.
    fn places(&self, key: u64, skew: u32) -> std::ops::Range<usize> {
        match self.sets.get(self.set(key, skew)).and_then(|set| set.first()) {
            Some(first) => first..first + self.geometry.ways() as usize,
            None => 0..0,
        }
    }

    /// The sizes that may be present, smallest first.
    fn sizes(&self) -> impl Iterator<Item = u8> + use<T> {
        let mut left = self.sizes;
        std::iter::from_fn(move || {
            (left != 0).then(|| {
                let bits = left.trailing_zeros() as u8;
                left &= left - 1;
                bits
            })
        })
    }

    /// The smallest entry of one of two spaces that covers `input` and that `suits`.
    #[inline]
    pub(crate) fn find(
        &self,
        spaces: [SpaceId; 2],
        input: u64,
        mut suits: impl FnMut(&T) -> bool,
    ) -> Option<(Place, T)> {
        for bits in self.sizes() {
            let key = key(input, bits);
            let [own, other] = spaces;
            for (nth, space) in spaces.into_iter().enumerate() {
                // One set may be that of both.
                if self.skews >> space.skew() & 1 == 0 || nth != 0 && own.skew() == other.skew() {
                    continue;
                }
                for at in self.places(key, space.skew()) {
                    let tag = self.tags[at];
                    if tag.has(key) && spaces.contains(&tag.space) && suits(&self.values[at]) {
                        return Some((Place(at as u32), self.values[at]));
                    }
                }
            }
        }
        None
    }

    /// Keeps a value for 2^`bits` bytes around `input`, in place of what was there before, of a dead entry, or of
    /// the oldest. Returns where, and tells what had to go; `None` if there is no cache.
    pub(crate) fn keep(
        &mut self,
        spaces: &Spaces,
        space: SpaceId,
        input: u64,
        bits: u8,
        value: T,
        dropped: &mut Vec<Dropped>,
    ) -> Option<Place> {
        let tag = Tag { space, key: key(input, bits) };
        let set = self.set(tag.key, space.skew());
        let ways = self.geometry.ways() as usize;
        let own = self.sets.get_mut(set)?;
        let first = own.first().unwrap_or_else(|| {
            let first = self.tags.len();
            self.tags.resize(first + ways, Tag::default());
            self.values.resize(first + ways, value);
            *own = Set::new(first);
            first
        });
        let tags = &self.tags[first..first + ways];
        let is_dead = |tag: &Tag| spaces.space_of(tag.space).is_none();
        let same = tags.iter().position(|kept| kept.space == space && kept.has(tag.key));
        let way = same.or_else(|| tags.iter().position(is_dead));
        let at = first + way.unwrap_or_else(|| own.turn(ways));
        self.drop_at(at, dropped);
        self.tags[at] = tag;
        self.values[at] = value;
        self.sizes |= 1 << bits;
        self.skews |= 1 << space.skew();
        #[cfg(feature = "faults")]
        self.last.replace(at);
        Some(Place(at as u32))
    }

    /// Empties a place.
    fn drop_at(&mut self, at: usize, dropped: &mut Vec<Dropped>) {
        let tag = std::mem::take(&mut self.tags[at]);
        let handed = tag.handed();
        if handed.anything() {
            dropped.push(Dropped {
                space: tag.space,
                input: tag.input(),
                bits: tag.bits(),
                handed,
            });
        }
    }

    /// Notes what was handed to the native TLB from an entry. Returns its space and log2 of its size.
    pub(crate) fn note_handed(&mut self, Place(at): Place, handed: Handed) -> (SpaceId, u8) {
        let tag = &mut self.tags[at as usize];
        tag.key |= if handed.data { DATA } else { 0 } | if handed.code { CODE } else { 0 };
        (tag.space, tag.bits())
    }

    /// Removes the entries that cover `input` and belong to a space of which `is_meant`; if there is a `skew`, all of these have it.
    pub(crate) fn remove(
        &mut self,
        input: u64,
        skew: Option<u32>,
        is_meant: impl Fn(SpaceId) -> bool,
        dropped: &mut Vec<Dropped>,
    ) {
        let skews = self.skews & skew.map_or(u32::MAX, |skew| 1 << skew);
        for bits in self.sizes() {
            let key = key(input, bits);
            for skew in (0..SKEWS).filter(|skew| skews >> skew & 1 != 0) {
                for at in self.places(key, skew) {
                    #[cfg(feature = "faults")]
                    if self.spares_last && self.last == Some(at) {
                        continue;
                    }
                    if self.tags[at].has(key) && is_meant(self.tags[at].space) {
                        self.drop_at(at, dropped);
                    }
                }
            }
        }
    }

    /// Removes every entry of a space of which `is_meant(space, input, value)`.
    pub(crate) fn remove_where(
        &mut self,
        is_meant: impl Fn(SpaceId, u64, &T) -> bool,
        dropped: &mut Vec<Dropped>,
    ) {
        for at in 0..self.tags.len() {
            let tag = self.tags[at];
            let space = tag.space;
            if space != SpaceId::default() && is_meant(space, tag.input(), &self.values[at]) {
                self.drop_at(at, dropped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spaces::{Asid, Space};

    fn spaces(count: u16) -> (Spaces, Vec<SpaceId>) {
        let mut spaces = Spaces::default();
        let ids = (0..count)
            .map(|asid| spaces.obtain(Space::S(Asid::Own(asid)), &mut Vec::new()))
            .collect();
        (spaces, ids)
    }

    fn cache(entries: u32, ways: u32) -> Cache<u32> {
        Cache::new(Geometry::new(entries, ways).unwrap())
    }

    fn found(cache: &Cache<u32>, space: SpaceId, input: u64) -> Option<u32> {
        cache.find([space; 2], input, |_| true).map(|(_, value)| value)
    }

    #[test]
    fn an_entry_covers_its_size_and_its_space() {
        let (spaces, ids) = spaces(2);
        let mut cache = cache(64, 4);
        cache.keep(&spaces, ids[0], 0x4_5678, 12, 1, &mut Vec::new());
        cache.keep(&spaces, ids[1], u64::MAX, 21, 2, &mut Vec::new());
        assert_eq!(found(&cache, ids[0], 0x4_5fff), Some(1));
        assert_eq!(found(&cache, ids[0], 0x4_6000), None);
        assert_eq!(found(&cache, ids[1], 0x4_5678), None);
        assert_eq!(found(&cache, ids[1], u64::MAX << 21), Some(2));
        assert_eq!(found(&cache, ids[1], (u64::MAX << 21) - 1), None);
    }

    #[test]
    fn of_overlapping_entries_one_that_suits_is_found() {
        let (spaces, ids) = spaces(1);
        let mut cache = cache(64, 4);
        cache.keep(&spaces, ids[0], 0, 12, 1, &mut Vec::new());
        cache.keep(&spaces, ids[0], 0, 21, 2, &mut Vec::new());
        assert_eq!(found(&cache, ids[0], 0), Some(1));
        assert_eq!(
            cache.find([ids[0]; 2], 0, |&value| value == 2).map(|(_, value)| value),
            Some(2)
        );
    }

    #[test]
    fn the_oldest_goes_first_and_tells_if_it_was_handed_out() {
        let (spaces, ids) = spaces(1);
        let mut cache = cache(2, 2);
        let mut dropped = Vec::new();
        let handed = Handed { data: true, code: false };
        for page in 0..4u32 {
            let place = cache.keep(&spaces, ids[0], u64::from(page) << 12, 12, page, &mut dropped);
            if page == 1 {
                cache.note_handed(place.unwrap(), handed);
            }
            found(&cache, ids[0], 0);
        }
        assert_eq!(dropped, [Dropped { space: ids[0], input: 0x1000, bits: 12, handed }]);
        assert_eq!(found(&cache, ids[0], 0x2000), Some(2));
        assert_eq!(found(&cache, ids[0], 0x3000), Some(3));
    }

    #[test]
    fn a_dead_entry_makes_room_before_a_live_one() {
        let (mut spaces, ids) = spaces(2);
        let mut cache = cache(2, 2);
        cache.keep(&spaces, ids[0], 0, 12, 1, &mut Vec::new());
        cache.keep(&spaces, ids[1], 0, 12, 2, &mut Vec::new());
        let second = Space::S(Asid::Own(1));
        spaces.forget(second..=second, &mut Vec::new());
        cache.keep(&spaces, ids[0], 0x1000, 12, 3, &mut Vec::new());
        assert_eq!(found(&cache, ids[0], 0), Some(1));
        assert_eq!(found(&cache, ids[0], 0x1000), Some(3));
    }

    #[test]
    fn removal_by_address_reaches_every_size_and_space_that_is_meant() {
        let (spaces, ids) = spaces(3);
        let mut cache = cache(64, 4);
        for &id in &ids {
            for bits in [12, 16, 21, 30] {
                cache.keep(&spaces, id, 0x4000_0000, bits, 1, &mut Vec::new());
            }
        }
        cache.remove(0x4000_0fff, None, |space| space != ids[2], &mut Vec::new());
        assert_eq!(found(&cache, ids[0], 0x4000_0000), None);
        assert_eq!(found(&cache, ids[1], 0x4000_0000), None);
        assert_eq!(found(&cache, ids[2], 0x4000_0000), Some(1));
    }

    #[test]
    fn spaces_that_follow_each_other_keep_one_address_each() {
        let (spaces, ids) = spaces(16);
        let mut cache = cache(64, 2);
        for (value, &id) in (0..).zip(&ids) {
            cache.keep(&spaces, id, 0x4000_0000, 12, value, &mut Vec::new());
        }
        assert!((0..).zip(&ids).all(|(value, &id)| found(&cache, id, 0x4000_0000) == Some(value)));
        // Of both spaces that are asked for, whichever has it.
        let either = cache.find([ids[3], ids[6]], 0x4000_0000, |&value| value == 6);
        assert_eq!(either.map(|(_, value)| value), Some(6));
        let meant = ids[9];
        cache.remove(0x4000_0000, Some(meant.skew()), |space| space == meant, &mut Vec::new());
        assert_eq!(found(&cache, meant, 0x4000_0000), None);
        assert_eq!(found(&cache, ids[1], 0x4000_0000), Some(1));
        cache.remove(0x4000_0000, None, |_| true, &mut Vec::new());
        assert!(ids.iter().all(|&id| found(&cache, id, 0x4000_0000).is_none()));
    }

    #[test]
    fn without_a_geometry_nothing_is_kept() {
        let (spaces, ids) = spaces(1);
        let mut cache = cache(0, 0);
        assert_eq!(cache.keep(&spaces, ids[0], 0, 12, 1, &mut Vec::new()), None);
        assert_eq!(found(&cache, ids[0], 0), None);
        assert!(!cache.exists());
    }
}
