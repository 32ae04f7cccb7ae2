// Law: memory is little-endian in every mode, for explicit accesses, fetches and PTEs, for MBE, SBE and UBE are read-only zero.
#include "paging.h"
BEGIN
    // norm: mstatus_mstatush_xbe_warl, mstatus_mbe_op, mstatus_sbe_op, mstatus_ube_op, sstatus_ube
    li a0, MSTATUS_MBE | MSTATUS_SBE | MSTATUS_UBE
    csrs mstatus, a0
    CHECK_CSR(mstatus, MSTATUS_MBE | MSTATUS_SBE | MSTATUS_UBE, 0)
    li a0, MSTATUS_UBE
    csrs sstatus, a0
    CHECK_CSR(sstatus, MSTATUS_UBE, 0)
    li s0, SPARE
    .irp mode, M, S, U
    li gp, __LINE__
    li a1, 0x8877665544332211
    in_mode IN_\mode, 0
    sd a1, (s0)
    lbu a2, (s0)
    lhu a3, 2(s0)
    lwu a4, 4(s0)
    sh a1, 8(s0)
    lbu a5, 9(s0)
    out_of_mode
    got NONE
    check_reg a2, 0x11
    check_reg a3, 0x4433
    check_reg a4, 0x88776655
    check_reg a5, 0x22
    .endr
    // norm: endianness_inst_fetch_little
    // li a7, 1; ret: byte by byte.
    li gp, __LINE__
    li t0, SPARE + 64
    .irp byte, 0x93, 0x08, 0x10, 0x00, 0x67, 0x80, 0x00, 0x00
    li t1, \byte
    sb t1, (t0)
    addi t0, t0, 1
    .endr
    fence.i
    li a0, SPARE + 64
    RUNS(S, jalr a0)
    CHECK(a7, 1)
    // norm: mstatus_sbe_implicit, sstatus_ube_implicit
    // A PTE whose bytes are written from the lowest.
    PAGING(SV39)
    MAP(VA, SPARE, 0, 0)
    li gp, __LINE__
    li t0, (SPARE >> 2) | PTE_RWX | PTE_U
    .rept 8
    sb t0, (a0)
    srli t0, t0, 8
    addi a0, a0, 1
    .endr
    PAGING_ON(SV39)
    LOADS(U, VA, 0x8877665544332211)
    PASS
