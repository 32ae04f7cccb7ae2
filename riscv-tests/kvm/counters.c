// The kernel's own view of what KVM did.
//
// A probe counts calls. Fences cannot be probed themselves, so they are computed: a call for a range of `gpsz` bytes in
// steps of 2^`order` executes one fence a step, or one for the whole VMID when there are more than 512 steps; the
// compiler has put that one fence into every caller of its function in the same file, so those are probed instead.
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define TRACING "/sys/kernel/tracing/"
#define GROUP "vmm"
// Steps of a range beyond which the kernel fences the whole VMID.
#define RANGE_STEPS_MAX 512

static const struct {
	const char *name;
	const char *function;
	size_t counter; // offset in struct counters
} PROBES[] = {
	{ "split", "kvm_riscv_gstage_split_huge", offsetof(struct counters, splits) },
	{ "set_pte", "kvm_riscv_gstage_set_pte", offsetof(struct counters, set_ptes) },
	{ "update", "kvm_riscv_gstage_try_update_pte", offsetof(struct counters, updates) },
	{ "flush", "kvm_riscv_tlb_flush_process", offsetof(struct counters, vmid_fences) },
	{ "flush_all", "kvm_riscv_local_hfence_gvma_all", offsetof(struct counters, all_fences) },
};
// The probe whose arguments say how many fences there are.
#define RANGE_PROBE "range"
#define RANGE_FUNCTION "kvm_riscv_local_hfence_gvma_vmid_gpa gpsz=%a2:u64 order=%a3:u64"

// Histograms: how often an event had which values.
#define RANGE_HISTOGRAM TRACING "events/" GROUP "/" RANGE_PROBE
#define EXIT_HISTOGRAM TRACING "events/kvm/kvm_exit"
// Entries that a histogram has room for: there are few different ranges and causes.
#define HISTOGRAM_SIZE "512"

static bool append_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int reason = errno;
	close(fd);
	errno = reason;
	return done;
}

// Probes and histograms of an earlier run of this program are still there, and good.
static void probe(const char *name, const char *function)
{
	char line[160];
	snprintf(line, sizeof line, "p:" GROUP "/%s %s\n", name, function);
	if (!append_to(TRACING "kprobe_events", line) && errno != EEXIST)
		die_errno("cannot probe %s", function);
}

static void histogram(const char *event, const char *keys)
{
	char path[128], line[128];
	snprintf(path, sizeof path, "%s/trigger", event);
	snprintf(line, sizeof line, "hist:keys=%s:size=" HISTOGRAM_SIZE "\n", keys);
	if (!append_to(path, line) && errno != EEXIST)
		die_errno("cannot write to %s", path);
}

void counters_arm(void)
{
	if (!append_to(TRACING "buffer_size_kb", "4\n"))
		die_errno("the kernel's tracing is not there (is tracefs mounted?)");
	for (size_t i = 0; i < sizeof PROBES / sizeof *PROBES; i++)
		probe(PROBES[i].name, PROBES[i].function);
	probe(RANGE_PROBE, RANGE_FUNCTION);
	histogram(RANGE_HISTOGRAM, "gpsz,order");
	histogram(EXIT_HISTOGRAM, "scause");
	if (!append_to(TRACING "events/" GROUP "/enable", "1\n"))
		die_errno("cannot switch the probes on");
}

static FILE *open_file(const char *path)
{
	FILE *file = fopen(path, "re");
	if (!file)
		die_errno("cannot open %s", path);
	return file;
}

// Reads `{ key: 1, key: 2 } hitcount: 3` into its numbers and returns how many there were.
static size_t numbers_of(const char *line, unsigned long *numbers, size_t room)
{
	size_t count = 0;
	for (const char *at = strchr(line, ':'); at && count < room; at = strchr(at + 1, ':')) {
		char *end;
		unsigned long number = strtoul(at + 1, &end, 0);
		if (end != at + 1)
			numbers[count++] = number;
	}
	return count;
}

// Hands the numbers of each entry of an event's histogram to `each`: its keys, then how often.
static void read_histogram(const char *event, struct counters *counters, size_t keys,
			   void (*each)(struct counters *, const unsigned long *))
{
	char path[128], line[256];
	unsigned long numbers[4];
	snprintf(path, sizeof path, "%s/hist", event);
	FILE *file = open_file(path);
	while (fgets(line, sizeof line, file)) {
		if (*line == '{') {
			if (numbers_of(line, numbers, 4) != keys + 1)
				die("%s holds a line that is not understood: %s", path, line);
			each(counters, numbers);
		} else if (sscanf(line, " Dropped: %lu", numbers) == 1 && *numbers) {
			die("%s had no room for %lu events", path, *numbers);
		}
	}
	fclose(file);
}

static void add_range(struct counters *counters, const unsigned long *entry)
{
	unsigned long steps = entry[0] >> entry[1], calls = entry[2];
	if (steps > RANGE_STEPS_MAX)
		counters->vmid_fences += calls;
	else
		counters->range_fences += steps * calls;
}

static void add_exit(struct counters *counters, const unsigned long *entry)
{
	unsigned long cause = entry[0], exits = entry[1];
	if (cause == 20)
		counters->fetch_faults += exits;
	else if (cause == 21)
		counters->load_faults += exits;
	else if (cause == 23)
		counters->store_faults += exits;
	else
		counters->other_exits += exits;
}

void counters_read(struct counters *counters)
{
	*counters = (struct counters){ 0 };
	FILE *profile = open_file(TRACING "kprobe_profile");
	char name[64];
	unsigned long hits, misses;
	while (fscanf(profile, "%63s %lu %lu", name, &hits, &misses) == 3) {
		if (misses)
			die("the probe %s missed %lu calls", name, misses);
		for (size_t i = 0; i < sizeof PROBES / sizeof *PROBES; i++)
			if (!strcmp(name, PROBES[i].name))
				*(unsigned long *)((char *)counters + PROBES[i].counter) += hits;
	}
	fclose(profile);
	read_histogram(RANGE_HISTOGRAM, counters, 2, add_range);
	read_histogram(EXIT_HISTOGRAM, counters, 1, add_exit);
}

struct counters counters_between(const struct counters *before, const struct counters *after)
{
	struct counters between = *after;
	unsigned long *left = (unsigned long *)&between;
	const unsigned long *right = (const unsigned long *)before;
	for (size_t i = 0; i < sizeof between / sizeof *left; i++)
		left[i] -= right[i];
	return between;
}

long kvm_statistic(const char *name)
{
	char path[128];
	long value = -1;
	snprintf(path, sizeof path, "/sys/kernel/debug/kvm/%s", name);
	FILE *file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}
