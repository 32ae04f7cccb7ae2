//! Runs decoded code from one place to the next, as long as that is quickly found and nothing asks for attention.
//!
//! A tier does what is frequent and simple, for as long as it can; whatever it stops before is done here, by [`exec`].

use isa::{Decoder, Exception, Insn, PAGE_BYTES};

use crate::code::{CodeCache, CodePage, End, Place};
use crate::core::Core;
use crate::exec;
use crate::op::{Op, is_control_transfer};
use crate::platform::Platform;
use crate::thread;
use crate::transform::transformed;
use crate::trap::Trap;

const PAGE: u64 = !(PAGE_BYTES - 1);

/// What bounds a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many instructions will have retired since power-on; one more than now, at least.
    pub(crate) end: u64,
    /// How many events of watched pages have been read; when there are more the run ends.
    pub(crate) pages_seen: u64,
}

/// Where a tier stopped: the instruction there is not done, though some before it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped<'a> {
    pub(crate) place: Place<'a>,
    /// How many instructions there was room for when it stopped.
    pub(crate) left: u64,
}

/// A way to run operations. All ways have the same effects in the same order, so that a tier may stop and start anywhere.
pub(crate) trait Tier {
    /// How many operations are done by `exec` where the tier stopped, at most.
    const STEP: u64;

    /// Runs from `place` on, in the page whose virtual address `core.pc` is, which it keeps up; `left` instructions at most.
    /// It touches neither the counters nor what asks for attention.
    fn run<'a>(core: &mut Core, codes: &'a CodeCache, place: Place<'a>, left: u64) -> Stopped<'a>;
}

/// The portable tier: everything is done by `exec`.
pub(crate) struct Portable;

impl Tier for Portable {
    const STEP: u64 = u64::MAX;

    #[inline(always)]
    fn run<'a>(_: &mut Core, _: &'a CodeCache, place: Place<'a>, left: u64) -> Stopped<'a> {
        Stopped { place, left }
    }
}

/// Runs from `place` on, which is where `pc` is. Returns the trap that ends the run, with
/// `pc` at its instruction.
///
/// It may end early for no other reason than that the next instruction takes longer to find.
pub(crate) fn run<'a, T: Tier>(
    core: &mut Core,
    decoder: &Decoder,
    port: &mut dyn Platform,
    codes: &'a CodeCache,
    mut place: Place<'a>,
    bounds: Bounds,
) -> Option<Trap> {
    core.pc &= PAGE;
    loop {
        let room = bounds.end - core.retired;
        let stopped = T::run(core, codes, place, room);
        count(core, room - stopped.left);
        let (page, Place { page: code, number }) = (core.pc, stopped.place);
        let &op = code.op(number)?;
        let mut last = (op, number);
        if op.rest == 0 {
            core.pc = page.wrapping_add(op.imm as u64);
            let illegal = op.aux == End::Illegal as u8 && stopped.left != 0;
            if illegal {
                let bits = code.bits(number).unwrap_or(0);
                return Some(Trap::new(Exception::IllegalInstruction, u64::from(bits)));
            }
            if op.aux != End::Next as u8 {
                return None;
            }
        } else {
            let (ops, end) = code.part(number, stopped.left.min(T::STEP));
            let ran = exec::run(core, port, page, ops, end);
            core.settle_block(ran.retired);
            if ran.faulted {
                return complete(core, decoder, code.bits(number + ran.retired as u16)?);
            }
            // A tier alone changes neither.
            if core.recheck || core.ram.page_events() != bounds.pages_seen {
                return None;
            }
            let done = ran.retired.checked_sub(1)?;
            last = (ops[done], number + done as u16);
        }
        if core.retired >= bounds.end {
            return None;
        }
        place = next(core, codes, stopped.place.page, page, last)?;
        core.pc &= PAGE;
    }
}

/// The place at `pc` after `last`, an operation of `code` and its number, which ran in the virtual page `page`; where no more than the native
/// TLB is needed to find it.
#[inline(always)]
fn next<'a>(
    core: &Core,
    codes: &'a CodeCache,
    code: &'a CodePage,
    page: u64,
    (op, number): (Op, u16),
) -> Option<Place<'a>> {
    // What else ends a run may change translation.
    let stays = op.rest != 1 || is_control_transfer(op.code);
    if !stays || (core.pc ^ page) & PAGE != 0 {
        return codes.find(core.mmu.fetch_page(core.pc)?);
    }
    // Both lie in one page of either address space.
    let to = code.entry(core.pc);
    if to == 0 {
        return None;
    }
    if core.pc == page.wrapping_add(op.imm as u64) {
        thread::link(code, number, to);
    }
    Some(Place { page: code, number: to })
}

/// Runs an instruction that is not kept, at `pc`. Returns its trap.
pub(crate) fn run_one(
    core: &mut Core,
    decoder: &Decoder,
    port: &mut dyn Platform,
    insn: &Insn,
) -> Option<Trap> {
    let op = Op::new(decoder, insn, 0);
    let ran = exec::run(core, port, core.pc, &[op], u64::from(insn.len));
    core.settle_block(ran.retired);
    if ran.faulted { complete(core, decoder, insn.bits) } else { None }
}

/// So many instructions retired that had nothing to do with time.
#[inline(always)]
fn count(core: &mut Core, instructions: u64) {
    core.retired += instructions;
    core.cycle += instructions;
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
    if let Some(offset) = fault.offset
        && let Some(insn) = decoder.decode(bits)
    {
        trap.tinst = transformed(&insn, offset);
    }
    Some(trap)
}
