//! Decoded code: pages of it, and the cache that finds one by its physical address.
//!
//! A page of code keeps what was decoded from one physical page, each instruction once. Its operations stand in runs: a run
//! begins where execution first came to a place that was not decoded yet, passes branches, and ends with a jump, with an
//! instruction that may change translation, mode or interrupts, at the page's end, or where the next instruction stands in
//! another run. It is entered at any of its instructions.
//!
//! Being found by physical address it survives every change of translation; it dies as a whole when its page is written, or when
//! there is too much of it, which makes the pages go that came first. Nothing outside a page points into it, so nothing has to be
//! told.

use isa::{Decoder, PAGE_BYTES, Pa};
use mmu::Ram;

use crate::guesses::Guesses;
use crate::op::{Op, ends_run};
use crate::thread::Link;

/// Instructions in a run at most.
pub(crate) const MAX_RUN: usize = 64;

/// Operations kept at most, those of the page that runs not counted.
const MAX_KEPT_OPS: usize = 3 << 19;
/// Pages kept at most.
const MAX_KEPT_PAGES: usize = 8192;

/// Two bytes each: where an instruction can begin.
const PLACES: usize = PAGE_BYTES as usize / 2;

/// What stands behind the last instruction of a run. Its operation has nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum End {
    /// Execution goes on at an offset in the page, its end perhaps.
    Next,
    /// What stands here is for the hart to look at.
    Outside,
    /// It cannot be decoded.
    Illegal,
}

/// What was decoded from one page.
#[derive(Debug)]
pub(crate) struct CodePage {
    /// Of each place the number of the operation there; 0 where nothing was decoded, or what must not be entered unseen.
    entries: [u16; PLACES],
    /// The operations as they run in threads. The first is no place's.
    links: Vec<Link>,
    ops: Vec<Op>,
    /// The instructions as fetched, for reports.
    bits: Vec<u32>,
    pa: u64,
    /// Its place in the cache.
    slot: u32,
}

impl CodePage {
    fn new(pa: Pa, slot: u32) -> Self {
        let mut page = Self {
            entries: [0; PLACES],
            links: Vec::new(),
            ops: Vec::new(),
            bits: Vec::new(),
            pa: pa.0,
            slot,
        };
        page.end(End::Outside, 0, 0);
        page
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// The number of the operation at `address` in the page, 0 if there is none.
    #[inline(always)]
    pub(crate) fn entry(&self, address: u64) -> u16 {
        self.entries[(address % PAGE_BYTES / 2) as usize]
    }

    #[inline(always)]
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The operation with that number.
    #[inline(always)]
    pub(crate) fn op(&self, number: u16) -> Option<&Op> {
        self.ops.get(usize::from(number))
    }

    /// Operations from `number` on: as many as its run has, `most` at most; and the offset behind them.
    pub(crate) fn part(&self, number: u16, most: u64) -> (&[Op], u64) {
        let first = usize::from(number);
        let rest = self.ops.get(first).map_or(0, |op| usize::from(op.rest));
        let count = usize::try_from(most).map_or(rest, |most| rest.min(most));
        let ops = self.ops.get(first..first + count).unwrap_or_default();
        let bits = count.checked_sub(1).and_then(|last| self.bits.get(first + last));
        let behind = ops.last().zip(bits).map_or(0, |(op, bits)| op.offset + length(*bits));
        (ops, u64::from(behind))
    }

    /// The instruction with that number, as fetched.
    pub(crate) fn bits(&self, number: u16) -> Option<u32> {
        self.bits.get(usize::from(number)).copied()
    }

    /// What ends a run whose next instruction, of these bits, is at `offset`.
    fn end(&mut self, end: End, offset: u16, bits: u32) {
        let op = Op::end(end, offset);
        self.links.push(Link::of_end(&op));
        self.ops.push(op);
        self.bits.push(bits);
    }

    /// Decodes from `offset` on, where nothing was decoded before, up to the next one at which a run must `begin`. Returns the
    /// number of the operation there; `None` where the instruction does not lie in the page: it straddles the end.
    fn decode(
        &mut self,
        decoder: &Decoder,
        ram: &Ram,
        offset: u16,
        begin: Option<&Offsets>,
    ) -> Option<u16> {
        let first = self.ops.len();
        let mut at = offset;
        while at < PAGE_BYTES as u16 {
            let known = self.entries[usize::from(at / 2)] != 0;
            let full = self.ops.len() - first == MAX_RUN;
            if known || full {
                self.end(End::Next, at, 0);
                break;
            }
            if at != offset && begin.is_some_and(|offsets| offsets.contains(u64::from(at))) {
                self.end(End::Outside, at, 0);
                break;
            }
            let pa = Pa(self.pa + u64::from(at));
            let low = u32::from(ram.read::<u16>(pa)?);
            let word = if low & 3 != 3 {
                low
            } else if at + 4 <= PAGE_BYTES as u16 {
                ram.read::<u32>(pa)?
            } else if at == offset {
                return None;
            } else {
                self.end(End::Outside, at, 0);
                break;
            };
            self.entries[usize::from(at / 2)] = self.ops.len() as u16;
            let Some(insn) = decoder.decode(word) else {
                self.end(End::Illegal, at, word);
                break;
            };
            let op = Op::new(decoder, &insn, at);
            at += length(word);
            self.links.push(Link::new(&op, at));
            self.ops.push(op);
            self.bits.push(word);
            if ends_run(&insn) {
                self.end(End::Outside, at, 0);
                break;
            }
        }
        if at == PAGE_BYTES as u16 && self.ops.last().is_some_and(|op| op.rest != 0) {
            self.end(End::Next, at, 0);
        }
        let mut rest = 0;
        for op in self.ops[first..].iter_mut().rev().filter(|op| op.rest != 0) {
            rest += 1;
            op.rest = rest;
        }
        Link::fuse(&mut self.links[first..], &self.ops[first..]);
        // At most two for every two bytes of the page.
        Some(first as u16)
    }
}

/// Bytes of the instruction.
fn length(bits: u32) -> u16 {
    if bits & 3 == 3 { 4 } else { 2 }
}

/// Offsets in a page at which a run ends and that are not decoded with others, in every page: where a debugger may want
/// to halt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    /// A bit for every two bytes.
    bits: [u64; 32],
}

impl Offsets {
    fn place(address: u64) -> (usize, u64) {
        let half = address % PAGE_BYTES / 2;
        ((half / 64) as usize, 1 << (half % 64))
    }

    /// Adds the offset of `address` in its page.
    pub(crate) fn insert(&mut self, address: u64) {
        let (word, bit) = Self::place(address);
        self.bits[word] |= bit;
    }

    /// Whether the offset of `address` in its page is among them.
    pub(crate) fn contains(&self, address: u64) -> bool {
        let (word, bit) = Self::place(address);
        self.bits[word] & bit != 0
    }
}

/// An operation in a page of code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) page: &'a CodePage,
    pub(crate) number: u16,
}

/// The same by numbers, which hold until the cache changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    slot: u32,
    number: u16,
}

/// All decoded code of a hart.
#[derive(Debug)]
pub(crate) struct CodeCache {
    /// Where RAM begins.
    base: u64,
    /// Of each page of RAM, what was decoded from it: its place among the pages and one, or zero.
    directory: Vec<u32>,
    pages: Vec<Option<Box<CodePage>>>,
    free: Vec<u32>,
    /// The place that is looked at next for a page that can go.
    hand: usize,
    kept_ops: usize,
    guesses: Guesses,
}

impl CodeCache {
    /// An empty one, for code in `ram`.
    pub(crate) fn new(ram: &Ram) -> Self {
        let frames = usize::try_from(ram.bytes() / PAGE_BYTES).unwrap_or(0);
        Self {
            base: ram.base().0,
            // Zeroes that nobody looks at take no memory.
            directory: vec![0; frames],
            pages: Vec::new(),
            free: Vec::new(),
            hand: 0,
            kept_ops: 0,
            guesses: Guesses::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    #[inline(always)]
    fn frame(&self, pa: u64) -> usize {
        (pa.wrapping_sub(self.base) / PAGE_BYTES) as usize
    }

    /// What was decoded from the page of `pa`.
    #[inline(always)]
    pub(crate) fn page(&self, pa: Pa) -> Option<&CodePage> {
        let slot = (*self.directory.get(self.frame(pa.0))?).checked_sub(1)?;
        self.at(slot)
    }

    /// Whether what was decoded from the page of `pa` is at that place.
    #[inline(always)]
    pub(crate) fn is_at(&self, pa: Pa, slot: u32) -> bool {
        self.directory.get(self.frame(pa.0)) == Some(&(slot + 1))
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> Option<&CodePage> {
        self.pages.get(slot as usize)?.as_deref()
    }

    /// The operation at `pa`.
    #[inline]
    pub(crate) fn find(&self, pa: Pa) -> Option<Place<'_>> {
        let page = self.page(pa)?;
        let number = page.entry(pa.0);
        (number != 0).then_some(Place { page, number })
    }

    /// The entry at `pa`, if that was decoded.
    #[inline]
    pub(crate) fn known(&self, pa: Pa) -> Option<Entry> {
        self.find(pa).map(|Place { page, number }| Entry { slot: page.slot, number })
    }

    /// The operation at an entry that was given out since anything changed.
    #[inline]
    pub(crate) fn place(&self, entry: Entry) -> Option<Place<'_>> {
        Some(Place { page: self.at(entry.slot)?, number: entry.number })
    }

    /// The operation at `pa`, decoded if need be, up to where runs must `begin`; `None` for an instruction that straddles
    /// two pages.
    pub(crate) fn enter(
        &mut self,
        decoder: &Decoder,
        ram: &Ram,
        pa: Pa,
        begin: Option<&Offsets>,
    ) -> Option<Entry> {
        let frame = self.frame(pa.0);
        let slot = match (*self.directory.get(frame)?).checked_sub(1) {
            Some(slot) => slot,
            None => {
                self.make_room();
                let slot = self.free.pop().unwrap_or(self.pages.len() as u32);
                let page = Some(Box::new(CodePage::new(pa.page(), slot)));
                match self.pages.get_mut(slot as usize) {
                    Some(vacant) => *vacant = page,
                    None => self.pages.push(page),
                }
                self.directory[frame] = slot + 1;
                slot
            }
        };
        let page = self.pages.get_mut(slot as usize)?.as_deref_mut()?;
        let mut number = page.entry(pa.0);
        if number == 0 {
            let before = page.ops.len();
            let decoded = page.decode(decoder, ram, (pa.0 % PAGE_BYTES) as u16, begin);
            self.kept_ops += page.ops.len() - before;
            number = decoded?;
        }
        Some(Entry { slot, number })
    }

    /// Lets the oldest pages go until there is room for another one.
    fn make_room(&mut self) {
        while self.kept_ops > MAX_KEPT_OPS || self.pages.len() - self.free.len() >= MAX_KEPT_PAGES {
            if let Some(page) = self.at(self.hand as u32) {
                self.remove_page(Pa(page.pa));
            }
            self.hand = if self.hand + 1 < self.pages.len() { self.hand + 1 } else { 0 };
        }
    }

    /// Drops what was decoded from one page.
    pub(crate) fn remove_page(&mut self, page: Pa) {
        let frame = self.frame(page.0);
        let Some(slot) = self.directory.get_mut(frame).map(std::mem::take) else { return };
        let Some(slot) = slot.checked_sub(1) else { return };
        if let Some(page) = self.pages.get_mut(slot as usize).and_then(Option::take) {
            self.kept_ops -= page.ops.len() - 1;
            self.free.push(slot);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        for slot in 0..self.pages.len() as u32 {
            if let Some(page) = self.at(slot) {
                self.remove_page(Pa(page.pa));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use isa::ExtSet;

    use super::*;

    const BASE: Pa = Pa(0x8000_0000);

    fn empty(pages: u64) -> (CodeCache, Decoder, Ram) {
        let ram = Ram::new(BASE, pages * PAGE_BYTES).unwrap();
        (CodeCache::new(&ram), Decoder::new(&ExtSet::default_set()), ram)
    }

    #[test]
    fn each_instruction_is_decoded_once_wherever_it_is_entered() {
        let (mut codes, decoder, ram) = empty(1);
        // C.NOP, up to a C.JR at 200.
        for at in (0..200).step_by(2) {
            ram.write(Pa(BASE.0 + at), 1u16).unwrap();
        }
        ram.write(Pa(BASE.0 + 200), 0x8082u16).unwrap();
        for at in (0..=200).rev().step_by(26) {
            codes.enter(&decoder, &ram, Pa(BASE.0 + at), None).unwrap();
        }
        for at in (0..=200).step_by(2) {
            codes.enter(&decoder, &ram, Pa(BASE.0 + at), None).unwrap();
        }
        let page = codes.page(BASE).unwrap();
        assert_eq!(page.ops.iter().filter(|op| op.rest != 0).count(), 101);
        let longest = page.ops.iter().map(|op| op.rest).max();
        assert!(longest.is_some_and(|rest| usize::from(rest) <= MAX_RUN));
    }

    #[test]
    fn nothing_is_decoded_across_the_end_of_a_page() {
        let (mut codes, decoder, ram) = empty(2);
        let last = Pa(BASE.0 + PAGE_BYTES - 2);
        ram.write(last, 0x13u32).unwrap();
        assert!(codes.enter(&decoder, &ram, last, None).is_none());
        ram.write(Pa(last.0 - 2), 1u16).unwrap();
        let entry = codes.enter(&decoder, &ram, Pa(last.0 - 2), None).unwrap();
        let place = codes.place(entry).unwrap();
        let (ops, behind) = place.page.part(place.number, 64);
        assert_eq!((ops.len(), behind), (1, PAGE_BYTES - 2));
        let end = place.page.op(place.number + 1).unwrap();
        assert_eq!((end.rest, end.aux), (0, End::Outside as u8));
    }

    #[test]
    fn what_is_kept_is_bounded_and_found_again() {
        let pages = MAX_KEPT_PAGES as u64 + 1000;
        let (mut codes, decoder, ram) = empty(pages);
        // Every eighth page is full of C.NOP, the others of what is illegal.
        for page in (0..pages).step_by(8) {
            ram.write_bytes(Pa(BASE.0 + page * PAGE_BYTES), &[1, 0].repeat(PLACES)).unwrap();
        }
        for page in 0..pages {
            let from = if page % 8 == 0 { 0 } else { PAGE_BYTES - 2 };
            for offset in (from..PAGE_BYTES).step_by(2 * MAX_RUN) {
                let pa = Pa(BASE.0 + page * PAGE_BYTES + offset);
                codes.enter(&decoder, &ram, pa, None).unwrap();
                assert!(codes.find(pa).is_some());
            }
            assert!(codes.pages.len() <= MAX_KEPT_PAGES);
            assert!(codes.kept_ops <= MAX_KEPT_OPS + 2 * PLACES);
        }
        assert_eq!(
            codes.kept_ops,
            codes.pages.iter().flatten().map(|page| page.ops.len() - 1).sum::<usize>(),
        );
        assert!(codes.find(BASE).is_none(), "the first page went first");
        codes.clear();
        assert_eq!((codes.kept_ops, codes.free.len()), (0, codes.pages.len()));
    }
}
