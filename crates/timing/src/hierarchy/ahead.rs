//! Wrong paths, as far as a core waits for the line of the instruction cache that one missed.

use super::{Hierarchy, NONE, PATHS};
use crate::step::Walker;

/// Packets that a front-end runs ahead at most.
const AHEAD: u64 = 16;

/// A wrong path that was walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    name: u64,
    /// The age of the instruction cache at which all of its lines were there.
    age: u64,
    /// The packets that it goes through if no branch is taken.
    packets: u8,
}

impl Path {
    /// None.
    pub(super) const NONE: Self = Self { name: NONE, age: NONE, packets: 0 };
}

impl Hierarchy {
    /// [`Hierarchy::ahead`] from a block: changes of its page's code are [told](Hierarchy::forget_code).
    pub(super) fn ahead_of_block(&mut self, va: u64, first: u64, walker: &mut dyn Walker) -> u8 {
        if !self.core.fetch.waits_for_killed || self.fetch_line == NONE {
            return 0;
        }
        let page = self.icache.address_of(self.fetch_line) & !0xfff;
        let name = (page | va & 0xfff) << 1 | first;
        let place = (name ^ name >> 12) as usize % PATHS;
        if self.paths[place].name != name {
            let packets = self.reach(page, va, first, walker);
            self.paths[place] = Path { name, packets, age: NONE };
        }
        let Path { packets, age, .. } = self.paths[place];
        if age == self.icache.age() {
            return 0;
        }
        // Branches only make a path shorter: one that misses nothing without them never does.
        if self.has_packets(page, va, first, packets) {
            self.paths[place].age = self.icache.age();
            return 0;
        }
        self.ahead(va, first, walker)
    }

    /// How many packets a path goes through if no branch is taken.
    #[cold]
    fn reach(&self, page: u64, va: u64, first: u64, walker: &mut dyn Walker) -> u8 {
        let bytes = self.core.fetch.bytes;
        let begin = va.wrapping_sub(first) & 0xfff & !(bytes - 1);
        let mut instruction = va & 0xfff;
        if first != 0 && instruction == 0 {
            return 0;
        }
        for number in 0..AHEAD {
            let packet = begin + (first + number) * bytes;
            if packet > 0xfff {
                return number as u8;
            }
            while instruction < packet + bytes {
                match walker.code(page | instruction) {
                    Some(parcel) if !always_jumps(parcel) => {
                        instruction += if parcel & 3 == 3 { 4 } else { 2 };
                    }
                    _ => return number as u8 + 1,
                }
            }
        }
        AHEAD as u8
    }

    /// Whether so many packets on are all in the instruction cache.
    fn has_packets(&self, page: u64, va: u64, first: u64, packets: u8) -> bool {
        let bytes = self.core.fetch.bytes;
        let begin = va.wrapping_sub(first) & 0xfff & !(bytes - 1);
        let line = |number: u64| self.icache.line_of(page | (begin + (first + number) * bytes));
        packets == 0 || (line(0)..=line(u64::from(packets) - 1)).all(|line| self.icache.has(line))
    }

    /// Code of blocks was written.
    pub(crate) fn forget_code(&mut self) {
        self.paths.fill(Path::NONE);
    }

    /// How many packets on, on a path that begins at `va` in the page that was fetched from last, one is not in the instruction
    /// cache: 0 for none that is near, before the path jumps elsewhere or leaves the page. The packet of `va - 1` was fetched
    /// if there is a `first`.
    pub(super) fn ahead(&self, va: u64, first: u64, walker: &mut dyn Walker) -> u8 {
        let bytes = self.core.fetch.bytes;
        if !self.core.fetch.waits_for_killed || self.fetch_line == NONE {
            return 0;
        }
        let page = self.icache.address_of(self.fetch_line) & !0xfff;
        let begin = va.wrapping_sub(first) & 0xfff & !(bytes - 1);
        let mut instruction = va & 0xfff;
        if first != 0 && instruction == 0 {
            return 0;
        }
        for number in first..first + AHEAD {
            let packet = begin + number * bytes;
            if packet > 0xfff {
                return 0;
            }
            if !self.icache.has(self.icache.line_of(page | packet)) {
                return (number - first + 1) as u8;
            }
            while instruction < packet + bytes {
                let Some(parcel) = walker.code(page | instruction) else { return 0 };
                if always_jumps(parcel) {
                    return 0;
                }
                let long = parcel & 3 == 3;
                if branches(parcel) {
                    // The sign of its offset is the highest bit of a long one, and bit 12 of a short one.
                    let last =
                        if long { walker.code(page | (instruction + 2) & 0xfff) } else { None };
                    let backward = last.map_or(parcel >> 12, |last| last >> 15) & 1 != 0;
                    if self.predictor.guesses_taken(instruction, backward) {
                        return 0;
                    }
                }
                instruction += if long { 4 } else { 2 };
            }
        }
        0
    }
}

/// Whether an instruction that begins with this parcel is a conditional branch.
fn branches(parcel: u16) -> bool {
    parcel & 0x7f == 0x63 || parcel & 3 == 1 && parcel >> 14 == 3
}

/// Whether an instruction that begins with this parcel is a jump: JAL, JALR, C.J, C.JR or C.JALR.
fn always_jumps(parcel: u16) -> bool {
    match parcel & 3 {
        3 => matches!(parcel & 0x7f, 0x67 | 0x6f),
        2 => parcel >> 13 == 4 && parcel & 0x7c == 0 && parcel & 0xf80 != 0,
        1 => parcel >> 13 == 5,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Core;
    use crate::step::Target;
    use crate::tlb::Walk;
    use std::sync::Arc;

    /// Code that is one parcel over and over.
    struct Same(u16);

    impl Walker for Same {
        fn walk(&mut self, _: Target) -> Walk {
            Walk::default()
        }

        fn locate(&mut self, va: u64) -> u64 {
            va
        }

        fn code(&mut self, _: u64) -> Option<u16> {
            Some(self.0)
        }
    }

    /// C.NOP and C.J.
    const NOP: u16 = 0x0001;
    const JUMP: u16 = 0xa001;

    #[test]
    fn a_path_ends_at_a_branch_that_is_guessed_to_be_taken() {
        let core = Arc::new(Core::preset("cva6").expect("a preset"));
        let mut hierarchy = Hierarchy::new(&core, 10);
        hierarchy.icache.access(0x1000, false);
        hierarchy.fetch_line = hierarchy.icache.line_of(0x1000);
        // Behind a trap no branch is known: forward ones are guessed not to be taken, backward ones to be (bht.sv, frontend.sv).
        hierarchy.predictor.trapped();
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(0xc001)), 4); // C.BEQZ forward
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(0xd001)), 0); // and backward
        // That is not taken to last.
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(0xc001)), 4);
    }

    #[test]
    fn a_path_is_walked_again_when_its_code_or_the_cache_changed() {
        let core = Arc::new(Core::preset("cva6").expect("a preset"));
        let mut hierarchy = Hierarchy::new(&core, 10);
        hierarchy.icache.access(0x1000, false);
        hierarchy.fetch_line = hierarchy.icache.line_of(0x1000);
        // Lines of 16 bytes, packets of 4: those at 4, 8 and 12 are there, and the fourth is not.
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(NOP)), 4);
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(JUMP)), 0);
        hierarchy.forget_code();
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(NOP)), 4);
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(JUMP)), 0);
        hierarchy.icache.clear();
        assert_eq!(hierarchy.ahead_of_block(0x1004, 1, &mut Same(JUMP)), 1);
    }
}
