//! `cargo xtask norm`: which rules of the privileged manual have a test that cites them.
//!
//! The manual tags its normative rules. `norm/` keeps the tags of the files we answer for (ids and headings, no
//! text), our own ids for rules without a tag, the rules that nothing here can test, and those still open. A test
//! cites what it shows in a comment; this chore counts, complains of ids that nobody knows, and fails while a rule
//! has neither a test nor a reason. Whether a citation is true is another question: [`mutate`] breaks rules in a
//! copy of the code and looks whether the citing test fails.
//!
//! * [`rules`] the lists in `norm/`
//! * [`cite`] the citations in tests
//! * [`manual`] a checkout of the manual against the lists
//! * [`mutate`] rules broken on purpose

pub mod cite;
pub mod manual;
pub mod mutate;
pub mod rules;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::inputs;
use cite::Citation;
use rules::Rules;

/// The arguments of `cargo xtask norm`.
#[derive(Args, Debug)]
pub struct NormArgs {
    /// Say where a rule stands in the manual, and what cites it
    #[arg(long, value_name = "RULE")]
    list: Option<String>,
    /// List the rules that have neither a test nor a reason
    #[arg(long)]
    open: bool,
    /// Compare the lists with a checkout of riscv-isa-manual
    #[arg(long, value_name = "DIR")]
    manual: Option<PathBuf>,
    /// With --manual: write the lists anew from that checkout
    #[arg(long, requires = "manual")]
    update: bool,
    /// Break rules in a copy of the code and run the tests that cite them: so many, or all
    #[arg(long, value_name = "N|all")]
    mutate: Option<mutate::Sample>,
    /// With --mutate: only mutations of rules whose ids contain this
    #[arg(long, value_name = "TEXT", requires = "mutate")]
    only: Option<String>,
}

/// `cargo xtask norm`.
pub fn norm(args: &NormArgs) -> Result<ExitCode> {
    if let Some(checkout) = &args.manual {
        return manual::compare(checkout, args.update);
    }
    let coverage = Coverage::read()?;
    if let Some(sample) = args.mutate {
        return mutate::run(&coverage, sample, args.only.as_deref());
    }
    if let Some(id) = &args.list {
        print!("{}", coverage.about(id)?);
        return Ok(ExitCode::SUCCESS);
    }
    if args.open {
        for (file, section, id) in coverage.missing() {
            println!("{file}: {section}: {id}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", coverage.table());
    let wrong = coverage.wrong();
    for line in &wrong {
        eprintln!("{line}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rules and what cites them.
pub struct Coverage {
    rules: Rules,
    citations: BTreeMap<String, Vec<Citation>>,
    misplaced: Vec<String>,
}

impl Coverage {
    /// From the workspace as it stands.
    pub fn read() -> Result<Self> {
        let workspace = inputs::workspace();
        let rules = Rules::read(&workspace.join("norm"))?;
        let found = cite::scan(&workspace)?;
        let mut citations: BTreeMap<String, Vec<Citation>> = BTreeMap::new();
        for (id, citation) in found.citations {
            citations.entry(id).or_default().push(citation);
        }
        Ok(Self { rules, citations, misplaced: found.misplaced })
    }

    /// Everything that must not be, one line each.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.misplaced.clone();
        for (id, citations) in self.citations.iter().filter(|(id, _)| !self.rules.knows(id)) {
            let places: Vec<_> = citations.iter().map(Citation::place).collect();
            wrong.push(format!("{}: the manual has no rule `{id}`", places.join(", ")));
        }
        for (list, id) in self.rules.exempt() {
            if !self.rules.knows(id) {
                wrong.push(format!("norm/{list}: there is no rule `{id}`"));
            } else if let Some(citation) = self.citations.get(id).and_then(|c| c.first()) {
                let place = citation.place();
                wrong.push(format!("norm/{list}: `{id}` has a test after all: {place}"));
            }
        }
        let missing = self.missing().filter(|(_, _, id)| !self.rules.is_listed_open(id)).count();
        if missing > 0 {
            wrong.push(format!(
                "{missing} rules have neither a test nor a reason: --open lists them"
            ));
        }
        wrong
    }

    /// The rules without a test and without an excuse: file, section, id.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.rules
            .all()
            .filter(|(_, _, id)| !self.citations.contains_key(*id) && !self.rules.is_excused(id))
    }

    /// The tests that cite a rule.
    pub fn citing(&self, id: &str) -> &[Citation] {
        self.citations.get(id).map_or(&[], Vec::as_slice)
    }

    /// Per file: how many rules there are, how many are cited, excused and open.
    pub fn table(&self) -> String {
        let mut rows: Vec<(&str, [usize; 4])> = Vec::new();
        for (file, _, id) in self.rules.all() {
            if rows.last().is_none_or(|(name, _)| *name != file) {
                rows.push((file, [0; 4]));
            }
            let state = if self.citations.contains_key(id) {
                1
            } else if self.rules.is_excused(id) {
                2
            } else {
                3
            };
            if let Some((_, counts)) = rows.last_mut() {
                counts[0] += 1;
                counts[state] += 1;
            }
        }
        let mut total = [0; 4];
        for (_, counts) in &rows {
            total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let mut text =
            format!("{:12}{:>8}{:>8}{:>9}{:>8}\n", "", "rules", "cited", "excused", "open");
        for (file, [all, cited, excused, open]) in rows.into_iter().chain([("total", total)]) {
            let _ = writeln!(text, "{file:12}{all:8}{cited:8}{excused:9}{open:8}");
        }
        text
    }

    fn about(&self, id: &str) -> Result<String> {
        let (file, section, _) = self
            .rules
            .all()
            .find(|(_, _, known)| *known == id)
            .with_context(|| format!("there is no rule `{id}`"))?;
        let mut text = format!("{id}: {file}, {section}\n");
        if let Some(words) = self.rules.words(id) {
            let _ = writeln!(text, "  {words}");
        }
        for (list, reason) in self.rules.reasons(id) {
            let _ = writeln!(text, "  {list}: {reason}");
        }
        for citation in self.citing(id) {
            let _ = writeln!(text, "  {}  {}", citation.place(), citation.test);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_know_every_citation() {
        let coverage = Coverage::read().unwrap();
        let wrong = coverage.wrong();
        let wrong: Vec<_> = wrong.iter().filter(|line| !line.ends_with("lists them")).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
