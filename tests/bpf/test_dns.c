/* DNS questions, by whatever call they leave, and the first bytes of outgoing connections. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bpf/group.h"

#define QUERY "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"

static const char question[] = QUERY "\2nj\7example\4test\0\0\x10\0\1"; /* TXT */
#define QUESTION_LEN (sizeof(question) - 1)

static struct live live;

/* Port 53 is free in a network namespace of our own, whose loopback is brought up by the actors. */
static int start(void **state)
{
	(void)live_begin(state);
	live_need(&live, "dns");
	return 0;
}

static int own_network(void)
{
	return unshare(CLONE_NEWNET) < 0 || system("ip link set lo up") != 0;
}

static struct sockaddr_in local(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int connected(int type, uint16_t port)
{
	struct sockaddr_in a = local(port);
	int fd = socket(AF_INET, type, 0);

	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -1 : fd;
}

static int serve(int type, uint16_t port)
{
	struct sockaddr_in a = local(port);
	int fd = socket(AF_INET, type, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 4) < 0))
		return -1;
	return fd;
}

static int ask_by_every_call(void *arg)
{
	struct sockaddr_in a = local(53);
	char copy[QUESTION_LEN];
	struct iovec part = {copy, sizeof(copy)};
	struct mmsghdr vector[2] = {{.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}},
				    {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}};
	int fd;

	(void)arg;
	memcpy(copy, question, sizeof(copy));
	if (own_network() || serve(SOCK_DGRAM, 53) < 0)
		return 1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (sendto(fd, question, QUESTION_LEN, 0, (struct sockaddr *)&a, sizeof(a)) != (ssize_t)QUESTION_LEN)
		return 2;
	fd = connected(SOCK_DGRAM, 53);
	if (sendto(fd, question, QUESTION_LEN, 0, NULL, 0) != (ssize_t)QUESTION_LEN ||
	    write(fd, question, QUESTION_LEN) != (ssize_t)QUESTION_LEN)
		return 3;
	return sendmmsg(fd, vector, 2, 0) != 2;
}

static void a_question_is_told_by_whatever_call_it_was_sent(void **state)
{
	pid_t pid = live_run(&live, ask_by_every_call, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_DNS, pid), 5);
	while ((s = live_find(&live, EVENT_KIND_DNS, pid, &from)) != NULL) {
		assert_string_equal(s->text, "nj.example.test");
		assert_int_equal(s->detail.args[0], 16);
		assert_int_equal(s->detail.data.len, QUESTION_LEN);
		assert_memory_equal(s->data, question, QUESTION_LEN);
		assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_UDP);
		assert_int_equal(s->endpoints[0].remote_port, 53);
		assert_memory_equal(s->endpoints[0].remote_ip, "\x7f\x00\x00\x01", 4);
		assert_int_equal(s->event.tid, pid);
	}
}

static int ask_over_tcp(void *arg)
{
	char framed[2 + QUESTION_LEN] = {0, QUESTION_LEN};
	int listener, fd, one = 1;

	(void)arg;
	memcpy(framed + 2, question, QUESTION_LEN);
	if (own_network() || (listener = serve(SOCK_STREAM, 53)) < 0)
		return 1;
	fd = connected(SOCK_STREAM, 53);
	if (write(fd, framed, sizeof(framed)) != sizeof(framed))
		return 2;
	/* And with the length in a packet of its own. */
	fd = connected(SOCK_STREAM, 53);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return write(fd, framed, 2) != 2 || write(fd, framed + 2, QUESTION_LEN) != (ssize_t)QUESTION_LEN;
}

static void a_question_over_tcp_is_the_same_question(void **state)
{
	pid_t pid = live_run(&live, ask_over_tcp, NULL);
	const struct seen *s, *attempt;
	size_t from = 0, attempts = 0;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_DNS, pid), 2);
	while ((s = live_find(&live, EVENT_KIND_DNS, pid, &from)) != NULL) {
		attempt = live_find(&live, EVENT_KIND_CONNECT, pid, &attempts);
		assert_string_equal(s->text, "nj.example.test");
		assert_memory_equal(s->data, question, QUESTION_LEN);
		assert_int_equal(s->endpoints[0].id, attempt->endpoints[0].id);
		assert_int_equal(s->endpoints[0].id2, attempt->endpoints[0].id2);
	}
}

static int ask_over_ipv6(void *arg)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr = in6addr_loopback};
	int fd;

	(void)arg;
	if (own_network())
		return 1;
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	return sendto(fd, question, QUESTION_LEN, 0, (struct sockaddr *)&a, sizeof(a)) != (ssize_t)QUESTION_LEN;
}

static void a_question_over_ipv6_has_its_addresses(void **state)
{
	pid_t pid = live_run(&live, ask_over_ipv6, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_DNS, pid, NULL);

	(void)state;
	assert_int_equal(s->endpoints[0].family, AF_INET6);
	assert_int_equal(s->endpoints[0].remote_ip[15], 1);
	assert_string_equal(s->text, "nj.example.test");
}

static int send_near_misses(void *arg)
{
	struct sockaddr_in to = local(53), from = local(0), other = local(5353);
	socklen_t len = sizeof(from);
	char answer[QUESTION_LEN], buffer[64];
	int server, fd;

	(void)arg;
	memcpy(answer, question, sizeof(answer));
	answer[2] = (char)0x81;
	if (own_network() || (server = serve(SOCK_DGRAM, 53)) < 0)
		return 1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	/* Another port, an answer, nothing, and no message at all. */
	(void)!sendto(fd, question, QUESTION_LEN, 0, (struct sockaddr *)&other, sizeof(other));
	if (sendto(fd, answer, sizeof(answer), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    sendto(fd, "", 0, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    sendto(fd, "short", 5, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 2;
	/* What the server says is no question of its own. */
	if (recvfrom(server, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &len) < 0)
		return 3;
	return sendto(server, answer, sizeof(answer), 0, (struct sockaddr *)&from, len) < 0;
}

static void what_only_resembles_a_question_is_none(void **state)
{
	pid_t pid = live_run(&live, send_near_misses, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_DNS, pid), 0);
	assert_true(live_count(&live, EVENT_KIND_SEND, pid) > 0);
}

static int send_malformed(void *arg)
{
	static const char message[] = QUERY "\x3f" "cut short";
	char large[1400] = QUERY "\1a\0\0\1\0\1";
	int fd;

	(void)arg;
	if (own_network() || serve(SOCK_DGRAM, 53) < 0)
		return 1;
	fd = connected(SOCK_DGRAM, 53);
	return write(fd, message, sizeof(message) - 1) < 0 || write(fd, large, sizeof(large)) < 0;
}

static void a_question_that_cannot_be_read_is_told_with_its_bytes(void **state)
{
	pid_t pid = live_run(&live, send_malformed, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	s = live_expect(&live, EVENT_KIND_DNS, pid, &from);
	assert_string_equal(s->text, "");
	assert_int_equal(s->detail.data.len, 22);
	/* And a long one with its first 512. */
	s = live_expect(&live, EVENT_KIND_DNS, pid, &from);
	assert_string_equal(s->text, "a");
	assert_int_equal(s->detail.data.len, 512);
}

static int talk_both_ways(void *arg)
{
	char hello[100];
	int listener, fd, peer;

	(void)arg;
	memset(hello, 'h', sizeof(hello));
	if (own_network() || (listener = serve(SOCK_STREAM, 4444)) < 0)
		return 1;
	fd = connected(SOCK_STREAM, 4444);
	peer = accept(listener, NULL, NULL);
	if (write(peer, "banner", 6) != 6 || write(fd, hello, sizeof(hello)) != sizeof(hello))
		return 2;
	return write(fd, "more", 4) != 4;
}

static void the_first_bytes_of_an_outgoing_connection_are_told_once(void **state)
{
	pid_t pid = live_run(&live, talk_both_ways, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_FIRST_BYTES, pid, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_FIRST_BYTES, pid), 1);
	assert_int_equal(s->detail.data.len, 64);
	assert_int_equal(s->data[0], 'h');
	assert_int_equal(s->endpoints[0].remote_port, 4444);
	assert_int_equal(s->endpoints[0].id, live_find(&live, EVENT_KIND_CONNECT, pid, NULL)->endpoints[0].id);
}

static void of_classes(uint64_t classes, bool first_bytes)
{
	struct uplink_policy *next = live_next(&live);

	next->classes = (uint32_t)classes;
	next->first_bytes = first_bytes;
	next->generation++;
	live_switch(&live);
}

/* A word of its own in the policy, and of connections that are made while it holds: the first bytes of
 * one from before went unseen. */
static int talk_when_let(void *arg)
{
	int *let = arg, listener, fd;
	char byte;

	if (own_network() || (listener = serve(SOCK_STREAM, 4444)) < 0)
		return 1;
	fd = connected(SOCK_STREAM, 4444);
	if (write(fd, "first", 5) != 5 || read(let[0], &byte, 1) != 1 || write(fd, "second", 6) != 6)
		return 2;
	(void)close(fd);
	fd = connected(SOCK_STREAM, 4444);
	return write(fd, "third", 5) != 5;
}

static void first_bytes_are_those_of_connections_made_since_they_are_wanted(void **state)
{
	const struct seen *s;
	struct actor a;
	int let[2];

	(void)state;
	assert_int_equal(pipe(let), 0);
	of_classes(1U << NJ_CLASS_SOCKET, false);
	a = live_actor(&live, talk_when_let, let);
	live_go(&a);
	while (!live_find(&live, EVENT_KIND_ESTABLISHED, a.pid, NULL))
		live_pump(&live, 100);
	of_classes(1U << NJ_CLASS_SOCKET, true);
	assert_int_equal(write(let[1], "x", 1), 1);
	assert_int_equal(live_finish(&live, &a), 0);
	s = live_expect(&live, EVENT_KIND_FIRST_BYTES, a.pid, NULL);
	assert_int_equal(live_count(&live, EVENT_KIND_FIRST_BYTES, a.pid), 1);
	assert_memory_equal(s->data, "third", 5);
	(void)close(let[0]);
	(void)close(let[1]);
}

static int ask_and_talk(void *arg)
{
	if (arg && group_enter(arg) < 0)
		return 99;
	/* Each makes a network of its own. */
	return talk_both_ways(NULL) || ask_by_every_call(NULL);
}

static void a_workload_may_ask_for_what_the_rest_does_not(void **state)
{
	struct uplink_workload workload = {.classes = 1U << NJ_CLASS_DNS | 1U << NJ_CLASS_PAYLOAD};
	struct group group;
	pid_t inside, outside;

	(void)state;
	if (group_make("egress", &group) < 0)
		skip();
	live_stop(&live);
	live_start(&live, NULL, 0);
	workload.cgroup = group.path;
	live_next(&live)->workloads = &workload;
	live.policies[live.policy ^ 1].workload_count = 1;
	live.policies[live.policy ^ 1].classes = 1U << NJ_CLASS_SOCKET;
	live_switch(&live);
	outside = live_run(&live, ask_and_talk, NULL);
	inside = live_run(&live, ask_and_talk, group.folder);
	assert_int_equal(live_count(&live, EVENT_KIND_DNS, outside), 0);
	assert_int_equal(live_count(&live, EVENT_KIND_FIRST_BYTES, outside), 0);
	assert_int_equal(live_count(&live, EVENT_KIND_DNS, inside), 5);
	assert_int_equal(live_count(&live, EVENT_KIND_FIRST_BYTES, inside), 1);
	group_remove(&group);
}

#define DNS_TEST(test) cmocka_unit_test_prestate_setup_teardown(test, start, live_end, &live)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DNS_TEST(what_only_resembles_a_question_is_none),
		DNS_TEST(a_question_is_told_by_whatever_call_it_was_sent),
		DNS_TEST(a_question_over_tcp_is_the_same_question),
		DNS_TEST(a_question_over_ipv6_has_its_addresses),
		DNS_TEST(a_question_that_cannot_be_read_is_told_with_its_bytes),
		DNS_TEST(the_first_bytes_of_an_outgoing_connection_are_told_once),
		DNS_TEST(first_bytes_are_those_of_connections_made_since_they_are_wanted),
		DNS_TEST(a_workload_may_ask_for_what_the_rest_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
