//! What a walk tells while it goes on, so that a debugger can stop it, a cycle model can charge it, and a record
//! can be kept. Observers never see the MMU itself.

use std::convert::Infallible;
use std::ops::ControlFlow;

use isa::{Pa, Va};

use crate::access::{Access, ImplicitAccess, Translated};
use crate::fault::{Fault, StageName};

/// One PTE read from memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PteFetch {
    /// The stage that the PTE belongs to.
    pub stage: StageName,
    /// Its level, 0 for 4 KiB pages.
    pub level: u8,
    /// The address under translation: a va, or at the G-stage a gpa.
    pub input: u64,
    /// At the G-stage: what the VS-stage walk wants to do at `input`; `None` for the access itself.
    pub implicit: Option<ImplicitAccess>,
    /// The PTE's address: a gpa for the VS-stage, a pa for the others.
    pub at: u64,
    /// The PTE's physical address.
    pub pa: Pa,
    /// What it held.
    pub value: u64,
}

/// A and D set in a PTE by the walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PteUpdate {
    /// The stage that the PTE belongs to.
    pub stage: StageName,
    /// The PTE's physical address.
    pub pa: Pa,
    /// What it held.
    pub old: u64,
    /// What it holds now; in an explanation, what it would hold.
    pub new: u64,
}

/// Hears of each memory access of a walk, in order.
pub trait Observer {
    /// What it may stop the walk with; [`Infallible`] if it never does.
    type Stop;

    /// A PTE was read. `Break` ends the translation there, with nothing cached from it.
    fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<Self::Stop>;

    /// A and D were set.
    fn updated(&mut self, _update: &PteUpdate) {}
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaf;

impl Observer for Deaf {
    type Stop = Infallible;

    #[inline]
    fn fetched(&mut self, _: &PteFetch) -> ControlFlow<Infallible> {
        ControlFlow::Continue(())
    }
}

/// One step of a [`WalkRecord`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WalkStep {
    /// A PTE was read.
    Fetch(PteFetch),
    /// A and D would be set.
    Update(PteUpdate),
}

/// A translation explained: every PTE access of both stages, in order, and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalkRecord {
    /// The address translated.
    pub va: Va,
    /// For which access.
    pub access: Access,
    /// The PTE accesses.
    pub steps: Vec<WalkStep>,
    /// How it ended.
    pub outcome: Result<Translated, Fault>,
}

/// Writes a record down.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) steps: Vec<WalkStep>,
}

impl Observer for Recorder {
    type Stop = Infallible;

    fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<Infallible> {
        self.steps.push(WalkStep::Fetch(*fetch));
        ControlFlow::Continue(())
    }

    fn updated(&mut self, update: &PteUpdate) {
        self.steps.push(WalkStep::Update(*update));
    }
}
