// The kernel's performance events under test: what is counted around work whose numbers are known, in user mode and in a guest.
//
// Loads go round more pages than any data TLB has, so that each of them misses it. What the machine cannot count is said, and is no
// failure unless --modelled asks for it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"
#include "options.h"
#include "vm.h"

const char PMU_USAGE[] =
	"vmm pmu     counts performance events around known work, and in a bare guest\n"
	"    --modelled N      1: caches, TLBs and branches must be counted; 0\n";

// Far more pages than a TLB has entries; loads of all of them; and what reading the counters may add.
#define PAGES 2048ul
#define LOADS (16 * PAGES)
#define SLACK 3000ul
// Instructions of the loop: a load, an addition, a subtraction, a branch.
#define LOOP_INSNS 4

#define CACHE(cache, result) (PERF_COUNT_HW_CACHE_##cache | PERF_COUNT_HW_CACHE_RESULT_##result << 16)

enum where { IN_USER, IN_GUEST };

static volatile sig_atomic_t overflows;
static unsigned failures;
static unsigned long modelled;

static void on_overflow(int signal)
{
	(void)signal;
	overflows++;
}

// The raw code of an event by the machine's name for it, which the device tree lists from code 1 on; 0 for none.
static unsigned long raw_code(const char *name)
{
	static char names[4096];
	FILE *file = fopen("/proc/device-tree/pmu/nestwalk,events", "r");
	if (!file)
		return 0;
	size_t bytes = fread(names, 1, sizeof names - 1, file);
	fclose(file);
	unsigned long code = 1;
	for (size_t at = 0; at < bytes; at += strlen(names + at) + 1, code++)
		if (!strcmp(names + at, name))
			return code;
	return 0;
}

static int open_event(unsigned type, unsigned long config, enum where where, unsigned long period)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof attr,
		.config = config,
		.disabled = 1,
		.exclude_kernel = where == IN_USER,
		.exclude_hv = where == IN_USER,
		.exclude_guest = where == IN_USER,
		.exclude_host = where == IN_GUEST,
		.sample_period = period,
		.wakeup_events = period ? 1 : 0,
	};
	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void load_pages(char *memory)
{
	for (unsigned round = 0; round < LOADS / PAGES; round++) {
		char *at = memory;
		unsigned long left = PAGES, value;
		__asm__ volatile("1: ld %2, 0(%0)\n"
				 "   add %0, %0, %3\n"
				 "   addi %1, %1, -1\n"
				 "   bnez %1, 1b\n"
				 : "+r"(at), "+r"(left), "=&r"(value)
				 : "r"(PAGE_BYTES)
				 : "memory");
	}
}

// Counts an event around the loads, or around a bare guest. False if the machine does not count it.
static bool count(const char *name, unsigned type, unsigned long config, enum where where, char *memory,
		  unsigned long least, unsigned long most)
{
	int fd = open_event(type, config, where, 0);
	if (fd < 0) {
		bool must = modelled || type == PERF_TYPE_HARDWARE;
		printf("kvm: %-18s is not counted: %s%s\n", name, strerror(errno), must ? ": FAIL" : "");
		failures += must;
		return false;
	}
	ioctl(fd, PERF_EVENT_IOC_RESET, 0);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	if (where == IN_USER)
		load_pages(memory);
	else
		bare_main(1, NULL);
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	unsigned long value = 0;
	if (read(fd, &value, sizeof value) != sizeof value)
		die_errno("reading %s", name);
	close(fd);
	bool fits = value >= least && value <= most;
	printf("kvm: %-18s %10lu%s\n", name, value, fits ? "" : ": FAIL");
	printf("PMU %s %lu\n", name, value);
	if (!fits)
		printf("kvm: %s: between %lu and %lu were to be counted\n", name, least, most);
	failures += !fits;
	return fits;
}

// Each period of misses must end in a signal, late by a few at most.
static void count_overflows(char *memory)
{
	enum { PERIOD = 1024 };
	struct sigaction action = { .sa_handler = on_overflow };
	sigaction(SIGIO, &action, NULL);
	int fd = open_event(PERF_TYPE_HW_CACHE, CACHE(DTLB, MISS), IN_USER, PERIOD);
	if (fd < 0) {
		printf("kvm: samples of dTLB-load-misses cannot be had: %s%s\n", strerror(errno), modelled ? ": FAIL" : "");
		failures += modelled;
		return;
	}
	void *ring = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED || fcntl(fd, F_SETFL, O_ASYNC) < 0 || fcntl(fd, F_SETOWN, getpid()) < 0)
		die_errno("a ring of samples");
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	load_pages(memory);
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	unsigned long expected = LOADS / PERIOD, most = expected + expected / 4;
	bool fits = overflows >= (long)(expected - expected / 4) && overflows <= (long)most;
	printf("kvm: %-18s %10d overflows of %d misses each%s\n", "dTLB-load-misses", overflows, PERIOD,
	       fits ? "" : ": FAIL");
	failures += !fits;
	close(fd);
}

int pmu_main(int argc, char **argv)
{
	const struct option_row rows[] = { { "--modelled", .number = &modelled }, { 0 } };
	options_take(argc, argv, rows, PMU_USAGE);
	unsigned long exits = raw_code("guest-exits"), walks = modelled ? raw_code("walks") : 0;
	char *memory = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die_errno("memory");
	madvise(memory, PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
	for (unsigned long page = 0; page < PAGES; page++)
		memory[page * PAGE_BYTES] = 1;
	const unsigned long any = ~0ul, insns = LOADS * LOOP_INSNS;
	const unsigned hardware = PERF_TYPE_HARDWARE, cache = PERF_TYPE_HW_CACHE, raw = PERF_TYPE_RAW;

	count("instructions", hardware, PERF_COUNT_HW_INSTRUCTIONS, IN_USER, memory, insns, insns + SLACK);
	count("cycles", hardware, PERF_COUNT_HW_CPU_CYCLES, IN_USER, memory, insns, any);
	if (modelled) {
		count("branches", hardware, PERF_COUNT_HW_BRANCH_INSTRUCTIONS, IN_USER, memory, LOADS, LOADS + SLACK);
		count("branch-misses", hardware, PERF_COUNT_HW_BRANCH_MISSES, IN_USER, memory, LOADS / PAGES, SLACK);
		count("cache-misses", hardware, PERF_COUNT_HW_CACHE_MISSES, IN_USER, memory, PAGES, any);
	}
	count("dTLB-load-misses", cache, CACHE(DTLB, MISS), IN_USER, memory, LOADS, LOADS + SLACK);
	count("dTLB-loads", cache, CACHE(DTLB, ACCESS), IN_USER, memory, LOADS, LOADS + SLACK);
	count("iTLB-load-misses", cache, CACHE(ITLB, MISS), IN_USER, memory, 0, SLACK);
	count("L1-dcache-loads", cache, CACHE(L1D, ACCESS), IN_USER, memory, LOADS, LOADS + SLACK);
	count("L1-icache-misses", cache, CACHE(L1I, MISS), IN_USER, memory, 0, SLACK);
	if (walks)
		count("walks", raw, walks, IN_USER, memory, LOADS, LOADS + SLACK);
	count_overflows(memory);

	// A line through SBI, and the end.
	count("instructions:G", hardware, PERF_COUNT_HW_INSTRUCTIONS, IN_GUEST, NULL, 4, SLACK);
	if (exits)
		count("guest-exits", raw, exits, IN_GUEST, NULL, 2, SLACK);
	if (walks)
		count("walks:G", raw, walks, IN_GUEST, NULL, 2, SLACK);
	printf("kvm: performance events: %s\n", failures ? "FAIL" : "ok");
	return failures != 0;
}
