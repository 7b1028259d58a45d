/* Nodes are listed by name; a page's token is the place in that order, so a page is found again
 * when nodes have come or gone, within the shift that this makes. */
#include "collector/api/fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/api/api.h"
#include "common/wire.h"
#include "nightjar/v1/query.pb-c.h"

#define PAGE_DEFAULT 100U
#define PAGE_MAX     1000U
#define STATS_MAX    1024U

struct fleet {
	struct nodes *nodes;
	struct metrics *metrics;
	struct listen_method methods[4];
};

/* A nested message as field `number` of the one that out holds. */
static int add_node(struct buf *out, struct nodes *nodes, struct node *node)
{
	_cleanup_buf_ struct buf one = {0};
	int r = nodes_pack(nodes, node, &one);
	size_t len = one.len;

	if (r < 0)
		return r;
	buf_add_byte(out, 1 << 3 | 2); /* ListNodesResponse.nodes */
	for (; len >= 0x80; len >>= 7)
		buf_add_byte(out, (uint8_t)(len | 0x80));
	buf_add_byte(out, (uint8_t)len);
	buf_add(out, one.data, one.len);
	return buf_error(out);
}

static int add_token(struct buf *out, size_t next)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%zu", next);

	buf_add_byte(out, 2 << 3 | 2); /* ListNodesResponse.next_page_token */
	buf_add_byte(out, (uint8_t)len);
	buf_add(out, text, (size_t)len);
	return buf_error(out);
}

/* The page's place; -EINVAL for a token that is not ours. */
static int read_token(const char *token, size_t *ret_from)
{
	char *end;
	unsigned long from;

	if (token[0] == '\0') {
		*ret_from = 0;
		return 0;
	}
	errno = 0;
	from = strtoul(token, &end, 10);
	if (token[0] < '0' || token[0] > '9' || *end != '\0' || errno != 0)
		return -EINVAL;
	*ret_from = from;
	return 0;
}

static int build_page(struct fleet *f, size_t from, size_t size, struct buf *out)
{
	size_t count = 0, i;
	struct node **list = nodes_list(f->nodes, &count);
	int r = list ? 0 : -ENOMEM;

	for (i = from; r == 0 && i < count && i - from < size; i++)
		r = add_node(out, f->nodes, list[i]);
	if (r == 0 && i < count)
		r = add_token(out, i);
	if (list)
		nodes_list_free(list, count);
	return r;
}

static void answer(struct listen_call *call, int r, struct buf *out)
{
	if (r == 0)
		r = listen_send(call, buf_bytes(out));
	if (r == 0)
		listen_finish(call, LISTEN_OK, "");
	else
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "the answer is too large: ask for less");
}

static void list_nodes(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct fleet *f = (struct fleet *)ctx;
	Nightjar__V1__ListNodesRequest *request =
		nightjar__v1__list_nodes_request__unpack(NULL, message.len, message.data);
	_cleanup_buf_ struct buf out = buf_with_max(WIRE_MESSAGE_MAX);
	size_t from = 0;

	(void)state;
	if (!request) {
		listen_finish(call, LISTEN_INVALID_ARGUMENT, "the message is no ListNodesRequest");
		return;
	}
	if (request->page_size > PAGE_MAX)
		listen_finish(call, LISTEN_INVALID_ARGUMENT, "page_size is 1 to 1000");
	else if (read_token(request->page_token, &from) < 0)
		listen_finish(call, LISTEN_INVALID_ARGUMENT, "page_token is not one of ours");
	else
		answer(call,
		       build_page(f, from, request->page_size ? request->page_size : PAGE_DEFAULT, &out),
		       &out);
	nightjar__v1__list_nodes_request__free_unpacked(request, NULL);
}

static void get_node(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct fleet *f = (struct fleet *)ctx;
	Nightjar__V1__GetNodeRequest *request =
		nightjar__v1__get_node_request__unpack(NULL, message.len, message.data);
	_cleanup_buf_ struct buf out = buf_with_max(WIRE_MESSAGE_MAX);
	struct node *node;

	(void)state;
	if (!request) {
		listen_finish(call, LISTEN_INVALID_ARGUMENT, "the message is no GetNodeRequest");
		return;
	}
	node = nodes_find(f->nodes, request->name);
	if (node) {
		answer(call, nodes_pack(f->nodes, node, &out), &out);
		node_unref(node);
	} else {
		listen_finish(call, LISTEN_NOT_FOUND, "no node of that name has spoken");
	}
	nightjar__v1__get_node_request__free_unpacked(request, NULL);
}

struct stats {
	Nightjar__V1__StatsResponse__CountersEntry entries[STATS_MAX];
	Nightjar__V1__StatsResponse__CountersEntry *pointers[STATS_MAX];
	char *names[STATS_MAX];
	size_t count;
};

static void add_counter(void *ctx, const char *name, uint64_t value)
{
	struct stats *s = (struct stats *)ctx;
	Nightjar__V1__StatsResponse__CountersEntry *entry = &s->entries[s->count];

	if (s->count == STATS_MAX)
		return;
	nightjar__v1__stats_response__counters_entry__init(entry);
	s->names[s->count] = strdup(name);
	if (!s->names[s->count])
		return;
	entry->key = s->names[s->count];
	entry->value = value;
	s->pointers[s->count++] = entry;
}

static void get_stats(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct fleet *f = (struct fleet *)ctx;
	Nightjar__V1__StatsResponse response = NIGHTJAR__V1__STATS_RESPONSE__INIT;
	_cleanup_(freep) struct stats *s = calloc(1, sizeof(*s));
	size_t i;

	(void)state;
	(void)message;
	if (!s) {
		listen_finish(call, LISTEN_UNAVAILABLE, "the collector has no memory");
		return;
	}
	metrics_each(f->metrics, add_counter, s);
	response.counters = s->pointers;
	response.n_counters = s->count;
	api_answer(call, &response.base);
	for (i = 0; i < s->count; i++)
		free(s->names[i]);
}

struct fleet *fleet_new(struct nodes *nodes, struct metrics *metrics)
{
	struct fleet *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->nodes = nodes;
	f->metrics = metrics;
	f->methods[0] = (struct listen_method){.path = "/nightjar.v1.Fleet/ListNodes",
					       .roles = API_READERS,
					       .message = list_nodes,
					       .ctx = f};
	f->methods[1] = (struct listen_method){.path = "/nightjar.v1.Fleet/GetNode",
					       .roles = API_READERS,
					       .message = get_node,
					       .ctx = f};
	f->methods[2] = (struct listen_method){.path = "/nightjar.v1.Fleet/Stats",
					       .roles = API_READERS,
					       .message = get_stats,
					       .ctx = f};
	return f;
}

void fleet_free(struct fleet *f)
{
	free(f);
}

const struct listen_method *fleet_methods(struct fleet *f)
{
	return f->methods;
}
