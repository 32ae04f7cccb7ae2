//! Rows with what each part of `cargo xtask kvm` showed and cost, printed as a table at the end.

use std::fmt;
use std::time::Duration;

use crate::process::say;
use crate::tally::Tally;

use super::session::{Ended, Machine};

/// What came of one part.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    verdict: Result<(), String>,
    instructions: Option<u64>,
    cpu: Option<Duration>,
    qemu_cpu: Option<Duration>,
}

/// All rows so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Plays one part on each machine and makes a row of it. `play` runs the part and checks what it showed.
    pub fn play(
        &mut self,
        name: &str,
        machines: &[Machine],
        mut play: impl FnMut(&Machine) -> anyhow::Result<Ended>,
    ) {
        let mut row = Row {
            name: name.to_owned(),
            verdict: Ok(()),
            instructions: None,
            cpu: None,
            qemu_cpu: None,
        };
        for machine in machines {
            let on = if matches!(machine, Machine::Qemu) { " on QEMU" } else { "" };
            say(&format!("{name}{on}"));
            match (play(machine), machine) {
                (Ok(ended), Machine::Nestwalk(_)) => {
                    row.instructions = ended.instructions;
                    row.cpu = Some(ended.cpu);
                }
                (Ok(ended), Machine::Qemu) => row.qemu_cpu = Some(ended.cpu),
                // What QEMU does is a comparison; it decides nothing.
                (Err(error), Machine::Qemu) => eprintln!("    QEMU: {error:#}"),
                (Err(error), Machine::Nestwalk(_)) => {
                    eprintln!("    FAIL: {error:#}");
                    let first = format!("{error:#}");
                    row.verdict = Err(first.lines().next().unwrap_or_default().to_owned());
                }
            }
        }
        if row.verdict.is_ok() {
            eprintln!("    PASS");
        }
        self.rows.push(row);
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.verdict.is_ok())
    }

    /// Adds each row to a tally.
    pub fn add_to(&self, tally: &mut Tally) {
        for row in &self.rows {
            match (&row.verdict, row.cpu) {
                (Ok(()), Some(cpu)) => {
                    tally.pass(&format!("{} ({:.1} s of CPU time)", row.name, cpu.as_secs_f64()));
                }
                (Ok(()), None) => tally.pass(&row.name),
                (Err(why), _) => tally.fail(&row.name, why),
            }
        }
    }

    /// What failed: (name, why).
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows.iter().filter_map(|row| Some((&*row.name, row.verdict.as_ref().err()?.as_str())))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let with_qemu = self.rows.iter().any(|row| row.qemu_cpu.is_some());
        let heading = if with_qemu { "  QEMU CPU s" } else { "" };
        writeln!(f, "{:width$}  result  10^6 instructions  CPU s{heading}", "")?;
        let seconds = |time: Option<Duration>| {
            time.map_or_else(String::new, |time| format!("{:.1}", time.as_secs_f64()))
        };
        for row in &self.rows {
            let verdict = if row.verdict.is_ok() { "PASS" } else { "FAIL" };
            let millions =
                row.instructions.map_or_else(String::new, |count| (count / 1_000_000).to_string());
            let cpu = seconds(row.cpu);
            write!(f, "{:width$}  {verdict:6}  {millions:>17}  {cpu:>5}", row.name)?;
            writeln!(f, "{:>1$}", seconds(row.qemu_cpu), heading.len())?;
        }
        let failed = self.failures().count();
        for (name, why) in self.failures() {
            writeln!(f, "{name}: {why}")?;
        }
        write!(f, "{} passed, {failed} failed", self.rows.len() - failed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::bail;

    use super::*;

    fn ended(instructions: Option<u64>) -> Ended {
        let cpu = Duration::from_millis(7250);
        Ended { lines: Vec::new(), instructions, cpu, elapsed: cpu }
    }

    #[test]
    fn a_failure_on_our_machine_decides_and_one_on_qemu_does_not() {
        let machines = [Machine::Nestwalk(PathBuf::new()), Machine::Qemu];
        let mut report = Report::default();
        report.play("one", &machines, |machine| match machine {
            Machine::Nestwalk(_) => Ok(ended(Some(2_345_678_901))),
            Machine::Qemu => bail!("no such program"),
        });
        assert!(report.is_good());
        assert!(report.to_string().contains("one  PASS                 2345    7.2\n"), "{report}");
        report.play("two", &machines, |machine| match machine {
            Machine::Nestwalk(_) => bail!("it hangs\nthe console"),
            Machine::Qemu => Ok(ended(None)),
        });
        assert!(!report.is_good());
        assert_eq!(report.failures().collect::<Vec<_>>(), [("two", "it hangs")]);
        assert!(report.to_string().ends_with("two: it hangs\n1 passed, 1 failed"), "{report}");
    }
}
