/* One encoder per node, in a capped table; a new frame makes each of them begin a new epoch and say
 * Hello again. About 1 MiB a node that is recorded. */
#include "collector/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/recording.h"
#include "common/table.h"
#include "nightjar/v1/agent.pb-c.h"

#define NODES_MAX	1024U
#define DEFINITIONS_MAX 65536U

struct key {
	char cluster[128];
	char node[256];
	char boot_id[40];
};

struct recorded_node {
	struct wire_encoder *encoder;
	uint64_t frame; /* that it has said Hello in, + 1 */
	uint64_t seq;	/* of the last batch */
	struct buf hello; /* the last one, an AgentMessage; empty: none */
	uint64_t hello_ns;
};

struct recorder {
	pthread_mutex_t lock; /* all of it */
	struct recording_writer *writer; /* NULL once it has ended */
	uint64_t max_bytes;
	struct table *nodes; /* key → struct recorded_node */
	struct buf message;
	struct metric *batches, *left_out;
};

static void gone(void *ctx, const void *key, void *record)
{
	struct recorded_node *n = (struct recorded_node *)record;

	(void)ctx;
	(void)key;
	wire_encoder_free(n->encoder);
	buf_done(&n->hello);
}

int recorder_new(const char *path, uint64_t max_bytes, struct metrics *metrics,
		 struct recorder **ret_recorder, struct err *e)
{
	const struct table_config config = {.key_size = sizeof(struct key),
					    .record_size = sizeof(struct recorded_node),
					    .capacity = NODES_MAX,
					    .gone = gone};
	struct recorder *r = calloc(1, sizeof(*r));
	int result;

	if (r)
		r->nodes = table_new(&config);
	if (!r || !r->nodes) {
		free(r);
		return err_set(e, -ENOMEM, "cannot record: no memory");
	}
	(void)pthread_mutex_init(&r->lock, NULL);
	r->max_bytes = max_bytes;
	r->message = buf_with_max(2 * WIRE_MESSAGE_MAX);
	r->batches = metrics_counter(metrics, "nightjar_recorded_batches_total", NULL,
				     "Batches in the recording.");
	r->left_out = metrics_counter(metrics, "nightjar_recording_left_out_total", NULL,
				      "Events that the recording lacks.");
	result = recording_create(path, &r->writer, e);
	if (result < 0) {
		recorder_free(r);
		return result;
	}
	*ret_recorder = r;
	return 0;
}

/* Lock held. */
static void end(struct recorder *r, const char *why)
{
	log_warning("the recording ends here: %s", why);
	if (recording_finish(take_ptr(r->writer)) < 0)
		log_warning("the recording's last frame could not be written");
}

/* Lock held. */
static void write_entry(struct recorder *r, const struct recording_entry *entry)
{
	int result = r->writer ? recording_write(r->writer, entry) : 0;

	if (result < 0)
		end(r, strerror(-result));
	else if (r->writer && recording_size(r->writer) > r->max_bytes)
		end(r, "it has reached record.cap");
}

static struct recording_entry entry_of(const struct node_ref *node, uint64_t received_ns,
				       struct bytes message)
{
	return (struct recording_entry){.kind = RECORDING_MESSAGE,
					.cluster = node->cluster,
					.node = node->node,
					.boot_id = node->boot_id,
					.received_ns = received_ns,
					.message = message};
}

/* Only the names: all that is known of a node that has said nothing. */
static int pack_names(struct recorder *r, const struct node_ref *node)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	uint8_t *room;

	hello.cluster = (char *)(uintptr_t)node->cluster;
	hello.node = (char *)(uintptr_t)node->node;
	hello.boot_id = (char *)(uintptr_t)node->boot_id;
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	buf_clear(&r->message);
	room = buf_extend(&r->message, nightjar__v1__agent_message__get_packed_size(&message));
	if (room)
		(void)nightjar__v1__agent_message__pack(&message, room);
	return buf_error(&r->message);
}

static void write_hello(struct recorder *r, const struct recorded_node *n,
			const struct node_ref *node, uint64_t received_ns)
{
	struct recording_entry entry = entry_of(node, n->hello_ns, buf_bytes(&n->hello));

	if (n->hello.len == 0) {
		if (pack_names(r, node) < 0)
			return;
		entry = entry_of(node, received_ns, buf_bytes(&r->message));
	}
	write_entry(r, &entry);
}

/* A node that has not been in this frame says Hello, and its next batch opens an epoch. */
static void enter_frame(struct recorder *r, struct recorded_node *n, const struct node_ref *node,
			uint64_t received_ns)
{
	uint64_t frame = recording_frame(r->writer) + 1;

	if (n->frame == frame)
		return;
	n->frame = frame;
	wire_encoder_new_epoch(n->encoder);
	write_hello(r, n, node, received_ns);
}

static void write_batch(struct recorder *r, struct recorded_node *n, const struct stage1_batch *batch)
{
	struct wire_batch_head head = batch->batch->head;
	struct recording_entry entry;

	head.seq = ++n->seq;
	buf_clear(&r->message);
	if (wire_encode_end(n->encoder, &head, &r->message) < 0) {
		wire_encoder_new_epoch(n->encoder);
		metric_add(r->left_out, 1);
		return;
	}
	entry = entry_of(&batch->node, batch->received_ns, buf_bytes(&r->message));
	write_entry(r, &entry);
	metric_add(r->batches, 1);
}

/* Again in a new batch when this one or its epoch is full. False: the event is left out. */
static bool encode_event(struct recorder *r, struct recorded_node *n, const struct stage1_batch *batch,
			 const struct event *event)
{
	int result = wire_encode_event(n->encoder, event);

	if (result == -ENOSPC) {
		write_batch(r, n, batch);
		if (!r->writer)
			return false;
		enter_frame(r, n, &batch->node, batch->received_ns);
		if (wire_encoder_epoch_full(n->encoder))
			wire_encoder_new_epoch(n->encoder);
		wire_encode_begin(n->encoder);
		result = wire_encode_event(n->encoder, event);
	}
	return result == 0;
}

/* Begins a batch with what this one tells of containers: it may complete earlier ones. One that finds no
 * room comes with the next epoch, whole. */
static void begin_batch(struct recorded_node *n, const struct wire_batch *batch)
{
	wire_encode_begin(n->encoder);
	for (uint32_t i = 0; i < batch->container_count; i++)
		(void)!wire_encode_container(n->encoder, batch->containers[i]);
}

/* Lock held. */
static void record(struct recorder *r, struct recorded_node *n, const struct stage1_batch *batch)
{
	const struct wire_batch *b = batch->batch;
	bool begun = true;
	uint32_t i;

	enter_frame(r, n, &batch->node, batch->received_ns);
	begin_batch(n, b);
	for (i = 0; i < b->event_count && r->writer; i++) {
		if (!begun)
			wire_encode_begin(n->encoder);
		begun = encode_event(r, n, batch, &b->events[i]);
		if (begun)
			continue;
		/* What follows has no number next to the ones before: in a batch of its own. */
		metric_add(r->left_out, 1);
		if (r->writer) {
			write_batch(r, n, batch);
			enter_frame(r, n, &batch->node, batch->received_ns);
		}
	}
	if (!r->writer)
		return;
	if (!begun)
		wire_encode_begin(n->encoder);
	for (i = 0; i < b->loss_count; i++)
		wire_encode_loss(n->encoder, &b->losses[i]);
	write_batch(r, n, batch);
}

static bool set_key(const struct node_ref *node, struct key *ret_key)
{
	if (strlen(node->cluster) >= sizeof(ret_key->cluster) ||
	    strlen(node->node) >= sizeof(ret_key->node) ||
	    strlen(node->boot_id) >= sizeof(ret_key->boot_id))
		return false;
	memset(ret_key, 0, sizeof(*ret_key));
	memcpy(ret_key->cluster, node->cluster, strlen(node->cluster));
	memcpy(ret_key->node, node->node, strlen(node->node));
	memcpy(ret_key->boot_id, node->boot_id, strlen(node->boot_id));
	return true;
}

/* Lock held. NULL: not recorded. */
static struct recorded_node *find(struct recorder *r, const struct node_ref *node)
{
	struct recorded_node *n;
	struct key key;

	if (!r->writer || !set_key(node, &key))
		return NULL;
	n = (struct recorded_node *)table_put(r->nodes, &key, NULL);
	if (!n->encoder)
		n->encoder = wire_encoder_new(DEFINITIONS_MAX);
	return n;
}

void recorder_batch(struct recorder *r, const struct stage1_batch *batch)
{
	struct recorded_node *n;

	(void)pthread_mutex_lock(&r->lock);
	n = find(r, &batch->node);
	if (n && n->encoder)
		record(r, n, batch);
	else if (n)
		metric_add(r->left_out, batch->batch->event_count);
	(void)pthread_mutex_unlock(&r->lock);
}

void recorder_hello(struct recorder *r, const struct node_ref *node, uint64_t received_ns,
		    struct bytes message)
{
	struct recorded_node *n;
	struct recording_entry entry;

	(void)pthread_mutex_lock(&r->lock);
	n = find(r, node);
	if (n && n->encoder) {
		buf_clear(&n->hello);
		buf_add(&n->hello, message.data, message.len);
		n->hello_ns = received_ns;
		entry = entry_of(node, received_ns, message);
		if (n->frame == recording_frame(r->writer) + 1)
			write_entry(r, &entry);
		else
			enter_frame(r, n, node, received_ns);
	}
	(void)pthread_mutex_unlock(&r->lock);
}

void recorder_metadata(struct recorder *r, const struct node_ref *node, uint64_t received_ns,
		       struct bytes message)
{
	const struct recording_entry entry = entry_of(node, received_ns, message);
	struct recorded_node *n;

	(void)pthread_mutex_lock(&r->lock);
	n = find(r, node);
	if (n && n->encoder) {
		enter_frame(r, n, node, received_ns);
		write_entry(r, &entry);
	}
	(void)pthread_mutex_unlock(&r->lock);
}

void recorder_advance(struct recorder *r, uint64_t wall_ns)
{
	const struct recording_entry entry = {.kind = RECORDING_ADVANCE, .advance_ns = wall_ns};

	(void)pthread_mutex_lock(&r->lock);
	write_entry(r, &entry);
	(void)pthread_mutex_unlock(&r->lock);
}

void recorder_flush(struct recorder *r)
{
	int result;

	(void)pthread_mutex_lock(&r->lock);
	result = r->writer ? recording_flush(r->writer) : 0;
	if (result < 0)
		end(r, strerror(-result));
	(void)pthread_mutex_unlock(&r->lock);
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	if (recording_finish(r->writer) < 0)
		log_warning("the recording's last frame could not be written");
	table_free(r->nodes);
	buf_done(&r->message);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}
