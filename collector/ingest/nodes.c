/* A capped table of pointers to counted records: workers and the list of acknowledgements hold a
 * node longer than the table may. About 900 bytes a node besides its Hello. */
#include "collector/ingest/nodes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/arena.h"
#include "common/capture_class.h"
#include "common/clock.h"
#include "common/proto_json.h"
#include "common/table.h"
#include "nightjar/v1/query.pb-c.h"

#define PACK_ARENA_BYTES (256UL << 10)

struct key {
	char cluster[NODE_CLUSTER_MAX];
	char name[NODE_NAME_MAX];
};

static const char *const lookup_labels[NODE_LOOKUPS] = {"result=\"answered\"", "result=\"unknown\"",
							"result=\"failed\"", "result=\"cut\""};
static const char *const state_names[] = {"full", "degraded", "missing"};
#define STATES (sizeof(state_names) / sizeof(state_names[0]))

/* How many nodes say this of that class. */
struct cell {
	struct nodes *nodes;
	uint32_t count;
};

struct nodes {
	pthread_mutex_t lock;
	struct table *table; /* key → struct node * */
	struct cell coverage[CAPTURE_CLASS_MAX][STATES];
	struct cell runtime_silent;
	struct metric *lookups[NODE_LOOKUPS];
};

static bool keep(void *ctx, const void *record)
{
	struct node *const *node = (struct node *const *)record;

	(void)ctx;
	return *node && (*node)->call;
}

static size_t state_of(const char *name)
{
	size_t state = 0;

	while (state < STATES && strcmp(name, state_names[state]) != 0)
		state++;
	return state;
}

/* Lock held. sign: 1 or -1. What a newer agent says and this side does not know counts nowhere. */
static void count_coverage(struct nodes *n, const Nightjar__V1__Hello *hello, int sign)
{
	for (size_t i = 0; hello && i < hello->n_coverage; i++) {
		int class = capture_class_find(hello->coverage[i]->class_);
		size_t state = state_of(hello->coverage[i]->state);

		if (class >= 0 && state < STATES)
			n->coverage[class][state].count += (uint32_t)sign;
	}
}

/* Lock held. */
static void count_silent(struct nodes *n, struct node *node, bool silent)
{
	if (node->forgotten || node->runtime_silent == silent)
		return;
	node->runtime_silent = silent;
	n->runtime_silent.count += silent ? 1 : -1U;
}

static void gone(void *ctx, const void *key, void *record)
{
	struct node **node = (struct node **)record;

	(void)key;
	if (!*node)
		return;
	count_coverage(ctx, (*node)->hello, -1);
	count_silent(ctx, *node, false);
	(*node)->forgotten = true;
	node_unref(*node);
}

void nodes_set_hello(struct nodes *n, struct node *node, Nightjar__V1__Hello *hello)
{
	if (!node->forgotten) {
		count_coverage(n, node->hello, -1);
		count_coverage(n, hello, 1);
	}
	if (node->hello)
		nightjar__v1__hello__free_unpacked(node->hello, NULL);
	node->hello = hello;
}

/* An agent that has started again counts from zero. */
void nodes_count_lookups(struct nodes *n, struct node *node, const Nightjar__V1__ContainerLookups *lookups)
{
	static const Nightjar__V1__ContainerLookups none = NIGHTJAR__V1__CONTAINER_LOOKUPS__INIT;
	const Nightjar__V1__ContainerLookups *now = lookups ? lookups : &none;
	const uint64_t counts[NODE_LOOKUPS] = {now->answered, now->unknown, now->failed, now->cut};

	for (size_t i = 0; i < NODE_LOOKUPS; i++) {
		uint64_t before = counts[i] < node->lookups[i] ? 0 : node->lookups[i];

		metric_add(n->lookups[i], counts[i] - before);
		node->lookups[i] = counts[i];
	}
	count_silent(n, node, now->problem[0] != '\0');
}

static uint64_t count_nodes(void *ctx)
{
	struct nodes *n = (struct nodes *)ctx;
	struct table_stats stats;

	nodes_lock(n);
	table_stats(n->table, &stats);
	nodes_unlock(n);
	return stats.count;
}

static uint64_t count_evicted(void *ctx)
{
	struct nodes *n = (struct nodes *)ctx;
	struct table_stats stats;

	nodes_lock(n);
	table_stats(n->table, &stats);
	nodes_unlock(n);
	return stats.evicted;
}

static uint64_t read_cell(void *ctx)
{
	struct cell *cell = (struct cell *)ctx;
	uint64_t count;

	nodes_lock(cell->nodes);
	count = cell->count;
	nodes_unlock(cell->nodes);
	return count;
}

static void register_coverage(struct nodes *n, struct metrics *metrics)
{
	char labels[64];

	for (unsigned int i = 0; i < CAPTURE_CLASS_MAX * STATES; i++) {
		struct cell *cell = &n->coverage[i / STATES][i % STATES];

		cell->nodes = n;
		(void)snprintf(labels, sizeof(labels), "class=\"%s\",state=\"%s\"",
			       capture_class_name(i / STATES), state_names[i % STATES]);
		metrics_gauge_fn(metrics, "nightjar_nodes_coverage", labels,
				 "Nodes by what they can see of each class.", read_cell, cell);
	}
}

static void register_lookups(struct nodes *n, struct metrics *metrics)
{
	for (size_t i = 0; i < NODE_LOOKUPS; i++)
		n->lookups[i] = metrics_counter(metrics, "nightjar_agent_container_lookups_total", lookup_labels[i],
						"Questions of agents to container runtimes, by result.");
	n->runtime_silent.nodes = n;
	metrics_gauge_fn(metrics, "nightjar_nodes_runtime_silent", NULL,
			 "Nodes whose container runtime cannot be asked.", read_cell, &n->runtime_silent);
}

struct nodes *nodes_new(uint32_t capacity, struct metrics *metrics)
{
	struct nodes *n = calloc(1, sizeof(*n));
	struct table_config config = {.key_size = sizeof(struct key),
				      .record_size = sizeof(struct node *),
				      .capacity = capacity,
				      .keep = keep,
				      .gone = gone,
				      .ctx = n};

	if (!n)
		return NULL;
	n->table = table_new(&config);
	if (!n->table) {
		free(n);
		return NULL;
	}
	(void)pthread_mutex_init(&n->lock, NULL);
	metrics_gauge_fn(metrics, "nightjar_nodes", NULL, "Nodes that have spoken.", count_nodes, n);
	metrics_gauge_fn(metrics, "nightjar_nodes_evicted", NULL,
			 "Nodes forgotten because the table was full.", count_evicted, n);
	register_coverage(n, metrics);
	register_lookups(n, metrics);
	return n;
}

void nodes_free(struct nodes *n)
{
	if (!n)
		return;
	table_free(n->table);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

void nodes_lock(struct nodes *n)
{
	(void)pthread_mutex_lock(&n->lock);
}

void nodes_unlock(struct nodes *n)
{
	(void)pthread_mutex_unlock(&n->lock);
}

struct node *node_ref(struct node *node)
{
	atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
	return node;
}

void node_unref(struct node *node)
{
	if (atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (node->hello)
		nightjar__v1__hello__free_unpacked(node->hello, NULL);
	if (node->call)
		listen_call_unref(node->call);
	free(node->introduction);
	free(node);
}

static struct node *node_new(const struct key *key)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	atomic_init(&node->refs, 1);
	memcpy(node->cluster, key->cluster, sizeof(node->cluster));
	memcpy(node->name, key->name, sizeof(node->name));
	return node;
}

struct node *nodes_get(struct nodes *n, const char *cluster, const char *name)
{
	struct key key = {0};
	struct node **slot, *node;

	if (strlen(cluster) >= sizeof(key.cluster) || strlen(name) >= sizeof(key.name))
		return NULL;
	memcpy(key.cluster, cluster, strlen(cluster));
	memcpy(key.name, name, strlen(name));
	nodes_lock(n);
	slot = (struct node **)table_put(n->table, &key, NULL);
	if (!*slot)
		*slot = node_new(&key);
	node = *slot ? node_ref(*slot) : NULL;
	if (!node)
		(void)table_remove(n->table, &key);
	nodes_unlock(n);
	return node;
}

/* ---- for Fleet ---------------------------------------------------------------------------- */

static void describe(struct node *node, Nightjar__V1__Node *ret_msg)
{
	ret_msg->name = node->name;
	ret_msg->cluster = node->cluster;
	ret_msg->boot_id = node->boot_id;
	ret_msg->connected = node->call != NULL;
	ret_msg->events = atomic_load(&node->events);
	ret_msg->events_lost = atomic_load(&node->events_lost);
	ret_msg->agent_rss_bytes = node->rss_bytes;
	ret_msg->agent_cpu_ns = node->cpu_ns;
	ret_msg->policy_generation = node->policy_generation;
	if (!node->hello)
		return;
	ret_msg->kernel = node->hello->kernel;
	ret_msg->agent_version = node->hello->agent_version;
	ret_msg->coverage = node->hello->coverage;
	ret_msg->n_coverage = node->hello->n_coverage;
}

int nodes_pack(struct nodes *n, struct node *node, struct buf *out)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(PACK_ARENA_BYTES);
	Google__Protobuf__Timestamp seen = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Nightjar__V1__Node msg = NIGHTJAR__V1__NODE__INIT;
	uint8_t *room;
	int r;

	if (!arena)
		return -ENOMEM;
	nodes_lock(n);
	describe(node, &msg);
	if (node->last_seen_ns > 0) {
		seen.seconds = (int64_t)(node->last_seen_ns / NS_PER_SEC);
		seen.nanos = (int32_t)(node->last_seen_ns % NS_PER_SEC);
		msg.last_seen = &seen;
	}
	r = proto_utf8_clean(&msg.base, arena);
	room = r < 0 ? NULL : buf_extend(out, nightjar__v1__node__get_packed_size(&msg));
	if (room)
		(void)nightjar__v1__node__pack(&msg, room);
	nodes_unlock(n);
	return r < 0 ? r : buf_error(out);
}

struct gather {
	struct node **list;
	size_t count;
	const char *name; /* only this one; NULL: all */
};

static bool gather(void *ctx, const void *key, void *record)
{
	struct gather *g = (struct gather *)ctx;
	struct node *node = *(struct node **)record;

	(void)key;
	if (!g->name || strcmp(g->name, node->name) == 0)
		g->list[g->count++] = node_ref(node);
	return !(g->name && g->count);
}

static int by_name(const void *a, const void *b)
{
	const struct node *const *x = (const struct node *const *)a, *const *y = (const struct node *const *)b;
	int r = strcmp((*x)->name, (*y)->name);

	return r ? r : strcmp((*x)->cluster, (*y)->cluster);
}

struct node **nodes_list(struct nodes *n, size_t *ret_count)
{
	struct gather g = {0};
	struct table_stats stats;

	nodes_lock(n);
	table_stats(n->table, &stats);
	g.list = calloc((size_t)stats.count + 1, sizeof(struct node *));
	if (g.list)
		table_each(n->table, gather, &g);
	nodes_unlock(n);
	if (!g.list)
		return NULL;
	qsort(g.list, g.count, sizeof(struct node *), by_name);
	*ret_count = g.count;
	return g.list;
}

void nodes_list_free(struct node **list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		node_unref(list[i]);
	free(list);
}

struct node *nodes_find(struct nodes *n, const char *name)
{
	struct node *found[1] = {NULL};
	struct gather g = {.list = found, .name = name};

	nodes_lock(n);
	table_each(n->table, gather, &g);
	nodes_unlock(n);
	return found[0];
}
