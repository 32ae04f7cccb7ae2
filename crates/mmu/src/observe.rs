//! What a walk tells while it goes on, so that a debugger can stop it, a cycle model can charge it, and a record
//! can be kept. Observers never see the MMU itself.

use std::convert::Infallible;
use std::ops::ControlFlow;

use isa::{Pa, Privilege, Va};

use crate::access::{Access, ImplicitAccess, Right, Translated};
use crate::fault::{Fault, Reason, StageName};

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

/// What a stage goes by when it judges a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The right that the leaf must grant.
    pub right: Right,
    /// The privilege that U is compared with; at the G-stage every access counts as U's.
    pub privilege: Privilege,
    /// SUM: S may access what is U's. Without meaning at the G-stage.
    pub sum: bool,
    /// MXR as far as it covers this access: X lets it read.
    pub mxr: bool,
    /// The walk sets A and D; else it faults where they are due.
    pub updates_ad: bool,
}

/// What a walk made of a PTE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It points to the table at this address, in the stage's output space.
    Pointer {
        /// The table's address.
        table: u64,
    },
    /// It translates the input.
    Leaf {
        /// To this address, in the stage's output space.
        out: u64,
        /// In a page of 2 to this power bytes.
        bits: u8,
    },
    /// It ends the walk.
    Refused(Reason),
}

/// A PTE and what the walk made of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// The stage that the PTE belongs to.
    pub stage: StageName,
    /// Its level, 0 for 4 KiB pages.
    pub level: u8,
    /// The PTE, with A and D as the walk left them.
    pub value: u64,
    /// What the stage went by.
    pub terms: Terms,
    /// What came of it.
    pub verdict: Verdict,
}

/// Hears of each memory access of a walk, in order.
pub trait Observer {
    /// What it may stop the walk with; [`Infallible`] if it never does.
    type Stop;

    /// A PTE was read. `Break` ends the translation there, with nothing cached from it.
    fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<Self::Stop>;

    /// A and D were set.
    fn updated(&mut self, _update: &PteUpdate) {}

    /// The PTE that was read last was judged.
    #[inline]
    fn judged(&mut self, _judgement: &Judgement) {}
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
    /// The PTE was judged.
    Judged(Judgement),
}

/// A translation explained: every PTE access of both stages and what came of it, in order, and how it ended.
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

    fn judged(&mut self, judgement: &Judgement) {
        self.steps.push(WalkStep::Judged(*judgement));
    }
}
