//! Putting a machine together: every device in its place on the board.

use std::sync::Arc;

use devices::virtio::{Block, Console, EmptySlot, Mmio, Net, Rng};
use devices::{Device, Dma, Entropy, Finisher, Rom, Rtc, Sink, TestOutput, Uart};
use mmu::{PmaError, PmaMap, PmaRegion};
use timing::Clock;

use crate::board::{Board, Part, VIRTIO_SLOTS};
use crate::bus::Slot;

/// A device for a virtio slot.
pub enum Extra {
    /// A disk.
    Block(Block),
    /// A network card.
    Net(Net),
    /// A console beside the UART.
    Console(Console),
}

/// What the board's devices need to be made.
pub(crate) struct Supplies<'a> {
    pub(crate) board: &'a Board,
    pub(crate) dma: Arc<dyn Dma>,
    pub(crate) clock: Clock,
    /// What the RTC shows at power-on, in nanoseconds since 1970.
    pub(crate) power_on_ns: u64,
    pub(crate) seed: u64,
    pub(crate) rom: Vec<u8>,
    /// Makes a sink to the guest's console.
    pub(crate) console: &'a dyn Fn() -> Box<dyn Sink>,
    pub(crate) extras: Vec<Extra>,
}

/// The devices of the board but for the interrupt controllers, which are the bus's own.
pub(crate) fn slots(supplies: Supplies<'_>) -> Vec<Slot> {
    let Supplies { board, dma, clock, power_on_ns, seed, rom, console, extras } = supplies;
    let mut virtio: Vec<Box<dyn Device>> = Vec::new();
    for extra in extras {
        let dma = Arc::clone(&dma);
        virtio.push(match extra {
            Extra::Block(block) => Box::new(Mmio::new(block, dma)),
            Extra::Net(net) => Box::new(Mmio::new(net, dma)),
            Extra::Console(console) => Box::new(Mmio::new(console, dma)),
        });
    }
    if virtio.len() < usize::from(VIRTIO_SLOTS) {
        virtio.push(Box::new(Mmio::new(Rng::new(Entropy::new(seed)), Arc::clone(&dma))));
    }
    virtio.resize_with(usize::from(VIRTIO_SLOTS), || Box::new(EmptySlot));
    let mut virtio = virtio.into_iter();
    let mut rom = Some(rom);
    let mut slots = Vec::new();
    for &region in board.regions() {
        let device: Box<dyn Device> = match region.part {
            Part::BootRom => Box::new(Rom::new(rom.take().unwrap_or_default())),
            Part::Finisher => Box::new(Finisher::new()),
            Part::Rtc => Box::new(Rtc::new(power_on_ns, clock.timebase_hz())),
            Part::Uart => Box::new(Uart::new(console())),
            Part::Virtio(_) => match virtio.next() {
                Some(device) => device,
                None => Box::new(EmptySlot),
            },
            Part::TestOutput => Box::new(TestOutput::new(console())),
            Part::Aclint | Part::Plic | Part::Ram => continue,
        };
        slots.push(Slot { region, device, deadline: None });
    }
    slots
}

/// The physical memory attributes of the devices' regions.
pub(crate) fn pma(board: &Board) -> Result<PmaMap, PmaError> {
    PmaMap::new(board.regions().iter().map(|region| PmaRegion {
        start: region.base,
        bytes: region.bytes,
        read: true,
        write: region.writable,
        execute: region.executable,
    }))
}
