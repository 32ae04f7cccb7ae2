//! What became of an instruction outside the pipeline, as far as it takes time: numbers without addresses, so that the pipeline
//! does the same whenever it is told the same.

/// A fetch packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fetched {
    /// Cycles of the walk that it needed, 0 for none.
    pub(crate) walk: u32,
    /// It missed the instruction cache.
    pub(crate) miss: bool,
    /// The cycles that this took beyond the latency of what lies next to the first caches.
    pub(crate) beyond: u16,
}

/// An access to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Data {
    /// It hit the data cache, or went through it.
    #[default]
    Hit,
    /// It missed.
    Miss,
    /// It missed, and a changed line had to be written back.
    MissWritten,
    /// It went to a device.
    Device,
    /// It goes nowhere: it will trap.
    Nowhere,
    /// The instruction makes no access that could be followed.
    Unknown,
}

/// Everything. The default is the frequent case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    /// The packet that it lies in where it was jumped to, and the one that begins in it.
    pub(crate) fetch: [Fetched; 2],
    /// Where it went.
    pub(crate) data: Data,
    /// How many stores ago one was made to the word: the same word for a store, one that the queue of stores cannot tell from
    /// it for a load; where stores go to the cache, to bytes that a load needs. 0 for none that matters.
    pub(crate) behind: u16,
    /// Where that is about a store that goes through the cache: the bytes of the word that the earlier one was made to and those of this
    /// one, zeros where both are whole words.
    pub(crate) bytes: [u8; 2],
    /// A load that missed, where stores go through the cache: how many stores ago one was made to the line, 0 for none that matters.
    pub(crate) beside: u16,
    /// What its operands make of its time: cycles of a division, iterations of a product, cycles spared by a quotient.
    pub(crate) operand: u16,
    /// Cycles of the walk that it needed, 0 for none.
    pub(crate) walk: u32,
    /// The cycles that a miss took beyond the latency of what lies next to the first caches.
    pub(crate) beyond: u16,
    /// It sends the front-end elsewhere: so many packets on the way that this was on, there is one that is not in the
    /// instruction cache. 0 for none that is near.
    pub(crate) ahead: u8,
}

/// How the front-end goes on behind a control transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Followed {
    /// Straight on, as it guessed, or there was no transfer.
    #[default]
    Straight,
    /// To a target that the target buffer knew.
    Early,
    /// To a target that decoding found.
    Late,
    /// It guessed wrong.
    Wrong,
}

/// How many there are.
pub(crate) const FOLLOWED: usize = 4;
