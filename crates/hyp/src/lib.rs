//! A small hypervisor for guests on Nestwalk's harts.
//!
//! It plays HS-mode: its G-stage tables are real ones in the machine's memory, read by the harts' walkers,
//! and it knows them only by the PTEs it wrote. It reaches memory and harts through [`port`]; it
//! never asks a hart's walker where its own pages are, so that each side checks the other.
//!
//! Today it keeps a VM's memory: tables ([`gstage`]), slots ([`memslot`]), dirty logs ([`dirty`], [`policy`]) and
//! what ties them together ([`memory`]), and decodes what a guest wants of a device ([`mmio`]). The vCPU follows.

pub mod dirty;
pub mod faults;
pub mod gstage;
pub mod memory;
pub mod memslot;
pub mod mmio;
pub mod placement;
pub mod policy;
pub mod port;
pub mod vmid;
