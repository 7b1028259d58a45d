/* lateral_scan: one process tree that tries one port on many addresses, or many ports of one
 * address, within a sliding window of event time.
 *
 * A tree is a session: a shell's sweep is a process per connection. What counts is an attempt that
 * is not answered, or a connection closed at once: who talks to many servers (browser, monitoring,
 * mesh) keeps his connections. Only TCP: resolvers connect UDP sockets to every address they find.
 *
 * Per tree the latest 256 distinct (address, port), 8 KiB; per shard 512 trees, the least recently
 * used goes. One alert per scan; it is revised each time its targets have doubled. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/detect/detectors.h"
#include "collector/entity/entities.h"
#include "collector/stage2.h"
#include "collector/verdict.h"

#define TREES  512U
#define PROBES 256U

enum probe_state {
	PROBE_TRIED = 1, /* no answer yet: counts */
	PROBE_OPEN,	 /* answered and in use: does not count */
	PROBE_DONE,	 /* refused, timed out or closed at once: counts */
};

struct probe {
	uint64_t address; /* remote_party */
	uint64_t cookie;
	uint64_t time_ns; /* of the latest change, boot clock */
	uint16_t port;
	uint8_t state;
};

struct tree {
	struct process_key actor; /* who tried last, by the image that it executed itself */
	struct probe probes[PROBES];
	uint32_t probe_count;
	uint32_t next; /* the oldest one, once all are used */
	/* The scan that was reported; id "" when none. */
	char id[VERDICT_ID_SIZE];
	uint32_t revision;
	uint32_t targets;
	uint32_t next_report;
	uint64_t last_ns;
};

struct lateral_scan {
	struct table *trees;
};

struct tree_key {
	uint32_t node;
	uint32_t session;
};

struct count {
	uint32_t addresses; /* that the port was tried on */
	uint32_t ports;	    /* that the address was tried on */
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

static struct probe *probe_find(struct tree *t, uint64_t address, uint16_t port)
{
	for (uint32_t i = 0; i < t->probe_count; i++)
		if (t->probes[i].address == address && t->probes[i].port == port)
			return &t->probes[i];
	return NULL;
}

static struct probe *probe_of_socket(struct tree *t, uint64_t cookie)
{
	for (uint32_t i = 0; i < t->probe_count; i++)
		if (t->probes[i].cookie == cookie)
			return &t->probes[i];
	return NULL;
}

static struct probe *probe_add(struct tree *t)
{
	struct probe *p;

	if (t->probe_count < PROBES)
		return &t->probes[t->probe_count++];
	p = &t->probes[t->next];
	t->next = (t->next + 1) % PROBES;
	return p;
}

static struct count count(const struct tree *t, const struct probe *of, uint64_t window_ns)
{
	struct count n = {0};

	for (uint32_t i = 0; i < t->probe_count; i++) {
		const struct probe *p = &t->probes[i];

		if (p->state == PROBE_OPEN || p->time_ns + window_ns < of->time_ns)
			continue;
		n.addresses += p->port == of->port;
		n.ports += p->address == of->address;
	}
	return n;
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

static void tell(struct alert *a, const struct detect_context *ctx, const struct process *p,
		 const struct endpoint_object *o, struct count n)
{
	const struct detect_options *opt = ctx->options;
	unsigned int seconds = (unsigned int)(opt->scan_window_ns / 1000000000ULL);
	char ip[REMOTE_TEXT_MAX];

	remote_format_ip(o->family, o->remote_ip, ip);
	verdict_evidence(a, "addresses_on_port", "%u", n.addresses);
	verdict_evidence(a, "ports_of_address", "%u", n.ports);
	verdict_evidence(a, "window_seconds", "%u", seconds);
	verdict_evidence(a, "latest_target", "%s port %u", ip, o->remote_port);
	if (n.addresses >= opt->scan_addresses) {
		verdict_output(a, "%s (pid %u) on %s tried port %u on %u addresses within %u s",
			       image_exe(p->image), p->key.pid, ctx->node->node, o->remote_port,
			       n.addresses, seconds);
	} else {
		verdict_remote(a, ip, o->remote_port);
		verdict_output(a, "%s (pid %u) on %s tried %u ports of %s within %u s",
			       image_exe(p->image), p->key.pid, ctx->node->node, n.ports, ip,
			       seconds);
	}
	verdict_step(a, ctx->wall_ns, event_kind_name(ctx->event->kind), p->exec_id,
		     "%s (%u) tried %s port %u, the latest of %u targets", image_name(p->image),
		     p->key.pid, ip, o->remote_port, a->msg.count);
}

static void report(struct tree *t, const struct detect_context *ctx,
		   const struct endpoint_object *o, struct count n)
{
	struct process *actor = process_find(ctx->entities, &t->actor);
	struct process *p = actor ? actor : ctx->process;
	struct alert *a = p ? verdict_of(&lateral_scan_detector, ctx, p) : NULL;

	if (!a)
		return;
	if (t->id[0]) {
		verdict_revise(a, t->id, ++t->revision, t->targets);
	} else {
		(void)snprintf(t->id, sizeof(t->id), "%s", a->msg.id);
		t->revision = 0;
		t->targets = n.addresses > n.ports ? n.addresses : n.ports;
		a->msg.count = t->targets;
	}
	t->next_report = t->targets * 2;
	p->marks |= PROCESS_REPORTED;
	tell(a, ctx, p, o, n);
	ctx->out->alert(ctx->out->ctx, a);
}

/* A probe came to count: is it a scan now, or has a reported one grown? */
static void judge(struct tree *t, const struct detect_context *ctx, const struct endpoint_object *o,
		  const struct probe *probe, bool is_new)
{
	struct count n = count(t, probe, ctx->options->scan_window_ns);
	bool scans =
		n.addresses >= ctx->options->scan_addresses || n.ports >= ctx->options->scan_ports;

	if (t->id[0] && t->last_ns + ctx->options->repeat_window_ns < probe->time_ns)
		t->id[0] = '\0';
	if (scans)
		t->last_ns = probe->time_ns;
	if (t->id[0])
		t->targets += is_new;
	if (scans && (!t->id[0] || t->targets >= t->next_report))
		report(t, ctx, o, n);
}

static void attempt(struct lateral_scan *ls, const struct detect_context *ctx,
		    struct endpoint_object *o)
{
	struct process *p = ctx->process;
	struct tree_key key = {.node = p->key.node,
			       .session = p->session ? p->session : p->key.pid};
	struct tree *t = table_put(ls->trees, &key, NULL);
	uint64_t address = remote_party(o->family, o->remote_ip);
	struct probe *probe = probe_find(t, address, o->remote_port);
	bool is_new = !probe;

	if (is_new)
		probe = probe_add(t);
	*probe = (struct probe){.address = address,
				.cookie = o->key.id,
				.time_ns = ctx->event->time_ns,
				.port = o->remote_port,
				.state = PROBE_TRIED};
	o->scan_session = key.session;
	t->actor = actor_of(ctx, p)->key;
	judge(t, ctx, o, probe, is_new);
}

/* What several pods of a workload try together is for stage 2 to see. */
static void observe(const struct detect_context *ctx, const struct endpoint_object *o,
		    const struct process *p)
{
	const struct workload *w = p ? workload_find(ctx->entities, p->container) : NULL;
	struct observation ob = {.kind = OBSERVATION_CONNECT_ATTEMPT,
				 .wall_ns = ctx->wall_ns,
				 .seq = ctx->event->seq,
				 .family = o->family,
				 .remote_port = o->remote_port};

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

/* What became of an attempt. The process that made it may be gone by now. */
static void outcome(struct lateral_scan *ls, const struct detect_context *ctx,
		    struct endpoint_object *o)
{
	struct tree_key key = {.node = ctx->node->id, .session = o->scan_session};
	struct tree *t = o->scan_session ? table_peek(ls->trees, &key) : NULL;
	struct probe *probe = t ? probe_of_socket(t, o->key.id) : NULL;

	if (!probe)
		return;
	if (ctx->event->kind == EVENT_KIND_ESTABLISHED) {
		probe->state = PROBE_OPEN;
		probe->time_ns = ctx->event->time_ns;
		return;
	}
	if (probe->state == PROBE_OPEN &&
	    ctx->event->time_ns > probe->time_ns + ctx->options->scan_short_ns)
		return;
	if (probe->state != PROBE_DONE)
		observe(ctx, o, process_find(ctx->entities, &t->actor));
	probe->state = PROBE_DONE;
	probe->time_ns = ctx->event->time_ns;
	judge(t, ctx, o, probe, false);
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
	.done = done,
};
