//! What each CSR can hold, for every hart that lacks one extension: writable bits, read-only bits, and fields that
//! hold some values only. The expected masks stand here as the manual's tables have them.

use std::sync::Arc;

use cpu::{Hart, HartConfig};
use isa::{Ext, ExtSet, Mode, Pa, csr};
use mmu::{PmaMap, Ram};

use crate::rig::BASE;

/// A field that holds only some values.
struct Enumerated {
    mask: u64,
    legal: Vec<u64>,
}

/// What a register must hold after a write.
struct Expected {
    number: u16,
    /// Bits that read as written.
    writable: u64,
    /// Bits that always read as one.
    ones: u64,
    /// Bits that the manual leaves to the hart.
    free: u64,
    fields: Vec<Enumerated>,
    /// Bit 63 says whether the field under this mask is all ones.
    dirty: u64,
    /// Where the first bit is set, the second one is zero.
    exclusive: Vec<(u64, u64)>,
}

fn bits(number: u16, writable: u64) -> Expected {
    Expected {
        number,
        writable,
        ones: 0,
        free: 0,
        fields: Vec::new(),
        dirty: 0,
        exclusive: Vec::new(),
    }
}

impl Expected {
    fn ones(self, ones: u64) -> Self {
        Self { ones, ..self }
    }

    fn free(self, free: u64) -> Self {
        Self { free, ..self }
    }

    fn field(mut self, mask: u64, legal: &[u64]) -> Self {
        self.fields.push(Enumerated { mask, legal: legal.to_vec() });
        self
    }

    fn dirty(self, dirty: u64) -> Self {
        Self { dirty, ..self }
    }

    fn exclusive(mut self, bit: u64, other: u64) -> Self {
        self.exclusive.push((bit, other));
        self
    }

    fn after(&self, written: u64) -> u64 {
        let sd = self.dirty != 0 && written & self.dirty == self.dirty;
        let mut holds = written & self.writable | self.ones | u64::from(sd) << 63;
        for &(bit, other) in &self.exclusive {
            if holds & bit != 0 {
                holds &= !other;
            }
        }
        holds
    }
}

/// A hart by what the manual needs to know of it.
struct Built {
    exts: ExtSet,
    geilen: u32,
}

impl Built {
    fn hart(&self) -> Hart {
        let ram = Arc::new(Ram::new(Pa(BASE), 1 << 16).expect("memory"));
        let config = HartConfig { geilen: self.geilen, ..HartConfig::new(0, self.exts) };
        Hart::new(&config, ram, Arc::new(PmaMap::default()))
    }

    /// `mask` on a hart with `ext`.
    fn with(&self, ext: Ext, mask: u64) -> u64 {
        if self.exts.contains(ext) { mask } else { 0 }
    }

    fn without(&self, ext: Ext, mask: u64) -> u64 {
        mask & !self.with(ext, mask)
    }
}

const ALL: u64 = u64::MAX;
const LOW_32: u64 = 0xffff_ffff;
const PMM: u64 = 3 << 32;

/// SIE, SPIE and SPP; FS; SUM and MXR; SDT, with DTE on.
fn sstatus(built: &Built) -> u64 {
    built.with(Ext::S, 0x122)
        | built.with(Ext::F, 0x6000)
        | built.with(Ext::Sv39, 0xc_0000)
        | built.with(Ext::Ssdbltrp, 1 << 24)
}

/// The modes of `satp`, `vsatp` and `hgatp`.
fn atp_modes(built: &Built) -> Vec<u64> {
    [(Ext::Sv39, 8), (Ext::Sv48, 9), (Ext::Sv57, 10)]
        .into_iter()
        .filter(|(ext, _)| built.exts.contains(*ext))
        .map(|(_, mode)| mode)
        .collect()
}

/// The registers that hold what is written whatever the others hold. `mip` and its views, and counters, are no such.
fn expected(built: &Built) -> Vec<Expected> {
    let with = |ext, mask| built.with(ext, mask);
    let (s, u, h) = (Ext::S, Ext::U, Ext::H);
    let cbie: &[u64] = if built.exts.contains(Ext::Zicbom) { &[0, 1, 3] } else { &[0] };
    // FIOM; CBIE and CBCFE; CBZE.
    let envcfg = 1 | with(Ext::Zicbom, 0x70) | with(Ext::Zicboz, 0x80);
    // STCE, PBMTE, ADUE.
    let enables = with(Ext::Sstc, 1 << 63)
        | with(Ext::Svpbmt, 1 << 62)
        | with(Ext::Svadu, 1 << 61)
        | with(Ext::Ssdbltrp, 1 << 59);
    // Exceptions of the base privileged ISA that can be delegated; bit 0 as long as IALIGN is 32.
    let medeleg = 0b1100_1011_0011_1111_1110 | built.without(Ext::Zca, 1);
    let hedeleg = 0b1100_1011_0001_1111_1110 | built.without(Ext::Zca, 1);
    let epc = built.without(Ext::Zca, 2) | 1;
    let modes = atp_modes(built);
    let sgei = if built.geilen == 0 { 0 } else { 1 << 12 };
    let vsi = 0x444;
    // SSI, STI, SEI, LCOFI.
    let supervisor = with(s, 0x222) | with(Ext::Sscofpmf, 1 << 13);
    let mut mpp = vec![3];
    mpp.extend(built.exts.contains(s).then_some(1));
    mpp.extend(built.exts.contains(u).then_some(0));
    let lines: u64 = (1..=built.geilen).map(|line| 1 << line).sum();
    // PMLEN 0 and 7.
    let pmm = |ext| if built.exts.contains(ext) { &[0, 2][..] } else { &[0] };
    // Bits 62 to 58: MINH, SINH, UINH, VSINH, VUINH.
    let modes_inhibited = 1 << 62 | with(s, 1 << 61) | with(u, 1 << 60) | with(h, 3 << 58);
    let mut all = vec![
        bits(csr::FFLAGS, 0x1f),
        bits(csr::FRM, 7),
        bits(csr::FCSR, 0xff),
        bits(
            csr::MSTATUS,
            // MIE, MPIE; MPRV, TW; TSR; TVM; GVA, MPV.
            0x88 | sstatus(built)
                | with(u, 0x22_0000)
                | with(s, 1 << 22)
                | with(Ext::Sv39, 1 << 20)
                | with(h, 3 << 38)
                | with(u, 0x1800)
                // MDT.
                | with(Ext::Smdbltrp, 1 << 42),
        )
        // SXL and UXL of 64 bits; MPP where there is only M.
        .ones(with(s, 2 << 34) | with(u, 2 << 32) | built.without(u, 0x1800))
        .field(0x1800, &mpp)
        .dirty(with(Ext::F, 0x6000))
        // SDT keeps SIE off, MDT MIE.
        .exclusive(1 << 24, 1 << 1)
        .exclusive(1 << 42, 1 << 3),
        bits(csr::MISA, 0).free(ALL),
        bits(csr::MEDELEG, medeleg | with(h, 0xf0_0400)),
        bits(csr::MIDELEG, supervisor).ones(with(h, vsi | sgei)),
        bits(csr::MIE, 0x888 | supervisor | with(h, vsi | sgei)),
        bits(csr::MTVEC, ALL).field(3, &[0, 1]),
        bits(csr::MCOUNTEREN, LOW_32).free(LOW_32 & !with(Ext::Zihpm, !7) & !with(Ext::Zicntr, 7)),
        bits(csr::SCOUNTEREN, LOW_32).free(LOW_32 & !with(Ext::Zihpm, !7) & !with(Ext::Zicntr, 7)),
        bits(csr::HCOUNTEREN, LOW_32).free(LOW_32 & !with(Ext::Zihpm, !7) & !with(Ext::Zicntr, 7)),
        bits(csr::MCOUNTINHIBIT, LOW_32 & !2),
        bits(csr::MCYCLECFG, modes_inhibited),
        bits(csr::MINSTRETCFG, modes_inhibited),
        // Which events there are is the hart's.
        bits(csr::MHPMEVENT3, with(Ext::Sscofpmf, 1 << 63 | modes_inhibited)).free((1 << 56) - 1),
        bits(csr::MENVCFG, envcfg | enables | with(Ext::Smnpm, PMM))
            .field(0x30, cbie)
            .field(PMM, pmm(Ext::Smnpm)),
        bits(
            csr::MSECCFG,
            with(Ext::Zkr, with(u, 1 << 8) | with(s, 1 << 9)) | with(Ext::Smmpm, PMM),
        )
        .free(7)
        .field(PMM, pmm(Ext::Smmpm)),
        bits(csr::MSTATEEN0, 3 << 62),
        bits(csr::MSTATEEN1, 1 << 63),
        bits(csr::MSTATEEN2, 1 << 63),
        bits(csr::MSTATEEN3, 1 << 63),
        bits(csr::MSCRATCH, ALL),
        bits(csr::MEPC, !epc),
        bits(csr::MTVAL, ALL),
        bits(csr::MTVAL2, ALL),
        bits(csr::MTINST, ALL),
        bits(csr::PMPADDR0, (1 << 54) - 1),
        bits(csr::PMPADDR0 + 15, (1 << 54) - 1),
        bits(csr::PMPADDR0 + 16, 0),
        bits(csr::PMPADDR63, 0),
        bits(csr::SSTATUS, sstatus(built))
            .ones(2 << 32)
            .dirty(with(Ext::F, 0x6000))
            .exclusive(1 << 24, 1 << 1),
        bits(csr::STVEC, ALL).field(3, &[0, 1]),
        bits(csr::SENVCFG, envcfg | with(Ext::Ssnpm, PMM))
            .field(0x30, cbie)
            .field(PMM, pmm(Ext::Ssnpm)),
        // FCSR needs Zfinx and JVT Zcmt, and there is no custom state.
        bits(csr::SSTATEEN0, 0),
        bits(csr::SSTATEEN1, 0),
        bits(csr::SSTATEEN2, 0),
        bits(csr::SSTATEEN3, 0),
        bits(csr::SSCRATCH, ALL),
        bits(csr::SEPC, !epc),
        bits(csr::STVAL, ALL),
        bits(csr::STIMECMP, ALL),
        bits(
            csr::HSTATUS,
            // GVA, SPV, SPVP, HU; VTVM, VTW, VTSR; HUPMM. VSBE: no.
            0x3c0 | 0x70_0000 | 0x3_f000 | with(Ext::Ssnpm, 3 << 48),
        )
        .field(3 << 48, pmm(Ext::Ssnpm))
        .ones(2 << 32)
        .field(0x3_f000, &(0..=u64::from(built.geilen)).collect::<Vec<_>>()),
        bits(csr::HEDELEG, hedeleg).free(built.with(Ext::Zca, 1)),
        bits(csr::HIDELEG, vsi | with(Ext::Shlcofideleg, 1 << 13)),
        bits(csr::HVIP, vsi),
        bits(csr::HIE, vsi | sgei),
        bits(csr::HTIMEDELTA, ALL),
        bits(csr::HGEIE, lines),
        bits(csr::HGEIP, 0),
        bits(csr::HTVAL, ALL),
        bits(csr::HTINST, ALL),
        bits(csr::VSSTATUS, sstatus(built))
            .ones(2 << 32)
            .dirty(with(Ext::F, 0x6000))
            .exclusive(1 << 24, 1 << 1),
        bits(csr::VSTVEC, ALL).field(3, &[0, 1]),
        bits(csr::VSSCRATCH, ALL),
        bits(csr::VSEPC, !epc),
        bits(csr::VSTVAL, ALL),
        bits(csr::VSTIMECMP, ALL),
    ];
    if !modes.is_empty() {
        // With MODE=Bare the manual leaves open what the other fields do.
        all.push(bits(csr::SATP, ALL).field(0xf << 60, &modes));
        all.push(bits(csr::VSATP, ALL).field(0xf << 60, &modes));
        // VMIDMAX is 14; the root is aligned to 16 KiB.
        all.push(bits(csr::HGATP, !(3 << 58 | 3)).field(0xf << 60, &modes));
    }
    all.retain(|row| csr::by_number(row.number).expect("a CSR").exists(&built.exts));
    all
}

/// The hart with everything, one that lacks each extension, and one with guest external interrupts.
fn harts() -> Vec<(String, Built)> {
    let all: ExtSet = isa::ext::EXTENSIONS.iter().map(|row| row.ext).collect();
    let default = ExtSet::default_set();
    let mut harts = vec![
        ("default".to_owned(), Built { exts: default, geilen: 0 }),
        ("everything".to_owned(), Built { exts: all, geilen: 0 }),
        ("GEILEN=3".to_owned(), Built { exts: default, geilen: 3 }),
        ("GEILEN=63".to_owned(), Built { exts: default, geilen: 63 }),
        ("nothing".to_owned(), Built { exts: ExtSet::of(&[Ext::I, Ext::Zicsr]), geilen: 3 }),
    ];
    for row in isa::ext::EXTENSIONS {
        let mut exts = all;
        exts.remove(row.ext);
        if exts.contains(Ext::I) && exts.contains(Ext::Zicsr) {
            harts.push((format!("without {}", row.name), Built { exts, geilen: 1 }));
        }
    }
    harts
}

/// All bits, none, each one by itself, and all but each one.
fn patterns() -> impl Iterator<Item = u64> {
    let single = (0..64).map(|bit| 1u64 << bit);
    single.clone().chain(single.map(|bit| !bit)).chain([0, ALL, 0x5555_5555_5555_5555])
}

/// `pattern` with each enumerated field replaced by one of its legal values.
fn legalised(row: &Expected, pattern: u64, turn: usize) -> u64 {
    row.fields.iter().fold(pattern, |value, field| {
        isa::field::set(value, field.mask, field.legal[turn % field.legal.len()])
    })
}

/// Every register on every hart of [`harts`], of those with one of these numbers.
fn check(numbers: impl Fn(u16) -> bool) {
    for (name, built) in harts() {
        let mut hart = built.hart();
        hart.set_mode(Mode::M);
        for row in expected(&built).iter().filter(|row| numbers(row.number)) {
            let csr = csr::by_number(row.number).expect("a CSR").name;
            // What gates the fields of others is open.
            let gates = [csr::MENVCFG, csr::HENVCFG, csr::MSTATEEN0, csr::MSTATEEN1, csr::MIDELEG];
            for gate in gates {
                hart.set_csr(gate, ALL);
            }
            for (turn, pattern) in patterns().enumerate() {
                let written = legalised(row, pattern, turn);
                hart.set_csr(row.number, written);
                let read = hart.csr(row.number).expect("it exists");
                let wanted = row.after(written);
                assert_eq!(
                    read & !row.free,
                    wanted & !row.free,
                    "{csr} of the hart {name}: wrote {written:#x}, reads {read:#x}, not {wanted:#x}"
                );
            }
            for field in &row.fields {
                for value in 0..=isa::field::get(ALL, field.mask) {
                    hart.set_csr(row.number, isa::field::set(0, field.mask, value));
                    let read = isa::field::get(hart.csr(row.number).unwrap_or(0), field.mask);
                    let legal = field.legal.contains(&read) || read == 0 && field.mask >> 60 != 0;
                    assert!(legal, "{csr} of the hart {name}: wrote {value}, holds {read}");
                    if field.legal.contains(&value) {
                        assert_eq!(read, value, "{csr} of the hart {name}");
                    }
                }
            }
        }
    }
}

// norm: mstatus_sz_acc, mstatus_sie_spie_rdonly0, mstatus_mpp_sz, mstatus_spp_sz, mstatus_xpp_warl
// norm: mstatus_sxl_acc_mxlen64, mstatus_uxl_acc_mxlen64, mstatus_sxl_uxl_enc, mstatus_mprv_rdonly0_no_umode
// norm: mstatus_mxr_rdonly0_no_smode, mstatus_sum_rdonly0, mstatus_tvm_warl_op, mstatus_tw_acc, mstatus_tsr_acc
// norm: mstatus_fs_acc1, mstatus_fs_acc2, mstatus_xs_acc, mstatus_sd_acc, mstatus_sd_op1, mstatus_sd_rdonly0
// norm: mstatus_vs_acc2, mstatus_fs_vs_warl, mstatus_tw_warl, mstatus_tsr_warl, mstatus_mstatush_xbe_warl
// norm: sstatus, sstatus_uxl_sz, sstatus_sum_satp_mode, sstatus_ube
// norm: vsstatus_sz_acc_op, vsstatus_uxl_op, vsstatus_sd_xs_op, vsstatus_ube
// norm: mstatus_fs_no_dirty_track, mstatus_fs_rdonly0_s_no_f, mstatus_vs_rdonly0_s_no_v
// norm: mstatus_sbe_rocopy, mstatus_ube_rocopy
// norm: mstatus_sxl_rdonly_mxlen64, mstatus_uxl_rdonly_mxlen64, mstatus_uxl_legal_vals_smode
#[test]
fn the_status_registers_hold_the_fields_of_what_is_built() {
    check(|number| [csr::MSTATUS, csr::SSTATUS, csr::VSSTATUS].contains(&number));
}

// norm: nw:hstatus_hupmm, hstatus_sz_acc_op, hstatus_vsxl_64, vsxl_ro, hstatus_vgein_op, hstatus_vsbe_op
#[test]
fn hstatus_holds_its_fields_and_guest_external_lines_that_exist() {
    check(|number| number == csr::HSTATUS);
}

// norm: nw:hedeleg_writable, nw:hedeleg_zero
// norm: medeleg_sz_acc, mideleg_sz_acc, medeleg_mideleg_warl, medeleg_no_rd1, mideleg_no_rd1, mideleg_rd1_lower_level
// norm: medeleg_when_rd0, medeleg_16_no_rd0, medeleg_enc_txt, mideleg_enc_txt
// norm: hedeleg_sz_acc, hedeleg_acc, hideleg_sz_acc, hideleg_acc, mideleg_acc_h, mideleg_hroz
// norm: medeleg_enc_img, mideleg_enc_img, hedeleg_img, hideleg_img
#[test]
fn delegation_registers_hold_the_traps_that_can_be_delegated() {
    check(|number| [csr::MEDELEG, csr::MIDELEG, csr::HEDELEG, csr::HIDELEG].contains(&number));
}

// norm: mip_msip_mie_msie_maybe_rdonly0
// norm: mie_sz_acc, mie_bits_wr, mie_bits_rdonly0, mip_sxip_mie_sxie_rdonly0, mip_lcofip_mie_lcofie_rdonly0
// norm: hvip_sz_op, hvip_acc, hip_hie_sz_acc, hie_acc, hip_sgeip_sgeie_acc_op, geilen, hgeie_sz_acc_op, hgeip_sz_acc_op
// norm: mie_enc_img, mie_std_enc_img, hie_img, hvip_img, hgeie_img
#[test]
fn interrupt_registers_hold_the_interrupts_that_are_built() {
    check(|number| [csr::MIE, csr::HIE, csr::HVIP, csr::HGEIE, csr::HGEIP].contains(&number));
}

// norm: menvcfg_sz_acc, menvcfg_pbmte_rdonly0, menvcfg_adue_rdonly0, menvcfg_stce_rdonly0, menvcfg_cbze_rdonly0
// norm: menvcfg_cbcfe_rdonly0, menvcfg_cbie_rdonly0, senvcfg, stce_bit_exist, mseccfg_sz_acc
// norm: mseccfg_sseed_useed_presence, mseccfg_useed_rdonly0, mseccfg_sseed_rdonly0, menvcfg_enc_img, menvcfg_cde_rdonly0
// norm: mseccfg_pmm_enc, menvcfg_pmm_enc, pmlen_supported_values, pmlen_illegal_warl
// norm: menvcfg_pmm_rdonly0, menvcfg_dte_op, senvcfg_pmm_Ssnpm, senvcfg_cbze, senvcfg_cbcfe, senvcfg_cbie
#[test]
fn environment_registers_hold_the_enables_of_what_is_built() {
    check(|number| [csr::MENVCFG, csr::SENVCFG, csr::MSECCFG].contains(&number));
}

// norm: stateen_unimplemented_state_roz, stateen_reserved_roz, stateen_warl_access, mstateen_bit_63_roz
// norm: mstateen_bit_correspondence, sstateen_encroachment_bits_roz
#[test]
fn state_enables_exist_for_the_state_that_is_built() {
    check(|number| {
        (csr::MSTATEEN0..=csr::MSTATEEN3).contains(&number)
            || (csr::SSTATEEN0..=csr::SSTATEEN3).contains(&number)
    });
}

// norm: mcounteren_sz, mcounteren_flds_mandatory_warl, scounteren, scounteren_acc, hcounteren_sz, hcounteren_warl
// norm: mcountinhibit_sz_warl_op1, mhpmevent_sz_warl_op, mcounteren_flds_rdonly0
#[test]
fn counter_registers_hold_a_bit_for_each_counter() {
    check(|number| {
        let numbers = [
            csr::MCOUNTEREN,
            csr::SCOUNTEREN,
            csr::HCOUNTEREN,
            csr::MCOUNTINHIBIT,
            csr::MCYCLECFG,
            csr::MINSTRETCFG,
            csr::MHPMEVENT3,
        ];
        numbers.contains(&number)
    });
}

// norm: satp, satp_mode, vsatp_sz_acc_op, hgatp_sz_acc_op, hgatp_mode_sv, hgatp_ppn_op, hgatp_vmid, hgatp_vmid_lsbs
#[test]
fn address_translation_registers_hold_the_modes_that_are_built() {
    check(|number| [csr::SATP, csr::VSATP, csr::HGATP].contains(&number));
}

// norm: mtvec_sz_warl_acc, mtvec_base_align_4B, mscratch_sz_acc, mepc_sz_acc, mepc_align, mepc_warl, mtval_sz_acc
// norm: mtval_warl, mtval_vaddr_and_0_sz, mtval_instr_bits_sz, mtval2_sz_acc_op, mtval2_val, mtinst_sz_acc_op
// norm: mtinst_val, stvec, stvec_op, sscratch, sepc, sepc_acc_invalid_addr, stval, stval_acc, H_mtval_nrz
// norm: htval_sz_acc_op, htval_val, htinst_sz_acc_op, htinst_val, htimedelta_sz_acc_op, vstvec_sz_acc_op
// norm: vsscratch_sz_acc_op, vspec_sz_acc_op, vsepc_warl, vstval_sz_acc_op, vstval_warl, vstimecmp_sz
// norm: mtvec_base_align_func_mode, mtvec_rdonly, mepc_inv_addr_conv, mtval_inv_addr_conv, mtval_rdonly0
// norm: mscratch_enc_img, mepc_enc_img, mtval_enc_img, stvec_img, vstvec_img, mtvec_enc, mtvec_mandatory
#[test]
fn trap_registers_hold_any_address_that_may_be_written_to_them() {
    check(|number| {
        let low = number & 0xff;
        // tvec; scratch, epc, tval; tval2 and tinst; htimedelta and the comparators.
        let trap = matches!(low, 0x05 | 0x40 | 0x41 | 0x43 | 0x4a | 0x4b | 0x4d) && number < 0x700;
        trap || number == csr::HTIMEDELTA
    });
}

// norm: scause_exception_code_sz, scause_exception_code_acc, mcause_exccode_wlrl, vscause_wlrl, vscause_sz_acc_op
// norm: mcause_sz_acc
// norm: mcause_enc_img
#[test]
fn cause_registers_hold_every_cause() {
    let mut hart = Built { exts: ExtSet::default_set(), geilen: 3 }.hart();
    for number in [csr::MCAUSE, csr::SCAUSE, csr::VSCAUSE] {
        for cause in (0..32).chain((0..16).map(|code| 1 << 63 | code)) {
            hart.set_csr(number, cause);
            assert_eq!(hart.csr(number), Some(cause));
        }
    }
}

// norm: misa_h_op
// norm: misa_enc_img, misa_b_op, misa_e_op, misa_x_op
#[test]
fn misa_says_which_single_letters_are_built() {
    for (name, built) in harts() {
        let misa = built.hart().csr(csr::MISA).expect("misa");
        assert_eq!(misa >> 62, 2, "{name}");
        for (letter, ext) in [
            (b'a', Ext::A),
            (b'b', Ext::B),
            (b'c', Ext::C),
            (b'd', Ext::D),
            (b'f', Ext::F),
            (b'h', Ext::H),
            (b'i', Ext::I),
            (b'm', Ext::M),
            (b's', Ext::S),
            (b'u', Ext::U),
        ] {
            let bit = misa >> (letter - b'a') & 1 != 0;
            assert_eq!(bit, built.exts.contains(ext), "{ext} of the hart {name}");
        }
        assert_eq!(misa & (1 << 4 | 1 << 23), 0, "E and X of the hart {name}");
    }
}

// norm: menvcfg_pbmte_henvcfg_pbmte_rdonly0, menvcfg_adue_henvcfg_adue_rdonly0, menvcfg_stce_op2, henvcfg_sz_acc_op
// norm: henvcfg_stce, henvcfg_pbmte_op, henvcfg_adue_op, henvcfg_pmm_op, henvcfg_dte_op
#[test]
fn henvcfg_enables_only_what_menvcfg_does() {
    for (name, built) in harts() {
        if !built.exts.contains(Ext::H) {
            continue;
        }
        let mut hart = built.hart();
        let own = 1 | built.with(Ext::Zicbom, 0x70) | built.with(Ext::Zicboz, 0x80);
        // PMM is not one of them: it does not depend on menvcfg.
        let pmm = built.with(Ext::Ssnpm, 2 << 32);
        hart.set_csr(csr::MENVCFG, 0);
        hart.set_csr(csr::HENVCFG, 2 << 32);
        assert_eq!(hart.csr(csr::HENVCFG), Some(pmm), "{name}");
        for reserved in [1 << 32, 3 << 32] {
            hart.set_csr(csr::HENVCFG, reserved);
            assert_eq!(hart.csr(csr::HENVCFG), Some(pmm), "{name}");
        }
        let enables = [
            (Ext::Sstc, 1 << 63),
            (Ext::Svpbmt, 1 << 62),
            (Ext::Svadu, 1 << 61),
            (Ext::Ssdbltrp, 1 << 59),
        ];
        for setting in 0..16u64 {
            let on = (0..4).filter(|bit| setting >> bit & 1 != 0).map(|bit| enables[bit].1).sum();
            let there: u64 = enables.iter().map(|(ext, bit)| built.with(*ext, *bit)).sum();
            hart.set_csr(csr::MENVCFG, on);
            hart.set_csr(csr::HENVCFG, 0);
            hart.set_csr(csr::HENVCFG, ALL & !PMM);
            assert_eq!(hart.csr(csr::HENVCFG), Some(own | on & there), "{name} {on:#x}");
            // What is taken away later goes, too.
            hart.set_csr(csr::MENVCFG, 0);
            assert_eq!(hart.csr(csr::HENVCFG), Some(own), "{name} {on:#x}");
            hart.set_csr(csr::MENVCFG, on);
            hart.set_csr(csr::HENVCFG, 0);
            assert_eq!(hart.csr(csr::HENVCFG), Some(0), "{name}");
        }
    }
}

// norm: mstateen_lower_priv_roz, sstateen_vsmode_access_roz, hstateen_bit_63_writable, hstateen_ro1_bits
// norm: sstateen_ro1_bits
#[test]
fn hstateen_enables_only_what_mstateen_does() {
    let mut hart = Built { exts: ExtSet::default_set(), geilen: 0 }.hart();
    for index in 0..4 {
        let (mstateen, hstateen) = (csr::MSTATEEN0 + index, csr::HSTATEEN0 + index);
        let bits = if index == 0 { vec![0, 1 << 62, 1 << 63, 3 << 62] } else { vec![0, 1 << 63] };
        for on in bits {
            hart.set_csr(mstateen, on);
            hart.set_csr(hstateen, ALL);
            assert_eq!(hart.csr(hstateen), Some(on), "hstateen{index}");
            hart.set_csr(mstateen, 0);
            assert_eq!(hart.csr(hstateen), Some(0), "hstateen{index}");
            hart.set_csr(mstateen, on);
            hart.set_csr(hstateen, 0);
            assert_eq!(hart.csr(hstateen), Some(0), "hstateen{index}");
        }
    }
}

// norm: vsatp_mode_unsupported_v0, hgatp_mode_warl
#[test]
fn an_unsupported_mode_voids_a_write_to_satp_and_vsatp_but_not_to_hgatp() {
    let mut exts = ExtSet::default_set();
    exts.remove(Ext::Sv57);
    let mut hart = Built { exts, geilen: 0 }.hart();
    let old = 8 << 60 | 5 << 44 | 0x1230;
    for mode in [1, 7, 10, 11, 15u64] {
        for number in [csr::SATP, csr::VSATP, csr::HGATP] {
            hart.set_csr(number, old);
            hart.set_csr(number, mode << 60 | 6 << 44 | 0x4560);
            let now = hart.csr(number).expect("it exists");
            if number == csr::HGATP {
                assert_eq!(now & ((1 << 58) - 1), 6 << 44 | 0x4560);
                assert!([0, 8, 9].contains(&(now >> 60)));
            } else {
                assert_eq!(now, old);
            }
        }
    }
}

// norm: M-mode_at_rst2, mstatus_mie_mprv_rst, mstatus_mstatush_mbe_rst, pc_rst, mcause_rst_zero, pmp_A_L_rst
// norm: hgatp_vsatp_mode_rst, warl_rst, mseccfg_mml_mmwp_rlb_rst, mseccfg_useed_sseed_rst
// norm: mstateen_zero_initialization, misa_extensions_rst2
#[test]
fn reset_leaves_what_the_manual_demands() {
    for (name, built) in harts() {
        let mut hart = built.hart();
        let misa = hart.csr(csr::MISA);
        for row in expected(&built) {
            hart.set_csr(row.number, legalised(&row, ALL, 0));
        }
        hart.set_csr(csr::PMPCFG0, 0x9f9f_9f9f_9f9f_9f9f);
        hart.set_csr(csr::MSECCFG, ALL);
        hart.set_csr(csr::MCAUSE, 5);
        hart.set_mode(Mode::U);
        hart.reset(0x8000_1234);
        assert_eq!((hart.mode(), hart.pc()), (Mode::M, 0x8000_1234), "{name}");
        // MIE, MPRV, MBE.
        assert_eq!(hart.csr(csr::MSTATUS).unwrap() & (1 << 3 | 1 << 17 | 1 << 37), 0, "{name}");
        for number in [csr::MCAUSE, csr::PMPCFG0, csr::MSTATEEN0, csr::MSTATEEN3, csr::MSECCFG] {
            assert_eq!(hart.csr(number).unwrap_or(0), 0, "{name}");
        }
        for number in [csr::SATP, csr::VSATP, csr::HGATP] {
            assert_eq!(hart.csr(number).unwrap_or(0) >> 60, 0, "{name}");
        }
        assert_eq!(hart.csr(csr::MISA), misa, "{name}");
        for row in expected(&built) {
            for field in &row.fields {
                let value = isa::field::get(hart.csr(row.number).unwrap_or(0), field.mask);
                let legal = field.legal.contains(&value) || value == 0 && field.mask >> 60 != 0;
                assert!(legal, "{name}: {:#x} holds {value}", row.number);
            }
        }
        // With Svadu and without Svade, the device-tree binding says that hardware always updates.
        let adue = built.exts.contains(Ext::Svadu) && !built.exts.contains(Ext::Svade);
        let menvcfg = hart.csr(csr::MENVCFG).unwrap_or(0);
        assert_eq!(menvcfg, if adue { 1 << 61 } else { 0 }, "{name}");
    }
}
