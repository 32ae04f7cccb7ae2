//! What lies behind the first caches and is shared by the harts: a second cache, memory, and the waiting for each other at
//! their banks.
//!
//! A request has an address and a moment. The moment is that of the hart's last jump, or the end of its last request where that is
//! later: it does not depend on how code is cut into blocks. Harts run in turn, so a hart that runs later in a turn asks for moments that another
//! hart has passed: banks therefore keep which of their *slots* are taken, not until when they are busy, and a request gets the first
//! free one from its moment on. So that it does not matter which hart comes first in a turn, one that finds a slot taken by another waits for half of
//! it, and the other one for the other half, with its next request. Coherence between first caches costs nothing here.

use crate::cache::{Cache, Geometry};
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Things of which each serves a line at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Banks {
    /// How many, a power of two; neighbouring lines lie in different ones.
    pub count: u64,
    /// Cycles for which one is busy with a line.
    pub busy: u64,
}

impl Banks {
    /// Whether they can be built.
    pub fn is_sound(&self) -> bool {
        self.count.is_power_of_two() && self.count <= 64 && (1..=4096).contains(&self.busy)
    }
}

/// A second cache, for instructions, data and page tables of all harts; stores go to it, and it writes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondCache {
    /// How it is built.
    pub cache: Geometry,
    /// Cycles to the first beat of a line that is there. Where it is not, the memory's latency is added.
    pub latency: u64,
    /// Whether a line that goes from here goes from the first caches too.
    #[serde(default)]
    pub inclusive: bool,
    /// Its banks; without them it serves any number of requests at once.
    #[serde(default)]
    pub banks: Option<Banks>,
}

/// Slots of a bank that are remembered: more than a turn of a hart takes.
const SLOTS: u64 = 1 << 13;
/// Lines that went from the second cache and are remembered for the harts that have not looked.
const GONE: usize = 1 << 12;

/// When banks are busy.
#[derive(Clone, Debug)]
struct Calendar {
    banks: Banks,
    /// For each bank, slots that are taken, each at its number modulo [`SLOTS`], plus one, and by whom.
    taken: Vec<(u64, u8)>,
}

/// Who asks: a hart's number, and what the harts still have to wait for, by number.
struct Asker<'a> {
    hart: u8,
    owed: &'a mut [u64],
}

impl Calendar {
    fn new(banks: Banks) -> Self {
        Self { banks, taken: vec![(0, 0); (banks.count * SLOTS) as usize] }
    }

    /// Takes the first free slot of a line's bank from `moment` on: says how long that has to be waited for.
    fn take(&mut self, line: u64, moment: u64, asker: &mut Asker<'_>) -> u64 {
        let busy = self.banks.busy;
        let first = moment / busy;
        let bank = (line & (self.banks.count - 1)) * SLOTS;
        let mut shared = 0;
        for slot in first..first + SLOTS {
            let taken = &mut self.taken[(bank + slot % SLOTS) as usize];
            if taken.0 != slot + 1 {
                *taken = (slot + 1, asker.hart);
                return (slot * busy).saturating_sub(moment).saturating_sub(shared);
            }
            if taken.1 != asker.hart
                && let Some(owed) = asker.owed.get_mut(usize::from(taken.1))
            {
                // Of the first slot a part has passed.
                let half = ((slot + 1) * busy - moment.max(slot * busy)) / 2;
                *owed += half;
                shared += half;
            }
        }
        SLOTS * busy
    }
}

/// What the harts share.
#[derive(Debug)]
struct Shared {
    params: Option<SecondCache>,
    line_bits: u32,
    latency: u64,
    cache: Option<Cache>,
    banks: Option<Calendar>,
    memory: Option<Calendar>,
    /// For each hart, what it still has to wait for because others did not.
    owed: Vec<u64>,
    /// Lines that went, each at its number modulo [`GONE`], and how many.
    gone: Vec<u64>,
    gone_count: u64,
}

/// What lies behind the first caches of some harts.
#[derive(Clone, Debug)]
pub struct Outer(Arc<Mutex<Shared>>);

impl Outer {
    /// Behind cores of this kind; `None` where there is but memory without banks. The parameters must be sound.
    pub(crate) fn new(
        params: Option<SecondCache>,
        memory: Option<Banks>,
        line: u64,
        latency: u64,
    ) -> Option<Self> {
        if params.is_none() && memory.is_none() {
            return None;
        }
        let line = params.map_or(line, |params| params.cache.line);
        Some(Self(Arc::new(Mutex::new(Shared {
            params,
            line_bits: line.trailing_zeros(),
            latency,
            cache: params.map(|params| Cache::new(params.cache)),
            banks: params.and_then(|params| params.banks).map(Calendar::new),
            memory: memory.map(Calendar::new),
            owed: Vec::new(),
            gone: vec![0; GONE],
            gone_count: 0,
        }))))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// A line is asked for at `moment`: how much longer that takes than the nearest of what is shared does when nobody else wants it.
    fn read(&mut self, pa: u64, moment: u64, hart: u8) -> u64 {
        let owed = self.owed.get_mut(usize::from(hart)).map_or(0, std::mem::take);
        let moment = moment + owed;
        let Some(params) = self.params else { return owed + self.take_memory(pa, moment, hart) };
        let waited = self.take_bank(pa, moment, hart);
        if self.fetch(pa, false, moment, hart) {
            return owed + waited;
        }
        let asks = moment + waited + params.latency;
        owed + waited + self.latency + self.take_memory(pa, asks, hart)
    }

    fn take_bank(&mut self, pa: u64, moment: u64, hart: u8) -> u64 {
        let (line, mut asker) = (pa >> self.line_bits, Asker { hart, owed: &mut self.owed });
        self.banks.as_mut().map_or(0, |banks| banks.take(line, moment, &mut asker))
    }

    fn take_memory(&mut self, pa: u64, moment: u64, hart: u8) -> u64 {
        let (line, mut asker) = (pa >> self.line_bits, Asker { hart, owed: &mut self.owed });
        self.memory.as_mut().map_or(0, |memory| memory.take(line, moment, &mut asker))
    }

    /// A changed line comes back at `moment`. Nobody waits for it.
    fn write(&mut self, pa: u64, moment: u64, hart: u8) {
        self.take_bank(pa, moment, hart);
        if !self.fetch(pa, true, moment, hart) {
            self.take_memory(pa, moment, hart);
        }
    }

    /// Whether the second cache has a line; it does from now on.
    fn fetch(&mut self, pa: u64, store: bool, moment: u64, hart: u8) -> bool {
        let Some(cache) = &mut self.cache else { return false };
        let lookup = cache.access(pa, store);
        if let Some(gone) = lookup.replaced {
            self.gone[(self.gone_count % GONE as u64) as usize] = gone;
            self.gone_count += 1;
            if lookup.evicted.is_some() {
                self.take_memory(gone, moment, hart);
            }
        }
        lookup.hit
    }
}

/// For what a line is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// The packet with this place in [`Outcome::fetch`].
    Fetch(u8),
    /// Data.
    Data,
}

/// A line that a first cache does not have.
#[derive(Clone, Copy, Debug)]
struct Request {
    number: u8,
    want: Want,
    /// For the walk that comes before it.
    walks: bool,
    pa: u64,
    /// The changed line that made room.
    back: Option<u64>,
}

/// A hart's way to what is shared.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    outer: Outer,
    hart: u8,
    nearest: u64,
    requests: Vec<Request>,
    /// The instruction that asks, and for what.
    pub(crate) number: u8,
    pub(crate) want: Want,
    /// Whether lines that go from the second cache go from the first ones.
    pub(crate) inclusive: bool,
    /// When the last request was served.
    served: u64,
    /// How many of the lines that went it has seen.
    seen: u64,
}

impl Port {
    pub(crate) fn new(outer: Outer) -> Self {
        let mut shared = outer.lock();
        let hart = u8::try_from(shared.owed.len()).unwrap_or(u8::MAX);
        shared.owed.push(0);
        let nearest = shared.params.map_or(shared.latency, |params| params.latency);
        let seen = shared.gone_count;
        let inclusive = shared.params.is_some_and(|params| params.inclusive);
        drop(shared);
        Self {
            outer,
            hart,
            nearest,
            requests: Vec::new(),
            number: 0,
            want: Want::Data,
            inclusive,
            served: 0,
            seen,
        }
    }

    /// A first cache does not have the line of `pa`, and a changed one made room.
    pub(crate) fn ask(&mut self, pa: u64, walks: bool, back: Option<u64>) {
        let (number, want) = (self.number, self.want);
        self.requests.push(Request { number, want, walks, pa, back });
    }

    /// Whether anything was asked for.
    #[inline]
    pub(crate) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Serves the requests, made since a jump at `base`, in the order of their instructions, and has what they take in `outcomes`.
    pub(crate) fn settle(&mut self, base: u64, outcomes: &mut [(u8, Outcome)]) {
        self.requests.sort_by_key(|request| request.number);
        let mut shared = self.outer.lock();
        for request in self.requests.drain(..) {
            let moment = base.max(self.served);
            let beyond = shared.read(request.pa, moment, self.hart);
            self.served = moment + self.nearest + beyond;
            if let Some(back) = request.back {
                shared.write(back, self.served, self.hart);
            }
            let found = outcomes.iter_mut().find(|(number, _)| *number == request.number);
            let Some((_, outcome)) = found else { continue };
            let fetched = match request.want {
                Want::Fetch(place) => outcome.fetch.get_mut(usize::from(place)),
                Want::Data => None,
            };
            let short = u16::try_from(beyond).unwrap_or(u16::MAX);
            match (fetched, request.walks) {
                (Some(fetched), true) => fetched.walk += u32::from(short),
                (Some(fetched), false) => fetched.beyond = fetched.beyond.saturating_add(short),
                (None, true) => outcome.walk += u32::from(short),
                (None, false) => outcome.beyond = outcome.beyond.saturating_add(short),
            }
        }
    }

    /// The next line that went from an inclusive second cache, of those that this hart has not seen; its address and bytes.
    pub(crate) fn next_gone(&mut self) -> Option<(u64, u64)> {
        if !self.inclusive {
            return None;
        }
        let shared = self.outer.lock();
        // What was overwritten is lost: those lines stay.
        self.seen = self.seen.max(shared.gone_count.saturating_sub(GONE as u64));
        if self.seen == shared.gone_count {
            return None;
        }
        let pa = shared.gone[(self.seen % GONE as u64) as usize];
        self.seen += 1;
        Some((pa, 1 << shared.line_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Replacement;

    const BANKS: Banks = Banks { count: 2, busy: 10 };

    fn second(inclusive: bool) -> SecondCache {
        let cache = Geometry { bytes: 256, ways: 2, line: 64, replacement: Replacement::Lru };
        SecondCache { cache, latency: 20, inclusive, banks: None }
    }

    fn read(outer: &Outer, pa: u64, moment: u64) -> u64 {
        outer.lock().read(pa, moment, 0)
    }

    #[test]
    fn a_line_that_the_second_cache_has_comes_sooner() {
        let outer = Outer::new(Some(second(false)), None, 64, 100).unwrap();
        assert_eq!(read(&outer, 0x1000, 0), 100);
        assert_eq!(read(&outer, 0x1020, 0), 0);
    }

    #[test]
    fn a_bank_serves_one_line_at_a_time_and_the_other_bank_another() {
        let outer = Outer::new(None, Some(BANKS), 64, 100).unwrap();
        // Lines 0 and 2 share a bank; 1 does not.
        assert_eq!(read(&outer, 0x00, 100), 0);
        assert_eq!(read(&outer, 0x80, 100), 10);
        assert_eq!(read(&outer, 0x40, 100), 0);
        assert_eq!(read(&outer, 0x00, 100), 20);
    }

    #[test]
    fn who_asks_for_an_earlier_moment_does_not_wait_for_a_later_one() {
        let outer = Outer::new(None, Some(BANKS), 64, 100).unwrap();
        for moment in (1000..2000).step_by(10) {
            assert_eq!(read(&outer, 0, moment), 0);
        }
        assert_eq!(read(&outer, 0, 500), 0);
        // All of these slots are taken.
        assert_eq!(read(&outer, 0, 1000), 1000);
    }

    #[test]
    fn two_harts_that_want_a_bank_at_once_wait_as_long_as_each_other() {
        let outer = Outer::new(None, Some(BANKS), 64, 100).unwrap();
        let (_first, _second) = (Port::new(outer.clone()), Port::new(outer.clone()));
        let mut shared = outer.lock();
        assert_eq!(shared.read(0, 100, 0), 0);
        // The slot from 100 to 110 is taken: half of that now, and half for the other one.
        assert_eq!(shared.read(0, 100, 1), 5);
        assert_eq!(shared.read(0, 200, 0), 5);
        assert_eq!(shared.read(0, 300, 0), 0);
    }

    #[test]
    fn a_hart_is_never_served_sooner_because_of_another() {
        let reads = |others: bool| {
            let outer = Outer::new(Some(second(true)), Some(BANKS), 64, 100).unwrap();
            let _ports = (Port::new(outer.clone()), Port::new(outer.clone()));
            let mut shared = outer.lock();
            let mut state = 1u64;
            let mut waited = 0;
            for request in 0..1000 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let moment = request * 13 + (state >> 60);
                // Lines of its own, which none of its own requests finds again.
                waited += shared.read(request << 8, moment, 0);
                if others && state >> 40 & 1 != 0 {
                    shared.read(1 << 40 | request << 7, moment, 1);
                }
            }
            waited
        };
        assert!(reads(true) > reads(false));
    }

    #[test]
    fn an_inclusive_cache_tells_which_lines_went() {
        for inclusive in [false, true] {
            let outer = Outer::new(Some(second(inclusive)), None, 64, 100).unwrap();
            let mut port = Port::new(outer.clone());
            // Two sets of two: lines 0, 2 and 4 share a set.
            for pa in [0x000, 0x080, 0x100] {
                port.ask(pa, false, None);
            }
            port.settle(0, &mut []);
            assert_eq!(port.next_gone(), inclusive.then_some((0, 64)));
            assert_eq!(port.next_gone(), None);
        }
    }

    #[test]
    fn requests_of_one_hart_come_one_after_the_other() {
        let outer = Outer::new(None, Some(BANKS), 64, 100).unwrap();
        let mut port = Port::new(outer);
        let mut outcomes = [(0, Outcome::default()), (1, Outcome::default())];
        for number in [1, 0] {
            port.number = number;
            port.ask(0, false, None);
        }
        port.settle(50, &mut outcomes);
        // The second is asked for at 150, when the first is there.
        assert_eq!((outcomes[0].1.beyond, outcomes[1].1.beyond), (0, 0));
        assert_eq!(port.served, 250);
    }
}
