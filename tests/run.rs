//! `nestwalk run` with bare guests: exit codes, limits, the console, what it says at the end.

use crate::guest::{EXIT, TempFile, elf, elf_with_symbols};
use crate::{Ended, ended, nestwalk};
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

/// Prints "hello\n" on the UART, and ends with the code in a0.
const HELLO: &str = "
            la a1, text
            li a2, 0x10000000
    next:   lbu a3, 0(a1)
            beqz a3, exit
            sb a3, 0(a2)
            addi a1, a1, 1
            j next
    text:   .byte 104, 101, 108, 108, 111, 10, 0, 0
";

/// Sends what arrives at the UART back, until a 'q'; then ends with code 0.
const ECHO: &str = "
            li a2, 0x10000000
    next:   lbu a3, 5(a2)
            andi a3, a3, 1
            beqz a3, next
            lbu a3, 0(a2)
            li a0, 113
            beq a3, a0, done
            sb a3, 0(a2)
            j next
    done:   li a0, 0
            j exit
";

fn run(guest: &TempFile, args: &str) -> Ended {
    let mut command = nestwalk();
    command.arg("run").args(args.split_whitespace()).arg(guest.path());
    ended(command.output().unwrap())
}

#[test]
fn the_guest_s_exit_code_is_the_command_s() {
    for code in [0, 1, 42, 255] {
        let guest = elf(&format!("li a0, {code}\n{EXIT}"));
        let ended = run(&guest, "");
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("exit code {code};")), "{}", ended.stderr);
    }
}

#[test]
fn tohost_may_be_stored_in_halves() {
    // Behind two instructions.
    const TOHOST: u64 = 0x8000_0008;
    const BEGIN: &str =
        "j start; nop; .byte 0, 0, 0, 0, 0, 0, 0, 0; start: la s0, start; addi s0, s0, -8";
    const WHOLE_EXIT: &str = "li a0, 1; sd a0, 0(s0); stay: j stay";
    // An odd byte for the console, whose lower half alone would be an exit with code 58.
    const BYTE: &str = "li a0, 117; lui a1, 0x1010";
    for (what, source, code, output) in [
        ("low, high", format!("{BYTE}; sw a0, 0(s0); sw a1, 4(s0); {WHOLE_EXIT}"), 0, "u"),
        ("high, low", format!("{BYTE}; sw a1, 4(s0); sw a0, 0(s0); {WHOLE_EXIT}"), 0, "u"),
        ("exit, over and over", "li a0, 7; l: sw a0, 0(s0); sw x0, 4(s0); j l".to_owned(), 3, ""),
        ("exit, high half first", "li a0, 7; sw x0, 4(s0); sw a0, 0(s0); l: j l".to_owned(), 3, ""),
        ("exit, low half only", "li a0, 7; sw a0, 0(s0); l: j l".to_owned(), 3, ""),
        ("exit, then asleep", "li a0, 7; sw a0, 0(s0); l: wfi; j l".to_owned(), 3, ""),
    ] {
        let guest = elf_with_symbols(&format!("{BEGIN}; {source}"), &[("tohost", TOHOST)]);
        let ended = run(&guest, "--max-insns 1e5");
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(code), output),
            "{what}: {}",
            ended.stderr
        );
    }
}

#[test]
fn the_test_device_prints_and_exits_only_when_it_is_asked_for() {
    let guest = elf("li a0, 0x60000000; li a1, 65; sd a1, 0(a0); li a1, 7; sd a1, 8(a0)
                     stay: j stay");
    let with = run(&guest, "--test-device");
    assert_eq!((with.code, with.stdout.as_str()), (Some(7), "A"), "{}", with.stderr);
    let without = run(&guest, "--max-insns 1e5");
    assert_eq!((without.code, without.stdout.as_str()), (Some(124), ""), "{}", without.stderr);
}

#[test]
fn the_guest_has_standard_output_and_we_have_one_line_of_standard_error() {
    let guest = elf(&format!("li a0, 0\n{HELLO}{EXIT}"));
    let ended = run(&guest, "");
    assert_eq!(ended.stdout, "hello\n");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for word in ["exit code 0", "instructions", "cycles at 1GHz", "MIPS"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[test]
fn quiet_leaves_standard_error_empty() {
    let guest = elf(&format!("li a0, 3\n{EXIT}"));
    let ended = run(&guest, "--quiet");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), ""));
}

#[test]
fn a_run_over_its_limit_ends_with_124() {
    let guest = elf("stay: j stay");
    let insns = run(&guest, "--max-insns 12345");
    assert_eq!(insns.code, Some(124));
    assert!(insns.stderr.contains("limit reached; 12345 instructions"), "{}", insns.stderr);
    let time = run(&guest, "--timeout 0.2");
    assert_eq!(time.code, Some(124));
    assert!(time.stderr.contains("time limit reached"), "{}", time.stderr);
}

#[test]
fn the_same_run_takes_the_same_instructions() {
    let guest = elf(&format!("li a1, 100000; l: addi a1, a1, -1; bnez a1, l; li a0, 0\n{EXIT}"));
    let insns = || run(&guest, "").stderr.split(", ").next().unwrap().to_owned();
    assert_eq!(insns(), insns());
}

#[test]
fn a_hart_that_waits_for_nothing_ends_the_run() {
    let guest = elf("csrw mie, zero; l: wfi; j l");
    let ended = run(&guest, "--timeout 20");
    assert_eq!(ended.code, Some(124));
    assert!(ended.stderr.contains("every hart waits"), "{}", ended.stderr);
}

#[test]
fn piped_input_reaches_the_guest_whole() {
    let guest = elf(&format!("{ECHO}{EXIT}"));
    let text = "0123456789 \x01x\n".repeat(2_500);
    let mut child = nestwalk()
        .args(["run", "--timeout", "60"])
        .arg(guest.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let fed = text.clone();
    let feeder = std::thread::spawn(move || {
        stdin.write_all(fed.as_bytes()).unwrap();
        stdin.write_all(b"q").unwrap();
    });
    let ended = ended(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout == text, "{} of {} bytes", ended.stdout.len(), text.len());
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let guest = elf("li a2, 0x10000000; li a3, 10; l: sb a3, 0(a2); j l");
    let mut child = nestwalk()
        .args(["run", "--timeout", "60"])
        .arg(guest.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(141), "{}", ended.stderr);
    assert!(ended.stderr.contains("went away"), "{}", ended.stderr);
}

#[test]
fn a_closed_standard_error_changes_nothing() {
    let guest = elf(&format!("li a0, 3\n{HELLO}{EXIT}"));
    let mut child = nestwalk()
        .args(["run", "--trace-filter", "trace"])
        .arg(guest.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "hello\n"));
}

#[test]
fn a_console_file_takes_the_output() {
    let guest = elf(&format!("li a0, 0\n{HELLO}{EXIT}"));
    let file = TempFile::new("old");
    let ended = run(&guest, &format!("--console file:{}", file.path().display()));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "hello\n");
}

#[test]
fn a_full_disk_under_the_console_is_said() {
    let guest = elf(&format!("li a0, 0\n{HELLO}{EXIT}"));
    let ended = run(&guest, "--console file:/dev/full");
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
}

#[test]
fn a_signal_ends_the_run_with_its_number() {
    let guest = elf("stay: j stay");
    let child = nestwalk()
        .args(["run", "--timeout", "60"])
        .arg(guest.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough for the handlers to be there.
    std::thread::sleep(Duration::from_millis(500));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    assert!(ended.stderr.contains("SIGTERM"), "{}", ended.stderr);
}

#[test]
fn malformed_files_are_named_with_the_reason() {
    let empty = TempFile::new("");
    let text = TempFile::new("not an ELF file at all");
    let guest = elf("stay: j stay");
    let truncated = TempFile::new(&std::fs::read(guest.path()).unwrap()[..70]);
    for file in [&empty, &text, &truncated] {
        let ended = run(file, "");
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(&file.path().display().to_string()), "{}", ended.stderr);
    }
    let ended = run(&guest, &format!("--dtb {}", text.path().display()));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(&text.path().display().to_string()), "{}", ended.stderr);
}

#[test]
fn machines_that_cannot_be_are_refused() {
    let guest = elf("stay: j stay");
    for (args, why) in [
        ("--harts 0", "1 to 8"),
        ("--harts 9", "1 to 8"),
        ("--memory 0", "main memory"),
        ("--memory 4097", "main memory"),
        ("--pmp-entries 3", "0, 16 and 64"),
        ("--geilen 64", "at most 63"),
        ("--vmidlen 15", "at most 14"),
        ("--cpu-hz 1", "timebase"),
        ("--isa rv32i", "rv32i"),
        ("--isa rv64gc_zbx", "zbx"),
        ("--disk /nonexistent.img", "/nonexistent.img"),
        ("--disk /dev/zero", "/dev/zero"),
        (
            "--net null --net null --net null --net null --net null --net null --net null --net null --net null",
            "8 slots",
        ),
    ] {
        let ended = run(&guest, args);
        assert_eq!(ended.code, Some(2), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
    }
}

/// Reset leaves MDT set, so that the first trap in M-mode is already one too many [Smdbltrp].
#[test]
fn a_double_trap_in_m_mode_ends_the_run_as_a_critical_error() {
    let guest = elf("nop\necall");
    let ended = run(&guest, "--isa rv64,smdbltrp=on");
    assert_eq!(ended.code, Some(124), "{}", ended.stderr);
    for words in ["critical error", "environment call from M-mode", "0x80000004"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn a_disk_is_changed_only_when_its_writes_are_kept() {
    let guest = elf(&format!("li a0, 0\n{EXIT}"));
    let disk = TempFile::new([7; 4096]);
    for suffix in ["", ",rw", ",ro", ",overlay"] {
        let ended = run(&guest, &format!("--disk {}{suffix}", disk.path().display()));
        assert_eq!(ended.code, Some(0), "{suffix}: {}", ended.stderr);
        assert_eq!(std::fs::read(disk.path()).unwrap(), [7; 4096]);
    }
}

#[test]
fn dumps_print_in_place_of_a_run() {
    let map = crate::run_words("run --dump-map --memory 256M");
    assert_eq!(map.code, Some(0), "{}", map.stderr);
    assert!(map.stdout.contains("0x0080000000-0x008fffffff"), "{}", map.stdout);
    let dts = crate::run_words("run --dump-dts -smp 2 -append hello");
    assert!(dts.stdout.contains("cpu@1") && dts.stdout.contains("\"hello\""), "{}", dts.stdout);
    let file = TempFile::new("");
    let dtb = crate::run_words(&format!("run -M virt,dumpdtb={}", file.path().display()));
    assert_eq!((dtb.code, dtb.stdout.as_str()), (Some(0), ""), "{}", dtb.stderr);
    assert_eq!(std::fs::read(file.path()).unwrap()[..4], [0xd0, 0x0d, 0xfe, 0xed]);
}

#[test]
fn a_console_that_cannot_be_written_is_named() {
    let guest = elf(&format!("li a0, 0\n{HELLO}{EXIT}"));
    let ended = run(&guest, "--console file:/dev/full");
    assert!(ended.stderr.contains("/dev/full: No space left"), "{}", ended.stderr);
}

#[test]
fn an_empty_disk_is_refused() {
    let disk = TempFile::new("");
    let ended = run(&elf(EXIT), &format!("--disk {}", disk.path().display()));
    let why = format!("the disk {} is empty", disk.path().display());
    assert!(ended.code == Some(2) && ended.stderr.contains(&why), "{}", ended.stderr);
}

#[test]
fn a_program_for_elsewhere_is_told_where_main_memory_is() {
    // Linked for 0, as a build id that precedes the program is.
    let mut bytes = std::fs::read(elf(EXIT).path()).unwrap();
    let segment = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    // p_vaddr and p_paddr
    bytes[segment + 16..segment + 32].fill(0);
    let ended = run(&TempFile::new(bytes), "");
    assert!(ended.code == Some(2) && ended.stderr.contains("--build-id=none"), "{}", ended.stderr);
}

/// Four harts put their ids and what they found in `menvcfg` together; hart 0 waits for all, and ends with 1 for an id
/// that is missing or there twice, with 2 for an ADUE that differs.
// norm: mhartid_unique, mhartid_one_is_zero, nw:ad_one_scheme
#[test]
fn harts_have_ids_from_zero_on_and_update_ptes_alike() {
    let guest = elf(&format!(
        "
            la s0, ids
            csrr a0, mhartid
            li a1, 1
            sll a1, a1, a0
            li a2, 1
            csrr a3, menvcfg
            amoor.d zero, a1, (s0)
            addi s1, s0, 16
            amoor.d zero, a3, (s1)
            addi s1, s0, 24
            amoand.d zero, a3, (s1)
            addi s1, s0, 8
            amoadd.d zero, a2, (s1)
    rest:   bnez a0, rest
            li a4, 4
    wait:   ld a2, 0(s1)
            bne a2, a4, wait
            ld a2, 0(s0)
            li a4, 15
            li a0, 1
            bne a2, a4, exit
            ld a2, 16(s0)
            ld a3, 24(s0)
            li a0, 2
            bne a2, a3, exit
            li a0, 0
            j exit
    .align 3
    ids:    .dword 0
            .dword 0
            .dword 0
            .dword -1
    {EXIT}"
    ));
    for isa in ["rv64", "rv64,svade=off"] {
        let ended = run(&guest, &format!("--harts 4 --isa {isa} --max-insns 1e6"));
        assert_eq!(ended.code, Some(0), "{isa}: {}", ended.stderr);
    }
}

#[test]
fn a_program_that_came_through_a_pipe_is_not_read_again() {
    // Its trap has an address, which symbols would name.
    let bytes = std::fs::read(elf("lw a0, 0(zero)").path()).unwrap();
    let pipe = TempFile::new("");
    std::fs::remove_file(pipe.path()).unwrap();
    if !std::process::Command::new("mkfifo").arg(pipe.path()).status().is_ok_and(|s| s.success()) {
        println!("skipped: a program through a pipe: there is no mkfifo");
        return;
    }
    let mut command = nestwalk();
    command.arg("run").arg(pipe.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::fs::write(pipe.path(), bytes).unwrap();
    let mut waited = 0;
    while child.try_wait().unwrap().is_none() && waited < 600 {
        std::thread::sleep(Duration::from_millis(50));
        waited += 1;
    }
    // If it hangs, it waits for a second writer.
    let _ = child.kill();
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(124), "{}", ended.stderr);
    assert!(ended.stderr.contains("traps for ever"), "{}", ended.stderr);
}

/// Hart 1 jumps to where nothing can be executed, with a trap handler there that cannot either until somebody writes it; hart 0
/// waits a while and then does `then`.
fn with_a_hart_that_loops(then: &str) -> TempFile {
    elf(&format!(
        "       csrr t0, mhartid
                beqz t0, first
                la t0, handler
                csrw mtvec, t0
                li t0, 0x40000000
                jr t0
        first:  li t0, 50000
        wait:   addi t0, t0, -1
                bnez t0, wait
                {then}
                {EXIT}
                .align 3
        flag:   .dword 0
        handler: .dword 0"
    ))
}

#[test]
fn a_hart_that_traps_for_ever_does_not_end_the_work_of_others() {
    let ended = run(&with_a_hart_that_loops("li a0, 7\nj exit"), "--harts 2 --timeout 60");
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    let told = ended.stderr.matches("hart 1 cannot run its trap handler").count();
    assert_eq!(told, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("instruction access fault at pc 0x40000000"), "{}", ended.stderr);
}

#[test]
fn a_hart_that_traps_for_ever_goes_on_when_another_writes_its_handler() {
    // What hart 1 then does: sd t1, -8(handler), with the address in mtvec.
    let then = "la t0, flag
                li t2, 0x30502373
                sw t2, 8(t0)
                li t2, 0xfe633c23
                sw t2, 12(t0)
        look:   ld a0, 0(t0)
                beqz a0, look
                la t2, handler
                sub a0, a0, t2
                j exit";
    let ended = run(&with_a_hart_that_loops(then), "--harts 2 --timeout 60 --max-insns 1e7");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn harts_that_only_wait_cannot_help_one_that_traps_for_ever() {
    // All interrupts are off, and nothing is on its way.
    for then in ["csrw mie, zero\nstill: wfi\nj still", "csrw mtvec, zero\nebreak"] {
        let ended = run(&with_a_hart_that_loops(then), "--harts 2 --timeout 60");
        assert_eq!(ended.code, Some(124), "{}", ended.stderr);
        assert!(ended.stderr.contains("traps for ever"), "{}", ended.stderr);
    }
}
