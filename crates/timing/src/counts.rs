//! What a core did, counted. Misses, walks and what else is rare are counted as they happen; what is frequent is counted block by
//! block, with [weights](Weight) that a block has from the start, so that hits are the difference.

use crate::item::Item;
use crate::tlb::Context;
use crate::work::Unit;
use serde::Serialize;

/// Which stages a walk has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stages {
    /// `satp`'s tables alone.
    S,
    /// `vsatp`'s tables, with `hgatp` Bare.
    Vs,
    /// `hgatp`'s tables, with `vsatp` Bare.
    G,
    /// Both: each PTE of the VS-stage is itself looked for in the G-stage.
    VsG,
}

impl Stages {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::S, Self::Vs, Self::G, Self::VsG];

    /// Those of walks under `context`.
    fn of(context: Context) -> Self {
        match (context.v, context.first, context.second) {
            (false, ..) => Self::S,
            (true, _, false) => Self::Vs,
            (true, false, true) => Self::G,
            (true, true, true) => Self::VsG,
        }
    }

    /// Its name: `S`, `VS`, `G` or `VS+G`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::Vs => "VS",
            Self::G => "G",
            Self::VsG => "VS+G",
        }
    }
}

/// What something does each time it is executed, whatever becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Weight {
    packets: u64,
    loads: u64,
    stores: u64,
    transfers: u64,
}

impl Weight {
    /// That of an instruction; `resumes` where it is fetched with all of its packet.
    #[inline]
    pub(crate) fn of(item: &Item, resumes: bool) -> Self {
        let (loads, stores) = match item.work.unit {
            Unit::Load | Unit::LoadNarrow | Unit::LoadReserved => (1, 0),
            Unit::Store | Unit::Amo | Unit::StoreConditional => (0, 1),
            _ => (0, 0),
        };
        Self {
            packets: u64::from(item.begins.is_some()) + u64::from(item.enters && resumes),
            loads,
            stores,
            transfers: u64::from(item.work.flow.is_some()),
        }
    }

    /// That of instructions one after the other, of which the first may be fetched with all of its packet.
    pub(crate) fn of_all(items: &[Item], mut resumes: bool) -> Self {
        let mut sum = Self::default();
        for item in items {
            sum.add(&Self::of(item, resumes));
            resumes = item.refetches;
        }
        sum
    }

    #[inline]
    fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.loads += other.loads;
        self.stores += other.stores;
        self.transfers += other.transfers;
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            loads: self.loads - before.loads,
            stores: self.stores - before.stores,
            transfers: self.transfers - before.transfers,
        }
    }
}

/// Lookups in a structure, and those that found nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lookups {
    /// All of them.
    pub accesses: u64,
    /// In vain.
    pub misses: u64,
}

impl Lookups {
    /// Those that found something.
    pub fn hits(&self) -> u64 {
        self.accesses.saturating_sub(self.misses)
    }

    fn one(&mut self, miss: bool) {
        self.accesses += 1;
        self.misses += u64::from(miss);
    }

    fn add(&mut self, other: &Self) {
        self.accesses += other.accesses;
        self.misses += other.misses;
    }
}

impl Serialize for Lookups {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            accesses: u64,
            hits: u64,
            misses: u64,
        }
        Line { accesses: self.accesses, hits: self.hits(), misses: self.misses }.serialize(to)
    }
}

/// Translation in an address space of the machine or of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SpaceCounts {
    /// `hgatp.VMID` of a guest; none for V=0.
    pub vmid: Option<u16>,
    /// The instruction TLB: fetch packets that were translated.
    pub instruction_tlb: Lookups,
    /// The data TLB: loads, stores and atomics that were translated.
    pub data_tlb: Lookups,
    /// The TLB behind both, if the core has one.
    pub shared_tlb: Lookups,
    /// Walks.
    pub walks: u64,
    /// The cycles they took.
    pub walk_cycles: u64,
}

impl SpaceCounts {
    fn add(&mut self, other: &Self) {
        self.instruction_tlb.add(&other.instruction_tlb);
        self.data_tlb.add(&other.data_tlb);
        self.shared_tlb.add(&other.shared_tlb);
        self.walks += other.walks;
        self.walk_cycles += other.walk_cycles;
    }
}

/// PTEs that a walk reads at most, as far as they are told apart: more count as so many.
const REFERENCES_MAX: usize = 40;

/// Walks of the same stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalkCounts {
    /// How many there were.
    pub count: u64,
    /// Those that found no translation.
    pub failed: u64,
    /// The cycles they took, from the walker's first one to its last.
    pub cycles: u64,
    /// By how many PTEs they read through the data cache.
    by_references: [u64; REFERENCES_MAX + 1],
}

impl Default for WalkCounts {
    fn default() -> Self {
        Self { count: 0, failed: 0, cycles: 0, by_references: [0; REFERENCES_MAX + 1] }
    }
}

impl WalkCounts {
    /// Numbers of PTEs, and how many walks read so many, where there were any.
    pub fn by_references(&self) -> impl Iterator<Item = (usize, u64)> {
        self.by_references.iter().copied().enumerate().filter(|&(_, count)| count != 0)
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.cycles += other.cycles;
        for (sum, more) in self.by_references.iter_mut().zip(&other.by_references) {
            *sum += more;
        }
    }
}

impl Serialize for WalkCounts {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            count: u64,
            failed: u64,
            cycles: u64,
            by_references: std::collections::BTreeMap<usize, u64>,
        }
        let by_references = self.by_references().collect();
        let Self { count, failed, cycles, .. } = *self;
        Line { count, failed, cycles, by_references }.serialize(to)
    }
}

/// How long some kinds of instructions held up the one behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Held {
    /// Memory-management fences: from the issue of each until the next instruction is fetched.
    pub fences: u64,
    /// Walks that waited for what a fence has the walker do.
    pub walks_behind_fences: u64,
    /// What trapped: from its issue until it could commit, such as a walk that failed.
    pub raising: u64,
    /// Traps: from when what trapped would have committed to the issue of the handler's first instruction, were that there at once.
    pub traps: u64,
    /// MRET and SRET, until the next instruction is fetched.
    pub returns: u64,
}

impl Held {
    fn add(&mut self, other: &Self) {
        self.fences += other.fences;
        self.walks_behind_fences += other.walks_behind_fences;
        self.raising += other.raising;
        self.traps += other.traps;
        self.returns += other.returns;
    }
}

/// All counts of a core, or of several.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// The instruction cache: packets of the right path, and those that missed.
    pub instruction_cache: Lookups,
    /// The data cache: loads.
    pub data_cache_loads: Lookups,
    /// The data cache: stores and atomics, where they go there.
    pub data_cache_stores: Lookups,
    /// The data cache: PTEs that a walker read.
    pub data_cache_walks: Lookups,
    /// Changed lines that were written back.
    pub write_backs: u64,
    /// Jumps and branches, and those that went on elsewhere than was guessed.
    pub transfers: Lookups,
    /// PTEs of tables that the walker looked for among those it remembers.
    pub walker_tables: Lookups,
    walks: [WalkCounts; 4],
    /// Cycles that were waited.
    pub held: Held,
    spaces: Vec<SpaceCounts>,
}

impl Counts {
    /// Walks of these stages.
    pub fn walks(&self, stages: Stages) -> &WalkCounts {
        &self.walks[stages as usize]
    }

    /// Translation by address space, in the order of VMIDs, V=0 first.
    pub fn spaces(&self) -> &[SpaceCounts] {
        &self.spaces
    }

    /// Translation of all address spaces together.
    pub fn translation(&self) -> SpaceCounts {
        let mut sum = SpaceCounts::default();
        self.spaces.iter().for_each(|space| sum.add(space));
        sum
    }

    /// Adds what another core counted.
    pub fn add(&mut self, other: &Self) {
        let Self {
            instruction_cache,
            data_cache_loads,
            data_cache_stores,
            data_cache_walks,
            write_backs,
            transfers,
            walker_tables,
            walks,
            held,
            spaces,
        } = other;
        for (sum, more) in [
            (&mut self.instruction_cache, instruction_cache),
            (&mut self.data_cache_loads, data_cache_loads),
            (&mut self.data_cache_stores, data_cache_stores),
            (&mut self.data_cache_walks, data_cache_walks),
            (&mut self.transfers, transfers),
            (&mut self.walker_tables, walker_tables),
        ] {
            sum.add(more);
        }
        self.write_backs += write_backs;
        for (sum, more) in self.walks.iter_mut().zip(walks) {
            sum.add(more);
        }
        self.held.add(held);
        for space in spaces {
            self.space(space.vmid).add(space);
        }
    }

    /// The counts of an address space.
    fn space(&mut self, vmid: Option<u16>) -> &mut SpaceCounts {
        let at = match self.spaces.binary_search_by_key(&vmid, |space| space.vmid) {
            Ok(at) => at,
            Err(at) => {
                self.spaces.insert(at, SpaceCounts { vmid, ..SpaceCounts::default() });
                at
            }
        };
        &mut self.spaces[at]
    }
}

impl Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            instruction_cache: Lookups,
            data_cache_loads: Lookups,
            data_cache_stores: Lookups,
            data_cache_walks: Lookups,
            write_backs: u64,
            transfers: u64,
            mispredicted: u64,
            walker_tables: Lookups,
            walks: std::collections::BTreeMap<&'static str, &'a WalkCounts>,
            held_cycles: Held,
            translation: &'a [SpaceCounts],
        }
        Line {
            instruction_cache: self.instruction_cache,
            data_cache_loads: self.data_cache_loads,
            data_cache_stores: self.data_cache_stores,
            data_cache_walks: self.data_cache_walks,
            write_backs: self.write_backs,
            transfers: self.transfers.accesses,
            mispredicted: self.transfers.misses,
            walker_tables: self.walker_tables,
            walks: Stages::ALL.map(|stages| (stages.name(), self.walks(stages))).into(),
            held_cycles: self.held,
            translation: &self.spaces,
        }
        .serialize(to)
    }
}

/// What a core did so far in a few numbers, for those who look often: none of them ever falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Fetch packets.
    pub fetches: u64,
    /// Those that missed the instruction cache.
    pub fetch_misses: u64,
    /// Loads of memory.
    pub loads: u64,
    /// Those that missed the data cache.
    pub load_misses: u64,
    /// Loads, stores that go to the data cache, and PTEs that the walker read there.
    pub cache_accesses: u64,
    /// Those that missed it.
    pub cache_misses: u64,
    /// Jumps and branches.
    pub transfers: u64,
    /// Those that went on elsewhere than was guessed.
    pub mispredicted: u64,
    /// Fetch packets that were translated.
    pub itlb_accesses: u64,
    /// Those that missed the instruction TLB.
    pub itlb_misses: u64,
    /// Loads, stores and atomics that were translated.
    pub dtlb_accesses: u64,
    /// Those that missed the data TLB.
    pub dtlb_misses: u64,
    /// Walks.
    pub walks: u64,
    /// Those at V=1, of one stage or both.
    pub guest_walks: u64,
    /// PTEs that walks read through the data cache.
    pub walk_reads: u64,
    /// Cycles of walks that found a translation.
    pub walk_cycles: u64,
    /// Cycles of walks that found none.
    pub failed_walk_cycles: u64,
    /// See [`Held`].
    pub held: Held,
}

/// A [`Weight`] of a block in one word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packed(u64);

impl Packed {
    /// Bits of each number. A block counts for 65 at most.
    const BITS: u32 = 16;
    /// So many of them can be added up.
    const MAX: u32 = (1 << Self::BITS) / 65;

    pub(crate) fn new(weight: &Weight) -> Self {
        let numbers = [weight.packets, weight.loads, weight.stores, weight.transfers];
        Self(numbers.iter().rev().fold(0, |word, number| word << Self::BITS | number))
    }

    fn weight(self) -> Weight {
        let number = |place: u32| self.0 >> (place * Self::BITS) & ((1 << Self::BITS) - 1);
        Weight { packets: number(0), loads: number(1), stores: number(2), transfers: number(3) }
    }
}

/// Counts of a core at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    /// What was done last, by so many blocks, and does not stand in `earlier`.
    lately: Packed,
    blocks: u32,
    /// Those of its fields that are counted as they happen; accesses up to when blocks came to be translated as they are now.
    totals: Totals,
    /// What was done but lately.
    earlier: Weight,
    /// What had been done when blocks came to be translated under these.
    since: Weight,
    fetch: Context,
    data: Context,
    counts: Counts,
    /// Of what `done` counts as loads and stores, those that did not go to a cache.
    elsewhere: [u64; 2],
    /// Of them, those that are not blocks': counted with their own context.
    stepped: [u64; 2],
}

/// A TLB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Instruction,
    Data,
    Shared,
}

fn vmid_of(context: Context) -> Option<u16> {
    context.v.then_some(context.vmid)
}

impl Counting {
    /// A block was executed.
    #[inline(always)]
    pub(crate) fn ran(&mut self, weight: Packed) {
        self.lately.0 += weight.0;
        self.blocks += 1;
        if self.blocks == Packed::MAX {
            self.bring_up();
        }
    }

    /// A part of a block was executed.
    pub(crate) fn ran_partly(&mut self, weight: &Weight) {
        self.earlier.add(weight);
    }

    #[inline(never)]
    fn bring_up(&mut self) {
        self.earlier = self.done();
        (self.lately, self.blocks) = (Packed::default(), 0);
    }

    /// What was done.
    fn done(&self) -> Weight {
        let mut done = self.earlier;
        done.add(&self.lately.weight());
        done
    }

    /// What comes is translated under these.
    #[inline]
    pub(crate) fn select(&mut self, fetch: Context, data: Context) {
        if self.fetch != fetch || self.data != data {
            self.settle();
            (self.fetch, self.data) = (fetch, data);
        }
    }

    /// Gives what was done since to the address spaces in which it was done.
    fn settle(&mut self) {
        self.bring_up();
        let Weight { packets, loads, stores, .. } = self.earlier.since(&self.since);
        self.since = self.earlier;
        let own = std::mem::take(&mut self.stepped);
        if self.fetch.translates() && packets != 0 {
            self.counts.space(vmid_of(self.fetch)).instruction_tlb.accesses += packets;
            self.totals.itlb_accesses += packets;
        }
        let accesses = loads + stores - own[0] - own[1];
        if self.data.translates() && accesses != 0 {
            self.counts.space(vmid_of(self.data)).data_tlb.accesses += accesses;
            self.totals.dtlb_accesses += accesses;
        }
    }

    /// An instruction goes by itself, fetched under `fetch`; its access, if any, is translated under another context, and goes to
    /// the cache or not.
    pub(crate) fn stepped(
        &mut self,
        (item, resumes): (&Item, bool),
        fetch: Context,
        access: Option<Context>,
        cached: bool,
    ) {
        if self.fetch != fetch {
            self.select(fetch, fetch);
        }
        let weight = Weight::of(item, resumes);
        self.earlier.add(&weight);
        let kinds = [weight.loads, weight.stores];
        for (kind, count) in kinds.into_iter().enumerate() {
            self.stepped[kind] += count;
            self.elsewhere[kind] += if cached { 0 } else { count };
        }
        if let Some(context) = access.filter(|context| context.translates()) {
            self.counts.space(vmid_of(context)).data_tlb.accesses += weight.loads + weight.stores;
            self.totals.dtlb_accesses += weight.loads + weight.stores;
        }
    }

    /// A first TLB has no translation.
    pub(crate) fn tlb_missed(&mut self, place: Place, context: Context) {
        let space = self.counts.space(vmid_of(context));
        match place {
            Place::Instruction => {
                space.instruction_tlb.misses += 1;
                self.totals.itlb_misses += 1;
            }
            Place::Data => {
                space.data_tlb.misses += 1;
                self.totals.dtlb_misses += 1;
            }
            Place::Shared => space.shared_tlb.one(true),
        }
    }

    /// The shared TLB has one.
    pub(crate) fn shared_hit(&mut self, context: Context) {
        self.counts.space(vmid_of(context)).shared_tlb.one(false);
    }

    /// A walk was made.
    pub(crate) fn walked(
        &mut self,
        context: Context,
        references: usize,
        failed: bool,
        cycles: u32,
    ) {
        let space = self.counts.space(vmid_of(context));
        space.walks += 1;
        space.walk_cycles += u64::from(cycles);
        let totals = &mut self.totals;
        totals.walks += 1;
        totals.guest_walks += u64::from(context.v);
        totals.walk_reads += references as u64;
        let sum = if failed { &mut totals.failed_walk_cycles } else { &mut totals.walk_cycles };
        *sum += u64::from(cycles);
        let walks = &mut self.counts.walks[Stages::of(context) as usize];
        walks.count += 1;
        walks.failed += u64::from(failed);
        walks.cycles += u64::from(cycles);
        walks.by_references[references.min(REFERENCES_MAX)] += 1;
    }

    /// The walker looked for a table among those it remembers.
    pub(crate) fn table(&mut self, known: bool) {
        self.counts.walker_tables.one(!known);
    }

    /// The walker read a PTE.
    pub(crate) fn pte_read(&mut self, hit: bool) {
        self.counts.data_cache_walks.one(!hit);
    }

    /// A packet is not in the instruction cache.
    #[inline]
    pub(crate) fn fetch_missed(&mut self) {
        self.counts.instruction_cache.misses += 1;
    }

    /// What a load, or a store that goes to the cache, missed there and wrote back.
    #[inline]
    pub(crate) fn data_missed(&mut self, store: bool, written: bool) {
        let cache = if store {
            &mut self.counts.data_cache_stores
        } else {
            &mut self.counts.data_cache_loads
        };
        cache.misses += 1;
        self.counts.write_backs += u64::from(written);
    }

    /// A transfer went on elsewhere than was guessed.
    #[inline]
    pub(crate) fn mispredicted(&mut self) {
        self.counts.transfers.misses += 1;
    }

    /// The totals so far; stores count as accesses of the data cache where they go there.
    pub(crate) fn totals(&self, held: Held, stores_cached: bool) -> Totals {
        let Self { totals, since, fetch, data, counts, elsewhere, stepped, .. } = self;
        let done = self.done();
        let running = done.since(since);
        let of = |translates, count| if translates { count } else { 0 };
        let accesses = running.loads + running.stores - stepped[0] - stepped[1];
        let loads = done.loads - elsewhere[0];
        let stores = if stores_cached { done.stores - elsewhere[1] } else { 0 };
        let (load, store, walk) =
            (counts.data_cache_loads, counts.data_cache_stores, counts.data_cache_walks);
        Totals {
            fetches: done.packets,
            fetch_misses: counts.instruction_cache.misses,
            loads,
            load_misses: load.misses,
            cache_accesses: loads + stores + walk.accesses,
            cache_misses: load.misses + store.misses + walk.misses,
            transfers: done.transfers,
            mispredicted: counts.transfers.misses,
            itlb_accesses: totals.itlb_accesses + of(fetch.translates(), running.packets),
            dtlb_accesses: totals.dtlb_accesses + of(data.translates(), accesses),
            held,
            ..*totals
        }
    }

    /// All counts so far; stores count as accesses of the data cache where they go there.
    pub(crate) fn counts(&self, held: Held, stores_cached: bool) -> Counts {
        let mut now = self.clone();
        now.settle();
        let Self { earlier: done, elsewhere, mut counts, .. } = now;
        counts.instruction_cache.accesses = done.packets;
        counts.data_cache_loads.accesses = done.loads - elsewhere[0];
        if stores_cached {
            counts.data_cache_stores.accesses = done.stores - elsewhere[1];
        }
        counts.transfers.accesses = done.transfers;
        counts.held = held;
        counts
    }
}
