/* The state table of a stream: which message is expected in which state, and who handles it. What
 * the table does not list is refused.
 *
 * A session is touched by its call's queue thread only. It holds an arena of at most 1 MiB for
 * Hellos and the heads of batches, so a message's parts that are not its payload are bounded. */
#include "collector/ingest/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/arena.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"

#define SESSION_ARENA_BYTES (1UL << 20)
#define HELLO_BYTES_MAX	    (64UL << 10)
#define HELLO_TEXT_MAX	    256
#define HELLO_COVERAGE_MAX  64

enum state { STATE_HELLO, STATE_STREAMING, STATE_ENDED, STATE_MAX };
enum kind { KIND_HELLO, KIND_BATCH, KIND_HEARTBEAT, KIND_NONE, KIND_MAX };

struct sessions {
	struct intake *intake;
	const char *cluster; /* "": any */
	/* Held while a greeting is sent: a newer one that is told to all streams comes after it. */
	pthread_mutex_t greeting_lock;
	struct buf greeting;
	uint64_t (*now)(void);
	struct listen_method methods[2];
	struct metric *garbage, *unexpected, *other_node, *other_cluster, *hellos, *heartbeats;
};

struct session {
	struct sessions *all;
	struct listen_call *call; /* not a reference: the call outlives its session */
	struct node *node;	  /* a reference once the Hello was taken */
	struct arena *arena;
	enum state state;
};

/* One message, taken apart as far as its kind needs. */
struct input {
	enum kind kind;
	struct bytes raw;
	struct wire_batch_head head;	    /* batch */
	Nightjar__V1__AgentMessage *parsed; /* hello and heartbeat; owned by the driver */
	uint64_t received_ns;
};

static uint64_t wall_clock(void)
{
	return clock_wall_ns();
}

static enum state refuse(struct session *s, enum listen_status status, const char *text)
{
	listen_finish(s->call, status, text);
	return STATE_ENDED;
}

/* ---- hello ------------------------------------------------------------------------------------ */

static bool text_fits(const char *text, size_t max)
{
	return strlen(text) < max;
}

static bool hello_fits(const Nightjar__V1__Hello *h)
{
	size_t i;

	if (h->boot_id[0] == '\0' || !text_fits(h->boot_id, NODE_BOOT_MAX) ||
	    !text_fits(h->kernel, HELLO_TEXT_MAX) || !text_fits(h->agent_version, HELLO_TEXT_MAX) ||
	    h->n_coverage > HELLO_COVERAGE_MAX)
		return false;
	for (i = 0; i < h->n_coverage; i++)
		if (!text_fits(h->coverage[i]->class_, HELLO_TEXT_MAX) ||
		    !text_fits(h->coverage[i]->state, HELLO_TEXT_MAX) ||
		    !text_fits(h->coverage[i]->reason, 4 * HELLO_TEXT_MAX))
			return false;
	return true;
}

/* Empty means: the certificate's. */
static bool is_own(const char *claimed, const char *certified)
{
	return claimed[0] == '\0' || strcmp(claimed, certified) == 0;
}

static enum state refuse_claim(struct session *s, const struct tls_identity *id)
{
	char text[256];

	metric_add(s->all->other_node, 1);
	log_limited(LOG_LEVEL_WARNING, "%s holds the certificate of node '%s' and claims another",
		    listen_call_peer(s->call), id->node);
	(void)snprintf(text, sizeof(text),
		       "the hello names another node or cluster than the certificate; the certificate is that "
		       "of node '%.64s': set node.name and node.cluster ('%.32s') as there",
		       id->node, id->cluster);
	return refuse(s, LISTEN_PERMISSION_DENIED, text);
}

static int greet(struct session *s)
{
	int r = 0;

	(void)pthread_mutex_lock(&s->all->greeting_lock);
	if (s->all->greeting.len > 0)
		r = listen_send(s->call, buf_bytes(&s->all->greeting));
	(void)pthread_mutex_unlock(&s->all->greeting_lock);
	return r;
}

static enum state take_hello(struct session *s, struct input *in)
{
	const struct tls_identity *id = listen_call_identity(s->call);
	Nightjar__V1__Hello *hello = in->parsed->hello;

	if (!is_own(hello->node, id->node) || !is_own(hello->cluster, id->cluster))
		return refuse_claim(s, id);
	if (s->all->cluster[0] && strcmp(s->all->cluster, id->cluster) != 0) {
		metric_add(s->all->other_cluster, 1);
		return refuse(s, LISTEN_PERMISSION_DENIED,
			      "the certificate is another cluster's than this collector serves");
	}
	if (!hello_fits(hello)) {
		metric_add(s->all->garbage, 1);
		return refuse(s, LISTEN_INVALID_ARGUMENT, "the hello has no boot id, or a field too long");
	}
	s->node = nodes_get(intake_nodes(s->all->intake), id->cluster, id->node);
	if (!s->node)
		return refuse(s, LISTEN_UNAVAILABLE, "the collector has no memory: come back later");
	/* The node keeps the hello; what is left of the message is freed by the driver. */
	in->parsed->hello = NULL;
	in->parsed->body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY__NOT_SET;
	metric_add(s->all->hellos, 1);
	intake_hello(s->all->intake, s->node, s->call, hello, in->received_ns);
	if (greet(s) < 0)
		return refuse(s, LISTEN_UNAVAILABLE, "the stream takes no answer");
	return STATE_STREAMING;
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static enum state take_batch(struct session *s, struct input *in)
{
	if (!is_own(in->head.node, s->node->name)) {
		metric_add(s->all->other_node, 1);
		log_limited(LOG_LEVEL_WARNING, "node '%s' has sent a batch that claims another node",
			    s->node->name);
		return refuse(s, LISTEN_PERMISSION_DENIED,
			      "the batch names another node than the certificate");
	}
	switch (intake_batch(s->all->intake, s->node, s->call, in->raw, &in->head, in->received_ns)) {
	case INTAKE_SUPERSEDED:
		return refuse(s, LISTEN_UNAVAILABLE, "this node has opened a newer stream");
	case INTAKE_NO_MEMORY:
		return refuse(s, LISTEN_UNAVAILABLE, "the collector has no memory: come back later");
	default:
		return STATE_STREAMING;
	}
}

static enum state take_heartbeat(struct session *s, struct input *in)
{
	metric_add(s->all->heartbeats, 1);
	intake_heartbeat(s->all->intake, s->node, in->parsed->heartbeat, in->received_ns);
	return STATE_STREAMING;
}

typedef enum state (*handler)(struct session *s, struct input *in);

static const struct {
	const char *expected; /* for the sentence */
	handler handle[KIND_MAX];
} table[STATE_MAX] = {
	[STATE_HELLO] = {.expected = "a hello", .handle = {[KIND_HELLO] = take_hello}},
	[STATE_STREAMING] = {.expected = "batches and heartbeats",
			     .handle = {[KIND_BATCH] = take_batch,
					[KIND_HEARTBEAT] = take_heartbeat}},
	[STATE_ENDED] = {.expected = "nothing"},
};

/* What the message is; KIND_MAX: not one of ours. A batch is not unpacked here. */
static enum kind classify(struct session *s, struct bytes raw, struct input *ret_in)
{
	int r = wire_peek_batch(raw, s->arena, &ret_in->head);

	if (r == 0)
		return KIND_BATCH;
	if (r != -ENOMSG || raw.len > HELLO_BYTES_MAX)
		return KIND_MAX;
	ret_in->parsed = nightjar__v1__agent_message__unpack(NULL, raw.len, raw.data);
	if (!ret_in->parsed)
		return KIND_MAX;
	switch (ret_in->parsed->body_case) {
	case NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO:
		return KIND_HELLO;
	case NIGHTJAR__V1__AGENT_MESSAGE__BODY_HEARTBEAT:
		return KIND_HEARTBEAT;
	default:
		return KIND_NONE;
	}
}

static enum state step(struct session *s, struct input *in)
{
	char text[128];

	if (in->kind == KIND_MAX) {
		metric_add(s->all->garbage, 1);
		return refuse(s, LISTEN_INVALID_ARGUMENT, "the message is no nightjar.v1.AgentMessage");
	}
	if (!table[s->state].handle[in->kind]) {
		metric_add(s->all->unexpected, 1);
		(void)snprintf(text, sizeof(text), "unexpected message: %s expected here",
			       table[s->state].expected);
		return refuse(s, LISTEN_INVALID_ARGUMENT, text);
	}
	return table[s->state].handle[in->kind](s, in);
}

static void on_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct sessions *all = (struct sessions *)ctx;
	struct session *s = (struct session *)state;
	struct input in = {.raw = message, .received_ns = all->now()};

	(void)call;
	arena_reset(s->arena);
	in.kind = classify(s, message, &in);
	s->state = step(s, &in);
	if (in.parsed)
		nightjar__v1__agent_message__free_unpacked(in.parsed, NULL);
}

static int on_open(void *ctx, struct listen_call *call, void **ret_state)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s)
		s->arena = arena_new(SESSION_ARENA_BYTES);
	if (!s || !s->arena) {
		free(s);
		return listen_refuse(call, LISTEN_UNAVAILABLE, "the collector has no memory");
	}
	s->all = (struct sessions *)ctx;
	s->call = call;
	*ret_state = s;
	return LISTEN_OK;
}

static void on_half_closed(void *ctx, struct listen_call *call, void *state)
{
	(void)ctx;
	(void)state;
	listen_finish(call, LISTEN_OK, "");
}

static void on_closed(void *ctx, struct listen_call *call, void *state)
{
	struct sessions *all = (struct sessions *)ctx;
	struct session *s = (struct session *)state;

	if (s->node) {
		intake_bye(all->intake, s->node, call, all->now());
		node_unref(s->node);
	}
	arena_free(s->arena);
	free(s);
}

struct sessions *sessions_new(const struct session_config *config)
{
	static const char name[] = "nightjar_sessions_refused_total";
	static const char help[] = "Streams ended because of what the agent has sent.";
	struct sessions *s = calloc(1, sizeof(*s));
	struct metrics *m = config->metrics;

	if (!s)
		return NULL;
	s->intake = config->intake;
	s->cluster = config->cluster ? config->cluster : "";
	s->now = config->now ? config->now : wall_clock;
	(void)pthread_mutex_init(&s->greeting_lock, NULL);
	if (sessions_greet(s, config->greeting) < 0) {
		sessions_free(s);
		return NULL;
	}
	s->garbage = metrics_counter(m, name, "reason=\"garbage\"", help);
	s->unexpected = metrics_counter(m, name, "reason=\"unexpected\"", help);
	s->other_node = metrics_counter(m, name, "reason=\"other_node\"", help);
	s->other_cluster = metrics_counter(m, name, "reason=\"other_cluster\"", help);
	s->hellos = metrics_counter(m, "nightjar_sessions_total", NULL, "Hellos that were taken.");
	s->heartbeats = metrics_counter(m, "nightjar_heartbeats_total", NULL, "Heartbeats.");
	s->methods[0] = (struct listen_method){.path = "/nightjar.v1.Ingest/Stream",
					       .roles = TLS_ROLE_AGENT,
					       .open = on_open,
					       .message = on_message,
					       .half_closed = on_half_closed,
					       .closed = on_closed,
					       .ctx = s};
	return s;
}

int sessions_greet(struct sessions *s, struct bytes greeting)
{
	struct buf fresh = {0};

	buf_add(&fresh, greeting.data, greeting.len);
	if (buf_error(&fresh) < 0)
		return -ENOMEM;
	(void)pthread_mutex_lock(&s->greeting_lock);
	buf_done(&s->greeting);
	s->greeting = fresh;
	(void)pthread_mutex_unlock(&s->greeting_lock);
	return 0;
}

void sessions_free(struct sessions *s)
{
	if (!s)
		return;
	(void)pthread_mutex_destroy(&s->greeting_lock);
	buf_done(&s->greeting);
	free(s);
}

const struct listen_method *sessions_methods(struct sessions *s)
{
	return s->methods;
}
