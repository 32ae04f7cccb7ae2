//! Files and folders of use to one run only.
//!
//! They are named after the process that made them and go when their owner does. A process that is killed cannot do that,
//! so whoever makes a new one removes what processes have left behind that are no more.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::inputs;

/// A place for a file or a folder. It goes when this does.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A place that is not used yet, whose name ends so.
    pub fn new(name: &str) -> Result<Scratch> {
        Scratch::under(&inputs::root().join("scratch"), name)
    }

    /// A folder.
    pub fn folder(name: &str) -> Result<Scratch> {
        let scratch = Scratch::new(name)?;
        fs::create_dir(&scratch.path)
            .with_context(|| format!("cannot make {}", scratch.path.display()))?;
        Ok(scratch)
    }

    fn under(root: &Path, name: &str) -> Result<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        sweep(root);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Ok(Scratch { path: root.join(format!("{}-{number}-{name}", std::process::id())) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes what was left behind.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.split_once('-')?.0.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            remove(&entry.path());
        }
    }
}

/// What cannot be removed stays for the next sweep and does no harm.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_goes_and_what_a_live_one_uses_stays() {
        let root = std::env::temp_dir().join(format!("nestwalk-scratch-{}", std::process::id()));
        let ours = Scratch::under(&root, "ours.cpio").unwrap();
        fs::write(ours.path(), "x").unwrap();
        // No process has such a number: pid_max is at most 2^22 (proc(5)).
        let (dead, folder) = (root.join("9999999-0-left.cpio"), root.join("9999998-1-left"));
        fs::write(&dead, "x").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        fs::write(root.join("somebody-else"), "x").unwrap();
        let second = Scratch::under(&root, "ours.cpio").unwrap();
        assert_ne!(ours.path(), second.path());
        assert!(!dead.exists() && !folder.exists());
        assert!(ours.path().exists() && root.join("somebody-else").exists());
        let path = ours.path().to_owned();
        drop(ours);
        assert!(!path.exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
