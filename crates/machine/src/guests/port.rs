//! The hypervisor's hands: harts, memory and consoles of the machine.

use std::collections::VecDeque;

use cpu::OutsideStep;
use devices::aclint::spec;
use devices::{Device, Dma, OutOfRam, Ticks};
use hyp::cost::Spent;
use hyp::port::{HartFence, Harts, Io, Memory, NotMemory};
use isa::field::mip;
use isa::{Gpa, Interrupt, Pa, Privilege, Va, csr};
use mmu::{Fence, Ram};

use super::GUEST_BASE;
use super::console::{Console, UART_BASE, UART_BYTES};
use super::cycles::{Cpi, Steps};
use crate::bus::MachineBus;
use crate::turns::Turns;

/// Main memory.
pub(super) struct Physical<'a> {
    pub(super) ram: &'a Ram,
    pub(super) steps: &'a Steps,
}

impl Memory for Physical<'_> {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        self.steps.push(None, OutsideStep::Load(pte));
        self.ram.read(pte).ok_or(NotMemory(pte))
    }

    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
        self.steps.push(None, OutsideStep::Store(pte));
        self.ram.write(pte, value).ok_or(NotMemory(pte))
    }

    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
        // As a load and a store, which it is for a cache.
        self.steps.push(None, OutsideStep::Load(pte));
        self.steps.push(None, OutsideStep::Store(pte));
        let outcome = self.ram.compare_exchange(pte, old, new).ok_or(NotMemory(pte))?;
        Ok(outcome.err().unwrap_or(old))
    }
}

impl hyp::port::Physical for Physical<'_> {
    fn read_bytes(&self, from: Pa, bytes: &mut [u8]) -> Result<(), NotMemory> {
        self.ram.read_bytes(from, bytes).map_err(|_| NotMemory(from))
    }

    fn write_bytes(&self, to: Pa, bytes: &[u8]) -> Result<(), NotMemory> {
        self.ram.write_bytes(to, bytes).map_err(|_| NotMemory(to))
    }
}

/// The harts.
pub(super) struct HartsPort<'a> {
    pub(super) turns: &'a mut Turns,
    pub(super) bus: &'a mut MachineBus,
    pub(super) sstc: bool,
    pub(super) steps: &'a Steps,
    pub(super) cpi: Cpi,
}

impl Harts for HartsPort<'_> {
    fn count(&self) -> usize {
        self.turns.harts.len()
    }

    fn x(&self, hart: usize, index: u8) -> u64 {
        self.turns.harts[hart].x(usize::from(index))
    }

    fn set_x(&mut self, hart: usize, index: u8, value: u64) {
        self.turns.harts[hart].set_x(usize::from(index), value);
    }

    fn f(&self, hart: usize, index: u8) -> u64 {
        self.turns.harts[hart].f(usize::from(index))
    }

    fn set_f(&mut self, hart: usize, index: u8, bits: u64) {
        self.turns.harts[hart].set_f(usize::from(index), bits);
    }

    fn csr(&self, hart: usize, number: u16) -> u64 {
        self.turns.harts[hart].csr(number).unwrap_or(0)
    }

    fn set_csr(&mut self, hart: usize, number: u16, value: u64) {
        let _ = self.turns.harts[hart].set_csr(number, value);
    }

    fn sret(&mut self, hart: usize) {
        self.turns.harts[hart].sret();
    }

    fn fence(&mut self, hart: usize, fence: HartFence) {
        // Harts run in turn, so this is before the other hart's next instruction.
        self.turns.harts[hart].fence(match fence {
            HartFence::Gvma { gpa, vmid } => Fence::Gvma { gpa, vmid },
            HartFence::Vvma { va, asid, vmid } => Fence::Vvma { va, asid, vmid },
            // Decoded code never outlives a store to it, on any hart.
            HartFence::I => return,
        });
        self.steps.push(Some(hart), OutsideStep::Fence);
    }

    fn set_timer(&mut self, hart: usize, ticks: u64) {
        if self.sstc {
            let _ = self.turns.harts[hart].set_csr(csr::STIMECMP, ticks);
            return;
        }
        // What the firmware does for SBI's set_timer without Sstc; it passes the interrupt on.
        let offset = spec::MTIMECMP + 8 * hart as u64;
        let _ = self.bus.aclint.write(offset, 8, ticks, self.bus.now());
        let hart = &mut self.turns.harts[hart];
        hart.wires_changed();
        hart.set_pending(Interrupt::SupervisorTimer, false);
        let enabled = hart.csr(csr::MIE).unwrap_or(0);
        let _ = hart.set_csr(csr::MIE, enabled | mip::MTIP);
    }

    fn interrupt(&mut self, hart: usize) {
        self.turns.harts[hart].set_pending(Interrupt::SupervisorSoftware, true);
    }

    fn spend(&mut self, hart: usize, spent: Spent) {
        let hart = &mut self.turns.harts[hart];
        if hart.has_model() {
            self.steps.replay(hart, spent, self.cpi);
        } else {
            hart.set_cycle(hart.cycle().saturating_add(spent.instructions));
        }
    }

    fn read_guest_code(&mut self, hart: usize, va: Va, privilege: Privilege) -> Option<u16> {
        self.turns.harts[hart].read_guest_code(va, privilege)
    }
}

/// Consoles.
pub(super) struct IoPort<'a> {
    pub(super) consoles: &'a mut Vec<Console>,
    pub(super) input: &'a mut VecDeque<u8>,
    pub(super) now: Ticks,
}

/// The offset of an address in the guest's UART.
fn uart_offset(gpa: Gpa) -> Option<u64> {
    gpa.0.checked_sub(UART_BASE).filter(|&offset| offset < UART_BYTES)
}

impl Io for IoPort<'_> {
    fn console_write(&mut self, vm: usize, bytes: &[u8]) {
        if let Some(console) = self.consoles.get_mut(vm) {
            console.put(bytes);
        }
    }

    /// The first VM has the input.
    fn console_read(&mut self, vm: usize, bytes: &mut [u8]) -> usize {
        if vm != 0 {
            return 0;
        }
        let count = bytes.len().min(self.input.len());
        for (slot, byte) in bytes.iter_mut().zip(self.input.drain(..count)) {
            *slot = byte;
        }
        count
    }

    fn console_state(&self, vm: usize) -> Vec<u8> {
        self.consoles.get(vm).map_or(Vec::new(), Console::state)
    }

    fn set_console_state(&mut self, vm: usize, state: &[u8]) -> Option<()> {
        self.consoles.get_mut(vm)?.set_state(state)
    }

    fn device_read(&mut self, vm: usize, gpa: Gpa, size: u8) -> Option<u64> {
        let offset = uart_offset(gpa)?;
        let input = (vm == 0).then_some(&mut *self.input);
        self.consoles.get_mut(vm)?.load(offset, size, input, self.now)
    }

    fn device_write(&mut self, vm: usize, gpa: Gpa, size: u8, value: u64) -> Option<()> {
        self.consoles.get_mut(vm)?.store(uart_offset(gpa)?, size, value, self.now)
    }
}

/// A guest's memory by guest physical address.
pub(crate) struct GuestWindow<'a> {
    pub(crate) ram: &'a Ram,
    pub(crate) memory: Pa,
    pub(crate) bytes: u64,
}

impl GuestWindow<'_> {
    fn place(&self, gpa: Pa, len: u64) -> Result<Pa, OutOfRam> {
        let offset = gpa.0.checked_sub(GUEST_BASE.0);
        let inside = |offset: &u64| offset.checked_add(len).is_some_and(|end| end <= self.bytes);
        let offset = offset.filter(inside).ok_or(OutOfRam { pa: gpa, len })?;
        Ok(Pa(self.memory.0 + offset))
    }
}

impl Dma for GuestWindow<'_> {
    fn contains(&self, pa: Pa, bytes: u64) -> bool {
        self.place(pa, bytes).is_ok()
    }

    fn read_bytes(&self, pa: Pa, out: &mut [u8]) -> Result<(), OutOfRam> {
        self.ram.read_bytes(self.place(pa, out.len() as u64)?, out)
    }

    fn write_bytes(&self, pa: Pa, data: &[u8]) -> Result<(), OutOfRam> {
        self.ram.write_bytes(self.place(pa, data.len() as u64)?, data)
    }
}
