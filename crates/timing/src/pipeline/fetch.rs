//! Fetching as the pipeline sees it: when each packet comes.

use super::{LEAD, Pipeline};
use crate::item::Item;
use crate::outcome::{Fetched, Outcome};

/// Cycles from the issue of an instruction until it finds that none is behind it, and the front-end has begun anew.
const STARVED: u64 = 4;

impl Pipeline {
    /// Brings the packets in which the instruction lies. Whether there was one.
    pub(super) fn fetch(&mut self, item: &Item, outcome: &Outcome) -> bool {
        let least = self.issued - LEAD;
        self.fetched = self.fetched.max(least);
        let mut fetches = false;
        if let Some(cycle) = self.resume {
            self.resume = Some(cycle.max(least));
            if item.enters {
                self.fetch_packet(outcome.fetch[0]);
                fetches = true;
            }
        }
        if item.begins.is_some() {
            self.fetch_packet(outcome.fetch[1]);
            fetches = true;
        }
        fetches
    }

    fn fetch_packet(&mut self, packet: Fetched) {
        let mut at = self.resume.take().unwrap_or(self.fetched + 1);
        at = at.max(self.packets[self.next_packet] + 1);
        if packet.walk != 0 {
            let walked = self.walked(at, packet.walk);
            at = self.tried(at, walked);
        }
        if packet.miss {
            let beyond = self.latency + u64::from(packet.beyond);
            at = self.tried(at, at + self.core.fetch.miss + beyond);
        }
        self.fetched = at;
        if self.learns_hungry {
            self.hungry = self.packets.iter().filter(|&&began| began >= at).count() < 2;
        }
    }

    /// When a packet comes that was first asked for at `first` and is there at `ready`.
    fn tried(&self, first: u64, ready: u64) -> u64 {
        let retry = self.core.fetch.retry;
        if retry == 0 {
            return ready;
        }
        let anew = self.issued + STARVED;
        let begin = if (first + 2..=ready).contains(&anew) { anew } else { first };
        begin + (ready - begin).next_multiple_of(retry)
    }
}

#[cfg(test)]
mod tests {
    use crate::params::Core;
    use crate::pipeline::{Pipeline, Trap};
    use std::sync::Arc;

    /// For an instruction that issues so many cycles before the packet behind it is asked for, how long that takes to come.
    fn missed(latency: u64, before: u64) -> u64 {
        let core = Arc::new(Core::preset("rocket").expect("a preset"));
        let mut pipeline = Pipeline::new(&core, latency);
        let first = 1 << 16;
        pipeline.issued = first - before;
        pipeline.tried(first, first + latency + core.fetch.miss) - first
    }

    #[test]
    fn a_packet_that_misses_is_asked_for_every_other_cycle() {
        // Measured on the RTL at a latency of 10: 28 behind a jump that decoding found, 29 straight on; ic_64k at 60: 79.
        assert_eq!([2, 1, 9].map(|before| missed(10, before)), [28, 29, 28]);
        assert_eq!(missed(60, 1), 79);
        assert_eq!([2, 1].map(|before| missed(25, before)), [44, 43]);
    }

    #[test]
    fn an_interrupt_comes_with_the_next_instruction_and_an_exception_with_its_own() {
        // RTL: an ECALL's handler issues five cycles after it. A write of sip is fetched behind anew, five cycles on, and the interrupt that it
        // raises comes with what is fetched: a round trip of 23.2 cycles, and not 18.2.
        let core = Arc::new(Core::preset("rocket").expect("a preset"));
        let handler = |trap, refetched: Option<u64>| {
            let mut pipeline = Pipeline::new(&core, 10);
            pipeline.issued = 1 << 16;
            pipeline.resume = refetched.map(|cycles| pipeline.issued + cycles);
            let issued = pipeline.issued;
            pipeline.trap(trap);
            pipeline.resume.map(|cycle| cycle - issued)
        };
        assert_eq!(handler(Trap::Other, None), Some(5));
        assert_eq!(handler(Trap::Interrupt, Some(5)), Some(10));
        assert_eq!(handler(Trap::Interrupt, None), Some(6));
    }

    /// Of CVA6, when the handler's first instruction issues, for an instruction that issues at 0: `commits` cycles later it commits, and
    /// what follows issues at `next` if it is fetched anew.
    fn cva6_handler(trap: Trap, commits: u64, next: Option<u64>) -> Option<u64> {
        let core = Arc::new(Core::preset("cva6").expect("a preset"));
        let mut pipeline = Pipeline::new(&core, 10);
        let issued = 1 << 16;
        (pipeline.issued, pipeline.last_commit) = (issued, issued + commits);
        pipeline.resume = next.map(|cycles| issued + cycles);
        pipeline.trap(trap);
        pipeline.resume.map(|cycle| cycle - issued)
    }

    #[test]
    fn an_interrupt_comes_with_what_is_decoded_behind_what_enabled_it() {
        // RTL: nine cycles from a write of sie to the handler. Behind an SRET it takes the place of an ECALL there: seven to it, and five.
        assert_eq!(cva6_handler(Trap::Interrupt, 1, None), Some(9));
        assert_eq!(cva6_handler(Trap::Interrupt, 1, Some(7)), Some(12));
        assert_eq!(cva6_handler(Trap::Other, 0, None), Some(5));
        // Round trips of 20.7 and 19.6 cycles.
        assert_eq!(cva6_handler(Trap::Illegal, 0, None), Some(6));
    }

    #[test]
    fn the_handler_of_a_fetch_waits_for_the_walk_behind_it() {
        // RTL, a jump to an unmapped page and back: 34.5 cycles in S-mode, where a PTE is read, and 52.5 in VS-mode, where four are.
        let handler = |walk| {
            let core = Arc::new(Core::preset("cva6").expect("a preset"));
            let mut pipeline = Pipeline::new(&core, 10);
            pipeline.issued = 1 << 16;
            pipeline.trap_at_fetch(walk);
            pipeline.resume.map(|cycle| cycle - (1 << 16))
        };
        assert_eq!([0, 6, 15].map(handler), [Some(5), Some(10), Some(19)]);
    }
}
