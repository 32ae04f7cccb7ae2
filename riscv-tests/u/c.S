// Law: each 16-bit instruction does what its 32-bit expansion does; reserved encodings and all zeros are illegal.
#include "test.h"

.macro illegal16 bits
    in_mode IN_M, 0
    .2byte \bits
    .2byte 1
    out_of_mode
    got ILLEGAL
    trap_field_equals TRAP_TVAL, \bits
.endm
#define ILLEGAL16(bits) li gp, __LINE__; illegal16 bits

BEGIN
    .option rvc
    la s0, data
    la sp, data
    li gp, __LINE__
    c.lw a0, 4(s0)
    check_reg a0, 0xffffffff89abcdef
    c.ld a0, 0(s0)
    check_reg a0, 0x89abcdef01234567
    c.ld a0, 248(s0)
    check_reg a0, 0x248
    c.lw a0, 124(s0)
    check_reg a0, 0x124
    c.lwsp a0, 252(sp)
    check_reg a0, 0
    c.ldsp a0, 504(sp)
    check_reg a0, 0x504
    c.fld fa0, 248(s0)
    fmv.x.d a0, fa0
    check_reg a0, 0x248
    c.fldsp fa1, 504(sp)
    fmv.x.d a0, fa1
    check_reg a0, 0x504

    li gp, __LINE__
    li a1, -2
    c.sd a1, 8(s0)
    c.sw a1, 16(s0)
    c.sdsp a1, 24(sp)
    c.swsp a1, 32(sp)
    fmv.d.x fa0, a1
    c.fsd fa0, 40(s0)
    c.fsdsp fa0, 48(sp)
    ld a0, 8(s0)
    check_reg a0, -2
    ld a0, 16(s0)
    check_reg a0, 0xfffffffe
    ld a0, 24(s0)
    check_reg a0, -2
    ld a0, 32(s0)
    check_reg a0, 0xfffffffe
    ld a0, 40(s0)
    check_reg a0, -2
    ld a0, 48(s0)
    check_reg a0, -2

    li gp, __LINE__
    c.li a0, -32
    check_reg a0, -32
    c.li a0, 31
    check_reg a0, 31
    c.lui a0, 0xfffe0
    check_reg a0, 0xfffffffffffe0000
    c.lui a0, 31
    check_reg a0, 0x1f000
    c.addi a0, -32
    check_reg a0, 0x1efe0
    c.addiw a0, 31
    check_reg a0, 0x1efff
    li a0, 0x7fffffff
    c.addiw a0, 1
    check_reg a0, 0xffffffff80000000
    c.addiw a0, 0
    check_reg a0, 0xffffffff80000000
    mv a1, sp
    c.addi16sp sp, -512
    addi a1, a1, -512
    check_same a1, sp
    c.addi16sp sp, 496
    addi a1, a1, 496
    check_same a1, sp
    c.addi4spn a0, sp, 1020
    addi a1, a1, 1020
    check_same a1, a0
    li a0, 1
    c.slli a0, 63
    check_reg a0, 0x8000000000000000
    c.srai a0, 62
    check_reg a0, -2
    c.srli a0, 60
    check_reg a0, 15
    c.andi a0, -8
    check_reg a0, 8
    li a1, 3
    c.mv a0, a1
    check_reg a0, 3
    c.add a0, a1
    check_reg a0, 6
    c.sub a0, a1
    check_reg a0, 3
    c.xor a0, a0
    check_reg a0, 0
    c.or a0, a1
    check_reg a0, 3
    li a1, 6
    c.and a0, a1
    check_reg a0, 2
    li a1, 0x7fffffff
    c.addw a0, a1
    check_reg a0, 0xffffffff80000001
    c.subw a0, a1
    check_reg a0, 2

    // Control: offsets forwards and backwards, the link of a 2-byte call, x1 as source and destination.
    li gp, __LINE__
    c.j 2f
1:  c.nop
    c.j 3f
2:  c.j 1b
3:  li a0, 0
    c.beqz a0, 1f
    j fail
1:  c.bnez a0, 2f
    c.li a0, 1
    c.bnez a0, 1f
2:  j fail
1:  c.beqz a0, 2b
    la a1, 1f
    c.jalr a1
2:  j fail
1:  la a1, 2b
    check_same a1, ra
    la ra, 1f
    c.jalr ra
2:  j fail
1:  la a1, 2b
    check_same a1, ra
    la a1, 1f
    c.jr a1
    j fail
1:
    // A trap counts from the 16-bit instruction, and EBREAK has a short form.
    la a1, 1f
    IN(M)
1:  c.ebreak
    OUT
    GOT(BREAKPOINT)
    EPC_IS(a1)

    .option norvc
    // Reserved: all zeros, C.ADDI4SPN and C.ADDI16SP and C.LUI with 0, C.ADDIW x0, C.LWSP and C.LDSP to x0, C.JR x0,
    // and the unused points of quadrants 0 and 1.
    ILLEGAL16(0x0000)
    ILLEGAL16(0x0004)
    ILLEGAL16(0x6101)
    ILLEGAL16(0x6501)
    ILLEGAL16(0x2001)
    ILLEGAL16(0x4002)
    ILLEGAL16(0x6002)
    ILLEGAL16(0x8002)
    ILLEGAL16(0x8c40)
    ILLEGAL16(0x9000)
    ILLEGAL16(0x9c79)
    ILLEGAL16(0x9c7d)

    // HINTs do nothing: C.NOP with an immediate, C.LI x0, C.LUI x0, C.MV x0, C.ADD x0, C.SLLI x0 and shifts by 0.
    .option rvc
    li gp, __LINE__
    li a0, 7
    .2byte 0x0005, 0x4005, 0x6005, 0x802a, 0x902a, 0x0006, 0x0502, 0x8101, 0x8501
    check_reg x0, 0
    check_reg a0, 7
    PASS

    .data
    .balign 64
data:
    .dword 0x89abcdef01234567
    .org data + 124
    .word 0x124
    .org data + 248
    .dword 0x248
    .org data + 504
    .dword 0x504
