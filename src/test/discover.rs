//! Finds the test programs that a command line means.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One ELF file to run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Program {
    /// What reports call it: its path, from the folder that was asked for on.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Why it cannot run here, if it cannot.
    pub(crate) unsuitable: Option<&'static str>,
}

/// The programs that `paths` name or contain, sorted and without repetition.
///
/// A named file is always a program, whatever is in it; in folders everything but executable RISC-V
/// ELF files is passed over.
///
/// # Errors
/// A path that does not exist or cannot be read, or nothing to run at all.
pub(crate) fn programs(paths: &[PathBuf]) -> Result<Vec<Program>> {
    let mut found = BTreeSet::new();
    let mut searched = BTreeSet::new();
    for path in paths {
        let meta = fs::metadata(path).with_context(|| path.display().to_string())?;
        if meta.is_dir() {
            search(path, path, &mut searched, &mut found)?;
        } else {
            let name = path.display().to_string();
            let unsuitable = match kind(path)? {
                Kind::Program(unsuitable) => unsuitable,
                Kind::Other => None,
            };
            found.insert(Program { name, path: path.clone(), unsuitable });
        }
    }
    if found.is_empty() {
        bail!("no RISC-V ELF program in {}", paths[0].display());
    }
    Ok(found.into_iter().collect())
}

/// Adds what is below `folder`. Each folder is searched once, whatever links lead to it.
fn search(
    top: &Path,
    folder: &Path,
    searched: &mut BTreeSet<PathBuf>,
    found: &mut BTreeSet<Program>,
) -> Result<()> {
    if !searched.insert(fs::canonicalize(folder).with_context(|| folder.display().to_string())?) {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        // A dangling link is nobody's test.
        let Ok(meta) = fs::metadata(&path) else { continue };
        if meta.is_dir() {
            search(top, &path, searched, found)?;
        } else if meta.is_file()
            && let Kind::Program(unsuitable) = kind(&path)?
        {
            let name = path.strip_prefix(top).unwrap_or(&path).display().to_string();
            found.insert(Program { name, path, unsuitable });
        }
    }
    Ok(())
}

enum Kind {
    /// An executable RISC-V ELF file, and why it cannot run here if it cannot.
    Program(Option<&'static str>),
    Other,
}

/// Looks at the first bytes of the ELF header: class, type and machine.
fn kind(path: &Path) -> Result<Kind> {
    const ET_EXEC: u8 = 2;
    const ET_DYN: u8 = 3;
    const EM_RISCV: u8 = 243;
    let mut header = [0u8; 20];
    let mut file = fs::File::open(path).with_context(|| path.display().to_string())?;
    if file.read_exact(&mut header).is_err() {
        return Ok(Kind::Other);
    }
    Ok(match header {
        [0x7f, b'E', b'L', b'F', class, data, .., ET_EXEC | ET_DYN, 0, EM_RISCV, 0] => {
            Kind::Program(match (class, data) {
                (2, 1) => None,
                (1, _) => Some("a 32-bit program"),
                _ => Some("not little-endian"),
            })
        }
        _ => Kind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(class: u8, file_type: u8, machine: u8) -> Vec<u8> {
        let mut header = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
        header.resize(16, 0);
        header.extend([file_type, 0, machine, 0]);
        header
    }

    #[test]
    fn folders_yield_executable_riscv_files_once() {
        let top = std::env::temp_dir().join(format!("nestwalk-discover-{}", std::process::id()));
        let inner = top.join("b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(top.join("z.elf"), elf(2, 2, 243)).unwrap();
        fs::write(inner.join("a"), elf(2, 3, 243)).unwrap();
        fs::write(inner.join("rv32"), elf(1, 2, 243)).unwrap();
        fs::write(top.join("object.o"), elf(2, 1, 243)).unwrap();
        fs::write(top.join("x86"), elf(2, 2, 62)).unwrap();
        fs::write(top.join("short"), "x").unwrap();
        std::os::unix::fs::symlink(&top, inner.join("loop")).unwrap();
        let found = programs(std::slice::from_ref(&top)).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["b/a", "b/rv32", "z.elf"]);
        assert!(found.iter().any(|p| p.name == "b/rv32" && p.unsuitable.is_some()));
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let error = programs(&["/nonexistent/x".into()]).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/x"));
    }
}
