//! How dirty logging is done: what finds a write, when large leaves are split, and what becomes of the small
//! ones afterwards.
//!
//! A policy is data, so that each combination exists, can be named on a command line and printed.

/// What finds a write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Detect {
    /// Leaves without W: the first store to a page faults.
    WriteProtection,
    /// The D bit that the walker sets [Svadu]. Stores do not fault; the bits are collected when the log is read.
    ///
    /// D may be set without a store of the program where the page holds a VS-stage PTE, and by a store that
    /// trapped after the walk [priv: hypervisor, "Two-Stage Address Translation"]: such pages are
    /// false positives. A written page is never missed.
    DirtyBit,
}

/// When leaves larger than a page are split.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Split {
    /// At the first write to each, as KVM on RISC-V does.
    AtFault,
    /// All when logging begins.
    AtEnable,
    /// Those that a request to clear names, when it comes.
    AtClear,
    /// Never: a write marks all of the leaf.
    Never,
}

/// What becomes of small leaves after logging.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Recover {
    /// They stay.
    Nothing,
    /// A block becomes one leaf again when a page of it faults.
    AtFault,
    /// All blocks become leaves when logging ends.
    AtDisable,
}

/// A way to log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// What finds a write.
    pub detect: Detect,
    /// When leaves are split.
    pub split: Split,
    /// What becomes of small leaves.
    pub recover: Recover,
}

/// The names, without what `+recover-lazy` and `+recover-eager` add.
const NAMES: [(&str, Detect, Split); 5] = [
    ("split-on-fault", Detect::WriteProtection, Split::AtFault),
    ("eager-enable", Detect::WriteProtection, Split::AtEnable),
    ("eager-clear", Detect::WriteProtection, Split::AtClear),
    ("no-split", Detect::WriteProtection, Split::Never),
    ("dbit", Detect::DirtyBit, Split::AtEnable),
];

const RECOVERIES: [(&str, Recover); 3] = [
    ("", Recover::Nothing),
    ("+recover-lazy", Recover::AtFault),
    ("+recover-eager", Recover::AtDisable),
];

impl Policy {
    /// Every policy that has a name.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().flat_map(|(_, detect, split)| {
            RECOVERIES.map(|(_, recover)| Self { detect, split, recover })
        })
    }

    /// The policy of this name, as [`Display`](std::fmt::Display) prints it.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|policy| policy.to_string() == name)
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let base = NAMES.iter().find(|row| (row.1, row.2) == (self.detect, self.split));
        let recovery = RECOVERIES.iter().find(|row| row.1 == self.recover);
        f.write_str(base.map_or("other", |row| row.0))?;
        f.write_str(recovery.map_or("", |row| row.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_found_by_its_name() {
        let all: Vec<Policy> = Policy::all().collect();
        assert_eq!(all.len(), 15);
        assert!(all.iter().all(|policy| Policy::by_name(&policy.to_string()) == Some(*policy)));
        assert_eq!(Policy::by_name("dbit+recover"), None);
    }
}
