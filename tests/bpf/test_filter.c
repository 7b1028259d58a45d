/* What the policy wants comes, what it does not want stays in the kernel; and a policy that replaces another
 * misses nothing that both want. Each silence is proved by an act of the same actor that is told. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/group.h"
#include "bpf/calls.h"
#include "common/clock.h"

static struct live live;
static char dir[] = "/tmp/nj-filter-XXXXXX";

/* Opens below dir, each as it is given, the canary last. */
static const char *const *to_open;

static int open_all(void *arg)
{
	const int *flags = arg;

	for (size_t i = 0; to_open[i]; i++) {
		int fd = open(to_open[i], flags ? flags[i] : O_RDONLY, 0600);

		(void)close(fd);
	}
	(void)close(open("/nonexistent/nj-canary", O_RDONLY));
	return 0;
}

static bool was_told(pid_t pid, const char *raw)
{
	size_t from = 0;
	const struct seen *s;

	while ((s = live_find(&live, EVENT_KIND_OPEN, pid, &from)))
		if (strcmp(s->raw_path, raw) == 0)
			return true;
	return false;
}

static uint64_t lost_opens(void)
{
	struct nj_counts counts;

	assert_int_equal(capture_counts(live.capture, -1, &counts), 0);
	return counts.lost[NJ_CLASS_FILE];
}

/* Again when what else the machine opens has filled a ring meanwhile. */
static pid_t run_opens(const char *const *paths, const int *flags)
{
	uint64_t lost;
	pid_t pid;
	int tries = 0;

	to_open = paths;
	do {
		lost = lost_opens();
		pid = live_run(&live, open_all, (void *)(uintptr_t)flags);
	} while (lost_opens() != lost && ++tries < 10);
	assert_true(was_told(pid, "/nonexistent/nj-canary"));
	return pid;
}

static const char *const canary[] = {"nj-canary", NULL};

static struct uplink_policy *next_policy(void)
{
	struct uplink_policy *next = live_next(&live);

	policy_default(canary, next);
	next->classes = (uint32_t)POLICY_ALL;
	return next;
}

static void want_below(const char *const *prefixes, size_t count)
{
	struct uplink_policy *next = next_policy();

	next->open_prefixes = prefixes;
	next->open_prefix_count = count;
	live_switch(&live);
}

static void opens_below_a_path_are_told_and_beside_it_not(void **state)
{
	static const char *const prefixes[] = {"/etc", "/usr/lib/", NULL};
	static const char *const paths[] = {"/etc/passwd", "/etc", "/usr/lib/os-release", "/usr/share", "/", "/proc/self/maps",
					    "/etc/../proc/version", "/proc/self/root/etc/hostname", NULL};
	pid_t pid;

	(void)state;
	want_below(prefixes, 2);
	pid = run_opens(paths, NULL);
	assert_true(was_told(pid, "/etc/passwd"));
	assert_true(was_told(pid, "/etc"));
	assert_true(was_told(pid, "/usr/lib/os-release") || access("/usr/lib/os-release", F_OK) < 0);
	assert_false(was_told(pid, "/usr/share"));
	assert_false(was_told(pid, "/"));
	assert_false(was_told(pid, "/proc/self/maps"));
	/* By what it led to. */
	assert_false(was_told(pid, "/etc/../proc/version"));
}

static void a_name_that_only_begins_like_a_path_is_not_below_it(void **state)
{
	char below[64], beside[64];
	const char *const prefixes[] = {below, NULL};
	char inside[80], outside[80], missing[80];
	const char *const paths[] = {inside, outside, missing, NULL};
	pid_t pid;

	(void)state;
	(void)snprintf(below, sizeof(below), "%s/sub", dir);
	(void)snprintf(beside, sizeof(beside), "%s/subway", dir);
	(void)snprintf(inside, sizeof(inside), "%s/file", below);
	(void)snprintf(outside, sizeof(outside), "%s/file", beside);
	(void)snprintf(missing, sizeof(missing), "%s/missing", below);
	want_below(prefixes, 1);
	pid = run_opens(paths, NULL);
	assert_true(was_told(pid, inside));
	assert_false(was_told(pid, outside));
	/* A failed one has its argument only. */
	assert_true(was_told(pid, missing));
}

static void unwanted_paths_are_neither_told_nor_counted(void **state)
{
	static const char *const prefixes[] = {"/nonexistent", NULL};
	static const char *const paths[] = {"/etc/passwd", "/etc/passwd", "/etc/passwd", NULL};
	size_t from = 0;
	pid_t pid;

	(void)state;
	want_below(prefixes, 1);
	pid = run_opens(paths, NULL);
	assert_false(was_told(pid, "/etc/passwd"));
	(void)live_expect(&live, EVENT_KIND_OPEN, pid, &from); /* the canary */
	assert_null(live_find(&live, EVENT_KIND_OPEN, pid, &from));
}

static void opens_for_writing_are_told_wherever_they_are(void **state)
{
	static const char *const paths[] = {"sub/file", "subway/file", "sub/made", NULL};
	static const int flags[] = {O_RDONLY, O_WRONLY, O_CREAT | O_RDONLY};
	struct uplink_policy *next = next_policy();
	pid_t pid;

	(void)state;
	next->open_writes = true;
	live_switch(&live);
	pid = run_opens(paths, flags);
	(void)unlink("sub/made");
	assert_false(was_told(pid, "sub/file"));
	assert_true(was_told(pid, "subway/file"));
	assert_true(was_told(pid, "sub/made"));
}

static void all_opens_are_told_when_all_are_wanted(void **state)
{
	static const char *const paths[] = {"sub/file", "/etc/passwd", "/nonexistent", NULL};
	pid_t pid;

	(void)state;
	next_policy()->open_all = true;
	live_switch(&live);
	pid = run_opens(paths, NULL);
	for (size_t i = 0; paths[i]; i++)
		assert_true(was_told(pid, paths[i]));
}

static int send_to_ports(void *arg)
{
	const uint16_t *ports = arg;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (; *ports; ports++) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(*ports)};

		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1 && errno != ECONNREFUSED)
			return 1;
	}
	return 0;
}

static void messages_to_other_ports_are_not_told(void **state)
{
	static const uint16_t wanted[] = {40953, 40955}, used[] = {40952, 40953, 40954, 40955, 0};
	struct uplink_policy *next = next_policy();
	const struct seen *s;
	size_t from = 0;
	pid_t pid;

	(void)state;
	next->ports = wanted;
	next->port_count = 2;
	live_switch(&live);
	pid = live_run(&live, send_to_ports, (void *)(uintptr_t)used);
	for (size_t i = 0; i < 2; i++) {
		s = live_expect(&live, EVENT_KIND_SEND, pid, &from);
		assert_int_equal(s->endpoints[0].remote_port, wanted[i]);
	}
	assert_null(live_find(&live, EVENT_KIND_SEND, pid, &from));
}

/* ---- workloads ---- */

static int act_inside(void *arg)
{
	int fds[2];

	if (group_enter(arg) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		(void)close(open("/etc/passwd", O_RDONLY));
	return pipe(fds) < 0;
}

static int act_outside(void *arg)
{
	int fds[2];

	(void)arg;
	for (int i = 0; i < 3; i++)
		(void)close(open("/etc/passwd", O_RDONLY));
	return pipe(fds) < 0;
}

static uint64_t told_of(pid_t pid, uint64_t *ret_repeats)
{
	uint64_t told = 0, repeats = 0;
	size_t from = 0;
	const struct seen *s;

	while ((s = live_find(&live, EVENT_KIND_OPEN, pid, &from))) {
		told += s->event.repeats == 0 && strcmp(s->raw_path, "/etc/passwd") == 0;
		repeats += s->event.repeats;
	}
	*ret_repeats = repeats;
	return told;
}

static const char *const passwd[] = {"passwd", NULL};

static void check_inside(pid_t pid, bool opens)
{
	uint64_t repeats;

	assert_int_equal(told_of(pid, &repeats), opens ? 3 : 0);
	assert_int_equal(repeats, 0);
	assert_int_equal(live_find(&live, EVENT_KIND_PIPE, pid, NULL) != NULL, !opens);
	(void)live_expect(&live, EVENT_KIND_EXIT, pid, NULL); /* never narrowed */
}

/* Inside: opens, each of them, and no pipes. Outside: pipes, and no opens. */
static void a_workload_may_want_what_the_rest_does_not_and_each_of_it(void **state)
{
	struct uplink_workload workload = {.classes = 1U << NJ_CLASS_FILE, .each = true};
	struct uplink_policy *next;
	struct group group;
	char inner[512];
	pid_t pid;

	(void)state;
	if (group_make("early", &group) < 0)
		skip();
	live_stop(&live); /* a cgroup from before the capture … */
	live_start(&live, passwd, 0);
	workload.cgroup = group.path;
	next = live_next(&live);
	next->classes = 1U << NJ_CLASS_DESCRIPTOR;
	next->each = 0;
	next->workloads = &workload;
	next->workload_count = 1;
	live_switch(&live);
	pid = live_run(&live, act_inside, group.folder);
	check_inside(pid, true);
	pid = live_run(&live, act_outside, NULL);
	check_inside(pid, false);
	group_remove(&group);
	/* … and one that is made later, below the one that is named. */
	assert_int_equal(mkdir(group.folder, 0755), 0);
	(void)snprintf(inner, sizeof(inner), "%s/inner", group.folder);
	assert_int_equal(mkdir(inner, 0755), 0);
	for (int i = 0; i < 3; i++)
		live_pump(&live, 0);
	pid = live_run(&live, act_inside, inner);
	check_inside(pid, true);
	/* A policy without workloads forgets them. */
	next = live_next(&live);
	next->workloads = NULL;
	next->workload_count = 0;
	live_switch(&live);
	pid = live_run(&live, act_inside, inner);
	check_inside(pid, false);
	(void)rmdir(inner);
	group_remove(&group);
}

/* ---- one policy after another ---- */

#define WANTED_NAME "nj-both"

static uint64_t *opens_done; /* shared with the actor */

static int open_without_end(void *arg)
{
	for (;;) {
		int fd = open(arg, O_RDONLY);

		if (fd < 0)
			return 1;
		(void)close(fd);
		(*opens_done)++;
	}
}

/* Two policies that want the same file for different reasons, in turn. */
static void a_policy_change_misses_nothing_that_both_want(void **state)
{
	static const char *const names[] = {WANTED_NAME, "passwd", NULL};
	char path[80];
	const char *const prefixes[] = {dir, NULL};
	struct uplink_policy *next;
	uint64_t told = 0, deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;
	struct actor a;
	size_t from = 0;
	const struct seen *s;

	(void)state;
	opens_done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(opens_done != MAP_FAILED);
	(void)snprintf(path, sizeof(path), "%s/" WANTED_NAME, dir);
	(void)close(creat(path, 0600));
	want_below(prefixes, 1);
	a = live_actor(&live, open_without_end, path);
	live_go(&a);
	(void)live_await(&live, EVENT_KIND_OPEN, a.pid);
	for (uint32_t i = 0; i < 60 && clock_monotonic_ns() < deadline; i++) {
		next = next_policy();
		next->generation = i + 1;
		if (i & 1) {
			next->open_prefixes = prefixes;
			next->open_prefix_count = 1;
		} else {
			next->open_names = names;
			next->open_name_count = 2;
			next->classes = NJ_BIT(FILE) | (i & 2 ? NJ_BIT(MESSAGE) : 0);
		}
		live_switch(&live);
		live_pump(&live, 1);
	}
	(void)kill(a.pid, SIGKILL);
	(void)waitpid(a.pid, NULL, 0);
	(void)live_await(&live, EVENT_KIND_EXIT, a.pid);
	while ((s = live_find(&live, EVENT_KIND_OPEN, a.pid, &from)))
		told += s->event.repeats ? s->event.repeats : 1;
	/* The one in which it was killed may have been told and not counted by itself. */
	assert_true(told == *opens_done || told == *opens_done + 1);
	(void)unlink(path);
	(void)munmap(opens_done, 4096);
}

/* What the actor has done, in memory that it shares with the test. */
struct done {
	uint64_t opens, signals;
};

static struct done *done;

static int open_and_signal_without_end(void *arg)
{
	for (;;) {
		int fd = open(arg, O_RDONLY);

		if (fd < 0)
			return 1;
		(void)close(fd);
		__atomic_fetch_add(&done->opens, 1, __ATOMIC_SEQ_CST);
		(void)kill(getppid(), SIGURG);
		__atomic_fetch_add(&done->signals, 1, __ATOMIC_SEQ_CST);
	}
}

static uint64_t acts_told(enum event_kind kind, pid_t pid)
{
	uint64_t told = 0;
	size_t from = 0;
	const struct seen *s;

	while ((s = live_find(&live, kind, pid, &from)))
		told += s->event.repeats ? s->event.repeats : 1;
	return told;
}

static void await_count(const uint64_t *counter, uint64_t count)
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;

	while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < count) {
		assert_true(clock_monotonic_ns() < deadline);
		live_pump(&live, 1);
	}
}

/* From the moment at which it is in force, and not a moment before; the rest goes on without a gap. */
static void a_narrower_policy_ends_what_it_does_not_want_and_nothing_else(void **state)
{
	static const char *const names[] = {WANTED_NAME, NULL};
	uint64_t before, after, told;
	struct uplink_policy *next;
	char path[80];
	struct actor a;

	(void)state;
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(done != MAP_FAILED);
	(void)snprintf(path, sizeof(path), "%s/" WANTED_NAME, dir);
	(void)close(creat(path, 0600));
	next = next_policy();
	next->open_names = names;
	next->open_name_count = 1;
	live_switch(&live);
	a = live_actor(&live, open_and_signal_without_end, path);
	live_go(&a);
	await_count(&done->signals, 100);
	next = live_next(&live);
	next->generation++;
	next->classes = NJ_BIT(FILE);
	before = __atomic_load_n(&done->signals, __ATOMIC_SEQ_CST);
	live_switch(&live);
	after = __atomic_load_n(&done->signals, __ATOMIC_SEQ_CST);
	await_count(&done->opens, __atomic_load_n(&done->opens, __ATOMIC_SEQ_CST) + 100);
	(void)kill(a.pid, SIGKILL);
	(void)waitpid(a.pid, NULL, 0);
	(void)live_await(&live, EVENT_KIND_EXIT, a.pid);
	/* The one that was being sent at either moment may be on either side of it. */
	assert_in_range(acts_told(EVENT_KIND_SIGNAL, a.pid), before, after + 1);
	told = acts_told(EVENT_KIND_OPEN, a.pid);
	assert_true(told == done->opens || told == done->opens + 1);
	(void)unlink(path);
	(void)munmap(done, 4096);
}

static int set_up(void **state)
{
	(void)state;
	live_start(&live, NULL, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	live_stop(&live);
	return 0;
}

static int make_files(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("sub", 0700) < 0 || mkdir("subway", 0700) < 0)
		return -1;
	(void)close(creat("sub/file", 0600));
	return close(creat("subway/file", 0600));
}

static int remove_files(void **state)
{
	(void)state;
	(void)unlink("sub/file");
	(void)unlink("subway/file");
	(void)rmdir("sub");
	(void)rmdir("subway");
	return chdir("/") < 0 || rmdir(dir) < 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opens_below_a_path_are_told_and_beside_it_not),
		T(a_name_that_only_begins_like_a_path_is_not_below_it),
		T(unwanted_paths_are_neither_told_nor_counted),
		T(opens_for_writing_are_told_wherever_they_are),
		T(all_opens_are_told_when_all_are_wanted),
		T(messages_to_other_ports_are_not_told),
		T(a_workload_may_want_what_the_rest_does_not_and_each_of_it),
		T(a_policy_change_misses_nothing_that_both_want),
		T(a_narrower_policy_ends_what_it_does_not_want_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
