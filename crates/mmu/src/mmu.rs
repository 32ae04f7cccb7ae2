//! The MMU of one hart: from a virtual address to RAM or a device.

use std::convert::Infallible;
use std::sync::Arc;

use isa::{Gpa, Pa, Privilege, Va, pte};

use crate::access::{Access, Kind, Right, Target, Translated, WatchedRange};
use crate::config::{MmuConfig, TranslationCsrs};
use crate::context::Contexts;
use crate::errata::Erratum;
use crate::fault::{Fault, Reason, Why};
use crate::fence::Fence;
use crate::memory::{Halt, Physical, PteFetches, Updates};
use crate::native::Native;
use crate::observe::{Deaf, Observer, Recorder, WalkRecord, WalkStep};
use crate::page_watch::{PageEvent, PagesSeen};
use crate::pma::PmaMap;
use crate::pmp::{PageVerdict, Pmp};
use crate::ram::{Ram, Scalar};
use crate::resolve::{Keeper, Mapping, Regime, resolve};
use crate::shape::Shape;
use crate::stage::Need;
use crate::tlb::{Removed, Tlb};
use crate::walk::Leaf;

mod handing;

/// So many new events of watched pages are not looked at one by one.
const MANY_PAGE_EVENTS: u64 = 16;

/// So many invalidations wait for their SFENCE.INVAL.IR; with one more they are carried out.
const MAX_DEFERRED: usize = 512;

/// What the MMU did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Calls of [`Mmu::translate`]: accesses that the native TLB did not serve.
    pub translations: u64,
    /// Those for which no PTE was read.
    pub without_walk: u64,
    /// Those that were walked again from the root because a kept entry denied them.
    pub retries: u64,
    /// PTEs read from memory.
    pub pte_fetches: PteFetches,
    /// Fences executed.
    pub fences: u64,
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
    /// The privilege and V of fetches, and of ordinary loads and stores.
    fetch: (Privilege, bool),
    data: (Privilege, bool),
    tlb: Tlb,
    contexts: Contexts,
    native: Native,
    removed: Removed,
    /// Invalidations that wait for their SFENCE.INVAL.IR.
    deferred: Vec<Fence>,
    pages_seen: PagesSeen,
    epoch: u64,
    stats: Stats,
    watched: Vec<WatchedRange>,
}

impl Mmu {
    /// An MMU whose registers are all zero, in M-mode.
    pub fn new(config: MmuConfig, ram: Arc<Ram>, pma: Arc<PmaMap>) -> Self {
        let mut mmu = Self {
            pmp: Pmp::new(config.pmp_entries),
            csrs: TranslationCsrs::default(),
            fetch: (Privilege::M, false),
            data: (Privilege::M, false),
            tlb: Tlb::new(&config.shape, config.errata),
            contexts: Contexts::new(),
            native: Native::new(Arc::clone(&ram)),
            removed: Removed::default(),
            deferred: Vec::new(),
            pages_seen: ram.pages_seen(),
            epoch: 0,
            stats: Stats::default(),
            watched: Vec::new(),
            config,
            ram,
            pma,
        };
        mmu.select_contexts();
        mmu
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

    /// What it did so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Hands over the registers, after any of them changed. What the manual lets take effect at once does; nothing
    /// is fenced.
    pub fn set_csrs(&mut self, csrs: &TranslationCsrs) {
        if self.csrs != *csrs {
            self.csrs = *csrs;
            self.select_contexts();
        }
    }

    /// Sets the privilege and V of fetches and of ordinary loads and stores, for the native fast path.
    pub fn set_effective(&mut self, fetch: (Privilege, bool), data: (Privilege, bool)) {
        if (self.fetch, self.data) != (fetch, data) {
            (self.fetch, self.data) = (fetch, data);
            self.select_contexts();
        }
    }

    /// The PMP registers were written: forgets every permission that was derived from them.
    pub fn pmp_changed(&mut self) {
        self.withdraw_everything();
        self.select_contexts();
    }

    /// Loads from RAM if the native TLB knows that this is permitted and `va` is naturally aligned.
    #[inline(always)]
    pub fn load<T: Scalar>(&self, va: u64) -> Option<T> {
        self.native.load(va)
    }

    /// Stores to RAM if the native TLB knows that this is permitted and `va` is naturally aligned; says whether
    /// it did.
    #[inline(always)]
    pub fn store<T: Scalar>(&self, va: u64, value: T) -> bool {
        self.native.store(va, value)
    }

    /// Loads where [`Mmu::load`] did not, if what was translated of the 2 MiB around `va` tells that it may be done: as a load that
    /// hits, without making the next one hit.
    #[inline(always)]
    pub fn load_in_chunk<T: Scalar>(&mut self, va: u64) -> Option<T> {
        self.native.load_in_chunk(va)
    }

    /// Stores where [`Mmu::store`] did not, in the same way, if nobody watches a page of the 2 MiB; says whether it did.
    #[inline(always)]
    pub fn store_in_chunk<T: Scalar>(&mut self, va: u64, value: T) -> bool {
        self.native.store_in_chunk(va, value)
    }

    /// Stores where [`Mmu::store_in_chunk`] did not, if nobody watches the page itself.
    #[inline(always)]
    pub fn store_in_watched_chunk<T: Scalar>(&mut self, va: u64, value: T) -> bool {
        self.native.store_in_watched_chunk(va, value)
    }

    /// Puts what `f` makes of the naturally aligned `T` at `va` in its place, and returns what else it makes, if [`Mmu::load`] and
    /// [`Mmu::store`] would both hit; otherwise does nothing.
    #[inline(always)]
    pub fn update<T: Scalar, R>(&self, va: u64, f: impl FnOnce(T) -> (T, R)) -> Option<R> {
        self.native.update(va, f)
    }

    /// Does an update that [`Mmu::update`] did not, where [`Mmu::load_in_chunk`] and [`Mmu::store_in_chunk`] would do both.
    #[inline(always)]
    pub fn update_in_chunk<T: Scalar, R>(
        &mut self,
        va: u64,
        f: impl FnOnce(T) -> (T, R),
    ) -> Option<R> {
        self.native.update_in_chunk(va, f)
    }

    /// Loads from all of `vas`, if each could be loaded by [`Mmu::load`] and they lie in one page.
    #[inline(always)]
    pub fn load_all<T: Scalar, const N: usize>(&self, vas: [u64; N]) -> Option<[T; N]> {
        self.native.load_all(vas)
    }

    /// Does all the stores, which are an address and a value, in their order, if [`Mmu::store`] would do each and they go to one page; says
    /// whether it did, and otherwise did none.
    #[inline(always)]
    pub fn store_all<T: Scalar, const N: usize>(&self, stores: [(u64, T); N]) -> bool {
        self.native.store_all(stores)
    }

    /// The physical address that a naturally aligned load of `T` at `va` would touch, if the native TLB knows that
    /// it is permitted.
    #[inline(always)]
    pub fn readable<T: Scalar>(&self, va: u64) -> Option<Pa> {
        self.native.readable::<T>(va)
    }

    /// The physical address that a naturally aligned load-and-store of `T` at `va` would touch, if the native TLB
    /// knows that it is permitted: for AMOs, LR and SC.
    #[inline(always)]
    pub fn writable<T: Scalar>(&self, va: u64) -> Option<Pa> {
        self.native.writable::<T>(va)
    }

    /// The physical address to fetch from, if the native TLB knows it.
    #[inline(always)]
    pub fn fetch_page(&self, va: u64) -> Option<Pa> {
        self.native.fetch_page(va)
    }

    /// Whether PMP says the same to `privilege` all over the page of `pa`.
    pub fn pmp_is_uniform(&self, pa: Pa, privilege: Privilege) -> bool {
        self.pmp.page_verdict(pa, privilege) != PageVerdict::Mixed
    }

    /// A number for what fetches go through: two fetches of one address under the same number and
    /// [`Mmu::translation_epoch`] come from the same place. Numbers may be given out again in another epoch.
    #[inline]
    pub fn fetch_context(&self) -> u16 {
        self.native.fetch_context()
    }

    /// A number that changes whenever a translation that [`Mmu::translate`] gave for a fetch may have been
    /// removed, or was not kept at all.
    #[inline]
    pub fn translation_epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes note of pages of RAM that are now watched: none of them is written natively any more.
    pub fn sync_page_events(&mut self) {
        let Self { ram, native, pages_seen, .. } = self;
        let news = ram.page_events().wrapping_sub(pages_seen.count());
        if news == 0 {
            return;
        }
        if news > MANY_PAGE_EVENTS {
            native.drop_writes();
            *pages_seen = ram.pages_seen();
            return;
        }
        *pages_seen = ram.page_events_since(*pages_seen, |event| match event {
            PageEvent::Watched(page) => native.drop_writes_to(page),
            PageEvent::Written(_) => {}
            PageEvent::Missed(_) => native.drop_writes(),
        });
    }

    /// A fence without the bits of ASID and VMID that do not exist.
    pub fn narrowed(&self, fence: Fence) -> Fence {
        let asid = |asid: Option<u16>| asid.map(|asid| asid & self.config.asid_mask());
        let vmid = |vmid: u16| vmid & self.config.vmid_mask();
        match fence {
            Fence::Sfence { va, asid: of } => Fence::Sfence { va, asid: asid(of) },
            Fence::Vvma { va, asid: of, vmid: vm } => {
                Fence::Vvma { va, asid: asid(of), vmid: vmid(vm) }
            }
            Fence::Gvma { .. } if self.config.errata.has(Erratum::VmidUpperBitsCompared) => fence,
            Fence::Gvma { gpa, vmid: vm } => Fence::Gvma { gpa, vmid: vm.map(vmid) },
        }
    }

    /// Executes a fence.
    pub fn fence(&mut self, fence: Fence) {
        self.end_invalidations();
        self.stats.fences += 1;
        self.tlb.fence(self.narrowed(fence));
        self.follow_tlb();
    }

    /// Executes SINVAL.VMA, HINVAL.VVMA or HINVAL.GVMA, given as the fence that it is a part of [Svinval]. Whether it takes
    /// effect now or with [`Mmu::end_invalidations`] is the shape's choice.
    pub fn invalidate(&mut self, fence: Fence) {
        if !self.config.shape.defer_inval {
            return self.fence(fence);
        }
        if self.deferred.len() == MAX_DEFERRED {
            self.end_invalidations();
        }
        self.deferred.push(fence);
    }

    /// Executes SFENCE.INVAL.IR: what was invalidated is gone.
    pub fn end_invalidations(&mut self) {
        for fence in std::mem::take(&mut self.deferred) {
            self.stats.fences += 1;
            self.tlb.fence(self.narrowed(fence));
            self.follow_tlb();
        }
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
        let before = self.stats.pte_fetches.total();
        let mut used = false;
        let mut mapping = self.attempt(va, access, observer, false, &mut used);
        if used && matches!(mapping, Err(Halt::Fault(_))) {
            // A kept entry may grant, but only memory denies.
            self.stats.retries += 1;
            mapping = self.attempt(va, access, observer, true, &mut used);
        }
        self.stats.translations += 1;
        self.stats.without_walk += u64::from(before == self.stats.pte_fetches.total());
        self.follow_tlb();
        let mapping = mapping?;
        let translated = self.check_physical(&mapping, access)?;
        if self.config.errata.has(Erratum::HlvTaggedAsSupervisor) && access.v && !self.fetch.1 {
            let flags = (pte::V | pte::R | pte::W | pte::X | pte::A | pte::D) as u8;
            let memory_type = mapping.memory_type;
            let leaf = Leaf { out: mapping.pa, flags, bits: 12, global: false, memory_type };
            self.tlb.s_view(&self.csrs, false).keep(va.0, leaf);
        }
        let installed = self.install(va, access, &mapping, translated.target);
        if access.kind == Kind::Fetch && !installed {
            self.epoch += 1;
        }
        Ok(translated)
    }

    /// Walks for `access` from memory alone and without side effects: no A or D is set, no TLB looked at or
    /// filled.
    pub fn explain(&self, va: Va, access: Access) -> WalkRecord {
        let regime = Regime::new(&self.config, &self.csrs, access.privilege, access.v);
        self.explain_in(regime, va, access)
    }

    /// The same for a guest physical address: as if `vsatp` were Bare.
    pub fn explain_gpa(&self, gpa: Gpa, access: Access) -> WalkRecord {
        self.explain_in(Regime::g_stage(&self.config, &self.csrs), Va(gpa.0), access)
    }

    fn explain_in(&self, regime: Regime, va: Va, access: Access) -> WalkRecord {
        let (steps, mapping) = self.walk_only(regime, va, access.right());
        let outcome = mapping.and_then(|mapping| self.check_physical(&mapping, access));
        WalkRecord { va, access, steps, outcome }
    }

    /// The walk of [`Mmu::explain`] itself.
    pub(crate) fn walk_only(
        &self,
        regime: Regime,
        va: Va,
        right: Right,
    ) -> (Vec<WalkStep>, Result<Mapping, Fault>) {
        let mut recorder = Recorder::default();
        let mapping = self.walk_heard(regime, va, right, &mut recorder);
        (recorder.steps, mapping)
    }

    /// The same for one who listens.
    fn walk_heard<O: Observer<Stop = Infallible>>(
        &self,
        regime: Regime,
        va: Va,
        right: Right,
        observer: &mut O,
    ) -> Result<Mapping, Fault> {
        let memory = Physical {
            ram: &self.ram,
            pmp: &self.pmp,
            observer,
            updates: Updates::Imagined(Vec::new()),
            fetches: &mut PteFetches::default(),
            errata: self.config.errata,
        };
        match resolve(regime, va, Need::explicit(right), memory, None) {
            Ok(mapping) => Ok(mapping),
            Err(Halt::Fault(fault)) => Err(fault),
            Err(Halt::Stopped(never)) => match never {},
        }
    }

    /// Where a debugger finds the byte at `va`, as seen with this privilege and V: what is mapped, whatever the
    /// leaves permit, and without side effects. Memory alone is read, as by [`Mmu::explain`].
    ///
    /// # Errors
    /// Nothing is mapped there, or nothing lies behind it.
    pub fn locate(&self, va: Va, privilege: Privilege, v: bool) -> Result<Translated, Fault> {
        let regime = Regime::new(&self.config, &self.csrs, privilege, v);
        let Mapping { pa, gpa, memory_type, .. } =
            self.walk_heard(regime, va, Right::Look, &mut Deaf)?;
        let target = if self.ram.contains(pa, 1) {
            Target::Ram { pa }
        } else if self.pma.find(pa, 1).is_some() {
            Target::Mmio { pa }
        } else {
            return Err(Fault::Access { why: Why::plain(Reason::Pma) });
        };
        Ok(Translated { target, gpa, memory_type })
    }

    /// From now on no access to these bytes of virtual memory is served natively, so that each one passes through
    /// [`Mmu::translate`]; in any context.
    pub fn watch(&mut self, ranges: &[WatchedRange]) {
        if self.watched.as_slice() != ranges {
            self.watched = ranges.to_vec();
            self.withdraw_everything();
            self.select_contexts();
        }
    }

    fn attempt<O: Observer>(
        &mut self,
        va: Va,
        access: Access,
        observer: &mut O,
        fresh: bool,
        used: &mut bool,
    ) -> Result<Mapping, Halt<O::Stop>> {
        let regime = Regime::new(&self.config, &self.csrs, access.privilege, access.v);
        let Self { ram, pmp, tlb, csrs, stats, config, .. } = self;
        let errata = config.errata;
        let fetches = &mut stats.pte_fetches;
        let memory = Physical { ram, pmp, observer, updates: Updates::Stored, fetches, errata };
        let keeper = Keeper { tlb, csrs, fresh, used };
        resolve(regime, va, Need::explicit(access.right()), memory, Some(keeper))
    }

    /// PMA and PMP of the access itself.
    fn check_physical(&self, mapping: &Mapping, access: Access) -> Result<Translated, Fault> {
        let &Mapping { pa, gpa, memory_type, .. } = mapping;
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
