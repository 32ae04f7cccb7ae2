//! Virtio 1.2 devices: the MMIO transport, the split virtqueue, and the devices behind them.
//!
//! A [`Function`] is what makes a virtio device a disk or a console: its features, its
//! configuration and what it does with buffers. [`Mmio`] is the bus device around it and knows
//! everything that all of them share. Requests are served at once, within the driver's notifying
//! store, so that a run repeats. A queue whose structure makes no sense costs the driver a reset,
//! as the specification provides, and the machine nothing.

pub mod blk;
mod chain;
pub mod console;
pub mod net;
mod queue;
#[cfg(test)]
mod rig;
pub mod rng;
pub mod spec;
#[cfg(test)]
mod tests;
mod transport;

pub use blk::Block;
pub use chain::{Chain, ChainError, Segment};
pub use console::Console;
pub use net::Net;
pub use queue::{QueueError, QueueState, Ring};
pub use rng::Rng;
pub use transport::{EmptySlot, Mmio, State};

use crate::{Network, Serial, Storage, Ticks};

/// What makes a virtio device the device it is.
pub trait Function: Send {
    /// The kind of device ([`spec::id`]).
    fn id(&self) -> u32;

    /// The features of this kind that are offered; the transport adds its own.
    fn features(&self) -> u64 {
        0
    }

    /// The largest size of each queue, powers of two.
    fn queues(&self) -> &'static [u16];

    /// The configuration as the driver reads it. Beyond its end, 0 is read.
    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The driver writes to the configuration.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    /// The driver is in place and has accepted these features.
    fn activate(&mut self, _features: u64) {}

    /// Does what can be done with the buffers of a queue. At most its size of chains are taken in
    /// one call, whatever the driver does meanwhile.
    ///
    /// # Errors
    /// The queue makes no sense; the device then needs a reset.
    fn serve(&mut self, index: usize, ring: &mut Ring<'_>, now: Ticks) -> Result<(), QueueError>;

    /// Forgets the driver. What stands behind the device stays.
    fn reset(&mut self) {}

    /// As [`crate::Device::serial`].
    fn serial(&mut self) -> Option<&mut dyn Serial> {
        None
    }

    /// As [`crate::Device::network`].
    fn network(&mut self) -> Option<&mut dyn Network> {
        None
    }

    /// As [`crate::Device::storage`].
    fn storage(&mut self) -> Option<&mut dyn Storage> {
        None
    }
}
