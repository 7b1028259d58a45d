/* Files that hold credentials, and who opens them as a matter of course: reviewed tables. */
#pragma once

#include <stddef.h>

struct secret {
	const char *name; /* short, stable: evidence */
	const char *what; /* for people */
	const char *severity;
	double score;
	const char *const *techniques;
	const char *const
		*paths; /* '*' is any run within a component; a leading "**" any directory */
	/* Last components of programs that may: in a system directory, owned by root. */
	const char *const *readers;
	/* The same, but only for a person who is there: not for whoever commands them from outside.
	 * NULL: none. */
	const char *const *viewers;
	/* The same of ancestors: what they start may. */
	const char *const *lineages;
};

/* The secret that a path names; NULL: none. */
const struct secret *secret_of(const char *path);
size_t secret_index(const struct secret *secret);
/* Last components of all paths; NULL-terminated. */
extern const char *const secret_open_names[];
int secret_in(const char *const *list, const char *name);
