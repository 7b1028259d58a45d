/* Descriptors that come to stand for a conversation: new pairs, and copies. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

/* Copies of files, onto itself, of nothing; numbers that do not fit, and pairs that cannot be made. */
static int copy_nothing(void *arg)
{
	int fds[2] = {-1, -1}, file = open("/etc/passwd", O_RDONLY);

	(void)arg;
	if (file < 0 || dup(file) < 0 || dup2(file, 200) != 200 || fcntl(file, F_GETFD) < 0)
		return 1;
	if (dup(1000) >= 0 || dup3(file, file, 0) >= 0 || pipe2(fds, 1) >= 0 ||
	    socketpair(AF_INET, SOCK_STREAM, 0, fds) >= 0)
		return 2;
	if (syscall(SYS_pipe2, 8, 0) >= 0 || errno != EFAULT || pipe(fds) < 0)
		return 3;
	return dup2(fds[0], fds[0]) != fds[0];
}

static void files_failures_and_what_changes_nothing_are_not_told(void **state)
{
	pid_t pid = live_run(&live, copy_nothing, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_DUP, pid), 0);
	assert_int_equal(live_count(&live, EVENT_KIND_PIPE, pid), 1);
}

static int make_pairs(void *arg)
{
	int fds[2], pair[2], copy;

	(void)arg;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return 1;
	copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 240);
	if (copy != 240 || dup2(fds[1], 1) != 1 || dup3(fds[1], 241, O_CLOEXEC) != 241 || dup(fds[0]) < 0)
		return 2;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0;
}

static void pipes_and_socket_pairs_are_told_by_both_ends(void **state)
{
	pid_t pid = live_run(&live, make_pairs, NULL);
	size_t from = 0;
	const struct seen *pipe = live_expect(&live, EVENT_KIND_PIPE, pid, &from);
	const struct seen *pair = live_expect(&live, EVENT_KIND_PIPE, pid, &from);

	(void)state;
	assert_string_equal(pipe->call, "pipe2");
	assert_int_equal(pipe->detail.args[0], 0); /* an address */
	assert_int_equal(pipe->detail.args[1], O_CLOEXEC);
	assert_int_equal(pipe->event.endpoint_count, 2);
	assert_int_equal(pipe->endpoints[0].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(pipe->endpoints[0].mode, ENDPOINT_READ);
	assert_int_equal(pipe->endpoints[1].mode, ENDPOINT_WRITE);
	assert_int_equal(pipe->endpoints[0].id, pipe->endpoints[1].id);
	assert_string_equal(pair->call, "socketpair");
	assert_int_equal(pair->detail.args[0], AF_UNIX);
	assert_int_equal(pair->detail.args[1], SOCK_STREAM);
	assert_int_equal(pair->endpoints[0].kind, ENDPOINT_KIND_UNIX);
	assert_int_equal(pair->endpoints[0].id, pair->endpoints[1].id2);
	assert_int_equal(pair->endpoints[1].id, pair->endpoints[0].id2);
}

static void copies_are_told_with_both_numbers_and_what_is_behind(void **state)
{
	static const struct {
		const char *call;
		int old, new; /* end of the pipe; 0: any */
		unsigned int args;
		uint64_t last;
	} copies[] = {
		{"fcntl", 0, 240, 3, 240},
		{"dup2", 1, 1, 2, 1},
		{"dup3", 1, 241, 3, O_CLOEXEC},
		{"dup", 0, 0, 1, 0},
	};
	pid_t pid = live_run(&live, make_pairs, NULL);
	const struct seen *pipe = live_expect(&live, EVENT_KIND_PIPE, pid, NULL);
	size_t from = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		const struct seen *copy = live_expect(&live, EVENT_KIND_DUP, pid, &from);

		/* An architecture without dup2 has dup3 in its place. */
		if (strcmp(copies[i].call, "dup2") != 0 || strcmp(copy->call, "dup3") != 0) {
			assert_string_equal(copy->call, copies[i].call);
			assert_int_equal(copy->detail.arg_count, copies[i].args);
		}
		assert_int_equal(copy->endpoints[0].id, pipe->endpoints[0].id);
		assert_int_equal(copy->event.old_fd, pipe->endpoints[copies[i].old].fd);
		assert_int_equal(copy->detail.args[0], copy->event.old_fd);
		assert_int_equal(copy->endpoints[0].fd, copy->event.result);
		if (copies[i].new) {
			assert_int_equal(copy->event.result, copies[i].new);
			assert_int_equal(copy->detail.args[copies[i].args - 1], copies[i].last);
		}
	}
	assert_null(live_find(&live, EVENT_KIND_DUP, pid, &from));
}

#ifdef __x86_64__
static int pair_by_32_bit_calls(void *arg)
{
	int *fds = compat_memory();

	(void)arg;
	return compat_call(42, (uint32_t)(uintptr_t)fds, 0, 0) < 0 || compat_call(63, (uint32_t)fds[0], 240, 0) != 240;
}

static void a_32_bit_pipe_and_copy_are_told(void **state)
{
	pid_t pid = live_run(&live, pair_by_32_bit_calls, NULL);
	const struct seen *pipe = live_expect(&live, EVENT_KIND_PIPE, pid, NULL);
	const struct seen *copy = live_expect(&live, EVENT_KIND_DUP, pid, NULL);

	(void)state;
	assert_int_equal(pipe->event.marks, EVENT_MARK_COMPAT);
	assert_string_equal(copy->call, "dup2");
	assert_int_equal(copy->endpoints[0].id, pipe->endpoints[0].id);
	assert_int_equal(copy->event.result, 240);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(files_failures_and_what_changes_nothing_are_not_told),
		LIVE_TEST(pipes_and_socket_pairs_are_told_by_both_ends),
		LIVE_TEST(copies_are_told_with_both_numbers_and_what_is_behind),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_pipe_and_copy_are_told),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
