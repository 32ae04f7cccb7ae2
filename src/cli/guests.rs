//! The options of guests under the embedded hypervisor.

use super::nearest::did_you_mean;
use super::values::{Seconds, ValueError};
use clap::{Args, ValueEnum};
use hyp::policy::Policy;
use std::str::FromStr;

/// `nestwalk hyp run`, beside what `nestwalk run` has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Guests")]
pub(crate) struct GuestOptions {
    /// VMs, all alike; the first has the console's input
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) vms: u8,
    /// vCPUs of each VM; they share the harts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) vcpus: u8,
    /// Scheme of the G-stage
    #[arg(long, value_name = "MODE", default_value = "sv39x4")]
    pub(crate) mode: Mode,
    /// Largest page of the G-stage
    #[arg(long, value_name = "SIZE", default_value = "2M")]
    pub(crate) pages: Pages,
    /// How writes are logged, when they are: split-on-fault, eager-enable, eager-clear, no-split or dbit, each
    /// also with +recover-lazy or +recover-eager
    #[arg(long, value_name = "POLICY", default_value = "split-on-fault")]
    pub(crate) policy: PolicyName,
    /// How long a vCPU keeps its hart while others wait for one
    #[arg(long, value_name = "SECONDS", default_value = "0.001")]
    pub(crate) slice: Seconds,
    /// Switches dirty logging on and off every so often, and checks each log against a copy of the memory: pages that
    /// changed and were not in it make the exit code 1
    #[arg(long, value_name = "SECONDS")]
    pub(crate) dirty_log_every: Option<Seconds>,
    /// Guests have no Sstc: their timers are SBI's, and the hypervisor makes the interrupt pending
    #[arg(long)]
    pub(crate) no_guest_sstc: bool,
}

/// Schemes by name.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Three levels.
    Sv39x4,
    /// Four levels.
    Sv48x4,
    /// Five levels.
    Sv57x4,
}

impl From<Mode> for hyp::gstage::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Sv39x4 => Self::Sv39x4,
            Mode::Sv48x4 => Self::Sv48x4,
            Mode::Sv57x4 => Self::Sv57x4,
        }
    }
}

/// Sizes of pages by name.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pages {
    /// 4 KiB.
    #[value(name = "4K")]
    Small,
    /// 64 KiB.
    #[value(name = "64K")]
    Napot,
    /// 2 MiB.
    #[value(name = "2M")]
    Mega,
    /// 1 GiB.
    #[value(name = "1G")]
    Giga,
}

impl From<Pages> for hyp::gstage::Size {
    fn from(pages: Pages) -> Self {
        match pages {
            Pages::Small => Self::Page,
            Pages::Napot => Self::Napot,
            Pages::Mega => Self::Mega,
            Pages::Giga => Self::Giga,
        }
    }
}

/// A policy by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PolicyName(pub(crate) Policy);

impl FromStr for PolicyName {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let names: Vec<String> = Policy::all().map(|policy| policy.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Policy::by_name(text).map(Self).ok_or_else(|| {
            let hint = did_you_mean(text, &names);
            ValueError(format!("'{text}' is no policy; there are {}{hint}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_policy_gets_the_nearest() {
        let error = "no-splitt".parse::<PolicyName>().unwrap_err().0;
        assert!(error.ends_with("did you mean 'no-split'?"), "{error}");
        assert_eq!(
            "dbit+recover-lazy".parse::<PolicyName>().unwrap().0.to_string(),
            "dbit+recover-lazy"
        );
    }
}
