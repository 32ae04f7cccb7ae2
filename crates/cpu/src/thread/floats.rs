//! Links for the frequent floating-point operations, where FS is dirty and NX raised already and they round to nearest: then there is
//! nothing to do but the arithmetic. Whatever else is the case is for the link of all such operations.
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
        Insn::FeqD => whole::<Float<Equal<F64>>>,
        Insn::FltD => whole::<Float<Less<F64>>>,
        Insn::FleD => whole::<Float<NotGreater<F64>>>,
        Insn::FmvXD => whole::<Float<ToRegister>>,
        Insn::FmvDX => whole::<Float<FromRegister>>,
        Insn::FcvtDW => whole::<Float<FromInteger<i32>>>,
        Insn::FcvtDL => whole::<Float<FromInteger<i64>>>,
        _ => return None,
    })
}

/// An operation with nothing to do but the arithmetic; `None` if there is more to it, and nothing is done.
trait Arithmetic {
    fn apply(core: &mut Core, link: &Link) -> Option<()>;
}

struct Float<A>(PhantomData<A>);
link!([A: Arithmetic] Float<A>, |core, link, at, limit, code, codes| {
    if !flags_are_raised(core) || A::apply(core, link).is_none() {
        // SAFETY: the module's invariant.
        return unsafe { out_of_line::<Floating>(core, at, limit, code, codes) };
    }
    next!(core, at, limit, code, codes)
});

/// Whether FS is dirty, at V=1 in both registers, and NX raised.
#[inline(always)]
fn flags_are_raised(core: &Core) -> bool {
    let mut states = core.csrs.mstatus;
    if core.mode.v() {
        states &= core.csrs.vsstatus;
    }
    states & FS == FS && core.csrs.fflags & Flags::NX.bits() != 0
}

/// Whether the instruction rounds to nearest.
#[inline(always)]
fn nearest(core: &Core, link: &Link) -> Option<()> {
    const DYNAMIC: u16 = 7;
    let mode = link.rs2 >> 8;
    let mode = if mode == DYNAMIC { u16::from(core.csrs.frm) } else { mode };
    (mode == Rounding::Rne as u16).then_some(())
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

/// FSGNJ: FMV between `f` registers, mostly.
struct Inject<T>(PhantomData<T>);
impl<T: Held> Arithmetic for Inject<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        let a: u64 = f::<T>(core, link.rs1)?.into();
        let b: u64 = f::<T>(core, link.rs2())?.into();
        set_f::<T>(core, link.rd, T::from_wide(a & !T::SIGN | b & T::SIGN))
    }
}

/// FMV.X.D
struct ToRegister;
impl Arithmetic for ToRegister {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        core.set_x(link.rd, core.f[usize::from(link.rs1 & 31)]);
        Some(())
    }
}

/// FMV.D.X
struct FromRegister;
impl Arithmetic for FromRegister {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        set_f::<F64>(core, link.rd, core.x(link.rs1))
    }
}

/// FCVT.D.W and FCVT.D.L
struct FromInteger<T>(PhantomData<T>);
impl Arithmetic for FromInteger<i32> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        // Exact in every mode, but a mode that does not exist is not permitted.
        nearest(core, link)?;
        set_f::<F64>(core, link.rd, f64::from(core.x(link.rs1) as i32).to_bits())
    }
}
impl Arithmetic for FromInteger<i64> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> Option<()> {
        nearest(core, link)?;
        set_f::<F64>(core, link.rd, (core.x(link.rs1) as i64 as f64).to_bits())
    }
}
