//! Time and what runs cost. Models hear events and numbers; they never see a hart, a device or
//! the engine, and hold no architectural state.

mod cache;
mod clock;
mod params;
mod pipeline;
mod predictor;
mod stores;
mod tlb;
mod work;

pub use cache::{Geometry, Replacement};
pub use clock::{Clock, ClockError};
pub use params::{
    Atomic, Core, CoreError, Csrs, Divider, Fetch, Float, Integer, Load, Memory, Multiplier,
    PRESETS, System, Translation,
};
pub use pipeline::{Access, Model, Place, Step, Target, Trap};
pub use predictor::PredictorParams;
pub use stores::StoreParams;
pub use tlb::{Context, Flush, TlbParams, Walk};
