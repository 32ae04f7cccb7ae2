//! Where PTEs lie: in physical memory, under PMP and PMA, or in guest physical memory, behind the G-stage.

use std::ops::ControlFlow;

use isa::{Gpa, Pa, Privilege};

use crate::access::{ImplicitAccess, MemoryType, Right};
use crate::errata::{Errata, Erratum};
use crate::fault::{Fault, Reason, StageName, Why};
use crate::observe::{Judgement, Observer, PteFetch, PteUpdate};
use crate::pmp::{Pmp, PmpAccess};
use crate::ram::Ram;
use crate::stage::{Address, GStage, Need, Stage};
use crate::tlb::{Found, View};
use crate::walk::{FromRoot, Leaf, PteSource, Slot, walk};

/// Why a walk ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Halt<Stop> {
    /// The translation failed.
    Fault(Fault),
    /// The observer stopped it.
    Stopped(Stop),
}

impl<Stop> From<Fault> for Halt<Stop> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// PTEs in RAM; implicit accesses count as S-mode's [priv: machine, "Physical Memory Protection and Paging"].
pub(crate) struct Physical<'a, O> {
    pub(crate) ram: &'a Ram,
    pub(crate) pmp: &'a Pmp,
    pub(crate) observer: &'a mut O,
    pub(crate) updates: Updates,
    pub(crate) fetches: &'a mut PteFetches,
    pub(crate) errata: Errata,
}

/// What becomes of A and D.
pub(crate) enum Updates {
    /// They are set in memory.
    Stored,
    /// Memory stays as it is, but the same walk sees these PTEs.
    Imagined(Vec<(Pa, u64)>),
}

impl Updates {
    /// What a PTE would hold.
    fn imagined(&self, pa: Pa) -> Option<u64> {
        match self {
            Self::Stored => None,
            Self::Imagined(ptes) => {
                ptes.iter().rev().find(|(at, _)| *at == pa).map(|&(_, value)| value)
            }
        }
    }
}

/// PTEs read, by stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PteFetches {
    /// By S-stage walks.
    pub s_stage: u64,
    /// By VS-stage walks.
    pub vs_stage: u64,
    /// By G-stage walks, for accesses and for VS-stage PTEs.
    pub g_stage: u64,
}

impl PteFetches {
    fn count(&mut self, stage: StageName) {
        match stage {
            StageName::S => self.s_stage += 1,
            StageName::Vs => self.vs_stage += 1,
            StageName::G => self.g_stage += 1,
        }
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.s_stage + self.vs_stage + self.g_stage
    }
}

impl<O: Observer> Physical<'_, O> {
    fn check(&self, pa: Pa, slot: Slot, at: u64, needed: PmpAccess) -> Result<(), Fault> {
        let reason = if !self.ram.contains(pa, 8) {
            Reason::Pma
        } else if !self.pmp.check(pa, 8, Privilege::S, needed) {
            Reason::Pmp
        } else {
            return Ok(());
        };
        Err(Fault::Access { why: Why { reason, pte: Some(slot.pte_at(at, None)) } })
    }

    /// Reads the PTE at `pa`, which its stage knows as `at`.
    fn fetch(&mut self, pa: Pa, slot: Slot, at: u64) -> Result<u64, Halt<O::Stop>> {
        self.check(pa, slot, at, PmpAccess::READ)?;
        let Some(value) = self.ram.read::<u64>(pa) else {
            let why = Why { reason: Reason::Pma, pte: Some(slot.pte_at(at, None)) };
            return Err(Halt::Fault(Fault::Access { why }));
        };
        let value = self.updates.imagined(pa).unwrap_or(value);
        let Slot { stage, level, input, implicit } = slot;
        self.fetches.count(stage);
        let fetch = PteFetch { stage, level, input, implicit, at, pa, value };
        match self.observer.fetched(&fetch) {
            ControlFlow::Continue(()) => Ok(value),
            ControlFlow::Break(stop) => Err(Halt::Stopped(stop)),
        }
    }

    fn replace(
        &mut self,
        pa: Pa,
        slot: Slot,
        at: u64,
        old: u64,
        new: u64,
    ) -> Result<bool, Halt<O::Stop>> {
        self.check(pa, slot, at, PmpAccess::WRITE)?;
        let done = match &mut self.updates {
            Updates::Stored
                if self.errata.has(Erratum::DirtyInTlbOnly) && slot.stage == StageName::G =>
            {
                true
            }
            Updates::Stored => self.ram.compare_exchange(pa, old, new) == Some(Ok(())),
            Updates::Imagined(ptes) => {
                ptes.push((pa, new));
                true
            }
        };
        if done {
            self.observer.updated(&PteUpdate { stage: slot.stage, pa, old, new });
        }
        Ok(done)
    }
}

impl<O: Observer> PteSource<Pa> for Physical<'_, O> {
    type Stop = O::Stop;

    fn read(&mut self, at: Pa, slot: Slot) -> Result<u64, Halt<O::Stop>> {
        self.fetch(at, slot, at.0)
    }

    fn judged(&mut self, judgement: &Judgement) {
        self.observer.judged(judgement);
    }

    fn update(&mut self, at: Pa, slot: Slot, old: u64, new: u64) -> Result<bool, Halt<O::Stop>> {
        self.replace(at, slot, at.0, old, new)
    }
}

/// One stage: what is kept, or else a walk.
pub(crate) fn translate_stage<S: Stage, M: PteSource<S::Out>>(
    stage: &S,
    kept: Option<&mut View<'_, S::Out>>,
    memory: &mut M,
    input: S::In,
    need: Need,
) -> Result<Found<S::Out>, Halt<M::Stop>> {
    let Some(view) = kept else {
        let leaf = walk(stage, &mut FromRoot, memory, input, need)?;
        return Ok(Found { leaf, place: None });
    };
    if let Some(found) = view.find(stage, input, need) {
        return Ok(found);
    }
    let leaf = walk(stage, view, memory, input, need)?;
    Ok(Found { leaf, place: view.keep(input.bits(), leaf) })
}

/// Guest physical memory: behind the G-stage, or physical memory itself where `hgatp` is Bare.
pub(crate) struct Guest<'a, O> {
    pub(crate) stage: Option<GStage>,
    pub(crate) kept: Option<View<'a, Pa>>,
    /// What the access itself asks for.
    pub(crate) explicit: Need,
    pub(crate) memory: Physical<'a, O>,
}

impl<O: Observer> Guest<'_, O> {
    /// Translates one guest physical address.
    pub(crate) fn translate(&mut self, gpa: Gpa, need: Need) -> Result<Found<Pa>, Halt<O::Stop>> {
        match &self.stage {
            Some(stage) => translate_stage(stage, self.kept.as_mut(), &mut self.memory, gpa, need),
            None => Ok(Found { leaf: IDENTITY.at(gpa.0), place: None }),
        }
    }
}

/// What `hgatp` = Bare does to every address.
const IDENTITY: Leaf<Pa> =
    Leaf { out: Pa(0), flags: 0xff, bits: 63, global: false, memory_type: MemoryType::Pma };

impl<O: Observer> PteSource<Gpa> for Guest<'_, O> {
    type Stop = O::Stop;

    fn read(&mut self, at: Gpa, slot: Slot) -> Result<u64, Halt<O::Stop>> {
        let mut need = Need::implicit(ImplicitAccess::Read);
        if self.memory.errata.has(Erratum::HlvxRuleOnPteReads)
            && self.explicit.right == Right::LoadAsExecute
        {
            need.right = Right::LoadAsExecute;
        }
        let found = self.translate(at, need)?;
        self.memory.fetch(found.leaf.out, slot, at.0)
    }

    fn judged(&mut self, judgement: &Judgement) {
        self.memory.observer.judged(judgement);
    }

    fn update(&mut self, at: Gpa, slot: Slot, old: u64, new: u64) -> Result<bool, Halt<O::Stop>> {
        let mut access = ImplicitAccess::Write;
        if self.memory.errata.has(Erratum::AdUpdateUnchecked) {
            access = ImplicitAccess::Read;
        }
        let found = self.translate(at, Need::implicit(access))?;
        self.memory.replace(found.leaf.out, slot, at.0, old, new)
    }
}
