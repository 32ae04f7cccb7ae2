//! What holds of the native fast path: it follows the TLB and whatever takes effect at once.

use std::sync::Arc;

use isa::{Pa, Privilege, Va};
use mmu::{Fence, Kind, Mmu, MmuConfig, PageClass, PmaMap, Shape};

use crate::naive::RAM_BASE;
use crate::rig::*;

// norm: nw:ad_update, nw:cache_not_step_9
#[test]
fn a_load_sets_a_and_the_first_store_sets_d() {
    for shape in [Shape::none(), Shape::default(), Shape::adversarial()] {
        let mut b = bench(shape);
        let at = b.map(VA, DATA, V | R | W);
        set(&mut b.mmu, |csrs| csrs.adue = true);
        b.mmu.set_effective((Privilege::S, false), (Privilege::S, false));
        let mut flags = |access| {
            goes_to(&mut b.mmu, VA, access).unwrap();
            let native = b.mmu.writable::<u8>(VA).is_some();
            (b.ram.read::<u64>(Pa(at)).unwrap() & (A | D), native)
        };
        assert_eq!(flags(LOAD), (A, false));
        assert_eq!(flags(STORE).0, A | D);
    }
}

#[test]
fn the_shape_none_translates_nothing_natively() {
    let mut b = bench(Shape::none());
    b.map(VA, DATA, RWX);
    let mode = (Privilege::S, false);
    b.mmu.set_effective(mode, mode);
    let fetch = access(Kind::Fetch, Privilege::S, false);
    let epoch = b.mmu.translation_epoch();
    for access in [LOAD, STORE, fetch] {
        assert_eq!(goes_to(&mut b.mmu, VA, access), Ok(DATA));
    }
    assert_eq!((b.mmu.load::<u8>(VA), b.mmu.fetch_page(VA)), (None, None));
    assert!(!b.mmu.store(VA, 0u8));
    assert_ne!(b.mmu.translation_epoch(), epoch);
    // What is not translated is as fast as ever.
    b.mmu.set_effective((Privilege::M, false), (Privilege::M, false));
    goes_to(&mut b.mmu, DATA, access(Kind::Load, Privilege::M, false)).unwrap();
    assert!(b.mmu.load::<u8>(DATA).is_some());
}

#[test]
fn the_epoch_tells_when_code_may_have_moved() {
    let mut b = bench(Shape::default());
    b.map(VA, DATA, RWX);
    b.map(VA + PAGE, OTHER, RW);
    let mode = (Privilege::S, false);
    b.mmu.set_effective(mode, mode);
    goes_to(&mut b.mmu, VA, access(Kind::Fetch, Privilege::S, false)).unwrap();
    goes_to(&mut b.mmu, VA + PAGE, LOAD).unwrap();
    let epoch = b.mmu.translation_epoch();
    b.mmu.fence(Fence::Sfence { va: Some(Va(VA + PAGE)), asid: None });
    b.mmu.fence(Fence::Sfence { va: None, asid: Some(2) });
    b.mmu.fence(Fence::Gvma { gpa: None, vmid: None });
    assert_eq!(b.mmu.translation_epoch(), epoch);
    assert_eq!(b.mmu.fetch_page(VA), Some(Pa(DATA)));
    b.mmu.fence(Fence::Sfence { va: Some(Va(VA)), asid: None });
    assert_ne!(b.mmu.translation_epoch(), epoch);
    assert_eq!(b.mmu.fetch_page(VA), None);
}

#[test]
fn the_context_of_fetches_is_that_of_the_mode() {
    let mut b = bench(Shape::default());
    let mut context = |fetch: (Privilege, bool)| {
        b.mmu.set_effective(fetch, (Privilege::M, false));
        b.mmu.fetch_context()
    };
    let s = context((Privilege::S, false));
    let u = context((Privilege::U, false));
    let vs = context((Privilege::S, true));
    assert!(s != u && s != vs && u != vs);
    assert_eq!(context((Privilege::S, false)), s);
}

#[test]
fn a_page_that_becomes_code_is_not_written_natively() {
    let mut b = bench(Shape::default());
    b.map(VA, DATA, RWX);
    let mode = (Privilege::S, false);
    b.mmu.set_effective(mode, mode);
    goes_to(&mut b.mmu, VA, STORE).unwrap();
    assert!(b.mmu.store(VA, 1u8));
    b.ram.watch(Pa(DATA), PageClass::Code);
    b.mmu.sync_page_events();
    assert!(!b.mmu.store(VA, 2u8));
    // The slow path tells of the write, and the page is data again.
    let at = goes_to(&mut b.mmu, VA, STORE).unwrap();
    assert!(!b.mmu.store(VA, 2u8));
    b.ram.write(Pa(at), 2u8).unwrap();
    goes_to(&mut b.mmu, VA, STORE).unwrap();
    assert!(b.mmu.store(VA, 3u8));
    // Many new code pages at once.
    for page in 0..64 {
        b.ram.watch(Pa(RAM_BASE + page * PAGE), PageClass::Code);
    }
    b.mmu.sync_page_events();
    assert!(!b.mmu.store(VA, 4u8));
}

// norm: pmp_sfence_required
#[test]
fn a_pmp_change_reaches_the_native_tlb() {
    let ram = ram(16);
    let config = MmuConfig::new(&all_exts(), 16, 14, 16, Shape::default());
    let mut mmu = Mmu::new(config, ram, Arc::new(PmaMap::default()));
    let mode = (Privilege::S, false);
    mmu.set_effective(mode, mode);
    mmu.pmp.write_addr(0, u64::MAX);
    mmu.pmp.write_cfg(0, 0x1f);
    mmu.pmp_changed();
    goes_to(&mut mmu, DATA, STORE).unwrap();
    assert!(mmu.load::<u8>(DATA).is_some() && mmu.writable::<u8>(DATA).is_some());
    mmu.pmp.write_cfg(0, 0x19);
    mmu.pmp_changed();
    assert_eq!(mmu.load::<u8>(DATA), None);
    goes_to(&mut mmu, DATA, LOAD).unwrap();
    assert!(mmu.load::<u8>(DATA).is_some() && mmu.writable::<u8>(DATA).is_none());
    // A page with a region of its own inside is checked each time.
    mmu.pmp.write_addr(1, u64::MAX);
    mmu.pmp.write_cfg(1, 0x1f);
    mmu.pmp.write_addr(0, DATA >> 2);
    mmu.pmp.write_cfg(0, 0x10);
    mmu.pmp_changed();
    assert_eq!(goes_to(&mut mmu, DATA + 4, STORE), Ok(DATA + 4));
    assert_eq!(mmu.writable::<u8>(DATA + 4), None);
    assert!(goes_to(&mut mmu, DATA, STORE).is_err());
}

// norm: sfence_vma_mode_effect
#[test]
fn switching_paging_off_and_on_takes_effect_at_once() {
    for store in [STORE, GUEST_STORE] {
        let mut b = bench(Shape::adversarial());
        b.map(DATA, OTHER, RW);
        b.map_vs(DATA, OTHER, RW);
        for page in [DATA, OTHER] {
            b.map_g(page, page, RW | U);
        }
        let mode = (Privilege::S, store.v);
        b.mmu.set_effective(mode, mode);
        let (satp, vsatp) = (b.mmu.csrs().satp, b.mmu.csrs().vsatp);
        for _ in 0..2 {
            assert_eq!(goes_to(&mut b.mmu, DATA, store), Ok(OTHER));
            assert_eq!(b.mmu.writable::<u64>(DATA), Some(Pa(OTHER)));
            set(&mut b.mmu, |csrs| (csrs.satp, csrs.vsatp) = (0, 0));
            assert_ne!(b.mmu.writable::<u64>(DATA), Some(Pa(OTHER)));
            assert_eq!(goes_to(&mut b.mmu, DATA, store), Ok(DATA));
            set(&mut b.mmu, |csrs| (csrs.satp, csrs.vsatp) = (satp, vsatp));
            assert_ne!(b.mmu.writable::<u64>(DATA), Some(Pa(DATA)));
        }
    }
}

// norm: sfence_vma_all_asid_va
/// One fence over many address spaces, all of which had native entries.
#[test]
fn a_fence_over_many_spaces_reaches_the_native_tlb() {
    let mut b = bench(Shape::default());
    b.map(VA, DATA, RWX);
    let mode = (Privilege::S, false);
    b.mmu.set_effective(mode, mode);
    for asid in (0..40).chain([1]) {
        set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, asid, b.root));
        goes_to(&mut b.mmu, VA, STORE).unwrap();
        goes_to(&mut b.mmu, VA, access(Kind::Fetch, Privilege::S, false)).unwrap();
    }
    let epoch = b.mmu.translation_epoch();
    b.map(VA, OTHER, RWX);
    b.mmu.fence(Fence::Sfence { va: None, asid: None });
    assert_ne!(b.mmu.translation_epoch(), epoch);
    for asid in 0..40 {
        set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, asid, b.root));
        assert_eq!((b.mmu.writable::<u8>(VA), b.mmu.fetch_page(VA)), (None, None));
        assert_eq!(goes_to(&mut b.mmu, VA, STORE), Ok(OTHER));
    }
}
