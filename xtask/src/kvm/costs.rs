//! What KVM's paths take in instructions: from a trap out of a guest to the return into it, by what was done between.
//!
//! The kernel's probes are off, since each hit of one takes a trap of its own. The costs that `nestwalk hyp dirty-log` states come
//! from here (`docs/HYPERVISOR.md`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::report::Report;
use super::session::{Machine, Session};
use super::{Kit, Shape};
use crate::scratch::Scratch;

/// 8 MiB in pages of 2 MiB, as `nestwalk hyp dirty-log` has them.
const SCRIPT: &str =
    "hugepages 4\nvmm dirty --backing hugetlb2m --translation sv39 --manual 3 --probes off\n";

/// What happened between a trap out of a guest and the return into it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Path {
    cause: String,
    /// Changes of G-stage tables.
    tables: usize,
    fences: usize,
    /// Returns within the kernel or to user space.
    returns: usize,
}

/// Plays it and prints the table.
pub fn run(kit: &Kit<'_>, shape: Shape, report: &mut Report) {
    let name = format!("costs of KVM's paths, {}", shape.machine());
    let machine = [Machine::Nestwalk(kit.nestwalk.to_owned())];
    report.play(&name, &machine, |machine| {
        let scratch = Scratch::new("costs.jsonl")?;
        let events = scratch.path();
        let mut extra = kit.extra.clone();
        extra.extend(["--events".to_owned(), events.display().to_string()]);
        extra.extend(["--event-kinds".to_owned(), "exits,returns,gstage,fences".to_owned()]);
        let files = [kit.vmm.clone()];
        let session = Session { extra: &extra, ..kit.session(shape, &files, SCRIPT) };
        let played = session.run(machine);
        let paths =
            File::open(events).context("the events").map(|file| paths(BufReader::new(file)));
        let ended = played?;
        let paths = paths?;
        ensure!(!paths.is_empty(), "no guest was left and entered again");
        println!(
            "\n| cause | stores to tables | fences | returns between | times | least | median |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        for (Path { cause, tables, fences, returns }, mut all) in paths {
            all.sort_unstable();
            let (times, least, median) = (all.len(), all[0], all[all.len() / 2]);
            println!(
                "| {cause} | {tables} | {fences} | {returns} | {times} | {least} | {median} |"
            );
        }
        Ok(ended)
    });
}

/// All paths in a file of events, and how many instructions each took.
fn paths(events: impl BufRead) -> BTreeMap<Path, Vec<u64>> {
    let mut open: BTreeMap<u64, (u64, Path)> = BTreeMap::new();
    let mut paths: BTreeMap<Path, Vec<u64>> = BTreeMap::new();
    for line in events.lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let (Some(hart), Some(insns)) = (event["hart"].as_u64(), event["insns"].as_u64()) else {
            continue;
        };
        let leaves_guest =
            |key: &str| event[key].as_str().is_some_and(|mode| mode.starts_with('V'));
        match event["event"].as_str() {
            Some("trap") if leaves_guest("mode") => {
                let cause = event["cause"].as_str().unwrap_or("?").to_owned();
                open.insert(hart, (insns, Path { cause, tables: 0, fences: 0, returns: 0 }));
            }
            Some("return") if leaves_guest("to") => {
                if let Some((from, path)) = open.remove(&hart) {
                    paths.entry(path).or_default().push(insns.saturating_sub(from));
                }
            }
            kind => {
                let Some((_, path)) = open.get_mut(&hart) else { continue };
                match kind {
                    Some("return") => path.returns += 1,
                    Some("fence") => path.fences += 1,
                    Some("gstage") => path.tables += 1,
                    _ => {}
                }
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_from_a_trap_out_of_a_guest_to_the_return_into_one() {
        let events = r#"{"schema":1}
{"event":"return","hart":0,"insns":90,"mode":"S","to":"VS"}
{"event":"trap","hart":0,"insns":100,"mode":"VU","to":"S","cause":"load guest-page fault"}
{"event":"fence","hart":1,"insns":5,"mode":"S"}
{"event":"gstage","hart":0,"insns":110,"mode":"S"}
{"event":"fence","hart":0,"insns":111,"mode":"S"}
{"event":"return","hart":0,"insns":120,"mode":"S","to":"U"}
{"event":"return","hart":0,"insns":150,"mode":"S","to":"VU"}
"#;
        let path =
            Path { cause: "load guest-page fault".to_owned(), tables: 1, fences: 1, returns: 1 };
        assert_eq!(paths(events.as_bytes()), BTreeMap::from([(path, vec![50])]));
    }
}
