//! A machine at a program in assembly, and a scripted debugger.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use debug::{Door, End, Line, LineClosed, Options};
use isa::ExtSet;
use isa::asm::Program;
use machine::config::{Bios, Boot};
use machine::{Follow, Input, Limits, Machine, Setup};

/// Where programs start, in M-mode.
pub(crate) const BASE: u64 = 0x8000_0000;

/// The address of the instruction number `index` of 4 bytes.
pub(crate) const fn at(index: u64) -> u64 {
    BASE + 4 * index
}

/// Ends the run through the test finisher, with success.
pub(crate) const EXIT: &str =
    "\nexit: li t0, 0x100000\nli t1, 0x5555\nsw t1, 0(t0)\nstay: j stay\n";

/// A file that vanishes.
struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The guest's console.
struct Nowhere;

impl devices::Sink for Nowhere {
    fn put(&mut self, _: &[u8]) {}
}

/// A machine at `source`.
pub(crate) fn machine(source: &str, harts: usize) -> Machine {
    machine_of(source, harts, None)
}

/// The same with the cycles of a core.
pub(crate) fn machine_of(source: &str, harts: usize, core: Option<&str>) -> Machine {
    let core = core.map(|name| (timing::Core::preset(name).expect("a preset"), None));
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let program = Program::assemble(BASE, source).expect("the program assembles");
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("nestwalk-debug-{}-{number}", std::process::id());
    let file = TempFile(std::env::temp_dir().join(name));
    std::fs::write(&file.0, &program.bytes).expect("the temporary folder can be written");
    let setup = Setup {
        harts,
        ram_bytes: 64 << 20,
        exts: ExtSet::default_set(),
        clock: timing::Clock::default(),
        follow: Follow::Cycles,
        shape: mmu::Shape::default(),
        pmp_entries: 16,
        geilen: 0,
        asid_bits: 16,
        vmid_bits: 14,
        misaligned: cpu::Misaligned::Handle,
        seed: 0,
        power_on_ns: 0,
        core,
        test_device: false,
        boot: Boot { bios: Bios::File(file.0.clone()), ..Boot::default() },
        reboots: false,
        guests: None,
        extras: Vec::new(),
    };
    Machine::new(setup, &|| Box::new(Nowhere)).expect("the machine can be made")
}

/// What the scripted debugger does next.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Sends a packet and waits for its reply.
    Packet(Vec<u8>),
    /// Sends bytes as they are, and waits for nothing.
    Raw(Vec<u8>),
}

/// A packet around a body.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
    [b"$", body, format!("#{sum:02x}").as_bytes()].concat()
}

/// What the stub has sent, and what the debugger is going to send.
#[derive(Default)]
struct Script {
    says: VecDeque<Say>,
    /// Bodies of packets that have arrived, by the packet that they answer.
    replies: Vec<Vec<String>>,
    /// A packet was sent whose reply is due.
    waits: bool,
}

impl Script {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(start) = bytes.iter().position(|&byte| byte == b'$') {
            let body = &bytes[start + 1..];
            let end = body.iter().position(|&byte| byte == b'#').expect("a packet has an end");
            let text = String::from_utf8_lossy(&body[..end]).into_owned();
            assert_eq!(&frame(&body[..end])[end + 1..], &body[end..end + 3], "checksum");
            // Text on the console comes before the reply.
            let is_reply = !(text.starts_with('O') && text != "OK");
            self.waits &= !is_reply;
            if let Some(last) = self.replies.last_mut() {
                last.push(text);
            }
            bytes = &body[end + 3..];
        }
    }
}

struct ScriptLine(Rc<RefCell<Script>>);

impl Line for ScriptLine {
    fn receive(&mut self, _: Duration) -> Result<Vec<u8>, LineClosed> {
        let mut script = self.0.borrow_mut();
        if script.waits {
            return Ok(Vec::new());
        }
        match script.says.pop_front().ok_or(LineClosed)? {
            Say::Packet(body) => {
                script.replies.push(Vec::new());
                script.waits = true;
                Ok(frame(&body))
            }
            Say::Raw(bytes) => Ok(bytes),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().take(bytes);
        Ok(())
    }
}

/// Lets each of its scripts in once, then asks for the end of the run.
struct ScriptDoor<'s> {
    lines: VecDeque<Rc<RefCell<Script>>>,
    bell: AtomicBool,
    stop: &'s AtomicBool,
}

impl Door for ScriptDoor<'_> {
    fn answer(&mut self, _: Duration) -> Option<Box<dyn Line>> {
        match self.lines.pop_front() {
            Some(script) => Some(Box::new(ScriptLine(script))),
            None => {
                self.stop.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    fn bell(&self) -> &AtomicBool {
        &self.bell
    }
}

struct Silence;

impl Input for Silence {
    fn next(&mut self) -> Option<u8> {
        None
    }

    fn wait(&mut self, _: Option<Duration>) -> bool {
        false
    }
}

/// How it went: the replies to each packet, and the end of the run.
pub(crate) struct Went {
    pub(crate) replies: Vec<Vec<String>>,
    pub(crate) end: End,
}

impl Went {
    /// The reply to packet number `index`.
    pub(crate) fn reply(&self, index: usize) -> &str {
        self.replies[index].last().map_or("", String::as_str)
    }

    /// What was printed on the debugger's console for packet number `index`.
    pub(crate) fn text(&self, index: usize) -> String {
        let lines = self.replies[index].iter().filter(|reply| reply.as_str() != "OK");
        lines.filter_map(|reply| reply.strip_prefix('O')).map(unhex).collect()
    }
}

/// A text from its hexadecimal form.
pub(crate) fn unhex(digits: &str) -> String {
    let bytes: Vec<u8> = (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("hexadecimal"))
        .collect();
    String::from_utf8(bytes).expect("text")
}

/// The packet of a monitor command.
pub(crate) fn monitor(command: &str) -> String {
    let digits: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("qRcmd,{digits}")
}

/// Lets a debugger with this script at a machine that waits for it; then another with no script.
pub(crate) fn converse(machine: &mut Machine, says: Vec<Say>) -> Went {
    let script = Rc::new(RefCell::new(Script { says: says.into(), ..Script::default() }));
    let stop = AtomicBool::new(false);
    let mut door = ScriptDoor {
        lines: [Rc::clone(&script)].into(),
        bell: AtomicBool::new(false),
        stop: &stop,
    };
    let limits = Limits { insns: 1_000_000, stop: &stop };
    let options = Options { wait: true };
    let end = debug::run(machine, &limits, &mut Silence, &mut door, options).expect("no reload");
    let replies = std::mem::take(&mut script.borrow_mut().replies);
    Went { replies, end }
}

/// Sends packets one after the other to a machine at `source`.
pub(crate) fn talk(source: &str, packets: &[&str]) -> Went {
    let says = packets.iter().map(|text| Say::Packet(text.as_bytes().to_vec())).collect();
    converse(&mut machine(source, 1), says)
}
