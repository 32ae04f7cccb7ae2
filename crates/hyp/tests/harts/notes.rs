//! Machines without instructions: harts that hold registers and note fences, memory, a device, and nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hyp::cost::Spent;
use hyp::gstage::{Gstage, Mode, Size};
use hyp::hypervisor::{Hypervisor, Next, VcpuId};
use hyp::memory::{Clearing, GuestMemory, MemoryConfig};
use hyp::memslot::Slot;
use hyp::policy::Policy;
use hyp::port::{Frames, HartFence, Harts, Io, Memory, NotMemory, Parts, Physical};
use hyp::vm::Vm;
use isa::field::hgatp;
use isa::{ExtSet, Gpa, Pa, Privilege, Va, csr};

/// Where each VM has 4 MiB of memory.
pub(crate) const RAM: u64 = 0x8000_0000;

/// A fence that was executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fenced {
    pub(crate) hart: usize,
    pub(crate) fence: HartFence,
    /// What the hart had at that moment.
    pub(crate) hgatp: u64,
    pub(crate) vsatp: u64,
}

/// The harts, with so many bits of VMID.
pub(crate) struct Notes {
    vmid_bits: u32,
    pub(crate) x: Vec<[u64; 32]>,
    pub(crate) f: Vec<[u64; 32]>,
    csrs: Vec<BTreeMap<u16, u64>>,
    pub(crate) timers: Vec<u64>,
    pub(crate) fences: Vec<Fenced>,
}

impl Notes {
    pub(crate) fn new(vmid_bits: u32, harts: usize) -> Notes {
        Notes {
            vmid_bits,
            x: vec![[0; 32]; harts],
            f: vec![[0; 32]; harts],
            csrs: vec![BTreeMap::new(); harts],
            timers: vec![0; harts],
            fences: Vec::new(),
        }
    }

    /// The fences of one hart.
    pub(crate) fn of(&self, hart: usize) -> Vec<HartFence> {
        self.fences.iter().filter(|one| one.hart == hart).map(|one| one.fence).collect()
    }
}

impl Harts for Notes {
    fn count(&self) -> usize {
        self.csrs.len()
    }
    fn x(&self, hart: usize, index: u8) -> u64 {
        self.x[hart][usize::from(index)]
    }
    fn set_x(&mut self, hart: usize, index: u8, value: u64) {
        self.x[hart][usize::from(index)] = value;
    }
    fn f(&self, hart: usize, index: u8) -> u64 {
        self.f[hart][usize::from(index)]
    }
    fn set_f(&mut self, hart: usize, index: u8, bits: u64) {
        self.f[hart][usize::from(index)] = bits;
    }
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
        let (hgatp, vsatp) = (self.csr(hart, csr::HGATP), self.csr(hart, csr::VSATP));
        self.fences.push(Fenced { hart, fence, hgatp, vsatp });
    }
    fn set_timer(&mut self, hart: usize, ticks: u64) {
        self.timers[hart] = ticks;
    }
    fn interrupt(&mut self, _: usize) {}
    fn spend(&mut self, _: usize, _: Spent) {}
    fn read_guest_code(&mut self, _: usize, _: Va, _: Privilege) -> Option<u16> {
        None
    }
}

/// Main memory, which is zero where nobody wrote.
#[derive(Default)]
pub(crate) struct Bytes(RefCell<BTreeMap<u64, u8>>);

impl Bytes {
    pub(crate) fn at(&self, pa: u64) -> u8 {
        self.0.borrow().get(&pa).copied().unwrap_or(0)
    }
}

impl Memory for Bytes {
    fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
        Ok(u64::from_le_bytes(std::array::from_fn(|index| self.at(pte.0 + index as u64))))
    }
    fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
        self.write_bytes(pte, &value.to_le_bytes())
    }
    fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
        let now = self.load(pte)?;
        if now == old {
            self.store(pte, new)?;
        }
        Ok(now)
    }
}

impl Physical for Bytes {
    fn read_bytes(&self, from: Pa, bytes: &mut [u8]) -> Result<(), NotMemory> {
        for (byte, pa) in bytes.iter_mut().zip(from.0..) {
            *byte = self.at(pa);
        }
        Ok(())
    }
    fn write_bytes(&self, to: Pa, bytes: &[u8]) -> Result<(), NotMemory> {
        self.0.borrow_mut().extend((to.0..).zip(bytes.iter().copied()));
        Ok(())
    }
}

/// No frames.
pub(crate) struct Nothing;

impl Frames for Nothing {
    fn allocate(&mut self) -> Option<Pa> {
        None
    }
    fn free(&mut self, _: Pa) {}
}

/// One device everywhere: it notes what is written, and reads as `READ`.
#[derive(Default)]
pub(crate) struct Device {
    pub(crate) written: Vec<(Gpa, u8, u64)>,
    /// What was typed on the console.
    pub(crate) typed: Vec<u8>,
}

impl Device {
    pub(crate) const READ: u64 = 0x80;
}

impl Io for Device {
    fn console_write(&mut self, _: usize, _: &[u8]) {}
    fn console_read(&mut self, _: usize, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.typed.len());
        bytes[..count].copy_from_slice(&self.typed[..count]);
        self.typed.drain(..count);
        count
    }
    fn console_state(&self, _: usize) -> Vec<u8> {
        Vec::new()
    }
    fn set_console_state(&mut self, _: usize, _: &[u8]) -> Option<()> {
        Some(())
    }
    fn device_read(&mut self, _: usize, _: Gpa, _: u8) -> Option<u64> {
        Some(Self::READ)
    }
    fn device_write(&mut self, _: usize, gpa: Gpa, size: u8, value: u64) -> Option<()> {
        self.written.push((gpa, size, value));
        Some(())
    }
}

/// A hypervisor on such harts.
pub(crate) struct Board {
    pub(crate) memory: Bytes,
    pub(crate) notes: Notes,
    pub(crate) device: Device,
    pub(crate) hypervisor: Hypervisor,
}

impl Board {
    /// Without VMs; `before` sets up harts as the hypervisor finds them.
    pub(crate) fn new(vmid_bits: u32, harts: usize, before: impl FnOnce(&mut Notes)) -> Board {
        let mut notes = Notes::new(vmid_bits, harts);
        before(&mut notes);
        let mut device = Device::default();
        let mut parts = Parts {
            memory: &Bytes::default(),
            frames: &mut Nothing,
            harts: &mut notes,
            io: &mut device,
        };
        let hypervisor = Hypervisor::new(&mut parts, &ExtSet::default_set(), 1000);
        Board { memory: Bytes::default(), notes, device, hypervisor }
    }

    /// Adds a VM with so many vCPUs, which are stopped.
    pub(crate) fn add(&mut self, vcpus: usize) -> usize {
        let config = MemoryConfig {
            policy: Policy::by_name("split-on-fault").unwrap(),
            largest: Size::Mega,
            clearing: Clearing::AtGet,
            svvptc: false,
        };
        let number = self.hypervisor.vms.len() as u64;
        let root = Pa(0x8000_0000 + number * Mode::Sv39x4.root_bytes());
        let gstage = Gstage::new(Mode::Sv39x4, root).unwrap();
        let mut memory = GuestMemory::new(config, gstage, 0);
        memory.add_slot(Slot::new(0, Gpa(RAM), 4 << 20, Pa(0x9000_0000))).unwrap();
        self.hypervisor.add(Vm::new(memory, vcpus))
    }

    /// Calls the hypervisor.
    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Hypervisor, &mut Parts<'_>) -> T) -> T {
        let mut parts = Parts {
            memory: &self.memory,
            frames: &mut Nothing,
            harts: &mut self.notes,
            io: &mut self.device,
        };
        act(&mut self.hypervisor, &mut parts)
    }

    pub(crate) fn exit(&mut self, hart: usize) -> Next {
        self.act(|hypervisor, parts| hypervisor.exit(parts, hart))
    }

    /// Starts a vCPU, which this hart must then run.
    pub(crate) fn run(&mut self, id: VcpuId, hart: usize) {
        self.act(|hypervisor, parts| hypervisor.start(parts, id, RAM, 0));
        assert_eq!(self.exit(hart), Next::Guest);
        assert_eq!(self.hypervisor.on_hart(hart), Some(id));
    }
}
