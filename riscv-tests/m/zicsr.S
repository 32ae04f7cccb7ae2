// Law: CSR instructions read and write as one act; RS/RC with x0 or 0 do not write; wrong privilege, read-only writes and absent CSRs are illegal.
#include "test.h"
    // norm: mscratch_sz_acc
BEGIN
    li gp, __LINE__
    li a0, 0x1234
    csrw mscratch, a0
    li a1, -1
    csrrw a2, mscratch, a1
    check_same a2, a0
    csrrw a0, mscratch, a0
    check_same a0, a1
    csrr a0, mscratch
    check_reg a0, 0x1234
    // The old value goes to rd, the operand is read before.
    csrrs a1, mscratch, a0
    check_reg a1, 0x1234
    li a1, 0x0ff0
    csrrs a1, mscratch, a1
    check_reg a1, 0x1234
    csrr a1, mscratch
    check_reg a1, 0x1ff4
    li a1, 0x00f4
    csrrc a1, mscratch, a1
    check_reg a1, 0x1ff4
    csrrwi a1, mscratch, 31
    check_reg a1, 0x1f00
    csrrsi a1, mscratch, 0
    check_reg a1, 31
    csrrci a1, mscratch, 21
    check_reg a1, 31
    csrrsi a1, mscratch, 1
    check_reg a1, 10
    csrrwi x0, mscratch, 0
    csrr a1, mscratch
    check_reg a1, 0
    check_reg x0, 0

    // norm: mvendorid_always_rd, marchid_always_rd, mimpid_always_rd, mhartid_always_rd, mconfigptr_mandatory
    // norm: mvendorid_sz_acc_op, marchid_sz_acc_op, mhartid_sz_acc_op, mconfigptr_sz_acc
    // norm: cycle_instret_hpmcounter_op_rdonly
    // Read-only: reading in every form, no writing, not even of the same value.
    .macro read_only csr
    traps NONE, M, M, csrrs a0, \csr, x0
    traps NONE, M, M, csrrci a0, \csr, 0
    traps ILLEGAL, M, M, csrrw x0, \csr, a0
    traps ILLEGAL, M, M, csrrs x0, \csr, a0
    traps ILLEGAL, M, M, csrrc a1, \csr, a0
    traps ILLEGAL, M, M, csrrwi a1, \csr, 0
    traps ILLEGAL, M, M, csrrsi a1, \csr, 1
    .endm
#define READ_ONLY(csr) li gp, __LINE__; read_only csr
    READ_ONLY(mvendorid)
    READ_ONLY(marchid)
    READ_ONLY(mimpid)
    READ_ONLY(mhartid)
    READ_ONLY(mconfigptr)
    READ_ONLY(cycle)
    READ_ONLY(instret)
    // norm: mconfigptr_val, mconfigptr_align, mconfigptr_enc_img
    csrr a0, mconfigptr
    andi a0, a0, 7
    CHECK(a0, 0)
    // A zero in the register named is still a write.
    li a0, 0
    TRAPS(ILLEGAL, M, csrrs x0, mhartid, a0)
    TVAL(0xf1452073)

    // norm: mseccfgh_presence, medelegh_omit_xlen64, pmp_cfg_rv64_illegal, mstatush_sz_acc, menvcfgh_sz_acc_op
    // norm: henvcfgh_sz_acc_op, hedelegh_sz_acc_op, htimedeltah_sz_acc_op
    // Absent: the numbers of no CSR, RV32's upper halves, N's and debug's.
    .irp number, 0x000, 0x041, 0x042, 0x0ff, 0x110, 0x1ff, 0x2ff, 0x400, 0x5ff, 0x3ff, 0x3b0 + 64, 0x7ff, 0x800, 0xb01, 0xcc0, 0xfff
    li gp, __LINE__
    traps ILLEGAL, M, M, csrr a0, \number
    .endr
    .irp number, 0xc80, 0xc81, 0xc82, 0xb80, 0xb82, 0x310, 0x31a, 0x757, 0x15d, 0x61a, 0x3a1, 0x3a3, 0x312, 0x612, 0x615, 0x25d, 0x31c, 0x61c
    li gp, __LINE__
    traps ILLEGAL, M, M, csrr a0, \number
    .endr
    // Debug-mode registers.
    .irp number, 0x7b0, 0x7b1, 0x7b2, 0x7b3
    li gp, __LINE__
    traps ILLEGAL, M, M, csrr a0, \number
    .endr

    // norm: pmp_csr_mode
    // Privilege: bits 9 and 8 of the number.
    .macro needs_m csr
    traps ILLEGAL, M, S, csrr a0, \csr
    traps ILLEGAL, M, U, csrr a0, \csr
    .endm
    .macro needs_s csr
    traps NONE, M, S, csrr a0, \csr
    traps ILLEGAL, M, U, csrr a0, \csr
    .endm
#define NEEDS_M(csr) li gp, __LINE__; needs_m csr
#define NEEDS_S(csr) li gp, __LINE__; needs_s csr
    NEEDS_M(mstatus)
    NEEDS_M(misa)
    NEEDS_M(medeleg)
    NEEDS_M(mtvec)
    NEEDS_M(mscratch)
    NEEDS_M(mepc)
    NEEDS_M(mcause)
    NEEDS_M(pmpcfg0)
    NEEDS_M(pmpaddr15)
    NEEDS_M(mcycle)
    NEEDS_M(mhpmcounter3)
    NEEDS_M(mcountinhibit)
    NEEDS_M(mhartid)
    NEEDS_M(menvcfg)
    NEEDS_S(sstatus)
    NEEDS_S(sie)
    NEEDS_S(stvec)
    NEEDS_S(scounteren)
    NEEDS_S(sscratch)
    NEEDS_S(sepc)
    NEEDS_S(scause)
    NEEDS_S(stval)
    NEEDS_S(sip)
    NEEDS_S(satp)
    RUNS(U, csrw fcsr, zero)
    PASS
