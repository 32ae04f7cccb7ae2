//! A hart with memory and nothing else, at a program in assembly.

use std::sync::Arc;

use cpu::{Event, Hart, HartConfig, Platform, Trapped, Wires};
use isa::asm::Program;
use isa::{ExtSet, Pa, csr};
use mmu::{Bus, BusFault, PmaMap, Ram};

/// Where programs start.
pub(crate) const BASE: u64 = 0x8000_0000;
/// Where `s0` points.
pub(crate) const DATA: u64 = BASE + 0x8000;

/// A machine without devices.
pub(crate) struct Empty;

impl Bus for Empty {
    fn read(&mut self, _: Pa, _: u8) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: Pa, _: u8, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

impl Platform for Empty {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        Wires { lines: 0, guest_lines: 0, mtime_start: 0, deadline: u64::MAX, stop: false }
    }

    fn advance(&mut self, _: u64) {}
}

/// A machine whose wires a test pulls.
pub(crate) struct Wired(pub(crate) Wires);

impl Wired {
    /// With these interrupt lines up.
    pub(crate) fn lines(lines: u64) -> Self {
        Self(Wires { lines, guest_lines: 0, mtime_start: 0, deadline: u64::MAX, stop: false })
    }
}

impl Bus for Wired {
    fn read(&mut self, _: Pa, _: u8) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: Pa, _: u8, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

impl Platform for Wired {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        self.0
    }

    fn advance(&mut self, _: u64) {}
}

/// A hart without these extensions, as reset leaves it, at `source`.
pub(crate) fn hart_without(gone: &[isa::Ext], source: &str) -> Hart {
    let mut exts = ExtSet::default_set();
    gone.iter().for_each(|&ext| exts.remove(ext));
    fresh(exts, source)
}

/// A hart with these extensions, as reset leaves it, at `source`.
pub(crate) fn fresh(exts: ExtSet, source: &str) -> Hart {
    let ram = Arc::new(Ram::new(Pa(BASE), 1 << 20).expect("memory"));
    let program = Program::assemble(BASE, source).expect("the program assembles");
    ram.write_bytes(Pa(BASE), &program.bytes).expect("the program fits");
    Hart::new(&HartConfig::new(0, exts), ram, Arc::new(PmaMap::default()))
}

/// The trap that the next instruction, or what comes before it, takes.
pub(crate) fn next_trap(hart: &mut Hart, port: &mut dyn Platform) -> Option<Trapped> {
    let mut taken = None;
    hart.step_logged(port, &mut |event| {
        if let Event::Trap(trap) = event {
            taken = Some(trap);
        }
    });
    taken
}

/// A hart in M-mode at `source`, with FP on and `s0` at zeroed data.
pub(crate) fn hart(source: &str) -> Hart {
    hart_with(1 << 20, source)
}

/// The same with so many bytes of RAM.
pub(crate) fn hart_with(bytes: u64, source: &str) -> Hart {
    let ram = Arc::new(Ram::new(Pa(BASE), bytes).expect("memory"));
    let program = Program::assemble(BASE, source).expect("the program assembles");
    ram.write_bytes(Pa(BASE), &program.bytes).expect("the program fits");
    let mut exts = ExtSet::default_set();
    exts.insert(isa::Ext::Zacas);
    let mut hart = Hart::new(&HartConfig::new(0, exts), ram, Arc::new(PmaMap::default()));
    hart.set_csr(csr::MSTATUS, isa::field::mstatus::FS);
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    hart.set_csr(csr::MTVEC, BASE + 0x4000);
    hart.set_x(8, DATA);
    hart
}
