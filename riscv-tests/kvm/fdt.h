// A writer of flattened device trees (Devicetree Specification 0.4, chapter 5).
#ifndef FDT_H
#define FDT_H

#include <stddef.h>
#include <stdint.h>

#define FDT_NAMES_MAX 512

struct fdt {
	uint8_t *at;      // the tree grows here
	size_t room;      // bytes there
	size_t used;
	char names[FDT_NAMES_MAX]; // the strings block
	size_t names_used;
};

// Starts a tree in this memory, which is at a multiple of 8 bytes. Too little room ends the program.
void fdt_begin(struct fdt *fdt, void *memory, size_t room);

void fdt_node(struct fdt *fdt, const char *name);
void fdt_end_node(struct fdt *fdt);
void fdt_bytes(struct fdt *fdt, const char *name, const void *value, size_t bytes);
void fdt_string(struct fdt *fdt, const char *name, const char *value);
void fdt_u32(struct fdt *fdt, const char *name, uint32_t value);
void fdt_u64(struct fdt *fdt, const char *name, uint64_t value);
// An address and a size, two cells each.
void fdt_range(struct fdt *fdt, const char *name, uint64_t address, uint64_t bytes);

// Completes the tree and returns its size.
size_t fdt_finish(struct fdt *fdt);

#endif
