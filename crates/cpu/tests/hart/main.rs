//! Laws of a hart by itself: no board, no devices, programs of a few lines.

mod absent;
mod access;
mod ahead;
mod commit;
mod counters;
mod debug;
mod devices;
mod double_trap;
mod effective;
mod forms;
mod guest_traps;
mod interrupts;
mod masking;
mod modelled;
mod modelled_debug;
mod modelled_random;
mod pmp;
mod reset;
mod rig;
mod settled;
mod tiers;
mod traps;
mod warl;
mod witness;
