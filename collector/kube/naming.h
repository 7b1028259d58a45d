/* Containers that stage 1 has met and whose names the Kubernetes API must tell: asked for by detection
 * threads, answered on the watching thread as soon as the store can, each answer once.
 *
 * A capped table; who was asked for longest ago gives way, counted, and is asked for again with the next
 * definitions of its node. What the API does not know within NAMING_WINDOW_NS is given up. */
#pragma once

#include "collector/kube/apistore.h"
#include "common/metrics.h"
#include "nightjar/v1/metadata.pb-c.h"

#define NAMING_WINDOW_NS 600000000000ULL
#define NAMING_GRACE_NS	 5000000000ULL /* that an answer waits to be whole */
#define NAMING_MAX	 32768U	       /* containers */

struct naming_node {
	const char *cluster, *node, *boot_id;
};

struct naming_config {
	struct apistore *store; /* not owned */
	struct metrics *metrics;
	/* Puts the answer into the node's stream. 0; negative: not now, it is offered again. */
	int (*tell)(void *ctx, const struct naming_node *node, const Nightjar__V1__ContainerMetadata *metadata);
	void *ctx;
};

struct naming;

struct naming *naming_new(const struct naming_config *config); /* NULL without memory */
void naming_free(struct naming *n);			       /* NULL allowed */

/* Any thread. One that is too long for an id, or was answered already, is passed over. */
void naming_ask(struct naming *n, const struct naming_node *node, const char *container_id, const char *pod_uid);
/* Every answer is given once more: what held them is to be deleted. Any thread. */
void naming_again(struct naming *n);
/* The watching thread. now_ns: monotonic. */
void naming_turn(struct naming *n, uint64_t now_ns);

DEFINE_CLEANUP(struct naming *, naming_free)
