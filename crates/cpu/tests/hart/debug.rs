//! A hart under a debugger: halts where it should, and otherwise does what it would have done.

use cpu::{Catches, Exit, Halt, Hart, Requests, Step};
use isa::{Exception, Gpa, Mode, Va, csr};
use mmu::WatchedRange;

use crate::rig::{BASE, DATA, Empty, hart};

/// Counts to a0 = 1000 in ten bytes, two blocks or less: addi, addi, bne.
const LOOP: &str = "
    li a1, 1000
again:
    addi a0, a0, 1
    addi a2, a2, 3
    bne a0, a1, again
    li a3, 7
stay: j stay";

fn break_at(pcs: &[u64]) -> Requests {
    Requests { breakpoints: pcs.to_vec(), ..Requests::default() }
}

fn watch(start: u64, bytes: u64, loads: bool, stores: bool) -> Requests {
    let watched = vec![WatchedRange { start: Va(start), bytes, loads, stores }];
    Requests { watched, ..Requests::default() }
}

/// Where it halts within 10 000 instructions, and why.
fn halt(hart: &mut Hart) -> Option<(u64, Halt)> {
    let exit = hart.run(&mut Empty, 10_000);
    let halt = hart.take_halt();
    assert_eq!(exit == Exit::Halted, halt.is_some());
    halt.map(|halt| (hart.pc(), halt))
}

/// The address of the instruction number `index` of 4 bytes.
const fn at(index: u64) -> u64 {
    BASE + 4 * index
}

#[test]
fn it_halts_before_the_instruction_at_a_breakpoint() {
    let mut hart = hart(LOOP);
    hart.set_requests(Some(&break_at(&[at(2)])));
    for round in 1..=3 {
        assert_eq!(halt(&mut hart), Some((at(2), Halt::Breakpoint)));
        assert_eq!((hart.x(10), hart.x(12)), (round, 3 * (round - 1)));
        assert_eq!(hart.retired(), 3 * round - 1);
    }
    // Code that was decoded with other breakpoints is decoded anew.
    hart.set_requests(Some(&break_at(&[at(1), at(4)])));
    assert_eq!(halt(&mut hart), Some((at(1), Halt::Breakpoint)));
    hart.set_requests(Some(&break_at(&[at(4)])));
    assert_eq!(halt(&mut hart), Some((at(4), Halt::Breakpoint)));
    assert_eq!(hart.x(10), 1000);
    hart.set_requests(None);
    assert_eq!(hart.run(&mut Empty, 100), Exit::Budget);
}

#[test]
fn a_breakpoint_elsewhere_with_the_same_page_offset_halts_nothing() {
    let mut hart = hart(LOOP);
    hart.set_requests(Some(&break_at(&[at(2) + 0x1000, at(2) | 1 << 63])));
    assert_eq!(halt(&mut hart), None);
    assert_eq!(hart.retired(), 10_000);
}

#[test]
fn a_breakpoint_holds_from_the_moment_it_is_set() {
    let mut hart = hart(LOOP);
    assert_eq!(hart.run(&mut Empty, 100), Exit::Budget);
    // The first instruction after the request is not yet behind a halt: it counts.
    let pc = hart.pc();
    hart.set_requests(Some(&break_at(&[pc])));
    assert_eq!(halt(&mut hart), Some((pc, Halt::Breakpoint)));
    assert_eq!(hart.retired(), 100);
    assert_eq!(halt(&mut hart), Some((pc, Halt::Breakpoint)));
    assert_eq!(hart.retired(), 103);
}

/// An instruction that straddles two pages is in no block.
#[test]
fn it_halts_at_an_instruction_across_two_pages() {
    let source = format!("j over\n.zero {}\nover: c.nop\naddi a0, a0, 1\nstay: j stay", 0xffc - 4);
    let mut hart = hart(&source);
    hart.set_requests(Some(&break_at(&[BASE + 0xffe])));
    assert_eq!(halt(&mut hart), Some((BASE + 0xffe, Halt::Breakpoint)));
    assert_eq!((hart.retired(), hart.x(10)), (2, 0));
    assert_eq!(halt(&mut hart), None);
    assert_eq!(hart.x(10), 1);
}

#[test]
fn stores_and_fetches_go_on_as_before_with_breakpoints() {
    // Rewrites its own loop: the block it is in dies while a breakpoint hides it.
    let source = "
        li a2, 0x00250513       # addi a0, a0, 2
        la a1, patch
        li a4, 3
again:  sw a2, 0(a1)
patch:  addi a0, a0, 1
        addi a3, a3, 1
        bne a3, a4, again
stay:   j stay";
    let mut plain = hart(source);
    plain.run(&mut Empty, 1000);
    assert_eq!(plain.x(10), 6);
    let mut debugged = hart(source);
    debugged.set_requests(Some(&break_at(&[plain.x(11)])));
    for _ in 0..3 {
        assert_eq!(halt(&mut debugged), Some((plain.x(11), Halt::Breakpoint)));
    }
    assert_eq!(halt(&mut debugged), None);
    assert_eq!(debugged.x(10), 6);
}

#[test]
fn a_step_is_one_instruction() {
    let mut hart = hart(LOOP);
    hart.set_requests(Some(&Requests::default()));
    for count in 1..=8 {
        hart.set_step(Some(Step::Once));
        assert_eq!(halt(&mut hart).map(|(_, halt)| halt), Some(Halt::Stepped));
        assert_eq!(hart.retired(), count);
    }
    assert_eq!(hart.pc(), at(2));
    assert_eq!(halt(&mut hart), None, "a step lasts once");
}

#[test]
fn a_step_over_a_range_ends_where_pc_leaves_it() {
    let mut hart = hart(LOOP);
    hart.set_requests(Some(&Requests::default()));
    hart.set_step(Some(Step::Within { start: at(0), end: at(4) }));
    assert_eq!(halt(&mut hart), Some((at(4), Halt::Stepped)));
    assert_eq!(hart.x(10), 1000);
    // One step at least, even where the range holds nothing.
    hart.set_step(Some(Step::Within { start: 0, end: 0 }));
    assert_eq!(halt(&mut hart), Some((at(5), Halt::Stepped)));
}

#[test]
fn a_step_leads_into_the_handler_of_a_trap() {
    let mut hart = hart("ecall");
    hart.set_requests(Some(&Requests::default()));
    hart.set_step(Some(Step::Once));
    assert_eq!(halt(&mut hart), Some((BASE + 0x4000, Halt::Stepped)));
    assert_eq!(hart.retired(), 0);
    assert_eq!(hart.csr(csr::MEPC), Some(BASE));
}

#[test]
fn a_step_over_wfi_does_not_wait() {
    let mut hart = hart("wfi\nnop");
    hart.set_requests(Some(&Requests::default()));
    hart.set_step(Some(Step::Once));
    assert_eq!(halt(&mut hart), Some((at(1), Halt::Stepped)));
    assert!(hart.waiting());
    // The next one takes place when it wakes.
    hart.set_step(Some(Step::Once));
    assert_eq!(hart.run(&mut Empty, 100), Exit::Wfi);
    hart.set_csr(csr::MIE, 2);
    hart.set_csr(csr::MIP, 2);
    assert_eq!(halt(&mut hart), Some((at(2), Halt::Stepped)));
}

/// Each access to the watched word at `s0 + 8`, by every way an instruction has.
#[test]
fn it_halts_behind_every_kind_of_explicit_access() {
    const LOADS: &[&str] = &[
        "lb a0, 8(s0)",
        "lhu a0, 10(s0)",
        "lw a0, 8(s0)",
        "ld a0, 8(s0)",
        "ld a0, 1(s0)",
        "ld a0, 15(s0)",
        "fld fa0, 8(s0)",
        "flw fa0, 12(s0)",
        "lr.d a0, (s1)",
        "lr.w a0, (s1)",
        "amocas.d a1, a2, (s1)",
    ];
    const STORES: &[&str] = &[
        "sb a0, 11(s0)",
        "sh a0, 8(s0)",
        "sw a0, 8(s0)",
        "sd a0, 8(s0)",
        "sd a0, 3(s0)",
        "fsd fa0, 8(s0)",
        "cbo.zero (s0)",
        "amocas.d x0, a2, (s1)",
    ];
    const BOTH: &[&str] =
        &["amoadd.w a0, a0, (s1)", "amoswap.d a0, a0, (s1)", "amomax.w a0, a0, (s1)"];
    let halts = |access: &str, loads, stores| {
        // The first passes warm the native TLB, before anything is watched.
        let source = format!("addi s1, s0, 8\ntop: li a1, 5\n{access}\nli a5, 1\nj top");
        let mut hart = hart(&source);
        hart.set_csr(csr::MENVCFG, 0xf0);
        hart.run(&mut Empty, 50);
        let before = hart.retired();
        hart.set_requests(Some(&watch(DATA + 8, 8, loads, stores)));
        match halt(&mut hart) {
            Some((pc, Halt::Watched(hit))) => {
                // Behind the access, which is the third instruction.
                assert_eq!(pc, at(3), "{access}");
                assert!(hart.retired() - before <= 4, "{access}");
                assert!((DATA + 8..DATA + 16).contains(&hit.va.0), "{access}");
                Some(hit.stored)
            }
            None => None,
            other => panic!("{access}: {other:?}"),
        }
    };
    for access in LOADS {
        assert_eq!(halts(access, true, false), Some(false), "{access}");
        assert_eq!(halts(access, false, true), None, "{access}");
    }
    for access in STORES {
        assert_eq!(halts(access, false, true), Some(true), "{access}");
    }
    for access in BOTH {
        assert_eq!(halts(access, false, true), Some(true), "{access}");
        assert_eq!(halts(access, true, false), Some(false), "{access}");
    }
    for elsewhere in ["ld a0, 0(s0)", "sd a0, 16(s0)", "lw a0, 4(s0)", "sb a0, 7(s0)"] {
        assert_eq!(halts(elsewhere, true, true), None, "{elsewhere}");
    }
}

#[test]
fn an_access_that_faults_is_not_seen() {
    let mut hart = hart("ld a0, 0(a1)");
    hart.set_requests(Some(&watch(0, 64, true, true)));
    assert_eq!(
        hart.run(&mut Empty, 100),
        Exit::TrapLoop { exception: Exception::LoadAccess, pc: BASE }
    );
}

#[test]
fn an_exception_is_caught_before_it_is_taken_and_then_taken() {
    let mut hart = hart("nop\necall");
    let catches = Catches { exceptions: Exception::EcallM.bit(), gpas: None };
    hart.set_requests(Some(&Requests { catches, ..Requests::default() }));
    let Some((pc, Halt::Caught(caught))) = halt(&mut hart) else { panic!("not caught") };
    assert_eq!((pc, caught.trap.exception), (at(1), Exception::EcallM));
    assert_eq!((hart.mode(), hart.csr(csr::MCAUSE)), (Mode::M, Some(0)));
    hart.set_step(Some(Step::Once));
    assert_eq!(halt(&mut hart), Some((BASE + 0x4000, Halt::Stepped)));
    assert_eq!(hart.csr(csr::MCAUSE), Some(11));
}

#[test]
fn an_exception_that_the_debugger_prevented_is_not_taken() {
    let mut hart = hart("ld a0, 0(a1)\nstay: j stay");
    let catches = Catches { exceptions: u64::MAX, gpas: None };
    hart.set_requests(Some(&Requests { catches, ..Requests::default() }));
    assert!(matches!(halt(&mut hart), Some((BASE, Halt::Caught(_)))));
    hart.set_x(11, DATA);
    hart.forget_caught();
    assert_eq!(halt(&mut hart), None);
    assert_eq!(hart.pc(), at(1));
}

#[test]
fn guest_page_faults_are_caught_by_guest_physical_address() {
    // Nothing is mapped: an empty G-stage root.
    let caught = |first, last| {
        let mut hart = hart("ld a0, 0(a1)");
        hart.set_csr(csr::HGATP, 8 << 60 | (BASE + 0x1_0000) >> 12);
        hart.set_mode(Mode::VS);
        let exceptions = Exception::LoadGuestPage.bit() | Exception::InstructionGuestPage.bit();
        let catches = Catches { exceptions, gpas: Some((Gpa(first), Gpa(last))) };
        hart.set_requests(Some(&Requests { catches, ..Requests::default() }));
        matches!(halt(&mut hart), Some((_, Halt::Caught(caught))) if caught.trap.tval2 << 2 == BASE)
    };
    // The fetch of the first instruction faults.
    assert!(caught(BASE, BASE));
    assert!(caught(0, u64::MAX));
    assert!(!caught(BASE + 4, u64::MAX));
    assert!(!caught(0, BASE - 1));
}

/// A hart that is halted at every turn does what an undisturbed one does.
#[test]
fn halts_change_nothing_that_a_program_can_observe() {
    let source = "
        la t0, handler; csrw mtvec, t0
        li s1, 40
top:    csrr t1, mcycle; add a0, a0, t1
        csrr t1, minstret; xor a0, a0, t1
        ecall
        sd a0, 0(s0); ld a1, 1(s0); amoadd.d a2, a1, (s0)
        addi s1, s1, -1
        bnez s1, top
stay:   j stay
        .align 2
handler: csrr t2, mepc; addi t2, t2, 4; csrw mepc, t2
        add a0, a0, a1
        mret";
    const COUNT: u64 = 700;
    let mut plain = hart(source);
    plain.run(&mut Empty, COUNT);
    let requests = [
        Requests::default(),
        break_at(&(0..200).map(|i| BASE + 2 * i).collect::<Vec<_>>()),
        watch(DATA, 16, true, true),
        Requests {
            catches: Catches { exceptions: u64::MAX, gpas: None },
            ..break_at(&[at(6), at(7)])
        },
    ];
    for (index, requests) in requests.iter().enumerate() {
        for steps in [false, true] {
            let mut debugged = hart(source);
            debugged.set_requests(Some(requests));
            let mut halts = 0;
            while debugged.cycle() < COUNT {
                debugged.set_step(steps.then_some(Step::Once));
                debugged.run(&mut Empty, COUNT - debugged.cycle());
                halts += u64::from(debugged.take_halt().is_some());
            }
            let state = |hart: &Hart| {
                let x: Vec<u64> = (0..32).map(|i| hart.x(i)).collect();
                (x, hart.pc(), hart.cycle(), hart.csr(csr::MINSTRET), hart.csr(csr::MSTATUS))
            };
            assert_eq!(state(&debugged), state(&plain), "{index} {steps}");
            assert!(halts > 30 || index == 0 && !steps, "{index} {steps}: {halts}");
        }
    }
}

#[test]
fn a_store_to_the_next_instruction_is_seen_however_the_hart_runs() {
    // No FENCE.I asks for it, but then a log must not change it either.
    for (before, after) in [("0, 0, 0, 0", 0x13), ("19, 0, 0, 0", 0x0050_0513)] {
        let source = format!(
            "la t0, patch; li t1, {after}; sw t1, 0(t0)
             patch: .byte {before}
             addi a0, a0, 7
             stay: j stay"
        );
        let mut plain = hart(&source);
        plain.run(&mut Empty, 100);
        let mut logged = hart(&source);
        logged.run_logged(&mut Empty, 100, &mut |_| {});
        let expected = if after == 0x0050_0513 { 12 } else { 7 };
        assert_eq!((plain.x(10), logged.x(10)), (expected, expected), "{before}");
    }
}
