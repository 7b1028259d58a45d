/* Batches of one node through entities and detectors; see stage1.h.
 *
 * A shard is made when the first node of it speaks. Detectors' states lie side by side in one block
 * per shard. */
#include "collector/stage1.h"

#include <stdlib.h>
#include <xxhash.h>

#include "collector/detect/detect.h"
#include "collector/entity/entities.h"
#include "collector/node_health.h"

#define DETECTORS_MAX 32U

static const char *const evicted_labels[EVICTED_STATES] = {
	[EVICTED_NODES] = "table=\"nodes\"",
	[EVICTED_PROCESSES] = "table=\"processes\"",
	[EVICTED_EXITED] = "table=\"processes_exited\"",
	[EVICTED_PIDS] = "table=\"pids\"",
	[EVICTED_ENDPOINTS] = "table=\"endpoints\"",
	[EVICTED_TUPLES] = "table=\"local_connections\"",
	[EVICTED_LISTENERS] = "table=\"listeners\"",
	[EVICTED_WORKLOADS] = "table=\"workloads\"",
	[EVICTED_HOLDERS] = "table=\"endpoint_holders\"",
	[EVICTED_DESCRIPTORS] = "table=\"descriptors\"",
	[EVICTED_PENDING] = "table=\"pending_interpreters\"",
	[EVICTED_INTERPRETERS] = "table=\"interpreter_files\"",
	[EVICTED_SCAN_TREES] = "table=\"scan_trees\"",
	[EVICTED_SCAN_TARGETS] = "table=\"scan_targets\"",
	[EVICTED_FINDINGS] = "table=\"credential_findings\"",
	[EVICTED_HEALTH] = "table=\"health_findings\"",
};

struct shard {
	struct entities *entities;
	struct node_health *health;
	void *states[DETECTORS_MAX];
	struct evicted evicted; /* as counted so far */
	uint64_t evicted_kept;
};

struct stage1 {
	struct detect_options options;
	struct stage1_out out;
	struct shard *shards[STAGE1_SHARDS]; /* each touched by its thread only */
	struct metric *events;
	struct metric *unfed;
	struct metric *evicted[EVICTED_STATES];
	struct metric *evicted_kept;
};

/* Everything that one batch's events have in common. */
struct turn {
	struct stage1 *s;
	struct shard *shard;
	const struct stage1_batch *batch;
	const struct node_state *node;
};

static void shard_free(struct shard *shard)
{
	const struct detector *const *registry = detect_registry();

	if (!shard)
		return;
	for (size_t i = 0; registry[i]; i++) {
		if (registry[i]->done && shard->states[i])
			registry[i]->done(shard->states[i]);
		free(shard->states[i]);
	}
	entities_free(shard->entities);
	node_health_free(shard->health);
	free(shard);
}

DEFINE_CLEANUP(struct shard *, shard_free)

static struct shard *shard_new(const struct stage1 *s)
{
	_cleanup_(shard_freep) struct shard *shard = calloc(1, sizeof(*shard));
	const struct detector *const *registry = detect_registry();

	if (!shard || !(shard->entities = entities_new()))
		return NULL;
	shard->health = node_health_new(&s->options, &s->out);
	if (!shard->health)
		return NULL;
	for (size_t i = 0; registry[i]; i++) {
		void *state = registry[i]->state_size ? calloc(1, registry[i]->state_size) : NULL;

		if (registry[i]->state_size && !state)
			return NULL;
		if (registry[i]->init && registry[i]->init(state) < 0) {
			free(state);
			return NULL;
		}
		shard->states[i] = state;
	}
	return take_ptr(shard);
}

struct stage1 *stage1_new(const struct detect_options *options, const struct stage1_out *out,
			  struct metrics *metrics)
{
	struct stage1 *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = *options;
	s->out = *out;
	s->events = metrics_counter(metrics, "nightjar_stage1_events_total", NULL,
				    "Events that went through entities and detectors.");
	s->unfed = metrics_counter(metrics, "nightjar_stage1_dropped_total", "reason=\"memory\"",
				   "Events that no detector saw.");
	s->evicted_kept = metrics_counter(
		metrics, "nightjar_state_evicted_watched_total", NULL,
		"Entities that were part of a chain under watch, and that newer ones pushed out.");
	for (size_t i = 0; i < EVICTED_STATES; i++)
		s->evicted[i] =
			metrics_counter(metrics, "nightjar_state_evicted_total", evicted_labels[i],
					"State that made room for newer, by table.");
	return s;
}

void stage1_free(struct stage1 *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < STAGE1_SHARDS; i++)
		shard_free(s->shards[i]);
	free(s);
}

uint32_t stage1_shard(const char *cluster, const char *node)
{
	uint64_t seed = XXH3_64bits(cluster, strlen(cluster));

	return (uint32_t)(XXH3_64bits_withSeed(node, strlen(node), seed) % STAGE1_SHARDS);
}

static void feed_event(const struct turn *turn, const struct event *event)
{
	const struct detector *const *registry = detect_registry();
	struct detect_context ctx = {
		.entities = turn->shard->entities,
		.options = &turn->s->options,
		.out = &turn->s->out,
		.node = turn->node,
		.event = event,
		.wall_ns = (uint64_t)((int64_t)event->time_ns + turn->node->wall_offset_ns),
		.received_ns = turn->batch->received_ns,
	};

	ctx.process = entities_apply(ctx.entities, turn->node->id, event);
	for (size_t i = 0; registry[i]; i++)
		if (registry[i]->kinds & DETECT_KIND(event->kind))
			registry[i]->handle(turn->shard->states[i], &ctx);
	entities_after(ctx.entities, turn->node->id, ctx.process, event);
}

static void count(struct stage1 *s, struct shard *shard, uint32_t events)
{
	const struct detector *const *registry = detect_registry();
	struct entities_stats stats;

	entities_stats(shard->entities, &stats);
	for (size_t i = 0; registry[i]; i++)
		if (registry[i]->evicted)
			registry[i]->evicted(shard->states[i], &stats.evicted);
	stats.evicted.of[EVICTED_HEALTH] = node_health_evicted(shard->health);
	metric_add(s->events, events);
	for (size_t i = 0; i < EVICTED_STATES; i++)
		metric_add(s->evicted[i], stats.evicted.of[i] - shard->evicted.of[i]);
	metric_add(s->evicted_kept, stats.evicted_kept - shard->evicted_kept);
	shard->evicted = stats.evicted;
	shard->evicted_kept = stats.evicted_kept;
}

static struct shard *shard_of(struct stage1 *s, uint32_t shard)
{
	shard %= STAGE1_SHARDS;
	if (!s->shards[shard])
		s->shards[shard] = shard_new(s);
	return s->shards[shard];
}

void stage1_feed(struct stage1 *s, uint32_t shard, const struct stage1_batch *batch)
{
	struct turn turn = {.s = s, .batch = batch};
	struct node_state *node;

	turn.shard = shard_of(s, shard);
	if (!turn.shard) {
		metric_add(s->unfed, batch->batch->event_count);
		return;
	}
	node = entities_node(turn.shard->entities, &batch->node);
	node->wall_offset_ns = batch->batch->head.wall_offset_ns;
	turn.node = node;
	for (uint32_t i = 0; i < batch->batch->container_count; i++)
		workload_complete(turn.shard->entities, node->id, batch->batch->containers[i]);
	for (uint32_t i = 0; i < batch->batch->event_count; i++)
		feed_event(&turn, &batch->batch->events[i]);
	node_health_batch(turn.shard->health, batch);
	count(s, turn.shard, batch->batch->event_count);
}

void stage1_hello(struct stage1 *s, uint32_t shard, const struct node_ref *node,
		  uint64_t received_ns, struct bytes message)
{
	Nightjar__V1__AgentMessage *said =
		nightjar__v1__agent_message__unpack(NULL, message.len, message.data);
	struct shard *own = shard_of(s, shard);

	if (own && said && said->body_case == NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO)
		node_health_hello(own->health, node, received_ns, said->hello);
	nightjar__v1__agent_message__free_unpacked(said, NULL);
}
