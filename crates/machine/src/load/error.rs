//! Why a machine could not be loaded. Each error names the thing and says what is wrong with it.

use crate::device_tree::BlobError;
use isa::Pa;
use std::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A range of physical addresses, printed with its last byte and size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first address.
    pub start: Pa,
    /// The length, in bytes.
    pub bytes: u64,
}

impl Range {
    /// The address after the last one, or `None` where that is beyond all addresses.
    pub fn end(&self) -> Option<u64> {
        self.start.0.checked_add(self.bytes)
    }

    /// Whether a byte lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ends_after = |a: &Self, b: &Self| a.end().is_none_or(|end| end > b.start.0);
        self.bytes != 0 && other.bytes != 0 && ends_after(self, other) && ends_after(other, self)
    }

    /// Whether all of `other` lies in this range.
    pub fn contains(&self, other: &Self) -> bool {
        other.start >= self.start
            && matches!((self.end(), other.end()), (Some(mine), Some(its)) if its <= mine)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.start.0.saturating_add(self.bytes.saturating_sub(1));
        write!(f, "{:#x}-{last:#x} ({} bytes)", self.start.0, self.bytes)
    }
}

/// Why a machine could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file could not be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is larger than anything that can be loaded.
    #[error("{}: {bytes} bytes, but at most {limit} can be loaded", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, or the size that it would have when unpacked.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A device tree is not usable.
    #[error("{}: {error}", path.display())]
    DeviceTree {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: BlobError,
    },
    /// The machine's own device tree cannot be written with what the user added.
    #[error("the device tree: {0}")]
    OwnTree(BlobError),
    /// Something would lie outside main memory.
    #[error("{what} needs {range}, but main memory is {ram}{hint}")]
    OutsideRam {
        /// What.
        what: String,
        /// Where it would lie.
        range: Range,
        /// Main memory.
        ram: Range,
        /// What may help.
        hint: &'static str,
    },
    /// Two things would lie in the same place.
    #[error("{first} at {first_range} and {second} at {second_range} overlap{hint}")]
    Overlap {
        /// One.
        first: String,
        /// Where it lies.
        first_range: Range,
        /// The other.
        second: String,
        /// Where it lies.
        second_range: Range,
        /// What may help.
        hint: &'static str,
    },
    /// A combination of files that makes no machine.
    #[error("{0}")]
    Nonsense(&'static str),
}
