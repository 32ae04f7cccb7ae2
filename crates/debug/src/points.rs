//! What the client asks to halt at: breakpoints, watchpoints, caught exceptions, each with a limit.

use cpu::{Catches, Requests};
use isa::Va;
use mmu::WatchedRange;

/// Breakpoints of each kind at most.
const BREAKPOINTS_MAX: usize = 1024;
/// Watchpoints at most.
const WATCHPOINTS_MAX: usize = 64;

/// How a client names a breakpoint. The harts make no difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Software,
    Hardware,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Points {
    software: Vec<u64>,
    hardware: Vec<u64>,
    watched: Vec<WatchedRange>,
    pub(crate) catches: Catches,
}

impl Points {
    /// Adds a breakpoint, which may be there already; says whether there is room.
    pub(crate) fn add(&mut self, kind: Kind, pc: u64) -> bool {
        let points = self.of(kind);
        if points.contains(&pc) {
            return true;
        }
        let room = points.len() < BREAKPOINTS_MAX;
        if room {
            points.push(pc);
        }
        room
    }

    /// Removes a breakpoint; says whether it was there.
    pub(crate) fn remove(&mut self, kind: Kind, pc: u64) -> bool {
        let points = self.of(kind);
        let before = points.len();
        points.retain(|&point| point != pc);
        points.len() != before
    }

    fn of(&mut self, kind: Kind) -> &mut Vec<u64> {
        match kind {
            Kind::Software => &mut self.software,
            Kind::Hardware => &mut self.hardware,
        }
    }

    /// Whether there is a breakpoint of this kind.
    pub(crate) fn has(&self, kind: Kind, pc: u64) -> bool {
        match kind {
            Kind::Software => self.software.contains(&pc),
            Kind::Hardware => self.hardware.contains(&pc),
        }
    }

    /// Adds a watchpoint, which may be there already; says whether it can be had.
    pub(crate) fn watch(&mut self, range: WatchedRange) -> bool {
        let fits = range.bytes != 0 && range.start.checked_add(range.bytes - 1).is_some();
        if self.watched.contains(&range) {
            return true;
        }
        let room = fits && self.watched.len() < WATCHPOINTS_MAX;
        if room {
            self.watched.push(range);
        }
        room
    }

    /// Removes a watchpoint; says whether it was there.
    pub(crate) fn unwatch(&mut self, range: WatchedRange) -> bool {
        let before = self.watched.len();
        self.watched.retain(|known| *known != range);
        self.watched.len() != before
    }

    /// What harts are asked.
    pub(crate) fn requests(&self) -> Requests {
        Requests {
            breakpoints: self.software.iter().chain(&self.hardware).copied().collect(),
            watched: self.watched.clone(),
            catches: self.catches,
        }
    }
}

/// The bytes of a watchpoint.
pub(crate) fn range(start: u64, bytes: u64, loads: bool, stores: bool) -> WatchedRange {
    WatchedRange { start: Va(start), bytes, loads, stores }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_is_set_twice_is_gone_when_it_is_removed() {
        let mut points = Points::default();
        assert!(points.add(Kind::Software, 4) && points.add(Kind::Software, 4));
        assert!(points.add(Kind::Hardware, 4));
        assert!(points.remove(Kind::Software, 4));
        assert!(!points.remove(Kind::Software, 4));
        assert_eq!(points.requests().breakpoints, [4]);
    }

    #[test]
    fn there_are_limits() {
        let mut points = Points::default();
        assert_eq!((0..5000).filter(|&pc| points.add(Kind::Software, pc)).count(), BREAKPOINTS_MAX);
        let fit = (0..500).filter(|&at| points.watch(range(at, 1, true, true))).count();
        assert_eq!(fit, WATCHPOINTS_MAX);
        let mut points = Points::default();
        assert!(!points.watch(range(0, 0, true, true)));
        assert!(!points.watch(range(u64::MAX, 2, true, true)));
        assert!(points.watch(range(u64::MAX, 1, true, true)));
    }
}
