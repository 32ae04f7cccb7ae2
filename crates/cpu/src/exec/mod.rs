//! What instructions do. One match over operations; the arms stand in groups by
//! extension, longer thoughts in the files beside this one.
//!
//! An operation either completes, or leaves a fault and no change.

pub(crate) mod float;
pub(crate) mod pure;
mod system;

pub(crate) use system::{BLOCK_BYTES, csr};

use isa::{Exception, Op as Insn};

use crate::bits::sext32;
use crate::core::Core;
use crate::csr::Denied;
use crate::memory::DataFault;
use crate::op::{CHECKS_TARGET, Op};
use crate::platform::Platform;
use crate::state::X_SINK;
use crate::trap::Trap;

/// How far a run of operations got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ran {
    /// Operations retired since the first.
    pub(crate) retired: usize,
    /// The next one faulted; the fault is in the core and `pc` at the instruction.
    pub(crate) faulted: bool,
}

/// The fault of an instruction that the current mode may not execute; `tval` is filled in with the
/// instruction where the trap is taken.
pub(crate) fn denied(why: Denied) -> DataFault {
    let exception = match why {
        Denied::Illegal => Exception::IllegalInstruction,
        Denied::Virtual => Exception::VirtualInstruction,
    };
    DataFault::plain(exception, 0)
}

/// A jump to an address that IALIGN does not allow. The jump traps, not what it leads to, and its link register keeps its
/// value [unpriv, "Control Transfer Instructions"].
fn misaligned_target(core: &Core, target: u64) -> DataFault {
    let trap = Trap { gva: core.mode.v(), ..Trap::new(Exception::InstructionMisaligned, target) };
    DataFault { trap, offset: None }
}

/// Executes `ops`, which stand one behind the other and whose offsets count from `pc`, up to a jump or a branch that is taken;
/// `end` is the offset behind the last one. On return `core.pc` is the next instruction, or the one that faulted.
#[inline(never)]
pub(crate) fn run(core: &mut Core, port: &mut dyn Platform, pc: u64, ops: &[Op], end: u64) -> Ran {
    let mut rest = ops.iter();
    while let Some(op) = rest.next() {
        // The number of this operation: counted from what is left, only where it is needed.
        macro_rules! index {
            () => {
                ops.len() - rest.len() - 1
            };
        }
        // Brings the counters and the place to this instruction, for what can observe them.
        macro_rules! settle {
            () => {
                core.settle(index!(), op.offset);
            };
        }
        macro_rules! fault {
            ($fault:expr) => {{
                core.fault = Some($fault);
                core.pc = pc.wrapping_add(u64::from(op.offset));
                return Ran { retired: index!(), faulted: true };
            }};
        }
        macro_rules! attempt {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(fault) => fault!(fault),
                }
            };
        }
        macro_rules! done_at {
            ($pc:expr) => {{
                core.pc = $pc;
                return Ran { retired: index!() + 1, faulted: false };
            }};
        }
        macro_rules! next_pc {
            () => {
                match rest.as_slice().first() {
                    Some(next) => pc.wrapping_add(u64::from(next.offset)),
                    None => pc.wrapping_add(end),
                }
            };
        }
        // A device or a watched byte was reached: somebody acts before the next instruction.
        macro_rules! after_slow {
            () => {
                if core.recheck {
                    done_at!(next_pc!());
                }
            };
        }
        macro_rules! check_target {
            ($target:expr) => {
                if op.aux == CHECKS_TARGET && $target & 2 != 0 {
                    fault!(misaligned_target(core, $target));
                }
            };
        }
        macro_rules! branch {
            ($test:expr) => {{
                let test: fn(u64, u64) -> bool = $test;
                if test(core.x(op.rs1), core.x(op.rs2)) {
                    let target = pc.wrapping_add(op.imm as u64);
                    check_target!(target);
                    done_at!(target);
                }
            }};
        }
        macro_rules! load {
            ($t:ty, $signed:ty) => {{
                let va = core.x(op.rs1).wrapping_add(op.imm as u64);
                match core.load::<$t>(va) {
                    Some(value) => core.set_x(op.rd, value as $signed as u64),
                    None => {
                        settle!();
                        let size = size_of::<$t>() as u8;
                        let value = attempt!(core.load_missed(port, va, size));
                        core.set_x(op.rd, value as $t as $signed as u64);
                        after_slow!();
                    }
                }
            }};
        }
        macro_rules! store {
            ($t:ty, $value:expr) => {{
                let va = core.x(op.rs1).wrapping_add(op.imm as u64);
                let value: u64 = $value;
                if !core.store::<$t>(va, value as $t) {
                    settle!();
                    let size = size_of::<$t>() as u8;
                    attempt!(core.store_missed(port, va, size, value as $t as u64));
                    after_slow!();
                }
            }};
        }
        macro_rules! amo {
            ($t:ty, $signed:ty, $f:expr) => {{
                let va = core.x(op.rs1);
                let operand = core.x(op.rs2) as $t;
                let f: fn($t, $t) -> $t = $f;
                let old = match core.load::<$t>(va) {
                    Some(old) if core.store::<$t>(va, f(old, operand)) => old,
                    _ => {
                        settle!();
                        let size = size_of::<$t>() as u8;
                        let mut change = |old: u64| Some(u64::from(f(old as $t, operand)));
                        let old = attempt!(core.amo(va, size, &mut change)) as $t;
                        core.set_x(op.rd, old as $signed as u64);
                        after_slow!();
                        old
                    }
                };
                core.set_x(op.rd, old as $signed as u64);
            }};
        }
        macro_rules! amocas {
            ($t:ty, $signed:ty) => {{
                let va = core.x(op.rs1);
                // The sink holds what was last written to `x0`, which reads as zero.
                let expected = if op.rd == X_SINK { 0 } else { core.x(op.rd) as $t };
                let new = core.x(op.rs2) as $t;
                if let Some(old) = core.compare_and_swap::<$t>(va, expected, new) {
                    core.set_x(op.rd, old as $signed as u64);
                } else {
                    settle!();
                    let mut change = |old: u64| (old as $t == expected).then_some(u64::from(new));
                    let old = attempt!(core.amo(va, size_of::<$t>() as u8, &mut change));
                    core.set_x(op.rd, old as $t as $signed as u64);
                    after_slow!();
                }
            }};
        }
        macro_rules! guest_load {
            ($t:ty, $signed:ty, $hlvx:literal) => {{
                settle!();
                attempt!(core.may_access_guest().map_err(denied));
                let (va, manner) = (core.x(op.rs1), core.guest_manner($hlvx));
                let value = attempt!(core.load_slow(port, va, size_of::<$t>() as u8, manner));
                core.set_x(op.rd, value as $t as $signed as u64);
                after_slow!();
            }};
        }
        macro_rules! guest_store {
            ($t:ty) => {{
                settle!();
                attempt!(core.may_access_guest().map_err(denied));
                let (va, manner) = (core.x(op.rs1), core.guest_manner(false));
                let value = u64::from(core.x(op.rs2) as $t);
                attempt!(core.store_slow(port, va, size_of::<$t>() as u8, value, manner));
                after_slow!();
            }};
        }
        // A system instruction: it may change anything, so it ends the run at `pc`. None has a 16-bit form.
        macro_rules! system {
            ($call:expr) => {{
                settle!();
                core.pc = next_pc!();
                core.offset = -4;
                if let Err(fault) = $call {
                    fault!(fault);
                }
                return Ran { retired: index!() + 1, faulted: false };
            }};
        }

        match op.code {
            // RV64I
            Insn::Lui => core.set_x(op.rd, op.imm as u64),
            Insn::Auipc => core.set_x(op.rd, pc.wrapping_add(op.imm as u64)),
            Insn::Jal => {
                let target = pc.wrapping_add(op.imm as u64);
                check_target!(target);
                core.set_x(op.rd, next_pc!());
                done_at!(target);
            }
            Insn::Jalr => {
                let target = core.x(op.rs1).wrapping_add(op.imm as u64) & !1;
                check_target!(target);
                core.set_x(op.rd, next_pc!());
                done_at!(target);
            }
            Insn::Beq => branch!(|a, b| a == b),
            Insn::Bne => branch!(|a, b| a != b),
            Insn::Blt => branch!(|a, b| (a as i64) < b as i64),
            Insn::Bge => branch!(|a, b| a as i64 >= b as i64),
            Insn::Bltu => branch!(|a, b| a < b),
            Insn::Bgeu => branch!(|a, b| a >= b),
            Insn::Lb => load!(u8, i8),
            Insn::Lh => load!(u16, i16),
            Insn::Lw => load!(u32, i32),
            Insn::Ld => load!(u64, u64),
            Insn::Lbu => load!(u8, u8),
            Insn::Lhu => load!(u16, u16),
            Insn::Lwu => load!(u32, u32),
            Insn::Sb => store!(u8, core.x(op.rs2)),
            Insn::Sh => store!(u16, core.x(op.rs2)),
            Insn::Sw => store!(u32, core.x(op.rs2)),
            Insn::Sd => store!(u64, core.x(op.rs2)),
            // Harts run in turn and each is sequentially consistent: nothing to order.
            Insn::Fence | Insn::Pause => {}

            // Zimop
            Insn::MopR | Insn::MopRr => core.set_x(op.rd, 0),

            // A: LR/SC, AMO; Zacas, Zabha
            Insn::LrW => {
                settle!();
                let value = attempt!(core.load_reserved(core.x(op.rs1), 4));
                core.set_x(op.rd, sext32(value));
                after_slow!();
            }
            Insn::LrD => {
                settle!();
                let value = attempt!(core.load_reserved(core.x(op.rs1), 8));
                core.set_x(op.rd, value);
                after_slow!();
            }
            Insn::ScW => {
                settle!();
                let (va, value) = (core.x(op.rs1), core.x(op.rs2));
                let stored = attempt!(core.store_conditional(va, 4, value));
                core.set_x(op.rd, u64::from(!stored));
                after_slow!();
            }
            Insn::ScD => {
                settle!();
                let (va, value) = (core.x(op.rs1), core.x(op.rs2));
                let stored = attempt!(core.store_conditional(va, 8, value));
                core.set_x(op.rd, u64::from(!stored));
                after_slow!();
            }
            Insn::AmoswapB => amo!(u8, i8, |_, b| b),
            Insn::AmoaddB => amo!(u8, i8, u8::wrapping_add),
            Insn::AmoxorB => amo!(u8, i8, |a, b| a ^ b),
            Insn::AmoandB => amo!(u8, i8, |a, b| a & b),
            Insn::AmoorB => amo!(u8, i8, |a, b| a | b),
            Insn::AmominB => amo!(u8, i8, |a, b| (a as i8).min(b as i8) as u8),
            Insn::AmomaxB => amo!(u8, i8, |a, b| (a as i8).max(b as i8) as u8),
            Insn::AmominuB => amo!(u8, i8, u8::min),
            Insn::AmomaxuB => amo!(u8, i8, u8::max),
            Insn::AmoswapH => amo!(u16, i16, |_, b| b),
            Insn::AmoaddH => amo!(u16, i16, u16::wrapping_add),
            Insn::AmoxorH => amo!(u16, i16, |a, b| a ^ b),
            Insn::AmoandH => amo!(u16, i16, |a, b| a & b),
            Insn::AmoorH => amo!(u16, i16, |a, b| a | b),
            Insn::AmominH => amo!(u16, i16, |a, b| (a as i16).min(b as i16) as u16),
            Insn::AmomaxH => amo!(u16, i16, |a, b| (a as i16).max(b as i16) as u16),
            Insn::AmominuH => amo!(u16, i16, u16::min),
            Insn::AmomaxuH => amo!(u16, i16, u16::max),
            Insn::AmoswapW => amo!(u32, i32, |_, b| b),
            Insn::AmoaddW => amo!(u32, i32, u32::wrapping_add),
            Insn::AmoxorW => amo!(u32, i32, |a, b| a ^ b),
            Insn::AmoandW => amo!(u32, i32, |a, b| a & b),
            Insn::AmoorW => amo!(u32, i32, |a, b| a | b),
            Insn::AmominW => amo!(u32, i32, |a, b| (a as i32).min(b as i32) as u32),
            Insn::AmomaxW => amo!(u32, i32, |a, b| (a as i32).max(b as i32) as u32),
            Insn::AmominuW => amo!(u32, i32, u32::min),
            Insn::AmomaxuW => amo!(u32, i32, u32::max),
            Insn::AmoswapD => amo!(u64, i64, |_, b| b),
            Insn::AmoaddD => amo!(u64, i64, u64::wrapping_add),
            Insn::AmoxorD => amo!(u64, i64, |a, b| a ^ b),
            Insn::AmoandD => amo!(u64, i64, |a, b| a & b),
            Insn::AmoorD => amo!(u64, i64, |a, b| a | b),
            Insn::AmominD => amo!(u64, i64, |a, b| (a as i64).min(b as i64) as u64),
            Insn::AmomaxD => amo!(u64, i64, |a, b| (a as i64).max(b as i64) as u64),
            Insn::AmominuD => amo!(u64, i64, u64::min),
            Insn::AmomaxuD => amo!(u64, i64, u64::max),
            Insn::AmocasB => amocas!(u8, i8),
            Insn::AmocasH => amocas!(u16, i16),
            Insn::AmocasW => amocas!(u32, i32),
            Insn::AmocasD => amocas!(u64, i64),
            Insn::AmocasQ => {
                settle!();
                attempt!(system::amocas_q(core, op));
                after_slow!();
            }

            // Zicsr: enders, since a CSR can change anything
            Insn::Csrrw
            | Insn::Csrrs
            | Insn::Csrrc
            | Insn::Csrrwi
            | Insn::Csrrsi
            | Insn::Csrrci => {
                settle!();
                attempt!(system::csr(core, op).map_err(denied));
                if core.recheck {
                    done_at!(next_pc!());
                }
            }

            // Zicbom, Zicboz, Zawrs
            Insn::CboInval | Insn::CboClean | Insn::CboFlush | Insn::CboZero => {
                settle!();
                attempt!(system::cache_op(core, port, op));
                after_slow!();
            }
            Insn::WrsNto | Insn::WrsSto => attempt!(system::wrs(core).map_err(denied)),

            // H: guest memory
            Insn::HlvB => guest_load!(u8, i8, false),
            Insn::HlvBu => guest_load!(u8, u8, false),
            Insn::HlvH => guest_load!(u16, i16, false),
            Insn::HlvHu => guest_load!(u16, u16, false),
            Insn::HlvW => guest_load!(u32, i32, false),
            Insn::HlvWu => guest_load!(u32, u32, false),
            Insn::HlvD => guest_load!(u64, u64, false),
            Insn::HlvxHu => guest_load!(u16, u16, true),
            Insn::HlvxWu => guest_load!(u32, u32, true),
            Insn::HsvB => guest_store!(u8),
            Insn::HsvH => guest_store!(u16),
            Insn::HsvW => guest_store!(u32),
            Insn::HsvD => guest_store!(u64),

            // Privileged and ordering instructions
            Insn::FenceI => done_at!(next_pc!()),
            Insn::Ecall => fault!(system::ecall(core)),
            Insn::Ebreak => {
                let at = pc.wrapping_add(u64::from(op.offset));
                fault!(system::ebreak(core, at));
            }
            Insn::Mret => system!(system::mret(core)),
            Insn::Sret => system!(system::sret(core)),
            Insn::Wfi => system!(system::wfi(core)),
            Insn::SfenceVma | Insn::SinvalVma => system!(system::sfence_vma(core, op)),
            Insn::SfenceWInval | Insn::SfenceInvalIr => system!(system::sfence_order(core, op)),
            Insn::HfenceVvma | Insn::HinvalVvma => system!(system::hfence_vvma(core, op)),
            Insn::HfenceGvma | Insn::HinvalGvma => system!(system::hfence_gvma(core, op)),

            // F, D, Zfh, Zfa: loads and stores here, arithmetic in `float`
            Insn::Flh | Insn::Flw | Insn::Fld => {
                settle!();
                if core.fp_is_off() {
                    fault!(denied(Denied::Illegal));
                }
                let va = core.x(op.rs1).wrapping_add(op.imm as u64);
                attempt!(float::load(core, port, op, va));
                after_slow!();
            }
            Insn::Fsh | Insn::Fsw | Insn::Fsd => {
                if core.fp_is_off() {
                    fault!(denied(Denied::Illegal));
                }
                let value = core.f[usize::from(op.rs2 & 31)];
                match op.code {
                    Insn::Fsh => store!(u16, value),
                    Insn::Fsw => store!(u32, value),
                    _ => store!(u64, value),
                }
            }
            code => match pure::result(code, core.x(op.rs1), core.x(op.rs2), op.imm as u64) {
                Some(value) => core.set_x(op.rd, value),
                None => {
                    if core.fp_is_off() {
                        fault!(denied(Denied::Illegal));
                    }
                    attempt!(float::execute(core, *op).map_err(denied));
                }
            },
        }
    }
    core.pc = pc.wrapping_add(end);
    Ran { retired: ops.len(), faulted: false }
}
