/* The life of an alert; see alert.h. The message's strings are in the arena or constant, so the
 * arena goes and everything with it. An alert of the usual size (4 to 8 KiB) takes two blocks. */
#include "collector/alert.h"

#define ALERT_BYTES_MAX 262144UL

struct alert *alert_new(void)
{
	_cleanup_(alert_freep) struct alert *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	nightjar__v1__alert__init(&a->msg);
	a->arena = arena_new(ALERT_BYTES_MAX);
	return a->arena ? take_ptr(a) : NULL;
}

void alert_free(struct alert *a)
{
	if (!a)
		return;
	arena_free(a->arena);
	free(a);
}
