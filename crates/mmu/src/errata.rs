//! Errata that can be put into a hart on purpose, to see that somebody notices: what real walkers, TLBs and fences got
//! wrong, each with the place where it was published.
//!
//! Without the feature `faults` there is no way to choose one: [`Errata`] has no size, [`Errata::has`] is `false` at
//! compile time, and what an erratum would do is not in the program.

macro_rules! errata {
    ($($variant:ident $name:literal $doc:literal $source:literal)*) => {
        /// One thing that a hart can get wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Erratum {
            $(#[doc = $doc] $variant,)*
        }

        impl Erratum {
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

            /// The core and the report that it follows.
            pub const fn source(self) -> &'static str {
                match self {
                    $(Self::$variant => $source,)*
                }
            }
        }
    };
}

errata! {
    FragmentsMissed "vs-fence-misses-fragments"
        "a VS-stage fence by address misses pieces of a page that the G-stage fragments"
        "Rocket, rocket-chip#3297; XiangShan#5114"
    RefillRacesFence "refill-races-fence"
        "the last refill survives a fence by address"
        "Rocket, rocket-chip#2534"
    HlvOverrideLeaks "hlv-override-leaks"
        "the load after HLV is translated as HLV's was"
        "CVA6, cva6#3427"
    HlvxRuleOnPteReads "hlvx-rule-on-pte-reads"
        "the G-stage must let HLVX execute the guest's page tables"
        "CVA6, cva6#3425"
    HlvTaggedAsSupervisor "hlv-refill-tagged-v0"
        "what HLV brings into the TLB serves HS-mode too"
        "CVA6, cva6#3475"
    VmidUpperBitsCompared "vmid-upper-bits-compared"
        "HFENCE.GVMA compares bits of rs2 that do not exist"
        "XiangShan#5779"
    GvmaMissesTlb "hfence-gvma-misses-tlb"
        "HFENCE.GVMA does not reach the TLB"
        "Rocket with a non-blocking data cache, rocket-chip#3817"
    LevelOfGPageLost "g-page-level-lost"
        "a large page of the G-stage is kept as small ones, which fences by another address of it miss"
        "XiangShan#5087"
    HitIgnoresVmid "hit-ignores-vmid"
        "a TLB entry of another VMID hits"
        "CVA6 shared TLB, cva6#2943"
    LargeGPageComposed "g-page-larger-than-vs-page"
        "below a G-stage page larger than the VS-stage's, bits come from the virtual address"
        "XiangShan#4658"
    NapotHitSubpage "g-napot-hit-subpage"
        "a hit on a 64 KiB mapping of the G-stage takes the PTE's low bits for the address's"
        "CVA6, cva6#3569"
    GpaUpperBitsIgnored "gpa-upper-bits-ignored"
        "bits above the width of guest physical addresses are ignored"
        "Rocket, rocket-chip#3591"
    GlobalsMissed "fence-misses-globals"
        "a VS-stage fence by address misses global entries"
        "XiangShan#1859"
    AddressFenceMisses "fence-by-address-misses"
        "a VS-stage fence by address removes nothing"
        "SiFive U74 CIP-1200, Linux arch/riscv/errata/sifive"
    AdUpdateUnchecked "ad-update-unchecked"
        "A and D of the guest's PTEs are set where the G-stage grants no W"
        "Spike, riscv-isa-sim#1448"
    DirtyInTlbOnly "dirty-in-tlb-only"
        "the TLB holds D, and the PTE in memory does not"
        "Wally, cvw#1541"
    AmoFaultsAsLoad "amo-faults-as-load"
        "a guest-page fault of an AMO is one of a load"
        "Spike, riscv-isa-sim#663; NEMU#141"
    PteReadReportedAsWrite "pte-read-reported-as-write"
        "htinst tells a PTE read by a store's walk as a write"
        "QEMU 11.1.3, measured with Linux KVM"
    PteWriteReportedAsRead "pte-write-reported-as-read"
        "htinst tells an update of A and D as a read"
        "store bit hard-wired to 0, as in XiangShan#6023"
    GpaNotShifted "gpa-not-shifted"
        "HFENCE.GVMA takes rs1 for the address itself"
        "no public report known; what the manual's note on rs1 warns of"
}

/// The erratum that is in force, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Errata {
    #[cfg(feature = "faults")]
    one: Option<Erratum>,
}

impl Errata {
    /// None.
    pub const NONE: Self = Self {
        #[cfg(feature = "faults")]
        one: None,
    };

    /// This one.
    #[cfg(feature = "faults")]
    pub const fn only(erratum: Erratum) -> Self {
        Self { one: Some(erratum) }
    }

    /// Whether an erratum is in force.
    #[cfg(feature = "faults")]
    pub fn has(self, erratum: Erratum) -> bool {
        self.one == Some(erratum)
    }

    /// Whether an erratum is in force: never.
    #[cfg(not(feature = "faults"))]
    #[inline(always)]
    pub const fn has(self, _: Erratum) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_errata_have_no_size() {
        if !cfg!(feature = "faults") {
            assert_eq!(size_of::<Errata>(), 0);
        }
    }

    #[test]
    fn every_erratum_has_a_name_and_a_source() {
        let names: std::collections::BTreeSet<_> = Erratum::ALL.iter().map(|e| e.name()).collect();
        assert_eq!(names.len(), Erratum::ALL.len());
        assert!(Erratum::ALL.iter().all(|erratum| !erratum.source().is_empty()));
    }
}
