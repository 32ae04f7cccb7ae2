//! Which pages of RAM somebody watches, and who needs to hear when one is written.
//!
//! Pages are watched for what they hold, in classes. Harts keep decoded blocks of *code* pages: the first write
//! ends that watch. An observer follows the stores to pages that serve as G-stage *tables*: that watch lasts until it
//! is taken back, and each write is kept for the observer. No native translation may write a watched page of
//! either class, so that every write to one comes by here. What happens to pages becomes events in one bounded
//! log for each class, which every hart reads at its own pace. This module never looks at memory itself.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use isa::{PAGE_BITS, PAGE_BYTES, Pa};

/// How many events a log holds; a reader further behind hears [`PageEvent::Missed`].
const LOG_EVENTS: usize = 1024;

/// How many writes to table pages are kept until they are fetched; of more, only that they were there.
const TABLE_WRITES: usize = 1024;

/// No address of a double-word.
const NO_WORD: u64 = u64::MAX;

/// What a page is watched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageClass {
    /// It holds decoded instructions.
    Code,
    /// It serves as a page table whose stores are followed.
    Table,
}

impl PageClass {
    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// Bits that a page has in a word of flags: one for each class.
const CLASSES: u64 = 2;
const ANY: u64 = (1 << CLASSES) - 1;
const PAGES_PER_WORD: u64 = 64 / CLASSES;

/// What happened to a page that is, or was, watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageEvent {
    /// It is watched from now on: no native translation may write it any more.
    Watched(Pa),
    /// A code page was written, and is no longer watched: what was decoded from it is void.
    Written(Pa),
    /// The reader missed events of this class: assume all of them.
    Missed(PageClass),
}

/// How far a reader has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PagesSeen([u64; CLASSES as usize]);

impl PagesSeen {
    /// How many events those are, to compare with [`crate::Ram::page_events`].
    #[inline]
    pub fn count(self) -> u64 {
        self.0[0] + self.0[1]
    }
}

/// A write to a page that is watched as a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableWrite {
    /// Its first byte in the page.
    pub pa: Pa,
    /// How many bytes of the page it wrote, at least.
    pub bytes: u64,
}

/// The events of one class.
#[derive(Debug, Default)]
struct Log {
    ring: Vec<PageEvent>,
    count: u64,
}

impl Log {
    fn append(&mut self, event: PageEvent) {
        let slot = (self.count % LOG_EVENTS as u64) as usize;
        match self.ring.get_mut(slot) {
            Some(old) => *old = event,
            None => self.ring.push(event),
        }
        self.count += 1;
    }

    fn since(&self, seen: u64, class: PageClass, f: &mut impl FnMut(PageEvent)) {
        if seen > self.count || self.count - seen > LOG_EVENTS as u64 {
            return f(PageEvent::Missed(class));
        }
        for number in seen..self.count {
            if let Some(&event) = self.ring.get((number % LOG_EVENTS as u64) as usize) {
                f(event);
            }
        }
    }
}

/// Writes to tables that nobody has fetched yet.
#[derive(Debug, Default)]
struct Writes {
    kept: Vec<TableWrite>,
    lost: bool,
}

/// The flags of all pages, and the logs.
#[derive(Debug)]
pub(crate) struct PageWatch {
    base: Pa,
    pages: u64,
    flags: Vec<AtomicU64>,
    /// The number of events so far, readable without the lock.
    count: AtomicU64,
    logs: Mutex<[Log; CLASSES as usize]>,
    /// The number of entries in `writes`, readable without the lock.
    unfetched: AtomicU64,
    writes: Mutex<Writes>,
    /// The double-word whose bytes are followed, if any; [`NO_WORD`] otherwise.
    word: AtomicU64,
    /// The bytes of it that were stored to, a bit each.
    word_bytes: AtomicU8,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PageWatch {
    pub(crate) fn new(base: Pa, bytes: u64) -> Self {
        let pages = bytes.div_ceil(PAGE_BYTES);
        let words = usize::try_from(pages.div_ceil(PAGES_PER_WORD)).unwrap_or(usize::MAX);
        Self {
            base: base.page(),
            pages,
            flags: std::iter::repeat_with(|| AtomicU64::new(0)).take(words).collect(),
            count: AtomicU64::new(0),
            logs: Mutex::default(),
            unfetched: AtomicU64::new(0),
            writes: Mutex::default(),
            word: AtomicU64::new(NO_WORD),
            word_bytes: AtomicU8::new(0),
        }
    }

    /// The flags of the page that holds `pa`: their word and where they stand in it.
    #[inline]
    fn flags(&self, pa: Pa) -> Option<(&AtomicU64, u64)> {
        let page = pa.0.wrapping_sub(self.base.0) >> PAGE_BITS;
        if page >= self.pages {
            return None;
        }
        let word = self.flags.get((page / PAGES_PER_WORD) as usize)?;
        Some((word, page % PAGES_PER_WORD * CLASSES))
    }

    pub(crate) fn watch(&self, pa: Pa, class: PageClass) {
        if let Some((word, shift)) = self.flags(pa)
            && word.fetch_or(class.bit() << shift, Ordering::Relaxed) >> shift & class.bit() == 0
        {
            self.append(class, PageEvent::Watched(pa.page()));
        }
    }

    /// Takes the watch of a page in a class back, without an event; says whether there was one.
    pub(crate) fn unwatch(&self, pa: Pa, class: PageClass) -> bool {
        self.flags(pa).is_some_and(|(word, shift)| {
            word.fetch_and(!(class.bit() << shift), Ordering::Relaxed) >> shift & class.bit() != 0
        })
    }

    #[inline]
    fn classes(&self, pa: Pa) -> u64 {
        self.flags(pa).map_or(0, |(word, shift)| word.load(Ordering::Relaxed) >> shift & ANY)
    }

    #[inline]
    pub(crate) fn is_watched(&self, pa: Pa) -> bool {
        self.classes(pa) != 0
    }

    /// Whether a page of the `bytes` from `pa` on, of which there is one at least, is watched for anything.
    pub(crate) fn any_is_watched(&self, pa: Pa, bytes: u64) -> bool {
        let page = |pa: u64| pa.saturating_sub(self.base.0) >> PAGE_BITS;
        let last = page(pa.0.saturating_add(bytes - 1)).min(self.pages.saturating_sub(1));
        let mut at = page(pa.0);
        let mut any = 0;
        while at <= last {
            let (skip, pages) = (at % PAGES_PER_WORD, PAGES_PER_WORD.min(last - at + 1));
            let pages = pages.min(PAGES_PER_WORD - skip);
            let mask = u64::MAX >> (u64::BITS as u64 - pages * CLASSES) << (skip * CLASSES);
            let word = self.flags.get((at / PAGES_PER_WORD) as usize);
            any |= word.map_or(0, |word| word.load(Ordering::Relaxed)) & mask;
            at += pages;
        }
        any != 0
    }

    pub(crate) fn is_watched_as(&self, pa: Pa, class: PageClass) -> bool {
        self.classes(pa) & class.bit() != 0
    }

    /// Notes a write of `len` bytes at `pa`, all of them in RAM.
    #[inline]
    pub(crate) fn note_write(&self, pa: Pa, len: u64) {
        if self.is_watched(pa) || pa.offset() + len > PAGE_BYTES {
            self.written(pa, len);
        }
    }

    #[cold]
    fn written(&self, pa: Pa, len: u64) {
        let end = pa.0.saturating_add(len);
        let word = self.word.load(Ordering::Relaxed);
        if word != NO_WORD {
            let hit = |&at: &u64| (pa.0..end).contains(&word.wrapping_add(at));
            let bytes = (0..8).filter(hit).fold(0, |bytes, at| bytes | 1 << at);
            self.word_bytes.fetch_or(bytes, Ordering::Relaxed);
        }
        let last = end.saturating_sub(1) >> PAGE_BITS;
        for number in pa.page_number()..=last {
            let page = Pa(number << PAGE_BITS);
            let classes = self.classes(page);
            if classes & PageClass::Code.bit() != 0 && self.unwatch(page, PageClass::Code) {
                self.append(PageClass::Code, PageEvent::Written(page));
            }
            if classes & PageClass::Table.bit() != 0 {
                let start = pa.0.max(page.0);
                let bytes = end.min(page.0 + PAGE_BYTES) - start;
                self.keep(TableWrite { pa: Pa(start), bytes });
            }
        }
    }

    fn keep(&self, write: TableWrite) {
        let mut writes = lock(&self.writes);
        if writes.kept.len() < TABLE_WRITES {
            writes.kept.push(write);
        } else {
            writes.lost = true;
        }
        self.unfetched.store(writes.kept.len() as u64, Ordering::Release);
    }

    /// Follows the stores to the double-word at `pa` from now on, as long as its page is watched for anything.
    pub(crate) fn follow_word(&self, pa: Pa) {
        self.word.store(pa.0, Ordering::Relaxed);
        self.word_bytes.store(0, Ordering::Relaxed);
    }

    /// Which bytes of the followed double-word were stored to since the last call, the lowest in bit 0.
    #[inline]
    pub(crate) fn take_word_bytes(&self) -> u8 {
        match self.word_bytes.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.word_bytes.swap(0, Ordering::Relaxed),
        }
    }

    /// Whether [`PageWatch::fetch_writes`] has something to say.
    #[inline]
    pub(crate) fn has_writes(&self) -> bool {
        self.unfetched.load(Ordering::Acquire) != 0
    }

    /// Moves the writes to tables since the last call out; says whether they are all of them.
    pub(crate) fn fetch_writes(&self, out: &mut Vec<TableWrite>) -> bool {
        let mut writes = lock(&self.writes);
        out.append(&mut writes.kept);
        self.unfetched.store(0, Ordering::Release);
        !std::mem::take(&mut writes.lost)
    }

    fn append(&self, class: PageClass, event: PageEvent) {
        let mut logs = lock(&self.logs);
        logs[class as usize].append(event);
        self.count.store(logs[0].count + logs[1].count, Ordering::Release);
    }

    #[inline]
    pub(crate) fn events(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// How far a reader is who has read everything.
    pub(crate) fn seen(&self) -> PagesSeen {
        PagesSeen(lock(&self.logs).each_ref().map(|log| log.count))
    }

    /// Calls `f` with each event since `seen`; returns what to pass next time.
    pub(crate) fn events_since(&self, seen: PagesSeen, mut f: impl FnMut(PageEvent)) -> PagesSeen {
        let logs = lock(&self.logs);
        for class in [PageClass::Code, PageClass::Table] {
            let at = class as usize;
            logs[at].since(seen.0[at], class, &mut f);
        }
        PagesSeen(logs.each_ref().map(|log| log.count))
    }
}

#[cfg(test)]
mod tests {
    use super::PageClass::{Code, Table};
    use super::*;

    const PAGE: Pa = Pa(0x8000_1000);

    fn watch() -> PageWatch {
        PageWatch::new(Pa(0x8000_0000), 0x10_0000)
    }

    fn events(watch: &PageWatch, seen: PagesSeen) -> Vec<PageEvent> {
        let mut heard = Vec::new();
        let now = watch.events_since(seen, |event| heard.push(event));
        assert_eq!(now.count(), watch.events());
        heard
    }

    fn writes(watch: &PageWatch) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        assert!(watch.fetch_writes(&mut all));
        all.into_iter().map(|TableWrite { pa, bytes }| (pa.0, bytes)).collect()
    }

    #[test]
    fn a_code_page_is_watched_once_and_written_once() {
        let watch = watch();
        watch.watch(Pa(0x8000_1004), Code);
        watch.watch(Pa(0x8000_1ffc), Code);
        watch.note_write(Pa(0x8000_0ffc), 8);
        watch.note_write(Pa(0x8000_1000), 8);
        let expected = [PageEvent::Watched(PAGE), PageEvent::Written(PAGE)];
        assert_eq!(events(&watch, PagesSeen::default()), expected);
        assert!(!watch.is_watched(PAGE));
    }

    #[test]
    fn a_write_elsewhere_is_no_event() {
        let watch = watch();
        watch.watch(PAGE, Code);
        watch.watch(PAGE, Table);
        watch.note_write(Pa(0x8000_2000), 0x1000);
        watch.note_write(Pa(0x8000_0000), 0x1000);
        assert_eq!(watch.events(), 2);
        assert!(!watch.has_writes());
    }

    #[test]
    fn every_write_to_a_table_is_kept_until_it_is_fetched() {
        let watch = watch();
        watch.watch(PAGE, Table);
        assert_eq!(events(&watch, PagesSeen::default()), [PageEvent::Watched(PAGE)]);
        watch.note_write(Pa(PAGE.0 + 8), 8);
        watch.note_write(Pa(PAGE.0 + 8), 4);
        assert!(watch.has_writes());
        assert_eq!(writes(&watch), [(PAGE.0 + 8, 8), (PAGE.0 + 8, 4)]);
        assert!(!watch.has_writes());
        // From one page before it to one behind it.
        watch.note_write(Pa(PAGE.0 - 0x800), 0x2000);
        assert_eq!(writes(&watch), [(PAGE.0, 0x1000)]);
        assert!(watch.unwatch(PAGE, Table));
        watch.note_write(PAGE, 8);
        assert!(!watch.has_writes() && !watch.unwatch(PAGE, Table));
    }

    #[test]
    fn the_classes_of_a_page_do_not_disturb_each_other_nor_the_next_page() {
        let watch = watch();
        for page in 0..64 {
            watch.watch(
                Pa(0x8000_0000 + page * PAGE_BYTES),
                if page % 2 == 0 { Code } else { Table },
            );
        }
        watch.watch(PAGE, Code);
        watch.note_write(PAGE, 1);
        assert!(watch.is_watched_as(PAGE, Table) && !watch.is_watched_as(PAGE, Code));
        assert_eq!(writes(&watch), [(PAGE.0, 1)]);
        watch.watch(PAGE, Code);
        watch.unwatch(PAGE, Table);
        assert!(watch.is_watched_as(PAGE, Code) && !watch.is_watched_as(PAGE, Table));
        assert!(watch.is_watched_as(Pa(0x8000_0000), Code));
        assert!(watch.is_watched_as(Pa(0x8000_2000), Code));
        assert!(!watch.is_watched_as(Pa(0x8000_2000), Table));
    }

    #[test]
    fn a_range_is_watched_where_a_page_of_it_is() {
        // RAM that begins within a word of flags and ends within another.
        let base = 0x8000_3000;
        for page in [0, 1, 31, 32, 33, 63, 64, 98] {
            let watch = PageWatch::new(Pa(base), 99 * PAGE_BYTES);
            watch.watch(Pa(base + page * PAGE_BYTES), if page % 2 == 0 { Code } else { Table });
            for first in 0..99 {
                for pages in 1..=99 - first {
                    let any =
                        watch.any_is_watched(Pa(base + first * PAGE_BYTES), pages * PAGE_BYTES);
                    assert_eq!(any, (first..first + pages).contains(&page));
                }
            }
        }
    }

    #[test]
    fn writes_that_nobody_fetches_do_not_pile_up() {
        let watch = watch();
        watch.watch(PAGE, Table);
        for _ in 0..=TABLE_WRITES {
            watch.note_write(PAGE, 8);
        }
        let mut all = Vec::new();
        assert!(!watch.fetch_writes(&mut all));
        assert_eq!(all.len(), TABLE_WRITES);
        watch.note_write(PAGE, 8);
        assert!(watch.fetch_writes(&mut all));
    }

    #[test]
    fn a_reader_that_fell_behind_in_one_class_hears_so() {
        let watch = watch();
        for _ in 0..LOG_EVENTS {
            watch.watch(PAGE, Code);
            watch.note_write(PAGE, 1);
        }
        watch.watch(PAGE, Table);
        let expected = [PageEvent::Missed(Code), PageEvent::Watched(PAGE)];
        assert_eq!(events(&watch, PagesSeen::default()), expected);
        assert_eq!(events(&watch, PagesSeen([LOG_EVENTS as u64, 1])).len(), LOG_EVENTS);
        assert_eq!(events(&watch, watch.seen()), []);
    }

    #[test]
    fn outside_ram_nothing_is_watched() {
        let watch = PageWatch::new(Pa(0x8000_0000), 0x1000);
        watch.watch(PAGE, Code);
        watch.watch(Pa(0x1000), Table);
        assert!(!watch.is_watched(PAGE) && !watch.is_watched(Pa(0x1000)));
        assert_eq!(watch.events(), 0);
    }
}
