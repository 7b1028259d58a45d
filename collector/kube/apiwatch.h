/* The one watch of the cluster: for each kind of object a list, page by page, then a watch from where the
 * list ended, into the store. One thread.
 *
 * Whatever goes wrong is tried again, with a back-off that doubles and is spread by chance; the store
 * keeps what it has meanwhile. A watch whose place the server has forgotten (410 Gone) begins with a list
 * again. Watches end every few minutes by themselves, so that a rotated token is in use soon. */
#pragma once

#include "collector/kube/apiclient.h"
#include "collector/kube/apistore.h"

struct apiwatch_config {
	struct apiclient_config api; /* copied */
	struct apistore *store;	     /* not owned */
	struct metrics *metrics;
	/* On the watching thread, a few times a second, and at once after apiwatch_wakeup. now_ns: monotonic.
	 * May be NULL. */
	void (*turn)(void *ctx, uint64_t now_ns);
	void *ctx;
	/* 0: the usual ones. */
	uint32_t page; /* objects in an answer: 500 */
	uint32_t backoff_min_ms, backoff_max_ms; /* 500, 30 000 */
	size_t object_max; /* bytes: 2 MiB; etcd takes 1.5 MiB */
};

struct apiwatch;

int apiwatch_new(const struct apiwatch_config *config, struct apiwatch **ret_watch, struct err *e) must_check;
void apiwatch_free(struct apiwatch *w); /* ends the thread; NULL allowed */
/* Whether every kind has been listed once. Any thread. */
bool apiwatch_is_synced(const struct apiwatch *w);
void apiwatch_wakeup(struct apiwatch *w); /* any thread */

DEFINE_CLEANUP(struct apiwatch *, apiwatch_free)
