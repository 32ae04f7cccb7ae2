//! How often a program does its work in a run, so that a run takes the time that was asked for on each emulator.

use anyhow::{Result, bail};

use super::emulator::Run;

/// How much less time is still enough.
const ENOUGH: f64 = 0.8;

/// How much longer the next try is than the one before, at most: a first try says little.
const GROWTH_MAX: f64 = 10.0;

/// What was planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Rounds of each run.
    pub(super) rounds: u64,
    /// The run of the least number of rounds, the same on every emulator.
    pub(super) least: Run,
}

/// Finds the rounds of a run whose work takes `seconds`. The number has been tried, not computed from a short run.
pub(super) fn plan(seconds: f64, least: u64, run: impl Fn(u64) -> Result<Run>) -> Result<Plan> {
    let first = run(least)?;
    let (mut rounds, mut taken) = (least, first.seconds);
    while taken < ENOUGH * seconds {
        let factor = (seconds / taken.max(seconds / GROWTH_MAX)).clamp(1.25, GROWTH_MAX);
        rounds = match (rounds as f64 * factor).ceil() {
            more if more < u64::MAX as f64 / GROWTH_MAX => more as u64,
            _ => bail!("its rounds take no time"),
        };
        taken = run(rounds)?.seconds;
    }
    Ok(Plan { rounds, least: first })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each round takes a microsecond, and time is known to the hundredth.
    fn program(rounds: u64) -> Result<Run> {
        let seconds = (rounds as f64 * 1e-4).floor() / 100.0;
        Ok(Run { seconds, process: seconds, instructions: rounds * 7, found: rounds })
    }

    #[test]
    fn a_run_takes_the_time_asked_for() {
        for least in [1, 10, 30_000] {
            let plan = plan(0.5, least, program).unwrap();
            assert_eq!(plan.least.found, least);
            assert!((400_000..=650_000).contains(&plan.rounds), "{plan:?}");
        }
        assert_eq!(plan(0.5, 7_000_000, program).unwrap().rounds, 7_000_000);
    }

    #[test]
    fn rounds_that_take_no_time_are_an_error() {
        let idle = |rounds| Ok(Run { seconds: 0.0, process: 0.1, instructions: 0, found: rounds });
        assert!(plan(0.5, 10, idle).is_err());
    }
}
