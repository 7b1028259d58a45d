/* Calls over real mTLS: who is refused and with which sentence, what a stream's order and bounds
 * are, and that garbage on the port disturbs nobody. */
#include "tests/unit/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "common/wire.h"

/* ---- a service: echoes; "end" ends, "many" sends until the queue is full ------------------------ */

struct service {
	int opened, closed; /* on queue threads, read after the listener has stopped */
	int pauses;
};

static int on_open(void *ctx, struct listen_call *call, void **ret_state)
{
	struct service *s = (struct service *)ctx;

	*ret_state = call;
	__atomic_add_fetch(&s->opened, 1, __ATOMIC_SEQ_CST);
	return LISTEN_OK;
}

static void send_many(struct listen_call *call)
{
	static const uint8_t kilobyte[1024];
	int r = 0;

	while (r == 0)
		r = listen_send(call, bytes_of(kilobyte, sizeof(kilobyte)));
	listen_finish(call, r == -ENOBUFS ? LISTEN_RESOURCE_EXHAUSTED : LISTEN_INTERNAL, "too slow");
	if (listen_send(call, bytes_of("x", 1)) != -EPIPE)
		abort();
}

static void on_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct service *s = (struct service *)ctx;

	if (state != call)
		abort();
	if (bytes_equal(message, bytes_of_text("end")))
		listen_finish(call, LISTEN_OK, "as you wish");
	else if (bytes_equal(message, bytes_of_text("many")))
		send_many(call);
	else if (listen_send(call, message) < 0)
		abort();
	if (bytes_equal(message, bytes_of_text("pause"))) {
		listen_pause(call);
		s->pauses++;
		listen_resume(call);
	}
}

static void on_half_closed(void *ctx, struct listen_call *call, void *state)
{
	(void)ctx;
	(void)state;
	listen_finish(call, LISTEN_OK, "half closed");
}

static void on_closed(void *ctx, struct listen_call *call, void *state)
{
	struct service *s = (struct service *)ctx;

	(void)call;
	(void)state;
	__atomic_add_fetch(&s->closed, 1, __ATOMIC_SEQ_CST);
}

static int refuse_open(void *ctx, struct listen_call *call, void **ret_state)
{
	(void)ctx;
	(void)ret_state;
	return listen_refuse(call, LISTEN_UNAVAILABLE, "not on day %d", 7);
}

static void unary(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	(void)ctx;
	(void)state;
	if (listen_send(call, message) < 0)
		abort();
	listen_finish(call, LISTEN_OK, "");
}

struct fixture {
	struct peer peer;
	struct service service;
	struct listen_method methods[4];
	const struct listen_method *tables[2];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->methods[0] = (struct listen_method){.path = "/test/Echo",
					       .roles = TLS_ROLE_AGENT,
					       .open = on_open,
					       .message = on_message,
					       .half_closed = on_half_closed,
					       .closed = on_closed,
					       .ctx = &f->service};
	f->methods[1] = (struct listen_method){.path = "/test/Unary",
					       .roles = TLS_ROLE_AGENT | TLS_ROLE_READER,
					       .message = unary};
	f->methods[2] = (struct listen_method){
		.path = "/test/Refused", .roles = TLS_ROLE_AGENT, .open = refuse_open, .message = unary};
	peer_init(&f->peer);
	f->tables[0] = f->methods;
	peer_listen(&f->peer, f->tables);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	peer_done(&f->peer);
	/* Whatever the test did, each opened call was closed exactly once. */
	assert_int_equal(f->service.opened, f->service.closed);
	free(f);
	return 0;
}

static int call(struct fixture *f, const char *name, const char *method, struct bytes request,
		int *ret_status, struct err *e)
{
	struct rpc_client *client = peer_client(&f->peer, name);
	struct bytes reply = {0};
	int r = rpc_client_call(client, method, request, PEER_WAIT_MS, &reply, ret_status, e);

	if (r == 0) {
		assert_true(bytes_equal(reply, request));
		free((void *)(uintptr_t)reply.data);
	}
	rpc_client_free(client);
	return r;
}

static void assert_served(struct fixture *f)
{
	int status = -1;
	struct err e = {0};

	assert_int_equal(call(f, "agent1", "/test/Unary", bytes_of_text("x"), &status, &e), 0);
}

/* ---- refused -------------------------------------------------------------------------------------- */

static void a_method_that_does_not_exist_is_named(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct err e = {0};
	int status = -1;

	assert_true(call(f, "agent1", "/test/None", bytes_of_text("x"), &status, &e) < 0);
	assert_int_equal(status, LISTEN_UNIMPLEMENTED);
	assert_non_null(strstr(e.text, "/test/None"));
	assert_int_equal(counter_value(f->peer.metrics,
				       "nightjar_grpc_calls_total{result=\"unknown_method\"}"),
			 1);
}

static void a_role_that_may_not_call_a_method_is_told_so(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct err e = {0};
	int status = -1;

	assert_true(call(f, "reader", "/test/Echo", bytes_of_text("x"), &status, &e) < 0);
	assert_int_equal(status, LISTEN_PERMISSION_DENIED);
	assert_non_null(strstr(e.text, "reader"));
	assert_int_equal(counter_value(f->peer.metrics,
				       "nightjar_grpc_calls_total{result=\"wrong_role\"}"),
			 1);
}

static void a_method_that_refuses_at_once_gives_its_sentence(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct err e = {0};
	int status = -1;

	assert_true(call(f, "agent1", "/test/Refused", bytes_of_text("x"), &status, &e) < 0);
	assert_int_equal(status, LISTEN_UNAVAILABLE);
	assert_non_null(strstr(e.text, "not on day 7"));
}

static void a_message_that_is_too_large_ends_its_call_only(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	_cleanup_(freep) uint8_t *big = calloc(1, WIRE_MESSAGE_MAX + 1);
	struct err e = {0};
	int status = -1;

	assert_non_null(big);
	assert_true(call(f, "agent1", "/test/Unary", bytes_of(big, WIRE_MESSAGE_MAX + 1), &status, &e) <
		    0);
	assert_int_equal(status, LISTEN_RESOURCE_EXHAUSTED);
	assert_int_equal(call(f, "agent1", "/test/Unary", bytes_of(big, WIRE_MESSAGE_MAX - 64), &status, &e),
			 0);
}

/* A client with these certificates is refused during the handshake. */
static void assert_refused(struct fixture *f, struct tls_files *files)
{
	struct rpc_client *client = NULL;
	struct bytes reply = {0};
	struct err e = {0};
	int status = -1;

	assert_int_equal(rpc_client_new(f->peer.target, NULL, files, &client, &e), 0);
	assert_true(rpc_client_call(client, "/test/Unary", bytes_of_text("x"), 1500, &reply, &status, &e) <
		    0);
	assert_true(e.text[0] != '\0');
	rpc_client_free(client);
	assert_true(counter_value(f->peer.metrics, "nightjar_tls_handshakes_failed_total") > 0);
	assert_int_equal(counter_value(f->peer.metrics,
				       "nightjar_grpc_calls_total{result=\"accepted\"}"),
			 0);
	assert_served(f);
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct peer other;
	struct tls_files files, ours = peer_files(&f->peer, "agent1");

	peer_init(&other);
	files = peer_files(&other, "agent1");
	/* It trusts our server, but our server does not trust it. */
	free(files.ca);
	files.ca = strdup(ours.ca);
	assert_refused(f, &files);
	tls_files_done(&files);
	tls_files_done(&ours);
	peer_done(&other);
}

static char *read_file(const char *dir, const char *name)
{
	char path[160];
	char *text = calloc(1, 16384);
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, 16383, file) > 0);
	(void)fclose(file);
	return text;
}

static void an_expired_certificate_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct tls_files files;

	peer_cert(&f->peer, "old", TLS_ROLE_AGENT, "n1", -3600);
	files = (struct tls_files){.ca = read_file(f->peer.dir, "ca.pem"),
				   .cert = read_file(f->peer.dir, "old.pem"),
				   .key = read_file(f->peer.dir, "old-key.pem")};
	assert_refused(f, &files);
	tls_files_done(&files);
}

/* ---- raw connections ------------------------------------------------------------------------------ */

static int connect_raw(struct fixture *f)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(listen_port(f->peer.listen)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* True when the server lets it talk: TLS 1.3 reports a refused client at the first read only. */
static bool handshake(struct fixture *f, int max_version, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int fd = connect_raw(f);
	char path[160], byte;
	SSL *ssl;
	bool ok;

	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max_version), 1);
	if (name) {
		(void)snprintf(path, sizeof(path), "%s/%s.pem", f->peer.dir, name);
		assert_int_equal(SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM), 1);
		(void)snprintf(path, sizeof(path), "%s/%s-key.pem", f->peer.dir, name);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM), 1);
	}
	ssl = SSL_new(ctx);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2", 3), 0);
	ok = SSL_connect(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1;
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	(void)close(fd);
	return ok;
}

static void a_client_without_a_certificate_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	assert_false(handshake(f, TLS1_3_VERSION, NULL));
	assert_true(handshake(f, TLS1_3_VERSION, "agent1"));
	assert_served(f);
}

static void tls_1_2_is_refused_before_and_after_a_reload(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct tls_files files = peer_files(&f->peer, "server");

	assert_false(handshake(f, TLS1_2_VERSION, "agent1"));
	assert_int_equal(listen_reload(f->peer.listen, &files, NULL), 0);
	assert_false(handshake(f, TLS1_2_VERSION, "agent1"));
	assert_true(handshake(f, TLS1_3_VERSION, "agent1"));
	tls_files_done(&files);
}

static void garbage_on_the_port_disturbs_nobody(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct rpc_client *client = peer_client(&f->peer, "agent1");
	struct rpc_stream *stream = NULL;
	uint8_t junk[4096];
	int fds[16];
	size_t i;

	assert_int_equal(rpc_stream_open(client, "/test/Echo", &stream, NULL), 0);
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)(i * 131 + 17);
	for (i = 0; i < 16; i++) {
		fds[i] = connect_raw(f);
		/* Some say nothing, some a bit, some a lot; the peer may have hung up already. */
		(void)!send(fds[i], junk, i * 256, MSG_NOSIGNAL);
	}
	peer_send(stream, bytes_of_text("still here"));
	assert_true(bytes_equal(peer_next(stream).data, bytes_of_text("still here")));
	for (i = 0; i < 16; i++)
		(void)close(fds[i]);
	assert_served(f);
	rpc_stream_free(stream);
	rpc_client_free(client);
}

/* ---- served ------------------------------------------------------------------------------------- */

static void a_stream_keeps_its_order_and_ends_when_the_client_does(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct rpc_client *client = peer_client(&f->peer, "agent1");
	struct rpc_stream *stream = NULL;
	struct rpc_event event;
	char text[32];
	int i;

	assert_int_equal(rpc_stream_open(client, "/test/Echo", &stream, NULL), 0);
	for (i = 0; i < 50; i++) {
		(void)snprintf(text, sizeof(text), i == 20 ? "pause" : "message %d", i);
		peer_send(stream, bytes_of_text(text));
		event = peer_next(stream);
		assert_int_equal(event.kind, RPC_EVENT_MESSAGE);
		assert_true(bytes_equal(event.data, bytes_of_text(text)));
	}
	while (rpc_stream_finish_sending(stream) == -EAGAIN) {
		rpc_stream_wait(stream, PEER_WAIT_MS, &event);
		assert_int_equal(event.kind, RPC_EVENT_SENT);
	}
	event = peer_next(stream);
	assert_int_equal(event.kind, RPC_EVENT_CLOSED);
	assert_int_equal(event.status, LISTEN_OK);
	rpc_stream_free(stream);
	rpc_client_free(client);
}

static void a_peer_that_does_not_read_is_cut_off_at_the_bound(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct rpc_client *client = peer_client(&f->peer, "agent1");
	struct rpc_stream *stream = NULL;
	struct rpc_event event;
	int received = 0;

	assert_int_equal(rpc_stream_open(client, "/test/Echo", &stream, NULL), 0);
	peer_send(stream, bytes_of_text("many"));
	while ((event = peer_next(stream)).kind == RPC_EVENT_MESSAGE)
		received++;
	assert_int_equal(event.kind, RPC_EVENT_CLOSED);
	assert_int_equal(event.status, LISTEN_RESOURCE_EXHAUSTED);
	assert_true(received >= 256);
	assert_int_equal(counter_value(f->peer.metrics, "nightjar_grpc_send_queue_full_total"), 1);
	rpc_stream_free(stream);
	rpc_client_free(client);
}

static void stopping_ends_open_streams(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct rpc_client *client = peer_client(&f->peer, "agent1");
	struct rpc_stream *stream = NULL;

	assert_int_equal(rpc_stream_open(client, "/test/Echo", &stream, NULL), 0);
	peer_send(stream, bytes_of_text("x"));
	assert_int_equal(peer_next(stream).kind, RPC_EVENT_MESSAGE);
	peer_unlisten(&f->peer);
	assert_int_equal(peer_next(stream).kind, RPC_EVENT_CLOSED);
	rpc_stream_free(stream);
	rpc_client_free(client);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(a_method_that_does_not_exist_is_named),
		SERVED(a_role_that_may_not_call_a_method_is_told_so),
		SERVED(a_method_that_refuses_at_once_gives_its_sentence),
		SERVED(a_message_that_is_too_large_ends_its_call_only),
		SERVED(a_certificate_of_another_ca_is_refused),
		SERVED(an_expired_certificate_is_refused),
		SERVED(a_client_without_a_certificate_is_refused),
		SERVED(tls_1_2_is_refused_before_and_after_a_reload),
		SERVED(garbage_on_the_port_disturbs_nobody),
		SERVED(a_stream_keeps_its_order_and_ends_when_the_client_does),
		SERVED(a_peer_that_does_not_read_is_cut_off_at_the_bound),
		SERVED(stopping_ends_open_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
