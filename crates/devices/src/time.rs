//! The moments that devices know: ticks of the machine's timebase.

use serde::{Deserialize, Serialize};

/// A moment, in ticks of the machine's timebase since power-on.
///
/// A moment is not a register: `mtime` and the clock of the RTC can be set by software, this cannot.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct Ticks(pub u64);

impl Ticks {
    /// The moment `ticks` later, or `None` where that lies beyond all time.
    pub const fn checked_add(self, ticks: u64) -> Option<Self> {
        match self.0.checked_add(ticks) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

const NS_PER_S: u128 = 1_000_000_000;

/// Nanoseconds from power-on to `now`, rounded down.
pub(crate) fn elapsed_ns(now: Ticks, timebase_hz: u64) -> u128 {
    u128::from(now.0) * NS_PER_S / u128::from(timebase_hz.max(1))
}

/// The first moment at which at least `ns` nanoseconds have passed; `None` beyond all time.
pub(crate) fn first_tick_after(ns: u128, timebase_hz: u64) -> Option<Ticks> {
    let ticks = ns.checked_mul(u128::from(timebase_hz.max(1)))?.div_ceil(NS_PER_S);
    u64::try_from(ticks).ok().map(Ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_of_10_mhz_is_100_ns() {
        assert_eq!(elapsed_ns(Ticks(3), 10_000_000), 300);
        assert_eq!(first_tick_after(300, 10_000_000), Some(Ticks(3)));
        assert_eq!(first_tick_after(301, 10_000_000), Some(Ticks(4)));
    }

    #[test]
    fn a_moment_beyond_64_bits_of_ticks_never_comes() {
        assert_eq!(first_tick_after(u128::MAX, 10_000_000), None);
        assert_eq!(first_tick_after(u128::from(u64::MAX) * 1000, 10_000_000), None);
    }
}
