//! The hart: registers, CSRs, traps, what instructions do, and the engine that runs them.
//!
//! A machine builds [`Hart`]s on one [`mmu::Ram`] and lets them [`run`](Hart::run) in turn, each for
//! a number of instructions, over a [`Platform`] that stands for the bus and the wires. The hart
//! knows no device, no board and no firmware; it decides everything else itself and repeatably.

mod bits;
mod chain;
mod code;
mod commit;
mod config;
mod core;
mod counters;
mod csr;
mod exec;
mod guesses;
mod hart;
mod interrupts;
mod masking;
mod memory;
mod op;
mod platform;
mod state;
mod thread;
mod transform;
mod trap;
mod watch;
mod witness;

pub use commit::{Commit, Event, Register, Touched, Trapped};
pub use config::{HartConfig, Misaligned};
pub use counters::{EVENTS, EventRow, sbi_events};
pub use hart::{Catches, Caught, Exit, Explained, Halt, Hart, Left, OutsideStep, Requests, Step};
pub use platform::{Platform, Wires};
pub use trap::{Target, Trap};
pub use watch::WatchHit;
pub use witness::{Notice, RootRegister, Scene, Spent, TrapNotice, Witness, Writer};
