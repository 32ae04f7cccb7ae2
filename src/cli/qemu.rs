//! The words of QEMU's command line for its `virt` board.
//!
//! What QEMU says in three words (a drive, a device that uses it, and which bus) is one of ours, so
//! drives, network backends and devices wait in [`Parts`] until the command line is complete.

use super::dialect::{Becomes::*, Translation, Word};
use super::keys::{KeyList, switch};
use super::nearest::did_you_mean;
use super::values::ValueError;

/// Every word of QEMU's that is known here.
pub(crate) const WORDS: &[Word] = &[
    Word { word: "-M", value: "virt[,dumpdtb=FILE]", becomes: Built(machine) },
    Word { word: "-machine", value: "virt[,dumpdtb=FILE]", becomes: Built(machine) },
    Word { word: "-cpu", value: "rv64[,EXT=on|off]", becomes: Built(cpu) },
    Word { word: "-smp", value: "N", becomes: Built(smp) },
    Word { word: "-m", value: "SIZE", becomes: Built(memory) },
    Word { word: "-bios", value: "default|none|FILE", becomes: Built(bios) },
    Word { word: "-kernel", value: "FILE", becomes: Ours("--kernel") },
    Word { word: "-initrd", value: "FILE", becomes: Ours("--initrd") },
    Word { word: "-append", value: "TEXT", becomes: Ours("--append") },
    Word { word: "-dtb", value: "FILE", becomes: Ours("--dtb") },
    Word {
        word: "-drive",
        value: "file=FILE,if=none|virtio,id=ID[,format=raw][,readonly=on][,snapshot=on]",
        becomes: Built(drive),
    },
    Word {
        word: "-device",
        value: "virtio-blk-device,drive=ID | virtio-net-device,netdev=ID | virtio-rng-device",
        becomes: Built(device),
    },
    Word { word: "-netdev", value: "null,id=ID", becomes: Built(netdev) },
    Word { word: "-snapshot", value: "", becomes: Ours("--overlay") },
    Word { word: "-serial", value: "stdio|mon:stdio|null|none|file:FILE", becomes: Built(serial) },
    Word { word: "-display", value: "none", becomes: Built(display) },
    Word { word: "-monitor", value: "none", becomes: Built(monitor) },
    Word { word: "-nographic", value: "", becomes: SoAnyway },
    Word { word: "-no-reboot", value: "", becomes: Ours("--no-reboot") },
    Word {
        word: "-s",
        value: "",
        becomes: Built(|to, _| {
            to.put("--gdb", "1234");
            Ok(())
        }),
    },
    Word { word: "-S", value: "", becomes: Ours("--gdb-wait") },
    Word { word: "-gdb", value: "tcp:[ADDR]:PORT", becomes: Built(gdb) },
    Word {
        word: "-icount",
        value: "",
        becomes: Refused("virtual time always follows cycles; write --cpu-hz HZ"),
    },
    Word { word: "-rtc", value: "base=utc", becomes: Built(rtc) },
    Word { word: "-accel", value: "NAME", becomes: Refused("there is one engine; leave it out") },
    Word { word: "-enable-kvm", value: "", becomes: Refused("there is one engine; leave it out") },
    Word { word: "-D", value: "FILE", becomes: Refused("diagnostics go to standard error") },
    Word {
        word: "-object",
        value: "",
        becomes: Refused("random numbers come from --seed, and --net dump:FILE keeps frames"),
    },
    Word {
        word: "-blockdev",
        value: "",
        becomes: Refused("write -drive, or --disk FILE[,ro|,overlay]"),
    },
    Word { word: "-hda", value: "FILE", becomes: Refused("write --disk FILE[,ro|,overlay]") },
    Word { word: "-nic", value: "", becomes: Refused("write --net null or --net dump:FILE") },
    Word { word: "-net", value: "", becomes: Refused("write --net null or --net dump:FILE") },
    Word {
        word: "-chardev",
        value: "",
        becomes: Refused("write --console stdio, null or file:FILE"),
    },
    Word {
        word: "-nodefaults",
        value: "",
        becomes: Refused(
            "no device is there unless asked for, but the UART; --console null silences it",
        ),
    },
    Word { word: "-loadvm", value: "", becomes: Refused("snapshots are not built yet") },
    Word {
        word: "-daemonize",
        value: "",
        becomes: Refused("let the shell put it in the background"),
    },
    Word { word: "-semihosting", value: "", becomes: Refused("semihosting is not built yet") },
    Word { word: "-vnc", value: "", becomes: Refused("there is no display") },
];

/// What waits until every word is known.
#[derive(Default)]
pub(crate) struct Parts {
    drives: Vec<Drive>,
    netdevs: Vec<Netdev>,
    devices: Vec<Device>,
    serials: usize,
}

struct Drive {
    id: Option<String>,
    /// Our `FILE[,ro|,overlay]` in two parts.
    file: String,
    readonly: bool,
    snapshot: bool,
    used: bool,
}

struct Netdev {
    id: String,
    used: bool,
}

enum Device {
    /// Index into the drives.
    DriveOf(usize),
    Blk(String),
    Net(String),
}

fn refuse<T>(text: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(text.into()))
}

fn machine(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-machine", text, "type")?;
    match keys.take("type").as_deref() {
        None | Some("virt") => {}
        Some(other) => return refuse(format!("-machine {other}: the only board is virt")),
    }
    keys.take_only("aclint", "on")?;
    keys.take_only("aia", "none")?;
    let dump = keys.take("dumpdtb");
    keys.finish()?;
    if let Some(file) = dump {
        to.put("--dump-dtb", file);
    }
    Ok(())
}

fn cpu(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let (model, switches) = text.split_once(',').unwrap_or((text, ""));
    if model != "rv64" && model != "max" {
        return refuse(format!("-cpu {model}: the only model is rv64; --isa takes any ISA string"));
    }
    let mut isa = String::from("rv64");
    for item in switches.split(',').filter(|item| !item.is_empty()) {
        match item.split_once('=') {
            Some(("pmp", value)) if switch(value).is_some() => {
                to.put("--pmp-entries", if switch(value) == Some(true) { "16" } else { "0" });
            }
            _ => isa.extend([",", item]),
        }
    }
    to.put("--isa", isa);
    Ok(())
}

fn smp(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-smp", text, "cpus")?;
    let harts = keys.require("cpus")?;
    keys.take_only("maxcpus", &harts)?;
    keys.take_only("cores", &harts)?;
    keys.take_only("sockets", "1")?;
    keys.take_only("threads", "1")?;
    keys.finish()?;
    to.put("--harts", harts);
    Ok(())
}

fn memory(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-m", text, "size")?;
    let mut size = keys.require("size")?;
    keys.finish()?;
    if size.bytes().all(|b| b.is_ascii_digit()) {
        size.push('M');
    }
    to.put("--memory", size);
    Ok(())
}

fn bios(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    match text {
        "default" => to.put("--bios", "builtin"),
        "builtin" => to.put("--bios", "./builtin"),
        file => to.put("--bios", file),
    }
    Ok(())
}

fn drive(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-drive", text, "file")?;
    let file = keys.require("file")?;
    let interface = keys.take("if");
    let id = keys.take("id");
    keys.take_only("format", "raw")?;
    keys.take_only("media", "disk")?;
    let readonly = keys.take_switch("readonly")?;
    let snapshot = keys.take_switch("snapshot")?;
    keys.finish()?;
    let drives = &mut to.parts.drives;
    if id.is_some() && drives.iter().any(|drive| drive.id == id) {
        return refuse("-drive: two drives have the same id");
    }
    match interface.as_deref() {
        Some("none") if id.is_none() => return refuse("-drive: if=none needs an id="),
        Some("none") => {}
        Some("virtio") => to.parts.devices.push(Device::DriveOf(drives.len())),
        Some(other) => {
            return refuse(format!("-drive: if={other} is not built, only none and virtio"));
        }
        None => {
            return refuse("-drive: write if=virtio, or if=none with a -device virtio-blk-device");
        }
    }
    let used = interface.as_deref() == Some("virtio");
    drives.push(Drive { id, file, readonly, snapshot, used });
    Ok(())
}

/// The devices that `-device` can name.
const DEVICES: &[&str] = &["virtio-blk-device", "virtio-net-device", "virtio-rng-device"];

fn device(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-device", text, "driver")?;
    let driver = keys.require("driver")?;
    // A name for the monitor; it changes nothing that a guest sees.
    keys.take("id");
    let device = match driver.as_str() {
        "virtio-blk-device" => Device::Blk(keys.require("drive")?),
        "virtio-net-device" => Device::Net(keys.require("netdev")?),
        // Every board has one.
        "virtio-rng-device" => return keys.finish(),
        other if other.ends_with("-pci") => {
            return refuse(format!(
                "-device {other}: the board has no PCI{}",
                did_you_mean(&other.replace("-pci", "-device"), DEVICES)
            ));
        }
        other => {
            return refuse(format!(
                "-device: unknown device '{other}'{}",
                did_you_mean(other, DEVICES)
            ));
        }
    };
    keys.finish()?;
    to.parts.devices.push(device);
    Ok(())
}

fn netdev(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-netdev", text, "type")?;
    let kind = keys.require("type")?;
    if kind != "null" {
        return refuse(format!(
            "-netdev {kind} is not built yet, only null; --net dump:FILE keeps frames"
        ));
    }
    let id = keys.require("id")?;
    keys.finish()?;
    to.parts.netdevs.push(Netdev { id, used: false });
    Ok(())
}

fn serial(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    to.parts.serials += 1;
    if to.parts.serials > 1 {
        return refuse("-serial: the board has one UART");
    }
    match text {
        "stdio" | "mon:stdio" => to.put("--console", "stdio"),
        "null" | "none" => to.put("--console", "null"),
        file if file.starts_with("file:") => to.put("--console", file),
        other => {
            return refuse(format!("-serial {other} is not built yet: stdio, null or file:FILE"));
        }
    }
    Ok(())
}

fn gdb(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let Some(listen) = text.strip_prefix("tcp:") else {
        return refuse(format!(
            "-gdb {text} is not built: only tcp:[ADDR]:PORT, such as tcp::1234"
        ));
    };
    // QEMU lets its defaults be said.
    let listen = listen.trim_end_matches(",nowait").trim_end_matches(",server=on,wait=off");
    to.put("--gdb", listen);
    Ok(())
}

fn rtc(to: &mut Translation, text: &str) -> Result<(), ValueError> {
    let mut keys = KeyList::parse("-rtc", text, "base")?;
    if keys.require("base")? != "utc" {
        return refuse("-rtc: only base=utc is built; --rtc takes seconds since 1970");
    }
    keys.finish()?;
    to.put("--rtc", "now");
    Ok(())
}

fn display(_: &mut Translation, text: &str) -> Result<(), ValueError> {
    if text == "none" { Ok(()) } else { refuse(format!("-display {text}: there is no display")) }
}

fn monitor(_: &mut Translation, text: &str) -> Result<(), ValueError> {
    match text {
        "none" | "null" => Ok(()),
        other => refuse(format!("-monitor {other}: the monitor is not built yet")),
    }
}

/// Ties devices to drives and network backends, in the order of the devices.
pub(crate) fn finish(to: &mut Translation) -> Result<(), ValueError> {
    let mut parts = std::mem::take(&mut to.parts);
    for device in std::mem::take(&mut parts.devices) {
        match device {
            Device::Net(id) => {
                let Some(found) = parts.netdevs.iter_mut().find(|netdev| netdev.id == id) else {
                    return refuse(format!("-device: there is no -netdev with id={id}"));
                };
                found.used = true;
                to.put("--net", "null");
            }
            Device::Blk(id) => {
                let found = parts.drives.iter().position(|drive| drive.id.as_ref() == Some(&id));
                let Some(at) = found else {
                    return refuse(format!("-device: there is no -drive with id={id}"));
                };
                if std::mem::replace(&mut parts.drives[at].used, true) {
                    return refuse(format!("-device: the drive {id} is used twice"));
                }
                put_disk(to, &parts.drives[at]);
            }
            Device::DriveOf(at) => put_disk(to, &parts.drives[at]),
        }
    }
    if let Some(id) = parts.drives.iter().filter(|drive| !drive.used).find_map(|d| d.id.as_ref()) {
        return refuse(format!(
            "-drive: nothing uses {id}; add -device virtio-blk-device,drive={id}"
        ));
    }
    if let Some(Netdev { id, .. }) = parts.netdevs.iter().find(|netdev| !netdev.used) {
        return refuse(format!(
            "-netdev: nothing uses {id}; add -device virtio-net-device,netdev={id}"
        ));
    }
    Ok(())
}

fn put_disk(to: &mut Translation, drive: &Drive) {
    let Drive { file, readonly, snapshot, .. } = drive;
    let suffix = match (readonly, snapshot) {
        (true, _) => ",ro",
        (false, true) => ",overlay",
        (false, false) => ",rw",
    };
    to.put("--disk", format!("{file}{suffix}"));
}
