/* Batches on their way to disk and to their worker. Everything here runs under the nodes' lock, so
 * that a node's batches reach the journal and its worker in one and the same order.
 *
 * Sizes: a parked batch per stream at most; acknowledgements that wait for the disk are bounded by
 * the journal's buffer (a few ten thousand). */
#include "collector/ingest/intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/ingest/introduce.h"
#include "common/arena.h"
#include "common/log.h"

#define PEEK_ARENA_BYTES (64UL << 10)

/* A batch that is in the journal's buffer, and whose agent waits. Oldest first. */
struct waiting {
	uint64_t position;
	uint64_t seq;
	uint32_t numbering;
	struct node *node; /* a reference */
};

struct parked {
	struct parked *next;
	struct listen_call *call; /* a reference */
	struct intake_item *item;
	struct wire_batch_head head;
	unsigned int ticks; /* that it has waited */
};

struct intake {
	struct intake_config config;
	struct introduce *introduce;
	struct arena *arena; /* of replay */

	struct metric *taken, *duplicate, *stale, *superseded, *parked_total, *missing, *no_memory,
		*unreadable, *throttles;

	/* ---- under nodes_lock ---- */
	struct waiting *waiting; /* ring */
	size_t first, count, capacity;
	struct parked *parked, **parked_tail;
	struct node *throttled; /* list, with a reference each */
};

void intake_item_free(struct intake_item *item)
{
	if (!item)
		return;
	node_unref(item->node);
	free(item);
}

struct intake_item *intake_item_new(enum intake_kind kind, struct node *node, const char *boot_id,
				    uint64_t received_ns, struct bytes message)
{
	struct intake_item *item = malloc(sizeof(*item) + message.len);

	if (!item)
		return NULL;
	memset(item, 0, sizeof(*item));
	item->kind = kind;
	item->node = node_ref(node);
	(void)snprintf(item->boot_id, sizeof(item->boot_id), "%s", boot_id);
	item->received_ns = received_ns;
	item->len = message.len;
	if (message.len)
		memcpy(item->message, message.data, message.len);
	return item;
}

/* ---- answers to the agent; lock held ------------------------------------------------------- */

static void reply(struct node *node, const Nightjar__V1__CollectorMessage *message)
{
	uint8_t room[64]; /* an Ack or a NeedEpoch takes 14 at most */
	size_t len = nightjar__v1__collector_message__get_packed_size(message);

	if (!node->call || len > sizeof(room))
		return;
	(void)nightjar__v1__collector_message__pack(message, room);
	/* A full queue or a stream that ends: the next acknowledgement covers this one. */
	(void)!listen_send(node->call, bytes_of(room, len));
}

static void send_ack(struct node *node)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Ack ack = NIGHTJAR__V1__ACK__INIT;

	ack.seq = node->synced_seq;
	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK;
	message.ack = &ack;
	reply(node, &message);
}

static void send_throttle(struct node *node, uint32_t max_in_flight)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Throttle throttle = NIGHTJAR__V1__THROTTLE__INIT;

	throttle.max_batches_in_flight = max_in_flight;
	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_THROTTLE;
	message.throttle = &throttle;
	reply(node, &message);
}

static void send_need_epoch(struct node *node, uint32_t epoch)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__NeedEpoch need = NIGHTJAR__V1__NEED_EPOCH__INIT;

	need.epoch = epoch;
	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_NEED_EPOCH;
	message.need_epoch = &need;
	reply(node, &message);
}

/* ---- acknowledgements that wait for the disk; lock held -------------------------------------- */

static int reserve_waiting(struct intake *in)
{
	struct waiting *grown;
	size_t capacity = in->capacity ? in->capacity * 2 : 256, i;

	if (in->count < in->capacity)
		return 0;
	grown = calloc(capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (i = 0; i < in->count; i++)
		grown[i] = in->waiting[(in->first + i) % in->capacity];
	free(in->waiting);
	in->waiting = grown;
	in->first = 0;
	in->capacity = capacity;
	return 0;
}

static void add_waiting(struct intake *in, uint64_t position, uint64_t seq, struct node *node)
{
	in->waiting[(in->first + in->count++) % in->capacity] =
		(struct waiting){.position = position,
				 .seq = seq,
				 .numbering = node->numbering,
				 .node = node_ref(node)};
}

/* One acknowledgement per node and group, whatever the number of its batches. */
void intake_synced(void *ctx, uint64_t position)
{
	struct intake *in = (struct intake *)ctx;
	struct node *due = NULL;

	nodes_lock(in->config.nodes);
	while (in->count > 0 && in->waiting[in->first].position <= position) {
		struct waiting *w = &in->waiting[in->first];
		struct node *node = w->node;

		in->first = (in->first + 1) % in->capacity;
		in->count--;
		if (w->numbering == node->numbering && w->seq > node->synced_seq)
			node->synced_seq = w->seq;
		if (node->due) {
			node_unref(node);
			continue;
		}
		node->due = true;
		node->next_due = due;
		due = node; /* with the reference */
	}
	while (due) {
		struct node *node = due;

		due = node->next_due;
		node->due = false;
		send_ack(node);
		node_unref(node);
	}
	nodes_unlock(in->config.nodes);
	intake_retry(in);
}

/* ---- a batch; lock held --------------------------------------------------------------------- */

static enum intake_verdict judge(struct intake *in, struct node *node, struct listen_call *call,
				 const struct wire_batch_head *head)
{
	if (node->call != call) {
		metric_add(in->superseded, 1);
		return INTAKE_SUPERSEDED;
	}
	if (head->seq <= node->appended_seq) {
		metric_add(in->duplicate, 1);
		if (head->seq <= node->synced_seq)
			send_ack(node);
		return INTAKE_DUPLICATE;
	}
	if (!head->opens_epoch && !(node->epoch_known && node->epoch == head->epoch)) {
		metric_add(in->stale, 1);
		send_need_epoch(node, head->epoch);
		return INTAKE_STALE;
	}
	return INTAKE_TAKEN;
}

static void note(struct node *node, const struct wire_batch_head *head, uint64_t received_ns)
{
	node->appended_seq = head->seq;
	node->epoch = head->epoch;
	node->epoch_known = true;
	node->policy_generation = head->policy_generation;
	node->last_seen_ns = received_ns;
}

/* Journal and worker, or neither. Takes item unless it answers INTAKE_PARKED. */
static enum intake_verdict take(struct intake *in, struct intake_item *item,
				const struct wire_batch_head *head)
{
	struct node *node = item->node;
	struct journal_record record = {
		.type = JOURNAL_BATCH,
		.received_ns = item->received_ns,
		.node = {.cluster = node->cluster, .node = node->name, .boot_id = item->boot_id},
		.payload = bytes_of(item->message, item->len),
	};
	uint64_t position = 0;

	if (reserve_waiting(in) < 0) {
		metric_add(in->no_memory, 1);
		intake_item_free(item);
		return INTAKE_NO_MEMORY;
	}
	if (!in->config.room(in->config.ctx, node) ||
	    journal_append(in->config.journal, &record, &position) < 0)
		return INTAKE_PARKED;
	if (node->appended_seq && head->seq > node->appended_seq + 1)
		metric_add(in->missing, head->seq - node->appended_seq - 1);
	note(node, head, item->received_ns);
	add_waiting(in, position, head->seq, node);
	metric_add(in->taken, 1);
	in->config.submit(in->config.ctx, item);
	return INTAKE_TAKEN;
}

static enum intake_verdict park(struct intake *in, struct listen_call *call, struct intake_item *item,
				const struct wire_batch_head *head)
{
	struct parked *p = calloc(1, sizeof(*p));

	if (!p) {
		metric_add(in->no_memory, 1);
		intake_item_free(item);
		return INTAKE_NO_MEMORY;
	}
	p->call = listen_call_ref(call);
	p->item = item;
	p->head = *head;
	p->head.node = NULL;
	*in->parked_tail = p;
	in->parked_tail = &p->next;
	metric_add(in->parked_total, 1);
	listen_pause(call);
	return INTAKE_PARKED;
}

enum intake_verdict intake_batch(struct intake *in, struct node *node, struct listen_call *call,
				 struct bytes message, const struct wire_batch_head *head,
				 uint64_t received_ns)
{
	enum intake_verdict verdict;
	struct intake_item *item;

	nodes_lock(in->config.nodes);
	verdict = judge(in, node, call, head);
	if (verdict == INTAKE_TAKEN) {
		item = intake_item_new(INTAKE_BATCH, node, node->boot_id, received_ns, message);
		verdict = item ? take(in, item, head) : INTAKE_NO_MEMORY;
		if (verdict == INTAKE_PARKED)
			verdict = park(in, call, item, head);
	}
	nodes_unlock(in->config.nodes);
	return verdict;
}

static void parked_free(struct parked *p)
{
	intake_item_free(p->item);
	listen_call_unref(p->call);
	free(p);
}

/* Lock held. True: it is dealt with. */
static bool unpark(struct intake *in, struct parked *p)
{
	enum intake_verdict verdict = judge(in, p->item->node, p->call, &p->head);

	if (verdict == INTAKE_TAKEN) {
		verdict = take(in, p->item, &p->head);
		if (verdict == INTAKE_PARKED)
			return false;
		p->item = NULL;
	}
	if (verdict == INTAKE_NO_MEMORY)
		listen_finish(p->call, LISTEN_UNAVAILABLE, "the collector has no memory: come back later");
	listen_resume(p->call);
	return true;
}

void intake_retry(struct intake *in)
{
	struct parked **at, *p;

	nodes_lock(in->config.nodes);
	at = &in->parked;
	while ((p = *at)) {
		if (!unpark(in, p)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		parked_free(p);
	}
	in->parked_tail = at;
	introduce_retry(in->introduce);
	nodes_unlock(in->config.nodes);
}

/* ---- agents that must send less; main thread ------------------------------------------------- */

/* Lock held. */
static void throttle(struct intake *in, struct node *node)
{
	node->calm_ticks = 0;
	if (node->throttled || !node->call)
		return;
	node->throttled = true;
	metric_add(in->throttles, 1);
	log_limited(LOG_LEVEL_WARNING, "detection is behind: node '%s' is told to send less", node->name);
	send_throttle(node, INTAKE_THROTTLED);
	if (node->listed)
		return;
	node->listed = true;
	node->next_throttled = in->throttled;
	in->throttled = node_ref(node);
}

/* Lock held. True: it need not be looked at again. */
static bool calm_down(struct intake *in, struct node *node)
{
	if (!node->throttled)
		return true;
	node->calm_ticks = in->config.room(in->config.ctx, node) ? node->calm_ticks + 1 : 0;
	if (node->calm_ticks < INTAKE_CALM_TICKS)
		return false;
	node->throttled = false;
	send_throttle(node, UINT32_MAX);
	return true;
}

void intake_tick(struct intake *in)
{
	struct node **at, *node;
	struct parked *p;

	nodes_lock(in->config.nodes);
	/* What an older stream has left says nothing of the present one. */
	for (p = in->parked; p; p = p->next)
		if (p->call == p->item->node->call && ++p->ticks >= INTAKE_THROTTLE_TICKS)
			throttle(in, p->item->node);
	at = &in->throttled;
	while ((node = *at)) {
		if (!calm_down(in, node)) {
			at = &node->next_throttled;
			continue;
		}
		*at = node->next_throttled;
		node->listed = false;
		node_unref(node);
	}
	nodes_unlock(in->config.nodes);
}

/* ---- the rest of a stream -------------------------------------------------------------------- */

void intake_hello(struct intake *in, struct node *node, struct listen_call *call,
		  Nightjar__V1__Hello *hello, uint64_t received_ns)
{
	struct listen_call *older;
	bool restarted;

	nodes_lock(in->config.nodes);
	/* Numbers that begin at 1 again are another agent's: the same boot does not make them the
	 * same batches. */
	restarted = strcmp(node->boot_id, hello->boot_id) != 0 || hello->resume_seq == 1;
	if (restarted) {
		(void)snprintf(node->boot_id, sizeof(node->boot_id), "%s", hello->boot_id);
		node->numbering++;
		node->appended_seq = node->synced_seq = 0;
		node->epoch_known = false;
	}
	node->throttled = false; /* a new stream begins at full speed */
	older = node->call;
	node->call = listen_call_ref(call);
	nodes_set_hello(in->config.nodes, node, hello);
	introduce_node(in->introduce, node, received_ns);
	node->last_seen_ns = received_ns;
	nodes_unlock(in->config.nodes);
	if (!older)
		return;
	listen_finish(older, LISTEN_UNAVAILABLE, "this node has opened a newer stream");
	listen_call_unref(older);
}

void intake_heartbeat(struct intake *in, struct node *node, const Nightjar__V1__Heartbeat *beat,
		      uint64_t received_ns)
{
	struct intake_item *item;

	nodes_lock(in->config.nodes);
	node->last_seen_ns = received_ns;
	node->rss_bytes = beat->rss_bytes;
	node->cpu_ns = beat->cpu_ns;
	nodes_count_lookups(in->config.nodes, node, beat->container_lookups);
	/* Only a hint of the time: a worker that is busy has better ones in its queue, and an agent
	 * whose batches wait gives none. */
	item = beat->boot_ns && in->config.room(in->config.ctx, node)
		       ? intake_item_new(INTAKE_HEARTBEAT, node, node->boot_id, received_ns,
					 (struct bytes){0})
		       : NULL;
	if (item) {
		item->wall_ns = beat->boot_ns + (uint64_t)beat->wall_offset_ns;
		in->config.submit(in->config.ctx, item);
	}
	nodes_unlock(in->config.nodes);
}

/* Lock held. */
static int take_metadata(struct intake *in, struct node *node, const struct journal_record *record)
{
	struct intake_item *item;
	uint64_t position = 0;
	int r = in->config.room(in->config.ctx, node) ? 0 : -EAGAIN;

	if (r < 0)
		return r;
	item = intake_item_new(INTAKE_METADATA, node, record->node.boot_id, record->received_ns, record->payload);
	if (!item)
		return -ENOMEM;
	r = journal_append(in->config.journal, record, &position);
	if (r < 0)
		intake_item_free(item);
	else
		in->config.submit(in->config.ctx, item);
	return r;
}

int intake_metadata(struct intake *in, const struct node_ref *ref, struct bytes message, uint64_t received_ns)
{
	struct node *node = nodes_get(in->config.nodes, ref->cluster, ref->node);
	const struct journal_record record = {
		.type = JOURNAL_METADATA, .received_ns = received_ns, .node = *ref, .payload = message};
	int r;

	if (!node)
		return -ENOMEM;
	nodes_lock(in->config.nodes);
	r = take_metadata(in, node, &record);
	nodes_unlock(in->config.nodes);
	node_unref(node);
	return r;
}

/* Lock held. */
static void forget_parked(struct intake *in, struct listen_call *call)
{
	struct parked **at = &in->parked, *p;

	while ((p = *at)) {
		if (p->call != call) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		parked_free(p);
	}
	in->parked_tail = at;
}

void intake_bye(struct intake *in, struct node *node, struct listen_call *call, uint64_t received_ns)
{
	bool present;

	nodes_lock(in->config.nodes);
	forget_parked(in, call);
	present = node->call == call;
	if (present) {
		node->call = NULL;
		node->last_seen_ns = received_ns;
	}
	nodes_unlock(in->config.nodes);
	if (present)
		listen_call_unref(call);
}

void intake_need_epoch(struct intake *in, struct node *node)
{
	nodes_lock(in->config.nodes);
	node->epoch_known = false;
	send_need_epoch(node, node->epoch);
	nodes_unlock(in->config.nodes);
}

void intake_set_policy(struct intake *in, struct bytes message, const char *const *wanted,
		       uint64_t received_ns)
{
	size_t count = 0, i;
	struct node **list = nodes_list(in->config.nodes, &count);

	nodes_lock(in->config.nodes);
	introduce_want(in->introduce, wanted);
	for (i = 0; list && i < count; i++) {
		if (list[i]->call)
			(void)!listen_send(list[i]->call, message);
		if (list[i]->call && list[i]->hello)
			introduce_node(in->introduce, list[i], received_ns);
	}
	nodes_unlock(in->config.nodes);
	if (list)
		nodes_list_free(list, count);
}

void intake_rotated(void *ctx)
{
	struct intake *in = (struct intake *)ctx;
	size_t count = 0, i;
	struct node **list = nodes_list(in->config.nodes, &count);

	for (i = 0; list && i < count; i++) {
		introduce_again(in->introduce, list[i]);
		intake_need_epoch(in, list[i]);
	}
	if (list)
		nodes_list_free(list, count);
}

static void replay_batch(struct intake *in, struct node *node, const struct journal_record *record,
			 const struct wire_batch_head *head)
{
	nodes_lock(in->config.nodes);
	note(node, head, record->received_ns);
	node->synced_seq = head->seq;
	nodes_unlock(in->config.nodes);
}

static void replay_item(struct intake *in, struct node *node, const struct journal_record *record)
{
	static const enum intake_kind kinds[] = {[JOURNAL_BATCH] = INTAKE_BATCH,
						 [JOURNAL_METADATA] = INTAKE_METADATA,
						 [JOURNAL_HELLO] = INTAKE_HELLO};
	enum intake_kind kind = kinds[record->type];
	struct intake_item *item = intake_item_new(kind, node, record->node.boot_id,
						   record->received_ns, record->payload);

	nodes_lock(in->config.nodes);
	(void)snprintf(node->boot_id, sizeof(node->boot_id), "%s", record->node.boot_id);
	nodes_unlock(in->config.nodes);
	if (item)
		in->config.submit(in->config.ctx, item);
	else
		metric_add(in->no_memory, 1);
}

/* The node of metadata that was kept in an earlier run; a later batch gives it its place. */
static void replay_metadata(struct intake *in, const struct journal_record *record)
{
	struct node *node = nodes_get(in->config.nodes, record->node.cluster, record->node.node);

	if (!node) {
		metric_add(in->no_memory, 1);
		return;
	}
	replay_item(in, node, record);
	node_unref(node);
}

void intake_replay(void *ctx, const struct journal_record *record)
{
	struct intake *in = (struct intake *)ctx;
	Nightjar__V1__Hello *hello = NULL;
	struct wire_batch_head head = {0};
	struct node *node = NULL;

	if (record->type == JOURNAL_METADATA)
		replay_metadata(in, record);
	if (record->type != JOURNAL_BATCH && record->type != JOURNAL_HELLO)
		return;
	arena_reset(in->arena);
	if (record->type == JOURNAL_HELLO)
		hello = introduce_unpack(record->payload);
	if (hello || (record->type == JOURNAL_BATCH &&
		      wire_peek_batch(record->payload, in->arena, &head) == 0))
		node = nodes_get(in->config.nodes, record->node.cluster, record->node.node);
	if (!node) {
		metric_add(in->unreadable, 1);
		nightjar__v1__hello__free_unpacked(hello, NULL);
		return;
	}
	if (hello)
		introduce_replay(in->introduce, node, record, hello);
	else
		replay_batch(in, node, record, &head);
	replay_item(in, node, record);
	node_unref(node);
}

/* ---- building ----------------------------------------------------------------------------------- */

static void register_counters(struct intake *in)
{
	static const char name[] = "nightjar_intake_batches_total";
	static const char help[] = "Batches that came in, by what became of them.";
	struct metrics *m = in->config.metrics;

	in->taken = metrics_counter(m, name, "result=\"taken\"", help);
	in->duplicate = metrics_counter(m, name, "result=\"duplicate\"", help);
	in->stale = metrics_counter(m, name, "result=\"unknown_epoch\"", help);
	in->superseded = metrics_counter(m, name, "result=\"older_stream\"", help);
	in->no_memory = metrics_counter(m, name, "result=\"no_memory\"", help);
	in->parked_total = metrics_counter(m, "nightjar_intake_parked_total", NULL,
					   "Batches that had to wait for a worker or for the disk.");
	in->throttles = metrics_counter(m, "nightjar_throttles_total", NULL,
					"Agents told to send less because detection was behind.");
	in->missing = metrics_counter(m, "nightjar_intake_batches_missing_total", NULL,
				      "Sequence numbers that agents have skipped.");
	in->unreadable =
		metrics_counter(m, "nightjar_journal_unreadable_total", NULL,
				"Records of the journal that are neither batch nor hello.");
}

int intake_new(const struct intake_config *config, struct intake **ret_intake, struct err *e)
{
	struct intake *in = calloc(1, sizeof(*in));

	if (in) {
		in->arena = arena_new(PEEK_ARENA_BYTES);
		in->introduce = introduce_new(config);
	}
	if (!in || !in->arena || !in->introduce) {
		intake_free(in);
		return err_set(e, -ENOMEM, "cannot start the intake: no memory");
	}
	in->config = *config;
	in->parked_tail = &in->parked;
	register_counters(in);
	*ret_intake = in;
	return 0;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	while (in->count > 0) {
		node_unref(in->waiting[in->first].node);
		in->first = (in->first + 1) % in->capacity;
		in->count--;
	}
	while (in->parked) {
		struct parked *p = in->parked;

		in->parked = p->next;
		parked_free(p);
	}
	while (in->throttled) {
		struct node *node = in->throttled;

		in->throttled = node->next_throttled;
		node_unref(node);
	}
	introduce_free(in->introduce);
	free(in->waiting);
	arena_free(in->arena);
	free(in);
}

struct nodes *intake_nodes(struct intake *in)
{
	return in->config.nodes;
}
