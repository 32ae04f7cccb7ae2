//! The test-only output page: an 8-byte store at 0 prints its low byte, an 8-byte store at 8 ends
//! the run with its low byte as exit code, an 8-byte store at 0x100 + 8 × hart drives that hart's guest
//! external interrupt lines, which no other device has. The page reads 0 and ignores all other
//! writes, so that a bare program needs no console driver and no symbols to say how it fared.

use crate::{BusFault, Device, Finish, Sink, Ticks};
use serde::{Deserialize, Serialize};

/// The registers.
pub mod spec {
    /// Prints a byte.
    pub const PRINT: u64 = 0;
    /// Ends the run.
    pub const EXIT: u64 = 8;
    /// The guest external interrupt lines of hart 0, as bits of `hgeip`; those of the next hart follow.
    pub const GUEST_LINES: u64 = 0x100;
    /// The harts whose lines can be driven.
    pub const HARTS: usize = 8;
}

/// The output page.
pub struct TestOutput {
    state: State,
    sink: Box<dyn Sink>,
}

/// What a snapshot of an output page holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    finish: Option<Finish>,
    guest_lines: [u64; spec::HARTS],
}

impl TestOutput {
    /// A page that prints to `sink`.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { state: State::default(), sink }
    }
}

impl Device for TestOutput {
    fn read(&mut self, _: u64, _: u8, _: Ticks) -> Result<u64, BusFault> {
        Ok(0)
    }

    fn write(&mut self, offset: u64, size: u8, value: u64, _now: Ticks) -> Result<(), BusFault> {
        let low = value as u8;
        match (offset, size) {
            (spec::PRINT, 8) => self.sink.put(&[low]),
            (spec::EXIT, 8) => {
                let wish = match low {
                    0 => Finish::Pass,
                    code => Finish::Fail { code: u16::from(code) },
                };
                self.state.finish.get_or_insert(wish);
            }
            (spec::GUEST_LINES.., 8) => {
                let hart = usize::try_from((offset - spec::GUEST_LINES) / 8).unwrap_or(usize::MAX);
                if let Some(lines) = self.state.guest_lines.get_mut(hart) {
                    *lines = value;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn take_finish(&mut self) -> Option<Finish> {
        self.state.finish.take()
    }

    fn guest_lines(&self, hart: usize) -> u64 {
        self.state.guest_lines.get(hart).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn guest_lines_are_driven_hart_by_hart() {
        let mut page = TestOutput::new(Box::new(|_: &[u8]| {}));
        page.write(0x100, 8, 6, Ticks(0)).unwrap();
        page.write(0x138, 8, 2, Ticks(0)).unwrap();
        for (offset, size) in [(0x140, 8), (0xff8, 8), (0x108, 4)] {
            page.write(offset, size, u64::MAX, Ticks(0)).unwrap();
        }
        let lines: Vec<u64> = (0..9).map(|hart| page.guest_lines(hart)).collect();
        assert_eq!(lines, [6, 0, 0, 0, 0, 0, 0, 2, 0]);
        page.reset();
        assert_eq!(page.guest_lines(0), 0);
    }

    #[test]
    fn only_double_word_stores_to_the_two_registers_act() {
        let (tx, rx) = mpsc::channel();
        let mut page = TestOutput::new(Box::new(move |b: &[u8]| tx.send(b.to_vec()).unwrap()));
        page.write(0, 8, 0x4_41, Ticks(0)).unwrap();
        page.write(0, 4, 0x42, Ticks(0)).unwrap();
        page.write(16, 8, 0x43, Ticks(0)).unwrap();
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [b"A".to_vec()]);
        assert_eq!(page.take_finish(), None);
        page.write(8, 8, 0x103, Ticks(0)).unwrap();
        assert_eq!(page.take_finish(), Some(Finish::Fail { code: 3 }));
        page.write(8, 8, 0x100, Ticks(0)).unwrap();
        assert_eq!(page.take_finish(), Some(Finish::Pass));
        assert_eq!(page.read(0, 8, Ticks(0)), Ok(0));
    }
}
