//! A debugger at a guest-page fault of a guest: `gdb-multiarch` stops the machine where a guest of KVM makes a load that
//! the G-stage does not map, has both stages explained, steps into the kernel's handler and on, instruction by
//! instruction, to the load that is made again.
//!
//! What must be seen follows from the guest (`riscv-tests/kvm/fault.c`), from the manual, from what the kernel says of
//! itself, and from walks that the debugger makes with its own arithmetic over physical memory. Nothing of it depends on
//! where the kernel puts its code and tables.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSymbol};

use crate::inputs::Inputs;
use crate::scratch::Scratch;
use crate::tools;

use super::report::Report;
use super::session::{Ended, Machine, SAY, Session};
use super::{Kit, Shape};

/// The debugger.
const GDB: &str = "gdb-multiarch";

// The guest: where its load is, what it loads, and from where: as it knows the address, and where the VS-stage leads.
const LOAD: u64 = 0x8000_000c;
const VALUE: u64 = 0x6e65_7374_7761_6c6b;
const GVA: u64 = 0x1_4060_3010;
const GPA: u64 = 0xc000_5010;

/// The function of kvm.ko that goes to a guest, in which its traps arrive [linux, arch/riscv/kvm/vcpu_switch.S].
const SWITCH: &str = "__kvm_riscv_switch_to";

/// What the machine tells about its kernel, after [`SAY`].
const TEXT: &str = "text of kvm.ko: ";
const MODE: &str = "highest G-stage page table mode is ";

/// What runs in the machine.
const SCRIPT: &str = "
set -e
say \"text of kvm.ko: $(cat /sys/module/kvm/sections/.text)\"
say \"$(dmesg | grep -o 'highest G-stage page table mode is .*')\"
say 'starting a guest that makes a load that faults'
vmm fault
";

/// What the debugger is told. `walk` prints the PTEs on the way to a guest physical address through Sv57x4, read from
/// physical memory: value, place, and that of its table [priv, "Two-Stage Address Translation"].
const COMMANDS: &str = r#"
set pagination off
set confirm off
set width 0
define walk
  monitor memory physical
  set $table = ($hgatp & 0xfffffffffff) << 12
  set $level = 4
  while $level >= 0
    set $index = (<gpa> >> (12 + 9 * $level)) & ($level == 4 ? 0x7ff : 0x1ff)
    set $pte = *(unsigned long *)($table + 8 * $index)
    printf "pte %ld %#lx %#lx\n", $level, $table + 8 * $index, $pte
    set $table = ($pte >> 10 & 0xfffffffffff) << 12
    set $level = $level - 1
  end
end

target remote <address>
echo == caught\n
monitor catch guest-page-fault <page>
continue
echo == before\n
printf "%#lx %ld %ld %#lx %#lx\n", $pc, $priv, $virt, $a0, $stvec
echo == ptw\n
monitor ptw <gva>
echo == walk\n
walk
monitor memory virtual
echo == handler\n
stepi
printf "%#lx %ld %ld\n", $pc, $priv, $virt
printf "%ld %#lx %#lx %#lx %#lx\n", $scause, $sepc, $stval, $htval, $htinst
printf "%ld %ld\n", $hstatus >> 6 & 7, $sstatus >> 8 & 1
echo == steps\n
set $n = 0
while $n < 4
  printf "%#lx %#x\n", $pc, *(unsigned short *)$pc
  stepi
  set $n = $n + 1
end
printf "%#lx 0\n", $pc
echo == again\n
break *<load> if $virt == 1
stepi 1000000
printf "%#lx %ld %ld %#lx\n", $pc, $priv, $virt, $a0
echo == ptw-again\n
monitor ptw <gva>
echo == walk-again\n
walk
printf "value %#lx\n", *(unsigned long *)($table + (<gpa> & 0xfff))
monitor memory virtual
echo == retired\n
stepi
printf "%#lx %ld %ld %#lx\n", $pc, $priv, $virt, $a0
echo == end\n
delete
continue
"#;

/// The session, checked.
pub fn run(kit: &Kit<'_>, shape: Shape, report: &mut Report) {
    let name = format!("debugger at a guest's fault, {}", shape.machine());
    let machine = [Machine::Nestwalk(kit.nestwalk.to_owned())];
    report.play(&name, &machine, |machine| {
        tools::need(&[GDB])?;
        let files = [kit.vmm.clone()];
        let mut extra = kit.extra.clone();
        extra.extend(["--gdb", "0", "--gdb-wait"].map(str::to_owned));
        let session = Session { extra: &extra, ..kit.session(shape, &files, SCRIPT) };
        let (ended, transcript) = play(&session, machine)?;
        if kit.verbose {
            eprint!("{transcript}");
        }
        let told = |what: &str| {
            let prefix = format!("{SAY}{what}");
            let found = ended.after(&prefix).next().map(str::to_owned);
            found.with_context(|| format!("the machine does not say: {what}"))
        };
        let handler = Function::of_kvm(kit.inputs, SWITCH, hexadecimal(&told(TEXT)?)?)?;
        if let Err(error) = check(&transcript, &handler, &told(MODE)?) {
            bail!("{error:#}; the debugger's session:\n{transcript}");
        }
        Ok(ended)
    });
}

/// Plays a session with a debugger, and gives what that printed.
fn play(session: &Session<'_>, machine: &Machine) -> Result<(Ended, String)> {
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let debugger = scope.spawn(move || {
            let address: String = told.recv().context("nestwalk did not say where it listens")?;
            debug(&address)
        });
        let ended = session.run_heard(machine, move |line| {
            if let Some((_, address)) = line.split_once("target remote ") {
                // The debugger may have given up.
                let _ = tell.send(address.trim_end_matches('\'').to_owned());
            }
        });
        let transcript = debugger.join().map_err(|_| anyhow::anyhow!("a thread failed"))?;
        Ok((ended?, transcript?))
    })
}

/// Runs the debugger at a machine that listens at `address`.
fn debug(address: &str) -> Result<String> {
    let page = GPA & !0xfff;
    let values = [
        ("<address>", address.to_owned()),
        ("<page>", format!("{page:#x}-{:#x}", page | 0xfff)),
        ("<gva>", format!("{GVA:#x}")),
        ("<gpa>", format!("{GPA:#x}")),
        ("<load>", format!("{LOAD:#x}")),
    ];
    let fill = |text: String, (name, value): &(&str, String)| text.replace(name, value);
    let script = Scratch::new("debugger.gdb")?;
    fs::write(script.path(), values.iter().fold(COMMANDS.to_owned(), fill))
        .with_context(|| format!("cannot write {}", script.path().display()))?;
    // What the machine says goes to standard error: both in one pipe, so that their order shows.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" -q -nx -batch -x \"$1\" 2>&1", GDB]).arg(script.path());
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {GDB}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A function of the kernel, where it is in the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    start: u64,
    end: u64,
}

impl Function {
    /// A function of kvm.ko, whose text was loaded at `text`.
    fn of_kvm(inputs: &Inputs, name: &str, text: u64) -> Result<Function> {
        let modules = inputs.modules()?.context("there are no modules of the kernel")?;
        Function::read(&modules.directory.join("kvm.ko"), name, text)
    }

    fn read(module: &Path, name: &str, text: u64) -> Result<Function> {
        let bytes =
            fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        let file = object::File::parse(bytes.as_slice())?;
        let symbol = file.symbol_by_name(name).with_context(|| format!("there is no {name}"))?;
        let start = text.checked_add(symbol.address()).context("the text is too high")?;
        Ok(Function { start, end: start.saturating_add(symbol.size()) })
    }

    fn contains(&self, pc: u64) -> bool {
        (self.start..self.end).contains(&pc)
    }
}

/// Compares what the debugger printed with what must be seen. `mode` is the kernel's word for the G-stage.
fn check(transcript: &str, handler: &Function, mode: &str) -> Result<()> {
    ensure!(mode == "Sv57x4", "the kernel chose {mode}, the session knows Sv57x4");
    let part = |name: &str| {
        let (_, rest) = transcript.split_once(&format!("== {name}\n"))?;
        rest.split("\n== ").next()
    };
    let part = |name: &str| part(name).with_context(|| format!("it did not come to '{name}'"));
    let expect = |name: &str, patterns: &[String]| -> Result<()> {
        let mut lines = part(name)?.lines();
        for pattern in patterns {
            let found = lines.any(|line| matches(pattern, line));
            ensure!(found, "{name}: there is no line (any more): {pattern}");
        }
        Ok(())
    };

    // htval is the address without its two lowest bits. htinst is `ld a0, 16(a1)` without its immediate and with 0 for
    // rs1: the offset of the address that faulted from the one that was accessed.
    let (htval, htinst) = (GPA >> 2, 0x3503);
    let why = format!(
        "guest-page fault at gpa:{GPA:#x}: V is clear (G-stage level 0 PTE at pa:0x*028 = 0x0)"
    );
    let report = format!(
        "load guest-page fault (cause 21) to HS-mode: stval {GVA:#x}, htval {htval:#x} (gpa:{GPA:#x} >> 2), htinst"
    );
    expect("caught", &[format!("Hart * in VS-mode at pc {LOAD:#x}: {report} {htinst:#x}; {why}")])?;

    // Nothing has happened yet: the load has not been made, and the guest is in VS-mode.
    let slot = GPA & !0x1f_ffff;
    expect("before", &[format!("{LOAD:#x} 1 1 {slot:#x} *")])?;
    let before = part("before")?.lines().last().unwrap_or_default();
    let stvec = hexadecimal(before.rsplit(' ').next().unwrap_or_default())?;

    // The tables are those of the guest, and end where its G-stage does.
    let g_stage = pointers(&part("walk")?.lines().collect::<Vec<_>>())?;
    let mut walked = vs_stage();
    walked.push("G-stage".to_owned());
    walked.extend(g_stage.iter().map(Pte::line));
    walked.push("    refused: V is clear".to_owned());
    walked.push(format!("refused: {why}"));
    walked.push(format!("raises {report} *"));
    expect("ptw", &walked)?;
    let missing = g_stage.last().context("no PTE")?;
    ensure!(missing.value == 0 && missing.level == 0, "the page is mapped before the fault");
    ensure!(g_stage.iter().filter(|pte| pte.is_pointer()).count() == 4, "tables are missing");

    // One step enters the kernel at stvec, with all that the manual says a handler is told.
    ensure!(handler.contains(stvec & !3), "stvec {stvec:#x} is not in {SWITCH}: {handler:#x?}");
    expect(
        "handler",
        &[
            format!("{:#x} 1 0", stvec & !3),
            format!("21 {LOAD:#x} {GVA:#x} {htval:#x} {htinst:#x}"),
            // GVA, SPV and SPVP of hstatus; SPP of sstatus.
            "7 1".to_owned(),
        ],
    )?;
    check_steps(part("steps")?, stvec & !3, handler)?;

    // The kernel has mapped the page, and the guest is before its load again.
    expect("again", &[format!("{LOAD:#x} 1 1 {slot:#x}")])?;
    let g_stage = pointers(&part("walk-again")?.lines().collect::<Vec<_>>())?;
    let leaf = g_stage.last().context("no PTE")?;
    // V, R, U and A at least.
    ensure!(leaf.value & 0x53 == 0x53, "the page is not mapped: {:#x}", leaf.value);
    expect("walk-again", &[format!("value {VALUE:#x}")])?;
    let pa = leaf.to() | GPA & 0xfff;
    let mut walked = vs_stage();
    walked.push("G-stage".to_owned());
    walked.extend(g_stage.iter().map(Pte::line));
    walked.push(format!("va:{GVA:#x} -> gpa:{GPA:#x} -> pa:{pa:#x}, RAM"));
    expect("ptw-again", &walked)?;

    // Now the load is made.
    expect("retired", &[format!("{:#x} 1 1 {VALUE:#x}", LOAD + 4)])?;
    expect("end", &["*exited normally]".to_owned()])
}

/// The VS-stage in the words of `monitor ptw`: the PTEs as `fault.c` makes them.
fn vs_stage() -> Vec<String> {
    let tables = [0x8001_0000u64, 0x8001_1000, 0x8001_2000, GPA & !0xfff];
    let mut lines = vec![
        format!("load at va:{GVA:#x} in VS-mode"),
        format!(
            "vsatp {:#x}: Sv39, ASID 0, tables from gpa:{:#x}",
            8 << 60 | tables[0] >> 12,
            tables[0]
        ),
        "hgatp 0xa*: Sv57x4, VMID *, tables from pa:*".to_owned(),
        "VS-stage".to_owned(),
    ];
    for (level, pair) in (0..3).rev().zip(tables.windows(2)) {
        let at = pair[0] + 8 * (GVA >> (12 + 9 * level) & 0x1ff);
        let flags = if level == 0 { 0xc7 } else { 0x01 };
        lines.push(format!("  level {level}: PTE at gpa:{at:#x}, which the G-stage translates:"));
        lines.push(format!(
            "  read at pa:0x*{:03x} = {:#x}: *V, PPN {:#x}",
            at & 0xfff,
            pair[1] >> 2 | flags,
            pair[1] >> 12
        ));
    }
    lines.push(format!("    -> gpa:{GPA:#x}"));
    lines
}

/// A PTE that the debugger has read on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pte {
    level: u64,
    at: u64,
    value: u64,
}

impl Pte {
    /// In the words of `monitor ptw`, up to the flags.
    fn line(&self) -> String {
        let rest = if self.value == 0 { "" } else { ": *" };
        format!("  level {}: PTE at pa:{:#x} = {:#x}{rest}", self.level, self.at, self.value)
    }

    /// V, and neither R, W nor X.
    fn is_pointer(&self) -> bool {
        self.value & 0xf == 1
    }

    /// Where it leads.
    fn to(&self) -> u64 {
        (self.value >> 10 & 0xfff_ffff_ffff) << 12
    }
}

/// The lines of `walk`.
fn pointers(lines: &[&str]) -> Result<Vec<Pte>> {
    let rows = lines.iter().filter_map(|line| line.strip_prefix("pte "));
    let parse = |row: &str| -> Option<Pte> {
        let mut words = row.split(' ');
        let level = words.next()?.parse().ok()?;
        let mut number = || hexadecimal(words.next()?).ok();
        Some(Pte { level, at: number()?, value: number()? })
    };
    rows.map(|row| parse(row).with_context(|| format!("not a PTE: {row}"))).collect()
}

/// Each line is an address and the first parcel there. A step goes to the next instruction: the handler begins with some
/// that do not jump, which save the guest's registers.
fn check_steps(text: &str, start: u64, handler: &Function) -> Result<()> {
    let mut expected = start;
    // Between them the debugger tells of each step by itself.
    for line in text.lines().filter(|line| !line.contains(" in ")) {
        let (pc, parcel) = line.split_once(' ').with_context(|| format!("no step: {line}"))?;
        ensure!(hexadecimal(pc)? == expected, "a step went to {pc}, not to {expected:#x}");
        ensure!(handler.contains(expected), "{pc} is outside {SWITCH}");
        let parcel = parcel.strip_prefix("0x").unwrap_or(parcel);
        expected += if u16::from_str_radix(parcel, 16)? & 3 == 3 { 4 } else { 2 };
    }
    ensure!(expected > start + 8, "too few steps");
    Ok(())
}

fn hexadecimal(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).with_context(|| format!("not hexadecimal: '{text}'"))
}

/// Whether a line is as in `pattern`, where `*` stands for any text.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == line };
    let Some(line) = line.strip_prefix(first) else { return false };
    (0..=line.len()).any(|at| line.get(at..).is_some_and(|end| matches(rest, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("PTE at pa:0x*028 = 0x0*", "PTE at pa:0x843ef028 = 0x0"));
        assert!(matches("a*b*c", "aXbYbZc"));
        assert!(!matches("PTE at pa:0x*028 = 0x0", "PTE at pa:0x843ef020 = 0x0"));
        assert!(!matches("a", "ab") && !matches("*b", "a"));
    }

    // 4 bytes where the two lowest bits of the first parcel are set, 2 otherwise [unpriv, "Base Instruction-Length
    // Encoding"].
    #[test]
    fn steps_go_from_instruction_to_instruction() {
        let handler = Function { start: 0x1000, end: 0x1100 };
        let steps = "0x1000 0x1573\n0x1004 in ?? ()\n0x1004 0x6105\n0x1006 in ?? ()\n0x1006 0x3423\n0x100a 0";
        assert!(check_steps(steps, 0x1000, &handler).is_ok());
        for wrong in [
            steps.replace("0x1006 0x", "0x1008 0x"),
            steps.replace("0x1573", "0x1570"),
            steps.replace("\n0x1006 0x3423\n0x100a 0", ""),
        ] {
            assert!(check_steps(&wrong, 0x1000, &handler).is_err(), "{wrong}");
        }
        assert!(check_steps(steps, 0x1004, &handler).is_err());
        assert!(check_steps(steps, 0x1000, &Function { start: 0x1000, end: 0x1004 }).is_err());
    }

    // Indices 5, 3 and 3: 8 bytes each. A pointer is PPN << 10 and V.
    #[test]
    fn the_guest_s_tables_are_as_it_makes_them() {
        let lines = vs_stage();
        assert!(
            lines.contains(
                &"  level 2: PTE at gpa:0x80010028, which the G-stage translates:".into()
            )
        );
        assert!(lines.contains(&"  read at pa:0x*028 = 0x20004401: *V, PPN 0x80011".into()));
        assert!(lines.contains(&"  read at pa:0x*018 = 0x300014c7: *V, PPN 0xc0005".into()));
    }

    #[test]
    fn ptes_are_read_from_the_debugger_s_own_lines() {
        let found =
            pointers(&["memory is physical", "pte 1 0x83b54018 0x210ffc01", "pte 0 0x843ff028 0"]);
        let found = found.unwrap();
        assert_eq!(found[0], Pte { level: 1, at: 0x83b5_4018, value: 0x210f_fc01 });
        assert!(found[0].is_pointer() && found[0].to() == 0x843f_f000);
        assert_eq!(found[1].line(), "  level 0: PTE at pa:0x843ff028 = 0x0");
        assert!(pointers(&["pte 1 0x83b54018"]).is_err());
    }
}
