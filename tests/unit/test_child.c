/* Programs that are started and watched: what cannot start, what dies, what will not stop. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "tools/nightjar/child.h"

static int start(struct child *c, const char *script)
{
	char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
	struct err e;

	*c = (struct child){.quiet = true};
	return child_start(c, "fake", argv, STDERR_FILENO, &e);
}

static void await(struct child *c, const char *ready)
{
	while (!child_has_ended(c) && !(ready && *c->ready)) {
		struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = c->stderr_fd, .events = POLLIN}};

		assert_true(poll(fds, 2, 10000) > 0);
		child_listen(c);
	}
}

static void explained(struct child *c, const char *script, const char *sentence)
{
	struct err e;

	assert_int_equal(start(c, script), 0);
	await(c, NULL);
	assert_int_equal(child_explain(c, &e), -ECHILD);
	assert_string_equal(e.text, sentence);
	child_done(c);
}

static void a_death_is_explained_by_what_was_kept_back(void **state)
{
	struct child c;

	(void)state;
	explained(&c, "echo 'p: info: hello' >&2; echo 'p: error: cannot bind' >&2; exit 3",
		  "fake ended with exit status 3");
	explained(&c, "echo 'p: info: one' >&2; printf 'p: info: unfinished' >&2; exit 1",
		  "fake ended with exit status 1: p: info: unfinished");
	explained(&c, "exit 1", "fake ended with exit status 1");
	explained(&c, "kill -9 $$", "fake was ended by signal 9 (Killed)");
}

static void a_program_that_is_not_there_ends_with_127(void **state)
{
	char *argv[] = {(char *)"/nowhere/fake", NULL};
	struct child c = {.quiet = true};
	struct err e;

	(void)state;
	assert_int_equal(child_start(&c, "fake", argv, STDERR_FILENO, &e), 0);
	await(&c, NULL);
	assert_int_equal(child_explain(&c, &e), -ECHILD);
	assert_string_equal(e.text, "fake ended with exit status 127");
	child_done(&c);
}

static void one_that_never_started_is_stopped_already(void **state)
{
	struct child c = {.pidfd = -1, .stderr_fd = -1};
	struct err e;

	(void)state;
	assert_int_equal(child_stop(&c, 10, &e), 0);
	assert_false(child_has_ended(&c));
	child_done(&c);
}

static void one_that_will_not_stop_is_killed_and_told(void **state)
{
	struct child c;
	struct err e;

	(void)state;
	assert_int_equal(start(&c, "trap '' TERM; echo 'p: ready a=1' >&2; while :; do sleep 1; done"), 0);
	await(&c, "ready");
	assert_string_equal(c.ready, "a=1");
	assert_int_equal(child_stop(&c, 50, &e), -ETIMEDOUT);
	assert_string_equal(e.text, "fake did not stop within 50 ms and was killed");
	assert_int_equal(kill(c.pid, 0), -1);
}

static void a_clean_stop_is_0_and_another_is_explained(void **state)
{
	struct child c;
	struct err e;

	(void)state;
	assert_int_equal(start(&c, "trap 'exit 0' TERM; echo 'p: ready a=1' >&2; while :; do read x <&2; done"), 0);
	await(&c, "ready");
	assert_int_equal(child_stop(&c, 10000, &e), 0);
	child_done(&c);
	assert_int_equal(start(&c, "trap 'echo p: error: disk full >&2; exit 1' TERM; echo 'p: ready a=1' >&2;"
				   "while :; do read x <&2; done"),
			 0);
	await(&c, "ready");
	assert_int_equal(child_stop(&c, 10000, &e), -ECHILD);
	assert_string_equal(e.text, "fake ended with exit status 1");
	child_done(&c);
}

static void endless_lines_are_taken_in_pieces(void **state)
{
	struct child c;

	(void)state;
	assert_int_equal(start(&c, "i=0; while [ $i -lt 600 ]; do printf 0123456789; i=$((i+1)); done >&2"),
			 0);
	await(&c, NULL);
	assert_string_equal(c.last, ""); /* passed on, whole */
	child_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_is_explained_by_what_was_kept_back),
		cmocka_unit_test(a_program_that_is_not_there_ends_with_127),
		cmocka_unit_test(one_that_never_started_is_stopped_already),
		cmocka_unit_test(one_that_will_not_stop_is_killed_and_told),
		cmocka_unit_test(a_clean_stop_is_0_and_another_is_explained),
		cmocka_unit_test(endless_lines_are_taken_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
