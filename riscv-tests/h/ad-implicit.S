// Law: an implicit access to a VS-stage table sets A, and an update there D, of the G-stage PTE that maps it; each of the two PTE leaves is updated for itself, and none is ever cleared.
// norm: H_vm_gpapriv, Svadu_hw_update_a_d_bits, menvcfg_adue_op, menvcfg_adue_henvcfg_adue_rdonly0, henvcfg_adue_op, nw:ad_update, nw:ad_gstage_d, nw:ad_never_cleared
// norm: nw:ad_before_access, nw:ad_d_exact, nw:walk_ad_svade, H_trap_xtinst_guestpage_rw, nw:fence_after_menvcfg, nw:fence_after_henvcfg
#include "hyper.h"
#define RWX (PTE_V | PTE_R | PTE_W | PTE_X)

// The leaves under test: of the VS-stage (s1), and at the G-stage of the data (s2) and of the VS-stage's table (s3). Each gets the
// A and D given and no others; then one access; then each must have what is given.
.macro leaves vs, data, table
    .irp pair, s1, s2, s3
    ld t5, (\pair)
    andi t5, t5, ~(PTE_A | PTE_D)
    sd t5, (\pair)
    .endr
    ld t5, (s1)
    ori t5, t5, \vs
    sd t5, (s1)
    ld t5, (s2)
    ori t5, t5, \data
    sd t5, (s2)
    ld t5, (s3)
    ori t5, t5, \table
    sd t5, (s3)
    hfence.gvma
    hfence.vvma
.endm
.macro leaves_are vs, data, table
    ld t5, (s1)
    andi t5, t5, PTE_A | PTE_D
    check_reg t5, \vs
    ld t5, (s2)
    andi t5, t5, PTE_A | PTE_D
    check_reg t5, \data
    ld t5, (s3)
    andi t5, t5, PTE_A | PTE_D
    check_reg t5, \table
.endm
#define LEAVES(...) li gp, __LINE__; leaves __VA_ARGS__
#define LEAVES_ARE(...) li gp, __LINE__; leaves_are __VA_ARGS__
#define AD (PTE_A | PTE_D)

BEGIN
    HYPERVISOR
    GSTAGE(SV39)
    page_at SPARE, 0x1111
    GMAP(GPA, SPARE, 0, RWX | PTE_U)
    mv s2, a0
    GMAP(GPA + PAGE, SPARE + PAGE, 0, RWX | PTE_U)
    mv s3, a0
    GSTAGE_ON(SV39)
    PAGING(SV39)
    la t6, trap
    sd zero, TRAP_USER_BIAS(t6)
    // VA's last table is the page that the guest has at GPA + PAGE.
    li s1, SPARE + PAGE + ((VA >> 12) & 0x1ff) * 8
    li t0, (GPA >> 2) | RWX
    sd t0, (s1)
    MAP(VA, GPA + PAGE, 1, PTE_V)
    VSSTAGE_ON(SV39)
    li s4, ENVCFG_ADUE
    csrw menvcfg, s4
    csrw henvcfg, s4
    hfence.gvma
    hfence.vvma
    li s5, VA + 8

    // A load: A of all that it met. The table is written for the VS-stage's A, so its page is dirty.
    LEAVES(0, 0, 0)
    LOADS(VS, VA + 8, 0x1111)
    LEAVES_ARE(PTE_A, PTE_A, AD)
    // With the VS-stage's A set nothing is written in the table.
    LEAVES(PTE_A, 0, 0)
    LOADS(VS, VA + 8, 0x1111)
    LEAVES_ARE(PTE_A, PTE_A, PTE_A)
    FETCHES(VS, VA)
    LEAVES_ARE(PTE_A, PTE_A, PTE_A)
    // A store: D of both leaves, and of the table's page because D of the VS-stage is written.
    STORES(VS, VA + 16, 0x2222)
    LEAVES_ARE(AD, AD, AD)
    LEAVES(AD, 0, 0)
    STORES(VS, VA + 16, 0x3333)
    LEAVES_ARE(AD, AD, PTE_A)
    LEAVES(AD, AD, PTE_A)
    STORES(VS, VA + 16, 0x4444)
    LOADS(VS, VA + 16, 0x4444)
    LEAVES_ARE(AD, AD, PTE_A)
    // D of a page that is only read stays clear, and bits that are set stay set.
    LEAVES(PTE_D, PTE_D, PTE_D)
    LOADS(VS, VA + 16, 0x4444)
    LEAVES_ARE(AD, AD, AD)
    // LR reads, AMO and SC write; so do HSV and CBO.ZERO. An SC that fails need not, but may.
    LEAVES(0, 0, AD)
    mv a0, s5
    RUNS(VS, lr.d a1, (a0))
    LEAVES_ARE(PTE_A, PTE_A, AD)
    RUNS(VS, amoor.d a1, zero, (a0))
    LEAVES_ARE(AD, AD, AD)
    LEAVES(0, 0, 0)
    li t0, HSTATUS_SPVP
    csrs hstatus, t0
    RUNS(S, hlv.d a1, (a0))
    LEAVES_ARE(PTE_A, PTE_A, AD)
    LEAVES(0, 0, 0)
    RUNS(S, hlvx.wu a1, (a0))
    LEAVES_ARE(PTE_A, PTE_A, AD)
    RUNS(S, hsv.d a1, (a0))
    LEAVES_ARE(AD, AD, AD)
    // With the VS-stage off the G-stage is updated all the same.
    LEAVES(0, 0, 0)
    VSSTAGE_OFF
    LOADS(VS, GPA + 24, 0)
    LEAVES_ARE(0, PTE_A, 0)
    STORES(VS, GPA + 24, 0x5555)
    LEAVES_ARE(0, AD, 0)
    VSSTAGE_ON(SV39)

    // The VS-stage's update comes before the fault of what follows, and may stay.
    LEAVES(0, 0, 0)
    ld s6, (s2)
    andi t0, s6, ~PTE_W
    sd t0, (s2)
    hfence.gvma
    GUEST_STORE_FAULTS(VS, VA + 8, GPA + 8)
    li gp, __LINE__
    ld t0, (s2)
    andi t0, t0, PTE_D
    CHECK(t0, 0)
    sd s6, (s2)

    // An update of a table that the G-stage does not let be written: the access's own cause, and a write.
    LEAVES(0, 0, AD)
    ld s6, (s3)
    andi t0, s6, ~PTE_W
    sd t0, (s3)
    hfence.gvma
    li s7, (GPA + PAGE + ((VA >> 12) & 0x1ff) * 8) >> 2
    mv a0, s5
    TRAPS(LOAD_GUEST_PAGE, VS, ld a1, (a0))
    TVAL2_IS(s7)
    TINST(0x3020)
    TRAPS(STORE_GUEST_PAGE, VS, sd a1, (a0))
    TVAL2_IS(s7)
    TINST(0x3020)
    sd s6, (s3)
    hfence.gvma

    // henvcfg.ADUE = 0: the VS-stage's clear A is its page fault, and nothing is written but A at the G-stage.
    csrw henvcfg, zero
    LEAVES(0, 0, 0)
    LOAD_FAULTS(VS, VA + 8, LOAD_PAGE)
    LEAVES_ARE(0, 0, PTE_A)
    LEAVES(PTE_A, 0, 0)
    STORE_FAULTS(VS, VA + 8, STORE_PAGE)
    LEAVES_ARE(PTE_A, 0, PTE_A)
    LOADS(VS, VA + 16, 0x4444)
    LEAVES_ARE(PTE_A, PTE_A, PTE_A)
    LEAVES(AD, 0, 0)
    STORES(VS, VA + 16, 0x6666)
    LEAVES_ARE(AD, AD, PTE_A)
    // menvcfg.ADUE = 0: henvcfg's is read-only zero, and the G-stage faults on a clear A, of the table first: an implicit read.
    csrw menvcfg, zero
    csrw henvcfg, s4
    CHECK_CSR(henvcfg, ENVCFG_ADUE, 0)
    LEAVES(AD, AD, 0)
    li s6, (GPA + PAGE + ((VA >> 12) & 0x1ff) * 8) >> 2
    mv a0, s5
    TRAPS(LOAD_GUEST_PAGE, VS, ld a1, (a0))
    TVAL2_IS(s6)
    TINST(0x3000)
    TRAPS(STORE_GUEST_PAGE, VS, sd a1, (a0))
    TVAL2_IS(s6)
    TINST(0x3000)
    LEAVES_ARE(AD, AD, 0)
    // Reading the table asks for A, not for D, even for a store.
    LEAVES(AD, AD, PTE_A)
    STORES(VS, VA + 16, 0x7777)
    LEAVES_ARE(AD, AD, PTE_A)
    LEAVES(AD, PTE_A, PTE_A)
    GUEST_STORE_FAULTS(VS, VA + 8, GPA + 8)
    LEAVES(AD, 0, PTE_A)
    GUEST_LOAD_FAULTS(VS, VA + 8, GPA + 8)
    GUEST_FETCH_FAULTS(VS, VA, GPA)
    LEAVES_ARE(AD, 0, PTE_A)
    PASS
