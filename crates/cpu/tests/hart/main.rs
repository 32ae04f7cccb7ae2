//! Laws of a hart by itself: no board, no devices, programs of a few lines.

mod commit;
mod guest_traps;
mod rig;
