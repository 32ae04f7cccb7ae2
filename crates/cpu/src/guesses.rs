//! Where a jump will go, by where those went that came by the same way.
//!
//! A native processor runs ahead of what it computes, along branches that it predicts. But threads follow pointers to what they do next, and
//! where such a pointer comes from a guest's register, nothing begins before the register's value is there: in an interpreter, or where
//! a function returns, that waits for all that was computed since the last jump. A guess depends on nothing but the jumps
//! before, and the native processor runs ahead along that, while it still compares the guess with where the jump goes.
//!
//! A guess is taken only where it proves right, so nothing depends on which there are.

use std::cell::Cell;

/// Guesses of a hart; a power of two.
const COUNT: usize = 4096;

/// The operation that a jump may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    /// The place of its page in the cache.
    pub(crate) slot: u16,
    /// Its number in the page, which is not zero.
    pub(crate) number: u16,
}

impl Guess {
    /// What no jump goes to: a page has fewer operations.
    const NONE: Self = Self { slot: 0, number: u16::MAX };
}

/// All guesses of a hart.
#[derive(Debug)]
pub(crate) struct Guesses {
    guesses: Box<[Cell<Guess>; COUNT]>,
    /// Where the last jumps went, the oldest in the highest bits.
    path: Cell<usize>,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        Self { guesses: Box::new([const { Cell::new(Guess::NONE) }; COUNT]), path: Cell::new(0) }
    }

    /// The guess for the jump that the link at this address does.
    #[inline(always)]
    fn of(&self, link: usize) -> &Cell<Guess> {
        // Links have 16 bytes.
        &self.guesses[(self.path.get() ^ link) / 16 % COUNT]
    }

    #[inline(always)]
    pub(crate) fn get(&self, link: usize) -> Guess {
        self.of(link).get()
    }

    #[inline(always)]
    pub(crate) fn set(&self, link: usize, guess: Guess) {
        self.of(link).set(guess);
    }

    /// A jump went to the link at this address.
    #[inline(always)]
    pub(crate) fn went(&self, link: usize) {
        self.path.set(self.path.get() << 2 ^ link);
    }
}
