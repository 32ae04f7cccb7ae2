//! A debugger changes neither the cycles of a model nor what it counts.

use cpu::{Catches, Exit, Hart, Requests, Step};
use isa::asm::Program;
use isa::field::{mstatus, vsstatus};
use isa::{Interrupt, Mode, Pa, Va, csr};
use mmu::WatchedRange;
use timing::{Core, Counts, Stages};

use crate::rig::{BASE, DATA, Empty, Wired, hart};

/// A guest that loads, stores and branches as a random number says, through two stages and pages that come and go from TLBs, and traps in
/// every way; in M-mode, a handler that goes on behind what trapped. A timer and a counter's overflow
/// interrupt it, and so does it itself.
const PROGRAM: &str = "
handler: csrrw t6, mscratch, t6
        csrr t6, mcause; blt t6, zero, interrupt
        csrr t6, mepc; addi t6, t6, 4; csrw mepc, t6
back:   csrrw t6, mscratch, t6
        mret
interrupt: csrr t6, time; addi t6, t6, 3; csrw stimecmp, t6
        li t6, 0x2000; csrc mip, t6
        li t6, -5; csrw mhpmcounter5, t6
        li t6, 23; csrw mhpmevent5, t6
        j back
guest:  li s3, 0x400000
        li s5, 12345
        li s9, 0x430000
top:    li t0, 1103515245; mul s5, s5, t0; addi s5, s5, 1234
        srli t1, s5, 13
        andi t2, t1, 31; slli t2, t2, 12; add t2, t2, s3
        srli t3, s5, 40; andi t3, t3, 0x3f8; add t2, t2, t3
        ld a0, 0(t2); add a0, a0, s5; sd a0, 8(t2); lbu a1, 9(t2)
        andi t4, t1, 1; beq t4, zero, even
        xor a2, a2, a0; addi a3, a3, 3
even:   andi t4, t1, 6; bne t4, zero, calls
        ecall
calls:  call far
        srli t1, t1, 3
        andi t4, t1, 12; bne t4, zero, mapped
        ld a4, 0(zero)
mapped: andi t4, t1, 48; bne t4, zero, backed
store:  sd a0, 0(s9)
backed: andi t4, t1, 192; bne t4, zero, legal
        sfence.vma
        .byte 0, 0, 0, 0
legal:  fcvt.d.l ft0, s5; fdiv.d ft1, ft0, ft0; divu a5, s5, t1
        amoadd.d a6, a0, (t2)
        csrr s7, cycle; xor s8, s8, s7
        csrr s7, instret; add s8, s8, s7
        csrsi sip, 2
        j top
        .align 4
asked:  addi s10, s10, 1; csrci sip, 2
        sret
        .align 12
        .zero 4092
far:    c.nop
        addi a7, a7, 1
        jalr zero, 0(ra)";

/// The address of a label.
fn at(label: &str) -> u64 {
    Program::assemble(BASE, PROGRAM).expect("the program assembles").labels[label]
}

/// A hart with the cycles of a core, in the guest.
fn guest(core: &str) -> Hart {
    let mut hart = hart(PROGRAM);
    let table = |number: u64| BASE + 0x1_0000 + number * 0x1000;
    let pte = |pa: u64, flags: u64| pa >> 12 << 10 | flags;
    let mut ptes = vec![
        // VS-stage: the code at its own place, and 32 small pages.
        (table(0) + 16, pte(BASE, 0xcf)),
        (table(0), pte(table(1), 1)),
        (table(1) + 16, pte(table(2), 1)),
        // G-stage: the same of what they are in.
        (table(4) + 16, pte(BASE, 0xdf)),
        (table(4) + 8, pte(table(8), 1)),
        (table(8), pte(table(9), 1)),
    ];
    for page in 0..49 {
        ptes.push((table(2) + 8 * page, pte((1 << 30) + page * 0x1000, 0xc7)));
        // What lies behind is for the guest's tables alone.
        let flags = if page < 32 { 0xd7 } else { 0 };
        ptes.push((table(9) + 8 * page, pte(table(16 + page), flags)));
    }
    for (pa, value) in ptes {
        hart.ram().write(Pa(pa), value).expect("RAM");
    }
    hart.set_model(&Core::preset(core).expect("a preset"), None, None);
    for (number, value) in [
        (csr::VSATP, 8 << 60 | table(0) >> 12),
        (csr::HGATP, 8 << 60 | 1 << 44 | table(4) >> 12),
        (csr::MTVEC, BASE),
        (csr::MSCRATCH, 0),
        (csr::MENVCFG, 1 << 63),
        (csr::MCOUNTEREN, 7),
        (csr::HCOUNTEREN, 7),
        (csr::STIMECMP, 3),
        (csr::MIE, 1 << 5 | 1 << 13),
        (csr::MHPMEVENT3, 3),
        (csr::MHPMEVENT3 + 1, 4),
        (csr::MHPMEVENT3 + 2, 23),
        (csr::MHPMCOUNTER3 + 2, 5u64.wrapping_neg()),
        (csr::HIDELEG, 1 << 2),
        (csr::VSIE, 1 << 1),
        (csr::VSTVEC, at("asked")),
        (csr::VSSTATUS, vsstatus::FS | vsstatus::SIE),
    ] {
        hart.set_csr(number, value).expect("it has that register");
    }
    hart.set_pc(at("guest"));
    hart.set_mode(Mode::VS);
    hart
}

/// How long it is told to run, time after time.
fn turns() -> impl Iterator<Item = u64> {
    [1, 700, 13, 90, 91, 92, 400, 7, 150, 5000].into_iter().cycle().take(60)
}

fn watch(page: u64) -> Requests {
    let watched = vec![WatchedRange {
        start: Va(0x40_0000 + page * 0x1000),
        bytes: 0x2000,
        loads: true,
        stores: true,
    }];
    Requests { watched, ..Requests::default() }
}

fn break_at(pcs: impl IntoIterator<Item = u64>) -> Requests {
    Requests { breakpoints: pcs.into_iter().collect(), ..Requests::default() }
}

/// What can be seen of a hart that ran.
#[derive(PartialEq, Debug)]
struct State {
    pc: u64,
    cycle: u64,
    retired: u64,
    x: Vec<u64>,
    csrs: Vec<Option<u64>>,
    counts: Option<Counts>,
}

fn state(hart: &Hart) -> State {
    const CSRS: [u16; 9] = [
        csr::MCYCLE,
        csr::MINSTRET,
        csr::MHPMCOUNTER3,
        csr::MHPMCOUNTER3 + 1,
        csr::MHPMCOUNTER3 + 2,
        csr::MHPMEVENT3 + 2,
        csr::MIP,
        csr::MEPC,
        csr::STIMECMP,
    ];
    State {
        pc: hart.pc(),
        cycle: hart.cycle(),
        retired: hart.retired(),
        x: (0..32).map(|index| hart.x(index)).collect(),
        csrs: CSRS.iter().map(|&number| hart.csr(number)).collect(),
        counts: hart.model_counts(),
    }
}

/// When a hart that halted goes on by a step.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Steps {
    Never,
    Often,
    Always,
}

/// Lets a hart do what a free one did: whether its state is the same after each turn, and how often it halted.
fn halted(core: &str, requests: &Requests, steps: Steps, seen: &[State]) -> (bool, u64) {
    let mut hart = guest(core);
    hart.set_requests(Some(requests));
    let (mut halts, mut same) = (0, true);
    for (budget, seen) in turns().zip(seen) {
        let end = hart.cycle() + budget;
        loop {
            let step = match steps {
                Steps::Never => false,
                Steps::Often => halts % 3 != 0,
                Steps::Always => true,
            };
            hart.set_step(step.then_some(Step::Once));
            if hart.run(&mut Empty, end.saturating_sub(hart.cycle())) != Exit::Halted {
                break;
            }
            assert!(hart.take_halt().is_some());
            halts += 1;
            if halts % 7 == 0 {
                // The debugger leaves, and the next one comes.
                hart.set_requests(None);
                hart.set_requests(Some(requests));
            }
        }
        same &= state(&hart) == *seen && !hart.is_halted();
    }
    (same, halts)
}

#[test]
fn a_debugger_changes_neither_the_cycles_of_a_model_nor_what_it_counts() {
    let catches = Catches { exceptions: u64::MAX, gpas: None };
    let asked = [
        ("nothing", Requests::default()),
        ("a loop", break_at([at("top")])),
        ("a loop's middle", break_at([at("even") + 4, at("legal") + 8])),
        ("what traps", break_at([at("store"), at("legal") - 4, at("far"), at("far") + 2])),
        ("everywhere", break_at((BASE..BASE + 0x3000).step_by(2))),
        ("watched pages", watch(3)),
        ("exceptions", Requests { catches, ..Requests::default() }),
        ("all of that", Requests { catches, ..break_at([at("top"), at("calls"), at("handler")]) }),
    ];
    for core in ["cva6", "rocket", "u74", "generic-h"] {
        let mut free = guest(core);
        let mut seen = Vec::new();
        for budget in turns() {
            assert_eq!(free.run(&mut Empty, budget), Exit::Budget);
            seen.push(state(&free));
        }
        let [exceptions, interrupts] =
            [0, 1].map(|index| free.csr(csr::MHPMCOUNTER3 + index).unwrap_or_default());
        assert!(exceptions > 50 && interrupts > 20, "{core}: {exceptions}, {interrupts}");
        let counts = free.model_counts().expect("it has a model");
        assert!(counts.walks(Stages::VsG).failed > 10 && counts.transfers.misses > 50, "{core}");
        assert!(free.cycle() > free.retired() * 3 / 2, "{core}");
        for (what, requests) in &asked {
            for steps in [Steps::Never, Steps::Often, Steps::Always] {
                let (same, halts) = halted(core, requests, steps, &seen);
                assert!(same, "{core}, {what}, steps {steps:?}");
                let least = match (*what, steps) {
                    ("nothing", Steps::Never | Steps::Often) => 0,
                    (_, Steps::Always) => 3000,
                    _ => 30,
                };
                assert!(halts >= least, "{core}, {what}, steps {steps:?}: {halts} halts");
            }
        }
    }
}

/// The machine tells it of lines when its turn begins, and not when a debugger lets it go.
#[test]
fn what_a_hart_is_halted_in_ends_with_its_turn() {
    for (begins, taken) in [(false, false), (true, true)] {
        let mut hart = hart("nop; nop; top: addi a0, a0, 1; j top");
        hart.set_model(&Core::preset("cva6").expect("a preset"), None, None);
        hart.set_csr(csr::MIE, Interrupt::MachineSoftware.bit());
        hart.set_csr(csr::MSTATUS, mstatus::MIE);
        hart.set_requests(Some(&break_at([BASE + 8])));
        let mut wires = Wired::lines(0);
        assert_eq!(hart.run(&mut wires, 1000), Exit::Halted);
        assert!(hart.is_halfway() && hart.take_halt().is_some());
        wires = Wired::lines(Interrupt::MachineSoftware.bit());
        hart.set_requests(Some(&Requests::default()));
        if begins {
            hart.begin_turn();
        }
        assert_eq!(hart.is_halfway(), !begins);
        hart.run(&mut wires, 500);
        assert!(!hart.is_halfway());
        assert_eq!(hart.csr(csr::MCAUSE) != Some(0), taken);
    }
}

#[test]
fn blocks_single_instructions_and_logs_come_to_the_same_cycles() {
    for (core, _) in timing::PRESETS {
        let [mut blocks, mut plain, mut logged] = [(); 3].map(|()| guest(core));
        plain.model_plainly();
        for budget in turns() {
            assert_eq!(blocks.run(&mut Empty, budget), Exit::Budget);
            assert_eq!(plain.run(&mut Empty, budget), Exit::Budget);
            assert_eq!(logged.run_logged(&mut Empty, budget, &mut |_| {}), Exit::Budget);
            assert!(state(&blocks) == state(&plain), "{core}");
            assert!(state(&blocks) == state(&logged), "{core}");
        }
    }
}

/// A hart with the cycles of CVA6 that halted at a breakpoint in the middle of a run.
fn halted_at(source: &str, pc: u64) -> Hart {
    let mut hart = hart(source);
    hart.set_model(&Core::preset("cva6").expect("a preset"), None, None);
    hart.set_requests(Some(&break_at([pc])));
    assert_eq!(hart.run(&mut Empty, 10_000), Exit::Halted);
    assert!(hart.take_halt().is_some());
    assert_eq!(hart.pc(), pc);
    hart
}

#[test]
fn what_a_debugger_changes_is_what_happens_next() {
    const SOURCE: &str = "
        li a1, 3
        top: addi a0, a0, 1; addi a2, a2, 1; addi a3, a3, 1; bne a0, a1, top
        stay: j stay
        other: addi a4, a4, 9; j other";
    let labels = Program::assemble(BASE, SOURCE).expect("the program assembles").labels;
    let middle = labels["top"] + 4;
    // Another instruction, in code that has been decoded.
    let mut patched = halted_at(SOURCE, middle);
    patched.run(&mut Empty, 10_000);
    assert!(patched.take_halt().is_some());
    patched.ram().write(Pa(middle), 0x0056_0613u32).expect("RAM"); // addi a2, a2, 5
    patched.set_requests(Some(&Requests::default()));
    assert_eq!(patched.run(&mut Empty, 1000), Exit::Budget);
    assert_eq!((patched.x(12), patched.x(13)), (1 + 5 + 5, 3));
    // Another register, and another place.
    let mut moved = halted_at(SOURCE, middle);
    let before = moved.cycle();
    moved.set_x(14, 100);
    moved.set_pc(labels["other"]);
    moved.set_step(Some(Step::Once));
    assert_eq!(moved.run(&mut Empty, 1000), Exit::Halted);
    assert_eq!((moved.x(14), moved.pc()), (109, labels["other"] + 4));
    assert!((1..40).contains(&(moved.cycle() - before)), "a fetch that misses at most");
    // Time that has passed meanwhile, because another hart had it.
    let mut passed = halted_at(SOURCE, middle);
    passed.set_cycle(5000);
    passed.set_step(Some(Step::Once));
    passed.run(&mut Empty, 1000);
    assert!((5001..5010).contains(&passed.cycle()), "{}", passed.cycle());
}

/// A caught exception that is taken costs what it does without a debugger. One that was prevented has cost its instruction once more, as
/// when a pipeline has it issue again.
#[test]
fn an_instruction_whose_exception_is_prevented_issues_again() {
    let counts = |prevents: bool| {
        let mut hart = hart("ld a0, 0(a1)\nstay: j stay");
        hart.set_model(&Core::preset("cva6").expect("a preset"), None, None);
        let catches = Catches { exceptions: u64::MAX, gpas: None };
        hart.set_requests(Some(&Requests { catches, ..Requests::default() }));
        if !prevents {
            hart.set_x(11, DATA);
        } else {
            assert_eq!(hart.run(&mut Empty, 100), Exit::Halted);
            assert!(hart.take_halt().is_some());
            hart.set_x(11, DATA);
            hart.forget_caught();
        }
        hart.set_step(Some(Step::Once));
        assert_eq!(hart.run(&mut Empty, 100), Exit::Halted);
        assert_eq!((hart.pc(), hart.retired()), (BASE + 4, 1));
        let counts = hart.model_counts().expect("it has a model");
        (hart.cycle(), counts.data_cache_loads.accesses, counts.held.traps)
    };
    let (once, again) = (counts(false), counts(true));
    // At its first address there was nothing that the data cache could have.
    assert_eq!((once.1, once.2), (1, 0));
    assert_eq!((again.1, again.2), (1, 0));
    assert!(again.0 > once.0, "{again:?} {once:?}");
}

#[test]
fn a_breakpoint_in_code_that_has_run_holds() {
    let mut hart = hart("top: addi a0, a0, 1; addi a2, a2, 1; addi a3, a3, 1; j top");
    hart.set_model(&Core::preset("cva6").expect("a preset"), None, None);
    assert_eq!(hart.run(&mut Empty, 1000), Exit::Budget);
    for place in [1, 2] {
        hart.set_requests(Some(&break_at([BASE + 4 * place])));
        for _ in 0..3 {
            assert_eq!(hart.run(&mut Empty, 1000), Exit::Halted);
            assert!(hart.take_halt().is_some());
            assert_eq!(hart.pc(), BASE + 4 * place);
        }
    }
    hart.set_requests(None);
    assert_eq!(hart.run(&mut Empty, 1000), Exit::Budget);
}
