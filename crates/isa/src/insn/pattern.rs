//! An encoding, written as the manual draws it and parsed at compile time: `"s[11:0] rs1 000 rd
//! 0010011"`.
//!
//! Bits run from the highest to the lowest, and all 16 or 32 must be accounted for, or the crate
//! does not compile. The parts, separated by spaces:
//!
//! | part | bits | meaning |
//! | --- | --- | --- |
//! | `0110` | as many | fixed bits |
//! | `___` | as many | ignored bits: decoding accepts anything, encoding writes 0 |
//! | `rd` `rs1` `rs2` `rs3` | 5 | a register number |
//! | `rdrs1` | 5 | one number for rd and rs1 |
//! | `rs2=rs1` | 5 | must equal rs1 (aliases only) |
//! | `rd'` … | 3 | a register number minus 8 |
//! | `rd!` … | 5 | a register number that must not be 0 |
//! | `rd.even` … | 5 | an even register number; the lowest bit is fixed |
//! | `rm` | 3 | a rounding mode; 5 and 6 are reserved, so not decoded |
//! | `aq` `rl` | 1 | ordering bits |
//! | `u[5:3\|2]` | as many | these bits of an unsigned immediate |
//! | `s[…]` | as many | these bits of a signed immediate; the highest named bit is its sign |
//! | `u![…]` `s![…]` | as many | the same; the whole immediate must not be 0 |

/// Where the bits of a field go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Slot {
    /// The destination register.
    Rd,
    /// The first source register.
    Rs1,
    /// The second source register.
    Rs2,
    /// The third source register.
    Rs3,
    /// Both the destination and the first source register.
    RdRs1,
    /// The second source register, equal to the first.
    Rs2IsRs1,
    /// The rounding mode.
    Rm,
    /// The immediate.
    Imm,
    /// Acquire.
    Aq,
    /// Release.
    Rl,
}

const SLOTS: usize = Slot::Rl as usize + 1;

/// A run of bits of an instruction and where it belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Where the bits go.
    pub slot: Slot,
    /// The lowest bit in the instruction.
    pub at: u8,
    /// How many bits.
    pub bits: u8,
    /// Which bit of the value the lowest one is.
    pub shift: u8,
    /// What the bits stand for is this much more: 8 for three-bit register numbers.
    pub plus: u8,
    /// Bit n is set if n is not decoded: 0 for a register that must not be x0, 5 and 6 for `rm`.
    pub reserved: u32,
}

const MAX_FIELDS: usize = 8;

/// An encoding: fixed bits and fields.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The fixed bits' places.
    pub mask: u32,
    /// The fixed bits' values.
    pub value: u32,
    /// The ignored bits' places.
    pub ignored: u32,
    /// 16 or 32.
    pub width: u8,
    /// The width of a signed immediate; 0 if there is none.
    imm_sign_bits: u8,
    /// Whether an immediate of 0 is not decoded.
    imm_nonzero: bool,
    /// Whether rs2 must equal rs1.
    rs2_is_rs1: bool,
    fields: [Field; MAX_FIELDS],
    count: u8,
}

/// The variable parts of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Operands {
    /// Destination register number.
    pub rd: u8,
    /// First source register number.
    pub rs1: u8,
    /// Second source register number.
    pub rs2: u8,
    /// Third source register number.
    pub rs3: u8,
    /// Rounding mode, 0 to 7.
    pub rm: u8,
    /// Immediate.
    pub imm: i32,
    /// Acquire.
    pub aq: bool,
    /// Release.
    pub rl: bool,
}

impl Pattern {
    /// The pattern that `text` draws. Panics, at compile time, where it is malformed.
    pub(crate) const fn parse(text: &str) -> Self {
        let text = text.as_bytes();
        let none = Field { slot: Slot::Imm, at: 0, bits: 0, shift: 0, plus: 0, reserved: 0 };
        let mut pattern = Self {
            mask: 0,
            value: 0,
            ignored: 0,
            width: 0,
            imm_sign_bits: 0,
            imm_nonzero: false,
            rs2_is_rs1: false,
            fields: [none; MAX_FIELDS],
            count: 0,
        };
        // The number of bits still to be described, as if the instruction had 32.
        let mut left = 32;
        let mut i = 0;
        while i < text.len() {
            if text[i] == b' ' {
                i += 1;
                continue;
            }
            let end = word_end(text, i);
            left = pattern.parse_part(text, i, end, left);
            i = end;
        }
        match left {
            0 => pattern.width = 32,
            16 => {
                pattern.width = 16;
                pattern.mask >>= 16;
                pattern.value >>= 16;
                pattern.ignored >>= 16;
                let mut field = 0;
                while field < pattern.count as usize {
                    pattern.fields[field].at -= 16;
                    field += 1;
                }
            }
            _ => panic!("an encoding accounts for 16 or 32 bits"),
        }
        pattern
    }

    const fn parse_part(&mut self, text: &[u8], start: usize, end: usize, left: u8) -> u8 {
        match text[start] {
            b'0' | b'1' | b'_' => {
                let mut left = left;
                let mut i = start;
                while i < end {
                    left -= 1;
                    match text[i] {
                        b'_' => self.ignored |= 1 << left,
                        bit => {
                            self.mask |= 1 << left;
                            self.value |= ((bit - b'0') as u32) << left;
                        }
                    }
                    i += 1;
                }
                left
            }
            b's' | b'u' => self.parse_immediate(text, start, end, left),
            _ => self.parse_register(text, start, end, left),
        }
    }

    const fn parse_register(&mut self, text: &[u8], start: usize, end: usize, left: u8) -> u8 {
        let mut name = end;
        let (mut plus, mut reserved) = (0, 0);
        let (mut bits, mut shift) = (5, 0);
        match text[end - 1] {
            b'\'' => {
                name = end - 1;
                plus = 8;
                bits = 3;
            }
            b'!' => {
                name = end - 1;
                reserved = 1 << 0;
            }
            b'n' => {
                name = end - 5;
                bits = 4;
                shift = 1;
                self.mask |= 1 << (left - 5);
            }
            _ => {}
        }
        let slot = if is(text, start, name, "rd") {
            Slot::Rd
        } else if is(text, start, name, "rs1") {
            Slot::Rs1
        } else if is(text, start, name, "rs2") {
            Slot::Rs2
        } else if is(text, start, name, "rs3") {
            Slot::Rs3
        } else if is(text, start, name, "rdrs1") {
            Slot::RdRs1
        } else if is(text, start, name, "rs2=rs1") {
            self.rs2_is_rs1 = true;
            Slot::Rs2IsRs1
        } else if is(text, start, name, "rm") {
            bits = 3;
            reserved = 1 << 5 | 1 << 6;
            Slot::Rm
        } else if is(text, start, name, "aq") {
            bits = 1;
            Slot::Aq
        } else if is(text, start, name, "rl") {
            bits = 1;
            Slot::Rl
        } else {
            panic!("unknown part of an encoding")
        };
        let at = left - bits - shift;
        self.push(Field { slot, at: at + shift, bits, shift, plus, reserved });
        at
    }

    const fn parse_immediate(&mut self, text: &[u8], start: usize, end: usize, left: u8) -> u8 {
        let mut i = start + 1;
        if text[i] == b'!' {
            self.imm_nonzero = true;
            i += 1;
        }
        assert!(text[i] == b'[' && text[end - 1] == b']', "an immediate names its bits");
        let mut left = left;
        while i < end - 1 {
            i += 1;
            let (high, after) = number(text, i);
            let (low, after) =
                if text[after] == b':' { number(text, after + 1) } else { (high, after) };
            assert!(high >= low, "bits run from high to low");
            assert!(text[after] == b'|' || after == end - 1, "a bar between runs of bits");
            let bits = high - low + 1;
            left -= bits;
            self.push(Field { slot: Slot::Imm, at: left, bits, shift: low, plus: 0, reserved: 0 });
            if text[start] == b's' && self.imm_sign_bits < high + 1 {
                self.imm_sign_bits = high + 1;
            }
            i = after;
        }
        left
    }

    const fn push(&mut self, field: Field) {
        self.fields[self.count as usize] = field;
        self.count += 1;
    }

    /// The fields, from the highest bits to the lowest.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields[..usize::from(self.count)]
    }

    /// Whether there is a field for `slot`.
    pub fn has(&self, slot: Slot) -> bool {
        self.fields().iter().any(|field| field.slot == slot)
    }

    /// Whether the fixed bits of `bits` are these.
    #[inline]
    pub const fn matches(&self, bits: u32) -> bool {
        bits & self.mask == self.value
    }

    /// The operands in `bits`, which match; `None` where a field has a value that is not decoded.
    #[inline]
    pub fn extract(&self, bits: u32) -> Option<Operands> {
        // Most of decoding is this loop; with a branch per slot it was a fifth slower.
        let mut slots = [0u32; SLOTS];
        let mut reserved = 0;
        for field in self.fields() {
            let raw = bits >> field.at & ((1u32 << field.bits) - 1);
            reserved |= field.reserved >> (raw & 31);
            slots[field.slot as usize] |= (raw << field.shift) + u32::from(field.plus);
        }
        let slot = |slot: Slot| slots[slot as usize] as u8;
        let imm = slots[Slot::Imm as usize];
        let (rs1, equal) = (slot(Slot::Rs1) | slot(Slot::RdRs1), slot(Slot::Rs2IsRs1));
        if reserved & 1 != 0 || self.imm_nonzero && imm == 0 || self.rs2_is_rs1 && equal != rs1 {
            return None;
        }
        let imm = match self.imm_sign_bits {
            0 => imm as i32,
            width => (imm << (32 - width)) as i32 >> (32 - width),
        };
        Some(Operands {
            rd: slot(Slot::Rd) | slot(Slot::RdRs1),
            rs1,
            rs2: slot(Slot::Rs2) | equal,
            rs3: slot(Slot::Rs3),
            rm: slot(Slot::Rm),
            imm,
            aq: slot(Slot::Aq) != 0,
            rl: slot(Slot::Rl) != 0,
        })
    }

    /// The instruction with these operands. Operands that there is no field for are left out, bits
    /// of an operand that do not fit its field are lost; compare with [`Pattern::extract`] to know.
    pub fn insert(&self, operands: &Operands) -> u32 {
        let mut bits = self.value;
        for field in self.fields() {
            let value = match field.slot {
                Slot::Rd | Slot::RdRs1 => u32::from(operands.rd),
                Slot::Rs1 | Slot::Rs2IsRs1 => u32::from(operands.rs1),
                Slot::Rs2 => u32::from(operands.rs2),
                Slot::Rs3 => u32::from(operands.rs3),
                Slot::Rm => u32::from(operands.rm),
                Slot::Imm => operands.imm as u32,
                Slot::Aq => u32::from(operands.aq),
                Slot::Rl => u32::from(operands.rl),
            };
            // Subtracting 8 from a register number is flipping its bit 3, which the field does not
            // hold.
            bits |= (value >> field.shift & ((1u32 << field.bits) - 1)) << field.at;
        }
        bits
    }
}

const fn word_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    while end < text.len() && text[end] != b' ' {
        end += 1;
    }
    end
}

const fn is(text: &[u8], start: usize, end: usize, word: &str) -> bool {
    let word = word.as_bytes();
    if end - start != word.len() {
        return false;
    }
    let mut i = 0;
    while i < word.len() {
        if text[start + i] != word[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn number(text: &[u8], start: usize) -> (u8, usize) {
    let mut end = start;
    let mut value = 0;
    while text[end].is_ascii_digit() {
        value = value * 10 + (text[end] - b'0');
        end += 1;
    }
    assert!(end > start, "a bit number");
    (value, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_the_manual_draws() {
        let beq = Pattern::parse("s[12|10:5] rs2 rs1 000 s[4:1|11] 1100011");
        assert_eq!((beq.mask, beq.value, beq.width), (0x707f, 0x63, 32));
        // beq a0, a1, .-4: imm[12]=1, imm[11]=1, imm[10:5]=all ones, imm[4:1]=1110.
        let operands = beq.extract(0xfeb5_0ee3).unwrap();
        assert_eq!((operands.rs1, operands.rs2, operands.imm), (10, 11, -4));
        assert_eq!(beq.insert(&operands), 0xfeb5_0ee3);
    }

    #[test]
    fn rules_refuse_reserved_values() {
        let lwsp = Pattern::parse("010 u[5] rd! u[4:2|7:6] 10");
        assert_eq!(lwsp.extract(0x4002), None);
        assert_eq!(lwsp.extract(0x4082).map(|operands| operands.rd), Some(1));
        let addi4spn = Pattern::parse("000 u![5:4|9:6|2|3] rd' 00");
        assert_eq!(addi4spn.extract(0), None);
        let fadd = Pattern::parse("0000000 rs2 rs1 rm rd 1010011");
        assert_eq!(fadd.extract(0x0000_5053), None);
    }
}
