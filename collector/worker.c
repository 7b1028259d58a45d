/* Stage-1 and stage-2 threads; see worker.h. A worker's memory for one batch is an arena of at most
 * 64 MiB that is reset after each; a node's decoder holds the definitions of one epoch. */
#include "collector/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/stage2.h"
#include "collector/watermark.h"
#include "common/capture_class.h"
#include "common/log.h"
#include "common/queue.h"
#include "common/table.h"

#define BATCH_ARENA_BYTES (64UL << 20)
#define DEFINITIONS_MAX	  65536U /* as many as any encoder defines in an epoch */
#define STAGE2_QUEUE	  4096U

#define CLASSES (CAPTURE_CLASS_MAX + 1U) /* and one for what this side does not know */

struct decoder_key {
	char cluster[NODE_CLUSTER_MAX];
	char node[NODE_NAME_MAX];
	char boot_id[NODE_BOOT_MAX];
};

struct thread {
	struct workers *all;
	pthread_t id;
	bool running;
	unsigned int index;
	struct queue *queue; /* stage 1: intake_item; stage 2: work2 */
	struct arena *arena; /* stage 1 */
};

/* For a stage-2 thread: an observation, or that time has moved. */
struct work2 {
	uint64_t advance_ns; /* 0: an observation */
	uint32_t shard;
	struct observation observation[];
};

struct workers {
	struct workers_config config;
	struct stage1 *stage1;
	struct stage2 *stage2;
	struct thread *first, *second;
	struct table *decoders[STAGE1_SHARDS]; /* decoder_key → struct wire_decoder *; by shard */

	struct metric *batches, *events, *suppressed, *heartbeats, *no_memory;
	struct metric *undecodable, *stale; /* batches lost */
	struct metric *losses[LOSS_REASON_MAX][CLASSES];

	struct watermark *watermark;
	pthread_mutex_t advance_lock; /* below, and the order in which it is told */
	uint64_t moved_to;
};

/* ---- stage 2 --------------------------------------------------------------------------------- */

static void advance(struct thread *t, uint64_t wall_ns)
{
	unsigned int shard;

	for (shard = t->index; shard < STAGE2_SHARDS; shard += t->all->config.stage2_threads)
		stage2_advance(t->all->stage2, shard, wall_ns);
}

static void *run_second(void *ctx)
{
	struct thread *t = (struct thread *)ctx;
	struct work2 *work;

	while ((work = (struct work2 *)queue_pop(t->queue, -1))) {
		if (work->advance_ns)
			advance(t, work->advance_ns);
		else
			stage2_feed(t->all->stage2, work->shard, work->observation);
		free(work);
	}
	return NULL;
}

static void push_second(struct workers *w, unsigned int index, struct work2 *work)
{
	/* Only a stopped queue refuses, and stage 1 is stopped before. */
	if (queue_push(w->second[index].queue, work) < 0)
		free(work);
}

static void on_observation(void *ctx, const struct observation *observation)
{
	struct workers *w = (struct workers *)ctx;
	struct work2 *work = malloc(sizeof(*work) + sizeof(*observation));

	if (!work) {
		metric_add(w->no_memory, 1);
		return;
	}
	work->advance_ns = 0;
	work->shard = stage2_shard(observation->key);
	work->observation[0] = *observation;
	push_second(w, work->shard % w->config.stage2_threads, work);
}

/* Under a lock, so that the recording has the values in the order in which stage 2 gets them. */
static void broadcast(struct workers *w, uint64_t value)
{
	unsigned int i;

	(void)pthread_mutex_lock(&w->advance_lock);
	for (i = 0; value > w->moved_to && i < w->config.stage2_threads; i++) {
		struct work2 *work = malloc(sizeof(*work));

		if (!work) { /* the next value makes up for it */
			metric_add(w->no_memory, 1);
			continue;
		}
		work->advance_ns = value;
		push_second(w, i, work);
	}
	if (value > w->moved_to) {
		w->moved_to = value;
		if (w->config.recorder)
			recorder_advance(w->config.recorder, value);
	}
	(void)pthread_mutex_unlock(&w->advance_lock);
}

static void note_time(struct workers *w, const struct node *node, uint64_t wall_ns)
{
	broadcast(w, watermark_node(w->watermark, node->cluster, node->name, wall_ns));
}

void workers_tick(struct workers *w, uint64_t wall_ns)
{
	broadcast(w, watermark_tick(w->watermark, wall_ns));
}

/* ---- stage 1 --------------------------------------------------------------------------------- */

static void decoder_gone(void *ctx, const void *key, void *record)
{
	(void)ctx;
	(void)key;
	wire_decoder_free(*(struct wire_decoder **)record);
}

static struct wire_decoder *find_decoder(struct workers *w, uint32_t shard,
					 const struct intake_item *item)
{
	struct decoder_key key = {0};
	struct wire_decoder **slot;

	memcpy(key.cluster, item->node->cluster, sizeof(key.cluster));
	memcpy(key.node, item->node->name, sizeof(key.node));
	memcpy(key.boot_id, item->boot_id, strlen(item->boot_id));
	slot = (struct wire_decoder **)table_put(w->decoders[shard], &key, NULL);
	if (!*slot)
		*slot = wire_decoder_new(DEFINITIONS_MAX);
	return *slot;
}

static size_t class_of(const char *name)
{
	int class = capture_class_find(name);

	return class < 0 ? CAPTURE_CLASS_MAX : (size_t) class;
}

static void count(struct workers *w, struct node *node, const struct wire_batch *batch)
{
	uint64_t suppressed = 0;
	uint32_t i;

	for (i = 0; i < batch->event_count; i++)
		suppressed += batch->events[i].repeats;
	metric_add(w->suppressed, suppressed);
	metric_add(w->batches, 1);
	metric_add(w->events, batch->event_count);
	atomic_fetch_add_explicit(&node->events, batch->event_count, memory_order_relaxed);
	for (i = 0; i < batch->loss_count; i++) {
		const struct loss *loss = &batch->losses[i];

		metric_add(w->losses[loss->reason < LOSS_REASON_MAX ? loss->reason : 0]
				    [class_of(loss->class)],
			   loss->count);
		atomic_fetch_add_explicit(&node->events_lost, loss->count, memory_order_relaxed);
		log_limited(LOG_LEVEL_WARNING, "node '%s' has lost %llu events of class %s",
			    node->name, (unsigned long long)loss->count, loss->class);
	}
}

static void feed(struct workers *w, uint32_t shard, const struct intake_item *item,
		 const struct wire_batch *batch)
{
	const struct stage1_batch fed = {
		.node = {.cluster = item->node->cluster,
			 .node = item->node->name,
			 .boot_id = item->boot_id},
		.received_ns = item->received_ns,
		.batch = batch,
	};

	count(w, item->node, batch);
	if (w->config.recorder)
		recorder_batch(w->config.recorder, &fed);
	stage1_feed(w->stage1, shard, &fed);
	if (batch->event_count > 0)
		note_time(w, item->node,
			  batch->events[batch->event_count - 1].time_ns +
				  (uint64_t)batch->head.wall_offset_ns);
}

/* A Hello or the metadata of a container. */
static void control(struct workers *w, const struct intake_item *item)
{
	const struct node_ref node = {
		.cluster = item->node->cluster, .node = item->node->name, .boot_id = item->boot_id};
	const struct bytes message = bytes_of(item->message, item->len);

	if (w->config.recorder && item->kind == INTAKE_HELLO)
		recorder_hello(w->config.recorder, &node, item->received_ns, message);
	else if (w->config.recorder)
		recorder_metadata(w->config.recorder, &node, item->received_ns, message);
	stage1_control(w->stage1, stage1_shard(node.cluster, node.node), &node, item->received_ns,
		       message);
}

/* A batch that cannot be decoded is lost, whatever the reason, and its epoch with it: counted, and
 * the agent begins a new one. */
static void work(struct thread *t, const struct intake_item *item)
{
	struct workers *w = t->all;
	uint32_t shard = stage1_shard(item->node->cluster, item->node->name);
	struct wire_decoder *decoder = find_decoder(w, shard, item);
	struct wire_batch batch;
	int r = decoder ? wire_decode_batch(decoder, bytes_of(item->message, item->len), t->arena,
					    &batch)
			: -ENOMEM;

	if (r == 0) {
		feed(w, shard, item, &batch);
		return;
	}
	metric_add(r == -ESTALE ? w->stale : r == -ENOMEM ? w->no_memory : w->undecodable, 1);
	log_limited(LOG_LEVEL_WARNING, "a batch of node '%s' is lost: %s", item->node->name,
		    r == -ESTALE ? "its definitions are unknown" : strerror(-r));
	w->config.need_epoch(w->config.ctx, item->node);
}

static void *run_first(void *ctx)
{
	struct thread *t = (struct thread *)ctx;
	struct workers *w = t->all;
	struct intake_item *item;

	while ((item = (struct intake_item *)queue_pop(t->queue, -1))) {
		/* It was full a moment ago: somebody may wait. */
		if (queue_length(t->queue) == w->config.queue_batches - 1)
			w->config.room_again(w->config.ctx);
		if (item->kind == INTAKE_BATCH) {
			work(t, item);
			arena_reset(t->arena);
		} else if (item->kind == INTAKE_HELLO || item->kind == INTAKE_METADATA) {
			control(w, item);
		} else {
			metric_add(w->heartbeats, 1);
			note_time(w, item->node, item->wall_ns);
		}
		intake_item_free(item);
	}
	return NULL;
}

static struct thread *owner(struct workers *w, const struct node *node)
{
	return &w->first[stage1_shard(node->cluster, node->name) % w->config.stage1_threads];
}

bool workers_room(void *ctx, const struct node *node)
{
	struct workers *w = (struct workers *)ctx;

	return queue_length(owner(w, node)->queue) < w->config.queue_batches;
}

void workers_submit(void *ctx, struct intake_item *item)
{
	struct workers *w = (struct workers *)ctx;

	if (queue_push(owner(w, item->node)->queue, item) < 0)
		intake_item_free(item);
}

/* ---- building ----------------------------------------------------------------------------------
 */

static void register_counters(struct workers *w)
{
	static const char *const reasons[LOSS_REASON_MAX] = {"unknown", "ring",	 "missed",
							     "decode",	"queue", "table"};
	static const char lost[] = "nightjar_batches_lost_total";
	static const char lost_help[] =
		"Batches that reached a worker and gave nothing, by reason.";
	struct metrics *m = w->config.metrics;
	char labels[64];
	size_t i, j;

	w->batches = metrics_counter(m, "nightjar_batches_total", NULL, "Batches worked on.");
	w->events = metrics_counter(m, "nightjar_events_total", NULL, "Events worked on.");
	w->suppressed = metrics_counter(
		m, "nightjar_events_suppressed_total", NULL,
		"Acts that the kernel summed up, by the repeats that stand for them.");
	w->heartbeats = metrics_counter(m, "nightjar_worker_heartbeats_total", NULL,
					"Heartbeats that moved a node's time.");
	w->undecodable = metrics_counter(m, lost, "reason=\"undecodable\"", lost_help);
	w->stale = metrics_counter(m, lost, "reason=\"unknown_epoch\"", lost_help);
	w->no_memory = metrics_counter(m, lost, "reason=\"no_memory\"", lost_help);
	for (i = 0; i < LOSS_REASON_MAX * CLASSES; i++) {
		j = i % CLASSES;
		(void)snprintf(
			labels, sizeof(labels), "reason=\"%s\",class=\"%s\"", reasons[i / CLASSES],
			j < CAPTURE_CLASS_MAX ? capture_class_name((unsigned int)j) : "other");
		w->losses[i / CLASSES][j] =
			metrics_counter(m, "nightjar_agent_events_lost_total", labels,
					"Events that agents have reported as lost.");
	}
}

static int build_tables(struct workers *w)
{
	const struct table_config config = {.key_size = sizeof(struct decoder_key),
					    .record_size = sizeof(struct wire_decoder *),
					    .capacity = w->config.shard_nodes,
					    .gone = decoder_gone};
	unsigned int i;

	for (i = 0; i < STAGE1_SHARDS; i++) {
		w->decoders[i] = table_new(&config);
		if (!w->decoders[i])
			return -ENOMEM;
	}
	return 0;
}

static void on_alert(void *ctx, struct alert *alert)
{
	struct workers *w = (struct workers *)ctx;

	w->config.alert(w->config.ctx, alert);
}

static void on_unnamed(void *ctx, const struct node_ref *node,
		       const struct container_def *container)
{
	struct workers *w = (struct workers *)ctx;

	w->config.unnamed(w->config.ctx, node, container);
}

static int build_stages(struct workers *w)
{
	const struct stage1_out out = {.alert = on_alert,
				       .observe = on_observation,
				       .unnamed = w->config.unnamed ? on_unnamed : NULL,
				       .ctx = w};

	w->watermark = watermark_new(w->config.shard_nodes * STAGE1_SHARDS, w->config.metrics);
	w->stage1 = stage1_new(w->config.detect, &out, w->config.metrics);
	w->stage2 = stage2_new(w->config.detect, on_alert, w, w->config.metrics);
	w->first = calloc(w->config.stage1_threads, sizeof(*w->first));
	w->second = calloc(w->config.stage2_threads, sizeof(*w->second));
	return w->watermark && w->stage1 && w->stage2 && w->first && w->second ? 0 : -ENOMEM;
}

static int start(struct workers *w, struct thread *t, unsigned int index, const char *name,
		 void *(*run)(void *ctx), size_t capacity)
{
	char full_name[16];
	int r;

	t->all = w;
	t->index = index;
	t->queue = queue_new(capacity);
	t->arena = arena_new(BATCH_ARENA_BYTES);
	if (!t->queue || !t->arena)
		return -ENOMEM;
	r = -pthread_create(&t->id, NULL, run, t);
	if (r < 0)
		return r;
	t->running = true;
	(void)snprintf(full_name, sizeof(full_name), "%s-%u", name, index);
	(void)pthread_setname_np(t->id, full_name);
	return 0;
}

int workers_new(const struct workers_config *config, struct workers **ret_workers, struct err *e)
{
	struct workers *w = calloc(1, sizeof(*w));
	unsigned int i;
	int r;

	if (!w)
		return err_set(e, -ENOMEM, "cannot start the detection: no memory");
	w->config = *config;
	(void)pthread_mutex_init(&w->advance_lock, NULL);
	register_counters(w);
	r = build_tables(w);
	if (r == 0)
		r = build_stages(w);
	for (i = 0; r == 0 && i < config->stage2_threads; i++)
		r = start(w, &w->second[i], i, "nj-stage2", run_second, STAGE2_QUEUE);
	for (i = 0; r == 0 && i < config->stage1_threads; i++)
		r = start(w, &w->first[i], i, "nj-stage1", run_first, config->queue_batches);
	if (r < 0) {
		workers_stop(w);
		workers_free(w);
		return err_set(e, r, "cannot start the detection: %s", strerror(-r));
	}
	*ret_workers = w;
	return 0;
}

static void stop(struct thread *threads, unsigned int count)
{
	unsigned int i;

	for (i = 0; threads && i < count; i++)
		if (threads[i].queue)
			queue_close(threads[i].queue);
	for (i = 0; threads && i < count; i++) {
		if (threads[i].running)
			(void)pthread_join(threads[i].id, NULL);
		threads[i].running = false;
	}
}

void workers_stop(struct workers *w)
{
	stop(w->first, w->config.stage1_threads);
	stop(w->second, w->config.stage2_threads);
}

static void free_threads(struct thread *threads, unsigned int count)
{
	unsigned int i;

	for (i = 0; threads && i < count; i++) {
		queue_free(threads[i].queue);
		arena_free(threads[i].arena);
	}
	free(threads);
}

void workers_free(struct workers *w)
{
	unsigned int i;

	if (!w)
		return;
	free_threads(w->first, w->config.stage1_threads);
	free_threads(w->second, w->config.stage2_threads);
	for (i = 0; i < STAGE1_SHARDS; i++)
		table_free(w->decoders[i]);
	stage1_free(w->stage1);
	stage2_free(w->stage2);
	watermark_free(w->watermark);
	(void)pthread_mutex_destroy(&w->advance_lock);
	free(w);
}
