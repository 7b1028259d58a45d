/* nightjar alerts list, get, watch: Alerts.List, Get and Watch for people and for scripts. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/alert_text.h"
#include "common/clock.h"
#include "common/proto_json.h"
#include "nightjar/v1/query.pb-c.h"
#include "tools/nightjar/columns.h"
#include "tools/nightjar/command.h"
#include "tools/nightjar/connect.h"

#define PAGE_MAX 1000 /* what a collector gives at most */

struct alerts_settings {
	struct connect_settings connect;
	char *output;
	uint64_t limit;
	uint64_t since_ns;
	struct opt_list severity;
	struct opt_list rule;
	char *namespace;
	char *workload;
	char *node;
	char *technique;
};

#define ROW(k, t, f, d, h)                                                                         \
	{.key = (k), .type = (t), .offset = offsetof(struct alerts_settings, f), .fallback = (d), .help = (h)}

#define OUTPUT_ROW                                                                                 \
	{.key = "output", .type = OPT_CHOICE, .offset = offsetof(struct alerts_settings, output),  \
	 .fallback = "table", .choices = "table|json",                                              \
	 .help = "table for people, or one JSON object a line"}

#define FILTER_ROWS                                                                                \
	ROW("severity", OPT_LIST, severity, "", "only these: low, medium, high, critical"),	    \
	ROW("rule", OPT_LIST, rule, "", "only these rules, such as reverse_shell"),		    \
	ROW("namespace", OPT_TEXT, namespace, "", "only this Kubernetes namespace"),		    \
	ROW("workload", OPT_TEXT, workload, "", "only this workload"),				    \
	ROW("node", OPT_TEXT, node, "", "only this node"),					    \
	ROW("technique", OPT_TEXT, technique, "",						    \
	    "only this ATT&CK technique and those below it, such as T1059")

static const struct opt list_opts[] = {
	OUTPUT_ROW,
	{.key = "limit", .type = OPT_COUNT, .offset = offsetof(struct alerts_settings, limit),
	 .fallback = "100", .min = 1, .max = 1000000, .help = "how many, the newest first"},
	ROW("since", OPT_DURATION, since_ns, "0s", "only those of this last while; 0s is all"),
	FILTER_ROWS,
	CONNECT_ROWS(struct alerts_settings),
};

static const struct opt get_opts[] = {OUTPUT_ROW, CONNECT_ROWS(struct alerts_settings)};

static const struct opt watch_opts[] = {
	OUTPUT_ROW,
	ROW("limit", OPT_COUNT, limit, "0", "ends after so many; 0 is never"),
	FILTER_ROWS,
	CONNECT_ROWS(struct alerts_settings),
};

static const struct optable list_table = {
	.program = "nightjar alerts list",
	.summary = "print alerts, the newest first",
	.opts = list_opts,
	.count = sizeof(list_opts) / sizeof(*list_opts),
	.command = true,
};
static const struct optable get_table = {
	.program = "nightjar alerts get ID",
	.summary = "print one alert with its chain",
	.opts = get_opts,
	.count = sizeof(get_opts) / sizeof(*get_opts),
	.command = true,
};
static const struct optable watch_table = {
	.program = "nightjar alerts watch",
	.summary = "print alerts as they are found",
	.opts = watch_opts,
	.count = sizeof(watch_opts) / sizeof(*watch_opts),
	.command = true,
};

/* ---- requests ------------------------------------------------------------------------------- */

static void fill_filter(const struct alerts_settings *s, Nightjar__V1__AlertFilter *filter,
			Google__Protobuf__Timestamp *since)
{
	uint64_t from = clock_wall_ns() - s->since_ns;

	nightjar__v1__alert_filter__init(filter);
	google__protobuf__timestamp__init(since);
	filter->n_severities = s->severity.count;
	filter->severities = s->severity.items;
	filter->n_rules = s->rule.count;
	filter->rules = s->rule.items;
	filter->namespace_ = s->namespace;
	filter->workload = s->workload;
	filter->node = s->node;
	filter->technique = s->technique;
	if (s->since_ns == 0)
		return;
	since->seconds = (int64_t)(from / NS_PER_SEC);
	since->nanos = (int32_t)(from % NS_PER_SEC);
	filter->since = since;
}

static bool wants_json(const struct alerts_settings *s)
{
	return strcmp(s->output, "json") == 0;
}

static void add_json(struct buf *out, const ProtobufCMessage *message)
{
	if (proto_json_write(out, message) == 0)
		buf_add_byte(out, '\n');
}

/* ---- list ----------------------------------------------------------------------------------- */

static const struct column list_columns[] = {
	{"TIME", 0}, {"SEVERITY", 0}, {"RULE", 0}, {"NODE", 8}, {"ALERT", COLUMN_BELOW}, {"ID", 0},
};
#define LIST_COLUMNS (sizeof(list_columns) / sizeof(*list_columns))

static char *clock_text(struct arena *arena, const Google__Protobuf__Timestamp *t)
{
	time_t seconds = t ? (time_t)t->seconds : 0;
	struct tm tm = {0};

	(void)localtime_r(&seconds, &tm);
	return arena_printf(arena, "%02d-%02d %02d:%02d:%02d", tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			    tm.tm_sec);
}

/* Cells point into the alerts and the arena. */
static void write_table(struct buf *out, Nightjar__V1__Alert *const *alerts, size_t count, struct arena *arena)
{
	const char **cells = arena_alloc(arena, (count * LIST_COLUMNS + 1) * sizeof(*cells));

	for (size_t i = 0; cells && i < count; i++) {
		const char **row = cells + i * LIST_COLUMNS;
		char *clock = clock_text(arena, alerts[i]->time);

		row[0] = clock ? clock : "";
		row[1] = alerts[i]->severity;
		row[2] = alerts[i]->rule;
		row[3] = alerts[i]->node;
		row[4] = *alerts[i]->output ? alerts[i]->output : alerts[i]->title;
		row[5] = alerts[i]->id;
	}
	if (cells)
		columns_write(out, list_columns, LIST_COLUMNS, cells, count,
			      alert_text_style_of(STDOUT_FILENO).width);
}

/* One page into out; *token becomes the next page's. Returns how many there were. */
static int list_page(struct connection *c, Nightjar__V1__ListAlertsRequest *request,
		     Nightjar__V1__ListAlertsResponse **ret_page, struct err *e)
{
	ProtobufCMessage *reply;
	int r = connect_call(c, "/nightjar.v1.Alerts/List", &request->base,
			     &nightjar__v1__list_alerts_response__descriptor, &reply, e);

	if (r < 0)
		return r;
	*ret_page = (Nightjar__V1__ListAlertsResponse *)reply;
	return 0;
}

static int print_page(const struct alerts_settings *s, const Nightjar__V1__ListAlertsResponse *page,
		      const char *command)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	_cleanup_buf_ struct buf out = buf_with_max(256UL << 20);

	if (!arena)
		return command_fail(EXIT_STATUS_FAILED, command, "out of memory");
	for (size_t i = 0; wants_json(s) && i < page->n_alerts; i++)
		add_json(&out, &page->alerts[i]->base);
	if (!wants_json(s))
		write_table(&out, page->alerts, page->n_alerts, arena);
	return command_print(&out, command);
}

static int list_all(const void *settings, char **arguments, struct connection *c, struct err *e)
{
	const struct alerts_settings *s = settings;
	Nightjar__V1__ListAlertsRequest request = NIGHTJAR__V1__LIST_ALERTS_REQUEST__INIT;
	Nightjar__V1__ListAlertsResponse *page = NULL;
	Nightjar__V1__AlertFilter filter;
	Google__Protobuf__Timestamp since;
	uint64_t left = s->limit;
	int r = EXIT_STATUS_OK;

	(void)arguments;
	fill_filter(s, &filter, &since);
	request.filter = &filter;
	while (left > 0 && r == EXIT_STATUS_OK) {
		Nightjar__V1__ListAlertsResponse *previous = page;

		request.page_size = (uint32_t)(left < PAGE_MAX ? left : PAGE_MAX);
		page = NULL;
		r = list_page(c, &request, &page, e); /* the token lives in the previous page */
		nightjar__v1__list_alerts_response__free_unpacked(previous, NULL);
		if (r < 0)
			return r;
		r = print_page(s, page, "alerts list");
		left -= page->n_alerts < left ? page->n_alerts : left;
		request.page_token = page->next_page_token;
		if (!*page->next_page_token)
			break;
	}
	nightjar__v1__list_alerts_response__free_unpacked(page, NULL);
	return r;
}

static int run_list(const void *settings, char **arguments)
{
	const struct alerts_settings *s = settings;

	return connect_run("alerts list", &s->connect, list_all, s, arguments);
}

/* ---- get ------------------------------------------------------------------------------------ */

static int print_alert(const struct alerts_settings *s, const Nightjar__V1__Alert *alert, const char *command)
{
	struct alert_text_style style = alert_text_style_of(STDOUT_FILENO);
	_cleanup_buf_ struct buf out = {0};

	if (wants_json(s))
		add_json(&out, &alert->base);
	else
		alert_text_write(&out, alert, &style);
	return command_print(&out, command);
}

static int get_one(const void *settings, char **arguments, struct connection *c, struct err *e)
{
	Nightjar__V1__GetAlertRequest request = NIGHTJAR__V1__GET_ALERT_REQUEST__INIT;
	ProtobufCMessage *reply;
	int r;

	request.id = arguments[0];
	r = connect_call(c, "/nightjar.v1.Alerts/Get", &request.base, &nightjar__v1__alert__descriptor, &reply, e);
	if (r < 0)
		return r;
	r = print_alert(settings, (Nightjar__V1__Alert *)reply, "alerts get");
	protobuf_c_message_free_unpacked(reply, NULL);
	return r;
}

static int run_get(const void *settings, char **arguments)
{
	const struct alerts_settings *s = settings;

	return connect_run("alerts get", &s->connect, get_one, s, arguments);
}

/* ---- watch ---------------------------------------------------------------------------------- */

static int open_watch(const struct alerts_settings *s, struct connection *c, struct rpc_stream **ret_stream,
		      struct err *e)
{
	Nightjar__V1__WatchAlertsRequest request = NIGHTJAR__V1__WATCH_ALERTS_REQUEST__INIT;
	_cleanup_(rpc_stream_freep) struct rpc_stream *stream = NULL;
	_cleanup_buf_ struct buf packed = {0};
	Nightjar__V1__AlertFilter filter;
	Google__Protobuf__Timestamp since;
	uint8_t *room;
	int r;

	fill_filter(s, &filter, &since);
	request.filter = &filter;
	room = buf_extend(&packed, nightjar__v1__watch_alerts_request__get_packed_size(&request));
	if (!room)
		return err_set(e, -ENOMEM, "out of memory");
	(void)nightjar__v1__watch_alerts_request__pack(&request, room);
	r = rpc_stream_open(c->client, "/nightjar.v1.Alerts/Watch", &stream, e);
	if (r >= 0 && (r = rpc_stream_send(stream, buf_bytes(&packed))) < 0)
		return err_set(e, r, "cannot ask for alerts: %s", strerror(-r));
	if (r < 0)
		return r;
	*ret_stream = take_ptr(stream);
	return 0;
}

static int print_message(const struct alerts_settings *s, struct bytes data)
{
	Nightjar__V1__Alert *alert = nightjar__v1__alert__unpack(NULL, data.len, data.data);
	int r;

	if (!alert)
		return command_fail(EXIT_STATUS_FAILED, "alerts watch",
				    "the answer is not what this version understands");
	r = print_alert(s, alert, "alerts watch");
	nightjar__v1__alert__free_unpacked(alert, NULL);
	return r;
}

/* Until the collector ends it, a signal does, or there were as many as asked for. */
static int watch_all(const void *settings, char **arguments, struct connection *c, struct err *e)
{
	const struct alerts_settings *s = settings;
	_cleanup_(rpc_stream_freep) struct rpc_stream *stream = NULL;
	uint64_t seen = 0;
	int r = open_watch(s, c, &stream, e);

	(void)arguments;
	while (r == EXIT_STATUS_OK) {
		struct rpc_event event;

		rpc_stream_wait(stream, -1, &event);
		if (event.kind == RPC_EVENT_SENT)
			r = rpc_stream_finish_sending(stream);
		else if (event.kind == RPC_EVENT_CLOSED)
			return event.status == 0 ? EXIT_STATUS_OK :
						   rpc_client_explain(c->client, event.status, event.text, e);
		else if (event.kind == RPC_EVENT_MESSAGE)
			r = print_message(s, event.data);
		if (event.kind == RPC_EVENT_MESSAGE && ++seen == s->limit)
			return r;
	}
	return r;
}

static int run_watch(const void *settings, char **arguments)
{
	const struct alerts_settings *s = settings;

	return connect_run("alerts watch", &s->connect, watch_all, s, arguments);
}

const struct command command_alerts_list = {
	.words = "alerts list",
	.table = &list_table,
	.settings_size = sizeof(struct alerts_settings),
	.run = run_list,
};
const struct command command_alerts_get = {
	.words = "alerts get",
	.table = &get_table,
	.settings_size = sizeof(struct alerts_settings),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_get,
};
const struct command command_alerts_watch = {
	.words = "alerts watch",
	.table = &watch_table,
	.settings_size = sizeof(struct alerts_settings),
	.run = run_watch,
};
