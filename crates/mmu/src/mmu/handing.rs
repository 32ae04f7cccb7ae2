//! What of its translations an MMU hands to the native TLB, and what it takes back.

use std::num::NonZeroU16;

use isa::{PAGE_BYTES, Pa, Privilege, Va};

use super::Mmu;
use crate::access::{Access, Kind, Right, Target};
use crate::chunks::{CHUNK, CHUNK_BITS, CHUNK_BYTES};
use crate::context::ContextKey;
use crate::native::Uses;
use crate::pmp::PageVerdict;
use crate::resolve::Mapping;
use crate::spaces::{Handed, Space};
use crate::tlb::Held;

/// What a page must be good for.
#[inline]
fn needed_for(kind: Kind) -> Uses {
    let (read, write) = match kind {
        Kind::Fetch => return Uses { execute: true, ..Uses::default() },
        Kind::Load => (true, false),
        Kind::Store => (false, true),
        Kind::Amo => (true, true),
    };
    Uses { read, write, execute: false }
}

/// When so many address spaces are fenced at once, starting over is cheaper than finding what came from each.
const MANY_SPACES: usize = 16;

/// Whether pointer masking would change this address: the upper 7 bits do not repeat the next one. Only a guest
/// physical address of Sv57x4 can be such a one and lead anywhere. The native TLB is asked before anything is
/// masked, and so must not hold it.
fn ignores_bits(va: Va) -> bool {
    (va.0 << 7) as i64 >> 7 != va.0 as i64
}

impl Mmu {
    /// Where in RAM an access goes that the fast path does not serve, if an earlier one to its page, or its chunk, tells;
    /// the fast path serves the page from now on. The access lies in one page. [`Mmu::translate`] says the same, more
    /// slowly.
    pub fn recall(&mut self, va: Va, access: Access) -> Option<Pa> {
        let mode = (access.privilege, access.v);
        let is_fetch = access.kind == Kind::Fetch;
        if access.hlvx || mode != (if is_fetch { self.fetch } else { self.data }) {
            return None;
        }
        self.recall_in(self.native.context(is_fetch), mode, va.0, needed_for(access.kind))
    }

    /// The same for an ordinary load or store, wherever in RAM it goes: says whether the fast path serves its page from now on, unless
    /// the page is watched.
    #[inline]
    pub fn recall_data(&mut self, va: u64, kind: Kind) -> bool {
        self.recall_in(self.native.context(false), self.data, va, needed_for(kind)).is_some()
    }

    /// Recalls a page in the context `own`, which is that of this privilege and V.
    #[inline]
    fn recall_in(
        &mut self,
        own: NonZeroU16,
        (privilege, v): (Privilege, bool),
        va: u64,
        needed: Uses,
    ) -> Option<Pa> {
        let found = self.native.recall(own, own, va, needed);
        if found.is_some() {
            return found;
        }
        let global = self.context_key(privilege, v).global();
        let global = self.contexts.known(global)?;
        self.native.recall(own, global, va, needed)
    }

    /// Hands a permitted page to the native TLB, if it is RAM, the TLB keeps its translation, and PMP says the same
    /// all over it. Says whether it did.
    pub(super) fn install(
        &mut self,
        va: Va,
        access: Access,
        mapping: &Mapping,
        target: Target,
    ) -> bool {
        let Target::Ram { pa } = target else { return false };
        if mapping.held == Held::Not || access.hlvx || ignores_bits(va) {
            return false;
        }
        let PageVerdict::Uniform(granted) = self.pmp.page_verdict(pa, access.privilege) else {
            return false;
        };
        let leaves = &mapping.leaves;
        let uses = if access.kind == Kind::Fetch {
            Uses { execute: granted.execute, ..Uses::default() }
        } else {
            Uses {
                read: granted.read && leaves.permit(Right::Load),
                write: granted.write && leaves.permit(Right::Store),
                execute: false,
            }
        };
        let uses = self.unwatched(va, uses);
        let handed = Handed { data: uses.read || uses.write, code: uses.execute };
        let number = self.context_number(access.privilege, access.v);
        let (smallest, largest) = self.tlb.note_handed(mapping.held, handed);
        let kept = if leaves.are_global() {
            let key = self.context_key(access.privilege, access.v).global();
            self.contexts.number(key).unwrap_or(number)
        } else {
            number
        };
        // With a large leaf chunks go, and not the pages of one that the other stage cut up.
        let of_chunk = smallest >= CHUNK_BITS && self.is_plain_chunk(pa, access.privilege);
        if of_chunk {
            self.native.install_of_chunk(number, va.0, pa, uses);
        } else {
            self.native.install(number, va.0, pa, uses);
        }
        if of_chunk && handed.anything() {
            self.native.keep_chunk(kept, va.0, pa, uses);
        } else if largest < CHUNK_BITS && handed.anything() {
            self.native.keep_page(kept, va.0, pa, uses);
        }
        handed.anything()
    }

    /// Whether all of the chunk around `pa` is RAM where PMP says the same, and nobody watches virtual memory.
    fn is_plain_chunk(&self, pa: Pa, privilege: Privilege) -> bool {
        let start = Pa(pa.0 & CHUNK);
        self.watched.is_empty()
            && self.ram.contains(start, CHUNK_BYTES)
            && self.pmp.verdict(start, CHUNK_BYTES, privilege) != PageVerdict::Mixed
    }

    /// What is left of `uses` for the page of `va` when its watched bytes are not to be reached natively.
    fn unwatched(&self, va: Va, uses: Uses) -> Uses {
        let mut left = uses;
        for range in self.watched.iter().filter(|range| range.touches(va.page(), PAGE_BYTES)) {
            left.read &= !range.loads;
            left.write &= !range.stores;
        }
        left
    }

    /// Drops from the native TLB what came from entries that the TLB no longer keeps.
    pub(super) fn follow_tlb(&mut self) {
        let Self { tlb, contexts, native, removed, .. } = self;
        tlb.removed(removed);
        if removed.is_empty() {
            return;
        }
        if removed.spaces.len() > MANY_SPACES {
            removed.spaces.clear();
            removed.pages.clear();
            self.withdraw_everything();
            self.select_contexts();
            return;
        }
        let (mut retired, mut code) = (false, false);
        for (space, handed) in removed.spaces.drain(..) {
            retired |= contexts.retire(space);
            code |= handed.code;
        }
        for (space, page) in removed.pages.drain(..) {
            code |= page.handed.code;
            let by_va = !matches!(space, Space::G { .. });
            if by_va {
                for number in contexts.using(space) {
                    native.drop_leaf(number, page.input, u32::from(page.bits));
                }
            } else {
                retired |= contexts.retire(space);
            }
        }
        self.epoch += u64::from(code);
        if retired {
            self.native.retired();
            self.select_contexts();
        }
    }

    /// Points the fast path at the contexts of the current privileges.
    pub(super) fn select_contexts(&mut self) {
        let keys = [self.data, self.fetch].map(|(privilege, v)| self.context_key(privilege, v));
        let numbers = keys.map(|key| self.contexts.number(key));
        let numbers = match numbers {
            [Some(data), Some(fetch)] => [data, fetch],
            _ => {
                self.withdraw_everything();
                keys.map(|key| self.contexts.number(key).unwrap_or(NonZeroU16::MIN))
            }
        };
        self.native.set_contexts(numbers[0], numbers[1]);
    }

    fn context_key(&self, privilege: Privilege, v: bool) -> ContextKey {
        ContextKey::new(&self.csrs, privilege, v, self.config.shape.tag_vs_roots)
    }

    /// The context number of accesses with this privilege and V.
    fn context_number(&mut self, privilege: Privilege, v: bool) -> NonZeroU16 {
        let key = self.context_key(privilege, v);
        if let Some(number) = self.contexts.number(key) {
            return number;
        }
        self.withdraw_everything();
        self.select_contexts();
        self.contexts.number(key).unwrap_or(NonZeroU16::MIN)
    }

    /// Withdraws every context number and native entry.
    pub(super) fn withdraw_everything(&mut self) {
        self.native.clear();
        self.contexts.reset();
        self.epoch += 1;
    }
}
