//! One PTE of a G-stage table.
//!
//! The hypervisor writes PTEs of three forms only: zero, a pointer, and a leaf with U set, since the
//! G-stage treats every access as one of U-mode [priv: hypervisor, "Guest Physical Address Translation"].

use isa::{PAGE_BITS, PAGE_BYTES, Pa, pte};

use crate::gstage::geometry::{Level, Size};

/// What a mapping lets the guest do besides reading, which it always may.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rights {
    /// Stores.
    pub write: bool,
    /// Fetches.
    pub execute: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self { write: true, execute: true };
    /// Everything but stores.
    pub const READ_ONLY: Self = Self { write: false, execute: true };
}

/// What a leaf is to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// The frame, aligned to the size.
    pub pa: Pa,
    /// How much it maps.
    pub size: Size,
    /// What the guest may do.
    pub rights: Rights,
    /// Whether D is set from the start; if not, the first store through it sets D (Svadu) or faults.
    pub dirty: bool,
}

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pte(pub u64);

/// What a PTE says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Nothing is mapped.
    Absent,
    /// The table of the next level lies there.
    Table(Pa),
    /// A mapping.
    Leaf,
}

/// PPN bits 3–0 of a PTE that maps 64 KiB.
const NAPOT_64K: u64 = 0b1000;

impl Pte {
    /// Maps nothing.
    pub const ABSENT: Self = Self(0);

    /// A pointer to a table.
    pub const fn table(frame: Pa) -> Self {
        Self(frame.0 >> PAGE_BITS << pte::PPN_SHIFT | pte::V)
    }

    /// A leaf. A is set: the hypervisor clears it only to learn what is used.
    pub const fn leaf(leaf: &Leaf) -> Self {
        let mut bits = leaf.pa.0 >> PAGE_BITS << pte::PPN_SHIFT;
        bits |= pte::V | pte::R | pte::U | pte::A;
        if leaf.rights.write {
            bits |= pte::W;
        }
        if leaf.rights.execute {
            bits |= pte::X;
        }
        if leaf.dirty {
            bits |= pte::D;
        }
        if matches!(leaf.size, Size::Napot) {
            bits |= pte::N | NAPOT_64K << pte::PPN_SHIFT;
        }
        Self(bits)
    }

    /// What it says.
    pub const fn form(self) -> Form {
        if self.0 & pte::V == 0 {
            Form::Absent
        } else if self.0 & (pte::R | pte::W | pte::X) == 0 {
            Form::Table(self.frame())
        } else {
            Form::Leaf
        }
    }

    const fn frame(self) -> Pa {
        Pa((self.0 & pte::PPN) >> pte::PPN_SHIFT << PAGE_BITS)
    }

    /// Whether it is one of the sixteen of a 64 KiB mapping.
    pub const fn is_napot(self) -> bool {
        self.0 & pte::N != 0
    }

    /// The first byte that a leaf maps to.
    pub const fn target(self) -> Pa {
        let frame = self.frame();
        if self.is_napot() { Pa(frame.0 & !(Size::Napot.bytes() - 1)) } else { frame }
    }

    /// How much a leaf of this level maps.
    pub const fn span(self, level: Level) -> u64 {
        if self.is_napot() { Size::Napot.bytes() } else { level.bytes() }
    }

    /// Whether stores are allowed.
    pub const fn is_writable(self) -> bool {
        self.0 & pte::W != 0
    }

    /// Whether A is set.
    pub const fn is_accessed(self) -> bool {
        self.0 & pte::A != 0
    }

    /// Whether D is set.
    pub const fn is_dirty(self) -> bool {
        self.0 & pte::D != 0
    }

    /// What a leaf lets the guest do.
    pub const fn rights(self) -> Rights {
        Rights { write: self.is_writable(), execute: self.0 & pte::X != 0 }
    }

    /// The same with these bits set.
    #[must_use]
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }

    /// The same with these bits clear.
    #[must_use]
    pub const fn without(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }

    /// The leaf of the level below that maps part `index` of what this leaf maps. Rights, A, D and memory type
    /// are its parent's, so a split changes nothing that the guest can see.
    #[must_use]
    pub const fn child(self, index: u64, below: Level) -> Self {
        Self(self.0 + (((index * below.bytes()) >> PAGE_BITS) << pte::PPN_SHIFT))
    }

    /// The PTE of one page of a 64 KiB mapping.
    #[must_use]
    pub const fn napot_page(self, index: u64) -> Self {
        let flags = self.0 & !(pte::PPN | pte::N);
        Self(flags | (self.target().0 + index * PAGE_BYTES) >> PAGE_BITS << pte::PPN_SHIFT)
    }
}

impl std::fmt::Debug for Pte {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [(u64, char); 8] = [
            (pte::D, 'D'),
            (pte::A, 'A'),
            (pte::G, 'G'),
            (pte::U, 'U'),
            (pte::X, 'X'),
            (pte::W, 'W'),
            (pte::R, 'R'),
            (pte::V, 'V'),
        ];
        let flags: String =
            NAMES.iter().map(|(bit, name)| if self.0 & bit != 0 { *name } else { '-' }).collect();
        let napot = if self.is_napot() { " N" } else { "" };
        write!(f, "{:#x}{napot} {flags}", self.frame().0)
    }
}
