//! Frames for tables, from one range of main memory.

use hyp::gstage::Mode;
use isa::{PAGE_BYTES, Pa};
use mmu::Ram;

/// Frames that are free.
pub(crate) struct Heap {
    /// Frames from here to the end were never used.
    fresh: u64,
    end: u64,
    free: Vec<Pa>,
}

impl Heap {
    /// All of `start..end`.
    pub(super) fn new(start: Pa, end: Pa) -> Self {
        Self { fresh: start.0, end: end.0, free: Vec::new() }
    }

    /// A root table of zeros, aligned to its size.
    pub(super) fn root(&mut self, ram: &Ram, mode: Mode) -> Option<Pa> {
        let bytes = mode.root_bytes();
        let start = self.fresh.next_multiple_of(bytes);
        if start + bytes > self.end {
            return None;
        }
        let skipped = (self.fresh..start).step_by(PAGE_BYTES as usize).map(Pa);
        self.free.extend(skipped);
        self.fresh = start + bytes;
        for page in (start..start + bytes).step_by(PAGE_BYTES as usize) {
            clear(ram, Pa(page))?;
        }
        Some(Pa(start))
    }
}

fn clear(ram: &Ram, frame: Pa) -> Option<()> {
    ram.write_bytes(frame, &[0; PAGE_BYTES as usize]).ok()
}

/// The heap and the memory that its frames are of.
pub(crate) struct Frames<'a> {
    pub(super) heap: &'a mut Heap,
    pub(super) ram: &'a Ram,
}

impl hyp::port::Frames for Frames<'_> {
    fn allocate(&mut self) -> Option<Pa> {
        let heap = &mut *self.heap;
        let frame = match heap.free.pop() {
            Some(frame) => frame,
            None if heap.fresh + PAGE_BYTES <= heap.end => {
                heap.fresh += PAGE_BYTES;
                Pa(heap.fresh - PAGE_BYTES)
            }
            None => return None,
        };
        clear(self.ram, frame)?;
        Some(frame)
    }

    fn free(&mut self, frame: Pa) {
        self.heap.free.push(frame);
    }
}
