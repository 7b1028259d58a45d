/* The minimum over a table of nodes; see watermark.h. Asked once per batch of observations, so a
 * walk over the nodes is cheap enough: 16384 of them take 0.1 ms. */
#include "collector/watermark.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "collector/stage2.h"
#include "common/table.h"

#define NODES 16384U

struct watermark {
	struct table *nodes; /* hash of cluster and node → wall_ns */
	uint64_t silent_before;
	uint64_t value;
};

struct watermark *watermark_new(void)
{
	_cleanup_(watermark_freep) struct watermark *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->nodes = table_new(&(struct table_config){
		.key_size = sizeof(XXH128_hash_t), .record_size = sizeof(uint64_t), .capacity = NODES});
	return w->nodes ? take_ptr(w) : NULL;
}

void watermark_free(struct watermark *w)
{
	if (!w)
		return;
	table_free(w->nodes);
	free(w);
}

void watermark_note(struct watermark *w, const char *cluster, const char *node, uint64_t wall_ns)
{
	uint64_t seed = XXH3_64bits(cluster, strlen(cluster));
	XXH128_hash_t key = XXH3_128bits_withSeed(node, strlen(node), seed);
	uint64_t *latest = table_put(w->nodes, &key, NULL);

	if (*latest < wall_ns)
		*latest = wall_ns;
}

void watermark_tick(struct watermark *w, uint64_t wall_ns)
{
	if (wall_ns > WATERMARK_SILENT_NS && wall_ns - WATERMARK_SILENT_NS > w->silent_before)
		w->silent_before = wall_ns - WATERMARK_SILENT_NS;
}

struct slowest {
	uint64_t silent_before;
	uint64_t least;	 /* of those who speak */
	uint64_t latest; /* of all */
};

static bool visit(void *ctx, const void *key, void *record)
{
	struct slowest *s = ctx;
	uint64_t wall_ns = *(const uint64_t *)record;

	(void)key;
	if (wall_ns >= s->silent_before && wall_ns < s->least)
		s->least = wall_ns;
	if (wall_ns > s->latest)
		s->latest = wall_ns;
	return true;
}

/* With everybody silent there is nothing left to wait for. */
uint64_t watermark_value(struct watermark *w)
{
	struct slowest s = {.silent_before = w->silent_before, .least = UINT64_MAX};
	uint64_t value;

	table_each(w->nodes, visit, &s);
	value = s.least == UINT64_MAX ? w->silent_before : s.least;
	value = value > STAGE2_LATE_NS ? value - STAGE2_LATE_NS : 0;
	if (value > w->value && s.latest)
		w->value = value;
	return w->value;
}
