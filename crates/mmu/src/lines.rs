//! The lines of the native TLB that loads and stores look at: as many as a program needs.
//!
//! There are few at first, so that what is hot stays near and clearing costs nothing. Where pages push each other out all the
//! time there are more from then on, up to as many pages as a TLB shape has room for; and fewer again when all are dropped and few were in
//! use. Only speed depends on how many there are.

use std::num::NonZeroU16;

use isa::PAGE_BITS;

use crate::chunks::CHUNK_BITS;
use crate::context::NUMBERS;
use crate::native::{PAGE, Uses};

/// Lines at least.
pub(crate) const LEAST: usize = 1 << 10;
/// Lines at most: 2 MiB of them.
const MOST: usize = 1 << 17;
/// How many times as many there are when there are too few.
const GROWTH: usize = 8;

/// Where a tag holds the context number.
const CONTEXT_SHIFT: u32 = 3;
/// Where it does.
pub(crate) const CONTEXT_MASK: u64 = (1 << 11) - (1 << CONTEXT_SHIFT);
/// Set in the tag of a line that lets write, above the context number.
pub(crate) const WRITE: u64 = 1 << 11;
const _: () =
    assert!((NUMBERS as u64 - 1) << CONTEXT_SHIFT == CONTEXT_MASK && CONTEXT_MASK < WRITE);
const _: () = assert!(WRITE < 1 << PAGE_BITS);
/// log2 of the size of a line.
const LINE_BITS: u32 = 4;

/// A page for loads and stores. What may be written may be read.
///
/// It is small: programs that use many pages wait for lines that the nearest caches have no room for.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(crate) struct Line {
    /// Page number, context number, and whether it may be written; 0, which no context has, where it may not even be read.
    tag: u64,
    /// What to add to a virtual address for a native one.
    pub(crate) addend: u64,
}

const _: () = assert!(size_of::<Line>() == 1 << LINE_BITS);

impl Line {
    /// Whether it lets read what has this tag, which is [`Context::tag`] with a page number.
    #[inline(always)]
    pub(crate) fn reads(&self, tag: u64) -> bool {
        (self.tag ^ tag) & !WRITE == 0
    }

    /// Whether it lets write what has this tag, which is [`Context::write_tag`] with a page number.
    #[inline(always)]
    pub(crate) fn writes(&self, tag: u64) -> bool {
        self.tag == tag
    }

    /// The native address of the page, if it lets write.
    fn written(&self) -> Option<u64> {
        (self.tag & WRITE != 0).then(|| (self.tag & PAGE).wrapping_add(self.addend))
    }
}

/// A context number as look-ups want it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// In its place in a tag.
    pub(crate) tag: u64,
    /// The same of a line that lets write.
    pub(crate) write_tag: u64,
    /// Keeps the same page of different contexts apart.
    skew: u64,
    /// The same for a chunk.
    chunk_skew: u64,
}

impl Context {
    #[inline]
    pub(crate) fn new(number: NonZeroU16) -> Self {
        let number = u64::from(number.get());
        let tag = number << CONTEXT_SHIFT;
        let skew = number.wrapping_mul(0x1b5) << PAGE_BITS;
        let chunk_skew = number.wrapping_mul(0x9e5) << CHUNK_BITS;
        Self { tag, write_tag: tag | WRITE, skew, chunk_skew }
    }

    /// The number.
    #[inline]
    pub(crate) fn number(self) -> u16 {
        (self.tag >> CONTEXT_SHIFT) as u16
    }

    /// Mixes page and context, in the bits that choose a line: those of the page number.
    #[inline(always)]
    pub(crate) fn hash(self, va: u64) -> u64 {
        va ^ va >> 10 ^ self.skew
    }

    /// Mixes chunk and context, in the bits that choose an entry: those of the chunk number.
    #[inline(always)]
    pub(crate) fn chunk_hash(self, va: u64) -> u64 {
        va ^ va >> 10 ^ self.chunk_skew
    }
}

/// The lines, a power of two of them.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Vec<Line>,
    /// How many bytes they are, less a line: a mask for the distance of one from the first.
    mask: u64,
    /// How many were filled since all were dropped, and how many of these had another page, not counting what is soon found again.
    filled: usize,
    pushed_out: usize,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self::of(LEAST)
    }

    fn of(count: usize) -> Self {
        let mask = ((count - 1) << LINE_BITS) as u64;
        Self { lines: vec![Line::default(); count], mask, filled: 0, pushed_out: 0 }
    }

    /// The first of them.
    #[inline(always)]
    pub(crate) fn first(&self) -> *const Line {
        self.lines.as_ptr()
    }

    /// How far from the first the line of a hash is, in bytes: less than all of them have, and a multiple of a line's.
    #[inline(always)]
    pub(crate) fn distance(&self, hash: u64) -> usize {
        (hash >> (PAGE_BITS - LINE_BITS) & self.mask) as usize
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    fn index(&self, context: Context, va: u64) -> usize {
        self.distance(context.hash(va)) >> LINE_BITS
    }

    /// A page is to be filled in that should stay: makes room where too many were pushed out.
    pub(crate) fn make_room(&mut self, context: Context, va: u64) {
        let line = &self.lines[self.index(context, va)];
        self.pushed_out += usize::from(line.tag != 0 && !line.reads(va & PAGE | context.tag));
        if self.pushed_out > self.lines.len() && self.lines.len() < MOST {
            *self = Self::of((self.lines.len() * GROWTH).min(MOST));
        }
    }

    /// Lets the page of `va` be read and written as `uses` says, and returns where that stands. What may not be read has no line.
    pub(crate) fn fill(
        &mut self,
        context: Context,
        va: u64,
        addend: u64,
        uses: Uses,
    ) -> Option<usize> {
        let tag = va & PAGE | context.tag;
        let index = self.index(context, va);
        let line = &mut self.lines[index];
        let known = line.reads(tag);
        let write = if uses.write { WRITE } else { 0 };
        if known && line.addend == addend {
            line.tag |= write;
        } else if uses.read {
            self.filled += 1;
            *line = Line { tag: tag | write, addend };
        } else {
            if known {
                *line = Line::default();
            }
            return None;
        }
        Some(index)
    }

    /// Whether the line with this index lets write to the native page.
    pub(crate) fn writes(&self, index: usize, native: u64) -> bool {
        self.lines.get(index).is_some_and(|line| line.written() == Some(native))
    }

    /// Drops what lets write to the native page at this index.
    pub(crate) fn drop_write(&mut self, index: usize, native: u64) {
        if let Some(line) = self.lines.get_mut(index)
            && line.written() == Some(native)
        {
            line.tag &= !WRITE;
        }
    }

    /// Drops all that lets write to the native page.
    pub(crate) fn drop_writes_to(&mut self, native: u64) {
        for line in self.lines.iter_mut().filter(|line| line.written() == Some(native)) {
            line.tag &= !WRITE;
        }
    }

    /// Drops all that lets write.
    pub(crate) fn drop_writes(&mut self) {
        for line in &mut self.lines {
            line.tag &= !WRITE;
        }
    }

    /// Drops the page of `va`.
    pub(crate) fn drop_page(&mut self, context: Context, va: u64) {
        let index = self.index(context, va);
        let line = &mut self.lines[index];
        if line.reads(va & PAGE | context.tag) {
            *line = Line::default();
        }
    }

    /// Drops the 2^`bits` bytes from `start` on.
    pub(crate) fn drop_range(&mut self, context: Context, start: u64, bits: u32) {
        for line in &mut self.lines {
            if line.tag & !PAGE & !WRITE == context.tag && line.tag >> bits == start >> bits {
                *line = Line::default();
            }
        }
    }

    /// What was pushed out since a context was withdrawn counts: dead lines are not in the way of anything.
    pub(crate) fn forgive(&mut self) {
        self.pushed_out = 0;
    }

    /// Drops all.
    pub(crate) fn clear(&mut self) {
        let few = self.filled < self.lines.len() / GROWTH;
        if few && self.lines.len() > LEAST {
            *self = Self::of((self.lines.len() / GROWTH).max(LEAST));
            return;
        }
        self.lines.fill(Line::default());
        (self.filled, self.pushed_out) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Uses = Uses { read: true, write: true, execute: false };
    const READ: Uses = Uses { read: true, write: false, execute: false };

    fn context(number: u16) -> Context {
        Context::new(NonZeroU16::new(number).unwrap())
    }

    fn page(number: usize) -> u64 {
        0xffff_ffc0_0000_0000 + ((number as u64) << PAGE_BITS)
    }

    fn serves(lines: &Lines, context: Context, va: u64) -> (bool, bool) {
        let line = &lines.lines[lines.index(context, va)];
        let tag = va & PAGE | context.tag;
        (line.reads(tag), line.writes(va & PAGE | context.write_tag))
    }

    /// Uses pages in turn, each as the native TLB does that has no line for it.
    fn use_pages(lines: &mut Lines, pages: usize, rounds: usize) {
        for number in (0..rounds).flat_map(|_| 0..pages) {
            if serves(lines, context(1), page(number)) != (true, true) {
                lines.make_room(context(1), page(number));
                lines.fill(context(1), page(number), 0, BOTH);
            }
        }
    }

    #[test]
    fn there_are_as_many_lines_as_the_pages_in_use_need() {
        let mut lines = Lines::new();
        use_pages(&mut lines, LEAST, 100);
        assert_eq!(lines.count(), LEAST);
        use_pages(&mut lines, 1 << 16, 4);
        assert!((1 << 16..=MOST).contains(&lines.count()));
        assert!((0..1 << 16).all(|number| serves(&lines, context(1), page(number)).0));
        use_pages(&mut lines, 2 * MOST, 4);
        assert_eq!(lines.count(), MOST);
        // What was in use decides whether as many are needed afterwards.
        lines.clear();
        assert_eq!(lines.count(), MOST);
        for _ in 0..3 {
            lines.clear();
        }
        assert_eq!(lines.count(), LEAST);
        assert_eq!(serves(&lines, context(1), page(0)), (false, false));
    }

    #[test]
    fn lines_of_withdrawn_contexts_are_no_reason_for_more() {
        let mut lines = Lines::new();
        for number in 1..500 {
            for number_of_page in 0..LEAST / 2 {
                lines.make_room(context(number), page(number_of_page));
                lines.fill(context(number), page(number_of_page), 0, BOTH);
            }
            lines.forgive();
        }
        assert_eq!(lines.count(), LEAST);
    }

    #[test]
    fn rights_add_up_for_one_page_and_start_over_for_another() {
        let mut lines = Lines::new();
        lines.fill(context(1), page(5), 0x1000, READ);
        assert_eq!(serves(&lines, context(1), page(5)), (true, false));
        lines.fill(context(1), page(5), 0x1000, Uses { read: false, ..BOTH });
        assert_eq!(serves(&lines, context(1), page(5)), (true, true));
        lines.fill(context(1), page(5), 0x2000, READ);
        assert_eq!(serves(&lines, context(1), page(5)), (true, false));
        let write_only = Uses { read: false, ..BOTH };
        assert_eq!(lines.fill(context(1), page(7), 0, write_only), None);
        assert_eq!(serves(&lines, context(1), page(7)), (false, false));
        lines.drop_page(context(2), page(5));
        lines.drop_page(context(1), page(6));
        assert_eq!(serves(&lines, context(1), page(5)), (true, false));
        lines.drop_page(context(1), page(5));
        assert_eq!(serves(&lines, context(1), page(5)), (false, false));
    }

    #[test]
    fn a_range_goes_in_its_context_alone() {
        let mut lines = Lines::new();
        for number in [1, 2] {
            lines.fill(context(number), page(0x200), 0, BOTH);
            lines.fill(context(number), page(0x400), 0, BOTH);
        }
        lines.drop_range(context(1), page(0x200), 21);
        assert_eq!(serves(&lines, context(1), page(0x200)), (false, false));
        assert_eq!(serves(&lines, context(1), page(0x400)), (true, true));
        assert_eq!(serves(&lines, context(2), page(0x200)), (true, true));
    }
}
