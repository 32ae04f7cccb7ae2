//! G-stage tables: mapping, splitting, collapsing, protecting and unmapping guest memory.
//!
//! The semantics are those of Linux's `arch/riscv/kvm/gstage.c` (7.2), with these differences:
//!
//! - An address that faulted is looked up itself, never the start of its block: looking at the block's first
//!   page instead makes a guest fault for ever once that page differs from the others.
//! - Running out of tables is an error of every operation that can meet it, also while splitting.
//! - A mapping larger than a page never takes the place of a table that still maps something.
//! - Tables that became empty, or that were replaced by a leaf, are freed, after the fence without address
//!   that a changed non-leaf PTE needs.
//! - Fences are owed ([`Duties`]), not executed here; the caller joins them and executes them before it
//!   lets go of the lock.
//! - A and D may be set by walkers at any time; every change of a live PTE is a compare-and-exchange.

mod duties;
mod edit;
mod geometry;
#[cfg(test)]
mod owed;
mod ranges;
#[cfg(test)]
mod rig;
mod spare;
#[cfg(test)]
mod tests;

mod pte;

pub use duties::{Duties, Fence, FenceInsn, Why};
pub use edit::{Editor, Mapped, Place};
pub use geometry::{Level, Mode, PTE_BYTES, Size};
pub use pte::{Form, Leaf, Pte, Rights};
pub use ranges::{Partial, Progress};
pub use spare::{OutOfTables, SpareTables};

use isa::{Gpa, PAGE_BITS, Pa};

use crate::faults::{Fault, Faults};
use crate::port::{Frames, Memory, NotMemory};

/// Why an operation stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// See [`OutOfTables`].
    #[error(transparent)]
    OutOfTables(#[from] OutOfTables),
    /// A table is not in main memory.
    #[error(transparent)]
    NotMemory(#[from] NotMemory),
    /// An address or a range is beyond what the mode translates.
    #[error("{gpa} is beyond the {bits}-bit guest physical address space")]
    OutOfRange {
        /// The address.
        gpa: Gpa,
        /// The width.
        bits: u32,
    },
    /// A frame is not aligned to its size, or a range to pages.
    #[error("{address:#x} is not a multiple of {bytes:#x} bytes")]
    Misaligned {
        /// The address.
        address: u64,
        /// What it must be a multiple of.
        bytes: u64,
    },
    /// What a collapse would join is not one block with one set of rights.
    #[error("the table at {gpa} does not map one block with one set of rights")]
    NotUniform {
        /// The first address that the table translates.
        gpa: Gpa,
    },
}

/// What the operations did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// PTEs read.
    pub loads: u64,
    /// PTEs written before they were reachable.
    pub stores: u64,
    /// PTEs changed by compare-and-exchange, lost attempts included.
    pub exchanges: u64,
    /// Leaves replaced by a table.
    pub splits: u64,
    /// Tables replaced by a leaf.
    pub collapses: u64,
    /// Tables linked now, without the root.
    pub tables: u64,
}

/// The G-stage tables of one VM.
#[derive(Debug)]
pub struct Gstage {
    mode: Mode,
    root: Pa,
    counts: Counts,
    duties: Duties,
    pub(crate) faults: Faults,
}

impl Gstage {
    /// Tables that map nothing, below a root that its owner provides: [`Mode::root_bytes`] bytes of zeros.
    ///
    /// # Errors
    /// The root is not aligned to its size.
    pub fn new(mode: Mode, root: Pa) -> Result<Self, Error> {
        if !root.is_aligned(mode.root_bytes()) {
            return Err(Error::Misaligned { address: root.0, bytes: mode.root_bytes() });
        }
        let (counts, duties) = (Counts::default(), Duties::default());
        Ok(Self { mode, root, counts, duties, faults: Faults::NONE })
    }

    /// The same with a fault, which whatever is built on these tables has too.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The value of `hgatp` that makes a hart use these tables under this VMID.
    pub fn hgatp(&self, vmid: u16) -> u64 {
        self.mode.field() << 60 | u64::from(vmid & 0x3fff) << 44 | self.root.0 >> PAGE_BITS
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Begins to change tables. The editor stands for the lock: there is one at a time.
    pub fn edit<'a>(
        &'a mut self,
        memory: &'a dyn Memory,
        spare: &'a mut SpareTables,
    ) -> Editor<'a> {
        Editor::new(self, memory, spare)
    }

    /// Whether fences are owed without which the guest could do what it must not.
    pub fn is_fence_due(&self) -> bool {
        self.duties.is_due()
    }

    /// Takes over what is owed. Who takes it executes the fences, and then calls [`Gstage::fenced`].
    pub fn take_duties(&mut self) -> Duties {
        std::mem::take(&mut self.duties)
    }

    /// Hears that the fences of `duties` were executed on every hart that may hold translations of this VM:
    /// now no walker reaches what was unlinked.
    ///
    /// # Errors
    /// A table was not in main memory.
    pub fn fenced(
        &mut self,
        duties: Duties,
        memory: &dyn Memory,
        frames: &mut dyn Frames,
    ) -> Result<(), Error> {
        edit::settle_collapsed(self, &duties.collapsed, memory)?;
        if self.faults.has(Fault::TableNeverFreed) {
            return Ok(());
        }
        for frame in duties.freed {
            frames.free(frame);
        }
        Ok(())
    }
}
