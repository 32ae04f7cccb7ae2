//! Time and what runs cost. Models hear events and numbers; they never see a hart, a device or
//! the engine, and hold no architectural state.

mod architecture;
mod block;
mod cache;
mod clock;
mod counts;
mod divider;
mod filter;
mod float;
mod hierarchy;
mod integer;
mod issue;
mod item;
mod memo;
mod model;
mod outcome;
mod outer;
mod params;
mod pipeline;
mod predictor;
mod step;
mod stores;
mod tlb;
mod tree;
mod work;

pub use architecture::Architecture;
pub use block::{Block, Run};
pub use cache::{Geometry, Replacement};
pub use clock::{Clock, ClockError};
pub use counts::{Counts, Held, Lookups, SpaceCounts, Stages, Totals, WalkCounts};
pub use divider::FloatDivider;
pub use filter::Filter;
pub use issue::{Issue, Kind};
pub use item::{Arithmetic, Item, Operands};
pub use model::Model;
pub use outer::{Banks, Outer, SecondCache};
pub use params::{
    Atomic, Core, CoreError, Csrs, Divider, Fetch, Float, FloatPort, Integer, Load, Memory,
    Multiplier, PRESETS, System, Translation,
};
pub use pipeline::Trap;
pub use predictor::PredictorParams;
pub use step::{Access, Place, Step, Target, Walker};
pub use stores::StoreParams;
pub use tlb::{Context, Flush, Page, SharedTlbParams, TlbParams, Walk};
