// vmm: a small virtual machine monitor for KVM on RISC-V. It starts guests that show that KVM works, and exercises
// its dirty log. It has no devices but a console, and no dependency but the C library.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"

static const struct {
	const char *word;
	int (*main)(int argc, char **argv);
	const char *usage;
} GUESTS[] = {
	{ "bare", bare_main, BARE_USAGE },
	{ "linux", linux_main, LINUX_USAGE },
	{ "dirty", dirty_main, DIRTY_USAGE },
	{ "fault", fault_main, FAULT_USAGE },
	{ "pmu", pmu_main, PMU_USAGE },
};

int main(int argc, char **argv)
{
	// Lines of guests and ours must come out in the order in which they were made.
	setvbuf(stdout, NULL, _IONBF, 0);
	size_t count = sizeof GUESTS / sizeof *GUESTS;
	for (size_t i = 0; argc > 1 && i < count; i++)
		if (!strcmp(argv[1], GUESTS[i].word))
			return GUESTS[i].main(argc - 1, argv + 1);
	bool asked = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
	FILE *to = asked ? stdout : stderr;
	if (argc > 1 && !asked)
		fprintf(to, "vmm: there is no guest %s\n", argv[1]);
	for (size_t i = 0; i < count; i++)
		fputs(GUESTS[i].usage, to);
	return asked ? 0 : 2;
}
