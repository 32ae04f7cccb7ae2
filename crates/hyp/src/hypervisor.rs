//! The hypervisor: VMs, and their vCPUs on harts.
//!
//! A hart leaves a guest by a trap and calls [`Hypervisor::exit`], which acts on the exit, maybe puts another vCPU
//! on the hart, and says whether it enters a guest or waits. vCPUs have no home: each waits in one queue for the next
//! hart that is free, and gives its hart up when it waits itself, or when its slice is over and another is ready.

use std::collections::VecDeque;

use isa::field::mip;
use isa::{Cause, Exception, Interrupt, csr};

use crate::cost::{Costs, Spent, Work};
use crate::dirty::RingEntry;
use crate::exit::Then;
use crate::memory::{Env, MemoryError};
use crate::placement::Placement;
use crate::port::{HartFence, Parts};
use crate::vcpu::{Run, Vcpu};
use crate::vm::{End, FenceCounts, Vm, VmFences};
use crate::vmid::{Assigned, Vmid, VmidAllocator};

/// What the hart does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Next {
    /// It has entered a guest.
    Guest,
    /// It waits, as by WFI, for an interrupt that is pending in `sip` and enabled in `sie`; then
    /// [`Hypervisor::exit`] is called again.
    Wait,
}

/// A vCPU by VM and number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VcpuId {
    /// The VM.
    pub vm: usize,
    /// Its number in the VM.
    pub vcpu: usize,
}

/// What happened so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Exits by exception code.
    pub exceptions: [u64; 64],
    /// Exits by interrupt code.
    pub interrupts: [u64; 64],
    /// Calls of SBI by extension, in the order of [`crate::sbi::EXTENSIONS`]; the last is for all others.
    pub calls: [u64; crate::sbi::EXTENSIONS.len() + 1],
    /// Accesses to devices that were done.
    pub device_accesses: u64,
    /// Exceptions that were handed to the guest.
    pub injected: u64,
    /// vCPUs put onto harts.
    pub switches: u64,
    /// Of those, onto another hart than the last time.
    pub moves: u64,
    /// Interrupts sent to other harts to have them look at something.
    pub kicks: u64,
    /// Generations of VMIDs after the first.
    pub rollovers: u64,
    /// Exits after which a vCPU waited for its dirty ring to be reset.
    pub full_rings: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            exceptions: [0; 64],
            interrupts: [0; 64],
            calls: [0; crate::sbi::EXTENSIONS.len() + 1],
            device_accesses: 0,
            injected: 0,
            switches: 0,
            moves: 0,
            kicks: 0,
            rollovers: 0,
            full_rings: 0,
        }
    }
}

impl Counts {
    /// Exits of all kinds.
    pub fn exits(&self) -> u64 {
        self.exceptions.iter().chain(&self.interrupts).sum()
    }
}

/// What the hypervisor knows of a hart.
#[derive(Clone, Copy, Debug, Default)]
struct OnHart {
    loaded: Option<VcpuId>,
    /// The vCPU that it had last.
    holds: Option<VcpuId>,
    /// It waits and nobody has called it.
    idle: bool,
}

/// The hypervisor. See the module.
#[derive(Debug)]
pub struct Hypervisor {
    /// The VMs.
    pub vms: Vec<Vm>,
    harts: Vec<OnHart>,
    pub(crate) ready: VecDeque<VcpuId>,
    /// `None` where there are too few for one a hart.
    vmids: Option<VmidAllocator>,
    slice_ticks: u64,
    pub(crate) counts: Counts,
    costs: Costs,
    spent: u64,
    pub(crate) decoder: isa::Decoder,
}

/// What goes to VS-mode at once: all that a guest's kernel handles itself.
const HEDELEG: [Exception; 12] = [
    Exception::InstructionMisaligned,
    Exception::InstructionAccess,
    Exception::IllegalInstruction,
    Exception::Breakpoint,
    Exception::LoadMisaligned,
    Exception::LoadAccess,
    Exception::StoreMisaligned,
    Exception::StoreAccess,
    Exception::EcallU,
    Exception::InstructionPage,
    Exception::LoadPage,
    Exception::StorePage,
];

impl Hypervisor {
    /// A hypervisor without VMs: sets all harts up, which must be in HS-mode. A vCPU keeps its hart for `slice_ticks` of
    /// `time` when another one waits.
    pub fn new(parts: &mut Parts<'_>, exts: &isa::ExtSet, slice_ticks: u64) -> Self {
        let count = parts.harts.count();
        for hart in 0..count {
            let harts = &mut *parts.harts;
            harts.set_csr(hart, csr::HEDELEG, HEDELEG.iter().fold(0, |bits, e| bits | e.bit()));
            harts.set_csr(hart, csr::HIDELEG, mip::VSSIP | mip::VSTIP | mip::VSEIP);
            harts.set_csr(hart, csr::HIE, 0);
            harts.set_csr(hart, csr::SIE, mip::SSIP | mip::STIP);
            harts.set_csr(hart, csr::VSATP, 0);
            harts.set_timer(hart, u64::MAX);
            harts.fence(hart, HartFence::Gvma { gpa: None, vmid: None });
        }
        // VMIDLEN: the bits that stick.
        let field = isa::field::hgatp::VMID;
        parts.harts.set_csr(0, csr::HGATP, field);
        let vmid_bits = (parts.harts.csr(0, csr::HGATP) & field).count_ones();
        parts.harts.set_csr(0, csr::HGATP, 0);
        Self {
            vms: Vec::new(),
            harts: vec![OnHart { idle: true, ..OnHart::default() }; count],
            ready: VecDeque::new(),
            vmids: VmidAllocator::new(vmid_bits).filter(|_| (1 << vmid_bits) > count),
            slice_ticks: slice_ticks.max(1),
            counts: Counts::default(),
            costs: Costs::NONE,
            spent: 0,
            decoder: isa::Decoder::new(exts),
        }
    }

    /// Adds a VM; returns its number.
    pub fn add(&mut self, mut vm: Vm) -> usize {
        vm.placement = Placement::new(self.harts.len(), vm.vcpus.len());
        self.vms.push(vm);
        self.vms.len() - 1
    }

    /// Starts a stopped vCPU in VS-mode at `pc`, as SBI's HSM does.
    pub fn start(&mut self, parts: &mut Parts<'_>, id: VcpuId, pc: u64, opaque: u64) {
        self.vms[id.vm].vcpus[id.vcpu].start_at(id.vcpu, pc, opaque);
        self.make_ready(parts, id);
    }

    /// From now on each exit takes its hart as many cycles as these costs come to.
    pub fn set_costs(&mut self, costs: Costs) {
        self.costs = costs;
    }

    /// What things cost.
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// What exits have cost so far.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether every VM has ended.
    pub fn is_over(&self) -> bool {
        self.vms.iter().all(|vm| vm.end.is_some())
    }

    /// Which vCPU a hart runs.
    pub fn on_hart(&self, hart: usize) -> Option<VcpuId> {
        self.harts.get(hart)?.loaded
    }

    /// A hart has trapped to HS-mode, or woken from [`Next::Wait`].
    pub fn exit(&mut self, parts: &mut Parts<'_>, hart: usize) -> Next {
        self.harts[hart].idle = false;
        let Some(id) = self.harts[hart].loaded else {
            self.acknowledge(parts, hart);
            return self.schedule(parts, hart);
        };
        let cause = parts.harts.csr(hart, csr::SCAUSE);
        let counts = if cause >> 63 != 0 {
            &mut self.counts.interrupts
        } else {
            &mut self.counts.exceptions
        };
        counts[(cause & 63) as usize] += 1;
        let gone = self.vms[id.vm].end.is_some() || self.vms[id.vm].paused;
        let is_interrupt = cause >> 63 != 0;
        let before = Work::of(&self.vms[id.vm]);
        let then = match (gone, is_interrupt) {
            (true, _) => Then::Yield,
            (false, true) => self.interrupt(parts, hart, cause),
            (false, false) => self.exception(parts, hart, id, cause),
        };
        let work = Work::of(&self.vms[id.vm]).since(&before);
        let cost = self.costs.exit + self.costs.of(&work);
        if cost != 0 {
            self.spent += cost;
            let splitting = self.costs.of_splits(&work);
            parts.harts.spend(hart, Spent { instructions: cost, splitting });
        }
        match then {
            Then::Resume => {
                parts.harts.sret(hart);
                return Next::Guest;
            }
            Then::Yield => {
                self.unload(parts, hart, Run::Ready);
                self.ready.push_back(id);
            }
            Then::Wait { suspended, resume } => {
                self.unload(parts, hart, Run::Waiting { suspended, resume });
            }
            Then::RingFull => {
                self.counts.full_rings += 1;
                self.unload(parts, hart, Run::Ready);
                self.vms[id.vm].vcpus[id.vcpu].ring_is_full = true;
                self.ready.push_back(id);
            }
            Then::Stop => self.unload(parts, hart, Run::Stopped),
            Then::End(end) => {
                self.unload(parts, hart, Run::Stopped);
                self.vms[id.vm].end = Some(end);
                self.kick_all(parts, id.vm);
            }
        }
        self.schedule(parts, hart)
    }

    /// Takes every vCPU of a VM off its hart at once, and lets none run until [`Hypervisor::resume`].
    pub fn pause(&mut self, parts: &mut Parts<'_>, vm: usize) {
        self.vms[vm].paused = true;
        self.kick_all(parts, vm);
    }

    /// Lets the vCPUs of a VM run again.
    pub fn resume(&mut self, parts: &mut Parts<'_>, vm: usize) {
        self.vms[vm].paused = false;
        for _ in 0..self.vms[vm].vcpus.len() {
            self.kick_idle(parts, None);
        }
    }

    /// Whether a vCPU of a VM waits until its dirty ring is reset.
    pub fn has_full_ring(&self, vm: usize) -> bool {
        self.vms[vm].vcpus.iter().any(|vcpu| vcpu.ring_is_full)
    }

    /// Takes what a vCPU's dirty ring holds, makes room in it, and lets the vCPU run again. Returns what there was; the next
    /// write to each of those pages is seen, so they are copied after this.
    ///
    /// # Errors
    /// A table was not in main memory.
    pub fn empty_ring(
        &mut self,
        parts: &mut Parts<'_>,
        id: VcpuId,
    ) -> Result<Vec<RingEntry>, MemoryError> {
        let entries = self.with_memory(parts, id.vm, None, |memory, env| {
            let entries = memory.collect_ring(id.vcpu);
            memory.reset_ring(env, id.vcpu).map(|()| entries)
        })?;
        if std::mem::take(&mut self.vms[id.vm].vcpus[id.vcpu].ring_is_full) {
            self.kick_idle(parts, None);
        }
        Ok(entries)
    }

    /// Whether a paused VM has no vCPU on a hart.
    pub fn is_quiet(&self, vm: usize) -> bool {
        !self.vms[vm].vcpus.iter().any(|vcpu| matches!(vcpu.run, Run::On { .. }))
    }

    /// Does something to a VM's memory from the hart `here`, or from none that guests run on, with the fences reaching every hart that they must.
    pub fn with_memory<T>(
        &mut self,
        parts: &mut Parts<'_>,
        vm: usize,
        here: Option<usize>,
        act: impl FnOnce(&mut crate::memory::GuestMemory, &mut Env<'_>) -> T,
    ) -> T {
        let vm = &mut self.vms[vm];
        let mut fences = VmFences {
            harts: parts.harts,
            placement: &mut vm.placement,
            here,
            counts: &mut vm.fences,
        };
        let mut env = Env { memory: parts.memory, frames: parts.frames, fences: &mut fences };
        act(&mut vm.memory, &mut env)
    }

    fn kick_all(&mut self, parts: &mut Parts<'_>, vm: usize) {
        for other in 0..self.harts.len() {
            if self.harts[other].loaded.is_some_and(|id| id.vm == vm) {
                self.counts.kicks += 1;
                parts.harts.interrupt(other);
            }
        }
    }

    /// Clears what called the hart.
    fn acknowledge(&mut self, parts: &mut Parts<'_>, hart: usize) {
        let pending = parts.harts.csr(hart, csr::SIP);
        parts.harts.set_csr(hart, csr::SIP, pending & !mip::SSIP);
    }

    fn interrupt(&mut self, parts: &mut Parts<'_>, hart: usize, cause: u64) -> Then {
        if cause == Cause::Interrupt(Interrupt::SupervisorSoftware).bits() {
            self.acknowledge(parts, hart);
        }
        let time = parts.harts.csr(hart, csr::TIME);
        self.wake_due(parts, time);
        self.ring_loaded(parts, hart);
        let since = self.loaded_vcpu(hart).map_or(0, |vcpu| vcpu.since);
        if time.saturating_sub(since) >= self.slice_ticks {
            if !self.ready.is_empty() {
                return Then::Yield;
            }
            // Nobody wants the hart: a new slice begins.
            if let Some(id) = self.harts[hart].loaded {
                self.vms[id.vm].vcpus[id.vcpu].since = time;
            }
        }
        self.arm(parts, hart);
        Then::Resume
    }

    /// Without Sstc: makes the timer interrupt of the vCPU on this hart pending if it is due.
    fn ring_loaded(&mut self, parts: &mut Parts<'_>, hart: usize) {
        let Some(id) = self.harts[hart].loaded else { return };
        let own =
            parts.harts.csr(hart, csr::TIME).wrapping_add(parts.harts.csr(hart, csr::HTIMEDELTA));
        let vcpu = &mut self.vms[id.vm].vcpus[id.vcpu];
        if vcpu.timer.is_some_and(|at| at <= own) {
            vcpu.timer = None;
            let pending = parts.harts.csr(hart, csr::HVIP);
            parts.harts.set_csr(hart, csr::HVIP, pending | mip::VSTIP);
        }
    }

    fn loaded_vcpu(&self, hart: usize) -> Option<&Vcpu> {
        let id = self.harts[hart].loaded?;
        self.vms[id.vm].vcpus.get(id.vcpu)
    }

    /// Makes those vCPUs ready that wait for a moment that has come.
    fn wake_due(&mut self, parts: &mut Parts<'_>, time: u64) {
        for vm in 0..self.vms.len() {
            for vcpu in 0..self.vms[vm].vcpus.len() {
                self.wake_if_due(parts, VcpuId { vm, vcpu }, time);
            }
        }
    }

    /// Makes a waiting vCPU ready if an interrupt that it has enabled is pending.
    pub(crate) fn wake_if_due(&mut self, parts: &mut Parts<'_>, id: VcpuId, time: u64) {
        let vm = &mut self.vms[id.vm];
        let vcpu = &mut vm.vcpus[id.vcpu];
        let Run::Waiting { resume, .. } = vcpu.run else { return };
        if vm.end.is_some() || !vcpu.wakes(time) {
            return;
        }
        if let Some(resume) = resume {
            let timer = vcpu.timer;
            let hvip = vcpu.context.csr(csr::HVIP);
            vcpu.start_at(id.vcpu, resume.pc, resume.opaque);
            vcpu.timer = timer;
            vcpu.context.set_csr(csr::HVIP, hvip);
        }
        self.make_ready(parts, id);
    }

    /// Queues a vCPU, and calls a hart for it if one waits.
    pub(crate) fn make_ready(&mut self, parts: &mut Parts<'_>, id: VcpuId) {
        let vcpu = &mut self.vms[id.vm].vcpus[id.vcpu];
        vcpu.run = Run::Ready;
        let last = vcpu.last_hart;
        self.ready.push_back(id);
        self.kick_idle(parts, last);
    }

    fn kick_idle(&mut self, parts: &mut Parts<'_>, wanted: Option<usize>) {
        let idle = |hart: &usize| self.harts[*hart].idle;
        let found = wanted.filter(idle).or_else(|| (0..self.harts.len()).find(idle));
        if let Some(hart) = found {
            self.harts[hart].idle = false;
            self.counts.kicks += 1;
            parts.harts.interrupt(hart);
        }
    }

    /// Gives the hart to the next vCPU that is ready.
    fn schedule(&mut self, parts: &mut Parts<'_>, hart: usize) -> Next {
        let time = parts.harts.csr(hart, csr::TIME);
        // It looks for itself now; nobody need call it.
        self.wake_due(parts, time);
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            let vm = &self.vms[id.vm];
            if vm.end.is_some() {
                continue;
            }
            if vm.paused || vm.vcpus[id.vcpu].ring_is_full {
                self.ready.push_back(id);
                continue;
            }
            self.load(parts, hart, id, time);
            self.arm(parts, hart);
            parts.harts.sret(hart);
            return Next::Guest;
        }
        self.harts[hart].idle = true;
        self.arm(parts, hart);
        Next::Wait
    }

    /// Sets the hart's timer to the next moment at which something is to be done.
    pub(crate) fn arm(&mut self, parts: &mut Parts<'_>, hart: usize) {
        let time = parts.harts.csr(hart, csr::TIME);
        let vcpus = || self.vms.iter().filter(|vm| vm.end.is_none()).flat_map(|vm| &vm.vcpus);
        let mut next = vcpus()
            .filter(|vcpu| matches!(vcpu.run, Run::Waiting { .. }))
            .filter_map(|vcpu| vcpu.rings_at(time))
            .min()
            .unwrap_or(u64::MAX);
        if let Some(vcpu) = self.loaded_vcpu(hart) {
            let wanting = vcpus().filter(|vcpu| vcpu.run != Run::Stopped).count();
            if wanting > self.harts.len() {
                let over = vcpu.since.saturating_add(self.slice_ticks);
                next = next.min(over.max(time.saturating_add(1)));
            }
            let own = time.wrapping_add(parts.harts.csr(hart, csr::HTIMEDELTA));
            if let Some(at) = vcpu.timer {
                next = next.min(time.saturating_add(at.saturating_sub(own)));
            }
        }
        parts.harts.set_timer(hart, next);
    }

    fn load(&mut self, parts: &mut Parts<'_>, hart: usize, id: VcpuId, time: u64) {
        self.counts.switches += 1;
        // What hardware reads ahead with one VM's root and another's must not be kept.
        parts.harts.set_csr(hart, csr::VSATP, 0);
        self.give_vmid(parts, hart, id.vm);
        let vm = &mut self.vms[id.vm];
        let vmid = vm.vmid.number();
        let arrival = vm.placement.place(hart, id.vcpu);
        if arrival.gvma {
            vm.fences.gvma_placed += 1;
            parts.harts.fence(hart, HartFence::Gvma { gpa: None, vmid: Some(vmid) });
        }
        let root = vm.memory.gstage().hgatp(vmid);
        if parts.harts.csr(hart, csr::HGATP) != root {
            parts.harts.set_csr(hart, csr::HGATP, root);
        }
        let vcpu = &mut vm.vcpus[id.vcpu];
        self.counts.moves += u64::from(vcpu.last_hart.is_some_and(|last| last != hart));
        let came_anew = self.vmids.is_none() && self.harts[hart].holds != Some(id);
        if arrival.vvma || came_anew || vcpu.must_fence {
            vm.fences.vvma_placed += 1;
            parts.harts.fence(hart, HartFence::Vvma { va: None, asid: None, vmid });
        }
        if arrival.vvma || vcpu.must_fence_i {
            parts.harts.fence(hart, HartFence::I);
        }
        vcpu.must_fence = false;
        vcpu.must_fence_i = false;
        let own = time.wrapping_add(vcpu.context.csr(csr::HTIMEDELTA));
        if vcpu.timer.is_some_and(|at| at <= own) {
            vcpu.timer = None;
            let pending = vcpu.context.csr(csr::HVIP);
            vcpu.context.set_csr(csr::HVIP, pending | mip::VSTIP);
        }
        vcpu.context.restore(parts.harts, hart);
        vcpu.last_hart = Some(hart);
        vcpu.run = Run::On { hart };
        vcpu.since = time;
        self.harts[hart].loaded = Some(id);
        self.harts[hart].holds = Some(id);
    }

    fn unload(&mut self, parts: &mut Parts<'_>, hart: usize, run: Run) {
        let Some(id) = self.harts[hart].loaded.take() else { return };
        let vm = &mut self.vms[id.vm];
        vm.placement.leave(hart);
        let vcpu = &mut vm.vcpus[id.vcpu];
        vcpu.context.save(parts.harts, hart);
        vcpu.run = run;
        // The guest's enables would wake the hart for interrupts of a guest that is gone.
        parts.harts.set_csr(hart, csr::HIE, 0);
    }

    /// Sees to it that a VM that comes to a hart has a VMID of its own there.
    fn give_vmid(&mut self, parts: &mut Parts<'_>, hart: usize, index: usize) {
        let Some(vmids) = &mut self.vmids else {
            // Each hart holds one VM at a time.
            if self.harts[hart].holds.is_none_or(|held| held.vm != index) {
                self.vms[index].fences.gvma_placed += 1;
                // With the other VM's root still there, hardware could read ahead behind the fence.
                parts.harts.set_csr(hart, csr::HGATP, 0);
                parts.harts.fence(hart, HartFence::Gvma { gpa: None, vmid: None });
            }
            return;
        };
        let begins = match assign(vmids, &mut self.vms[index]) {
            Assigned::Kept => return,
            Assigned::Fresh => false,
            Assigned::NewGeneration => true,
        };
        if !begins {
            return;
        }
        self.counts.rollovers += 1;
        for other in 0..self.harts.len() {
            // As above: under the old number, which another VM gets.
            parts.harts.set_csr(other, csr::HGATP, 0);
            parts.harts.fence(other, HartFence::Gvma { gpa: None, vmid: None });
            let fences = &mut self.vms[index].fences;
            if other == hart {
                fences.gvma_all_local += 1;
            } else {
                fences.gvma_all_remote += 1;
                fences.ipis += 1;
            }
        }
        // No VM may go on under its old number, not even one that is on another hart right now.
        for other in (0..self.harts.len()).filter(|&other| other != hart) {
            let Some(id) = self.harts[other].loaded else { continue };
            let vm = &mut self.vms[id.vm];
            let _ = assign(vmids, vm);
            let _ = vm.placement.place(other, id.vcpu);
            let vmid = vm.vmid.number();
            parts.harts.set_csr(other, csr::HGATP, vm.memory.gstage().hgatp(vmid));
            vm.fences.vvma_placed += 1;
            parts.harts.fence(other, HartFence::Vvma { va: None, asid: None, vmid });
        }
    }

    /// The fences of all VMs.
    pub fn fences(&self) -> FenceCounts {
        let mut sum = FenceCounts::default();
        for FenceCounts {
            gvma_local,
            gvma_remote,
            gvma_all_local,
            gvma_all_remote,
            gvma_placed,
            vvma_placed,
            vvma_asked,
            ipis,
        } in self.vms.iter().map(|vm| vm.fences)
        {
            sum.gvma_local += gvma_local;
            sum.gvma_remote += gvma_remote;
            sum.gvma_all_local += gvma_all_local;
            sum.gvma_all_remote += gvma_all_remote;
            sum.gvma_placed += gvma_placed;
            sum.vvma_placed += vvma_placed;
            sum.vvma_asked += vvma_asked;
            sum.ipis += ipis;
        }
        sum
    }

    /// Ends a VM from outside.
    pub fn end(&mut self, parts: &mut Parts<'_>, vm: usize, end: End) {
        self.vms[vm].end = Some(end);
        self.kick_all(parts, vm);
    }
}

/// Gives a VM a VMID of the present generation; under a new one it is nowhere yet.
fn assign(vmids: &mut VmidAllocator, vm: &mut Vm) -> Assigned {
    let mut vmid: Vmid = vm.vmid;
    let assigned = vmids.assign(&mut vmid);
    if assigned != Assigned::Kept {
        vm.vmid = vmid;
        vm.memory.set_vmid(vmid.number());
        vm.placement.forget();
    }
    assigned
}
