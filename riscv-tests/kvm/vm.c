// Virtual machines of KVM on RISC-V: opening, memory slots, vCPUs, registers.
#define _GNU_SOURCE
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

static _Noreturn void die_with(const char *reason, const char *format, va_list arguments)
{
	fflush(stdout);
	printf("vmm: FAIL: ");
	vprintf(format, arguments);
	printf(reason ? ": %s\n" : "\n", reason);
	exit(1);
}

void die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	die_with(NULL, format, arguments);
}

void die_errno(const char *format, ...)
{
	const char *reason = strerror(errno);
	va_list arguments;
	va_start(arguments, format);
	die_with(reason, format, arguments);
}

double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static const char *const BACKINGS[] = {
	[BACKING_4K] = "4k",
	[BACKING_THP] = "thp",
	[BACKING_HUGETLB2M] = "hugetlb2m",
};

enum backing backing_named(const char *name)
{
	for (size_t i = 0; i < sizeof BACKINGS / sizeof *BACKINGS; i++)
		if (!strcmp(name, BACKINGS[i]))
			return i;
	die("no backing is called %s: there are 4k, thp and hugetlb2m", name);
}

const char *backing_name(enum backing backing)
{
	return BACKINGS[backing];
}

void vm_open(struct vm *vm)
{
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die_errno("cannot open /dev/kvm (is kvm.ko loaded?)");
	int version = ioctl(vm->kvm, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		die("KVM has interface %d, this program needs %d", version, KVM_API_VERSION);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		die_errno("KVM_CREATE_VM");
	int run_bytes = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_bytes < (int)sizeof(struct kvm_run))
		die("KVM_GET_VCPU_MMAP_SIZE gives %d", run_bytes);
	vm->run_bytes = run_bytes;
}

int vm_extension(const struct vm *vm, int capability)
{
	int value = ioctl(vm->fd, KVM_CHECK_EXTENSION, capability);
	return value < 0 ? 0 : value;
}

static void set_slot(struct vm *vm, const struct memory *memory, uint32_t flags, size_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = memory->slot,
		.flags = flags,
		.guest_phys_addr = memory->gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory->at,
	};
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		die_errno("KVM_SET_USER_MEMORY_REGION: slot %u, gpa %#lx, %zu bytes, flags %#x", memory->slot,
			  memory->gpa, bytes, flags);
}

// Memory at a multiple of 2 MiB: what lies before and after it in a larger area stays unused.
static uint8_t *map_aligned(size_t bytes)
{
	void *area = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		die_errno("cannot allocate %zu MiB", bytes / MIB);
	return (uint8_t *)(((uintptr_t)area + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
}

static uint8_t *map_hugetlb(size_t bytes)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	if (area == MAP_FAILED)
		die_errno("cannot allocate %zu pages of 2 MiB (/proc/sys/vm/nr_hugepages reserves them)",
			  bytes / HUGE_BYTES);
	return area;
}

void memory_create(struct vm *vm, struct memory *memory, unsigned slot, uint64_t gpa, size_t bytes,
		   enum backing backing)
{
	bool hugetlb = backing == BACKING_HUGETLB2M;
	*memory = (struct memory){
		.slot = slot,
		.gpa = gpa,
		.bytes = bytes,
		.at = hugetlb ? map_hugetlb(bytes) : map_aligned(bytes),
		.backing = backing,
	};
	if (!hugetlb) {
		int advice = backing == BACKING_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
		if (madvise(memory->at, bytes, advice) < 0)
			die_errno("cannot ask for %s pages", backing_name(backing));
	}
	// A page that we never wrote to is the kernel's zero page: the guest's first write would replace it.
	memset(memory->at, 0, bytes);
	set_slot(vm, memory, 0, bytes);
}

void memory_flags(struct vm *vm, const struct memory *memory, uint32_t flags)
{
	set_slot(vm, memory, flags, memory->bytes);
}

void dirty_log_get(struct vm *vm, const struct memory *memory, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = memory->slot, .dirty_bitmap = bitmap };
	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) < 0)
		die_errno("KVM_GET_DIRTY_LOG of slot %u", memory->slot);
}

void dirty_log_clear(struct vm *vm, const struct memory *memory, uint64_t first, uint32_t pages, uint64_t *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = memory->slot,
		.first_page = first,
		.num_pages = pages,
		.dirty_bitmap = bitmap,
	};
	if (ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &log) < 0)
		die_errno("KVM_CLEAR_DIRTY_LOG of slot %u, %u pages from %lu", memory->slot, pages, first);
}

void memory_delete(struct vm *vm, const struct memory *memory)
{
	set_slot(vm, memory, 0, 0);
}

size_t memory_huge_bytes(const struct memory *memory)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	if (!maps)
		die_errno("cannot open /proc/self/smaps");
	char line[256];
	unsigned long start, end, kib, sum = 0;
	bool inside = false;
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)memory->at >= start && (uintptr_t)memory->at < end;
		else if (inside && (sscanf(line, "AnonHugePages: %lu", &kib) == 1 ||
				    sscanf(line, "Private_Hugetlb: %lu", &kib) == 1))
			sum += kib;
	}
	fclose(maps);
	return sum * KIB;
}

void *memory_at(const struct memory *memory, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset = gpa - memory->gpa;
	if (gpa < memory->gpa || offset > memory->bytes || bytes > memory->bytes - offset)
		return NULL;
	return memory->at + offset;
}

size_t memory_load(const struct memory *memory, uint64_t gpa, const char *path)
{
	struct stat about;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &about) < 0)
		die_errno("cannot open %s", path);
	size_t bytes = about.st_size, done = 0;
	uint8_t *to = memory_at(memory, gpa, bytes);
	if (!to)
		die("%s has %zu bytes, which do not fit at %#lx", path, bytes, gpa);
	while (done < bytes) {
		ssize_t count = read(fd, to + done, bytes - done);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			die_errno("cannot read %s", path);
		done += count;
	}
	close(fd);
	return bytes;
}

void vcpu_create(struct vm *vm, struct vcpu *vcpu, unsigned id)
{
	*vcpu = (struct vcpu){ .vm = vm, .id = id };
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		die_errno("KVM_CREATE_VCPU %u", id);
	void *run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		die_errno("cannot map the shared area of vCPU %u", id);
	vcpu->run = run;
}

bool vcpu_try_set(const struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };
	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) == 0;
}

bool vcpu_try_get(const struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };
	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) == 0;
}

void vcpu_set(const struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	if (!vcpu_try_set(vcpu, id, value))
		die_errno("KVM_SET_ONE_REG %#lx to %#lx", id, value);
}

uint64_t vcpu_get(const struct vcpu *vcpu, uint64_t id)
{
	uint64_t value;
	if (!vcpu_try_get(vcpu, id, &value))
		die_errno("KVM_GET_ONE_REG %#lx", id);
	return value;
}

int vcpu_run(struct vcpu *vcpu)
{
	while (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
		if (errno == EINTR)
			return -1;
		// EAGAIN: another vCPU has just started this one.
		if (errno != EAGAIN) {
			int reason = errno;
			vcpu_print(vcpu);
			errno = reason;
			die_errno("KVM_RUN of vCPU %u", vcpu->id);
		}
	}
	return vcpu->run->exit_reason;
}

const char *exit_name(int reason)
{
	switch (reason) {
	case KVM_EXIT_MMIO: return "MMIO";
	case KVM_EXIT_RISCV_SBI: return "SBI call";
	case KVM_EXIT_RISCV_CSR: return "CSR access";
	case KVM_EXIT_SYSTEM_EVENT: return "system event";
	case KVM_EXIT_INTERNAL_ERROR: return "internal error of KVM";
	case KVM_EXIT_FAIL_ENTRY: return "failed entry";
	case KVM_EXIT_DEBUG: return "breakpoint";
	default: return "unknown exit";
	}
}

void vcpu_print(const struct vcpu *vcpu)
{
	printf("vmm: vCPU %u: pc=%#lx ra=%#lx sp=%#lx sstatus=%#lx sie=%#lx sip=%#lx scause=%#lx sepc=%#lx stval=%#lx "
	       "satp=%#lx time=%#lx compare=%#lx\n",
	       vcpu->id, vcpu_get(vcpu, REG_CORE(pc)), vcpu_get(vcpu, REG_CORE(ra)), vcpu_get(vcpu, REG_CORE(sp)),
	       vcpu_get(vcpu, REG_CSR(sstatus)), vcpu_get(vcpu, REG_CSR(sie)), vcpu_get(vcpu, REG_CSR(sip)),
	       vcpu_get(vcpu, REG_CSR(scause)), vcpu_get(vcpu, REG_CSR(sepc)), vcpu_get(vcpu, REG_CSR(stval)),
	       vcpu_get(vcpu, REG_CSR(satp)), vcpu_get(vcpu, REG_TIMER(time)), vcpu_get(vcpu, REG_TIMER(compare)));
}
