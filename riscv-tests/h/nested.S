// Law: a trap inside a handler saves what it interrupts: from VS's handler into HS, from HS's into HS and into M, and all the way back.
#include "hyper.h"
// What each handler found, in the order in which they ran: its name, epc, cause, status, hstatus.
.macro note name, epc, cause, status
    ld s11, (s10)
    addi s11, s11, 1
    sd s11, (s10)
    slli t5, s11, 6
    add t5, t5, s10
    li t6, \name
    sd t6, 0(t5)
    csrr t6, \epc
    sd t6, 8(t5)
    csrr t6, \cause
    sd t6, 16(t5)
    csrr t6, \status
    sd t6, 24(t5)
.endm
.macro note_hstatus
    csrr t6, hstatus
    sd t6, 32(t5)
.endm
// The n-th note: its handler, epc, cause, and bits of its status.
.macro was n, name, epc, cause, mask, status
    la t5, notes + 64 * (\n)
    ld t6, 0(t5)
    check_reg t6, \name
    ld t6, 8(t5)
    la t5, \epc
    check_same t5, t6
    la t5, notes + 64 * (\n)
    ld a0, 16(t5)
    check_reg a0, \cause
    ld a0, 24(t5)
    li t6, \mask
    and a0, a0, t6
    check_reg a0, \status
.endm
.macro hstatus_was n, mask, value
    la t5, notes + 64 * (\n)
    ld a0, 32(t5)
    li t6, \mask
    and a0, a0, t6
    check_reg a0, \value
.endm
#define WAS(...) li gp, __LINE__; was __VA_ARGS__
#define HSTATUS_WAS(...) li gp, __LINE__; hstatus_was __VA_ARGS__
#define SPX MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE
#define SPVX HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA
BEGIN
    HYPERVISOR
    la t0, on_m
    csrw mtvec, t0
    la t0, on_hs
    csrw stvec, t0
    la t0, on_vs
    csrw vstvec, t0
    la s10, notes
    // VU's call is VS's. A virtual instruction is HS's, a breakpoint of HS is HS's, its call M's.
    li t0, (1 << ECALL_U) | (1 << VIRTUAL) | (1 << BREAKPOINT)
    csrw medeleg, t0
    li t0, 1 << ECALL_U
    csrw hedeleg, t0
    // Each level's enables are on before, so that stacking shows. Nothing is pending.
    csrsi sstatus, MSTATUS_SIE
    li t0, MSTATUS_SIE
    csrs vsstatus, t0
    li t0, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE
    csrc mstatus, t0
    li t0, MSTATUS_MPV | MSTATUS_MPIE
    csrs mstatus, t0
    la t0, in_vu
    csrw mepc, t0
    mret
in_vu:
    ecall
back_in_vu:
    // The way out: VS hands it on, on the second call.
    li s9, 1
last_call:
    ecall

    .balign 4
on_vs:
    note 2, sepc, scause, sstatus
    bnez s9, leave_vs
vs_traps:
    // Not the guest's: HS emulates it.
    csrr a1, hstatus
vs_goes_on:
    csrr t5, sepc
    addi t5, t5, 4
    csrw sepc, t5
    sret
leave_vs:
    csrr a1, hgatp

    .balign 4
on_hs:
    note 1, sepc, scause, sstatus
    note_hstatus
    csrr t5, scause
    li t6, BREAKPOINT
    beq t5, t6, hs_returns
    bnez s9, leave_hs
    // A handler that is interrupted by itself saves what the next trap writes.
    csrr s2, sepc
    csrr s3, sstatus
    csrr s4, hstatus
hs_traps:
    ebreak
hs_calls:
    ecall
hs_goes_on:
    csrw sstatus, s3
    csrw hstatus, s4
    addi s2, s2, 4
    csrw sepc, s2
    sret
hs_returns:
    csrr t5, sepc
    addi t5, t5, 4
    csrw sepc, t5
    sret
leave_hs:
    li s9, 2
hs_leaves:
    ecall

    .balign 4
on_m:
    note 3, mepc, mcause, mstatus
    li t5, 2
    beq s9, t5, 1f
    csrr t5, mepc
    addi t5, t5, 4
    csrw mepc, t5
    mret

1:  la t0, handle_m
    csrw mtvec, t0
    li gp, __LINE__
    ld a0, notes
    check_reg a0, 7
    // norm: H_trap_vs_csrwrites, mstatus_xpie_xie_xpp_trap_op, sstatus_spp, sstatus_spie
    WAS(1, 2, in_vu, ECALL_U, SPX, MSTATUS_SPIE)
    // norm: H_trap_hs_csrwrites, hstatus_spv_op, hstatus_spvp_op
    WAS(2, 1, vs_traps, VIRTUAL, SPX, MSTATUS_SPP | MSTATUS_SPIE)
    HSTATUS_WAS(2, SPVX, HSTATUS_SPV | HSTATUS_SPVP)
    // norm: trap_horiz, hstatus_gva_op
    // From HS itself: SPV is cleared, SPVP stays; SIE was off.
    WAS(3, 1, hs_traps, BREAKPOINT, SPX, MSTATUS_SPP)
    HSTATUS_WAS(3, SPVX, HSTATUS_SPVP)
    // norm: H_trap_m_csrwrites, trap_del_S_mode_no_M_mode
    WAS(4, 3, hs_calls, ECALL_S, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_GVA, MSTATUS_MPP_S)
    // norm: sret_v0, sret_v1, mret_h
    // The guest went on where it was, VU behind its call.
    WAS(5, 2, last_call, ECALL_U, SPX, MSTATUS_SPIE)
    WAS(6, 1, leave_vs, VIRTUAL, SPX, MSTATUS_SPP | MSTATUS_SPIE)
    HSTATUS_WAS(6, SPVX, HSTATUS_SPV | HSTATUS_SPVP)
    WAS(7, 3, hs_leaves, ECALL_S, MSTATUS_MPP | MSTATUS_MPV, MSTATUS_MPP_S)
    PASS

    .bss
    .balign 64
notes:
    .skip 64 * 9
