// Law: PMP checks every access of a two-stage walk, as S-mode's, and the access itself; what it refuses is an access fault of the original access's kind, with no guest physical address.
// norm: H_pmp, pmp_check_pagetable_access, pmp_check_priv_modes, nw:walk_pte_access, nw:walk_ad_access, H_exception_priority, nw:priority_first_encountered
// norm: nw:priority_physical_last, nw:fence_after_pmp_guest, nw:ad_page_tables_in_memory, hlsv_u_op
#include "hyper.h"
#define RWX (PTE_V | PTE_R | PTE_W | PTE_X)
#define RWXU (PTE_RWX | PTE_U)
// Entry 7 lets everything through; entry 0 is under test.
#define REST ((PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 56)

// Entry 0: the 4 KiB page of the address in `reg`, with these rights. HFENCE.GVMA suffices for what PMP said of the translated
// address; that a VS-stage PTE was read before PMP forbade it is the VS-stage's matter.
.macro protect reg, rights
    srli t5, \reg, 12
    slli t5, t5, 10
    ori t5, t5, 0x1ff
    csrw pmpaddr0, t5
    li t5, REST | PMP_NAPOT | (\rights)
    csrw pmpcfg0, t5
    hfence.gvma
.endm
.macro unprotect
    li t5, REST
    csrw pmpcfg0, t5
    hfence.gvma
.endm
.macro protect_table reg, rights
    protect \reg, \rights
    hfence.vvma
.endm
// Of guest and HS, each kind of access fails alike.
.macro denied cause, mode, insn:vararg
    in_mode IN_\mode, 0
    \insn
    out_of_mode
    got \cause
    trap_field_is TRAP_TVAL, a0
    trap_field_equals TRAP_TVAL2, 0
    trap_field_masked TRAP_STATUS, MSTATUS_GVA, MSTATUS_GVA
    // No pseudoinstruction: that is for guest-page faults.
    ld t5, trap + TRAP_TINST
    check_not t5, 0x3000
    check_not t5, 0x3020
.endm
.macro check_not reg, value
    li t6, \value
    bne \reg, t6, 8884f
    j fail
8884:
.endm
.macro all_denied
    li a0, VA + 8
    denied LOAD_ACCESS, VS, ld a1, (a0)
    denied STORE_ACCESS, VS, sd a1, (a0)
    denied LOAD_ACCESS, VS, lr.d a1, (a0)
    denied STORE_ACCESS, VS, sc.d a1, a2, (a0)
    denied STORE_ACCESS, VS, amoadd.d a1, a2, (a0)
    denied LOAD_ACCESS, S, hlv.d a1, (a0)
    denied LOAD_ACCESS, S, hlvx.wu a1, (a0)
    denied STORE_ACCESS, S, hsv.d a1, (a0)
    denied LOAD_ACCESS, M, hlv.d a1, (a0)
    li a0, VA
    denied INSN_ACCESS, VS, jr a0
.endm
#define DENIED(...) li gp, __LINE__; denied __VA_ARGS__
#define ALL_DENIED li gp, __LINE__; all_denied
#define PROTECT(...) li gp, __LINE__; protect __VA_ARGS__
#define PROTECT_TABLE(...) li gp, __LINE__; protect_table __VA_ARGS__
#define UNPROTECT unprotect

BEGIN
    HYPERVISOR
    li t0, -1
    csrw pmpaddr7, t0
    unprotect
    li t0, HSTATUS_SPVP
    csrs hstatus, t0
    GSTAGE(SV39)
    page_at SPARE, 0x1111
    // A G-stage table of its own for the data, and one for the VS-stage's last table.
    GMAP(GPA, SPARE, 0, RWXU)
    mv s0, a0
    GMAP(GPA + GIGA, SPARE + PAGE, 0, RWXU)
    mv s1, a0
    GSTAGE_ON(SV39)
    PAGING(SV39)
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
    MAP(VA, GPA, 0, PTE_RWX)
    // The last table moves to SPARE + PAGE, which the guest has at GPA + GIGA.
    li t0, SPARE + PAGE + ((VA >> 12) & 0x1ff) * 8
    ld t1, (a0)
    sd t1, (t0)
    mv s2, t0
    MAP(VA, GPA + GIGA, 1, PTE_V)
    mv s3, a0
    VSSTAGE_ON(SV39)
    LOADS(VS, VA + 8, 0x1111)

    // s0: the G-stage's PTE of the data; s1: that of the VS-stage's table; s2: the VS-stage's leaf; s3: the pointer to it.
    .irp pte, s0, s1, s2, s3
    li gp, __LINE__
    protect_table \pte, 0
    all_denied
    protect_table \pte, PMP_X
    all_denied
    // Reading is all that is needed while A and D are set.
    protect_table \pte, PMP_R
    loads VS, VA + 8, 0x1111
    stores VS, VA + 16, 0x2222
    unprotect
    loads VS, VA + 16, 0x2222
    .endr
    // Root tables, the four pages of hgatp's included.
    .irp root, pt, gpt
    li gp, __LINE__
    ld s4, \root + PT_ROOT
    protect_table s4, 0
    li a0, VA + 8
    denied LOAD_ACCESS, S, hlv.d a1, (a0)
    denied STORE_ACCESS, S, hsv.d a1, (a0)
    unprotect
    .endr

    // The data: each right by itself. HLVX wants to read and execute.
    li s4, SPARE
    PROTECT(s4, 0)
    ALL_DENIED
    PROTECT(s4, PMP_R)
    LOADS(VS, VA + 8, 0x1111)
    li a0, VA + 8
    DENIED(STORE_ACCESS, VS, sd a1, (a0))
    DENIED(STORE_ACCESS, VS, amoadd.d a1, a2, (a0))
    DENIED(LOAD_ACCESS, S, hlvx.wu a1, (a0))
    RUNS(S, hlv.wu a1, (a0))
    li a0, VA
    DENIED(INSN_ACCESS, VS, jr a0)
    PROTECT(s4, PMP_X)
    FETCHES(VS, VA)
    li a0, VA + 8
    DENIED(LOAD_ACCESS, VS, ld a1, (a0))
    DENIED(LOAD_ACCESS, S, hlvx.wu a1, (a0))
    PROTECT(s4, PMP_R | PMP_X)
    RUNS(S, hlvx.wu a1, (a0))
    UNPROTECT

    // Setting A or D writes the PTE, which PMP may forbid: an access fault, and the PTE stays as it was.
    li gp, __LINE__
    li t0, ENVCFG_ADUE
    csrs menvcfg, t0
    csrs henvcfg, t0
    ld s5, (s2)
    andi s6, s5, ~PTE_D
    sd s6, (s2)
    hfence.vvma
    PROTECT_TABLE(s2, PMP_R)
    LOADS(VS, VA + 8, 0x1111)
    li a0, VA + 8
    DENIED(STORE_ACCESS, VS, sd a1, (a0))
    DENIED(STORE_ACCESS, S, hsv.d a1, (a0))
    li gp, __LINE__
    ld t0, (s2)
    CHECK_SAME(t0, s6)
    UNPROTECT
    andi s6, s5, ~(PTE_A | PTE_D)
    sd s6, (s2)
    hfence.vvma
    PROTECT_TABLE(s2, PMP_R)
    li a0, VA + 8
    DENIED(LOAD_ACCESS, VS, ld a1, (a0))
    li a0, VA
    DENIED(INSN_ACCESS, VS, jr a0)
    ld t0, (s2)
    CHECK_SAME(t0, s6)
    UNPROTECT
    sd s5, (s2)
    hfence.vvma
    // The same at the G-stage: of the data, and of the VS-stage's table, which is read.
    .irp pte, s0, s1
    li gp, __LINE__
    ld s5, (\pte)
    andi s6, s5, ~(PTE_A | PTE_D)
    sd s6, (\pte)
    hfence.gvma
    protect_table \pte, PMP_R
    li a0, VA + 8
    denied LOAD_ACCESS, VS, ld a1, (a0)
    denied STORE_ACCESS, VS, sd a1, (a0)
    ld t0, (\pte)
    check_same t0, s6
    unprotect
    sd s5, (\pte)
    hfence.gvma
    .endr

    // First come: PMP refuses a PTE before anybody sees that it is not valid, and is asked about the data only when all else is fine.
    ld s5, (s2)
    sd zero, (s2)
    hfence.vvma
    PROTECT_TABLE(s2, 0)
    li a0, VA + 8
    DENIED(LOAD_ACCESS, VS, ld a1, (a0))
    UNPROTECT
    PROTECT(s4, 0)
    LOAD_FAULTS(VS, VA + 8, LOAD_PAGE)
    sd s5, (s2)
    hfence.vvma
    sd zero, (s0)
    hfence.gvma
    GUEST_LOAD_FAULTS(VS, VA + 8, GPA + 8)
    // PMP on the G-stage's PTE of the table comes before the VS-stage's leaf, which comes before the G-stage's PTE of the data.
    sd zero, (s2)
    hfence.vvma
    PROTECT_TABLE(s0, 0)
    LOAD_FAULTS(VS, VA + 8, LOAD_PAGE)
    PROTECT_TABLE(s1, 0)
    li a0, VA + 8
    DENIED(LOAD_ACCESS, VS, ld a1, (a0))
    PASS
