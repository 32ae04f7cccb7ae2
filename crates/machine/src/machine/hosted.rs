//! The machine whose guests the embedded hypervisor runs.

use hyp::hypervisor::Hypervisor;
use hyp::port::Parts;
use isa::{Ext, Pa};

use super::Machine;
use crate::guests::{ExitCycles, ExitKind, GuestSetup, Surroundings, ToggleCounts};

impl Machine {
    /// The hypervisor, where guests run without HS software.
    pub fn hypervisor(&self) -> Option<&Hypervisor> {
        self.hosted.as_ref().map(|hosted| &hosted.hypervisor)
    }

    /// What exits of a kind took under the embedded hypervisor, in cycles of the model.
    pub fn exit_cycles(&self, kind: ExitKind) -> Option<ExitCycles> {
        self.hosted.as_ref().map(|hosted| hosted.exit_cycles(kind, &self.turns.harts))
    }

    /// Acts on the hypervisor between two rounds of turns; `None` where there is none.
    pub fn with_hypervisor<T>(
        &mut self,
        act: impl FnOnce(&mut Hypervisor, &mut Parts<'_>) -> T,
    ) -> Option<T> {
        let sstc = self.exts.contains(Ext::Sstc);
        let Self { turns, bus, ram, hosted, input, .. } = self;
        Some(hosted.as_mut()?.with(Surroundings { turns, bus, ram, input, sstc }, act))
    }

    /// What switching dirty logs on and off found, where guests were to have that.
    pub fn toggle_counts(&self) -> Option<ToggleCounts> {
        self.hosted.as_ref()?.toggle_counts()
    }

    /// What the guests were made of.
    pub fn guests(&self) -> Option<&GuestSetup> {
        self.hosted.as_ref().map(|hosted| hosted.setup())
    }

    /// Where a guest's memory lies in main memory.
    pub fn guest_memory(&self, vm: usize) -> Option<Pa> {
        self.hosted.as_ref()?.memory_of(vm)
    }
}
