//! Pointer masking: which explicit accesses ignore the upper bits of an address, and what is left of it
//! [priv: pointer masking; hypervisor, "Hypervisor Status", HUPMM].

use cpu::{Exit, Hart};
use isa::asm::Program;
use isa::field::{hstatus, mstatus};
use isa::{Cause, Exception, Ext, ExtSet, Mode, Pa, csr, pte};

use crate::effective::{
    CODE, G_ROOT, GUEST_DATA, GUEST_WORD, HLV_D, HLVX_WU, HS_DATA, HS_WORD, LD, MPP, SUPERVISOR,
    SUPERVISOR_X, USER, leaf, load, machine_with,
};
use crate::interrupts::Lines;
use crate::rig::BASE;

/// The upper seven bits, in a pattern that is neither all ones nor all zeros.
const TAG: u64 = 0x55 << 57;
/// PMM: PMLEN=7.
const ON: u64 = 2 << 32;
const HUPMM: u64 = 2 << 48;

/// The CSRs with a field, which is on.
const FIELDS: [(u16, u64); 5] = [
    (csr::MSECCFG, ON),
    (csr::MENVCFG, ON),
    (csr::SENVCFG, ON),
    (csr::HENVCFG, ON),
    (csr::HSTATUS, HUPMM),
];

fn machine() -> Hart {
    let mut exts = ExtSet::default_set();
    exts.insert(Ext::Smmpm);
    machine_with(exts)
}

/// Switches masking off everywhere, then these fields on.
fn only(hart: &mut Hart, on: &[u16]) {
    for (number, field) in FIELDS {
        let old = hart.csr(number).expect("the CSR") & !(3 << 32 | 3 << 48);
        hart.set_csr(number, old | if on.contains(&number) { field } else { 0 });
    }
}

// norm: pm_per_mode_control, pm_auto_apply_active_mode, pm_config_next_higher, pm_mprv_spvp, pm_mode_only_dependency
// norm: ssnpm_definition, smnpm_definition, smmpm_definition, senvcfg_pmm_immediate, senvcfg_pmm_Ssnpm, menvcfg_pmm_op
// norm: henvcfg_pmm_op, mseccfg_pmm_presence_op, nw:pmm_no_fence, pm_ignore_upper_bits, pm_all_priv_modes
#[test]
fn a_mode_masks_what_its_own_field_says() {
    let mut hart = machine();
    let m = Ok(HS_WORD);
    for (mpv, mpp, va, governs, word) in [
        (0, MPP[0], USER, csr::SENVCFG, Ok(HS_WORD)),
        (0, MPP[1], SUPERVISOR, csr::MENVCFG, Ok(HS_WORD)),
        (mstatus::MPV, MPP[0], USER, csr::SENVCFG, Ok(GUEST_WORD)),
        (mstatus::MPV, MPP[1], SUPERVISOR, csr::HENVCFG, Ok(GUEST_WORD)),
        (0, MPP[2], HS_DATA, csr::MSECCFG, m),
    ] {
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | mpv | mpp);
        for (field, _) in FIELDS {
            only(&mut hart, &[field]);
            assert_eq!(load(&mut hart, LD, va), word, "MPV={mpv:#x} MPP={mpp:#x}");
            let tagged = load(&mut hart, LD, va | TAG);
            let case = format!("MPV={mpv:#x} MPP={mpp:#x} field {field:#x}");
            assert_eq!(tagged.is_ok(), field == governs, "{case}");
            assert_eq!(tagged.unwrap_or(0), if field == governs { word.unwrap() } else { 0 });
        }
        only(&mut hart, &[]);
        assert!(load(&mut hart, LD, va | TAG).is_err(), "MPV={mpv:#x} MPP={mpp:#x}");
    }
}

// norm: pm_mprv_spvp, nw:hstatus_hupmm, nw:hlvx_no_pmm, henvcfg_pmm_op
#[test]
fn hlv_masks_what_the_mode_it_stands_for_does_and_from_u_what_hupmm_says() {
    for (from, spvp, va, governs) in [
        (Mode::M, hstatus::SPVP, SUPERVISOR, csr::HENVCFG),
        (Mode::M, 0, USER, csr::SENVCFG),
        (Mode::S, hstatus::SPVP, SUPERVISOR, csr::HENVCFG),
        (Mode::S, 0, USER, csr::SENVCFG),
        (Mode::U, hstatus::SPVP, SUPERVISOR, csr::HENVCFG),
        (Mode::U, 0, USER, csr::HSTATUS),
    ] {
        for (field, _) in FIELDS {
            let mut hart = machine();
            hart.set_csr(csr::SATP, 0);
            hart.set_csr(csr::HSTATUS, spvp | hstatus::HU);
            only(&mut hart, &[field]);
            for (word, va, expected) in [
                (HLV_D, va, true),
                (HLV_D, va | TAG, field == governs),
                // HLVX takes the address as it is.
                (HLVX_WU, SUPERVISOR_X | TAG, false),
            ] {
                hart.ram().write(Pa(CODE), word).expect("RAM");
                hart.set_mode(from);
                hart.set_pc(CODE);
                hart.set_x(10, 0);
                hart.set_x(11, va);
                let trap = crate::rig::next_trap(&mut hart, &mut Lines::none());
                let case = format!("from {from:?}, SPVP={spvp:#x}, field {field:#x}, {va:#x}");
                assert_eq!(trap.is_none(), expected, "{case}");
                assert_eq!(hart.x(10), if expected { GUEST_WORD } else { 0 }, "{case}");
            }
        }
    }
}

// norm: pm_mxr_exception
#[test]
fn where_mxr_is_in_effect_nothing_is_masked() {
    let mut hart = machine();
    only(&mut hart, &[csr::MSECCFG, csr::MENVCFG, csr::SENVCFG, csr::HENVCFG]);
    // MPV, MPP, the address; MXR, that of the guest, and whether the access is masked.
    for (mpv, mpp, va, mxr, vs_mxr, masked) in [
        (0, MPP[1], SUPERVISOR, false, false, true),
        (0, MPP[1], SUPERVISOR, true, false, false),
        (0, MPP[1], SUPERVISOR, false, true, true),
        (0, MPP[0], USER, true, false, false),
        (mstatus::MPV, MPP[1], SUPERVISOR, true, false, false),
        (mstatus::MPV, MPP[1], SUPERVISOR, false, true, false),
        (mstatus::MPV, MPP[0], USER, false, false, true),
        // M-mode has no use for MXR.
        (0, MPP[2], HS_DATA, true, true, true),
    ] {
        let at = |yes: bool| if yes { mstatus::MXR } else { 0 };
        hart.set_csr(csr::VSSTATUS, at(vs_mxr));
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | mpv | mpp | at(mxr));
        let case = format!("MPV={mpv:#x} MPP={mpp:#x} MXR={mxr} vsstatus.MXR={vs_mxr}");
        assert_eq!(load(&mut hart, LD, va | TAG).is_ok(), masked, "{case}");
        assert!(load(&mut hart, LD, va).is_ok(), "{case}");
    }
    // Untranslated, too.
    hart.set_csr(csr::SATP, 0);
    for (mxr, masked) in [(mstatus::MXR, false), (0, true)] {
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | MPP[1] | mxr);
        assert_eq!(load(&mut hart, LD, HS_DATA | TAG).is_ok(), masked, "MXR={mxr:#x}");
    }
}

// The manual's own example: 0xabff_ffff_1234_5678 with PMLEN=7.
// norm: pm_ignore_va, pm_ignore_pa, pm_csr_hw_apply, pm_deterministic_effect
#[test]
fn virtual_addresses_are_sign_extended_and_physical_ones_zero_extended() {
    const EXAMPLE: u64 = 0xabff_ffff_1234_5678;
    let mut hart = machine();
    only(&mut hart, &[csr::MSECCFG, csr::MENVCFG, csr::SENVCFG, csr::HENVCFG]);
    for (mpv, mpp, paged, tval) in [
        (0, MPP[0], true, 0xffff_ffff_1234_5678),
        (0, MPP[1], true, 0xffff_ffff_1234_5678),
        (0, MPP[1], false, 0x01ff_ffff_1234_5678),
        (mstatus::MPV, MPP[1], true, 0xffff_ffff_1234_5678),
        (mstatus::MPV, MPP[1], false, 0x01ff_ffff_1234_5678),
        (0, MPP[2], true, 0x01ff_ffff_1234_5678),
    ] {
        if !paged {
            hart.set_csr(if mpv == 0 { csr::SATP } else { csr::VSATP }, 0);
        }
        hart.set_csr(csr::MSTATUS, mstatus::MPRV | mpv | mpp);
        assert!(load(&mut hart, LD, EXAMPLE).is_err());
        assert_eq!(hart.csr(csr::MTVAL), Some(tval), "MPV={mpv:#x} MPP={mpp:#x} {paged}");
    }
}

// norm: pm_apply_explicit, pm_misaligned_equivalence, pm_not_apply_implicit, pm_no_csr_sw, pm_no_trap_vector_mask
#[test]
fn every_kind_of_explicit_access_masks_and_a_fetch_does_not() {
    const WORDS: [u64; 4] = [0x0102_0304_0506_0708, 0x1112_1314_1516_1718, 0, 0];
    // At a0 the words above; at a2, 4 bytes before the end of a page, their middle once more.
    for (source, result) in [
        ("lbu a1, 7(a0)", 0x01),
        ("lh a1, 2(a0)", 0x0506),
        ("ld a1, 8(a0)", WORDS[1]),
        ("ld a1, 4(a0)", 0x1516_1718_0102_0304),
        ("ld a1, 0(a2)", 0x1516_1718_0102_0304),
        ("fld fa0, 8(a0); fmv.x.d a1, fa0", WORDS[1]),
        ("sd a0, 16(a0); ld a1, 16(a3)", 0),
        ("li a4, 77; sb a4, 16(a0); ld a1, 16(a3)", 77),
        ("li a4, 77; sd a4, 20(a0); lwu a1, 20(a3)", 77),
        ("li a4, 77; amoadd.d a4, a4, (a0); ld a1, 0(a3)", WORDS[0] + 77),
        ("li a4, 5; amoswap.w a1, a4, (a0)", 0x0506_0708),
        ("lr.d a1, (a0)", WORDS[0]),
        ("li a4, 9; lr.d a1, (a0); sc.d a5, a4, (a0); ld a1, 0(a3); add a1, a1, a5", 9),
        ("cbo.zero (a0); ld a1, 8(a3)", 0),
        ("cbo.flush (a0); ld a1, 8(a3)", WORDS[1]),
    ] {
        let mut hart = machine();
        hart.set_csr(csr::MSTATUS, mstatus::FS);
        hart.set_csr(csr::MENVCFG, 0xf0);
        only(&mut hart, &[csr::MSECCFG]);
        for (i, word) in WORDS.iter().enumerate() {
            hart.ram().write(Pa(HS_DATA + 8 * i as u64), *word).expect("RAM");
        }
        let crossing = HS_DATA + 0x2000 - 4;
        hart.ram().write_bytes(Pa(crossing), &0x1516_1718_0102_0304u64.to_le_bytes()).expect("RAM");
        let program = format!("{source}; ebreak");
        let program = Program::assemble(CODE, &program).expect("it assembles");
        hart.ram().write_bytes(Pa(CODE), &program.bytes).expect("RAM");
        for (register, value) in [(10, HS_DATA | TAG), (12, crossing | TAG), (13, HS_DATA)] {
            hart.set_x(register, value);
        }
        hart.set_csr(csr::MTVEC, BASE + 0x8000);
        hart.set_mode(Mode::M);
        hart.set_pc(CODE);
        // Whole programs by the fast engine, up to the trap handler's address, where a jump waits.
        hart.ram().write(Pa(BASE + 0x8000), 0x0000_006f_u32).expect("RAM");
        let exit = hart.run(&mut Lines::none(), 1000);
        assert_eq!(exit, Exit::Budget, "{source}");
        assert_eq!(hart.csr(csr::MCAUSE), Some(3), "{source}: tval {:x?}", hart.csr(csr::MTVAL));
        let wanted = if source.starts_with("sd a0") { HS_DATA | TAG } else { result };
        assert_eq!(hart.x(11), wanted, "{source}");
    }
    let mut hart = machine();
    only(&mut hart, &[csr::MSECCFG]);
    hart.ram().write(Pa(CODE), 0x0000_0013_u32).expect("RAM");
    hart.set_mode(Mode::M);
    hart.set_pc(CODE | TAG);
    let trap = crate::rig::next_trap(&mut hart, &mut Lines::none()).expect("a trap");
    assert_eq!(trap.cause, Cause::Exception(Exception::InstructionAccess));
    // Nor does the jump to a trap handler: `mtvec` keeps what software wrote.
    hart.set_csr(csr::MTVEC, CODE | TAG);
    hart.ram().write(Pa(CODE), 0x0000_0073_u32).expect("RAM");
    hart.set_pc(CODE);
    crate::rig::next_trap(&mut hart, &mut Lines::none()).expect("an ecall");
    assert_eq!((hart.pc(), hart.csr(csr::MTVEC)), (CODE | TAG, Some(CODE | TAG)));
}

/// What a load in M-mode gives that is run by the fast engine, with its native TLB, twice.
fn load_fast(hart: &mut Hart, va: u64) -> Result<u64, Exception> {
    let program = Program::assemble(CODE, "ld a0, (a1); ld a0, (a1); j .").expect("it assembles");
    hart.ram().write_bytes(Pa(CODE), &program.bytes).expect("RAM");
    hart.set_mode(Mode::M);
    hart.set_pc(CODE);
    hart.set_x(11, va);
    assert_eq!(hart.run(&mut Lines::none(), 10), Exit::Budget);
    Ok(hart.x(10))
}

// Guest physical addresses of Sv57x4 have 59 bits, two of which PMLEN=7 masks.
// norm: pm_ignore_pa, pm_warl_unaffected
#[test]
fn an_untranslated_guest_address_loses_bits_that_the_g_stage_would_translate() {
    const SV57X4: u64 = 10 << 60;
    const HIGH: u64 = 1 << 57;
    let mut hart = machine();
    let put = |hart: &Hart, at: u64, value: u64| hart.ram().write(Pa(at), value).expect("RAM");
    // Roots' entries 0 and 512 (bit 57) are 256 TiB leaves onto RAM's start and the place of the guest's word:
    // huge leaves are aligned, so tables down to 2 MiB instead.
    let tables = BASE + 0x2_0000;
    for (entry, from, data) in [(0, 0, HS_DATA), (512, 0x4000, GUEST_DATA)] {
        put(&hart, G_ROOT + 8 * entry, table(tables + from));
        for level in 0..2 {
            put(&hart, tables + from + level * 0x1000, table(tables + from + (level + 1) * 0x1000));
        }
        let flags = pte::R | pte::W | pte::U;
        put(&hart, tables + from + 0x2000, table(tables + from + 0x3000));
        put(&hart, tables + from + 0x3000, leaf(data, flags));
    }
    hart.set_csr(csr::HGATP, SV57X4 | G_ROOT >> 12);
    hart.set_csr(csr::VSATP, 0);
    hart.set_csr(csr::MSTATUS, mstatus::MPRV | mstatus::MPV | MPP[1]);
    for _ in 0..3 {
        only(&mut hart, &[]);
        for _ in 0..3 {
            assert_eq!(load_fast(&mut hart, 0), Ok(HS_WORD));
            assert_eq!(load_fast(&mut hart, HIGH), Ok(GUEST_WORD));
        }
        only(&mut hart, &[csr::HENVCFG]);
        // The last address before is the first one now: nothing has taken its native entry's place.
        for _ in 0..3 {
            assert_eq!(load_fast(&mut hart, HIGH), Ok(HS_WORD));
            assert_eq!(load_fast(&mut hart, 0), Ok(HS_WORD));
            assert_eq!(load_fast(&mut hart, HIGH | TAG), Ok(HS_WORD));
        }
    }
}

fn table(pa: u64) -> u64 {
    pa >> 12 << 10 | pte::V
}
