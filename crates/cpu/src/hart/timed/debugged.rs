//! [`Hart::run`] with a cycle model and a debugger: to the cycles of a run that nobody halts.
//!
//! Where the hart halts, the model stands still with it, be it in the middle of a run. It goes on with whatever the debugger made of
//! the hart: a changed `pc` is where the next instruction issues, and nothing in the model remembers registers or memory.

use super::{Caught, Timed};
use crate::hart::{Exit, Halt, Hart};
use crate::platform::Platform;

impl Hart {
    /// [`Hart::run_timed`] with requests, or with an exception that was caught while there were some.
    #[cold]
    pub(super) fn debugged_timed(
        &mut self,
        timed: &mut Timed,
        port: &mut dyn Platform,
        end: u64,
    ) -> Exit {
        let exit = loop {
            if let Some(exit) = self.go_on_timed(timed, port, end) {
                break exit;
            }
            if let Some(hit) = self.core.take_watch_hit() {
                self.halt(Halt::Watched(hit));
            }
            if self.is_halted() {
                break Exit::Halted;
            }
        };
        timed.halted = (exit == Exit::Halted).then_some(self.core.cycle);
        exit
    }

    /// A round of the loop of [`Hart::run_timed`], for one instruction when it steps.
    fn go_on_timed(
        &mut self,
        timed: &mut Timed,
        port: &mut dyn Platform,
        end: u64,
    ) -> Option<Exit> {
        if self.is_halted() {
            return Some(Exit::Halted);
        }
        let before = self.progress();
        if let Some(caught) = timed.caught.take() {
            let exit = self.take_caught(timed, caught);
            self.count_step(before);
            return exit;
        }
        if self.core.ram.page_events() != self.pages_seen.count()
            && self.follow_page_events(|page| timed.forget_code(page))
        {
            return Some(Exit::Tripped);
        }
        if timed.at_end {
            while self.is_due() {
                let exit = self.attend_once(timed, port);
                self.count_step(before);
                if exit.is_some() || self.is_halted() {
                    return exit;
                }
            }
            let exit = self.begin_run(timed, end);
            if exit.is_some() {
                return exit;
            }
        } else {
            // Where a debugger held this hart alone, time has passed it by.
            timed.model.skip_to(self.core.cycle);
        }
        let single = if self.steps() { None } else { self.run_blocks(timed, end) };
        let due = self.core.recheck || self.core.cycle >= end.min(self.deadline);
        let events = self.core.ram.page_events() != self.pages_seen.count();
        if timed.at_end && due || events {
            return None;
        }
        let before = self.progress();
        let exit = self.step_timed(timed, port, single, None);
        self.count_step(before);
        exit
    }

    /// Takes a trap that was caught. The model has been told of its instruction.
    fn take_caught(&mut self, timed: &mut Timed, caught: Caught) -> Option<Exit> {
        let Caught { trap, issued } = caught;
        let before = self.place();
        let exit = self.take(trap);
        self.tell(timed, before, issued, Some(trap.exception));
        exit
    }
}

/// For machines whose harts take turns.
impl Hart {
    /// Whether a debugger halted it in the middle of what it was told to run: with a cycle model it then runs on to where it would
    /// have come, even if that is beyond its budget.
    pub fn is_halfway(&self) -> bool {
        self.timed.as_ref().is_some_and(|timed| timed.halted.is_some())
    }

    /// Whatever a debugger halted it in is over.
    pub fn begin_turn(&mut self) {
        if let Some(timed) = &mut self.timed {
            timed.halted = None;
        }
    }
}
