// Guests that this program starts: what each word of its command line does. They return the exit status.
#ifndef GUEST_H
#define GUEST_H

int bare_main(int argc, char **argv);
int linux_main(int argc, char **argv);
int dirty_main(int argc, char **argv);
int fault_main(int argc, char **argv);
int pmu_main(int argc, char **argv);

// The usage of each, for --help.
extern const char BARE_USAGE[], LINUX_USAGE[], DIRTY_USAGE[], FAULT_USAGE[], PMU_USAGE[];

#endif
