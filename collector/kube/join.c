/* A table from alert id to its last revision as bytes; see join.h. An alert's own detector may revise it
 * too: its numbers are moved up by as many revisions as were made here. */
#include "collector/kube/join.h"

#include <stdlib.h>
#include <string.h>

#include "collector/verdict.h"
#include "common/clock.h"
#include "common/table.h"

struct alert_key {
	char id[32];
};

struct told {
	uint64_t workload;
	uint64_t wall_ns;  /* of the decisive event */
	uint32_t revision; /* the last one that was told */
	uint32_t added;	   /* revisions made here */
	uint8_t *packed;   /* NULL: complete */
	size_t len;
};

struct join {
	struct table *told;
	uint64_t evicted;
};

static void gone(void *ctx, const void *key, void *record)
{
	struct join *j = (struct join *)ctx;
	struct told *t = (struct told *)record;

	(void)key;
	j->evicted += t->packed != NULL;
	free(take_ptr(t->packed));
}

struct join *join_new(void)
{
	struct join *j = calloc(1, sizeof(*j));
	const struct table_config config = {.key_size = sizeof(struct alert_key),
					    .record_size = sizeof(struct told),
					    .capacity = JOIN_ALERTS,
					    .gone = gone,
					    .ctx = j};

	if (j)
		j->told = table_new(&config);
	if (!j || !j->told) {
		free(j);
		return NULL;
	}
	return j;
}

void join_free(struct join *j)
{
	if (!j)
		return;
	table_free(j->told);
	free(j);
}

uint64_t join_evicted(const struct join *j)
{
	return j->evicted;
}

/* Without memory the alert stays as it was told. */
static void remember(struct told *t, const struct alert *a)
{
	size_t len = nightjar__v1__alert__get_packed_size(&a->msg);
	uint8_t *packed = malloc(len ? len : 1);

	free(take_ptr(t->packed));
	if (!packed)
		return;
	t->packed = packed;
	t->len = nightjar__v1__alert__pack(&a->msg, packed);
}

static struct alert_key key_of(const struct alert *a)
{
	struct alert_key key = {{0}};

	(void)snprintf(key.id, sizeof(key.id), "%s", a->msg.id);
	return key;
}

void join_alert(struct join *j, const struct workload *w, struct alert *a, const struct stage1_out *out)
{
	bool lacks = w && !w->host && !w->named;
	struct alert_key key = key_of(a);
	struct told *t = table_get(j->told, &key);

	if (!t && lacks)
		t = table_put(j->told, &key, NULL);
	if (t) {
		a->msg.revision += t->added;
		t->revision = a->msg.revision;
		t->workload = w ? w->id : 0;
		t->wall_ns = a->msg.timing ? (uint64_t)a->msg.timing->event_ns : 0;
		if (lacks)
			remember(t, a);
		else
			free(take_ptr(t->packed));
	}
	out->alert(out->ctx, a);
}

/* ---- completing --------------------------------------------------------------------------------- */

static void *arena_take(void *ctx, size_t size)
{
	return arena_alloc((struct arena *)ctx, size);
}

static void arena_leave(void *ctx, void *data)
{
	(void)ctx;
	(void)data;
}

/* The alert as it was told last. NULL without memory. */
static struct alert *recall(const struct told *t)
{
	_cleanup_(alert_freep) struct alert *a = alert_new();
	ProtobufCAllocator allocator = {.alloc = arena_take, .free = arena_leave};
	const Nightjar__V1__Alert *msg;

	if (!a)
		return NULL;
	allocator.allocator_data = a->arena;
	msg = nightjar__v1__alert__unpack(&allocator, t->len, t->packed);
	if (!msg)
		return NULL;
	a->msg = *msg;
	return take_ptr(a);
}

static bool differs(const struct told *t, const struct alert *a)
{
	_cleanup_(freep) uint8_t *packed = NULL;
	size_t len = nightjar__v1__alert__get_packed_size(&a->msg);

	if (len != t->len)
		return true;
	packed = malloc(len ? len : 1);
	if (!packed)
		return false;
	(void)nightjar__v1__alert__pack(&a->msg, packed);
	return memcmp(packed, t->packed, len) != 0;
}

static void revise(struct told *t, const struct workload *w, const struct stage1_out *out)
{
	struct alert *a = recall(t);

	if (!a)
		return;
	verdict_workload(a, w);
	if (!differs(t, a)) {
		alert_free(a);
		return;
	}
	t->added++;
	verdict_revise(a, a->msg.id, ++t->revision, a->msg.count);
	remember(t, a);
	out->alert(out->ctx, a);
}

struct naming_pass {
	const struct workload *w;
	uint64_t wall_ns;
	const struct stage1_out *out;
};

static bool visit(void *ctx, const void *key, void *record)
{
	const struct naming_pass *pass = (const struct naming_pass *)ctx;
	struct told *t = (struct told *)record;

	(void)key;
	if (!t->packed || t->workload != pass->w->id)
		return true;
	if (pass->wall_ns <= t->wall_ns + JOIN_WINDOW_NS)
		revise(t, pass->w, pass->out);
	if (pass->w->named || pass->wall_ns > t->wall_ns + JOIN_WINDOW_NS)
		free(take_ptr(t->packed));
	return true;
}

void join_names(struct join *j, const struct workload *w, uint64_t wall_ns, const struct stage1_out *out)
{
	struct naming_pass pass = {.w = w, .wall_ns = wall_ns, .out = out};
	struct table_stats stats;

	table_stats(j->told, &stats);
	if (stats.count > 0)
		table_each(j->told, visit, &pass);
}
