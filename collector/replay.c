/* No listener, no journal, no clock: the recording is the only input. Alerts go through the same
 * delivery as always, into a store in memory, with the times of delivery left out. */
#include "collector/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/deliver.h"
#include "collector/sink/registry.h"
#include "collector/stage2.h"
#include "common/log.h"
#include "common/recording.h"
#include "common/table.h"

#define NODES_MAX	  4096U
#define DEFINITIONS_MAX	  65536U
#define BATCH_ARENA_BYTES (64UL << 20)
#define QUEUE_ALERTS	  1024U
#define DRAIN_MS	  10000

struct key {
	char cluster[256];
	char node[256];
	char boot_id[256];
};

struct replay {
	struct metrics *metrics;
	struct detect_options detect;
	struct store *store;
	struct sink **sinks;
	struct deliver *deliver;
	struct stage1 *stage1;
	struct stage2 *stage2;
	struct table *decoders; /* key → struct wire_decoder * */
	struct arena *arena;
	uint64_t undecodable;
};

static void on_alert(void *ctx, struct alert *alert)
{
	deliver_submit(((struct replay *)ctx)->deliver, alert);
}

static void on_observation(void *ctx, const struct observation *observation)
{
	struct replay *r = (struct replay *)ctx;

	stage2_feed(r->stage2, stage2_shard(observation->key), observation);
}

static void decoder_gone(void *ctx, const void *key, void *record)
{
	(void)ctx;
	(void)key;
	wire_decoder_free(*(struct wire_decoder **)record);
}

static struct wire_decoder *find_decoder(struct replay *r, const struct recording_entry *entry)
{
	struct wire_decoder **slot;
	struct key key = {0};

	if (strlen(entry->cluster) >= sizeof(key.cluster) || strlen(entry->node) >= sizeof(key.node) ||
	    strlen(entry->boot_id) >= sizeof(key.boot_id))
		return NULL;
	memcpy(key.cluster, entry->cluster, strlen(entry->cluster));
	memcpy(key.node, entry->node, strlen(entry->node));
	memcpy(key.boot_id, entry->boot_id, strlen(entry->boot_id));
	slot = (struct wire_decoder **)table_put(r->decoders, &key, NULL);
	if (!*slot)
		*slot = wire_decoder_new(DEFINITIONS_MAX);
	return *slot;
}

static void feed(struct replay *r, const struct recording_entry *entry)
{
	struct wire_decoder *decoder;
	struct wire_batch_head head;
	struct wire_batch batch;
	const struct stage1_batch fed = {
		.node = {.cluster = entry->cluster, .node = entry->node, .boot_id = entry->boot_id},
		.received_ns = entry->received_ns,
		.batch = &batch};
	int result;

	arena_reset(r->arena);
	result = wire_peek_batch(entry->message, r->arena, &head);
	if (result == -ENOMSG) { /* a Hello, or metadata */
		stage1_control(r->stage1, stage1_shard(entry->cluster, entry->node), &fed.node,
			     entry->received_ns, entry->message);
		return;
	}
	decoder = result == 0 ? find_decoder(r, entry) : NULL;
	if (decoder && wire_decode_batch(decoder, entry->message, r->arena, &batch) == 0)
		stage1_feed(r->stage1, stage1_shard(entry->cluster, entry->node), &fed);
	else
		r->undecodable++;
}

static void advance(struct replay *r, uint64_t wall_ns)
{
	uint32_t shard;

	for (shard = 0; shard < STAGE2_SHARDS; shard++)
		stage2_advance(r->stage2, shard, wall_ns);
}

static int build_delivery(struct replay *r, const struct options *o, struct err *e)
{
	struct deliver_config config = {
		.metrics = r->metrics, .queue_capacity = QUEUE_ALERTS, .replay = true};
	/* Only the log: a replay never speaks to a broker, and never appends to the alerts' file. */
	struct sink_options sinks = o->sinks;
	int result;

	sinks.kafka.brokers = (char *)"";
	sinks.log.alerts = (char *)"";
	sinks.log.wait = true;
	if (strcmp(sinks.log.format, "auto") == 0)
		sinks.log.format = (char *)"json";
	result = store_open(":memory:", &r->store, e);
	if (result == 0)
		result = registry_open(&sinks, r->metrics, NULL, &r->sinks, e);
	config.store = r->store;
	config.sinks = r->sinks;
	return result < 0 ? result : deliver_new(&config, &r->deliver, e);
}

static int build(struct replay *r, const struct options *o, struct err *e)
{
	const struct table_config config = {.key_size = sizeof(struct key),
					    .record_size = sizeof(struct wire_decoder *),
					    .capacity = NODES_MAX,
					    .gone = decoder_gone};
	const struct stage1_out out = {.alert = on_alert, .observe = on_observation, .ctx = r};

	collector_options_detect(o, &r->detect);
	r->metrics = metrics_new();
	r->arena = arena_new(BATCH_ARENA_BYTES);
	r->decoders = table_new(&config);
	if (!r->metrics || !r->arena || !r->decoders)
		return err_set(e, -ENOMEM, "cannot replay: no memory");
	r->stage1 = stage1_new(&r->detect, &out, r->metrics);
	r->stage2 = stage2_new(&r->detect, on_alert, r, r->metrics);
	if (!r->stage1 || !r->stage2)
		return err_set(e, -ENOMEM, "cannot replay: no memory");
	return build_delivery(r, o, e);
}

static void unbuild(struct replay *r)
{
	if (r->deliver)
		(void)deliver_stop(r->deliver, DRAIN_MS);
	deliver_free(r->deliver);
	registry_free(r->sinks);
	store_close(r->store);
	stage1_free(r->stage1);
	stage2_free(r->stage2);
	table_free(r->decoders);
	arena_free(r->arena);
	metrics_free(r->metrics);
}

static int read_all(struct replay *r, struct recording_reader *reader, struct err *e)
{
	struct recording_entry entry;
	int result;

	while ((result = recording_next(reader, &entry, e)) == 1) {
		if (entry.kind == RECORDING_MESSAGE)
			feed(r, &entry);
		else
			advance(r, entry.advance_ns);
	}
	if (r->undecodable > 0)
		log_warning("%llu batches of the recording could not be read",
			    (unsigned long long)r->undecodable);
	return result;
}

int replay_run(const struct options *o, const char *path, struct err *e)
{
	_cleanup_(recording_closep) struct recording_reader *reader = NULL;
	struct replay r = {0};
	int result = recording_open(path, &reader, e);

	if (result < 0)
		return result;
	result = build(&r, o, e);
	if (result == 0)
		result = read_all(&r, reader, e);
	unbuild(&r);
	return result;
}
