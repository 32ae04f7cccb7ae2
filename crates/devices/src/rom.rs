//! Read-only bytes: a boot ROM. A write faults, as a store to memory that does not exist would.

use crate::access::admit;
use crate::{BusFault, Device, Ticks};

/// A read-only memory.
#[derive(Clone, Debug)]
pub struct Rom {
    bytes: Box<[u8]>,
}

impl Rom {
    /// A memory with these contents.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The contents.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Device for Rom {
    fn read(&mut self, offset: u64, size: u8, _now: Ticks) -> Result<u64, BusFault> {
        admit(offset, size, 1..=8)?;
        let start = usize::try_from(offset).map_err(|_| BusFault)?;
        let rest = self.bytes.get(start..).ok_or(BusFault)?;
        // What lies between the contents and the end of the region reads 0.
        let mut word = [0; 8];
        let n = rest.len().min(usize::from(size));
        word[..n].copy_from_slice(&rest[..n]);
        Ok(u64::from_le_bytes(word))
    }

    fn write(&mut self, _: u64, _: u8, _: u64, _: Ticks) -> Result<(), BusFault> {
        Err(BusFault)
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_little_endian_and_refuses_writes() {
        let mut rom = Rom::new([1, 2, 3, 4, 5]);
        assert_eq!(rom.read(0, 4, Ticks(0)), Ok(0x0403_0201));
        assert_eq!(rom.read(4, 4, Ticks(0)), Ok(5));
        assert_eq!(rom.read(8, 4, Ticks(0)), Err(BusFault));
        assert_eq!(rom.read(u64::MAX, 1, Ticks(0)), Err(BusFault));
        assert_eq!(rom.write(0, 4, 0, Ticks(0)), Err(BusFault));
        assert_eq!(rom.read(0, 1, Ticks(0)), Ok(1));
    }
}
