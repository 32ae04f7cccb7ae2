// Virtual machines of KVM on RISC-V: memory slots, vCPUs, registers. What every part of this program shares.
//
// Calls that cannot fail in a correct set-up end the program with a message that names the call; only what a caller
// can do something about is returned.
#ifndef VM_H
#define VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "uapi.h"

#define KIB 1024ul
#define MIB (1024ul * KIB)
#define PAGE_BYTES 4096ul
#define HUGE_BYTES (2 * MIB)

// Ends the program after "vmm: FAIL: " and the message; `die_errno` adds what errno says.
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Seconds since an arbitrary moment.
double seconds(void);

// What is behind a memory slot.
enum backing {
	BACKING_4K,        // small pages only
	BACKING_THP,       // anonymous memory that the kernel backs with transparent huge pages
	BACKING_HUGETLB2M, // 2 MiB pages reserved in hugetlbfs
};

// The backing of that name, or death with the list of names.
enum backing backing_named(const char *name);
const char *backing_name(enum backing backing);

struct vm {
	int kvm;          // /dev/kvm
	int fd;           // the virtual machine
	size_t run_bytes; // of the area that a vCPU shares with us
};

// A memory slot: guest physical addresses from `gpa`, backed by our memory at `at`.
struct memory {
	unsigned slot;
	uint64_t gpa;
	size_t bytes;
	uint8_t *at;
	enum backing backing;
};

struct vcpu {
	struct vm *vm;
	unsigned id;
	int fd;
	struct kvm_run *run;
};

void vm_open(struct vm *vm);

// What the machine says to an extension: 0 is no, more is its value.
int vm_extension(const struct vm *vm, int capability);

// Allocates memory, writes to every page of it, and makes it a slot. `bytes` is a multiple of 2 MiB for huge pages.
void memory_create(struct vm *vm, struct memory *memory, unsigned slot, uint64_t gpa, size_t bytes,
		   enum backing backing);

// Sets the flags of the slot, such as KVM_MEM_LOG_DIRTY_PAGES.
void memory_flags(struct vm *vm, const struct memory *memory, uint32_t flags);

// Reads the slot's dirty log, a bit a page. Clears it too, unless manual protection is on.
void dirty_log_get(struct vm *vm, const struct memory *memory, uint64_t *bitmap);

// With manual protection: clears those of `pages` pages from `first` on whose bit is set in `bitmap`, which begins
// with the bit of page `first`. `first` is a multiple of 64, and so is `pages` unless it reaches the end.
void dirty_log_clear(struct vm *vm, const struct memory *memory, uint64_t first, uint32_t pages, uint64_t *bitmap);

// Deletes the slot; the memory stays.
void memory_delete(struct vm *vm, const struct memory *memory);

// Bytes of the memory that huge pages back at the moment, as the kernel says.
size_t memory_huge_bytes(const struct memory *memory);

// Where a guest physical range is in our memory; NULL if it does not lie inside the slot.
void *memory_at(const struct memory *memory, uint64_t gpa, uint64_t bytes);

// Reads a file into the slot and returns its size.
size_t memory_load(const struct memory *memory, uint64_t gpa, const char *path);

void vcpu_create(struct vm *vm, struct vcpu *vcpu, unsigned id);

// Reads or writes a register by its id in KVM's interface; `try` forms return false where KVM knows no such register.
void vcpu_set(const struct vcpu *vcpu, uint64_t id, uint64_t value);
uint64_t vcpu_get(const struct vcpu *vcpu, uint64_t id);
bool vcpu_try_set(const struct vcpu *vcpu, uint64_t id, uint64_t value);
bool vcpu_try_get(const struct vcpu *vcpu, uint64_t id, uint64_t *value);

#define REG_U64 (KVM_REG_RISCV | KVM_REG_SIZE_U64)
#define REG_CORE(name) (REG_U64 | KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(regs.name))
#define REG_CSR(name) (REG_U64 | KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_REG(name))
#define REG_CONFIG(name) (REG_U64 | KVM_REG_RISCV_CONFIG | KVM_REG_RISCV_CONFIG_REG(name))
#define REG_TIMER(name) (REG_U64 | KVM_REG_RISCV_TIMER | KVM_REG_RISCV_TIMER_REG(name))
#define REG_ISA(id) (REG_U64 | KVM_REG_RISCV_ISA_EXT | KVM_REG_RISCV_ISA_SINGLE | (id))
#define REG_SBI(id) (REG_U64 | KVM_REG_RISCV_SBI_EXT | KVM_REG_RISCV_SBI_SINGLE | (id))

// Runs the vCPU until it leaves to us, and returns the exit reason; -1 when a signal came first.
int vcpu_run(struct vcpu *vcpu);

// What an exit reason is called.
const char *exit_name(int reason);

// Prints pc and the registers that tell why a vCPU does not go on.
void vcpu_print(const struct vcpu *vcpu);

#endif
