// Law: every VS-stage PTE is itself fetched through the G-stage; each stage's failure is its own kind of fault, with the addresses of both.
#include "hyper.h"
#define RWXU (PTE_RWX | PTE_U)
BEGIN
    HYPERVISOR
    // Faults of the VS-stage go to VS, so that none is taken for the other's.
    li t0, (1 << INSN_PAGE) | (1 << LOAD_PAGE) | (1 << STORE_PAGE)
    csrw medeleg, t0
    csrw hedeleg, t0

    .macro tests vsmode, gmode
    gstage \gmode
    page_at SPARE, 0x1111
    page_at SPARE + PAGE, 0x2222
    gmap GPA, SPARE, 0, RWXU
    gmap GPA + PAGE, SPARE + PAGE, 0, RWXU
    gmap GPA + MEGA, SPARE, 1, RWXU
    gstage_on \gmode
    paging \vsmode
    // norm: H_vm_twostage, vsatp_sz_acc_op, nw:walk_output
    // 4K on 4K, 4K on 2M, 2M on 2M, 2M on 4K (of which two are mapped).
    map VA, GPA, 0, PTE_RWX
    map VA + PAGE, GPA + MEGA + PAGE, 0, PTE_RWX
    map VA + 2 * PAGE, GPA + 2 * PAGE, 0, PTE_RWX
    map VA + 3 * PAGE, GPA, 0, RWXU
    map VA + MEGA, GPA + MEGA, 1, PTE_RWX
    map VA + 2 * MEGA, GPA, 1, PTE_RWX
    vsstage_on \vsmode
    loads VS, VA + 8, 0x1111
    loads VS, VA + PAGE + 8, 0x2222
    loads VS, VA + MEGA + PAGE + 8, 0x2222
    loads VS, VA + 2 * MEGA + PAGE + 8, 0x2222
    loads VU, VA + 3 * PAGE + 8, 0x1111
    fetches VS, VA
    fetches VU, VA + 3 * PAGE
    stores VS, VA + 16, 0x4444
    loads VS, VA + MEGA + 16, 0x4444
    // norm: H_guest_page_fault, mtval2_trapval, mtval2_htval_virtaddr
    // The G-stage has nothing there: guest-virtual and guest-physical address.
    guest_load_faults VS, VA + 2 * PAGE + 8, GPA + 2 * PAGE + 8
    guest_store_faults VS, VA + 2 * PAGE + 8, GPA + 2 * PAGE + 8
    guest_fetch_faults VS, VA + 2 * PAGE, GPA + 2 * PAGE
    guest_load_faults VS, VA + 2 * MEGA + 5 * PAGE + 8, GPA + 5 * PAGE + 8
    // The VS-stage has nothing there, or forbids it: VS's own page fault.
    .irp page, 9, 3
    li a0, VA + \page * PAGE
    in_mode IN_VS, 0
    ld a1, (a0)
    out_of_mode
    got LOAD_PAGE, VS
    trap_field_is TRAP_TVAL, a0
    .endr
    li a0, VA
    in_mode IN_VU, 0
    sd a1, (a0)
    out_of_mode
    got STORE_PAGE, VS
    trap_field_is TRAP_TVAL, a0
    .endm
#define TESTS(...) li gp, __LINE__; tests __VA_ARGS__
    TESTS(SV39, SV39)
    TESTS(SV48, SV39)
    TESTS(SV39, SV48)
    TESTS(SV57, SV57)

    // norm: H_vm_gstagetrans, H_vm_gpapriv, H_trap_xtinst_guestpage, H_trap_xtinst_guestpage_rw, nw:tinst_pseudo
    // norm: mtval2_trapval_vstrans
    // The tables of the VS-stage behind a hole of the G-stage: a guest-page fault of the original access, whose guest-physical
    // address is the PTE's and whose mtinst says that it was an implicit read.
    GSTAGE(SV39)
    GSTAGE_ON(SV39)
    PAGING(SV39)
    MAP(VA, RAM, 0, PTE_RWX)
    // VA's level-1 table is taken away to where the G-stage maps nothing.
    li gp, __LINE__
    ld s0, pt + PT_ROOT
    li t0, (GPA >> 2) | PTE_V
    sd t0, (VA >> 30) * 8(s0)
    VSSTAGE_ON(SV39)
    li s1, GPA + ((VA >> 21) & 0x1ff) * 8
    srli s1, s1, 2
    li a0, VA
    IN(VS)
    ld a1, (a0)
    OUT
    GOT(LOAD_GUEST_PAGE)
    TVAL_IS(a0)
    TVAL2_IS(s1)
    TINST(0x3000)
    IN(VS)
    sd a1, (a0)
    OUT
    GOT(STORE_GUEST_PAGE)
    TVAL2_IS(s1)
    TINST(0x3000)
    IN(VS)
    jr a0
    OUT
    GOT(INSN_GUEST_PAGE)
    TVAL_IS(a0)
    TVAL2_IS(s1)
    TINST(0x3000)
    // (What a table's page holds is the VS-stage's matter, so each change of it owes HFENCE.VVMA besides.)
    // norm: H_vm_gpapriv
    // Readable is enough for a PTE, execute-only is not, whatever MXR says: it is an implicit read.
    GMAP(GPA, SPARE, 0, PTE_V | PTE_R | PTE_A | PTE_U)
    hfence.gvma
    hfence.vvma
    li t0, SPARE
    li t1, (RAM >> 2) | PTE_RWX
    li t2, ((VA >> 21) & 0x1ff) * 8
    add t0, t0, t2
    sd t1, (t0)
    li a0, VA
    RUNS(VS, ld a1, (a0))
    GMAP(GPA, SPARE, 0, PTE_V | PTE_X | PTE_A | PTE_U)
    hfence.gvma
    hfence.vvma
    li s0, MSTATUS_MXR
    csrs mstatus, s0
    li a0, VA
    TRAPS(LOAD_GUEST_PAGE, VS, ld a1, (a0))
    TVAL2_IS(s1)
    TINST(0x3000)
    csrc mstatus, s0
    // norm: nw:walk_pte_access
    // A PTE where there is no memory: an access fault.
    GMAP(GPA, 0x50000000, 0, PTE_RWX | PTE_U)
    hfence.gvma
    hfence.vvma
    li a0, VA
    TRAPS(LOAD_ACCESS, VS, ld a1, (a0))
    TVAL_IS(a0)
    TRAPS(STORE_ACCESS, VS, sd a1, (a0))
    TRAPS(INSN_ACCESS, VS, jr a0)
    PASS
