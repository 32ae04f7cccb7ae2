//! One run under one policy, and what is measured.

use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use cpu::Hart;
use hyp::cost::{Costs, Work};
use hyp::dirty::{Bitmap, RingEntry};
use hyp::hypervisor::{Hypervisor, VcpuId};
use hyp::memory::{Clearing, MemoryConfig};
use hyp::policy::Policy;
use hyp::port::Parts;
use isa::{Ext, PAGE_BYTES};
use machine::guests::{ExitCycles, ExitKind, GuestSetup, RAM_SLOT};
use machine::{Machine, Setup};
use serde::Serialize;

use super::guest::{LOOP_INSNS, PROGRAM, WARM, Work as Stores};
use crate::build;
use crate::cli::{Clock, DirtyLogArgs, MachineOptions};
use crate::console::Output;

/// What was done in a part of a run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Part {
    /// Virtual time, in cycles.
    pub(super) cycles: u64,
    /// Stores that the guest made.
    pub(super) stores: u64,
    pub(super) exits: u64,
    pub(super) faults: u64,
    pub(super) log_faults: u64,
    pub(super) splits: u64,
    pub(super) collapses: u64,
    pub(super) pte_loads: u64,
    pub(super) pte_writes: u64,
    pub(super) fences_by_address: u64,
    pub(super) fences_of_all: u64,
    pub(super) fences_remote: u64,
    pub(super) ipis: u64,
    /// Exits after which a vCPU waited for its ring.
    pub(super) full_rings: u64,
    /// What the vCPUs' exits cost, in instructions.
    pub(super) exits_cost: u64,
    /// What beginning, reading, clearing and ending the log cost whoever asked, in instructions.
    pub(super) log_cost: u64,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub(super) policy: String,
    /// Before logging, with everything mapped.
    pub(super) before: Part,
    /// Beginning to log.
    pub(super) enable: Part,
    /// The rounds.
    pub(super) logging: Part,
    /// Ending.
    pub(super) disable: Part,
    /// Afterwards.
    pub(super) after: Part,
    /// Pages that each round's log named; those of the last one go with the guest stopped.
    pub(super) rounds: Vec<u64>,
    /// Whether few pages were left within the rounds there were.
    pub(super) converged: bool,
    /// Table pages at the most.
    pub(super) table_pages: u64,
    /// Pages that were written and that no log named.
    pub(super) lost: u64,
    /// Pages that a log named and that had not changed. Under write protection a store marks its page and then comes
    /// again, and a log read between the two is early; else it is what a leaf holds beside the page that was written.
    pub(super) not_changed: u64,
    /// What faults took while the log was on, from its beginning to its end; none without a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault_cycles: Option<Faults>,
}

/// What the cycles of faults went to, by what was done for them: sums, until each access was made.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Faults {
    pub(super) mapped: ExitCycles,
    pub(super) logged: ExitCycles,
    pub(super) split: ExitCycles,
}

impl Faults {
    fn since(&self, before: &Self) -> Self {
        Self {
            mapped: self.mapped.since(&before.mapped),
            logged: self.logged.since(&before.logged),
            split: self.split.since(&before.split),
        }
    }
}

/// How often rings that are full are looked for, in cycles.
const RING_CYCLES: u64 = 100_000;

struct Run {
    machine: Machine,
    stores: Stores,
    /// The first page of the working set in the slot.
    first_page: u64,
    copy: Vec<u8>,
    measured: Measured,
    log_cost: u64,
    manual: bool,
    /// Pages that dirty rings named since the last harvest, by number in the slot; `None` where there are no rings.
    ringed: Option<Vec<bool>>,
}

pub(super) fn measure(args: &DirtyLogArgs, policy: Policy) -> Result<Measured> {
    let mut run = Run::new(args, policy)?;
    run.warm_up()?;
    let hz = 1_000_000_000u64;
    let span = u64::try_from(args.before_after.0.as_nanos()).unwrap_or(u64::MAX).max(1);
    run.measured.before = run.part(|run| run.pass(span))?;
    let faults = run.faults();
    run.measured.enable = run.part(|run| {
        run.copy = run.memory()?;
        run.on_log(|memory, env| memory.enable_log(env, RAM_SLOT))
    })?;
    run.measured.logging = run.part(|run| {
        let page_cycles = (PAGE_BYTES * hz).div_ceil(args.bandwidth.0).max(1);
        let mut left = run.stores.pages;
        for _ in 0..args.rounds {
            run.pass(left.saturating_mul(page_cycles).max(hz / 10_000))?;
            left = run.harvest()?;
            run.measured.rounds.push(left);
            if left <= args.few.0 {
                run.measured.converged = true;
                break;
            }
        }
        Ok(())
    })?;
    // The pages of the last round go with the guest stopped: from here on the copy must be what is there.
    run.measured.lost = run.differences()?;
    run.measured.disable = run.part(|run| {
        run.on_log(|memory, env| memory.disable_log(env, RAM_SLOT))?;
        run.empty_rings()
    })?;
    run.measured.fault_cycles = faults.zip(run.faults()).map(|(before, now)| now.since(&before));
    run.measured.after = run.part(|run| run.pass(span))?;
    Ok(run.measured)
}

impl Run {
    fn new(args: &DirtyLogArgs, policy: Policy) -> Result<Self> {
        let pages = args.working_set.0 / PAGE_BYTES;
        let base = PROGRAM + (2 << 20);
        let leaf = hyp::gstage::Size::from(args.pages).bytes().max(2 << 20);
        let bytes = (base - PROGRAM + args.working_set.0).next_multiple_of(leaf);
        let running = u64::from(args.vcpus.min(args.harts));
        let between =
            (1_000_000_000 * running / args.write_rate.0.max(1)).saturating_sub(LOOP_INSNS);
        let stores = Stores {
            pages,
            base,
            vcpus: args.vcpus.into(),
            idle: between / 3,
            pattern: args.write_pattern,
            seed: args.seed.0,
        };
        let options = MachineOptions {
            harts: Some(args.harts),
            tlb: Some(args.tlb.clone()),
            seed: Some(args.seed),
            clock: Some(Clock::Virtual),
            // The core says what things cost, not what there is: every policy runs on it.
            isa: Some(MachineOptions::default().isa()),
            pmp_entries: Some(MachineOptions::default().pmp_entries()),
            asidlen: Some(MachineOptions::default().asidlen()),
            vmidlen: Some(MachineOptions::default().vmidlen()),
            core: args.core.clone(),
            mem_latency: args.mem_latency,
            ..MachineOptions::default()
        };
        let mut setup: Setup = build::setup(&options, machine::config::Boot::default())?;
        let manual = args.manual_clear;
        let clearing =
            if manual { Clearing::Manual { initially_set: false } } else { Clearing::AtGet };
        let guests = GuestSetup {
            vms: 1,
            vcpus: args.vcpus.into(),
            memory_bytes: bytes,
            mode: args.mode.into(),
            memory: MemoryConfig {
                policy,
                largest: args.pages.into(),
                clearing,
                svvptc: setup.exts.contains(Ext::Svvptc),
            },
            sstc: true,
            bare: true,
            toggle_cycles: None,
            slice_ticks: 10_000,
            cpi: super::cpi::of(args)?,
        };
        setup.ram_bytes = guests.ram_bytes();
        setup.guests = Some(guests);
        let output = Output::none();
        let mut machine = Machine::new(setup, &|| output.sink())?;
        for (at, bytes) in stores.image()? {
            let memory = machine.guest_memory(0).context("there is a guest")?;
            let pa = isa::Pa(memory.0 + (at - PROGRAM));
            machine.ram().write_bytes(pa, &bytes)?;
        }
        machine.with_hypervisor(|hypervisor, parts| {
            hypervisor.set_costs(Costs::MEASURED);
            if let Some(entries) = args.ring {
                hypervisor.with_memory(parts, 0, None, |memory, _| {
                    memory.use_rings(args.vcpus.into(), entries as usize);
                });
            }
            for vcpu in 0..usize::from(args.vcpus) {
                hypervisor.start(parts, VcpuId { vm: 0, vcpu }, PROGRAM, 0);
            }
        });
        Ok(Self {
            machine,
            stores,
            first_page: (base - PROGRAM) / PAGE_BYTES,
            copy: Vec::new(),
            measured: Measured {
                policy: policy.to_string(),
                before: Part::default(),
                enable: Part::default(),
                logging: Part::default(),
                disable: Part::default(),
                after: Part::default(),
                rounds: Vec::new(),
                converged: false,
                table_pages: 0,
                lost: 0,
                not_changed: 0,
                fault_cycles: None,
            },
            log_cost: 0,
            manual,
            ringed: args.ring.map(|_| vec![false; (bytes / PAGE_BYTES) as usize]),
        })
    }

    /// Lets the guest run for so many cycles of virtual time.
    fn pass(&mut self, cycles: u64) -> Result<()> {
        let never = AtomicBool::new(false);
        let until = self.machine.now().saturating_add(cycles);
        while self.machine.now() < until {
            let look = match self.ringed {
                Some(_) => until.min(self.machine.now().saturating_add(RING_CYCLES)),
                None => until,
            };
            let stop = self.machine.run_until(look, &never, &mut machine::NoInput)?;
            ensure!(stop.is_none(), "the guest ended: {stop:?}");
            if self.machine.hypervisor().is_some_and(|hypervisor| hypervisor.has_full_ring(0)) {
                self.empty_rings()?;
            }
        }
        self.see_tables();
        Ok(())
    }

    /// Takes all that is in the dirty rings.
    fn empty_rings(&mut self) -> Result<()> {
        let Some(mut named) = self.ringed.take() else { return Ok(()) };
        for vcpu in 0..self.stores.vcpus as usize {
            let entries = self.charged(|hypervisor, parts| {
                hypervisor.empty_ring(parts, VcpuId { vm: 0, vcpu })
            })?;
            for RingEntry { page, .. } in entries {
                if let Some(named) = named.get_mut(page as usize) {
                    *named = true;
                }
            }
        }
        self.ringed = Some(named);
        Ok(())
    }

    fn see_tables(&mut self) {
        if let Some(vm) = self.machine.hypervisor().and_then(|hypervisor| hypervisor.vms.first()) {
            let now = vm.memory.gstage().counts().tables;
            self.measured.table_pages = self.measured.table_pages.max(now);
        }
    }

    /// Until every page was written once.
    fn warm_up(&mut self) -> Result<()> {
        for _ in 0..100_000 {
            self.pass(1_000_000)?;
            let memory = self.machine.guest_memory(0).context("there is a guest")?;
            let warm = |vcpu| {
                let at = isa::Pa(memory.0 + (WARM - PROGRAM) + 8 * vcpu);
                self.machine.ram().read::<u64>(at) == Some(1)
            };
            if (0..self.stores.vcpus).all(warm) {
                return Ok(());
            }
        }
        anyhow::bail!("the guest does not get through its working set")
    }

    /// The working set as it is.
    fn memory(&self) -> Result<Vec<u8>> {
        let memory = self.machine.guest_memory(0).context("there is a guest")?;
        let mut bytes = vec![0; (self.stores.pages * PAGE_BYTES) as usize];
        let from = isa::Pa(memory.0 + (self.stores.base - PROGRAM));
        self.machine.ram().read_bytes(from, &mut bytes)?;
        Ok(bytes)
    }

    /// Does something to the log from a hart that runs no guest, and counts what it costs.
    fn on_log<T, E>(
        &mut self,
        act: impl FnOnce(&mut hyp::memory::GuestMemory, &mut hyp::memory::Env<'_>) -> Result<T, E>,
    ) -> Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        self.charged(|hypervisor, parts| hypervisor.with_memory(parts, 0, None, act))
    }

    /// Does something from a hart that runs no guest, and counts what it costs.
    fn charged<T, E>(
        &mut self,
        act: impl FnOnce(&mut Hypervisor, &mut Parts<'_>) -> Result<T, E>,
    ) -> Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let done = self.machine.with_hypervisor(|hypervisor, parts| {
            let before = Work::of(&hypervisor.vms[0]);
            let done = act(hypervisor, parts);
            let cost = hypervisor.costs().of(&Work::of(&hypervisor.vms[0]).since(&before));
            (done, cost)
        });
        let (done, cost) = done.context("there is a hypervisor")?;
        self.log_cost += cost;
        self.see_tables();
        Ok(done?)
    }

    /// Reads and clears the log, and copies the pages it names; returns how many.
    fn harvest(&mut self) -> Result<u64> {
        self.empty_rings()?;
        let mut log = self.on_log(|memory, env| memory.get_log(env, RAM_SLOT))?;
        for (page, named) in self.ringed.iter_mut().flatten().enumerate() {
            if std::mem::take(named) {
                log.set(page as u64, 1);
            }
        }
        if self.manual {
            let words = log.words().to_vec();
            for (index, word) in words.iter().enumerate().filter(|(_, word)| **word != 0) {
                self.on_log(|memory, env| memory.clear_log(env, RAM_SLOT, index, &[*word]))?;
            }
        }
        self.take(&log)
    }

    fn take(&mut self, log: &Bitmap) -> Result<u64> {
        let now = self.memory()?;
        let mut named = 0;
        for page in (0..self.stores.pages).filter(|page| log.contains(self.first_page + page)) {
            named += 1;
            let range = (page * PAGE_BYTES) as usize..((page + 1) * PAGE_BYTES) as usize;
            if self.copy[range.clone()] == now[range.clone()] {
                self.measured.not_changed += 1;
            }
            self.copy[range.clone()].copy_from_slice(&now[range]);
        }
        Ok(named)
    }

    /// Pages in which the copy is not what is there.
    fn differences(&self) -> Result<u64> {
        let now = self.memory()?;
        let size = PAGE_BYTES as usize;
        let differ = self.copy.chunks(size).zip(now.chunks(size)).filter(|(copy, now)| copy != now);
        Ok(differ.count() as u64)
    }

    /// What faults took so far, on a core.
    fn faults(&self) -> Option<Faults> {
        let of = |kind| self.machine.exit_cycles(kind);
        self.machine.harts().iter().any(Hart::has_model).then_some(())?;
        Some(Faults {
            mapped: of(ExitKind::Mapped)?,
            logged: of(ExitKind::Logged)?,
            split: of(ExitKind::Split)?,
        })
    }

    fn snapshot(&self) -> Part {
        let Some(hypervisor) = self.machine.hypervisor() else { return Part::default() };
        let vm = &hypervisor.vms[0];
        let (memory, tables, fences) =
            (vm.memory.counts(), vm.memory.gstage().counts(), vm.fences());
        // Stores are counted in s5 of each vCPU.
        let stores = (0..self.stores.vcpus as usize).map(|vcpu| {
            let on = (0..self.machine.harts().len())
                .find(|&hart| hypervisor.on_hart(hart) == Some(VcpuId { vm: 0, vcpu }));
            match on {
                Some(hart) => self.machine.harts()[hart].x(21),
                None => vm.vcpus[vcpu].context.x[21],
            }
        });
        Part {
            cycles: self.machine.now(),
            stores: stores.sum(),
            exits: hypervisor.counts().exits(),
            faults: memory.faults,
            log_faults: memory.log_faults,
            splits: tables.splits,
            collapses: tables.collapses,
            pte_loads: tables.loads,
            pte_writes: tables.stores + tables.exchanges,
            fences_by_address: fences.gvma_local + fences.gvma_remote,
            fences_of_all: fences.gvma_all_local + fences.gvma_all_remote + fences.gvma_placed,
            fences_remote: fences.gvma_remote + fences.gvma_all_remote,
            ipis: fences.ipis,
            full_rings: hypervisor.counts().full_rings,
            exits_cost: hypervisor.spent(),
            log_cost: self.log_cost,
        }
    }

    fn part(&mut self, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<Part> {
        let before = self.snapshot();
        act(self)?;
        let after = self.snapshot();
        Ok(after.since(&before))
    }
}

impl Part {
    fn since(&self, before: &Self) -> Self {
        Self {
            cycles: self.cycles - before.cycles,
            stores: self.stores - before.stores,
            exits: self.exits - before.exits,
            faults: self.faults - before.faults,
            log_faults: self.log_faults - before.log_faults,
            splits: self.splits - before.splits,
            collapses: self.collapses - before.collapses,
            pte_loads: self.pte_loads - before.pte_loads,
            pte_writes: self.pte_writes - before.pte_writes,
            fences_by_address: self.fences_by_address - before.fences_by_address,
            fences_of_all: self.fences_of_all - before.fences_of_all,
            fences_remote: self.fences_remote - before.fences_remote,
            ipis: self.ipis - before.ipis,
            full_rings: self.full_rings - before.full_rings,
            exits_cost: self.exits_cost - before.exits_cost,
            log_cost: self.log_cost - before.log_cost,
        }
    }

    /// Stores in a thousandth of a second of virtual time.
    pub(super) fn stores_per_ms(&self) -> f64 {
        self.stores as f64 * 1e6 / self.cycles.max(1) as f64
    }
}
