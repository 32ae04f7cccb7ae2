//! An entropy source: fills the driver's buffers from a seeded generator, so that a run repeats.

use super::spec::id;
use super::{Function, QueueError, Ring};
use crate::{Entropy, Ticks};

/// One request gets at most this many bytes; a driver that wants more asks again.
pub const REQUEST_BYTES_MAX: u64 = 1 << 16;

const QUEUES: [u16; 1] = [16];

/// The entropy source.
pub struct Rng {
    entropy: Entropy,
}

impl Rng {
    /// A source of what `entropy` generates.
    pub fn new(entropy: Entropy) -> Self {
        Self { entropy }
    }
}

impl Function for Rng {
    fn id(&self) -> u32 {
        id::ENTROPY
    }

    fn queues(&self) -> &'static [u16] {
        &QUEUES
    }

    fn serve(&mut self, _index: usize, ring: &mut Ring<'_>, _now: Ticks) -> Result<(), QueueError> {
        for _ in 0..ring.size() {
            let Some(chain) = ring.take()? else { break };
            let bytes = chain.writable_bytes().min(REQUEST_BYTES_MAX);
            let mut random = vec![0; bytes as usize];
            self.entropy.fill(&mut random);
            chain.write(0, &random, ring.dma())?;
            ring.give_back(&chain, bytes as u32)?;
        }
        Ok(())
    }
}
