// The dirty log under test: a guest writes to chosen pages of a slot, and the log must name exactly these.
//
// What happened is told twice: in words, and for whoever compares it with another view of the same run, as
//
//     PHASE name fetch_faults=N load_faults=N store_faults=N splits=N set_ptes=N updates=N range_fences=N ...
//     DIRTY name HEX      the bitmap, the first page's bit in the lowest bit of the first digit
//
// A phase ends when the guest leaves with its SBI call, so the end of each can be seen from outside as well: by the
// environment call from VS-mode. What we do before we resume the guest belongs to the phase that then begins. The first
// call, before any phase, is where counting begins.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "counters.h"
#include "guest.h"
#include "options.h"
#include "payload.h"
#include "vm.h"

const char DIRTY_USAGE[] =
	"vmm dirty   checks the dirty log page by page\n"
	"    --backing WORD    4k, thp or hugetlb2m; hugetlb2m\n"
	"    --size MIB        of the slot; 8\n"
	"    --translation W   of the guest: bare or sv39; bare\n"
	"    --manual N        manual protection: 0 without, 1 with, 3 with all pages dirty at first; 0\n"
	"    --off WORD        pages when logging is switched off: protected, or written (made writable again); protected\n"
	"    --probes WORD     on, or off: nothing is counted, and nothing is in the kernel's way; on\n";

// The slot of code, mailbox and VS-stage tables, and the slot that is logged.
#define CODE_GPA 0x80000000ul
#define MAILBOX_GPA (CODE_GPA + 0x10000)
#define TABLE_GPA (CODE_GPA + 0x20000)
#define TEST_GPA 0xc0000000ul

// A guest that makes no progress for so many seconds, twice in a row, does not make any.
#define WATCHDOG_SECONDS 5

static struct {
	struct vm vm;
	struct memory code, test;
	struct vcpu vcpu;
	struct mailbox *mailbox;
	uint64_t pages;
	uint64_t *bitmap;
	bool manual; // GET does not clear the log
	bool counts; // the kernel's probes are on
	struct counters before;
	unsigned failures;
} run;

static void fail(const char *phase, const char *what)
{
	printf("kvm: %s: FAIL: %s\n", phase, what);
	run.failures++;
}

static bool is_dirty(uint64_t page)
{
	return run.bitmap[page / 64] >> page % 64 & 1;
}

static uint64_t test_value(uint64_t page)
{
	return *(uint64_t *)(run.test.at + page * PAGE_BYTES);
}

static void on_alarm(int signal)
{
	(void)signal; // it only has to end KVM_RUN
}

static void set_watchdog(int seconds_left)
{
	struct itimerval timer = { .it_value.tv_sec = seconds_left };
	setitimer(ITIMER_REAL, &timer, NULL);
}

// Runs the guest until it has done its work. False if it makes no progress: its counter of pages stays the same.
static bool resume(void)
{
	uint64_t left_before = ~0ul;
	for (;;) {
		set_watchdog(WATCHDOG_SECONDS);
		int reason = vcpu_run(&run.vcpu);
		set_watchdog(0);
		if (reason == KVM_EXIT_RISCV_SBI && run.vcpu.run->riscv_sbi.extension_id == SBI_DONE) {
			run.vcpu.run->riscv_sbi.ret[0] = run.vcpu.run->riscv_sbi.ret[1] = 0;
			return true;
		}
		if (reason >= 0) {
			vcpu_print(&run.vcpu);
			die("%s (%d) from the guest", exit_name(reason), reason);
		}
		uint64_t left = vcpu_get(&run.vcpu, REG_CORE(t2));
		if (left == left_before) {
			vcpu_print(&run.vcpu);
			return false;
		}
		left_before = left;
	}
}

static void tell_phase(const char *phase)
{
	struct counters now, d;
	if (!run.counts)
		return;
	counters_read(&now);
	d = counters_between(&run.before, &now);
	run.before = now;
	printf("kvm: %-12s %5lu faults %3lu splits %5lu leaves stored %5lu updated %5lu+%lu+%lu fences\n", phase,
	       d.fetch_faults + d.load_faults + d.store_faults, d.splits, d.set_ptes, d.updates, d.range_fences,
	       d.vmid_fences, d.all_fences);
	printf("PHASE %s fetch_faults=%lu load_faults=%lu store_faults=%lu splits=%lu set_ptes=%lu updates=%lu "
	       "range_fences=%lu vmid_fences=%lu all_fences=%lu\n",
	       phase, d.fetch_faults, d.load_faults, d.store_faults, d.splits, d.set_ptes, d.updates, d.range_fences,
	       d.vmid_fences, d.all_fences);
}

// Has the guest do `work` on `count` pages, `step` pages apart from page `first` on, and tells of the phase.
static void work(const char *phase, enum work work, uint64_t first, uint64_t count, uint64_t step, uint64_t value)
{
	*run.mailbox = (struct mailbox){
		.work = work,
		.start = TEST_GPA + first * PAGE_BYTES,
		.count = count,
		.stride = step * PAGE_BYTES,
		.value = value,
	};
	if (!resume()) {
		printf("LIVELOCK %s page %lu\n", phase, (vcpu_get(&run.vcpu, REG_CORE(t1)) - TEST_GPA) / PAGE_BYTES);
		printf("kvm: %s: LIVELOCK: the guest faults again and again at the same page\n", phase);
		exit(3);
	}
	tell_phase(phase);
}

// Reads the log and compares it: page p must be dirty if and only if p is at least `first`, p - first is a multiple of
// `step`, and `step` is not 0.
static void check_log(const char *phase, uint64_t first, uint64_t step)
{
	uint64_t dirty = 0, wrong = 0, first_wrong = 0;
	// What KVM does not write must not look right.
	memset(run.bitmap, 0xa5, run.pages / 8);
	dirty_log_get(&run.vm, &run.test, run.bitmap);
	for (uint64_t page = 0; page < run.pages; page++) {
		bool expected = step && page >= first && (page - first) % step == 0;
		dirty += is_dirty(page);
		if (is_dirty(page) != expected && !wrong++)
			first_wrong = page;
	}
	printf("DIRTY %s ", phase);
	for (uint64_t page = 0; page < run.pages; page += 4)
		printf("%lx", run.bitmap[page / 64] >> page % 64 & 0xf);
	printf("\nkvm: %-12s %5lu dirty pages%s\n", phase, dirty, wrong ? "" : ", as they must be");
	if (wrong) {
		char text[80];
		snprintf(text, sizeof text, "%lu pages are wrong in the log, the first is %lu", wrong, first_wrong);
		fail(phase, text);
	}
}

// With manual protection: clears what the last check has read.
static void clear_log(void)
{
	if (run.manual)
		dirty_log_clear(&run.vm, &run.test, 0, run.pages, run.bitmap);
}

// Clears the log of the first 64 pages only, then of the rest; GET must not have cleared anything.
static void check_clearing(uint64_t step)
{
	check_log("kept", 0, step);
	dirty_log_clear(&run.vm, &run.test, 0, 64, run.bitmap);
	uint64_t first = (64 + step - 1) / step * step;
	check_log("first-64", first, step);
	dirty_log_clear(&run.vm, &run.test, 0, run.pages, run.bitmap);
	check_log("cleared", 0, 0);
}

static void check_sum(const char *phase, uint64_t expected)
{
	if (run.mailbox->sum != expected)
		fail(phase, "the guest does not read what it wrote");
}

static void set_up(enum backing backing, size_t bytes, bool sv39, int manual)
{
	run.pages = bytes / PAGE_BYTES;
	run.manual = manual;
	run.bitmap = calloc(run.pages / 64, sizeof *run.bitmap);
	if (!run.bitmap)
		die("no memory for a bitmap");
	vm_open(&run.vm);
	printf("kvm: guest physical addresses of %d bits, manual protection %d, dirty ring %d\n",
	       vm_extension(&run.vm, KVM_CAP_VM_GPA_BITS), vm_extension(&run.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
	       vm_extension(&run.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
	if (manual) {
		struct kvm_enable_cap enable = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { manual } };
		if (ioctl(run.vm.fd, KVM_ENABLE_CAP, &enable) < 0)
			die_errno("manual protection %d", manual);
	}
	memory_create(&run.vm, &run.code, 0, CODE_GPA, HUGE_BYTES, BACKING_4K);
	memory_create(&run.vm, &run.test, 1, TEST_GPA, bytes, backing);
	size_t huge = memory_huge_bytes(&run.test);
	printf("kvm: the slot has %lu pages, %zu of %zu MiB in huge pages\n", run.pages, huge / MIB, bytes / MIB);
	if (huge != (backing == BACKING_4K ? 0 : bytes))
		die("the kernel does not back all of the slot with %s pages", backing_name(backing));

	vcpu_create(&run.vm, &run.vcpu, 0);
	memcpy(run.code.at, payload_worker, payload_worker_end - payload_worker);
	run.mailbox = memory_at(&run.code, MAILBOX_GPA, sizeof *run.mailbox);
	vcpu_set(&run.vcpu, REG_CORE(pc), CODE_GPA);
	vcpu_set(&run.vcpu, REG_CORE(a0), MAILBOX_GPA);
	if (sv39) {
		// One page of 1 GiB leaves (V, R, W, X, A, D) that map the first 8 GiB to themselves.
		uint64_t *table = memory_at(&run.code, TABLE_GPA, PAGE_BYTES);
		for (uint64_t i = 0; i < 8; i++)
			table[i] = i << 28 | 0xcf;
		vcpu_set(&run.vcpu, REG_CSR(satp), 8ul << 60 | TABLE_GPA / PAGE_BYTES);
	}
	struct sigaction action = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &action, NULL);
}

// On one hart, so that no fence is due because the vCPU has moved.
static void stay_on_this_hart(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		die_errno("sched_setaffinity");
}

static void log_phases(bool initially_set)
{
	uint64_t pages = run.pages;
	memory_flags(&run.vm, &run.test, KVM_MEM_LOG_DIRTY_PAGES);
	if (initially_set) {
		check_log("initial", 0, 1);
		clear_log();
	}
	work("on-read", WORK_LOAD, 0, pages, 1, 0);
	check_log("on-read", 0, 0);
	work("every-8th", WORK_STORE, 0, pages / 8, 8, 0x2222);
	check_log("every-8th", 0, 8);
	if (run.manual)
		check_clearing(8);
	work("amo-16th", WORK_AMOADD, 3, pages / 16, 16, 1);
	check_log("amo-16th", 3, 16);
	clear_log();
	work("all", WORK_STORE, 0, pages, 1, 0x3333);
	check_log("all", 0, 1);
	clear_log();
	work("all-again", WORK_STORE, 0, pages, 1, 0x4444);
	check_log("all-again", 0, 1);
	clear_log();
}

int dirty_main(int argc, char **argv)
{
	const char *backing = "hugetlb2m", *translation = "bare", *off = "protected", *probes = "on";
	unsigned long size_mib = 8, manual = 0;
	const struct option_row rows[] = {
		{ "--backing", .text = &backing }, { "--translation", .text = &translation },
		{ "--off", .text = &off },         { "--size", .number = &size_mib },
		{ "--manual", .number = &manual }, { "--probes", .text = &probes }, { 0 },
	};
	options_take(argc, argv, rows, DIRTY_USAGE);
	bool sv39 = !strcmp(translation, "sv39"), written = !strcmp(off, "written");
	if ((!sv39 && strcmp(translation, "bare")) || (!written && strcmp(off, "protected")) || size_mib < 2 ||
	    size_mib > 1024 || size_mib % 2 || manual == 2 || manual > 3 ||
	    (strcmp(probes, "on") && strcmp(probes, "off"))) {
		fputs(DIRTY_USAGE, stderr);
		return 2;
	}
	stay_on_this_hart();
	set_up(backing_named(backing), size_mib * MIB, sv39, manual);
	uint64_t pages = run.pages;

	// The guest's first call is where counting begins, for us and for whoever looks from outside.
	if (!resume())
		die("the guest does not start");
	run.counts = !strcmp(probes, "on");
	if (run.counts) {
		counters_arm();
		counters_read(&run.before);
	}
	work("off-read", WORK_LOAD, 0, pages, 1, 0);
	work("off-write", WORK_STORE, 0, pages, 1, 0x1111);
	log_phases(manual & KVM_DIRTY_LOG_INITIALLY_SET);
	if (written)
		work("rewrite", WORK_STORE, 0, pages, 1, 0x4444);
	memory_flags(&run.vm, &run.test, 0);
	work("off-again", WORK_STORE, 0, pages, 1, 0x5555);
	work("off-sum", WORK_LOAD, 0, pages, 1, 0);
	check_sum("off-sum", 0x5555 * pages);

	// The kernel takes 2 MiB away; the guest gets fresh zeros.
	if (madvise(run.test.at, HUGE_BYTES, MADV_DONTNEED) < 0)
		die_errno("MADV_DONTNEED");
	work("fresh-read", WORK_LOAD, 0, HUGE_BYTES / PAGE_BYTES, 1, 0);
	check_sum("fresh-read", 0);
	work("fresh-write", WORK_STORE, 0, HUGE_BYTES / PAGE_BYTES, 1, 7);
	for (uint64_t page = 0; page < pages; page++)
		if (test_value(page) != (page < HUGE_BYTES / PAGE_BYTES ? 7 : 0x5555)) {
			fail("fresh-write", "we do not read what the guest wrote");
			break;
		}
	memory_flags(&run.vm, &run.test, KVM_MEM_LOG_DIRTY_PAGES);
	if (manual & KVM_DIRTY_LOG_INITIALLY_SET) {
		check_log("initial-2", 0, 1);
		clear_log();
	}
	work("one", WORK_STORE, 1, 1, 1, 8);
	check_log("one", 1, pages);

	memory_delete(&run.vm, &run.test);
	printf("kvm: dirty log of %lu MiB, %s, %s, manual protection %lu: %s\n", size_mib, backing, translation, manual,
	       run.failures ? "FAIL" : "ok");
	return run.failures != 0;
}
