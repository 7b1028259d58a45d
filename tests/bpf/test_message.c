/* Messages: what is sent and received one by one, with the other side, and streams left out. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

#define PORT 40419

static struct live live;

static struct sockaddr_in local(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int bound(uint16_t port)
{
	struct sockaddr_in a = local(port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -1 : fd;
}

/* Every event of that kind, in order. */
static size_t all(enum event_kind kind, pid_t pid, const struct seen **ret_seen, size_t max)
{
	size_t from = 0, count = 0;

	while (count < max && (ret_seen[count] = live_find(&live, kind, pid, &from)))
		count++;
	return count;
}

static int send_by_every_call(void *arg)
{
	struct sockaddr_in to = local(PORT), peer = local(PORT + 1);
	char text[] = "abcde";
	struct iovec part = {text, 5};
	struct msghdr header = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &part, .msg_iovlen = 1};
	struct mmsghdr vector[3] = {{.msg_hdr = header}, {.msg_hdr = header}, {.msg_hdr = header}};
	int fd = bound(PORT), connected = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	if (sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1)
		return 1;
	if (sendmsg(fd, &header, 0) != 5 || sendmmsg(fd, vector, 3, 0) != 3)
		return 2;
	/* Connected to one and sent to another, then to its own peer. */
	if (connect(connected, (struct sockaddr *)&peer, sizeof(peer)) < 0 ||
	    sendto(connected, "abc", 3, 0, (struct sockaddr *)&to, sizeof(to)) != 3)
		return 3;
	return sendto(connected, "ab", 2, 0, NULL, 0) != 2;
}

static void every_call_that_sends_tells_where_to(void **state)
{
	static const struct {
		const char *call;
		int64_t bytes;
		uint64_t count;
		uint16_t port;
	} expected[] = {
		{"sendto", 1, 1, PORT}, {"sendmsg", 5, 1, PORT}, {"sendmmsg", 5, 3, PORT},
		{"sendto", 3, 1, PORT}, {"sendto", 2, 1, PORT + 1},
	};
	pid_t pid = live_run(&live, send_by_every_call, NULL);
	const struct seen *s[8];

	(void)state;
	assert_int_equal(all(EVENT_KIND_SEND, pid, s, 8), 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(s[i]->call, expected[i].call);
		assert_int_equal(s[i]->event.result, expected[i].bytes);
		assert_int_equal(s[i]->detail.args[1], expected[i].count);
		assert_int_equal(s[i]->endpoints[0].kind, ENDPOINT_KIND_UDP);
		assert_int_equal(s[i]->endpoints[0].remote_port, expected[i].port);
		assert_memory_equal(s[i]->endpoints[0].remote_ip, "\x7f\x00\x00\x01", 4);
	}
}

static int receive_by_every_call(void *arg)
{
	struct sockaddr_in to = local(PORT), from;
	socklen_t len = sizeof(from);
	char text[8];
	struct iovec part = {text, sizeof(text)};
	struct msghdr header = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
	struct mmsghdr vector[2] = {{.msg_hdr = header}, {.msg_hdr = header}};
	int fd = bound(PORT), sender = bound(PORT + 1);

	(void)arg;
	for (int i = 0; i < 5; i++)
		if (sendto(sender, "abc", 3, 0, (struct sockaddr *)&to, sizeof(to)) != 3)
			return 1;
	if (recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &len) != 3 ||
	    recvmsg(fd, &header, 0) != 3 || recvmmsg(fd, vector, 2, 0, NULL) != 2 ||
	    recvfrom(fd, text, sizeof(text), 0, NULL, NULL) != 3)
		return 2;
	/* Nothing there is no failure. */
	return recv(fd, text, sizeof(text), MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void every_call_that_receives_tells_where_from(void **state)
{
	static const char *const calls[] = {"recvfrom", "recvmsg", "recvmmsg", "recvfrom"};
	pid_t pid = live_run(&live, receive_by_every_call, NULL);
	const struct seen *s[8];

	(void)state;
	assert_int_equal(all(EVENT_KIND_RECEIVE, pid, s, 8), 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(s[i]->call, calls[i]);
		assert_int_equal(s[i]->event.result, 3);
		assert_int_equal(s[i]->detail.args[1], i == 2 ? 2 : 1);
		assert_int_equal(s[i]->endpoints[0].local_port, PORT);
		/* Nobody asked the last one. */
		assert_int_equal(s[i]->endpoints[0].remote_port, i == 3 ? 0 : PORT + 1);
	}
}

static int send_what_fails(void *arg)
{
	struct sockaddr_in to = local(PORT);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char large[70000] = "";

	(void)arg;
	if (sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&to, sizeof(to)) >= 0 || errno != EMSGSIZE)
		return 1;
	return sendto(fd, "a", 1, 0, NULL, 0) >= 0 || errno != EDESTADDRREQ;
}

static void a_message_that_was_not_sent_tells_why(void **state)
{
	pid_t pid = live_run(&live, send_what_fails, NULL);
	const struct seen *s[4];

	(void)state;
	assert_int_equal(all(EVENT_KIND_SEND, pid, s, 4), 2);
	assert_int_equal(s[0]->event.result, -EMSGSIZE);
	assert_int_equal(s[0]->endpoints[0].remote_port, PORT);
	assert_int_equal(s[1]->event.result, -EDESTADDRREQ);
	assert_int_equal(s[1]->endpoints[0].remote_port, 0);
}

static int talk_by_stream(void *arg)
{
	char text[8] = "abc";
	struct iovec part = {text, 3};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	int pair[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	return send(pair[0], "abc", 3, 0) != 3 || sendmsg(pair[0], &header, 0) != 3 ||
	       recv(pair[1], text, sizeof(text), 0) != 6;
}

static void a_stream_is_not_told_message_by_message(void **state)
{
	pid_t pid = live_run(&live, talk_by_stream, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_PIPE, pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_SEND, pid), 0);
	assert_int_equal(live_count(&live, EVENT_KIND_RECEIVE, pid), 0);
}

static int log_by_datagram(void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0nj-log"};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 7;
	int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)arg;
	if (bind(server, (struct sockaddr *)&a, len) < 0)
		return 1;
	if (sendto(client, "abc", 3, 0, (struct sockaddr *)&a, len) != 3)
		return 2;
	return connect(client, (struct sockaddr *)&a, len) < 0 || send(client, "ab", 2, 0) != 2;
}

static void a_unix_datagram_names_its_receiver(void **state)
{
	pid_t pid = live_run(&live, log_by_datagram, NULL);
	const struct seen *s[4];

	(void)state;
	assert_int_equal(all(EVENT_KIND_SEND, pid, s, 4), 2);
	assert_string_equal(s[0]->raw_path, "@nj-log");
	assert_string_equal(s[1]->text, "@nj-log");
}

static int send_from_ipv6(void *arg)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	(void)arg;
	(void)inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
	if (sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1)
		return 1;
	to.sin6_addr = in6addr_loopback;
	(void)close(fd);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	return sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1;
}

static void a_destination_is_ipv4_when_it_is_mapped(void **state)
{
	pid_t pid = live_run(&live, send_from_ipv6, NULL);
	const struct seen *s[4];

	(void)state;
	assert_int_equal(all(EVENT_KIND_SEND, pid, s, 4), 2);
	assert_int_equal(s[0]->endpoints[0].family, AF_INET);
	assert_memory_equal(s[0]->endpoints[0].remote_ip, "\x7f\x00\x00\x01\x00\x00", 6);
	assert_int_equal(s[1]->endpoints[0].family, AF_INET6);
	assert_int_equal(s[1]->endpoints[0].remote_ip[15], 1);
}

#ifdef __x86_64__
/* sendto through socketcall, sendmsg by its own number, both with 32-bit layouts. */
static int send_32_bit(void *arg)
{
	struct compat {
		struct sockaddr_in to;
		uint32_t args[6], header[7], part[2];
		char text[4];
	} *m = compat_memory();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	m->to = local(PORT);
	m->args[0] = (uint32_t)fd, m->args[1] = (uint32_t)(uintptr_t)m->text, m->args[2] = 4;
	m->args[4] = (uint32_t)(uintptr_t)&m->to, m->args[5] = sizeof(m->to);
	if (compat_call(102, 11, (uint32_t)(uintptr_t)m->args, 0) != 4)
		return 1;
	m->part[0] = (uint32_t)(uintptr_t)m->text, m->part[1] = 3;
	m->header[0] = (uint32_t)(uintptr_t)&m->to, m->header[1] = sizeof(m->to);
	m->header[2] = (uint32_t)(uintptr_t)m->part, m->header[3] = 1;
	return compat_call(370, (uint32_t)fd, (uint32_t)(uintptr_t)m->header, 0) != 3;
}

static void messages_of_32_bit_code_are_read_in_their_layout(void **state)
{
	pid_t pid = live_run(&live, send_32_bit, NULL);
	const struct seen *s[4];

	(void)state;
	assert_int_equal(all(EVENT_KIND_SEND, pid, s, 4), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(s[i]->event.marks, EVENT_MARK_COMPAT);
		assert_int_equal(s[i]->event.result, 4 - i);
		assert_int_equal(s[i]->endpoints[0].remote_port, PORT);
	}
	assert_string_equal(s[0]->call, "socketcall");
	assert_string_equal(s[1]->call, "sendmsg");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(a_stream_is_not_told_message_by_message),
		LIVE_TEST(every_call_that_sends_tells_where_to),
		LIVE_TEST(every_call_that_receives_tells_where_from),
		LIVE_TEST(a_message_that_was_not_sent_tells_why),
		LIVE_TEST(a_unix_datagram_names_its_receiver),
		LIVE_TEST(a_destination_is_ipv4_when_it_is_mapped),
#ifdef __x86_64__
		LIVE_TEST(messages_of_32_bit_code_are_read_in_their_layout),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
