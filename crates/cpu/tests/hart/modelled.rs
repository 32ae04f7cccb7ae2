//! What a cycle model counts, against counts by hand.

use cpu::{EVENTS, Event, Exit, Hart, Register};
use isa::field::mhpmevent::{MINH, OF, UINH};
use isa::{Interrupt, Pa, Va, csr};
use mmu::Fence;
use timing::{Core, Counts, Stages};

use crate::rig::{DATA, Empty, Wired, hart};

/// A hart with the cycles of CVA6 at a program that goes through its loop ten times.
fn looping(body: &str) -> Hart {
    let program =
        format!("addi t0, zero, 10; loop: {body} addi t0, t0, -1; bne t0, zero, loop; end: j end");
    let mut hart = hart(&program);
    hart.set_model(&Core::preset("cva6").expect("a preset"), None, None);
    hart
}

/// What was counted until the loop was over: its instructions and the first one.
fn counts(hart: &mut Hart, insns: u64) -> Counts {
    while hart.retired() < insns {
        hart.run(&mut Empty, 1);
    }
    hart.model_counts().expect("it has a model")
}

#[test]
fn loads_stores_and_jumps_are_counted_with_what_missed() {
    let mut hart = looping("ld a0, 0(s0); ld a1, 64(s0); sd a0, 8(s0);");
    let counts = counts(&mut hart, 1 + 10 * 5);
    assert_eq!((counts.data_cache_loads.accesses, counts.data_cache_loads.misses), (20, 2));
    // CVA6 writes through: no store looks for a line.
    assert_eq!(counts.data_cache_stores.accesses, 0);
    assert_eq!(counts.transfers.accesses, 10);
    // The last one surely, and the first perhaps: nothing is known of it.
    assert!((1..=2).contains(&counts.transfers.misses), "{:?}", counts.transfers);
    assert_eq!(counts.translation().data_tlb.accesses, 0, "nothing is translated in M-mode");
    assert_eq!(counts.held.traps, 0);
}

/// Maps the virtual page at 0x4000_0000 to the data, as Sv39 and small pages, and makes loads translated.
fn translate(hart: &mut Hart) {
    let [root, middle, last] = [1, 2, 3].map(|page| DATA + page * 0x1000);
    for (at, to, flags) in [(root + 8, middle, 1), (middle, last, 1), (last, DATA, 0xd7)] {
        hart.ram().write(Pa(at), (to >> 12) << 10 | flags).expect("RAM");
    }
    hart.set_csr(csr::SATP, 8 << 60 | root >> 12);
    hart.set_csr(csr::MSTATUS, isa::field::mstatus::MPRV | isa::field::mstatus::FS);
    hart.set_x(8, 0x4000_0000);
}

#[test]
fn a_walk_behind_each_fence_waits_until_the_walker_is_free() {
    let mut hart = looping("sfence.vma; ld a0, 0(s0);");
    translate(&mut hart);
    let counts = counts(&mut hart, 1 + 10 * 4);
    let walks = counts.walks(Stages::S);
    assert_eq!((walks.count, walks.failed), (10, 0));
    assert_eq!(walks.by_references().collect::<Vec<_>>(), [(3, 10)]);
    // A walk is 3 cycles and 3 for each PTE, or 7 more than the memory's 10 where it misses: once each.
    assert_eq!(counts.data_cache_walks.misses, 3);
    assert_eq!(walks.cycles, 10 * 3 + 27 * 3 + 3 * 17);
    let space = counts.translation();
    assert_eq!((space.data_tlb.accesses, space.data_tlb.misses), (10, 10));
    assert_eq!((space.walks, space.walk_cycles), (10, walks.cycles));
    // Each fence has the next instruction fetched 7 cycles later, when nothing is left to be written.
    assert_eq!(counts.held.fences, 70);
    // The walker is busy for 133 cycles behind it, of which the load sees all but a few.
    let waited = counts.held.walks_behind_fences;
    assert!((10 * 115..10 * 133).contains(&waited), "{waited}");
}

#[test]
fn a_fence_from_outside_removes_what_it_names_from_the_model_s_tlbs() {
    let misses = |fence: Fence| {
        let mut hart = looping("ld a0, 0(s0);");
        // CVA6's own fences remove more than they name.
        hart.set_model(&Core::preset("generic-h").expect("a preset"), None, None);
        translate(&mut hart);
        assert_eq!(counts(&mut hart, 1 + 5 * 3).translation().data_tlb.misses, 1);
        hart.fence(fence);
        counts(&mut hart, 1 + 10 * 3).translation().data_tlb.misses
    };
    let (own, other) = (Some(Va(0x4000_0000)), Some(Va(0x4000_1000)));
    assert_eq!(misses(Fence::Sfence { va: None, asid: None }), 2);
    assert_eq!(misses(Fence::Sfence { va: own, asid: None }), 2);
    assert_eq!(misses(Fence::Sfence { va: own, asid: Some(0) }), 2);
    assert_eq!(misses(Fence::Sfence { va: other, asid: None }), 1);
    assert_eq!(misses(Fence::Sfence { va: None, asid: Some(7) }), 1);
    assert_eq!(misses(Fence::Vvma { va: own, asid: None, vmid: 0 }), 1, "not of a guest");
    assert_eq!(misses(Fence::Gvma { gpa: None, vmid: None }), 1, "not of a guest");
}

#[test]
fn what_is_looked_up_counts_as_what_is_worked_out() {
    for body in
        ["sfence.vma; nop; nop; ld a0, 0(s0);", "ld a0, 0(s0); sd a0, 8(s0);", "mul a0, a0, a0;"]
    {
        let both = [false, true].map(|plainly| {
            let mut hart = looping(body);
            translate(&mut hart);
            if plainly {
                hart.model_plainly();
            }
            let insns = 1 + 10 * (2 + body.matches(';').count() as u64);
            counts(&mut hart, insns)
        });
        assert_eq!(both[0], both[1], "{body}");
    }
}

#[test]
fn a_log_changes_neither_the_cycles_of_a_model_nor_what_it_counts() {
    let body = "sfence.vma; ld a0, 0(s0); fcvt.d.l ft0, t0; fdiv.d ft1, ft0, ft0; csrr a1, mcycle; sd a1, 8(s0);";
    for budget in [1, 90, 700, 5000] {
        let [mut plain, mut logged] = [(); 2].map(|()| {
            let mut hart = looping(body);
            translate(&mut hart);
            hart
        });
        plain.run(&mut Empty, budget);
        let (mut lines, mut read) = (0, Vec::new());
        logged.run_logged(&mut Empty, budget, &mut |event| {
            lines += 1;
            if let Event::Commit(commit) = event {
                read.extend(
                    commit.written.iter().filter(|(register, _)| *register == Register::X(11)),
                );
            }
        });
        assert_eq!((plain.pc(), plain.cycle()), (logged.pc(), logged.cycle()), "{budget}");
        assert_eq!(plain.model_counts(), logged.model_counts(), "{budget}");
        assert_eq!((plain.retired(), plain.x(11)), (logged.retired(), logged.x(11)), "{budget}");
        assert_eq!(lines, logged.retired(), "{budget}: each instruction once");
        assert_eq!(read.last().map_or(0, |(_, cycle)| *cycle), logged.x(11), "{budget}");
        assert_eq!(plain.csr(csr::FFLAGS), logged.csr(csr::FFLAGS), "{budget}");
        assert!(budget < 5000 || logged.cycle() > logged.retired(), "fences and walks take cycles");
    }
}

/// The code of an event by its name.
fn event(name: &str) -> u64 {
    1 + EVENTS.iter().position(|row| row.name == name).expect("a known event") as u64
}

// norm: mhpmevent_sz_warl_op
#[test]
fn programmable_counters_count_what_the_model_counts() {
    let names = [
        "dTLB-load-misses",
        "dTLB-loads",
        "walks",
        "walk-ptes",
        "walk-cycles",
        "branches",
        "branch-misses",
        "L1-dcache-loads",
        "L1-dcache-load-misses",
        "L1-icache-loads",
        "L1-icache-load-misses",
        "cache-misses",
        "fence-cycles",
    ];
    let mut hart = looping("sfence.vma; ld a0, 0(s0);");
    translate(&mut hart);
    for (counter, name) in (0..).zip(names) {
        hart.set_csr(csr::MHPMEVENT3 + counter, event(name));
    }
    let counts = counts(&mut hart, 1 + 10 * 4);
    let (walks, space) = (counts.walks(Stages::S), counts.translation());
    let held = counts.held;
    let expected = [
        space.data_tlb.misses,
        space.data_tlb.accesses,
        walks.count,
        30,
        walks.cycles,
        counts.transfers.accesses,
        counts.transfers.misses,
        counts.data_cache_loads.accesses,
        counts.data_cache_loads.misses,
        counts.instruction_cache.accesses,
        counts.instruction_cache.misses,
        counts.data_cache_loads.misses + counts.data_cache_walks.misses,
        held.fences + held.walks_behind_fences,
    ];
    for ((counter, name), expected) in (0..).zip(names).zip(expected) {
        assert_eq!(hart.csr(csr::MHPMCOUNTER3 + counter), Some(expected), "{name}");
    }
    assert_eq!((space.data_tlb.misses, walks.count), (10, 10));
}

/// The program runs in M-mode: what is not to be counted there is not counted.
#[test]
fn an_event_of_the_model_is_counted_in_the_modes_that_are_asked_for() {
    let mut hart = looping("sfence.vma; ld a0, 0(s0);");
    translate(&mut hart);
    hart.set_csr(csr::MHPMEVENT3, event("walks") | MINH);
    hart.set_csr(csr::MHPMEVENT3 + 1, event("walks") | UINH);
    counts(&mut hart, 1 + 10 * 4);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(0));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3 + 1), Some(10));
}

/// [Sscofpmf]: OF is set, and the interrupt is pending.
#[test]
fn a_counter_of_the_model_says_soon_that_it_overflowed() {
    let mut hart = looping("sfence.vma; ld a0, 0(s0);");
    translate(&mut hart);
    hart.set_csr(csr::MHPMEVENT3, event("walks"));
    hart.set_csr(csr::MHPMCOUNTER3, 5u64.wrapping_neg());
    counts(&mut hart, 1 + 4 * 4);
    assert_eq!(hart.csr(csr::MHPMEVENT3).map(|event| event & OF), Some(0), "only four walks");
    let end = hart.cycle() + 10 * 200 + 2000;
    while hart.cycle() < end {
        hart.run(&mut Empty, 100);
    }
    assert_eq!(hart.csr(csr::MHPMEVENT3).map(|event| event & OF), Some(OF));
    assert_ne!(hart.csr(csr::MIP).expect("M-mode has it") & Interrupt::CounterOverflow.bit(), 0);
}

/// `cycle`, `mcycle` and a programmable counter of cycles are the model's; `time` is a tick each 100 of them.
#[test]
fn time_and_cycles_are_the_model_s() {
    let mut hart = looping("ld a0, 0(s0); mul a0, a0, a0;");
    hart.set_csr(csr::MHPMEVENT3, event("cycles"));
    hart.set_csr(csr::MHPMEVENT3 + 1, event("instructions"));
    let before = hart.cycle();
    counts(&mut hart, 1 + 10 * 4);
    let cycles = hart.cycle() - before;
    assert!(cycles > hart.retired() + 20, "a load and its use take longer than an instruction");
    assert_eq!(hart.csr(csr::MCYCLE), Some(hart.cycle()));
    assert_eq!(hart.csr(csr::CYCLE), Some(hart.cycle()));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(cycles));
    assert_eq!(hart.csr(csr::MHPMCOUNTER3 + 1), Some(hart.retired()));
    assert_eq!(hart.csr(csr::MINSTRET), Some(hart.retired()));
    let end = hart.cycle() + 1000;
    while hart.cycle() < end {
        hart.run(&mut Empty, 100);
    }
    assert_eq!(hart.csr(csr::TIME), Some(hart.cycle() / 100));
}

/// What a call leaves behind in U-mode has overflowed, whenever the hart looks.
#[test]
fn an_overflow_is_not_forgotten_when_the_mode_changes_at_once() {
    let mut hart = hart(
        "la t0, handler; csrw mtvec, t0; la t0, user; csrw mepc, t0; mret
         user: j next; next: j last; last: ecall
         handler: j handler",
    );
    hart.set_model(&Core::preset("cva6").expect("a preset"), None, None);
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    hart.set_csr(csr::MHPMEVENT3, event("branches") | MINH);
    hart.set_csr(csr::MHPMCOUNTER3, u64::MAX);
    hart.run(&mut Empty, 5000);
    assert_eq!(hart.csr(csr::MHPMCOUNTER3), Some(1), "two jumps");
    assert_ne!(hart.csr(csr::MHPMEVENT3).unwrap_or(0) & OF, 0);
    assert_ne!(hart.csr(csr::MIP).unwrap_or(0) & Interrupt::CounterOverflow.bit(), 0);
}

/// What wakes a hart takes as long to reach its handler as what interrupts one that runs.
#[test]
fn an_interrupt_that_ends_a_wait_takes_its_time() {
    let line = Interrupt::MachineSoftware.bit();
    for core in ["cva6", "rocket", "u74"] {
        let taken = |program: &str| {
            let mut hart = hart(program);
            hart.set_model(&Core::preset(core).expect("a preset"), None, None);
            hart.set_csr(csr::MIE, line);
            hart.set_csr(csr::MSTATUS, isa::field::mstatus::MIE);
            let exit = hart.run(&mut Wired::lines(0), 3000);
            assert_eq!(exit == Exit::Wfi, hart.waiting());
            hart.set_cycle(5000);
            hart.run(&mut Wired::lines(line), 1);
            assert_eq!(hart.csr(csr::MCAUSE), Some(1 << 63 | 3));
            hart.cycle() - 5000
        };
        let (awake, woken) = (taken("stay: j stay"), taken("wfi; stay: j stay"));
        assert!(woken > 2 && woken.abs_diff(awake) <= 3, "{core}: {woken} cycles, {awake} awake");
    }
}
