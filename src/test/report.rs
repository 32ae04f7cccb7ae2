//! Prints results for people, as TAP and as JUnit's XML.

use crate::cli::ReportFormat;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

/// What became of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It ended with exit code 0.
    Passed,
    /// It ended otherwise; why.
    Failed(String),
    /// It did not end within its limits; which.
    Limit(String),
    /// It cannot run here; why.
    Skipped(String),
}

/// One line of a report.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The program's name.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) verdict: Verdict,
    /// Instructions that its harts retired.
    pub(crate) insns: u64,
    /// Wall time of the run.
    pub(crate) elapsed: Duration,
    /// The end of what it printed.
    pub(crate) output: String,
}

/// How many programs had which verdict.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) limit: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Whether nothing failed and nothing was cut off.
    pub(crate) fn is_good(self) -> bool {
        self.failed == 0 && self.limit == 0
    }
}

/// Prints outcomes as they come, in the order of the programs.
pub(crate) struct Reporter<W> {
    to: W,
    format: ReportFormat,
    total: usize,
    /// Width of the names, for the table.
    width: usize,
    tally: Tally,
    /// JUnit's totals come first, so its cases wait.
    cases: String,
}

impl<W: Write> Reporter<W> {
    /// Starts the report of `total` programs whose longest name has `width` characters.
    pub(crate) fn new(
        mut to: W,
        format: ReportFormat,
        total: usize,
        width: usize,
    ) -> io::Result<Self> {
        if format == ReportFormat::Tap {
            writeln!(to, "TAP version 14\n1..{total}")?;
        }
        Ok(Self { to, format, total, width, tally: Tally::default(), cases: String::new() })
    }

    /// Adds the outcome of the next program.
    pub(crate) fn add(&mut self, outcome: &Outcome) -> io::Result<()> {
        let count = match outcome.verdict {
            Verdict::Passed => &mut self.tally.passed,
            Verdict::Failed(_) => &mut self.tally.failed,
            Verdict::Limit(_) => &mut self.tally.limit,
            Verdict::Skipped(_) => &mut self.tally.skipped,
        };
        *count += 1;
        match self.format {
            ReportFormat::Table => self.add_row(outcome),
            ReportFormat::Tap => self.add_point(outcome),
            ReportFormat::Junit => {
                self.add_case(outcome);
                Ok(())
            }
        }
    }

    /// Ends the report.
    pub(crate) fn finish(mut self, elapsed: Duration) -> io::Result<Tally> {
        let Tally { passed, failed, limit, skipped } = self.tally;
        let seconds = elapsed.as_secs_f64();
        match self.format {
            ReportFormat::Table => writeln!(
                self.to,
                "{passed} passed, {failed} failed, {limit} over the limit, {skipped} skipped, \
                 {seconds:.1} s"
            )?,
            ReportFormat::Tap => {}
            ReportFormat::Junit => write!(
                self.to,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                 <testsuite name=\"nestwalk\" tests=\"{}\" failures=\"{failed}\" errors=\"{limit}\" \
                 skipped=\"{skipped}\" time=\"{seconds:.3}\">\n{}</testsuite>\n",
                self.total, self.cases
            )?,
        }
        self.to.flush()?;
        Ok(self.tally)
    }

    fn add_row(&mut self, outcome: &Outcome) -> io::Result<()> {
        let Outcome { name, verdict, insns, elapsed, output } = outcome;
        let width = self.width;
        let seconds = elapsed.as_secs_f64();
        let (word, why) = match verdict {
            Verdict::Passed => ("pass", ""),
            Verdict::Failed(why) => ("FAIL", why.as_str()),
            Verdict::Limit(why) => ("LIMIT", why.as_str()),
            Verdict::Skipped(why) => ("skip", why.as_str()),
        };
        let line = format!("{word:<5}  {name:<width$}  {insns:>12} insns  {seconds:>7.2} s  {why}");
        writeln!(self.to, "{}", line.trim_end())?;
        if matches!(verdict, Verdict::Failed(_) | Verdict::Limit(_)) {
            for line in output.lines() {
                writeln!(self.to, "       | {line}")?;
            }
        }
        self.to.flush()
    }

    fn add_point(&mut self, outcome: &Outcome) -> io::Result<()> {
        let Tally { passed, failed, limit, skipped } = self.tally;
        let number = passed + failed + limit + skipped;
        let name = outcome.name.replace('#', "\\#");
        match &outcome.verdict {
            Verdict::Passed => writeln!(self.to, "ok {number} - {name}")?,
            Verdict::Skipped(why) => writeln!(self.to, "ok {number} - {name} # SKIP {why}")?,
            Verdict::Failed(why) | Verdict::Limit(why) => {
                writeln!(self.to, "not ok {number} - {name}\n  ---\n  message: {why:?}")?;
                writeln!(self.to, "  insns: {}\n  ...", outcome.insns)?;
                for line in outcome.output.lines() {
                    writeln!(self.to, "# {line}")?;
                }
            }
        }
        self.to.flush()
    }

    fn add_case(&mut self, outcome: &Outcome) {
        let name = escape(&outcome.name);
        let seconds = outcome.elapsed.as_secs_f64();
        let body = match &outcome.verdict {
            Verdict::Passed => String::new(),
            Verdict::Failed(why) => format!("<failure message=\"{}\"/>", escape(why)),
            Verdict::Limit(why) => format!("<error message=\"{}\"/>", escape(why)),
            Verdict::Skipped(why) => format!("<skipped message=\"{}\"/>", escape(why)),
        };
        let output = match outcome.output.as_str() {
            "" => String::new(),
            text => format!("<system-out>{}</system-out>", escape(text)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.cases,
            "  <testcase name=\"{name}\" time=\"{seconds:.3}\">{body}{output}</testcase>"
        );
    }
}

/// `text` for XML: markup escaped, and characters that XML forbids replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\r' => {}
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(format: ReportFormat) -> (String, Tally) {
        let outcome = |name: &str, verdict, output: &str| Outcome {
            name: name.into(),
            verdict,
            insns: 1234,
            elapsed: Duration::from_millis(1500),
            output: output.into(),
        };
        let mut text = Vec::new();
        let mut reporter = Reporter::new(&mut text, format, 4, 6).unwrap();
        for outcome in [
            outcome("add", Verdict::Passed, ""),
            outcome("sub", Verdict::Failed("exit code 5".into()), "a<b\x1b\r\n"),
            outcome("loop", Verdict::Limit("1000 instructions".into()), ""),
            outcome("rv#32", Verdict::Skipped("a 32-bit program".into()), ""),
        ] {
            reporter.add(&outcome).unwrap();
        }
        let tally = reporter.finish(Duration::from_secs(2)).unwrap();
        (String::from_utf8(text).unwrap(), tally)
    }

    #[test]
    fn a_table_has_one_row_a_program_and_a_sum() {
        let (text, tally) = report(ReportFormat::Table);
        assert_eq!(tally, Tally { passed: 1, failed: 1, limit: 1, skipped: 1 });
        assert!(!tally.is_good());
        let expected = "\
pass   add             1234 insns     1.50 s
FAIL   sub             1234 insns     1.50 s  exit code 5
       | a<b\x1b
LIMIT  loop            1234 insns     1.50 s  1000 instructions
skip   rv#32           1234 insns     1.50 s  a 32-bit program
1 passed, 1 failed, 1 over the limit, 1 skipped, 2.0 s
";
        assert_eq!(text, expected);
    }

    #[test]
    fn tap_numbers_its_points_and_escapes_hashes() {
        let (text, _) = report(ReportFormat::Tap);
        let expected = "\
TAP version 14
1..4
ok 1 - add
not ok 2 - sub
  ---
  message: \"exit code 5\"
  insns: 1234
  ...
# a<b\x1b
not ok 3 - loop
  ---
  message: \"1000 instructions\"
  insns: 1234
  ...
ok 4 - rv\\#32 # SKIP a 32-bit program
";
        assert_eq!(text, expected);
    }

    #[test]
    fn junit_counts_first_and_escapes_markup() {
        let (text, _) = report(ReportFormat::Junit);
        assert!(
            text.contains("tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"2.000\"")
        );
        assert!(text.contains("<failure message=\"exit code 5\"/>"));
        assert!(text.contains("<system-out>a&lt;b\u{fffd}\n</system-out>"));
        assert!(text.trim_end().ends_with("</testsuite>"));
    }
}
