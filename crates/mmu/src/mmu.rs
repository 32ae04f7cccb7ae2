//! The MMU of one hart: from a virtual address to RAM or a device.

use std::sync::Arc;

use isa::{Gpa, Pa, Privilege, Va};

use crate::access::{Access, Kind, MemoryType, Target, Translated};
use crate::config::{MmuConfig, TranslationCsrs};
use crate::fault::{Fault, Reason, Why};
use crate::fence::Fence;
use crate::memory::{Guest, Halt, Physical};
use crate::observe::{Deaf, Observer, Recorder, WalkRecord};
use crate::pma::PmaMap;
use crate::pmp::Pmp;
use crate::ram::{Ram, Scalar};
use crate::shape::Shape;
use crate::stage::{GStage, Need, SStage, Supervisor, Tree, VsStage};
use crate::walk::{FromRoot, walk};

/// What an access goes through.
enum Regime {
    /// M-mode, or `satp` is Bare at V=0.
    Untranslated,
    /// One stage.
    S(SStage),
    /// Two stages, either of which may be Bare.
    Guest { vs: Option<VsStage>, g: Option<GStage> },
}

/// A translated address, before physical memory had its say.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    pa: Pa,
    gpa: Option<Gpa>,
    memory_type: MemoryType,
}

/// The MMU of one hart.
#[derive(Debug)]
pub struct Mmu {
    config: MmuConfig,
    ram: Arc<Ram>,
    pma: Arc<PmaMap>,
    /// The PMP registers. Call [`Mmu::pmp_changed`] after writing them.
    pub pmp: Pmp,
    csrs: TranslationCsrs,
    epoch: u64,
}

impl Mmu {
    /// An MMU whose registers are all zero.
    pub fn new(config: MmuConfig, ram: Arc<Ram>, pma: Arc<PmaMap>) -> Self {
        let pmp = Pmp::new(config.pmp_entries);
        Self { config, ram, pma, pmp, csrs: TranslationCsrs::default(), epoch: 0 }
    }

    /// How it is built.
    pub fn config(&self) -> &MmuConfig {
        &self.config
    }

    /// The shape of its TLB.
    pub fn shape(&self) -> &Shape {
        &self.config.shape
    }

    /// The registers in force.
    pub fn csrs(&self) -> &TranslationCsrs {
        &self.csrs
    }

    /// Hands over the registers, after any of them changed. What the manual lets take effect at once does; nothing
    /// is fenced.
    pub fn set_csrs(&mut self, csrs: &TranslationCsrs) {
        self.csrs = *csrs;
    }

    /// Sets the privilege and V of fetches and of ordinary loads and stores, for the native fast path.
    pub fn set_effective(&mut self, _fetch: (Privilege, bool), _data: (Privilege, bool)) {}

    /// The PMP registers were written: forgets every permission that was derived from them.
    pub fn pmp_changed(&mut self) {
        self.epoch += 1;
    }

    /// Loads from RAM if the native TLB knows that this is permitted and `va` is naturally aligned.
    #[inline(always)]
    pub fn load<T: Scalar>(&self, _va: u64) -> Option<T> {
        None
    }

    /// Stores to RAM if the native TLB knows that this is permitted and `va` is naturally aligned; says whether
    /// it did.
    #[inline(always)]
    pub fn store<T: Scalar>(&self, _va: u64, _value: T) -> bool {
        false
    }

    /// The physical address to fetch from, if the native TLB knows it.
    #[inline(always)]
    pub fn fetch_page(&self, _va: u64) -> Option<Pa> {
        None
    }

    /// Takes note of pages of RAM that now hold decoded instructions: none of them is written natively any more.
    pub fn sync_code_events(&mut self) {}

    /// A number that changes whenever a translation that [`Mmu::translate`] gave for a fetch may have been
    /// removed.
    pub fn translation_epoch(&self) -> u64 {
        self.epoch
    }

    /// Executes a fence.
    pub fn fence(&mut self, _fence: Fence) {
        self.epoch += 1;
    }

    /// Translates an access and checks that physical memory permits it.
    ///
    /// # Errors
    /// Why it is not permitted, the first reason in walk order.
    pub fn translate(&mut self, va: Va, access: Access) -> Result<Translated, Fault> {
        match self.translate_observed(va, access, &mut Deaf) {
            Ok(translated) => Ok(translated),
            Err(Halt::Fault(fault)) => Err(fault),
            Err(Halt::Stopped(never)) => match never {},
        }
    }

    /// As [`Mmu::translate`], telling `observer` of every PTE access.
    ///
    /// # Errors
    /// Why it is not permitted, or what the observer stopped it with.
    pub fn translate_observed<O: Observer>(
        &mut self,
        va: Va,
        access: Access,
        observer: &mut O,
    ) -> Result<Translated, Halt<O::Stop>> {
        if access.kind == Kind::Fetch {
            self.epoch += 1;
        }
        self.fresh(va, access, observer, false)
    }

    /// Walks for `access` from memory alone and without side effects: no A or D is set, no TLB looked at or
    /// filled.
    pub fn explain(&self, va: Va, access: Access) -> WalkRecord {
        let mut recorder = Recorder::default();
        let outcome = match self.fresh(va, access, &mut recorder, true) {
            Ok(translated) => Ok(translated),
            Err(Halt::Fault(fault)) => Err(fault),
            Err(Halt::Stopped(never)) => match never {},
        };
        WalkRecord { va, access, steps: recorder.steps, outcome }
    }

    fn fresh<O: Observer>(
        &self,
        va: Va,
        access: Access,
        observer: &mut O,
        frozen: bool,
    ) -> Result<Translated, Halt<O::Stop>> {
        let need = Need::explicit(access.right());
        let mut memory = Physical { ram: &self.ram, pmp: &self.pmp, observer, frozen };
        let mapping = match self.regime(access.privilege, access.v) {
            Regime::Untranslated => {
                Mapping { pa: Pa(va.0), gpa: None, memory_type: MemoryType::Pma }
            }
            Regime::S(stage) => {
                let leaf = walk(&stage, &mut FromRoot, &mut memory, va, need)?;
                Mapping { pa: leaf.out, gpa: None, memory_type: leaf.memory_type }
            }
            Regime::Guest { vs, g } => {
                let mut guest = Guest { stage: g, memory };
                let (gpa, outer) = match vs {
                    Some(stage) => {
                        let leaf = walk(&stage, &mut FromRoot, &mut guest, va, need)?;
                        (leaf.out, leaf.memory_type)
                    }
                    None => (Gpa(va.0), MemoryType::Pma),
                };
                let leaf = guest.translate(gpa, need)?;
                let memory_type = outer.or(leaf.memory_type);
                Mapping { pa: leaf.out, gpa: Some(gpa), memory_type }
            }
        };
        Ok(self.check_physical(mapping, access)?)
    }

    /// The stages that an access of this privilege goes through.
    fn regime(&self, privilege: Privilege, v: bool) -> Regime {
        let csrs = &self.csrs;
        let formats = self.config.formats;
        let supervisor = |tree, sum, mxr, adue, pbmte| Supervisor {
            tree,
            formats,
            privilege,
            sum,
            mxr,
            adue: adue && self.config.svadu,
            pbmte: pbmte && self.config.svpbmt,
        };
        if privilege == Privilege::M {
            return Regime::Untranslated;
        }
        if !v {
            return match Tree::of(csrs.satp) {
                Some(tree) => {
                    Regime::S(SStage(supervisor(tree, csrs.sum, csrs.mxr, csrs.adue, csrs.pbmte)))
                }
                None => Regime::Untranslated,
            };
        }
        let mxr = csrs.mxr || csrs.vs_mxr;
        let vs = Tree::of(csrs.vsatp)
            .map(|tree| VsStage(supervisor(tree, csrs.vs_sum, mxr, csrs.vs_adue, csrs.vs_pbmte)));
        let g = Tree::of(csrs.hgatp).map(|tree| GStage {
            tree,
            formats,
            mxr: csrs.mxr,
            adue: csrs.adue && self.config.svadu,
            pbmte: csrs.pbmte && self.config.svpbmt,
        });
        Regime::Guest { vs, g }
    }

    /// PMA and PMP of the access itself.
    fn check_physical(&self, mapping: Mapping, access: Access) -> Result<Translated, Fault> {
        let Mapping { pa, gpa, memory_type } = mapping;
        let denied = |reason| Err(Fault::Access { why: Why::plain(reason) });
        let len = u64::from(access.size);
        let rights = access.physical_rights();
        let target = if self.ram.contains(pa, len) {
            Target::Ram { pa }
        } else {
            match self.pma.find(pa, len) {
                Some(region) if region.rights().grants(rights) && access.kind != Kind::Amo => {
                    Target::Mmio { pa }
                }
                _ => return denied(Reason::Pma),
            }
        };
        if !self.pmp.check(pa, len, access.privilege, rights) {
            return denied(Reason::Pmp);
        }
        Ok(Translated { target, gpa, memory_type })
    }
}
