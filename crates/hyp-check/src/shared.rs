//! What both sides of a world reach: harts, memory, the model. The hypervisor's port is made of it; through that the
//! other harts get to act in the middle of an operation.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use hyp::gstage::Fence;
use hyp::placement::Placement;
use hyp::port::{Fences, Frames, Memory, NotMemory};
use isa::{Exception, Gpa, Pa, Privilege, Va};
use mmu::{Access, Kind, Ram};

use crate::duties::Owed;
use crate::events::{Event, Events};
use crate::frames::Heap;
use crate::hardware::{GuestInsn, Harts, HsInsn, Trap};
use crate::layout::{BASE, CODE, HARTS, VCPUS, WORD};
use crate::model::{Model, Place};
use crate::places::Places;
use crate::schedule::{Deed, Meanwhile, Moment, Spot};
use crate::{Property, Violation};

/// One access of a guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) deed: Deed,
    pub(crate) va: u64,
    /// Where that leads in guest physical memory.
    pub(crate) gpa: Gpa,
    /// What a store stores; a fresh value if not given.
    pub(crate) value: Option<u64>,
}

pub(crate) struct Shared {
    pub(crate) ram: Arc<Ram>,
    pub(crate) harts: RefCell<Harts>,
    pub(crate) heap: RefCell<Heap>,
    pub(crate) model: RefCell<Model>,
    pub(crate) placements: RefCell<Vec<Placement>>,
    /// The vCPU on each hart.
    pub(crate) on_hart: RefCell<[Option<usize>; HARTS]>,
    /// What other harts will do during the operation under way.
    meanwhile: RefCell<Vec<Meanwhile>>,
    /// The hart that the operation runs on, and whether there is one.
    busy: Cell<Option<usize>>,
    pub(crate) in_operation: Cell<bool>,
    accesses: Cell<u32>,
    fences: Cell<u32>,
    /// What the hypervisor owes; only looked at if it is strict.
    pub(crate) owed: RefCell<Vec<Owed>>,
    /// What harts owe; as above.
    pub(crate) places: RefCell<Places>,
    pub(crate) strict: bool,
    pub(crate) violation: RefCell<Option<Violation>>,
    /// HFENCE.GVMA and HINVAL.GVMA instructions asked for.
    pub(crate) fence_insns: [Cell<u64>; crate::layout::VMS],
    pub(crate) svinval: bool,
    pub(crate) next_value: Cell<u64>,
    pub(crate) counts: Cell<Counts>,
}

/// What happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Accesses by guests, and by HS-mode in their name, that succeeded.
    pub accesses: u64,
    /// Those in the middle of an operation.
    pub in_operations: u64,
    /// Guest-page faults.
    pub faults: u64,
    /// Fences, each on one hart.
    pub fences: u64,
    /// Dirty logs read.
    pub logs: u64,
    /// What else happened.
    pub events: Events,
}

pub(crate) type Done<T> = Result<T, Violation>;

pub(crate) fn violation<T>(property: Property, what: String) -> Done<T> {
    Err(Violation { property, what })
}

impl Shared {
    pub(crate) fn new(
        ram: Arc<Ram>,
        harts: Harts,
        model: Model,
        placements: Vec<Placement>,
        svinval: bool,
    ) -> Self {
        Self {
            heap: RefCell::new(Heap::new(Arc::clone(&ram))),
            ram,
            harts: RefCell::new(harts),
            model: RefCell::new(model),
            placements: RefCell::new(placements),
            on_hart: RefCell::new([None; HARTS]),
            meanwhile: RefCell::default(),
            busy: Cell::new(None),
            in_operation: Cell::new(false),
            accesses: Cell::new(0),
            fences: Cell::new(0),
            owed: RefCell::default(),
            places: RefCell::default(),
            strict: false,
            violation: RefCell::new(None),
            fence_insns: Default::default(),
            svinval,
            next_value: Cell::new(0x1_0000_0001),
            counts: Cell::default(),
        }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    pub(crate) fn note(&self, event: Event) {
        self.count(|counts| counts.events.note(event, 1));
    }

    pub(crate) fn begin(&self, busy: Option<usize>, meanwhile: Vec<Meanwhile>) {
        self.busy.set(busy);
        self.in_operation.set(true);
        self.accesses.set(0);
        self.fences.set(0);
        *self.meanwhile.borrow_mut() = meanwhile;
    }

    pub(crate) fn end(&self) -> Done<()> {
        self.in_operation.set(false);
        self.meanwhile.borrow_mut().clear();
        self.violation.borrow_mut().take().map_or(Ok(()), Err)?;
        if self.strict {
            self.owed.borrow_mut().iter_mut().try_for_each(Owed::nothing)?;
        }
        Ok(())
    }

    fn unique(&self) -> u64 {
        let value = self.next_value.get();
        // Both halves differ from any other value's.
        self.next_value.set(value.wrapping_add(0x1_0000_0001));
        value
    }

    /// Where a spot is for a vCPU.
    pub(crate) fn reach(&self, vcpu: usize, deed: Deed, spot: Spot) -> Reach {
        let model = self.model.borrow();
        let va = model.va(vcpu, spot);
        Reach { deed, va, gpa: model.gpa(vcpu, va), value: None }
    }

    /// Executes one access of a guest, or of HS-mode in its name, and judges it if it did not trap.
    pub(crate) fn attempt(&self, hart: usize, vcpu: usize, reach: Reach) -> Done<Option<Trap>> {
        let vm = VCPUS[vcpu].0;
        let place = self.model.borrow().place(vm, reach.gpa);
        if let Some(place) = &place {
            self.give_value(vm, place);
        }
        let value = reach.value.unwrap_or_else(|| self.unique());
        self.look_at_ptes(vcpu, reach.va);
        let outcome = {
            let mut harts = self.harts.borrow_mut();
            let operands = [value, reach.va, 0];
            match reach.deed {
                Deed::Load => harts.guest(hart, GuestInsn::Load, operands),
                Deed::Store => harts.guest(hart, GuestInsn::Store, operands),
                Deed::Amo => harts.guest(hart, GuestInsn::Amo, operands).map(|(_, old)| (old, 0)),
                Deed::Hlv => harts.hs(hart, HsInsn::Hlv, reach.va, 0).map(|read| (read, 0)),
                Deed::Hlvx => harts.hs(hart, HsInsn::HlvxWord, reach.va, 0).map(|read| (read, 0)),
            }
        };
        self.look_at_ptes(vcpu, reach.va);
        if matches!(reach.deed, Deed::Hlv | Deed::Hlvx) {
            self.hs_load(hart, reach.va, place.as_ref())?;
        }
        match outcome {
            Err(trap) => Ok(Some(trap)),
            Ok((read, _)) => {
                self.judge(hart, vcpu, &reach, place, value, read)?;
                Ok(None)
            }
        }
    }

    /// Gives a page that nobody wrote a value of its own.
    fn give_value(&self, vm: usize, place: &Place) {
        let mut model = self.model.borrow_mut();
        if model.is_precious(vm, place) || model.slots[vm][place.slot].touched.contains(&place.page)
        {
            return;
        }
        let value = self.unique();
        let at = Pa(place.pa.0 & !0xfff | WORD);
        self.ram.write(at, value).unwrap_or(());
        let slot = &mut model.slots[vm][place.slot];
        slot.touched.insert(place.page);
        if let Some(log) = &mut slot.log {
            log.copy.insert(place.page, value);
        }
    }

    /// The walker of the VS-stage may have set A and D in a guest's PTEs, which are guest memory.
    fn look_at_ptes(&self, vcpu: usize, va: u64) {
        let mut model = self.model.borrow_mut();
        if !model.guests[vcpu].paging {
            return;
        }
        let vm = VCPUS[vcpu].0;
        let memory = model.slots[vm][2].slot.memory;
        let paths = [model.walk(vcpu, va), model.walk(vcpu, CODE)];
        for at in paths.into_iter().flatten() {
            let now = self.ram.read::<u64>(at).unwrap_or(0);
            if model.ptes.insert(at.0, now).is_some_and(|before| before != now) {
                let page = (at.0 - memory.0) >> 12;
                model.note_write(vm, 2, page, self.in_operation.get());
            }
        }
    }

    /// After HLV, HS-mode loads from memory by its own map, at the same number if it can.
    fn hs_load(&self, hart: usize, va: u64, place: Option<&Place>) -> Done<()> {
        let at = if self.ram.contains(Pa(va), 8) {
            va
        } else {
            place.map_or(BASE, |place| place.pa.0 & !7)
        };
        let expected = self.ram.read::<u64>(Pa(at)).unwrap_or(0);
        let read = self.harts.borrow_mut().hs(hart, HsInsn::Load, at, 0);
        if read == Ok(expected) {
            return Ok(());
        }
        let what =
            format!("hart {hart}: HS-mode loads {expected:#x} at {at:#x} and gets {read:x?}");
        violation(Property::Supervisor, what)
    }

    fn judge(
        &self,
        hart: usize,
        vcpu: usize,
        reach: &Reach,
        place: Option<Place>,
        value: u64,
        read: u64,
    ) -> Done<()> {
        let vm = VCPUS[vcpu].0;
        let in_operation = self.in_operation.get();
        let wrong = |what: String| {
            let property = self.whose(hart, reach, place.as_ref());
            violation(property, format!("hart {hart}, {:?} at {}: {what}", reach.deed, reach.gpa))
        };
        let Some(place) = place else { return wrong("succeeds where no memory is".to_owned()) };
        let writes = matches!(reach.deed, Deed::Store | Deed::Amo);
        if writes && !place.is_writable {
            return wrong("writes memory that is read-only".to_owned());
        }
        let mut model = self.model.borrow_mut();
        let precious = model.is_precious(vm, &place) && reach.value.is_none();
        let now = self.ram.read::<u64>(place.pa).unwrap_or(0);
        let expected = match reach.deed {
            Deed::Store => value,
            Deed::Amo => read.wrapping_add(value),
            _ if precious => read,
            Deed::Hlvx => now & 0xffff_ffff,
            Deed::Load | Deed::Hlv => now,
        };
        let seen = if writes { now } else { read };
        if seen != expected {
            drop(model);
            let what = format!("{expected:#x} was expected in memory, and {seen:#x} found");
            return wrong(what);
        }
        let slot = &mut model.slots[vm][place.slot];
        slot.loaded.insert(place.page);
        if !in_operation {
            slot.used.insert(place.page);
        }
        if writes {
            slot.stored.insert(place.page);
            model.note_write(vm, place.slot, place.page, in_operation);
        }
        if reach.value.is_some() {
            // A guest's PTE.
            model.ptes.insert(place.pa.0, value);
        }
        drop(model);
        let event = match reach.deed {
            Deed::Load => Event::Load,
            Deed::Store => Event::Store,
            Deed::Amo => Event::Amo,
            Deed::Hlv => Event::Hlv,
            Deed::Hlvx => Event::Hlvx,
        };
        self.count(|counts| {
            counts.events.note(event, 1);
            counts.accesses += 1;
            counts.in_operations += u64::from(in_operation);
        });
        Ok(())
    }

    /// Whose fault a wrong access is: if a walk from the root would be right, what the hart used is stale or made up;
    /// else the tables are wrong.
    fn whose(&self, hart: usize, reach: &Reach, place: Option<&Place>) -> Property {
        let kind = match reach.deed {
            Deed::Store | Deed::Amo => Kind::Store,
            _ => Kind::Load,
        };
        let hlvx = reach.deed == Deed::Hlvx;
        let access = Access { kind, size: 8, privilege: Privilege::S, v: true, hlvx };
        let harts = self.harts.borrow();
        let fresh = harts.hart(hart).mmu().explain(Va(reach.va), access).outcome;
        let fresh = fresh.ok().map(|translated| translated.target.pa());
        let writes = kind == Kind::Store;
        let right = place.filter(|place| !writes || place.is_writable).map(|place| place.pa);
        if fresh == right || fresh.is_none() { Property::Stale } else { Property::Unintended }
    }

    /// Lets other harts act whose turn it is.
    fn tick(&self, fenced: bool) {
        let counter = if fenced { &self.fences } else { &self.accesses };
        counter.set(counter.get() + 1);
        let now = counter.get();
        loop {
            let is_due = |next: &Meanwhile| match next.at {
                Moment::Access(at) => !fenced && at <= now,
                Moment::Fence(at) => fenced && at < now,
            };
            let mut waiting = self.meanwhile.borrow_mut();
            let Some(at) = waiting.iter().position(is_due) else { return };
            let next = waiting.remove(at);
            drop(waiting);
            if self.busy.get() == Some(next.hart) || self.violation.borrow().is_some() {
                continue;
            }
            let Some(vcpu) = self.on_hart.borrow()[next.hart] else { continue };
            if self.model.borrow().stopped[vcpu] {
                continue;
            }
            let reach = self.reach(vcpu, next.deed, next.spot);
            match self.attempt(next.hart, vcpu, reach) {
                Ok(None) => {}
                // It waits for the lock.
                Ok(Some(trap)) if trap.is_guest_page_fault() => self.note(Event::WaitForLock),
                Ok(trap) => {
                    let what = format!("hart {}: trap {trap:x?}", next.hart);
                    *self.violation.borrow_mut() = violation::<()>(Property::Traps, what).err();
                }
                Err(violation) => *self.violation.borrow_mut() = Some(violation),
            }
        }
    }
}

impl Trap {
    pub(crate) fn is_guest_page_fault(&self) -> bool {
        let causes =
            [Exception::InstructionGuestPage, Exception::LoadGuestPage, Exception::StoreGuestPage];
        causes.iter().any(|cause| cause.code() == self.cause)
    }
}

/// What the hypervisor sees of a world.
pub(crate) struct Port<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) vm: usize,
}

impl Memory for Port<'_> {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        self.shared.tick(false);
        self.shared.ram.read(pte).ok_or(NotMemory(pte))
    }

    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
        self.shared.tick(false);
        self.shared.ram.write(pte, value).ok_or(NotMemory(pte))
    }

    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
        self.shared.tick(false);
        let outcome = self.shared.ram.compare_exchange(pte, old, new).ok_or(NotMemory(pte))?;
        if self.shared.strict && outcome.is_ok() {
            self.shared.owed.borrow_mut()[self.vm].changed(pte, old, new);
        }
        Ok(outcome.err().unwrap_or(old))
    }
}

impl Frames for Port<'_> {
    fn allocate(&mut self) -> Option<Pa> {
        self.shared.heap.borrow_mut().allocate()
    }

    fn free(&mut self, frame: Pa) {
        if self.shared.strict && self.shared.owed.borrow()[self.vm].owes_everything() {
            let what = format!("{frame} is given back, and the fence is still owed");
            *self.shared.violation.borrow_mut() = violation::<()>(Property::Tables, what).err();
        }
        self.shared.heap.borrow_mut().free(frame);
    }
}

impl Fences for Port<'_> {
    fn fence(&mut self, vmid: u16, fence: &Fence) {
        let asked = &self.shared.fence_insns[self.vm];
        asked.set(asked.get() + fence.instructions());
        self.shared.tick(true);
        let harts = self.shared.placements.borrow_mut()[self.vm].fence();
        for &hart in &harts {
            for insn in fence.sequence(self.shared.svinval) {
                let done = self.shared.harts.borrow_mut().fence(hart, insn, vmid);
                if let Err(trap) = done {
                    let what = format!("hart {hart}: {insn:?} traps: {trap:x?}");
                    *self.shared.violation.borrow_mut() =
                        violation::<()>(Property::Traps, what).err();
                }
            }
            self.shared.count(|counts| counts.fences += 1);
            self.shared.tick(true);
        }
        if self.shared.strict {
            self.shared.owed.borrow_mut()[self.vm].fenced(fence);
            if fence.why().is_due() {
                let running = *self.shared.on_hart.borrow();
                let done = self.shared.places.borrow_mut().fenced(self.vm, vmid, &harts, &running);
                if let Err(violation) = done {
                    self.shared.violation.borrow_mut().get_or_insert(violation);
                }
            }
        }
    }
}
