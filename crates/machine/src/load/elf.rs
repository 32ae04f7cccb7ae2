//! ELF executables by their header and program headers alone: nothing here reads a section, so that
//! odd section tables do no harm.

use super::error::LoadError;
use super::layout::Layout;
use goblin::container::{Container, Ctx};
use goblin::elf::Elf as Goblin;
use goblin::elf::header::{EM_RISCV, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{PT_INTERP, PT_LOAD, ProgramHeader};
use isa::Pa;
use std::path::Path;

/// A loadable program.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    path: &'a Path,
    data: &'a [u8],
    entry: u64,
    /// It has no addresses of its own: it may lie anywhere.
    relocatable: bool,
    segments: Vec<ProgramHeader>,
}

/// Where a program came to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// Its first instruction.
    pub(super) entry: Pa,
    /// What to add to its addresses.
    pub(super) bias: u64,
}

/// Whether a file says that it is an ELF file.
pub(super) fn is_elf(data: &[u8]) -> bool {
    data.starts_with(b"\x7fELF")
}

impl<'a> Elf<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// The file is no 64-bit little-endian RISC-V executable, is cut off, or needs an operating system.
    pub(super) fn parse(path: &'a Path, data: &'a [u8]) -> Result<Self, LoadError> {
        let wrong = |reason: String| LoadError::Format { path: path.to_owned(), reason };
        let unreadable =
            |error: goblin::error::Error| wrong(format!("unreadable ELF file: {error}"));
        if !is_elf(data) {
            return Err(wrong("not an ELF file".into()));
        }
        let header: Header = Goblin::parse_header(data).map_err(unreadable)?;
        let container = header.container().map_err(unreadable)?;
        if header.e_machine != EM_RISCV {
            let machine = goblin::elf::header::machine_to_str(header.e_machine);
            return Err(wrong(format!("ELF file for machine {machine}, not for RISC-V")));
        }
        if container != Container::Big {
            return Err(wrong("32-bit ELF file; only 64-bit harts are built".into()));
        }
        if !header.endianness().map_err(unreadable)?.is_little() {
            return Err(wrong("big-endian ELF file; RISC-V instructions are little-endian".into()));
        }
        if !matches!(header.e_type, ET_EXEC | ET_DYN) {
            return Err(wrong("ELF file that is not linked into an executable".into()));
        }
        let ctx = Ctx::new(container, goblin::container::Endian::Little);
        if header.e_phnum != 0 && usize::from(header.e_phentsize) != ProgramHeader::size(ctx) {
            return Err(wrong(format!("program headers of {} bytes", header.e_phentsize)));
        }
        let at = usize::try_from(header.e_phoff)
            .ok()
            .filter(|&at| at <= data.len())
            .ok_or_else(|| wrong("cut off before its program headers".into()))?;
        let headers =
            ProgramHeader::parse(data, at, usize::from(header.e_phnum), ctx).map_err(unreadable)?;
        if headers.iter().any(|header| header.p_type == PT_INTERP) {
            return Err(wrong(
                "a program for an operating system: it asks for a dynamic linker".into(),
            ));
        }
        let segments: Vec<_> =
            headers.into_iter().filter(|h| h.p_type == PT_LOAD && h.p_memsz != 0).collect();
        for segment in &segments {
            let end = segment.p_offset.checked_add(segment.p_filesz);
            if end.is_none_or(|end| end > data.len() as u64) {
                return Err(wrong(format!(
                    "cut off: the segment for {:#x} needs {} bytes at offset {:#x} of a file of {}",
                    segment.p_paddr,
                    segment.p_filesz,
                    segment.p_offset,
                    data.len()
                )));
            }
            if segment.p_filesz > segment.p_memsz {
                return Err(wrong(format!(
                    "the segment for {:#x} is larger in the file than in memory",
                    segment.p_paddr
                )));
            }
        }
        if segments.is_empty() {
            return Err(wrong("ELF file with nothing to load".into()));
        }
        Ok(Self {
            path,
            data,
            entry: header.e_entry,
            relocatable: header.e_type == ET_DYN,
            segments,
        })
    }

    /// Puts the segments at their physical addresses; a program without addresses of its own (a
    /// position-independent one) at the beginning of main memory.
    ///
    /// # Errors
    /// A segment leaves main memory or overlaps something else, or no segment holds the entry.
    pub(super) fn place(&self, what: &str, layout: &mut Layout) -> Result<Placed, LoadError> {
        let lowest = self.segments.iter().map(|segment| segment.p_paddr).min().unwrap_or(0);
        let in_ram = lowest >= layout.ram().start.0;
        let bias =
            if self.relocatable && !in_ram { layout.ram().start.0.wrapping_sub(lowest) } else { 0 };
        for segment in &self.segments {
            let start = Pa(segment.p_paddr.wrapping_add(bias));
            let from = segment.p_offset as usize;
            let bytes = self.data[from..from + segment.p_filesz as usize].to_vec();
            layout.put(what, start, bytes, segment.p_memsz)?;
        }
        let entry = self.physical(self.entry).ok_or_else(|| LoadError::Format {
            path: self.path.to_owned(),
            reason: format!("its entry {:#x} lies in none of its segments", self.entry),
        })?;
        Ok(Placed { entry: Pa(entry.wrapping_add(bias)), bias })
    }

    /// The physical address of an address of the program: itself where it is one already, else
    /// through the segment that has it as virtual address.
    pub(super) fn physical(&self, address: u64) -> Option<u64> {
        let within =
            |start: u64, bytes: u64| address.checked_sub(start).filter(|&offset| offset < bytes);
        let physical = self.segments.iter().any(|s| within(s.p_paddr, s.p_memsz).is_some());
        if physical {
            return Some(address);
        }
        self.segments.iter().find_map(|segment| {
            let offset = within(segment.p_vaddr, segment.p_memsz)?;
            Some(segment.p_paddr.wrapping_add(offset))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::Range;

    /// A segment for a made-up ELF file: physical and virtual address, bytes, length in memory.
    pub(crate) struct Segment<'a>(
        pub(crate) u64,
        pub(crate) u64,
        pub(crate) &'a [u8],
        pub(crate) u64,
    );

    /// An ELF file laid out by hand after the ELF-64 specification, with a section table offset
    /// that points nowhere.
    pub(crate) fn elf_file(kind: u16, entry: u64, segments: &[Segment<'_>]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(kind.to_le_bytes());
        file.extend(243u16.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(entry.to_le_bytes());
        file.extend(64u64.to_le_bytes());
        file.extend(0xdead_beefu64.to_le_bytes());
        file.extend(0u32.to_le_bytes());
        for half in [64, 56, segments.len() as u16, 64, 77, 76] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = (64 + 56 * segments.len()) as u64;
        for Segment(paddr, vaddr, bytes, memsz) in segments {
            file.extend(1u32.to_le_bytes());
            file.extend(7u32.to_le_bytes());
            for word in [offset, *vaddr, *paddr, bytes.len() as u64, *memsz, 0x1000] {
                file.extend(word.to_le_bytes());
            }
            offset += bytes.len() as u64;
        }
        for Segment(_, _, bytes, _) in segments {
            file.extend_from_slice(bytes);
        }
        file
    }

    const RAM: Range = Range { start: Pa(0x8000_0000), bytes: 0x10_0000 };

    fn place(file: &[u8]) -> Result<(Placed, Layout), LoadError> {
        let mut layout = Layout::new(RAM);
        let elf = Elf::parse(Path::new("a.elf"), file)?;
        let placed = elf.place("a.elf", &mut layout)?;
        Ok((placed, layout))
    }

    #[test]
    fn segments_go_to_physical_addresses() {
        let segments = [
            Segment(0x8000_0000, 0xffff_0000_0000_0000, &[1, 2, 3], 16),
            Segment(0x8000_1000, 0x1000, &[4], 1),
        ];
        let (placed, layout) = place(&elf_file(2, 0xffff_0000_0000_0002, &segments)).unwrap();
        assert_eq!(placed, Placed { entry: Pa(0x8000_0002), bias: 0 });
        assert_eq!(layout.pieces()[0].bytes, [1, 2, 3]);
        assert_eq!(layout.pieces()[0].range, Range { start: Pa(0x8000_0000), bytes: 16 });
        assert_eq!(layout.pieces()[1].range.start, Pa(0x8000_1000));
    }

    #[test]
    fn a_position_independent_program_goes_to_the_beginning_of_memory() {
        let (placed, _) = place(&elf_file(3, 0x10, &[Segment(0, 0, &[0; 64], 64)])).unwrap();
        assert_eq!(placed, Placed { entry: Pa(0x8000_0010), bias: 0x8000_0000 });
    }

    #[test]
    fn a_program_with_addresses_outside_memory_is_refused() {
        let result = place(&elf_file(2, 0x10, &[Segment(0, 0, &[0; 64], 64)]));
        assert!(matches!(result, Err(LoadError::OutsideRam { .. })));
        let result = place(&elf_file(2, 0x8000_0000, &[Segment(0x8000_0000, 0, &[], u64::MAX)]));
        assert!(matches!(result, Err(LoadError::OutsideRam { .. })));
    }

    #[test]
    fn what_is_no_program_for_us_says_why() {
        let good = elf_file(2, 0x8000_0000, &[Segment(0x8000_0000, 0, &[0; 64], 64)]);
        assert!(place(&good).is_ok());
        let with = |at: usize, byte: u8| {
            let mut file = good.clone();
            file[at] = byte;
            place(&file).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(with(0, 0), "a.elf: not an ELF file");
        assert_eq!(with(18, 62), "a.elf: ELF file for machine X86_64, not for RISC-V");
        assert!(with(16, 1).contains("not linked"));
        assert!(with(5, 2).contains("a.elf: "));
        assert!(with(54, 57).contains("57 bytes"));
        assert!(with(56, 0).contains("nothing to load"));
        assert!(with(24, 0x40).contains("entry"));
        assert!(with(64, 3).contains("dynamic linker"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_a_panic() {
        let good = elf_file(2, 0x8000_0000, &[Segment(0x8000_0000, 0, &[0; 64], 64)]);
        for len in 0..good.len() {
            assert!(place(&good[..len]).is_err(), "{len}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = good.clone();
                file[at] = byte;
                let _ = place(&file);
            }
        }
    }
}
