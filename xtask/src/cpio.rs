//! A writer of `newc` cpio archives, the format in which the kernel unpacks its first root file system
//! (kernel documentation, "initramfs buffer format").
//!
//! The same calls give the same bytes: inode numbers count up, every time stamp is zero, everything belongs to
//! root. A boot can therefore be repeated exactly. It never reads the file system.

use thiserror::Error;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Why an entry does not fit the format.
#[derive(Debug, Error)]
pub enum CpioError {
    /// The header has eight hexadecimal digits for the size of a file.
    #[error("{path} has {bytes} bytes: a newc archive holds files below 4 GiB")]
    TooLarge {
        /// The entry's path.
        path: String,
        /// Its size.
        bytes: usize,
    },
    /// Names end at a NUL, and an absolute one would leave the archive's root.
    #[error(
        "{path:?} cannot be a name in the archive: it is empty, starts with '/' or holds a NUL"
    )]
    BadName {
        /// The name that was asked for.
        path: String,
    },
}

/// An archive that grows entry by entry. A directory must be added before what is in it.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

/// What a header says beside the name.
struct Entry<'a> {
    mode: u32,
    links: u32,
    device: (u32, u32),
    data: &'a [u8],
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Archive {
        Archive::default()
    }

    /// Adds a directory; `permissions` are the low twelve bits of its mode.
    pub fn directory(&mut self, path: &str, permissions: u32) -> Result<(), CpioError> {
        let mode = DIRECTORY | permissions;
        self.entry(path, &Entry { mode, links: 2, device: (0, 0), data: &[] })
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> Result<(), CpioError> {
        let mode = REGULAR | permissions;
        self.entry(path, &Entry { mode, links: 1, device: (0, 0), data })
    }

    /// Adds a symbolic link to `target`.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), CpioError> {
        let data = target.as_bytes();
        self.entry(path, &Entry { mode: SYMLINK | 0o777, links: 1, device: (0, 0), data })
    }

    /// Adds a character device with its (major, minor) number.
    pub fn character_device(
        &mut self,
        path: &str,
        permissions: u32,
        device: (u32, u32),
    ) -> Result<(), CpioError> {
        let mode = CHARACTER_DEVICE | permissions;
        self.entry(path, &Entry { mode, links: 1, device, data: &[] })
    }

    /// Closes the archive and returns its bytes, a multiple of 512 as cpio itself writes them.
    pub fn finish(mut self) -> Vec<u8> {
        let end = Entry { mode: 0, links: 1, device: (0, 0), data: &[] };
        self.append(0, "TRAILER!!!", 0, &end);
        self.pad(512);
        self.bytes
    }

    fn entry(&mut self, path: &str, entry: &Entry<'_>) -> Result<(), CpioError> {
        if path.is_empty() || path.starts_with('/') || path.contains('\0') {
            return Err(CpioError::BadName { path: path.to_owned() });
        }
        let bytes = entry.data.len();
        let size = u32::try_from(bytes)
            .map_err(|_| CpioError::TooLarge { path: path.to_owned(), bytes })?;
        self.entries += 1;
        self.append(self.entries, path, size, entry);
        Ok(())
    }

    fn append(&mut self, inode: u32, path: &str, size: u32, entry: &Entry<'_>) {
        let name_bytes = path.len() as u32 + 1;
        let (owner, group, mtime, check) = (0, 0, 0, 0);
        let on_device = (0, 0);
        let header = [
            inode,
            entry.mode,
            owner,
            group,
            entry.links,
            mtime,
            size,
            on_device.0,
            on_device.1,
            entry.device.0,
            entry.device.1,
            name_bytes,
            check,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in header {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(entry.data);
        self.pad(4);
    }

    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new();
        archive.directory("bin", 0o755).unwrap();
        archive.file("bin/hello", 0o755, b"hi\n").unwrap();
        archive.symlink("bin/hallo", "hello").unwrap();
        archive.character_device("console", 0o600, (5, 1)).unwrap();
        archive.finish()
    }

    #[test]
    fn header_is_the_hundred_and_ten_characters_of_newc() {
        let mut archive = Archive::new();
        archive.file("a", 0o644, b"xyz").unwrap();
        let bytes = archive.finish();
        let header = concat!(
            "070701", "00000001", "000081a4", "00000000", "00000000", "00000001", "00000000",
            "00000003", "00000000", "00000000", "00000000", "00000000", "00000002", "00000000",
        );
        assert_eq!(header.len(), 110);
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..116], b"a\0xyz\0");
        assert_eq!(bytes.len() % 512, 0);
    }

    #[test]
    fn names_and_data_start_at_multiples_of_four() {
        for length in 1..9 {
            let mut archive = Archive::new();
            archive.file(&"n".repeat(length), 0o644, b"\xff\xff\xff\xff\xff").unwrap();
            archive.file("next", 0o644, b"").unwrap();
            let bytes = archive.finish();
            let data = bytes.iter().position(|&byte| byte == 0xff).unwrap();
            assert_eq!(data % 4, 0);
            let next = bytes[1..].windows(6).position(|window| window == b"070701").unwrap() + 1;
            assert_eq!(next, data + 8);
        }
    }

    #[test]
    fn same_calls_give_same_bytes() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn names_that_leave_the_archive_are_refused() {
        for path in ["", "/init", "a\0b"] {
            assert!(Archive::new().file(path, 0o644, b"").is_err(), "{path:?}");
        }
    }

    #[test]
    fn cpio_lists_what_was_written() {
        let Ok(mut child) = Command::new("cpio")
            .args(["--quiet", "-itvn"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            eprintln!("skipped: no cpio on this system to compare with");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = listing.lines().collect();
        let expect = [
            ("drwxr-xr-x   2 0        0               0", "bin"),
            ("-rwxr-xr-x   1 0        0               3", "bin/hello"),
            ("lrwxrwxrwx   1 0        0               5", "bin/hallo -> hello"),
            ("crw-------   1 0        0          5,   1", "console"),
        ];
        assert_eq!(lines.len(), expect.len(), "{listing}");
        for (line, (start, end)) in lines.iter().zip(expect) {
            assert!(line.starts_with(start) && line.ends_with(end), "{listing}");
        }
    }
}
