//! How the caches of a hart ask for lines that others may have as well. A core that shares nothing never gets beyond the
//! first look here.

use super::{Hierarchy, NONE};
use crate::outcome::Outcome;
use crate::outer::{Outer, Port, Want};

impl Hierarchy {
    /// What its caches do not have comes from `outer`.
    pub(crate) fn share(&mut self, outer: Outer) {
        self.port = Some(Port::new(outer));
    }

    /// What comes next is not behind a jump.
    #[inline]
    pub(super) fn go_on(&mut self) {
        if !self.going {
            (self.base, self.going) = (self.now, true);
        }
    }

    /// Has what the caches did not have.
    #[cold]
    pub(super) fn settle(&mut self, outcomes: &mut [(u8, Outcome)]) {
        let base = if self.going { self.base } else { self.now };
        if let Some(port) = &mut self.port {
            port.settle(base, outcomes);
            self.stale = port.inclusive;
        }
    }

    /// Whether something is wanted that the caches did not have.
    #[inline]
    pub(super) fn wants(&self) -> bool {
        self.port.as_ref().is_some_and(Port::has_requests)
    }

    /// A jump, or something else behind which it does not matter how code is cut into blocks.
    #[inline]
    pub(crate) fn jumped(&mut self) {
        self.going = false;
        if self.stale {
            self.stale = false;
            self.lose_lines();
        }
    }

    /// An inclusive cache gave up lines.
    #[cold]
    fn lose_lines(&mut self) {
        while let Some((pa, bytes)) = self.port.as_mut().and_then(Port::next_gone) {
            for line in (pa..pa + bytes).step_by(1 << self.icache.line_bits()) {
                if self.icache.remove(line).is_some() {
                    self.fetch_line = NONE;
                }
            }
            for line in (pa..pa + bytes).step_by(1 << self.dcache.line_bits()) {
                if let Some(slot) = self.dcache.remove(line) {
                    self.filter.drop_line(slot);
                }
            }
        }
    }

    /// A first cache does not have a line.
    pub(super) fn ask(&mut self, pa: u64, walks: bool, back: Option<u64>) {
        if let Some(port) = &mut self.port {
            port.ask(pa, walks, back);
        }
    }

    /// From now on this is what lines are asked for.
    #[inline]
    pub(super) fn want(&mut self, number: u8, want: Want) {
        if let Some(port) = &mut self.port {
            (port.number, port.want) = (number, want);
        }
    }
}
