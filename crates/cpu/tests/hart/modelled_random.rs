//! Random programs that interrupts come to at any cycle: however a hart with a cycle model runs, it takes the same cycles and counts the same.

use cpu::{Hart, Platform, Requests, Step, Wires};
use isa::asm::Program;
use isa::field::mstatus;
use isa::{Interrupt, Pa, csr};
use mmu::{Bus, BusFault};
use timing::Core;

use crate::rig::BASE;
use crate::tiers::{Rng, random, state};

/// Behind an interrupt the program goes on, behind an exception somewhere else, as the cycle says.
const HANDLER: &str = "
        csrr t6, mcause; blt t6, zero, back
        csrr t6, mcycle; slli t6, t6, 2; andi t6, t6, 0x7fc; add t6, t6, s1; csrw mepc, t6
back:   mret";

/// A machine whose line is up for a while, time after time.
struct Pulses {
    period: u64,
    width: u64,
}

impl Bus for Pulses {
    fn read(&mut self, _: Pa, _: u8) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: Pa, _: u8, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

impl Platform for Pulses {
    fn sync(&mut self, _: u64, cycle: u64) -> Wires {
        let (phase, up) = (cycle % self.period, Interrupt::MachineExternal.bit());
        let (lines, left) = match phase < self.width {
            true => (up, self.width - phase),
            false => (0, self.period - phase),
        };
        Wires { lines, guest_lines: 0, mtime_start: 0, deadline: cycle + left, stop: false }
    }

    fn advance(&mut self, _: u64) {}
}

/// A hart at a random program, with the cycles of a core.
fn modelled(seed: u64, core: &Core) -> Hart {
    let mut hart = random(seed);
    let handler = Program::assemble(BASE + 0x4000, HANDLER).expect("the handler assembles");
    hart.ram().write_bytes(Pa(BASE + 0x4000), &handler.bytes).expect("RAM");
    hart.set_csr(csr::MTVEC, BASE + 0x4000);
    hart.set_csr(csr::MSTATUS, mstatus::FS | mstatus::MIE);
    hart.set_csr(csr::MIE, Interrupt::MachineExternal.bit());
    hart.set_csr(csr::MHPMEVENT3, 4);
    hart.set_model(core, None, core.outer(None).as_ref());
    hart
}

/// Lets a hart run under a debugger that halts it now and then.
fn run_halted(hart: &mut Hart, pulses: &mut Pulses, budget: u64, rng: &mut Rng) -> u64 {
    let end = hart.cycle() + budget;
    let mut halts = 0;
    loop {
        let breakpoints = (0..8).map(|_| BASE + 2 * rng.below(0x1800)).collect();
        hart.set_requests(Some(&Requests { breakpoints, ..Requests::default() }));
        hart.set_step((rng.below(3) != 0).then_some(Step::Once));
        hart.run(pulses, end.saturating_sub(hart.cycle()));
        if hart.take_halt().is_none() {
            return halts;
        }
        halts += 1;
        if rng.below(3) == 0 {
            hart.set_requests(None);
        }
    }
}

/// A front-end that takes longer to go on elsewhere than a trap takes to be taken.
fn slow_to_fetch(mut core: Core) -> Core {
    core.fetch.mispredict = 30;
    core.fetch.early_bubble = 4;
    core.fetch.late_bubble = 9;
    core.system.trap = 3;
    core
}

#[test]
fn random_programs_take_the_same_cycles_however_they_run() {
    for (name, _) in timing::PRESETS {
        let preset = Core::preset(name).expect("a preset");
        same_however_they_run(name, &preset);
        same_however_they_run(name, &slow_to_fetch(preset));
    }
}

fn same_however_they_run(core: &str, model: &Core) {
    let (mut interrupts, mut halts) = (0, 0);
    for seed in 1..20 {
        let mut rng = Rng(seed << 32 | 1);
        let (period, width) = (200 + rng.below(800), 20 + rng.below(60));
        let mut pulses = Pulses { period, width };
        let mut harts = [(); 4].map(|()| modelled(seed, model));
        harts[1].model_plainly();
        for turn in 0..30 {
            let most = 1 << rng.below(12);
            let budget = 1 + rng.below(most);
            let [blocks, plain, logged, debugged] = &mut harts;
            let exits = [
                blocks.run(&mut pulses, budget),
                plain.run(&mut pulses, budget),
                logged.run_logged(&mut pulses, budget, &mut |_| {}),
            ];
            assert!(exits.iter().all(|exit| *exit == exits[0]), "{core}, {seed}: {exits:?}");
            halts += run_halted(debugged, &mut pulses, budget, &mut rng);
            for (how, hart) in ["plainly", "logged", "debugged"].iter().zip(&harts[1..]) {
                let at = format!("{core}, seed {seed}, turn {turn}, {how}");
                assert_eq!(state(hart), state(&harts[0]), "{at}");
                assert!(hart.model_counts() == harts[0].model_counts(), "{at}");
            }
        }
        interrupts += harts[0].csr(csr::MHPMCOUNTER3).unwrap_or_default();
    }
    assert!(interrupts > 100 && halts > 500, "{core}: {interrupts}, {halts}");
}
