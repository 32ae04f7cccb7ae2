//! `nestwalk test`: finds programs, runs them side by side, reports and judges.

use crate::guest::{EXIT, elf};
use crate::{Ended, ended, nestwalk};
use std::path::{Path, PathBuf};

/// A folder of guests that vanishes at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, guests: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("nestwalk-{name}-{}", std::process::id()));
        for (file, source) in guests {
            let to = path.join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(elf(source).path(), to).unwrap();
        }
        Self(path)
    }

    fn test(&self, args: &str) -> Ended {
        test(&self.0, args)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn test(path: &Path, args: &str) -> Ended {
    let mut command = nestwalk();
    ended(command.arg("test").args(args.split_whitespace()).arg(path).output().unwrap())
}

fn exit(code: u8) -> String {
    format!("li a0, {code}\n{EXIT}")
}

#[test]
fn a_folder_whose_programs_all_pass_is_good() {
    let folder = Folder::new("good", &[("b", &exit(0)), ("deep/er/a", &exit(0))]);
    std::fs::write(folder.0.join("notes.txt"), "no program").unwrap();
    let ended = folder.test("");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("pass   b "), "{}", lines[0]);
    assert!(lines[1].starts_with("pass   deep/er/a "), "{}", lines[1]);
    assert!(
        lines[2].starts_with("2 passed, 0 failed, 0 over the limit, 0 skipped"),
        "{}",
        lines[2]
    );
}

#[test]
fn a_program_that_fails_or_never_ends_fails_the_folder() {
    let folder =
        Folder::new("bad", &[("fails", &exit(7)), ("loops", "stay: j stay"), ("passes", &exit(0))]);
    let ended = folder.test("--max-insns 1e5 -j 2");
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    for row in
        ["FAIL   fails", "exit code 7", "LIMIT  loops", "100000 instructions", "pass   passes"]
    {
        assert!(ended.stdout.contains(row), "{row}: {}", ended.stdout);
    }
}

#[test]
fn a_time_limit_ends_each_program_by_itself() {
    let folder = Folder::new("slow", &[("loops", "stay: j stay"), ("passes", &exit(0))]);
    let ended = folder.test("--timeout 0.3");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("1 passed, 0 failed, 1 over the limit"), "{}", ended.stdout);
}

#[test]
fn tap_and_junit_are_printed_alone() {
    let folder = Folder::new("formats", &[("fails", &exit(7)), ("passes", &exit(0))]);
    let tap = folder.test("--format tap");
    assert_eq!(tap.code, Some(1));
    assert!(tap.stdout.starts_with("TAP version 14\n1..2\nnot ok 1 - fails\n"), "{}", tap.stdout);
    assert!(tap.stdout.ends_with("ok 2 - passes\n"), "{}", tap.stdout);
    let junit = folder.test("--format junit");
    assert_eq!(junit.code, Some(1));
    assert!(junit.stdout.starts_with("<?xml "), "{}", junit.stdout);
    assert!(junit.stdout.contains("<failure message=\"exit code 7\"/>"), "{}", junit.stdout);
}

#[test]
fn machine_options_apply_to_every_program() {
    // Passes on the second hart only; the first one waits.
    let second = format!("beqz a0, wait\nli a0, 0\n{EXIT}\nwait: wfi; j wait");
    let folder = Folder::new("options", &[("second", &second)]);
    assert_eq!(folder.test("-smp 2").code, Some(0));
    assert_eq!(folder.test("--harts 1 --max-insns 1e6").code, Some(1));
    let refused = folder.test("--isa rv64gc_zbx");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
}

#[test]
fn a_file_that_is_no_program_is_a_failure_when_it_is_named() {
    let file = crate::guest::TempFile::new("text");
    let ended = test(file.path(), "");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("FAIL"), "{}", ended.stdout);
}

#[test]
fn a_folder_without_programs_is_a_usage_error() {
    let folder = Folder::new("empty", &[]);
    std::fs::create_dir_all(&folder.0).unwrap();
    let ended = folder.test("");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("no RISC-V ELF program"), "{}", ended.stderr);
}
