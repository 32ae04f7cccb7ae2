//! The options of `nestwalk hyp dirty-log`.

use super::Tlb;
use super::guests::{Mode, Pages, PolicyName};
use super::values::{Count, Hertz, Seconds, Size};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `nestwalk hyp dirty-log`.
#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub(crate) struct DirtyLogArgs {
    /// Policies to compare, separated by commas: split-on-fault, eager-enable, eager-clear, no-split, dbit, each
    /// also with +recover-lazy or +recover-eager
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "split-on-fault,eager-enable,eager-clear,no-split,dbit"
    )]
    pub(crate) policy: Vec<PolicyName>,
    /// Largest page of the G-stage
    #[arg(long, value_name = "SIZE", default_value = "2M")]
    pub(crate) pages: Pages,
    /// Scheme of the G-stage
    #[arg(long, value_name = "MODE", default_value = "sv39x4")]
    pub(crate) mode: Mode,
    /// Memory that the guest writes to
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    pub(crate) working_set: Size,
    /// Which pages it writes to
    #[arg(long, value_name = "PATTERN", default_value = "random")]
    pub(crate) write_pattern: Pattern,
    /// Stores a second, each to one page, of all vCPUs together
    #[arg(long, value_name = "HZ", default_value = "500kHz")]
    pub(crate) write_rate: Hertz,
    /// vCPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) vcpus: u8,
    /// Harts, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) harts: u8,
    /// Bytes a second that leave in a round of pre-copy
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub(crate) bandwidth: Size,
    /// Rounds end when no more pages than this are left
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) few: Count,
    /// Rounds of pre-copy at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) rounds: u8,
    /// How long the guest is watched before logging begins, and again after it has ended
    #[arg(long, value_name = "SECONDS", default_value = "0.01")]
    pub(crate) before_after: Seconds,
    /// The log is cleared in chunks of 64 pages after it was read (KVM's manual protect), not when it is read
    #[arg(long)]
    pub(crate) manual_clear: bool,
    /// Each vCPU has a dirty ring of so many entries, at least 128; one whose ring is full waits until it is emptied, which is
    /// looked for every 0.1 ms
    #[arg(long, value_name = "N", conflicts_with = "manual_clear", value_parser = clap::value_parser!(u32).range(128..=1 << 20))]
    pub(crate) ring: Option<u32>,
    /// The core whose cycles the harts take, approximately: a preset (nestwalk run --core list), or FILE.toml. Without it an instruction is a cycle
    #[arg(long, value_name = "CORE")]
    pub(crate) core: Option<String>,
    /// Cycles until memory delivers the first bytes of a line, in place of the core's own
    #[arg(long, value_name = "CYCLES", requires = "core")]
    pub(crate) mem_latency: Option<Count>,
    /// Cycles that an instruction of the hypervisor takes on the core, beside its PTEs and fences; by default what one of KVM's takes there, where that was
    /// measured, else 1
    #[arg(long, value_name = "CYCLES", requires = "core")]
    pub(crate) hypervisor_cpi: Option<f64>,
    /// Shape of the TLBs
    #[arg(long, value_name = "SHAPE", default_value = "default")]
    pub(crate) tlb: Tlb,
    /// Decides what is random
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: Count,
    /// Writes the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a report with charts, in one file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Which pages are written, in which order.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pattern {
    /// One after the other.
    Seq,
    /// Any, each as likely.
    Random,
    /// Some much more often than others: the kth most frequent 1/k as often as the first.
    Zipf,
}
