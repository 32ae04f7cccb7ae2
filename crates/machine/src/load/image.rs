//! The header of a RISC-V Linux `Image` [Linux, Documentation/arch/riscv/boot-image-header.rst].

use super::error::LoadError;
use isa::{Decoder, ExtSet};
use std::path::Path;

/// "RISCV", the magic of version 0.1 and before.
const MAGIC_OLD: (usize, &[u8]) = (48, b"RISCV\0\0\0");
/// The magic since version 0.2.
const MAGIC: (usize, &[u8]) = (56, b"RSC\x05");
/// The magic of the same header on 64-bit ARM.
const MAGIC_ARM64: (usize, &[u8]) = (56, b"ARM\x64");
const HEADER_BYTES: usize = 64;
const FLAG_BIG_ENDIAN: u64 = 1;

/// What a kernel that is no ELF file says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Image {
    /// A Linux `Image`.
    Linux {
        /// Where it wants to lie, from the beginning of main memory.
        text_offset: u64,
        /// How much memory it takes, with what is zero and not in the file.
        bytes: u64,
    },
    /// No header, but instructions at the beginning: U-Boot, for example.
    Raw,
}

impl Image {
    /// Reads the header.
    ///
    /// # Errors
    /// It is neither a RISC-V image nor anything that begins with RISC-V instructions.
    pub(super) fn parse(path: &Path, data: &[u8]) -> Result<Self, LoadError> {
        let wrong =
            |reason: &str| LoadError::Format { path: path.to_owned(), reason: reason.into() };
        let has = |(at, magic): (usize, &[u8])| {
            data.get(at..).is_some_and(|rest| rest.starts_with(magic))
        };
        let double = |at: usize| {
            let bytes = data.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            bytes.map(u64::from_le_bytes).ok_or_else(|| wrong("cut off inside its header"))
        };
        if data.is_empty() {
            return Err(wrong("an empty file"));
        }
        if has(MAGIC) || has(MAGIC_OLD) {
            if data.len() <= HEADER_BYTES {
                return Err(wrong("cut off after the header of a Linux Image"));
            }
            if double(24)? & FLAG_BIG_ENDIAN != 0 {
                return Err(wrong("a big-endian Linux Image; only little-endian ones run"));
            }
            let bytes = match double(16)? {
                0 => data.len() as u64,
                bytes => bytes.max(data.len() as u64),
            };
            return Ok(Self::Linux { text_offset: double(8)?, bytes });
        }
        if has(MAGIC_ARM64) {
            return Err(wrong("a Linux Image for 64-bit ARM, not for RISC-V"));
        }
        if data.starts_with(b"MZ") {
            return Err(wrong("an EFI program without the header of a RISC-V Linux Image"));
        }
        if begins_with_instructions(data) {
            Ok(Self::Raw)
        } else {
            Err(wrong(
                "neither a Linux Image nor an ELF file, and it does not begin with instructions",
            ))
        }
    }
}

/// Whether the first few parcels all decode.
fn begins_with_instructions(data: &[u8]) -> bool {
    const LOOKED_AT: usize = 4;
    let decoder = Decoder::new(&ExtSet::default_set());
    let mut at = 0;
    for _ in 0..LOOKED_AT {
        let Some(&[a, b]) = data.get(at..).and_then(|rest| rest.first_chunk()) else {
            return at != 0 && at == data.len();
        };
        let upper = data.get(at + 2..).and_then(|rest| rest.first_chunk()).copied();
        let [c, d] = upper.unwrap_or_default();
        match decoder.decode(u32::from_le_bytes([a, b, c, d])) {
            Some(insn) => at += usize::from(insn.len),
            None => return false,
        }
    }
    at <= data.len()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An image with a header written by hand.
    pub(crate) fn image(text_offset: u64, image_bytes: u64, length: usize) -> Vec<u8> {
        let mut data = vec![0; length.max(HEADER_BYTES)];
        data[8..16].copy_from_slice(&text_offset.to_le_bytes());
        data[16..24].copy_from_slice(&image_bytes.to_le_bytes());
        data[48..56].copy_from_slice(MAGIC_OLD.1);
        data[56..60].copy_from_slice(MAGIC.1);
        data
    }

    fn parse(data: &[u8]) -> Result<Image, String> {
        Image::parse(Path::new("k"), data).map_err(|error| error.to_string())
    }

    #[test]
    fn an_image_counts_its_zeroes() {
        let data = image(0x20_0000, 0x5000, 0x1000);
        assert_eq!(parse(&data), Ok(Image::Linux { text_offset: 0x20_0000, bytes: 0x5000 }));
        let data = image(0x20_0000, 0, 0x1000);
        assert_eq!(parse(&data), Ok(Image::Linux { text_offset: 0x20_0000, bytes: 0x1000 }));
    }

    #[test]
    fn what_begins_with_instructions_is_raw_code() {
        // auipc t0, 0; addi a0, zero, 1; c.nop; ret
        let code = [0x97, 0x02, 0, 0, 0x13, 0x05, 0x10, 0, 1, 0, 0x82, 0x80];
        assert_eq!(parse(&code), Ok(Image::Raw));
        assert_eq!(parse(&code[8..]), Ok(Image::Raw));
        assert!(parse(&[0; 100]).unwrap_err().contains("does not begin with instructions"));
        assert!(parse(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn other_files_say_what_they_are() {
        assert!(parse(&[]).unwrap_err().contains("empty"));
        let mut arm = image(0, 0, 0x100);
        arm[48..60].copy_from_slice(b"\0\0\0\0\0\0\0\0ARM\x64");
        assert!(parse(&arm).unwrap_err().contains("ARM"));
        let mut big = image(0, 0, 0x100);
        big[24] = 1;
        assert!(parse(&big).unwrap_err().contains("big-endian"));
        assert!(parse(&image(0, 0, 64)).unwrap_err().contains("cut off"));
        assert!(parse(b"MZ and more").unwrap_err().contains("EFI"));
    }
}
