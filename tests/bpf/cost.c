/* What each kernel program costs on this machine, by the kernel's own statistics: runs a load of
 * each sort under a capture and prints one line per program and load.
 *
 *   make build/tests/bpf/cost && build/tests/bpf/cost          (as root) */
#include "tests/bpf/live.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 2000

struct cost {
	uint64_t ns, runs;
};

/* Among our own descriptors: other agents may run. */
static int program_fd(const char *name)
{
	for (int fd = 3; fd < 256; fd++) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		char path[64], target[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "bpf-prog"))
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strcmp(info.name, name) == 0)
			return fd;
	}
	return -1;
}

static struct cost read_cost(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	(void)bpf_obj_get_info_by_fd(fd, &info, &size);
	return (struct cost){info.run_time_ns, info.run_cnt};
}

static int do_getppid(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100 * ROUNDS; i++)
		(void)syscall(SYS_getppid);
	return 0;
}

static int do_open(void *arg)
{
	for (int i = 0; i < 10 * ROUNDS; i++)
		(void)close(open(arg, O_RDONLY));
	return 0;
}

static int do_chmod(void *arg)
{
	for (int i = 0; i < 10 * ROUNDS; i++)
		(void)chmod(arg, 0755);
	return 0;
}

static int do_exec(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			(void)execl("/bin/true", "true", "an argument", (char *)NULL);
			_exit(1);
		}
		(void)waitpid(pid, NULL, 0);
	}
	return 0;
}

static int do_map(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10 * ROUNDS; i++) {
		void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED || munmap(at, 4096) < 0)
			return 1;
	}
	return 0;
}

static int do_pipe(void *arg)
{
	int ends[2];

	(void)arg;
	for (int i = 0; i < 5 * ROUNDS; i++)
		if (pipe(ends) < 0 || close(ends[0]) < 0 || close(ends[1]) < 0)
			return 1;
	return 0;
}

static int do_dup(void *arg)
{
	int ends[2], copy;

	(void)arg;
	if (pipe(ends) < 0)
		return 1;
	for (int i = 0; i < 5 * ROUNDS; i++) {
		copy = dup(ends[0]);
		if (copy < 0 || close(copy) < 0)
			return 1;
	}
	return 0;
}

static int do_connect(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1)};

	(void)arg;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		(void)!connect(fd, (struct sockaddr *)&a, sizeof(a));
		(void)close(fd);
	}
	return 0;
}

/* To a peer that never reads: what it has no room for is dropped without an error. */
static int do_datagrams(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(arg ? 53 : 9)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), peer = socket(AF_INET, SOCK_DGRAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)bind(peer, (struct sockaddr *)&a, sizeof(a));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 1;
	for (int i = 0; i < 10 * ROUNDS; i++)
		(void)!send(fd, arg ? arg : "x", arg ? 32 : 1, 0);
	return close(fd) | close(peer);
}

static int do_stream(void *arg)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), peer;
	socklen_t len = sizeof(a);
	char text[64] = "";

	(void)arg;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0 || connect(fd, (struct sockaddr *)&a, len) < 0)
		return 1;
	peer = accept(listener, NULL, NULL);
	for (int i = 0; i < 10 * ROUNDS; i++)
		if (send(fd, text, sizeof(text), 0) < 0 || recv(peer, text, sizeof(text), 0) < 0)
			return 1;
	return 0;
}

/* What a row asks of the policy besides the named file. */
enum ask { EACH, SUMMED_UP, BELOW_A_PATH, BY_WORKLOAD };

static const struct {
	const char *load;
	const char *program;
	live_act act;
	const char *arg;
	enum ask ask;
} rows[] = {
	{"getppid (not wanted)", "syscall_exit", do_getppid, NULL, EACH},
	{"open /etc/passwd (not reported)", "syscall_exit", do_open, "/etc/passwd", EACH},
	{"open of a missing file (not reported)", "syscall_exit", do_open, "/nonexistent/name", EACH},
	{"open of a named file (reported)", "syscall_exit", do_open, "/usr/share/doc/bash/copyright", EACH},
	{"the same again (counted)", "syscall_exit", do_open, "/usr/share/doc/bash/copyright", SUMMED_UP},
	{"open beside a wanted path (remembered)", "syscall_exit", do_open, "/etc/passwd", BELOW_A_PATH},
	{"not reported, with a map of workloads", "syscall_exit", do_open, "/etc/passwd", BY_WORKLOAD},
	{"refused chmod, nine names (told)", "syscall_exit", do_chmod, "/usr/share/doc/../../../proc/self/stat", EACH},
	{"mappings of data (not reported)", "syscall_exit", do_map, NULL, EACH},
	{"new pipes (reported)", "syscall_exit", do_pipe, NULL, EACH},
	{"copies of a pipe's end (reported)", "syscall_exit", do_dup, NULL, EACH},
	{"fork", "process_fork", do_exec, NULL, EACH},
	{"exec", "process_exec", do_exec, NULL, EACH},
	{"exit", "process_exit", do_exec, NULL, EACH},
	{"refused connect (two states)", "tcp_state", do_connect, NULL, EACH},
	{"datagrams (one reported, the rest counted)", "syscall_exit", do_datagrams, NULL, EACH},
	{"send and recv on a stream (not reported)", "syscall_exit", do_stream, NULL, EACH},
	{"packets of datagrams (not reported)", "egress", do_datagrams, NULL, EACH},
	{"packets of a stream (not reported)", "egress", do_stream, NULL, EACH},
	{"packets that ask (reported)", "egress", do_datagrams,
	 "\x12\x34\x01\0\0\x01\0\0\0\0\0\0\2nj\7example\4test\0\0\1\0\1", EACH},
};

static void ask_for(struct live *l, enum ask ask)
{
	static const char *const prefixes[] = {"/nonexistent", NULL};
	static const struct uplink_workload all = {.cgroup = "/", .classes = UINT32_MAX};
	struct uplink_policy *next = live_next(l);

	next->each = ask == EACH ? (uint32_t)POLICY_ALL : 0;
	next->open_prefixes = prefixes;
	next->open_prefix_count = ask == BELOW_A_PATH;
	next->workloads = &all;
	next->workload_count = ask == BY_WORKLOAD;
	live_switch(l);
}

int main(void)
{
	static const char *const names[] = {"copyright", NULL};
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct live l;
		struct cost before, after;
		struct actor a;
		int fd;

		live_start(&l, names, 0);
		ask_for(&l, rows[i].ask);
		fd = program_fd(rows[i].program);
		a = live_actor(&l, rows[i].act, (void *)(uintptr_t)rows[i].arg);
		before = read_cost(fd);
		live_go(&a);
		while (waitpid(a.pid, NULL, WNOHANG) == 0)
			live_pump(&l, 10);
		after = read_cost(fd);
		printf("%-40s %-14s %8llu runs %6llu ns each\n", rows[i].load, rows[i].program,
		       (unsigned long long)(after.runs - before.runs),
		       (unsigned long long)((after.ns - before.ns) / (after.runs - before.runs + 1)));
		live_stop(&l);
	}
	(void)close(stats);
	return 0;
}
