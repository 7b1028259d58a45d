/* Acts through io_uring, by raw system calls: told as the calls that they stand for. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define ENTRIES	    8
#define PORT	    40421
#define NO_SUPPORT  77

static struct live live;
static char dir[64];

static int start(void **state)
{
	(void)state;
	live_start(&live, NULL, 0);
	live_need(&live, "io_uring");
	(void)snprintf(dir, sizeof(dir), "/tmp/nj-uring-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int stop(void **state)
{
	static const char *const names[] = {"a", "b", "c", "sub", "nj.sock"};
	char path[128];

	(void)state;
	live_stop(&live);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)remove(path);
	}
	return rmdir(dir);
}

struct ring {
	int fd;
	unsigned int flags;
	char *sq, *cq;
	struct io_uring_params params;
	struct io_uring_sqe *sqes;
};

static int ring_open(struct ring *r, unsigned int flags)
{
	size_t sq_size, cq_size;

	memset(r, 0, sizeof(*r));
	r->flags = flags;
	r->params.flags = flags;
	r->params.sq_thread_idle = 1000;
	r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &r->params);
	if (r->fd < 0)
		return -errno;
	sq_size = r->params.sq_off.array + r->params.sq_entries * sizeof(unsigned int);
	cq_size = r->params.cq_off.cqes + r->params.cq_entries * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, r->params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	return r->sq == MAP_FAILED || r->cq == MAP_FAILED || (void *)r->sqes == MAP_FAILED ? -1 : 0;
}

static unsigned int *at(char *ring, unsigned int offset)
{
	return (unsigned int *)(void *)(ring + offset);
}

static void ring_submit(struct ring *r, const struct io_uring_sqe *sqe)
{
	unsigned int *tail = at(r->sq, r->params.sq_off.tail);
	unsigned int slot = *tail & *at(r->sq, r->params.sq_off.ring_mask);

	r->sqes[slot] = *sqe;
	at(r->sq, r->params.sq_off.array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (r->flags & IORING_SETUP_SQPOLL)
		(void)syscall(SYS_io_uring_enter, r->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	else
		(void)syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0);
}

/* What became of the oldest request. */
static int ring_wait(struct ring *r)
{
	unsigned int *head = at(r->cq, r->params.cq_off.head);
	struct io_uring_cqe *cqes = (void *)(r->cq + r->params.cq_off.cqes);
	int res;

	while (__atomic_load_n(at(r->cq, r->params.cq_off.tail), __ATOMIC_ACQUIRE) == *head)
		(void)syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	res = cqes[*head & *at(r->cq, r->params.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

static int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	ring_submit(r, sqe);
	return ring_wait(r);
}

static struct io_uring_sqe sqe_path(uint8_t op, const char *path, uint32_t flags)
{
	return (struct io_uring_sqe){.opcode = op, .fd = AT_FDCWD, .addr = (uintptr_t)path, .open_flags = flags};
}

static struct io_uring_sqe sqe_on(uint8_t op, int fd, const void *data, uint32_t len)
{
	return (struct io_uring_sqe){.opcode = op, .fd = fd, .addr = (uintptr_t)data, .len = len};
}

/* How an open is submitted. */
struct how {
	unsigned int setup;
	uint8_t sqe_flags;
	bool direct;
};

static int register_slots(const struct ring *r)
{
	int slots[2] = {-1, -1};

	return (int)syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, slots, 2);
}

static int open_through(void *arg)
{
	const struct how *how = arg;
	struct io_uring_sqe sqe = sqe_path(IORING_OP_OPENAT, "../etc/passwd", O_RDONLY);
	struct ring r;
	int res;

	if (chdir("/tmp") < 0 || ring_open(&r, how->setup) < 0)
		return 1;
	sqe.flags = how->sqe_flags;
	if (how->direct && register_slots(&r) < 0)
		return 2;
	sqe.file_index = how->direct ? 2 : 0;
	res = ring_do(&r, &sqe);
	return how->direct ? res != 0 : res < 0;
}

static void expect_open(struct how how)
{
	pid_t pid = live_run(&live, open_through, &how);
	const struct seen *s = live_expect(&live, EVENT_KIND_OPEN, pid, NULL);

	assert_int_equal(live_count(&live, EVENT_KIND_OPEN, pid), 1);
	assert_string_equal(s->path, "/etc/passwd");
	assert_string_equal(s->raw_path, "../etc/passwd");
	assert_string_equal(s->call, "openat");
	assert_int_equal(s->event.marks, EVENT_MARK_IO_URING);
	assert_int_equal(s->event.flags & O_ACCMODE, O_RDONLY);
	assert_true(s->event.file.inode != 0);
	assert_true(s->event.result >= 0);
	s = live_expect(&live, EVENT_KIND_IO_URING, pid, NULL);
	assert_int_equal(s->detail.args[0], ENTRIES);
	assert_int_equal(s->detail.args[1], how.setup);
}

static void an_open_is_told_as_an_open(void **state)
{
	(void)state;
	expect_open((struct how){0});
}

static void an_open_by_a_worker_is_told_the_same(void **state)
{
	(void)state;
	expect_open((struct how){.sqe_flags = IOSQE_ASYNC});
}

static void an_open_by_the_polling_thread_is_told_the_same(void **state)
{
	(void)state;
	expect_open((struct how){.setup = IORING_SETUP_SQPOLL});
}

static void an_open_into_a_direct_descriptor_is_told_the_same(void **state)
{
	(void)state;
	expect_open((struct how){.direct = true});
}

static int open_nothing(void *arg)
{
	struct io_uring_sqe sqe = sqe_path(IORING_OP_OPENAT, "/etc/nj-missing", O_RDWR);
	struct ring r;

	(void)arg;
	return ring_open(&r, 0) < 0 || ring_do(&r, &sqe) != -ENOENT;
}

static void a_failed_open_tells_why(void **state)
{
	pid_t pid = live_run(&live, open_nothing, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_OPEN, pid, NULL);

	(void)state;
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->raw_path, "/etc/nj-missing");
	assert_string_equal(s->path, "/etc/nj-missing");
	assert_int_equal(s->event.flags & O_ACCMODE, O_RDWR);
}

/* A request that asks for no completion, and one behind it that does. */
static int open_in_silence(void *arg)
{
	struct io_uring_sqe quiet = sqe_path(IORING_OP_OPENAT, "/etc/passwd", O_RDONLY);
	struct io_uring_sqe nop = {.opcode = IORING_OP_NOP};
	struct ring r;

	(void)arg;
	quiet.flags = IOSQE_CQE_SKIP_SUCCESS;
	if (ring_open(&r, 0) < 0)
		return 1;
	ring_submit(&r, &quiet);
	return ring_do(&r, &nop) != 0;
}

static void an_open_without_a_completion_is_told_all_the_same(void **state)
{
	pid_t pid = live_run(&live, open_in_silence, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_OPEN, pid, NULL);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_OPEN, pid), 1);
	assert_string_equal(s->raw_path, "/etc/passwd");
	assert_true(s->event.marks & EVENT_MARK_IO_URING);
}

static int connect_tcp(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), accepted;
	socklen_t len = sizeof(a);
	struct io_uring_sqe connect_sqe = sqe_on(IORING_OP_CONNECT, fd, &a, 0);
	struct io_uring_sqe accept_sqe = sqe_on(IORING_OP_ACCEPT, listener, NULL, 0);
	struct io_uring_sqe send_sqe = sqe_on(IORING_OP_SEND, fd, "abc", 3);
	struct ring r;

	(void)arg;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0 || ring_open(&r, 0) < 0)
		return 1;
	connect_sqe.off = len;
	if (ring_do(&r, &connect_sqe) != 0)
		return 2;
	accepted = ring_do(&r, &accept_sqe);
	return accepted < 0 || ring_do(&r, &send_sqe) != 3;
}

static void tcp_is_told_once_with_its_owner(void **state)
{
	pid_t pid = live_run(&live, connect_tcp, NULL);
	const struct seen *s;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_CONNECT, pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_ESTABLISHED, pid), 1);
	assert_int_equal(live_count(&live, EVENT_KIND_ACCEPT, pid), 1);
	s = live_find(&live, EVENT_KIND_ACCEPT, pid, NULL);
	assert_int_equal(s->event.marks, EVENT_MARK_IO_URING);
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_TCP);
	assert_int_equal(s->endpoints[0].fd, s->event.result);
	/* A stream is not told message by message. */
	assert_int_equal(live_count(&live, EVENT_KIND_SEND, pid), 0);
}

#define CLIENTS 3

/* One request takes all clients; then it is taken back. */
static int accept_many(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fds[CLIENTS];
	socklen_t len = sizeof(a);
	struct io_uring_sqe many = sqe_on(IORING_OP_ACCEPT, listener, NULL, 0);
	struct ring r;

	(void)arg;
	many.ioprio = IORING_ACCEPT_MULTISHOT;
	many.user_data = 7;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, CLIENTS) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0 || ring_open(&r, 0) < 0)
		return 1;
	ring_submit(&r, &many);
	for (int i = 0; i < CLIENTS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&a, len) < 0)
			return 2;
		fds[i] = ring_wait(&r);
		if (fds[i] == -EINVAL)
			return NO_SUPPORT;
		if (fds[i] < 0 || (i > 0 && fds[i] == fds[i - 1]))
			return 3;
	}
	return 0;
}

/* Skips the test where this kernel has no such request. */
static pid_t run_supported(live_act act)
{
	struct actor a = live_actor(&live, act, NULL);
	int result;

	live_go(&a);
	result = live_finish(&live, &a);
	if (result == NO_SUPPORT)
		skip();
	assert_int_equal(result, 0);
	return a.pid;
}

static void each_connection_of_a_multishot_accept_is_told(void **state)
{
	pid_t pid = run_supported(accept_many);
	uint64_t id = 0;
	size_t from = 0;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		const struct seen *s = live_expect(&live, EVENT_KIND_ACCEPT, pid, &from);

		assert_int_equal(s->event.marks, EVENT_MARK_IO_URING);
		assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_TCP);
		assert_int_equal(s->endpoints[0].fd, s->event.result);
		assert_true(s->endpoints[0].id != id);
		id = s->endpoints[0].id;
	}
	/* Their ends are told in the name of who took them; the kernel takes an io_uring apart after the process. */
	live_await_count(&live, EVENT_KIND_CLOSE, pid, 2 * CLIENTS);
}

/* Into buffers that are handed over before; the second request looks only once there is something. */
static int receive_many(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	static char buffers[4][64];
	struct io_uring_sqe provide = sqe_on(IORING_OP_PROVIDE_BUFFERS, 4, buffers, sizeof(buffers[0]));
	int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0), got;
	struct io_uring_sqe many = sqe_on(IORING_OP_RECV, server, NULL, 0);
	struct ring r;

	(void)arg;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	many.ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
	many.flags = IOSQE_BUFFER_SELECT;
	many.user_data = 8;
	if (bind(server, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 || ring_open(&r, 0) < 0)
		return 1;
	if (ring_do(&r, &provide) < 0)
		return 2;
	ring_submit(&r, &many);
	for (int i = 0; i < CLIENTS; i++) {
		if (send(client, "text", (size_t)i + 1, 0) != i + 1)
			return 3;
		got = ring_wait(&r);
		if (got != i + 1)
			return got == -EINVAL ? NO_SUPPORT : 4;
	}
	return 0;
}

static void each_message_of_a_multishot_receive_is_told(void **state)
{
	pid_t pid = run_supported(receive_many);
	size_t from = 0;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		const struct seen *s = live_expect(&live, EVENT_KIND_RECEIVE, pid, &from);

		assert_int_equal(s->event.result, i + 1);
		assert_int_equal(s->endpoints[0].local_port, PORT);
		assert_int_equal(s->event.marks, EVENT_MARK_IO_URING);
	}
}

static int connect_unix(void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "nj.sock"}, none = {.sun_family = AF_UNIX, .sun_path = "gone"};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct io_uring_sqe sqe = sqe_on(IORING_OP_CONNECT, fd, &none, 0);
	struct ring r;

	(void)arg;
	if (chdir(dir) < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 1) < 0 ||
	    ring_open(&r, 0) < 0)
		return 1;
	sqe.off = sizeof(a);
	if (ring_do(&r, &sqe) != -ENOENT)
		return 2;
	sqe.addr = (uintptr_t)&a;
	return ring_do(&r, &sqe) != 0;
}

static void a_unix_connect_has_its_path_and_its_failure(void **state)
{
	pid_t pid = live_run(&live, connect_unix, NULL);
	const struct seen *s;
	char path[128];
	size_t from = 0;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/nj.sock", dir);
	s = live_expect(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->raw_path, "gone");
	s = live_expect(&live, EVENT_KIND_CONNECT, pid, &from);
	assert_int_equal(s->event.result, 0);
	assert_string_equal(s->raw_path, "nj.sock");
	assert_string_equal(s->path, path);
	assert_string_equal(s->call, "connect");
}

/* By a connected socket, to an address, and through a registered file. */
static int send_datagrams(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	char text[] = "abcd";
	struct iovec part = {text, 4};
	struct msghdr header = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &part, .msg_iovlen = 1};
	int server = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);
	int connected = socket(AF_INET, SOCK_DGRAM, 0);
	struct io_uring_sqe sqe = sqe_on(IORING_OP_SENDMSG, fd, &header, 1);
	struct ring r;

	(void)arg;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(server, (struct sockaddr *)&to, sizeof(to)) < 0 || ring_open(&r, 0) < 0 || ring_do(&r, &sqe) != 4)
		return 1;
	to.sin_port = htons(PORT + 1);
	if (connect(connected, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 2;
	if (syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, &connected, 1) < 0)
		return 3;
	sqe = sqe_on(IORING_OP_SEND, 0, text, 3);
	sqe.flags = IOSQE_FIXED_FILE;
	if (ring_do(&r, &sqe) != 3)
		return 4;
	sqe = sqe_on(IORING_OP_RECV, server, text, sizeof(text));
	return ring_do(&r, &sqe) != 4;
}

static void datagrams_tell_where_to(void **state)
{
	pid_t pid = live_run(&live, send_datagrams, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	s = live_expect(&live, EVENT_KIND_SEND, pid, &from);
	assert_int_equal(s->endpoints[0].remote_port, PORT);
	assert_int_equal(s->event.result, 4);
	assert_string_equal(s->call, "sendmsg");
	s = live_expect(&live, EVENT_KIND_SEND, pid, &from);
	assert_int_equal(s->endpoints[0].remote_port, PORT + 1);
	assert_int_equal(s->event.result, 3);
	s = live_expect(&live, EVENT_KIND_RECEIVE, pid, NULL);
	assert_int_equal(s->endpoints[0].local_port, PORT);
	assert_int_equal(s->event.result, 4);
}

static int change_files(void *arg)
{
	struct io_uring_sqe make = sqe_path(IORING_OP_MKDIRAT, "sub", 0), move, gone = sqe_path(IORING_OP_UNLINKAT, "b", 0);
	struct ring r;
	int fd;

	(void)arg;
	if (chdir(dir) < 0 || (fd = open("a", O_CREAT | O_WRONLY, 0600)) < 0 || ring_open(&r, 0) < 0)
		return 1;
	make.len = 0700;
	if (ring_do(&r, &make) != 0)
		return 2;
	move = sqe_path(IORING_OP_RENAMEAT, "a", 0);
	move.len = (uint32_t)AT_FDCWD;
	move.addr2 = (uintptr_t)"b";
	return ring_do(&r, &move) != 0 || ring_do(&r, &gone) != 0;
}

static void changes_of_the_file_tree_tell_their_names(void **state)
{
	pid_t pid = live_run(&live, change_files, NULL);
	const struct seen *s;
	char path[128];

	(void)state;
	s = live_expect(&live, EVENT_KIND_RENAME, pid, NULL);
	assert_string_equal(s->raw_path, "a");
	assert_string_equal(s->raw_path2, "b");
	(void)snprintf(path, sizeof(path), "%s/b", dir);
	assert_string_equal(s->path2, path);
	assert_true(s->event.marks & EVENT_MARK_IO_URING);
	s = live_expect(&live, EVENT_KIND_UNLINK, pid, NULL);
	assert_string_equal(s->path, path);
	assert_string_equal(s->call, "unlinkat");
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	s = live_expect(&live, EVENT_KIND_MKDIR, pid, NULL);
	assert_string_equal(s->path, path);
	assert_int_equal(s->detail.args[2], 0700);
}

static int make_socket(void *arg)
{
	struct io_uring_sqe sqe = {.opcode = IORING_OP_SOCKET, .fd = AF_PACKET, .off = SOCK_RAW};
	struct ring r;
	int fd;

	(void)arg;
	if (ring_open(&r, 0) < 0)
		return 1;
	fd = ring_do(&r, &sqe);
	return fd == -EINVAL ? NO_SUPPORT : fd < 0;
}

static void a_socket_is_told_with_its_domain(void **state)
{
	struct actor a = live_actor(&live, make_socket, NULL);
	const struct seen *s;
	int status;

	(void)state;
	live_go(&a);
	status = live_finish(&live, &a);
	if (status == NO_SUPPORT)
		skip();
	assert_int_equal(status, 0);
	s = live_expect(&live, EVENT_KIND_SOCKET, a.pid, NULL);
	assert_int_equal(s->detail.args[0], AF_PACKET);
	assert_int_equal(s->detail.args[1], SOCK_RAW);
	assert_int_equal(s->endpoints[0].family, AF_PACKET);
}

static int move_bytes(void *arg)
{
	int pair[2], ends[2];
	struct io_uring_sqe sqe = {.opcode = IORING_OP_SPLICE, .off = UINT64_MAX, .splice_off_in = UINT64_MAX, .len = 3};
	struct ring r;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(ends) < 0 || ring_open(&r, 0) < 0 ||
	    write(pair[0], "abc", 3) != 3)
		return 1;
	sqe.fd = ends[1];
	sqe.splice_fd_in = pair[1];
	return ring_do(&r, &sqe) != 3;
}

static void a_splice_is_an_edge(void **state)
{
	pid_t pid = live_run(&live, move_bytes, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_SPLICE, pid, NULL);

	(void)state;
	assert_int_equal(s->endpoints[0].kind, ENDPOINT_KIND_UNIX);
	assert_int_equal(s->endpoints[1].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(s->event.result, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_open_is_told_as_an_open, start, stop),
		cmocka_unit_test_setup_teardown(an_open_by_a_worker_is_told_the_same, start, stop),
		cmocka_unit_test_setup_teardown(an_open_by_the_polling_thread_is_told_the_same, start, stop),
		cmocka_unit_test_setup_teardown(an_open_into_a_direct_descriptor_is_told_the_same, start, stop),
		cmocka_unit_test_setup_teardown(a_failed_open_tells_why, start, stop),
		cmocka_unit_test_setup_teardown(an_open_without_a_completion_is_told_all_the_same, start, stop),
		cmocka_unit_test_setup_teardown(tcp_is_told_once_with_its_owner, start, stop),
		cmocka_unit_test_setup_teardown(each_connection_of_a_multishot_accept_is_told, start, stop),
		cmocka_unit_test_setup_teardown(each_message_of_a_multishot_receive_is_told, start, stop),
		cmocka_unit_test_setup_teardown(a_unix_connect_has_its_path_and_its_failure, start, stop),
		cmocka_unit_test_setup_teardown(datagrams_tell_where_to, start, stop),
		cmocka_unit_test_setup_teardown(changes_of_the_file_tree_tell_their_names, start, stop),
		cmocka_unit_test_setup_teardown(a_socket_is_told_with_its_domain, start, stop),
		cmocka_unit_test_setup_teardown(a_splice_is_an_edge, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
