//! Blocks of instructions that are told to the model together, after they were executed.

use crate::counts::{Packed, Weight};
use crate::item::{Item, Operands};
use crate::params::Core;
use crate::predictor::{Last, Transfer};
use crate::work::Unit;
use isa::Insn;
use std::cell::Cell;

/// Something of an instruction that the model wants to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Touch {
    /// The instruction with this number loads so many bytes: one number, the address.
    Load(u8, u8),
    /// It stores: one number, the address.
    Store(u8, u8),
    /// Its time depends on its operands: two numbers.
    Operands(u8),
}

/// Instructions that follow each other in one page, of which only the last can be a jump. What is looked at whenever one was executed
/// lies together.
#[derive(Debug)]
#[repr(C)]
pub struct Block {
    /// Its number: no two blocks have the same.
    pub(crate) number: u32,
    /// How many instructions it has.
    pub(crate) count: u8,
    /// How it ends, to a quick look.
    pub(crate) end: Last,
    /// The age of the instruction cache at which all of its lines were there.
    pub(crate) fresh: Cell<u64>,
    /// Its last line in the instruction cache.
    pub(crate) last_line: u64,
    /// What all of it counts for: fetched without its first packet, and with it.
    pub(crate) weights: [Packed; 2],
    pub(crate) first_line: u64,
    /// Its physical address.
    pub(crate) pa: u64,
    pub(crate) items: Box<[Item]>,
    pub(crate) touches: Box<[Touch]>,
    /// The last instruction, where it is a jump or branch, as it is where the block begins at 0.
    last: Option<Transfer>,
}

/// How a block was executed.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Its address.
    pub pc: u64,
    /// How many of its instructions were executed.
    pub done: usize,
    /// Where execution goes on.
    pub next: u64,
}

impl Block {
    /// At most so many instructions.
    pub const MAX: usize = 64;

    /// Prepares instructions that lie at `pa`.
    pub(crate) fn new(core: &Core, number: u32, pa: u64, insns: &[Insn]) -> Self {
        let mut at = pa;
        let mut items = Vec::with_capacity(insns.len());
        let mut touches = Vec::new();
        let mut last = None;
        for (number, insn) in insns.iter().take(Self::MAX).enumerate() {
            let item = Item::new(core, insn, at);
            let number = number as u8;
            match item.work.unit {
                Unit::Load | Unit::LoadNarrow => touches.push(Touch::Load(number, item.work.bytes)),
                Unit::Store => touches.push(Touch::Store(number, item.work.bytes)),
                _ if item.operands != Operands::None => touches.push(Touch::Operands(number)),
                _ => {}
            }
            last = item.transfer(at - pa);
            items.push(item);
            at += u64::from(insn.len);
        }
        let bits = core.icache.line.trailing_zeros();
        Self {
            number,
            count: items.len() as u8,
            pa,
            weights: [false, true].map(|resumes| Packed::new(&Weight::of_all(&items, resumes))),
            items: items.into(),
            touches: touches.into(),
            first_line: pa >> bits,
            last_line: (at - 1).max(pa) >> bits,
            fresh: Cell::new(0),
            last,
            end: Last::new(last.as_ref(), at - pa),
        }
    }

    /// The instructions that were executed.
    pub(crate) fn done(&self, run: &Run) -> &[Item] {
        self.items.get(..run.done).unwrap_or(&self.items)
    }

    /// The jump or branch at its end, where it was executed at `pc`.
    #[inline]
    pub(crate) fn transfer(&self, pc: u64) -> Option<Transfer> {
        let last = self.last?;
        Some(Transfer {
            pc: last.pc.wrapping_add(pc),
            target: last.target.wrapping_add(pc),
            ..last
        })
    }
}

impl Item {
    /// What it is to prediction, at `pc`.
    #[inline]
    pub(crate) fn transfer(&self, pc: u64) -> Option<Transfer> {
        self.work.flow.map(|flow| Transfer {
            pc,
            len: self.len.into(),
            flow,
            target: pc.wrapping_add(i64::from(self.imm) as u64),
        })
    }
}
