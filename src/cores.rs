//! The core that `--core` names: what it makes of the harts, whether its cycles count, and what a user should know of
//! it.

use crate::cli::{self, MachineOptions, Misaligned, Tlb};
use anyhow::{Context, Result, ensure};
use isa::{Ext, ExtSet};
use mmu::Shape;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use timing::{Architecture, Core};

/// What lists the presets in place of a run.
pub(crate) const LIST: &str = "list";
/// The core of `--timing on` alone.
const GENERAL: &str = "generic-h";
/// The largest file of a shape or a core that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 16;
/// Far more than any memory takes, in cycles.
const LATENCY_MAX: u64 = 1 << 20;

/// What harts are, apart from how many there are.
pub(crate) struct Harts {
    /// Their extensions.
    pub(crate) exts: ExtSet,
    /// The shape of their TLBs.
    pub(crate) shape: Shape,
    /// PMP entries.
    pub(crate) pmp_entries: usize,
    /// ASIDLEN.
    pub(crate) asid_bits: u32,
    /// VMIDLEN.
    pub(crate) vmid_bits: u32,
    /// What becomes of misaligned accesses.
    pub(crate) misaligned: cpu::Misaligned,
    /// The core whose cycles they take, and the memory's latency where it is not the core's own.
    pub(crate) core: Option<(Core, Option<u64>)>,
}

/// What `options` make of the harts: what they say, else what their core has, else what is so without one.
///
/// # Errors
/// There is no such core, or no hart can be like this.
pub(crate) fn harts(options: &MachineOptions) -> Result<Harts> {
    let latency = options.mem_latency.map(|count| count.0);
    ensure!(latency.is_none_or(|cycles| cycles <= LATENCY_MAX), "--mem-latency: too long");
    let core = chosen(options)?;
    let cycles = options.timing() == cli::Timing::On;
    ensure!(latency.is_none() || cycles, "--mem-latency needs a --core, and not --timing off");

    let none = Architecture::default();
    let own = core.as_ref().map_or(&none, |core| &core.architecture);
    let isa = match (&options.isa, &core) {
        (None, Some(core)) => core.isa.clone(),
        _ => options.isa(),
    };
    let pmp_entries = u32::from(options.pmp_entries());
    let pmp_entries =
        own.pmp_entries.filter(|_| options.pmp_entries.is_none()).unwrap_or(pmp_entries);
    ensure!(
        matches!(pmp_entries, 0 | 16 | 64),
        "--pmp-entries {pmp_entries}: the manual knows 0, 16 and 64"
    );
    let asid_bits = u32::from(options.asidlen());
    let asid_bits = own.asid_bits.filter(|_| options.asidlen.is_none()).unwrap_or(asid_bits);
    ensure!(asid_bits <= 16, "--asidlen {asid_bits}: an ASID has at most 16 bits");
    let vmid_bits = u32::from(options.vmidlen());
    let vmid_bits = own.vmid_bits.filter(|_| options.vmidlen.is_none()).unwrap_or(vmid_bits);
    ensure!(vmid_bits <= 14, "--vmidlen {vmid_bits}: a VMID has at most 14 bits");
    let shape = match (&options.tlb, &core) {
        (None, Some(core)) => shape_of(core)?,
        _ => None,
    };
    let exts = ExtSet::parse(&isa).with_context(|| match (&options.isa, &core) {
        (None, Some(core)) => format!("--core {}: isa", core.name),
        _ => "--isa".into(),
    })?;
    Ok(Harts {
        misaligned: misaligned(options, &exts, core.is_some()),
        exts,
        shape: shape.map_or_else(|| named_shape(&options.tlb()), Ok)?,
        pmp_entries: pmp_entries as usize,
        asid_bits,
        vmid_bits,
        core: core.filter(|_| cycles).map(|core| (core, latency)),
    })
}

/// The core that `options` name.
fn chosen(options: &MachineOptions) -> Result<Option<Core>> {
    match (&options.core, options.timing()) {
        (Some(name), _) => named_core(name).map(Some),
        (None, cli::Timing::On) => named_core(GENERAL).map(Some),
        (None, cli::Timing::Off) => Ok(None),
    }
}

/// The core that a preset's name or a file describes.
///
/// # Errors
/// There is none.
pub(crate) fn named_core(name: &str) -> Result<Core> {
    let core = if name.ends_with(".toml") {
        let mut text = String::new();
        let file = File::open(name).with_context(|| format!("--core {name}"))?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Core::parse(&text)
    } else {
        Core::preset(name)
    };
    core.with_context(|| format!("--core {name}"))
}

/// The shape of a core's TLBs, if it says.
fn shape_of(core: &Core) -> Result<Option<Shape>> {
    let table = core.architecture.tlb.clone();
    let shape = table.map(|table| toml::Value::Table(table).try_into());
    shape.transpose().with_context(|| format!("--core {}: architecture.tlb", core.name))
}

fn named_shape(tlb: &Tlb) -> Result<Shape> {
    match tlb {
        Tlb::Preset(name) => Shape::preset(name).with_context(|| format!("--tlb {name}")),
        Tlb::File(path) => read_shape(path).with_context(|| format!("--tlb {}", path.display())),
    }
}

fn read_shape(path: &Path) -> Result<Shape> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(toml::from_str(&text)?)
}

/// How well the cycles of a core are known.
fn standing(core: &Core) -> &'static str {
    match (core.hypothetical, &core.measured_as) {
        (true, _) => "HYPOTHETICAL: no such core was built",
        (false, Some(_)) => "compared with its RTL",
        (false, None) => "not validated: compared with no measured program",
    }
}

/// The presets, a line each.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for (name, _) in timing::PRESETS {
        // A preset is a core; a test holds that.
        let Ok(core) = Core::preset(name) else { continue };
        let _ = writeln!(text, "{name:<10} {}; {}", core.about, standing(&core));
    }
    text + "FILE.toml  a core that a file describes, as docs/TIMING.md explains\n"
}

/// What to tell the user of the core before a run.
pub(crate) fn notes(options: &MachineOptions) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let Some(core) = chosen(options)? else { return Ok(notes) };
    let name = &core.name;
    if core.hypothetical {
        notes.push(format!("{name} is HYPOTHETICAL: no such core was built"));
    }
    if options.isa.is_some() {
        notes.push(format!("--isa stands in place of what {name} has: {}", core.isa));
    }
    Ok(notes)
}

/// What becomes of misaligned accesses: a core without Zicclsm does not make them.
fn misaligned(options: &MachineOptions, exts: &ExtSet, has_core: bool) -> cpu::Misaligned {
    let traps = has_core && !exts.contains(Ext::Zicclsm);
    match options.misaligned.unwrap_or(if traps { Misaligned::Trap } else { options.misaligned() })
    {
        Misaligned::Trap => cpu::Misaligned::Trap,
        Misaligned::Handle => cpu::Misaligned::Handle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(core: &str) -> MachineOptions {
        MachineOptions { core: Some(core.into()), ..MachineOptions::default() }
    }

    #[test]
    fn every_preset_makes_harts() {
        for (name, _) in timing::PRESETS {
            let harts = harts(&options(name)).unwrap();
            let core = Core::preset(name).unwrap();
            assert_eq!(harts.exts, ExtSet::parse(&core.isa).unwrap(), "{name}");
            let shape = shape_of(&core).unwrap().unwrap_or_default();
            assert_eq!(harts.shape, shape, "{name}");
            assert!(!core.about.is_empty(), "{name}");
            assert!(list().contains(&core.about), "{name}");
        }
    }

    #[test]
    fn an_option_wins_over_the_core() {
        let base = MachineOptions {
            isa: Some("rv64gch_sv48".into()),
            tlb: Some("none".parse().unwrap()),
            pmp_entries: Some(0),
            asidlen: Some(1),
            vmidlen: Some(2),
            misaligned: Some(Misaligned::Handle),
            ..options("cva6")
        };
        let harts = harts(&base).unwrap();
        assert_eq!(harts.exts, ExtSet::parse("rv64gch_sv48").unwrap());
        assert_eq!(harts.shape, Shape::none());
        assert_eq!((harts.pmp_entries, harts.asid_bits, harts.vmid_bits), (0, 1, 2));
        assert!(harts.core.is_some());
    }

    // [RVA23, Zicclsm]: misaligned loads and stores to main memory are supported where it is.
    #[test]
    fn a_core_without_zicclsm_traps_on_misaligned_accesses() {
        let of = |base: MachineOptions| harts(&base).unwrap().misaligned;
        assert_eq!(of(options("cva6")), cpu::Misaligned::Trap);
        assert_eq!(of(options("generic-h")), cpu::Misaligned::Handle);
        assert_eq!(of(MachineOptions::default()), cpu::Misaligned::Handle);
        let asked = |misaligned| MachineOptions { misaligned: Some(misaligned), ..options("cva6") };
        assert_eq!(of(asked(Misaligned::Handle)), cpu::Misaligned::Handle);
        let more = MachineOptions { isa: Some("rv64gch_zicclsm".into()), ..options("cva6") };
        assert_eq!(of(more), cpu::Misaligned::Handle);
    }

    #[test]
    fn a_core_without_its_cycles_leaves_the_harts_what_they_are() {
        let off = MachineOptions { timing: Some(cli::Timing::Off), ..options("cva6") };
        let (off, on) = (harts(&off).unwrap(), harts(&options("cva6")).unwrap());
        assert_eq!((off.exts, &off.shape, off.vmid_bits), (on.exts, &on.shape, on.vmid_bits));
        assert!(off.core.is_none() && on.core.is_some());
        // CVA6 has Sv39 alone; harts without a core have more.
        assert!(!on.exts.contains(Ext::Sv48));
        assert!(harts(&MachineOptions::default()).unwrap().exts.contains(Ext::Sv48));
    }
}
