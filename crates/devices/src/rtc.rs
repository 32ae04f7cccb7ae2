//! The Goldfish real-time clock (`google,goldfish-rtc`): nanoseconds since 1970 as a 64-bit count
//! in two halves, and one alarm. Its time is where it was set plus virtual time; it never asks
//! the native clock.

use crate::access::admit;
use crate::time::{elapsed_ns, first_tick_after};
use crate::{BusFault, Device, Ticks};
use serde::{Deserialize, Serialize};

/// The registers, 32 bits each.
pub mod spec {
    /// Reads the low half of the time and latches the high half; writing sets it.
    pub const TIME_LOW: u64 = 0x00;
    /// The latched high half; writing sets it.
    pub const TIME_HIGH: u64 = 0x04;
    /// Writing the low half of the alarm arms it.
    pub const ALARM_LOW: u64 = 0x08;
    /// The high half of the alarm, written first.
    pub const ALARM_HIGH: u64 = 0x0c;
    /// Bit 0 lets an alarm reach the interrupt line.
    pub const IRQ_ENABLED: u64 = 0x10;
    /// Any write disarms the alarm.
    pub const CLEAR_ALARM: u64 = 0x14;
    /// 1 while an alarm is armed.
    pub const ALARM_STATUS: u64 = 0x18;
    /// Any write lowers the interrupt.
    pub const CLEAR_INTERRUPT: u64 = 0x1c;
}

/// The clock.
#[derive(Debug)]
pub struct Rtc {
    timebase_hz: u64,
    power_on_ns: u64,
    state: State,
}

/// What a snapshot of a clock holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The time that tick 0 stands for.
    start_ns: u64,
    latched_high: u32,
    alarm_ns: u64,
    alarm_armed: bool,
    /// When the armed alarm rings; `None` where that lies beyond all time.
    alarm_at: Option<Ticks>,
    irq_enabled: bool,
    irq_pending: bool,
}

impl State {
    fn new(start_ns: u64) -> Self {
        Self {
            start_ns,
            latched_high: 0,
            alarm_ns: 0,
            alarm_armed: false,
            alarm_at: None,
            irq_enabled: false,
            irq_pending: false,
        }
    }
}

impl Rtc {
    /// A clock that shows `power_on_ns` (nanoseconds since 1970) at tick 0 of a timebase of
    /// `timebase_hz`.
    pub fn new(power_on_ns: u64, timebase_hz: u64) -> Self {
        Self { timebase_hz, power_on_ns, state: State::new(power_on_ns) }
    }

    /// What the clock shows, in nanoseconds since 1970.
    pub fn time_ns(&self, now: Ticks) -> u64 {
        self.state.start_ns.wrapping_add(elapsed_ns(now, self.timebase_hz) as u64)
    }

    fn set_time(&mut self, ns: u64, now: Ticks) {
        let elapsed = elapsed_ns(now, self.timebase_hz) as u64;
        self.state.start_ns = ns.wrapping_sub(elapsed);
        self.aim(now);
    }

    /// Works out when the armed alarm rings, after the alarm or the time was set.
    fn aim(&mut self, now: Ticks) {
        let remaining_ns = self.state.alarm_ns.saturating_sub(self.time_ns(now));
        let at_ns = elapsed_ns(now, self.timebase_hz).saturating_add(remaining_ns.into());
        self.state.alarm_at =
            if remaining_ns == 0 { Some(now) } else { first_tick_after(at_ns, self.timebase_hz) };
        self.tick(now);
    }
}

impl Device for Rtc {
    fn read(&mut self, offset: u64, size: u8, now: Ticks) -> Result<u64, BusFault> {
        admit(offset, size, 4..=4)?;
        self.tick(now);
        Ok(match offset {
            spec::TIME_LOW => {
                let time = self.time_ns(now);
                self.state.latched_high = (time >> 32) as u32;
                time & 0xffff_ffff
            }
            spec::TIME_HIGH => self.state.latched_high.into(),
            spec::ALARM_LOW => self.state.alarm_ns & 0xffff_ffff,
            spec::ALARM_HIGH => self.state.alarm_ns >> 32,
            spec::IRQ_ENABLED => self.state.irq_enabled.into(),
            spec::ALARM_STATUS => self.state.alarm_armed.into(),
            _ => 0,
        })
    }

    fn write(&mut self, offset: u64, size: u8, value: u64, now: Ticks) -> Result<(), BusFault> {
        admit(offset, size, 4..=4)?;
        self.tick(now);
        let value = value & 0xffff_ffff;
        let time = self.time_ns(now);
        match offset {
            spec::TIME_LOW => self.set_time((time & !0xffff_ffff) | value, now),
            spec::TIME_HIGH => self.set_time((time & 0xffff_ffff) | (value << 32), now),
            spec::ALARM_LOW => {
                self.state.alarm_ns = (self.state.alarm_ns & !0xffff_ffff) | value;
                self.state.alarm_armed = true;
                self.aim(now);
            }
            spec::ALARM_HIGH => {
                self.state.alarm_ns = (self.state.alarm_ns & 0xffff_ffff) | (value << 32);
            }
            spec::IRQ_ENABLED => self.state.irq_enabled = value & 1 != 0,
            spec::CLEAR_ALARM => self.state.alarm_armed = false,
            spec::CLEAR_INTERRUPT => self.state.irq_pending = false,
            _ => {}
        }
        Ok(())
    }

    fn irq(&self) -> bool {
        self.state.irq_pending && self.state.irq_enabled
    }

    fn deadline(&self) -> Option<Ticks> {
        self.state.alarm_at.filter(|_| self.state.alarm_armed)
    }

    fn tick(&mut self, now: Ticks) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.state.alarm_armed = false;
            self.state.irq_pending = true;
        }
    }

    fn reset(&mut self) {
        // A battery keeps the time that was set; a machine that repeats keeps the time it began
        // with, so that the second boot of a run does not depend on what the first one wrote.
        self.state = State::new(self.power_on_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 10_000_000;

    fn read(rtc: &mut Rtc, offset: u64, now: u64) -> u64 {
        rtc.read(offset, 4, Ticks(now)).unwrap()
    }

    fn write(rtc: &mut Rtc, offset: u64, value: u64, now: u64) {
        rtc.write(offset, 4, value, Ticks(now)).unwrap();
    }

    #[test]
    fn reading_the_low_half_latches_the_high_half() {
        let mut rtc = Rtc::new(0x1_ffff_ff9c, HZ); // 100 ns before the low half wraps
        assert_eq!(read(&mut rtc, spec::TIME_LOW, 0), 0xffff_ff9c);
        assert_eq!(read(&mut rtc, spec::TIME_HIGH, 1), 1);
        assert_eq!(read(&mut rtc, spec::TIME_LOW, 1), 0);
        assert_eq!(read(&mut rtc, spec::TIME_HIGH, 1), 2);
    }

    #[test]
    fn a_set_clock_goes_on_from_there() {
        let mut rtc = Rtc::new(0, HZ);
        write(&mut rtc, spec::TIME_HIGH, 5, 10);
        write(&mut rtc, spec::TIME_LOW, 7, 10);
        assert_eq!(rtc.time_ns(Ticks(10)), (5 << 32) + 7);
        assert_eq!(rtc.time_ns(Ticks(13)), (5 << 32) + 307);
    }

    #[test]
    fn an_alarm_rings_at_its_time_and_disarms() {
        let mut rtc = Rtc::new(1000, HZ);
        write(&mut rtc, spec::IRQ_ENABLED, 1, 0);
        write(&mut rtc, spec::ALARM_HIGH, 0, 0);
        write(&mut rtc, spec::ALARM_LOW, 1550, 0); // 5.5 ticks ahead
        assert_eq!(rtc.deadline(), Some(Ticks(6)));
        assert_eq!(read(&mut rtc, spec::ALARM_STATUS, 5), 1);
        assert!(!rtc.irq());
        rtc.tick(Ticks(6));
        assert!(rtc.irq());
        assert_eq!(read(&mut rtc, spec::ALARM_STATUS, 6), 0);
        assert_eq!(rtc.deadline(), None);
        write(&mut rtc, spec::CLEAR_INTERRUPT, 1, 7);
        assert!(!rtc.irq());
    }

    #[test]
    fn an_alarm_in_the_past_rings_at_once_but_only_an_enabled_one_is_heard() {
        let mut rtc = Rtc::new(1000, HZ);
        write(&mut rtc, spec::ALARM_LOW, 10, 0);
        assert!(!rtc.irq());
        write(&mut rtc, spec::IRQ_ENABLED, 1, 0);
        assert!(rtc.irq());
    }

    #[test]
    fn a_cleared_alarm_does_not_ring() {
        let mut rtc = Rtc::new(0, HZ);
        write(&mut rtc, spec::IRQ_ENABLED, 1, 0);
        write(&mut rtc, spec::ALARM_LOW, 100, 0);
        write(&mut rtc, spec::CLEAR_ALARM, 1, 0);
        rtc.tick(Ticks(100));
        assert!(!rtc.irq());
    }

    #[test]
    fn setting_the_time_moves_the_armed_alarm() {
        let mut rtc = Rtc::new(0, HZ);
        write(&mut rtc, spec::ALARM_LOW, 10_000, 0);
        assert_eq!(rtc.deadline(), Some(Ticks(100)));
        write(&mut rtc, spec::TIME_LOW, 9_000, 0);
        assert_eq!(rtc.deadline(), Some(Ticks(10)));
    }

    #[test]
    fn the_farthest_alarm_never_overflows() {
        let mut rtc = Rtc::new(0, HZ);
        write(&mut rtc, spec::ALARM_HIGH, 0xffff_ffff, u64::MAX);
        write(&mut rtc, spec::ALARM_LOW, 0xffff_ffff, u64::MAX);
        rtc.tick(Ticks(u64::MAX));
    }
}
