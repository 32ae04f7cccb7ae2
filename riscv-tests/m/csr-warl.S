// Law: WARL fields hold only legal values, read-only fields ignore writes, and bits that mean nothing here read zero.
#include "test.h"

// Writing `ones` to a CSR and reading gives `value` under `mask`.
.macro holds csr, written, mask, value
    li a0, \written
    csrw \csr, a0
    check_csr \csr, \mask, \value
.endm
#define HOLDS(...) li gp, __LINE__; holds __VA_ARGS__

BEGIN
    // norm: mstatus_xpp_warl, mstatus_mpp_sz, mstatus_xpp_enc
    // mstatus. The programs here must survive, so MPRV, MBE, SBE and UBE are set apart.
    li s0, MSTATUS_MPP
    csrc mstatus, s0
    // MPP: 2 is no mode.
    li a0, 2 << 11
    csrs mstatus, a0
    csrr a1, mstatus
    and a1, a1, s0
    addi a1, a1, -2048
    addi a1, a1, -2048
    li gp, __LINE__
    snez a1, a1
    check_reg a1, 1
    .irp mode, 3, 1, 0
    csrc mstatus, s0
    li a0, \mode << 11
    csrs mstatus, a0
    check_csr mstatus, MSTATUS_MPP, \mode << 11
    .endr
    // norm: mstatus_sxl_uxl_warl_op, mstatus_sxl_uxl_enc, mstatus_sxl_acc_mxlen64, mstatus_uxl_acc_mxlen64
    // norm: mstatus_xs_acc, mstatus_sd_acc, mstatus_sd_op1
    // SXL and UXL are 2 = 64 bits, XS is 0, SD summarises.
    CHECK_CSR(mstatus, MSTATUS_UXL | MSTATUS_SXL, (2 << 32) | (2 << 34))
    li a0, MSTATUS_XS | (1 << 2) | (1 << 4) | (1 << 0)
    csrs mstatus, a0
    CHECK_CSR(mstatus, MSTATUS_XS | (1 << 2) | (1 << 4) | (1 << 0), 0)
    li a0, MSTATUS_SD
    csrc mstatus, a0
    li a1, MSTATUS_FS
    csrs mstatus, a1
    csrc mstatus, a0
    CHECK_CSR(mstatus, MSTATUS_SD, MSTATUS_SD)
    csrc mstatus, a1
    csrs mstatus, a0
    CHECK_CSR(mstatus, MSTATUS_SD, 0)
    // norm: mstatus_sie_spie_rdonly0, mstatus_mxr_rdonly0_no_smode, mstatus_sum_rdonly0, mstatus_tvm_warl_op
    // norm: mstatus_tw_acc, mstatus_tsr_acc, mstatus_spp_sz, mstatus_sz_acc
    // SUM, MXR, TVM, TW, TSR, SPP, SPIE, MPIE hold both values.
    li a0, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_MPIE
    csrs mstatus, a0
    csrr a1, mstatus
    and a1, a1, a0
    CHECK_SAME(a0, a1)
    csrc mstatus, a0
    csrr a1, mstatus
    and a1, a1, a0
    CHECK(a1, 0)

    // norm: sstatus, sstatus_uxl, sstatus_uxl_sz
    // sstatus shows the fields of S, and writing it changes no other.
    csrr s1, mstatus
    li a0, MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_MIE | MSTATUS_MPIE
    csrs sstatus, a0
    csrr a1, mstatus
    CHECK_SAME(a1, s1)
    CHECK_CSR(sstatus, MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR | MSTATUS_MPP | MSTATUS_MIE | MSTATUS_SXL, 0)
    CHECK_CSR(sstatus, MSTATUS_UXL, 2 << 32)
    li a0, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_FS
    csrs sstatus, a0
    csrr a1, mstatus
    and a1, a1, a0
    CHECK_SAME(a0, a1)
    csrc sstatus, a0
    csrr a1, mstatus
    CHECK_SAME(a1, s1)

    // norm: misa_mxl_op_isa, misa_mxl_op_nz, misa_sz, misa_i_op, misa_s_op, misa_u_op, misa_always_rd
    // norm: misa_extensions_rsv_ret_0
    // misa says RV64 with at least I, S, U; its upper part is zero.
    li gp, __LINE__
    csrr a0, misa
    srli a1, a0, 62
    check_reg a1, 2
    li a1, (1 << 8) | (1 << 18) | (1 << 20)
    and a2, a0, a1
    check_same a1, a2
    slli a1, a0, 2
    srli a1, a1, 28
    check_reg a1, 0
    // norm: misa_acc, misa_extensions_warl_op
    // Whatever a write leaves, it is a supported set: I stays, and without F no D.
    li a1, 0
    csrw misa, a1
    csrr a1, misa
    // norm: misa_mxl_acc, misa_e_acc, misa_e_not_i
    // MXL stays, and E is the opposite of I.
    srli a2, a1, 62
    check_reg a2, 2
    andi a2, a1, (1 << 8) | (1 << 4)
    check_reg a2, 1 << 8
    andi a2, a1, 1 << 8
    check_reg a2, 1 << 8
    andi a2, a1, (1 << 5) | (1 << 3)
    addi a2, a2, -(1 << 3)
    snez a2, a2
    check_reg a2, 1
    csrw misa, a0
    csrr a1, misa
    check_same a0, a1

    // norm: mtvec_sz_warl_acc, mtvec_base_align_4B, stvec, stvec_op, stvec_sz_base
    // xtvec: BASE holds any 4-byte aligned address, whatever is written to MODE, of which 2 and 3 are reserved.
    HOLDS(mtvec, 0x80001000, -1, 0x80001000)
    HOLDS(mtvec, 0x80001001, -1, 0x80001001)
    .irp csr, mtvec, stvec
    .irp mode, 2, 3
    HOLDS(\csr, 0x80002000 + \mode, -1 << 1, 0x80002000)
    .endr
    .endr
    HOLDS(stvec, 0x80001001, -1, 0x80001001)
    la a0, handle_m
    csrw mtvec, a0

    // norm: medeleg_when_rd0, medeleg_16_no_rd0, medeleg_no_rd1, medeleg_mideleg_warl, medeleg_mideleg_op1
    // norm: medeleg_sz_acc, medeleg_mideleg_mandatory_S_mode
    // medeleg: ECALL from M and the reserved causes are never delegated; the rest of the usual ones can be.
    li a0, -1
    csrw medeleg, a0
    CHECK_CSR(medeleg, (1 << ECALL_M) | (1 << 14) | (1 << 16) | (1 << 17) | (0xff << 24), 0)
    CHECK_CSR(medeleg, (1 << ILLEGAL) | (1 << BREAKPOINT) | (1 << ECALL_U) | (1 << INSN_PAGE) | (1 << LOAD_PAGE) | (1 << STORE_PAGE), (1 << ILLEGAL) | (1 << BREAKPOINT) | (1 << ECALL_U) | (1 << INSN_PAGE) | (1 << LOAD_PAGE) | (1 << STORE_PAGE))
    csrw medeleg, zero
    CHECK_CSR(medeleg, -1, 0)

    // norm: mideleg_no_rd1, medeleg_mideleg_warl, mideleg_enc_txt, mideleg_sz_acc
    // mideleg: S's interrupts can be delegated, M's cannot. With H, VS's are read-only one.
    li a0, -1
    csrw mideleg, a0
    CHECK_CSR(mideleg, BIT(SSI) | BIT(STI) | BIT(SEI) | BIT(MSI) | BIT(MTI) | BIT(MEI), BIT(SSI) | BIT(STI) | BIT(SEI))
    csrw mideleg, zero
    CHECK_CSR(mideleg, BIT(SSI) | BIT(STI) | BIT(SEI) | BIT(MSI) | BIT(MTI) | BIT(MEI), 0)

    // norm: mie_bits_wr, mie_bits_rdonly0, mip_mie_std_enc_txt, mie_sz_acc, mip_sz_acc, mip_meip_rdonly
    // norm: mip_mtip_rdonly, mip_msip_rdonly, mip_bits_wr_or_rdonly, mip_bits_wr_op, mip_seip_acc, mip_ssip_acc
    // mie holds exactly the implemented interrupts; mip's M bits come from outside only.
    HOLDS(mie, -1, 0xfff & ~0x444, BIT(SSI) | BIT(MSI) | BIT(STI) | BIT(MTI) | BIT(SEI) | BIT(MEI))
    HOLDS(mie, 0, -1, 0)
    li a0, -1
    csrw mip, a0
    CHECK_CSR(mip, BIT(MSI) | BIT(MEI) | 0x111, 0)
    CHECK_CSR(mip, BIT(SSI) | BIT(STI) | BIT(SEI), BIT(SSI) | BIT(STI) | BIT(SEI))
    csrw mip, zero
    CHECK_CSR(mip, BIT(SSI) | BIT(STI) | BIT(SEI), 0)

    // norm: sip_sie, sip_acc, sie_acc, sip_sie_warl, sip_sie_bits_sz, sip_ssip_sie_ssie, sip_seip_sie_seie
    // norm: sip_stip_sie_stie
    // sie and sip show only delegated interrupts, and of sip only SSIP can be written.
    li a0, -1
    csrw mie, a0
    csrw mideleg, zero
    CHECK_CSR(sie, -1, 0)
    li a0, BIT(SSI) | BIT(SEI)
    csrw mideleg, a0
    CHECK_CSR(sie, BIT(SSI) | BIT(STI) | BIT(SEI) | BIT(MSI), BIT(SSI) | BIT(SEI))
    csrw sie, zero
    CHECK_CSR(mie, BIT(SSI) | BIT(STI) | BIT(SEI) | BIT(MSI), BIT(STI) | BIT(MSI))
    li a0, BIT(SSI) | BIT(STI) | BIT(SEI)
    csrw mideleg, a0
    csrw sip, a0
    CHECK_CSR(mip, BIT(SSI) | BIT(STI) | BIT(SEI), BIT(SSI))
    li a1, BIT(STI) | BIT(SEI)
    csrs mip, a1
    CHECK_CSR(sip, -1, BIT(SSI) | BIT(STI) | BIT(SEI))
    csrw sip, zero
    CHECK_CSR(sip, -1, BIT(STI) | BIT(SEI))
    csrw mip, zero
    csrw mie, zero
    csrw mideleg, zero

    // norm: mcause_sz_acc, mcause_exccode_wlrl, scause_exception_code_acc, mtval_sz_acc, mtval_warl, stval_acc
    // norm: sscratch, sepc, sepc_acc_invalid_addr, mepc_warl, mtval_vaddr_and_0_sz, M_access_all_lower_priv_CSRs
    // Cause registers hold the causes that exist, tval and scratch anything.
    HOLDS(mcause, IRQ(MTI), -1, IRQ(MTI))
    HOLDS(mcause, STORE_PAGE, -1, STORE_PAGE)
    HOLDS(scause, IRQ(SEI), -1, IRQ(SEI))
    HOLDS(mtval, 0x8123456789abcdef, -1, 0x8123456789abcdef)
    HOLDS(stval, 0x8123456789abcdef, -1, 0x8123456789abcdef)
    HOLDS(sscratch, 0x8123456789abcdef, -1, 0x8123456789abcdef)
    HOLDS(sepc, 0x80001003, 1, 0)
    HOLDS(sepc, 0x80001002, -1, 0x80001002)
    .irp csr, mepc, sepc, mtval, stval
    li gp, __LINE__
    holds \csr, 0, -1, 0
    holds \csr, 0x00fffffffffffffe, -1, 0x00fffffffffffffe
    holds \csr, 0xff00000000000002, -1, 0xff00000000000002
    .endr

    // norm: satp_mode_op_unsupported, satp_mode_sxlen64
    // satp: a write with an unknown MODE changes nothing at all.
    HOLDS(satp, (SV39 << 60) | 0x12345, -1, (SV39 << 60) | 0x12345)
    HOLDS(satp, (1 << 60) | 0x777, -1, (SV39 << 60) | 0x12345)
    HOLDS(satp, (7 << 60) | 0x777, -1, (SV39 << 60) | 0x12345)
    HOLDS(satp, (11 << 60) | 0x777, -1, (SV39 << 60) | 0x12345)
    HOLDS(satp, (15 << 60) | 0x777, -1, (SV39 << 60) | 0x12345)
    csrw satp, zero

    // norm: menvcfg_sz_acc, menvcfg_pbmte_op, menvcfg_stce_op1, menvcfg_adue_op, menvcfg_cbie_warl_op
    // norm: menvcfg_pmm_rdonly0, menvcfg_cde_rdonly0, senvcfg, senvcfg_cbie
    // menvcfg and senvcfg: CBIE 2 is reserved, unknown bits are zero; FIOM has a program of its own.
    HOLDS(menvcfg, ENVCFG_STCE | ENVCFG_PBMTE | ENVCFG_ADUE | ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE, -1, ENVCFG_STCE | ENVCFG_PBMTE | ENVCFG_ADUE | ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE)
    HOLDS(menvcfg, 0, -1, 0)
    HOLDS(senvcfg, ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE | ENVCFG_STCE, -1, ENVCFG_CBZE | ENVCFG_CBCFE | ENVCFG_CBIE)
    HOLDS(senvcfg, 0, -1, 0)

    // norm: mcounteren_sz, mcounteren_flds_mandatory_warl, scounteren, scounteren_acc, mcountinhibit_sz_warl_op1
    // Counter enables have 32 bits, mcountinhibit no bit for time.
    HOLDS(mcounteren, 0xffffffff00000007, 0xffffffff00000007, 7)
    HOLDS(scounteren, 0xffffffff00000007, 0xffffffff00000007, 7)
    HOLDS(mcountinhibit, -1, 0xffffffff00000007, 5)
    csrw mcountinhibit, zero
    PASS
