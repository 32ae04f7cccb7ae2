//! What runs in a machine whose Linux has loaded KVM.
//!
//! * [`session`] one boot with a script and files, watched

pub mod session;
