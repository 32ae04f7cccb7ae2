//! What a model hears of an instruction, and what it asks of those who know translation.

use crate::item::Item;
use crate::tlb::{Context, Walk};

/// What is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The instruction at this address.
    Fetch(u64),
    /// The data at this address.
    Data(u64),
}

/// A memory access that an instruction is about to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Its address.
    pub va: u64,
    /// Where that is.
    pub place: Place,
    /// What it is translated under.
    pub context: Context,
}

/// Where an access goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// To main memory, at this physical address.
    Memory(u64),
    /// To a device.
    Device,
    /// Nowhere: it will trap.
    Nowhere,
}

/// An instruction that is about to execute.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The instruction.
    pub item: &'a Item,
    /// Its address.
    pub pc: u64,
    /// Where that is in memory.
    pub pa: u64,
    /// What it is translated under.
    pub context: Context,
    /// The operands that [`Item::operands`] asks for.
    pub operands: [u64; 2],
    /// Its access to memory.
    pub access: Option<Access>,
}

/// Finds what a walk reads, and where memory is.
pub trait Walker {
    /// What a walk of an address would read.
    fn walk(&mut self, target: Target) -> Walk;
    /// The physical address of data that an instruction accessed just now.
    fn locate(&mut self, va: u64) -> u64;
    /// Two bytes of code in main memory.
    fn code(&mut self, pa: u64) -> Option<u16>;
}
