//! The 16-bit instructions: one row each, with the operation it stands for and that operation's
//! fixed operands. Operands that appear neither in the encoding nor in parentheses are 0.
//!
//! Reserved encodings have no row, or a `!` that refuses them; HINTs decode as what they look like,
//! which then writes x0 or changes nothing.

use super::{
    NO_OPERANDS, Op, Row,
    pattern::{Operands, Pattern},
};
use crate::ext::needs;

macro_rules! compressed {
    ($($name:literal $encoding:literal $operands:literal
       $op:ident($($field:ident = $value:literal),*) $needs:tt)*) => {
        /// Every 16-bit instruction.
        pub static COMPRESSED: &[Row] = &[$(Row {
            op: Op::$op,
            name: $name,
            encoding: $encoding,
            pattern: Pattern::parse($encoding),
            operands: $operands,
            needs: needs!($needs),
            fixed: Operands { $($field: $value,)* ..NO_OPERANDS },
        }),*];
    };
}

#[rustfmt::skip]
compressed! {
    // mnemonic    encoding                              operands              stands for           extensions
    "c.addi4spn"   "000 u![5:4|9:6|2|3] rd' 00"          "rd, 'sp, imm"        Addi(rs1 = 2)       (Zca)
    "c.fld"        "001 u[5:3] rs1' u[7:6] rd' 00"       "frd, imm(rs1)"       Fld()               (Zcd)
    "c.lw"         "010 u[5:3] rs1' u[2|6] rd' 00"       "rd, imm(rs1)"        Lw()                (Zca)
    "c.ld"         "011 u[5:3] rs1' u[7:6] rd' 00"       "rd, imm(rs1)"        Ld()                (Zca)
    "c.lbu"        "100 000 rs1' u[0|1] rd' 00"          "rd, imm(rs1)"        Lbu()               (Zcb)
    "c.lhu"        "100 001 rs1' 0 u[1] rd' 00"          "rd, imm(rs1)"        Lhu()               (Zcb)
    "c.lh"         "100 001 rs1' 1 u[1] rd' 00"          "rd, imm(rs1)"        Lh()                (Zcb)
    "c.sb"         "100 010 rs1' u[0|1] rs2' 00"         "rs2, imm(rs1)"       Sb()                (Zcb)
    "c.sh"         "100 011 rs1' 0 u[1] rs2' 00"         "rs2, imm(rs1)"       Sh()                (Zcb)
    "c.fsd"        "101 u[5:3] rs1' u[7:6] rs2' 00"      "frs2, imm(rs1)"      Fsd()               (Zcd)
    "c.sw"         "110 u[5:3] rs1' u[2|6] rs2' 00"      "rs2, imm(rs1)"       Sw()                (Zca)
    "c.sd"         "111 u[5:3] rs1' u[7:6] rs2' 00"      "rs2, imm(rs1)"       Sd()                (Zca)

    "c.nop"        "000 0 00000 00000 01"                ""                    Addi()              (Zca)
    "c.addi"       "000 s[5] rdrs1 s[4:0] 01"            "rd, imm"             Addi()              (Zca)
    "c.addiw"      "001 s[5] rdrs1! s[4:0] 01"           "rd, imm"             Addiw()             (Zca)
    "c.li"         "010 s[5] rd s[4:0] 01"               "rd, imm"             Addi()              (Zca)
    "c.addi16sp"   "011 s![9] 00010 s![4|6|8:7|5] 01"    "'sp, imm"            Addi(rd = 2, rs1 = 2) (Zca)
    "c.lui"        "011 s![17] rd s![16:12] 01"          "rd, imm20"           Lui()               (Zca)
    "c.mop.{n}"    "011 0 0 u[3:1] 1 00000 01"           ""                    MopR(imm = 1)       (Zcmop)
    "c.srli"       "100 u[5] 00 rdrs1' u[4:0] 01"        "rd, shamt"           Srli()              (Zca)
    "c.srai"       "100 u[5] 01 rdrs1' u[4:0] 01"        "rd, shamt"           Srai()              (Zca)
    "c.andi"       "100 s[5] 10 rdrs1' s[4:0] 01"        "rd, imm"             Andi()              (Zca)
    "c.sub"        "100 0 11 rdrs1' 00 rs2' 01"          "rd, rs2"             Sub()               (Zca)
    "c.xor"        "100 0 11 rdrs1' 01 rs2' 01"          "rd, rs2"             Xor()               (Zca)
    "c.or"         "100 0 11 rdrs1' 10 rs2' 01"          "rd, rs2"             Or()                (Zca)
    "c.and"        "100 0 11 rdrs1' 11 rs2' 01"          "rd, rs2"             And()               (Zca)
    "c.subw"       "100 1 11 rdrs1' 00 rs2' 01"          "rd, rs2"             Subw()              (Zca)
    "c.addw"       "100 1 11 rdrs1' 01 rs2' 01"          "rd, rs2"             Addw()              (Zca)
    "c.mul"        "100 1 11 rdrs1' 10 rs2' 01"          "rd, rs2"             Mul()               (Zcb & Zmmul)
    "c.zext.b"     "100 1 11 rdrs1' 11 000 01"           "rd"                  Andi(imm = 255)     (Zcb)
    "c.sext.b"     "100 1 11 rdrs1' 11 001 01"           "rd"                  SextB()             (Zcb & Zbb)
    "c.zext.h"     "100 1 11 rdrs1' 11 010 01"           "rd"                  ZextH()             (Zcb & Zbb)
    "c.sext.h"     "100 1 11 rdrs1' 11 011 01"           "rd"                  SextH()             (Zcb & Zbb)
    "c.zext.w"     "100 1 11 rdrs1' 11 100 01"           "rd"                  AddUw()             (Zcb & Zba)
    "c.not"        "100 1 11 rdrs1' 11 101 01"           "rd"                  Xori(imm = -1)      (Zcb)
    "c.j"          "101 s[11|4|9:8|10|6|7|3:1|5] 01"     "target"              Jal()               (Zca)
    "c.beqz"       "110 s[8|4:3] rs1' s[7:6|2:1|5] 01"   "rs1, target"         Beq()               (Zca)
    "c.bnez"       "111 s[8|4:3] rs1' s[7:6|2:1|5] 01"   "rs1, target"         Bne()               (Zca)

    "c.slli"       "000 u[5] rdrs1 u[4:0] 10"            "rd, shamt"           Slli()              (Zca)
    "c.fldsp"      "001 u[5] rd u[4:3|8:6] 10"           "frd, imm('sp)"       Fld(rs1 = 2)        (Zcd)
    "c.lwsp"       "010 u[5] rd! u[4:2|7:6] 10"          "rd, imm('sp)"        Lw(rs1 = 2)         (Zca)
    "c.ldsp"       "011 u[5] rd! u[4:3|8:6] 10"          "rd, imm('sp)"        Ld(rs1 = 2)         (Zca)
    "c.jr"         "100 0 rs1! 00000 10"                 "rs1"                 Jalr()              (Zca)
    "c.mv"         "100 0 rd rs2 10"                     "rd, rs2"             Add()               (Zca)
    "c.ebreak"     "100 1 00000 00000 10"                ""                    Ebreak()            (Zca)
    "c.jalr"       "100 1 rs1 00000 10"                  "rs1"                 Jalr(rd = 1)        (Zca)
    "c.add"        "100 1 rdrs1 rs2 10"                  "rd, rs2"             Add()               (Zca)
    "c.fsdsp"      "101 u[5:3|8:6] rs2 10"               "frs2, imm('sp)"      Fsd(rs1 = 2)        (Zcd)
    "c.swsp"       "110 u[5:2|7:6] rs2 10"               "rs2, imm('sp)"       Sw(rs1 = 2)         (Zca)
    "c.sdsp"       "111 u[5:3|8:6] rs2 10"               "rs2, imm('sp)"       Sd(rs1 = 2)         (Zca)
}
