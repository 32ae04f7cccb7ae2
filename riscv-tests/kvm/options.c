// Words of the command line.
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void refuse(const char *what, const char *word, const char *usage)
{
	fprintf(stderr, "vmm: %s %s\n%s", what, word, usage);
	exit(2);
}

void options_take(int argc, char **argv, const struct option_row *rows, const char *usage)
{
	for (int i = 1; i < argc; i++) {
		const struct option_row *row = rows;
		while (row->name && strcmp(row->name, argv[i]))
			row++;
		if (!row->name)
			refuse("there is no option", argv[i], usage);
		if (++i == argc)
			refuse("a value is missing after", row->name, usage);
		if (row->text) {
			*row->text = argv[i];
			continue;
		}
		char *end;
		errno = 0;
		*row->number = strtoul(argv[i], &end, 0);
		if (errno || end == argv[i] || *end)
			refuse("not a number:", argv[i], usage);
	}
}
