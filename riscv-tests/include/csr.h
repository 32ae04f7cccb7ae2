// Bits, causes and CSR numbers by the privileged manual's names; only what the assembler does not know itself.
#ifndef CSR_H
#define CSR_H

// Exception causes [priv, mcause].
#define INSN_MISALIGNED 0
#define INSN_ACCESS 1
#define ILLEGAL 2
#define BREAKPOINT 3
#define LOAD_MISALIGNED 4
#define LOAD_ACCESS 5
#define STORE_MISALIGNED 6
#define STORE_ACCESS 7
#define ECALL_U 8
#define ECALL_S 9
#define ECALL_VS 10
#define ECALL_M 11
#define INSN_PAGE 12
#define LOAD_PAGE 13
#define STORE_PAGE 15
#define INSN_GUEST_PAGE 20
#define LOAD_GUEST_PAGE 21
#define VIRTUAL 22
#define STORE_GUEST_PAGE 23

// Interrupt causes, and their bits in mip and mie.
#define IRQ(n) ((1 << 63) | (n))
#define SSI 1
#define VSSI 2
#define MSI 3
#define STI 5
#define VSTI 6
#define MTI 7
#define SEI 9
#define VSEI 10
#define MEI 11
#define SGEI 12
#define LCOFI 13
#define BIT(n) (1 << (n))

// mstatus, sstatus.
#define MSTATUS_SIE (1 << 1)
#define MSTATUS_MIE (1 << 3)
#define MSTATUS_SPIE (1 << 5)
#define MSTATUS_UBE (1 << 6)
#define MSTATUS_MPIE (1 << 7)
#define MSTATUS_SPP (1 << 8)
#define MSTATUS_VS (3 << 9)
#define MSTATUS_MPP (3 << 11)
#define MSTATUS_MPP_S (1 << 11)
#define MSTATUS_FS (3 << 13)
#define MSTATUS_FS_INITIAL (1 << 13)
#define MSTATUS_FS_CLEAN (2 << 13)
#define MSTATUS_XS (3 << 15)
#define MSTATUS_MPRV (1 << 17)
#define MSTATUS_SUM (1 << 18)
#define MSTATUS_MXR (1 << 19)
#define MSTATUS_TVM (1 << 20)
#define MSTATUS_TW (1 << 21)
#define MSTATUS_TSR (1 << 22)
#define MSTATUS_UXL (3 << 32)
#define MSTATUS_SXL (3 << 34)
#define MSTATUS_SBE (1 << 36)
#define MSTATUS_MBE (1 << 37)
#define MSTATUS_GVA (1 << 38)
#define MSTATUS_MPV (1 << 39)
#define MSTATUS_SD (1 << 63)

// hstatus.
#define HSTATUS_VSBE (1 << 5)
#define HSTATUS_GVA (1 << 6)
#define HSTATUS_SPV (1 << 7)
#define HSTATUS_SPVP (1 << 8)
#define HSTATUS_HU (1 << 9)
#define HSTATUS_VGEIN (0x3f << 12)
#define HSTATUS_VGEIN_SHIFT 12
#define HSTATUS_VTVM (1 << 20)
#define HSTATUS_VTW (1 << 21)
#define HSTATUS_VTSR (1 << 22)

// menvcfg, senvcfg, henvcfg.
#define ENVCFG_FIOM (1 << 0)
#define ENVCFG_CBIE_FLUSH (1 << 4)
#define ENVCFG_CBIE_INVAL (3 << 4)
#define ENVCFG_CBIE (3 << 4)
#define ENVCFG_CBCFE (1 << 6)
#define ENVCFG_CBZE (1 << 7)
#define ENVCFG_ADUE (1 << 61)
#define ENVCFG_PBMTE (1 << 62)
#define ENVCFG_STCE (1 << 63)

// mstateen0, hstateen0, sstateen0.
#define STATEEN_C (1 << 0)
#define STATEEN_ENVCFG (1 << 62)
#define STATEEN_SE (1 << 63)

// mcounteren and its kin.
#define COUNTEREN_CY (1 << 0)
#define COUNTEREN_TM (1 << 1)
#define COUNTEREN_IR (1 << 2)

// pmpcfg.
#define PMP_R 1
#define PMP_W 2
#define PMP_X 4
#define PMP_TOR (1 << 3)
#define PMP_NA4 (2 << 3)
#define PMP_NAPOT (3 << 3)
#define PMP_L (1 << 7)

// satp.MODE, vsatp.MODE, hgatp.MODE.
#define BARE 0
#define SV39 8
#define SV48 9
#define SV57 10
#define ATP_MODE_SHIFT 60
#define ATP_TAG_SHIFT 44

// Page-table entries.
#define PTE_V 0x01
#define PTE_R 0x02
#define PTE_W 0x04
#define PTE_X 0x08
#define PTE_U 0x10
#define PTE_G 0x20
#define PTE_A 0x40
#define PTE_D 0x80
#define PTE_RSW 0x300
#define PTE_PBMT_NC (1 << 61)
#define PTE_PBMT_IO (2 << 61)
#define PTE_PBMT_RESERVED (3 << 61)
#define PTE_N (1 << 63)
// An ordinary page: everything permitted, accessed and dirty.
#define PTE_RWX (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

// FP flags and the values of mstatus.FS's field.
#define NX 1
#define UF 2
#define OF 4
#define DZ 8
#define NV 16

// The board: what the programs touch of it.
#define RAM 0x80000000
#define CLINT 0x2000000
#define CLINT_MSIP (CLINT + 0)
#define CLINT_MTIMECMP (CLINT + 0x4000)
#define CLINT_MTIME (CLINT + 0xbff8)
// Only where the machine has a test device: the guest external interrupt lines of hart 0.
#define GUEST_LINES 0x60000100

#endif
