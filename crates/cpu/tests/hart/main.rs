//! Laws of a hart by itself: no board, no devices, programs of a few lines.

mod commit;
mod counters;
mod guest_traps;
mod rig;
mod witness;
