//! What the emulator needs of native memory for itself stays bounded, whatever guests make it decode.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::guest;
use crate::nestwalk;

/// Pages of code that the guest writes and runs, one behind the other.
const PAGES: u64 = 16384;

/// MiB of those pages, all the RAM that the guest touches but for its first page.
const TOUCHED_MIB: u64 = PAGES / 256;

/// MiB besides, with what a debug build needs.
const BEYOND_MIB: u64 = 150;

/// Writes 511 blocks of two instructions, `addi a0, a0, 1` and a jump to the next block, and `ret` into each page and runs them;
/// all of it twice, so that the second round writes to code that was decoded. Prints a line if all blocks were run, and waits.
fn guest() -> String {
    format!(
        "       li s0, 2
        round:  li s1, {PAGES}
                li s2, 0x80100000
                li s4, 0x00150513
                li s5, 0x0040006f
                li s6, 0x00008067
        page:   mv t0, s2
                li t1, 511
        block:  sw s4, 0(t0)
                sw s5, 4(t0)
                addi t0, t0, 8
                addi t1, t1, -1
                bnez t1, block
                sw s6, 0(t0)
                fence.i
                jalr ra, 0(s2)
                li t0, 4096
                add s2, s2, t0
                addi s1, s1, -1
                bnez s1, page
                addi s0, s0, -1
                bnez s0, round
                li t0, {}
                bne a0, t0, stay
                li t0, 0x10000000
                li t1, 0x6f
                sb t1, 0(t0)
                li t1, 0x6b
                sb t1, 0(t0)
                li t1, 0x0a
                sb t1, 0(t0)
        stay:   j stay",
        2 * 511 * PAGES
    )
}

/// `VmHWM` of proc(5): the most memory that a process ever had, in MiB.
fn most_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap();
    kib / 1024
}

#[test]
fn millions_of_blocks_all_over_memory_are_not_all_kept() {
    let elf = guest::elf(&guest());
    let mut command = nestwalk();
    command.arg("run").arg(elf.path()).args(["--memory", "256M", "--timeout", "300"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let most = most_mib(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, "ok\n");
    println!("{} MiB beyond RAM", most - TOUCHED_MIB);
    assert!(most > TOUCHED_MIB && most < TOUCHED_MIB + BEYOND_MIB, "{most} MiB");
}
