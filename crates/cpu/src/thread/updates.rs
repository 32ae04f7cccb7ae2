//! Links that do a load, one or two operations on what it loaded, and the store of that to where it was loaded from: what compilers
//! emit for `*p += v`, for counters, for elements that are changed in their place.
//!
//! One look-up serves both accesses, and what goes from one operation to the next does not pass through memory. It is done as a whole
//! or not at all: then the load goes on by itself.
//!
//! The module's invariant that `unsafe` stands on is that of `thread`, whose links these are. Such a link is made only where all of
//! its operations stand in one run, so that all of their links follow the first.

use std::marker::PhantomData;

use isa::Op as Insn;
use mmu::Scalar;

use super::groups::Group;
use super::parts::Load;
use super::{Any, Do, Link, Part, Run, otherwise, whole};
use crate::bits::sext32;
use crate::code::{CodeCache, CodePage};
use crate::core::Core;
use crate::op::Op;
use crate::state::X_SINK;

/// The link for an update that a run begins with.
pub(super) fn of_run(run: &[Op]) -> Option<Group> {
    let run: Run = match run {
        [load, only, store, ..] if is_update(load, &[only], store) => {
            match (load.code, only.code) {
                (Insn::Ld, Insn::Add) => whole::<Update<u64, Plus, Same>>,
                (Insn::Ld, Insn::Addi) => whole::<Update<u64, PlusImmediate, Same>>,
                (Insn::Ld, Insn::Sub) => whole::<Update<u64, Minus, Same>>,
                (Insn::Ld, Insn::And) => whole::<Update<u64, Both, Same>>,
                (Insn::Ld, Insn::Or) => whole::<Update<u64, Either, Same>>,
                (Insn::Ld, Insn::Xor) => whole::<Update<u64, One, Same>>,
                (Insn::Lw, Insn::Addw) => whole::<Update<u32, PlusWord, Same>>,
                (Insn::Lw, Insn::Addiw) => whole::<Update<u32, PlusImmediateWord, Same>>,
                (Insn::Lw, Insn::And) => whole::<Update<u32, Both, Same>>,
                (Insn::Lw, Insn::Or) => whole::<Update<u32, Either, Same>>,
                (Insn::Lw, Insn::Xor) => whole::<Update<u32, One, Same>>,
                _ => return None,
            }
        }
        [load, first, second, store, ..] if is_update(load, &[first, second], store) => {
            match (load.code, first.code) {
                (Insn::Ld, Insn::Add) => of_second::<Plus>(second)?,
                (Insn::Ld, Insn::And) => of_second::<Both>(second)?,
                (Insn::Ld, Insn::Or) => of_second::<Either>(second)?,
                (Insn::Ld, Insn::Xor) => of_second::<One>(second)?,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Group { run, first: None, second: None })
}

fn of_second<F: Change>(second: &Op) -> Option<Run> {
    Some(match second.code {
        Insn::Add => whole::<Update<u64, F, Plus>>,
        Insn::Addi => whole::<Update<u64, F, PlusImmediate>>,
        Insn::And => whole::<Update<u64, F, Both>>,
        Insn::Or => whole::<Update<u64, F, Either>>,
        Insn::Xor => whole::<Update<u64, F, One>>,
        _ => return None,
    })
}

/// Whether the changes, each of what the one before made, go to where the load was from.
fn is_update(load: &Op, changes: &[&Op], store: &Op) -> bool {
    let widths = matches!((load.code, store.code), (Insn::Ld, Insn::Sd) | (Insn::Lw, Insn::Sw));
    let mut last = load.rd;
    let bit = |register: u8| 1u64 << register;
    let mut made = bit(load.rd);
    for change in changes {
        let has_second = !matches!(change.code, Insn::Addi | Insn::Addiw);
        let swaps =
            matches!(change.code, Insn::Add | Insn::Addw | Insn::And | Insn::Or | Insn::Xor);
        let other = match (change.rs1 == last, change.rs2 == last) {
            (true, _) => change.rs2,
            (false, true) if swaps => change.rs1,
            _ => return false,
        };
        // What a change has besides is what it was before the load.
        if has_second && made & bit(other) != 0 {
            return false;
        }
        last = change.rd;
        made |= bit(last);
    }
    let stays = made & (bit(load.rs1) | bit(X_SINK)) == 0;
    widths && stays && (store.rs1, store.imm, store.rs2) == (load.rs1, load.imm, last)
}

/// What is loaded, changed and stored.
trait Width: Scalar {
    /// What a register holds of it.
    fn extend(self) -> u64;
}

impl Width for u64 {
    #[inline(always)]
    fn extend(self) -> u64 {
        self
    }
}

impl Width for u32 {
    #[inline(always)]
    fn extend(self) -> u64 {
        sext32(self.into())
    }
}

/// What an operation makes of a value.
trait Change {
    /// How many operations it is.
    const LENGTH: usize;

    /// What it has besides the value, which is in the register `value`.
    fn other(core: &Core, link: &Link, value: u8) -> u64;

    fn of(value: u64, other: u64) -> u64;
}

/// The source that is not the register `value`, in whichever order they are.
#[inline(always)]
fn other_source(core: &Core, link: &Link, value: u8) -> u64 {
    core.x(link.rs1 ^ link.rs2() ^ value)
}

#[inline(always)]
fn immediate(_: &Core, link: &Link, _: u8) -> u64 {
    link.imm()
}

macro_rules! changes {
    ($($name:ident: $other:path, $of:expr;)*) => {$(
        struct $name;
        impl Change for $name {
            const LENGTH: usize = 1;

            #[inline(always)]
            fn other(core: &Core, link: &Link, value: u8) -> u64 {
                $other(core, link, value)
            }

            #[inline(always)]
            fn of(value: u64, other: u64) -> u64 {
                let meaning: fn(u64, u64) -> u64 = $of;
                meaning(value, other)
            }
        }
    )*};
}
changes! {
    Plus: other_source, |a, b| a.wrapping_add(b);
    Minus: other_source, |a, b| a.wrapping_sub(b);
    Both: other_source, |a, b| a & b;
    Either: other_source, |a, b| a | b;
    One: other_source, |a, b| a ^ b;
    PlusImmediate: immediate, |a, b| a.wrapping_add(b);
    PlusWord: other_source, |a, b| sext32(a.wrapping_add(b));
    PlusImmediateWord: immediate, |a, b| sext32(a.wrapping_add(b));
}

/// No operation.
struct Same;

impl Change for Same {
    const LENGTH: usize = 0;

    #[inline(always)]
    fn other(_: &Core, _: &Link, _: u8) -> u64 {
        0
    }

    #[inline(always)]
    fn of(value: u64, _: u64) -> u64 {
        value
    }
}

/// The load of an update.
trait Loads {
    type Load: Part;
}

impl Loads for u64 {
    type Load = Load<u64, u64>;
}

impl Loads for u32 {
    type Load = Load<u32, i32>;
}

/// A load, one or two changes, and the store.
struct Update<T, F, G>(PhantomData<(T, F, G)>);

/// The address, what the changes have besides, and what becomes of the registers: all that an update is but its accesses.
struct Plan {
    va: u64,
    others: [u64; 2],
}

impl<T: Width, F: Change, G: Change> Update<T, F, G> {
    #[inline(always)]
    fn plan(core: &Core, links: &[Link; 3]) -> Plan {
        let [load, first, second] = links;
        let va = core.x(load.rs1).wrapping_add(load.imm());
        let others = [F::other(core, first, load.rd), G::other(core, second, first.rd)];
        Plan { va, others }
    }

    /// What is stored, and what the registers hold afterwards.
    #[inline(always)]
    fn change(loaded: T, others: [u64; 2]) -> (T, [u64; 3]) {
        let loaded = loaded.extend();
        let first = F::of(loaded, others[0]);
        let second = G::of(first, others[1]);
        (T::truncate(second), [loaded, first, second])
    }

    #[inline(always)]
    fn keep(core: &mut Core, links: &[Link; 3], values: [u64; 3]) {
        // Later ones last: they may be one register.
        for (link, value) in links.iter().zip(values).take(1 + F::LENGTH + G::LENGTH) {
            core.set_x(link.rd, value);
        }
    }
}

impl<T: Width + Loads, F: Change, G: Change> Do for Update<T, F, G> {
    #[inline(always)]
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
    ) -> *const Link {
        // SAFETY: the module's invariant: an update has three links at least.
        let links = unsafe { &*at.cast::<[Link; 3]>() };
        let Plan { va, others } = Self::plan(core, links);
        let Some(values) = core.mmu.update::<T, _>(va, |loaded| Self::change(loaded, others))
        else {
            // SAFETY: the module's invariant.
            return unsafe { in_chunk::<T, F, G>(core, at, limit, code, codes) };
        };
        Self::keep(core, links, values);
        // SAFETY: the module's invariant.
        unsafe { Any::run(core, at.add(2 + F::LENGTH + G::LENGTH), limit, code, codes) }
    }
}

/// Does an update that no line serves by what the native TLB knows of large pages; or the load alone.
#[inline(never)]
unsafe extern "C" fn in_chunk<T: Width + Loads, F: Change, G: Change>(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    codes: &CodeCache,
) -> *const Link {
    // SAFETY: the module's invariant: an update has three links at least.
    let links = unsafe { &*at.cast::<[Link; 3]>() };
    let Plan { va, others } = Update::<T, F, G>::plan(core, links);
    let change = |loaded| Update::<T, F, G>::change(loaded, others);
    let Some(values) = core.mmu.update_in_chunk::<T, _>(va, change) else {
        // SAFETY: the module's invariant.
        return unsafe { otherwise::<T::Load>(core, at, limit, code, codes) };
    };
    Update::<T, F, G>::keep(core, links, values);
    // SAFETY: the module's invariant.
    unsafe { Any::run(core, at.add(2 + F::LENGTH + G::LENGTH), limit, code, codes) }
}
