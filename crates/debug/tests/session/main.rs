//! Conversations with the stub over a line in memory.

mod guests;
mod hostile;
mod rig;
mod talk;
