/* The tables of a shard and how each event changes them; see entities.h. */
#include "collector/entity/entities.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

static struct table *make(size_t key, size_t record, uint32_t capacity)
{
	return table_new(&(struct table_config){
		.key_size = key, .record_size = record, .capacity = capacity});
}

static bool make_tables(struct entities *en)
{
	en->nodes = make(sizeof(XXH128_hash_t), sizeof(struct node_state), ENTITIES_NODES);
	en->endpoints = table_new(&(struct table_config){
		.key_size = sizeof(struct endpoint_key),
		.record_size = sizeof(struct endpoint_object),
		.capacity = ENTITIES_ENDPOINTS,
		.keep = endpoint_keep,
	});
	en->tuples = make(48, sizeof(struct endpoint_key), ENTITIES_TUPLES);
	en->listeners = make(16, sizeof(struct process_key), ENTITIES_LISTENERS);
	en->workloads = make(sizeof(uint64_t), sizeof(struct workload), ENTITIES_WORKLOADS);
	en->pids = make(8, sizeof(uint64_t), ENTITIES_LIVE + ENTITIES_EXITED);
	en->live = table_new(&(struct table_config){
		.key_size = sizeof(struct process_key),
		.record_size = sizeof(struct process),
		.capacity = ENTITIES_LIVE,
		.keep = process_keep_live,
		.gone = process_gone,
		.ctx = en,
	});
	en->exited = table_new(&(struct table_config){
		.key_size = sizeof(struct process_key),
		.record_size = offsetof(struct process, fds),
		.capacity = ENTITIES_EXITED,
		.keep = process_keep_exited,
		.gone = process_gone,
		.ctx = en,
	});
	return en->nodes && en->endpoints && en->tuples && en->listeners && en->workloads &&
	       en->pids && en->live && en->exited;
}

struct entities *entities_new(void)
{
	_cleanup_(entities_freep) struct entities *en = calloc(1, sizeof(*en));

	return en && make_tables(en) ? take_ptr(en) : NULL;
}

/* Processes first: their going looks at the endpoints. */
void entities_free(struct entities *en)
{
	if (!en)
		return;
	table_free(en->live);
	table_free(en->exited);
	table_free(en->pids);
	table_free(en->endpoints);
	table_free(en->tuples);
	table_free(en->listeners);
	table_free(en->workloads);
	table_free(en->nodes);
	free(en);
}

struct node_state *entities_node(struct entities *en, const struct node_ref *ref)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%s\n%s\n%s", ref->cluster, ref->node, ref->boot_id);
	XXH128_hash_t key =
		XXH3_128bits(text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
	bool is_new;
	struct node_state *node = table_put(en->nodes, &key, &is_new);

	if (!is_new)
		return node;
	node->id = ++en->node_count;
	(void)snprintf(node->cluster, sizeof(node->cluster), "%s", ref->cluster);
	(void)snprintf(node->node, sizeof(node->node), "%s", ref->node);
	(void)snprintf(node->boot_id, sizeof(node->boot_id), "%s", ref->boot_id);
	return node;
}

static void on_socket(struct entities *en, struct process *p, const struct event *event,
		      uint32_t flags)
{
	const struct endpoint *e = &event->endpoints[0];
	struct endpoint_object *o;

	descriptor_add(en, p, e);
	o = endpoint_seen(en, p->key.node, e);
	o->flags |= flags;
	if (event->kind == EVENT_KIND_CONNECT)
		o->connect_ns = event->time_ns;
	if (flags & ENDPOINT_ESTABLISHED)
		o->established_ns = event->time_ns;
	if (e->kind == ENDPOINT_KIND_TCP)
		remote_seen(en, o, p);
}

/* A socket that the exec listed: it may be older than what we saw of it. */
static void after_exec(struct entities *en, struct process *p, const struct event *event)
{
	for (uint16_t i = 0; i < event->endpoint_count; i++) {
		struct endpoint_key key = endpoint_key_of(p->key.node, &event->endpoints[i]);
		struct endpoint_object *o = endpoint_find(en, &key);

		if (!o || event->endpoints[i].kind != ENDPOINT_KIND_TCP)
			continue;
		if (o->flags & ENDPOINT_ACCEPTED)
			p->marks |= PROCESS_ACCEPTED;
		remote_seen(en, o, p);
	}
}

static bool needs_endpoint(enum event_kind kind)
{
	return kind == EVENT_KIND_CONNECT || kind == EVENT_KIND_ESTABLISHED ||
	       kind == EVENT_KIND_LISTEN || kind == EVENT_KIND_ACCEPT;
}

static void apply_to(struct entities *en, struct process *p, const struct event *event)
{
	switch (event->kind) {
	case EVENT_KIND_FORK:
		if (event->child)
			process_fork(en, p, event->child);
		break;
	case EVENT_KIND_EXEC:
		process_exec(en, p, event);
		after_exec(en, p, event);
		break;
	case EVENT_KIND_CONNECT:
		on_socket(en, p, event, ENDPOINT_OUTGOING);
		break;
	case EVENT_KIND_ESTABLISHED:
		on_socket(en, p, event, ENDPOINT_OUTGOING | ENDPOINT_ESTABLISHED);
		break;
	case EVENT_KIND_LISTEN:
		on_socket(en, p, event, ENDPOINT_LISTENING);
		break;
	case EVENT_KIND_ACCEPT:
		if (event->endpoints[0].kind == ENDPOINT_KIND_TCP)
			p->marks |= PROCESS_ACCEPTED;
		on_socket(en, p, event, ENDPOINT_ACCEPTED | ENDPOINT_ESTABLISHED);
		break;
	case EVENT_KIND_OPEN:
	case EVENT_KIND_DUP:
	case EVENT_KIND_PIPE:
		for (uint16_t i = 0; i < event->endpoint_count; i++)
			descriptor_add(en, p, &event->endpoints[i]);
		break;
	case EVENT_KIND_CRED:
		if (event->result >= 0) {
			p->marks |= PROCESS_CRED;
			p->uid = event->creds.uid;
			p->euid = event->creds.euid;
		}
		break;
	default:
		break;
	}
}

/* The end of a connection may be reported after its owner's; it must not bring that one back. */
struct process *entities_apply(struct entities *en, uint32_t node, const struct event *event)
{
	bool end = event->kind == EVENT_KIND_EXIT || event->kind == EVENT_KIND_CLOSE ||
		   event->kind == EVENT_KIND_ESTABLISHED;
	struct process *p = process_get(en, node, event->process);

	/* An exec takes its image in by itself. */
	if (!p ? !end : !end && event->kind != EVENT_KIND_EXEC)
		p = process_seen(en, node, event->process);
	if (p && !(needs_endpoint(event->kind) && event->endpoint_count == 0))
		apply_to(en, p, event);
	return p;
}

void entities_after(struct entities *en, uint32_t node, struct process *p,
		    const struct event *event)
{
	struct endpoint_key key;

	if (event->kind == EVENT_KIND_EXIT && p)
		process_exit(en, p);
	if (event->kind == EVENT_KIND_CLOSE && event->endpoint_count) {
		key = endpoint_key_of(node, &event->endpoints[0]);
		endpoint_close(en, &key);
	}
}

void entities_stats(const struct entities *en, struct entities_stats *ret_stats)
{
	const struct table *const tables[] = {
		[EVICTED_NODES] = en->nodes,	     [EVICTED_PROCESSES] = en->live,
		[EVICTED_EXITED] = en->exited,	     [EVICTED_PIDS] = en->pids,
		[EVICTED_ENDPOINTS] = en->endpoints, [EVICTED_TUPLES] = en->tuples,
		[EVICTED_LISTENERS] = en->listeners, [EVICTED_WORKLOADS] = en->workloads,
	};
	struct table_stats s[sizeof(tables) / sizeof(tables[0])];

	*ret_stats = (struct entities_stats){0};
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		table_stats(tables[i], &s[i]);
		ret_stats->evicted.of[i] = s[i].evicted;
		ret_stats->evicted_kept += s[i].evicted_kept;
	}
	ret_stats->evicted.of[EVICTED_HOLDERS] = en->holders_evicted;
	ret_stats->evicted.of[EVICTED_DESCRIPTORS] = en->descriptors_evicted;
	ret_stats->live = s[EVICTED_PROCESSES].count;
	ret_stats->exited = s[EVICTED_EXITED].count;
	ret_stats->endpoints = s[EVICTED_ENDPOINTS].count;
}
