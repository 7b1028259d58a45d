/* Every hook provider of system calls shows the same acts, as far as the kernel allows it; one that it
 * refuses is skipped with the reason. */
#include "tests/bpf/live.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "node-agent/event_class.h"

static struct live live;

static int open_wanted(void *arg)
{
	(void)arg;
	return open("/nonexistent/nj-wanted", O_RDONLY) >= 0;
}

static int make_memfd(void *arg)
{
	(void)arg;
	return memfd_create("nj-provider", 0) < 0;
}

static int send_signal(void *arg)
{
	(void)arg;
	return kill(getppid(), SIGCONT);
}

static int leave_namespace(void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWUTS);
}

/* One act of one class, so that few calls are hooked. */
static const struct {
	uint32_t class;
	enum event_kind kind;
	live_act act;
} acts[] = {
	{NJ_CLASS_FILE, EVENT_KIND_OPEN, open_wanted},
	{NJ_CLASS_MEMORY, EVENT_KIND_MEMFD, make_memfd},
	{NJ_CLASS_SIGNAL, EVENT_KIND_SIGNAL, send_signal},
	{NJ_CLASS_NAMESPACE, EVENT_KIND_NAMESPACE, leave_namespace},
};

static const struct capture_coverage *coverage_of(uint32_t class)
{
	const struct capture_coverage *rows;
	uint32_t count = capture_coverages(live.capture, &rows);

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(rows[i].class, event_class_name(class)) == 0)
			return &rows[i];
	fail_msg("no class %s", event_class_name(class));
	return NULL;
}

/* The tracepoints' ids stand in tracefs, which is not mounted everywhere. */
static void need_tracefs(void)
{
	if (access("/sys/kernel/tracing/events", F_OK) == 0)
		return;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("trace", "/sys/kernel/tracing", "tracefs", 0, NULL), 0);
}

static void check(const char *provider, const char *state, const char *reason)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		const struct capture_coverage *row;
		pid_t pid;

		live_start_provider(&live, provider, 1ULL << acts[i].class);
		row = coverage_of(acts[i].class);
		if (strcmp(row->state, "missing") == 0) {
			printf("SKIP %s: %s\n", provider, row->reason);
			live_stop(&live);
			skip();
		}
		assert_string_equal(row->state, state);
		assert_non_null(strstr(row->reason, reason));
		pid = live_run(&live, acts[i].act, NULL);
		(void)live_expect(&live, acts[i].kind, pid, NULL);
		live_stop(&live);
	}
}

static void one_hook_for_all_calls_shows_them(void **state)
{
	(void)state;
	check("sys_exit", "full", "");
}

static void a_tracepoint_for_each_call_shows_it_and_says_what_it_cannot_see(void **state)
{
	(void)state;
	need_tracefs();
	check("per_call", "degraded", "32-bit calls are not seen");
}

static void the_end_of_each_calls_function_shows_it(void **state)
{
	(void)state;
	check("function", "full", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hook_for_all_calls_shows_them),
		cmocka_unit_test(a_tracepoint_for_each_call_shows_it_and_says_what_it_cannot_see),
		cmocka_unit_test(the_end_of_each_calls_function_shows_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
