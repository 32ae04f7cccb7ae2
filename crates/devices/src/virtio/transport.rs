//! The MMIO transport, version 2 [virtio 4.2]: registers, feature negotiation, status, interrupts.

use super::Function;
use super::queue::{QueueError, QueueState, Ring};
use super::spec::{self, feature, interrupt, reg, status};
use crate::access::admit;
use crate::{BusFault, Device, Dma, Network, Serial, Storage, Ticks};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

/// A slot of the board with no device in it: drivers read device ID 0 and pass on.
#[derive(Clone, Copy, Default, Debug)]
pub struct EmptySlot;

impl Device for EmptySlot {
    fn read(&mut self, offset: u64, size: u8, _now: Ticks) -> Result<u64, BusFault> {
        admit(offset, size, 1..=4)?;
        Ok(match offset {
            reg::MAGIC_VALUE => spec::MAGIC.into(),
            reg::VERSION => spec::VERSION.into(),
            reg::VENDOR_ID => spec::VENDOR.into(),
            _ => 0,
        })
    }

    fn write(&mut self, offset: u64, size: u8, _value: u64, _now: Ticks) -> Result<(), BusFault> {
        admit(offset, size, 1..=4)
    }

    fn reset(&mut self) {}
}

/// A virtio device on the bus.
pub struct Mmio<F> {
    function: F,
    dma: Arc<dyn Dma>,
    warned: bool,
    state: State,
}

/// What a snapshot of a transport holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    status: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
    interrupt_status: u32,
    config_generation: u32,
    queues: Vec<QueueState>,
}

impl State {
    fn new(sizes: &[u16]) -> Self {
        Self {
            status: 0,
            device_features_sel: 0,
            driver_features_sel: 0,
            driver_features: 0,
            queue_sel: 0,
            interrupt_status: 0,
            config_generation: 0,
            queues: sizes.iter().map(|&size| QueueState::new(size)).collect(),
        }
    }

    fn selected(&mut self) -> Option<&mut QueueState> {
        self.queues.get_mut(self.queue_sel as usize)
    }

    /// The selected queue while the driver may still configure it.
    fn configurable(&mut self) -> Option<&mut QueueState> {
        self.selected().filter(|queue| !queue.ready)
    }

    fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }

    fn accepted(&self, feature: u64) -> bool {
        self.driver_features & feature != 0
    }

    fn running(&self) -> bool {
        let needed = status::FEATURES_OK | status::DRIVER_OK;
        self.status & (needed | status::NEEDS_RESET | status::FAILED) == needed
    }
}

/// The 32 bits of `word` that a selector chooses.
fn half(word: u64, select: u32) -> u32 {
    match select {
        0 => word as u32,
        1 => (word >> 32) as u32,
        _ => 0,
    }
}

fn set_half(word: &mut u64, select: u32, value: u32) {
    match select {
        0 => *word = (*word & !0xffff_ffff) | u64::from(value),
        1 => *word = (*word & 0xffff_ffff) | (u64::from(value) << 32),
        _ => {}
    }
}

impl<F: Function> Mmio<F> {
    /// A device that reaches memory through `dma`.
    pub fn new(function: F, dma: Arc<dyn Dma>) -> Self {
        let state = State::new(function.queues());
        Self { function, dma, warned: false, state }
    }

    /// What stands behind the transport.
    pub fn function(&self) -> &F {
        &self.function
    }

    /// Changes what the driver can read from the configuration, and tells it.
    pub fn change_config(&mut self, change: impl FnOnce(&mut F)) {
        change(&mut self.function);
        self.state.config_generation = self.state.config_generation.wrapping_add(1);
        if self.state.running() {
            self.state.interrupt_status |= interrupt::CONFIG;
        }
    }

    fn features(&self) -> u64 {
        self.function.features() | feature::VERSION_1 | feature::INDIRECT_DESC | feature::EVENT_IDX
    }

    /// Serves one queue, if it is in use.
    fn serve(&mut self, index: usize, now: Ticks) {
        if !self.state.running() {
            return;
        }
        let indirect = self.state.accepted(feature::INDIRECT_DESC);
        let event_idx = self.state.accepted(feature::EVENT_IDX);
        let Some(queue) = self.state.queues.get_mut(index).filter(|queue| queue.ready) else {
            return;
        };
        let mut ring = Ring::new(queue, &*self.dma, indirect, event_idx);
        let served = self.function.serve(index, &mut ring, now);
        // Chains that were returned before the error count as well.
        let interrupt = ring.wants_interrupt();
        if let Ok(true) = interrupt {
            self.state.interrupt_status |= interrupt::USED;
        }
        if let Err(error) = served.and(interrupt.map(drop)) {
            self.fail(error);
        }
    }

    fn serve_all(&mut self, now: Ticks) {
        for index in 0..self.state.queues.len() {
            self.serve(index, now);
        }
    }

    /// The driver did what it must not: from here on only a reset helps [virtio 2.1.2].
    fn fail(&mut self, error: QueueError) {
        let device = self.function.id();
        if self.warned {
            tracing::debug!(device, %error, "a virtio device needs a reset again");
        } else {
            self.warned = true;
            tracing::warn!(device, %error, "a virtio device needs a reset");
        }
        self.state.status |= status::NEEDS_RESET;
        if self.state.has(status::DRIVER_OK) {
            self.state.interrupt_status |= interrupt::CONFIG;
        }
    }

    fn set_status(&mut self, value: u32, now: Ticks) {
        if value == 0 {
            self.reset_driver_side();
            return;
        }
        let before = self.state.status;
        // A driver can only add bits; NEEDS_RESET is the device's.
        let mut after = before | (value & status::MASK & !status::NEEDS_RESET);
        let features = self.state.driver_features;
        let suitable = features & !self.features() == 0 && features & feature::VERSION_1 != 0;
        if before & status::FEATURES_OK == 0 && !suitable {
            after &= !status::FEATURES_OK;
        }
        self.state.status = after;
        if !before & after & status::DRIVER_OK != 0 {
            self.function.activate(features);
            self.serve_all(now); // what the driver made available before it was in place
        }
    }

    fn reset_driver_side(&mut self) {
        self.state = State {
            // The driver compares generations, it must not see one twice.
            config_generation: self.state.config_generation,
            ..State::new(self.function.queues())
        };
        self.function.reset();
    }

    fn set_ready(&mut self, ready: bool) {
        let dma = &*self.dma;
        match self.state.selected() {
            Some(queue) if ready && !queue.ready => {
                if let Err(error) = queue.start(dma) {
                    self.fail(error);
                }
            }
            Some(queue) if !ready => queue.ready = false,
            _ => {}
        }
    }

    fn read_register(&mut self, offset: u64) -> u32 {
        let s = &mut self.state;
        match offset {
            reg::MAGIC_VALUE => spec::MAGIC,
            reg::VERSION => spec::VERSION,
            reg::DEVICE_ID => self.function.id(),
            reg::VENDOR_ID => spec::VENDOR,
            reg::DEVICE_FEATURES => half(self.features(), self.state.device_features_sel),
            reg::QUEUE_NUM_MAX => s.selected().map_or(0, |queue| queue.size_max.into()),
            reg::QUEUE_READY => s.selected().is_some_and(|queue| queue.ready).into(),
            reg::INTERRUPT_STATUS => s.interrupt_status,
            reg::STATUS => s.status,
            // No shared memory: a region of the largest length does not exist.
            reg::SHM_LEN_LOW..=reg::SHM_BASE_HIGH => u32::MAX,
            reg::CONFIG_GENERATION => s.config_generation,
            _ => 0,
        }
    }

    fn write_register(&mut self, offset: u64, value: u32, now: Ticks) {
        let s = &mut self.state;
        let queue_word = |s: &mut State, word: fn(&mut QueueState) -> &mut u64, select| {
            if let Some(queue) = s.configurable() {
                set_half(word(queue), select, value);
            }
        };
        match offset {
            reg::DEVICE_FEATURES_SEL => s.device_features_sel = value,
            reg::DRIVER_FEATURES_SEL => s.driver_features_sel = value,
            reg::DRIVER_FEATURES if !s.has(status::FEATURES_OK) => {
                set_half(&mut s.driver_features, s.driver_features_sel, value);
            }
            reg::QUEUE_SEL => s.queue_sel = value,
            reg::QUEUE_NUM => {
                if let Some(queue) = s.configurable() {
                    queue.size = value;
                }
            }
            reg::QUEUE_READY => self.set_ready(value & 1 != 0),
            reg::QUEUE_NOTIFY => self.serve(value as usize, now),
            reg::INTERRUPT_ACK => s.interrupt_status &= !value,
            reg::STATUS => self.set_status(value, now),
            reg::QUEUE_DESC_LOW => queue_word(s, |queue| &mut queue.desc, 0),
            reg::QUEUE_DESC_HIGH => queue_word(s, |queue| &mut queue.desc, 1),
            reg::QUEUE_DRIVER_LOW => queue_word(s, |queue| &mut queue.driver, 0),
            reg::QUEUE_DRIVER_HIGH => queue_word(s, |queue| &mut queue.driver, 1),
            reg::QUEUE_DEVICE_LOW => queue_word(s, |queue| &mut queue.device, 0),
            reg::QUEUE_DEVICE_HIGH => queue_word(s, |queue| &mut queue.device, 1),
            _ => {}
        }
    }
}

impl<F: Function> Device for Mmio<F> {
    fn read(&mut self, offset: u64, size: u8, _now: Ticks) -> Result<u64, BusFault> {
        if offset < reg::CONFIG {
            admit(offset, size, 4..=4)?;
            return Ok(self.read_register(offset).into());
        }
        admit(offset, size, 1..=4)?;
        let config = self.function.config();
        let rest = config.get((offset - reg::CONFIG) as usize..).unwrap_or_default();
        let mut word = [0; 8];
        let n = rest.len().min(usize::from(size));
        word[..n].copy_from_slice(&rest[..n]);
        Ok(u64::from_le_bytes(word))
    }

    fn write(&mut self, offset: u64, size: u8, value: u64, now: Ticks) -> Result<(), BusFault> {
        if offset < reg::CONFIG {
            admit(offset, size, 4..=4)?;
            self.write_register(offset, value as u32, now);
        } else {
            admit(offset, size, 1..=4)?;
            let data = &value.to_le_bytes()[..usize::from(size)];
            self.function.write_config(offset - reg::CONFIG, data);
        }
        Ok(())
    }

    fn irq(&self) -> bool {
        self.state.interrupt_status != 0
    }

    fn reset(&mut self) {
        self.reset_driver_side();
    }

    fn serial(&mut self) -> Option<&mut dyn Serial> {
        self.function.serial()?;
        Some(self)
    }

    fn network(&mut self) -> Option<&mut dyn Network> {
        self.function.network()?;
        Some(self)
    }

    fn storage(&mut self) -> Option<&mut dyn Storage> {
        self.function.storage()?;
        Some(self)
    }
}

// What comes from outside goes to the function, and from there to buffers that wait for it.

impl<F: Function> Serial for Mmio<F> {
    fn push(&mut self, bytes: &[u8], now: Ticks) -> usize {
        let taken = self.function.serial().map_or(0, |serial| serial.push(bytes, now));
        self.serve_all(now);
        taken
    }

    fn room(&mut self) -> usize {
        self.function.serial().map_or(0, |serial| serial.room())
    }
}

impl<F: Function> Network for Mmio<F> {
    fn push_frame(&mut self, frame: &[u8], now: Ticks) -> bool {
        let taken = self.function.network().is_some_and(|network| network.push_frame(frame, now));
        self.serve_all(now);
        taken
    }
}

impl<F: Function> Storage for Mmio<F> {
    fn flush(&mut self) -> io::Result<()> {
        self.function.storage().map_or(Ok(()), |storage| storage.flush())
    }
}
