//! A network card: queue 0 brings frames to the driver, queue 1 takes them. What the cable leads
//! to is a [`NetBackend`]; no checksum or segmentation offload is offered, so that a frame is
//! exactly what the driver sent.

mod backend;

pub use backend::{NetBackend, NullNet, Pcap};

use super::spec::id;
use super::{Function, QueueError, Ring};
use crate::{Network, Ticks};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Numbers of the network card [virtio 5.1].
pub mod spec {
    /// Feature: the configuration holds the MAC address.
    pub const F_MAC: u64 = 1 << 5;
    /// Feature: the configuration says whether the link is up.
    pub const F_STATUS: u64 = 1 << 16;
    /// Status: the link is up.
    pub const S_LINK_UP: u16 = 1;
    /// The queue that brings frames.
    pub const RECEIVEQ: usize = 0;
    /// The queue that takes frames.
    pub const TRANSMITQ: usize = 1;
    /// The header before each frame, in bytes.
    pub const HEADER_BYTES: usize = 12;
    /// Where in the header the number of buffers of a received frame stands.
    pub const NUM_BUFFERS: usize = 10;
}

/// Longer frames are dropped, in both directions; in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 16;
/// How many frames wait for the driver at most.
pub const BACKLOG_FRAMES: usize = 256;

const QUEUES: [u16; 2] = [256, 256];

/// The network card.
pub struct Net {
    mac: [u8; 6],
    backend: Box<dyn NetBackend>,
    state: State,
}

/// What a snapshot of a network card holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    backlog: VecDeque<Vec<u8>>,
}

impl Net {
    /// A card with this address, on this cable.
    pub fn new(mac: [u8; 6], backend: Box<dyn NetBackend>) -> Self {
        Self { mac, backend, state: State::default() }
    }

    fn receive(&mut self, ring: &mut Ring<'_>, now: Ticks) -> Result<(), QueueError> {
        for _ in 0..ring.size() {
            let Some(frame) = self.state.backlog.front() else { break };
            let Some(chain) = ring.take()? else { break };
            let bytes = spec::HEADER_BYTES + frame.len();
            if chain.writable_bytes() < bytes as u64 {
                // The frame is lost, as on a wire; the buffer may suit the next one.
                ring.put_back();
                self.state.backlog.pop_front();
                continue;
            }
            let mut header = [0; spec::HEADER_BYTES];
            header[spec::NUM_BUFFERS] = 1;
            chain.write(0, &header, ring.dma())?;
            chain.write(spec::HEADER_BYTES as u64, frame, ring.dma())?;
            ring.give_back(&chain, bytes as u32)?;
            self.backend.delivered(frame, now);
            self.state.backlog.pop_front();
        }
        Ok(())
    }

    fn transmit(&mut self, ring: &mut Ring<'_>, now: Ticks) -> Result<(), QueueError> {
        for _ in 0..ring.size() {
            let Some(chain) = ring.take()? else { break };
            let readable = chain.readable_bytes();
            let Some(bytes) = readable.checked_sub(spec::HEADER_BYTES as u64) else {
                return Err(QueueError::TooShort { readable, writable: chain.writable_bytes() });
            };
            if bytes <= FRAME_BYTES_MAX as u64 {
                let mut frame = vec![0; bytes as usize];
                chain.read(spec::HEADER_BYTES as u64, &mut frame, ring.dma())?;
                self.backend.transmit(&frame, now);
            }
            ring.give_back(&chain, 0)?;
        }
        Ok(())
    }
}

impl Function for Net {
    fn id(&self) -> u32 {
        id::NET
    }

    fn features(&self) -> u64 {
        spec::F_MAC | spec::F_STATUS
    }

    fn queues(&self) -> &'static [u16] {
        &QUEUES
    }

    fn config(&self) -> Vec<u8> {
        let mut config = self.mac.to_vec();
        config.extend(spec::S_LINK_UP.to_le_bytes());
        config
    }

    fn serve(&mut self, index: usize, ring: &mut Ring<'_>, now: Ticks) -> Result<(), QueueError> {
        match index {
            spec::RECEIVEQ => self.receive(ring, now),
            _ => self.transmit(ring, now),
        }
    }

    /// Frames for a driver that is gone are lost.
    fn reset(&mut self) {
        self.state = State::default();
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        Some(self)
    }
}

impl Network for Net {
    fn push_frame(&mut self, frame: &[u8], _now: Ticks) -> bool {
        let taken = frame.len() <= FRAME_BYTES_MAX && self.state.backlog.len() < BACKLOG_FRAMES;
        if taken {
            self.state.backlog.push_back(frame.to_vec());
        }
        taken
    }
}
