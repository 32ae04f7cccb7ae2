//! Each fence removes what it orders and, from the adversarial TLB, nothing else.

use std::collections::BTreeSet;

use isa::{Gpa, Privilege, Va};
use mmu::{Fence, Mmu, MmuConfig, PmaMap, Shape};

use crate::naive::RAM_BASE;
use crate::rig::*;

const OLD: u64 = RAM_BASE;
const NEW: u64 = RAM_BASE + 0x8000;
/// Superpages point here; OLD lies in it.
const OLD_2M: u64 = RAM_BASE;
const NEW_2M: u64 = RAM_BASE + 0x20_0000;

const A1: u64 = 0x10_0000;
const A2: u64 = 0x10_1000;
const GLOBAL: u64 = 0xffff_ffff_ff00_0000;
const SUPER: u64 = 0x4000_0000;
/// A guest physical address that the test remaps, one beside it, and two that stay.
const X1: u64 = 0x1000_0000;
const X2: u64 = 0x1000_1000;

/// One cached thing: how to access it, and the PTE that changes under it.
struct Item {
    name: &'static str,
    satp: u64,
    vsatp: u64,
    hgatp: u64,
    v: bool,
    va: u64,
    pte_at: u64,
    new: u64,
    before: u64,
    after: u64,
}

struct Workbench {
    mmu: Mmu,
    tables: Tables,
    items: Vec<Item>,
}

/// Everything mapped, cached and then changed in memory.
fn workbench(shape: Shape) -> Workbench {
    let ram = ram(PAGES);
    // Short tags, so that fences with more bits can be tried.
    let config = MmuConfig::new(&all_exts(), 4, 4, 0, shape);
    let mmu = Mmu::new(config, ram.clone(), std::sync::Arc::new(PmaMap::default()));
    let tables = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let mut bench = Workbench { mmu, tables, items: Vec::new() };
    bench.add_s_items();
    bench.add_guest_items();
    for i in 0..bench.items.len() {
        assert_eq!(bench.access(i), bench.items[i].before, "{}", bench.items[i].name);
    }
    for item in &bench.items {
        bench.tables.store(item.pte_at, item.new);
    }
    bench
}

impl Workbench {
    fn add_s_items(&mut self) {
        let t = &mut self.tables;
        let roots = [t.table(1), t.table(1)];
        let satp = |asid: u64| atp(SV39, asid, roots[asid as usize - 1]);
        let mut add = |name, asid, va, level, to: u64, becomes: u64, flags, at: u64| {
            let pte_at = t.map(roots[asid as usize - 1], va, level, pte(to, flags));
            let offset = at - va;
            self.items.push(Item {
                name,
                satp: satp(asid),
                vsatp: 0,
                hgatp: 0,
                v: false,
                va: at,
                pte_at,
                new: pte(becomes, flags),
                before: to + offset,
                after: becomes + offset,
            });
        };
        add("s1 a1", 1, A1, 0, OLD, NEW, RW, A1);
        add("s1 a2", 1, A2, 0, OLD, NEW, RW, A2);
        add("s2 a1", 2, A1, 0, OLD, NEW, RW, A1);
        add("s global", 1, GLOBAL, 0, OLD, NEW, RW | G, GLOBAL);
        add("s1 super", 1, SUPER, 1, OLD_2M, NEW_2M, RW, SUPER);
        add("s1 super+5", 1, SUPER, 1, OLD_2M, NEW_2M, RW, SUPER + 5 * PAGE);
    }

    fn add_guest_items(&mut self) {
        let t = &mut self.tables;
        let g_roots = [t.table(4), t.table(4)];
        let hgatp = |vm: u64| atp(SV39, vm, g_roots[vm as usize - 1]);
        // RAM is mapped one to one, so that VS-stage tables have equal gpa and pa.
        for root in g_roots {
            t.map_guest(root, RAM_BASE, 2, pte(RAM_BASE, RWX | U));
        }
        let mut vs_roots = Vec::new();
        for _ in 0..3 {
            vs_roots.push(t.table(1));
        }
        // VM 1 has ASIDs 1 and 2, VM 2 has ASID 1.
        let place = |vm: u64, asid: u64| if vm == 2 { 2 } else { asid as usize - 1 };
        let vsatp = |vm, asid| atp(SV39, asid, vs_roots[place(vm, asid)]);
        for (name, vm, asid, va, flags) in [
            ("v11 a1", 1, 1, A1, RW),
            ("v11 a2", 1, 1, A2, RW),
            ("v12 a1", 1, 2, A1, RW),
            ("v1 global", 1, 1, GLOBAL, RW | G),
            ("v21 a1", 2, 1, A1, RW),
        ] {
            let pte_at = t.map(vs_roots[place(vm, asid)], va, 0, pte(OLD, flags));
            self.items.push(Item {
                name,
                satp: 0,
                vsatp: vsatp(vm, asid),
                hgatp: hgatp(vm),
                v: true,
                va,
                pte_at,
                new: pte(NEW, flags),
                before: OLD,
                after: NEW,
            });
        }
        for (name, vm, gpa) in [("g1 x1", 1, X1), ("g1 x2", 1, X2), ("g2 x1", 2, X1)] {
            let pte_at = t.map_guest(g_roots[vm as usize - 1], gpa, 0, pte(OLD, RW | U));
            self.items.push(Item {
                name,
                satp: 0,
                vsatp: 0,
                hgatp: hgatp(vm),
                v: true,
                va: gpa,
                pte_at,
                new: pte(NEW, RW | U),
                before: OLD,
                after: NEW,
            });
        }
        // A VS-stage leaf that stays, over the G-stage leaf of X1 that changes.
        t.map(vs_roots[0], A1 + 8 * PAGE, 0, pte(X1, RW));
        let x1 = self.items.iter().find(|item| item.name == "g1 x1").unwrap().pte_at;
        self.items.push(Item {
            name: "v11 over x1",
            satp: 0,
            vsatp: vsatp(1, 1),
            hgatp: hgatp(1),
            v: true,
            va: A1 + 8 * PAGE,
            pte_at: x1,
            new: pte(NEW, RW | U),
            before: OLD,
            after: NEW,
        });
    }

    fn access(&mut self, i: usize) -> u64 {
        let item = &self.items[i];
        set(&mut self.mmu, |csrs| {
            (csrs.satp, csrs.vsatp, csrs.hgatp) = (item.satp, item.vsatp, item.hgatp);
        });
        let mode = (Privilege::S, item.v);
        self.mmu.set_effective(mode, mode);
        let native = self.mmu.writable::<u8>(item.va).map(|pa| pa.0);
        let slow = goes_to(&mut self.mmu, item.va, access(mmu::Kind::Store, mode.0, mode.1));
        let slow = slow.unwrap();
        assert!(native.is_none_or(|native| native == slow), "{}", item.name);
        slow
    }

    /// What shows the new PTE.
    fn changed(&mut self) -> BTreeSet<&'static str> {
        let mut changed = BTreeSet::new();
        for i in 0..self.items.len() {
            let now = self.access(i);
            let Item { name, before, after, .. } = self.items[i];
            assert!(now == before || now == after, "{name}: {now:#x}");
            if now == after {
                changed.insert(name);
            }
        }
        changed
    }
}

/// Each fence and what it orders.
fn rows() -> Vec<(Fence, Vec<&'static str>)> {
    let sfence = |va: Option<u64>, asid| Fence::Sfence { va: va.map(Va), asid };
    let vvma = |va: Option<u64>, asid, vmid| Fence::Vvma { va: va.map(Va), asid, vmid };
    let gvma = |gpa: Option<u64>, vmid| Fence::Gvma { gpa: gpa.map(Gpa), vmid };
    vec![
        (sfence(None, None), vec!["s1 a1", "s1 a2", "s2 a1", "s global", "s1 super", "s1 super+5"]),
        (sfence(None, Some(1)), vec!["s1 a1", "s1 a2", "s1 super", "s1 super+5"]),
        (sfence(None, Some(2)), vec!["s2 a1"]),
        (sfence(None, Some(3)), vec![]),
        // ASIDLEN is 4.
        (sfence(None, Some(0xfff2)), vec!["s2 a1"]),
        (sfence(Some(A1), None), vec!["s1 a1", "s2 a1"]),
        (sfence(Some(A1 + 0xfff), Some(1)), vec!["s1 a1"]),
        (sfence(Some(A2), Some(2)), vec![]),
        (sfence(Some(GLOBAL), None), vec!["s global"]),
        (sfence(Some(GLOBAL), Some(1)), vec![]),
        (sfence(Some(SUPER + 0x1f_f000), Some(1)), vec!["s1 super", "s1 super+5"]),
        // Not a valid virtual address of Sv39.
        (sfence(Some(A1 | 1 << 40), None), vec![]),
        (vvma(None, None, 1), vec!["v11 a1", "v11 a2", "v12 a1", "v1 global"]),
        (vvma(None, None, 2), vec!["v21 a1"]),
        (vvma(None, None, 3), vec![]),
        // VMIDLEN is 4.
        (vvma(None, None, 0x3ff2), vec!["v21 a1"]),
        (vvma(None, Some(1), 1), vec!["v11 a1", "v11 a2"]),
        (vvma(Some(A1), None, 1), vec!["v11 a1", "v12 a1"]),
        (vvma(Some(A1), Some(1), 1), vec!["v11 a1"]),
        (vvma(Some(A1), Some(1), 2), vec!["v21 a1"]),
        (vvma(Some(GLOBAL), None, 1), vec!["v1 global"]),
        (vvma(Some(GLOBAL), Some(1), 1), vec![]),
        (gvma(None, None), vec!["g1 x1", "g1 x2", "g2 x1", "v11 over x1"]),
        (gvma(None, Some(1)), vec!["g1 x1", "g1 x2", "v11 over x1"]),
        (gvma(None, Some(2)), vec!["g2 x1"]),
        (gvma(None, Some(0xfff2)), vec!["g2 x1"]),
        (gvma(Some(X1), None), vec!["g1 x1", "g2 x1", "v11 over x1"]),
        (gvma(Some(X1 + 0xffc), Some(1)), vec!["g1 x1", "v11 over x1"]),
        (gvma(Some(X2), Some(1)), vec!["g1 x2"]),
        (gvma(Some(1 << 60), None), vec![]),
    ]
}

// norm: sfence_vma_ordering_semantics, hgatp_op_hfence_gvma, satp_op_sfence_vma, nw:cache_step_2
/// Nothing but a fence makes a change show: not a write of `satp`, `vsatp` or `hgatp`, which `changed` does all
/// the time.
#[test]
fn without_a_fence_the_adversarial_tlb_shows_nothing_new() {
    assert_eq!(workbench(Shape::adversarial()).changed(), BTreeSet::new());
}

// norm: sfence_vma_all_asid_va, sfence_vma_asid_only, sfence_vma_va_all_asid, sfence_vma_va_asid
// norm: sfence_vma_invalid_va, sfence_vma_rs2_bits, sfence_vma_v0, hfence-vvma_mode, hfence-vvma_limits
// norm: hfence-vvma_asid, hfence-gvma_op, hfence-gvma_vmid, nw:hfence_gvma_combined, nw:hfence_gvma_vs_entries
#[test]
fn the_adversarial_tlb_loses_to_a_fence_exactly_what_it_orders() {
    for (fence, ordered) in rows() {
        let mut bench = workbench(Shape::adversarial());
        bench.mmu.fence(fence);
        assert_eq!(bench.changed(), ordered.into_iter().collect(), "{fence:?}");
    }
}

// norm: sfence_vma_all_asid_va, sfence_vma_asid_only, sfence_vma_va_all_asid, sfence_vma_va_asid, sfence_vma_rs2_bits
// norm: hfence-vvma_mode, hfence-gvma_op, hfence-gvma_vmid, nw:hfence_gvma_combined
#[test]
fn every_tlb_loses_to_a_fence_at_least_what_it_orders() {
    let two = mmu::Geometry::new(2, 2).unwrap();
    let tiny = Shape {
        s_stage: two,
        vs_stage: two,
        g_stage: two,
        combined: two,
        pointers: two,
        ..Shape::none()
    };
    for shape in [Shape::none(), Shape::default(), tiny] {
        for (fence, ordered) in rows() {
            let mut bench = workbench(shape.clone());
            bench.mmu.fence(fence);
            let changed = bench.changed();
            assert!(ordered.iter().all(|name| changed.contains(name)), "{fence:?}: {changed:?}");
        }
    }
}

#[test]
fn without_a_tlb_every_change_shows_at_once() {
    let mut bench = workbench(Shape::none());
    let all = bench.items.iter().map(|item| item.name).collect();
    assert_eq!(bench.changed(), all);
}

// norm: sfence_vma_va_all_asid, sfence_vma_va_asid, sfence_vma_asid_only
#[test]
fn a_fence_by_address_orders_no_pointers() {
    let ram = ram(PAGES);
    let mut mmu = mmu(&ram, Shape::adversarial());
    let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let root = t.table(1);
    t.map(root, A1, 0, pte(OLD, RW));
    t.map(root, A2, 0, pte(OLD, RW));
    set(&mut mmu, |csrs| csrs.satp = atp(SV39, 1, root));
    assert_eq!(goes_to(&mut mmu, A1, LOAD), Ok(OLD));
    // Another table in place of the last one.
    let other = t.table(1);
    let pointer = t.slot(root, 3, 9, A1, 1);
    t.store(pointer, pte(other, V));
    t.map(root, A1, 0, pte(NEW, RW));
    t.map(root, A2, 0, pte(NEW, RW));
    mmu.fence(Fence::Sfence { va: Some(Va(A1)), asid: Some(1) });
    mmu.fence(Fence::Sfence { va: Some(Va(A2)), asid: None });
    assert_eq!(goes_to(&mut mmu, A1, LOAD), Ok(OLD));
    assert_eq!(goes_to(&mut mmu, A2, LOAD), Ok(OLD));
    mmu.fence(Fence::Sfence { va: None, asid: Some(1) });
    assert_eq!(goes_to(&mut mmu, A1, LOAD), Ok(NEW));
    assert_eq!(goes_to(&mut mmu, A2, LOAD), Ok(NEW));
}

// norm: hfence-vvma_mode
/// Split without break-before-make: after one fence inside the old page, no piece of it is left anywhere in it.
#[test]
fn one_fence_inside_a_split_superpage_removes_all_of_it() {
    for shape in [Shape::default(), Shape::adversarial()] {
        let ram = ram(PAGES);
        let mut mmu = mmu(&ram, shape);
        let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
        let (g_root, vs_root) = (t.table(4), t.table(1));
        // A 2 MiB page of the VS-stage over 4 KiB pages of the G-stage.
        t.map_guest(g_root, RAM_BASE + 0x40_0000, 1, pte(RAM_BASE + 0x40_0000, RWX | U));
        for page in 0..16 {
            t.map_guest(g_root, SUPER + page * PAGE, 0, pte(OLD + page * PAGE, RW | U));
        }
        for page in 0..16 {
            t.map_guest(g_root, X1 + page * PAGE, 0, pte(NEW + page * PAGE, RW | U));
        }
        t.map(vs_root, SUPER, 1, pte(SUPER, RW));
        set(&mut mmu, |csrs| {
            csrs.vsatp = atp(SV39, 1, vs_root);
            csrs.hgatp = atp(SV39, 1, g_root);
        });
        let mode = (Privilege::S, true);
        mmu.set_effective(mode, mode);
        for page in 0..16 {
            assert_eq!(goes_to(&mut mmu, SUPER + page * PAGE, GUEST_STORE), Ok(OLD + page * PAGE));
        }
        let slot = t.slot(vs_root, 3, 9, SUPER, 1);
        let below = t.table(1);
        for page in 0..512 {
            t.store(below + 8 * page, pte(X1 + page * PAGE, RW));
        }
        t.store(slot, pte(below, V));
        mmu.fence(Fence::Vvma { va: Some(Va(SUPER + 3 * PAGE)), asid: None, vmid: 1 });
        for page in 0..16 {
            let va = SUPER + page * PAGE;
            assert_eq!(mmu.writable::<u64>(va), None);
            assert_eq!(mmu.recall(Va(va), GUEST_STORE), None);
            assert_eq!(goes_to(&mut mmu, va, GUEST_STORE), Ok(NEW + page * PAGE));
        }
    }
}

// norm: hfence-gvma_op, nw:hfence_gvma_combined
/// KVM splits a 2 MiB G-stage leaf and fences its first address only.
#[test]
fn one_fence_inside_a_split_guest_superpage_removes_all_of_it() {
    for shape in [Shape::default(), Shape::adversarial()] {
        let ram = ram(PAGES);
        let mut mmu = mmu(&ram, shape);
        let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
        let (g_root, vs_root) = (t.table(4), t.table(1));
        t.map_guest(g_root, RAM_BASE + 0x40_0000, 1, pte(RAM_BASE + 0x40_0000, RWX | U));
        t.map_guest(g_root, SUPER, 1, pte(OLD_2M, RW | U));
        for page in 0..16 {
            t.map(vs_root, A1 + page * PAGE, 0, pte(SUPER + page * PAGE, RW));
        }
        let slot = t.slot(g_root, 3, 11, SUPER, 1);
        let below = t.table(1);
        for page in 0..512 {
            t.store(below + 8 * page, pte(NEW_2M + page * PAGE, RW | U));
        }
        set(&mut mmu, |csrs| csrs.hgatp = atp(SV39, 1, g_root));
        let mode = (Privilege::S, true);
        mmu.set_effective(mode, mode);
        let check = |to: u64, mmu: &mut Mmu| {
            for page in 0..16 {
                set(mmu, |csrs| csrs.vsatp = BARE);
                let gpa = SUPER + page * PAGE;
                assert_eq!(goes_to(mmu, gpa, GUEST_STORE), Ok(to + page * PAGE));
                assert_eq!(mmu.writable::<u8>(gpa).map(|pa| pa.0), Some(to + page * PAGE));
                set(mmu, |csrs| csrs.vsatp = atp(SV39, 1, vs_root));
                assert_eq!(goes_to(mmu, A1 + page * PAGE, GUEST_STORE), Ok(to + page * PAGE));
            }
        };
        check(OLD_2M, &mut mmu);
        t.store(slot, pte(below, V));
        mmu.fence(Fence::Gvma { gpa: Some(Gpa(SUPER)), vmid: Some(1) });
        check(NEW_2M, &mut mmu);
    }
}

// norm: Svnapot_cache_entries, Svnapot_implicit_read_ppn_subst
/// One address of a NAPOT region need not remove the other pages, and the adversarial TLB keeps them.
#[test]
fn a_fence_takes_one_page_out_of_a_napot_region() {
    let ram = ram(PAGES);
    let mut mmu = mmu(&ram, Shape::adversarial());
    let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let root = t.table(1);
    let napot = |to: u64| pte(to | 0x8000, RW) | 1 << 63;
    let change = |t: &mut Tables, to| {
        for page in 0..16 {
            t.map(root, A1 + page * PAGE, 0, napot(to));
        }
    };
    change(&mut t, OLD);
    set(&mut mmu, |csrs| csrs.satp = atp(SV39, 1, root));
    for page in 0..16 {
        assert_eq!(goes_to(&mut mmu, A1 + page * PAGE, LOAD), Ok(OLD + page * PAGE));
    }
    let new = RAM_BASE + 0x1_0000;
    change(&mut t, new);
    mmu.fence(Fence::Sfence { va: Some(Va(A1 + 4 * PAGE)), asid: None });
    for page in 0..16 {
        let base = if page == 4 { new } else { OLD };
        assert_eq!(goes_to(&mut mmu, A1 + page * PAGE, LOAD), Ok(base + page * PAGE), "{page}");
    }
}

// norm: hfence-vvma_mode
/// SINVAL and HINVAL remove what their fence would, at the latest with SFENCE.INVAL.IR; the adversarial TLB, which may keep it
/// until then, does. Any other fence ends them as well.
// norm: Svinval_sinval_vma_invalidates_same_as_sfence_vma, Svinval_sfence_w_inval_orders_before_sinval_vma
// norm: Svinval_sequence_rs1_rs2, Svinval_sequence_reads_writes_after, Svinval_hinval_vvma_gvma, Svinval_hinval_gvma_uses_vmid
#[test]
fn an_invalidation_is_done_with_its_end() {
    for shape in [Shape::none(), Shape::default(), Shape::adversarial()] {
        for (fence, ordered) in rows() {
            let ordered: BTreeSet<_> = ordered.into_iter().collect();
            let mut bench = workbench(shape.clone());
            bench.mmu.invalidate(fence);
            bench.mmu.end_invalidations();
            assert!(ordered.is_subset(&bench.changed()), "{fence:?}");
            if shape.defer_inval {
                let mut bench = workbench(shape.clone());
                bench.mmu.invalidate(fence);
                assert_eq!(bench.changed(), BTreeSet::new(), "{fence:?}");
                bench.mmu.end_invalidations();
                assert_eq!(bench.changed(), ordered, "{fence:?}");
                let mut bench = workbench(shape.clone());
                bench.mmu.invalidate(fence);
                bench.mmu.fence(Fence::Gvma { gpa: Some(Gpa(1 << 60)), vmid: None });
                assert_eq!(bench.changed(), ordered, "{fence:?}");
            }
        }
    }
}

/// However many invalidations software makes before it ends them, each is done.
// norm: Svinval_sequence_rs1_rs2
#[test]
fn invalidations_without_an_end_do_not_pile_up() {
    let mut bench = workbench(Shape::adversarial());
    for page in 0..2000 {
        bench.mmu.invalidate(Fence::Gvma { gpa: Some(Gpa(X1 + page * PAGE)), vmid: Some(1) });
    }
    bench.mmu.end_invalidations();
    assert_eq!(bench.changed(), BTreeSet::from(["g1 x1", "g1 x2", "v11 over x1"]));
}

/// hgatp.MODE of a VMID changes: after HFENCE.GVMA with rs1 = x0 its guest goes by the new MODE alone, also to and from Bare.
// norm: hfence-gvma_mode, hgatp_mode_warl, nw:stage_off
#[test]
fn after_a_change_of_hgatp_mode_and_its_fence_only_the_new_mode_counts() {
    for shape in [Shape::none(), Shape::default(), Shape::adversarial()] {
        for vmid in [None, Some(1)] {
            let mut b = bench(shape.clone());
            b.map_vs(VA, DATA, RWX);
            let mode = (Privilege::S, true);
            b.mmu.set_effective(mode, mode);
            // Each MODE has tables of its own, and another page for the same gpa; the VS-stage's tables are where they were.
            let mut hgatps = vec![(0, DATA)];
            for levels in [3u32, 4, 5] {
                let root = b.t.table(4);
                for page in 0..0x40 {
                    let at = TABLES + page * PAGE;
                    let slot = b.t.slot(root, levels, 11, at, 0);
                    b.t.store(slot, pte(at, RWX | U));
                }
                let slot = b.t.slot(root, levels, 11, DATA, 0);
                let to = DATA + u64::from(levels) * PAGE;
                b.t.store(slot, pte(to, RWX | U));
                hgatps.push((atp(u64::from(levels) + 5, 1, root), to));
            }
            for &(from, before) in &hgatps {
                for &(to, after) in &hgatps {
                    for (hgatp, expected) in [(from, before), (to, after)] {
                        // Under Bare the VMID must be zero, and fenced as such.
                        set(&mut b.mmu, |csrs| csrs.hgatp = hgatp);
                        b.mmu.fence(Fence::Gvma { gpa: None, vmid });
                        b.mmu.fence(Fence::Vvma { va: None, asid: None, vmid: 0 });
                        for _ in 0..2 {
                            assert_eq!(goes_to(&mut b.mmu, VA, GUEST_STORE), Ok(expected));
                            let native = b.mmu.writable::<u8>(VA).map(|pa| pa.0);
                            assert!(native.is_none_or(|native| native == expected));
                        }
                    }
                }
            }
        }
    }
}

/// Two vCPUs of one virtual machine take turns on one hart, both with ASID 0, and nobody fences: a shape that tags
/// roots gets along, the adversarial one shows the defect.
#[test]
fn vcpus_that_share_an_asid_get_along_where_roots_are_tags() {
    for (shape, gets_along) in [(Shape::default(), true), (Shape::adversarial(), false)] {
        let mut b = bench(shape);
        let roots = [b.vs_root, b.t.table(1)];
        for (root, gpa, pa) in [(roots[0], GPA, DATA), (roots[1], GPA + PAGE, OTHER)] {
            b.t.map(root, VA, 0, pte(gpa, RW));
            b.map_g(gpa, pa, RW | U);
        }
        let mode = (Privilege::S, true);
        b.mmu.set_effective(mode, mode);
        let mut on = |vcpu: usize| {
            set(&mut b.mmu, |csrs| csrs.vsatp = atp(SV39, 0, roots[vcpu]));
            let native = b.mmu.writable::<u8>(VA).map(|pa| pa.0);
            let slow = goes_to(&mut b.mmu, VA, GUEST_STORE).unwrap();
            assert!(native.is_none_or(|native| native == slow));
            slow
        };
        let second = if gets_along { OTHER } else { DATA };
        assert_eq!([on(0), on(1), on(0), on(1)], [DATA, second, DATA, second]);
        b.mmu.fence(Fence::Vvma { va: None, asid: Some(0), vmid: 1 });
        assert_eq!(goes_to(&mut b.mmu, VA, GUEST_STORE), Ok(OTHER));
    }
}
