/* Scope clean-up: a local is released when it leaves scope, on every path.
 *
 *   _cleanup_(freep) char *text = NULL;     released at the closing brace
 *   *ret_text = take_ptr(text);             handed over: the local forgets it
 *
 * A destructor named NAMEp takes a pointer to the local; DEFINE_CLEANUP makes it from NAME, which
 * must accept NULL. Descriptors use closep and the value -1 for "none". */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline __attribute__((unused)) void fn##p(type *p)                                  \
	{                                                                                          \
		if (*p)                                                                            \
			fn(*p);                                                                    \
	}

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__auto_type taken_ = (p);                                                          \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

static inline __attribute__((unused)) void freep(void *p)
{
	free(*(void **)p);
}

static inline __attribute__((unused)) void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline __attribute__((unused)) int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

DEFINE_CLEANUP(FILE *, fclose)
