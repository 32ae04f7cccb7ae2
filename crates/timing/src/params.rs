//! What a core is made of, as its preset says: every number is a size, a depth or a latency of some piece of
//! hardware. A user can copy a preset, change it and pass the file.

use crate::architecture::{self, Architecture};
use crate::cache::Geometry;
use crate::divider::FloatDivider;
use crate::issue::Issue;
use crate::outer::{Banks, Outer, SecondCache};
use crate::predictor::PredictorParams;
use crate::stores::StoreParams;
use crate::tlb::{SharedTlbParams, TlbParams};
use serde::{Deserialize, Serialize};

/// A core.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// Its name.
    pub name: String,
    /// What it is, in a line.
    #[serde(default)]
    pub about: String,
    /// No such core was built.
    #[serde(default)]
    pub hypothetical: bool,
    /// The harts' ISA string.
    pub isa: String,
    /// What reference files call the core that this one describes, where it was measured.
    #[serde(default)]
    pub measured_as: Option<String>,
    /// What else of it software can observe.
    #[serde(default)]
    pub architecture: Architecture,
    /// Whether an ECALL or EBREAK counts in `instret`, against the manual.
    #[serde(default)]
    pub calls_retire: bool,
    /// The memory behind the caches.
    pub memory: Memory,
    /// A second cache in front of it, which all harts share.
    #[serde(default)]
    pub l2: Option<SecondCache>,
    /// The front-end.
    pub fetch: Fetch,
    /// Branch prediction.
    pub predictor: PredictorParams,
    /// Several instructions a cycle; without it, one.
    #[serde(default)]
    pub issue: Option<Issue>,
    /// Issue and integer units.
    pub integer: Integer,
    /// The FP unit.
    pub float: Float,
    /// Loads.
    pub load: Load,
    /// Stores of a write-through core; without it stores go to a write-back cache.
    #[serde(default)]
    pub store: Option<StoreParams>,
    /// Atomics.
    pub atomic: Atomic,
    /// CSRs, fences and traps.
    pub system: System,
    /// The instruction cache.
    pub icache: Geometry,
    /// The data cache.
    pub dcache: Geometry,
    /// Translation.
    pub translation: Translation,
}

/// Memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Cycles to the first beat of a line; where there is a second cache, from when that does not have it.
    pub latency: u64,
    /// Its banks, which all harts share; without them it serves any number of requests at once.
    #[serde(default)]
    pub banks: Option<Banks>,
}

/// The front-end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Bytes that are fetched in a cycle, from an address aligned to them.
    pub bytes: u64,
    /// Whether the parts of an instruction that lies in two packets are put together at issue: that takes a cycle where
    /// fetching began with it.
    #[serde(default)]
    pub joins_at_issue: bool,
    /// Packets that can wait for issue.
    pub queue: usize,
    /// Cycles lost on a transfer that the target buffer knew.
    pub early_bubble: u64,
    /// Cycles lost on a transfer that decoding found.
    pub late_bubble: u64,
    /// Cycles lost on a transfer that was guessed wrong, from its issue to the next.
    pub mispredict: u64,
    /// Cycles of a miss of the instruction cache beyond the memory's latency.
    pub miss: u64,
    /// Where a packet that misses is asked for again and again: every so many cycles, and anew when the last instruction before it
    /// finds, in its third cycle, that there is none behind it.
    #[serde(default)]
    pub retry: u64,
    /// Whether a miss on a path that turns out wrong is waited for, and what it brings thrown away; and a walk where a fetch traps.
    #[serde(default)]
    pub waits_for_killed: bool,
}

/// Issue and integer units: cycles from issue to that of a dependent instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integer {
    /// Instructions that may be issued and not committed.
    pub window: usize,
    /// Instructions that commit in a cycle: stores, and what executes then, as the first one alone. 0 for any number of any kind.
    #[serde(default)]
    pub commits: u64,
    /// Cycles from when a result is there until its place among them can be taken.
    #[serde(default)]
    pub retire: u64,
    /// Whether an instruction waits for an earlier one that writes the same register.
    #[serde(default)]
    pub orders_writes: bool,
    /// Multiplication.
    pub multiplier: Multiplier,
    /// Division.
    pub divider: Divider,
    /// Whether arithmetic waits while a division is under way.
    pub divide_blocks: bool,
    /// Whether products, quotients and what missed the cache are written after the instructions behind them retired, so that
    /// nothing waits for them but what needs them; products and quotients come out of one unit, in a cycle in
    /// which no other instruction writes a register.
    #[serde(default)]
    pub completes_late: bool,
}

/// A multiplier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "style", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Multiplier {
    /// One product a cycle.
    Pipelined {
        /// Cycles.
        latency: u64,
        /// Cycles of a high half, where they are others.
        #[serde(default)]
        high: Option<u64>,
        /// Whether its results do not go by way of those of arithmetic, which waits otherwise.
        #[serde(default)]
        own_port: bool,
    },
    /// So many bits of the first operand a cycle, ending early where the rest is zero; one product at a time.
    Iterative {
        /// Bits a cycle.
        bits: u64,
        /// Cycles beside the iterations.
        overhead: u64,
    },
}

/// A divider: bits of the quotient a cycle, one division at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "style", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Divider {
    /// Aligns the operands first; a divisor that is zero or larger than the dividend ends at once.
    Aligning {
        /// Bits a cycle.
        #[serde(default = "one")]
        bits: u64,
        /// Cycles beside the bits.
        overhead: u64,
        /// Cycles of a division that ends at once.
        trivial: u64,
        /// Cycles before those are over that the quotient is there.
        #[serde(default)]
        early: u64,
    },
    /// Skips leading zeros of the quotient by the difference of the operands' highest bits, modulo 64; negative
    /// operands and results cost a cycle each; a zero divisor runs through.
    Skipping {
        /// Cycles beside the bits.
        overhead: u64,
    },
}

const fn one() -> u64 {
    1
}

/// The FP unit: cycles from issue to that of a dependent instruction, single and double precision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Float {
    /// Addition, product, fused product: pipelined.
    pub arithmetic: [u64; 2],
    /// A fused product takes so much more.
    #[serde(default)]
    pub fused_extra: u64,
    /// Quotient, one at a time.
    pub divide: [u64; 2],
    /// The unit that makes quotients and roots, where it ends early and is not all that keeps the next one back; `divide` and `root`
    /// are until the next one can begin then.
    #[serde(default)]
    pub divider: Option<FloatDivider>,
    /// Square root, one at a time.
    pub root: [u64; 2],
    /// Signs, minimum, maximum.
    pub select: u64,
    /// Comparisons, into an `x` register.
    pub compare: u64,
    /// Conversions between formats.
    pub convert: u64,
    /// Conversions into an `x` register.
    pub convert_to_int: u64,
    /// Conversions from an `x` register.
    pub convert_from_int: u64,
    /// Bits to an `x` register.
    pub to_int: u64,
    /// Bits from an `x` register.
    pub from_int: u64,
    /// A load into an `f` register beyond one into an `x` register.
    pub load_extra: u64,
    /// A load into an `f` register that hits, where it does not take what others do.
    #[serde(default)]
    pub load: Option<u64>,
    /// Whether divisions and roots make a bit a cycle: quotients of 1 and more and roots of odd exponents are a cycle shorter then, and
    /// zeros, infinities, NaNs and roots of negative numbers are ready as soon as [`Float::select`].
    #[serde(default)]
    pub bitwise: bool,
    /// Where all results are written through one port.
    #[serde(default)]
    pub port: Option<FloatPort>,
}

/// The port through which an FP unit writes its results: cycles from issue. An instruction whose result would come out
/// together with an earlier one's is refused and issues again; so is every one while a division is under way, and
/// a division while a result has not been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatPort {
    /// Addition, product, fused product: single and double precision.
    pub arithmetic: [u64; 2],
    /// Everything else that writes an `f` register, divisions aside.
    pub other: u64,
    /// From an issue that is refused to the next one.
    pub again: u64,
    /// An instruction is taken so many cycles before a dependent one of the division under way could issue.
    pub lead: u64,
}

/// Loads: cycles from issue to that of a dependent instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// A hit.
    pub hit: u64,
    /// A hit of 1 or 2 bytes.
    pub narrow: u64,
    /// Whether an access that the cache or the TLB cannot serve issues again once it can, and everything behind it waits
    /// until then.
    #[serde(default)]
    pub reissues: bool,
    /// A miss, beyond the memory's latency; where accesses issue again, until then.
    pub miss: u64,
    /// After a miss, from its issue until the cache takes another access, beyond the memory's latency.
    #[serde(default)]
    pub busy: u64,
    /// Loads that wait behind a miss without holding up issue.
    pub queue: usize,
    /// Whether loads and stores begin in order, one a cycle, out of a queue that takes an instruction into an empty place, and one
    /// more that issues right behind it.
    #[serde(default)]
    pub in_order: bool,
    /// A miss that has a changed line written back first takes so much longer.
    #[serde(default)]
    pub write_back: u64,
    /// Where stores go to a write-back cache: from the issue of a load of bytes that a store has not put there yet until it issues
    /// again.
    #[serde(default)]
    pub after_store: u64,
    /// A device, beyond the memory's latency where it counts.
    pub device: u64,
    /// Whether a device costs the memory's latency too.
    pub device_latency: bool,
    /// A store to a device, likewise; 0 where it is posted.
    pub device_store: u64,
}

/// Atomics: cycles until the next instruction can issue; in a write-back cache, until one that needs the result can.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Atomic {
    /// Read-modify-write.
    pub amo: u64,
    /// LR.
    pub load_reserved: u64,
    /// SC.
    pub store_conditional: u64,
    /// They are made by the memory: its latency counts too, and earlier stores are written out first.
    pub in_memory: bool,
    /// Whether those that the memory makes have the data cache give up all lines of the set in which theirs would be.
    #[serde(default)]
    pub clears_set: bool,
}

/// CSRs, fences and traps: cycles from issue to that of the next instruction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// A CSR access: until the next one or the next arithmetic.
    pub csr: u64,
    /// A CSR's value, to a dependent instruction.
    pub csr_result: u64,
    /// Whether an access issues before what precedes it has committed, and waits for that in a buffer.
    #[serde(default)]
    pub csr_buffer: bool,
    /// A CSR write that flushes the pipeline, and FENCE.I.
    pub csr_flush: u64,
    /// The CSRs whose write flushes.
    pub flushing: Csrs,
    /// FENCE, once stores are written.
    pub fence: u64,
    /// Where FENCE holds up accesses alone: from the last access before it to the next one behind it. 0 where it sends the
    /// front-end back.
    #[serde(default)]
    pub fence_access: u64,
    /// FENCE.I, beside the flush of the pipeline.
    pub fence_i: u64,
    /// A memory-management fence.
    pub fence_translation: u64,
    /// After it, until a walk can begin.
    #[serde(default)]
    pub walker_busy: u64,
    /// A trap: from the issue of what trapped to that of the handler.
    pub trap: u64,
    /// Whether an instruction that traps is alone in the cycle in which it would commit, and an interrupt takes the place of one.
    #[serde(default)]
    pub trap_alone: bool,
    /// More for one that a memory access raises.
    pub access_trap: u64,
    /// More for an instruction that is none.
    #[serde(default)]
    pub illegal_trap: u64,
    /// MRET and SRET.
    pub trap_return: u64,
}

/// A set of CSRs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Csrs {
    /// These.
    Listed(Vec<u16>),
    /// All but these.
    Except(Vec<u16>),
}

impl Csrs {
    /// Whether it has a CSR.
    pub fn has(&self, csr: u16) -> bool {
        match self {
            Self::Listed(list) => list.contains(&csr),
            Self::Except(list) => !list.contains(&csr),
        }
    }
}

/// TLBs and walks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Translation {
    /// For fetches.
    pub instruction: TlbParams,
    /// For data.
    pub data: TlbParams,
    /// Behind both.
    #[serde(default)]
    pub shared: Option<SharedTlbParams>,
    /// Tables that the walker remembers, so that it reads the last PTE alone; 0 for none.
    #[serde(default)]
    pub tables: usize,
    /// Whether SFENCE.VMA and HFENCE.VVMA with an address or an address space leave the others alone in the first TLBs. A shared one does.
    pub precise_fences: bool,
    /// Whether HFENCE.GVMA with an address leaves the others alone, entries knowing their guest-physical addresses.
    #[serde(default)]
    pub guest_fences: bool,
    /// After a walk, until the next access is translated.
    #[serde(default)]
    pub replay: u64,
    /// Whether a translation that faults is kept as such.
    #[serde(default)]
    pub keeps_faults: bool,
    /// A walk, beside its reads.
    pub walk: u64,
    /// A read that hits the data cache.
    pub read: u64,
    /// A read that misses, beyond the memory's latency.
    pub read_miss: u64,
}

/// Why a core cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// No preset has this name.
    #[error("no core is called '{0}'; there are: {known}", known = names())]
    Unknown(String),
    /// The text is no core.
    #[error("not the description of a core: {0}")]
    Syntax(#[from] toml::de::Error),
    /// Something in it cannot be built.
    #[error("{0} cannot be built like that")]
    Unsound(String),
}

/// The presets: names and texts.
pub const PRESETS: &[(&str, &str)] = &[
    ("cva6", include_str!("../presets/cva6.toml")),
    ("cva6-stlb", include_str!("../presets/cva6-stlb.toml")),
    ("rocket", include_str!("../presets/rocket.toml")),
    ("u74", include_str!("../presets/u74.toml")),
    ("u74-h", include_str!("../presets/u74-h.toml")),
    ("x60", include_str!("../presets/x60.toml")),
    ("generic-h", include_str!("../presets/generic-h.toml")),
];

fn names() -> String {
    PRESETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Cycles that anything may take.
pub(crate) const CYCLES_MAX: u64 = 1 << 20;

impl Core {
    /// The preset of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn preset(name: &str) -> Result<Self, CoreError> {
        let preset = PRESETS.iter().find(|(known, _)| *known == name);
        let (_, text) = preset.ok_or_else(|| CoreError::Unknown(name.into()))?;
        Self::parse(text)
    }

    /// A core from its description in TOML.
    ///
    /// # Errors
    /// It is not one, or could not be built.
    pub fn parse(text: &str) -> Result<Self, CoreError> {
        let core: Self = toml::from_str(text)?;
        core.check()?;
        Ok(core)
    }

    /// What lies behind the first caches of harts of this kind, on a memory of its own latency or of another one, for
    /// [`crate::Model::sharing`]; `None` where they share but a memory that serves any number of requests at once.
    pub fn outer(&self, memory_latency: Option<u64>) -> Option<Outer> {
        let latency = memory_latency.unwrap_or(self.memory.latency).min(CYCLES_MAX);
        Outer::new(self.l2, self.memory.banks, self.dcache.line, latency)
    }

    fn check(&self) -> Result<(), CoreError> {
        let sound = [
            ("icache", self.icache.is_sound()),
            ("dcache", self.dcache.is_sound()),
            ("predictor", self.predictor.is_sound()),
            ("translation.instruction", self.translation.instruction.is_sound()),
            ("translation.data", self.translation.data.is_sound()),
            ("translation.shared", self.translation.shared.is_none_or(|shared| shared.is_sound())),
            ("translation.tables", self.translation.tables <= 1024),
            ("memory", self.memory.latency <= CYCLES_MAX),
            ("memory.banks", self.memory.banks.is_none_or(|banks| banks.is_sound())),
            ("l2.cache", self.l2.is_none_or(|l2| l2.cache.is_sound())),
            (
                "l2.cache.line",
                self.l2.is_none_or(|l2| l2.cache.line >= self.icache.line.max(self.dcache.line)),
            ),
            ("l2.banks", self.l2.and_then(|l2| l2.banks).is_none_or(|banks| banks.is_sound())),
            (
                "fetch.bytes",
                self.fetch.bytes.is_power_of_two() && (4..=64).contains(&self.fetch.bytes),
            ),
            ("icache.line", self.fetch.bytes <= self.icache.line),
            ("fetch.queue", (1..=64).contains(&self.fetch.queue)),
            ("integer.window", (1..=1024).contains(&self.integer.window)),
            ("load.queue", (1..=64).contains(&self.load.queue)),
            // Nothing comes out, or in anew, in the cycle in which it was asked for.
            ("load.hit", self.load.hit != 0),
            ("atomic.amo", self.atomic.amo != 0),
            ("atomic.load_reserved", self.atomic.load_reserved != 0),
            ("atomic.store_conditional", self.atomic.store_conditional != 0),
            ("system.csr_flush", self.system.csr_flush != 0),
            ("system.trap_return", self.system.trap_return != 0),
            (
                "store",
                self.store.is_none_or(|store| {
                    (1..=64).contains(&store.speculative)
                        && (1..=64).contains(&store.committed)
                        && (1..=64).contains(&store.words)
                        && (1..=64).contains(&store.outstanding)
                }),
            ),
            ("float.divider", self.float.divider.is_none_or(|divider| divider.is_sound())),
            ("issue.pipes", self.issue.as_ref().is_none_or(Issue::is_sound)),
            (
                "integer.divider.bits",
                match self.integer.divider {
                    Divider::Aligning { bits, .. } => (1..=64).contains(&bits),
                    Divider::Skipping { .. } => true,
                },
            ),
            (
                "integer.multiplier",
                match self.integer.multiplier {
                    Multiplier::Pipelined { .. } => true,
                    Multiplier::Iterative { bits, .. } => (1..=64).contains(&bits),
                },
            ),
        ];
        let unsound = sound.iter().find(|(_, sound)| !sound).map(|(what, _)| *what);
        let unsound = unsound.or_else(|| self.architecture.unsound()).map(str::to_owned);
        match unsound.or_else(|| architecture::too_large(self)) {
            Some(what) => Err(CoreError::Unsound(what)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_core_of_its_name() {
        for (name, _) in PRESETS {
            assert_eq!(Core::preset(name).unwrap().name, *name);
        }
    }

    #[test]
    fn what_is_no_core_is_said() {
        assert!(matches!(Core::preset("cva7"), Err(CoreError::Unknown(_))));
        assert!(matches!(Core::parse("name = 3"), Err(CoreError::Syntax(_))));
        let text = PRESETS[0].1.replace("bytes = 4 ", "bytes = 3 ");
        assert_ne!(text, PRESETS[0].1);
        assert!(matches!(Core::parse(&text), Err(CoreError::Unsound(key)) if key == "fetch.bytes"));
        let mut core = Core::preset("u74").unwrap();
        core.system.trap_return = 0;
        assert!(
            matches!(core.check(), Err(CoreError::Unsound(key)) if key == "system.trap_return")
        );
    }
}
