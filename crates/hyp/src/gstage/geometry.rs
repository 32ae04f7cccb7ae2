//! The geometry of G-stage trees [priv: hypervisor, "Guest Physical Address Translation"].

use isa::{Gpa, PAGE_BITS};

/// Index bits of every level but the root's.
const INDEX_BITS: u32 = 9;
/// How much wider the root's index is.
const ROOT_EXTRA_BITS: u32 = 2;

/// `hgatp.MODE` of one VM.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Three levels, guest physical addresses of 41 bits.
    Sv39x4,
    /// Four levels, 50 bits.
    Sv48x4,
    /// Five levels, 59 bits.
    Sv57x4,
}

impl Mode {
    /// The deepest tree's first.
    pub const ALL: [Self; 3] = [Self::Sv57x4, Self::Sv48x4, Self::Sv39x4];

    /// The value of the register's MODE field.
    pub const fn field(self) -> u64 {
        match self {
            Self::Sv39x4 => 8,
            Self::Sv48x4 => 9,
            Self::Sv57x4 => 10,
        }
    }

    /// The level of the root table.
    pub const fn root_level(self) -> Level {
        match self {
            Self::Sv39x4 => Level(2),
            Self::Sv48x4 => Level(3),
            Self::Sv57x4 => Level(4),
        }
    }

    /// The next level towards the root; the root's own for the root.
    pub const fn above(self, level: Level) -> Level {
        if level.0 < self.root_level().0 { Level(level.0 + 1) } else { level }
    }

    /// The width of guest physical addresses, in bits.
    pub const fn gpa_bits(self) -> u32 {
        self.root_level().bits() + INDEX_BITS + ROOT_EXTRA_BITS
    }

    /// How many PTEs a table of this level holds.
    pub const fn entries(self, level: Level) -> u64 {
        let extra = if level.0 == self.root_level().0 { ROOT_EXTRA_BITS } else { 0 };
        1 << (INDEX_BITS + extra)
    }

    /// Bytes of the root table, which is aligned to its size.
    pub const fn root_bytes(self) -> u64 {
        self.entries(self.root_level()) * PTE_BYTES
    }

    /// The index of an address in a table of this level.
    pub const fn index(self, level: Level, gpa: Gpa) -> u64 {
        gpa.0 >> level.bits() & (self.entries(level) - 1)
    }

    /// Whether the address can be translated: bits above the width are zero, never a sign extension.
    pub const fn covers(self, gpa: Gpa) -> bool {
        gpa.0 >> self.gpa_bits() == 0
    }
}

/// Bytes of a PTE.
pub const PTE_BYTES: u64 = 8;

/// The level of a table: a leaf of level 0 maps 4 KiB, each next level 512 times as much.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Level(u8);

impl Level {
    /// Leaves of 4 KiB, or of 64 KiB by Svnapot.
    pub const PAGE: Self = Self(0);
    /// Leaves of 2 MiB.
    pub const MEGA: Self = Self(1);
    /// Leaves of 1 GiB.
    pub const GIGA: Self = Self(2);

    /// log2 of what one entry spans.
    pub const fn bits(self) -> u32 {
        PAGE_BITS + INDEX_BITS * self.0 as u32
    }

    /// Bytes that one entry spans.
    pub const fn bytes(self) -> u64 {
        1 << self.bits()
    }

    /// The next level towards the leaves.
    pub const fn below(self) -> Option<Self> {
        match self.0 {
            0 => None,
            level => Some(Self(level - 1)),
        }
    }

    /// Its number, 0 for pages.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// How much a mapping maps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// 4 KiB.
    Page,
    /// 64 KiB: sixteen PTEs of level 0 that say the same [Svnapot].
    Napot,
    /// 2 MiB.
    Mega,
    /// 1 GiB.
    Giga,
}

impl Size {
    /// Bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Page => 1 << PAGE_BITS,
            Self::Napot => 1 << (PAGE_BITS + 4),
            Self::Mega => Level::MEGA.bytes(),
            Self::Giga => Level::GIGA.bytes(),
        }
    }

    /// The level of its PTEs.
    pub const fn level(self) -> Level {
        match self {
            Self::Page | Self::Napot => Level::PAGE,
            Self::Mega => Level::MEGA,
            Self::Giga => Level::GIGA,
        }
    }

    /// How many PTEs say it.
    pub const fn ptes(self) -> u64 {
        match self {
            Self::Napot => 16,
            _ => 1,
        }
    }
}
