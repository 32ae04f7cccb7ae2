//! Physical memory attributes of what is not RAM [priv: machine, "Physical Memory Attributes"].
//!
//! RAM is main memory: readable, writable, executable, with all atomics, and page tables may lie in it
//! [Ssccptr]. Everything else is vacant, where each access is an access fault, or a region of this map. Page
//! tables never lie there, and atomic read-modify-writes fail.

use isa::Pa;

use crate::pmp::PmpAccess;

/// A range of devices, flash or ROM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PmaRegion {
    /// Its first address.
    pub start: Pa,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether loads are supported.
    pub read: bool,
    /// Whether stores are supported.
    pub write: bool,
    /// Whether instructions can be fetched.
    pub execute: bool,
}

impl PmaRegion {
    /// Device registers: loads and stores.
    pub const fn io(start: Pa, bytes: u64) -> Self {
        Self { start, bytes, read: true, write: true, execute: false }
    }

    /// Memory that is read and executed but not written.
    pub const fn rom(start: Pa, bytes: u64) -> Self {
        Self { start, bytes, read: true, write: false, execute: true }
    }

    pub(crate) const fn rights(&self) -> PmpAccess {
        PmpAccess { read: self.read, write: self.write, execute: self.execute }
    }

    fn contains(&self, pa: Pa, len: u64) -> bool {
        let offset = pa.0.wrapping_sub(self.start.0);
        offset < self.bytes && len <= self.bytes - offset
    }
}

/// The regions of a machine outside RAM.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PmaMap {
    /// Ascending and disjoint.
    regions: Vec<PmaRegion>,
}

/// Two regions of a map share an address, or one leaves the 56-bit physical address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PmaError {
    /// Two regions share an address.
    #[error("the regions at {0} and {1} overlap")]
    Overlap(Pa, Pa),
    /// A region is empty or leaves the 56-bit physical address space.
    #[error("the region at {0} is empty or leaves the physical address space")]
    Unsuitable(Pa),
}

impl PmaMap {
    /// A map of these regions, in any order.
    ///
    /// # Errors
    /// Regions overlap, are empty or do not fit into 56 bits.
    pub fn new(regions: impl IntoIterator<Item = PmaRegion>) -> Result<Self, PmaError> {
        let mut regions: Vec<PmaRegion> = regions.into_iter().collect();
        regions.sort_by_key(|region| region.start);
        for region in &regions {
            let end = region.start.checked_add(region.bytes);
            if region.bytes == 0 || end.is_none_or(|end| end.0 > 1 << 56) {
                return Err(PmaError::Unsuitable(region.start));
            }
        }
        for pair in regions.windows(2) {
            if pair[0].contains(pair[1].start, 1) {
                return Err(PmaError::Overlap(pair[0].start, pair[1].start));
            }
        }
        Ok(Self { regions })
    }

    /// The regions, by address.
    pub fn regions(&self) -> &[PmaRegion] {
        &self.regions
    }

    /// The region that holds all `len` bytes from `pa` on.
    pub fn find(&self, pa: Pa, len: u64) -> Option<&PmaRegion> {
        let after = self.regions.partition_point(|region| region.start <= pa);
        let region = self.regions.get(after.checked_sub(1)?)?;
        region.contains(pa, len).then_some(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_lies_in_one_region_or_none() {
        let rom = PmaRegion::rom(Pa(0x1000), 0x1000);
        let uart = PmaRegion::io(Pa(0x1000_0000), 0x100);
        let map = PmaMap::new([uart, rom]).unwrap();
        assert_eq!(map.find(Pa(0x1ff8), 8), Some(&rom));
        assert_eq!(map.find(Pa(0x1ffc), 8), None);
        assert_eq!(map.find(Pa(0xfff), 1), None);
        assert_eq!(map.find(Pa(0), 1), None);
        assert_eq!(map.find(Pa(0x1000_00ff), 1), Some(&uart));
        assert_eq!(map.find(Pa(0x1000_0100), 1), None);
        assert_eq!(map.find(Pa(u64::MAX), 8), None);
    }

    #[test]
    fn overlapping_regions_are_refused() {
        let a = PmaRegion::io(Pa(0x1000), 0x100);
        let b = PmaRegion::io(Pa(0x10ff), 1);
        assert_eq!(PmaMap::new([b, a]), Err(PmaError::Overlap(Pa(0x1000), Pa(0x10ff))));
        let empty = PmaRegion::io(Pa(0x1000), 0);
        assert_eq!(PmaMap::new([empty]), Err(PmaError::Unsuitable(Pa(0x1000))));
        let high = PmaRegion::io(Pa(1 << 56), 8);
        assert_eq!(PmaMap::new([high]), Err(PmaError::Unsuitable(Pa(1 << 56))));
    }
}
