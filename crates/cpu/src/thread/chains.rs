//! Links that do the work of two where the second needs what the first has made: it gets that in a native register. From memory, where
//! the guest's registers are, it would have it some cycles later, which is what long chains of operations take most of their time for.
//!
//! The module's invariant that `unsafe` stands on is that of `thread`, whose links these are.

use std::marker::PhantomData;

use isa::Op as Insn;

use super::groups::{self, Element, Entry};
use super::jumps::{Jalr, Jr, OfRegister, Register};
use super::parts::*;
use super::{Any, Branch, Do, Link, One, Run, SIZE, is_product, otherwise, stop, whole};
use crate::code::{CodeCache, CodePage};
use crate::core::Core;
use crate::op::{CHECKS_TARGET, Op};
use crate::state::X_SINK;

/// What a link does, with the value of its `rs1` given.
pub(super) trait After {
    /// # Safety
    /// That of [`Do::run`].
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        first: u64,
    ) -> *const Link;
}

impl<P: Takes> After for One<P> {
    #[inline(always)]
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        first: u64,
    ) -> *const Link {
        // SAFETY: the module's invariant.
        if !P::take(core, unsafe { &*at }, first) {
            // SAFETY: the module's invariant.
            return unsafe { otherwise::<P>(core, at, limit, code, codes) };
        }
        next!(core, at, limit, code, codes)
    }
}

impl<T: Test> After for Branch<T> {
    #[inline(always)]
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        first: u64,
    ) -> *const Link {
        // SAFETY: the module's invariant.
        let link = unsafe { &*at };
        if T::holds(first, core.x(link.rs2())) {
            return follow!(core, at, limit, code, codes, SIZE);
        }
        next!(core, at, limit, code, codes)
    }
}

impl<J: OfRegister> After for Register<J> {
    #[inline(always)]
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        first: u64,
    ) -> *const Link {
        // SAFETY: the module's invariant.
        let target = first.wrapping_add(unsafe { &*at }.imm()) & !1;
        // SAFETY: the module's invariant.
        unsafe { Self::to(core, at, limit, code, codes, target) }
    }
}

/// A value, and what needs it.
struct Chain<V, D>(PhantomData<(V, D)>);
link!([V: Value, D: After] Chain<V, D>, |core, link, at, limit, code, codes| {
    let Some(value) = V::of(core, link, core.x(link.rs1)) else {
        // SAFETY: the module's invariant.
        return unsafe { otherwise::<V>(core, at, limit, code, codes) };
    };
    core.set_x(link.rd, value);
    // SAFETY: the module's invariant.
    unsafe { D::run(core, at.add(1), limit, code, codes, value) }
});

/// A value that another takes the place of, which is made of it.
struct Over<V, W>(PhantomData<(V, W)>);
link!([V: Value, W: Value] Over<V, W>, |core, link, at, limit, code, codes| {
    let Some(first) = V::of(core, link, core.x(link.rs1)) else {
        // SAFETY: the module's invariant.
        return unsafe { otherwise::<V>(core, at, limit, code, codes) };
    };
    // SAFETY: the module's invariant.
    let second = unsafe { at.add(1) };
    // SAFETY: the module's invariant.
    let Some(value) = W::of(core, unsafe { &*second }, first) else {
        core.set_x(link.rd, first);
        // SAFETY: the module's invariant.
        return unsafe { otherwise::<W>(core, second, limit, code, codes) };
    };
    core.set_x(link.rd, value);
    next!(core, at, limit, code, codes, 2)
});

/// Whether the second operation needs the first by its second source alone, which can as well be its first.
pub(super) fn swaps(first: &Op, second: &Op) -> bool {
    use Insn::{Add, Addw, And, Beq, Bne, Mul, Mulw, Or, Xor};
    let commutes = matches!(second.code, Add | Addw | And | Beq | Bne | Mul | Mulw | Or | Xor);
    // [`AddTo`] has its own way.
    let adds_to = second.code == Add && second.rs1 == second.rd;
    commutes && !adds_to && first.rd != X_SINK && second.rs2 == first.rd && second.rs1 != first.rd
}

fn needs(first: &Op, second: &Op) -> bool {
    second.rs1 == first.rd && first.rd != X_SINK || swaps(first, second)
}

/// Makes `$link::<V>($arguments)` of the value that the first operation makes.
macro_rules! of_value {
    ($first:ident, $link:ident($($argument:expr),*)) => {
        match $first.code {
            Insn::Addi if $first.rs1 == 0 || $first.imm == 0 => None,
            Insn::Addi => $link::<Addi>($($argument),*),
            Insn::Add => $link::<Add>($($argument),*),
            Insn::Sub => $link::<Sub>($($argument),*),
            Insn::And => $link::<And>($($argument),*),
            Insn::Or => $link::<Or>($($argument),*),
            Insn::Xor => $link::<Xor>($($argument),*),
            Insn::Andi => $link::<Andi>($($argument),*),
            _ if is_product($first) => $link::<Product>($($argument),*),
            Insn::Srli => $link::<Srli>($($argument),*),
            Insn::Addw => $link::<Addw>($($argument),*),
            Insn::Addiw => $link::<Addiw>($($argument),*),
            Insn::Mul => $link::<Mul>($($argument),*),
            Insn::Mulw => $link::<Mulw>($($argument),*),
            Insn::Ld => $link::<Load<u64, u64>>($($argument),*),
            Insn::Lw => $link::<Load<u32, i32>>($($argument),*),
            Insn::Lbu => $link::<Load<u8, u8>>($($argument),*),
            _ => None,
        }
    };
}

/// The link for both operations, if the second needs the first. Its sources were swapped where [`swaps`] says so.
pub(super) fn of_two(first: &Op, second: &Op) -> Option<Run> {
    if !needs(first, second) {
        return None;
    }
    // What the second has besides must not be what the first has made.
    let once = second.rs1 != second.rs2;
    let over = (once && second.rd == first.rd).then(|| of_value!(first, over(second))).flatten();
    over.or_else(|| of_value!(first, ahead_of(second)))
}

/// The same where the second is a branch that was linked.
pub(super) fn of_linked(first: &Op, second: &Op) -> Option<Run> {
    needs(first, second).then(|| of_value!(first, ahead_of_linked(second))).flatten()
}

/// The same where the second is the first of an [`Element`].
pub(super) fn of_element(first: &Op, element: &[Op]) -> Option<Run> {
    let [second, _, access, rest @ ..] = element else { return None };
    let jumps = rest.first().is_some_and(groups::jumps);
    let of = (second.imm, access.code, jumps, access.rd == second.rd);
    needs(first, second).then(|| of_value!(first, ahead_of_element(of))).flatten()
}

fn ahead_of<V: Value>(second: &Op) -> Option<Run> {
    Some(match second.code {
        Insn::Addi if second.imm == 0 => return None,
        Insn::Addi => whole::<Chain<V, One<Addi>>>,
        Insn::Add => whole::<Chain<V, One<Add>>>,
        Insn::Sub => whole::<Chain<V, One<Sub>>>,
        Insn::And => whole::<Chain<V, One<And>>>,
        Insn::Or => whole::<Chain<V, One<Or>>>,
        Insn::Xor => whole::<Chain<V, One<Xor>>>,
        Insn::Andi => whole::<Chain<V, One<Andi>>>,
        _ if is_product(second) => whole::<Chain<V, One<Product>>>,
        Insn::Srli => whole::<Chain<V, One<Srli>>>,
        Insn::Addw => whole::<Chain<V, One<Addw>>>,
        Insn::Addiw => whole::<Chain<V, One<Addiw>>>,
        Insn::Mul => whole::<Chain<V, One<Mul>>>,
        Insn::Ld => whole::<Chain<V, One<Load<u64, u64>>>>,
        Insn::Lw => whole::<Chain<V, One<Load<u32, i32>>>>,
        Insn::Lbu => whole::<Chain<V, One<Load<u8, u8>>>>,
        Insn::Lhu => whole::<Chain<V, One<Load<u16, u16>>>>,
        Insn::Sd => whole::<Chain<V, One<Store<u64>>>>,
        Insn::Sw => whole::<Chain<V, One<Store<u32>>>>,
        Insn::Jalr if second.aux == CHECKS_TARGET => return None,
        Insn::Jalr if second.rd == X_SINK => whole::<Chain<V, Jr>>,
        Insn::Jalr => whole::<Chain<V, Jalr>>,
        _ => return None,
    })
}

fn over<V: Value>(second: &Op) -> Option<Run> {
    Some(match second.code {
        Insn::Addi => whole::<Over<V, Addi>>,
        Insn::Add => whole::<Over<V, Add>>,
        Insn::And => whole::<Over<V, And>>,
        Insn::Or => whole::<Over<V, Or>>,
        Insn::Xor => whole::<Over<V, Xor>>,
        Insn::Andi => whole::<Over<V, Andi>>,
        _ if is_product(second) => whole::<Over<V, Product>>,
        Insn::Srli => whole::<Over<V, Srli>>,
        Insn::Addw => whole::<Over<V, Addw>>,
        Insn::Addiw => whole::<Over<V, Addiw>>,
        Insn::Mul => whole::<Over<V, Mul>>,
        Insn::Ld => whole::<Over<V, Load<u64, u64>>>,
        Insn::Lw => whole::<Over<V, Load<u32, i32>>>,
        Insn::Lbu => whole::<Over<V, Load<u8, u8>>>,
        _ => return None,
    })
}

fn ahead_of_linked<V: Value>(second: &Op) -> Option<Run> {
    Some(match second.code {
        Insn::Beq => whole::<Chain<V, Branch<Beq>>>,
        Insn::Bne => whole::<Chain<V, Branch<Bne>>>,
        Insn::Blt => whole::<Chain<V, Branch<Blt>>>,
        Insn::Bge => whole::<Chain<V, Branch<Bge>>>,
        Insn::Bltu => whole::<Chain<V, Branch<Bltu>>>,
        Insn::Bgeu => whole::<Chain<V, Branch<Bgeu>>>,
        _ => return None,
    })
}

fn ahead_of_element<V: Value>(of: (i32, Insn, bool, bool)) -> Option<Run> {
    Some(match of {
        (2, Insn::Lw, _, true) => whole::<Chain<V, Entry<4, Load<u32, i32>, Any>>>,
        (2, Insn::Lw, _, false) => whole::<Chain<V, Element<4, Load<u32, i32>, Any>>>,
        (3, Insn::Ld, true, true) => whole::<Chain<V, Entry<8, Load<u64, u64>, Jr>>>,
        (3, Insn::Ld, false, true) => whole::<Chain<V, Entry<8, Load<u64, u64>, Any>>>,
        (3, Insn::Ld, true, false) => whole::<Chain<V, Element<8, Load<u64, u64>, Jr>>>,
        (3, Insn::Ld, false, false) => whole::<Chain<V, Element<8, Load<u64, u64>, Any>>>,
        _ => return None,
    })
}
