/* The watch of the cluster against a server that does what the real one will not: garbage, answers cut
 * in the middle, objects too large, errors within a watch, a place that is forgotten, pages. The real one
 * is for tests/kube. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "collector/kube/apiwatch.h"
#include "common/clock.h"
#include "tests/await.h"
#include "tests/unit/counter.h"
#include "tests/unit/fake_http.h"

#define WAIT_NS (10 * NS_PER_SEC)
#define LIST(version, items) "{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define POD(name, version)                                                                                            \
	"{\"metadata\":{\"uid\":\"" name "\",\"namespace\":\"n\",\"name\":\"" name "\",\"resourceVersion\":\"" version \
	"\"},\"spec\":{},\"status\":{}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

/* What /api/v1/pods is answered, turn by turn; the last one stays open for as long as it takes. All other
 * kinds are empty, and their watches silent. */
struct world {
	struct fake_http server;
	struct metrics *metrics;
	struct apistore *store;
	struct apiwatch *watch;
	struct answer {
		const char *expect; /* in the request's first line */
		int status;
		const char *body;
	} answers[8];
	atomic_uint turn;
	atomic_bool unexpected;
	atomic_bool over;
	int over_fd; /* readable from then on */
	pthread_mutex_t lock; /* one request of a pod's at a time */
};

/* A watch stays open until the server ends. */
static void hold(struct world *w)
{
	struct pollfd over = {.fd = w->over_fd, .events = POLLIN};

	while (!atomic_load(&w->over))
		(void)poll(&over, 1, -1);
}

static void end_server(struct world *w)
{
	atomic_store(&w->over, true);
	assert_int_equal(eventfd_write(w->over_fd, 1), 0);
	fake_http_stop(&w->server);
}

static void answer_pods(struct world *w, const char *head, int fd)
{
	const struct answer *a;
	char line[512];

	(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(head, "\r"), head);
	a = &w->answers[atomic_fetch_add(&w->turn, 1) % 8];
	if (!a->expect || !strstr(line, a->expect)) {
		if (!atomic_load(&w->over))
			print_error("request %u is '%s', expected '%s'\n", atomic_load(&w->turn), line,
				    a->expect ? a->expect : "none");
		atomic_store(&w->unexpected, true);
	} else {
		fake_http_answer(fd, a->status, a->body);
	}
	if (!a[1].expect)
		hold(w);
}

static void handle(void *ctx, const char *head, int fd)
{
	struct world *w = (struct world *)ctx;

	if (strncmp(head, "GET /api/v1/pods?", 17) == 0) {
		answer_pods(w, head, fd);
	} else if (strstr(head, "watch=1")) {
		fake_http_answer(fd, 200, "");
		hold(w);
	} else {
		fake_http_answer(fd, 200, LIST("1", ""));
	}
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->metrics = metrics_new();
	w->store = apistore_new(64, w->metrics);
	w->over_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(w->over_fd >= 0);
	fake_http_start(&w->server, handle, w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	apiwatch_free(w->watch);
	end_server(w);
	closep(&w->over_fd);
	apistore_free(w->store);
	metrics_free(w->metrics);
	free(w);
	return 0;
}

static void begin(struct world *w)
{
	const struct apiwatch_config config = {
		.api = {.server = w->server.url, .token_file = "", .ca_file = ""},
		.store = w->store,
		.metrics = w->metrics,
		.backoff_min_ms = 2,
		.backoff_max_ms = 20,
		.page = 2,
		.object_max = 512,
	};
	struct err e = {0};

	assert_int_equal(apiwatch_new(&config, &w->watch, &e), 0);
}

static bool knows(struct world *w, const char *uid)
{
	struct apistore_pod pod;

	return apistore_find_container(w->store, "", uid, &pod) != -ENOENT;
}

static void await_pod(struct world *w, const char *uid)
{
	if (!AWAIT(knows(w, uid), WAIT_NS))
		fail_msg("the pod '%s' never came, after %u requests", uid, atomic_load(&w->turn));
	assert_false(atomic_load(&w->unexpected));
}

static void a_list_is_watched_from_where_it_ended(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"/api/v1/pods?limit=2 ", 200, LIST("7", POD("a", "5"))};
	w->answers[1] = (struct answer){"watch=1&allowWatchBookmarks=true&resourceVersion=7&", 200,
					EVENT("ADDED", POD("b", "8")) EVENT("DELETED", POD("a", "9"))};
	begin(w);
	await_pod(w, "b");
	assert_true(knows(w, "a"));
	assert_true(AWAIT(apiwatch_is_synced(w->watch), WAIT_NS));
}

static void a_list_comes_in_pages(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"/api/v1/pods?limit=2 ", 200,
					"{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"ab-_C.9=\"},\"items\":["
					POD("a", "1") "," POD("b", "2") "]}"};
	w->answers[1] = (struct answer){"limit=2&continue=ab-_C.9= ", 200, LIST("7", POD("c", "3"))};
	w->answers[2] = (struct answer){"resourceVersion=7&", 200, EVENT("ADDED", POD("end", "8"))};
	begin(w);
	await_pod(w, "end");
	assert_true(knows(w, "a") && knows(w, "b") && knows(w, "c"));
}

static void a_page_whose_place_has_expired_starts_the_list_again(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"?limit=2 ", 200,
					"{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"x\"},\"items\":[]}"};
	w->answers[1] = (struct answer){"continue=x ", 410, "{\"message\":\"expired\"}"};
	w->answers[2] = (struct answer){"?limit=2 ", 200, LIST("9", POD("end", "1"))};
	w->answers[3] = (struct answer){"resourceVersion=9&", 200, ""};
	begin(w);
	await_pod(w, "end");
}

static void a_bookmark_moves_the_place(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"?limit=2 ", 200, LIST("7", "")};
	w->answers[1] = (struct answer){"resourceVersion=7&", 200,
					EVENT("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"99\"}}")};
	w->answers[2] = (struct answer){"resourceVersion=99&", 200, EVENT("ADDED", POD("end", "100"))};
	begin(w);
	await_pod(w, "end");
}

static void a_place_that_is_forgotten_is_listed_again(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"?limit=2 ", 200, LIST("7", POD("a", "1"))};
	w->answers[1] = (struct answer){"resourceVersion=7&", 200,
					EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}")};
	w->answers[2] = (struct answer){"?limit=2 ", 200, LIST("20", POD("b", "11"))};
	w->answers[3] = (struct answer){"resourceVersion=20&", 410, "{\"message\":\"too old resource version\"}"};
	w->answers[4] = (struct answer){"?limit=2 ", 200, LIST("30", POD("end", "21"))};
	w->answers[5] = (struct answer){"resourceVersion=30&", 200, ""};
	begin(w);
	await_pod(w, "end");
}

static void an_error_event_is_told_and_the_watch_goes_on_from_its_place(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"?limit=2 ", 200, LIST("7", "")};
	w->answers[1] = (struct answer){"resourceVersion=7&", 200,
					EVENT("ADDED", POD("a", "8"))
						EVENT("ERROR", "{\"code\":500,\"message\":\"etcd \\u001b is away\"}")};
	w->answers[2] = (struct answer){"resourceVersion=8&", 200, EVENT("ADDED", POD("end", "9"))};
	begin(w);
	await_pod(w, "end");
	assert_true(counter_value(w->metrics, "nightjar_kube_failures_total") >= 1);
}

static void a_place_that_fails_again_and_again_is_given_up_for_a_list(void **state)
{
	struct world *w = *state;
	const struct answer error = {"resourceVersion=7&", 200, EVENT("ERROR", "{\"code\":500,\"message\":\"no\"}")};

	w->answers[0] = (struct answer){"?limit=2 ", 200, LIST("7", "")};
	w->answers[1] = w->answers[2] = w->answers[3] = error;
	w->answers[4] = (struct answer){"?limit=2 ", 200, LIST("9", POD("end", "1"))};
	w->answers[5] = (struct answer){"resourceVersion=9&", 200, ""};
	begin(w);
	await_pod(w, "end");
}

static void garbage_refusals_and_cut_answers_are_tried_again(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"?limit=2 ", 200, "<html>not the API</html>"};
	w->answers[1] = (struct answer){"?limit=2 ", 500, "boom"};
	w->answers[2] = (struct answer){"?limit=2 ", 200, "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":["};
	w->answers[3] = (struct answer){"?limit=2 ", 200, "{\"items\":[]}"};
	w->answers[4] = (struct answer){"?limit=2 ", 200, LIST("1&x=", "")};
	w->answers[5] = (struct answer){"?limit=2 ", 200, LIST("7", POD("end", "1"))};
	w->answers[6] = (struct answer){"resourceVersion=7&", 200, ""};
	begin(w);
	await_pod(w, "end");
	assert_true(counter_value(w->metrics, "nightjar_kube_failures_total") >= 5);
}

static void objects_that_cannot_be_read_are_passed_over_and_counted(void **state)
{
	struct world *w = *state;
	static char items[2048];
	char large[1024];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	(void)snprintf(items, sizeof(items), "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"a\":\"%s\"},{\"metadata\":{}},"
		       "{broken},%s]}", large, POD("a", "1"));
	w->answers[0] = (struct answer){"?limit=2 ", 200, items};
	w->answers[1] = (struct answer){"resourceVersion=7&", 200, EVENT("ADDED", "{\"metadata\":7}") "{\"type\":1}\n"
					EVENT("ADDED", POD("end", "9"))};
	begin(w);
	await_pod(w, "end");
	assert_true(knows(w, "a"));
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_objects_refused_total{reason=\"too_large\"}"), 1);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_objects_refused_total{reason=\"unreadable\"}"), 4);
}

static void a_line_that_never_ends_ends_the_watch(void **state)
{
	static char endless[512 * 20];
	struct world *w = *state;

	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '{';
	endless[1] = '"';
	w->answers[0] = (struct answer){"?limit=2 ", 200, LIST("7", "")};
	w->answers[1] = (struct answer){"resourceVersion=7&", 200, endless};
	w->answers[2] = (struct answer){"resourceVersion=7&", 200, EVENT("ADDED", POD("end", "9"))};
	begin(w);
	await_pod(w, "end");
}

static void pods_stay_known_while_the_server_is_away(void **state)
{
	struct world *w = *state;

	w->answers[0] = (struct answer){"?limit=2 ", 200, LIST("7", POD("a", "1"))};
	w->answers[1] = (struct answer){"resourceVersion=7&", 200, ""};
	begin(w);
	await_pod(w, "a");
	end_server(w);
	assert_true(AWAIT(counter_value(w->metrics, "nightjar_kube_failures_total") >= 12 &&
				  counter_value(w->metrics, "nightjar_kube_watch_up{kind=\"pods\"}") == 0,
			  WAIT_NS));
	assert_true(knows(w, "a"));
	apiwatch_free(w->watch);
	w->watch = NULL;
	fake_http_start(&w->server, handle, w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_list_is_watched_from_where_it_ended),
		TEST(a_list_comes_in_pages),
		TEST(a_page_whose_place_has_expired_starts_the_list_again),
		TEST(a_bookmark_moves_the_place),
		TEST(a_place_that_is_forgotten_is_listed_again),
		TEST(an_error_event_is_told_and_the_watch_goes_on_from_its_place),
		TEST(a_place_that_fails_again_and_again_is_given_up_for_a_list),
		TEST(garbage_refusals_and_cut_answers_are_tried_again),
		TEST(objects_that_cannot_be_read_are_passed_over_and_counted),
		TEST(a_line_that_never_ends_ends_the_watch),
		TEST(pods_stay_known_while_the_server_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
