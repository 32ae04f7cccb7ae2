//! Which exception stops a guest, and what it reports [hypervisor, "Trap Cause Codes"].

use cpu::{Event, Hart, Trapped};
use isa::field::{hstatus, mstatus, stateen0};
use isa::{Cause, Exception, Mode, Pa, csr};

use crate::rig::{BASE, Empty, hart};

/// The trap that the first instruction of `hart` takes in `mode`.
fn trap_in(mode: Mode, hart: &mut Hart) -> Option<Trapped> {
    hart.set_mode(mode);
    let mut taken = None;
    hart.step_logged(&mut Empty, &mut |event| {
        if let Event::Trap(trap) = event {
            taken = Some(trap);
        }
    });
    taken
}

fn cause_in(mode: Mode, hart: &mut Hart) -> Option<Cause> {
    trap_in(mode, hart).map(|trap| trap.cause)
}

const ILLEGAL: Option<Cause> = Some(Cause::Exception(Exception::IllegalInstruction));
const VIRTUAL: Option<Cause> = Some(Cause::Exception(Exception::VirtualInstruction));

// norm: H_cause_virtual_instruction, H_virtinst_vu_vs_nonhigh_allowedhs_tvm0
// norm: H_virtinst_vu_nonhigh_supervisor_allowedhs_tvm0
/// Virtual only where HS-mode could do it.
#[test]
fn what_m_mode_withholds_from_hs_is_illegal_in_a_guest() {
    for (source, mode) in [
        ("csrr a0, sstateen0", Mode::VU),
        ("csrr a0, hstateen0", Mode::VS),
        ("csrr a0, henvcfg", Mode::VS),
        ("csrr a0, senvcfg", Mode::VU),
        ("csrr a0, stimecmp", Mode::VU),
        ("csrr a0, vstimecmp", Mode::VS),
    ] {
        let mut withheld = hart(source);
        assert_eq!(cause_in(mode, &mut withheld), ILLEGAL, "{source} in {mode}");
        let mut left = hart(source);
        left.set_csr(csr::MSTATEEN0, stateen0::SE | stateen0::ENVCFG);
        left.set_csr(csr::MENVCFG, isa::field::menvcfg::STCE);
        left.set_csr(csr::MCOUNTEREN, 2);
        assert_eq!(cause_in(mode, &mut left), VIRTUAL, "{source} in {mode}");
    }
}

// norm: H_virtinst_vu_nonhigh_supervisor_allowedhs_tvm0, H_virtinst_vu_vs_nonhigh_allowedhs_tvm0
#[test]
fn tvm_does_not_count_for_a_guest() {
    for (source, mode) in
        [("csrr a0, satp", Mode::VU), ("csrr a0, hgatp", Mode::VS), ("csrr a0, hgatp", Mode::VU)]
    {
        let mut hart = hart(source);
        hart.set_csr(csr::MSTATUS, mstatus::TVM);
        assert_eq!(cause_in(mode, &mut hart), VIRTUAL, "{source} in {mode}");
    }
}

// norm: hstatus_gva_op, mstatus_gva_op
/// A breakpoint writes a guest virtual address to `tval`, and so sets GVA.
#[test]
fn a_breakpoint_in_a_guest_sets_gva() {
    let mut to_m = hart("ebreak");
    assert!(trap_in(Mode::VS, &mut to_m).is_some());
    assert_ne!(to_m.csr(csr::MSTATUS).unwrap() & mstatus::GVA, 0);
    let mut to_hs = hart("ebreak");
    to_hs.set_csr(csr::MEDELEG, Exception::Breakpoint.bit());
    assert!(trap_in(Mode::VU, &mut to_hs).is_some());
    assert_ne!(to_hs.csr(csr::HSTATUS).unwrap() & hstatus::GVA, 0);
    let mut native = hart("ebreak");
    assert!(trap_in(Mode::S, &mut native).is_some());
    assert_eq!(native.csr(csr::MSTATUS).unwrap() & mstatus::GVA, 0);
}

/// The G-stage has the last word on a page that the VS-stage lets the operation reach by its right
/// to load; that it would refuse a store does not matter [CMO, "Traps"].
#[test]
fn cache_management_needs_the_rights_of_a_load_at_either_stage() {
    const SV39: u64 = 8 << 60;
    const VS_ROOT: u64 = BASE + 0x1_0000;
    const G_ROOT: u64 = BASE + 0x1_4000;
    // Gigapages: V, R and A, at guest physical 1 GiB; and at 2 GiB V, R, W, X, U, A and D.
    const READ_ONLY: u64 = 1 << 28 | 0x43;
    const IDENTITY: u64 = 2 << 28 | 0xdf;
    let mut hart = hart("cbo.clean (s0)");
    for (at, pte) in
        [(VS_ROOT, READ_ONLY), (VS_ROOT + 16, IDENTITY & !0x10), (G_ROOT + 16, IDENTITY)]
    {
        hart.ram().write(Pa(at), pte).expect("RAM");
    }
    hart.set_x(8, 0x1234);
    for number in [csr::MENVCFG, csr::HENVCFG] {
        hart.set_csr(number, isa::field::menvcfg::CBCFE);
    }
    hart.set_csr(csr::VSATP, SV39 | VS_ROOT >> 12);
    hart.set_csr(csr::HGATP, SV39 | G_ROOT >> 12);
    let trap = trap_in(Mode::VS, &mut hart).expect("a trap");
    assert_eq!(trap.cause, Cause::Exception(Exception::StoreGuestPage));
    assert_eq!((trap.tval, trap.tval2), (0x1234, 0x4000_1234 >> 2));
}

/// At the very end of the address space, where there is nothing: an access fault like any other.
#[test]
fn zeroing_the_last_block_of_the_address_space_faults() {
    let mut hart = hart("cbo.zero 0(a0)");
    hart.set_x(10, u64::MAX);
    let trap = trap_in(Mode::M, &mut hart).expect("a trap");
    assert_eq!((trap.cause, trap.tval), (Cause::Exception(Exception::StoreAccess), u64::MAX));
}
