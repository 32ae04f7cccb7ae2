// A guest without an operating system that makes one load whose page the G-stage does not map, at addresses that a
// debugger's script can know beforehand (`cargo xtask kvm debug`). KVM maps the page and lets the guest try again.
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "guest.h"
#include "payload.h"

// The program and its tables, Sv39, at their own virtual addresses.
#define RAM_GPA 0x80000000ul
#define ROOT_GPA (RAM_GPA + 0x10000)
#define MIDDLE_GPA (RAM_GPA + 0x11000)
#define LAST_GPA (RAM_GPA + 0x12000)

// The page: no two of the indices on the way are the same in both stages, and the first page of its slot, which the
// guest touches before, is another one.
#define FAULT_GVA 0x140603000ul // indices 5, 3, 3
#define FAULT_GPA 0xc0005000ul
#define SLOT_GPA 0xc0000000ul

// Bits of a PTE: V, R, W, X, A, D.
#define TABLE 0x01
#define DATA 0xc7
#define CODE 0xcf

const char FAULT_USAGE[] =
	"vmm fault   a bare guest makes a load that faults in the G-stage, for debuggers to stop at\n";

static void set_pte(const struct memory *ram, uint64_t table, unsigned index, uint64_t to, uint64_t flags)
{
	uint64_t *pte = memory_at(ram, table + 8 * index, sizeof *pte);
	*pte = to >> 12 << 10 | flags;
}

int fault_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		fputs(FAULT_USAGE, stderr);
		return 2;
	}
	struct vm vm;
	struct memory ram, far;
	struct vcpu vcpu;
	vm_open(&vm);
	memory_create(&vm, &ram, 0, RAM_GPA, HUGE_BYTES, BACKING_4K);
	memory_create(&vm, &far, 1, SLOT_GPA, HUGE_BYTES, BACKING_4K);
	memcpy(ram.at, payload_fault, payload_fault_end - payload_fault);
	set_pte(&ram, ROOT_GPA, 2, RAM_GPA, CODE);
	set_pte(&ram, ROOT_GPA, 5, MIDDLE_GPA, TABLE);
	set_pte(&ram, MIDDLE_GPA, 3, LAST_GPA, TABLE);
	set_pte(&ram, LAST_GPA, 3, FAULT_GPA, DATA);
	*(uint64_t *)memory_at(&far, FAULT_GPA + FAULT_OFFSET, 8) = FAULT_VALUE;

	vcpu_create(&vm, &vcpu, 0);
	vcpu_set(&vcpu, REG_CORE(pc), RAM_GPA);
	vcpu_set(&vcpu, REG_CORE(a0), SLOT_GPA);
	vcpu_set(&vcpu, REG_CORE(a1), FAULT_GVA);
	vcpu_set(&vcpu, REG_CORE(a2), 8ul << 60 | ROOT_GPA >> 12);
	int reason;
	while ((reason = vcpu_run(&vcpu)) < 0)
		;
	if (reason != KVM_EXIT_SYSTEM_EVENT) {
		vcpu_print(&vcpu);
		die("%s (%d) from the guest", exit_name(reason), reason);
	}
	// The guest tells by the reason whether it has loaded FAULT_VALUE.
	bool good = vcpu.run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN && vcpu.run->system_event.data[0] == 0;
	printf("vmm: the guest's load has given %s value\n", good ? "its" : "a wrong");
	return !good;
}
