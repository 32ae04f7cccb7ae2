//! Conversations with the stub over a line in memory.

mod cycles;
mod guests;
mod hostile;
mod rig;
mod talk;
