/* Bytes that move from one object to another inside the kernel. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

/* socket → pipe → second pipe (a copy) → socket, then memory → pipe. */
static int move_all_ways(void *arg)
{
	char text[] = "abcdef";
	struct iovec part = {text, 2};
	int pair[2], first[2], second[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(first) < 0 || pipe(second) < 0)
		return 1;
	if (write(pair[0], text, 6) != 6 || splice(pair[1], NULL, first[1], NULL, 6, 0) != 6)
		return 2;
	if (tee(first[0], second[1], 4, 0) != 4)
		return 3;
	if (splice(second[0], NULL, pair[1], NULL, 4, 0) != 4)
		return 4;
	return vmsplice(second[1], &part, 1, 0) != 2;
}

static void an_edge_tells_from_where_to_where(void **state)
{
	static const struct {
		const char *call;
		int64_t bytes;
		uint8_t from, to;
	} expected[] = {
		{"splice", 6, ENDPOINT_KIND_UNIX, ENDPOINT_KIND_PIPE},
		{"tee", 4, ENDPOINT_KIND_PIPE, ENDPOINT_KIND_PIPE},
		{"splice", 4, ENDPOINT_KIND_PIPE, ENDPOINT_KIND_UNIX},
		{"vmsplice", 2, ENDPOINT_KIND_NONE, ENDPOINT_KIND_PIPE},
	};
	pid_t pid = live_run(&live, move_all_ways, NULL);
	const struct seen *s[4];
	size_t from = 0;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_SPLICE, pid), 4);
	for (int i = 0; i < 4; i++) {
		s[i] = live_find(&live, EVENT_KIND_SPLICE, pid, &from);
		assert_string_equal(s[i]->call, expected[i].call);
		assert_int_equal(s[i]->event.result, expected[i].bytes);
		assert_int_equal(s[i]->event.endpoint_count, 2);
		assert_int_equal(s[i]->endpoints[0].kind, expected[i].from);
		assert_int_equal(s[i]->endpoints[1].kind, expected[i].to);
	}
	assert_int_equal(s[0]->endpoints[1].id, s[1]->endpoints[0].id);
	assert_int_equal(s[1]->endpoints[1].id, s[2]->endpoints[0].id);
	assert_int_equal(s[2]->endpoints[1].id, s[0]->endpoints[0].id);
	assert_int_equal(s[3]->endpoints[0].fd, -1);
}

static int send_a_file(void *arg)
{
	int file = open("/etc/passwd", O_RDONLY), pair[2];
	off_t at = 0;

	(void)arg;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || sendfile(pair[0], file, &at, 16) != 16;
}

static void a_file_that_is_sent_has_its_path(void **state)
{
	pid_t pid = live_run(&live, send_a_file, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_SPLICE, pid, NULL);

	(void)state;
	assert_string_equal(s->path, "/etc/passwd");
	assert_true(s->event.file.inode != 0);
	assert_int_equal(s->event.result, 16);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_NONE);
	assert_int_equal(s->endpoints[1].kind, ENDPOINT_KIND_UNIX);
}

/* Between files, at the end of a file, and into nothing. */
static int move_nothing(void *arg)
{
	int file = open("/etc/passwd", O_RDONLY), copy = memfd_create("nj", 0), pair[2], ends[2];
	off_t end = 1 << 20;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(ends) < 0)
		return 1;
	if (sendfile(copy, file, NULL, 16) != 16 || sendfile(pair[0], file, &end, 16) != 0)
		return 2;
	return splice(ends[0], NULL, pair[0], NULL, 4, SPLICE_F_NONBLOCK) >= 0 || errno != EAGAIN;
}

static void what_moves_between_files_or_not_at_all_is_not_told(void **state)
{
	pid_t pid = live_run(&live, move_nothing, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_PIPE, pid), 2);
	assert_int_equal(live_count(&live, EVENT_KIND_SPLICE, pid), 0);
}

static int fail_to_move(void *arg)
{
	int pair[2], other[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, other) < 0)
		return 1;
	return splice(pair[0], NULL, other[0], NULL, 4, 0) >= 0 || errno != EINVAL;
}

static void an_edge_that_failed_tells_why(void **state)
{
	pid_t pid = live_run(&live, fail_to_move, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_SPLICE, pid, NULL);

	(void)state;
	assert_int_equal(s->event.result, -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(what_moves_between_files_or_not_at_all_is_not_told),
		LIVE_TEST(an_edge_tells_from_where_to_where),
		LIVE_TEST(a_file_that_is_sent_has_its_path),
		LIVE_TEST(an_edge_that_failed_tells_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
