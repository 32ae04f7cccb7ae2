//! What an instruction asks of a pipeline: a unit, registers, and how it moves the program counter. Read from
//! the 32-bit encoding, so that no table of instructions is repeated here.

use isa::Insn;

/// A register in one number: integer ones from 0, floating-point ones from 32; 0 is none.
type Reg = u8;

/// How an instruction moves the program counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Flow {
    /// A conditional branch.
    Branch,
    /// A direct jump that keeps no return address in a link register.
    Jump,
    /// A direct jump that does.
    Call,
    /// An indirect jump through a link register that is no call.
    Return,
    /// Any other indirect jump.
    Indirect,
    /// One that keeps a return address.
    IndirectCall,
    /// A call through the other link register: a return and a call, in 32 bits.
    Exchange,
}

/// The unit that does the work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Unit {
    /// Integer arithmetic and everything that takes a cycle.
    Alu,
    /// Branches and jumps.
    Branch,
    /// The low half of a product.
    Mul {
        /// Of the low 32 bits.
        word: bool,
    },
    /// The high half.
    MulHigh,
    /// A quotient or remainder.
    Div {
        /// Of signed numbers.
        signed: bool,
        /// Of the low 32 bits.
        word: bool,
    },
    /// A load of 4 or 8 bytes, or into an `f` register.
    Load,
    /// A load of 1 or 2 bytes.
    LoadNarrow,
    /// A store.
    Store,
    /// An atomic read-modify-write.
    Amo,
    /// LR.
    LoadReserved,
    /// SC.
    StoreConditional,
    /// FP addition, product, fused product.
    FpArithmetic {
        /// Of double precision.
        double: bool,
    },
    /// FP quotient.
    FpDivide {
        /// Of double precision.
        double: bool,
    },
    /// FP square root.
    FpRoot {
        /// Of double precision.
        double: bool,
    },
    /// Signs, minimum, maximum.
    FpSelect {
        /// Of double precision.
        double: bool,
    },
    /// A comparison or class: into an `x` register.
    FpCompare,
    /// Between FP formats.
    FpConvert,
    /// From an FP format to an integer.
    FpConvertToInt,
    /// From an integer to an FP format.
    FpConvertFromInt,
    /// Bits from an `f` to an `x` register.
    FpToInt,
    /// Bits from an `x` to an `f` register.
    IntToFp,
    /// This CSR is read.
    CsrRead(u16),
    /// This CSR is written.
    CsrWrite(u16),
    /// FENCE.
    Fence,
    /// FENCE.I.
    FenceI,
    /// A memory-management fence.
    FenceTranslation,
    /// MRET, SRET and the like.
    TrapReturn,
    /// WFI.
    Wait,
}

/// An instruction's demands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Work {
    /// Who does it.
    pub(crate) unit: Unit,
    /// Registers read.
    pub(crate) sources: [Reg; 3],
    /// The register written.
    pub(crate) target: Reg,
    /// Whether it moves the program counter.
    pub(crate) flow: Option<Flow>,
    /// Bytes accessed by a load or store.
    pub(crate) bytes: u8,
    /// `aq` and `rl` of an atomic.
    pub(crate) ordered: [bool; 2],
}

impl Work {
    /// What `insn` demands.
    pub(crate) fn of(insn: &Insn) -> Self {
        let word = insn.expanded();
        let field = |low: u32, bits: u32| (word >> low & ((1 << bits) - 1)) as u8;
        let (rd, funct3, rs1, rs2, rs3) =
            (field(7, 5), field(12, 3), field(15, 5), field(20, 5), field(27, 5));
        let funct7 = field(25, 7);
        let double = funct7 & 3 == 1;
        let f = |register: u8| register + 32;
        let work = |unit, sources, target| Self {
            unit,
            sources,
            target,
            flow: None,
            bytes: 0,
            ordered: [false; 2],
        };
        let memory = |unit, sources, target| Self {
            bytes: 1 << (funct3 & 3),
            ..work(unit, sources, target)
        };
        let load = if funct3 & 3 < 2 { Unit::LoadNarrow } else { Unit::Load };
        match word & 0x7f {
            0x03 => memory(load, [rs1, 0, 0], rd),
            0x07 => memory(Unit::Load, [rs1, 0, 0], f(rd)),
            0x0f if funct3 == 1 => work(Unit::FenceI, [0; 3], 0),
            0x0f => work(Unit::Fence, [0; 3], 0),
            0x13 | 0x1b => work(Unit::Alu, [rs1, 0, 0], rd),
            0x17 | 0x37 => work(Unit::Alu, [0; 3], rd),
            0x23 => memory(Unit::Store, [rs1, rs2, 0], 0),
            0x27 => memory(Unit::Store, [rs1, f(rs2), 0], 0),
            0x2f => {
                let unit = match word >> 27 {
                    2 => Unit::LoadReserved,
                    3 => Unit::StoreConditional,
                    _ => Unit::Amo,
                };
                let ordered = [word >> 26 & 1 != 0, word >> 25 & 1 != 0];
                Self { ordered, ..memory(unit, [rs1, rs2, 0], rd) }
            }
            0x33 | 0x3b if funct7 == 1 => {
                let is_word = word & 0x7f == 0x3b;
                let unit = match funct3 {
                    0 => Unit::Mul { word: is_word },
                    1..=3 => Unit::MulHigh,
                    _ => Unit::Div { signed: funct3 & 1 == 0, word: is_word },
                };
                work(unit, [rs1, rs2, 0], rd)
            }
            0x33 | 0x3b => work(Unit::Alu, [rs1, rs2, 0], rd),
            0x43 | 0x47 | 0x4b | 0x4f => {
                work(Unit::FpArithmetic { double }, [f(rs1), f(rs2), f(rs3)], f(rd))
            }
            0x53 => Self::float(word, rd, rs1, rs2),
            0x63 => Self { flow: Some(Flow::Branch), ..work(Unit::Branch, [rs1, rs2, 0], 0) },
            0x67 => {
                let flow = match (is_link(rd), is_link(rs1)) {
                    (true, true) if rd != rs1 && insn.len == 4 => Flow::Exchange,
                    (true, _) => Flow::IndirectCall,
                    (false, true) => Flow::Return,
                    (false, false) => Flow::Indirect,
                };
                Self { flow: Some(flow), ..work(Unit::Branch, [rs1, 0, 0], rd) }
            }
            0x6f => {
                let flow = if is_link(rd) { Flow::Call } else { Flow::Jump };
                Self { flow: Some(flow), ..work(Unit::Branch, [0; 3], rd) }
            }
            0x73 => Self::system(word, rd, rs1, rs2),
            _ => work(Unit::Alu, [rs1, rs2, 0], rd),
        }
    }

    /// Whether it writes an `x` register, `x0` among them, in the stage in which results are written.
    pub(crate) fn writes_integer(&self) -> bool {
        match self.unit {
            Unit::Branch => self.flow.is_some_and(|flow| flow != Flow::Branch),
            Unit::Load | Unit::LoadNarrow => self.target < 32,
            Unit::Store | Unit::Fence | Unit::FenceI | Unit::FenceTranslation => false,
            Unit::TrapReturn | Unit::Wait => false,
            Unit::FpCompare | Unit::FpConvertToInt | Unit::FpToInt => true,
            _ => !self.is_float(),
        }
    }

    /// Whether the FP unit hears of it: it reads or writes an `f` register.
    pub(crate) fn is_float(&self) -> bool {
        self.target >= 32 || self.sources.iter().any(|&source| source >= 32)
    }

    fn float(word: u32, rd: u8, rs1: u8, rs2: u8) -> Self {
        let (funct5, double) = (word >> 27, word >> 25 & 3 == 1);
        let (fd, f1, f2) = (rd + 32, rs1 + 32, rs2 + 32);
        let (unit, sources, target) = match funct5 {
            0..=2 => (Unit::FpArithmetic { double }, [f1, f2, 0], fd),
            3 => (Unit::FpDivide { double }, [f1, f2, 0], fd),
            0x0b => (Unit::FpRoot { double }, [f1, 0, 0], fd),
            4 | 5 => (Unit::FpSelect { double }, [f1, f2, 0], fd),
            8 => (Unit::FpConvert, [f1, 0, 0], fd),
            0x14 => (Unit::FpCompare, [f1, f2, 0], rd),
            0x18 => (Unit::FpConvertToInt, [f1, 0, 0], rd),
            0x1a => (Unit::FpConvertFromInt, [rs1, 0, 0], fd),
            0x1c if word >> 12 & 7 != 0 => (Unit::FpCompare, [f1, 0, 0], rd),
            0x1c => (Unit::FpToInt, [f1, 0, 0], rd),
            _ => (Unit::IntToFp, [rs1, 0, 0], fd),
        };
        Self { unit, sources, target, flow: None, bytes: 0, ordered: [false; 2] }
    }

    fn system(word: u32, rd: u8, rs1: u8, rs2: u8) -> Self {
        let work = |unit, sources, target| Self {
            unit,
            sources,
            target,
            flow: None,
            bytes: 0,
            ordered: [false; 2],
        };
        match word >> 12 & 7 {
            0 => match (word >> 25, rs2) {
                (0x08 | 0x18, 2) => work(Unit::TrapReturn, [0; 3], 0),
                (0x08, 5) => work(Unit::Wait, [0; 3], 0),
                (0x09 | 0x0b | 0x11 | 0x13 | 0x31 | 0x33, _) => {
                    work(Unit::FenceTranslation, [rs1, rs2, 0], 0)
                }
                _ => work(Unit::Alu, [0; 3], 0),
            },
            4 => {
                let bytes = 1 << (word >> 26 & 3);
                if word >> 25 & 1 != 0 {
                    Self { bytes, ..work(Unit::Store, [rs1, rs2, 0], 0) }
                } else {
                    Self { bytes, ..work(Unit::Load, [rs1, 0, 0], rd) }
                }
            }
            funct3 => {
                let source = if funct3 & 4 == 0 { rs1 } else { 0 };
                // CSRRS and CSRRC of nothing do not write.
                let writes = funct3 & 3 == 1 || rs1 != 0;
                let csr = (word >> 20) as u16;
                let unit = if writes { Unit::CsrWrite(csr) } else { Unit::CsrRead(csr) };
                work(unit, [source, 0, 0], rd)
            }
        }
    }
}

/// `ra` and `t0` [unpriv: "Unconditional Jumps"].
fn is_link(register: u8) -> bool {
    matches!(register, 1 | 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::{Decoder, ExtSet};

    fn work(bits: u32) -> Work {
        let decoder = Decoder::new(&ExtSet::parse("rv64gch").unwrap());
        Work::of(&decoder.decode(bits).unwrap())
    }

    #[test]
    fn registers_and_units_are_those_of_the_encoding() {
        // add t0, a2, a3
        let add = work(0x00d6_02b3);
        assert_eq!((add.unit, add.sources, add.target), (Unit::Alu, [12, 13, 0], 5));
        // fld ft0, 0(a0)
        let fld = work(0x0005_3007);
        assert_eq!((fld.unit, fld.sources, fld.target, fld.bytes), (Unit::Load, [10, 0, 0], 32, 8));
        // fmadd.d ft2, fa0, fa1, ft0
        let fused = work(0x02b5_7143);
        assert_eq!((fused.sources, fused.target), ([42, 43, 32], 34));
        // hsv.d zero, (a0)
        let hsv = work(0x6e05_4073);
        assert_eq!((hsv.unit, hsv.bytes), (Unit::Store, 8));
        // hfence.gvma
        assert_eq!(work(0x6200_0073).unit, Unit::FenceTranslation);
    }

    #[test]
    fn link_registers_tell_calls_from_returns() {
        assert_eq!(work(0x0000_8067).flow, Some(Flow::Return)); // ret
        assert_eq!(work(0x0000_80e7).flow, Some(Flow::IndirectCall)); // jalr ra
        assert_eq!(work(0x0002_80e7).flow, Some(Flow::Exchange)); // jalr ra, t0
        assert_eq!(work(0x0002_82e7).flow, Some(Flow::IndirectCall)); // jalr t0, t0
        assert_eq!(work(0x0000_9282).flow, Some(Flow::IndirectCall)); // c.jalr t0
        assert_eq!(work(0x0005_0067).flow, Some(Flow::Indirect)); // jr a0
        assert_eq!(work(0x0000_00ef).flow, Some(Flow::Call)); // jal ra
        assert_eq!(work(0x0000_8082).flow, Some(Flow::Return)); // c.jr ra
    }

    #[test]
    fn a_csr_is_read_or_written() {
        assert_eq!(work(0x3000_22f3).unit, Unit::CsrRead(0x300)); // csrr t0, mstatus
        assert_eq!(work(0x3002_9073).unit, Unit::CsrWrite(0x300)); // csrw mstatus, t0
        assert_eq!(work(0x3402_9073).unit, Unit::CsrWrite(0x340)); // csrw mscratch, t0
        assert_eq!(work(0x1802_9073).unit, Unit::CsrWrite(0x180)); // csrw satp, t0
    }
}
