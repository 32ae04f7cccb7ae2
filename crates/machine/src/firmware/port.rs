//! What the firmware needs of the machine.

use devices::Dma;
use isa::{ExtSet, Interrupt};
use mmu::Fence;

/// The machine as the firmware sees it. Harts are numbered from 0; the number is the `mhartid`.
///
/// A hart that is not running keeps its registers, so that they can be set before it starts.
pub trait Port {
    /// How many harts there are, at most 64.
    fn harts(&self) -> usize;

    /// The extensions of every hart.
    fn exts(&self) -> &ExtSet;

    /// Whether the harts have a cycle model, whose events they can count.
    fn has_model(&self) -> bool;

    /// Register `x1` to `x31` of a hart.
    fn x(&self, hart: usize, index: u8) -> u64;

    /// Sets register `x1` to `x31` of a hart.
    fn set_x(&mut self, hart: usize, index: u8, value: u64);

    /// A CSR as M-mode reads it; 0 where the hart has no such CSR.
    fn csr(&self, hart: usize, number: u16) -> u64;

    /// Writes a CSR as M-mode does, under the CSR's WARL rules; no effect where the hart has none.
    fn set_csr(&mut self, hart: usize, number: u16, value: u64);

    /// Sets or clears a bit of `mip` that software may write. Not a write of `mip` as a whole, which
    /// would mistake a device's line for software's bit.
    fn set_pending(&mut self, hart: usize, interrupt: Interrupt, pending: bool);

    /// Executes a fence on a hart, before that hart's next instruction and in the order asked for. While
    /// harts run in turn the port may keep it until the hart's turn, because until then the hart
    /// uses no translation; where harts run at the same time it must have happened on return.
    fn fence(&mut self, hart: usize, fence: Fence);

    /// Executes FENCE.I on a hart, as [`Port::fence`].
    fn fence_i(&mut self, hart: usize);

    /// Sets the hart's `mtimecmp`, in ticks.
    fn set_timer(&mut self, hart: usize, ticks: u64);

    /// Lets a stopped hart leave M-mode by MRET and run.
    fn start(&mut self, hart: usize);

    /// Main memory by physical address.
    fn memory(&self) -> &dyn Dma;

    /// Prints to the console.
    fn console_write(&mut self, bytes: &[u8]);

    /// Takes waiting console input; returns how many bytes there were.
    fn console_read(&mut self, bytes: &mut [u8]) -> usize;
}
