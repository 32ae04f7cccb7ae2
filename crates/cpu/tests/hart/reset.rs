//! What reset does beyond the registers [priv: machine, "Reset"]. What registers hold then is in `warl`.

use isa::{Mode, csr};

use crate::rig::{BASE, Empty, hart, hart_without, next_trap};

// norm: mcause_rst2_val
// norm: M-mode_at_rst1, pc_rst, misa_extensions_rst1, mcause_rst1_val, mcause_rst_zero
#[test]
fn a_hart_starts_in_m_mode_at_its_reset_vector() {
    let mut hart = hart_without(&[], "nop");
    assert_eq!((hart.mode(), hart.pc()), (Mode::M, BASE));
    assert_eq!(hart.csr(csr::MISA), Some(2 << 62 | 0x14_11af));
    assert_eq!(hart.csr(csr::MCAUSE), Some(0));
    assert_eq!(next_trap(&mut hart, &mut Empty), None);
}

// norm: pmp_A_L_rst
#[test]
fn after_reset_no_pmp_entry_binds_m_mode() {
    let mut hart = hart_without(&[], "nop");
    // Locked, without any right, for all addresses.
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x98);
    assert!(next_trap(&mut hart, &mut Empty).is_some());
    hart.reset(BASE);
    assert_eq!(next_trap(&mut hart, &mut Empty), None);
    hart.set_csr(csr::PMPADDR0, 0x123);
    assert_eq!(hart.csr(csr::PMPADDR0), Some(0x123));
}

// norm: ld_rsv_rst
#[test]
fn reset_ends_a_reservation() {
    let mut hart = hart("lr.w a0, (s0); sc.w a1, zero, (s0)");
    assert_eq!(next_trap(&mut hart, &mut Empty), None);
    hart.reset(BASE + 4);
    hart.set_x(11, 7);
    assert_eq!(next_trap(&mut hart, &mut Empty), None);
    assert_eq!(hart.x(11), 1);
}

#[test]
fn counters_run_again_after_reset() {
    let mut hart = hart("nop");
    hart.set_csr(csr::MCOUNTINHIBIT, u64::MAX);
    hart.reset(BASE);
    assert_eq!(hart.csr(csr::MCOUNTINHIBIT), Some(0));
    let before = hart.csr(csr::MINSTRET).unwrap();
    hart.run(&mut Empty, 1);
    assert_eq!(hart.csr(csr::MINSTRET), Some(before + 1));
}
