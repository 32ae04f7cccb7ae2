// Law: VSTIP is time + htimedelta >= vstimecmp, unsigned and truncated, or hvip's bit; only with STCE in menvcfg and henvcfg, else hvip's alone.
#include "hyper.h"
.macro pending bits
    csrr t5, hip
    andi t5, t5, BIT(VSTI)
    li t6, \bits
    beq t5, t6, 8883f
    j fail
8883:
.endm
// hip may follow a comparison a little later.
.macro becomes bits
8882:
    csrr t5, hip
    andi t5, t5, BIT(VSTI)
    li t6, \bits
    bne t5, t6, 8882b
.endm
#define BECOMES(bits) li gp, __LINE__; becomes bits
#define PENDING(bits) li gp, __LINE__; pending bits
BEGIN
    HYPERVISOR
    csrwi mcounteren, 7
    csrwi hcounteren, 7
    li s0, ENVCFG_STCE
    li s1, BIT(VSTI)
    csrw htimedelta, zero
    // norm: henvcfg_stce, menvcfg_stce_op2, hip_vstip_vstie_acc_op
    // Without STCE at either level only hvip counts.
    csrw menvcfg, zero
    csrw vstimecmp, zero
    BECOMES(0)
    csrw hvip, s1
    PENDING(BIT(VSTI))
    csrw hvip, zero
    PENDING(0)
    csrw menvcfg, s0
    csrw henvcfg, zero
    BECOMES(0)
    csrw henvcfg, s0
    BECOMES(BIT(VSTI))
    // norm: hip_vstip_op, vstimecmp_exist
    // The OR of both, and neither can be written through hip, mip or vsip.
    CHECK_CSR(hvip, -1, 0)
    csrc hip, s1
    csrc mip, s1
    PENDING(BIT(VSTI))
    csrw hvip, s1
    li t0, -1
    csrw vstimecmp, t0
    csrr t0, hip
    CHECK_CSR(hip, BIT(VSTI), BIT(VSTI))
    csrw hvip, zero
    BECOMES(0)
    csrs hip, s1
    csrs mip, s1
    PENDING(0)

    // norm: hip_vstip_clear, htimedelta_sz_acc_op
    // Unsigned: a comparator with the top bit set is far away, one with it clear is past once the guest's time has it.
    li t0, 1 << 63
    csrw vstimecmp, t0
    BECOMES(0)
    csrw htimedelta, t0
    BECOMES(BIT(VSTI))
    li t0, 1
    csrw vstimecmp, t0
    BECOMES(BIT(VSTI))
    // The sum is truncated: a guest whose time wraps in a while is past everything, and soon at the beginning.
    li gp, __LINE__
    rdtime t0
    addi t0, t0, 1000
    neg t0, t0
    csrw htimedelta, t0
    li t1, 1 << 40
    csrw vstimecmp, t1
    becomes BIT(VSTI)
    becomes 0
    // Its time has wrapped, or it would be pending still.
    in_mode IN_VS, 0
    rdtime a0
    out_of_mode
    got NONE
    srli a0, a0, 40
    CHECK(a0, 0)
    // The guest sets stimecmp itself and does not see that it is vstimecmp; it is interrupted when it is due.
    csrw hideleg, s1
    csrw hie, s1
    li t0, MSTATUS_SIE
    csrs vsstatus, t0
    li t0, -1
    csrw vstimecmp, t0
    csrw stimecmp, t0
    li s2, 1 << 50
    csrw htimedelta, s2
    // norm: H_vscsrs_sub, hcounteren_acc, hip_vstip_enable
    IN(VS)
    csrr a2, stimecmp
    rdtime a0
    addi a0, a0, 500
    csrw stimecmp, a0
1:  rdtime a1
    j 1b
    OUT
    GOT(IRQ(STI), VS)
    CHECK(a2, -1)
    li gp, __LINE__
    // Not before its time: the last time read is at most a few ticks from the comparator's.
    csrr a2, vstimecmp
    CHECK_SAME(a0, a2)
    csrr a2, stimecmp
    CHECK(a2, -1)
    rdtime a1
    add a1, a1, s2
    bgeu a1, a0, 2f
    FAIL
2:  // HS takes it where it is not delegated, and clears it by the comparator.
    csrw hideleg, zero
    IN(VU)
    nop
    OUT
    GOT(IRQ(VSTI), S)
    li t0, -1
    csrw vstimecmp, t0
    BECOMES(0)
    RUNS(VU, nop)
    PASS
