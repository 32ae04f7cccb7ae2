//! A block device: requests of 512-byte sectors, served by a [`BlockBackend`].
//!
//! A request that the backend cannot serve fails for the driver, with one warning for the user; a
//! write is reported as done only when the backend has it, and as durable only after a flush.

mod backend;
mod overlay;
#[cfg(test)]
pub(super) mod tests;

pub use backend::{BlockBackend, FileBackend, FileMode, OpenError};
pub use overlay::Overlay;

use super::spec::id;
use super::{Chain, Function, QueueError, Ring};
use crate::{Dma, Storage, Ticks};
use serde::{Deserialize, Serialize};
use std::io;

/// Numbers of the block device [virtio 5.2].
pub mod spec {
    /// Feature: the configuration says how large a segment may be.
    pub const F_SIZE_MAX: u64 = 1 << 1;
    /// Feature: the configuration says how many segments a request may have.
    pub const F_SEG_MAX: u64 = 1 << 2;
    /// Feature: writes fail.
    pub const F_RO: u64 = 1 << 5;
    /// Feature: the configuration holds the block size.
    pub const F_BLK_SIZE: u64 = 1 << 6;
    /// Feature: there are flush requests.
    pub const F_FLUSH: u64 = 1 << 9;
    /// Request: read.
    pub const T_IN: u32 = 0;
    /// Request: write.
    pub const T_OUT: u32 = 1;
    /// Request: make writes durable.
    pub const T_FLUSH: u32 = 4;
    /// Request: the device's name.
    pub const T_GET_ID: u32 = 8;
    /// The length of the name, in bytes.
    pub const ID_BYTES: usize = 20;
    /// Status: done.
    pub const S_OK: u8 = 0;
    /// Status: failed.
    pub const S_IOERR: u8 = 1;
    /// Status: no such request.
    pub const S_UNSUPP: u8 = 2;
    /// The unit of positions and lengths, in bytes.
    pub const SECTOR_BYTES: u64 = 512;
    /// What begins a request, in bytes.
    pub const HEADER_BYTES: u64 = 16;
}

const QUEUES: [u16; 1] = [256];
/// A request needs one descriptor for its header and one for its status.
const SEGMENTS_MAX: u32 = QUEUES[0] as u32 - 2;
const SEGMENT_BYTES_MAX: u32 = 1 << 16;
/// A request of more data fails: one store of the driver must not keep us busy for long.
pub const REQUEST_BYTES_MAX: u64 = SEGMENTS_MAX as u64 * SEGMENT_BYTES_MAX as u64;

const CHUNK_BYTES: usize = 1 << 16;

/// The block device.
pub struct Block {
    backend: Box<dyn BlockBackend>,
    id: [u8; spec::ID_BYTES],
    chunk: Box<[u8]>,
    warned: bool,
    state: State,
}

/// What a snapshot of a block device holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The driver will flush; else each write is made durable before it is done.
    flushes: bool,
}

/// How a request ended, and how many bytes of data it wrote to the driver's buffers.
struct Outcome {
    status: u8,
    written: u64,
}

impl Block {
    /// A disk over `backend` that calls itself `id`, cut to [`spec::ID_BYTES`] bytes.
    pub fn new(backend: Box<dyn BlockBackend>, id: &str) -> Self {
        let mut name = [0; spec::ID_BYTES];
        for (to, from) in name.iter_mut().zip(id.bytes()) {
            *to = from;
        }
        Self {
            backend,
            id: name,
            chunk: vec![0; CHUNK_BYTES].into(),
            warned: false,
            state: State::default(),
        }
    }

    /// The capacity; a last sector that the backend has only in part counts.
    fn sectors(&self) -> u64 {
        self.backend.bytes().div_ceil(spec::SECTOR_BYTES)
    }

    fn request(&mut self, chain: &Chain, dma: &dyn Dma) -> Result<u32, QueueError> {
        let (readable, writable) = (chain.readable_bytes(), chain.writable_bytes());
        let (Some(data_out), Some(data_in)) =
            (readable.checked_sub(spec::HEADER_BYTES), writable.checked_sub(1))
        else {
            return Err(QueueError::TooShort { readable, writable });
        };
        let mut header = [0; spec::HEADER_BYTES as usize];
        chain.read(0, &mut header, dma)?;
        let [t0, t1, t2, t3, _, _, _, _, s0, s1, s2, s3, s4, s5, s6, s7] = header;
        let sector = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let outcome = match u32::from_le_bytes([t0, t1, t2, t3]) {
            spec::T_IN => self.read(chain, dma, sector, data_in)?,
            spec::T_OUT => self.write(chain, dma, sector, data_out)?,
            spec::T_FLUSH => self.flush_request(),
            spec::T_GET_ID => {
                let n = data_in.min(spec::ID_BYTES as u64);
                chain.write(0, &self.id[..n as usize], dma)?;
                Outcome { status: spec::S_OK, written: n }
            }
            _ => Outcome { status: spec::S_UNSUPP, written: 0 },
        };
        // The status is the last byte, wherever the driver's buffers are split.
        chain.write(data_in, &[outcome.status], dma)?;
        let all = outcome.written == data_in;
        Ok((outcome.written + u64::from(all)) as u32)
    }

    /// Where in the backend a request begins, if all of it lies on the disk.
    fn start(&self, sector: u64, bytes: u64) -> Option<u64> {
        let whole = bytes.is_multiple_of(spec::SECTOR_BYTES) && bytes <= REQUEST_BYTES_MAX;
        let end = sector.checked_add(bytes / spec::SECTOR_BYTES)?;
        (whole && end <= self.sectors()).then(|| sector.checked_mul(spec::SECTOR_BYTES))?
    }

    fn read(
        &mut self,
        chain: &Chain,
        dma: &dyn Dma,
        sector: u64,
        bytes: u64,
    ) -> Result<Outcome, QueueError> {
        let Some(start) = self.start(sector, bytes) else {
            return Ok(self.refused("a read beyond its end or of no whole sectors"));
        };
        let mut written = 0;
        while written < bytes {
            let n = (bytes - written).min(CHUNK_BYTES as u64);
            let part = &mut self.chunk[..n as usize];
            if let Err(error) = self.backend.read_at(start + written, part) {
                return Ok(Outcome { written, ..self.failed("read", &error) });
            }
            chain.write(written, part, dma)?;
            written += n;
        }
        Ok(Outcome { status: spec::S_OK, written })
    }

    fn write(
        &mut self,
        chain: &Chain,
        dma: &dyn Dma,
        sector: u64,
        bytes: u64,
    ) -> Result<Outcome, QueueError> {
        if self.backend.read_only() {
            return Ok(self.refused("a write although it is read-only"));
        }
        let Some(start) = self.start(sector, bytes) else {
            return Ok(self.refused("a write beyond its end or of no whole sectors"));
        };
        let mut at = 0;
        while at < bytes {
            let n = (bytes - at).min(CHUNK_BYTES as u64);
            let part = &mut self.chunk[..n as usize];
            chain.read(spec::HEADER_BYTES + at, part, dma)?;
            if let Err(error) = self.backend.write_at(start + at, part) {
                return Ok(self.failed("write", &error));
            }
            at += n;
        }
        // Without flush requests a write must be durable when it is done [virtio 5.2.6.2].
        if !self.state.flushes {
            return Ok(self.flush_request());
        }
        Ok(Outcome { status: spec::S_OK, written: 0 })
    }

    fn flush_request(&mut self) -> Outcome {
        match self.backend.flush() {
            Ok(()) => Outcome { status: spec::S_OK, written: 0 },
            Err(error) => self.failed("flush", &error),
        }
    }

    fn failed(&mut self, what: &str, error: &io::Error) -> Outcome {
        if !self.warned {
            self.warned = true;
            tracing::warn!(disk = %self.backend.name(), %error, "cannot {what}; the guest is told");
        }
        Outcome { status: spec::S_IOERR, written: 0 }
    }

    fn refused(&self, what: &str) -> Outcome {
        tracing::debug!(disk = %self.backend.name(), "the guest asked for {what}");
        Outcome { status: spec::S_IOERR, written: 0 }
    }
}

impl Function for Block {
    fn id(&self) -> u32 {
        id::BLOCK
    }

    fn features(&self) -> u64 {
        let read_only = if self.backend.read_only() { spec::F_RO } else { 0 };
        spec::F_SIZE_MAX | spec::F_SEG_MAX | spec::F_BLK_SIZE | spec::F_FLUSH | read_only
    }

    fn queues(&self) -> &'static [u16] {
        &QUEUES
    }

    fn config(&self) -> Vec<u8> {
        let mut config = Vec::with_capacity(24);
        config.extend(self.sectors().to_le_bytes());
        config.extend(SEGMENT_BYTES_MAX.to_le_bytes());
        config.extend(SEGMENTS_MAX.to_le_bytes());
        config.extend([0; 4]); // cylinders, heads, sectors: not offered
        config.extend((spec::SECTOR_BYTES as u32).to_le_bytes());
        config
    }

    fn activate(&mut self, features: u64) {
        self.state.flushes = features & spec::F_FLUSH != 0;
    }

    fn serve(&mut self, _index: usize, ring: &mut Ring<'_>, _now: Ticks) -> Result<(), QueueError> {
        for _ in 0..ring.size() {
            let Some(chain) = ring.take()? else { break };
            let written = self.request(&chain, ring.dma())?;
            ring.give_back(&chain, written)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn storage(&mut self) -> Option<&mut dyn Storage> {
        Some(self)
    }
}

impl Storage for Block {
    fn flush(&mut self) -> io::Result<()> {
        self.backend.flush()
    }
}
