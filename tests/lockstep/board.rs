//! Our side: one hart and memory as Spike's machine has them, stepped one event at a time. There are
//! no devices and no clock of our own: what they would decide is taken from Spike's log.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cpu::{Commit, Event, Exit, Hart, HartConfig, Platform, Trapped, Wires};
use isa::{ExtSet, Interrupt, Pa};
use machine::config::Boot;
use machine::device_tree::BoardTree;
use machine::load::{Start, load};
use machine::{Board, LogFormat};
use mmu::{Bus, BusFault, PmaMap, PmaRegion, Ram, Shape};
use timing::Clock;

/// As much memory as Spike is given.
const RAM_BYTES: u64 = 2 << 30;

/// Cycles in a tick: so many that time stands still unless it is moved.
const CYCLES_PER_TICK: u64 = 1 << 24;

/// Where Spike has devices.
const DEVICES: &[PmaRegion] = &[
    PmaRegion::io(Pa(0x0200_0000), 0xc_0000),
    PmaRegion::io(Pa(0x0c00_0000), 0x100_0000),
    PmaRegion::io(Pa(0x1000_0000), 0x100),
];

/// The one device register that our side keeps: a store to it sets the time.
const MTIME: Pa = Pa(0x0200_bff8);

/// Interrupts that come from outside a hart.
const LINES: [Interrupt; 4] = [
    Interrupt::MachineSoftware,
    Interrupt::MachineTimer,
    Interrupt::MachineExternal,
    Interrupt::SupervisorExternal,
];

/// What one step of the hart did.
pub(crate) enum Step {
    /// An instruction retired; and its line.
    Commit(Box<Commit>, String),
    /// A trap was taken; its lines.
    Trap(Trapped, String),
    /// Nothing happened.
    Nothing,
}

/// What stands in for the devices.
struct Stand {
    /// What a device returns to a load; `None` where an access faults.
    device: Option<u64>,
    /// Loads from devices so far.
    loads: u64,
    lines: u64,
    clock: Clock,
    /// The hart's cycle at its access.
    now: u64,
    mtime_start: u64,
}

/// See the module.
pub(crate) struct Rig {
    hart: Hart,
    stand: Stand,
    ram: Arc<Ram>,
    tohost: Option<Pa>,
    clock: Clock,
}

impl Rig {
    /// Loads `elf` into a machine of these extensions.
    pub(crate) fn new(isa: &str, shape: &Shape, elf: &Path) -> Result<Self> {
        let exts = ExtSet::parse(isa).context("we do not take Spike's ISA string")?;
        let board = Board::new(1, RAM_BYTES, false);
        let tree = BoardTree {
            board: &board,
            exts: &exts,
            timebase_hz: 10_000_000,
            seed: 0,
            modelled: false,
        };
        let loaded = load(&Boot { program: Some(elf.into()), ..Boot::default() }, &tree)?;
        let ram = Arc::new(Ram::new(board.ram().base, RAM_BYTES)?);
        for piece in loaded.layout.pieces() {
            ram.write_bytes(piece.range.start, &piece.bytes)
                .ok()
                .context("a piece lies outside main memory")?;
        }
        let pma = Arc::new(PmaMap::new(DEVICES.iter().copied())?);
        let clock = Clock::new(CYCLES_PER_TICK, 1).map_err(anyhow::Error::new)?;
        let config = HartConfig { clock, shape: shape.clone(), ..HartConfig::new(0, exts) };
        let mut hart = Hart::new(&config, Arc::clone(&ram), pma);
        let (Start::Machine { pc, .. } | Start::Supervisor { pc, .. }) = loaded.start;
        hart.reset(pc.0);
        let tohost = loaded.htif.map(|words| words.tohost);
        let stand = Stand { device: None, loads: 0, lines: 0, clock, now: 0, mtime_start: 0 };
        Ok(Self { hart, stand, ram, tohost, clock })
    }

    pub(crate) fn hart(&mut self) -> &mut Hart {
        &mut self.hart
    }

    /// Loads from devices so far.
    pub(crate) fn device_loads(&self) -> u64 {
        self.stand.loads
    }

    /// What `tohost` holds, if the program has one and has written it.
    pub(crate) fn tohost(&self) -> Option<u64> {
        self.ram.read(self.tohost?).filter(|&word| word != 0)
    }

    /// Executes an instruction, or takes a trap. A load from a device returns `device`.
    pub(crate) fn step(&mut self, device: Option<u64>) -> Step {
        self.stand.device = device;
        let mut step = Step::Nothing;
        self.hart.step_logged(&mut self.stand, &mut |event| {
            let mut text = String::new();
            step = match event {
                Event::Commit(commit) => {
                    LogFormat::Spike.commit(&mut text, commit);
                    Step::Commit(Box::new(commit.clone()), text)
                }
                Event::Trap(trap) => {
                    LogFormat::Spike.trap(&mut text, &trap);
                    Step::Trap(trap, text)
                }
            };
        });
        self.stand.lines = 0;
        step
    }

    /// Runs for `cycles`, one for an instruction and one for a trap, as a machine does: block by block.
    pub(crate) fn run(&mut self, cycles: u64) -> Result<()> {
        self.stand.device = Some(0);
        match self.hart.run(&mut self.stand, cycles) {
            Exit::Budget => Ok(()),
            exit => bail!("the hart stops at {:#x}: {exit:?}", self.hart.pc()),
        }
    }

    /// The time that has passed, whatever the program made of its counters.
    pub(crate) fn cycles(&self) -> u64 {
        self.hart.cycle()
    }

    /// Everything software could find out: registers, and a sum over each page of the first
    /// `memory_bytes` of main memory.
    pub(crate) fn state(&self, memory_bytes: u64) -> Vec<(String, u64)> {
        let hart = &self.hart;
        let mut state = vec![("pc".to_owned(), hart.pc())];
        state.push((format!("mode {}", hart.mode()), 0));
        state.extend((0..32).map(|n| (format!("x{n}"), hart.x(n))));
        state.extend((0..32).map(|n| (format!("f{n}"), hart.f(n))));
        for row in isa::csr::CSRS {
            state.extend(hart.csr(row.number).map(|value| (row.name.to_owned(), value)));
        }
        let base = self.ram.base().0;
        for page in (base..base + memory_bytes).step_by(0x1000) {
            let words = (page..page + 0x1000).step_by(8);
            let sum = words.fold(0u64, |sum, at| {
                let word: u64 = self.ram.read(Pa(at)).unwrap_or(0);
                sum.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word
            });
            state.push((format!("the page at {page:#x}"), sum));
        }
        state
    }

    /// Takes the interrupt that Spike takes now: raises its line, or moves time to where it fires.
    pub(crate) fn interrupt(&mut self, number: u64) -> Step {
        let Some(interrupt) = Interrupt::from_code(number) else { return Step::Nothing };
        if LINES.contains(&interrupt) {
            self.stand.lines = interrupt.bit();
        } else if matches!(interrupt, Interrupt::SupervisorTimer | Interrupt::VsTimer) {
            self.pass_comparator(interrupt);
        }
        self.step(None)
    }

    /// Moves time on until a comparator has made `interrupt` pending, if one can.
    fn pass_comparator(&mut self, interrupt: Interrupt) {
        let pending = |hart: &Hart| hart.csr(isa::csr::MIP).unwrap_or(0) & interrupt.bit() != 0;
        while !pending(&self.hart) {
            match self.hart.comparator_deadline() {
                u64::MAX => break,
                cycle => self.hart.set_cycle(cycle),
            }
        }
    }

    /// Spike has gone on behind a WFI without a trap: something enabled is pending.
    pub(crate) fn wake(&mut self) {
        let enabled = self.hart.csr(isa::csr::MIE).unwrap_or(0);
        let lines = LINES.iter().fold(0, |lines, line| lines | line.bit());
        self.stand.lines = enabled & lines;
        if self.stand.lines == 0 {
            for timer in [Interrupt::SupervisorTimer, Interrupt::VsTimer] {
                if enabled & timer.bit() != 0 {
                    self.pass_comparator(timer);
                }
            }
        }
    }

    /// Moves time on so that `time` reads `ticks` in the current mode, unless that is past.
    pub(crate) fn move_time_to(&mut self, ticks: u64) {
        let delta = match self.hart.mode().v() {
            true => self.hart.csr(isa::csr::HTIMEDELTA).unwrap_or(0),
            false => 0,
        };
        let since_start = ticks.wrapping_sub(delta).wrapping_sub(self.stand.mtime_start);
        let cycle = self.clock.cycles(since_start);
        if cycle > self.hart.cycle() && cycle != u64::MAX {
            self.hart.set_cycle(cycle);
        }
    }
}

impl Bus for Stand {
    fn read(&mut self, _: Pa, size: u8) -> Result<u64, BusFault> {
        self.loads += 1;
        let value = self.device.ok_or(BusFault)?;
        Ok(if size < 8 { value & ((1 << (8 * size)) - 1) } else { value })
    }

    fn write(&mut self, pa: Pa, size: u8, value: u64) -> Result<(), BusFault> {
        if (pa, size) == (MTIME, 8) {
            self.mtime_start = value.wrapping_sub(self.clock.ticks(self.now));
        }
        self.device.map(|_| ()).ok_or(BusFault)
    }
}

impl Platform for Stand {
    fn sync(&mut self, _: u64, _: u64) -> Wires {
        Wires {
            lines: self.lines,
            guest_lines: 0,
            mtime_start: self.mtime_start,
            deadline: u64::MAX,
            stop: false,
        }
    }

    fn advance(&mut self, cycle: u64) {
        self.now = cycle;
    }
}
