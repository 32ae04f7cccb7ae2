//! Virtio devices as a guest's drivers see them: the drivers are those of the `virtio-drivers`
//! crate, which others run on other machines, so that both sides cannot share a mistake of ours.

mod hal;
mod port;
mod stories;
