//! A guest's console: SBI's DBCN and a 16550 without an interrupt, side by side on one outlet.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use devices::{Device, Serial, Sink, Ticks, Uart};

/// Where a guest's UART is, as on the board.
pub(crate) const UART_BASE: u64 = 0x1000_0000;
/// How much address space it takes, in bytes.
pub(crate) const UART_BYTES: u64 = 0x100;

/// Where a VM prints and what it reads.
pub(crate) struct Console {
    outlet: Shared,
    uart: Uart,
}

impl Console {
    /// A console that prints to `sink`, each line behind `prefix` unless that is empty.
    pub(super) fn new(sink: Box<dyn Sink>, prefix: String) -> Self {
        let outlet = Shared(Arc::new(Mutex::new(Outlet { sink, prefix, line: Vec::new() })));
        Self { uart: Uart::new(Box::new(outlet.clone())), outlet }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.outlet.put(bytes);
    }

    /// The UART's state.
    pub(super) fn state(&self) -> Vec<u8> {
        serde_json::to_vec(self.uart.state()).unwrap_or_default()
    }

    /// Takes a UART's state over.
    pub(super) fn set_state(&mut self, state: &[u8]) -> Option<()> {
        self.uart.restore(serde_json::from_slice(state).ok()?).then_some(())
    }

    /// A load from the UART, which first takes what waits in `input`.
    pub(super) fn load(
        &mut self,
        offset: u64,
        size: u8,
        input: Option<&mut VecDeque<u8>>,
        now: Ticks,
    ) -> Option<u64> {
        if let Some(input) = input {
            while self.uart.room() > 0
                && let Some(byte) = input.pop_front()
            {
                Serial::push(&mut self.uart, &[byte], now);
            }
        }
        self.uart.read(offset, size, now).ok()
    }

    /// A store to the UART.
    pub(super) fn store(&mut self, offset: u64, size: u8, value: u64, now: Ticks) -> Option<()> {
        self.uart.write(offset, size, value, now).ok()
    }
}

/// One outlet for both devices.
#[derive(Clone)]
struct Shared(Arc<Mutex<Outlet>>);

impl Sink for Shared {
    fn put(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(bytes);
    }
}

struct Outlet {
    sink: Box<dyn Sink>,
    prefix: String,
    /// What was printed of a line that has not ended.
    line: Vec<u8>,
}

/// A line longer than this is printed in pieces.
const LINE_BYTES_MAX: usize = 4096;

impl Outlet {
    fn put(&mut self, bytes: &[u8]) {
        if self.prefix.is_empty() {
            return self.sink.put(bytes);
        }
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' || self.line.len() >= LINE_BYTES_MAX {
                self.sink.put(&[self.prefix.as_bytes(), &self.line].concat());
                self.line.clear();
            }
        }
    }
}
