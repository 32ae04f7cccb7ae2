//! What a logged run reports, and that logging changes nothing. The expected values come from the
//! manual's description of each instruction.

use cpu::{Commit, Event, Exit, Hart, Register, Touched, Trapped};
use isa::{Cause, Exception, Mode, Va, csr};

use crate::rig::{BASE, DATA, Empty, hart};

/// The commits of the first instructions, `count` of them.
fn commits(hart: &mut Hart, count: u64) -> Vec<Commit> {
    let mut commits = Vec::new();
    hart.run_logged(&mut Empty, count, &mut |event| {
        if let Event::Commit(commit) = event {
            commits.push(commit.clone());
        }
    });
    commits
}

fn load(va: u64, bytes: u8) -> Touched {
    Touched { va: Va(va), gpa: None, bytes, stored: None }
}

fn store(va: u64, bytes: u8, value: u64) -> Touched {
    Touched { stored: Some(value), ..load(va, bytes) }
}

#[test]
fn a_commit_tells_pc_bits_mode_and_the_register() {
    let commits = commits(&mut hart("addi a0, zero, 5; c.addi a0, 1; addi zero, a0, 1"), 3);
    let first = &commits[0];
    assert_eq!((first.pc, first.bits, first.len), (Va(BASE), 0x0050_0513, 4));
    assert_eq!((first.mode, &first.written), (Mode::M, &vec![(Register::X(10), 5)]));
    assert_eq!((commits[1].pc, commits[1].len), (Va(BASE + 4), 2));
    assert_eq!(commits[1].written, [(Register::X(10), 6)]);
    assert_eq!(commits[2].written, []);
}

#[test]
fn a_store_reports_only_the_bytes_it_writes() {
    let commits = commits(&mut hart("addi a0, zero, -1; sh a0, 3(s0); lb a1, 4(s0)"), 3);
    assert_eq!(commits[1].touched, [store(DATA + 3, 2, 0xffff)]);
    assert_eq!(commits[2].touched, [load(DATA + 4, 1)]);
    assert_eq!(commits[2].written, [(Register::X(11), u64::MAX)]);
}

#[test]
fn an_amo_loads_and_then_stores_what_memory_holds_then() {
    let source = "addi a0, zero, 7; amoadd.w a1, a0, (s0); amoadd.w a1, a0, (s0)";
    let commits = commits(&mut hart(source), 3);
    assert_eq!(commits[1].touched, [load(DATA, 4), store(DATA, 4, 7)]);
    assert_eq!(commits[2].touched, [load(DATA, 4), store(DATA, 4, 14)]);
    assert_eq!(commits[2].written, [(Register::X(11), 7)]);
}

#[test]
fn a_store_conditional_stores_only_with_a_reservation() {
    let source = "lr.d a0, (s0); sc.d zero, s0, (s0); sc.d zero, s0, (s0)";
    let commits = commits(&mut hart(source), 3);
    assert_eq!(commits[0].touched, [load(DATA, 8)]);
    assert_eq!(commits[1].touched, [store(DATA, 8, DATA)]);
    assert_eq!(commits[2].touched, []);
}

/// With rd=x0 the comparison is with zero, whatever was thrown away into x0 before [Zacas].
#[test]
fn a_compare_and_swap_with_x0_compares_with_zero() {
    let source = "addi a0, zero, 3; sd a0, 0(s0); addi zero, zero, 3
                  amocas.d zero, s0, (s0); sd zero, 0(s0); amocas.d zero, a0, (s0)";
    let commits = commits(&mut hart(source), 6);
    assert_eq!(commits[3].touched, [load(DATA, 8)]);
    assert_eq!(commits[5].touched, [load(DATA, 8), store(DATA, 8, 3)]);
    assert_eq!(commits[5].written, []);
}

#[test]
fn flags_count_as_written_whenever_they_are_raised() {
    // 1/0 raises DZ (8) twice; moving the quotient raises nothing.
    let source = "addi a0, zero, 1; fcvt.d.l ft0, a0; fdiv.d ft1, ft0, ft2
                  fdiv.d ft1, ft0, ft2; fmv.d ft3, ft1";
    let mut hart = hart(source);
    let commits = commits(&mut hart, 5);
    let flags = (Register::Csr(csr::FFLAGS), 8);
    assert!(commits[2].written.contains(&flags) && commits[3].written.contains(&flags));
    assert_eq!(commits[4].written, [(Register::F(3), 0x7ff0_0000_0000_0000)]);
    assert_eq!(hart.csr(csr::FFLAGS), Some(8));
}

#[test]
fn a_csr_write_is_reported_where_the_state_is_kept() {
    let source = "csrrsi zero, sstatus, 2; csrrsi a0, fcsr, 0x11; csrrs a0, fcsr, zero";
    let commits = commits(&mut hart(source), 3);
    // SD, SXL and UXL of 64 bits, FS dirty, SIE.
    assert_eq!(commits[0].written, [(Register::Csr(csr::MSTATUS), 0x8000_000a_0000_6002)]);
    let [rd, fflags, frm] =
        [(Register::X(10), 0), (Register::Csr(csr::FFLAGS), 0x11), (Register::Csr(csr::FRM), 0)];
    assert_eq!(commits[1].written, [rd, fflags, frm]);
    assert_eq!(commits[2].written, [(Register::X(10), 0x11)]);
}

#[test]
fn a_trap_is_reported_with_what_its_handler_finds() {
    let mut traps = Vec::new();
    hart(".word 0xffffffff").step_logged(&mut Empty, &mut |event| {
        if let Event::Trap(trap) = event {
            traps.push(trap);
        }
    });
    let expected = Trapped {
        hart: 0,
        pc: Va(BASE),
        mode: Mode::M,
        cause: Cause::Exception(Exception::IllegalInstruction),
        target: cpu::Target::M,
        tval: 0xffff_ffff,
        tval2: 0,
        tinst: 0,
    };
    assert_eq!(traps, [expected]);
}

#[test]
fn wfi_is_the_last_instruction_until_something_wakes_the_hart() {
    let mut hart = hart("addi a0, zero, 1; wfi; addi a0, zero, 2; addi a0, zero, 3");
    assert_eq!(hart.run(&mut Empty, 100), Exit::Wfi);
    assert_eq!((hart.retired(), hart.x(10)), (2, 1));
}

#[test]
fn a_logged_run_ends_where_an_unlogged_one_does() {
    let source = "addi a0, zero, 100
                  loop: amoadd.d a1, a0, (s0); sd a1, 8(s0); fcvt.d.l ft0, a0; fdiv.d ft1, ft0, ft0
                  addi a0, a0, -1; bnez a0, loop
                  ecall";
    for budget in [1, 50, 333, 601] {
        let (mut plain, mut logged) = (hart(source), hart(source));
        plain.run(&mut Empty, budget);
        logged.run_logged(&mut Empty, budget, &mut |_| {});
        assert_eq!((plain.pc(), plain.cycle()), (logged.pc(), logged.cycle()));
        for i in 0..32 {
            assert_eq!((plain.x(i), plain.f(i)), (logged.x(i), logged.f(i)));
        }
        for number in [csr::MSTATUS, csr::FFLAGS, csr::MEPC, csr::MINSTRET] {
            assert_eq!(plain.csr(number), logged.csr(number));
        }
    }
}
