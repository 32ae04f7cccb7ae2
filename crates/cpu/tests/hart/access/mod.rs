//! Legal, illegal-instruction or virtual-instruction: every CSR and every system instruction in every mode under
//! every control that grants or withholds, against a model written from the manual's text.

mod bench;
mod manual;

use bench::{Bench, Toggle};
use isa::field::{hstatus, menvcfg, mseccfg, mstatus, stateen0};
use isa::{Ext, ExtSet, csr};
use manual::Deed;

/// One of each system instruction, and of each other one that a control may withhold.
const SYSTEM: &[(Deed, &str)] = &[
    (Deed::Mret, "mret"),
    (Deed::Sret, "sret"),
    (Deed::Wfi, "wfi"),
    (Deed::Wrs, "wrs.nto"),
    (Deed::Wrs, "wrs.sto"),
    (Deed::SfenceVma, "sfence.vma"),
    (Deed::SfenceVma, "sfence.vma a0, a1"),
    (Deed::SfenceVma, "sinval.vma zero, zero"),
    (Deed::SfenceVma, "sinval.vma a0, a1"),
    (Deed::SfenceOrder, "sfence.w.inval"),
    (Deed::SfenceOrder, "sfence.inval.ir"),
    (Deed::HfenceVvma, "hfence.vvma zero, zero"),
    (Deed::HfenceVvma, "hfence.vvma a0, zero"),
    (Deed::HfenceVvma, "hfence.vvma zero, a1"),
    (Deed::HfenceVvma, "hfence.vvma a0, a1"),
    (Deed::HfenceVvma, "hinval.vvma zero, zero"),
    (Deed::HfenceVvma, "hinval.vvma a0, a1"),
    (Deed::HfenceGvma, "hfence.gvma zero, zero"),
    (Deed::HfenceGvma, "hfence.gvma a0, zero"),
    (Deed::HfenceGvma, "hfence.gvma zero, a1"),
    (Deed::HfenceGvma, "hfence.gvma a0, a1"),
    (Deed::HfenceGvma, "hinval.gvma zero, zero"),
    (Deed::HfenceGvma, "hinval.gvma a0, a1"),
    (Deed::GuestAccess, "hlv.b a0, (s0)"),
    (Deed::GuestAccess, "hlv.bu a0, (s0)"),
    (Deed::GuestAccess, "hlv.h a0, (s0)"),
    (Deed::GuestAccess, "hlv.hu a0, (s0)"),
    (Deed::GuestAccess, "hlvx.hu a0, (s0)"),
    (Deed::GuestAccess, "hlv.w a0, (s0)"),
    (Deed::GuestAccess, "hlv.wu a0, (s0)"),
    (Deed::GuestAccess, "hlvx.wu a0, (s0)"),
    (Deed::GuestAccess, "hlv.d a0, (s0)"),
    (Deed::GuestAccess, "hsv.b a0, (s0)"),
    (Deed::GuestAccess, "hsv.h a0, (s0)"),
    (Deed::GuestAccess, "hsv.w a0, (s0)"),
    (Deed::GuestAccess, "hsv.d a0, (s0)"),
    (Deed::CboInval, "cbo.inval (s0)"),
    (Deed::CboClean, "cbo.clean (s0)"),
    (Deed::CboClean, "cbo.flush (s0)"),
    (Deed::CboZero, "cbo.zero (s0)"),
    (Deed::Float, "fadd.d fa0, fa0, fa0"),
    (Deed::Float, "fmv.x.d a0, fa0"),
    (Deed::Float, "fld fa0, 0(s0)"),
    (Deed::Ecall, "ecall"),
    (Deed::Plain, "addi a0, a0, 1"),
    (Deed::Plain, "ld a0, 0(s0)"),
    (Deed::Plain, "fence"),
];

/// Those among [`SYSTEM`] that are one of `deeds`.
fn system(deeds: &[Deed]) -> Vec<(Deed, &'static str)> {
    SYSTEM.iter().copied().filter(|(deed, _)| deeds.contains(deed)).collect()
}

/// Everything that is built but Smdbltrp, with which the second of the bench's traps would be a critical error.
fn everything() -> ExtSet {
    let mut exts: ExtSet = isa::ext::EXTENSIONS.iter().map(|row| row.ext).collect();
    exts.remove(Ext::Smdbltrp);
    exts
}

fn without(ext: Ext) -> ExtSet {
    let mut exts = everything();
    exts.remove(ext);
    exts
}

const NONE: [u16; 0] = [];

// norm: H_illegal_high_half, H_csrs_hs_not_vs, H_vscsrs_acc_vs, H_vscsrs_acc_u, H_vscsrs_acc_m_hs
// norm: H_virtinst_vu_vs_nonhigh_allowedhs_tvm0, H_virtinst_vu_nonhigh_supervisor_allowedhs_tvm0
// norm: H_scsrs_nomatch, H_cause_virtual_instruction
#[test]
fn every_csr_number_in_every_mode() {
    let mut bench = Bench::new(everything(), &[], 0..4096);
    bench.sweep(&[]);
    assert_eq!(bench.finish(), 4096 * 4 * 5 * 2);
}

// norm: H_cause_virtual_instruction
#[test]
fn every_csr_and_instruction_under_random_controls() {
    let listed = csr::all().map(|row| row.number);
    let mut bench = Bench::new(everything(), SYSTEM, listed);
    bench.scatter(150);
    assert!(bench.finish() > 500_000);
}

// norm: mcounteren_clr_ill_inst_exc, mcounteren_set_nxt_priv, hcounteren_op, scounteren_op
// norm: H_virtinst_vs_nonhighctr_h0_m1, H_virtinst_vu_nonhighctr_h0_s0_m1
// norm: mcounteren_enc_img
#[test]
fn a_counter_needs_its_bit_at_every_level_above() {
    for index in 0..32 {
        let mut bench = Bench::new(everything(), &[], csr::CYCLE..=csr::HPMCOUNTER31);
        bench.sweep(&[
            Toggle(csr::MCOUNTEREN, 1 << index),
            Toggle(csr::HCOUNTEREN, 1 << index),
            Toggle(csr::SCOUNTEREN, 1 << index),
        ]);
        bench.finish();
    }
}

// norm: henvcfg_stce, menvcfg_stce_op2, mcounteren_tm_clr, mcounteren_tm_set, hcounteren_acc
#[test]
fn the_comparators_need_stce_and_tm() {
    let mut bench = Bench::new(everything(), &[], [csr::STIMECMP, csr::VSTIMECMP, csr::TIME]);
    bench.sweep(&[
        Toggle(csr::MENVCFG, menvcfg::STCE),
        Toggle(csr::HENVCFG, menvcfg::STCE),
        Toggle(csr::MCOUNTEREN, 2),
        Toggle(csr::HCOUNTEREN, 2),
        Toggle(csr::SCOUNTEREN, 2),
    ]);
    bench.finish();
}

// norm: stateen_op, stateen_illegal_state_access, mstateen_bit_63_op, hstateen_bit_63_op, mstateen0_se0_op
// norm: hstateen0_SE0_op, mstateen0_envcfg_op, hstateen0_envcfg_op, hstateen_encoding
#[test]
fn state_is_reached_where_every_level_above_enables_it() {
    let mut csrs = vec![csr::SENVCFG, csr::HENVCFG, csr::MENVCFG];
    csrs.extend(csr::MSTATEEN0..=csr::MSTATEEN3);
    csrs.extend(csr::HSTATEEN0..=csr::HSTATEEN3);
    csrs.extend(csr::SSTATEEN0..=csr::SSTATEEN3);
    // Without Smstateen the enables of the hypervisor stand alone; without Ssstateen there are none.
    for exts in [everything(), without(Ext::Smstateen), without(Ext::Ssstateen)] {
        let mut bench = Bench::new(exts, &[], csrs.clone());
        bench.sweep(&[
            Toggle(csr::MSTATEEN0, stateen0::SE),
            Toggle(csr::MSTATEEN0, stateen0::ENVCFG),
            Toggle(csr::HSTATEEN0, stateen0::SE),
            Toggle(csr::HSTATEEN0, stateen0::ENVCFG),
        ]);
        for (mstateen, hstateen) in [
            (csr::MSTATEEN1, csr::HSTATEEN1),
            (csr::MSTATEEN2, csr::HSTATEEN2),
            (csr::MSTATEEN3, csr::HSTATEEN3),
        ] {
            bench.sweep(&[Toggle(mstateen, stateen0::SE), Toggle(hstateen, stateen0::SE)]);
        }
        bench.finish();
    }
}

// norm: mstatus_tvm_warl_op, hgatp_tvm_illegal, mstatus_tvm_hs, mstatus_modes, hstatus_vtvm_op
// norm: hfence-vvma_mode, hfence-vvma_tvm, hfence-gvma_op, hfence-vvma_hfence-gvma_exceptions
// norm: H_virtinst_vs_sfence_sinval_satp_vtvm1, H_virtinst_vu_sret_sfence, H_virtinst_vu_vs_hinst
// norm: Svinval_illegal_instruction_u_mode, Svinval_illegal_instruction_tvm
// norm: Svinval_virtual_instruction_vu_vs, Svinval_virtual_instruction_vtvms
// norm: Svinval_sfence_w_inval_inval_u_mode, Svinval_sfence_w_inval_inval_vu_mode
// norm: Svinval_sfence_w_inval_inval_s_vs_mode
#[test]
fn tvm_and_vtvm_withhold_translation_from_their_mode_alone() {
    let fences = system(&[
        Deed::SfenceVma,
        Deed::SfenceOrder,
        Deed::HfenceVvma,
        Deed::HfenceGvma,
        Deed::GuestAccess,
    ]);
    let mut bench = Bench::new(everything(), &fences, [csr::SATP, csr::VSATP, csr::HGATP]);
    bench.sweep(&[
        Toggle(csr::MSTATUS, mstatus::TVM),
        Toggle(csr::HSTATUS, hstatus::VTVM),
        Toggle(csr::HSTATUS, hstatus::HU),
    ]);
    bench.finish();
}

// norm: hlsv_mode, hlsv_virtinst, hlsv_illegalinst, hstatus_hu_op, H_virtinst_vu_vs_hinst
#[test]
fn guest_accesses_are_for_hs_and_with_hu_for_u() {
    let mut bench = Bench::new(everything(), &system(&[Deed::GuestAccess, Deed::HfenceVvma]), NONE);
    bench.sweep(&[Toggle(csr::HSTATUS, hstatus::HU), Toggle(csr::HSTATUS, hstatus::SPVP)]);
    bench.finish();
}

// norm: mstatus_tw_op, mstatus_tw_umode_op, mstatus_tsr_op, hstatus_vtw_op, hstatus_vtsr_op, mstatus_modes
// norm: H_virtinst_vu_wfi_tw0, H_virtinst_wfi_vtw1_tw0, H_virtinst_vs_sret_vtsr1, H_virtinst_vu_sret_sfence
// norm: sret_ill_inst_exc_rst, xret_in_higher_mode, xret_in_lower_mode, wfi_all_privileged_modes, wfi_ill_exc
#[test]
fn waiting_and_returning_are_withheld_by_tw_vtw_tsr_and_vtsr() {
    let deeds = system(&[Deed::Wfi, Deed::Wrs, Deed::Sret, Deed::Mret, Deed::Plain]);
    let mut bench = Bench::new(everything(), &deeds, NONE);
    bench.sweep(&[
        Toggle(csr::MSTATUS, mstatus::TW),
        Toggle(csr::MSTATUS, mstatus::TSR),
        Toggle(csr::HSTATUS, hstatus::VTW),
        Toggle(csr::HSTATUS, hstatus::VTSR),
    ]);
    bench.finish();
}

// norm: vsstatus_fs_op, H_illegalinst_xstatus_fs_vs, mstatus_fs_vs_xs_off_op
#[test]
fn floating_point_switched_off_at_any_level_is_illegal() {
    let mut bench =
        Bench::new(everything(), &system(&[Deed::Float]), [csr::FFLAGS, csr::FRM, csr::FCSR]);
    bench.sweep(&[Toggle(csr::MSTATUS, mstatus::FS), Toggle(csr::VSSTATUS, mstatus::FS)]);
    bench.finish();
}

// norm: mseccfg_useed_U-mode_op, mseccfg_sseed_SorHS-mode_op, mseccfg_sseed_VSorVU-mode_op, mseccfg_sseed_useed_op_tbl
#[test]
fn seed_is_for_whom_mseccfg_says_and_never_for_a_guest() {
    let mut bench = Bench::new(everything(), &[], [csr::SEED, csr::MSECCFG]);
    bench.sweep(&[Toggle(csr::MSECCFG, mseccfg::SSEED), Toggle(csr::MSECCFG, mseccfg::USEED)]);
    bench.finish();
}

// norm: menvcfg_cbze_op, menvcfg_cbcfe_op, menvcfg_cbie_warl_op, senvcfg_cbze, senvcfg_cbcfe, senvcfg_cbie
// norm: henvcfg_cbze, henvcfg_cbcfe, henvcfg_cbie, cbo-inval_h-mode_veq1_op
#[test]
fn cache_block_operations_need_their_field_at_every_level_above() {
    let deeds = system(&[Deed::CboInval, Deed::CboClean, Deed::CboZero]);
    let fields = [
        menvcfg::CBCFE,
        menvcfg::CBZE,
        // Flush, and invalidate.
        1 << menvcfg::CBIE_SHIFT,
        menvcfg::CBIE,
    ];
    for field in fields {
        let mut bench = Bench::new(everything(), &deeds, NONE);
        bench.sweep(&[
            Toggle(csr::MENVCFG, field),
            Toggle(csr::HENVCFG, field),
            Toggle(csr::SENVCFG, field),
        ]);
        bench.finish();
    }
}

// norm: H_cause_ecall, ecall_op2
#[test]
fn a_call_says_which_mode_it_comes_from() {
    let mut bench = Bench::new(everything(), &system(&[Deed::Ecall]), NONE);
    bench.sweep(&[]);
    bench.finish();
}

// norm: medeleg_mideleg_mandatory_S_mode, medeleg_mideleg_omit_wo_S_mode, mcounteren_presence
// norm: menvcfg_menvcfgh_no_U_mode, mseccfg_presence, stimecmp_exist, vstimecmp_exist
// norm: mstateen_rv64_csrs, sstateen_rv64_csrs, hstateen_rv64_csrs
#[test]
fn a_register_exists_with_its_extension_alone() {
    for ext in [
        Ext::U,
        Ext::S,
        Ext::Smstateen,
        Ext::H,
        Ext::Sstc,
        Ext::Zkr,
        Ext::F,
        Ext::Sscofpmf,
        Ext::Smcntrpmf,
        Ext::Zicntr,
        Ext::Zihpm,
    ] {
        let mut bench = Bench::new(without(ext), &[], 0..4096);
        bench.sweep(&[]);
        bench.finish();
    }
}

// norm: sret_presence, mret_presence, wfi_opt_U_mode, mcounteren_set_nxt_priv, menvcfg_cbze_op
#[test]
fn without_a_supervisor_machine_mode_alone_grants() {
    for ext in [Ext::H, Ext::S, Ext::U] {
        let mut bench = Bench::new(without(ext), SYSTEM, csr::CYCLE..=csr::HPMCOUNTER31);
        bench.scatter(100);
        bench.finish();
    }
}
