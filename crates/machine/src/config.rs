//! What a machine is built and booted from, in one value. Where the words of the command line or
//! of a file are turned into it, they are the command's.

use isa::Pa;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What runs in M-mode before the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bios {
    /// Nothing: the program has M-mode to itself.
    #[default]
    None,
    /// The SBI implementation that comes with the machine.
    Builtin,
    /// A firmware image, such as OpenSBI's `fw_dynamic`.
    File(PathBuf),
}

/// What is loaded before the first instruction.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Boot {
    /// A bare ELF file.
    pub program: Option<PathBuf>,
    /// Firmware.
    pub bios: Bios,
    /// Kernel: Linux `Image`, ELF or raw code, also compressed.
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    pub append: Option<String>,
    /// A device tree blob in place of the machine's own.
    pub dtb: Option<PathBuf>,
    /// Where the first stage starts, in place of its own entry.
    #[serde(with = "address")]
    pub entry: Option<Pa>,
    /// Further files whose symbols name addresses.
    pub symbols: Vec<PathBuf>,
}

/// Addresses as plain numbers.
mod address {
    use isa::Pa;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(pa: &Option<Pa>, to: S) -> Result<S::Ok, S::Error> {
        pa.map(|pa| pa.0).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Pa>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Pa))
    }
}
