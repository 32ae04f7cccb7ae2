//! G-stage PTEs as an observer reads them: what an entry is, and what a store made of it.
//!
//! No walk is decided here. Whether a hart may use an entry also depends on its extensions; here an entry only has
//! to be one that some hart could use.

use isa::{PAGE_BITS, pte};
use mmu::Reason;

/// Bits of address that one level translates.
pub(super) const LEVEL_BITS: u32 = 9;

/// log2 of the bytes that an entry of this level maps.
pub(super) const fn shift(level: u8) -> u32 {
    PAGE_BITS + LEVEL_BITS * level as u32
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// V is clear.
    Absent,
    /// It points to the table at this physical address.
    Pointer(u64),
    /// It maps frames.
    Leaf,
    /// V is set, and no walk can use it.
    Malformed(Reason),
}

fn address(value: u64) -> u64 {
    ((value & pte::PPN) >> pte::PPN_SHIFT) << PAGE_BITS
}

/// What is wrong with an entry, whatever its V.
pub(super) fn form(value: u64, level: u8) -> Result<(), Reason> {
    let pointer = value & (pte::R | pte::W | pte::X) == 0;
    if value & pte::RESERVED != 0 {
        Err(Reason::ReservedBits)
    } else if value & (pte::R | pte::W) == pte::W {
        Err(Reason::WriteOnly)
    } else if pointer && level == 0 {
        Err(Reason::NoLeaf)
    } else if pointer && value & (pte::A | pte::D | pte::U) != 0 {
        Err(Reason::PointerAttributes)
    } else if value & pte::PBMT == pte::PBMT || pointer && value & pte::PBMT != 0 {
        Err(Reason::PbmtReserved)
    } else if value & pte::N != 0 && (pointer || level != 0) {
        Err(Reason::NapotReserved)
    } else if !pointer && address(value) & ((1 << shift(level)) - 1) != 0 {
        Err(Reason::MisalignedSuperpage)
    } else {
        Ok(())
    }
}

impl Entry {
    pub(super) fn of(value: u64, level: u8) -> Self {
        if value & pte::V == 0 {
            return Self::Absent;
        }
        match form(value, level) {
            Err(reason) => Self::Malformed(reason),
            Ok(()) if value & (pte::R | pte::W | pte::X) == 0 => Self::Pointer(address(value)),
            Ok(()) => Self::Leaf,
        }
    }
}

/// What a store to a G-stage table did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TableOp {
    /// Nothing was there, now a leaf is.
    Map,
    /// A leaf went.
    Unmap,
    /// A pointer took the place of a leaf, and the table below maps the same frames.
    Split,
    /// A leaf took the place of a pointer.
    Collapse,
    /// W of a leaf was cleared.
    WriteProtect,
    /// W of a leaf was set.
    Restore,
    /// Nothing was there, now a pointer to a table is.
    Link,
    /// A pointer to a table went.
    Unlink,
    /// Anything else: other frames, other rights, A or D, another table, an entry that no walk can use.
    Change,
}

impl TableOp {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Map,
        Self::Unmap,
        Self::Split,
        Self::Collapse,
        Self::WriteProtect,
        Self::Restore,
        Self::Link,
        Self::Unlink,
        Self::Change,
    ];

    /// Its name in events and statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Split => "split",
            Self::Collapse => "collapse",
            Self::WriteProtect => "write-protect",
            Self::Restore => "restore",
            Self::Link => "link",
            Self::Unlink => "unlink",
            Self::Change => "change",
        }
    }

    /// What replacing one entry by another does; `same_frames` is asked where a table and a leaf took each other's
    /// place. `None` if neither is one.
    pub(super) fn of(old: u64, new: u64, level: u8, same_frames: bool) -> Option<Self> {
        Some(match (Entry::of(old, level), Entry::of(new, level)) {
            (Entry::Absent, Entry::Absent) => return None,
            (Entry::Absent | Entry::Malformed(_), Entry::Leaf) => Self::Map,
            (Entry::Leaf, Entry::Absent) => Self::Unmap,
            (Entry::Leaf, Entry::Pointer(_)) if same_frames => Self::Split,
            (Entry::Pointer(_), Entry::Leaf) => Self::Collapse,
            (Entry::Absent | Entry::Malformed(_), Entry::Pointer(_)) => Self::Link,
            (Entry::Pointer(_), Entry::Absent) => Self::Unlink,
            (Entry::Leaf, Entry::Leaf)
                if address(old) == address(new) && (old ^ new) & (pte::W | pte::N) == pte::W =>
            {
                if new & pte::W == 0 {
                    Self::WriteProtect
                } else {
                    Self::Restore
                }
            }
            _ => Self::Change,
        })
    }
}

/// Whether a table's entries map, one after the other, the frames of a leaf one level up.
pub(super) fn maps_frames_of(leaf: u64, level: u8, table: &[u64]) -> bool {
    let Some(below) = level.checked_sub(1) else { return false };
    table.iter().zip(0u64..).all(|(&entry, number)| {
        let frame = address(leaf) + (number << shift(below));
        // In a NAPOT entry the low bits of the PPN hold the size.
        let known = if entry & pte::N == 0 { u64::MAX } else { !0xffff };
        Entry::of(entry, below) == Entry::Leaf && (address(entry) ^ frame) & known == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: u64 = pte::V | pte::R | pte::W | pte::X | pte::U | pte::A | pte::D;

    fn leaf(address: u64, flags: u64) -> u64 {
        address >> 12 << 10 | flags
    }

    #[test]
    fn an_entry_that_no_walk_can_use_is_malformed_and_says_why() {
        for (value, level, reason) in [
            (leaf(0x1000, FLAGS), 1, Reason::MisalignedSuperpage),
            (leaf(0x20_0000, FLAGS) | 1 << 60, 1, Reason::ReservedBits),
            (pte::V | pte::W, 0, Reason::WriteOnly),
            (leaf(0x1000, pte::V), 0, Reason::NoLeaf),
            (leaf(0x1000, pte::V | pte::A), 1, Reason::PointerAttributes),
            (leaf(0x1000, pte::V | pte::N), 1, Reason::NapotReserved),
            (leaf(0x1000, FLAGS) | pte::PBMT, 0, Reason::PbmtReserved),
        ] {
            assert_eq!(Entry::of(value, level), Entry::Malformed(reason), "{value:#x}");
            assert_eq!(Entry::of(value & !pte::V, level), Entry::Absent, "{value:#x}");
        }
        assert_eq!(Entry::of(leaf(0x1000, pte::V), 1), Entry::Pointer(0x1000));
        assert_eq!(Entry::of(leaf(0x1000, FLAGS), 0), Entry::Leaf);
    }

    #[test]
    fn what_a_store_did_follows_from_the_two_entries() {
        let (a, b) = (leaf(0x20_0000, FLAGS), leaf(0x40_0000, FLAGS));
        let table = leaf(0x5000, pte::V);
        let read_only = a & !pte::W;
        for (old, new, same_frames, op) in [
            (0, a, false, Some(TableOp::Map)),
            (a, 0, false, Some(TableOp::Unmap)),
            (a, a & !pte::V, false, Some(TableOp::Unmap)),
            (a, table, true, Some(TableOp::Split)),
            (a, table, false, Some(TableOp::Change)),
            (table, a, false, Some(TableOp::Collapse)),
            (table, a, true, Some(TableOp::Collapse)),
            (a, read_only, false, Some(TableOp::WriteProtect)),
            (a, read_only & !pte::D, false, Some(TableOp::WriteProtect)),
            (read_only, a, false, Some(TableOp::Restore)),
            (a, b, false, Some(TableOp::Change)),
            (a, b & !pte::W, false, Some(TableOp::Change)),
            (a, a & !pte::A, false, Some(TableOp::Change)),
            (0, table, false, Some(TableOp::Link)),
            (table, 0, false, Some(TableOp::Unlink)),
            (table, leaf(0x6000, pte::V), false, Some(TableOp::Change)),
            (0, pte::R, false, None),
            (a, a | 1 << 54, false, Some(TableOp::Change)),
            (a | 1 << 54, a, false, Some(TableOp::Map)),
        ] {
            assert_eq!(TableOp::of(old, new, 1, same_frames), op, "{old:#x} -> {new:#x}");
        }
    }

    #[test]
    fn a_split_covers_the_frames_it_replaces_all_of_them_in_order() {
        let huge = leaf(0x8020_0000, FLAGS);
        let mut table: Vec<u64> =
            (0..512).map(|i| leaf(0x8020_0000 + i * 0x1000, FLAGS & !pte::W)).collect();
        assert!(maps_frames_of(huge, 1, &table));
        assert!(!maps_frames_of(huge, 0, &table));
        table.swap(3, 4);
        assert!(!maps_frames_of(huge, 1, &table));
        table.swap(3, 4);
        table[511] = 0;
        assert!(!maps_frames_of(huge, 1, &table));
    }
}
