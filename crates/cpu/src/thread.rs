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
//! every link either stops, or calls the one behind it (two behind it where it does the work of both), of which there is one, since
//! a run's last link does not, or calls one that an entry of a page or a distance between two links of its page names. No
//! page changes while a thread runs, but for [`link`]'s cells.
#![allow(unsafe_code)]

use std::cell::Cell;

use isa::{Op as Insn, PAGE_BYTES};

use crate::bits::{self, sext32};
use crate::chain::{Stopped, Tier};
use crate::code::{CodeCache, CodePage, End, MAX_RUN, Place};
use crate::core::Core;
use crate::csr::set_fs_dirty;
use crate::exec::float;
use crate::exec::pure::{of_one_register, of_register_and_immediate, of_two_registers};
use crate::op::{CHECKS_TARGET, Op, is_control_transfer};
use crate::state::X_SINK;

/// Runs the link at the address given, and those that follow; room ends behind the limit.
type Run = unsafe extern "C" fn(&mut Core, *const Link, u64, &CodePage, &CodeCache) -> Stop;

/// Where a thread stopped, in the page that `core.slot` tells.
#[repr(C)]
pub(crate) struct Stop {
    at: *const Link,
    limit: u64,
}

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

impl Link {
    /// Prepares an operation that ends at the offset `behind` in its page.
    pub(crate) fn new(op: &Op, behind: u16) -> Self {
        let run = run_of(op);
        let &Op { code, mut imm, rd, rs1, aux, .. } = op;
        let mut rs2 = u16::from(op.rs2);
        if std::ptr::fn_addr_eq(run, floating as Run) {
            // The immediate is a fourth register at most.
            imm = (code as i32) << 8 | imm & 0xff;
            rs2 |= u16::from(aux) << 8;
        } else if matches!(code, Insn::Jal | Insn::Jalr) {
            rs2 = behind / 2;
        }
        Self { run: Cell::new(run), imm: Cell::new(imm), rd, rs1, rs2 }
    }

    /// Prepares what stands behind a run.
    pub(crate) fn of_end(op: &Op) -> Self {
        let leaves = op.aux == End::Next as u8 && u64::from(op.offset) == PAGE_BYTES;
        let run: Run = if leaves { next_page } else { stop };
        Self { run: Cell::new(run), imm: Cell::new(op.imm), rd: op.rd, rs1: 0, rs2: 0 }
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
        let number = (stop.at.addr() - page.links().as_ptr().addr()) / SIZE as usize;
        let unused = stop.limit.wrapping_sub(stop.at.addr() as u64) as i64 / SIZE as i64;
        let unused = unused.wrapping_add_unsigned(LEAST) as u64;
        Stopped { place: Place { page, number: number as u16 }, left: left - now + unused }
    }
}

/// Defines a link: `$core`, `$link` and the others are what it may use. It ends in `next!`, `stop!` or `go!`.
macro_rules! link {
    ($name:ident, |$core:ident, $link:ident, $at:ident, $limit:ident, $code:ident, $codes:ident| $body:block) => {
        unsafe extern "C" fn $name(
            $core: &mut Core,
            $at: *const Link,
            $limit: u64,
            $code: &CodePage,
            $codes: &CodeCache,
        ) -> Stop {
            // SAFETY: the module's invariant.
            #[allow(unused_variables)]
            let $link = unsafe { &*$at };
            $body
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
/// Goes to any address, once it is found; `$size` of the link counts as done.
macro_rules! go {
    ($core:ident, $at:ident, $limit:ident, $code:ident, $codes:ident, $target:expr, $size:expr $(, $effect:expr)?) => {{
        let target: u64 = $target;
        let mut page = $core.pc;
        let mut code: &CodePage = $code;
        if (target ^ page) & PAGE != 0 {
            match $core.mmu.fetch_page(target).and_then(|pa| $codes.page(pa)) {
                Some(found) => (page, code) = (target & PAGE, found),
                None => stop!($core, $at, $limit, $code, $codes),
            }
        }
        let number = usize::from(code.entry(target));
        if number == 0 || $at.addr() as u64 > $limit {
            stop!($core, $at, $limit, $code, $codes);
        }
        $($effect;)?
        $core.pc = page;
        // SAFETY: an entry names a link of its page.
        unsafe {
            let to = code.links().as_ptr().add(number);
            let distance = (to.addr() as u64).wrapping_sub($at.addr() as u64);
            let limit = $limit.wrapping_add(distance).wrapping_sub($size);
            ((*to).run.get())($core, to, limit, code, $codes)
        }
    }};
}

unsafe extern "C" fn stop(
    core: &mut Core,
    at: *const Link,
    limit: u64,
    code: &CodePage,
    _: &CodeCache,
) -> Stop {
    core.slot = code.slot();
    Stop { at, limit }
}

link!(next_page, |core, link, at, limit, code, codes| {
    go!(core, at, limit, code, codes, core.pc.wrapping_add(PAGE_BYTES), 0)
});
link!(next_linked, |core, link, at, limit, code, codes| {
    follow!(core, at, limit, code, codes, 0)
});
link!(nothing, |core, link, at, limit, code, codes| { next!(core, at, limit, code, codes) });
link!(constant, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, link.imm());
    next!(core, at, limit, code, codes)
});
link!(constant_of_two, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, link.imm());
    next!(core, at, limit, code, codes, 2)
});
link!(copy, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, core.x(link.rs1));
    next!(core, at, limit, code, codes)
});
link!(auipc, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, core.pc.wrapping_add(link.imm()));
    next!(core, at, limit, code, codes)
});
link!(auipc_of_two, |core, link, at, limit, code, codes| {
    core.set_x(link.rd, core.pc.wrapping_add(link.imm()));
    next!(core, at, limit, code, codes, 2)
});
link!(jal_linked, |core, link, at, limit, code, codes| {
    follow!(
        core,
        at,
        limit,
        code,
        codes,
        SIZE,
        core.set_x(link.rd, core.pc.wrapping_add(link.behind()))
    )
});
link!(jump_linked, |core, link, at, limit, code, codes| {
    follow!(core, at, limit, code, codes, SIZE)
});
link!(jal_far, |core, link, at, limit, code, codes| {
    let behind = core.pc.wrapping_add(link.behind());
    let target = core.pc.wrapping_add(link.imm());
    go!(core, at, limit, code, codes, target, SIZE, core.set_x(link.rd, behind))
});
link!(jalr, |core, link, at, limit, code, codes| {
    let behind = core.pc.wrapping_add(link.behind());
    let target = core.x(link.rs1).wrapping_add(link.imm()) & !1;
    go!(core, at, limit, code, codes, target, SIZE, core.set_x(link.rd, behind))
});
link!(jalr_aligned, |core, link, at, limit, code, codes| {
    let behind = core.pc.wrapping_add(link.behind());
    let target = core.x(link.rs1).wrapping_add(link.imm()) & !1;
    if target & 2 != 0 {
        stop!(core, at, limit, code, codes);
    }
    go!(core, at, limit, code, codes, target, SIZE, core.set_x(link.rd, behind))
});

// Whatever `exec::float` does with registers alone. The link's immediate has the instruction's code, and `behind` the
// rounding mode.
link!(floating, |core, link, at, limit, code, codes| {
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
    macro_rules! branch {
        (|$a:ident, $b:ident| $test:expr) => {{
            link!(unlinked, |core, link, at, limit, code, codes| {
                let ($a, $b) = (core.x(link.rs1), core.x(link.rs2()));
                if $test {
                    stop!(core, at, limit, code, codes);
                }
                next!(core, at, limit, code, codes)
            });
            link!(linked, |core, link, at, limit, code, codes| {
                let ($a, $b) = (core.x(link.rs1), core.x(link.rs2()));
                if $test {
                    return follow!(core, at, limit, code, codes, SIZE);
                }
                next!(core, at, limit, code, codes)
            });
            link!(far, |core, link, at, limit, code, codes| {
                let ($a, $b) = (core.x(link.rs1), core.x(link.rs2()));
                if $test {
                    let target = core.pc.wrapping_add(link.imm());
                    return go!(core, at, limit, code, codes, target, SIZE);
                }
                next!(core, at, limit, code, codes)
            });
            match form {
                Form::Unlinked => unlinked,
                Form::Linked => linked,
                Form::Far => far,
            }
        }};
    }
    match op.code {
        Insn::Beq => branch!(|a, b| a == b),
        Insn::Bne => branch!(|a, b| a != b),
        Insn::Blt => branch!(|a, b| (a as i64) < b as i64),
        Insn::Bge => branch!(|a, b| a as i64 >= b as i64),
        Insn::Bltu => branch!(|a, b| a < b),
        Insn::Bgeu => branch!(|a, b| a >= b),
        _ => stop,
    }
}

/// How a jump, branch or end of a run runs that was linked; `None` for what cannot be.
fn linked_run_of(op: &Op) -> Option<Run> {
    match op.code {
        _ if op.rest == 0 => (op.aux == End::Next as u8).then_some(next_linked),
        _ if Form::of(op) != Form::Unlinked => None,
        Insn::Jal if op.rd == X_SINK => Some(jump_linked),
        Insn::Jal => Some(jal_linked),
        Insn::Jalr => None,
        code if is_control_transfer(code) => Some(branch_of(op, Form::Linked)),
        _ => None,
    }
}

/// How an operation runs.
fn run_of(op: &Op) -> Run {
    macro_rules! two {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Insn::$name => {
                    link!(run, |core, link, at, limit, code, codes| {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(link.rd, meaning(core.x(link.rs1), core.x(link.rs2())));
                        next!(core, at, limit, code, codes)
                    });
                    return run;
                })*
                _ => {}
            }
        };
    }
    macro_rules! immediate {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Insn::$name => {
                    link!(run, |core, link, at, limit, code, codes| {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(link.rd, meaning(core.x(link.rs1), link.imm()));
                        next!(core, at, limit, code, codes)
                    });
                    return run;
                })*
                _ => {}
            }
        };
    }
    macro_rules! one {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Insn::$name => {
                    link!(run, |core, link, at, limit, code, codes| {
                        let meaning: fn(u64) -> u64 = $meaning;
                        core.set_x(link.rd, meaning(core.x(link.rs1)));
                        next!(core, at, limit, code, codes)
                    });
                    return run;
                })*
                _ => {}
            }
        };
    }
    macro_rules! load {
        ($t:ty, $signed:ty) => {{
            link!(run, |core, link, at, limit, code, codes| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                let Some(value) = core.load::<$t>(va) else {
                    stop!(core, at, limit, code, codes);
                };
                core.set_x(link.rd, value as $signed as u64);
                next!(core, at, limit, code, codes)
            });
            run
        }};
    }
    macro_rules! store {
        ($t:ty) => {{
            link!(run, |core, link, at, limit, code, codes| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                if !core.store::<$t>(va, core.x(link.rs2()) as $t) {
                    stop!(core, at, limit, code, codes);
                }
                next!(core, at, limit, code, codes)
            });
            run
        }};
    }
    macro_rules! float_load {
        ($t:ty, $boxed:expr) => {{
            link!(run, |core, link, at, limit, code, codes| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                if core.fp_is_off() {
                    stop!(core, at, limit, code, codes);
                }
                let Some(value) = core.load::<$t>(va) else {
                    stop!(core, at, limit, code, codes);
                };
                core.f[usize::from(link.rd & 31)] = u64::from(value) | $boxed;
                set_fs_dirty(core);
                next!(core, at, limit, code, codes)
            });
            run
        }};
    }
    macro_rules! float_store {
        ($t:ty) => {{
            link!(run, |core, link, at, limit, code, codes| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                if core.fp_is_off()
                    || !core.store::<$t>(va, core.f[usize::from(link.rs2() & 31)] as $t)
                {
                    stop!(core, at, limit, code, codes);
                }
                next!(core, at, limit, code, codes)
            });
            run
        }};
    }
    match op.code {
        Insn::Jalr if op.aux == CHECKS_TARGET => return jalr_aligned,
        code if is_control_transfer(code) && op.aux == CHECKS_TARGET => return stop,
        Insn::Addi if op.rs1 == 0 => return constant,
        Insn::Addi if op.imm == 0 => return copy,
        _ => {}
    }
    of_two_registers!(two);
    of_register_and_immediate!(immediate);
    of_one_register!(one);
    match op.code {
        Insn::Lui => constant,
        Insn::Auipc => auipc,
        Insn::Jal if Form::of(op) == Form::Far => jal_far,
        Insn::Jal => stop,
        Insn::Jalr => jalr,
        Insn::Beq | Insn::Bne | Insn::Blt | Insn::Bge | Insn::Bltu | Insn::Bgeu => {
            branch_of(op, Form::of(op))
        }
        Insn::Lb => load!(u8, i8),
        Insn::Lh => load!(u16, i16),
        Insn::Lw => load!(u32, i32),
        Insn::Ld => load!(u64, u64),
        Insn::Lbu => load!(u8, u8),
        Insn::Lhu => load!(u16, u16),
        Insn::Lwu => load!(u32, u32),
        Insn::Sb => store!(u8),
        Insn::Sh => store!(u16),
        Insn::Sw => store!(u32),
        Insn::Sd => store!(u64),
        Insn::Flw => float_load!(u32, 0xffff_ffff << 32),
        Insn::Fld => float_load!(u64, 0),
        Insn::Fsw => float_store!(u32),
        Insn::Fsd => float_store!(u64),
        Insn::Fence | Insn::Pause => nothing,
        Insn::Flh | Insn::Fsh => stop,
        code if code.row().operands.contains("frd") || code.row().operands.contains("frs1") => {
            floating
        }
        _ => stop,
    }
}

impl Link {
    /// Lets one link do the work of two where the second only adds to what the first put into the same register. The second
    /// stays, for who enters there.
    pub(crate) fn fuse(links: &mut [Self], ops: &[Op]) {
        for (number, pair) in ops.windows(2).enumerate() {
            let [first, second] = pair else { continue };
            let same = second.code == Insn::Addi && second.rs1 == first.rd && second.rd == first.rd;
            let Some(sum) = first.imm.checked_add(second.imm).filter(|_| same) else { continue };
            let run: Run = match first.code {
                Insn::Lui => constant_of_two,
                Insn::Auipc => auipc_of_two,
                _ => continue,
            };
            links[number].run.set(run);
            links[number].imm.set(sum);
        }
    }
}
