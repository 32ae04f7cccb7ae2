//! The counters: cycles, instructions, and the programmable ones, with inhibit, mode filters and
//! overflow [priv: machine, "Hardware Performance Monitor"; Smcntrpmf; Sscofpmf].
//!
//! A counter costs nothing while it runs: it remembers the event count at which it was zero.

use isa::Mode;
use isa::field::mhpmevent::{MINH, OF, SINH, UINH, VSINH, VUINH};

use crate::core::Core;

const CYCLE: usize = 0;
const INSTRET: usize = 2;
/// How often counters of what the cycle model counts are looked at for overflow, in cycles.
const LOOK_CYCLES: u64 = 1024;
const FILTERS: u64 = MINH | SINH | UINH | VSINH | VUINH;

/// An event that `mhpmevent` can select.
pub struct EventRow {
    /// Its name, as `perf` would spell it.
    pub name: &'static str,
    /// What is counted.
    pub doc: &'static str,
    /// The general or cache event of SBI that it is, by `event_idx`; none for those that have only a raw code.
    pub sbi: Option<u32>,
    /// The number of the fixed counter that always counts it: 0 is `cycle`, 2 `instret`.
    pub fixed: Option<u8>,
    /// Whether it happens only with a cycle model.
    pub modelled: bool,
    count: fn(&Core) -> u64,
}

/// SBI's `event_idx` of a cache event [SBI: PMU, "Hardware cache events"]: type 1, cache, operation 0 (read), and whether it is
/// the misses that count.
const fn reads_of(cache: u32, misses: bool) -> u32 {
    1 << 16 | cache << 3 | misses as u32
}

const L1D: u32 = 0;
const L1I: u32 = 1;
const DTLB: u32 = 3;
const ITLB: u32 = 4;

/// The events of the programmable counters; the code in `mhpmevent` is the place in this list,
/// counted from 1. Code 0 and codes behind the list count nothing. Firmware, device trees and documents take theirs from here.
#[rustfmt::skip]
pub static EVENTS: &[EventRow] = &[
    EventRow::new("cycles",                "Cycles",                                    |c| c.cycle).general(1).fixed(0),
    EventRow::new("instructions",          "Retired instructions",                      |c| c.retired).general(2).fixed(2),
    EventRow::new("exceptions",            "Exceptions taken",                          |c| c.counters.events.exceptions),
    EventRow::new("interrupts",            "Interrupts taken",                          |c| c.counters.events.interrupts),
    EventRow::new("s-stage-ptes",          "PTEs read by S-stage walks",                |c| c.mmu.stats().pte_fetches.s_stage),
    EventRow::new("vs-stage-ptes",         "PTEs read by VS-stage walks",               |c| c.mmu.stats().pte_fetches.vs_stage),
    EventRow::new("g-stage-ptes",          "PTEs read by G-stage walks",                |c| c.mmu.stats().pte_fetches.g_stage),
    EventRow::new("fences",                "Memory-management fences",                  |c| c.mmu.stats().fences),
    EventRow::new("guest-exits",           "Traps from V=1 to V=0",                     |c| c.counters.events.exits),
    EventRow::new("guest-page-faults",     "Guest-page faults",                         |c| c.counters.events.guest_page_faults),
    EventRow::new("branches",              "Jumps and branches",                        |c| c.model().transfers).general(5).modelled(),
    EventRow::new("branch-misses",         "Those that went on elsewhere than guessed", |c| c.model().mispredicted).general(6).modelled(),
    EventRow::new("cache-references",      "Data cache: accesses, walks included",      |c| c.model().cache_accesses).general(3).modelled(),
    EventRow::new("cache-misses",          "Data cache: misses, walks included",        |c| c.model().cache_misses).general(4).modelled(),
    EventRow::new("L1-dcache-loads",       "Data cache: loads",                         |c| c.model().loads).reads(L1D, false).modelled(),
    EventRow::new("L1-dcache-load-misses", "Data cache: loads that missed",             |c| c.model().load_misses).reads(L1D, true).modelled(),
    EventRow::new("L1-icache-loads",       "Fetch packets",                             |c| c.model().fetches).reads(L1I, false).modelled(),
    EventRow::new("L1-icache-load-misses", "Fetch packets that missed",                 |c| c.model().fetch_misses).reads(L1I, true).modelled(),
    EventRow::new("dTLB-loads",            "Loads, stores and atomics translated",      |c| c.model().dtlb_accesses).reads(DTLB, false).modelled(),
    EventRow::new("dTLB-load-misses",      "Those that missed the data TLB",            |c| c.model().dtlb_misses).reads(DTLB, true).modelled(),
    EventRow::new("iTLB-loads",            "Fetch packets translated",                  |c| c.model().itlb_accesses).reads(ITLB, false).modelled(),
    EventRow::new("iTLB-load-misses",      "Those that missed the instruction TLB",     |c| c.model().itlb_misses).reads(ITLB, true).modelled(),
    EventRow::new("walks",                 "Page-table walks",                          |c| c.model().walks).modelled(),
    EventRow::new("guest-walks",           "Page-table walks at V=1",                   |c| c.model().guest_walks).modelled(),
    EventRow::new("walk-ptes",             "PTEs that walks read from the data cache",  |c| c.model().walk_reads).modelled(),
    EventRow::new("walk-cycles",           "Cycles of walks",                           |c| c.model().walk_cycles + c.model().failed_walk_cycles).modelled(),
    EventRow::new("fence-cycles",          "Cycles that fences held up what followed",  |c| c.model().held.fences + c.model().held.walks_behind_fences).modelled(),
];

impl EventRow {
    const fn new(name: &'static str, doc: &'static str, count: fn(&Core) -> u64) -> Self {
        Self { name, doc, sbi: None, fixed: None, modelled: false, count }
    }

    /// It is this general event of SBI.
    const fn general(self, code: u32) -> Self {
        Self { sbi: Some(code), ..self }
    }

    /// It is this cache event of SBI.
    const fn reads(self, cache: u32, misses: bool) -> Self {
        Self { sbi: Some(reads_of(cache, misses)), ..self }
    }

    const fn fixed(self, counter: u8) -> Self {
        Self { fixed: Some(counter), ..self }
    }

    const fn modelled(self) -> Self {
        Self { modelled: true, ..self }
    }

    /// How often it has happened on a hart.
    pub(crate) fn count(&self, core: &Core) -> u64 {
        (self.count)(core)
    }
}

/// The events of SBI that harts can count, with or without a cycle model, each with its selector in `mhpmevent`.
pub fn sbi_events(modelled: bool) -> impl Iterator<Item = (u32, u64, &'static EventRow)> {
    (1..)
        .zip(EVENTS)
        .filter(move |(_, row)| modelled || !row.modelled)
        .filter_map(|(selector, row)| Some((row.sbi?, selector, row)))
}

/// Events counted here, off the hot path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events {
    pub(crate) exceptions: u64,
    pub(crate) interrupts: u64,
    pub(crate) exits: u64,
    pub(crate) guest_page_faults: u64,
}

/// Running, its value is `count - origin`; stopped, it holds still.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    origin: u64,
    held: Option<u64>,
}

impl Counter {
    fn read(self, count: u64) -> u64 {
        self.held.unwrap_or_else(|| count.wrapping_sub(self.origin))
    }

    /// Sets the value it has once `count` events have happened.
    fn write(&mut self, value: u64, count: u64) {
        match &mut self.held {
            Some(held) => *held = value,
            None => self.origin = count.wrapping_sub(value),
        }
    }

    fn stop(&mut self, stopped: bool, count: u64) {
        match (self.held, stopped) {
            (None, true) => self.held = Some(count.wrapping_sub(self.origin)),
            (Some(value), false) => {
                self.held = None;
                self.origin = count.wrapping_sub(value);
            }
            _ => {}
        }
    }

    /// The event count at which it wraps to zero; `None` while it stands or is far from that.
    fn wraps_at(self, count: u64) -> Option<u64> {
        (self.held.is_none() && self.origin > count).then_some(self.origin)
    }
}

/// All counters of a hart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    all: [Counter; 32],
    /// Programmable counters whose next wrap sets OF, with the count at which it comes.
    armed: [Option<u64>; 32],
    any_armed: bool,
    /// Counters with a mode filter, as bits.
    filtered: u32,
    pub(crate) events: Events,
    /// What the cycle model counted, up to when somebody may look.
    pub(crate) model: Option<timing::Totals>,
    /// Counters that count what the model does, as bits.
    modelled: u32,
    /// Whether registers are being written by who is no instruction: a debugger, or firmware outside the guest.
    pub(crate) written_outside: bool,
}

impl Core {
    fn event_count(&self, index: usize) -> u64 {
        self.row(index).map_or(0, |row| row.count(self))
    }

    fn model(&self) -> timing::Totals {
        self.counters.model.unwrap_or_default()
    }

    /// What counter `index` counts.
    fn row(&self, index: usize) -> Option<&'static EventRow> {
        let event = match index {
            CYCLE => 1,
            INSTRET => 2,
            _ => self.csrs.mhpmevent[index] & 0xff,
        };
        usize::try_from(event).ok().and_then(|event| EVENTS.get(event.checked_sub(1)?))
    }

    /// The count behind the instruction that is executing: for cycles and instructions, that
    /// instruction is included, since a write takes the place of its increment. Nothing executes
    /// where registers are written from outside.
    fn count_behind(&self, index: usize) -> u64 {
        let event = self.csrs.mhpmevent[index] & 0xff;
        let counts_itself = matches!(index, CYCLE | INSTRET) || matches!(event, 1 | 2);
        let executing = counts_itself && !self.counters.written_outside;
        self.event_count(index).wrapping_add(u64::from(executing))
    }

    /// The value of counter `index`: 0 is `mcycle`, 2 `minstret`, from 3 on `mhpmcounter`.
    pub(crate) fn counter(&self, index: usize) -> u64 {
        self.counters.all[index].read(self.event_count(index))
    }

    /// Counts an instruction in `instret` that did not retire, as some cores do.
    pub(crate) fn count_unretired(&mut self) {
        if self.csrs.mcountinhibit >> INSTRET & 1 != 0 {
            return;
        }
        let value = self.counter(INSTRET).wrapping_add(1);
        let count = self.event_count(INSTRET);
        self.counters.all[INSTRET].write(value, count);
    }

    /// Writes counter `index` from a CSR instruction.
    pub(crate) fn write_counter(&mut self, index: usize, value: u64) {
        self.note_overflow(index);
        let count = self.count_behind(index);
        self.counters.all[index].write(value, count);
        self.arm(index, count);
    }

    /// Changes what counter `index` counts, and in which modes.
    pub(crate) fn set_counter_event(&mut self, index: usize, event: u64) {
        self.note_overflow(index);
        let value = self.counter(index);
        self.csrs.mhpmevent[index] = event;
        // What it counted before says nothing of when it overflows now.
        self.counters.armed[index] = None;
        let count = self.event_count(index);
        self.counters.all[index].write(value, count);
        let bit = 1 << index;
        if event & FILTERS != 0 {
            self.counters.filtered |= bit;
        } else {
            self.counters.filtered &= !bit;
        }
        if self.row(index).is_some_and(|row| row.modelled) {
            self.counters.modelled |= bit;
        } else {
            self.counters.modelled &= !bit;
        }
        self.refresh(index, count);
    }

    /// Whether a counter counts what the cycle model does.
    #[inline]
    pub(crate) fn counts_model(&self) -> bool {
        self.counters.modelled != 0
    }

    /// Stops or starts counter `index` at `count`, as inhibit and filter demand.
    fn refresh(&mut self, index: usize, count: u64) {
        self.note_overflow_at(index, count);
        let stopped = self.is_stopped(index);
        self.counters.all[index].stop(stopped, count);
        self.arm(index, count);
    }

    /// Writes `mcountinhibit`.
    pub(crate) fn write_mcountinhibit(&mut self, value: u64) {
        self.csrs.mcountinhibit = value;
        for index in (0..32).filter(|&index| index != 1) {
            let count = self.count_behind(index);
            self.refresh(index, count);
        }
    }

    /// Every counter runs, none is filtered or overflows: what the registers say after reset.
    pub(crate) fn reset_counters(&mut self) {
        self.counters.filtered = 0;
        self.counters.modelled = 0;
        for index in (0..32).filter(|&index| index != 1) {
            self.refresh(index, self.event_count(index));
        }
    }

    fn is_stopped(&self, index: usize) -> bool {
        let filter = match self.mode {
            Mode::M => MINH,
            Mode::S => SINH,
            Mode::U => UINH,
            Mode::VS => VSINH,
            Mode::VU => VUINH,
        };
        self.csrs.mcountinhibit >> index & 1 != 0 || self.csrs.mhpmevent[index] & filter != 0
    }

    /// Stops and starts counters as the mode demands. `retires`: the instruction that changes it retires, an xRET, which counts
    /// where it came from [Smcntrpmf]; a trap's does not.
    pub(crate) fn filter_counters(&mut self, retires: bool) {
        let mut left = self.counters.filtered;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            let count = if retires { self.count_behind(index) } else { self.event_count(index) };
            self.refresh(index, count);
        }
    }

    /// Notes when a programmable counter will overflow, which is at `count` now.
    fn arm(&mut self, index: usize, count: u64) {
        if self.has.sscofpmf && index >= 3 {
            self.counters.armed[index] = self.counters.all[index].wraps_at(count);
            self.counters.any_armed = self.counters.armed.iter().any(Option::is_some);
            self.interrupts_changed();
        }
    }

    /// Counters that wrapped since the last look set OF, and LCOFIP where OF was clear
    /// [Sscofpmf].
    pub(crate) fn check_overflow(&mut self) {
        if !self.counters.any_armed {
            return;
        }
        for index in 3..32 {
            self.note_overflow(index);
        }
    }

    /// As [`Core::check_overflow`], for one counter: before it is stopped or set, lest what it did until then be forgotten.
    fn note_overflow(&mut self, index: usize) {
        if self.counters.armed[index].is_some() {
            self.note_overflow_at(index, self.event_count(index));
        }
    }

    fn note_overflow_at(&mut self, index: usize, count: u64) {
        if self.counters.armed[index].is_some_and(|at| count >= at) {
            self.counters.armed[index] = None;
            if self.csrs.mhpmevent[index] & OF == 0 {
                self.csrs.mhpmevent[index] |= OF;
                self.csrs.mip |= isa::Interrupt::CounterOverflow.bit();
                self.interrupts_changed();
            }
        }
    }

    /// The cycle at which a counter of cycles or instructions overflows at the earliest, or at which to look whether one of what
    /// the cycle model counts has; `u64::MAX` for never. Others are looked at whenever a trap is.
    pub(crate) fn overflow_deadline(&self) -> u64 {
        if !self.counters.any_armed {
            return u64::MAX;
        }
        (3..32)
            .filter_map(|index| Some((index, self.counters.armed[index]?)))
            .filter_map(|(index, at)| {
                let row = self.row(index)?;
                let left = match row.fixed {
                    Some(_) => at.saturating_sub(self.event_count(index)),
                    None if row.modelled => LOOK_CYCLES,
                    None => return None,
                };
                Some(self.cycle.saturating_add(left))
            })
            .min()
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_counter_holds_and_continues() {
        let mut counter = Counter::default();
        assert_eq!(counter.read(7), 7);
        counter.write(100, 10);
        assert_eq!(counter.read(15), 105);
        counter.stop(true, 20);
        assert_eq!(counter.read(1000), 110);
        counter.write(5, 1000);
        counter.stop(false, 2000);
        assert_eq!(counter.read(2003), 8);
    }

    #[test]
    fn a_counter_written_near_its_end_wraps_soon() {
        let mut counter = Counter::default();
        counter.write(u64::MAX - 9, 100);
        assert_eq!(counter.wraps_at(100), Some(110));
        assert_eq!(counter.read(109), u64::MAX);
        assert_eq!(counter.read(110), 0);
        counter.write(5, 100);
        assert_eq!(counter.wraps_at(100), None);
    }
}
