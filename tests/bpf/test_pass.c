/* Descriptors that are sent and arrive over UNIX sockets. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

#define FDS_MAX 24

union control {
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

static int send_fds(int socket, const int *fds, size_t count)
{
	union control control = {0};
	char byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes};
	struct cmsghdr *c;

	header.msg_controllen = CMSG_SPACE(count * sizeof(int));
	c = CMSG_FIRSTHDR(&header);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(socket, &header, 0) == 1 ? 0 : -1;
}

static int receive(int socket, size_t room)
{
	char control[1024], byte;
	struct iovec part = {&byte, 1};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};

	return recvmsg(socket, &header, 0) == 1 ? 0 : -1;
}

/* A pipe's end, a socket and a file, with the sender's credentials beside them. */
static int pass_three(void *arg)
{
	int pair[2], ends[2], fds[3], one = 1;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(ends) < 0)
		return 1;
	(void)setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	fds[0] = ends[1];
	fds[1] = socket(AF_INET, SOCK_DGRAM, 0);
	fds[2] = open("/etc/passwd", O_RDONLY);
	return send_fds(pair[0], fds, 3) < 0 || receive(pair[1], 1024) < 0;
}

static const struct seen *by_call(pid_t pid, const char *call)
{
	const struct seen *s;
	size_t from = 0;

	while ((s = live_find(&live, EVENT_KIND_PASS, pid, &from)) != NULL)
		if (strcmp(s->call, call) == 0)
			return s;
	fail_msg("nothing passed by %s", call);
	return NULL;
}

static size_t count_by_call(pid_t pid, const char *call)
{
	const struct seen *s;
	size_t from = 0, count = 0;

	while ((s = live_find(&live, EVENT_KIND_PASS, pid, &from)) != NULL)
		count += strcmp(s->call, call) == 0;
	return count;
}

static void three_passed(const struct seen *s, pid_t pid)
{
	const struct seen *pipe;
	size_t from = 0;

	(void)live_expect(&live, EVENT_KIND_PIPE, pid, &from);
	pipe = live_expect(&live, EVENT_KIND_PIPE, pid, &from);
	assert_int_equal(s->event.endpoint_count, 3);
	assert_int_equal(s->detail.args[1], 3);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(s->endpoints[0].id, pipe->endpoints[1].id);
	assert_int_equal(s->endpoints[0].mode, ENDPOINT_WRITE);
	assert_true(s->endpoints[0].fd > 2);
	assert_int_equal(s->endpoints[1].kind, ENDPOINT_KIND_UDP);
	assert_int_equal(s->endpoints[2].kind, ENDPOINT_KIND_NONE);
	assert_string_equal(s->path, "/etc/passwd");
}

static void what_arrives_over_a_unix_socket_is_told(void **state)
{
	pid_t pid = live_run(&live, pass_three, NULL);
	const struct seen *s = by_call(pid, "recvmsg");

	(void)state;
	assert_int_equal(count_by_call(pid, "recvmsg"), 1);
	three_passed(s, pid);
}

static void what_is_sent_is_told_and_fits_what_arrives(void **state)
{
	pid_t pid = live_run(&live, pass_three, NULL);
	const struct seen *sent = by_call(pid, "sendmsg"), *got = by_call(pid, "recvmsg");
	const struct seen *pair = live_expect(&live, EVENT_KIND_PIPE, pid, NULL);

	(void)state;
	assert_int_equal(count_by_call(pid, "sendmsg"), 1);
	three_passed(sent, pid);
	assert_int_equal(sent->event.result, 1);
	/* Over one pair of sockets. */
	assert_int_equal(sent->detail.args[2], pair->endpoints[0].id);
	assert_int_equal(sent->detail.args[3], pair->endpoints[1].id);
	assert_int_equal(sent->detail.args[2], got->detail.args[3]);
	assert_int_equal(sent->detail.args[3], got->detail.args[2]);
	assert_int_equal(sent->endpoints[0].id, got->endpoints[0].id);
}

static int pass_many(void *arg)
{
	int pair[2], fds[FDS_MAX];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 1;
	for (int i = 0; i < FDS_MAX; i++)
		fds[i] = pair[0];
	return send_fds(pair[0], fds, FDS_MAX) < 0 || receive(pair[1], 1024) < 0;
}

static void more_than_fit_are_counted_and_marked(void **state)
{
	pid_t pid = live_run(&live, pass_many, NULL);
	const struct seen *s = by_call(pid, "recvmsg");

	(void)state;
	assert_int_equal(s->event.endpoint_count, EVENT_ENDPOINTS_MAX);
	assert_int_equal(s->detail.args[1], FDS_MAX);
	assert_int_equal(s->event.marks, EVENT_MARK_DATA_CUT);
}

/* No room for descriptors, other control messages, none at all, and nothing to receive. */
static int pass_nothing(void *arg)
{
	int pair[2], one = 1;
	char byte = 'x';

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || send_fds(pair[0], pair, 1) < 0 ||
	    receive(pair[1], 0) < 0)
		return 1;
	(void)setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	if (write(pair[0], &byte, 1) != 1 || receive(pair[1], 1024) < 0)
		return 2;
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
	return receive(pair[1], 1024) == 0;
}

static void what_does_not_arrive_is_not_told(void **state)
{
	pid_t pid = live_run(&live, pass_nothing, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_PIPE, pid), 1);
	assert_int_equal(count_by_call(pid, "recvmsg"), 0);
}

/* Nobody may listen, descriptors may not exist, and memory may hold anything. */
static int send_in_vain(void *arg)
{
	int pair[2], bad = 1000;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || send_fds(pair[0], &bad, 1) == 0 || errno != EBADF)
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(pair[1]);
	return send_fds(pair[0], pair, 1) == 0 || errno != EPIPE;
}

static void what_cannot_be_sent_is_told_with_its_reason(void **state)
{
	pid_t pid = live_run(&live, send_in_vain, NULL);
	const struct seen *s = by_call(pid, "sendmsg");

	(void)state;
	assert_int_equal(count_by_call(pid, "sendmsg"), 1); /* no descriptor, nothing to tell */
	assert_int_equal(s->event.result, -EPIPE);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_UNIX);
}

static int send_a_vector(void *arg)
{
	char control[2][CMSG_SPACE(sizeof(int))] = {{0}}, byte = 'x';
	struct iovec part = {&byte, 1};
	struct mmsghdr messages[2] = {0};
	int pair[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 1;
	for (int i = 0; i < 2; i++) {
		struct msghdr *h = &messages[i].msg_hdr;

		*h = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = control[i],
				     .msg_controllen = sizeof(control[i])};
		*CMSG_FIRSTHDR(h) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(h)), &pair[i], sizeof(int));
	}
	return sendmmsg(pair[0], messages, 2, 0) != 2;
}

static void of_a_vector_the_first_is_told(void **state)
{
	pid_t pid = live_run(&live, send_a_vector, NULL);
	const struct seen *s = by_call(pid, "sendmmsg");

	(void)state;
	assert_int_equal(count_by_call(pid, "sendmmsg"), 1);
	assert_int_equal(s->event.endpoint_count, 1);
	assert_int_equal(s->endpoints[0].id, s->detail.args[2]); /* itself */
}

#ifdef __x86_64__
static int receive_32_bit(void *arg)
{
	struct compat {
		uint32_t header[7], part[2], args[3];
		char byte[4], control[64];
	} *m = compat_memory();
	int pair[2], ends[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(ends) < 0 || send_fds(pair[0], ends, 2) < 0)
		return 1;
	m->part[0] = (uint32_t)(uintptr_t)m->byte, m->part[1] = 1;
	m->header[2] = (uint32_t)(uintptr_t)m->part, m->header[3] = 1;
	m->header[4] = (uint32_t)(uintptr_t)m->control, m->header[5] = sizeof(m->control);
	m->args[0] = (uint32_t)pair[1], m->args[1] = (uint32_t)(uintptr_t)m->header;
	return compat_call(102, 17, (uint32_t)(uintptr_t)m->args, 0) != 1;
}

static void control_messages_of_32_bit_code_are_read_in_their_layout(void **state)
{
	pid_t pid = live_run(&live, receive_32_bit, NULL);
	const struct seen *s = by_call(pid, "socketcall");

	(void)state;
	assert_int_equal(s->event.endpoint_count, 2);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(s->endpoints[0].mode, ENDPOINT_READ);
	assert_int_equal(s->endpoints[1].mode, ENDPOINT_WRITE);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(what_does_not_arrive_is_not_told),
		LIVE_TEST(what_cannot_be_sent_is_told_with_its_reason),
		LIVE_TEST(what_arrives_over_a_unix_socket_is_told),
		LIVE_TEST(what_is_sent_is_told_and_fits_what_arrives),
		LIVE_TEST(of_a_vector_the_first_is_told),
		LIVE_TEST(more_than_fit_are_counted_and_marked),
#ifdef __x86_64__
		LIVE_TEST(control_messages_of_32_bit_code_are_read_in_their_layout),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
