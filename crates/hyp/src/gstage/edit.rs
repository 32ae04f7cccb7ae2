//! Changing one mapping.

use isa::{Gpa, PAGE_BYTES, Pa, pte};

use crate::faults::{Fault, Faults};
use crate::gstage::duties::{Collapsed, Why, stride_of};
use crate::gstage::geometry::{Level, PTE_BYTES, Size};
use crate::gstage::pte::{Form, Leaf, Pte};
use crate::gstage::spare::SpareTables;
use crate::gstage::{Error, Gstage};
use crate::port::{Memory, NotMemory};

/// A PTE and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The PTE's own address.
    pub at: Pa,
    /// What it was when it was read.
    pub pte: Pte,
    /// The level of the table that holds it.
    pub level: Level,
    /// The first guest physical address that it maps; for a PTE of a 64 KiB mapping, that the mapping maps.
    pub gpa: Gpa,
}

impl Place {
    /// How far it reaches, in bytes.
    pub fn bytes(&self) -> u64 {
        if self.pte.form() == Form::Leaf { self.pte.span(self.level) } else { self.level.bytes() }
    }
}

/// What mapping an address changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mapped {
    /// Nothing was mapped there.
    Fresh,
    /// The same frame was mapped, with other rights.
    Rights,
    /// All was as wanted.
    Same,
    /// Another frame was mapped.
    Moved,
}

/// Changes the tables of one VM while nobody else does.
///
/// What it changed is in memory at once; the fences it owes are gathered in the [`Gstage`].
#[derive(Debug)]
pub struct Editor<'a> {
    pub(super) gstage: &'a mut Gstage,
    memory: MemoryRef<'a>,
    spare: &'a mut SpareTables,
}

/// So that an editor can be printed.
struct MemoryRef<'a>(&'a dyn Memory);

impl std::fmt::Debug for MemoryRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("memory")
    }
}

impl<'a> Editor<'a> {
    pub(super) fn new(
        gstage: &'a mut Gstage,
        memory: &'a dyn Memory,
        spare: &'a mut SpareTables,
    ) -> Self {
        Self { gstage, memory: MemoryRef(memory), spare }
    }

    /// The leaf that maps an address, or the absent PTE where the walk ends.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotMemory`].
    pub fn find(&mut self, gpa: Gpa) -> Result<Place, Error> {
        self.descend(gpa, Level::PAGE)
    }

    /// Maps the block of `leaf.size` around `fault` to `leaf.pa`, so that `fault` can be accessed as
    /// `leaf.rights` say. Where smaller pages are mapped already only the one of `fault` is mapped or
    /// given the rights; a larger leaf is split first. The mapping that was there is otherwise kept.
    ///
    /// # Errors
    /// All but [`Error::NotUniform`]. After [`Error::OutOfTables`] everything that was mapped still is.
    pub fn map(&mut self, fault: Gpa, leaf: &Leaf) -> Result<Mapped, Error> {
        let bytes = leaf.size.bytes();
        if !leaf.pa.is_aligned(bytes) {
            return Err(Error::Misaligned { address: leaf.pa.0, bytes });
        }
        let wanted = leaf.size.level();
        let mut place = self.descend(fault, wanted)?;
        if place.pte.form() == Form::Leaf && place.bytes() > bytes {
            let split = self.split(fault, leaf.size);
            if self.gstage.faults.has(Fault::SplitErrorIgnored) && split.is_err() {
                let rights = pte::W | pte::D;
                self.change(&place, Why::Raised, |now| now.with(Pte::leaf(leaf).0 & rights))?;
                return Ok(Mapped::Rights);
            }
            if split? > 1 && self.gstage.faults.has(Fault::SplitFencedOnOtherLevelOnly) {
                let fenced = self.gstage.duties.clone();
                let mapped = self.map(fault, leaf);
                self.gstage.duties = fenced;
                return mapped;
            }
            place = self.descend(fault, wanted)?;
        }
        if let Form::Table(table) = place.pte.form() {
            // A table stands where a block was wanted.
            if self.is_empty(table, place.level)? {
                return self.put_leaf_over_table(place, table, leaf);
            }
            let mut at = fault;
            if self.gstage.faults.has(Fault::RightsOnFirstPage) {
                at = place.gpa;
            }
            place = self.find(at)?;
            return self.map_at(at, place, &part_of(leaf, at, &place));
        }
        self.map_at(fault, place, leaf)
    }

    /// Maps at a place whose level is the leaf's, or where nothing is mapped.
    fn map_at(&mut self, fault: Gpa, place: Place, leaf: &Leaf) -> Result<Mapped, Error> {
        let wanted = Pte::leaf(leaf);
        if place.pte.form() == Form::Absent {
            let place = self.grow(fault, place, leaf.size.level())?;
            if leaf.size == Size::Napot && !self.is_block_absent(fault)? {
                return self.put_fresh(fault, place, &part_of(leaf, fault, &place));
            }
            return self.put_fresh(fault, place, leaf);
        }
        let old = place.pte;
        if old.target() == leaf.pa {
            let rights = pte::W | pte::X;
            let new = |now: Pte| Pte(now.0 & !rights | wanted.0 & (rights | pte::A | pte::D));
            if new(old) == old {
                return Ok(Mapped::Same);
            }
            let lowered = old.0 & rights & !wanted.0 != 0;
            self.change(&place, if lowered { Why::Lowered } else { Why::Raised }, new)?;
            return Ok(Mapped::Rights);
        }
        if leaf.size == Size::Napot && !old.is_napot() {
            return self.map_at(fault, place, &part_of(leaf, fault, &place));
        }
        self.change(&place, Why::Unmapped, |_| wanted)?;
        Ok(Mapped::Moved)
    }

    /// Replaces leaves by tables until the leaf of this address is no larger than `to`. Children first, then the
    /// parent, which keeps whatever A and D it had got until that moment.
    ///
    /// # Errors
    /// [`Error::OutOfTables`]: larger leaves than wanted are left; all is mapped as before.
    pub fn split(&mut self, gpa: Gpa, to: Size) -> Result<u64, Error> {
        let mut splits = 0;
        loop {
            let place = self.find(gpa)?;
            if place.pte.form() != Form::Leaf || place.bytes() <= to.bytes() {
                return Ok(splits);
            }
            if place.pte.is_napot() {
                self.split_napot(&place)?;
            } else {
                self.split_once(&place, splits != 0)?;
            }
            splits += 1;
            self.gstage.counts.splits += 1;
        }
    }

    fn split_once(&mut self, place: &Place, again: bool) -> Result<(), Error> {
        let faults = self.gstage.faults;
        let Some(below) = place.level.below() else { return Ok(()) };
        let table = self.spare.take()?;
        let mut old = place.pte;
        loop {
            for index in 0..self.gstage.mode.entries(below) {
                let child = faulty_child(faults, old.child(index, below), index, below);
                self.store(Pa(table.0 + index * PTE_BYTES), child)?;
            }
            let now = self.exchange(place.at, old, Pte::table(table))?;
            if now == old {
                break;
            }
            // A walker set A or D meanwhile: its children must say so.
            old = now;
        }
        self.gstage.counts.tables += 1;
        let bytes = place.level.bytes();
        let unfenced = faults.has(Fault::NoFenceAfterSplit)
            || faults.has(Fault::SplitFencedOnOtherLevelOnly) && again;
        if !unfenced {
            self.gstage.duties.leaf(place.gpa, bytes, bytes, Why::Split);
        }
        Ok(())
    }

    fn split_napot(&mut self, place: &Place) -> Result<(), Error> {
        let first = place.at.0 & !(Size::Napot.ptes() * PTE_BYTES - 1);
        let mut used = 0;
        for index in 0..Size::Napot.ptes() {
            let old = self.update(Pa(first + index * PTE_BYTES), |now| now.napot_page(index))?;
            used |= old.0 & (pte::A | pte::D);
        }
        // A walker sets A and D in the one PTE that it read; what it cached by that was good for all sixteen pages.
        for index in 0..Size::Napot.ptes() {
            let at = Pa(first + index * PTE_BYTES);
            if used & !self.load(at)?.0 != 0 {
                self.update(at, |now| now.with(used))?;
            }
        }
        if !self.gstage.faults.has(Fault::NoFenceAfterSplit) {
            self.gstage.duties.leaf(place.gpa, Size::Napot.bytes(), PAGE_BYTES, Why::Split);
        }
        Ok(())
    }

    /// Joins the 512 leaves below the table at `gpa` into one leaf of `to`, if they map one block with one set of
    /// rights. A and D are set where any of them has them.
    ///
    /// # Errors
    /// [`Error::NotUniform`]: nothing was changed.
    pub fn collapse(&mut self, gpa: Gpa, to: Size) -> Result<(), Error> {
        let level = to.level();
        let place = self.descend(gpa, level)?;
        let (Form::Table(table), Some(below)) = (place.pte.form(), level.below()) else {
            return Err(Error::NotUniform { gpa: place.gpa });
        };
        let first = self.load(table)?;
        let mut joined = first;
        for index in 0..self.gstage.mode.entries(below) {
            let child = self.load(Pa(table.0 + index * PTE_BYTES))?;
            let same = first.child(index, below).0 ^ child.0;
            // Those of a 64 KiB mapping say the same sixteen times, which is not one block.
            if child.form() != Form::Leaf || same & !(pte::A | pte::D) != 0 {
                return Err(Error::NotUniform { gpa: place.gpa });
            }
            joined = joined.with(child.0 & (pte::A | pte::D));
        }
        if place.level != level || !first.target().is_aligned(level.bytes()) {
            return Err(Error::NotUniform { gpa: place.gpa });
        }
        if self.exchange(place.at, place.pte, joined)? != place.pte {
            return Err(Error::NotUniform { gpa: place.gpa });
        }
        self.gstage.counts.tables -= 1;
        self.gstage.counts.collapses += 1;
        if self.gstage.faults.has(Fault::CollapseFencedByAddress) {
            let bytes = level.bytes();
            self.gstage.duties.leaf(place.gpa, bytes, bytes, Why::Unlinked);
            self.gstage.duties.freed.push(table);
        } else if self.gstage.faults.has(Fault::TableReused) {
            self.gstage.duties.everything(Why::Unlinked);
            self.spare.put_back(table);
        } else {
            self.gstage.duties.collapsed_into(place.at, table);
        }
        Ok(())
    }

    /// Changes every PTE of the mapping at `place` and owes the fence for it. Returns the OR of A and D before.
    pub(super) fn change(
        &mut self,
        place: &Place,
        why: Why,
        new: impl Fn(Pte) -> Pte,
    ) -> Result<u64, Error> {
        let (ptes, span) = match place.pte.form() {
            Form::Leaf if place.pte.is_napot() => (Size::Napot.ptes(), Size::Napot.bytes()),
            _ => (1, place.level.bytes()),
        };
        let faults = self.gstage.faults;
        let first = Pa(place.at.0 & !(ptes * PTE_BYTES - 1));
        let mut used = 0;
        if ptes > 1 && faults.has(Fault::NapotChangedOnce) {
            let stride = stride_of(place.level, true);
            self.gstage.duties.leaf(place.gpa, span, stride, why);
            return Ok(self.update(place.at, &new)?.0 & (pte::A | pte::D));
        }
        for index in 0..ptes {
            let old = self.update(Pa(first.0 + index * PTE_BYTES), &new)?;
            used |= old.0 & (pte::A | pte::D);
        }
        if why == Why::Lowered && faults.has(Fault::NoFenceAfterLowering) {
            return Ok(used);
        }
        let mut stride = stride_of(place.level, ptes > 1);
        if faults.has(Fault::NapotFencedOnce) {
            stride = span;
        }
        self.gstage.duties.leaf(place.gpa, span, stride, why);
        Ok(used)
    }

    /// Unlinks a table that maps nothing.
    pub(super) fn unlink(&mut self, place: &Place, table: Pa) -> Result<(), Error> {
        self.exchange(place.at, place.pte, Pte::ABSENT)?;
        self.gstage.counts.tables -= 1;
        self.give_up(place, table);
        Ok(())
    }

    pub(super) fn is_empty(&mut self, table: Pa, level: Level) -> Result<bool, Error> {
        let Some(below) = level.below() else { return Ok(true) };
        for index in 0..self.gstage.mode.entries(below) {
            if self.load(Pa(table.0 + index * PTE_BYTES))? != Pte::ABSENT {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_block_absent(&mut self, gpa: Gpa) -> Result<bool, Error> {
        let first = self.find(gpa)?.at.0 & !(Size::Napot.ptes() * PTE_BYTES - 1);
        for index in 0..Size::Napot.ptes() {
            if self.load(Pa(first + index * PTE_BYTES))? != Pte::ABSENT {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn put_fresh(&mut self, fault: Gpa, place: Place, leaf: &Leaf) -> Result<Mapped, Error> {
        let pte = Pte::leaf(leaf);
        let ptes = leaf.size.ptes();
        let first = place.at.0 & !(ptes * PTE_BYTES - 1);
        for index in 0..ptes {
            self.update(Pa(first + index * PTE_BYTES), |_| pte)?;
        }
        let base = Gpa(fault.0 & !(leaf.size.bytes() - 1));
        let stride = stride_of(leaf.size.level(), ptes > 1);
        self.gstage.duties.leaf(base, leaf.size.bytes(), stride, Why::Mapped);
        Ok(Mapped::Fresh)
    }

    fn put_leaf_over_table(
        &mut self,
        place: Place,
        table: Pa,
        leaf: &Leaf,
    ) -> Result<Mapped, Error> {
        if leaf.size.level() == Level::PAGE {
            return Err(Error::NotUniform { gpa: place.gpa });
        }
        self.exchange(place.at, place.pte, Pte::leaf(leaf))?;
        self.gstage.counts.tables -= 1;
        self.give_up(&place, table);
        Ok(Mapped::Fresh)
    }

    /// A table that mapped nothing is no longer linked at `place`.
    fn give_up(&mut self, place: &Place, table: Pa) {
        let duties = &mut self.gstage.duties;
        if self.gstage.faults.has(Fault::UnlinkFencedByAddress) {
            let bytes = place.level.bytes();
            duties.leaf(place.gpa, bytes, bytes, Why::Unlinked);
            duties.freed.push(table);
        } else if self.gstage.faults.has(Fault::TableReused) {
            duties.everything(Why::Unlinked);
            self.spare.put_back(table);
        } else {
            duties.unlinked(table);
        }
    }

    /// Links tables until the absent PTE of `gpa` has the wanted level.
    fn grow(&mut self, gpa: Gpa, mut place: Place, wanted: Level) -> Result<Place, Error> {
        while place.level > wanted {
            let table = self.spare.take()?;
            if self.exchange(place.at, Pte::ABSENT, Pte::table(table))? == Pte::ABSENT {
                self.gstage.counts.tables += 1;
            } else {
                self.spare.put_back(table);
            }
            let next = self.descend(gpa, wanted)?;
            if next == place {
                return Err(NotMemory(table).into());
            }
            place = next;
        }
        Ok(place)
    }

    /// Follows tables from the root to the PTE of level `stop`, or to where they end before.
    pub(super) fn descend(&mut self, gpa: Gpa, stop: Level) -> Result<Place, Error> {
        let mode = self.gstage.mode;
        if !mode.covers(gpa) {
            return Err(Error::OutOfRange { gpa, bits: mode.gpa_bits() });
        }
        let (mut table, mut level) = (self.gstage.root, mode.root_level());
        loop {
            let at = Pa(table.0 + mode.index(level, gpa) * PTE_BYTES);
            let pte = self.load(at)?;
            match (pte.form(), level.below()) {
                (Form::Table(next), Some(below)) if level > stop => (table, level) = (next, below),
                _ => {
                    let span =
                        if pte.form() == Form::Leaf { pte.span(level) } else { level.bytes() };
                    return Ok(Place { at, pte, level, gpa: Gpa(gpa.0 & !(span - 1)) });
                }
            }
        }
    }

    fn load(&mut self, at: Pa) -> Result<Pte, Error> {
        self.gstage.counts.loads += 1;
        Ok(Pte(self.memory.0.load(at)?))
    }

    fn store(&mut self, at: Pa, pte: Pte) -> Result<(), Error> {
        self.gstage.counts.stores += 1;
        Ok(self.memory.0.store(at, pte.0)?)
    }

    fn exchange(&mut self, at: Pa, old: Pte, new: Pte) -> Result<Pte, Error> {
        self.gstage.counts.exchanges += 1;
        Ok(Pte(self.memory.0.compare_exchange(at, old.0, new.0)?))
    }

    /// Changes a live PTE, whatever walkers do to its A and D meanwhile. Returns what it was.
    fn update(&mut self, at: Pa, new: impl Fn(Pte) -> Pte) -> Result<Pte, Error> {
        let mut old = self.load(at)?;
        loop {
            let now = self.exchange(at, old, new(old))?;
            if now == old {
                return Ok(old);
            }
            old = now;
        }
    }
}

/// The part around `fault` of a wanted mapping, as large as what is mapped at `place` or can be there.
fn part_of(leaf: &Leaf, fault: Gpa, place: &Place) -> Leaf {
    let size = match place.level {
        Level::MEGA => Size::Mega,
        _ if place.pte.is_napot() => Size::Napot,
        _ => Size::Page,
    };
    let within = fault.0 & (leaf.size.bytes() - 1) & !(size.bytes() - 1);
    Leaf { pa: Pa(leaf.pa.0 + within), size, ..*leaf }
}

/// The child as a faulty split makes it; as it should be without a fault.
fn faulty_child(faults: Faults, child: Pte, index: u64, below: Level) -> Pte {
    if faults.has(Fault::ChildGainsW) && index % 8 == 3 {
        child.with(pte::W)
    } else if faults.has(Fault::ChildLosesW) && index % 8 == 3 {
        child.without(pte::W)
    } else if faults.has(Fault::ChildLosesDirty) {
        child.without(pte::D)
    } else if faults.has(Fault::WrongChildFrame) && index % 8 == 3 {
        child.child(1, below)
    } else {
        child
    }
}

/// Carries A and D that walkers left in collapsed tables over to the leaves that replaced them.
pub(super) fn settle_collapsed(
    gstage: &mut Gstage,
    collapsed: &[Collapsed],
    memory: &dyn Memory,
) -> Result<(), Error> {
    let mut none = SpareTables::default();
    for &Collapsed { leaf, table } in collapsed {
        let mut editor = Editor::new(gstage, memory, &mut none);
        let mut used = 0;
        for index in 0..PAGE_BYTES / PTE_BYTES {
            used |= editor.load(Pa(table.0 + index * PTE_BYTES))?.0 & (pte::A | pte::D);
        }
        let carried = |now: Pte| if now.form() == Form::Leaf { now.with(used) } else { now };
        editor.update(leaf, carried)?;
    }
    Ok(())
}
