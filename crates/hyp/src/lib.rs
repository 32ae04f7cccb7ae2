//! A small hypervisor for guests on Nestwalk's harts.
//!
//! It plays HS-mode: its G-stage tables are real ones in the machine's memory, read by the harts' walkers,
//! and it knows them only by the PTEs it wrote. It reaches memory and harts through [`port`]; it
//! never asks a hart's walker where its own pages are, so that each side checks the other.
//!
//! A VM's memory is tables ([`gstage`]), slots ([`memslot`]), dirty logs ([`dirty`], [`policy`]) and what ties them
//! together ([`memory`]). A VM ([`vm`]) has vCPUs ([`vcpu`]), which the hypervisor ([`hypervisor`]) puts onto harts, under
//! VMIDs of its own ([`vmid`]) and with the fences that each place owes ([`placement`]). It can move to another machine ([`migrate`]). What a guest asks for is an SBI call ([`sbi`]) or an access to a device ([`mmio`]).
//!
//! Each part stands alone: who brings memory, frames and fences has the tables and the dirty log of one VM. Here a guest's
//! stores go through the walker and the TLB of a hart (`mmu`'s), and its faults come to us:
//!
//! ```
//! use std::sync::Arc;
//!
//! use hyp::gstage::{Fence, FenceInsn, Gstage, Mode, Size};
//! use hyp::memory::{Answer, Clearing, Env, GuestMemory, MemoryConfig};
//! use hyp::memslot::Slot;
//! use hyp::policy::Policy;
//! use hyp::port::{Fences, Frames, Memory, NotMemory};
//! use isa::{ExtSet, Gpa, Pa, Privilege, Va};
//! use mmu::{Access, Fault, Kind, Mmu, MmuConfig, PmaMap, Ram, Shape, TranslationCsrs};
//!
//! const VMID: u16 = 1;
//!
//! /// The machine's memory, which page tables are part of.
//! struct MainMemory(Arc<Ram>);
//!
//! impl Memory for MainMemory {
//!     fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
//!         self.0.read(pte).ok_or(NotMemory(pte))
//!     }
//!     fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
//!         self.0.write(pte, value).ok_or(NotMemory(pte))
//!     }
//!     fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
//!         let done = self.0.compare_exchange(pte, old, new).ok_or(NotMemory(pte))?;
//!         Ok(done.err().unwrap_or(old))
//!     }
//! }
//!
//! /// Frames for tables, one after the other.
//! struct Heap(u64);
//!
//! impl Frames for Heap {
//!     fn allocate(&mut self) -> Option<Pa> {
//!         self.0 += 0x1000;
//!         Some(Pa(self.0))
//!     }
//!     fn free(&mut self, _: Pa) {}
//! }
//!
//! /// A hart, as far as translation goes.
//! struct Hart(Mmu);
//!
//! impl Fences for Hart {
//!     fn fence(&mut self, vmid: u16, fence: &Fence) {
//!         for insn in fence.sequence(false) {
//!             if let FenceInsn::HfenceGvma(gpa) = insn {
//!                 self.0.fence(mmu::Fence::Gvma { gpa, vmid: Some(vmid) });
//!             }
//!         }
//!     }
//! }
//!
//! let ram = Arc::new(Ram::new(Pa(0x8000_0000), 64 << 20)?);
//! let tables = Gstage::new(Mode::Sv39x4, Pa(0x8000_0000))?;
//! let config = MmuConfig::new(&ExtSet::default_set(), 16, 14, 0, Shape::default());
//! let mut hart = Hart(Mmu::new(config, Arc::clone(&ram), Arc::new(PmaMap::default())));
//! let hgatp = tables.hgatp(VMID);
//! hart.0.set_csrs(&TranslationCsrs { hgatp, ..TranslationCsrs::default() });
//!
//! let (memory, mut frames) = (MainMemory(Arc::clone(&ram)), Heap(0x8010_0000));
//! let config = MemoryConfig {
//!     policy: Policy::by_name("split-on-fault").expect("a policy"),
//!     largest: Size::Mega,
//!     clearing: Clearing::AtGet,
//!     svvptc: false,
//! };
//! let mut guest = GuestMemory::new(config, tables, VMID);
//! guest.add_slot(Slot::new(0, Gpa(0), 4 << 20, Pa(0x8200_0000)))?;
//!
//! // The guest stores; what faults we answer, and it tries again.
//! let store = |hart: &mut Hart, guest: &mut GuestMemory, frames: &mut Heap, gpa: u64, value: u64| {
//!     let access =
//!         Access { kind: Kind::Store, size: 8, privilege: Privilege::S, v: true, hlvx: false };
//!     loop {
//!         match hart.0.translate(Va(gpa), access) {
//!             Ok(found) => break ram.write(found.target.pa(), value),
//!             Err(Fault::GuestPage { gpa, .. }) => {
//!                 let mut env = Env { memory: &memory, frames, fences: hart };
//!                 assert_eq!(guest.fault(&mut env, 0, gpa, true), Ok(Answer::Retry));
//!             }
//!             Err(other) => panic!("{other:?}"),
//!         }
//!     }
//! };
//!
//! // 2 MiB are mapped at once.
//! store(&mut hart, &mut guest, &mut frames, 0x5008, 1);
//! store(&mut hart, &mut guest, &mut frames, 0x6008, 2);
//! assert_eq!((guest.counts().faults, ram.read(Pa(0x8200_6008))), (1, Some(2u64)));
//! // From now on writes are logged. The next one faults, and splits the leaf.
//! guest.enable_log(&mut Env { memory: &memory, frames: &mut frames, fences: &mut hart }, 0)?;
//! store(&mut hart, &mut guest, &mut frames, 0x7008, 3);
//! store(&mut hart, &mut guest, &mut frames, 0x7010, 4);
//! assert_eq!((guest.counts().faults, guest.gstage().counts().splits), (2, 1));
//! let log = guest.get_log(
//!     &mut Env { memory: &memory, frames: &mut frames, fences: &mut hart },
//!     0,
//! )?;
//! assert_eq!((log.count(), log.contains(7)), (1, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cost;
pub mod dirty;
mod exit;
pub mod faults;
pub mod gstage;
pub mod hypervisor;
pub mod memory;
pub mod memslot;
pub mod migrate;
pub mod mmio;
pub mod placement;
pub mod policy;
pub mod port;
pub mod sbi;
pub mod vcpu;
pub mod vm;
pub mod vmid;
