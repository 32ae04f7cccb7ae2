//! Loading end to end: what is laid where, and what is refused.

use super::elf::tests::{Segment, elf_file};
use super::*;
use crate::board::Board;
use isa::ExtSet;
use std::path::PathBuf;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("nestwalk-load-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, data).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load_with(boot: &Boot, ram_bytes: u64) -> Result<Loaded, LoadError> {
    let board = Board::new(2, ram_bytes, false);
    let exts = ExtSet::default_set();
    load(
        boot,
        &BoardTree {
            board: &board,
            exts: &exts,
            timebase_hz: 10_000_000,
            seed: 0,
            modelled: false,
        },
    )
}

fn piece<'a>(loaded: &'a Loaded, what: &str) -> &'a Piece {
    let found = loaded.layout.pieces().iter().find(|piece| piece.what.contains(what));
    found.unwrap_or_else(|| panic!("no {what} in\n{}", loaded.layout.map()))
}

const MIB: u64 = 1 << 20;

#[test]
fn a_kernel_starts_in_s_mode_at_its_offset() {
    let folder = Folder::new("kernel");
    let kernel = folder.file("Image", &image::tests::image(0x20_0000, 0x30_0000, 0x1000));
    let initrd = folder.file("initrd", &[7; 5000]);
    let append = Some("console=ttyS0".to_owned());
    let boot = Boot {
        bios: Bios::Builtin,
        kernel: Some(kernel),
        initrd: Some(initrd),
        append,
        ..Boot::default()
    };
    let loaded = load_with(&boot, 256 * MIB).unwrap();
    let tree_at = piece(&loaded, "device tree").range.start;
    assert_eq!(loaded.start, Start::Supervisor { pc: Pa(0x8020_0000), tree: tree_at });
    assert_eq!(piece(&loaded, "kernel").range.bytes, 0x30_0000);
    assert!(tree_at.0 >= 0x8000_0000 + 255 * MIB && tree_at.is_aligned(8));

    let tree = DeviceTree::parse(&loaded.tree).unwrap();
    let chosen = tree.node("/chosen").unwrap();
    assert_eq!(chosen.get("bootargs"), Some(b"console=ttyS0\0".as_slice()));
    let initrd = piece(&loaded, "initrd");
    assert_eq!(
        chosen.get("linux,initrd-start"),
        Some(initrd.range.start.0.to_be_bytes().as_slice())
    );
    let end = initrd.range.start.0 + 5000;
    assert_eq!(chosen.get("linux,initrd-end"), Some(end.to_be_bytes().as_slice()));
    assert!(end <= tree_at.0);
}

#[test]
fn tree_and_initrd_stay_below_3_gib_of_addresses() {
    let folder = Folder::new("low");
    let kernel = folder.file("Image", &image::tests::image(0x20_0000, 0, 0x1000));
    let initrd = Some(folder.file("initrd", &[7; 5000]));
    let boot = Boot { bios: Bios::Builtin, kernel: Some(kernel), initrd, ..Boot::default() };
    let loaded = load_with(&boot, 64 << 30).unwrap();
    assert!(piece(&loaded, "device tree").range.end().unwrap() <= 0xc000_0000);
    assert!(piece(&loaded, "initrd").range.end().unwrap() <= 0xc000_0000);
}

#[test]
fn a_bare_program_starts_in_m_mode_at_its_entry() {
    let folder = Folder::new("bare");
    let elf = elf_file(2, 0x8000_0004, &[Segment(0x8000_0000, 0x8000_0000, &[1; 8], 64)]);
    let boot = Boot { program: Some(folder.file("a.elf", &elf)), ..Boot::default() };
    let loaded = load_with(&boot, MIB).unwrap();
    let tree = piece(&loaded, "device tree").range.start;
    assert_eq!(loaded.start, Start::Machine { pc: Pa(0x8000_0004), tree, info: Pa(0) });
    // The made-up file has no readable section table, hence neither symbols nor HTIF.
    assert!(loaded.symbols.is_empty() && loaded.htif.is_none());
    assert_eq!(loaded.notes.len(), 1);

    let boot = Boot { entry: Some(Pa(0x8000_0000)), ..boot };
    let start = load_with(&boot, MIB).unwrap().start;
    assert_eq!(start, Start::Machine { pc: Pa(0x8000_0000), tree, info: Pa(0) });
}

#[test]
fn dynamic_firmware_is_told_where_the_kernel_is() {
    let folder = Folder::new("dynamic");
    let kernel = Some(folder.file("Image", &image::tests::image(0, 0, 0x1000)));
    let bios = Bios::File(folder.file("fw.bin", &[0x13, 0, 0, 0].repeat(64)));
    let loaded = load_with(&Boot { bios, kernel, ..Boot::default() }, 256 * MIB).unwrap();
    let tree = piece(&loaded, "device tree").range.start;
    assert_eq!(loaded.start, Start::Machine { pc: Pa(0x8000_0000), tree, info: Pa(0x1000) });
    assert_eq!(loaded.rom, FirmwareInfo::next(Pa(0x8020_0000)).bytes());
    // Firmware adds nodes to the tree in place.
    let room = piece(&loaded, "device tree").range.bytes - loaded.tree.len() as u64;
    assert_eq!(room, 0x1_0000);
}

#[test]
fn jump_firmware_with_a_kernel_in_its_way_is_refused() {
    let folder = Folder::new("jump");
    let firmware = jump::tests::firmware(0x220_0000, 0x20_0000);
    let bios = Bios::File(folder.file("fw_jump.bin", &firmware));
    let with_kernel = |bytes| {
        let kernel = Some(folder.file("Image", &image::tests::image(0x20_0000, bytes, 0x1000)));
        load_with(&Boot { bios: bios.clone(), kernel, ..Boot::default() }, 256 * MIB)
    };
    assert!(with_kernel(0x200_0000).is_ok());
    let error = with_kernel(0x23a_0000).unwrap_err().to_string();
    assert!(error.contains("Image at 0x80200000-0x8259ffff (37355520 bytes)"), "{error}");
    assert!(error.contains("fw_jump's copy of the device tree at 0x82200000-"), "{error}");
    assert!(error.ends_with("overlap; fw_jump's places are fixed, use fw_dynamic"), "{error}");
}

#[test]
fn memory_that_is_too_small_says_so() {
    let folder = Folder::new("small");
    let kernel = Some(folder.file("Image", &image::tests::image(0x20_0000, 0x240_0000, 0x1000)));
    let boot = Boot { bios: Bios::Builtin, kernel, ..Boot::default() };
    let error = load_with(&boot, 32 * MIB).unwrap_err().to_string();
    assert!(error.contains("Image needs 0x80200000-0x825fffff"), "{error}");
    assert!(error.contains("main memory is 0x80000000-0x81ffffff"), "{error}");
    assert!(error.ends_with("try a larger --memory"), "{error}");

    let initrd = Some(folder.file("initrd", &vec![0; 30 << 20]));
    let error = load_with(&Boot { initrd, ..boot }, 64 * MIB).unwrap_err();
    assert!(matches!(error, LoadError::Overlap { .. }), "{error}");
}

#[test]
fn a_users_device_tree_gets_our_command_line_and_keeps_the_rest() {
    let folder = Folder::new("tree");
    let kernel = Some(folder.file("Image", &image::tests::image(0x20_0000, 0, 0x1000)));
    let root = crate::device_tree::Node::new("").strings("model", ["mine"]);
    let tree = DeviceTree { root, ..DeviceTree::default() };
    let dtb = Some(folder.file("my.dtb", &tree.blob().unwrap()));
    let append = Some("quiet".to_owned());
    let boot = Boot { bios: Bios::Builtin, kernel, dtb, append, ..Boot::default() };
    let loaded = load_with(&boot, 64 * MIB).unwrap();
    let tree = DeviceTree::parse(&loaded.tree).unwrap();
    assert_eq!(tree.root.get("model"), Some(b"mine\0".as_slice()));
    assert_eq!(tree.node("/chosen").unwrap().get("bootargs"), Some(b"quiet\0".as_slice()));

    let dtb = Some(folder.file("bad.dtb", b"hello, world"));
    let error = load_with(&Boot { dtb, ..boot }, 64 * MIB).unwrap_err().to_string();
    assert!(error.contains("bad.dtb: not a device tree blob"), "{error}");
}

#[test]
fn bad_input_is_named() {
    let folder = Folder::new("bad");
    let message = |boot: &Boot| load_with(boot, 64 * MIB).unwrap_err().to_string();
    let program = |path: PathBuf| Boot { program: Some(path), ..Boot::default() };
    assert!(message(&program(folder.0.join("none.elf"))).contains("none.elf: No such file"));
    assert!(message(&program(folder.0.clone())).contains("nestwalk-load"));
    assert!(message(&program(folder.file("empty", b""))).contains("empty: not an ELF file"));
    assert!(message(&program(PathBuf::from("/dev/zero"))).contains("/dev/zero"));
    assert!(message(&Boot::default()).contains("nothing to run"));
    let append = Some("a\0b".to_owned());
    let kernel = Some(folder.file("Image", &image::tests::image(0x20_0000, 0, 0x1000)));
    let boot = Boot { bios: Bios::Builtin, kernel, append, ..Boot::default() };
    assert!(message(&boot).contains("command line"));
}

#[test]
fn a_linked_program_has_symbols_and_htif() {
    let folder = Folder::new("linked");
    let source = folder.file(
        "a.S",
        b".globl _start, tohost, fromhost\n_start: j _start\n.globl f\n.type f, @function\nf: ret\n.size f, 4\n\
          .data\n.balign 64\ntohost: .dword 0\nfromhost: .dword 0\n\
          .globl begin_signature\nbegin_signature: .word 1, 2, 3\n.globl end_signature\nend_signature:\n",
    );
    let elf = folder.0.join("a.elf");
    let linked = std::process::Command::new("riscv64-linux-gnu-gcc")
        .args(["-nostdlib", "-static", "-march=rv64i", "-mabi=lp64", "-Wl,-Ttext=0x80000000"])
        .args(["-Wl,-Tdata=0x80001000", "-Wl,--nmagic,--build-id=none", "-o"])
        .args([&elf, &source])
        .output();
    match linked {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => {
            println!("SKIPPED: riscv64-linux-gnu-gcc does not run: {error}");
            return;
        }
    }
    let loaded = load_with(&Boot { program: Some(elf), ..Boot::default() }, MIB).unwrap();
    let fromhost = Some(Pa(0x8000_1008));
    assert_eq!(loaded.htif, Some(HtifWords { tohost: Pa(0x8000_1000), fromhost }));
    let signature = SignatureArea { start: Pa(0x8000_1010), bytes: 12 };
    assert_eq!(loaded.signature, Some(signature));
    assert_eq!(loaded.symbols.at(0x8000_0006), Some(("f", 2)));
    assert!(loaded.notes.is_empty());
}

#[test]
fn debians_firmware_in_elf_form_goes_to_the_beginning_of_memory() {
    let path = PathBuf::from("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.elf");
    if !path.exists() {
        println!("SKIPPED: Debian's opensbi package is not installed");
        return;
    }
    let loaded = load_with(&Boot { bios: Bios::File(path), ..Boot::default() }, 64 * MIB).unwrap();
    assert!(matches!(loaded.start, Start::Machine { pc: Pa(0x8000_0000), .. }));
    assert_eq!(piece(&loaded, jump::COPY).range.start, Pa(0x8220_0000));
}
