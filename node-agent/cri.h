/* Asks the container runtime who a container is: its pod, labels, image, mounts, capabilities.
 *
 * A thread of its own and two bounded queues: whoever asks never waits, and nothing is asked, connected or
 * allocated before the first container appears. Five unary calls of runtime.v1 are used, all of them
 * reading. Containers that the runtime does not know yet are asked for again a few times, those it is too slow to
 * answer about for some minutes; while it does not answer at all, questions wait and the connection is tried
 * again, ever less often. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/event.h"

#define CRI_ID_SIZE 65 /* 64 hex digits */

struct cri;

struct cri_config {
	const char *const *sockets; /* tried in this order, NULL-terminated; NULL: where runtimes have them */
	uint64_t backoff_min_ns;    /* 0: 200 ms */
	uint64_t backoff_max_ns;    /* 0: 30 s */
	uint64_t retry_ns;	    /* until a container is asked for again, the first time; 0: 30 ms */
	uint64_t second_look_ns;    /* until the start of one that was only created is; 0: 2 s */
	int timeout_ms;		    /* of a call; 0: 2 s */
};

/* rpc_init before. */
int cri_new(const struct cri_config *config, struct cri **ret_cri, struct err *e) must_check;
void cri_free(struct cri *c); /* waits for a call that is under way; NULL allowed */

/* Readable when answers wait. */
int cri_fd(const struct cri *c);
/* 0; -EAGAIN: too many questions wait, ask again later; -ENOMEM. */
int cri_ask(struct cri *c, const char *container_id) must_check;
/* The next answer, for free(): a definition with the container_id that was asked for, without cgroup. One
 * container may be answered twice, the second time with its start. NULL: none waits. */
struct container_def *cri_take(struct cri *c);

struct cri_stats {
	uint64_t answered;  /* containers */
	uint64_t unknown;   /* asked for several times, and the runtime does not know them */
	uint64_t failed;    /* attempts to connect, and calls that got an error or nonsense */
	uint64_t cut;	    /* containers whose labels, mounts or texts were more than we keep */
	uint64_t connected; /* how often */
	bool is_connected;
	char runtime[96];  /* its name, version and socket; "" before it has answered */
	char problem[256]; /* why it does not answer; "" when it does */
};
void cri_stats(struct cri *c, struct cri_stats *ret_stats);

DEFINE_CLEANUP(struct cri *, cri_free)
