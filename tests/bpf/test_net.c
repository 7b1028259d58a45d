/* Connections and their owners, over veth between two network namespaces. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/netns.h"

#define PORT	    40417
#define PORT_CLOSED 40418

static struct live live;

static struct sockaddr_in address(const char *ip, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	(void)inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

/* Two pipes, so that neither side runs ahead: ready says that the server listens. */
struct pair {
	int ready[2];
	int hold[2]; /* keeps a client from closing */
};

static int serve_one(void *arg)
{
	struct pair *pair = arg;
	struct sockaddr_in a = address(NETNS_SERVER_IP, PORT);
	int one = 1, listener, fd;
	char byte;

	if (netns_enter_server() < 0)
		return 1;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0)
		return 2;
	if (write(pair->ready[1], "r", 1) != 1)
		return 3;
	fd = accept(listener, NULL, NULL);
	while (read(fd, &byte, 1) == 1)
		;
	return fd < 0;
}

static int connect_one(void *arg)
{
	struct pair *pair = arg;
	struct sockaddr_in a = address(NETNS_SERVER_IP, PORT);
	char byte;
	int fd;

	if (netns_enter_client() < 0 || read(pair->ready[0], &byte, 1) != 1)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 2;
	return write(fd, "x", 1) != 1 || close(fd) < 0;
}

static int connect_and_hold(void *arg)
{
	struct pair *pair = arg;
	struct sockaddr_in a = address(NETNS_SERVER_IP, PORT);
	char byte;
	int fd;

	if (netns_enter_client() < 0 || read(pair->ready[0], &byte, 1) != 1)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 2;
	return read(pair->hold[0], &byte, 1) != 1 || close(fd) < 0;
}

/* A close event comes when the peer has answered, which may be after the process is gone. */
static const struct seen *await_close(pid_t pid, uint64_t id)
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;

	for (;;) {
		const struct seen *s;
		size_t from = 0;

		while ((s = live_find(&live, EVENT_KIND_CLOSE, pid, &from)) != NULL)
			if (s->endpoints[0].id == id)
				return s;
		if (clock_monotonic_ns() > deadline)
			fail_msg("no close of connection %llx", (unsigned long long)id);
		live_pump(&live, 100);
	}
}

static void a_connection_has_its_owner_in_every_state(void **state)
{
	const struct seen *attempt, *established, *accepted, *listening, *closed;
	struct actor server, client;
	struct pair pair;

	(void)state;
	assert_int_equal(pipe(pair.ready), 0);
	server = live_actor(&live, serve_one, &pair);
	client = live_actor(&live, connect_one, &pair);
	live_go(&server);
	live_go(&client);
	assert_int_equal(live_finish(&live, &client), 0);
	assert_int_equal(live_finish(&live, &server), 0);

	attempt = live_await(&live, EVENT_KIND_CONNECT, client.pid);
	established = live_await(&live, EVENT_KIND_ESTABLISHED, client.pid);
	listening = live_await(&live, EVENT_KIND_LISTEN, server.pid);
	accepted = live_await(&live, EVENT_KIND_ACCEPT, server.pid);
	assert_int_equal(attempt->endpoints[0].kind, ENDPOINT_KIND_TCP);
	assert_int_equal(attempt->endpoints[0].remote_port, PORT);
	assert_int_equal(attempt->endpoints[0].id, established->endpoints[0].id);
	assert_int_equal(attempt->process.exec_id, established->process.exec_id);
	assert_int_equal(attempt->event.tid, client.pid);
	assert_true(established->endpoints[0].local_port != 0);
	assert_memory_equal(established->endpoints[0].remote_ip, "\x0a\xe7\x4d\x02", 4);
	assert_memory_equal(established->endpoints[0].local_ip, "\x0a\xe7\x4d\x01", 4);
	assert_int_equal(listening->endpoints[0].local_port, PORT);

	/* The two ends name each other and live in different namespaces. */
	assert_int_equal(accepted->endpoints[0].local_port, PORT);
	assert_int_equal(accepted->endpoints[0].remote_port, established->endpoints[0].local_port);
	assert_true(accepted->endpoints[0].id2 != established->endpoints[0].id2);
	assert_true(accepted->endpoints[0].id >> 63 == 0);
	assert_true(accepted->endpoints[0].fd >= 0);
	assert_int_equal(accepted->event.result, accepted->endpoints[0].fd);

	closed = await_close(client.pid, attempt->endpoints[0].id);
	assert_int_equal(closed->event.result, 0);
	assert_int_equal(closed->endpoints[0].local_port, established->endpoints[0].local_port);
	assert_int_equal(await_close(server.pid, accepted->endpoints[0].id)->endpoints[0].local_port, PORT);
}

static int connect_refused(void *arg)
{
	struct sockaddr_in a = address(NETNS_SERVER_IP, PORT_CLOSED);
	int fd;

	(void)arg;
	if (netns_enter_client() < 0)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno != ECONNREFUSED;
}

static void a_refused_connection_is_an_attempt_and_a_close_with_the_reason(void **state)
{
	pid_t pid = live_run(&live, connect_refused, NULL);
	const struct seen *attempt = live_await(&live, EVENT_KIND_CONNECT, pid);
	const struct seen *closed = await_close(pid, attempt->endpoints[0].id);

	(void)state;
	assert_int_equal(attempt->endpoints[0].remote_port, PORT_CLOSED);
	assert_int_equal(closed->event.result, -ECONNREFUSED);
	assert_null(live_find(&live, EVENT_KIND_ESTABLISHED, pid, NULL));
}

static int connect_udp(void *arg)
{
	struct sockaddr_in a = address("127.0.0.1", 53);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0;
}

static void a_udp_connect_is_an_attempt(void **state)
{
	pid_t pid = live_run(&live, connect_udp, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_CONNECT, pid, NULL);

	(void)state;
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_UDP);
	assert_int_equal(s->endpoints[0].remote_port, 53);
	assert_memory_equal(s->endpoints[0].remote_ip, "\x7f\x00\x00\x01", 4);
	assert_true(s->endpoints[0].fd >= 0);
	assert_true(s->endpoints[0].id != 0);
}

static int connect_mapped(void *arg)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	(void)arg;
	(void)inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0;
}

static void ipv4_through_an_ipv6_socket_reads_as_ipv4(void **state)
{
	pid_t pid = live_run(&live, connect_mapped, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_CONNECT, pid, NULL);

	(void)state;
	assert_int_equal(s->endpoints[0].family, AF_INET);
	assert_memory_equal(s->endpoints[0].remote_ip, "\x7f\x00\x00\x01\x00\x00", 6);
}

/* exec of a program that holds a connected socket on 0, 1 and 2. */
static int shell_on_socket(void *arg)
{
	struct pair *pair = arg;
	struct sockaddr_in a = address(NETNS_SERVER_IP, PORT);
	char byte;
	int fd;

	if (netns_enter_client() < 0 || read(pair->ready[0], &byte, 1) != 1)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0)
		return 1;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void an_image_on_a_socket_names_the_connection(void **state)
{
	const struct endpoint *in, *out;
	const struct seen *attempt, *exec, *dup;
	struct actor server, client;
	struct pair pair;

	(void)state;
	assert_int_equal(pipe(pair.ready), 0);
	server = live_actor(&live, serve_one, &pair);
	client = live_actor(&live, shell_on_socket, &pair);
	live_go(&server);
	live_go(&client);
	assert_int_equal(live_finish(&live, &client), 0);
	assert_int_equal(live_finish(&live, &server), 0);
	attempt = live_await(&live, EVENT_KIND_CONNECT, client.pid);
	exec = live_find(&live, EVENT_KIND_EXEC, client.pid, NULL);
	dup = live_find(&live, EVENT_KIND_DUP, client.pid, NULL);
	assert_true(exec && dup);
	in = seen_endpoint(exec, 0);
	out = seen_endpoint(exec, 1);
	assert_true(in && out);
	assert_int_equal(in->id, attempt->endpoints[0].id);
	assert_int_equal(out->id, attempt->endpoints[0].id);
	assert_int_equal(in->remote_port, PORT);
	assert_int_equal(dup->endpoints[0].id, attempt->endpoints[0].id);
	assert_int_equal(dup->endpoints[0].fd, 0);
}

static int net_up(void **state)
{
	(void)state;
	return netns_up();
}

static int net_down(void **state)
{
	(void)state;
	netns_down();
	return 0;
}

static void forget_accepted_owners(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct bpf_map_info info = {0};
		uint32_t size = sizeof(info);
		uint64_t cookie;
		char path[64], target[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "bpf-map") ||
		    bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || strcmp(info.name, "accepted") != 0)
			continue;
		while (bpf_map_get_next_key(fd, NULL, &cookie) == 0)
			(void)bpf_map_delete_elem(fd, &cookie);
	}
}

/* The table of accepted owners is capped: what it pushes out is not lost in silence. */
static void the_end_of_a_connection_whose_owner_was_pushed_out_is_counted(void **state)
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;
	struct actor server, client;
	struct loss losses[32];
	struct pair pair;
	uint64_t counted = 0;

	(void)state;
	assert_int_equal(pipe(pair.ready), 0);
	assert_int_equal(pipe(pair.hold), 0);
	server = live_actor(&live, serve_one, &pair);
	client = live_actor(&live, connect_and_hold, &pair);
	live_go(&server);
	live_go(&client);
	(void)live_await(&live, EVENT_KIND_ACCEPT, server.pid);
	forget_accepted_owners();
	assert_int_equal(write(pair.hold[1], "h", 1), 1);
	assert_int_equal(live_finish(&live, &client), 0);
	assert_int_equal(live_finish(&live, &server), 0);
	while (counted == 0 && clock_monotonic_ns() < deadline) {
		uint32_t n = capture_losses(live.capture, losses, 32);

		for (uint32_t i = 0; i < n; i++)
			if (losses[i].reason == LOSS_REASON_TABLE && strcmp(losses[i].class, "tcp") == 0)
				counted += losses[i].count;
		live_pump(&live, 10);
	}
	assert_true(counted > 0);
	for (int i = 0; i < 2; i++) {
		(void)close(pair.ready[i]);
		(void)close(pair.hold[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(a_connection_has_its_owner_in_every_state),
		LIVE_TEST(a_refused_connection_is_an_attempt_and_a_close_with_the_reason),
		LIVE_TEST(the_end_of_a_connection_whose_owner_was_pushed_out_is_counted),
		LIVE_TEST(a_udp_connect_is_an_attempt),
		LIVE_TEST(ipv4_through_an_ipv6_socket_reads_as_ipv4),
		LIVE_TEST(an_image_on_a_socket_names_the_connection),
	};

	return cmocka_run_group_tests(tests, net_up, net_down);
}
