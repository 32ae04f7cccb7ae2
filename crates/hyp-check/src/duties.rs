//! What the hypervisor owes, by the manual and not by its own account: each change of a PTE that takes something away
//! must be followed by a fence that covers it before the operation ends.
//!
//! The harts of a run may not notice that a fence is missing, because another one happened to do its work on them; this
//! does. It follows the tables from the PTE writes alone.

use std::collections::BTreeMap;

use hyp::gstage::{Fence, Form, Level, Mode, PTE_BYTES, Pte};
use isa::{Gpa, PAGE_BYTES, Pa, pte};

use crate::Property;
use crate::layout;
use crate::shared::{Done, violation};

/// A change that no fence covers yet.
#[derive(Clone, Copy, Debug)]
struct Change {
    gpa: Gpa,
    bytes: u64,
    /// A pointer changed, which no fence by address covers [priv: hypervisor, HFENCE.GVMA].
    is_pointer: bool,
}

/// What one VM's hypervisor owes.
#[derive(Debug)]
pub(crate) struct Owed {
    /// What each table that was ever linked translates: its level and its first address.
    tables: BTreeMap<u64, (Level, Gpa)>,
    root: Pa,
    mode: Mode,
    changes: Vec<Change>,
}

impl Owed {
    pub(crate) fn new(vm: usize, mode: Mode) -> Self {
        Self { tables: BTreeMap::new(), root: layout::root(vm), mode, changes: Vec::new() }
    }

    /// A PTE changed.
    pub(crate) fn changed(&mut self, at: Pa, old: u64, new: u64) {
        let (table, level, base) = match at.0.wrapping_sub(self.root.0) {
            0..0x4000 => (self.root.0, self.mode.root_level(), Gpa(0)),
            _ => {
                let table = at.0 & !(PAGE_BYTES - 1);
                let Some(&(level, base)) = self.tables.get(&table) else { return };
                (table, level, base)
            }
        };
        let bytes = level.bytes();
        let gpa = Gpa(base.0 + (at.0 - table) / PTE_BYTES * bytes);
        let (old, new) = (Pte(old), Pte(new));
        if let (Form::Table(next), Some(below)) = (new.form(), level.below()) {
            self.tables.insert(next.0, (below, gpa));
        }
        let is_pointer = matches!(old.form(), Form::Table(_));
        let lost = pte::V | pte::R | pte::W | pte::X | pte::D;
        let lowered = old.0 & lost & !new.0 != 0 || old.target() != new.target();
        let is_due = match old.form() {
            Form::Absent => false,
            Form::Table(_) => old != new,
            Form::Leaf => new.form() != Form::Leaf || lowered || old.is_napot() != new.is_napot(),
        };
        if is_due {
            self.changes.push(Change { gpa, bytes, is_pointer });
        }
    }

    /// A fence was executed wherever it has to be.
    pub(crate) fn fenced(&mut self, fence: &Fence) {
        match *fence {
            Fence::Everything { .. } => self.changes.clear(),
            Fence::Leaves { gpa: first, bytes, stride, .. } => {
                let last = first.0 + bytes / stride * stride - stride;
                self.changes.retain(|change| {
                    // The first address of the fence that is not below the change.
                    let skipped = change.gpa.0.saturating_sub(first.0).div_ceil(stride) * stride;
                    let address = first.0 + skipped;
                    let hit = address <= last && address - change.gpa.0 < change.bytes;
                    change.is_pointer || !hit
                });
            }
        }
    }

    /// Whether a pointer changed and no fence covers that.
    pub(crate) fn owes_everything(&self) -> bool {
        self.changes.iter().any(|change| change.is_pointer)
    }

    /// Nothing may be owed at the end of an operation.
    pub(crate) fn nothing(&mut self) -> Done<()> {
        match std::mem::take(&mut self.changes)[..] {
            [] => Ok(()),
            [Change { gpa, bytes, is_pointer }, ..] => {
                let what = if is_pointer { "a pointer" } else { "a leaf" };
                let what = format!("{what} for {bytes:#x} bytes at {gpa} changed without a fence");
                violation(Property::Owed, what)
            }
        }
    }
}
