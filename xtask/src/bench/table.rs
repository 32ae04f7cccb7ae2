//! What was measured, as rows of a table and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::emulator::{Emulator, Kind};

/// Everything, as it is written to a file.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What was measured, by version.
    pub(super) emulators: BTreeMap<Kind, String>,
    /// The settings that all share.
    pub(super) settings: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// One row's results.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Instructions of one round on our hart; none where they were not counted.
    pub(super) instructions: Option<f64>,
    /// What one round has of what the row is about.
    pub(super) events: u64,
    pub(super) unit: &'static str,
    pub(super) results: BTreeMap<Kind, Results>,
}

/// One row on one emulator, run by run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Results {
    /// Rounds of each run.
    pub(super) rounds: u64,
    /// Processor seconds of the part of the run that the row is about.
    pub(super) seconds: Vec<f64>,
    /// Processor seconds of the whole process.
    pub(super) process_seconds: Vec<f64>,
    /// Processor nanoseconds a round of that part.
    pub(super) nanoseconds: Vec<f64>,
    /// How many times as long as ours these took.
    pub(super) times_ours: Vec<f64>,
    /// The most native memory that it had besides the machine's RAM, in MiB, where that can be told.
    pub(super) beyond_ram_mib: Option<f64>,
}

/// The first line of the table.
pub(super) fn heading(emulators: &[Emulator]) -> String {
    let mut line = format!("{:16} {:>12}", "", "insns/round");
    for emulator in emulators {
        line += &format!(" {:>16}", emulator.kind.name());
    }
    for emulator in emulators.iter().skip(1) {
        let pair = format!("{} / {}", emulator.kind.name(), emulators[0].kind.name());
        line += &format!("   {pair:>22}");
    }
    line
}

impl Row {
    /// Compares each run with ours of the same pair.
    pub(super) fn compare(&mut self, ours: Kind) {
        let Some(ours) = self.results.get(&ours).map(|results| results.nanoseconds.clone()) else {
            return;
        };
        for results in self.results.values_mut() {
            let pairs = results.nanoseconds.iter().zip(&ours);
            results.times_ours = pairs.map(|(theirs, ours)| theirs / ours).collect();
        }
    }

    /// The median of each emulator as MIPS or time, and how the others compare with the first: median, least and greatest.
    pub(super) fn line(&self, emulators: &[Emulator]) -> String {
        let instructions = self.instructions.map_or(String::new(), |count| format!("{count:.0}"));
        let mut line = format!("{:16} {instructions:>12}", self.name);
        for emulator in emulators {
            let shown = self.results.get(&emulator.kind).map_or(String::new(), |r| self.shown(r));
            line += &format!(" {shown:>16}");
        }
        for emulator in emulators.iter().skip(1) {
            let Some(results) = self.results.get(&emulator.kind) else {
                line += &format!("   {:>22}", "");
                continue;
            };
            let of = |pick: fn(f64, f64) -> f64| results.times_ours.iter().copied().reduce(pick);
            let (least, greatest) = (of(f64::min).unwrap_or(0.0), of(f64::max).unwrap_or(0.0));
            let middle = median(&results.times_ours);
            line += &format!("   {middle:>7.2} [{least:>5.2}, {greatest:>5.2}]");
        }
        line
    }

    fn shown(&self, results: &Results) -> String {
        let time = median(&results.nanoseconds);
        match (self.unit, self.instructions) {
            ("instructions", Some(count)) => format!("{:.0} MIPS", count * 1e3 / time),
            ("seconds", _) => match results.beyond_ram_mib {
                Some(mib) => format!("{:.2} s {mib:.0} MiB", time / 1e9),
                None => format!("{:.2} s", time / 1e9),
            },
            (unit, _) => format!("{:.1} ns/{unit}", time / self.events as f64),
        }
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_ratio_compares_runs_of_one_pair() {
        let results = |nanoseconds: &[f64]| Results {
            nanoseconds: nanoseconds.to_vec(),
            ..Results::default()
        };
        let mut row = Row {
            name: "row",
            instructions: None,
            events: 1,
            unit: "seconds",
            results: BTreeMap::from([
                (Kind::Nestwalk, results(&[1e9, 2e9, 4e9])),
                (Kind::Qemu, results(&[2e9, 2e9, 2e9])),
            ]),
        };
        row.compare(Kind::Nestwalk);
        assert_eq!(row.results[&Kind::Qemu].times_ours, [2.0, 1.0, 0.5]);
        let emulators = [Kind::Nestwalk, Kind::Spike, Kind::Qemu]
            .map(|kind| Emulator { kind, path: Default::default() });
        let line = row.line(&emulators);
        assert!(line.contains("2.00 s") && line.ends_with("1.00 [ 0.50,  2.00]"), "{line}");
        assert_eq!(line.len(), heading(&emulators).len(), "{line}");
    }
}
