//! A copy-on-write layer: the guest writes, the disk below is never touched. What was written lies
//! in memory or in a scratch file, in clusters, each of which is copied up once.

use super::backend::BlockBackend;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The unit of copying, in bytes.
const CLUSTER_BYTES: usize = 4096;

/// A disk that keeps its changes to itself.
pub struct Overlay {
    base: Box<dyn BlockBackend>,
    /// Which cluster of the disk lies in which slot of the layer.
    slots: BTreeMap<u64, u64>,
    layer: Layer,
    slots_max: u64,
}

enum Layer {
    Memory(Vec<Box<[u8; CLUSTER_BYTES]>>),
    File(File),
}

impl Layer {
    fn read(&self, slot: u64, within: usize, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Memory(clusters) => {
                out.copy_from_slice(&clusters[slot as usize][within..within + out.len()]);
                Ok(())
            }
            Self::File(file) => {
                file.read_exact_at(out, slot * CLUSTER_BYTES as u64 + within as u64)
            }
        }
    }

    fn write(&mut self, slot: u64, within: usize, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(clusters) => {
                clusters[slot as usize][within..within + data.len()].copy_from_slice(data);
                Ok(())
            }
            Self::File(file) => {
                file.write_all_at(data, slot * CLUSTER_BYTES as u64 + within as u64)
            }
        }
    }

    /// Appends a cluster as slot `slot`, the next free one.
    fn append(&mut self, slot: u64, cluster: &[u8; CLUSTER_BYTES]) -> io::Result<()> {
        match self {
            Self::Memory(clusters) => {
                clusters.push(Box::new(*cluster));
                Ok(())
            }
            Self::File(_) => self.write(slot, 0, cluster),
        }
    }
}

/// The part of an access that lies in one cluster: which, where in it, and which bytes of the
/// buffer.
struct Part {
    cluster: u64,
    within: usize,
    buffer: std::ops::Range<usize>,
}

fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = Part> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % CLUSTER_BYTES as u64) as usize;
        let n = (CLUSTER_BYTES - within).min(bytes - done);
        let buffer = done..done + n;
        done += n;
        (n > 0).then_some(Part { cluster: at / CLUSTER_BYTES as u64, within, buffer })
    })
}

impl Overlay {
    /// A layer in memory that may grow to `bytes_max`; writes beyond that fail.
    pub fn in_memory(base: Box<dyn BlockBackend>, bytes_max: u64) -> Self {
        Self::over(base, Layer::Memory(Vec::new()), bytes_max)
    }

    /// A layer in `scratch`, an empty file open for reading and writing, that may grow to
    /// `bytes_max`; writes beyond that fail.
    pub fn in_file(base: Box<dyn BlockBackend>, scratch: File, bytes_max: u64) -> Self {
        Self::over(base, Layer::File(scratch), bytes_max)
    }

    fn over(base: Box<dyn BlockBackend>, layer: Layer, bytes_max: u64) -> Self {
        let slots_max = bytes_max / CLUSTER_BYTES as u64;
        Self { base, slots: BTreeMap::new(), layer, slots_max }
    }

    /// Copies a cluster up, with `data` in its place already.
    fn copy_up(&mut self, part: &Part, data: &[u8]) -> io::Result<()> {
        let slot = self.slots.len() as u64;
        if slot >= self.slots_max {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the copy-on-write layer has reached its limit",
            ));
        }
        let mut cluster = [0; CLUSTER_BYTES];
        if data.len() < CLUSTER_BYTES {
            self.base.read_at(part.cluster * CLUSTER_BYTES as u64, &mut cluster)?;
        }
        cluster[part.within..part.within + data.len()].copy_from_slice(data);
        self.layer.append(slot, &cluster)?;
        self.slots.insert(part.cluster, slot);
        Ok(())
    }
}

impl BlockBackend for Overlay {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        for part in parts(offset, out.len()) {
            let piece = &mut out[part.buffer.clone()];
            match self.slots.get(&part.cluster) {
                Some(&slot) => self.layer.read(slot, part.within, piece)?,
                None => self.base.read_at(offset + part.buffer.start as u64, piece)?,
            }
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        for part in parts(offset, data.len()) {
            let piece = &data[part.buffer.clone()];
            match self.slots.get(&part.cluster) {
                Some(&slot) => self.layer.write(slot, part.within, piece)?,
                None => self.copy_up(&part, piece)?,
            }
        }
        Ok(())
    }

    /// There is nothing to make durable: the layer ends with the run.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.base.bytes()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        format!("{} (copy on write)", self.base.name())
    }
}
