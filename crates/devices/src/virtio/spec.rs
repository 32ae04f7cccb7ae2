//! Numbers of the virtio 1.2 specification, by its names: what all devices share.

/// Registers of the MMIO transport [virtio 4.2.2].
pub mod reg {
    /// "virt".
    pub const MAGIC_VALUE: u64 = 0x000;
    /// 2.
    pub const VERSION: u64 = 0x004;
    /// The kind of device, 0 for none.
    pub const DEVICE_ID: u64 = 0x008;
    /// Who made it.
    pub const VENDOR_ID: u64 = 0x00c;
    /// 32 bits of the features offered.
    pub const DEVICE_FEATURES: u64 = 0x010;
    /// Which 32 bits.
    pub const DEVICE_FEATURES_SEL: u64 = 0x014;
    /// 32 bits of the features accepted.
    pub const DRIVER_FEATURES: u64 = 0x020;
    /// Which 32 bits.
    pub const DRIVER_FEATURES_SEL: u64 = 0x024;
    /// Which queue the queue registers are about.
    pub const QUEUE_SEL: u64 = 0x030;
    /// The largest size of the queue, 0 where there is none.
    pub const QUEUE_NUM_MAX: u64 = 0x034;
    /// Its size.
    pub const QUEUE_NUM: u64 = 0x038;
    /// Whether it is in use.
    pub const QUEUE_READY: u64 = 0x044;
    /// Buffers were made available in the queue of this number.
    pub const QUEUE_NOTIFY: u64 = 0x050;
    /// Why the line is high.
    pub const INTERRUPT_STATUS: u64 = 0x060;
    /// Lowers the line.
    pub const INTERRUPT_ACK: u64 = 0x064;
    /// Device status.
    pub const STATUS: u64 = 0x070;
    /// Descriptor table, low half.
    pub const QUEUE_DESC_LOW: u64 = 0x080;
    /// Descriptor table, high half.
    pub const QUEUE_DESC_HIGH: u64 = 0x084;
    /// Available ring, low half.
    pub const QUEUE_DRIVER_LOW: u64 = 0x090;
    /// Available ring, high half.
    pub const QUEUE_DRIVER_HIGH: u64 = 0x094;
    /// Used ring, low half.
    pub const QUEUE_DEVICE_LOW: u64 = 0x0a0;
    /// Used ring, high half.
    pub const QUEUE_DEVICE_HIGH: u64 = 0x0a4;
    /// Length and base of a shared memory region, four registers.
    pub const SHM_LEN_LOW: u64 = 0x0b0;
    /// The last of the four.
    pub const SHM_BASE_HIGH: u64 = 0x0bc;
    /// Changes with the configuration.
    pub const CONFIG_GENERATION: u64 = 0x0fc;
    /// The device's own configuration.
    pub const CONFIG: u64 = 0x100;
    /// The length of the whole region, in bytes.
    pub const BYTES: u64 = 0x1000;
}

/// The value of `MagicValue`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"virt");
/// The value of `Version`.
pub const VERSION: u32 = 2;
/// The value of `VendorID`: no registry of these exists.
pub const VENDOR: u32 = u32::from_le_bytes(*b"nest");

/// Bits of the device status [virtio 2.1].
pub mod status {
    /// The driver is in place.
    pub const DRIVER_OK: u32 = 4;
    /// Features are agreed on.
    pub const FEATURES_OK: u32 = 8;
    /// The device met an error that only a reset ends.
    pub const NEEDS_RESET: u32 = 64;
    /// The driver gave up.
    pub const FAILED: u32 = 128;
    /// All that exist.
    pub const MASK: u32 = 0xcf;
}

/// Bits of `InterruptStatus`.
pub mod interrupt {
    /// A buffer was used.
    pub const USED: u32 = 1;
    /// The configuration changed, or the device needs a reset.
    pub const CONFIG: u32 = 2;
}

/// Features of every device [virtio 6].
pub mod feature {
    /// Indirect descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// `used_event` and `avail_event`.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// Not a legacy device.
    pub const VERSION_1: u64 = 1 << 32;
}

/// Descriptors [virtio 2.7.5].
pub mod desc {
    /// The length of one, in bytes.
    pub const BYTES: u64 = 16;
    /// The chain goes on at `next`.
    pub const NEXT: u16 = 1;
    /// The device writes; else it reads.
    pub const WRITE: u16 = 2;
    /// The buffer holds a table of descriptors.
    pub const INDIRECT: u16 = 4;
}

/// The available ring's flag that asks for no interrupts [virtio 2.7.7].
pub const AVAIL_NO_INTERRUPT: u16 = 1;

/// Kinds of devices [virtio 5].
pub mod id {
    /// Network card.
    pub const NET: u32 = 1;
    /// Block device.
    pub const BLOCK: u32 = 2;
    /// Console.
    pub const CONSOLE: u32 = 3;
    /// Entropy source.
    pub const ENTROPY: u32 = 4;
}
