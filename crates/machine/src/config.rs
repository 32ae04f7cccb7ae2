//! What is loaded before the first instruction. The words of the command line and of configuration
//! files are turned into it by the command.

use isa::Pa;
use std::path::PathBuf;

/// What runs in M-mode before the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
    pub entry: Option<Pa>,
    /// Further files whose symbols name addresses.
    pub symbols: Vec<PathBuf>,
}
