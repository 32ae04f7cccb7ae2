//! The walker against the naive one, over random page tables: all modes, both stages, every PTE bit, PMP, A and D.

use std::collections::BTreeMap;
use std::sync::Arc;

use isa::{Ext, Pa, Privilege, Va};
use mmu::{
    Access, Fault, Geometry, ImplicitAccess, Kind, Mmu, MmuConfig, PmaMap, Ram, Shape,
    TranslationCsrs, WalkRecord,
};
use proptest::prelude::*;

use crate::naive::{Machine, Place, RAM_BASE, Trouble};
use crate::rig::all_exts;

const PAGES: u64 = 64;
/// The number of the first RAM page. Guest physical addresses are chosen there too, so that the same tables make
/// sense to every stage.
const FIRST: u64 = RAM_BASE >> 12;
/// The first page with tables of each level; the rest of RAM is full of odd PTEs.
const LEVEL_PAGES: [(u64, u64); 5] = [(16, 16), (12, 4), (8, 4), (4, 4), (0, 4)];

/// xorshift: the tables must be a function of one seed, and cheap.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick(&mut self, from: &[u64]) -> u64 {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A table page of a level.
fn table_page(dice: &mut Dice, level: usize) -> u64 {
    let (first, count) = LEVEL_PAGES[level];
    FIRST + first + dice.below(count)
}

/// A PTE that fits a table of `level`, but for about one in `odds`.
fn random_pte(dice: &mut Dice, odds: u64, level: Option<usize>, index: u64) -> u64 {
    // The G-stage needs U to reach the pages that hold tables.
    let leaf_flags = |dice: &mut Dice| {
        let mut flags = if dice.one_in(if index < 32 { odds } else { 3 }) { 0xcf } else { 0xdf };
        for bit in [1, 2, 2, 3, 6, 6, 7, 7] {
            if dice.one_in(odds) {
                flags &= !(1 << bit);
            }
        }
        flags
    };
    let roll = if dice.one_in(odds / 3) { 9 + dice.below(3) } else { dice.below(9) };
    match (level, roll) {
        (Some(level @ 1..), 0..=8) => table_page(dice, level - 1) << 10 | 1,
        (Some(1..), 9 | 10) => FIRST << 10 | leaf_flags(dice),
        (Some(0), 0..=6) => (FIRST + index % PAGES) << 10 | leaf_flags(dice),
        (Some(0), 7) => (FIRST + dice.below(PAGES)) << 10 | leaf_flags(dice),
        (Some(0), 8) => (FIRST + index % PAGES) << 10 | dice.below(4) << 61 | leaf_flags(dice),
        (Some(0), 9) => (FIRST + index % PAGES / 16 * 16 + 8) << 10 | 1 << 63 | leaf_flags(dice),
        (Some(0), 10) => (FIRST + dice.below(PAGES)) << 10 | leaf_flags(dice),
        _ => odd_pte(dice),
    }
}

/// A PTE that may be anything.
fn odd_pte(dice: &mut Dice) -> u64 {
    let page = if dice.one_in(8) { dice.below(1 << 44) } else { FIRST + dice.below(PAGES) };
    let mut pte = page << 10 | 1 | dice.below(256);
    if dice.one_in(6) {
        pte |= 1 << 63;
        if !dice.one_in(4) {
            pte = pte & !(0xf << 10) | 8 << 10;
        }
    }
    if dice.one_in(6) {
        pte |= dice.below(4) << 61;
    }
    if dice.one_in(6) {
        pte ^= 1 << dice.below(64);
    }
    pte
}

/// An address whose indices are filled in the tables.
fn random_address(dice: &mut Dice, levels: u64) -> u64 {
    let indices = match dice.below(8) {
        // Where RAM is, and so where the G-stage finds VS-stage tables.
        0..=5 => [0, 0, 2, 0, dice.below(PAGES)],
        6 => [(); 5].map(|()| dice.pick(&[0, 1, 2, 255, 256, 511])),
        _ => [(); 5].map(|()| dice.below(PAGES)),
    };
    let address = indices.iter().fold(0, |address, index| address << 9 | index) << 12;
    let unused = 64 - 12 - 9 * levels as u32;
    let extended = ((address << unused).cast_signed() >> unused).cast_unsigned();
    let flip = if dice.one_in(20) { 1 << (12 + 9 * levels + dice.below(5)) } else { 0 };
    (extended ^ flip) | dice.below(512) << 3
}

fn random_atp(dice: &mut Dice, guest: bool) -> u64 {
    let mode = dice.pick(&[0, 8, 8, 8, 9, 10]);
    if mode == 0 {
        return 0;
    }
    let (first, count) = LEVEL_PAGES[mode as usize - 6];
    let root = match dice.below(12) {
        0 => (FIRST + dice.below(PAGES)) & !3,
        _ if guest => FIRST + first,
        _ => FIRST + first + dice.below(count),
    };
    mode << 60 | dice.below(3) << 44 | root
}

struct World {
    ram: Arc<Ram>,
    naive: Machine,
    mmu: Mmu,
    /// Depths worth aiming at.
    levels: u64,
}

fn world(dice: &mut Dice, shape: Shape, may_have_napot: bool) -> World {
    let ram = Arc::new(Ram::new(Pa(RAM_BASE), PAGES << 12).unwrap());
    // Deep walks through both stages come to an end in orderly tables only.
    let odds = dice.pick(&[12, 12, 40, 200]);
    for page in 0..PAGES {
        let level =
            LEVEL_PAGES.iter().position(|&(first, count)| (first..first + count).contains(&page));
        for index in 0..512 {
            // Words that no walk should reach are all different.
            let word = match index {
                0..PAGES | 255 | 256 | 511 => random_pte(dice, odds, level, index),
                _ => page << 32 | index << 12,
            };
            ram.write(Pa(RAM_BASE + (page << 12) + index * 8), word).unwrap();
        }
    }
    let mut bool = || dice.one_in(2);
    let mut csrs = TranslationCsrs {
        mxr: bool(),
        sum: bool(),
        vs_mxr: bool(),
        vs_sum: bool(),
        adue: bool(),
        vs_adue: bool(),
        pbmte: bool(),
        vs_pbmte: bool(),
        ..TranslationCsrs::default()
    };
    csrs.satp = random_atp(dice, false);
    csrs.vsatp = random_atp(dice, false);
    csrs.hgatp = random_atp(dice, true);
    let mut exts = all_exts();
    let svnapot = may_have_napot && !dice.one_in(4);
    let [svpbmt, svadu] = [(); 2].map(|()| !dice.one_in(6));
    for (ext, has) in [(Ext::Svnapot, svnapot), (Ext::Svpbmt, svpbmt), (Ext::Svadu, svadu)] {
        if !has {
            exts.remove(ext);
        }
    }
    let config = MmuConfig::new(&exts, 16, 14, 16, shape);
    let mut mmu = Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default()));
    let mut pmp = Vec::new();
    if dice.one_in(3) {
        // One odd region before the rule that allows everything.
        let at = (RAM_BASE + dice.below(PAGES << 12)) >> 2;
        let cfg = [0x08, 0x10, 0x18][dice.below(3) as usize] | dice.pick(&[0, 1, 3, 4, 5, 7]) as u8;
        pmp.push((0, at));
        pmp.push((cfg, (at + dice.below(3) * 512) | dice.pick(&[0, 1, 3, 0x1ff])));
    }
    pmp.push((0x1f, (1 << 54) - 1));
    for (n, &(cfg, addr)) in pmp.iter().enumerate() {
        mmu.pmp.write_addr(n, addr);
        mmu.pmp.write_cfg(n, cfg);
    }
    mmu.pmp_changed();
    mmu.set_csrs(&csrs);
    let ram_words = words(&ram);
    let naive = Machine { ram: ram_words, csrs, pmp, svnapot, svpbmt, svadu };
    let levels = dice.pick(&[3, 3, 4, 5]);
    World { ram, naive, mmu, levels }
}

fn words(ram: &Ram) -> Vec<u64> {
    (0..PAGES * 512).map(|n| ram.read::<u64>(Pa(RAM_BASE + 8 * n)).unwrap()).collect()
}

fn random_access(dice: &mut Dice) -> Access {
    let kind = [Kind::Fetch, Kind::Load, Kind::Load, Kind::Store, Kind::Amo];
    let kind = kind[dice.below(5) as usize];
    let privilege = [Privilege::U, Privilege::S][dice.below(2) as usize];
    let v = !dice.one_in(3);
    let hlvx = v && kind == Kind::Load && dice.one_in(4);
    Access { kind, size: [1, 2, 4, 8][dice.below(4) as usize], privilege, v, hlvx }
}

fn as_trouble(fault: Fault) -> Trouble {
    match fault {
        Fault::Page { .. } => Trouble::Page,
        Fault::Access { .. } => Trouble::Access,
        Fault::GuestPage { gpa, implicit, .. } => Trouble::GuestPage {
            gpa: gpa.0,
            implicit: match implicit {
                None => "no",
                Some(ImplicitAccess::Read) => "read",
                Some(ImplicitAccess::Write) => "write",
            },
        },
    }
}

type Outcome = Result<Place, Trouble>;

fn outcome(result: Result<mmu::Translated, Fault>) -> Outcome {
    result
        .map(|translated| Place {
            pa: translated.target.pa().0,
            gpa: translated.gpa.map(|gpa| gpa.0),
            pbmt: translated.memory_type as u64,
        })
        .map_err(as_trouble)
}

/// One access on both sides; says how it ended.
fn compare(world: &mut World, va: u64, access: Access) -> Outcome {
    let before = world.naive.ram.clone();
    let WalkRecord { outcome: explained, .. } = world.mmu.explain(Va(va), access);
    assert!(words(&world.ram) == before, "an explanation wrote to memory");
    let what = |world: &World| {
        let csrs = world.mmu.csrs();
        format!("{va:#x} {access:?} {csrs:x?} {:x?}", world.mmu.explain(Va(va), access))
    };
    let native = native_hit(world, va, access);
    let expected = world.naive.translate(va, access);
    if let Some(native) = native {
        let Place { pa, .. } = expected.unwrap_or_else(|_| panic!("native hit: {}", what(world)));
        match native {
            Native::At(at) => assert_eq!(at, pa, "{}", what(world)),
            Native::Value(value) => {
                let word = world.naive.ram[((pa - RAM_BASE) / 8) as usize];
                assert_eq!(value, word, "{}", what(world));
            }
        }
        assert!(before == world.naive.ram, "native hit without A or D: {}", what(world));
    }
    let actual = outcome(world.mmu.translate(Va(va), access));
    assert_eq!(actual, expected, "{}", what(world));
    assert_eq!(outcome(explained), expected, "{}", what(world));
    assert!(words(&world.ram) == world.naive.ram, "A and D differ: {}", what(world));
    expected
}

/// What the native TLB says to an access.
enum Native {
    At(u64),
    Value(u64),
}

fn native_hit(world: &mut World, va: u64, access: Access) -> Option<Native> {
    let mode = (access.privilege, access.v);
    world.mmu.set_effective(mode, mode);
    if let Some(at) = world.mmu.recall(Va(va), access) {
        return Some(Native::At(at.0));
    }
    let mmu = &world.mmu;
    match access.kind {
        Kind::Fetch => mmu.fetch_page(va).map(|pa| Native::At(pa.0)),
        Kind::Load if access.hlvx => None,
        Kind::Load => mmu.load::<u64>(va).map(Native::Value),
        Kind::Store | Kind::Amo => mmu.writable::<u8>(va).map(|pa| Native::At(pa.0)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // norm: nw:walk_root, nw:walk_pte_access, nw:walk_invalid, nw:walk_reserved, nw:walk_pointer, nw:walk_too_deep
    // norm: nw:walk_misaligned_superpage, nw:walk_user, nw:walk_permission, nw:walk_ad_svade, nw:walk_ad_access
    // norm: nw:walk_output, H_vm_gpatrans, H_vm_gpapriv
    #[test]
    fn every_walk_ends_as_the_manual_says(seed in 1u64..) {
        let mut dice = Dice(seed);
        let mut world = world(&mut dice, Shape::none(), true);
        for _ in 0..60 {
            let va = random_address(&mut dice, world.levels);
            let access = random_access(&mut dice);
            let _ = compare(&mut world, va, access);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    // norm: sfence_vma_sum_mxr_effect
    /// While tables do not change, but for the A and D that walks set, a TLB is invisible. What takes effect without
    /// a fence changes all the time.
    #[test]
    fn no_shape_shows_while_tables_stay(seed in 1u64.., shape in 0..SHAPES.len()) {
        let mut dice = Dice(seed);
        // The random PTEs of a NAPOT region contradict each other, and a TLB may use any of them.
        let mut world = world(&mut dice, SHAPES[shape](), false);
        let pool: Vec<u64> = (0..12).map(|_| random_address(&mut dice, world.levels)).collect();
        for _ in 0..150 {
            let mut csrs = *world.mmu.csrs();
            for field in [&mut csrs.mxr, &mut csrs.sum, &mut csrs.vs_mxr, &mut csrs.vs_sum] {
                *field ^= dice.one_in(8);
            }
            world.mmu.set_csrs(&csrs);
            world.naive.csrs = csrs;
            let va = dice.pick(&pool);
            let access = random_access(&mut dice);
            let _ = compare(&mut world, va, access);
        }
    }
}

/// Every preset, and one so small that entries are always replaced.
const SHAPES: [fn() -> Shape; 4] = [Shape::none, Shape::default, Shape::adversarial, tiny];

fn tiny() -> Shape {
    let few = Geometry::new(2, 2).unwrap();
    Shape {
        s_stage: few,
        vs_stage: few,
        g_stage: few,
        combined: few,
        pointers: few,
        ..Shape::none()
    }
}

/// The random tables would prove little if all walks ended early: every pair of modes must end in every way that it can.
// norm: H_vm_twostage, hgatp_mode_bare_trans, hgatp_mode_x4
#[test]
fn random_tables_reach_every_kind_of_outcome_in_every_pair_of_modes() {
    let mut counts = BTreeMap::new();
    let mut types = [0; 3];
    for seed in 1..600 {
        let mut dice = Dice(seed);
        let mut world = world(&mut dice, Shape::none(), true);
        let csrs = *world.mmu.csrs();
        for _ in 0..60 {
            let va = random_address(&mut dice, world.levels);
            let access = random_access(&mut dice);
            let outcome = compare(&mut world, va, access);
            if let Ok(Place { gpa: Some(_), pbmt, .. }) = outcome {
                types[pbmt as usize] += 1;
            }
            let end = match outcome {
                Ok(_) => "fine",
                Err(Trouble::Page) => "page fault",
                Err(Trouble::GuestPage { implicit, .. }) => implicit,
                Err(Trouble::Access) => "access fault",
            };
            let modes = if access.v {
                (csrs.vsatp >> 60, Some(csrs.hgatp >> 60))
            } else {
                (csrs.satp >> 60, None)
            };
            *counts.entry((modes, end)).or_insert(0) += 1;
        }
    }
    assert!(types.iter().all(|&count| count >= 20), "{types:?}");
    let count = |modes, end| counts.get(&(modes, end)).copied().unwrap_or(0);
    let modes = [0, 8, 9, 10];
    for first in modes {
        for second in [None, Some(0), Some(8), Some(9), Some(10)] {
            let pair = (first, second);
            let guest_stage = second.is_some_and(|mode| mode != 0);
            assert!(count(pair, "fine") >= 10, "{pair:?} {counts:?}");
            if first != 0 {
                assert!(count(pair, "page fault") >= 10, "{pair:?} {counts:?}");
            }
            // Guest-page faults of the access itself, and of a VS-stage PTE's read.
            if guest_stage {
                assert!(count(pair, "no") >= 1, "{pair:?} {counts:?}");
            }
            if guest_stage && first != 0 {
                assert!(count(pair, "read") >= 10, "{pair:?} {counts:?}");
            }
        }
    }
    for end in ["write", "access fault"] {
        let all: u32 = counts.iter().filter(|((_, e), _)| *e == end).map(|(_, n)| n).sum();
        assert!(all >= 10, "{end}: {all}");
    }
}
