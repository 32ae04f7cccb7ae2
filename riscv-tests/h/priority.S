// Law: of several interrupts M's come before HS's and those before VS's; within a level by kind, not by number; VS sees the numbers of a supervisor.
#include "hyper.h"
#define VSI (BIT(VSSI) | BIT(VSTI) | BIT(VSEI))
// All of `pending` are pending and enabled; `code` is taken by `to` in VU-mode.
.macro first code, to, pending
    li t5, \pending
    csrw hvip, zero
    csrw mip, zero
    csrw mip, t5
    csrw hvip, t5
    csrw mie, t5
    in_mode IN_VU, 0
    nop
    out_of_mode
    got IRQ(\code), \to
    csrw mie, zero
.endm
#define FIRST(...) li gp, __LINE__; first __VA_ARGS__
BEGIN
    HYPERVISOR
    csrw menvcfg, zero
    // norm: hsint_priority, H_cause, hideleg_hs, mcause_intr_op
    // All in HS: SEI, SSI, STI, VSEI, VSSI, VSTI.
    li s0, BIT(SEI) | BIT(SSI) | BIT(STI)
    csrw mideleg, s0
    FIRST(SEI, S, BIT(SEI) | BIT(SSI) | BIT(STI) | VSI)
    HSTATUS_AT_TRAP(HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA, HSTATUS_SPV)
    FIRST(SSI, S, BIT(SSI) | BIT(STI) | VSI)
    FIRST(STI, S, BIT(STI) | VSI)
    FIRST(VSEI, S, VSI)
    FIRST(VSSI, S, BIT(VSSI) | BIT(VSTI))
    FIRST(VSTI, S, BIT(VSTI))
    // What is written for an interrupt: nothing but the cause.
    TVAL(0)
    // norm: H_trap_xtinst_interrupt, htval_trapval
    TVAL2(0)
    TINST(0)

    // norm: hideleg_op, hideleg_trans, s_interrupt_priority, sip_sie_priority_bit_order
    // Delegated to VS: still behind all of HS; among themselves SEI, SSI, STI.
    li s1, VSI
    csrw hideleg, s1
    FIRST(STI, S, BIT(STI) | VSI)
    FIRST(SEI, VS, VSI)
    CHECK_CSR(vscause, -1, (1 << 63) | SEI)
    FIRST(SSI, VS, BIT(VSSI) | BIT(VSTI))
    FIRST(STI, VS, BIT(VSTI))
    CHECK_CSR(vscause, -1, (1 << 63) | STI)
    // One that is not delegated is HS's, and so comes first, whatever its kind.
    li s2, BIT(VSEI) | BIT(VSSI)
    csrw hideleg, s2
    FIRST(VSTI, S, VSI)
    FIRST(SEI, VS, BIT(VSEI) | BIT(VSSI))

    // norm: intr_M_mode_highest_pri, intr_M_mode_pri, trap_del_intr_priv_lvl
    // What M-mode keeps for itself comes before everything.
    csrw hideleg, s1
    li t0, BIT(SEI) | BIT(SSI)
    csrw mideleg, t0
    FIRST(STI, M, BIT(SEI) | BIT(SSI) | BIT(STI) | VSI)
    csrw mideleg, zero
    FIRST(SEI, M, BIT(SEI) | BIT(SSI) | BIT(STI) | VSI)
    FIRST(SSI, M, BIT(SSI) | BIT(STI) | VSI)
    // VS-level interrupts are past M-mode in any case.
    FIRST(SEI, VS, VSI)

    // norm: mtvec_mode_vectored_op, vstvec_sz_acc_op
    // Vectored: VS's table by VS's numbers, HS's by HS's. Entry n of a table leaves n in a0.
    li gp, __LINE__
    csrw mideleg, s0
    la t0, table_vs + 1
    csrw vstvec, t0
    li a0, -1
    first STI, VS, BIT(VSTI)
    CHECK(a0, STI)
    csrw hideleg, zero
    la t0, table_s + 1
    csrw stvec, t0
    li a0, -1
    li gp, __LINE__
    first VSTI, S, BIT(VSTI)
    CHECK(a0, VSTI)
    // An exception goes to the base.
    li t0, 1 << BREAKPOINT
    csrw medeleg, t0
    csrw hedeleg, t0
    csrw mie, zero
    li a0, -1
    TRAPS_TO(BREAKPOINT, VS, VU, ebreak)
    CHECK(a0, 0)
    PASS

    // Each entry jumps to a piece that notes its number and goes on to the handler.
.macro table name, handler
    .balign 64
\name:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    j .L\name\n
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
.L\name\n:
    li a0, \n
    j \handler
    .endr
.endm
    table table_s, handle_s
    table table_vs, handle_vs
