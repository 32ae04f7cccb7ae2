//! A core at work: the [hierarchy](crate::hierarchy) says what becomes of instructions, the [pipeline](crate::pipeline) how long
//! that takes.
//!
//! An instruction is told before it executes ([`Model::issue`]) and after ([`Model::retire`] or [`Model::trap`]), or a block
//! after it executed ([`Model::run`]). Both come to the same, to the cycle: a block is instructions whose time is looked up where the
//! pipeline was in the same state before.

use crate::block::{Block, Run};
use crate::counts::{Counts, Totals};
use crate::filter::{Filter, REACH};
use crate::hierarchy::Hierarchy;
use crate::item::Item;
use crate::memo::{self, Edge, Key, Memo, Print};
use crate::outcome::{Followed, Outcome};
use crate::outer::Outer;
use crate::params::{CYCLES_MAX, Core};
use crate::pipeline::{BEGIN, Pipeline, Trap};
use crate::predictor::Transfer;
use crate::step::{Step, Walker};
use crate::tlb::{Context, Flush};
use isa::Insn;
use std::sync::Arc;

/// An instruction of which was looked up how long it takes.
#[derive(Clone, Debug)]
struct Single {
    item: Item,
    outcome: Outcome,
    /// The state before it, and the cycle of the last issue then.
    entry: u32,
    issued: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Model {
    core: Arc<Core>,
    hierarchy: Hierarchy,
    pipeline: Pipeline,
    memo: Memo,
    remembers: bool,
    /// The cycle of the last issue.
    issued: u64,
    /// The number of the state that the pipeline is in, where that is known.
    at: Option<u32>,
    /// There the next instruction is fetched with all of its packet.
    resumes: bool,
    /// `pipeline` shows that state; else it is out of date.
    shown: bool,
    /// The transition that led here.
    last: u32,
    unusual: Vec<(u8, Outcome)>,
    transfer: Option<Transfer>,
    /// The last instruction, if it was looked up and may still trap.
    single: Option<Single>,
    blocks: u32,
    /// Before this cycle, a walk may wait for what a fence has the walker do.
    fence_ends: u64,
}

impl Model {
    /// A core out of reset, on a memory of its own latency or of another one.
    pub fn new(core: &Core, memory_latency: Option<u64>) -> Self {
        let latency = memory_latency.unwrap_or(core.memory.latency).min(CYCLES_MAX);
        // What lies next to the first caches.
        let latency = core.l2.map_or(latency, |l2| l2.latency);
        let core = Arc::new(core.clone());
        Self {
            hierarchy: Hierarchy::new(&core, latency),
            pipeline: Pipeline::new(&core, latency),
            memo: Memo::default(),
            remembers: true,
            issued: BEGIN,
            at: None,
            resumes: true,
            shown: true,
            last: memo::NONE,
            unusual: Vec::new(),
            transfer: None,
            single: None,
            blocks: 0,
            fence_ends: 0,
            core,
        }
    }

    /// The same, where what its first caches do not have comes from `outer`, as [`Core::outer`] makes it once for all harts.
    pub fn sharing(core: &Core, memory_latency: Option<u64>, outer: Option<&Outer>) -> Self {
        let mut model = Self::new(core, memory_latency);
        if let Some(outer) = outer {
            model.hierarchy.share(outer.clone());
        }
        model
    }

    /// From now on the pipeline works everything out, as if it had seen nothing before: the cycles are the same.
    pub fn forget(&mut self) {
        self.show();
        self.at = None;
        self.memo.clear();
        self.remembers = false;
    }

    /// The cycle of the last issue.
    #[inline]
    pub fn now(&self) -> u64 {
        self.issued - BEGIN
    }

    /// Prepares an instruction that lies at an address with these low bits.
    pub fn item(&self, insn: &Insn, address: u64) -> Item {
        Item::new(&self.core, insn, address)
    }

    /// Prepares a block of instructions at `pa`: all in one page, [`Block::MAX`] at most, no jump but the last, and nothing but
    /// arithmetic, loads and stores of memory.
    pub fn block(&mut self, pa: u64, insns: &[Insn]) -> Block {
        self.blocks = self.blocks.wrapping_add(1);
        Block::new(&self.core, self.blocks, pa, insns)
    }

    /// The core waited, or a model was attached late: nothing happened before `cycle`.
    #[inline]
    pub fn skip_to(&mut self, cycle: u64) {
        if cycle > self.now() {
            self.show();
            self.at = None;
            self.pipeline.skip_to(cycle + BEGIN);
            self.hierarchy.jumped();
            self.issued = self.pipeline.issued;
        }
    }

    /// The core executes for so many cycles what it is not told of, between two instructions that it is.
    pub fn work(&mut self, cycles: u64) {
        self.show();
        self.at = None;
        self.pipeline.work(cycles.min(CYCLES_MAX));
        self.issued = self.pipeline.issued;
    }

    /// An instruction issues.
    pub fn issue(&mut self, step: &Step<'_>, walker: &mut dyn Walker) {
        self.single = None;
        if self.remembers && step.item.is_looked_up() && self.issued >= self.fence_ends {
            if self.at.is_none() {
                self.find_state();
            }
            if let Some(entry) = self.at {
                self.look_up(entry, step, walker);
                return;
            }
        }
        self.show();
        self.at = None;
        self.hierarchy.set_windows(REACH, REACH);
        self.hierarchy.now = self.issued;
        let outcome = self.hierarchy.outcome(step, self.pipeline.resumes(), walker);
        self.pipeline.issue(step.item, &outcome);
        self.issued = self.pipeline.issued;
        self.fence_ends = self.pipeline.fence_ends;
        self.transfer = step.item.transfer(step.pc);
    }

    /// The same from a state that has a number, as for a block of it alone.
    fn look_up(&mut self, entry: u32, step: &Step<'_>, walker: &mut dyn Walker) {
        self.hierarchy.now = self.issued;
        let outcome = self.hierarchy.outcome(step, self.resumes, walker);
        self.transfer = None;
        self.single = Some(Single { item: *step.item, outcome, entry, issued: self.issued });
        let (block, unusual) = (memo::SINGLE, Print::of_single(step.item, &outcome));
        let key = Key { entry, block, followed: Followed::Straight, unusual };
        let known = match self.memo.follow(self.last, block, (key.followed, unusual)) {
            Some(known) => Some(known),
            None => self.memo.find(self.last, &key),
        };
        if let Some((number, transition)) = known {
            let (cycles, exit) = (u64::from(transition.cycles), transition.exit);
            self.pass((number, cycles), exit);
            return;
        }
        self.show();
        self.pipeline.issue(step.item, &outcome);
        self.keep(&key);
    }

    /// It retired, and execution goes on at `next`.
    pub fn retire(&mut self, next: u64, walker: &mut dyn Walker) {
        self.single = None;
        if let Some(transfer) = self.transfer.take() {
            let (followed, ahead) = self.hierarchy.follow(&transfer, next, walker);
            self.pipeline.follow(followed, ahead);
            self.hierarchy.decoded(self.pipeline.was_hungry());
        }
    }

    /// It did not retire but trapped, or an interrupt came before the next one.
    pub fn trap(&mut self, trap: Trap) {
        self.show_single();
        self.at = None;
        self.transfer = None;
        self.hierarchy.trapped();
        self.pipeline.trap(trap);
        self.issued = self.pipeline.issued;
    }

    /// An instruction at `pc` could not be fetched under this context, which traps; `item` stands for it.
    pub fn fail_to_fetch(
        &mut self,
        item: &Item,
        pc: u64,
        context: Context,
        walker: &mut dyn Walker,
    ) {
        self.single = None;
        self.show();
        self.at = None;
        self.transfer = None;
        let outcome = self.hierarchy.failed_fetch(item, pc, context, walker);
        self.pipeline.issue(item, &outcome);
        self.fence_ends = self.pipeline.fence_ends;
        self.hierarchy.trapped();
        self.pipeline.trap_at_fetch(outcome.fetch[0].walk.max(outcome.fetch[1].walk));
        self.issued = self.pipeline.issued;
    }

    /// A memory-management fence removes translations; what it costs its instruction is known already.
    pub fn flush(&mut self, flush: Flush) {
        self.hierarchy.flush(flush);
    }

    /// Code that blocks were made of was written.
    pub fn forget_code(&mut self) {
        self.hierarchy.forget_code();
    }

    /// From now on the instructions of blocks, and their loads and stores, are translated under these.
    pub fn select(&mut self, fetch: Context, data: Context) {
        self.hierarchy.select(fetch, data);
    }

    /// A block at `pc` is about to be executed: what its loads and stores look at meanwhile.
    #[inline(always)]
    pub fn enter(&mut self, pc: u64) -> &mut Filter {
        if self.at.is_none() || self.issued < self.fence_ends {
            self.enter_slowly();
        }
        self.hierarchy.enter(pc);
        &mut self.hierarchy.filter
    }

    /// Unless it is known in what state the pipeline is, and that no walk of the block can wait for a fence, everything is noted.
    #[cold]
    fn enter_slowly(&mut self) {
        if self.at.is_none() {
            self.find_state();
        }
        if self.at.is_none() || self.issued < self.fence_ends {
            self.hierarchy.filter.close();
        }
    }

    /// A block was executed since [`Model::enter`]; `walker` makes a walker, where one is needed.
    #[inline(always)]
    pub fn run<W: Walker>(&mut self, block: &Block, run: Run, walker: impl FnOnce() -> W) {
        let hierarchy = &mut self.hierarchy;
        let usual = !hierarchy.filter.is_closed()
            && run.done == usize::from(block.count)
            && hierarchy.has_lines(block);
        if !usual {
            self.run_unusual(block, run, &mut walker());
            return;
        }
        hierarchy.now = self.issued;
        hierarchy.counting.ran(block.weights[usize::from(self.resumes)]);
        let Some(followed) = hierarchy.foresees(block, (run.pc, run.next)) else {
            self.run_followed(block, run, &mut walker());
            return;
        };
        if hierarchy.filter.met.is_empty()
            && let Some((number, transition)) =
                self.memo.follow(self.last, block.number, (followed, Print::default()))
        {
            let (cycles, exit) = (u64::from(transition.cycles), transition.exit);
            self.pass((number, cycles), exit);
            return;
        }
        self.time_met(block, followed);
    }

    /// A block of which nothing is unusual but stores that were met.
    #[inline(never)]
    fn time_met(&mut self, block: &Block, followed: Followed) {
        self.take_met();
        self.time(block, followed);
    }

    fn take_met(&mut self) {
        self.unusual.clear();
        std::mem::swap(&mut self.unusual, &mut self.hierarchy.filter.met);
    }

    /// The same of one that was not foreseen to be followed as it was.
    #[inline(never)]
    fn run_followed(&mut self, block: &Block, run: Run, walker: &mut dyn Walker) {
        self.take_met();
        let followed = self.hierarchy.follow_block(block, run, walker, &mut self.unusual);
        self.time(block, followed);
    }

    /// The same of one of which something was noted, or that was not executed to its end.
    #[inline(never)]
    fn run_unusual(&mut self, block: &Block, run: Run, walker: &mut dyn Walker) {
        self.hierarchy.now = self.issued;
        if run.done != block.items.len() {
            self.show();
            self.at = None;
        }
        if self.at.is_none() {
            self.work_out(block, run, walker);
            return;
        }
        let resumes = self.resumes;
        let followed = self.hierarchy.run(block, run, resumes, walker, &mut self.unusual);
        self.time(block, followed);
    }

    /// How long a block takes of which it is known what is unusual.
    fn time(&mut self, block: &Block, followed: Followed) {
        let Some(entry) = self.at else { return };
        let key = Key { entry, block: block.number, followed, unusual: Print::new(&self.unusual) };
        let known = match self.memo.follow(self.last, key.block, (followed, key.unusual)) {
            Some(known) => Some(known),
            None => self.memo.find(self.last, &key),
        };
        if let Some((number, transition)) = known {
            let (cycles, exit) = (u64::from(transition.cycles), transition.exit);
            if self.issued < self.fence_ends {
                self.go_through_for_counts(entry, block);
            }
            self.pass((number, cycles), exit);
            return;
        }
        self.time_anew(block, &key);
    }

    /// The same where the pipeline has not been: it works it out.
    #[inline(never)]
    fn time_anew(&mut self, block: &Block, key: &Key) {
        let unusual = &self.unusual;
        let (entry, followed) = (key.entry, key.followed);
        if !self.shown {
            self.memo.restore(entry, self.issued, &mut self.pipeline);
        }
        self.shown = true;
        go_through(&mut self.pipeline, &block.items, unusual);
        self.pipeline.follow(followed, ahead_of(unusual));
        self.keep(key);
    }

    /// The pipeline worked something out: it is kept, if there is room.
    fn keep(&mut self, key: &Key) {
        let before = self.issued;
        self.issued = self.pipeline.issued;
        let exit = edge_of(&mut self.memo, &mut self.pipeline);
        let cycles = u32::try_from(self.issued - before).ok();
        match exit.zip(cycles) {
            Some((exit, cycles)) if !self.memo.is_full() => {
                self.last = self.memo.insert(self.last, key, cycles, exit);
                self.arrive(exit);
            }
            _ => {
                self.hierarchy.decoded(self.pipeline.was_hungry());
                self.at = None;
                self.last = memo::NONE;
                if self.memo.is_full() {
                    self.memo.clear();
                }
            }
        }
    }

    /// A transition that is known was made.
    #[inline(always)]
    fn pass(&mut self, (number, cycles): (u32, u64), exit: Edge) {
        self.issued += cycles;
        self.last = number;
        self.shown = false;
        self.arrive(exit);
    }

    /// The pipeline goes through a known block for what it counts: how long a walk waits behind a fence.
    #[cold]
    fn go_through_for_counts(&mut self, entry: u32, block: &Block) {
        self.memo.restore(entry, self.issued, &mut self.pipeline);
        go_through(&mut self.pipeline, &block.items, &self.unusual);
        self.fence_ends = self.pipeline.fence_ends;
    }

    /// What the core did so far.
    pub fn counts(&self) -> Counts {
        self.hierarchy.counting.counts(self.pipeline.held, self.core.store.is_none())
    }

    /// The same in a few numbers.
    pub fn totals(&self) -> Totals {
        self.hierarchy.counting.totals(self.pipeline.held, self.core.store.is_none())
    }

    /// Finds the state that the pipeline is in, if states are remembered.
    #[cold]
    fn find_state(&mut self) {
        if !self.remembers {
            return;
        }
        if self.memo.is_full() {
            self.memo.clear();
        }
        self.last = memo::NONE;
        if let Some(edge) = edge_of(&mut self.memo, &mut self.pipeline) {
            self.arrive(edge);
        }
    }

    /// The pipeline is in a state.
    #[inline]
    fn arrive(&mut self, edge: Edge) {
        self.at = Some(edge.state);
        self.resumes = edge.resumes;
        self.hierarchy.set_windows(edge.load_window.into(), edge.store_window.into());
        self.hierarchy.decoded(edge.hungry);
    }

    /// A block, without looking anything up.
    #[cold]
    fn work_out(&mut self, block: &Block, run: Run, walker: &mut dyn Walker) {
        self.hierarchy.set_windows(REACH, REACH);
        let resumes = self.pipeline.resumes();
        let followed = self.hierarchy.run(block, run, resumes, walker, &mut self.unusual);
        go_through(&mut self.pipeline, block.done(&run), &self.unusual);
        self.pipeline.follow(followed, ahead_of(&self.unusual));
        self.hierarchy.decoded(self.pipeline.was_hungry());
        self.issued = self.pipeline.issued;
    }

    /// Brings the pipeline up to date, with what is known only right behind an instruction: what becomes of it if it traps.
    fn show_single(&mut self) {
        let Some(single) = self.single.take() else {
            self.show();
            return;
        };
        self.memo.restore(single.entry, single.issued, &mut self.pipeline);
        self.pipeline.issue(&single.item, &single.outcome);
        self.shown = true;
    }

    /// Brings the pipeline up to date.
    #[inline]
    fn show(&mut self) {
        if let Some(state) = self.at.filter(|_| !self.shown) {
            self.memo.restore(state, self.issued, &mut self.pipeline);
        }
        self.shown = true;
    }
}

/// The pipeline goes through the instructions of a block.
fn go_through(pipeline: &mut Pipeline, items: &[Item], unusual: &[(u8, Outcome)]) {
    let mut unusual = unusual.iter().peekable();
    for (number, item) in items.iter().enumerate() {
        let usual = Outcome::default();
        let outcome = unusual.next_if(|(known, _)| usize::from(*known) == number);
        pipeline.issue(item, outcome.map_or(&usual, |(_, outcome)| outcome));
    }
}

/// [`Outcome::ahead`] of a block's last instruction.
fn ahead_of(unusual: &[(u8, Outcome)]) -> u8 {
    unusual.last().map_or(0, |(_, outcome)| outcome.ahead)
}

/// The state that a pipeline is in.
fn edge_of(memo: &mut Memo, pipeline: &mut Pipeline) -> Option<Edge> {
    let state = memo.state_of(pipeline)?;
    let window = |stores: usize| stores.min(REACH as usize) as u8;
    Some(Edge {
        state,
        load_window: window(pipeline.load_window()),
        store_window: window(pipeline.store_window()),
        resumes: pipeline.resumes(),
        hungry: pipeline.was_hungry(),
    })
}
