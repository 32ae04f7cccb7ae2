//! What is decided before a run: how the world is built, and the steps that are taken in it. Both come from a seed.

use std::fmt;

use hyp::gstage::{Mode, Size};
use hyp::memory::Clearing;
use hyp::policy::{Detect, Policy, Split};
use mmu::Shape;

use crate::layout::{
    AUX, AUX_PAGES, CODE_PAGE, HARTS, MAIN, SLOTS, TABLES, TABLES_PAGES, VCPUS, VMS, WINDOWS,
};
use crate::random::Random;

/// How a world is built.
#[derive(Clone, PartialEq, Debug)]
pub struct Setup {
    /// How writes are logged.
    pub policy: Policy,
    /// When the log forgets.
    pub clearing: Clearing,
    /// The largest leaf.
    pub largest: Size,
    /// The mode of the G-stages.
    pub mode: Mode,
    /// The harts' TLB: a preset of [`mmu::Shape`].
    pub tlb: &'static str,
    /// Whether the harts have Svvptc.
    pub svvptc: bool,
    /// Whether fences are made by Svinval.
    pub svinval: bool,
    /// Whether the VS-stage sets A and D by itself.
    pub vs_adue: bool,
    /// VMIDLEN.
    pub vmid_bits: u32,
    /// Whether reserved bits of rs2 of fences hold rubbish.
    pub rubbish: bool,
    /// Whether the vCPUs have dirty rings.
    pub rings: bool,
    /// Whether the second slot can be written.
    pub aux_writable: bool,
    /// By how much slots are less aligned than their addresses.
    pub shift: u64,
    /// Whether the first slot has 1 GiB.
    pub large: bool,
    /// Which vCPUs have page tables of their own.
    pub paging: [bool; VCPUS.len()],
}

/// The presets of the harts' TLB that are used.
pub const TLBS: [&str; 3] = ["adversarial", "default", "none"];

impl Setup {
    pub(crate) fn random(random: &mut Random, policy: Option<Policy>, tlb: Option<&str>) -> Self {
        let policies: Vec<Policy> = Policy::all().collect();
        let policy = policy.unwrap_or_else(|| random.pick(&policies));
        let clearings = [
            Clearing::AtGet,
            Clearing::AtGet,
            Clearing::Manual { initially_set: false },
            Clearing::Manual { initially_set: true },
            Clearing::Manual { initially_set: true },
        ];
        let sizes = [Size::Page, Size::Napot, Size::Mega, Size::Mega, Size::Mega, Size::Giga];
        let tlb = TLBS.into_iter().find(|name| tlb == Some(*name));
        let tlb = tlb.unwrap_or_else(|| TLBS[[0, 0, 0, 1, 1, 2][random.below(6) as usize]]);
        let largest = random.pick(&sizes);
        // A write that marks all of a large leaf is what fills a ring beyond its reserve.
        let fills_rings = policy.split == Split::Never && largest >= Size::Mega;
        Self {
            policy,
            clearing: random.pick(&clearings),
            largest,
            mode: random.pick(&Mode::ALL),
            tlb,
            svvptc: random.one_in(2),
            svinval: random.one_in(2),
            vs_adue: random.one_in(2),
            vmid_bits: 2 + random.below(3) as u32,
            rubbish: random.one_in(2),
            rings: random.one_in(4) != fills_rings,
            aux_writable: !random.one_in(3),
            shift: [0, 0, 0, 0x1000, 0x1_0000][random.below(5) as usize],
            // Where all of a slot is split at once, 1 GiB takes too many tables.
            large: largest == Size::Giga && policy.split != Split::AtEnable,
            paging: std::array::from_fn(|_| !random.one_in(3)),
        }
    }

    /// Whether walkers set A and D in G-stage PTEs: the VS-stage can have that only where the G-stage has it too.
    pub(crate) fn gstage_adue(&self) -> bool {
        self.vs_adue || self.policy.detect == Detect::DirtyBit
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape::preset(self.tlb).unwrap_or_default()
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clearing = match self.clearing {
            Clearing::AtGet => "cleared when read",
            Clearing::Manual { initially_set: false } => "cleared by request",
            Clearing::Manual { initially_set: true } => "cleared by request, all set at first",
        };
        let paging: Vec<&str> =
            self.paging.iter().map(|on| if *on { "Sv39" } else { "Bare" }).collect();
        let words = [
            (self.svvptc, "Svvptc"),
            (self.svinval, "Svinval"),
            (self.vs_adue, "henvcfg.ADUE"),
            (self.rubbish, "rubbish in reserved bits of rs2"),
            (self.rings, "dirty rings"),
            (!self.aux_writable, "aux read-only"),
            (self.large, "a slot of 1 GiB"),
            (self.shift != 0, "slots less aligned than their addresses"),
        ];
        write!(
            f,
            "{} with leaves up to {:?}, log {clearing}, {:?}, TLB {}, VMIDLEN {}, vsatp {}",
            self.policy,
            self.largest,
            self.mode,
            self.tlb,
            self.vmid_bits,
            paging.join("/")
        )?;
        for (_, word) in words.iter().filter(|(on, _)| *on) {
            write!(f, ", {word}")?;
        }
        Ok(())
    }
}

/// Where a guest reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spot {
    /// A page of the main slot, where it is mapped one to one.
    Main(u64),
    /// A page of the second slot.
    Aux(u64),
    /// A page of virtual memory that the guest maps now here, now there.
    Window(u64),
    /// A page of the 2 MiB that the guest maps by one leaf, now here, now there.
    Block(u64),
    /// A page of the main slot, with a bit above the width of guest physical addresses.
    Beyond(u64),
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main(page) => write!(f, "main page {page}"),
            Self::Aux(page) => write!(f, "aux page {page}"),
            Self::Window(index) => write!(f, "window {index}"),
            Self::Block(page) => write!(f, "block page {page}"),
            Self::Beyond(page) => write!(f, "main page {page} beyond the address width"),
        }
    }
}

/// An access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// `ld`.
    Load,
    /// `sd`.
    Store,
    /// `amoadd.d`.
    Amo,
    /// `hlv.d` by HS-mode, and then a load of its own.
    Hlv,
    /// `hlvx.wu` by HS-mode.
    Hlvx,
}

/// Which SFENCE.VMA a guest executes after it changed its tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestFence {
    /// Of the address, for its ASID.
    AddressAndAsid,
    /// Of the address.
    Address,
    /// For its ASID.
    Asid,
    /// Of everything.
    All,
}

/// What a guest does in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// An access.
    Access(Deed, Spot),
    /// Maps a window to a page of a slot, and fences.
    Remap {
        /// Which window.
        window: u64,
        /// Whether to the second slot; the main one otherwise.
        aux: bool,
        /// The page.
        page: u64,
        /// How it fences.
        fence: GuestFence,
    },
    /// Maps the block one to one, or to the first 2 MiB of the main slot, and fences by an address in it.
    MapBlock {
        /// One to one or not.
        straight: bool,
        /// The page whose address is fenced.
        page: u64,
    },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(deed, spot) => write!(f, "{} {spot}", format!("{deed:?}").to_lowercase()),
            Self::Remap { window, aux, page, fence } => {
                let slot = if *aux { "aux" } else { "main" };
                write!(f, "map window {window} to {slot} page {page}, SFENCE.VMA {fence:?}")
            }
            Self::MapBlock { straight: true, page } => {
                write!(f, "map the block one to one, SFENCE.VMA at page {page}")
            }
            Self::MapBlock { straight: false, page } => {
                write!(f, "map the block to the start of main, SFENCE.VMA at page {page}")
            }
        }
    }
}

/// What the hypervisor is told to do with a VM's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Begins or ends logging.
    Toggle {
        /// Of this slot.
        slot: u32,
    },
    /// Reads the log.
    Get {
        /// Of this slot.
        slot: u32,
    },
    /// Clears pages of the log.
    Clear {
        /// Of this slot.
        slot: u32,
        /// The word.
        word: u64,
        /// The bits.
        mask: u64,
    },
    /// Reads and resets the dirty rings, and the logs.
    Rings,
    /// Takes a slot away and brings it back at once; if it logged, it logs again.
    Replug {
        /// Which one.
        slot: u32,
    },
    /// Takes the second slot away, or brings it back.
    Plug,
    /// Moves the second slot.
    Move,
    /// Asks which pages were used, and forgets it.
    Age {
        /// Of this slot.
        slot: u32,
    },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toggle { slot } => write!(f, "begin or end to log slot {slot}"),
            Self::Get { slot } => write!(f, "read the log of slot {slot}"),
            Self::Clear { slot, word, mask } => {
                write!(f, "clear {mask:#x} of word {word} of the log of slot {slot}")
            }
            Self::Rings => f.write_str("read and reset the rings"),
            Self::Replug { slot } => write!(f, "take slot {slot} away and bring it back at once"),
            Self::Plug => f.write_str("take the aux slot away, or bring it back"),
            Self::Move => f.write_str("move the aux slot"),
            Self::Age { slot } => write!(f, "ask which pages of slot {slot} were used"),
        }
    }
}

/// A moment in an operation of the hypervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Just before its PTE access of this number.
    Access(u32),
    /// After as many harts have fenced.
    Fence(u32),
}

/// One access that another hart makes while an operation is under way. If it faults it waits for the lock, so nothing
/// happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meanwhile {
    /// When.
    pub at: Moment,
    /// Who.
    pub hart: usize,
    /// What.
    pub deed: Deed,
    /// Where.
    pub spot: Spot,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The guest that runs on a hart does something.
    Guest(usize, Act, Vec<Meanwhile>),
    /// The hypervisor does something.
    Hypervisor(usize, Operation, Vec<Meanwhile>),
    /// A vCPU comes to a hart, from wherever it was.
    Place {
        /// Where to.
        hart: usize,
        /// Who: an index of all vCPUs.
        vcpu: usize,
    },
    /// Whoever is on a hart leaves it.
    Leave(usize),
    /// This many frames are left for tables, and none is held ready.
    Starve(u64),
    /// There are enough of them again.
    Feed,
    /// This many VMs that are not ours take a VMID.
    TakeVmids(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meanwhile = match self {
            Self::Guest(hart, act, meanwhile) => {
                write!(f, "hart {hart}: {act}")?;
                meanwhile
            }
            Self::Hypervisor(vm, operation, meanwhile) => {
                write!(f, "VM {vm}: {operation}")?;
                meanwhile
            }
            Self::Place { hart, vcpu } => {
                let (vm, vcpu) = VCPUS[*vcpu];
                return write!(f, "vCPU {vcpu} of VM {vm} comes to hart {hart}");
            }
            Self::Leave(hart) => return write!(f, "hart {hart} leaves its guest"),
            Self::Starve(frames) => return write!(f, "{frames} frames are left for tables"),
            Self::Feed => return f.write_str("there are frames for tables"),
            Self::TakeVmids(count) => return write!(f, "{count} other VMs take a VMID"),
        };
        for Meanwhile { at, hart, deed, spot } in meanwhile {
            let deed = format!("{deed:?}").to_lowercase();
            match at {
                Moment::Access(at) => write!(f, "\n      before its access {at}, ")?,
                Moment::Fence(at) => write!(f, "\n      after its fence {at}, ")?,
            }
            write!(f, "hart {hart}: {deed} {spot}")?;
        }
        Ok(())
    }
}

/// Steps, and the world they are taken in.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    /// The world.
    pub setup: Setup,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// The schedule of a seed, with this policy and TLB if given.
    pub fn random(seed: u64, steps: usize, policy: Option<Policy>, tlb: Option<&str>) -> Self {
        let mut random = Random::new(seed);
        let setup = Setup::random(&mut random, policy, tlb);
        let steps = (0..steps).map(|_| step(&mut random, &setup)).collect();
        Self { setup, steps }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{index:4}  {step}")?;
        }
        Ok(())
    }
}

fn step(random: &mut Random, setup: &Setup) -> Step {
    let hart = random.below(HARTS as u64) as usize;
    let vm = if random.one_in(3) { VMS - 1 } else { 0 };
    match random.below(100) {
        0..66 => {
            let act = act(random, setup);
            let meanwhile =
                if random.one_in(6) { meanwhile(random, setup, 40) } else { Vec::new() };
            Step::Guest(hart, act, meanwhile)
        }
        66..84 => {
            let operation = operation(random, setup);
            let meanwhile =
                if random.one_in(2) { meanwhile(random, setup, 400) } else { Vec::new() };
            Step::Hypervisor(vm, operation, meanwhile)
        }
        84..93 => Step::Place { hart, vcpu: random.below(VCPUS.len() as u64) as usize },
        93 => Step::Leave(hart),
        94 => Step::Starve(random.below(3)),
        95..98 => Step::Feed,
        _ => Step::TakeVmids(1 + random.below(2)),
    }
}

fn meanwhile(random: &mut Random, setup: &Setup, accesses: u64) -> Vec<Meanwhile> {
    (0..1 + random.below(4))
        .map(|_| {
            let span = 1 + random.below(accesses);
            let at = if random.one_in(3) {
                Moment::Fence(random.below(4) as u32)
            } else {
                Moment::Access(1 + random.below(span) as u32)
            };
            let deed = random.pick(&[Deed::Store, Deed::Store, Deed::Load]);
            let hart = random.below(HARTS as u64) as usize;
            Meanwhile { at, hart, deed, spot: spot(random, setup) }
        })
        .collect()
}

/// A few pages are hot, so that they are written again after they were read out, and a few lie next to edges.
fn main_page(random: &mut Random, setup: &Setup) -> u64 {
    let page = match random.below(8) {
        0..3 => random.below(8),
        3..5 => 505 + random.below(14),
        5 => 1022 + random.below(2),
        6 if setup.large => (1 << 17) + random.below(1040),
        _ => random.below(1024),
    };
    if page == CODE_PAGE || WINDOWS.contains(&page) { 8 } else { page }
}

fn aux_page(random: &mut Random) -> u64 {
    match random.below(6) {
        0..3 => random.below(6),
        3 => AUX_PAGES - 18 + random.below(18),
        _ => random.below(AUX_PAGES),
    }
}

fn spot(random: &mut Random, setup: &Setup) -> Spot {
    match random.below(16) {
        0..7 => Spot::Main(main_page(random, setup)),
        7..11 => Spot::Aux(aux_page(random)),
        11..14 => Spot::Window(random.below(WINDOWS.end - WINDOWS.start)),
        14 => Spot::Block(main_page(random, setup) % 512),
        _ if random.one_in(4) => Spot::Beyond(random.below(8)),
        _ => Spot::Main(random.below(4)),
    }
}

fn act(random: &mut Random, setup: &Setup) -> Act {
    let fences =
        [GuestFence::AddressAndAsid, GuestFence::Address, GuestFence::Asid, GuestFence::All];
    match random.below(20) {
        0..9 => Act::Access(Deed::Store, spot(random, setup)),
        9..13 => Act::Access(Deed::Load, spot(random, setup)),
        13 => Act::Access(Deed::Amo, spot(random, setup)),
        14 | 15 => Act::Access(Deed::Hlv, spot(random, setup)),
        16 => Act::Access(Deed::Hlvx, spot(random, setup)),
        17 | 18 => {
            let aux = random.one_in(3);
            Act::Remap {
                window: random.below(WINDOWS.end - WINDOWS.start),
                aux,
                page: if aux { aux_page(random) } else { main_page(random, setup) },
                fence: random.pick(&fences),
            }
        }
        _ => Act::MapBlock { straight: random.one_in(2), page: random.below(512) },
    }
}

fn operation(random: &mut Random, setup: &Setup) -> Operation {
    let slot = match random.below(12) {
        0 | 1 => TABLES,
        2..5 => AUX,
        _ => MAIN,
    };
    let pages = match slot {
        MAIN if random.one_in(4) && setup.large => 1 << 18,
        MAIN => 1024,
        AUX => AUX_PAGES,
        _ => TABLES_PAGES,
    };
    debug_assert!(SLOTS.contains(&slot));
    match random.below(18) {
        16 | 17 => Operation::Age { slot },
        0..3 => Operation::Toggle { slot },
        3..8 => Operation::Get { slot },
        8..11 => {
            let word = if random.one_in(2) { 0 } else { random.below(pages.div_ceil(64)) };
            let mask = if random.one_in(3) { u64::MAX } else { random.next() };
            Operation::Clear { slot, word, mask }
        }
        11..13 if setup.rings => Operation::Rings,
        11..14 => Operation::Plug,
        14 => Operation::Move,
        _ => Operation::Replug { slot },
    }
}
