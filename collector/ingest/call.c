/* One call's life as a table of states: what may be sent, whether messages are still delivered,
 * and what comes next.
 *
 *   OPEN ── finish ──→ FINISHING ── queue empty ──→ FINISHED ── peer gone ──→ OVER
 *     └────────────────── peer gone, from any state ─────────────────────────↗
 *
 * Three operations can be under way at once: the notice that the call is over (armed for its whole
 * life), one read, one write. Sizes: a call is about 1 KiB, its queue at most 256 messages or
 * 4 MiB. */
#include "collector/ingest/call.h"
#include "collector/ingest/gate.h"
#include "collector/ingest/peers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

enum call_state { CALL_OPEN, CALL_FINISHING, CALL_FINISHED, CALL_OVER };

static const struct {
	bool sends;    /* listen_send is taken */
	bool finishes; /* listen_finish means something */
	bool delivers; /* the peer's messages reach the method */
} rules[] = {
	[CALL_OPEN] = {.sends = true, .finishes = true, .delivers = true},
	[CALL_FINISHING] = {0},
	[CALL_FINISHED] = {0},
	[CALL_OVER] = {0},
};

enum call_receive { RECEIVE_IDLE, RECEIVE_ARMED, RECEIVE_HANDLING, RECEIVE_ENDED };

struct outgoing {
	struct outgoing *next;
	grpc_byte_buffer *message;
	size_t len;
};

struct listen_call {
	atomic_uint refs;
	grpc_call *call; /* NULL once it is over; used under lock */
	const struct listen_method *method;
	struct listen_counters *counters;
	struct tls_identity identity;
	char *peer; /* gpr_malloc'ed */
	struct gate_ticket ticket;
	void *state;
	uint32_t slot;	  /* of peers.h */
	struct buf *flat; /* queue thread */

	struct completion on_over, on_receive, on_send;
	grpc_byte_buffer *incoming; /* of the read under way */
	int cancelled;		    /* of the notice */

	pthread_mutex_t lock; /* all below */
	enum call_state at;
	bool opened; /* the method's open has answered LISTEN_OK */
	enum call_receive receive;
	bool paused;
	bool writing;
	unsigned int pending; /* operations under way */
	struct outgoing *head, **tail;
	unsigned int queued;
	size_t queued_bytes;
	enum listen_status status;
	char text[CALL_TEXT_MAX];
	grpc_slice details; /* of the status under way */
};

static void outgoing_free(struct outgoing *o)
{
	grpc_byte_buffer_destroy(o->message);
	free(o);
}

struct listen_call *listen_call_ref(struct listen_call *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void listen_call_unref(struct listen_call *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	while (c->head) {
		struct outgoing *o = c->head;

		c->head = o->next;
		outgoing_free(o);
	}
	grpc_slice_unref(c->details);
	gpr_free(c->peer);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

const struct tls_identity *listen_call_identity(const struct listen_call *c)
{
	return &c->identity;
}

const char *listen_call_peer(const struct listen_call *c)
{
	return c->peer ? c->peer : "";
}

/* Lock held. The operation holds a reference until its completion has been handled. */
static void start(struct listen_call *c, const grpc_op *ops, size_t count, struct completion *tag)
{
	c->pending++;
	(void)listen_call_ref(c);
	if (grpc_call_start_batch(c->call, ops, count, tag, NULL) != GRPC_CALL_OK) {
		/* Only a misuse of ours ends here; the peer gets what is left: the end of the call. */
		(void)grpc_call_cancel(c->call, NULL);
		c->pending--;
		atomic_fetch_sub_explicit(&c->refs, 1, memory_order_relaxed);
	}
}

/* Lock held. */
static void arm_receive(struct listen_call *c)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	op.data.recv_message.recv_message = &c->incoming;
	c->receive = RECEIVE_ARMED;
	start(c, &op, 1, &c->on_receive);
}

static void send_message(struct listen_call *c)
{
	struct outgoing *o = c->head;
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	c->head = o->next;
	if (!c->head)
		c->tail = &c->head;
	c->queued--;
	c->queued_bytes -= o->len;
	op.data.send_message.send_message = o->message;
	c->writing = true;
	start(c, &op, 1, &c->on_send);
	outgoing_free(o); /* the library keeps the slices it still needs */
	metric_add(c->counters->sent, 1);
	gate_sent(c->ticket);
}

static void send_status(struct listen_call *c)
{
	grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};

	grpc_slice_unref(c->details);
	c->details = grpc_slice_from_copied_string(c->text);
	op.data.send_status_from_server.status = (grpc_status_code)c->status;
	op.data.send_status_from_server.status_details = &c->details;
	c->at = CALL_FINISHED;
	c->writing = true;
	start(c, &op, 1, &c->on_send);
}

/* Lock held. One write at a time: what is queued, then the status. */
static void write_next(struct listen_call *c)
{
	if (c->writing || c->at == CALL_OVER)
		return;
	if (c->head)
		send_message(c);
	else if (c->at == CALL_FINISHING)
		send_status(c);
}

/* After every completion, lock held on entry, released here. The last one after the end lets go of
 * the method and of the library's call. */
static void settle(struct listen_call *c)
{
	bool last = --c->pending == 0 && c->at == CALL_OVER;
	bool opened = c->opened;
	grpc_call *call = c->call;

	if (last)
		c->call = NULL;
	(void)pthread_mutex_unlock(&c->lock);
	if (last) {
		if (opened && c->method->closed)
			c->method->closed(c->method->ctx, c, c->state);
		grpc_call_unref(call);
		gate_lower(c->ticket);
		if (c->slot != CALL_NO_SLOT)
			peers_leave(c->counters->peers, c->slot);
		metric_set(c->counters->open, atomic_fetch_sub(&c->counters->open_now, 1) - 1);
		listen_call_unref(c); /* the first reference */
	}
	listen_call_unref(c); /* the operation's */
}

static void over(struct completion *self, bool ok)
{
	struct listen_call *c = self->call;

	(void)ok;
	(void)pthread_mutex_lock(&c->lock);
	if (c->cancelled)
		metric_add(c->counters->broken, 1);
	c->at = CALL_OVER;
	settle(c);
}

static void sent(struct completion *self, bool ok)
{
	struct listen_call *c = self->call;

	(void)pthread_mutex_lock(&c->lock);
	c->writing = false;
	if (ok)
		write_next(c);
	settle(c);
}

/* A message of one uncompressed slice is read in place; others are made flat first. False: it is
 * larger than a message may be, or there is no memory. */
static bool flatten(struct listen_call *c, grpc_byte_buffer *message,
		    void (*then)(struct listen_call *c, struct bytes data))
{
	size_t total = grpc_byte_buffer_length(message);
	grpc_byte_buffer_reader reader;
	grpc_slice *slice;
	bool whole = false;

	if (!grpc_byte_buffer_reader_init(&reader, message))
		return false;
	buf_clear(c->flat);
	while (!whole && grpc_byte_buffer_reader_peek(&reader, &slice)) {
		struct bytes part = bytes_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));

		whole = part.len == total;
		if (whole)
			then(c, part);
		else
			buf_add(c->flat, part.data, part.len);
	}
	grpc_byte_buffer_reader_destroy(&reader);
	if (whole)
		return true;
	if (buf_error(c->flat) != 0)
		return false;
	then(c, buf_bytes(c->flat));
	return true;
}

static void deliver(struct listen_call *c, struct bytes data)
{
	metric_add(c->counters->received, 1);
	c->method->message(c->method->ctx, c, c->state, data);
	gate_renew(c->ticket, c->identity.role == TLS_ROLE_AGENT ? GATE_CREDIT_AGENT : GATE_CREDIT_OTHER);
}

static bool delivers(struct listen_call *c)
{
	bool yes;

	(void)pthread_mutex_lock(&c->lock);
	yes = rules[c->at].delivers;
	(void)pthread_mutex_unlock(&c->lock);
	return yes;
}

static void handle(struct listen_call *c, grpc_byte_buffer *message)
{
	if (!delivers(c))
		return;
	if (message) {
		if (!flatten(c, message, deliver))
			listen_finish(c, LISTEN_RESOURCE_EXHAUSTED, "the message is too large");
	} else if (c->method->half_closed) {
		c->method->half_closed(c->method->ctx, c, c->state);
	}
}

static void received(struct completion *self, bool ok)
{
	struct listen_call *c = self->call;
	grpc_byte_buffer *message = ok ? take_ptr(c->incoming) : NULL;

	(void)pthread_mutex_lock(&c->lock);
	c->receive = message ? RECEIVE_HANDLING : RECEIVE_ENDED;
	(void)pthread_mutex_unlock(&c->lock);
	if (ok)
		handle(c, message);
	(void)pthread_mutex_lock(&c->lock);
	if (message) {
		c->receive = RECEIVE_IDLE;
		if (!c->paused && rules[c->at].delivers)
			arm_receive(c);
	}
	settle(c);
	if (message)
		grpc_byte_buffer_destroy(message);
}

struct listen_call *call_new(grpc_call *call, const struct listen_method *method,
			     const struct tls_identity *identity, uint32_t slot, struct buf *flat,
			     struct listen_counters *counters)
{
	struct listen_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->call = call;
	c->method = method;
	c->identity = *identity;
	c->slot = slot;
	c->flat = flat;
	c->counters = counters;
	c->peer = grpc_call_get_peer(call);
	c->ticket = gate_find(c->peer);
	c->on_over = (struct completion){.done = over, .call = c};
	c->on_receive = (struct completion){.done = received, .call = c};
	c->on_send = (struct completion){.done = sent, .call = c};
	c->tail = &c->head;
	c->details = grpc_empty_slice();
	(void)pthread_mutex_init(&c->lock, NULL);
	return c;
}

/* The notice of the end, and the headers at once: a stream's peer may wait for them. Lock held. */
static void begin(struct listen_call *c)
{
	grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	grpc_op headers = {.op = GRPC_OP_SEND_INITIAL_METADATA};

	metric_set(c->counters->open, atomic_fetch_add(&c->counters->open_now, 1) + 1);
	end.data.recv_close_on_server.cancelled = &c->cancelled;
	start(c, &end, 1, &c->on_over);
	c->writing = true;
	start(c, &headers, 1, &c->on_send);
}

void call_start(struct listen_call *c)
{
	int status = LISTEN_OK;

	(void)pthread_mutex_lock(&c->lock);
	begin(c);
	(void)pthread_mutex_unlock(&c->lock);
	if (c->identity.role == TLS_ROLE_AGENT)
		gate_raise(c->ticket);
	if (c->method->open)
		status = c->method->open(c->method->ctx, c, &c->state);
	if (status != LISTEN_OK) {
		listen_finish(c, (enum listen_status)status, NULL);
		return;
	}
	(void)pthread_mutex_lock(&c->lock);
	c->opened = true;
	if (!c->paused && rules[c->at].delivers)
		arm_receive(c);
	(void)pthread_mutex_unlock(&c->lock);
}

void call_reject(struct listen_call *c, enum listen_status status, const char *text)
{
	(void)pthread_mutex_lock(&c->lock);
	begin(c);
	(void)pthread_mutex_unlock(&c->lock);
	listen_finish(c, status, text);
}

int listen_refuse(struct listen_call *c, enum listen_status status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)pthread_mutex_lock(&c->lock);
	(void)vsnprintf(c->text, sizeof(c->text), fmt, args);
	(void)pthread_mutex_unlock(&c->lock);
	va_end(args);
	return (int)status;
}

void listen_pause(struct listen_call *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->paused = true;
	(void)pthread_mutex_unlock(&c->lock);
}

void listen_resume(struct listen_call *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->paused = false;
	if (c->receive == RECEIVE_IDLE && c->opened && rules[c->at].delivers)
		arm_receive(c);
	(void)pthread_mutex_unlock(&c->lock);
}

/* Lock held. */
static int enqueue(struct listen_call *c, struct bytes message)
{
	struct outgoing *o;
	grpc_slice slice;

	if (!rules[c->at].sends)
		return -EPIPE;
	if (c->queued >= CALL_QUEUE_MESSAGES || c->queued_bytes + message.len > CALL_QUEUE_BYTES) {
		metric_add(c->counters->slow, 1);
		return -ENOBUFS;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOBUFS;
	slice = grpc_slice_from_copied_buffer((const char *)message.data, message.len);
	o->message = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	o->len = message.len;
	*c->tail = o;
	c->tail = &o->next;
	c->queued++;
	c->queued_bytes += message.len;
	write_next(c);
	return 0;
}

int listen_send(struct listen_call *c, struct bytes message)
{
	int r;

	(void)pthread_mutex_lock(&c->lock);
	r = enqueue(c, message);
	(void)pthread_mutex_unlock(&c->lock);
	return r;
}

/* text NULL: what listen_refuse has left. */
void listen_finish(struct listen_call *c, enum listen_status status, const char *text)
{
	(void)pthread_mutex_lock(&c->lock);
	if (rules[c->at].finishes) {
		c->at = CALL_FINISHING;
		c->status = status;
		if (text)
			(void)snprintf(c->text, sizeof(c->text), "%s", text);
		write_next(c);
	}
	(void)pthread_mutex_unlock(&c->lock);
}
