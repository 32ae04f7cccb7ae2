//! Guests without HS software: the hypervisor of `hyp` on this machine's harts.
//!
//! The built-in firmware sets the harts up as it does for any software in S-mode; then the hypervisor has HS-mode.
//! Main memory is its own: tables at the bottom, guests' memory behind.

mod console;
mod cycles;
mod heap;
mod port;
mod setup;
mod toggle;

pub use cycles::{Cpi, ExitCycles, ExitKind};
pub use setup::{GUEST_BASE, GuestSetup};
pub use toggle::ToggleCounts;

use std::collections::VecDeque;

use cpu::Hart;
use devices::Sink;
use hyp::cost::Work;
use hyp::gstage::Gstage;
use hyp::hypervisor::{Hypervisor, Next};
use hyp::memory::GuestMemory;
use hyp::memslot::Slot;
use hyp::port::Parts;
use hyp::vcpu::Vcpu;
use hyp::vm::{self, Vm};
use isa::field::{cbie, henvcfg, stateen0};
use isa::{Gpa, Pa, csr};
use mmu::Ram;

use crate::bus::MachineBus;
use crate::device_tree::GuestTree;
use crate::firmware::End;
use crate::load::{LoadError, Loaded, load_guest};
use crate::machine::Setup;
use crate::turns::{After, Turns};
use console::Console;
use cycles::{Exits, Steps};
use heap::Heap;
use port::{HartsPort, IoPort, Physical};
use toggle::Toggle;

pub(crate) use console::{UART_BASE, UART_BYTES};
pub(crate) use port::GuestWindow;

/// The slot that holds a guest's memory.
pub const RAM_SLOT: u32 = 0;

/// The hypervisor and what it has of the machine.
pub(crate) struct Hosted {
    pub(crate) hypervisor: Hypervisor,
    heap: Heap,
    consoles: Vec<Console>,
    setup: GuestSetup,
    /// Where each guest's memory lies.
    memories: Vec<Pa>,
    toggle: Option<Toggle>,
    steps: Steps,
    exits: Exits,
}

/// What the hypervisor reaches of the machine.
pub(crate) struct Surroundings<'a> {
    pub(crate) turns: &'a mut Turns,
    pub(crate) bus: &'a mut MachineBus,
    pub(crate) ram: &'a Ram,
    pub(crate) input: &'a mut VecDeque<u8>,
    pub(crate) sstc: bool,
}

impl Surroundings<'_> {
    /// The same, for less long.
    fn again(&mut self) -> Surroundings<'_> {
        let Self { turns, bus, ram, input, sstc } = self;
        Surroundings { turns, bus, ram, input, sstc: *sstc }
    }
}

impl Hosted {
    /// Sets up the hypervisor on harts in HS-mode, and the VMs with what was loaded for them.
    pub(crate) fn new(
        setup: &GuestSetup,
        around: Surroundings<'_>,
        exts: &isa::ExtSet,
        loaded: &Loaded,
        mut sink: impl FnMut() -> Box<dyn Sink>,
    ) -> Option<Self> {
        let places = setup.places();
        let heap = Heap::new(places.tables.start, places.tables.end);
        let prefix = |vm: usize| if setup.vms > 1 { format!("vm{vm}: ") } else { String::new() };
        let consoles = (0..setup.vms).map(|vm| Console::new(sink(), prefix(vm))).collect();
        let (steps, cpi) = (Steps::default(), setup.cpi);
        let mut parts = MachineParts { around, heap, consoles, steps, cpi };
        let ticks = setup.slice_ticks;
        let mut hypervisor = parts.with(|parts| Hypervisor::new(parts, exts, ticks));
        let start = loaded.start;
        let (pc, tree) = start.entry();
        for &memory in &places.memories {
            let window = GuestWindow { ram: parts.around.ram, memory, bytes: setup.memory_bytes };
            loaded.layout.write(&window, false).ok()?;
            let root = parts.heap.root(parts.around.ram, setup.mode)?;
            let gstage = Gstage::new(setup.mode, root).ok()?;
            let mut guest = GuestMemory::new(setup.memory, gstage, 0);
            let slot = Slot::new(RAM_SLOT, Gpa(GUEST_BASE.0), setup.memory_bytes, memory);
            guest.add_slot(slot).ok()?;
            let mut vm = Vm::new(guest, setup.vcpus);
            let time = parts.with(|parts| parts.harts.csr(0, csr::TIME));
            vm.vcpus.iter_mut().for_each(|vcpu| prepare(vcpu, setup.sstc, time));
            let vm = hypervisor.add(vm);
            let id = hyp::hypervisor::VcpuId { vm, vcpu: 0 };
            if !setup.bare {
                parts.with(|parts| hypervisor.start(parts, id, pc.0, tree.0));
            }
        }
        let MachineParts { heap, consoles, steps, .. } = parts;
        let memories = places.memories;
        let toggle = setup.toggle_cycles.map(Toggle::new);
        let (setup, exits) = (setup.clone(), Exits::default());
        Some(Self { hypervisor, heap, consoles, setup, memories, toggle, steps, exits })
    }

    /// How it ended, once every VM has: badly if one did.
    pub(crate) fn end(&self) -> End {
        let ends = || self.hypervisor.vms.iter().filter_map(|vm| vm.end);
        if ends().any(|end| matches!(end, vm::End::Failure | vm::End::Broken(_))) {
            End::Failure
        } else {
            End::Shutdown
        }
    }

    /// What it was made of.
    pub(crate) fn setup(&self) -> &GuestSetup {
        &self.setup
    }

    /// Where a VM's memory lies.
    pub(crate) fn memory_of(&self, vm: usize) -> Option<Pa> {
        self.memories.get(vm).copied()
    }

    /// Lets somebody act on the hypervisor.
    pub(crate) fn with<T>(
        &mut self,
        around: Surroundings<'_>,
        act: impl FnOnce(&mut Hypervisor, &mut Parts<'_>) -> T,
    ) -> T {
        let Surroundings { turns, bus, ram, input, sstc } = around;
        let steps = &self.steps;
        let memory = Physical { ram, steps };
        let mut frames = heap::Frames { heap: &mut self.heap, ram };
        let (now, cpi) = (bus.now(), self.setup.cpi);
        let mut harts = HartsPort { turns, bus, sstc, steps, cpi };
        let mut io = IoPort { consoles: &mut self.consoles, input, now };
        let mut parts =
            Parts { memory: &memory, frames: &mut frames, harts: &mut harts, io: &mut io };
        act(&mut self.hypervisor, &mut parts)
    }

    /// Switches dirty logs if the moment has come.
    pub(crate) fn toggle(&mut self, around: Surroundings<'_>, cycle: u64) {
        let Some(mut toggle) = self.toggle.take_if(|toggle| toggle.is_due(cycle)) else { return };
        self.with(around, |hypervisor, parts| toggle.switch(hypervisor, parts, cycle));
        self.toggle = Some(toggle);
    }

    /// When dirty logs are switched next, in cycles; never is `u64::MAX`.
    pub(crate) fn next_toggle(&self) -> u64 {
        self.toggle.as_ref().map_or(u64::MAX, Toggle::next)
    }

    /// What switching dirty logs found.
    pub(crate) fn toggle_counts(&self) -> Option<ToggleCounts> {
        self.toggle.as_ref().map(|toggle| toggle.counts)
    }

    /// A hart has trapped to HS-mode, or woken there.
    pub(crate) fn exit(&mut self, mut around: Surroundings<'_>, hart: usize) -> After {
        let next = if around.turns.harts[hart].has_model() {
            self.timed_exit(&mut around, hart)
        } else {
            self.with(around, |hypervisor, parts| hypervisor.exit(parts, hart))
        };
        match next {
            _ if self.hypervisor.is_over() => After::End,
            Next::Guest => After::Guest,
            Next::Wait => After::Suspend,
        }
    }
}

impl Hosted {
    /// What exits of a kind took, on harts with a model.
    pub(crate) fn exit_cycles(&self, kind: ExitKind, harts: &[Hart]) -> ExitCycles {
        self.exits.of(kind, harts)
    }

    /// An exit of a hart with a model.
    fn timed_exit(&mut self, around: &mut Surroundings<'_>, hart: usize) -> Next {
        self.exits.left(hart, &around.turns.harts[hart]);
        self.steps.begin(hart);
        let id = self.hypervisor.on_hart(hart);
        let done = |hypervisor: &Hypervisor| {
            id.map_or(Work::default(), |id| Work::of(&hypervisor.vms[id.vm]))
        };
        let before = done(&self.hypervisor);
        let next = self.with(around.again(), |hypervisor, parts| hypervisor.exit(parts, hart));
        self.steps.end();
        if id.is_some() && self.hypervisor.on_hart(hart) == id {
            let work = done(&self.hypervisor).since(&before);
            self.exits.entered(hart, &around.turns.harts[hart], &self.steps, &work);
        }
        next
    }
}

/// The parts while there is no hypervisor yet.
struct MachineParts<'a> {
    around: Surroundings<'a>,
    heap: Heap,
    consoles: Vec<Console>,
    steps: Steps,
    cpi: Cpi,
}

impl MachineParts<'_> {
    fn with<T>(&mut self, act: impl FnOnce(&mut Parts<'_>) -> T) -> T {
        let Surroundings { turns, bus, ram, input, sstc } = &mut self.around;
        let (steps, cpi) = (&self.steps, self.cpi);
        let memory = Physical { ram, steps };
        let mut frames = heap::Frames { heap: &mut self.heap, ram };
        let now = bus.now();
        let mut harts = HartsPort { turns, bus, sstc: *sstc, steps, cpi };
        let mut io = IoPort { consoles: &mut self.consoles, input, now };
        act(&mut Parts { memory: &memory, frames: &mut frames, harts: &mut harts, io: &mut io })
    }
}

/// What a VM decides of its vCPUs' registers.
fn prepare(vcpu: &mut Vcpu, sstc: bool, time: u64) {
    let mut environment = henvcfg::PBMTE | henvcfg::CBZE | henvcfg::CBCFE;
    environment |= cbie::INVALIDATE << henvcfg::CBIE_SHIFT;
    if sstc {
        environment |= henvcfg::STCE;
    }
    let counters =
        isa::field::counteren::CY | isa::field::counteren::TM | isa::field::counteren::IR;
    vcpu.context.set_csr(csr::HENVCFG, environment);
    vcpu.context.set_csr(csr::HCOUNTEREN, counters);
    vcpu.context.set_csr(csr::HSTATEEN0, stateen0::SE | stateen0::ENVCFG);
    // The guest's clock begins at zero.
    vcpu.context.set_csr(csr::HTIMEDELTA, 0u64.wrapping_sub(time));
}

/// Loads what every guest of a machine gets, by guest physical addresses.
///
/// # Errors
/// See [`load_guest`].
pub fn load(guests: &GuestSetup, setup: &Setup) -> Result<Loaded, LoadError> {
    let exts = guests.guest_exts(&setup.exts);
    let tree = GuestTree {
        exts: &exts,
        vcpus: u32::try_from(guests.vcpus).unwrap_or(u32::MAX),
        base: GUEST_BASE,
        bytes: guests.memory_bytes,
        timebase_hz: u32::try_from(setup.clock.timebase_hz()).unwrap_or(u32::MAX),
        seed: setup.seed,
    };
    if guests.bare {
        return Ok(Loaded::nothing(GUEST_BASE, guests.memory_bytes));
    }
    load_guest(&setup.boot, &tree)
}
