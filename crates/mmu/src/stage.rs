//! The three stages of translation. Each is a type that holds exactly what makes it different: the address
//! spaces it joins, its root, its U and MXR rules, whether it sets A and D, and what it raises. The walk itself
//! is in [`crate::walk`], once.

use isa::{Gpa, PAGE_BITS, Pa, Privilege, Va, pte};

use crate::access::{ImplicitAccess, Right};
use crate::errata::{Errata, Erratum};
use crate::fault::{Fault, Reason, StageName, Why};
use crate::observe::Terms;

/// An address space, so that a walk can be generic over the two it joins.
pub(crate) trait Address: Copy {
    fn new(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! address {
    ($($space:ident)*) => {$(
        impl Address for $space {
            #[inline]
            fn new(bits: u64) -> Self {
                Self(bits)
            }

            #[inline]
            fn bits(self) -> u64 {
                self.0
            }
        }
    )*};
}

address! { Va Gpa Pa }

/// Bits of virtual address that one level translates.
pub(crate) const LEVEL_BITS: u32 = 9;

/// A root table and how deep its tree is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tree {
    /// The root table's address: PPN × 4096.
    pub(crate) root: u64,
    /// LEVELS: 3, 4 or 5.
    pub(crate) levels: u8,
}

impl Tree {
    /// The tree that `satp`, `vsatp` or `hgatp` names; `None` if it is Bare (or of a MODE that no hart of ours
    /// lets these registers hold).
    pub(crate) fn of(atp: u64) -> Option<Self> {
        use isa::field::satp;
        let levels = match isa::field::get(atp, satp::MODE) {
            satp::SV39 => 3,
            satp::SV48 => 4,
            satp::SV57 => 5,
            _ => return None,
        };
        Some(Self { root: (atp & satp::PPN) << PAGE_BITS, levels })
    }

    /// The width of the addresses it translates, without a stage's extra root bits.
    pub(crate) fn width(self) -> u32 {
        PAGE_BITS + LEVEL_BITS * u32::from(self.levels)
    }
}

/// One access as a stage sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Need {
    /// The right that the leaf must grant.
    pub(crate) right: Right,
    /// Set where the access is one that a VS-stage walk makes.
    pub(crate) implicit: Option<ImplicitAccess>,
}

impl Need {
    /// The access that an instruction asked for.
    pub(crate) const fn explicit(right: Right) -> Self {
        Self { right, implicit: None }
    }

    /// What the G-stage must permit for a PTE access of the VS-stage.
    pub(crate) const fn implicit(access: ImplicitAccess) -> Self {
        let right = match access {
            ImplicitAccess::Read => Right::Load,
            ImplicitAccess::Write => Right::Store,
        };
        Self { right, implicit: Some(access) }
    }
}

/// Extensions that change what a PTE may look like, the same for every stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PteFormats {
    pub(crate) svnapot: bool,
}

/// What makes a stage different from the others.
pub(crate) trait Stage: Copy {
    /// The address space it translates from.
    type In: Address;
    /// The address space it translates to, where its own page tables lie too.
    type Out: Address;
    /// Its name in reports.
    const NAME: StageName;
    /// By how many bits its root index is wider than the others.
    const ROOT_EXTRA_BITS: u32 = 0;

    /// Root and depth.
    fn tree(&self) -> Tree;
    /// What PTEs may look like.
    fn formats(&self) -> PteFormats;
    /// PBMTE: whether leaf PTEs may name memory types.
    fn memory_types(&self) -> bool;
    /// ADUE: whether the walk sets A and D; else it faults [Svade].
    fn updates_ad(&self) -> bool;
    /// Whether the upper bits of the address are as they must be.
    fn check_width(&self, input: Self::In) -> Result<(), Reason>;
    /// Step 6: the U bit.
    fn check_user(&self, flags: u64, right: Right) -> Result<(), Reason>;
    /// MXR: whether X lets this access read.
    fn execute_lets_read(&self, need: Need) -> bool;
    /// What it goes by when it judges a leaf, for reports.
    fn terms(&self, need: Need) -> Terms;
    /// What a failed walk raises.
    fn fault(&self, input: Self::In, need: Need, why: Why) -> Fault;

    /// Steps 6 and 8: whether a leaf with these flags grants the right.
    fn check_rights(&self, flags: u64, need: Need) -> Result<(), Reason> {
        if need.right != Right::Look {
            self.check_user(flags, need.right)?;
        }
        let readable = flags & pte::R != 0;
        let executable = flags & pte::X != 0;
        match need.right {
            Right::Load if readable || executable && self.execute_lets_read(need) => Ok(()),
            Right::Load => Err(Reason::NotReadable),
            Right::Store if flags & pte::W != 0 => Ok(()),
            Right::Store => Err(Reason::NotWritable),
            Right::Execute | Right::LoadAsExecute if executable => Ok(()),
            Right::Execute | Right::LoadAsExecute => Err(Reason::NotExecutable),
            Right::Look => Ok(()),
        }
    }

    /// Step 9: whether A and D are as this access needs them.
    fn check_ad(&self, flags: u64, right: Right) -> Result<(), Reason> {
        if flags & pte::A == 0 && right != Right::Look {
            return Err(Reason::AccessedClear);
        }
        if right == Right::Store && flags & pte::D == 0 {
            return Err(Reason::DirtyClear);
        }
        Ok(())
    }
}

/// What S-stage and VS-stage have in common: addresses are sign-extended and U follows the privilege.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Supervisor {
    pub(crate) tree: Tree,
    pub(crate) formats: PteFormats,
    pub(crate) privilege: Privilege,
    pub(crate) sum: bool,
    pub(crate) mxr: bool,
    pub(crate) adue: bool,
    pub(crate) pbmte: bool,
}

impl Supervisor {
    /// Whether the upper bits of `va` repeat the highest one that is translated.
    pub(crate) fn is_canonical(&self, va: Va) -> bool {
        let unused = 64 - self.tree.width();
        let extended = (va.0 << unused).cast_signed() >> unused;
        extended.cast_unsigned() == va.0
    }

    fn check_user(&self, flags: u64, right: Right) -> Result<(), Reason> {
        let user = flags & pte::U != 0;
        match (self.privilege, user) {
            (Privilege::U, false) => Err(Reason::NotUser),
            (Privilege::U, true) | (_, false) => Ok(()),
            // HLVX is an explicit load: SUM covers it although it asks for X.
            (_, true) if self.sum && right != Right::Execute => Ok(()),
            (_, true) => Err(Reason::UserPage),
        }
    }
}

/// `satp` at V=0: virtual to physical.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SStage(pub(crate) Supervisor);

/// `vsatp` at V=1: virtual to guest physical. Its PTEs have guest physical addresses, so that its walk cannot
/// read them without a G-stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VsStage(pub(crate) Supervisor);

macro_rules! supervisor_stage {
    ($stage:ident, $out:ident, $name:ident) => {
        impl Stage for $stage {
            type In = Va;
            type Out = $out;
            const NAME: StageName = StageName::$name;

            fn tree(&self) -> Tree {
                self.0.tree
            }

            fn formats(&self) -> PteFormats {
                self.0.formats
            }

            fn memory_types(&self) -> bool {
                self.0.pbmte
            }

            fn updates_ad(&self) -> bool {
                self.0.adue
            }

            fn check_width(&self, va: Va) -> Result<(), Reason> {
                if self.0.is_canonical(va) { Ok(()) } else { Err(Reason::NonCanonical) }
            }

            fn check_user(&self, flags: u64, right: Right) -> Result<(), Reason> {
                self.0.check_user(flags, right)
            }

            fn execute_lets_read(&self, _: Need) -> bool {
                self.0.mxr
            }

            fn terms(&self, need: Need) -> Terms {
                let Supervisor { privilege, sum, mxr, adue: updates_ad, .. } = self.0;
                Terms { right: need.right, privilege, sum, mxr, updates_ad }
            }

            fn fault(&self, va: Va, _: Need, why: Why) -> Fault {
                Fault::Page { va, why }
            }
        }
    };
}

supervisor_stage! { SStage, Pa, S }
supervisor_stage! { VsStage, Gpa, Vs }

/// `hgatp` at V=1: guest physical to physical. The root has two more bits, every access counts as U, MXR is that
/// of `mstatus` and covers explicit loads only, and G is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GStage {
    pub(crate) tree: Tree,
    pub(crate) formats: PteFormats,
    pub(crate) mxr: bool,
    pub(crate) adue: bool,
    pub(crate) pbmte: bool,
    pub(crate) errata: Errata,
}

impl Stage for GStage {
    type In = Gpa;
    type Out = Pa;
    const NAME: StageName = StageName::G;
    const ROOT_EXTRA_BITS: u32 = 2;

    fn tree(&self) -> Tree {
        self.tree
    }

    fn formats(&self) -> PteFormats {
        self.formats
    }

    fn memory_types(&self) -> bool {
        self.pbmte
    }

    fn updates_ad(&self) -> bool {
        self.adue
    }

    fn check_width(&self, gpa: Gpa) -> Result<(), Reason> {
        if self.errata.has(Erratum::GpaUpperBitsIgnored) {
            return Ok(());
        }
        let width = self.tree.width() + Self::ROOT_EXTRA_BITS;
        if gpa.0 >> width == 0 { Ok(()) } else { Err(Reason::GpaTooWide) }
    }

    fn check_user(&self, flags: u64, _: Right) -> Result<(), Reason> {
        if flags & pte::U != 0 { Ok(()) } else { Err(Reason::NotUser) }
    }

    fn execute_lets_read(&self, need: Need) -> bool {
        self.mxr && need.implicit.is_none()
    }

    fn terms(&self, need: Need) -> Terms {
        let mxr = self.execute_lets_read(need);
        let privilege = Privilege::U;
        Terms { right: need.right, privilege, sum: false, mxr, updates_ad: self.adue }
    }

    fn fault(&self, gpa: Gpa, need: Need, why: Why) -> Fault {
        Fault::GuestPage { gpa, implicit: need.implicit, why }
    }
}
