//! The second level of the native TLB: many pages.
//!
//! As with the first level, all it has comes from an entry that the architectural TLB keeps, or from an access that is
//! not translated, and goes with it. Unlike there, a page that may be written may also be watched: who moves it to the
//! first level looks. A look-up costs one native cache line.

use std::num::NonZeroU16;

use isa::{PAGE_BITS, PAGE_BYTES, Pa};

use crate::native::Uses;

const PAGE: u64 = !(PAGE_BYTES - 1);
/// Sets of pages: 128 Ki pages, the 512 MiB that a native cache holds the entries of.
const SETS: usize = 1 << 15;
const WAYS: usize = 4;

/// Where a tag holds the context number; below it is what the page may be used for.
const NUMBER_SHIFT: u32 = 3;
const USES: u64 = (1 << NUMBER_SHIFT) - 1;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The first address, the context number, and the uses; 0 marks an empty entry.
    tag: u64,
    /// The first physical address.
    pa: u64,
}

impl Entry {
    fn is(&self, tag: u64) -> bool {
        self.tag & !USES == tag
    }

    /// Adds uses, or makes it an entry for something else.
    fn put(&mut self, tag: u64, pa: u64, uses: Uses) {
        let known = if self.is(tag) && self.pa == pa { self.tag & USES } else { 0 };
        *self = Self { tag: tag | known | uses.bits(), pa };
    }
}

/// The entries that share a native cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Entry; WAYS]);

/// The second level.
#[derive(Debug)]
pub(crate) struct Second {
    /// Empty until there is a page to keep.
    pages: Vec<Set>,
    /// Who makes room next.
    victim: usize,
}

fn number_in_tag(number: u16) -> u64 {
    u64::from(number) << NUMBER_SHIFT
}

/// Keeps the same address of different contexts apart.
fn skew(number: u16) -> u64 {
    u64::from(number).wrapping_mul(0x9e5)
}

fn set_of(number: u16, va: u64) -> usize {
    let page = va >> PAGE_BITS;
    (page ^ page >> 15 ^ skew(number)) as usize % SETS
}

impl Second {
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), victim: 0 }
    }

    /// The physical address behind `va` under a context number, and what its page may be used for.
    #[inline]
    pub(crate) fn find(&self, number: NonZeroU16, va: u64) -> Option<(Pa, Uses)> {
        let set = self.pages.get(set_of(number.get(), va))?;
        let tag = va & PAGE | number_in_tag(number.get());
        let entry = set.0.iter().find(|entry| entry.is(tag))?;
        Some((Pa(entry.pa | va & !PAGE), Uses::from_bits(entry.tag)))
    }

    /// Keeps the page of `va`.
    pub(crate) fn keep_page(&mut self, number: NonZeroU16, va: u64, pa: Pa, uses: Uses) {
        if self.pages.is_empty() {
            self.pages = vec![Set::default(); SETS];
        }
        let tag = va & PAGE | number_in_tag(number.get());
        let Set(entries) = &mut self.pages[set_of(number.get(), va)];
        let same = entries.iter().position(|entry| entry.is(tag));
        let at = same.or_else(|| entries.iter().position(|entry| entry.tag == 0));
        let at = at.unwrap_or_else(|| {
            self.victim = (self.victim + 1) % WAYS;
            self.victim
        });
        entries[at].put(tag, pa.0 & PAGE, uses);
    }

    /// Drops the page of `va`.
    pub(crate) fn drop_page(&mut self, number: NonZeroU16, va: u64) {
        let tag = va & PAGE | number_in_tag(number.get());
        if let Some(Set(entries)) = self.pages.get_mut(set_of(number.get(), va))
            && let Some(entry) = entries.iter_mut().find(|entry| entry.is(tag))
        {
            *entry = Entry::default();
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.pages.fill(Set::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Uses = Uses { read: true, write: false, execute: false };
    const WRITE: Uses = Uses { read: true, write: true, execute: false };
    const EXECUTE: Uses = Uses { read: false, write: false, execute: true };
    const VA: u64 = 0xffff_ffc0_0012_3000;

    fn number(n: u16) -> NonZeroU16 {
        NonZeroU16::new(n).unwrap()
    }

    fn pa(second: &Second, n: u16, va: u64) -> Option<u64> {
        second.find(number(n), va).map(|(pa, ..)| pa.0)
    }

    #[test]
    fn a_page_serves_its_context_and_its_uses() {
        let mut second = Second::new();
        assert_eq!(pa(&second, 1, 0), None);
        second.keep_page(number(7), VA, Pa(0x8000_1000), READ);
        second.keep_page(number(7), VA, Pa(0x8000_1000), EXECUTE);
        assert_eq!(pa(&second, 7, VA + 0xabc), Some(0x8000_1abc));
        assert_eq!((pa(&second, 6, VA), pa(&second, 7, VA + 0x1000)), (None, None));
        let (_, uses) = second.find(number(7), VA).unwrap();
        assert!(uses.read && !uses.write && uses.execute);
        // Another page in its place starts over.
        second.keep_page(number(7), VA, Pa(0x8000_2000), WRITE);
        let (_, uses) = second.find(number(7), VA).unwrap();
        assert!(uses.write && !uses.execute);
        second.drop_page(number(7), VA + 0x1000);
        assert!(pa(&second, 7, VA).is_some());
        second.drop_page(number(7), VA);
        assert_eq!(pa(&second, 7, VA), None);
    }

    #[test]
    fn a_quarter_of_a_gibibyte_fits() {
        let mut second = Second::new();
        for page in 0..0x1_0000u64 {
            second.keep_page(number(5), VA + page * PAGE_BYTES, Pa(page << 12), READ);
        }
        for page in 0..0x1_0000u64 {
            assert_eq!(pa(&second, 5, VA + page * PAGE_BYTES), Some(page << 12));
        }
        second.clear();
        assert_eq!(pa(&second, 5, VA), None);
    }
}
