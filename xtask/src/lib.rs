//! Chores of this workspace as a library: what the command `cargo xtask` does, and how tests find the inputs that it
//! fetched.
//!
//! * [`inputs`] where the kernel, busybox, modules and firmware are; fetched by [`apt`] under a private state
//! * [`test`] every test, in groups, with [`tools`] they need, [`boots`] of Linux, and a [`tally`]
//! * [`initramfs`] the first root file system, written by [`cpio`], with kernel [`modules`]
//! * [`linux`] boots: what is run with what
//! * [`kvm`] what runs in a machine whose Linux has loaded KVM
//! * [`hyp`] Linux as a guest of the embedded hypervisor
//! * [`lockstep`] guest programs beside Spike
//! * [`bench`] guest programs beside Spike and [`qemu`], and boots of Linux, in processor time
//! * [`norm`] which rules of the manual have a test
//! * [`process`] running other programs, [`scratch`] files of one run

pub mod apt;
pub mod bench;
pub mod boots;
pub mod cpio;
pub mod hyp;
pub mod initramfs;
pub mod inputs;
pub mod kvm;
pub mod linux;
pub mod lockstep;
pub mod modules;
pub mod norm;
pub mod process;
pub mod qemu;
pub mod scratch;
pub mod sources;
pub mod stories;
pub mod tally;
pub mod test;
pub mod tools;
pub mod version;
