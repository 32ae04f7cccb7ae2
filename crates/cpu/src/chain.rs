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
    let (mut ops, mut end) = block.first(bounds.end - core.retired);
    loop {
        let pc = core.pc;
        let Ran { retired, faulted } = exec::run(core, port, pc, ops, u64::from(end));
        if faulted {
            // Said on either side, so that a block without a fault runs on without asking again.
            core.settle_block(retired);
            return complete(core, decoder, block.bits.get(retired).copied().unwrap_or(0));
        }
        core.settle_block(retired);
        // An interrupt comes before the next instruction, and a store may have made it a legal one.
        if core.recheck || core.ram.page_events() != bounds.pages_seen {
            return None;
        }
        let left = bounds.end - core.retired;
        if let Some(bits) = block.illegal
            && left != 0
            && retired == block.ops.len()
        {
            return Some(Trap::new(Exception::IllegalInstruction, u64::from(bits)));
        }
        block = blocks.successor(block, pc, core.pc, &core.mmu)?;
        if block.ops.len() as u64 >= left {
            // The caller runs the part of it that there is room for.
            return None;
        }
        (ops, end) = (&block.ops, block.end);
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
