//! Translation: TLBs, and walks through the data cache.

use super::{Hierarchy, REMEMBERED, cycles};
use crate::counts::Place as Structure;
use crate::step::{Target, Walker};
use crate::tlb::{Context, Page, Walk};

impl Hierarchy {
    /// Translates a data access: the cycles of the walk.
    pub(super) fn translate(
        &mut self,
        va: u64,
        (context, mark): (Context, u64),
        walker: &mut dyn Walker,
    ) -> u32 {
        let page = (va ^ mark) >> 12;
        self.filter.leave_page();
        let tlb = &mut self.filter.tlb;
        if !context.translates() || tlb.knows(page) || tlb.has(context, va, page) {
            return 0;
        }
        self.counting.tlb_missed(Structure::Data, context);
        let (cycles, found) = self.find(Target::Data(va), va, context, walker);
        self.filter.tlb.fill(context, va, page, found);
        cycles
    }

    /// Translates a fetch from another page than that of the last one: the cycles of the walk.
    pub(super) fn translate_fetch(
        &mut self,
        va: u64,
        (context, mark): (Context, u64),
        walker: &mut dyn Walker,
    ) -> u32 {
        let page = (va ^ mark) >> 12;
        if !context.translates() || self.itlb.knows(page) || self.itlb.has(context, va, page) {
            return 0;
        }
        self.counting.tlb_missed(Structure::Instruction, context);
        let (cycles, found) = self.find(Target::Fetch(va), va, context, walker);
        self.itlb.fill(context, va, page, found);
        cycles
    }

    /// Finds a translation that the first TLB does not have: the cycles, and the page where it is kept.
    pub(super) fn find(
        &mut self,
        target: Target,
        va: u64,
        context: Context,
        walker: &mut dyn Walker,
    ) -> (u32, Option<Page>) {
        let params = self.core.translation.shared.as_ref().map(|shared| (shared.hit, shared.miss));
        let (hit, miss) = params.unwrap_or_default();
        if let Some(page) = self.shared.as_ref().and_then(|shared| shared.lookup(context, va)) {
            self.counting.shared_hit(context);
            return (cycles(hit).max(1), Some(page));
        }
        if self.shared.is_some() {
            self.counting.tlb_missed(Structure::Shared, context);
        }
        let found = walker.walk(target);
        let (walked, references) = self.walk(&found);
        self.counting.walked(context, references, found.failed, walked);
        let taken = walked + cycles(miss);
        if !self.is_kept(&found) {
            return (taken, None);
        }
        if let Some(shared) = &mut self.shared {
            shared.fill(context, va, found.page);
        }
        (taken, Some(found.page))
    }

    /// Whether the TLB keeps what a walk found.
    fn is_kept(&self, found: &Walk) -> bool {
        found.page.bits != 0 && (!found.failed || self.core.translation.keeps_faults)
    }

    /// The cycles of a walk beside waiting for the walker, and how many PTEs it reads through the data cache.
    fn walk(&mut self, found: &Walk) -> (u32, usize) {
        let (mut cycles, mut references) = (self.walk, 0);
        let last = found.reads.len().saturating_sub(1);
        for (i, &pa) in found.reads.iter().enumerate() {
            if i != last && self.remembered(pa) {
                cycles += REMEMBERED;
                continue;
            }
            references += 1;
            let lookup = self.dcache.access(pa, false);
            self.counting.pte_read(lookup.hit);
            cycles += if lookup.hit {
                self.read
            } else {
                self.filter.drop_line(lookup.slot);
                self.ask(pa, true, lookup.evicted);
                self.read_miss
            };
        }
        // None at all would be no walk.
        (cycles.max(1), references)
    }

    /// Whether the walker knows the PTE of a table at `pa`; it does from now on.
    fn remembered(&mut self, pa: u64) -> bool {
        if self.tables.is_empty() {
            return false;
        }
        let known = self.tables.iter().position(|&known| known == pa);
        self.counting.table(known.is_some());
        if let Some(slot) = known {
            self.tables_tree.touch(slot);
            return true;
        }
        let slot = self.tables_tree.victim();
        self.tables[slot] = pa;
        self.tables_tree.touch(slot);
        false
    }
}
