//! What the hypervisor needs of the machine. It is all that the two share: no walker, no TLB, no hart
//! type crosses it, so that the hardware's translation and the tables here check each other.

use isa::{Gpa, Pa, Privilege, Va};

use crate::cost::Spent;
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

/// Memory with a guest's data in it as well as tables.
pub trait Physical: Memory {
    /// Reads bytes.
    ///
    /// # Errors
    /// Not all of them are in main memory.
    fn read_bytes(&self, from: Pa, bytes: &mut [u8]) -> Result<(), NotMemory>;

    /// Writes bytes.
    ///
    /// # Errors
    /// Not all of them are in main memory.
    fn write_bytes(&self, to: Pa, bytes: &[u8]) -> Result<(), NotMemory>;
}

/// A fence that one hart executes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HartFence {
    /// HFENCE.GVMA; `None` stands for `x0`.
    Gvma {
        /// The guest physical address.
        gpa: Option<Gpa>,
        /// The VM.
        vmid: Option<u16>,
    },
    /// HFENCE.VVMA for the VM that `hgatp` would name by `vmid`; `None` stands for `x0`.
    Vvma {
        /// The guest virtual address.
        va: Option<Va>,
        /// The address space.
        asid: Option<u16>,
        /// The VM.
        vmid: u16,
    },
    /// FENCE.I.
    I,
}

/// The harts, in HS-mode while the hypervisor acts on them. Numbered from 0.
///
/// What the hypervisor does to a hart other than the one it was called on stands for an interrupt to that hart
/// and for what its handler does; it is done on return.
pub trait Harts {
    /// How many there are, at most 64.
    fn count(&self) -> usize;

    /// Integer register `x1` to `x31`.
    fn x(&self, hart: usize, index: u8) -> u64;

    /// Sets integer register `x1` to `x31`.
    fn set_x(&mut self, hart: usize, index: u8, value: u64);

    /// Floating-point register, as raw bits; 0 where there are none.
    fn f(&self, hart: usize, index: u8) -> u64;

    /// Sets a floating-point register.
    fn set_f(&mut self, hart: usize, index: u8, bits: u64);

    /// A CSR as HS-mode reads it; 0 where the hart has none.
    fn csr(&self, hart: usize, number: u16) -> u64;

    /// Writes a CSR as HS-mode does; no effect where the hart has none.
    fn set_csr(&mut self, hart: usize, number: u16, value: u64);

    /// Enters the guest by SRET.
    fn sret(&mut self, hart: usize);

    /// Executes a fence.
    fn fence(&mut self, hart: usize, fence: HartFence);

    /// Sets the supervisor's timer, in ticks of `time`; `u64::MAX` for never.
    fn set_timer(&mut self, hart: usize, ticks: u64);

    /// Sends a supervisor software interrupt.
    fn interrupt(&mut self, hart: usize);

    /// Lets virtual time pass on a hart: that of these instructions, which are what the hypervisor's own work since the hart's
    /// exit costs, with the accesses to tables and the fences that it made meanwhile.
    fn spend(&mut self, hart: usize, spent: Spent);

    /// What HLVX.HU reads at this privilege in the guest whose state the hart has; `None` where it traps.
    fn read_guest_code(&mut self, hart: usize, va: Va, privilege: Privilege) -> Option<u16>;
}

/// What a guest reaches beside its memory.
pub trait Io {
    /// Prints to the VM's console.
    fn console_write(&mut self, vm: usize, bytes: &[u8]);

    /// Takes waiting console input; returns how many bytes there were.
    fn console_read(&mut self, vm: usize, bytes: &mut [u8]) -> usize;

    /// The state of the VM's console, as bytes for [`Io::set_console_state`] on another machine.
    fn console_state(&self, vm: usize) -> Vec<u8>;

    /// Takes a console's state over; `None` if it is malformed.
    fn set_console_state(&mut self, vm: usize, state: &[u8]) -> Option<()>;

    /// A load from a device; `None` if none is there.
    fn device_read(&mut self, vm: usize, gpa: Gpa, size: u8) -> Option<u64>;

    /// A store to a device; `None` if none is there.
    fn device_write(&mut self, vm: usize, gpa: Gpa, size: u8, value: u64) -> Option<()>;
}

/// All of the machine.
pub struct Parts<'a> {
    /// Memory.
    pub memory: &'a dyn Physical,
    /// Frames for tables.
    pub frames: &'a mut dyn Frames,
    /// Harts.
    pub harts: &'a mut dyn Harts,
    /// Consoles and devices.
    pub io: &'a mut dyn Io,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the machine")
    }
}
