//! Tags of the architectural TLB: the address spaces that cached entries belong to.
//!
//! Each space in use has an identifier that is never given out twice. A fence over a whole space forgets its
//! identifier, so that all its entries are dead at once, however many there are; and where nothing was kept
//! under a tag since its last fence, there is nothing to forget. Roots are no tags: writing `satp`, `vsatp` or
//! `hgatp` removes nothing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The part of a tag that an ASID decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Asid {
    /// Global mappings, of every ASID.
    Global,
    /// One ASID's own.
    Own(u16),
}

/// A tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Space {
    /// S-stage entries.
    S(Asid),
    /// VS-stage entries: guest physical addresses only. `root` is 0 unless the shape tags roots.
    Vs { vmid: u16, asid: Asid, root: u64 },
    /// G-stage entries.
    G { vmid: u16 },
    /// VS-stage and G-stage in one; `bare` if `hgatp` is Bare.
    Combined { vmid: u16, bare: bool, asid: Asid, root: u64 },
}

const LAST_ASID: Asid = Asid::Own(u16::MAX);

impl Space {
    pub(crate) fn s_all() -> RangeInclusive<Self> {
        Self::S(Asid::Global)..=Self::S(LAST_ASID)
    }

    /// The VS-stage spaces of one VMID, or of one ASID in it.
    pub(crate) fn vs_of(vmid: u16, asid: Option<u16>) -> RangeInclusive<Self> {
        let (first, last) = asids(asid);
        Self::Vs { vmid, asid: first, root: 0 }..=Self::Vs { vmid, asid: last, root: u64::MAX }
    }

    /// The G-stage spaces of one VMID, or of all.
    pub(crate) fn g_of(vmid: Option<u16>) -> RangeInclusive<Self> {
        let (first, last) = bounds(vmid);
        Self::G { vmid: first }..=Self::G { vmid: last }
    }

    /// The combined spaces of one VMID, or of all.
    pub(crate) fn combined_of(vmid: Option<u16>) -> RangeInclusive<Self> {
        let (first, last) = bounds(vmid);
        let (low, high) = (Asid::Global, LAST_ASID);
        Self::Combined { vmid: first, bare: false, asid: low, root: 0 }..=Self::Combined {
            vmid: last,
            bare: true,
            asid: high,
            root: u64::MAX,
        }
    }

    /// The combined spaces of one ASID in one VMID, with or without a G-stage.
    pub(crate) fn combined_own(vmid: u16, bare: bool, asid: u16) -> RangeInclusive<Self> {
        let asid = Asid::Own(asid);
        Self::Combined { vmid, bare, asid, root: 0 }..=Self::Combined {
            vmid,
            bare,
            asid,
            root: u64::MAX,
        }
    }

    /// Whether its entries are global.
    pub(crate) fn is_global(self) -> bool {
        let (Self::S(asid) | Self::Vs { asid, .. } | Self::Combined { asid, .. }) = self else {
            return false;
        };
        asid == Asid::Global
    }

    /// Where its entries stand in a cache beside those of other spaces for the same address: one of [`SKEWS`] numbers, which
    /// differ for ASIDs and VMIDs that follow each other.
    pub(crate) fn skew(self) -> u32 {
        let own = |asid: Asid| match asid {
            Asid::Global => 0,
            Asid::Own(asid) => u32::from(asid),
        };
        let skew = match self {
            Self::S(asid) => own(asid),
            Self::Vs { vmid, asid, .. } | Self::Combined { vmid, asid, .. } => {
                own(asid) + 3 * u32::from(vmid)
            }
            Self::G { vmid } => 3 * u32::from(vmid),
        };
        skew % SKEWS
    }

    /// Whether it holds VS-stage information of this virtual machine and, if given, of this ASID alone.
    pub(crate) fn is_vs(self, of_vmid: u16, of_asid: Option<u16>) -> bool {
        match self {
            Self::Vs { vmid, asid, .. } | Self::Combined { vmid, asid, .. } => {
                vmid == of_vmid && of_asid.is_none_or(|own| asid == Asid::Own(own))
            }
            Self::S(_) | Self::G { .. } => false,
        }
    }
}

fn asids(asid: Option<u16>) -> (Asid, Asid) {
    asid.map_or((Asid::Global, LAST_ASID), |asid| (Asid::Own(asid), Asid::Own(asid)))
}

fn bounds(vmid: Option<u16>) -> (u16, u16) {
    vmid.map_or((0, u16::MAX), |vmid| (vmid, vmid))
}

/// How many places a cache has for an address, each for some of the spaces.
pub(crate) const SKEWS: u32 = 8;
const SKEW_SHIFT: u32 = u64::BITS - SKEWS.ilog2();

/// The identifier of a space while it is in use. Zero is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct SpaceId(u64);

/// Identifiers are a place in a table, how often that place was used, and the space's skew.
const PLACE_BITS: u32 = 16;
/// At most this many spaces are in use at once; then the table's next place makes room.
const MAX_PLACES: usize = 1 << PLACE_BITS;

impl SpaceId {
    fn place(self) -> usize {
        (self.0 & (MAX_PLACES as u64 - 1)) as usize
    }

    /// [`Space::skew`] of its space.
    #[inline]
    pub(crate) fn skew(self) -> u32 {
        (self.0 >> SKEW_SHIFT) as u32
    }

    /// The next one of the same place, for this space.
    fn next(self, space: Space) -> Self {
        let uses = (self.0 << SKEWS.ilog2() >> SKEWS.ilog2()) + (1 << PLACE_BITS);
        Self(uses | u64::from(space.skew()) << SKEW_SHIFT)
    }
}

/// What was handed to the native TLB, from an entry or a space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Handed {
    /// Addresses for loads or stores.
    pub(crate) data: bool,
    /// Addresses to execute from.
    pub(crate) code: bool,
}

impl Handed {
    pub(crate) const NOTHING: Self = Self { data: false, code: false };

    pub(crate) fn anything(self) -> bool {
        self.data || self.code
    }

    pub(crate) fn and(self, more: Self) -> Self {
        Self { data: self.data || more.data, code: self.code || more.code }
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    id: SpaceId,
    /// The space, while in use.
    space: Option<Space>,
    handed: Handed,
}

/// The spaces in use.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    ids: BTreeMap<Space, SpaceId>,
    places: Vec<Place>,
    free: Vec<u16>,
    /// The place that makes room next.
    next_victim: usize,
}

/// A space that was forgotten, and what had been handed out from it.
pub(crate) type Forgotten = (Space, Handed);

impl Spaces {
    /// The identifier of a space, if in use.
    pub(crate) fn find(&self, space: Space) -> Option<SpaceId> {
        self.ids.get(&space).copied()
    }

    /// The identifier of a space, which is in use from now on. If that takes another's place, it is told.
    pub(crate) fn obtain(&mut self, space: Space, forgotten: &mut Vec<Forgotten>) -> SpaceId {
        if let Some(id) = self.find(space) {
            return id;
        }
        if self.free.is_empty() && self.places.len() == MAX_PLACES {
            let victim = self.places[self.next_victim % MAX_PLACES].space;
            self.next_victim = (self.next_victim + 1) % MAX_PLACES;
            if let Some(victim) = victim {
                self.forget(victim..=victim, forgotten);
            }
        }
        let at = match self.free.pop() {
            Some(at) => usize::from(at),
            None => {
                let id = SpaceId(self.places.len() as u64);
                self.places.push(Place { id, space: None, handed: Handed::NOTHING });
                self.places.len() - 1
            }
        };
        let place = &mut self.places[at];
        place.id = place.id.next(space);
        place.space = Some(space);
        place.handed = Handed::NOTHING;
        let id = place.id;
        self.ids.insert(space, id);
        id
    }

    /// Forgets the spaces in `range`: every entry under them is dead.
    pub(crate) fn forget(&mut self, range: RangeInclusive<Space>, forgotten: &mut Vec<Forgotten>) {
        while let Some((&space, &id)) = self.ids.range(range.clone()).next() {
            self.ids.remove(&space);
            let at = id.place();
            let place = &mut self.places[at];
            place.space = None;
            forgotten.push((space, place.handed));
            // Fewer than MAX_PLACES, so it fits.
            self.free.push(at as u16);
        }
    }

    /// The space of a live identifier; `None` for one that was forgotten.
    pub(crate) fn space_of(&self, id: SpaceId) -> Option<Space> {
        self.places.get(id.place()).filter(|place| place.id == id)?.space
    }

    /// Notes what was handed to the native TLB from a space.
    pub(crate) fn note_handed(&mut self, id: SpaceId, handed: Handed) {
        if let Some(place) = self.places.get_mut(id.place())
            && place.id == id
        {
            place.handed = place.handed.and(handed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_space_comes_back_under_another_identifier() {
        let mut spaces = Spaces::default();
        let mut forgotten = Vec::new();
        let space = Space::S(Asid::Own(3));
        let first = spaces.obtain(space, &mut forgotten);
        assert_eq!(spaces.obtain(space, &mut forgotten), first);
        spaces.note_handed(first, Handed { data: true, code: false });
        spaces.forget(Space::s_all(), &mut forgotten);
        assert_eq!(forgotten, [(space, Handed { data: true, code: false })]);
        assert_eq!((spaces.find(space), spaces.space_of(first)), (None, None));
        let second = spaces.obtain(space, &mut forgotten);
        assert_ne!(first, second);
        assert_eq!(spaces.space_of(second), Some(space));
        assert_eq!(spaces.space_of(first), None);
    }

    #[test]
    fn ranges_hold_the_spaces_they_name() {
        let mut spaces = Spaces::default();
        let mut forgotten = Vec::new();
        let all = [
            Space::S(Asid::Global),
            Space::S(Asid::Own(u16::MAX)),
            Space::Vs { vmid: 1, asid: Asid::Global, root: 0 },
            Space::Vs { vmid: 1, asid: Asid::Own(u16::MAX), root: 5 },
            Space::Vs { vmid: 2, asid: Asid::Own(0), root: 0 },
            Space::G { vmid: 1 },
            Space::G { vmid: 2 },
            Space::Combined { vmid: 1, bare: true, asid: Asid::Own(9), root: 1 },
            Space::Combined { vmid: 2, bare: false, asid: Asid::Global, root: 0 },
        ];
        for (range, members) in [
            (Space::s_all(), &all[..2]),
            (Space::vs_of(1, None), &all[2..4]),
            (Space::vs_of(1, Some(u16::MAX)), &all[3..4]),
            (Space::combined_own(1, true, 9), &all[7..8]),
            (Space::combined_own(1, false, 9), &[]),
            (Space::g_of(Some(2)), &all[6..7]),
            (Space::g_of(None), &all[5..7]),
            (Space::combined_of(Some(1)), &all[7..8]),
            (Space::combined_of(None), &all[7..9]),
        ] {
            for space in all {
                spaces.obtain(space, &mut forgotten);
            }
            spaces.forget(range, &mut forgotten);
            let gone: Vec<Space> = forgotten.drain(..).map(|(space, _)| space).collect();
            assert_eq!(gone, members);
        }
    }

    #[test]
    fn the_number_of_spaces_is_bounded() {
        let mut spaces = Spaces::default();
        let mut forgotten = Vec::new();
        for vmid in 0..2 {
            for asid in 0..=u16::MAX {
                spaces.obtain(Space::Vs { vmid, asid: Asid::Own(asid), root: 0 }, &mut forgotten);
            }
        }
        assert_eq!(spaces.places.len(), MAX_PLACES);
        assert_eq!(forgotten.len(), MAX_PLACES);
        assert_eq!(forgotten[0].0, Space::Vs { vmid: 0, asid: Asid::Own(0), root: 0 });
    }
}
