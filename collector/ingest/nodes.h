/* Every node that has spoken: what it said of itself, how far its batches have come, and its stream
 * while it has one. Read by Fleet, kept by session.c and intake.c.
 *
 * One lock for all of it, held for microseconds: the fields of struct node below the mark. A table
 * with a cap; nodes without a stream give way first, those longest unseen before the others. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/ingest/listen.h"
#include "common/buf.h"
#include "common/metrics.h"
#include "nightjar/v1/agent.pb-c.h"

#define NODE_CLUSTER_MAX 128
#define NODE_NAME_MAX	 256
#define NODE_BOOT_MAX	 40

#define NODE_LOOKUPS 4 /* answered, unknown, failed, cut */

struct node {
	atomic_uint refs;
	char cluster[NODE_CLUSTER_MAX];
	char name[NODE_NAME_MAX];
	atomic_uint_fast64_t events;	  /* taken by stage 1 */
	atomic_uint_fast64_t events_lost; /* as the agent reported */

	/* ---- under nodes_lock ---- */
	char boot_id[NODE_BOOT_MAX];
	Nightjar__V1__Hello *hello; /* the newest, nodes_set_hello; NULL: none is known */
	uint8_t *introduction; /* what the stages were told of it: an AgentMessage; NULL: nothing */
	size_t introduction_len;
	uint64_t introduced_ns;	    /* wall clock: when a Hello said this first */
	struct listen_call *call;   /* the present stream, a reference; NULL: none */
	uint64_t last_seen_ns;	    /* wall clock */
	uint64_t rss_bytes, cpu_ns; /* of the agent */
	uint64_t lookups[NODE_LOOKUPS]; /* as the agent counts them */
	bool runtime_silent; /* its container runtime cannot be asked */
	uint32_t numbering;	    /* goes up when batch numbers begin anew */
	uint64_t appended_seq;	    /* newest batch in the journal */
	uint64_t synced_seq;	    /* newest batch on disk */
	uint32_t epoch;		    /* of the newest batch */
	uint32_t policy_generation; /* the same */
	bool epoch_known;	    /* false: only a batch that opens one is taken */
	struct node *next_due;	    /* list of nodes that get an acknowledgement */
	bool due;
	bool forgotten;		     /* pushed out of the table: somebody holds it still */
	struct node *next_throttled; /* list of nodes whose agents were told to send less */
	bool listed, throttled;	     /* listed: in that list, perhaps of an earlier stream */
	unsigned int calm_ticks;     /* since its worker was full last */
};

struct nodes;

/* What an agent says of asking its container runtime; NULL: it does not ask. Lock held. */
void nodes_count_lookups(struct nodes *n, struct node *node, const Nightjar__V1__ContainerLookups *lookups);

struct nodes *nodes_new(uint32_t capacity, struct metrics *metrics); /* NULL without memory */
void nodes_free(struct nodes *n);				      /* NULL allowed */
void nodes_lock(struct nodes *n);
void nodes_unlock(struct nodes *n);

/* Finds or makes; a reference for the caller, or NULL without memory. Takes the lock. */
struct node *nodes_get(struct nodes *n, const char *cluster, const char *name);
struct node *node_ref(struct node *node);
void node_unref(struct node *node);

/* For Fleet. Appends a nightjar.v1.Node. Takes the lock. 0 or negative. */
int nodes_pack(struct nodes *n, struct node *node, struct buf *out) must_check;
/* Lock held. Takes hello over in place of the one before; the gauge of coverage follows. */
void nodes_set_hello(struct nodes *n, struct node *node, Nightjar__V1__Hello *hello);
/* All of them by name, references in a malloc'ed array; NULL without memory. Takes the lock. */
struct node **nodes_list(struct nodes *n, size_t *ret_count);
void nodes_list_free(struct node **list, size_t count);
/* Takes the lock. NULL: none of that name. */
struct node *nodes_find(struct nodes *n, const char *name);
