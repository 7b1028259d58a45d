/* The minimum over a table of nodes; see watermark.h. The table is walked only when the slowest
 * node has moved, and at ticks: 16384 nodes take about 0.1 ms. */
#include "collector/watermark.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "collector/stage2.h"
#include "common/table.h"

struct watermark {
	pthread_mutex_t lock;
	struct table *nodes; /* hash of cluster and node → wall_ns of the latest word */
	uint64_t silent_before;
	uint64_t slowest; /* the least of those who speak; UINT64_MAX: nobody does */
	uint64_t value;
	struct metric *gauge;
};

struct watermark *watermark_new(uint32_t nodes, struct metrics *metrics)
{
	struct watermark *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	(void)pthread_mutex_init(&w->lock, NULL);
	w->slowest = UINT64_MAX;
	w->gauge = metrics_gauge(metrics, "nightjar_watermark_seconds", NULL,
				 "Event time up to which stage 2 has handled everything.");
	w->nodes = table_new(&(struct table_config){.key_size = sizeof(XXH128_hash_t),
						    .record_size = sizeof(uint64_t),
						    .capacity = nodes ? nodes : 1});
	if (w->nodes)
		return w;
	watermark_free(w);
	return NULL;
}

void watermark_free(struct watermark *w)
{
	if (!w)
		return;
	table_free(w->nodes);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

static bool visit(void *ctx, const void *key, void *record)
{
	struct watermark *w = ctx;
	uint64_t wall_ns = *(const uint64_t *)record;

	(void)key;
	if (wall_ns >= w->silent_before && wall_ns < w->slowest)
		w->slowest = wall_ns;
	return true;
}

/* With everybody silent there is nothing left to wait for. */
static uint64_t settle(struct watermark *w, bool walk)
{
	uint64_t value;

	if (walk) {
		w->slowest = UINT64_MAX;
		table_each(w->nodes, visit, w);
	}
	value = w->slowest == UINT64_MAX ? w->silent_before : w->slowest;
	value = value > STAGE2_LATE_NS ? value - STAGE2_LATE_NS : 0;
	if (value > w->value)
		w->value = value;
	metric_set(w->gauge, w->value / 1000000000ULL);
	return w->value;
}

uint64_t watermark_node(struct watermark *w, const char *cluster, const char *node,
			uint64_t wall_ns)
{
	uint64_t seed = XXH3_64bits(cluster, strlen(cluster));
	XXH128_hash_t key = XXH3_128bits_withSeed(node, strlen(node), seed);
	uint64_t *latest, before, value;

	(void)pthread_mutex_lock(&w->lock);
	latest = table_put(w->nodes, &key, NULL);
	before = *latest;
	if (before < wall_ns)
		*latest = wall_ns;
	/* A node that is new or has been silent may be the slowest of all now. */
	value = settle(w, before <= w->slowest || before < w->silent_before);
	(void)pthread_mutex_unlock(&w->lock);
	return value;
}

uint64_t watermark_tick(struct watermark *w, uint64_t wall_ns)
{
	uint64_t value;

	(void)pthread_mutex_lock(&w->lock);
	if (wall_ns > WATERMARK_SILENT_NS && wall_ns - WATERMARK_SILENT_NS > w->silent_before)
		w->silent_before = wall_ns - WATERMARK_SILENT_NS;
	value = settle(w, true);
	(void)pthread_mutex_unlock(&w->lock);
	return value;
}
