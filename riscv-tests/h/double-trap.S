// Law: with DTE a trap to HS or VS sets SDT, and one that finds it set goes to M as a double trap, with the cause in mtval2; returns clear it.
// Where Ssdbltrp is not built menvcfg.DTE stays zero, and so does everything else here.
#include "hyper.h"
#define DTE (1 << 59)
#define SDT (1 << 24)
BEGIN
    HYPERVISOR
    li s0, DTE
    li s1, SDT
    li s2, MSTATUS_SIE
    csrs menvcfg, s0
    csrr a0, menvcfg
    and a0, a0, s0
    bnez a0, 1f
    // norm: menvcfg_dte_op
    csrs sstatus, s1
    CHECK_CSR(sstatus, SDT, 0)
    csrs vsstatus, s1
    CHECK_CSR(vsstatus, SDT, 0)
    j end
    // norm: henvcfg_dte_op
    // The guest's SDT exists with henvcfg.DTE alone.
1:  csrs vsstatus, s1
    CHECK_CSR(vsstatus, SDT, 0)
    csrs henvcfg, s0
    csrs vsstatus, s1
    CHECK_CSR(vsstatus, SDT, SDT)
    csrc vsstatus, s1

    // norm: sstatus_sdt_sstatus_sie_overwrite
    li s3, SDT | MSTATUS_SIE
    csrs sstatus, s2
    csrs sstatus, s1
    CHECK_CSR(sstatus, SDT | MSTATUS_SIE, SDT)
    csrs sstatus, s2
    CHECK_CSR(sstatus, SDT | MSTATUS_SIE, SDT)
    csrc sstatus, s3
    csrs vsstatus, s3
    CHECK_CSR(vsstatus, SDT | MSTATUS_SIE, SDT)
    csrc vsstatus, s3

    // norm: sstatus_sdt_trap
    // A trap sets it. The handler ends by a call to M, which changes nothing here.
    li t0, 1 << ILLEGAL
    csrw medeleg, t0
    TRAPS_TO(ILLEGAL, S, S, .insn 0x0000000b)
    CHECK_CSR(sstatus, SDT, SDT)
    // The next one is a double trap.
    la a1, 2f
    li s4, 0x1230
    csrw sepc, s4
    IN(S)
2:  .insn 0x0000000b
    OUT
    GOT(16, M)
    EPC_IS(a1)
    TVAL(0x0000000b)
    TVAL2(ILLEGAL)
    MSTATUS_AT_TRAP(MSTATUS_MPP | MSTATUS_MPV, MSTATUS_MPP_S)
    csrr a0, sepc
    CHECK_SAME(a0, s4)
    // norm: sstatus_sdt_clr_mret_sret
    // MRET to HS leaves it, one to a guest or to U clears it; and so a guest's trap is not a second one.
    CHECK_CSR(sstatus, SDT, SDT)
    RUNS(S, nop)
    CHECK_CSR(sstatus, SDT, SDT)
    RUNS(VS, nop)
    CHECK_CSR(sstatus, SDT, 0)
    csrs sstatus, s1
    RUNS(U, nop)
    CHECK_CSR(sstatus, SDT, 0)
    csrs sstatus, s1
    TRAPS_TO(ILLEGAL, S, VU, .insn 0x0000000b)
    CHECK_CSR(sstatus, SDT, SDT)
    csrc sstatus, s1

    // norm: vsstatus_sdt_op
    // In the guest: from VU it is set, from VS it is then found, and M takes it. MRET to VU clears it.
    csrw hedeleg, t0
    csrw medeleg, t0
    TRAPS_TO(ILLEGAL, VS, VU, .insn 0x0000000b)
    CHECK_CSR(vsstatus, SDT, SDT)
    CHECK_CSR(sstatus, SDT, 0)
    TRAPS(16, VS, .insn 0x0000000b)
    TVAL2(ILLEGAL)
    MSTATUS_AT_TRAP(MSTATUS_MPP | MSTATUS_MPV, MSTATUS_MPP_S | MSTATUS_MPV)
    CHECK_CSR(vsstatus, SDT, SDT)
    // norm: vsstatus_sdt_clr_mret_sret
    RUNS(VU, nop)
    CHECK_CSR(vsstatus, SDT, 0)

    // norm: sstatus_sdt_sret, sret_dt
    // SRET in VS clears the guest's; in HS its own, and the guest's on the way to VU.
    csrs vsstatus, s1
    la t0, 3f
    csrw vsepc, t0
    li t0, MSTATUS_SPP
    csrs vsstatus, t0
    IN(VS)
    sret
3:  nop
    OUT
    GOT(NONE)
    CHECK_CSR(vsstatus, SDT, 0)
    csrs vsstatus, s1
    csrs sstatus, s1
    la t0, 4f
    csrw sepc, t0
    li t0, MSTATUS_SPP
    csrs sstatus, t0
    li t0, HSTATUS_SPV
    csrs hstatus, t0
    IN(S)
    sret
4:  nop
    OUT
    GOT(NONE)
    CHECK_CSR(sstatus, SDT, 0)
    CHECK_CSR(vsstatus, SDT, SDT)
    li t0, MSTATUS_SPP
    csrc sstatus, t0
    la t0, 5f
    csrw sepc, t0
    li t0, HSTATUS_SPV
    csrs hstatus, t0
    IN(S)
    sret
5:  nop
    OUT
    GOT(NONE)
    CHECK_CSR(vsstatus, SDT, 0)
end:
    PASS
