//! VMIDs by generation. There are few numbers and many VMs: when the numbers are used up a new generation begins,
//! in which every VM gets a new one before it runs again.
//!
//! A number comes back only in the next generation, so the translations that harts hold under it need be removed only
//! at that moment: on every hart, while no guest runs [priv: hypervisor, "Hypervisor Guest Address Translation and
//! Protection (`hgatp`) Register"]. Zero is never given: it is what `hgatp` holds while no VM is there.

use crate::faults::{Fault, Faults};

/// The number of a VM in one generation; the default is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Vmid {
    number: u16,
    generation: u64,
}

impl Vmid {
    /// What `hgatp.VMID` is to hold.
    pub fn number(self) -> u16 {
        self.number
    }
}

/// What became of a VM that asked for its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a new generation needs fences"]
pub enum Assigned {
    /// It has the one it had.
    Kept,
    /// It has a new one, under which no hart holds anything.
    Fresh,
    /// It has the first one of a new generation. No VM may go on under its old number, and before any goes on
    /// under a new one every hart executes HFENCE.GVMA without operands. Translations of the VS-stage that it need not
    /// remove are left to the HFENCE.VVMA of each vCPU's [first stay](crate::placement::Placement::place).
    NewGeneration,
}

/// Gives VMIDs to VMs.
#[derive(Clone, Debug)]
pub struct VmidAllocator {
    bits: u32,
    next: u32,
    generation: u64,
    faults: Faults,
}

impl VmidAllocator {
    /// For harts with this VMIDLEN, at most 14. `None` if it is 0: then there is nothing to tell VMs apart by, and a
    /// fence is due at each switch.
    pub fn new(bits: u32) -> Option<Self> {
        (bits != 0).then_some(Self {
            bits: bits.min(14),
            next: 1,
            generation: 1,
            faults: Faults::NONE,
        })
    }

    /// The same with a fault.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Whether a VM may run under this number.
    pub fn is_current(&self, vmid: Vmid) -> bool {
        vmid.generation == self.generation
    }

    /// Sees that a VM that is about to run has a number of this generation.
    pub fn assign(&mut self, vmid: &mut Vmid) -> Assigned {
        if self.is_current(*vmid) {
            return Assigned::Kept;
        }
        let mut assigned = Assigned::Fresh;
        if self.next >> self.bits != 0 {
            self.generation += 1;
            self.next = 1;
            if !self.faults.has(Fault::VmidReusedWithoutFence) {
                assigned = Assigned::NewGeneration;
            }
        }
        *vmid = Vmid { number: self.next as u16, generation: self.generation };
        self.next += 1;
        assigned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_not_given_twice_in_a_generation_and_never_zero() {
        let mut allocator = VmidAllocator::new(2).unwrap();
        let mut vms = [Vmid::default(); 4];
        let assigned: Vec<Assigned> = vms.iter_mut().map(|vm| allocator.assign(vm)).collect();
        assert_eq!(vms[..3].iter().map(|vm| vm.number()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(assigned[..3], [Assigned::Fresh; 3]);
        assert_eq!((assigned[3], vms[3].number()), (Assigned::NewGeneration, 1));
    }

    #[test]
    fn a_new_generation_ends_every_number_of_the_old() {
        let mut allocator = VmidAllocator::new(1).unwrap();
        let (mut one, mut two) = (Vmid::default(), Vmid::default());
        assert_eq!(allocator.assign(&mut one), Assigned::Fresh);
        assert_eq!(allocator.assign(&mut one), Assigned::Kept);
        assert_eq!(allocator.assign(&mut two), Assigned::NewGeneration);
        assert!(!allocator.is_current(one) && allocator.is_current(two));
        assert_eq!(allocator.assign(&mut one), Assigned::NewGeneration);
        assert!(VmidAllocator::new(0).is_none());
    }
}
