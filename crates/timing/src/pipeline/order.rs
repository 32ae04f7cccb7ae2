//! Loads and stores that begin in order, out of a queue between issue and what serves them.

use super::Visitor;

/// The queue: an access goes through it where it can begin at once. One that cannot waits there, and so does one that issues right
/// behind it; no other one issues until the queue is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InOrder {
    /// The last access began.
    began: u64,
    /// None issues from the one cycle until the other.
    full: [u64; 2],
}

impl InOrder {
    /// Goes through everything that matters to what issues after `now`.
    pub(super) fn visit(&mut self, now: u64, visitor: &mut impl Visitor) {
        visitor.time(&mut self.began, now);
        for time in &mut self.full {
            visitor.time(time, now + 1);
        }
    }

    /// The first cycle, from `at` on, in which an access can issue.
    pub(super) fn issues(&self, at: u64) -> u64 {
        let [from, until] = self.full;
        if at >= from { at.max(until) } else { at }
    }

    /// The first cycle in which one that issues at `at` can begin.
    pub(super) fn begins(&self, at: u64) -> u64 {
        at.max(self.began + 1)
    }

    /// One that issued at `at` begins.
    pub(super) fn begin(&mut self, at: u64, began: u64) {
        self.began = began;
        if began > at {
            let [from, until] = self.full;
            // The queue is seen to hold it a cycle after it executes, and to be empty one after it went.
            let again = at < until;
            self.full = [if again { from.min(at + 1) } else { at + 2 }, began + 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_access_issues_behind_one_that_waits() {
        let mut order = InOrder::default();
        order.begin(10, 10);
        assert_eq!([11, 12].map(|at| order.issues(at)), [11, 12]);
        // It begins eight cycles late: `lsu_bypass` is ready while it is empty.
        order.begin(11, 19);
        assert_eq!([12, 13, 20, 21].map(|at| order.issues(at)), [12, 21, 21, 21]);
        assert_eq!(order.begins(12), 20);
        order.begin(12, 20);
        assert_eq!([13, 21, 22].map(|at| order.issues(at)), [22, 22, 22]);
    }
}
