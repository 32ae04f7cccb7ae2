//! Each fault that can be put in is noticed by a property that was not made for it, and the same schedule is clean
//! without the fault.

use hyp_check::kill::{Bounds, Side, table};

#[test]
fn every_fault_is_noticed_and_its_schedule_is_clean_without_it() {
    let bounds = Bounds { seed: 1, schedules: 6000, shrinks: false };
    let rows = table(bounds, None, |_| ());
    let missed: Vec<_> = rows
        .iter()
        .filter(|row| !row.caught.as_ref().is_some_and(|caught| caught.clean_without))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let count = |side| rows.iter().filter(|row| row.side == side).count();
    assert!(count(Side::Software) >= 25 && count(Side::Hardware) >= 12);
}
