/* Every class with every hook provider of system calls: one capture a provider, and in it an act or more of each
 * class. tests/kernel runs it in its guests and makes the class matrix of docs/kernels.md from the lines that it
 * prints:
 *
 *   NJ cell CLASS PROVIDER passed [why it is seen in part]
 *   NJ cell CLASS PROVIDER refused WHY
 *   NJ cell CLASS PROVIDER failed WHAT
 *
 * What the kernel refuses fails nothing here: which refusals are known is the business of who reads the table. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "node-agent/event_class.h"
#include "tests/bpf/compat.h"

#define PAGE 4096

static struct live live;
static char dir[] = "/tmp/nj-matrix-XXXXXX"; /* where actors that need a folder are */

/* An actor's status: the kernel was built without that call. */
#define NO_CALL 255

/* An act that is not possible here ends the actor with its line. */
#define DO(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			return __LINE__ & 0xff;                                                    \
	} while (0)

/* ---- acts ---- */

static int live_a_life(void *arg)
{
	pid_t pid;

	(void)arg;
	DO(pid = fork());
	if (pid == 0) {
		(void)execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) != pid;
}

static int serve(int type, uint16_t port, struct sockaddr_in *ret_address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 4) < 0) ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -1;
	*ret_address = a;
	return fd;
}

static int dial(int type, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, type, 0);

	return connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ? -1 : fd;
}

/* Both ends, and what is said first. */
static int talk_over_tcp(void *arg)
{
	struct sockaddr_in a;
	int listener, fd, peer;
	char byte;

	(void)arg;
	DO(listener = serve(SOCK_STREAM, 0, &a));
	DO(fd = dial(SOCK_STREAM, &a));
	DO(peer = accept(listener, NULL, NULL));
	if (write(fd, "hello", 5) != 5 || read(peer, &byte, 1) != 1)
		return 1;
	(void)close(fd);
	(void)close(peer);
	return 0;
}

static int open_wanted(void *arg)
{
	(void)arg;
	return open("/nonexistent/nj-wanted", O_RDONLY) >= 0;
}

#ifndef __x86_64__
#define open_by_a_32_bit_call NULL
#else
static int open_by_a_32_bit_call(void *arg)
{
	char *name = compat_memory();

	(void)arg;
	(void)strcpy(name, "/nonexistent/nj-wanted");
	return compat_call(5, (uint32_t)(uintptr_t)name, O_RDONLY, 0) != -ENOENT;
}
#endif

static int pass_itself(int socket)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	char byte = 'x';
	struct iovec part = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &socket, sizeof(socket));
	return sendmsg(socket, &header, 0) == 1 ? 0 : -1;
}

static int receive_one(int socket)
{
	char control[64], byte;
	struct iovec part = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

	return recvmsg(socket, &header, 0) == 1 ? 0 : -1;
}

static int copy_descriptors(void *arg)
{
	int ends[2], pair[2];

	(void)arg;
	DO(pipe(ends));
	DO(dup2(ends[0], 60));
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	DO(pass_itself(pair[0]));
	DO(receive_one(pair[1]));
	return 0;
}

static int meet_over_a_unix_socket(void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener, fd;

	(void)arg;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/nj.sock", dir);
	DO(listener = socket(AF_UNIX, SOCK_STREAM, 0));
	DO(bind(listener, (struct sockaddr *)&a, sizeof(a)));
	DO(listen(listener, 1));
	DO(fd = socket(AF_UNIX, SOCK_STREAM, 0));
	DO(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	DO(accept(listener, NULL, NULL));
	return unlink(a.sun_path);
}

static int change_identity(void *arg)
{
	(void)arg;
	DO(prctl(PR_SET_NAME, "nj-named"));
	DO(setuid(1000));
	return 0;
}

static int come_and_go(void *arg)
{
	const char *root = access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
	char path[128];

	(void)arg;
	(void)snprintf(path, sizeof(path), "%s/nj%d-matrix", root, (int)getpid());
	DO(mkdir(path, 0755));
	return rmdir(path);
}

static int change_the_tree(void *arg)
{
	int fd;

	(void)arg;
	DO(chdir(dir));
	DO(mkdir("sub", 0700));
	DO(fd = open("a", O_CREAT | O_WRONLY, 0600));
	DO(ftruncate(fd, 10));
	DO(fchmod(fd, 0640));
	DO(fchown(fd, 1, 1));
	DO(utimensat(AT_FDCWD, "a", NULL, 0));
	DO(linkat(AT_FDCWD, "a", AT_FDCWD, "b", 0));
	DO(renameat(AT_FDCWD, "b", AT_FDCWD, "sub/c"));
	DO(mknodat(AT_FDCWD, "fifo", S_IFIFO | 0600, 0));
	DO(unlinkat(AT_FDCWD, "fifo", 0));
	DO(unlinkat(AT_FDCWD, "a", 0));
	DO(unlinkat(AT_FDCWD, "sub/c", 0));
	return unlinkat(AT_FDCWD, "sub", AT_REMOVEDIR);
}

static int mount_and_leave(void *arg)
{
	(void)arg;
	DO(unshare(CLONE_NEWNS));
	DO(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	DO(mount("tmpfs", dir, "tmpfs", 0, NULL));
	DO(umount2(dir, MNT_DETACH));
	return chroot(dir);
}

/* A network of its own, where port 53 is free. */
static int own_network(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	DO(unshare(CLONE_NEWNET));
	DO(fd = socket(AF_INET, SOCK_DGRAM, 0));
	DO(ioctl(fd, SIOCSIFFLAGS, &lo));
	return 0;
}

static int ask(void *arg)
{
	static const char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\2nj\4test\0\0\1\0\1";
	struct sockaddr_in a;
	int fd;

	(void)arg;
	if (own_network() || serve(SOCK_DGRAM, 53, &a) < 0)
		return 1;
	DO(fd = dial(SOCK_DGRAM, &a));
	return send(fd, question, sizeof(question) - 1, 0) < 0;
}

static int talk_over_udp(void *arg)
{
	struct sockaddr_in a;
	int server, fd;
	char byte;

	(void)arg;
	DO(server = serve(SOCK_DGRAM, 0, &a));
	DO(fd = socket(AF_INET, SOCK_DGRAM, 0));
	DO(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)));
	return recvfrom(server, &byte, 1, 0, NULL, NULL) != 1;
}

static int execute_nothing(void *arg)
{
	(void)arg;
	(void)execl("/nonexistent/nj", "nj", (char *)NULL);
	return errno != ENOENT;
}

static int clone_elsewhere(void *arg)
{
	pid_t pid;

	(void)arg;
	DO(pid = (pid_t)syscall(SYS_clone, CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0)
		_exit(0);
	return waitpid(pid, NULL, 0) != pid;
}

static int leave_namespaces(void *arg)
{
	DO(unshare(CLONE_NEWUTS));
	return clone_elsewhere(arg);
}

static int reach_into_another(void *arg)
{
	static char word[8];
	struct iovec here = {word, sizeof(word)}, there = {word, sizeof(word)};
	pid_t victim = live_victim();

	(void)arg;
	DO(ptrace(PTRACE_SEIZE, victim, NULL, NULL));
	DO(process_vm_readv(victim, &here, 1, &there, 1, 0));
	return live_end_victim(victim);
}

static int touch_the_kernel(void *arg)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr)};
	char nothing[128] = "";

	(void)arg;
	/* Attempts are told as well as what is allowed here. */
	(void)syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, nothing, sizeof(nothing));
	(void)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	(void)syscall(SYS_userfaultfd, O_NONBLOCK);
	(void)syscall(SYS_add_key, "user", "nj:matrix", "v", 1, -2 /* the process's keyring */);
	return 0;
}

static int load_a_module(void *arg)
{
	char nothing[128] = "";

	(void)arg;
	(void)syscall(SYS_init_module, nothing, sizeof(nothing), "");
	return errno == ENOSYS ? NO_CALL : 0;
}

static int make_code(void *arg)
{
	char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	code[0] = 'x';
	DO(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
	DO(memfd_create("nj-matrix", 0));
	return 0;
}

static int send_a_signal(void *arg)
{
	(void)arg;
	return kill(getppid(), SIGCONT);
}

static int move_bytes(void *arg)
{
	int first[2], second[2];

	(void)arg;
	DO(pipe(first));
	DO(pipe(second));
	DO(write(first[1], "abc", 3));
	return splice(first[0], NULL, second[1], NULL, 3, 0) != 3;
}

/* One open, by a ring that is mapped by hand. */
static int open_through_a_ring(void *arg)
{
	struct io_uring_params p = {0};
	struct io_uring_sqe *sqes;
	unsigned char *sq;
	int fd;

	(void)arg;
	DO(fd = (int)syscall(SYS_io_uring_setup, 1, &p));
	sq = mmap(NULL, p.sq_off.array + 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || (void *)sqes == MAP_FAILED)
		return 1;
	sqes[0] = (struct io_uring_sqe){
		.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t) "/nonexistent/nj-wanted"};
	__atomic_store_n((unsigned int *)(void *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1;
}

/* A child: nobody was told of the actor's own fork, which the capture did itself. */
static int use_a_cpu(void *arg)
{
	uint64_t end_ns;
	pid_t pid;

	(void)arg;
	DO(pid = fork());
	if (pid > 0)
		return waitpid(pid, NULL, 0) != pid;
	end_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) + 600 * NS_PER_MS;
	while (clock_read_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
		;
	_exit(0);
}

/* ---- rows ---- */

/* What has to come of an act; a kind counts when an event of it, of that class, is seen. */
static const struct row {
	const char *name; /* of the class, for the table */
	uint32_t class;
	live_act act; /* NULL: takes a program of 32 bits here */
	uint8_t kinds[10]; /* enum event_kind; the rest 0 */
	bool of_32_bits;
} rows[] = {
	{"process", NJ_CLASS_PROCESS, live_a_life, {EVENT_KIND_FORK, EVENT_KIND_EXEC, EVENT_KIND_EXIT}, false},
	{"tcp", NJ_CLASS_TCP, talk_over_tcp,
	 {EVENT_KIND_LISTEN, EVENT_KIND_CONNECT, EVENT_KIND_ESTABLISHED, EVENT_KIND_CLOSE}, false},
	{"file", NJ_CLASS_FILE, open_wanted, {EVENT_KIND_OPEN}, false},
	{"file/int80", NJ_CLASS_FILE, open_by_a_32_bit_call, {EVENT_KIND_OPEN}, true},
	{"descriptor", NJ_CLASS_DESCRIPTOR, copy_descriptors, {EVENT_KIND_DUP, EVENT_KIND_PIPE, EVENT_KIND_PASS}, false},
	{"socket", NJ_CLASS_SOCKET, meet_over_a_unix_socket,
	 {EVENT_KIND_SOCKET, EVENT_KIND_BIND, EVENT_KIND_LISTEN, EVENT_KIND_CONNECT, EVENT_KIND_ACCEPT}, false},
	{"privilege", NJ_CLASS_PRIVILEGE, change_identity, {EVENT_KIND_CRED, EVENT_KIND_PRCTL}, false},
	{"cgroup", NJ_CLASS_CGROUP, come_and_go, {EVENT_KIND_CGROUP}, false},
	{"change", NJ_CLASS_CHANGE, change_the_tree,
	 {EVENT_KIND_UNLINK, EVENT_KIND_RENAME, EVENT_KIND_LINK, EVENT_KIND_CHMOD, EVENT_KIND_CHOWN, EVENT_KIND_UTIME,
	  EVENT_KIND_TRUNCATE, EVENT_KIND_MKDIR, EVENT_KIND_MKNOD}, false},
	{"mount", NJ_CLASS_MOUNT, mount_and_leave, {EVENT_KIND_MOUNT, EVENT_KIND_UMOUNT, EVENT_KIND_ROOT}, false},
	{"message", NJ_CLASS_MESSAGE, talk_over_udp, {EVENT_KIND_SEND, EVENT_KIND_RECEIVE}, false},
	{"dns", NJ_CLASS_DNS, ask, {EVENT_KIND_DNS}, false},
	{"payload", NJ_CLASS_PAYLOAD, talk_over_tcp, {EVENT_KIND_FIRST_BYTES}, false},
	{"exec_failed", NJ_CLASS_EXEC_FAILED, execute_nothing, {EVENT_KIND_EXEC_FAILED}, false},
	{"namespace", NJ_CLASS_NAMESPACE, leave_namespaces, {EVENT_KIND_NAMESPACE}, false},
	{"namespace/clone", NJ_CLASS_NAMESPACE, clone_elsewhere, {EVENT_KIND_NAMESPACE}, false},
	{"access", NJ_CLASS_ACCESS, reach_into_another, {EVENT_KIND_PTRACE, EVENT_KIND_PROCESS_VM}, false},
	{"kernel", NJ_CLASS_KERNEL, touch_the_kernel,
	 {EVENT_KIND_BPF, EVENT_KIND_PERF, EVENT_KIND_USERFAULTFD, EVENT_KIND_KEYCTL}, false},
	{"kernel/module", NJ_CLASS_KERNEL, load_a_module, {EVENT_KIND_MODULE}, false},
	{"memory", NJ_CLASS_MEMORY, make_code, {EVENT_KIND_MEMFD, EVENT_KIND_MEMORY_EXEC}, false},
	{"signal", NJ_CLASS_SIGNAL, send_a_signal, {EVENT_KIND_SIGNAL}, false},
	{"splice", NJ_CLASS_SPLICE, move_bytes, {EVENT_KIND_SPLICE}, false},
	{"io_uring", NJ_CLASS_IO_URING, open_through_a_ring, {EVENT_KIND_IO_URING, EVENT_KIND_OPEN}, false},
	{"cpu", NJ_CLASS_CPU, use_a_cpu, {EVENT_KIND_CPU}, false},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* What an act through io_uring does is told as the act that it is. */
static bool fits(const struct row *row, const struct seen *s)
{
	return event_class(&s->event) == row->class ||
	       (row->class == NJ_CLASS_IO_URING && s->event.marks & EVENT_MARK_IO_URING);
}

static bool has_seen(const struct row *row, enum event_kind kind)
{
	const struct seen *s;
	size_t from = 0;

	while ((s = live_find(&live, kind, 0, &from)) != NULL)
		if (fits(row, s))
			return true;
	return false;
}

/* The first kind that is not there yet; 0 when all are. */
static enum event_kind missing_kind(const struct row *row)
{
	for (size_t i = 0; i < sizeof(row->kinds) && row->kinds[i]; i++)
		if (!has_seen(row, row->kinds[i]))
			return row->kinds[i];
	return 0;
}

static bool any_kind(const struct row *row)
{
	for (size_t i = 0; i < sizeof(row->kinds) && row->kinds[i]; i++)
		if (has_seen(row, row->kinds[i]))
			return true;
	return false;
}

static enum event_kind await_kinds(const struct row *row)
{
	uint64_t deadline = clock_monotonic_ns() + 2 * NS_PER_SEC;
	enum event_kind missing;

	while ((missing = missing_kind(row)) != 0 && clock_monotonic_ns() < deadline)
		live_pump(&live, 100);
	return missing;
}

static const struct capture_coverage *coverage_of(uint32_t class)
{
	const struct capture_coverage *coverages;
	uint32_t count = capture_coverages(live.capture, &coverages);

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(coverages[i].class, event_class_name(class)) == 0)
			return &coverages[i];
	fail_msg("no class %s", event_class_name(class));
	return NULL;
}

/* Performs the act and tells what was seen of it. Returns whether that is what the coverage promises: all kinds, or some
 * where a program of the class was refused. */
static bool perform(const struct row *row, const char *provider, const struct capture_coverage *coverage)
{
	struct actor actor;
	enum event_kind missing;
	int status;

	live.count = live.tree_size = 0;
	actor = live_actor(&live, row->act, NULL);
	live_go(&actor);
	status = live_finish(&live, &actor);
	missing = status == NO_CALL ? 0 : await_kinds(row);
	if (status == NO_CALL)
		printf("NJ cell %s %s refused this kernel has no such call\n", row->name, provider);
	else if (status)
		printf("NJ cell %s %s failed the act itself, at line %d\n", row->name, provider, status);
	else if (missing && !(strstr(coverage->reason, "refused") && any_kind(row)))
		printf("NJ cell %s %s failed no %s event\n", row->name, provider, event_kind_name(missing));
	else {
		printf("NJ cell %s %s passed %s\n", row->name, provider, coverage->reason);
		return true;
	}
	return status == NO_CALL;
}

static bool check(const struct row *row, const char *provider)
{
	const struct capture_coverage *coverage = coverage_of(row->class);
	bool is_blind = row->of_32_bits && strstr(coverage->reason, "32-bit");
	const char *why = row->act ? coverage->reason : "takes a program of 32 bits on this architecture";

	if (strcmp(coverage->state, "missing") != 0 && !is_blind && row->act)
		return perform(row, provider, coverage);
	printf("NJ cell %s %s refused %s\n", row->name, provider, why);
	return true;
}

static void check_all(const char *provider)
{
	uint64_t begin = clock_monotonic_ns();
	bool as_said = true, is_refused;

	assert_non_null(mkdtemp(memcpy(dir, "/tmp/nj-matrix-XXXXXX", sizeof(dir))));
	live_start_provider(&live, provider, POLICY_ALL);
	printf("NJ note %s starts in %llu ms\n", provider,
	       (unsigned long long)((clock_monotonic_ns() - begin) / NS_PER_MS));
	for (size_t i = 0; i < ROWS; i++)
		as_said = check(&rows[i], provider) && as_said;
	is_refused = strcmp(coverage_of(NJ_CLASS_FILE)->state, "missing") == 0;
	live_stop(&live);
	assert_int_equal(rmdir(dir), 0);
	assert_true(as_said);
	if (is_refused)
		skip();
}

static void one_hook_for_all_calls_shows_every_class(void **state)
{
	(void)state;
	check_all("sys_exit");
}

static void the_end_of_each_calls_function_shows_every_class(void **state)
{
	(void)state;
	check_all("function");
}

/* The tracepoints' ids stand in tracefs, which is not mounted everywhere. */
static void a_tracepoint_for_each_call_shows_every_class(void **state)
{
	(void)state;
	if (access("/sys/kernel/tracing/events", F_OK) < 0) {
		assert_int_equal(unshare(CLONE_NEWNS), 0);
		assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
		assert_int_equal(mount("trace", "/sys/kernel/tracing", "tracefs", 0, NULL), 0);
	}
	check_all("per_call");
}

/* With an argument: only the tests whose names it matches, as "*function*". */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hook_for_all_calls_shows_every_class),
		cmocka_unit_test(the_end_of_each_calls_function_shows_every_class),
		cmocka_unit_test(a_tracepoint_for_each_call_shows_every_class),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
