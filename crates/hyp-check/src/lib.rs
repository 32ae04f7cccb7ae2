//! The hypervisor and the harts, checked against each other on random schedules.
//!
//! Three harts run guests of two virtual machines, with the walker and the TLBs that every run has, while [`hyp`]
//! maps, logs, splits, collapses, moves and unmaps memory under them, vCPUs move between harts, VMIDs begin anew and
//! frames run out. In the middle of an operation other harts go on. What happens is compared with a model that knows
//! only where each address is meant to be and who wrote what: nothing in it is about tables, TLBs or fences. So each
//! side is the other's judge, and what fails is a [`Property`] that any hypervisor on any hart must have.
//!
//! A [`Schedule`] is a list of steps that reads like a story and follows from a seed; one that fails is made smaller
//! before it is shown. With the feature `faults` either side can be broken on purpose ([`Injected`]), to see that these
//! properties notice ([`kill`]).
//!
//! ```
//! use hyp_check::{Injected, Schedule};
//!
//! let schedule = Schedule::random(1, 50, None, Some("adversarial"));
//! let counts = hyp_check::run(&schedule, Injected::Nothing).expect("both sides agree");
//! assert!(counts.accesses > 0);
//! ```

mod audit;
mod duties;
mod events;
mod frames;
mod hardware;
pub mod kill;
mod layout;
mod model;
mod pages;
mod places;
mod random;
mod schedule;
mod shared;
mod shrink;
mod world;

use std::fmt;

#[cfg(feature = "faults")]
use hyp::faults::Faults;
use hyp::gstage::Gstage;
use hyp::placement::Placement;
use hyp::policy::Policy;
use hyp::vmid::VmidAllocator;
use mmu::Errata;

pub use events::{Event, Events};
pub use schedule::{
    Act, Deed, GuestFence, Meanwhile, Moment, Operation, Schedule, Setup, Spot, Step, TLBS,
};
pub use shared::Counts;
pub use shrink::shrink;

use world::World;

/// What must be true of any hypervisor on any hart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Property {
    /// The hypervisor's tables lead where it intends, and nowhere else.
    Unintended,
    /// What a hart uses is what a walk from the root would give, but for the time until a fence.
    Stale,
    /// Who copies the pages that the log names has every write.
    MissingDirty,
    /// The log names no page that nobody wrote.
    FalseDirty,
    /// What a change of a PTE owes is fenced before the operation ends.
    Owed,
    /// Who asks which pages were used hears of each.
    Unused,
    /// An access ends; none faults that just succeeded and that nothing was done to.
    Progress,
    /// No table is lost, used twice, or used after it was given back.
    Tables,
    /// What is counted is what happened.
    Counters,
    /// HS-mode reaches its own memory.
    Supervisor,
    /// A trap says what happened.
    Traps,
    /// The world could not be built.
    World,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unintended => "unintended translation",
            Self::Stale => "stale translation",
            Self::MissingDirty => "missing dirty page",
            Self::FalseDirty => "false dirty page",
            Self::Owed => "fence owed",
            Self::Unused => "use unseen",
            Self::Progress => "progress",
            Self::Tables => "tables",
            Self::Counters => "counters",
            Self::Supervisor => "HS-mode's memory",
            Self::Traps => "trap values",
            Self::World => "world",
        })
    }
}

/// A property that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{property}: {what}")]
pub struct Violation {
    /// Which one.
    pub property: Property,
    /// How it shows.
    pub what: String,
}

/// A schedule that shows a violation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("after step {step}: {violation}")]
pub struct Failure {
    /// The step that shows it; the number of steps if it shows in the end.
    pub step: usize,
    /// What it shows.
    pub violation: Violation,
}

/// What is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Injected {
    /// Nothing.
    #[default]
    Nothing,
    /// The hypervisor.
    #[cfg(feature = "faults")]
    Software(hyp::faults::Fault),
    /// The harts.
    #[cfg(feature = "faults")]
    Hardware(mmu::Erratum),
}

impl Injected {
    #[cfg(feature = "faults")]
    fn faults(self) -> Faults {
        match self {
            Self::Software(fault) => Faults::only(fault),
            _ => Faults::NONE,
        }
    }

    pub(crate) fn errata(self) -> Errata {
        match self {
            #[cfg(feature = "faults")]
            Self::Hardware(erratum) => Errata::only(erratum),
            _ => Errata::NONE,
        }
    }

    pub(crate) fn gstage(self, gstage: Gstage) -> Gstage {
        #[cfg(feature = "faults")]
        let gstage = gstage.with_faults(self.faults());
        gstage
    }

    pub(crate) fn placement(self, placement: Placement) -> Placement {
        #[cfg(feature = "faults")]
        let placement = placement.with_faults(self.faults());
        placement
    }

    pub(crate) fn allocator(self, allocator: VmidAllocator) -> VmidAllocator {
        #[cfg(feature = "faults")]
        let allocator = allocator.with_faults(self.faults());
        allocator
    }
}

/// Who judges the hypervisor's fences.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// The manual too: [`Property::Owed`], and that no table is given back before its fence.
    #[default]
    Manual,
    /// What guests and readers of logs notice on these harts alone.
    Harts,
}

/// Takes the steps of a schedule in a new world.
///
/// # Errors
/// The first violation.
pub fn run(schedule: &Schedule, injected: Injected) -> Result<Counts, Failure> {
    run_with(schedule, injected, Strictness::Manual)
}

/// The same with less strictness.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    schedule: &Schedule,
    injected: Injected,
    strictness: Strictness,
) -> Result<Counts, Failure> {
    let at = |step| move |violation| Failure { step, violation };
    let mut world = World::new(&schedule.setup, injected, strictness).map_err(at(0))?;
    for (index, step) in schedule.steps.iter().enumerate() {
        world.take(step).map_err(at(index))?;
    }
    world.finish().map_err(at(schedule.steps.len()))?;
    Ok(world.counts())
}

/// Which schedules are run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seed of the first; the others follow it by one.
    pub seed: u64,
    /// Steps of each.
    pub steps_per_schedule: usize,
    /// Steps of all together, at least.
    pub steps: u64,
    /// The policy; all of them in turn if not given.
    pub policy: Option<Policy>,
    /// A preset of the harts' TLB; any of [`TLBS`] if not given.
    pub tlb: Option<&'static str>,
    /// What is broken.
    pub injected: Injected,
    /// Who judges fences.
    pub strictness: Strictness,
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            seed: 1,
            steps_per_schedule: 300,
            steps: 50_000,
            policy: None,
            tlb: None,
            injected: Injected::Nothing,
            strictness: Strictness::Manual,
        }
    }
}

/// What a campaign without a failure did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Schedules.
    pub schedules: u64,
    /// Their steps.
    pub steps: u64,
    /// What happened in them.
    pub counts: Counts,
}

/// A schedule of a campaign that fails.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Its seed.
    pub seed: u64,
    /// Schedules that were run, with this one.
    pub schedules: u64,
    /// Steps that were taken, up to the failure.
    pub steps: u64,
    /// The schedule.
    pub schedule: Schedule,
    /// What it shows.
    pub failure: Failure,
}

impl Campaign {
    /// The schedule of one of its seeds.
    pub fn schedule(&self, seed: u64) -> Schedule {
        let policies = Policy::all().count() as u64;
        let policy = self.policy.or_else(|| Policy::all().nth((seed % policies) as usize));
        Schedule::random(seed, self.steps_per_schedule, policy, self.tlb)
    }

    /// Runs it until something fails. Who is told after each schedule how many steps were taken may stop it by `false`.
    ///
    /// # Errors
    /// The first schedule that fails, as it was made.
    pub fn run(&self, mut tell: impl FnMut(u64) -> bool) -> Result<Summary, Box<Caught>> {
        let mut summary = Summary::default();
        while summary.steps < self.steps {
            let seed = self.seed.wrapping_add(summary.schedules);
            let schedule = self.schedule(seed);
            summary.schedules += 1;
            let schedules = summary.schedules;
            match run_with(&schedule, self.injected, self.strictness) {
                Ok(counts) => {
                    summary.steps += schedule.steps.len().max(1) as u64;
                    summary.counts.add(counts);
                }
                Err(failure) => {
                    let steps = summary.steps + failure.step as u64 + 1;
                    return Err(Box::new(Caught { seed, schedules, steps, schedule, failure }));
                }
            }
            if !tell(summary.steps) {
                break;
            }
        }
        Ok(summary)
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        let Self { accesses, in_operations, faults, fences, logs, events } = other;
        self.events.add(&events);
        self.accesses += accesses;
        self.in_operations += in_operations;
        self.faults += faults;
        self.fences += fences;
        self.logs += logs;
    }
}
