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
//! Each part stands alone: who brings memory, frames and fences has the tables and the dirty log of one VM.
//!
//! ```
//! use std::cell::RefCell;
//! use std::collections::HashMap;
//!
//! use hyp::gstage::{Fence, Gstage, Mode, Size};
//! use hyp::memory::{Answer, Clearing, Env, GuestMemory, MemoryConfig};
//! use hyp::memslot::Slot;
//! use hyp::policy::Policy;
//! use hyp::port::{Fences, Frames, Memory, NotMemory};
//! use isa::{Gpa, Pa};
//!
//! /// Memory that holds page tables.
//! #[derive(Default)]
//! struct Words(RefCell<HashMap<u64, u64>>);
//!
//! impl Memory for Words {
//!     fn load(&self, pte: Pa) -> Result<u64, NotMemory> {
//!         Ok(*self.0.borrow().get(&pte.0).unwrap_or(&0))
//!     }
//!     fn store(&self, pte: Pa, value: u64) -> Result<(), NotMemory> {
//!         self.0.borrow_mut().insert(pte.0, value);
//!         Ok(())
//!     }
//!     fn compare_exchange(&self, pte: Pa, old: u64, new: u64) -> Result<u64, NotMemory> {
//!         let now = self.load(pte)?;
//!         if now == old {
//!             self.store(pte, new)?;
//!         }
//!         Ok(now)
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
//! /// One hart, which would execute HFENCE.GVMA.
//! struct Hart(Vec<Fence>);
//!
//! impl Fences for Hart {
//!     fn fence(&mut self, _vmid: u16, fence: &Fence) {
//!         self.0.push(*fence);
//!     }
//! }
//!
//! let (memory, mut frames, mut hart) = (Words::default(), Heap(0x8010_0000), Hart(Vec::new()));
//! let mut env = Env { memory: &memory, frames: &mut frames, fences: &mut hart };
//! let config = MemoryConfig {
//!     policy: Policy::by_name("split-on-fault").expect("a policy"),
//!     largest: Size::Mega,
//!     clearing: Clearing::AtGet,
//!     svvptc: false,
//! };
//! let tables = Gstage::new(Mode::Sv39x4, Pa(0x8000_0000))?;
//! let mut guest = GuestMemory::new(config, tables, 1);
//! guest.add_slot(Slot::new(0, Gpa(0), 4 << 20, Pa(0x9000_0000)))?;
//!
//! // A guest touches its memory: 2 MiB are mapped at once.
//! assert_eq!(guest.fault(&mut env, 0, Gpa(0x5000), true)?, Answer::Retry);
//! // From now on writes are logged. The next one splits the leaf.
//! guest.enable_log(&mut env, 0)?;
//! guest.fault(&mut env, 0, Gpa(0x7000), true)?;
//! assert_eq!(guest.gstage().counts().splits, 1);
//! let log = guest.get_log(&mut env, 0)?;
//! assert_eq!((log.count(), log.contains(7)), (1, true));
//! assert!(!hart.0.is_empty());
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
