//! A device's view of memory: bytes at physical addresses, and nothing beside RAM.

use isa::Pa;
use mmu::{OutOfRam, Ram, Scalar};

/// Memory as a device reaches it. Little-endian; a naturally aligned 2-, 4- or 8-byte access is
/// single-copy atomic where the implementation says so.
pub trait Dma: Send + Sync {
    /// Whether the whole range lies in RAM.
    fn contains(&self, pa: Pa, bytes: u64) -> bool;

    /// Fills `out` from memory.
    ///
    /// # Errors
    /// The range leaves RAM; `out` is then unspecified.
    fn read_bytes(&self, pa: Pa, out: &mut [u8]) -> Result<(), OutOfRam>;

    /// Copies `data` to memory.
    ///
    /// # Errors
    /// The range leaves RAM; nothing is then written.
    fn write_bytes(&self, pa: Pa, data: &[u8]) -> Result<(), OutOfRam>;

    /// Reads a half-word.
    ///
    /// # Errors
    /// As [`Dma::read_bytes`].
    fn read_u16(&self, pa: Pa) -> Result<u16, OutOfRam> {
        let mut bytes = [0; 2];
        self.read_bytes(pa, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// Writes a half-word.
    ///
    /// # Errors
    /// As [`Dma::write_bytes`].
    fn write_u16(&self, pa: Pa, value: u16) -> Result<(), OutOfRam> {
        self.write_bytes(pa, &value.to_le_bytes())
    }

    /// Reads a double-word.
    ///
    /// # Errors
    /// As [`Dma::read_bytes`].
    fn read_u64(&self, pa: Pa) -> Result<u64, OutOfRam> {
        let mut bytes = [0; 8];
        self.read_bytes(pa, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes a double-word.
    ///
    /// # Errors
    /// As [`Dma::write_bytes`].
    fn write_u64(&self, pa: Pa, value: u64) -> Result<(), OutOfRam> {
        self.write_bytes(pa, &value.to_le_bytes())
    }
}

impl Dma for Ram {
    fn contains(&self, pa: Pa, bytes: u64) -> bool {
        Self::contains(self, pa, bytes)
    }

    fn read_bytes(&self, pa: Pa, out: &mut [u8]) -> Result<(), OutOfRam> {
        Self::read_bytes(self, pa, out)
    }

    fn write_bytes(&self, pa: Pa, data: &[u8]) -> Result<(), OutOfRam> {
        Self::write_bytes(self, pa, data)
    }

    fn read_u16(&self, pa: Pa) -> Result<u16, OutOfRam> {
        self.read(pa).ok_or(beyond::<u16>(pa))
    }

    fn write_u16(&self, pa: Pa, value: u16) -> Result<(), OutOfRam> {
        self.write(pa, value).ok_or(beyond::<u16>(pa))
    }

    fn read_u64(&self, pa: Pa) -> Result<u64, OutOfRam> {
        self.read(pa).ok_or(beyond::<u64>(pa))
    }

    fn write_u64(&self, pa: Pa, value: u64) -> Result<(), OutOfRam> {
        self.write(pa, value).ok_or(beyond::<u64>(pa))
    }
}

fn beyond<T: Scalar>(pa: Pa) -> OutOfRam {
    OutOfRam { pa, len: T::BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmu::PageClass;

    #[test]
    fn a_device_sees_the_ram_that_harts_see() {
        let ram = Ram::new(Pa(0x8000_0000), 0x2000).unwrap();
        let dma: &dyn Dma = &ram;
        dma.write_u64(Pa(0x8000_0ffd), 0x0807_0605_0403_0201).unwrap(); // not aligned, two pages
        assert_eq!(ram.read::<u8>(Pa(0x8000_1004)), Some(8));
        assert_eq!(dma.read_u16(Pa(0x8000_0ffd)), Ok(0x0201));
        let end = OutOfRam { pa: Pa(0x8000_1fff), len: 2 };
        assert_eq!(dma.write_u16(end.pa, 0), Err(end));
        assert!(dma.contains(Pa(0x8000_1fff), 1) && !dma.contains(end.pa, 2));
    }

    #[test]
    fn a_write_of_a_device_to_code_is_noticed() {
        let ram = Ram::new(Pa(0x8000_0000), 0x2000).unwrap();
        for write in [
            |dma: &dyn Dma| dma.write_u16(Pa(0x8000_1000), 0),
            |dma: &dyn Dma| dma.write_u64(Pa(0x8000_1000), 0),
            |dma: &dyn Dma| dma.write_bytes(Pa(0x8000_1000), &[0]),
        ] {
            ram.watch(Pa(0x8000_1000), PageClass::Code);
            write(&ram).unwrap();
            assert!(!ram.is_watched(Pa(0x8000_1000)));
        }
    }
}
