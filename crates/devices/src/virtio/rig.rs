//! A driver for tests that does what no driver should: it writes every register, descriptor and
//! index by hand. Well-behaved drivers are in `tests/guest_drivers`.

use super::spec::{desc, feature, interrupt, reg, status};
use super::{Function, Mmio};
use crate::{Device, Dma, Ticks};
use isa::Pa;
use mmu::Ram;
use std::sync::Arc;

/// Where RAM begins, and with it the descriptor table of queue 0.
pub(super) const BASE: u64 = 0x8000_0000;
/// How much there is.
pub(super) const RAM_BYTES: u64 = 16 << 20;
/// Buffers may lie from here on.
pub(super) const BUFFERS: u64 = BASE + 0x10_0000;

const QUEUE_STRIDE: u64 = 0x1_0000;
const AVAIL: u64 = 0x4000;
const USED: u64 = 0x8000;

/// A descriptor: address, length, flags, next.
pub(super) type Row = (u64, u32, u16, u16);

pub(super) struct Rig<F> {
    pub(super) device: Mmio<F>,
    pub(super) ram: Arc<Ram>,
    size: u64,
    offered: [u16; 2],
}

impl<F: Function> Rig<F> {
    /// A device that no driver has touched.
    pub(super) fn untouched(function: F) -> Self {
        let ram = Arc::new(Ram::new(Pa(BASE), RAM_BYTES).unwrap());
        Self { device: Mmio::new(function, ram.clone()), ram, size: 8, offered: [0; 2] }
    }

    /// A device whose driver accepted `features` (VERSION_1 is added) and set its queues up.
    pub(super) fn running(function: F, features: u64) -> Self {
        Self::with_queue_size(function, features, 8)
    }

    pub(super) fn with_queue_size(function: F, features: u64, size: u64) -> Self {
        let mut rig = Self::untouched(function);
        rig.size = size;
        rig.negotiate(features | feature::VERSION_1);
        for queue in 0..rig.device.function().queues().len() as u64 {
            rig.set_up(queue);
        }
        rig.set(reg::STATUS, 0xf);
        rig
    }

    pub(super) fn negotiate(&mut self, features: u64) {
        self.set(reg::STATUS, 0);
        self.set(reg::STATUS, 1);
        self.set(reg::STATUS, 3);
        for half in 0..2 {
            self.set(reg::DRIVER_FEATURES_SEL, half);
            self.set(reg::DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
        self.set(reg::STATUS, 0xb);
    }

    pub(super) fn set_up(&mut self, queue: u64) {
        let at = BASE + QUEUE_STRIDE * queue;
        self.place(queue, at, at + AVAIL, at + USED);
        self.set(reg::QUEUE_READY, 1);
    }

    /// Configures a queue, without putting it to use.
    pub(super) fn place(&mut self, queue: u64, desc: u64, avail: u64, used: u64) {
        self.set(reg::QUEUE_SEL, queue as u32);
        self.set(reg::QUEUE_NUM, self.size as u32);
        let words = [
            (reg::QUEUE_DESC_LOW, desc),
            (reg::QUEUE_DRIVER_LOW, avail),
            (reg::QUEUE_DEVICE_LOW, used),
        ];
        for (low, address) in words {
            self.set(low, address as u32);
            self.set(low + 4, (address >> 32) as u32);
        }
    }

    pub(super) fn set(&mut self, register: u64, value: u32) {
        self.device.write(register, 4, value.into(), Ticks(0)).unwrap();
    }

    pub(super) fn get(&mut self, register: u64) -> u32 {
        self.device.read(register, 4, Ticks(0)).unwrap() as u32
    }

    /// Writes descriptors from number 0 of queue 0 on.
    pub(super) fn table(&mut self, rows: &[Row]) {
        self.table_at(BASE, rows);
    }

    pub(super) fn table_at(&mut self, at: u64, rows: &[Row]) {
        for (n, &(addr, len, flags, next)) in rows.iter().enumerate() {
            let row = Pa(at + desc::BYTES * n as u64);
            let words = u64::from(len) | u64::from(flags) << 32 | u64::from(next) << 48;
            self.ram.write_u64(row, addr).unwrap();
            self.ram.write_u64(Pa(row.0 + 8), words).unwrap();
        }
    }

    /// Makes the chain at `head` available in queue 0 and notifies.
    pub(super) fn offer(&mut self, head: u16) {
        self.offer_to(0, head);
    }

    pub(super) fn offer_to(&mut self, queue: usize, head: u16) {
        self.make_available(queue, head);
        self.set(reg::QUEUE_NOTIFY, queue as u32);
    }

    pub(super) fn make_available(&mut self, queue: usize, head: u16) {
        let slot = u64::from(self.offered[queue]) % self.size;
        self.ram.write_u16(self.avail(queue, 4 + 2 * slot), head).unwrap();
        let index = self.offered[queue].wrapping_add(1);
        self.offered[queue] = index;
        self.set_avail_index(queue, index);
    }

    pub(super) fn set_avail_index(&mut self, queue: usize, index: u16) {
        self.ram.write_u16(self.avail(queue, 2), index).unwrap();
    }

    pub(super) fn avail(&self, queue: usize, offset: u64) -> Pa {
        Pa(BASE + QUEUE_STRIDE * queue as u64 + AVAIL + offset)
    }

    pub(super) fn used(&self, queue: usize, offset: u64) -> Pa {
        Pa(BASE + QUEUE_STRIDE * queue as u64 + USED + offset)
    }

    /// Asks for an interrupt when the used index passes `index` (EVENT_IDX).
    pub(super) fn set_used_event(&mut self, index: u16) {
        self.ram.write_u16(self.avail(0, 4 + 2 * self.size), index).unwrap();
    }

    /// From which index on the device wants notifications (EVENT_IDX).
    pub(super) fn avail_event(&self) -> u16 {
        self.ram.read_u16(self.used(0, 4 + 8 * self.size)).unwrap()
    }

    pub(super) fn used_index(&self, queue: usize) -> u16 {
        self.ram.read_u16(self.used(queue, 2)).unwrap()
    }

    /// Head and written bytes of the used entry of this index.
    pub(super) fn used_entry(&self, queue: usize, index: u16) -> (u32, u32) {
        let slot = u64::from(index) % self.size;
        let entry = self.ram.read_u64(self.used(queue, 4 + 8 * slot)).unwrap();
        (entry as u32, (entry >> 32) as u32)
    }

    pub(super) fn bytes(&self, at: u64, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        self.ram.read_bytes(Pa(at), &mut out).unwrap();
        out
    }

    pub(super) fn needs_reset(&mut self) -> bool {
        self.get(reg::STATUS) & status::NEEDS_RESET != 0
    }

    /// The device must have given up, and say so.
    pub(super) fn assert_needs_reset(&mut self, why: &str) {
        assert!(self.needs_reset(), "{why}: no reset wanted");
        assert_ne!(self.get(reg::INTERRUPT_STATUS) & interrupt::CONFIG, 0, "{why}: not told");
        assert!(self.device.irq(), "{why}");
    }
}
