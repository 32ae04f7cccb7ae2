//! Operations that go on by themselves: each runs and calls the one behind it, or the one it jumps to, which an optimising build
//! makes a jump, so that no central loop decides what comes next.
//!
//! A thread does what is frequent and simple. Anything else, such as a load that the native TLB does not serve, makes it
//! stop *before* the operation, with nothing done, and `exec` runs that one. So both forms do the same, and a thread may be
//! entered at any operation.
//!
//! Instructions are counted by where the links stand: each link that does one has the size of what it takes from the room that
//! is left, so the address at which there is none left moves only where a thread jumps. What jumps looks whether there is room
//! for the longest run, and stops where not.
//!
//! Calls nest at most as deep as [`STRIDE`], whatever a build makes of them.
//!
//! The invariant that `unsafe` stands on: the links of a page end with one that stops or jumps, whichever it is entered at;
//! every link either stops, or calls the one behind it, of which there is one, since
//! a run's last link does not, or does the work of that one, too, or calls one that an entry of a page or a distance between two
//! links of its page names. No
//! page changes while a thread runs, but for [`link`]'s cells.
#![allow(unsafe_code)]

mod pairs;
mod parts;

use std::cell::Cell;
use std::marker::PhantomData;

use isa::{Op as Insn, PAGE_BYTES};

use crate::chain::{Stopped, Tier};
use crate::code::{CodeCache, CodePage, End, MAX_RUN, Place};
use crate::core::Core;
use crate::csr;
use crate::exec::pure::{of_one_register, of_register_and_immediate, of_two_registers};
use crate::exec::{self, float};
use crate::op::{CHECKS_TARGET, Op, is_control_transfer, is_inert_access};
use crate::state::X_SINK;

/// Runs the link at the address given, and those that follow; room ends behind the limit. Where it stopped, in the page that
/// `core.slot` tells, with the limit that `core.limit` tells: one number, since calls are not made jumps where the ways out of a
/// link have pairs to return.
type Run = unsafe extern "C" fn(&mut Core, *const Link, u64, &CodePage, &CodeCache) -> *const Link;

/// An operation as it runs.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Link {
    run: Cell<Run>,
    /// Of a jump or branch that was linked, the distance to where it goes, in bytes of links.
    imm: Cell<i32>,
    rd: u8,
    rs1: u8,
    /// The other source; of a jump, half the offset behind it in the page.
    rs2: u16,
}

const SIZE: u64 = size_of::<Link>() as u64;
const _: () = assert!(SIZE == 16);
const PAGE: u64 = !(PAGE_BYTES - 1);

/// Instructions that a thread does at a time at most: where calls are not made jumps, they nest as deep.
const STRIDE: u64 = if cfg!(debug_assertions) { 1 << 10 } else { 1 << 16 };
/// What must be left for a jump: itself and the longest run.
const LEAST: u64 = MAX_RUN as u64 + 1;

use jumps::{BranchFar, JalFar, Jalr, JalrAligned, Jr, NextPage};
use parts::{
    Amocas, Auipc, Constant, FloatLoad, FloatStore, Load, LoadReserved, Nothing, Part, Store,
    StoreConditional, Test,
};

impl Link {
    /// Prepares an operation that ends at the offset `behind` in its page.
    pub(crate) fn new(op: &Op, behind: u16) -> Self {
        let run = run_of(op);
        let &Op { code, mut imm, rd, rs1, aux, .. } = op;
        let mut rs2 = u16::from(op.rs2);
        if std::ptr::fn_addr_eq(run, whole::<Floating> as Run) || floats::run_of(code).is_some() {
            // The immediate is a fourth register at most.
            imm = (code as i32) << 8 | imm & 0xff;
            rs2 |= u16::from(aux) << 8;
        } else if is_csr_access(code) {
            imm = (code as i32) << 12 | imm & 0xfff;
        } else if matches!(code, Insn::Jal | Insn::Jalr) {
            rs2 = behind / 2;
        } else if is_product(op) {
            imm = 1 << imm;
        }
        Self { run: Cell::new(run), imm: Cell::new(imm), rd, rs1, rs2 }
    }

    /// Prepares what stands behind a run.
    pub(crate) fn of_end(op: &Op) -> Self {
        let leaves = op.aux == End::Next as u8 && u64::from(op.offset) == PAGE_BYTES;
        let run: Run = if leaves { whole::<NextPage> } else { stop };
        Self { run: Cell::new(run), imm: Cell::new(op.imm), rd: op.rd, rs1: 0, rs2: 0 }
    }

    /// Lets links do the work of those behind them, too, where there are links for all of that.
    pub(crate) fn fuse(links: &mut [Self], ops: &[Op]) {
        for (pair, link) in ops.windows(2).zip(links.iter_mut().skip(1)) {
            if let [first, second] = pair
                && first.rest == second.rest + 1
                && second.rest != 0
                && chains::swaps(first, second)
            {
                (link.rs1, link.rs2) = (link.rs2(), link.rs1.into());
            }
        }
        let mut next_has_group = false;
        for (number, link) in links.iter().enumerate().rev() {
            let rest = ops.get(number).map_or(0, |op| usize::from(op.rest));
            let run = ops.get(number..number + rest).unwrap_or_default();
            let group = groups::of_several(run);
            let has_group = group.is_some();
            if let Some(group) = group {
                link.run.set(group.run);
                link.imm.set(group.first.unwrap_or(link.imm.get()));
                if let Some((second, imm)) = links.get(number + 1).zip(group.second) {
                    second.imm.set(imm);
                }
            } else if let [first, behind @ ..] = run
                && let Some(run) = Self::of_both(first, behind, next_has_group)
            {
                link.run.set(run);
            }
            next_has_group = has_group;
        }
    }

    /// What does the work of the first operation and of those behind it, which a group may do.
    fn of_both(first: &Op, behind: &[Op], is_group: bool) -> Option<Run> {
        if is_group {
            return groups::element(behind).and_then(|_| chains::of_element(first, behind));
        }
        let second = behind.first()?;
        chains::of_two(first, second).or_else(|| pairs::of_two(first, second))
    }

    #[inline(always)]
    fn imm(&self) -> u64 {
        self.imm.get() as u64
    }

    #[inline(always)]
    fn rs2(&self) -> u8 {
        self.rs2 as u8
    }

    /// The offset behind a jump.
    #[inline(always)]
    fn behind(&self) -> u64 {
        2 * u64::from(self.rs2)
    }
}

/// From now on, the jump, branch or end of a run with the number `from` finds the operation `to` of its page by itself.
pub(crate) fn link(code: &CodePage, from: u16, to: u16) {
    let (Some(op), Some(link)) = (code.op(from), code.links().get(usize::from(from))) else {
        return;
    };
    if let Some(run) = linked_run_of(op) {
        // A page has some thousand links.
        link.imm.set((i32::from(to) - i32::from(from)) * SIZE as i32);
        link.run.set(run);
        let before = from.wrapping_sub(1);
        if let (Some(first), Some(link)) = (code.op(before), code.links().get(usize::from(before)))
            && first.rest == op.rest + 1
            && op.rest != 0
        {
            let chain = chains::of_linked(first, op);
            if let Some(run) = chain.or_else(|| pairs::of_linked(first, op)) {
                link.run.set(run);
            }
        }
    }
}

/// The tier of threads.
pub(crate) struct Threads;

impl Tier for Threads {
    const STEP: u64 = 1;

    #[inline(always)]
    fn run<'a>(core: &mut Core, codes: &'a CodeCache, place: Place<'a>, left: u64) -> Stopped<'a> {
        let Place { page, number } = place;
        let now = left.min(STRIDE);
        let links: &[Link] = page.links();
        let (Some(op), Some(link)) = (page.op(number), links.get(usize::from(number))) else {
            return Stopped { place, left };
        };
        if u64::from(op.rest) > now {
            return Stopped { place, left };
        }
        let at: *const Link = links.as_ptr().wrapping_add(usize::from(number));
        let limit = (at.addr() as u64).wrapping_add(now * SIZE).wrapping_sub(LEAST * SIZE);
        // SAFETY: the module's invariant.
        let stop = unsafe { (link.run.get())(core, at, limit, page, codes) };
        let Some(page) = codes.at(core.slot) else { return Stopped { place, left } };
        let number = (stop.addr() - page.links().as_ptr().addr()) / SIZE as usize;
        let unused = core.limit.wrapping_sub(stop.addr() as u64) as i64 / SIZE as i64;
        let unused = unused.wrapping_add_unsigned(LEAST) as u64;
        Stopped { place: Place { page, number: number as u16 }, left: left - now + unused }
    }
}

/// What a link does, up to where the thread stops.
trait Do {
    /// # Safety
    /// The module's invariant: `at` is a link of `code`, made for this.
    unsafe fn run(
        core: &mut Core,
        at: *const Link,
        limit: u64,
        code: &CodePage,
        codes: &CodeCache,
    ) -> *const Link;
}

unsafe extern "C" fn whole<D: Do>(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    codes: &CodeCache,
) -> *const Link {
    // SAFETY: the module's invariant.
    unsafe { D::run(core, at, limit, code, codes) }
}

/// The same for what is rare, so that what is not needs fewer native registers.
#[cold]
#[inline(never)]
unsafe extern "C" fn out_of_line<D: Do>(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    codes: &CodeCache,
) -> *const Link {
    // SAFETY: the module's invariant.
    unsafe { D::run(core, at, limit, code, codes) }
}

/// Says what a link of some type does: `$core`, `$link` and the others are what it may use. It ends in `next!`, `stop!`, `follow!` or `go!`.
macro_rules! link {
    ([$($generics:tt)*] $name:ty, |$core:ident, $link:ident, $at:ident, $limit:ident, $code:ident, $codes:ident| $body:block) => {
        impl<$($generics)*> Do for $name {
            #[inline(always)]
            unsafe fn run(
                $core: &mut Core,
                $at: *const Link,
                $limit: u64,
                $code: &CodePage,
                $codes: &CodeCache,
            ) -> *const Link {
                // SAFETY: the module's invariant.
                #[allow(unused_variables)]
                let $link = unsafe { &*$at };
                $body
            }
        }
    };
}
/// Goes on behind the link, or behind so many.
macro_rules! next {
    ($core:ident, $at:ident, $limit:ident, $code:ident, $codes:ident) => {
        next!($core, $at, $limit, $code, $codes, 1)
    };
    ($core:ident, $at:ident, $limit:ident, $code:ident, $codes:ident, $by:literal) => {{
        // SAFETY: the module's invariant.
        unsafe {
            let next = $at.add($by);
            ((*next).run.get())($core, next, $limit, $code, $codes)
        }
    }};
}
/// Stops before the link.
macro_rules! stop {
    ($core:ident, $at:ident, $limit:ident, $code:ident, $codes:ident) => {
        // SAFETY: it calls nothing.
        return unsafe { stop($core, $at, $limit, $code, $codes) }
    };
}
/// Goes where the link was linked to, `$size` of which counts as done.
macro_rules! follow {
    ($core:ident, $at:ident, $limit:ident, $code:ident, $codes:ident, $size:expr $(, $effect:expr)?) => {{
        if $at.addr() as u64 > $limit {
            stop!($core, $at, $limit, $code, $codes);
        }
        $($effect;)?
        // SAFETY: the module's invariant.
        unsafe {
            let distance = i64::from((*$at).imm.get());
            let limit = $limit.wrapping_add_signed(distance).wrapping_sub($size);
            let to = $at.byte_offset(distance as isize);
            ((*to).run.get())($core, to, limit, $code, $codes)
        }
    }};
}
/// Goes to a link of a page, with `$done` of this one.
macro_rules! arrive {
    ($core:ident, $at:ident, $limit:ident, $code:ident, $codes:ident, $to:ident, $done:expr) => {{
        $codes.guesses().went($to.addr());
        let distance = ($to.addr() as u64).wrapping_sub($at.addr() as u64);
        let limit = $limit.wrapping_add(distance).wrapping_sub($done);
        // SAFETY: an entry names a link of its page.
        unsafe { ((*$to).run.get())($core, $to, limit, $code, $codes) }
    }};
}

// Behind the macros, which they use.
mod chains;
mod floats;
mod groups;
mod jumps;
mod updates;

unsafe extern "C" fn stop(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    _: &CodeCache,
) -> *const Link {
    core.slot = code.slot();
    core.limit = limit;
    at
}

/// Whatever the link is made for.
struct Any;
link!([] Any, |core, link, at, limit, code, codes| {
    // SAFETY: the module's invariant.
    unsafe { (link.run.get())(core, at, limit, code, codes) }
});
/// Does an operation that could not be done by what the native TLB knows of large pages, or as [`again`] does it.
#[inline(never)]
unsafe extern "C" fn otherwise<P: Part>(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    codes: &CodeCache,
) -> *const Link {
    // SAFETY: the module's invariant.
    if !P::apply_in_chunk(core, unsafe { &*at }) {
        // SAFETY: the module's invariant.
        return unsafe { again::<P>(core, at, limit, code, codes) };
    }
    next!(core, at, limit, code, codes)
}

/// Does it once more, if it misses nothing but a page that the second level of the native TLB has, or is misaligned.
#[inline(never)]
unsafe extern "C" fn again<P: Part>(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    codes: &CodeCache,
) -> *const Link {
    // SAFETY: the module's invariant.
    let link = unsafe { &*at };
    let done = P::apply_in_watched_chunk(core, link)
        || match P::page(core, link) {
            Some((va, kind)) => core.recall(va, kind) && P::apply(core, link),
            None => P::misaligned(core, link),
        };
    if !done {
        stop!(core, at, limit, code, codes);
    }
    next!(core, at, limit, code, codes)
}

/// One operation, and what stands behind it.
struct One<P>(PhantomData<P>);
link!([P: Part] One<P>, |core, link, at, limit, code, codes| {
    if !P::apply(core, link) {
        // SAFETY: the module's invariant.
        return unsafe { otherwise::<P>(core, at, limit, code, codes) };
    }
    next!(core, at, limit, code, codes)
});
/// One operation, and what the link behind it does.
struct Pair<P, D>(PhantomData<(P, D)>);
link!([P: Part, D: Do] Pair<P, D>, |core, link, at, limit, code, codes| {
    if !P::apply(core, link) {
        // SAFETY: the module's invariant.
        return unsafe { otherwise::<P>(core, at, limit, code, codes) };
    }
    // SAFETY: the module's invariant.
    unsafe { D::run(core, at.add(1), limit, code, codes) }
});
/// The end of a run, linked to where another goes on.
struct NextLinked;
link!([] NextLinked, |core, link, at, limit, code, codes| {
    follow!(core, at, limit, code, codes, 0)
});
struct JalLinked;
link!([] JalLinked, |core, link, at, limit, code, codes| {
    let behind = core.pc.wrapping_add(link.behind());
    follow!(core, at, limit, code, codes, SIZE, core.set_x(link.rd, behind))
});
/// JAL that links no register.
struct Jump;
link!([] Jump, |core, link, at, limit, code, codes| {
    follow!(core, at, limit, code, codes, SIZE)
});
/// A branch that was linked.
struct Branch<T>(PhantomData<T>);
link!([T: Test] Branch<T>, |core, link, at, limit, code, codes| {
    if T::holds(core.x(link.rs1), core.x(link.rs2())) {
        return follow!(core, at, limit, code, codes, SIZE);
    }
    next!(core, at, limit, code, codes)
});
/// A branch that was not taken so far.
struct BranchUnlinked<T>(PhantomData<T>);
link!([T: Test] BranchUnlinked<T>, |core, link, at, limit, code, codes| {
    if T::holds(core.x(link.rs1), core.x(link.rs2())) {
        stop!(core, at, limit, code, codes);
    }
    next!(core, at, limit, code, codes)
});
struct Csr;
link!([] Csr, |core, link, at, limit, code, codes| {
    let imm = link.imm.get();
    // SAFETY: these bits were made from a code by `Link::new`, and it is two bytes long.
    let insn = unsafe { std::mem::transmute::<u16, Insn>((imm >> 12) as u16) };
    let Link { rd, rs1, .. } = *link;
    let op = Op { imm: imm & 0xfff, code: insn, offset: 0, rd, rs1, rs2: 0, aux: 0, rest: 1 };
    // What is not permitted changed nothing.
    if exec::csr(core, &op).is_err() {
        stop!(core, at, limit, code, codes);
    }
    next!(core, at, limit, code, codes)
});

/// CSRRS or CSRRC of `sstatus`: how a kernel switches interrupts on and off, and its reach into user memory.
struct Status<const SET: bool, const IMMEDIATE: bool>;
link!([const SET: bool, const IMMEDIATE: bool] Status<SET, IMMEDIATE>, |core, link, at, limit, code, codes| {
    let bits = if IMMEDIATE { u64::from(link.rs1) } else { core.x(link.rs1) };
    let Some(old) = csr::switch_status(core, bits, SET) else {
        stop!(core, at, limit, code, codes);
    };
    core.set_x(link.rd, old);
    next!(core, at, limit, code, codes)
});

/// Whatever `exec::float` does with registers alone. The link's immediate has the instruction's code, and the upper half of `rs2` the
/// rounding mode.
struct Floating;
link!([] Floating, |core, link, at, limit, code, codes| {
    if core.fp_is_off() {
        stop!(core, at, limit, code, codes);
    }
    let imm = link.imm.get();
    // SAFETY: these bits were made from a code by `Link::new`, and it is two bytes long.
    let insn = unsafe { std::mem::transmute::<u16, Insn>((imm >> 8) as u16) };
    let Link { rd, rs1, .. } = *link;
    let aux = (link.rs2 >> 8) as u8;
    let op = Op { imm: imm & 0xff, code: insn, offset: 0, rd, rs1, rs2: link.rs2(), aux, rest: 1 };
    // What is not permitted changed nothing.
    if float::execute(core, op).is_err() {
        stop!(core, at, limit, code, codes);
    }
    next!(core, at, limit, code, codes)
});

/// An SLLI that a link does as a product, which takes fewer instructions than what counts bits in a register of its own.
fn is_product(op: &Op) -> bool {
    op.code == Insn::Slli && op.imm < 31
}

fn is_csr_access(code: Insn) -> bool {
    use Insn::{Csrrc, Csrrci, Csrrs, Csrrsi, Csrrw, Csrrwi};
    matches!(code, Csrrw | Csrrs | Csrrc | Csrrwi | Csrrsi | Csrrci)
}

fn is_sstatus(op: &Op) -> bool {
    op.imm == i32::from(isa::csr::SSTATUS)
}

/// A jump or branch, by where it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In its page, but it is not known yet which link stands there.
    Unlinked,
    /// To a link of its page.
    Linked,
    /// To another page.
    Far,
}

impl Form {
    /// As it is decoded.
    fn of(op: &Op) -> Self {
        let near = (0..PAGE_BYTES as i32).contains(&op.imm);
        if near { Self::Unlinked } else { Self::Far }
    }
}

/// How a branch runs.
fn branch_of(op: &Op, form: Form) -> Run {
    fn of<T: Test>(form: Form) -> Run {
        match form {
            Form::Unlinked => whole::<BranchUnlinked<T>>,
            Form::Linked => whole::<Branch<T>>,
            Form::Far => whole::<BranchFar<T>>,
        }
    }
    match op.code {
        Insn::Beq => of::<parts::Beq>(form),
        Insn::Bne => of::<parts::Bne>(form),
        Insn::Blt => of::<parts::Blt>(form),
        Insn::Bge => of::<parts::Bge>(form),
        Insn::Bltu => of::<parts::Bltu>(form),
        Insn::Bgeu => of::<parts::Bgeu>(form),
        _ => stop,
    }
}

/// How a jump, branch or end of a run runs that was linked; `None` for what cannot be.
fn linked_run_of(op: &Op) -> Option<Run> {
    match op.code {
        _ if op.rest == 0 => (op.aux == End::Next as u8).then_some(whole::<NextLinked> as Run),
        _ if Form::of(op) != Form::Unlinked => None,
        Insn::Jal if op.rd == X_SINK => Some(whole::<Jump>),
        Insn::Jal => Some(whole::<JalLinked>),
        Insn::Jalr => None,
        code if is_control_transfer(code) => Some(branch_of(op, Form::Linked)),
        _ => None,
    }
}

/// How an operation runs.
fn run_of(op: &Op) -> Run {
    macro_rules! table {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Insn::$name => return whole::<One<parts::$name>>,)*
                _ => {}
            }
        };
    }
    match op.code {
        Insn::Jalr if op.aux == CHECKS_TARGET => return whole::<JalrAligned>,
        code if is_control_transfer(code) && op.aux == CHECKS_TARGET => return stop,
        Insn::Addi if op.rs1 == 0 => return whole::<One<Constant>>,
        Insn::Addi if op.imm == 0 => return whole::<One<parts::Copy>>,
        Insn::Addi if op.rs1 == op.rd => return whole::<One<parts::Increment>>,
        Insn::Add if op.rs1 == op.rd => return whole::<One<parts::AddTo>>,
        _ if is_product(op) => return whole::<One<parts::Product>>,
        _ => {}
    }
    of_two_registers!(table);
    of_register_and_immediate!(table);
    of_one_register!(table);
    match op.code {
        Insn::Lui => whole::<One<Constant>>,
        Insn::Auipc => whole::<One<Auipc>>,
        Insn::Jal if Form::of(op) == Form::Far => whole::<JalFar>,
        Insn::Jal => stop,
        Insn::Jalr if op.rd == X_SINK => whole::<Jr>,
        Insn::Jalr => whole::<Jalr>,
        Insn::Beq | Insn::Bne | Insn::Blt | Insn::Bge | Insn::Bltu | Insn::Bgeu => {
            branch_of(op, Form::of(op))
        }
        Insn::Lb => whole::<One<Load<u8, i8>>>,
        Insn::Lh => whole::<One<Load<u16, i16>>>,
        Insn::Lw => whole::<One<Load<u32, i32>>>,
        Insn::Ld => whole::<One<Load<u64, u64>>>,
        Insn::Lbu => whole::<One<Load<u8, u8>>>,
        Insn::Lhu => whole::<One<Load<u16, u16>>>,
        Insn::Lwu => whole::<One<Load<u32, u32>>>,
        Insn::Sb => whole::<One<Store<u8>>>,
        Insn::Sh => whole::<One<Store<u16>>>,
        Insn::Sw => whole::<One<Store<u32>>>,
        Insn::Sd => whole::<One<Store<u64>>>,
        Insn::Flw => whole::<One<FloatLoad<u32>>>,
        Insn::Fld => whole::<One<FloatLoad<u64>>>,
        Insn::Fsw => whole::<One<FloatStore<u32>>>,
        Insn::Fsd => whole::<One<FloatStore<u64>>>,
        Insn::LrW => whole::<One<LoadReserved<u32>>>,
        Insn::LrD => whole::<One<LoadReserved<u64>>>,
        Insn::ScW => whole::<One<StoreConditional<u32>>>,
        Insn::ScD => whole::<One<StoreConditional<u64>>>,
        Insn::AmoswapW => whole::<One<parts::AmoswapW>>,
        Insn::AmoaddW => whole::<One<parts::AmoaddW>>,
        Insn::AmoandW => whole::<One<parts::AmoandW>>,
        Insn::AmoorW => whole::<One<parts::AmoorW>>,
        Insn::AmoxorW => whole::<One<parts::AmoxorW>>,
        Insn::AmoswapD => whole::<One<parts::AmoswapD>>,
        Insn::AmoaddD => whole::<One<parts::AmoaddD>>,
        Insn::AmoandD => whole::<One<parts::AmoandD>>,
        Insn::AmoorD => whole::<One<parts::AmoorD>>,
        Insn::AmoxorD => whole::<One<parts::AmoxorD>>,
        Insn::AmominW => whole::<One<parts::AmominW>>,
        Insn::AmomaxW => whole::<One<parts::AmomaxW>>,
        Insn::AmominuW => whole::<One<parts::AmominuW>>,
        Insn::AmomaxuW => whole::<One<parts::AmomaxuW>>,
        Insn::AmominD => whole::<One<parts::AmominD>>,
        Insn::AmomaxD => whole::<One<parts::AmomaxD>>,
        Insn::AmominuD => whole::<One<parts::AmominuD>>,
        Insn::AmomaxuD => whole::<One<parts::AmomaxuD>>,
        Insn::AmocasW => whole::<One<Amocas<u32, i32>>>,
        Insn::AmocasD => whole::<One<Amocas<u64, i64>>>,
        _ if is_csr_access(op.code) && is_inert_access(op) => whole::<Csr>,
        Insn::Csrrs if is_sstatus(op) => whole::<Status<true, false>>,
        Insn::Csrrc if is_sstatus(op) => whole::<Status<false, false>>,
        Insn::Csrrsi if is_sstatus(op) => whole::<Status<true, true>>,
        Insn::Csrrci if is_sstatus(op) => whole::<Status<false, true>>,
        Insn::Fence | Insn::Pause => whole::<One<Nothing>>,
        Insn::CboZero => whole::<One<parts::ZeroBlock>>,
        Insn::Flh | Insn::Fsh => stop,
        code if code.row().operands.contains("frd") || code.row().operands.contains("frs1") => {
            floats::run_of(code).unwrap_or(whole::<Floating>)
        }
        _ => stop,
    }
}
