//! A chain of descriptors, read once and checked: what a driver offers the device to read and to
//! write. A [`Chain`] that exists is finite, lies in RAM, and has its readable part first.

use super::spec::desc;
use crate::{Dma, OutOfRam};
use isa::Pa;

/// A chain has at most this many descriptors, indirect ones included.
const SEGMENTS_MAX: usize = 1024;

/// Why descriptors are no chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChainError {
    /// A table or a buffer is not in RAM.
    #[error(transparent)]
    OutOfRam(#[from] OutOfRam),
    /// A descriptor number beyond its table.
    #[error("descriptor {index} is beyond its table of {entries}")]
    BeyondTable {
        /// The number.
        index: u16,
        /// The length of the table, in descriptors.
        entries: u32,
    },
    /// More descriptors than the table has: a cycle.
    #[error("the chain at descriptor {head} has a cycle")]
    Cycle {
        /// Where it begins.
        head: u16,
    },
    /// More descriptors than any driver needs.
    #[error("the chain at descriptor {head} has more than {SEGMENTS_MAX} descriptors")]
    TooLong {
        /// Where it begins.
        head: u16,
    },
    /// 4 GiB or more in all.
    #[error("the chain at descriptor {head} has 4 GiB or more")]
    TooLarge {
        /// Where it begins.
        head: u16,
    },
    /// An indirect descriptor where none may be: not agreed on, inside an indirect table, or with
    /// a successor.
    #[error("an indirect descriptor is not allowed in the chain at descriptor {head}")]
    Indirect {
        /// Where the chain begins.
        head: u16,
    },
    /// An indirect table that is empty or ends within a descriptor.
    #[error("an indirect table of {bytes} bytes")]
    IndirectBytes {
        /// Its length.
        bytes: u32,
    },
    /// A buffer to read after one to write.
    #[error("the chain at descriptor {head} has a readable buffer after a writable one")]
    ReadableAfterWritable {
        /// Where it begins.
        head: u16,
    },
}

/// A buffer in RAM, not empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its first byte.
    pub start: Pa,
    /// Its length, in bytes.
    pub bytes: u32,
}

/// A chain of buffers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The descriptor it begins with: its name in the used ring.
    pub head: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
}

struct Descriptor {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

/// A table of descriptors: the queue's, or an indirect one.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub(super) start: Pa,
    pub(super) entries: u32,
}

impl Table {
    fn read(&self, index: u16, dma: &dyn Dma) -> Result<Descriptor, ChainError> {
        if u32::from(index) >= self.entries {
            return Err(ChainError::BeyondTable { index, entries: self.entries });
        }
        let beyond = OutOfRam { pa: self.start, len: u64::from(self.entries) * desc::BYTES };
        let at = self.start.checked_add(desc::BYTES * u64::from(index)).ok_or(beyond)?;
        let mut raw = [0; desc::BYTES as usize];
        dma.read_bytes(at, &mut raw)?;
        let [a0, a1, a2, a3, a4, a5, a6, a7, l0, l1, l2, l3, f0, f1, n0, n1] = raw;
        Ok(Descriptor {
            addr: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            flags: u16::from_le_bytes([f0, f1]),
            next: u16::from_le_bytes([n0, n1]),
        })
    }
}

impl Chain {
    /// Follows the chain that begins at `head` of `table`.
    pub(super) fn follow(
        head: u16,
        mut table: Table,
        indirect_agreed: bool,
        dma: &dyn Dma,
    ) -> Result<Self, ChainError> {
        let mut chain = Self { head, readable: Vec::new(), writable: Vec::new() };
        let mut may_go_indirect = indirect_agreed;
        let mut index = head;
        let mut steps_in_table = 0;
        let mut steps = 0;
        loop {
            let d = table.read(index, dma)?;
            steps_in_table += 1;
            steps += 1;
            if steps_in_table > table.entries {
                return Err(ChainError::Cycle { head });
            }
            if steps > SEGMENTS_MAX {
                return Err(ChainError::TooLong { head });
            }
            if d.flags & desc::INDIRECT != 0 {
                if !may_go_indirect || d.flags & desc::NEXT != 0 {
                    return Err(ChainError::Indirect { head });
                }
                if d.len == 0 || !u64::from(d.len).is_multiple_of(desc::BYTES) {
                    return Err(ChainError::IndirectBytes { bytes: d.len });
                }
                table = Table { start: Pa(d.addr), entries: d.len / desc::BYTES as u32 };
                may_go_indirect = false;
                index = 0;
                steps_in_table = 0;
                continue;
            }
            chain.add(&d, dma)?;
            if d.flags & desc::NEXT == 0 {
                break;
            }
            index = d.next;
        }
        if chain.readable_bytes() + chain.writable_bytes() > u64::from(u32::MAX) {
            return Err(ChainError::TooLarge { head });
        }
        Ok(chain)
    }

    fn add(&mut self, d: &Descriptor, dma: &dyn Dma) -> Result<(), ChainError> {
        let segment = Segment { start: Pa(d.addr), bytes: d.len };
        if segment.bytes != 0 && !dma.contains(segment.start, segment.bytes.into()) {
            return Err(OutOfRam { pa: segment.start, len: segment.bytes.into() }.into());
        }
        let part = if d.flags & desc::WRITE != 0 {
            &mut self.writable
        } else if self.writable.is_empty() {
            &mut self.readable
        } else {
            return Err(ChainError::ReadableAfterWritable { head: self.head });
        };
        if segment.bytes != 0 {
            part.push(segment);
        }
        Ok(())
    }

    /// How many bytes the device may read.
    pub fn readable_bytes(&self) -> u64 {
        self.readable.iter().map(|s| u64::from(s.bytes)).sum()
    }

    /// How many bytes the device may write.
    pub fn writable_bytes(&self) -> u64 {
        self.writable.iter().map(|s| u64::from(s.bytes)).sum()
    }

    /// Fills `out` with the readable bytes from `offset` on.
    ///
    /// # Errors
    /// There are not that many.
    pub fn read(&self, offset: u64, out: &mut [u8], dma: &dyn Dma) -> Result<(), OutOfRam> {
        let mut rest = out;
        for piece in pieces(&self.readable, offset, rest.len() as u64) {
            let (now, later) = rest.split_at_mut(piece.bytes as usize);
            dma.read_bytes(piece.start, now)?;
            rest = later;
        }
        all_done(rest)
    }

    /// Copies `data` to the writable bytes from `offset` on.
    ///
    /// # Errors
    /// There is not that much room.
    pub fn write(&self, offset: u64, data: &[u8], dma: &dyn Dma) -> Result<(), OutOfRam> {
        let mut rest = data;
        for piece in pieces(&self.writable, offset, rest.len() as u64) {
            let (now, later) = rest.split_at(piece.bytes as usize);
            dma.write_bytes(piece.start, now)?;
            rest = later;
        }
        all_done(rest)
    }
}

fn all_done(rest: &[u8]) -> Result<(), OutOfRam> {
    match rest.len() {
        0 => Ok(()),
        n => Err(OutOfRam { pa: Pa(0), len: n as u64 }),
    }
}

/// The pieces of `segments` that hold their bytes `offset` to `offset + bytes`.
fn pieces(segments: &[Segment], offset: u64, bytes: u64) -> impl Iterator<Item = Segment> {
    let mut skip = offset;
    let mut want = bytes;
    segments.iter().filter_map(move |s| {
        let here = u64::from(s.bytes);
        let skipped = skip.min(here);
        skip -= skipped;
        let taken = (here - skipped).min(want);
        want -= taken;
        // The segment was checked to lie in RAM, so the sum stays below 64 bits.
        let start = s.start.checked_add(skipped)?;
        (taken > 0).then_some(Segment { start, bytes: taken as u32 })
    })
}
