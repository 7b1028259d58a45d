/* cgroup → container: who a process belongs to, found from the id that the kernel stamps on
 * records. Filled by a scan of the cgroup file systems at start, then by the kernel's own notices;
 * an id that neither has named is looked up through /proc once. What only the runtime knows of a
 * container (pod, image, mounts) is asked for elsewhere and joined here, whenever it comes.
 *
 * Holds at most max paths; the least recently used one goes first, and comes back through /proc. A
 * container lives as long as somebody holds a reference; what the runtime has told of it, as long as it has
 * processes, and is asked for again should it ever have some again. One thread. */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/event.h"

struct containers;

struct container {
	struct container_def def; /* changes when the runtime's answer comes */
	uint32_t users;
	bool listed; /* in the table of paths */
	struct containers *home; /* NULL: not a container, or its home went before */
	struct container *next, **link; /* of those that have a container_id */
	struct known *known;
	char text[]; /* what def points to */
};

/* root: where cgroup file systems are mounted, normally /sys/fs/cgroup. NULL without memory. */
struct containers *containers_new(const char *root, const char *proc, uint32_t max);
void containers_free(struct containers *c); /* NULL allowed */

/* True when tasks sit in the root of v2 while v1 hierarchies tell containers apart. */
bool containers_use_v1(const struct containers *c);

/* A cgroup was made. */
void containers_made(struct containers *c, uint32_t hierarchy, uint64_t id, const char *path);
/* A cgroup was removed: nobody can enter it any more. Who was in it keeps its container. */
void containers_gone(struct containers *c, uint32_t hierarchy, uint64_t id);
/* The container of a process, with a reference; never NULL: an unknown one is the host. */
struct container *containers_get(struct containers *c, uint32_t hierarchy, uint64_t id, uint32_t pid);

/* Visits the cgroups that are known. */
void containers_each(struct containers *c,
		     void (*visit)(void *ctx, uint32_t hierarchy, uint64_t id, const char *cgroup), void *ctx);

struct container *container_ref(struct container *container);
void container_unref(struct container *container); /* NULL allowed */

/* How many containers nobody has asked the runtime for. */
uint32_t containers_unasked(const struct containers *c);
/* Calls ask for each of them until it returns false: it could not take the question. */
void containers_ask(struct containers *c, bool (*ask)(void *ctx, const char *container_id), void *ctx);
/* What the runtime has told of the container with this container_id; takes the block over. Returns how
 * it looks now to those who have seen it without; NULL: nobody has. */
const struct container_def *containers_resolve(struct containers *c, struct container_def *told);

DEFINE_CLEANUP(struct containers *, containers_free)
