//! Every guest program on our hart and on Spike, instruction by instruction: the same pc, mode,
//! registers, CSRs and memory, the same traps. `docs/LOCKSTEP.md` lists what may differ and why.
//!
//! Spike and the compiler must be on the `PATH` (`cargo xtask test` sees to it); without them this is
//! skipped. `NESTWALK_LOCKSTEP` names other ELF files, or folders of them, to run in place of ours.

mod board;
mod compare;
mod coverage;
mod random;
mod spike;
mod transform;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use compare::{Counts, Mask};
use mmu::Shape;

/// The guest programs' folder; `spike-isa` in it is the one place for the ISA string of both sides.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/riscv-tests");

/// Files and folders to run in place of the guest programs, as in `PATH`.
const OTHERS: &str = "NESTWALK_LOCKSTEP";

/// Instructions and traps after which a program is given up.
const LIMIT: u64 = 10_000_000;

#[test]
fn guest_programs_run_in_lockstep_with_spike() {
    let Some(spike) = spike::find() else {
        println!("skipped: lockstep: there is no spike on the PATH");
        return;
    };
    let others = env::var_os(OTHERS);
    let programs = match programs(others.as_deref()) {
        Ok(programs) => programs,
        Err(error) => {
            println!("skipped: lockstep: {error:#}");
            return;
        }
    };
    let isa = fs::read_to_string(Path::new(PROGRAMS).join("spike-isa")).expect("an ISA string");
    let (total, failures) = run_all(&spike, isa.trim(), &programs);
    println!(
        "lockstep: {} programs, {} instructions, {} traps",
        programs.len(),
        total.insns,
        total.traps
    );
    for (mask, count) in &total.masked {
        println!("lockstep: taken from Spike: {mask}: {count}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    if others.is_none() {
        let unused: Vec<String> = Mask::all()
            // Only programs longer than ours outlast a time slice between LR and SC.
            .filter(|mask| *mask != Mask::Reservation && !total.masked.contains_key(mask))
            .map(|mask| mask.to_string())
            .collect();
        assert!(unused.is_empty(), "nothing differs in this any more: {unused:?}");
    }
}

/// Programs whose log is the same without anything taken from Spike, on harts without H.
const EXACT: [&str; 5] = ["u/c", "u/d", "u/a-amo", "u/fp-frm", "u/zfh"];

#[test]
fn the_log_of_a_run_is_spike_s_to_the_byte() {
    let Some(spike) = spike::find() else {
        println!("skipped: commit log: there is no spike on the PATH");
        return;
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("commit-log");
    let sources = EXACT.map(|name| Path::new(PROGRAMS).join(format!("{name}.S")));
    if let Err(error) = build(&folder, &sources) {
        println!("skipped: commit log: {error:#}");
        return;
    }
    let isa = fs::read_to_string(Path::new(PROGRAMS).join("spike-isa")).expect("an ISA string");
    let isa = format!("--isa={}", isa.trim().replace("rv64gch", "rv64gc"));
    for name in EXACT {
        let elf = folder.join(name.replace('/', "-"));
        let log = folder.join("log");
        let ended = crate::nestwalk()
            .args(["run", &isa, "--log-commits", "--log"])
            .args([&log, &elf])
            .output()
            .expect("nestwalk starts");
        assert!(ended.status.success(), "{name}");
        let ours = fs::read_to_string(&log).expect("a log");
        let theirs = spike::log(&spike, &isa, &elf).expect("spike's log");
        // Its reset vector comes first, and it spins on after the end.
        let from = theirs.find(" 0x0000000080000000 (").and_then(|at| theirs[..at].rfind('\n'));
        let theirs = &theirs[from.map_or(0, |at| at + 1)..];
        let same = ours.lines().zip(theirs.lines()).all(|(ours, theirs)| ours == theirs);
        assert!(same && ours.lines().count() > 100 && theirs.len() >= ours.len(), "{name}");
    }
}

#[test]
fn what_may_differ_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/LOCKSTEP.md");
    let text = fs::read_to_string(path).expect("docs/LOCKSTEP.md");
    let listed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| ")?.split(" | ").next()?.trim()))
        .collect();
    for mask in Mask::all().map(|mask| mask.to_string()) {
        assert!(listed.contains(mask.as_str()), "docs/LOCKSTEP.md has no row for '{mask}'");
    }
}

/// The programs to run.
fn programs(others: Option<&std::ffi::OsStr>) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    match others {
        Some(others) => {
            for path in env::split_paths(others) {
                gather(&path, &mut programs)?;
            }
        }
        None => {
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lockstep");
            build(&folder, &[])?;
            gather(&folder, &mut programs)?;
        }
    }
    programs.sort();
    Ok(programs)
}

/// Builds the guest programs, or those of some sources, into an empty `folder`.
fn build(folder: &Path, sources: &[PathBuf]) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    let script = Path::new(PROGRAMS).join("build.sh");
    let output = Command::new(script).arg(folder).args(sources).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("the guest programs do not build: {}", said.trim());
    }
    Ok(())
}

fn gather(path: &Path, programs: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        programs.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            programs.push(path);
        }
    }
    Ok(())
}

/// Runs the programs side by side on the processors there are.
fn run_all(spike: &Path, isa: &str, programs: &[PathBuf]) -> (Counts, Vec<String>) {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Counts::default(), Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(programs.len()) {
            let (next, results) = (&next, &results);
            scope.spawn(move || {
                while let Some(elf) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let compared = spike::start(spike, isa, elf).and_then(|records| {
                        compare::compare(isa, &Shape::default(), elf, LIMIT, records)
                    });
                    let (total, failures) = &mut *results.lock().expect("no worker panics");
                    match compared {
                        Ok(counts) => {
                            if let Some(why) = counts.parted {
                                println!("lockstep: {}: not to the end: {why}", elf.display());
                            }
                            total.add(&counts);
                        }
                        Err(error) => failures.push(format!("{}: {error:#}", elf.display())),
                    }
                }
            });
        }
    });
    results.into_inner().expect("no worker panics")
}
