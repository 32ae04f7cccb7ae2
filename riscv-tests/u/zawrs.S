// Law: WRS.STO and WRS.NTO end when there is no reservation, when it is lost, or (STO) in bounded time; WRS.NTO obeys TW below M-mode.
#include "test.h"
BEGIN
    // Without a reservation both are no-ops.
    la a0, word
    li gp, __LINE__
    sc.w a1, zero, (a0)
    wrs.nto
    wrs.sto
    // With one, STO times out.
    li gp, __LINE__
    lr.w a1, (a0)
    wrs.sto
    RUNS(U, wrs.sto)
    RUNS(S, wrs.nto)
    li s0, MSTATUS_TW
    csrs mstatus, s0
    // TW does not touch STO.
    RUNS(S, wrs.sto)
    RUNS(U, wrs.sto)
    RUNS(M, wrs.nto)
    csrc mstatus, s0
    // A pending enabled interrupt ends NTO, even when interrupts are globally off.
    li gp, __LINE__
    li a1, BIT(SSI)
    csrw mie, a1
    csrw mip, a1
    lr.w a2, (a0)
    wrs.nto
    csrw mip, zero
    csrw mie, zero
    PASS

    .data
    .balign 64
word:
    .dword 0
