//! Which stages an access goes through, and how they compose.
//!
//! With a TLB, what is kept stands in for memory; without one, every PTE is read. Both ways are the same code, so
//! that an explanation cannot differ from what the hart does.

use isa::{Gpa, Pa, Privilege, Va};

use crate::access::{MemoryType, Right};
use crate::config::{MmuConfig, TranslationCsrs};
use crate::errata::Erratum;
use crate::memory::{Guest, Halt, Physical, translate_stage};
use crate::observe::Observer;
use crate::stage::{GStage, Need, SStage, Supervisor, Tree, VsStage};
use crate::tlb::{Held, Pair, Tlb};
use crate::walk::Leaf;

/// What an access goes through.
#[derive(Clone, Copy)]
pub(crate) enum Regime {
    /// M-mode, or `satp` is Bare at V=0.
    Untranslated,
    /// One stage.
    S(SStage),
    /// Two stages, either of which may be Bare.
    Guest { vs: Option<VsStage>, g: Option<GStage> },
}

impl Regime {
    /// The stages that an access of this privilege goes through.
    pub(crate) fn new(
        config: &MmuConfig,
        csrs: &TranslationCsrs,
        privilege: Privilege,
        v: bool,
    ) -> Self {
        let formats = config.formats;
        let supervisor = |tree, sum, mxr, adue, pbmte| Supervisor {
            tree,
            formats,
            privilege,
            sum,
            mxr,
            adue: adue && config.svadu,
            pbmte: pbmte && config.svpbmt,
        };
        if privilege == Privilege::M {
            return Self::Untranslated;
        }
        if !v {
            return match Tree::of(csrs.satp) {
                Some(tree) => {
                    Self::S(SStage(supervisor(tree, csrs.sum, csrs.mxr, csrs.adue, csrs.pbmte)))
                }
                None => Self::Untranslated,
            };
        }
        let mxr = csrs.mxr || csrs.vs_mxr;
        let vs = Tree::of(csrs.vsatp)
            .map(|tree| VsStage(supervisor(tree, csrs.vs_sum, mxr, csrs.vs_adue, csrs.vs_pbmte)));
        Self::Guest { vs, g: g_stage(config, csrs) }
    }

    /// The G-stage alone, as if `vsatp` were Bare.
    pub(crate) fn g_stage(config: &MmuConfig, csrs: &TranslationCsrs) -> Self {
        Self::Guest { vs: None, g: g_stage(config, csrs) }
    }
}

fn g_stage(config: &MmuConfig, csrs: &TranslationCsrs) -> Option<GStage> {
    Tree::of(csrs.hgatp).map(|tree| GStage {
        tree,
        formats: config.formats,
        mxr: csrs.mxr,
        adue: csrs.adue && config.svadu,
        pbmte: csrs.pbmte && config.svpbmt,
        errata: config.errata,
    })
}

/// The leaves a translation rests on.
#[derive(Clone, Copy)]
pub(crate) enum Leaves {
    None,
    S(SStage, Leaf<Pa>),
    Guest { vs: Option<(VsStage, Leaf<Gpa>)>, g: Option<(GStage, Leaf<Pa>)> },
}

impl Leaves {
    /// Whether the virtual address is mapped for every ASID.
    pub(crate) fn are_global(&self) -> bool {
        match self {
            Self::S(_, leaf) => leaf.global,
            Self::Guest { vs: Some((_, leaf)), .. } => leaf.global,
            Self::None | Self::Guest { vs: None, .. } => false,
        }
    }

    /// Whether an explicit access of this right would be permitted without setting A or D.
    pub(crate) fn permit(&self, right: Right) -> bool {
        let need = Need::explicit(right);
        match self {
            Self::None => true,
            Self::S(stage, leaf) => leaf.permits(stage, need),
            Self::Guest { vs, g } => {
                vs.as_ref().is_none_or(|(stage, leaf)| leaf.permits(stage, need))
                    && g.as_ref().is_none_or(|(stage, leaf)| leaf.permits(stage, need))
            }
        }
    }
}

/// A translated address, before physical memory had its say.
#[derive(Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) pa: Pa,
    pub(crate) gpa: Option<Gpa>,
    pub(crate) memory_type: MemoryType,
    pub(crate) leaves: Leaves,
    pub(crate) held: Held,
}

/// The TLB as a translation uses it.
pub(crate) struct Keeper<'a> {
    pub(crate) tlb: &'a mut Tlb,
    pub(crate) csrs: &'a TranslationCsrs,
    /// Read memory whatever is kept.
    pub(crate) fresh: bool,
    /// Set where something kept stood in for memory.
    pub(crate) used: &'a mut bool,
}

/// Translates `va`, through the TLB if there is a keeper.
pub(crate) fn resolve<O: Observer>(
    regime: Regime,
    va: Va,
    need: Need,
    mut memory: Physical<'_, O>,
    keeper: Option<Keeper<'_>>,
) -> Result<Mapping, Halt<O::Stop>> {
    match regime {
        Regime::Untranslated => Ok(Mapping {
            pa: Pa(va.0),
            gpa: None,
            memory_type: MemoryType::Pma,
            leaves: Leaves::None,
            held: Held::Always,
        }),
        Regime::S(stage) => {
            let found = match keeper {
                None => translate_stage(&stage, None, &mut memory, va, need)?,
                Some(Keeper { tlb, csrs, fresh, used }) => {
                    let mut view = tlb.s_view(csrs, fresh);
                    let found = translate_stage(&stage, Some(&mut view), &mut memory, va, need);
                    *used |= view.used;
                    found?
                }
            };
            Ok(Mapping {
                pa: found.leaf.out,
                gpa: None,
                memory_type: found.leaf.memory_type,
                leaves: Leaves::S(stage, found.leaf),
                held: found.place.map_or(Held::Not, Held::S),
            })
        }
        Regime::Guest { vs, g } => resolve_guest(vs, g, va, need, memory, keeper),
    }
}

/// Translates `va` at V=1.
fn resolve_guest<O: Observer>(
    vs: Option<VsStage>,
    g: Option<GStage>,
    va: Va,
    need: Need,
    memory: Physical<'_, O>,
    keeper: Option<Keeper<'_>>,
) -> Result<Mapping, Halt<O::Stop>> {
    let errata = memory.errata;
    let mapping = |vs_leaf: Option<Leaf<Gpa>>, mut g_leaf: Leaf<Pa>, held| {
        if errata.has(Erratum::LargeGPageComposed) && g.is_some() && vs_leaf.is_some() {
            g_leaf = g_leaf.at(va.0);
        }
        let outer = vs_leaf.map_or(MemoryType::Pma, |leaf| leaf.memory_type);
        Mapping {
            pa: g_leaf.out,
            gpa: Some(vs_leaf.map_or(Gpa(va.0), |leaf| leaf.out)),
            memory_type: outer.or(g_leaf.memory_type),
            leaves: Leaves::Guest { vs: vs.zip(vs_leaf), g: g.map(|stage| (stage, g_leaf)) },
            held,
        }
    };
    let Some(Keeper { tlb, csrs, fresh, used }) = keeper else {
        let mut guest = Guest { stage: g, kept: None, explicit: need, memory };
        let (vs_leaf, gpa) = match &vs {
            Some(stage) => {
                let leaf = translate_stage(stage, None, &mut guest, va, need)?.leaf;
                (Some(leaf), leaf.out)
            }
            None => (None, Gpa(va.0)),
        };
        let found = guest.translate(gpa, need)?;
        return Ok(mapping(vs_leaf, found.leaf, Held::Not));
    };
    let (mut vs_view, g_view, mut combined) = tlb.guest_views(csrs, fresh);
    let mut guest = Guest { stage: g, kept: Some(g_view), explicit: need, memory };
    let Some(stage) = &vs else {
        let found = guest.translate(Gpa(va.0), need);
        *used |= guest.kept.is_some_and(|view| view.used);
        let found = found?;
        let held = match (&g, found.place) {
            (None, _) => Held::Always,
            (Some(_), None) => Held::Not,
            (Some(_), place) => Held::Split { vs: None, g: place },
        };
        return Ok(mapping(None, found.leaf, held));
    };
    if combined.exists() && stage.0.is_canonical(va) {
        let suits = |pair: &Pair| {
            pair.vs.permits(stage, need)
                && g.as_ref().is_none_or(|stage| pair.g.permits(stage, need))
        };
        if let Some((place, pair)) = combined.find(va.0, suits) {
            *used = true;
            return Ok(mapping(Some(pair.vs), pair.g, Held::Combined(place)));
        }
    }
    let found = translate_stage(stage, Some(&mut vs_view), &mut guest, va, need)
        .and_then(|vs_found| Ok((vs_found, guest.translate(vs_found.leaf.out, need)?)));
    *used |= vs_view.used || guest.kept.is_some_and(|view| view.used);
    let (vs_found, g_found) = found?;
    let held = if combined.exists() {
        combined.keep(va.0, vs_found.leaf, g_found.leaf).map_or(Held::Not, Held::Combined)
    } else if vs_found.place.is_some() && (g.is_none() || g_found.place.is_some()) {
        Held::Split { vs: vs_found.place, g: g_found.place }
    } else {
        Held::Not
    };
    Ok(mapping(Some(vs_found.leaf), g_found.leaf, held))
}
