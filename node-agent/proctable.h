/* The processes of this node: one record per image, found by exec_id, which hashes boot id, pid,
 * start time and exec count and so is the same before and after a restart of the agent.
 *
 * Capped: capacity records; the images (paths, arguments, environment) are shared between a process
 * and its forks and have a budget in bytes, past which new ones keep only the beginning of their
 * arguments and say so. When the table is full the least recently used record goes, ended ones
 * first. An ended or replaced image stays findable for PROCTABLE_GRACE further ones: sockets close
 * after their owner is gone.
 *
 * A record takes 200 bytes and its image what its texts take. A struct process_def is made of both when it is
 * asked for; it stays at its address, unchanged, until the next proctable_turn. One thread. */
#pragma once

#include "node-agent/containers.h"
#include "node-agent/decode.h"

#define PROCTABLE_GRACE 512

struct proctable;

struct proctable_config {
	const char *boot_id;
	const char *proc;	      /* "/proc"; a test's folder */
	uint32_t capacity;	      /* records, at least 1 */
	size_t image_bytes;	      /* of all images; 0: 8 MiB */
	const char *const *env_names; /* NULL-terminated; NULL: none */
	struct containers *containers; /* not owned */
};

struct proctable_stats {
	uint32_t count;
	uint64_t evicted_live; /* records of live processes that newer ones pushed out */
	size_t image_bytes;
};

/* NULL without memory. */
struct proctable *proctable_new(const struct proctable_config *config);
void proctable_free(struct proctable *t); /* NULL allowed */

/* Before each turn: ended records past the grace go, and all definitions that were handed out. */
void proctable_turn(struct proctable *t);

uint64_t proctable_exec_id(const struct proctable *t, const struct nj_task *task);

/* The process that acted. One that is not known is made from /proc; when that is gone too, from the
 * record alone, and *ret_unknown is true (it is not touched otherwise). Never NULL. */
const struct process_def *proctable_of(struct proctable *t, const struct nj_head *head, bool *ret_unknown);
/* The same for somebody else than who acted. */
const struct process_def *proctable_target(struct proctable *t, const struct nj_owner *target);
/* The same for a process that must be known: NULL when it is not. */
const struct process_def *proctable_find(struct proctable *t, const struct nj_task *task);

/* A child that shares its parent's image. */
const struct process_def *proctable_fork(struct proctable *t, const struct decoded *d, const struct process_def *parent);
/* A new image, or the one that is known already. */
const struct process_def *proctable_exec(struct proctable *t, const struct decoded *d);
/* False when it had ended before. */
bool proctable_exit(struct proctable *t, const struct nj_task *task);
/* Children of the process start with these from now on. */
void proctable_set_creds(struct proctable *t, const struct nj_task *task, const struct creds *creds);

void proctable_stats(const struct proctable *t, struct proctable_stats *ret_stats);

DEFINE_CLEANUP(struct proctable *, proctable_free)
