/* lateral_scan: one process tree that tries one port on many addresses, or many ports of one
 * address, within a sliding window of event time.
 *
 * A tree is a session: a shell's sweep is a process per connection. What counts is an attempt that
 * fails and, for half, an answer that is left at once by a program that was started later than the
 * service it runs in: who talks to many servers (monitoring, mesh, health checks, browser) is
 * answered by most, and is what its container or service is there to run. Only TCP: resolvers
 * connect UDP sockets to every address they find.
 *
 * Per shard 512 trees of 256 targets (targets.h), the least recently used goes. One alert per scan;
 * it is revised each time its targets have doubled. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/detect/detectors.h"
#include "collector/detect/targets.h"
#include "collector/entity/entities.h"
#include "collector/stage2.h"
#include "collector/verdict.h"

#define TREES 512U

struct tree {
	struct process_key actor; /* who tried last, by the image that it executed itself */
	struct targets targets;
	/* The scan that was reported; id "" when none. */
	char id[VERDICT_ID_SIZE];
	uint32_t revision;
	uint32_t counted;
	uint32_t next_report;
	uint64_t last_ns;
};

struct lateral_scan {
	struct table *trees;
	uint64_t targets_evicted;
};

struct tree_key {
	uint32_t node;
	uint32_t session;
};

/* What the latest attempt or outcome is a part of. */
struct extent {
	struct targets_extent port;
	struct targets_extent address;
	bool sweep;
	bool port_scan;
};

static int init(void *state)
{
	struct lateral_scan *ls = state;

	ls->trees = table_new(&(struct table_config){
		.key_size = sizeof(struct tree_key),
		.record_size = sizeof(struct tree),
		.capacity = TREES,
	});
	return ls->trees ? 0 : -ENOMEM;
}

static void done(void *state)
{
	table_free(((struct lateral_scan *)state)->trees);
}

/* The image that acts: a subshell acts for the shell that forked it. */
static struct process *actor_of(const struct detect_context *ctx, struct process *p)
{
	for (int i = 0; p && !(p->marks & PROCESS_OWN_IMAGE) && i < 16; i++) {
		struct process *parent = process_parent(ctx->entities, p);

		if (!parent)
			break;
		p = parent;
	}
	return p;
}

static struct extent extent_of(const struct tree *t, const struct target *of,
			       const struct targets_options *options)
{
	struct extent n = {.port = targets_on_port(&t->targets, of, options->window_ns),
			   .address = targets_at_address(&t->targets, of, options->window_ns)};

	n.sweep = targets_is_sweep(&n.port, options);
	n.port_scan = targets_is_port_scan(&n.address, options);
	return n;
}

static void tell(struct alert *a, const struct detect_context *ctx, const struct process *p,
		 const struct endpoint_object *o, const struct extent *n)
{
	unsigned int seconds = (unsigned int)(ctx->options->scan.window_ns / 1000000000ULL);
	uint32_t addresses = n->port.failed + n->port.left, ports = n->address.failed;
	char ip[REMOTE_TEXT_MAX];

	remote_format_ip(o->family, o->remote_ip, ip);
	verdict_evidence(a, "addresses_on_port", "%u", addresses);
	verdict_evidence(a, "addresses_without_answer", "%u", n->port.failed);
	verdict_evidence(a, "ports_of_address", "%u", ports);
	verdict_evidence(a, "window_seconds", "%u", seconds);
	verdict_evidence(a, "latest_target", "%s port %u", ip, o->remote_port);
	if (n->sweep) {
		verdict_output(a, "%s (pid %u) on %s tried port %u on %u addresses within %u s",
			       image_exe(p->image), p->key.pid, ctx->node->node, o->remote_port,
			       addresses, seconds);
	} else {
		verdict_remote(a, ip, o->remote_port);
		verdict_output(a, "%s (pid %u) on %s tried %u ports of %s within %u s",
			       image_exe(p->image), p->key.pid, ctx->node->node, ports, ip,
			       seconds);
	}
	verdict_step(a, ctx->wall_ns, event_kind_name(ctx->event->kind), p->exec_id,
		     "%s (%u) tried %s port %u, the latest of %u targets", image_name(p->image),
		     p->key.pid, ip, o->remote_port, a->msg.count);
}

/* What several pods of a workload try together is for stage 2 to see. */
static void observe(const struct detect_context *ctx, const struct endpoint_object *o,
		    const struct process *p, bool explained)
{
	const struct workload *w = p ? workload_find(ctx->entities, p->container) : NULL;
	struct observation ob = {.kind = explained ? OBSERVATION_CONNECT_EXPLAINED
						   : OBSERVATION_CONNECT_ATTEMPT,
				 .wall_ns = ctx->wall_ns,
				 .seq = ctx->event->seq,
				 .family = o->family,
				 .remote_port = o->remote_port,
				 .session = o->scan_session};

	if (!w || w->host || !w->workload[0] || !ctx->out->observe)
		return;
	(void)snprintf(ob.key, sizeof(ob.key), "workload:%.60s/%s/%s", ctx->node->cluster,
		       w->namespace, w->workload);
	(void)snprintf(ob.cluster, sizeof(ob.cluster), "%s", ctx->node->cluster);
	(void)snprintf(ob.node, sizeof(ob.node), "%s", ctx->node->node);
	(void)snprintf(ob.boot_id, sizeof(ob.boot_id), "%s", ctx->node->boot_id);
	(void)snprintf(ob.exe, sizeof(ob.exe), "%s", image_exe(p->image));
	(void)snprintf(ob.container_id, sizeof(ob.container_id), "%s", w->container_id);
	(void)snprintf(ob.namespace, sizeof(ob.namespace), "%s", w->namespace);
	(void)snprintf(ob.workload, sizeof(ob.workload), "%s", w->workload);
	(void)snprintf(ob.pod, sizeof(ob.pod), "%s", w->pod);
	memcpy(ob.remote_ip, o->remote_ip, sizeof(ob.remote_ip));
	ob.exec_id = p->exec_id;
	ob.pid = p->key.pid;
	ctx->out->observe(ctx->out->ctx, &ob);
}

static void report(struct tree *t, const struct detect_context *ctx,
		   const struct endpoint_object *o, const struct extent *n)
{
	struct process *actor = process_find(ctx->entities, &t->actor);
	struct process *p = actor ? actor : ctx->process;
	struct alert *a = p ? verdict_of(&lateral_scan_detector, ctx, p) : NULL;

	if (!a)
		return;
	if (t->id[0]) {
		verdict_revise(a, t->id, ++t->revision, t->counted);
	} else {
		(void)snprintf(t->id, sizeof(t->id), "%s", a->msg.id);
		t->revision = 0;
		t->counted = n->sweep ? n->port.failed + n->port.left : n->address.failed;
		a->msg.count = t->counted;
		observe(ctx, o, p, true);
	}
	t->next_report = t->counted * 2;
	p->marks |= PROCESS_REPORTED;
	tell(a, ctx, p, o, n);
	ctx->out->alert(ctx->out->ctx, a);
}

/* A target may have come to count: is it a scan now, or has a reported one grown? */
static void judge(struct tree *t, const struct detect_context *ctx, const struct endpoint_object *o,
		  const struct target *target, uint32_t come)
{
	struct extent n = extent_of(t, target, &ctx->options->scan);
	bool scans = n.sweep || n.port_scan;

	if (t->id[0] && t->last_ns + ctx->options->repeat_window_ns < target->seen_ns)
		t->id[0] = '\0';
	if (scans)
		t->last_ns = target->seen_ns;
	if (t->id[0])
		t->counted += come;
	if (scans && (!t->id[0] || t->counted >= t->next_report))
		report(t, ctx, o, &n);
}

static void attempt(struct lateral_scan *ls, const struct detect_context *ctx,
		    struct endpoint_object *o)
{
	struct process *p = ctx->process, *actor = actor_of(ctx, p);
	const struct workload *w = workload_find(ctx->entities, p->container);
	uint64_t now_ns = ctx->event->time_ns;
	struct tree_key key = {.node = p->key.node,
			       .session = p->session ? p->session : p->key.pid};
	struct tree *t = table_put(ls->trees, &key, NULL);
	struct target *target;
	bool evicted;

	target = targets_try(&t->targets, remote_party(o->family, o->remote_ip), o->remote_port,
			     o->key.id, now_ns, &evicted);
	target->ordinary = w && workload_is_original(w, actor);
	ls->targets_evicted += evicted;
	o->scan_session = key.session;
	t->actor = actor->key;
	judge(t, ctx, o, target, targets_age(&t->targets, now_ns, ctx->options->scan.short_ns));
}

/* Too little for a scan so far; together with others' failures it may be one. */
static void share(const struct tree *t, const struct detect_context *ctx,
		  const struct endpoint_object *o, const struct target *target)
{
	const struct targets_options *options = &ctx->options->scan;
	struct targets_extent n = targets_on_port(&t->targets, target, options->window_ns);

	if (targets_is_strange(&n, options))
		observe(ctx, o, process_find(ctx->entities, &t->actor), false);
}

/* What became of an attempt. The process that made it may be gone by now. */
static void outcome(struct lateral_scan *ls, const struct detect_context *ctx,
		    const struct endpoint_object *o)
{
	struct tree_key key = {.node = ctx->node->id, .session = o->scan_session};
	struct tree *t = o->scan_session ? table_peek(ls->trees, &key) : NULL;
	struct target *target = t ? targets_of_socket(&t->targets, o->key.id) : NULL;
	uint64_t now_ns = ctx->event->time_ns, short_ns = ctx->options->scan.short_ns;
	uint32_t come;

	if (!target)
		return;
	if (ctx->event->kind == EVENT_KIND_ESTABLISHED) {
		target_answered(target, now_ns);
		return;
	}
	come = target_closed(target, now_ns, short_ns);
	judge(t, ctx, o, target, come + targets_age(&t->targets, now_ns, short_ns));
	if (target->state == TARGET_FAILED && !t->id[0])
		share(t, ctx, o, target);
}

static void evicted(const void *state, struct evicted *counts)
{
	const struct lateral_scan *ls = state;

	counts->of[EVICTED_SCAN_TREES] = evicted_of(ls->trees);
	counts->of[EVICTED_SCAN_TARGETS] = ls->targets_evicted;
}

static void handle(void *state, const struct detect_context *ctx)
{
	struct endpoint_key key;
	struct endpoint_object *o;

	if (!ctx->event->endpoint_count || ctx->event->endpoints[0].kind != ENDPOINT_KIND_TCP)
		return;
	key = endpoint_key_of(ctx->node->id, &ctx->event->endpoints[0]);
	o = endpoint_find(ctx->entities, &key);
	if (!o || !remote_is_known(o))
		return;
	if (ctx->event->kind == EVENT_KIND_CONNECT && ctx->process)
		attempt(state, ctx, o);
	else if (ctx->event->kind != EVENT_KIND_CONNECT)
		outcome(state, ctx, o);
}

static const char *const tactics[] = {"TA0007", NULL};
static const char *const techniques[] = {"T1046", NULL};

const struct detector lateral_scan_detector = {
	.name = "lateral_scan",
	.title = "Network scan",
	.help = "A process tree or workload that tries one port on many addresses, or many ports "
		"of one.",
	.kinds = DETECT_KIND(EVENT_KIND_CONNECT) | DETECT_KIND(EVENT_KIND_ESTABLISHED) |
		 DETECT_KIND(EVENT_KIND_CLOSE),
	.severity = "high",
	.score = 0.8,
	.tactics = tactics,
	.techniques = techniques,
	.state_size = sizeof(struct lateral_scan),
	.init = init,
	.handle = handle,
	.evicted = evicted,
	.done = done,
};
