//! The TLBs of a core as far as they cost time: which translations are held, what fences remove, and what a
//! walk reads. What a guest may observe of its TLB is the MMU's affair, not this one's.

use crate::tree::PseudoLru;
use serde::{Deserialize, Serialize};

/// Under which registers an address is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Context {
    /// V.
    pub v: bool,
    /// `satp` or `vsatp` is not Bare, and the mode heeds it.
    pub first: bool,
    /// `hgatp` is not Bare, and V=1.
    pub second: bool,
    /// Its ASID.
    pub asid: u16,
    /// `hgatp.VMID`.
    pub vmid: u16,
}

impl Context {
    /// Whether anything is translated.
    pub fn translates(&self) -> bool {
        self.first || self.second
    }
}

/// A walk as memory sees it.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// The physical address of each PTE that was read, in order, of both stages.
    pub reads: Vec<u64>,
    /// What it found; where it failed, what the last PTE stands for.
    pub page: Page,
    /// It found no translation.
    pub failed: bool,
}

/// A page as a TLB holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// log2 of its size: the smaller of both stages'.
    pub bits: u8,
    /// The guest-physical address that was translated, and log2 of the size of its page in the G-stage; `None` without that stage.
    pub guest: Option<(u64, u8)>,
    /// A PTE of the first stage says that it is in every address space.
    pub global: bool,
}

impl Page {
    /// Whether it lies in the page of the G-stage that `gpa` is in.
    fn is_at(&self, gpa: Option<u64>) -> bool {
        gpa.is_none_or(|gpa| self.guest.is_none_or(|(address, bits)| (address ^ gpa) >> bits == 0))
    }

    /// Whether a fence of an address space means it.
    fn is_in(&self, asid: Option<u16>, context: Context) -> bool {
        asid.is_none_or(|asid| asid == context.asid && !self.global)
    }

    /// Whether what was found under `own` serves under `context`.
    fn serves(&self, own: Context, context: Context) -> bool {
        own == context || self.global && own == Context { asid: own.asid, ..context }
    }
}

/// What a fence removes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// SFENCE.VMA at V=0.
    S {
        /// One address.
        va: Option<u64>,
        /// One ASID.
        asid: Option<u16>,
    },
    /// SFENCE.VMA at V=1, HFENCE.VVMA.
    Vs {
        /// One guest virtual address.
        va: Option<u64>,
        /// One ASID.
        asid: Option<u16>,
        /// The VMID that is current.
        vmid: u16,
    },
    /// HFENCE.GVMA.
    G {
        /// One guest-physical address.
        gpa: Option<u64>,
        /// One VMID.
        vmid: Option<u16>,
    },
}

impl Flush {
    /// Whether it names an address.
    pub(crate) fn names_address(self) -> bool {
        self.address().is_some()
    }

    /// The address that it names.
    fn address(self) -> Option<u64> {
        match self {
            Self::S { va, .. } | Self::Vs { va, .. } => va,
            Self::G { gpa, .. } => gpa,
        }
    }

    /// The same where entries do not know guest-physical addresses: all of a VM.
    pub(crate) fn without_gpa(self) -> Self {
        match self {
            Self::G { vmid, .. } => Self::G { gpa: None, vmid },
            other => other,
        }
    }

    /// The same on a core whose ASIDs have so many bits: the others do not count (Supervisor Memory-Management Fence Instruction).
    pub(crate) fn within(mut self, asid_bits: u32) -> Self {
        if let Self::S { asid: Some(asid), .. } | Self::Vs { asid: Some(asid), .. } = &mut self {
            *asid &= ((1u32 << asid_bits.min(16)) - 1) as u16;
        }
        self
    }

    /// The same for all virtual addresses and their address spaces.
    pub(crate) fn widened(self) -> Self {
        match self {
            Self::S { .. } => Self::S { va: None, asid: None },
            Self::Vs { vmid, .. } => Self::Vs { va: None, asid: None, vmid },
            Self::G { .. } => self,
        }
    }
}

/// How a TLB is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlbParams {
    /// Fully associative entries, of pages of every size unless there are some for superpages.
    pub entries: usize,
    /// Neighbouring pages that share an entry's tag.
    #[serde(default = "one")]
    pub sectors: u64,
    /// Entries for superpages alone.
    #[serde(default)]
    pub superpages: usize,
    /// Whether an entry that holds nothing is filled before any other is given up.
    #[serde(default)]
    pub vacant_first: bool,
}

const fn one() -> u64 {
    1
}

impl TlbParams {
    /// Whether this can be built.
    pub fn is_sound(&self) -> bool {
        (1..=1024).contains(&self.entries)
            && self.superpages <= 1024
            && self.sectors.is_power_of_two()
            && self.sectors <= 64
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    context: Context,
    /// The address without what lies within the page, or within the group of sectors.
    base: u64,
    page: Page,
    /// Which sectors are there.
    sectors: u64,
}

/// Places in the bank of superpages count from here.
const SUPERPAGES: u32 = 1 << 16;

#[derive(Clone, Debug)]
struct Bank {
    entries: Vec<Option<Entry>>,
    tree: PseudoLru,
}

impl Bank {
    fn new(entries: usize) -> Self {
        Self { entries: vec![None; entries], tree: PseudoLru::new(entries.max(1)) }
    }
}

/// A fully associative TLB.
#[derive(Clone, Debug)]
pub(crate) struct Tlb {
    sector_bits: u32,
    vacant_first: bool,
    pages: Bank,
    superpages: Bank,
}

impl Tlb {
    /// An empty TLB.
    pub(crate) fn new(params: TlbParams) -> Self {
        Self {
            sector_bits: params.sectors.trailing_zeros(),
            vacant_first: params.vacant_first,
            pages: Bank::new(params.entries),
            superpages: Bank::new(params.superpages),
        }
    }

    /// Where the translation of `va` is; it counts as used then.
    pub(crate) fn lookup(&mut self, context: Context, va: u64) -> Option<u32> {
        let sector_bits = self.sector_bits;
        for (bank, first) in [(&mut self.pages, 0), (&mut self.superpages, SUPERPAGES)] {
            let hit = bank.entries.iter().position(|entry| {
                entry.is_some_and(|entry| {
                    let bits = entry.page.bits;
                    let shared = if bits == 12 { sector_bits } else { 0 };
                    va >> bits >> shared == entry.base
                        && entry.page.serves(entry.context, context)
                        && entry.sectors >> (va >> bits & ((1 << shared) - 1)) & 1 != 0
                })
            });
            if let Some(slot) = hit {
                bank.tree.touch(slot);
                return Some(first + slot as u32);
            }
        }
        None
    }

    /// What is at a place that [`Tlb::lookup`] found counts as used.
    #[inline]
    pub(crate) fn touch(&mut self, place: u32) {
        match place.checked_sub(SUPERPAGES) {
            None => self.pages.tree.touch(place as usize),
            Some(slot) => self.superpages.tree.touch(slot as usize),
        }
    }

    /// Keeps the translation of `va`, in this page: says where.
    pub(crate) fn fill(&mut self, context: Context, va: u64, page: Page) -> u32 {
        let bits = page.bits;
        let small = bits == 12 || self.superpages.entries.is_empty();
        let shared = if bits == 12 { self.sector_bits } else { 0 };
        let (bank, first) =
            if small { (&mut self.pages, 0) } else { (&mut self.superpages, SUPERPAGES) };
        let base = va >> bits >> shared;
        let sector = 1 << (va >> bits & ((1 << shared) - 1));
        let same = bank
            .entries
            .iter_mut()
            .enumerate()
            .filter_map(|(slot, entry)| entry.as_mut().map(|entry| (slot, entry)))
            .find(|(_, entry)| {
                entry.page.bits == bits && entry.context == context && entry.base == base
            });
        if let Some((slot, entry)) = same {
            entry.sectors |= sector;
            bank.tree.touch(slot);
            return first + slot as u32;
        }
        let vacant = bank.entries.iter().position(Option::is_none).filter(|_| self.vacant_first);
        let slot = vacant.unwrap_or_else(|| bank.tree.victim());
        bank.entries[slot] = Some(Entry { context, base, page, sectors: sector });
        bank.tree.touch(slot);
        first + slot as u32
    }

    /// Removes what a fence removes.
    pub(crate) fn flush(&mut self, flush: Flush) {
        let sector_bits = self.sector_bits;
        for slot in self.pages.entries.iter_mut().chain(&mut self.superpages.entries) {
            let Some(entry) = slot else { continue };
            let context = entry.context;
            let page = entry.page;
            let shared = if page.bits == 12 { sector_bits } else { 0 };
            let covers =
                |va: Option<u64>| va.is_none_or(|va| va >> page.bits >> shared == entry.base);
            let removed = match flush {
                Flush::S { va, asid } => !context.v && covers(va) && page.is_in(asid, context),
                Flush::Vs { va, asid, vmid } => {
                    context.v && context.vmid == vmid && covers(va) && page.is_in(asid, context)
                }
                Flush::G { gpa, vmid } => {
                    context.second
                        && page.is_at(gpa)
                        && vmid.is_none_or(|vmid| vmid == context.vmid)
                }
            };
            if removed {
                // Where one address is named, its neighbours in the entry stay.
                let address = if let Flush::G { .. } = flush { None } else { flush.address() };
                let named = address.filter(|_| shared != 0);
                let gone = named.map_or(u64::MAX, |va| 1 << (va >> 12 & ((1 << shared) - 1)));
                entry.sectors &= !gone;
                if entry.sectors == 0 {
                    *slot = None;
                }
            }
        }
    }
}

/// A TLB behind those for fetches and for data, in sets by the page number. Of a superpage, too, an entry stands where the address
/// that was looked for puts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedTlbParams {
    /// Sets, a power of two.
    pub sets: usize,
    /// Entries in a set, a power of two.
    pub ways: usize,
    /// Cycles until a translation that it holds is there.
    pub hit: u64,
    /// Cycles that looking in vain adds to a walk.
    pub miss: u64,
}

impl SharedTlbParams {
    /// Whether this can be built.
    pub fn is_sound(&self) -> bool {
        let powers = self.sets.is_power_of_two() && self.ways.is_power_of_two();
        powers && self.sets <= 1 << 16 && self.ways <= 64 && self.hit.max(self.miss) <= 1 << 10
    }
}

/// See [`SharedTlbParams`].
#[derive(Clone, Debug)]
pub(crate) struct SharedTlb {
    params: SharedTlbParams,
    /// Context, page number and page; those of a set lie together.
    entries: Vec<Option<(Context, u64, Page)>>,
    lfsr: u64,
}

impl SharedTlb {
    /// An empty one. The parameters must be [sound](SharedTlbParams::is_sound).
    pub(crate) fn new(params: SharedTlbParams) -> Self {
        Self { params, entries: vec![None; params.sets * params.ways], lfsr: 0xff }
    }

    fn set(&self, va: u64) -> std::ops::Range<usize> {
        let first = ((va >> 12) as usize & (self.params.sets - 1)) * self.params.ways;
        first..first + self.params.ways
    }

    /// The page that translates `va`, where it is there.
    pub(crate) fn lookup(&self, context: Context, va: u64) -> Option<Page> {
        let mut set = self.entries[self.set(va)].iter().flatten();
        let holds = |&&(of, number, page): &&(Context, u64, Page)| {
            va >> page.bits == number && page.serves(of, context)
        };
        set.find(holds).map(|&(_, _, page)| page)
    }

    /// Keeps the translation of `va`, in this page: in a vacant way, else where a shift register says.
    pub(crate) fn fill(&mut self, context: Context, va: u64, page: Page) {
        let set = self.set(va);
        let vacant = set.clone().find(|&slot| self.entries[slot].is_none());
        let slot = vacant.unwrap_or_else(|| {
            let way = self.lfsr as usize & (self.params.ways - 1);
            self.lfsr = self.lfsr >> 1 ^ if self.lfsr & 1 != 0 { 0xfa } else { 0 };
            set.start + way
        });
        self.entries[slot] = Some((context, va >> page.bits, page));
    }

    /// Removes what a fence removes.
    pub(crate) fn flush(&mut self, flush: Flush) {
        for slot in &mut self.entries {
            let Some((context, number, page)) = *slot else { continue };
            let covers = |va: Option<u64>| va.is_none_or(|va| va >> page.bits == number);
            let of = |asid: Option<u16>| page.is_in(asid, context);
            let removed = match flush {
                Flush::S { va, asid } => !context.v && covers(va) && of(asid),
                Flush::Vs { va, asid, vmid } => {
                    context.v && context.vmid == vmid && covers(va) && of(asid)
                }
                Flush::G { gpa, vmid } => {
                    context.second
                        && page.is_at(gpa)
                        && vmid.is_none_or(|vmid| vmid == context.vmid)
                }
            };
            if removed {
                *slot = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Context = Context { v: false, first: true, second: false, asid: 1, vmid: 0 };
    const VS: Context = Context { v: true, first: true, second: true, asid: 1, vmid: 2 };

    fn of(bits: u8) -> Page {
        Page { bits, ..Page::default() }
    }

    fn tlb(entries: usize, sectors: u64, superpages: usize) -> Tlb {
        Tlb::new(TlbParams { entries, sectors, superpages, vacant_first: false })
    }

    /// Of a few rounds over `pages` pages, how many lookups of the last one hit.
    fn hits(tlb: &mut Tlb, pages: u64, bits: u8) -> u64 {
        let mut hits = 0;
        for round in 0..4 {
            for page in 0..pages {
                let hit = tlb.lookup(S, page << bits).is_some();
                if !hit {
                    tlb.fill(S, page << bits, of(bits));
                }
                hits += u64::from(hit && round == 3);
            }
        }
        hits
    }

    #[test]
    fn as_many_pages_hit_as_there_are_entries() {
        assert_eq!(hits(&mut tlb(16, 1, 0), 16, 12), 16);
        // The tree turns round over a few more, as an oldest-first order would: nothing hits.
        assert_eq!(hits(&mut tlb(16, 1, 0), 32, 12), 0);
        assert_eq!(hits(&mut tlb(8, 4, 4), 32, 12), 32);
        assert_eq!(hits(&mut tlb(8, 4, 4), 4, 21), 4);
        assert!(hits(&mut tlb(8, 4, 4), 8, 21) < 8);
    }

    #[test]
    fn an_entry_serves_its_context_and_its_page() {
        let mut tlb = tlb(16, 1, 0);
        tlb.fill(S, 0x20_0000, of(21));
        assert!(tlb.lookup(S, 0x3f_ffff).is_some());
        assert!(tlb.lookup(S, 0x40_0000).is_none());
        assert!(tlb.lookup(VS, 0x20_0000).is_none());
        assert!(tlb.lookup(Context { asid: 2, ..S }, 0x20_0000).is_none());
    }

    #[test]
    fn a_fence_removes_what_it_names() {
        let held = |flush| {
            let mut tlb = tlb(16, 1, 0);
            tlb.fill(S, 0x1000, of(12));
            tlb.fill(VS, 0x2000, of(12));
            tlb.flush(flush);
            (tlb.lookup(S, 0x1000).is_some(), tlb.lookup(VS, 0x2000).is_some())
        };
        assert_eq!(held(Flush::S { va: None, asid: None }), (false, true));
        assert_eq!(held(Flush::S { va: Some(0x2000), asid: None }), (true, true));
        assert_eq!(held(Flush::S { va: None, asid: Some(7) }), (true, true));
        assert_eq!(held(Flush::Vs { va: None, asid: None, vmid: 2 }), (true, false));
        assert_eq!(held(Flush::Vs { va: None, asid: None, vmid: 3 }), (true, true));
        assert_eq!(held(Flush::G { gpa: None, vmid: None }), (true, false));
    }

    #[test]
    fn a_fence_of_a_guest_physical_address_removes_what_lies_in_its_page_of_the_g_stage() {
        let held = |flush: Flush| {
            let mut tlb = tlb(16, 1, 0);
            // 4 KiB in both stages, 4 KiB in a page of 2 MiB of the G-stage, and the VS-stage alone.
            for (va, guest) in [(0x1000, Some((0x8_1000, 12))), (0x2000, Some((0x40_3000, 21)))] {
                tlb.fill(VS, va, Page { guest, ..of(12) });
            }
            tlb.fill(Context { second: false, ..VS }, 0x3000, of(12));
            tlb.flush(flush);
            let alone = tlb.lookup(Context { second: false, ..VS }, 0x3000);
            (tlb.lookup(VS, 0x1000).is_some(), tlb.lookup(VS, 0x2000).is_some(), alone.is_some())
        };
        let fence = |gpa| Flush::G { gpa: Some(gpa), vmid: None };
        assert_eq!(held(fence(0x8_1ff8)), (false, true, true));
        assert_eq!(held(fence(0x8_2000)), (true, true, true));
        assert_eq!(held(fence(0x5f_f000)), (true, false, true));
        assert_eq!(held(fence(0x5f_f000).without_gpa()), (false, false, true));
        assert_eq!(held(Flush::G { gpa: Some(0x8_1000), vmid: Some(3) }), (true, true, true));
        assert_eq!(held(Flush::G { gpa: None, vmid: Some(2) }), (false, false, true));
    }

    #[test]
    fn a_global_page_serves_every_address_space_of_its_guest() {
        let mut tlb = tlb(16, 1, 0);
        tlb.fill(VS, 0x1000, Page { global: true, ..of(12) });
        let has = |tlb: &mut Tlb, context| tlb.lookup(context, 0x1000).is_some();
        assert!(has(&mut tlb, Context { asid: 9, ..VS }));
        assert!(!has(&mut tlb, Context { asid: 9, vmid: 3, ..VS }));
        assert!(!has(&mut tlb, Context { v: false, ..VS }));
        // A fence of an address space leaves it.
        tlb.flush(Flush::Vs { va: None, asid: Some(1), vmid: 2 });
        assert!(has(&mut tlb, VS));
        tlb.flush(Flush::Vs { va: None, asid: None, vmid: 2 });
        assert!(!has(&mut tlb, VS));
    }

    #[test]
    fn a_shared_tlb_holds_as_many_pages_of_a_set_as_it_has_ways() {
        let mut shared = SharedTlb::new(SharedTlbParams { sets: 64, ways: 2, hit: 3, miss: 2 });
        for page in 0..128 {
            shared.fill(S, page << 12, of(12));
        }
        assert!((0..128).all(|page| shared.lookup(S, page << 12) == Some(of(12))));
        // By hand: 0xff chooses way 1.
        shared.fill(S, 128 << 12, of(12));
        assert_eq!(shared.lookup(S, 64 << 12), None);
        assert_eq!(shared.lookup(S, 0), Some(of(12)));
        assert_eq!(shared.lookup(VS, 0), None);
        shared.flush(Flush::S { va: Some(0x1000), asid: None });
        assert_eq!(shared.lookup(S, 0x1000), None);
        assert_eq!(shared.lookup(S, 0x2000), Some(of(12)));
        shared.fill(S, 0x20_3000, of(21));
        assert_eq!(shared.lookup(S, 0x20_3fff), Some(of(21)));
        assert_eq!(shared.lookup(S, 0x20_4000), None);
    }

    const PAGE: u64 = 4096;

    #[test]
    fn a_walk_for_a_page_whose_neighbour_is_there_uses_that_entry() {
        // TLB.scala: what has the tag is touched, whether it has the page or not.
        let mut tlb = tlb(2, 4, 0);
        for page in [0, 4, 1, 8] {
            tlb.fill(S, page * PAGE, of(12));
        }
        let has = [0, 1, 4, 8].map(|page| tlb.lookup(S, page * PAGE).is_some());
        assert_eq!(has, [true, true, false, true]);
    }

    #[test]
    fn a_fence_of_one_address_leaves_its_neighbours() {
        let mut tlb = tlb(2, 4, 0);
        for page in [0, 1] {
            tlb.fill(S, page * PAGE, of(12));
        }
        tlb.flush(Flush::S { va: Some(PAGE), asid: None });
        assert_eq!([0, 1].map(|page| tlb.lookup(S, page * PAGE).is_some()), [true, false]);
        tlb.flush(Flush::S { va: Some(0), asid: None });
        assert_eq!(tlb.lookup(S, 0), None);
    }

    #[test]
    fn what_holds_nothing_is_filled_first_where_a_core_does_so() {
        let params = TlbParams { entries: 4, sectors: 1, superpages: 0, vacant_first: true };
        let mut tlb = Tlb::new(params);
        for page in 0..4 {
            tlb.fill(S, page * PAGE, of(12));
        }
        tlb.flush(Flush::S { va: Some(2 * PAGE), asid: None });
        tlb.fill(S, 9 * PAGE, of(12));
        let there = [0, 1, 3, 9].map(|page| tlb.lookup(S, page * PAGE).is_some());
        assert_eq!(there, [true; 4]);
    }

    #[test]
    fn bits_of_an_asid_that_a_core_does_not_have_do_not_count() {
        let fence = Flush::S { va: None, asid: Some(0x1234) };
        assert_eq!(fence.within(0), Flush::S { va: None, asid: Some(0) });
        assert_eq!(fence.within(8), Flush::S { va: None, asid: Some(0x34) });
        assert_eq!(fence.within(16), fence);
    }
}
