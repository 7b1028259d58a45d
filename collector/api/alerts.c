/* Alerts.List, Get and Watch; see alerts.h.
 *
 * List and Get answer on the completion-queue thread that the request came in on: a page is some
 * milliseconds of SQLite. Watchers are a list under one lock; the alert thread packs an alert once
 * and queues it on every call whose filter matches. */
#include "collector/api/alerts.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/filter.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/wire.h"

#define PAGE_SIZE_DEFAULT 100U
#define PAGE_SIZE_MAX	  1000U
#define PAGE_ARENA_MAX	  (64UL << 20) /* packed pages end at 3 MiB; unpacked they are larger */
#define ROLES		  (TLS_ROLE_READER | TLS_ROLE_OPERATOR)

struct watcher {
	struct watcher *next;
	struct listen_call *call;
	Nightjar__V1__WatchAlertsRequest *request; /* NULL until it has come */
	bool over;				    /* ended by us; waits for closed */
};

struct alerts {
	struct sink sink;
	struct store *store;
	struct metric *slow, *sent, *watching;
	struct listen_method methods[4];
	struct buf packed; /* alert thread */
	pthread_mutex_t lock; /* all below */
	struct watcher *watchers;
	size_t watcher_count;
	uint64_t delivered;
};

/* ---- unary calls ---- */

static void refuse(struct listen_call *call, const char *text)
{
	listen_finish(call, LISTEN_INVALID_ARGUMENT, text);
}

static void answer(struct listen_call *call, const ProtobufCMessage *m)
{
	_cleanup_buf_ struct buf out = buf_with_max(WIRE_MESSAGE_MAX);
	uint8_t *room = buf_extend(&out, protobuf_c_message_get_packed_size(m));

	if (buf_error(&out) < 0) {
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "the answer is larger than a message may be");
		return;
	}
	(void)protobuf_c_message_pack(m, room);
	if (listen_send(call, buf_bytes(&out)) == 0)
		listen_finish(call, LISTEN_OK, "");
	else
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "the answer could not be queued");
}

static void fail_read(struct listen_call *call, int r)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "the alert store cannot be read: %s", strerror(-r));
	listen_finish(call, LISTEN_INTERNAL, text);
}

static int check_list(const Nightjar__V1__ListAlertsRequest *q, struct err *e)
{
	if (q->page_size > PAGE_SIZE_MAX)
		return err_set(e, -EINVAL, "page_size is %u; allowed are 1 to %u, and 0 for %u", q->page_size,
			       PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT);
	return filter_check(q->filter, e);
}

static void list(struct alerts *a, struct listen_call *call, const Nightjar__V1__ListAlertsRequest *q)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(PAGE_ARENA_MAX);
	Nightjar__V1__ListAlertsResponse response = NIGHTJAR__V1__LIST_ALERTS_RESPONSE__INIT;
	int r = -ENOMEM;

	if (arena)
		r = store_list(a->store, q->filter, q->page_size ? q->page_size : PAGE_SIZE_DEFAULT, q->page_token,
			       arena, &response.alerts, &response.n_alerts, &response.next_page_token);
	if (r == -EINVAL)
		refuse(call, "page_token is not one that List gave for this filter; leave it out for the first page");
	else if (r < 0)
		fail_read(call, r);
	else
		answer(call, &response.base);
}

static void on_list(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	Nightjar__V1__ListAlertsRequest *q =
		nightjar__v1__list_alerts_request__unpack(NULL, message.len, message.data);
	struct err e = {0};

	(void)state;
	if (!q)
		refuse(call, "the request is no nightjar.v1.ListAlertsRequest");
	else if (check_list(q, &e) < 0)
		refuse(call, e.text);
	else
		list(ctx, call, q);
	nightjar__v1__list_alerts_request__free_unpacked(q, NULL);
}

static void get(struct alerts *a, struct listen_call *call, const char *id)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(PAGE_ARENA_MAX);
	Nightjar__V1__Alert *alert;
	char text[128];
	int r = arena ? store_get(a->store, id, arena, &alert) : -ENOMEM;

	if (r == -ENOENT) {
		(void)snprintf(text, sizeof(text), "no alert has the id '%.64s'", id);
		listen_finish(call, LISTEN_NOT_FOUND, text);
	} else if (r < 0) {
		fail_read(call, r);
	} else {
		answer(call, &alert->base);
	}
}

static void on_get(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	Nightjar__V1__GetAlertRequest *q =
		nightjar__v1__get_alert_request__unpack(NULL, message.len, message.data);

	(void)state;
	if (!q)
		refuse(call, "the request is no nightjar.v1.GetAlertRequest");
	else if (!*q->id)
		refuse(call, "id is empty; give the id of an alert, 26 characters");
	else
		get(ctx, call, q->id);
	nightjar__v1__get_alert_request__free_unpacked(q, NULL);
}

/* Does nothing when the call is finished already. */
static void on_half_closed(void *ctx, struct listen_call *call, void *state)
{
	(void)ctx;
	(void)state;
	refuse(call, "the call carried no request");
}

/* ---- watching ---- */

static int open_watch(void *ctx, struct listen_call *call, void **ret_state)
{
	struct alerts *a = ctx;
	struct watcher *w = calloc(1, sizeof(*w));
	bool room;

	(void)pthread_mutex_lock(&a->lock);
	room = w && a->watcher_count < ALERTS_WATCHERS_MAX;
	if (room) {
		w->call = listen_call_ref(call);
		w->next = a->watchers;
		a->watchers = w;
		metric_set(a->watching, ++a->watcher_count);
	}
	(void)pthread_mutex_unlock(&a->lock);
	if (!room) {
		free(w);
		return listen_refuse(call, LISTEN_RESOURCE_EXHAUSTED, "%d watchers are connected, which is the most",
				     ALERTS_WATCHERS_MAX);
	}
	*ret_state = w;
	return LISTEN_OK;
}

static void on_watch(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct alerts *a = ctx;
	struct watcher *w = state;
	Nightjar__V1__WatchAlertsRequest *q =
		nightjar__v1__watch_alerts_request__unpack(NULL, message.len, message.data);
	struct err e = {0};

	if (!q) {
		refuse(call, "the request is no nightjar.v1.WatchAlertsRequest");
		return;
	}
	if (filter_check(q->filter, &e) < 0)
		refuse(call, e.text);
	(void)pthread_mutex_lock(&a->lock);
	if (!w->request && !*e.text)
		w->request = take_ptr(q);
	(void)pthread_mutex_unlock(&a->lock);
	nightjar__v1__watch_alerts_request__free_unpacked(q, NULL);
}

static void half_closed_watch(void *ctx, struct listen_call *call, void *state)
{
	struct watcher *w = state;

	/* Only this call's own handlers set it, and they never run at the same time. */
	if (!w->request)
		on_half_closed(ctx, call, state);
}

static void closed_watch(void *ctx, struct listen_call *call, void *state)
{
	struct alerts *a = ctx;
	struct watcher *w = state;

	(void)call;
	(void)pthread_mutex_lock(&a->lock);
	for (struct watcher **at = &a->watchers; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			metric_set(a->watching, --a->watcher_count);
			break;
		}
	}
	(void)pthread_mutex_unlock(&a->lock);
	nightjar__v1__watch_alerts_request__free_unpacked(w->request, NULL);
	listen_call_unref(w->call);
	free(w);
}

/* ---- the sink that feeds watchers; alert thread ---- */

static bool wants(const struct watcher *w, const Nightjar__V1__Alert *alert)
{
	return w->request && !w->over && filter_matches(w->request->filter, alert);
}

/* Lock held. */
static void send_to(struct alerts *a, struct watcher *w)
{
	int r = listen_send(w->call, buf_bytes(&a->packed));

	if (r == 0) {
		metric_add(a->sent, 1);
		return;
	}
	w->over = true;
	if (r == -EPIPE)
		return;
	metric_add(a->slow, 1);
	listen_finish(w->call, LISTEN_RESOURCE_EXHAUSTED,
		      "this watcher does not read fast enough and is ended; Alerts.List has what it missed");
}

static int pack(struct buf *out, const Nightjar__V1__Alert *alert)
{
	uint8_t *room;

	buf_clear(out);
	room = buf_extend(out, nightjar__v1__alert__get_packed_size(alert));
	if (buf_error(out) < 0)
		return buf_error(out);
	(void)nightjar__v1__alert__pack(alert, room);
	return 0;
}

static int publish(struct sink *sink, const struct sink_alert *alert)
{
	struct alerts *a = (struct alerts *)sink;
	int r = 0;
	bool packed = false;

	(void)pthread_mutex_lock(&a->lock);
	for (struct watcher *w = a->watchers; w && r == 0; w = w->next) {
		if (!wants(w, alert->alert))
			continue;
		if (!packed)
			r = pack(&a->packed, alert->alert);
		packed = true;
		if (r == 0)
			send_to(a, w);
	}
	a->delivered += r == 0;
	(void)pthread_mutex_unlock(&a->lock);
	return r;
}

static void poll_nothing(struct sink *sink)
{
	(void)sink;
}

/* The collector stops: watchers are told. */
static int drain(struct sink *sink, int timeout_ms)
{
	struct alerts *a = (struct alerts *)sink;

	(void)timeout_ms;
	(void)pthread_mutex_lock(&a->lock);
	for (struct watcher *w = a->watchers; w; w = w->next) {
		w->over = true;
		listen_finish(w->call, LISTEN_UNAVAILABLE, "the collector stops; watch again when it is back");
	}
	(void)pthread_mutex_unlock(&a->lock);
	return 0;
}

static void stats(const struct sink *sink, struct sink_stats *ret_stats)
{
	*ret_stats = (struct sink_stats){.delivered = ((const struct alerts *)sink)->delivered};
}

static void free_nothing(struct sink *sink)
{
	(void)sink;
}

static const struct sink_type watch_type = {
	.name = "watch",
	.help = "callers of Alerts.Watch",
	.publish = publish,
	.poll = poll_nothing,
	.drain = drain,
	.stats = stats,
	.free = free_nothing,
};

/* ---- life ---- */

struct alerts *alerts_new(struct store *store, struct metrics *m)
{
	struct alerts *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->sink.type = &watch_type;
	a->store = store;
	(void)pthread_mutex_init(&a->lock, NULL);
	a->watching = metrics_gauge(m, "nightjar_watchers", NULL, "Open calls of Alerts.Watch.");
	a->sent = metrics_counter(m, "nightjar_watch_sent_total", NULL, "Alerts queued for watchers.");
	a->slow = metrics_counter(m, "nightjar_watchers_ended_total", "reason=\"slow\"", "Watchers that were ended.");
	a->methods[0] = (struct listen_method){.path = "/nightjar.v1.Alerts/List", .roles = ROLES,
					       .message = on_list, .half_closed = on_half_closed, .ctx = a};
	a->methods[1] = (struct listen_method){.path = "/nightjar.v1.Alerts/Get", .roles = ROLES,
					       .message = on_get, .half_closed = on_half_closed, .ctx = a};
	a->methods[2] = (struct listen_method){.path = "/nightjar.v1.Alerts/Watch", .roles = ROLES,
					       .open = open_watch, .message = on_watch,
					       .half_closed = half_closed_watch, .closed = closed_watch, .ctx = a};
	return a;
}

void alerts_free(struct alerts *a)
{
	if (!a)
		return;
	buf_done(&a->packed);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

const struct listen_method *alerts_methods(struct alerts *a)
{
	return a->methods;
}

struct sink *alerts_sink(struct alerts *a)
{
	return &a->sink;
}
