//! A device's view of memory: bytes at physical addresses, and nothing beside RAM.

use isa::Pa;

/// A device reached for memory where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{bytes} bytes at {pa} are not all in RAM")]
pub struct OutOfRam {
    /// The first byte of the range.
    pub pa: Pa,
    /// The length of the range, in bytes.
    pub bytes: u64,
}

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

/// A plain piece of memory for unit tests.
#[cfg(test)]
pub(crate) mod flat {
    use super::{Dma, OutOfRam, Pa};
    use std::sync::Mutex;

    pub(crate) struct Flat {
        base: u64,
        bytes: Mutex<Vec<u8>>,
        size: u64,
    }

    impl Flat {
        pub(crate) fn new(base: u64, size: u64) -> Self {
            Self { base, bytes: Mutex::new(vec![0; size as usize]), size }
        }

        fn index(&self, pa: Pa, bytes: u64) -> Result<usize, OutOfRam> {
            match pa.0.checked_sub(self.base) {
                Some(at) if at.checked_add(bytes).is_some_and(|end| end <= self.size) => {
                    Ok(at as usize)
                }
                _ => Err(OutOfRam { pa, bytes }),
            }
        }
    }

    impl Dma for Flat {
        fn contains(&self, pa: Pa, bytes: u64) -> bool {
            self.index(pa, bytes).is_ok()
        }

        fn read_bytes(&self, pa: Pa, out: &mut [u8]) -> Result<(), OutOfRam> {
            let at = self.index(pa, out.len() as u64)?;
            out.copy_from_slice(&self.bytes.lock().unwrap()[at..at + out.len()]);
            Ok(())
        }

        fn write_bytes(&self, pa: Pa, data: &[u8]) -> Result<(), OutOfRam> {
            let at = self.index(pa, data.len() as u64)?;
            self.bytes.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
            Ok(())
        }
    }
}
