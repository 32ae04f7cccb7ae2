//! A console with one port: queue 0 brings input to the driver, queue 1 takes its output.

use super::spec::id;
use super::{Function, QueueError, Ring};
use crate::{Serial, Sink, Ticks};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Numbers of the console [virtio 5.3].
pub mod spec {
    /// Feature: the configuration holds the size of the window.
    pub const F_SIZE: u64 = 1 << 0;
    /// Feature: a byte written to the configuration is printed.
    pub const F_EMERG_WRITE: u64 = 1 << 2;
    /// The queue that brings input.
    pub const RECEIVEQ: usize = 0;
    /// The queue that takes output.
    pub const TRANSMITQ: usize = 1;
    /// Where in the configuration the emergency byte is written.
    pub const EMERG_WR: u64 = 8;
}

/// How much input waits for the driver at most, in bytes.
pub const BACKLOG_BYTES: usize = 4096;
/// One buffer prints at most this much; the rest of it is lost.
pub const OUTPUT_BYTES_MAX: u64 = 1 << 20;

const QUEUES: [u16; 2] = [64, 64];
const CHUNK_BYTES: u64 = 4096;

/// The console.
pub struct Console {
    state: State,
    sink: Box<dyn Sink>,
}

/// What a snapshot of a console holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    backlog: VecDeque<u8>,
    columns: u16,
    rows: u16,
}

impl Console {
    /// A console whose output goes to `sink`, with a window of 80 columns and 25 rows.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { state: State { backlog: VecDeque::new(), columns: 80, rows: 25 }, sink }
    }

    /// Tells the size of the window, in characters; to be called through
    /// [`super::Mmio::change_config`].
    pub fn resize(&mut self, columns: u16, rows: u16) {
        (self.state.columns, self.state.rows) = (columns, rows);
    }

    fn receive(&mut self, ring: &mut Ring<'_>) -> Result<(), QueueError> {
        for _ in 0..ring.size() {
            if self.state.backlog.is_empty() {
                break;
            }
            let Some(chain) = ring.take()? else { break };
            let n = chain.writable_bytes().min(self.state.backlog.len() as u64) as usize;
            let input: Vec<u8> = self.state.backlog.drain(..n).collect();
            chain.write(0, &input, ring.dma())?;
            ring.give_back(&chain, n as u32)?;
        }
        Ok(())
    }

    fn transmit(&mut self, ring: &mut Ring<'_>) -> Result<(), QueueError> {
        for _ in 0..ring.size() {
            let Some(chain) = ring.take()? else { break };
            let bytes = chain.readable_bytes().min(OUTPUT_BYTES_MAX);
            let mut chunk = [0; CHUNK_BYTES as usize];
            let mut at = 0;
            while at < bytes {
                let part = &mut chunk[..(bytes - at).min(CHUNK_BYTES) as usize];
                chain.read(at, part, ring.dma())?;
                self.sink.put(part);
                at += part.len() as u64;
            }
            ring.give_back(&chain, 0)?;
        }
        Ok(())
    }
}

impl Function for Console {
    fn id(&self) -> u32 {
        id::CONSOLE
    }

    fn features(&self) -> u64 {
        spec::F_SIZE | spec::F_EMERG_WRITE
    }

    fn queues(&self) -> &'static [u16] {
        &QUEUES
    }

    fn config(&self) -> Vec<u8> {
        let ports: u32 = 1;
        let emergency = 0_u32;
        let mut config = Vec::with_capacity(12);
        config.extend(self.state.columns.to_le_bytes());
        config.extend(self.state.rows.to_le_bytes());
        config.extend(ports.to_le_bytes());
        config.extend(emergency.to_le_bytes());
        config
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if offset == spec::EMERG_WR
            && let Some(byte) = data.first()
        {
            self.sink.put(&[*byte]);
        }
    }

    fn serve(&mut self, index: usize, ring: &mut Ring<'_>, _now: Ticks) -> Result<(), QueueError> {
        match index {
            spec::RECEIVEQ => self.receive(ring),
            _ => self.transmit(ring),
        }
    }

    fn serial(&mut self) -> Option<&mut dyn Serial> {
        Some(self)
    }
}

impl Serial for Console {
    fn push(&mut self, bytes: &[u8], _now: Ticks) -> usize {
        let n = bytes.len().min(self.room());
        self.state.backlog.extend(&bytes[..n]);
        n
    }

    fn room(&mut self) -> usize {
        BACKLOG_BYTES.saturating_sub(self.state.backlog.len())
    }
}
