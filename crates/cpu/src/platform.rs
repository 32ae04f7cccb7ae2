//! What a hart needs of the machine around it.

use mmu::Bus;

/// What the machine tells a hart when the two meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wires {
    /// Interrupt lines into this hart, as `mip` bits (MSIP, MTIP, MEIP, SEIP).
    pub lines: u64,
    /// Guest external interrupt lines, as `hgeip` bits.
    pub guest_lines: u64,
    /// `mtime` minus the ticks that have passed since power-on: software may set the time.
    pub mtime_start: u64,
    /// The cycle at which the machine wants to be asked again at the latest.
    pub deadline: u64,
    /// The machine wants the hart to stop.
    pub stop: bool,
}

/// The machine as a hart sees it: a bus for what is not RAM, and wires.
pub trait Platform: Bus {
    /// The hart is at `cycle`: bring devices there, and say what its wires carry now. Called before
    /// the first instruction of a turn, after each access to a device, and at the deadline.
    fn sync(&mut self, hartid: u64, cycle: u64) -> Wires;

    /// The hart is at `cycle` and about to access a device.
    fn advance(&mut self, cycle: u64);
}
