//! A world in motion: takes the steps of a schedule, and compares what happens with the model after each.

mod operations;

use std::sync::Arc;

use hyp::gstage::{self, Gstage};
use hyp::memory::{Answer, Env, GuestMemory, MemoryConfig, MemoryError};
use hyp::mmio::{self, Way};
use hyp::placement::{Arrival, Placement};
use hyp::vmid::{Assigned, Vmid, VmidAllocator};
use isa::{Decoder, Exception, ExtSet, Gpa, PAGE_BYTES, Pa};
use mmu::Ram;

use crate::duties::Owed;
use crate::events::Event;
use crate::hardware::{GUEST_PROGRAM, GuestInsn, Harts, HsInsn, Trap};
use crate::layout::{
    self, BASE, CODE_PAGE, HARTS, HEAP_FRAMES, LARGE_RAM, MAIN_GPA, SLOTS, SMALL_RAM, VCPUS, VMS,
    WINDOWS,
};
use crate::model::{Model, guest_flags};
use crate::schedule::{Act, Deed, GuestFence, Meanwhile, Setup, Step};
use crate::shared::{Counts, Done, Port, Reach, Shared, violation};
use crate::{Injected, Property, Strictness, Violation, audit};

/// An access that faults more often than this, although each fault was answered, goes on for ever.
const TRIES: usize = 12;

/// Pages in a dirty ring: the least there can be.
const RING_ENTRIES: usize = 128;

pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) shared: Shared,
    pub(crate) memories: Vec<GuestMemory>,
    vmids: [Vmid; VMS],
    allocator: VmidAllocator,
    decoder: Decoder,
}

/// How an access by a guest ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// As it should.
    Done,
    /// There was no frame for a table, or no room in a dirty ring: the guest tries again some other time.
    PutOff,
    /// It was for a device.
    Device,
}

impl World {
    pub(crate) fn new(
        setup: &Setup,
        injected: Injected,
        strictness: Strictness,
    ) -> Result<Self, Violation> {
        let ram = Ram::new(Pa(BASE), if setup.large { LARGE_RAM } else { SMALL_RAM });
        let none = |what: &str| Violation { property: Property::World, what: what.to_owned() };
        let ram = Arc::new(ram.map_err(|error| none(&error.to_string()))?);
        let harts = Harts::new(setup, &ram, injected);
        let mut model = Model::new(setup);
        model.write_tables(&ram, setup);
        let config = MemoryConfig {
            policy: setup.policy,
            largest: setup.largest,
            clearing: setup.clearing,
            svvptc: setup.svvptc,
        };
        let mut memories = Vec::new();
        let mut placements = Vec::new();
        for (vm, slots) in model.slots.iter_mut().enumerate() {
            let gstage = Gstage::new(setup.mode, layout::root(vm));
            let gstage = injected.gstage(gstage.map_err(|error| none(&error.to_string()))?);
            let mut memory = GuestMemory::new(config, gstage, 0);
            for slot in &mut *slots {
                let added = memory.add_slot(slot.slot.clone());
                added.map_err(|error| none(&error.to_string()))?;
            }
            let vcpus = VCPUS.iter().filter(|(of, _)| *of == vm).count();
            if setup.rings {
                memory.use_rings(vcpus, RING_ENTRIES);
            }
            let code = slots[0].slot.memory.0 + CODE_PAGE * PAGE_BYTES;
            for (index, word) in GUEST_PROGRAM.into_iter().enumerate() {
                ram.write(Pa(code + 4 * index as u64), word).unwrap_or(());
            }
            memories.push(memory);
            placements.push(injected.placement(Placement::new(HARTS, vcpus)));
        }
        let allocator = VmidAllocator::new(setup.vmid_bits).ok_or_else(|| none("no VMIDs"))?;
        let mut shared = Shared::new(ram, harts, model, placements, setup.svinval);
        shared.strict = strictness == Strictness::Manual;
        shared.owed = (0..VMS).map(|vm| Owed::new(vm, setup.mode)).collect::<Vec<_>>().into();
        let mut world = Self {
            setup: setup.clone(),
            shared,
            memories,
            vmids: [Vmid::default(); VMS],
            allocator: injected.allocator(allocator),
            decoder: Decoder::new(&ExtSet::default_set()),
        };
        for (hart, vcpu) in (0..VCPUS.len()).enumerate().take(HARTS) {
            world.place(hart, vcpu)?;
        }
        Ok(world)
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.shared.counts.get();
        for gstage in self.memories.iter().map(GuestMemory::gstage) {
            counts.events.note(Event::Split, gstage.counts().splits);
            counts.events.note(Event::Collapse, gstage.counts().collapses);
        }
        counts
    }

    /// Takes one step.
    pub(crate) fn take(&mut self, step: &Step) -> Done<()> {
        match step {
            Step::Guest(hart, act, meanwhile) => self.act(*hart, *act, meanwhile.clone())?,
            Step::Hypervisor(vm, operation, meanwhile) => {
                self.operation(*vm, *operation, meanwhile.clone())?;
            }
            Step::Place { hart, vcpu } => self.place(*hart, *vcpu)?,
            Step::Leave(hart) => self.leave(*hart),
            Step::Starve(frames) => {
                for vm in 0..VMS {
                    self.operate(vm, None, Vec::new(), GuestMemory::release_spares)?;
                }
                self.shared.heap.borrow_mut().left = *frames;
            }
            Step::Feed => self.feed(),
            Step::TakeVmids(count) => {
                for _ in 0..*count {
                    let mut vmid = Vmid::default();
                    if self.allocator.assign(&mut vmid) == Assigned::NewGeneration {
                        self.new_generation(None)?;
                    }
                }
            }
        }
        audit::count(self)
    }

    /// What must hold in the end: everything that was written is in a log, and every table is somewhere.
    pub(crate) fn finish(&mut self) -> Done<()> {
        self.feed();
        for vm in 0..VMS {
            if self.setup.rings {
                self.rings(vm, Vec::new())?;
            }
            for slot in SLOTS {
                self.get(vm, slot, Vec::new())?;
            }
        }
        audit::whole(self)
    }

    fn feed(&mut self) {
        let mut heap = self.shared.heap.borrow_mut();
        heap.left = HEAP_FRAMES - heap.taken.len() as u64;
    }

    /// Runs an operation of the hypervisor, with what other harts do meanwhile.
    fn operate<T>(
        &mut self,
        vm: usize,
        busy: Option<usize>,
        meanwhile: Vec<Meanwhile>,
        run: impl FnOnce(&mut GuestMemory, &mut Env<'_>) -> T,
    ) -> Done<T> {
        let shared = &self.shared;
        shared.begin(busy, meanwhile);
        let memory = Port { shared, vm };
        let (mut frames, mut fences) = (Port { shared, vm }, Port { shared, vm });
        let mut env = Env { memory: &memory, frames: &mut frames, fences: &mut fences };
        let outcome = run(&mut self.memories[vm], &mut env);
        shared.end()?;
        Ok(outcome)
    }
}

/// Harts and vCPUs.
impl World {
    fn leave(&mut self, hart: usize) {
        if let Some(vcpu) = self.shared.on_hart.borrow_mut()[hart].take() {
            self.shared.harts.borrow_mut().set_hgatp(hart, 0);
            self.shared.placements.borrow_mut()[VCPUS[vcpu].0].leave(hart);
        }
    }

    /// A vCPU comes to a hart.
    fn place(&mut self, hart: usize, vcpu: usize) -> Done<()> {
        let elsewhere = self.shared.on_hart.borrow().iter().position(|on| *on == Some(vcpu));
        if elsewhere == Some(hart) {
            return Ok(());
        }
        if let Some(other) = elsewhere {
            self.leave(other);
        }
        self.leave(hart);
        self.enter(hart, vcpu)
    }

    fn enter(&mut self, hart: usize, vcpu: usize) -> Done<()> {
        let (vm, index) = VCPUS[vcpu];
        match self.allocator.assign(&mut self.vmids[vm]) {
            Assigned::Kept => {}
            Assigned::Fresh => self.renumber(vm),
            Assigned::NewGeneration => {
                self.renumber(vm);
                self.new_generation(Some(vm))?;
            }
        }
        let vmid = self.vmids[vm].number();
        let arrival = self.shared.placements.borrow_mut()[vm].place(hart, index);
        self.shared.note(Event::Place);
        match (arrival.gvma, arrival.vvma) {
            (false, false) => self.shared.note(Event::PlaceClean),
            (true, _) => self.shared.note(Event::PlaceBehind),
            _ => {}
        }
        if self.shared.strict {
            let Arrival { gvma, vvma } = arrival;
            self.shared.places.borrow_mut().enter(hart, vcpu, vmid, gvma, vvma)?;
        }
        self.shared.on_hart.borrow_mut()[hart] = Some(vcpu);
        let mut harts = self.shared.harts.borrow_mut();
        let mut done = Ok(());
        if arrival.gvma {
            done = harts.fence(hart, gstage::FenceInsn::HfenceGvma(None), vmid);
        }
        harts.set_vsatp(hart, 0);
        harts.set_hgatp(hart, self.memories[vm].gstage().hgatp(vmid));
        harts.set_vsatp(hart, self.shared.model.borrow().vsatp(vcpu));
        if arrival.vvma {
            done = done.and(harts.hs(hart, HsInsn::VvmaAll, 0, 0).map(drop));
        }
        drop(harts);
        done.or_else(|trap| violation(Property::Traps, format!("hart {hart}: fence: {trap:x?}")))
    }

    /// A VM has a number under which no hart holds anything.
    fn renumber(&mut self, vm: usize) {
        self.shared.placements.borrow_mut()[vm].forget();
        self.memories[vm].set_vmid(self.vmids[vm].number());
    }

    /// A new generation of VMIDs: every guest stops, every hart fences, and then they go on under new numbers, but for
    /// the VM that has its number already and is about to enter.
    fn new_generation(&mut self, has_number: Option<usize>) -> Done<()> {
        self.shared.note(Event::Generation);
        let running = *self.shared.on_hart.borrow();
        for hart in 0..HARTS {
            self.leave(hart);
        }
        for hart in 0..HARTS {
            let done = self.shared.harts.borrow_mut().hs(hart, HsInsn::GvmaAll, 0, 0);
            if let Err(trap) = done {
                return violation(Property::Traps, format!("hart {hart}: fence: {trap:x?}"));
            }
        }
        self.shared.places.borrow_mut().all_fenced();
        if let Some(vm) = has_number {
            self.renumber(vm);
        }
        for (hart, vcpu) in running.into_iter().enumerate() {
            if let Some(vcpu) = vcpu {
                self.enter(hart, vcpu)?;
            }
        }
        Ok(())
    }
}

/// Guests.
impl World {
    fn act(&mut self, hart: usize, act: Act, meanwhile: Vec<Meanwhile>) -> Done<()> {
        let Some(vcpu) = self.shared.on_hart.borrow()[hart] else { return Ok(()) };
        if self.shared.model.borrow().stopped[vcpu] {
            return Ok(());
        }
        match act {
            Act::Access(deed, spot) => {
                let reach = self.shared.reach(vcpu, deed, spot);
                self.access(hart, vcpu, reach, meanwhile).map(drop)
            }
            Act::Remap { window, aux, page, fence } => {
                self.remap(hart, vcpu, window, aux, page, fence, meanwhile)
            }
            Act::MapBlock { straight, page } => {
                self.map_block(hart, vcpu, straight, page, meanwhile)
            }
        }
    }

    /// An access as a guest makes it: again after each fault that the hypervisor answered.
    fn access(
        &mut self,
        hart: usize,
        vcpu: usize,
        reach: Reach,
        mut meanwhile: Vec<Meanwhile>,
    ) -> Done<Ended> {
        for _ in 0..TRIES {
            let Some(trap) = self.shared.attempt(hart, vcpu, reach)? else {
                return Ok(Ended::Done);
            };
            let meanwhile = std::mem::take(&mut meanwhile);
            if let Some(ended) = self.fault(hart, vcpu, Some(&reach), trap, meanwhile)? {
                return Ok(ended);
            }
        }
        let what = format!("hart {hart}: {:?} at {} faults for ever", reach.deed, reach.gpa);
        violation(Property::Progress, what)
    }

    /// Answers a guest-page fault. `None` if the guest is to try again.
    fn fault(
        &mut self,
        hart: usize,
        vcpu: usize,
        reach: Option<&Reach>,
        trap: Trap,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<Option<Ended>> {
        let (vm, index) = VCPUS[vcpu];
        let implicit = matches!(trap.htinst, 0x3000 | 0x3020);
        let fetch = trap.cause == Exception::InstructionGuestPage.code();
        self.check_trap(hart, vm, reach, trap, implicit || fetch)?;
        match trap.htinst {
            0x3000 => self.shared.note(Event::WalkReadFault),
            0x3020 => self.shared.note(Event::WalkWriteFault),
            _ if fetch => self.shared.note(Event::FetchFault),
            _ => {}
        }
        self.shared.count(|counts| counts.faults += 1);
        let write = match trap.htinst {
            0x3000 => false,
            0x3020 => true,
            _ => trap.cause == Exception::StoreGuestPage.code(),
        };
        let answer = self.operate(vm, Some(hart), meanwhile, |memory, env| {
            memory.fault(env, index, trap.gpa, write)
        })?;
        let place = self.shared.model.borrow().place(vm, trap.gpa);
        let excuse = |world: &Self| {
            if let Some(place) = place
                && write
            {
                world.shared.model.borrow_mut().excuse(vm, place.slot, place.page);
            }
        };
        match answer {
            Ok(Answer::Retry) => Ok(None),
            Ok(Answer::RingFull) => {
                excuse(self);
                self.shared.note(Event::RingFull);
                self.shared.model.borrow_mut().stopped[vcpu] = true;
                Ok(Some(Ended::PutOff))
            }
            Ok(Answer::Device) => {
                if place.is_some_and(|place| !write || place.is_writable) {
                    let what = format!("hart {hart}: memory at {} is taken for a device", trap.gpa);
                    return violation(Property::Unintended, what);
                }
                self.shared.note(match (place, write) {
                    (Some(_), _) => Event::ReadOnlyStore,
                    (None, true) => Event::DeviceStore,
                    (None, false) => Event::DeviceLoad,
                });
                self.check_device(hart, reach, trap)?;
                Ok(Some(Ended::Device))
            }
            Err(MemoryError::Gstage(gstage::Error::OutOfTables(_))) => {
                self.shared.note(Event::FaultWithoutTables);
                Ok(Some(Ended::PutOff))
            }
            Err(error) => {
                violation(Property::Progress, format!("a fault at {}: {error}", trap.gpa))
            }
        }
    }

    /// Whether the trap says what happened, and whether it had to happen.
    fn check_trap(
        &self,
        hart: usize,
        vm: usize,
        reach: Option<&Reach>,
        trap: Trap,
        elsewhere: bool,
    ) -> Done<()> {
        let told = format!("hart {hart}: {reach:x?} ends in {trap:x?}");
        if !trap.is_guest_page_fault() {
            return violation(Property::Traps, told);
        }
        let Some(reach) = reach.filter(|_| !elsewhere) else { return Ok(()) };
        let writes = matches!(reach.deed, Deed::Store | Deed::Amo);
        let cause = if writes { Exception::StoreGuestPage } else { Exception::LoadGuestPage };
        if trap.cause != cause.code() || trap.gpa != reach.gpa || trap.stval != reach.va {
            return violation(Property::Traps, told);
        }
        let model = self.shared.model.borrow();
        let quiet = model.place(vm, reach.gpa).is_some_and(|place| {
            let slot = &model.slots[vm][place.slot];
            if writes { &slot.stored } else { &slot.loaded }.contains(&place.page)
        });
        if quiet {
            return violation(Property::Progress, format!("{told}, for no reason"));
        }
        Ok(())
    }

    /// Whether `htinst` says what the guest wanted of a device.
    fn check_device(&self, hart: usize, reach: Option<&Reach>, trap: Trap) -> Done<()> {
        let Some(reach) = reach else { return Ok(()) };
        let expected = match reach.deed {
            Deed::Load => Way::Load { rd: 10, signed: true },
            Deed::Store => Way::Store { rs2: 10 },
            _ => return Ok(()),
        };
        let found = mmio::from_htinst(&self.decoder, trap.htinst);
        match found {
            Ok(access) if access.size == 8 && same_way(access.way, expected) => Ok(()),
            found => violation(
                Property::Traps,
                format!("hart {hart}: htinst {:#x} says {found:?}", trap.htinst),
            ),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of an act")]
    fn remap(
        &mut self,
        hart: usize,
        vcpu: usize,
        window: u64,
        aux: bool,
        page: u64,
        fence: GuestFence,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<()> {
        let vm = VCPUS[vcpu].0;
        let model = self.shared.model.borrow();
        if !model.guests[vcpu].paging {
            return Ok(());
        }
        let base = if aux { model.slots[vm][1].slot.gpa.0 } else { MAIN_GPA };
        let target = base + page * PAGE_BYTES;
        let index = WINDOWS.start + window;
        let global = index >= layout::FIRST_GLOBAL;
        let pte = target >> 12 << 10 | guest_flags(global, self.setup.vs_adue);
        let at = model.pte_gpa(vcpu, 0, index);
        drop(model);
        if self.store_pte(hart, vcpu, at, pte, meanwhile)? != Ended::Done {
            return Ok(());
        }
        self.shared.note(Event::Remap);
        self.shared.model.borrow_mut().guests[vcpu].windows[window as usize] = target;
        let va = MAIN_GPA + index * PAGE_BYTES;
        let insn = match fence {
            // Fences for an ASID do not cover global mappings.
            GuestFence::AddressAndAsid if !global => GuestInsn::FenceAddressAsid,
            GuestFence::Asid if !global => GuestInsn::FenceAsid,
            GuestFence::AddressAndAsid | GuestFence::Address => GuestInsn::FenceAddress,
            GuestFence::Asid | GuestFence::All => GuestInsn::FenceAll,
        };
        self.guest_fence(hart, vcpu, insn, va)
    }

    fn map_block(
        &mut self,
        hart: usize,
        vcpu: usize,
        straight: bool,
        page: u64,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<()> {
        let model = self.shared.model.borrow();
        if !model.guests[vcpu].paging {
            return Ok(());
        }
        let target = if straight { MAIN_GPA + (2 << 20) } else { MAIN_GPA };
        let pte = target >> 12 << 10 | guest_flags(false, self.setup.vs_adue);
        let at = model.pte_gpa(vcpu, 1, 1);
        drop(model);
        if self.store_pte(hart, vcpu, at, pte, meanwhile)? != Ended::Done {
            return Ok(());
        }
        self.shared.note(Event::MapBlock);
        self.shared.model.borrow_mut().guests[vcpu].straight = straight;
        let va = MAIN_GPA + (2 << 20) + page * PAGE_BYTES;
        self.guest_fence(hart, vcpu, GuestInsn::FenceAddress, va)
    }

    fn store_pte(
        &mut self,
        hart: usize,
        vcpu: usize,
        gpa: u64,
        pte: u64,
        meanwhile: Vec<Meanwhile>,
    ) -> Done<Ended> {
        let reach = Reach { deed: Deed::Store, va: gpa, gpa: Gpa(gpa), value: Some(pte) };
        self.access(hart, vcpu, reach, meanwhile)
    }

    /// A guest fences. It must get to, whatever the hypervisor lacks, or the schedule would be the guest's mistake.
    fn guest_fence(&mut self, hart: usize, vcpu: usize, insn: GuestInsn, va: u64) -> Done<()> {
        for _ in 0..TRIES {
            let done = self.shared.harts.borrow_mut().guest(hart, insn, [0, va, 1]);
            let Err(trap) = done else { return Ok(()) };
            self.feed();
            self.fault(hart, vcpu, None, trap, Vec::new())?;
        }
        violation(Property::Progress, format!("hart {hart}: a fence of the guest faults for ever"))
    }
}

fn same_way(found: Way, expected: Way) -> bool {
    match (found, expected) {
        (Way::Load { rd, .. }, Way::Load { rd: wanted, .. }) => rd == wanted,
        (Way::Store { rs2 }, Way::Store { rs2: wanted }) => rs2 == wanted,
        _ => false,
    }
}
