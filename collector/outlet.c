/* Live and behind; see outlet.h. */
#include "collector/outlet.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/proto_json.h"

#define ROWS_A_TURN	64 /* that a sink takes from the store before new alerts get their turn */
#define ALERT_ARENA_MAX (4UL << 20)
#define JSON_MAX	(1UL << 20)

/* ---- life ---- */

static struct metric *metric_of(struct metrics *m, const struct sink *sink, bool gauge,
				const char *name, const char *help)
{
	char labels[64];

	(void)snprintf(labels, sizeof(labels), "sink=\"%s\"", sink->type->name);
	return gauge ? metrics_gauge(m, name, labels, help)
		     : metrics_counter(m, name, labels, help);
}

static void add_metrics(struct outlet *o, struct metrics *m)
{
	o->delivered = metric_of(m, o->sink, false, "nightjar_sink_delivered_total",
				 "Alerts that a sink's far side has.");
	o->failed = metric_of(m, o->sink, false, "nightjar_sink_failed_total",
			      "Alerts that a sink gave up.");
	o->waiting = metric_of(
		m, o->sink, true, "nightjar_sink_waiting",
		"Alerts on their way through a sink, without those that wait in the store.");
	o->fell_behind =
		metric_of(m, o->sink, false, "nightjar_sink_behind_total",
			  "Times that a sink fell behind and took its alerts from the store.");
	o->unreadable = metric_of(
		m, o->sink, false, "nightjar_sink_unreadable_total",
		"Alerts that a sink was to take from the store, which could not be read there.");
}

int outlet_init(struct outlet *o, struct sink *sink, struct store *store, struct metrics *metrics,
		struct err *e)
{
	uint64_t row = store_last(store);
	int r = sink->type->durable ? store_cursor(store, sink->type->name, &row, e) : 0;

	if (r < 0)
		return err_prefix(e, r, "sink '%s'", sink->type->name);
	*o = (struct outlet){
		.sink = sink,
		.store = store,
		.behind = sink->type->durable,
		.sent = row,
		.confirmed = row,
		.saved = row,
		.loaded.json = buf_with_max(JSON_MAX),
	};
	add_metrics(o, metrics);
	return 0;
}

static void unload(struct outlet *o)
{
	arena_free(take_ptr(o->loaded.arena));
	buf_clear(&o->loaded.json);
}

void outlet_done(struct outlet *o)
{
	unload(o);
	buf_done(&o->loaded.json);
}

/* ---- live ---- */

static int publish(struct outlet *o, const Nightjar__V1__Alert *alert, const struct buf *json,
		   uint64_t row)
{
	const struct sink_alert a = {
		.alert = alert,
		.json = (const char *)json->data,
		.json_len = (uint32_t)json->len,
		.row = row,
	};

	return o->sink->type->publish(o->sink, &a);
}

/* False when the sink is full. */
static bool feed_live(struct outlet *o, struct ring *ring)
{
	for (; o->at < ring->next; o->at++) {
		const struct ring_item *item = ring_at(ring, o->at);
		bool taken = item->row && item->row <= o->sent;

		if (!taken && publish(o, &item->alert->msg, &item->json, item->row) == -EAGAIN)
			return false;
		if (item->row > o->sent)
			o->sent = item->row;
	}
	return true;
}

/* ---- behind ---- */

/* 1: loaded; 0: nothing is left; negative: not now. */
static int load(struct outlet *o)
{
	int r;

	if (o->loaded.arena)
		return 1;
	o->loaded.arena = arena_new(ALERT_ARENA_MAX);
	if (!o->loaded.arena)
		return -ENOMEM;
	r = store_next(o->store, o->sent, o->loaded.arena, &o->loaded.row, &o->loaded.alert);
	if (r == 1 && o->loaded.alert &&
	    proto_json_write(&o->loaded.json, &o->loaded.alert->base) == 0)
		(void)buf_text(&o->loaded.json);
	if (r != 1)
		unload(o);
	return r;
}

/* False when the sink is full. */
static bool hand_over_loaded(struct outlet *o)
{
	if (!o->loaded.alert || buf_error(&o->loaded.json) < 0) {
		metric_add(o->unreadable, 1);
		log_limited(LOG_LEVEL_ERROR,
			    "an alert of the store cannot be read and is not sent to %s",
			    o->sink->type->name);
	} else if (publish(o, o->loaded.alert, &o->loaded.json, o->loaded.row) == -EAGAIN) {
		return false;
	}
	o->sent = o->loaded.row;
	unload(o);
	return true;
}

static enum outlet_state feed_behind(struct outlet *o)
{
	for (int i = 0; i < ROWS_A_TURN; i++) {
		int r = load(o);

		if (r < 0) {
			log_limited(LOG_LEVEL_WARNING,
				    "cannot read the alerts that wait for %s: %s; they wait on",
				    o->sink->type->name, strerror(-r));
			return OUTLET_WAITS;
		}
		if (r == 0) {
			o->behind = false;
			return OUTLET_IDLE;
		}
		if (!hand_over_loaded(o))
			return OUTLET_WAITS;
	}
	return OUTLET_MORE;
}

void outlet_note_item(struct outlet *o, const struct ring *ring)
{
	uint64_t newest = ring->next - 1;

	if (o->behind && o->at == newest && ring_at(ring, newest)->row)
		o->at = ring->next;
}

void outlet_make_room(struct outlet *o, const struct ring *ring)
{
	if (o->at != ring->first || !ring_at(ring, o->at)->row)
		return;
	while (o->at < ring->next && ring_at(ring, o->at)->row)
		o->at++;
	if (o->behind)
		return;
	o->behind = true;
	metric_add(o->fell_behind, 1);
}

/* ---- both ---- */

static enum outlet_state read_stats(struct outlet *o, const struct ring *ring,
				    enum outlet_state state)
{
	struct sink_stats stats = {0};
	uint64_t untaken = o->behind ? 0 : ring->next - o->at;

	o->sink->type->stats(o->sink, &stats);
	if (stats.confirmed > o->confirmed)
		o->confirmed = stats.confirmed;
	metric_set(o->delivered, stats.delivered);
	metric_set(o->failed, stats.failed);
	metric_set(o->waiting, stats.queued + untaken);
	return state == OUTLET_IDLE && stats.queued > 0 ? OUTLET_WAITS : state;
}

enum outlet_state outlet_feed(struct outlet *o, struct ring *ring)
{
	enum outlet_state state = OUTLET_IDLE;

	o->sink->type->poll(o->sink);
	if (o->behind)
		state = feed_behind(o);
	if (!o->behind && !feed_live(o, ring))
		state = OUTLET_WAITS;
	return read_stats(o, ring, state);
}

void outlet_save(struct outlet *o)
{
	struct sink_stats stats = {0};
	struct err e = {0};

	if (!o->sink->type->durable)
		return;
	o->sink->type->stats(o->sink, &stats);
	if (stats.confirmed > o->confirmed)
		o->confirmed = stats.confirmed;
	if (o->confirmed == o->saved)
		return;
	if (store_set_cursor(o->store, o->sink->type->name, o->confirmed, &e) < 0)
		log_limited(LOG_LEVEL_WARNING, "%s; a crash would send some alerts a second time",
			    e.text);
	else
		o->saved = o->confirmed;
}

uint64_t outlet_owed(const struct outlet *o, const struct ring *ring)
{
	uint64_t owed = store_count_after(o->store, o->sent);

	for (uint64_t i = o->at; i < ring->next; i++)
		owed += ring_at(ring, i)->row == 0;
	return owed;
}
