//! What the architectural TLB of a hart keeps. The shape decides what a guest can observe.

use serde::{Deserialize, Serialize};

/// The shape of a hart's TLB.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {}

impl Shape {
    /// Nothing is kept: each access walks.
    pub fn none() -> Self {
        Self {}
    }
}
