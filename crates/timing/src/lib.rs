//! Time and what runs cost. Models hear events and numbers; they never see a hart, a device or
//! the engine, and hold no architectural state.

mod clock;

pub use clock::{Clock, ClockError};
