/* Scans that several pods or nodes of a workload share; see stage2.h.
 *
 * Observations wait in a heap per shard (1024, 1.5 KiB each; when it is full the earliest is
 * handled before its time, and counted). A workload's latest 512 distinct (address, port, source)
 * are kept, 256 workloads per shard. A scan that one process tree makes alone is stage 1's to
 * report: here it takes two sources, and what stage 1 has reported of a source is left out. */
#include "collector/stage2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "collector/detect/detectors.h"
#include "collector/entity/evicted.h"
#include "collector/entity/remote.h"
#include "collector/verdict.h"
#include "common/table.h"

#define WAITING_MAX 1024U
#define WORKLOADS   256U
#define PROBES	    512U

struct probe {
	uint64_t address;
	uint64_t source; /* hash of node, container and session */
	uint64_t wall_ns;
	uint64_t port;
};

struct workload_scan {
	struct probe probes[PROBES];
	uint32_t count;
	uint32_t next;
	char id[VERDICT_ID_SIZE];
	uint32_t revision;
	uint32_t next_report;
	uint64_t last_ns;
};

struct shard {
	struct observation *waiting; /* binary heap, the earliest first */
	uint32_t waiting_count;
	uint64_t advanced_ns;
	struct table *workloads;
};

struct stage2 {
	struct detect_options options;
	void (*alert)(void *ctx, struct alert *alert);
	void *ctx;
	struct shard *shards[STAGE2_SHARDS];
	struct metric *observations;
	struct metric *late;
	struct metric *crowded;
	struct metric *dropped;
	struct metric *evicted_workloads;
	struct metric *evicted_probes;
};

static void shard_free(struct shard *shard)
{
	if (!shard)
		return;
	table_free(shard->workloads);
	free(shard->waiting);
	free(shard);
}

DEFINE_CLEANUP(struct shard *, shard_free)

static struct shard *shard_new(void)
{
	_cleanup_(shard_freep) struct shard *shard = calloc(1, sizeof(*shard));

	if (!shard)
		return NULL;
	shard->waiting = calloc(WAITING_MAX, sizeof(*shard->waiting));
	shard->workloads =
		table_new(&(struct table_config){.key_size = STAGE2_KEY_MAX,
						 .record_size = sizeof(struct workload_scan),
						 .capacity = WORKLOADS});
	return shard->waiting && shard->workloads ? take_ptr(shard) : NULL;
}

struct stage2 *stage2_new(const struct detect_options *options,
			  void (*alert)(void *ctx, struct alert *alert), void *ctx,
			  struct metrics *metrics)
{
	static const char name[] = "nightjar_stage2_irregular_total";
	static const char help[] = "Observations that were not handled in their order.";
	static const char evicted[] = "nightjar_state_evicted_total";
	static const char evicted_help[] = "State that made room for newer, by table.";
	struct stage2 *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = *options;
	s->alert = alert;
	s->ctx = ctx;
	s->observations = metrics_counter(metrics, "nightjar_stage2_observations_total", NULL,
					  "Observations that stage 2 was fed.");
	s->late = metrics_counter(metrics, name, "reason=\"late\"", help);
	s->crowded = metrics_counter(metrics, name, "reason=\"crowded\"", help);
	s->dropped = metrics_counter(metrics, name, "reason=\"memory\"", help);
	s->evicted_workloads =
		metrics_counter(metrics, evicted, "table=\"scan_workloads\"", evicted_help);
	s->evicted_probes =
		metrics_counter(metrics, evicted, "table=\"scan_workload_targets\"", evicted_help);
	return s;
}

void stage2_free(struct stage2 *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < STAGE2_SHARDS; i++)
		shard_free(s->shards[i]);
	free(s);
}

uint32_t stage2_shard(const char *key)
{
	return (uint32_t)(XXH3_64bits(key, strlen(key)) % STAGE2_SHARDS);
}

/* (event time, node, seq) */
static bool is_before(const struct observation *a, const struct observation *b)
{
	int order;

	if (a->wall_ns != b->wall_ns)
		return a->wall_ns < b->wall_ns;
	order = strcmp(a->node, b->node);
	return order != 0 ? order < 0 : a->seq < b->seq;
}

static void swap(struct observation *a, struct observation *b)
{
	struct observation t = *a;

	*a = *b;
	*b = t;
}

static void push(struct shard *shard, const struct observation *o)
{
	struct observation *heap = shard->waiting;
	uint32_t i = shard->waiting_count++;

	heap[i] = *o;
	for (; i > 0 && is_before(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&heap[i], &heap[(i - 1) / 2]);
}

static struct observation pop(struct shard *shard)
{
	struct observation *heap = shard->waiting, first = heap[0];
	uint32_t n = --shard->waiting_count, i = 0;

	heap[0] = heap[n];
	for (;;) {
		uint32_t least = i, left = 2 * i + 1;

		if (left < n && is_before(&heap[left], &heap[least]))
			least = left;
		if (left + 1 < n && is_before(&heap[left + 1], &heap[least]))
			least = left + 1;
		if (least == i)
			return first;
		swap(&heap[i], &heap[least]);
		i = least;
	}
}

static uint64_t source_of(const struct observation *o)
{
	uint64_t seed = XXH3_64bits_withSeed(o->node, strlen(o->node), o->session);

	return XXH3_64bits_withSeed(o->container_id, strlen(o->container_id), seed);
}

static void leave_out(struct workload_scan *w, uint64_t source)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->count; i++)
		if (w->probes[i].source != source)
			w->probes[n++] = w->probes[i];
	w->count = n;
	w->next = 0;
}

/* True when another made room for it. */
static bool remember(struct workload_scan *w, const struct probe *probe)
{
	for (uint32_t i = 0; i < w->count; i++) {
		struct probe *p = &w->probes[i];

		if (p->address != probe->address || p->port != probe->port ||
		    p->source != probe->source)
			continue;
		p->wall_ns = probe->wall_ns;
		return false;
	}
	if (w->count < PROBES) {
		w->probes[w->count++] = *probe;
		return false;
	}
	w->probes[w->next] = *probe;
	w->next = (w->next + 1) % PROBES;
	return true;
}

static bool seen_before(const struct workload_scan *w, uint32_t end, const struct probe *p,
			uint64_t since)
{
	for (uint32_t i = 0; i < end; i++) {
		const struct probe *q = &w->probes[i];

		if (q->wall_ns >= since && q->address == p->address && q->port == p->port)
			return true;
	}
	return false;
}

struct extent {
	uint32_t addresses;
	uint32_t ports;
	bool shared; /* more than one source */
};

/* The same target from two sources is one target. */
static struct extent extent_of(const struct workload_scan *w, const struct probe *of,
			       uint64_t window_ns)
{
	uint64_t since = of->wall_ns > window_ns ? of->wall_ns - window_ns : 0;
	struct extent n = {0};

	for (uint32_t i = 0; i < w->count; i++) {
		const struct probe *p = &w->probes[i];
		bool same_port = p->port == of->port, same_address = p->address == of->address;

		if (p->wall_ns < since || (!same_port && !same_address))
			continue;
		n.shared |= p->source != of->source;
		if (seen_before(w, i, p, since))
			continue;
		n.addresses += same_port;
		n.ports += same_address;
	}
	return n;
}

static struct alert *begin(const struct observation *o)
{
	struct verdict_event event = {
		.cluster = o->cluster,
		.node = o->node,
		.boot_id = o->boot_id,
		.seq = o->seq,
		.wall_ns = o->wall_ns,
		.exec_id = o->exec_id ^ 1, /* not the id of stage 1's alert */
	};

	return verdict_new(&lateral_scan_detector, &event);
}

static void report(struct stage2 *s, struct workload_scan *w, const struct observation *o,
		   struct extent n)
{
	uint32_t targets = n.addresses > n.ports ? n.addresses : n.ports;
	struct alert *a = begin(o);
	char ip[REMOTE_TEXT_MAX];

	if (!a)
		return;
	a->msg.count = targets;
	if (w->id[0])
		verdict_revise(a, w->id, ++w->revision, targets);
	else
		(void)snprintf(w->id, sizeof(w->id), "%s", a->msg.id);
	w->next_report = targets * 2;
	remote_format_ip(o->family, o->remote_ip, ip);
	verdict_place(a, o->namespace, o->workload, "");
	verdict_evidence(a, "addresses_on_port", "%u", n.addresses);
	verdict_evidence(a, "ports_of_address", "%u", n.ports);
	verdict_evidence(a, "latest_target", "%s port %u", ip, o->remote_port);
	verdict_output(a, "pods of %s/%s together tried %u %s within %u s", o->namespace,
		       o->workload, targets,
		       n.addresses >= n.ports ? "addresses on one port" : "ports of one address",
		       (unsigned int)(s->options.scan.window_ns / 1000000000ULL));
	verdict_step(a, o->wall_ns, "connect", o->exec_id, "%s (%u) in %s on %s tried %s port %u",
		     o->exe, o->pid, o->pod, o->node, ip, o->remote_port);
	s->alert(s->ctx, a);
}

static struct workload_scan *workload(struct stage2 *s, struct shard *shard, const char *key)
{
	uint64_t before = evicted_of(shard->workloads);
	struct workload_scan *w = table_put(shard->workloads, key, NULL);

	metric_add(s->evicted_workloads, evicted_of(shard->workloads) - before);
	return w;
}

static void handle(struct stage2 *s, struct shard *shard, const struct observation *o)
{
	struct workload_scan *w = workload(s, shard, o->key);
	struct probe probe = {.address = remote_party(o->family, o->remote_ip),
			      .source = source_of(o),
			      .wall_ns = o->wall_ns,
			      .port = o->remote_port};
	struct extent n;

	if (o->kind == OBSERVATION_CONNECT_EXPLAINED) {
		leave_out(w, probe.source);
		return;
	}
	metric_add(s->evicted_probes, remember(w, &probe));
	n = extent_of(w, &probe, s->options.scan.window_ns);
	if (!n.shared ||
	    (n.addresses < s->options.scan.addresses && n.ports < s->options.scan.ports))
		return;
	if (w->id[0] && w->last_ns + s->options.repeat_window_ns < o->wall_ns)
		w->id[0] = '\0';
	w->last_ns = o->wall_ns;
	if (!w->id[0] || (n.addresses > n.ports ? n.addresses : n.ports) >= w->next_report)
		report(s, w, o, n);
}

void stage2_feed(struct stage2 *s, uint32_t shard_number, const struct observation *observation)
{
	uint32_t number = shard_number % STAGE2_SHARDS;
	struct shard *shard = s->shards[number];

	metric_add(s->observations, 1);
	if (!shard)
		shard = s->shards[number] = shard_new();
	if (!shard) {
		metric_add(s->dropped, 1);
		return;
	}
	if (observation->wall_ns <= shard->advanced_ns)
		metric_add(s->late, 1);
	if (shard->waiting_count == WAITING_MAX) {
		struct observation first = pop(shard);

		metric_add(s->crowded, 1);
		handle(s, shard, &first);
	}
	push(shard, observation);
}

void stage2_advance(struct stage2 *s, uint32_t shard_number, uint64_t wall_ns)
{
	struct shard *shard = s->shards[shard_number % STAGE2_SHARDS];

	if (!shard)
		return;
	while (shard->waiting_count && shard->waiting[0].wall_ns <= wall_ns) {
		struct observation first = pop(shard);

		handle(s, shard, &first);
	}
	if (wall_ns > shard->advanced_ns)
		shard->advanced_ns = wall_ns;
}
