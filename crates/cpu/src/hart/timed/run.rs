//! How the instructions of timed blocks run: what the cycle model wants to know of an instruction is noted by the way.
//!
//! Here is what is frequent and simple. Anything else, such as a load that the native TLB does not serve, stops *before* the
//! instruction, with nothing done, and the ordinary engine executes that one.

use isa::{Decoder, Insn, Op as Code};

use crate::bits::{self, sext32};
use crate::core::Core;
use crate::csr::set_fs_dirty;
use crate::exec::float;
use crate::exec::pure::{of_one_register, of_register_and_immediate, of_two_registers};
use crate::op::{CHECKS_TARGET, Op, is_control_transfer};

/// Runs an instruction of the block at `core.pc`; false where it does not, and nothing was done.
type Run = fn(&mut Core, &TimedOp, &mut Noted) -> bool;

/// An instruction, ready to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedOp {
    run: Run,
    op: Op,
    /// The offset behind it in its block.
    behind: u16,
}

/// What instructions of a block noted: addresses and operands.
#[derive(Debug)]
pub(super) struct Noted {
    numbers: [u64; Self::MAX],
    len: usize,
}

impl Noted {
    /// Two numbers for each instruction of a block.
    const MAX: usize = 2 * timing::Block::MAX;

    pub(super) fn new() -> Self {
        Self { numbers: [0; Self::MAX], len: 0 }
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline(always)]
    fn push(&mut self, number: u64) {
        if let Some(place) = self.numbers.get_mut(self.len) {
            *place = number;
            self.len += 1;
        }
    }

    #[inline]
    pub(super) fn numbers(&self) -> &[u64] {
        self.numbers.get(..self.len).unwrap_or_default()
    }
}

impl TimedOp {
    /// Prepares `insn`, `offset` bytes into its block. `None` where it is not for timed blocks.
    pub(super) fn new(
        decoder: &Decoder,
        insn: &Insn,
        offset: u16,
        wants: Operands,
    ) -> Option<Self> {
        let op = Op::new(decoder, insn, offset);
        let run = run_of(&op)?;
        let run = match wants {
            Operands::None => run,
            Operands::Integer => noting_x(&op)?,
            Operands::Float => noting_f,
        };
        Some(Self { run, op, behind: offset + u16::from(insn.len) })
    }

    /// Its offset in its block.
    pub(super) fn offset(&self) -> u16 {
        self.op.offset
    }
}

pub(super) use timing::Operands;

/// Runs operations; how many of them ran.
#[inline]
pub(super) fn run(core: &mut Core, ops: &[TimedOp], noted: &mut Noted) -> usize {
    noted.clear();
    for (number, op) in ops.iter().enumerate() {
        if !(op.run)(core, op, noted) {
            return number;
        }
    }
    ops.len()
}

fn nothing(_: &mut Core, _: &TimedOp, _: &mut Noted) -> bool {
    true
}

fn constant(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
    core.set_x(op.op.rd, op.op.imm as u64);
    true
}

fn auipc(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
    core.set_x(op.op.rd, core.pc.wrapping_add(op.op.imm as u64));
    true
}

fn jal(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
    core.set_x(op.op.rd, core.pc.wrapping_add(op.behind.into()));
    core.pc = core.pc.wrapping_add(op.op.imm as u64);
    true
}

fn jalr(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
    let target = core.x(op.op.rs1).wrapping_add(op.op.imm as u64) & !1;
    core.set_x(op.op.rd, core.pc.wrapping_add(op.behind.into()));
    core.pc = target;
    true
}

/// Whatever `exec::float` does with registers alone. What is not permitted changes nothing.
fn floating(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
    !core.fp_is_off() && float::execute(core, op.op).is_ok()
}

fn noting_f(core: &mut Core, op: &TimedOp, noted: &mut Noted) -> bool {
    let operands = [op.op.rs1, op.op.rs2].map(|register| core.f[usize::from(register & 31)]);
    let runs = floating(core, op, noted);
    if runs {
        operands.into_iter().for_each(|operand| noted.push(operand));
    }
    runs
}

/// Products and quotients, whose operands are noted.
fn noting_x(op: &Op) -> Option<Run> {
    macro_rules! two {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Code::$name => {
                    fn run(core: &mut Core, op: &TimedOp, noted: &mut Noted) -> bool {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        let (a, b) = (core.x(op.op.rs1), core.x(op.op.rs2));
                        noted.push(a);
                        noted.push(b);
                        core.set_x(op.op.rd, meaning(a, b));
                        true
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
                    fn run(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(op.op.rd, meaning(core.x(op.op.rs1), core.x(op.op.rs2)));
                        true
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
                    fn run(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(op.op.rd, meaning(core.x(op.op.rs1), op.op.imm as u64));
                        true
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
                    fn run(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
                        let meaning: fn(u64) -> u64 = $meaning;
                        core.set_x(op.op.rd, meaning(core.x(op.op.rs1)));
                        true
                    }
                    return Some(run);
                })*
                _ => {}
            }
        };
    }
    macro_rules! branch {
        (|$a:ident, $b:ident| $test:expr) => {{
            fn run(core: &mut Core, op: &TimedOp, _: &mut Noted) -> bool {
                let ($a, $b) = (core.x(op.op.rs1), core.x(op.op.rs2));
                let offset = if $test { op.op.imm as u64 } else { op.behind.into() };
                core.pc = core.pc.wrapping_add(offset);
                true
            }
            run
        }};
    }
    macro_rules! load {
        ($t:ty, $signed:ty) => {{
            fn run(core: &mut Core, op: &TimedOp, noted: &mut Noted) -> bool {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                let Some(value) = core.load::<$t>(va) else { return false };
                noted.push(va);
                core.set_x(op.op.rd, value as $signed as u64);
                true
            }
            run
        }};
    }
    macro_rules! store {
        ($t:ty) => {{
            fn run(core: &mut Core, op: &TimedOp, noted: &mut Noted) -> bool {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                let stores = core.store::<$t>(va, core.x(op.op.rs2) as $t);
                if stores {
                    noted.push(va);
                }
                stores
            }
            run
        }};
    }
    macro_rules! float_load {
        ($t:ty, $boxed:expr) => {{
            fn run(core: &mut Core, op: &TimedOp, noted: &mut Noted) -> bool {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                if core.fp_is_off() {
                    return false;
                }
                let Some(value) = core.load::<$t>(va) else { return false };
                noted.push(va);
                core.f[usize::from(op.op.rd & 31)] = u64::from(value) | $boxed;
                set_fs_dirty(core);
                true
            }
            run
        }};
    }
    macro_rules! float_store {
        ($t:ty) => {{
            fn run(core: &mut Core, op: &TimedOp, noted: &mut Noted) -> bool {
                let va = core.x(op.op.rs1).wrapping_add(op.op.imm as u64);
                let value = core.f[usize::from(op.op.rs2 & 31)];
                let stores = !core.fp_is_off() && core.store::<$t>(va, value as $t);
                if stores {
                    noted.push(va);
                }
                stores
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
