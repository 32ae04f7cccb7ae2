//! [`Hart::run_logged`] with a cycle model: instruction by instruction, to the cycles of a run that nobody logs. It never runs a block,
//! because a block does not say what each of its instructions did.

use super::Timed;
use crate::commit::{Event, Recorder};
use crate::hart::{Exit, Hart};
use crate::platform::Platform;

impl Hart {
    /// A round of the loop of [`Hart::run_timed`], for one instruction.
    pub(in crate::hart) fn logged_timed(
        &mut self,
        timed: &mut Timed,
        port: &mut dyn Platform,
        end: u64,
        recorder: &mut Recorder,
        log: &mut dyn FnMut(Event<'_>),
    ) -> Option<Exit> {
        if self.core.ram.page_events() != self.pages_seen.count()
            && self.follow_page_events(|page| timed.forget_code(page))
        {
            return Some(Exit::Tripped);
        }
        if timed.at_end {
            recorder.before(&mut self.core, None);
            let exit = self.attend_timed(timed, port, end);
            recorder.after(&mut self.core).into_iter().for_each(&mut *log);
            if exit.is_some() {
                return exit;
            }
        }
        let due = self.core.recheck || self.core.cycle >= end.min(self.deadline);
        let events = self.core.ram.page_events() != self.pages_seen.count();
        if timed.at_end && due || events {
            return None;
        }
        recorder.before(&mut self.core, None);
        let exit = self.step_timed(timed, port, None, Some(&mut *recorder));
        recorder.after(&mut self.core).into_iter().for_each(log);
        self.core.counters.model = Some(timed.model.totals());
        exit
    }
}
