//! Why an access is not permitted, in the manual's terms and without cause codes: those are the hart's.

use std::fmt;

use isa::{Gpa, Va};

use crate::access::ImplicitAccess;

/// A failed translation or a denied access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The S-stage or VS-stage does not permit it: a page fault of the access's kind.
    Page {
        /// The address that was not translated.
        va: Va,
        /// Where and why.
        why: Why,
    },
    /// The G-stage does not permit it: a guest-page fault of the *original* access's kind.
    GuestPage {
        /// The address that was not translated: the byte accessed or, for an implicit access, the VS-stage PTE.
        gpa: Gpa,
        /// What the VS-stage walk did there; `None` for the explicit access or fetch itself.
        implicit: Option<ImplicitAccess>,
        /// Where and why.
        why: Why,
    },
    /// PMP or PMA do not permit the access or one of its PTE accesses: an access fault of its kind.
    Access {
        /// Where and why.
        why: Why,
    },
}

impl Fault {
    /// Where and why.
    pub const fn why(&self) -> &Why {
        match self {
            Self::Page { why, .. } | Self::GuestPage { why, .. } | Self::Access { why } => why,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page { va, why } => write!(f, "page fault at {va}: {why}"),
            Self::GuestPage { gpa, implicit, why } => {
                let implicit = match implicit {
                    None => "",
                    Some(ImplicitAccess::Read) => " (implicit read)",
                    Some(ImplicitAccess::Write) => " (implicit write)",
                };
                write!(f, "guest-page fault at {gpa}{implicit}: {why}")
            }
            Self::Access { why } => write!(f, "access fault: {why}"),
        }
    }
}

/// Which translation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StageName {
    /// `satp`, V=0.
    S,
    /// `vsatp`, V=1: from virtual to guest physical addresses.
    Vs,
    /// `hgatp`, V=1: from guest physical to physical addresses.
    G,
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::S => "S-stage",
            Self::Vs => "VS-stage",
            Self::G => "G-stage",
        })
    }
}

/// A PTE that a walk looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PteAt {
    /// The stage it belongs to.
    pub stage: StageName,
    /// Its level, 0 for 4 KiB pages.
    pub level: u8,
    /// Its address: a gpa for the VS-stage, a pa for the others.
    pub at: u64,
    /// What it held; `None` if it could not be read.
    pub value: Option<u64>,
}

/// Where and why a translation failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Why {
    /// Why.
    pub reason: Reason,
    /// The PTE at which it failed; `None` where no PTE was involved.
    pub pte: Option<PteAt>,
}

impl Why {
    /// A reason without a PTE.
    pub(crate) const fn plain(reason: Reason) -> Self {
        Self { reason, pte: None }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if let Some(PteAt { stage, level, at, value }) = self.pte {
            let space = if stage == StageName::Vs { "gpa" } else { "pa" };
            write!(f, " ({stage} level {level} PTE at {space}:{at:#x}")?;
            if let Some(value) = value {
                write!(f, " = {value:#x}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $text:literal)*) => {
        /// Why a translation failed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }
    };
}

reasons! {
    /// The upper bits of a virtual address do not repeat the highest translated one.
    NonCanonical "the virtual address is not canonical"
    /// A guest physical address has bits above the width of `hgatp.MODE`.
    GpaTooWide "the guest physical address is too wide"
    /// V=0.
    Invalid "V is clear"
    /// R=0 and W=1.
    WriteOnly "W without R is reserved"
    /// Bits 60–54 are not zero.
    ReservedBits "reserved bits are set"
    /// A, D or U in a PTE that points to the next level.
    PointerAttributes "A, D or U in a pointer to the next level is reserved"
    /// N in a pointer, in a superpage, or with a size other than 64 KiB, or without Svnapot.
    NapotReserved "N is reserved here"
    /// A memory type in a pointer, or the reserved type 3.
    PbmtReserved "the memory type is reserved here"
    /// A memory type while PBMTE is 0 or without Svpbmt.
    PbmtDisabled "memory types are disabled"
    /// A PTE of level 0 points to a next level.
    NoLeaf "the last level is not a leaf"
    /// The low PPN bits of a superpage are not zero.
    MisalignedSuperpage "the superpage is misaligned"
    /// U=0, for U-mode or at the G-stage.
    NotUser "U is clear"
    /// U=1, for S-mode with SUM=0 or fetching.
    UserPage "U is set"
    /// Neither R nor X under MXR.
    NotReadable "no read permission"
    /// W=0.
    NotWritable "no write permission"
    /// X=0.
    NotExecutable "no execute permission"
    /// A=0 while hardware may not set it.
    AccessedClear "A is clear"
    /// D=0 while hardware may not set it.
    DirtyClear "D is clear"
    /// PMP denies it.
    Pmp "PMP denies the access"
    /// Nothing is there, or it does not support the access.
    Pma "physical memory does not support the access"
}
