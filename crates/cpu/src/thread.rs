//! Operations that go on by themselves: each runs and calls the one behind it, which an optimising build makes a jump, so
//! that no central loop decides what comes next.
//!
//! A thread holds what is frequent and simple. Anything else, such as a load that the native TLB does not serve, makes it
//! stop *before* the operation, with nothing done, and `exec` runs that one. So both forms do the same, and a thread may be
//! entered at any operation.
//!
//! Calls nest at most as deep as a block is long, whatever a build makes of them.
//!
//! The invariant that `unsafe` stands on: a thread's last link is [`end`] or [`end_illegal`], which call nothing; every other link either
//! returns or calls the one behind it, or two behind it where it does the work of both. So each call gets a link of the
//! thread that was entered, which `Thread::run` borrows meanwhile.
#![allow(unsafe_code)]

use isa::Op as Insn;

use crate::bits::{self, sext32};
use crate::block::{CHECKS_TARGET, Op, is_control_transfer};
use crate::core::Core;
use crate::csr::set_fs_dirty;
use crate::exec::float;
use crate::exec::pure::{of_one_register, of_register_and_immediate, of_two_registers};

/// Runs a link of the block at the address given, and those behind it; returns the link it stopped before.
type Run = unsafe extern "C" fn(&mut Core, *const Link, u64) -> *const Link;

/// An operation as it runs.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Link {
    run: Run,
    imm: i32,
    rd: u8,
    rs1: u8,
    rs2: u8,
    /// Half the offset behind it in the block.
    behind: u8,
}

const _: () = assert!(size_of::<Link>() == 16);

impl Link {
    #[inline(always)]
    fn imm(&self) -> u64 {
        self.imm as u64
    }

    #[inline(always)]
    fn behind(&self) -> u64 {
        2 * u64::from(self.behind)
    }
}

/// The operations of a block, to be run one behind the other.
#[derive(Debug)]
pub(crate) struct Thread {
    /// One for each operation, and [`end`].
    links: Box<[Link]>,
}

impl Thread {
    /// Prepares the operations of a block, `bytes` long; `illegal` if what follows cannot be decoded.
    pub(crate) fn new(ops: &[Op], bytes: u16, illegal: bool) -> Self {
        let behind = |number: usize| ops.get(number + 1).map_or(bytes, |next| next.offset);
        let link = |(number, op): (usize, &Op)| {
            let run = run_of(op);
            let &Op { code, imm, rd, rs1, rs2, aux, .. } = op;
            if std::ptr::fn_addr_eq(run, floating as Run) {
                // The immediate is a fourth register at most.
                return Link {
                    run,
                    imm: (code as i32) << 8 | imm & 0xff,
                    rd,
                    rs1,
                    rs2,
                    behind: aux,
                };
            }
            // At most 64 operations of four bytes.
            Link { run, imm, rd, rs1, rs2, behind: (behind(number) / 2) as u8 }
        };
        let run: Run = if illegal { end_illegal } else { end };
        let last = Link { run, imm: i32::from(bytes), rd: 0, rs1: 0, rs2: 0, behind: 0 };
        let mut links: Vec<Link> = ops.iter().enumerate().map(link).chain([last]).collect();
        fuse(&mut links, ops);
        Self { links: links.into() }
    }

    /// How many operations there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.links.len() - 1
    }

    /// Runs the operations from number `first` on, for a block that begins at `pc`, until all are done and `core.pc` is
    /// what comes next, or one is not for threads. Returns how many operations of the block are done; one more than there are if
    /// what follows them is illegal.
    #[inline(always)]
    pub(crate) fn run(&self, core: &mut Core, first: usize, pc: u64) -> usize {
        let links: &[Link] = &self.links;
        assert!(first < links.len());
        let start = links.as_ptr();
        // SAFETY: `first` is in bounds; the rest is the module's invariant.
        let stopped = unsafe {
            let link = start.add(first);
            ((*link).run)(core, link, pc)
        };
        (stopped.addr() - start.addr()) / size_of::<Link>()
    }
}

/// Defines a link: `$core`, `$link` and `$pc` are what it may use. It ends in `next!`, `skip!`, `stop!` or `leave!`.
macro_rules! link {
    ($name:ident, |$core:ident, $link:ident, $pc:ident, $at:ident| $body:block) => {
        unsafe extern "C" fn $name($core: &mut Core, $at: *const Link, $pc: u64) -> *const Link {
            // SAFETY: the module's invariant.
            let $link = unsafe { &*$at };
            $body
        }
    };
}
/// Goes on behind the link, or behind so many.
macro_rules! next {
    ($core:ident, $at:ident, $pc:ident) => {
        next!($core, $at, $pc, 1)
    };
    ($core:ident, $at:ident, $pc:ident, $by:literal) => {{
        // SAFETY: the module's invariant.
        unsafe {
            let next = $at.add($by);
            ((*next).run)($core, next, $pc)
        }
    }};
}
/// The block is done and goes on at that address.
macro_rules! leave {
    ($core:ident, $at:ident, $to:expr) => {{
        $core.pc = $to;
        // SAFETY: this is no `end`, so there is one more.
        unsafe { $at.add(1) }
    }};
}

link!(end, |core, link, pc, at| {
    core.pc = pc.wrapping_add(link.imm());
    at
});
// One more than there are: nobody takes it for done.
link!(end_illegal, |core, link, pc, at| {
    core.pc = pc.wrapping_add(link.imm());
    at.wrapping_add(1)
});
link!(not_here, |_core, _link, _pc, at| { at });
link!(nothing, |core, _link, pc, at| { next!(core, at, pc) });
link!(constant, |core, link, pc, at| {
    core.set_x(link.rd, link.imm());
    next!(core, at, pc)
});
link!(constant_of_two, |core, link, pc, at| {
    core.set_x(link.rd, link.imm());
    next!(core, at, pc, 2)
});
link!(copy, |core, link, pc, at| {
    core.set_x(link.rd, core.x(link.rs1));
    next!(core, at, pc)
});
link!(auipc, |core, link, pc, at| {
    core.set_x(link.rd, pc.wrapping_add(link.imm()));
    next!(core, at, pc)
});
link!(auipc_of_two, |core, link, pc, at| {
    core.set_x(link.rd, pc.wrapping_add(link.imm()));
    next!(core, at, pc, 2)
});
link!(jal, |core, link, pc, at| {
    core.set_x(link.rd, pc.wrapping_add(link.behind()));
    leave!(core, at, pc.wrapping_add(link.imm()))
});
link!(jalr, |core, link, pc, at| {
    let target = core.x(link.rs1).wrapping_add(link.imm()) & !1;
    core.set_x(link.rd, pc.wrapping_add(link.behind()));
    leave!(core, at, target)
});

// Whatever `exec::float` does with registers alone. The link's immediate has the instruction's code, and `behind` the
// rounding mode.
link!(floating, |core, link, pc, at| {
    if core.fp_is_off() {
        return at;
    }
    // SAFETY: these bits were made from a code by `Thread::new`, and it is two bytes long.
    let code = unsafe { std::mem::transmute::<u16, Insn>((link.imm >> 8) as u16) };
    let Link { rd, rs1, rs2, .. } = *link;
    let op = Op { imm: link.imm & 0xff, code, offset: 0, rd, rs1, rs2, aux: link.behind };
    // What is not permitted changed nothing.
    if float::execute(core, op).is_err() {
        return at;
    }
    next!(core, at, pc)
});

/// How an operation runs.
fn run_of(op: &Op) -> Run {
    macro_rules! two {
        ($($name:ident: $meaning:expr;)*) => {
            match op.code {
                $(Insn::$name => {
                    link!(run, |core, link, pc, at| {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(link.rd, meaning(core.x(link.rs1), core.x(link.rs2)));
                        next!(core, at, pc)
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
                    link!(run, |core, link, pc, at| {
                        let meaning: fn(u64, u64) -> u64 = $meaning;
                        core.set_x(link.rd, meaning(core.x(link.rs1), link.imm()));
                        next!(core, at, pc)
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
                    link!(run, |core, link, pc, at| {
                        let meaning: fn(u64) -> u64 = $meaning;
                        core.set_x(link.rd, meaning(core.x(link.rs1)));
                        next!(core, at, pc)
                    });
                    return run;
                })*
                _ => {}
            }
        };
    }
    macro_rules! branch {
        (|$a:ident, $b:ident| $test:expr) => {{
            link!(run, |core, link, pc, at| {
                let ($a, $b) = (core.x(link.rs1), core.x(link.rs2));
                let offset = if $test { link.imm() } else { link.behind() };
                leave!(core, at, pc.wrapping_add(offset))
            });
            run
        }};
    }
    macro_rules! load {
        ($t:ty, $signed:ty) => {{
            link!(run, |core, link, pc, at| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                let Some(value) = core.load::<$t>(va) else { return at };
                core.set_x(link.rd, value as $signed as u64);
                next!(core, at, pc)
            });
            run
        }};
    }
    macro_rules! store {
        ($t:ty) => {{
            link!(run, |core, link, pc, at| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                if !core.store::<$t>(va, core.x(link.rs2) as $t) {
                    return at;
                }
                next!(core, at, pc)
            });
            run
        }};
    }
    macro_rules! float_load {
        ($t:ty, $boxed:expr) => {{
            link!(run, |core, link, pc, at| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                if core.fp_is_off() {
                    return at;
                }
                let Some(value) = core.load::<$t>(va) else { return at };
                core.f[usize::from(link.rd & 31)] = u64::from(value) | $boxed;
                set_fs_dirty(core);
                next!(core, at, pc)
            });
            run
        }};
    }
    macro_rules! float_store {
        ($t:ty) => {{
            link!(run, |core, link, pc, at| {
                let va = core.x(link.rs1).wrapping_add(link.imm());
                if core.fp_is_off()
                    || !core.store::<$t>(va, core.f[usize::from(link.rs2 & 31)] as $t)
                {
                    return at;
                }
                next!(core, at, pc)
            });
            run
        }};
    }
    match op.code {
        code if is_control_transfer(code) && op.aux == CHECKS_TARGET => return not_here,
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
        Insn::Jal => jal,
        Insn::Jalr => jalr,
        Insn::Beq => branch!(|a, b| a == b),
        Insn::Bne => branch!(|a, b| a != b),
        Insn::Blt => branch!(|a, b| (a as i64) < b as i64),
        Insn::Bge => branch!(|a, b| a as i64 >= b as i64),
        Insn::Bltu => branch!(|a, b| a < b),
        Insn::Bgeu => branch!(|a, b| a >= b),
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
        Insn::Flh | Insn::Fsh => not_here,
        code if code.row().operands.contains("frd") || code.row().operands.contains("frs1") => {
            floating
        }
        _ => not_here,
    }
}

/// Lets one link do the work of two where the second only adds to what the first put into the same register. The second
/// stays, for who enters there.
fn fuse(links: &mut [Link], ops: &[Op]) {
    for (number, pair) in ops.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        let same = second.code == Insn::Addi && second.rs1 == first.rd && second.rd == first.rd;
        let Some(sum) = first.imm.checked_add(second.imm).filter(|_| same) else { continue };
        let run = match first.code {
            Insn::Lui => constant_of_two,
            Insn::Auipc => auipc_of_two,
            _ => continue,
        };
        links[number] = Link { run, imm: sum, ..links[number] };
    }
}
