//! Rules broken on purpose: does the test that cites a rule fail when the code breaks it?
//!
//! `norm/mutations.toml` says which text of which file to replace by what, and which tests must notice. Each is
//! applied alone to a copy of the workspace below `target/`, built, tested and taken back. A text that no longer
//! occurs exactly once is an error: the table has to follow the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::inputs;
use crate::norm::Coverage;
use crate::norm::cite::Test;
use crate::norm::rules;
use crate::process::{self, say};

/// A broken hart may run for ever: how long one guest program may take.
const GUEST_LIMIT_SECONDS: &str = "20";

/// The same for the tests of one crate, with building them.
const CARGO_LIMIT: Duration = Duration::from_secs(900);

/// How many mutations to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Every one of the table.
    All,
    /// So many, spread evenly over the table.
    Some(usize),
}

impl FromStr for Sample {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::Some) }
    }
}

#[derive(Debug, Deserialize)]
struct Table {
    mutation: Vec<Mutation>,
}

/// One rule, broken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    rule: String,
    file: String,
    old: String,
    new: String,
    /// As [`Test`] prints itself.
    tests: Vec<String>,
}

/// What became of a mutation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    Survived,
}

/// Tries mutations; fails unless every test that should notice one does.
pub fn run(coverage: &Coverage, sample: Sample, only: Option<&str>) -> Result<ExitCode> {
    let table: Table = rules::read(&inputs::workspace().join("norm/mutations.toml"))?;
    let tests = check(&table.mutation, coverage)?;
    let mut chosen: Vec<(&Mutation, &Vec<Test>)> = table.mutation.iter().zip(&tests).collect();
    chosen.retain(|(mutation, _)| only.is_none_or(|text| mutation.rule.contains(text)));
    if let Sample::Some(count) = sample {
        let (all, count) = (chosen.len(), count.min(chosen.len()));
        chosen = (0..count).map(|n| chosen[n * all / count]).collect();
    }
    let start = Instant::now();
    let scratch = Scratch::make()?;
    say("without a mutation");
    let every: Vec<Test> = chosen.iter().flat_map(|(_, tests)| (*tests).clone()).collect();
    scratch.build_guests(&every)?;
    let mut seen = BTreeSet::new();
    for test in every.iter().filter(|test| seen.insert(test.to_string())) {
        if scratch.fate(test)? == Fate::Killed {
            bail!("`{test}` fails without a mutation");
        }
    }
    let (mut killed, mut survived, mut unfit) = (0, 0, 0);
    println!("| rule | broken in | test | fate |\n| --- | --- | --- | --- |");
    for (mutation, tests) in &chosen {
        let original = scratch.mutate(mutation)?;
        for test in *tests {
            let fate = scratch.fate(test);
            let word = match fate {
                Ok(Fate::Killed) => "killed",
                Ok(Fate::Survived) => "SURVIVED",
                Err(_) => "DOES NOT RUN",
            };
            let Mutation { rule, file, .. } = mutation;
            println!("| {rule} | {file} | {test} | {word} |");
            match fate {
                Ok(Fate::Killed) => killed += 1,
                Ok(Fate::Survived) => survived += 1,
                Err(error) => {
                    eprintln!("{rule}: {error:#}");
                    unfit += 1;
                }
            }
        }
        scratch.restore(mutation, &original)?;
    }
    let (count, seconds) = (chosen.len(), start.elapsed().as_secs());
    println!(
        "\n{count} mutations: {killed} times noticed, {survived} times not, {unfit} do not run; {seconds} s"
    );
    let good = survived == 0 && unfit == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Finds the tests of each mutation; its text must occur once, and its tests cite its rule.
fn check(mutations: &[Mutation], coverage: &Coverage) -> Result<Vec<Vec<Test>>> {
    let (mut wrong, mut tests) = (Vec::new(), Vec::new());
    for mutation in mutations {
        let (rule, file) = (&mutation.rule, &mutation.file);
        match fs::read_to_string(inputs::workspace().join(file)) {
            Ok(text) => match text.matches(&mutation.old).count() {
                1 => {}
                count => wrong.push(format!("{rule}: its text occurs {count} times in {file}")),
            },
            Err(error) => wrong.push(format!("{rule}: {file}: {error}")),
        }
        let citing = coverage.citing(rule);
        let mut found = Vec::new();
        for name in &mutation.tests {
            match citing.iter().find(|citation| citation.test.to_string() == *name) {
                Some(citation) => found.push(citation.test.clone()),
                None => wrong.push(format!("{rule}: no test `{name}` cites it")),
            }
        }
        if mutation.tests.is_empty() {
            wrong.push(format!("{rule}: no test is to notice"));
        }
        tests.push(found);
    }
    if !wrong.is_empty() {
        bail!("norm/mutations.toml:\n{}", wrong.join("\n"));
    }
    Ok(tests)
}

/// A copy of the workspace, with its own build products.
struct Scratch {
    tree: PathBuf,
    build: PathBuf,
    guests: PathBuf,
}

impl Scratch {
    /// Copies what git knows of or would; files that are already the same keep their time, so that little is built.
    fn make() -> Result<Self> {
        let workspace = inputs::workspace();
        let folder = workspace.join("target/norm");
        let scratch = Self {
            tree: folder.join("tree"),
            build: folder.join("build"),
            guests: folder.join("guests"),
        };
        let list = process::output(Command::new("git").current_dir(&workspace).args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        for name in list.lines().filter(|name| workspace.join(name).is_file()) {
            let (from, to) = (workspace.join(name), scratch.tree.join(name));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            if fs::read(&to).ok() != Some(fs::read(&from)?) {
                fs::copy(&from, &to)?;
            }
        }
        Ok(scratch)
    }

    fn cargo(&self) -> Command {
        let mut command = process::cargo();
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        // Building takes far longer than the tests here.
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "false");
        command
    }

    fn build_guests(&self, tests: &[Test]) -> Result<()> {
        let sources: BTreeSet<String> = tests
            .iter()
            .filter_map(|test| match test {
                Test::Guest(name) => name
                    .split_once('-')
                    .map(|(folder, name)| format!("riscv-tests/{folder}/{name}.S")),
                _ => None,
            })
            .collect();
        if !sources.is_empty() {
            let mut build = Command::new(self.tree.join("riscv-tests/build.sh"));
            process::output(build.current_dir(&self.tree).arg(&self.guests).args(&sources))?;
        }
        Ok(())
    }

    /// Breaks a rule; what the file said before.
    fn mutate(&self, mutation: &Mutation) -> Result<String> {
        let path = self.tree.join(&mutation.file);
        let original = fs::read_to_string(&path)?;
        fs::write(path, original.replacen(&mutation.old, &mutation.new, 1))?;
        Ok(original)
    }

    fn restore(&self, mutation: &Mutation, original: &str) -> Result<()> {
        fs::write(self.tree.join(&mutation.file), original)?;
        Ok(())
    }

    /// Builds and runs one test.
    fn fate(&self, test: &Test) -> Result<Fate> {
        match test {
            Test::Guest(name) => {
                process::output(self.cargo().args(["build", "--quiet", "--package", "nestwalk"]))?;
                let nestwalk = self.build.join("debug/nestwalk");
                self.guest(&nestwalk, name)
            }
            Test::Rust { package, target, name } => {
                let mut command = self.cargo();
                command.args(["test", "--package", package]);
                match target {
                    Some(target) => command.args(["--test", target]),
                    None => command.args(["--lib"]),
                };
                self.rust(command.arg(name))
            }
            Test::Lines(_) => {
                let mut command = self.cargo();
                self.rust(command.args(["test", "--package", "nestwalk", "--test", "main", "ins"]))
            }
        }
    }

    fn guest(&self, nestwalk: &Path, name: &str) -> Result<Fate> {
        let mut command = Command::new(nestwalk);
        command.arg("test").arg(self.guests.join(name)).args(["--format", "tap"]);
        command.args(["--timeout", GUEST_LIMIT_SECONDS]);
        let watched = process::watch(&mut command, None, false)?;
        let report = String::from_utf8_lossy(&watched.stdout);
        let passed = report.lines().any(|line| line.starts_with("ok "));
        let failed = report.lines().any(|line| line.starts_with("not ok "));
        match (passed, failed) {
            (true, false) => Ok(Fate::Survived),
            (_, true) => Ok(Fate::Killed),
            // A panic of the emulator.
            (false, false) if watched.status.is_some_and(|status| !status.success()) => {
                Ok(Fate::Killed)
            }
            (false, false) => bail!("nestwalk test said nothing of {name}"),
        }
    }

    fn rust(&self, command: &mut Command) -> Result<Fate> {
        let watched = process::watch(command, Some(CARGO_LIMIT), false)?;
        let said = String::from_utf8_lossy(&watched.stdout);
        let ran = said.lines().any(|line| line.starts_with("test "));
        match watched.status {
            None => Ok(Fate::Killed),
            Some(status) if status.success() && ran => Ok(Fate::Survived),
            Some(status) if !status.success() && said.contains("running ") => Ok(Fate::Killed),
            Some(_) => {
                let complaint = String::from_utf8_lossy(&watched.stderr);
                bail!("the test does not build or is not there:\n{}", process::tail(&complaint))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_fits_the_code_and_names_tests_that_cite_its_rule() {
        let table: Table = rules::read(&inputs::workspace().join("norm/mutations.toml")).unwrap();
        check(&table.mutation, &Coverage::read().unwrap()).unwrap();
    }
}
