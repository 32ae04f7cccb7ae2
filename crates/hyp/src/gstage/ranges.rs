//! Operations on ranges of guest memory. They stop after a number of leaves, so that a lock need not be held
//! for long; whoever lets go of it executes the fences that are owed first.

use isa::{Gpa, PAGE_BYTES, pte};

use crate::gstage::Error;
use crate::gstage::duties::Why;
use crate::gstage::edit::{Editor, Place};
use crate::gstage::geometry::{Level, Size};
use crate::gstage::pte::{Form, Pte};

/// How far an operation on a range got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All of it is done.
    Done,
    /// It goes on from there.
    More(Gpa),
}

/// What to do with a leaf that reaches beyond the range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Partial {
    /// Treat all of it as inside.
    Whole,
    /// Split it, and change only what is inside. Where tables are lacking it is treated as
    /// [`Partial::Whole`], which costs the guest a fault and loses nothing.
    Split,
}

impl Editor<'_> {
    /// Takes W from everything mapped in `start..end`.
    ///
    /// # Errors
    /// [`Error::Misaligned`], [`Error::OutOfRange`], [`Error::NotMemory`].
    pub fn write_protect(
        &mut self,
        start: Gpa,
        end: Gpa,
        partial: Partial,
        leaves: u64,
    ) -> Result<Progress, Error> {
        self.each_leaf(start, end, leaves, |editor, place| {
            if place.pte.is_writable() {
                if partial == Partial::Split
                    && let Some(size) = inner_size(&place, start, end)
                {
                    match editor.split_around(start, end, &place, size) {
                        Ok(()) => return Ok(Step::Again),
                        Err(Error::OutOfTables(_)) => {
                            // One of two levels may have been split before: its leaves are other ones.
                            let at = Gpa(start.0.max(place.gpa.0));
                            if editor.find(at)?.bytes() != place.bytes() {
                                return Ok(Step::Again);
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
                editor.change(&place, Why::Lowered, |now| now.without(pte::W))?;
            }
            Ok(Step::Next)
        })
    }

    /// Gives W and D to everything mapped in `start..end`, and to nothing beyond.
    ///
    /// # Errors
    /// As [`Editor::write_protect`].
    pub fn make_writable(&mut self, start: Gpa, end: Gpa) -> Result<Progress, Error> {
        let wanted = pte::W | pte::D;
        self.each_leaf(start, end, u64::MAX, |editor, place| {
            if inner_size(&place, start, end).is_none() && place.pte.0 & wanted != wanted {
                editor.change(&place, Why::Raised, |now| now.with(wanted))?;
            }
            Ok(Step::Next)
        })
    }

    /// Splits every leaf in `start..end` down to pages.
    ///
    /// # Errors
    /// As [`Editor::write_protect`], and [`Error::OutOfTables`]: what was reached is split, the rest is mapped as
    /// before.
    pub fn split_range(&mut self, start: Gpa, end: Gpa) -> Result<(), Error> {
        let all = self.each_leaf(start, end, u64::MAX, |editor, place| {
            if place.bytes() == PAGE_BYTES {
                return Ok(Step::Next);
            }
            editor.split(place.gpa, Size::Page)?;
            Ok(Step::Again)
        });
        all.map(|_| ())
    }

    /// Takes W from the pages of `first` that `mask` names, 4 KiB a bit. As [`Editor::write_protect`]
    /// otherwise.
    ///
    /// # Errors
    /// As [`Editor::write_protect`].
    pub fn write_protect_masked(
        &mut self,
        first: Gpa,
        mask: u64,
        partial: Partial,
    ) -> Result<(), Error> {
        let mut left = mask;
        while left != 0 {
            let skip = left.trailing_zeros();
            let pages = (left >> skip).trailing_ones();
            let start = self.within(first, u64::from(skip) * PAGE_BYTES)?;
            let end = self.within(start, u64::from(pages) * PAGE_BYTES)?;
            self.write_protect(start, end, partial, u64::MAX)?;
            left &= u64::MAX.checked_shl(skip + pages).unwrap_or(0);
        }
        Ok(())
    }

    /// Unmaps `start..end`, and frees the tables that map nothing then. Leaves that reach beyond are split.
    /// `unmapped` hears of each mapping that went, with its last A and D.
    ///
    /// # Errors
    /// [`Error::OutOfTables`]: a leaf could not be split and is still mapped, with all that follows.
    pub fn unmap(
        &mut self,
        start: Gpa,
        end: Gpa,
        leaves: u64,
        mut unmapped: impl FnMut(Gpa, u64, Pte),
    ) -> Result<Progress, Error> {
        let progress = self.each_leaf(start, end, leaves, |editor, place| {
            if let Some(size) = inner_size(&place, start, end) {
                editor.split_around(start, end, &place, size)?;
                return Ok(Step::Again);
            }
            let used = editor.change(&place, Why::Unmapped, |_| Pte::ABSENT)?;
            unmapped(place.gpa, place.bytes(), place.pte.with(used));
            Ok(Step::Next)
        })?;
        let reached = match progress {
            Progress::Done => end,
            Progress::More(next) => next,
        };
        self.unlink_empty(start, reached)?;
        Ok(progress)
    }

    /// Clears A of everything mapped in `start..end` and says of each whether it was set. A translation
    /// cached with A set needs no new walk, so the fence is owed only to be exact.
    ///
    /// # Errors
    /// As [`Editor::write_protect`].
    pub fn age(
        &mut self,
        start: Gpa,
        end: Gpa,
        leaves: u64,
        mut aged: impl FnMut(Gpa, u64, bool),
    ) -> Result<Progress, Error> {
        self.harvest(start, end, leaves, pte::A, &mut aged)
    }

    /// Clears D of everything mapped in `start..end` and says of each whether it was set. Stores through
    /// translations cached with D set are not seen until the fence that is owed.
    ///
    /// # Errors
    /// As [`Editor::write_protect`].
    pub fn harvest_dirty(
        &mut self,
        start: Gpa,
        end: Gpa,
        leaves: u64,
        mut harvested: impl FnMut(Gpa, u64, bool),
    ) -> Result<Progress, Error> {
        self.harvest(start, end, leaves, pte::D, &mut harvested)
    }

    fn harvest(
        &mut self,
        start: Gpa,
        end: Gpa,
        leaves: u64,
        bit: u64,
        hear: &mut dyn FnMut(Gpa, u64, bool),
    ) -> Result<Progress, Error> {
        self.each_leaf(start, end, leaves, |editor, place| {
            // The other PTEs of a 64 KiB mapping may have the bit where this one has not.
            let mut was = place.pte.0 & bit;
            if was != 0 || place.pte.is_napot() {
                was = editor.change(&place, Why::Lowered, |now| now.without(bit))? & bit;
            }
            hear(place.gpa, place.bytes(), was != 0);
            Ok(Step::Next)
        })
    }

    /// Splits the leaf at `place` where the range begins or ends within it.
    fn split_around(
        &mut self,
        start: Gpa,
        end: Gpa,
        place: &Place,
        size: Size,
    ) -> Result<(), Error> {
        if start.0 > place.gpa.0 {
            self.split(start, size)?;
        }
        if end.0 < place.gpa.0 + place.bytes() {
            self.split(Gpa(end.0 - PAGE_BYTES), size)?;
        }
        Ok(())
    }

    /// Goes through the leaves that touch `start..end`, at most `limit` of them.
    fn each_leaf(
        &mut self,
        start: Gpa,
        end: Gpa,
        limit: u64,
        mut visit: impl FnMut(&mut Self, Place) -> Result<Step, Error>,
    ) -> Result<Progress, Error> {
        for address in [start.0, end.0] {
            if address % PAGE_BYTES != 0 {
                return Err(Error::Misaligned { address, bytes: PAGE_BYTES });
            }
        }
        let bits = self.gstage.mode().gpa_bits();
        if end.0 > 1 << bits {
            return Err(Error::OutOfRange { gpa: end, bits });
        }
        let (mut at, mut visited) = (start.0, 0);
        while at < end.0 {
            let place = self.find(Gpa(at))?;
            let next = place.gpa.0 + place.bytes();
            if place.pte.form() == Form::Leaf {
                if visited == limit {
                    return Ok(Progress::More(Gpa(at)));
                }
                if let Step::Again = visit(self, place)? {
                    continue;
                }
                visited += 1;
            }
            at = next;
        }
        Ok(Progress::Done)
    }

    /// Unlinks tables that translate part of `start..end` and map nothing, from small to large: what is left to do after
    /// [`Editor::unmap`] went through a range in several steps.
    ///
    /// # Errors
    /// [`Error::NotMemory`].
    pub fn unlink_empty(&mut self, start: Gpa, end: Gpa) -> Result<(), Error> {
        let mut level = Level::MEGA;
        loop {
            let bytes = level.bytes();
            let mut at = start.0 & !(bytes - 1);
            while at < end.0 {
                let place = self.descend(Gpa(at), level)?;
                if place.level == level
                    && let Form::Table(table) = place.pte.form()
                    && self.is_empty(table, level)?
                {
                    self.unlink(&place, table)?;
                }
                at = place.gpa.0 + place.bytes();
            }
            if level == self.gstage.mode().root_level() {
                return Ok(());
            }
            level = self.gstage.mode().above(level);
        }
    }

    fn within(&self, gpa: Gpa, bytes: u64) -> Result<Gpa, Error> {
        let bits = self.gstage.mode().gpa_bits();
        gpa.checked_add(bytes).ok_or(Error::OutOfRange { gpa, bits })
    }
}

enum Step {
    /// The leaf was split: look at its place again.
    Again,
    Next,
}

/// To what size a leaf must be split so that no part of it reaches beyond `start..end`; `None` if all of it is
/// inside.
fn inner_size(place: &Place, start: Gpa, end: Gpa) -> Option<Size> {
    let last = place.gpa.0 + place.bytes();
    if place.gpa.0 >= start.0 && last <= end.0 {
        return None;
    }
    let edges = [start.0.max(place.gpa.0), end.0.min(last)];
    let fits = |size: &Size| edges.iter().all(|edge| edge % size.bytes() == 0);
    [Size::Mega, Size::Page].into_iter().find(|size| size.bytes() < place.bytes() && fits(size))
}
