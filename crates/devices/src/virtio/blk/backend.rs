//! What a disk is made of: bytes that can be read, written and made durable.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

/// The bytes behind a disk.
pub trait BlockBackend: Send {
    /// Fills `out` from `offset` on. The rest of a last sector that is there only in part reads 0;
    /// nobody asks for what lies further on.
    ///
    /// # Errors
    /// The bytes cannot be had.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Stores `data` from `offset` on.
    ///
    /// # Errors
    /// The bytes cannot be stored, all or some of them.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Some of it may not be.
    fn flush(&mut self) -> io::Result<()>;

    /// The length, in bytes.
    fn bytes(&self) -> u64;

    /// Whether writes always fail.
    fn read_only(&self) -> bool;

    /// What to call it in messages.
    fn name(&self) -> String;
}

/// What the guest may do to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileMode {
    /// Read it.
    ReadOnly,
    /// Read and write it, alone.
    ReadWrite,
}

/// Why a file is no disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system does not let us have it.
    #[error("cannot open the disk {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the disk {} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is not a file or a block device, but a directory, say.
    #[error("the disk {} is neither a file nor a block device", path.display())]
    NotBytes {
        /// The path.
        path: PathBuf,
    },
}

/// A file, or a block device of the native system, as it is ("raw").
#[derive(Debug)]
pub struct FileBackend {
    file: File,
    path: PathBuf,
    bytes: u64,
    mode: FileMode,
}

impl FileBackend {
    /// Opens `path` and locks it: against everyone else to write it, against writers to read it.
    ///
    /// # Errors
    /// The file cannot be opened, or another process uses it in a way that excludes ours.
    pub fn open(path: &Path, mode: FileMode) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.into(), source };
        // Asked first, because merely opening a pipe could wait for ever.
        let kind = std::fs::metadata(path).map_err(io)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(OpenError::NotBytes { path: path.into() });
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(mode == FileMode::ReadWrite)
            .open(path)
            .map_err(io)?;
        let locked = match mode {
            FileMode::ReadOnly => file.try_lock_shared(),
            FileMode::ReadWrite => file.try_lock(),
        };
        match locked {
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.into() }),
            // Some file systems have no locks; that is no reason to refuse them.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // The metadata of a block device does not tell its length.
        let bytes = file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { file, path: path.into(), bytes, mode })
    }
}

impl BlockBackend for FileBackend {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < out.len() {
            match self.file.read_at(&mut out[done..], offset + done as u64) {
                Ok(0) => {
                    out[done..].fill(0);
                    break;
                }
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.mode == FileMode::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.file.write_all_at(data, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.mode {
            FileMode::ReadOnly => Ok(()),
            FileMode::ReadWrite => self.file.sync_data(),
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_only(&self) -> bool {
        self.mode == FileMode::ReadOnly
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
