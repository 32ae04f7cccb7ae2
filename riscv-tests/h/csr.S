// Law: the hypervisor CSRs hold what they may: delegation, aliases of the interrupt registers, hgatp, vsatp, henvcfg under menvcfg.
#include "hyper.h"
.macro holds csr, written, mask, value
    li a0, \written
    csrw \csr, a0
    check_csr \csr, \mask, \value
.endm
#define HOLDS(...) li gp, __LINE__; holds __VA_ARGS__
#define VSI (BIT(VSSI) | BIT(VSTI) | BIT(VSEI))
BEGIN
    HYPERVISOR
    // norm: misa_h_op
    CHECK_CSR(misa, 1 << 7, 1 << 7)
    // norm: hedeleg_acc, nw:hedeleg_zero
    // hedeleg: 1 to 8, 12, 13, 15 can be delegated; 9, 10, 11, 16 and 20 to 23 cannot.
    HOLDS(hedeleg, -1, 0xf10e00, 0)
    CHECK_CSR(hedeleg, 0xb1fe, 0xb1fe)
    csrw hedeleg, zero
    // norm: hideleg_acc, hideleg_sz_acc
    // hideleg: VS's three.
    HOLDS(hideleg, -1, 0x1fff, VSI)
    csrw hideleg, zero
    // norm: mideleg_acc_h
    // mideleg's bits of VS are read-only one.
    HOLDS(mideleg, 0, VSI, VSI)
    // medeleg can delegate what is special to H.
    HOLDS(medeleg, -1, (1 << ECALL_VS) | (1 << INSN_GUEST_PAGE) | (1 << LOAD_GUEST_PAGE) | (1 << VIRTUAL) | (1 << STORE_GUEST_PAGE), (1 << ECALL_VS) | (1 << INSN_GUEST_PAGE) | (1 << LOAD_GUEST_PAGE) | (1 << VIRTUAL) | (1 << STORE_GUEST_PAGE))
    csrw medeleg, zero

    // norm: hvip_acc, hvip_sz_op, hip_op, mip_mie_alias, mip_mie_vs, hip_vssip_vssie_op, hip_vstip_vstie_acc_op
    // norm: hip_vseip_vseie_op, hip_acc
    // hvip holds VS's three; hip and mip show them; hip's VSSIP is hvip's, its others cannot be written.
    HOLDS(hvip, -1, 0x1fff, VSI)
    CHECK_CSR(hip, VSI, VSI)
    CHECK_CSR(mip, VSI, VSI)
    csrw hip, zero
    CHECK_CSR(hvip, 0x1fff, BIT(VSTI) | BIT(VSEI))
    csrw hvip, zero
    li t0, VSI
    csrs hip, t0
    CHECK_CSR(hvip, 0x1fff, BIT(VSSI))
    csrs mip, t0
    CHECK_CSR(hvip, 0x1fff, BIT(VSSI))
    csrw hvip, zero
    // norm: hie_op, hie_acc, mip_mie_alias, sie_hip_hie_mutex, hip_hie_sz_acc
    // hie and mie share bits; sie never shows them, nor do hie and hip those of sie.
    li t0, VSI
    csrw hie, t0
    CHECK_CSR(mie, VSI, VSI)
    CHECK_CSR(sie, -1, 0)
    csrw mie, zero
    CHECK_CSR(hie, VSI, 0)
    li t0, BIT(SSI) | BIT(STI) | BIT(SEI)
    csrw mideleg, t0
    li t1, -1
    csrw mie, t1
    csrw mip, t0
    CHECK_CSR(sie, 0xfff, BIT(SSI) | BIT(STI) | BIT(SEI))
    CHECK_CSR(hie, 0xfff, VSI)
    CHECK_CSR(hip, BIT(SSI) | BIT(STI) | BIT(SEI), 0)
    csrw mip, zero
    csrw mie, zero
    csrw mideleg, zero
    // norm: vsip_vsie_sei, vsip_vsie_sti, vsip_vsie_ssi
    // vsie and vsip are hie and hip shifted by one, where hideleg says so; else they are read-only zero.
    li t0, VSI
    csrw hvip, t0
    csrw hie, t0
    li t1, -1
    csrw vsie, t1
    CHECK_CSR(vsie, -1, 0)
    CHECK_CSR(vsip, -1, 0)
    csrw hvip, zero
    csrw hie, zero
    li t0, BIT(VSSI) | BIT(VSEI)
    csrw hideleg, t0
    li t0, -1
    csrw vsie, t0
    CHECK_CSR(hie, VSI, BIT(VSSI) | BIT(VSEI))
    CHECK_CSR(vsie, 0x1fff, BIT(SSI) | BIT(SEI))
    csrw hvip, t0
    CHECK_CSR(vsip, 0x1fff, BIT(SSI) | BIT(SEI))
    csrw vsip, zero
    CHECK_CSR(hvip, 0x1fff, BIT(VSTI) | BIT(VSEI))
    csrw hvip, zero
    csrw hie, zero
    csrw hideleg, zero

    // norm: hgatp_sz_acc_op, hgatp_mode_sv, hgatp_ppn_op, hgatp_vmid, hgatp_vmid_lsbs
    // hgatp: the MODE is one of ours, the root is 16 KiB aligned, VMID bits come lowest first.
    HOLDS(hgatp, (SV39 << 60) | 0x123457, 0xf00000000fffffff, (SV39 << 60) | 0x123454)
    HOLDS(hgatp, (SV48 << 60) | 0x123454, 0xf00000000fffffff, (SV48 << 60) | 0x123454)
    HOLDS(hgatp, (SV57 << 60) | 0x123454, 0xf00000000fffffff, (SV57 << 60) | 0x123454)
    li gp, __LINE__
    li a0, (15 << 60)
    csrw hgatp, a0
    csrr a0, hgatp
    srli a0, a0, 60
    sltiu a1, a0, 11
    check_reg a1, 1
    csrw hgatp, zero
    li a0, (SV39 << 60) | (0x3fff << 44)
    csrw hgatp, a0
    csrr a0, hgatp
    slli a0, a0, 6
    srli a0, a0, 50
    addi a1, a0, 1
    and a1, a1, a0
    check_reg a1, 0
    csrw hgatp, zero

    // norm: vsatp_mode_unsupported_v1
    // vsatp from VS, as satp: an unknown MODE leaves it alone.
    li a0, (SV39 << 60) | 0x777
    csrw vsatp, a0
    li a1, (3 << 60) | 0x123
    // The program is not mapped there, so only M looks.
    csrr a2, vsatp
    CHECK_SAME(a0, a2)
    csrw vsatp, zero
    IN(VS)
    csrw satp, a1
    csrr a2, satp
    OUT
    GOT(NONE)
    CHECK(a2, 0)
    // norm: hstatus_sz_acc_op, hstatus_vsxl_64, hstatus_vsxl_op, vsstatus_uxl_op
    // hstatus.VTVM and VTSR, VTW, SPVP, HU hold both; VSXL is 64 bits, VGEIN nothing.
    li a0, HSTATUS_VTVM | HSTATUS_VTSR | HSTATUS_VTW | HSTATUS_SPVP | HSTATUS_HU | HSTATUS_SPV | HSTATUS_GVA
    csrs hstatus, a0
    csrr a1, hstatus
    and a1, a1, a0
    CHECK_SAME(a0, a1)
    csrc hstatus, a0
    csrr a1, hstatus
    and a1, a1, a0
    CHECK(a1, 0)
    CHECK_CSR(hstatus, 3 << 32, 2 << 32)
    CHECK_CSR(vsstatus, 3 << 32, 2 << 32)

    // norm: henvcfg_sz_acc_op, menvcfg_pbmte_henvcfg_pbmte_rdonly0, menvcfg_adue_henvcfg_adue_rdonly0
    // norm: menvcfg_stce_op2
    // henvcfg: STCE, PBMTE and ADUE are read-only zero while menvcfg's are zero.
    csrw menvcfg, zero
    HOLDS(henvcfg, -1, ENVCFG_STCE | ENVCFG_PBMTE | ENVCFG_ADUE, 0)
    li a0, ENVCFG_STCE | ENVCFG_PBMTE
    csrw menvcfg, a0
    HOLDS(henvcfg, -1, ENVCFG_STCE | ENVCFG_PBMTE | ENVCFG_ADUE, ENVCFG_STCE | ENVCFG_PBMTE)
    csrw henvcfg, zero
    csrw menvcfg, zero

    // norm: htval_sz_acc_op, htval_val, htimedelta_sz_acc_op, vsepc_warl, vstval_warl, hcounteren_sz
    // htval, htinst, mtval2 are for software too; htimedelta and vs registers hold anything.
    HOLDS(htval, 0x0123456789abcdef, -1, 0x0123456789abcdef)
    HOLDS(htimedelta, 0x8123456789abcdef, -1, 0x8123456789abcdef)
    HOLDS(vsscratch, 0x8123456789abcdef, -1, 0x8123456789abcdef)
    HOLDS(vstval, 0x8123456789abcdef, -1, 0x8123456789abcdef)
    HOLDS(vsepc, 0x80001003, -1, 0x80001002)
    HOLDS(hcounteren, 0xffffffff00000007, 0xffffffff00000007, 7)
    csrw htimedelta, zero
    CHECK_CSR(hgeie, 1, 0)
    CHECK_CSR(hgeip, 1, 0)

    // norm: H_csrs_hs_not_vs, H_vscsrs_acc_vs, H_vscsrs_acc_u, H_vscsrs_acc_m_hs
    // norm: H_virtinst_vu_vs_nonhigh_allowedhs_tvm0
    // Whose they are: HS's, and a virtual-instruction exception in a guest; never U's.
    .irp csr, hstatus, hedeleg, hideleg, hie, hip, hvip, htval, htinst, hgatp, hcounteren, htimedelta, vsstatus, vstvec, vscause, vsatp, vsie
    li gp, __LINE__
    traps NONE, M, S, csrr a0, \csr
    traps ILLEGAL, M, U, csrr a0, \csr
    traps VIRTUAL, M, VS, csrr a0, \csr
    traps VIRTUAL, M, VU, csrr a0, \csr
    .endr
    // M's are illegal in every guest mode.
    TRAPS(ILLEGAL, VS, csrr a0, mstatus)
    TRAPS(ILLEGAL, VS, csrr a0, mtval2)
    TRAPS(ILLEGAL, VU, csrr a0, mtinst)
    // norm: H_virtinst_vu_nonhigh_supervisor_allowedhs_tvm0
    TRAPS(VIRTUAL, VU, csrr a0, sscratch)
    TRAPS(VIRTUAL, VU, csrw satp, x0)
    PASS
