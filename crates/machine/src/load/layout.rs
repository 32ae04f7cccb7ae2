//! What lies where in main memory before the first instruction. Everything is checked against
//! everything else before a byte is written.

use super::error::{LoadError, Range};
use devices::{Dma, OutOfRam};
use isa::Pa;
use std::fmt;

/// Bytes at a place.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is, for messages; pieces with the same name may overlap.
    pub what: String,
    /// The place, at least as long as the bytes; the rest is zero.
    pub range: Range,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Megabytes of bytes help nobody.
        write!(f, "{} at {}", self.what, self.range)
    }
}

/// The pieces of a machine.
#[derive(Clone, Debug)]
pub struct Layout {
    ram: Range,
    pieces: Vec<Piece>,
}

impl Layout {
    /// Nothing yet.
    pub fn new(ram: Range) -> Self {
        Self { ram, pieces: Vec::new() }
    }

    /// Main memory.
    pub fn ram(&self) -> Range {
        self.ram
    }

    /// Puts something in its place.
    ///
    /// # Errors
    /// It leaves main memory, or overlaps something else.
    pub fn put(
        &mut self,
        what: &str,
        start: Pa,
        bytes: Vec<u8>,
        length: u64,
    ) -> Result<(), LoadError> {
        let range = Range { start, bytes: length.max(bytes.len() as u64) };
        if !self.ram.contains(&range) {
            let hint = if range.start < self.ram.start {
                "; link it for main memory, and without a build id (-Wl,--build-id=none)"
            } else if range.bytes != 0 {
                "; try a larger --memory"
            } else {
                ""
            };
            return Err(LoadError::OutsideRam {
                what: what.to_owned(),
                range,
                ram: self.ram,
                hint,
            });
        }
        let in_the_way =
            self.pieces.iter().find(|other| other.what != what && other.range.overlaps(&range));
        if let Some(other) = in_the_way {
            let fixed = |what: &str| what.contains(super::jump::COPY);
            let hint = if fixed(what) || fixed(&other.what) {
                "; fw_jump's places are fixed, use fw_dynamic"
            } else {
                "; try a larger --memory"
            };
            return Err(LoadError::Overlap {
                first: other.what.clone(),
                first_range: other.range,
                second: what.to_owned(),
                second_range: range,
                hint,
            });
        }
        self.pieces.push(Piece { what: what.to_owned(), range, bytes });
        Ok(())
    }

    /// The pieces, in the order in which they are to be written.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Writes the pieces into main memory. What they hold beyond their bytes is zeroed only where memory has been
    /// `used`: untouched memory is zero already, and writing it would commit it.
    ///
    /// # Errors
    /// `memory` is smaller than the main memory that the pieces were checked against.
    pub fn write(&self, memory: &dyn Dma, used: bool) -> Result<(), OutOfRam> {
        const CHUNK: [u8; 0x1000] = [0; 0x1000];
        for Piece { range, bytes, .. } in &self.pieces {
            memory.write_bytes(range.start, bytes)?;
            let mut at = bytes.len() as u64;
            while used && at < range.bytes {
                let n = (range.bytes - at).min(CHUNK.len() as u64);
                memory.write_bytes(Pa(range.start.0 + at), &CHUNK[..n as usize])?;
                at += n;
            }
        }
        Ok(())
    }

    /// The pieces as text, one a line, by address.
    pub fn map(&self) -> String {
        let mut pieces: Vec<&Piece> = self.pieces.iter().collect();
        pieces.sort_by_key(|piece| piece.range.start);
        pieces.iter().map(|piece| format!("{} {}\n", piece.range, piece.what)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(Range { start: Pa(0x8000_0000), bytes: 0x10_0000 })
    }

    #[test]
    fn an_overlap_names_both_things_and_both_ranges() {
        let mut layout = layout();
        layout.put("kernel a", Pa(0x8000_0000), vec![0; 16], 0x2000).unwrap();
        let error = layout.put("initrd b", Pa(0x8000_1fff), vec![0; 2], 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "kernel a at 0x80000000-0x80001fff (8192 bytes) and initrd b at 0x80001fff-0x80002000 (2 bytes) \
             overlap; try a larger --memory"
        );
        layout.put("initrd b", Pa(0x8000_2000), vec![0; 2], 0).unwrap();
    }

    #[test]
    fn what_leaves_memory_is_refused() {
        let mut layout = layout();
        for (start, bytes) in
            [(0x7fff_ffff, 2), (0x800f_ffff, 2), (u64::MAX, 2), (0x8000_0000, u64::MAX), (0, 1)]
        {
            let result = layout.put("x", Pa(start), Vec::new(), bytes);
            assert!(matches!(result, Err(LoadError::OutsideRam { .. })), "{start:#x}");
        }
        layout.put("x", Pa(0x800f_ffff), vec![1], 0).unwrap();
    }

    #[test]
    fn used_memory_is_zeroed_where_a_piece_has_no_bytes() {
        let ram = mmu::Ram::new(Pa(0x8000_0000), 0x10_0000).unwrap();
        let mut layout = layout();
        layout.put("elf", Pa(0x8000_0ffe), vec![1, 2], 0x3000).unwrap();
        let byte = |at: u64| ram.read::<u8>(Pa(0x8000_0000 + at));
        for at in [0xffd, 0x1000, 0x3ffd, 0x3ffe] {
            ram.write(Pa(0x8000_0000 + at), 9u8).unwrap();
        }
        layout.write(&ram, true).unwrap();
        let seen = [0xffd, 0xffe, 0xfff, 0x1000, 0x3ffd, 0x3ffe].map(byte);
        assert_eq!(seen, [9, 1, 2, 0, 0, 9].map(Some));
    }

    #[test]
    fn pieces_of_one_thing_may_overlap() {
        let mut layout = layout();
        layout.put("elf", Pa(0x8000_0000), vec![0; 16], 0).unwrap();
        layout.put("elf", Pa(0x8000_0008), vec![0; 16], 0).unwrap();
        assert_eq!(layout.pieces().len(), 2);
    }
}
