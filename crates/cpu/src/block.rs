//! Decoded code: operations, blocks of them, and the cache that finds a block by its physical
//! address.
//!
//! A block is a run of instructions from one physical page, ended by a control transfer, the page's
//! end, or an instruction that may change translation, mode or interrupts. Being keyed by physical
//! address it survives every change of translation; it dies when its page is written.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::LazyLock;

use isa::{Decoder, Insn, Op as Code, PAGE_BYTES, Pa};
use mmu::{Mmu, Ram};

use crate::state::X_SINK;
use crate::thread::Thread;

/// One instruction, ready to run. The operands mean what the arms of `exec` make of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    /// Immediate, sign-extended; for a jump, branch or AUIPC relative to the block's start; a CSR
    /// number; the third source of a fused multiply-add.
    pub(crate) imm: i32,
    /// Which instruction.
    pub(crate) code: Code,
    /// Bytes from the block's start.
    pub(crate) offset: u16,
    /// Destination; the sink for `x0`.
    pub(crate) rd: u8,
    pub(crate) rs1: u8,
    pub(crate) rs2: u8,
    /// The rounding mode as encoded; for a jump or branch, [`CHECKS_TARGET`] or zero.
    pub(crate) aux: u8,
}

/// In a jump or branch whose target may not be a multiple of 4, on a hart where it must be.
pub(crate) const CHECKS_TARGET: u8 = 1;

const _: () = assert!(size_of::<Op>() <= 16);

impl Op {
    /// Prepares `insn`, `offset` bytes into its block.
    pub(crate) fn new(decoder: &Decoder, insn: &Insn, offset: u16) -> Self {
        let mut imm = insn.imm;
        let mut aux = insn.rm;
        if is_control_transfer(insn.op) {
            let unknown = insn.op == Code::Jalr;
            let checks = decoder.jumps_align_to_4() && (unknown || imm & 2 != 0);
            aux = if checks { CHECKS_TARGET } else { 0 };
        }
        match insn.op {
            Code::Jal
            | Code::Auipc
            | Code::Beq
            | Code::Bne
            | Code::Blt
            | Code::Bge
            | Code::Bltu
            | Code::Bgeu => imm += i32::from(offset),
            op if shape(op).reads_rs3 => imm = i32::from(insn.rs3),
            _ => {}
        }
        let rd = if insn.rd == 0 && !shape(insn.op).writes_f { X_SINK } else { insn.rd };
        Self { imm, code: insn.op, offset, rd, rs1: insn.rs1, rs2: insn.rs2, aux }
    }
}

/// What preparing an operation needs to know of its operands.
#[derive(Clone, Copy, Default)]
struct Operands {
    /// The destination is an `f` register.
    writes_f: bool,
    reads_rs3: bool,
}

/// From the instruction table's operand lists, gathered once.
fn shape(op: Code) -> Operands {
    static SHAPES: LazyLock<Vec<Operands>> = LazyLock::new(|| {
        let row = |op: Code| Operands {
            writes_f: op.row().operands.starts_with("frd"),
            reads_rs3: op.row().operands.contains("rs3"),
        };
        Code::all().map(row).collect()
    });
    SHAPES[op as usize]
}

/// Jumps and branches: what they change is `pc` alone.
pub(crate) fn is_control_transfer(op: Code) -> bool {
    use Code::*;
    matches!(op, Jal | Jalr | Beq | Bne | Blt | Bge | Bltu | Bgeu)
}

/// Whether a block ends behind this instruction.
fn ends_block(insn: &Insn) -> bool {
    match insn.op {
        op if is_control_transfer(op) => true,
        Code::Ecall
        | Code::Ebreak
        | Code::Mret
        | Code::Sret
        | Code::Wfi
        | Code::FenceI
        | Code::SfenceVma
        | Code::SinvalVma
        | Code::SfenceWInval
        | Code::SfenceInvalIr
        | Code::HfenceVvma
        | Code::HfenceGvma
        | Code::HinvalVvma
        | Code::HinvalGvma => true,
        Code::Csrrs | Code::Csrrc | Code::Csrrsi | Code::Csrrci if insn.rs1 == 0 => false,
        Code::Csrrw | Code::Csrrs | Code::Csrrc | Code::Csrrwi | Code::Csrrsi | Code::Csrrci => {
            !is_inert(insn.imm as u16)
        }
        _ => false,
    }
}

/// CSRs whose value decides neither translation, mode, interrupts nor what is legal.
fn is_inert(number: u16) -> bool {
    use isa::csr::*;
    matches!(
        number,
        FFLAGS
            | FRM
            | FCSR
            | SSCRATCH
            | SEPC
            | SCAUSE
            | STVAL
            | MSCRATCH
            | MEPC
            | MCAUSE
            | MTVAL
            | VSSCRATCH
            | VSEPC
            | VSCAUSE
            | VSTVAL
            | HTVAL
            | HTINST
    )
}

/// Instructions in a block at most.
const MAX_OPS: usize = 64;

/// See the module. What following one block after the other looks at fills one native cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Block {
    /// Its [`key`].
    pub(crate) pa: u64,
    /// Its operations as they run, one behind the other.
    pub(crate) thread: Thread,
    listing: Box<Listing>,
    /// What stands behind the last operation cannot be decoded.
    pub(crate) illegal: Option<u32>,
    /// Which blocks came next, last time: behind the last operation, and elsewhere. Only a hint: a
    /// block is told by its physical address.
    links: [Cell<u32>; 2],
    /// Bytes from the start to behind the last operation.
    pub(crate) end: u16,
    /// It ends in a way that changes no translation, so that its successor in the same page can be
    /// found without one.
    chains: bool,
}

const _: () = assert!(size_of::<Block>() == 64);

/// What of a block is not needed while it runs.
#[derive(Debug, Default)]
struct Listing {
    ops: Box<[Op]>,
    /// The instructions as fetched, for reports.
    bits: Box<[u32]>,
}

impl Block {
    /// A block of one instruction that is not kept.
    pub(crate) fn single(decoder: &Decoder, insn: &Insn) -> Self {
        let (ops, end) = (Box::new([Op::new(decoder, insn, 0)]), u16::from(insn.len));
        Self {
            thread: Thread::new(&*ops, end, false),
            listing: Box::new(Listing { ops, bits: Box::new([insn.bits]) }),
            end,
            ..Self::vacant()
        }
    }

    /// What stands in the place of a block that was dropped.
    fn vacant() -> Self {
        Self {
            pa: NO_BLOCK,
            thread: Thread::new(&[], 0, false),
            listing: Box::default(),
            illegal: None,
            links: Default::default(),
            end: 0,
            chains: false,
        }
    }

    /// How many operations there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.thread.len()
    }

    /// The operations from number `first` on, at most `room` of them, and the offset behind the last one.
    pub(crate) fn part(&self, first: usize, room: usize) -> (&[Op], u16) {
        let ops = self.listing.ops.get(first..).unwrap_or_default();
        match ops.split_at_checked(room) {
            Some((part, [next, ..])) => (part, next.offset),
            _ => (ops, self.end),
        }
    }

    /// The instruction with that number, as fetched, if there is one.
    pub(crate) fn bits(&self, number: usize) -> Option<u32> {
        self.listing.bits.get(number).copied()
    }
}

/// Decodes the instructions at `pa` up to the end of their page, or to the next one at which a block
/// must `begin`. `None` where not even the first one lies within the page: it straddles the end.
pub(crate) fn decode(
    decoder: &Decoder,
    ram: &Ram,
    pa: Pa,
    begin: Option<&Offsets>,
) -> Option<Block> {
    let page_end = pa.page().0 + PAGE_BYTES;
    let (mut ops, mut bits) = (Vec::new(), Vec::new());
    let mut at = pa.0;
    let mut illegal = None;
    let mut chains = true;
    while ops.len() < MAX_OPS && at + 2 <= page_end {
        if begin.is_some_and(|offsets| offsets.contains(at)) && at != pa.0 {
            break;
        }
        let low = u32::from(ram.read::<u16>(Pa(at))?);
        let word = if low & 3 != 3 {
            low
        } else if at + 4 <= page_end {
            ram.read::<u32>(Pa(at))?
        } else {
            break;
        };
        let Some(insn) = decoder.decode(word) else {
            illegal = Some(word);
            break;
        };
        ops.push(Op::new(decoder, &insn, (at - pa.0) as u16));
        bits.push(word);
        at += u64::from(insn.len);
        if ends_block(&insn) {
            chains = is_control_transfer(insn.op);
            break;
        }
    }
    if ops.is_empty() && illegal.is_none() {
        return None;
    }
    let end = (at - pa.0) as u16;
    Some(Block {
        pa: pa.0,
        thread: Thread::new(&ops, end, illegal.is_some()),
        listing: Box::new(Listing { ops: ops.into(), bits: bits.into() }),
        illegal,
        links: Default::default(),
        end,
        chains,
    })
}

/// Offsets in a page at which a block begins and is entered by [`BlockCache::find`] alone, in every
/// page: where a debugger may want to halt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    /// A bit for every two bytes.
    bits: [u64; 32],
}

impl Offsets {
    fn place(address: u64) -> (usize, u64) {
        let half = address % PAGE_BYTES / 2;
        ((half / 64) as usize, 1 << (half % 64))
    }

    /// Adds the offset of `address` in its page.
    pub(crate) fn insert(&mut self, address: u64) {
        let (word, bit) = Self::place(address);
        self.bits[word] |= bit;
    }

    /// Whether the offset of `address` in its page is among them.
    pub(crate) fn contains(&self, address: u64) -> bool {
        let (word, bit) = Self::place(address);
        self.bits[word] & bit != 0
    }
}

/// What tells a block at the physical address `pa`. One that must not be entered on a hint alone has
/// an odd key, which no hint looks for.
pub(crate) fn key(pa: Pa, hidden: bool) -> u64 {
    pa.0 | u64::from(hidden)
}

const JUMP_SLOTS: usize = 1 << 15;
/// Operations kept at most; then everything is dropped and decoded anew as needed.
const MAX_CACHED_OPS: usize = 2 << 20;
/// No physical address: it is odd.
const NO_BLOCK: u64 = u64::MAX;
const PAGE: u64 = !(PAGE_BYTES - 1);

/// All decoded blocks of a hart.
pub(crate) struct BlockCache {
    blocks: Vec<Block>,
    free: Vec<u32>,
    by_pa: HashMap<u64, u32>,
    by_page: HashMap<u64, Vec<u32>>,
    /// Direct-mapped, in front of `by_pa`; a hint like a block's links.
    jump: Box<[Cell<u32>; JUMP_SLOTS]>,
    cached_ops: usize,
}

impl BlockCache {
    pub(crate) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            by_pa: HashMap::new(),
            by_page: HashMap::new(),
            jump: Box::new([const { Cell::new(0) }; JUMP_SLOTS]),
            cached_ops: 0,
        }
    }

    #[inline]
    fn slot(&self, pa: u64) -> &Cell<u32> {
        &self.jump[((pa >> 1) ^ (pa >> 13)) as usize % JUMP_SLOTS]
    }

    /// The block with an index that may be out of date, if it starts at `pa`.
    #[inline(always)]
    fn at(&self, index: u32, pa: u64) -> Option<&Block> {
        self.blocks.get(index as usize).filter(|block| block.pa == pa)
    }

    /// The block with this [`key`].
    #[inline]
    pub(crate) fn find(&self, pa: u64) -> Option<u32> {
        let slot = self.slot(pa);
        if self.at(slot.get(), pa).is_none() {
            slot.set(*self.by_pa.get(&pa)?);
        }
        Some(slot.get())
    }

    /// The block with an index that `find` or `insert` gave out since the last removal.
    pub(crate) fn get(&self, index: u32) -> Option<&Block> {
        self.blocks.get(index as usize)
    }

    /// The block at `pc` after block `from`, which ran at `at`, where no more than hints and the
    /// native TLB are needed to find it.
    #[inline(always)]
    pub(crate) fn successor(&self, from: &Block, at: u64, pc: u64, mmu: &Mmu) -> Option<&Block> {
        let pa = if from.chains && (at ^ pc) & PAGE == 0 {
            // Both lie in one page of either address space.
            from.pa.wrapping_add(pc.wrapping_sub(at)) & !1
        } else {
            mmu.fetch_page(pc)?.0
        };
        let link = &from.links[usize::from(pc != at.wrapping_add(u64::from(from.end)))];
        if let Some(block) = self.at(link.get(), pa) {
            return Some(block);
        }
        let index = self.slot(pa).get();
        let block = self.at(index, pa)?;
        link.set(index);
        Some(block)
    }

    pub(crate) fn insert(&mut self, block: Block) -> u32 {
        if self.cached_ops + block.len() > MAX_CACHED_OPS {
            self.clear();
        }
        self.cached_ops += block.len();
        let pa = block.pa;
        let index = match self.free.pop() {
            Some(index) => {
                self.blocks[index as usize] = block;
                index
            }
            None => {
                self.blocks.push(block);
                (self.blocks.len() - 1) as u32
            }
        };
        self.by_pa.insert(pa, index);
        self.by_page.entry(Pa(pa).page().0).or_default().push(index);
        self.slot(pa).set(index);
        index
    }

    /// Drops the blocks of one page.
    pub(crate) fn remove_page(&mut self, page: Pa) {
        for index in self.by_page.remove(&page.0).unwrap_or_default() {
            let block = std::mem::replace(&mut self.blocks[index as usize], Block::vacant());
            self.cached_ops -= block.len();
            self.by_pa.remove(&block.pa);
            self.free.push(index);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}
