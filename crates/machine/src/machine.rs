//! The machine: board, harts, devices and what was loaded, from power-on to the end.

mod hosted;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cpu::{Exit, Hart, HartConfig, Writer};
use devices::htif::Htif;
use devices::{Finish, Sink};
use isa::{Cause, Exception, Ext, ExtSet, Pa};
use mmu::{PmaError, Ram, RamError, Shape};
use timing::Clock;

use crate::assembly::{Extra, Supplies, pma, slots};
use crate::board::Board;
use crate::bus::MachineBus;
use crate::clock::{Follow, Pace};
use crate::config::Boot;
use crate::device_tree::BoardTree;
use crate::events::{Counts, HartStats, Moment, Observing, SharedRecorder, Stats, Translation};
use crate::firmware::{End, Firmware, Outcome};
use crate::guests::{self, GuestSetup, Hosted, Surroundings};
use crate::load::{HtifWords, LoadError, Loaded, SignatureArea, Start, load};
use crate::sbi_port::SbiPort;
use crate::turns::{After, Call, Log, Round, SOLO_TURN_INSNS, State, TURN_INSNS, Turns};

/// What a machine is made of.
pub struct Setup {
    /// Harts, 1 to [`crate::board::HARTS_MAX`].
    pub harts: usize,
    /// Main memory in bytes.
    pub ram_bytes: u64,
    /// The extensions of every hart.
    pub exts: ExtSet,
    /// Cycles and ticks.
    pub clock: Clock,
    /// What virtual time follows.
    pub follow: Follow,
    /// The architectural TLB of every hart.
    pub shape: Shape,
    /// PMP entries of every hart: 0, 16 or 64.
    pub pmp_entries: usize,
    /// GEILEN of every hart: guest external interrupt lines, at most 63.
    pub geilen: u32,
    /// ASIDLEN of every hart, at most 16.
    pub asid_bits: u32,
    /// VMIDLEN of every hart, at most 14.
    pub vmid_bits: u32,
    /// Misaligned data accesses.
    pub misaligned: cpu::Misaligned,
    /// Seeds every source of entropy the guest has.
    pub seed: u64,
    /// What the real-time clock shows at power-on, in nanoseconds since 1970.
    pub power_on_ns: u64,
    /// The core whose cycles the harts take, and the memory's latency where it is not the core's own; without one
    /// an instruction is a cycle.
    pub core: Option<(timing::Core, Option<u64>)>,
    /// The test-only output page.
    pub test_device: bool,
    /// What is loaded.
    pub boot: Boot,
    /// A guest that asks for a reset gets one; else it ends the run, as power-off does.
    pub reboots: bool,
    /// What is loaded runs as a guest, or several of them, under the embedded hypervisor; then main memory must have
    /// [`GuestSetup::ram_bytes`].
    pub guests: Option<GuestSetup>,
    /// Devices for the virtio slots, in order; entropy takes the next one.
    pub extras: Vec<Extra>,
}

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The guest powered the machine off, or exited with a code through the finisher, the test
    /// page or HTIF. Zero is success.
    Exit {
        /// The guest's code.
        code: u64,
    },
    /// The instruction limit is reached.
    Limit,
    /// Somebody outside asked for it.
    Requested,
    /// Every hart waits and nothing is left that could wake one.
    Asleep,
    /// A hart traps for ever and retires nothing between: its handler cannot run, and no other hart is left that works
    /// or could wake.
    TrapLoop {
        /// Which hart.
        hart: usize,
        /// The exception.
        exception: Exception,
        /// Where it is raised.
        pc: u64,
    },
    /// A trap came while M-mode could take none: the critical-error state of Smdbltrp.
    CriticalError {
        /// Which hart.
        hart: usize,
        /// The trap.
        cause: Cause,
        /// Where it came.
        pc: u64,
    },
}

/// How far a debugger's machine got. Unless it is over, the run goes on as if it had not been left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leg {
    /// The run ended.
    Ended(Stop),
    /// Somebody asked for a pause.
    Paused,
    /// A hart halted for the debugger, and says why.
    Halted {
        /// Which hart.
        hart: usize,
    },
}

/// Console input, byte by byte.
pub trait Input {
    /// The next byte, if one has arrived.
    fn next(&mut self) -> Option<u8>;

    /// Nothing runs until `limit` has passed or input has arrived: wait for either. Without a limit
    /// only input ends the wait. Says whether to go on; `false` if nothing will ever come.
    fn wait(&mut self, limit: Option<Duration>) -> bool;
}

/// No input, ever.
pub struct NoInput;

impl Input for NoInput {
    fn next(&mut self) -> Option<u8> {
        None
    }

    fn wait(&mut self, _: Option<Duration>) -> bool {
        false
    }
}

/// The longest sleep while the machine is idle and time follows the wall clock.
const IDLE_SLICE: Duration = Duration::from_millis(50);

/// Console input that is taken in before the guest asks for it.
const INPUT_BYTES_MAX: usize = 256;

/// How far a run may go, and who can end it.
pub struct Limits<'a> {
    /// Instructions retired by all harts together.
    pub insns: u64,
    /// Set from outside to end the run.
    pub stop: &'a AtomicBool,
}

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Main memory.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// A file, or what it holds.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The board's regions are not what a machine needs.
    #[error("the board's regions: {0}")]
    Regions(#[from] PmaError),
    /// Guests need the hypervisor extension.
    #[error("the harts lack the hypervisor extension, without which there are no guests")]
    NoHypervisorExtension,
    /// Main memory is too small for the guests.
    #[error("main memory is too small for the guests")]
    GuestMemory,
    /// The board lacks what every machine has.
    #[error("the board has no {0}")]
    Board(&'static str),
}

/// See the module.
pub struct Machine {
    turns: Turns,
    bus: MachineBus,
    ram: Arc<Ram>,
    boot: Boot,
    htif: Option<(HtifWords, Htif)>,
    signature: Option<SignatureArea>,
    /// The built-in firmware, where it is used.
    firmware: Option<Firmware>,
    /// The embedded hypervisor, where guests run without HS software.
    hosted: Option<Box<Hosted>>,
    sbi_console: Box<dyn Sink>,
    /// Console input on its way to the UART or to the firmware.
    input: VecDeque<u8>,
    board: Board,
    exts: ExtSet,
    clock: Clock,
    pace: Pace,
    seed: u64,
    reboots: bool,
    notes: Vec<String>,
    log: Option<Box<Log>>,
    recorder: Option<SharedRecorder>,
}

impl Machine {
    /// Builds the board, loads it, and puts the harts where they start.
    ///
    /// # Errors
    /// Memory cannot be had, or a file is missing, malformed or does not fit.
    pub fn new(setup: Setup, console: &dyn Fn() -> Box<dyn Sink>) -> Result<Self, BuildError> {
        let board = Board::new(setup.harts, setup.ram_bytes, setup.test_device);
        let tree = BoardTree {
            board: &board,
            exts: &setup.exts,
            timebase_hz: u32::try_from(setup.clock.timebase_hz()).unwrap_or(u32::MAX),
            seed: setup.seed,
            modelled: setup.core.is_some(),
        };
        let mut loaded = match &setup.guests {
            None => load(&setup.boot, &tree)?,
            Some(guests) => guests::load(guests, &setup)?,
        };
        let ram = Arc::new(Ram::new(board.ram().base, setup.ram_bytes)?);
        let pma = Arc::new(pma(&board)?);
        let outer = setup.core.as_ref().and_then(|(core, latency)| core.outer(*latency));
        let harts = (0..setup.harts).map(|id| {
            let config = HartConfig {
                pmp_entries: setup.pmp_entries,
                geilen: setup.geilen,
                asid_bits: setup.asid_bits,
                vmid_bits: setup.vmid_bits,
                shape: setup.shape.clone(),
                misaligned: setup.misaligned,
                clock: setup.clock,
                seed: setup.seed,
                ..HartConfig::new(id as u64, setup.exts)
            };
            let mut hart = Hart::new(&config, Arc::clone(&ram), Arc::clone(&pma));
            if let Some((core, memory_latency)) = &setup.core {
                hart.set_model(core, *memory_latency, outer.as_ref());
            }
            hart
        });
        let turn_insns = if setup.harts == 1 { SOLO_TURN_INSNS } else { TURN_INSNS };
        let turns = Turns::new(harts.collect(), turn_insns);
        let dma: Arc<dyn devices::Dma> = ram.clone();
        let slots = slots(Supplies {
            board: &board,
            dma,
            clock: setup.clock,
            power_on_ns: setup.power_on_ns,
            seed: setup.seed,
            rom: loaded.rom.clone(),
            console,
            extras: setup.extras,
        });
        let bus = MachineBus::new(&board, slots, setup.clock)
            .ok_or(BuildError::Board("interrupt controllers"))?;
        let htif = loaded.htif.map(|words| (words, Htif::new(console())));
        let mut machine = Self {
            turns,
            bus,
            ram,
            boot: setup.boot,
            htif,
            signature: loaded.signature,
            firmware: None,
            hosted: None,
            sbi_console: console(),
            input: VecDeque::new(),
            board,
            exts: setup.exts,
            clock: setup.clock,
            pace: Pace::new(setup.clock, setup.follow),
            seed: setup.seed,
            reboots: setup.reboots,
            notes: std::mem::take(&mut loaded.notes),
            log: None,
            recorder: None,
        };
        match &setup.guests {
            None => machine.place(&loaded, false),
            Some(guests) => machine.place_guests(guests, &loaded, console)?,
        }
        Ok(machine)
    }

    /// Gives the harts to the hypervisor, with guests that start at what was loaded.
    fn place_guests(
        &mut self,
        guests: &GuestSetup,
        loaded: &Loaded,
        console: &dyn Fn() -> Box<dyn Sink>,
    ) -> Result<(), BuildError> {
        if !self.exts.contains(Ext::H) {
            return Err(BuildError::NoHypervisorExtension);
        }
        for hart in &mut self.turns.harts {
            hart.reset(0);
            hart.attach_firmware();
            hart.attach_hypervisor();
        }
        let mut firmware = Firmware::new(self.turns.harts.len());
        firmware.boot_hypervised(&mut self.sbi_port());
        self.firmware = Some(firmware);
        self.turns.suspend_all();
        if guests.memory.policy.detect == hyp::policy::Detect::DirtyBit {
            // As supervisor software asks for it by SBI's FWFT.
            for hart in &mut self.turns.harts {
                let environment = hart.csr(isa::csr::MENVCFG).unwrap_or(0);
                let updating = environment | isa::field::menvcfg::ADUE;
                let _ = hart.set_csr(isa::csr::MENVCFG, updating);
            }
        }
        let around = Surroundings {
            turns: &mut self.turns,
            bus: &mut self.bus,
            ram: &self.ram,
            input: &mut self.input,
            sstc: self.exts.contains(Ext::Sstc),
        };
        let hosted = Hosted::new(guests, around, &self.exts, loaded, console);
        self.hosted = Some(Box::new(hosted.ok_or(BuildError::GuestMemory)?));
        Ok(())
    }

    /// Runs until `cycle` of virtual time; `Some` if the run ended before.
    ///
    /// # Errors
    /// As for [`Machine::run`].
    pub fn run_until(
        &mut self,
        cycle: u64,
        stop: &AtomicBool,
        input: &mut dyn Input,
    ) -> Result<Option<Stop>, LoadError> {
        while self.turns.cycle < cycle {
            let harts = self.turns.harts.len() as u64;
            let left = (cycle - self.turns.cycle).saturating_mul(harts);
            let limits = Limits { insns: self.turns.retired().saturating_add(left), stop };
            match self.run_round(&limits, input)? {
                ControlFlow::Break(stop) => return Ok(Some(stop)),
                ControlFlow::Continue(Round::Idle { next }) => {
                    self.turns.skip_to(next.unwrap_or(cycle).min(cycle).min(self.next_toggle()));
                }
                ControlFlow::Continue(_) => {}
            }
        }
        Ok(None)
    }

    /// From now on cycle models go instruction by instruction and look nothing up: slower, to the same cycles.
    pub fn model_plainly(&mut self) {
        self.turns.harts.iter_mut().for_each(cpu::Hart::model_plainly);
    }

    /// The moment up to which all harts have run, in cycles of virtual time.
    pub fn now(&self) -> u64 {
        self.turns.cycle
    }

    /// Writes what was loaded into memory, which has been `used` after a reset, and puts the harts at
    /// their start.
    fn place(&mut self, loaded: &Loaded, used: bool) {
        // The layout has checked that every piece lies in main memory.
        let _ = loaded.layout.write(self.ram.as_ref(), used);
        for (id, hart) in self.turns.harts.iter_mut().enumerate() {
            let (pc, tree, info) = match loaded.start {
                Start::Machine { pc, tree, info } => (pc, tree, info),
                Start::Supervisor { pc, tree } => (pc, tree, Pa(0)),
            };
            hart.reset(pc.0);
            for (register, value) in [(10, id as u64), (11, tree.0), (12, info.0)] {
                hart.set_x(register, value);
            }
            if let Some(words) = loaded.htif {
                self.ram.follow_word(words.tohost);
                hart.set_tripwire(words.tohost);
            }
        }
        self.turns.set_all_running(true);
        self.firmware = None;
        if let Start::Supervisor { pc, tree } = loaded.start {
            for hart in &mut self.turns.harts {
                hart.attach_firmware();
            }
            self.turns.set_all_running(false);
            let mut firmware = Firmware::new(self.turns.harts.len());
            firmware.boot(&mut self.sbi_port(), pc, tree);
            self.firmware = Some(firmware);
        }
    }

    fn sbi_port(&mut self) -> SbiPort<'_> {
        SbiPort {
            turns: &mut self.turns,
            bus: &mut self.bus,
            ram: &self.ram,
            exts: &self.exts,
            console: self.sbi_console.as_mut(),
            input: &mut self.input,
        }
    }

    /// Starts again from power-on: devices reset, files loaded anew.
    fn restart(&mut self) -> Result<(), LoadError> {
        let tree = BoardTree {
            board: &self.board,
            exts: &self.exts,
            timebase_hz: u32::try_from(self.clock.timebase_hz()).unwrap_or(u32::MAX),
            seed: self.seed,
            modelled: self.turns.harts.iter().all(Hart::has_model),
        };
        let loaded = load(&self.boot, &tree)?;
        self.bus.reset();
        self.place(&loaded, true);
        Ok(())
    }

    /// Runs until the guest ends, a limit is reached, or somebody asks.
    ///
    /// # Errors
    /// The guest asked for a reset and a file can no longer be loaded.
    pub fn run(&mut self, limits: &Limits<'_>, input: &mut dyn Input) -> Result<Stop, LoadError> {
        let never = AtomicBool::new(false);
        loop {
            if let Leg::Ended(stop) = self.run_leg(limits, &never, input)? {
                return Ok(stop);
            }
        }
    }

    /// Like [`Machine::run`], but comes back when a debugger halted a hart, and soon after somebody set
    /// `pause`.
    ///
    /// # Errors
    /// As for [`Machine::run`].
    pub fn run_leg(
        &mut self,
        limits: &Limits<'_>,
        pause: &AtomicBool,
        input: &mut dyn Input,
    ) -> Result<Leg, LoadError> {
        loop {
            if pause.load(Ordering::Relaxed) {
                return Ok(Leg::Paused);
            }
            let round = match self.run_round(limits, input)? {
                ControlFlow::Continue(round) => round,
                ControlFlow::Break(stop) => return Ok(Leg::Ended(stop)),
            };
            match round {
                Round::Passed => {}
                Round::Halted { hart } => return Ok(Leg::Halted { hart }),
                Round::Idle { next } => {
                    if !self.idle(next, input) {
                        let looping = self.turns.looping().map(|(hart, exit)| stopped(hart, exit));
                        return Ok(Leg::Ended(looping.flatten().unwrap_or(Stop::Asleep)));
                    }
                }
                Round::Stop { hart, exit } => {
                    if let Some(stop) = stopped(hart, exit) {
                        return Ok(Leg::Ended(stop));
                    }
                }
            }
        }
    }

    /// One round and what it calls for; `Break` at the end of the run.
    fn run_round(
        &mut self,
        limits: &Limits<'_>,
        input: &mut dyn Input,
    ) -> Result<ControlFlow<Stop, Round>, LoadError> {
        let ended = |stop| Ok(ControlFlow::Break(stop));
        if limits.stop.load(Ordering::Relaxed) {
            return ended(Stop::Requested);
        }
        let left = limits.insns.saturating_sub(self.turns.retired());
        if !self.turns.is_mid_round() {
            if left == 0 {
                return ended(Stop::Limit);
            }
            self.feed(input);
            let sstc = self.exts.contains(Ext::Sstc);
            let Self { turns, bus, ram, hosted, input, .. } = self;
            if let Some(hosted) = hosted {
                let cycle = turns.cycle;
                hosted.toggle(Surroundings { turns, bus, ram, input, sstc }, cycle);
            }
            let behind = self.pace.caught_up(self.turns.cycle);
            if behind > self.turns.cycle {
                self.turns.skip_to(behind);
            }
        }
        let (round, end) = self.round(left);
        if matches!(round, Round::Halted { .. }) {
            // What the guest has asked for is done when the round is over.
            return Ok(ControlFlow::Continue(round));
        }
        let exit = self.serve_htif(matches!(round, Round::Idle { .. }));
        self.report_device_writes();
        if let Some(code) = exit {
            return ended(Stop::Exit { code });
        }
        match self.bus.take_finish() {
            Some(Finish::Pass) => return ended(Stop::Exit { code: 0 }),
            Some(Finish::Fail { code }) => return ended(Stop::Exit { code: code.into() }),
            Some(Finish::Reset) if !self.reboots => return ended(Stop::Exit { code: 0 }),
            Some(Finish::Reset) => self.restart()?,
            None => {}
        }
        match end {
            Some(End::Shutdown) => return ended(Stop::Exit { code: 0 }),
            Some(End::Failure) => return ended(Stop::Exit { code: 1 }),
            Some(End::Reboot) if !self.reboots || self.hosted.is_some() => {
                return ended(Stop::Exit { code: 0 });
            }
            Some(End::Reboot) => self.restart()?,
            None => {}
        }
        Ok(ControlFlow::Continue(round))
    }

    /// Passes the time in which every hart waits, up to `next`. Says whether anything can still
    /// happen.
    fn idle(&mut self, next: Option<u64>, input: &mut dyn Input) -> bool {
        // Input that the guest has not fetched yet does not wake it again.
        let Some(next) = next else { return input.wait(None) };
        let next = next.min(self.next_toggle());
        let mut left = self.pace.wait_for(next);
        if left > Duration::ZERO {
            // Short enough to notice a request to stop.
            left = left.min(IDLE_SLICE);
            input.wait(Some(left));
        }
        self.turns.skip_to(self.pace.limit(next));
        true
    }

    /// When dirty logs are switched next, in cycles.
    fn next_toggle(&self) -> u64 {
        self.hosted.as_ref().map_or(u64::MAX, |hosted| hosted.next_toggle())
    }

    /// One round of turns; says how the firmware ended the machine if it did.
    fn round(&mut self, left: u64) -> (Round, Option<End>) {
        let Self {
            turns, bus, ram, exts, firmware, hosted, sbi_console, input, log, recorder, ..
        } = self;
        let sstc = exts.contains(Ext::Sstc);
        let mut end = None;
        let round = turns.round(bus, left, log.as_deref_mut(), |turns, bus, hart, call| {
            if let Some(hosted) = hosted.as_mut().filter(|_| call != Call::Trap) {
                if let Some(recorder) = recorder {
                    recorder.set_caller(Some(hart));
                }
                let after = hosted.exit(Surroundings { turns, bus, ram, input, sstc }, hart);
                if after == After::End {
                    end = Some(hosted.end());
                }
                if let Some(recorder) = recorder {
                    recorder.set_caller(None);
                    turns.harts[hart].report_writes(Writer::Firmware);
                }
                return after;
            }
            let Some(firmware) = firmware else { return After::Return };
            let console = sbi_console.as_mut();
            if let Some(recorder) = recorder {
                recorder.set_caller(Some(hart));
            }
            let mut port = SbiPort { turns, bus, ram, exts, console, input };
            let after = match call {
                Call::Trap => match firmware.trap(&mut port, hart) {
                    Outcome::Return => After::Return,
                    Outcome::Wait => After::Suspend,
                    Outcome::Stop => After::Stop,
                    Outcome::End(how) => {
                        end = Some(how);
                        After::End
                    }
                },
                Call::Woken | Call::Hypervisor => {
                    firmware.woken(&mut port, hart);
                    After::Return
                }
            };
            if let Some(recorder) = recorder {
                recorder.set_caller(None);
                turns.harts[hart].report_writes(Writer::Firmware);
            }
            after
        });
        (round, end)
    }

    /// Takes console input in, and passes it on as far as the guest's console takes it. Until the
    /// guest uses one, input waits for the firmware's console calls.
    fn feed(&mut self, input: &mut dyn Input) {
        while self.input.len() < INPUT_BYTES_MAX {
            let Some(byte) = input.next() else { break };
            self.input.push_back(byte);
        }
        if self.input.is_empty() {
            return;
        }
        let now = self.bus.now();
        let Some(serial) = self.bus.input_taker() else { return };
        while serial.room() > 0
            && let Some(byte) = self.input.pop_front()
        {
            serial.push(&[byte], now);
        }
        self.bus.refresh();
    }

    /// A device was used outside any hart's turn.
    fn report_device_writes(&mut self) {
        if let Some(hart) = self.turns.harts.first_mut() {
            hart.report_writes(Writer::Device);
        }
    }

    /// Serves a command in `tohost` and delivers a reply to `fromhost`; an exit gives its code. `idle`: every hart
    /// waits.
    fn serve_htif(&mut self, idle: bool) -> Option<u64> {
        let (words, htif) = self.htif.as_mut()?;
        let now = self.turns.retired();
        let command = self.ram.read::<u64>(words.tohost)?;
        if htif.is_complete(command, self.ram.take_word_bytes(), now, idle) {
            self.ram.write(words.tohost, 0u64);
            // That was no store of the guest's.
            self.ram.take_word_bytes();
            if let Some(code) = htif.command(command, self.ram.as_ref()) {
                return Some(code);
            }
        }
        if let Some(fromhost) = words.fromhost
            && self.ram.read::<u64>(fromhost) == Some(0)
            && let Some(reply) = htif.reply()
        {
            self.ram.write(fromhost, reply);
        }
        None
    }

    /// What the user should know of what was loaded, although nothing is wrong.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// From now on `log` hears of every retired instruction and every trap, which makes runs slower.
    pub fn set_log(&mut self, log: Box<Log>) {
        self.log = Some(log);
    }

    /// From now on events are told and counted. The run stays the same.
    pub fn observe(&mut self, observing: Observing) {
        let harts: Vec<_> =
            self.turns.harts.iter().map(|hart| (hart.mode(), Moment::of(hart))).collect();
        let recorder = SharedRecorder::new(observing, Arc::clone(&self.ram), &harts);
        for hart in &mut self.turns.harts {
            hart.set_witness(Box::new(recorder.clone()));
        }
        self.recorder = Some(recorder);
    }

    /// What was counted since [`Machine::observe`]; `None` if nothing was.
    pub fn stats(&self) -> Option<Stats> {
        let harts = &self.turns.harts;
        let now = |hart: usize| harts.get(hart).map(Moment::of).unwrap_or_default();
        let (counts, gstage_table_pages) = self.recorder.as_ref()?.counts(now);
        let mut total = Counts::default();
        let harts = harts.iter().zip(counts).map(|(hart, mut counts)| {
            counts.translation = Translation::of(hart.mmu().stats());
            counts.model = hart.model_counts();
            total.add(&counts);
            HartStats { hart: hart.id(), cycles: hart.cycle(), counts }
        });
        let harts = harts.collect();
        Some(Stats {
            schema: Stats::SCHEMA,
            instructions: self.retired(),
            cycles: self.cycles(),
            total,
            gstage_table_pages,
            harts,
        })
    }

    /// Instructions retired by all harts.
    pub fn retired(&self) -> u64 {
        self.turns.retired()
    }

    /// Virtual time since power-on, in cycles.
    pub fn cycles(&self) -> u64 {
        self.turns.harts.iter().map(Hart::cycle).max().unwrap_or(0)
    }

    /// The harts.
    pub fn harts(&self) -> &[Hart] {
        &self.turns.harts
    }

    /// The harts, for a debugger to look into and to change.
    pub fn harts_mut(&mut self) -> &mut [Hart] {
        &mut self.turns.harts
    }

    /// What hart number `hart` does with its turns.
    pub fn hart_state(&self, hart: usize) -> State {
        self.turns.state(hart)
    }

    /// Holds the harts for which `frozen` says so, and no others: they take no turns, while time passes.
    pub fn freeze(&mut self, frozen: impl Fn(usize) -> bool) {
        self.turns.freeze(frozen);
    }

    /// The extensions of every hart.
    pub fn exts(&self) -> &ExtSet {
        &self.exts
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Where the program leaves its signature, if its file says.
    pub fn signature(&self) -> Option<SignatureArea> {
        self.signature
    }

    /// Main memory.
    pub fn ram(&self) -> &Ram {
        &self.ram
    }
}

/// How a run ends with a hart that cannot go on; none for any other exit.
fn stopped(hart: usize, exit: Exit) -> Option<Stop> {
    match exit {
        Exit::TrapLoop { exception, pc } => Some(Stop::TrapLoop { hart, exception, pc }),
        Exit::CriticalError { cause, pc } => Some(Stop::CriticalError { hart, cause, pc }),
        _ => None,
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for slot in self.bus.devices() {
            if let Some(Err(error)) = slot.device.storage().map(|storage| storage.flush()) {
                tracing::error!("{}: data may be lost: {error}", slot.region.label());
            }
        }
    }
}
