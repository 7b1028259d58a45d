/* A watcher per kind of object, driven by one loop; see apiwatch.h.
 *
 *   WAITING ── due, no version ──→ LISTING ── last page ──→ WAITING (due now)
 *      ↑ └──── due, version ─────→ WATCHING
 *      └── done: at once when the server ended it in good order, else after the back-off
 *
 * Of an answer one object is in memory at a time (jsoncut), at most object_max. */
#include "collector/kube/apiwatch.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/jsoncut.h"
#include "common/clock.h"
#include "common/log.h"

#define VERSION_MAX    64
#define CONTINUE_MAX   2048
#define PATH_MAX_BYTES 3800
#define LIST_S	       60U
#define WATCH_S	       240U /* and 20 more for each kind, so that they do not end together */
#define WATCH_GRACE_S  30U  /* after which a watch that the server should have ended is ours to end */
#define TURN_MS	       250
#define SWEEP_NS       (60 * NS_PER_SEC)
#define SHORT_NS       NS_PER_SEC /* a watch that ends sooner is a failure, one that lasts longer a success */
#define FAILURES_TO_LIST 3U

#define METADATA_LIST "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#define METADATA      "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

/* ---- what is watched ------------------------------------------------------------------------------ */

static int put_pod(struct apistore *s, enum api_kind kind, const json_t *object, bool deleted, uint64_t now_ns)
{
	struct api_pod pod;
	int r = apiobject_pod(object, &pod);

	if (r < 0)
		return r;
	apistore_put_pod(s, &pod);
	if (deleted)
		apistore_delete(s, kind, pod.cgroup_uid, now_ns);
	return 0;
}

static int put_owner(struct apistore *s, enum api_kind kind, const json_t *object, bool deleted, uint64_t now_ns)
{
	struct api_meta meta;
	int r = apiobject_meta(object, &meta);

	if (r < 0)
		return r;
	apistore_put_owner(s, kind, &meta);
	if (deleted)
		apistore_delete(s, kind, meta.uid, now_ns);
	return 0;
}

static int put_service(struct apistore *s, enum api_kind kind, const json_t *object, bool deleted, uint64_t now_ns)
{
	struct api_service service;
	int r = apiobject_service(object, &service);

	if (r == 0 && deleted)
		apistore_delete(s, kind, service.meta.uid, now_ns);
	else if (r == 0)
		apistore_put_service(s, &service);
	return r;
}

static int put_slice(struct apistore *s, enum api_kind kind, const json_t *object, bool deleted, uint64_t now_ns)
{
	struct api_slice slice;
	int r = apiobject_slice(object, &slice);

	if (r == 0 && deleted)
		apistore_delete(s, kind, slice.meta.uid, now_ns);
	else if (r == 0)
		apistore_put_slice(s, &slice);
	return r;
}

static int put_node(struct apistore *s, enum api_kind kind, const json_t *object, bool deleted, uint64_t now_ns)
{
	struct api_node node;
	int r = apiobject_node(object, &node);

	if (r == 0 && deleted)
		apistore_delete(s, kind, node.meta.uid, now_ns);
	else if (r == 0)
		apistore_put_node(s, &node);
	return r;
}

static const struct resource {
	const char *path;
	const char *label;
	bool metadata_only;
	int (*put)(struct apistore *s, enum api_kind kind, const json_t *object, bool deleted, uint64_t now_ns);
} resources[API_KINDS] = {
	[API_PODS] = {"/api/v1/pods", "kind=\"pods\"", false, put_pod},
	[API_REPLICASETS] = {"/apis/apps/v1/replicasets", "kind=\"replicasets\"", true, put_owner},
	[API_JOBS] = {"/apis/batch/v1/jobs", "kind=\"jobs\"", true, put_owner},
	[API_SERVICES] = {"/api/v1/services", "kind=\"services\"", false, put_service},
	[API_SLICES] = {"/apis/discovery.k8s.io/v1/endpointslices", "kind=\"endpointslices\"", false, put_slice},
	[API_NODES] = {"/api/v1/nodes", "kind=\"nodes\"", false, put_node},
};

enum state { WAITING, LISTING, WATCHING };

struct watcher {
	struct apiwatch *all;
	enum api_kind kind;
	enum state state;
	struct apicall *call; /* under way */
	struct jsoncut cut;
	char version[VERSION_MAX];   /* that the store is at; "": list first */
	char listed[VERSION_MAX];    /* of the list under way */
	char next_page[CONTINUE_MAX]; /* "": the first one */
	char trouble[160];	     /* of an ERROR event */
	bool expired;		     /* the place to go on from is forgotten */
	bool opened;		     /* the watch has been answered */
	uint64_t due_ns, begun_ns;
	uint32_t failures;    /* in a row */
	uint32_t expirations; /* the same, of watches that were forgotten as soon as they began */
	uint64_t counted_large;
};

struct apiwatch {
	struct apiwatch_config config;
	struct apiclient *client;
	struct watcher watchers[API_KINDS];
	pthread_t thread;
	bool running;
	atomic_bool stopping;
	atomic_uint listed; /* bits of kinds that have been listed once */
	uint64_t now_ns;    /* of this turn, monotonic */
	uint64_t swept_ns;
	uint32_t failing; /* watchers with failures */
	struct metric *up[API_KINDS], *lists, *events, *failed, *too_large, *unreadable;
};

bool apiwatch_is_synced(const struct apiwatch *w)
{
	return atomic_load(&w->listed) == (1U << API_KINDS) - 1;
}

/* ---- what comes in -------------------------------------------------------------------------------- */

/* A version stands in a later request: nothing but what the API gives. */
static bool copy_plain(const char *text, const char *also, char *ret, size_t size)
{
	size_t len = text ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr(also, text[i]))
			return false;
	if (len >= size)
		return false;
	memcpy(ret, text ? text : "", len);
	ret[len] = '\0';
	return true;
}

static void put(struct watcher *w, const json_t *object, bool deleted)
{
	struct apiwatch *all = w->all;

	if (resources[w->kind].put(all->config.store, w->kind, object, deleted, all->now_ns) < 0)
		metric_add(all->unreadable, 1);
}

static int take_list_metadata(struct watcher *w, const json_t *metadata)
{
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
	const char *next = json_string_value(json_object_get(metadata, "continue"));

	if (!copy_plain(version, "", w->listed, sizeof(w->listed)) ||
	    !copy_plain(next, "-_.=", w->next_page, sizeof(w->next_page)))
		return -EBADMSG;
	return 0;
}

static void take_error(struct watcher *w, const json_t *status)
{
	const char *message = json_string_value(json_object_get(status, "message"));

	w->expired = json_integer_value(json_object_get(status, "code")) == 410;
	(void)snprintf(w->trouble, sizeof(w->trouble), "%s", message ? message : "it does not say why");
	for (char *c = w->trouble; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
}

static void take_event(struct watcher *w, const json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	const json_t *object = json_object_get(event, "object");
	const json_t *metadata = json_object_get(object, "metadata");
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));

	metric_add(w->all->events, 1);
	if (!type || !object) {
		metric_add(w->all->unreadable, 1);
		return;
	}
	if (strcmp(type, "ERROR") == 0) {
		take_error(w, object);
		return;
	}
	if (strcmp(type, "BOOKMARK") != 0)
		put(w, object, strcmp(type, "DELETED") == 0);
	if (version && version[0])
		(void)copy_plain(version, "", w->version, sizeof(w->version));
}

static int on_object(void *ctx, enum jsoncut_place place, struct bytes text)
{
	struct watcher *w = (struct watcher *)ctx;
	json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
	int r = 0;

	if (!json)
		metric_add(w->all->unreadable, 1);
	else if (place == JSONCUT_OBJECT)
		take_event(w, json);
	else if (place == JSONCUT_ITEM)
		put(w, json, false);
	else
		r = take_list_metadata(w, json);
	json_decref(json);
	return r;
}

static int on_data(void *ctx, struct bytes text)
{
	struct watcher *w = (struct watcher *)ctx;
	int r = jsoncut_feed(&w->cut, text);

	metric_add(w->all->too_large, w->cut.too_large - w->counted_large);
	w->counted_large = w->cut.too_large;
	return r;
}

/* ---- how it goes on ------------------------------------------------------------------------------- */

static void recover(struct watcher *w)
{
	if (w->failures == 0)
		return;
	w->failures = 0;
	if (--w->all->failing == 0)
		log_info("the Kubernetes API answers again");
}

static uint64_t backoff_ns(const struct watcher *w, uint32_t attempts)
{
	const struct apiwatch_config *config = &w->all->config;
	uint64_t ms = config->backoff_min_ms;
	uint32_t i;

	for (i = 1; i < attempts && ms < config->backoff_max_ms; i++)
		ms *= 2;
	if (ms > config->backoff_max_ms)
		ms = config->backoff_max_ms;
	/* Half of it by chance: nothing here needs more than the clock's last digits. */
	return (ms / 2 + clock_monotonic_ns() / 1000 % (ms / 2 + 1)) * NS_PER_MS;
}

static void fail(struct watcher *w, const char *why)
{
	metric_add(w->all->failed, 1);
	if (w->failures++ == 0) {
		w->all->failing++;
		log_limited(LOG_LEVEL_WARNING,
			    "%s; what is known of the cluster stays in use, and it is tried again", why);
	} else {
		log_debug("%s", why);
	}
	w->state = WAITING;
	w->due_ns = w->all->now_ns + backoff_ns(w, w->failures);
}

static void go_on(struct watcher *w)
{
	w->state = WAITING;
	w->due_ns = w->all->now_ns;
}

static void restart_list(struct watcher *w)
{
	w->version[0] = w->next_page[0] = '\0';
	w->expired = false;
}

static void list_done(void *ctx, const struct apiclient_outcome *o)
{
	struct watcher *w = (struct watcher *)ctx;

	w->call = NULL;
	if (!o->whole || !jsoncut_is_whole(&w->cut) || !w->listed[0]) {
		restart_list(w); /* pages of different lists do not add up */
		fail(w, o->whole ? "the Kubernetes API sends a list that is none" : o->err.text);
		return;
	}
	if (w->next_page[0]) {
		go_on(w);
		return;
	}
	apistore_end_list(w->all->config.store, w->kind, w->all->now_ns);
	atomic_fetch_or(&w->all->listed, 1U << w->kind);
	metric_add(w->all->lists, 1);
	memcpy(w->version, w->listed, sizeof(w->version));
	go_on(w);
}

static void watch_opened(void *ctx)
{
	struct watcher *w = (struct watcher *)ctx;

	w->opened = true;
	metric_set(w->all->up[w->kind], 1);
}

/* A list takes it from here. A server that forgets at once is not asked at once for ever. */
static void start_over(struct watcher *w, bool brief)
{
	log_debug("the place in the watch of %s is forgotten: it is listed again", resources[w->kind].path);
	restart_list(w);
	w->expirations = brief ? w->expirations + 1 : 0;
	go_on(w);
	if (brief)
		w->due_ns += backoff_ns(w, w->expirations);
}

static void watch_done(void *ctx, const struct apiclient_outcome *o)
{
	struct watcher *w = (struct watcher *)ctx;
	bool brief = w->all->now_ns - w->begun_ns < SHORT_NS;
	char text[256];

	w->call = NULL;
	metric_set(w->all->up[w->kind], 0);
	if (w->expired || o->status == 410) {
		start_over(w, brief);
	} else if (w->trouble[0]) {
		(void)snprintf(text, sizeof(text), "the Kubernetes API ends the watch of %s: %s",
			       resources[w->kind].path, w->trouble);
		fail(w, text);
		if (w->failures % FAILURES_TO_LIST == 0)
			restart_list(w); /* it may be the place that it cannot serve */
	} else if (!o->whole) {
		fail(w, o->err.text);
	} else if (brief) {
		fail(w, "the Kubernetes API ends watches as soon as they begin");
	} else {
		go_on(w);
	}
}

static void request(struct watcher *w, const struct apiclient_request *request)
{
	struct err e = {0};

	w->trouble[0] = '\0';
	w->opened = false;
	w->begun_ns = w->all->now_ns;
	jsoncut_restart(&w->cut);
	if (apiclient_start(w->all->client, request, &w->call, &e) < 0)
		fail(w, e.text);
}

static void begin_list(struct watcher *w)
{
	const struct resource *what = &resources[w->kind];
	char path[PATH_MAX_BYTES];
	const struct apiclient_request list = {.path = path,
					       .accept = what->metadata_only ? METADATA_LIST : NULL,
					       .timeout_s = LIST_S,
					       .data = on_data,
					       .done = list_done,
					       .ctx = w};

	if (!w->next_page[0])
		apistore_begin_list(w->all->config.store, w->kind);
	(void)snprintf(path, sizeof(path), "%s?limit=%u%s%s", what->path, w->all->config.page,
		       w->next_page[0] ? "&continue=" : "", w->next_page);
	w->listed[0] = w->next_page[0] = '\0';
	w->cut.mode = JSONCUT_LIST;
	w->state = LISTING;
	request(w, &list);
}

static void begin_watch(struct watcher *w)
{
	const struct resource *what = &resources[w->kind];
	unsigned int seconds = WATCH_S + 20U * w->kind;
	char path[PATH_MAX_BYTES];
	const struct apiclient_request watch = {.path = path,
						.accept = what->metadata_only ? METADATA : NULL,
						.timeout_s = seconds + WATCH_GRACE_S,
						.opened = watch_opened,
						.data = on_data,
						.done = watch_done,
						.ctx = w};

	(void)snprintf(path, sizeof(path),
		       "%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u", what->path,
		       w->version, seconds);
	w->cut.mode = JSONCUT_STREAM;
	w->state = WATCHING;
	request(w, &watch);
}

static bool is_well(const struct watcher *w)
{
	return w->state == WATCHING && w->opened && w->all->now_ns - w->begun_ns >= SHORT_NS;
}

/* Begins what is due; how long until the next is, in milliseconds. */
static int begin_due(struct apiwatch *all)
{
	uint64_t wait = TURN_MS * NS_PER_MS;

	for (size_t i = 0; i < API_KINDS; i++) {
		struct watcher *w = &all->watchers[i];

		if (w->state == WAITING && w->due_ns <= all->now_ns)
			w->version[0] ? begin_watch(w) : begin_list(w);
		if (is_well(w))
			recover(w);
		if (w->state == WAITING && w->due_ns - all->now_ns < wait)
			wait = w->due_ns - all->now_ns;
	}
	return (int)(wait / NS_PER_MS);
}

static void *run(void *ctx)
{
	struct apiwatch *all = (struct apiwatch *)ctx;

	while (!atomic_load(&all->stopping)) {
		all->now_ns = clock_monotonic_ns();
		apiclient_turn(all->client, begin_due(all));
		all->now_ns = clock_monotonic_ns();
		if (all->config.turn)
			all->config.turn(all->config.ctx, all->now_ns);
		if (all->now_ns - all->swept_ns < SWEEP_NS)
			continue;
		all->swept_ns = all->now_ns;
		apistore_sweep(all->config.store, all->now_ns);
	}
	return NULL;
}

void apiwatch_wakeup(struct apiwatch *w)
{
	apiclient_wakeup(w->client);
}

/* ---- building ------------------------------------------------------------------------------------- */

static void register_counters(struct apiwatch *all)
{
	static const char refused[] = "nightjar_kube_objects_refused_total";
	static const char refused_help[] = "Objects of the Kubernetes API that were passed over, by reason.";
	struct metrics *m = all->config.metrics;

	for (size_t i = 0; i < API_KINDS; i++)
		all->up[i] = metrics_gauge(m, "nightjar_kube_watch_up", resources[i].label,
					   "Whether the watch of a kind stands.");
	all->lists = metrics_counter(m, "nightjar_kube_lists_total", NULL, "Lists of everything of a kind.");
	all->events = metrics_counter(m, "nightjar_kube_events_total", NULL, "Events that watches gave.");
	all->failed = metrics_counter(m, "nightjar_kube_failures_total", NULL,
				      "Requests to the Kubernetes API that failed; each is tried again.");
	all->too_large = metrics_counter(m, refused, "reason=\"too_large\"", refused_help);
	all->unreadable = metrics_counter(m, refused, "reason=\"unreadable\"", refused_help);
}

static void set_defaults(struct apiwatch_config *config)
{
	config->page = config->page ? config->page : 500;
	config->backoff_min_ms = config->backoff_min_ms ? config->backoff_min_ms : 500;
	config->backoff_max_ms = config->backoff_max_ms ? config->backoff_max_ms : 30000;
	config->object_max = config->object_max ? config->object_max : 2UL << 20;
}

int apiwatch_new(const struct apiwatch_config *config, struct apiwatch **ret_watch, struct err *e)
{
	_cleanup_(apiwatch_freep) struct apiwatch *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return err_set(e, -ENOMEM, "no memory");
	all->config = *config;
	set_defaults(&all->config);
	for (size_t i = 0; i < API_KINDS; i++)
		all->watchers[i] = (struct watcher){
			.all = all,
			.kind = (enum api_kind)i,
			.cut = {.max = all->config.object_max, .visit = on_object, .ctx = &all->watchers[i]}};
	r = apiclient_new(&config->api, &all->client, e);
	if (r < 0)
		return r;
	register_counters(all);
	r = pthread_create(&all->thread, NULL, run, all);
	if (r != 0)
		return err_set(e, -r, "cannot start the thread that watches the Kubernetes API: %s", strerror(r));
	all->running = true;
	(void)pthread_setname_np(all->thread, "nj-kube");
	*ret_watch = take_ptr(all);
	return 0;
}

void apiwatch_free(struct apiwatch *w)
{
	if (!w)
		return;
	if (w->running) {
		atomic_store(&w->stopping, true);
		apiclient_wakeup(w->client);
		(void)pthread_join(w->thread, NULL);
	}
	apiclient_free(w->client);
	for (size_t i = 0; i < API_KINDS; i++)
		jsoncut_done(&w->watchers[i].cut);
	free(w);
}
