//! What one hart is built like.

use isa::{ExtSet, Pa};
use mmu::{Errata, Shape};
use timing::Clock;

/// What a misaligned load or store to main memory does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Misaligned {
    /// The hart performs it, byte by byte where it crosses a page.
    #[default]
    Handle,
    /// It raises an address-misaligned exception.
    Trap,
}

/// The choices the manual leaves to an implementation.
#[derive(Clone, Debug)]
pub struct HartConfig {
    /// `mhartid`.
    pub hartid: u64,
    /// The extensions built in.
    pub exts: ExtSet,
    /// PMP entries: 0, 16 or 64.
    pub pmp_entries: usize,
    /// ASIDLEN, at most 16.
    pub asid_bits: u32,
    /// VMIDLEN, at most 14.
    pub vmid_bits: u32,
    /// GEILEN: guest external interrupt lines, at most 63.
    pub geilen: u32,
    /// The architectural TLB.
    pub shape: Shape,
    /// Misaligned data accesses.
    pub misaligned: Misaligned,
    /// Cycles and ticks.
    pub clock: Clock,
    /// Where reset starts.
    pub reset_pc: Pa,
    /// Seed of the entropy source behind the `seed` CSR.
    pub seed: u64,
    /// What it gets wrong on purpose.
    pub errata: Errata,
}

impl HartConfig {
    /// A hart with these extensions and the defaults for all else.
    pub fn new(hartid: u64, exts: ExtSet) -> Self {
        Self {
            hartid,
            exts,
            pmp_entries: 16,
            asid_bits: 16,
            vmid_bits: 14,
            geilen: 0,
            shape: Shape::default(),
            misaligned: Misaligned::Handle,
            clock: Clock::default(),
            reset_pc: Pa(0x8000_0000),
            seed: 0,
            errata: Errata::NONE,
        }
    }
}
