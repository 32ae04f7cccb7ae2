//! What virtual time follows. Below the machine there is no wall clock; here is where it enters, and
//! only when asked for.

use std::time::{Duration, Instant};
use timing::Clock;

/// What virtual time follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Follow {
    /// Cycles alone, so that runs repeat. Time in which all harts wait is skipped.
    #[default]
    Cycles,
    /// The wall clock: never ahead of it, and brought up to it where the harts are slower. For
    /// people who sit at the console.
    Wall,
}

/// Keeps virtual time and what it follows together.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    clock: Clock,
    /// The beginning of virtual time, where it follows the wall clock.
    start: Option<Instant>,
}

impl Pace {
    /// Virtual time begins now.
    pub fn new(clock: Clock, follow: Follow) -> Self {
        let start = match follow {
            Follow::Cycles => None,
            Follow::Wall => Some(Instant::now()),
        };
        Self { clock, start }
    }

    /// The cycle that harts which have come to `cycle` should be at now: never before it.
    pub fn caught_up(&self, cycle: u64) -> u64 {
        match self.start {
            None => cycle,
            Some(start) => cycle.max(self.cycle_after(start.elapsed())),
        }
    }

    /// The cycle that idle harts which would go on at `next` may go on at now: `next`, but not ahead of
    /// what time follows.
    pub fn limit(&self, next: u64) -> u64 {
        match self.start {
            None => next,
            Some(start) => next.min(self.cycle_after(start.elapsed())),
        }
    }

    /// How long to wait before idle harts may go on at `cycle`.
    pub fn wait_for(&self, cycle: u64) -> Duration {
        match self.start {
            None => Duration::ZERO,
            Some(start) => self.moment_of(cycle).saturating_sub(start.elapsed()),
        }
    }

    /// The cycle at a moment after the beginning, rounded down.
    fn cycle_after(&self, elapsed: Duration) -> u64 {
        let cycles = elapsed.as_nanos().saturating_mul(self.clock.cpu_hz().into()) / NS_PER_S;
        u64::try_from(cycles).unwrap_or(u64::MAX)
    }

    /// The moment of a cycle after the beginning, rounded up; the longest time where it lies beyond.
    fn moment_of(&self, cycle: u64) -> Duration {
        let hz = u128::from(self.clock.cpu_hz());
        let ns = (u128::from(cycle) * NS_PER_S).div_ceil(hz);
        u64::try_from(ns).map_or(Duration::MAX, Duration::from_nanos)
    }
}

const NS_PER_S: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_follows_cycles_asks_no_wall_clock() {
        let pace = Pace::new(Clock::default(), Follow::Cycles);
        assert_eq!(pace.caught_up(5), 5);
        assert_eq!(pace.wait_for(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn time_that_follows_the_wall_is_never_ahead_of_it_and_never_goes_back() {
        let pace = Pace::new(Clock::default(), Follow::Wall);
        let hour = 3600 * 1_000_000_000;
        assert_eq!(pace.caught_up(hour), hour);
        let wait = pace.wait_for(hour);
        assert!(wait <= Duration::from_secs(3600) && wait > Duration::from_secs(3000));
        std::thread::sleep(Duration::from_millis(2));
        assert!(pace.caught_up(0) >= 2_000_000);
        assert_eq!(pace.wait_for(1), Duration::ZERO);
    }

    #[test]
    fn cycles_and_moments_convert_exactly() {
        let clock = Clock::new(1_500_000_000, 10_000_000).unwrap();
        let pace = Pace::new(clock, Follow::Wall);
        assert_eq!(pace.cycle_after(Duration::from_nanos(3)), 4);
        assert_eq!(pace.moment_of(4), Duration::from_nanos(3));
        assert_eq!(pace.moment_of(3), Duration::from_nanos(2));
        assert_eq!(pace.moment_of(u64::MAX), Duration::from_nanos(u64::MAX / 3 * 2));
        assert_eq!(pace.cycle_after(Duration::MAX), u64::MAX);
    }
}
