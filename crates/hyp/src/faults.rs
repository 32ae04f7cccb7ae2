//! Faults that can be put into this crate on purpose, to see that somebody notices.
//!
//! Without the feature `faults` there is no way to choose one: [`Faults`] has no size, [`Faults::has`] is `false` at
//! compile time, and what a fault would do is not in the program.

macro_rules! faults {
    ($($variant:ident $name:literal $doc:literal)*) => {
        /// One thing that a hypervisor can get wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Fault {
            $(#[doc = $doc] $variant,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name on a command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it does, in a line.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }
    };
}

faults! {
    NoFenceAfterSplit "no-fence-after-split"
        "a leaf becomes a table, and no fence follows"
    SplitFencedOnOtherLevelOnly "split-other-levels-unfenced"
        "two levels are split, and one fence of the upper leaf's first address is taken to cover both"
    FenceBeforeStore "fence-before-store"
        "the fence is executed before the PTEs are written"
    NoFenceAfterLowering "no-fence-after-protection"
        "rights are taken away, and no fence follows"
    CollapseFencedByAddress "collapse-fenced-by-address"
        "a table becomes a leaf, and the fence names an address"
    UnlinkFencedByAddress "unlink-fenced-by-address"
        "an empty table is unlinked, and the fence names an address"
    NapotFencedOnce "napot-fenced-once"
        "one address is fenced for a mapping of 64 KiB"
    NapotChangedOnce "napot-changed-once"
        "one of the sixteen PTEs of a 64 KiB mapping is changed"
    RangeFencedOnce "range-fenced-once"
        "the first address of a range is fenced, and not the others"
    FlushDroppedAtLockRelease "flush-dropped-at-lock-release"
        "the lock is released in the middle of a range, and what was owed until then is forgotten"
    ResumeSkipsLeaf "resume-skips-a-leaf"
        "after the lock was released the operation goes on one leaf too far"
    ChildGainsW "child-gains-w"
        "a child of a split leaf is writable although the leaf was not"
    ChildLosesW "child-loses-w"
        "a child of a split leaf is not writable although the leaf was"
    ChildLosesDirty "child-loses-dirty"
        "the children of a split leaf are clean although the leaf was dirty"
    WrongChildFrame "wrong-child-frame"
        "one child of a split leaf maps its neighbour's frame"
    SplitErrorIgnored "split-enomem-ignored"
        "there is no table to split with, and the larger leaf is given the rights meant for a page"
    MarkForgotten "mark-forgotten"
        "a write fault makes a page writable without a mark in the log"
    MarkTooEarly "mark-too-early"
        "a page is marked before it is known whether it can be made writable"
    MarkTooLate "mark-too-late"
        "a page is marked at the next fault, not before it is made writable"
    MarkOfFirstPage "mark-of-first-page"
        "the mark goes to the first page of the block that the fault is in"
    ReadFaultMakesWritable "read-fault-makes-writable"
        "a read fault while writes are logged maps the page writable, without a mark"
    ClearWithoutProtection "clear-without-protection"
        "bits of the log are cleared, and the pages stay writable"
    MaskOffByOne "mask-off-by-one"
        "the mask of a request to clear is applied one page too far"
    PromotionWhileLogging "promotion-while-logging"
        "a fault maps a large leaf while writes are logged"
    RightsOnFirstPage "rights-on-first-page"
        "a fault in a block looks at the block's first page in place of the one that faulted"
    ReadOnlyMadeWritable "read-only-made-writable"
        "a write fault under logging makes a present page writable although its memory is read-only"
    TableFreedEarly "table-freed-early"
        "an unlinked table is given back before the fence"
    TableNeverFreed "table-never-freed"
        "an unlinked table is never given back"
    TableReused "table-reused"
        "an unlinked table becomes the next new one at once"
    MisalignedBlock "misaligned-block"
        "a large leaf maps memory that is less aligned than it"
    BlockBeyondSlot "block-beyond-slot"
        "a large leaf reaches beyond the slot"
    UnmapMissesLastLeaf "unmap-misses-last-leaf"
        "a slot goes, and its last page stays mapped"
    MoveWithoutUnmap "move-without-unmap"
        "a slot moves, and its memory stays mapped where it was"
    VmidReusedWithoutFence "vmid-reused-without-fence"
        "VMIDs begin anew, and no fence removes what harts hold under them"
    FenceUnderOldVmid "fence-under-old-vmid"
        "fences name the VMID that the VM had first"
    GvmaWhereVvmaIsDueToo "gvma-where-vvma-is-due"
        "a vCPU that comes to a hart executes HFENCE.GVMA in place of HFENCE.VVMA"
    RemoteHartsForgotten "remote-harts-forgotten"
        "one of the harts that a VM runs on executes the fence"
    AbsentHartForgotten "absent-hart-forgotten"
        "a hart that missed fences while the VM was not on it makes up for none"
    RingOverflowForgotten "ring-overflow-forgotten"
        "a page that finds the dirty ring full is not marked anywhere"
    RingResetWithoutProtection "ring-reset-without-protection"
        "entries of the dirty ring are reset, and the pages stay writable"
}

/// The fault that is in force, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    #[cfg(feature = "faults")]
    one: Option<Fault>,
}

impl Faults {
    /// None.
    pub const NONE: Self = Self {
        #[cfg(feature = "faults")]
        one: None,
    };

    /// This one.
    #[cfg(feature = "faults")]
    pub const fn only(fault: Fault) -> Self {
        Self { one: Some(fault) }
    }

    /// Whether a fault is in force.
    #[cfg(feature = "faults")]
    pub fn has(self, fault: Fault) -> bool {
        self.one == Some(fault)
    }

    /// Whether a fault is in force: never.
    #[cfg(not(feature = "faults"))]
    #[inline(always)]
    pub const fn has(self, _: Fault) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_faults_have_no_size() {
        if !cfg!(feature = "faults") {
            assert_eq!(size_of::<Faults>(), 0);
        }
    }

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Fault::ALL.iter().map(|f| f.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
    }
}
