// Bare guest programs, assembled into this program from payload.S. They run wherever they are copied to.
#ifndef PAYLOAD_H
#define PAYLOAD_H

// What the guest of fault.c loads, and where in its page.
#define FAULT_VALUE 0x6e65737477616c6b
#define FAULT_OFFSET 16

// In the range that SBI keeps for experiments, which KVM passes on to us.
#define SBI_DONE 0x08000000

#ifndef __ASSEMBLER__
#include <stdint.h>

extern const uint8_t payload_hello[], payload_hello_end[];
extern const uint8_t payload_worker[], payload_worker_end[];
extern const uint8_t payload_fault[], payload_fault_end[];

// What the worker does. It takes a command from the mailbox, does it, and leaves with an SBI call of extension
// SBI_DONE; when it is resumed it takes the next.
enum work {
	WORK_NOTHING,
	WORK_STORE,  // stores `value` to `count` addresses, `stride` bytes apart, from `start` on
	WORK_LOAD,   // loads from them and adds up what was read, in `sum`
	WORK_AMOADD, // adds `value` to each of them, atomically
};

struct mailbox {
	volatile uint64_t work, start, count, stride, value, sum;
};

#endif

#endif
