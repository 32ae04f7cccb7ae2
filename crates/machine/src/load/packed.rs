//! Compressed images: gzip and zstd, plain or inside an EFI zboot image, unpacked to a limit.

use super::error::LoadError;
use flate2::read::GzDecoder;
use std::io::{self, Read};
use std::path::Path;

/// How an image is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Gzip,
    Zstd,
}

/// Formats that are known and not built.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x02\x21\x4c\x18", "LZ4"),
    (b"\x89LZO", "LZO"),
    (b"\x5d\x00\x00", "LZMA"),
];

impl Format {
    fn of(data: &[u8]) -> Option<Self> {
        match data {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// What a file holds: itself, or what it unpacks to.
///
/// # Errors
/// It is damaged, compressed in a way that is not built, or unpacks to more than `limit` bytes.
pub(super) fn unpack(path: &Path, data: Vec<u8>, limit: u64) -> Result<Vec<u8>, LoadError> {
    let wrong = |reason: String| LoadError::Format { path: path.to_owned(), reason };
    let payload = match zboot_payload(&data) {
        None => data.as_slice(),
        Some(Ok(payload)) => payload,
        Some(Err(reason)) => return Err(wrong(reason)),
    };
    let Some(format) = Format::of(payload) else {
        return match OTHERS.iter().find(|(magic, _)| payload.starts_with(magic)) {
            Some((_, name)) => {
                Err(wrong(format!("compressed with {name}; only gzip and zstd can be unpacked")))
            }
            None => Ok(data),
        };
    };
    let unpacked = match format {
        Format::Gzip => read_limited(GzDecoder::new(payload), limit),
        Format::Zstd => zstd::stream::read::Decoder::new(payload)
            .and_then(|decoder| read_limited(decoder.single_frame(), limit)),
    };
    match unpacked {
        Ok(bytes) if bytes.len() as u64 > limit => {
            Err(LoadError::TooLarge { path: path.to_owned(), bytes: bytes.len() as u64, limit })
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(wrong(format!("damaged {format:?} data: {error}"))),
    }
}

/// Reads to the end, or to one byte beyond the limit.
fn read_limited(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The compressed kernel in an EFI zboot image: "MZ", "zimg", then its offset and size.
fn zboot_payload(data: &[u8]) -> Option<Result<&[u8], String>> {
    if !data.starts_with(b"MZ") || data.get(4..8)? != b"zimg" {
        return None;
    }
    let word = |at: usize| data.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let (offset, size) = (word(8)?, word(12)?);
    let (offset, size) = (u32::from_le_bytes(offset) as usize, u32::from_le_bytes(size) as usize);
    let payload = offset.checked_add(size).and_then(|end| data.get(offset..end));
    Some(
        payload.ok_or_else(|| format!("cut off: its kernel of {size} bytes begins at {offset:#x}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zboot(payload: &[u8]) -> Vec<u8> {
        let mut file = b"MZ\0\0zimg".to_vec();
        file.extend(64u32.to_le_bytes());
        file.extend((payload.len() as u32).to_le_bytes());
        file.resize(64, 0);
        file.extend(payload);
        file
    }

    fn unpacked(data: Vec<u8>) -> Result<Vec<u8>, String> {
        unpack(Path::new("k"), data, 10_000).map_err(|error| error.to_string())
    }

    #[test]
    fn every_wrapping_gives_the_same_bytes() {
        let plain: Vec<u8> = (0..9_999u32).map(|n| (n / 7) as u8).collect();
        let zstd = zstd::bulk::compress(&plain, 1).unwrap();
        assert_eq!(unpacked(plain.clone()), Ok(plain.clone()));
        assert_eq!(unpacked(gzip(&plain)), Ok(plain.clone()));
        assert_eq!(unpacked(zstd.clone()), Ok(plain.clone()));
        assert_eq!(unpacked(zboot(&gzip(&plain))), Ok(plain.clone()));
        assert_eq!(unpacked(zboot(&zstd)), Ok(plain));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for bomb in [gzip(&[0; 100_000]), zstd::bulk::compress(&[0; 100_000], 1).unwrap()] {
            let result = unpack(Path::new("k"), bomb, 10_000);
            assert!(matches!(result, Err(LoadError::TooLarge { bytes: 10_001, .. })));
        }
    }

    #[test]
    fn damage_and_strange_formats_are_named() {
        let mut bad = gzip(&[1; 1000]);
        bad.truncate(bad.len() - 4);
        assert!(unpacked(bad).unwrap_err().contains("damaged Gzip data"));
        assert!(unpacked(b"\xfd7zXZ\0rest".to_vec()).unwrap_err().contains("xz"));
        let mut cut = zboot(&gzip(&[1; 1000]));
        cut.pop();
        assert!(unpacked(cut).unwrap_err().contains("cut off"));
        assert_eq!(unpacked(b"MZ\0\0zimg".to_vec()), Ok(b"MZ\0\0zimg".to_vec()));
    }
}
