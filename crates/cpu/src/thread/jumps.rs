//! Jumps to addresses in registers, and to other pages. They go on by a guess, as `guesses` says why, where it is right.
//!
//! The module's invariant that `unsafe` stands on is that of `thread`, whose links these are: a guess that was compared with an
//! entry of a page names a link of it, too.

use std::marker::PhantomData;

use isa::PAGE_BYTES;

use super::parts::Test;
use super::{Do, Link, PAGE, SIZE, out_of_line, stop};
use crate::code::{CodeCache, CodePage};
use crate::core::Core;
use crate::guesses::Guess;

/// Where something goes, and what it does besides.
pub(super) trait Goes {
    /// How much of its link counts as done.
    const DONE: u64 = SIZE;

    fn target(core: &Core, link: &Link) -> u64;

    #[inline(always)]
    fn effect(_: &mut Core, _: &Link) {}
}

/// To an address that `rs1` has, but for the immediate.
pub(super) trait OfRegister: Goes {}
impl OfRegister for ToRegister {}
impl OfRegister for CallOfRegister {}

/// What [`Jr`] is about.
pub(super) struct ToRegister;

impl Goes for ToRegister {
    #[inline(always)]
    fn target(core: &Core, link: &Link) -> u64 {
        core.x(link.rs1).wrapping_add(link.imm()) & !1
    }
}

/// What [`Jalr`] is about.
pub(super) struct CallOfRegister;

impl Goes for CallOfRegister {
    #[inline(always)]
    fn target(core: &Core, link: &Link) -> u64 {
        ToRegister::target(core, link)
    }

    #[inline(always)]
    fn effect(core: &mut Core, link: &Link) {
        core.set_x(link.rd, core.pc.wrapping_add(link.behind()));
    }
}

/// What [`JalFar`] is about.
pub(super) struct Call;

impl Goes for Call {
    #[inline(always)]
    fn target(core: &Core, link: &Link) -> u64 {
        core.pc.wrapping_add(link.imm())
    }

    #[inline(always)]
    fn effect(core: &mut Core, link: &Link) {
        CallOfRegister::effect(core, link);
    }
}

/// A branch that is taken.
pub(super) struct Taken;

impl Goes for Taken {
    #[inline(always)]
    fn target(core: &Core, link: &Link) -> u64 {
        core.pc.wrapping_add(link.imm())
    }
}

/// What [`NextPage`] is about.
pub(super) struct OverEnd;

impl Goes for OverEnd {
    const DONE: u64 = 0;

    #[inline(always)]
    fn target(core: &Core, _: &Link) -> u64 {
        core.pc.wrapping_add(PAGE_BYTES)
    }
}

/// JALR that links no register.
pub(super) type Jr = Register<ToRegister>;
pub(super) type Jalr = Register<CallOfRegister>;
/// JAL to another page.
pub(super) type JalFar = Far<Call>;
/// The page's end.
pub(super) type NextPage = Far<OverEnd>;

/// To an address in a register, which is in the page more often than not.
pub(super) struct Register<J>(PhantomData<J>);
link!([J: OfRegister] Register<J>, |core, link, at, limit, code, codes| {
    let target = J::target(core, link);
    // SAFETY: the module's invariant.
    unsafe { Self::to(core, at, limit, code, codes, target) }
});

impl<J: OfRegister> Register<J> {
    /// # Safety
    /// That of [`Do::run`].
    #[inline(always)]
    pub(super) unsafe fn to(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
        target: u64,
    ) -> *const Link {
        let guess = codes.guesses().get(at.addr());
        let to = code.links().as_ptr().wrapping_add(usize::from(guess.number));
        if (target ^ core.pc) & PAGE != 0 {
            // SAFETY: the module's invariant.
            return unsafe { out_of_line::<Far<J>>(core, at, limit, code, codes) };
        }
        if guess.number != code.entry(target) || at.addr() as u64 > limit {
            // SAFETY: the module's invariant.
            return unsafe { out_of_line::<Unguessed<J>>(core, at, limit, code, codes) };
        }
        // SAFETY: the module's invariant.
        J::effect(core, unsafe { &*at });
        arrive!(core, at, limit, code, codes, to, J::DONE)
    }
}

/// To another page.
pub(super) struct Far<J>(PhantomData<J>);
link!([J: Goes] Far<J>, |core, link, at, limit, code, codes| {
    let guess = codes.guesses().get(at.addr());
    let target = J::target(core, link);
    let found = core.mmu.fetch_page(target).filter(|pa| codes.is_at(*pa, guess.slot.into()));
    let page = codes.at(guess.slot.into()).filter(|_| found.is_some());
    let Some(page) = page.filter(|page| guess.number == page.entry(target) && at.addr() as u64 <= limit) else {
        // SAFETY: the module's invariant.
        return unsafe { out_of_line::<Unguessed<J>>(core, at, limit, code, codes) };
    };
    J::effect(core, link);
    core.pc = target & PAGE;
    let to = page.links().as_ptr().wrapping_add(usize::from(guess.number));
    arrive!(core, at, limit, page, codes, to, J::DONE)
});

/// Anywhere, where the guess was wrong. From now on it is another one.
struct Unguessed<J>(PhantomData<J>);
link!([J: Goes] Unguessed<J>, |core, link, at, limit, code, codes| {
    let target = J::target(core, link);
    let near = (target ^ core.pc) & PAGE == 0;
    let found = if near { Some(code) } else { core.mmu.fetch_page(target).and_then(|pa| codes.page(pa)) };
    let Some(page) = found else { stop!(core, at, limit, code, codes) };
    let number = page.entry(target);
    if number == 0 || at.addr() as u64 > limit {
        stop!(core, at, limit, code, codes);
    }
    // There are at most some thousand pages.
    codes.guesses().set(at.addr(), Guess { slot: page.slot() as u16, number });
    J::effect(core, link);
    core.pc = target & PAGE;
    let to = page.links().as_ptr().wrapping_add(usize::from(number));
    arrive!(core, at, limit, page, codes, to, J::DONE)
});

/// A branch to another page.
pub(super) struct BranchFar<T>(PhantomData<T>);
link!([T: Test] BranchFar<T>, |core, link, at, limit, code, codes| {
    if T::holds(core.x(link.rs1), core.x(link.rs2())) {
        // SAFETY: the module's invariant.
        return unsafe { Far::<Taken>::run(core, at, limit, code, codes) };
    }
    next!(core, at, limit, code, codes)
});

/// JALR where targets must be multiples of 4.
pub(super) struct JalrAligned;
link!([] JalrAligned, |core, link, at, limit, code, codes| {
    if CallOfRegister::target(core, link) & 2 != 0 {
        stop!(core, at, limit, code, codes);
    }
    // SAFETY: the module's invariant.
    unsafe { Jalr::run(core, at, limit, code, codes) }
});
