//! Links for the frequent floating-point operations, where FS is dirty, and NX raised already or the operation exact, and they round as
//! compiled code does: then there is nothing to do but the arithmetic. Whatever else is the case is for the link of all such operations.
//!
//! The module's invariant that `unsafe` stands on is that of `thread`, whose links these are.

use std::marker::PhantomData;

use fp::{F32, F64, Flags, Quick, Rounding};
use isa::Op as Insn;
use isa::field::mstatus::FS;

use super::{Do, Floating, Link, Run, out_of_line, whole};
use crate::code::{CodeCache, CodePage};
use crate::core::Core;

/// The link for an operation, where there is one.
pub(super) fn run_of(code: Insn) -> Option<Run> {
    Some(match code {
        Insn::FaddS => whole::<Float<Add<F32>>>,
        Insn::FsubS => whole::<Float<Sub<F32>>>,
        Insn::FmulS => whole::<Float<Mul<F32>>>,
        Insn::FdivS => whole::<Float<Div<F32>>>,
        Insn::FsqrtS => whole::<Float<Root<F32>>>,
        Insn::FmaddS => whole::<Float<Fused<F32, false, false>>>,
        Insn::FmsubS => whole::<Float<Fused<F32, false, true>>>,
        Insn::FnmsubS => whole::<Float<Fused<F32, true, false>>>,
        Insn::FnmaddS => whole::<Float<Fused<F32, true, true>>>,
        Insn::FsgnjS => whole::<Float<Inject<F32>>>,
        Insn::FsgnjnS => whole::<Float<InjectNot<F32>>>,
        Insn::FsgnjxS => whole::<Float<InjectXor<F32>>>,
        Insn::FminS => whole::<Float<Lesser<F32>>>,
        Insn::FmaxS => whole::<Float<Greater<F32>>>,
        Insn::FclassS => whole::<Float<Class<F32>>>,
        Insn::FcvtWS => whole::<Float<ToInteger<F32, i32>>>,
        Insn::FcvtWuS => whole::<Float<ToInteger<F32, u32>>>,
        Insn::FcvtLS => whole::<Float<ToInteger<F32, i64>>>,
        Insn::FcvtLuS => whole::<Float<ToInteger<F32, u64>>>,
        Insn::FcvtSW => whole::<Float<FromInteger<F32, i32>>>,
        Insn::FcvtSWu => whole::<Float<FromInteger<F32, u32>>>,
        Insn::FcvtSL => whole::<Float<FromInteger<F32, i64>>>,
        Insn::FcvtSLu => whole::<Float<FromInteger<F32, u64>>>,
        Insn::FeqS => whole::<Float<Equal<F32>>>,
        Insn::FltS => whole::<Float<Less<F32>>>,
        Insn::FleS => whole::<Float<NotGreater<F32>>>,
        Insn::FaddD => whole::<Float<Add<F64>>>,
        Insn::FsubD => whole::<Float<Sub<F64>>>,
        Insn::FmulD => whole::<Float<Mul<F64>>>,
        Insn::FdivD => whole::<Float<Div<F64>>>,
        Insn::FsqrtD => whole::<Float<Root<F64>>>,
        Insn::FmaddD => whole::<Float<Fused<F64, false, false>>>,
        Insn::FmsubD => whole::<Float<Fused<F64, false, true>>>,
        Insn::FnmsubD => whole::<Float<Fused<F64, true, false>>>,
        Insn::FnmaddD => whole::<Float<Fused<F64, true, true>>>,
        Insn::FsgnjD => whole::<Float<Inject<F64>>>,
        Insn::FsgnjnD => whole::<Float<InjectNot<F64>>>,
        Insn::FsgnjxD => whole::<Float<InjectXor<F64>>>,
        Insn::FminD => whole::<Float<Lesser<F64>>>,
        Insn::FmaxD => whole::<Float<Greater<F64>>>,
        Insn::FclassD => whole::<Float<Class<F64>>>,
        Insn::FcvtWD => whole::<Float<ToInteger<F64, i32>>>,
        Insn::FcvtWuD => whole::<Float<ToInteger<F64, u32>>>,
        Insn::FcvtLD => whole::<Float<ToInteger<F64, i64>>>,
        Insn::FcvtLuD => whole::<Float<ToInteger<F64, u64>>>,
        Insn::FcvtDW => whole::<Float<FromInteger<F64, i32>>>,
        Insn::FcvtDWu => whole::<Float<FromInteger<F64, u32>>>,
        Insn::FcvtDL => whole::<Float<FromInteger<F64, i64>>>,
        Insn::FcvtDLu => whole::<Float<FromInteger<F64, u64>>>,
        Insn::FeqD => whole::<Float<Equal<F64>>>,
        Insn::FltD => whole::<Float<Less<F64>>>,
        Insn::FleD => whole::<Float<NotGreater<F64>>>,
        Insn::FmvXW => whole::<Float<ToRegister<i32>>>,
        Insn::FmvWX => whole::<Float<FromRegister<F32>>>,
        Insn::FmvXD => whole::<Float<ToRegister<i64>>>,
        Insn::FmvDX => whole::<Float<FromRegister<F64>>>,
        Insn::FcvtSD => whole::<Float<Narrow>>,
        Insn::FcvtDS => whole::<Float<Widen>>,
        _ => return None,
    })
}

/// An operation with nothing to do but the arithmetic; `None` if there is more to it, and nothing is done.
trait Arithmetic {
    /// Whether it never raises NX, so that it does not matter whether it is raised.
    const EXACT: bool = false;

    fn apply(core: &mut Core, link: &Link) -> Option<()>;
}

struct Float<A>(PhantomData<A>);
link!([A: Arithmetic] Float<A>, |core, link, at, limit, code, codes| {
    if !fs_is_dirty(core) || !A::EXACT && !nx_is_raised(core) || A::apply(core, link).is_none() {
        // SAFETY: the module's invariant.
        return unsafe { out_of_line::<Floating>(core, at, limit, code, codes) };
    }
    next!(core, at, limit, code, codes)
});

/// Whether FS is dirty, at V=1 in both registers.
#[inline(always)]
fn fs_is_dirty(core: &Core) -> bool {
    let mut states = core.csrs.mstatus;
    if core.mode.v() {
        states &= core.csrs.vsstatus;
    }
    states & FS == FS
}

#[inline(always)]
fn nx_is_raised(core: &Core) -> bool {
    core.csrs.fflags & Flags::NX.bits() != 0
}

/// Whether the instruction rounds to nearest.
#[inline(always)]
fn nearest(core: &Core, link: &Link) -> Option<()> {
    (rounding(core, link) == Rounding::Rne as u16).then_some(())
}

/// Whether the instruction rounds to zero.
#[inline(always)]
fn toward_zero(core: &Core, link: &Link) -> Option<()> {
    (rounding(core, link) == Rounding::Rtz as u16).then_some(())
}

#[inline(always)]
fn rounding(core: &Core, link: &Link) -> u16 {
    const DYNAMIC: u16 = 7;
    let mode = link.rs2 >> 8;
    if mode == DYNAMIC { u16::from(core.csrs.frm) } else { mode }
}

/// A format as it lives in an `f` register.
trait Held: Quick {
    const BOX: u64;
}

impl Held for F32 {
    const BOX: u64 = 0xffff_ffff << 32;
}

impl Held for F64 {
    const BOX: u64 = 0;
}

/// What a register holds; `None` if it is not boxed.
#[inline(always)]
fn f<T: Held>(core: &Core, register: u8) -> Option<T::Bits> {
    let held = core.f[usize::from(register & 31)];
    (held & T::BOX == T::BOX).then(|| T::from_wide(held))
}

#[inline(always)]
fn set_f<T: Held>(core: &mut Core, register: u8, bits: T::Bits) -> Option<()> {
    core.f[usize::from(register & 31)] = bits.into() | T::BOX;
    Some(())
}

macro_rules! arithmetic {
    ($($name:ident: $function:ident;)*) => {$(
        struct $name<T>(PhantomData<T>);
        impl<T: Held> Arithmetic for $name<T> {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                nearest(core, link)?;
                let bits = T::$function(f::<T>(core, link.rs1)?, f::<T>(core, link.rs2())?)?;
                set_f::<T>(core, link.rd, bits)
            }
        }
    )*};
}
arithmetic! {
    Add: add;
    Sub: sub;
    Mul: mul;
    Div: div;
}

macro_rules! comparisons {
    ($($name:ident: $function:ident;)*) => {$(
        struct $name<T>(PhantomData<T>);
        impl<T: Held> Arithmetic for $name<T> {
            const EXACT: bool = true;

            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                let truth = T::$function(f::<T>(core, link.rs1)?, f::<T>(core, link.rs2())?)?;
                core.set_x(link.rd, u64::from(truth));
                Some(())
            }
        }
    )*};
}
comparisons! {
    Equal: eq;
    Less: lt;
    NotGreater: le;
}

struct Root<T>(PhantomData<T>);
impl<T: Held> Arithmetic for Root<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        nearest(core, link)?;
        let bits = T::sqrt(f::<T>(core, link.rs1)?)?;
        set_f::<T>(core, link.rd, bits)
    }
}

/// ±(a×b)±c: a negated product and a negated addend are sign bits flipped.
struct Fused<T, const PRODUCT: bool, const ADDEND: bool>(PhantomData<T>);
impl<T: Held, const PRODUCT: bool, const ADDEND: bool> Arithmetic for Fused<T, PRODUCT, ADDEND> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        nearest(core, link)?;
        let negated = |bits: T::Bits, negate| {
            let wide: u64 = bits.into();
            T::from_wide(if negate { wide ^ T::SIGN } else { wide })
        };
        let a = negated(f::<T>(core, link.rs1)?, PRODUCT);
        let b = f::<T>(core, link.rs2())?;
        let c = negated(f::<T>(core, link.imm.get() as u8)?, ADDEND);
        set_f::<T>(core, link.rd, T::fma(a, b, c)?)
    }
}

/// What takes the sign from elsewhere: of the signs of both operands, what the sign is then. FSGNJ is FMV between `f` registers, mostly.
macro_rules! injections {
    ($($name:ident: $sign:expr;)*) => {$(
        struct $name<T>(PhantomData<T>);
        impl<T: Held> Arithmetic for $name<T> {
            const EXACT: bool = true;

            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                let sign: fn(u64, u64) -> u64 = $sign;
                let a: u64 = f::<T>(core, link.rs1)?.into();
                let b: u64 = f::<T>(core, link.rs2())?.into();
                set_f::<T>(core, link.rd, T::from_wide(a & !T::SIGN | sign(a, b) & T::SIGN))
            }
        }
    )*};
}
injections! {
    Inject: |_, b| b;
    InjectNot: |_, b| !b;
    InjectXor: |a, b| a ^ b;
}

macro_rules! choices {
    ($($name:ident: $function:ident;)*) => {$(
        struct $name<T>(PhantomData<T>);
        impl<T: Held> Arithmetic for $name<T> {
            const EXACT: bool = true;

            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                let bits = T::$function(f::<T>(core, link.rs1)?, f::<T>(core, link.rs2())?)?;
                set_f::<T>(core, link.rd, bits)
            }
        }
    )*};
}
choices! {
    Lesser: min;
    Greater: max;
}

struct Class<T>(PhantomData<T>);
impl<T: Held> Arithmetic for Class<T> {
    const EXACT: bool = true;

    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        core.set_x(link.rd, fp::classify::<T>(f::<T>(core, link.rs1)?));
        Some(())
    }
}

/// FMV.X.W and FMV.X.D
struct ToRegister<T>(PhantomData<T>);
macro_rules! moves {
    ($($int:ty;)*) => {$(
        impl Arithmetic for ToRegister<$int> {
            const EXACT: bool = true;

            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                core.set_x(link.rd, core.f[usize::from(link.rs1 & 31)] as $int as u64);
                Some(())
            }
        }
    )*};
}
moves! {
    i32;
    i64;
}

/// FMV.W.X and FMV.D.X
struct FromRegister<T>(PhantomData<T>);
impl<T: Held> Arithmetic for FromRegister<T> {
    const EXACT: bool = true;

    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        set_f::<T>(core, link.rd, T::from_wide(core.x(link.rs1)))
    }
}

/// FCVT of a whole number, of 32 bits as of 64. What is exact is so in every mode, but a mode that does not exist is not permitted.
struct FromInteger<T, I>(PhantomData<(T, I)>);
/// FCVT to a whole number, as C does it: what is behind the point is cut off.
struct ToInteger<T, I>(PhantomData<(T, I)>);
macro_rules! integers {
    ($($int:ty, $wide:ty, $extended:ty, $from:ident, $to:ident;)*) => {$(
        impl<T: Held> Arithmetic for FromInteger<T, $int> {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                nearest(core, link)?;
                set_f::<T>(core, link.rd, T::$from(<$wide>::from(core.x(link.rs1) as $int)))
            }
        }
        impl<T: Held> Arithmetic for ToInteger<T, $int> {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> Option<()> {
                toward_zero(core, link)?;
                let value = T::$to(f::<T>(core, link.rs1)?)?;
                core.set_x(link.rd, value as $extended as u64);
                Some(())
            }
        }
    )*};
}
integers! {
    i32, i64, i32, from_i64, to_i32;
    u32, u64, i32, from_u64, to_u32;
    i64, i64, i64, from_i64, to_i64;
    u64, u64, u64, from_u64, to_u64;
}

/// FCVT.S.D
struct Narrow;
impl Arithmetic for Narrow {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        nearest(core, link)?;
        set_f::<F32>(core, link.rd, F64::narrow(f::<F64>(core, link.rs1)?)?)
    }
}

/// FCVT.D.S
struct Widen;
impl Arithmetic for Widen {
    const EXACT: bool = true;

    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        nearest(core, link)?;
        set_f::<F64>(core, link.rd, F32::widen(f::<F32>(core, link.rs1)?)?)
    }
}
