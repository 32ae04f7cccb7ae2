//! What Linux KVM asks of a TLB, one test a rule: it splits, protects and restores G-stage pages while guests run, with one
//! HFENCE.GVMA by address for a page of whatever size, and reuses VMIDs.

use isa::{Gpa, Pa, Privilege, Va};
use mmu::{Access, Fault, Fence, Geometry, ImplicitAccess, Reason, Shape};

use crate::naive::RAM_BASE;
use crate::rig::*;

const MEGA: u64 = 0x20_0000;
/// A 2 MiB page of the guest, and where it lies. The bench's tables are above it.
const BLOCK: u64 = 0x4000_0000;
const FRAME: u64 = RAM_BASE;
const OTHER_FRAME: u64 = RAM_BASE + MEGA;

/// Shapes that keep 4 KiB pieces of larger pages, and those that do not.
fn shapes() -> [(&'static str, Shape); 4] {
    let few = |entries| Geometry::new(entries, 4).unwrap();
    [
        ("default", Shape::default()),
        ("adversarial", Shape::adversarial()),
        // Combined entries alone: whatever is kept is keyed by guest virtual address.
        ("combined", Shape { combined: few(256), ..Shape::none() }),
        ("split", Shape { vs_stage: few(256), g_stage: few(256), ..Shape::none() }),
    ]
}

fn gvma(gpa: u64) -> Fence {
    Fence::Gvma { gpa: Some(Gpa(gpa)), vmid: Some(1) }
}

/// A guest whose VS-stage maps its first 64 pages by 4 KiB and the whole block by one leaf, at VA and at 2 × VA's gigabyte.
struct Guest {
    b: Bench,
    /// Where the G-stage's leaf for BLOCK is.
    slot: u64,
}

const SMALL: u64 = 0x10_0000;
const LARGE: u64 = 0x8000_0000;
const SHOWN: [u64; 6] = [0, 1, 5, 31, 62, 63];

fn guest(shape: Shape) -> Guest {
    let mut b = bench(shape);
    let slot = b.t.slot(b.g_root, 3, 11, BLOCK, 1);
    b.t.store(slot, pte(FRAME, RWX | U));
    for page in 0..64 {
        b.map_vs(SMALL + page * PAGE, BLOCK + page * PAGE, RWX);
    }
    let large = b.t.slot(b.vs_root, 3, 9, LARGE, 1);
    b.t.store(large, pte(BLOCK, RWX));
    b.mmu.set_effective((Privilege::S, true), (Privilege::S, true));
    Guest { b, slot }
}

impl Guest {
    /// Where each page shown goes, by each of the three ways to reach it: two VS-stage page sizes, and no VS-stage at all. They must
    /// agree, and so must the native TLB.
    fn goes(&mut self, access: Access) -> Vec<Result<u64, Reason>> {
        let vsatp = self.b.mmu.csrs().vsatp;
        SHOWN
            .iter()
            .map(|page| {
                let ways = [(vsatp, SMALL), (vsatp, LARGE), (0, BLOCK)];
                let [small, large, bare] = ways.map(|(atp, base)| {
                    set(&mut self.b.mmu, |csrs| csrs.vsatp = atp);
                    let va = base + page * PAGE;
                    let native = self.b.mmu.writable::<u64>(va).map(|pa| pa.0);
                    let slow = goes_to(&mut self.b.mmu, va, access);
                    assert!(native.is_none() || native == slow.ok(), "{va:#x}: {native:x?}");
                    slow.map_err(|fault| fault.why().reason)
                });
                set(&mut self.b.mmu, |csrs| csrs.vsatp = vsatp);
                assert!(small == large && large == bare, "{page}: {small:x?} {large:x?} {bare:x?}");
                small
            })
            .collect()
    }

    /// Puts a table in the block's place, with pages of `frame` and these rights.
    fn split(&mut self, frame: u64, flags: u64) -> u64 {
        let table = self.b.t.table(1);
        for page in 0..512 {
            self.b.t.store(table + 8 * page, pte(frame + page * PAGE, flags));
        }
        self.b.t.store(self.slot, pte(table, V));
        table
    }
}

fn all_at(frame: u64) -> Vec<Result<u64, Reason>> {
    SHOWN.iter().map(|page| Ok(frame + page * PAGE)).collect()
}

fn all_fail(reason: Reason) -> Vec<Result<u64, Reason>> {
    vec![Err(reason); SHOWN.len()]
}

/// Rule 1: a fence by address drops the leaf that covers it at whatever size, with every piece that was made of it.
// norm: hfence-gvma_op, nw:hfence_gvma_combined, H_vm_gpatrans
#[test]
fn one_fence_at_its_base_changes_all_of_a_large_page() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape);
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
        // Write protection, as dirty logging begins.
        guest.b.t.store(guest.slot, pte(FRAME, (RWX | U) & !W));
        guest.b.mmu.fence(gvma(BLOCK));
        assert_eq!(guest.goes(GUEST_STORE), all_fail(Reason::NotWritable), "{name}");
        assert_eq!(guest.goes(GUEST_LOAD), all_at(FRAME), "{name}");
        // Split at the first fault, all pages elsewhere to tell them apart; the fence names any address within.
        guest.split(OTHER_FRAME, RWX | U);
        guest.b.mmu.fence(gvma(BLOCK + 77 * PAGE + 0xffc));
        assert_eq!(guest.goes(GUEST_STORE), all_at(OTHER_FRAME), "{name}");
    }
}

/// The same for 1 GiB.
// norm: hfence-gvma_op
#[test]
fn one_fence_changes_all_of_a_gigabyte() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape);
        let slot = guest.b.t.slot(guest.b.g_root, 3, 11, BLOCK, 2);
        let table = guest.b.ram.read::<u64>(Pa(slot)).unwrap();
        // RAM is not a gigabyte, but its first page's frame begins one.
        guest.b.t.store(slot, pte(RAM_BASE, RWX | U));
        guest.b.mmu.fence(Fence::Gvma { gpa: None, vmid: Some(1) });
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
        guest.b.t.store(guest.slot, pte(OTHER_FRAME, RWX | U));
        guest.b.t.store(slot, table);
        guest.b.mmu.fence(gvma(BLOCK + 100 * MEGA));
        assert_eq!(guest.goes(GUEST_STORE), all_at(OTHER_FRAME), "{name}");
    }
}

/// Rule 2: entries that join both stages are found by the gpa within them, also at 512 fences in a row for one unmapped block, and
/// no other VMID's is touched.
// norm: nw:hfence_gvma_combined, hfence-gvma_vmid
#[test]
fn a_block_unmapped_page_by_page_is_gone_and_no_other_vmid_s() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape.clone());
        let table = guest.split(FRAME, RWX | U);
        guest.b.mmu.fence(gvma(BLOCK));
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
        let first = guest.b.mmu.csrs().hgatp;
        let second = first + (1 << 44);
        set(&mut guest.b.mmu, |csrs| csrs.hgatp = second);
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
        set(&mut guest.b.mmu, |csrs| csrs.hgatp = first);
        for page in 0..512 {
            guest.b.t.store(table + 8 * page, 0);
            guest.b.mmu.fence(gvma(BLOCK + page * PAGE));
        }
        assert_eq!(guest.goes(GUEST_LOAD), all_fail(Reason::Invalid), "{name}");
        // The other machine's tables are the same, and have not been fenced for it.
        if name == "adversarial" {
            set(&mut guest.b.mmu, |csrs| csrs.hgatp = second);
            assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME));
        }
    }
}

/// Rule 3: a right that was added shows without a fence, since a store that is denied by what is kept reads memory before it faults:
/// KVM does not fence where it finds the PTE as it should be.
// norm: sfence_vma_ordering_semantics, H_vm_gpapriv
#[test]
fn a_write_protected_page_that_was_opened_needs_no_fence() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape);
        let read_only = (RWX | U) & !W;
        guest.b.t.store(guest.slot, pte(FRAME, read_only));
        assert_eq!(guest.goes(GUEST_LOAD), all_at(FRAME), "{name}");
        assert_eq!(guest.goes(GUEST_STORE), all_fail(Reason::NotWritable), "{name}");
        guest.b.t.store(guest.slot, pte(FRAME, RWX | U));
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
        // So for a page that was not there, and for a table pointer.
        let mut guest = self::guest(Shape::adversarial());
        let (leaf, absent) = (guest.b.ram.read::<u64>(Pa(guest.slot)).unwrap(), 0);
        guest.b.t.store(guest.slot, absent);
        assert_eq!(guest.goes(GUEST_LOAD), all_fail(Reason::Invalid), "{name}");
        guest.b.t.store(guest.slot, leaf);
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
    }
}

/// Rule 4: a leaf becomes a table without being invalid in between; until the fence each page is where it was or where it is, never
/// anywhere else, and both may be in use side by side.
// norm: sfence_vma_ordering_semantics, nw:cache_step_2, hgatp_op_hfence_gvma
#[test]
fn until_the_fence_a_page_is_where_it_was_or_where_it_is() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape);
        // Half of the pages have been used.
        for page in [0, 5, 63] {
            goes_to(&mut guest.b.mmu, SMALL + page * PAGE, GUEST_STORE).unwrap();
        }
        guest.split(OTHER_FRAME, RWX | U);
        for page in 0..64 {
            let at = goes_to(&mut guest.b.mmu, SMALL + page * PAGE, GUEST_STORE).unwrap();
            let both = [FRAME, OTHER_FRAME].map(|frame| frame + page * PAGE);
            assert!(both.contains(&at), "{name} {page}: {at:#x}");
            if name == "adversarial" {
                // One G-stage leaf covers them all.
                assert_eq!(at, both[0], "{page}");
            }
        }
        guest.b.mmu.fence(gvma(BLOCK));
        assert_eq!(guest.goes(GUEST_STORE), all_at(OTHER_FRAME), "{name}");
    }
}

/// Rule 5: the G-stage wants U of every access, VS's too; write protection is W alone; and A, cleared when pages age, is set by the
/// hart with menvcfg.ADUE, else it is a guest-page fault that software answers without a fence.
// norm: H_vm_gpatrans, H_vm_gpapriv, menvcfg_adue_op, nw:ad_update, svade_access_ad_bit_clear
#[test]
fn an_aged_page_comes_back_by_hardware_or_by_a_fault() {
    for (name, shape) in shapes() {
        for adue in [false, true] {
            let mut guest = guest(shape.clone());
            set(&mut guest.b.mmu, |csrs| csrs.adue = adue);
            assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
            guest.b.t.store(guest.slot, pte(FRAME, (RWX | U) & !A));
            guest.b.mmu.fence(gvma(BLOCK));
            if adue {
                assert_eq!(guest.goes(GUEST_LOAD), all_at(FRAME), "{name}");
                let leaf = guest.b.ram.read::<u64>(Pa(guest.slot));
                assert_eq!(leaf, Some(pte(FRAME, RWX | U)), "{name}");
            } else {
                assert_eq!(guest.goes(GUEST_LOAD), all_fail(Reason::AccessedClear), "{name}");
                guest.b.t.store(guest.slot, pte(FRAME, RWX | U));
                assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
            }
            guest.b.t.store(guest.slot, pte(FRAME, RWX));
            guest.b.mmu.fence(gvma(BLOCK));
            assert_eq!(guest.goes(GUEST_LOAD), all_fail(Reason::NotUser), "{name}");
        }
    }
}

/// Rule 6: where the G-stage write-protects a page that holds a VS-stage table, setting A or D there is a guest-page fault of the
/// access, as an implicit write; reading the table is not.
// norm: H_vm_gpapriv, H_trap_xtinst_guestpage_rw, nw:walk_ad_access
#[test]
fn a_write_protected_table_is_read_and_not_updated() {
    for (name, shape) in shapes() {
        let mut b = bench(shape);
        set(&mut b.mmu, |csrs| (csrs.adue, csrs.vs_adue) = (true, true));
        b.map_g(GPA, DATA, RWX | U);
        let at = b.map_vs(VA, GPA, RW);
        let clear = b.map_vs(VA + PAGE, GPA, V | R | W);
        let clean = b.map_vs(VA + 2 * PAGE, GPA, V | R | W | A);
        b.map_g(at, at & !0xfff, (RWX | U) & !W);
        assert_eq!(goes_to(&mut b.mmu, VA, GUEST_STORE), Ok(DATA), "{name}");
        assert_eq!(goes_to(&mut b.mmu, VA + 2 * PAGE, GUEST_LOAD), Ok(DATA), "{name}");
        for (va, access, pte_at) in [
            (VA + PAGE, GUEST_LOAD, clear),
            (VA + PAGE, GUEST_STORE, clear),
            (VA + 2 * PAGE, GUEST_STORE, clean),
        ] {
            let fault = goes_to(&mut b.mmu, va, access).unwrap_err();
            let Fault::GuestPage { gpa, implicit, why } = fault else { panic!("{name}: {fault}") };
            assert_eq!((gpa, implicit), (Gpa(pte_at), Some(ImplicitAccess::Write)), "{name}");
            assert_eq!(why.reason, Reason::NotWritable, "{name}");
        }
        // KVM lets it be written; nobody fenced the VS-stage.
        b.map_g(at, at & !0xfff, RWX | U);
        b.mmu.fence(gvma(at));
        assert_eq!(goes_to(&mut b.mmu, VA + PAGE, GUEST_STORE), Ok(DATA), "{name}");
        assert_eq!(b.ram.read::<u64>(Pa(clear)), Some(pte(GPA, RW)), "{name}");
    }
}

/// Rule 7: a VMID that is given to another machine may name what is left of the first until HFENCE.GVMA x0, x0 and the VS-stage's
/// fence; after them nothing of it is left, whichever root was loaded when they ran.
// norm: hgatp_op_hfence_gvma, hfence-gvma_op, hfence-vvma_mode, hgatp_vmid, asid_hart_private
#[test]
fn a_vmid_that_is_used_again_is_fenced_first() {
    for (name, shape) in shapes() {
        for fence_first in [false, true] {
            let mut guest = guest(shape.clone());
            assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
            // The next machine: the same VS-stage tables at the same gpas, all its pages elsewhere.
            let g_root = guest.b.t.table(4);
            for page in 0..0x40 {
                let at = TABLES + page * PAGE;
                guest.b.t.map_guest(g_root, at, 0, pte(at, RWX | U));
            }
            let slot = guest.b.t.slot(g_root, 3, 11, BLOCK, 1);
            guest.b.t.store(slot, pte(OTHER_FRAME, RWX | U));
            let fences = |guest: &mut Guest| {
                guest.b.mmu.fence(Fence::Gvma { gpa: None, vmid: None });
                guest.b.mmu.fence(Fence::Vvma { va: None, asid: None, vmid: 1 });
            };
            if fence_first {
                fences(&mut guest);
            }
            set(&mut guest.b.mmu, |csrs| csrs.hgatp = atp(SV39, 1, g_root));
            if !fence_first {
                if name == "adversarial" {
                    assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "stale, and legal");
                }
                fences(&mut guest);
            }
            assert_eq!(guest.goes(GUEST_STORE), all_at(OTHER_FRAME), "{name} {fence_first}");
        }
    }
}

/// Rule 8: stores to page tables carry no fence of their own: a walk that sees a pointer sees what was stored in its table before.
// norm: Svvptc_explicit_stores_update_valid_bit, nw:walk_pointer
#[test]
fn a_table_that_is_linked_in_is_seen_with_its_content() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape);
        guest.b.t.store(guest.slot, 0);
        guest.b.mmu.fence(gvma(BLOCK));
        // The walk that faults has seen that there is nothing; it must not keep that.
        assert_eq!(guest.goes(GUEST_LOAD), all_fail(Reason::Invalid), "{name}");
        guest.split(OTHER_FRAME, RWX | U);
        assert_eq!(guest.goes(GUEST_STORE), all_at(OTHER_FRAME), "{name}");
    }
}

/// Around HFENCE.VVMA, KVM and OpenSBI write hgatp with MODE = Bare and a VMID: the fence is for that VMID, and the machine that
/// was in hgatp before is as it was when it comes back.
// norm: hfence-vvma_limits, hfence-vvma_mode, nw:hgatp_bare_nonzero
#[test]
fn a_vvma_fence_under_a_bare_hgatp_is_for_the_vmid_in_it() {
    for (name, shape) in shapes() {
        let mut guest = guest(shape);
        assert_eq!(guest.goes(GUEST_STORE), all_at(FRAME), "{name}");
        // Both page sizes of the VS-stage now point to the block's second half.
        for page in 0..64 {
            guest.b.map_vs(SMALL + page * PAGE, BLOCK + (page + 64) * PAGE, RWX);
        }
        let hgatp = guest.b.mmu.csrs().hgatp;
        for (vmid, done) in [(2, false), (1, true)] {
            set(&mut guest.b.mmu, |csrs| csrs.hgatp = vmid << 44);
            guest.b.mmu.fence(Fence::Vvma { va: None, asid: None, vmid: vmid as u16 });
            set(&mut guest.b.mmu, |csrs| csrs.hgatp = hgatp);
            let at = guest.b.mmu.translate(Va(SMALL), GUEST_STORE).unwrap().target.pa().0;
            if done {
                assert_eq!(at, FRAME + 64 * PAGE, "{name}");
            } else if name == "adversarial" {
                assert_eq!(at, FRAME);
            }
        }
    }
}
