//! Both sides agree, on random schedules under every policy.

use hyp_check::{Campaign, Event, Injected, Property, Schedule, Strictness};

#[test]
fn both_sides_agree_under_every_policy() {
    let campaign = Campaign { steps: 50_000, ..Campaign::default() };
    match campaign.run(|_| true) {
        Ok(summary) => {
            let events = summary.counts.events;
            let missing: Vec<_> =
                Event::ALL.iter().filter(|event| events.of(**event) == 0).collect();
            assert!(missing.is_empty(), "no schedule reaches {missing:?}");
            assert!(summary.counts.in_operations > 100, "{summary:?}");
        }
        Err(caught) => {
            let (schedule, failure) = hyp_check::shrink(
                &caught.schedule,
                &caught.failure,
                Injected::Nothing,
                Strictness::Manual,
            );
            panic!("seed {}:\n{schedule}{failure}", caught.seed);
        }
    }
}

#[test]
fn a_seed_gives_the_same_schedule_and_the_same_counts_again() {
    let [one, two] = [0, 1].map(|_| Schedule::random(77, 120, None, None));
    assert_eq!(one, two);
    let counts = hyp_check::run(&one, Injected::Nothing);
    assert_eq!(counts, hyp_check::run(&two, Injected::Nothing));
    assert!(counts.is_ok());
}

#[test]
fn every_property_has_a_name() {
    assert_eq!(Property::MissingDirty.to_string(), "missing dirty page");
}
