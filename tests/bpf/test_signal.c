/* Signals to others are told, those to oneself and questions are not. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

static size_t signals_of(pid_t pid)
{
	size_t from = 0, count = 0;

	while (live_find(&live, EVENT_KIND_SIGNAL, pid, &from))
		count++;
	return count;
}

static int stop_by_every_call(void *arg)
{
	pid_t victim = live_victim();
	siginfo_t info = {.si_code = SI_QUEUE, .si_pid = getpid()};
	int fd = (int)syscall(SYS_pidfd_open, victim, 0);

	(void)arg;
	if (kill(victim, SIGCONT) < 0 || syscall(SYS_tkill, victim, SIGWINCH) < 0 ||
	    syscall(SYS_tgkill, victim, victim, SIGURG) < 0)
		return 1;
	info.si_signo = SIGCHLD;
	if (syscall(SYS_rt_sigqueueinfo, victim, SIGCHLD, &info) < 0)
		return 2;
	if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0) < 0)
		return 3;
	return live_end_victim(victim);
}

static void every_call_tells_whom_it_was_sent_to(void **state)
{
	static const struct {
		const char *call;
		uint64_t signal;
	} sent[] = {{"kill", SIGCONT}, {"tkill", SIGWINCH}, {"tgkill", SIGURG}, {"rt_sigqueueinfo", SIGCHLD},
		    {"pidfd_send_signal", SIGCONT}};
	pid_t pid = live_run(&live, stop_by_every_call, NULL);
	const struct seen *fork = live_expect(&live, EVENT_KIND_FORK, pid, NULL);
	size_t from = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		const struct seen *s = live_expect(&live, EVENT_KIND_SIGNAL, pid, &from);

		assert_string_equal(s->call, sent[i].call);
		assert_int_equal(s->detail.args[1], sent[i].signal);
		assert_int_equal(s->event.result, 0);
		assert_non_null(s->detail.target);
		assert_int_equal(s->target.exec_id, fork->child_exec_id);
	}
}

static int signal_oneself_and_ask(void *arg)
{
	pid_t victim = live_victim();

	(void)arg;
	(void)signal(SIGUSR1, SIG_IGN);
	if (raise(SIGUSR1) < 0 || kill(getpid(), SIGUSR1) < 0 || kill(victim, 0) < 0)
		return 1;
	return live_end_victim(victim);
}

static void signals_to_oneself_and_questions_are_not_told(void **state)
{
	pid_t pid = live_run(&live, signal_oneself_and_ask, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_SIGNAL, pid, NULL);

	(void)state;
	assert_int_equal(signals_of(pid), 1);
	assert_int_equal(s->detail.args[1], SIGKILL);
}

static int signal_nobody(void *arg)
{
	(void)arg;
	if (kill(0x3ffffff, SIGTERM) == 0 || errno != ESRCH)
		return 1;
	return kill(-0x3ffffff, 0) == 0 || errno != ESRCH;
}

static void a_failed_signal_is_told_with_its_error_and_number(void **state)
{
	pid_t pid = live_run(&live, signal_nobody, NULL);
	size_t from = 0;
	const struct seen *one = live_find(&live, EVENT_KIND_SIGNAL, pid, &from);
	const struct seen *group = live_find(&live, EVENT_KIND_SIGNAL, pid, &from);

	(void)state;
	assert_true(one && group);
	assert_int_equal(one->event.result, -ESRCH);
	assert_int_equal(one->detail.args[0], 0x3ffffff);
	assert_null(one->detail.target);
	assert_int_equal((int64_t)group->detail.args[0], -0x3ffffff);
}

/* The number is one of a pid namespace of its own: 2 there, anything here. */
static int signal_by_inner_number(void *arg)
{
	pid_t first;
	int status;

	(void)arg;
	if (unshare(CLONE_NEWPID) < 0)
		return 1;
	first = fork();
	if (first == 0) {
		pid_t victim = live_victim();

		_exit(victim != 2 || kill(2, SIGTERM) < 0 || waitpid(victim, NULL, 0) != victim);
	}
	return waitpid(first, &status, 0) != first || status != 0;
}

static void a_number_means_what_it_means_to_its_user(void **state)
{
	const struct seen *s, *victim;
	size_t from = 0;

	(void)state;
	(void)live_run(&live, signal_by_inner_number, NULL);
	s = live_find(&live, EVENT_KIND_SIGNAL, 0, NULL);
	(void)live_find(&live, EVENT_KIND_FORK, 0, &from);
	victim = live_find(&live, EVENT_KIND_FORK, 0, &from);
	assert_true(s && victim);
	assert_int_equal(s->detail.args[0], 2);
	assert_non_null(s->detail.target);
	assert_int_equal(s->target.exec_id, victim->child_exec_id);
	assert_int_equal(s->target.vpid, 2);
}

#ifdef __x86_64__
static int signal_by_32_bit_call(void *arg)
{
	pid_t victim = live_victim();

	(void)arg;
	if (compat_call(37, (uint32_t)victim, SIGCONT, 0) < 0)
		return 1;
	return live_end_victim(victim);
}

static void a_32_bit_call_is_marked(void **state)
{
	pid_t pid = live_run(&live, signal_by_32_bit_call, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_SIGNAL, pid, NULL);

	(void)state;
	assert_string_equal(s->call, "kill");
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
	assert_non_null(s->detail.target);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(every_call_tells_whom_it_was_sent_to),
		LIVE_TEST(signals_to_oneself_and_questions_are_not_told),
		LIVE_TEST(a_failed_signal_is_told_with_its_error_and_number),
		LIVE_TEST(a_number_means_what_it_means_to_its_user),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_call_is_marked),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
