//! Branch prediction: where the front-end goes on after a control transfer, and how it learns.
//!
//! Two styles. *Counters*: direction from two-bit counters without tags, targets of direct transfers from decoding
//! what was fetched, targets of indirect ones from a table without tags. *Buffer*: a fully associative
//! target buffer decides that there is a transfer at all; one-bit directions hashed with the global history.

mod buffer;

use crate::outcome::Followed;
use crate::work::Flow;
use buffer::Buffer;
use serde::{Deserialize, Serialize};

/// How prediction is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "style", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PredictorParams {
    /// Two-bit counters without tags; an entry that was never trained says backward taken, forward not. Traps
    /// and returns from them clear everything.
    Counters {
        /// Two-bit counters, a power of two, one for each 2 bytes of code.
        counters: usize,
        /// Targets of indirect jumps, a power of two, one for each 2 bytes.
        targets: usize,
        /// Return addresses.
        returns: usize,
    },
    /// A target buffer, one-bit directions and the global history.
    Buffer {
        /// Bits of direction, a power of two, one for each fetch packet.
        directions: usize,
        /// Outcomes in the history, at most 16.
        history: u32,
        /// Bits that the history is hashed to.
        hashed: u32,
        /// Entries of the target buffer.
        targets: usize,
        /// Return addresses.
        returns: usize,
    },
}

impl PredictorParams {
    /// Whether this can be built.
    pub fn is_sound(&self) -> bool {
        const MAX: usize = 1 << 16;
        match *self {
            Self::Counters { counters, targets, returns } => {
                let powers = counters.is_power_of_two() && targets.is_power_of_two();
                powers && counters.max(targets) <= MAX && returns <= MAX
            }
            Self::Buffer { directions, history, hashed, targets, returns } => {
                directions.is_power_of_two()
                    && directions <= MAX
                    && (1..=16).contains(&history)
                    && hashed <= history
                    && hashed <= directions.trailing_zeros()
                    && (1..=1024).contains(&targets)
                    && (1..=MAX).contains(&returns)
            }
        }
    }
}

/// A control transfer as the front-end sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transfer {
    /// Its address.
    pub(crate) pc: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// What it is.
    pub(crate) flow: Flow,
    /// Where a direct one goes when taken.
    pub(crate) target: u64,
}

/// Where the front-end goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Guess {
    /// The address.
    pub(crate) next: u64,
    /// Known before the packet was decoded: by the target buffer.
    pub(crate) early: bool,
}

/// The tables.
#[derive(Clone, Debug)]
pub(crate) enum Predictor {
    /// See [`PredictorParams::Counters`].
    Counters(Box<Counters>),
    /// See [`PredictorParams::Buffer`].
    Buffer(Box<Buffer>),
}

impl Predictor {
    /// Untrained tables. The parameters must be [sound](PredictorParams::is_sound).
    pub(crate) fn new(params: PredictorParams) -> Self {
        match params {
            PredictorParams::Counters { counters, targets, returns } => {
                Self::Counters(Box::new(Counters {
                    // Out of reset the counters say strongly not taken.
                    counters: vec![Counter::new(0); counters],
                    targets: vec![None; targets],
                    returns: vec![None; returns],
                    top: 0,
                }))
            }
            PredictorParams::Buffer { directions, history, hashed, targets, returns } => {
                Self::Buffer(Box::new(Buffer::new(directions, (history, hashed), targets, returns)))
            }
        }
    }

    /// What the front-end guesses, and everything that guessing and the outcome (`next`, `taken`) change.
    #[inline]
    pub(crate) fn follow(&mut self, transfer: &Transfer, next: u64, taken: bool) -> Guess {
        match self {
            Self::Counters(counters) if transfer.flow == Flow::Branch => {
                counters.branch(transfer, taken)
            }
            Self::Counters(counters) => counters.follow(transfer, next),
            Self::Buffer(buffer) => buffer.follow(transfer, next, taken),
        }
    }

    /// How a block at `pc` is followed, if it is clear at once that this is guessed right; then notice is taken of it. Else nothing changes.
    #[inline(always)]
    pub(crate) fn foresees(&mut self, last: &Last, pc: u64, next: u64) -> Option<Followed> {
        let counters = match self {
            Self::Counters(counters) => counters,
            Self::Buffer(buffer) => return buffer.foresees(last, pc, next),
        };
        match *last {
            Last::Branch { offset, after, backward } => {
                let taken = next != pc.wrapping_add(after.into());
                let right = counters.foresees(pc.wrapping_add(offset.into()), backward, taken);
                right.then_some(if taken { Followed::Late } else { Followed::Straight })
            }
            _ => counters.foresees_other(last, pc, next),
        }
    }

    /// Whether the queue behind the front-end was nearly empty when the packet of the last transfer came.
    #[inline]
    pub(crate) fn settle(&mut self, hungry: bool) {
        if let Self::Buffer(buffer) = self {
            buffer.settle(hungry);
        }
    }

    /// Whether a branch at this address, of which the low bits count, is guessed to be taken as of now, where that is known without
    /// more; nothing changes.
    pub(crate) fn guesses_taken(&self, pc: u64, backward: bool) -> bool {
        match self {
            Self::Counters(counters) => counters.guesses_taken(pc, backward),
            Self::Buffer(_) => false,
        }
    }

    /// A trap or a return from one.
    pub(crate) fn trapped(&mut self) {
        match self {
            Self::Counters(counters) => {
                counters.counters.fill(Counter::new(2));
                counters.targets.fill(None);
                counters.returns.fill(None);
            }
            Self::Buffer(buffer) => buffer.went_elsewhere(),
        }
    }
}

/// How a block ends, to a quick look; offsets are from where the block begins, `after` is what follows its last instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Last {
    /// Not with a transfer.
    Other,
    /// With a branch that does not lead straight on.
    Branch {
        offset: u16,
        after: u16,
        backward: bool,
    },
    /// With a direct jump.
    Jump {
        after: u16,
    },
    /// With a direct call.
    Call {
        after: u16,
    },
    Return {
        after: u16,
    },
    /// With anything else.
    Rare,
}

impl Last {
    /// The end of a block of so many bytes.
    pub(crate) fn new(transfer: Option<&Transfer>, bytes: u64) -> Self {
        let Some(transfer) = transfer else { return Self::Other };
        let (offset, after) = (transfer.pc as u16, bytes as u16);
        match transfer.flow {
            Flow::Branch if transfer.target == bytes => Self::Rare,
            Flow::Branch => Self::Branch { offset, after, backward: is_backward(transfer) },
            Flow::Jump => Self::Jump { after },
            Flow::Call => Self::Call { after },
            Flow::Return => Self::Return { after },
            Flow::Indirect | Flow::IndirectCall | Flow::Exchange => Self::Rare,
        }
    }
}

fn is_backward(transfer: &Transfer) -> bool {
    (transfer.target.wrapping_sub(transfer.pc) as i64) < 0
}

/// A two-bit counter, and in the third bit whether it was never trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counter(u8);

impl Counter {
    const NEW: u8 = 4;

    /// One that was never trained.
    fn new(count: u8) -> Self {
        Self(Self::NEW | count)
    }

    /// No counter.
    const WRONG: u8 = u8::MAX;

    /// Whether a branch is guessed to be taken.
    const fn guesses_taken(self, backward: bool) -> bool {
        if self.0 & Self::NEW != 0 { backward } else { self.0 >= 2 }
    }

    /// It behind a branch.
    const fn trained(self, taken: bool) -> Self {
        let count = self.0 & 3;
        Self(match taken {
            true if count == 3 => 3,
            true => count + 1,
            false => count.saturating_sub(1),
        })
    }

    /// Where [`RIGHT`] has it.
    #[inline(always)]
    fn look(self, backward: bool, taken: bool) -> usize {
        usize::from(self.0 & 7) << 2 | usize::from(backward) << 1 | usize::from(taken)
    }
}

/// Counters behind branches that are guessed right.
static RIGHT: [Counter; 32] = {
    let mut right = [Counter(Counter::WRONG); 32];
    let mut place = 0;
    while place < right.len() {
        let (counter, backward, taken) =
            (Counter(place as u8 >> 2), place >> 1 & 1 != 0, place & 1 != 0);
        if counter.guesses_taken(backward) == taken {
            right[place] = counter.trained(taken);
        }
        place += 1;
    }
    right
};

/// Untagged tables.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    counters: Vec<Counter>,
    targets: Vec<Option<u64>>,
    /// A ring: the last one is at `top`, and those before it follow.
    returns: Vec<Option<u64>>,
    top: usize,
}

impl Counters {
    fn guesses_taken(&self, pc: u64, backward: bool) -> bool {
        self.counters[(pc >> 1) as usize & (self.counters.len() - 1)].guesses_taken(backward)
    }

    /// Whether a branch is guessed right; then its counter is trained.
    #[inline(always)]
    fn foresees(&mut self, pc: u64, backward: bool, taken: bool) -> bool {
        let number = (pc >> 1) as usize & self.counters.len().wrapping_sub(1);
        let Some(counter) = self.counters.get_mut(number) else { return false };
        let Counter(behind) = RIGHT[counter.look(backward, taken)];
        if behind == Counter::WRONG {
            return false;
        }
        *counter = Counter(behind);
        true
    }

    #[inline(never)]
    fn foresees_other(&mut self, last: &Last, pc: u64, next: u64) -> Option<Followed> {
        match *last {
            Last::Jump { .. } => {}
            Last::Call { after } => self.push(pc.wrapping_add(after.into())),
            Last::Return { .. } if self.returns.get(self.top) == Some(&Some(next)) => {
                self.pop();
            }
            Last::Return { .. } | Last::Rare | Last::Branch { .. } | Last::Other => return None,
        }
        Some(Followed::Late)
    }

    /// A conditional branch.
    #[inline]
    fn branch(&mut self, transfer: &Transfer, taken: bool) -> Guess {
        let &Transfer { pc, len, target, .. } = transfer;
        let number = (pc >> 1) as usize & (self.counters.len() - 1);
        let backward = is_backward(transfer);
        let guess = self.guesses_taken(pc, backward);
        if let Some(counter) = self.counters.get_mut(number) {
            *counter = counter.trained(taken);
        }
        Guess { next: if guess { target } else { pc.wrapping_add(len) }, early: false }
    }

    /// Any other transfer.
    fn follow(&mut self, transfer: &Transfer, next: u64) -> Guess {
        let &Transfer { pc, len, flow, target } = transfer;
        let (after, slot) = (pc.wrapping_add(len), (pc >> 1) as usize & (self.targets.len() - 1));
        let next_guessed = match flow {
            Flow::Branch | Flow::Jump | Flow::Call => target,
            // An exchange goes by the stack too, and the table of targets is for others (instr_scan, branch_unit).
            Flow::Return | Flow::Exchange => match self.pop() {
                Some(address) => address,
                // No guess: whatever is fetched is wrong.
                None => !next,
            },
            Flow::Indirect | Flow::IndirectCall => {
                let guess = self.targets[slot];
                if guess != Some(next) {
                    self.targets[slot] = Some(next);
                }
                guess.unwrap_or(!next)
            }
        };
        if matches!(flow, Flow::Call | Flow::IndirectCall | Flow::Exchange) {
            self.push(after);
        }
        Guess { next: next_guessed, early: false }
    }

    #[inline]
    fn push(&mut self, after: u64) {
        self.top = self.top.checked_sub(1).unwrap_or(self.returns.len().saturating_sub(1));
        if let Some(top) = self.returns.get_mut(self.top) {
            *top = Some(after);
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        let address = self.returns.get_mut(self.top)?.take()?;
        self.top = if self.top + 1 >= self.returns.len() { 0 } else { self.top + 1 };
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRANCH: Transfer = Transfer { pc: 0x1008, len: 4, flow: Flow::Branch, target: 0x1000 };

    fn counters() -> Predictor {
        Predictor::new(PredictorParams::Counters { counters: 128, targets: 32, returns: 2 })
    }

    fn buffer() -> Predictor {
        Predictor::new(PredictorParams::Buffer {
            directions: 512,
            history: 8,
            hashed: 3,
            targets: 28,
            returns: 6,
        })
    }

    /// How many of `outcomes` are guessed wrong.
    fn wrong(predictor: &mut Predictor, transfer: Transfer, outcomes: &[bool]) -> usize {
        let mut wrong = 0;
        for &taken in outcomes {
            let next = if taken { transfer.target } else { transfer.pc + transfer.len };
            wrong += usize::from(predictor.follow(&transfer, next, taken).next != next);
        }
        wrong
    }

    #[test]
    fn a_counter_needs_two_outcomes_to_turn() {
        let mut predictor = counters();
        predictor.trapped();
        // Backward and never trained: taken, and it stays with that over one exception.
        assert_eq!(
            wrong(&mut predictor, BRANCH, &[true, true, false, true, false, false, true]),
            4
        );
    }

    #[test]
    fn counters_of_branches_256_bytes_apart_are_one() {
        let mut predictor = counters();
        predictor.trapped();
        wrong(&mut predictor, BRANCH, &[false, false, false]);
        let far = Transfer { pc: BRANCH.pc + 256, ..BRANCH };
        assert_eq!(wrong(&mut predictor, far, &[true]), 1);
        let near = Transfer { pc: BRANCH.pc + 2, ..BRANCH };
        assert_eq!(wrong(&mut predictor, near, &[true]), 0);
    }

    /// Calls `depth` deep and returns: how many returns are guessed wrong.
    fn nested(predictor: &mut Predictor, depth: u64) -> usize {
        let call = |level| 0x1000 + level * 0x100;
        for level in 0..depth {
            let target = call(level + 1);
            let transfer = Transfer { pc: call(level), len: 4, flow: Flow::Call, target };
            predictor.follow(&transfer, target, true);
        }
        let mut wrong = 0;
        for level in (0..depth).rev() {
            let pc = call(level + 1) + 8;
            let transfer = Transfer { pc, len: 4, flow: Flow::Return, target: 0 };
            let next = call(level) + 4;
            wrong += usize::from(predictor.follow(&transfer, next, true).next != next);
        }
        wrong
    }

    #[test]
    fn returns_are_known_as_deep_as_the_stack() {
        assert_eq!([1, 2, 3, 5].map(|depth| nested(&mut counters(), depth)), [0, 0, 1, 3]);
        let mut predictor = buffer();
        assert_eq!(nested(&mut predictor, 6), 0);
    }

    #[test]
    fn a_call_through_the_other_link_register_goes_by_the_stack() {
        // ras.sv: popped and pushed at once, the top is replaced.
        let Predictor::Counters(mut counters) = counters() else { return };
        let jump = |flow| Transfer { pc: 0x1000, len: 4, flow, target: 0 };
        counters.follow(&jump(Flow::IndirectCall), 0x2000);
        assert_eq!(counters.follow(&jump(Flow::Exchange), 0x3000).next, 0x1004);
        // Nobody guesses its target, however often it is the same.
        assert_ne!(counters.follow(&jump(Flow::Exchange), 0x3000).next, 0x3000);
        assert_eq!(counters.follow(&jump(Flow::Return), 0).next, 0x1004);
        assert_eq!(counters.follow(&jump(Flow::Return), 5).next, !5);
    }

    #[test]
    fn a_trap_clears_counters() {
        let mut predictor = counters();
        wrong(&mut predictor, BRANCH, &[false; 4]);
        predictor.trapped();
        assert_eq!(wrong(&mut predictor, BRANCH, &[true]), 0);
    }

    #[test]
    fn a_buffer_knows_a_steady_branch_early() {
        let mut predictor = buffer();
        wrong(&mut predictor, BRANCH, &[true; 20]);
        assert!(predictor.follow(&BRANCH, BRANCH.target, true).early);
    }

    #[test]
    fn a_buffer_holds_as_many_jumps_as_it_has_entries() {
        let mut predictor = buffer();
        let mut early = |jumps: u64| {
            let mut early = 0;
            for round in 0..4 {
                for i in 0..jumps {
                    let pc = 0x1000 + i * 8;
                    let transfer = Transfer { pc, len: 4, flow: Flow::Jump, target: pc + 8 };
                    let guess = predictor.follow(&transfer, pc + 8, true);
                    assert_eq!(guess.next, pc + 8);
                    early += u64::from(round == 3 && guess.early);
                }
            }
            early
        };
        assert_eq!(early(16), 16);
        assert!(early(64) < 8);
    }
}
