//! What the architectural TLB of a hart keeps. The shape decides what a guest can observe; the native TLB only
//! makes it faster.
//!
//! A shape is a value, read from TOML or taken from a preset. Whatever it keeps, it obeys every fence, and it
//! never denies an access from a cached entry alone: before a fault is reported, page tables are read again.

use serde::{Deserialize, Serialize};

/// How many entries a cache has and how they are arranged. Within a set the oldest entry goes first, whatever
/// was used since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "RawGeometry", into = "RawGeometry")]
pub struct Geometry {
    sets: u32,
    ways: u32,
}

/// The largest cache: the cap that stands for "unbounded".
const MAX_ENTRIES: u32 = 1 << 20;
/// The widest set.
const MAX_WAYS: u32 = 64;

/// A cache that cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a cache of {entries} entries with {ways} ways: want at most {MAX_ENTRIES} entries, 1 to {MAX_WAYS} ways, and a \
     power of two of sets"
)]
pub struct GeometryError {
    entries: u32,
    ways: u32,
}

impl Geometry {
    /// No cache.
    pub const NONE: Self = Self { sets: 0, ways: 0 };

    /// `entries` entries in sets of `ways`; 0 entries are no cache.
    ///
    /// # Errors
    /// More than 2^20 entries or 64 ways, or a number of sets that is not a power of two.
    pub const fn new(entries: u32, ways: u32) -> Result<Self, GeometryError> {
        if entries == 0 {
            return Ok(Self::NONE);
        }
        if ways == 0 || ways > MAX_WAYS || entries > MAX_ENTRIES || !entries.is_multiple_of(ways) {
            return Err(GeometryError { entries, ways });
        }
        let sets = entries / ways;
        if sets.is_power_of_two() {
            Ok(Self { sets, ways })
        } else {
            Err(GeometryError { entries, ways })
        }
    }

    /// One of ours.
    const fn preset(sets: u32, ways: u32) -> Self {
        Self { sets, ways }
    }

    /// The number of sets, a power of two, or 0 for no cache.
    pub const fn sets(self) -> u32 {
        self.sets
    }

    /// The entries in a set.
    pub const fn ways(self) -> u32 {
        self.ways
    }
}

/// A geometry as people write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGeometry {
    entries: u32,
    #[serde(default = "one_way")]
    ways: u32,
}

fn one_way() -> u32 {
    1
}

impl TryFrom<RawGeometry> for Geometry {
    type Error = GeometryError;

    fn try_from(RawGeometry { entries, ways }: RawGeometry) -> Result<Self, GeometryError> {
        Self::new(entries, ways)
    }
}

impl From<Geometry> for RawGeometry {
    fn from(Geometry { sets, ways }: Geometry) -> Self {
        Self { entries: sets * ways, ways }
    }
}

/// The shape of a hart's TLB: which caches it has. A cache that a file does not name is absent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// S-stage leaves: virtual to physical.
    #[serde(default)]
    pub s_stage: Geometry,
    /// VS-stage leaves: virtual to guest physical. HFENCE.GVMA leaves them alone.
    #[serde(default)]
    pub vs_stage: Geometry,
    /// G-stage leaves: guest physical to physical, for the accesses of the VS-stage walk too.
    #[serde(default)]
    pub g_stage: Geometry,
    /// Both stages in one: virtual to physical, at the smaller of the two page sizes. HFENCE.GVMA by address
    /// removes all of the virtual machine's.
    #[serde(default)]
    pub combined: Geometry,
    /// Pointers to next-level tables, for each of the three stages: what a page-walk cache holds. Fences by
    /// address leave them alone.
    #[serde(default)]
    pub pointers: Geometry,
    /// A NAPOT leaf is kept as separate 4 KiB pages, as they are used, and not as one of 64 KiB: a fence by address
    /// then removes one of them.
    #[serde(default)]
    pub split_napot: bool,
    /// SINVAL and HINVAL take effect with the SFENCE.INVAL.IR behind them, or any other fence, and not before: software
    /// that leaves it out goes on with what was kept.
    #[serde(default)]
    pub defer_inval: bool,
    /// VS-stage entries are tagged with `vsatp.PPN` besides VMID and ASID. ASIDs are private to a vCPU, so that two
    /// vCPUs of one virtual machine on one hart need a fence at each switch between them, which KVM does not make;
    /// with this tag they get along.
    #[serde(default)]
    pub tag_vs_roots: bool,
}

/// A shape with a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in a line.
    pub doc: &'static str,
    /// Makes it.
    pub shape: fn() -> Shape,
}

/// The presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "none",
        doc: "keeps nothing: every access walks the page tables",
        shape: Shape::none,
    },
    Preset {
        name: "default",
        doc: "a large TLB: fast, and forgiving where it may be",
        shape: Shape::default,
    },
    Preset {
        name: "adversarial",
        doc: "keeps all that the manual lets it keep, until the very fence that must remove it",
        shape: Shape::adversarial,
    },
];

impl Shape {
    /// Nothing is kept: every translated access walks.
    pub fn none() -> Self {
        Self {
            s_stage: Geometry::NONE,
            vs_stage: Geometry::NONE,
            g_stage: Geometry::NONE,
            combined: Geometry::NONE,
            pointers: Geometry::NONE,
            split_napot: false,
            defer_inval: false,
            tag_vs_roots: false,
        }
    }

    /// Every entry is kept until the fence that must remove it, and preferred over memory: separate caches for each
    /// stage, so that no fence removes more than it must, with room for 2^20 entries each (2^18 pointers), 16 in a
    /// set.
    pub fn adversarial() -> Self {
        let leaves = Geometry::preset(1 << 16, 16);
        Self {
            s_stage: leaves,
            vs_stage: leaves,
            g_stage: leaves,
            combined: Geometry::NONE,
            pointers: Geometry::preset(1 << 14, 16),
            split_napot: true,
            defer_inval: true,
            tag_vs_roots: false,
        }
    }

    /// The preset with this name.
    pub fn preset(name: &str) -> Option<Self> {
        PRESETS.iter().find(|preset| preset.name == name).map(|preset| (preset.shape)())
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            s_stage: Geometry::preset(1 << 15, 4),
            vs_stage: Geometry::NONE,
            g_stage: Geometry::preset(1 << 14, 4),
            combined: Geometry::preset(1 << 15, 4),
            pointers: Geometry::preset(1 << 11, 4),
            split_napot: false,
            defer_inval: false,
            tag_vs_roots: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_survives_its_text() {
        for Preset { name, shape, .. } in PRESETS {
            let text = toml::to_string(&shape()).unwrap();
            assert_eq!(toml::from_str::<Shape>(&text).unwrap(), shape(), "{name}");
            assert_eq!(Shape::preset(name), Some(shape()));
        }
        assert_eq!(Shape::preset("nothing"), None);
    }

    #[test]
    fn what_a_file_does_not_name_is_absent() {
        assert_eq!(toml::from_str::<Shape>("").unwrap(), Shape::none());
        let shape: Shape = toml::from_str("s_stage = { entries = 32, ways = 4 }").unwrap();
        assert_eq!((shape.s_stage.sets(), shape.s_stage.ways()), (8, 4));
    }

    #[test]
    fn an_impossible_cache_is_refused_with_its_numbers() {
        for (entries, ways) in [(1 << 21, 4), (24, 4), (12, 5), (128, 128), (4, 0)] {
            assert!(Geometry::new(entries, ways).is_err(), "{entries} {ways}");
            let text = format!("s_stage = {{ entries = {entries}, ways = {ways} }}");
            let error = toml::from_str::<Shape>(&text).unwrap_err().to_string();
            assert!(error.contains(&entries.to_string()), "{error}");
        }
        assert!(toml::from_str::<Shape>("stale = true").is_err());
        assert_eq!(Geometry::new(0, 9), Ok(Geometry::NONE));
    }
}
