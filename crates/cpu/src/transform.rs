//! The transformed instruction that `htinst` and `mtinst` report for a faulting load, store or AMO
//! [hypervisor, "Transformed Instruction or Pseudoinstruction for mtinst or htinst"].

use isa::{Insn, Op as Code};

const RS1: u32 = 0x1f << 15;
const LOAD_IMM: u32 = 0xfff << 20;
const STORE_IMM: u32 = 0x7f << 25 | 0x1f << 7;

/// Which fields the transformation keeps.
enum Shape {
    /// Loads: opcode, funct3, rd.
    Load,
    /// Stores: opcode, funct3, rs2.
    Store,
    /// AMO, LR, SC, HLV and HSV: everything.
    Whole,
    /// No transformation is defined: zero.
    None,
}

fn shape(code: Code) -> Shape {
    use Code::*;
    match code {
        Lb | Lh | Lw | Ld | Lbu | Lhu | Lwu | Flh | Flw | Fld => Shape::Load,
        Sb | Sh | Sw | Sd | Fsh | Fsw | Fsd => Shape::Store,
        CboInval | CboClean | CboFlush | CboZero => Shape::None,
        _ => Shape::Whole,
    }
}

/// The value for `insn`, whose access failed `offset` bytes behind its own
/// address: rs1 gives way to the offset, and bit 1 is clear if the instruction was compressed.
pub(crate) fn transformed(insn: &Insn, offset: u64) -> u64 {
    let compressed = insn.len == 2;
    let expanded = insn.expanded();
    let kept = match shape(insn.op) {
        Shape::Load => expanded & !(RS1 | LOAD_IMM),
        Shape::Store => expanded & !(RS1 | STORE_IMM),
        Shape::Whole => expanded & !RS1,
        Shape::None => return 0,
    };
    let transformed = kept | (offset as u32 & 0x1f) << 15;
    u64::from(if compressed { transformed & !2 } else { transformed })
}
