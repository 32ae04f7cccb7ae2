//! Whether the tables are what they should be: read from memory as any walker would, without asking who wrote them.

use std::collections::BTreeSet;

use hyp::gstage::{Form, Level, PTE_BYTES, Pte};
use isa::{Gpa, Pa};

use crate::Property;
use crate::events::Event;
use crate::layout::{self, VMS};
use crate::shared::{Done, violation};
use crate::world::World;

/// After every step: the frames that are out are those that the hypervisor says it has, and it counts the fences that
/// it asks for.
pub(crate) fn count(world: &World) -> Done<()> {
    let heap = world.shared.heap.borrow();
    if let Some(frame) = heap.freed_twice {
        return violation(Property::Tables, format!("{frame} was freed and not taken"));
    }
    let known: u64 = world
        .memories
        .iter()
        .map(|memory| memory.gstage().counts().tables + memory.spare_tables() as u64)
        .sum();
    if known != heap.taken.len() as u64 {
        let what = format!("{} frames are out, the hypervisor knows of {known}", heap.taken.len());
        return violation(Property::Tables, what);
    }
    for (vm, memory) in world.memories.iter().enumerate() {
        let asked = world.shared.fence_insns[vm].get();
        let counted = memory.counts().fences;
        if asked != counted {
            let what = format!("VM {vm} counts {counted} fences and asked for {asked}");
            return violation(Property::Counters, what);
        }
    }
    Ok(())
}

/// At the end: every table is linked once, and every leaf maps what a slot has there.
pub(crate) fn whole(world: &World) -> Done<()> {
    let mut seen = BTreeSet::new();
    for vm in 0..VMS {
        let mode = world.setup.mode;
        let before = seen.len();
        table(world, vm, layout::root(vm), mode.root_level(), Gpa(0), &mut seen)?;
        let linked = (seen.len() - before) as u64;
        let counted = world.memories[vm].gstage().counts().tables;
        if linked != counted {
            let what = format!("VM {vm} has {linked} tables and counts {counted}");
            return violation(Property::Tables, what);
        }
    }
    Ok(())
}

/// How much the leaf maps that an address is in.
pub(crate) fn leaf_bytes(world: &World, vm: usize, gpa: Gpa) -> Option<u64> {
    let mode = world.setup.mode;
    let (mut at, mut level) = (layout::root(vm), mode.root_level());
    loop {
        let index = mode.index(level, gpa);
        let pte = Pte(world.shared.ram.read(Pa(at.0 + index * PTE_BYTES))?);
        match (pte.form(), level.below()) {
            (Form::Leaf, _) => return Some(pte.span(level)),
            (Form::Table(next), Some(below)) => (at, level) = (next, below),
            _ => return None,
        }
    }
}

fn table(
    world: &World,
    vm: usize,
    at: Pa,
    level: Level,
    base: Gpa,
    seen: &mut BTreeSet<u64>,
) -> Done<()> {
    let bytes = level.bytes();
    for index in 0..world.setup.mode.entries(level) {
        let pte = Pte(world.shared.ram.read(Pa(at.0 + index * PTE_BYTES)).unwrap_or(0));
        let gpa = Gpa(base.0 + index * bytes);
        match (pte.form(), level.below()) {
            (Form::Absent, _) => {}
            (Form::Table(next), Some(below)) => {
                if !world.shared.heap.borrow().taken.contains(&next.0) || !seen.insert(next.0) {
                    let what = format!("{next} serves as a table and was not taken for it");
                    return violation(Property::Tables, what);
                }
                table(world, vm, next, below, gpa, seen)?;
            }
            (Form::Table(_), None) => {
                return violation(Property::Tables, format!("a pointer for {gpa} at level 0"));
            }
            (Form::Leaf, _) => {
                world.shared.note(match (level, pte.is_napot()) {
                    (Level::GIGA, _) => Event::LeafGiga,
                    (Level::MEGA, _) => Event::LeafMega,
                    (_, true) => Event::LeafNapot,
                    _ => Event::LeafPage,
                });
                leaf(world, vm, pte, level, gpa)?;
            }
        }
    }
    Ok(())
}

fn leaf(world: &World, vm: usize, pte: Pte, level: Level, gpa: Gpa) -> Done<()> {
    let model = world.shared.model.borrow();
    let span = pte.span(level);
    let first = Gpa(gpa.0 & !(span - 1));
    let last = Gpa(first.0 + span - 1);
    let ends = [first, last].map(|gpa| model.place(vm, gpa));
    let [Some(begin), Some(end)] = ends else {
        return violation(Property::Unintended, format!("{pte:?} at {gpa} maps no slot's memory"));
    };
    let same = begin.slot == end.slot && begin.pa == pte.target();
    if !same || pte.is_writable() && !begin.is_writable {
        let what = format!("{pte:?} at {gpa}, where {} is", begin.pa);
        return violation(Property::Unintended, what);
    }
    Ok(())
}
