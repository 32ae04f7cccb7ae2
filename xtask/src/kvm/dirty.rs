//! The dirty log of a slot that huge pages back, seen three times: by the bitmap that KVM returns, by the kernel's own
//! probes, and from outside by the machine. The three must agree, phase by phase and page by page.
//!
//! `vmm dirty` (`riscv-tests/kvm/dirty.c`) runs the phases and tells the first two views; [`super::outside`] reads the
//! third from the machine's events.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

use crate::scratch::Scratch;

use super::outside::{self, Outside};
use super::report::Report;
use super::session::{Ended, Machine, Session};
use super::{Kit, Shape};

/// One run of `vmm dirty`.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What backs the slot.
    pub backing: Backing,
    /// The guest's own translation: `bare` or `sv39`.
    pub translation: &'static str,
    /// Manual protection: 0 without, 1 with, 3 with all pages dirty at first.
    pub manual: u8,
    /// Only in `all`.
    pub long: bool,
}

/// What backs a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Pages of 4 KiB.
    Small,
    /// Transparent huge pages.
    Thp,
    /// Pages of 2 MiB from hugetlbfs.
    Hugetlb,
}

/// Every run.
pub const CASES: &[Case] = &[
    Case { backing: Backing::Hugetlb, translation: "bare", manual: 0, long: false },
    Case { backing: Backing::Thp, translation: "sv39", manual: 1, long: false },
    Case { backing: Backing::Hugetlb, translation: "sv39", manual: 0, long: true },
    Case { backing: Backing::Hugetlb, translation: "bare", manual: 1, long: true },
    Case { backing: Backing::Hugetlb, translation: "sv39", manual: 3, long: true },
    Case { backing: Backing::Thp, translation: "bare", manual: 0, long: true },
    Case { backing: Backing::Thp, translation: "sv39", manual: 3, long: true },
    Case { backing: Backing::Small, translation: "sv39", manual: 0, long: true },
    Case { backing: Backing::Small, translation: "bare", manual: 1, long: true },
];

/// MiB of the slot.
const SIZE_MIB: u64 = 8;

/// Pages of 4 KiB in it.
const PAGES: usize = (SIZE_MIB << 8) as usize;

/// Pages of 2 MiB in it.
const HUGE_PAGES: u64 = SIZE_MIB / 2;

/// Where the slot is (`riscv-tests/kvm/dirty.c`).
const SLOT_GPA: u64 = 0xc000_0000;

/// The phase in which huge pages are split, because it is the first that writes while the log is on.
const SPLITTING: &str = "every-8th";

/// A phase as `vmm dirty` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    name: String,
    kernel: Kernel,
    /// The dirty pages at its end, if the log was read.
    dirty: Option<Vec<u64>>,
}

/// What the kernel's probes counted in a phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kernel {
    fetch_faults: u64,
    load_faults: u64,
    store_faults: u64,
    splits: u64,
    set_ptes: u64,
    updates: u64,
    range_fences: u64,
    vmid_fences: u64,
    all_fences: u64,
}

impl Backing {
    fn name(self) -> &'static str {
        match self {
            Backing::Small => "4k",
            Backing::Thp => "thp",
            Backing::Hugetlb => "hugetlb2m",
        }
    }
}

impl Case {
    fn name(self) -> String {
        let Case { backing, translation, manual, .. } = self;
        format!("dirty log, {}, {translation} guest, manual {manual}", backing.name())
    }

    fn script(self) -> String {
        let reserve = if self.backing == Backing::Hugetlb { HUGE_PAGES } else { 0 };
        // Linux 7.2 loops for ever when a guest writes to pages of a transparent huge page that are still protected
        // after logging was switched off (docs/KVM.md), so they are made writable first.
        let off = if self.backing == Backing::Thp { "written" } else { "protected" };
        format!(
            "hugepages {reserve}\n\
             vmm dirty --backing {} --translation {} --manual {} --size {SIZE_MIB} --off {off}\n",
            self.backing.name(),
            self.translation,
            self.manual
        )
    }
}

/// Runs the cases; the long ones only if that is wanted.
pub fn run(kit: &Kit<'_>, shape: Shape, long: bool, report: &mut Report) {
    for case in CASES.iter().filter(|case| long || !case.long) {
        let files = [kit.vmm.clone()];
        let script = case.script();
        let name = format!("{}, {}", case.name(), shape.machine());
        report.play(&name, &kit.machines(), |machine| {
            let session = kit.session(shape, &files, &script);
            match machine {
                Machine::Nestwalk(_) => watched(&session, machine, *case),
                // There is nothing to look at QEMU with from outside.
                Machine::Qemu => session.run(machine),
            }
        });
    }
}

/// Runs one case and compares the views.
fn watched(session: &Session<'_>, machine: &Machine, case: Case) -> Result<Ended> {
    let scratch = Scratch::new("events.jsonl")?;
    let events = scratch.path();
    let mut extra = session.extra.to_vec();
    extra.extend(outside::arguments(events));
    let ended = Session { extra: &extra, ..session.clone() }.run(machine);
    let seen = ended.and_then(|ended| Ok((ended, outside::read(events, SLOT_GPA, PAGES as u64)?)));
    let (ended, seen) = seen?;
    let phases = phases(&ended)?;
    let table = compare(&phases, &seen)?;
    eprint!("{table}");
    check_splits(&phases, case)?;
    Ok(ended)
}

/// The phases in the console's lines.
fn phases(ended: &Ended) -> Result<Vec<Phase>> {
    let mut phases: Vec<Phase> = Vec::new();
    for line in ended.after("PHASE ") {
        let (name, counts) = line.split_once(' ').context("a phase without counts")?;
        let kernel = Kernel::read(counts).with_context(|| format!("not understood: {line}"))?;
        phases.push(Phase { name: name.to_owned(), kernel, dirty: None });
    }
    ensure!(!phases.is_empty(), "vmm told of no phase");
    for line in ended.after("DIRTY ") {
        let (name, bitmap) = line.split_once(' ').context("a bitmap without a name")?;
        let dirty = pages_of(bitmap).with_context(|| format!("not a bitmap: {line}"))?;
        // Bitmaps that are read between phases have other names; vmm has checked them itself.
        if let Some(phase) = phases.iter_mut().find(|phase| phase.name == name) {
            phase.dirty = Some(dirty);
        }
    }
    Ok(phases)
}

/// The pages whose bits are set: each digit holds four pages, the first in its lowest bit.
fn pages_of(bitmap: &str) -> Result<Vec<u64>> {
    ensure!(bitmap.len() == PAGES / 4, "it has {} digits", bitmap.len());
    let mut pages = Vec::new();
    for (digit, first) in bitmap.chars().zip((0..).step_by(4)) {
        let bits = digit.to_digit(16).context("a digit is not hexadecimal")?;
        pages.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| first + bit));
    }
    Ok(pages)
}

impl Kernel {
    fn read(text: &str) -> Result<Kernel> {
        let mut kernel = Kernel::default();
        let mut members = [
            ("fetch_faults", &mut kernel.fetch_faults, false),
            ("load_faults", &mut kernel.load_faults, false),
            ("store_faults", &mut kernel.store_faults, false),
            ("splits", &mut kernel.splits, false),
            ("set_ptes", &mut kernel.set_ptes, false),
            ("updates", &mut kernel.updates, false),
            ("range_fences", &mut kernel.range_fences, false),
            ("vmid_fences", &mut kernel.vmid_fences, false),
            ("all_fences", &mut kernel.all_fences, false),
        ];
        for pair in text.split_whitespace() {
            let (name, value) = pair.split_once('=').context("not a pair")?;
            let member = members.iter_mut().find(|(known, ..)| *known == name);
            let (_, place, found) = member.with_context(|| format!("unknown count {name}"))?;
            **place = value.parse()?;
            *found = true;
        }
        match members.iter().find(|(.., found)| !found) {
            Some((name, ..)) => bail!("no {name}"),
            None => Ok(kernel),
        }
    }
}

/// What is compared in each phase: its heading, and what the kernel and the machine say.
type Column = (&'static str, fn(&Kernel) -> u64, fn(&Outside) -> u64);

const COLUMNS: &[Column] = &[
    ("fetch faults", |k| k.fetch_faults, |o| o.fetch_faults),
    ("load faults", |k| k.load_faults, |o| o.load_faults),
    ("store faults", |k| k.store_faults, |o| o.store_faults),
    ("splits", |k| k.splits, |o| o.splits),
    ("leaf stores", |k| k.set_ptes + k.updates, |o| o.maps + o.collapses + o.restores),
    ("range fences", |k| k.range_fences, |o| o.range_fences),
    ("VMID fences", |k| k.vmid_fences, |o| o.vmid_fences),
    ("full fences", |k| k.all_fences, |o| o.all_fences),
];

/// A table of both views; an error when they differ, or when the dirty pages are not exactly those that became
/// writable.
fn compare(phases: &[Phase], seen: &[Outside]) -> Result<String> {
    let mut table = format!("    {:<12}", "");
    for (heading, ..) in COLUMNS {
        write!(table, " {heading:>13}")?;
    }
    writeln!(table, " {:>12} {:>12}", "dirty pages", "made writable")?;
    let mut wrong = Vec::new();
    for (number, phase) in phases.iter().enumerate() {
        let nothing = Outside::default();
        let outside = seen.get(number).unwrap_or(&nothing);
        write!(table, "    {:<12}", phase.name)?;
        for (heading, kernel, machine) in COLUMNS {
            let (kernel, machine) = (kernel(&phase.kernel), machine(outside));
            if kernel == machine {
                write!(table, " {kernel:>13}")?;
            } else {
                write!(table, " {:>13}", format!("{kernel} != {machine}"))?;
                wrong.push(format!("{}: {heading}: {kernel} != {machine}", phase.name));
            }
        }
        let writable: Vec<u64> = outside.made_writable.iter().copied().collect();
        let dirty = phase.dirty.as_ref().map_or("-".to_owned(), |dirty| dirty.len().to_string());
        writeln!(table, " {dirty:>12} {:>12}", writable.len())?;
        if phase.dirty.as_ref().is_some_and(|dirty| *dirty != writable) {
            wrong.push(format!("{}: the dirty pages are not those made writable", phase.name));
        }
    }
    if seen.len() != phases.len() {
        wrong.push(format!("{} phases were seen, {} were told of", seen.len(), phases.len()));
    }
    if !wrong.is_empty() {
        bail!(
            "the kernel and the machine disagree (kernel != machine):\n{}\n{table}",
            wrong.join("\n")
        );
    }
    Ok(table)
}

/// Huge pages are split one by one in the first phase that writes while the log is on, and in no other but the last,
/// which switches the log on again; small pages never.
fn check_splits(phases: &[Phase], case: Case) -> Result<()> {
    let huge_pages = if case.backing == Backing::Small { 0 } else { HUGE_PAGES };
    for phase in phases.iter().filter(|phase| phase.name != "one") {
        let expect = if phase.name == SPLITTING { huge_pages } else { 0 };
        let splits = phase.kernel.splits;
        ensure!(splits == expect, "{}: {splits} splits where {expect} are due", phase.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::session::Line;
    use super::*;

    const COUNTS: &str = "fetch_faults=0 load_faults=1 store_faults=2 splits=4 set_ptes=1 updates=1 range_fences=6 \
                          vmid_fences=1 all_fences=0";

    fn ended(lines: &[String]) -> Ended {
        let (cpu, elapsed) = (Duration::ZERO, Duration::ZERO);
        let lines = lines.iter().map(|text| Line { text: text.clone(), cpu }).collect();
        Ended { lines, instructions: None, cpu, elapsed }
    }

    /// Pages 1 and 6 are dirty.
    fn told() -> Vec<Phase> {
        let bitmap = format!("24{}", "0".repeat(PAGES / 4 - 2));
        let lines = [
            format!("PHASE every-8th {COUNTS}"),
            format!("DIRTY every-8th {bitmap}"),
            format!("DIRTY kept {bitmap}"),
        ];
        phases(&ended(&lines)).unwrap()
    }

    fn seen() -> Outside {
        Outside {
            load_faults: 1,
            store_faults: 2,
            splits: 4,
            maps: 0,
            restores: 2,
            protects: 9,
            range_fences: 6,
            vmid_fences: 1,
            made_writable: [1, 6].into(),
            ..Outside::default()
        }
    }

    #[test]
    fn views_that_agree_are_a_table() {
        let table = compare(&told(), &[seen()]).unwrap();
        assert!(!table.contains("!="), "{table}");
        assert_eq!(table.lines().count(), 2);
    }

    #[test]
    fn each_difference_between_the_views_is_an_error() {
        let changes: [fn(&mut Outside); 9] = [
            |o| o.fetch_faults += 1,
            |o| o.load_faults -= 1,
            |o| o.store_faults += 1,
            |o| o.splits -= 1,
            |o| o.maps += 1,
            |o| o.range_fences -= 1,
            |o| o.vmid_fences += 1,
            |o| o.all_fences += 1,
            |o| o.made_writable.clear(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut outside = seen();
            change(&mut outside);
            assert!(compare(&told(), &[outside]).is_err(), "change {number}");
        }
        assert!(compare(&told(), &[seen(), seen()]).is_err(), "a phase that nobody told of");
        assert!(compare(&told(), &[]).is_err(), "a phase that nobody saw");
    }

    #[test]
    fn huge_pages_are_split_once_in_the_phase_that_writes_first() {
        let case = CASES[0];
        check_splits(&told(), case).unwrap();
        assert!(check_splits(&told(), Case { backing: Backing::Small, ..case }).is_err());
        let mut late = told();
        late[0].name = "all".to_owned();
        assert!(check_splits(&late, case).is_err());
    }

    #[test]
    fn lines_that_are_not_complete_are_refused() {
        let bad = [
            "PHASE x splits=1".to_owned(),
            format!("PHASE x {COUNTS} more=1"),
            format!("PHASE x {}", COUNTS.replace("splits=4", "splits=four")),
        ];
        for line in bad {
            assert!(phases(&ended(std::slice::from_ref(&line))).is_err(), "{line}");
        }
        let short = [format!("PHASE x {COUNTS}"), "DIRTY x 24".to_owned()];
        assert!(phases(&ended(&short)).is_err());
        assert!(phases(&ended(&[])).is_err());
    }
}
