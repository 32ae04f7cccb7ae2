//! The first root file system: busybox, our init, the kernel's modules, and a script to run.
//!
//! Built in memory from the inputs; the same inputs and script give the same bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cpio::Archive;
use crate::inputs::Inputs;
use crate::modules;

/// What init prints once user space runs.
pub const READY: &str = "nestwalk-init: ready";

/// What init prints, followed by the exit status, when the script has ended.
pub const SCRIPT_EXIT: &str = "nestwalk-init: script exit ";

const INIT: &str = include_str!("init.sh");

const DIRECTORIES: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "lib",
    "lib/modules",
    "mnt",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/sbin",
];

/// Small files of the system: (path, text). `mount` without a type tries what `etc/filesystems` names, and the
/// kernel then loads the module.
const FILES: &[(&str, &str)] = &[
    ("etc/filesystems", "ext4\n*\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
];

/// A file that an archive carries beside those of every archive.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Where it stands, without a slash in front; folders above it that no archive has are made.
    pub path: String,
    /// The low twelve bits of its mode.
    pub permissions: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Extra {
    /// A copy of the file at `from`.
    pub fn copy(path: &str, permissions: u32, from: &Path) -> Result<Extra> {
        let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        Ok(Extra { path: path.to_owned(), permissions, bytes })
    }
}

/// An archive, described.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Busybox and the kernel's modules.
    pub inputs: &'a Inputs,
    /// What init runs before it powers off; without one it starts a shell on the console.
    pub script: Option<&'a str>,
    /// More files.
    pub extra: &'a [Extra],
    /// Whether the kernel's modules are in it. A machine without virtio devices needs none.
    pub with_modules: bool,
}

impl Plan<'_> {
    /// The archive, uncompressed: to unpack it would be work for the machine.
    pub fn build(&self) -> Result<Vec<u8>> {
        let busybox = self.inputs.busybox();
        let busybox =
            fs::read(&busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
        let mut archive = Archive::new();
        for path in DIRECTORIES {
            archive.directory(path, 0o755)?;
        }
        archive.character_device("dev/console", 0o600, (5, 1))?;
        archive.file("bin/busybox", 0o755, &busybox)?;
        archive.symlink("bin/sh", "busybox")?;
        for (path, text) in FILES {
            archive.file(path, 0o644, text.as_bytes())?;
        }
        archive.file("init", 0o755, INIT.as_bytes())?;
        if let Some(script) = self.script {
            archive.file("script", 0o755, script.as_bytes())?;
        }
        if self.with_modules {
            self.add_modules(&mut archive)?;
        }
        let mut folders: BTreeSet<&str> = DIRECTORIES.iter().copied().collect();
        for file in self.extra {
            for (end, _) in file.path.match_indices('/') {
                if folders.insert(&file.path[..end]) {
                    archive.directory(&file.path[..end], 0o755)?;
                }
            }
            archive.file(&file.path, file.permissions, &file.bytes)?;
        }
        Ok(archive.finish())
    }

    fn add_modules(&self, archive: &mut Archive) -> Result<()> {
        let Some(found) = self.inputs.modules()? else { return Ok(()) };
        let folder = format!("lib/modules/{}", found.release);
        let modules = modules::read_all(&found.directory)?;
        archive.directory(&folder, 0o755)?;
        for module in &modules {
            archive.file(&format!("{folder}/{}.ko", module.name), 0o644, &module.bytes)?;
        }
        let index = [
            ("modules.dep", modules::dependency_index(&modules)),
            ("modules.alias", modules::alias_index(&modules)),
        ];
        for (name, text) in index {
            archive.file(&format!("{folder}/{name}"), 0o644, text.as_bytes())?;
        }
        Ok(())
    }
}

/// The exit status that init reported for the script, if the console shows one.
pub fn script_exit(console: &[u8]) -> Option<u8> {
    let text = String::from_utf8_lossy(console);
    let (_, after) = text.rsplit_once(SCRIPT_EXIT)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_prints_the_words_that_are_looked_for() {
        assert!(INIT.contains(READY) && INIT.contains(SCRIPT_EXIT));
        assert!(INIT.starts_with("#!/bin/busybox sh\n"));
    }

    #[test]
    fn script_exit_is_the_last_one_reported() {
        let console = b"nestwalk-init: script exit 1\r\nnestwalk-init: script exit 37\r\n[ 1.0] x";
        assert_eq!(script_exit(console), Some(37));
        assert_eq!(script_exit(b"nestwalk-init: ready\r\n"), None);
        assert_eq!(script_exit(b"nestwalk-init: script exit 999"), None);
    }
}
