//! What is accessed and how, and where it ends up.

use isa::{Gpa, Pa, Privilege, Va};

use crate::pmp::PmpAccess;

/// What an instruction does at an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Fetches an instruction.
    Fetch,
    /// Reads: loads, LR, and cache-block management, which needs the rights of a load.
    Load,
    /// Writes: stores, SC, CBO.ZERO.
    Store,
    /// Reads and writes in one step: AMOs and compare-and-swap. Page tables see a store.
    Amo,
}

/// One explicit access, or a fetch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// What is done.
    pub kind: Kind,
    /// How many bytes, at least 1. They lie in one 4 KiB page; the caller splits what does not.
    pub size: u8,
    /// The effective privilege: MPRV and HLV have been applied.
    pub privilege: Privilege,
    /// The effective V; without meaning in M.
    pub v: bool,
    /// HLVX: execute permission stands in for read permission.
    pub hlvx: bool,
}

impl Access {
    /// The right that page tables must grant.
    pub(crate) const fn right(self) -> Right {
        match self.kind {
            Kind::Fetch => Right::Execute,
            Kind::Load if self.hlvx => Right::LoadAsExecute,
            Kind::Load => Right::Load,
            Kind::Store | Kind::Amo => Right::Store,
        }
    }

    /// The rights that physical memory must grant.
    pub(crate) const fn physical_rights(self) -> PmpAccess {
        match self.kind {
            Kind::Fetch => PmpAccess::EXECUTE,
            Kind::Load => PmpAccess { execute: self.hlvx, ..PmpAccess::READ },
            Kind::Store => PmpAccess::WRITE,
            Kind::Amo => PmpAccess { read: true, ..PmpAccess::WRITE },
        }
    }
}

/// The right a leaf PTE must grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Right {
    /// R, or X where MXR lets it stand in.
    Load,
    /// X, as HLVX needs it: MXR has no say.
    LoadAsExecute,
    /// W, and D is due.
    Store,
    /// X.
    Execute,
    /// Nothing: a debugger looks, which no leaf denies.
    Look,
}

/// What the G-stage is asked to permit on behalf of a VS-stage walk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ImplicitAccess {
    /// Reading a VS-stage PTE.
    Read,
    /// Setting A or D in a VS-stage PTE.
    Write,
}

/// The page-based memory type in force [Svpbmt]: the VS-stage's unless it is PMA, then the G-stage's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum MemoryType {
    /// As the physical memory attributes say.
    #[default]
    Pma = 0,
    /// Non-cacheable, idempotent, weakly ordered.
    Nc = 1,
    /// Non-cacheable, non-idempotent, strongly ordered.
    Io = 2,
}

impl MemoryType {
    /// The type with this encoding; `None` for the reserved 3.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        match bits & 3 {
            0 => Some(Self::Pma),
            1 => Some(Self::Nc),
            2 => Some(Self::Io),
            _ => None,
        }
    }

    /// This stage's type over that of the stage below it.
    pub(crate) const fn or(self, below: Self) -> Self {
        match self {
            Self::Pma => below,
            own => own,
        }
    }
}

/// Where an access goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// Guest RAM.
    Ram {
        /// The physical address.
        pa: Pa,
    },
    /// A device: to be accessed through the bus.
    Mmio {
        /// The physical address.
        pa: Pa,
    },
}

impl Target {
    /// The physical address.
    pub const fn pa(self) -> Pa {
        match self {
            Self::Ram { pa } | Self::Mmio { pa } => pa,
        }
    }
}

/// A permitted access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Translated {
    /// Where it goes.
    pub target: Target,
    /// The guest physical address, at V=1.
    pub gpa: Option<Gpa>,
    /// The memory type that the page tables ask for.
    pub memory_type: MemoryType,
}

/// Bytes of virtual memory that somebody watches, in whatever address space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WatchedRange {
    /// The first byte.
    pub start: Va,
    /// How many bytes, at least 1. The range does not go round the end of the address space.
    pub bytes: u64,
    /// Whether reads matter.
    pub loads: bool,
    /// Whether writes matter.
    pub stores: bool,
}

impl WatchedRange {
    /// Whether any of the `bytes` bytes from `va` on is in it.
    pub const fn touches(&self, va: Va, bytes: u64) -> bool {
        va.0.saturating_add(bytes.saturating_sub(1)) >= self.start.0
            && va.0 <= self.start.0.saturating_add(self.bytes.saturating_sub(1))
    }
}
