// Law: with Zicclsm, misaligned loads and stores to main memory give the bytes they name, across words, lines and pages.
#include "test.h"

// At every offset from the boundary: store, read back by bytes, load.
.macro misaligned store, load, bytes, at
    la s0, \at
    addi s0, s0, 1 - \bytes
    li s1, \bytes - 1
1:  sd zero, -8(s0)
    sd zero, 0(s0)
    sd zero, 8(s0)
    li a0, 0x8182838485868788
    \store a0, 0(s0)
    \load a1, 0(s0)
    slli a0, a0, 64 - 8 * \bytes
    srai a0, a0, 64 - 8 * \bytes
    beq a0, a1, 2f
    j fail
2:  // Byte by byte, from the highest.
    li a2, 0
    addi a3, s0, \bytes
3:  addi a3, a3, -1
    lbu a4, (a3)
    slli a2, a2, 8
    or a2, a2, a4
    bne a3, s0, 3b
    slli a2, a2, 64 - 8 * \bytes
    srai a2, a2, 64 - 8 * \bytes
    beq a0, a2, 4f
    j fail
4:  // The neighbours are untouched.
    lbu a4, -1(s0)
    bnez a4, 5f
    lbu a4, \bytes(s0)
    beqz a4, 6f
5:  j fail
6:  addi s0, s0, 1
    addi s1, s1, -1
    bnez s1, 1b
.endm
#define MISALIGNED(...) li gp, __LINE__; misaligned __VA_ARGS__

BEGIN
    // norm: pma_mm_rw
    MISALIGNED(sh, lh, 2, word)
    MISALIGNED(sw, lw, 4, word)
    MISALIGNED(sd, ld, 8, word)
    MISALIGNED(sh, lh, 2, line)
    MISALIGNED(sw, lw, 4, line)
    MISALIGNED(sd, ld, 8, line)
    MISALIGNED(sh, lh, 2, page)
    MISALIGNED(sw, lw, 4, page)
    MISALIGNED(sd, ld, 8, page)

    li gp, __LINE__
    la a0, page - 3
    li a1, 0x4049000000000001
    fmv.d.x fa0, a1
    fsd fa0, (a0)
    fld fa1, (a0)
    fmv.x.d a2, fa1
    check_same a1, a2
    flw fa1, (a0)
    fmv.x.w a2, fa1
    check_reg a2, 1

    // norm: pma_mag_op_amo, pma_mag_op_rsrv
    // Atomic instructions are aligned, or trap with their own address; as which of the two faults is free [zaamo, zalrsc].
    la a0, page - 2
    IN(M)
    amoadd.w a1, a2, (a0)
    OUT
    GOT_ONE_OF(STORE_MISALIGNED, STORE_ACCESS)
    TVAL_IS(a0)
    la a0, page + 4
    IN(M)
    amoswap.d a1, a2, (a0)
    OUT
    GOT_ONE_OF(STORE_MISALIGNED, STORE_ACCESS)
    TVAL_IS(a0)
    IN(M)
    lr.d a1, (a0)
    OUT
    GOT_ONE_OF(LOAD_MISALIGNED, LOAD_ACCESS)
    TVAL_IS(a0)
    IN(M)
    sc.d a1, a2, (a0)
    OUT
    GOT_ONE_OF(STORE_MISALIGNED, STORE_ACCESS)
    TVAL_IS(a0)
    PASS

    .data
    .balign 4096
    .fill 16, 1, 0
word:
    .fill 48, 1, 0
line:
    .fill 4032, 1, 0
page:
    .fill 64, 1, 0
