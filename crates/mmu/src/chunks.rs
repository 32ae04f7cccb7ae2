//! What the native TLB knows of chunks of 2 MiB, for large leaves and what is not translated, so that loads and stores whose page
//! has no line are served without one.
//!
//! A chunk is found by comparing one tag, as a line is: it has the context number where a line has it, and what a load and a
//! store ask is one bit each. That a chunk may be written *without looking* says also that nobody watches a page of it; whoever
//! begins to takes it back. Where somebody watches one, a store has to look.

use isa::Pa;

use crate::lines::{CONTEXT_MASK, Context, WRITE};
use crate::native::Uses;
use crate::ram::Ram;

/// log2 of the size of a chunk.
pub(crate) const CHUNK_BITS: u32 = 21;
/// The size of a chunk.
pub(crate) const CHUNK_BYTES: u64 = 1 << CHUNK_BITS;
/// What of an address says which chunk it lies in.
pub(crate) const CHUNK: u64 = !(CHUNK_BYTES - 1);
/// log2 of how many there are.
const COUNT_BITS: u32 = 10;
const COUNT: usize = 1 << COUNT_BITS;
/// log2 of the size of an entry.
const ENTRY_BITS: u32 = 4;

/// In a tag: may be written, where nobody watches the page.
const WRITE_UNWATCHED: u64 = 1 << 12;
/// In a tag: may be executed.
const EXECUTE: u64 = 1 << 13;
/// In a tag: may not be read, so that no load takes it.
const UNREADABLE: u64 = 1 << 14;
const ASIDE: u64 = WRITE_UNWATCHED | EXECUTE;
const _: () =
    assert!((WRITE | ASIDE | UNREADABLE) & CHUNK == 0 && WRITE & (ASIDE | UNREADABLE) == 0);

/// A chunk of virtual memory that is contiguous in RAM.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(crate) struct Chunk {
    /// Its number, the context number, and what it may be used for: [`WRITE`] is to write without looking. 0, which no context
    /// has, marks an empty entry.
    tag: u64,
    /// What to add to a virtual address for a native one.
    pub(crate) addend: u64,
}

const _: () = assert!(size_of::<Chunk>() == 1 << ENTRY_BITS);

impl Chunk {
    /// Whether it lets read what has this tag, which is [`Context::tag`] with a chunk number.
    #[inline(always)]
    pub(crate) fn reads(&self, tag: u64) -> bool {
        (self.tag ^ tag) & !(WRITE | ASIDE) == 0
    }

    /// Whether it lets write without looking what has this tag, which is [`Context::write_tag`] with a chunk number.
    #[inline(always)]
    pub(crate) fn writes(&self, tag: u64) -> bool {
        (self.tag ^ tag) & !ASIDE == 0
    }

    /// Whether it lets write what has this tag, which is [`Context::tag`] with a chunk number, and who does has to look.
    #[inline(always)]
    pub(crate) fn writes_unwatched(&self, tag: u64) -> bool {
        self.tag & !(UNREADABLE | EXECUTE) == tag | WRITE_UNWATCHED
    }

    /// Whether it is the one with this number and context number.
    fn is(&self, tag: u64) -> bool {
        self.tag & (CHUNK | CONTEXT_MASK) == tag
    }

    fn uses(&self) -> Uses {
        Uses {
            read: self.tag & UNREADABLE == 0,
            write: self.tag & WRITE_UNWATCHED != 0,
            execute: self.tag & EXECUTE != 0,
        }
    }

    /// The native address of its first byte.
    fn native(&self) -> u64 {
        (self.tag & CHUNK).wrapping_add(self.addend)
    }
}

/// Some chunks of each context.
#[derive(Debug)]
pub(crate) struct Chunks {
    entries: Box<[Chunk; COUNT]>,
    /// For each chunk of RAM, whether an entry may let write there without looking.
    written: Vec<bool>,
    /// The number of the first chunk that RAM has a part of.
    first: u64,
}

impl Chunks {
    pub(crate) fn new(ram: &Ram) -> Self {
        let first = ram.base().0 >> CHUNK_BITS;
        let end = ram.base().0.saturating_add(ram.bytes()).div_ceil(CHUNK_BYTES);
        // A page has an index in a vector, so the number of chunks fits.
        let written = vec![false; end.saturating_sub(first) as usize];
        Self { entries: Box::new([Chunk::default(); COUNT]), written, first }
    }

    /// Where an entry for the chunk of `va` would be.
    #[inline(always)]
    fn index(context: Context, va: u64) -> usize {
        (context.chunk_hash(va) >> CHUNK_BITS) as usize % COUNT
    }

    /// The entry that would have the chunk of `va`.
    #[inline(always)]
    pub(crate) fn at(&self, context: Context, va: u64) -> &Chunk {
        &self.entries[Self::index(context, va)]
    }

    /// The native address behind `va`, and what its chunk may be used for, if it is known. Where it may be written it may be
    /// watched.
    #[inline]
    pub(crate) fn find(&self, context: Context, va: u64) -> Option<(u64, Uses)> {
        let chunk = self.at(context, va);
        let found = chunk.is(va & CHUNK | context.tag);
        found.then(|| (va.wrapping_add(chunk.addend), chunk.uses()))
    }

    /// Keeps the chunk of `va`, behind which is `pa`, if it is all RAM.
    pub(crate) fn keep(&mut self, context: Context, va: u64, pa: Pa, ram: &Ram, uses: Uses) {
        let start = Pa(pa.0 & CHUNK);
        if !ram.contains(start, CHUNK_BYTES) {
            return;
        }
        let Some(native) = ram.native_page(start) else { return };
        let tag = va & CHUNK | context.tag;
        let addend = native.wrapping_sub(va & CHUNK);
        let entry = &mut self.entries[Self::index(context, va)];
        let same = entry.is(tag) && entry.addend == addend;
        let uses = if same { uses.or(entry.uses()) } else { uses };
        let mut rights = if uses.read { 0 } else { UNREADABLE };
        rights |= if uses.write { WRITE_UNWATCHED } else { 0 };
        rights |= if uses.execute { EXECUTE } else { 0 };
        if uses.read
            && uses.write
            && !ram.any_is_watched(start, CHUNK_BYTES)
            && let Some(written) =
                self.written.get_mut(((start.0 >> CHUNK_BITS) - self.first) as usize)
        {
            *written = true;
            rights |= WRITE;
        }
        *entry = Chunk { tag: tag | rights, addend };
    }

    /// Somebody watches the physical page `pa`: who writes to its chunk has to look.
    pub(crate) fn look_at_writes_to(&mut self, pa: Pa, ram: &Ram) {
        let number = (pa.0 >> CHUNK_BITS).wrapping_sub(self.first) as usize;
        let Some(native) = ram.native_page(pa.page()) else { return };
        if self.written.get_mut(number).is_some_and(std::mem::take) {
            for entry in self.entries.iter_mut() {
                if native.wrapping_sub(entry.native()) < CHUNK_BYTES {
                    entry.tag &= !WRITE;
                }
            }
        }
    }

    /// Who writes has to look, wherever it is.
    pub(crate) fn look_at_writes(&mut self) {
        self.written.fill(false);
        for entry in self.entries.iter_mut() {
            entry.tag &= !WRITE;
        }
    }

    /// Drops the chunks of the 2^`bits` bytes from `start` on.
    pub(crate) fn drop_range(&mut self, context: Context, start: u64, bits: u32) {
        if bits == CHUNK_BITS {
            let entry = &mut self.entries[Self::index(context, start)];
            if entry.is(start & CHUNK | context.tag) {
                *entry = Chunk::default();
            }
            return;
        }
        for entry in self.entries.iter_mut() {
            if entry.tag & CONTEXT_MASK == context.tag && entry.tag >> bits == start >> bits {
                *entry = Chunk::default();
            }
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.entries.fill(Chunk::default());
        self.written.fill(false);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::page_watch::PageClass;

    const BASE: Pa = Pa(0x8000_0000);
    const READ: Uses = Uses { read: true, write: false, execute: false };
    const WRITING: Uses = Uses { read: true, write: true, execute: false };
    const EXECUTING: Uses = Uses { read: false, write: false, execute: true };

    fn context(number: u16) -> Context {
        Context::new(NonZeroU16::new(number).unwrap())
    }

    fn pa(chunks: &Chunks, ram: &Ram, number: u16, va: u64) -> Option<u64> {
        chunks.find(context(number), va).map(|(at, _)| ram.physical(at).0)
    }

    /// Whether a load, a store that does not look and one that does are served.
    fn serves(chunks: &Chunks, number: u16, va: u64) -> [bool; 3] {
        let (context, chunk) = (context(number), va & CHUNK);
        let entry = chunks.at(context, va);
        [
            entry.reads(chunk | context.tag),
            entry.writes(chunk | context.write_tag),
            entry.writes_unwatched(chunk | context.tag),
        ]
    }

    #[test]
    fn a_chunk_covers_two_mebibytes_and_goes_with_the_leaf_around_it() {
        let ram = Ram::new(BASE, 2 * CHUNK_BYTES).unwrap();
        for bits in [21, 30, 39] {
            let mut chunks = Chunks::new(&ram);
            let start = 0x40_0000_0000u64 & !((1 << bits) - 1);
            let last = start + (1 << bits) - CHUNK_BYTES;
            for va in [start, last, start + (1 << bits)] {
                chunks.keep(context(3), va, BASE, &ram, WRITING);
            }
            chunks.keep(context(4), start, BASE, &ram, WRITING);
            assert_eq!(pa(&chunks, &ram, 3, last + 0x12_3456), Some(0x8012_3456));
            assert_eq!(pa(&chunks, &ram, 5, last), None);
            chunks.drop_range(context(3), start, bits);
            assert_eq!((pa(&chunks, &ram, 3, start), pa(&chunks, &ram, 3, last)), (None, None));
            assert!(pa(&chunks, &ram, 3, start + (1 << bits)).is_some());
            assert!(pa(&chunks, &ram, 4, start).is_some());
            chunks.clear();
            assert_eq!(pa(&chunks, &ram, 4, start), None);
            assert_eq!(serves(&chunks, 4, start), [false; 3]);
        }
    }

    #[test]
    fn rights_add_up_for_one_chunk_and_start_over_for_another() {
        let ram = Ram::new(BASE, 2 * CHUNK_BYTES).unwrap();
        let mut chunks = Chunks::new(&ram);
        chunks.keep(context(1), 0, BASE, &ram, EXECUTING);
        assert_eq!(serves(&chunks, 1, 0), [false; 3]);
        chunks.keep(context(1), 0, BASE, &ram, READ);
        assert_eq!(serves(&chunks, 1, 0), [true, false, false]);
        chunks.keep(context(1), 0, BASE, &ram, WRITING);
        assert_eq!(serves(&chunks, 1, 0), [true, true, false]);
        assert_eq!(chunks.find(context(1), 0).unwrap().1.bits(), 7);
        chunks.keep(context(1), 0, Pa(BASE.0 + CHUNK_BYTES), &ram, READ);
        assert_eq!(chunks.find(context(1), 0).unwrap().1.bits(), READ.bits());
        assert_eq!(serves(&chunks, 1, 0), [true, false, false]);
    }

    #[test]
    fn who_writes_to_a_chunk_looks_from_when_a_page_of_it_is_watched() {
        // RAM that begins and ends within chunks.
        let ram = Ram::new(Pa(0x8010_0000), 4 * CHUNK_BYTES).unwrap();
        let starts = [0x8020_0000, 0x8040_0000, 0x8060_0000];
        for (number, watched) in starts.into_iter().enumerate() {
            for at in [0, 0x12_3000, CHUNK_BYTES - 0x1000] {
                let mut chunks = Chunks::new(&ram);
                let keep = |chunks: &mut Chunks, va: u64, start: u64| {
                    chunks.keep(context(1), va, Pa(start), &ram, WRITING);
                };
                for (number, &start) in starts.iter().enumerate() {
                    keep(&mut chunks, number as u64 * CHUNK_BYTES, start);
                    keep(&mut chunks, (number as u64 + 512) * CHUNK_BYTES, start);
                }
                ram.watch(Pa(watched + at), PageClass::Code);
                chunks.look_at_writes_to(Pa(watched + at), &ram);
                for other in 0..starts.len() {
                    let look = other == number;
                    for va in [other as u64 * CHUNK_BYTES, (other as u64 + 512) * CHUNK_BYTES] {
                        assert_eq!(serves(&chunks, 1, va), [true, !look, look]);
                    }
                }
                // It stays so for who comes there later, as long as it is watched.
                keep(&mut chunks, 100 * CHUNK_BYTES, watched);
                assert_eq!(serves(&chunks, 1, 100 * CHUNK_BYTES), [true, false, true]);
                ram.unwatch(Pa(watched + at), PageClass::Code);
                keep(&mut chunks, 100 * CHUNK_BYTES, watched);
                assert_eq!(serves(&chunks, 1, 100 * CHUNK_BYTES), [true, true, false]);
                chunks.look_at_writes();
                for va in [0, 1, 2, 100].map(|number| number * CHUNK_BYTES) {
                    assert_eq!(serves(&chunks, 1, va), [true, false, true]);
                }
            }
        }
        let mut chunks = Chunks::new(&ram);
        for outside in [0x8010_0000, 0x8080_0000] {
            chunks.keep(context(1), 0, Pa(outside), &ram, WRITING);
            assert_eq!(serves(&chunks, 1, 0), [false; 3], "part of it is not RAM");
        }
    }
}
