//! One bit for each page of a slot, as `KVM_GET_DIRTY_LOG` hands it out.

/// Bits of a word.
const WORD_PAGES: u64 = 64;

/// One bit for each 4 KiB page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bitmap {
    words: Vec<u64>,
    pages: u64,
}

impl Bitmap {
    /// No page, or every page, of `pages`.
    pub fn new(pages: u64, set: bool) -> Self {
        let words = pages.div_ceil(WORD_PAGES) as usize;
        let mut bitmap = Self { words: vec![if set { u64::MAX } else { 0 }; words], pages };
        if let Some(last) = bitmap.words.last_mut()
            && !pages.is_multiple_of(WORD_PAGES)
        {
            *last &= (1 << (pages % WORD_PAGES)) - 1;
        }
        bitmap
    }

    /// How many pages it has bits for.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Sets the bits of `pages` pages from `first` that exist.
    pub fn set(&mut self, first: u64, pages: u64) {
        let end = first.saturating_add(pages).min(self.pages);
        let mut page = first;
        while page < end {
            let next = ((page | (WORD_PAGES - 1)) + 1).min(end);
            let bits = u64::MAX >> (WORD_PAGES - (next - page)) << (page % WORD_PAGES);
            self.words[(page / WORD_PAGES) as usize] |= bits;
            page = next;
        }
    }

    /// Whether a page's bit is set.
    pub fn contains(&self, page: u64) -> bool {
        let word = self.words.get((page / WORD_PAGES) as usize).copied().unwrap_or(0);
        word >> (page % WORD_PAGES) & 1 != 0
    }

    /// How many bits are set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The words, page 0 in bit 0 of the first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Clears those bits of a word that `mask` names; returns which of them were set.
    pub fn take(&mut self, word: usize, mask: u64) -> u64 {
        let Some(word) = self.words.get_mut(word) else { return 0 };
        let taken = *word & mask;
        *word &= !mask;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_beyond_the_slot_have_no_bit() {
        let mut bitmap = Bitmap::new(70, true);
        assert_eq!(bitmap.count(), 70);
        bitmap.set(69, u64::MAX);
        assert_eq!(bitmap.words(), [u64::MAX, 0x3f]);
        assert!(!bitmap.contains(70) && !bitmap.contains(u64::MAX));
    }

    #[test]
    fn a_range_sets_its_bits_and_no_others() {
        for (first, pages) in [(0, 64), (3, 1), (63, 2), (60, 100), (64, 0), (0, 200), (199, 1)] {
            let mut bitmap = Bitmap::new(200, false);
            bitmap.set(first, pages);
            let set = |page| (first..first + pages).contains(&page);
            assert!((0..200).all(|page| bitmap.contains(page) == set(page)), "{first}, {pages}");
        }
    }

    #[test]
    fn bits_are_taken_once() {
        let mut bitmap = Bitmap::new(128, false);
        bitmap.set(64, 3);
        assert_eq!(bitmap.take(1, 0b110), 0b110);
        assert_eq!(bitmap.take(1, u64::MAX), 0b001);
        assert_eq!(bitmap.take(2, u64::MAX), 0);
        assert_eq!(bitmap.count(), 0);
    }
}
