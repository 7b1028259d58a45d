/* The Alerts service over mTLS: what callers may not ask, what they get, watchers that do not read. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/api/alerts.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/rpc.h"
#include "tests/unit/alert_sample.h"

#define TIMEOUT_MS 20000

struct rig {
	char dir[64];
	struct metrics *metrics;
	struct store *store;
	struct alerts *alerts;
	struct listen *listen;
	struct tls_files server, reader, agent;
	struct rpc_client *client;
	char target[64];
	const struct listen_method *methods[2]; /* the listener keeps the pointer */
	struct alert_sample sample;
};

static void make(struct rig *rig, const char *name, enum tls_role role, struct tls_files *ret_files)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	struct tls_request request = {
		.name = name,
		.identity = {.role = role, .cluster = "c", .namespace = "n"},
		.hosts = role == TLS_ROLE_COLLECTOR ? hosts : NULL,
		.not_before_s = -60,
		.not_after_s = 3600,
	};
	char ca[128], cert[128], key[128];
	struct err e = {0};

	if (role == TLS_ROLE_AGENT)
		strcpy(request.identity.node, "node-1");
	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", rig->dir);
	(void)snprintf(cert, sizeof(cert), "%s/%s.pem", rig->dir, name);
	(void)snprintf(key, sizeof(key), "%s/%s-key.pem", rig->dir, name);
	assert_int_equal(tls_make_cert(rig->dir, &request, &e), 0);
	assert_int_equal(tls_load(ca, cert, key, clock_wall_ns(), ret_files, &e), 0);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct listen_config config = {.address = "127.0.0.1:0", .threads = 1, .methods = rig->methods};
	struct err e = {0};

	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/nj-alerts-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	assert_int_equal(tls_make_ca(rig->dir, "c", 1, &e), 0);
	make(rig, "server", TLS_ROLE_COLLECTOR, &rig->server);
	make(rig, "reader", TLS_ROLE_READER, &rig->reader);
	make(rig, "agent", TLS_ROLE_AGENT, &rig->agent);
	rig->metrics = metrics_new();
	assert_int_equal(store_open(":memory:", &rig->store, &e), 0);
	rig->alerts = alerts_new(rig->store, rig->metrics);
	rig->methods[0] = alerts_methods(rig->alerts);
	config.files = &rig->server;
	config.metrics = rig->metrics;
	assert_int_equal(listen_new(&config, &rig->listen, &e), 0);
	(void)snprintf(rig->target, sizeof(rig->target), "127.0.0.1:%u", listen_port(rig->listen));
	assert_int_equal(rpc_client_new(rig->target, NULL, &rig->reader, &rig->client, &e), 0);
	alert_sample_fill(&rig->sample);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;
	char command[128];

	rpc_client_free(rig->client);
	listen_stop(rig->listen, 1000);
	listen_free(rig->listen);
	alerts_free(rig->alerts);
	store_close(rig->store);
	metrics_free(rig->metrics);
	tls_files_done(&rig->server);
	tls_files_done(&rig->reader);
	tls_files_done(&rig->agent);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", rig->dir);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

static void pack(struct buf *out, const ProtobufCMessage *m)
{
	uint8_t *room = buf_extend(out, protobuf_c_message_get_packed_size(m));

	(void)protobuf_c_message_pack(m, room);
}

/* The gRPC status of a call; the reply, malloc'ed, only when it is 0. */
static int call(struct rpc_client *client, const char *method, struct bytes request, struct bytes *ret_reply,
		struct err *e)
{
	char path[64];
	int status = 0;

	(void)snprintf(path, sizeof(path), "/nightjar.v1.Alerts/%s", method);
	return rpc_client_call(client, path, request, TIMEOUT_MS, ret_reply, &status, e) < 0 ? status : 0;
}

static Nightjar__V1__ListAlertsResponse *list(struct rig *rig, const Nightjar__V1__ListAlertsRequest *q)
{
	_cleanup_buf_ struct buf request = {0};
	Nightjar__V1__ListAlertsResponse *response;
	struct bytes reply = {0};
	struct err e = {0};

	pack(&request, &q->base);
	if (call(rig->client, "List", buf_bytes(&request), &reply, &e) != LISTEN_OK)
		fail_msg("%s", e.text);
	response = nightjar__v1__list_alerts_response__unpack(NULL, reply.len, reply.data);
	free((void *)(uintptr_t)reply.data);
	assert_non_null(response);
	return response;
}

static void put(struct rig *rig, int n)
{
	char id[32];
	struct err e = {0};

	(void)snprintf(id, sizeof(id), "%026d", n);
	rig->sample.alert.id = id;
	assert_int_equal(store_put(rig->store, &rig->sample.alert, NULL, &e), 1);
}

static void refused(struct rig *rig, const char *method, struct bytes request, int status, const char *sentence)
{
	struct bytes reply;
	struct err e = {0};

	assert_int_equal(call(rig->client, method, request, &reply, &e), status);
	if (!strstr(e.text, sentence))
		fail_msg("'%s' does not say '%s'", e.text, sentence);
}

static void bytes_that_are_no_request_are_refused(void **state)
{
	struct bytes garbage = bytes_of("\xff\xff\xff\xff", 4);

	refused(*state, "List", garbage, LISTEN_INVALID_ARGUMENT, "no nightjar.v1.ListAlertsRequest");
	refused(*state, "Get", garbage, LISTEN_INVALID_ARGUMENT, "no nightjar.v1.GetAlertRequest");
	refused(*state, "Watch", garbage, LISTEN_INVALID_ARGUMENT, "no nightjar.v1.WatchAlertsRequest");
}

static void a_wrong_field_is_named_with_what_is_allowed(void **state)
{
	Nightjar__V1__ListAlertsRequest q = NIGHTJAR__V1__LIST_ALERTS_REQUEST__INIT;
	Nightjar__V1__AlertFilter filter = NIGHTJAR__V1__ALERT_FILTER__INIT;
	char *severity = sample_text("fatal");
	_cleanup_buf_ struct buf request = {0};

	q.page_size = 1001;
	pack(&request, &q.base);
	refused(*state, "List", buf_bytes(&request), LISTEN_INVALID_ARGUMENT,
		"page_size is 1001; allowed are 1 to 1000, and 0 for 100");
	q.page_size = 0;
	q.page_token = sample_text("made-up");
	buf_clear(&request);
	pack(&request, &q.base);
	refused(*state, "List", buf_bytes(&request), LISTEN_INVALID_ARGUMENT, "page_token is not one that List gave");
	q.page_token = sample_text("");
	q.filter = &filter;
	filter.severities = &severity;
	filter.n_severities = 1;
	buf_clear(&request);
	pack(&request, &q.base);
	refused(*state, "List", buf_bytes(&request), LISTEN_INVALID_ARGUMENT, "filter.severities[0] is 'fatal'");
}

static void an_alert_that_is_not_there_is_not_found(void **state)
{
	Nightjar__V1__GetAlertRequest q = NIGHTJAR__V1__GET_ALERT_REQUEST__INIT;
	_cleanup_buf_ struct buf request = {0};

	refused(*state, "Get", (struct bytes){0}, LISTEN_INVALID_ARGUMENT, "id is empty");
	q.id = sample_text("nobody");
	pack(&request, &q.base);
	refused(*state, "Get", buf_bytes(&request), LISTEN_NOT_FOUND, "no alert has the id 'nobody'");
}

static void an_agent_may_not_read_alerts(void **state)
{
	struct rig *rig = *state;
	struct rpc_client *agent = NULL;
	struct bytes reply;
	struct err e = {0};

	assert_int_equal(rpc_client_new(rig->target, NULL, &rig->agent, &agent, &e), 0);
	assert_int_equal(call(agent, "List", (struct bytes){0}, &reply, &e), LISTEN_PERMISSION_DENIED);
	rpc_client_free(agent);
}

static void get_returns_what_was_stored(void **state)
{
	struct rig *rig = *state;
	Nightjar__V1__GetAlertRequest q = NIGHTJAR__V1__GET_ALERT_REQUEST__INIT;
	_cleanup_buf_ struct buf request = {0}, stored = {0};
	struct bytes reply = {0};
	struct err e = {0};

	assert_int_equal(store_put(rig->store, &rig->sample.alert, NULL, &e), 1);
	q.id = rig->sample.alert.id;
	pack(&request, &q.base);
	pack(&stored, &rig->sample.alert.base);
	assert_int_equal(call(rig->client, "Get", buf_bytes(&request), &reply, &e), LISTEN_OK);
	assert_int_equal(reply.len, stored.len);
	assert_memory_equal(reply.data, stored.data, stored.len);
	free((void *)(uintptr_t)reply.data);
}

static void lists_are_paged_to_the_end(void **state)
{
	struct rig *rig = *state;
	Nightjar__V1__ListAlertsRequest q = NIGHTJAR__V1__LIST_ALERTS_REQUEST__INIT;
	char token[256] = "";
	size_t total = 0;

	for (int i = 0; i < 7; i++)
		put(rig, i);
	q.page_size = 3;
	q.page_token = token;
	do {
		Nightjar__V1__ListAlertsResponse *r = list(rig, &q);

		assert_in_range(r->n_alerts, 1, 3);
		total += r->n_alerts;
		(void)snprintf(token, sizeof(token), "%s", r->next_page_token);
		nightjar__v1__list_alerts_response__free_unpacked(r, NULL);
	} while (*token);
	assert_int_equal(total, 7);
}

static void publish(struct rig *rig, int n)
{
	struct sink *sink = alerts_sink(rig->alerts);
	char id[32];
	struct sink_alert a = {.alert = &rig->sample.alert, .json = "{}", .json_len = 2};

	(void)snprintf(id, sizeof(id), "%026d", n);
	rig->sample.alert.id = id;
	assert_int_equal(sink->type->publish(sink, &a), 0);
}

static struct rpc_stream *watch(struct rig *rig, const Nightjar__V1__WatchAlertsRequest *q)
{
	_cleanup_buf_ struct buf request = {0};
	struct rpc_stream *stream = NULL;
	struct err e = {0};

	pack(&request, &q->base);
	assert_int_equal(rpc_stream_open(rig->client, "/nightjar.v1.Alerts/Watch", &stream, &e), 0);
	assert_int_equal(rpc_stream_send(stream, buf_bytes(&request)), 0);
	return stream; /* the sending side stays open: a watcher need not close it */
}

/* A watcher says nothing when it is ready, so alerts are published until one arrives. Returns its
 * number; *ret_next is one more than the last number published. */
static int first_watched(struct rig *rig, struct rpc_stream *stream, int *ret_next)
{
	uint64_t end = clock_monotonic_ns() + TIMEOUT_MS * NS_PER_MS;

	for (int n = 0; clock_monotonic_ns() < end; n++) {
		Nightjar__V1__Alert *a;
		struct rpc_event event = {0};
		int got;

		publish(rig, n);
		rpc_stream_wait(stream, 20, &event);
		if (event.kind == RPC_EVENT_CLOSED)
			fail_msg("closed with %d: %s", event.status, event.text);
		if (event.kind != RPC_EVENT_MESSAGE)
			continue;
		a = nightjar__v1__alert__unpack(NULL, event.data.len, event.data.data);
		assert_non_null(a);
		got = atoi(a->id);
		nightjar__v1__alert__free_unpacked(a, NULL);
		*ret_next = n + 1;
		return got;
	}
	fail_msg("nothing arrived");
	return -1;
}

static void await_message(struct rpc_stream *stream, int n)
{
	uint64_t end = clock_monotonic_ns() + TIMEOUT_MS * NS_PER_MS;

	while (clock_monotonic_ns() < end) {
		Nightjar__V1__Alert *a;
		struct rpc_event event = {0};
		int got;

		rpc_stream_wait(stream, 1000, &event);
		if (event.kind == RPC_EVENT_CLOSED)
			fail_msg("closed with %d: %s", event.status, event.text);
		if (event.kind != RPC_EVENT_MESSAGE)
			continue;
		a = nightjar__v1__alert__unpack(NULL, event.data.len, event.data.data);
		got = atoi(a->id);
		nightjar__v1__alert__free_unpacked(a, NULL);
		if (got == n)
			return;
	}
	fail_msg("alert %d did not arrive", n);
}

static int await_closed(struct rpc_stream *stream)
{
	uint64_t end = clock_monotonic_ns() + TIMEOUT_MS * NS_PER_MS;

	while (clock_monotonic_ns() < end) {
		struct rpc_event event = {0};

		rpc_stream_wait(stream, 1000, &event);
		if (event.kind == RPC_EVENT_CLOSED)
			return event.status;
	}
	fail_msg("the stream stays open");
	return -1;
}

static void a_watcher_gets_what_matches_and_nothing_else(void **state)
{
	struct rig *rig = *state;
	Nightjar__V1__WatchAlertsRequest q = NIGHTJAR__V1__WATCH_ALERTS_REQUEST__INIT;
	Nightjar__V1__AlertFilter filter = NIGHTJAR__V1__ALERT_FILTER__INIT;
	struct rpc_stream *stream;
	int next = 0, got;

	filter.node = sample_text("node-1");
	q.filter = &filter;
	stream = watch(rig, &q);
	got = first_watched(rig, stream, &next);
	for (; got + 1 < next; got++)
		await_message(stream, got + 1);
	rig->sample.alert.node = sample_text("node-2");
	publish(rig, next);
	rig->sample.alert.node = sample_text("node-1");
	publish(rig, next + 1);
	await_message(stream, next + 1);
	rpc_stream_free(stream);
}

static void a_wrong_filter_ends_the_watch(void **state)
{
	Nightjar__V1__WatchAlertsRequest q = NIGHTJAR__V1__WATCH_ALERTS_REQUEST__INIT;
	Nightjar__V1__AlertFilter filter = NIGHTJAR__V1__ALERT_FILTER__INIT;
	struct rpc_stream *stream;

	filter.technique = sample_text("shells");
	q.filter = &filter;
	stream = watch(*state, &q);
	assert_int_equal(await_closed(stream), LISTEN_INVALID_ARGUMENT);
	rpc_stream_free(stream);
}

/* Nothing reads the stream while far more than its queue and the sockets hold is published. */
static void a_watcher_that_does_not_read_is_ended_and_blocks_nobody(void **state)
{
	struct rig *rig = *state;
	Nightjar__V1__WatchAlertsRequest q = NIGHTJAR__V1__WATCH_ALERTS_REQUEST__INIT;
	char *large = malloc(256 << 10);
	struct rpc_stream *stream = watch(rig, &q);
	int next = 0;

	memset(large, 'x', (256 << 10) - 1);
	large[(256 << 10) - 1] = '\0';
	(void)first_watched(rig, stream, &next);
	rig->sample.alert.output = large;
	for (int i = 0; i < 500; i++)
		publish(rig, next + i);
	assert_int_equal(await_closed(stream), LISTEN_RESOURCE_EXHAUSTED);
	rpc_stream_free(stream);
	free(large);
}

static void watchers_are_told_when_the_collector_stops(void **state)
{
	struct rig *rig = *state;
	Nightjar__V1__WatchAlertsRequest q = NIGHTJAR__V1__WATCH_ALERTS_REQUEST__INIT;
	struct sink *sink = alerts_sink(rig->alerts);
	struct rpc_stream *stream = watch(rig, &q);
	int next = 0;

	(void)first_watched(rig, stream, &next);
	assert_int_equal(sink->type->drain(sink, 100), 0);
	assert_int_equal(await_closed(stream), LISTEN_UNAVAILABLE);
	rpc_stream_free(stream);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(bytes_that_are_no_request_are_refused),
		test(a_wrong_field_is_named_with_what_is_allowed),
		test(an_alert_that_is_not_there_is_not_found),
		test(an_agent_may_not_read_alerts),
		test(get_returns_what_was_stored),
		test(lists_are_paged_to_the_end),
		test(a_watcher_gets_what_matches_and_nothing_else),
		test(a_wrong_filter_ends_the_watch),
		test(a_watcher_that_does_not_read_is_ended_and_blocks_nobody),
		test(watchers_are_told_when_the_collector_stops),
	};
	int r;

	rpc_init();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	rpc_done();
	return r;
}
