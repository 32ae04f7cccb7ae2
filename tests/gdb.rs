//! The debugger as a user has it: `gdb-multiarch` in batch sessions against the command. Without that program the
//! sessions are skipped, and fail where `CI` is `true`.

use crate::guest::{TempFile, elf_with_labels};
use crate::nestwalk;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Sv39 over Sv39x4 in VS-mode. The guest's page at va 0x10000 is gpa 0x40000000, which the G-stage does not map until
/// the handler in HS-mode does so; then the load is made again and the guest ends.
const GUEST: &str = "
            li t0, -1; csrw pmpaddr0, t0; li t0, 0x1f; csrw pmpcfg0, t0
            # G-stage: pa 0x80000000 at its own place, and three levels down to gpa 0x40000000.
            li t0, 0x80014010; li t1, 0x200000df; sd t1, 0(t0)
            li t0, 0x80014008; li t1, 0x20006001; sd t1, 0(t0)
            li t0, 0x80018000; li t1, 0x20006401; sd t1, 0(t0)
            # VS-stage: the same, and three levels down to va 0x10000.
            li t0, 0x80010010; li t1, 0x200000cf; sd t1, 0(t0)
            li t0, 0x80010000; li t1, 0x20004401; sd t1, 0(t0)
            li t0, 0x80011000; li t1, 0x20004801; sd t1, 0(t0)
            li t0, 0x80012080; li t1, 0x100000c7; sd t1, 0(t0)
            li t0, 0x8001a008; li t1, 0x1234; sd t1, 0(t0)
            li t0, 0x8000000000080014; csrw hgatp, t0
            li t0, 0x8000000000080010; csrw vsatp, t0
            li t0, 0x200000; csrw medeleg, t0
            la t0, fault; csrw stvec, t0
            la t0, done; csrw mtvec, t0
            la t0, guest; csrw mepc, t0
            li t0, 0x8000000800; csrs mstatus, t0
            mret
            .align 2
    guest:  li a1, 0x10008
    load:   ld a0, 0(a1)
    loaded: ecall
            .align 2
    fault:  li t0, 0x80019000; li t1, 0x200068d7; sd t1, 0(t0)
            hfence.gvma x0, x0
            sret
            .align 2
    done:   li t0, 0x100000; li t1, 0x5555; sw t1, 0(t0)
    stay:   j stay
";

/// What a session printed: the debugger and, at the end, the command.
struct Session {
    gdb: String,
    nestwalk: String,
}

/// The labels of `GUEST`, as `LABEL` in scripts and expectations.
fn filled(text: &str, labels: &BTreeMap<String, u64>) -> String {
    labels.iter().fold(text.to_owned(), |text, (name, address)| {
        text.replace(&format!("<{name}>"), &format!("{address:#x}"))
    })
}

/// Runs `script` at `GUEST`, which waits for it; `None` without a debugger.
fn session(script: &str) -> Option<(Session, BTreeMap<String, u64>)> {
    session_with(&[], script)
}

/// The same, with these words for the command.
fn session_with(words: &[&str], script: &str) -> Option<(Session, BTreeMap<String, u64>)> {
    const GDB: &str = "gdb-multiarch";
    let version = Command::new(GDB).arg("--version").output();
    if version.is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no {GDB}");
        println!("skipped: debugger sessions: there is no {GDB} on the PATH");
        return None;
    }
    let (guest, labels) = elf_with_labels(GUEST);
    let mut command = nestwalk();
    command.args(["run", "--gdb", "0", "--gdb-wait", "--max-insns", "1e7"]).args(words);
    command.arg(guest.path());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("nestwalk starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("it says where it listens");
    let address =
        line.split("target remote ").nth(1).expect(&line).trim_end().trim_end_matches('\'');
    let script = format!(
        "set pagination off\nset confirm off\nset width 0\ntarget remote {address}\n{}\n",
        filled(script, &labels)
    );
    let script = TempFile::new(script);
    // What the target says goes to standard error: both in one pipe, so that their order shows.
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut debugger = Command::new("timeout")
        .args(["60", GDB, "-q", "-nx", "-batch", "-x"])
        .arg(script.path())
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("the pipe's end"))
        .stderr(writer)
        .spawn()
        .expect("the debugger starts");
    let mut gdb = String::new();
    reader.read_to_string(&mut gdb).expect("it prints text");
    debugger.wait().expect("it ends");
    let mut nestwalk = String::new();
    stderr.read_to_string(&mut nestwalk).expect("it says how it ended");
    child.wait().expect("it ends");
    Some((Session { gdb, nestwalk }, labels))
}

/// The lines of a session from the marker on to the next one.
fn part<'t>(text: &'t str, marker: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("== {marker}\n")).unwrap_or_else(|| panic!("{text}"));
    rest.split("== ").next().unwrap_or(rest)
}

/// Every value below follows from the tables above and the manual: `htval` is gpa >> 2, `htinst` is `ld a0, 0(a1)`
/// without its immediate and with 0 in place of rs1; bit 10 on of a PTE is the page number.
// norm: htval_trapval, H_trap_xtinst_val, htinst_val
#[test]
fn a_session_stops_at_a_guest_page_fault_explains_it_and_steps_through_the_handler() {
    let script = "
echo == caught\\n
monitor catch guest-page-fault
continue
echo == state\\n
printf \"%#lx %ld %ld %#lx\\n\", $pc, $priv, $virt, $scause
echo == ptw\\n
monitor ptw 0x10008
echo == handler\\n
stepi
printf \"%#lx %ld %ld %ld %#lx %#lx %#lx\\n\", $pc, $priv, $virt, $scause, $stval, $htval, $htinst
echo == store\\n
monitor ptw 0x10008 w as VS
echo == back\\n
break *<load>
continue
printf \"%#lx %ld %#lx\\n\", $pc, $virt, *(long *)0x10008
echo == retried\\n
stepi
printf \"%#lx %#lx\\n\", $pc, $a0
echo == mapped\\n
monitor ptw 0x10008
echo == maps\\n
monitor info vsmem
monitor info gmem
echo == end\\n
continue
";
    let Some((session, labels)) = session(script) else { return };
    let expect = |marker: &str, expected: &str| {
        let expected = filled(expected, &labels);
        let found = part(&session.gdb, marker);
        assert!(found.contains(&expected), "{marker}: {found}\nexpected: {expected}");
    };
    expect(
        "caught",
        "Hart 0 in VS-mode at pc <load>: load guest-page fault (cause 21) to HS-mode: stval 0x10008, htval 0x10000002 \
         (gpa:0x40000008 >> 2), htinst 0x3503; guest-page fault at gpa:0x40000008: V is clear (G-stage level 0 PTE at \
         pa:0x80019000 = 0x0)\n",
    );
    // Before the trap: still in the guest, and no cause yet.
    expect("state", "<load> 1 1 0\n");
    expect("ptw", FAULTING);
    expect("handler", "<fault> 1 0 21 0x10008 0x10000002 0x3503\n");
    // A store asks for other bits, and its fault is not delegated.
    expect(
        "store",
        "    leaf of 4 KiB: U is clear for S-mode, W is set, A and D are set\n    -> gpa:0x40000008\n",
    );
    expect(
        "store",
        "raises store/AMO guest-page fault (cause 23) to M-mode: mtval 0x10008, mtval2 0x10000002 (gpa:0x40000008 >> \
         2), mtinst 0 or the instruction, transformed\n",
    );
    expect("back", "<load> 1 0x1234\n");
    expect("retried", "<loaded> 0x1234\n");
    expect(
        "mapped",
        "  level 0: PTE at pa:0x80019000 = 0x200068d7: D A U W R V, PPN 0x8001a
    leaf of 4 KiB: U is set, as the G-stage needs, R is set, A is set
    -> pa:0x8001a008
va:0x10008 -> gpa:0x40000008 -> pa:0x8001a008, RAM
",
    );
    expect(
        "maps",
        "va:0x10000-0x10fff -> gpa:0x40000000  D A W R V  1 x 4 KiB
va:0x80000000-0xbfffffff -> gpa:0x80000000  D A X W R V  1 x 1 GiB
gpa:0x40000000-0x40000fff -> pa:0x8001a000  D A U W R V  1 x 4 KiB
gpa:0x80000000-0xbfffffff -> pa:0x80000000  D A U X W R V  1 x 1 GiB
",
    );
    expect("end", "exited normally");
    assert!(session.nestwalk.contains("the guest ended with exit code 0"), "{}", session.nestwalk);
}

/// What a run says at its end of instructions and cycles.
fn ended(stderr: &str) -> Option<&str> {
    let (_, numbers) = stderr.split_once("exit code 0; ")?;
    numbers.split_once(" cycles").map(|(numbers, _)| numbers)
}

#[test]
fn a_session_takes_the_cycles_of_a_core_that_the_run_alone_takes() {
    const SCRIPT: &str = "
monitor catch all
monitor info counts
continue
echo == caught\\n
monitor info counts
stepi
break *<load>
continue
stepi
echo == loaded\\n
monitor info counts
printf \"%lu\\n\", $mcycle
monitor catch all off
continue
";
    for core in ["cva6", "generic-h"] {
        let words = ["--core", core];
        let Some((session, _)) = session_with(&words, SCRIPT) else { return };
        let (guest, _) = elf_with_labels(GUEST);
        let alone = nestwalk().arg("run").args(words).arg(guest.path()).output().expect("it runs");
        let alone = String::from_utf8_lossy(&alone.stderr).into_owned();
        assert!(ended(&alone).is_some_and(|numbers| ended(&session.nestwalk) == Some(numbers)));
        // For the fetch, and for the load, which found nothing. The handler's fence leaves nothing of either.
        let caught = part(&session.gdb, "caught");
        let row = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect(text);
            let numbers = line.trim_start_matches(name).split_whitespace();
            numbers.map(|number| number.parse().expect(text)).collect::<Vec<u64>>()
        };
        assert_eq!(row(caught, "Page-table walks at V=1"), [2, 2], "{caught}");
        let loaded = part(&session.gdb, "loaded");
        assert_eq!(row(loaded, "Page-table walks at V=1"), [4, 2], "{loaded}");
        let cycles = row(loaded, "Cycles")[0];
        assert!(loaded.contains(&format!("\n{cycles}\n")), "{loaded}");
    }
}

/// The walk to va 0x10008, up to the G-stage's PTE that is not there.
const FAULTING: &str = "load at va:0x10008 in VS-mode
vsatp 0x8000000000080010: Sv39, ASID 0, tables from gpa:0x80010000
hgatp 0x8000000000080014: Sv39x4, VMID 0, tables from pa:0x80014000
VS-stage
  level 2: PTE at gpa:0x80010000, which the G-stage translates:
    level 2: PTE at pa:0x80014010 = 0x200000df: D A U X W R V, PPN 0x80000
      leaf of 1 GiB: U is set, as the G-stage needs, R is set, A is set
      -> pa:0x80010000
  read at pa:0x80010000 = 0x20004401: V, PPN 0x80011
    pointer to the table at gpa:0x80011000
  level 1: PTE at gpa:0x80011000, which the G-stage translates:
    level 2: PTE at pa:0x80014010 = 0x200000df: D A U X W R V, PPN 0x80000
      leaf of 1 GiB: U is set, as the G-stage needs, R is set, A is set
      -> pa:0x80011000
  read at pa:0x80011000 = 0x20004801: V, PPN 0x80012
    pointer to the table at gpa:0x80012000
  level 0: PTE at gpa:0x80012080, which the G-stage translates:
    level 2: PTE at pa:0x80014010 = 0x200000df: D A U X W R V, PPN 0x80000
      leaf of 1 GiB: U is set, as the G-stage needs, R is set, A is set
      -> pa:0x80012080
  read at pa:0x80012080 = 0x100000c7: D A W R V, PPN 0x40000
    leaf of 4 KiB: U is clear for S-mode, R is set, A is set
    -> gpa:0x40000008
G-stage
  level 2: PTE at pa:0x80014008 = 0x20006001: V, PPN 0x80018
    pointer to the table at pa:0x80018000
  level 1: PTE at pa:0x80018000 = 0x20006401: V, PPN 0x80019
    pointer to the table at pa:0x80019000
  level 0: PTE at pa:0x80019000 = 0x0
    refused: V is clear
refused: guest-page fault at gpa:0x40000008: V is clear (G-stage level 0 PTE at pa:0x80019000 = 0x0)
raises load guest-page fault (cause 21) to HS-mode: stval 0x10008, htval 0x10000002 (gpa:0x40000008 >> 2), htinst 0 or the instruction, transformed
";
