//! What the hypervisor needs of the machine. It is all that the two share: no walker, no TLB, no hart
//! type crosses it, so that the hardware's translation and the tables here check each other.

use isa::Pa;

use crate::gstage::Fence;

/// Memory that holds page tables, by physical address.
///
/// Every access is to one aligned PTE of 8 bytes and is atomic, because a walker on any hart may read it
/// or set its A and D bits at the same time [priv: supervisor, "Page-Based Virtual-Memory Systems"].
pub trait Memory {
    /// Reads a PTE.
    ///
    /// # Errors
    /// The address is not that of main memory.
    fn load(&self, pte: Pa) -> Result<u64, NotMemory>;

    /// Writes a PTE that no walker reaches yet.
    ///
    /// # Errors
    /// The address is not that of main memory.
    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory>;

    /// Writes `new` if the PTE is `old`, as one operation. Returns what the PTE was.
    ///
    /// # Errors
    /// The address is not that of main memory.
    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory>;
}

/// A page table points out of main memory, or was given a place there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is not main memory")]
pub struct NotMemory(pub Pa);

/// A source of page frames for tables.
pub trait Frames {
    /// A frame of 4 KiB, filled with zeros; `None` if there is none left.
    fn allocate(&mut self) -> Option<Pa>;

    /// Takes a frame back that came from [`Frames::allocate`] and that no walker can reach.
    fn free(&mut self, frame: Pa);
}

/// The harts, as far as fences go.
pub trait Fences {
    /// Executes the fence, for this VMID, on every hart that may hold translations of the VM, and returns when all of
    /// them have. The PTEs that the fence is about were written before.
    fn fence(&mut self, vmid: u16, fence: &Fence);
}
