//! What the manual leaves to the implementation and is the same each time here.

use isa::field::{menvcfg, mstatus};
use isa::{Mode, Pa, csr};

use crate::rig::{BASE, DATA, Empty, hart, next_trap};

// norm: nw:satp_bare_nonzero
#[test]
fn a_bare_satp_keeps_its_other_fields_and_translates_nothing() {
    let fields = 0x123 << 44 | 0x4_5678;
    let mut hart = hart("ld a0, 0(s0)");
    hart.set_csr(csr::SATP, fields);
    assert_eq!(hart.csr(csr::SATP), Some(fields));
    hart.ram().write(Pa(DATA), 0x1234u64).expect("RAM");
    hart.set_mode(Mode::S);
    assert_eq!(next_trap(&mut hart, &mut Empty), None);
    assert_eq!(hart.x(10), 0x1234);
}

// norm: xret_clr_lr_resv
#[test]
fn a_return_keeps_the_reservation() {
    for (source, epc) in [("mret", csr::MEPC), ("sret", csr::SEPC)] {
        let mut hart = hart(&format!("lr.w a0, (s0); {source}; sc.w a1, zero, (s0)"));
        hart.set_csr(csr::MSTATUS, mstatus::MPP | mstatus::SPP);
        hart.set_csr(epc, BASE + 8);
        hart.set_x(11, 7);
        for _ in 0..3 {
            assert_eq!(next_trap(&mut hart, &mut Empty), None, "{source}");
        }
        assert_eq!(hart.x(11), 0, "{source}");
    }
}

// norm: mstatus_fs_imprecise, mstatus_fs_no_change_dirty
#[test]
fn whatever_writes_fp_state_makes_it_dirty_and_nothing_else() {
    const CLEAN: u64 = 2;
    const DIRTY: u64 = 3;
    for (source, after) in [
        ("fsw f0, 0(s0)", CLEAN),
        ("fmv.x.w a0, f0", CLEAN),
        ("fclass.s a0, f0", CLEAN),
        ("csrr a0, fcsr", CLEAN),
        ("nop", CLEAN),
        // All of these write what is there.
        ("fmv.w.x f0, zero", DIRTY),
        ("fsgnj.s f0, f0, f0", DIRTY),
        ("csrw fcsr, zero", DIRTY),
        ("flw f0, 0(s0)", DIRTY),
    ] {
        let mut hart = hart(source);
        hart.set_csr(csr::MSTATUS, CLEAN << mstatus::FS.trailing_zeros());
        assert_eq!(next_trap(&mut hart, &mut Empty), None, "{source}");
        let status = hart.csr(csr::MSTATUS).expect("mstatus");
        assert_eq!(isa::field::get(status, mstatus::FS), after, "{source}");
    }
}

/// Enabled as a flush or as an invalidation at each level, CBO.INVAL executes and loses no store.
// norm: cbo-inval_s-mode_op0, cbo-inval_s-mode_op1, cbo-inval_s-mode_op2
// norm: cbo-inval_h-mode_op0, cbo-inval_h-mode_op1, cbo-inval_h-mode_op2
#[test]
fn cbo_inval_writes_back_what_it_invalidates() {
    const FLUSH: u64 = 1;
    const INVALIDATE: u64 = 3;
    let forms = [FLUSH, INVALIDATE];
    for mode in [Mode::S, Mode::U, Mode::VS, Mode::VU] {
        for setting in 0..8usize {
            let mut hart = hart("sd a1, 0(s0); cbo.inval (s0); ld a0, 0(s0)");
            let registers = [csr::MENVCFG, csr::HENVCFG, csr::SENVCFG];
            for (index, number) in registers.into_iter().enumerate() {
                let form = forms[setting >> index & 1];
                hart.set_csr(number, form << menvcfg::CBIE.trailing_zeros());
            }
            hart.set_x(11, 0x1234);
            hart.set_mode(mode);
            for _ in 0..3 {
                assert_eq!(next_trap(&mut hart, &mut Empty), None, "{mode} {setting:03b}");
            }
            assert_eq!(hart.x(10), 0x1234, "{mode} {setting:03b}");
            assert_eq!(hart.ram().read::<u64>(Pa(DATA)), Some(0x1234));
        }
    }
    // Not enabled, it does not execute.
    let mut withheld = hart("cbo.inval (s0)");
    withheld.set_mode(Mode::S);
    assert!(next_trap(&mut withheld, &mut Empty).is_some());
}
