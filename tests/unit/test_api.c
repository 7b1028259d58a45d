/* Reflection, health, Fleet and HTTP as clients see them: over mTLS, and over a plain socket. */
#include "tests/unit/peer.h"

#include <stdatomic.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/api/fleet.h"
#include "collector/api/health.h"
#include "collector/api/http.h"
#include "collector/api/reflection.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "nightjar/v1/query.pb-c.h"

#define REFLECTION_V1	   "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define REFLECTION_V1ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;
#define REQUEST(name)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

struct fixture {
	struct peer peer;
	struct nodes *nodes;
	struct fleet *fleet;
	struct health *health;
	struct reflection *reflection;
	const struct listen_method *tables[4];
	struct rpc_client *client;
	atomic_bool ready;
};

static int setup(void **state)
{
	static const char *const services[] = {"nightjar.v1.Fleet", NULL};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	peer_init(&f->peer);
	f->nodes = nodes_new(8, f->peer.metrics);
	f->fleet = fleet_new(f->nodes, f->peer.metrics);
	f->health = health_new(services);
	assert_int_equal(reflection_new(&f->reflection, NULL), 0);
	f->tables[0] = fleet_methods(f->fleet);
	f->tables[1] = health_methods(f->health);
	f->tables[2] = reflection_methods(f->reflection);
	peer_listen(&f->peer, f->tables);
	f->client = peer_client(&f->peer, "reader");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	rpc_client_free(f->client);
	peer_unlisten(&f->peer);
	reflection_free(f->reflection);
	health_free(f->health);
	fleet_free(f->fleet);
	nodes_free(f->nodes);
	peer_done(&f->peer);
	free(f);
	return 0;
}

/* Packs request, calls, and gives the answer's bytes (malloc'ed); the status otherwise. */
static int call(struct fixture *f, const char *method, const ProtobufCMessage *request,
		struct bytes *ret_reply)
{
	uint8_t room[512];
	size_t len = protobuf_c_message_get_packed_size(request);
	struct err e = {0};
	int status = 0;

	assert_true(len <= sizeof(room));
	(void)protobuf_c_message_pack(request, room);
	(void)!rpc_client_call(f->client, method, bytes_of(room, len), PEER_WAIT_MS, ret_reply, &status, &e);
	return status;
}

static void free_reply(struct bytes reply)
{
	free((void *)(uintptr_t)reply.data);
}

/* ---- reflection ------------------------------------------------------------------------------- */

static response_t *ask(struct rpc_stream *stream, request_t *request)
{
	uint8_t room[512];
	size_t len = protobuf_c_message_get_packed_size(&request->base);
	struct rpc_event event;
	response_t *response;

	assert_true(len <= sizeof(room));
	(void)protobuf_c_message_pack(&request->base, room);
	peer_send(stream, bytes_of(room, len));
	event = peer_next(stream);
	assert_int_equal(event.kind, RPC_EVENT_MESSAGE);
	response = grpc__reflection__v1__server_reflection_response__unpack(NULL, event.data.len,
									    event.data.data);
	assert_non_null(response);
	return response;
}

static void free_response(response_t *response)
{
	grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static response_t *ask_symbol(struct rpc_stream *stream, const char *symbol)
{
	request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;

	request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
	request.file_containing_symbol = (char *)(uintptr_t)symbol;
	return ask(stream, &request);
}

static struct rpc_stream *reflect(struct fixture *f, const char *path)
{
	struct rpc_stream *stream = NULL;

	assert_int_equal(rpc_stream_open(f->client, path, &stream, NULL), 0);
	return stream;
}

static void an_unknown_symbol_and_an_empty_request_are_errors_on_a_stream_that_goes_on(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct rpc_stream *stream = reflect(f, REFLECTION_V1);
	request_t empty = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	response_t *response = ask_symbol(stream, "nightjar.v1.Nothing");

	assert_int_equal(response->message_response_case, RESPONSE(ERROR_RESPONSE));
	assert_int_equal(response->error_response->error_code, LISTEN_NOT_FOUND);
	free_response(response);
	response = ask(stream, &empty);
	assert_int_equal(response->message_response_case, RESPONSE(ERROR_RESPONSE));
	free_response(response);
	response = ask_symbol(stream, "nightjar.v1.Alerts");
	assert_int_equal(response->message_response_case, RESPONSE(FILE_DESCRIPTOR_RESPONSE));
	free_response(response);
	rpc_stream_free(stream);
}

static void assert_lists_services(struct fixture *f, const char *path)
{
	static const char *const wanted[] = {"nightjar.v1.Alerts", "nightjar.v1.Fleet",
					     "nightjar.v1.Ingest", "grpc.health.v1.Health"};
	struct rpc_stream *stream = reflect(f, path);
	request_t request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	response_t *response;
	size_t i, j, found = 0;

	request.message_request_case = REQUEST(LIST_SERVICES);
	request.list_services = (char *)(uintptr_t)"*";
	response = ask(stream, &request);
	assert_int_equal(response->message_response_case, RESPONSE(LIST_SERVICES_RESPONSE));
	for (i = 0; i < response->list_services_response->n_service; i++)
		for (j = 0; j < 4; j++)
			found += strcmp(response->list_services_response->service[i]->name, wanted[j]) == 0;
	assert_int_equal(found, 4);
	assert_non_null(response->original_request);
	free_response(response);
	rpc_stream_free(stream);
}

static void both_versions_list_the_services(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	assert_lists_services(f, REFLECTION_V1);
	assert_lists_services(f, REFLECTION_V1ALPHA);
}

static void messages_nested_ones_fields_enums_and_methods_are_found(void **state)
{
	static const char *const symbols[] = {
		"nightjar.v1.Alert",	     "nightjar.v1.Alert.severity",  "nightjar.v1.EventKind",
		"nightjar.v1.Alerts.List",   "google.protobuf.Timestamp",
		"grpc.health.v1.HealthCheckResponse.ServingStatus",
	};
	struct fixture *f = (struct fixture *)*state;
	struct rpc_stream *stream = reflect(f, REFLECTION_V1);
	size_t i;

	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		response_t *response = ask_symbol(stream, symbols[i]);

		if (response->message_response_case != RESPONSE(FILE_DESCRIPTOR_RESPONSE))
			fail_msg("'%s' is not found", symbols[i]);
		assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, 1);
		free_response(response);
	}
	rpc_stream_free(stream);
}

/* ---- health ------------------------------------------------------------------------------------- */

static void a_service_that_nobody_knows_is_not_found(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct bytes reply = {0};

	request.service = (char *)(uintptr_t)"no.such.Service";
	assert_int_equal(call(f, "/grpc.health.v1.Health/Check", &request.base, &reply), LISTEN_NOT_FOUND);
}

static int expect_status(struct rpc_stream *stream)
{
	struct rpc_event event = peer_next(stream);
	Grpc__Health__V1__HealthCheckResponse *response;
	int status;

	assert_int_equal(event.kind, RPC_EVENT_MESSAGE);
	response = grpc__health__v1__health_check_response__unpack(NULL, event.data.len, event.data.data);
	assert_non_null(response);
	status = (int)response->status;
	grpc__health__v1__health_check_response__free_unpacked(response, NULL);
	return status;
}

static void a_watcher_hears_of_every_change(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct rpc_stream *stream = NULL;

	assert_int_equal(rpc_stream_open(f->client, "/grpc.health.v1.Health/Watch", &stream, NULL), 0);
	peer_send(stream, (struct bytes){0});
	assert_int_equal(expect_status(stream), 2);
	health_set(f->health, true);
	assert_int_equal(expect_status(stream), 1);
	health_set(f->health, true); /* no change, no message */
	health_set(f->health, false);
	assert_int_equal(expect_status(stream), 2);
	rpc_stream_free(stream);
}

/* ---- fleet -------------------------------------------------------------------------------------- */

static void add_nodes(struct fixture *f, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		char name[16];
		struct node *node;

		(void)snprintf(name, sizeof(name), "n%u", i);
		node = nodes_get(f->nodes, "c", name);
		assert_non_null(node);
		node_unref(node);
	}
}

static void a_page_token_of_somebody_else_is_refused(void **state)
{
	static const char *const tokens[] = {"x", "-1", "1x", " 1", "99999999999999999999999"};
	struct fixture *f = (struct fixture *)*state;
	size_t i;

	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		Nightjar__V1__ListNodesRequest request = NIGHTJAR__V1__LIST_NODES_REQUEST__INIT;
		struct bytes reply = {0};

		request.page_token = (char *)(uintptr_t)tokens[i];
		assert_int_equal(call(f, "/nightjar.v1.Fleet/ListNodes", &request.base, &reply),
				 LISTEN_INVALID_ARGUMENT);
	}
}

static void nodes_are_listed_by_name_in_pages(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	Nightjar__V1__ListNodesRequest request = NIGHTJAR__V1__LIST_NODES_REQUEST__INIT;
	char token[32] = "", wanted[16];
	unsigned int seen = 0, pages = 0;
	size_t i;

	add_nodes(f, 5);
	do {
		Nightjar__V1__ListNodesResponse *page;
		struct bytes reply = {0};

		request.page_size = 2;
		request.page_token = token;
		assert_int_equal(call(f, "/nightjar.v1.Fleet/ListNodes", &request.base, &reply), LISTEN_OK);
		page = nightjar__v1__list_nodes_response__unpack(NULL, reply.len, reply.data);
		assert_non_null(page);
		for (i = 0; i < page->n_nodes; i++) {
			(void)snprintf(wanted, sizeof(wanted), "n%u", seen++);
			assert_string_equal(page->nodes[i]->name, wanted);
			assert_false(page->nodes[i]->connected);
		}
		(void)snprintf(token, sizeof(token), "%s", page->next_page_token);
		nightjar__v1__list_nodes_response__free_unpacked(page, NULL);
		free_reply(reply);
		pages++;
	} while (token[0]);
	assert_int_equal(seen, 5);
	assert_int_equal(pages, 3);
}

static Nightjar__V1__Node *get_node(struct fixture *f, const char *name)
{
	Nightjar__V1__GetNodeRequest request = NIGHTJAR__V1__GET_NODE_REQUEST__INIT;
	Nightjar__V1__Node *node = NULL;
	struct bytes reply = {0};

	request.name = (char *)(uintptr_t)name;
	if (call(f, "/nightjar.v1.Fleet/GetNode", &request.base, &reply) != LISTEN_OK)
		return NULL;
	node = nightjar__v1__node__unpack(NULL, reply.len, reply.data);
	assert_non_null(node);
	free_reply(reply);
	return node;
}

/* malloc'ed, as a session takes it out of a message. */
static Nightjar__V1__Hello *make_hello(const char *state, const char *reason)
{
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage row = NIGHTJAR__V1__COVERAGE__INIT, *rows[] = {&row};
	uint8_t packed[256];

	row.class_ = (char *)(uintptr_t) "file";
	row.state = (char *)(uintptr_t)state;
	row.reason = (char *)(uintptr_t)reason;
	hello.coverage = rows;
	hello.n_coverage = 1;
	assert_true(nightjar__v1__hello__get_packed_size(&hello) <= sizeof(packed));
	return nightjar__v1__hello__unpack(NULL, nightjar__v1__hello__pack(&hello, packed), packed);
}

static void a_node_is_told_with_its_coverage_and_the_policy_in_force(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	Nightjar__V1__Node *read;
	struct node *node;

	assert_null(get_node(f, "n1"));
	node = nodes_get(f->nodes, "c", "n1");
	nodes_lock(f->nodes);
	nodes_set_hello(f->nodes, node, make_hello("degraded", "no hook for openat2"));
	node->policy_generation = 7;
	nodes_unlock(f->nodes);
	read = get_node(f, "n1");
	assert_non_null(read);
	assert_int_equal(read->n_coverage, 1);
	assert_string_equal(read->coverage[0]->class_, "file");
	assert_string_equal(read->coverage[0]->state, "degraded");
	assert_string_equal(read->coverage[0]->reason, "no hook for openat2");
	assert_int_equal(read->policy_generation, 7);
	nightjar__v1__node__free_unpacked(read, NULL);
	node_unref(node);
}

static void a_node_that_is_forgotten_leaves_the_gauge_of_coverage(void **state)
{
	static const char name[] = "nightjar_nodes_coverage{class=\"file\",state=\"missing\"}";
	struct fixture *f = (struct fixture *)*state;
	struct node *node = nodes_get(f->nodes, "c", "oldest");

	nodes_lock(f->nodes);
	nodes_set_hello(f->nodes, node, make_hello("missing", ""));
	nodes_unlock(f->nodes);
	assert_int_equal(counter_value(f->peer.metrics, name), 1);
	add_nodes(f, 8);
	assert_null(nodes_find(f->nodes, "oldest"));
	assert_int_equal(counter_value(f->peer.metrics, name), 0);
	nodes_lock(f->nodes);
	nodes_set_hello(f->nodes, node, make_hello("missing", "")); /* somebody holds it still */
	nodes_unlock(f->nodes);
	assert_int_equal(counter_value(f->peer.metrics, name), 0);
	node_unref(node);
}

static void more_nodes_than_the_table_holds_push_out_the_oldest(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	add_nodes(f, 9);
	assert_null(nodes_find(f->nodes, "n0"));
	assert_int_equal(counter_value(f->peer.metrics, "nightjar_nodes_evicted"), 1);
}

/* ---- HTTP --------------------------------------------------------------------------------------- */

static bool is_ready(void *ctx)
{
	return atomic_load(&((struct fixture *)ctx)->ready);
}

/* The status that a GET answers with. */
static int get(uint16_t port, const char *request)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char answer[64] = "";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_true(send(fd, request, strlen(request), MSG_NOSIGNAL) > 0);
	if (recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) > 0)
		(void)sscanf(answer, "HTTP/1.1 %d", &status);
	(void)close(fd);
	return status;
}

static void http_answers_probes_and_nothing_else(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	const struct http_config config = {
		.address = "127.0.0.1:0", .metrics = f->peer.metrics, .ready = is_ready, .ctx = f};
	struct http *http = NULL, *second = NULL;
	char address[32];
	struct err e = {0};

	assert_int_equal(http_new(&config, &http, &e), 0);
	assert_int_equal(get(http_port(http), "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
	atomic_store(&f->ready, true);
	assert_int_equal(get(http_port(http), "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	assert_int_equal(get(http_port(http), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	assert_int_equal(get(http_port(http), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	assert_int_equal(get(http_port(http), "GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
	assert_int_equal(get(http_port(http), "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", http_port(http));
	assert_int_equal(http_new(&(struct http_config){.address = address}, &second, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "another program has the port"));
	http_free(http);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(an_unknown_symbol_and_an_empty_request_are_errors_on_a_stream_that_goes_on),
		SERVED(both_versions_list_the_services),
		SERVED(messages_nested_ones_fields_enums_and_methods_are_found),
		SERVED(a_service_that_nobody_knows_is_not_found),
		SERVED(a_watcher_hears_of_every_change),
		SERVED(a_page_token_of_somebody_else_is_refused),
		SERVED(nodes_are_listed_by_name_in_pages),
		SERVED(more_nodes_than_the_table_holds_push_out_the_oldest),
		SERVED(a_node_is_told_with_its_coverage_and_the_policy_in_force),
		SERVED(a_node_that_is_forgotten_leaves_the_gauge_of_coverage),
		SERVED(http_answers_probes_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
