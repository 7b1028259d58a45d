/* Batches of one node through entities and detectors; see stage1.h.
 *
 * A shard is made when the first node of it speaks. Detectors' states lie side by side in one block
 * per shard. */
#include "collector/stage1.h"

#include <stdlib.h>
#include <xxhash.h>

#include "collector/detect/detect.h"
#include "collector/entity/entities.h"
#include "collector/kube/join.h"
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
	[EVICTED_JOINS] = "table=\"incomplete_alerts\"",
};

struct shard {
	struct stage1 *all;
	struct entities *entities;
	struct join *join;
	struct stage1_out out;	       /* of the detectors: through join */
	const struct node_state *node; /* whose batch is fed */
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
	join_free(shard->join);
	node_health_free(shard->health);
	free(shard);
}

DEFINE_CLEANUP(struct shard *, shard_free)

static void on_alert(void *ctx, struct alert *a)
{
	struct shard *shard = (struct shard *)ctx;
	const struct stage1_out *out = &shard->all->out;
	const struct workload *w = NULL;

	if (a->msg.container)
		w = workload_of_container(shard->entities, shard->node->id, a->msg.container->id);
	join_alert(shard->join, w, a, out);
}

static void on_observation(void *ctx, const struct observation *observation)
{
	const struct stage1_out *out = &((struct shard *)ctx)->all->out;

	out->observe(out->ctx, observation);
}

static struct shard *shard_new(struct stage1 *s)
{
	_cleanup_(shard_freep) struct shard *shard = calloc(1, sizeof(*shard));
	const struct detector *const *registry = detect_registry();

	if (!shard || !(shard->entities = entities_new()))
		return NULL;
	shard->health = node_health_new(&s->options, &s->out);
	shard->join = join_new();
	if (!shard->health || !shard->join)
		return NULL;
	shard->all = s;
	shard->out = (struct stage1_out){
		.alert = on_alert, .observe = s->out.observe ? on_observation : NULL, .ctx = shard};
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
		.out = &turn->shard->out,
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

/* The containers that a batch defines or completes. */
static void note_containers(const struct turn *turn)
{
	const struct wire_batch *batch = turn->batch->batch;
	const struct stage1_out *out = &turn->s->out;

	for (uint32_t i = 0; i < batch->container_count; i++) {
		const struct container_def *def = batch->containers[i];
		const struct workload *w;

		if (!def->container_id[0])
			continue;
		workload_complete(turn->shard->entities, turn->node->id, def);
		w = workload_of_container(turn->shard->entities, turn->node->id, def->container_id);
		if (w)
			join_names(turn->shard->join, w, turn->batch->received_ns, out);
		if (out->unnamed && !(w && w->named))
			out->unnamed(out->ctx, &turn->batch->node, def);
	}
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
	stats.evicted.of[EVICTED_JOINS] = join_evicted(shard->join);
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
	turn.node = turn.shard->node = node;
	note_containers(&turn);
	for (uint32_t i = 0; i < batch->batch->event_count; i++)
		feed_event(&turn, &batch->batch->events[i]);
	node_health_batch(turn.shard->health, batch);
	count(s, turn.shard, batch->batch->event_count);
}

static void take_metadata(struct shard *own, const struct node_ref *ref, uint64_t received_ns,
			  const Nightjar__V1__ContainerMetadata *m)
{
	const struct stage1_out *out = &own->all->out;
	const struct node_state *node = entities_node(own->entities, ref);
	struct workload *w = workload_of_container(own->entities, node->id, m->container_id);

	if (!w)
		return; /* evicted: it is asked for again when it is defined again */
	workload_name(w, m);
	join_names(own->join, w, received_ns, out);
}

void stage1_control(struct stage1 *s, uint32_t shard, const struct node_ref *node,
		  uint64_t received_ns, struct bytes message)
{
	Nightjar__V1__AgentMessage *said =
		nightjar__v1__agent_message__unpack(NULL, message.len, message.data);
	struct shard *own = shard_of(s, shard);

	if (own && said && said->body_case == NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO)
		node_health_hello(own->health, node, received_ns, said->hello);
	if (own && said && said->body_case == NIGHTJAR__V1__AGENT_MESSAGE__BODY_METADATA)
		take_metadata(own, node, received_ns, said->metadata);
	nightjar__v1__agent_message__free_unpacked(said, NULL);
}
