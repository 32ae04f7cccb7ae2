// Law: a may-be-operation that no extension redefines writes 0 to rd and does nothing else; C.MOP.n writes no register.
#include "test.h"
BEGIN
    li a1, -1
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    li gp, __LINE__
    li a0, 99
    mop.r \n, a0, a1
    check_reg a0, 0
    .endr
    .irp n, 0,1,2,3,4,5,6,7
    li gp, __LINE__
    li a0, 99
    mop.rr \n, a0, a1, a1
    check_reg a0, 0
    .endr
    mop.r 3, x0, a1
    CHECK(x0, 0)
    CHECK(a1, -1)
    .irp n, 1,3,5,7,9,11,13,15
    li gp, __LINE__
    li ra, 77
    li t0, 78
    c.mop \n
    check_reg ra, 77
    check_reg t0, 78
    .endr
    // They work in every mode.
    RUNS(U, mop.r 0, a0, a1)
    RUNS(S, mop.rr 0, a0, a1, a1)
    // The other points of SYSTEM's funct3 4 are reserved (some are hypervisor accesses).
    ILLEGAL_BITS(0x00004073)
    ILLEGAL_BITS(0x80004073)
    ILLEGAL_BITS(0x92004073)
    PASS
