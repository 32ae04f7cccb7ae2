//! Operations: instructions, ready to run.

use std::sync::LazyLock;

use isa::{Decoder, Insn, Op as Code};

use crate::code::End;
use crate::state::X_SINK;

/// One instruction, ready to run. The operands mean what the arms of `exec` make of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    /// Immediate, sign-extended; for a jump, branch or AUIPC relative to where `offset` is; a CSR
    /// number; the third source of a fused multiply-add.
    pub(crate) imm: i32,
    /// Which instruction.
    pub(crate) code: Code,
    /// Bytes from the start of its page, or zero for one that is not kept.
    pub(crate) offset: u16,
    /// Destination; the sink for `x0`.
    pub(crate) rd: u8,
    pub(crate) rs1: u8,
    pub(crate) rs2: u8,
    /// The rounding mode as encoded; for a jump or branch, [`CHECKS_TARGET`] or zero.
    pub(crate) aux: u8,
    /// How many operations stand from here to the end of its run, with this one; zero for what is no
    /// instruction.
    pub(crate) rest: u8,
}

/// In a jump or branch whose target may not be a multiple of 4, on a hart where it must be.
pub(crate) const CHECKS_TARGET: u8 = 1;

const _: () = assert!(size_of::<Op>() == 16);

impl Op {
    /// Prepares `insn`, `offset` bytes into its page.
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
        Self { imm, code: insn.op, offset, rd, rs1: insn.rs1, rs2: insn.rs2, aux, rest: 1 }
    }

    /// What is no instruction: the end of a run whose next one is at `offset`.
    pub(crate) fn end(end: End, offset: u16) -> Self {
        let at = i32::from(offset);
        Self {
            imm: at,
            code: Code::FenceI,
            offset,
            rd: X_SINK,
            rs1: 0,
            rs2: 0,
            aux: end as u8,
            rest: 0,
        }
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

/// Whether nothing can be said, when it is decoded, of what comes behind this instruction.
pub(crate) fn ends_run(insn: &Insn) -> bool {
    match insn.op {
        Code::Jal | Code::Jalr => true,
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

/// Whether a CSR instruction touches nothing that counts, tells the time or decides what comes next.
pub(crate) fn is_inert_access(op: &Op) -> bool {
    use isa::csr::*;
    let number = op.imm as u16;
    let reads = !matches!(op.code, Code::Csrrw | Code::Csrrwi) && op.rs1 == 0;
    // The counters, and what a comparator or a line shows in.
    let changes =
        matches!(number, 0xb00..0xc00 | 0xc00..0xd00 | MIP | SIP | HIP | VSIP | SEED | SCOUNTOVF);
    is_inert(number) || reads && !changes
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
