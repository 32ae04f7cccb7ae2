//! `nestwalk hyp run`: guests in VS-mode with no software in HS-mode.

use crate::guest::{TempFile, elf};
use crate::{Ended, ended, nestwalk};
use std::io::Write;
use std::process::Stdio;

/// SBI calls: `print` for the byte in a0, `off` with success, `fail` without.
const SBI: &str = "
    print:  li a7, 0x4442434e; li a6, 2; ecall; ret
    off:    li a0, 0; li a1, 0; j reset
    fail:   li a0, 0; li a1, 1
    reset:  li a7, 0x53525354; li a6, 0; ecall
    stay:   j stay
";

fn run(guest: &TempFile, args: &str) -> Ended {
    let mut command = nestwalk();
    command.args(["hyp", "run", "--max-insns", "2e7"]).args(args.split_whitespace());
    ended(command.arg(guest.path()).output().unwrap())
}

/// Runs it and wants it to power itself off without having failed. Returns what it printed.
fn passes(source: &str, args: &str) -> String {
    let ended = run(&elf(&format!("{source}{SBI}")), args);
    assert_eq!(ended.code, Some(0), "{args}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

#[test]
fn a_guest_prints_touches_memory_and_powers_off() {
    let source = "
            la a1, text; li a0, 3; li a2, 0
            li a7, 0x4442434e; li a6, 0; ecall
            bnez a0, fail
            li a0, 3; bne a1, a0, fail
            li t0, 0x80400000; li t1, 600; li t2, 4096
    next:   sd t1, 0(t0); ld t3, 0(t0); bne t1, t3, fail
            add t0, t0, t2; addi t1, t1, -1; bnez t1, next
            j off
    text:   .byte 104, 105, 10, 0; .align 2
    ";
    for pages in ["4K", "64K", "2M", "1G"] {
        for mode in ["sv39x4", "sv48x4", "sv57x4"] {
            for tlb in ["default", "adversarial"] {
                let args = format!("--pages {pages} --mode {mode} --tlb {tlb}");
                assert_eq!(passes(source, &args), "hi\n", "{args}");
            }
        }
    }
}

#[test]
fn how_a_guest_ends_is_the_exit_code() {
    let failed = run(&elf(&format!("j fail\n{SBI}")), "");
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains("powered off: it has failed"), "{}", failed.stderr);
    let endless = run(&elf("stay: j stay"), "");
    assert_eq!(endless.code, Some(124), "{}", endless.stderr);
    let asleep = run(&elf("csrw sie, zero; again: wfi; j again"), "");
    assert_eq!(asleep.code, Some(124));
    assert!(asleep.stderr.contains("every hart waits"), "{}", asleep.stderr);
}

#[test]
fn loads_and_stores_reach_the_uart() {
    let source = "
            li a2, 0x10000000
            lbu a3, 5(a2); andi a3, a3, 0x20; beqz a3, fail
            li a0, 79; sb a0, 0(a2); li a0, 75; sb a0, 0(a2); li a0, 10; sb a0, 0(a2)
            # The scratch register keeps a byte: a signed load extends it.
            li a0, 0xf0; sb a0, 7(a2); lb a1, 7(a2); li a0, -16; bne a0, a1, fail
            j off
    ";
    assert_eq!(passes(source, ""), "OK\n");
}

#[test]
fn what_is_not_there_is_an_access_fault_of_the_guest_s() {
    let source = "
            la t0, handler; csrw stvec, t0
            li s2, 0x20000123; li s1, 5; lbu a0, 0(s2)
            li s1, 7; sb a0, 0(s2)
            li s1, 5; li s2, 0x40000000000; ld a0, 0(s2)
            li s1, 1; jr s2
    handler: csrr t0, scause; bne t0, s1, fail
            csrr t0, stval; bne t0, s2, fail
            # SPP says that it came from VS-mode.
            csrr t0, sstatus; andi t0, t0, 0x100; beqz t0, fail
            li t0, 1; beq s1, t0, off
            csrr t0, sepc; addi t0, t0, 4; csrw sepc, t0; sret
    ";
    passes(source, "");
}

#[test]
fn an_instruction_of_the_hypervisor_s_is_illegal_for_the_guest() {
    let source = "
            la t0, handler; csrw stvec, t0
            csrr a0, hgatp
            j fail
    handler: csrr t0, scause; li t1, 2; bne t0, t1, fail
            j off
    ";
    passes(source, "");
}

#[test]
fn a_timer_ends_a_wait_with_and_without_sstc() {
    let source = "
            la t0, handler; csrw stvec, t0
            csrr a0, time; li t1, 20000; add s0, a0, t1; mv a0, s0
            li a7, 0x54494d45; li a6, 0; ecall
            bnez a0, fail
            li t0, 32; csrw sie, t0; csrwi sstatus, 2
    wait:   wfi; j wait
    handler: csrr t0, scause; li t1, 5; slli t0, t0, 1; srli t0, t0, 1; bne t0, t1, fail
            csrr t0, time; bltu t0, s0, fail
            # Not much later than it was asked for.
            addi s0, s0, 1000; bltu s0, t0, fail
            # Setting it again takes the interrupt back.
            li a0, -1; li a7, 0x54494d45; li a6, 0; ecall
            csrr t0, sip; andi t0, t0, 32; bnez t0, fail
            j off
    ";
    for args in ["", "--no-guest-sstc", "--isa rv64,sstc=off"] {
        for others in ["", "--vms 2", "--vms 3 --harts 2"] {
            passes(source, &format!("{args} {others}"));
        }
    }
}

/// vCPU 0 starts vCPU 1, both use the same ASID and the same address for different pages, and hand a turn to and fro by IPI
/// twenty times: each must find its own page every time, on whatever hart it is.
const TWO_ADDRESS_SPACES: &str = "
            bnez a0, fail
            li a7, 0x48534d; li a6, 0; li a0, 1; la a1, start; li a2, 0; ecall
            bnez a0, fail
            li a0, 0
    start:  mv s0, a0
            # The root of this vCPU, two pages beyond those of the last: a leaf of 1 GiB for the code and a table.
            li s1, 0x80100000; slli t0, s0, 14; add s1, s1, t0
            li t0, 0x200000cf; sd t0, 16(s1)
            li t1, 4096; add t2, s1, t1; srli t0, t2, 2; ori t0, t0, 1; sd t0, 8(s1)
            add t3, t2, t1; srli t0, t3, 2; ori t0, t0, 1; sd t0, 0(t2)
            # The leaf: a page of its own, which holds its number.
            add t4, t3, t1; srli t0, t4, 2; ori t0, t0, 0xc7; sd t0, 0(t3)
            sd s0, 0(t4)
            srli t0, s1, 12; li t1, 8; slli t1, t1, 60; or t0, t0, t1; csrw satp, t0
            sfence.vma
            li s2, 0x40000000; li s3, 20; la s4, turn
            li t0, 2; csrw sie, t0
    round:  ld t0, 0(s4); beq t0, s0, mine
            csrr t1, sip; andi t1, t1, 2; bnez t1, clear
            wfi
    clear:  csrci sip, 2; j round
    mine:   ld t0, 0(s2); bne t0, s0, fail
            xori t0, s0, 1; sd t0, 0(s4)
            li a7, 0x735049; li a6, 0; li a0, 1; mv a1, t0; ecall
            bnez a0, fail
            addi s3, s3, -1; bnez s3, round
            # The last one powers off.
            bnez s0, off
    rest:   wfi; j rest
    .align 3
    turn:   .dword 0
";

#[test]
fn a_vcpu_never_uses_what_another_left_in_a_tlb() {
    for args in ["", "--harts 2", "--harts 3", "--vms 2", "--vms 3 --harts 2 --slice 0.00001"] {
        for tlb in ["default", "adversarial"] {
            passes(TWO_ADDRESS_SPACES, &format!("--vcpus 2 {args} --tlb {tlb}"));
        }
    }
}

#[test]
fn the_first_vm_has_the_input_and_lines_say_whose_they_are() {
    let source = "
    again:  li a7, 0x4442434e; li a6, 1; li a0, 1; la a1, byte; li a2, 0; ecall
            bnez a0, fail
            beqz a1, off
            la t0, byte; lbu a0, 0(t0); call print; j again
    .align 3
    byte:   .dword 0
    ";
    let guest = elf(&format!("{source}{SBI}"));
    let mut command = nestwalk();
    command.args(["hyp", "run", "--vms", "2"]).arg(guest.path());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends at once if it asks before anything was typed; what it prints says whose it is.
    let _ = child.stdin.take().unwrap().write_all(b"hello\n");
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.is_empty() || ended.stdout == "vm0: hello\n", "{}", ended.stdout);
}

/// Writes to 600 pages over and over, a different value each time, until 8 ms have passed.
const WRITER: &str = "
            csrr s0, time; li t0, 80000; add s0, s0, t0
    again:  li t0, 0x80200000; li t1, 600; li t2, 4096
    next:   addi s1, s1, 1; sd s1, 8(t0); add t0, t0, t2; addi t1, t1, -1; bnez t1, next
            csrr t0, time; bltu t0, s0, again
            j off
";

#[test]
fn logs_that_go_on_and_off_miss_no_write_under_any_policy() {
    for policy in ["split-on-fault", "eager-enable", "eager-clear", "no-split", "dbit"] {
        for (recovery, pages) in [("", "2M"), ("+recover-lazy", "2M"), ("+recover-eager", "64K")] {
            let args = format!(
                "--policy {policy}{recovery} --pages {pages} --memory 8M --dirty-log-every 0.001 \
                 --tlb adversarial --vms 2 --harts 2 --max-insns 1e9"
            );
            let ended = run(&elf(&format!("{WRITER}{SBI}")), &args);
            assert_eq!(ended.code, Some(0), "{args}: {}", ended.stderr);
            assert!(ended.stderr.contains("0 lost, 0 failures"), "{args}: {}", ended.stderr);
            assert!(!ended.stderr.contains(", 0 periods"), "{args}: {}", ended.stderr);
        }
    }
}

/// The report of `hyp dirty-log` as JSON.
fn dirty_log(args: &str) -> serde_json::Value {
    let json = TempFile::new("");
    let mut command = nestwalk();
    command.args(["hyp", "dirty-log", "--before-after", "0.001", "--json"]).arg(json.path());
    let ended = ended(command.args(args.split_whitespace()).output().unwrap());
    assert_eq!(ended.code, Some(0), "{args}: {}", ended.stderr);
    serde_json::from_slice(&std::fs::read(json.path()).unwrap()).unwrap()
}

#[test]
fn policies_are_compared_by_figures_that_can_be_computed_by_hand() {
    // 4 MiB are two leaves of 2 MiB; a third holds the program and its table. One vCPU writes to each of 1024 pages,
    // one after the other, all of them between two looks at the log.
    let args =
        "--working-set 4M --write-pattern seq --write-rate 10MHz --bandwidth 256M --rounds 2";
    let report = dirty_log(args);
    let runs = report["runs"].as_array().unwrap();
    let figure = |policy: &str, part: &str, name: &str| {
        let run = runs.iter().find(|run| run["policy"] == policy).unwrap();
        assert_eq!(run["lost"], 0, "{policy}");
        run[part][name].as_u64().unwrap()
    };
    for (policy, at_enable, while_logging) in [
        ("split-on-fault", 0, 2),
        ("eager-enable", 3, 0),
        ("eager-clear", 0, 2),
        ("no-split", 0, 0),
        ("dbit", 3, 0),
    ] {
        assert_eq!(figure(policy, "enable", "splits"), at_enable, "{policy}");
        assert_eq!(figure(policy, "logging", "splits"), while_logging, "{policy}");
    }
    assert_eq!(figure("dbit", "logging", "faults"), 0);
    assert!(figure("no-split", "logging", "faults") < figure("eager-enable", "logging", "faults"));
    // Nothing is put together again unless it is asked for.
    assert_eq!(figure("split-on-fault", "after", "collapses"), 0);
    let recovered = dirty_log(&format!("{args} --policy split-on-fault+recover-eager"));
    assert_eq!(recovered["runs"][0]["disable"]["collapses"], 2);
}

#[test]
fn a_core_tells_what_the_cycles_of_a_logged_write_go_to() {
    let args = "--working-set 4M --write-pattern seq --write-rate 10MHz --bandwidth 256M --rounds 2 \
                --policy split-on-fault,eager-enable --core cva6";
    let slow = dirty_log(&format!("{args} --hypervisor-cpi 2"));
    let quick = dirty_log(&format!("{args} --hypervisor-cpi 1"));
    let run = |report: &serde_json::Value, policy: usize| report["runs"][policy].clone();
    let figure = |of: &serde_json::Value, name: &str| of[name].as_u64().unwrap();
    for report in [&slow, &quick] {
        let kinds = |policy| run(report, policy)["fault_cycles"].clone();
        assert_eq!(figure(&kinds(0)["split"], "count"), 2, "one for each leaf of the working set");
        assert_eq!(figure(&kinds(1)["split"], "count"), 0, "all were split when logging began");
    }
    let [slow, quick] = [slow, quick].map(|report| run(&report, 1));
    for run in [&slow, &quick] {
        let (logged, logging) = (&run["fault_cycles"]["logged"], &run["logging"]);
        let of = |name| figure(logged, name);
        assert_eq!(of("count"), figure(logging, "log_faults"));
        let parts = ["walk", "trap", "returns", "instructions", "ptes", "fences", "refill"].map(of);
        assert_eq!(of("total"), parts.iter().sum::<u64>());
        assert!(parts.iter().all(|part| *part != 0), "{parts:?}");
        // What the RTL takes: 5 and 1 more for an exception of an access, and 7 back (`cva6.toml`).
        assert_eq!((of("trap"), of("returns")), (6 * of("count"), 7 * of("count")));
        // Three PTEs and the guest's own page, from a cache or from memory at 10 cycles a beat.
        assert!((3..200).contains(&(of("refill") / of("count"))), "{logged}");
    }
    // An instruction of a cycle each, but for those that are told one by one: a load and what uses it for each PTE read, a store, a
    // fence, and the return.
    let of = |run: &serde_json::Value| {
        (
            figure(&run["fault_cycles"]["logged"], "instructions") as f64,
            figure(&run["logging"], "exits_cost") as f64,
        )
    };
    let ((slow_cycles, slow_insns), (quick_cycles, quick_insns)) = (of(&slow), of(&quick));
    assert!((0.98..1.01).contains(&(quick_cycles / quick_insns)), "{quick_cycles} {quick_insns}");
    assert!((1.97..2.01).contains(&(slow_cycles / slow_insns)), "{slow_cycles} {slow_insns}");
}

#[test]
fn every_pattern_leaves_a_copy_that_is_what_is_there() {
    for pattern in ["seq", "random", "zipf"] {
        for args in ["", "--vcpus 2 --harts 2 --tlb adversarial", "--pages 4K --manual-clear"] {
            let args = format!("--working-set 2M --write-pattern {pattern} {args}");
            let report = dirty_log(&args);
            for run in report["runs"].as_array().unwrap() {
                assert_eq!(run["lost"], 0, "{args}: {run}");
            }
        }
    }
}

#[test]
fn the_report_is_one_html_file_with_charts() {
    let html = TempFile::new("");
    let mut command = nestwalk();
    command.args(["hyp", "dirty-log", "--working-set", "1M", "--html"]).arg(html.path());
    let ended = ended(command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("written pages that no log named"), "{}", ended.stdout);
    let text = std::fs::read_to_string(html.path()).unwrap();
    assert!(text.contains("<svg") && text.contains("no-split") && !text.contains("http"));
}

/// Writes to 600 pages over and over, one number more each time, until 20 ms have passed; then every page must hold what
/// was written to it last. Meanwhile a timer rings each millisecond.
const MOVED: &str = "
            la t0, handler; csrw stvec, t0; li t0, 32; csrw sie, t0; csrwi sstatus, 2
            csrr s0, time; li t0, 200000; add s0, s0, t0
            call ring
    again:  li s2, 0x80200000; li s3, 600; li s4, 4096
    next:   addi s1, s1, 1; sd s1, 8(s2); add s2, s2, s4; addi s3, s3, -1; bnez s3, next
            csrr t0, time; bltu t0, s0, again
            li s3, 600
    check:  sub s2, s2, s4; ld t0, 8(s2); bne t0, s1, fail; addi s1, s1, -1; addi s3, s3, -1; bnez s3, check
            # About one interrupt for each millisecond.
            li t0, 15; bltu s5, t0, fail; li t0, 21; bltu t0, s5, fail
            j off
    ring:   csrr a0, time; li a1, 10000; add a0, a0, a1; li a7, 0x54494d45; li a6, 0; ecall; ret
    handler: addi s5, s5, 1; mv s6, ra; mv s7, t0; call ring; mv ra, s6; mv t0, s7; sret
";

fn migrate(args: &str) -> Ended {
    let guest = elf(&format!("{MOVED}{SBI}"));
    let mut command = nestwalk();
    command.args(["hyp", "migrate", "--memory", "8M"]).args(args.split_whitespace());
    ended(command.arg(guest.path()).output().unwrap())
}

#[test]
fn a_guest_moves_again_and_again_and_notices_nothing() {
    for args in [
        "--over unix",
        "--over tcp --policy dbit --pages 4K --throttle 50",
        "--tlb adversarial --no-guest-sstc --policy eager-enable --few 0",
    ] {
        let ended = migrate(&format!("--times 4 --after 0.001 --bandwidth 64G --rounds 3 {args}"));
        assert_eq!(ended.code, Some(0), "{args}: {}", ended.stderr);
        assert_eq!(
            ended.stderr.matches("both sides have state").count(),
            4,
            "{args}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_move_that_fails_leaves_the_guest_where_it_was() {
    // Before the first page, between pages, after most of them, and on purpose.
    for args in ["--break-after 1", "--break-after 100000", "--break-after 1e6", "--cancel-after 1"]
    {
        let ended = migrate(&format!("--times 2 --after 0.001 {args}"));
        assert_eq!(ended.code, Some(0), "{args}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("the guest runs on where it was"),
            "{args}: {}",
            ended.stderr
        );
    }
}

#[test]
fn logs_are_switched_at_their_moments_while_all_guests_wait() {
    // One interrupt at 20.5 ms, and nothing before: 20 moments of 1 ms pass in a machine where nothing happens.
    let source = "
            la t0, off; csrw stvec, t0; li t0, 32; csrw sie, t0; csrwi sstatus, 2
            csrr a0, time; li t0, 205000; add a0, a0, t0; li a7, 0x54494d45; li a6, 0; ecall
    again:  wfi; j again
    ";
    let args = "--dirty-log-every 0.001 --max-insns 1e9";
    let ended =
        run(&elf(&format!("{source}.align 2\n{SBI}").replace("off:", ".align 2\noff:")), args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("switched 20 times, 10 periods"), "{}", ended.stderr);
}

#[test]
fn more_vms_than_vmids_keep_their_memory_apart() {
    // Each VM writes what its own console's first answer says it is: nothing tells them apart but time, so each keeps a
    // number of its own, read when it begins, and finds it in all its pages for 6 ms of slices of 0.2 ms.
    let source = "
            csrr s0, time; li t0, 60000; add s1, s0, t0
            rdcycle s2; li t0, 0x80200000; li t1, 64; li t2, 4096
    fill:   sd s2, 0(t0); add t0, t0, t2; addi t1, t1, -1; bnez t1, fill
    again:  li t0, 0x80200000; li t1, 64
    look:   ld t3, 0(t0); bne t3, s2, fail; sd s2, 8(t0); ld t3, 8(t0); bne t3, s2, fail
            add t0, t0, t2; addi t1, t1, -1; bnez t1, look
            csrr t3, time; bltu t3, s1, again
            j off
    ";
    for (args, rolls) in [
        ("--vmidlen 1 --vms 3", true),
        ("--vmidlen 2 --vms 7 --harts 2", true),
        ("--vmidlen 0 --vms 3 --harts 2", false),
        ("--vmidlen 14 --vms 5", false),
    ] {
        for tlb in ["default", "adversarial"] {
            let args =
                format!("{args} --slice 0.0002 --memory 4M --pages 4K --tlb {tlb} --max-insns 1e9");
            let ended = run(&elf(&format!("{source}{SBI}")), &args);
            assert_eq!(ended.code, Some(0), "{args}: {}", ended.stderr);
            let none = ended.stderr.contains(" 0 VMID rollovers");
            assert_eq!(!none, rolls, "{args}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_vcpu_whose_dirty_ring_is_full_waits_until_it_is_emptied() {
    // 1024 pages a turn, and rings of 128 that are looked at every 0.1 ms: they fill, and no write is lost.
    for args in ["", "--vcpus 2 --harts 2 --tlb adversarial", "--vcpus 3 --pages 64K"] {
        let report = dirty_log(&format!(
            "--working-set 4M --write-pattern seq --write-rate 10MHz --ring 128 --rounds 3 {args}"
        ));
        for run in report["runs"].as_array().unwrap() {
            assert_eq!(run["lost"], 0, "{args}: {run}");
            let waits = run["logging"]["full_rings"].as_u64().unwrap();
            // D bits and large leaves fill no ring: the first is no fault, the second a few.
            let fills = !matches!(run["policy"].as_str(), Some("dbit" | "no-split"));
            assert!(waits > 0 || !fills, "{args}: {run}");
        }
    }
}

#[test]
fn what_guests_do_not_have_is_refused() {
    let guest = elf(SBI);
    for (args, why) in [
        ("--isa rv64,h=off", "hypervisor extension"),
        ("--disk /dev/null", "no disks"),
        ("--memory 4097", "pages of 4 KiB"),
        ("--policy no-split+", "no policy"),
    ] {
        let ended = run(&guest, args);
        assert_eq!(ended.code, Some(2), "{args}");
        assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
    }
}
