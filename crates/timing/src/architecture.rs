//! What of a core software can observe apart from cycles. The model does not use it: who builds the harts does.

use crate::params::{CYCLES_MAX, Core};
use serde::{Deserialize, Serialize};

/// Choices that the manual leaves to a core; what is left out stays as the machine has it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// ASIDLEN, at most 16.
    #[serde(default)]
    pub asid_bits: Option<u32>,
    /// VMIDLEN, at most 14.
    #[serde(default)]
    pub vmid_bits: Option<u32>,
    /// PMP entries: 0, 16 or 64.
    #[serde(default)]
    pub pmp_entries: Option<u32>,
    /// The shape of the TLBs, as a file of one has it.
    #[serde(default)]
    pub tlb: Option<toml::Table>,
}

impl Architecture {
    /// The first key whose value no hart can have.
    pub(crate) fn unsound(&self) -> Option<&'static str> {
        let sound = [
            ("architecture.asid_bits", self.asid_bits.is_none_or(|bits| bits <= 16)),
            ("architecture.vmid_bits", self.vmid_bits.is_none_or(|bits| bits <= 14)),
            (
                "architecture.pmp_entries",
                self.pmp_entries.is_none_or(|entries| matches!(entries, 0 | 16 | 64)),
            ),
        ];
        sound.iter().find(|(_, sound)| !sound).map(|(key, _)| *key)
    }
}

/// Bytes that a cache may have.
const BYTES_MAX: i64 = 1 << 26;

/// The first number in a description that no piece of hardware comes near to: its key.
pub(crate) fn too_large(core: &Core) -> Option<String> {
    let value = toml::Value::try_from(core).ok()?;
    search(&value, "", false)
}

fn search(value: &toml::Value, key: &str, bytes: bool) -> Option<String> {
    let most = if bytes { BYTES_MAX } else { CYCLES_MAX as i64 };
    match value {
        toml::Value::Integer(number) => (*number > most).then(|| key.to_owned()),
        toml::Value::Array(values) => values.iter().find_map(|value| search(value, key, bytes)),
        toml::Value::Table(table) => table.iter().find_map(|(name, value)| {
            let dot = if key.is_empty() { "" } else { "." };
            search(value, &format!("{key}{dot}{name}"), name == "bytes")
        }),
        _ => None,
    }
}
