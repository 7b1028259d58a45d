/* The alert thread; see deliver.h.
 *
 * One turn: take an alert from the queue, store it, make its JSON once, put it at the end of the
 * ring, let every outlet take what it has not taken yet, then sync the store: the disk's time is
 * not the alert's. When the ring is full, the outlets that hold it back go on from the store.
 * Detectors wait only for the store, and for a sink that is full while the store refuses alerts. */
#include "collector/deliver.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/outlet.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/proto_json.h"
#include "common/queue.h"

#define SINKS_MAX      8
#define WAIT_BUSY_MS   50	  /* a sink is full or waits for confirmations */
#define WAIT_IDLE_MS   1000	  /* sinks report trouble with their far side from poll */
#define KEEP_NS	       NS_PER_SEC /* between two looks at cursors and retention */
#define SYNC_ALERTS    64	  /* that are stored at most before the disk has them */
#define ALERT_JSON_MAX (1UL << 20)

struct deliver {
	struct store *store;
	struct queue *queue;
	bool replay;
	struct store_limits limits;
	pthread_t thread;
	bool running;
	uint64_t stop_at_ns;   /* monotonic; set before the queue is closed */
	uint64_t keep_ns;      /* monotonic; when to look at cursors and retention again */
	bool trimming;	       /* there is more to delete */
	unsigned int unsynced; /* alerts stored since store_sync */
	struct outlet outlets[SINKS_MAX];
	size_t outlet_count;
	struct metric *alerts, *repeated, *unstored, *unwritable, *bytes, *old, *excess, *unsent;
	struct ring ring;
};

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

/* True when the sinks are to have it. An alert that the disk refuses (*row stays 0) still reaches
 * people. */
static bool store(struct deliver *d, const struct alert *a, uint64_t *row)
{
	struct err e = {0};
	int r = store_put(d->store, &a->msg, row, &e);

	d->unsynced += r == 1;
	if (r == 0)
		metric_add(d->repeated, 1);
	if (r >= 0)
		return r > 0;
	metric_add(d->unstored, 1);
	log_limited(LOG_LEVEL_ERROR, "alert %s is sent but not kept: %s", a->msg.id, e.text);
	return true;
}

static bool keep(struct deliver *d, struct alert *a, uint64_t *row)
{
	int r = set_timing(d, a);

	if (r == 0)
		r = proto_utf8_clean(&a->msg.base, a->arena);
	if (r < 0) {
		metric_add(d->unstored, 1);
		log_limited(LOG_LEVEL_ERROR, "alert %s is left as its detector made it: %s",
			    a->msg.id, strerror(-r));
	}
	return store(d, a, row);
}

static bool prepare(struct deliver *d, struct alert *a, struct ring_item *item)
{
	int r;

	if (!keep(d, a, &item->row))
		return false;
	r = proto_json_write(&item->json, &a->msg.base);
	if (r == 0)
		(void)buf_text(&item->json);
	if (r < 0) {
		metric_add(d->unwritable, 1);
		log_limited(LOG_LEVEL_ERROR, "cannot write alert %s as JSON: %s", a->msg.id,
			    strerror(-r));
	}
	return r == 0;
}

static void take(struct deliver *d, struct alert *alert)
{
	_cleanup_(alert_freep) struct alert *a = alert;
	struct ring_item item = {.json = buf_with_max(ALERT_JSON_MAX)};

	metric_add(d->alerts, 1);
	if (!prepare(d, a, &item)) {
		buf_done(&item.json);
		return;
	}
	item.alert = take_ptr(a);
	*ring_at(&d->ring, d->ring.next++) = item;
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_note_item(&d->outlets[i], &d->ring);
}

/* ---- handing out ---- */

static void release_taken(struct deliver *d)
{
	uint64_t oldest = d->ring.next;

	for (size_t i = 0; i < d->outlet_count; i++)
		oldest = d->outlets[i].at < oldest ? d->outlets[i].at : oldest;
	for (; d->ring.first < oldest; d->ring.first++) {
		struct ring_item *item = ring_at(&d->ring, d->ring.first);

		alert_free(take_ptr(item->alert));
		buf_done(&item->json);
	}
}

static bool is_full(const struct deliver *d)
{
	return d->ring.next - d->ring.first == d->ring.capacity;
}

static void make_room(struct deliver *d)
{
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_make_room(&d->outlets[i], &d->ring);
	release_taken(d);
}

static enum outlet_state feed_all(struct deliver *d)
{
	enum outlet_state most = OUTLET_IDLE;

	for (size_t i = 0; i < d->outlet_count; i++) {
		enum outlet_state state = outlet_feed(&d->outlets[i], &d->ring);

		most = state > most ? state : most;
	}
	release_taken(d);
	return most;
}

/* ---- what is kept: cursors and retention ---- */

static void save_cursors(struct deliver *d)
{
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_save(&d->outlets[i]);
}

/* Rows up to this one no durable sink waits for. */
static uint64_t sent_by_all(const struct deliver *d)
{
	uint64_t sent = UINT64_MAX;

	for (size_t i = 0; i < d->outlet_count; i++) {
		const struct outlet *o = &d->outlets[i];

		if (o->sink->type->durable && o->confirmed < sent)
			sent = o->confirmed;
	}
	return sent;
}

/* True when there is more to delete. */
static bool trim(struct deliver *d)
{
	struct store_deleted deleted = {0};
	struct err e = {0};
	int r = store_trim(d->store, &d->limits, sent_by_all(d), clock_wall_ns(), &deleted, &e);

	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "%s", e.text);
	if (deleted.unsent > 0)
		log_limited(LOG_LEVEL_ERROR,
			    "the alert store is at twice store.max_bytes: %u alerts that a sink "
			    "waits for are deleted",
			    deleted.unsent);
	metric_add(d->old, deleted.old);
	metric_add(d->excess, deleted.excess - deleted.unsent);
	metric_add(d->unsent, deleted.unsent);
	metric_set(d->bytes, store_bytes(d->store));
	return r > 0;
}

/* In a burst many alerts share one sync. */
static void sync_store(struct deliver *d)
{
	struct err e = {0};

	if (d->unsynced == 0 || (d->unsynced < SYNC_ALERTS && queue_length(d->queue) > 0))
		return;
	d->unsynced = 0;
	if (store_sync(d->store, &e) < 0)
		log_limited(LOG_LEVEL_ERROR, "%s", e.text);
}

static void keep_house(struct deliver *d)
{
	uint64_t now = clock_monotonic_ns();

	if (now < d->keep_ns)
		return;
	save_cursors(d);
	d->trimming = trim(d);
	if (!d->trimming)
		d->keep_ns = now + KEEP_NS;
}

/* ---- the thread ---- */

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

static int wait_ms(enum outlet_state state)
{
	static const int ms[] = {
		[OUTLET_IDLE] = WAIT_IDLE_MS, [OUTLET_WAITS] = WAIT_BUSY_MS, [OUTLET_MORE] = 0};

	return ms[state];
}

static struct alert *next_alert(struct deliver *d, enum outlet_state state)
{
	if (is_full(d))
		make_room(d);
	if (d->trimming && state == OUTLET_IDLE)
		state = OUTLET_WAITS;
	if (!is_full(d))
		return queue_pop(d->queue, wait_ms(state));
	wait_a_turn();
	return NULL;
}

/* One turn. False when there is nothing left to do. */
static bool turn(struct deliver *d, enum outlet_state *state)
{
	struct alert *a = next_alert(d, *state);

	if (a)
		take(d, a);
	*state = feed_all(d);
	sync_store(d);
	keep_house(d);
	if (a || !queue_is_closed(d->queue))
		return true;
	if (past_deadline(d) || (*state == OUTLET_IDLE && queue_length(d->queue) == 0))
		return false;
	if (*state != OUTLET_MORE)
		wait_a_turn();
	return true;
}

static void *alert_thread(void *arg)
{
	struct deliver *d = arg;
	enum outlet_state state = OUTLET_MORE;

	while (turn(d, &state))
		;
	return NULL;
}

/* ---- life ---- */

static void add_metrics(struct deliver *d, struct metrics *m)
{
	static const char deleted[] = "nightjar_store_deleted_total";
	static const char deleted_help[] = "Alerts that were deleted from the store.";

	d->alerts =
		metrics_counter(m, "nightjar_alerts_total", NULL, "Alerts that detectors made.");
	d->repeated = metrics_counter(m, "nightjar_alerts_repeated_total", NULL,
				      "Alerts that the store had already, so not sent again.");
	d->unstored = metrics_counter(m, "nightjar_alerts_unstored_total", NULL,
				      "Alerts that were sent although the store failed.");
	d->unwritable = metrics_counter(m, "nightjar_alerts_unwritable_total", NULL,
					"Alerts in the store that could not be written as JSON.");
	d->bytes = metrics_gauge(m, "nightjar_store_bytes", NULL,
				 "Bytes that alerts take in the store.");
	d->old = metrics_counter(m, deleted, "reason=\"age\"", deleted_help);
	d->excess = metrics_counter(m, deleted, "reason=\"size\"", deleted_help);
	d->unsent = metrics_counter(m, deleted, "reason=\"unsent\"", deleted_help);
}

static int build(struct deliver *d, const struct deliver_config *config, struct err *e)
{
	int r = 0;

	add_metrics(d, config->metrics);
	for (size_t i = 0; config->sinks[i] && r == 0; i++) {
		assert(i < SINKS_MAX);
		r = outlet_init(&d->outlets[i], config->sinks[i], d->store, config->metrics, e);
		d->outlet_count += r == 0;
	}
	if (r < 0)
		return r;
	d->ring.items = calloc(config->queue_capacity, sizeof(d->ring.items[0]));
	d->queue = queue_new(config->queue_capacity);
	if (!d->queue || !d->ring.items)
		return err_set(e, -ENOMEM, "out of memory");
	r = -pthread_create(&d->thread, NULL, alert_thread, d);
	return r < 0 ? err_set(e, r, "cannot start the alert thread: %s", strerror(-r)) : 0;
}

int deliver_new(const struct deliver_config *config, struct deliver **ret_deliver, struct err *e)
{
	struct deliver *d;
	int r;

	assert(config->queue_capacity > 0);
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->ring.capacity = config->queue_capacity;
	d->store = config->store;
	d->limits = config->limits;
	d->replay = config->replay;
	r = build(d, config, e);
	if (r < 0) {
		deliver_free(d);
		return r;
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

/* What the time did not suffice for is kept for the query API, and for durable sinks. */
static void keep_rest(struct deliver *d)
{
	for (struct alert *a; (a = queue_pop(d->queue, 0));) {
		uint64_t row = 0;

		(void)keep(d, a, &row);
		alert_free(a);
	}
	sync_store(d);
}

static int drain(struct deliver *d)
{
	int worst = 0;

	keep_rest(d);
	for (size_t i = 0; i < d->outlet_count; i++) {
		struct outlet *o = &d->outlets[i];
		uint64_t now = clock_monotonic_ns();
		int left_ms = d->stop_at_ns > now ? (int)((d->stop_at_ns - now) / NS_PER_MS) : 0;
		int unconfirmed =
			o->sink->type->drain(o->sink, left_ms) + (int)outlet_owed(o, &d->ring);

		worst = unconfirmed > worst ? unconfirmed : worst;
	}
	save_cursors(d);
	return worst;
}

int deliver_stop(struct deliver *d, int timeout_ms)
{
	__atomic_store_n(&d->stop_at_ns, clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS,
			 __ATOMIC_RELEASE);
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
	for (; d->ring.first < d->ring.next; d->ring.first++) {
		alert_free(ring_at(&d->ring, d->ring.first)->alert);
		buf_done(&ring_at(&d->ring, d->ring.first)->json);
	}
	for (size_t i = 0; i < d->outlet_count; i++)
		outlet_done(&d->outlets[i]);
	for (struct alert *a; d->queue && (a = queue_pop(d->queue, 0));)
		alert_free(a);
	queue_free(d->queue);
	free(d->ring.items);
	free(d);
}
