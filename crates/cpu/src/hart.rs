//! The hart: finds or decodes the code at `pc`, runs it, takes traps and interrupts, keeps time.

mod debug;
mod hypervisor;
mod timed;

pub use debug::{Catches, Caught, Explained, Halt, Requests, Step};
pub use timed::{Left, OutsideStep};

use std::sync::Arc;

use isa::{Cause, Decoder, Exception, Insn, Interrupt, Mode, Pa, Va};
use mmu::{
    Access, Fence, Kind, Mmu, MmuConfig, PageClass, PageEvent, PagesSeen, PmaMap, Ram,
    Target as Place,
};

use crate::HartConfig;
use crate::chain::{self, Bounds, Portable};
use crate::code::{CodeCache, Entry};
use crate::commit::{Event, Recorder};
use crate::core::Core;
use crate::counters::EventRow;
use crate::csr;
use crate::memory::trap_of;
use crate::platform::Platform;
use crate::thread::Threads;
use crate::trap::{Target, Trap};
use crate::witness::{Witness, Writer};

/// Why a hart stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The time it was given is used up.
    Budget,
    /// It waits for an interrupt.
    Wfi,
    /// A trap went to M-mode and firmware outside the guest handles it: the trap CSRs are set, and
    /// nothing at `mtvec` has been fetched.
    Firmware,
    /// A trap went to HS-mode and a hypervisor outside the machine's software handles it: the trap CSRs are
    /// set, and nothing at `stvec` has been fetched.
    Hypervisor,
    /// The machine asked it to stop.
    Stopped,
    /// Some agent stored to the tripwire's page.
    Tripped,
    /// It did what a debugger waits for: see [`Hart::take_halt`].
    Halted,
    /// It takes trap after trap and retires nothing between: the handler itself cannot run.
    TrapLoop {
        /// The first exception of the row.
        exception: Exception,
        /// Where that was raised.
        pc: u64,
    },
    /// A trap came to M-mode while it could not take one: the critical-error state of Smdbltrp. No
    /// state has changed.
    CriticalError {
        /// The trap that could not be taken.
        cause: Cause,
        /// Where it came.
        pc: u64,
    },
}

/// Traps in a row without an instruction retired, after which M-mode will not get any further: its
/// own handler faults. Lower modes may still be rescued by an interrupt, so they get longer.
const M_TRAP_LOOP: u32 = 16;
const TRAP_LOOP: u32 = 10_000_000;

/// Why there is no kept code to run at `pc`.
enum Outside {
    /// Something else was done: a trap was taken, or a debugger halts here.
    Done(Option<Exit>),
    /// The instruction cannot be kept.
    Uncached,
}

/// A hart. See the crate's documentation for how a machine drives it.
pub struct Hart {
    core: Core,
    decoder: Decoder,
    codes: CodeCache,
    /// Up to where the logs of watched pages have been read.
    pages_seen: PagesSeen,
    wires_deadline: u64,
    /// When to attend next: the machine's deadline or a comparator's.
    deadline: u64,
    wires_stop: bool,
    firmware: bool,
    hypervisor: bool,
    /// Traps since an instruction retired, and the first of them.
    barren_traps: u32,
    first_barren: (Exception, u64),
    tripwire: Option<Pa>,
    /// It runs without threads.
    portable: bool,
    /// What a debugger asks of it, while one is there.
    debug: Option<Box<debug::Debug>>,
    /// What its runs cost, while that is asked for.
    timed: Option<Box<timed::Timed>>,
}

impl Hart {
    /// A hart in its reset state.
    pub fn new(config: &HartConfig, ram: Arc<Ram>, pma: Arc<PmaMap>) -> Self {
        let mmu_config = MmuConfig::new(
            &config.exts,
            config.asid_bits,
            config.vmid_bits,
            config.pmp_entries,
            config.shape.clone(),
        )
        .with_errata(config.errata);
        let mmu = Mmu::new(mmu_config, Arc::clone(&ram), pma);
        let pages_seen = ram.pages_seen();
        let codes = CodeCache::new(&ram);
        Self {
            core: Core::new(config, ram, mmu),
            decoder: Decoder::new(&config.exts),
            codes,
            pages_seen,
            wires_deadline: 0,
            deadline: 0,
            wires_stop: false,
            firmware: false,
            hypervisor: false,
            barren_traps: 0,
            first_barren: (Exception::InstructionMisaligned, 0),
            tripwire: None,
            portable: false,
            debug: None,
            timed: None,
        }
    }

    /// Hands traps to M-mode to firmware outside the guest: [`Hart::run`] returns
    /// [`Exit::Firmware`] instead of fetching at `mtvec`.
    pub fn attach_firmware(&mut self) {
        self.firmware = true;
    }

    /// Makes [`Hart::run`] return with [`Exit::Tripped`] soon after a store to the page that holds `pa`,
    /// for an interface that lies in memory. The page is watched as if it held code.
    pub fn set_tripwire(&mut self, pa: Pa) {
        self.tripwire = Some(pa.page());
        // The log's reader takes note; events before this one are still to be read.
        self.core.ram.watch(pa.page(), PageClass::Code);
    }

    /// Whether every operation is run by one loop, instead of in threads of them. It makes no difference but in speed.
    pub fn set_portable(&mut self, portable: bool) {
        self.portable = portable;
    }

    /// From now on `witness` hears of what happens on this hart, whichever way it runs.
    pub fn set_witness(&mut self, witness: Box<dyn Witness>) {
        self.core.witness = Some(witness);
    }

    /// Somebody outside may have written to memory: tells the witness if that hit a watched table.
    pub fn report_writes(&mut self, by: Writer) {
        self.core.offset = 0;
        self.core.after_write(by);
    }

    /// Runs for `budget` cycles: so many instructions, where none traps.
    pub fn run(&mut self, port: &mut dyn Platform, budget: u64) -> Exit {
        let end = self.core.cycle.saturating_add(budget);
        if self.timed.is_some() {
            return self.run_modelled(port, end);
        }
        self.meet(port);
        if self.debug.is_some() {
            return self.run_debugged(port, end);
        }
        loop {
            if self.core.ram.page_events() != self.pages_seen.count() && self.read_page_events() {
                return Exit::Tripped;
            }
            let due = self.core.recheck || self.core.cycle >= self.deadline;
            if due && let Some(exit) = self.attend(port) {
                return exit;
            }
            if self.core.cycle >= end {
                return Exit::Budget;
            }
            let room = end.min(self.deadline) - self.core.cycle;
            if let Some(exit) = self.advance(port, room) {
                return exit;
            }
        }
    }

    /// Like [`Hart::run`], one instruction at a time, telling `log` of each one and of each trap.
    pub fn run_logged(
        &mut self,
        port: &mut dyn Platform,
        budget: u64,
        log: &mut dyn FnMut(Event<'_>),
    ) -> Exit {
        let end = self.core.cycle.saturating_add(budget);
        let mut recorder = Recorder::default();
        self.meet(port);
        if let Some(mut timed) = self.timed.take() {
            let exit = loop {
                let exit = self.logged_timed(&mut timed, port, end, &mut recorder, log);
                if let Some(exit) = exit {
                    break exit;
                }
            };
            self.timed = Some(timed);
            return exit;
        }
        loop {
            if let Some(exit) = self.logged(port, end, &mut recorder, log) {
                return exit;
            }
        }
    }

    /// Takes one trap or executes one instruction, and tells `log`. An instruction is a cycle here, model or not.
    pub fn step_logged(&mut self, port: &mut dyn Platform, log: &mut dyn FnMut(Event<'_>)) -> Exit {
        self.meet(port);
        self.logged(port, u64::MAX, &mut Recorder::default(), log).unwrap_or(Exit::Budget)
    }

    /// What [`Hart::run`] does in a round of its loop, for one instruction.
    fn logged(
        &mut self,
        port: &mut dyn Platform,
        end: u64,
        recorder: &mut Recorder,
        log: &mut dyn FnMut(Event<'_>),
    ) -> Option<Exit> {
        if self.core.ram.page_events() != self.pages_seen.count() && self.read_page_events() {
            return Some(Exit::Tripped);
        }
        if self.core.recheck || self.core.cycle >= self.deadline {
            recorder.before(&mut self.core, None);
            let exit = self.attend(port);
            let event = recorder.after(&mut self.core);
            let taken = event.is_some();
            event.into_iter().for_each(&mut *log);
            if taken || exit.is_some() {
                return exit;
            }
        }
        if self.core.cycle >= end {
            return Some(Exit::Budget);
        }
        recorder.before(&mut self.core, None);
        let exit = self.advance_recorded(port, recorder);
        recorder.after(&mut self.core).into_iter().for_each(log);
        exit
    }

    /// [`Hart::advance`] for one instruction, which `recorder` is told between its fetch and its execution.
    /// It is fetched only once, because a fetch can be counted.
    fn advance_recorded(
        &mut self,
        port: &mut dyn Platform,
        recorder: &mut Recorder,
    ) -> Option<Exit> {
        let end = self.core.retired + 1;
        match self.enter() {
            Ok(entry) => {
                let insn = self.decoded(entry);
                recorder.before(&mut self.core, insn);
                self.run_from(port, entry, end).and_then(|trap| self.trap(trap))
            }
            Err(Outside::Done(exit)) => exit,
            Err(Outside::Uncached) => match self.fetch_uncached(port) {
                Ok(word) => {
                    let insn = self.decoder.decode(word);
                    recorder.before(&mut self.core, insn);
                    self.run_uncached(port, word, insn).and_then(|trap| self.trap(trap))
                }
                Err(trap) => self.trap(trap),
            },
        }
    }

    /// Exchanges wires and time with the machine.
    fn meet(&mut self, port: &mut dyn Platform) {
        let wires = port.sync(self.core.hartid, self.core.cycle);
        self.report_writes(Writer::Device);
        self.core.lines = wires.lines;
        self.core.guest_lines = wires.guest_lines;
        self.core.mtime_start = wires.mtime_start;
        self.wires_stop = wires.stop;
        self.wires_deadline = wires.deadline;
        self.core.device_accessed = false;
        self.core.recheck = true;
    }

    /// Interrupts, comparators, WFI and the machine's wishes, before the next instruction.
    fn attend(&mut self, port: &mut dyn Platform) -> Option<Exit> {
        if self.core.device_accessed || self.core.cycle >= self.wires_deadline {
            self.meet(port);
        }
        self.core.recheck = false;
        self.core.check_overflow();
        if self.wires_stop {
            return Some(Exit::Stopped);
        }
        // Never at or before now, so that a run always gets somewhere.
        let soonest = self.core.cycle + 1;
        let own = self.core.comparator_deadline().min(self.core.overflow_deadline());
        self.deadline = self.wires_deadline.min(own).max(soonest);
        if self.core.waiting {
            if !self.core.wakes() {
                return Some(Exit::Wfi);
            }
            self.core.waiting = false;
        }
        self.core.quiet = !self.core.wakes();
        if !self.core.quiet
            && let Some((interrupt, target)) = self.core.deliverable()
        {
            let target = self.core.take_interrupt(interrupt, target);
            if let Some(cause) = self.core.critical.take() {
                return Some(Exit::CriticalError { cause, pc: self.core.pc });
            }
            return self.left_to(target);
        }
        None
    }

    /// Runs until `room` instructions are used up or something asks for attention.
    fn advance(&mut self, port: &mut dyn Platform, room: u64) -> Option<Exit> {
        let end = self.core.retired + room;
        loop {
            let entry = match self.enter() {
                Ok(entry) => entry,
                Err(Outside::Done(exit)) => return exit,
                Err(Outside::Uncached) => return self.advance_uncached(port),
            };
            if let Some(trap) = self.run_from(port, entry, end) {
                return self.trap(trap);
            }
            if self.core.recheck
                || self.core.retired >= end
                || self.core.ram.page_events() != self.pages_seen.count()
            {
                return None;
            }
        }
    }

    /// Runs what stands at `entry` and what follows it; the trap that ended it is still to be taken.
    #[inline(always)]
    fn run_from(&mut self, port: &mut dyn Platform, entry: Entry, end: u64) -> Option<Trap> {
        let before = self.core.retired;
        let bounds = Bounds { end, pages_seen: self.pages_seen.count() };
        let Self { core, decoder, codes, .. } = self;
        let place = codes.place(entry)?;
        let trap = match self.portable {
            false => chain::run::<Threads>(core, decoder, port, codes, place, bounds),
            true => chain::run::<Portable>(core, decoder, port, codes, place, bounds),
        };
        if self.core.retired != before {
            self.barren_traps = 0;
        }
        trap
    }

    /// The instruction at an entry, if it can be decoded.
    fn decoded(&self, entry: Entry) -> Option<Insn> {
        let place = self.codes.place(entry)?;
        self.decoder.decode(place.page.bits(place.number)?)
    }

    /// The instruction at `pc`, decoded if need be.
    fn enter(&mut self) -> Result<Entry, Outside> {
        let pc = self.core.pc;
        let (pa, whole) = match self.core.mmu.fetch_page(pc) {
            Some(pa) => (pa, true),
            None => match self.fetch(pc) {
                Ok(Place::Ram { pa }) => {
                    (pa, self.core.mmu.pmp_is_uniform(pa, self.core.mode.privilege()))
                }
                Ok(Place::Mmio { .. }) => return Err(Outside::Uncached),
                Err(trap) => return Err(Outside::Done(self.trap(trap))),
            },
        };
        let hidden = self.debug.is_some() && self.may_halt_at(pc);
        if hidden && self.breaks_at(pc) {
            return Err(Outside::Done(Some(Exit::Halted)));
        }
        // PMP may deny any parcel behind the first. A place where the hart may halt is looked at each time.
        if !whole || hidden {
            return Err(Outside::Uncached);
        }
        if let Some(entry) = self.codes.known(pa) {
            return Ok(entry);
        }
        self.core.ram.watch(pa.page(), PageClass::Code);
        // Before the code runs for the first time, lest it store to its own page natively.
        self.core.mmu.sync_page_events();
        let begin = self.debug.as_deref().map(debug::Debug::offsets);
        self.codes.enter(&self.decoder, &self.core.ram, pa, begin).ok_or(Outside::Uncached)
    }

    fn fetch(&mut self, va: u64) -> Result<Place, Trap> {
        let (privilege, v) = (self.core.mode.privilege(), self.core.mode.v());
        let access = Access { kind: Kind::Fetch, size: 2, privilege, v, hlvx: false };
        self.core.offset = 0;
        if let Some(pa) = self.core.mmu.recall(Va(va), access) {
            return Ok(Place::Ram { pa });
        }
        let translated = self.core.mmu.translate(Va(va), access);
        self.core.after_write(Writer::Walk);
        translated.map(|translated| translated.target).map_err(|fault| {
            self.core.why = Some(fault);
            trap_of(&fault, Kind::Fetch, Va(va), v)
        })
    }

    /// One instruction that cannot be kept: it straddles two pages, is not in RAM, or lies where PMP divides a
    /// page.
    fn advance_uncached(&mut self, port: &mut dyn Platform) -> Option<Exit> {
        let trap = match self.fetch_uncached(port) {
            Ok(word) => {
                let insn = self.decoder.decode(word);
                self.run_uncached(port, word, insn)?
            }
            // `pc` stays; `tval` names the parcel that failed.
            Err(trap) => trap,
        };
        self.trap(trap)
    }

    fn fetch_uncached(&mut self, port: &mut dyn Platform) -> Result<u32, Trap> {
        let pc = self.core.pc;
        let low = self.fetch_parcel(port, pc)?;
        Ok(match low & 3 {
            3 => low | self.fetch_parcel(port, pc.wrapping_add(2))? << 16,
            _ => low,
        })
    }

    /// Runs what was fetched, `insn` if it is an instruction; its trap is still to be taken.
    fn run_uncached(
        &mut self,
        port: &mut dyn Platform,
        word: u32,
        insn: Option<Insn>,
    ) -> Option<Trap> {
        let Some(insn) = insn else {
            return Some(Trap::new(Exception::IllegalInstruction, u64::from(word)));
        };
        let before = self.core.retired;
        let trap = chain::run_one(&mut self.core, &self.decoder, port, &insn);
        if self.core.retired != before {
            self.barren_traps = 0;
        }
        trap
    }

    fn fetch_parcel(&mut self, port: &mut dyn Platform, va: u64) -> Result<u32, Trap> {
        let value = match self.fetch(va)? {
            Place::Ram { pa } => self.core.ram.read::<u16>(pa).map(u32::from),
            Place::Mmio { pa } => port.read(pa, 2).ok().map(|value| value as u32 & 0xffff),
        };
        let v = self.core.mode.v();
        value.ok_or(Trap { gva: v, ..Trap::new(Exception::InstructionAccess, va) })
    }

    /// Takes an exception raised at `pc`, unless a debugger catches it.
    fn trap(&mut self, trap: Trap) -> Option<Exit> {
        if self.debug.is_some() && self.catches(trap) {
            return Some(Exit::Halted);
        }
        self.take(trap)
    }

    /// Takes an exception raised at `pc`. It costs a cycle, so that time passes in any case.
    fn take(&mut self, trap: Trap) -> Option<Exit> {
        let (pc, mode) = (self.core.pc, self.core.mode);
        self.core.cycle += 1;
        let target = self.core.take_exception(trap);
        if let Some(cause) = self.core.critical.take() {
            return Some(Exit::CriticalError { cause, pc });
        }
        if self.barren_traps == 0 {
            self.first_barren = (trap.exception, pc);
        }
        self.barren_traps += 1;
        let limit = if mode == Mode::M && target == Target::M { M_TRAP_LOOP } else { TRAP_LOOP };
        if self.barren_traps >= limit {
            let (exception, pc) = self.first_barren;
            return Some(Exit::TrapLoop { exception, pc });
        }
        self.left_to(target)
    }

    /// Whether what handles a trap is outside, so that the hart leaves its loop after the trap entry.
    fn left_to(&self, target: Target) -> Option<Exit> {
        match target {
            Target::M => self.firmware.then_some(Exit::Firmware),
            Target::Hs => self.hypervisor.then_some(Exit::Hypervisor),
            Target::Vs => None,
        }
    }

    /// Follows what happened to pages that hold decoded code.
    /// Says whether the tripwire was among them.
    fn read_page_events(&mut self) -> bool {
        match self.timed.take() {
            Some(mut timed) => {
                let tripped = self.follow_page_events(|page| timed.forget_code(page));
                self.timed = Some(timed);
                tripped
            }
            None => self.follow_page_events(|_| ()),
        }
    }

    /// The same, telling of each page that was written, or that it is not known which ones were.
    fn follow_page_events(&mut self, mut written: impl FnMut(Option<Pa>)) -> bool {
        let (codes, tripwire) = (&mut self.codes, self.tripwire);
        let mut tripped = false;
        self.pages_seen = self.core.ram.page_events_since(self.pages_seen, |event| match event {
            PageEvent::Written(page) => {
                codes.remove_page(page);
                written(Some(page));
                tripped |= Some(page) == tripwire;
            }
            PageEvent::Watched(_) | PageEvent::Missed(PageClass::Table) => {}
            PageEvent::Missed(PageClass::Code) => {
                codes.clear();
                written(None);
                tripped |= tripwire.is_some();
            }
        });
        self.core.mmu.sync_page_events();
        if let Some(page) = tripwire.filter(|_| tripped) {
            self.set_tripwire(page);
        }
        tripped
    }
}

/// What the machine, firmware and debuggers do to a hart from outside.
impl Hart {
    /// `mhartid`.
    pub fn id(&self) -> u64 {
        self.core.hartid
    }

    /// The mode it is in.
    pub fn mode(&self) -> Mode {
        self.core.mode
    }

    /// Puts it into a mode, as a debugger or firmware may.
    pub fn set_mode(&mut self, mode: Mode) {
        self.core.mode = mode;
        self.core.mode_changed(false);
    }

    /// The next instruction's virtual address.
    pub fn pc(&self) -> u64 {
        self.core.pc
    }

    /// Sets the next instruction's virtual address.
    pub fn set_pc(&mut self, pc: u64) {
        self.core.pc = pc;
    }

    /// Integer register `index`, modulo 32.
    pub fn x(&self, index: usize) -> u64 {
        self.core.x[index % 32]
    }

    /// Sets integer register `index`, modulo 32; `x0` stays zero.
    pub fn set_x(&mut self, index: usize, value: u64) {
        if !index.is_multiple_of(32) {
            self.core.x[index % 32] = value;
        }
    }

    /// Floating-point register `index`, modulo 32, as raw bits.
    pub fn f(&self, index: usize) -> u64 {
        self.core.f[index % 32]
    }

    /// Sets floating-point register `index`, modulo 32.
    pub fn set_f(&mut self, index: usize, bits: u64) {
        self.core.f[index % 32] = bits;
    }

    /// A CSR by number, without checks of mode; `None` where the hart has none.
    pub fn csr(&self, number: u16) -> Option<u64> {
        csr::peek(&self.core, number)
    }

    /// Writes a CSR as M-mode would; `None` where the hart has none.
    pub fn set_csr(&mut self, number: u16, value: u64) -> Option<()> {
        self.core.offset = 0;
        self.core.counters.written_outside = true;
        let written = csr::poke(&mut self.core, number, value);
        self.core.counters.written_outside = false;
        written
    }

    /// Returns from M-mode, as firmware does at the end of a trap.
    pub fn mret(&mut self) {
        self.core.offset = 0;
        self.core.mret(None);
    }

    /// Takes an exception in the current mode and at the current `pc`, as firmware that redirects
    /// one does.
    pub fn raise(&mut self, trap: Trap) {
        self.core.take_exception(trap);
    }

    /// Performs a fence on this hart.
    pub fn fence(&mut self, fence: Fence) {
        self.core.offset = 0;
        self.core.fence(fence, None);
        self.flush_timed(fence);
    }

    /// Instructions retired since power-on.
    pub fn retired(&self) -> u64 {
        self.core.retired
    }

    /// Its place in virtual time, in cycles since power-on.
    pub fn cycle(&self) -> u64 {
        self.core.cycle
    }

    /// How often an event of [`EVENTS`](crate::EVENTS) has happened since power-on, whether or not a counter was told to count it.
    pub fn count(&self, event: &EventRow) -> u64 {
        event.count(&self.core)
    }

    /// Moves it on in virtual time: the machine's clock passed it by while it waited.
    pub fn set_cycle(&mut self, cycle: u64) {
        self.core.cycle = cycle;
        self.core.recheck = true;
    }

    /// Sets or clears a bit of `mip` that software may write, whatever the lines say.
    pub fn set_pending(&mut self, interrupt: Interrupt, pending: bool) {
        let bit = interrupt.bit();
        let mip = &mut self.core.csrs.mip;
        *mip = if pending { *mip | bit } else { *mip & !bit };
        self.core.interrupts_changed();
    }

    /// The machine's wires may have changed while the hart did not run.
    pub fn wires_changed(&mut self) {
        self.core.device_accessed = true;
        self.core.recheck = true;
    }

    /// Whether an enabled interrupt is pending, as WFI sees it, with the wires as they are now.
    pub fn wakes(&mut self, port: &mut dyn Platform) -> bool {
        self.meet(port);
        self.core.wakes()
    }

    /// Puts it into WFI, or takes it out.
    pub fn set_waiting(&mut self, waiting: bool) {
        self.core.waiting = waiting;
    }

    /// Whether it waits in WFI.
    pub fn waiting(&self) -> bool {
        self.core.waiting
    }

    /// The cycle at which one of its own comparators fires next; `u64::MAX` for never.
    pub fn comparator_deadline(&self) -> u64 {
        self.core.comparator_deadline()
    }

    /// Ends a reservation, as another agent's access to memory may.
    pub fn clear_reservation(&mut self) {
        self.core.reservation = None;
    }

    /// Back to the reset state, at `pc`.
    pub fn reset(&mut self, pc: u64) {
        self.forget_caught();
        self.core.reset(pc);
    }

    /// The address translation of this hart.
    pub fn mmu(&self) -> &Mmu {
        &self.core.mmu
    }

    /// Decodes one instruction as this hart would.
    pub fn decode(&self, bits: u32) -> Option<Insn> {
        self.decoder.decode(bits)
    }

    /// Main memory.
    pub fn ram(&self) -> &Ram {
        &self.core.ram
    }
}
