//! The pipeline: when each instruction issues, given when the front-end has it, when its operands are there, when
//! its unit is free and where its memory accesses find their data.
//!
//! It is told of every instruction in program order, before it executes ([`Model::issue`]) and after
//! ([`Model::retire`] or [`Model::trap`]). Wrong paths are not followed.

use crate::cache::Cache;
use crate::params::{Core, Divider, Multiplier};
use crate::predictor::{Predictor, PseudoLru, Transfer};
use crate::stores::StoreBuffer;
use crate::tlb::{Context, Flush, Tlb, Walk};
use crate::work::{Flow, Unit, Work};
use isa::Insn;

/// What is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The instruction at this address.
    Fetch(u64),
    /// The data at this address.
    Data(u64),
}

/// A memory access that an instruction is about to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Its address.
    pub va: u64,
    /// Where that is.
    pub place: Place,
    /// What it is translated under.
    pub context: Context,
}

/// Where an access goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// To main memory, at this physical address.
    Memory(u64),
    /// To a device.
    Device,
    /// Nowhere: it will trap.
    Nowhere,
}

impl Place {
    fn memory(self) -> Option<u64> {
        match self {
            Self::Memory(pa) => Some(pa),
            Self::Device | Self::Nowhere => None,
        }
    }
}

/// An instruction that is about to execute.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The instruction.
    pub insn: &'a Insn,
    /// Its address.
    pub pc: u64,
    /// Where that is in memory.
    pub pa: u64,
    /// What it is translated under.
    pub context: Context,
    /// Its integer operands, `rs1` and `rs2`.
    pub x: [u64; 2],
    /// Its floating-point operands, as they lie in the registers.
    pub f: [u64; 2],
    /// Its access to memory.
    pub access: Option<Access>,
}

/// Why the program was interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A memory access of the instruction failed.
    Access,
    /// Any other exception.
    Other,
    /// An interrupt.
    Interrupt,
}

/// No packet.
const NONE: u64 = u64::MAX;
/// Cycles to walk on over a table that the walker remembers.
const REMEMBERED: u64 = 1;

/// A core at work.
#[derive(Clone, Debug)]
pub struct Model {
    core: Core,
    latency: u64,
    predictor: Predictor,
    icache: Cache,
    dcache: Cache,
    itlb: Tlb,
    dtlb: Tlb,
    stores: Option<StoreBuffer>,
    /// PTE addresses that the walker remembers.
    tables: Vec<u64>,
    tables_tree: PseudoLru,

    /// The packet that was fetched last, and the cycle at which its instructions can issue.
    packet: u64,
    fetched: u64,
    /// The next packet comes after a gap: not before this cycle.
    resume: Option<u64>,
    fetch_line: u64,
    fetch_page: Option<(Context, u64)>,
    /// For each place in the queue, when the packet that was there last began to issue.
    packets: Vec<u64>,
    next_packet: usize,
    packet_issued: bool,

    /// The cycle of the last issue.
    issued: u64,
    /// When each register's value is there.
    ready: [u64; 64],
    /// When each of the last instructions committed.
    commits: Vec<u64>,
    next_commit: usize,
    last_commit: u64,
    arithmetic_free: u64,
    csr_free: u64,
    divider_free: u64,
    multiplier_free: u64,
    float_free: u64,
    cache_free: u64,
    walker_free: u64,
    /// When the last access was translated, and when the next one can be.
    translated: u64,
    translator_free: u64,
    /// When each of the last loads began.
    loads: Vec<u64>,
    next_load: usize,
    /// The word that was stored last, and when a load of it can issue.
    last_store: (u64, u64),
    transfer: Option<Transfer>,
}

impl Model {
    /// A core out of reset, on a memory of its own latency or of another one.
    pub fn new(core: &Core, memory_latency: Option<u64>) -> Self {
        let latency = memory_latency.unwrap_or(core.memory.latency);
        Self {
            latency,
            predictor: Predictor::new(core.predictor),
            icache: Cache::new(core.icache),
            dcache: Cache::new(core.dcache),
            itlb: Tlb::new(core.translation.instruction),
            dtlb: Tlb::new(core.translation.data),
            stores: core.store.map(|params| StoreBuffer::new(params, latency)),
            tables: vec![NONE; core.translation.tables],
            tables_tree: PseudoLru::new(core.translation.tables.max(1)),
            packet: NONE,
            fetched: 0,
            resume: None,
            fetch_line: NONE,
            fetch_page: None,
            packets: vec![0; core.fetch.queue],
            next_packet: 0,
            packet_issued: true,
            issued: 0,
            ready: [0; 64],
            commits: vec![0; core.integer.window],
            next_commit: 0,
            last_commit: 0,
            arithmetic_free: 0,
            csr_free: 0,
            divider_free: 0,
            multiplier_free: 0,
            float_free: 0,
            cache_free: 0,
            walker_free: 0,
            translated: 0,
            translator_free: 0,
            loads: vec![0; core.load.queue],
            next_load: 0,
            last_store: (NONE, 0),
            transfer: None,
            core: core.clone(),
        }
    }

    /// The cycle of the last issue.
    pub fn now(&self) -> u64 {
        self.issued
    }

    /// The core waited, or a model was attached late: nothing happened before `cycle`.
    pub fn skip_to(&mut self, cycle: u64) {
        if cycle > self.issued {
            self.issued = cycle;
            self.refetch(cycle + 1);
        }
    }

    /// The instruction of `step` issues. `walk` finds what a walk of an address would read.
    pub fn issue(&mut self, step: &Step<'_>, walk: &mut dyn FnMut(Target) -> Walk) {
        let work = Work::of(step.insn);
        self.fetch(step, walk);
        let mut at = self.fetched.max(self.issued + 1).max(self.commits[self.next_commit]);
        for source in work.sources {
            at = at.max(self.ready[usize::from(source)]);
        }
        if self.core.integer.orders_writes && work.target != 0 {
            at = at.max(self.ready[usize::from(work.target)]);
        }
        at = at.max(self.unit_free(&work, step));
        if executes_at_commit(work.unit) {
            at = at.max(self.last_commit);
        }
        self.issued = at;
        let done = self.execute(&work, step, at, walk);
        if work.target != 0 {
            self.ready[usize::from(work.target)] = done;
        }
        let committed = match work.unit {
            Unit::Store => self.translated,
            Unit::CsrRead | Unit::CsrWrite(_) => at,
            _ => done,
        };
        self.commit(committed.max(at));
        if !self.packet_issued {
            self.packets[self.next_packet] = at;
            self.next_packet = (self.next_packet + 1) % self.packets.len();
            self.packet_issued = true;
        }
        self.transfer = work.flow.map(|flow| Transfer {
            pc: step.pc,
            len: step.insn.len.into(),
            flow,
            target: step.pc.wrapping_add(i64::from(step.insn.imm) as u64),
        });
    }

    /// It retired, and execution goes on at `next`.
    pub fn retire(&mut self, next: u64) {
        let Some(transfer) = self.transfer.take() else { return };
        let after = transfer.pc.wrapping_add(transfer.len);
        let taken = transfer.flow != Flow::Branch || next != after;
        let guess = self.predictor.follow(&transfer, next, taken);
        let fetch = &self.core.fetch;
        if guess.next != next {
            self.refetch(self.issued + 1 + fetch.mispredict);
        } else if taken {
            let bubble = if guess.early { fetch.early_bubble } else { fetch.late_bubble };
            self.refetch(self.fetched + 1 + bubble);
        }
    }

    /// It did not retire but trapped, or an interrupt came before the next one.
    pub fn trap(&mut self, trap: Trap) {
        self.transfer = None;
        let system = &self.core.system;
        let extra = if trap == Trap::Access { system.access_trap } else { 0 };
        let raised = self.issued.max(self.last_commit);
        let cycle = raised + system.trap + extra;
        // Time passes in any case.
        self.issued = cycle.saturating_sub(1).max(self.issued + 1);
        self.predictor.trapped();
        self.refetch(cycle);
    }

    /// A memory-management fence removes translations; what it costs its instruction is known already.
    pub fn flush(&mut self, flush: Flush) {
        let flush = if self.core.translation.precise_fences { flush } else { flush.widened() };
        self.itlb.flush(flush);
        self.dtlb.flush(flush);
        self.tables.fill(NONE);
        self.fetch_page = None;
    }

    /// Translation is about to mean something else: what was fetched last says nothing about the next packet.
    fn refetch(&mut self, cycle: u64) {
        self.packet = NONE;
        self.resume = Some(cycle);
    }

    /// Brings the packets in which the instruction lies.
    fn fetch(&mut self, step: &Step<'_>, walk: &mut dyn FnMut(Target) -> Walk) {
        let mask = !(self.core.fetch.bytes - 1);
        let first = step.pc & mask;
        let last = step.pc.wrapping_add(u64::from(step.insn.len) - 1) & mask;
        self.fetch_packet(first, step, walk);
        if last != first {
            self.fetch_packet(last, step, walk);
        }
    }

    fn fetch_packet(&mut self, packet: u64, step: &Step<'_>, walk: &mut dyn FnMut(Target) -> Walk) {
        if packet == self.packet {
            return;
        }
        let next = self.fetched + 1;
        let mut at = self.resume.take().unwrap_or(next);
        at = at.max(self.packets[self.next_packet] + 1);
        self.packet = packet;
        self.packet_issued = false;
        let page = (step.context, packet >> 12);
        if self.fetch_page != Some(page) {
            self.fetch_page = Some(page);
            if step.context.translates() && !self.itlb.lookup(step.context, packet) {
                let found = walk(Target::Fetch(packet));
                at = self.walked(at, &found);
                if found.bits != 0 {
                    self.itlb.fill(step.context, packet, found.bits);
                }
            }
        }
        let pa = step.pa.wrapping_add(packet).wrapping_sub(step.pc);
        let line = self.icache.line_of(pa);
        if line != self.fetch_line {
            self.fetch_line = line;
            if !self.icache.access(pa, false).hit {
                at += self.latency + self.core.fetch.miss;
            }
        }
        self.fetched = at;
    }

    /// The cycle from which the unit takes the instruction.
    fn unit_free(&mut self, work: &Work, step: &Step<'_>) -> u64 {
        match work.unit {
            Unit::Alu | Unit::Branch => self.arithmetic_free,
            Unit::Mul | Unit::MulHigh => self.multiplier_free.max(self.divider_block()),
            Unit::Div { .. } => self.divider_free.max(self.multiplier_free),
            Unit::CsrRead | Unit::CsrWrite(_) => self.csr_free.max(self.arithmetic_free),
            Unit::FpDivide { .. } | Unit::FpRoot { .. } => self.float_free,
            Unit::Load | Unit::LoadNarrow => {
                let (word, clear) = self.last_store;
                let memory = step.access.and_then(|access| access.place.memory());
                let conflict = memory.is_some_and(|pa| pa >> 3 == word);
                let oldest = self.loads[self.next_load].max(self.cache_block());
                if conflict { oldest.max(clear) } else { oldest }
            }
            Unit::Store => {
                let now = self.issued;
                let room = self.stores.as_mut().map_or(0, |stores| stores.room(now + 1));
                room.max(self.cache_block())
            }
            Unit::Fence | Unit::FenceTranslation | Unit::FenceI | Unit::TrapReturn | Unit::Wait => {
                self.csr_free
            }
            _ => 0,
        }
    }

    /// Where stores go to the cache itself, a busy cache holds up every access.
    fn cache_block(&self) -> u64 {
        if self.stores.is_none() { self.cache_free } else { 0 }
    }

    fn divider_block(&self) -> u64 {
        if self.core.integer.divide_blocks { self.divider_free } else { 0 }
    }

    /// Says when its result is there.
    fn execute(
        &mut self,
        work: &Work,
        step: &Step<'_>,
        at: u64,
        walk: &mut dyn FnMut(Target) -> Walk,
    ) -> u64 {
        let float = self.core.float;
        match work.unit {
            Unit::Alu | Unit::Branch => at + 1,
            Unit::Mul | Unit::MulHigh => self.multiply(work.unit, step.x[0], at),
            Unit::Div { signed, word } => {
                let cycles = divide_cycles(self.core.integer.divider, step.x, signed, word);
                self.divider_free = at + cycles;
                if self.core.integer.divide_blocks {
                    self.arithmetic_free = self.arithmetic_free.max(at + cycles);
                }
                at + cycles
            }
            Unit::FpArithmetic { double } => at + float.arithmetic[usize::from(double)],
            Unit::FpDivide { double } => {
                let full = float.divide[usize::from(double)];
                let cycles = full - self.spared(double, step.f).min(full - 1);
                self.float_free = at + cycles;
                at + cycles
            }
            Unit::FpRoot { double } => {
                let cycles = float.root[usize::from(double)];
                self.float_free = at + cycles;
                at + cycles
            }
            Unit::FpSelect { .. } => at + float.select,
            Unit::FpCompare => at + float.compare,
            Unit::FpConvert => at + float.convert,
            Unit::FpToInt => at + float.to_int,
            Unit::IntToFp => at + float.from_int,
            Unit::Load | Unit::LoadNarrow => self.load(work, step, at, walk),
            Unit::Store => self.store(step, at, walk),
            Unit::Amo | Unit::LoadReserved | Unit::StoreConditional => {
                self.atomic(work.unit, step, at, walk)
            }
            Unit::CsrRead | Unit::CsrWrite(_) => {
                let system = &self.core.system;
                let done = at + system.csr_result;
                if let Unit::CsrWrite(csr) = work.unit
                    && system.flushing.has(csr)
                {
                    let cycle = at + system.csr_flush;
                    self.refetch(cycle);
                } else {
                    self.csr_free = at + system.csr;
                    if self.core.integer.divide_blocks {
                        self.arithmetic_free = self.arithmetic_free.max(at + system.csr);
                    }
                }
                done
            }
            Unit::Fence => {
                let written = self.written(at);
                let cycle = written + self.core.system.fence;
                self.refetch(cycle);
                at + 1
            }
            Unit::FenceI => {
                let written = self.written(at);
                self.icache.clear();
                self.fetch_line = NONE;
                self.refetch(written + self.core.system.fence_i);
                at + 1
            }
            Unit::FenceTranslation => {
                let written = self.written(at);
                self.walker_free = self.walker_free.max(written + self.core.system.walker_busy);
                self.refetch(written + self.core.system.fence_translation);
                at + 1
            }
            Unit::TrapReturn => {
                self.predictor.trapped();
                self.refetch(at + self.core.system.trap_return);
                at + 1
            }
            Unit::Wait => at + 1,
        }
    }

    fn multiply(&mut self, unit: Unit, first: u64, at: u64) -> u64 {
        match self.core.integer.multiplier {
            Multiplier::Pipelined { latency } => {
                // One port writes both products and sums.
                self.arithmetic_free = self.arithmetic_free.max(at + latency);
                at + latency
            }
            Multiplier::Iterative { bits, overhead } => {
                let all = 64u64.div_ceil(bits);
                // That the rest is zero shows an iteration later.
                let needed = u64::from(64 - first.leading_zeros()).div_ceil(bits).max(1) + 1;
                let iterations = if unit == Unit::MulHigh { all } else { needed.min(all) };
                self.multiplier_free = at + iterations + overhead;
                self.multiplier_free
            }
        }
    }

    /// Cycles of an FP division that are spared because its quotient is short.
    fn spared(&self, double: bool, operands: [u64; 2]) -> u64 {
        let bits = self.core.float.divide_exact[usize::from(double)];
        if bits == 0 {
            return 0;
        }
        /// Digits that are made in any case.
        const LEAST: u32 = 2;
        let (significant, all) = if double {
            let [a, b] = operands.map(f64::from_bits);
            let quotient = a / b;
            let exact = quotient.is_normal() && quotient.mul_add(b, -a) == 0.0;
            let zeros = quotient.to_bits().trailing_zeros().min(52);
            (if exact { 53 - zeros } else { 53 }, 53u32)
        } else {
            let [a, b] = operands.map(|bits| f32::from_bits(bits as u32));
            let quotient = a / b;
            let exact = quotient.is_normal() && quotient.mul_add(b, -a) == 0.0;
            let zeros = quotient.to_bits().trailing_zeros().min(23);
            (if exact { 24 - zeros } else { 24 }, 24u32)
        };
        let digits = |bits_of: u32| u64::from(bits_of).div_ceil(bits);
        digits(all) - digits(significant).max(u64::from(LEAST)).min(digits(all))
    }

    fn load(
        &mut self,
        work: &Work,
        step: &Step<'_>,
        at: u64,
        walk: &mut dyn FnMut(Target) -> Walk,
    ) -> u64 {
        let Some(access) = step.access else { return at + self.core.load.hit };
        let mut start = at.max(self.cache_free);
        start = self.translate(&access, start, walk);
        let params = self.core.load;
        let done = match access.place {
            Place::Nowhere => start,
            Place::Device => {
                let memory = if params.device_latency { self.latency } else { 0 };
                let done = start + params.device + memory;
                self.cache_free = done;
                done
            }
            Place::Memory(pa) => {
                if let Some(stores) = &self.stores {
                    start = stores.clear_of(pa, start);
                }
                let narrow = work.unit == Unit::LoadNarrow;
                let extra = if work.target >= 32 { self.core.float.load_extra } else { 0 };
                if self.touch(pa, false, start) {
                    start + if narrow { params.narrow } else { params.hit } + extra
                } else {
                    start + params.miss + self.latency
                }
            }
        };
        self.loads[self.next_load] = start;
        self.next_load = (self.next_load + 1) % self.loads.len();
        done
    }

    /// Looks up and fills the data cache; a miss keeps it busy. Whether it hit.
    fn touch(&mut self, pa: u64, store: bool, start: u64) -> bool {
        let lookup = self.dcache.access(pa, store);
        if !lookup.hit {
            let written = if lookup.evicted.is_some() { self.core.load.write_back } else { 0 };
            self.cache_free = start + self.core.load.busy + self.latency + written;
        }
        lookup.hit
    }

    fn store(&mut self, step: &Step<'_>, at: u64, walk: &mut dyn FnMut(Target) -> Walk) -> u64 {
        let Some(access) = step.access else { return at + 1 };
        let mut start = at.max(self.cache_free);
        if self.stores.is_some() {
            start = at;
        }
        start = self.translate(&access, start, walk);
        let Some(pa) = access.place.memory() else {
            if access.place == Place::Device && self.core.load.device_store != 0 {
                self.cache_free = start + self.core.load.device_store;
            }
            return at + 1;
        };
        match &mut self.stores {
            Some(stores) => {
                // The cache is written through where it holds the line.
                self.dcache.probe(pa, false);
                self.translated = self.translated.max(stores.commits(start));
                stores.store(pa, start);
            }
            None => {
                self.touch(pa, true, start);
                self.last_store = (pa >> 3, start + self.core.load.after_store);
            }
        }
        at + 1
    }

    fn atomic(
        &mut self,
        unit: Unit,
        step: &Step<'_>,
        at: u64,
        walk: &mut dyn FnMut(Target) -> Walk,
    ) -> u64 {
        let params = self.core.atomic;
        let mut start = at.max(self.cache_free);
        if let Some(access) = step.access {
            start = self.translate(&access, start, walk);
        }
        let cycles = match unit {
            Unit::LoadReserved => params.load_reserved,
            Unit::StoreConditional => params.store_conditional,
            _ => params.amo,
        };
        let done = if params.in_memory {
            self.written(start) + cycles + self.latency
        } else {
            if let Some(pa) = step.access.and_then(|access| access.place.memory())
                && !self.touch(pa, unit != Unit::LoadReserved, start)
            {
                start = self.cache_free;
            }
            start + cycles
        };
        self.refetch(done);
        done
    }

    /// Translates a data access that begins at `start`; says when it can go on.
    fn translate(
        &mut self,
        access: &Access,
        start: u64,
        walk: &mut dyn FnMut(Target) -> Walk,
    ) -> u64 {
        let start = start.max(self.translator_free);
        self.translated = start;
        if !access.context.translates() || self.dtlb.lookup(access.context, access.va) {
            return start;
        }
        let found = walk(Target::Data(access.va));
        let done = self.walked(start, &found);
        if found.bits != 0 {
            self.dtlb.fill(access.context, access.va, found.bits);
        }
        // Nothing passes an access that waits for its translation.
        self.translator_free = done + self.core.translation.replay;
        self.translated = done;
        done
    }

    /// Walks, from `start` or when the walker is free; says when it is over.
    fn walked(&mut self, start: u64, found: &Walk) -> u64 {
        let params = self.core.translation;
        let mut at = start.max(self.walker_free) + params.walk;
        let last = found.reads.len().saturating_sub(1);
        for (i, &pa) in found.reads.iter().enumerate() {
            if i != last && self.remembered(pa) {
                at += REMEMBERED;
                continue;
            }
            at += if self.dcache.access(pa, false).hit {
                params.read
            } else {
                params.read_miss + self.latency
            };
        }
        self.walker_free = at;
        at
    }

    /// Whether the walker knows the PTE of a table at `pa`; it does from now on.
    fn remembered(&mut self, pa: u64) -> bool {
        if self.tables.is_empty() {
            return false;
        }
        if let Some(slot) = self.tables.iter().position(|&known| known == pa) {
            self.tables_tree.touch(slot);
            return true;
        }
        let slot = self.tables_tree.victim();
        self.tables[slot] = pa;
        self.tables_tree.touch(slot);
        false
    }

    /// The cycle from which earlier stores are in memory.
    fn written(&self, at: u64) -> u64 {
        self.stores.as_ref().map_or(at, |stores| stores.drained(at))
    }

    fn commit(&mut self, done: u64) {
        self.last_commit = self.last_commit.max(done);
        self.commits[self.next_commit] = self.last_commit;
        self.next_commit = (self.next_commit + 1) % self.commits.len();
    }
}

/// Whether an instruction waits until everything before it has committed.
fn executes_at_commit(unit: Unit) -> bool {
    matches!(
        unit,
        Unit::CsrRead
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

/// Cycles of a division.
fn divide_cycles(divider: Divider, x: [u64; 2], signed: bool, word: bool) -> u64 {
    let [a, b] = x.map(|value| match (signed, word) {
        (true, true) => value as i32 as i64 as u64,
        (false, true) => value & 0xffff_ffff,
        (_, false) => value,
    });
    let negative = |value: u64| signed && (value as i64) < 0;
    match divider {
        Divider::Aligning { overhead, trivial } => {
            // Of a negative operand the complement, moved up by one, stands for its size.
            let width = |value: u64| {
                let size = if negative(value) { !value << 1 } else { value };
                64 - size.leading_zeros()
            };
            match (width(a), width(b)) {
                (0, _) | (_, 0) => trivial,
                (a, b) if a < b => trivial,
                (a, b) => u64::from(a - b) + overhead,
            }
        }
        Divider::Skipping { overhead } => {
            let size = |value: u64| if negative(value) { value.wrapping_neg() } else { value };
            let highest = |value: u64| u64::from(value.checked_ilog2().unwrap_or(0));
            let signs =
                u64::from(negative(a) || negative(b)) + u64::from(negative(a) != negative(b));
            let bits =
                if b == 0 { 62 } else { highest(size(a)).wrapping_sub(highest(size(b))) & 63 };
            bits + overhead + signs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_takes_a_cycle_for_each_bit_of_its_quotient() {
        let aligning = Divider::Aligning { overhead: 4, trivial: 3 };
        let skipping = Divider::Skipping { overhead: 5 };
        let max = i64::MAX as u64;
        // Operands, signed, and cycles as the cores were measured, less the loop around them.
        for (a, b, signed, cva6, rocket) in [
            (0, 1, true, 3, 5),
            (1, 1, true, 4, 5),
            (255, 3, true, 10, 11),
            (65535, 3, true, 18, 19),
            (0x7fff_ffff, 3, true, 33, 34),
            (max, 3, true, 65, 66),
            (max, 0x7fff_ffff, true, 36, 37),
            (max, max >> 1, true, 5, 6),
            (3, max >> 1, true, 3, 9),
            ((-1_000_000i64) as u64, 3, true, 23, 25),
            (12345, 0, true, 3, 67),
            (u64::MAX, 3, false, 66, 67),
        ] {
            assert_eq!(divide_cycles(aligning, [a, b], signed, false), cva6, "{a} / {b}");
            assert_eq!(divide_cycles(skipping, [a, b], signed, false), rocket, "{a} / {b}");
        }
    }
}
