/* The client of the Kubernetes API against a server that does what the real one will not: refuses,
 * breaks off, says nothing, sends control characters. And where the API is found. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "collector/kube/apiclient.h"
#include "common/buf.h"
#include "common/clock.h"
#include "tests/unit/fake_http.h"

#define WAIT_NS (10 * NS_PER_SEC)

struct script {
	const char *answer; /* all that is sent */
	char head[16384];   /* of the last request */
};

struct outcome {
	bool done, opened;
	struct apiclient_outcome o;
	struct buf text;
	int refuse; /* what data answers */
};

static void handle(void *ctx, const char *head, int fd)
{
	struct script *s = (struct script *)ctx;

	(void)snprintf(s->head, sizeof(s->head), "%s", head);
	fake_http_say(fd, s->answer);
}

static int on_data(void *ctx, struct bytes text)
{
	struct outcome *out = (struct outcome *)ctx;

	buf_add(&out->text, text.data, text.len);
	return out->refuse;
}

static void on_opened(void *ctx)
{
	((struct outcome *)ctx)->opened = true;
}

static void on_done(void *ctx, const struct apiclient_outcome *o)
{
	struct outcome *out = (struct outcome *)ctx;

	out->done = true;
	out->o = *o;
}

static void ask(const char *server, const char *token_file, const char *body, struct outcome *out)
{
	const struct apiclient_config config = {.server = server, .token_file = token_file, .ca_file = ""};
	const struct apiclient_request request = {.path = "/api/v1/pods?limit=1",
						  .body = bytes_of_text(body),
						  .timeout_s = 2,
						  .opened = on_opened,
						  .data = on_data,
						  .done = on_done,
						  .ctx = out};
	_cleanup_(apiclient_freep) struct apiclient *c = NULL;
	uint64_t until = clock_monotonic_ns() + WAIT_NS;
	struct apicall *call;
	struct err e = {0};

	assert_int_equal(apiclient_new(&config, &c, &e), 0);
	if (apiclient_start(c, &request, &call, &e) < 0) {
		out->done = true;
		out->o.err = e;
		return;
	}
	while (!out->done && clock_monotonic_ns() < until)
		apiclient_turn(c, 100);
	assert_true(out->done);
}

static void ask_fake(const char *answer, struct script *s, struct outcome *out)
{
	struct fake_http server;

	*s = (struct script){.answer = answer};
	fake_http_start(&server, handle, s);
	ask(server.url, "", NULL, out);
	fake_http_stop(&server);
}

static void a_server_that_cannot_be_is_refused(void **state)
{
	static const char *const bad[] = {"127.0.0.1:6443", "http://10.0.0.1:8080", "ftp://127.0.0.1",
					  "http://127.evil.example:1", "http://localhost.example"};
	struct apiclient *c = NULL;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct apiclient_config config = {.server = bad[i], .token_file = "", .ca_file = ""};

		assert_int_equal(apiclient_new(&config, &c, &e), -EINVAL);
		assert_non_null(strstr(e.text, "allowed: https://HOST:PORT"));
	}
}

static void outside_of_a_pod_a_server_must_be_named(void **state)
{
	const struct apiclient_config config = {.server = "", .token_file = "", .ca_file = ""};
	struct apiclient *c = NULL;
	struct err e = {0};

	(void)state;
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_false(apiclient_in_cluster());
	assert_int_equal(apiclient_new(&config, &c, &e), -EINVAL);
	assert_non_null(strstr(e.text, "KUBERNETES_SERVICE_HOST"));
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_true(apiclient_in_cluster());
	assert_int_equal(apiclient_new(&config, &c, &e), 0);
	apiclient_free(c);
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
}

static void nobody_listens(void **state)
{
	struct outcome out = {0};

	(void)state;
	ask("http://127.0.0.1:1", "", NULL, &out);
	assert_int_equal(out.o.status, 0);
	assert_false(out.o.whole);
	assert_non_null(strstr(out.o.err.text, "the Kubernetes API at http://127.0.0.1:1 cannot be reached"));
}

static void a_missing_token_is_told_before_anything_is_sent(void **state)
{
	struct outcome out = {0};

	(void)state;
	ask("https://127.0.0.1:1", "/nonexistent/token", NULL, &out);
	assert_non_null(strstr(out.o.err.text, "cannot read the token '/nonexistent/token'"));
}

static void a_refusal_is_told_with_the_servers_sentence_made_harmless(void **state)
{
	struct script s;
	struct outcome out = {0};

	(void)state;
	ask_fake("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n{\"kind\":\"Status\",\"message\":\"pods is "
		 "\\u001b[31mforbidden\\n\"}",
		 &s, &out);
	assert_int_equal(out.o.status, 403);
	assert_false(out.o.whole);
	assert_false(out.opened);
	assert_int_equal(out.text.len, 0);
	assert_string_equal(out.o.err.text,
			    "the Kubernetes API answers /api/v1/pods with 403: pods is ?[31mforbidden?");
}

static void an_error_without_a_sentence_is_told_by_its_number(void **state)
{
	struct script s;
	struct outcome out = {0};

	(void)state;
	ask_fake("HTTP/1.1 500 No\r\nConnection: close\r\n\r\n<html>", &s, &out);
	assert_string_equal(out.o.err.text, "the Kubernetes API answers /api/v1/pods with 500");
}

static void an_answer_that_is_cut_is_not_whole(void **state)
{
	struct script s;
	struct outcome out = {0};

	(void)state;
	ask_fake("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"items\":", &s, &out);
	assert_true(out.opened);
	assert_false(out.o.whole);
	assert_string_equal(buf_text(&out.text), "{\"items\":");
	buf_done(&out.text);
}

static void a_redirect_is_not_followed(void **state)
{
	struct script s;
	struct outcome out = {0};

	(void)state;
	ask_fake("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n", &s, &out);
	assert_int_equal(out.o.status, 302);
	assert_false(out.o.whole);
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
	struct script s;
	struct outcome out = {0};

	(void)state;
	ask_fake("", &s, &out);
	assert_int_equal(out.o.status, 0);
	assert_false(out.o.whole);
}

static void what_data_refuses_ends_the_call(void **state)
{
	struct script s;
	struct outcome out = {.refuse = -EBADMSG};

	(void)state;
	ask_fake("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ngarbage", &s, &out);
	assert_false(out.o.whole);
	assert_string_equal(out.o.err.text, "the answer to /api/v1/pods makes no sense: Bad message");
	buf_done(&out.text);
}

static void an_answer_arrives_whole(void **state)
{
	struct script s;
	struct outcome out = {0};

	(void)state;
	ask_fake("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n", &s, &out);
	assert_int_equal(out.o.status, 200);
	assert_true(out.o.whole);
	assert_string_equal(buf_text(&out.text), "{\"a\":1}");
	assert_non_null(strstr(s.head, "GET /api/v1/pods?limit=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(s.head, "Accept: application/json\r\n"));
	assert_null(strstr(s.head, "Authorization"));
	buf_done(&out.text);
}

static void a_body_makes_it_a_post(void **state)
{
	struct script s = {.answer = "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{}"};
	struct outcome out = {0};
	struct fake_http server;

	(void)state;
	fake_http_start(&server, handle, &s);
	ask(server.url, "", "{\"kind\":\"TokenReview\"}", &out);
	fake_http_stop(&server);
	assert_int_equal(out.o.status, 201);
	assert_true(out.o.whole);
	assert_non_null(strstr(s.head, "POST /api/v1/pods?limit=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(s.head, "Content-Type: application/json\r\n"));
	buf_done(&out.text);
}

static void a_call_can_be_cancelled(void **state)
{
	const struct apiclient_config config = {.server = "http://127.0.0.1:1", .token_file = "", .ca_file = ""};
	struct outcome out = {0};
	const struct apiclient_request request = {.path = "/", .timeout_s = 2, .data = on_data, .done = on_done, .ctx = &out};
	struct apiclient *c = NULL;
	struct apicall *call = NULL;

	(void)state;
	assert_int_equal(apiclient_new(&config, &c, NULL), 0);
	assert_int_equal(apiclient_start(c, &request, &call, NULL), 0);
	apiclient_cancel(call);
	apiclient_cancel(NULL);
	apiclient_turn(c, 0);
	assert_false(out.done);
	assert_int_equal(apiclient_start(c, &request, &call, NULL), 0);
	apiclient_free(c);
	assert_false(out.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_that_cannot_be_is_refused),
		cmocka_unit_test(outside_of_a_pod_a_server_must_be_named),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(a_missing_token_is_told_before_anything_is_sent),
		cmocka_unit_test(a_refusal_is_told_with_the_servers_sentence_made_harmless),
		cmocka_unit_test(an_error_without_a_sentence_is_told_by_its_number),
		cmocka_unit_test(an_answer_that_is_cut_is_not_whole),
		cmocka_unit_test(a_redirect_is_not_followed),
		cmocka_unit_test(a_server_that_says_nothing_is_given_up),
		cmocka_unit_test(what_data_refuses_ends_the_call),
		cmocka_unit_test(an_answer_arrives_whole),
		cmocka_unit_test(a_body_makes_it_a_post),
		cmocka_unit_test(a_call_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
