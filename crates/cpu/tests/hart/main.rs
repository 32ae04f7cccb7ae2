//! Laws of a hart by itself: no board, no devices, programs of a few lines.

mod absent;
mod access;
mod commit;
mod counters;
mod debug;
mod double_trap;
mod effective;
mod guest_traps;
mod interrupts;
mod pmp;
mod reset;
mod rig;
mod traps;
mod warl;
mod witness;
