/* Sockets of every family by their calls: what was bound, listened on, connected and accepted, each
 * told once, failures too. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;
static char dir[64];

static int start(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/nj-socket-XXXXXX");
	live_start(&live, NULL, 0);
	return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state)
{
	char path[128];

	(void)state;
	live_stop(&live);
	(void)snprintf(path, sizeof(path), "%s/nj.sock", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/link", dir);
	(void)unlink(path);
	return rmdir(dir);
}

static struct sockaddr_in internet(const char *ip, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	(void)inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

/* Serves itself: binds by a relative path, connects through a link, accepts. */
static int talk_by_path(void *arg)
{
	struct sockaddr_un own = unix_address("nj.sock"), by_link = unix_address("link");
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)arg;
	if (chdir(dir) < 0 || symlink("nj.sock", "link") < 0)
		return 1;
	if (bind(listener, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(listener, 1) < 0)
		return 2;
	if (connect(client, (struct sockaddr *)&by_link, sizeof(by_link)) < 0)
		return 3;
	return accept(listener, NULL, NULL) < 0;
}

static void a_unix_socket_is_told_by_its_file_on_either_side(void **state)
{
	static const enum event_kind kinds[] = {EVENT_KIND_BIND, EVENT_KIND_LISTEN, EVENT_KIND_CONNECT,
						EVENT_KIND_ACCEPT};
	pid_t pid = live_run(&live, talk_by_path, NULL);
	const struct seen *s[4];
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/nj.sock", dir);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(live_count(&live, kinds[i], pid), 1);
		s[i] = live_find(&live, kinds[i], pid, NULL);
		assert_string_equal(s[i]->path, path);
		assert_string_equal(s[i]->text, "nj.sock");
		assert_int_equal(s[i]->endpoints[0].kind, ENDPOINT_KIND_UNIX);
		assert_int_equal(s[i]->event.marks, 0);
		assert_true(S_ISSOCK(s[i]->event.file.mode));
		assert_int_equal(s[i]->event.file.inode, s[0]->event.file.inode);
	}
	assert_string_equal(s[0]->raw_path, "nj.sock");
	assert_string_equal(s[2]->raw_path, "link");
	assert_string_equal(s[2]->call, "connect");
	assert_int_equal(s[0]->endpoints[0].id, s[1]->endpoints[0].id);
	assert_int_equal(s[3]->endpoints[0].id2, s[2]->endpoints[0].id);
	assert_int_equal(s[3]->event.result, s[3]->endpoints[0].fd);
}

/* Three clients of which one is taken. */
static int accept_one_of_three(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	socklen_t len = sizeof(a);

	(void)arg;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 7) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		if (connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, len) < 0)
			return 2;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 || accept4(-1, NULL, NULL, 0) >= 0;
}

static void an_accept_tells_its_socket_and_who_else_waits(void **state)
{
	pid_t pid = live_run(&live, accept_one_of_three, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_ACCEPT, pid, NULL);

	(void)state;
	assert_string_equal(s->call, "accept4");
	assert_int_equal(live_count(&live, EVENT_KIND_ACCEPT, pid), 1); /* no socket, nothing to tell */
	assert_int_equal(s->detail.arg_count, 4);
	assert_true(s->detail.args[0] < (uint64_t)s->event.result);
	assert_int_equal(s->detail.args[1], SOCK_CLOEXEC);
	assert_int_equal(s->detail.args[2], 2);
	assert_int_equal(s->detail.args[3], 7);
}

static int talk_by_name(void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0nj\0abstract"};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 12;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)arg;
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0)
		return 1;
	return connect(client, (struct sockaddr *)&a, len) < 0;
}

static void an_abstract_name_is_told_with_its_nuls(void **state)
{
	pid_t pid = live_run(&live, talk_by_name, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_CONNECT, pid, NULL);

	(void)state;
	assert_string_equal(s->text, "@nj@abstract");
	assert_string_equal(s->raw_path, "@nj@abstract");
	assert_string_equal(s->path, "");
	assert_string_equal(live_find(&live, EVENT_KIND_LISTEN, pid, NULL)->text, "@nj@abstract");
}

static int connect_to_nobody(void *arg)
{
	struct sockaddr_un a = unix_address("/nonexistent/docker.sock");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)arg;
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno != ENOENT;
}

static void a_failed_unix_connect_tells_what_was_asked_for(void **state)
{
	pid_t pid = live_run(&live, connect_to_nobody, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_CONNECT, pid, NULL);

	(void)state;
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->raw_path, "/nonexistent/docker.sock");
	assert_string_equal(s->path, "");
}

static int connect_in_nowhere(void *arg)
{
	struct sockaddr_in a = internet("203.0.113.9", 4444);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	(void)close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno != ENETUNREACH;
}

static void a_tcp_connect_that_fails_before_any_state_is_told_by_its_call(void **state)
{
	pid_t pid = live_run(&live, connect_in_nowhere, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_CONNECT, pid, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_CONNECT, pid), 1);
	assert_int_equal(s->event.result, -ENETUNREACH);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_TCP);
	assert_int_equal(s->endpoints[0].remote_port, 4444);
	assert_memory_equal(s->endpoints[0].remote_ip, "\xcb\x00\x71\x09", 4);
	assert_int_equal(live_count(&live, EVENT_KIND_CLOSE, pid), 0);
}

/* The same socket is refused, then finds no network: the cookie of the first attempt stays. */
static int connect_twice(void *arg)
{
	struct sockaddr_in closed = internet("127.0.0.1", 1), nowhere = internet("240.0.0.1", 4444);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	if (connect(fd, (struct sockaddr *)&closed, sizeof(closed)) == 0 || errno != ECONNREFUSED)
		return 1;
	nowhere.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	return connect(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) == 0;
}

static void each_attempt_is_told_once(void **state)
{
	pid_t pid = live_run(&live, connect_twice, NULL);
	const struct seen *first, *second;
	size_t from = 0;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_CONNECT, pid), 2);
	first = live_find(&live, EVENT_KIND_CONNECT, pid, &from);
	second = live_find(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_int_equal(first->event.result, 0);
	assert_string_equal(first->call, "");
	assert_true(second->event.result < 0);
	assert_string_equal(second->call, "connect");
	assert_int_equal(live_await(&live, EVENT_KIND_CLOSE, pid)->event.result, -ECONNREFUSED);
}

static int connect_without_waiting(void *arg)
{
	struct sockaddr_in a = internet("127.0.0.1", 0);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(a);

	(void)arg;
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0)
		return 1;
	if (connect(fd, (struct sockaddr *)&a, len) == 0 || errno != EINPROGRESS)
		return 2;
	if (accept(listener, NULL, NULL) < 0)
		return 3;
	/* Nobody waits: that is no failure and no event. */
	(void)fcntl(listener, F_SETFL, O_NONBLOCK);
	return accept(listener, NULL, NULL) >= 0 || errno != EAGAIN;
}

static void tcp_is_told_by_its_states_and_not_again_by_its_calls(void **state)
{
	pid_t pid = live_run(&live, connect_without_waiting, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_LISTEN, pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_CONNECT, pid), 1);
	assert_int_equal(live_find(&live, EVENT_KIND_CONNECT, pid, NULL)->event.result, 0);
	assert_int_equal(live_count(&live, EVENT_KIND_ESTABLISHED, pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_ACCEPT, pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_BIND, pid), 1);
	assert_true(live_find(&live, EVENT_KIND_BIND, pid, NULL)->endpoints[0].local_port != 0);
}

static int fail_everything(void *arg)
{
	struct sockaddr_in elsewhere = internet("203.0.113.9", 81);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	if (bind(fd, (struct sockaddr *)&elsewhere, sizeof(elsewhere)) == 0 || errno != EADDRNOTAVAIL)
		return 1;
	if (accept(fd, NULL, NULL) >= 0 || errno != EINVAL)
		return 2;
	if (listen(socket(AF_INET, SOCK_DGRAM, 0), 1) == 0 || errno != EOPNOTSUPP)
		return 3;
	if (socket(AF_INET, SOCK_STREAM, IPPROTO_UDP) >= 0)
		return 4;
	/* What is no socket says nothing. */
	return bind(0, (struct sockaddr *)&elsewhere, sizeof(elsewhere)) == 0 ||
	       bind(77, (struct sockaddr *)&elsewhere, sizeof(elsewhere)) == 0;
}

static void failures_carry_their_reason(void **state)
{
	pid_t pid = live_run(&live, fail_everything, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_BIND, pid, NULL);
	size_t from = 0;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_BIND, pid), 1);
	assert_int_equal(s->event.result, -EADDRNOTAVAIL);
	assert_int_equal(s->endpoints[0].local_port, 81);
	assert_memory_equal(s->endpoints[0].local_ip, "\xcb\x00\x71\x09", 4);
	assert_int_equal(live_find(&live, EVENT_KIND_ACCEPT, pid, NULL)->event.result, -EINVAL);
	assert_int_equal(live_find(&live, EVENT_KIND_LISTEN, pid, NULL)->event.result, -EOPNOTSUPP);
	while ((s = live_find(&live, EVENT_KIND_SOCKET, pid, &from)) != NULL)
		if (s->event.result < 0)
			break;
	assert_non_null(s);
	assert_int_equal(s->event.result, -EPROTONOSUPPORT);
	assert_int_equal(s->detail.args[2], IPPROTO_UDP);
	assert_int_equal(s->event.endpoint_count, 0);
}

static int make_all_kinds(void *arg)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = 1};
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int packet = socket(AF_PACKET, SOCK_RAW, 0);

	(void)arg;
	if (socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0)
		return 1;
	if (bind(netlink, (struct sockaddr *)&nl, sizeof(nl)) < 0)
		return 2;
	return bind(packet, (struct sockaddr *)&ll, sizeof(ll)) < 0;
}

static void raw_packet_and_netlink_sockets_are_told_with_family_and_protocol(void **state)
{
	pid_t pid = live_run(&live, make_all_kinds, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	s = live_find(&live, EVENT_KIND_SOCKET, pid, &from);
	assert_int_equal(s->detail.args[0], AF_NETLINK);
	assert_int_equal(s->endpoints[0].family, AF_NETLINK);
	s = live_find(&live, EVENT_KIND_SOCKET, pid, &from);
	assert_int_equal(s->detail.args[0], AF_PACKET);
	assert_int_equal(s->detail.args[1], SOCK_RAW);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_SOCKET_OTHER);
	s = live_find(&live, EVENT_KIND_SOCKET, pid, &from);
	assert_int_equal(s->detail.args[2], IPPROTO_ICMP);
	assert_int_equal(s->endpoints[0].family, AF_INET);
	from = 0;
	s = live_find(&live, EVENT_KIND_BIND, pid, &from);
	assert_int_equal(s->endpoints[0].family, AF_NETLINK);
	s = live_find(&live, EVENT_KIND_BIND, pid, &from);
	assert_int_equal(s->endpoints[0].family, AF_PACKET);
	assert_int_equal(s->detail.data.len, sizeof(struct sockaddr_ll));
	assert_int_equal(((const struct sockaddr_ll *)(const void *)s->data)->sll_ifindex, 1);
}

static int serve_vsock(void *arg)
{
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 40417};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	(void)arg;
	if (fd < 0)
		return 77;
	if (bind(fd, (struct sockaddr *)&vm, sizeof(vm)) < 0 || listen(fd, 1) < 0)
		return 1;
	vm.svm_cid = 4242;
	return connect(socket(AF_VSOCK, SOCK_STREAM, 0), (struct sockaddr *)&vm, sizeof(vm)) == 0;
}

static void a_vsock_is_told_by_cid_and_port(void **state)
{
	struct actor a = live_actor(&live, serve_vsock, NULL);
	const struct seen *s;
	int status;

	(void)state;
	live_go(&a);
	status = live_finish(&live, &a);
	if (status == 77)
		skip();
	assert_int_equal(status, 0);
	s = live_expect(&live, EVENT_KIND_LISTEN, a.pid, NULL);
	assert_int_equal(s->endpoints[0].family, AF_VSOCK);
	assert_string_equal(s->text, "*:40417");
	s = live_expect(&live, EVENT_KIND_CONNECT, a.pid, NULL);
	assert_true(s->event.result < 0);
	assert_string_equal(s->raw_path, "4242:40417");
}

static int serve_sctp(void *arg)
{
	struct sockaddr_in a = internet("127.0.0.1", 40417);
	int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), fd = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);

	(void)arg;
	if (listener < 0)
		return 77;
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 1;
	return accept(listener, NULL, NULL) < 0;
}

static void an_sctp_association_is_told_by_its_calls(void **state)
{
	struct actor a = live_actor(&live, serve_sctp, NULL);
	const struct seen *s;
	int status;

	(void)state;
	live_go(&a);
	status = live_finish(&live, &a);
	if (status == 77)
		skip();
	assert_int_equal(status, 0);
	assert_int_equal(live_count(&live, EVENT_KIND_LISTEN, a.pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_ACCEPT, a.pid), 1);
	s = live_expect(&live, EVENT_KIND_CONNECT, a.pid, NULL);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_SOCKET_OTHER);
	assert_int_equal(s->endpoints[0].remote_port, 40417);
}

#ifdef __x86_64__
/* int 0x80 from a 64-bit process, by one call for all and by calls of their own. */
static int talk_32_bit(void *arg)
{
	struct sockaddr_un *a = compat_memory();
	uint32_t *args = (uint32_t *)(a + 1);
	uint32_t at = (uint32_t)(uintptr_t)a;
	long fd;

	(void)arg;
	*a = unix_address("/nonexistent/compat.sock");
	args[0] = AF_UNIX, args[1] = SOCK_STREAM, args[2] = 0;
	fd = compat_call(102, 1, (uint32_t)(uintptr_t)args, 0);
	if (fd < 0)
		return 1;
	args[0] = (uint32_t)fd, args[1] = at, args[2] = sizeof(*a);
	if (compat_call(102, 3, (uint32_t)(uintptr_t)args, 0) != -ENOENT)
		return 2;
	return compat_call(362, (uint32_t)fd, at, sizeof(*a)) != -ENOENT;
}

static void calls_of_32_bit_code_are_seen_either_way(void **state)
{
	pid_t pid = live_run(&live, talk_32_bit, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	s = live_find(&live, EVENT_KIND_SOCKET, pid, NULL);
	assert_non_null(s);
	assert_int_equal(s->detail.args[0], AF_UNIX);
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
	assert_int_equal(live_count(&live, EVENT_KIND_CONNECT, pid), 2);
	s = live_find(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_string_equal(s->call, "socketcall");
	assert_string_equal(s->raw_path, "/nonexistent/compat.sock");
	assert_int_equal(s->event.result, -ENOENT);
	s = live_find(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_string_equal(s->call, "connect");
	assert_string_equal(s->raw_path, "/nonexistent/compat.sock");
}
#endif

struct swap {
	int fd, listener;
	pid_t tid;
	struct sockaddr_un address;
};

static void await_call(pid_t tid, long nr)
{
	char path[64], text[32] = "";
	long now = -1;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	while (now != nr) {
		int fd = open(path, O_RDONLY);

		if (read(fd, text, sizeof(text) - 1) > 0)
			now = strtol(text, NULL, 10);
		(void)close(fd);
	}
}

/* While the other thread waits in connect, puts another socket in its place; then lets it through. */
static void *swap_descriptor(void *arg)
{
	struct swap *w = arg;

	await_call(w->tid, SYS_connect);
	(void)dup2(socket(AF_INET, SOCK_DGRAM, 0), w->fd);
	(void)accept(w->listener, NULL, NULL);
	return NULL;
}

static int swap_while_it_connects(void *arg)
{
	struct sockaddr_un own = unix_address("nj.sock");
	struct swap w = {.fd = socket(AF_UNIX, SOCK_STREAM, 0), .listener = socket(AF_UNIX, SOCK_STREAM, 0),
			 .tid = gettid()};
	pthread_t thread;

	(void)arg;
	if (chdir(dir) < 0 || bind(w.listener, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    listen(w.listener, 0) < 0)
		return 1;
	if (connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&own, sizeof(own)) < 0)
		return 2;
	if (pthread_create(&thread, NULL, swap_descriptor, &w) != 0)
		return 3;
	return connect(w.fd, (struct sockaddr *)&own, sizeof(own)) < 0;
}

static void an_object_that_does_not_fit_the_argument_is_marked_as_raced(void **state)
{
	pid_t pid = live_run(&live, swap_while_it_connects, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	s = live_find(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_int_equal(s->event.marks, 0);
	s = live_find(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_non_null(s);
	assert_int_equal(s->event.marks, EVENT_MARK_RACED);
	assert_string_equal(s->raw_path, "nj.sock");
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_UDP);
}

static int connect_and_dissolve(void *arg)
{
	struct sockaddr_in a = internet("127.0.0.1", 53);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || connect(fd, &none, sizeof(none)) < 0;
}

static void the_end_of_an_association_is_no_connect(void **state)
{
	pid_t pid = live_run(&live, connect_and_dissolve, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_CONNECT, pid), 1);
	assert_int_equal(live_find(&live, EVENT_KIND_CONNECT, pid, NULL)->endpoints[0].protocol, IPPROTO_UDP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_unix_socket_is_told_by_its_file_on_either_side, start, stop),
		cmocka_unit_test_setup_teardown(an_abstract_name_is_told_with_its_nuls, start, stop),
		cmocka_unit_test_setup_teardown(an_accept_tells_its_socket_and_who_else_waits, start, stop),
		cmocka_unit_test_setup_teardown(a_failed_unix_connect_tells_what_was_asked_for, start, stop),
		cmocka_unit_test_setup_teardown(a_tcp_connect_that_fails_before_any_state_is_told_by_its_call, start, stop),
		cmocka_unit_test_setup_teardown(each_attempt_is_told_once, start, stop),
		cmocka_unit_test_setup_teardown(tcp_is_told_by_its_states_and_not_again_by_its_calls, start, stop),
		cmocka_unit_test_setup_teardown(failures_carry_their_reason, start, stop),
		cmocka_unit_test_setup_teardown(raw_packet_and_netlink_sockets_are_told_with_family_and_protocol, start, stop),
		cmocka_unit_test_setup_teardown(a_vsock_is_told_by_cid_and_port, start, stop),
		cmocka_unit_test_setup_teardown(an_sctp_association_is_told_by_its_calls, start, stop),
		cmocka_unit_test_setup_teardown(the_end_of_an_association_is_no_connect, start, stop),
		cmocka_unit_test_setup_teardown(an_object_that_does_not_fit_the_argument_is_marked_as_raced, start, stop),
#ifdef __x86_64__
		cmocka_unit_test_setup_teardown(calls_of_32_bit_code_are_seen_either_way, start, stop),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
