//! Code that switches its interrupts on and off: they are taken where they are on, to the instruction, whichever form of the engine runs it.

use cpu::{Hart, HartConfig};
use isa::asm::Program;
use isa::field::menvcfg::STCE;
use isa::field::mstatus::{SIE, SUM};
use isa::{ExtSet, Mode, Pa, csr};
use mmu::PmaMap;

use super::Lines;
use super::manual::{STI, VSTI};
use crate::rig::BASE;

/// Cycles in a tick, with the default clock.
const TICK: u64 = 100;

/// A hart in S or VS-mode at a program, with time running from a cycle on and a timer that is due at tick 5.
fn hart(source: &str, guest: bool, cycle: u64) -> Hart {
    let ram = std::sync::Arc::new(mmu::Ram::new(Pa(BASE), 1 << 20).expect("memory"));
    let program = Program::assemble(BASE, source).expect("the program assembles");
    ram.write_bytes(Pa(BASE), &program.bytes).expect("the program fits");
    let config = HartConfig::new(0, ExtSet::default_set());
    let mut hart = Hart::new(&config, ram, std::sync::Arc::new(PmaMap::default()));
    let timer = if guest { VSTI } else { STI };
    let (tvec, status, compare) = match guest {
        true => (csr::VSTVEC, csr::VSSTATUS, csr::VSTIMECMP),
        false => (csr::STVEC, csr::SSTATUS, csr::STIMECMP),
    };
    let csrs = [
        (csr::PMPADDR0, u64::MAX),
        (csr::PMPCFG0, 0x1f),
        (csr::MENVCFG, STCE),
        (csr::HENVCFG, STCE),
        (csr::MIDELEG, STI),
        (csr::HIDELEG, VSTI),
        (csr::MIE, timer),
        (tvec, BASE + 0x800),
        (status, SIE),
        (compare, 5),
    ];
    for (number, value) in csrs {
        hart.set_csr(number, value).expect("the hart has it");
    }
    hart.set_mode(if guest { Mode::VS } else { Mode::S });
    hart.set_cycle(cycle);
    hart
}

const LOOP: &str = "
loop:
    csrci sstatus, 2
    addi a0, a0, 1
    csrsi sstatus, 2
    addi a1, a1, 1
    j loop
    .align 11
    j .
";

// norm: sstatus_sie
#[test]
fn a_timer_is_taken_as_soon_as_interrupts_are_on() {
    for guest in [false, true] {
        for portable in [false, true] {
            for late in 0..15 {
                let mut hart = hart(LOOP, guest, late);
                hart.set_portable(portable);
                hart.run(&mut Lines::none(), 1000);
                // It is due before the instruction with this number, and the loop has five.
                let due = 5 * TICK - late;
                let at = [0, 12, 12, 12, 16][due as usize % 5];
                let epc = if guest { csr::VSEPC } else { csr::SEPC };
                let taken = hart.csr(epc).expect("it has it") - BASE;
                assert_eq!(taken, at, "late {late}, guest {guest}, portable {portable}");
                let turns = due / 5 + u64::from(at == 16);
                assert_eq!(hart.x(11), turns, "late {late}, guest {guest}, portable {portable}");
            }
        }
    }
}

// norm: sstatus_sum
#[test]
fn what_is_switched_is_read_back_and_nothing_else_changes() {
    let source = "
        li a0, 0x40000
        csrs sstatus, a0
        csrr a1, sstatus
        csrc sstatus, a0
        csrr a2, sstatus
        csrrci a3, sstatus, 2
        csrrsi a4, sstatus, 2
        csrrs a5, sstatus, a0
        j .
    ";
    for guest in [false, true] {
        for portable in [false, true] {
            let mut hart = hart(source, guest, 0);
            hart.set_portable(portable);
            let before = hart.csr(csr::SSTATUS);
            let number = if guest { csr::VSSTATUS } else { csr::SSTATUS };
            let status = hart.csr(number).expect("it has it");
            hart.run(&mut Lines::none(), 100);
            let read = [11, 12, 13, 14, 15].map(|register| hart.x(register));
            assert_eq!(read, [status | SUM, status, status, status & !SIE, status]);
            assert_eq!(hart.csr(number), Some(status | SUM));
            assert!(!guest || hart.csr(csr::SSTATUS) == before, "the guest has its own");
        }
    }
}
