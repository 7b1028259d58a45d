/* reverse_shell: a command interpreter that reads its commands from its input, and whose input and
 * output lead to the same outside party, directly or through relays.
 *
 * The edges of such a chain come in any order (the shell may start before the relay connects), so
 * an interpreter whose input and output both lead somewhere stays on a list of 256 per shard, and
 * is looked at again when a process that its search passed through, or the holder of an object next
 * to one, gets a new edge. One alert per interpreter and party; what an interpreter starts inherits
 * what was reported, so that a shell within the shell is not news. What is no such interpreter, and
 * is started with nothing but an outgoing connection to talk to, is reported a step lower. */
#include <stdio.h>
#include <string.h>

#include "collector/detect/detectors.h"
#include "collector/detect/interpreter.h"
#include "collector/detect/relay.h"
#include "collector/verdict.h"

#define PENDING_MAX 256U

struct reverse_shell {
	struct interpreter_files files;
	struct process_key pending[PENDING_MAX];
	uint32_t pending_count;
	uint64_t pending_evicted;
};

/* One direction's way: the search and the party in it. */
struct way {
	struct relay_search search;
	const struct relay_party *party;
};

static void forget(struct reverse_shell *rs, uint32_t at)
{
	memmove(&rs->pending[at], &rs->pending[at + 1],
		(rs->pending_count - at - 1) * sizeof(rs->pending[0]));
	rs->pending_count--;
}

static void remember(struct reverse_shell *rs, struct process *p)
{
	if (p->marks & PROCESS_PENDING)
		return;
	if (rs->pending_count == PENDING_MAX) {
		forget(rs, 0);
		rs->pending_evicted++;
	}
	rs->pending[rs->pending_count++] = p->key;
	p->marks |= PROCESS_PENDING;
}

static bool is_reported(const struct process *p, uint64_t party)
{
	for (uint16_t i = 0; i < p->party_count; i++)
		if (p->parties[i] == party)
			return true;
	return false;
}

static void note_reported(struct process *p, uint64_t party)
{
	if (p->party_count == PROCESS_PARTIES) {
		memmove(p->parties, p->parties + 1, (PROCESS_PARTIES - 1) * sizeof(p->parties[0]));
		p->party_count--;
	}
	p->parties[p->party_count++] = party;
	p->marks |= PROCESS_REPORTED;
}

static void run(struct way *way, const struct detect_context *ctx, struct process *p,
		const struct descriptor *d, bool input)
{
	way->search.entities = ctx->entities;
	way->search.interpreter = p;
	way->search.hops_max = ctx->options->relay_hops_max;
	way->search.input = input;
	way->search.step_count = 0;
	way->search.party_count = 0;
	way->party = NULL;
	relay_run(&way->search, d);
}

/* Parties come in the order of their distance, so the first pair is the shortest way. */
static bool meet(struct way *in, struct way *out)
{
	for (int i = 0; i < in->search.party_count; i++) {
		for (int k = 0; k < out->search.party_count; k++) {
			if (in->search.parties[i].party != out->search.parties[k].party)
				continue;
			in->party = &in->search.parties[i];
			out->party = &out->search.parties[k];
			return true;
		}
	}
	return false;
}

static uint64_t wall(const struct detect_context *ctx, uint64_t boot_ns)
{
	return boot_ns ? (uint64_t)((int64_t)boot_ns + ctx->node->wall_offset_ns) : 0;
}

/* "pipe → cat (41) → fifo → nc (43)", nearest first. */
static void describe(const struct way *way, const struct descriptor *d, char *text, size_t size)
{
	int chain[RELAY_PROCESSES];
	int n = 0;
	size_t len = 0;

	for (int at = way->party->step; at != RELAY_NONE; at = way->search.steps[at].from)
		chain[n++] = at;
	if (n == 0)
		(void)snprintf(text, size, "%s", endpoint_kind_name((enum endpoint_kind)d->kind));
	while (n > 0 && len < size) {
		const struct relay_step *step = &way->search.steps[chain[--n]];
		int wrote = snprintf(text + len, size - len, "%s%s → %s (%u)", len ? " → " : "",
				     endpoint_kind_name((enum endpoint_kind)step->via),
				     image_name(step->process->image), step->process->key.pid);

		len += wrote > 0 ? (size_t)wrote : 0;
	}
}

static void tell_relays(struct alert *a, const struct detect_context *ctx, const struct way *way)
{
	for (int at = way->party->step; at != RELAY_NONE; at = way->search.steps[at].from) {
		struct process *p = way->search.steps[at].process;
		uint64_t since = p->image ? p->image->exec_ns : p->key.start_ns;

		p->marks |= PROCESS_REPORTED;
		verdict_step(a, wall(ctx, since), "relay", p->exec_id,
			     "%s (%u) passes on what %s %s", image_name(p->image), p->key.pid,
			     way->search.input ? "the shell is told through the"
					       : "the shell answers through the",
			     endpoint_kind_name((enum endpoint_kind)way->search.steps[at].via));
	}
}

struct finding {
	struct process *shell;
	const struct descriptor *in_fd, *out_fd;
	struct way *in, *out;
};

static void tell_steps(struct alert *a, const struct detect_context *ctx, const struct finding *f,
		       const char *where)
{
	const struct relay_party *party = f->in->party;
	const struct process *holder =
		party->step == RELAY_NONE ? f->shell : f->in->search.steps[party->step].process;
	uint64_t connected = party->socket->established_ns ? party->socket->established_ns
							   : party->socket->connect_ns;

	verdict_step(a, wall(ctx, connected), "connect", holder->exec_id, "%s (%u) %s %s",
		     image_name(holder->image), holder->key.pid,
		     connected ? "connected to" : "holds a connection to", where);
	tell_relays(a, ctx, f->in);
	if (f->out->party->step != party->step)
		tell_relays(a, ctx, f->out);
	verdict_step(a, wall(ctx, f->shell->image->exec_ns), "exec", f->shell->exec_id,
		     "%s (%u) started, to read commands from its input", image_exe(f->shell->image),
		     f->shell->key.pid);
	verdict_step(a, ctx->wall_ns, event_kind_name(ctx->event->kind), ctx->process->exec_id,
		     "input and output of %s (%u) lead to %s", image_name(f->shell->image),
		     f->shell->key.pid, where);
}

#define WHERE_MAX (REMOTE_TEXT_MAX + 16)

/* Puts the party into the alert and its address into words. */
static void tell_party(struct alert *a, const struct endpoint_object *socket, char where[WHERE_MAX])
{
	char ip[REMOTE_TEXT_MAX];

	remote_format_ip(socket->family, socket->remote_ip, ip);
	(void)snprintf(where, WHERE_MAX, socket->family == 10 ? "[%s]:%u" : "%s:%u", ip,
		       socket->remote_port);
	verdict_remote(a, ip, socket->remote_port);
}

static void report(const struct detect_context *ctx, const struct finding *f)
{
	const struct endpoint_object *socket = f->in->party->socket;
	struct alert *a = verdict_of(&reverse_shell_detector, ctx, f->shell);
	char where[WHERE_MAX], text[512];

	note_reported(f->shell, f->in->party->party);
	if (!a)
		return;
	tell_party(a, socket, where);
	describe(f->in, f->in_fd, text, sizeof(text));
	verdict_evidence(a, "input", "%s → %s", text, where);
	verdict_output(a,
		       "%s (pid %u) on %s takes its commands from %s and answers there, through %s",
		       image_exe(f->shell->image), f->shell->key.pid, ctx->node->node, where, text);
	describe(f->out, f->out_fd, text, sizeof(text));
	verdict_evidence(a, "output", "%s → %s", text, where);
	tell_steps(a, ctx, f, where);
	ctx->out->alert(ctx->out->ctx, a);
}

/* True when it need not be looked at again. */
static bool evaluate(const struct detect_context *ctx, struct process *p)
{
	struct way in, out;
	struct finding f = {.shell = p, .in = &in, .out = &out, .in_fd = descriptor_find(p, 0)};

	if (!f.in_fd || !p->image)
		return true;
	run(&in, ctx, p, f.in_fd, true);
	for (int fd = 1; fd <= 2; fd++) {
		f.out_fd = descriptor_find(p, fd);
		if (!f.out_fd)
			continue;
		run(&out, ctx, p, f.out_fd, false);
		if (!meet(&in, &out))
			continue;
		if (!is_reported(p, in.party->party))
			report(ctx, &f);
		return true;
	}
	return !descriptor_find(p, 1) && !descriptor_find(p, 2);
}

static void report_command(const struct detect_context *ctx, struct process *p,
			   const struct endpoint_object *socket)
{
	struct alert *a = verdict_of(&reverse_shell_detector, ctx, p);
	char where[WHERE_MAX];

	if (!a)
		return;
	tell_party(a, socket, where);
	verdict_grade(a, "high", 0.85);
	verdict_evidence(a, "input", "tcp → %s", where);
	verdict_evidence(a, "output", "tcp → %s", where);
	verdict_evidence(a, "errors", "tcp → %s", where);
	verdict_output(a,
		       "%s (pid %u) on %s was started on a connection to %s, as its input, "
		       "output and errors",
		       image_exe(p->image), p->key.pid, ctx->node->node, where);
	verdict_step(a, wall(ctx, socket->connect_ns), "connect", p->exec_id,
		     "its lineage connected to %s", where);
	verdict_step(a, ctx->wall_ns, event_kind_name(ctx->event->kind), p->exec_id,
		     "%s (%u) was started on that connection", image_exe(p->image), p->key.pid);
	ctx->out->alert(ctx->out->ctx, a);
}

/* Whoever starts the next command on it is the same finding. */
static void note_holder(const struct detect_context *ctx, const struct process *p,
			const struct endpoint_key *key, uint64_t party)
{
	struct process *parent = process_parent(ctx->entities, p);

	if (!parent || (parent->marks & PROCESS_EXITED))
		return;
	for (uint16_t i = 0; i < parent->fd_count; i++) {
		if (memcmp(&parent->fds[i].key, key, sizeof(*key)) != 0)
			continue;
		if (!is_reported(parent, party))
			note_reported(parent, party);
		return;
	}
}

/* The connection that is a process's input, output and errors; NULL when these differ. It has to be
 * one that we saw being made: in doubt it was accepted, and inetd does the same. */
static const struct descriptor *only_connection(const struct detect_context *ctx,
						const struct process *p)
{
	const struct descriptor *in = descriptor_find(p, 0);
	const struct endpoint_object *o = in ? endpoint_find(ctx->entities, &in->key) : NULL;

	if (!o || in->kind != ENDPOINT_KIND_TCP || !o->connect_ns)
		return NULL;
	for (int fd = 1; fd <= 2; fd++) {
		const struct descriptor *d = descriptor_find(p, fd);

		if (!d || memcmp(&d->key, &in->key, sizeof(in->key)) != 0)
			return NULL;
	}
	return in;
}

/* A copy of a shell under a name of its own, a program on an interpreter's command line, an implant
 * that runs commands: we cannot see that it takes commands, but that what it starts has nothing but
 * the connection to talk to. */
static void evaluate_command(const struct detect_context *ctx, struct process *p)
{
	const struct descriptor *in = only_connection(ctx, p);
	struct way way;
	const struct relay_party *party;

	if (!in || !p->image)
		return;
	run(&way, ctx, p, in, true);
	party = way.search.party_count ? &way.search.parties[0] : NULL;
	if (!party || party->step != RELAY_NONE || is_reported(p, party->party))
		return;
	note_reported(p, party->party);
	note_holder(ctx, p, &in->key, party->party);
	report_command(ctx, p, party->socket);
}

static void evaluate_pending(struct reverse_shell *rs, const struct detect_context *ctx)
{
	for (uint32_t i = rs->pending_count; i > 0; i--) {
		const struct process_key *key = &rs->pending[i - 1];
		struct process *p;

		if (key->node != ctx->node->id)
			continue;
		p = process_find(ctx->entities, key);
		if (p && (p->marks & PROCESS_PENDING) && !(p->marks & PROCESS_EXITED) &&
		    !evaluate(ctx, p))
			continue;
		if (p)
			p->marks &= ~PROCESS_PENDING;
		forget(rs, i - 1);
	}
}

static bool is_watched(const struct entities *en, const struct endpoint_object *o)
{
	for (int side = 0; side < 2; side++) {
		for (uint8_t i = 0; i < o->holder_count[side]; i++) {
			struct process_key key = {.start_ns = o->holders[side][i].start_ns,
						  .node = o->key.node,
						  .pid = o->holders[side][i].pid};
			const struct process *p = process_find(en, &key);

			if (p && (p->marks & (PROCESS_RELAY | PROCESS_PENDING)))
				return true;
		}
	}
	return false;
}

/* The other socket of a UNIX pair or of a connection within the node. */
static const struct endpoint_object *other_end(const struct entities *en,
					       const struct endpoint_object *o)
{
	struct endpoint_key key = {.id = o->peer, .node = o->key.node, .kind = ENDPOINT_KIND_UNIX};

	if (o->key.kind == ENDPOINT_KIND_UNIX)
		return o->peer ? endpoint_find(en, &key) : NULL;
	if (o->key.kind == ENDPOINT_KIND_TCP && remote_is_known(o) && remote_is_local(o))
		return remote_peer(en, o);
	return NULL;
}

/* Can this event have completed a chain that is watched? */
static bool touches(const struct detect_context *ctx)
{
	if (ctx->process->marks & PROCESS_RELAY)
		return ctx->event->endpoint_count > 0;
	for (uint16_t i = 0; i < ctx->event->endpoint_count; i++) {
		struct endpoint_key key = endpoint_key_of(ctx->node->id, &ctx->event->endpoints[i]);
		const struct endpoint_object *o = endpoint_find(ctx->entities, &key);
		const struct endpoint_object *other = o ? other_end(ctx->entities, o) : NULL;

		if (o &&
		    (is_watched(ctx->entities, o) || (other && is_watched(ctx->entities, other))))
			return true;
	}
	return false;
}

/* Did it get a new input or output? */
static bool is_redirected(const struct event *event)
{
	if (event->kind == EVENT_KIND_EXEC)
		return true;
	for (uint16_t i = 0; i < event->endpoint_count; i++)
		if (event->endpoints[i].fd >= 0 && event->endpoints[i].fd <= 2)
			return true;
	return false;
}

static void handle(void *state, const struct detect_context *ctx)
{
	struct reverse_shell *rs = state;
	struct process *p = ctx->process;

	if (!p || (p->marks & PROCESS_EXITED))
		return;
	/* A child that did not exec reads no commands of its own: it is on its way to something. */
	if (is_redirected(ctx->event) && (p->marks & PROCESS_OWN_IMAGE)) {
		if (!interpreter_reads_stdin(&rs->files, p->image)) {
			if (ctx->event->kind == EVENT_KIND_EXEC)
				evaluate_command(ctx, p);
		} else if (!evaluate(ctx, p)) {
			remember(rs, p);
		}
	}
	if (rs->pending_count && touches(ctx))
		evaluate_pending(rs, ctx);
}

static void evicted(const void *state, struct evicted *counts)
{
	const struct reverse_shell *rs = state;

	counts->of[EVICTED_PENDING] = rs->pending_evicted;
	counts->of[EVICTED_INTERPRETERS] = rs->files.evicted;
}

static const char *const tactics[] = {"TA0002", "TA0011", NULL};
static const char *const techniques[] = {"T1059.004", "T1095", NULL};

/* Files for FIFOs and terminals. A descriptor that moves there and back is two acts, not one. */
static const char *const classes[] = {"file", "descriptor", "socket", NULL};
static const char *const each[] = {"descriptor", "socket", NULL};

const struct detector reverse_shell_detector = {
	.name = "reverse_shell",
	.title = "Reverse shell",
	.help = "An interpreter that takes its commands from an outside party and answers it.",
	.kinds = DETECT_KIND(EVENT_KIND_EXEC) | DETECT_KIND(EVENT_KIND_CONNECT) |
		 DETECT_KIND(EVENT_KIND_ESTABLISHED) | DETECT_KIND(EVENT_KIND_ACCEPT) |
		 DETECT_KIND(EVENT_KIND_OPEN) | DETECT_KIND(EVENT_KIND_DUP) |
		 DETECT_KIND(EVENT_KIND_PIPE),
	.needs = {.classes = classes, .each = each},
	.severity = "critical",
	.score = 0.95,
	.tactics = tactics,
	.techniques = techniques,
	.state_size = sizeof(struct reverse_shell),
	.handle = handle,
	.evicted = evicted,
};
