//! Caches, TLBs and predictors at work: from the addresses of an instruction to its [`Outcome`].
//!
//! None of it knows time, so it may run ahead of the pipeline. What is frequent is found by [filters](crate::filter) in front of the
//! tables.

mod ahead;
mod data;
mod shared;
mod translate;

use self::ahead::Path;
use crate::block::{Block, Run, Touch};
use crate::cache::Cache;
use crate::counts::{Counting, Weight};
use crate::filter::{Filter, NONE, Pages};
use crate::float::spared;
use crate::integer::operand;
use crate::item::{Item, Operands};
use crate::outcome::{Data, Fetched, Followed, Outcome};
use crate::outer::{Port, Want};
use crate::params::Core;
use crate::predictor::{Last, Predictor, Transfer};
use crate::step::{Place, Step, Walker};
use crate::tlb::{Context, Flush, SharedTlb, Tlb};
use crate::tree::PseudoLru;
use crate::work::{Flow, Unit};
use std::sync::Arc;

/// Cycles to walk on over a table that the walker remembers.
const REMEMBERED: u32 = 1;
/// Paths that are known to be there.
const PATHS: usize = 1024;
/// Contexts that have a number at a time.
const CONTEXTS: usize = 62;

/// Everything that holds addresses.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    core: Arc<Core>,
    /// What is done, counted.
    pub(crate) counting: Counting,
    /// Cycles of a walk beside its reads, and of a read that hits and that misses.
    walk: u32,
    read: u32,
    read_miss: u32,
    predictor: Predictor,
    icache: Cache,
    dcache: Cache,
    itlb: Pages,
    /// In front of the data cache and the data TLB.
    pub(crate) filter: Box<Filter>,
    shared: Option<SharedTlb>,
    /// PTE addresses that the walker remembers.
    tables: Vec<u64>,
    tables_tree: PseudoLru,
    /// The line and the page of the last fetch.
    fetch_line: u64,
    fetch_page: u64,
    /// Wrong paths, by where they begin. Of code that cannot change unheard.
    paths: Box<[Path; PATHS]>,
    /// Contexts by number, which marks addresses.
    contexts: Vec<Context>,
    /// What blocks are translated under, with marks; the data's where there was an access.
    fetches: (Context, u64),
    accesses: (Context, Option<u64>),
    /// The cycle of the last issue.
    pub(crate) now: u64,
    /// Whether the last jump was before that, and when; whether lines may have gone from an inclusive cache since.
    going: bool,
    stale: bool,
    base: u64,
    /// The way to what is shared with other harts.
    port: Option<Port>,
}

impl Hierarchy {
    /// Empty tables.
    pub(crate) fn new(core: &Arc<Core>, latency: u64) -> Self {
        Self {
            counting: Counting::default(),
            walk: cycles(core.translation.walk),
            read: cycles(core.translation.read),
            read_miss: cycles(core.translation.read_miss + latency),
            predictor: Predictor::new(core.predictor),
            icache: Cache::new(core.icache),
            dcache: Cache::new(core.dcache),
            itlb: Pages::new(Tlb::new(core.translation.instruction)),
            filter: Box::new(Filter::new(core)),
            shared: core.translation.shared.map(SharedTlb::new),
            tables: vec![NONE; core.translation.tables],
            tables_tree: PseudoLru::new(core.translation.tables.max(1)),
            fetch_line: NONE,
            fetch_page: NONE,
            paths: Box::new([Path::NONE; PATHS]),
            contexts: Vec::new(),
            fetches: (Context::default(), 0),
            accesses: (Context::default(), None),
            now: 0,
            going: false,
            stale: false,
            base: 0,
            port: None,
            core: Arc::clone(core),
        }
    }

    /// What marks addresses under a context: they are combined with the bits that say nothing of an address.
    fn mark(&mut self, context: Context) -> u64 {
        let known = self.contexts.iter().position(|&known| known == context);
        let number = known.unwrap_or_else(|| {
            if self.contexts.len() == CONTEXTS {
                self.contexts.clear();
                self.filter.forget();
                self.filter.forget_words();
                self.itlb.forget();
                self.fetch_page = NONE;
            }
            self.contexts.push(context);
            self.contexts.len() - 1
        });
        (number as u64 + 1) << 58
    }

    /// From now on blocks are translated under these.
    pub(crate) fn select(&mut self, fetch: Context, data: Context) {
        let mark = self.mark(fetch);
        self.fetches = (fetch, mark);
        self.accesses = (data, (data == fetch).then_some(mark));
        self.counting.select(fetch, data);
        self.open();
    }

    /// From now on what is frequent of a block is not noted, if it is known what marks its addresses.
    fn open(&mut self) {
        match self.accesses {
            (data, Some(mark)) => self.filter.open(mark, data.translates()),
            (_, None) => self.filter.close(),
        }
    }

    /// A block at `pc` is about to be executed.
    #[inline]
    pub(crate) fn enter(&mut self, pc: u64) {
        let page = (pc ^ self.fetches.1) >> 12;
        if self.fetch_page != page {
            self.enter_page(page);
        }
    }

    /// The page is another one. If it takes a walk, which reads PTEs before the block makes its accesses, everything of that is noted.
    fn enter_page(&mut self, page: u64) {
        if !self.fetches.0.translates() || self.itlb.knows(page) {
            self.fetch_page = page;
        } else {
            self.filter.close();
        }
    }

    /// Out of how many of the last stores a load and a store have to look for theirs.
    #[inline]
    pub(crate) fn set_windows(&mut self, loads: u64, stores: u64) {
        self.filter.set_windows(loads, stores);
    }

    /// Whether the queue of packets was nearly empty when that of the last transfer came.
    #[inline]
    pub(crate) fn decoded(&mut self, hungry: bool) {
        self.predictor.settle(hungry);
    }

    /// An instruction's outcome; `resumes` if it is fetched with all of its packet.
    pub(crate) fn outcome(
        &mut self,
        step: &Step<'_>,
        resumes: bool,
        walker: &mut dyn Walker,
    ) -> Outcome {
        let context = step.context;
        let access = step.access.map(|access| access.context);
        let cached = self.goes_to_cache(step);
        self.counting.stepped((step.item, resumes), context, access, cached);
        let mark = self.mark(context);
        self.go_on();
        let outcome = self.outcome_of(step, (context, mark), resumes, walker);
        if !self.wants() {
            return outcome;
        }
        let mut settled = [(0, outcome)];
        self.settle(&mut settled);
        settled[0].1
    }

    /// The same, but for what the caches did not have.
    fn outcome_of(
        &mut self,
        step: &Step<'_>,
        (context, mark): (Context, u64),
        resumes: bool,
        walker: &mut dyn Walker,
    ) -> Outcome {
        let &Step { item, pc, pa, .. } = step;
        self.want(0, Want::Fetch(0));
        let mut outcome = self.fetches(item, (pc, pa), (context, mark), resumes, walker);
        outcome.operand = self.operand(item, step.operands);
        if item.refetches {
            outcome.ahead = self.ahead(pc.wrapping_add(item.len.into()), 1, walker);
        }
        match item.work.unit {
            Unit::Load | Unit::LoadNarrow | Unit::Store => {}
            Unit::Amo | Unit::LoadReserved | Unit::StoreConditional => {}
            Unit::FenceI => {
                self.icache.clear();
                self.fetch_line = NONE;
                return outcome;
            }
            Unit::TrapReturn => {
                self.predictor.trapped();
                return outcome;
            }
            _ => return outcome,
        }
        let Some(access) = step.access else {
            outcome.data = Data::Unknown;
            return outcome;
        };
        self.want(0, Want::Data);
        let mark = self.mark(access.context);
        outcome.walk = self.translate(access.va, (access.context, mark), walker);
        let marked = access.va ^ mark;
        let Place::Memory(pa) = access.place else {
            outcome.data = if access.place == Place::Device { Data::Device } else { Data::Nowhere };
            return outcome;
        };
        match item.work.unit {
            Unit::Load | Unit::LoadNarrow => {
                outcome.behind = self.filter.behind_load(marked, item.work.bytes);
                outcome.data = self.load_data(marked, pa);
                if outcome.data != Data::Hit {
                    outcome.beside = self.filter.beside(marked);
                }
            }
            Unit::Store => {
                (outcome.behind, outcome.bytes) = self.filter.behind_store(marked, item.work.bytes);
                outcome.data = self.store_data(marked, pa);
            }
            unit if !self.core.atomic.in_memory => {
                let bytes = item.work.bytes;
                if unit != Unit::StoreConditional {
                    outcome.behind = self.filter.behind_load(marked, bytes);
                }
                if unit != Unit::LoadReserved {
                    self.filter.behind_store(marked, bytes);
                }
                outcome.data = match unit {
                    Unit::LoadReserved => self.load_data(marked, pa),
                    _ => self.store_data(marked, pa),
                };
            }
            _ => self.lose_set(pa),
        }
        outcome
    }

    /// Whether the access of an instruction, if it makes one, goes to the data cache.
    fn goes_to_cache(&self, step: &Step<'_>) -> bool {
        let atomic =
            matches!(step.item.work.unit, Unit::Amo | Unit::LoadReserved | Unit::StoreConditional);
        let in_memory = step.access.is_some_and(|access| matches!(access.place, Place::Memory(_)));
        in_memory && !(atomic && self.core.atomic.in_memory)
    }

    /// Runs ahead over a block that was executed: what was not the frequent case goes to `unusual`, in order.
    pub(crate) fn run(
        &mut self,
        block: &Block,
        run: Run,
        resumes: bool,
        walker: &mut dyn Walker,
        unusual: &mut Vec<(u8, Outcome)>,
    ) -> Followed {
        unusual.clear();
        let (fetch, fetch_mark) = self.fetches;
        let all = run.done == block.items.len();
        if all {
            self.counting.ran(block.weights[usize::from(resumes)]);
        } else {
            self.counting.ran_partly(&Weight::of_all(block.done(&run), resumes));
        }
        if self.fetch_page != (run.pc ^ fetch_mark) >> 12 || !all || !self.has_lines(block) {
            self.run_fetches(block, run, (fetch, fetch_mark), resumes, walker, unusual);
        }
        self.take_met(unusual);
        self.run_noted(block, walker, unusual);
        if !unusual.is_empty() {
            unusual.sort_by_key(|&(number, _)| number);
            if self.wants() {
                self.settle(unusual);
            }
        }
        if !all {
            self.go_on();
            return Followed::Straight;
        }
        match self.foresees(block, (run.pc, run.next)) {
            Some(followed) => followed,
            None => self.follow_block(block, run, walker, unusual),
        }
    }

    /// Adds what became of accesses that met stores.
    fn take_met(&mut self, unusual: &mut Vec<(u8, Outcome)>) {
        for (number, outcome) in self.filter.met.drain(..) {
            note(unusual, number, outcome);
        }
    }

    /// Works through what was noted of a block.
    fn run_noted(
        &mut self,
        block: &Block,
        walker: &mut dyn Walker,
        unusual: &mut Vec<(u8, Outcome)>,
    ) {
        let (first, count) = self.filter.noted();
        if count == 0 {
            self.open();
            return;
        }
        let (data, mark) = match self.accesses {
            (data, Some(mark)) => (data, mark),
            (data, None) => {
                let mark = self.mark(data);
                self.accesses.1 = Some(mark);
                (data, mark)
            }
        };
        self.filter.open(mark, data.translates());
        let mut place = 0;
        for &touch in block.touches.iter().skip(first) {
            if place == count {
                break;
            }
            let va = self.filter.number(place);
            let marked = va ^ mark;
            place += 1;
            match touch {
                Touch::Load(number, bytes) => {
                    self.want(number, Want::Data);
                    let walk = self.translate(va, (data, mark), walker);
                    let behind = self.filter.behind_load(marked, bytes);
                    let data = if self.filter.knows_line(marked) {
                        Data::Hit
                    } else {
                        self.load_data(marked, walker.locate(va))
                    };
                    let beside = if data == Data::Hit { 0 } else { self.filter.beside(marked) };
                    let outcome = Outcome { walk, behind, beside, data, ..Outcome::default() };
                    note(unusual, number, outcome);
                }
                Touch::Store(number, bytes) => {
                    self.want(number, Want::Data);
                    let walk = self.translate(va, (data, mark), walker);
                    let (behind, bytes) = self.filter.behind_store(marked, bytes);
                    let data = if self.filter.takes_store(marked) {
                        Data::Hit
                    } else {
                        self.store_data(marked, walker.locate(va))
                    };
                    let outcome = Outcome { walk, behind, bytes, data, ..Outcome::default() };
                    note(unusual, number, outcome);
                }
                Touch::Operands(number) => {
                    let second = self.filter.number(place);
                    place += 1;
                    let Some(item) = block.items.get(usize::from(number)) else { break };
                    let operand = self.operand(item, [va, second]);
                    note(unusual, number, Outcome { operand, ..Outcome::default() });
                }
            }
        }
    }

    /// How a block is followed that was executed to its end, if it was foreseen without more. Else nothing changes.
    #[inline(always)]
    pub(crate) fn foresees(&mut self, block: &Block, (pc, next): (u64, u64)) -> Option<Followed> {
        if block.end == Last::Other {
            self.go_on();
            return Some(Followed::Straight);
        }
        let followed = self.predictor.foresees(&block.end, pc, next)?;
        self.jumped();
        Some(followed)
    }

    /// A block was executed to its end, nothing of which had to be noted, and which was not foreseen.
    pub(crate) fn follow_block(
        &mut self,
        block: &Block,
        run: Run,
        walker: &mut dyn Walker,
        unusual: &mut Vec<(u8, Outcome)>,
    ) -> Followed {
        let Some(transfer) = block.transfer(run.pc) else {
            self.go_on();
            return Followed::Straight;
        };
        let (followed, path) = self.guess(&transfer, run.next);
        let ahead = match path {
            Some((va, first)) => self.ahead_of_block(va, first, walker),
            None => 0,
        };
        if ahead != 0 {
            let last = block.items.len().saturating_sub(1) as u8;
            note(unusual, last, Outcome { ahead, ..Outcome::default() });
        }
        followed
    }

    /// The rows of [`Hierarchy::run`] that fetching leaves.
    #[cold]
    fn run_fetches(
        &mut self,
        block: &Block,
        run: Run,
        context: (Context, u64),
        resumes: bool,
        walker: &mut dyn Walker,
        unusual: &mut Vec<(u8, Outcome)>,
    ) {
        let (mut pc, mut pa, mut resumes) = (run.pc, block.pa, resumes);
        for (number, item) in block.done(&run).iter().enumerate() {
            self.want(number as u8, Want::Fetch(0));
            let outcome = self.fetches(item, (pc, pa), context, resumes, walker);
            if outcome != Outcome::default() {
                unusual.push((number as u8, outcome));
            }
            resumes = false;
            pc = pc.wrapping_add(item.len.into());
            pa = pa.wrapping_add(item.len.into());
        }
    }

    /// Whether all lines of a block are in the instruction cache, where being used changes nothing there.
    #[inline(always)]
    pub(crate) fn has_lines(&mut self, block: &Block) -> bool {
        if block.fresh.get() != self.icache.age() && !self.finds_lines(block) {
            return false;
        }
        self.fetch_line = block.last_line;
        true
    }

    #[inline(never)]
    fn finds_lines(&self, block: &Block) -> bool {
        let all = self.core.icache.is_random()
            && (block.first_line..=block.last_line).all(|line| self.icache.has(line));
        if all {
            block.fresh.set(self.icache.age());
        }
        all
    }

    /// The control transfer at the end of an instruction, and [`Outcome::ahead`] of it.
    pub(crate) fn follow(
        &mut self,
        transfer: &Transfer,
        next: u64,
        walker: &mut dyn Walker,
    ) -> (Followed, u8) {
        let (followed, path) = self.guess(transfer, next);
        (followed, path.map_or(0, |(va, first)| self.ahead(va, first, walker)))
    }

    /// The control transfer at the end of an instruction or block, and where the wrong path goes that the front-end was on.
    #[inline]
    fn guess(&mut self, transfer: &Transfer, next: u64) -> (Followed, Option<(u64, u64)>) {
        let after = transfer.pc.wrapping_add(transfer.len);
        let taken = transfer.flow != Flow::Branch || next != after;
        self.jumped();
        let guess = self.predictor.follow(transfer, next, taken);
        if guess.next != next {
            self.counting.mispredicted();
            // Without a guess it goes straight on.
            let straight = guess.next == after || guess.next == !next;
            let path = match straight {
                true => Some((after, 1)),
                false => ((guess.next ^ transfer.pc) >> 12 == 0).then_some((guess.next, 0)),
            };
            return (Followed::Wrong, path);
        }
        let followed = match (taken, guess.early) {
            (false, _) => Followed::Straight,
            (true, true) => Followed::Early,
            (true, false) => Followed::Late,
        };
        (followed, None)
    }

    /// A trap.
    pub(crate) fn trapped(&mut self) {
        self.predictor.trapped();
        self.jumped();
    }

    /// A memory-management fence removes translations.
    pub(crate) fn flush(&mut self, flush: Flush) {
        let flush = flush.within(self.core.architecture.asid_bits.unwrap_or(16));
        let translation = &self.core.translation;
        let flush = if translation.guest_fences { flush } else { flush.without_gpa() };
        if let Some(shared) = &mut self.shared {
            shared.flush(flush);
        }
        let first = if translation.precise_fences { flush } else { flush.widened() };
        self.itlb.flush(first);
        self.filter.tlb.flush(first);
        if !flush.names_address() {
            self.tables.fill(NONE);
        }
        self.fetch_page = NONE;
        self.filter.forget();
    }

    /// Fetches the packets that an instruction needs.
    fn fetches(
        &mut self,
        item: &Item,
        (pc, pa): (u64, u64),
        context: (Context, u64),
        resumes: bool,
        walker: &mut dyn Walker,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if item.enters && resumes {
            let back = pc & (self.core.fetch.bytes - 1);
            let packet = (pc - back, pa.wrapping_sub(back));
            outcome.fetch[0] = self.packet(packet, context, walker);
        }
        if let Some(begins) = item.begins {
            if let Some(port) = &mut self.port {
                port.want = Want::Fetch(1);
            }
            let begins = u64::from(begins);
            let packet = (pc.wrapping_add(begins), pa.wrapping_add(begins));
            outcome.fetch[1] = self.packet(packet, context, walker);
        }
        outcome
    }

    /// What fetching an instruction costs where it traps: the walk that fails, if the TLB does not know better.
    pub(crate) fn failed_fetch(
        &mut self,
        item: &Item,
        pc: u64,
        context: Context,
        walker: &mut dyn Walker,
    ) -> Outcome {
        self.fetch_page = NONE;
        let mark = self.mark(context);
        let mut outcome = Outcome::default();
        outcome.fetch[usize::from(item.begins.is_some())].walk =
            self.translate_fetch(pc, (context, mark), walker);
        outcome
    }

    fn packet(
        &mut self,
        (va, pa): (u64, u64),
        (context, mark): (Context, u64),
        walker: &mut dyn Walker,
    ) -> Fetched {
        let mut fetched = Fetched::default();
        let page = (va ^ mark) >> 12;
        if self.fetch_page != page {
            self.fetch_page = page;
            fetched.walk = self.translate_fetch(va, (context, mark), walker);
        }
        let line = self.icache.line_of(pa);
        if line != self.fetch_line {
            self.fetch_line = line;
            fetched.miss = !self.icache.access(pa, false).hit;
            if fetched.miss {
                self.ask(pa, false, None);
                self.counting.fetch_missed();
            }
        }
        fetched
    }

    /// What the operands of an instruction make of its time.
    fn operand(&self, item: &Item, operands: [u64; 2]) -> u16 {
        let integer = &self.core.integer;
        match (item.operands, item.work.unit) {
            (Operands::None, _) => 0,
            (_, unit @ (Unit::FpDivide { .. } | Unit::FpRoot { .. })) => {
                let cycles = spared(&self.core.float, unit, operands);
                u16::try_from(cycles).unwrap_or(u16::MAX)
            }
            (_, unit) => operand(integer.divider, integer.multiplier, unit, operands),
        }
    }
}

/// Cycles as they stand in an [`Outcome`]; a walk of both stages has 40 reads at most.
fn cycles(cycles: u64) -> u32 {
    cycles.min(1 << 24) as u32
}

/// Puts an outcome with what is known of the instruction already.
fn note(unusual: &mut Vec<(u8, Outcome)>, number: u8, outcome: Outcome) {
    if outcome == Outcome::default() {
        return;
    }
    if unusual.is_empty() {
        unusual.push((number, outcome));
        return;
    }
    match unusual.iter_mut().find(|(known, _)| *known == number) {
        Some((_, known)) => *known = Outcome { fetch: known.fetch, ..outcome },
        None => unusual.push((number, outcome)),
    }
}
