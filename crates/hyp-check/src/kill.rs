//! The table of faults: each fault that can be put in, on either side, and what it takes until one of the general
//! properties notices.

use crate::Property;
#[cfg(feature = "faults")]
use crate::{Campaign, Injected, Strictness, run, shrink};

/// Which side a fault is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The hypervisor.
    Software,
    /// The harts.
    Hardware,
}

/// One fault and how it was caught.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Which side it is on.
    pub side: Side,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Where it was published, for a hart's.
    pub source: &'static str,
    /// How it was caught; `None` if it was not within the bound.
    pub caught: Option<Catch>,
    /// What notices a fault of the hypervisor where the manual judges its fences, too, and after how many schedules.
    pub by_the_manual: Option<(Property, u64)>,
}

/// How a fault was caught.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catch {
    /// What noticed.
    pub property: Property,
    /// The seed of the schedule.
    pub seed: u64,
    /// Schedules until then, with that one.
    pub schedules: u64,
    /// Steps until then.
    pub steps: u64,
    /// Steps of the schedule after it was made smaller, if that was asked for.
    pub shortest: Option<usize>,
    /// Whether the same schedules run clean without the fault: the last one was tried.
    pub clean_without: bool,
}

/// How far the search for each fault goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The seed of the first schedule.
    pub seed: u64,
    /// Schedules at most.
    pub schedules: u64,
    /// Whether schedules that were found are made smaller, which takes longer than finding them.
    pub shrinks: bool,
}

/// Tries one fault after the other, or the one of this name, and hands over each row as soon as it is known.
#[cfg(feature = "faults")]
pub fn table(bounds: Bounds, only: Option<&str>, mut tell: impl FnMut(&Row)) -> Vec<Row> {
    let software = hyp::faults::Fault::ALL
        .iter()
        .map(|&fault| (Side::Software, fault.name(), fault.doc(), "", Injected::Software(fault)));
    let hardware = mmu::Erratum::ALL.iter().map(|&erratum| {
        let (name, doc, source) = (erratum.name(), erratum.doc(), erratum.source());
        (Side::Hardware, name, doc, source, Injected::Hardware(erratum))
    });
    let wanted = |name| only.is_none_or(|only| only == name);
    let all = software.chain(hardware).filter(|row| wanted(row.1));
    let rows = all.map(|(side, name, doc, source, injected)| {
        let (caught, by_the_manual) = catch(bounds, injected);
        let row = Row { side, name, doc, source, caught, by_the_manual };
        tell(&row);
        row
    });
    rows.collect()
}

/// First by what the harts show alone; if that takes too long, by the manual as well.
#[cfg(feature = "faults")]
fn catch(bounds: Bounds, injected: Injected) -> (Option<Catch>, Option<(Property, u64)>) {
    let few = Bounds { schedules: (bounds.schedules / 8).max(1), ..bounds };
    let by_harts = catch_by(few, injected, Strictness::Harts);
    if by_harts.is_some() && !matches!(injected, Injected::Software(_)) {
        return (by_harts, None);
    }
    let by_manual = catch_by(bounds, injected, Strictness::Manual);
    let noticed = by_manual.as_ref().map(|catch| (catch.property, catch.schedules));
    (by_harts.or(by_manual), noticed)
}

#[cfg(feature = "faults")]
fn catch_by(bounds: Bounds, injected: Injected, strictness: Strictness) -> Option<Catch> {
    let base = Campaign::default();
    let campaign = Campaign { seed: bounds.seed, steps: u64::MAX, injected, strictness, ..base };
    let mut schedules = 0;
    let caught = campaign.run(|_| {
        schedules += 1;
        schedules < bounds.schedules
    });
    let caught = caught.err()?;
    let mut shortest = None;
    if bounds.shrinks {
        let smaller = shrink(&caught.schedule, &caught.failure, injected, strictness);
        shortest = Some(smaller.0.steps.len());
    }
    Some(Catch {
        property: caught.failure.violation.property,
        seed: caught.seed,
        schedules: caught.schedules,
        steps: caught.steps,
        shortest,
        clean_without: run(&caught.schedule, Injected::Nothing).is_ok(),
    })
}
