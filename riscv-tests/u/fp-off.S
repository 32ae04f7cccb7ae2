// Law: with mstatus.FS = 0 every FP instruction and FP CSR is illegal and nothing changes; a write to FP state makes FS dirty and sets SD.
#include "test.h"
BEGIN
    // norm: mstatus_fs_vs_xs_off_op, mstatus_fs_op, mstatus_sd_op1
    li s0, MSTATUS_FS
    csrc mstatus, s0
    CHECK_CSR(mstatus, MSTATUS_FS | MSTATUS_SD, 0)
    la a0, memory
    .macro off insn:vararg
    traps ILLEGAL, M, M, \insn
    .endm
#define OFF(...) li gp, __LINE__; off __VA_ARGS__
    OFF(fadd.s fa0, fa1, fa2)
    OFF(fmadd.d fa0, fa1, fa2, fa3)
    OFF(fsgnj.s fa0, fa1, fa2)
    OFF(feq.d a1, fa0, fa1)
    OFF(fclass.h a1, fa0)
    OFF(fcvt.w.s a1, fa0)
    OFF(fcvt.d.l fa0, a1)
    OFF(fmv.x.d a1, fa0)
    OFF(fmv.w.x fa0, a1)
    OFF(flw fa0, (a0))
    OFF(fsd fa0, (a0))
    OFF(flh fa0, (a0))
    OFF(csrr a1, fflags)
    OFF(csrr a1, frm)
    OFF(csrw fcsr, a1)
    .option rvc
    OFF(c.fld fa0, 0(a0))
    OFF(c.fsd fa0, 0(a0))
    .option norvc
    OFF(fli.s fa0, 3)
    // norm: nw:priority_illegal_first, mcause_exccode_pri1
    // norm: exc_priority
    // Illegal comes before the access: no fault for a bad address.
    li a0, 8
    OFF(fld fa0, (a0))

    // norm: mstatus_fs_vs_xs_dirty_op, mstatus_fs_vs_xs_enc, mstatus_sd_op1
    // Initial and Clean stay so while FP state is only read, and become Dirty at a write.
    .macro dirties insn:vararg
    csrc mstatus, s0
    li a1, MSTATUS_FS_CLEAN
    csrs mstatus, a1
    \insn
    check_csr mstatus, MSTATUS_FS | MSTATUS_SD, MSTATUS_FS | MSTATUS_SD
    .endm
#define DIRTIES(...) li gp, __LINE__; dirties __VA_ARGS__
    la a0, memory
    DIRTIES(flw fa0, (a0))
    DIRTIES(fadd.d fa0, fa1, fa2)
    DIRTIES(fmv.d.x fa0, a0)
    DIRTIES(csrw fflags, zero)
    DIRTIES(csrwi frm, 0)
    DIRTIES(fsgnj.d fa0, fa0, fa0)

    // norm: mstatus_fs_vs_xs_update_indep_priv
    // FS survives MRET; reading never makes it less.
    li gp, __LINE__
    csrc mstatus, s0
    li a1, MSTATUS_FS_CLEAN
    csrs mstatus, a1
    RUNS(U, fadd.s fa0, fa1, fa2)
    CHECK_CSR(mstatus, MSTATUS_FS | MSTATUS_SD, MSTATUS_FS | MSTATUS_SD)
    csrc mstatus, s0
    TRAPS(ILLEGAL, U, fadd.s fa0, fa1, fa2)
    PASS

    .data
    .balign 8
memory:
    .dword 0
