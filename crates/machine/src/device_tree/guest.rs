//! The tree of a guest: memory, harts, and a UART without an interrupt.

use super::cpus::Cpus;
use super::virt::{UART_HZ, random_words};
use super::{DeviceTree, Node};
use crate::guests::{UART_BASE, UART_BYTES};
use isa::{ExtSet, Pa};

/// What a guest is told.
#[derive(Clone, Copy, Debug)]
pub struct GuestTree<'a> {
    /// Its extensions.
    pub exts: &'a ExtSet,
    /// Its vCPUs.
    pub vcpus: u32,
    /// Where its memory begins.
    pub base: Pa,
    /// How much it has, in bytes.
    pub bytes: u64,
    /// Ticks of `time` in a second.
    pub timebase_hz: u32,
    /// Where `rng-seed` comes from.
    pub seed: u64,
}

impl GuestTree<'_> {
    /// The tree, without command line and initial RAM disk.
    pub fn tree(&self) -> DeviceTree {
        let cpus = Cpus { exts: self.exts, count: self.vcpus, timebase_hz: self.timebase_hz };
        let memory = Node::new(format!("memory@{:x}", self.base.0))
            .strings("device_type", ["memory"])
            .wide_cells("reg", [self.base.0, self.bytes]);
        let uart = format!("serial@{UART_BASE:x}");
        let root = Node::new("")
            .cells("#address-cells", [2])
            .cells("#size-cells", [2])
            .strings("compatible", ["nestwalk,guest"])
            .strings("model", ["nestwalk,guest"])
            .child(
                Node::new("chosen")
                    .strings("stdout-path", [format!("/soc/{uart}")])
                    .wide_cells("rng-seed", random_words(self.seed)),
            )
            .child(memory)
            .child(cpus.node())
            .child(
                Node::new("soc")
                    .cells("#address-cells", [2])
                    .cells("#size-cells", [2])
                    .strings("compatible", ["simple-bus"])
                    .flag("ranges")
                    .child(
                        Node::new(uart)
                            .strings("compatible", ["ns16550a"])
                            .wide_cells("reg", [UART_BASE, UART_BYTES])
                            .cells("clock-frequency", [UART_HZ]),
                    ),
            );
        DeviceTree { root, ..DeviceTree::default() }
    }
}
