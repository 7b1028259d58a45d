/* Opens, descriptors and credentials, at the exit of system calls, 32-bit ones included. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct live live;
static char dir[] = "/tmp/nj-file-XXXXXX";

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
	(void)live_expect(&live, EVENT_KIND_EXIT, pid, NULL);
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
	const struct seen *s = live_expect(&live, EVENT_KIND_OPEN, pid, NULL);
	char path[256];
	struct stat st;

	(void)state;
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
		const struct seen *s = live_expect(&live, EVENT_KIND_OPEN, pid, &from);

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
	const struct seen *s = live_expect(&live, EVENT_KIND_OPEN, pid, NULL);

	(void)state;
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->raw_path, "/nonexistent/nj-wanted");
	assert_string_equal(s->path, "/nonexistent/nj-wanted");
	assert_int_equal(s->event.file.inode, 0);
}

/* A policy that wants opens below the directory, or every open. */
static void want(bool all)
{
	static const char *const none[] = {NULL};
	static const char *prefixes[2];
	struct uplink_policy *next = live_next(&live);

	prefixes[0] = dir;
	next->open_names = none;
	next->open_name_count = 0;
	next->open_prefixes = prefixes;
	next->open_prefix_count = 1;
	next->open_all = all;
	live_switch(&live);
}

static int open_and_fail(void *arg)
{
	(void)arg;
	if (chdir(dir) < 0 || setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
		return 1;
	(void)open("link", O_WRONLY);
	(void)open("sub/nothing", O_RDONLY); /* relative, and not there: nobody asked for the name */
	(void)open("sub", O_RDONLY | O_CREAT, 0600);
	(void)open("/etc/shadow", O_RDONLY);
	return 0;
}

static void what_a_failed_open_meant_is_followed(void **state)
{
	const struct seen *s;
	size_t from = 0;
	char path[256];
	pid_t pid;

	(void)state;
	want(false);
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chmod(path, 0755), 0);
	pid = live_run(&live, open_and_fail, NULL);
	s = live_expect(&live, EVENT_KIND_OPEN, pid, &from);
	(void)snprintf(path, sizeof(path), "%s/sub/nj-wanted", dir);
	assert_string_equal(s->path, path);
	assert_string_equal(s->raw_path, "link");
	assert_int_equal(s->event.result, -EACCES);
	assert_true(s->event.file.inode != 0);
	s = live_expect(&live, EVENT_KIND_OPEN, pid, &from);
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	assert_string_equal(s->path, path);
	assert_int_equal(s->event.result, -EISDIR);
	assert_null(live_find(&live, EVENT_KIND_OPEN, pid, &from));
}

static int open_with_everything(void *arg)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = {O_CREAT | O_RDWR, 0604, 8 /* RESOLVE_BENEATH */};
	struct {
		struct file_handle handle;
		unsigned char bytes[MAX_HANDLE_SZ];
	} to = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int at, mount;

	(void)arg;
	if (chdir(dir) < 0)
		return 1;
	at = open("sub", O_RDONLY | O_DIRECTORY);
	if (at < 0 || syscall(SYS_openat, at, "made", O_CREAT | O_WRONLY, 0640) < 0 || unlink("sub/made") < 0)
		return 2;
	if (syscall(SYS_openat2, at, "made", &how, sizeof(how)) < 0 || unlink("sub/made") < 0)
		return 3;
	if (open("link", O_PATH | O_NOFOLLOW) < 0 || open("sub", O_TMPFILE | O_WRONLY, 0600) < 0)
		return 4;
	if (name_to_handle_at(at, "nj-wanted", &to.handle, &mount, 0) < 0)
		return errno == EOPNOTSUPP ? 0 : 5;
	return open_by_handle_at(at, &to.handle, O_RDONLY) < 0;
}

static void an_open_tells_all_that_it_was_asked(void **state)
{
	static const struct {
		const char *call, *end, *raw;
		uint64_t mode, resolve;
	} rows[] = {
		{"openat", "/sub", "sub", 0, 0},	     {"openat", "/sub/made", "made", 0640, 0},
		{"openat2", "/sub/made", "made", 0604, 8},  {"openat", "/link", "link", 0, 0},
		{"openat", NULL, "sub", 0600, 0},	     {"open_by_handle_at", "/sub/nj-wanted", "", 0, 0},
	};
	const struct seen *s;
	size_t from = 0;
	pid_t pid;

	(void)state;
	want(true);
	pid = live_run(&live, open_with_everything, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		do {
			s = live_find(&live, EVENT_KIND_OPEN, pid, &from);
			if (!s && i == 5) /* a file system without handles */
				skip();
			assert_non_null(s);
		} while (!strstr(s->path, dir));
		assert_string_equal(s->call, rows[i].call);
		if (rows[i].end)
			assert_string_equal(s->path + strlen(dir), rows[i].end);
		assert_string_equal(s->raw_path, rows[i].raw);
		assert_int_equal(s->detail.args[2], s->event.flags);
		assert_int_equal(s->detail.args[3], rows[i].mode);
		assert_int_equal(s->detail.args[4], rows[i].resolve);
		assert_int_equal(s->event.marks, 0);
		assert_true(s->event.file.inode != 0);
		if (i == 3)
			assert_true(S_ISLNK(s->event.file.mode));
		if (i == 4)
			assert_int_equal(s->event.file.nlink, 0);
	}
}

static char shared_argument[] = "nj-wanted";
static volatile char *const changing = &shared_argument[3];

static void *rename_argument(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED))
		*changing = *changing == 'w' ? 'x' : 'w';
	return NULL;
}

/* One thread opens while another one changes the name that it opens. */
static int open_what_changes(void *arg)
{
	pthread_t other;
	bool stop = false;
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	if (chdir(path) < 0 || (fd = creat("nj-xanted", 0600)) < 0 || close(fd) < 0)
		return 1;
	if (pthread_create(&other, NULL, arg ? rename_argument : (void *(*)(void *))(uintptr_t)pause, &stop) != 0)
		return 2;
	for (int i = 0; i < 200; i++) {
		char before = *changing;

		/* The other one runs right now. */
		while (arg && *changing == before)
			continue;
		fd = open(shared_argument, O_RDONLY);
		if (fd >= 0)
			(void)close(fd);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	return unlink("nj-xanted") < 0;
}

static size_t raced(pid_t pid, size_t *ret_all)
{
	const struct seen *s;
	size_t from = 0, count = 0;

	*ret_all = 0;
	while ((s = live_find(&live, EVENT_KIND_OPEN, pid, &from))) {
		count += (s->event.marks & EVENT_MARK_RACED) != 0;
		(*ret_all)++;
	}
	return count;
}

static void an_argument_that_changes_under_an_open_is_marked(void **state)
{
	size_t all, marked = 0;

	(void)state;
	want(false);
	assert_int_equal(raced(live_run(&live, open_what_changes, NULL), &all), 0);
	assert_true(all > 0);
	for (int i = 0; i < 20 && marked == 0; i++)
		marked = raced(live_run(&live, open_what_changes, &live), &all);
	assert_true(marked > 0);
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
	s = live_expect(&live, EVENT_KIND_OPEN, pid, NULL);
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
		LIVE_TEST(what_nobody_asked_for_stays_in_the_kernel),
		LIVE_TEST(the_path_is_that_of_the_opened_file_and_the_argument_is_kept),
		LIVE_TEST(open_openat_openat2_and_creat_are_alike),
		LIVE_TEST(a_failed_open_is_told_by_its_argument),
		LIVE_TEST(what_a_failed_open_meant_is_followed),
		LIVE_TEST(an_open_tells_all_that_it_was_asked),
		LIVE_TEST(an_argument_that_changes_under_an_open_is_marked),
		LIVE_TEST(fifos_and_terminals_are_reported_whatever_their_name),
		LIVE_TEST(credentials_are_told_as_they_are_after_the_call),
#ifdef __x86_64__
		LIVE_TEST(calls_through_int_0x80_are_seen_like_any_other),
#endif
		LIVE_TEST(a_new_policy_takes_effect_at_once),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
