/* One connection after another; see uplink.h. The thread reads top down: run → connect → serve. */
#include "node-agent/uplink.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc.h"
#include "common/tls.h"
#include "node-agent/uplink_message.h"

#define METHOD	       "/nightjar.v1.Ingest/Stream"
#define ANSWER_NS      (15 * NS_PER_SEC) /* for the Ack that answers Hello */
#define REPEAT_LOG_NS  (60 * NS_PER_SEC) /* of the same problem */
#define DRAIN_CHECK_MS 1000
#define MESSAGE_USUAL  (64UL << 10) /* bytes; one that opens an epoch is more */

struct uplink {
	struct uplink_config config;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. */
	struct rpc_stream *stream; /* to wake; NULL without a connection */
	bool stopping;
	uint64_t stop_deadline_ns;
	struct uplink_stats stats;
	/* The thread's own. */
	bool introduced; /* a collector has been told what runs */
	uint64_t backoff_ns;
	uint64_t logged_ns;
};

/* A connection. */
struct session {
	struct uplink *u;
	struct rpc_client *client;
	struct rpc_stream *stream;
	struct buf out;
	bool hello_sent;
	bool answered; /* the collector has said something */
	bool acked;    /* the Ack that answers Hello has come */
	bool sending;
	bool finishing; /* no more messages from here */
	uint32_t max_in_flight;
	uint64_t opened_ns;
	uint64_t beat_ns; /* when the last heartbeat was written; 0: none yet */
	/* Each batch of an unknown epoch is refused by a NeedEpoch of its own. */
	uint64_t reopened_seq; /* the batch that the last rewind went back to */
	size_t refusals_due;   /* of batches that were on their way then */
};

int uplink_new(const struct uplink_config *config, struct uplink **ret_uplink, struct err *e)
{
	struct uplink *u = calloc(1, sizeof(*u));

	if (!u)
		return err_set(e, -ENOMEM, "cannot make the uplink: out of memory");
	u->config = *config;
	(void)pthread_mutex_init(&u->lock, NULL);
	clock_cond_init(&u->changed);
	*ret_uplink = u;
	return 0;
}

void uplink_free(struct uplink *u)
{
	if (!u)
		return;
	(void)pthread_cond_destroy(&u->changed);
	(void)pthread_mutex_destroy(&u->lock);
	free(u);
}

static bool is_stopping(struct uplink *u, uint64_t *ret_deadline_ns)
{
	bool stopping;

	(void)pthread_mutex_lock(&u->lock);
	stopping = u->stopping;
	*ret_deadline_ns = u->stop_deadline_ns;
	(void)pthread_mutex_unlock(&u->lock);
	return stopping;
}

static void publish(struct uplink *u, struct rpc_stream *stream)
{
	(void)pthread_mutex_lock(&u->lock);
	u->stream = stream;
	(void)pthread_mutex_unlock(&u->lock);
}

void uplink_wakeup(struct uplink *u)
{
	(void)pthread_mutex_lock(&u->lock);
	if (u->stream)
		rpc_stream_wakeup(u->stream);
	(void)pthread_mutex_unlock(&u->lock);
}

void uplink_stats(struct uplink *u, struct uplink_stats *ret_stats)
{
	(void)pthread_mutex_lock(&u->lock);
	*ret_stats = u->stats;
	(void)pthread_mutex_unlock(&u->lock);
}

/* ---- what the collector says ---- */

static void on_answer(struct session *s)
{
	struct uplink *u = s->u;

	if (s->answered)
		return;
	s->answered = true;
	u->backoff_ns = 0;
	(void)pthread_mutex_lock(&u->lock);
	u->stats.connected = true;
	u->stats.connections++;
	u->stats.problem[0] = '\0';
	(void)pthread_mutex_unlock(&u->lock);
	u->config.connected(u->config.ctx);
}

static void on_ack(void *ctx, uint64_t seq)
{
	struct session *s = ctx;

	if (seq >= s->reopened_seq)
		s->refusals_due = 0;
	spool_ack(s->u->config.spool, seq);
	if (!s->acked && (seq == 0 || !s->u->introduced))
		s->u->config.unknown(s->u->config.ctx);
	s->acked = s->u->introduced = true;
}

/* One rewind answers the refusals of all batches that were on their way. Even if fewer come than are
 * due, nothing stands still: what is sent again is more than is due, and each is refused if need be. */
static void on_need_epoch(void *ctx)
{
	struct session *s = ctx;
	struct spool *spool = s->u->config.spool;
	size_t in_flight;

	if (s->refusals_due > 0) {
		s->refusals_due--;
		return;
	}
	s->reopened_seq = spool_resume_seq(spool);
	in_flight = spool_rewind(spool);
	s->refusals_due = in_flight > 0 ? in_flight - 1 : 0;
}

static void on_policy(void *ctx, struct uplink_policy *policy)
{
	struct session *s = ctx;

	s->u->config.policy(s->u->config.ctx, policy);
}

static void on_refused(void *ctx, uint32_t generation, const char *why)
{
	(void)ctx;
	log_warning("policy %u is refused: %s", generation, why);
}

static void on_throttle(void *ctx, uint32_t max_in_flight)
{
	struct session *s = ctx;

	/* One batch at least: with none, no acknowledgement would ever let the next one go. */
	s->max_in_flight = max_in_flight > 0 ? max_in_flight : 1;
	if (s->max_in_flight > s->u->config.max_in_flight)
		s->max_in_flight = s->u->config.max_in_flight;
}

static int take_message(struct session *s, struct bytes message, struct err *e)
{
	const struct uplink_handlers handlers = {
		.ack = on_ack,
		.need_epoch = on_need_epoch,
		.policy = on_policy,
		.refused = on_refused,
		.throttle = on_throttle,
		.ctx = s,
	};

	if (uplink_read(message, &handlers) < 0)
		return err_set(e, -EBADMSG, "%s sends what is no message of a collector", s->u->config.target);
	on_answer(s);
	return 0;
}

/* ---- what goes out ---- */

static int write_heartbeat(struct session *s)
{
	const struct uplink_config *config = &s->u->config;
	struct selfstats stats;
	struct cri_stats lookups;
	bool asked;
	/* The order matters: what is pushed after this look happened later than the look. */
	uint64_t boot_ns = clock_boot_ns();
	bool all_sent = spool_unsent(s->u->config.spool) == 0;

	selfstats_read(&stats);
	asked = config->lookups && config->lookups(config->ctx, &lookups);
	(void)pthread_mutex_lock(&s->u->lock);
	s->u->stats.heartbeats++;
	(void)pthread_mutex_unlock(&s->u->lock);
	return uplink_write_heartbeat(all_sent ? boot_ns : 0, (int64_t)(clock_wall_ns() - boot_ns), &stats,
				      asked ? &lookups : NULL, &s->out);
}

/* Writes what is due into s->out. 1, 0: nothing, negative: no memory. */
static int next_message(struct session *s, uint64_t now_ns)
{
	const struct uplink_config *config = &s->u->config;
	int r;

	buf_clear_to(&s->out, MESSAGE_USUAL);
	if (!s->hello_sent) {
		s->hello_sent = true;
		r = uplink_write_hello(config, spool_resume_seq(config->spool), &s->out);
		return r < 0 ? r : 1;
	}
	/* Also between batches: a busy agent is the one whose cost people want to know. */
	if (now_ns - s->beat_ns >= config->heartbeat_ns) {
		s->beat_ns = now_ns;
		r = write_heartbeat(s);
		return r < 0 ? r : 1;
	}
	return spool_take(config->spool, s->max_in_flight, config->node, &s->out);
}

static int send_next(struct session *s, uint64_t now_ns)
{
	int r;

	if (s->sending || s->finishing)
		return 0;
	r = next_message(s, now_ns);
	if (r <= 0)
		return r;
	r = rpc_stream_send(s->stream, buf_bytes(&s->out));
	if (r < 0)
		return r == -EPIPE ? 0 : r; /* closed: the reason comes with the next wait */
	s->sending = true;
	return 0;
}

/* ---- a connection ---- */

/* 1: it is over by our own will. */
static int take_event(struct session *s, const struct rpc_event *event, struct err *e)
{
	switch (event->kind) {
	case RPC_EVENT_MESSAGE:
		return take_message(s, event->data, e);
	case RPC_EVENT_SENT:
		s->sending = false;
		return 0;
	case RPC_EVENT_CLOSED:
		if (s->finishing)
			return 1;
		if (event->status == 0)
			return err_set(e, -ECONNRESET, "%s has ended the stream", s->u->config.target);
		return rpc_client_explain(s->client, event->status, event->text, e);
	case RPC_EVENT_TIMEOUT:
	case RPC_EVENT_WAKEUP:
	default:
		return 0;
	}
}

/* 1 when there is nothing more to wait for. */
static int drained(struct session *s, uint64_t now_ns)
{
	uint64_t deadline_ns;

	if (!is_stopping(s->u, &deadline_ns))
		return 0;
	if (now_ns >= deadline_ns || (!s->sending && spool_length(s->u->config.spool) == 0)) {
		if (s->finishing || s->sending || rpc_stream_finish_sending(s->stream) < 0)
			return now_ns >= deadline_ns;
		s->finishing = true;
	}
	return 0;
}

static int wait_ms(const struct session *s, uint64_t now_ns)
{
	uint64_t due = s->beat_ns + s->u->config.heartbeat_ns;
	uint64_t ms = due > now_ns ? (due - now_ns) / NS_PER_MS + 1 : 1;

	if (s->sending || s->finishing || ms > DRAIN_CHECK_MS)
		return DRAIN_CHECK_MS;
	return (int)ms;
}

static int serve(struct session *s, struct err *e)
{
	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();
		struct rpc_event event;
		int r = drained(s, now_ns);

		if (r != 0)
			return r;
		if (!s->answered && now_ns - s->opened_ns >= ANSWER_NS)
			return err_set(e, -ETIMEDOUT, "%s does not answer", s->u->config.target);
		if (send_next(s, now_ns) < 0)
			return err_set(e, -ENOMEM, "cannot send to %s: out of memory", s->u->config.target);
		rpc_stream_wait(s->stream, wait_ms(s, now_ns), &event);
		r = take_event(s, &event, e);
		if (r != 0)
			return r;
	}
}

static int connect_once(struct uplink *u, struct err *e)
{
	_cleanup_(tls_files_done) struct tls_files files = {0};
	_cleanup_(rpc_client_freep) struct rpc_client *client = NULL;
	_cleanup_(rpc_stream_freep) struct rpc_stream *stream = NULL;
	struct session s = {.u = u, .max_in_flight = u->config.max_in_flight, .opened_ns = clock_monotonic_ns()};
	int r;

	r = tls_load(u->config.ca, u->config.cert, u->config.key, clock_wall_ns(), &files, e);
	if (r < 0)
		return r;
	r = rpc_client_new(u->config.target, u->config.server_name, &files, &client, e);
	if (r < 0)
		return r;
	r = rpc_stream_open(client, METHOD, &stream, e);
	if (r < 0)
		return r;
	(void)spool_rewind(u->config.spool);
	s.client = client;
	s.stream = stream;
	s.out = buf_with_max(WIRE_MESSAGE_MAX);
	publish(u, stream);
	r = serve(&s, e);
	publish(u, NULL);
	buf_done(&s.out);
	return r;
}

/* ---- between connections ---- */

static void note_problem(struct uplink *u, const struct err *e)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool is_news;

	(void)pthread_mutex_lock(&u->lock);
	is_news = strcmp(u->stats.problem, e->text) != 0 || u->stats.connected;
	u->stats.connected = false;
	u->stats.failures++;
	(void)snprintf(u->stats.problem, sizeof(u->stats.problem), "%s", e->text);
	(void)pthread_mutex_unlock(&u->lock);
	if (!is_news && now_ns - u->logged_ns < REPEAT_LOG_NS)
		return;
	u->logged_ns = now_ns;
	log_warning("no connection to the collector: %s (events wait here meanwhile)", e->text);
}

/* Between half and all of the back-off, so that a cluster's agents do not return in step. */
static uint64_t spread(uint64_t backoff_ns)
{
	uint32_t chance = 0;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = (uint32_t)clock_monotonic_ns();
	return backoff_ns / 2 + (backoff_ns / 2) * (chance >> 8) / (1U << 24);
}

static void back_off(struct uplink *u)
{
	struct timespec ts;

	if (u->backoff_ns < u->config.backoff_min_ns)
		u->backoff_ns = u->config.backoff_min_ns;
	ts = clock_timespec(clock_monotonic_ns() + spread(u->backoff_ns));
	u->backoff_ns = u->backoff_ns * 2 < u->config.backoff_max_ns ? u->backoff_ns * 2 : u->config.backoff_max_ns;
	(void)pthread_mutex_lock(&u->lock);
	while (!u->stopping && pthread_cond_timedwait(&u->changed, &u->lock, &ts) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&u->lock);
}

static void *run(void *arg)
{
	struct uplink *u = arg;
	uint64_t deadline_ns;

	while (!is_stopping(u, &deadline_ns)) {
		struct err e = {0};

		if (connect_once(u, &e) > 0)
			break;
		note_problem(u, &e);
		back_off(u);
	}
	return NULL;
}

int uplink_start(struct uplink *u, struct err *e)
{
	int r = pthread_create(&u->thread, NULL, run, u);

	if (r != 0)
		return err_set(e, -r, "cannot start the uplink's thread: %s", strerror(r));
	u->started = true;
	return 0;
}

void uplink_stop(struct uplink *u, int timeout_ms)
{
	if (!u->started)
		return;
	(void)pthread_mutex_lock(&u->lock);
	u->stopping = true;
	u->stop_deadline_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	if (u->stream)
		rpc_stream_wakeup(u->stream);
	(void)pthread_cond_broadcast(&u->changed);
	(void)pthread_mutex_unlock(&u->lock);
	(void)pthread_join(u->thread, NULL);
	u->started = false;
}
