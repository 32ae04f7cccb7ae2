//! From an address to bytes: stages, the one walker, TLBs and their shapes, fences, PMP and PMA, guest RAM and
//! the bus trait.
//!
//! A hart owns one [`Mmu`]; a machine owns the [`Ram`] and the [`PmaMap`] that its harts share. Nothing here knows
//! a cause code or a hart: a failed translation is a [`Fault`] that says why.

mod access;
mod bus;
mod cache;
mod chunks;
mod config;
mod context;
mod errata;
mod fault;
mod fence;
mod lines;
mod memory;
mod mmu;
mod native;
mod observe;
mod page_watch;
mod pma;
mod pmp;
mod ram;
mod resolve;
mod second;
mod shape;
mod spaces;
mod stage;
mod survey;
mod tlb;
mod walk;

pub use access::{
    Access, ImplicitAccess, Kind, MemoryType, Right, Target, Translated, WatchedRange,
};
pub use bus::{Bus, BusFault};
pub use config::{MmuConfig, TranslationCsrs};
pub use errata::{Errata, Erratum};
pub use fault::{Fault, PteAt, Reason, StageName, Why};
pub use fence::Fence;
pub use memory::{Halt, PteFetches};
pub use mmu::{Mmu, Stats};
pub use observe::{
    Deaf, Judgement, Observer, PteFetch, PteUpdate, Terms, Verdict, WalkRecord, WalkStep,
};
pub use page_watch::{PageClass, PageEvent, PagesSeen, TableWrite};
pub use pma::{PmaError, PmaMap, PmaRegion};
pub use pmp::{PageVerdict, Pmp, PmpAccess};
pub use ram::{OutOfRam, Ram, RamError, Scalar};
pub use shape::{Geometry, GeometryError, PRESETS, Preset, Shape};
pub use survey::{Extent, Mapped, Tables};
