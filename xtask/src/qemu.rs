//! QEMU, which we are measured beside, from Debian's packages.
//!
//! Debian 12 has a QEMU of 2022; the one that figures are about, 10.0, is in its backports. Those are read for this one installation:
//! the system's own sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::inputs;
use crate::process;
use crate::sources::{self, Source};
use crate::tools;

/// The program.
const PROGRAM: &str = "qemu-system-riscv64";

/// The package that has it, from Debian 13 and the backports of 12 on.
const PACKAGE: &str = "qemu-system-riscv";

/// The release whose own QEMU is too old.
const OLD: &str = "bookworm";

/// Where it is, if it is installed.
pub fn find() -> Option<PathBuf> {
    process::find(PROGRAM)
}

/// The same, installed where it is missing.
///
/// # Errors
/// It is missing and this is not Debian, or the user is not root, or the package cannot be had.
pub fn installed() -> Result<PathBuf> {
    if let Some(path) = find() {
        return Ok(path);
    }
    let etc = Path::new("/etc");
    let release = fs::read_to_string(etc.join("os-release")).unwrap_or_default();
    if codename(&release) == Some(OLD) {
        let source = sources::debian_mirror(etc)?
            .context("this system's apt sources name no Debian mirror with backports")?;
        let folder = inputs::root().join("qemu-sources");
        write_sources(&folder, &etc.join("apt/sources.list.d"), &backports(&source))?;
        let parts = format!("Dir::Etc::sourceparts={}", folder.display());
        let release = format!("--target-release={OLD}-backports");
        tools::apt_install_with(&["-o", &parts], &[&release], &[PACKAGE])?;
    } else {
        tools::apt_install(&[PACKAGE])?;
    }
    find().with_context(|| format!("the package {PACKAGE} has no {PROGRAM}"))
}

/// The name of the release that os-release is of.
fn codename(release: &str) -> Option<&str> {
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(name.trim_matches('"'))
}

/// The backports where the release itself comes from.
fn backports(source: &Source) -> String {
    let uris = source.uris.join(" ");
    let mut text = format!("Types: deb\nURIs: {uris}\nSuites: {OLD}-backports\nComponents: main\n");
    for (field, value) in &source.trust {
        text.push_str(&format!("{field}: {value}\n"));
    }
    text
}

/// A folder with the system's additional sources and one more.
fn write_sources(folder: &Path, system: &Path, more: &str) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(system).into_iter().flatten() {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    fs::write(folder.join("nestwalk-backports.sources"), more)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_known_by_its_name() {
        let bookworm = "VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(codename(bookworm), Some(OLD));
        assert_eq!(codename("VERSION_CODENAME=\"trixie\"\n"), Some("trixie"));
        assert_eq!(codename("ID=arch\n"), None);
    }

    #[test]
    fn backports_come_from_where_the_release_does_and_beside_it() {
        let source = Source {
            uris: vec!["http://mirror.example/debian".to_owned()],
            trust: vec![("Signed-By", "/keys/debian.gpg".to_owned())],
            ..Source::default()
        };
        let folder = std::env::temp_dir().join(format!("nestwalk-sources-{}", std::process::id()));
        let system = folder.join("system");
        fs::create_dir_all(&system).unwrap();
        fs::write(system.join("debian.sources"), "own").unwrap();
        let made = folder.join("made");
        write_sources(&made, &system, &backports(&source)).unwrap();
        let kept = fs::read_to_string(made.join("debian.sources")).unwrap();
        let added = fs::read_to_string(made.join("nestwalk-backports.sources")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(kept, "own");
        assert_eq!(
            added,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\n\
             Components: main\nSigned-By: /keys/debian.gpg\n"
        );
    }
}
