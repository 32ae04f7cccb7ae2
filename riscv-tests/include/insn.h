// Instructions that binutils 2.40 cannot name, as assembler macros over their encodings.
#ifndef INSN_H
#define INSN_H

.macro czero.eqz rd, rs1, rs2
    .insn r 0x33, 5, 7, \rd, \rs1, \rs2
.endm
.macro czero.nez rd, rs1, rs2
    .insn r 0x33, 7, 7, \rd, \rs1, \rs2
.endm

// Zacas and Zabha. `order` is aq*2 + rl.
.macro amo funct5, width, rd, rs2, rs1, order=0
    .insn r 0x2f, \width, ((\funct5) << 2) | (\order), \rd, \rs1, \rs2
.endm
.macro amocas.b rd, rs2, rs1, order=0
    amo 5, 0, \rd, \rs2, \rs1, \order
.endm
.macro amocas.h rd, rs2, rs1, order=0
    amo 5, 1, \rd, \rs2, \rs1, \order
.endm
.macro amocas.w rd, rs2, rs1, order=0
    amo 5, 2, \rd, \rs2, \rs1, \order
.endm
.macro amocas.d rd, rs2, rs1, order=0
    amo 5, 3, \rd, \rs2, \rs1, \order
.endm
.macro amocas.q rd, rs2, rs1, order=0
    amo 5, 4, \rd, \rs2, \rs1, \order
.endm
.macro amo_bh name, funct5
.macro \name\().b rd, rs2, rs1, order=0
    amo \funct5, 0, \rd, \rs2, \rs1, \order
.endm
.macro \name\().h rd, rs2, rs1, order=0
    amo \funct5, 1, \rd, \rs2, \rs1, \order
.endm
.endm
amo_bh amoadd, 0
amo_bh amoswap, 1
amo_bh amoxor, 4
amo_bh amoor, 8
amo_bh amoand, 12
amo_bh amomin, 16
amo_bh amomax, 20
amo_bh amominu, 24
amo_bh amomaxu, 28

// Zimop: n of mop.r.n is spread over bits 30, 27:26 and 21:20; n of mop.rr.n over bits 30 and 27:26.
.macro mop.r n, rd, rs1
    .insn i 0x73, 4, \rd, \rs1, (((0x81c | (((\n) >> 4) << 10) | ((((\n) >> 2) & 3) << 6) | ((\n) & 3)) ^ 0x800) - 0x800)
.endm
.macro mop.rr n, rd, rs1, rs2
    .insn r 0x73, 4, 0x41 | (((\n) >> 2) << 5) | (((\n) & 3) << 1), \rd, \rs1, \rs2
.endm
// Zcmop: n odd, 1 to 15.
.macro c.mop n
    .2byte 0x6001 | ((\n) << 7)
.endm

// Zfa.
.macro fli.s rd, n
    .insn r 0x53, 0, 0x78, \rd, x\n, x1
.endm
.macro fli.d rd, n
    .insn r 0x53, 0, 0x79, \rd, x\n, x1
.endm
.macro fli.h rd, n
    .insn r 0x53, 0, 0x7a, \rd, x\n, x1
.endm
.macro fminm.s rd, rs1, rs2
    .insn r 0x53, 2, 0x14, \rd, \rs1, \rs2
.endm
.macro fmaxm.s rd, rs1, rs2
    .insn r 0x53, 3, 0x14, \rd, \rs1, \rs2
.endm
.macro fminm.d rd, rs1, rs2
    .insn r 0x53, 2, 0x15, \rd, \rs1, \rs2
.endm
.macro fmaxm.d rd, rs1, rs2
    .insn r 0x53, 3, 0x15, \rd, \rs1, \rs2
.endm
.macro fround.s rd, rs1, rm=7
    .insn r 0x53, \rm, 0x20, \rd, \rs1, x4
.endm
.macro froundnx.s rd, rs1, rm=7
    .insn r 0x53, \rm, 0x20, \rd, \rs1, x5
.endm
.macro fround.d rd, rs1, rm=7
    .insn r 0x53, \rm, 0x21, \rd, \rs1, x4
.endm
.macro froundnx.d rd, rs1, rm=7
    .insn r 0x53, \rm, 0x21, \rd, \rs1, x5
.endm
.macro fcvtmod.w.d rd, rs1, rm=1
    .insn r 0x53, \rm, 0x61, \rd, \rs1, x8
.endm
.macro fleq.s rd, rs1, rs2
    .insn r 0x53, 4, 0x50, \rd, \rs1, \rs2
.endm
.macro fltq.s rd, rs1, rs2
    .insn r 0x53, 5, 0x50, \rd, \rs1, \rs2
.endm
.macro fleq.d rd, rs1, rs2
    .insn r 0x53, 4, 0x51, \rd, \rs1, \rs2
.endm
.macro fltq.d rd, rs1, rs2
    .insn r 0x53, 5, 0x51, \rd, \rs1, \rs2
.endm

// Zcb: `rd`, `rs` are the numbers 0 to 7 of the registers s0, s1, a0 to a5.
.macro zcb_load funct6, rd, uimm, rs
    .2byte ((\funct6) << 10) | ((\rs) << 7) | ((\uimm) << 5) | ((\rd) << 2)
.endm
.macro c.lbu rd, uimm, rs
    zcb_load 0x20, \rd, ((((\uimm) & 1) << 1) | ((\uimm) >> 1)), \rs
.endm
.macro c.lhu rd, uimm, rs
    zcb_load 0x21, \rd, ((\uimm) >> 1), \rs
.endm
.macro c.lh rd, uimm, rs
    zcb_load 0x21, \rd, (((\uimm) >> 1) | 2), \rs
.endm
.macro c.sb rd, uimm, rs
    zcb_load 0x22, \rd, ((((\uimm) & 1) << 1) | ((\uimm) >> 1)), \rs
.endm
.macro c.sh rd, uimm, rs
    zcb_load 0x23, \rd, ((\uimm) >> 1), \rs
.endm
.macro zcb_unary rd, n
    .2byte 0x9c61 | ((\rd) << 7) | ((\n) << 2)
.endm
.macro c.zext.b rd
    zcb_unary \rd, 0
.endm
.macro c.sext.b rd
    zcb_unary \rd, 1
.endm
.macro c.zext.h rd
    zcb_unary \rd, 2
.endm
.macro c.sext.h rd
    zcb_unary \rd, 3
.endm
.macro c.zext.w rd
    zcb_unary \rd, 4
.endm
.macro c.not rd
    zcb_unary \rd, 5
.endm
.macro c.mul rd, rs
    .2byte 0x9c41 | ((\rd) << 7) | ((\rs) << 2)
.endm

#endif
