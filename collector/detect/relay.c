/* The search; see relay.h. */
#include "collector/detect/relay.h"

#include <string.h>

#define UNIX_HUB 12 /* descriptors: a process with more serves many, and links none of them */

/* Programs that hand a shell to somebody who has proved who he is. Believed only in a system
 * directory, after an accepted connection, with a change of credentials on the way to the shell. */
static const char *const terminal_servers[] = {
	"sshd", "sshd-session", "dropbear", "in.telnetd", "telnetd", NULL,
};

static bool has_mark_up_to(const struct entities *en, const struct process *p,
			   const struct process *end, uint32_t mark)
{
	for (int i = 0; p && i < 8; i++) {
		if (p->marks & mark)
			return true;
		if (p == end)
			return false;
		p = process_parent(en, p);
	}
	return false;
}

static bool is_terminal_server(const struct relay_search *s, const struct process *p)
{
	const char *const *name = terminal_servers;

	while (*name && strcmp(*name, image_name(p->image)) != 0)
		name++;
	if (!*name || !image_trusted(p->image))
		return false;
	if (!has_mark_up_to(s->entities, p, NULL, PROCESS_ACCEPTED))
		return false;
	return has_mark_up_to(s->entities, s->interpreter, p, PROCESS_CRED);
}

static bool same_container(const struct relay_search *s, const struct process *p)
{
	const struct workload *w = workload_find(s->entities, p->container);
	const struct workload *v = workload_find(s->entities, s->interpreter->container);

	if (w && v && w->host && v->host)
		return true;
	return p->container == s->interpreter->container;
}

static bool is_visited(const struct relay_search *s, const struct process *p)
{
	for (int i = 0; i < s->step_count; i++)
		if (s->steps[i].process == p)
			return true;
	return p == s->interpreter;
}

/* from: index of the step that holds d, or RELAY_NONE. */
static void visit(struct relay_search *s, struct process *p, const struct descriptor *d, int from)
{
	uint32_t hops = from == RELAY_NONE ? 1 : s->steps[from].hops + 1;

	if (!p || (p->marks & PROCESS_EXITED) || is_visited(s, p))
		return;
	if (hops > s->hops_max || s->step_count == RELAY_PROCESSES)
		return;
	if (!same_container(s, p) || is_terminal_server(s, p))
		return;
	p->marks |= PROCESS_RELAY;
	s->steps[s->step_count++] = (struct relay_step){
		.process = p,
		.from = from,
		.hops = hops,
		.via = d->kind,
		.key = d->key,
	};
}

static void visit_holders(struct relay_search *s, const struct endpoint_object *o,
			  enum endpoint_side side, const struct descriptor *d, int from)
{
	for (uint8_t i = 0; i < o->holder_count[side]; i++) {
		struct process_key key = {.start_ns = o->holders[side][i].start_ns,
					  .node = o->key.node,
					  .pid = o->holders[side][i].pid};

		visit(s, process_find(s->entities, &key), d, from);
	}
}

/* UNIX sockets join everything on a host with everything: only one's own family, and those of one's
 * own side that do not serve many, count. */
static bool is_close(const struct relay_search *s, const struct process *p)
{
	if (process_is_ancestor(s->entities, p, s->interpreter) ||
	    process_is_ancestor(s->entities, s->interpreter, p))
		return true;
	return p->fd_count <= UNIX_HUB && process_same_side(s->entities, s->interpreter, p);
}

static void visit_unix(struct relay_search *s, const struct endpoint_object *o,
		       const struct descriptor *d, int from)
{
	struct endpoint_key key = {.id = o->peer, .node = o->key.node, .kind = ENDPOINT_KIND_UNIX};
	const struct endpoint_object *peer = o->peer ? endpoint_find(s->entities, &key) : NULL;

	for (uint8_t i = 0; peer && i < peer->holder_count[0]; i++) {
		struct process_key holder = {.start_ns = peer->holders[0][i].start_ns,
					     .node = o->key.node,
					     .pid = peer->holders[0][i].pid};
		struct process *p = process_find(s->entities, &holder);

		if (p && is_close(s, p))
			visit(s, p, d, from);
	}
}

static void add_party(struct relay_search *s, const struct endpoint_object *o, int from)
{
	if (s->party_count == RELAY_PARTIES)
		return;
	s->parties[s->party_count++] = (struct relay_party){
		.socket = o,
		.party = remote_party(o->family, o->remote_ip),
		.step = from,
	};
}

/* Who is at the other end of a connection within the node. Nobody that we know: outside. */
static void visit_local(struct relay_search *s, const struct endpoint_object *o,
			const struct descriptor *d, int from)
{
	const struct endpoint_object *peer = remote_peer(s->entities, o);
	int before = s->step_count;
	bool known = false;

	for (uint8_t i = 0; peer && i < peer->holder_count[0]; i++) {
		struct process_key key = {.start_ns = peer->holders[0][i].start_ns,
					  .node = o->key.node,
					  .pid = peer->holders[0][i].pid};
		struct process *p = process_find(s->entities, &key);

		if (!p || !process_same_side(s->entities, s->interpreter, p))
			continue;
		known = true;
		visit(s, p, d, from);
	}
	if (!known) {
		struct process *p = remote_listener(s->entities, o);

		known = p && process_same_side(s->entities, s->interpreter, p);
		if (known)
			visit(s, p, d, from);
	}
	if (!known && before == s->step_count && (o->flags & ENDPOINT_OUTGOING))
		add_party(s, o, from);
}

static void follow_tcp(struct relay_search *s, const struct endpoint_object *o,
		       const struct descriptor *d, int from)
{
	if (!(o->flags & ENDPOINT_ESTABLISHED) || !remote_is_known(o))
		return;
	if (remote_is_local(o))
		visit_local(s, o, d, from);
	else if (o->flags & ENDPOINT_OUTGOING)
		add_party(s, o, from);
}

static bool carries(const struct relay_search *s, const struct descriptor *d)
{
	uint8_t wanted = s->input ? ENDPOINT_READ : ENDPOINT_WRITE;

	if (d->kind == ENDPOINT_KIND_PIPE || d->kind == ENDPOINT_KIND_FIFO)
		return (d->mode & wanted) && !d->dead;
	return true;
}

/* A connected UDP socket has no end that we see, so only the interpreter's own ones count. From a
 * relay's pty master nothing leads on: what runs on that terminal is the relay's client too. */
static void follow(struct relay_search *s, const struct descriptor *d, int from)
{
	struct endpoint_object *o = endpoint_find(s->entities, &d->key);

	if (!o || !carries(s, d))
		return;
	o->flags |= ENDPOINT_ON_PATH;
	switch (d->kind) {
	case ENDPOINT_KIND_PIPE:
	case ENDPOINT_KIND_FIFO:
		visit_holders(s, o, s->input ? ENDPOINT_SIDE_FAR : ENDPOINT_SIDE_NEAR, d, from);
		break;
	case ENDPOINT_KIND_PTY_SLAVE:
		visit_holders(s, o, ENDPOINT_SIDE_FAR, d, from);
		break;
	case ENDPOINT_KIND_UNIX:
		visit_unix(s, o, d, from);
		break;
	case ENDPOINT_KIND_TCP:
		follow_tcp(s, o, d, from);
		break;
	case ENDPOINT_KIND_UDP:
		if (from == RELAY_NONE && remote_is_known(o))
			add_party(s, o, from);
		break;
	default:
		break;
	}
}

void relay_run(struct relay_search *search, const struct descriptor *d)
{
	follow(search, d, RELAY_NONE);
	for (int i = 0; i < search->step_count; i++) {
		const struct process *p = search->steps[i].process;

		for (uint16_t k = 0; k < p->fd_count; k++)
			if (memcmp(&p->fds[k].key, &search->steps[i].key,
				   sizeof(search->steps[i].key)) != 0)
				follow(search, &p->fds[k], i);
	}
}
