//! RV64 as `gdbstub` wants to know it. The registers a hart really has stand in its target
//! description; here is only what all have.

use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId, Registers};

/// RV64.
pub(crate) enum Riscv64 {}

impl Arch for Riscv64 {
    type Usize = u64;
    type Registers = CoreRegisters;
    type BreakpointKind = usize;
    type RegId = RegisterNumber;
}

/// A register by the number that GDB knows it under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RegisterNumber(pub(crate) usize);

impl RegId for RegisterNumber {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        // How long it is depends on the hart.
        Some((Self(id), None))
    }

    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

/// `x0`–`x31` and `pc`: what is sent together. All others are asked for one by one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CoreRegisters {
    pub(crate) x: [u64; 32],
    pub(crate) pc: u64,
}

impl Registers for CoreRegisters {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for value in self.x.iter().chain([&self.pc]) {
            value.to_le_bytes().into_iter().for_each(|byte| write_byte(Some(byte)));
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (words, rest) = bytes.as_chunks::<8>();
        if words.len() != 33 || !rest.is_empty() {
            return Err(());
        }
        for (slot, word) in self.x.iter_mut().chain([&mut self.pc]).zip(words) {
            *slot = u64::from_le_bytes(*word);
        }
        Ok(())
    }
}
