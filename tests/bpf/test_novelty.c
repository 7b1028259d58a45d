/* Acts that come again: told once, then counted, and every count arrives. Actors stay on one CPU where a
 * test counts what was told, since each CPU remembers for itself. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define ROUNDS 500
#define PAGE   4096

static struct live live;
static char dir[] = "/tmp/nj-novelty-XXXXXX";

static void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	(void)sched_setaffinity(0, sizeof(here), &here);
}

static int open_once(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	return fd < 0 ? -errno : close(fd);
}

/* Opens of a path as they were told. */
struct tally {
	uint64_t told;	   /* each by an event of its own */
	uint64_t repeated; /* acts that repeats stand for */
	uint64_t windows;  /* repeats */
};

static void add(struct tally *t, const struct seen *s)
{
	t->told += s->event.repeats == 0;
	t->repeated += s->event.repeats;
	t->windows += s->event.repeats > 0;
}

static struct tally tally_of(pid_t pid, const char *name)
{
	struct tally t = {0};
	size_t from = 0;
	const struct seen *s;

	while ((s = live_find(&live, EVENT_KIND_OPEN, pid, &from)))
		if (!name || strstr(s->path, name) || strstr(s->raw_path, name))
			add(&t, s);
	return t;
}

/* Acts of a kind, whatever they were done to. */
static struct tally tally_kind(pid_t pid, enum event_kind kind)
{
	struct tally t = {0};
	size_t from = 0;
	const struct seen *s;

	while ((s = live_find(&live, kind, pid, &from)))
		add(&t, s);
	return t;
}

static int open_again_and_again(void *arg)
{
	stay_here();
	for (int i = 0; i < ROUNDS; i++)
		if (open_once(arg, O_RDONLY) < 0)
			return 1;
	return 0;
}

static char *wanted_file(void)
{
	static char path[64];

	(void)snprintf(path, sizeof(path), "%s/nj-wanted", dir);
	return path;
}

static void what_comes_again_is_told_once_and_counted_until_the_process_ends(void **state)
{
	pid_t pid = live_run(&live, open_again_and_again, wanted_file());
	struct tally t = tally_of(pid, NULL);
	const struct seen *first, *repeat, *end;
	size_t from = 0, ends = 0;

	(void)state;
	assert_int_equal(t.told, 1);
	assert_int_equal(t.windows, 1);
	assert_int_equal(t.repeated, ROUNDS - 1);
	first = live_find(&live, EVENT_KIND_OPEN, pid, &from);
	repeat = live_find(&live, EVENT_KIND_OPEN, pid, &from);
	end = live_find(&live, EVENT_KIND_EXIT, pid, &ends);
	/* All that the first one said, when it began and ended, and before the end of the process. */
	assert_string_equal(repeat->path, first->path);
	assert_string_equal(repeat->raw_path, wanted_file());
	assert_int_equal(repeat->event.file.inode, first->event.file.inode);
	assert_int_equal(repeat->process.exec_id, first->process.exec_id);
	assert_true(repeat->event.first_ns > first->event.time_ns);
	assert_true(repeat->event.time_ns >= repeat->event.first_ns);
	assert_true(end->event.time_ns > repeat->event.time_ns);
	assert_true(end->event.seq > repeat->event.seq);
}

static int open_in_different_ways(void *arg)
{
	char other[80];

	stay_here();
	(void)snprintf(other, sizeof(other), "%s/sub/nj-wanted", dir);
	for (int i = 0; i < 3; i++)
		if (open_once(arg, O_RDONLY) < 0 || open_once(arg, O_RDONLY | O_NOFOLLOW) < 0 ||
		    open_once("nj-wanted", O_RDONLY) < 0 || open_once(other, O_RDONLY) < 0)
			return 1;
	return 0;
}

static void acts_that_differ_in_anything_are_not_the_same(void **state)
{
	pid_t pid = live_run(&live, open_in_different_ways, wanted_file());
	struct tally t = tally_of(pid, NULL);

	(void)state;
	assert_int_equal(t.told, 4);
	assert_int_equal(t.repeated, 8);
}

static int write_and_fail(void *arg)
{
	char missing[80];

	stay_here();
	(void)snprintf(missing, sizeof(missing), "%s/sub/missing/nj-wanted", dir);
	for (int i = 0; i < 10; i++)
		if (open_once(arg, O_WRONLY) < 0 || open_once(missing, O_RDONLY) != -ENOENT)
			return 1;
	return 0;
}

static void writes_and_failures_are_each_told(void **state)
{
	pid_t pid = live_run(&live, write_and_fail, wanted_file());
	struct tally t = tally_of(pid, NULL);

	(void)state;
	assert_int_equal(t.told, 20);
	assert_int_equal(t.repeated, 0);
}

static int open_then_exec(void *arg)
{
	if (open_again_and_again(arg))
		return 1;
	execl("/bin/sh", "sh", "-c", "exec sleep 0", (char *)NULL);
	return 2;
}

static void a_new_image_ends_the_windows_of_the_one_before(void **state)
{
	pid_t pid = live_run(&live, open_then_exec, wanted_file());
	struct tally t = tally_of(pid, "nj-wanted");
	const struct seen *exec = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	const struct seen *repeat = NULL;
	size_t from = 0;

	(void)state;
	assert_int_equal(t.repeated, ROUNDS - 1);
	do
		repeat = live_expect(&live, EVENT_KIND_OPEN, pid, &from);
	while (repeat && repeat->event.repeats == 0);
	assert_true(repeat->event.seq < exec->event.seq);
	assert_int_not_equal(repeat->process.exec_id, exec->process.exec_id);
}

static int open_until_killed(void *arg)
{
	stay_here();
	for (;;)
		(void)open_once(arg, O_RDONLY);
	return 0;
}

static uint64_t await_windows(pid_t pid, uint64_t wanted)
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;
	struct tally t;

	do {
		live_pump(&live, 100);
		t = tally_of(pid, NULL);
	} while (t.windows < wanted && clock_monotonic_ns() < deadline);
	return t.windows;
}

static void end(struct actor *a)
{
	(void)kill(a->pid, SIGKILL);
	(void)waitpid(a->pid, NULL, 0);
	(void)live_await(&live, EVENT_KIND_EXIT, a->pid);
}

static void set_window(uint64_t ns)
{
	live_next(&live)->repeat_window_ns = ns;
	live_switch(&live);
}

static void a_window_that_is_over_is_told_while_the_act_goes_on(void **state)
{
	struct actor a = live_actor(&live, open_until_killed, wanted_file());
	uint64_t told;

	(void)state;
	set_window(100 * NS_PER_MS);
	live_go(&a);
	assert_true(await_windows(a.pid, 3) >= 3);
	end(&a);
	/* The act is told anew with each. */
	told = tally_of(a.pid, NULL).told;
	assert_true(told >= 3);
}

static int open_and_rest(void *arg)
{
	stay_here();
	for (int i = 0; i < 3; i++)
		(void)open_once(arg, O_RDONLY);
	(void)pause();
	return 0;
}

static void a_window_that_is_over_is_told_though_the_act_does_not_come_again(void **state)
{
	struct actor a = live_actor(&live, open_and_rest, wanted_file());

	(void)state;
	set_window(100 * NS_PER_MS);
	live_go(&a);
	assert_int_equal(await_windows(a.pid, 1), 1);
	assert_int_equal(tally_of(a.pid, NULL).repeated, 2);
	end(&a);
	assert_int_equal(tally_of(a.pid, NULL).repeated, 2);
}

static void a_new_policy_ends_windows_and_hears_of_each_act_anew(void **state)
{
	struct actor a = live_actor(&live, open_until_killed, wanted_file());
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;

	(void)state;
	live_go(&a);
	(void)live_await(&live, EVENT_KIND_OPEN, a.pid);
	assert_int_equal(tally_of(a.pid, NULL).told, 1);
	live_next(&live)->generation = 7;
	live_switch(&live);
	while (tally_of(a.pid, NULL).told < 2 && clock_monotonic_ns() < deadline)
		live_pump(&live, 100);
	assert_int_equal(tally_of(a.pid, NULL).told, 2);
	assert_true(await_windows(a.pid, 1) >= 1);
	end(&a);
}

static void a_class_of_which_each_is_needed_is_never_summed_up(void **state)
{
	struct tally t;
	pid_t pid;

	(void)state;
	live_next(&live)->each = 1U << NJ_CLASS_FILE;
	live_switch(&live);
	pid = live_run(&live, open_again_and_again, wanted_file());
	t = tally_of(pid, NULL);
	assert_int_equal(t.told, ROUNDS);
	assert_int_equal(t.repeated, 0);
}

#define MANY 3200

/* More acts than a CPU has slots: they push each other out, and the kernel tells of those that go. The
 * same one comes twice in a row, so that there is something to tell. */
static int open_many(void *arg)
{
	static const int flags[] = {O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_SYNC};
	char path[300];

	(void)arg;
	stay_here();
	for (int i = 0; i < 2 * MANY; i++) {
		int how = O_RDONLY, len = snprintf(path, sizeof(path), "%s/", dir);

		for (int bit = 0; bit < 5; bit++)
			how |= i / 2 >> bit & 1 ? flags[bit] : 0;
		for (int dots = i / 2 / 32; dots > 0; dots--)
			len += snprintf(path + len, sizeof(path) - (size_t)len, "./");
		(void)snprintf(path + len, sizeof(path) - (size_t)len, "nj-wanted");
		if (open_once(path, how) < 0)
			return 1;
	}
	return 0;
}

static uint64_t lost_of(const char *class)
{
	struct loss losses[4 * NJ_CLASS_MAX];
	uint32_t count = capture_losses(live.capture, losses, 4 * NJ_CLASS_MAX);
	uint64_t lost = 0;

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(losses[i].class, class) == 0)
			lost += losses[i].count;
	return lost;
}

static void acts_that_push_each_other_out_are_all_told(void **state)
{
	pid_t pid = live_run(&live, open_many, NULL);
	struct tally t;
	uint64_t lost;

	(void)state;
	/* A record behind one that somebody was kept from finishing may come after the end of its process. */
	live_drain(&live);
	t = tally_of(pid, NULL);
	lost = lost_of("file");
	/* An act after one whose record found no room is told itself. What the kernel left out (MISSED) may have
	 * been another program's call. */
	assert_true(t.told + t.repeated <= 2 * MANY);
	assert_true(t.told + t.repeated + lost >= 2 * MANY);
	assert_true(t.told + lost >= MANY);
	assert_true(t.repeated + lost >= MANY);
	assert_true(t.repeated > 0);
}

/* ---- what is not a file ---- */

static int protect_again_and_again(void *arg)
{
	char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	stay_here();
	if (code == MAP_FAILED)
		return 1;
	code[0] = 'x';
	for (int i = 0; i < ROUNDS; i++)
		if (mprotect(code, PAGE, PROT_READ | PROT_EXEC) < 0)
			return 2;
	/* Another protection, and what fails. */
	if (mprotect(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0 || munmap(code, PAGE) < 0)
		return 3;
	for (int i = 0; i < 3; i++)
		if (mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0)
			return 4;
	return 0;
}

static void memory_that_is_made_executable_again_and_again_is_counted(void **state)
{
	pid_t pid = live_run(&live, protect_again_and_again, NULL);
	struct tally t = tally_kind(pid, EVENT_KIND_MEMORY_EXEC);

	(void)state;
	assert_int_equal(t.told, 1 + 1 + 3);
	assert_int_equal(t.windows, 1);
	assert_int_equal(t.repeated, ROUNDS - 1);
}

static int trace_again_and_again(void *arg)
{
	pid_t victim = live_victim();
	long word;

	(void)arg;
	stay_here();
	if (ptrace(PTRACE_ATTACH, victim, NULL, NULL) < 0 || waitpid(victim, NULL, 0) != victim)
		return 1;
	word = ptrace(PTRACE_PEEKDATA, victim, dir, NULL);
	for (int i = 0; i < ROUNDS; i++)
		if (ptrace(PTRACE_POKEDATA, victim, dir, word) < 0)
			return 2;
	for (int i = 0; i < 3; i++)
		if (ptrace(PTRACE_ATTACH, victim, NULL, NULL) == 0)
			return 3;
	return live_end_victim(victim);
}

static void changes_to_a_traced_process_are_counted_refused_attaches_are_not(void **state)
{
	pid_t pid = live_run(&live, trace_again_and_again, NULL);
	struct tally t = tally_kind(pid, EVENT_KIND_PTRACE);
	const struct seen *s, *fork = live_expect(&live, EVENT_KIND_FORK, pid, NULL);
	size_t from = 0;

	(void)state;
	assert_int_equal(t.told, 1 + 1 + 3);
	assert_int_equal(t.repeated, ROUNDS - 1);
	/* A repeat tells whom it was done to, as each would have. */
	while ((s = live_find(&live, EVENT_KIND_PTRACE, pid, &from))) {
		assert_non_null(s->detail.target);
		assert_int_equal(s->target.exec_id, fork->child_exec_id);
	}
}

static int signal_again_and_again(void *arg)
{
	pid_t first = live_victim(), second = live_victim();

	(void)arg;
	stay_here();
	for (int i = 0; i < ROUNDS; i++)
		if (kill(first, SIGURG) < 0 || kill(second, SIGURG) < 0 || kill(first, SIGWINCH) < 0)
			return 1;
	if (live_end_victim(first) || live_end_victim(second))
		return 2;
	for (int i = 0; i < 3; i++)
		if (kill(first, SIGURG) == 0)
			return 3;
	return 0;
}

static void signals_are_counted_by_number_and_target(void **state)
{
	pid_t pid = live_run(&live, signal_again_and_again, NULL);
	struct tally t = tally_kind(pid, EVENT_KIND_SIGNAL);

	(void)state;
	/* Three that repeat, two that kill, three that reach nobody. */
	assert_int_equal(t.told, 3 + 2 + 3);
	assert_int_equal(t.windows, 3);
	assert_int_equal(t.repeated, 3 * (ROUNDS - 1));
}

/* A child with the number that another one had. */
static pid_t start_victim_as(pid_t number)
{
	struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		for (;;)
			(void)pause();
	return pid;
}

#define NUMBER_TAKEN 78 /* by somebody else, or nobody may choose one */

static int signal_successors(void *arg)
{
	pid_t number = live_victim();

	(void)arg;
	stay_here();
	for (int i = 0; i < 3; i++) {
		if (kill(number, SIGURG) < 0 || kill(number, SIGURG) < 0 || live_end_victim(number))
			return 1;
		if (i < 2 && start_victim_as(number) != number)
			return NUMBER_TAKEN;
	}
	return 0;
}

/* A pid that comes again names somebody else. */
static void signals_to_the_next_process_of_that_number_are_not_counted_with_the_last(void **state)
{
	struct actor a;
	struct tally t;
	int status;

	(void)state;
	do {
		a = live_actor(&live, signal_successors, NULL);
		live_go(&a);
		status = live_finish(&live, &a);
	} while (status == NUMBER_TAKEN && live.tree_size < 100);
	assert_int_equal(status, 0);
	t = tally_kind(a.pid, EVENT_KIND_SIGNAL);
	assert_int_equal(t.told, 3 + 3);
	assert_int_equal(t.repeated, 3);
}

static int set_up(void **state)
{
	char path[96];

	(void)state;
	if (!dir[0] || strstr(dir, "XXXXXX")) {
		if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("sub", 0700) < 0)
			return -1;
		(void)snprintf(path, sizeof(path), "%s/nj-wanted", dir);
		(void)close(creat(path, 0600));
		(void)close(creat("sub/nj-wanted", 0600));
	}
	live_start(&live, NULL, 0);
	live_next(&live)->each = 0;
	live_switch(&live);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	live_stop(&live);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	(void)unlink("nj-wanted");
	(void)unlink("sub/nj-wanted");
	(void)rmdir("sub");
	return chdir("/") < 0 || rmdir(dir) < 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_comes_again_is_told_once_and_counted_until_the_process_ends),
		T(acts_that_differ_in_anything_are_not_the_same),
		T(writes_and_failures_are_each_told),
		T(a_new_image_ends_the_windows_of_the_one_before),
		T(a_window_that_is_over_is_told_while_the_act_goes_on),
		T(a_window_that_is_over_is_told_though_the_act_does_not_come_again),
		T(a_new_policy_ends_windows_and_hears_of_each_act_anew),
		T(a_class_of_which_each_is_needed_is_never_summed_up),
		T(acts_that_push_each_other_out_are_all_told),
		T(memory_that_is_made_executable_again_and_again_is_counted),
		T(changes_to_a_traced_process_are_counted_refused_attaches_are_not),
		T(signals_are_counted_by_number_and_target),
		T(signals_to_the_next_process_of_that_number_are_not_counted_with_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
