// The guest's console. The 16550 has what Linux's driver needs without an interrupt line: the driver then asks it at
// every tick of its timer. Its transmitter is always empty.
#include "console.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

// SBI, chapters "Binary Encoding" and "Debug Console Extension".
#define SBI_DBCN 0x4442434e
#define DBCN_WRITE 0
#define DBCN_READ 1
#define DBCN_WRITE_BYTE 2
#define SBI_SUCCESS 0
#define SBI_ERR_NOT_SUPPORTED (-2)
#define SBI_ERR_INVALID_PARAM (-3)

// What was typed and not yet read by the guest. What does not fit waits in the terminal.
static struct {
	pthread_mutex_t lock;
	pthread_cond_t room;
	uint8_t bytes[256];
	size_t first, count;
} input = { .lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER };

static void input_put(uint8_t byte)
{
	pthread_mutex_lock(&input.lock);
	while (input.count == sizeof input.bytes)
		pthread_cond_wait(&input.room, &input.lock);
	input.bytes[(input.first + input.count++) % sizeof input.bytes] = byte;
	pthread_mutex_unlock(&input.lock);
}

static bool input_take(uint8_t *byte)
{
	pthread_mutex_lock(&input.lock);
	bool any = input.count > 0;
	if (any) {
		*byte = input.bytes[input.first];
		input.first = (input.first + 1) % sizeof input.bytes;
		input.count--;
		pthread_cond_signal(&input.room);
	}
	pthread_mutex_unlock(&input.lock);
	return any;
}

static bool input_any(void)
{
	pthread_mutex_lock(&input.lock);
	bool any = input.count > 0;
	pthread_mutex_unlock(&input.lock);
	return any;
}

static void *read_input(void *unused)
{
	uint8_t bytes[64];
	for (;;) {
		ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return unused;
		for (ssize_t i = 0; i < count; i++)
			input_put(bytes[i]);
	}
}

static struct termios terminal;

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

void console_open(void)
{
	if (tcgetattr(STDIN_FILENO, &terminal) == 0) {
		struct termios raw = terminal;
		cfmakeraw(&raw);
		raw.c_oflag |= OPOST | ONLCR;
		atexit(restore_terminal);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	pthread_t thread;
	if (pthread_create(&thread, NULL, read_input, NULL) != 0)
		die("cannot start the thread that reads the console");
	pthread_detach(thread);
}

void console_write(const void *bytes, size_t count)
{
	const char *at = bytes;
	while (count > 0) {
		ssize_t written = write(STDOUT_FILENO, at, count);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; // nobody listens any more
		at += written;
		count -= written;
	}
}

void console_sbi(struct kvm_run *run, const struct memory *memory)
{
	const unsigned long *args = run->riscv_sbi.args;
	unsigned long *ret = run->riscv_sbi.ret;
	ret[0] = SBI_SUCCESS;
	ret[1] = 0;
	if (run->riscv_sbi.extension_id != SBI_DBCN) {
		ret[0] = SBI_ERR_NOT_SUPPORTED;
		return;
	}
	// a0 is the number of bytes, a1 the low part of their address; the high part, a2, is 0 on RV64.
	uint64_t count = args[0];
	uint8_t *bytes = args[2] ? NULL : memory_at(memory, args[1], count);
	uint8_t byte;
	switch (run->riscv_sbi.function_id) {
	case DBCN_WRITE:
		if (!bytes) {
			ret[0] = SBI_ERR_INVALID_PARAM;
			return;
		}
		console_write(bytes, count);
		ret[1] = count;
		return;
	case DBCN_READ:
		if (!bytes) {
			ret[0] = SBI_ERR_INVALID_PARAM;
			return;
		}
		while (ret[1] < count && input_take(&byte))
			bytes[ret[1]++] = byte;
		return;
	case DBCN_WRITE_BYTE:
		byte = args[0];
		console_write(&byte, 1);
		return;
	default:
		ret[0] = SBI_ERR_NOT_SUPPORTED;
	}
}

// Registers of the 16550 by offset; those in parentheses while LCR.DLAB is set.
enum { RBR_THR_DLL, IER_DLM, IIR_FCR, LCR, MCR, LSR, MSR, SCR, REGISTERS };

#define IER_RDI 0x01
#define IER_THRI 0x02
#define IIR_NONE 0x01
#define IIR_THRI 0x02
#define IIR_RDI 0x04
#define IIR_FIFOS 0xc0
#define LCR_DLAB 0x80
#define LSR_DATA 0x01
#define LSR_EMPTY 0x60
#define MSR_READY 0xb0

static struct {
	pthread_mutex_t lock;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
} uart = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint8_t uart_read(uint64_t offset)
{
	bool divisor = uart.lcr & LCR_DLAB;
	uint8_t byte = 0;
	switch (offset) {
	case RBR_THR_DLL:
		if (divisor)
			return uart.dll;
		input_take(&byte);
		return byte;
	case IER_DLM:
		return divisor ? uart.dlm : uart.ier;
	case IIR_FCR:
		byte = uart.fcr & 1 ? IIR_FIFOS : 0;
		if (uart.ier & IER_RDI && input_any())
			return byte | IIR_RDI;
		return byte | (uart.ier & IER_THRI ? IIR_THRI : IIR_NONE);
	case LCR:
		return uart.lcr;
	case MCR:
		return uart.mcr;
	case LSR:
		return LSR_EMPTY | (input_any() ? LSR_DATA : 0);
	case MSR:
		return MSR_READY;
	case SCR:
		return uart.scr;
	default:
		return 0;
	}
}

static void uart_write(uint64_t offset, uint8_t byte)
{
	bool divisor = uart.lcr & LCR_DLAB;
	switch (offset) {
	case RBR_THR_DLL:
		if (divisor)
			uart.dll = byte;
		else
			console_write(&byte, 1);
		return;
	case IER_DLM:
		*(divisor ? &uart.dlm : &uart.ier) = byte;
		return;
	case IIR_FCR:
		uart.fcr = byte;
		return;
	case LCR:
		uart.lcr = byte;
		return;
	case MCR:
		uart.mcr = byte;
		return;
	case SCR:
		uart.scr = byte;
		return;
	}
}

void console_uart(struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - UART_GPA;
	pthread_mutex_lock(&uart.lock);
	if (run->mmio.is_write) {
		uart_write(offset, run->mmio.data[0]);
	} else {
		memset(run->mmio.data, 0, sizeof run->mmio.data);
		run->mmio.data[0] = uart_read(offset);
	}
	pthread_mutex_unlock(&uart.lock);
}
