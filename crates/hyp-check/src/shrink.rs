//! Makes a schedule that fails smaller, as long as it fails by the same property.

use crate::schedule::{Meanwhile, Schedule, Step};
use crate::{Failure, Injected, Strictness, run_with};

/// Runs at most, so that it ends soon.
const RUNS_MAX: u32 = 2000;

/// A schedule that is as short as could be found, and how it fails. `schedule` fails by `failure`.
pub fn shrink(
    schedule: &Schedule,
    failure: &Failure,
    injected: Injected,
    strictness: Strictness,
) -> (Schedule, Failure) {
    let mut search =
        Search { best: schedule.clone(), failure: failure.clone(), injected, strictness, runs: 0 };
    let mut first = schedule.clone();
    first.steps.truncate(failure.step + 1);
    search.try_one(first);
    search.drop_steps();
    search.drop_meanwhile();
    search.drop_steps();
    (search.best, search.failure)
}

struct Search {
    best: Schedule,
    failure: Failure,
    injected: Injected,
    strictness: Strictness,
    runs: u32,
}

impl Search {
    /// Takes a schedule if it fails as well.
    fn try_one(&mut self, schedule: Schedule) -> bool {
        if self.runs == RUNS_MAX {
            return false;
        }
        self.runs += 1;
        match run_with(&schedule, self.injected, self.strictness) {
            Err(failure) if failure.violation.property == self.failure.violation.property => {
                self.best = schedule;
                self.failure = failure;
                true
            }
            _ => false,
        }
    }

    /// Leaves out steps, many at once and then few.
    fn drop_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let mut smaller = self.best.clone();
                let end = (at + size).min(smaller.steps.len());
                smaller.steps.drain(at..end);
                if !self.try_one(smaller) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    /// Leaves out what other harts do in the middle of operations.
    fn drop_meanwhile(&mut self) {
        for index in 0..self.best.steps.len() {
            let mut at = 0;
            loop {
                let mut smaller = self.best.clone();
                let Some(list) = meanwhile_of(&mut smaller.steps[index]) else { break };
                if at >= list.len() {
                    break;
                }
                list.remove(at);
                if !self.try_one(smaller) {
                    at += 1;
                }
            }
        }
    }
}

fn meanwhile_of(step: &mut Step) -> Option<&mut Vec<Meanwhile>> {
    match step {
        Step::Guest(_, _, meanwhile) | Step::Hypervisor(_, _, meanwhile) => Some(meanwhile),
        _ => None,
    }
}
