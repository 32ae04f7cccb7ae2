//! What holds of the second level of the native TLB: it knows more than the first, and nothing that the TLB does not keep.

use isa::{Pa, Privilege, Va};
use mmu::{Fence, Kind, PageClass, Shape, WatchedRange};

use crate::naive::RAM_BASE;
use crate::rig::*;

/// A virtual address whose leaf is one of 2 MiB.
const LARGE: u64 = 0x4000_0000;
/// The first 2 MiB of RAM hold no tables.
const BLOCK: u64 = RAM_BASE;
/// A page of the block that no test translates by the architectural path.
const FAR: u64 = 0x12_3000;

fn supervisor(shape: Shape) -> Bench {
    let mut b = bench(shape);
    b.mmu.set_effective((Privilege::S, false), (Privilege::S, false));
    b
}

fn recalled(b: &mut Bench, va: u64, access: mmu::Access) -> Option<u64> {
    b.mmu.recall(Va(va), access).map(|pa| pa.0)
}

#[test]
fn one_access_tells_of_the_whole_large_page_until_a_fence() {
    for fence in [
        Fence::Sfence { va: Some(Va(LARGE + 0x5000)), asid: None },
        Fence::Sfence { va: None, asid: Some(1) },
        Fence::Sfence { va: None, asid: None },
    ] {
        let mut b = supervisor(Shape::default());
        b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
        assert_eq!(recalled(&mut b, LARGE + FAR, LOAD), None);
        goes_to(&mut b.mmu, LARGE, LOAD).unwrap();
        assert_eq!(b.mmu.load::<u8>(LARGE + FAR), None);
        assert_eq!(recalled(&mut b, LARGE + FAR + 8, LOAD), Some(BLOCK + FAR + 8));
        assert!(b.mmu.load::<u8>(LARGE + FAR).is_some() && b.mmu.store(LARGE + FAR, 1u8));
        b.mmu.fence(fence);
        for va in [LARGE, LARGE + FAR, LARGE + 0x5000] {
            assert_eq!((b.mmu.load::<u8>(va), b.mmu.writable::<u8>(va)), (None, None), "{fence:?}");
            assert_eq!(recalled(&mut b, va, LOAD), None, "{fence:?}");
        }
    }
}

#[test]
fn a_fence_of_another_large_page_leaves_it() {
    let mut b = supervisor(Shape::default());
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    goes_to(&mut b.mmu, LARGE, LOAD).unwrap();
    b.mmu.fence(Fence::Sfence { va: Some(Va(LARGE + 0x20_0000)), asid: None });
    b.mmu.fence(Fence::Sfence { va: None, asid: Some(2) });
    assert_eq!(recalled(&mut b, LARGE + FAR, LOAD), Some(BLOCK + FAR));
}

// norm: sfence_vma_asid_only
/// A fence of one address space spares global mappings, which the next access need not look up again.
#[test]
fn global_pages_outlive_the_fence_of_an_asid() {
    let mut b = supervisor(Shape::default());
    b.map(VA, DATA, RW | G);
    b.map(VA + PAGE, OTHER, RW);
    for va in [VA, VA + PAGE] {
        goes_to(&mut b.mmu, va, LOAD).unwrap();
    }
    b.mmu.fence(Fence::Sfence { va: None, asid: Some(1) });
    assert_eq!(recalled(&mut b, VA + PAGE, LOAD), None);
    assert_eq!(recalled(&mut b, VA, LOAD), Some(DATA));
    // Another address space has it too.
    set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, 2, b.root));
    assert_eq!(b.mmu.load::<u8>(VA), None);
    assert_eq!(recalled(&mut b, VA, STORE), Some(DATA));
    b.mmu.fence(Fence::Sfence { va: None, asid: None });
    assert_eq!(recalled(&mut b, VA, LOAD), None);
}

#[test]
fn what_the_data_path_recalls_it_serves_from_then_on() {
    let mut b = supervisor(Shape::default());
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    assert!(!b.mmu.recall_data(LARGE + FAR, Kind::Load));
    goes_to(&mut b.mmu, LARGE, LOAD).unwrap();
    assert!(!b.mmu.store(LARGE + FAR, 1u8));
    assert!(b.mmu.recall_data(LARGE + FAR, Kind::Store) && b.mmu.store(LARGE + FAR, 1u8));
    b.mmu.fence(Fence::Sfence { va: Some(Va(LARGE)), asid: None });
    assert!(!b.mmu.recall_data(LARGE + FAR, Kind::Store) && !b.mmu.store(LARGE + FAR, 1u8));
}

// norm: nw:ad_update
#[test]
fn what_needs_d_is_not_recalled_before_d_is_set() {
    let mut b = supervisor(Shape::default());
    b.map(VA, DATA, V | R | W | A);
    set(&mut b.mmu, |csrs| csrs.adue = true);
    goes_to(&mut b.mmu, VA, LOAD).unwrap();
    assert_eq!(recalled(&mut b, VA, STORE), None);
    assert_eq!(recalled(&mut b, VA, LOAD), Some(DATA));
    goes_to(&mut b.mmu, VA, STORE).unwrap();
    assert_eq!(recalled(&mut b, VA, STORE), Some(DATA));
}

#[test]
fn a_shape_that_keeps_nothing_recalls_nothing() {
    let mut b = supervisor(Shape::none());
    b.map(VA, DATA, RW);
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    for va in [VA, LARGE] {
        goes_to(&mut b.mmu, va, STORE).unwrap();
        assert_eq!(recalled(&mut b, va, STORE), None);
    }
}

#[test]
fn a_watched_page_is_recalled_but_not_written_natively() {
    let mut b = supervisor(Shape::default());
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    goes_to(&mut b.mmu, LARGE, STORE).unwrap();
    b.ram.watch(Pa(BLOCK + FAR), PageClass::Code);
    b.mmu.sync_page_events();
    assert_eq!(recalled(&mut b, LARGE + FAR, STORE), Some(BLOCK + FAR));
    assert!(!b.mmu.store(LARGE + FAR, 1u8) && b.mmu.load::<u8>(LARGE + FAR).is_some());
    assert!(recalled(&mut b, LARGE + FAR + PAGE, LOAD).is_some());
    assert!(b.mmu.store(LARGE + FAR + PAGE, 1u8));
}

#[test]
fn bytes_that_a_debugger_watches_are_not_recalled() {
    let mut b = supervisor(Shape::default());
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    goes_to(&mut b.mmu, LARGE, STORE).unwrap();
    let start = Va(LARGE + FAR + 8);
    b.mmu.watch(&[WatchedRange { start, bytes: 8, loads: false, stores: true }]);
    for va in [LARGE, LARGE + FAR] {
        goes_to(&mut b.mmu, va, STORE).unwrap();
    }
    assert_eq!(recalled(&mut b, LARGE + FAR, STORE), None);
    assert!(!b.mmu.store(LARGE + FAR, 1u8) && b.mmu.load::<u8>(LARGE + FAR).is_some());
}

// norm: pmp_sfence_required
#[test]
fn a_large_page_that_pmp_divides_is_not_recalled_as_one() {
    let ram = ram(PAGES);
    let config = mmu::MmuConfig::new(&all_exts(), 16, 14, 16, Shape::default());
    let mut b =
        bench_of(mmu::Mmu::new(config, ram.clone(), std::sync::Arc::new(Default::default())), &ram);
    b.mmu.set_effective((Privilege::S, false), (Privilege::S, false));
    // One page is denied; the rest is allowed.
    b.mmu.pmp.write_addr(0, (BLOCK + FAR) >> 2 | 0x1ff);
    b.mmu.pmp.write_cfg(0, 0x18);
    b.mmu.pmp.write_addr(1, u64::MAX);
    b.mmu.pmp.write_cfg(1, 0x1f);
    b.mmu.pmp_changed();
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    goes_to(&mut b.mmu, LARGE, LOAD).unwrap();
    assert!(b.mmu.load::<u8>(LARGE).is_some());
    assert_eq!(recalled(&mut b, LARGE + FAR, LOAD), None);
    assert!(goes_to(&mut b.mmu, LARGE + FAR, LOAD).is_err());
}
