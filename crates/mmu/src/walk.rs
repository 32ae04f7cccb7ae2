//! The one walker. Its steps are numbered as in the manual [priv: supervisor, "Virtual Address Translation
//! Process"].
//!
//! It is generic over the stage and over where that stage's PTEs come from. Page tables of S-stage and G-stage
//! lie in physical memory; those of the VS-stage lie in guest physical memory, whose source is itself a G-stage
//! walk. Since a source is typed by its address space, a VS-stage walk over physical memory does not compile.
//! The debugger, the cycle model and the hart use this walk and no other.

use isa::{PAGE_BITS, pte};

use crate::access::{ImplicitAccess, MemoryType, Right};
use crate::fault::{PteAt, Reason, StageName, Why};
use crate::memory::Halt;
use crate::observe::{Judgement, Verdict};
use crate::stage::{Address, LEVEL_BITS, Need, Stage};

/// log2 of PTESIZE.
const PTE_BITS: u32 = 3;
/// napot_bits of the one size that Svnapot defines: 2^4 pages.
const NAPOT_BITS: u32 = 4;

/// Where a PTE stands in the walk of its stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) stage: StageName,
    pub(crate) level: u8,
    /// The address being translated.
    pub(crate) input: u64,
    /// At the G-stage: the VS-stage PTE access that the walk is for.
    pub(crate) implicit: Option<ImplicitAccess>,
}

impl Slot {
    pub(crate) const fn pte_at(&self, at: u64, value: Option<u64>) -> PteAt {
        PteAt { stage: self.stage, level: self.level, at, value }
    }
}

/// Reads and updates PTEs in address space `A`, 8 bytes at a time, atomically.
pub(crate) trait PteSource<A> {
    /// What an observer may stop the walk with.
    type Stop;

    /// Step 2: the PTE at `at`.
    fn read(&mut self, at: A, slot: Slot) -> Result<u64, Halt<Self::Stop>>;

    /// Tells an observer what was made of the PTE that was read last.
    fn judged(&mut self, judgement: &Judgement);

    /// Step 9: stores `new` if the PTE is still `old`; says whether it did.
    fn update(&mut self, at: A, slot: Slot, old: u64, new: u64) -> Result<bool, Halt<Self::Stop>>;
}

/// Where a walk may start below the root, and what it leaves for the next one.
pub(crate) trait Pointers {
    /// The deepest table known for `input`.
    fn resume(&mut self, input: u64) -> Option<Table>;
    /// A walk of `input` came to this table through a valid pointer.
    fn passed(&mut self, input: u64, table: Table);
}

/// A page table that a walk has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    /// The level of its PTEs.
    pub(crate) level: u8,
    /// Its address, in the stage's output space.
    pub(crate) base: u64,
    /// Whether a PTE on the way had G.
    pub(crate) global: bool,
}

/// No walk cache.
pub(crate) struct FromRoot;

impl Pointers for FromRoot {
    fn resume(&mut self, _: u64) -> Option<Table> {
        None
    }

    fn passed(&mut self, _: u64, _: Table) {}
}

/// What a successful walk found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Leaf<A> {
    /// The translated address.
    pub(crate) out: A,
    /// The low byte of the PTE, with A and D as the walk left them.
    pub(crate) flags: u8,
    /// log2 of the size of the page: 12, 16 (NAPOT), 21, 30, 39 or 48.
    pub(crate) bits: u8,
    /// Whether the leaf or a PTE above it has G.
    pub(crate) global: bool,
    pub(crate) memory_type: MemoryType,
}

impl<A: Address> Leaf<A> {
    /// Whether the access is permitted without setting A or D.
    pub(crate) fn permits<S: Stage>(&self, stage: &S, need: Need) -> bool {
        let flags = u64::from(self.flags);
        stage.check_rights(flags, need).is_ok() && stage.check_ad(flags, need.right).is_ok()
    }

    /// The same leaf for another address in its page.
    pub(crate) fn at(self, input: u64) -> Self {
        let within = (1 << self.bits) - 1;
        Self { out: A::new(self.out.bits() & !within | input & within), ..self }
    }
}

/// Walks `stage` for `input`.
pub(crate) fn walk<S: Stage, M: PteSource<S::Out>>(
    stage: &S,
    pointers: &mut impl Pointers,
    memory: &mut M,
    input: S::In,
    need: Need,
) -> Result<Leaf<S::Out>, Halt<M::Stop>> {
    let fault = |reason, pte| Halt::Fault(stage.fault(input, need, Why { reason, pte }));
    // Before step 1: the upper bits of the address.
    stage.check_width(input).map_err(|reason| fault(reason, None))?;
    let address = input.bits();

    // Step 1.
    let tree = stage.tree();
    let root = Table { level: tree.levels - 1, base: tree.root, global: false };
    let resumed = pointers.resume(address).filter(|table| table.level < root.level);
    let mut table = resumed.unwrap_or(root);
    loop {
        // Step 2.
        let level = table.level;
        let shift = PAGE_BITS + LEVEL_BITS * u32::from(level);
        let extra = if level == root.level { S::ROOT_EXTRA_BITS } else { 0 };
        let vpn = address >> shift & ((1 << (LEVEL_BITS + extra)) - 1);
        let at = table.base + (vpn << PTE_BITS);
        let slot = Slot { stage: S::NAME, level, input: address, implicit: need.implicit };
        let mut entry = memory.read(S::Out::new(at), slot)?;
        let judge = |memory: &mut M, value, verdict| {
            let terms = stage.terms(need);
            memory.judged(&Judgement { stage: S::NAME, level, value, terms, verdict });
        };
        let refuse = |memory: &mut M, reason| {
            judge(memory, entry, Verdict::Refused(reason));
            Err(fault(reason, Some(slot.pte_at(at, Some(entry)))))
        };

        // Step 3.
        if let Err(reason) = check_valid(entry, level, stage) {
            return refuse(memory, reason);
        }

        // Step 4.
        let global = table.global || entry & pte::G != 0;
        let ppn = (entry & pte::PPN) >> pte::PPN_SHIFT;
        if is_pointer(entry) {
            let Some(below) = level.checked_sub(1) else {
                return refuse(memory, Reason::NoLeaf);
            };
            table = Table { level: below, base: ppn << PAGE_BITS, global };
            judge(memory, entry, Verdict::Pointer { table: table.base });
            pointers.passed(address, table);
            continue;
        }

        // Step 5.
        if ppn & ((1 << (shift - PAGE_BITS)) - 1) != 0 {
            return refuse(memory, Reason::MisalignedSuperpage);
        }

        // Steps 6 and 8; step 7 is that of shadow stacks.
        if let Err(reason) = stage.check_rights(entry, need) {
            return refuse(memory, reason);
        }

        // Step 9.
        if let Err(reason) = stage.check_ad(entry, need.right) {
            if !stage.updates_ad() {
                return refuse(memory, reason);
            }
            let set = if need.right == Right::Store { pte::A | pte::D } else { pte::A };
            if !memory.update(S::Out::new(at), slot, entry, entry | set)? {
                continue;
            }
            entry |= set;
        }

        // Step 10, and the region of a NAPOT PTE in place of one page.
        let bits = if entry & pte::N != 0 { PAGE_BITS + NAPOT_BITS } else { shift };
        let within = (1 << bits) - 1;
        let out = ppn << PAGE_BITS & !within | address & within;
        judge(memory, entry, Verdict::Leaf { out, bits: bits as u8 });
        return Ok(Leaf {
            out: S::Out::new(out),
            flags: entry as u8,
            bits: bits as u8,
            global,
            memory_type: MemoryType::from_bits(entry >> pte::PBMT_SHIFT).unwrap_or_default(),
        });
    }
}

fn is_pointer(entry: u64) -> bool {
    entry & (pte::R | pte::W | pte::X) == 0
}

/// Step 3: V, and every bit and encoding that is reserved.
fn check_valid<S: Stage>(entry: u64, level: u8, stage: &S) -> Result<(), Reason> {
    if entry & pte::V == 0 {
        return Err(Reason::Invalid);
    }
    if entry & (pte::R | pte::W) == pte::W {
        return Err(Reason::WriteOnly);
    }
    if entry & pte::RESERVED != 0 {
        return Err(Reason::ReservedBits);
    }
    let memory_type = entry & pte::PBMT;
    if is_pointer(entry) {
        return if entry & (pte::A | pte::D | pte::U) != 0 {
            Err(Reason::PointerAttributes)
        } else if memory_type != 0 {
            Err(Reason::PbmtReserved)
        } else if entry & pte::N != 0 {
            Err(Reason::NapotReserved)
        } else {
            Ok(())
        };
    }
    if memory_type != 0 && !stage.memory_types() {
        return Err(Reason::PbmtDisabled);
    }
    if memory_type == pte::PBMT {
        return Err(Reason::PbmtReserved);
    }
    if entry & pte::N != 0 {
        let size = (entry & pte::PPN) >> pte::PPN_SHIFT & ((1 << NAPOT_BITS) - 1);
        if !stage.formats().svnapot || level != 0 || size != 1 << (NAPOT_BITS - 1) {
            return Err(Reason::NapotReserved);
        }
    }
    Ok(())
}
