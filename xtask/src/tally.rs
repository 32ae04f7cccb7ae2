//! Counting what passed, failed and was skipped, and telling it at the end.

use std::fmt;

/// Results so far.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failures: Vec<String>,
    skips: Vec<String>,
    /// Failures of which only the number is known.
    more_failed: u64,
    /// Skips of which only the number is known.
    more_skipped: u64,
    /// Whether something required may be skipped.
    strict: bool,
}

impl Tally {
    /// An empty tally; when `strict`, a required group that is skipped counts as failed.
    pub fn new(strict: bool) -> Tally {
        Tally { strict, ..Tally::default() }
    }

    /// Counts one success.
    pub fn pass(&mut self, name: &str) {
        eprintln!("    {name}: passed");
        self.passed += 1;
    }

    /// Counts one failure.
    pub fn fail(&mut self, name: &str, why: impl fmt::Display) {
        eprintln!("    {name}: FAILED: {why}");
        let first = why.to_string().lines().next().unwrap_or_default().to_owned();
        self.failures.push(format!("{name}: {first}"));
    }

    /// Counts a group that had to be left out.
    pub fn skip_required(&mut self, name: &str, why: impl fmt::Display) {
        if self.strict {
            self.fail(name, format!("skipped, which CI=true does not allow: {why}"));
        } else {
            self.skip(name, why);
        }
    }

    /// Counts something that was left out.
    pub fn skip(&mut self, name: &str, why: impl fmt::Display) {
        eprintln!("    {name}: skipped: {why}");
        self.skips.push(format!("{name}: {why}"));
    }

    /// Adds the counts that another program reported.
    pub fn add(&mut self, counts: Counts) {
        self.passed += counts.passed;
        self.more_failed += counts.failed;
        self.more_skipped += counts.skipped;
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.failed() == 0
    }

    fn failed(&self) -> u64 {
        self.failures.len() as u64 + self.more_failed
    }
}

/// The closing lines: what was skipped, what failed, the totals.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skip in &self.skips {
            writeln!(f, "skipped: {skip}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        let skipped = self.skips.len() as u64 + self.more_skipped;
        write!(f, "{} passed, {} failed, {skipped} skipped", self.passed, self.failed())
    }
}

/// What a test program reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that did not run.
    pub skipped: u64,
}

impl Counts {
    /// Adds what a line of `cargo test` reports: `test result: ok. 3 passed; 0 failed; 1 ignored; …`, or
    /// `skipped: why` from a test that had to leave something out.
    pub fn add_cargo_line(&mut self, line: &str) {
        if line.starts_with("skipped: ") {
            self.skipped += 1;
        }
        let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            let Some((number, word)) = part.split_once(' ') else { continue };
            let number = number.parse::<u64>().unwrap_or(0);
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Adds what a line in the Test Anything Protocol reports.
    pub fn add_tap_line(&mut self, line: &str) {
        if line.starts_with("not ok ") {
            self.failed += 1;
        } else if line.starts_with("ok ") {
            if line.contains("# SKIP") {
                self.skipped += 1;
            } else {
                self.passed += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_summed_over_binaries() {
        let mut counts = Counts::default();
        for line in [
            "test skipped: not a result ... ok",
            "test result: ok. 30 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.06s",
            "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
            "skipped: no cpio on this system to compare with",
        ] {
            counts.add_cargo_line(line);
        }
        assert_eq!(counts, Counts { passed: 31, failed: 3, skipped: 3 });
    }

    #[test]
    fn tap_points_are_counted_by_their_verdict() {
        let mut counts = Counts::default();
        for line in
            ["TAP version 14", "1..3", "ok 1 - u-add", "not ok 2 - u-div", "ok 3 - v # SKIP no V"]
        {
            counts.add_tap_line(line);
        }
        assert_eq!(counts, Counts { passed: 1, failed: 1, skipped: 1 });
    }

    #[test]
    fn a_skipped_group_is_a_failure_only_when_strict() {
        let mut lenient = Tally::new(false);
        lenient.skip_required("spike", "no pip");
        assert!(lenient.is_good());
        assert_eq!(lenient.to_string(), "skipped: spike: no pip\n0 passed, 0 failed, 1 skipped");
        let mut strict = Tally::new(true);
        strict.skip_required("spike", "no pip");
        assert!(!strict.is_good());
        assert!(strict.to_string().ends_with("0 passed, 1 failed, 0 skipped"));
    }
}
