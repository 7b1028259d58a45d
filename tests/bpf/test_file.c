/* Opens, descriptors and credentials, at the exit of system calls, 32-bit ones included. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct live live;
static char dir[] = "/tmp/nj-file-XXXXXX";

static int start(void **state)
{
	(void)state;
	live_start(&live, NULL, 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	live_stop(&live);
	return 0;
}

static int open_boring(void *arg)
{
	int fd;

	(void)arg;
	fd = open("/etc/passwd", O_RDONLY);
	if (dup(fd) < 0 || dup2(fd, 50) < 0)
		return 1;
	(void)open("/nonexistent/file", O_RDONLY);
	(void)open("/dev/null", O_RDWR);
	return fd < 0;
}

static void what_nobody_asked_for_stays_in_the_kernel(void **state)
{
	pid_t pid = live_run(&live, open_boring, NULL);

	(void)state;
	assert_null(live_find(&live, EVENT_KIND_OPEN, pid, NULL));
	assert_null(live_find(&live, EVENT_KIND_DUP, pid, NULL));
	assert_non_null(live_find(&live, EVENT_KIND_EXIT, pid, NULL));
}

static int open_wanted(void *arg)
{
	(void)arg;
	if (chdir(dir) < 0)
		return 1;
	return open("sub/../link", O_RDONLY) < 0;
}

static void the_path_is_that_of_the_opened_file_and_the_argument_is_kept(void **state)
{
	pid_t pid = live_run(&live, open_wanted, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_OPEN, pid, NULL);
	char path[256];
	struct stat st;

	(void)state;
	assert_non_null(s);
	(void)snprintf(path, sizeof(path), "%s/sub/nj-wanted", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_string_equal(s->path, path);
	assert_string_equal(s->raw_path, "sub/../link");
	assert_true(s->event.result >= 0);
	assert_int_equal(s->event.flags & O_ACCMODE, O_RDONLY);
	assert_int_equal(s->event.file.inode, st.st_ino);
	assert_int_equal(s->event.file.device, st.st_dev);
	assert_int_equal(s->event.endpoint_count, 0);
}

/* Newer architectures have only openat. */
static long open_plainly(const char *path)
{
#ifdef SYS_open
	return syscall(SYS_open, path, O_RDONLY);
#else
	return open(path, O_RDONLY);
#endif
}

static long create_plainly(const char *path)
{
#ifdef SYS_creat
	return syscall(SYS_creat, path, 0600);
#else
	return creat(path, 0600);
#endif
}

static int open_every_way(void *arg)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = {O_WRONLY, 0, 0};
	char path[256];
	int at;

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/sub/nj-wanted", dir);
	at = open(dir, O_RDONLY | O_DIRECTORY);
	return open_plainly(path) < 0 || syscall(SYS_openat, at, "sub/nj-wanted", O_RDWR) < 0 ||
	       syscall(SYS_openat2, at, "sub/nj-wanted", &how, sizeof(how)) < 0 || create_plainly(path) < 0;
}

static void open_openat_openat2_and_creat_are_alike(void **state)
{
	static const uint32_t access[] = {O_RDONLY, O_RDWR, O_WRONLY, O_WRONLY};
	pid_t pid = live_run(&live, open_every_way, NULL);
	size_t from = 0;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const struct seen *s = live_find(&live, EVENT_KIND_OPEN, pid, &from);

		assert_non_null(s);
		assert_int_equal(s->event.flags & O_ACCMODE, access[i]);
	}
}

static int open_missing(void *arg)
{
	(void)arg;
	return open("/nonexistent/nj-wanted", O_RDONLY) >= 0;
}

static void a_failed_open_is_told_by_its_argument(void **state)
{
	pid_t pid = live_run(&live, open_missing, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_OPEN, pid, NULL);

	(void)state;
	assert_non_null(s);
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->raw_path, "/nonexistent/nj-wanted");
	assert_string_equal(s->path, "");
}

static int open_conversations(void *arg)
{
	char path[256];
	int master;

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	if (open(path, O_RDWR) < 0)
		return 1;
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return 1;
	return open(ptsname(master), O_RDWR | O_NOCTTY) < 0;
}

static void fifos_and_terminals_are_reported_whatever_their_name(void **state)
{
	pid_t pid = live_run(&live, open_conversations, NULL);
	const struct seen *fifo, *master, *slave;
	size_t from = 0;
	char path[256];
	struct stat st;

	(void)state;
	fifo = live_find(&live, EVENT_KIND_OPEN, pid, &from);
	master = live_find(&live, EVENT_KIND_OPEN, pid, &from);
	slave = live_find(&live, EVENT_KIND_OPEN, pid, &from);
	assert_true(fifo && master && slave);
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(fifo->endpoints[0].kind, ENDPOINT_KIND_FIFO);
	assert_int_equal(fifo->endpoints[0].id, st.st_ino);
	assert_int_equal(fifo->endpoints[0].id2, st.st_dev);
	assert_string_equal(fifo->path, path);
	assert_int_equal(master->endpoints[0].kind, ENDPOINT_KIND_PTY_MASTER);
	assert_int_equal(slave->endpoints[0].kind, ENDPOINT_KIND_PTY_SLAVE);
	assert_int_equal(master->endpoints[0].id, slave->endpoints[0].id);
	assert_int_equal(master->endpoints[0].id2, slave->endpoints[0].id2);
}

static int make_pairs(void *arg)
{
	int fds[2], copy;

	(void)arg;
	if (pipe(fds) < 0)
		return 1;
	copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 240);
	if (copy != 240 || dup2(fds[1], 1) != 1 || fcntl(fds[0], F_GETFD) < 0)
		return 2;
	if (dup3(fds[1], 241, O_CLOEXEC) != 241)
		return 3;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0;
}

static void pipes_socket_pairs_and_copies_of_them_are_reported(void **state)
{
	static const int old_to_new[][2] = {{0, 240}, {1, 1}, {1, 241}};
	pid_t pid = live_run(&live, make_pairs, NULL);
	const struct seen *pipe, *pair;
	size_t pairs = 0, copies = 0;

	(void)state;
	pipe = live_find(&live, EVENT_KIND_PIPE, pid, &pairs);
	pair = live_find(&live, EVENT_KIND_PIPE, pid, &pairs);
	assert_true(pipe && pair);
	assert_int_equal(pipe->endpoints[0].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(pipe->endpoints[0].mode, ENDPOINT_READ);
	assert_int_equal(pipe->endpoints[1].mode, ENDPOINT_WRITE);
	assert_int_equal(pipe->endpoints[0].id, pipe->endpoints[1].id);
	assert_int_equal(pair->endpoints[0].kind, ENDPOINT_KIND_UNIX);
	assert_int_equal(pair->endpoints[0].id, pair->endpoints[1].id2);
	assert_int_equal(pair->endpoints[1].id, pair->endpoints[0].id2);
	for (size_t i = 0; i < 3; i++) {
		const struct seen *copy = live_find(&live, EVENT_KIND_DUP, pid, &copies);

		assert_non_null(copy);
		assert_int_equal(copy->endpoints[0].id, pipe->endpoints[0].id);
		assert_int_equal(copy->event.old_fd, pipe->endpoints[old_to_new[i][0]].fd);
		assert_int_equal(copy->endpoints[0].fd, old_to_new[i][1]);
		assert_int_equal(copy->event.result, old_to_new[i][1]);
	}
	assert_null(live_find(&live, EVENT_KIND_DUP, pid, &copies));
}

static int change_ids(void *arg)
{
	(void)arg;
	if (setresgid(1234, 1234, 1234) < 0 || setresuid(1235, 1235, 1235) < 0)
		return 1;
	return setuid(0) == 0;
}

static void credentials_are_told_as_they_are_after_the_call(void **state)
{
	pid_t pid = live_run(&live, change_ids, NULL);
	const struct seen *group, *user, *failed;
	size_t from = 0;

	(void)state;
	group = live_find(&live, EVENT_KIND_CRED, pid, &from);
	user = live_find(&live, EVENT_KIND_CRED, pid, &from);
	failed = live_find(&live, EVENT_KIND_CRED, pid, &from);
	assert_true(group && user && failed);
	assert_int_equal(group->event.creds.gid, 1234);
	assert_int_equal(group->event.creds.uid, 0);
	assert_int_equal(user->event.creds.euid, 1235);
	assert_int_equal(user->event.creds.cap_effective, 0);
	assert_int_equal(failed->event.result, -EPERM);
	assert_int_equal(failed->event.creds.uid, 1235);
}

#ifdef __x86_64__
static long call32(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

/* A 32-bit call takes addresses below 4 GiB. */
static int act_in_32_bit(void *arg)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t *pair = (uint32_t *)(void *)(low + 1024), *call = (uint32_t *)(void *)(low + 2048);

	(void)arg;
	if (low == MAP_FAILED)
		return 1;
	(void)snprintf(low, 256, "%s/sub/nj-wanted", dir);
	if (call32(5, (long)low, O_RDONLY, 0) < 0) /* open */
		return 2;
	if (call32(42, (long)pair, 0, 0) < 0) /* pipe */
		return 3;
	call[0] = AF_UNIX, call[1] = SOCK_STREAM, call[2] = 0, call[3] = (uint32_t)(uintptr_t)pair;
	if (call32(102, 8, (long)call, 0) < 0) /* socketcall: socketpair */
		return 4;
	/* connect: a UDP socket to 127.0.0.1:53 */
	memcpy(low + 512, "\x02\x00\x00\x35\x7f\x00\x00\x01\0\0\0\0\0\0\0\0", 16);
	return call32(362, socket(AF_INET, SOCK_DGRAM, 0), (long)(low + 512), 16) < 0;
}

static void calls_through_int_0x80_are_seen_like_any_other(void **state)
{
	pid_t pid = live_run(&live, act_in_32_bit, NULL);
	const struct seen *opened = live_find(&live, EVENT_KIND_OPEN, pid, NULL);
	const struct seen *connected = live_find(&live, EVENT_KIND_CONNECT, pid, NULL);
	const struct seen *pipe, *pair;
	size_t from = 0;

	(void)state;
	pipe = live_find(&live, EVENT_KIND_PIPE, pid, &from);
	pair = live_find(&live, EVENT_KIND_PIPE, pid, &from);
	assert_true(opened && connected && pipe && pair);
	assert_non_null(strstr(opened->path, "/sub/nj-wanted"));
	assert_int_equal(connected->endpoints[0].remote_port, 53);
	assert_int_equal(pipe->endpoints[0].kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(pair->endpoints[0].kind, ENDPOINT_KIND_UNIX);
}
#endif

static int open_after_policy(void *arg)
{
	char path[256];

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/sub/nj-wanted", dir);
	return open(path, O_RDONLY) < 0 || open("/etc/passwd", O_RDONLY) < 0;
}

static void a_new_policy_takes_effect_at_once(void **state)
{
	static const char *const other[] = {"passwd", NULL};
	static const char *const bad[] = {"", NULL};
	struct uplink_policy refused;
	struct err e = {0};
	const struct seen *s;
	pid_t pid;

	(void)state;
	policy_default(bad, &refused);
	assert_int_equal(capture_set_policy(live.capture, &refused, &e), -EINVAL);
	assert_true(e.text[0] != '\0');
	live_policy(&live, 2, POLICY_ALL, other);
	pid = live_run(&live, open_after_policy, NULL);
	s = live_find(&live, EVENT_KIND_OPEN, pid, NULL);
	assert_non_null(s);
	assert_string_equal(s->path, "/etc/passwd");
	live_policy(&live, 3, 0, other);
	pid = live_run(&live, open_after_policy, NULL);
	assert_null(live_find(&live, EVENT_KIND_OPEN, pid, NULL));
}

static int make_files(void **state)
{
	char path[256];
	int fd;

	(void)state;
	if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("sub", 0700) < 0 || mkfifo("fifo", 0600) < 0)
		return -1;
	fd = creat("sub/nj-wanted", 0600);
	(void)snprintf(path, sizeof(path), "%s/sub/nj-wanted", dir);
	return fd < 0 || close(fd) < 0 || symlink(path, "link") < 0 || chdir("/") < 0 ? -1 : 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = {"sub/nj-wanted", "link", "fifo"};

	(void)state;
	if (chdir(dir) < 0)
		return -1;
	for (size_t i = 0; i < 3; i++)
		(void)unlink(names[i]);
	return rmdir("sub") < 0 || chdir("/") < 0 || rmdir(dir) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_nobody_asked_for_stays_in_the_kernel, start, stop),
		cmocka_unit_test_setup_teardown(the_path_is_that_of_the_opened_file_and_the_argument_is_kept, start, stop),
		cmocka_unit_test_setup_teardown(open_openat_openat2_and_creat_are_alike, start, stop),
		cmocka_unit_test_setup_teardown(a_failed_open_is_told_by_its_argument, start, stop),
		cmocka_unit_test_setup_teardown(fifos_and_terminals_are_reported_whatever_their_name, start, stop),
		cmocka_unit_test_setup_teardown(pipes_socket_pairs_and_copies_of_them_are_reported, start, stop),
		cmocka_unit_test_setup_teardown(credentials_are_told_as_they_are_after_the_call, start, stop),
#ifdef __x86_64__
		cmocka_unit_test_setup_teardown(calls_through_int_0x80_are_seen_like_any_other, start, stop),
#endif
		cmocka_unit_test_setup_teardown(a_new_policy_takes_effect_at_once, start, stop),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
