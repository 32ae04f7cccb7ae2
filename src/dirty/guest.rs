//! The guest of the scenarios: a bare program that first writes to every page of its working set and then to the pages that a
//! table names, for ever, at a given rate.
//!
//! What decides the pattern is data, so that every policy meets the same stores.

use anyhow::{Context, Result};
use isa::asm::{Assembled, Program};

use crate::cli::Pattern;

/// Where the program stands, and the guest starts.
pub(super) const PROGRAM: u64 = 0x8000_0000;
/// Where the table is: numbers of pages, 4 bytes each.
const TABLE: u64 = 0x8010_0000;
/// Entries of the table.
pub(super) const ENTRIES: usize = 1 << 16;
/// Where each vCPU says that it has written to every page of its part once: a doubleword each.
pub(super) const WARM: u64 = 0x8008_0000;
/// Instructions of the loop without the idle part.
pub(super) const LOOP_INSNS: u64 = 9;

/// What the guest is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Pages of the working set.
    pub(super) pages: u64,
    /// Where it begins.
    pub(super) base: u64,
    pub(super) vcpus: u64,
    /// Turns of a loop of two instructions between two stores.
    pub(super) idle: u64,
    pub(super) pattern: Pattern,
    pub(super) seed: u64,
}

impl Work {
    /// The bytes of program and table, with the addresses where they go.
    pub(super) fn image(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let program = self.program().context("the guest's program")?;
        let table = self.table().into_iter().flat_map(u32::to_le_bytes).collect();
        Ok(vec![(PROGRAM, program.bytes), (TABLE, table)])
    }

    /// `a0` holds the vCPU's number. `s2` counts stores, and is what tells two stores to a page apart, with the number below.
    fn program(&self) -> Result<Assembled, isa::asm::ProgramError> {
        let Self { pages, base, vcpus, idle, .. } = *self;
        let each = pages.div_ceil(vcpus);
        let part = 4 * ENTRIES as u64 / vcpus / 4 * 4;
        let end = TABLE + 4 * ENTRIES as u64;
        let warm = format!(
            "
                li s0, {base}; li s5, 0; mv s2, a0; addi s2, s2, 8
                li t0, {each}; mul t1, t0, a0; li t4, {pages}
                add t2, t1, t0; bgeu t4, t2, fits; mv t2, t4
        fits:   bgeu t1, t2, warmed
                slli t3, t1, 12; add t3, t3, s0; sd s2, 0(t3); addi s2, s2, 8
                addi t1, t1, 1; j fits
        warmed: li t0, {WARM}; slli t1, a0, 3; add t0, t0, t1; li t1, 1; sd t1, 0(t0)
                li s4, {TABLE}; li s3, {end}
                li t0, {part}; mul t0, t0, a0; add s1, s4, t0
            "
        );
        let work = format!(
            "
        next:   lwu t0, 0(s1); slli t0, t0, 12; add t0, t0, s0; sd s2, 0(t0)
                addi s2, s2, 8; addi s5, s5, 1; addi s1, s1, 4
                li t1, {idle}
        rest:   beqz t1, rested; addi t1, t1, -1; j rest
        rested: bltu s1, s3, next
                mv s1, s4; j next
            "
        );
        Program::new(PROGRAM).push(&warm).push(&work).finish()
    }

    /// Which pages are written, in which order.
    fn table(&self) -> Vec<u32> {
        let mut random = Random(self.seed.wrapping_mul(2).wrapping_add(1));
        let page = |number: u64| u32::try_from(number).unwrap_or(0);
        match self.pattern {
            Pattern::Seq => (0..ENTRIES as u64).map(|entry| page(entry % self.pages)).collect(),
            Pattern::Random => (0..ENTRIES).map(|_| page(random.below(self.pages))).collect(),
            Pattern::Zipf => {
                // Exponent 1: rank k is written 1/k as often as the first. Ranks lie scattered.
                let mut sums = Vec::new();
                let mut sum = 0.0;
                for rank in 1..=self.pages {
                    sum += 1.0 / rank as f64;
                    sums.push(sum);
                }
                let mut places: Vec<u32> = (0..self.pages).map(page).collect();
                for last in (1..places.len()).rev() {
                    let other = random.below(last as u64 + 1) as usize;
                    places.swap(last, other);
                }
                let draw = |_| {
                    let at = random.below(1 << 52) as f64 / (1u64 << 52) as f64 * sum;
                    let rank = sums.partition_point(|&below| below <= at);
                    places.get(rank).copied().unwrap_or(0)
                };
                (0..ENTRIES).map(draw).collect()
            }
        }
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % limit.max(1)
    }
}
