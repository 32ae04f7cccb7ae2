//! Bare guest programs for the tests, assembled by our own assembler and wrapped into ELF files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where guests are loaded and start.
const BASE: u64 = 0x8000_0000;

/// Ends the run through the test finisher with the exit code in a0.
pub(crate) const EXIT: &str = "
    exit:   li t0, 0x100000
            li t1, 0x5555
            beqz a0, exit_now
            slli t1, a0, 16
            li t2, 0x3333
            or t1, t1, t2
    exit_now: sw t1, 0(t0)
    stay:   j stay
";

/// A file that vanishes at the end of the test.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    /// A file with these bytes.
    pub(crate) fn new(bytes: impl AsRef<[u8]>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nestwalk-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("the temporary folder can be written");
        Self(path)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The ELF file of a program in assembly.
pub(crate) fn elf(source: &str) -> TempFile {
    elf_at(BASE, source)
}

/// The same for another place.
pub(crate) fn elf_at(base: u64, source: &str) -> TempFile {
    assembled(base, source).0
}

/// [`elf`], and where its labels are. The file itself has no symbols.
pub(crate) fn elf_with_labels(source: &str) -> (TempFile, BTreeMap<String, u64>) {
    assembled(BASE, source)
}

/// An ELF file with these symbols: (name, address). They may say anything.
pub(crate) fn elf_with_symbols(source: &str, symbols: &[(&str, u64)]) -> TempFile {
    let program = isa::asm::Program::assemble(BASE, source).expect("the guest assembles");
    let mut file = wrap(BASE, &program.bytes);
    let (mut names, mut table) = (vec![0], vec![0; 24]);
    for (name, address) in symbols {
        // A global symbol without a type or size, in some section.
        table.extend((names.len() as u32).to_le_bytes());
        table.extend([0x10, 0, 1, 0]);
        table.extend(address.to_le_bytes());
        table.extend([0; 8]);
        names.extend(name.bytes().chain([0]));
    }
    let table_at = file.len() as u64;
    file.extend(&table);
    let names_at = file.len() as u64;
    file.extend(&names);
    let sections_at = file.len() as u64;
    // Nothing; the symbols (SHT_SYMTAB), whose names are in section 2 and whose first global one is 1; their names.
    file.extend([0; 64]);
    let rows = [
        (2u32, table_at, table.len() as u64, 2u32, 1u32, 24u64),
        (3, names_at, names.len() as u64, 0, 0, 0),
    ];
    for (kind, at, bytes, link, info, entry) in rows {
        file.extend([0; 4]);
        file.extend(kind.to_le_bytes());
        file.extend([0; 16]);
        file.extend([at, bytes].map(u64::to_le_bytes).concat());
        file.extend([link, info].map(u32::to_le_bytes).concat());
        file.extend([1, entry].map(u64::to_le_bytes).concat());
    }
    file[40..48].copy_from_slice(&sections_at.to_le_bytes());
    // How many sections there are; the second one's names are as good as any.
    file[60..64].copy_from_slice(&[3, 0, 2, 0]);
    TempFile::new(file)
}

fn assembled(base: u64, source: &str) -> (TempFile, BTreeMap<String, u64>) {
    let program = isa::asm::Program::assemble(base, source).expect("the guest assembles");
    (TempFile::new(wrap(base, &program.bytes)), program.labels)
}

/// An ELF file with one segment that is loaded at `base` and entered there.
fn wrap(base: u64, code: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: u64 = 64;
    const SEGMENT_BYTES: u64 = 56;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    // ET_EXEC, EM_RISCV, version.
    file.extend([2, 0, 243, 0, 1, 0, 0, 0]);
    for word in [base, HEADER_BYTES, 0] {
        file.extend(word.to_le_bytes());
    }
    // Flags; sizes and counts of the headers.
    file.extend([0; 4]);
    for half in [HEADER_BYTES as u16, SEGMENT_BYTES as u16, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable, writable and executable.
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let length = code.len() as u64;
    for word in [HEADER_BYTES + SEGMENT_BYTES, base, base, length, length, 8] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
