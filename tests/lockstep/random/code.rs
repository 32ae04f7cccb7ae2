//! Instructions as words. Everything emitted is a whole number of 4-byte words that begin at a
//! multiple of four, so that a handler steps over an instruction by going to the next such multiple.

use isa::Op;
use isa::insn::COMPRESSED;
use isa::insn::pattern::Operands;

pub(super) mod reg {
    /// M only: the next episode.
    pub(in super::super) const GP: u8 = 3;
    /// Traps other than calls so far in this episode, kept by all three handlers.
    pub(in super::super) const TP: u8 = 4;
    /// Scratch for what one item does.
    pub(in super::super) const T0: u8 = 5;
    pub(in super::super) const T1: u8 = 6;
    pub(in super::super) const T2: u8 = 7;
    /// The first of eight registers that point to memory, 2048 bytes into a page.
    pub(in super::super) const POINTER: u8 = 8;
    pub(in super::super) const POINTERS: u8 = 8;
    /// As many of them are for a mode's own accesses, the others for HLV and HSV.
    pub(in super::super) const OWN_POINTERS: u8 = 4;
    /// Where a service goes to.
    pub(in super::super) const A6: u8 = 16;
    /// Which service an ECALL wants.
    pub(in super::super) const A7: u8 = 17;
    /// What random instructions may write. 26 to 31 belong to the handlers.
    pub(in super::super) const FREE: [u8; 16] =
        [0, 1, 2, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];
}

pub(super) fn encode(op: Op, operands: Operands) -> u32 {
    op.row().pattern.insert(&operands)
}

/// rd, rs1, rs2.
pub(super) fn r(op: Op, rd: u8, rs1: u8, rs2: u8) -> u32 {
    encode(op, Operands { rd, rs1, rs2, ..Operands::default() })
}

/// rd, rs1, imm: also loads, JALR.
pub(super) fn i(op: Op, rd: u8, rs1: u8, imm: i32) -> u32 {
    encode(op, Operands { rd, rs1, imm, ..Operands::default() })
}

/// rs2, rs1, imm: stores and branches.
pub(super) fn s(op: Op, rs2: u8, rs1: u8, imm: i32) -> u32 {
    encode(op, Operands { rs2, rs1, imm, ..Operands::default() })
}

pub(super) fn csr(op: Op, rd: u8, number: u16, rs1: u8) -> u32 {
    i(op, rd, rs1, number.into())
}

pub(super) fn csrr(rd: u8, number: u16) -> u32 {
    csr(Op::Csrrs, rd, number, 0)
}

pub(super) fn csrw(number: u16, rs1: u8) -> u32 {
    csr(Op::Csrrw, 0, number, rs1)
}

pub(super) fn ecall() -> u32 {
    encode(Op::Ecall, Operands::default())
}

/// A 16-bit instruction by its name in the table.
pub(super) fn compressed(name: &str, operands: Operands) -> u16 {
    let row = COMPRESSED.iter().find(|row| row.name == name).expect("a compressed instruction");
    row.pattern.insert(&operands) as u16
}

pub(super) const C_NOP: u16 = 1;

/// Two 16-bit instructions in a word.
pub(super) fn pair(first: u16, second: u16) -> u32 {
    u32::from(first) | u32::from(second) << 16
}

/// Loads any number.
pub(super) fn li(rd: u8, value: u64) -> Vec<u32> {
    let mut words = Vec::new();
    load(rd, value as i64, &mut words);
    words
}

fn load(rd: u8, value: i64, words: &mut Vec<u32>) {
    let lower = value << 52 >> 52;
    if value == lower {
        words.push(i(Op::Addi, rd, 0, value as i32));
        return;
    }
    let upper = value.wrapping_sub(lower);
    if upper == i64::from(upper as i32) {
        words.push(i(Op::Lui, rd, 0, upper as i32));
        if lower != 0 {
            words.push(i(Op::Addiw, rd, rd, lower as i32));
        }
        return;
    }
    let shift = upper.trailing_zeros();
    load(rd, upper >> shift, words);
    words.push(i(Op::Slli, rd, rd, shift as i32));
    if lower != 0 {
        words.push(i(Op::Addi, rd, rd, lower as i32));
    }
}

/// The words of [`address`].
pub(super) const ADDRESS_WORDS: usize = 3;

/// Loads an even address below 4 GiB, in as many words whatever it is.
pub(super) fn address(rd: u8, address: u64) -> [u32; ADDRESS_WORDS] {
    let half = (address >> 1) as i32;
    let lower = half << 20 >> 20;
    [
        i(Op::Lui, rd, 0, half.wrapping_sub(lower)),
        i(Op::Addiw, rd, rd, lower),
        i(Op::Slli, rd, rd, 1),
    ]
}
