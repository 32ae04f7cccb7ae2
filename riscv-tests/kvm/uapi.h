// Parts of KVM's user interface that are newer than the kernel headers of older cross compilers (Debian 12 has those
// of Linux 6.1). The numbers are the kernel's ABI: they never change.
#ifndef UAPI_H
#define UAPI_H

#include <asm/kvm.h>
#include <linux/kvm.h>

#ifndef KVM_REG_RISCV_ISA_SINGLE
#define KVM_REG_RISCV_ISA_SINGLE 0
#endif

#ifndef KVM_REG_RISCV_SBI_EXT
#define KVM_REG_RISCV_SBI_EXT (0x08 << KVM_REG_RISCV_TYPE_SHIFT)
#define KVM_REG_RISCV_SBI_SINGLE 0
#endif

// The sixth member of struct kvm_riscv_config, zicboz_block_size.
#define REG_ZICBOZ_BLOCK (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CONFIG | 5)

// Numbers of SBI extensions and of ISA extensions for the registers above. Older headers have enumerations that end
// earlier, so ours have their own names.
enum {
	SBI_EXT_DBCN = 9,
};

enum {
	ISA_A = 0, ISA_C = 1, ISA_D = 2, ISA_F = 3, ISA_I = 5, ISA_M = 6,
	ISA_SVPBMT = 7, ISA_SSTC = 8, ISA_SVINVAL = 9, ISA_ZIHINTPAUSE = 10, ISA_ZICBOM = 11, ISA_ZICBOZ = 12,
	ISA_ZBB = 13, ISA_SVNAPOT = 16, ISA_ZBA = 17, ISA_ZBS = 18, ISA_ZICNTR = 19, ISA_ZICSR = 20,
	ISA_ZIFENCEI = 21, ISA_ZIHPM = 22, ISA_ZICOND = 24, ISA_ZBC = 25, ISA_ZFH = 46, ISA_ZFA = 51, ISA_ZACAS = 53,
	ISA_ZAWRS = 61, ISA_SVADE = 64, ISA_SVADU = 65, ISA_SVVPTC = 66,
};

#endif
