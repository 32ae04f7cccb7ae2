//! What harts see when VMs change on them: machines without instructions, which hold CSRs and note fences.

use std::collections::BTreeMap;

use hyp::gstage::{Gstage, Mode, Size};
use hyp::hypervisor::{Hypervisor, Next, VcpuId};
use hyp::memory::{Clearing, GuestMemory, MemoryConfig};
use hyp::policy::Policy;
use hyp::port::{Frames, HartFence, Harts, Io, Memory, NotMemory, Parts, Physical};
use hyp::vm::{End, Vm};
use isa::field::hgatp;
use isa::{ExtSet, Gpa, Pa, Privilege, Va, csr};

/// Harts with so many bits of VMID.
struct Notes {
    vmid_bits: u32,
    csrs: Vec<BTreeMap<u16, u64>>,
    /// Of each fence: the hart, what it is, and `hgatp` at that moment.
    fences: Vec<(usize, HartFence, u64)>,
}

impl Harts for Notes {
    fn count(&self) -> usize {
        self.csrs.len()
    }
    fn x(&self, _: usize, _: u8) -> u64 {
        0
    }
    fn set_x(&mut self, _: usize, _: u8, _: u64) {}
    fn f(&self, _: usize, _: u8) -> u64 {
        0
    }
    fn set_f(&mut self, _: usize, _: u8, _: u64) {}
    fn csr(&self, hart: usize, number: u16) -> u64 {
        self.csrs[hart].get(&number).copied().unwrap_or(0)
    }
    fn set_csr(&mut self, hart: usize, number: u16, value: u64) {
        let bits = ((1 << self.vmid_bits) - 1) << hgatp::VMID.trailing_zeros();
        let value = if number == csr::HGATP { value & (!hgatp::VMID | bits) } else { value };
        self.csrs[hart].insert(number, value);
    }
    fn sret(&mut self, _: usize) {}
    fn fence(&mut self, hart: usize, fence: HartFence) {
        let root = self.csr(hart, csr::HGATP);
        self.fences.push((hart, fence, root));
    }
    fn set_timer(&mut self, _: usize, _: u64) {}
    fn interrupt(&mut self, _: usize) {}
    fn spend(&mut self, _: usize, _: u64) {}
    fn read_guest_code(&mut self, _: usize, _: Va, _: Privilege) -> Option<u16> {
        None
    }
}

/// Neither memory, frames, devices nor consoles.
struct Nothing;

impl Memory for Nothing {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        Err(NotMemory(pte))
    }
    fn store(&self, pte: Pa, _: u64) -> Result<(), NotMemory> {
        Err(NotMemory(pte))
    }
    fn compare_exchange(&self, pte: Pa, _: u64, _: u64) -> Result<u64, NotMemory> {
        Err(NotMemory(pte))
    }
}

impl Physical for Nothing {
    fn read_bytes(&self, from: Pa, _: &mut [u8]) -> Result<(), NotMemory> {
        Err(NotMemory(from))
    }
    fn write_bytes(&self, to: Pa, _: &[u8]) -> Result<(), NotMemory> {
        Err(NotMemory(to))
    }
}

impl Frames for Nothing {
    fn allocate(&mut self) -> Option<Pa> {
        None
    }
    fn free(&mut self, _: Pa) {}
}

impl Io for Nothing {
    fn console_write(&mut self, _: usize, _: &[u8]) {}
    fn console_read(&mut self, _: usize, _: &mut [u8]) -> usize {
        0
    }
    fn console_state(&self, _: usize) -> Vec<u8> {
        Vec::new()
    }
    fn set_console_state(&mut self, _: usize, _: &[u8]) -> Option<()> {
        Some(())
    }
    fn device_read(&mut self, _: usize, _: Gpa, _: u8) -> Option<u64> {
        None
    }
    fn device_write(&mut self, _: usize, _: Gpa, _: u8, _: u64) -> Option<()> {
        None
    }
}

fn parts<'a>(harts: &'a mut Notes, frames: &'a mut Nothing, io: &'a mut Nothing) -> Parts<'a> {
    Parts { memory: &Nothing, frames, harts, io }
}

/// Starts VMs of one vCPU one after the other on as many harts as there are; each ends when the next one wants its hart.
fn one_after_the_other(vmid_bits: u32, harts: usize, vms: usize) -> Notes {
    let mut notes = Notes { vmid_bits, csrs: vec![BTreeMap::new(); harts], fences: Vec::new() };
    let (mut frames, mut io) = (Nothing, Nothing);
    let mut parts = parts(&mut notes, &mut frames, &mut io);
    let mut hypervisor = Hypervisor::new(&mut parts, &ExtSet::default_set(), 1);
    let config = MemoryConfig {
        policy: Policy::by_name("split-on-fault").unwrap(),
        largest: Size::Mega,
        clearing: Clearing::AtGet,
        svvptc: false,
    };
    for vm in 0..vms {
        let root = Pa(0x8000_0000 + vm as u64 * Mode::Sv39x4.root_bytes());
        let gstage = Gstage::new(Mode::Sv39x4, root).unwrap();
        hypervisor.add(Vm::new(GuestMemory::new(config, gstage, 0), 1));
        let hart = vm % harts;
        if vm >= harts {
            hypervisor.end(&mut parts, vm - harts, End::Shutdown);
            assert_eq!(hypervisor.exit(&mut parts, hart), Next::Wait);
        }
        hypervisor.start(&mut parts, VcpuId { vm, vcpu: 0 }, 0, 0);
        assert_eq!(hypervisor.exit(&mut parts, hart), Next::Guest);
        assert_eq!(hypervisor.on_hart(hart), Some(VcpuId { vm, vcpu: 0 }));
    }
    notes
}

#[test]
fn no_hart_has_a_root_while_it_fences_what_another_vm_left_under_a_vmid() {
    // With two bits there are three numbers for five VMs; with none each VM fences.
    for vmid_bits in [2, 0] {
        let notes = one_after_the_other(vmid_bits, 2, 5);
        let all = HartFence::Gvma { gpa: None, vmid: None };
        let fences = notes.fences.iter().filter(|(_, fence, _)| *fence == all);
        let fences: Vec<_> = fences.collect();
        assert!(fences.len() > 2, "those of the start, and more");
        // [priv: hypervisor, HFENCE.GVMA]: with a root there, a walk may begin right behind the fence.
        assert!(fences.iter().all(|(_, _, root)| *root == 0), "{fences:x?}");
    }
}

#[test]
fn after_a_rollover_every_running_vm_has_a_number_of_its_own() {
    let notes = one_after_the_other(2, 2, 7);
    let numbers = [0, 1].map(|hart| notes.csr(hart, csr::HGATP) & hgatp::VMID);
    assert!(numbers[0] != numbers[1] && !numbers.contains(&0), "{numbers:x?}");
    let placed =
        notes.fences.iter().filter(|(_, fence, _)| matches!(fence, HartFence::Vvma { .. }));
    for (_, fence, root) in placed {
        let HartFence::Vvma { vmid, .. } = fence else { continue };
        let there = (root & hgatp::VMID) >> hgatp::VMID.trailing_zeros();
        assert_eq!(u64::from(*vmid), there, "HFENCE.VVMA acts on the VMID that hgatp has");
    }
}
