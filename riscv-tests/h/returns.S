// Law: MRET goes where MPP and MPV say, but for MPP = M; SRET in M and HS where SPP and SPV say, in VS where vsstatus.SPP says; each unstacks its own enables.
#include "hyper.h"
// The piece that follows comes back to label 9 with a breakpoint.
.macro comes_back
    la t6, trap
    la t5, 9f
    sd t5, TRAP_RESUME(t6)
    sd zero, TRAP_OUT(t6)
    li t5, NONE
    sd t5, TRAP_CAUSE(t6)
.endm
.macro field csr, mask, value
    li t5, \mask
    csrc \csr, t5
    li t5, \value
    csrs \csr, t5
.endm
// Where the breakpoint came from: MPP and MPV as M's handler found them.
.macro came_from status
    got BREAKPOINT
    trap_field_masked TRAP_STATUS, MSTATUS_MPP | MSTATUS_MPV, \status
.endm

.macro mret_goes mpp, mpv, pie, to
    comes_back
    field mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE | MSTATUS_MIE, (\mpp) | (\mpv) | (\pie)
    la t5, 8f
    csrw mepc, t5
    mret
    ebreak
8:  ebreak
9:  came_from \to
.endm

// SRET in M-mode.
.macro sret_in_m_goes spp, spv, pie, to
    comes_back
    field sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, (\spp) | (\pie)
    field hstatus, HSTATUS_SPV, \spv
    la t5, 8f
    csrw sepc, t5
    sret
    ebreak
8:  ebreak
9:  came_from \to
    sret_left \pie
.endm
// SRET in HS-mode, which is entered by MRET.
.macro sret_in_hs_goes spp, spv, pie, to
    comes_back
    field sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, (\spp) | (\pie)
    field hstatus, HSTATUS_SPV, \spv
    field mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE, IN_S
    la t5, 8f
    csrw sepc, t5
    la t5, 7f
    csrw mepc, t5
    mret
7:  sret
    ebreak
8:  ebreak
9:  came_from \to
    sret_left \pie
.endm
.macro sret_left pie
    .if (\pie) == 0
    check_csr sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE
    .else
    check_csr sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE | MSTATUS_SIE
    .endif
    check_csr hstatus, HSTATUS_SPV, 0
    // What is the guest's stays.
    check_csr vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP
.endm
.macro sret_in_vs_goes spp, pie, to
    comes_back
    field vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, (\spp) | (\pie)
    // Of no effect at V=1.
    field hstatus, HSTATUS_SPV | HSTATUS_SPVP, 0
    field sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP
    field mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE, IN_VS
    la t5, 8f
    csrw vsepc, t5
    la t5, 7f
    csrw mepc, t5
    mret
7:  sret
    ebreak
8:  ebreak
9:  came_from \to
    .if (\pie) == 0
    check_csr vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE
    .else
    check_csr vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPIE | MSTATUS_SIE
    .endif
    check_csr sstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP
.endm

#define MRET_GOES(...) li gp, __LINE__; mret_goes __VA_ARGS__
#define SRET_IN_M_GOES(...) li gp, __LINE__; sret_in_m_goes __VA_ARGS__
#define SRET_IN_HS_GOES(...) li gp, __LINE__; sret_in_hs_goes __VA_ARGS__
#define SRET_IN_VS_GOES(...) li gp, __LINE__; sret_in_vs_goes __VA_ARGS__
BEGIN
    HYPERVISOR
    field vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP
    // norm: mret_h, mstatus_mpv_op, mstatus_xret_op
    MRET_GOES(IN_U, 0, 0, IN_U)
    MRET_GOES(IN_S, 0, MSTATUS_MPIE, IN_S)
    MRET_GOES(IN_U, MSTATUS_MPV, 0, IN_VU)
    MRET_GOES(IN_S, MSTATUS_MPV, MSTATUS_MPIE, IN_VS)
    // To M-mode MPV does not matter.
    MRET_GOES(IN_M, 0, 0, IN_M)
    MRET_GOES(IN_M, MSTATUS_MPV, 0, IN_M)
    // Behind an MRET to M-mode: MPV and MPP are cleared, MIE is what MPIE was, MPRV stays.
    li gp, __LINE__
    field mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE
    la t5, 1f
    csrw mepc, t5
    mret
1:  CHECK_CSR(mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPIE | MSTATUS_MIE, MSTATUS_MPIE | MSTATUS_MIE)
    csrci mstatus, MSTATUS_MIE
    // norm: mstatus_mprv_clr_mret_sret_less_priv
    // To a mode below M, MRET and SRET clear MPRV. MPP = M while it is on, so that accesses stay M's.
    li gp, __LINE__
    comes_back
    field mstatus, MSTATUS_MPP | MSTATUS_MPV | MSTATUS_MPRV, MSTATUS_MPV | MSTATUS_MPRV
    la t5, 8f
    csrw mepc, t5
    mret
8:  ebreak
9:  came_from IN_VU
    CHECK_CSR(mstatus, MSTATUS_MPRV, 0)
    li gp, __LINE__
    comes_back
    field hstatus, HSTATUS_SPV, HSTATUS_SPV
    field mstatus, MSTATUS_MPP | MSTATUS_MPRV, MSTATUS_MPP | MSTATUS_MPRV
    la t5, 8f
    csrw sepc, t5
    sret
8:  ebreak
9:  GOT(BREAKPOINT)
    CHECK_CSR(mstatus, MSTATUS_MPRV, 0)

    // norm: sret_v0, hstatus_spv_sret, sret_h, xret_in_higher_mode
    SRET_IN_M_GOES(0, 0, 0, IN_U)
    SRET_IN_M_GOES(MSTATUS_SPP, 0, MSTATUS_SPIE, IN_S)
    SRET_IN_M_GOES(0, HSTATUS_SPV, MSTATUS_SPIE, IN_VU)
    SRET_IN_M_GOES(MSTATUS_SPP, HSTATUS_SPV, 0, IN_VS)
    SRET_IN_HS_GOES(0, 0, MSTATUS_SPIE, IN_U)
    SRET_IN_HS_GOES(MSTATUS_SPP, 0, 0, IN_S)
    SRET_IN_HS_GOES(0, HSTATUS_SPV, 0, IN_VU)
    SRET_IN_HS_GOES(MSTATUS_SPP, HSTATUS_SPV, MSTATUS_SPIE, IN_VS)
    // norm: sret_v1
    SRET_IN_VS_GOES(0, 0, IN_VU)
    SRET_IN_VS_GOES(0, MSTATUS_SPIE, IN_VU)
    SRET_IN_VS_GOES(MSTATUS_SPP, 0, IN_VS)
    SRET_IN_VS_GOES(MSTATUS_SPP, MSTATUS_SPIE, IN_VS)
    // norm: hstatus_spvp_op
    // SPVP is left alone by every return, and by a trap that does not come from the guest.
    li t0, HSTATUS_SPVP
    csrs hstatus, t0
    li gp, __LINE__
    field vsstatus, MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE, MSTATUS_SPP
    SRET_IN_HS_GOES(0, HSTATUS_SPV, 0, IN_VU)
    CHECK_CSR(hstatus, HSTATUS_SPVP, HSTATUS_SPVP)
    li t0, 1 << BREAKPOINT
    csrw medeleg, t0
    TRAPS_TO(BREAKPOINT, S, U, ebreak)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA, HSTATUS_SPVP)
    TRAPS_TO(BREAKPOINT, S, VU, ebreak)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP, HSTATUS_SPV)
    TRAPS_TO(BREAKPOINT, S, S, ebreak)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP, 0)
    TRAPS_TO(BREAKPOINT, S, VS, ebreak)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP, HSTATUS_SPV | HSTATUS_SPVP)
    PASS
