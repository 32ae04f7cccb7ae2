//! Which of the last stores a load or a store can meet, in numbers of stores.

use super::{Hierarchy, OFFSETS, REACH};
#[cfg(doc)]
use crate::outcome::Outcome;
use crate::stores::{Undrained, bytes_of};

impl Hierarchy {
    /// How many stores ago the last one was made to a word at the same place in a page as a load's; where stores go to the
    /// cache, to its bytes.
    #[inline]
    pub(super) fn behind_load(&self, marked: u64, size: u8) -> u16 {
        let last = self.offsets[(marked >> 3) as usize % OFFSETS];
        let ago = self.stores - last + 1;
        if last <= self.load_horizon || ago > REACH {
            return 0;
        }
        if self.core.store.is_some() {
            return ago as u16;
        }
        let bytes = bytes_of(marked, size);
        let meets = |ago: &u64| {
            let store = self.stores + 1 - ago;
            let place = store as usize % 256;
            store > self.load_horizon
                && self.words[place] as usize % OFFSETS == (marked >> 3) as usize % OFFSETS
                && self.bytes[place] & bytes != 0
        };
        (1..=Undrained::STORES as u64).find(meets).unwrap_or_default() as u16
    }

    /// How many stores ago the last one was made to a store's word, and the bytes of it that both are made to ([`Outcome::bytes`]);
    /// takes note of this one.
    #[inline]
    pub(super) fn behind_store(&mut self, marked: u64, size: u8) -> (u16, [u8; 2]) {
        let word = marked >> 3;
        let offset = word as usize % OFFSETS;
        let last = self.offsets[offset];
        let matters = last > self.store_horizon && self.core.store.is_some();
        let behind = if matters { self.behind_word(word, last) } else { 0 };
        let mut bytes = [0; 2];
        if behind != 0 {
            let before = (self.stores + 1).saturating_sub(behind.into());
            bytes = [self.bytes[before as usize % 256], bytes_of(marked, size)];
            if bytes == [0xff; 2] {
                bytes = [0; 2];
            }
        }
        self.stores += 1;
        self.offsets[offset] = self.stores;
        self.words[self.stores as usize % 256] = word;
        self.bytes[self.stores as usize % 256] = bytes_of(marked, size);
        (behind, bytes)
    }

    /// How many stores ago the last one was made to the line of a load that missed, where its write may be under way.
    pub(super) fn beside(&self, marked: u64) -> u16 {
        if self.core.store.is_none() {
            return 0;
        }
        let bits = self.dcache.line_bits().saturating_sub(3);
        let least = self.store_horizon.max(self.stores.saturating_sub(REACH));
        let meets = |store: &u64| self.words[*store as usize % 256] >> bits == marked >> 3 >> bits;
        let last = (least + 1..=self.stores).rev().find(meets);
        last.map_or(0, |store| (self.stores - store + 1) as u16)
    }

    /// The same for a word whose place in a page was stored to at `last`.
    fn behind_word(&self, word: u64, last: u64) -> u16 {
        let least = self.store_horizon.max(self.stores.saturating_sub(REACH));
        let mut store = last;
        while store > least {
            if self.words[store as usize % 256] == word {
                return (self.stores - store + 1) as u16;
            }
            store -= 1;
        }
        0
    }
}
