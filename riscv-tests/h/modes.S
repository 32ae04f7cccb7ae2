// Law: MRET and SRET enter VS and VU; a trap from there goes to M, by medeleg to HS, by hedeleg to VS, and each level's registers tell where it came from.
#include "hyper.h"
BEGIN
    HYPERVISOR
    // norm: mstatus_mpv_op, H_trap_m_csrwrites, H_cause_ecall, H_cause
    // Into M: MPV and MPP; ECALL of VS has its own cause.
    IN(VS)
    ecall
    nop
    OUT
    GOT(ECALL_VS)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_MPP | MSTATUS_GVA, MSTATUS_MPV | MSTATUS_MPP_S)
    IN(VU)
    ecall
    OUT
    GOT(ECALL_U)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_MPP, MSTATUS_MPV)
    IN(S)
    ecall
    OUT
    GOT(ECALL_S)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_MPP, MSTATUS_MPP_S)
    // norm: mstatus_gva_op
    // GVA says that tval is a guest-virtual address.
    li a0, 8
    IN(VS)
    ld a1, (a0)
    OUT
    GOT(LOAD_ACCESS)
    TVAL_IS(a0)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_GVA, MSTATUS_MPV | MSTATUS_GVA)
    TRAPS(LOAD_ACCESS, S, ld a1, (a0))
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_GVA, 0)
    TRAPS(ILLEGAL, VU, .insn 0x0000000b)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_GVA, MSTATUS_MPV)

    // norm: hstatus_spv_op, hstatus_spvp_op, hstatus_gva_op, H_trap_hs_csrwrites, H_trap_deleg
    // Into HS: SPV, SPVP and SPP.
    li s0, (1 << ECALL_VS) | (1 << ECALL_U) | (1 << ILLEGAL) | (1 << LOAD_ACCESS)
    csrw medeleg, s0
    la a2, 1f
    IN(VS)
1:  ld a1, (a0)
    OUT
    GOT(LOAD_ACCESS, S)
    EPC_IS(a2)
    TVAL_IS(a0)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA, HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA)
    CHECK_CSR(sstatus, MSTATUS_SPP, MSTATUS_SPP)
    IN(VU)
    .insn 0x0000000b
    OUT
    GOT(ILLEGAL, S)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA, HSTATUS_SPV)
    CHECK_CSR(sstatus, MSTATUS_SPP, 0)
    // From V = 0, SPV is cleared and SPVP stays.
    li t0, HSTATUS_SPVP
    csrs hstatus, t0
    TRAPS_TO(ILLEGAL, S, U, .insn 0x0000000b)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP, HSTATUS_SPVP)
    csrc hstatus, t0

    // norm: hedeleg_op, H_trap_deleg, H_trap_vs_csrwrites
    // Into VS: hedeleg as well, and V = 1 before. hstatus and HS's registers stay. (VS's handler hands up by ECALL, to M.)
    li s0, (1 << ECALL_U) | (1 << ILLEGAL) | (1 << LOAD_ACCESS)
    csrw medeleg, s0
    csrw hedeleg, s0
    li s1, 0x4444
    csrw scause, s1
    csrw sepc, s1
    csrr s2, hstatus
    la a2, 1f
    IN(VU)
1:  ld a1, (a0)
    OUT
    GOT(LOAD_ACCESS, VS)
    EPC_IS(a2)
    TVAL_IS(a0)
    CHECK_CSR(vscause, -1, LOAD_ACCESS)
    CHECK_CSR(vsstatus, MSTATUS_SPP, 0)
    csrr t0, hstatus
    CHECK_SAME(t0, s2)
    IN(VS)
    .insn 0x0000000b
    OUT
    GOT(ILLEGAL, VS)
    CHECK_CSR(vsstatus, MSTATUS_SPP, MSTATUS_SPP)
    IN(VU)
    ecall
    OUT
    GOT(ECALL_U, VS)
    // From U and HS it stays with HS.
    TRAPS_TO(ILLEGAL, S, U, .insn 0x0000000b)

    // norm: H_vscsrs_sub, H_vscsrs_v1, vsstatus_sz_acc_op, vsscratch_sz_acc_op, vstvec_sz_acc_op
    // VS sees its own registers under S's names; HS reaches both.
    csrw sscratch, s1
    li t0, 0x5555
    csrw vsscratch, t0
    IN(VS)
    csrr a0, sscratch
    li a1, 0x6666
    csrw sscratch, a1
    csrr a2, sstatus
    li a3, MSTATUS_SUM | MSTATUS_MXR
    csrs sstatus, a3
    csrr a4, stvec
    OUT
    GOT(NONE)
    CHECK(a0, 0x5555)
    csrr t0, sscratch
    CHECK_SAME(t0, s1)
    csrr t0, vsscratch
    CHECK(t0, 0x6666)
    CHECK_CSR(vsstatus, MSTATUS_SUM | MSTATUS_MXR, MSTATUS_SUM | MSTATUS_MXR)
    CHECK_CSR(sstatus, MSTATUS_SUM | MSTATUS_MXR, 0)
    csrr t0, vstvec
    CHECK_SAME(a4, t0)

    // norm: hstatus_spv_sret, sret_v0, sret_h
    // SRET in HS with SPV goes to the guest and clears SPV; HS's SIE comes from SPIE.
    li gp, __LINE__
    la t6, trap
    la t5, 3f
    sd t5, TRAP_RESUME(t6)
    sd zero, TRAP_OUT(t6)
    li t0, MSTATUS_MPP | MSTATUS_MPV
    csrc mstatus, t0
    li t0, MSTATUS_MPP_S
    csrs mstatus, t0
    la t0, 1f
    csrw mepc, t0
    mret
1:  li t0, HSTATUS_SPV
    csrs hstatus, t0
    li t0, MSTATUS_SPP | MSTATUS_SPIE
    csrs sstatus, t0
    csrci sstatus, MSTATUS_SIE
    la t0, 2f
    csrw sepc, t0
    sret
2:  csrr a0, sscratch
    ebreak
3:  GOT(BREAKPOINT)
    CHECK(a0, 0x6666)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_MPP, MSTATUS_MPV | MSTATUS_MPP_S)
    CHECK_CSR(hstatus, HSTATUS_SPV, 0)
    CHECK_CSR(sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE | MSTATUS_SIE)
    csrci sstatus, MSTATUS_SIE

    // norm: sret_v1, sret_h
    // SRET in VS stays in the guest: VS's SPP decides between VS and VU.
    li gp, __LINE__
    li t0, MSTATUS_SPP | MSTATUS_SIE
    csrc vsstatus, t0
    li t0, MSTATUS_SPIE
    csrs vsstatus, t0
    csrr s2, sstatus
    csrr s3, hstatus
    la t0, 4f
    csrw vsepc, t0
    IN(VS)
    sret
    nop
4:  ebreak
    OUT
    GOT(BREAKPOINT)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_MPP, MSTATUS_MPV)
    CHECK_CSR(vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE | MSTATUS_SIE)
    csrr t0, sstatus
    CHECK_SAME(t0, s2)
    csrr t0, hstatus
    CHECK_SAME(t0, s3)
    // And back: SPP = 1 stays in VS, SPIE = 0 turns SIE off.
    li t0, MSTATUS_SPIE
    csrc vsstatus, t0
    li t0, MSTATUS_SPP
    csrs vsstatus, t0
    la t0, 5f
    csrw vsepc, t0
    IN(VS)
    sret
    nop
5:  ebreak
    OUT
    GOT(BREAKPOINT)
    MSTATUS_AT_TRAP(MSTATUS_MPV | MSTATUS_MPP, MSTATUS_MPV | MSTATUS_MPP_S)
    CHECK_CSR(vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE)

    // norm: mret_h, mstatus_mpv_op
    // MRET to the guest leaves MPV = 0, MPP = U, MIE from MPIE, MPIE = 1; to M it ignores MPV.
    li gp, __LINE__
    li t0, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE
    csrs mstatus, t0
    csrci mstatus, MSTATUS_MIE
    la t0, 6f
    csrw mepc, t0
    mret
6:  CHECK_CSR(mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE | MSTATUS_MIE, MSTATUS_MPIE | MSTATUS_MIE)
    csrci mstatus, MSTATUS_MIE
    // Still M-mode, not translated as a guest's.
    csrr t0, mhartid

    // norm: vsstatus_fs_op, H_illegalinst_xstatus_fs_vs, vsstatus_sd_xs_op
    // FS off in either level makes FP illegal; a write dirties both.
    csrw hedeleg, zero
    csrw medeleg, zero
    li s0, MSTATUS_FS
    csrc vsstatus, s0
    TRAPS(ILLEGAL, VS, fmv.d.x fa0, x0)
    RUNS(S, fmv.d.x fa0, x0)
    li t0, MSTATUS_FS_CLEAN
    csrs vsstatus, t0
    csrc mstatus, s0
    TRAPS(ILLEGAL, VS, fmv.d.x fa0, x0)
    csrs mstatus, t0
    RUNS(VS, fmv.d.x fa0, x0)
    CHECK_CSR(vsstatus, MSTATUS_FS | MSTATUS_SD, MSTATUS_FS | MSTATUS_SD)
    CHECK_CSR(mstatus, MSTATUS_FS | MSTATUS_SD, MSTATUS_FS | MSTATUS_SD)
    PASS
