//! Things on a bus: what the machine puts at physical addresses beside its RAM.
//!
//! A device knows its registers, its interrupt line, its view of memory ([`Dma`]) and nothing
//! else: no hart, no other device, no wall clock, no thread. Time arrives as [`Ticks`] with each
//! access, so that a run is a function of its inputs. Files are touched only by the block and
//! network backends. Each device is its manual's register names (`spec`), its behaviour and its
//! `State`: plain data, all of it in one struct, so that saving one cannot forget a field.
//!
//! Nothing here trusts the guest: every queue, chain, request and buffer has a limit.

mod access;
pub mod aclint;
mod dma;
mod entropy;
pub mod finisher;
pub mod htif;
pub mod plic;
pub mod rom;
pub mod rtc;
pub mod test_output;
mod time;
pub mod uart;
pub mod virtio;

pub use aclint::Aclint;
pub use dma::Dma;
pub use entropy::Entropy;
pub use finisher::Finisher;
pub use mmu::{BusFault, OutOfRam};
pub use plic::Plic;
pub use rom::Rom;
pub use rtc::Rtc;
pub use test_output::TestOutput;
pub use time::Ticks;
pub use uart::Uart;

use std::io;

/// How a guest asked the machine to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Finish {
    /// Power off; the guest is content.
    Pass,
    /// Power off with a failure code.
    Fail {
        /// The guest's code.
        code: u16,
    },
    /// Start again from power-on.
    Reset,
}

/// A thing on the bus: registers at offsets from its base, and one interrupt line.
///
/// Rare abilities are methods that return the ability, so that the trait stays small.
pub trait Device: Send {
    /// Reads `size` bytes (1, 2, 4 or 8) at `offset`.
    ///
    /// # Errors
    /// The device has nothing there, or not at that size.
    fn read(&mut self, offset: u64, size: u8, now: Ticks) -> Result<u64, BusFault>;

    /// Writes the low `size` bytes of `value` at `offset`.
    ///
    /// # Errors
    /// The device has nothing there, or not at that size.
    fn write(&mut self, offset: u64, size: u8, value: u64, now: Ticks) -> Result<(), BusFault>;

    /// The state of the interrupt line, a level.
    fn irq(&self) -> bool {
        false
    }

    /// When [`Device::tick`] wants to be called next; asked again after every access and tick.
    fn deadline(&self) -> Option<Ticks> {
        None
    }

    /// Time has passed.
    fn tick(&mut self, _now: Ticks) {}

    /// Back to the state of power-on. What stands behind the device (a file, a console) stays.
    fn reset(&mut self);

    /// The guest's request to end the machine, once.
    fn take_finish(&mut self) -> Option<Finish> {
        None
    }

    /// The guest external interrupt lines that it drives into a hart, as bits of `hgeip`.
    fn guest_lines(&self, _hart: usize) -> u64 {
        0
    }

    /// The end that takes console input, where there is one.
    fn serial(&mut self) -> Option<&mut dyn Serial> {
        None
    }

    /// The end that takes network frames, where there is one.
    fn network(&mut self) -> Option<&mut dyn Network> {
        None
    }

    /// What must be written back before the machine goes, where there is any.
    fn storage(&mut self) -> Option<&mut dyn Storage> {
        None
    }
}

/// The machine's end of a console: input goes in here, output comes out of a [`Sink`].
pub trait Serial {
    /// Offers input; returns how many bytes were taken, fewer where the buffer is full.
    fn push(&mut self, bytes: &[u8], now: Ticks) -> usize;

    /// How many bytes the next [`Serial::push`] would take.
    fn room(&mut self) -> usize;
}

/// The machine's end of a network cable.
pub trait Network {
    /// Offers a frame, without its check sequence; `false` where it was dropped.
    fn push_frame(&mut self, frame: &[u8], now: Ticks) -> bool;
}

/// Something that holds data which must not be lost.
pub trait Storage {
    /// Makes all completed writes durable.
    ///
    /// # Errors
    /// The file below reports that it could not.
    fn flush(&mut self) -> io::Result<()>;
}

/// Where a console's output goes. It cannot refuse: what to do with a closed or full outlet is
/// the business of the one who made it.
pub trait Sink: Send {
    /// Takes output, in order.
    fn put(&mut self, bytes: &[u8]);
}

impl<F: FnMut(&[u8]) + Send> Sink for F {
    fn put(&mut self, bytes: &[u8]) {
        self(bytes);
    }
}
