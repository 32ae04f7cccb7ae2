//! F, D, Zfh and Zfa on the arithmetic of `fp`: operands unboxed, rounding mode resolved, flags
//! accrued, FS made dirty.

use fp::{F16, F32, F64, Flags, Format, Rounding};
use isa::Op as Insn;

use crate::core::Core;
use crate::csr::{Denied, set_fs_dirty};
use crate::memory::DataFault;
use crate::op::Op;
use crate::platform::Platform;

/// A format as it lives in an `f` register: narrower ones NaN-boxed [unpriv: D, "NaN Boxing"].
trait Boxed: Format {
    /// The bits above the format, all ones in a boxed value.
    const BOX: u64 = if Self::WIDTH < 64 { u64::MAX << Self::WIDTH } else { 0 };

    /// The pattern a register holds; one that is not boxed reads as the canonical NaN.
    fn unbox(register: u64) -> Self::Bits {
        if register & Self::BOX == Self::BOX {
            Self::from_wide(register)
        } else {
            fp::canonical_nan::<Self>()
        }
    }

    fn boxed(bits: Self::Bits) -> u64 {
        bits.into() | Self::BOX
    }
}

impl Boxed for F16 {}
impl Boxed for F32 {}
impl Boxed for F64 {}

/// The instruction's rounding mode, or `frm` where it says dynamic.
fn rounding(core: &Core, op: &Op) -> Result<Rounding, Denied> {
    let bits = if op.aux == 7 { core.csrs.frm } else { op.aux };
    Rounding::from_bits(bits).ok_or(Denied::Illegal)
}

fn f<T: Boxed>(core: &Core, register: u8) -> T::Bits {
    T::unbox(core.f[usize::from(register & 31)])
}

fn set_f<T: Boxed>(core: &mut Core, register: u8, bits: T::Bits) {
    core.f[usize::from(register & 31)] = T::boxed(bits);
    set_fs_dirty(core);
}

fn accrue(core: &mut Core, flags: Flags) {
    if flags.bits() != 0 {
        core.csrs.fflags |= flags.bits();
        set_fs_dirty(core);
    }
}

/// FLH, FLW, FLD.
pub(super) fn load(
    core: &mut Core,
    port: &mut dyn Platform,
    op: &Op,
    va: u64,
) -> Result<(), DataFault> {
    let (hit, size) = match op.code {
        Insn::Flh => (core.load::<u16>(va).map(u64::from), 2),
        Insn::Flw => (core.load::<u32>(va).map(u64::from), 4),
        _ => (core.load::<u64>(va), 8),
    };
    let value = match hit {
        Some(value) => value,
        None => {
            let manner = core.ordinary();
            core.load_slow(port, va, size, manner)?
        }
    };
    match op.code {
        Insn::Flh => set_f::<F16>(core, op.rd, value as u16),
        Insn::Flw => set_f::<F32>(core, op.rd, value as u32),
        _ => set_f::<F64>(core, op.rd, value),
    }
    Ok(())
}

/// Everything between `f` registers, and between `f` and `x`.
///
/// The operation comes by value, so that it needs no place in memory.
pub(crate) fn execute(core: &mut Core, op: Op) -> Result<(), Denied> {
    let op = &op;
    macro_rules! binary {
        ($t:ty, $f:path) => {{
            let rm = rounding(core, op)?;
            let (bits, flags) = $f(f::<$t>(core, op.rs1), f::<$t>(core, op.rs2), rm);
            set_f::<$t>(core, op.rd, bits);
            accrue(core, flags);
        }};
    }
    macro_rules! exact {
        ($t:ty, $f:path) => {{
            let (bits, flags) = $f(f::<$t>(core, op.rs1), f::<$t>(core, op.rs2));
            set_f::<$t>(core, op.rd, bits);
            accrue(core, flags);
        }};
    }
    macro_rules! unary {
        ($t:ty, $f:expr) => {{
            let rm = rounding(core, op)?;
            let (bits, flags) = $f(f::<$t>(core, op.rs1), rm);
            set_f::<$t>(core, op.rd, bits);
            accrue(core, flags);
        }};
    }
    // ±(a×b)±c: a negated product and a negated addend are sign bits flipped.
    macro_rules! fused {
        ($t:ty, $negate_product:literal, $negate_addend:literal) => {{
            let rm = rounding(core, op)?;
            let a = negate_if::<$t>($negate_product, f::<$t>(core, op.rs1));
            let c = negate_if::<$t>($negate_addend, f::<$t>(core, op.imm as u8));
            let (bits, flags) = fp::fma::<$t>(a, f::<$t>(core, op.rs2), c, rm);
            set_f::<$t>(core, op.rd, bits);
            accrue(core, flags);
        }};
    }
    macro_rules! compare {
        ($t:ty, $f:path) => {{
            let (truth, flags) = $f(f::<$t>(core, op.rs1), f::<$t>(core, op.rs2));
            core.set_x(op.rd, u64::from(truth));
            accrue(core, flags);
        }};
    }
    macro_rules! sign_inject {
        ($t:ty, $f:expr) => {{
            let a: u64 = f::<$t>(core, op.rs1).into();
            let b: u64 = f::<$t>(core, op.rs2).into();
            let s = <$t>::SIGN;
            let new: u64 = $f(a & s, b & s, s);
            set_f::<$t>(core, op.rd, <$t>::from_wide(a & !s | new));
        }};
    }
    macro_rules! to_int {
        ($t:ty, $f:path, $widen:ty) => {{
            let rm = rounding(core, op)?;
            let (value, flags) = $f(f::<$t>(core, op.rs1), rm);
            core.set_x(op.rd, value as $widen as u64);
            accrue(core, flags);
        }};
    }
    macro_rules! from_int {
        ($t:ty, $f:path, $int:ty) => {{
            let rm = rounding(core, op)?;
            let (bits, flags) = $f(core.x(op.rs1) as $int, rm);
            set_f::<$t>(core, op.rd, bits);
            accrue(core, flags);
        }};
    }
    macro_rules! convert {
        ($from:ty, $to:ty) => {{
            let rm = rounding(core, op)?;
            let (bits, flags) = fp::convert::<$from, $to>(f::<$from>(core, op.rs1), rm);
            set_f::<$to>(core, op.rd, bits);
            accrue(core, flags);
        }};
    }
    macro_rules! move_to_x {
        ($int:ty) => {
            core.set_x(op.rd, core.f[usize::from(op.rs1 & 31)] as $int as u64)
        };
    }
    macro_rules! classify {
        ($t:ty) => {{
            let class = fp::classify::<$t>(f::<$t>(core, op.rs1));
            core.set_x(op.rd, class);
        }};
    }
    macro_rules! round {
        ($t:ty, $exact:literal) => {
            unary!($t, |a, rm| fp::round_to_integral::<$t>(a, rm, $exact))
        };
    }
    match op.code {
        Insn::FaddS => binary!(F32, fp::add::<F32>),
        Insn::FsubS => binary!(F32, fp::sub::<F32>),
        Insn::FmulS => binary!(F32, fp::mul::<F32>),
        Insn::FdivS => binary!(F32, fp::div::<F32>),
        Insn::FsqrtS => unary!(F32, fp::sqrt::<F32>),
        Insn::FmaddS => fused!(F32, false, false),
        Insn::FmsubS => fused!(F32, false, true),
        Insn::FnmsubS => fused!(F32, true, false),
        Insn::FnmaddS => fused!(F32, true, true),
        Insn::FsgnjS => sign_inject!(F32, |_, b, _| b),
        Insn::FsgnjnS => sign_inject!(F32, |_, b, s| b ^ s),
        Insn::FsgnjxS => sign_inject!(F32, |a, b, _| a ^ b),
        Insn::FminS => exact!(F32, fp::min::<F32>),
        Insn::FmaxS => exact!(F32, fp::max::<F32>),
        Insn::FminmS => exact!(F32, fp::min_m::<F32>),
        Insn::FmaxmS => exact!(F32, fp::max_m::<F32>),
        Insn::FeqS => compare!(F32, fp::eq::<F32>),
        Insn::FltS => compare!(F32, fp::lt::<F32>),
        Insn::FleS => compare!(F32, fp::le::<F32>),
        Insn::FltqS => compare!(F32, fp::lt_quiet::<F32>),
        Insn::FleqS => compare!(F32, fp::le_quiet::<F32>),
        Insn::FclassS => classify!(F32),
        Insn::FcvtWS => to_int!(F32, fp::to_i32::<F32>, i32),
        Insn::FcvtWuS => to_int!(F32, fp::to_u32::<F32>, i32),
        Insn::FcvtLS => to_int!(F32, fp::to_i64::<F32>, i64),
        Insn::FcvtLuS => to_int!(F32, fp::to_u64::<F32>, u64),
        Insn::FcvtSW => from_int!(F32, fp::from_i32::<F32>, i32),
        Insn::FcvtSWu => from_int!(F32, fp::from_u32::<F32>, u32),
        Insn::FcvtSL => from_int!(F32, fp::from_i64::<F32>, i64),
        Insn::FcvtSLu => from_int!(F32, fp::from_u64::<F32>, u64),
        Insn::FmvXW => move_to_x!(i32),
        Insn::FmvWX => set_f::<F32>(core, op.rd, core.x(op.rs1) as u32),
        Insn::FliS => set_f::<F32>(core, op.rd, fp::fli::<F32>(op.rs1)),
        Insn::FroundS => round!(F32, false),
        Insn::FroundnxS => round!(F32, true),

        Insn::FaddD => binary!(F64, fp::add::<F64>),
        Insn::FsubD => binary!(F64, fp::sub::<F64>),
        Insn::FmulD => binary!(F64, fp::mul::<F64>),
        Insn::FdivD => binary!(F64, fp::div::<F64>),
        Insn::FsqrtD => unary!(F64, fp::sqrt::<F64>),
        Insn::FmaddD => fused!(F64, false, false),
        Insn::FmsubD => fused!(F64, false, true),
        Insn::FnmsubD => fused!(F64, true, false),
        Insn::FnmaddD => fused!(F64, true, true),
        Insn::FsgnjD => sign_inject!(F64, |_, b, _| b),
        Insn::FsgnjnD => sign_inject!(F64, |_, b, s| b ^ s),
        Insn::FsgnjxD => sign_inject!(F64, |a, b, _| a ^ b),
        Insn::FminD => exact!(F64, fp::min::<F64>),
        Insn::FmaxD => exact!(F64, fp::max::<F64>),
        Insn::FminmD => exact!(F64, fp::min_m::<F64>),
        Insn::FmaxmD => exact!(F64, fp::max_m::<F64>),
        Insn::FeqD => compare!(F64, fp::eq::<F64>),
        Insn::FltD => compare!(F64, fp::lt::<F64>),
        Insn::FleD => compare!(F64, fp::le::<F64>),
        Insn::FltqD => compare!(F64, fp::lt_quiet::<F64>),
        Insn::FleqD => compare!(F64, fp::le_quiet::<F64>),
        Insn::FclassD => classify!(F64),
        Insn::FcvtWD => to_int!(F64, fp::to_i32::<F64>, i32),
        Insn::FcvtWuD => to_int!(F64, fp::to_u32::<F64>, i32),
        Insn::FcvtLD => to_int!(F64, fp::to_i64::<F64>, i64),
        Insn::FcvtLuD => to_int!(F64, fp::to_u64::<F64>, u64),
        Insn::FcvtDW => from_int!(F64, fp::from_i32::<F64>, i32),
        Insn::FcvtDWu => from_int!(F64, fp::from_u32::<F64>, u32),
        Insn::FcvtDL => from_int!(F64, fp::from_i64::<F64>, i64),
        Insn::FcvtDLu => from_int!(F64, fp::from_u64::<F64>, u64),
        Insn::FcvtSD => convert!(F64, F32),
        Insn::FcvtDS => convert!(F32, F64),
        Insn::FmvXD => move_to_x!(u64),
        Insn::FmvDX => set_f::<F64>(core, op.rd, core.x(op.rs1)),
        Insn::FliD => set_f::<F64>(core, op.rd, fp::fli::<F64>(op.rs1)),
        Insn::FroundD => round!(F64, false),
        Insn::FroundnxD => round!(F64, true),
        Insn::FcvtmodWD => {
            let (value, flags) = fp::fcvtmod_w_d(f::<F64>(core, op.rs1));
            core.set_x(op.rd, value);
            accrue(core, flags);
        }

        Insn::FaddH => binary!(F16, fp::add::<F16>),
        Insn::FsubH => binary!(F16, fp::sub::<F16>),
        Insn::FmulH => binary!(F16, fp::mul::<F16>),
        Insn::FdivH => binary!(F16, fp::div::<F16>),
        Insn::FsqrtH => unary!(F16, fp::sqrt::<F16>),
        Insn::FmaddH => fused!(F16, false, false),
        Insn::FmsubH => fused!(F16, false, true),
        Insn::FnmsubH => fused!(F16, true, false),
        Insn::FnmaddH => fused!(F16, true, true),
        Insn::FsgnjH => sign_inject!(F16, |_, b, _| b),
        Insn::FsgnjnH => sign_inject!(F16, |_, b, s| b ^ s),
        Insn::FsgnjxH => sign_inject!(F16, |a, b, _| a ^ b),
        Insn::FminH => exact!(F16, fp::min::<F16>),
        Insn::FmaxH => exact!(F16, fp::max::<F16>),
        Insn::FminmH => exact!(F16, fp::min_m::<F16>),
        Insn::FmaxmH => exact!(F16, fp::max_m::<F16>),
        Insn::FeqH => compare!(F16, fp::eq::<F16>),
        Insn::FltH => compare!(F16, fp::lt::<F16>),
        Insn::FleH => compare!(F16, fp::le::<F16>),
        Insn::FltqH => compare!(F16, fp::lt_quiet::<F16>),
        Insn::FleqH => compare!(F16, fp::le_quiet::<F16>),
        Insn::FclassH => classify!(F16),
        Insn::FcvtWH => to_int!(F16, fp::to_i32::<F16>, i32),
        Insn::FcvtWuH => to_int!(F16, fp::to_u32::<F16>, i32),
        Insn::FcvtLH => to_int!(F16, fp::to_i64::<F16>, i64),
        Insn::FcvtLuH => to_int!(F16, fp::to_u64::<F16>, u64),
        Insn::FcvtHW => from_int!(F16, fp::from_i32::<F16>, i32),
        Insn::FcvtHWu => from_int!(F16, fp::from_u32::<F16>, u32),
        Insn::FcvtHL => from_int!(F16, fp::from_i64::<F16>, i64),
        Insn::FcvtHLu => from_int!(F16, fp::from_u64::<F16>, u64),
        Insn::FcvtHS => convert!(F32, F16),
        Insn::FcvtSH => convert!(F16, F32),
        Insn::FcvtHD => convert!(F64, F16),
        Insn::FcvtDH => convert!(F16, F64),
        Insn::FmvXH => move_to_x!(i16),
        Insn::FmvHX => set_f::<F16>(core, op.rd, core.x(op.rs1) as u16),
        Insn::FliH => set_f::<F16>(core, op.rd, fp::fli::<F16>(op.rs1)),
        Insn::FroundH => round!(F16, false),
        Insn::FroundnxH => round!(F16, true),
        _ => return Err(Denied::Illegal),
    }
    Ok(())
}

fn negate_if<T: Format>(negate: bool, bits: T::Bits) -> T::Bits {
    let wide: u64 = bits.into();
    T::from_wide(if negate { wide ^ T::SIGN } else { wide })
}
