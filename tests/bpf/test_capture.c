/* The whole of a capture: what it counts, what it leaves out, what it leaves behind. */
#include "tests/bpf/live.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/abi.h"
#include "common/clock.h"
#include "tests/await.h"

static struct live live;

static void a_kernel_without_types_is_refused_with_advice(void **state)
{
	struct capture_config config = {.boot_id = "test", .btf_path = "/nonexistent/vmlinux"};
	struct capture *c = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(capture_new(&config, &c, &e), -ENOTSUP);
	assert_null(c);
	assert_non_null(strstr(e.text, "/nonexistent/vmlinux"));
	assert_non_null(strstr(e.text, "CONFIG_DEBUG_INFO_BTF"));
}

static int flood(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		int fds[2];

		if (pipe(fds) < 0 || close(fds[0]) < 0 || close(fds[1]) < 0)
			return 1;
	}
	return 0;
}

/* The flood is over before anything is read: what does not fit in the smallest ring is lost, and
 * what was lost plus what was seen is all there was. Process life has a ring of its own. */
static void records_that_find_no_room_are_counted_by_class(void **state)
{
	struct loss losses[32];
	uint64_t lost = 0, seen = 0;
	struct actor a;
	uint32_t n;
	size_t from = 0;
	int status;

	(void)state;
	live_start(&live, NULL, 1);
	live_policy(&live, 1, 1U << NJ_CLASS_DESCRIPTOR, NULL);
	a = live_actor(&live, flood, NULL);
	live_pump(&live, 0);
	live_go(&a);
	assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
	assert_int_equal(status, 0);
	/* All of it is in the rings or lost. The exit is not waited for: what else the machine runs
	 * may have filled the small ring of process life. */
	for (int i = 0; i < 10; i++)
		live_pump(&live, 0);
	while (live_find(&live, EVENT_KIND_PIPE, a.pid, &from))
		seen++;
	n = capture_losses(live.capture, losses, 32);
	for (uint32_t i = 0; i < n; i++)
		if (losses[i].reason == LOSS_REASON_RING && strcmp(losses[i].class, "descriptor") == 0)
			lost = losses[i].count;
	assert_true(lost > 0 && seen > 0);
	assert_true(lost + seen >= 20000);
	/* Reported once. */
	n = capture_losses(live.capture, losses, 32);
	for (uint32_t i = 0; i < n; i++)
		assert_true(losses[i].count < lost);
	live_stop(&live);
}

static void on_any(void *ctx, const struct event *event)
{
	bool *own = ctx;

	*own |= event->process->pid == (uint32_t)getpid();
}

static int one_pipe(void *arg)
{
	int fds[2];

	(void)arg;
	return pipe(fds) < 0;
}

static void our_own_acts_are_not_reported(void **state)
{
	bool own = false;
	int fds[2];
	pid_t pid;

	(void)state;
	live_start(&live, NULL, 0);
	assert_int_equal(pipe(fds), 0);
	assert_true(capture_turn(live.capture, UINT32_MAX, on_any, &own) >= 0);
	/* The same act of somebody else is, so the class is alive. */
	pid = live_run(&live, one_pipe, NULL);
	(void)live_expect(&live, EVENT_KIND_PIPE, pid, NULL);
	assert_null(live_find(&live, EVENT_KIND_PIPE, getpid(), NULL));
	assert_false(own);
	(void)close(fds[0]);
	(void)close(fds[1]);
	live_stop(&live);
}

static void every_class_is_covered_on_this_kernel(void **state)
{
	const struct capture_coverage *rows;
	uint32_t count;

	(void)state;
	live_start(&live, NULL, 0);
	count = capture_coverages(live.capture, &rows);
	assert_true(count >= 7);
	for (uint32_t i = 0; i < count; i++) {
		assert_string_equal(rows[i].state, "full");
		assert_string_equal(rows[i].reason, "");
		assert_true(rows[i].provider[0] != '\0');
	}
	live_stop(&live);
}

/* A row of the report, however wide its columns are. */
static void assert_row(const char *report, const char *class, const char *state)
{
	char name[32], its_state[32];

	for (const char *line = report; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%31s %31s", name, its_state) == 2 && strcmp(name, class) == 0) {
			assert_string_equal(its_state, state);
			return;
		}
	}
	fail_msg("no row of %s in:\n%s", class, report);
}

static void the_probe_report_names_the_kernel_and_every_class(void **state)
{
	struct buf out = {0}, gaps = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(capture_probe(NULL, &out, &gaps, &e), 0);
	assert_non_null(strstr(buf_text(&out), "kernel "));
	assert_row(buf_text(&out), "process", "full");
	assert_row(buf_text(&out), "cgroup", "full");
	assert_int_equal(gaps.len, 0);
	buf_done(&gaps);
	buf_done(&out);
}

#define PROGRAMS_MAX 64

/* The kernel's ids of the programs that we hold: other agents may come and go meanwhile. */
static uint32_t held_programs(uint32_t ret_ids[static PROGRAMS_MAX])
{
	uint32_t count = 0;

	for (int fd = 0; fd < 256 && count < PROGRAMS_MAX; fd++) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		char path[64], target[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "bpf-prog"))
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
			ret_ids[count++] = info.id;
	}
	return count;
}

static bool still_there(const uint32_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int fd = bpf_prog_get_fd_by_id(ids[i]);

		if (fd < 0)
			continue;
		(void)close(fd);
		return true;
	}
	return false;
}

static uint32_t open_descriptors(void)
{
	uint32_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void without_a_class_that_needs_them_calls_are_not_looked_at(void **state)
{
	static const char *const none[] = {NULL};
	uint32_t fds;
	pid_t pid;

	(void)state;
	live_start(&live, NULL, 0);
	fds = open_descriptors();
	live_policy(&live, 1, 1U << NJ_CLASS_TCP, none);
	assert_true(open_descriptors() < fds); /* the hooks are gone, not only deaf */
	pid = live_run(&live, one_pipe, NULL);
	assert_null(live_find(&live, EVENT_KIND_PIPE, pid, NULL));
	/* And looked at again when one does, as often as asked. */
	live_policy(&live, 2, POLICY_ALL, none);
	live_policy(&live, 3, POLICY_ALL, none);
	assert_int_equal(open_descriptors(), fds);
	pid = live_run(&live, one_pipe, NULL);
	(void)live_expect(&live, EVENT_KIND_PIPE, pid, NULL);
	live_stop(&live);
}

static void nothing_is_left_in_the_kernel(void **state)
{
	uint32_t fds = open_descriptors();
	uint32_t ids[PROGRAMS_MAX];
	uint32_t count;

	(void)state;
	live_start(&live, NULL, 0);
	count = held_programs(ids);
	assert_true(count >= 6);
	assert_true(still_there(ids, count));
	live_stop(&live);
	assert_int_equal(open_descriptors(), fds);
	/* The kernel frees programs after a grace period. */
	assert_true(AWAIT(!still_there(ids, count), LIVE_DEADLINE_MS * NS_PER_MS));
}

static int in_new_cgroup(void *arg)
{
	const char *procs = arg;
	char pid[16];
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	int len = snprintf(pid, sizeof(pid), "%d", (int)getpid());

	if (fd < 0 || write(fd, pid, (size_t)len) != len)
		return 1;
	(void)close(fd);
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

#define POD_ID	"8c1f1f1e-3f0a-4d2b-9c57-0d6f0d4c2a11"
#define FULL_ID "00000000000000000000000000000000000000000000000000000000000000aa"

static void a_cgroup_made_later_names_its_container(void **state)
{
	const char *root = access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
	char pods[128], pod[256], leaf[384], procs[512];
	const struct seen *s;
	pid_t pid;

	(void)state;
	(void)snprintf(pods, sizeof(pods), "%s/nj%d-kubepods", root, (int)getpid());
	(void)snprintf(pod, sizeof(pod), "%s/pod" POD_ID, pods);
	(void)snprintf(leaf, sizeof(leaf), "%s/" FULL_ID, pod);
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", leaf);
	live_start(&live, NULL, 0);
	if (mkdir(pods, 0755) < 0) {
		live_stop(&live);
		skip();
	}
	assert_int_equal(mkdir(pod, 0755), 0);
	assert_int_equal(mkdir(leaf, 0755), 0);
	pid = live_run(&live, in_new_cgroup, procs);
	(void)rmdir(leaf);
	(void)rmdir(pod);
	(void)rmdir(pods);
	s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	assert_string_equal(s->cgroup, leaf + strlen(root));
	assert_string_equal(s->container_id, FULL_ID);
	assert_string_equal(s->pod_uid, POD_ID);
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_without_types_is_refused_with_advice),
		cmocka_unit_test(records_that_find_no_room_are_counted_by_class),
		cmocka_unit_test(our_own_acts_are_not_reported),
		cmocka_unit_test(without_a_class_that_needs_them_calls_are_not_looked_at),
		cmocka_unit_test(every_class_is_covered_on_this_kernel),
		cmocka_unit_test(the_probe_report_names_the_kernel_and_every_class),
		cmocka_unit_test(nothing_is_left_in_the_kernel),
		cmocka_unit_test(a_cgroup_made_later_names_its_container),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
