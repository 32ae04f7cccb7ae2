//! Timed blocks, found by physical address.

use std::cell::Cell;
use std::collections::HashMap;

use isa::{Decoder, Insn, PAGE_BYTES, Pa};
use mmu::Ram;
use timing::{Item, Model};

use super::run::{TimedOp, can_run};
use crate::code::Offsets;
use crate::op::is_control_transfer;

/// Instructions that run and are timed together. What each run looks at lies together.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct TimedBlock {
    /// Its physical address.
    pub(super) pa: u64,
    pub(super) ops: Box<[TimedOp]>,
    /// Which blocks came next, last time: behind the last instruction, and elsewhere. Only a hint.
    links: [Cell<u32>; 2],
    /// Bytes.
    pub(super) bytes: u16,
    /// What follows the last instruction is the end of the page or a jump's target.
    pub(super) ends_run: bool,
    /// The last instruction jumps or branches.
    pub(super) jumps: bool,
    pub(super) timing: timing::Block,
    /// What stands there instead, if that is one instruction that is not for blocks.
    pub(super) single: Option<(Insn, Item)>,
}

/// How many places the direct-mapped table has.
const SLOTS: usize = 1 << 14;
/// Operations kept at most; then everything is dropped.
const MAX_OPS: usize = 1 << 20;
/// No physical address of an instruction.
const VACANT: u64 = u64::MAX;

/// All timed blocks of a hart.
#[derive(Debug)]
pub(super) struct TimedCode {
    blocks: Vec<TimedBlock>,
    free: Vec<u32>,
    by_pa: HashMap<u64, u32>,
    by_page: HashMap<u64, Vec<u32>>,
    slots: Box<[Cell<u32>]>,
    ops: usize,
}

impl TimedCode {
    pub(super) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            by_pa: HashMap::new(),
            by_page: HashMap::new(),
            slots: vec![Cell::new(0); SLOTS].into(),
            ops: 0,
        }
    }

    #[inline]
    fn slot(pa: u64) -> usize {
        ((pa >> 1) ^ (pa >> 13)) as usize % SLOTS
    }

    /// The block with a number that may be out of date, if it starts at `pa`.
    #[inline]
    fn at(&self, number: u32, pa: u64) -> Option<&TimedBlock> {
        self.blocks.get(number as usize).filter(|block| block.pa == pa)
    }

    /// The block at `pa`.
    #[inline]
    pub(super) fn find(&self, pa: u64) -> Option<&TimedBlock> {
        let slot = &self.slots[Self::slot(pa)];
        if let Some(block) = self.at(slot.get(), pa) {
            return Some(block);
        }
        slot.set(*self.by_pa.get(&pa)?);
        self.at(slot.get(), pa)
    }

    /// The block at `pa`, which is where `from` goes on, `straight` or not.
    #[inline]
    pub(super) fn successor(
        &self,
        from: &TimedBlock,
        straight: bool,
        pa: u64,
    ) -> Option<&TimedBlock> {
        let link = &from.links[usize::from(!straight)];
        if let Some(block) = self.at(link.get(), pa) {
            return Some(block);
        }
        let block = self.find(pa)?;
        link.set(self.slots[Self::slot(pa)].get());
        Some(block)
    }

    pub(super) fn insert(&mut self, block: TimedBlock) {
        if self.ops + block.ops.len() > MAX_OPS {
            *self = Self::new();
        }
        self.ops += block.ops.len();
        let pa = block.pa;
        let number = match self.free.pop() {
            Some(number) => {
                self.blocks[number as usize] = block;
                number
            }
            None => {
                self.blocks.push(block);
                (self.blocks.len() - 1) as u32
            }
        };
        self.by_pa.insert(pa, number);
        self.by_page.entry(Pa(pa).page().0).or_default().push(number);
        self.slots[Self::slot(pa)].set(number);
    }

    /// Drops the blocks of one page, or everything.
    pub(super) fn forget(&mut self, page: Option<Pa>) {
        let Some(page) = page else {
            *self = Self::new();
            return;
        };
        for number in self.by_page.remove(&page.0).unwrap_or_default() {
            let block = &mut self.blocks[number as usize];
            self.ops -= block.ops.len();
            self.by_pa.remove(&block.pa);
            block.pa = VACANT;
            block.ops = Box::default();
            self.free.push(number);
        }
    }
}

/// Prepares what stands at `pa`, up to the end of its page. A block without operations stands where the first one is
/// not for blocks.
///
/// Nothing goes into a block that stands at one of these page offsets, where a debugger may halt the hart.
pub(super) fn prepare(
    decoder: &Decoder,
    model: &mut Model,
    ram: &Ram,
    pa: Pa,
    stops: Option<&Offsets>,
) -> TimedBlock {
    let page_end = pa.page().0 + PAGE_BYTES;
    let (mut ops, mut insns) = (Vec::new(), Vec::<Insn>::new());
    let (mut at, mut jumps, mut single, mut touches) = (pa.0, false, None, 0);
    let stops_at = |at| stops.is_some_and(|stops| stops.contains(at));
    while insns.len() < timing::Block::MAX && !jumps && at + 2 <= page_end && !stops_at(at) {
        let Some(insn) = read(decoder, ram, at, page_end) else { break };
        let item = model.item(&insn, at);
        let (offset, numbers) = ((at - pa.0) as u16, (insns.len() as u8, touches));
        let Some(op) = TimedOp::new(decoder, &insn, offset, &item, numbers) else {
            single = Some((insn, item));
            break;
        };
        touches += u8::from(item.touches());
        ops.push(op);
        insns.push(insn);
        at += u64::from(insn.len);
        jumps = is_control_transfer(insn.op);
    }
    TimedBlock {
        pa: pa.0,
        ops: ops.into(),
        bytes: (at - pa.0) as u16,
        ends_run: jumps || at == page_end,
        jumps,
        single: single.filter(|_| insns.is_empty()),
        timing: model.block(pa.0, &insns),
        links: Default::default(),
    }
}

/// Whether an instruction could stand in a block: what cannot ends a run, and so does a jump.
pub(super) fn ends_run(decoder: &Decoder, insn: &Insn) -> bool {
    is_control_transfer(insn.op) || !can_run(decoder, insn)
}

fn read(decoder: &Decoder, ram: &Ram, at: u64, page_end: u64) -> Option<Insn> {
    let low = u32::from(ram.read::<u16>(Pa(at))?);
    let word = match low & 3 {
        3 if at + 4 <= page_end => ram.read::<u32>(Pa(at))?,
        3 => return None,
        _ => low,
    };
    decoder.decode(word)
}
