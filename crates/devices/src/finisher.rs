//! The test finisher (`sifive,test0`, `sifive,test1`): one register through which a guest powers
//! the machine off or resets it. It only reports the wish; the machine ends itself.

use crate::access::admit;
use crate::{BusFault, Device, Finish, Ticks};
use serde::{Deserialize, Serialize};

/// The register and its words.
pub mod spec {
    /// The only register.
    pub const FINISHER: u64 = 0;
    /// Power off, with the code in bits 31:16.
    pub const FAIL: u64 = 0x3333;
    /// Power off.
    pub const PASS: u64 = 0x5555;
    /// Reset.
    pub const RESET: u64 = 0x7777;
}

/// The finisher.
#[derive(Default, Debug)]
pub struct Finisher {
    state: State,
}

/// What a snapshot of a finisher holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    finish: Option<Finish>,
}

impl Finisher {
    /// A finisher that nobody has written to.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Device for Finisher {
    fn read(&mut self, offset: u64, size: u8, _now: Ticks) -> Result<u64, BusFault> {
        admit(offset, size, 2..=4)?;
        Ok(0)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64, _now: Ticks) -> Result<(), BusFault> {
        admit(offset, size, 2..=4)?;
        if offset == spec::FINISHER {
            let wish = match value & 0xffff {
                spec::FAIL if size == 4 => Some(Finish::Fail { code: (value >> 16) as u16 }),
                spec::FAIL => Some(Finish::Fail { code: 0 }),
                spec::PASS => Some(Finish::Pass),
                spec::RESET => Some(Finish::Reset),
                _ => None,
            };
            // The first wish stands: what runs until the machine has stopped cannot change it.
            self.state.finish = self.state.finish.or(wish);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn take_finish(&mut self) -> Option<Finish> {
        self.state.finish.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_of(size: u8, value: u64) -> Option<Finish> {
        let mut f = Finisher::new();
        f.write(0, size, value, Ticks(0)).unwrap();
        f.take_finish()
    }

    #[test]
    fn each_word_has_its_end() {
        assert_eq!(finish_of(4, 0x5555), Some(Finish::Pass));
        assert_eq!(finish_of(4, 0x002a_3333), Some(Finish::Fail { code: 42 }));
        assert_eq!(finish_of(4, 0x7777), Some(Finish::Reset));
        assert_eq!(finish_of(2, 0x7777), Some(Finish::Reset));
        assert_eq!(finish_of(4, 0x1234), None);
    }

    #[test]
    fn the_first_wish_stands_and_is_told_once() {
        let mut f = Finisher::new();
        f.write(0, 4, 0x5555, Ticks(0)).unwrap();
        f.write(0, 4, 0x7777, Ticks(0)).unwrap();
        assert_eq!(f.take_finish(), Some(Finish::Pass));
        assert_eq!(f.take_finish(), None);
    }

    #[test]
    fn a_byte_or_double_word_access_faults() {
        assert!(Finisher::new().write(0, 8, 0x5555, Ticks(0)).is_err());
        assert!(Finisher::new().read(0, 1, Ticks(0)).is_err());
    }
}
