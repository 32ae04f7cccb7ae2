//! What the hypervisor owes after it changed PTEs: fences, and then the frames that no walker reaches any more.
//!
//! Changing a PTE and fencing are two steps because one fence can serve many changes, and because a
//! fence on another hart takes an interrupt. Between the two a walker may use the old PTE, the new one
//! or both [priv: hypervisor, "Memory-Management Fences"]; so nothing that was unlinked may be reused.

use isa::{Gpa, Pa};

use crate::gstage::geometry::Level;

/// Why a fence is owed.
///
/// The later a reason stands here, the more it forbids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// A PTE became valid. Without Svvptc a hart may go on faulting until it is fenced; nothing else can
    /// go wrong, so that the fence may wait for such a fault.
    Mapped,
    /// A right was added: as [`Why::Mapped`], but Svvptc does not help.
    Raised,
    /// A right, A or D was taken away.
    Lowered,
    /// A mapping went away, or points elsewhere.
    Unmapped,
    /// A leaf became a table of smaller leaves.
    Split,
    /// A table went away: unlinked, or replaced by a leaf.
    Unlinked,
}

impl Why {
    /// Whether the guest could do what it must not until the fence; else it could only fault needlessly.
    pub const fn is_due(self) -> bool {
        !matches!(self, Self::Mapped | Self::Raised)
    }
}

/// One HFENCE.GVMA to execute on every hart that may hold translations of the VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fence {
    /// Fences by guest physical address: one for each `stride` bytes from `gpa`.
    Leaves {
        /// The first address.
        gpa: Gpa,
        /// How far they reach.
        bytes: u64,
        /// What one fence covers: the size of the leaf that was there. For a 64 KiB mapping it is a
        /// page, since a fence by address need not cover more of it [Svnapot].
        stride: u64,
        /// The strongest reason.
        why: Why,
    },
    /// A fence without address (rs1=x0): the only one that covers PTEs that are not leaves.
    Everything {
        /// The strongest reason.
        why: Why,
    },
}

impl Fence {
    /// Why it is owed.
    pub const fn why(self) -> Why {
        match self {
            Self::Leaves { why, .. } | Self::Everything { why } => why,
        }
    }

    /// How many HFENCE.GVMA instructions it takes.
    pub const fn instructions(self) -> u64 {
        match self {
            Self::Leaves { bytes, stride, .. } => bytes / stride,
            Self::Everything { .. } => 1,
        }
    }
}

/// One instruction of a fence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FenceInsn {
    /// HFENCE.GVMA; `None` stands for rs1=x0.
    HfenceGvma(Option<Gpa>),
    /// SFENCE.W.INVAL: stores before it are seen by the HINVAL.GVMA after it.
    WInval,
    /// HINVAL.GVMA, which takes effect with the SFENCE.INVAL.IR behind it.
    HinvalGvma(Gpa),
    /// SFENCE.INVAL.IR.
    InvalIr,
}

impl Fence {
    /// What a hart executes, each under the VM's VMID in rs2: HFENCE.GVMA for each stride, or with Svinval HINVAL.GVMA
    /// in a bracket where there is more than one.
    pub fn sequence(self, svinval: bool) -> impl Iterator<Item = FenceInsn> {
        let (first, stride, count) = match self {
            Self::Leaves { gpa, bytes, stride, .. } => (Some(gpa), stride, bytes / stride),
            Self::Everything { .. } => (None, 0, 1),
        };
        let bracket = svinval && count > 1;
        let body = (0..count).map(move |index| match first {
            Some(Gpa(gpa)) if bracket => FenceInsn::HinvalGvma(Gpa(gpa + index * stride)),
            Some(Gpa(gpa)) => FenceInsn::HfenceGvma(Some(Gpa(gpa + index * stride))),
            None => FenceInsn::HfenceGvma(None),
        });
        let before = bracket.then_some(FenceInsn::WInval);
        let after = bracket.then_some(FenceInsn::InvalIr);
        before.into_iter().chain(body).chain(after)
    }
}

/// More fences by address than this become one fence without. Linux changes over at the same number of
/// instructions.
const INSTRUCTIONS_MAX: u64 = 512;
/// More ranges than this do, too, so that what is owed stays small.
const RANGES_MAX: usize = 64;

/// A table that was collapsed into the leaf at `leaf`: a walker that still reads the table may set A and D in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Collapsed {
    pub(super) leaf: Pa,
    pub(super) table: Pa,
}

/// Fences that are owed and what may happen after them.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
#[must_use = "the fences are owed"]
pub struct Duties {
    fences: Vec<Fence>,
    pub(crate) freed: Vec<Pa>,
    pub(super) collapsed: Vec<Collapsed>,
}

impl Duties {
    /// The fences, in an order of no importance.
    pub fn fences(&self) -> &[Fence] {
        &self.fences
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty() && self.freed.is_empty()
    }

    /// Whether a guest must not run before the fences are done.
    pub fn is_due(&self) -> bool {
        self.fences.iter().any(|fence| fence.why().is_due())
    }

    pub(super) fn leaf(&mut self, gpa: Gpa, bytes: u64, stride: u64, why: Why) {
        if let [Fence::Everything { why: all }] = &mut self.fences[..] {
            *all = why.max(*all);
            return;
        }
        for fence in &mut self.fences {
            let Fence::Leaves { gpa: first, bytes: reach, stride: unit, why: reason } = fence
            else {
                continue;
            };
            let end = first.0.saturating_add(*reach);
            if *unit != stride || gpa.0 > end || gpa.0 < first.0 {
                continue;
            }
            *reach = (*reach).max((gpa.0 - first.0).saturating_add(bytes));
            *reason = why.max(*reason);
            return self.limit();
        }
        self.fences.push(Fence::Leaves { gpa, bytes, stride, why });
        self.limit();
    }

    pub(super) fn everything(&mut self, why: Why) {
        let why = self.fences.iter().map(|fence| fence.why()).fold(why, Why::max);
        self.fences.clear();
        self.fences.push(Fence::Everything { why });
    }

    pub(super) fn unlinked(&mut self, table: Pa) {
        self.freed.push(table);
        self.everything(Why::Unlinked);
    }

    pub(super) fn collapsed_into(&mut self, leaf: Pa, table: Pa) {
        self.collapsed.push(Collapsed { leaf, table });
        self.unlinked(table);
    }

    fn limit(&mut self) {
        let instructions: u64 = self.fences.iter().map(|fence| fence.instructions()).sum();
        if instructions > INSTRUCTIONS_MAX || self.fences.len() > RANGES_MAX {
            self.everything(Why::Mapped);
        }
    }
}

/// What one fence by address must name, for a leaf of this level.
pub(super) fn stride_of(level: Level, napot: bool) -> u64 {
    if napot { Level::PAGE.bytes() } else { level.bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    #[test]
    fn neighbours_of_one_stride_share_a_range() {
        let mut duties = Duties::default();
        for page in 0..8 {
            duties.leaf(Gpa(0x20_0000 + page * PAGE), PAGE, PAGE, Why::Lowered);
        }
        assert_eq!(duties.fences().len(), 1);
        assert_eq!(duties.fences()[0].instructions(), 8);
    }

    #[test]
    fn too_many_fences_by_address_become_one_without() {
        let mut duties = Duties::default();
        duties.leaf(Gpa(0), 512 * PAGE, PAGE, Why::Unmapped);
        assert_eq!(duties.fences()[0].instructions(), 512);
        duties.leaf(Gpa(1 << 30), PAGE, PAGE, Why::Mapped);
        assert_eq!(duties.fences(), [Fence::Everything { why: Why::Unmapped }]);
    }

    #[test]
    fn a_needless_reason_never_hides_a_due_one() {
        let mut duties = Duties::default();
        duties.leaf(Gpa(0), PAGE, PAGE, Why::Lowered);
        duties.leaf(Gpa(PAGE), PAGE, PAGE, Why::Mapped);
        assert!(duties.is_due());
        duties.everything(Why::Mapped);
        assert!(duties.is_due());
        duties.leaf(Gpa(0), PAGE, PAGE, Why::Mapped);
        assert_eq!(duties.fences(), [Fence::Everything { why: Why::Lowered }]);
    }

    #[test]
    fn what_lies_between_two_ranges_is_not_fenced() {
        let mut duties = Duties::default();
        duties.leaf(Gpa(0), PAGE, PAGE, Why::Lowered);
        duties.leaf(Gpa(2 * PAGE), PAGE, PAGE, Why::Lowered);
        assert_eq!(duties.fences().iter().map(|fence| fence.instructions()).sum::<u64>(), 2);
    }

    #[test]
    fn many_addresses_are_invalidated_in_a_bracket_where_the_harts_have_svinval() {
        let fence =
            Fence::Leaves { gpa: Gpa(0x1000), bytes: 2 * PAGE, stride: PAGE, why: Why::Split };
        let plain: Vec<FenceInsn> = fence.sequence(false).collect();
        let [one, two] = [Gpa(0x1000), Gpa(0x2000)];
        assert_eq!(plain, [one, two].map(|gpa| FenceInsn::HfenceGvma(Some(gpa))));
        let bracket: Vec<FenceInsn> = fence.sequence(true).collect();
        let inside = [one, two].map(FenceInsn::HinvalGvma);
        assert_eq!(bracket, [FenceInsn::WInval, inside[0], inside[1], FenceInsn::InvalIr]);
        let all = Fence::Everything { why: Why::Unlinked };
        assert!(all.sequence(true).eq([FenceInsn::HfenceGvma(None)]));
    }

    #[test]
    fn fresh_mappings_alone_are_not_due() {
        let mut duties = Duties::default();
        duties.leaf(Gpa(0), PAGE, PAGE, Why::Mapped);
        assert!(!duties.is_due() && !duties.is_empty());
    }
}
