//! What one operation does before a thread goes on behind it, as types, so that links are made of one or of two of them.

use std::marker::PhantomData;

use mmu::{Kind, Scalar};

use super::Link;
use crate::bits::{self, sext32};
use crate::core::Core;
use crate::csr::environment::{CacheOp, cache_op_gate};
use crate::csr::set_fs_dirty;
use crate::exec::BLOCK_BYTES;
use crate::exec::pure::{of_one_register, of_register_and_immediate, of_two_registers};
use crate::state::X_SINK;

/// What an operation does. It is done, or nothing is and the thread has to stop before it.
pub(super) trait Part {
    /// Says whether it is done.
    fn apply(core: &mut Core, link: &Link) -> bool;

    /// The same by what the native TLB knows of large pages, where its lines do not serve it.
    #[inline(always)]
    fn apply_in_chunk(_: &mut Core, _: &Link) -> bool {
        false
    }

    /// The same where a page of that is watched.
    #[inline(always)]
    fn apply_in_watched_chunk(_: &mut Core, _: &Link) -> bool {
        false
    }

    /// The virtual address that it accesses, and how, if that is aligned.
    #[inline(always)]
    fn page(_: &Core, _: &Link) -> Option<(u64, Kind)> {
        None
    }

    /// Does a misaligned access in a page that the native TLB serves, and says whether it is done.
    #[inline(always)]
    fn misaligned(_: &mut Core, _: &Link) -> bool {
        false
    }
}

/// A part that puts a value into `rd`.
pub(super) trait Value: Part {
    /// The value, where `rs1` has the value `first`.
    fn of(core: &Core, link: &Link, first: u64) -> Option<u64>;
}

/// A part that can be done with the value of `rs1` given, in place of the register.
pub(super) trait Takes: Part {
    fn take(core: &mut Core, link: &Link, first: u64) -> bool;
}

impl<V: Value> Takes for V {
    #[inline(always)]
    fn take(core: &mut Core, link: &Link, first: u64) -> bool {
        let value = V::of(core, link, first);
        if let Some(value) = value {
            core.set_x(link.rd, value);
        }
        value.is_some()
    }
}

macro_rules! two {
    ($($name:ident: $meaning:expr;)*) => {$(
        pub(super) struct $name;
        impl Part for $name {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> bool {
                Self::take(core, link, core.x(link.rs1))
            }
        }
        impl Value for $name {
            #[inline(always)]
            fn of(core: &Core, link: &Link, first: u64) -> Option<u64> {
                let meaning: fn(u64, u64) -> u64 = $meaning;
                Some(meaning(first, core.x(link.rs2())))
            }
        }
    )*};
}
macro_rules! immediate {
    ($($name:ident: $meaning:expr;)*) => {$(
        pub(super) struct $name;
        impl Part for $name {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> bool {
                Self::take(core, link, core.x(link.rs1))
            }
        }
        impl Value for $name {
            #[inline(always)]
            fn of(_: &Core, link: &Link, first: u64) -> Option<u64> {
                let meaning: fn(u64, u64) -> u64 = $meaning;
                Some(meaning(first, link.imm()))
            }
        }
    )*};
}
macro_rules! one {
    ($($name:ident: $meaning:expr;)*) => {$(
        pub(super) struct $name;
        impl Part for $name {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> bool {
                let meaning: fn(u64) -> u64 = $meaning;
                core.set_x(link.rd, meaning(core.x(link.rs1)));
                true
            }
        }
    )*};
}
of_two_registers!(two);
of_register_and_immediate!(immediate);
of_one_register!(one);

/// The product of a register and the immediate, which is a power of two: SLLI.
pub(super) struct Product;

impl Part for Product {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        Self::take(core, link, core.x(link.rs1))
    }
}

impl Value for Product {
    #[inline(always)]
    fn of(_: &Core, link: &Link, first: u64) -> Option<u64> {
        Some(first.wrapping_mul(link.imm()))
    }
}

/// ADDI of a register to itself.
pub(super) struct Increment;

impl Part for Increment {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        core.set_x(link.rd, core.x(link.rd).wrapping_add(link.imm()));
        true
    }
}

/// ADD of `rs2` to a register.
pub(super) struct AddTo;

impl Part for AddTo {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        core.set_x(link.rd, core.x(link.rd).wrapping_add(core.x(link.rs2())));
        true
    }
}

/// Nothing: a fence.
pub(super) struct Nothing;

impl Part for Nothing {
    #[inline(always)]
    fn apply(_: &mut Core, _: &Link) -> bool {
        true
    }
}

/// The immediate: LUI, LI.
pub(super) struct Constant;

impl Part for Constant {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        core.set_x(link.rd, link.imm());
        true
    }
}

/// Another register: MV.
pub(super) struct Copy;

impl Part for Copy {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        core.set_x(link.rd, core.x(link.rs1));
        true
    }
}

pub(super) struct Auipc;

impl Part for Auipc {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        core.set_x(link.rd, core.pc.wrapping_add(link.imm()));
        true
    }
}

/// A page that an access of a `T` needs.
#[inline(always)]
fn page_of<T: Scalar>(va: u64, kind: Kind) -> Option<(u64, Kind)> {
    (va & (T::BYTES - 1) == 0).then_some((va, kind))
}

/// The virtual address of a load or store.
#[inline(always)]
fn address(core: &Core, link: &Link) -> u64 {
    core.x(link.rs1).wrapping_add(link.imm())
}

/// A load of a `T`, which the second type extends.
pub(super) struct Load<T, S>(PhantomData<(T, S)>);

macro_rules! load {
    ($($t:ty, $signed:ty;)*) => {$(
        impl Part for Load<$t, $signed> {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> bool {
                Self::take(core, link, core.x(link.rs1))
            }

            #[inline(always)]
            fn apply_in_chunk(core: &mut Core, link: &Link) -> bool {
                let va = address(core, link);
                let Some(value) = core.mmu.load_in_chunk::<$t>(va) else { return false };
                core.set_x(link.rd, value as $signed as u64);
                true
            }

            #[inline(always)]
            fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
                page_of::<$t>(address(core, link), Kind::Load)
            }

            #[inline(always)]
            fn misaligned(core: &mut Core, link: &Link) -> bool {
                let value = core.load_misaligned::<$t>(address(core, link));
                let Some(value) = value else { return false };
                core.set_x(link.rd, value as $signed as u64);
                true
            }
        }

        impl Value for Load<$t, $signed> {
            #[inline(always)]
            fn of(core: &Core, link: &Link, first: u64) -> Option<u64> {
                core.load::<$t>(first.wrapping_add(link.imm())).map(|value| value as $signed as u64)
            }
        }
    )*};
}
load! {
    u8, i8;
    u16, i16;
    u32, i32;
    u64, u64;
    u8, u8;
    u16, u16;
    u32, u32;
}

pub(super) struct Store<T>(PhantomData<T>);

impl<T: Scalar> Part for Store<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        Self::take(core, link, core.x(link.rs1))
    }

    #[inline(always)]
    fn apply_in_chunk(core: &mut Core, link: &Link) -> bool {
        let value = T::truncate(core.x(link.rs2()));
        core.mmu.store_in_chunk::<T>(address(core, link), value)
    }

    #[inline(always)]
    fn apply_in_watched_chunk(core: &mut Core, link: &Link) -> bool {
        let value = T::truncate(core.x(link.rs2()));
        core.mmu.store_in_watched_chunk::<T>(address(core, link), value)
    }

    #[inline(always)]
    fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
        page_of::<T>(address(core, link), Kind::Store)
    }

    #[inline(always)]
    fn misaligned(core: &mut Core, link: &Link) -> bool {
        let value = T::truncate(core.x(link.rs2()));
        core.store_misaligned::<T>(address(core, link), value)
    }
}

impl<T: Scalar> Takes for Store<T> {
    #[inline(always)]
    fn take(core: &mut Core, link: &Link, first: u64) -> bool {
        let value = T::truncate(core.x(link.rs2()));
        core.store::<T>(first.wrapping_add(link.imm()), value)
    }
}

/// FLW and FLD: what is narrow is boxed.
pub(super) struct FloatLoad<T>(PhantomData<T>);

impl<T: Scalar> Part for FloatLoad<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        if core.fp_is_off() {
            return false;
        }
        let Some(value) = core.load::<T>(address(core, link)) else { return false };
        Self::put(core, link, value);
        true
    }

    #[inline(always)]
    fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
        page_of::<T>(address(core, link), Kind::Load)
    }

    #[inline(always)]
    fn misaligned(core: &mut Core, link: &Link) -> bool {
        if core.fp_is_off() {
            return false;
        }
        let value = core.load_misaligned::<T>(address(core, link));
        let Some(value) = value else { return false };
        Self::put(core, link, value);
        true
    }
}

impl<T: Scalar> FloatLoad<T> {
    #[inline(always)]
    fn put(core: &mut Core, link: &Link, value: T) {
        let boxed = if T::BYTES == 4 { 0xffff_ffff << 32 } else { 0 };
        core.f[usize::from(link.rd & 31)] = value.into() | boxed;
        set_fs_dirty(core);
    }
}

/// FSW and FSD.
pub(super) struct FloatStore<T>(PhantomData<T>);

impl<T: Scalar> Part for FloatStore<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        let value = T::truncate(core.f[usize::from(link.rs2() & 31)]);
        !core.fp_is_off() && core.store::<T>(address(core, link), value)
    }

    #[inline(always)]
    fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
        page_of::<T>(address(core, link), Kind::Store)
    }

    #[inline(always)]
    fn misaligned(core: &mut Core, link: &Link) -> bool {
        let value = T::truncate(core.f[usize::from(link.rs2() & 31)]);
        !core.fp_is_off() && core.store_misaligned::<T>(address(core, link), value)
    }
}

/// CBO.ZERO of a block that the native TLB serves.
pub(super) struct ZeroBlock;

impl ZeroBlock {
    #[inline(always)]
    fn block(core: &Core, link: &Link) -> u64 {
        core.x(link.rs1) & !(BLOCK_BYTES - 1)
    }
}

impl Part for ZeroBlock {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        let block = Self::block(core, link);
        let words = [0, 8, 16, 24, 32, 40, 48, 56].map(|offset| (block | offset, 0u64));
        cache_op_gate(core, CacheOp::Zero).is_ok() && core.mmu.store_all(words)
    }

    #[inline(always)]
    fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
        Some((Self::block(core, link), Kind::Store))
    }
}

/// An AMO: the instruction, what it moves, as what it is signed, and what it makes of the old value and rs2.
macro_rules! amos {
    ($($name:ident: $t:ty, $signed:ty, $f:expr;)*) => {$(
        pub(super) struct $name;
        impl Part for $name {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> bool {
                let f: fn($t, $t) -> $t = $f;
                let va = core.x(link.rs1);
                let Some(old) = core.load::<$t>(va) else { return false };
                if !core.store::<$t>(va, f(old, core.x(link.rs2()) as $t)) {
                    return false;
                }
                core.set_x(link.rd, old as $signed as u64);
                true
            }

            #[inline(always)]
            fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
                page_of::<$t>(core.x(link.rs1), Kind::Amo)
            }
        }
    )*};
}
amos! {
    AmoswapW: u32, i32, |_, b| b;
    AmoaddW: u32, i32, u32::wrapping_add;
    AmoandW: u32, i32, |a, b| a & b;
    AmoorW: u32, i32, |a, b| a | b;
    AmoxorW: u32, i32, |a, b| a ^ b;
    AmominW: u32, i32, |a, b| (a as i32).min(b as i32) as u32;
    AmomaxW: u32, i32, |a, b| (a as i32).max(b as i32) as u32;
    AmominuW: u32, i32, |a, b| a.min(b);
    AmomaxuW: u32, i32, |a, b| a.max(b);
    AmoswapD: u64, i64, |_, b| b;
    AmoaddD: u64, i64, u64::wrapping_add;
    AmoandD: u64, i64, |a, b| a & b;
    AmoorD: u64, i64, |a, b| a | b;
    AmoxorD: u64, i64, |a, b| a ^ b;
    AmominD: u64, i64, |a, b| (a as i64).min(b as i64) as u64;
    AmomaxD: u64, i64, |a, b| (a as i64).max(b as i64) as u64;
    AmominuD: u64, i64, |a, b| a.min(b);
    AmomaxuD: u64, i64, |a, b| a.max(b);
}

pub(super) struct Amocas<T, S>(PhantomData<(T, S)>);

macro_rules! amocas {
    ($($t:ty, $signed:ty;)*) => {$(
        impl Part for Amocas<$t, $signed> {
            #[inline(always)]
            fn apply(core: &mut Core, link: &Link) -> bool {
                // The sink holds what was last written to `x0`, which reads as zero.
                let expected = if link.rd == X_SINK { 0 } else { core.x(link.rd) as $t };
                let (va, new) = (core.x(link.rs1), core.x(link.rs2()) as $t);
                let Some(old) = core.compare_and_swap::<$t>(va, expected, new) else {
                    return false;
                };
                core.set_x(link.rd, old as $signed as u64);
                true
            }

            #[inline(always)]
            fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
                page_of::<$t>(core.x(link.rs1), Kind::Amo)
            }
        }
    )*};
}
amocas! {
    u32, i32;
    u64, i64;
}

/// LR. What the native TLB serves cannot fail, and nobody watches it.
pub(super) struct LoadReserved<T>(PhantomData<T>);

impl<T: Scalar> Part for LoadReserved<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        let Some(value) = core.load_reserved_quickly::<T>(core.x(link.rs1)) else { return false };
        let value = value.into();
        core.set_x(link.rd, if T::BYTES == 4 { sext32(value) } else { value });
        true
    }

    #[inline(always)]
    fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
        page_of::<T>(core.x(link.rs1), Kind::Load)
    }
}

/// SC, in the same way.
pub(super) struct StoreConditional<T>(PhantomData<T>);

impl<T: Scalar> Part for StoreConditional<T> {
    #[inline(always)]
    fn apply(core: &mut Core, link: &Link) -> bool {
        let (va, value) = (core.x(link.rs1), T::truncate(core.x(link.rs2())));
        let Some(stored) = core.store_conditional_quickly::<T>(va, value) else { return false };
        core.set_x(link.rd, u64::from(!stored));
        true
    }

    #[inline(always)]
    fn page(core: &Core, link: &Link) -> Option<(u64, Kind)> {
        page_of::<T>(core.x(link.rs1), Kind::Store)
    }
}

/// What a branch asks of two registers.
pub(super) trait Test {
    fn holds(a: u64, b: u64) -> bool;
}

macro_rules! tests {
    ($($name:ident: |$a:ident, $b:ident| $test:expr;)*) => {$(
        pub(super) struct $name;
        impl Test for $name {
            #[inline(always)]
            fn holds($a: u64, $b: u64) -> bool {
                $test
            }
        }
    )*};
}
tests! {
    Beq: |a, b| a == b;
    Bne: |a, b| a != b;
    Blt: |a, b| (a as i64) < b as i64;
    Bge: |a, b| a as i64 >= b as i64;
    Bltu: |a, b| a < b;
    Bgeu: |a, b| a >= b;
}
