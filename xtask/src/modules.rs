//! Kernel modules: which ones the initramfs carries, what they depend on, and the index files `modprobe` reads.
//!
//! Debian packs modules without the index files (`depmod` writes them at installation), so the dependencies are
//! read from the modules themselves: section `.modinfo` of a module holds `key=value` strings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lzma_rust2::XzReader;
use object::{Object, ObjectSection};

/// What a session on the machine may load. One that a kernel does not have as a module is built in or not
/// offered, and is left out.
const WANTED: &[&str] = &[
    "kvm",
    "virtio_mmio",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "ext4",
    "af_packet",
];

/// A limit on what one compressed module may unpack to.
const MODULE_BYTES_MAX: u64 = 64 << 20;

/// A module and what it says about itself.
pub struct Module {
    /// Its name as `lsmod` shows it, with `_` where the file may have `-`.
    pub name: String,
    /// The ELF file, unpacked.
    pub bytes: Vec<u8>,
    depends: Vec<String>,
    aliases: Vec<String>,
}

/// Copies the wanted modules of the kernel whose module tree is `tree`, and all they depend on, into the flat
/// folder `target`, unpacked.
pub fn collect(tree: &Path, target: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    find(tree, &mut files)?;
    let mut waiting: Vec<String> = WANTED.iter().map(|name| (*name).to_owned()).collect();
    let mut done = Vec::new();
    fs::create_dir_all(target)?;
    while let Some(name) = waiting.pop() {
        if done.contains(&name) {
            continue;
        }
        if let Some(path) = files.get(&name) {
            let module = Module::read(path)?;
            fs::write(target.join(format!("{name}.ko")), &module.bytes)?;
            waiting.extend(module.depends);
        }
        done.push(name);
    }
    Ok(())
}

/// All modules in a flat folder, by name.
pub fn read_all(directory: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    find(directory, &mut files)?;
    files.values().map(|path| Module::read(path)).collect()
}

/// `modules.dep`: after each module's file, all it depends on, so that loading from the last to the first
/// satisfies each. Dependencies that are not among the modules are taken to be built in.
pub fn dependency_index(modules: &[Module]) -> String {
    let mut text = String::new();
    for module in modules {
        let mut order = Vec::new();
        load_order(module, modules, &mut order);
        let _ = write!(text, "{}.ko:", module.name);
        for name in order.iter().rev().skip(1) {
            let _ = write!(text, " {name}.ko");
        }
        text.push('\n');
    }
    text
}

/// `modules.alias`: which module serves which device.
pub fn alias_index(modules: &[Module]) -> String {
    let mut text = String::new();
    for module in modules {
        for alias in &module.aliases {
            let _ = writeln!(text, "alias {alias} {}", module.name);
        }
    }
    text
}

impl Module {
    fn read(path: &Path) -> Result<Module> {
        let packed = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = if path.extension().is_some_and(|extension| extension == "xz") {
            unpack(&packed).with_context(|| format!("cannot unpack {}", path.display()))?
        } else {
            packed
        };
        let name = module_name(path).context("not a module's file name")?;
        Module::new(name, bytes)
            .with_context(|| format!("{} is not a kernel module", path.display()))
    }

    fn new(name: String, bytes: Vec<u8>) -> Result<Module> {
        let file = object::File::parse(bytes.as_slice())?;
        let section = file.section_by_name(".modinfo").context("it has no section .modinfo")?;
        let info = String::from_utf8_lossy(section.data()?).into_owned();
        let values = |key: &'static str| {
            info.split('\0').filter_map(move |pair| pair.strip_prefix(key)?.strip_prefix('='))
        };
        let depends = values("depends").flat_map(|list| list.split(','));
        let depends = depends.filter(|name| !name.is_empty()).map(plain).collect();
        let aliases = values("alias").map(str::to_owned).collect();
        Ok(Module { name, depends, aliases, bytes })
    }
}

/// Appends what `module` depends on, then `module`; each once. A module that is open (its dependencies are being
/// followed) is not entered again, so a cycle ends.
fn load_order(module: &Module, modules: &[Module], order: &mut Vec<String>) {
    fn visit(module: &Module, modules: &[Module], open: &mut Vec<String>, order: &mut Vec<String>) {
        if open.contains(&module.name) || order.contains(&module.name) {
            return;
        }
        open.push(module.name.clone());
        for name in &module.depends {
            if let Some(needed) = modules.iter().find(|other| other.name == *name) {
                visit(needed, modules, open, order);
            }
        }
        order.push(module.name.clone());
    }
    visit(module, modules, &mut Vec::new(), order);
}

fn find(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot read the folder {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The module's name if the path names a module.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"))?;
    Some(plain(stem))
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    XzReader::new(packed, true).take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        bail!("it unpacks to more than {MODULE_BYTES_MAX} bytes");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, depends: &[&str]) -> Module {
        Module {
            name: name.to_owned(),
            bytes: Vec::new(),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
            aliases: vec![format!("virtio:{name}*")],
        }
    }

    #[test]
    fn loading_from_last_to_first_satisfies_each_dependency() {
        let modules = [
            module("ext4", &["jbd2", "mbcache", "built_in"]),
            module("jbd2", &["mbcache", "crc16"]),
            module("mbcache", &[]),
            module("crc16", &[]),
        ];
        let index = dependency_index(&modules);
        assert_eq!(index.lines().next(), Some("ext4.ko: jbd2.ko crc16.ko mbcache.ko"));
        assert_eq!(index.lines().nth(2), Some("mbcache.ko:"));
    }

    #[test]
    fn a_cycle_of_dependencies_ends() {
        let index = dependency_index(&[module("a", &["b"]), module("b", &["a"])]);
        assert_eq!(index, "a.ko: b.ko\nb.ko: a.ko\n");
    }

    #[test]
    fn names_are_as_lsmod_shows_them() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(name("char/hw_random/virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(name("kvm.ko").as_deref(), Some("kvm"));
        assert_eq!(name("modules.builtin"), None);
    }

    #[test]
    fn aliases_name_their_module() {
        assert_eq!(alias_index(&[module("x", &[])]), "alias virtio:x* x\n");
    }

    #[test]
    fn what_is_not_a_module_is_refused() {
        assert!(Module::new("x".into(), b"not an ELF file".to_vec()).is_err());
        assert!(unpack(b"not xz").is_err());
    }
}
