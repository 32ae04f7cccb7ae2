//! The built-in firmware's hands: harts, timer and console of the machine it runs on.

use std::collections::VecDeque;

use devices::aclint::spec;
use devices::{Device, Dma, Sink};
use isa::{ExtSet, Interrupt};
use mmu::{Fence, Ram};

use crate::bus::MachineBus;
use crate::firmware::Port;
use crate::turns::Turns;

pub(crate) struct SbiPort<'a> {
    pub(crate) turns: &'a mut Turns,
    pub(crate) bus: &'a mut MachineBus,
    pub(crate) ram: &'a Ram,
    pub(crate) exts: &'a ExtSet,
    pub(crate) console: &'a mut dyn Sink,
    /// Console input that the UART has not been given.
    pub(crate) input: &'a mut VecDeque<u8>,
}

impl Port for SbiPort<'_> {
    fn harts(&self) -> usize {
        self.turns.harts.len()
    }

    fn exts(&self) -> &ExtSet {
        self.exts
    }

    fn has_model(&self) -> bool {
        self.turns.harts.iter().all(cpu::Hart::has_model)
    }

    fn x(&self, hart: usize, index: u8) -> u64 {
        self.turns.harts[hart].x(usize::from(index))
    }

    fn set_x(&mut self, hart: usize, index: u8, value: u64) {
        self.turns.harts[hart].set_x(usize::from(index), value);
    }

    fn csr(&self, hart: usize, number: u16) -> u64 {
        self.turns.harts[hart].csr(number).unwrap_or(0)
    }

    fn set_csr(&mut self, hart: usize, number: u16, value: u64) {
        let _ = self.turns.harts[hart].set_csr(number, value);
    }

    fn set_pending(&mut self, hart: usize, interrupt: Interrupt, pending: bool) {
        self.turns.harts[hart].set_pending(interrupt, pending);
    }

    fn fence(&mut self, hart: usize, fence: Fence) {
        // Harts run in turn, so this is before the other hart's next instruction.
        self.turns.harts[hart].fence(fence);
    }

    fn fence_i(&mut self, _: usize) {
        // Decoded code never outlives a store to it, on any hart.
    }

    fn set_timer(&mut self, hart: usize, ticks: u64) {
        let offset = spec::MTIMECMP + 8 * hart as u64;
        // The register exists for every hart of the machine.
        let _ = self.bus.aclint.write(offset, 8, ticks, self.bus.now());
        self.turns.harts[hart].wires_changed();
    }

    fn start(&mut self, hart: usize) {
        self.turns.start(hart);
    }

    fn memory(&self) -> &dyn Dma {
        self.ram
    }

    fn console_write(&mut self, bytes: &[u8]) {
        self.console.put(bytes);
    }

    fn console_read(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.input.len());
        for (slot, byte) in bytes.iter_mut().zip(self.input.drain(..count)) {
            *slot = byte;
        }
        count
    }
}
