//! Which pages of RAM hold decoded instructions, and who needs to hear when one is written.
//!
//! Harts keep decoded blocks and native write translations. A page is flagged when a hart first decodes from
//! it; the first write to a flagged page clears the flag. Both become events in one bounded log that each hart
//! reads at its own pace. This module never looks at memory itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use isa::{PAGE_BITS, PAGE_BYTES, Pa};

/// How many events the log holds; a reader further behind hears [`CodeEvent::Everything`].
const LOG_EVENTS: usize = 1024;

/// What happened to a page that holds, or held, decoded instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeEvent {
    /// A hart decoded from the page for the first time: no native translation may write it any more.
    Watched(Pa),
    /// The page was written, and is no longer watched: what was decoded from it is void.
    Written(Pa),
    /// The reader missed events: assume all of them.
    Everything,
}

/// One flag per page and the log.
#[derive(Debug)]
pub(crate) struct CodeWatch {
    base: Pa,
    pages: u64,
    flags: Vec<AtomicU64>,
    /// The number of events so far, readable without the lock.
    count: AtomicU64,
    log: Mutex<Vec<CodeEvent>>,
}

impl CodeWatch {
    pub(crate) fn new(base: Pa, bytes: u64) -> Self {
        let pages = bytes.div_ceil(PAGE_BYTES);
        let words = usize::try_from(pages.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            base: base.page(),
            pages,
            flags: std::iter::repeat_with(|| AtomicU64::new(0)).take(words).collect(),
            count: AtomicU64::new(0),
            log: Mutex::new(Vec::new()),
        }
    }

    /// The flag of the page that holds `pa`: its word and its bit.
    #[inline]
    fn flag(&self, pa: Pa) -> Option<(&AtomicU64, u64)> {
        let page = pa.0.wrapping_sub(self.base.0) >> PAGE_BITS;
        if page >= self.pages {
            return None;
        }
        Some((self.flags.get((page / 64) as usize)?, 1 << (page % 64)))
    }

    pub(crate) fn watch(&self, pa: Pa) {
        if let Some((word, bit)) = self.flag(pa)
            && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
        {
            self.append(CodeEvent::Watched(pa.page()));
        }
    }

    #[inline]
    pub(crate) fn is_watched(&self, pa: Pa) -> bool {
        self.flag(pa).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Notes a write of `len` bytes at `pa`, all of them in RAM.
    #[inline]
    pub(crate) fn note_write(&self, pa: Pa, len: u64) {
        if self.is_watched(pa) || pa.offset() + len > PAGE_BYTES {
            self.unwatch(pa, len);
        }
    }

    #[cold]
    fn unwatch(&self, pa: Pa, len: u64) {
        let last = pa.0.saturating_add(len.saturating_sub(1)) >> PAGE_BITS;
        for page in pa.page_number()..=last {
            let page = Pa(page << PAGE_BITS);
            if let Some((word, bit)) = self.flag(page)
                && word.load(Ordering::Relaxed) & bit != 0
                && word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
            {
                self.append(CodeEvent::Written(page));
            }
        }
    }

    fn append(&self, event: CodeEvent) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.count.load(Ordering::Relaxed);
        let slot = (count % LOG_EVENTS as u64) as usize;
        match log.get_mut(slot) {
            Some(old) => *old = event,
            None => log.push(event),
        }
        self.count.store(count + 1, Ordering::Release);
    }

    #[inline]
    pub(crate) fn events(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Calls `f` with each event from number `seen` on; returns the number to pass next time.
    pub(crate) fn events_since(&self, seen: u64, mut f: impl FnMut(CodeEvent)) -> u64 {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.count.load(Ordering::Relaxed);
        if seen > count || count - seen > LOG_EVENTS as u64 {
            f(CodeEvent::Everything);
        } else {
            for number in seen..count {
                if let Some(&event) = log.get((number % LOG_EVENTS as u64) as usize) {
                    f(event);
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(watch: &CodeWatch, seen: u64) -> Vec<CodeEvent> {
        let mut heard = Vec::new();
        watch.events_since(seen, |event| heard.push(event));
        heard
    }

    #[test]
    fn a_page_is_watched_once_and_written_once() {
        let watch = CodeWatch::new(Pa(0x8000_0000), 0x10_000);
        watch.watch(Pa(0x8000_1004));
        watch.watch(Pa(0x8000_1ffc));
        watch.note_write(Pa(0x8000_0ffc), 8);
        watch.note_write(Pa(0x8000_1000), 8);
        let page = Pa(0x8000_1000);
        assert_eq!(events(&watch, 0), [CodeEvent::Watched(page), CodeEvent::Written(page)]);
        assert!(!watch.is_watched(page));
    }

    #[test]
    fn a_write_elsewhere_is_no_event() {
        let watch = CodeWatch::new(Pa(0x8000_0000), 0x10_000);
        watch.watch(Pa(0x8000_1000));
        watch.note_write(Pa(0x8000_2000), 0x1000);
        watch.note_write(Pa(0x8000_0000), 0x1000);
        assert_eq!(watch.events(), 1);
    }

    #[test]
    fn a_reader_that_fell_behind_hears_everything() {
        let watch = CodeWatch::new(Pa(0), 0x1000);
        for _ in 0..LOG_EVENTS {
            watch.watch(Pa(0));
            watch.note_write(Pa(0), 1);
        }
        assert_eq!(events(&watch, 0), [CodeEvent::Everything]);
        assert_eq!(events(&watch, LOG_EVENTS as u64).len(), LOG_EVENTS);
        assert_eq!(events(&watch, watch.events()), []);
    }

    #[test]
    fn outside_ram_nothing_is_watched() {
        let watch = CodeWatch::new(Pa(0x8000_0000), 0x1000);
        watch.watch(Pa(0x8000_1000));
        watch.watch(Pa(0x1000));
        assert!(!watch.is_watched(Pa(0x8000_1000)));
        assert_eq!(watch.events(), 0);
    }
}
