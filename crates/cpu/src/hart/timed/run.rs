//! How the instructions of timed blocks run: what the cycle model wants to know of an instruction is noted by the way.
//!
//! Here is what is frequent and simple. Anything else, such as a load that the native TLB does not serve, stops *before* the
//! instruction, with nothing done, and the ordinary engine executes that one.
//!
//! An operation runs and calls the one behind it, which an optimising build makes a jump: no central loop decides what comes
//! next. Calls nest as deep as a block is long.

use isa::{Decoder, Insn, Op as Code};
use mmu::{Kind, Scalar};
use timing::{Arithmetic, Filter, Item, Operands};

use crate::bits::{self, sext32};
use crate::core::Core;
use crate::csr::set_fs_dirty;
use crate::exec::float;
use crate::exec::pure::{of_one_register, of_register_and_immediate, of_two_registers};
use crate::op::{CHECKS_TARGET, Op, is_control_transfer};

/// Runs an operation of the block at `core.pc`, and those behind it, noting numbers: how many were not done. The first that was not did
/// nothing.
type Run = fn(&mut Core, &TimedOp, &[TimedOp], &mut Filter) -> usize;

/// Goes on behind an operation.
#[inline(always)]
fn next(core: &mut Core, behind: &[TimedOp], filter: &mut Filter) -> usize {
    match behind.split_first() {
        Some((op, behind)) => (op.run)(core, op, behind, filter),
        None => 0,
    }
}

/// Stops before an operation.
#[inline(always)]
fn stop(behind: &[TimedOp]) -> usize {
    behind.len() + 1
}

/// Runs a load or store once more, if it missed nothing but a page that the second level of the native TLB has.
#[inline(never)]
fn again<T: Scalar>(
    core: &mut Core,
    op: &TimedOp,
    behind: &[TimedOp],
    filter: &mut Filter,
    kind: Kind,
) -> usize {
    let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
    let aligned = va & (T::BYTES - 1) == 0;
    let found = aligned && core.recall(va, kind);
    // A page that is watched may not be written natively.
    let served = match kind {
        Kind::Load => core.mmu.readable::<T>(va),
        _ => core.mmu.writable::<T>(va),
    };
    if !found || served.is_none() {
        return stop(behind);
    }
    (op.run)(core, op, behind, filter)
}

/// Goes on behind a load that may take time.
#[inline(never)]
fn after_load<T: Scalar>(
    core: &mut Core,
    op: &TimedOp,
    behind: &[TimedOp],
    filter: &mut Filter,
    va: u64,
) -> usize {
    filter.load(va, (op.number, op.touch), T::BYTES as u8);
    next(core, behind, filter)
}

/// The same behind a store.
#[inline(never)]
fn after_store<T: Scalar>(
    core: &mut Core,
    op: &TimedOp,
    behind: &[TimedOp],
    filter: &mut Filter,
    va: u64,
) -> usize {
    filter.store(va, (op.number, op.touch), T::BYTES as u8);
    next(core, behind, filter)
}

/// An instruction, ready to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedOp {
    run: Run,
    op: Op,
    /// The offset behind it in its block.
    behind: u16,
    /// Which of the block's instructions it is, and which of those that are loads and stores or note operands.
    number: u8,
    touch: u8,
    /// What it does with operands that are noted.
    arithmetic: Arithmetic,
}

impl TimedOp {
    /// Prepares `insn`, `offset` bytes into its block. `None` where it is not for timed blocks.
    pub(super) fn new(
        decoder: &Decoder,
        insn: &Insn,
        offset: u16,
        item: &Item,
        (number, touch): (u8, u8),
    ) -> Option<Self> {
        let op = Op::new(decoder, insn, offset);
        let run = run_of(&op)?;
        let run = match item.operands() {
            Operands::None => run,
            Operands::Integer => noting_x(&op)?,
            Operands::Float => noting_f,
        };
        let arithmetic = item.arithmetic();
        Some(Self { run, op, behind: offset + u16::from(insn.len), number, touch, arithmetic })
    }

    /// Its offset in its block.
    pub(super) fn offset(&self) -> u16 {
        self.op.offset
    }
}

/// Whether an instruction is for timed blocks.
pub(super) fn can_run(decoder: &Decoder, insn: &Insn) -> bool {
    run_of(&Op::new(decoder, insn, 0)).is_some()
}

/// Runs operations; how many of them ran.
#[inline]
pub(super) fn run(core: &mut Core, ops: &[TimedOp], filter: &mut Filter) -> usize {
    ops.len() - next(core, ops, filter)
}

/// Notes both operands.
fn note_two(filter: &mut Filter, op: &TimedOp, first: u64, second: u64) {
    filter.note(op.touch, first);
    filter.note(op.touch, second);
}

fn nothing(core: &mut Core, _: &TimedOp, behind: &[TimedOp], filter: &mut Filter) -> usize {
    next(core, behind, filter)
}

fn constant(core: &mut Core, op: &TimedOp, behind: &[TimedOp], filter: &mut Filter) -> usize {
    core.set_x(op.op.rd, op.op.imm as u64);
    next(core, behind, filter)
}

fn auipc(core: &mut Core, op: &TimedOp, behind: &[TimedOp], filter: &mut Filter) -> usize {
    core.set_x(op.op.rd, core.pc.wrapping_add(op.op.imm as u64));
    next(core, behind, filter)
}

fn jal(core: &mut Core, op: &TimedOp, _: &[TimedOp], _: &mut Filter) -> usize {
    core.set_x(op.op.rd, core.pc.wrapping_add(op.behind.into()));
    core.pc = core.pc.wrapping_add(op.op.imm as u64);
    0
}

fn jalr(core: &mut Core, op: &TimedOp, _: &[TimedOp], _: &mut Filter) -> usize {
    let target = core.x(op.op.rs1).wrapping_add(op.op.imm as u64) & !1;
    core.set_x(op.op.rd, core.pc.wrapping_add(op.behind.into()));
    core.pc = target;
    0
}

/// Whatever `exec::float` does with registers alone. What is not permitted changes nothing.
fn floating(core: &mut Core, op: &TimedOp, behind: &[TimedOp], filter: &mut Filter) -> usize {
    if core.fp_is_off() || float::execute(core, op.op).is_err() {
        return stop(behind);
    }
    next(core, behind, filter)
}

fn noting_f(core: &mut Core, op: &TimedOp, behind: &[TimedOp], filter: &mut Filter) -> usize {
    let [first, second] = [op.op.rs1, op.op.rs2].map(|register| core.f[usize::from(register & 31)]);
    if core.fp_is_off() || float::execute(core, op.op).is_err() {
        return stop(behind);
    }
    note_two(filter, op, first, second);
    next(core, behind, filter)
}

/// Products and quotients, whose operands are noted.
fn noting_x(op: &Op) -> Option<Run> {
    macro_rules! two {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Code::$name => {
                    fn run(
                        core: &mut Core,
                        op: &TimedOp,
                        behind: &[TimedOp],
                        filter: &mut Filter,
                    ) -> usize {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        let (a, b) = (core.x(op.op.rs1), core.x(op.op.rs2));
                        core.set_x(op.op.rd, meaning(a, b));
                        filter.operands(op.arithmetic, (op.number, op.touch), [a, b]);
                        next(core, behind, filter)
                    }
                    Some(run)
                })*
                _ => None,
            }
        };
    }
    of_two_registers!(two)
}

/// How an operation runs.
fn run_of(op: &Op) -> Option<Run> {
    macro_rules! two {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Code::$name => {
                    fn run(
                        core: &mut Core,
                        op: &TimedOp,
                        behind: &[TimedOp],
                        filter: &mut Filter,
                    ) -> usize {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(op.op.rd, meaning(core.x(op.op.rs1), core.x(op.op.rs2)));
                        next(core, behind, filter)
                    }
                    return Some(run);
                })*
                _ => {}
            }
        };
    }
    macro_rules! immediate {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Code::$name => {
                    fn run(
                        core: &mut Core,
                        op: &TimedOp,
                        behind: &[TimedOp],
                        filter: &mut Filter,
                    ) -> usize {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(op.op.rd, meaning(core.x(op.op.rs1), op.op.imm as u64));
                        next(core, behind, filter)
                    }
                    return Some(run);
                })*
                _ => {}
            }
        };
    }
    macro_rules! one {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Code::$name => {
                    fn run(
                        core: &mut Core,
                        op: &TimedOp,
                        behind: &[TimedOp],
                        filter: &mut Filter,
                    ) -> usize {
                        let meaning: fn(u64) -> u64 = $meaning;
                        core.set_x(op.op.rd, meaning(core.x(op.op.rs1)));
                        next(core, behind, filter)
                    }
                    return Some(run);
                })*
                _ => {}
            }
        };
    }
    macro_rules! branch {
        (|$a:ident, $b:ident| $test:expr) => {{
            fn run(core: &mut Core, op: &TimedOp, _: &[TimedOp], _: &mut Filter) -> usize {
                let ($a, $b) = (core.x(op.op.rs1), core.x(op.op.rs2));
                let offset = if $test { op.op.imm as u64 } else { op.behind.into() };
                core.pc = core.pc.wrapping_add(offset);
                0
            }
            run
        }};
    }
    macro_rules! load {
        ($t:ty, $signed:ty) => {{
            fn run(
                core: &mut Core,
                op: &TimedOp,
                behind: &[TimedOp],
                filter: &mut Filter,
            ) -> usize {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                let Some(value) = core.load::<$t>(va) else {
                    return again::<$t>(core, op, behind, filter, Kind::Load);
                };
                core.set_x(op.op.rd, value as $signed as u64);
                if !filter.passes_load(va) {
                    return after_load::<$t>(core, op, behind, filter, va);
                }
                next(core, behind, filter)
            }
            run
        }};
    }
    macro_rules! store {
        ($t:ty) => {{
            fn run(
                core: &mut Core,
                op: &TimedOp,
                behind: &[TimedOp],
                filter: &mut Filter,
            ) -> usize {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                if !core.store::<$t>(va, core.x(op.op.rs2) as $t) {
                    return again::<$t>(core, op, behind, filter, Kind::Store);
                }
                if !filter.passes_store(va, size_of::<$t>() as u8) {
                    return after_store::<$t>(core, op, behind, filter, va);
                }
                next(core, behind, filter)
            }
            run
        }};
    }
    macro_rules! float_load {
        ($t:ty, $boxed:expr) => {{
            fn run(
                core: &mut Core,
                op: &TimedOp,
                behind: &[TimedOp],
                filter: &mut Filter,
            ) -> usize {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                if core.fp_is_off() {
                    return stop(behind);
                }
                let Some(value) = core.load::<$t>(va) else {
                    return again::<$t>(core, op, behind, filter, Kind::Load);
                };
                core.f[usize::from(op.op.rd & 31)] = u64::from(value) | $boxed;
                set_fs_dirty(core);
                if !filter.passes_load(va) {
                    return after_load::<$t>(core, op, behind, filter, va);
                }
                next(core, behind, filter)
            }
            run
        }};
    }
    macro_rules! float_store {
        ($t:ty) => {{
            fn run(
                core: &mut Core,
                op: &TimedOp,
                behind: &[TimedOp],
                filter: &mut Filter,
            ) -> usize {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                let value = core.f[usize::from(op.op.rs2 & 31)];
                if core.fp_is_off() {
                    return stop(behind);
                }
                if !core.store::<$t>(va, value as $t) {
                    return again::<$t>(core, op, behind, filter, Kind::Store);
                }
                if !filter.passes_store(va, size_of::<$t>() as u8) {
                    return after_store::<$t>(core, op, behind, filter, va);
                }
                next(core, behind, filter)
            }
            run
        }};
    }
    if is_control_transfer(op.code) && op.aux == CHECKS_TARGET {
        return None;
    }
    if op.code == Code::Addi && op.rs1 == 0 {
        return Some(constant);
    }
    of_two_registers!(two);
    of_register_and_immediate!(immediate);
    of_one_register!(one);
    let run: Run = match op.code {
        Code::Lui => constant,
        Code::Auipc => auipc,
        Code::Jal => jal,
        Code::Jalr => jalr,
        Code::Beq => branch!(|a, b| a == b),
        Code::Bne => branch!(|a, b| a != b),
        Code::Blt => branch!(|a, b| (a as i64) < b as i64),
        Code::Bge => branch!(|a, b| a as i64 >= b as i64),
        Code::Bltu => branch!(|a, b| a < b),
        Code::Bgeu => branch!(|a, b| a >= b),
        Code::Lb => load!(u8, i8),
        Code::Lh => load!(u16, i16),
        Code::Lw => load!(u32, i32),
        Code::Ld => load!(u64, u64),
        Code::Lbu => load!(u8, u8),
        Code::Lhu => load!(u16, u16),
        Code::Lwu => load!(u32, u32),
        Code::Sb => store!(u8),
        Code::Sh => store!(u16),
        Code::Sw => store!(u32),
        Code::Sd => store!(u64),
        Code::Flw => float_load!(u32, 0xffff_ffff << 32),
        Code::Fld => float_load!(u64, 0),
        Code::Fsw => float_store!(u32),
        Code::Fsd => float_store!(u64),
        Code::Fence | Code::Pause => nothing,
        Code::Flh | Code::Fsh => return None,
        code if code.row().operands.contains("frd") || code.row().operands.contains("frs1") => {
            floating
        }
        _ => return None,
    };
    Some(run)
}
