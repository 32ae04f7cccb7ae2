//! A small hypervisor for guests on Nestwalk's harts.
//!
//! It plays HS-mode: its G-stage tables are real ones in the machine's memory, read by the harts' walkers,
//! and it knows them only by the PTEs it wrote. It reaches memory and harts through [`port`]; it
//! never asks a hart's walker where its own pages are, so that each side checks the other.
//!
//! A VM's memory is tables ([`gstage`]), slots ([`memslot`]), dirty logs ([`dirty`], [`policy`]) and what ties them
//! together ([`memory`]). A VM ([`vm`]) has vCPUs ([`vcpu`]), which the hypervisor ([`hypervisor`]) puts onto harts, under
//! VMIDs of its own ([`vmid`]) and with the fences that each place owes ([`placement`]). What a guest asks for is an SBI call ([`sbi`]) or an access to a device ([`mmio`]).

pub mod dirty;
mod exit;
pub mod faults;
pub mod gstage;
pub mod hypervisor;
pub mod memory;
pub mod memslot;
pub mod mmio;
pub mod placement;
pub mod policy;
pub mod port;
pub mod sbi;
pub mod vcpu;
pub mod vm;
pub mod vmid;
