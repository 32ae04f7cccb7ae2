//! Random programs that live in the hypervisor extension, on our hart and on Spike.

mod code;
mod csrs;
mod elf;
mod episode;
mod handlers;
mod items;
mod layout;
mod program;
mod rng;
mod shrink;
mod tables;
mod world;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use isa::ExtSet;
use mmu::Shape;

use self::program::Program;
use super::board::{Rig, Step};
use super::compare::{self, Counts, Endless};
use super::{PROGRAMS, spike};

/// What to run: `seed=1,instructions=500000,tlb=default`; what is left out is as in [`Plan::usual`].
const PLAN: &str = "NESTWALK_LOCKSTEP_RANDOM";

/// Instructions and traps after which a program is given up: a few times what one takes.
const LIMIT: u64 = 1_000_000;

/// Differences after which no other program is begun.
const FAILURES: usize = 3;

/// Bytes of main memory that programs use.
const MEMORY_BYTES: u64 = 8 << 20;

/// How much is run, from which seed on, and with which TLB.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    instructions: u64,
    tlb: String,
}

impl Plan {
    fn usual(instructions: u64) -> Self {
        Self { seed: 1, instructions, tlb: "default".to_owned() }
    }

    fn from_env(instructions: u64) -> Result<Self> {
        let mut plan = Self::usual(instructions);
        let Ok(text) = env::var(PLAN) else { return Ok(plan) };
        for word in text.split(',') {
            let (name, value) = word.split_once('=').context("want name=value")?;
            match name {
                "seed" => plan.seed = value.parse()?,
                "instructions" => plan.instructions = value.parse()?,
                "tlb" => value.clone_into(&mut plan.tlb),
                _ => bail!("{PLAN} has no '{name}'"),
            }
        }
        Ok(plan)
    }
}

#[test]
fn random_programs_run_in_lockstep_with_spike() {
    let Some(spike) = spike::find() else {
        println!("skipped: random lockstep: there is no spike on the PATH");
        return;
    };
    let plan = Plan::from_env(600_000).expect(PLAN);
    let shape = Shape::preset(&plan.tlb).expect("a TLB by its name");
    let isa = isa_string();
    let total = campaign(&plan, "lockstep-random", |elf| {
        let records = spike::start(&spike, &isa, elf)?;
        compare::compare(&isa, &shape, elf, LIMIT, records)
    });
    println!(
        "random lockstep: --tlb {}: {} instructions, {} traps",
        plan.tlb, total.insns, total.traps
    );
    for (mask, count) in &total.masked {
        println!("random lockstep: taken from Spike: {mask}: {count}");
    }
    println!("{}", total.coverage);
}

/// The other half of the truth: in blocks instead of step by step, and whatever the TLB keeps.
#[test]
fn random_programs_end_alike_with_every_tlb() {
    let plan = Plan::from_env(1_000_000).expect(PLAN);
    let isa = isa_string();
    let total = campaign(&plan, "lockstep-alike", |elf| ends_alike(&isa, elf));
    println!("random programs: {} instructions, the same with every TLB", total.insns);
}

/// Runs programs from a seed on, on the processors there are, until so many instructions have been
/// executed.
fn campaign(plan: &Plan, folder: &str, run: impl Fn(&Path) -> Result<Counts> + Sync) -> Counts {
    let exts = ExtSet::parse(&isa_string()).expect("our ISA string");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).expect("a folder");
    let results = Mutex::new((Counts::default(), Vec::new()));
    let next = AtomicU64::new(plan.seed);
    let goes_on = || {
        let (total, failures) = &*results.lock().expect("no worker panics");
        total.insns < plan.instructions && failures.len() < FAILURES
    };
    let worker = || {
        while goes_on() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let elf = folder.join(seed.to_string());
            let try_out = |program: &Program, elf: &Path| {
                fs::write(elf, program.executable())
                    .context("the program cannot be written")
                    .and_then(|()| run(elf))
            };
            let program = Program::new(seed, &exts);
            let counts = try_out(&program, &elf).map_err(|error| {
                let small_elf = folder.join(format!("{seed}-small"));
                let small = shrink::shrink(&program, |program| {
                    try_out(program, &small_elf).is_err_and(|error| !error.is::<Endless>())
                });
                match try_out(&small, &small_elf) {
                    Err(small) => {
                        anyhow!("{error:#}\nshrunk to {}: {small:#}", small_elf.display())
                    }
                    Ok(_) => error,
                }
            });
            let (total, failures) = &mut *results.lock().expect("no worker panics");
            match counts {
                Ok(counts) => {
                    total.add(&counts);
                    let _ = fs::remove_file(&elf);
                }
                Err(error) => failures.push(format!("seed {seed}, {}: {error:#}", elf.display())),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    let (total, failures) = results.into_inner().expect("no worker panics");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    total
}

/// Steps through a program without a TLB, and compares the end with that of runs with each TLB.
fn ends_alike(isa: &str, elf: &Path) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut rig = Rig::new(isa, &Shape::none(), elf)?;
    while rig.tohost().is_none() {
        match rig.step(Some(0)) {
            Step::Commit(..) => counts.insns += 1,
            Step::Trap(..) => counts.traps += 1,
            Step::Nothing => bail!("the hart waits"),
        }
        if counts.insns + counts.traps >= LIMIT {
            bail!(Endless(LIMIT));
        }
    }
    let (cycles, expected) = (rig.cycles(), rig.state(MEMORY_BYTES));
    for preset in mmu::PRESETS {
        let mut rig = Rig::new(isa, &(preset.shape)(), elf)?;
        rig.run(cycles).with_context(|| format!("--tlb {}", preset.name))?;
        let state = rig.state(MEMORY_BYTES);
        let different: Vec<String> = expected
            .iter()
            .zip(&state)
            .filter(|(expected, state)| expected != state)
            .map(|((name, expected), (_, found))| format!("{name} {expected:#x}, {found:#x}"))
            .collect();
        if !different.is_empty() {
            bail!("without a TLB and with --tlb {}: {}", preset.name, different.join("; "));
        }
    }
    Ok(counts)
}

fn isa_string() -> String {
    let isa = fs::read_to_string(Path::new(PROGRAMS).join("spike-isa")).expect("an ISA string");
    isa.trim().to_owned()
}
