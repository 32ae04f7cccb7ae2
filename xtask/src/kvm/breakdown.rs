//! What the cycles of a fault in the dirty log go to, on a modelled core: from a guest's write to a protected page until it is made
//! again, by the machine's events, each of which says what the core's cycles had gone to by then (`docs/EVENTS.md`).
//!
//! The first write to a page of 2 MiB makes KVM split it; the next ones find small pages that are protected. The kernel's probes are off,
//! since each hit of one takes a trap of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::report::Report;
use super::session::{Machine, Session};
use super::{Kit, Shape};
use crate::scratch::Scratch;

/// 16 pages of 2 MiB, each of which is split once.
const SCRIPT: &str =
    "hugepages 16\nvmm dirty --backing hugetlb2m --translation sv39 --size 32 --probes off\n";

/// The core, unless another one is asked for.
const CORE: &str = "cva6";

/// What of a core's cycles went where, up to an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Spent {
    walks: u64,
    failed_walks: u64,
    fences: u64,
    raising: u64,
    traps: u64,
    returns: u64,
}

impl Spent {
    fn read(event: &Value) -> Option<Self> {
        let spent = event.get("spent")?;
        let of = |key: &str| spent[key].as_u64();
        Some(Self {
            walks: of("walks")?,
            failed_walks: of("failed_walks")?,
            fences: of("fences")?,
            raising: of("raising")?,
            traps: of("traps")?,
            returns: of("returns")?,
        })
    }
}

/// A fault that was answered, in cycles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Fault {
    /// The walk that found no leave to write.
    walk: u64,
    /// From the end of the walk to the handler; traps within it count, too.
    trap: u64,
    /// Back from there.
    returns: u64,
    /// Instructions that HS-mode retired.
    instructions: u64,
    /// Walks of HS-mode's own.
    own_walks: u64,
    /// Fences and what waited behind them.
    fence: u64,
    /// Walks of the guest when it goes on, up to the next event, that found what they looked for.
    refill: u64,
    total: u64,
}

impl Fault {
    /// The cycles that are none of the others'.
    fn hypervisor(&self) -> u64 {
        let Self { walk, trap, returns, own_walks, fence, refill, total, .. } = self;
        total.saturating_sub(walk + trap + returns + own_walks + fence + refill)
    }
}

/// Which faults belong together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Split,
    Protected,
}

/// Where a hart stands.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// Nothing is followed.
    #[default]
    Elsewhere,
    /// In HS-mode, for a fault.
    Handling { since: Spent, cycle: u64, insns: u64, walk: u64, split: bool, stores: u32 },
    /// Back in the guest.
    Back { since: Spent, kind: Option<Kind>, fault: Fault },
}

/// Plays it and prints the table.
pub fn run(kit: &Kit<'_>, shape: Shape, report: &mut Report) {
    let mut extra = with_core(&kit.extra);
    let name = format!("a fault in the dirty log, {}", extra.join(" "));
    let machine = [Machine::Nestwalk(kit.nestwalk.to_owned())];
    report.play(&name, &machine, |machine| {
        let events = Scratch::new("split.jsonl")?;
        extra.extend(["--events".to_owned(), events.path().display().to_string()]);
        extra.extend(["--event-kinds".to_owned(), "exits,entries,gstage".to_owned()]);
        let files = [kit.vmm.clone()];
        let session = Session { extra: &extra, ..kit.session(shape, &files, SCRIPT) };
        let played = session.run(machine);
        let file = File::open(events.path()).context("the events");
        let (ended, faults) = (played?, faults(BufReader::new(file?)));
        ensure!(faults.contains_key(&Kind::Split), "no page was split");
        println!("\n{}", Table(&faults));
        Ok(ended)
    });
}

/// Arguments of `nestwalk run` that name a core.
pub(super) fn with_core(extra: &[String]) -> Vec<String> {
    let mut extra = extra.to_vec();
    if !extra.iter().any(|word| word == "--core") {
        extra.extend(["--core".to_owned(), CORE.to_owned()]);
    }
    extra
}

/// All faults in a file of events.
fn faults(events: impl BufRead) -> BTreeMap<Kind, Vec<Fault>> {
    let mut harts: BTreeMap<u64, (At, Spent)> = BTreeMap::new();
    let mut found: BTreeMap<Kind, Vec<Fault>> = BTreeMap::new();
    for line in events.lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let number = |key: &str| event[key].as_u64();
        let (Some(hart), Some(insns), Some(cycle), Some(spent)) =
            (number("hart"), number("insns"), number("cycle"), Spent::read(&event))
        else {
            continue;
        };
        let in_guest = |key: &str| event[key].as_str().is_some_and(|mode| mode.starts_with('V'));
        let (at, before) = harts.entry(hart).or_default();
        if let At::Back { since, kind, fault } = at {
            if let Some(kind) = kind {
                let refill = spent.walks - since.walks + spent.fences - since.fences;
                let fault = Fault { refill, total: fault.total + refill, ..*fault };
                found.entry(*kind).or_default().push(fault);
            }
            *at = At::Elsewhere;
        }
        match event["event"].as_str() {
            Some("trap") if in_guest("mode") && !in_guest("to") => {
                *at = match event["cause"].as_str() {
                    Some("store/AMO guest-page fault") => At::Handling {
                        since: spent,
                        cycle,
                        insns,
                        walk: spent.failed_walks - before.failed_walks,
                        split: false,
                        stores: 0,
                    },
                    _ => At::Elsewhere,
                };
            }
            Some("gstage") => {
                if let At::Handling { split, stores, .. } = at {
                    *split |= event["op"] == "split";
                    *stores += 1;
                }
            }
            Some("return") if in_guest("to") => {
                if let At::Handling { since, cycle: begin, insns: first, walk, split, stores } = *at
                {
                    let raising = spent.raising - since.raising;
                    let kind = match (split, stores) {
                        (true, _) => Some(Kind::Split),
                        (false, 1) => Some(Kind::Protected),
                        _ => None,
                    };
                    let fault = Fault {
                        walk: walk.max(raising),
                        trap: spent.traps - since.traps,
                        returns: spent.returns - since.returns,
                        instructions: insns - first,
                        own_walks: spent.walks - since.walks + spent.failed_walks
                            - since.failed_walks,
                        fence: spent.fences - since.fences,
                        refill: 0,
                        // The walk lies behind the fault's place in time where an access issues once.
                        total: cycle - begin + walk.saturating_sub(raising),
                    };
                    *at = At::Back { since: spent, kind, fault };
                }
            }
            _ => {}
        }
        *before = spent;
    }
    // Times end with the issue of the last return, whose own cycles come on top: those of a fault in which nothing else returned.
    let last = found.values().flatten().map(|fault| fault.returns).min().unwrap_or(0);
    found.values_mut().flatten().for_each(|fault| fault.total += last);
    found
}

/// A figure of a fault.
type Figure = fn(&Fault) -> u64;

/// Medians of both kinds.
struct Table<'a>(&'a BTreeMap<Kind, Vec<Fault>>);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| cycles, the fault whose total is the median | with a split | without |")?;
        writeln!(f, "| --- | ---: | ---: |")?;
        let shown = [Kind::Split, Kind::Protected].map(|kind| {
            let mut faults = self.0.get(&kind).cloned().unwrap_or_default();
            faults.sort_unstable_by_key(|fault| fault.total);
            let least = faults.first().map_or(0, |fault| fault.total);
            let most = faults.last().map_or(0, |fault| fault.total);
            (
                faults.len() as u64,
                least,
                most,
                faults.get(faults.len() / 2).copied().unwrap_or_default(),
            )
        });
        let rows: [(&str, Figure); 8] = [
            ("walk that faults, until it traps", |fault| fault.walk),
            ("traps and returns", |fault| fault.trap + fault.returns),
            ("hypervisor, without the rest", Fault::hypervisor),
            ("walks of the hypervisor", |fault| fault.own_walks),
            ("fences, and walks behind them", |fault| fault.fence),
            ("refill: walks of the guest", |fault| fault.refill),
            ("**total**", |fault| fault.total),
            ("instructions of the hypervisor", |fault| fault.instructions),
        ];
        for (name, of) in rows {
            let [split, protected] = shown.map(|(.., fault)| of(&fault));
            writeln!(f, "| {name} | {split} | {protected} |")?;
        }
        let [split, protected] = shown;
        writeln!(
            f,
            "| least and most | {} to {} | {} to {} |",
            split.1, split.2, protected.1, protected.2
        )?;
        write!(f, "| faults | {} | {} |", split.0, protected.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_from_the_walk_that_fails_to_the_write_made_again() {
        let line = |event: &str, cycle: u64, insns: u64, spent: [u64; 6]| {
            let [walks, failed, fences, raising, traps, returns] = spent;
            format!(
                r#"{{{event},"hart":0,"insns":{insns},"cycle":{cycle},"spent":{{"walks":{walks},"failed_walks":{failed},"fences":{fences},"raising":{raising},"traps":{traps},"returns":{returns}}}}}"#
            )
        };
        let events = [
            line(r#""event":"return","mode":"S","to":"VS""#, 1000, 90, [50, 10, 0, 0, 20, 7]),
            // Issued at 1099: a walk of 36 that fails, then the trap.
            line(
                r#""event":"trap","mode":"VS","to":"S","cause":"store/AMO guest-page fault""#,
                1100,
                100,
                [60, 46, 0, 0, 20, 7],
            ),
            line(r#""event":"gstage","mode":"S","op":"split""#, 1300, 200, [80, 46, 0, 36, 26, 7]),
            line(r#""event":"fence","mode":"S""#, 1310, 210, [80, 46, 0, 36, 26, 7]),
            line(r#""event":"return","mode":"S","to":"VS""#, 1500, 300, [80, 46, 100, 36, 26, 14]),
            line(
                r#""event":"trap","mode":"VS","to":"S","cause":"store/AMO guest-page fault""#,
                1700,
                310,
                [131, 82, 130, 36, 26, 14],
            ),
        ];
        let found = faults(events.join("\n").as_bytes());
        let fault = Fault {
            walk: 36,
            trap: 6,
            returns: 7,
            instructions: 200,
            own_walks: 20,
            fence: 100,
            // 51 of a walk, and 30 that it waited behind the fence.
            refill: 81,
            total: 407 + 81,
        };
        // 400 and the return's 7, less the walk, the trap and its return, 20 of walks and 100 of fences.
        assert_eq!(fault.hypervisor(), 407 - 36 - 6 - 7 - 20 - 100);
        assert_eq!(found, BTreeMap::from([(Kind::Split, vec![fault])]));
    }
}
