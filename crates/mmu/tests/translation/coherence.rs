//! Software that fences as the manual asks sees no TLB: random changes of page tables, each with the narrowest fence
//! that is enough, and accesses in between.

use isa::{Gpa, Privilege, Va};
use mmu::{Access, Fence, Geometry, Kind, Mmu, Shape};
use proptest::prelude::*;

use crate::naive::RAM_BASE;
use crate::rig::*;

/// The pages of small mappings, from here on; at V=1 gpas of the same value.
const SMALL: u64 = 0x10_0000;
/// A 2 MiB mapping that is split and merged.
const LARGE: u64 = 0x4000_0000;
/// Mappings that all ASIDs share.
const GLOBAL: u64 = 0xffff_ffff_ff00_0000;
const COUNT: u64 = 6;

/// One thing that the software does.
#[derive(Clone, Debug)]
enum Step {
    /// Changes a leaf of the S-stage (`vm` 0) or VS-stage, and fences it by address.
    Leaf { vm: u64, asid: u64, page: u64, entry: u64 },
    /// The same in the part that all ASIDs share.
    GlobalLeaf { vm: u64, page: u64, entry: u64 },
    /// Changes a G-stage leaf.
    GuestLeaf { vm: u64, page: u64, entry: u64 },
    /// Makes the large mapping a leaf, with all fences that the end of its table needs, or 4 KiB pages, with one fence
    /// by address.
    Large { vm: u64, asid: u64, leaf: bool, at: u64 },
    /// The same at the G-stage.
    GuestLarge { vm: u64, leaf: bool, at: u64 },
    /// Accesses.
    Access { vm: u64, asid: u64, place: u64, offset: u64, access: Access },
    /// Changes what takes effect at once.
    Status { sum: bool, mxr: bool, vs_sum: bool, vs_mxr: bool },
}

fn entry() -> impl Strategy<Value = u64> {
    let flags = prop_oneof![
        4 => Just(RWX),
        2 => Just(RWX | U),
        1 => Just(V | R | A),
        1 => Just(V | R | W | A),
        1 => Just(V | X | A),
        1 => Just(0),
        1 => Just(V | R | W | X),
    ];
    (0..32u64, flags).prop_map(|(page, flags)| pte(RAM_BASE + page * PAGE, flags))
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Fetch), Just(Kind::Load), Just(Kind::Store)];
    let access = (0..3u64, 1..3u64, 0..4u64, 0..COUNT, kind, any::<bool>()).prop_map(
        |(vm, asid, place, offset, kind, user)| {
            let privilege = if user { Privilege::U } else { Privilege::S };
            Step::Access { vm, asid, place, offset, access: access(kind, privilege, vm != 0) }
        },
    );
    prop_oneof![
        3 => (0..3u64, 1..3u64, 0..COUNT, entry())
            .prop_map(|(vm, asid, page, entry)| Step::Leaf { vm, asid, page, entry }),
        2 => (0..3u64, 0..COUNT, entry())
            .prop_map(|(vm, page, entry)| Step::GlobalLeaf { vm, page, entry: entry | G }),
        3 => (1..3u64, 0..COUNT, entry())
            .prop_map(|(vm, page, entry)| Step::GuestLeaf { vm, page, entry: entry | U }),
        1 => (0..3u64, 1..3u64, any::<bool>(), 0..512u64)
            .prop_map(|(vm, asid, leaf, at)| Step::Large { vm, asid, leaf, at }),
        1 => (1..3u64, any::<bool>(), 0..512u64)
            .prop_map(|(vm, leaf, at)| Step::GuestLarge { vm, leaf, at }),
        1 => any::<[bool; 4]>()
            .prop_map(|[sum, mxr, vs_sum, vs_mxr]| Step::Status { sum, mxr, vs_sum, vs_mxr }),
        16 => access,
    ]
}

/// The software: it owns the tables and fences every hart.
struct Software {
    t: Tables,
    /// By `vm` (0 is the S-stage) and ASID - 1.
    roots: [[u64; 2]; 3],
    g_roots: [u64; 3],
    harts: Vec<Mmu>,
}

fn few(entries: u32) -> Geometry {
    Geometry::new(entries, 2).unwrap()
}

impl Software {
    fn new(adue: bool) -> Self {
        let ram = ram(PAGES);
        let tiny = Shape {
            s_stage: few(4),
            vs_stage: few(2),
            g_stage: few(4),
            combined: few(4),
            pointers: few(2),
            ..Shape::none()
        };
        let mut harts = Vec::new();
        for shape in [Shape::none(), Shape::default(), Shape::adversarial(), tiny] {
            let mut mmu = mmu(&ram, shape);
            set(&mut mmu, |csrs| (csrs.adue, csrs.vs_adue) = (adue, adue));
            harts.push(mmu);
        }
        let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
        let mut roots = [[0; 2]; 3];
        let mut g_roots = [0; 3];
        for vm in 0..3 {
            roots[vm] = [t.table(1), t.table(1)];
            // Both trees share the tables of the global part.
            let at = t.slot(roots[vm][0], 3, 9, GLOBAL, 2);
            t.slot(roots[vm][0], 3, 9, GLOBAL, 0);
            let shared = ram.read::<u64>(isa::Pa(at)).unwrap();
            let other = t.slot(roots[vm][1], 3, 9, GLOBAL, 2);
            t.store(other, shared);
            for page in 0..COUNT {
                t.map(roots[vm][0], GLOBAL + page * PAGE, 0, pte(SMALL + page * PAGE, RWX | G));
            }
            g_roots[vm] = t.table(4);
            // Tables have the same address in every space.
            t.map_guest(g_roots[vm], RAM_BASE, 2, pte(RAM_BASE, RWX | U));
        }
        Self { t, roots, g_roots, harts }
    }

    fn fence(&mut self, fence: Fence) {
        for hart in &mut self.harts {
            hart.fence(fence);
        }
    }

    /// A leaf of `vm` points to RAM at the S-stage, to gpas at the VS-stage.
    fn own(&self, vm: u64, entry: u64) -> u64 {
        let page = (entry >> 10).wrapping_sub(RAM_BASE >> 12) % COUNT;
        match vm {
            0 => entry,
            _ => pte(SMALL + page * PAGE, entry & 0x3ff),
        }
    }

    fn fence_leaf(&mut self, vm: u64, va: u64, asid: Option<u16>) {
        let va = Some(Va(va));
        self.fence(match vm {
            0 => Fence::Sfence { va, asid },
            _ => Fence::Vvma { va, asid, vmid: vm as u16 },
        });
    }

    fn fence_all(&mut self, vm: u64, asid: Option<u16>) {
        self.fence(match vm {
            0 => Fence::Sfence { va: None, asid },
            _ => Fence::Vvma { va: None, asid, vmid: vm as u16 },
        });
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Leaf { vm, asid, page, entry } => {
                let va = SMALL + page * PAGE;
                let entry = self.own(vm, entry);
                self.t.map(self.roots[vm as usize][asid as usize - 1], va, 0, entry);
                self.fence_leaf(vm, va, Some(asid as u16));
            }
            Step::GlobalLeaf { vm, page, entry } => {
                let va = GLOBAL + page * PAGE;
                let entry = self.own(vm, entry);
                self.t.map(self.roots[vm as usize][0], va, 0, entry);
                self.fence_leaf(vm, va, None);
            }
            Step::GuestLeaf { vm, page, entry } => {
                let gpa = SMALL + page * PAGE;
                self.t.map_guest(self.g_roots[vm as usize], gpa, 0, entry);
                self.fence(Fence::Gvma { gpa: Some(Gpa(gpa)), vmid: Some(vm as u16) });
            }
            Step::Large { vm, asid, leaf, at } => {
                let root = self.roots[vm as usize][asid as usize - 1];
                let slot = self.t.slot(root, 3, 9, LARGE, 1);
                let target = if vm == 0 { RAM_BASE } else { LARGE };
                if self.exchange_large(slot, leaf, pte(target, RWX)) {
                    match leaf {
                        true => self.fence_all(vm, Some(asid as u16)),
                        false => self.fence_leaf(vm, LARGE + at * PAGE, Some(asid as u16)),
                    }
                }
            }
            Step::GuestLarge { vm, leaf, at } => {
                let slot = self.t.slot(self.g_roots[vm as usize], 3, 11, LARGE, 1);
                if self.exchange_large(slot, leaf, pte(RAM_BASE, RWX | U)) {
                    let gpa = (!leaf).then_some(Gpa(LARGE + at * PAGE));
                    self.fence(Fence::Gvma { gpa, vmid: Some(vm as u16) });
                }
            }
            Step::Status { sum, mxr, vs_sum, vs_mxr } => {
                for hart in &mut self.harts {
                    set(hart, |csrs| {
                        (csrs.sum, csrs.mxr, csrs.vs_sum, csrs.vs_mxr) = (sum, mxr, vs_sum, vs_mxr);
                    });
                }
            }
            Step::Access { vm, asid, place, offset, access } => {
                let va = match place {
                    0 => SMALL + offset * PAGE,
                    1 => GLOBAL + offset * PAGE,
                    // Different places of the large page.
                    2 => LARGE + offset * 5 * PAGE,
                    _ => LARGE + offset * PAGE,
                };
                self.access(vm, asid, va, access);
            }
        }
    }

    /// Puts a leaf, or a table whose pages are in another order, into a slot; says whether anything was there.
    fn exchange_large(&mut self, slot: u64, leaf: bool, entry: u64) -> bool {
        let old = self.t.ram.read::<u64>(isa::Pa(slot)).unwrap();
        let was_leaf = old & R != 0;
        if old != 0 && was_leaf == leaf {
            return false;
        }
        if leaf {
            self.t.store(slot, entry);
        } else {
            let below = self.t.table(1);
            let (base, flags) = (entry >> 10 << 12, entry & 0x3ff);
            for page in 0..512 {
                self.t.store(below + 8 * page, pte(base + (page ^ 7) * PAGE, flags));
            }
            self.t.store(slot, pte(below, V));
        }
        old != 0
    }

    fn access(&mut self, vm: u64, asid: u64, va: u64, access: Access) {
        let root = self.roots[vm as usize][asid as usize - 1];
        let atp_value = atp(SV39, asid, root);
        let hgatp = if vm == 0 { 0 } else { atp(SV39, vm, self.g_roots[vm as usize]) };
        for hart in &mut self.harts {
            set(hart, |csrs| match vm {
                0 => csrs.satp = atp_value,
                _ => (csrs.vsatp, csrs.hgatp) = (atp_value, hgatp),
            });
            let mode = (access.privilege, access.v);
            hart.set_effective(mode, mode);
            let fresh = hart.explain(Va(va), access).outcome;
            let pa = fresh.as_ref().ok().map(|translated| translated.target.pa());
            let native = match access.kind {
                Kind::Fetch => hart.fetch_page(va),
                // Where a load hits is checked by value: each page is filled with its address.
                Kind::Load => hart.load::<u64>(va).map(isa::Pa),
                _ => hart.writable::<u64>(va),
            };
            assert!(native.is_none() || native == pa, "native {native:?}, memory {fresh:?}");
            let recalled = hart.recall(Va(va), access);
            assert!(
                recalled.is_none() || recalled == pa,
                "recalled {recalled:?}, memory {fresh:?}"
            );
            let kept = hart.translate(Va(va), access);
            assert_eq!(kept, fresh, "{va:#x} {access:?} {:?}", hart.shape());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    // norm: sfence_vma_asid_only, sfence_vma_va_all_asid, sfence_vma_va_asid, sfence_vma_asid_effect
    // norm: sfence_vma_sum_mxr_effect, hfence-vvma_mode, hfence-gvma_op, nw:cache_tag
    #[test]
    fn a_tlb_does_not_show_when_every_change_is_fenced(
        adue in any::<bool>(),
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut software = Software::new(adue);
        for page in 0..0x200 {
            let at = RAM_BASE + page * PAGE;
            software.t.store(at, at);
        }
        for step in steps {
            software.run(step);
        }
    }
}
