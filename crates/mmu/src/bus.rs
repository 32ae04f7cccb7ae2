//! What lies beyond RAM: devices, reached by physical address.

use isa::Pa;

/// Access to memory-mapped devices. RAM is not behind it: that is reached through [`crate::Ram`].
pub trait Bus {
    /// Reads `size` bytes (1, 2, 4 or 8) at `pa`, zero-extended.
    ///
    /// # Errors
    /// Nothing is there, or it does not take an access of this size and alignment.
    fn read(&mut self, pa: Pa, size: u8) -> Result<u64, BusFault>;

    /// Writes the low `size` bytes (1, 2, 4 or 8) of `value` at `pa`.
    ///
    /// # Errors
    /// Nothing is there, or it does not take an access of this size and alignment.
    fn write(&mut self, pa: Pa, size: u8, value: u64) -> Result<(), BusFault>;
}

/// Nothing is there, or it does not take an access of this size and alignment: an access fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, thiserror::Error)]
#[error("no device takes this access")]
pub struct BusFault;
