//! Slots: which guest physical addresses are memory, and where that memory is.

use isa::{Gpa, PAGE_BYTES, Pa};

use crate::dirty::Bitmap;

/// Guest memory at one range of addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The number by which it is named.
    pub id: u32,
    /// The first guest physical address.
    pub gpa: Gpa,
    /// Its size, a multiple of the page size.
    pub bytes: u64,
    /// Where its memory begins.
    pub memory: Pa,
    /// Whether the guest may write it; a store to a slot that is not writable goes to a device.
    pub writable: bool,
    /// Whether the guest may fetch from it.
    pub executable: bool,
    /// The dirty log, while logging is on.
    pub log: Option<Bitmap>,
}

impl Slot {
    /// A slot without a log.
    pub fn new(id: u32, gpa: Gpa, bytes: u64, memory: Pa) -> Self {
        Self { id, gpa, bytes, memory, writable: true, executable: true, log: None }
    }

    /// The first address after it.
    pub fn end(&self) -> Gpa {
        Gpa(self.gpa.0 + self.bytes)
    }

    /// How many pages it has.
    pub fn pages(&self) -> u64 {
        self.bytes / PAGE_BYTES
    }

    /// Whether an address is in it.
    pub fn contains(&self, gpa: Gpa) -> bool {
        gpa.0.wrapping_sub(self.gpa.0) < self.bytes
    }

    /// The number of a page of it.
    pub fn page_of(&self, gpa: Gpa) -> u64 {
        gpa.0.wrapping_sub(self.gpa.0) / PAGE_BYTES
    }

    /// The address of one of its pages.
    pub fn gpa_of(&self, page: u64) -> Gpa {
        Gpa(self.gpa.0 + page * PAGE_BYTES)
    }

    /// Where the block of `bytes` around an address lies, if all of it is in the slot and its memory is as aligned as
    /// its addresses are.
    pub fn block(&self, gpa: Gpa, bytes: u64) -> Option<Pa> {
        let start = gpa.0 & !(bytes - 1);
        let inside = start >= self.gpa.0 && start - self.gpa.0 <= self.bytes.checked_sub(bytes)?;
        let memory = Pa(self.memory.0 + start.checked_sub(self.gpa.0)?);
        (inside && memory.is_aligned(bytes)).then_some(memory)
    }
}

/// Why a slot cannot be as asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SlotError {
    /// The number is taken.
    #[error("there is a slot {0} already")]
    Taken(u32),
    /// No slot has the number.
    #[error("there is no slot {0}")]
    Unknown(u32),
    /// It shares addresses with another.
    #[error("it shares addresses with slot {0}")]
    Overlap(u32),
    /// It has no pages, or begins or ends within one, or leaves the address space.
    #[error("a slot is made of whole pages within the {0}-bit guest physical address space")]
    Shape(u32),
    /// There are as many as there can be.
    #[error("there are {0} slots already")]
    TooMany(usize),
    /// Its dirty log is off.
    #[error("slot {0} has no dirty log")]
    NotLogging(u32),
}

/// As many slots as KVM offers.
const SLOTS_MAX: usize = 32_767;

/// The slots of a VM, which share no address.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Ascending by address.
    slots: Vec<Slot>,
    gpa_bits: u32,
}

impl Slots {
    /// None, in an address space of this width.
    pub fn new(gpa_bits: u32) -> Self {
        Self { slots: Vec::new(), gpa_bits }
    }

    /// Adds a slot.
    ///
    /// # Errors
    /// All but [`SlotError::Unknown`] and [`SlotError::NotLogging`].
    pub fn add(&mut self, slot: Slot) -> Result<(), SlotError> {
        let last = |start: u64| start.checked_add(slot.bytes.checked_sub(1)?);
        let fits = last(slot.gpa.0).is_some_and(|last| last >> self.gpa_bits == 0);
        let aligned = (slot.gpa.0 | slot.bytes | slot.memory.0).is_multiple_of(PAGE_BYTES);
        if !fits || !aligned || last(slot.memory.0).is_none() {
            return Err(SlotError::Shape(self.gpa_bits));
        }
        if self.slots.len() == SLOTS_MAX {
            return Err(SlotError::TooMany(SLOTS_MAX));
        }
        if self.get(slot.id).is_some() {
            return Err(SlotError::Taken(slot.id));
        }
        let at = self.slots.partition_point(|other| other.gpa < slot.gpa);
        let neighbours = [at.checked_sub(1), Some(at)].into_iter().flatten();
        for other in neighbours.filter_map(|index| self.slots.get(index)) {
            if slot.contains(other.gpa) || other.contains(slot.gpa) {
                return Err(SlotError::Overlap(other.id));
            }
        }
        self.slots.insert(at, slot);
        Ok(())
    }

    /// Takes a slot away.
    ///
    /// # Errors
    /// [`SlotError::Unknown`].
    pub fn remove(&mut self, id: u32) -> Result<Slot, SlotError> {
        let at = self.slots.iter().position(|slot| slot.id == id).ok_or(SlotError::Unknown(id))?;
        Ok(self.slots.remove(at))
    }

    /// The slot with this number.
    pub fn get(&self, id: u32) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    /// The slot with this number, to change.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    /// The slot that holds an address.
    pub fn at(&self, gpa: Gpa) -> Option<&Slot> {
        let after = self.slots.partition_point(|slot| slot.gpa <= gpa);
        self.slots.get(after.checked_sub(1)?).filter(|slot| slot.contains(gpa))
    }

    /// All of them, ascending by address.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: u32, gpa: u64, bytes: u64) -> Slot {
        Slot::new(id, Gpa(gpa), bytes, Pa(0x8000_0000))
    }

    #[test]
    fn slots_share_no_address() {
        let mut slots = Slots::new(41);
        slots.add(slot(1, 0x10_0000, 0x2000)).unwrap();
        for (gpa, bytes) in [(0x10_1000, 0x1000), (0xf_f000, 0x2000), (0xf_0000, 0x10_0000)] {
            assert_eq!(slots.add(slot(2, gpa, bytes)), Err(SlotError::Overlap(1)));
        }
        slots.add(slot(2, 0x10_2000, 0x1000)).unwrap();
        slots.add(slot(3, 0xf_f000, 0x1000)).unwrap();
        assert_eq!(slots.at(Gpa(0x10_1fff)).map(|slot| slot.id), Some(1));
        assert_eq!(slots.at(Gpa(0xf_efff)), None);
    }

    #[test]
    fn a_slot_is_made_of_whole_pages_in_the_address_space() {
        let mut slots = Slots::new(41);
        for (gpa, bytes) in [(0, 0), (8, 4096), (0, 4097), (1 << 41, 4096), (u64::MAX - 4095, 4096)]
        {
            assert_eq!(slots.add(slot(1, gpa, bytes)), Err(SlotError::Shape(41)));
        }
        slots.add(slot(1, (1 << 41) - 4096, 4096)).unwrap();
        assert_eq!(slots.add(slot(1, 0, 4096)), Err(SlotError::Taken(1)));
        let memory = Pa(u64::MAX - 4095);
        assert_eq!(slots.add(Slot::new(2, Gpa(0), 8192, memory)), Err(SlotError::Shape(41)));
    }

    #[test]
    fn a_block_must_lie_in_the_slot_and_be_aligned_on_both_sides() {
        let slot = Slot::new(1, Gpa(0x20_0000 - 4096), 0x60_0000, Pa(0x8020_0000 - 4096));
        assert_eq!(slot.block(Gpa(0x20_1234), 2 << 20), Some(Pa(0x8020_0000)));
        assert_eq!(slot.block(Gpa(0x1f_f000), 2 << 20), None, "it begins before the slot");
        assert_eq!(slot.block(Gpa(0x60_0000), 2 << 20), None, "it ends after the slot");
        let shifted = Slot { memory: Pa(0x8000_0000), ..slot };
        assert_eq!(shifted.block(Gpa(0x20_1234), 2 << 20), None);
    }
}
