//! The programs that `cargo xtask bench` measures do what they say: each finds what it must find.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::nestwalk;

const PROGRAMS: &str = "benches/guest";

/// What a program finds after so many rounds, where that can be said in a line or two.
type Found = fn(rounds: u64) -> u64;

/// Programs that need the machine.
const OURS: &[(&str, u64, Found)] = &[
    // The 20th number of Fibonacci is 6765, and there are 168 primes below 1000.
    ("calls", 2, |rounds| 6765 * rounds),
    ("interpreter", 2, |rounds| 168 * rounds),
    ("bigcode", 100, bigcode),
    // What was in mscratch before: the number of the round before this one.
    ("csr", 1000, |rounds| (0..rounds - 1).sum()),
    // The causes of ECALL from U and from VS, and of the supervisor's timer interrupt.
    ("ecall", 1000, |rounds| 8 * rounds),
    ("exits", 1000, |rounds| 10 * rounds),
    ("timer", 1000, |rounds| 5 * rounds),
    ("faults", 3, |rounds| (0..rounds).fold(0, |sum, _| folded(sum, |i| i * i + 1, 64))),
    ("asids", 20, spaces),
    ("vmids", 20, spaces),
    ("smc", 1000, |rounds| (0..rounds).sum()),
    ("random-bare", 1000, |_| random(|page| page)),
    ("random-4k", 1000, |_| random(one_stage)),
    ("random-fence", 1000, |_| random(one_stage)),
    ("random-4k-4k", 1000, |_| random(|page| shuffled(one_stage(page), PAGES))),
    ("random-2m", 1000, |_| {
        random(|page| in_large(page, |large| shuffled(large * 3 + 1, PAGES / 512)))
    }),
    ("random-4k-2m", 1000, |_| random(|page| in_large(one_stage(page), large))),
    ("random-2m-2m", 1000, |_| {
        random(|page| in_large(page, |page| large(shuffled(page * 3 + 1, PAGES / 512))))
    }),
];

/// Programs that are C and nothing else: they find here what they find there.
const PORTABLE: &[(&str, u64)] = &[
    ("sort", 2),
    ("crc", 2),
    ("matrix", 2),
    ("string", 2),
    ("list", 2),
    ("fma", 3),
    ("nbody", 50),
    ("sparse", 3),
    ("stream", 2),
    ("chase-in", 3),
    ("chase-out", 3),
    ("amo", 1000),
    ("lrsc", 1000),
];

/// Pages of 4 KiB in 256 MiB.
const PAGES: u64 = 0x10000;

/// How `random.h` orders pages: the `i`-th of so many.
fn shuffled(i: u64, pages: u64) -> u64 {
    (i * 0x9e37_79b1 + 12345) % pages
}

fn one_stage(page: u64) -> u64 {
    shuffled(page * 3 + 1, PAGES)
}

fn large(page: u64) -> u64 {
    shuffled(page, PAGES / 512)
}

/// Moves pages of 2 MiB.
fn in_large(page: u64, order: impl Fn(u64) -> u64) -> u64 {
    order(page / 512) * 512 + page % 512
}

/// Marsaglia's generator, with the shifts of `bench.h`.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A thousand accesses that read and write, through a translation of pages; memory holds the physical offset of each page.
fn random(translate: impl Fn(u64) -> u64) -> u64 {
    let mut memory = std::collections::HashMap::new();
    let (mut state, mut sum) = (19, 0u64);
    for round in 0..1000 {
        let offset = next(&mut state) & 0x0fff_fff8;
        let physical = translate(offset >> 12) << 12 | offset & 0xfff;
        let before = if physical & 0xfff == 0 { physical } else { 0 };
        let cell = memory.entry(physical).or_insert(before);
        sum = sum.wrapping_add(*cell);
        *cell = sum ^ round;
    }
    sum
}

/// The sum that programs make of so many words.
fn folded(sum: u64, word: impl Fn(u64) -> u64, words: u64) -> u64 {
    (0..words).fold(sum, |sum: u64, i| sum.wrapping_mul(3).wrapping_add(word(i)))
}

fn spaces(rounds: u64) -> u64 {
    (0..rounds).fold(0, |sum, round| folded(sum, |i| round % 8 * 100 + i, 16))
}

fn bigcode(rounds: u64) -> u64 {
    let (mut state, mut a) = (11, 0u64);
    for b in 0..rounds {
        let n = (next(&mut state) >> 16) % 800;
        for _ in 0..24 {
            a = a.wrapping_add(7 + n) ^ b;
            a = (a << 3).wrapping_add(a >> 7);
            a = a.wrapping_add(3 * (a & 1)).wrapping_sub(b);
        }
    }
    a
}

/// Builds a program with that number of rounds, runs it, and returns what it found.
fn found(folder: &Path, name: &str, rounds: u64) -> u64 {
    let source = Path::new(PROGRAMS).join(name).with_extension("c");
    let mut build = Command::new(Path::new(PROGRAMS).join("build.sh"));
    let built = build.env("ROUNDS", rounds.to_string()).arg(folder).arg(source).output().unwrap();
    assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    let limits = ["--max-insns", "100000000", "--memory", "1G"];
    let output = nestwalk().arg("run").arg(folder.join(name)).args(limits).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{name}: {said}");
    number(said.trim().rsplit_once("found=").unwrap_or_else(|| panic!("{name}: {said}")).1)
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap()
}

/// The same program, run on this computer.
fn found_natively(folder: &Path, name: &str, rounds: u64) -> u64 {
    let program = folder.join(format!("native-{name}"));
    let sources = ["native".to_owned(), name.to_owned()];
    let sources = sources.map(|name| Path::new(PROGRAMS).join(name).with_extension("c"));
    let mut compile = Command::new(env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    compile
        .args(["-O1", "-fno-builtin", "-fno-strict-aliasing", "-ffp-contract=off"])
        .args(sources);
    let built = compile.args(["-fno-math-errno", "-o"]).arg(&program).arg("-lm").output().unwrap();
    assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    let output = Command::new(program).arg(rounds.to_string()).output().unwrap();
    number(&String::from_utf8_lossy(&output.stdout))
}

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn programs_find_what_they_must() {
    let folder = folder();
    for &(name, rounds, expected) in OURS {
        assert_eq!(found(&folder, name, rounds), expected(rounds), "{name}");
    }
}

#[test]
fn portable_programs_find_what_they_find_on_this_computer() {
    let folder = folder();
    for &(name, rounds) in PORTABLE {
        let expected = found_natively(&folder, name, rounds);
        assert_eq!(found(&folder, name, rounds), expected, "{name}");
    }
}

#[test]
fn every_program_is_tested() {
    for entry in fs::read_dir(PROGRAMS).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "c")
            && !matches!(name.as_str(), "bench" | "native")
        {
            let tested =
                OURS.iter().any(|row| row.0 == name) || PORTABLE.iter().any(|row| row.0 == name);
            assert!(tested, "{name}");
        }
    }
}
