// The kernel's own view of what KVM did: probes at functions of kvm.ko, its trace of exits, its statistics.
#ifndef COUNTERS_H
#define COUNTERS_H

// Counts since `counters_arm`; the difference of two is what happened in between.
struct counters {
	// Guest-page faults by cause: 20, 21, 23.
	unsigned long fetch_faults, load_faults, store_faults;
	// Other exits of vCPUs: interrupts and environment calls among them.
	unsigned long other_exits;
	// Calls that split a huge leaf, store a leaf, update a leaf in place.
	unsigned long splits, set_ptes, updates;
	// Fence instructions for guest-physical addresses: for one leaf's range, for a whole VMID, for everything.
	unsigned long range_fences, vmid_fences, all_fences;
};

// Sets the probes. Without the kernel's trace file system, or with a kernel whose functions are called otherwise, the
// program ends and says so.
void counters_arm(void);

void counters_read(struct counters *counters);

// `after` - `before`, member by member.
struct counters counters_between(const struct counters *before, const struct counters *after);

// One of KVM's statistics over all running machines; -1 if it is not there.
long kvm_statistic(const char *name);

#endif
