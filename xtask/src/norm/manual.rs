//! A checkout of riscv-isa-manual: its tags against our lists, so that drift shows.
//!
//! A tag is an inline `[#norm:ID]` or an anchor `[[norm:ID]]`; a reference `<<norm:ID>>` is none. Only ids and the
//! headings they stand below are taken.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::inputs;
use crate::norm::rules::{self, FILES, Section, Tags};
use crate::process;

/// How tags begin.
const OPENINGS: [&str; 2] = ["[#norm:", "[[norm:"];

/// Prints how a checkout differs from our lists, and fails if it does; with `update`, writes the lists instead.
pub fn compare(checkout: &Path, update: bool) -> Result<ExitCode> {
    let commit =
        process::output(Command::new("git").arg("-C").arg(checkout).args(["rev-parse", "HEAD"]))
            .context("which commit is checked out?")?;
    let folder = inputs::workspace().join("norm");
    let mut drift = 0;
    for file in FILES {
        let path = format!("src/priv/{file}.adoc");
        let text = fs::read_to_string(checkout.join(&path)).with_context(|| path.clone())?;
        let now = Tags { commit: commit.trim().to_owned(), path, section: sections(&text) };
        let list = folder.join(format!("{file}.toml"));
        if update {
            let head = "# The rules that this file of riscv-isa-manual tags: ids only. \
                        Written by `cargo xtask norm --manual DIR --update`.\n\n";
            fs::write(list, head.to_owned() + &toml::to_string_pretty(&now)?)?;
            continue;
        }
        let listed: Tags = rules::read(&list)?;
        let (old, new) = (places(&listed), places(&now));
        for (id, heading) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
            println!("{file}: gone: {id} ({heading})");
            drift += 1;
        }
        for (id, heading) in new.iter().filter(|(id, _)| !old.contains_key(*id)) {
            println!("{file}: new: {id} ({heading})");
            drift += 1;
        }
        println!("{file}: {} rules at {}, listed from {}", new.len(), now.commit, listed.commit);
    }
    Ok(if drift == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn places(tags: &Tags) -> BTreeMap<&str, &str> {
    let each = tags
        .section
        .iter()
        .flat_map(|section| section.rules.iter().map(|id| (id.as_str(), section.heading.as_str())));
    each.collect()
}

/// The sections that have tags, in order.
fn sections(text: &str) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut heading = "";
    let mut new = true;
    for line in text.lines() {
        if let Some(title) = title(line) {
            (heading, new) = (title, true);
        }
        for id in tags(line) {
            if new {
                found.push(Section { heading: heading.to_owned(), rules: Vec::new() });
                new = false;
            }
            if let Some(section) = found.last_mut() {
                section.rules.push(id.to_owned());
            }
        }
    }
    found
}

/// The text of a heading line.
fn title(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('=');
    (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten().map(str::trim)
}

fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let starts =
            OPENINGS.iter().filter_map(|opening| rest.find(opening).map(|at| at + opening.len()));
        let start = starts.min()?;
        let end = start + rest[start..].find(']')?;
        let id = &rest[start..end];
        rest = &rest[end..];
        Some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_below_their_headings_and_references_are_not_tags() {
        let text =
            "=== One\n[#norm:a]#x# y [#norm:b_c]#z#\n====\n[[norm:d]]\n== Two\nsee <<norm:a>>\n";
        let found = sections(text);
        let one = Section {
            heading: "One".to_owned(),
            rules: ["a", "b_c", "d"].map(str::to_owned).to_vec(),
        };
        assert_eq!(found, [one]);
    }
}
