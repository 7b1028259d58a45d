/* cgroup → container: who a process belongs to, found from the id that the kernel stamps on
 * records. Filled by a scan of the cgroup file systems at start, then by the kernel's own notices;
 * an id that neither has named is looked up through /proc once.
 *
 * Holds at most max paths; the least recently used one goes first, and comes back through /proc. A
 * container lives as long as somebody holds a reference. One thread. */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/event.h"

struct containers;

struct container {
	struct container_def def;
	uint32_t refs;
	char text[]; /* what def points to */
};

/* root: where cgroup file systems are mounted, normally /sys/fs/cgroup. NULL without memory. */
struct containers *containers_new(const char *root, const char *proc, uint32_t max);
void containers_free(struct containers *c); /* NULL allowed */

/* True when tasks sit in the root of v2 while v1 hierarchies tell containers apart. */
bool containers_use_v1(const struct containers *c);

/* A cgroup was made. */
void containers_made(struct containers *c, uint32_t hierarchy, uint64_t id, const char *path);
/* The container of a process, with a reference; never NULL: an unknown one is the host. */
struct container *containers_get(struct containers *c, uint32_t hierarchy, uint64_t id, uint32_t pid);

struct container *container_ref(struct container *container);
void container_unref(struct container *container); /* NULL allowed */

DEFINE_CLEANUP(struct containers *, containers_free)
