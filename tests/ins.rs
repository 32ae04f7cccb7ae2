//! Every line of `tests/ins/*.ins`: the bits and the text stand for each other, and a hart that executes the
//! instruction changes what the line says and nothing else.

mod line;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use cpu::{Exit, Hart, HartConfig, Platform, Wires};
use isa::{Decoder, ExtSet, Mode, Op, Pa, csr};
use line::{Item, Line};
use mmu::{Bus, BusFault, PmaMap, Ram};

const BASE: u64 = 0x8000_0000;
const RAM_BYTES: usize = 0x1_0000;
/// Where the LR of a reservation lies: a page of its own.
const SCRATCH: u64 = BASE + 0xf000;
const MSTATUS_FS: u64 = 3 << 13;

#[test]
fn each_line_holds_on_a_hart() {
    let failures: Vec<String> = lines()
        .iter()
        .filter_map(|(place, line)| Some(format!("{place}: {}", run(line).err()?)))
        .collect();
    report(&failures);
}

#[test]
fn bits_and_text_stand_for_each_other() {
    let decoder = Decoder::new(&ExtSet::default_set());
    let mut failures = Vec::new();
    for (place, line) in lines() {
        let pc = line.before.iter().find_map(|item| match item {
            Item::Pc(pc) => Some(*pc),
            _ => None,
        });
        let text = match decoder.decode(line.bits) {
            Some(insn) => format!("{:#}", insn.display_at(pc.unwrap_or(BASE))),
            None => String::new(),
        };
        if text != line.text {
            failures.push(format!("{place}: '{}' reads '{text}'", line.text));
        }
    }
    report(&failures);
}

#[test]
fn each_instruction_has_lines() {
    let decoder = Decoder::new(&ExtSet::default_set());
    let tested: BTreeSet<Op> =
        lines().iter().filter_map(|(_, line)| Some(decoder.decode(line.bits)?.op)).collect();
    let missing: Vec<&str> = Op::all().filter(|op| !tested.contains(op)).map(Op::name).collect();
    assert!(missing.is_empty(), "no line tests {missing:?}");
    let names: BTreeSet<String> = lines()
        .iter()
        .filter_map(|(_, line)| line.text.split_whitespace().next().map(str::to_owned))
        .collect();
    let missing: Vec<&str> = isa::insn::COMPRESSED
        .iter()
        .map(|row| row.name)
        .filter(|name| !names.contains(&name.replace("{n}", "1")))
        .collect();
    assert!(missing.is_empty(), "no line tests {missing:?}");
}

/// Every line, with the file and the number of its line.
fn lines() -> Vec<(String, Line)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ins"));
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).expect("tests/ins") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "ins") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable file");
        for (index, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", index + 1);
            match Line::parse(line) {
                Ok(Some(line)) => lines.push((place, line)),
                Ok(None) => {}
                Err(error) => panic!("{place}: {error}"),
            }
        }
    }
    assert!(!lines.is_empty());
    lines
}

fn report(failures: &[String]) {
    let shown = &failures[..failures.len().min(20)];
    assert!(failures.is_empty(), "{} lines fail:\n{}", failures.len(), shown.join("\n"));
}

/// What a line speaks of.
#[derive(Clone, PartialEq, Debug)]
struct State {
    x: [u64; 32],
    f: [u64; 32],
    fcsr: u64,
    pc: u64,
    mode: Mode,
    memory: Vec<u8>,
}

fn state(hart: &Hart) -> State {
    let mut memory = vec![0; RAM_BYTES];
    hart.ram().read_bytes(Pa(BASE), &mut memory).expect("all of the RAM");
    State {
        x: std::array::from_fn(|n| hart.x(n)),
        f: std::array::from_fn(|n| hart.f(n)),
        fcsr: read(hart, csr::FCSR),
        pc: hart.pc(),
        mode: hart.mode(),
        memory,
    }
}

fn read(hart: &Hart, number: u16) -> u64 {
    hart.csr(number).expect("a CSR of this hart")
}

fn run(line: &Line) -> Result<(), String> {
    let mut hart = prepared(line)?;
    let mut expected = state(&hart);
    let (pc, had_flags) = (expected.pc, expected.fcsr);
    let exit = hart.run(&mut NoDevices, 1);
    let trap = line.after.iter().find_map(|item| match item {
        Item::Trap(exception, tval) => Some((*exception, *tval)),
        _ => None,
    });
    match (trap, exit) {
        (None, Exit::Budget) => expected.pc = pc + line.len(),
        (Some((exception, tval)), Exit::Firmware) => {
            let seen = (read(&hart, csr::MCAUSE), read(&hart, csr::MEPC), read(&hart, csr::MTVAL));
            if seen != (exception.code(), pc, tval.unwrap_or(seen.2)) {
                return Err(format!("trapped with mcause, mepc, mtval {seen:#x?}"));
            }
            expected.pc = hart.pc();
            expected.mode = Mode::M;
        }
        (_, exit) => {
            return Err(format!("ended by {exit:?}, mcause {:#x}", read(&hart, csr::MCAUSE)));
        }
    }
    for item in &line.after {
        match item {
            Item::X(n, value) => expected.x[*n] = *value,
            Item::F(n, value) => expected.f[*n] = *value,
            Item::Pc(pc) => expected.pc = *pc,
            Item::Mode(mode) => expected.mode = *mode,
            Item::Flags(flags) => expected.fcsr = had_flags | flags,
            Item::Csr(csr::FCSR, value) => expected.fcsr = *value,
            Item::Csr(number, value) => {
                let seen = read(&hart, *number);
                if seen != *value {
                    return Err(format!("CSR {number:#x} is {seen:#x}, not {value:#x}"));
                }
            }
            Item::Memory(address, bytes) => {
                let offset = (address - BASE) as usize;
                expected.memory[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Item::Trap(..) => {}
            Item::Fs(_) | Item::Reservation(..) => return Err("is no outcome".to_owned()),
        }
    }
    compare(&expected, &state(&hart))
}

/// A hart about to execute the line's instruction.
fn prepared(line: &Line) -> Result<Hart, String> {
    let ram = Arc::new(Ram::new(Pa(BASE), RAM_BYTES as u64).map_err(|error| error.to_string())?);
    let config = HartConfig::new(0, ExtSet::default_set());
    let mut hart = Hart::new(&config, Arc::clone(&ram), Arc::new(PmaMap::default()));
    hart.attach_firmware();
    let mut mode = Mode::M;
    let mut pc = BASE;
    let fs = line.before.iter().find_map(|item| match item {
        Item::Fs(fs) => Some(fs << 13),
        _ => None,
    });
    let mstatus = read(&hart, csr::MSTATUS) & !MSTATUS_FS;
    hart.set_csr(csr::MSTATUS, mstatus | fs.unwrap_or(MSTATUS_FS));
    let vsstatus = read(&hart, csr::VSSTATUS);
    hart.set_csr(csr::VSSTATUS, vsstatus | MSTATUS_FS);
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    for item in &line.before {
        match item {
            Item::X(n, value) => hart.set_x(*n, *value),
            Item::F(n, value) => hart.set_f(*n, *value),
            Item::Pc(value) => pc = *value,
            Item::Mode(value) => mode = *value,
            Item::Csr(number, value) => {
                hart.set_csr(*number, *value).ok_or("a CSR that this hart lacks")?;
            }
            Item::Fs(_) => {}
            Item::Memory(address, bytes) => {
                ram.write_bytes(Pa(*address), bytes).map_err(|error| error.to_string())?;
            }
            Item::Reservation(address, bytes) => reserve(&mut hart, *address, *bytes),
            Item::Flags(_) | Item::Trap(..) => return Err("is no input".to_owned()),
        }
    }
    let bits = line.bits.to_le_bytes();
    let bytes = &bits[..line.len() as usize];
    ram.write_bytes(Pa(pc), bytes).map_err(|error| error.to_string())?;
    hart.set_pc(pc);
    hart.set_mode(mode);
    Ok(hart)
}

/// Executes an LR.
fn reserve(hart: &mut Hart, address: u64, bytes: u64) {
    let lr = if bytes == 4 { "lr.w zero, (t0)" } else { "lr.d zero, (t0)" };
    let lr = isa::asm::assemble(lr).expect("an instruction");
    let t0 = hart.x(5);
    hart.ram().write(Pa(SCRATCH), lr).expect("RAM");
    hart.set_x(5, address);
    hart.set_pc(SCRATCH);
    hart.run(&mut NoDevices, 1);
    hart.set_x(5, t0);
    hart.ram().write(Pa(SCRATCH), 0u32).expect("RAM");
}

fn compare(expected: &State, seen: &State) -> Result<(), String> {
    if expected == seen {
        return Ok(());
    }
    let mut differences = Vec::new();
    for n in 0..32 {
        for (letter, a, b) in [('x', &expected.x, &seen.x), ('f', &expected.f, &seen.f)] {
            if a[n] != b[n] {
                differences.push(format!("{letter}{n} is {:#x}, not {:#x}", b[n], a[n]));
            }
        }
    }
    if expected.fcsr != seen.fcsr {
        differences.push(format!("fcsr is {:#x}, not {:#x}", seen.fcsr, expected.fcsr));
    }
    if expected.pc != seen.pc {
        differences.push(format!("pc is {:#x}, not {:#x}", seen.pc, expected.pc));
    }
    if expected.mode != seen.mode {
        differences.push(format!("the mode is {}, not {}", seen.mode, expected.mode));
    }
    let first = expected.memory.iter().zip(&seen.memory).position(|(a, b)| a != b);
    if let Some(at) = first {
        let (a, b) = (expected.memory[at], seen.memory[at]);
        differences.push(format!("[{:#x}] is {b:#x}, not {a:#x}", BASE + at as u64));
    }
    Err(differences.join(", "))
}

/// A machine of nothing but RAM.
struct NoDevices;

impl Bus for NoDevices {
    fn read(&mut self, _: Pa, _: u8) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: Pa, _: u8, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

impl Platform for NoDevices {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        Wires { lines: 0, guest_lines: 0, mtime_start: 0, deadline: u64::MAX, stop: false }
    }

    fn advance(&mut self, _: u64) {}
}
