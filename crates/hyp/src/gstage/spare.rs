//! Tables held ready, so that an operation under a lock never waits for memory.

use isa::Pa;

use crate::port::Frames;

/// Empty tables that operations take from.
#[derive(Debug, Default)]
pub struct SpareTables {
    frames: Vec<Pa>,
}

/// There is no spare table left. What was done until then stands, is correct, and can go on after a
/// [top-up](SpareTables::top_up).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no frame is left for a page table")]
pub struct OutOfTables;

impl SpareTables {
    /// Holds at least `tables`, if there are so many.
    ///
    /// # Errors
    /// There were not enough frames; those there were are kept.
    pub fn top_up(&mut self, tables: usize, frames: &mut dyn Frames) -> Result<(), OutOfTables> {
        while self.frames.len() < tables {
            self.frames.push(frames.allocate().ok_or(OutOfTables)?);
        }
        Ok(())
    }

    /// Gives all of them back.
    pub fn drain(&mut self, frames: &mut dyn Frames) {
        for frame in self.frames.drain(..) {
            frames.free(frame);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn take(&mut self) -> Result<Pa, OutOfTables> {
        self.frames.pop().ok_or(OutOfTables)
    }

    /// Takes back a table that was never linked; it must be all zeros again.
    pub(super) fn put_back(&mut self, frame: Pa) {
        self.frames.push(frame);
    }
}
