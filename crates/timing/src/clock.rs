//! The relation between cycles and the timebase: `time` counts ticks of `timebase_hz` while harts
//! spend cycles of `cpu_hz`.

use std::fmt;

/// Why a pair of frequencies is no clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockError {
    /// A frequency of zero.
    Zero,
    /// The timebase runs faster than the harts, so that a tick is less than a cycle.
    TimebaseAboveCpu {
        /// Cycles per second.
        cpu_hz: u64,
        /// Ticks per second.
        timebase_hz: u64,
    },
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("a frequency must not be zero"),
            Self::TimebaseAboveCpu { cpu_hz, timebase_hz } => {
                write!(
                    f,
                    "the timebase ({timebase_hz} Hz) must not exceed the CPU clock ({cpu_hz} Hz)"
                )
            }
        }
    }
}

impl std::error::Error for ClockError {}

/// Converts between cycles and timebase ticks, both counted from power-on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    cpu_hz: u64,
    timebase_hz: u64,
    /// Cycles in a tick where that is a whole number, else 0.
    whole: u64,
}

impl Clock {
    /// A clock of these frequencies.
    ///
    /// # Errors
    /// Zero, or a timebase faster than the harts.
    pub fn new(cpu_hz: u64, timebase_hz: u64) -> Result<Self, ClockError> {
        if cpu_hz == 0 || timebase_hz == 0 {
            return Err(ClockError::Zero);
        }
        if timebase_hz > cpu_hz {
            return Err(ClockError::TimebaseAboveCpu { cpu_hz, timebase_hz });
        }
        let whole = if cpu_hz.is_multiple_of(timebase_hz) { cpu_hz / timebase_hz } else { 0 };
        Ok(Self { cpu_hz, timebase_hz, whole })
    }

    /// Cycles per second.
    pub const fn cpu_hz(&self) -> u64 {
        self.cpu_hz
    }

    /// Ticks per second.
    pub const fn timebase_hz(&self) -> u64 {
        self.timebase_hz
    }

    /// The ticks that have passed after `cycles`.
    #[inline]
    pub fn ticks(&self, cycles: u64) -> u64 {
        cycles.checked_div(self.whole).unwrap_or_else(|| {
            (u128::from(cycles) * u128::from(self.timebase_hz) / u128::from(self.cpu_hz)) as u64
        })
    }

    /// The first cycle at which `ticks` have passed; `u64::MAX` where that is beyond counting.
    #[inline]
    pub fn cycles(&self, ticks: u64) -> u64 {
        if self.whole != 0 {
            return ticks.saturating_mul(self.whole);
        }
        let cycles =
            (u128::from(ticks) * u128::from(self.cpu_hz)).div_ceil(u128::from(self.timebase_hz));
        u64::try_from(cycles).unwrap_or(u64::MAX)
    }
}

impl Default for Clock {
    /// 1 GHz harts on a 10 MHz timebase.
    fn default() -> Self {
        Self { cpu_hz: 1_000_000_000, timebase_hz: 10_000_000, whole: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_passes_exactly_at_its_first_cycle() {
        for clock in [Clock::default(), Clock::new(1_500_000_001, 10_000_000).unwrap()] {
            for ticks in [1, 2, 999, 1 << 40] {
                let first = clock.cycles(ticks);
                assert_eq!(clock.ticks(first), ticks);
                assert_eq!(clock.ticks(first - 1), ticks - 1);
            }
        }
    }

    // norm: mtime_op
    #[test]
    fn time_passes_at_one_frequency() {
        // 100 cycles a tick; 5 cycles for every 2 ticks.
        for (clock, cycles, ticks) in
            [(Clock::default(), 100, 1), (Clock::new(5, 2).unwrap(), 5, 2)]
        {
            for start in [0, 1, 4, 99, 1 << 40, u64::MAX / 3] {
                for times in [1, 2, 3, 1000] {
                    let span = clock.ticks(start + times * cycles) - clock.ticks(start);
                    assert_eq!(span, times * ticks, "{start} {times}");
                }
            }
        }
    }

    #[test]
    fn never_is_never() {
        assert_eq!(Clock::default().cycles(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_clock_needs_cycles_shorter_than_ticks() {
        assert_eq!(Clock::new(0, 1), Err(ClockError::Zero));
        assert!(Clock::new(1, 2).is_err());
    }
}
