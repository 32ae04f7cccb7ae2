//! A VM: its memory, its vCPUs, and how it ended.

use isa::{Gpa, PAGE_BYTES, Pa};

use crate::gstage;
use crate::memory::{GuestMemory, MemoryError};
use crate::placement::Placement;
use crate::port::{Fences, HartFence, Harts, NotMemory, Physical};
use crate::vcpu::{Run, Vcpu};
use crate::vmid::Vmid;

/// The most vCPUs of a VM: as many as a hart mask of SBI can name at once.
pub const VCPUS_MAX: usize = 64;

/// How a VM ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It powered itself off.
    Shutdown,
    /// It powered itself off because it has failed.
    Failure,
    /// It asked to start again.
    Reboot,
    /// It moved to another machine.
    Moved,
    /// The hypervisor cannot go on with it.
    Broken(Broken),
}

/// Why a VM cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// Its memory cannot be kept.
    #[error("{0}")]
    Memory(#[from] MemoryError),
    /// A trap that no guest can cause.
    #[error("trap {cause:#x} at {pc:#x}, which is none of a guest's")]
    Trap {
        /// `scause`.
        cause: u64,
        /// `sepc`.
        pc: u64,
    },
}

/// A VM.
#[derive(Debug)]
pub struct Vm {
    /// Its memory.
    pub memory: GuestMemory,
    /// Its vCPUs; the number of one is its hart's for the guest.
    pub vcpus: Vec<Vcpu>,
    /// How it ended, once it has.
    pub end: Option<End>,
    /// A vCPU of it that is paused takes no hart.
    pub paused: bool,
    pub(crate) vmid: Vmid,
    pub(crate) placement: Placement,
    pub(crate) fences: FenceCounts,
}

/// Fences, as they were executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FenceCounts {
    /// HFENCE.GVMA by address, on the hart where the hypervisor ran.
    pub gvma_local: u64,
    /// HFENCE.GVMA by address, on other harts.
    pub gvma_remote: u64,
    /// HFENCE.GVMA without address, on the hart where the hypervisor ran.
    pub gvma_all_local: u64,
    /// HFENCE.GVMA without address, on other harts.
    pub gvma_all_remote: u64,
    /// HFENCE.GVMA without address because a vCPU came to a hart that missed fences.
    pub gvma_placed: u64,
    /// HFENCE.VVMA because a vCPU came to a hart that may hold what is not its own.
    pub vvma_placed: u64,
    /// HFENCE.VVMA for the guest, which fenced its other vCPUs.
    pub vvma_asked: u64,
    /// Interrupts to other harts to have them fence.
    pub ipis: u64,
}

impl FenceCounts {
    /// Fence instructions of all kinds.
    pub fn instructions(&self) -> u64 {
        let gvma = self.gvma_local + self.gvma_remote + self.gvma_all_local + self.gvma_all_remote;
        gvma + self.gvma_placed + self.vvma_placed + self.vvma_asked
    }
}

impl Vm {
    /// A VM whose vCPUs are all stopped.
    pub fn new(memory: GuestMemory, vcpus: usize) -> Self {
        Self {
            memory,
            vcpus: vec![Vcpu::new(); vcpus.clamp(1, VCPUS_MAX)],
            end: None,
            paused: false,
            vmid: Vmid::default(),
            placement: Placement::new(0, 0),
            fences: FenceCounts::default(),
        }
    }

    /// The fences it took.
    pub fn fences(&self) -> &FenceCounts {
        &self.fences
    }

    /// Copies guest memory out.
    ///
    /// # Errors
    /// Part of the range is no memory of the guest's.
    pub fn read(&self, from: &dyn Physical, gpa: Gpa, bytes: &mut [u8]) -> Result<(), NoSlot> {
        self.each_piece(gpa, bytes.len(), false, |pa, range| from.read_bytes(pa, &mut bytes[range]))
    }

    /// Copies into guest memory, and marks it dirty.
    ///
    /// # Errors
    /// Part of the range is no memory of the guest's that it may write itself; then nothing was written.
    pub fn write(&mut self, to: &dyn Physical, gpa: Gpa, bytes: &[u8]) -> Result<(), NoSlot> {
        self.check_writable(gpa, bytes.len())?;
        let mut at = gpa;
        for page in pieces(gpa, bytes.len()) {
            self.memory.mark_written(at, page.len() as u64);
            at = Gpa(at.0 + page.len() as u64);
        }
        self.each_piece(gpa, bytes.len(), true, |pa, range| to.write_bytes(pa, &bytes[range]))
    }

    /// Whether slots that the guest may write have all of these bytes.
    pub(crate) fn check_writable(&self, gpa: Gpa, length: usize) -> Result<(), NoSlot> {
        self.each_piece(gpa, length, true, |_, _| Ok(()))
    }

    fn each_piece(
        &self,
        gpa: Gpa,
        length: usize,
        write: bool,
        mut act: impl FnMut(Pa, std::ops::Range<usize>) -> Result<(), NotMemory>,
    ) -> Result<(), NoSlot> {
        for range in pieces(gpa, length) {
            let at = Gpa(gpa.0.checked_add(range.start as u64).ok_or(NoSlot(gpa))?);
            let slot = self.memory.slots().at(at).filter(|slot| slot.writable || !write);
            let slot = slot.ok_or(NoSlot(at))?;
            act(Pa(slot.memory.0 + (at.0 - slot.gpa.0)), range).map_err(|_| NoSlot(at))?;
        }
        Ok(())
    }

    /// Whether the guest can execute at an address.
    pub(crate) fn is_executable(&self, address: u64) -> bool {
        let slot = self.memory.slots().at(Gpa(address));
        address.is_multiple_of(2) && slot.is_some_and(|slot| slot.executable)
    }

    /// The vCPU that is on a hart.
    pub fn on(&self, hart: usize) -> Option<usize> {
        self.vcpus.iter().position(|vcpu| vcpu.run == Run::On { hart })
    }
}

/// There is no memory of the guest's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no memory of the guest's is at {0}")]
pub struct NoSlot(pub Gpa);

/// A range in pieces that lie in a page each.
fn pieces(gpa: Gpa, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let into_page = (gpa.0.wrapping_add(at as u64) % PAGE_BYTES) as usize;
        let end = length.min(at + PAGE_BYTES as usize - into_page);
        let piece = at..end;
        at = end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The harts that may hold translations of a VM, for the fences of its tables.
pub(crate) struct VmFences<'a> {
    pub(crate) harts: &'a mut dyn Harts,
    pub(crate) placement: &'a mut Placement,
    /// The hart that the hypervisor is on, if it is on one of the VM's.
    pub(crate) here: Option<usize>,
    pub(crate) counts: &'a mut FenceCounts,
}

impl Fences for VmFences<'_> {
    fn fence(&mut self, vmid: u16, fence: &gstage::Fence) {
        let vmid = Some(vmid);
        for hart in self.placement.fence() {
            let remote = Some(hart) != self.here;
            let counts = &mut *self.counts;
            counts.ipis += u64::from(remote);
            match *fence {
                gstage::Fence::Everything { .. } => {
                    let count = if remote {
                        &mut counts.gvma_all_remote
                    } else {
                        &mut counts.gvma_all_local
                    };
                    *count += 1;
                    self.harts.fence(hart, HartFence::Gvma { gpa: None, vmid });
                }
                gstage::Fence::Leaves { gpa, stride, .. } => {
                    let count =
                        if remote { &mut counts.gvma_remote } else { &mut counts.gvma_local };
                    *count += fence.instructions();
                    for step in 0..fence.instructions() {
                        let gpa = Some(Gpa(gpa.0 + step * stride));
                        self.harts.fence(hart, HartFence::Gvma { gpa, vmid });
                    }
                }
            }
        }
    }
}
