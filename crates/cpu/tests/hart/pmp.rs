//! What PMP says of single bytes of a page, as fetches hear it.

use cpu::Hart;
use isa::csr;

use crate::rig::{BASE, Empty, hart};

const LOCKED_NA4: u64 = 0x90;
const ALL_NAPOT: u64 = 0x1f;
/// Behind the instructions that count.
const HANDLER: u64 = BASE + 32;

/// Runs 32 bytes of instructions that count to eight in `a0`, takes the right to execute four bytes at `denied` from
/// everyone, and runs them again: the count, `mcause`, `mepc` and `mtval`.
fn run_with_hole(source: &str, denied: u64) -> [u64; 4] {
    let mut hart = hart(&format!("{source}\nwfi"));
    hart.set_csr(csr::MTVEC, HANDLER);
    let again = |hart: &mut Hart| {
        hart.set_x(10, 0);
        hart.set_pc(BASE);
        hart.run(&mut Empty, 8);
    };
    again(&mut hart);
    assert_eq!(hart.x(10), 8, "all of it runs while nothing is denied");
    hart.set_csr(csr::PMPADDR0 + 1, u64::MAX);
    hart.set_csr(csr::PMPCFG0, ALL_NAPOT << 8 | ALL_NAPOT);
    hart.set_csr(csr::PMPADDR0, denied >> 2);
    hart.set_csr(csr::PMPCFG0, ALL_NAPOT << 8 | LOCKED_NA4);
    again(&mut hart);
    let csr = |number| hart.csr(number).expect("a CSR");
    [hart.x(10), csr(csr::MCAUSE), csr(csr::MEPC), csr(csr::MTVAL)]
}

// norm: pmp_exec_fault, pmp_granularity
#[test]
fn a_fetch_is_checked_where_it_lies_and_not_where_its_block_begins() {
    let source = "addi a0, a0, 1\n".repeat(8);
    for at in 0..8 {
        let hole = BASE + 4 * at;
        assert_eq!(run_with_hole(&source, hole), [at, 1, hole, hole]);
    }
}

// norm: pmp_exec_fault, mtval_varlen_wr
#[test]
fn an_instruction_of_which_half_is_denied_does_not_run() {
    let source = format!("c.addi a0, 1\n{}c.nop\n", "addi a0, a0, 1\n".repeat(7));
    // The second instruction is at 2 to 5: the hole takes its last two bytes.
    let hole = BASE + 4;
    assert_eq!(run_with_hole(&source, hole), [1, 1, BASE + 2, hole]);
}
