//! From files to a machine that is ready to start: what lies where, where the harts begin, and
//! what they find in their registers.
//!
//! Loading is a plan: files are read and checked, places are given, and only then does anybody
//! write to memory. Nothing here knows a hart or a device.

mod elf;
mod error;
mod file;
mod firmware_info;
mod image;
mod jump;
mod layout;
mod packed;
mod symbols;

pub use error::{LoadError, Range};
pub use layout::{Layout, Piece};
pub use symbols::{Symbol, Symbols};

use crate::board::Part;
use crate::config::{Bios, Boot};
use crate::device_tree::{BoardTree, DeviceTree, GuestTree, Initrd};
use elf::{Elf, is_elf};
use file::read;
use firmware_info::FirmwareInfo;
use image::Image;
use isa::{PAGE_BYTES, Pa};
use jump::JumpFirmware;
use std::path::Path;

/// Where a kernel lies behind firmware, from the beginning of main memory: what Linux asks for and
/// where firmware jumps that is not told.
const NEXT_STAGE_OFFSET: u64 = 0x20_0000;
/// The device tree and the initial RAM disk lie below this address, as on QEMU's `virt`, so that
/// early code that maps little finds them.
const LOW_END: u64 = 0xc000_0000;
/// Room that is kept behind the device tree, because firmware adds to it in place.
const TREE_ROOM: u64 = 0x1_0000;
/// Machines with less memory than this keep no room.
const TREE_ROOM_RAM_MIN: u64 = 0x100_0000;

/// How the harts start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// All harts in M-mode at `pc`; `a0` holds the hart's number, `a1` the device tree, `a2` the
    /// address of the information for firmware (0 where there is none).
    Machine {
        /// The first instruction.
        pc: Pa,
        /// The device tree.
        tree: Pa,
        /// What firmware is told.
        info: Pa,
    },
    /// Hart 0 in S-mode at `pc`, put there by the built-in firmware; `a0` and `a1` as above. The
    /// other harts are stopped.
    Supervisor {
        /// The first instruction.
        pc: Pa,
        /// The device tree.
        tree: Pa,
    },
}

impl Start {
    /// The first instruction, and where the device tree is.
    pub fn entry(self) -> (Pa, Pa) {
        match self {
            Self::Machine { pc, tree, .. } | Self::Supervisor { pc, tree } => (pc, tree),
        }
    }
}

/// The two words through which a bare program talks to the machine (HTIF).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HtifWords {
    /// Where the program writes.
    pub tohost: Pa,
    /// Where it reads.
    pub fromhost: Option<Pa>,
}

/// What a program of an architecture test leaves behind: the bytes from `begin_signature` to `end_signature`. The file
/// may say anything: they need not be in main memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignatureArea {
    /// The first byte.
    pub start: Pa,
    /// How many there are.
    pub bytes: u64,
}

/// A machine ready to start.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What goes into main memory, which is zero everywhere else.
    pub layout: Layout,
    /// What the boot ROM holds.
    pub rom: Vec<u8>,
    /// How the harts start.
    pub start: Start,
    /// Where HTIF is, if the program has its symbols.
    pub htif: Option<HtifWords>,
    /// Where the program, or a kernel in ELF form, leaves its signature, if it has the symbols.
    pub signature: Option<SignatureArea>,
    /// The symbols of the program, the kernel and the files given for their symbols.
    pub symbols: Symbols,
    /// The device tree as the guest gets it.
    pub tree: Vec<u8>,
    /// What the user should know although nothing is wrong.
    pub notes: Vec<String>,
}

impl Loaded {
    /// Nothing, for memory of this place and size.
    pub(crate) fn nothing(start: Pa, bytes: u64) -> Self {
        Self {
            layout: Layout::new(Range { start, bytes }),
            rom: Vec::new(),
            start: Start::Supervisor { pc: start, tree: start },
            htif: None,
            symbols: Symbols::default(),
            signature: None,
            tree: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Loads what `boot` asks for onto the board that `own` describes.
///
/// # Errors
/// A file cannot be read or is malformed, something does not fit, or the files make no machine
/// together. The error names the file and the reason.
pub fn load(boot: &Boot, own: &BoardTree<'_>) -> Result<Loaded, LoadError> {
    let ram = own.board.ram();
    let rom_base = own.board.region(Part::BootRom).map_or(Pa(0), |region| region.base);
    load_into(boot, Range { start: ram.base, bytes: ram.bytes }, rom_base, &own.tree())
}

/// Loads what `boot` asks for into a guest's memory, by guest physical addresses.
///
/// # Errors
/// As [`load`], and for firmware: a guest has none but the hypervisor's.
pub fn load_guest(boot: &Boot, own: &GuestTree<'_>) -> Result<Loaded, LoadError> {
    if let Bios::File(_) = boot.bios {
        return Err(LoadError::Nonsense("a guest has no M-mode: leave out --bios FILE"));
    }
    load_into(boot, Range { start: own.base, bytes: own.bytes }, Pa(0), &own.tree())
}

fn load_into(boot: &Boot, ram: Range, rom_base: Pa, own: &DeviceTree) -> Result<Loaded, LoadError> {
    let mut loader = Loader {
        layout: Layout::new(ram),
        symbols: Symbols::default(),
        signature: None,
        notes: Vec::new(),
    };
    check_command_line(boot.append.as_deref().unwrap_or_default())?;
    let stages = loader.stages(boot)?;
    let (tree, tree_at) = loader.tree_and_initrd(boot, own)?;
    if let Some(jump) = stages.jump {
        let at = Pa(ram.start.0 + jump.tree_offset);
        loader.layout.put(jump::COPY, at, Vec::new(), tree.len() as u64)?;
    }
    let mut rom = Vec::new();
    let start = match stages.first {
        First::Machine(pc) => {
            let (pc, info) = (boot.entry.unwrap_or(pc), stages.next.map(FirmwareInfo::next));
            if let Some(info) = info {
                rom = info.bytes();
            }
            let info = if rom.is_empty() { Pa(0) } else { rom_base };
            Start::Machine { pc, tree: tree_at, info }
        }
        First::Supervisor(pc) => Start::Supervisor { pc: boot.entry.unwrap_or(pc), tree: tree_at },
    };
    for path in &boot.symbols {
        let data = read(path, file::SYMBOL_FILE_BYTES_MAX)?;
        let symbols = Symbols::parse(&data).map_err(|error| LoadError::Format {
            path: path.clone(),
            reason: format!("unreadable symbols: {error}"),
        })?;
        loader.symbols.merge(symbols, 0);
    }
    let Loader { layout, symbols, signature, notes } = loader;
    tracing::debug!("main memory:\n{}", layout.map());
    Ok(Loaded { layout, rom, start, htif: stages.htif, signature, symbols, tree, notes })
}

/// The longest kernel command line, in bytes; Linux keeps 1024 of them.
const COMMAND_LINE_BYTES_MAX: usize = 0x1_0000;

fn check_command_line(text: &str) -> Result<(), LoadError> {
    if text.contains('\0') {
        return Err(LoadError::Nonsense("the kernel command line holds a zero byte"));
    }
    if text.len() > COMMAND_LINE_BYTES_MAX {
        return Err(LoadError::Nonsense("the kernel command line is longer than 65536 bytes"));
    }
    Ok(())
}

/// What runs first.
enum First {
    Machine(Pa),
    Supervisor(Pa),
}

struct Stages {
    first: First,
    /// What firmware jumps to, if there is firmware from a file.
    next: Option<Pa>,
    htif: Option<HtifWords>,
    jump: Option<JumpFirmware>,
}

/// Something that was put into memory.
struct Program {
    entry: Pa,
    htif: Option<HtifWords>,
}

struct Loader {
    layout: Layout,
    symbols: Symbols,
    signature: Option<SignatureArea>,
    notes: Vec<String>,
}

impl Loader {
    /// Puts firmware, kernel or program into memory.
    fn stages(&mut self, boot: &Boot) -> Result<Stages, LoadError> {
        let bare =
            |entry, htif| Stages { first: First::Machine(entry), next: None, htif, jump: None };
        match (&boot.program, &boot.bios, &boot.kernel) {
            (Some(_), _, Some(_)) => Err(LoadError::Nonsense("give either a program or --kernel")),
            (Some(_), Bios::File(_), None) => Err(LoadError::Nonsense(
                "a bare program replaces the firmware: leave out --bios FILE",
            )),
            (Some(program), Bios::None, None) => {
                let Program { entry, htif } = self.elf("program", program)?;
                Ok(bare(entry, htif))
            }
            (Some(program), Bios::Builtin, None) => {
                let Program { entry, htif } = self.elf("program", program)?;
                Ok(Stages { first: First::Supervisor(entry), ..bare(entry, htif) })
            }
            (None, Bios::None, Some(kernel)) => {
                let Program { entry, htif } = self.kernel(kernel, None)?;
                Ok(bare(entry, htif))
            }
            (None, Bios::Builtin, Some(kernel)) => {
                let Program { entry, htif } = self.kernel(kernel, Some(NEXT_STAGE_OFFSET))?;
                Ok(Stages { first: First::Supervisor(entry), ..bare(entry, htif) })
            }
            (None, Bios::File(bios), kernel) => {
                let (entry, jump) = self.firmware(bios)?;
                let offset = jump.map_or(NEXT_STAGE_OFFSET, |jump| jump.next_offset);
                let next = match kernel {
                    Some(kernel) => self.kernel(kernel, Some(offset))?.entry,
                    None => Pa(self.layout.ram().start.0 + offset),
                };
                Ok(Stages { next: Some(next), jump, ..bare(entry, None) })
            }
            (None, Bios::None | Bios::Builtin, None) => {
                Err(LoadError::Nonsense("nothing to run: give a program, --kernel or --bios FILE"))
            }
        }
    }

    fn read_program(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let limit = self.layout.ram().bytes;
        // Debug information can make a file much larger than what is loaded from it.
        let data = read(path, limit.max(file::SYMBOL_FILE_BYTES_MAX))?;
        packed::unpack(path, data, limit)
    }

    /// An ELF file, by physical addresses.
    fn elf(&mut self, what: &str, path: &Path) -> Result<Program, LoadError> {
        let data = self.read_program(path)?;
        self.place_elf(what, path, &data)
    }

    fn place_elf(&mut self, what: &str, path: &Path, data: &[u8]) -> Result<Program, LoadError> {
        let elf = Elf::parse(path, data)?;
        let placed = elf.place(&format!("{what} {}", path.display()), &mut self.layout)?;
        let mut htif = None;
        match Symbols::parse(data) {
            Ok(symbols) => {
                let word = |name| {
                    let address = elf.physical(symbols.address(name)?)?;
                    Some(Pa(address.wrapping_add(placed.bias)))
                };
                htif =
                    word("tohost").map(|tohost| HtifWords { tohost, fromhost: word("fromhost") });
                let begin = symbols.address("begin_signature");
                self.signature =
                    begin.zip(symbols.address("end_signature")).and_then(|(begin, end)| {
                        let start = elf.physical(begin).unwrap_or(begin).wrapping_add(placed.bias);
                        Some(SignatureArea { start: Pa(start), bytes: end.checked_sub(begin)? })
                    });
                self.symbols.merge(symbols, placed.bias);
            }
            Err(error) => {
                self.notes.push(format!("{}: loaded without symbols: {error}", path.display()));
            }
        }
        Ok(Program { entry: placed.entry, htif })
    }

    /// A kernel: ELF, Linux `Image` or raw code. `behind` is where firmware expects it.
    fn kernel(&mut self, path: &Path, behind: Option<u64>) -> Result<Program, LoadError> {
        let data = self.read_program(path)?;
        if is_elf(&data) {
            return self.place_elf("kernel", path, &data);
        }
        let (offset, bytes) = match Image::parse(path, &data)? {
            // An image that wants to lie where firmware is goes behind it.
            Image::Linux { text_offset, bytes } => (text_offset.max(behind.unwrap_or(0)), bytes),
            Image::Raw => {
                let offset = behind.unwrap_or(0);
                self.notes.push(format!(
                    "{}: no Linux or ELF header: taken as raw code for {:#x}",
                    path.display(),
                    self.layout.ram().start.0 + offset
                ));
                (offset, data.len() as u64)
            }
        };
        let start = self.layout.ram().start.checked_add(offset).unwrap_or(Pa(u64::MAX));
        self.layout.put(&format!("kernel {}", path.display()), start, data, bytes)?;
        Ok(Program { entry: start, htif: None })
    }

    /// Firmware: ELF, or raw code for the beginning of main memory.
    fn firmware(&mut self, path: &Path) -> Result<(Pa, Option<JumpFirmware>), LoadError> {
        let data = self.read_program(path)?;
        if is_elf(&data) {
            let entry = self.place_elf("firmware", path, &data)?.entry;
            let base = self.layout.ram().start;
            let first = self.layout.pieces().iter().find(|piece| piece.range.start == base);
            return Ok((entry, first.and_then(|piece| JumpFirmware::detect(&piece.bytes))));
        }
        Image::parse(path, &data)?;
        let jump = JumpFirmware::detect(&data);
        let (start, bytes) = (self.layout.ram().start, data.len() as u64);
        self.layout.put(&format!("firmware {}", path.display()), start, data, bytes)?;
        Ok((start, jump))
    }

    /// Puts the device tree at the top of low memory and the initial RAM disk below it.
    fn tree_and_initrd(
        &mut self,
        boot: &Boot,
        own: &DeviceTree,
    ) -> Result<(Vec<u8>, Pa), LoadError> {
        let initrd = match &boot.initrd {
            Some(path) => Some((path, read(path, self.layout.ram().bytes)?)),
            None => None,
        };
        let tree_of = |initrd: Option<Initrd>| {
            let (mut tree, path) = match &boot.dtb {
                Some(path) => (parse_tree(path)?, Some(path)),
                None => (own.clone(), None),
            };
            tree.choose(boot.append.as_deref(), initrd);
            tree.blob().map_err(|error| match path {
                Some(path) => LoadError::DeviceTree { path: path.clone(), error },
                None => LoadError::OwnTree(error),
            })
        };
        // The size of the tree does not depend on where the disk is, so a first one tells it.
        let nowhere = initrd.as_ref().map(|_| Initrd { start: Pa(0), end: Pa(0) });
        let tree_bytes = tree_of(nowhere)?.len() as u64;

        let ram = self.layout.ram();
        let low_end = ram.end().unwrap_or(u64::MAX).min(LOW_END);
        let room = if ram.bytes < TREE_ROOM_RAM_MIN { 0 } else { TREE_ROOM };
        let below = |end: u64, bytes: u64| Pa(end.saturating_sub(bytes) / PAGE_BYTES * PAGE_BYTES);
        let tree_at = below(low_end, tree_bytes + room);
        let mut place = None;
        if let Some((path, data)) = initrd {
            let start = below(tree_at.0, data.len() as u64);
            place = Some(Initrd { start, end: Pa(start.0.saturating_add(data.len() as u64)) });
            self.layout.put(&format!("initrd {}", path.display()), start, data, 0)?;
        }
        let tree = tree_of(place)?;
        self.layout.put("device tree", tree_at, tree.clone(), tree_bytes + room)?;
        Ok((tree, tree_at))
    }
}

fn parse_tree(path: &Path) -> Result<DeviceTree, LoadError> {
    let data = read(path, file::TREE_BYTES_MAX)?;
    DeviceTree::parse(&data).map_err(|error| LoadError::DeviceTree { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;
