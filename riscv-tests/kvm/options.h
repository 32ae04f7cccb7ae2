// Words of the command line: `--name VALUE` and plain words.
#ifndef OPTIONS_H
#define OPTIONS_H

struct option_row {
	const char *name;   // with its dashes
	const char **text;  // where its value goes; or
	unsigned long *number;
};

// Takes all words after the first. `rows` ends with a row without a name. Unknown words end the program with `usage`.
void options_take(int argc, char **argv, const struct option_row *rows, const char *usage);

#endif
