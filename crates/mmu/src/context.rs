//! Translation contexts: everything besides the address that decides a translation *at once*, as a small number
//! that fits into a native TLB tag.
//!
//! A change that the manual lets take effect only with a fence (a root, unless the TLB tags roots; PBMTE, ADUE) is not
//! part of it. Numbers are
//! given out in turn; when they run out, all are withdrawn together with the native entries under them.

use std::num::NonZeroU16;

use isa::Privilege;

use crate::config::TranslationCsrs;
use crate::spaces::{Asid, Space};
use crate::stage::Tree;

/// One more than the highest number: numbers have 8 bits, and 0 is none.
pub(crate) const NUMBERS: u16 = 256;
/// How many keys are found at once.
const RECENT: usize = 64;

const KIND_UNTRANSLATED: u64 = 1;
const KIND_S: u64 = 2;
const KIND_GUEST: u64 = 3;

const KIND: u32 = 0;
/// A privilege that PMP or U tells from the other: M if untranslated, U elsewhere.
const SPECIAL: u32 = 2;
const SUM: u32 = 3;
const MXR: u32 = 4;
const VS_MXR: u32 = 5;
const VS_PAGED: u32 = 6;
const G_PAGED: u32 = 7;
const ASID: u32 = 8;
const VMID: u32 = 24;
/// The second level of the native TLB keeps global pages once for all ASIDs.
const GLOBAL: u32 = 40;

/// What a context number stands for, packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ContextKey {
    bits: u64,
    /// `vsatp.PPN`, if VS-stage entries are tagged with it.
    root: u64,
}

impl ContextKey {
    /// The context of accesses with this privilege and V.
    pub(crate) fn new(
        csrs: &TranslationCsrs,
        privilege: Privilege,
        v: bool,
        tag_vs_roots: bool,
    ) -> Self {
        let bit = |at: u32, value: bool| u64::from(value) << at;
        let plain = |bits| Self { bits, root: 0 };
        let user = privilege == Privilege::U;
        if privilege == Privilege::M {
            return plain(KIND_UNTRANSLATED | 1 << SPECIAL);
        }
        if v {
            let g = bit(G_PAGED, Tree::of(csrs.hgatp).is_some()) | bit(MXR, csrs.mxr);
            let guest = KIND_GUEST | g | u64::from(csrs.vmid()) << VMID;
            if Tree::of(csrs.vsatp).is_none() {
                return plain(guest);
            }
            let vs = u64::from(csrs.vs_asid()) << ASID
                | bit(SPECIAL, user)
                | bit(SUM, csrs.vs_sum && !user)
                | bit(VS_MXR, csrs.vs_mxr)
                | bit(VS_PAGED, true);
            let root = if tag_vs_roots { csrs.vs_root() } else { 0 };
            return Self { bits: guest | vs, root };
        }
        if Tree::of(csrs.satp).is_none() {
            return plain(KIND_UNTRANSLATED);
        }
        plain(
            KIND_S
                | u64::from(csrs.asid()) << ASID
                | bit(SPECIAL, user)
                | bit(SUM, csrs.sum && !user)
                | bit(MXR, csrs.mxr),
        )
    }

    /// What stands for the global pages of this context and of those that differ from it in the ASID only.
    pub(crate) fn global(self) -> Self {
        Self { bits: self.bits & !(0xffff << ASID) | 1 << GLOBAL, root: 0 }
    }

    fn kind(self) -> u64 {
        self.bits >> KIND & 3
    }

    fn has(self, at: u32) -> bool {
        self.bits >> at & 1 != 0
    }

    fn asid(self) -> u16 {
        (self.bits >> ASID) as u16
    }

    fn vmid(self) -> u16 {
        (self.bits >> VMID) as u16
    }

    /// Whether native entries of this context may come from entries of `space`.
    pub(crate) fn uses(self, space: Space) -> bool {
        let of = |own: Asid, root: u64| match own {
            Asid::Global => true,
            Asid::Own(own) => own == self.asid() && root == self.root && !self.has(GLOBAL),
        };
        match (self.kind(), space) {
            (KIND_S, Space::S(asid)) => of(asid, 0),
            (
                KIND_GUEST,
                Space::Vs { vmid, asid, root } | Space::Combined { vmid, asid, root, .. },
            ) => vmid == self.vmid() && self.has(VS_PAGED) && of(asid, root),
            (KIND_GUEST, Space::G { vmid }) => vmid == self.vmid() && self.has(G_PAGED),
            _ => false,
        }
    }

    fn recent(self) -> usize {
        ((self.bits ^ self.root << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % RECENT
    }
}

/// The numbers in use.
#[derive(Debug)]
pub(crate) struct Contexts {
    live: Vec<(ContextKey, NonZeroU16)>,
    /// A direct-mapped cache of `live`.
    recent: [Option<(ContextKey, NonZeroU16)>; RECENT],
    next: NonZeroU16,
}

impl Contexts {
    pub(crate) fn new() -> Self {
        Self { live: Vec::new(), recent: [None; RECENT], next: NonZeroU16::MIN }
    }

    /// The number of a context; `None` if no number is left.
    #[inline]
    pub(crate) fn number(&mut self, key: ContextKey) -> Option<NonZeroU16> {
        match self.recent[key.recent()] {
            Some((recent, number)) if recent == key => Some(number),
            _ => self.look_up(key),
        }
    }

    /// The number of a context that has one.
    #[inline]
    pub(crate) fn known(&self, key: ContextKey) -> Option<NonZeroU16> {
        self.recent[key.recent()].filter(|(recent, _)| *recent == key).map(|(_, number)| number)
    }

    fn look_up(&mut self, key: ContextKey) -> Option<NonZeroU16> {
        let known = self.live.iter().find(|(live, _)| *live == key).map(|&(_, number)| number);
        let number = match known {
            Some(number) => number,
            None if self.next.get() < NUMBERS => {
                let number = self.next;
                self.next = number.saturating_add(1);
                self.live.push((key, number));
                number
            }
            None => return None,
        };
        self.recent[key.recent()] = Some((key, number));
        Some(number)
    }

    /// Withdraws the numbers of the contexts that use `space`; says whether there were any.
    pub(crate) fn retire(&mut self, space: Space) -> bool {
        let before = self.live.len();
        let recent = &mut self.recent;
        self.live.retain(|(key, _)| {
            let stays = !key.uses(space);
            if !stays {
                recent[key.recent()] = None;
            }
            stays
        });
        self.live.len() != before
    }

    /// The numbers of the contexts that use `space`.
    pub(crate) fn using(&self, space: Space) -> impl Iterator<Item = NonZeroU16> + '_ {
        self.live.iter().filter(move |(key, _)| key.uses(space)).map(|&(_, number)| number)
    }

    /// Withdraws all numbers. The caller drops every native entry, since they will be given out again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGED: u64 = 8 << 60;

    fn csrs() -> TranslationCsrs {
        TranslationCsrs {
            satp: PAGED | 5 << 44,
            vsatp: PAGED | 6 << 44,
            hgatp: PAGED | 7 << 44,
            ..TranslationCsrs::default()
        }
    }

    fn key(change: impl FnOnce(&mut TranslationCsrs), privilege: Privilege, v: bool) -> ContextKey {
        let mut csrs = csrs();
        change(&mut csrs);
        ContextKey::new(&csrs, privilege, v, false)
    }

    // norm: sfence_vma_sum_mxr_effect, sfence_vma_asid_effect, sfence_vma_mode_effect
    #[test]
    fn what_takes_effect_at_once_changes_the_context() {
        let plain = key(|_| {}, Privilege::S, false);
        assert_ne!(plain, key(|_| {}, Privilege::U, false));
        assert_ne!(plain, key(|_| {}, Privilege::M, false));
        assert_ne!(plain, key(|_| {}, Privilege::S, true));
        assert_ne!(plain, key(|c| c.satp = 0, Privilege::S, false));
        assert_ne!(plain, key(|c| c.satp += 1 << 44, Privilege::S, false));
        assert_ne!(plain, key(|c| c.sum = true, Privilege::S, false));
        assert_ne!(plain, key(|c| c.mxr = true, Privilege::S, false));
        let guest = key(|_| {}, Privilege::S, true);
        assert_ne!(guest, key(|_| {}, Privilege::U, true));
        assert_ne!(guest, key(|c| c.vsatp = 0, Privilege::S, true));
        assert_ne!(guest, key(|c| c.vsatp += 1 << 44, Privilege::S, true));
        assert_ne!(guest, key(|c| c.hgatp = 0, Privilege::S, true));
        assert_ne!(guest, key(|c| c.hgatp += 1 << 44, Privilege::S, true));
        assert_ne!(guest, key(|c| c.vs_sum = true, Privilege::S, true));
        assert_ne!(guest, key(|c| c.vs_mxr = true, Privilege::S, true));
        assert_ne!(guest, key(|c| c.mxr = true, Privilege::S, true));
    }

    #[test]
    fn roots_and_the_other_world_do_not_change_the_context() {
        let plain = key(|_| {}, Privilege::S, false);
        assert_eq!(plain, key(|c| c.satp += 1, Privilege::S, false));
        assert_eq!(plain, key(|c| c.hgatp = 0, Privilege::S, false));
        let guest = key(|_| {}, Privilege::S, true);
        assert_eq!(guest, key(|c| (c.satp, c.sum) = (0, true), Privilege::S, true));
    }

    #[test]
    fn a_tagged_root_changes_the_context() {
        let [one, other] = [1, 2].map(|root| {
            let csrs = TranslationCsrs { vsatp: PAGED | root, ..csrs() };
            ContextKey::new(&csrs, Privilege::S, true, true)
        });
        assert_ne!(one, other);
        let space = |root| Space::Vs { vmid: 7, asid: Asid::Own(0), root };
        assert!(one.uses(space(1)) && !one.uses(space(2)) && other.uses(space(2)));
    }

    #[test]
    fn global_pages_have_a_context_that_asids_share() {
        let s = |asid: u64, sum| {
            key(|c| (c.satp, c.sum) = (PAGED | asid << 44, sum), Privilege::S, false)
        };
        assert_eq!(s(5, false).global(), s(6, false).global());
        assert_ne!(s(5, false).global(), s(5, true).global());
        assert_ne!(s(0, false).global(), s(0, false));
        let guest = key(|c| c.vsatp = PAGED, Privilege::S, true);
        for (key, own, global) in [
            (s(0, false), Space::S(Asid::Own(0)), Space::S(Asid::Global)),
            (
                guest,
                Space::Vs { vmid: 7, asid: Asid::Own(0), root: 0 },
                Space::Vs { vmid: 7, asid: Asid::Global, root: 0 },
            ),
        ] {
            assert!(key.uses(own) && key.uses(global));
            assert!(!key.global().uses(own) && key.global().uses(global));
        }
        assert!(guest.global().uses(Space::G { vmid: 7 }));
    }

    #[test]
    fn retiring_a_space_withdraws_just_the_contexts_that_use_it() {
        let mut contexts = Contexts::new();
        let s = key(|_| {}, Privilege::S, false);
        let other = key(|c| c.satp = PAGED | 9 << 44, Privilege::S, false);
        let guest = key(|_| {}, Privilege::S, true);
        let numbers = [s, other, guest].map(|key| contexts.number(key).unwrap());
        assert!(contexts.retire(Space::S(Asid::Own(5))));
        assert!(!contexts.retire(Space::S(Asid::Own(5))));
        let again = [s, other, guest].map(|key| contexts.number(key).unwrap());
        assert_ne!(numbers[0], again[0]);
        assert_eq!(numbers[1..], again[1..]);
        assert!(contexts.retire(Space::Vs { vmid: 7, asid: Asid::Global, root: 0 }));
        assert_ne!(contexts.number(guest).unwrap(), again[2]);
        assert!(!contexts.retire(Space::G { vmid: 8 }));
    }

    #[test]
    fn numbers_run_out_and_start_again() {
        let mut contexts = Contexts::new();
        let keys = |n: u64| key(|c| c.satp = PAGED | n << 44, Privilege::S, false);
        for n in 1..256 {
            assert_eq!(contexts.number(keys(n)), NonZeroU16::new(n as u16));
        }
        assert_eq!(contexts.number(keys(256)), None);
        contexts.reset();
        assert_eq!(contexts.number(keys(512)), Some(NonZeroU16::MIN));
    }
}
