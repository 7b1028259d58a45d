/* Objects, their holders, and the descriptor sets that lead to them; see endpoint.h. */
#include "collector/entity/endpoint.h"

#include <sys/socket.h>

#include "collector/entity/entities.h"

#define TCP_STATE_ESTABLISHED 1
#define TCP_STATE_SYN_SENT    2
#define TCP_STATE_CLOSE_WAIT  8
#define TCP_STATE_LISTEN      10
#define EPHEMERAL_FROM	      32768 /* Linux's default range for outgoing connections */

static bool is_pty(uint8_t kind)
{
	return kind == ENDPOINT_KIND_PTY_MASTER || kind == ENDPOINT_KIND_PTY_SLAVE;
}

struct endpoint_key endpoint_key_of(uint32_t node, const struct endpoint *e)
{
	struct endpoint_key key = {.id = e->id, .node = node, .kind = e->kind};

	/* A UNIX socket is an object of its own: its peer may not be known at every sight of it. */
	if (e->kind != ENDPOINT_KIND_UNIX)
		key.id2 = e->id2;
	if (is_pty(e->kind))
		key.kind = ENDPOINT_KIND_PTY_SLAVE;
	return key;
}

struct endpoint_object *endpoint_find(const struct entities *en, const struct endpoint_key *key)
{
	return table_peek(en->endpoints, key);
}

bool endpoint_keep(void *ctx, const void *record)
{
	(void)ctx;
	return ((const struct endpoint_object *)record)->flags & ENDPOINT_ON_PATH;
}

/* ::ffff:a.b.c.d is a.b.c.d */
static void copy_ip(uint8_t out[16], const uint8_t in[16], bool mapped)
{
	memset(out, 0, 16);
	memcpy(out, mapped ? in + 12 : in, mapped ? 4 : 16);
}

static bool is_mapped(const struct endpoint *e)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return e->family == AF_INET6 && memcmp(e->remote_ip, prefix, sizeof(prefix)) == 0;
}

static void take_addresses(struct endpoint_object *o, const struct endpoint *e)
{
	bool mapped = is_mapped(e);

	o->family = mapped ? AF_INET : e->family;
	if (e->remote_port) {
		copy_ip(o->remote_ip, e->remote_ip, mapped);
		o->remote_port = e->remote_port;
	}
	/* Until a connection is established its local port may still be 0. */
	if (e->local_port) {
		copy_ip(o->local_ip, e->local_ip, mapped);
		o->local_port = e->local_port;
	}
}

/* Which side connected, for a socket that was there before we were: a listener's port tells, else
 * the usual ranges; in doubt it went out. */
static uint32_t guess_direction(const struct entities *en, const struct endpoint_object *o)
{
	if (remote_is_listened(en, o))
		return ENDPOINT_ACCEPTED;
	if (o->local_port < EPHEMERAL_FROM && o->remote_port >= EPHEMERAL_FROM)
		return ENDPOINT_ACCEPTED;
	return ENDPOINT_OUTGOING;
}

static void take_state(const struct entities *en, struct endpoint_object *o,
		       const struct endpoint *e)
{
	if (e->state == TCP_STATE_LISTEN)
		o->flags |= ENDPOINT_LISTENING;
	if (e->state == TCP_STATE_ESTABLISHED || e->state == TCP_STATE_CLOSE_WAIT)
		o->flags |= ENDPOINT_ESTABLISHED;
	if (e->state == TCP_STATE_SYN_SENT)
		o->flags |= ENDPOINT_OUTGOING;
	if ((o->flags & ENDPOINT_ESTABLISHED) &&
	    !(o->flags & (ENDPOINT_OUTGOING | ENDPOINT_ACCEPTED)))
		o->flags |= guess_direction(en, o);
}

struct endpoint_object *endpoint_seen(struct entities *en, uint32_t node, const struct endpoint *e)
{
	struct endpoint_key key = endpoint_key_of(node, e);
	struct endpoint_object *o = table_put(en->endpoints, &key, NULL);

	o->key = key;
	if (e->kind == ENDPOINT_KIND_UNIX && e->id2)
		o->peer = e->id2;
	if (e->kind == ENDPOINT_KIND_TCP || e->kind == ENDPOINT_KIND_UDP)
		take_addresses(o, e);
	if (e->kind == ENDPOINT_KIND_TCP)
		take_state(en, o, e);
	return o;
}

static void hold(struct entities *en, struct endpoint_object *o, enum endpoint_side side,
		 const struct process *p)
{
	struct holder *list = o->holders[side];
	uint8_t n = o->holder_count[side];

	for (uint8_t i = 0; i < n; i++)
		if (list[i].pid == p->key.pid && list[i].start_ns == p->key.start_ns)
			return;
	if (n == ENDPOINT_HOLDERS) {
		memmove(list, list + 1, --n * sizeof(*list));
		en->holders_evicted++;
	}
	list[n] = (struct holder){.start_ns = p->key.start_ns, .pid = p->key.pid};
	o->holder_count[side] = (uint8_t)(n + 1);
}

static void unhold(struct endpoint_object *o, enum endpoint_side side, const struct process *p)
{
	struct holder *list = o->holders[side];
	uint8_t n = o->holder_count[side];

	for (uint8_t i = 0; i < n; i++) {
		if (list[i].pid != p->key.pid || list[i].start_ns != p->key.start_ns)
			continue;
		memmove(&list[i], &list[i + 1], (size_t)(n - i - 1) * sizeof(*list));
		o->holder_count[side]--;
		return;
	}
}

static bool on_side(const struct descriptor *d, enum endpoint_side side)
{
	switch (d->kind) {
	case ENDPOINT_KIND_PIPE:
	case ENDPOINT_KIND_FIFO:
		return d->mode & (side == ENDPOINT_SIDE_NEAR ? ENDPOINT_READ : ENDPOINT_WRITE);
	case ENDPOINT_KIND_PTY_MASTER:
		return side == ENDPOINT_SIDE_FAR;
	default:
		return side == ENDPOINT_SIDE_NEAR;
	}
}

static bool holds_elsewhere(const struct process *p, const struct descriptor *d,
			    enum endpoint_side side)
{
	for (uint16_t i = 0; i < p->fd_count; i++) {
		const struct descriptor *other = &p->fds[i];

		if (other != d && on_side(other, side) &&
		    memcmp(&other->key, &d->key, sizeof(d->key)) == 0)
			return true;
	}
	return false;
}

static void remove_at(struct entities *en, struct process *p, uint16_t at)
{
	struct descriptor *d = &p->fds[at];
	struct endpoint_object *o = endpoint_find(en, &d->key);

	for (int side = 0; o && side < 2; side++)
		if (on_side(d, (enum endpoint_side)side) &&
		    !holds_elsewhere(p, d, (enum endpoint_side)side))
			unhold(o, (enum endpoint_side)side, p);
	memmove(d, d + 1, (size_t)(p->fd_count - at - 1) * sizeof(*d));
	p->fd_count--;
}

static void hold_sides(struct entities *en, struct endpoint_object *o, const struct descriptor *d,
		       const struct process *p)
{
	for (int side = 0; side < 2; side++)
		if (on_side(d, (enum endpoint_side)side))
			hold(en, o, (enum endpoint_side)side, p);
}

/* The oldest one above the standard three makes room. */
static void make_room(struct entities *en, struct process *p)
{
	en->descriptors_evicted++;
	for (uint16_t i = 0; i < p->fd_count; i++) {
		if (p->fds[i].fd >= 0 && p->fds[i].fd <= 2)
			continue;
		remove_at(en, p, i);
		return;
	}
	remove_at(en, p, 0);
}

static void forget_number(struct entities *en, struct process *p, int16_t fd,
			  const struct endpoint_key *key)
{
	for (uint16_t i = 0; i < p->fd_count; i++) {
		const struct descriptor *d = &p->fds[i];

		if (d->fd != fd || (fd < 0 && memcmp(&d->key, key, sizeof(*key)) != 0))
			continue;
		remove_at(en, p, i);
		return;
	}
}

void descriptor_add(struct entities *en, struct process *p, const struct endpoint *e)
{
	struct descriptor d = {.key = endpoint_key_of(p->key.node, e),
			       .fd = e->fd < 0 ? -1 : e->fd,
			       .kind = e->kind,
			       .mode = e->mode};

	if (p->marks & PROCESS_EXITED)
		return;
	forget_number(en, p, d.fd, &d.key);
	if (e->kind == ENDPOINT_KIND_NONE || e->kind >= ENDPOINT_KIND_MAX)
		return;
	if (e->kind == ENDPOINT_KIND_PIPE)
		d.dead = (e->mode == ENDPOINT_READ && e->readers > 0 && e->writers == 0) ||
			 (e->mode == ENDPOINT_WRITE && e->writers > 0 && e->readers == 0);
	if (p->fd_count == PROCESS_FDS)
		make_room(en, p);
	p->fds[p->fd_count++] = d;
	hold_sides(en, endpoint_seen(en, p->key.node, e), &d, p);
}

const struct descriptor *descriptor_find(const struct process *p, int fd)
{
	if (p->marks & PROCESS_EXITED)
		return NULL;
	for (uint16_t i = 0; i < p->fd_count; i++)
		if (p->fds[i].fd == fd)
			return &p->fds[i];
	return NULL;
}

void descriptor_copy_all(struct entities *en, const struct process *from, struct process *to)
{
	if ((from->marks | to->marks) & PROCESS_EXITED)
		return;
	memcpy(to->fds, from->fds, sizeof(*from->fds) * from->fd_count);
	to->fd_count = from->fd_count;
	for (uint16_t i = 0; i < to->fd_count; i++) {
		struct endpoint_object *o = endpoint_find(en, &to->fds[i].key);

		if (o)
			hold_sides(en, o, &to->fds[i], to);
	}
}

void descriptor_drop_all(struct entities *en, struct process *p)
{
	while (!(p->marks & PROCESS_EXITED) && p->fd_count)
		remove_at(en, p, (uint16_t)(p->fd_count - 1));
}

static void drop_key(struct entities *en, const struct endpoint_object *o, struct holder holder)
{
	struct process_key key = {
		.start_ns = holder.start_ns, .node = o->key.node, .pid = holder.pid};
	struct endpoint_key gone = o->key;
	struct process *p = table_peek(en->live, &key);

	for (uint16_t i = p ? p->fd_count : 0; i > 0; i--)
		if (memcmp(&p->fds[i - 1].key, &gone, sizeof(gone)) == 0)
			remove_at(en, p, (uint16_t)(i - 1));
}

void endpoint_close(struct entities *en, const struct endpoint_key *key)
{
	struct endpoint_object *o = endpoint_find(en, key);
	struct holder holders[ENDPOINT_HOLDERS];
	uint8_t n = o ? o->holder_count[ENDPOINT_SIDE_NEAR] : 0;

	if (!o)
		return;
	memcpy(holders, o->holders[ENDPOINT_SIDE_NEAR], sizeof(holders));
	for (uint8_t i = 0; i < n; i++)
		drop_key(en, o, holders[i]);
	(void)table_remove(en->endpoints, key);
}
