//! Runs one block after the other, without leaving the loop as long as the next one is quickly found
//! and nothing asks for attention.

use isa::{Decoder, Exception};

use crate::block::{Block, BlockCache};
use crate::core::Core;
use crate::exec::{self, Ran};
use crate::platform::Platform;
use crate::transform::transformed;
use crate::trap::Trap;

/// What bounds a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many instructions will have retired since power-on; one more than now, at least.
    pub(crate) end: u64,
    /// How many events of watched pages have been read; when there are more the run ends.
    pub(crate) pages_seen: u64,
}

/// Runs `block`, which is the one at `pc`, and what follows. Returns the trap that ends the run, with
/// `pc` at its instruction.
///
/// It may end early for no other reason than that the next block takes longer to find.
pub(crate) fn run<'a>(
    core: &mut Core,
    decoder: &Decoder,
    port: &mut dyn Platform,
    blocks: &'a BlockCache,
    mut block: &'a Block,
    bounds: Bounds,
) -> Option<Trap> {
    let mut left = bounds.end - core.retired;
    if block.len() as u64 > left {
        let (ops, end) = block.part(0, left as usize);
        let ran = exec::run(core, port, core.pc, 0, ops, u64::from(end));
        return part_done(core, decoder, block, ran, bounds);
    }
    // The counters are behind by what `left` has lost, while blocks are done by their threads alone.
    let mut counted = left;
    loop {
        let pc = core.pc;
        let stopped = block.thread.run(core, 0, pc);
        if stopped != block.len() {
            count(core, counted - left);
            let ran = interrupted(core, port, pc, block, stopped);
            if ran.faulted || block.illegal.is_some() {
                return part_done(core, decoder, block, ran, bounds);
            }
            core.settle_block(ran.retired);
            left = bounds.end - core.retired;
            counted = left;
            // A thread alone changes neither.
            if core.recheck || core.ram.page_events() != bounds.pages_seen {
                return None;
            }
        } else {
            left -= stopped as u64;
        }
        match blocks.successor(block, pc, core.pc, &core.mmu) {
            // Where there is room for a part of it only, the caller runs that.
            Some(next) if (next.len() as u64) < left => block = next,
            _ => break,
        }
    }
    count(core, counted - left);
    None
}

/// So many instructions retired that had nothing to do with time.
#[inline(always)]
fn count(core: &mut Core, instructions: u64) {
    core.retired += instructions;
    core.cycle += instructions;
}

/// A block was left for good; the trap that follows, if any.
#[cold]
fn part_done(
    core: &mut Core,
    decoder: &Decoder,
    block: &Block,
    ran: Ran,
    bounds: Bounds,
) -> Option<Trap> {
    let Ran { retired, faulted } = ran;
    core.settle_block(retired);
    if faulted {
        return complete(core, decoder, block.bits(retired).unwrap_or(0));
    }
    // An interrupt comes before the next instruction, and a store may have made it a legal one. The block's first
    // instruction was looked at when the hart came here.
    let since = core.recheck || core.ram.page_events() != bounds.pages_seen;
    if retired != 0 && since {
        return None;
    }
    let left = bounds.end - core.retired;
    let bits = block.illegal.filter(|_| left != 0 && retired == block.len())?;
    Some(Trap::new(Exception::IllegalInstruction, u64::from(bits)))
}

/// Goes on with `block` at the operation with that number, which does more than a thread can.
#[inline(never)]
fn interrupted(
    core: &mut Core,
    port: &mut dyn Platform,
    pc: u64,
    block: &Block,
    mut number: usize,
) -> Ran {
    loop {
        if number > block.len() {
            // What stands behind the last operation cannot be decoded.
            return Ran { retired: block.len(), faulted: false };
        }
        let (op, end) = block.part(number, 1);
        let ran = exec::run(core, port, pc, number, op, u64::from(end));
        if ran.faulted || core.recheck || ran.retired == block.len() {
            return ran;
        }
        // Inside a block it stays where the block begins.
        core.pc = pc;
        number = block.thread.run(core, ran.retired, pc);
        if number == block.len() {
            return Ran { retired: number, faulted: false };
        }
    }
}

/// The trap of the instruction `bits`, which left a fault.
#[cold]
fn complete(core: &mut Core, decoder: &Decoder, bits: u32) -> Option<Trap> {
    let fault = core.fault.take()?;
    let mut trap = fault.trap;
    match trap.exception {
        Exception::IllegalInstruction | Exception::VirtualInstruction => {
            trap.tval = u64::from(bits);
        }
        _ => {}
    }
    if let (Some(offset), Some(insn)) = (fault.offset, decoder.decode(bits)) {
        trap.tinst = transformed(&insn, offset);
    }
    Some(trap)
}
