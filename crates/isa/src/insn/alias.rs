//! Pseudo-instructions: other names of some encodings of the instructions, for people. The
//! disassembler prints the first that fits, the assembler takes them all; they decode as the
//! instruction they are.

use super::{INSTRUCTIONS, NO_OPERANDS, Op, Row, pattern::Pattern};

macro_rules! aliases {
    ($($op:ident $name:literal $encoding:literal $operands:literal)*) => {
        /// Every pseudo-instruction, by preference.
        pub static ALIASES: &[Row] = &[$(Row {
            op: Op::$op,
            name: $name,
            encoding: $encoding,
            pattern: Pattern::parse($encoding),
            operands: $operands,
            needs: INSTRUCTIONS[Op::$op as usize].needs,
            fixed: NO_OPERANDS,
        }),*];
    };
}

#[rustfmt::skip]
aliases! {
    // of        name           encoding                                        operands
    Addi         "nop"          "000000000000 00000 000 00000 0010011"          ""
    Addi         "li"           "s[11:0] 00000 000 rd 0010011"                  "rd, imm"
    Addi         "mv"           "000000000000 rs1 000 rd 0010011"               "rd, rs1"
    Addiw        "sext.w"       "000000000000 rs1 000 rd 0011011"               "rd, rs1"
    Xori         "not"          "111111111111 rs1 100 rd 0010011"               "rd, rs1"
    Andi         "zext.b"       "000011111111 rs1 111 rd 0010011"               "rd, rs1"
    AddUw        "zext.w"       "0000100 00000 rs1 000 rd 0111011"              "rd, rs1"
    Sub          "neg"          "0100000 rs2 00000 000 rd 0110011"              "rd, rs2"
    Subw         "negw"         "0100000 rs2 00000 000 rd 0111011"              "rd, rs2"
    Sltiu        "seqz"         "000000000001 rs1 011 rd 0010011"               "rd, rs1"
    Sltu         "snez"         "0000000 rs2 00000 011 rd 0110011"              "rd, rs2"
    Slt          "sltz"         "0000000 00000 rs1 010 rd 0110011"              "rd, rs1"
    Slt          "sgtz"         "0000000 rs2 00000 010 rd 0110011"              "rd, rs2"
    Beq          "beqz"         "s[12|10:5] 00000 rs1 000 s[4:1|11] 1100011"    "rs1, target"
    Bne          "bnez"         "s[12|10:5] 00000 rs1 001 s[4:1|11] 1100011"    "rs1, target"
    Bge          "blez"         "s[12|10:5] rs2 00000 101 s[4:1|11] 1100011"    "rs2, target"
    Bge          "bgez"         "s[12|10:5] 00000 rs1 101 s[4:1|11] 1100011"    "rs1, target"
    Blt          "bltz"         "s[12|10:5] 00000 rs1 100 s[4:1|11] 1100011"    "rs1, target"
    Blt          "bgtz"         "s[12|10:5] rs2 00000 100 s[4:1|11] 1100011"    "rs2, target"
    Jal          "j"            "s[20|10:1|11|19:12] 00000 1101111"             "target"
    Jal          "jal"          "s[20|10:1|11|19:12] 00001 1101111"             "target"
    Jalr         "ret"          "000000000000 00001 000 00000 1100111"          ""
    Jalr         "jr"           "000000000000 rs1 000 00000 1100111"            "rs1"
    Jalr         "jr"           "s[11:0] rs1 000 00000 1100111"                 "imm(rs1)"
    Jalr         "jalr"         "000000000000 rs1 000 00001 1100111"            "rs1"
    Jalr         "jalr"         "s[11:0] rs1 000 00001 1100111"                 "imm(rs1)"

    Add          "ntl.p1"       "0000000 00010 00000 000 00000 0110011"         ""
    Add          "ntl.pall"     "0000000 00011 00000 000 00000 0110011"         ""
    Add          "ntl.s1"       "0000000 00100 00000 000 00000 0110011"         ""
    Add          "ntl.all"      "0000000 00101 00000 000 00000 0110011"         ""
    Ori          "prefetch.i"   "s[11:5] 00000 rs1 110 00000 0010011"           "imm(rs1)"
    Ori          "prefetch.r"   "s[11:5] 00001 rs1 110 00000 0010011"           "imm(rs1)"
    Ori          "prefetch.w"   "s[11:5] 00011 rs1 110 00000 0010011"           "imm(rs1)"
    Fence        "fence"        "000011111111 00000 000 00000 0001111"          ""
    Fence        "fence.tso"    "100000110011 00000 000 00000 0001111"          ""

    Csrrw        "unimp"        "110000000000 00000 001 00000 1110011"          ""
    Csrrs        "frflags"      "000000000001 00000 010 rd 1110011"             "rd"
    Csrrs        "frrm"         "000000000010 00000 010 rd 1110011"             "rd"
    Csrrs        "frcsr"        "000000000011 00000 010 rd 1110011"             "rd"
    Csrrw        "fsflags"      "000000000001 rs1 001 00000 1110011"            "rs1"
    Csrrw        "fsflags"      "000000000001 rs1 001 rd 1110011"               "rd, rs1"
    Csrrw        "fsrm"         "000000000010 rs1 001 00000 1110011"            "rs1"
    Csrrw        "fsrm"         "000000000010 rs1 001 rd 1110011"               "rd, rs1"
    Csrrw        "fscsr"        "000000000011 rs1 001 00000 1110011"            "rs1"
    Csrrw        "fscsr"        "000000000011 rs1 001 rd 1110011"               "rd, rs1"
    Csrrwi       "fsflagsi"     "000000000001 rs1 101 rd 1110011"               "rd, uimm"
    Csrrwi       "fsflagsi"     "000000000001 rs1 101 00000 1110011"            "uimm"
    Csrrwi       "fsrmi"        "000000000010 rs1 101 rd 1110011"               "rd, uimm"
    Csrrwi       "fsrmi"        "000000000010 rs1 101 00000 1110011"            "uimm"
    Csrrs        "rdcycle"      "110000000000 00000 010 rd 1110011"             "rd"
    Csrrs        "rdtime"       "110000000001 00000 010 rd 1110011"             "rd"
    Csrrs        "rdinstret"    "110000000010 00000 010 rd 1110011"             "rd"
    Csrrs        "csrr"         "u[11:0] 00000 010 rd 1110011"                  "rd, csr"
    Csrrw        "csrw"         "u[11:0] rs1 001 00000 1110011"                 "csr, rs1"
    Csrrs        "csrs"         "u[11:0] rs1 010 00000 1110011"                 "csr, rs1"
    Csrrc        "csrc"         "u[11:0] rs1 011 00000 1110011"                 "csr, rs1"
    Csrrwi       "csrwi"        "u[11:0] rs1 101 00000 1110011"                 "csr, uimm"
    Csrrsi       "csrsi"        "u[11:0] rs1 110 00000 1110011"                 "csr, uimm"
    Csrrci       "csrci"        "u[11:0] rs1 111 00000 1110011"                 "csr, uimm"

    FsgnjS       "fmv.s"        "0010000 rs2=rs1 rs1 000 rd 1010011"            "frd, frs1"
    FsgnjnS      "fneg.s"       "0010000 rs2=rs1 rs1 001 rd 1010011"            "frd, frs1"
    FsgnjxS      "fabs.s"       "0010000 rs2=rs1 rs1 010 rd 1010011"            "frd, frs1"
    FsgnjD       "fmv.d"        "0010001 rs2=rs1 rs1 000 rd 1010011"            "frd, frs1"
    FsgnjnD      "fneg.d"       "0010001 rs2=rs1 rs1 001 rd 1010011"            "frd, frs1"
    FsgnjxD      "fabs.d"       "0010001 rs2=rs1 rs1 010 rd 1010011"            "frd, frs1"
    FsgnjH       "fmv.h"        "0010010 rs2=rs1 rs1 000 rd 1010011"            "frd, frs1"
    FsgnjnH      "fneg.h"       "0010010 rs2=rs1 rs1 001 rd 1010011"            "frd, frs1"
    FsgnjxH      "fabs.h"       "0010010 rs2=rs1 rs1 010 rd 1010011"            "frd, frs1"

    SfenceVma    "sfence.vma"   "0001001 00000 00000 000 00000 1110011"         ""
    SfenceVma    "sfence.vma"   "0001001 00000 rs1 000 00000 1110011"           "rs1"
    HfenceVvma   "hfence.vvma"  "0010001 00000 00000 000 00000 1110011"         ""
    HfenceVvma   "hfence.vvma"  "0010001 00000 rs1 000 00000 1110011"           "rs1"
    HfenceGvma   "hfence.gvma"  "0110001 00000 00000 000 00000 1110011"         ""
    HfenceGvma   "hfence.gvma"  "0110001 00000 rs1 000 00000 1110011"           "rs1"
}
