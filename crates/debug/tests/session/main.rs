//! Conversations with the stub over a line in memory.

mod hostile;
mod rig;
mod talk;
