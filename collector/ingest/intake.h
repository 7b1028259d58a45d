/* What becomes of a batch: check → journal → the worker that owns the node's shard → acknowledged
 * once the journal has it on disk. Detection does not wait for the disk.
 *
 * Backpressure, never a silent drop: when the worker's queue or the journal's buffer is full, the
 * batch is parked, its stream is not read on, and the agent waits behind HTTP/2 flow control; when
 * that lasts, the agent is told to keep fewer batches under way (Throttle), until there is room again.
 * What is refused is counted by reason. */
#pragma once

#include <stdint.h>

#include "collector/ingest/journal.h"
#include "collector/ingest/nodes.h"
#include "common/metrics.h"
#include "common/wire.h"

enum intake_kind {
	INTAKE_BATCH = 1,
	INTAKE_HEARTBEAT = 2,
	INTAKE_HELLO = 3, /* it says something new */
	INTAKE_METADATA = 4, /* what the Kubernetes API says of a container of it */
};

/* For a worker; one allocation, the message behind it. */
struct intake_item {
	enum intake_kind kind;
	struct node *node; /* a reference */
	struct intake_item *next; /* introduce.c's own */
	char boot_id[NODE_BOOT_MAX];
	uint64_t received_ns;
	uint64_t wall_ns; /* heartbeat: the node's wall clock */
	size_t len;
	uint8_t message[];
};
/* message is copied. NULL without memory. */
struct intake_item *intake_item_new(enum intake_kind kind, struct node *node, const char *boot_id,
				    uint64_t received_ns, struct bytes message);
void intake_item_free(struct intake_item *item); /* NULL allowed */

struct intake_config {
	struct nodes *nodes;	 /* not owned, as the next */
	struct journal *journal; /* its synced call-back is intake_synced */
	struct metrics *metrics;
	/* What the policy asks for: noted in every Hello that is kept. NULL-terminated and
	 * constant; NULL: nothing. */
	const char *const *wanted;
	/* Whether the node's worker takes one more. Only intake submits, under one lock. */
	bool (*room)(void *ctx, const struct node *node);
	/* Ownership passes; never fails after room has said yes. During replay it waits. */
	void (*submit)(void *ctx, struct intake_item *item);
	void *ctx;
};

struct intake;

int intake_new(const struct intake_config *config, struct intake **ret_intake, struct err *e) must_check;
void intake_free(struct intake *in); /* NULL allowed; after journal and listener have stopped */
struct nodes *intake_nodes(struct intake *in);

enum intake_verdict {
	INTAKE_TAKEN,
	INTAKE_PARKED,	   /* taken later; the caller must pause the stream: it is resumed from here */
	INTAKE_DUPLICATE,  /* had it; acknowledged again when it is on disk */
	INTAKE_STALE,	   /* of an epoch that nobody here knows: NeedEpoch was sent */
	INTAKE_SUPERSEDED, /* the node has a newer stream */
	INTAKE_NO_MEMORY,
};

/* The node's stream is call from now on; an older one is ended. hello is owned by the node after.
 * What it says that the node's last one did not goes to journal and worker, later if there is no
 * room. received_ns: wall clock, as below. */
void intake_hello(struct intake *in, struct node *node, struct listen_call *call,
		  Nightjar__V1__Hello *hello, uint64_t received_ns);
/* message is copied. Pauses call before it answers INTAKE_PARKED. */
enum intake_verdict intake_batch(struct intake *in, struct node *node, struct listen_call *call,
				 struct bytes message, const struct wire_batch_head *head,
				 uint64_t received_ns) must_check;
void intake_heartbeat(struct intake *in, struct node *node, const Nightjar__V1__Heartbeat *beat,
		      uint64_t received_ns);
/* What the Kubernetes API says of a container, into the stream of its node: an AgentMessage. Journal and
 * worker, or neither: 0, -EAGAIN (no room now) or -ENOMEM. Any thread. */
int intake_metadata(struct intake *in, const struct node_ref *node, struct bytes message,
		    uint64_t received_ns) must_check;
/* The stream is over: forgets what it had parked. */
void intake_bye(struct intake *in, struct node *node, struct listen_call *call, uint64_t received_ns);

/* A worker could not make sense of the node's epoch. Any thread. */
void intake_need_epoch(struct intake *in, struct node *node);
/* There is room again somewhere: parked batches are tried. Any thread. */
void intake_retry(struct intake *in);
/* A few times a second, main thread: tells agents to send less whose worker stays full, and to send
 * as they like once it has had room for a while. */
void intake_tick(struct intake *in);
#define INTAKE_THROTTLE_TICKS 2U  /* that a batch is parked before its agent is told */
#define INTAKE_CALM_TICKS     10U /* with room before it is told again */
#define INTAKE_THROTTLED      4U  /* batches in flight meanwhile */

/* The policy has changed: every stream is sent message, which carries it, and what nodes have said
 * of themselves goes to journal and worker once more, with what is wanted now. Any thread; a stream
 * whose queue is full gets the policy with its next Hello. wanted as in intake_config. */
void intake_set_policy(struct intake *in, struct bytes message, const char *const *wanted,
		       uint64_t received_ns);

/* For journal_config.rotated: asks every agent for a new epoch, so that a segment can be read without
 * the ones before it but for the few batches that were on their way. Any thread. */
void intake_rotated(void *ctx);
/* For journal_config.synced. */
void intake_synced(void *ctx, uint64_t position);
/* For journal_replay: what the journal holds goes through the workers once more. Before the
 * listener starts. */
void intake_replay(void *ctx, const struct journal_record *record);
