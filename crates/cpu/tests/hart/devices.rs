//! What devices hear of a hart: each access that a program makes, once, and nothing else [priv: machine, "Idempotency
//! PMAs"].

use std::sync::Arc;

use cpu::{Hart, HartConfig, Platform, Wires};
use isa::asm::Program;
use isa::{Cause, Exception, Ext, ExtSet, Mode, Pa, csr};
use mmu::{Bus, BusFault, PmaMap, PmaRegion, Ram};

use crate::rig::{BASE, DATA, next_trap};

const RAM_BYTES: u64 = 1 << 20;
/// A device that begins where memory ends.
const DEVICE: u64 = BASE + RAM_BYTES;

/// What it heard: addresses and sizes.
#[derive(Default, PartialEq, Eq, Debug)]
struct Heard {
    reads: Vec<(u64, u8)>,
    writes: Vec<(u64, u8)>,
}

impl Bus for Heard {
    fn read(&mut self, pa: Pa, size: u8) -> Result<u64, BusFault> {
        self.reads.push((pa.0, size));
        Ok(0)
    }

    fn write(&mut self, pa: Pa, size: u8, _: u64) -> Result<(), BusFault> {
        self.writes.push((pa.0, size));
        Ok(())
    }
}

impl Platform for Heard {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        Wires { lines: 0, guest_lines: 0, mtime_start: 0, deadline: u64::MAX, stop: false }
    }

    fn advance(&mut self, _: u64) {}
}

/// A hart with everything at `source`; `s0` points to the device, `s1` to memory.
fn hart(source: &str) -> Hart {
    let ram = Arc::new(Ram::new(Pa(BASE), RAM_BYTES).expect("memory"));
    let program = Program::assemble(BASE, source).expect(source);
    ram.write_bytes(Pa(BASE), &program.bytes).expect("the program fits");
    let mut exts = ExtSet::default_set();
    exts.insert(Ext::Zacas);
    let device = PmaRegion::io(Pa(DEVICE), 0x2000);
    let map = PmaMap::new([device]).expect("one region");
    let mut hart = Hart::new(&HartConfig::new(0, exts), ram, Arc::new(map));
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    hart.set_x(8, DEVICE);
    hart.set_x(9, DATA);
    hart
}

// norm: pma_idp_no_spec
#[test]
fn a_device_hears_of_each_access_once_and_of_no_other() {
    let source = "lw a0, 0(s0); sw a1, 4(s0); lb a2, 8(s0); sd a3, 16(s0); ld zero, 24(s0); \
                  prefetch.r 0(s0); prefetch.w 0(s0); prefetch.i 0(s0); beqz zero, over; \
                  ld a4, 32(s0); over: lhu a5, 40(s0)";
    let expected = Heard {
        reads: [(0, 4), (8, 1), (24, 8), (40, 2)].map(|(at, size)| (DEVICE + at, size)).to_vec(),
        writes: [(4, 4), (16, 8)].map(|(at, size)| (DEVICE + at, size)).to_vec(),
    };
    let mut heard = Heard::default();
    hart(source).run(&mut heard, 10);
    assert_eq!(heard, expected, "in blocks");
    let (mut heard, mut stepped) = (Heard::default(), hart(source));
    for _ in 0..10 {
        assert_eq!(next_trap(&mut stepped, &mut heard), None);
    }
    assert_eq!(heard, expected, "step by step");
}

/// The device is the next page behind the code, and where `satp` says the page tables are.
// norm: pma_idp_implicit_ok, pma_idp_implicit_sz
#[test]
fn neither_a_fetch_nor_a_walk_reads_a_device() {
    let mut heard = Heard::default();
    let mut near = hart("nop");
    // The last four bytes of memory: c.nop and c.jr ra, and ra points to the c.nop.
    near.ram().write(Pa(DEVICE - 4), 0x8082_0001u32).expect("RAM");
    near.set_x(1, DEVICE - 4);
    near.set_pc(DEVICE - 4);
    near.run(&mut heard, 100);
    assert_eq!(near.retired(), 100);
    // Into the device: an access fault.
    let mut into = hart("jr s0");
    assert_eq!(next_trap(&mut into, &mut heard), None);
    let trap = next_trap(&mut into, &mut heard).expect("a trap");
    assert_eq!(trap.cause, Cause::Exception(Exception::InstructionAccess));
    // Half of an instruction that goes on in the device.
    let mut half = hart("nop");
    half.ram().write(Pa(DEVICE - 2), 0x0013u16).expect("RAM");
    half.set_pc(DEVICE - 2);
    let trap = next_trap(&mut half, &mut heard).expect("a trap");
    assert_eq!(trap.cause, Cause::Exception(Exception::InstructionAccess));
    let mut walk = hart("ld a0, 0(s1)");
    walk.set_csr(csr::SATP, 8 << 60 | DEVICE >> 12);
    walk.set_mode(Mode::S);
    let trap = next_trap(&mut walk, &mut heard).expect("a trap");
    assert_eq!(trap.cause, Cause::Exception(Exception::InstructionAccess));
    assert_eq!(heard, Heard::default());
}

// norm: pma_amo_zabha_req
#[test]
fn amos_of_every_width_are_for_memory_alone() {
    for operation in ["amoadd", "amoswap", "amomaxu", "amocas"] {
        for width in ["b", "h", "w", "d"] {
            let source = |base| format!("{operation}.{width} a0, a1, ({base})");
            let mut heard = Heard::default();
            assert_eq!(next_trap(&mut hart(&source("s1")), &mut heard), None, "{}", source("s1"));
            let trap = next_trap(&mut hart(&source("s0")), &mut heard).expect("a trap");
            assert_eq!(trap.cause, Cause::Exception(Exception::StoreAccess), "{}", source("s0"));
            assert_eq!(heard, Heard::default());
        }
    }
}
