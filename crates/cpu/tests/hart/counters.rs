//! Programmable counters count what they are told, in the modes they are told, and say when they
//! overflow [priv: machine, "Hardware Performance Monitor"; Sscofpmf].

use std::sync::Arc;

use cpu::{EVENTS, Exit, Hart, HartConfig, Requests};
use isa::asm::Program;
use isa::field::mhpmevent::{MINH, OF, UINH};
use isa::{ExtSet, Interrupt, Pa, csr};
use mmu::{PmaMap, Ram, Shape};

use crate::rig::{BASE, Empty, hart};

fn code(name: &str) -> u64 {
    1 + EVENTS.iter().position(|row| row.name == name).expect("a known event") as u64
}

// norm: mhpmcounter_warl, mhpmcounter_sz, mhpmcounter_mhpmevent_rdonly0
#[test]
fn each_of_29_counters_holds_64_bits() {
    let mut hart = hart("nop");
    for counter in 0..29u16 {
        for value in [u64::MAX, 0x0123_4567_89ab_cdef, 1 << 63, 0] {
            let value = value ^ u64::from(counter);
            hart.set_csr(csr::MHPMCOUNTER3 + counter, value);
            assert_eq!(hart.csr(csr::MHPMCOUNTER3 + counter), Some(value));
            assert_eq!(hart.csr(0xc03 + counter), Some(value), "the view of user mode");
        }
    }
}

// norm: mhpmevent_sz_warl_op
#[test]
fn exceptions_and_fences_are_counted_one_by_one() {
    let mut hart = hart("sfence.vma; sfence.vma; sfence.vma; ecall");
    hart.set_csr(csr::MHPMEVENT3, code("fences"));
    hart.set_csr(csr::MHPMEVENT3 + 1, code("exceptions"));
    hart.run(&mut Empty, 3);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(3));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3 + 1), Some(0));
    // The ecall goes to `mtvec`, where the zeroed memory is illegal too: each is an exception.
    hart.run(&mut Empty, 2);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3 + 1), Some(2));
}

#[test]
fn a_walk_of_three_levels_reads_three_ptes() {
    // One Sv39 gigapage would be one PTE; here the leaf is a 4 KiB page.
    let mut hart = hart("ld a0, 0(s0)");
    let root = 0x8000_1000u64;
    for (table, next, flags) in
        [(root, 0x8000_2000u64, 1), (0x8000_2000, 0x8000_3000, 1), (0x8000_3000, 0x8000_0000, 0xdf)]
    {
        // Index 0 at every level: virtual page 0.
        hart.ram().write(isa::Pa(table), (next >> 12) << 10 | flags).expect("RAM");
    }
    hart.set_csr(csr::SATP, 8 << 60 | root >> 12);
    // Loads as U-mode through MPRV, fetches stay physical.
    hart.set_csr(csr::MSTATUS, isa::field::mstatus::MPRV);
    hart.set_csr(csr::MHPMEVENT3, code("s-stage-ptes"));
    hart.set_x(8, 0x10);
    hart.run(&mut Empty, 1);
    assert_eq!(hart.retired(), 1);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(3));
}

#[test]
fn a_counter_stands_still_in_the_modes_it_is_kept_from() {
    let mut hart = hart("nop; nop; nop; nop");
    hart.set_csr(csr::MHPMEVENT3, code("instructions") | MINH);
    hart.set_csr(csr::MHPMEVENT3 + 1, code("instructions"));
    hart.run(&mut Empty, 4);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(0));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3 + 1), Some(4));
}

/// A hart that lets U-mode reach all memory, at a program.
fn with_user_mode(source: &str) -> Hart {
    let mut hart = hart(source);
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    hart
}

// A return counts where it came from, a call nowhere [Smcntrpmf, "Counter Behavior"].
// norm: ecall_ebreak_no_minstret_inc
#[test]
fn what_changes_the_mode_counts_in_none_but_the_mode_it_began_in() {
    let mut hart = with_user_mode(
        "la t0, handler; csrw mtvec, t0; la t0, user; csrw mepc, t0; mret
         user: nop; ecall; nop; ecall; j user
         handler: csrr t1, mepc; addi t1, t1, 4; csrw mepc, t1; mret",
    );
    let instructions = code("instructions");
    hart.set_csr(csr::MHPMEVENT3, instructions | MINH);
    hart.set_csr(csr::MHPMEVENT3 + 1, instructions | UINH);
    hart.set_csr(csr::MINSTRETCFG, MINH);
    // Seven instructions to the first return, then twice a nop, the trap and four to the next return.
    hart.run(&mut Empty, 7 + 2 * (1 + 1 + 4));
    assert_eq!((hart.retired(), hart.mode()), (7 + 2 * 5, isa::Mode::U));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(2), "two nops");
    assert_eq!(hart.csr(csr::MINSTRET), Some(2));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3 + 1), Some(hart.retired() - 2));
}

#[test]
fn a_counter_that_starts_at_zero_has_not_overflowed() {
    // Written by an instruction, started by one, and started by a return into the mode that it counts.
    let mut hart = with_user_mode(
        "csrw mhpmcounter3, zero; csrwi mcountinhibit, 0; la t0, user; csrw mepc, t0; mret
         user: nop; nop; j user",
    );
    hart.set_csr(csr::MCOUNTINHIBIT, 1 << 4);
    for (counter, filter) in [(0, 0), (1, 0), (2, MINH)] {
        hart.set_csr(csr::MHPMEVENT3 + counter, code("instructions") | filter);
    }
    hart.run(&mut Empty, 100);
    for counter in 0..3 {
        assert_eq!(hart.csr(csr::MHPMEVENT3 + counter).unwrap_or(OF) & OF, 0, "{counter}");
    }
    assert_eq!(hart.csr(csr::MIP).unwrap_or(!0) & Interrupt::CounterOverflow.bit(), 0);
}

/// A write by an instruction takes the place of its own increment [Zicsr]; a debugger's or firmware's is none.
#[test]
fn a_value_from_outside_is_there_until_an_instruction_retires() {
    let mut hart = hart("nop; nop");
    hart.set_csr(csr::MHPMEVENT3, code("instructions"));
    for number in [csr::MHPMCOUNTER3, csr::MINSTRET, csr::MCYCLE] {
        hart.set_csr(number, 7);
        assert_eq!(hart.csr(number), Some(7));
    }
    hart.run(&mut Empty, 1);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(8));
    assert_eq!(hart.csr(csr::MINSTRET), Some(8));
}

// norm: mip_lcofip_mie_lcofie_op, mip_lcofip_op2
#[test]
fn an_overflow_sets_of_and_asks_for_an_interrupt_once() {
    let mut hart = hart("nop; nop; nop; nop; nop; nop; nop; nop");
    hart.set_csr(csr::MHPMEVENT3, code("instructions"));
    hart.set_csr(csr::MHPMCOUNTER3, 0u64.wrapping_sub(4));
    hart.run(&mut Empty, 8);
    assert!(hart.csr(csr::MHPMEVENT3).is_some_and(|event| event & OF != 0));
    let pending = hart.csr(csr::MIP).expect("mip");
    assert_ne!(pending & Interrupt::CounterOverflow.bit(), 0);
}

#[test]
fn a_run_takes_the_time_it_was_given_whatever_traps() {
    let mut hart = hart(
        "la t0, handler; csrw mtvec, t0
         again: ecall; j again
         handler: csrr t1, mepc; addi t1, t1, 4; csrw mepc, t1; mret",
    );
    for end in [50, 51, 60, 100] {
        assert_eq!(hart.run(&mut Empty, end - hart.cycle()), Exit::Budget);
        assert_eq!(hart.cycle(), end);
    }
    // Three instructions to begin with; then each sixth cycle is a trap.
    assert_eq!(hart.retired(), 100 - (100 - 3_u64).div_ceil(6));
}

/// A hart in S-mode whose code lies in a 4 KiB page of Sv39, three levels deep, and whose walks are counted.
fn translated(shape: &str, source: &str) -> Hart {
    let ram = Arc::new(Ram::new(Pa(BASE), 1 << 20).expect("memory"));
    let program = Program::assemble(BASE, source).expect("the program assembles");
    ram.write_bytes(Pa(BASE), &program.bytes).expect("the program fits");
    for (table, next, flags) in [
        (BASE + 0x1000, BASE + 0x2000, 1),
        (BASE + 0x2000, BASE + 0x3000, 1),
        (BASE + 0x3000, BASE, 0xcf),
    ] {
        // Index 0 at every level but the root, where BASE has index 2.
        let index = if table == BASE + 0x1000 { 2 } else { 0 };
        ram.write(Pa(table + 8 * index), (next >> 12) << 10 | flags).expect("memory");
    }
    let shape = Shape::preset(shape).expect("a preset");
    let config = HartConfig { shape, ..HartConfig::new(0, ExtSet::default_set()) };
    let mut hart = Hart::new(&config, ram, Arc::new(PmaMap::default()));
    for (number, value) in [
        (csr::PMPADDR0, u64::MAX),
        (csr::PMPCFG0, 0x1f),
        (csr::SATP, 8 << 60 | (BASE + 0x1000) >> 12),
        (csr::MHPMEVENT3, code("s-stage-ptes")),
        (csr::MEPC, BASE),
        (csr::MSTATUS, 1 << isa::field::mstatus::MPP_SHIFT),
    ] {
        hart.set_csr(number, value);
    }
    hart.mret();
    hart
}

#[test]
fn walks_are_counted_alike_whoever_looks_on_and_however_turns_are_cut() {
    let source = "loop: nop; nop; addi a0, a0, 1; nop; bnez zero, loop; nop; j loop";
    // A TLB that keeps nothing walks for each block that is entered.
    for shape in ["default", "adversarial"] {
        let count = |run: &mut dyn FnMut(&mut Hart)| {
            let mut hart = translated(shape, source);
            while hart.cycle() < 60 {
                run(&mut hart);
            }
            (hart.retired(), hart.csr(csr::MHPMCOUNTER3))
        };
        let whole = count(&mut |hart| _ = hart.run(&mut Empty, 60));
        let cut = count(&mut |hart| _ = hart.run(&mut Empty, 7.min(60 - hart.cycle())));
        let logged = count(&mut |hart| _ = hart.run_logged(&mut Empty, 60, &mut |_| {}));
        let debugged = count(&mut |hart| {
            let breakpoints = vec![BASE + 2, BASE + 4, BASE + 8];
            hart.set_requests(Some(&Requests { breakpoints, ..Requests::default() }));
            hart.run(&mut Empty, 60 - hart.cycle());
            hart.take_halt();
        });
        assert_eq!(whole, (60, Some(3)), "{shape}");
        assert_eq!([cut, logged, debugged], [whole; 3], "{shape}");
    }
}
