//! Guests that play with time: traps without end, and moments without a beginning.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use isa::asm::Program;
use isa::{ExtSet, Pa};
use machine::config::Boot;
use machine::{Follow, Limits, Machine, NoInput, Setup, Stop};
use mmu::Shape;
use timing::Clock;

use crate::guest::{console, elf};
use crate::place::{CODE, RAM_BYTES};

/// A machine whose harts start in M-mode at `source`.
fn machine(name: &str, harts: usize, clock: Clock, source: &str) -> Machine {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}.elf"));
    std::fs::write(&file, elf()).expect("the folder can be written");
    let setup = Setup {
        harts,
        ram_bytes: RAM_BYTES,
        exts: ExtSet::default_set(),
        clock,
        follow: Follow::Cycles,
        shape: Shape::default(),
        pmp_entries: 16,
        geilen: 0,
        asid_bits: 16,
        vmid_bits: 14,
        misaligned: cpu::Misaligned::Handle,
        seed: 1,
        power_on_ns: 0,
        guests: None,
        core: None,
        test_device: false,
        boot: Boot { program: Some(file), ..Boot::default() },
        reboots: false,
        extras: Vec::new(),
    };
    let printed = Default::default();
    let machine = Machine::new(setup, &|| console(&printed)).expect("a machine");
    let code = Program::assemble(CODE, source).expect("the guest assembles").bytes;
    machine.ram().write_bytes(Pa(CODE), &code).expect("the guest lies in memory");
    machine
}

fn run(machine: &mut Machine, insns: u64) -> Stop {
    let limits = Limits { insns, stop: &AtomicBool::new(false) };
    machine.run(&limits, &mut NoInput).expect("nothing is loaded again")
}

#[test]
fn a_hart_that_only_traps_can_be_rescued_by_another() {
    // In S-mode, hart 1 has neither code nor a handler; a software interrupt takes it back to M.
    let source = "
            csrr t0, mhartid
            bnez t0, lost
            li t1, 100000
    wait:   addi t1, t1, -1
            bnez t1, wait
            li t2, 0x2000004
            li t3, 1
            sw t3, 0(t2)
    stay:   j stay
    lost:   li t0, -1
            csrw pmpaddr0, t0
            li t0, 31
            csrw pmpcfg0, t0
            li t0, 0xb1ff
            csrw medeleg, t0
            csrw stvec, zero
            la t0, saved
            csrw mtvec, t0
            csrwi mie, 8
            li t0, 0x800
            csrs mstatus, t0
            csrw mepc, zero
            mret
    saved:  li t0, 0x100000
            li t1, 0x5555
            sw t1, 0(t0)
            j saved
    ";
    let mut machine = machine("rescue", 2, Clock::default(), source);
    assert_eq!(run(&mut machine, 10_000_000), Stop::Exit { code: 0 });
}

#[test]
fn a_hart_that_only_traps_lets_the_run_be_stopped() {
    let source = "
            li t0, -1
            csrw pmpaddr0, t0
            li t0, 31
            csrw pmpcfg0, t0
            li t0, 0xb1ff
            csrw medeleg, t0
            csrw stvec, zero
            li t0, 0x800
            csrs mstatus, t0
            csrw mepc, zero
            mret
    ";
    let mut machine = machine("stop", 1, Clock::default(), source);
    // Everything up to MRET; what follows retires nothing.
    assert_eq!(run(&mut machine, 10), Stop::Limit);
    let stop = AtomicBool::new(false);
    let limits = Limits { insns: 1_000_000, stop: &stop };
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        machine.run(&limits, &mut NoInput).expect("nothing is loaded again")
    });
    assert_eq!(stopped, Stop::Requested);
}

#[test]
fn no_guest_reaches_the_end_of_time() {
    for (name, clock) in [
        ("tick", Clock::new(1, 1).expect("a clock")),
        ("usual", Clock::default()),
        ("odd", Clock::new(1_500_000_001, 10_000_000).expect("a clock")),
    ] {
        // Each wakes a little before the last cycle that can be counted, and then sleeps again.
        let near = clock.ticks(u64::MAX) - 50;
        let source = format!(
            "
                    li t0, 1 << 63
                    csrw menvcfg, t0
                    li t0, {near:#x}
                    csrw stimecmp, t0
                    li t0, 32
                    csrw mie, t0
                    wfi
                    li t0, -1
                    csrw stimecmp, t0
            spin:   addi t0, t0, 1
                    j spin
            "
        )
        .replace("1 << 63", "0x8000000000000000");
        let mut machine = machine(&format!("end-{name}"), 1, clock, &source);
        assert_eq!(run(&mut machine, 1_000_000), Stop::Asleep, "{name}");
    }
}
