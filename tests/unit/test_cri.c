/* Questions to a container runtime over a real gRPC connection: first every way in which no answer comes,
 * each with its sentence; then answers. */
#include "tests/unit/fake_runtime.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc.h"
#include "node-agent/cri.h"
#include "tests/await.h"

#define WAIT_MS	 20000
#define QUICK_NS (5 * NS_PER_MS)

static int set_up(void **state)
{
	log_init("test", LOG_LEVEL_ERROR);
	rpc_log_quietly();
	rpc_init();
	*state = runtime_new();
	return 0;
}

static int tear_down(void **state)
{
	runtime_free(*state);
	rpc_done();
	return 0;
}

static struct cri *start_with(const char *const *sockets, int timeout_ms)
{
	const struct cri_config config = {
		.sockets = sockets, .backoff_min_ns = QUICK_NS, .backoff_max_ns = 4 * QUICK_NS,
		.retry_ns = NS_PER_MS, .second_look_ns = QUICK_NS, .timeout_ms = timeout_ms};
	struct cri *c = NULL;
	struct err e = {0};

	if (cri_new(&config, &c, &e) < 0)
		fail_msg("%s", e.text);
	return c;
}

/* No call times out because the machine is busy. */
static struct cri *start(const char *const *sockets)
{
	return start_with(sockets, WAIT_MS);
}

static void ask(struct cri *c, const char *id)
{
	assert_int_equal(cri_ask(c, id), 0);
}

/* The next answer; fails the test when none comes. */
static struct container_def *await(struct cri *c)
{
	struct pollfd ready = {.fd = cri_fd(c), .events = POLLIN};
	struct container_def *def;

	while (!(def = cri_take(c)))
		if (poll(&ready, 1, WAIT_MS) <= 0)
			fail_msg("no answer came");
	return def;
}

/* Until the condition holds of fresh stats. */
#define AWAIT_STATS(c, stats, condition)                                                           \
	do {                                                                                       \
		if (!AWAIT((cri_stats(c, stats), (condition)), WAIT_MS * NS_PER_MS))                \
			fail_msg("never came true: %s; answered %llu, failed %llu, unknown %llu, problem '%s'", #condition, \
				 (unsigned long long)(stats)->answered, (unsigned long long)(stats)->failed, \
				 (unsigned long long)(stats)->unknown, (stats)->problem);                  \
	} while (0)

static void assert_says(const struct cri_stats *stats, const char *part)
{
	if (!strstr(stats->problem, part))
		fail_msg("'%s' does not say '%s'", stats->problem, part);
}

/* ---- when no answer comes ---- */

static void without_a_socket_questions_wait_and_it_says_so(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;
	struct cri_stats stats;

	ask(c, ID(a1));
	AWAIT_STATS(c, &stats, stats.problem[0]);
	assert_says(&stats, "there is no socket of a container runtime");
	assert_says(&stats, f->path);
	assert_false(stats.is_connected);
	assert_null(cri_take(c));
	runtime_start(f);
	def = await(c);
	assert_string_equal(def->container_id, ID(a1));
	free(def);
	cri_stats(c, &stats);
	assert_string_equal(stats.problem, "");
	assert_true(stats.is_connected);
	cri_free(c);
}

/* A socket of ours on which nobody accepts. */
static int listen_on(const char *path, int backlog)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void a_socket_that_nobody_listens_on_is_said(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	int fd = listen_on(f->path, -1);
	struct cri_stats stats;

	ask(c, ID(a1));
	AWAIT_STATS(c, &stats, stats.problem[0]);
	assert_says(&stats, "Connection refused");
	cri_free(c);
	(void)close(fd);
}

static void a_socket_that_never_answers_is_given_up(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	int fd = listen_on(f->path, 64);
	struct cri_stats stats;

	ask(c, ID(a1));
	AWAIT_STATS(c, &stats, stats.problem[0]);
	assert_says(&stats, "no answer from");
	assert_says(&stats, f->path);
	cri_free(c);
	(void)close(fd);
}

static void a_path_too_long_for_a_socket_is_said(void **state)
{
	char path[200] = "/";
	const char *const sockets[] = {path, NULL};
	struct cri_stats stats;
	struct cri *c;

	(void)state;
	(void)memset(path + 1, 'x', sizeof(path) - 2);
	c = start(sockets);
	ask(c, ID(a1));
	AWAIT_STATS(c, &stats, stats.problem[0]);
	assert_says(&stats, "File name too long");
	cri_free(c);
}

static void whoever_is_no_runtime_is_said_and_the_next_socket_tried(void **state)
{
	struct runtime *f = *state, *other = runtime_new();
	const char *const sockets[] = {other->path, f->path, NULL};
	struct cri *c;
	struct cri_stats stats;

	other->mood = RUNTIME_IS_ANOTHER;
	runtime_start(other);
	c = start(sockets);
	ask(c, ID(a1));
	AWAIT_STATS(c, &stats, stats.problem[0]);
	assert_says(&stats, "no answer from");
	assert_says(&stats, other->path);
	runtime_set(other, RUNTIME_NONSENSE);
	AWAIT_STATS(c, &stats, strstr(stats.problem, "not the container runtime interface"));
	runtime_start(f);
	free(await(c));
	cri_stats(c, &stats);
	assert_non_null(strstr(stats.runtime, f->path));
	cri_free(c);
	runtime_free(other);
}

static void a_runtime_that_stops_answering_is_asked_again_until_it_does(void **state)
{
	static const enum runtime_mood moods[] = {RUNTIME_REFUSES, RUNTIME_HANGS};
	struct runtime *f = *state;
	struct cri *c = start_with(f->sockets, 300);

	runtime_start(f);
	for (size_t i = 0; i < sizeof(moods) / sizeof(moods[0]); i++) {
		struct container_def *def;
		struct cri_stats stats;
		uint64_t failed;

		ask(c, ID(a1));
		free(await(c));
		cri_stats(c, &stats);
		failed = stats.failed;
		runtime_set(f, moods[i]);
		ask(c, ID(a2));
		AWAIT_STATS(c, &stats, stats.failed > failed);
		assert_null(cri_take(c));
		runtime_set(f, RUNTIME_WELL);
		def = await(c);
		assert_string_equal(def->container_id, ID(a2));
		free(def);
	}
	cri_free(c);
}

/* A node on which everything is slow for a while: its containers get their names when it is over. */
static void a_runtime_that_is_slow_for_long_is_not_given_up(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;
	struct cri_stats stats;

	f->mood = RUNTIME_SLOW;
	runtime_start(f);
	ask(c, ID(a1));
	/* More often than it asks for one that the runtime does not know. */
	AWAIT_STATS(c, &stats, runtime_count(f, &f->lists) > 8 || stats.unknown > 0);
	assert_int_equal(stats.unknown, 0);
	runtime_set(f, RUNTIME_WELL);
	def = await(c);
	assert_string_equal(def->container_id, ID(a1));
	free(def);
	cri_free(c);
}

static void nonsense_about_a_container_is_counted_and_given_up(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct cri_stats stats;

	runtime_start(f);
	ask(c, ID(a1));
	free(await(c));
	runtime_set(f, RUNTIME_NONSENSE);
	ask(c, ID(a2));
	AWAIT_STATS(c, &stats, stats.unknown == 1);
	assert_int_equal(stats.failed, 7);
	assert_null(cri_take(c));
	cri_free(c);
}

static void a_runtime_that_is_started_again_is_found_again(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;
	struct cri_stats stats;

	runtime_start(f);
	ask(c, ID(a1));
	free(await(c));
	runtime_stop(f);
	ask(c, ID(a2));
	AWAIT_STATS(c, &stats, stats.problem[0]);
	runtime_start(f);
	def = await(c);
	assert_string_equal(def->container_id, ID(a2));
	free(def);
	cri_stats(c, &stats);
	assert_int_equal(stats.connected, 2);
	cri_free(c);
}

static void a_full_queue_refuses_and_nobody_waits(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	int r = 0;

	for (int i = 0; i < 5000 && r == 0; i++)
		r = cri_ask(c, ID(a1));
	assert_int_equal(r, -EAGAIN);
	cri_free(c);
	cri_free(NULL);
}

/* ---- answers ---- */

static void a_container_is_told_whole(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;
	uint64_t now = clock_boot_ns();
	struct cri_stats stats;

	f->started_at = (int64_t)clock_wall_ns();
	runtime_start(f);
	ask(c, ID(a1));
	def = await(c);
	(void)pthread_mutex_lock(&f->lock);
	assert_string_equal(f->asked, ID(5b));
	(void)pthread_mutex_unlock(&f->lock);
	assert_string_equal(def->container_id, ID(a1));
	assert_string_equal(def->name, "web");
	assert_string_equal(def->pod, "web-5d9");
	assert_string_equal(def->namespace, "shop");
	assert_string_equal(def->image, "docker.io/shop/web:7");
	assert_string_equal(def->labels[0].value, "web");
	assert_string_equal(def->mounts[0].destination, "/host");
	assert_int_equal(def->cap_bounding, RUNTIME_BOUNDING);
	assert_true(def->privileged);
	assert_in_range(def->start_ns, now - NS_PER_SEC, clock_boot_ns() + NS_PER_SEC);
	free(def);
	cri_stats(c, &stats);
	assert_int_equal(stats.answered, 1);
	assert_int_equal(stats.cut, 0);
	assert_non_null(strstr(stats.runtime, "fake 1.2 at "));
	cri_free(c);
}

static void without_a_verbose_part_the_names_are_told(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;

	f->silent_info = true;
	runtime_start(f);
	ask(c, ID(a1));
	def = await(c);
	assert_string_equal(def->pod, "web-5d9");
	assert_string_equal(def->name, "web");
	assert_false(def->privileged);
	free(def);
	cri_free(c);
}

static void a_sandbox_is_a_container_of_its_pod(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;

	runtime_start(f);
	ask(c, ID(5b));
	def = await(c);
	assert_string_equal(def->name, "POD");
	assert_string_equal(def->pod, "web-5d9");
	free(def);
	cri_free(c);
}

/* The cgroup is there before the runtime knows what it has made. */
static void a_container_that_is_not_known_yet_is_asked_for_again(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);

	f->unknown_for = 4;
	runtime_start(f);
	ask(c, ID(a1));
	free(await(c));
	assert_int_equal(runtime_count(f, &f->lists), 5);
	assert_int_equal(runtime_count(f, &f->statuses), 1); /* none that it would have complained of */
	cri_free(c);
}

static void a_container_that_stays_unknown_holds_up_nobody(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;
	struct cri_stats stats;

	f->mood = RUNTIME_KNOWS_NOBODY;
	runtime_start(f);
	ask(c, ID(a1));
	AWAIT_STATS(c, &stats, stats.unknown == 1);
	assert_string_equal(stats.problem, "");
	runtime_set(f, RUNTIME_WELL);
	ask(c, ID(a2));
	def = await(c);
	assert_string_equal(def->container_id, ID(a2));
	free(def);
	cri_free(c);
}

static void a_container_that_has_not_started_is_told_again_when_it_has(void **state)
{
	struct runtime *f = *state;
	struct cri *c = start(f->sockets);
	struct container_def *def;
	struct cri_stats stats;

	f->started_at = 0;
	runtime_start(f);
	ask(c, ID(a1));
	def = await(c);
	assert_int_equal(def->start_ns, 0);
	free(def);
	(void)pthread_mutex_lock(&f->lock);
	f->started_at = (int64_t)clock_wall_ns();
	(void)pthread_mutex_unlock(&f->lock);
	def = await(c);
	assert_true(def->start_ns > 0);
	free(def);
	cri_stats(c, &stats);
	assert_int_equal(stats.answered, 1);
	cri_free(c);
}

static void nothing_is_connected_before_the_first_question(void **state)
{
	struct runtime *f = *state;
	struct cri *c;
	struct cri_stats stats;

	runtime_start(f);
	c = start(f->sockets);
	cri_free(c); /* whatever it would have done, it has done */
	assert_int_equal(runtime_count(f, &f->calls), 0);
	c = start(f->sockets);
	ask(c, ID(a1));
	free(await(c));
	cri_stats(c, &stats);
	assert_int_equal(stats.connected, 1);
	cri_free(c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_socket_questions_wait_and_it_says_so),
		TEST(a_socket_that_nobody_listens_on_is_said),
		TEST(a_socket_that_never_answers_is_given_up),
		TEST(a_path_too_long_for_a_socket_is_said),
		TEST(whoever_is_no_runtime_is_said_and_the_next_socket_tried),
		TEST(a_runtime_that_stops_answering_is_asked_again_until_it_does),
		TEST(a_runtime_that_is_slow_for_long_is_not_given_up),
		TEST(nonsense_about_a_container_is_counted_and_given_up),
		TEST(a_runtime_that_is_started_again_is_found_again),
		TEST(a_full_queue_refuses_and_nobody_waits),
		TEST(a_container_is_told_whole),
		TEST(without_a_verbose_part_the_names_are_told),
		TEST(a_sandbox_is_a_container_of_its_pod),
		TEST(a_container_that_is_not_known_yet_is_asked_for_again),
		TEST(a_container_that_stays_unknown_holds_up_nobody),
		TEST(a_container_that_has_not_started_is_told_again_when_it_has),
		TEST(nothing_is_connected_before_the_first_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
