/* Who reaches into another process, and into which. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct live live;
static char secret[] = "in the victim's memory";

static uint64_t child_of(pid_t pid)
{
	const struct seen *fork = live_expect(&live, EVENT_KIND_FORK, pid, NULL);

	return fork->child_exec_id;
}

static int attach(void *arg)
{
	pid_t victim = live_victim();

	(void)arg;
	if (ptrace(PTRACE_ATTACH, victim, NULL, NULL) < 0 || waitpid(victim, NULL, 0) != victim)
		return 1;
	errno = 0;
	for (int i = 0; i < 50; i++)
		(void)ptrace(PTRACE_PEEKDATA, victim, secret, NULL);
	if (ptrace(PTRACE_POKEDATA, victim, secret, ptrace(PTRACE_PEEKDATA, victim, secret, NULL)) < 0)
		return 2;
	if (ptrace(PTRACE_DETACH, victim, NULL, NULL) < 0)
		return 3;
	return live_end_victim(victim);
}

static void an_attach_and_a_change_are_told_what_only_looks_is_not(void **state)
{
	pid_t pid = live_run(&live, attach, NULL);
	size_t from = 0;
	const struct seen *attached = live_find(&live, EVENT_KIND_PTRACE, pid, &from);
	const struct seen *changed = live_find(&live, EVENT_KIND_PTRACE, pid, &from);

	(void)state;
	assert_true(attached && changed);
	assert_int_equal(attached->detail.args[0], PTRACE_ATTACH);
	assert_int_equal(attached->event.result, 0);
	assert_non_null(attached->detail.target);
	assert_int_equal(attached->target.exec_id, child_of(pid));
	assert_int_equal(attached->detail.args[1], attached->target.pid);
	assert_int_equal(changed->detail.args[0], PTRACE_POKEDATA);
	assert_null(live_find(&live, EVENT_KIND_PTRACE, pid, &from));
}

static int ask_to_be_traced(void *arg)
{
	(void)arg;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
}

static void who_asks_to_be_traced_asks_its_parent(void **state)
{
	pid_t pid = live_run(&live, ask_to_be_traced, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_PTRACE, pid, NULL);

	(void)state;
	assert_int_equal(s->detail.args[0], PTRACE_TRACEME);
	assert_non_null(s->detail.target);
	assert_int_equal(s->target.pid, getpid());
}

static int attach_to_oneself(void *arg)
{
	(void)arg;
	return ptrace(PTRACE_ATTACH, getpid(), NULL, NULL) == 0 || errno != EPERM;
}

static void a_refused_attach_is_told(void **state)
{
	pid_t pid = live_run(&live, attach_to_oneself, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_PTRACE, pid, NULL);

	(void)state;
	assert_int_equal(s->event.result, -EPERM);
}

static int read_and_write_memory(void *arg)
{
	pid_t victim = live_victim();
	char copy[sizeof(secret)];
	struct iovec here = {copy, sizeof(copy)}, there = {secret, sizeof(secret)};

	(void)arg;
	if (process_vm_readv(victim, &here, 1, &there, 1, 0) != (ssize_t)sizeof(copy) ||
	    process_vm_writev(victim, &here, 1, &there, 1, 0) != (ssize_t)sizeof(copy))
		return 1;
	/* One's own memory is nobody's business. */
	if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)sizeof(copy))
		return 2;
	if (process_vm_readv(0x3ffffff, &here, 1, &there, 1, 0) >= 0 || errno != ESRCH)
		return 3;
	return live_end_victim(victim);
}

static void memory_of_others_is_told_with_how_much(void **state)
{
	pid_t pid = live_run(&live, read_and_write_memory, NULL);
	size_t from = 0;
	const struct seen *in = live_find(&live, EVENT_KIND_PROCESS_VM, pid, &from);
	const struct seen *out = live_find(&live, EVENT_KIND_PROCESS_VM, pid, &from);
	const struct seen *failed = live_find(&live, EVENT_KIND_PROCESS_VM, pid, &from);

	(void)state;
	assert_true(in && out && failed);
	assert_string_equal(in->call, "process_vm_readv");
	assert_int_equal(in->event.result, sizeof(secret));
	assert_non_null(in->detail.target);
	assert_int_equal(in->target.exec_id, child_of(pid));
	assert_string_equal(out->call, "process_vm_writev");
	assert_int_equal(failed->event.result, -ESRCH);
	assert_null(live_find(&live, EVENT_KIND_PROCESS_VM, pid, &from));
}

/* The victim's end of a pipe, and a file of it. */
static int fetch_descriptors(void *arg)
{
	int ends[2], pidfd, stolen;
	pid_t victim;

	(void)arg;
	if (pipe(ends) < 0)
		return 1;
	victim = live_victim();
	pidfd = (int)syscall(SYS_pidfd_open, victim, 0);
	stolen = (int)syscall(SYS_pidfd_getfd, pidfd, ends[0], 0);
	if (pidfd < 0 || stolen < 0)
		return 2;
	if (syscall(SYS_pidfd_getfd, pidfd, 999, 0) >= 0 || errno != EBADF)
		return 3;
	return live_end_victim(victim);
}

static void a_fetched_descriptor_is_told_with_its_owner_and_what_it_is(void **state)
{
	pid_t pid = live_run(&live, fetch_descriptors, NULL);
	size_t from = 0;
	const struct seen *got = live_find(&live, EVENT_KIND_PASS, pid, &from);
	const struct seen *failed = live_find(&live, EVENT_KIND_PASS, pid, &from);

	(void)state;
	assert_true(got && failed);
	assert_string_equal(got->call, "pidfd_getfd");
	assert_int_equal(got->event.endpoint_count, 1);
	assert_int_equal(got->endpoints[0].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(got->endpoints[0].fd, got->event.result);
	assert_non_null(got->detail.target);
	assert_int_equal(got->target.exec_id, child_of(pid));
	assert_int_equal(failed->event.result, -EBADF);
	assert_int_equal(failed->detail.args[1], 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(an_attach_and_a_change_are_told_what_only_looks_is_not),
		LIVE_TEST(who_asks_to_be_traced_asks_its_parent),
		LIVE_TEST(a_refused_attach_is_told),
		LIVE_TEST(memory_of_others_is_told_with_how_much),
		LIVE_TEST(a_fetched_descriptor_is_told_with_its_owner_and_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
