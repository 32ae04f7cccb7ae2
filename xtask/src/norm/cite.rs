//! Citations: comment lines `// norm: ID, ID` (`# norm:` in assembly) above or inside a test.
//!
//! In Rust a test is a function under `#[test]`, from the comments and attributes above it to its closing brace,
//! found by rustfmt's layout: that brace stands alone, as far to the right as its `fn`. In `riscv-tests` each
//! program is one test. In `tests/ins` each file is one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders with tests, from the top of the workspace.
const FOLDERS: &[&str] = &["crates", "riscv-tests", "src", "tests"];

/// A rule cited by a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// The file, from the top of the workspace.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What runs it.
    pub test: Test,
}

impl Citation {
    /// File and line.
    pub fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }
}

/// A test, as one would run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// A program of `riscv-tests`, by the name `build.sh` gives it.
    Guest(String),
    /// A function under `#[test]`.
    Rust {
        /// The package.
        package: String,
        /// The integration test it is in, or `None` if it stands beside the code.
        target: Option<String>,
        /// The function's name.
        name: String,
    },
    /// A file of one-instruction tests.
    Lines(String),
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Guest(name) => write!(f, "guest {name}"),
            Self::Rust { package, target: None, name } => write!(f, "cargo -p {package} {name}"),
            Self::Rust { package, target: Some(target), name } => {
                write!(f, "cargo -p {package} --test {target} {name}")
            }
            Self::Lines(name) => write!(f, "ins {name}"),
        }
    }
}

/// What the workspace's files say.
#[derive(Debug, Default)]
pub struct Found {
    /// Id and where it is cited.
    pub citations: Vec<(String, Citation)>,
    /// Citations that belong to no test, or name nothing.
    pub misplaced: Vec<String>,
}

/// Reads every test of a workspace.
pub fn scan(workspace: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut pending: Vec<_> = FOLDERS.iter().map(|folder| workspace.join(folder)).collect();
    while let Some(folder) = pending.pop() {
        let mut entries =
            fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>().context("reading a folder")?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let short = path.strip_prefix(workspace)?.to_string_lossy().replace('\\', "/");
            if ["rs", "S", "ins", "h"].iter().any(|end| short.ends_with(&format!(".{end}"))) {
                let text = fs::read_to_string(&path).with_context(|| short.clone())?;
                scan_file(&short, &text, &mut found);
            }
        }
    }
    Ok(found)
}

fn scan_file(path: &str, text: &str, found: &mut Found) {
    let lines: Vec<&str> = text.lines().collect();
    let mut spans = None;
    for (index, line) in lines.iter().enumerate() {
        let Some(ids) = cited(line) else { continue };
        let spans = spans.get_or_insert_with(|| tests_of(path, &lines));
        let test = spans.iter().find(|span| span.first <= index && index <= span.last);
        let place = format!("{path}:{}", index + 1);
        let Some(span) = test else {
            found.misplaced.push(format!("{place}: a citation outside a test"));
            continue;
        };
        for id in ids.split(',').map(str::trim) {
            if id.is_empty() {
                found.misplaced.push(format!("{place}: a citation of nothing"));
                continue;
            }
            let (path, line) = (path.to_owned(), index + 1);
            let citation = Citation { path, line, test: span.test.clone() };
            found.citations.push((id.to_owned(), citation));
        }
    }
}

/// The ids of a line that is a citation.
fn cited(line: &str) -> Option<&str> {
    let comment = line.trim_start();
    let comment = comment.strip_prefix("// ").or_else(|| comment.strip_prefix("# "))?;
    comment.strip_prefix("norm:")
}

/// A test and the lines (from 0) it covers.
struct Span {
    first: usize,
    last: usize,
    test: Test,
}

fn tests_of(path: &str, lines: &[&str]) -> Vec<Span> {
    let parts: Vec<&str> = path.split('/').collect();
    let whole = |test| vec![Span { first: 0, last: lines.len(), test }];
    match parts.as_slice() {
        ["riscv-tests", folder, file] if *folder != "include" => file
            .strip_suffix(".S")
            .map(|name| whole(Test::Guest(format!("{folder}-{name}"))))
            .unwrap_or_default(),
        ["tests", "ins", file] => file
            .strip_suffix(".ins")
            .map(|name| whole(Test::Lines(name.to_owned())))
            .unwrap_or_default(),
        _ if path.ends_with(".rs") => {
            let (package, target) = match parts.as_slice() {
                ["crates", name, "tests", target, ..] => {
                    (format!("nestwalk-{name}"), Some(target.trim_end_matches(".rs").to_owned()))
                }
                ["crates", name, ..] => (format!("nestwalk-{name}"), None),
                ["tests", ..] => ("nestwalk".to_owned(), Some("main".to_owned())),

                _ => ("nestwalk".to_owned(), None),
            };
            rust_tests(lines, &package, target.as_deref())
        }
        _ => Vec::new(),
    }
}

fn rust_tests(lines: &[&str], package: &str, target: Option<&str>) -> Vec<Span> {
    let mut spans = Vec::new();
    for (attribute, line) in lines.iter().enumerate() {
        if line.trim() != "#[test]" {
            continue;
        }
        let function = lines[attribute..].iter().position(|line| function_name(line).is_some());
        let Some(function) = function.map(|offset| attribute + offset) else { continue };
        let Some(name) = function_name(lines[function]) else { continue };
        let indent = &lines[function][..lines[function].len() - lines[function].trim_start().len()];
        let closing = format!("{indent}}}");
        let last = lines[function..].iter().position(|line| *line == closing);
        let above = |line: &&&str| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with("#[")
        };
        let first = attribute - lines[..attribute].iter().rev().take_while(above).count();
        spans.push(Span {
            first,
            last: last.map_or(function, |offset| function + offset),
            test: Test::Rust {
                package: package.to_owned(),
                target: target.map(str::to_owned),
                name: name.to_owned(),
            },
        });
    }
    spans
}

fn function_name(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("fn ")?.split_once('(').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(path: &str, text: &str) -> Found {
        let mut found = Found::default();
        scan_file(path, text, &mut found);
        found
    }

    const RUST: &str = "\
// norm: outside
fn helper() {}

// norm: above, second
/// What it shows.
#[test]
fn law() {
    let x = { 1 };
    if x == 1 {
        // norm: inside
    }
}
// norm: after
";

    #[test]
    fn a_citation_above_or_inside_a_test_counts_and_any_other_is_misplaced() {
        let found = scanned("crates/cpu/tests/hart/main.rs", RUST);
        let ids: Vec<_> = found.citations.iter().map(|(id, at)| (id.as_str(), at.line)).collect();
        assert_eq!(ids, [("above", 4), ("second", 4), ("inside", 10)]);
        assert_eq!(found.misplaced.len(), 2, "{:?}", found.misplaced);
        let test = found.citations[0].1.test.to_string();
        assert_eq!(test, "cargo -p nestwalk-cpu --test hart law");
    }

    #[test]
    fn a_guest_program_is_one_test_and_a_header_is_none() {
        let text = "// Law\n    # norm: a\n    // norm: b\n    li a0, 1 // norm: c\n";
        let found = scanned("riscv-tests/h/csr.S", text);
        let ids: Vec<_> = found.citations.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(found.citations[0].1.test, Test::Guest("h-csr".to_owned()));
        assert_eq!(scanned("riscv-tests/include/test.h", text).misplaced.len(), 2);
    }

    #[test]
    fn a_citation_of_nothing_is_misplaced() {
        assert_eq!(scanned("riscv-tests/h/csr.S", "// norm: a,\n").misplaced.len(), 1);
    }
}
