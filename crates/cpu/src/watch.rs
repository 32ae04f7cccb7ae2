//! Watched memory: explicit accesses that a debugger wants to hear of, by virtual address.
//!
//! The native TLB does not serve watched pages ([`mmu::Mmu::watch`]), so that every access to one
//! passes through `memory`, which notes it here. Fetches and the walks of page tables are not
//! explicit accesses and are not noted, nor is what devices do.

use isa::Va;
use mmu::WatchedRange;

use crate::core::Core;

/// What an instruction did to the bytes it named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Touch {
    Load,
    Store,
    /// An AMO that wrote.
    Both,
}

/// An access to watched bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchHit {
    /// The range that was touched.
    pub range: WatchedRange,
    /// The first byte of it that was touched.
    pub va: Va,
    /// Whether it was written, or else read.
    pub stored: bool,
}

/// The ranges that are watched, and the first hit that nobody has been told of.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    ranges: Vec<WatchedRange>,
    hit: Option<WatchHit>,
}

impl Core {
    /// Watches these ranges and no others.
    pub(crate) fn watch(&mut self, ranges: &[WatchedRange]) {
        self.mmu.watch(ranges);
        self.watches = Watches { ranges: ranges.to_vec(), hit: None };
    }

    /// The first hit since the last time this was asked.
    pub(crate) fn take_watch_hit(&mut self) -> Option<WatchHit> {
        self.watches.hit.take()
    }

    /// An access has been made. A hit ends what runs behind its instruction.
    #[inline]
    pub(crate) fn note_access(&mut self, va: u64, bytes: u8, touch: Touch) {
        if !self.watches.ranges.is_empty() {
            self.judge_access(Va(va), u64::from(bytes), touch);
        }
    }

    #[cold]
    fn judge_access(&mut self, va: Va, bytes: u64, touch: Touch) {
        let Watches { ranges, hit } = &mut self.watches;
        let matters = |range: &&WatchedRange| {
            range.loads && touch != Touch::Store || range.stores && touch != Touch::Load
        };
        let mut touched = ranges.iter().filter(|range| range.touches(va, bytes)).filter(matters);
        if let Some(&range) = touched.next()
            && hit.is_none()
        {
            let stored = range.stores && touch != Touch::Load;
            *hit = Some(WatchHit { range, va: va.max(range.start), stored });
            // With a cycle model the hart looks behind each instruction; asked to attend, it could see other things earlier.
            self.recheck |= self.counters.model.is_none();
        }
    }
}
