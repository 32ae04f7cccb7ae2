//! IEEE 754 arithmetic for the F, D, Zfh(min) and Zfa extensions, bit-exact in value and in flags.
//!
//! Every operation is a pure function from bit patterns and a [`Rounding`] to a bit pattern and the
//! [`Flags`] it raises; the caller ORs these into `fcsr`. The choices RISC-V makes are built in: a
//! NaN result is the canonical NaN (norm:F_canonical_NaN), tininess is detected after rounding
//! (norm:ieee_std_tininess), conversions to integers saturate (norm:fcvt_unrepresentable_nv), and
//! `fmin` and `fmax` are minimumNumber and maximumNumber (norm:fmin-s_fmax-s_op).
//!
//! The format is a type parameter ([`F16`], [`F32`], [`F64`]) which callers name, for example
//! `fp::add::<fp::F32>(a, b, rm)`. NaN-boxing, sign injection and moves need no arithmetic and stay
//! with the caller; so do `fmsub` and its kin, which are [`fma`] with sign bits flipped.
//!
//! This crate never reads or changes the native floating-point environment and keeps no state.

mod add_sub;
mod compare;
mod convert;
mod div;
mod fma;
mod format;
mod mul;
mod native;
mod quick;
mod round;
mod sqrt;
mod zfa;

pub use add_sub::{add, sub};
pub use compare::{classify, eq, le, le_quiet, lt, lt_quiet, max, max_m, min, min_m};
pub use convert::{
    convert, from_i32, from_i64, from_u32, from_u64, to_i32, to_i64, to_u32, to_u64,
};
pub use div::div;
pub use fma::fma;
pub use format::{F16, F32, F64, Format, canonical_nan};
pub use mul::mul;
pub use quick::Quick;
pub use round::{Flags, Rounding};
pub use sqrt::sqrt;
pub use zfa::{fcvtmod_w_d, fli, round_to_integral};
