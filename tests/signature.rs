//! `--signature`: what a program leaves between two of its symbols, line by line.

use crate::guest::{EXIT, TempFile, elf_with_symbols};
use crate::{Ended, ended, nestwalk};
use std::path::{Path, PathBuf};

/// Stores 11 bytes that are told apart, from 0x80001000 on, and ends with code 0.
const STORE: &str = "
            li t0, 0x80001000
            li t1, 0x0807060504030201; sd t1, 0(t0)
            li t1, 0xb0a09; sw t1, 8(t0)
            li a0, 0
";

/// A path in the temporary folder that nothing else uses.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("nestwalk-{name}-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn guest(begin: u64, end: u64) -> TempFile {
    let symbols = [("begin_signature", begin), ("end_signature", end)];
    elf_with_symbols(&format!("{STORE}{EXIT}"), &symbols)
}

fn signed(guest: &Path, words: &[&str], file: &Path) -> (Ended, String) {
    let mut command = nestwalk();
    let words = words.iter().map(|word| word.replace("FILE", &file.display().to_string()));
    command.arg("run").args(words).arg(guest);
    let ended = ended(command.output().unwrap());
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let _ = std::fs::remove_file(file);
    (ended, text)
}

// The lines are those of Spike 0.0.5.dev20 for the same eleven bytes.
#[test]
fn a_line_has_its_highest_byte_first_and_the_last_one_is_filled_up() {
    let file = Scratch::new("lines");
    let guest = guest(0x8000_1000, 0x8000_100b);
    let four = "04030201\n08070605\n000b0a09\n";
    let sixteen = "00000000000b0a090807060504030201\n";
    for (words, expected) in [
        (vec!["--signature", "FILE"], four),
        (
            vec!["--signature", "FILE", "--signature-granularity", "8"],
            "0807060504030201\n00000000000b0a09\n",
        ),
        (vec!["+signature=FILE"], sixteen),
        (vec!["+signature=FILE", "+signature-granularity=4"], four),
        (vec!["+signature-granularity=4", "+signature=FILE"], four),
        (
            vec!["--signature=FILE", "--signature-granularity=1"],
            "01\n02\n03\n04\n05\n06\n07\n08\n09\n0a\n0b\n",
        ),
    ] {
        let (ended, text) = signed(guest.path(), &words, &file.0);
        assert_eq!((ended.code, text.as_str()), (Some(0), expected), "{words:?}: {}", ended.stderr);
    }
}

#[test]
fn a_program_that_reaches_its_limit_leaves_what_there_is() {
    let file = Scratch::new("limit");
    let guest = guest(0x8000_1000, 0x8000_1004);
    let words = ["--signature", "FILE", "--max-insns", "2"];
    let (ended, text) = signed(guest.path(), &words, &file.0);
    assert_eq!((ended.code, text.as_str()), (Some(124), "00000000\n"), "{}", ended.stderr);
}

#[test]
fn symbols_that_name_no_memory_are_refused_before_the_run() {
    let file = Scratch::new("hostile");
    for (begin, end, why) in [
        (0x8000_1000, 0x8000_0fff, "in this order"),
        (u64::MAX - 3, u64::MAX, "not in main memory"),
        (0x8000_1000, u64::MAX, "not in main memory"),
        (0x8000_1000, 0x8500_0000, "more than"),
        (0x8000_0000, 0x7fff_ffff_ffff_ffff, "not in main memory"),
    ] {
        let (ended, text) = signed(guest(begin, end).path(), &["--signature", "FILE"], &file.0);
        assert_eq!((ended.code, text.as_str()), (Some(2), ""), "{begin:#x}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{begin:#x}: {}", ended.stderr);
    }
    let empty = guest(0x8000_0000, 0x8000_0000);
    let (ended, text) = signed(empty.path(), &["--signature", "FILE"], &file.0);
    assert_eq!((ended.code, text.as_str()), (Some(0), ""), "{}", ended.stderr);
    let words = ["--signature", "FILE", "--signature-granularity", "0"];
    let (ended, _) = signed(empty.path(), &words, &file.0);
    assert!(ended.code == Some(2) && ended.stderr.contains("1 to 64"), "{}", ended.stderr);
}

#[test]
fn a_suite_leaves_a_signature_for_each_program_that_has_one() {
    let folder = Scratch::new("folder");
    let (with, without) = (guest(0x8000_1000, 0x8000_1004), elf_with_symbols(EXIT, &[]));
    let mut command = nestwalk();
    command.arg("test").args(["--signature".as_ref(), folder.0.as_os_str()]);
    let ended = ended(command.args([with.path(), without.path()]).output().unwrap());
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let file = |guest: &TempFile| {
        let name = format!("{}.signature", guest.path().display());
        std::fs::read_to_string(folder.0.join(name.trim_start_matches('/'))).ok()
    };
    assert_eq!(file(&with).as_deref(), Some("04030201\n"));
    assert_eq!(file(&without), None);
}
