//! Single rules of translation, by name.

use std::ops::ControlFlow;
use std::sync::Arc;

use isa::{Ext, Gpa, Pa, Privilege, Va};
use mmu::{
    Access, Fault, Fence, Halt, ImplicitAccess, Kind, MemoryType, Mmu, MmuConfig, Observer, PmaMap,
    PmaRegion, PteAt, PteFetch, Reason, Shape, StageName, Target, WalkStep,
};

use crate::naive::RAM_BASE;
use crate::rig::*;

/// An HLVX of this privilege.
fn hlvx(privilege: Privilege) -> Access {
    Access { hlvx: true, ..access(Kind::Load, privilege, true) }
}

// norm: hgatp_mode_bare_trans, hgatp_mode_bare, satp_mode, satp_op_active
#[test]
fn m_mode_and_bare_do_not_translate() {
    let mut b = bench(Shape::default());
    let machine = access(Kind::Store, Privilege::M, false);
    assert_eq!(goes_to(&mut b.mmu, DATA, machine), Ok(DATA));
    set(&mut b.mmu, |csrs| (csrs.satp, csrs.vsatp, csrs.hgatp) = (0, 0, 0));
    assert_eq!(goes_to(&mut b.mmu, DATA, LOAD), Ok(DATA));
    let translated = b.mmu.translate(Va(DATA), GUEST_LOAD).unwrap();
    assert_eq!(
        (translated.target, translated.gpa),
        (Target::Ram { pa: Pa(DATA) }, Some(Gpa(DATA)))
    );
    // Beyond 56 bits there is nothing.
    assert_eq!(b.reason(1 << 60 | DATA, machine), Reason::Pma);
}

// norm: hlsv_u_op
#[test]
fn hlvx_needs_execute_not_read() {
    let mut b = bench(Shape::default());
    b.map_vs(VA, GPA, V | X | A);
    b.map_g(GPA, DATA, V | X | U | A);
    assert_eq!(goes_to(&mut b.mmu, VA, hlvx(Privilege::S)), Ok(DATA));
    assert_eq!(b.reason(VA, GUEST_LOAD), Reason::NotReadable);
    b.map_vs(VA + PAGE, GPA + PAGE, RW);
    b.map_g(GPA + PAGE, DATA, RWX | U);
    assert_eq!(b.reason(VA + PAGE, hlvx(Privilege::S)), Reason::NotExecutable);
    b.map_vs(VA + 2 * PAGE, GPA + 2 * PAGE, RWX);
    b.map_g(GPA + 2 * PAGE, DATA, RW | U);
    let fault = goes_to(&mut b.mmu, VA + 2 * PAGE, hlvx(Privilege::S)).unwrap_err();
    assert!(matches!(fault, Fault::GuestPage { implicit: None, .. }), "{fault}");
    // MXR has no say.
    set(&mut b.mmu, |csrs| (csrs.mxr, csrs.vs_mxr) = (true, true));
    assert_eq!(b.reason(VA + PAGE, hlvx(Privilege::S)), Reason::NotExecutable);
}

// norm: hlsv_u_op
#[test]
fn hlvx_needs_read_and_execute_of_physical_memory() {
    // The second page only executes, the third only reads.
    for (page, allowed) in [(0, true), (1, false), (2, false)] {
        let ram = ram(16);
        let config = MmuConfig::new(&all_exts(), 16, 14, 16, Shape::default());
        let mut mmu = Mmu::new(config, ram, Arc::new(PmaMap::default()));
        for (n, cfg) in [(0, 0x1d), (1, 0x1c), (2, 0x19)] {
            mmu.pmp.write_addr(n, (RAM_BASE + n as u64 * PAGE) >> 2 | 0x1ff);
            mmu.pmp.write_cfg(n, cfg);
        }
        mmu.pmp_changed();
        let at = RAM_BASE + page * PAGE;
        assert_eq!(goes_to(&mut mmu, at, hlvx(Privilege::S)).is_ok(), allowed, "{page}");
    }
}

// norm: vsstatus_mxr_vm, sstatus_mxr_vm
#[test]
fn mxr_of_hs_covers_both_stages_and_that_of_vs_only_its_own() {
    let mut b = bench(Shape::default());
    b.map_vs(VA, GPA, V | X | A);
    b.map_g(GPA, DATA, RWX | U);
    b.map_vs(VA + PAGE, GPA + PAGE, RWX);
    b.map_g(GPA + PAGE, DATA, V | X | U | A);
    let both =
        |b: &mut Bench| [VA, VA + PAGE].map(|va| goes_to(&mut b.mmu, va, GUEST_LOAD).is_ok());
    assert_eq!(both(&mut b), [false, false]);
    set(&mut b.mmu, |csrs| csrs.vs_mxr = true);
    assert_eq!(both(&mut b), [true, false]);
    set(&mut b.mmu, |csrs| (csrs.vs_mxr, csrs.mxr) = (false, true));
    assert_eq!(both(&mut b), [true, true]);
}

// norm: H_vm_gpapriv
#[test]
fn vs_pte_read_ignores_mxr() {
    let mut b = bench(Shape::default());
    b.map_vs(VA, GPA, RWX);
    b.map_g(GPA, DATA, RWX | U);
    // The page of the VS-stage root executes only.
    b.map_g(b.vs_root, b.vs_root, V | X | U | A | D);
    set(&mut b.mmu, |csrs| (csrs.mxr, csrs.vs_mxr) = (true, true));
    let index = VA >> 30 & 511;
    let fault = goes_to(&mut b.mmu, VA, GUEST_LOAD).unwrap_err();
    let Fault::GuestPage { gpa, implicit, why } = fault else { panic!("{fault}") };
    assert_eq!((gpa, implicit), (Gpa(b.vs_root + 8 * index), Some(ImplicitAccess::Read)));
    assert_eq!(why.reason, Reason::NotReadable);
}

// norm: H_vm_gpapriv
#[test]
fn setting_a_of_a_vs_pte_is_an_implicit_write() {
    let mut b = bench(Shape::default());
    let at = b.map_vs(VA, GPA, V | R | W);
    b.map_g(GPA, DATA, RWX | U);
    b.map_g(at, at & !0xfff, V | R | X | U | A | D);
    set(&mut b.mmu, |csrs| (csrs.adue, csrs.vs_adue) = (true, true));
    let fault = goes_to(&mut b.mmu, VA, GUEST_LOAD).unwrap_err();
    let Fault::GuestPage { gpa, implicit, why } = fault else { panic!("{fault}") };
    assert_eq!((gpa, implicit), (Gpa(at), Some(ImplicitAccess::Write)));
    assert_eq!(why.reason, Reason::NotWritable);
    assert_eq!(b.ram.read::<u64>(Pa(at)), Some(pte(GPA, V | R | W)));
}

// norm: menvcfg_adue_fence
#[test]
fn after_a_change_of_adue_a_fence_renews_what_a_and_d_mean() {
    for shape in [Shape::none(), Shape::default(), Shape::adversarial()] {
        let mut b = bench(shape);
        let slots = [VA, VA + PAGE].map(|va| b.map(va, DATA, V | R | W));
        let renew = |b: &mut Bench, adue| {
            set(&mut b.mmu, |csrs| csrs.adue = adue);
            b.mmu.fence(Fence::Sfence { va: None, asid: None });
        };
        let flags = |b: &Bench| slots.map(|at| b.ram.read::<u64>(Pa(at)).unwrap() & (A | D));
        renew(&mut b, true);
        assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
        assert_eq!(flags(&b), [A, 0]);
        renew(&mut b, false);
        assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
        assert_eq!(b.reason(VA, STORE), Reason::DirtyClear);
        assert_eq!(b.reason(VA + PAGE, LOAD), Reason::AccessedClear);
        assert_eq!(flags(&b), [A, 0]);
        renew(&mut b, true);
        assert_eq!(goes_to(&mut b.mmu, VA, STORE), Ok(DATA));
        assert_eq!(goes_to(&mut b.mmu, VA + PAGE, STORE), Ok(DATA));
        assert_eq!(flags(&b), [A | D; 2]);
    }
}

// norm: menvcfg_adue_op, henvcfg_adue_op, Svadu_disabled_hw_update_falls_back_to_svade, nw:ad_update
#[test]
fn each_adue_governs_its_stages() {
    for (adue, vs_adue) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut b = bench(Shape::default());
        let s = b.map(VA, DATA, V | R | W);
        let vs = b.map_vs(VA, GPA, V | R | W);
        b.map_vs(VA + PAGE, GPA + PAGE, RW);
        b.map_g(GPA, DATA, RW | U);
        let g = b.map_g(GPA + PAGE, DATA, V | R | W | U);
        set(&mut b.mmu, |csrs| (csrs.adue, csrs.vs_adue) = (adue, vs_adue));
        let accesses = [
            (VA, STORE, s, adue),
            (VA, GUEST_STORE, vs, vs_adue),
            (VA + PAGE, GUEST_STORE, g, adue),
        ];
        for (va, access, at, updates) in accesses {
            let result = goes_to(&mut b.mmu, va, access);
            let flags = b.ram.read::<u64>(Pa(at)).unwrap() & (A | D);
            if updates {
                assert_eq!((result, flags), (Ok(DATA), A | D));
            } else {
                assert_eq!(result.unwrap_err().why().reason, Reason::AccessedClear);
                assert_eq!(flags, 0);
            }
        }
    }
}

// norm: hgatp_mode_sv39x4, hgatp_mode_sv48x4, hgatp_mode_sv57x4, H_vm_gstagetrans
#[test]
fn a_gpa_that_is_too_wide_is_a_guest_page_fault_even_with_vsatp_bare() {
    let mut b = bench(Shape::default());
    set(&mut b.mmu, |csrs| csrs.vsatp = 0);
    for (mode, width) in [(8, 41), (9, 50), (10, 59)] {
        set(&mut b.mmu, |csrs| csrs.hgatp = csrs.hgatp << 4 >> 4 | mode << 60);
        // Not sign-extended: one bit too many is wrong, and so are all of them.
        for va in [1 << width, u64::MAX << (width - 1), 1 << 63] {
            let fault = goes_to(&mut b.mmu, va, GUEST_LOAD).unwrap_err();
            let Fault::GuestPage { gpa, implicit: None, why } = fault else { panic!("{fault}") };
            assert_eq!((gpa, why.reason), (Gpa(va), Reason::GpaTooWide));
        }
    }
    // The VS-stage can name a gpa beyond Sv39x4.
    let root = b.vs_root;
    set(&mut b.mmu, |csrs| {
        csrs.vsatp = atp(SV39, 1, root);
        csrs.hgatp = csrs.hgatp << 4 >> 4 | SV39 << 60;
    });
    b.map_vs(VA, 1 << 41, RW);
    let fault = goes_to(&mut b.mmu, VA + 0x123, GUEST_LOAD).unwrap_err();
    assert!(
        matches!(fault, Fault::GuestPage { gpa, implicit: None, .. } if gpa.0 == 1 << 41 | 0x123)
    );
}

// norm: hgatp_mode_x4
#[test]
fn the_guest_root_has_two_more_bits() {
    let mut b = bench(Shape::default());
    set(&mut b.mmu, |csrs| csrs.vsatp = 0);
    let gpa = 3 << 39 | 5 << 30 | GPA;
    b.map_g(gpa, OTHER, RW | U);
    assert_eq!(goes_to(&mut b.mmu, gpa, GUEST_LOAD), Ok(OTHER));
}

// norm: H_vm_gpatrans, H_vm_gpa_g
#[test]
fn a_guest_page_needs_u_and_ignores_g_and_sum() {
    let mut b = bench(Shape::adversarial());
    set(&mut b.mmu, |csrs| (csrs.vsatp, csrs.sum, csrs.vs_sum) = (0, true, true));
    b.map_g(GPA, DATA, RW);
    assert_eq!(b.reason(GPA, GUEST_LOAD), Reason::NotUser);
    // G would make it survive a fence by ASID or reach other VMIDs.
    b.map_g(GPA, DATA, RW | U | G);
    assert_eq!(goes_to(&mut b.mmu, GPA, GUEST_LOAD), Ok(DATA));
    set(&mut b.mmu, |csrs| csrs.hgatp = atp(SV39, 2, b.vs_root & !0x3fff));
    assert!(goes_to(&mut b.mmu, GPA, GUEST_LOAD).is_err());
}

// norm: sstatus_sum, sfence_vma_sum_mxr_effect, hlsv_trans, nw:pte_user_fetch, nw:walk_user
#[test]
fn sum_lets_s_load_and_store_user_pages_but_not_execute_them() {
    let mut b = bench(Shape::default());
    b.map(VA, DATA, RWX | U);
    let fetch = access(Kind::Fetch, Privilege::S, false);
    assert_eq!(b.reason(VA, LOAD), Reason::UserPage);
    set(&mut b.mmu, |csrs| csrs.sum = true);
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
    assert_eq!(goes_to(&mut b.mmu, VA, STORE), Ok(DATA));
    assert_eq!(b.reason(VA, fetch), Reason::UserPage);
    // It takes effect at once, in the native TLB too.
    b.mmu.set_effective((Privilege::S, false), (Privilege::S, false));
    assert!(b.mmu.load::<u8>(VA).is_some());
    set(&mut b.mmu, |csrs| csrs.sum = false);
    assert_eq!(b.mmu.load::<u8>(VA), None);
    assert_eq!(b.reason(VA, LOAD), Reason::UserPage);
    // HS SUM says nothing about a guest.
    b.map_vs(VA, GPA, RWX | U);
    b.map_g(GPA, DATA, RWX | U);
    set(&mut b.mmu, |csrs| csrs.sum = true);
    assert_eq!(b.reason(VA, GUEST_LOAD), Reason::UserPage);
    set(&mut b.mmu, |csrs| csrs.vs_sum = true);
    assert_eq!(goes_to(&mut b.mmu, VA, hlvx(Privilege::S)), Ok(DATA));
}

#[test]
fn a_fault_names_the_pte_that_caused_it() {
    let mut b = bench(Shape::default());
    let at = b.map(VA, DATA, V | X | A);
    let fault = goes_to(&mut b.mmu, VA, STORE).unwrap_err();
    let value = Some(pte(DATA, V | X | A));
    let expected = PteAt { stage: StageName::S, level: 0, at, value };
    assert_eq!(fault.why().pte, Some(expected));
    assert_eq!(
        fault.to_string(),
        format!(
            "page fault at va:0x100000: no write permission (S-stage level 0 PTE at pa:{at:#x} = {:#x})",
            pte(DATA, V | X | A)
        )
    );
}

// norm: Sv39_pte_future_rsv, Svnapot_reserved_encoding_fault, Svpbmt_nonleaf_pte_pbmt_must_be_zero
// norm: Svpbmt_leaf_pte_pbmt_reserved_3_fault, Sv39_superpage_align_fault, Sv39_va_signext, nw:walk_invalid
// norm: nw:walk_reserved, nw:walk_too_deep, nw:walk_misaligned_superpage, nw:pte_pointer_reserved
#[test]
fn reserved_encodings_are_told_apart() {
    let n = 1 << 63;
    let leaf = pte(DATA, RW);
    for (entry, reason) in [
        (0, Reason::Invalid),
        (leaf & !R, Reason::WriteOnly),
        (leaf | 1 << 54, Reason::ReservedBits),
        (leaf | 1 << 60, Reason::ReservedBits),
        (pte(DATA, V | A), Reason::PointerAttributes),
        (pte(DATA, V | D), Reason::PointerAttributes),
        (pte(DATA, V | U), Reason::PointerAttributes),
        (pte(DATA, V) | n, Reason::NapotReserved),
        (pte(DATA, V) | 1 << 61, Reason::PbmtReserved),
        (pte(DATA, V), Reason::NoLeaf),
        (leaf | n, Reason::NapotReserved),
        (leaf | 1 << 61, Reason::PbmtDisabled),
    ] {
        let mut b = bench(Shape::none());
        b.t.map(b.root, VA, 0, entry);
        assert_eq!(b.reason(VA, LOAD), reason, "{entry:#x}");
    }
    let mut b = bench(Shape::none());
    b.t.map(b.root, VA, 1, leaf | 1 << 10);
    assert_eq!(b.reason(VA, LOAD), Reason::MisalignedSuperpage);
    set(&mut b.mmu, |csrs| csrs.pbmte = true);
    b.t.map(b.root, VA, 1, leaf | 3 << 61);
    assert_eq!(b.reason(VA, LOAD), Reason::PbmtReserved);
    assert_eq!(b.reason(1 << 38, LOAD), Reason::NonCanonical);
}

// norm: Sv39_pte_svnapot_rsv
#[test]
fn without_svnapot_bit_63_of_a_pte_is_reserved() {
    let mut without = all_exts();
    without.remove(Ext::Svnapot);
    for exts in [all_exts(), without] {
        let ram = ram(PAGES);
        let config = MmuConfig::new(&exts, 16, 14, 0, Shape::default());
        let mut b = bench_of(Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default())), &ram);
        // A region of 64 KiB: the low four bits of the PPN say so.
        let napot = |to: u64, flags| 1 << 63 | pte(to | 0x8000, flags);
        b.t.map(b.root, VA, 0, napot(DATA, RW));
        b.t.map(b.vs_root, VA, 0, napot(GPA, RW));
        b.t.map(b.vs_root, VA + 0x10_0000, 0, pte(GPA + 0x10_0000, RW));
        b.t.map_guest(b.g_root, GPA, 0, pte(DATA, RW | U));
        b.t.map_guest(b.g_root, GPA + 0x10_0000, 0, napot(DATA, RW | U));
        let all = [(VA, LOAD), (VA, GUEST_LOAD), (VA + 0x10_0000, GUEST_LOAD)]
            .map(|(va, access)| goes_to(&mut b.mmu, va, access));
        if exts.contains(Ext::Svnapot) {
            assert_eq!(all, [const { Ok(DATA) }; 3]);
        } else {
            let [Err(Fault::Page { .. }), Err(Fault::Page { .. }), Err(guest)] = all else {
                panic!("{all:?}")
            };
            assert!(matches!(guest, Fault::GuestPage { implicit: None, .. }), "{guest}");
        }
    }
}

// norm: Svpbmt_hgatp_stage_override_rule, Svpbmt_vsatp_stage_override_rule
#[test]
fn the_vs_stage_memory_type_overrides_that_of_the_g_stage() {
    let kinds = [MemoryType::Pma, MemoryType::Nc, MemoryType::Io];
    for (vs, outer) in kinds.into_iter().enumerate() {
        for (g, inner) in kinds.into_iter().enumerate() {
            let mut b = bench(Shape::default());
            set(&mut b.mmu, |csrs| (csrs.pbmte, csrs.vs_pbmte) = (true, true));
            b.t.map(b.vs_root, VA, 0, pte(GPA, RW) | (vs as u64) << 61);
            b.t.map_guest(b.g_root, GPA, 0, pte(DATA, RW | U) | (g as u64) << 61);
            // The second time from the TLB.
            for _ in 0..2 {
                let got = b.mmu.translate(Va(VA), GUEST_LOAD).unwrap().memory_type;
                assert_eq!(got, if outer == MemoryType::Pma { inner } else { outer });
            }
        }
    }
}

// norm: pmp_with_paging, pmp_check_pagetable_access, H_exception_priority, nw:priority_first_encountered
// norm: nw:walk_pte_access
#[test]
fn pmp_denies_a_pte_before_anything_later_can_fail() {
    let ram = ram(PAGES);
    let config = MmuConfig::new(&all_exts(), 16, 14, 16, Shape::default());
    let mut mmu = Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default()));
    let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let root = t.table(1);
    // An invalid PTE, which nobody gets to see.
    let at = t.map(root, VA, 0, 0);
    mmu.pmp.write_addr(0, (at & !0xfff) >> 2 | 0x1ff);
    mmu.pmp.write_cfg(0, 0x18);
    mmu.pmp.write_addr(1, u64::MAX);
    mmu.pmp.write_cfg(1, 0x1f);
    mmu.pmp_changed();
    set(&mut mmu, |csrs| csrs.satp = atp(SV39, 1, root));
    let fault = goes_to(&mut mmu, VA, LOAD).unwrap_err();
    let Fault::Access { why } = fault else { panic!("{fault}") };
    let pte_at = PteAt { stage: StageName::S, level: 0, at, value: None };
    assert_eq!((why.reason, why.pte), (Reason::Pmp, Some(pte_at)));
}

/// With translations that were read before the change, and the PTEs that led to them.
// norm: nw:fence_after_pmp_hs, pmp_sfence_required
#[test]
fn after_a_pmp_change_an_sfence_renews_the_s_stage() {
    for shape in [Shape::none(), Shape::default(), Shape::adversarial()] {
        // What the new entry takes away: the page itself, or a table on the way.
        for level in [None, Some(0), Some(1)] {
            let ram = ram(PAGES);
            let config = MmuConfig::new(&all_exts(), 16, 14, 16, shape.clone());
            let mmu = Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default()));
            let mut b = bench_of(mmu, &ram);
            b.map(VA, DATA, RW);
            b.map(VA + PAGE, OTHER, RW);
            let taken = level.map_or(DATA, |level| b.t.slot(b.root, 3, 9, VA, level));
            b.mmu.pmp.write_addr(1, u64::MAX);
            b.mmu.pmp.write_cfg(1, 0x1f);
            b.mmu.pmp_changed();
            assert_eq!(goes_to(&mut b.mmu, VA, STORE), Ok(DATA));
            b.mmu.pmp.write_addr(0, (taken & !0xfff) >> 2 | 0x1ff);
            b.mmu.pmp.write_cfg(0, 0x18);
            b.mmu.pmp_changed();
            b.mmu.fence(Fence::Sfence { va: None, asid: None });
            assert_eq!(b.reason(VA, LOAD), Reason::Pmp, "{level:?}");
            let beside = goes_to(&mut b.mmu, VA + PAGE, LOAD);
            assert_eq!(beside.is_ok(), level.is_none(), "{level:?}");
        }
    }
}

// norm: nw:walk_pte_access, pma_vm_hw_tbl_acc
#[test]
fn ptes_outside_ram_are_access_faults() {
    let mut b = bench(Shape::default());
    set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, 1, 0x1000));
    let fault = goes_to(&mut b.mmu, VA, LOAD).unwrap_err();
    assert!(matches!(fault, Fault::Access { why } if why.reason == Reason::Pma), "{fault}");
}

// norm: pma_io_rwx_per_sz, pma_amo_far_subset_proc, pma_indep_exec_context
#[test]
fn devices_take_loads_and_stores_but_no_amos_and_no_fetches_in_any_mode() {
    let ram = ram(16);
    let config = MmuConfig::new(&all_exts(), 16, 14, 0, Shape::default());
    let regions = [PmaRegion::io(Pa(0x1000_0000), 0x100), PmaRegion::rom(Pa(0x1000), 0x1000)];
    let mut mmu = Mmu::new(config, ram, Arc::new(PmaMap::new(regions).unwrap()));
    let modes = [
        (Privilege::M, false),
        (Privilege::S, false),
        (Privilege::U, false),
        (Privilege::S, true),
        (Privilege::U, true),
    ];
    let try_all = |mmu: &mut Mmu, at| {
        let all = modes.map(|(privilege, v)| {
            [Kind::Fetch, Kind::Load, Kind::Store, Kind::Amo].map(|kind| {
                let access = Access { size: 4, ..access(kind, privilege, v) };
                let found = mmu.translate(Va(at), access);
                found.is_ok_and(|to| to.target == Target::Mmio { pa: Pa(at) })
            })
        });
        assert_eq!(all, [all[0]; 5], "{at:#x}");
        all[0]
    };
    assert_eq!(try_all(&mut mmu, 0x1000_0000), [false, true, true, false]);
    assert_eq!(try_all(&mut mmu, 0x1000), [true, true, false, false]);
    assert_eq!(try_all(&mut mmu, 0x1000_00fe), [false; 4]);
    assert_eq!(try_all(&mut mmu, 0x2000), [false; 4]);
    assert_eq!(mmu.load::<u32>(0x1000_0000), None);
}

// norm: Svvptc_explicit_stores_update_valid_bit
#[test]
fn a_right_that_was_added_needs_no_fence() {
    for shape in [Shape::default(), Shape::adversarial()] {
        let mut b = bench(shape);
        b.map(VA, DATA, V | R | A);
        assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
        assert_eq!(b.reason(VA, STORE), Reason::NotWritable);
        b.map(VA, DATA, RW);
        assert_eq!(goes_to(&mut b.mmu, VA, STORE), Ok(DATA));
        assert_eq!(b.reason(VA + PAGE, LOAD), Reason::Invalid);
        b.map(VA + PAGE, OTHER, RW);
        assert_eq!(goes_to(&mut b.mmu, VA + PAGE, STORE), Ok(OTHER));
    }
}

// norm: Svvptc_explicit_stores_update_valid_bit
/// A kept pointer to a table in which nothing is mapped must not deny what memory grants.
#[test]
fn memory_has_the_last_word_in_a_denial() {
    let mut b = bench(Shape::adversarial());
    b.map(VA, DATA, RW);
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
    let pointer = b.t.slot(b.root, 3, 9, VA, 1);
    let other = b.t.table(1);
    b.t.store(pointer, pte(other, V));
    b.map(VA + PAGE, OTHER, RW);
    assert_eq!(goes_to(&mut b.mmu, VA + PAGE, LOAD), Ok(OTHER));
    assert_eq!(b.mmu.stats().retries, 1);
}

// norm: nw:pte_global, sfence_vma_va_all_asid
#[test]
fn a_pointer_with_g_makes_what_lies_below_it_global() {
    let mut b = bench(Shape::adversarial());
    b.map(VA, DATA, RW);
    let pointer = b.t.slot(b.root, 3, 9, VA, 2);
    let entry = b.ram.read::<u64>(Pa(pointer)).unwrap();
    b.t.store(pointer, entry | G);
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
    b.map(VA, OTHER, RW);
    b.mmu.fence(Fence::Sfence { va: None, asid: Some(1) });
    b.mmu.fence(Fence::Sfence { va: Some(Va(VA)), asid: Some(1) });
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
    // It serves other ASIDs as well.
    set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, 7, DATA));
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(DATA));
    b.mmu.fence(Fence::Sfence { va: Some(Va(VA)), asid: None });
    set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, 1, b.root));
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(OTHER));
}

/// Stops a walk at its nth PTE.
struct StopAt(usize, Vec<PteFetch>);

impl Observer for StopAt {
    type Stop = ();

    fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<()> {
        self.1.push(*fetch);
        if self.1.len() == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_observer_can_stop_a_walk_after_any_pte() {
    let mut b = bench(Shape::none());
    b.map_vs(VA, GPA, RW);
    b.map_g(GPA, DATA, RW | U);
    // Three VS-stage PTEs, each behind three of the G-stage, and three for the access itself.
    let mut steps = b.mmu.explain(Va(VA), GUEST_LOAD).steps;
    steps.retain(|step| matches!(step, WalkStep::Fetch(_)));
    assert_eq!(steps.len(), 15);
    for n in 1..=15 {
        let mut observer = StopAt(n, Vec::new());
        let result = b.mmu.translate_observed(Va(VA), GUEST_LOAD, &mut observer);
        assert_eq!(result, Err(Halt::Stopped(())));
        let seen: Vec<WalkStep> = observer.1.into_iter().map(WalkStep::Fetch).collect();
        assert_eq!(seen, steps[..n]);
    }
    let mut observer = StopAt(99, Vec::new());
    let result = b.mmu.translate_observed(Va(VA), GUEST_LOAD, &mut observer).unwrap();
    assert_eq!(result.target, Target::Ram { pa: Pa(DATA) });
    let fetches = b.mmu.stats().pte_fetches;
    let (vs, g) = (fetches.vs_stage, fetches.g_stage);
    // Stopping after 1 to 15 fetches, of which every fourth is the VS-stage's, then a whole walk.
    let vs_expected: u64 = (1..=15).map(|n| (n / 4).min(3)).sum::<u64>() + 3;
    assert_eq!((vs, vs + g), (vs_expected, (1..=15).sum::<u64>() + 15));
}

#[test]
fn walk_caches_shorten_walks_and_leaves_end_them() {
    let mut b = bench(Shape::default());
    b.map(VA, DATA, RW);
    b.map(VA + PAGE, OTHER, RW);
    let mut fetches = |va| {
        let before = b.mmu.stats().pte_fetches.s_stage;
        goes_to(&mut b.mmu, va, LOAD).unwrap();
        b.mmu.stats().pte_fetches.s_stage - before
    };
    assert_eq!([fetches(VA), fetches(VA), fetches(VA + PAGE)], [3, 0, 1]);
    assert_eq!(b.mmu.stats().without_walk, 1);
}

// norm: Sv39_va_signext
/// What was kept under a wider MODE does not make an address valid under a narrower one.
#[test]
fn an_address_is_checked_against_the_mode_in_force() {
    let untagged = Shape { tag_vs_roots: false, ..Shape::default() };
    for shape in [Shape::default(), untagged, Shape::adversarial()] {
        for access in [LOAD, GUEST_LOAD] {
            let mut b = bench(shape.clone());
            set(&mut b.mmu, |csrs| csrs.hgatp = 0);
            let wide_root = b.t.table(1);
            let at = b.t.slot(wide_root, 4, 9, 1 << 40, 0);
            b.t.store(at, pte(DATA, RW));
            let at = b.t.slot(wide_root, 4, 9, VA, 0);
            b.t.store(at, pte(DATA, RW));
            let use_root = |b: &mut Bench, mode, root| {
                let value = atp(mode, 1, root);
                set(&mut b.mmu, |csrs| (csrs.satp, csrs.vsatp) = (value, value));
                [VA, VA + PAGE, 1 << 40].map(|va| goes_to(&mut b.mmu, va, access).ok())
            };
            let wide = use_root(&mut b, 9, wide_root);
            assert_eq!(wide, [Some(DATA), None, Some(DATA)]);
            // The narrow tree has the page beside it only; what was kept of VA may still be used.
            let root = b.root;
            b.map(VA + PAGE, OTHER, RW);
            let narrow = use_root(&mut b, SV39, root);
            assert_eq!(narrow[1..], [Some(OTHER), None]);
        }
    }
}
