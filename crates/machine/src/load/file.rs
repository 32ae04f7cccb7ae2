//! Reading files to a limit.

use super::error::LoadError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file that is read for its symbols, in bytes: a kernel with debug information.
pub(super) const SYMBOL_FILE_BYTES_MAX: u64 = 2 << 30;
/// How much is read from what is no regular file and may have no end, in bytes.
const ENDLESS_BYTES_MAX: u64 = 256 << 20;
/// The largest device tree that is read, in bytes.
pub(super) const TREE_BYTES_MAX: u64 = 1 << 20;

/// All of a file.
///
/// # Errors
/// It cannot be read, or is larger than `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| LoadError::Read { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let length = metadata.len();
    let limit = if metadata.is_file() { limit } else { limit.min(ENDLESS_BYTES_MAX) };
    let mut data = Vec::new();
    if length <= limit {
        // Pipes and devices do not tell their length, so the limit counts here as well.
        file.take(limit.saturating_add(1)).read_to_end(&mut data).map_err(unreadable)?;
    }
    let bytes = length.max(data.len() as u64);
    if bytes > limit {
        return Err(LoadError::TooLarge { path: path.to_owned(), bytes, limit });
    }
    Ok(data)
}
