//! The `/cpus` node, of our board and of guests alike.

use super::Node;
use isa::{Ext, ExtSet};

/// Cache blocks, in bytes.
const BLOCK_BYTES: u32 = 64;

/// Harts that are alike.
pub(super) struct Cpus<'a> {
    pub(super) exts: &'a ExtSet,
    pub(super) count: u32,
    pub(super) timebase_hz: u32,
}

impl Cpus<'_> {
    // Phandles: the harts' interrupt controllers from 1, then the harts.
    pub(super) fn interrupt_controller_of(&self, hart: u32) -> u32 {
        1 + hart
    }

    fn hart_phandle(&self, hart: u32) -> u32 {
        1 + self.count + hart
    }

    pub(super) fn node(&self) -> Node {
        let harts = || 0..self.count;
        let cores = harts()
            .map(|hart| Node::new(format!("core{hart}")).cells("cpu", [self.hart_phandle(hart)]));
        Node::new("cpus")
            .cells("#address-cells", [1])
            .cells("#size-cells", [0])
            .cells("timebase-frequency", [self.timebase_hz])
            .children(harts().map(|hart| self.cpu(hart)))
            .child(Node::new("cpu-map").child(Node::new("cluster0").children(cores)))
    }

    fn cpu(&self, hart: u32) -> Node {
        let mut cpu = Node::new(format!("cpu@{hart:x}"))
            .strings("device_type", ["cpu"])
            .cells("reg", [hart])
            .strings("status", ["okay"])
            .strings("compatible", ["riscv"])
            .strings("riscv,isa-base", ["rv64i"])
            .strings("riscv,isa-extensions", self.exts.device_tree_extensions())
            .strings("riscv,isa", [self.exts.device_tree_isa()])
            .strings("mmu-type", [self.mmu_type()])
            .cells("phandle", [self.hart_phandle(hart)]);
        for (ext, name) in [
            (Ext::Zicbom, "riscv,cbom-block-size"),
            (Ext::Zicbop, "riscv,cbop-block-size"),
            (Ext::Zicboz, "riscv,cboz-block-size"),
        ] {
            if self.exts.contains(ext) {
                cpu = cpu.cells(name, [BLOCK_BYTES]);
            }
        }
        cpu.child(
            Node::new("interrupt-controller")
                .cells("#interrupt-cells", [1])
                .flag("interrupt-controller")
                .strings("compatible", ["riscv,cpu-intc"])
                .cells("phandle", [self.interrupt_controller_of(hart)]),
        )
    }

    fn mmu_type(&self) -> &'static str {
        [(Ext::Sv57, "riscv,sv57"), (Ext::Sv48, "riscv,sv48"), (Ext::Sv39, "riscv,sv39")]
            .into_iter()
            .find(|&(ext, _)| self.exts.contains(ext))
            .map_or("riscv,none", |(_, name)| name)
    }
}
