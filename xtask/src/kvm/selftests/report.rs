//! What came of the tests, on our machine and on QEMU: read from the console, shown as a table, written as Markdown and
//! JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::list::{BEGIN, DONE, END, KERNEL, SAID, SYSTEM, Test, Verdict};
use crate::kvm::session::Ended;

/// Number of the JSON file's form; raise it when a field changes its meaning.
const SCHEMA: u32 = 2;

/// What one test did on one machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// How it came out.
    pub verdict: Verdict,
    /// Its exit status, as a shell has it.
    pub status: u8,
    /// Time it took by the machine's own clock.
    pub guest_seconds: f64,
    /// Processor time that the emulator spent on it, to a hundredth of a second.
    pub cpu_seconds: f64,
    /// How often it did its work, of a test that runs for a time of the machine's own clock.
    pub iterations: Option<u64>,
    /// The end of what it said, if it did not pass.
    pub said: Vec<String>,
}

/// All tests on one machine.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What played the machine, with its version.
    pub machine: String,
    /// The kernel, and the mode of its G-stage tables.
    pub system: String,
    /// Processor time of everything, the boot included.
    pub cpu_seconds: f64,
    /// Wall time of everything.
    pub wall_seconds: f64,
    /// Instructions of all harts; not known of QEMU.
    pub instructions: Option<u64>,
    /// In the order of the tests.
    pub outcomes: Vec<Outcome>,
    /// What the kernel complained of.
    pub complaints: Vec<String>,
}

/// One or two runs of the same tests.
#[derive(Clone, Debug)]
pub struct Report {
    /// The tests.
    pub tests: Vec<Test>,
    /// What the tests were built from and with, and what they ran on: a line each.
    pub origin: Vec<String>,
    /// On our machine.
    pub ours: Run,
    /// On QEMU.
    pub qemu: Option<Run>,
}

impl Run {
    /// Reads a run from its console.
    pub fn read(machine: String, tests: &[Test], ended: &Ended) -> Result<Run> {
        let begins: Vec<Duration> = ended.timed_after(BEGIN).map(|(_, cpu)| cpu).collect();
        let ends: Vec<(&str, Duration)> = ended.timed_after(END).collect();
        if begins.len() != tests.len() || ends.len() != tests.len() {
            bail!("{} tests began, {} ended, of {}", begins.len(), ends.len(), tests.len());
        }
        let mut outcomes = Vec::new();
        for (at, ((text, end), begin)) in ends.into_iter().zip(begins).enumerate() {
            let (status, nanoseconds) = numbers(text, at + 1)
                .with_context(|| format!("the console is garbled at `{text}`"))?;
            outcomes.push(Outcome {
                verdict: Verdict::of(status),
                status,
                guest_seconds: Duration::from_nanos(nanoseconds).as_secs_f64(),
                cpu_seconds: end.saturating_sub(begin).as_secs_f64(),
                iterations: after(ended, at + 1, DONE).first().and_then(|text| text.parse().ok()),
                said: after(ended, at + 1, SAID),
            });
        }
        Ok(Run {
            machine,
            system: ended.after(SYSTEM).next().unwrap_or_default().to_owned(),
            cpu_seconds: ended.cpu.as_secs_f64(),
            wall_seconds: ended.elapsed.as_secs_f64(),
            instructions: ended.instructions,
            outcomes,
            complaints: ended.after(KERNEL).map(str::to_owned).collect(),
        })
    }

    fn passed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Pass).count()
    }
}

/// Exit status and nanoseconds out of `NUMBER STATUS NANOSECONDS`.
fn numbers(text: &str, number: usize) -> Option<(u8, u64)> {
    let mut words = text.split(' ');
    if words.next()?.parse() != Ok(number) {
        return None;
    }
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// What follows `prefix` in the script's lines about the end of this test.
fn after(ended: &Ended, number: usize, prefix: &str) -> Vec<String> {
    let end = format!("{END}{number} ");
    let lines = ended.lines.iter().map(|line| line.text.as_str());
    lines
        .skip_while(|line| !line.starts_with(&end))
        .skip(1)
        .take_while(|line| line.starts_with(DONE) || line.starts_with(SAID))
        .filter_map(|line| line.strip_prefix(prefix))
        .map(str::to_owned)
        .collect()
}

impl Report {
    /// What is not as it should be on our machine, in words; nothing if all is well.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (at, (test, outcome)) in self.tests.iter().zip(&self.ours.outcomes).enumerate() {
            let qemu = self.qemu.as_ref().map(|run| run.outcomes[at].verdict);
            if test.expected.allows(outcome.verdict) {
                continue;
            }
            let mut text = format!(
                "{}: {} (status {}), expected {}",
                test.command, outcome.verdict, outcome.status, test.expected
            );
            if let Some(qemu) = qemu {
                let _ = write!(text, ", on QEMU {qemu}");
            }
            for line in &outcome.said {
                let _ = write!(text, "\n    {line}");
            }
            wrong.push(text);
        }
        wrong.extend(self.ours.complaints.iter().map(|line| format!("the kernel: {line}")));
        wrong
    }

    /// The table as Markdown, which also reads well on a terminal.
    pub fn table(&self) -> String {
        let width = self.tests.iter().map(|test| test.command.len()).max().unwrap_or(4).max(4);
        let mut text = String::new();
        let rule = "-".repeat(width);
        let _ = write!(text, "| {:width$} | Nestwalk | guest s |   CPU s |", "test");
        let _ = writeln!(text, " QEMU | guest s |   CPU s | CPU ratio |");
        let _ = write!(text, "| {rule} | -------- | ------: | ------: |");
        let _ = writeln!(text, " ---- | ------: | ------: | --------: |");
        for (at, (test, ours)) in self.tests.iter().zip(&self.ours.outcomes).enumerate() {
            let _ = write!(
                text,
                "| {:width$} | {:8} | {:7.3} | {:7.2} |",
                test.command, ours.verdict, ours.guest_seconds, ours.cpu_seconds
            );
            let _ = match self.qemu.as_ref().map(|run| &run.outcomes[at]) {
                Some(qemu) => writeln!(
                    text,
                    " {:4} | {:7.3} | {:7.2} | {:>9} |",
                    qemu.verdict,
                    qemu.guest_seconds,
                    qemu.cpu_seconds,
                    ratio(test, ours, qemu)
                ),
                None => writeln!(text, "      |         |         |           |"),
            };
        }
        text
    }

    /// What stands under the table: totals, and why a test should not pass.
    pub fn notes(&self) -> String {
        let mut text = String::new();
        for run in [Some(&self.ours), self.qemu.as_ref()].into_iter().flatten() {
            let _ = write!(
                text,
                "{}: {} of {} passed; {:.0} s of CPU time with the boot, {:.0} s of wall time",
                run.machine,
                run.passed(),
                run.outcomes.len(),
                run.cpu_seconds,
                run.wall_seconds
            );
            if let Some(instructions) = run.instructions {
                let _ = write!(text, ", {:.1} G instructions", instructions as f64 / 1e9);
            }
            let _ = writeln!(text, "; {}", run.system);
        }
        for line in &self.origin {
            let _ = writeln!(text, "{line}");
        }
        for (at, test) in self.tests.iter().enumerate() {
            let done = |run: &Run| run.outcomes[at].iterations;
            if let Some(ours) = done(&self.ours) {
                let _ = write!(text, "`{}` runs for a time: {ours} iterations", test.command);
                let _ = match self.qemu.as_ref().and_then(done) {
                    Some(qemu) => writeln!(text, ", on QEMU {qemu}; CPU ratio of one iteration"),
                    None => writeln!(text),
                };
            }
        }
        for test in &self.tests {
            if let Some(why) = &test.why {
                let _ = writeln!(text, "{} on `{}`: {why}", test.expected, test.command);
            }
        }
        text
    }

    /// Writes `selftests.md` and `selftests.json` into the folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let notes: String = self.notes().lines().map(|line| format!("- {line}\n")).collect();
        let markdown = format!("# The kernel's KVM selftests\n\n{}\n{notes}", self.table());
        fs::write(folder.join("selftests.md"), markdown)?;
        let tests: Vec<_> = self
            .tests
            .iter()
            .enumerate()
            .map(|(at, test)| {
                serde_json::json!({
                    "command": test.command,
                    "limit_seconds": test.limit_seconds,
                    "expected": test.expected,
                    "harts": test.harts,
                    "why": test.why,
                    "nestwalk": self.ours.outcomes[at],
                    "qemu": self.qemu.as_ref().map(|run| &run.outcomes[at]),
                })
            })
            .collect();
        let document = serde_json::json!({
            "schema": SCHEMA,
            "origin": self.origin,
            "nestwalk": summary(&self.ours),
            "qemu": self.qemu.as_ref().map(summary),
            "tests": tests,
        });
        fs::write(folder.join("selftests.json"), serde_json::to_string_pretty(&document)? + "\n")?;
        Ok(())
    }
}

fn summary(run: &Run) -> serde_json::Value {
    serde_json::json!({
        "machine": run.machine,
        "system": run.system,
        "cpu_seconds": run.cpu_seconds,
        "wall_seconds": run.wall_seconds,
        "instructions": run.instructions,
        "complaints": run.complaints,
    })
}

/// Our processor time by QEMU's, for one iteration of a test that runs for a time; nothing where a test was killed, or
/// too short to compare.
fn ratio(test: &Test, ours: &Outcome, qemu: &Outcome) -> String {
    let same = ours.verdict == qemu.verdict && !test.expected.allows(Verdict::Hang);
    if !same || qemu.cpu_seconds < 0.1 {
        return String::new();
    }
    let each = match (ours.iterations, qemu.iterations) {
        (Some(ours), Some(qemu)) => ours.max(1) as f64 / qemu.max(1) as f64,
        _ => 1.0,
    };
    format!("{:.2}", ours.cpu_seconds / qemu.cpu_seconds / each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::session::Line;

    fn test(command: &str, expected: Verdict) -> Test {
        Test {
            limit_seconds: 3,
            expected: expected.into(),
            harts: 1,
            command: command.to_owned(),
            why: None,
        }
    }

    fn ended(lines: &[(&str, u64)]) -> Ended {
        let line = |&(text, centiseconds): &(&str, u64)| Line {
            text: text.to_owned(),
            cpu: Duration::from_millis(centiseconds * 10),
        };
        Ended {
            lines: lines.iter().map(line).collect(),
            instructions: Some(5_000_000_000),
            cpu: Duration::from_secs(7),
            elapsed: Duration::from_secs(9),
        }
    }

    fn report(lines: &[(&str, u64)], expected: [Verdict; 2]) -> Result<Report> {
        let tests = vec![test("a", expected[0]), test("b -x", expected[1])];
        let ours = Run::read("Nestwalk".to_owned(), &tests, &ended(lines))?;
        Ok(Report { tests, origin: Vec::new(), ours, qemu: None })
    }

    const CONSOLE: &[(&str, u64)] = &[
        ("selftest-system: Linux 7.2, Sv57x4", 1),
        ("selftest-begin: 1 a", 100),
        ("[ 1.0] something of the kernel", 110),
        ("selftest-end: 1 0 250000000", 175),
        ("selftest-begin: 2 b -x", 180),
        ("selftest-end: 2 254 1500000", 190),
        ("selftest-said: x.c:7: no", 190),
    ];

    #[test]
    fn outcomes_are_read_from_the_console() {
        let report = report(CONSOLE, [Verdict::Pass, Verdict::Pass]).unwrap();
        let [a, b] = report.ours.outcomes.as_slice() else { panic!() };
        assert_eq!((a.verdict, a.guest_seconds, a.cpu_seconds), (Verdict::Pass, 0.25, 0.75));
        assert_eq!((b.verdict, b.status, b.cpu_seconds), (Verdict::Fail, 254, 0.1));
        assert_eq!((a.said.len(), b.said.as_slice()), (0, ["x.c:7: no".to_owned()].as_slice()));
        assert_eq!(report.ours.system, "Linux 7.2, Sv57x4");
        assert_eq!(report.wrong().len(), 1, "{:?}", report.wrong());
    }

    #[test]
    fn tests_that_run_for_a_time_are_compared_by_iteration() {
        let run = |iterations: &str, end: u64| {
            let done = format!("selftest-done: {iterations}");
            let mut lines = CONSOLE.to_vec();
            lines[3].1 = end;
            lines.insert(4, (&done, end));
            let tests = [test("a", Verdict::Pass), test("b -x", Verdict::Pass)];
            Run::read("x".to_owned(), &tests, &ended(&lines)).unwrap()
        };
        let (ours, qemu) = (run("20", 1100), run("2", 300));
        let (ours, qemu) = (&ours.outcomes[0], &qemu.outcomes[0]);
        assert_eq!((ours.iterations, ours.cpu_seconds), (Some(20), 10.0));
        // 10 s for 20 against 2 s for 2.
        assert_eq!(ratio(&test("a", Verdict::Pass), ours, qemu), "0.50");
    }

    #[test]
    fn an_unexpected_pass_is_wrong_too() {
        assert_eq!(report(CONSOLE, [Verdict::Hang, Verdict::Pass]).unwrap().wrong().len(), 2);
    }

    #[test]
    fn a_complaint_of_the_kernel_is_wrong() {
        let mut lines = CONSOLE[..4].to_vec();
        lines.extend([("selftest-begin: 2 b -x", 180), ("selftest-end: 2 0 1500000", 190)]);
        let well = report(&lines, [Verdict::Pass; 2]).unwrap();
        assert!(well.wrong().is_empty());
        lines.push(("selftest-kernel: [ 2.0] WARNING: CPU: 0", 200));
        assert_eq!(report(&lines, [Verdict::Pass; 2]).unwrap().wrong().len(), 1);
    }

    #[test]
    fn a_console_that_ends_early_is_no_result() {
        assert!(report(&CONSOLE[..5], [Verdict::Pass; 2]).is_err());
        let mut lines = CONSOLE.to_vec();
        lines[3].0 = "selftest-end: 1 0";
        assert!(report(&lines, [Verdict::Pass; 2]).is_err());
    }
}
