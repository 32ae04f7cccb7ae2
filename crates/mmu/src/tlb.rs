//! The architectural TLB of one hart: the caches of its shape, their tags, and what each fence removes.
//!
//! Entries are tagged with V, VMID and ASID or global; with roots only where a shape asks for it. Nothing here reads memory, and nothing
//! here decides a right: an entry only stands in for reading a PTE.

use isa::{Gpa, Pa, Va};

use crate::cache::{Cache, Dropped, Place};
use crate::config::TranslationCsrs;
use crate::errata::{Errata, Erratum};
use crate::fence::Fence;
use crate::shape::Shape;
use crate::spaces::{Asid, Forgotten, Handed, Space, SpaceId, Spaces};
use crate::stage::{Address, LEVEL_BITS, Need, Stage, Tree};
use crate::walk::{Leaf, Pointers, Table};

/// Leaves and pointers of one stage.
#[derive(Debug)]
pub(crate) struct StageCache<A> {
    leaves: Cache<Leaf<A>>,
    pointers: Cache<Table>,
    dropped: Vec<Dropped>,
}

/// A VS-stage leaf and the G-stage leaf below it, both at the first address of the smaller of the two pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) vs: Leaf<Gpa>,
    pub(crate) g: Leaf<Pa>,
}

/// A VS-stage page of which smaller combined entries were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fragmented {
    space: SpaceId,
    va: u64,
    bits: u8,
}

/// How many fragmented pages are remembered; beyond that the oldest one's space is forgotten.
const MAX_FRAGMENTED: usize = 64;

/// The identifiers under which a stage keeps entries: its ASID's own and those that are global.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tags {
    own: SpaceId,
    global: SpaceId,
}

impl Tags {
    fn both(self) -> [SpaceId; 2] {
        [self.own, self.global]
    }

    fn of(self, global: bool) -> SpaceId {
        if global { self.global } else { self.own }
    }
}

/// The tags of two-stage translation.
#[derive(Clone, Copy, Debug)]
struct GuestTags {
    vs: Tags,
    g: Tags,
    combined: Tags,
}

/// What a fence, a replacement or a shortage of tags removed, as far as the native TLB has to follow.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// Whole spaces.
    pub(crate) spaces: Vec<Forgotten>,
    /// Single pages.
    pub(crate) pages: Vec<(Space, Dropped)>,
}

impl Removed {
    pub(crate) fn is_empty(&self) -> bool {
        self.spaces.is_empty() && self.pages.is_empty()
    }
}

/// The TLB.
#[derive(Debug)]
pub(crate) struct Tlb {
    spaces: Spaces,
    s: StageCache<Pa>,
    vs: StageCache<Gpa>,
    g: StageCache<Pa>,
    combined: Cache<Pair>,
    combined_dropped: Vec<Dropped>,
    fragmented: Vec<Fragmented>,
    /// The tags last asked for, and for what.
    s_tags: Option<(u16, Tags)>,
    guest_tags: Option<((u16, u16, bool, u64), GuestTags)>,
    forgotten: Vec<Forgotten>,
    split_napot: bool,
    tag_vs_roots: bool,
    errata: Errata,
}

impl Tlb {
    pub(crate) fn new(shape: &Shape, errata: Errata) -> Self {
        fn stage<A: Copy>(leaves: crate::shape::Geometry, shape: &Shape) -> StageCache<A> {
            StageCache {
                leaves: Cache::new(leaves),
                pointers: Cache::new(shape.pointers),
                dropped: Vec::new(),
            }
        }
        let tlb = Self {
            spaces: Spaces::default(),
            s: stage(shape.s_stage, shape),
            vs: stage(shape.vs_stage, shape),
            g: stage(shape.g_stage, shape),
            combined: Cache::new(shape.combined),
            combined_dropped: Vec::new(),
            fragmented: Vec::new(),
            s_tags: None,
            guest_tags: None,
            forgotten: Vec::new(),
            split_napot: shape.split_napot,
            tag_vs_roots: shape.tag_vs_roots,
            errata,
        };
        #[cfg(feature = "faults")]
        let tlb = tlb.sparing_last();
        tlb
    }

    /// The same, with caches that spare the last refill where an erratum has it so.
    #[cfg(feature = "faults")]
    fn sparing_last(mut self) -> Self {
        let spares = self.errata.has(Erratum::RefillRacesFence);
        self.vs.leaves.spares_last = spares;
        self.g.leaves.spares_last = spares;
        self.combined.spares_last = spares;
        self
    }

    /// The S-stage's view under the ASID in `satp`.
    pub(crate) fn s_view(&mut self, csrs: &TranslationCsrs, fresh: bool) -> View<'_, Pa> {
        let asid = csrs.asid();
        let tags = match self.s_tags {
            Some((known, tags)) if known == asid => tags,
            _ => {
                let [own, global] =
                    self.obtain([Space::S(Asid::Own(asid)), Space::S(Asid::Global)]);
                let tags = Tags { own, global };
                self.s_tags = Some((asid, tags));
                tags
            }
        };
        View::new(&mut self.s, &self.spaces, tags, fresh, self.split_napot, Errata::NONE)
    }

    /// The views of both stages and of both in one, under the VMID and ASID in `hgatp` and `vsatp`.
    pub(crate) fn guest_views(
        &mut self,
        csrs: &TranslationCsrs,
        fresh: bool,
    ) -> (View<'_, Gpa>, View<'_, Pa>, CombinedView<'_>) {
        let (mut vmid, asid, bare) = (csrs.vmid(), csrs.vs_asid(), Tree::of(csrs.hgatp).is_none());
        if self.errata.has(Erratum::HitIgnoresVmid) {
            vmid &= !1;
        }
        let root = if self.tag_vs_roots { csrs.vs_root() } else { 0 };
        let key = (vmid, asid, bare, root);
        let tags = match self.guest_tags {
            Some((known, tags)) if known == key => tags,
            _ => {
                let asid = Asid::Own(asid);
                let [g, vs_own, vs_global, own, global] = self.obtain([
                    Space::G { vmid },
                    Space::Vs { vmid, asid, root },
                    Space::Vs { vmid, asid: Asid::Global, root: 0 },
                    Space::Combined { vmid, bare, asid, root },
                    Space::Combined { vmid, bare, asid: Asid::Global, root: 0 },
                ]);
                let tags = GuestTags {
                    vs: Tags { own: vs_own, global: vs_global },
                    g: Tags { own: g, global: g },
                    combined: Tags { own, global },
                };
                self.guest_tags = Some((key, tags));
                tags
            }
        };
        let (spaces, split) = (&self.spaces, self.split_napot);
        let combined = CombinedView {
            cache: &mut self.combined,
            spaces,
            tags: tags.combined,
            fragmented: &mut self.fragmented,
            dropped: &mut self.combined_dropped,
            fresh,
            split_napot: split,
        };
        (
            View::new(&mut self.vs, spaces, tags.vs, fresh, split, Errata::NONE),
            View::new(&mut self.g, spaces, tags.g, fresh, split, self.errata),
            combined,
        )
    }

    /// The identifiers of several spaces, all in use from now on.
    fn obtain<const N: usize>(&mut self, spaces: [Space; N]) -> [SpaceId; N] {
        loop {
            let ids = spaces.map(|space| self.spaces.obtain(space, &mut self.forgotten));
            // Where identifiers are short, one may have made room for another; the next round has other victims.
            if ids.iter().all(|&id| self.spaces.space_of(id).is_some()) {
                if !self.forgotten.is_empty() {
                    (self.s_tags, self.guest_tags) = (None, None);
                }
                return ids;
            }
        }
    }

    fn forget(&mut self, range: std::ops::RangeInclusive<Space>) {
        let before = self.forgotten.len();
        self.spaces.forget(range, &mut self.forgotten);
        if self.forgotten.len() != before {
            (self.s_tags, self.guest_tags) = (None, None);
        }
    }

    /// Notes that the native TLB got a page from these entries. Returns log2 of the sizes of the smallest and the
    /// largest of them: nothing larger than the one is contiguous, and as much as the other goes at a time.
    pub(crate) fn note_handed(&mut self, held: Held, handed: Handed) -> (u32, u32) {
        let (mut smallest, mut largest) = (u64::BITS, 0);
        let mut note = |(space, size)| {
            self.spaces.note_handed(space, handed);
            smallest = smallest.min(u32::from(size));
            largest = largest.max(u32::from(size));
        };
        match held {
            Held::Not | Held::Always => {}
            Held::S(place) => note(self.s.leaves.note_handed(place, handed)),
            Held::Combined(place) => note(self.combined.note_handed(place, handed)),
            Held::Split { vs, g } => {
                if let Some(place) = vs {
                    note(self.vs.leaves.note_handed(place, handed));
                }
                if let Some(place) = g {
                    note(self.g.leaves.note_handed(place, handed));
                }
            }
        }
        (smallest, largest)
    }

    /// Removes what a fence orders. ASID and VMID have no bits that do not exist.
    pub(crate) fn fence(&mut self, fence: Fence) {
        let mut fence = fence;
        if self.errata.has(Erratum::HitIgnoresVmid) {
            match &mut fence {
                Fence::Vvma { vmid, .. } | Fence::Gvma { vmid: Some(vmid), .. } => *vmid &= !1,
                _ => {}
            }
        }
        match fence {
            Fence::Gvma { .. } if self.errata.has(Erratum::GvmaMissesTlb) => {}
            Fence::Vvma { va: Some(_), .. } if self.errata.has(Erratum::AddressFenceMisses) => {}
            Fence::Sfence { va: None, asid: None } => self.forget(Space::s_all()),
            Fence::Sfence { va: None, asid: Some(asid) } => {
                let space = Space::S(Asid::Own(asid));
                self.forget(space..=space);
            }
            Fence::Sfence { va: Some(va), asid } => self.remove_s_leaf(va, asid),
            Fence::Vvma { va: None, asid, vmid } => {
                self.forget(Space::vs_of(vmid, asid));
                match asid {
                    None => self.forget(Space::combined_of(Some(vmid))),
                    Some(asid) => {
                        self.forget(Space::combined_own(vmid, false, asid));
                        self.forget(Space::combined_own(vmid, true, asid));
                    }
                }
            }
            Fence::Vvma { va: Some(va), asid, vmid } => self.remove_vs_leaf(va, asid, vmid),
            Fence::Gvma { gpa: None, vmid } => {
                self.forget(Space::g_of(vmid));
                self.forget(Space::combined_of(vmid));
            }
            Fence::Gvma { gpa: Some(gpa), vmid } => self.remove_g_leaf(gpa, vmid),
        }
    }

    fn remove_s_leaf(&mut self, va: Va, asid: Option<u16>) {
        let Self { s, spaces, .. } = self;
        let meant = |id| match (spaces.space_of(id), asid) {
            (Some(Space::S(_)), None) => true,
            (Some(Space::S(of)), Some(asid)) => of == Asid::Own(asid),
            _ => false,
        };
        let skew = asid.map(|asid| Space::S(Asid::Own(asid)).skew());
        s.leaves.remove(va.0, skew, meant, &mut s.dropped);
    }

    fn remove_vs_leaf(&mut self, va: Va, asid: Option<u16>, vmid: u16) {
        let Self { vs, combined, combined_dropped, fragmented, spaces, errata, .. } = self;
        let meant = |id: SpaceId| {
            spaces.space_of(id).is_some_and(|space| {
                space.is_vs(vmid, asid)
                    && !(errata.has(Erratum::GlobalsMissed) && space.is_global())
            })
        };
        let own = |asid| Space::Vs { vmid, asid: Asid::Own(asid), root: 0 };
        let skew = asid.map(|asid| own(asid).skew());
        vs.leaves.remove(va.0, skew, meant, &mut vs.dropped);
        combined.remove(va.0, skew, meant, combined_dropped);
        if errata.has(Erratum::FragmentsMissed) {
            return;
        }
        // A VS-stage page that lies in pieces goes as a whole.
        let covers = |start: u64, bits: u8| va.0 >> bits == start >> bits;
        fragmented.retain(|page| {
            let hit = covers(page.va, page.bits) && meant(page.space);
            if hit {
                combined.remove_where(
                    |space, start, pair| {
                        space == page.space && pair.vs.bits == page.bits && covers(start, page.bits)
                    },
                    combined_dropped,
                );
            }
            !hit
        });
    }

    fn remove_g_leaf(&mut self, gpa: Gpa, vmid: Option<u16>) {
        let Self { g, spaces, .. } = self;
        let meant = |id| match spaces.space_of(id) {
            Some(Space::G { vmid: of }) => vmid.is_none_or(|vmid| vmid == of),
            _ => false,
        };
        let skew = vmid.map(|vmid| Space::G { vmid }.skew());
        g.leaves.remove(gpa.0, skew, meant, &mut g.dropped);
        self.forget(Space::combined_of(vmid));
    }

    /// Moves out what was removed since the last call, as far as the native TLB has to follow.
    pub(crate) fn removed(&mut self, out: &mut Removed) {
        self.forget_fragments();
        out.spaces.extend(self.forgotten.drain(..).filter(|(_, handed)| handed.anything()));
        let lists = [
            &mut self.s.dropped,
            &mut self.vs.dropped,
            &mut self.g.dropped,
            &mut self.combined_dropped,
        ];
        for list in lists {
            for dropped in list.drain(..) {
                // Entries of a space that was forgotten went with it.
                if let Some(space) = self.spaces.space_of(dropped.space) {
                    out.pages.push((space, dropped));
                }
            }
        }
    }

    /// Keeps the list of fragmented pages within its bound.
    fn forget_fragments(&mut self) {
        if self.fragmented.len() <= MAX_FRAGMENTED {
            return;
        }
        let Self { fragmented, spaces, .. } = self;
        fragmented.retain(|page| spaces.space_of(page.space).is_some());
        while let Some(oldest) = self.fragmented.first().copied()
            && self.fragmented.len() > MAX_FRAGMENTED
        {
            if let Some(space) = self.spaces.space_of(oldest.space) {
                self.forget(space..=space);
            }
            self.fragmented.retain(|page| page.space != oldest.space);
        }
    }
}

/// What of a translation the TLB keeps, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// Nothing: the next access walks again.
    Not,
    /// There is nothing to keep: it is not translated.
    Always,
    /// An S-stage leaf.
    S(Place),
    /// A combined entry.
    Combined(Place),
    /// A leaf of each stage that is not Bare.
    Split { vs: Option<Place>, g: Option<Place> },
}

/// What a lookup or a walk of one stage found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<A> {
    pub(crate) leaf: Leaf<A>,
    /// Where it is kept.
    pub(crate) place: Option<Place>,
}

/// The size as which a leaf is kept.
fn kept_bits(bits: u8, split_napot: bool) -> u8 {
    if split_napot && bits == 16 { 12 } else { bits }
}

/// The caches of one stage as one translation sees them.
pub(crate) struct View<'a, A> {
    cache: &'a mut StageCache<A>,
    spaces: &'a Spaces,
    tags: Tags,
    split_napot: bool,
    /// Memory is read whatever is kept.
    fresh: bool,
    /// Whether something kept stood in for memory.
    pub(crate) used: bool,
    errata: Errata,
}

impl<'a, A: Address> View<'a, A> {
    fn new(
        cache: &'a mut StageCache<A>,
        spaces: &'a Spaces,
        tags: Tags,
        fresh: bool,
        split_napot: bool,
        errata: Errata,
    ) -> Self {
        Self { cache, spaces, tags, split_napot, fresh, used: false, errata }
    }

    /// A kept leaf that permits the access as it is.
    pub(crate) fn find<S: Stage<Out = A>>(
        &mut self,
        stage: &S,
        input: S::In,
        need: Need,
    ) -> Option<Found<A>> {
        if self.fresh || stage.check_width(input).is_err() {
            return None;
        }
        let suits = |leaf: &Leaf<A>| leaf.permits(stage, need);
        let (place, leaf) = self.cache.leaves.find(self.tags.both(), input.bits(), suits)?;
        self.used = true;
        let mut leaf = leaf.at(input.bits());
        if self.errata.has(Erratum::NapotHitSubpage) && leaf.bits == 16 {
            leaf.out = A::new(leaf.out.bits() & !0xf000 | 0x8000);
        }
        Some(Found { leaf, place: Some(place) })
    }

    /// Keeps the leaf that a walk of `input` found.
    pub(crate) fn keep(&mut self, input: u64, leaf: Leaf<A>) -> Option<Place> {
        let mut bits = kept_bits(leaf.bits, self.split_napot);
        if self.errata.has(Erratum::LevelOfGPageLost) {
            bits = bits.min(12);
        }
        let leaf = Leaf { bits, ..leaf };
        let value = leaf.at(input >> bits << bits);
        let space = self.tags.of(leaf.global);
        let StageCache { leaves, dropped, .. } = &mut *self.cache;
        leaves.keep(self.spaces, space, input, bits, value, dropped)
    }
}

impl<A> Pointers for View<'_, A> {
    fn resume(&mut self, input: u64) -> Option<Table> {
        if self.fresh {
            return None;
        }
        let (_, table) = self.cache.pointers.find(self.tags.both(), input, |_| true)?;
        self.used = true;
        Some(table)
    }

    fn passed(&mut self, input: u64, table: Table) {
        let bits = isa::PAGE_BITS + LEVEL_BITS * (u32::from(table.level) + 1);
        let space = self.tags.of(table.global);
        let StageCache { pointers, dropped, .. } = &mut *self.cache;
        pointers.keep(self.spaces, space, input, bits as u8, table, dropped);
    }
}

/// The combined cache as one translation sees it.
pub(crate) struct CombinedView<'a> {
    cache: &'a mut Cache<Pair>,
    spaces: &'a Spaces,
    tags: Tags,
    fragmented: &'a mut Vec<Fragmented>,
    dropped: &'a mut Vec<Dropped>,
    fresh: bool,
    split_napot: bool,
}

impl CombinedView<'_> {
    pub(crate) fn exists(&self) -> bool {
        self.cache.exists()
    }

    /// A kept entry for `va` of which `suits`.
    pub(crate) fn find(&self, va: u64, suits: impl FnMut(&Pair) -> bool) -> Option<(Place, Pair)> {
        if self.fresh {
            return None;
        }
        let (place, pair) = self.cache.find(self.tags.both(), va, suits)?;
        let within = va & ((1 << pair.vs.bits.min(pair.g.bits)) - 1);
        let gpa = Gpa(pair.vs.out.0 | within);
        let pa = Pa(pair.g.out.0 | within);
        Some((place, Pair { vs: Leaf { out: gpa, ..pair.vs }, g: Leaf { out: pa, ..pair.g } }))
    }

    /// Keeps what walks of `va` found.
    pub(crate) fn keep(&mut self, va: u64, vs: Leaf<Gpa>, g: Leaf<Pa>) -> Option<Place> {
        let vs = Leaf { bits: kept_bits(vs.bits, self.split_napot), ..vs };
        let g = Leaf { bits: kept_bits(g.bits, self.split_napot), ..g };
        let bits = vs.bits.min(g.bits);
        let first = |address: u64| address >> bits << bits;
        let pair = Pair {
            vs: Leaf { out: Gpa(first(vs.out.0)), ..vs },
            g: Leaf { out: Pa(first(g.out.0)), ..g },
        };
        let space = self.tags.of(vs.global);
        let place = self.cache.keep(self.spaces, space, va, bits, pair, self.dropped)?;
        let page = Fragmented { space, va: va >> vs.bits << vs.bits, bits: vs.bits };
        if bits < vs.bits && !self.fragmented.contains(&page) {
            self.fragmented.push(page);
        }
        Some(place)
    }
}
