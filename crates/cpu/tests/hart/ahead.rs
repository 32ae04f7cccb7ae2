//! Nothing happens ahead of its time: no trap and no change of a PTE for what is not executed, and of two exceptions
//! of one instruction the one that comes first.

use cpu::{Hart, Trapped};
use isa::field::{menvcfg, mstatus};
use isa::{Cause, Exception, ExtSet, Mode, Pa, Va, csr, pte};

use crate::interrupts::{Lines, hart};
use crate::rig::{BASE, next_trap};

const SV39: u64 = 8 << 60;
const ROOT: u64 = BASE + 0x1_0000;
const MIDDLE: u64 = BASE + 0x1_1000;
const LAST: u64 = BASE + 0x1_2000;
const G_ROOT: u64 = BASE + 0x1_4000;

/// Page 0 of memory is code, pages 1 and 2 are what the tests say; page 4 has data.
const NEXT: u64 = BASE + 0x1000;
const DATA: u64 = BASE + 0x4000;

const CODE: u64 = pte::V | pte::R | pte::X | pte::A;

fn leaf(pa: u64, flags: u64) -> u64 {
    pa >> 12 << 10 | flags
}

/// A hart at the end of page 0, with this PTE for page 1 and this one for the data: an Sv39 tree that maps memory to
/// itself; in a guest it is the VS-stage's, and the G-stage maps a gigapage to itself.
fn paged(mode: Mode, pc: u64, next: u64, data: u64) -> Hart {
    let mut hart = hart(ExtSet::default_set(), 0);
    for (at, entry) in [
        (ROOT + 2 * 8, leaf(MIDDLE, pte::V)),
        (MIDDLE, leaf(LAST, pte::V)),
        (LAST, leaf(BASE, CODE)),
        (LAST + 8, leaf(NEXT, next)),
        (LAST + 4 * 8, leaf(DATA, data)),
        (G_ROOT + 2 * 8, leaf(BASE, CODE | pte::W | pte::D | pte::U)),
    ] {
        hart.ram().write(Pa(at), entry).expect("RAM");
    }
    hart.set_csr(if mode.v() { csr::VSATP } else { csr::SATP }, SV39 | ROOT >> 12);
    hart.set_csr(csr::HGATP, SV39 | G_ROOT >> 12);
    hart.set_x(8, DATA);
    hart.set_mode(mode);
    hart.set_pc(pc);
    hart
}

fn trap_of(hart: &mut Hart) -> Option<Trapped> {
    next_trap(hart, &mut Lines::none())
}

/// A loop at the end of a page: what lies behind it, and a load that a jump leaves out, do nothing.
// norm: nw:speculation_no_trap, nw:speculation_no_d, vs_stage_speculative_a_bit
#[test]
fn what_is_not_executed_raises_nothing_and_sets_no_bit() {
    const START: u64 = NEXT - 16;
    for mode in [Mode::S, Mode::VS] {
        for (next, data) in [(0, 0), (pte::V | pte::X, pte::V | pte::R | pte::W)] {
            let mut hart = paged(mode, START, next, data);
            hart.set_csr(csr::MENVCFG, menvcfg::ADUE);
            hart.set_csr(csr::HENVCFG, menvcfg::ADUE);
            let source = "top: j on; ld a0, 0(s0); on: nop; j top";
            let program = isa::asm::Program::assemble(START, source).expect(source);
            hart.ram().write_bytes(Pa(START), &program.bytes).expect("RAM");
            hart.run(&mut Lines::none(), 300);
            assert_eq!((hart.mode(), hart.retired()), (mode, 300));
            let entry = |page: u64| hart.ram().read::<u64>(Pa(LAST + page * 8)).expect("RAM");
            assert_eq!((entry(1), entry(4)), (leaf(NEXT, next), leaf(DATA, data)), "{mode}");
        }
    }
}

/// An instruction that would be illegal, or whose load would fault, on a page that cannot be fetched from.
// norm: nw:priority_fetch_first
#[test]
fn a_fault_of_the_fetch_comes_first() {
    // csrr a0, mstatus; ld a0, 0(s1) with s1 = 0.
    for (word, fetched) in
        [(0x3000_2573u32, Exception::IllegalInstruction), (0x0004_b503, Exception::LoadPage)]
    {
        for mode in [Mode::S, Mode::U] {
            let user = if mode == Mode::U { pte::U } else { 0 };
            // On a page of its own, and half on page 0.
            for pc in [NEXT, NEXT - 2] {
                for (next, cause) in [
                    (0, Exception::InstructionPage),
                    (pte::V | pte::R | pte::A | user, Exception::InstructionPage),
                    (CODE | user, fetched),
                ] {
                    let mut hart = paged(mode, pc, next, 0);
                    hart.ram().write(Pa(LAST), leaf(BASE, CODE | user)).expect("RAM");
                    hart.ram().write_bytes(Pa(pc), &word.to_le_bytes()).expect("RAM");
                    let trap = trap_of(&mut hart).expect("a trap");
                    assert_eq!(trap.cause, Cause::Exception(cause), "{word:#x} {mode} {pc:#x}");
                    let at = if cause == Exception::InstructionPage { NEXT } else { trap.tval };
                    assert_eq!((trap.pc, trap.tval), (Va(pc), at));
                }
            }
        }
    }
}

/// Either order is allowed; here an atomic access is found misaligned before its address is translated.
// norm: nw:priority_misaligned, mcause_exccode_pri2, pma_mag_exc
#[test]
fn a_misaligned_atomic_is_found_before_its_page() {
    // amoadd.w a0, a1, (s0); lr.w a0, (s0).
    for (word, misaligned, unmapped) in [
        (0x00b4_252fu32, Exception::StoreMisaligned, Exception::StorePage),
        (0x1004_252f, Exception::LoadMisaligned, Exception::LoadPage),
    ] {
        for (offset, cause) in [(2, misaligned), (4, unmapped)] {
            let mut hart = paged(Mode::S, BASE, 0, 0);
            hart.ram().write(Pa(BASE), word).expect("RAM");
            hart.set_x(8, DATA + offset);
            let trap = trap_of(&mut hart).expect("a trap");
            assert_eq!((trap.cause, trap.tval), (Cause::Exception(cause), DATA + offset));
        }
    }
}

/// An access that crosses pages is checked in two parts, any other in one.
// norm: pmp_misaligned_access_behavior
#[test]
fn pmp_sees_the_parts_of_an_access_that_crosses_pages() {
    // ld a0, 0(s0).
    const LOAD: u32 = 0x0004_3503;
    // NAPOT entries of 4 KiB, and of 8 bytes.
    let page = |at: u64| at >> 2 | 0x1ff;
    let word = |at: u64| at >> 2;
    for (address, entries, works) in [
        (DATA + 0xffc, [page(DATA), page(DATA + 0x1000)], true),
        (DATA + 0xffc, [page(DATA), page(DATA + 0x2000)], false),
        (DATA + 4, [page(DATA), page(DATA + 0x1000)], true),
        (DATA + 4, [word(DATA), word(DATA + 8)], false),
    ] {
        let mut hart = hart(ExtSet::default_set(), 0);
        hart.ram().write(Pa(BASE), LOAD).expect("RAM");
        for (index, entry) in [page(BASE), entries[0], entries[1]].into_iter().enumerate() {
            hart.set_csr(csr::PMPADDR0 + index as u16, entry);
        }
        hart.set_csr(csr::PMPCFG0, 0x19_191d);
        hart.set_x(8, address);
        hart.set_mode(Mode::S);
        hart.set_pc(BASE);
        let cause = trap_of(&mut hart).map(|trap| trap.cause);
        let fault = Cause::Exception(Exception::LoadAccess);
        assert_eq!(cause, (!works).then_some(fault), "{address:#x}");
    }
}

// norm: mstatus_tw_always_illegal
#[test]
fn wfi_under_tw_is_illegal_even_if_an_interrupt_is_pending() {
    for (tw, cause) in
        [(mstatus::TW, Some(Cause::Exception(Exception::IllegalInstruction))), (0, None)]
    {
        let mut hart = crate::rig::hart("wfi");
        // Locally enabled and pending, for S-mode, which has interrupts off.
        for number in [csr::MIDELEG, csr::MIE, csr::MIP] {
            hart.set_csr(number, 2);
        }
        hart.set_csr(csr::MSTATUS, tw);
        hart.set_mode(Mode::S);
        assert_eq!(trap_of(&mut hart).map(|trap| trap.cause), cause);
    }
}
