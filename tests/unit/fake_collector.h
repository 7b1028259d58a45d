/* A collector for tests of the client side: the real listener with mTLS on a free port of 127.0.0.1,
 * a stream that records what an agent sends and answers as it is told, and an echo call.
 *
 * Everything below the lock is written by the listener's threads; tests wait for it with FAKE_AWAIT. */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "collector/ingest/listen.h"
#include "common/clock.h"
#include "common/tls.h"
#include "common/wire.h"
#include "nightjar/v1/agent.pb-c.h"
#include "tests/unit/unit.h"

#define FAKE_SEQS 256
#define FAKE_WAIT_S 20

struct fake {
	char dir[64];
	struct metrics *metrics;
	struct tls_files server_files;
	struct listen *listen;
	struct listen_method methods[3];
	const struct listen_method *tables[2];
	char target[64];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* How it answers. */
	bool mute;	       /* acknowledges nothing */
	bool forgetful;	       /* loses its definitions when a new stream comes */
	uint64_t hello_answer; /* seq of the first Ack */
	uint32_t throttle;     /* sent after Hello when not 0 */
	bool send_policy;      /* after Hello */
	/* Each batch that could be read, lock held; NULL: none. */
	void (*batch)(void *ctx, const struct wire_batch *batch);
	void *batch_ctx;
	/* What it has seen. */
	struct listen_call *call; /* the newest stream */
	uint32_t hellos, heartbeats, batches, stale, bad, closed, echoes;
	uint64_t resume_seq;
	char hello_node[64];
	uint64_t seqs[FAKE_SEQS]; /* of batches that could be read */
	bool opens[FAKE_SEQS];
	uint32_t events;	  /* in them */
	uint64_t last_event;
	uint64_t queue_losses;
	uint32_t waiting_beats; /* heartbeats that say that batches wait */
	uint64_t rss_bytes, cpu_ns; /* of the last heartbeat */
	uint64_t answered; /* lookups, of the same */
	char problem[128];
	struct wire_decoder *dec;
};

#define FAKE_AWAIT(f, condition)                                                                   \
	do {                                                                                       \
		struct timespec until_;                                                            \
		int timed_out_ = 0;                                                                \
		(void)clock_gettime(CLOCK_REALTIME, &until_);                                      \
		until_.tv_sec += FAKE_WAIT_S;                                                      \
		(void)pthread_mutex_lock(&(f)->lock);                                              \
		while (!(condition) && !timed_out_)                                                \
			timed_out_ = pthread_cond_timedwait(&(f)->changed, &(f)->lock, &until_);   \
		(void)pthread_mutex_unlock(&(f)->lock);                                            \
		if (timed_out_)                                                                    \
			fail_msg("never came true: %s", #condition);                               \
	} while (0)

/* ---- certificates ---- */

static inline void fake_make_cert(const char *dir, const char *name, enum tls_role role, int64_t not_after_s)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	struct tls_request request = {
		.name = name,
		.identity = {.role = role, .cluster = "c", .namespace = "n"},
		.hosts = role == TLS_ROLE_COLLECTOR ? hosts : NULL,
		.not_before_s = -3600,
		.not_after_s = not_after_s,
	};
	struct err e = {0};

	if (role == TLS_ROLE_AGENT)
		(void)snprintf(request.identity.node, sizeof(request.identity.node), "n1");
	if (tls_make_cert(dir, &request, &e) < 0)
		fail_msg("%s", e.text);
}

static inline char *fake_read(const char *dir, const char *file)
{
	char path[160];
	char *text = calloc(1, 16384);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, 16383, f) > 0);
	(void)fclose(f);
	return text;
}

/* Without the checks of tls_load: some tests want bad ones. */
static inline struct tls_files fake_files(const char *dir, const char *name)
{
	char cert[64], key[64];

	(void)snprintf(cert, sizeof(cert), "%s.pem", name);
	(void)snprintf(key, sizeof(key), "%s-key.pem", name);
	return (struct tls_files){fake_read(dir, "ca.pem"), fake_read(dir, cert), fake_read(dir, key)};
}

/* ---- the stream ---- */

static inline void fake_send(struct listen_call *call, const Nightjar__V1__CollectorMessage *message)
{
	uint8_t packed[512];
	size_t size = nightjar__v1__collector_message__pack(message, packed);

	if (listen_send(call, bytes_of(packed, size)) < 0)
		return; /* the stream is over: the test will see */
}

static inline void fake_ack(struct listen_call *call, uint64_t seq)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Ack ack = NIGHTJAR__V1__ACK__INIT;

	ack.seq = seq;
	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK;
	message.ack = &ack;
	fake_send(call, &message);
}

static inline void fake_need_epoch(struct listen_call *call, uint32_t epoch)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__NeedEpoch need = NIGHTJAR__V1__NEED_EPOCH__INIT;

	need.epoch = epoch;
	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_NEED_EPOCH;
	message.need_epoch = &need;
	fake_send(call, &message);
}

static inline void fake_greet(const struct fake *f, struct listen_call *call)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Throttle throttle = NIGHTJAR__V1__THROTTLE__INIT;
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	char *classes[] = {(char *)(uintptr_t)"file", (char *)(uintptr_t)"no such class"};
	char *names[] = {(char *)(uintptr_t)"shadow"};

	if (f->throttle) {
		throttle.max_batches_in_flight = f->throttle;
		message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_THROTTLE;
		message.throttle = &throttle;
		fake_send(call, &message);
	}
	if (f->send_policy) {
		policy.generation = 7;
		policy.n_classes = 2;
		policy.classes = classes;
		policy.n_open_names = 1;
		policy.open_names = names;
		message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY;
		message.policy = &policy;
		fake_send(call, &message);
	}
	fake_ack(call, f->hello_answer);
}

static inline void fake_read_batch(struct fake *f, struct listen_call *call, struct bytes message)
{
	struct arena *arena = arena_new(0);
	struct wire_batch batch = {0};
	int r = wire_decode_batch(f->dec, message, arena, &batch);

	if (r == 0) {
		f->seqs[f->batches % FAKE_SEQS] = batch.head.seq;
		f->opens[f->batches++ % FAKE_SEQS] = batch.head.opens_epoch;
		f->events += batch.event_count;
		if (batch.event_count > 0)
			f->last_event = batch.events[batch.event_count - 1].seq;
		for (uint32_t i = 0; i < batch.loss_count; i++)
			if (batch.losses[i].reason == LOSS_REASON_QUEUE)
				f->queue_losses += batch.losses[i].count;
		if (f->batch)
			f->batch(f->batch_ctx, &batch);
		if (!f->mute)
			fake_ack(call, batch.head.seq);
	} else if (r == -ESTALE) {
		f->stale++;
		fake_need_epoch(call, 0);
	} else {
		f->bad++;
	}
	arena_free(arena);
}

static inline int fake_open(void *ctx, struct listen_call *call, void **ret_state)
{
	struct fake *f = ctx;

	(void)pthread_mutex_lock(&f->lock);
	if (f->call)
		listen_call_unref(f->call);
	f->call = listen_call_ref(call);
	if (f->forgetful) {
		wire_decoder_free(f->dec);
		f->dec = wire_decoder_new(WIRE_DEFINITIONS_MAX);
	}
	(void)pthread_mutex_unlock(&f->lock);
	*ret_state = NULL;
	return LISTEN_OK;
}

static inline void fake_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct fake *f = ctx;
	Nightjar__V1__AgentMessage *in = nightjar__v1__agent_message__unpack(NULL, message.len, message.data);

	(void)state;
	(void)pthread_mutex_lock(&f->lock);
	if (in && in->body_case == NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO) {
		f->hellos++;
		f->resume_seq = in->hello->resume_seq;
		(void)snprintf(f->hello_node, sizeof(f->hello_node), "%s", in->hello->node);
		fake_greet(f, call);
	} else if (in && in->body_case == NIGHTJAR__V1__AGENT_MESSAGE__BODY_HEARTBEAT) {
		f->heartbeats++;
		f->waiting_beats += in->heartbeat->boot_ns == 0;
		f->rss_bytes = in->heartbeat->rss_bytes;
		f->cpu_ns = in->heartbeat->cpu_ns;
		if (in->heartbeat->container_lookups) {
			f->answered = in->heartbeat->container_lookups->answered;
			(void)snprintf(f->problem, sizeof(f->problem), "%s",
				       in->heartbeat->container_lookups->problem);
		}
	} else {
		fake_read_batch(f, call, message);
	}
	(void)pthread_cond_broadcast(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
	if (in)
		nightjar__v1__agent_message__free_unpacked(in, NULL);
}

static inline void fake_half_closed(void *ctx, struct listen_call *call, void *state)
{
	(void)ctx;
	(void)state;
	listen_finish(call, LISTEN_OK, "");
}

static inline void fake_closed(void *ctx, struct listen_call *call, void *state)
{
	struct fake *f = ctx;

	(void)call;
	(void)state;
	(void)pthread_mutex_lock(&f->lock);
	f->closed++;
	(void)pthread_cond_broadcast(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
}

/* "refuse": a status with a sentence; anything else comes back. */
static inline void fake_echo(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct fake *f = ctx;

	(void)state;
	(void)pthread_mutex_lock(&f->lock);
	f->echoes++;
	(void)pthread_cond_broadcast(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
	if (bytes_equal(message, bytes_of_text("refuse"))) {
		listen_finish(call, LISTEN_NOT_FOUND, "there is no such thing");
		return;
	}
	if (listen_send(call, message) < 0)
		return;
	listen_finish(call, LISTEN_OK, "");
}

/* ---- life ---- */

static inline int fake_start_with(struct fake *f, const char *address, struct err *e)
{
	const struct listen_config config = {
		.address = address,
		.files = &f->server_files,
		.threads = 2,
		.methods = f->tables,
		.metrics = f->metrics,
	};
	char target[sizeof(f->target)];
	int r = listen_new(&config, &f->listen, e);

	if (r < 0)
		return r;
	(void)snprintf(target, sizeof(target), "127.0.0.1:%u", listen_port(f->listen));
	/* A second start on the same port: somebody may be reading it. */
	if (strcmp(f->target, target) != 0)
		(void)snprintf(f->target, sizeof(f->target), "%s", target);
	return 0;
}

static inline void fake_start(struct fake *f, const char *address)
{
	struct err e = {0};

	if (fake_start_with(f, address, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void fake_stop(struct fake *f)
{
	if (!f->listen)
		return;
	listen_stop(f->listen, 0);
	if (f->call)
		listen_call_unref(f->call);
	f->call = NULL;
	listen_free(f->listen);
	f->listen = NULL;
}

static inline struct fake *fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct err e = {0};

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nj-fake-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(tls_make_ca(f->dir, "c", 1, &e), 0);
	fake_make_cert(f->dir, "server", TLS_ROLE_COLLECTOR, 3600);
	fake_make_cert(f->dir, "agent", TLS_ROLE_AGENT, 3600);
	f->server_files = fake_files(f->dir, "server");
	f->metrics = metrics_new();
	f->dec = wire_decoder_new(WIRE_DEFINITIONS_MAX);
	f->methods[0] = (struct listen_method){
		.path = "/nightjar.v1.Ingest/Stream",
		.roles = TLS_ROLE_AGENT,
		.open = fake_open,
		.message = fake_message,
		.half_closed = fake_half_closed,
		.closed = fake_closed,
		.ctx = f,
	};
	f->methods[1] = (struct listen_method){
		.path = "/test/Echo", .roles = TLS_ROLE_AGENT, .message = fake_echo, .ctx = f};
	f->tables[0] = f->methods;
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
	return f;
}

static inline void fake_free(struct fake *f)
{
	char command[128];

	fake_stop(f);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	tls_files_done(&f->server_files);
	wire_decoder_free(f->dec);
	metrics_free(f->metrics);
	(void)pthread_cond_destroy(&f->changed);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
