//! The address spaces of one program, and what is known about them while it is generated.

use std::collections::BTreeSet;

use isa::pte;

use super::layout::{DATA_BYTES, GUARDED, HOLE, PAGE, S_DATA, TABLES, TOHOST, U_DATA, leaf_bytes};
use super::rng::Rng;
use super::tables::{Leaf, Places, Space, Stage, Tables, places};

/// A guest's page tables are at these guest physical addresses, too.
const TABLE_ALIASES: u64 = 0x1_b000_0000;

/// Which page tables are in use. `None` is no translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Current {
    pub(super) s: Option<usize>,
    pub(super) vs: Option<usize>,
    pub(super) g: Option<usize>,
    /// What `satp` and `vsatp` hold is not known: code that may not have been reached has written it.
    pub(super) unknown: bool,
    /// Nor is what `hgatp` holds.
    pub(super) g_unknown: bool,
}

/// What an access goes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Through {
    /// Nothing: M-mode.
    Nothing,
    /// The S-stage.
    S,
    /// Both stages.
    Both,
}

/// A change of a PTE, and what a fence for it has to name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) stage: Stage,
    /// The PTE, or 16 of them.
    pub(super) at: u64,
    pub(super) count: u64,
    pub(super) value: u64,
    /// The address whose leaf this is; `None` where every address must be fenced.
    pub(super) va: Option<u64>,
    pub(super) tag: u64,
    /// It may be about guest physical addresses at which a guest has page tables.
    pub(super) of_tables: bool,
}

/// See the module.
pub(super) struct World {
    pub(super) tables: Tables,
    pub(super) s: Vec<Space>,
    pub(super) vs: Vec<Space>,
    pub(super) g: Vec<Space>,
    pub(super) places: Places,
    /// The pointers as they work: the stage and the space, where they are, what they hold.
    whole: Vec<(Stage, usize, u64, u64)>,
    /// Where those are that do not work now.
    broken: BTreeSet<u64>,
}

impl World {
    pub(super) fn new(rng: &mut Rng, updates: bool) -> Self {
        let mut tables = Tables::new(updates);
        let places = places(rng);
        let mut tags: Vec<u64> = vec![1, 2, 3, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1234];
        let mut tag = |rng: &mut Rng, mask: u64| loop {
            let tag = tags.swap_remove(rng.below(tags.len() as u64) as usize);
            if tag & mask == tag {
                return tag;
            }
        };
        let spaces = |tables: &mut Tables, rng: &mut Rng, stage: Stage, tags: &[u64]| {
            let mut spaces = Vec::new();
            for &tag in tags {
                let levels = rng.pick(&[3, 3, 4, 4, 5]);
                spaces.extend(tables.space(stage, levels, tag));
            }
            spaces
        };
        let three = |rng: &mut Rng, tag: &mut dyn FnMut(&mut Rng, u64) -> u64| {
            [tag(rng, 0xffff), tag(rng, 0xffff), tag(rng, 0xffff)]
        };
        let s_tags = three(rng, &mut tag);
        let vs_tags = three(rng, &mut tag);
        let mut s = spaces(&mut tables, rng, Stage::S, &s_tags);
        let mut vs = spaces(&mut tables, rng, Stage::Vs, &vs_tags);
        let mut g_tags = [1, 2, 0x1fff, 0x2000, 0x3fff, 0x155];
        for i in 0..3 {
            g_tags.swap(i, i + rng.below(6 - i as u64) as usize);
        }
        let mut g = spaces(&mut tables, rng, Stage::G, &g_tags[..3]);
        s.iter_mut().for_each(|space| tables.fill(rng, space, &Places::new()));
        vs.iter_mut().for_each(|space| tables.fill(rng, space, &places));
        g.iter_mut().for_each(|space| tables.fill_guest(rng, space, &places));
        let mut world =
            Self { tables, s, vs, g, places, whole: Vec::new(), broken: BTreeSet::new() };
        world.alias_tables(rng);
        world.note_pointers();
        world.break_pointers(rng);
        world
    }

    /// Some of the guest's page tables are reached at other guest physical addresses.
    fn alias_tables(&mut self, rng: &mut Rng) {
        let mut count = 0;
        for space in &self.vs {
            for &at in &space.pointers {
                if !rng.chance(60) {
                    continue;
                }
                let gpa = TABLE_ALIASES + count * PAGE;
                count += 1;
                let table = self.tables.pointed_to(self.tables.read(at));
                for guest in &mut self.g {
                    self.tables.alias(rng, guest, gpa, table);
                }
                self.tables.write(at, gpa >> 12 << pte::PPN_SHIFT | pte::V);
            }
        }
    }

    fn note_pointers(&mut self) {
        for (stage, spaces) in [(Stage::S, &self.s), (Stage::Vs, &self.vs), (Stage::G, &self.g)] {
            for (index, space) in spaces.iter().enumerate() {
                for &at in &space.pointers {
                    self.whole.push((stage, index, at, self.tables.read(at)));
                }
            }
        }
    }

    fn break_pointers(&mut self, rng: &mut Rng) {
        for index in 0..self.whole.len() {
            if rng.chance(4) {
                let (_, _, at, value) = self.whole[index];
                let bad = self.tables.bad_pointer(rng, value);
                self.tables.write(at, bad);
                self.broken.insert(at);
            }
        }
    }

    pub(super) fn spaces(&self, stage: Stage) -> &[Space] {
        match stage {
            Stage::S => &self.s,
            Stage::Vs => &self.vs,
            Stage::G => &self.g,
        }
    }

    /// The value of an address-translation register.
    pub(super) fn atp(&self, stage: Stage, index: Option<usize>) -> u64 {
        index.map_or(0, |index| self.spaces(stage)[index].atp())
    }

    /// A space of a stage, mostly; else none.
    pub(super) fn choose(&self, rng: &mut Rng, stage: Stage) -> Option<usize> {
        let count = self.spaces(stage).len() as u64;
        (!rng.chance(12)).then(|| rng.below(count) as usize)
    }

    /// An address for accesses, 2048 bytes into a page. `true` where also the next page is
    /// certainly mapped.
    pub(super) fn pointer(
        &self,
        rng: &mut Rng,
        current: Current,
        through: Through,
        user: bool,
    ) -> (u64, bool) {
        const MIDDLE: u64 = PAGE / 2;
        let data = if user { U_DATA } else { S_DATA };
        if rng.chance(3) {
            return (self.bad_address(rng) + MIDDLE, false);
        }
        let leaf = match through {
            Through::Nothing => None,
            Through::S => current.s.and_then(|s| self.leaf(rng, &self.s[s], user, |_| true)),
            Through::Both => self.guest_leaf(rng, current, user),
        };
        match leaf {
            Some(leaf) if rng.chance(80) => {
                let spread = match leaf.level {
                    0 if !leaf.napot => 0,
                    _ => rng.below(3) * PAGE,
                };
                let inside = (leaf.inside + spread) % leaf.bytes();
                (leaf.va.wrapping_add(inside) + MIDDLE, false)
            }
            _ => {
                let page = rng.below(DATA_BYTES / PAGE) * PAGE;
                (data + page + MIDDLE, page + PAGE < GUARDED)
            }
        }
    }

    fn guest_leaf(&self, rng: &mut Rng, current: Current, user: bool) -> Option<&Leaf> {
        let guest = current.g.map(|g| &self.g[g]);
        let reached = |gpa: u64| match guest {
            Some(guest) => guest.maps(gpa),
            None => gpa < 1 << 32,
        };
        match (current.vs, guest) {
            (Some(vs), _) => self.leaf(rng, &self.vs[vs], user, |leaf| {
                reached(leaf.target + leaf.inside)
                    && leaf.way.iter().all(|&at| {
                        let table = self.whole.iter().find(|whole| whole.2 == at);
                        table.is_none_or(|whole| reached(self.tables.pointed_to(whole.3)))
                    })
            }),
            (None, Some(guest)) => self.leaf(rng, guest, true, |_| true),
            (None, None) => None,
        }
    }

    /// A leaf with data, more likely one that works.
    fn leaf<'a>(
        &'a self,
        rng: &mut Rng,
        space: &'a Space,
        user: bool,
        works: impl Fn(&Leaf) -> bool,
    ) -> Option<&'a Leaf> {
        let mut candidates: Vec<&Leaf> = space.leaves.iter().filter(|leaf| !leaf.code).collect();
        if rng.chance(86) {
            candidates.retain(|leaf| {
                let whole = leaf.way.iter().all(|at| !self.broken.contains(at));
                leaf.good && whole && leaf.user == user && works(leaf)
            });
        }
        if candidates.is_empty() {
            return None;
        }
        Some(candidates[rng.below(candidates.len() as u64) as usize])
    }

    /// How far code runs from where it is when it is entered through a leaf.
    pub(super) fn alias(&self, rng: &mut Rng, space: &Space, user: bool) -> Option<u64> {
        let leaves: Vec<u64> = space
            .leaves
            .iter()
            .filter(|leaf| leaf.code && leaf.user == user && leaf.target < 1 << 32)
            .filter(|leaf| leaf.good || rng.chance(10))
            .map(|leaf| leaf.va.wrapping_sub(leaf.target))
            .collect();
        (!leaves.is_empty()).then(|| rng.pick(&leaves))
    }

    /// An address where nothing is that a store could harm, in whatever space.
    fn bad_address(&self, rng: &mut Rng) -> u64 {
        let offset = rng.below(4) << 30 | (0x2000_0000 + rng.below(0x1_0000) * PAGE);
        match rng.below(6) {
            0 => HOLE + 0x2000_0000,
            // Not canonical in some mode.
            1 => 1 << rng.pick(&[38, 40, 41, 47, 49, 50, 56, 58, 59, 62]) | offset,
            2 => u64::MAX << rng.pick(&[39, 40, 48, 57, 60]) | offset,
            3 => 0x1_0000_0000 + offset,
            4 => {
                let gpa = self.places.first().map_or(0x1_0000_0000, |&(gpa, _)| gpa);
                (gpa & !(leaf_bytes(2) - 1)) + (offset & (leaf_bytes(2) - 1))
            }
            _ => offset,
        }
    }

    /// The page of some table.
    pub(super) fn some_table(&self, rng: &mut Rng) -> Option<u64> {
        if self.whole.is_empty() {
            return None;
        }
        // Not a root: the way to the spine begins there.
        let (.., value) = rng.pick(&self.whole);
        let table = self.tables.pointed_to(value);
        (TABLES..TOHOST).contains(&table).then_some(table)
    }

    /// A change of a leaf or of a pointer, noted as made.
    pub(super) fn change(&mut self, rng: &mut Rng, stage: Stage) -> Option<Change> {
        if rng.chance(20) {
            let pointers: Vec<(Stage, usize, u64, u64)> =
                self.whole.iter().copied().filter(|&(of, ..)| of == stage).collect();
            if pointers.is_empty() {
                return None;
            }
            let mut chosen = rng.pick(&pointers);
            // One that is broken is mended soon.
            let broken = rng.chance(35);
            if !broken && let Some(&found) = pointers.iter().find(|p| self.broken.contains(&p.2)) {
                chosen = found;
            }
            let (_, index, at, whole) = chosen;
            let tag = self.spaces(stage)[index].tag;
            if broken {
                self.broken.insert(at);
            } else {
                self.broken.remove(&at);
            }
            let value = if broken { self.tables.bad_pointer(rng, whole) } else { whole };
            let of_tables = stage == Stage::G;
            return Some(Change { stage, at, count: 1, value, va: None, tag, of_tables });
        }
        let spaces = match stage {
            Stage::S => &mut self.s,
            Stage::Vs => &mut self.vs,
            Stage::G => &mut self.g,
        };
        let space = rng.below(spaces.len() as u64) as usize;
        let space = &mut spaces[space];
        if space.leaves.is_empty() {
            return None;
        }
        let index = rng.below(space.leaves.len() as u64) as usize;
        let leaf = &mut space.leaves[index];
        leaf.good = rng.chance(72);
        let value = self.tables.entry(rng, stage, leaf);
        let count = if leaf.napot { 16 } else { 1 };
        let va = (!leaf.napot).then_some(leaf.va.wrapping_add(rng.below(leaf.bytes()) & !7));
        let of_tables = stage == Stage::G && (TABLES..TOHOST).contains(&leaf.target);
        Some(Change { stage, at: leaf.at, count, value, va, tag: space.tag, of_tables })
    }
}
