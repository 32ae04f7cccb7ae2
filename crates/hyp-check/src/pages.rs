//! Sets of pages, as ranges: a slot has a quarter of a million pages, and a policy may mark all of them at once.

use std::collections::BTreeMap;
use std::ops::Range;

/// Pages of a slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pages {
    /// Ends by beginnings; no two touch.
    ranges: BTreeMap<u64, u64>,
}

impl Pages {
    /// Pages whose bits are set, page 0 in bit 0 of the first word.
    pub(crate) fn of_words(words: &[u64]) -> Self {
        let mut pages = Self::default();
        for (index, &word) in words.iter().enumerate() {
            let (base, mut left) = (index as u64 * 64, word);
            while left != 0 {
                let first = left.trailing_zeros();
                let count = (left >> first).trailing_ones();
                pages.insert(base + u64::from(first)..base + u64::from(first + count));
                left &= u64::MAX.checked_shl(first + count).unwrap_or(0);
            }
        }
        pages
    }

    pub(crate) fn insert(&mut self, pages: Range<u64>) {
        if pages.is_empty() {
            return;
        }
        let (mut start, mut end) = (pages.start, pages.end);
        while let Some((&before, &until)) = self.ranges.range(..=end).next_back()
            && until >= start
        {
            self.ranges.remove(&before);
            start = start.min(before);
            end = end.max(until);
        }
        self.ranges.insert(start, end);
    }

    pub(crate) fn remove(&mut self, pages: Range<u64>) {
        if pages.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.ranges.range(..pages.end).next_back()
            && end > pages.start
        {
            self.ranges.remove(&start);
            if end > pages.end {
                self.ranges.insert(pages.end, end);
            }
            if start < pages.start {
                self.ranges.insert(start, pages.start);
            }
        }
    }

    pub(crate) fn contains(&self, page: u64) -> bool {
        self.ranges.range(..=page).next_back().is_some_and(|(_, &end)| page < end)
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.ranges.first_key_value().map(|(&start, _)| start)
    }

    pub(crate) fn extend_by(&mut self, other: &Self) {
        other.ranges().for_each(|range| self.insert(range));
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Those that `other` has, too.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for Range { start, end } in self.ranges() {
            let before = other.ranges.range(..start).next_back();
            for (&from, &until) in before.into_iter().chain(other.ranges.range(start..end)) {
                both.insert(from.max(start)..until.min(end));
            }
        }
        both
    }
}

impl Extend<u64> for Pages {
    fn extend<T: IntoIterator<Item = u64>>(&mut self, pages: T) {
        pages.into_iter().for_each(|page| self.insert(page..page + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    #[test]
    fn ranges_are_the_set_of_their_pages() {
        let mut random = Random::new(1);
        let (mut pages, mut other, mut plain) =
            (Pages::default(), Pages::default(), BTreeSet::new());
        for _ in 0..2000 {
            let start = random.below(100);
            let range = start..start + random.below(20);
            match random.below(3) {
                0 => {
                    pages.insert(range.clone());
                    plain.extend(range);
                }
                1 => {
                    pages.remove(range.clone());
                    plain.retain(|page| !range.contains(page));
                }
                _ => other = if random.one_in(4) { Pages::default() } else { pages.clone() },
            }
            assert!((0..120).all(|page| pages.contains(page) == plain.contains(&page)));
            assert_eq!(pages.first(), plain.first().copied());
            let both = pages.and(&other);
            let expected = |page| pages.contains(page) && other.contains(page);
            assert!((0..120).all(|page| both.contains(page) == expected(page)));
            let apart = pages.ranges().zip(pages.ranges().skip(1));
            assert!(apart.into_iter().all(|(one, two)| one.end < two.start));
        }
    }

    #[test]
    fn words_become_pages() {
        let pages = Pages::of_words(&[1 << 63 | 6, u64::MAX, 0]);
        assert_eq!(pages.ranges().collect::<Vec<_>>(), [1..3, 63..128]);
    }
}
