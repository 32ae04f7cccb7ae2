// Law: SFENCE.W.INVAL, SINVAL.VMA, SFENCE.INVAL.IR together are SFENCE.VMA, in S and M; one pair of ends covers many invalidations.
#include "paging.h"
.macro leaf_to n, page
    la t6, leaves
    ld t6, (t6)
    li t5, ((SPARE + \n * PAGE) >> 2) | PTE_RWX
    sd t5, \page * 8(t6)
.endm
BEGIN
    PAGING(SV39)
    page_at SPARE + 1 * PAGE, 1
    page_at SPARE + 2 * PAGE, 2
    MAP(VA + PAGE, SPARE + PAGE, 0, PTE_RWX)
    MAP(VA, SPARE + PAGE, 0, PTE_RWX)
    la t0, leaves
    sd a0, (t0)
    PAGING_ON(SV39, 1)
    li s0, VA
    li s1, VA + PAGE
    li s2, 1
    // norm: Svinval_sequence_rs1_rs2, Svinval_sequence_reads_writes_before, Svinval_sequence_reads_writes_after
    // norm: Svinval_sinval_vma_invalidates_same_as_sfence_vma, Svinval_sfence_w_inval_orders_before_sinval_vma
    .irp operands, "x0, x0", "s0, x0", "x0, s2", "s0, s2"
    li gp, __LINE__
    leaf_to 1, 0
    sfence.vma
    loads S, VA + 8, 1
    leaf_to 2, 0
    in_mode IN_S, 0
    sfence.w.inval
    sinval.vma \operands
    sfence.inval.ir
    out_of_mode
    got NONE
    loads S, VA + 8, 2
    .endr

    LOADS(S, VA + PAGE + 8, 1)
    leaf_to 1, 0
    leaf_to 2, 1
    IN(S)
    sfence.w.inval
    sinval.vma s0, x0
    sinval.vma s1, x0
    sfence.inval.ir
    OUT
    GOT(NONE)
    LOADS(S, VA + 8, 1)
    LOADS(S, VA + PAGE + 8, 2)
    leaf_to 2, 0
    sfence.w.inval
    sinval.vma s0, s2
    sfence.inval.ir
    LOADS(S, VA + 8, 2)
    PASS

    .data
    .balign 8
leaves:
    .dword 0
