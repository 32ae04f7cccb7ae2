//! A 16550 UART with FIFOs (`ns16550a`), registers one byte apart.
//!
//! A character written is sent at once, so the transmitter is always empty. Input waits in a
//! bounded buffer behind the 16-byte FIFO and moves in as the guest makes room, as if the other
//! end obeyed flow control; an overrun can therefore happen only in loopback. Baud rate and frame
//! format are remembered and have no effect.

pub mod spec;
#[cfg(test)]
mod tests;

use crate::{BusFault, Device, Serial, Sink, Ticks};
use serde::{Deserialize, Serialize};
use spec::*;
use std::collections::VecDeque;

/// How much input waits for the guest at most, in bytes.
pub const BACKLOG_BYTES: usize = 4096;

/// The serial port.
pub struct Uart {
    state: State,
    sink: Box<dyn Sink>,
}

/// What a snapshot of a serial port holds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    ier: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
    divisor: [u8; 2],
    fifos: bool,
    /// The receiver FIFO's trigger level, in bytes.
    trigger: u8,
    rx: VecDeque<u8>,
    backlog: VecDeque<u8>,
    overrun: bool,
    /// The transmitter became empty and nobody has been told.
    thre_pending: bool,
    msr_delta: u8,
}

impl State {
    fn rx_room(&self) -> usize {
        let depth = if self.fifos { FIFO_BYTES } else { 1 };
        depth.saturating_sub(self.rx.len())
    }

    /// Moves input that has waited into the receiver, unless it is cut off by loopback.
    fn refill(&mut self) {
        if self.mcr & MCR_LOOP == 0 {
            let n = self.rx_room().min(self.backlog.len());
            self.rx.extend(self.backlog.drain(..n));
        }
    }

    fn lsr(&self) -> u8 {
        let mut lsr = LSR_THRE | LSR_TEMT;
        if !self.rx.is_empty() {
            lsr |= LSR_DR;
        }
        if self.overrun {
            lsr |= LSR_OE;
        }
        lsr
    }

    /// The four modem inputs: the other end is there and ready, or the outputs in loopback.
    fn modem_lines(&self) -> u8 {
        if self.mcr & MCR_LOOP == 0 {
            return MSR_CTS | MSR_DSR | MSR_DCD;
        }
        let wires =
            [(MCR_RTS, MSR_CTS), (MCR_DTR, MSR_DSR), (MCR_OUT1, MSR_RI), (MCR_OUT2, MSR_DCD)];
        wires.iter().filter(|(out, _)| self.mcr & out != 0).fold(0, |lines, (_, to)| lines | to)
    }

    fn set_mcr(&mut self, mcr: u8) {
        let before = self.modem_lines();
        self.mcr = mcr & MCR_MASK;
        let after = self.modem_lines();
        let changed = before ^ after;
        // Ring has no "changed" bit, only one for its end.
        self.msr_delta |= (changed >> 4) & MSR_DELTA & !MSR_TERI;
        if before & !after & MSR_RI != 0 {
            self.msr_delta |= MSR_TERI;
        }
        self.refill();
    }

    /// The pending interrupt of the highest priority, as IIR reports it.
    fn interrupt(&self) -> u8 {
        if self.ier & IER_ELSI != 0 && self.overrun {
            IIR_LINE
        } else if self.ier & IER_ERBFI != 0 && !self.rx.is_empty() {
            // The line is always idle once its characters are here, so the four character times
            // of the timeout are over.
            if !self.fifos || self.rx.len() >= usize::from(self.trigger) {
                IIR_DATA
            } else {
                IIR_TIMEOUT
            }
        } else if self.ier & IER_ETBEI != 0 && self.thre_pending {
            IIR_THRE
        } else if self.ier & IER_EDSSI != 0 && self.msr_delta != 0 {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    fn set_ier(&mut self, ier: u8) {
        let ier = ier & 0x0f;
        if (self.ier ^ ier) & IER_ETBEI != 0 {
            // Drivers start a transmission by enabling this interrupt on an idle port.
            self.thre_pending = ier & IER_ETBEI != 0;
        }
        self.ier = ier;
    }

    fn set_fcr(&mut self, fcr: u8) {
        let fifos = fcr & FCR_ENABLE != 0;
        if fifos != self.fifos || (fifos && fcr & FCR_CLEAR_RX != 0) {
            self.rx.clear();
        }
        self.fifos = fifos;
        self.trigger = if fifos { [1, 4, 8, 14][usize::from(fcr >> 6)] } else { 1 };
        self.refill();
    }
}

impl Uart {
    /// A port whose output goes to `sink`.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { state: State::default(), sink }
    }

    /// Its state, without what stands behind it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes the state of another one over; `false` and nothing else if no UART can have it.
    pub fn restore(&mut self, state: State) -> bool {
        let fits = state.rx.len() <= FIFO_BYTES
            && state.backlog.len() <= BACKLOG_BYTES
            && usize::from(state.trigger) <= FIFO_BYTES;
        if fits {
            self.state = state;
        }
        fits
    }

    fn transmit(&mut self, byte: u8) {
        let s = &mut self.state;
        if s.mcr & MCR_LOOP == 0 {
            self.sink.put(&[byte]);
        } else if s.rx_room() > 0 {
            s.rx.push_back(byte);
        } else {
            s.overrun = true;
        }
        self.state.thre_pending = true;
    }
}

impl Device for Uart {
    /// Accesses of any size reach the one register at their address.
    fn read(&mut self, offset: u64, _size: u8, _now: Ticks) -> Result<u64, BusFault> {
        let s = &mut self.state;
        let dlab = s.lcr & LCR_DLAB != 0;
        let value = match offset {
            RBR_THR_DLL if dlab => s.divisor[0],
            RBR_THR_DLL => {
                let byte = s.rx.pop_front().unwrap_or(0);
                s.refill();
                byte
            }
            IER_DLM if dlab => s.divisor[1],
            IER_DLM => s.ier,
            IIR_FCR => {
                let interrupt = s.interrupt();
                if interrupt == IIR_THRE {
                    s.thre_pending = false;
                }
                interrupt | if s.fifos { IIR_FIFOS } else { 0 }
            }
            LCR => s.lcr,
            MCR => s.mcr,
            LSR => {
                let lsr = s.lsr();
                s.overrun = false;
                lsr
            }
            MSR => s.modem_lines() | std::mem::take(&mut s.msr_delta),
            SCR => s.scr,
            _ => 0,
        };
        Ok(value.into())
    }

    fn write(&mut self, offset: u64, _size: u8, value: u64, _now: Ticks) -> Result<(), BusFault> {
        let value = value as u8;
        let s = &mut self.state;
        let dlab = s.lcr & LCR_DLAB != 0;
        match offset {
            RBR_THR_DLL if dlab => s.divisor[0] = value,
            RBR_THR_DLL => self.transmit(value),
            IER_DLM if dlab => s.divisor[1] = value,
            IER_DLM => s.set_ier(value),
            IIR_FCR => s.set_fcr(value),
            LCR => s.lcr = value,
            MCR => s.set_mcr(value),
            SCR => s.scr = value,
            _ => {} // LSR and MSR are read-only, the rest of the region is empty
        }
        Ok(())
    }

    fn irq(&self) -> bool {
        self.state.interrupt() != IIR_NONE
    }

    /// Input that the guest has not seen yet stays: it is on the wire.
    fn reset(&mut self) {
        let backlog = std::mem::take(&mut self.state.backlog);
        self.state = State { backlog, ..State::default() };
        self.state.refill();
    }

    fn serial(&mut self) -> Option<&mut dyn Serial> {
        Some(self)
    }
}

impl Serial for Uart {
    fn push(&mut self, bytes: &[u8], _now: Ticks) -> usize {
        let n = bytes.len().min(self.room());
        self.state.backlog.extend(&bytes[..n]);
        self.state.refill();
        n
    }

    fn room(&mut self) -> usize {
        BACKLOG_BYTES.saturating_sub(self.state.backlog.len())
    }
}
