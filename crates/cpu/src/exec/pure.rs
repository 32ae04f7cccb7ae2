//! What instructions do that compute one register from others and nothing else: tables, from which both forms of the
//! engine are made.

/// Name and meaning, of the values of rs1 and rs2.
macro_rules! of_two_registers {
    ($each:ident) => {
        $each! {
            Add: u64::wrapping_add;
            Sub: u64::wrapping_sub;
            Sll: |a, b| a << (b & 63);
            Slt: |a, b| u64::from((a as i64) < b as i64);
            Sltu: |a, b| u64::from(a < b);
            Xor: |a, b| a ^ b;
            Srl: |a, b| a >> (b & 63);
            Sra: |a, b| (a as i64 >> (b & 63)) as u64;
            Or: |a, b| a | b;
            And: |a, b| a & b;
            Addw: |a, b| sext32(a.wrapping_add(b));
            Subw: |a, b| sext32(a.wrapping_sub(b));
            Sllw: |a, b| sext32(a << (b & 31));
            Srlw: |a, b| sext32(u64::from(a as u32 >> (b & 31)));
            Sraw: |a, b| (a as i32 >> (b & 31)) as u64;
            Mul: u64::wrapping_mul;
            Mulh: bits::mulh;
            Mulhsu: bits::mulhsu;
            Mulhu: bits::mulhu;
            Div: bits::div;
            Divu: bits::divu;
            Rem: bits::rem;
            Remu: bits::remu;
            Mulw: |a, b| sext32(a.wrapping_mul(b));
            Divw: bits::divw;
            Divuw: bits::divuw;
            Remw: bits::remw;
            Remuw: bits::remuw;
            AddUw: |a, b| (a & 0xffff_ffff).wrapping_add(b);
            Sh1add: |a, b| (a << 1).wrapping_add(b);
            Sh2add: |a, b| (a << 2).wrapping_add(b);
            Sh3add: |a, b| (a << 3).wrapping_add(b);
            Sh1addUw: |a, b| ((a & 0xffff_ffff) << 1).wrapping_add(b);
            Sh2addUw: |a, b| ((a & 0xffff_ffff) << 2).wrapping_add(b);
            Sh3addUw: |a, b| ((a & 0xffff_ffff) << 3).wrapping_add(b);
            Andn: |a, b| a & !b;
            Orn: |a, b| a | !b;
            Xnor: |a, b| !(a ^ b);
            Max: |a, b| (a as i64).max(b as i64) as u64;
            Maxu: u64::max;
            Min: |a, b| (a as i64).min(b as i64) as u64;
            Minu: u64::min;
            Rol: |a, b| a.rotate_left(b as u32 & 63);
            Ror: |a, b| a.rotate_right(b as u32 & 63);
            Rolw: |a, b| sext32(u64::from((a as u32).rotate_left(b as u32 & 31)));
            Rorw: |a, b| sext32(u64::from((a as u32).rotate_right(b as u32 & 31)));
            Bclr: |a, b| a & !(1 << (b & 63));
            Bext: |a, b| a >> (b & 63) & 1;
            Binv: |a, b| a ^ 1 << (b & 63);
            Bset: |a, b| a | 1 << (b & 63);
            Clmul: bits::clmul;
            Clmulh: bits::clmulh;
            Clmulr: bits::clmulr;
            Pack: bits::pack;
            Packh: bits::packh;
            Packw: bits::packw;
            Xperm4: bits::xperm4;
            Xperm8: bits::xperm8;
            CzeroEqz: |a, b| if b == 0 { 0 } else { a };
            CzeroNez: |a, b| if b != 0 { 0 } else { a };
        }
    };
}

/// Name and meaning, of the value of rs1 and the immediate.
macro_rules! of_register_and_immediate {
    ($each:ident) => {
        $each! {
            Addi: u64::wrapping_add;
            Slti: |a, b| u64::from((a as i64) < b as i64);
            Sltiu: |a, b| u64::from(a < b);
            Xori: |a, b| a ^ b;
            Ori: |a, b| a | b;
            Andi: |a, b| a & b;
            Slli: |a, b| a << (b & 63);
            Srli: |a, b| a >> (b & 63);
            Srai: |a, b| (a as i64 >> (b & 63)) as u64;
            Addiw: |a, b| sext32(a.wrapping_add(b));
            Slliw: |a, b| sext32(a << (b & 31));
            Srliw: |a, b| sext32(u64::from(a as u32 >> (b & 31)));
            Sraiw: |a, b| (a as i32 >> (b & 31)) as u64;
            SlliUw: |a, b| (a & 0xffff_ffff) << (b & 63);
            Rori: |a, b| a.rotate_right(b as u32 & 63);
            Roriw: |a, b| sext32(u64::from((a as u32).rotate_right(b as u32 & 31)));
            Bclri: |a, b| a & !(1 << (b & 63));
            Bexti: |a, b| a >> (b & 63) & 1;
            Binvi: |a, b| a ^ 1 << (b & 63);
            Bseti: |a, b| a | 1 << (b & 63);
        }
    };
}

/// Name and meaning, of the value of rs1.
macro_rules! of_one_register {
    ($each:ident) => {
        $each! {
            Clz: |a| u64::from(a.leading_zeros());
            Ctz: |a| u64::from(a.trailing_zeros());
            Cpop: |a| u64::from(a.count_ones());
            Clzw: |a| u64::from((a as u32).leading_zeros());
            Ctzw: |a| u64::from((a as u32).trailing_zeros());
            Cpopw: |a| u64::from((a as u32).count_ones());
            SextB: |a| a as i8 as u64;
            SextH: |a| a as i16 as u64;
            ZextH: |a| a & 0xffff;
            OrcB: bits::orc_b;
            Rev8: u64::swap_bytes;
            Brev8: bits::brev8;
        }
    };
}

pub(crate) use {of_one_register, of_register_and_immediate, of_two_registers};

use isa::Op as Insn;

use crate::bits::{self, sext32};

/// What the instruction puts into rd, given the values of rs1 and rs2 and its immediate; `None` for one that is in none of
/// these tables.
#[inline]
pub(crate) fn result(code: Insn, a: u64, b: u64, immediate: u64) -> Option<u64> {
    macro_rules! two {
        ($($name:ident: $meaning:expr;)*) => {
            match code {
                $(Insn::$name => {
                    let meaning: fn(u64, u64) -> u64 = $meaning;
                    return Some(meaning(a, b));
                })*
                _ => {}
            }
        };
    }
    macro_rules! immediate {
        ($($name:ident: $meaning:expr;)*) => {
            match code {
                $(Insn::$name => {
                    let meaning: fn(u64, u64) -> u64 = $meaning;
                    return Some(meaning(a, immediate));
                })*
                _ => {}
            }
        };
    }
    macro_rules! one {
        ($($name:ident: $meaning:expr;)*) => {
            match code {
                $(Insn::$name => {
                    let meaning: fn(u64) -> u64 = $meaning;
                    return Some(meaning(a));
                })*
                _ => {}
            }
        };
    }
    of_two_registers!(two);
    of_register_and_immediate!(immediate);
    of_one_register!(one);
    None
}
