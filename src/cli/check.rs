//! The words of `nestwalk hyp check` and `nestwalk hyp kill-table`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use hyp::policy::Policy;
use std::num::NonZero;

/// `nestwalk hyp check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Seed of the first schedule; the others follow it by one
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Steps to take, at least; a schedule has 300
    #[arg(long, value_name = "N", default_value = "50000")]
    pub(crate) steps: NonZero<u64>,
    /// How writes are logged [default: all ways in turn]
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pub(crate) policy: Option<Policy>,
    /// The harts' TLB [default: any]
    #[arg(long, value_name = "SHAPE", value_parser = PossibleValuesParser::new(hyp_check::TLBS))]
    pub(crate) tlb: Option<String>,
}

/// `nestwalk hyp kill-table`.
#[derive(Args, Debug)]
pub(crate) struct KillTableArgs {
    /// Only this fault
    #[arg(long, value_name = "NAME")]
    pub(crate) fault: Option<String>,
    /// Seed of the first schedule for each fault
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Schedules to try for each fault, at most
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) schedules: u64,
    /// Also make each schedule that shows a fault as short as possible
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A policy by its name.
fn policy(word: &str) -> Result<Policy, String> {
    Policy::by_name(word).ok_or_else(|| {
        let names: Vec<String> = Policy::all().map(|policy| policy.to_string()).collect();
        format!("there are {}", names.join(", "))
    })
}
