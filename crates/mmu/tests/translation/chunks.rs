//! What holds of the chunks of the native TLB: each serves what a walk of any of its pages would permit, until whatever it came
//! from is fenced, and lets nobody write past one who watches.

use std::sync::Arc;

use isa::{Gpa, Pa, Privilege, Va};
use mmu::{Access, Fence, MmuConfig, PageClass, Shape, WatchedRange};

use crate::naive::RAM_BASE;
use crate::rig::*;

/// The size of a chunk.
const CHUNK: u64 = 0x20_0000;
/// An address at which leaves of any size begin.
const LARGE: u64 = 0x4000_0000;
/// Another, not next to it.
const LARGER: u64 = 0xc000_0000;
/// What the G-stage maps.
const GUEST: u64 = 0x2_0000_0000;
/// The chunk of RAM behind them all, which holds no tables.
const BLOCK: u64 = RAM_BASE;
/// A page of a chunk that no test translates.
const FAR: u64 = 0x12_3000;
/// What a load, a store that does not look and one that does find where nobody watches: the third is not asked then.
const ALL: [bool; 3] = [true, true, false];
const NOTHING: [bool; 3] = [false; 3];
const READ_ONLY: [bool; 3] = [true, false, false];
/// The same where somebody watches a page of the chunk, but not this one.
const LOOKING: [bool; 3] = [true, false, true];

/// Whether the chunk of `va` serves a load, a store that does not look, and one that does. Each may have to be asked twice.
fn serves(b: &mut Bench, va: u64) -> [bool; 3] {
    [
        (0..2).any(|_| b.mmu.load_in_chunk::<u8>(va).is_some()),
        (0..2).any(|_| b.mmu.store_in_chunk(va, 1u8)),
        (0..2).any(|_| b.mmu.store_in_watched_chunk(va, 1u8)),
    ]
}

fn bench_in(privilege: Privilege, v: bool, shape: Shape) -> Bench {
    let mut b = bench(shape);
    b.mmu.set_effective((privilege, v), (privilege, v));
    b
}

fn supervisor() -> Bench {
    bench_in(Privilege::S, false, Shape::default())
}

/// At two addresses the block, by an S-stage leaf of this level; the block has both in a leaf of 1 GiB.
fn large(level: u32, flags: u64) -> Bench {
    let mut b = supervisor();
    for va in [LARGE, LARGER] {
        b.t.map(b.root, va, level, pte(BLOCK, flags));
        goes_to(&mut b.mmu, va, LOAD).unwrap();
    }
    b
}

/// The same with two stages, whose leaves have these levels.
fn guest(shape: Shape, vs_level: u32, g_level: u32) -> Bench {
    let mut b = bench_in(Privilege::S, true, shape);
    for (number, va) in [LARGE, LARGER].into_iter().enumerate() {
        let gpa = GUEST + ((number as u64) << 30);
        b.t.map_guest(b.g_root, gpa, g_level, pte(BLOCK, RWX | U));
        b.t.map(b.vs_root, va, vs_level, pte(gpa, RW));
        goes_to(&mut b.mmu, va, GUEST_LOAD).unwrap();
    }
    b
}

#[test]
fn a_chunk_serves_aligned_accesses_of_its_context_alone() {
    for level in [1, 2] {
        let mut b = large(level, RW);
        assert_eq!(serves(&mut b, LARGE + FAR), ALL);
        assert_eq!(serves(&mut b, LARGE + CHUNK), NOTHING);
        assert_eq!(serves(&mut b, LARGE - 1), NOTHING);
        b.ram.write(Pa(BLOCK + FAR + 8), 0x1122_3344_5566_7788u64).unwrap();
        for offset in 0..8u64 {
            let mut load = || b.mmu.load_in_chunk::<u64>(LARGE + FAR + 8 + offset);
            let value = load().or_else(load);
            assert_eq!(value, (offset == 0).then_some(0x1122_3344_5566_7788));
        }
        for mode in [(Privilege::U, false), (Privilege::S, true), (Privilege::M, false)] {
            b.mmu.set_effective(mode, mode);
            assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
        }
        b.mmu.set_effective((Privilege::S, false), (Privilege::S, false));
        set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, 2, b.root));
        assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
        set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, 1, b.root));
        assert_eq!(serves(&mut b, LARGE + FAR), ALL);
    }
    let mut small = supervisor();
    small.map(LARGE, BLOCK, RW);
    goes_to(&mut small.mmu, LARGE, STORE).unwrap();
    assert_eq!(serves(&mut small, LARGE), NOTHING);
}

// norm: nw:ad_update
#[test]
fn a_chunk_permits_what_its_leaf_does() {
    let mut b = large(1, V | R | A);
    assert_eq!(serves(&mut b, LARGE + FAR), READ_ONLY);
    assert_eq!(b.mmu.recall(Va(LARGE + FAR), STORE), None);
    assert!(goes_to(&mut b.mmu, LARGE, STORE).is_err());
    assert_eq!(serves(&mut b, LARGE + FAR), READ_ONLY);
    let mut b = large(1, V | R | W | A);
    assert_eq!(serves(&mut b, LARGE + FAR), READ_ONLY, "D is clear");
    assert_eq!(b.mmu.recall(Va(LARGE + FAR), STORE), None);
    set(&mut b.mmu, |csrs| csrs.adue = true);
    goes_to(&mut b.mmu, LARGE, STORE).unwrap();
    assert_eq!(serves(&mut b, LARGE + FAR), ALL);
    // What may only be executed may be read where MXR says so, which is a context of its own.
    let mut b = supervisor();
    b.t.map(b.root, LARGE, 1, pte(BLOCK, V | X | A));
    assert!(goes_to(&mut b.mmu, LARGE, LOAD).is_err());
    set(&mut b.mmu, |csrs| csrs.mxr = true);
    goes_to(&mut b.mmu, LARGE, LOAD).unwrap();
    assert_eq!(serves(&mut b, LARGE + FAR), READ_ONLY);
    set(&mut b.mmu, |csrs| csrs.mxr = false);
    assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
}

// norm: sfence_vma_asid_only
#[test]
fn every_sfence_that_names_a_chunk_withdraws_it() {
    for level in [1, 2] {
        let other = LARGER + (CHUNK << 1);
        for (fence, left) in [
            (Fence::Sfence { va: None, asid: None }, [NOTHING; 2]),
            (Fence::Sfence { va: None, asid: Some(1) }, [NOTHING; 2]),
            (Fence::Sfence { va: Some(Va(LARGE + 0x5000)), asid: None }, [NOTHING, ALL]),
            (Fence::Sfence { va: Some(Va(LARGE + 0x5000)), asid: Some(1) }, [NOTHING, ALL]),
            (Fence::Sfence { va: Some(Va(LARGER)), asid: None }, [ALL, NOTHING]),
            (Fence::Sfence { va: Some(Va(LARGE)), asid: Some(2) }, [ALL; 2]),
            (Fence::Sfence { va: None, asid: Some(2) }, [ALL; 2]),
            (Fence::Vvma { va: None, asid: None, vmid: 1 }, [ALL; 2]),
            (Fence::Gvma { gpa: None, vmid: None }, [ALL; 2]),
        ] {
            let mut b = large(level, RW);
            b.mmu.fence(fence);
            let served = [LARGE, LARGER].map(|va| serves(&mut b, va + FAR));
            assert_eq!(served, left, "{level} {fence:?}");
            assert_eq!(serves(&mut b, other), NOTHING);
        }
    }
}

// norm: sfence_vma_asid_only
#[test]
fn a_chunk_that_is_global_goes_with_its_leaf_in_every_address_space() {
    for (fence, stays) in [
        (Fence::Sfence { va: None, asid: Some(1) }, true),
        (Fence::Sfence { va: None, asid: Some(2) }, true),
        (Fence::Sfence { va: None, asid: None }, false),
        (Fence::Sfence { va: Some(Va(LARGE + 0x5000)), asid: None }, false),
    ] {
        let mut b = large(1, RW | G);
        assert_eq!(serves(&mut b, LARGE + FAR), NOTHING, "found under its own number");
        for asid in [1, 2, 1] {
            set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, asid, b.root));
            assert!(b.mmu.recall(Va(LARGE), LOAD).is_some());
            assert_eq!(serves(&mut b, LARGE + FAR), ALL);
        }
        b.mmu.fence(fence);
        for asid in [1, 2] {
            set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, asid, b.root));
            assert_eq!(b.mmu.recall(Va(LARGE), LOAD).is_some(), stays, "{fence:?}");
            let served = serves(&mut b, LARGE + FAR);
            assert_eq!(served, if stays { ALL } else { NOTHING }, "{fence:?}");
        }
    }
}

// norm: hfence-vvma_mode, hfence-gvma_op, hgatp_vmid
#[test]
fn every_hfence_that_names_a_chunk_of_a_guest_withdraws_it() {
    let gpa = |gpa: u64| Some(Gpa(gpa));
    for shape in [Shape::default(), Shape::adversarial()] {
        for (vs_level, g_level) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            for (fence, left) in [
                (Fence::Vvma { va: None, asid: None, vmid: 1 }, [NOTHING; 2]),
                (Fence::Vvma { va: None, asid: Some(1), vmid: 1 }, [NOTHING; 2]),
                (Fence::Vvma { va: Some(Va(LARGE + 0x5000)), asid: None, vmid: 1 }, [NOTHING, ALL]),
                (Fence::Vvma { va: Some(Va(LARGER)), asid: Some(1), vmid: 1 }, [ALL, NOTHING]),
                (Fence::Vvma { va: Some(Va(LARGE)), asid: Some(2), vmid: 1 }, [ALL; 2]),
                (Fence::Vvma { va: None, asid: None, vmid: 2 }, [ALL; 2]),
                (Fence::Gvma { gpa: None, vmid: None }, [NOTHING; 2]),
                (Fence::Gvma { gpa: None, vmid: Some(1) }, [NOTHING; 2]),
                (Fence::Gvma { gpa: None, vmid: Some(2) }, [ALL; 2]),
                (Fence::Sfence { va: None, asid: None }, [ALL; 2]),
            ] {
                let mut b = guest(shape.clone(), vs_level, g_level);
                b.mmu.fence(fence);
                let served = [LARGE, LARGER].map(|va| serves(&mut b, va + FAR));
                assert_eq!(served, left, "{vs_level} {g_level} {fence:?}");
            }
            // A fence of one guest physical page may withdraw more than it names.
            for vmid in [None, Some(1)] {
                let mut b = guest(shape.clone(), vs_level, g_level);
                b.mmu.fence(Fence::Gvma { gpa: gpa(GUEST + 0x5000), vmid });
                assert_eq!(serves(&mut b, LARGE + FAR), NOTHING, "{vs_level} {g_level} {vmid:?}");
            }
        }
        for (vs_level, g_level) in [(0, 0), (0, 1), (1, 0)] {
            let mut b = guest(shape.clone(), vs_level, g_level);
            assert_eq!(serves(&mut b, LARGE), NOTHING, "{vs_level} {g_level}");
        }
    }
}

// norm: hgatp_vmid
#[test]
fn a_chunk_of_a_guest_serves_its_vmid_and_asid_alone() {
    let mut b = guest(Shape::default(), 1, 1);
    let (vs, g) = (b.vs_root, b.g_root);
    for (asid, vmid, expected) in [(1, 1, ALL), (2, 1, NOTHING), (1, 2, NOTHING), (1, 1, ALL)] {
        set(&mut b.mmu, |csrs| {
            csrs.vsatp = atp(SV39, asid, vs);
            csrs.hgatp = atp(SV39, vmid, g);
        });
        assert_eq!(serves(&mut b, LARGE + FAR), expected, "{asid} {vmid}");
    }
    set(&mut b.mmu, |csrs| csrs.vsatp = 0);
    assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
    assert_eq!(serves(&mut b, GUEST + FAR), NOTHING);
}

/// There are fewer context numbers than address spaces, and a number that is given out again finds nothing of its first owner.
#[test]
fn no_address_space_is_served_by_the_chunk_of_another_one() {
    let mut b = supervisor();
    let roots = [b.root, b.t.table(1)];
    for (number, &root) in roots.iter().enumerate() {
        b.t.map(root, LARGE, 1, pte(BLOCK + number as u64 * CHUNK, RW));
    }
    for asid in 1..1200u64 {
        let which = asid % 2;
        set(&mut b.mmu, |csrs| csrs.satp = atp(SV39, asid, roots[which as usize]));
        assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
        goes_to(&mut b.mmu, LARGE, STORE).unwrap();
        b.ram.write(Pa(BLOCK + which * CHUNK + FAR), asid).unwrap();
        let mut load = || b.mmu.load_in_chunk::<u64>(LARGE + FAR);
        assert_eq!(load().or_else(load), Some(asid));
    }
}

#[test]
fn nobody_writes_to_a_chunk_past_one_who_watches_a_page_of_it() {
    for class in [PageClass::Code, PageClass::Table] {
        let watches: [&[u64]; 3] = [&[FAR], &[0], &[CHUNK - PAGE, FAR]];
        for watched in watches {
            let mut b = large(1, RW);
            b.t.map(b.root, LARGE + 8 * CHUNK, 1, pte(BLOCK + CHUNK, RW));
            goes_to(&mut b.mmu, LARGE + 8 * CHUNK, LOAD).unwrap();
            for &page in watched {
                b.ram.watch(Pa(BLOCK + page), class);
            }
            b.mmu.sync_page_events();
            for va in [LARGE, LARGER] {
                assert_eq!(serves(&mut b, va + 0x5000), LOOKING);
                for &page in watched {
                    assert_eq!(serves(&mut b, va + page), READ_ONLY, "it is watched");
                }
            }
            assert_eq!(serves(&mut b, LARGE + 8 * CHUNK + watched[0]), ALL, "another chunk");
            // A walk later on, under this address or another, changes nothing of that.
            b.t.map(b.root, LARGE + 4 * CHUNK, 1, pte(BLOCK, RW));
            for va in [LARGE, LARGE + 4 * CHUNK] {
                goes_to(&mut b.mmu, va + 0x5000, STORE).unwrap();
                assert_eq!(serves(&mut b, va + watched[0]), READ_ONLY);
                assert_eq!(serves(&mut b, va + 0x5000), LOOKING);
            }
        }
    }
}

#[test]
fn many_pages_that_are_watched_at_once_are_all_seen() {
    for pages in [1, 31, 32, 33, 100, 2000] {
        let mut b = large(1, RW);
        for page in 0..pages {
            b.ram.watch(Pa(BLOCK + page % 512 * PAGE), PageClass::Code);
            b.ram.unwatch(Pa(BLOCK + page % 512 * PAGE), PageClass::Code);
        }
        b.ram.watch(Pa(BLOCK + FAR), PageClass::Code);
        b.mmu.sync_page_events();
        assert_eq!(serves(&mut b, LARGE + FAR), READ_ONLY, "{pages}");
    }
}

/// A page that is written while it is watched for its code is watched no more: then a chunk lets it be written again.
#[test]
fn a_chunk_is_written_again_once_nobody_watches() {
    let mut b = large(1, RW);
    b.ram.watch(Pa(BLOCK + FAR), PageClass::Code);
    b.mmu.sync_page_events();
    b.ram.write(Pa(BLOCK + FAR), 1u8).unwrap();
    assert_eq!(serves(&mut b, LARGE + FAR), LOOKING);
    goes_to(&mut b.mmu, LARGE + FAR, STORE).unwrap();
    assert_eq!(serves(&mut b, LARGE + FAR), ALL);
}

#[test]
fn a_debugger_that_watches_bytes_sees_every_access() {
    let mut b = large(1, RW);
    let start = Va(LARGE + FAR + 8);
    b.mmu.watch(&[WatchedRange { start, bytes: 8, loads: true, stores: true }]);
    assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
    goes_to(&mut b.mmu, LARGE, STORE).unwrap();
    assert_eq!(serves(&mut b, LARGE + FAR), NOTHING);
    b.mmu.watch(&[]);
    goes_to(&mut b.mmu, LARGE, STORE).unwrap();
    assert_eq!(serves(&mut b, LARGE + FAR), ALL);
}

// norm: pmp_sfence_required
#[test]
fn a_chunk_goes_when_pmp_is_written_and_obeys_it() {
    let ram = ram(PAGES);
    let config = MmuConfig::new(&all_exts(), 16, 14, 16, Shape::default());
    let mut b = bench_of(mmu::Mmu::new(config, ram.clone(), Arc::new(Default::default())), &ram);
    let mode = (Privilege::S, false);
    b.mmu.set_effective(mode, mode);
    b.t.map(b.root, LARGE, 1, pte(BLOCK, RW));
    let with = |b: &mut Bench, entries: &[(u64, u8)], access: Access| {
        for (number, &(address, config)) in entries.iter().enumerate() {
            b.mmu.pmp.write_addr(number, address);
            b.mmu.pmp.write_cfg(number, config);
        }
        b.mmu.pmp_changed();
        assert_eq!(serves(b, LARGE + FAR), NOTHING);
        goes_to(&mut b.mmu, LARGE, access).unwrap();
        serves(b, LARGE + FAR)
    };
    // NAPOT regions: all may be done with everything; it may be read; a page of it alone may only be read.
    assert_eq!(with(&mut b, &[(u64::MAX, 0x1f)], STORE), ALL);
    assert_eq!(with(&mut b, &[(u64::MAX, 0x19)], LOAD), READ_ONLY);
    let page = (BLOCK + FAR) >> 2 | 0x1ff;
    assert_eq!(with(&mut b, &[(page, 0x19), (u64::MAX, 0x1f)], STORE), NOTHING);
}
