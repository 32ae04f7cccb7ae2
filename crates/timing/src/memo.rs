//! What the pipeline did before: from a state, a block and what became of its instructions, to the cycles it took and the state behind
//! it. Nothing here decides anything: what is not known is worked out by the pipeline and kept.
//!
//! States and transitions have numbers. Each transition remembers which came behind it, so that a loop runs without a look-up. Both
//! tables are bounded; when one is full, both begin anew. Of what was unusual a transition keeps 64 bits that are mixed from all of it:
//! lists with the same bits are taken for the same.

use crate::item::Item;
use crate::outcome::{FOLLOWED, Fetched, Followed, Outcome};
use crate::pipeline::{Pipeline, Visitor};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// States at most.
const STATES_MAX: usize = 1 << 17;
/// Transitions at most.
const TRANSITIONS_MAX: usize = 1 << 19;
/// Places of the table of transitions.
const PLACES: usize = 2 * TRANSITIONS_MAX;
/// The block of an instruction by itself.
pub(crate) const SINGLE: u32 = u32::MAX;
/// No transition.
pub(crate) const NONE: u32 = u32::MAX;

/// A state of the pipeline, apart from when it is.
#[derive(Clone, Debug)]
struct State {
    /// Its times and numbers; the highest bit tells how many zeros stand here.
    words: Box<[u32]>,
}

/// What the hierarchy must know of the state behind a transition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Edge {
    /// The state's number.
    pub(crate) state: u32,
    /// How many of the last stores can still be met.
    pub(crate) load_window: u8,
    pub(crate) store_window: u8,
    /// The next instruction is fetched with all of its packet.
    pub(crate) resumes: bool,
    /// When the last packet came, the queue was nearly empty.
    pub(crate) hungry: bool,
}

/// A block that was gone through. It fills a native cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Transition {
    block: u32,
    /// Cycles from the last issue before it to its own last one.
    pub(crate) cycles: u32,
    pub(crate) exit: Edge,
    /// By how the next block is followed and what is unusual there, the transition that came behind this one last.
    next: [u32; FOLLOWED],
    /// The next one in the same place of the table.
    chain: u32,
    entry: u32,
    unusual: Print,
    followed: Followed,
}

/// What was unusual, in short; all zeros where nothing was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Print(u64);

impl Print {
    pub(crate) fn new(unusual: &[(u8, Outcome)]) -> Self {
        let mut mix = Mix::default();
        for (number, outcome) in unusual {
            mix.outcome(*number, outcome);
        }
        Self(if unusual.is_empty() { 0 } else { mix.finish().max(1) })
    }

    /// That of an instruction by itself.
    pub(crate) fn of_single(item: &Item, outcome: &Outcome) -> Self {
        let mut mix = Mix(item.print);
        mix.outcome(0, outcome);
        Self(mix.finish())
    }
}

/// Something in 64 bits.
pub(crate) fn mixed(what: &impl Hash) -> u64 {
    let mut mix = Mix::default();
    what.hash(&mut mix);
    mix.finish()
}

/// What a block is gone through with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The state before.
    pub(crate) entry: u32,
    pub(crate) block: u32,
    pub(crate) followed: Followed,
    pub(crate) unusual: Print,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Memo {
    states: Vec<State>,
    by_words: HashMap<Box<[u32]>, u32, BuildHasherDefault<Mix>>,
    transitions: Vec<Transition>,
    /// By the low bits of their keys' hashes, the numbers of transitions, plus one; or nothing at all.
    by_key: Vec<u32>,
    scratch: Vec<u32>,
}

const _: () = assert!(size_of::<Transition>() == 64);

impl Memo {
    /// Whether there is no room left: it should be cleared when no number of its is in use.
    pub(crate) fn is_full(&self) -> bool {
        self.states.len() >= STATES_MAX || self.transitions.len() >= TRANSITIONS_MAX
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of the state that a pipeline is in. `None` where it is too strange to be kept.
    pub(crate) fn state_of(&mut self, pipeline: &mut Pipeline) -> Option<u32> {
        let mut save = Save { words: std::mem::take(&mut self.scratch), zeros: 0, sound: true };
        save.words.clear();
        pipeline.visit(&mut save);
        save.flush();
        let Save { words, sound, .. } = save;
        let known = self.by_words.get(words.as_slice()).copied();
        let number = known.or_else(|| {
            let number = u32::try_from(self.states.len()).ok().filter(|_| sound)?;
            self.states.push(State { words: words.as_slice().into() });
            self.by_words.insert(words.as_slice().into(), number);
            Some(number)
        });
        self.scratch = words;
        number
    }

    /// Puts a pipeline, whose last issue is at `issued`, into a state.
    pub(crate) fn restore(&self, state: u32, issued: u64, pipeline: &mut Pipeline) {
        let Some(state) = self.states.get(state as usize) else { return };
        pipeline.issued = issued;
        pipeline.visit(&mut Restore { words: state.words.iter(), zeros: 0 });
    }

    /// The transition behind `last` that came there before, if it is that of this block.
    #[inline(always)]
    pub(crate) fn follow(
        &self,
        last: u32,
        block: u32,
        (followed, unusual): (Followed, Print),
    ) -> Option<(u32, &Transition)> {
        let number = self.transitions.get(last as usize)?.next[slot_of(followed, unusual)];
        let next = self.transitions.get(number as usize)?;
        (next.block == block && next.unusual == unusual).then_some((number, next))
    }

    /// The transition, if it is known; `last` remembers it.
    pub(crate) fn find(&mut self, last: u32, key: &Key) -> Option<(u32, &Transition)> {
        let mut number = self.by_key.get(place_of(key))?.wrapping_sub(1);
        loop {
            let transition = self.transitions.get(number as usize)?;
            let same = transition.block == key.block
                && transition.entry == key.entry
                && transition.followed == key.followed
                && transition.unusual == key.unusual;
            if same {
                break;
            }
            number = transition.chain;
        }
        self.link(last, key, number);
        self.transitions.get(number as usize).map(|transition| (number, transition))
    }

    fn link(&mut self, last: u32, key: &Key, number: u32) {
        if let Some(last) = self.transitions.get_mut(last as usize) {
            last.next[slot_of(key.followed, key.unusual)] = number;
        }
    }

    /// Keeps a transition: says its number.
    pub(crate) fn insert(&mut self, last: u32, key: &Key, cycles: u32, exit: Edge) -> u32 {
        if self.by_key.is_empty() {
            self.by_key = vec![0; PLACES];
        }
        let number = self.transitions.len() as u32;
        let chain = std::mem::replace(&mut self.by_key[place_of(key)], number + 1);
        self.transitions.push(Transition {
            block: key.block,
            cycles,
            exit,
            next: [NONE; FOLLOWED],
            chain: chain.wrapping_sub(1),
            entry: key.entry,
            followed: key.followed,
            unusual: key.unusual,
        });
        self.link(last, key, number);
        number
    }
}

/// Where a transition remembers the one that came behind it: what is unusual drives out nothing that is usual and followed alike.
#[inline(always)]
fn slot_of(followed: Followed, unusual: Print) -> usize {
    (followed as usize).wrapping_add(unusual.0 as usize) % FOLLOWED
}

/// Where the table has a transition.
fn place_of(key: &Key) -> usize {
    let mut mix = Mix::default();
    mix.write_u64(u64::from(key.entry) << 32 | u64::from(key.block));
    mix.write_u64(key.unusual.0.wrapping_add(key.followed as u64));
    mix.finish() as usize % PLACES
}

/// A quick hash for what no adversary chooses at a cost: collisions are looked through.
#[derive(Clone, Debug, Default)]
struct Mix(u64);

impl Mix {
    /// What became of an instruction.
    fn outcome(&mut self, number: u8, outcome: &Outcome) {
        let Outcome { fetch, data, behind, bytes, beside, operand, walk, beyond, ahead } = *outcome;
        let fetched = |Fetched { walk, miss, beyond }: Fetched| {
            u64::from(walk) << 32 | u64::from(beyond) << 8 | u64::from(miss)
        };
        self.write_u64(u64::from(number) << 48 | u64::from(behind) << 32 | u64::from(walk));
        self.write_u64(
            u64::from(data as u8) << 56
                | u64::from(ahead) << 48
                | u64::from(beside) << 32
                | u64::from(operand) << 16
                | u64::from(beyond),
        );
        self.write_u64(u64::from(u16::from_le_bytes(bytes)) << 48 ^ fetched(fetch[0]));
        self.write_u64(fetched(fetch[1]));
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for &word in words {
            self.write_u64(u64::from_le_bytes(word));
        }
        for &byte in rest {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
}

const ZEROS: u32 = 1 << 31;

struct Save {
    words: Vec<u32>,
    zeros: u32,
    sound: bool,
}

impl Save {
    fn flush(&mut self) {
        if self.zeros != 0 {
            self.words.push(ZEROS | self.zeros);
            self.zeros = 0;
        }
    }
}

impl Visitor for Save {
    fn time(&mut self, time: &mut u64, floor: u64) {
        *time = (*time).max(floor);
        self.number(&mut (*time - floor));
    }

    fn number(&mut self, number: &mut u64) {
        if *number == 0 {
            self.zeros += 1;
            return;
        }
        self.flush();
        self.sound &= *number < u64::from(ZEROS);
        self.words.push(*number as u32);
    }
}

struct Restore<'a> {
    words: std::slice::Iter<'a, u32>,
    zeros: u32,
}

impl Visitor for Restore<'_> {
    fn time(&mut self, time: &mut u64, floor: u64) {
        self.number(time);
        *time += floor;
    }

    fn number(&mut self, number: &mut u64) {
        if self.zeros == 0 {
            let word = self.words.next().copied().unwrap_or_default();
            if word & ZEROS == 0 {
                *number = word.into();
                return;
            }
            self.zeros = word & !ZEROS;
        }
        self.zeros = self.zeros.saturating_sub(1);
        *number = 0;
    }
}
