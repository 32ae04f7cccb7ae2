// A Linux guest: an unmodified Image with its initramfs, one thread for each vCPU, a 16550 for a console. Timer,
// interrupts between harts and remote fences are KVM's own.
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console.h"
#include "counters.h"
#include "fdt.h"
#include "guest.h"
#include "options.h"

#define RAM_GPA 0x80000000ul
#define VCPUS_MAX 8
#define FDT_ROOM (64 * KIB)
// How many accesses to nothing are told, so that a guest that probes does not fill the console.
#define STRAY_TOLD 8

const char LINUX_USAGE[] =
	"vmm linux   boots a Linux guest\n"
	"    --kernel FILE     its Image\n"
	"    --initrd FILE     its initramfs\n"
	"    --append TEXT     kernel arguments instead of \"earlycon=sbi console=ttyS0\"\n"
	"    --memory MIB      its RAM; 256\n"
	"    --vcpus N         its vCPUs; 1\n"
	"    --backing WORD    4k, thp or hugetlb2m; thp\n"
	"    --log MS          switches dirty logging on and reads the log every MS milliseconds; 0 does not\n"
	"    --limit S         gives up after S seconds; 0 does not\n";

// Extensions that a guest is told of if KVM gives them to it, in the order that the ISA manual wants for names.
static const struct {
	const char *name;
	unsigned id;
} EXTENSIONS[] = {
	{ "i", ISA_I }, { "m", ISA_M }, { "a", ISA_A }, { "f", ISA_F }, { "d", ISA_D }, { "c", ISA_C },
	{ "zicbom", ISA_ZICBOM }, { "zicboz", ISA_ZICBOZ }, { "zicntr", ISA_ZICNTR }, { "zicond", ISA_ZICOND },
	{ "zicsr", ISA_ZICSR }, { "zifencei", ISA_ZIFENCEI }, { "zihintpause", ISA_ZIHINTPAUSE },
	{ "zihpm", ISA_ZIHPM }, { "zacas", ISA_ZACAS }, { "zawrs", ISA_ZAWRS }, { "zfa", ISA_ZFA },
	{ "zfh", ISA_ZFH }, { "zba", ISA_ZBA }, { "zbb", ISA_ZBB }, { "zbc", ISA_ZBC }, { "zbs", ISA_ZBS },
	{ "sstc", ISA_SSTC }, { "svade", ISA_SVADE }, { "svadu", ISA_SVADU }, { "svinval", ISA_SVINVAL },
	{ "svnapot", ISA_SVNAPOT }, { "svpbmt", ISA_SVPBMT }, { "svvptc", ISA_SVVPTC },
};

static struct {
	struct vm vm;
	struct memory ram;
	struct vcpu vcpus[VCPUS_MAX];
	unsigned count;
} guest;

// How the run ended. The first vCPU that has an end to tell sets it.
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
	int status;
	unsigned stray;
} end = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static volatile sig_atomic_t time_is_up;

static void finish(int status)
{
	pthread_mutex_lock(&end.lock);
	if (!end.over) {
		end.over = true;
		end.status = status;
		pthread_cond_signal(&end.changed);
	}
	pthread_mutex_unlock(&end.lock);
}

static void stray_access(const struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	pthread_mutex_lock(&end.lock);
	bool tell = end.stray++ < STRAY_TOLD;
	pthread_mutex_unlock(&end.lock);
	if (tell)
		printf("vmm: vCPU %u %s %u bytes at %#llx, where nothing is\n", vcpu->id,
		       run->mmio.is_write ? "writes" : "reads", run->mmio.len, (unsigned long long)run->mmio.phys_addr);
	memset(run->mmio.data, 0, sizeof run->mmio.data);
}

// Does what the vCPU left for, and returns whether it goes on.
static bool attend(struct vcpu *vcpu, int reason)
{
	struct kvm_run *run = vcpu->run;
	switch (reason) {
	case KVM_EXIT_RISCV_SBI:
		console_sbi(run, &guest.ram);
		return true;
	case KVM_EXIT_MMIO:
		if (run->mmio.phys_addr >= UART_GPA && run->mmio.phys_addr - UART_GPA < UART_BYTES)
			console_uart(run);
		else
			stray_access(vcpu);
		return true;
	case KVM_EXIT_SYSTEM_EVENT: {
		bool shutdown = run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN;
		printf("vmm: system event %u from vCPU %u\n", run->system_event.type, vcpu->id);
		finish(shutdown && run->system_event.data[0] == 0 ? 0 : 1);
		return false;
	}
	default:
		vcpu_print(vcpu);
		printf("vmm: FAIL: %s (%d) from vCPU %u\n", exit_name(reason), reason, vcpu->id);
		finish(1);
		return false;
	}
}

static void *run_vcpu(void *argument)
{
	struct vcpu *vcpu = argument;
	for (;;) {
		int reason = vcpu_run(vcpu);
		if (reason < 0) {
			if (!time_is_up)
				continue;
			vcpu_print(vcpu);
			return NULL;
		}
		if (!attend(vcpu, reason))
			return NULL;
	}
}

static void build_cpus(struct fdt *fdt)
{
	const struct vcpu *first = &guest.vcpus[0];
	char list[512];
	size_t list_bytes = 0;
	for (size_t i = 0; i < sizeof EXTENSIONS / sizeof *EXTENSIONS; i++) {
		uint64_t on = 0;
		if (!vcpu_try_get(first, REG_ISA(EXTENSIONS[i].id), &on) || !on)
			continue;
		size_t bytes = strlen(EXTENSIONS[i].name) + 1;
		if (bytes > sizeof list - list_bytes)
			die("the list of extensions is too long");
		memcpy(list + list_bytes, EXTENSIONS[i].name, bytes);
		list_bytes += bytes;
	}
	fdt_node(fdt, "cpus");
	fdt_u32(fdt, "#address-cells", 1);
	fdt_u32(fdt, "#size-cells", 0);
	fdt_u32(fdt, "timebase-frequency", vcpu_get(first, REG_TIMER(frequency)));
	for (unsigned i = 0; i < guest.count; i++) {
		char name[16];
		snprintf(name, sizeof name, "cpu@%x", i);
		fdt_node(fdt, name);
		fdt_string(fdt, "device_type", "cpu");
		fdt_string(fdt, "compatible", "riscv");
		fdt_u32(fdt, "reg", i);
		fdt_string(fdt, "mmu-type", "riscv,sv57");
		fdt_string(fdt, "riscv,isa-base", "rv64i");
		fdt_bytes(fdt, "riscv,isa-extensions", list, list_bytes);
		fdt_u32(fdt, "riscv,cbom-block-size", vcpu_get(first, REG_CONFIG(zicbom_block_size)));
		uint64_t block_bytes;
		if (vcpu_try_get(first, REG_ZICBOZ_BLOCK, &block_bytes))
			fdt_u32(fdt, "riscv,cboz-block-size", block_bytes);
		fdt_node(fdt, "interrupt-controller");
		fdt_u32(fdt, "#interrupt-cells", 1);
		fdt_u32(fdt, "#address-cells", 0);
		fdt_bytes(fdt, "interrupt-controller", "", 0);
		fdt_string(fdt, "compatible", "riscv,cpu-intc");
		fdt_end_node(fdt);
		fdt_end_node(fdt);
	}
	fdt_end_node(fdt);
}

static void build_tree(uint64_t gpa, const char *append, uint64_t initrd, uint64_t initrd_bytes)
{
	struct fdt fdt;
	fdt_begin(&fdt, memory_at(&guest.ram, gpa, FDT_ROOM), FDT_ROOM);
	fdt_node(&fdt, "");
	fdt_u32(&fdt, "#address-cells", 2);
	fdt_u32(&fdt, "#size-cells", 2);
	fdt_string(&fdt, "compatible", "nestwalk,guest");
	fdt_string(&fdt, "model", "guest of Nestwalk's vmm");

	fdt_node(&fdt, "chosen");
	fdt_string(&fdt, "bootargs", append);
	fdt_string(&fdt, "stdout-path", "/soc/serial@10000000");
	if (initrd_bytes) {
		fdt_u64(&fdt, "linux,initrd-start", initrd);
		fdt_u64(&fdt, "linux,initrd-end", initrd + initrd_bytes);
	}
	fdt_end_node(&fdt);

	char name[32];
	snprintf(name, sizeof name, "memory@%lx", guest.ram.gpa);
	fdt_node(&fdt, name);
	fdt_string(&fdt, "device_type", "memory");
	fdt_range(&fdt, "reg", guest.ram.gpa, guest.ram.bytes);
	fdt_end_node(&fdt);

	build_cpus(&fdt);

	fdt_node(&fdt, "soc");
	fdt_u32(&fdt, "#address-cells", 2);
	fdt_u32(&fdt, "#size-cells", 2);
	fdt_string(&fdt, "compatible", "simple-bus");
	fdt_bytes(&fdt, "ranges", "", 0);
	fdt_node(&fdt, "serial@10000000");
	fdt_string(&fdt, "compatible", "ns16550a");
	fdt_range(&fdt, "reg", UART_GPA, UART_BYTES);
	fdt_u32(&fdt, "clock-frequency", 3686400);
	fdt_end_node(&fdt);
	fdt_end_node(&fdt);

	fdt_end_node(&fdt);
	fdt_finish(&fdt);
}

// The size of the kernel in memory with its bss, from the Image's header (kernel documentation, "Boot image header in
// RISC-V Linux").
static uint64_t kernel_bytes(const uint8_t *image, size_t file_bytes, const char *path)
{
	uint64_t bytes;
	if (file_bytes < 64 || memcmp(image + 56, "RSC\x05", 4))
		die("%s is not a riscv64 Image of Linux", path);
	memcpy(&bytes, image + 16, sizeof bytes);
	bytes = le64toh(bytes);
	return bytes > file_bytes ? bytes : file_bytes;
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

// Loads everything and leaves the first vCPU at the kernel's entry. Returns nothing to decide: it fits or we die.
static void load(const char *kernel, const char *initrd, const char *append)
{
	uint64_t kernel_gpa = RAM_GPA + HUGE_BYTES;
	size_t file_bytes = memory_load(&guest.ram, kernel_gpa, kernel);
	const uint8_t *image = memory_at(&guest.ram, kernel_gpa, file_bytes);
	uint64_t initrd_gpa = round_up(kernel_gpa + kernel_bytes(image, file_bytes, kernel), HUGE_BYTES);
	uint64_t fdt_gpa = RAM_GPA + guest.ram.bytes - HUGE_BYTES;
	size_t initrd_bytes = initrd ? memory_load(&guest.ram, initrd_gpa, initrd) : 0;
	if (initrd_gpa + initrd_bytes > fdt_gpa)
		die("kernel and initramfs do not fit into %zu MiB", guest.ram.bytes / MIB);
	build_tree(fdt_gpa, append, initrd_gpa, initrd_bytes);
	vcpu_set(&guest.vcpus[0], REG_CORE(pc), kernel_gpa);
	vcpu_set(&guest.vcpus[0], REG_CORE(a0), 0);
	vcpu_set(&guest.vcpus[0], REG_CORE(a1), fdt_gpa);
}

static void on_signal(int signal)
{
	(void)signal; // it only has to end KVM_RUN
}

// Waits for the end; past the limit, has every vCPU print where it is.
static int wait_for_end(pthread_t *threads, unsigned long limit_seconds)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += limit_seconds;
	pthread_mutex_lock(&end.lock);
	int waited = 0;
	while (!end.over && waited != ETIMEDOUT)
		waited = limit_seconds ? pthread_cond_timedwait(&end.changed, &end.lock, &until) :
					 pthread_cond_wait(&end.changed, &end.lock);
	bool over = end.over;
	pthread_mutex_unlock(&end.lock);
	if (over)
		return end.status;
	printf("vmm: FAIL: the guest has not ended after %lu s\n", limit_seconds);
	time_is_up = 1;
	for (unsigned i = 0; i < guest.count; i++) {
		pthread_kill(threads[i], SIGUSR1);
		pthread_join(threads[i], NULL);
	}
	return 1;
}

struct logger {
	unsigned long period_ms;
	unsigned long rounds, dirty_pages;
};

// Reads the dirty log again and again while the guest runs.
static void *read_log(void *argument)
{
	struct logger *logger = argument;
	size_t words = guest.ram.bytes / PAGE_BYTES / 64;
	uint64_t *bitmap = calloc(words, sizeof *bitmap);
	if (!bitmap)
		die("no memory for a bitmap");
	memory_flags(&guest.vm, &guest.ram, KVM_MEM_LOG_DIRTY_PAGES);
	for (;;) {
		struct timespec pause = { logger->period_ms / 1000, logger->period_ms % 1000 * 1000000 };
		nanosleep(&pause, NULL);
		dirty_log_get(&guest.vm, &guest.ram, bitmap);
		for (size_t i = 0; i < words; i++)
			logger->dirty_pages += __builtin_popcountl(bitmap[i]);
		logger->rounds++;
	}
	return NULL;
}

int linux_main(int argc, char **argv)
{
	const char *kernel = NULL, *initrd = NULL, *append = "earlycon=sbi console=ttyS0", *backing = "thp";
	unsigned long memory_mib = 256, vcpus = 1, log_ms = 0, limit = 0;
	const struct option_row rows[] = {
		{ "--kernel", .text = &kernel },       { "--initrd", .text = &initrd },
		{ "--append", .text = &append },       { "--backing", .text = &backing },
		{ "--memory", .number = &memory_mib }, { "--vcpus", .number = &vcpus },
		{ "--log", .number = &log_ms },        { "--limit", .number = &limit },
		{ 0 },
	};
	options_take(argc, argv, rows, LINUX_USAGE);
	if (!kernel || vcpus < 1 || vcpus > VCPUS_MAX || memory_mib < 64 || memory_mib > 4096 || memory_mib % 2) {
		fprintf(stderr, "vmm: a kernel, 1 to %d vCPUs and 64 to 4096 MiB in steps of 2 are needed\n%s",
			VCPUS_MAX, LINUX_USAGE);
		return 2;
	}
	double begun = seconds();
	guest.count = vcpus;
	vm_open(&guest.vm);
	memory_create(&guest.vm, &guest.ram, 0, RAM_GPA, memory_mib * MIB, backing_named(backing));
	for (unsigned i = 0; i < guest.count; i++) {
		vcpu_create(&guest.vm, &guest.vcpus[i], i);
		vcpu_set(&guest.vcpus[i], REG_SBI(SBI_EXT_DBCN), 1);
	}
	load(kernel, initrd, append);
	printf("vmm: %lu MiB, %zu MiB of them in huge pages, %u vCPUs\n", memory_mib,
	       memory_huge_bytes(&guest.ram) / MIB, guest.count);
	console_open();
	struct sigaction action = { .sa_handler = on_signal };
	sigaction(SIGUSR1, &action, NULL);

	double started = seconds();
	static struct logger logger;
	logger.period_ms = log_ms;
	pthread_t threads[VCPUS_MAX], log_thread;
	for (unsigned i = 0; i < guest.count; i++)
		if (pthread_create(&threads[i], NULL, run_vcpu, &guest.vcpus[i]) != 0)
			die("cannot start the thread of vCPU %u", i);
	if (log_ms && pthread_create(&log_thread, NULL, read_log, &logger) != 0)
		die("cannot start the thread that reads the dirty log");
	int status = wait_for_end(threads, limit);
	printf("\nvmm: the guest ran for %.2f s after %.2f s to load it; %ld exits\n", seconds() - started,
	       started - begun, kvm_statistic("exits"));
	if (log_ms)
		printf("vmm: the dirty log was read %lu times and told of %lu pages\n", logger.rounds,
		       logger.dirty_pages);
	// The threads of other vCPUs and of the console end with the program.
	return status;
}
