/* The stream to the collector: Hello, then batches from the spool as they come, heartbeats steadily
 * between them; acknowledgements, policy and throttle back. Connects again for ever, with a back-off that
 * doubles and is spread by chance, and opens the epoch again with the first batch it resends.
 *
 * A thread of its own. Certificates are read again at every connection, so renewed ones are used
 * without a restart. rpc_init before uplink_start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "node-agent/capture.h"
#include "node-agent/cri.h"
#include "node-agent/selfstats.h"
#include "node-agent/spool.h"
#include "node-agent/uplink_policy.h"

struct uplink;

/* Call-backs run on the uplink's thread and must not block. */
struct uplink_config {
	const char *target;	 /* HOST:PORT */
	const char *server_name; /* NULL: HOST */
	const char *ca, *cert, *key; /* paths */
	const char *cluster, *node, *boot_id;
	const struct capture_coverage *coverage; /* borrowed, unchanging */
	uint32_t coverage_count;
	struct spool *spool; /* borrowed */
	uint32_t max_in_flight;
	uint64_t heartbeat_ns;
	uint64_t backoff_min_ns, backoff_max_ns;
	void (*policy)(void *ctx, struct uplink_policy *policy); /* takes it over */
	/* The collector has answered Hello. */
	void (*connected)(void *ctx);
	/* It knows nothing of this node, or nothing of what came before this agent: tell it what runs. */
	void (*unknown)(void *ctx);
	/* What heartbeats tell of asking the container runtime; false: nobody does. NULL: the same. */
	bool (*lookups)(void *ctx, struct cri_stats *ret_stats);
	void *ctx;
};

/* Strings and arrays are borrowed until uplink_free. */
int uplink_new(const struct uplink_config *config, struct uplink **ret_uplink, struct err *e) must_check;
int uplink_start(struct uplink *u, struct err *e) must_check;
/* The spool has something new. Any thread. */
void uplink_wakeup(struct uplink *u);
/* Sends what is left when there is a connection, and waits at most timeout_ms for its
 * acknowledgement; then the thread ends. */
void uplink_stop(struct uplink *u, int timeout_ms);
void uplink_free(struct uplink *u); /* stopped or never started; NULL allowed */

struct uplink_stats {
	uint64_t connections;
	uint64_t failures;
	uint64_t heartbeats;
	bool connected;
	char problem[512]; /* why there is no connection; "" when there is one */
};
void uplink_stats(struct uplink *u, struct uplink_stats *ret_stats);

DEFINE_CLEANUP(struct uplink *, uplink_free)
