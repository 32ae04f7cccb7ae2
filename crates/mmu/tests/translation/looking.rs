//! What a debugger sees: the walk and what it made of each PTE, what is mapped whatever the rights, and watched
//! pages kept from the native TLB.

use isa::{Pa, Privilege, Va};
use mmu::{
    Extent, Mapped, Reason, Right, Shape, StageName, Tables as Which, Target, Terms, Verdict,
    WalkStep, WatchedRange,
};

use crate::naive::RAM_BASE;
use crate::rig::*;

#[test]
fn looking_is_denied_by_no_leaf_and_sets_nothing() {
    let mut b = bench(Shape::default());
    // For U-mode, execute-only, never accessed; and nothing but V, R and W at V=1.
    let leaf = b.map(VA, DATA, V | X | U);
    b.map_vs(VA, GPA, V | R | W);
    b.map_g(GPA, OTHER, V | X);
    let at = |v, privilege| b.mmu.locate(Va(VA + 5), privilege, v).map(|found| found.target);
    assert_eq!(at(false, Privilege::S), Ok(Target::Ram { pa: Pa(DATA + 5) }));
    assert_eq!(at(true, Privilege::U), Ok(Target::Ram { pa: Pa(OTHER + 5) }));
    assert_eq!(b.ram.read::<u64>(Pa(leaf)), Some(pte(DATA, V | X | U)));
    let nowhere = b.mmu.locate(Va(VA + PAGE), Privilege::S, false);
    assert_eq!(nowhere.map_err(|fault| fault.why().reason), Err(Reason::Invalid));
    let beyond = b.mmu.locate(Va(0x1000), Privilege::M, false);
    assert_eq!(beyond.map_err(|fault| fault.why().reason), Err(Reason::Pma));
}

/// One page at each stage, and what each stage goes by: the VS-stage by `vsstatus`, the G-stage by
/// `mstatus.MXR` alone, and by none of it for a PTE of the VS-stage.
#[test]
fn each_pte_is_judged_by_the_terms_of_its_stage() {
    let mut b = bench(Shape::none());
    b.map_vs(VA, GPA, RW);
    b.map_g(GPA, OTHER, V | X | U | A);
    set(&mut b.mmu, |csrs| (csrs.mxr, csrs.vs_sum) = (true, true));
    let record = b.mmu.explain(Va(VA + 8), GUEST_LOAD);
    let judged: Vec<_> = record
        .steps
        .iter()
        .filter_map(|step| match step {
            WalkStep::Judged(judgement) => Some(*judgement),
            _ => None,
        })
        .collect();
    // As many as PTEs were read.
    assert_eq!(judged.len(), 15);
    let vs = Terms {
        right: Right::Load,
        privilege: Privilege::S,
        sum: true,
        mxr: true,
        updates_ad: false,
    };
    let g = Terms { privilege: Privilege::U, sum: false, ..vs };
    let implicit = Terms { mxr: false, ..g };
    for (index, judgement) in judged.iter().enumerate() {
        let expected = match (index, index % 4) {
            (12.., _) => (StageName::G, g),
            (_, 3) => (StageName::Vs, vs),
            _ => (StageName::G, implicit),
        };
        assert_eq!((judgement.stage, judgement.terms), expected, "{index}");
    }
    assert_eq!(judged[11].verdict, Verdict::Leaf { out: GPA + 8, bits: 12 });
    assert_eq!(judged[14].verdict, Verdict::Leaf { out: OTHER + 8, bits: 12 });
    let root = judged[3];
    assert_eq!(root.verdict, Verdict::Pointer { table: root.value >> 10 << 12 });
    // A store is refused at the last of them.
    let steps = b.mmu.explain(Va(VA), GUEST_STORE).steps;
    let Some(WalkStep::Judged(last)) = steps.last() else { panic!("not judged") };
    assert_eq!(last.verdict, Verdict::Refused(Reason::NotWritable));
    assert_eq!(last.terms.right, Right::Store);
}

#[test]
fn a_guest_physical_address_is_explained_without_the_vs_stage() {
    let mut b = bench(Shape::none());
    b.map_g(GPA, OTHER, RW | U);
    let record = b.mmu.explain_gpa(isa::Gpa(GPA), GUEST_STORE);
    assert_eq!(record.outcome.map(|to| to.target), Ok(Target::Ram { pa: Pa(OTHER) }));
    assert!(record.steps.iter().all(|step| match step {
        WalkStep::Fetch(fetch) => fetch.stage == StageName::G,
        WalkStep::Judged(judgement) => judgement.stage == StageName::G,
        WalkStep::Update(_) => false,
    }));
}

#[test]
fn an_extent_is_what_one_pte_maps_or_leaves_open() {
    let mut b = bench(Shape::default());
    b.map_g(GPA, OTHER, V | R);
    let large = pte(RAM_BASE, V | R | W | U);
    b.t.map_guest(b.g_root, 0x4000_0000, 1, large);
    assert_eq!(b.mmu.width_of(Which::G), Some(41));
    let extent = |start, bits, mapped: Option<(u64, u64)>| {
        Some(Extent { start, bits, mapped: mapped.map(|(to, pte)| Mapped { to, pte }) })
    };
    for (input, expected) in [
        (GPA + 0x123, extent(GPA, 12, Some((OTHER, pte(OTHER, V | R))))),
        (GPA + PAGE, extent(GPA + PAGE, 12, None)),
        (0x4000_0000 + 0x12_3456, extent(0x4000_0000, 21, Some((RAM_BASE, large)))),
        (0x4020_0000, extent(0x4020_0000, 21, None)),
        (0x100_0000_0000, extent(0x100_0000_0000, 30, None)),
    ] {
        assert_eq!(b.mmu.extent(Which::G, input), expected, "{input:#x}");
    }
    // A table of the VS-stage that the G-stage does not map: what its PTE would span is open.
    b.map_vs(VA, GPA, V | R);
    assert_eq!(b.mmu.extent(Which::Vs, VA), extent(VA, 12, Some((GPA, pte(GPA, V | R)))));
    let pointer = b.t.slot(b.vs_root, 3, 9, VA, 1);
    b.t.store(pointer, pte(0x7_0000_0000, V));
    assert_eq!(b.mmu.extent(Which::Vs, VA), extent(VA, 12, None));
    set(&mut b.mmu, |csrs| csrs.satp = 0);
    assert_eq!((b.mmu.extent(Which::S, VA), b.mmu.width_of(Which::S)), (None, None));
}

#[test]
fn a_watched_page_is_not_served_natively_for_what_is_watched() {
    let mut b = bench(Shape::default());
    b.map(VA, DATA, RW);
    b.map(VA + PAGE, OTHER, RW);
    b.mmu.set_effective((Privilege::S, false), (Privilege::S, false));
    let served = |b: &mut Bench| {
        for va in [VA, VA + PAGE] {
            assert!(goes_to(&mut b.mmu, va, STORE).is_ok());
        }
        [VA, VA + PAGE].map(|va| (b.mmu.load::<u8>(va).is_some(), b.mmu.store(va, 0u8)))
    };
    assert_eq!(served(&mut b), [(true, true); 2]);
    let range = WatchedRange { start: Va(VA + 0xff8), bytes: 8, loads: true, stores: false };
    b.mmu.watch(&[range]);
    assert_eq!(b.mmu.load::<u8>(VA), None, "at once");
    // What may not be read has no line for writes either.
    assert_eq!(served(&mut b), [(false, false), (true, true)]);
    b.mmu.watch(&[WatchedRange { bytes: 9, loads: false, stores: true, ..range }]);
    assert_eq!(served(&mut b), [(true, false), (true, false)]);
    b.mmu.watch(&[]);
    assert_eq!(served(&mut b), [(true, true); 2]);
}
