//! The test-only output page: an 8-byte store at 0 prints its low byte, an 8-byte store at 8 ends
//! the run with its low byte as exit code. The rest of the page reads 0 and ignores writes, so
//! that a bare program needs no console driver and no symbols to say how it fared.

use crate::{BusFault, Device, Finish, Sink, Ticks};
use serde::{Deserialize, Serialize};

/// The registers.
pub mod spec {
    /// Prints a byte.
    pub const PRINT: u64 = 0;
    /// Ends the run.
    pub const EXIT: u64 = 8;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

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
