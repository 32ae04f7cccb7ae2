//! The pipeline: when each instruction issues, given when the front-end has it, when its operands are there, when
//! its unit is free and what became of its accesses to memory.
//!
//! It is told of every instruction in program order, with its [`Outcome`], and knows no address: what it does next is a function of
//! its state and of what it is told, which is why it can be remembered ([`crate::memo`]). Wrong paths are not followed.

mod fetch;
mod memory;
mod order;
mod several;

use crate::counts::Held;
use crate::divider::Divisions;
use crate::float::Port;
use crate::issue::Group;
use crate::item::Item;
use crate::outcome::{Followed, Outcome};
use crate::params::{Core, Divider, Multiplier};
use crate::predictor::PredictorParams;
use crate::stores::{StoreBuffer, Undrained};
use crate::work::{Unit, Work};
use order::InOrder;
use std::sync::Arc;

/// Why the program was interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A memory access of the instruction failed.
    Access,
    /// The instruction is none, or is none there.
    Illegal,
    /// Any other exception.
    Other,
    /// An interrupt.
    Interrupt,
}

/// The front-end's lead over issue, in cycles, beyond which it is as good as this; only misses that hold up issue for
/// so long let it grow.
const LEAD: u64 = 1 << 14;
/// The cycle at which a core begins, so that times before it are none below zero.
pub(crate) const BEGIN: u64 = 2 * LEAD;

/// Cycles from issue to the writing of a result that does not come late.
const WRITE: u64 = 3;

/// Goes through the times of a state in a fixed order.
pub(crate) trait Visitor {
    /// A time; earlier than `floor` it is as good as `floor`.
    fn time(&mut self, time: &mut u64, floor: u64);
    /// A number.
    fn number(&mut self, number: &mut u64);
}

/// Units, queues and registers, with the cycles at which they are free, empty and there.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    core: Arc<Core>,
    latency: u64,
    pub(crate) stores: Option<StoreBuffer>,

    /// The cycle at which the instructions of the packet that was fetched last can issue.
    fetched: u64,
    /// The next packet comes after a gap: not before this cycle.
    resume: Option<u64>,
    /// For each place in the queue, when the packet that was there last began to issue.
    packets: Vec<u64>,
    next_packet: usize,
    /// When the last packet came, at most one was waiting.
    hungry: bool,
    /// That decides what the predictor learns.
    learns_hungry: bool,

    /// The cycle of the last issue.
    pub(crate) issued: u64,
    /// What issued then, where several instructions issue a cycle.
    group: Group,
    /// How much later the last instruction executes for operands that came late.
    late: u64,
    /// When each register's value is there.
    ready: [u64; 64],
    /// When each of the last instructions committed.
    commits: Vec<u64>,
    next_commit: usize,
    last_commit: u64,
    /// How many have committed then.
    committing: u64,
    /// When everything before the last instruction had committed. It matters to nothing but what becomes of that one.
    committed_before: u64,
    arithmetic_free: u64,
    csr_free: u64,
    divider_free: u64,
    multiplier_free: u64,
    float_free: u64,
    float_port: Port,
    divisions: Divisions,
    /// Where products and quotients are written late: when the last one is, and where to.
    written_late: u64,
    late_target: u64,
    /// When the last access to memory was made, and when the next one may be, for what orders them.
    accessed: u64,
    access_free: u64,
    cache_free: u64,
    walker_free: u64,
    /// When the next access can be translated.
    translator_free: u64,
    accesses: InOrder,
    /// When each of the last loads began.
    loads: Vec<u64>,
    next_load: usize,
    /// Where stores go to the cache itself: those that are not in it yet.
    undrained: Undrained,
    /// Until when the last fence keeps the walker busy, unless a walk waited for that.
    pub(crate) fence_ends: u64,
    /// What was waited for.
    pub(crate) held: Held,
}

impl Pipeline {
    /// A pipeline out of reset, on a memory of this latency.
    pub(crate) fn new(core: &Arc<Core>, latency: u64) -> Self {
        Self {
            latency,
            stores: core.store.map(|params| StoreBuffer::new(params, latency)),
            fetched: BEGIN,
            resume: Some(BEGIN + 1),
            packets: vec![0; core.fetch.queue],
            next_packet: 0,
            hungry: true,
            learns_hungry: matches!(core.predictor, PredictorParams::Buffer { .. }),
            issued: BEGIN,
            group: Group::CLOSED,
            late: 0,
            ready: [0; 64],
            commits: vec![0; core.integer.window],
            next_commit: 0,
            last_commit: 0,
            committing: 1,
            committed_before: 0,
            arithmetic_free: 0,
            csr_free: 0,
            divider_free: 0,
            multiplier_free: 0,
            float_free: 0,
            float_port: Port::default(),
            divisions: Divisions::default(),
            written_late: 0,
            late_target: 0,
            accessed: 0,
            access_free: 0,
            cache_free: 0,
            walker_free: 0,
            translator_free: 0,
            accesses: InOrder::default(),
            loads: vec![0; core.load.queue],
            next_load: 0,
            undrained: Undrained::default(),
            fence_ends: 0,
            held: Held::default(),
            core: Arc::clone(core),
        }
    }

    /// Goes through everything that decides what happens from now on, in times that begin with the last issue. What was
    /// over by then, and what nothing that follows can notice, is at its floor.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        let Self { core: _, latency: _, stores, fetched, resume, issued, ready, .. } = self;
        let several = u64::from(self.core.issue.is_some());
        // The cycle of the last issue takes more where several instructions issue a cycle.
        let now = *issued - several;
        let soon = now + 1;
        if several != 0 {
            let [mut ways, mut targets] = self.group.numbers();
            visitor.number(&mut ways);
            visitor.number(&mut targets);
            self.group = Group::of_numbers([ways, targets]);
        }

        self.packets.rotate_left(self.next_packet);
        self.next_packet = 0;
        let mut resumes = u64::from(resume.is_some());
        visitor.number(&mut resumes);
        let next = if resumes != 0 {
            // The queue must have room for it.
            let room = self.packets.first().map_or(0, |packet| packet + 1);
            let mut cycle = resume.unwrap_or_default().max(room);
            visitor.time(&mut cycle, now - LEAD);
            (*resume, *fetched) = (Some(cycle), now - LEAD);
            cycle
        } else {
            *resume = None;
            visitor.time(fetched, now - LEAD);
            *fetched + 1
        };
        // The next packets come one a cycle at best, and so do instructions; what waits when one comes may be counted.
        let counts = u64::from(self.learns_hungry);
        for (packet, cycle) in self.packets.iter_mut().zip(0..) {
            visitor.time(packet, next - 1 + cycle * (1 - counts));
        }
        let mut hungry = u64::from(self.hungry);
        visitor.number(&mut hungry);
        self.hungry = hungry != 0;
        self.commits.rotate_left(self.next_commit);
        self.next_commit = 0;
        // An instruction a cycle issues at best, or several.
        let retire = self.core.integer.retire;
        for (commit, cycle) in self.commits.iter_mut().zip(0..) {
            visitor.time(commit, (soon + cycle * (1 - several)).saturating_sub(retire));
        }
        visitor.time(&mut self.last_commit, now);
        if self.core.integer.commits != 0 {
            // What issues next commits later in any case.
            if self.last_commit <= soon {
                self.committing = 1;
            }
            visitor.number(&mut self.committing);
        }
        for time in ready.iter_mut() {
            visitor.time(time, soon);
        }
        self.loads.rotate_left(self.next_load);
        self.next_load = 0;
        for load in &mut self.loads {
            visitor.time(load, soon);
        }
        for time in [
            &mut self.arithmetic_free,
            &mut self.csr_free,
            &mut self.divider_free,
            &mut self.multiplier_free,
            &mut self.float_free,
            &mut self.cache_free,
            &mut self.translator_free,
            &mut self.access_free,
        ] {
            visitor.time(time, soon);
        }
        if self.core.float.port.is_some() {
            self.float_port.visit(now, visitor);
        }
        if self.core.float.divider.is_some() {
            self.divisions.visit(now, visitor);
        }
        if self.core.load.in_order {
            self.accesses.visit(now, visitor);
        }
        if self.core.integer.completes_late {
            // What issues next is written after that.
            visitor.time(&mut self.written_late, soon + WRITE - 1);
            if self.written_late < soon + WRITE {
                self.late_target = 0;
            }
            visitor.number(&mut self.late_target);
        }
        if self.core.system.fence_access != 0 {
            let access = self.core.system.fence_access;
            visitor.time(&mut self.accessed, soon.saturating_sub(access));
        }
        // A fetch may need it earlier than any instruction.
        visitor.time(&mut self.walker_free, next.min(soon));
        match stores {
            Some(stores) => stores.visit(now, visitor),
            None => self.undrained.visit(now, visitor),
        }
    }

    /// Whether the next instruction is fetched anew, with all of its packet.
    pub(crate) fn resumes(&self) -> bool {
        self.resume.is_some()
    }

    /// Whether one packet at most was waiting when the last one came.
    pub(crate) fn was_hungry(&self) -> bool {
        self.hungry
    }

    /// How many of the last stores a load can still meet on their way, at most.
    pub(crate) fn load_window(&self) -> usize {
        match &self.stores {
            Some(stores) => stores.queued(),
            None => self.undrained.pending(self.soonest() - 1),
        }
    }

    /// How many of the last stores a store can still meet, at most.
    pub(crate) fn store_window(&self) -> usize {
        self.stores.as_ref().map_or(0, StoreBuffer::reach)
    }

    /// The core waited: nothing happened before `cycle`.
    pub(crate) fn skip_to(&mut self, cycle: u64) {
        if cycle > self.issued {
            self.issued = cycle;
            self.group.close();
            self.refetch(cycle + 1);
        }
    }

    /// For so many cycles the core issues what nobody tells of.
    pub(crate) fn work(&mut self, cycles: u64) {
        if cycles != 0 {
            self.issued += cycles;
            self.group.close();
        }
    }

    /// An instruction issues.
    pub(crate) fn issue(&mut self, item: &Item, outcome: &Outcome) {
        let work = &item.work;
        // Fetching begins with an instruction that lies in two packets.
        let joins = self.resume.is_some() && item.enters && item.begins.is_some();
        let joining = u64::from(joins && self.core.fetch.joins_at_issue);
        let begins = self.fetch(item, outcome);
        let together = self.core.issue.is_some() && self.group.takes(work, item.pipes);
        let mut at = self.fetched.max(self.issued + u64::from(!together) + joining);
        at = at.max(self.commits[self.next_commit] + self.core.integer.retire);
        at = at.max(self.operands(item));
        at = at.max(self.unit_free(item));
        let waits = executes_at_commit(work.unit) && !self.is_buffered(work.unit);
        if waits && !self.core.integer.completes_late {
            at = at.max(self.last_commit);
        }
        if let Some(port) = &self.core.float.port {
            at = self.float_port.takes(port, work, at);
        }
        self.group_with(item, together && at == self.issued, at);
        self.issued = at;
        self.write_late(work, at);
        let (done, committed) = self.execute(item, outcome, at);
        if work.target != 0 {
            self.ready[usize::from(work.target & 63)] = done;
        }
        if let Some(port) = &self.core.float.port {
            self.float_port.issues(port, work.unit, at, done);
        }
        if matches!(work.unit, Unit::Mul { .. } | Unit::MulHigh | Unit::Div { .. }) {
            (self.written_late, self.late_target) = (done, work.target.into());
        }
        self.commit(committed.max(at), work.unit);
        if begins {
            self.packets[self.next_packet] = at;
            self.next_packet = following(self.next_packet, self.packets.len());
        }
    }

    /// It retired, and this is how the front-end goes on; `ahead` as in [`Outcome::ahead`].
    pub(crate) fn follow(&mut self, followed: Followed, ahead: u8) {
        let fetch = &self.core.fetch;
        match followed {
            Followed::Straight => {}
            Followed::Early => self.refetch(self.fetched + 1 + fetch.early_bubble),
            Followed::Late => self.refetch(self.fetched + 1 + fetch.late_bubble),
            Followed::Wrong => {
                let cycle = self.issued + 1 + self.late + fetch.mispredict;
                self.refetch(cycle.max(self.killed(ahead, cycle)));
            }
        }
    }

    /// When the miss is over into which the front-end runs before it is sent elsewhere at `cycle`, so many packets on: a cycle behind its
    /// answer (KILL_MISS, IDLE).
    fn killed(&self, ahead: u8, cycle: u64) -> u64 {
        let number = usize::from(ahead);
        if !(1..=self.packets.len()).contains(&number) {
            return 0;
        }
        let room = self.packets[(self.next_packet + number - 1) % self.packets.len()] + 1;
        let asked = (self.fetched + u64::from(ahead)).max(room);
        if asked < cycle { asked + self.latency + self.core.fetch.miss + 1 } else { 0 }
    }

    /// When the trap is known: the last instruction would commit, or the interrupt takes the place of the next one.
    fn raises(&self, trap: Trap) -> u64 {
        if self.core.integer.completes_late {
            return match trap {
                Trap::Interrupt => self.resume.unwrap_or_default().max(self.issued + 1),
                Trap::Access | Trap::Illegal | Trap::Other => self.issued,
            };
        }
        let raised = self.issued.max(self.last_commit);
        let resume = self.resume.unwrap_or_default();
        match trap {
            // It comes with the next instruction; what was fetched before that is no more than a guess.
            Trap::Interrupt if !self.core.system.trap_alone => raised.max(resume),
            _ if !self.core.system.trap_alone => raised,
            // The instruction carries it that is decoded behind the commit of what enabled it.
            Trap::Interrupt => resume.max(self.last_commit + 3),
            Trap::Access | Trap::Illegal | Trap::Other => raised.max(self.committed_before + 2),
        }
    }

    /// The last instruction did not retire but trapped, or an interrupt came before the next one.
    pub(crate) fn trap(&mut self, trap: Trap) {
        let system = &self.core.system;
        let extra = match trap {
            Trap::Access => system.access_trap,
            Trap::Illegal => system.illegal_trap,
            Trap::Other | Trap::Interrupt => 0,
        };
        let raised = self.raises(trap);
        let cycle = raised + system.trap + extra;
        self.group.close();
        // Time passes in any case.
        let issued = cycle.saturating_sub(1).max(self.issued + 1);
        self.held.raising += raised - self.issued;
        self.held.traps += cycle - raised;
        self.issued = issued;
        self.refetch(cycle);
    }

    /// It could not be fetched, after a walk of so many cycles. By the time it traps, the walk for the packet behind it is under way:
    /// that is given up and made anew, from the cycle before the one in which the handler would be asked for, and that waits for it.
    pub(crate) fn trap_at_fetch(&mut self, walk: u32) {
        self.trap(Trap::Other);
        if walk != 0 && self.core.fetch.waits_for_killed {
            self.resume = self.resume.map(|cycle| cycle + u64::from(walk) - 1);
        }
    }

    fn refetch(&mut self, cycle: u64) {
        self.resume = Some(cycle);
    }

    /// A product or quotient that comes late waits while an instruction that issues at `at` is written.
    fn write_late(&mut self, work: &Work, at: u64) {
        if self.core.integer.completes_late
            && at + WRITE == self.written_late
            && work.writes_integer()
        {
            self.written_late += 1;
            if self.late_target != 0 {
                let ready = &mut self.ready[self.late_target as usize & 63];
                *ready = (*ready).max(self.written_late);
            }
            self.multiplier_free = self.multiplier_free.max(self.written_late);
        }
    }

    /// The cycle from which the unit takes the instruction.
    fn unit_free(&self, item: &Item) -> u64 {
        match item.work.unit {
            Unit::Alu | Unit::Branch => self.arithmetic_free,
            Unit::Mul { .. } | Unit::MulHigh => self.multiplier_free.max(self.divider_block()),
            Unit::Div { .. } => self.divider_free.max(self.multiplier_free),
            Unit::CsrRead(_) | Unit::CsrWrite(_) => self.csr_free.max(self.arithmetic_free),
            Unit::FpDivide { .. } | Unit::FpRoot { .. } => self.float_free.max(self.divisions.held),
            Unit::Load | Unit::LoadNarrow | Unit::Store if self.core.load.in_order => {
                self.accesses.issues(self.soonest())
            }
            Unit::Load | Unit::LoadNarrow => {
                self.loads[self.next_load].max(self.cache_block()).max(self.access_free)
            }
            Unit::Amo | Unit::LoadReserved | Unit::StoreConditional => {
                let [_, release] = item.work.ordered;
                self.access_free.max(if release { self.ordered() } else { 0 })
            }
            Unit::Store => self.cache_block().max(self.access_free),
            Unit::Fence | Unit::FenceTranslation | Unit::FenceI | Unit::TrapReturn | Unit::Wait => {
                self.csr_free
            }
            _ if item.work.is_float() => self.divisions.held,
            _ => 0,
        }
    }

    /// Where stores go to the cache itself, a busy cache holds up every access.
    fn cache_block(&self) -> u64 {
        if self.stores.is_none() { self.cache_free } else { 0 }
    }

    fn divider_block(&self) -> u64 {
        let integer = &self.core.integer;
        if integer.divide_blocks || integer.completes_late { self.divider_free } else { 0 }
    }

    /// When an access can be made that earlier ones are ordered before.
    fn ordered(&self) -> u64 {
        match self.core.system.fence_access {
            0 => 0,
            cycles => self.accessed + cycles,
        }
    }

    /// No access is made any more before those of now are through.
    fn order(&mut self) {
        self.access_free = self.access_free.max(self.ordered());
    }

    /// Says when its result is there, and when it commits.
    fn execute(&mut self, item: &Item, outcome: &Outcome, at: u64) -> (u64, u64) {
        let float = &self.core.float;
        let done = match item.work.unit {
            Unit::Alu | Unit::Branch => at + 1 + self.late,
            Unit::Mul { .. } | Unit::MulHigh => self.multiply(item.work.unit, outcome, at),
            Unit::Div { .. } => {
                let free = at + u64::from(outcome.operand);
                self.divider_free = free;
                if self.core.integer.divide_blocks {
                    self.arithmetic_free = self.arithmetic_free.max(free);
                }
                match self.core.integer.divider {
                    Divider::Aligning { early, .. } => free.saturating_sub(early).max(at + 1),
                    Divider::Skipping { .. } => free,
                }
            }
            Unit::FpArithmetic { double } => {
                let fused = if item.work.sources[2] != 0 { float.fused_extra } else { 0 };
                at + float.arithmetic[usize::from(double)] + fused
            }
            Unit::FpDivide { double } => {
                let full = float.divide[usize::from(double)];
                let spared = u64::from(outcome.operand).min(full.saturating_sub(1));
                self.divides(at, full - spared)
            }
            Unit::FpRoot { double } => {
                let full = float.root[usize::from(double)];
                let spared = u64::from(outcome.operand).min(full.saturating_sub(1));
                self.divides(at, full - spared)
            }
            Unit::FpSelect { .. } => at + float.select,
            Unit::FpCompare => at + float.compare,
            Unit::FpConvert => at + float.convert,
            Unit::FpConvertToInt => at + float.convert_to_int,
            Unit::FpConvertFromInt => at + float.convert_from_int,
            Unit::FpToInt => at + float.to_int,
            Unit::IntToFp => at + float.from_int,
            Unit::Load | Unit::LoadNarrow => self.load(item, outcome, at),
            Unit::Store => return (at + 1, self.store(outcome, at)),
            Unit::Amo | Unit::LoadReserved | Unit::StoreConditional => {
                self.atomic(item, outcome, at)
            }
            Unit::CsrRead(_) | Unit::CsrWrite(_) => {
                let system = &self.core.system;
                let at = if system.csr_buffer { at.max(self.last_commit) } else { at };
                let done = at + system.csr_result;
                if item.refetches {
                    let cycle = at + system.csr_flush;
                    self.refetch(cycle);
                } else {
                    self.csr_free = at + system.csr;
                    if self.core.integer.divide_blocks {
                        self.arithmetic_free = self.arithmetic_free.max(at + system.csr);
                    }
                }
                return (done, at + u64::from(self.core.system.csr_buffer));
            }
            Unit::Fence if self.core.system.fence_access != 0 => {
                self.order();
                at + 1
            }
            Unit::Fence => {
                self.refetch(self.written(at) + self.core.system.fence);
                at + 1
            }
            Unit::FenceI => {
                let sent = self.written(at) + self.core.system.csr_flush;
                let idle = sent.max(self.killed(outcome.ahead, sent));
                self.refetch(idle + self.core.system.fence_i);
                at + 1
            }
            Unit::FenceTranslation => {
                let written = self.written(at);
                self.fence_ends = written + self.core.system.walker_busy;
                self.walker_free = self.walker_free.max(self.fence_ends);
                let cycle = written + self.core.system.fence_translation;
                self.held.fences += cycle - at;
                self.refetch(cycle);
                at + 1
            }
            Unit::TrapReturn => {
                self.held.returns += self.core.system.trap_return;
                self.refetch(at + self.core.system.trap_return);
                at + 1
            }
            Unit::Wait => at + 1,
        };
        (done, done)
    }

    /// An FP division issues at `at` and takes so many cycles: says when its result is there.
    fn divides(&mut self, at: u64, cycles: u64) -> u64 {
        if let Some(divider) = self.core.float.divider {
            return self.divisions.issue(at, cycles) + divider.result;
        }
        // Where a port refuses others, that is all that keeps them back.
        if self.core.float.port.is_none() {
            self.float_free = at + cycles;
        }
        at + cycles
    }

    fn multiply(&mut self, unit: Unit, outcome: &Outcome, at: u64) -> u64 {
        match self.core.integer.multiplier {
            Multiplier::Pipelined { latency, high, own_port } => {
                let latency = high.filter(|_| unit == Unit::MulHigh).unwrap_or(latency);
                if !own_port {
                    // One port writes both products and sums.
                    self.arithmetic_free = self.arithmetic_free.max(at + latency);
                }
                at + latency
            }
            Multiplier::Iterative { overhead, .. } => {
                self.multiplier_free = at + u64::from(outcome.operand) + overhead;
                self.multiplier_free
            }
        }
    }

    /// Whether an instruction issues before what precedes it has committed, though it executes then.
    fn is_buffered(&self, unit: Unit) -> bool {
        self.core.system.csr_buffer && matches!(unit, Unit::CsrRead(_) | Unit::CsrWrite(_))
    }

    /// An instruction could commit at `done`: it does in the cycle of the last one, if that leaves it a port, or behind it.
    fn commit(&mut self, done: u64, unit: Unit) {
        self.committed_before = self.last_commit;
        let limited = self.core.integer.commits != 0;
        let alone = unit == Unit::Store || executes_at_commit(unit);
        if done > self.last_commit || !limited {
            (self.last_commit, self.committing) = (self.last_commit.max(done), 1);
        } else if alone || self.committing >= self.core.integer.commits {
            (self.last_commit, self.committing) = (self.last_commit + 1, 1);
        } else {
            self.committing += 1;
        }
        if executes_at_commit(unit) {
            self.committing = self.core.integer.commits;
        }
        self.commits[self.next_commit] = self.last_commit;
        self.next_commit = following(self.next_commit, self.commits.len());
    }
}

/// The next place of a ring.
fn following(place: usize, places: usize) -> usize {
    if place + 1 == places { 0 } else { place + 1 }
}

/// Whether an instruction waits until everything before it has committed.
fn executes_at_commit(unit: Unit) -> bool {
    matches!(
        unit,
        Unit::CsrRead(_)
            | Unit::CsrWrite(_)
            | Unit::Fence
            | Unit::FenceI
            | Unit::FenceTranslation
            | Unit::TrapReturn
            | Unit::Amo
            | Unit::LoadReserved
            | Unit::StoreConditional
    )
}
