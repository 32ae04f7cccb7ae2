//! Frames for tables, which remembers who has which, and fills what comes back with rubbish.

use std::collections::BTreeSet;
use std::sync::Arc;

use isa::{PAGE_BYTES, Pa};
use mmu::Ram;

use crate::layout::{HEAP, HEAP_FRAMES, HS_ROOT};

/// Main memory above the page tables' frames is handed out one frame at a time.
pub(crate) struct Heap {
    ram: Arc<Ram>,
    free: Vec<u64>,
    pub(crate) taken: BTreeSet<u64>,
    /// How many may still be taken.
    pub(crate) left: u64,
    /// A frame that came back and was not out, if that ever happened.
    pub(crate) freed_twice: Option<Pa>,
}

impl Heap {
    pub(crate) fn new(ram: Arc<Ram>) -> Self {
        let free = (0..HEAP_FRAMES).rev().map(|n| HEAP + n * PAGE_BYTES).collect();
        Self { ram, free, taken: BTreeSet::new(), left: HEAP_FRAMES, freed_twice: None }
    }

    pub(crate) fn allocate(&mut self) -> Option<Pa> {
        self.left = self.left.checked_sub(1)?;
        // The frame that was out until just now is the first to go out again.
        let frame = self.free.pop()?;
        self.taken.insert(frame);
        self.ram.write_bytes(Pa(frame), &[0; PAGE_BYTES as usize]).ok()?;
        Some(Pa(frame))
    }

    pub(crate) fn free(&mut self, frame: Pa) {
        if !self.taken.remove(&frame.0) {
            self.freed_twice.get_or_insert(frame);
            return;
        }
        self.left += 1;
        self.free.push(frame.0);
        // A walker that still reaches it lets the guest have HS-mode's own table.
        for at in (0..PAGE_BYTES).step_by(8) {
            let leaf = HS_ROOT >> 12 << 10 | 0xdf;
            self.ram.write(Pa(frame.0 + at), leaf).unwrap_or(());
        }
    }
}
