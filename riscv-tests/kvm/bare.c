// A guest without an operating system: it prints one line and powers off.
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "guest.h"
#include "payload.h"

#define RAM_GPA 0x80000000ul

const char BARE_USAGE[] =
	"vmm bare    a bare guest prints one line through SBI and powers off\n";

int bare_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		fputs(BARE_USAGE, stderr);
		return 2;
	}
	struct vm vm;
	struct memory ram;
	struct vcpu vcpu;
	vm_open(&vm);
	memory_create(&vm, &ram, 0, RAM_GPA, HUGE_BYTES, BACKING_4K);
	memcpy(ram.at, payload_hello, payload_hello_end - payload_hello);
	vcpu_create(&vm, &vcpu, 0);
	vcpu_set(&vcpu, REG_SBI(SBI_EXT_DBCN), 1);
	vcpu_set(&vcpu, REG_CORE(pc), RAM_GPA);
	for (;;) {
		int reason = vcpu_run(&vcpu);
		if (reason == KVM_EXIT_RISCV_SBI) {
			console_sbi(vcpu.run, &ram);
		} else if (reason == KVM_EXIT_SYSTEM_EVENT) {
			uint32_t type = vcpu.run->system_event.type;
			printf("vmm: system event %u, reason %llu\n", type,
			       (unsigned long long)vcpu.run->system_event.data[0]);
			return type == KVM_SYSTEM_EVENT_SHUTDOWN && vcpu.run->system_event.data[0] == 0 ? 0 : 1;
		} else if (reason >= 0) {
			vcpu_print(&vcpu);
			die("%s (%d) from a bare guest", exit_name(reason), reason);
		}
	}
}
