//! The bus: harts' accesses to devices, interrupt lines to the PLIC, and the wires back to harts.
//!
//! Devices are brought up to a moment only when a hart reaches one, or when one of them asked for
//! that moment; between, nothing is polled.

use cpu::{Platform, Wires};
use devices::{Aclint, Device, Finish, Plic, Serial, Ticks};
use isa::{Interrupt, Pa};
use mmu::{Bus, BusFault};
use timing::Clock;

use crate::board::{Board, PLIC_SOURCES, Part, Region};

/// A device in its place.
pub(crate) struct Slot {
    pub(crate) region: Region,
    pub(crate) device: Box<dyn Device>,
    /// When the device wanted to be told the time, as of its last access or tick.
    pub(crate) deadline: Option<Ticks>,
}

/// All that is not a hart and not main memory.
pub(crate) struct MachineBus {
    slots: Vec<Slot>,
    pub(crate) aclint: Aclint,
    aclint_region: Region,
    pub(crate) plic: Plic,
    plic_region: Region,
    clock: Clock,
    now: Ticks,
    /// The earliest moment a device asked for.
    device_deadline: Option<Ticks>,
    finish: Option<Finish>,
    /// The device that drives guest external interrupts, among `slots`.
    guest_line_driver: Option<usize>,
    /// The guest has used the UART.
    pub(crate) uart_used: bool,
}

impl MachineBus {
    /// A bus with the interrupt controllers of `board` and these devices.
    pub(crate) fn new(board: &Board, mut slots: Vec<Slot>, clock: Clock) -> Option<Self> {
        slots.sort_by_key(|slot| slot.region.base);
        Some(Self {
            guest_line_driver: slots.iter().position(|slot| slot.region.part == Part::TestOutput),
            slots,
            aclint: Aclint::new(board.harts()),
            aclint_region: *board.region(Part::Aclint)?,
            plic: Plic::new(PLIC_SOURCES, board.harts() * 2),
            plic_region: *board.region(Part::Plic)?,
            clock,
            now: Ticks(0),
            device_deadline: None,
            finish: None,
            uart_used: false,
        })
    }

    /// The console that input goes to: a virtio console if there is one, else the UART once the guest
    /// has used it.
    pub(crate) fn input_taker(&mut self) -> Option<&mut dyn Serial> {
        let is_virtio = |slot: &mut Slot| {
            matches!(slot.region.part, Part::Virtio(_)) && slot.device.serial().is_some()
        };
        let found = match self.slots.iter_mut().position(is_virtio) {
            None if self.uart_used => {
                self.slots.iter().position(|slot| slot.region.part == Part::Uart)
            }
            virtio => virtio,
        };
        self.slots[found?].device.serial()
    }

    /// All devices but the interrupt controllers.
    pub(crate) fn devices(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// The moment the bus is at.
    pub(crate) fn now(&self) -> Ticks {
        self.now
    }

    /// How the guest asked the machine to end, once.
    pub(crate) fn take_finish(&mut self) -> Option<Finish> {
        self.finish.take()
    }

    /// Power-on state for every device.
    pub(crate) fn reset(&mut self) {
        for slot in &mut self.slots {
            slot.device.reset();
        }
        self.aclint.reset();
        self.plic.reset();
        self.finish = None;
        self.uart_used = false;
        self.refresh();
    }

    /// Brings the devices to `cycle`: ticks those that asked for a moment that has come.
    pub(crate) fn advance_devices(&mut self, cycle: u64) {
        let now = Ticks(self.clock.ticks(cycle));
        // Harts run in turn, so one may be a little behind another; devices never go back.
        self.now = self.now.max(now);
        if self.device_deadline.is_some_and(|deadline| deadline <= self.now) {
            for slot in &mut self.slots {
                if slot.device.deadline().is_some_and(|deadline| deadline <= self.now) {
                    slot.device.tick(self.now);
                }
            }
            self.refresh();
        }
    }

    /// Reads the lines and wishes of all devices anew: after anything may have happened to any.
    pub(crate) fn refresh(&mut self) {
        for index in 0..self.slots.len() {
            self.refresh_slot(index);
        }
    }

    /// Reads the line and the wishes of one device anew.
    fn refresh_slot(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let Some(irq) = slot.region.irq {
            self.plic.set_line(irq, slot.device.irq());
        }
        if self.finish.is_none() {
            self.finish = slot.device.take_finish();
        }
        let deadline = slot.device.deadline();
        if deadline != slot.deadline {
            slot.deadline = deadline;
            self.device_deadline = self.slots.iter().filter_map(|slot| slot.deadline).min();
        }
    }

    /// The cycle of the next moment that matters to `hart` or to a device; `u64::MAX` for never.
    pub(crate) fn deadline(&self, hart: usize) -> u64 {
        let timer = self.aclint.timer_deadline(hart, self.now);
        let soonest = [timer, self.device_deadline].into_iter().flatten().min();
        soonest.map_or(u64::MAX, |ticks| self.clock.cycles(ticks.0))
    }

    fn lines(&self, hart: usize) -> u64 {
        let mut lines = 0;
        if self.aclint.msip(hart) {
            lines |= Interrupt::MachineSoftware.bit();
        }
        if self.aclint.mtip(hart, self.now) {
            lines |= Interrupt::MachineTimer.bit();
        }
        if self.plic.context_pending(2 * hart) {
            lines |= Interrupt::MachineExternal.bit();
        }
        if self.plic.context_pending(2 * hart + 1) {
            lines |= Interrupt::SupervisorExternal.bit();
        }
        lines
    }

    fn guest_lines(&self, hart: usize) -> u64 {
        let driver = self.guest_line_driver.and_then(|index| self.slots.get(index));
        driver.map_or(0, |slot| slot.device.guest_lines(hart))
    }

    /// A guest's access to the device at `pa`.
    fn access<T>(
        &mut self,
        pa: Pa,
        act: impl FnOnce(&mut dyn Device, u64, Ticks) -> Result<T, BusFault>,
    ) -> Result<T, BusFault> {
        let now = self.now;
        if let Some(offset) = self.aclint_region.offset_of(pa) {
            return act(&mut self.aclint, offset, now);
        }
        if let Some(offset) = self.plic_region.offset_of(pa) {
            return act(&mut self.plic, offset, now);
        }
        let after = self.slots.partition_point(|slot| slot.region.base <= pa);
        let index = after.checked_sub(1).ok_or(BusFault)?;
        let slot = &mut self.slots[index];
        let offset = slot.region.offset_of(pa).ok_or(BusFault)?;
        self.uart_used |= slot.region.part == Part::Uart;
        let done = act(slot.device.as_mut(), offset, now);
        self.refresh_slot(index);
        done
    }
}

impl Bus for MachineBus {
    fn read(&mut self, pa: Pa, size: u8) -> Result<u64, BusFault> {
        self.access(pa, |device, offset, now| device.read(offset, size, now))
    }

    fn write(&mut self, pa: Pa, size: u8, value: u64) -> Result<(), BusFault> {
        self.access(pa, |device, offset, now| device.write(offset, size, value, now))
    }
}

impl Platform for MachineBus {
    fn sync(&mut self, hartid: u64, cycle: u64) -> Wires {
        let hart = usize::try_from(hartid).unwrap_or(usize::MAX);
        self.advance_devices(cycle);
        Wires {
            lines: self.lines(hart),
            guest_lines: self.guest_lines(hart),
            mtime_start: self.aclint.mtime(Ticks(0)),
            deadline: self.deadline(hart),
            stop: self.finish.is_some(),
        }
    }

    fn advance(&mut self, cycle: u64) {
        self.advance_devices(cycle);
    }
}
