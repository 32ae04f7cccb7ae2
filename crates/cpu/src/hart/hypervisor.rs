//! What a hypervisor in place of HS-mode software does to a hart.

use isa::{Privilege, Va};
use mmu::{Access, Kind, Target as Place};

use super::Hart;
use crate::witness::Writer;

impl Hart {
    /// Hands traps to HS-mode to a hypervisor outside the machine's software: [`Hart::run`] returns
    /// [`Exit::Hypervisor`](crate::Exit::Hypervisor) instead of fetching at `stvec`.
    pub fn attach_hypervisor(&mut self) {
        self.hypervisor = true;
    }

    /// What HLVX.HU reads at a guest's virtual address at this privilege; `None` where it would trap.
    pub fn read_guest_code(&mut self, va: Va, privilege: Privilege) -> Option<u16> {
        let access = Access { kind: Kind::Load, size: 2, privilege, v: true, hlvx: true };
        let translated = self.core.mmu.translate(va, access);
        self.core.offset = 0;
        self.core.after_write(Writer::Walk);
        match translated.ok()?.target {
            Place::Ram { pa } => self.core.ram.read(pa),
            Place::Mmio { .. } => None,
        }
    }
}
