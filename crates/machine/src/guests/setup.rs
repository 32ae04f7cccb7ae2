//! What guests are made of, and where they lie in main memory.

use std::ops::Range;

use hyp::gstage::Mode;
use hyp::memory::MemoryConfig;
use isa::{Ext, ExtSet, PAGE_BYTES, Pa};

use super::cycles::Cpi;
use crate::board::RAM_BASE;

/// Where a guest's memory begins for the guest: where that of the machine does, so that the same programs run on both.
pub const GUEST_BASE: Pa = RAM_BASE;

/// What runs under the hypervisor in place of HS software.
#[derive(Clone, Debug)]
pub struct GuestSetup {
    /// VMs that are alike.
    pub vms: usize,
    /// vCPUs of each.
    pub vcpus: usize,
    /// Memory of each, in bytes.
    pub memory_bytes: u64,
    /// Their G-stage mode.
    pub mode: Mode,
    /// How their memory is kept.
    pub memory: MemoryConfig,
    /// Whether they have Sstc.
    pub sstc: bool,
    /// Nothing is loaded and no vCPU starts: who builds the machine sees to both.
    pub bare: bool,
    /// Dirty logging goes on and off, and is checked, each time so many cycles have passed.
    pub toggle_cycles: Option<u64>,
    /// How long a vCPU keeps its hart while others wait, in ticks.
    pub slice_ticks: u64,
    /// How long the hypervisor's own instructions take on harts with a cycle model.
    pub cpi: Cpi,
}

/// Where things lie.
pub(crate) struct Places {
    pub(crate) tables: Range<Pa>,
    pub(crate) memories: Vec<Pa>,
    end: u64,
}

impl GuestSetup {
    pub(crate) fn places(&self) -> Places {
        // Twice what 4 KiB leaves take, and some for roots and upper levels.
        let tables_each = self.memory_bytes / 256 + (2 << 20);
        let tables_end = RAM_BASE.0 + (self.vms as u64) * tables_each.next_multiple_of(PAGE_BYTES);
        let align = self.memory.largest.bytes().max(2 << 20);
        let mut memories = Vec::new();
        let mut end = tables_end;
        for _ in 0..self.vms {
            let start = end.next_multiple_of(align);
            memories.push(Pa(start));
            end = start + self.memory_bytes;
        }
        Places { tables: RAM_BASE..Pa(tables_end), memories, end }
    }

    /// How much main memory the machine must have, in bytes.
    pub fn ram_bytes(&self) -> u64 {
        (self.places().end - RAM_BASE.0).next_multiple_of(2 << 20)
    }

    /// The extensions that a guest finds on harts with `exts`: none of those that M-mode or HS-mode keep to themselves.
    pub fn guest_exts(&self, exts: &ExtSet) -> ExtSet {
        const KEPT: [Ext; 11] = [
            Ext::H,
            Ext::Sha,
            Ext::Zihpm,
            Ext::Zkr,
            Ext::Sscofpmf,
            Ext::Ssdbltrp,
            Ext::Smcntrpmf,
            Ext::Smdbltrp,
            Ext::Smepmp,
            Ext::Smstateen,
            Ext::Svadu,
        ];
        let mut own = *exts;
        KEPT.into_iter().for_each(|ext| own.remove(ext));
        if !self.sstc {
            own.remove(Ext::Sstc);
        }
        own
    }
}
