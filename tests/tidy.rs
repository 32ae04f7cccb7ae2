//! Laws about the source itself: what STYLE and `docs/ARCHITECTURE.md` say must never be.
//!
//! Each law has a list of the files that it does not hold for. A file in such a list that no longer needs its
//! place fails the test too, so that no list outlives its reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest a source file may be, in lines.
const LINES_MAX: usize = 800;

/// In two pieces, so that this file does not break its own law.
const UNSAFE: &str = concat!("un", "safe");

/// A law about one file.
struct Law {
    /// What must not be.
    never: &'static str,
    /// The files it is about.
    about: fn(path: &str) -> bool,
    /// The lines (from 1) that break it.
    broken: fn(text: &str) -> Vec<usize>,
    /// The files that may, each for a reason that is written at its head.
    except: &'static [&'static str],
}

const LAWS: &[Law] = &[
    Law {
        never: concat!("un", "safe code"),
        about: is_rust,
        broken: |text| lines_with(text, |line| has_word(code_of(line), UNSAFE)),
        except: &[
            "crates/cpu/src/thread.rs",
            "crates/cpu/src/thread/chains.rs",
            "crates/cpu/src/thread/floats.rs",
            "crates/cpu/src/thread/groups.rs",
            "crates/cpu/src/thread/jumps.rs",
            "crates/cpu/src/thread/updates.rs",
            "crates/devices/tests/guest_drivers/hal.rs",
            "crates/devices/tests/guest_drivers/stories.rs",
            "crates/mmu/src/native.rs",
            "crates/mmu/src/ram.rs",
        ],
    },
    Law {
        never: "a file that does not begin with its `//!` header",
        about: is_rust,
        broken: |text| if text.starts_with("//! ") { Vec::new() } else { vec![1] },
        except: &[],
    },
    Law {
        never: "a file of more than 800 lines",
        about: is_rust,
        broken: |text| {
            (text.lines().count() > LINES_MAX).then_some(LINES_MAX).into_iter().collect()
        },
        except: &[],
    },
    Law {
        // It means the machine to some readers, HS-mode to others and the native system to the rest.
        never: concat!("the word \"ho", "st\" by itself"),
        about: |path| is_rust(path) || path.ends_with(".md"),
        broken: |text| lines_with(text, |line| has_word(&line.to_lowercase(), concat!("ho", "st"))),
        except: &[],
    },
    Law {
        never: "printing from a library",
        about: is_library,
        broken: |text| {
            let macros = ["println", "eprintln", "print", "eprint"];
            lines_with(product(text), |line| {
                macros.iter().any(|name| has_word(code_of(line), name) && line.contains("!("))
            })
        },
        except: &[],
    },
    Law {
        never: "wall clocks below the machine's clock",
        about: is_library,
        broken: |text| {
            lines_with(product(text), |line| {
                ["Instant", "SystemTime"].iter().any(|name| has_word(code_of(line), name))
            })
        },
        // How long one debugger waits for another is between people, and no part of a run.
        except: &["crates/machine/src/clock.rs", "crates/debug/src/tcp.rs"],
    },
    Law {
        never: "cause codes in mmu: it says why, the hart says which cause",
        about: |path| path.starts_with("crates/mmu/src/"),
        broken: |text| {
            lines_with(text, |line| {
                ["Exception", "Interrupt", "Cause"].iter().any(|name| has_word(code_of(line), name))
            })
        },
        except: &[],
    },
    Law {
        never: "tests that do not run",
        about: is_rust,
        broken: |text| lines_with(text, |line| line.trim_start().starts_with("#[ignore")),
        except: &[],
    },
];

/// What each crate may use of ours, in the order of the drawing in `docs/ARCHITECTURE.md`.
const ARROWS: &[(&str, &[&str])] = &[
    ("isa", &[]),
    ("hyp", &["isa"]),
    ("fp", &[]),
    ("timing", &["isa"]),
    ("mmu", &["isa"]),
    ("devices", &["isa", "mmu"]),
    ("cpu", &["isa", "fp", "mmu", "timing"]),
    ("hyp-check", &["isa", "mmu", "cpu", "hyp"]),
    ("machine", &["isa", "mmu", "timing", "cpu", "devices", "hyp"]),
    ("debug", &["isa", "mmu", "cpu", "machine"]),
];

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Whether a file is part of a library, and not of its tests.
fn is_library(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates")
        && parts.nth(1) == Some("src")
        && path.ends_with(".rs")
        && !path.ends_with("/tests.rs")
}

/// A file without the tests at its foot.
fn product(text: &str) -> &str {
    let mut tests = text.match_indices("#[cfg(test)]\n").filter(|(at, mark)| {
        let next = text[at + mark.len()..].lines().next();
        next.is_some_and(|line| line.contains("mod tests"))
    });
    tests.next().map_or(text, |(at, _)| &text[..at])
}

/// A line without its comment. A `//` in a string cuts too much off, which is no loss here.
fn code_of(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

fn has_word(line: &str, word: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.as_bytes()[..at].last();
        let after = line.as_bytes().get(at + word.len());
        !before.is_some_and(|&byte| inside(byte)) && !after.is_some_and(|&byte| inside(byte))
    })
}

fn lines_with(text: &str, breaks: impl Fn(&str) -> bool) -> Vec<usize> {
    (1..).zip(text.lines()).filter(|(_, line)| breaks(line)).map(|(number, _)| number).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository.
fn paths() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be read") {
            let path = entry.expect("and so can its entries").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Build products and what tools keep for themselves.
            if name == "target" || name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// Every source and text file of the repository: its path from the top, with `/`, and its text.
fn files() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in paths() {
        let name = path.to_string_lossy();
        if [".rs", ".md", ".toml"].iter().any(|end| name.ends_with(end)) {
            let from_top = path.strip_prefix(root()).expect("it is below the top");
            let text = fs::read_to_string(&path).expect("text files are UTF-8");
            found.insert(from_top.to_string_lossy().replace('\\', "/"), text);
        }
    }
    assert!(found.len() > 100, "only {} files found below {}", found.len(), root().display());
    found
}

/// A guest program may have 300 KiB; what is larger, such as a trace, is an oversight.
#[test]
fn no_file_is_large() {
    let large = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 300 << 10);
    let found: Vec<_> = paths().into_iter().filter(large).collect();
    assert!(found.is_empty(), "larger than 300 KiB: {found:?}");
}

#[test]
fn every_law_holds_and_every_exemption_is_needed() {
    let files = files();
    let mut wrong = Vec::new();
    for law in LAWS {
        for (path, text) in files.iter().filter(|(path, _)| (law.about)(path)) {
            let exempt = law.except.contains(&path.as_str());
            match ((law.broken)(text).first(), exempt) {
                (Some(line), false) => wrong.push(format!("{path}:{line}: never {}", law.never)),
                (None, true) => {
                    wrong.push(format!("{path} needs no exemption any more: {}", law.never));
                }
                _ => {}
            }
        }
        let gone = law.except.iter().filter(|path| !files.contains_key(**path));
        wrong
            .extend(gone.map(|path| format!("{path} is exempt and does not exist: {}", law.never)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The dependencies of a manifest: names of crates, of all three kinds.
fn dependencies(manifest: &toml::Table) -> impl Iterator<Item = &String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| manifest.get(kind)?.as_table())
        .flat_map(toml::Table::keys)
}

fn manifest(path: PathBuf) -> toml::Table {
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_dependency_has_its_row_and_every_row_its_dependency() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let files = files();
    let mut used = BTreeSet::new();
    for path in files.keys().filter(|path| path.ends_with("Cargo.toml")) {
        let manifest = manifest(root().join(path));
        let theirs = dependencies(&manifest).filter(|name| !ours.contains(name.as_str()));
        used.extend(theirs.filter(|name| *name != "xtask").cloned());
    }
    let rows: BTreeSet<String> = files["docs/DEPENDENCIES.md"]
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let missing: Vec<_> = used.difference(&rows).collect();
    let needless: Vec<_> = rows.difference(&used).collect();
    assert!(missing.is_empty(), "without a row in docs/DEPENDENCIES.md: {missing:?}");
    assert!(needless.is_empty(), "a row in docs/DEPENDENCIES.md, but no dependency: {needless:?}");
}

#[test]
fn arrows_between_our_crates_run_down_only() {
    let mut crates = BTreeSet::new();
    for (name, may_use) in ARROWS {
        let manifest = manifest(root().join("crates").join(name).join("Cargo.toml"));
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        for used in used.into_iter().flat_map(toml::Table::keys) {
            let ours = ARROWS.iter().any(|(name, _)| name == used);
            assert!(!ours || may_use.contains(&used.as_str()), "{name} must not use {used}");
        }
        crates.insert((*name).to_owned());
    }
    let folders = fs::read_dir(root().join("crates")).expect("there are crates");
    let folders: BTreeSet<String> =
        folders.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(folders, crates, "a crate has no arrows");
}

#[test]
fn the_laws_see_what_they_forbid() {
    let breaks = |never: &str, text: &str| {
        let law = LAWS.iter().find(|law| law.never.starts_with(never)).unwrap();
        (law.broken)(text)
    };
    let text = format!("//! x\n{UNSAFE} {{ f() }}\n#![deny({UNSAFE}_code)]\n// {UNSAFE}");
    assert_eq!(breaks(UNSAFE, &text), [2]);
    assert_eq!(breaks("a file that does", "use std;"), [1]);
    assert_eq!(breaks("a file of more", &"\n".repeat(LINES_MAX + 1)), [LINES_MAX]);
    assert_eq!(breaks("the word", concat!("Ho", "st\nghosts\nho", "stname")), [1]);
    let tests_may = "fn f() { println!(\"\") }\n#[cfg(test)]\nmod tests { println!() }";
    assert_eq!(breaks("printing", tests_may), [1]);
    assert_eq!(breaks("wall", "let t = Instant::now();"), [1]);
    assert_eq!(breaks("cause", "Exception::LoadPageFault\n// an Exception"), [1]);
    assert_eq!(breaks("tests that", "    #[ignore]"), [1]);
}
