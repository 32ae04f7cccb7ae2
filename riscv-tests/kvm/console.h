// The guest's console: SBI's debug console, and a 16550 at UART_GPA, both on our standard input and output.
#ifndef CONSOLE_H
#define CONSOLE_H

#include "vm.h"

// Where the 16550 is, and how many bytes it takes: QEMU's `virt` board has one at the same place.
#define UART_GPA 0x10000000ul
#define UART_BYTES 0x100ul

// Starts to read standard input, in raw mode if it is a terminal; the mode comes back when the program ends.
void console_open(void);

// Answers an SBI call that KVM left to us. The debug console's calls are done, others get SBI_ERR_NOT_SUPPORTED.
void console_sbi(struct kvm_run *run, const struct memory *memory);

// Does an access to the 16550.
void console_uart(struct kvm_run *run);

// Writes all bytes to standard output.
void console_write(const void *bytes, size_t count);

#endif
