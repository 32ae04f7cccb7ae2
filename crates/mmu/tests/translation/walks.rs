//! What a walk reads and writes, access by access: nothing but the PTEs of the address it is for, each once and whole.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use isa::{Pa, Privilege, Va};
use mmu::{
    Access, Fault, Fence, ImplicitAccess, Kind, Mmu, MmuConfig, Observer, PmaMap, PteFetch,
    PteUpdate, Ram, Reason, Shape, StageName, WalkStep,
};

use crate::naive::RAM_BASE;
use crate::rig::*;

/// The page that every mode maps, at each of whose levels the index is another.
const FAR: u64 = 1 << 30 | 2 << 21 | 3 << 12;
const FRAME: u64 = RAM_BASE;

/// An address for a tree of so many levels: FAR with indices 5 and 4 above, as far as there are levels.
fn far(levels: u32) -> u64 {
    FAR | if levels > 3 { 5 << 39 } else { 0 } | if levels > 4 { 4 << 48 } else { 0 }
}

/// One MMU with an address mapped through both stages, of so many levels each; 0 is Bare.
struct Double {
    mmu: Mmu,
    va: u64,
    /// The VS-stage's PTEs (gpas) and the G-stage's for the data (pas), from the root on.
    vs: Vec<u64>,
    g: Vec<u64>,
}

/// All tables lie in one 2 MiB page of RAM, which the G-stage maps to itself.
fn double(vs_levels: u32, g_levels: u32, shape: Shape) -> Double {
    let ram = ram(PAGES);
    let mut mmu = mmu(&ram, shape);
    let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let (vs_root, g_root) = (t.table(1), t.table(4));
    let va = match (vs_levels, g_levels) {
        (0, 0) => FRAME,
        (0, levels) | (levels, _) => far(levels),
    };
    let gpa = if vs_levels == 0 { va } else { far(g_levels) };
    let (mut vs, mut g) = (Vec::new(), Vec::new());
    if g_levels > 0 {
        g = (0..g_levels).rev().map(|level| t.slot(g_root, g_levels, 11, gpa, level)).collect();
        t.store(g[g.len() - 1], pte(FRAME, RWX | U));
        let slot = t.slot(g_root, g_levels, 11, TABLES, 1);
        t.store(slot, pte(TABLES, RWX | U));
    }
    if vs_levels > 0 {
        vs = (0..vs_levels).rev().map(|level| t.slot(vs_root, vs_levels, 9, va, level)).collect();
        let to = if g_levels > 0 { gpa } else { FRAME };
        t.store(vs[vs.len() - 1], pte(to, RWX));
    }
    let mode = |levels: u32| if levels == 0 { 0 } else { u64::from(levels) + 5 };
    set(&mut mmu, |csrs| {
        csrs.vsatp = if vs_levels > 0 { atp(mode(vs_levels), 1, vs_root) } else { 0 };
        csrs.hgatp = if g_levels > 0 { atp(mode(g_levels), 1, g_root) } else { 0 };
    });
    Double { mmu, va, vs, g }
}

/// Writes down what a walk reads.
#[derive(Default)]
struct Reads(Vec<(StageName, u64, bool)>);

impl Observer for Reads {
    type Stop = Infallible;

    fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<Infallible> {
        self.0.push((fetch.stage, fetch.at, fetch.implicit.is_some()));
        ControlFlow::Continue(())
    }
}

/// The manual's step 2 for each PTE of the VS-stage is a whole translation of the G-stage, and so is the result's. The tables'
/// own G-stage walk ends one level early, at the 2 MiB page.
// norm: H_vm_twostage, H_vm_gstagetrans, H_vm_gpatrans, Sv39_levels, Sv48_levels, Sv57_levels, Sv39_LEVELS, Sv48_LEVELS
// norm: Sv57_LEVELS, Sv39_PTESIZE, Sv48_PTESIZE, Sv57_PTESIZE, sfence_vma_implicit_access, nw:walk_root, nw:walk_pointer
// norm: nw:walk_pte_width, nw:stage_off, nw:speculation_active
#[test]
fn a_walk_reads_the_ptes_of_its_address_in_order_and_no_others() {
    for vs_levels in [0, 3, 4, 5] {
        for g_levels in [0, 3, 4, 5] {
            let mut b = double(vs_levels, g_levels, Shape::none());
            // What the G-stage reads for a table is told by its kind alone.
            let mut expected = Vec::new();
            for &at in &b.vs {
                let reads = (g_levels as usize).saturating_sub(1);
                expected.extend(std::iter::repeat_n(None, reads));
                expected.push(Some((StageName::Vs, at, false)));
            }
            expected.extend(b.g.iter().map(|&at| Some((StageName::G, at, false))));
            let mut reads = Reads::default();
            b.mmu.translate_observed(Va(b.va), GUEST_LOAD, &mut reads).unwrap();
            let what = format!("{vs_levels} over {g_levels}: {:x?}", reads.0);
            assert_eq!(reads.0.len(), expected.len(), "{what}");
            for (read, expected) in reads.0.iter().zip(expected) {
                match expected {
                    Some(expected) => assert_eq!(*read, expected, "{what}"),
                    None => assert!(matches!(read, (StageName::G, _, true)), "{what}"),
                }
            }
        }
    }
}

/// Sv39 over Sv39x4 with 4 KiB pages throughout: three PTEs for each of the VS-stage's three and for the data, and these three.
// norm: H_vm_gstagetrans, H_vm_twostage
#[test]
fn a_two_dimensional_walk_of_3_by_3_levels_reads_15_ptes() {
    let mut b = bench(Shape::none());
    b.map_vs(VA, GPA, RW);
    b.map_g(GPA, DATA, RW | U);
    let steps = b.mmu.explain(Va(VA), GUEST_LOAD).steps;
    let stages: String = steps
        .iter()
        .filter_map(|step| match step {
            WalkStep::Fetch(PteFetch { stage: StageName::G, .. }) => Some('g'),
            WalkStep::Fetch(_) => Some('v'),
            WalkStep::Update(_) => Some('u'),
            WalkStep::Judged(_) => None,
        })
        .collect();
    assert_eq!(stages, "gggvgggvgggvggg");
}

/// Changes memory the moment a PTE has been read.
struct Meddler<'a> {
    ram: &'a Ram,
    at: u64,
    /// What the PTE becomes, once.
    becomes: Option<u64>,
    updates: Vec<PteUpdate>,
}

impl Observer for Meddler<'_> {
    type Stop = Infallible;

    fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<Infallible> {
        if fetch.pa.0 == self.at
            && let Some(value) = self.becomes.take()
        {
            self.ram.write(Pa(self.at), value).unwrap();
        }
        ControlFlow::Continue(())
    }

    fn updated(&mut self, update: &PteUpdate) {
        self.updates.push(*update);
    }
}

/// A PTE that another hart changes between its check and its update is read and checked anew, at every stage: nothing is set in the
/// old one, and the new one decides.
// norm: nw:walk_ad_compare, nw:ad_atomic, nw:walk_pte_width
#[test]
fn an_update_of_a_pte_that_has_changed_begins_again() {
    const NO_AD: u64 = V | R | W;
    for changed in [StageName::S, StageName::Vs, StageName::G] {
        // The other hart: points it elsewhere; takes it away; takes W away; sets A and D itself.
        let outcomes: [(&str, u64, Result<u64, Reason>); 4] = [
            ("elsewhere", NO_AD, Ok(OTHER)),
            ("gone", 0, Err(Reason::Invalid)),
            ("read-only", V | R, Err(Reason::NotWritable)),
            ("set", NO_AD | A | D, Ok(DATA)),
        ];
        for (name, flags, outcome) in outcomes {
            let mut b = bench(Shape::default());
            set(&mut b.mmu, |csrs| (csrs.adue, csrs.vs_adue) = (true, true));
            let user = if changed == StageName::G { U } else { 0 };
            let s = b.map(VA, DATA, NO_AD);
            let vs = b.map_vs(VA, GPA, NO_AD);
            let g = b.map_g(GPA, DATA, NO_AD | U);
            b.map_g(GPA + PAGE, OTHER, RW | U);
            let (at, to, elsewhere, access) = match changed {
                StageName::S => (s, DATA, OTHER, STORE),
                StageName::Vs => (vs, GPA, GPA + PAGE, GUEST_STORE),
                StageName::G => (g, DATA, OTHER, GUEST_STORE),
            };
            let to = if name == "elsewhere" { elsewhere } else { to };
            let becomes = if flags == 0 { 0 } else { pte(to, flags | user) };
            let ram = Arc::clone(&b.ram);
            let mut meddler =
                Meddler { ram: &ram, at, becomes: Some(becomes), updates: Vec::new() };
            let got = b.mmu.translate_observed(Va(VA), access, &mut meddler);
            let got = match got {
                Ok(translated) => Ok(translated.target.pa().0),
                Err(mmu::Halt::Fault(fault)) => Err(fault.why().reason),
                Err(mmu::Halt::Stopped(never)) => match never {},
            };
            assert_eq!(got, outcome, "{changed} {name}");
            let kept = b.ram.read::<u64>(Pa(at)).unwrap();
            let set = if outcome.is_ok() { A | D } else { 0 };
            assert_eq!(kept, becomes | set, "{changed} {name}");
            assert!(
                meddler.updates.iter().all(|update| update.old == becomes || update.pa.0 != at)
            );
        }
    }
}

/// A failed update leaves its table where it is: a page table that moves in the meantime belongs to the next walk.
// norm: nw:walk_ad_compare
#[test]
fn the_update_goes_to_the_pte_that_was_checked() {
    let mut b = bench(Shape::adversarial());
    set(&mut b.mmu, |csrs| csrs.adue = true);
    let at = b.map(VA, DATA, V | R | W);
    let ram = Arc::clone(&b.ram);
    let other = b.t.table(1);
    let pointer = b.t.slot(b.root, 3, 9, VA, 1);
    // Another table with the same leaf takes its place while the leaf is in hand.
    ram.write(Pa(other + (VA >> 12 & 511) * 8), pte(OTHER, V | R | W)).unwrap();
    struct Mover<'a>(&'a Ram, u64, u64, u64);
    impl Observer for Mover<'_> {
        type Stop = Infallible;
        fn fetched(&mut self, fetch: &PteFetch) -> ControlFlow<Infallible> {
            if fetch.pa.0 == self.1 {
                self.0.write(Pa(self.2), self.3).unwrap();
            }
            ControlFlow::Continue(())
        }
    }
    let mut mover = Mover(&ram, at, pointer, pte(other, V));
    let got = b.mmu.translate_observed(Va(VA), STORE, &mut mover).unwrap();
    assert_eq!(got.target.pa().0, DATA);
    assert_eq!(b.ram.read::<u64>(Pa(at)).unwrap() & (A | D), A | D);
    b.mmu.fence(Fence::Sfence { va: None, asid: None });
    assert_eq!(goes_to(&mut b.mmu, VA, LOAD), Ok(OTHER));
}

/// Setting A or D writes the PTE: where PMP lets its page be read only, that is an access fault at that PTE, and it stays as it was.
// norm: nw:walk_ad_access, nw:ad_page_tables_in_memory, pmp_check_pagetable_access, H_pmp
#[test]
fn an_update_needs_pmp_to_let_the_pte_be_written() {
    for stage in [StageName::S, StageName::Vs, StageName::G] {
        for (flags, access) in [(V | R | W, LOAD), (V | R | W | A, STORE)] {
            let ram = ram(PAGES);
            let config = MmuConfig::new(&all_exts(), 16, 14, 16, Shape::default());
            let mut mmu = Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default()));
            let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
            let (root, g_root) = (t.table(1), t.table(4));
            let slot = match stage {
                StageName::G => t.slot(g_root, 3, 11, VA, 0),
                _ => t.slot(root, 3, 9, VA, 0),
            };
            let entry = pte(DATA, flags | if stage == StageName::G { U } else { 0 });
            t.store(slot, entry);
            set(&mut mmu, |csrs| {
                (csrs.adue, csrs.vs_adue) = (true, true);
                match stage {
                    StageName::S => csrs.satp = atp(SV39, 1, root),
                    StageName::Vs => csrs.vsatp = atp(SV39, 1, root),
                    StageName::G => csrs.hgatp = atp(SV39, 1, g_root),
                }
            });
            let access = Access { v: stage != StageName::S, ..access };
            mmu.pmp.write_addr(0, (slot & !0xfff) >> 2 | 0x1ff);
            mmu.pmp.write_addr(1, u64::MAX);
            mmu.pmp.write_cfg(1, 0x1f);
            // NAPOT with R alone, then with R and W.
            mmu.pmp.write_cfg(0, 0x19);
            mmu.pmp_changed();
            let fault = goes_to(&mut mmu, VA, access).unwrap_err();
            let Fault::Access { why } = fault else { panic!("{stage}: {fault}") };
            assert_eq!(
                (why.reason, why.pte.map(|pte| pte.at)),
                (Reason::Pmp, Some(slot)),
                "{stage}"
            );
            assert_eq!(ram.read::<u64>(Pa(slot)), Some(entry), "{stage}");
            mmu.pmp.write_cfg(0, 0x1b);
            mmu.pmp_changed();
            assert_eq!(goes_to(&mut mmu, VA, access), Ok(DATA), "{stage}");
        }
    }
}

/// Leaves of every level, at every stage: the address below the leaf is the access's own, and no bit of the PPN below it may be set.
// norm: Sv39_leaf_any_level, Sv48_leaf_any_level, Sv57_leaf_any_level, Sv39_page_sizes, Sv48_page_sizes, Sv57_page_sizes
// norm: Sv39_superpage_align, Sv48_superpage_align, Sv57_superpage_align, Sv39_superpage_align_fault
// norm: Sv48_superpage_align_fault, Sv57_superpage_align_fault, nw:walk_misaligned_superpage, nw:walk_output, H_vm_gpatrans
#[test]
fn a_leaf_of_any_level_maps_its_size_and_must_be_aligned_to_it() {
    for levels in [3, 4, 5] {
        for stage in [StageName::S, StageName::Vs, StageName::G] {
            for level in 0..levels {
                let ram = ram(PAGES);
                let mut mmu = mmu(&ram, Shape::default());
                let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
                let (root, g_root) = (t.table(1), t.table(4));
                let mode = u64::from(levels) + 5;
                let bits = 12 + 9 * level;
                let size = 1u64 << bits;
                // A page that holds the beginning of RAM, seen as the page that begins at `va`.
                let (frame, va) = (RAM_BASE & !(size - 1), size);
                let target = RAM_BASE + 0x12_3238 % size;
                let address = va + (target - frame);
                let guest = stage != StageName::S;
                let flags = if stage == StageName::G { RWX | U } else { RWX };
                let (root, root_bits) =
                    if stage == StageName::G { (g_root, 11) } else { (root, 9) };
                let slot = t.slot(root, levels, root_bits, va, level);
                set(&mut mmu, |csrs| {
                    (csrs.satp, csrs.vsatp, csrs.hgatp) = match stage {
                        StageName::S => (atp(mode, 1, root), 0, 0),
                        StageName::Vs => (0, atp(mode, 1, root), 0),
                        StageName::G => (0, 0, atp(mode, 1, root)),
                    };
                });
                let access = Access { v: guest, ..LOAD };
                t.store(slot, pte(frame, flags));
                let fence = |mmu: &mut Mmu| {
                    mmu.fence(Fence::Sfence { va: None, asid: None });
                    mmu.fence(Fence::Vvma { va: None, asid: None, vmid: 0 });
                    mmu.fence(Fence::Gvma { gpa: None, vmid: None });
                };
                fence(&mut mmu);
                assert_eq!(
                    goes_to(&mut mmu, address, access),
                    Ok(target),
                    "{stage} {levels} {level}"
                );
                for bit in 12..bits {
                    t.store(slot, pte(frame, flags) | 1 << (bit - 2));
                    fence(&mut mmu);
                    let fault = goes_to(&mut mmu, address, access).unwrap_err();
                    assert_eq!(
                        fault.why().reason,
                        Reason::MisalignedSuperpage,
                        "{stage} {levels} {level} bit {bit}"
                    );
                    assert_eq!(matches!(fault, Fault::GuestPage { .. }), stage == StageName::G);
                }
            }
        }
    }
}

/// The bits above the highest one that is translated must repeat it at S-stage and VS-stage, each of them.
// norm: Sv39_va_signext, Sv48_va_signext, Sv57_va_signext, Sv39_va_sz, Sv48_va_sz, Sv57_va_sz
#[test]
fn each_upper_bit_of_a_virtual_address_must_repeat_the_sign() {
    for (levels, width) in [(3u32, 39), (4, 48), (5, 57)] {
        for guest in [false, true] {
            let mut b = bench(Shape::adversarial());
            let root = b.root;
            let mode = u64::from(levels) + 5;
            set(&mut b.mmu, |csrs| {
                (csrs.satp, csrs.vsatp, csrs.hgatp) = (atp(mode, 1, root), atp(mode, 1, root), 0);
            });
            let access = Access { v: guest, ..LOAD };
            for sign in [0, u64::MAX << (width - 1)] {
                let va = sign ^ VA;
                let slot = b.t.slot(root, levels, 9, va, 0);
                b.t.store(slot, pte(DATA, RW));
                assert_eq!(goes_to(&mut b.mmu, va, access), Ok(DATA), "{va:#x}");
                for bit in width..64 {
                    assert_eq!(
                        b.reason(va ^ 1 << bit, access),
                        Reason::NonCanonical,
                        "{va:#x} {bit}"
                    );
                }
            }
        }
    }
}

/// A VS-stage PTE may point wherever 44 bits of PPN reach, and the G-stage is asked about exactly that address.
// norm: satp_ppn_sv39_sz, satp_ppn_sv48_sz, satp_ppn_sv57_sz, H_vm_gpapriv, hgatp_mode_sv57x4
#[test]
fn a_ppn_has_44_bits() {
    let highest = (1 << 44) - 1;
    for levels in [3u32, 4, 5] {
        let mut b = bench(Shape::none());
        let (root, g_root) = (b.vs_root, b.t.table(4));
        // The G-stage of five levels takes 59 bits.
        let slot = b.t.slot(g_root, 5, 11, TABLES, 1);
        b.t.store(slot, pte(TABLES, RWX | U));
        set(&mut b.mmu, |csrs| {
            csrs.vsatp = atp(u64::from(levels) + 5, 1, root);
            csrs.hgatp = atp(10, 1, g_root);
        });
        let slot = b.t.slot(root, levels, 9, VA, 0);
        b.t.store(slot, highest << 10 | RW);
        let fault = goes_to(&mut b.mmu, VA + 0x678, GUEST_LOAD).unwrap_err();
        assert!(
            matches!(fault, Fault::GuestPage { gpa, implicit: None, .. } if gpa.0 == highest << 12 | 0x678),
            "{fault}"
        );
        // As a root: the first PTE read lies there.
        set(&mut b.mmu, |csrs| csrs.vsatp = csrs.vsatp & !highest | highest);
        let fault = goes_to(&mut b.mmu, VA, GUEST_LOAD).unwrap_err();
        let index = VA >> (3 + 9 * levels) & 511;
        let at = (highest << 12) + index * 8;
        assert!(
            matches!(fault, Fault::GuestPage { gpa, implicit: Some(ImplicitAccess::Read), .. } if gpa.0 == at),
            "{fault}"
        );
    }
}

/// Each of the 512 PTEs of a table, and each of the 2048 of the G-stage's root, is an address of its own.
// norm: Sv39_pte_count, Sv39_pte_sz, Sv39_pt_sz, Sv39_pt_align, Sv39_vpn_sz, hgatp_mode_x4, hgatp_ppn_op
#[test]
fn a_table_has_512_ptes_and_the_guest_root_2048() {
    let ram = ram(PAGES);
    let config = MmuConfig::new(&all_exts(), 16, 14, 0, Shape::none());
    let mut mmu = Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default()));
    let mut t = Tables::new(&ram, TABLES, RAM_BASE + (PAGES << 12));
    let (g_root, last) = (t.table(4), t.table(1));
    let middle = t.table(1);
    t.store(middle, pte(last, V));
    for index in 0..512 {
        t.store(last + 8 * index, pte(RAM_BASE + (index << 12), RW | U));
    }
    set(&mut mmu, |csrs| csrs.hgatp = atp(SV39, 0, g_root));
    for root_index in 0..2048 {
        let slot = g_root + 8 * root_index;
        t.store(slot, pte(middle, V));
        for index in [0, 1, 255, 511] {
            let gpa = root_index << 30 | index << 12 | 0x10;
            let at = goes_to(&mut mmu, gpa, GUEST_LOAD);
            assert_eq!(at, Ok(RAM_BASE + (index << 12) + 0x10), "{gpa:#x}");
        }
        t.store(slot, 0);
    }
    let mode = access(Kind::Load, Privilege::U, true);
    assert!(goes_to(&mut mmu, 0, mode).is_err());
}
