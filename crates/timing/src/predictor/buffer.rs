//! Prediction as Rocket has it (`BTB.scala`, `Frontend.scala`, `RocketCore.scala`): a tagged target buffer that is asked once for each
//! packet, when its fetch begins, and what decoding finds in the packet a cycle later.
//!
//! A packet has one entry, whatever transfers lie in it, one bit of direction and one place in the history. What decoding changes,
//! the history and the return stack, a packet does not see that was asked for in the same cycle.

use super::{Guess, Last, Transfer};
use crate::outcome::Followed;
use crate::tree::PseudoLru;
use crate::work::Flow;

/// Bits of an address that an entry holds itself (`nMatchBits`); the others stand in page registers.
const MATCH_BITS: u32 = 14;
/// Page registers (`nPages`).
const PAGES: usize = 6;
/// Packets with different low bits.
const PLACES: usize = 1 << (MATCH_BITS - 2);
/// No packet.
const NONE: u64 = u64::MAX;

fn place_of(packet: u64) -> usize {
    (packet >> 2) as usize % PLACES
}

fn low(address: u64) -> u16 {
    (address & ((1 << MATCH_BITS) - 1)) as u16
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The low bits of a packet and of a target, and the page registers that have the others.
    packet: u16,
    page: u8,
    target: u16,
    target_page: u8,
    flow: Flow,
    /// In which half of the packet the transfer ends.
    half: u8,
}

/// An entry with its page registers put in, while they stand.
#[derive(Clone, Copy, Debug)]
struct Resolved {
    /// `NONE` where that is not known.
    packet: u64,
    target: u64,
    flow: Flow,
    half: u8,
}

impl Resolved {
    /// Nothing that is known.
    const NONE: Self = Self { packet: NONE, target: 0, flow: Flow::Jump, half: 0 };
}

/// No half of a packet.
const NO_HALF: u8 = 2;
/// No entry.
const NO_SLOT: u16 = u16::MAX;

/// A packet that was asked for.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// `NONE` for none.
    packet: u64,
    /// What the buffer says of it: where it leads, the entry, and in which half the transfer ends if it is taken.
    target: u64,
    slot: u16,
    half: u8,
    /// The history then, and the direction that stood for it.
    history: u16,
    index: u32,
    direction: bool,
    /// The history has a place for it.
    pushed: bool,
}

/// What is not seen yet when `packet` is asked for.
#[derive(Clone, Copy, Debug)]
struct Lag {
    /// `NONE` where all is seen.
    packet: u64,
    history: u16,
    /// The top of the return stack, where it is not what it is now.
    head: Option<Option<u64>>,
}

impl Look {
    /// None.
    const NONE: Self = Self {
        packet: NONE,
        target: 0,
        slot: NO_SLOT,
        half: NO_HALF,
        history: 0,
        index: 0,
        direction: false,
        pushed: false,
    };

    /// Whether the buffer has it leading elsewhere.
    #[inline(always)]
    fn is_taken(&self) -> bool {
        self.half != NO_HALF
    }
}

impl Lag {
    /// Nothing that is not seen.
    const NONE: Self = Self { packet: NONE, history: 0, head: None };
}

/// Something to be kept.
#[derive(Clone, Copy, Debug)]
struct Lesson {
    packet: u64,
    half: u8,
    flow: Flow,
    target: u64,
    /// `None` where no entry is known: the least recently used one.
    slot: Option<usize>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    directions: Vec<bool>,
    direction_bits: u32,
    history: u16,
    history_bits: u32,
    /// By the history, what it is hashed to.
    hashes: Vec<u16>,
    entries: Vec<Option<Entry>>,
    resolved: Vec<Resolved>,
    /// By the low bits of packets: how many entries there are, and where one may be.
    found: Box<[(u16, u16); PLACES]>,
    tree: PseudoLru,
    pages: [Option<u64>; PAGES],
    next_page: usize,
    returns: Vec<u64>,
    top: usize,
    depth: usize,
    /// Where fetching began last.
    entered: u64,
    /// The packet of the last transfer, if it was not left.
    look: Look,
    lag: Lag,
    /// What decoding would keep, and what execution does then.
    open: Option<(Lesson, Option<Lesson>)>,
}

impl Buffer {
    /// Empty tables.
    pub(super) fn new(
        directions: usize,
        (history, hashed): (u32, u32),
        targets: usize,
        returns: usize,
    ) -> Self {
        // Rocket multiplies by sqrt(3)/2 of the history's range and takes the high bits.
        let factor = (0.866_025_403_784_438_6 * (1u64 << history) as f64) as u64;
        let mask = (1 << history) - 1;
        let high = directions.trailing_zeros() - hashed;
        let hash = |before| ((factor * before) & mask) >> (history - hashed) << high;
        Self {
            directions: vec![false; directions],
            direction_bits: directions.trailing_zeros(),
            history: 0,
            history_bits: history,
            hashes: (0..=mask).map(|before| hash(before) as u16).collect(),
            entries: vec![None; targets],
            resolved: vec![Resolved::NONE; targets],
            found: Box::new([(0, 0); PLACES]),
            tree: PseudoLru::new(targets),
            pages: [None; PAGES],
            next_page: 0,
            returns: vec![0; returns],
            top: 0,
            depth: 0,
            entered: 0,
            look: Look::NONE,
            lag: Lag::NONE,
            open: None,
        }
    }

    /// The direction that stands for a packet with a history.
    #[inline(always)]
    fn index(&self, packet: u64, history: u16) -> usize {
        let mask = self.directions.len() as u64 - 1;
        let high = packet >> 2;
        let address = high & mask ^ high >> self.direction_bits & 3;
        let hash = self.hashes.get(usize::from(history)).copied().unwrap_or_default();
        (address ^ u64::from(hash)) as usize & mask as usize
    }

    /// How a block at `pc` is followed, if the buffer foresees that, or that nothing is taken. Else nothing more than being asked for the packet happens.
    #[inline(always)]
    pub(super) fn foresees(&mut self, last: &Last, pc: u64, next: u64) -> Option<Followed> {
        match *last {
            Last::Branch { after, .. } => self.foresees_branch(pc.wrapping_add(after.into()), next),
            Last::Jump { after } => {
                self.foresees_other(Flow::Jump, pc.wrapping_add(after.into()), next)
            }
            Last::Call { after } => {
                self.foresees_other(Flow::Call, pc.wrapping_add(after.into()), next)
            }
            Last::Return { after } => {
                self.foresees_other(Flow::Return, pc.wrapping_add(after.into()), next)
            }
            Last::Other | Last::Rare => None,
        }
    }

    /// Asks for the packet of a transfer that `after` follows: it, and in which half the transfer ends.
    #[inline(always)]
    fn ask(&mut self, after: u64) -> (u64, u8) {
        // It belongs to the packet that holds its last two bytes.
        let end = after.wrapping_sub(2);
        let packet = end & !3;
        if self.look.packet != packet {
            self.look_up(packet);
        }
        (packet, (end >> 1 & 1) as u8)
    }

    #[inline]
    fn foresees_branch(&mut self, after: u64, next: u64) -> Option<Followed> {
        if self.open.is_some() {
            return None;
        }
        let (packet, half) = self.ask(after);
        if next != after {
            if self.look.half != half || self.look.target != next {
                return None;
            }
            self.lag = Lag { packet: next & !3, history: self.history, head: None };
            self.went(true);
            self.look.packet = NONE;
            self.entered = next;
            return Some(Followed::Early);
        }
        // What decoding takes for a jump is more than a look.
        let foreseen = self.look.half != half && (self.look.is_taken() || !self.look.direction);
        if !foreseen {
            return None;
        }
        self.lag = Lag { packet: packet.wrapping_add(4), history: self.history, head: None };
        self.went(false);
        Some(Followed::Straight)
    }

    /// The same of a jump, call or return.
    #[inline]
    fn foresees_other(&mut self, flow: Flow, after: u64, next: u64) -> Option<Followed> {
        if self.open.is_some() {
            return None;
        }
        let (_, half) = self.ask(after);
        if self.look.half != half || self.look.target != next {
            return None;
        }
        let head = if flow == Flow::Jump { None } else { Some(self.head()) };
        self.lag = Lag { packet: next & !3, history: self.history, head };
        match flow {
            Flow::Call => self.push(after),
            Flow::Return => self.pop(),
            _ => {}
        }
        self.look.packet = NONE;
        self.entered = next;
        Some(Followed::Early)
    }

    /// The branch of the packet that was asked for goes somewhere.
    #[inline(always)]
    fn went(&mut self, taken: bool) {
        if let Some(direction) = self.directions.get_mut(self.look.index as usize) {
            *direction = taken;
        }
        if !self.look.pushed {
            self.history = self.pushed(self.history, self.look.direction);
            self.look.pushed = true;
        }
    }

    fn push(&mut self, after: u64) {
        self.top = if self.top + 1 < self.returns.len() { self.top + 1 } else { 0 };
        self.returns[self.top] = after;
        self.depth = (self.depth + 1).min(self.returns.len());
    }

    fn pop(&mut self) {
        if self.depth != 0 {
            self.depth -= 1;
            self.top = self.top.checked_sub(1).unwrap_or(self.returns.len() - 1);
        }
    }

    /// See [`super::Predictor::follow`].
    pub(super) fn follow(&mut self, transfer: &Transfer, next: u64, taken: bool) -> Guess {
        self.settle(true);
        let &Transfer { pc, len, flow, target } = transfer;
        let after = pc.wrapping_add(len);
        let (packet, half) = self.ask(after);
        let look = self.look;
        let early = (look.half == half).then_some(look.target);
        let late = match flow {
            _ if look.is_taken() => None,
            Flow::Branch => look.direction.then_some(target),
            Flow::Jump | Flow::Call => Some(target),
            Flow::Return => self.head(),
            Flow::Indirect | Flow::IndirectCall | Flow::Exchange => None,
        };
        let guess = Guess { next: early.or(late).unwrap_or(after), early: early.is_some() };
        let wrong = guess.next != next;
        let unchanged = Lag {
            packet: if taken { next & !3 } else { packet + 4 },
            history: self.history,
            head: Some(self.head()),
        };
        if flow == Flow::Branch {
            self.went(taken);
        }
        if wrong {
            let branch = flow == Flow::Branch;
            self.history = if branch { self.pushed(look.history, taken) } else { look.history };
        }
        match flow {
            Flow::Call | Flow::IndirectCall | Flow::Exchange => self.push(after),
            Flow::Return => self.pop(),
            _ => {}
        }
        // A redirection that decoding finds, or execution, takes long enough for what changed to be seen.
        self.lag = if !wrong && (early.is_some() || !taken) { unchanged } else { Lag::NONE };
        if wrong || taken {
            self.look.packet = NONE;
            self.entered = next;
        }
        self.learn(
            Lesson { packet, half, flow, target: next, slot: None },
            &look,
            (late, wrong && taken),
        );
        guess
    }

    /// The buffer is asked for a packet.
    #[inline]
    fn look_up(&mut self, packet: u64) {
        let lags = self.lag.packet == packet;
        let history = if lags { self.lag.history } else { self.history };
        self.lag.packet = NONE;
        let index = self.index(packet, history);
        let direction = self.directions.get(index).is_some_and(|&direction| direction);
        let (index, pushed) = (index as u32, false);
        self.look = Look { packet, history, index, direction, pushed, ..Look::NONE };
        // It is asked with the very address at which fetching began, and knows packets alone.
        let inside = self.entered & !1 == packet | 2;
        let (count, last) = self.found[place_of(packet)];
        if count == 0 || inside {
            return;
        }
        let (slot, found) = match self.resolved.get(usize::from(last)) {
            Some(&found) if count == 1 && found.packet == packet => (last, found),
            _ => match self.find(packet) {
                Some(found) => found,
                None => return,
            },
        };
        let taken = found.flow != Flow::Branch || direction;
        (self.look.slot, self.look.target) = (slot, found.target);
        if found.flow == Flow::Return {
            let head = self.lag.head.filter(|_| lags).unwrap_or_else(|| self.head());
            self.look.target = head.unwrap_or(found.target);
        }
        if taken {
            self.look.half = found.half;
            self.tree.touch(slot.into());
        }
    }

    /// Keeps what decoding (`late`) or execution found of a packet that was not known.
    fn learn(&mut self, lesson: Lesson, look: &Look, (late, executed): (Option<u64>, bool)) {
        let hit = (look.slot != NO_SLOT).then_some(usize::from(look.slot));
        let decoded = late.filter(|_| hit.is_none());
        if decoded.is_none() && !executed {
            return;
        }
        let slot = match hit {
            Some(slot) if look.is_taken() => Some(slot),
            // What decoding takes for a jump carries no number of an entry; what nothing foresaw carries that of its packet, or 0.
            _ if late.is_some() || lesson.flow != Flow::Branch => None,
            hit => Some(hit.unwrap_or(0)),
        };
        let executed = executed.then_some(Lesson { slot, ..lesson });
        match (decoded, executed) {
            (Some(target), executed) => self.open = Some((Lesson { target, ..lesson }, executed)),
            (None, Some(lesson)) => self.keep(&lesson),
            (None, None) => {}
        }
    }

    /// What decoding found is kept only while the queue is nearly empty (`fetch_bubble_likely`).
    #[inline]
    pub(super) fn settle(&mut self, hungry: bool) {
        if let Some((decoded, executed)) = self.open.take() {
            self.close(hungry.then_some(decoded), executed);
        }
    }

    #[cold]
    fn close(&mut self, decoded: Option<Lesson>, executed: Option<Lesson>) {
        for lesson in [decoded, executed].into_iter().flatten() {
            self.keep(&lesson);
        }
    }

    fn keep(&mut self, lesson: &Lesson) {
        let slot = lesson.slot.unwrap_or_else(|| self.tree.victim());
        let (page, target_page) =
            self.turn_pages(lesson.packet >> MATCH_BITS, lesson.target >> MATCH_BITS);
        let entry = Entry {
            packet: low(lesson.packet),
            page,
            target: low(lesson.target),
            target_page,
            flow: lesson.flow,
            half: lesson.half,
        };
        self.drop_entry(slot);
        self.entries[slot] = Some(entry);
        let (count, last) = &mut self.found[place_of(lesson.packet)];
        (*count, *last) = (*count + 1, slot as u16);
        if *count == 1 {
            let Lesson { packet, target, flow, half, .. } = *lesson;
            self.resolved[slot] = Resolved { packet, target, flow, half };
        }
        self.tree.touch(slot);
    }

    fn drop_entry(&mut self, slot: usize) {
        self.resolved[slot] = Resolved::NONE;
        if let Some(old) = self.entries[slot].take() {
            self.found[place_of(old.packet.into())].0 -= 1;
        }
    }

    /// The registers for the pages of a packet and of its target. What else refers to a register goes with it.
    fn turn_pages(&mut self, page: u64, target: u64) -> (u8, u8) {
        let register = |pages: &[Option<u64>; PAGES], page| {
            pages.iter().position(|&known| known == Some(page))
        };
        let (known, target_known) = (register(&self.pages, page), register(&self.pages, target));
        let at = known.unwrap_or_else(|| match target_known {
            Some(target) => (target + 1) % PAGES,
            None => self.next_page,
        });
        let target_at = target_known.unwrap_or(if page == target { at } else { (at + 1) % PAGES });
        let (new, target_new) = (known.is_none(), page != target && target_known.is_none());
        if new || target_new {
            let next = self.next_page + 1 + usize::from(new && target_new);
            self.next_page = if next >= PAGES { next & 1 } else { next };
        }
        if new {
            self.pages[at] = Some(page);
        }
        if new || target_new {
            self.resolved.fill(Resolved::NONE);
        }
        if target_new {
            self.pages[target_at] = Some(target);
        }
        (at as u8, target_at as u8)
    }

    /// The entry of a packet, and where it is. Where there are two with the packet's low bits, both go after this.
    #[inline(never)]
    fn find(&mut self, packet: u64) -> Option<(u16, Resolved)> {
        let (count, last) = self.found[place_of(packet)];
        let is_it = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.packet == low(packet));
        let slot = match usize::from(last) {
            last if count == 1 && self.entries.get(last).is_some_and(is_it) => last,
            _ => self.entries.iter().position(is_it)?,
        };
        self.found[place_of(packet)].1 = slot as u16;
        let mut entry = self.entries[slot]?;
        if count > 1 {
            for other in slot + 1..self.entries.len() {
                if let Some(twin) = self.entries[other].filter(|twin| twin.packet == entry.packet) {
                    // What both say comes out on the same wires.
                    entry.target |= twin.target;
                    self.drop_entry(other);
                    self.drop_entry(slot);
                }
            }
        }
        let page = self.pages[usize::from(entry.page)]?;
        let target = self.pages[usize::from(entry.target_page)]? << MATCH_BITS;
        if page != packet >> MATCH_BITS {
            return None;
        }
        let Entry { flow, half, .. } = entry;
        let found = Resolved { packet, target: target | u64::from(entry.target), flow, half };
        if count == 1 {
            self.resolved[slot] = found;
        }
        Some((slot as u16, found))
    }

    /// The top of the return stack.
    fn head(&self) -> Option<u64> {
        (self.depth != 0).then(|| self.returns[self.top])
    }

    fn pushed(&self, history: u16, taken: bool) -> u16 {
        history >> 1 | u16::from(taken) << (self.history_bits - 1)
    }

    /// Fetching begins somewhere without a transfer.
    pub(super) fn went_elsewhere(&mut self) {
        self.settle(true);
        (self.look.packet, self.lag.packet, self.entered) = (NONE, NONE, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values are what BTB.scala, Frontend.scala and RocketCore.scala come to by hand for the parameters of `rocket`.

    fn buffer() -> Buffer {
        Buffer::new(512, (8, 3), 28, 6)
    }

    fn jump(pc: u64, target: u64) -> Transfer {
        Transfer { pc, len: 4, flow: Flow::Jump, target }
    }

    /// It is followed where it goes, and the queue was nearly empty or not.
    fn takes(buffer: &mut Buffer, transfer: &Transfer, hungry: bool) -> Guess {
        let guess = buffer.follow(transfer, transfer.target, true);
        buffer.settle(hungry);
        guess
    }

    #[test]
    fn a_jump_that_decoding_found_is_kept_only_while_the_queue_is_nearly_empty() {
        let (mut buffer, jump) = (buffer(), jump(0x1000, 0x2000));
        assert!(!takes(&mut buffer, &jump, false).early);
        assert!(!takes(&mut buffer, &jump, true).early);
        assert!(takes(&mut buffer, &jump, false).early);
    }

    #[test]
    fn a_packet_is_known_only_to_fetches_that_begin_with_it() {
        let mut buffer = buffer();
        let inside = Transfer { pc: 0x1002, len: 2, flow: Flow::Jump, target: 0x2000 };
        let (at_packet, at_jump) = (jump(0x3000, 0x1000), jump(0x3000, 0x1002));
        for _ in 0..2 {
            takes(&mut buffer, &at_packet, true);
            takes(&mut buffer, &inside, true);
        }
        takes(&mut buffer, &at_packet, true);
        assert!(takes(&mut buffer, &inside, true).early);
        buffer.follow(&at_jump, 0x1002, true);
        assert!(!takes(&mut buffer, &inside, true).early);
    }

    #[test]
    fn branches_of_one_packet_share_its_direction_and_its_place_in_the_history() {
        let mut buffer = buffer();
        let first = Transfer { pc: 0x1000, len: 2, flow: Flow::Branch, target: 0x1100 };
        let second = Transfer { pc: 0x1002, len: 2, flow: Flow::Branch, target: 0x1100 };
        buffer.follow(&first, 0x1002, false);
        // Not foreseen: the history takes this outcome in the place of the packet's.
        assert_ne!(buffer.follow(&second, 0x1100, true).next, 0x1100);
        assert_eq!(buffer.history, 0x80);
        let index = buffer.index(0x1000, 0);
        assert!(buffer.directions[index]);
        // The same history again: the entry is about the second one.
        buffer.history = 0;
        assert_eq!(buffer.follow(&first, 0x1002, false), Guess { next: 0x1002, early: false });
        // The first wrote that bit, but the packet was asked for before that.
        assert_eq!(buffer.follow(&second, 0x1100, true), Guess { next: 0x1100, early: true });
        assert_eq!(buffer.history, 0x80);
    }

    #[test]
    fn a_packet_behind_an_early_one_does_not_see_its_outcome_yet() {
        let mut buffer = buffer();
        let around = Transfer { pc: 0x1002, len: 2, flow: Flow::Branch, target: 0x1000 };
        // Wrong, and then late, with the histories that are there: 0, 0x80, 0xc0, ... each has its own bit.
        let mut wrong = 0;
        for _ in 0..9 {
            wrong += usize::from(buffer.follow(&around, 0x1000, true).next != 0x1000);
        }
        assert!(wrong > 1);
        buffer.history = 0xf0;
        let index = buffer.index(0x1000, 0xf0);
        buffer.directions[index] = true;
        (buffer.look.packet, buffer.lag.packet) = (NONE, NONE);
        assert!(buffer.follow(&around, 0x1000, true).early);
        buffer.look_up(0x1000);
        assert_eq!((buffer.look.history, buffer.history), (0xf0, 0xf8));
    }

    #[test]
    fn a_call_is_not_on_the_stack_for_a_return_in_the_packet_behind() {
        let mut buffer = buffer();
        let call = Transfer { pc: 0x1000, len: 4, flow: Flow::Call, target: 0x2000 };
        let ret = Transfer { pc: 0x2000, len: 4, flow: Flow::Return, target: 0 };
        for _ in 0..2 {
            takes(&mut buffer, &call, true);
            buffer.follow(&ret, 0x1004, true);
            buffer.settle(true);
        }
        takes(&mut buffer, &call, true);
        // The stack is empty, and the entry's own target stands: that of the last time.
        assert_eq!(buffer.follow(&ret, 0x1004, true), Guess { next: 0x1004, early: true });
        let elsewhere = Transfer { pc: 0x1100, ..call };
        takes(&mut buffer, &elsewhere, true);
        buffer.follow(&ret, 0x1104, true);
        takes(&mut buffer, &elsewhere, true);
        assert_eq!(buffer.follow(&ret, 0x1104, true), Guess { next: 0x1004, early: true });
    }

    #[test]
    fn the_seventh_page_takes_the_register_of_the_first() {
        let mut buffer = buffer();
        let within =
            |page: u64| jump((page << MATCH_BITS) + page * 8, (page << MATCH_BITS) + 0x100);
        for page in 1..=6 {
            takes(&mut buffer, &within(page), true);
        }
        assert!(takes(&mut buffer, &within(1), true).early);
        takes(&mut buffer, &within(7), true);
        assert!(!takes(&mut buffer, &within(1), false).early);
        assert!(takes(&mut buffer, &within(2), true).early);
    }

    #[test]
    fn packets_with_the_same_low_bits_put_each_other_out() {
        let mut buffer = buffer();
        let within = |page: u64| jump(page << MATCH_BITS, (page << MATCH_BITS) + 0x100);
        for page in [1, 2] {
            assert!(!takes(&mut buffer, &within(page), true).early);
        }
        // Both match the low bits, and go.
        takes(&mut buffer, &within(1), false);
        assert!(!takes(&mut buffer, &within(1), false).early);
        assert!(!takes(&mut buffer, &within(2), false).early);
    }
}
