//! Links that do the work of several operations in fewer steps than these take one by one: what compilers emit for a constant, for
//! the registers that a function saves, for an element of an array, for a jump through a table.
//!
//! Each is done as far as it can be; where an access misses, the operation that makes it goes on by itself. The operations
//! behind the first stay as they are, for who enters there.
//!
//! The module's invariant that `unsafe` stands on is that of `thread`, whose links these are. A group is made only where all of its
//! operations stand in one run, so that all of their links follow the first.

use std::marker::PhantomData;

use isa::Op as Insn;
use mmu::Scalar;

use super::chains::After;
use super::jumps::Jr;
use super::parts::{FloatLoad, FloatStore, Load, Part, Store, Value};
use super::{Any, Do, Link, One, Run, out_of_line, updates, whole};
use crate::code::{CodeCache, CodePage};
use crate::core::Core;
use crate::op::{CHECKS_TARGET, Op};
use crate::state::X_SINK;

/// A link for the first operations of a run, and what it needs.
pub(super) struct Group {
    pub(super) run: Run,
    /// The immediate of the first, if it is another; no pair and no group goes on into such an operation, so that nothing else
    /// reads it.
    pub(super) first: Option<i32>,
    /// The immediate of the second, which is an operation that has none.
    pub(super) second: Option<i32>,
}

impl Group {
    fn of(run: Run) -> Self {
        Self { run, first: None, second: None }
    }
}

/// The link for the most operations that a run begins with.
pub(super) fn of_several(run: &[Op]) -> Option<Group> {
    let first = constant(run).or_else(|| extension(run)).or_else(|| element(run));
    first.or_else(|| updates::of_run(run)).or_else(|| row(run))
}

/// LUI or AUIPC, and ADDI on top of it.
fn constant(run: &[Op]) -> Option<Group> {
    let [first, second, ..] = run else { return None };
    if second.code != Insn::Addi || second.rs1 != first.rd || second.rd != first.rd {
        return None;
    }
    let sum = first.imm.checked_add(second.imm)?;
    let run: Run = match first.code {
        Insn::Lui => whole::<ConstantOfTwo>,
        Insn::Auipc => whole::<AuipcOfTwo>,
        _ => return None,
    };
    Some(Group { run, first: Some(sum), second: None })
}

/// SLLI and SRLI, which extend what is narrow with zeros, and shift it to the left perhaps.
fn extension(run: &[Op]) -> Option<Group> {
    let [first, second, ..] = run else { return None };
    let shifts = first.code == Insn::Slli && second.code == Insn::Srli;
    if !shifts || second.rs1 != first.rd || second.rd != first.rd || first.rd == X_SINK {
        return None;
    }
    let run: Run = match first.imm {
        32 => whole::<Extend<u32>>,
        48 => whole::<Extend<u16>>,
        _ => return None,
    };
    let left = first.imm.checked_sub(second.imm).filter(|left| (0..31).contains(left))?;
    Some(Group { run, first: Some(1 << left), second: None })
}

/// SLLI, ADD and an access: an element of an array; and JALR to there.
pub(super) fn element(run: &[Op]) -> Option<Group> {
    let [shift, add, access, ..] = run else { return None };
    let to = shift.rd;
    let base = match (add.rs1 == to, add.rs2 == to) {
        (true, false) => add.rs2,
        (false, true) => add.rs1,
        _ => return None,
    };
    let codes = (shift.code, add.code) == (Insn::Slli, Insn::Add);
    if !codes || to == X_SINK || add.rd != to || access.rs1 != to {
        return None;
    }
    let over = shift.rs1 == to && access.rd == to;
    let run: Run = match (shift.imm, access.code) {
        (2, Insn::Lw) if over => whole::<Entry<4, Load<u32, i32>, Any>>,
        (3, Insn::Ld) if over && run.get(3).is_some_and(jumps) => {
            whole::<Entry<8, Load<u64, u64>, Jr>>
        }
        (3, Insn::Ld) if over => whole::<Entry<8, Load<u64, u64>, Any>>,
        (1, Insn::Lhu) => whole::<Element<2, Load<u16, u16>, Any>>,
        (1, Insn::Lh) => whole::<Element<2, Load<u16, i16>, Any>>,
        (1, Insn::Sh) => whole::<Element<2, Store<u16>, Any>>,
        (2, Insn::Lw) => whole::<Element<4, Load<u32, i32>, Any>>,
        (2, Insn::Lwu) => whole::<Element<4, Load<u32, u32>, Any>>,
        (2, Insn::Sw) => whole::<Element<4, Store<u32>, Any>>,
        (2, Insn::Flw) => whole::<Element<4, FloatLoad<u32>, Any>>,
        (2, Insn::Fsw) => whole::<Element<4, FloatStore<u32>, Any>>,
        (3, Insn::Ld) if run.get(3).is_some_and(jumps) => whole::<Element<8, Load<u64, u64>, Jr>>,
        (3, Insn::Ld) => whole::<Element<8, Load<u64, u64>, Any>>,
        (3, Insn::Sd) => whole::<Element<8, Store<u64>, Any>>,
        (3, Insn::Fld) => whole::<Element<8, FloatLoad<u64>, Any>>,
        (3, Insn::Fsd) => whole::<Element<8, FloatStore<u64>, Any>>,
        _ => return None,
    };
    Some(Group { run, first: None, second: Some(base.into()) })
}

pub(super) fn jumps(op: &Op) -> bool {
    op.code == Insn::Jalr && op.rd == X_SINK && op.aux != CHECKS_TARGET
}

/// Loads or stores of one kind with one base that stays.
fn row(run: &[Op]) -> Option<Group> {
    let first = run.first()?;
    let stores = matches!(first.code, Insn::Sd | Insn::Sw);
    let alike = |op: &&Op| op.code == first.code && op.rs1 == first.rs1;
    let mut length = run.iter().take(4).take_while(alike).count();
    if !stores {
        // What is behind one that changes the base has another one.
        let stay = run.iter().take(length).take_while(|op| op.rd != first.rs1).count();
        length = length.min(stay + 1);
    }
    let run: Run = match (first.code, length) {
        (Insn::Ld, 2) => whole::<Loads<Load<u64, u64>, 2>>,
        (Insn::Ld, 3) => whole::<Loads<Load<u64, u64>, 3>>,
        (Insn::Ld, 4) => whole::<Loads<Load<u64, u64>, 4>>,
        (Insn::Lw, 2) => whole::<Loads<Load<u32, i32>, 2>>,
        (Insn::Lw, 3..) => whole::<Loads<Load<u32, i32>, 3>>,
        (Insn::Lbu, 2) => whole::<Loads<Load<u8, u8>, 2>>,
        (Insn::Lbu, 3..) => whole::<Loads<Load<u8, u8>, 3>>,
        (Insn::Sd, 2) => whole::<Stores<u64, 2>>,
        (Insn::Sd, 3) => whole::<Stores<u64, 3>>,
        (Insn::Sd, 4) => whole::<Stores<u64, 4>>,
        (Insn::Sw, 2..) => whole::<Stores<u32, 2>>,
        _ => return None,
    };
    Some(Group::of(run))
}

struct ConstantOfTwo;
link!([] ConstantOfTwo, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, link.imm());
    next!(core, at, limit, code, codes, 2)
});
struct AuipcOfTwo;
link!([] AuipcOfTwo, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, core.pc.wrapping_add(link.imm()));
    next!(core, at, limit, code, codes, 2)
});

/// What is as wide as a `T`, multiplied by the immediate.
struct Extend<T>(PhantomData<T>);
link!([T: Scalar + Into<u64>] Extend<T>, |core, link, at, limit, code, codes| {
    let narrow: u64 = T::truncate(core.x(link.rs1)).into();
    core.set_x(link.rd, narrow.wrapping_mul(link.imm()));
    next!(core, at, limit, code, codes, 2)
});

/// A part that accesses memory, with its base given.
pub(super) trait Access: Part {
    fn done(core: &mut Core, link: &Link, base: u64) -> bool;
}

impl<T: Scalar> Access for Store<T> {
    #[inline(always)]
    fn done(core: &mut Core, link: &Link, base: u64) -> bool {
        let value = T::truncate(core.x(link.rs2()));
        core.store::<T>(base.wrapping_add(link.imm()), value)
    }
}

impl<T: Scalar> Access for FloatLoad<T> {
    #[inline(always)]
    fn done(core: &mut Core, link: &Link, _: u64) -> bool {
        Self::apply(core, link)
    }
}

impl<T: Scalar> Access for FloatStore<T> {
    #[inline(always)]
    fn done(core: &mut Core, link: &Link, _: u64) -> bool {
        Self::apply(core, link)
    }
}

/// A load into an integer register.
trait Extends: Part {
    type Loaded: Scalar;

    /// What the register holds then.
    fn extend(value: Self::Loaded) -> u64;
}

macro_rules! loads {
    ($($t:ty, $signed:ty;)*) => {$(
        impl Extends for Load<$t, $signed> {
            type Loaded = $t;

            #[inline(always)]
            fn extend(value: $t) -> u64 {
                value as $signed as u64
            }
        }

        impl Access for Load<$t, $signed> {
            #[inline(always)]
            fn done(core: &mut Core, link: &Link, base: u64) -> bool {
                let Some(value) = core.load::<$t>(base.wrapping_add(link.imm())) else {
                    return false;
                };
                core.set_x(link.rd, Self::extend(value));
                true
            }
        }
    )*};
}
loads! {
    u8, u8;
    u16, u16;
    u16, i16;
    u32, u32;
    u32, i32;
    u64, u64;
}

/// An access to what a base, in the register that the second's immediate names, has so many bytes times an index behind it, and what
/// follows.
pub(super) struct Element<const BYTES: u64, A, D>(PhantomData<(A, D)>);
link!([const BYTES: u64, A: Access, D: Do] Element<BYTES, A, D>, |core, link, at, limit, code, codes| {
    let index = core.x(link.rs1);
    // SAFETY: the module's invariant.
    unsafe { <Self as After>::run(core, at, limit, code, codes, index) }
});

impl<const BYTES: u64, A: Access, D: Do> After for Element<BYTES, A, D> {
    #[inline(always)]
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        index: u64,
    ) -> *const Link {
        // SAFETY: the module's invariant.
        let (shift, add, access) = unsafe { (&*at, &*at.add(1), &*at.add(2)) };
        let base = core.x(add.imm.get() as u8);
        let sum = base.wrapping_add(index.wrapping_mul(BYTES));
        core.set_x(shift.rd, sum);
        if !A::done(core, access, sum) {
            // SAFETY: the module's invariant.
            return unsafe { out_of_line::<One<A>>(core, at.add(2), limit, code, codes) };
        }
        // SAFETY: the module's invariant.
        unsafe { D::run(core, at.add(3), limit, code, codes) }
    }
}

/// The same where all of it happens in one register: an index, where its element lies, what that holds.
pub(super) struct Entry<const BYTES: u64, L, D>(PhantomData<(L, D)>);
link!([const BYTES: u64, L: Value, D: Do] Entry<BYTES, L, D>, |core, link, at, limit, code, codes| {
    let index = core.x(link.rd);
    // SAFETY: the module's invariant.
    unsafe { <Self as After>::run(core, at, limit, code, codes, index) }
});

impl<const BYTES: u64, L: Value, D: Do> After for Entry<BYTES, L, D> {
    #[inline(always)]
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        index: u64,
    ) -> *const Link {
        // SAFETY: the module's invariant.
        let (shift, add, access) = unsafe { (&*at, &*at.add(1), &*at.add(2)) };
        let base = core.x(add.imm.get() as u8);
        let sum = base.wrapping_add(index.wrapping_mul(BYTES));
        let Some(value) = L::of(core, access, sum) else {
            core.set_x(shift.rd, sum);
            // SAFETY: the module's invariant.
            return unsafe { out_of_line::<One<L>>(core, at.add(2), limit, code, codes) };
        };
        core.set_x(shift.rd, value);
        // SAFETY: the module's invariant.
        unsafe { D::run(core, at.add(3), limit, code, codes) }
    }
}

/// The links of a group.
///
/// # Safety
/// There are so many from `at` on.
#[inline(always)]
unsafe fn links<'a, const N: usize>(at: *const Link) -> &'a [Link; N] {
    // SAFETY: what the caller promises.
    unsafe { &*at.cast() }
}

/// Loads with one base.
struct Loads<L, const N: usize>(PhantomData<L>);
link!([L: Extends, const N: usize] Loads<L, N>, |core, link, at, limit, code, codes| {
    // SAFETY: the module's invariant.
    let links = unsafe { links::<N>(at) };
    let base = core.x(link.rs1);
    let vas = links.each_ref().map(|link| base.wrapping_add(link.imm()));
    let Some(values) = core.mmu.load_all::<L::Loaded, N>(vas) else {
        // SAFETY: the module's invariant.
        return unsafe { out_of_line::<One<L>>(core, at, limit, code, codes) };
    };
    for (link, value) in links.iter().zip(values) {
        core.set_x(link.rd, L::extend(value));
    }
    // SAFETY: the module's invariant.
    unsafe { Any::run(core, at.add(N), limit, code, codes) }
});

/// Stores with one base.
struct Stores<T, const N: usize>(PhantomData<T>);
link!([T: Scalar, const N: usize] Stores<T, N>, |core, link, at, limit, code, codes| {
    // SAFETY: the module's invariant.
    let links = unsafe { links::<N>(at) };
    let base = core.x(link.rs1);
    let stores = links.each_ref().map(|link| {
        (base.wrapping_add(link.imm()), T::truncate(core.x(link.rs2())))
    });
    if !core.mmu.store_all(stores) {
        // SAFETY: the module's invariant.
        return unsafe { out_of_line::<One<Store<T>>>(core, at, limit, code, codes) };
    }
    // SAFETY: the module's invariant.
    unsafe { Any::run(core, at.add(N), limit, code, codes) }
});
