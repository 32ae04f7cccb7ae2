//! Decoding: from the bits at a pc to an operation and its operands, or nothing if they are illegal
//! with these extensions.
//!
//! A decoder indexes the rows of its extensions once, by the bits that tell most of them apart, so
//! that a lookup tries one or two rows. Among rows that match, the one with the most fixed bits
//! decides.

use super::{COMPRESSED, INSTRUCTIONS, Op, Row, pattern::Operands};
use crate::ext::{Ext, ExtSet};

/// A decoded instruction. A register number, `rm` or immediate that the encoding has no place for
/// is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Insn {
    /// What it does.
    pub op: Op,
    /// Destination register, integer or floating-point as the operation says.
    pub rd: u8,
    /// First source register; the 5-bit immediate of `csrrwi`, `csrrsi` and `csrrci`; the entry of
    /// `fli`.
    pub rs1: u8,
    /// Second source register.
    pub rs2: u8,
    /// Third source register.
    pub rs3: u8,
    /// Rounding mode: never the reserved 5 and 6; 7 is dynamic. 0 where the operation has none.
    pub rm: u8,
    /// The immediate, sign-extended: an offset in bytes; the upper immediate in place (`lui`,
    /// `auipc`); a shift amount; a CSR number; fm, pred and succ of `fence`; the number of a `mop`.
    pub imm: i32,
    /// 2 or 4 bytes.
    pub len: u8,
    /// As fetched; a 16-bit instruction in the low half, the high half 0.
    pub bits: u32,
}

impl Insn {
    /// The 32-bit encoding of what this instruction does: its own, or for a 16-bit one the one it
    /// stands for [priv: hypervisor, "Transformed Instruction or Pseudoinstruction for mtinst or
    /// htinst"].
    pub fn expanded(&self) -> u32 {
        if self.len == 4 {
            return self.bits;
        }
        self.op.row().pattern.insert(&self.operands())
    }

    /// Whether the acquire bit is set; meaningful for LR, SC and AMOs only.
    #[inline]
    pub const fn aq(&self) -> bool {
        self.bits >> 26 & 1 != 0
    }

    /// Whether the release bit is set; meaningful for LR, SC and AMOs only.
    #[inline]
    pub const fn rl(&self) -> bool {
        self.bits >> 25 & 1 != 0
    }

    /// The operands by themselves.
    pub(crate) fn operands(&self) -> Operands {
        let ordered = self.len == 4;
        Operands {
            rd: self.rd,
            rs1: self.rs1,
            rs2: self.rs2,
            rs3: self.rs3,
            rm: self.rm,
            imm: self.imm,
            aq: ordered && self.aq(),
            rl: ordered && self.rl(),
        }
    }
}

/// Rows by a few bits of the instruction, its key. The rows of a key stand together, from where its
/// entry in `starts` says to where the next one does, most fixed bits first.
#[derive(Clone, Debug)]
struct Index {
    starts: Box<[u16]>,
    rows: Box<[u16]>,
}

impl Index {
    /// `key_bits` gives the instruction bits that make the key, `key` gathers them.
    fn new(table: &[Row], exts: &ExtSet, key_bits: u32, key: fn(u32) -> usize) -> Self {
        let mut enabled: Vec<u16> =
            (0..table.len() as u16).filter(|&row| table[usize::from(row)].is_in(exts)).collect();
        enabled.sort_by_key(|&row| {
            std::cmp::Reverse(table[usize::from(row)].pattern.mask.count_ones())
        });
        let keys = key(u32::MAX) + 1;
        let mut buckets = vec![Vec::new(); keys];
        for row in enabled {
            let pattern = &table[usize::from(row)].pattern;
            // All values of the key's bits that the row leaves free.
            let free = key_bits & !pattern.mask;
            let mut choice = free;
            loop {
                buckets[key(pattern.value | choice)].push(row);
                if choice == 0 {
                    break;
                }
                choice = (choice - 1) & free;
            }
        }
        let mut starts = vec![0];
        let mut rows = Vec::new();
        for bucket in buckets {
            rows.extend(bucket);
            starts.push(rows.len() as u16);
        }
        assert!(rows.len() <= usize::from(u16::MAX), "the index fits its offsets");
        Self { starts: starts.into(), rows: rows.into() }
    }

    #[inline]
    fn rows(&self, key: usize) -> &[u16] {
        &self.rows[usize::from(self.starts[key])..usize::from(self.starts[key + 1])]
    }
}

const KEY_BITS_32: u32 = 0xfe00_707c;
const KEY_BITS_16: u32 = 0xfc03;

/// Major opcode, funct3 and funct7.
#[inline]
const fn key32(bits: u32) -> usize {
    ((bits >> 2 & 0x1f) | (bits >> 12 & 7) << 5 | (bits >> 25) << 8) as usize
}

/// Quadrant and the six highest bits.
#[inline]
const fn key16(bits: u32) -> usize {
    ((bits & 3) | (bits >> 10 & 0x3f) << 2) as usize
}

/// Decodes the instructions of one set of extensions.
#[derive(Clone, Debug)]
pub struct Decoder {
    index32: Index,
    index16: Index,
    jumps_align_to_4: bool,
}

impl Decoder {
    /// A decoder for a hart with these extensions. Takes about a millisecond.
    pub fn new(exts: &ExtSet) -> Self {
        Self {
            index32: Index::new(INSTRUCTIONS, exts, KEY_BITS_32, key32),
            index16: Index::new(COMPRESSED, exts, KEY_BITS_16, key16),
            jumps_align_to_4: !exts.contains(Ext::Zca),
        }
    }

    /// IALIGN is 32 bits: a jump to an address that is no multiple of 4 raises an instruction-address-misaligned
    /// exception [unpriv, "Control Transfer Instructions"].
    pub fn jumps_align_to_4(&self) -> bool {
        self.jumps_align_to_4
    }

    /// The instruction in `bits`, or `None` if it is illegal. Where the two lowest bits are not 3
    /// it is a 16-bit one and the high half is ignored.
    #[inline]
    pub fn decode(&self, bits: u32) -> Option<Insn> {
        if bits & 3 == 3 {
            let row = find(INSTRUCTIONS, self.index32.rows(key32(bits)), bits)?;
            let operands = row.pattern.extract(bits)?;
            Some(insn(row.op, operands, 4, bits))
        } else {
            let bits = bits & 0xffff;
            let row = find(COMPRESSED, self.index16.rows(key16(bits)), bits)?;
            let operands = row.with_fixed(row.pattern.extract(bits)?);
            Some(insn(row.op, operands, 2, bits))
        }
    }
}

/// The row of a 16-bit instruction, whatever extensions a hart has; `None` if it is reserved.
pub(crate) fn compressed_row(bits: u32) -> Option<&'static Row> {
    let row = COMPRESSED
        .iter()
        .filter(|row| row.pattern.matches(bits & 0xffff))
        .max_by_key(|row| row.pattern.mask.count_ones())?;
    row.pattern.extract(bits).map(|_| row)
}

/// The 32-bit encoding of what `bits` does, whatever extensions a hart has. Bits that are 32-bit or
/// reserved stay as they are. For rare use: it searches; see [`Insn::expanded`].
pub fn expand(bits: u32) -> u32 {
    if bits & 3 == 3 {
        return bits;
    }
    let operands = |row: &Row| Some(row.with_fixed(row.pattern.extract(bits)?));
    compressed_row(bits)
        .and_then(|row| Some(row.op.row().pattern.insert(&operands(row)?)))
        .unwrap_or(bits)
}

#[inline]
fn find<'a>(table: &'a [Row], rows: &[u16], bits: u32) -> Option<&'a Row> {
    rows.iter().map(|&row| &table[usize::from(row)]).find(|row| row.pattern.matches(bits))
}

#[inline]
fn insn(op: Op, operands: Operands, len: u8, bits: u32) -> Insn {
    let Operands { rd, rs1, rs2, rs3, rm, imm, aq: _, rl: _ } = operands;
    Insn { op, rd, rs1, rs2, rs3, rm, imm, len, bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn default() -> Decoder {
        Decoder::new(&ExtSet::default_set())
    }

    fn with(isa: &str) -> Decoder {
        Decoder::new(&ExtSet::parse(isa).unwrap())
    }

    #[test]
    fn known_words_decode_as_the_manual_says() {
        let decoder = default();
        let op = |bits| decoder.decode(bits).map(|insn| insn.op);
        assert_eq!(op(0x1020_0073), Some(Op::Sret));
        assert_eq!(op(0x1020_00f3), None, "sret with rd != 0");
        assert_eq!(op(0x3020_0073), Some(Op::Mret));
        assert_eq!(op(0x1050_0073), Some(Op::Wfi));
        assert_eq!(op(0x0100_000f), Some(Op::Pause));
        assert_eq!(op(0x8330_000f), Some(Op::Fence), "fence.tso");
        assert_eq!(op(0x0ff0_808f), Some(Op::Fence), "reserved rd and rs1 are ignored");
        assert_eq!(op(0x1000_252f), Some(Op::LrW));
        assert_eq!(op(0x1010_252f), None, "lr.w with rs2 != 0");
        assert_eq!(op(0x7b20_0073), None, "dret");
        assert_eq!(op(0x7020_0073), None, "mnret");
        assert_eq!(op(0), None);
        assert_eq!(op(u32::MAX), None);
        let addi = decoder.decode(0xffd5_8513).unwrap();
        assert_eq!((addi.op, addi.rd, addi.rs1, addi.imm), (Op::Addi, 10, 11, -3));
        let csrrwi = decoder.decode(0x3052_d073).unwrap();
        assert_eq!((csrrwi.op, csrrwi.rs1, csrrwi.imm), (Op::Csrrwi, 5, 0x305));
        let lui = decoder.decode(0xffff_f537).unwrap();
        assert_eq!((lui.op, lui.imm), (Op::Lui, -4096));
    }

    #[test]
    fn compressed_instructions_expand() {
        let decoder = default();
        let expand = |bits| decoder.decode(bits).map(|insn| (insn.len, insn.expanded()));
        // The pairs are those of the manual's table of expansions, assembled by hand.
        assert_eq!(expand(0x0001), Some((2, 0x0000_0013)), "c.nop");
        assert_eq!(expand(0x1141), Some((2, 0xff01_0113)), "c.addi sp, -16");
        assert_eq!(expand(0x7139), Some((2, 0xfc01_0113)), "c.addi16sp sp, -64");
        assert_eq!(expand(0x8082), Some((2, 0x0000_8067)), "c.jr ra");
        assert_eq!(expand(0x9002), Some((2, 0x0010_0073)), "c.ebreak");
        assert_eq!(expand(0x8002), None, "c.jr x0 is reserved");
        assert_eq!(expand(0x6101), None, "c.addi16sp 0 is reserved");
        assert_eq!(expand(0x2501), Some((2, 0x0005_051b)), "c.addiw a0, 0");
        assert_eq!(expand(0x2001), None, "c.addiw x0 is reserved");
        assert_eq!(expand(0x6081), Some((2, 0x81d0_4073)), "c.mop.1 is mop.r.1");
        assert_eq!(expand(0x6501), None, "c.lui a0, 0 is reserved");
        assert_eq!(expand(0xdead_0000), None, "the illegal instruction of all zeros");
        assert_eq!(expand(0xdead_0001), Some((2, 0x13)), "the high half is ignored");
    }

    #[test]
    fn a_switched_off_extension_is_illegal() {
        let op = |decoder: &Decoder, bits| decoder.decode(bits).map(|insn| insn.op);
        let bare = with("rv64i");
        assert_eq!(op(&bare, 0x0000_0001), None);
        assert_eq!(op(&bare, 0x6220_8073), None, "hfence.gvma");
        assert_eq!(op(&bare, 0x0100_000f), Some(Op::Fence), "pause is still a fence hint");
        // zext.h is a row of Zbb, packw with rs2 = x0 of Zbkb.
        assert_eq!(op(&with("rv64i_zbb"), 0x0805_453b), Some(Op::ZextH));
        assert_eq!(op(&with("rv64i_zbb"), 0x08b5_453b), None);
        assert_eq!(op(&with("rv64i_zbkb"), 0x0805_453b), Some(Op::Packw));
        assert_eq!(op(&with("rv64i_zbkc"), 0x0ab5_1533), Some(Op::Clmul));
        assert_eq!(op(&with("rv64i_zbkc"), 0x0ab5_2533), None, "clmulr is of Zbc alone");
        assert_eq!(op(&with("rv64i_zacas"), 0x28b5_052f), None, "amocas.b needs Zabha too");
        assert_eq!(op(&with("rv64i_zfhmin"), 0x4205_0553), None, "fcvt.d.s needs D");
    }

    #[test]
    fn every_halfword_decodes_without_panic_and_expands_to_its_operation() {
        let decoder = default();
        for bits in 0..=0xffff {
            let Some(insn) = decoder.decode(bits) else { continue };
            if insn.len == 2 {
                let again = decoder.decode(insn.expanded()).unwrap();
                let same = Insn { len: 2, bits, ..again };
                assert_eq!(same, insn, "{bits:#06x}");
                assert_eq!(expand(bits), insn.expanded());
            }
        }
    }

    proptest! {
        #[test]
        fn any_word_decodes_without_panic(bits: u32) {
            if let Some(insn) = default().decode(bits) {
                let row = insn.op.row();
                if insn.len == 4 {
                    let again = row.pattern.insert(&insn.operands());
                    prop_assert_eq!(again, bits & !row.pattern.ignored);
                }
            }
        }
    }
}
