/* The alert thread; see deliver.h.
 *
 * One turn: take an alert from the queue, store it, make its JSON once, put it at the end of the
 * ring, then let every sink take what it has not taken yet. Each sink has a position of its own in
 * the ring, so one that is full (a broker that is down) holds back nobody else until the ring is
 * full; then the queue fills, and the detectors wait: nothing is dropped. */
#include "collector/deliver.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/proto_json.h"
#include "common/queue.h"

#define SINKS_MAX	8
#define WAIT_BUSY_MS	50   /* a sink is full or waits for confirmations */
#define WAIT_IDLE_MS	1000 /* sinks report trouble with their far side from poll */
#define ALERT_JSON_MAX	(1UL << 20)

struct item {
	struct alert *alert;
	struct buf json;
};

struct outlet {
	struct sink *sink;
	uint64_t at; /* position of the next alert to take */
	struct metric *delivered, *failed, *queued;
};

struct deliver {
	struct store *store;
	struct queue *queue;
	bool replay;
	pthread_t thread;
	bool running;
	uint64_t stop_at_ns; /* monotonic; set before the queue is closed */
	struct outlet outlets[SINKS_MAX];
	size_t outlet_count;
	struct metric *alerts, *repeated, *unstored, *unwritable;
	uint64_t first, next; /* positions in the ring: the oldest held, the next to fill */
	size_t capacity;
	struct item items[];
};

static struct item *item_at(struct deliver *d, uint64_t position)
{
	return &d->items[position % d->capacity];
}

/* ---- taking one alert ---- */

/* Delivery data. A replay leaves it out: the same recording gives the same bytes. */
static int set_timing(struct deliver *d, struct alert *a)
{
	if (!a->msg.timing) {
		a->msg.timing = arena_alloc(a->arena, sizeof(*a->msg.timing));
		if (!a->msg.timing)
			return -ENOMEM;
		nightjar__v1__timing__init(a->msg.timing);
	}
	a->msg.timing->detected_ns = d->replay ? 0 : (int64_t)clock_wall_ns();
	if (d->replay)
		a->msg.timing->received_ns = 0;
	return 0;
}

/* True when the sinks are to have it. An alert that the disk refuses still reaches people. */
static bool store(struct deliver *d, const struct alert *a)
{
	struct err e = {0};
	int r = store_put(d->store, &a->msg, &e);

	if (r == 0)
		metric_add(d->repeated, 1);
	if (r >= 0)
		return r > 0;
	metric_add(d->unstored, 1);
	log_limited(LOG_LEVEL_ERROR, "alert %s is sent but not kept: %s", a->msg.id, e.text);
	return true;
}

static bool keep(struct deliver *d, struct alert *a)
{
	int r = set_timing(d, a);

	if (r == 0)
		r = proto_utf8_clean(&a->msg.base, a->arena);
	if (r < 0) {
		metric_add(d->unstored, 1);
		log_limited(LOG_LEVEL_ERROR, "alert %s is left as its detector made it: %s", a->msg.id,
			    strerror(-r));
	}
	return store(d, a);
}

static bool prepare(struct deliver *d, struct alert *a, struct buf *json)
{
	int r;

	if (!keep(d, a))
		return false;
	r = proto_json_write(json, &a->msg.base);
	if (r == 0)
		(void)buf_text(json);
	if (r < 0) {
		metric_add(d->unwritable, 1);
		log_limited(LOG_LEVEL_ERROR, "cannot write alert %s as JSON: %s", a->msg.id, strerror(-r));
	}
	return r == 0;
}

static void take(struct deliver *d, struct alert *alert)
{
	_cleanup_(alert_freep) struct alert *a = alert;
	struct buf json = buf_with_max(ALERT_JSON_MAX);

	metric_add(d->alerts, 1);
	if (!prepare(d, a, &json)) {
		buf_done(&json);
		return;
	}
	*item_at(d, d->next) = (struct item){.alert = take_ptr(a), .json = json};
	d->next++;
}

/* ---- handing out ---- */

static int publish(struct outlet *o, const struct item *item)
{
	const struct sink_alert a = {
		.alert = &item->alert->msg,
		.json = (const char *)item->json.data,
		.json_len = (uint32_t)item->json.len,
	};

	return o->sink->type->publish(o->sink, &a);
}

/* True when the sink still owes something: alerts to take or confirmations to get. */
static bool feed(struct deliver *d, struct outlet *o)
{
	struct sink_stats stats = {0};

	o->sink->type->poll(o->sink);
	while (o->at < d->next && publish(o, item_at(d, o->at)) != -EAGAIN)
		o->at++;
	o->sink->type->stats(o->sink, &stats);
	metric_set(o->delivered, stats.delivered);
	metric_set(o->failed, stats.failed);
	metric_set(o->queued, stats.queued + (d->next - o->at));
	return stats.queued > 0 || o->at < d->next;
}

static void release_taken(struct deliver *d)
{
	uint64_t oldest = d->next;

	for (size_t i = 0; i < d->outlet_count; i++)
		oldest = d->outlets[i].at < oldest ? d->outlets[i].at : oldest;
	for (; d->first < oldest; d->first++) {
		struct item *item = item_at(d, d->first);

		alert_free(take_ptr(item->alert));
		buf_done(&item->json);
	}
}

static bool feed_all(struct deliver *d)
{
	bool owing = false;

	for (size_t i = 0; i < d->outlet_count; i++)
		owing |= feed(d, &d->outlets[i]);
	release_taken(d);
	return owing;
}

static bool past_deadline(const struct deliver *d)
{
	return queue_is_closed(d->queue) &&
	       clock_monotonic_ns() >= __atomic_load_n(&d->stop_at_ns, __ATOMIC_ACQUIRE);
}

static void wait_a_turn(void)
{
	struct timespec turn = {.tv_nsec = WAIT_BUSY_MS * (long)NS_PER_MS};

	(void)nanosleep(&turn, NULL);
}

/* One turn. False when there is nothing left to do. */
static bool turn(struct deliver *d, bool *owing)
{
	struct alert *a = NULL;

	if (d->next - d->first < d->capacity)
		a = queue_pop(d->queue, *owing ? WAIT_BUSY_MS : WAIT_IDLE_MS);
	else
		wait_a_turn();
	if (a)
		take(d, a);
	*owing = feed_all(d);
	if (a || !queue_is_closed(d->queue))
		return true;
	if (d->first == d->next && queue_length(d->queue) == 0)
		return false;
	if (past_deadline(d))
		return false;
	wait_a_turn();
	return true;
}

static void *alert_thread(void *arg)
{
	struct deliver *d = arg;
	bool owing = false;

	while (turn(d, &owing))
		;
	return NULL;
}

/* ---- life ---- */

static struct metric *sink_metric(struct metrics *m, const struct sink *sink, const char *name, const char *help,
				  bool gauge)
{
	char labels[64];

	(void)snprintf(labels, sizeof(labels), "sink=\"%s\"", sink->type->name);
	return gauge ? metrics_gauge(m, name, labels, help) : metrics_counter(m, name, labels, help);
}

static void add_outlet(struct deliver *d, struct metrics *m, struct sink *sink)
{
	struct outlet *o = &d->outlets[d->outlet_count++];

	o->sink = sink;
	o->delivered = sink_metric(m, sink, "nightjar_sink_delivered_total", "Alerts that a sink's far side has.",
				   false);
	o->failed = sink_metric(m, sink, "nightjar_sink_failed_total", "Alerts that a sink gave up.", false);
	o->queued = sink_metric(m, sink, "nightjar_sink_waiting", "Alerts on their way through a sink.", true);
}

static void add_metrics(struct deliver *d, struct metrics *m)
{
	d->alerts = metrics_counter(m, "nightjar_alerts_total", NULL, "Alerts that detectors made.");
	d->repeated = metrics_counter(m, "nightjar_alerts_repeated_total", NULL,
				      "Alerts that the store had already, so not sent again.");
	d->unstored = metrics_counter(m, "nightjar_alerts_unstored_total", NULL,
				      "Alerts that were sent although the store failed.");
	d->unwritable = metrics_counter(m, "nightjar_alerts_unwritable_total", NULL,
					"Alerts in the store that could not be written as JSON.");
}

int deliver_new(const struct deliver_config *config, struct deliver **ret_deliver, struct err *e)
{
	struct deliver *d;
	int r;

	assert(config->queue_capacity > 0);
	d = calloc(1, sizeof(*d) + config->queue_capacity * sizeof(d->items[0]));
	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->capacity = config->queue_capacity;
	d->store = config->store;
	d->replay = config->replay;
	d->queue = queue_new(config->queue_capacity);
	add_metrics(d, config->metrics);
	for (size_t i = 0; config->sinks[i]; i++) {
		assert(i < SINKS_MAX);
		add_outlet(d, config->metrics, config->sinks[i]);
	}
	r = d->queue ? -pthread_create(&d->thread, NULL, alert_thread, d) : -ENOMEM;
	if (r < 0) {
		deliver_free(d);
		return err_set(e, r, "cannot start the alert thread: %s", strerror(-r));
	}
	d->running = true;
	*ret_deliver = d;
	return 0;
}

void deliver_submit(struct deliver *d, struct alert *alert)
{
	if (queue_push(d->queue, alert) == 0)
		return;
	log_error("alert %s came after the end and is lost", alert->msg.id);
	alert_free(alert);
}

/* What the time did not suffice for is kept for the query API. */
static int keep_rest(struct deliver *d)
{
	int count = 0;

	for (struct alert *a; (a = queue_pop(d->queue, 0)); count++) {
		(void)keep(d, a);
		alert_free(a);
	}
	return count;
}

static int drain(struct deliver *d)
{
	int unconfirmed = keep_rest(d);

	for (size_t i = 0; i < d->outlet_count; i++) {
		struct outlet *o = &d->outlets[i];
		uint64_t now = clock_monotonic_ns();
		int left_ms = d->stop_at_ns > now ? (int)((d->stop_at_ns - now) / NS_PER_MS) : 0;

		unconfirmed += o->sink->type->drain(o->sink, left_ms) + (int)(d->next - o->at);
	}
	return unconfirmed;
}

int deliver_stop(struct deliver *d, int timeout_ms)
{
	__atomic_store_n(&d->stop_at_ns, clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS, __ATOMIC_RELEASE);
	queue_close(d->queue);
	(void)pthread_join(d->thread, NULL);
	d->running = false;
	return drain(d);
}

void deliver_free(struct deliver *d)
{
	if (!d)
		return;
	assert(!d->running);
	for (; d->first < d->next; d->first++) {
		alert_free(item_at(d, d->first)->alert);
		buf_done(&item_at(d, d->first)->json);
	}
	for (struct alert *a; d->queue && (a = queue_pop(d->queue, 0));)
		alert_free(a);
	queue_free(d->queue);
	free(d);
}
