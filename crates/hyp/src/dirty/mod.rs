//! Which pages of a slot were written: a bitmap for a slot, or a ring for a vCPU.

mod bitmap;
mod ring;

pub use bitmap::Bitmap;
pub use ring::{DirtyRing, Push, RingEntry};
