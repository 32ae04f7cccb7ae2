//! The tree of our board, shaped as QEMU's `virt` shapes its own, so that OpenSBI, U-Boot and
//! Linux find what they look for.

use super::cpus::Cpus;
use super::{DeviceTree, Node};
use crate::board::{Board, PLIC_SOURCES, Part, Region};
use isa::{Ext, ExtSet, Pa};

/// The range of an initial RAM disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Initrd {
    /// Its first byte.
    pub start: Pa,
    /// The byte after its last.
    pub end: Pa,
}

/// What a tree says of a machine beyond its board.
#[derive(Clone, Copy, Debug)]
pub struct BoardTree<'a> {
    /// Regions, memory and number of harts.
    pub board: &'a Board,
    /// The extensions of all harts.
    pub exts: &'a ExtSet,
    /// Ticks of `time` in a second.
    pub timebase_hz: u32,
    /// Where `rng-seed` comes from.
    pub seed: u64,
    /// Whether the harts have a cycle model, whose events they can count.
    pub modelled: bool,
}

/// The clock that the UART divides for its baud rate, as on QEMU's `virt`.
pub(super) const UART_HZ: u32 = 3_686_400;
/// Where the console is.
const STDOUT: &str = "/soc/serial@10000000";

impl BoardTree<'_> {
    /// The tree. `/chosen` has no command line and no initial RAM disk yet:
    /// [`DeviceTree::choose`] adds them.
    pub fn tree(&self) -> DeviceTree {
        let root = Node::new("")
            .cells("#address-cells", [2])
            .cells("#size-cells", [2])
            .strings("compatible", ["riscv-virtio"])
            .strings("model", ["riscv-virtio,nestwalk"])
            .child(self.chosen())
            .child(Node::new("aliases").strings("serial0", [STDOUT]))
            .child(self.memory())
            .child(self.cpus().node())
            .child(self.soc())
            .children([self.finisher("poweroff", 0x5555), self.finisher("reboot", 0x7777)])
            .children(self.pmu());
        DeviceTree { root, ..DeviceTree::default() }
    }

    fn harts(&self) -> impl Iterator<Item = u32> {
        0..self.board.harts() as u32
    }

    // Phandles: those of `Cpus`, then two devices.
    fn plic_phandle(&self) -> u32 {
        1 + 2 * self.board.harts() as u32
    }

    fn finisher_phandle(&self) -> u32 {
        2 + 2 * self.board.harts() as u32
    }

    fn chosen(&self) -> Node {
        Node::new("chosen")
            .strings("stdout-path", [STDOUT])
            .wide_cells("rng-seed", random_words(self.seed))
    }

    fn memory(&self) -> Node {
        let ram = self.board.ram();
        Node::new(format!("memory@{:x}", ram.base.0))
            .strings("device_type", ["memory"])
            .wide_cells("reg", [ram.base.0, ram.bytes])
    }

    fn cpus(&self) -> Cpus<'_> {
        Cpus { exts: self.exts, count: self.board.harts() as u32, timebase_hz: self.timebase_hz }
    }

    fn soc(&self) -> Node {
        Node::new("soc")
            .cells("#address-cells", [2])
            .cells("#size-cells", [2])
            .strings("compatible", ["simple-bus"])
            .flag("ranges")
            .children(self.board.regions().iter().filter_map(|region| self.device(region)))
    }

    /// The node of a device; none for what software is not told of.
    fn device(&self, region: &Region) -> Option<Node> {
        let (kind, compatible): (_, &[&str]) = match region.part {
            Part::Finisher => ("test", &["sifive,test1", "sifive,test0", "syscon"]),
            Part::Rtc => ("rtc", &["google,goldfish-rtc"]),
            Part::Aclint => ("clint", &["sifive,clint0", "riscv,clint0"]),
            Part::Plic => ("plic", &["sifive,plic-1.0.0", "riscv,plic0"]),
            Part::Uart => ("serial", &["ns16550a"]),
            Part::Virtio(_) => ("virtio_mmio", &["virtio,mmio"]),
            Part::BootRom | Part::TestOutput | Part::Ram => return None,
        };
        let mut node = Node::new(format!("{kind}@{:x}", region.base.0))
            .strings("compatible", compatible)
            .wide_cells("reg", [region.base.0, region.bytes]);
        if let Some(irq) = region.irq {
            node = node
                .cells("interrupts", [u32::from(irq)])
                .cells("interrupt-parent", [self.plic_phandle()]);
        }
        Some(match region.part {
            Part::Finisher => node.cells("phandle", [self.finisher_phandle()]),
            Part::Uart => node.cells("clock-frequency", [UART_HZ]),
            // Software and timer interrupt of M-mode.
            Part::Aclint => self.wired_to_harts(node, [3, 7]),
            // External interrupts of M-mode and S-mode: contexts 2 * hart and 2 * hart + 1.
            Part::Plic => self
                .wired_to_harts(node, [11, 9])
                .cells("#address-cells", [0])
                .cells("#interrupt-cells", [1])
                .flag("interrupt-controller")
                .cells("riscv,ndev", [u32::from(PLIC_SOURCES)])
                .cells("phandle", [self.plic_phandle()]),
            _ => node,
        })
    }

    /// Says which interrupts of every hart a device raises.
    fn wired_to_harts(&self, node: Node, interrupts: [u32; 2]) -> Node {
        let wires = self.harts().flat_map(|hart| {
            let controller = self.cpus().interrupt_controller_of(hart);
            interrupts.into_iter().flat_map(move |interrupt| [controller, interrupt])
        });
        node.cells("interrupts-extended", wires.collect::<Vec<_>>())
    }

    /// What firmware must know of the harts' programmable counters, which count any event: for each
    /// general event its selector, for events and for raw selectors the counters, a bit each [OpenSBI,
    /// docs/pmu_support.md].
    fn pmu(&self) -> Option<Node> {
        const PROGRAMMABLE: u32 = 0xffff_fff8;
        /// Raw selectors are 8 bits wide: a value and a mask of two cells each.
        const RAW_SELECTORS: [u32; 4] = [0, 0, u32::MAX, u32::MAX << 8];
        let selectors = cpu::sbi_events(self.modelled)
            .flat_map(|(event, selector, _)| [event, (selector >> 32) as u32, selector as u32]);
        let counters = cpu::sbi_events(self.modelled).flat_map(|(event, _, row)| {
            let fixed = row.fixed.map_or(0, |fixed| 1 << fixed);
            [event, event, PROGRAMMABLE | fixed]
        });
        self.exts.contains(Ext::Zihpm).then(|| {
            Node::new("pmu")
                .strings("compatible", ["riscv,pmu"])
                // Raw codes by name, from 1 on, for software that asks for events that SBI has no code for.
                .strings("nestwalk,events", cpu::EVENTS.iter().map(|row| row.name))
                .cells("riscv,event-to-mhpmevent", selectors)
                .cells("riscv,event-to-mhpmcounters", counters)
                .cells(
                    "riscv,raw-event-to-mhpmcounters",
                    RAW_SELECTORS.into_iter().chain([PROGRAMMABLE]),
                )
        })
    }

    /// A word to the finisher that ends the machine in some way.
    fn finisher(&self, name: &str, word: u32) -> Node {
        Node::new(name)
            .strings("compatible", [format!("syscon-{name}")])
            .cells("regmap", [self.finisher_phandle()])
            .cells("offset", [0])
            .cells("value", [word])
    }
}

/// Words that depend on nothing but the seed (SplitMix64), so that runs repeat.
pub(super) fn random_words(seed: u64) -> [u64; 4] {
    let mut state = seed;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn tree_of(harts: usize, exts: &ExtSet, seed: u64) -> DeviceTree {
        let board = Board::new(harts, 1 << 30, true);
        BoardTree { board: &board, exts, timebase_hz: 10_000_000, seed, modelled: false }.tree()
    }

    /// A tree with everything in it.
    pub(crate) fn example() -> DeviceTree {
        let mut tree = tree_of(2, &ExtSet::default_set(), 0);
        let initrd = Initrd { start: Pa(0x9000_0000), end: Pa(0x9100_0000) };
        tree.choose(Some("console=ttyS0 \"quoted\""), Some(initrd));
        tree
    }

    fn cells(tree: &DeviceTree, path: &str, name: &str) -> Vec<u32> {
        let value = tree.node(path).and_then(|node| node.get(name)).unwrap_or_default();
        value.as_chunks::<4>().0.iter().map(|&cell| u32::from_be_bytes(cell)).collect()
    }

    fn texts(tree: &DeviceTree, path: &str, name: &str) -> Vec<String> {
        let value = tree.node(path).and_then(|node| node.get(name)).unwrap_or_default();
        let text = String::from_utf8(value.to_vec()).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn its_blob_reads_back_as_the_same_tree() {
        let tree = example();
        assert_eq!(DeviceTree::parse(&tree.blob().unwrap()), Ok(tree));
    }

    // norm: mtime_tick_period
    #[test]
    fn a_kernel_finds_what_it_looks_for() {
        let tree = example();
        // As in the tree that QEMU 10.0.2 prints for -M virt -smp 2, phandles aside.
        assert_eq!(cells(&tree, "/cpus", "timebase-frequency"), [10_000_000]);
        assert_eq!(texts(&tree, "/cpus/cpu@1", "riscv,isa-base"), ["rv64i"]);
        assert_eq!(texts(&tree, "/cpus/cpu@1", "mmu-type"), ["riscv,sv57"]);
        assert_eq!(cells(&tree, "/cpus/cpu@1", "riscv,cbom-block-size"), [64]);
        assert_eq!(cells(&tree, "/memory@80000000", "reg"), [0, 0x8000_0000, 0, 0x4000_0000]);
        assert_eq!(texts(&tree, "/soc/serial@10000000", "compatible"), ["ns16550a"]);
        assert_eq!(cells(&tree, "/soc/serial@10000000", "interrupts"), [10]);
        assert_eq!(cells(&tree, "/soc/virtio_mmio@10008000", "interrupts"), [8]);
        assert_eq!(cells(&tree, "/soc/rtc@101000", "interrupts"), [11]);
        assert_eq!(cells(&tree, "/soc/plic@c000000", "riscv,ndev"), [95]);
        assert_eq!(cells(&tree, "/poweroff", "value"), [0x5555]);
        assert_eq!(texts(&tree, "/poweroff", "compatible"), ["syscon-poweroff"]);
        assert_eq!(texts(&tree, "/chosen", "bootargs"), ["console=ttyS0 \"quoted\""]);
        assert_eq!(cells(&tree, "/chosen", "linux,initrd-end"), [0, 0x9100_0000]);
    }

    #[test]
    fn wires_lead_to_the_harts_interrupt_controllers() {
        let tree = example();
        let controller = |hart: u32| {
            cells(&tree, &format!("/cpus/cpu@{hart}/interrupt-controller"), "phandle")[0]
        };
        let (a, b) = (controller(0), controller(1));
        assert_eq!(
            cells(&tree, "/soc/clint@2000000", "interrupts-extended"),
            [a, 3, a, 7, b, 3, b, 7]
        );
        assert_eq!(
            cells(&tree, "/soc/plic@c000000", "interrupts-extended"),
            [a, 11, a, 9, b, 11, b, 9]
        );
        let plic = cells(&tree, "/soc/plic@c000000", "phandle");
        assert_eq!(cells(&tree, "/soc/serial@10000000", "interrupt-parent"), plic);
        let finisher = cells(&tree, "/soc/test@100000", "phandle");
        assert_eq!(cells(&tree, "/reboot", "regmap"), finisher);
        assert_eq!(
            cells(&tree, "/cpus/cpu-map/cluster0/core1", "cpu"),
            cells(&tree, "/cpus/cpu@1", "phandle")
        );
    }

    #[test]
    fn firmware_learns_which_counter_counts_what() {
        let tree = example();
        // Event 1 is cycles, 2 is instructions [SBI: PMU]; counter 0 is cycle, 2 is instret.
        assert_eq!(cells(&tree, "/pmu", "riscv,event-to-mhpmevent"), [1, 0, 1, 2, 0, 2]);
        assert_eq!(
            cells(&tree, "/pmu", "riscv,event-to-mhpmcounters"),
            [1, 1, 0xffff_fff9, 2, 2, 0xffff_fffc]
        );
        let board = Board::new(1, 1 << 30, true);
        let exts = ExtSet::default_set();
        let modelled = BoardTree {
            board: &board,
            exts: &exts,
            timebase_hz: 10_000_000,
            seed: 0,
            modelled: true,
        };
        let mapped = cells(&modelled.tree(), "/pmu", "riscv,event-to-mhpmevent");
        // Misses of the data TLB when reading are 0x10019 [SBI: PMU, cache events].
        let dtlb = mapped.chunks(3).find(|event| event[0] == 0x1_0019).expect("it can be counted");
        assert_eq!(cpu::EVENTS[dtlb[2] as usize - 1].name, "dTLB-load-misses");
        let without = tree_of(1, &ExtSet::parse("rv64,zihpm=off").unwrap(), 0);
        assert!(without.node("/pmu").is_none());
    }

    #[test]
    fn the_harts_say_what_they_have_and_no_more() {
        let exts = ExtSet::parse("rv64,h=off,zicbom=off,sv57=off").unwrap();
        let tree = tree_of(1, &exts, 0);
        let names = texts(&tree, "/cpus/cpu@0", "riscv,isa-extensions");
        assert!(names.contains(&"sstc".to_owned()) && !names.contains(&"h".to_owned()));
        assert!(cells(&tree, "/cpus/cpu@0", "riscv,cbom-block-size").is_empty());
        assert_eq!(texts(&tree, "/cpus/cpu@0", "mmu-type"), ["riscv,sv48"]);
    }

    #[test]
    fn the_seed_alone_decides_the_random_words() {
        // The first outputs of SplitMix64 from state 0, as its author's C code gives them.
        assert_eq!(random_words(0)[..2], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let exts = ExtSet::default_set();
        assert_eq!(tree_of(1, &exts, 7), tree_of(1, &exts, 7));
        assert_ne!(tree_of(1, &exts, 7), tree_of(1, &exts, 8));
    }

    #[test]
    fn phandles_are_unique_for_every_number_of_harts() {
        for harts in 1..=crate::board::HARTS_MAX {
            assert!(tree_of(harts, &ExtSet::default_set(), 0).blob().is_ok());
        }
    }
}
