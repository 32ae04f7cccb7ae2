//! What loads and stores look at first, while they execute: a frequent access is known here to be one that takes no time of its own, and
//! nothing more is done about it.
//!
//! One that may meet a store on its way is judged here, too, and so are the operands of products and quotients. Anything else is *noted*, and so is everything behind it in its block: the
//! hierarchy works through what was noted once the block is through, in the order in which it was done. Filters hold nothing that the
//! tables behind them would not say.

use crate::integer::operand;
use crate::item::Arithmetic;
use crate::outcome::Outcome;
use crate::params::{Core, Divider, Multiplier};
use crate::stores::{Undrained, bytes_of};
use crate::tlb::{Context, Flush, Page, Tlb};

/// No line, page or table.
pub(crate) const NONE: u64 = u64::MAX;
/// Lines that the filter in front of the data cache knows.
const LINES: usize = 4096;
/// Pages that the filter in front of the data TLB knows.
const PAGES: usize = 64;
/// Words at different places in a page.
const OFFSETS: usize = 512;
/// Stores after which one is forgotten, whether it is still on its way or not.
pub(crate) const REACH: u64 = 255;
/// Numbers that the instructions of a block note at most: two each.
const NOTES: usize = 2 * crate::block::Block::MAX;

/// Addresses as they are looked up: combined with the mark of what they are translated under.
#[derive(Clone, Copy, Debug)]
struct Seen {
    mark: u64,
    /// The page that was accessed last, where that is all that it takes; the mask is 0 where there are no pages.
    page: u64,
    page_mask: u64,
}

/// Nothing is found under this mark.
const CLOSED: Seen = Seen { mark: 0, page: NONE, page_mask: u64::MAX };

/// See the module.
#[derive(Clone, Debug)]
pub struct Filter {
    seen: Seen,
    line_bits: u32,
    /// Stores go through the cache to a buffer.
    through: bool,
    /// Lines that are there do not change by being used.
    random: bool,
    /// What operands are for.
    divider: Divider,
    multiplier: Multiplier,
    /// Stores that loads and stores can still meet are later than these.
    load_horizon: u64,
    store_horizon: u64,
    /// How many stores there were.
    stores: u64,
    /// Everything is noted, from the touch of the block with this number on.
    closed: bool,
    first: u8,
    count: usize,
    noted: [u64; NOTES],
    /// What became of instructions that were not noted, by their numbers: accesses that met stores, and what takes the time that its
    /// operands say.
    pub(crate) met: Vec<(u8, Outcome)>,
    /// For each place in a page, the last store to it.
    offsets: [u64; OFFSETS],
    /// The marked words that were stored last.
    words: [u64; 256],
    /// Which of their bytes.
    bytes: [u8; 256],
    /// Marked lines that are in the data cache and, where stores go there too, changed.
    lines: [u64; LINES],
    changed: [u64; LINES],
    /// For each place of the data cache, where the filter may know its line.
    owners: Vec<u32>,
    /// The data TLB.
    pub(crate) tlb: Pages,
}

/// A TLB, and in front of it the pages that it is known to have.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    tlb: Tlb,
    /// Marked pages, and where they are.
    known: [(u64, u32); PAGES],
    /// The place that was used last.
    last: u32,
}

impl Pages {
    pub(crate) fn new(tlb: Tlb) -> Self {
        Self { tlb, known: [(NONE, 0); PAGES], last: u32::MAX }
    }

    /// Whether it is known to have this page, which is used then.
    #[inline]
    pub(crate) fn knows(&mut self, page: u64) -> bool {
        let (known, place) = self.known[page as usize % PAGES];
        if known != page {
            return false;
        }
        if place != self.last {
            self.tlb.touch(place);
            self.last = place;
        }
        true
    }

    /// Whether it has the page of `va`, which is used then.
    pub(crate) fn has(&mut self, context: Context, va: u64, page: u64) -> bool {
        let place = self.tlb.lookup(context, va);
        if let Some(place) = place {
            self.keep(page, place);
        }
        place.is_some()
    }

    /// Fills in what was found, if that is to be kept.
    pub(crate) fn fill(&mut self, context: Context, va: u64, page: u64, found: Option<Page>) {
        self.forget();
        if let Some(found) = found {
            let place = self.tlb.fill(context, va, found);
            self.keep(page, place);
        }
    }

    fn keep(&mut self, page: u64, place: u32) {
        self.last = place;
        self.known[page as usize % PAGES] = (page, place);
    }

    /// A fence.
    pub(crate) fn flush(&mut self, flush: Flush) {
        self.tlb.flush(flush);
        self.forget();
    }

    /// Pages may have gone, or have other marks.
    pub(crate) fn forget(&mut self) {
        self.known.fill((NONE, 0));
        self.last = u32::MAX;
    }
}

impl Filter {
    pub(crate) fn new(core: &Core) -> Self {
        Self {
            seen: CLOSED,
            line_bits: core.dcache.line.trailing_zeros(),
            through: core.store.is_some(),
            random: core.dcache.is_random(),
            divider: core.integer.divider,
            multiplier: core.integer.multiplier,
            load_horizon: 0,
            store_horizon: 0,
            stores: REACH,
            closed: true,
            first: 0,
            count: 0,
            noted: [0; NOTES],
            met: Vec::new(),
            offsets: [0; OFFSETS],
            words: [NONE; 256],
            bytes: [0; 256],
            lines: [NONE; LINES],
            changed: [NONE; LINES],
            owners: vec![0; (core.dcache.bytes / core.dcache.line) as usize],
            tlb: Pages::new(Tlb::new(core.translation.data)),
        }
    }

    /// Whether a load from `va` is known to take no time of its own.
    #[inline(always)]
    pub fn passes_load(&self, va: u64) -> bool {
        let marked = va ^ self.seen.mark;
        self.knows_line(marked)
            && self.sees_page(marked)
            && self.offsets[(va >> 3) as usize % OFFSETS] <= self.load_horizon
    }

    /// The same of a store of so many bytes, which is taken notice of then.
    #[inline(always)]
    pub fn passes_store(&mut self, va: u64, size: u8) -> bool {
        let marked = va ^ self.seen.mark;
        let passes = self.takes_store(marked)
            && self.sees_page(marked)
            && !(self.through && self.offsets[(va >> 3) as usize % OFFSETS] > self.store_horizon);
        if passes {
            self.stored(marked, size);
        }
        passes
    }

    /// The instruction with this number in its block, which is the given touch of it, loads so many bytes from `va`.
    pub fn load(&mut self, va: u64, (number, touch): (u8, u8), size: u8) {
        let marked = va ^ self.seen.mark;
        if !self.knows_line(marked) || !self.comes_to_page(marked) {
            self.note(touch, va);
            return;
        }
        let behind = self.behind_load(marked, size);
        if behind != 0 {
            self.met.push((number, Outcome { behind, ..Outcome::default() }));
        }
    }

    /// The same of a store.
    pub fn store(&mut self, va: u64, (number, touch): (u8, u8), size: u8) {
        let marked = va ^ self.seen.mark;
        if !self.takes_store(marked) || !self.comes_to_page(marked) {
            self.note(touch, va);
            return;
        }
        let (behind, bytes) = self.behind_store(marked, size);
        if behind != 0 {
            self.met.push((number, Outcome { behind, bytes, ..Outcome::default() }));
        }
    }

    /// The instruction with this number in its block, which is the given touch of it, is done with these operands, on which its time depends.
    pub fn operands(&mut self, of: Arithmetic, (number, touch): (u8, u8), operands: [u64; 2]) {
        if self.closed {
            operands.into_iter().for_each(|operand| self.note(touch, operand));
            return;
        }
        let operand = operand(self.divider, self.multiplier, of.0, operands);
        if operand != 0 {
            self.met.push((number, Outcome { operand, ..Outcome::default() }));
        }
    }

    /// Whether a store takes no time for the data cache.
    #[inline(always)]
    pub(crate) fn takes_store(&self, marked: u64) -> bool {
        let line = marked >> self.line_bits;
        if self.through { self.random } else { self.changed[line as usize % LINES] == line }
    }

    /// Notes a number for the block's touch with the given number, and whatever comes behind that: the address of a load or store, or
    /// one of the operands that [`crate::Item::operands`] asks for.
    #[cold]
    pub fn note(&mut self, touch: u8, number: u64) {
        if !self.closed {
            self.close();
            self.first = touch;
        }
        if let Some(place) = self.noted.get_mut(self.count) {
            *place = number;
            self.count += 1;
        }
    }

    /// Whether the page was accessed last.
    #[inline(always)]
    fn sees_page(&self, marked: u64) -> bool {
        marked >> 12 & self.seen.page_mask == self.seen.page
    }

    /// Whether the page takes no walk. It is accessed then.
    fn comes_to_page(&mut self, marked: u64) -> bool {
        if self.sees_page(marked) {
            return true;
        }
        let has = !self.closed && self.tlb.knows(marked >> 12);
        if has {
            self.seen.page = marked >> 12;
        }
        has
    }

    /// Another page may be accessed next.
    #[inline]
    pub(crate) fn leave_page(&mut self) {
        if self.seen.page_mask != 0 {
            self.seen.page = NONE;
        }
    }

    /// From now on everything of a block is noted.
    #[inline]
    pub(crate) fn close(&mut self) {
        (self.closed, self.first, self.count) = (true, 0, 0);
        self.seen = CLOSED;
    }

    /// From now on what is frequent, under a mark, translated or not, is not noted.
    #[inline]
    pub(crate) fn open(&mut self, mark: u64, translates: bool) {
        (self.closed, self.first, self.count) = (false, 0, 0);
        let (page, page_mask) = if translates { (NONE, u64::MAX) } else { (0, 0) };
        self.seen = Seen { mark, page, page_mask };
    }

    /// Whether everything is noted.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The touch from which on everything was noted, and how many numbers were.
    #[inline]
    pub(crate) fn noted(&self) -> (usize, usize) {
        (self.first.into(), self.count)
    }

    /// A number that was noted.
    #[inline]
    pub(crate) fn number(&self, at: usize) -> u64 {
        self.noted.get(at).copied().unwrap_or_default()
    }

    /// Out of how many of the last stores a load and a store have to look for theirs.
    #[inline]
    pub(crate) fn set_windows(&mut self, loads: u64, stores: u64) {
        // There were as many as a window is long, and more.
        self.load_horizon = self.stores.wrapping_sub(loads);
        self.store_horizon = self.stores.wrapping_sub(stores);
    }

    /// Whether a load's line is known to be in the data cache.
    #[inline(always)]
    pub(crate) fn knows_line(&self, marked: u64) -> bool {
        let line = marked >> self.line_bits;
        self.lines[line as usize % LINES] == line
    }

    /// A line is at a place of the data cache, changed or not.
    pub(crate) fn has_line(&mut self, slot: usize, marked: u64, changed: bool) {
        if !self.random {
            return;
        }
        let line = marked >> self.line_bits;
        let index = line as usize % LINES;
        let owner = std::mem::replace(&mut self.owners[slot], index as u32) as usize;
        if owner != index {
            // A line is known under one name.
            self.lines[owner] = NONE;
            self.changed[owner] = NONE;
        }
        self.lines[index] = line;
        self.changed[index] = if changed { line } else { NONE };
    }

    /// Another line came into this place of the data cache.
    pub(crate) fn drop_line(&mut self, slot: usize) {
        let owner = self.owners[slot] as usize;
        self.lines[owner] = NONE;
        self.changed[owner] = NONE;
    }

    /// Addresses may mean something else from now on.
    pub(crate) fn forget(&mut self) {
        self.lines.fill(NONE);
        self.changed.fill(NONE);
        self.tlb.forget();
        self.close();
    }

    /// No store is known any more under the name that it had.
    pub(crate) fn forget_words(&mut self) {
        self.words.fill(NONE);
    }

    /// How many stores ago the last one was made to a word at the same place in a page as a load's; where stores go to the
    /// cache, to its bytes.
    #[inline]
    pub(crate) fn behind_load(&self, marked: u64, size: u8) -> u16 {
        let last = self.offsets[(marked >> 3) as usize % OFFSETS];
        let ago = self.stores - last + 1;
        if last <= self.load_horizon || ago > REACH {
            return 0;
        }
        if self.through {
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

    /// How many stores ago the last one was made to a store's word, and the bytes of it that both are made to
    /// ([`crate::outcome::Outcome::bytes`]); takes note of this one.
    pub(crate) fn behind_store(&mut self, marked: u64, size: u8) -> (u16, [u8; 2]) {
        let word = marked >> 3;
        let last = self.offsets[word as usize % OFFSETS];
        let matters = last > self.store_horizon && self.through;
        let behind = if matters { self.behind_word(word, last) } else { 0 };
        let mut bytes = [0; 2];
        if behind != 0 {
            let before = (self.stores + 1).saturating_sub(behind.into());
            bytes = [self.bytes[before as usize % 256], bytes_of(marked, size)];
            if bytes == [0xff; 2] {
                bytes = [0; 2];
            }
        }
        self.stored(marked, size);
        (behind, bytes)
    }

    /// A store.
    #[inline(always)]
    fn stored(&mut self, marked: u64, size: u8) {
        let word = marked >> 3;
        self.stores += 1;
        self.offsets[word as usize % OFFSETS] = self.stores;
        self.words[self.stores as usize % 256] = word;
        self.bytes[self.stores as usize % 256] = bytes_of(marked, size);
    }

    /// How many stores ago the last one was made to the line of a load that missed, where its write may be under way.
    pub(crate) fn beside(&self, marked: u64) -> u16 {
        if !self.through {
            return 0;
        }
        let bits = self.line_bits.saturating_sub(3);
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
