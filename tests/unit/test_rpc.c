/* Clients over mTLS against the real listener: first every way in which a connection does not come
 * about, each with its sentence; then calls and streams. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "common/rpc.h"
#include "common/tls13.h"
#include "common/tls_diagnose.h"
#include "tests/unit/fake_collector.h"

#define CALL_MS	    10000
#define DIAGNOSE_MS 300

static int set_up(void **state)
{
	struct fake *f = fake_new();

	rpc_init();
	fake_start(f, "127.0.0.1:0");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fake_free(*state);
	rpc_done();
	return 0;
}

/* One echo call with these files; *ret_text is its answer. */
static int echo(const char *target, const char *server_name, const struct tls_files *files,
		const char *text, struct err *e)
{
	_cleanup_(rpc_client_freep) struct rpc_client *c = NULL;
	struct bytes reply = {0};
	int status = -1;
	int r = rpc_client_new(target, server_name, files, &c, e);

	if (r < 0)
		return r;
	r = rpc_client_call(c, "/test/Echo", bytes_of_text(text), CALL_MS, &reply, &status, e);
	if (r >= 0)
		assert_true(bytes_equal(reply, bytes_of_text(text)));
	assert_int_equal(r < 0, status != 0);
	free((void *)(uintptr_t)reply.data);
	return r;
}

static void assert_says(const struct err *e, const char *part)
{
	if (!strstr(e->text, part))
		fail_msg("'%s' does not say '%s'", e->text, part);
}

/* A port of ours on which nothing is accepted. */
static int bound_port(char *target, size_t size, bool listening)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	if (listening)
		assert_int_equal(listen(fd, 4), 0);
	(void)snprintf(target, size, "127.0.0.1:%u", ntohs(address.sin_port));
	return fd;
}

static void an_address_without_a_port_is_refused_at_once(void **state)
{
	static const char *const bad[] = {"", "host", ":1", "host:", "[]:1", "host:123456"};
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	struct rpc_client *c = NULL;
	struct err e = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(rpc_client_new(bad[i], NULL, &files, &c, &e), -EINVAL);
		assert_says(&e, "HOST:PORT is expected");
		assert_null(c);
	}
}

static void a_closed_port_is_connection_refused(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	char target[64];
	_cleanup_(closep) int fd = bound_port(target, sizeof(target), false);
	struct err e = {0};

	assert_true(fd >= 0);
	assert_int_equal(echo(target, NULL, &files, "x", &e), -ECONNREFUSED);
	assert_says(&e, "connection refused (nothing listens there)");
}

static void a_port_that_never_answers_is_no_tls(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	char target[64];
	_cleanup_(closep) int fd = bound_port(target, sizeof(target), true);
	struct err e = {0};

	assert_true(fd >= 0);
	assert_int_equal(tls_diagnose(target, NULL, &files, DIAGNOSE_MS, &e), -ETIMEDOUT);
	assert_says(&e, "does not answer");
}

static void *speak_http(void *arg)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	int fd = accept(*(int *)arg, NULL, NULL);

	(void)!write(fd, answer, sizeof(answer) - 1);
	(void)shutdown(fd, SHUT_WR);
	(void)!read(fd, (char[512]){0}, 512);
	(void)close(fd);
	return NULL;
}

static void a_port_with_another_protocol_is_no_tls(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	char target[64];
	_cleanup_(closep) int fd = bound_port(target, sizeof(target), true);
	pthread_t thread;
	struct err e = {0};

	assert_int_equal(pthread_create(&thread, NULL, speak_http, &fd), 0);
	assert_int_equal(tls_diagnose(target, NULL, &files, CALL_MS, &e), -EPROTO);
	assert_says(&e, "does not speak TLS");
	(void)pthread_join(thread, NULL);
}

static void a_collector_of_another_ca_is_named_so(void **state)
{
	struct fake *f = *state;
	struct fake *other = fake_new();
	_cleanup_(tls_files_done) struct tls_files files = fake_files(other->dir, "agent");
	struct err e = {0};

	assert_true(echo(f->target, NULL, &files, "x", &e) < 0);
	assert_says(&e, "is not signed by our CA");
	fake_free(other);
}

static void an_expired_collector_is_named_so(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	struct err e = {0};

	fake_stop(f);
	fake_make_cert(f->dir, "old", TLS_ROLE_COLLECTOR, -60);
	tls_files_done(&f->server_files);
	f->server_files = fake_files(f->dir, "old");
	fake_start(f, "127.0.0.1:0");
	assert_true(echo(f->target, NULL, &files, "x", &e) < 0);
	assert_says(&e, "has expired");
}

static void a_certificate_for_another_host_is_named_so(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	struct err e = {0};

	assert_true(echo(f->target, "collector.example", &files, "x", &e) < 0);
	assert_says(&e, "is not made out for 'collector.example'");
	assert_int_equal(echo(f->target, "localhost", &files, "x", &e), 0);
}

static void without_a_client_certificate_the_collector_refuses(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	struct err e = {0};

	free(take_ptr(files.cert));
	free(take_ptr(files.key));
	assert_true(echo(f->target, NULL, &files, "x", &e) < 0);
	assert_says(&e, "certificate");
	assert_int_equal(f->echoes, 0);
}

static void with_an_expired_client_certificate_the_collector_refuses(void **state)
{
	struct fake *f = *state;
	struct tls_files files;
	struct err e = {0};

	fake_make_cert(f->dir, "agent", TLS_ROLE_AGENT, -60);
	files = fake_files(f->dir, "agent");
	assert_true(echo(f->target, NULL, &files, "x", &e) < 0);
	assert_says(&e, "certificate");
	assert_int_equal(f->echoes, 0);
	tls_files_done(&files);
}

static int handshake(struct fake *f, const struct tls_files *files, int max_version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char path[160];
	SSL *ssl;
	int r;

	(void)files;
	address.sin_port = htons(listen_port(f->listen));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)snprintf(path, sizeof(path), "%s/agent.pem", f->dir);
	assert_int_equal(SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM), 1);
	(void)snprintf(path, sizeof(path), "%s/agent-key.pem", f->dir);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max_version), 1);
	ssl = SSL_new(ctx);
	/* A client of its own may want less than this program's floor. */
	assert_int_equal(SSL_set_min_proto_version(ssl, TLS1_2_VERSION), 1);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2", 3), 0);
	r = SSL_connect(ssl);
	if (r == 1)
		assert_int_equal(SSL_version(ssl), max_version);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	(void)close(fd);
	return r == 1 ? 0 : -EPROTO;
}

static void tls_1_2_is_refused_by_the_listener(void **state)
{
	struct fake *f = *state;
	struct err e = {0};

	assert_int_equal(tls13_check(&e), 0);
	assert_int_equal(handshake(f, NULL, TLS1_2_VERSION), -EPROTO);
	assert_int_equal(handshake(f, NULL, TLS1_3_VERSION), 0);
}

static void *serve_tls12(void *arg)
{
	int *fds = arg; /* listening socket; result */
	int fd = accept(fds[0], NULL, NULL);
	struct fake *f = *(struct fake **)(void *)(fds + 2);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char path[160];
	SSL *ssl;

	(void)snprintf(path, sizeof(path), "%s/server.pem", f->dir);
	(void)SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM);
	(void)snprintf(path, sizeof(path), "%s/server-key.pem", f->dir);
	(void)SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
	(void)SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ssl = SSL_new(ctx);
	(void)SSL_set_min_proto_version(ssl, TLS1_2_VERSION);
	(void)SSL_set_fd(ssl, fd);
	fds[1] = SSL_accept(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	(void)close(fd);
	return NULL;
}

static void tls_1_2_is_refused_by_the_client(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	struct {
		int fds[2];
		struct fake *f;
	} server = {{0, 0}, f};
	_cleanup_(rpc_client_freep) struct rpc_client *c = NULL;
	struct rpc_stream *stream = NULL;
	struct rpc_event event;
	char target[64];
	pthread_t thread;
	struct err e = {0};

	server.fds[0] = bound_port(target, sizeof(target), true);
	assert_int_equal(pthread_create(&thread, NULL, serve_tls12, &server), 0);
	assert_int_equal(rpc_client_new(target, NULL, &files, &c, &e), 0);
	assert_int_equal(rpc_stream_open(c, "/test/Echo", &stream, &e), 0);
	rpc_stream_wait(stream, CALL_MS, &event);
	assert_int_equal(event.kind, RPC_EVENT_CLOSED);
	assert_int_not_equal(event.status, 0);
	rpc_stream_free(stream);
	(void)pthread_join(thread, NULL);
	assert_int_not_equal(server.fds[1], 1);
	/* The same again, to be told why. */
	assert_int_equal(pthread_create(&thread, NULL, serve_tls12, &server), 0);
	assert_true(tls_diagnose(target, NULL, &files, CALL_MS, &e) < 0);
	assert_says(&e, "does not speak TLS 1.3");
	(void)pthread_join(thread, NULL);
	(void)close(server.fds[0]);
}

/* ---- calls ---- */

static void what_the_server_says_comes_with_its_status(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	struct err e = {0};

	assert_int_equal(echo(f->target, NULL, &files, "refuse", &e), -ENOENT);
	assert_says(&e, "there is no such thing");
}

static void a_call_brings_its_answer_even_an_empty_one(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	char *large = malloc(1 << 20);
	struct err e = {0};

	memset(large, 'x', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
	assert_int_equal(echo(f->target, NULL, &files, "hello", &e), 0);
	assert_int_equal(echo(f->target, NULL, &files, "", &e), 0);
	assert_int_equal(echo(f->target, NULL, &files, large, &e), 0);
	free(large);
}

static void a_method_that_does_not_exist_is_said(void **state)
{
	struct fake *f = *state;
	_cleanup_(tls_files_done) struct tls_files files = fake_files(f->dir, "agent");
	_cleanup_(rpc_client_freep) struct rpc_client *c = NULL;
	struct bytes reply = {0};
	struct err e = {0};

	assert_int_equal(rpc_client_new(f->target, NULL, &files, &c, &e), 0);
	assert_int_equal(rpc_client_call(c, "/test/None", bytes_of_text(""), CALL_MS, &reply, NULL, &e), -ENOSYS);
	assert_null(reply.data);
}

/* ---- streams ---- */

struct wire_up {
	struct tls_files files;
	struct rpc_client *client;
	struct rpc_stream *stream;
};

static void open_stream(struct fake *f, struct wire_up *w, const char *method)
{
	struct err e = {0};

	w->files = fake_files(f->dir, "agent");
	assert_int_equal(rpc_client_new(f->target, NULL, &w->files, &w->client, &e), 0);
	assert_int_equal(rpc_stream_open(w->client, method, &w->stream, &e), 0);
}

static void close_stream(struct wire_up *w)
{
	rpc_stream_free(w->stream);
	rpc_client_free(w->client);
	tls_files_done(&w->files);
}

static void await(struct wire_up *w, enum rpc_event_kind kind, struct rpc_event *ret_event)
{
	do
		rpc_stream_wait(w->stream, CALL_MS, ret_event);
	while (ret_event->kind != kind && ret_event->kind != RPC_EVENT_TIMEOUT &&
	       ret_event->kind != RPC_EVENT_CLOSED);
	assert_int_equal(ret_event->kind, kind);
}

/* On a stream that stays open: the answer may overtake the news that the message has left. */
static void a_second_message_waits_until_the_first_has_left(void **state)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	struct wire_up w;
	struct rpc_event event;
	bool sent = false, answered = false;
	uint8_t packed[64];
	size_t size;

	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	size = nightjar__v1__agent_message__pack(&message, packed);
	open_stream(*state, &w, "/nightjar.v1.Ingest/Stream");
	assert_int_equal(rpc_stream_send(w.stream, bytes_of(packed, size)), 0);
	assert_int_equal(rpc_stream_send(w.stream, bytes_of(packed, size)), -EAGAIN);
	while (!sent || !answered) {
		rpc_stream_wait(w.stream, CALL_MS, &event);
		assert_true(event.kind == RPC_EVENT_SENT || event.kind == RPC_EVENT_MESSAGE);
		sent = sent || event.kind == RPC_EVENT_SENT;
		answered = answered || event.kind == RPC_EVENT_MESSAGE;
	}
	assert_int_equal(rpc_stream_send(w.stream, bytes_of(packed, size)), 0);
	close_stream(&w);
}

static void a_stream_that_is_over_says_so_for_ever(void **state)
{
	struct wire_up w;
	struct rpc_event event;

	open_stream(*state, &w, "/test/Echo");
	assert_int_equal(rpc_stream_send(w.stream, bytes_of_text("one")), 0);
	await(&w, RPC_EVENT_MESSAGE, &event);
	assert_true(bytes_equal(event.data, bytes_of_text("one")));
	await(&w, RPC_EVENT_CLOSED, &event);
	assert_int_equal(event.status, 0);
	assert_int_equal(rpc_stream_send(w.stream, bytes_of_text("two")), -EPIPE);
	rpc_stream_wait(w.stream, 0, &event);
	assert_int_equal(event.kind, RPC_EVENT_CLOSED);
	close_stream(&w);
}

static void the_sentence_of_a_refusal_ends_the_stream(void **state)
{
	struct wire_up w;
	struct rpc_event event;
	struct err e = {0};

	open_stream(*state, &w, "/test/Echo");
	assert_int_equal(rpc_stream_send(w.stream, bytes_of_text("refuse")), 0);
	await(&w, RPC_EVENT_CLOSED, &event);
	assert_int_equal(event.status, LISTEN_NOT_FOUND);
	assert_string_equal(event.text, "there is no such thing");
	assert_int_equal(rpc_client_explain(w.client, event.status, event.text, &e), -ENOENT);
	close_stream(&w);
}

static void *wake(void *arg)
{
	for (int i = 0; i < 1000; i++)
		rpc_stream_wakeup(arg);
	return NULL;
}

static void another_thread_wakes_the_one_that_waits(void **state)
{
	struct wire_up w;
	struct rpc_event event;
	pthread_t thread;

	open_stream(*state, &w, "/nightjar.v1.Ingest/Stream");
	assert_int_equal(pthread_create(&thread, NULL, wake, w.stream), 0);
	await(&w, RPC_EVENT_WAKEUP, &event);
	(void)pthread_join(thread, NULL);
	close_stream(&w);
}

static void nothing_to_report_is_a_timeout(void **state)
{
	struct wire_up w;
	struct rpc_event event;

	open_stream(*state, &w, "/nightjar.v1.Ingest/Stream");
	rpc_stream_wait(w.stream, 0, &event);
	assert_int_equal(event.kind, RPC_EVENT_TIMEOUT);
	close_stream(&w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_without_a_port_is_refused_at_once),
		TEST(a_closed_port_is_connection_refused),
		TEST(a_port_that_never_answers_is_no_tls),
		TEST(a_port_with_another_protocol_is_no_tls),
		TEST(a_collector_of_another_ca_is_named_so),
		TEST(an_expired_collector_is_named_so),
		TEST(a_certificate_for_another_host_is_named_so),
		TEST(without_a_client_certificate_the_collector_refuses),
		TEST(with_an_expired_client_certificate_the_collector_refuses),
		TEST(tls_1_2_is_refused_by_the_listener),
		TEST(tls_1_2_is_refused_by_the_client),
		TEST(what_the_server_says_comes_with_its_status),
		TEST(a_call_brings_its_answer_even_an_empty_one),
		TEST(a_method_that_does_not_exist_is_said),
		TEST(a_second_message_waits_until_the_first_has_left),
		TEST(a_stream_that_is_over_says_so_for_ever),
		TEST(the_sentence_of_a_refusal_ends_the_stream),
		TEST(another_thread_wakes_the_one_that_waits),
		TEST(nothing_to_report_is_a_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
