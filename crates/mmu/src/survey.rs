//! What page tables map, extent by extent, for maps of an address space. Each extent is one walk of the one
//! walker, which looks and is denied nothing.

use isa::{PAGE_BITS, Privilege, Va};

use crate::access::Right;
use crate::config::TranslationCsrs;
use crate::fault::StageName;
use crate::mmu::Mmu;
use crate::observe::{Judgement, Verdict, WalkStep};
use crate::resolve::Regime;
use crate::stage::{LEVEL_BITS, Tree};

/// Whose page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tables {
    /// Those of `satp`: virtual to physical.
    S,
    /// Those of `vsatp`: virtual to guest physical.
    Vs,
    /// Those of `hgatp`: guest physical to physical.
    G,
}

/// What an extent is mapped to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// The output address of the extent's first byte.
    pub to: u64,
    /// The leaf PTE.
    pub pte: u64,
}

/// Addresses that one leaf maps, or that one PTE leaves unmapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The first address.
    pub start: u64,
    /// log2 of its size in bytes.
    pub bits: u32,
    /// What it is mapped to.
    pub mapped: Option<Mapped>,
}

impl Tables {
    fn name(self) -> StageName {
        match self {
            Self::S => StageName::S,
            Self::Vs => StageName::Vs,
            Self::G => StageName::G,
        }
    }

    fn tree(self, csrs: &TranslationCsrs) -> Option<Tree> {
        Tree::of(match self {
            Self::S => csrs.satp,
            Self::Vs => csrs.vsatp,
            Self::G => csrs.hgatp,
        })
    }
}

impl Mmu {
    /// log2 of the size of the address space that these tables translate; `None` where there are none. The upper
    /// half of a virtual address space lies at its other end.
    pub fn width_of(&self, tables: Tables) -> Option<u32> {
        let extra = if tables == Tables::G { 2 } else { 0 };
        tables.tree(self.csrs()).map(|tree| tree.width() + extra)
    }

    /// The extent that holds `input`; `None` where there are no tables.
    pub fn extent(&self, tables: Tables, input: u64) -> Option<Extent> {
        let root = tables.tree(self.csrs())?.levels - 1;
        let regime = match tables {
            Tables::S => Regime::new(self.config(), self.csrs(), Privilege::S, false),
            Tables::Vs => Regime::new(self.config(), self.csrs(), Privilege::S, true),
            Tables::G => Regime::g_stage(self.config(), self.csrs()),
        };
        let (steps, _) = self.walk_only(regime, Va(input), Right::Look);
        let own = |step: &WalkStep| match step {
            WalkStep::Judged(judgement) if judgement.stage == tables.name() => Some(*judgement),
            _ => None,
        };
        let (bits, mapped) = match steps.iter().filter_map(own).next_back() {
            Some(Judgement { verdict: Verdict::Leaf { out, bits }, value, .. }) => {
                let within = (1u64 << bits) - 1;
                (u32::from(bits), Some(Mapped { to: out & !within, pte: value }))
            }
            Some(Judgement { verdict: Verdict::Refused(_), level, .. }) => (span(level), None),
            // The next PTE could not be read.
            Some(Judgement { verdict: Verdict::Pointer { .. }, level, .. }) => {
                (span(level.saturating_sub(1)), None)
            }
            None => (span(root), None),
        };
        Some(Extent { start: input & !((1 << bits) - 1), bits, mapped })
    }
}

/// log2 of what one PTE of a level spans.
fn span(level: u8) -> u32 {
    PAGE_BITS + LEVEL_BITS * u32::from(level)
}
