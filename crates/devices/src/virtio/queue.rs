//! The split virtqueue, device side [virtio 2.7]: takes chains from the available ring, returns
//! them in the used ring, and says whether the driver wants an interrupt for it.
//!
//! The driver's hart waits while its notifying store is served. Were harts to run meanwhile, the
//! indices would need fences, and a look at the available index after `avail_event` was written.

use super::chain::{Chain, ChainError, Table};
use super::spec::{AVAIL_NO_INTERRUPT, desc};
use crate::{Dma, OutOfRam};
use isa::Pa;
use serde::{Deserialize, Serialize};

/// Why a queue cannot be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueueError {
    /// The driver's size is no power of two, or beyond the maximum.
    #[error("a queue of size {size}, of {max} at most")]
    Size {
        /// The size.
        size: u32,
        /// The largest.
        max: u16,
    },
    /// A part of the queue is not aligned as it must be.
    #[error("a part of the queue at {pa} must be aligned to {bytes} bytes")]
    Misaligned {
        /// Where it is.
        pa: Pa,
        /// The alignment.
        bytes: u64,
    },
    /// A part of the queue, or what it points to, is not in RAM.
    #[error(transparent)]
    OutOfRam(#[from] OutOfRam),
    /// The available index moved further than the queue is long.
    #[error("the available index jumped from {seen} to {index} in a queue of size {size}")]
    Jump {
        /// Where the device has got to.
        seen: u16,
        /// What the driver says.
        index: u16,
        /// The queue's size.
        size: u16,
    },
    /// Descriptors that are no chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A chain without room for what every request of the device must hold.
    #[error(
        "a chain of {readable} readable and {writable} writable bytes is too short for the device"
    )]
    TooShort {
        /// What it has to read.
        readable: u64,
        /// What it has to write.
        writable: u64,
    },
}

/// What a snapshot of a queue holds: how the driver configured it, and how far the device is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueState {
    pub(super) size_max: u16,
    pub(super) size: u32,
    pub(super) ready: bool,
    /// Descriptor table.
    pub(super) desc: u64,
    /// Available ring.
    pub(super) driver: u64,
    /// Used ring.
    pub(super) device: u64,
    /// The next entry of the available ring, counted without end.
    next_avail: u16,
    /// The next entry of the used ring, counted without end.
    next_used: u16,
    /// `next_used` when the driver was last considered for an interrupt.
    considered: u16,
}

const RING_HEADER_BYTES: u64 = 4;
const USED_BYTES: u64 = 8;

impl QueueState {
    /// A queue that no driver has touched.
    pub(super) fn new(size_max: u16) -> Self {
        Self {
            size_max,
            size: size_max.into(),
            ready: false,
            desc: 0,
            driver: 0,
            device: 0,
            next_avail: 0,
            next_used: 0,
            considered: 0,
        }
    }

    /// Puts the queue into use, from its beginning.
    pub(super) fn start(&mut self, dma: &dyn Dma) -> Result<(), QueueError> {
        let size = u64::from(self.size);
        if !size.is_power_of_two() || size > u64::from(self.size_max) {
            return Err(QueueError::Size { size: self.size, max: self.size_max });
        }
        // Both rings end with the index of EVENT_IDX.
        let parts = [
            (self.desc, 16, desc::BYTES * size),
            (self.driver, 2, RING_HEADER_BYTES + 2 * size + 2),
            (self.device, 4, RING_HEADER_BYTES + USED_BYTES * size + 2),
        ];
        for (start, align, bytes) in parts {
            let pa = Pa(start);
            if !pa.is_aligned(align) {
                return Err(QueueError::Misaligned { pa, bytes: align });
            }
            if !dma.contains(pa, bytes) {
                return Err(OutOfRam { pa, len: bytes }.into());
            }
        }
        (self.next_avail, self.next_used, self.considered) = (0, 0, 0);
        self.ready = true;
        Ok(())
    }

    /// The size, which was checked when the queue was put into use.
    fn size(&self) -> u16 {
        self.size as u16
    }
}

/// A queue in use, with the memory it lies in.
pub struct Ring<'a> {
    queue: &'a mut QueueState,
    dma: &'a dyn Dma,
    indirect: bool,
    event_idx: bool,
}

impl<'a> Ring<'a> {
    /// A view of `queue`, which is in use.
    pub(super) fn new(
        queue: &'a mut QueueState,
        dma: &'a dyn Dma,
        indirect: bool,
        event_idx: bool,
    ) -> Self {
        Self { queue, dma, indirect, event_idx }
    }

    /// The memory that chains point into.
    pub fn dma(&self) -> &'a dyn Dma {
        self.dma
    }

    /// The number of entries: no more chains than this are outstanding at a time.
    pub fn size(&self) -> u16 {
        self.queue.size()
    }

    /// Takes the next chain, if the driver made one available.
    ///
    /// # Errors
    /// The available ring or the chain makes no sense.
    pub fn take(&mut self) -> Result<Option<Chain>, QueueError> {
        let size = self.size();
        let seen = self.queue.next_avail;
        let index = self.dma.read_u16(self.avail(2)?)?;
        match index.wrapping_sub(seen) {
            0 => return Ok(None),
            ahead if ahead > size => return Err(QueueError::Jump { seen, index, size }),
            _ => {}
        }
        let slot = u64::from(seen % size);
        let head = self.dma.read_u16(self.avail(RING_HEADER_BYTES + 2 * slot)?)?;
        let table = Table { start: Pa(self.queue.desc), entries: size.into() };
        let chain = Chain::follow(head, table, self.indirect, self.dma)?;
        self.queue.next_avail = seen.wrapping_add(1);
        Ok(Some(chain))
    }

    /// Puts back the chain that was taken last and has not been returned.
    pub fn put_back(&mut self) {
        self.queue.next_avail = self.queue.next_avail.wrapping_sub(1);
    }

    /// Returns a chain, of whose writable part the first `written` bytes were written.
    ///
    /// # Errors
    /// The used ring is not in RAM.
    pub fn give_back(&mut self, chain: &Chain, written: u32) -> Result<(), QueueError> {
        let slot = u64::from(self.queue.next_used % self.size());
        let entry = self.used(RING_HEADER_BYTES + USED_BYTES * slot)?;
        self.dma.write_u64(entry, u64::from(written) << 32 | u64::from(chain.head))?;
        self.queue.next_used = self.queue.next_used.wrapping_add(1);
        self.dma.write_u16(self.used(2)?, self.queue.next_used)?;
        Ok(())
    }

    /// Whether the driver wants an interrupt for the chains returned since this was last asked,
    /// and from which chain on the device wants a notification: the next one.
    pub(super) fn wants_interrupt(&mut self) -> Result<bool, QueueError> {
        let (old, new) = (self.queue.considered, self.queue.next_used);
        self.queue.considered = new;
        if self.event_idx {
            let size = u64::from(self.size());
            let avail_event = self.used(RING_HEADER_BYTES + USED_BYTES * size)?;
            self.dma.write_u16(avail_event, self.queue.next_avail)?;
            let used_event = self.dma.read_u16(self.avail(RING_HEADER_BYTES + 2 * size)?)?;
            // Whether the index passed `used_event` on its way from old to new [virtio 2.7.7.2].
            return Ok(new.wrapping_sub(used_event).wrapping_sub(1) < new.wrapping_sub(old));
        }
        let flags = self.dma.read_u16(self.avail(0)?)?;
        Ok(old != new && flags & AVAIL_NO_INTERRUPT == 0)
    }

    fn avail(&self, offset: u64) -> Result<Pa, OutOfRam> {
        part(self.queue.driver, offset)
    }

    fn used(&self, offset: u64) -> Result<Pa, OutOfRam> {
        part(self.queue.device, offset)
    }
}

fn part(start: u64, offset: u64) -> Result<Pa, OutOfRam> {
    Pa(start).checked_add(offset).ok_or(OutOfRam { pa: Pa(start), len: offset })
}
