/* Judging coverage and losses; see node_health.h. Nodes are known by a hash of cluster and name:
 * both come from certificates. Nothing is kept of a node that is well. */
#include "collector/node_health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "collector/verdict.h"
#include "common/capture_class.h"
#include "common/table.h"

#define FINDINGS 4096U
#define NODES	 1024U
#define REASON	 "the agent does not know this class"

enum coverage_state { STATE_FULL, STATE_DEGRADED, STATE_MISSING };

static const char *const none[] = {NULL};

static const struct detector coverage_degraded = {
	.name = "coverage_degraded",
	.title = "Capture is incomplete",
	.help = "A node cannot see some class of events that is wanted, or sees less than before.",
	.kind = "health",
	.severity = "medium",
	.score = 0.5,
	.tactics = none,
	.techniques = none,
};

static const struct detector events_lost = {
	.name = "events_lost",
	.title = "Events were lost",
	.help = "A node has lost so many events that an attack may have gone unseen.",
	.kind = "health",
	.severity = "medium",
	.score = 0.5,
	.tactics = none,
	.techniques = none,
};

struct node_key {
	uint64_t low, high;
};

struct finding_key {
	struct node_key node;
	uint64_t class; /* CAPTURE_CLASS_MAX: one that this side does not know */
	uint64_t lost;	/* 1: events_lost, 0: coverage_degraded */
};

struct finding {
	char id[VERDICT_ID_SIZE]; /* "": not reported yet */
	uint8_t state;		  /* coverage */
	bool wanted;		  /* it was opened because the class is */
	uint32_t revision;
	uint64_t count; /* lost */
	uint64_t next_report;
	uint64_t last_ns;
};

struct node_health {
	const struct detect_options *options;
	const struct stage1_out *out;
	struct table *findings; /* finding_key → finding */
	struct table *nodes; /* node_key → uint8_t[CAPTURE_CLASS_MAX], what its last Hello said */
};

/* What an alert says. */
struct report {
	const struct detector *rule;
	const struct node_ref *node;
	const char *class;
	const char *reason;
	uint64_t received_ns;
};

struct node_health *node_health_new(const struct detect_options *options,
				    const struct stage1_out *out)
{
	_cleanup_(node_health_freep) struct node_health *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->options = options;
	h->out = out;
	h->findings = table_new(&(struct table_config){.key_size = sizeof(struct finding_key),
						       .record_size = sizeof(struct finding),
						       .capacity = FINDINGS});
	h->nodes = table_new(&(struct table_config){.key_size = sizeof(struct node_key),
						    .record_size = CAPTURE_CLASS_MAX,
						    .capacity = NODES});
	return h->findings && h->nodes ? take_ptr(h) : NULL;
}

void node_health_free(struct node_health *h)
{
	if (!h)
		return;
	table_free(h->findings);
	table_free(h->nodes);
	free(h);
}

uint64_t node_health_evicted(const struct node_health *h)
{
	struct table_stats stats;

	table_stats(h->findings, &stats);
	return stats.evicted;
}

static struct node_key key_of(const struct node_ref *node)
{
	uint64_t seed = XXH3_64bits(node->cluster, strlen(node->cluster));
	XXH128_hash_t hash = XXH3_128bits_withSeed(node->node, strlen(node->node), seed);

	return (struct node_key){.low = hash.low64, .high = hash.high64};
}

static struct finding_key finding_key(const struct node_ref *node, const char *class, bool lost)
{
	int number = capture_class_find(class);

	return (struct finding_key){.node = key_of(node),
				    .class = number < 0 ? CAPTURE_CLASS_MAX : (uint64_t)number,
				    .lost = lost};
}

/* The boot is left out: what a node cannot see outlasts a restart, and is one alert. */
static struct alert *alert_of(const struct report *r, struct finding *f)
{
	const struct verdict_event event = {
		.cluster = r->node->cluster,
		.node = r->node->node,
		.boot_id = "",
		.wall_ns = r->received_ns,
		.received_ns = r->received_ns,
		.exec_id = XXH3_64bits(r->class, strlen(r->class)),
	};
	struct alert *a = verdict_new(r->rule, &event);

	if (!a)
		return NULL;
	if (f->id[0])
		verdict_revise(a, f->id, ++f->revision, 1);
	else
		(void)snprintf(f->id, sizeof(f->id), "%s", a->msg.id);
	verdict_field(a, "node", "%s", r->node->node);
	verdict_field(a, "class", "%s", r->class);
	verdict_field(a, "reason", "%s", r->reason);
	return a;
}

/* ---- coverage ---- */

/* A state that this side does not know is not full. */
static enum coverage_state state_of(const char *state)
{
	if (strcmp(state, "full") == 0)
		return STATE_FULL;
	return strcmp(state, "missing") == 0 ? STATE_MISSING : STATE_DEGRADED;
}

static const char *state_name(enum coverage_state state)
{
	static const char *const names[] = {"full", "degraded", "missing"};

	return names[state];
}

static bool is_wanted(const Nightjar__V1__Hello *hello, const char *class)
{
	for (size_t i = 0; i < hello->n_wanted; i++)
		if (strcmp(hello->wanted[i], class) == 0)
			return true;
	return false;
}

static void report_coverage(struct node_health *h, struct finding *f, const struct report *r,
			    enum coverage_state state)
{
	struct alert *a = alert_of(r, f);

	f->state = (uint8_t)state;
	if (!a)
		return;
	if (state == STATE_DEGRADED)
		verdict_grade(a, "low", 0.3);
	verdict_field(a, "state", "%s", state_name(state));
	verdict_output(a, "node %s %s %s events%s%s", r->node->node,
		       state == STATE_MISSING ? "cannot capture" : "captures only a part of",
		       r->class, r->reason[0] ? ": " : "", r->reason);
	h->out->alert(h->out->ctx, a);
}

static void close_coverage(struct node_health *h, struct finding *f, const struct report *r,
			   enum coverage_state state)
{
	struct alert *a = alert_of(r, f);

	if (!a)
		return;
	verdict_close(a);
	verdict_grade(a, "low", 0.1);
	verdict_field(a, "state", "%s", state_name(state));
	verdict_output(a,
		       state == STATE_FULL ? "node %s captures %s events in full again"
					   : "node %s need not capture %s events any more",
		       r->node->node, r->class);
	h->out->alert(h->out->ctx, a);
}

/* last: what the node's last Hello said of the class. */
static void judge_class(struct node_health *h, const struct report *r, enum coverage_state state,
			bool wanted, enum coverage_state last)
{
	const struct finding_key key = finding_key(r->node, r->class, false);
	struct finding *f = table_get(h->findings, &key);
	bool is_new;

	if (f && (state == STATE_FULL || (f->wanted && !wanted))) {
		close_coverage(h, f, r, state);
		(void)table_remove(h->findings, &key);
		return;
	}
	if (state == STATE_FULL || (!f && !wanted && state <= last) || (f && f->state == state))
		return;
	f = table_put(h->findings, &key, &is_new);
	f->wanted = is_new ? wanted : f->wanted;
	report_coverage(h, f, r, state);
}

static const Nightjar__V1__Coverage *row_of(const Nightjar__V1__Hello *hello, const char *class)
{
	for (size_t i = 0; i < hello->n_coverage; i++)
		if (strcmp(hello->coverage[i]->class_, class) == 0)
			return hello->coverage[i];
	return NULL;
}

void node_health_hello(struct node_health *h, const struct node_ref *node, uint64_t received_ns,
		       const Nightjar__V1__Hello *hello)
{
	const struct node_key key = key_of(node);
	bool is_new;
	uint8_t *last;

	if (hello->n_coverage == 0)
		return;
	last = table_put(h->nodes, &key, &is_new);
	for (unsigned int class = 0; class < CAPTURE_CLASS_MAX; class ++) {
		const char *name = capture_class_name(class);
		const Nightjar__V1__Coverage *row = row_of(hello, name);
		enum coverage_state state = row ? state_of(row->state) : STATE_MISSING;
		const struct report r = {&coverage_degraded, node, name, row ? row->reason : REASON,
					 received_ns};

		judge_class(h, &r, state, is_wanted(hello, name), is_new ? state : last[class]);
		last[class] = (uint8_t)state;
	}
}

/* ---- losses ---- */

static const char *reason_text(enum loss_reason reason)
{
	static const char *const texts[LOSS_REASON_MAX] = {
		[LOSS_REASON_RING] = "the kernel's rings were full",
		[LOSS_REASON_MISSED] = "programs did not run",
		[LOSS_REASON_DECODE] = "records made no sense",
		[LOSS_REASON_QUEUE] = "the agent's memory for unacknowledged batches was full",
		[LOSS_REASON_TABLE] = "the agent's process table was full",
	};
	const char *text = (unsigned int)reason < LOSS_REASON_MAX ? texts[reason] : NULL;

	return text ? text : "unknown";
}

static void report_lost(struct node_health *h, struct finding *f, const struct report *r)
{
	struct alert *a = alert_of(r, f);

	f->next_report = f->count * 2;
	if (!a)
		return;
	a->msg.count = f->count < UINT32_MAX ? (uint32_t)f->count : UINT32_MAX;
	verdict_field(a, "count", "%llu", (unsigned long long)f->count);
	verdict_output(a, "node %s has lost %llu %s events: %s", r->node->node,
		       (unsigned long long)f->count, r->class, r->reason);
	h->out->alert(h->out->ctx, a);
}

static void judge_loss(struct node_health *h, const struct stage1_batch *batch,
		       const struct loss *loss)
{
	const struct finding_key key = finding_key(&batch->node, loss->class, true);
	struct finding *f = table_put(h->findings, &key, NULL);
	const struct report r = {&events_lost, &batch->node, loss->class, reason_text(loss->reason),
				 batch->received_ns};

	if (f->count && f->last_ns + h->options->repeat_window_ns < batch->received_ns)
		*f = (struct finding){0};
	f->last_ns = batch->received_ns;
	f->count += loss->count < UINT32_MAX ? loss->count : UINT32_MAX;
	if (f->count >= h->options->lost_events && (!f->id[0] || f->count >= f->next_report))
		report_lost(h, f, &r);
}

void node_health_batch(struct node_health *h, const struct stage1_batch *batch)
{
	for (uint32_t i = 0; i < batch->batch->loss_count; i++)
		judge_loss(h, batch, &batch->batch->losses[i]);
}
