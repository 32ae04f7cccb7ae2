//! Which mode an explicit access is made in: MPRV with MPP and MPV, HLV and HSV with SPVP; and which SUM and MXR then
//! count [hypervisor, "Machine Status"; "Hypervisor Virtual-Machine Load and Store Instructions"].

use cpu::{Event, Hart};
use isa::field::{hstatus, mstatus};
use isa::{Cause, Exception, ExtSet, Mode, Pa, csr, pte};

use crate::interrupts::{Lines, hart};
use crate::rig::BASE;

pub(crate) const SV39: u64 = 8 << 60;
pub(crate) const MIB: u64 = 1 << 20;

/// Tables: HS-level, VS-stage, G-stage; each a root with gigapages or one page of megapages behind it.
pub(crate) const HS_ROOT: u64 = BASE + 0x1_0000;
pub(crate) const HS_NEXT: u64 = BASE + 0x1_1000;
pub(crate) const VS_ROOT: u64 = BASE + 0x1_2000;
const VS_NEXT: u64 = BASE + 0x1_3000;
pub(crate) const G_ROOT: u64 = BASE + 0x1_4000;
const G_NEXT: u64 = BASE + 0x1_8000;
/// Two megapages of data: what HS-level and what two-stage translation lead to.
pub(crate) const HS_DATA: u64 = BASE + 2 * MIB;
pub(crate) const GUEST_DATA: u64 = BASE + 4 * MIB;
pub(crate) const HS_WORD: u64 = 0x1111;
pub(crate) const GUEST_WORD: u64 = 0x2222;

/// Virtual addresses of a page for U, of one for S, and of execute-only ones.
pub(crate) const USER: u64 = 0;
pub(crate) const SUPERVISOR: u64 = 2 * MIB;
pub(crate) const USER_X: u64 = 4 * MIB;
pub(crate) const SUPERVISOR_X: u64 = 6 * MIB;

pub(crate) const CODE: u64 = BASE + 0x9000;

pub(crate) fn leaf(pa: u64, flags: u64) -> u64 {
    pa >> 12 << 10 | flags | pte::V | pte::A | pte::D
}

pub(crate) fn table(pa: u64) -> u64 {
    pa >> 12 << 10 | pte::V
}

/// The same virtual pages at HS-level and in the guest, with different words behind them. Guest physical 1 GiB on is a
/// window onto RAM.
fn machine() -> Hart {
    machine_with(ExtSet::default_set())
}

pub(crate) fn machine_with(exts: ExtSet) -> Hart {
    let mut hart = hart(exts, 0);
    let put = |hart: &Hart, at: u64, value: u64| hart.ram().write(Pa(at), value).expect("RAM");
    for (root, next, data) in
        [(HS_ROOT, HS_NEXT, HS_DATA), (VS_ROOT, VS_NEXT, 0x4000_0000 + GUEST_DATA - BASE)]
    {
        put(&hart, root, table(next));
        for (va, flags) in [
            (USER, pte::R | pte::W | pte::U),
            (SUPERVISOR, pte::R | pte::W),
            (USER_X, pte::X | pte::U),
            (SUPERVISOR_X, pte::X),
        ] {
            put(&hart, next + va / (2 * MIB) * 8, leaf(data, flags));
        }
    }
    // The G-stage: tables at their own address, data through the window, readable and executable.
    put(&hart, G_ROOT + 2 * 8, leaf(BASE, pte::R | pte::W | pte::X | pte::U));
    put(&hart, G_ROOT + 8, table(G_NEXT));
    let window = G_NEXT + (GUEST_DATA - BASE) / (2 * MIB) * 8;
    put(&hart, window, leaf(GUEST_DATA, pte::R | pte::W | pte::X | pte::U));
    put(&hart, HS_DATA, HS_WORD);
    put(&hart, GUEST_DATA, GUEST_WORD);
    hart.set_csr(csr::SATP, SV39 | HS_ROOT >> 12);
    hart.set_csr(csr::VSATP, SV39 | VS_ROOT >> 12);
    hart.set_csr(csr::HGATP, SV39 | G_ROOT >> 12);
    hart
}

/// What `word`, with rs1=a1 and rd=a0, gives in M-mode for this address.
pub(crate) fn load(hart: &mut Hart, word: u32, va: u64) -> Result<u64, Exception> {
    hart.ram().write(Pa(CODE), word).expect("RAM");
    let status = hart.csr(csr::MSTATUS).expect("mstatus");
    hart.set_mode(Mode::M);
    hart.set_pc(CODE);
    hart.set_x(11, va);
    let mut cause = None;
    hart.step_logged(&mut Lines::none(), &mut |event| {
        if let Event::Trap(trap) = event {
            cause = Some(trap.cause);
        }
    });
    // A trap has stacked MPP and MPV.
    hart.set_csr(csr::MSTATUS, status);
    match cause {
        None => Ok(hart.x(10)),
        Some(Cause::Exception(exception)) => Err(exception),
        Some(Cause::Interrupt(interrupt)) => panic!("{interrupt}"),
    }
}

pub(crate) const LD: u32 = 0x0005_b503;
pub(crate) const HLV_D: u32 = 0x6c05_c573;
pub(crate) const HLVX_WU: u32 = 0x6835_c573;

const NO: Result<u64, Exception> = Err(Exception::LoadPage);
const HS: Result<u64, Exception> = Ok(HS_WORD);
const GUEST: Result<u64, Exception> = Ok(GUEST_WORD);
/// Untranslated, these addresses lead nowhere.
const NOWHERE: Result<u64, Exception> = Err(Exception::LoadAccess);

/// MPP of U, S and M, in place.
pub(crate) const MPP: [u64; 3] = [0, 1 << mstatus::MPP_SHIFT, 3 << mstatus::MPP_SHIFT];

// norm: mstatus_mprv_hypervisor, mstatus_mprv_ldst_op, hlsv_trans, vsatp_v0, vsstatus_v0
#[test]
fn mprv_makes_an_access_in_the_mode_that_mpp_and_mpv_name() {
    // MPRV, MPV, MPP, and what loads from the user's and the supervisor's page give.
    let rows = [
        (0, 0, MPP[0], NOWHERE, NOWHERE),
        (0, mstatus::MPV, MPP[1], NOWHERE, NOWHERE),
        (mstatus::MPRV, 0, MPP[0], HS, NO),
        (mstatus::MPRV, 0, MPP[1], NO, HS),
        (mstatus::MPRV, 0, MPP[2], NOWHERE, NOWHERE),
        (mstatus::MPRV, mstatus::MPV, MPP[2], NOWHERE, NOWHERE),
        (mstatus::MPRV, mstatus::MPV, MPP[0], GUEST, NO),
        (mstatus::MPRV, mstatus::MPV, MPP[1], NO, GUEST),
    ];
    let mut hart = machine();
    for (mprv, mpv, mpp, user, supervisor) in rows {
        hart.set_csr(csr::MSTATUS, mprv | mpv | mpp);
        let done = (load(&mut hart, LD, USER), load(&mut hart, LD, SUPERVISOR));
        assert_eq!(done, (user, supervisor), "MPRV={mprv:#x} MPV={mpv:#x} MPP={mpp:#x}");
    }
}

// norm: mstatus_mprv_hypervisor, mstatus_sum_op_mprv_mpp, mstatus_sum_op, sstatus_sum
#[test]
fn the_sum_of_the_level_that_translates_counts() {
    let mut hart = machine();
    // HS-level SUM, the guest's, and what S and VS then load from the user's page.
    for (sum, vs_sum, native, guest) in [
        (false, false, NO, NO),
        (true, false, HS, NO),
        (false, true, NO, GUEST),
        (true, true, HS, GUEST),
    ] {
        let at = |yes: bool| if yes { mstatus::SUM } else { 0 };
        hart.set_csr(csr::VSSTATUS, at(vs_sum));
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | MPP[1] | at(sum));
        assert_eq!(load(&mut hart, LD, USER), native, "SUM={sum} vsstatus.SUM={vs_sum}");
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | mstatus::MPV | MPP[1] | at(sum));
        assert_eq!(load(&mut hart, LD, USER), guest, "SUM={sum} vsstatus.SUM={vs_sum}");
    }
}

// norm: mstatus_mprv_hypervisor, hlsv_sstatus_mxr, hlsv_vsstatus_mxr, sstatus_mxr_vm, vsstatus_mxr_vm, mstatus_mxr_op
#[test]
fn mxr_of_hs_counts_at_both_stages_and_that_of_vs_at_its_own() {
    const NO_GUEST: Result<u64, Exception> = Err(Exception::LoadGuestPage);
    let mut hart = machine();
    let window = G_NEXT + (GUEST_DATA - BASE) / (2 * MIB) * 8;
    let readable = leaf(GUEST_DATA, pte::R | pte::W | pte::X | pte::U);
    let execute_only = leaf(GUEST_DATA, pte::X | pte::U);
    // MXR, the guest's, the G-stage's leaf, and what VS gets of an execute-only page.
    for (mxr, vs_mxr, g_leaf, expected) in [
        (false, false, readable, NO),
        (false, true, readable, GUEST),
        (true, false, readable, GUEST),
        (false, true, execute_only, NO_GUEST),
        (true, false, execute_only, GUEST),
        (true, true, execute_only, GUEST),
    ] {
        let at = |yes: bool| if yes { mstatus::MXR } else { 0 };
        hart.ram().write(Pa(window), g_leaf).expect("RAM");
        hart.fence(mmu::Fence::Gvma { gpa: None, vmid: None });
        hart.set_csr(csr::VSSTATUS, at(vs_mxr));
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | mstatus::MPV | MPP[1] | at(mxr));
        let case = format!("MXR={mxr} vsstatus.MXR={vs_mxr} G={g_leaf:#x}");
        assert_eq!(load(&mut hart, LD, SUPERVISOR_X), expected, "MPRV, {case}");
        hart.set_csr(csr::MSTATUS, at(mxr));
        hart.set_csr(csr::HSTATUS, hstatus::SPVP);
        assert_eq!(load(&mut hart, HLV_D, SUPERVISOR_X), expected, "HLV, {case}");
        // HLVX needs X at both stages, and no R at either.
        assert_eq!(load(&mut hart, HLVX_WU, SUPERVISOR_X), GUEST, "HLVX, {case}");
        assert_eq!(load(&mut hart, HLVX_WU, SUPERVISOR), NO, "HLVX, {case}");
    }
}

// norm: hlsv_priv, hlsv_trans, mstatus_mprv_hlsv, hstatus_spvp_op, hlsv_op, hlsv_u_op
#[test]
fn hlv_is_made_in_the_mode_that_spvp_names_whatever_mprv_says() {
    let mut hart = machine();
    // As VU where SPVP=0, as VS where it is 1; the SUM of HS-level is ignored, that of the guest is not.
    for (spvp, vs_sum, user, supervisor, user_x) in [
        (0, 0, GUEST, NO, GUEST),
        (hstatus::SPVP, 0, NO, GUEST, NO),
        (hstatus::SPVP, mstatus::SUM, GUEST, GUEST, GUEST),
    ] {
        hart.set_csr(csr::HSTATUS, spvp);
        hart.set_csr(csr::VSSTATUS, vs_sum);
        for mprv in [0, mstatus::MPRV] {
            for mpv in [0, mstatus::MPV] {
                for mpp in MPP {
                    hart.set_csr(csr::MSTATUS, mprv | mpv | mpp | mstatus::SUM);
                    let done = (
                        load(&mut hart, HLV_D, USER),
                        load(&mut hart, HLV_D, SUPERVISOR),
                        load(&mut hart, HLVX_WU, USER_X),
                    );
                    let expected = (user, supervisor, user_x);
                    assert_eq!(done, expected, "SPVP={spvp:#x} MPRV={mprv:#x} MPP={mpp:#x}");
                }
            }
        }
    }
}
