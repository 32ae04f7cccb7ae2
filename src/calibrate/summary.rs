//! Errors of a model against measurements, as figures, tables and JSON.

use super::reference::{Group, Row};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A measured row and what came out here.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    /// What was measured.
    pub(crate) row: Row,
    /// Cycles here.
    pub(crate) cycles: u64,
    /// Instructions here.
    pub(crate) instret: u64,
}

impl Compared {
    /// The relative error of cycles, in per cent.
    fn error(&self) -> f64 {
        (self.cycles as f64 / self.row.cycles as f64 - 1.0) * 100.0
    }
}

/// All rows of a core at a latency.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// The core here.
    pub(crate) core: String,
    /// The memory's latency in cycles.
    pub(crate) latency: u64,
    /// Its rows.
    pub(crate) rows: Vec<Compared>,
    /// Measured rows whose program is not there.
    pub(crate) absent: usize,
}

/// The errors of some rows, in per cent.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Figures {
    rows: usize,
    mean: f64,
    signed: f64,
    largest: f64,
    within_5: f64,
    within_10: f64,
}

impl Figures {
    fn of(errors: &[f64]) -> Self {
        let count = errors.len().max(1) as f64;
        let share = |limit: f64| {
            errors.iter().filter(|error| error.abs() <= limit).count() as f64 / count * 100.0
        };
        Self {
            rows: errors.len(),
            mean: errors.iter().map(|error| error.abs()).sum::<f64>() / count,
            signed: errors.iter().sum::<f64>() / count,
            largest: errors.iter().fold(0.0, |max: f64, error| max.max(error.abs())),
            within_5: share(5.0),
            within_10: share(10.0),
        }
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.rows,
            "mape": self.mean,
            "signed_mean": self.signed,
            "largest": self.largest,
            "within_5_percent": self.within_5,
            "within_10_percent": self.within_10,
        })
    }
}

impl Comparison {
    fn in_group(&self, group: Group) -> impl Iterator<Item = &Compared> {
        self.rows.iter().filter(move |compared| compared.row.group() == group)
    }

    fn figures(&self, group: Group) -> Figures {
        Figures::of(&self.in_group(group).map(Compared::error).collect::<Vec<_>>())
    }

    /// Rows whose count of instructions differs.
    pub(crate) fn miscounted(&self) -> usize {
        self.rows.iter().filter(|compared| compared.instret != compared.row.instret).count()
    }

    fn worst(&self, count: usize) -> Vec<&Compared> {
        let mut rows: Vec<&Compared> = self.rows.iter().collect();
        rows.sort_by(|a, b| b.error().abs().total_cmp(&a.error().abs()));
        rows.truncate(count);
        rows
    }

    /// For people: the groups, then the worst rows.
    pub(crate) fn text(&self, worst: usize) -> String {
        let mut text = format!("{}, memory latency {}\n", self.core, self.latency);
        let head = ["", "rows", "mean", "signed", "largest", "<= 5 %", "<= 10 %"];
        let line = |text: &mut String, cells: [String; 7]| {
            let [name, cells @ ..] = cells;
            let _ = write!(text, "  {name:<28}");
            for cell in cells {
                let _ = write!(text, "{cell:>9}");
            }
            text.push('\n');
        };
        line(&mut text, head.map(String::from));
        for group in Group::ALL {
            let figures = self.figures(group);
            if figures.rows != 0 {
                let cells = [
                    group.name().into(),
                    figures.rows.to_string(),
                    format!("{:.2}", figures.mean),
                    format!("{:+.2}", figures.signed),
                    format!("{:.1}", figures.largest),
                    format!("{:.0}", figures.within_5),
                    format!("{:.0}", figures.within_10),
                ];
                line(&mut text, cells);
            }
        }
        let wrong = self.miscounted();
        let counted = self.rows.len() - wrong;
        let _ = writeln!(text, "  instret is exact on {counted} of {} rows", self.rows.len());
        if self.absent != 0 {
            let _ = writeln!(text, "  {} rows have no program here", self.absent);
        }
        for compared in self.worst(worst) {
            let Row { benchmark, cycles, ops, .. } = &compared.row;
            let per = |cycles: u64| cycles as f64 / (*ops).max(1) as f64;
            let _ = writeln!(
                text,
                "  {:+7.1} %  {benchmark:<28} {:>11} for {cycles:>11}   {:.2} for {:.2} each",
                compared.error(),
                compared.cycles,
                per(compared.cycles),
                per(*cycles)
            );
        }
        text
    }

    /// Everything.
    pub(crate) fn json(&self) -> Value {
        let groups: serde_json::Map<String, Value> = Group::ALL
            .iter()
            .map(|&group| (group.name().to_owned(), self.figures(group).json()))
            .collect();
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|compared| {
                json!({
                    "benchmark": compared.row.benchmark,
                    "group": compared.row.group().name(),
                    "ops": compared.row.ops,
                    "measured_cycles": compared.row.cycles,
                    "cycles": compared.cycles,
                    "error_percent": compared.error(),
                    "measured_instret": compared.row.instret,
                    "instret": compared.instret,
                })
            })
            .collect();
        json!({
            "core": self.core,
            "measured_core": self.rows.first().map(|compared| &compared.row.core),
            "memory_latency": self.latency,
            "groups": groups,
            "rows_without_program": self.absent,
            "rows": rows,
        })
    }
}

/// The table of all comparisons for a document.
pub(crate) fn markdown(comparisons: &[Comparison]) -> String {
    let mut text = String::from(
        "| core | latency | rows | | mean | signed | largest | ≤ 5 % | ≤ 10 % |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for comparison in comparisons {
        for group in Group::ALL {
            let figures = comparison.figures(group);
            let mut rows: Vec<&Compared> = comparison.in_group(group).collect();
            rows.sort_by(|a, b| b.error().abs().total_cmp(&a.error().abs()));
            let Some(worst) = rows.first() else { continue };
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {:.2} | {} | {:.1} `{}` | {:.0} | {:.0} |",
                comparison.core,
                comparison.latency,
                group.name(),
                figures.rows,
                figures.mean,
                signed(figures.signed),
                figures.largest,
                worst.row.benchmark,
                figures.within_5,
                figures.within_10
            );
        }
    }
    text
}

/// A figure with its sign, as documents write it; nothing has none.
fn signed(figure: f64) -> String {
    match format!("{figure:+.2}") {
        text if matches!(&*text, "+0.00" | "-0.00") => "0.00".into(),
        text => text.replace('-', "−"),
    }
}

/// The line before a table in a document.
const BEGIN: &str = "<!-- begin: nestwalk calibrate -->\n";
/// The line after it.
const END: &str = "<!-- end: nestwalk calibrate -->\n";

/// `document` with `table` between its marks.
///
/// # Errors
/// It has no marks.
pub(crate) fn replaced(document: &str, table: &str) -> Result<String> {
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        bail!("it needs the lines '{}' and '{}'", BEGIN.trim(), END.trim());
    };
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_known_errors() {
        let figures = Figures::of(&[1.0, -3.0, 8.0, -20.0]);
        assert_eq!(
            figures,
            Figures {
                rows: 4,
                mean: 8.0,
                signed: -3.5,
                largest: 20.0,
                within_5: 50.0,
                within_10: 75.0
            }
        );
    }

    #[test]
    fn a_table_goes_between_its_marks() {
        let document = format!("a\n{BEGIN}old\n{END}b\n");
        let new = replaced(&document, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}new\n{END}b\n"));
        assert_eq!(replaced(&new, "new\n").unwrap(), new);
        assert!(replaced("a\n", "new\n").is_err());
    }
}
