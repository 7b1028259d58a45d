/* What is new of a Hello, on its way to journal and worker; see introduce.h. A packed Hello is
 * below 64 KiB, a usual one 2 KiB. */
#include "collector/ingest/introduce.h"

#include <stdlib.h>

struct introduce {
	struct intake_config config;
	struct metric *no_memory;
	struct intake_item *waiting; /* for room, newest first */
};

struct introduce *introduce_new(const struct intake_config *config)
{
	struct introduce *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->config = *config;
	in->no_memory =
		metrics_counter(config->metrics, "nightjar_hellos_lost_total", NULL,
				"Hellos that found no memory on their way to the detection.");
	return in;
}

void introduce_free(struct introduce *in)
{
	while (in && in->waiting) {
		struct intake_item *item = in->waiting;

		in->waiting = item->next;
		intake_item_free(item);
	}
	free(in);
}

void introduce_want(struct introduce *in, const char *const *wanted)
{
	in->config.wanted = wanted;
}

/* Under the names of the certificate, with what is wanted, without what is of one stream only. */
static int pack_hello(struct introduce *in, const struct node *node, struct buf *out)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = *node->hello;
	uint8_t *room;

	hello.cluster = (char *)(uintptr_t)node->cluster;
	hello.node = (char *)(uintptr_t)node->name;
	hello.resume_seq = 0;
	hello.wanted = (char **)(uintptr_t)in->config.wanted;
	hello.n_wanted = 0;
	while (in->config.wanted && in->config.wanted[hello.n_wanted])
		hello.n_wanted++;
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	room = buf_extend(out, nightjar__v1__agent_message__get_packed_size(&message));
	if (room)
		(void)nightjar__v1__agent_message__pack(&message, room);
	return buf_error(out);
}

static struct bytes introduction(const struct node *node)
{
	return bytes_of(node->introduction, node->introduction_len);
}

static int journal_hello(struct introduce *in, const struct intake_item *item)
{
	const struct node *node = item->node;
	const struct journal_record record = {
		.type = JOURNAL_HELLO,
		.received_ns = item->received_ns,
		.node = {.cluster = node->cluster, .node = node->name, .boot_id = item->boot_id},
		.payload = bytes_of(item->message, item->len),
	};
	uint64_t position;

	return journal_append(in->config.journal, &record, &position);
}

/* Journal and worker, or neither. */
static bool take_hello(struct introduce *in, struct intake_item *item)
{
	if (!in->config.room(in->config.ctx, item->node) || journal_hello(in, item) < 0)
		return false;
	in->config.submit(in->config.ctx, item);
	return true;
}

void introduce_retry(struct introduce *in)
{
	struct intake_item **at = &in->waiting, *item;

	while ((item = *at)) {
		struct intake_item *next = item->next;

		if (take_hello(in, item))
			*at = next;
		else
			at = &item->next;
	}
}

/* A node has one that waits at most, the newest. */
static void hold_hello(struct introduce *in, struct intake_item *item)
{
	struct intake_item **at = &in->waiting;

	while (*at && (*at)->node != item->node)
		at = &(*at)->next;
	item->next = *at ? (*at)->next : NULL;
	if (*at)
		intake_item_free(*at);
	*at = item;
}

static bool is_held(const struct introduce *in, const struct node *node)
{
	const struct intake_item *item = in->waiting;

	while (item && item->node != node)
		item = item->next;
	return item;
}

static void pass_on(struct introduce *in, struct node *node)
{
	struct intake_item *item = intake_item_new(INTAKE_HELLO, node, node->boot_id,
						   node->introduced_ns, introduction(node));

	if (!item) {
		metric_add(in->no_memory, 1);
		return;
	}
	hold_hello(in, item);
	introduce_retry(in);
}

/* Keeps what the node says of itself now. False: nothing new. */
static bool note_hello(struct introduce *in, struct node *node, uint64_t received_ns)
{
	_cleanup_buf_ struct buf packed = {0};

	if (pack_hello(in, node, &packed) < 0 ||
	    bytes_equal(buf_bytes(&packed), introduction(node)))
		return false;
	free(node->introduction);
	node->introduction_len = packed.len;
	node->introduction = take_ptr(packed.data);
	node->introduced_ns = received_ns;
	return true;
}

void introduce_node(struct introduce *in, struct node *node, uint64_t received_ns)
{
	if (note_hello(in, node, received_ns))
		pass_on(in, node);
}

void introduce_again(struct introduce *in, struct node *node)
{
	struct intake_item *item;

	nodes_lock(in->config.nodes);
	item = node->introduction ? intake_item_new(INTAKE_HELLO, node, node->boot_id,
						    node->introduced_ns, introduction(node))
				  : NULL;
	if (item && !is_held(in, node) && journal_hello(in, item) < 0)
		hold_hello(in, item);
	else
		intake_item_free(item);
	nodes_unlock(in->config.nodes);
}

Nightjar__V1__Hello *introduce_unpack(struct bytes payload)
{
	Nightjar__V1__AgentMessage *message =
		nightjar__v1__agent_message__unpack(NULL, payload.len, payload.data);
	Nightjar__V1__Hello *hello = NULL;

	if (message && message->body_case == NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO) {
		hello = take_ptr(message->hello);
		message->body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY__NOT_SET;
	}
	nightjar__v1__agent_message__free_unpacked(message, NULL);
	return hello;
}

void introduce_replay(struct introduce *in, struct node *node, const struct journal_record *record,
		      Nightjar__V1__Hello *hello)
{
	uint8_t *copy = malloc(record->payload.len);

	nodes_lock(in->config.nodes);
	nodes_set_hello(in->config.nodes, node, hello);
	if (copy) {
		memcpy(copy, record->payload.data, record->payload.len);
		free(node->introduction);
		node->introduction = copy;
		node->introduction_len = record->payload.len;
		node->introduced_ns = record->received_ns;
	}
	nodes_unlock(in->config.nodes);
}
