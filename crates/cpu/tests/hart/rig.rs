//! A hart with memory and nothing else, at a program in assembly.

use std::sync::Arc;

use cpu::{Hart, HartConfig, Platform, Wires};
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
        Wires { lines: 0, guest_lines: 0, deadline: u64::MAX, stop: false }
    }

    fn advance(&mut self, _: u64) {}
}

/// A hart in M-mode at `source`, with FP on and `s0` at zeroed data.
pub(crate) fn hart(source: &str) -> Hart {
    let ram = Arc::new(Ram::new(Pa(BASE), 1 << 20).expect("memory"));
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
