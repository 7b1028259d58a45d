/* Which namespaces a process is in after it has entered or made some. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

static uint32_t own_namespace(const char *name)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

static size_t events_of(pid_t pid)
{
	size_t from = 0, count = 0;

	while (live_find(&live, EVENT_KIND_NAMESPACE, pid, &from))
		count++;
	return count;
}

static int part(void *arg)
{
	(void)arg;
	/* The first is no namespace. */
	if (unshare(CLONE_FS) < 0 || unshare(CLONE_NEWUTS | CLONE_NEWNET) < 0)
		return 1;
	return unshare(0x7fffffff) == 0 || errno != EINVAL;
}

static void unshare_tells_the_namespaces_after_it_and_who_failed(void **state)
{
	pid_t pid = live_run(&live, part, NULL);
	size_t from = 0;
	const struct seen *s = live_find(&live, EVENT_KIND_NAMESPACE, pid, &from);
	const struct seen *failed = live_find(&live, EVENT_KIND_NAMESPACE, pid, &from);

	(void)state;
	assert_int_equal(events_of(pid), 2);
	assert_string_equal(s->call, "unshare");
	assert_int_equal(s->detail.args[0], CLONE_NEWUTS | CLONE_NEWNET);
	assert_int_equal(s->event.result, 0);
	assert_int_equal(s->detail.namespaces.mnt, own_namespace("mnt"));
	assert_int_equal(s->detail.namespaces.user, own_namespace("user"));
	assert_true(s->detail.namespaces.uts && s->detail.namespaces.uts != own_namespace("uts"));
	assert_true(s->detail.namespaces.net && s->detail.namespaces.net != own_namespace("net"));
	assert_int_equal(failed->event.result, -EINVAL);
	assert_int_equal(failed->detail.namespaces.uts, s->detail.namespaces.uts);
}

/* A child with namespaces of its own that stays for a while. */
static pid_t start_elsewhere(int flags)
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (unshare(flags) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)!read(ready[0], &byte, 1);
	return pid;
}

static int end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) != pid;
}

static int enter(void *arg)
{
	pid_t other = start_elsewhere(CLONE_NEWUTS | CLONE_NEWNET);
	char path[64];
	int fd, pidfd;

	(void)arg;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/uts", other);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	pidfd = (int)syscall(SYS_pidfd_open, other, 0);
	if (fd < 0 || pidfd < 0)
		return 1;
	if (setns(fd, CLONE_NEWNET) == 0 || errno != EINVAL)
		return 2;
	if (setns(fd, CLONE_NEWUTS) < 0 || setns(pidfd, CLONE_NEWNET) < 0)
		return 3;
	if (setns(999, 0) == 0)
		return 4;
	return end(other);
}

static void setns_tells_what_was_entered_and_whose_it_is(void **state)
{
	pid_t pid = live_run(&live, enter, NULL);
	const struct seen *fork = live_find(&live, EVENT_KIND_FORK, pid, NULL), *made;
	size_t from = 0;
	const struct seen *wrong = live_find(&live, EVENT_KIND_NAMESPACE, pid, &from);
	const struct seen *by_file = live_find(&live, EVENT_KIND_NAMESPACE, pid, &from);
	const struct seen *by_process = live_find(&live, EVENT_KIND_NAMESPACE, pid, &from);
	const struct seen *by_nothing = live_find(&live, EVENT_KIND_NAMESPACE, pid, &from);

	(void)state;
	assert_true(fork && wrong && by_file && by_process && by_nothing);
	made = live_expect(&live, EVENT_KIND_NAMESPACE, (pid_t)fork->child_pid, NULL);
	assert_string_equal(by_file->call, "setns");
	assert_int_equal(by_file->detail.args[1], CLONE_NEWUTS);
	assert_int_equal(by_file->detail.namespaces.uts, made->detail.namespaces.uts);
	assert_int_equal(by_file->event.file.inode, made->detail.namespaces.uts);
	assert_int_equal(by_file->detail.namespaces.net, own_namespace("net"));
	assert_int_equal(by_process->detail.namespaces.net, made->detail.namespaces.net);
	assert_non_null(by_process->detail.target);
	assert_int_equal(by_process->target.exec_id, fork->child_exec_id);
	assert_int_equal(wrong->event.result, -EINVAL);
	assert_int_equal(wrong->event.file.inode, made->detail.namespaces.uts);
	assert_int_equal(wrong->detail.namespaces.uts, own_namespace("uts"));
	assert_int_equal(by_nothing->event.result, -EBADF);
}

static pid_t clone3_with(uint64_t flags)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t clone_with(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static int clone_elsewhere(void *arg)
{
	pid_t pid = fork(); /* in the same ones: not told */
	int status;

	(void)arg;
	if (pid == 0)
		_exit(0);
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	pid = clone_with(CLONE_NEWUTS | CLONE_NEWPID);
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 2;
	pid = clone3_with(CLONE_NEWIPC);
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 3;
	return clone_with(CLONE_NEWNS | CLONE_FS) >= 0 || errno != EINVAL;
}

static const struct seen *event_with_flags(uint64_t flags)
{
	const struct seen *s;
	size_t from = 0;

	while ((s = live_find(&live, EVENT_KIND_NAMESPACE, 0, &from)) != NULL)
		if ((s->detail.args[0] & ~0xffULL) == flags)
			return s;
	fail_msg("no clone with flags %llx", (unsigned long long)flags);
	return NULL;
}

static void a_clone_into_new_namespaces_is_an_act_of_the_child(void **state)
{
	pid_t pid = live_run(&live, clone_elsewhere, NULL);
	const struct seen *by_clone = event_with_flags(CLONE_NEWUTS | CLONE_NEWPID);
	const struct seen *by_clone3 = event_with_flags(CLONE_NEWIPC);
	const struct seen *failed = event_with_flags(CLONE_NEWNS | CLONE_FS);

	(void)state;
	assert_int_equal(events_of(0), 3);
	assert_string_equal(by_clone->call, "clone");
	assert_int_equal(by_clone->process.ppid, pid);
	assert_int_equal(by_clone->process.vpid, 1);
	assert_true(by_clone->detail.namespaces.uts != own_namespace("uts"));
	assert_int_equal(by_clone->detail.namespaces.uts, by_clone->process.namespaces.uts);
	assert_string_equal(by_clone3->call, "clone3");
	assert_int_equal(by_clone3->process.ppid, pid);
	assert_true(by_clone3->detail.namespaces.ipc != own_namespace("ipc"));
	assert_int_equal(failed->event.result, -EINVAL);
	assert_int_equal(failed->process.pid, pid);
}

#ifdef __x86_64__
static int part_by_32_bit_call(void *arg)
{
	(void)arg;
	return compat_call(310, CLONE_NEWUTS, 0, 0) < 0;
}

static void a_32_bit_call_is_marked(void **state)
{
	pid_t pid = live_run(&live, part_by_32_bit_call, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_NAMESPACE, pid, NULL);

	(void)state;
	assert_string_equal(s->call, "unshare");
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
	assert_true(s->detail.namespaces.uts != own_namespace("uts"));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(unshare_tells_the_namespaces_after_it_and_who_failed),
		LIVE_TEST(setns_tells_what_was_entered_and_whose_it_is),
		LIVE_TEST(a_clone_into_new_namespaces_is_an_act_of_the_child),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_call_is_marked),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
