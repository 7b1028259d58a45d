/* A list of batches with a cursor, and the definitions that went before; see spool.h. */
#include "node-agent/spool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define KEPT_USUAL (64UL << 10) /* bytes; a snapshot's definitions are more */

struct node {
	struct node *next;
	struct wire_batch_head head; /* opens_epoch is decided when it is sent */
	struct spool_counts counts;
	size_t definition_end; /* where the epoch's definitions end after this batch */
	size_t definition_len;
	size_t body_len;
	uint8_t data[]; /* definitions, body */
};

struct spool {
	pthread_mutex_t lock;
	size_t limit;
	uint64_t next_seq;
	struct node *first, *last; /* not acknowledged */
	struct node *next;	   /* to send, NULL when all are sent */
	size_t length, unsent, in_flight;
	size_t bytes; /* of nodes */
	/* Definitions of kept_epoch in batches that have left the list: all before the first node's. */
	struct buf kept;
	uint32_t kept_epoch;
	/* Dropped on their way, without their data: in flight, and neither lost nor kept yet. */
	struct node *parted, *last_parted;
	size_t parted_count;
	struct spool_counts unreported; /* lost between two pushes */
	/* The epoch as it is pushed. */
	uint32_t push_epoch;
	size_t push_end;
	/* The epoch as the collector has it on this connection. */
	bool sent_any;
	uint32_t sent_epoch;
	size_t sent_end;
};

struct spool *spool_new(size_t limit, uint64_t first_seq)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->limit = limit;
	s->next_seq = first_seq;
	s->kept = buf_with_max(WIRE_MESSAGE_MAX);
	return s;
}

static void free_list(struct node *first)
{
	while (first) {
		struct node *node = first;

		first = node->next;
		free(node);
	}
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	free_list(s->first);
	free_list(s->parted);
	buf_done(&s->kept);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static size_t size_of(const struct node *node)
{
	return sizeof(*node) + node->definition_len + node->body_len;
}

static void add_counts(struct spool_counts *sum, const struct spool_counts *more)
{
	for (int i = 0; i < NJ_CLASS_MAX; i++)
		sum->events[i] += more->events[i];
}

/* Lock held. */
static void keep_definitions(struct spool *s, const struct node *node)
{
	if (node->head.epoch != s->kept_epoch) {
		buf_clear_to(&s->kept, KEPT_USUAL);
		s->kept_epoch = node->head.epoch;
	}
	buf_add(&s->kept, node->data, node->definition_len);
}

/* Lock held. The first batch leaves the list, for the caller to free. */
static struct node *unlink_first(struct spool *s)
{
	struct node *node = s->first;

	keep_definitions(s, node);
	if (s->next == node) {
		s->next = node->next;
		s->unsent--;
	} else {
		s->in_flight--;
	}
	s->first = node->next;
	if (!s->first)
		s->last = NULL;
	s->length--;
	s->bytes -= size_of(node);
	return node;
}

/* Lock held. To make room. */
static void drop_first(struct spool *s, struct spool_counts *dropped)
{
	bool is_sent = s->next != s->first;
	struct node *node = unlink_first(s), *small;

	if (!is_sent) {
		add_counts(dropped, &node->counts);
		free(node);
		return;
	}
	small = realloc(node, sizeof(*node));
	node = small ? small : node;
	node->next = NULL;
	if (s->last_parted)
		s->last_parted->next = node;
	else
		s->parted = node;
	s->last_parted = node;
	s->parted_count++;
}

/* Lock held. */
static struct node *unlink_parted(struct spool *s)
{
	struct node *node = s->parted;

	s->parted = node->next;
	if (!s->parted)
		s->last_parted = NULL;
	s->parted_count--;
	return node;
}

static struct node *new_node(const struct spool_batch *batch)
{
	const struct wire_parts *parts = &batch->parts;
	struct node *node = malloc(sizeof(*node) + parts->definitions.len + parts->body.len);

	if (!node)
		return NULL;
	*node = (struct node){
		.head = {.epoch = parts->epoch,
			 .first_event = parts->first_event,
			 .wall_offset_ns = batch->wall_offset_ns,
			 .policy_generation = batch->policy_generation},
		.counts = batch->counts,
		.definition_len = parts->definitions.len,
		.body_len = parts->body.len,
	};
	if (parts->definitions.len > 0)
		memcpy(node->data, parts->definitions.data, parts->definitions.len);
	if (parts->body.len > 0)
		memcpy(node->data + parts->definitions.len, parts->body.data, parts->body.len);
	return node;
}

/* Lock held. */
static void append(struct spool *s, struct node *node)
{
	if (node->head.epoch != s->push_epoch) {
		s->push_epoch = node->head.epoch;
		s->push_end = 0;
	}
	s->push_end += node->definition_len;
	node->definition_end = s->push_end;
	node->head.seq = s->next_seq++;
	if (s->last)
		s->last->next = node;
	else
		s->first = node;
	s->last = node;
	if (!s->next)
		s->next = node;
	s->length++;
	s->unsent++;
	s->bytes += size_of(node);
}

int spool_push(struct spool *s, const struct spool_batch *batch, struct spool_counts *ret_dropped)
{
	struct node *node = new_node(batch);
	struct spool_counts dropped = {0};

	if (!node)
		add_counts(&dropped, &batch->counts);
	(void)pthread_mutex_lock(&s->lock);
	while (node && s->first && s->bytes + s->kept.len + size_of(node) > s->limit)
		drop_first(s, &dropped);
	if (node)
		append(s, node);
	add_counts(&dropped, &s->unreported);
	s->unreported = (struct spool_counts){0};
	(void)pthread_mutex_unlock(&s->lock);
	*ret_dropped = dropped;
	return node ? 0 : -ENOMEM;
}

size_t spool_rewind(struct spool *s)
{
	size_t in_flight;

	(void)pthread_mutex_lock(&s->lock);
	in_flight = s->in_flight + s->parted_count;
	while (s->parted) {
		_cleanup_(freep) struct node *node = unlink_parted(s);

		add_counts(&s->unreported, &node->counts);
	}
	s->next = s->first;
	s->unsent = s->length;
	s->in_flight = 0;
	s->sent_any = false;
	(void)pthread_mutex_unlock(&s->lock);
	return in_flight;
}

/* Lock held. The definitions that the collector lacks before this batch's own: those of batches that
 * left the list unsent, or all of the epoch when it is opened again. -ENODATA: there was no memory
 * to keep them. */
static int missing_definitions(const struct spool *s, const struct node *node, struct bytes *ret_missing)
{
	size_t from = s->sent_any && s->sent_epoch == node->head.epoch ? s->sent_end : 0;
	size_t to = node->definition_end - node->definition_len;

	*ret_missing = (struct bytes){0};
	if (from >= to)
		return 0;
	if (s->kept_epoch != node->head.epoch || to > s->kept.len)
		return -ENODATA;
	*ret_missing = bytes_of(s->kept.data + from, to - from);
	return 0;
}

/* Lock held. */
static int write_next(struct spool *s, const char *node_name, struct buf *out)
{
	struct node *node = s->next;
	struct wire_batch_head head = node->head;
	struct bytes parts[2];

	head.opens_epoch = !s->sent_any || s->sent_epoch != head.epoch;
	head.node = node_name;
	if (missing_definitions(s, node, &parts[0]) < 0)
		return -ENODATA;
	parts[1] = bytes_of(node->data, node->definition_len + node->body_len);
	if (wire_write_batch(&head, parts, 2, out) < 0)
		return -ENOMEM;
	s->sent_any = true;
	s->sent_epoch = head.epoch;
	s->sent_end = node->definition_end;
	s->next = node->next;
	s->unsent--;
	s->in_flight++;
	return 1;
}

/* Lock held. The next batch can never be read by anybody; what lies before it goes along. */
static void drop_next(struct spool *s)
{
	struct node *last = s->next->next;

	while (s->first != last) {
		_cleanup_(freep) struct node *node = unlink_first(s);

		add_counts(&s->unreported, &node->counts);
	}
}

int spool_take(struct spool *s, uint32_t max_in_flight, const char *node, struct buf *out)
{
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	while (s->next && s->in_flight + s->parted_count < max_in_flight) {
		r = write_next(s, node, out);
		if (r != -ENODATA)
			break;
		drop_next(s);
		r = 0;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

void spool_ack(struct spool *s, uint64_t seq)
{
	(void)pthread_mutex_lock(&s->lock);
	/* Unsent ones too: a collector that had them before the connection broke says so. */
	while (s->parted && s->parted->head.seq <= seq)
		free(unlink_parted(s));
	while (s->first && s->first->head.seq <= seq)
		free(unlink_first(s));
	(void)pthread_mutex_unlock(&s->lock);
}

bool spool_epoch_full(struct spool *s)
{
	bool full;

	(void)pthread_mutex_lock(&s->lock);
	full = s->push_end > s->limit / 4;
	(void)pthread_mutex_unlock(&s->lock);
	return full;
}

uint64_t spool_resume_seq(struct spool *s)
{
	uint64_t seq;

	(void)pthread_mutex_lock(&s->lock);
	seq = s->first ? s->first->head.seq : s->next_seq;
	(void)pthread_mutex_unlock(&s->lock);
	return seq;
}

static size_t read_size(struct spool *s, const size_t *value)
{
	size_t copy;

	(void)pthread_mutex_lock(&s->lock);
	copy = *value;
	(void)pthread_mutex_unlock(&s->lock);
	return copy;
}

size_t spool_unsent(struct spool *s)
{
	return read_size(s, &s->unsent);
}

size_t spool_length(struct spool *s)
{
	return read_size(s, &s->length);
}

size_t spool_bytes(struct spool *s)
{
	return read_size(s, &s->bytes);
}
