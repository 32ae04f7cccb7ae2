//! The bus between a driver and a device: each register access is one call of the device.

use devices::virtio::spec::reg;
use devices::virtio::{Function, Mmio};
use devices::{Device, Ticks};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A device on a bus; its clones are the same device.
pub(crate) struct Port<F>(Rc<RefCell<Mmio<F>>>);

impl<F> Clone for Port<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Function> Port<F> {
    pub(crate) fn new(function: F) -> Self {
        Self(Rc::new(RefCell::new(Mmio::new(function, Arc::new(super::hal::memory())))))
    }

    /// The machine's access to the device.
    pub(crate) fn device<R>(&self, act: impl FnOnce(&mut Mmio<F>) -> R) -> R {
        act(&mut self.0.borrow_mut())
    }

    fn get(&self, offset: u64) -> u32 {
        self.device(|device| device.read(offset, 4, Ticks(0))).unwrap() as u32
    }

    fn set(&self, offset: u64, value: u32) {
        self.device(|device| device.write(offset, 4, value.into(), Ticks(0))).unwrap();
    }

    fn set_wide(&self, low: u64, value: u64) {
        self.set(low, value as u32);
        self.set(low + 4, (value >> 32) as u32);
    }
}

impl<F: Function> Transport for Port<F> {
    fn device_type(&self) -> DeviceType {
        DeviceType::try_from(self.get(reg::DEVICE_ID)).unwrap()
    }

    fn read_device_features(&mut self) -> u64 {
        let half = |n| {
            self.set(reg::DEVICE_FEATURES_SEL, n);
            u64::from(self.get(reg::DEVICE_FEATURES))
        };
        half(0) | half(1) << 32
    }

    fn write_driver_features(&mut self, features: u64) {
        for n in 0..2 {
            self.set(reg::DRIVER_FEATURES_SEL, n);
            self.set(reg::DRIVER_FEATURES, (features >> (32 * n)) as u32);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.set(reg::QUEUE_SEL, queue.into());
        self.get(reg::QUEUE_NUM_MAX)
    }

    fn notify(&mut self, queue: u16) {
        self.set(reg::QUEUE_NOTIFY, queue.into());
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.get(reg::STATUS))
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.set(reg::STATUS, status.bits());
        let got = self.get_status();
        assert_eq!(got, status, "the device did not take the status");
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.set(reg::QUEUE_SEL, queue.into());
        self.set(reg::QUEUE_NUM, size);
        self.set_wide(reg::QUEUE_DESC_LOW, descriptors);
        self.set_wide(reg::QUEUE_DRIVER_LOW, driver_area);
        self.set_wide(reg::QUEUE_DEVICE_LOW, device_area);
        self.set(reg::QUEUE_READY, 1);
        assert_eq!(self.get(reg::QUEUE_READY), 1, "the device did not take the queue");
    }

    fn queue_unset(&mut self, queue: u16) {
        self.set(reg::QUEUE_SEL, queue.into());
        self.set(reg::QUEUE_READY, 0);
        assert_eq!(self.get(reg::QUEUE_READY), 0);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.set(reg::QUEUE_SEL, queue.into());
        self.get(reg::QUEUE_READY) != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        let status = self.get(reg::INTERRUPT_STATUS);
        self.set(reg::INTERRUPT_ACK, status);
        InterruptStatus::from_bits_truncate(status)
    }

    fn read_config_generation(&self) -> u32 {
        self.get(reg::CONFIG_GENERATION)
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let mut value = T::new_zeroed();
        for (n, byte) in value.as_mut_bytes().iter_mut().enumerate() {
            let at = reg::CONFIG + (offset + n) as u64;
            *byte = self.device(|device| device.read(at, 1, Ticks(0))).unwrap() as u8;
        }
        Ok(value)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<()> {
        for (n, &byte) in value.as_bytes().iter().enumerate() {
            let at = reg::CONFIG + (offset + n) as u64;
            self.device(|device| device.write(at, 1, byte.into(), Ticks(0))).unwrap();
        }
        Ok(())
    }
}
