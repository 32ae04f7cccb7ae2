// A writer of flattened device trees: header, memory reservations (none), structure, strings.
#include "fdt.h"

#include <endian.h>
#include <string.h>

#include "vm.h"

#define MAGIC 0xd00dfeed
#define VERSION 17
#define LAST_COMPATIBLE_VERSION 16
#define BEGIN_NODE 1
#define END_NODE 2
#define PROPERTY 3
#define END 9

// The ten big-endian words at the start of a tree.
enum { H_MAGIC, H_BYTES, H_STRUCTURE, H_STRINGS, H_RESERVED, H_VERSION, H_LAST, H_HART, H_STRINGS_BYTES,
       H_STRUCTURE_BYTES, H_WORDS };

#define RESERVED_AT (H_WORDS * sizeof(uint32_t))
#define STRUCTURE_AT (RESERVED_AT + 2 * sizeof(uint64_t))

static void put(struct fdt *fdt, const void *bytes, size_t count)
{
	size_t padded = (count + 3) & ~3ul;
	if (padded > fdt->room - fdt->used)
		die("the device tree needs more than %zu bytes", fdt->room);
	memset(fdt->at + fdt->used, 0, padded);
	memcpy(fdt->at + fdt->used, bytes, count);
	fdt->used += padded;
}

static void put_word(struct fdt *fdt, uint32_t word)
{
	word = htobe32(word);
	put(fdt, &word, sizeof word);
}

// The offset of a name in the strings block, where it is added once.
static uint32_t name_offset(struct fdt *fdt, const char *name)
{
	for (size_t at = 0; at < fdt->names_used; at += strlen(fdt->names + at) + 1)
		if (!strcmp(fdt->names + at, name))
			return at;
	size_t bytes = strlen(name) + 1, at = fdt->names_used;
	if (bytes > FDT_NAMES_MAX - at)
		die("the device tree has too many different properties");
	memcpy(fdt->names + at, name, bytes);
	fdt->names_used += bytes;
	return at;
}

void fdt_begin(struct fdt *fdt, void *memory, size_t room)
{
	*fdt = (struct fdt){ .at = memory, .room = room, .used = STRUCTURE_AT };
	if (room < STRUCTURE_AT)
		die("there is no room for a device tree");
	memset(memory, 0, STRUCTURE_AT);
}

void fdt_node(struct fdt *fdt, const char *name)
{
	put_word(fdt, BEGIN_NODE);
	put(fdt, name, strlen(name) + 1);
}

void fdt_end_node(struct fdt *fdt)
{
	put_word(fdt, END_NODE);
}

void fdt_bytes(struct fdt *fdt, const char *name, const void *value, size_t bytes)
{
	put_word(fdt, PROPERTY);
	put_word(fdt, bytes);
	put_word(fdt, name_offset(fdt, name));
	put(fdt, value, bytes);
}

void fdt_string(struct fdt *fdt, const char *name, const char *value)
{
	fdt_bytes(fdt, name, value, strlen(value) + 1);
}

void fdt_u32(struct fdt *fdt, const char *name, uint32_t value)
{
	value = htobe32(value);
	fdt_bytes(fdt, name, &value, sizeof value);
}

void fdt_u64(struct fdt *fdt, const char *name, uint64_t value)
{
	value = htobe64(value);
	fdt_bytes(fdt, name, &value, sizeof value);
}

void fdt_range(struct fdt *fdt, const char *name, uint64_t address, uint64_t bytes)
{
	uint64_t range[] = { htobe64(address), htobe64(bytes) };
	fdt_bytes(fdt, name, range, sizeof range);
}

size_t fdt_finish(struct fdt *fdt)
{
	put_word(fdt, END);
	size_t structure_bytes = fdt->used - STRUCTURE_AT, strings_at = fdt->used;
	put(fdt, fdt->names, fdt->names_used);
	uint32_t header[H_WORDS] = {
		[H_MAGIC] = MAGIC,
		[H_BYTES] = fdt->used,
		[H_STRUCTURE] = STRUCTURE_AT,
		[H_STRINGS] = strings_at,
		[H_RESERVED] = RESERVED_AT,
		[H_VERSION] = VERSION,
		[H_LAST] = LAST_COMPATIBLE_VERSION,
		[H_STRINGS_BYTES] = fdt->names_used,
		[H_STRUCTURE_BYTES] = structure_bytes,
	};
	for (size_t i = 0; i < H_WORDS; i++)
		header[i] = htobe32(header[i]);
	memcpy(fdt->at, header, sizeof header);
	return fdt->used;
}
