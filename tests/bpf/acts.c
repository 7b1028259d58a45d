/* See acts.h. */
#include "tests/bpf/acts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY_LISTENS 1
#define DISCARD	       9
#define DNS	       53

static struct sockaddr_in local(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void close_both(const int fds[2])
{
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void fork_one(unsigned int i)
{
	pid_t pid = fork();

	(void)i;
	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
}

static void fail_to_connect(unsigned int i)
{
	struct sockaddr_in to = local(NOBODY_LISTENS);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)i;
	(void)!connect(fd, (struct sockaddr *)&to, sizeof(to));
	(void)close(fd);
}

/* Twice: the second is a repeat. */
static void open_something(unsigned int i)
{
	(void)i;
	(void)close(open("/dev/null", O_RDONLY));
	(void)close(open("/dev/null", O_RDONLY));
}

static void make_a_pipe(unsigned int i)
{
	int fds[2];

	(void)i;
	if (pipe(fds) == 0)
		close_both(fds);
}

static void make_a_socket(unsigned int i)
{
	(void)close(socket(AF_UNIX, i & 1 ? SOCK_STREAM : SOCK_DGRAM, 0));
}

static void take_a_name(unsigned int i)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "flood%u", i % 8);
	(void)prctl(PR_SET_NAME, name);
	(void)!setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1);
}

static const char *cgroups(void)
{
	return access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
}

static void make_a_cgroup(unsigned int i)
{
	char path[128];

	(void)i;
	(void)snprintf(path, sizeof(path), "%s/nj-flood-%d", cgroups(), (int)getpid());
	if (mkdir(path, 0755) == 0)
		(void)rmdir(path);
}

static void change_something(unsigned int i)
{
	(void)!chmod("/nonexistent", 0600 | (i & 7));
}

static void mount_nothing(unsigned int i)
{
	(void)i;
	(void)syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0, NULL);
}

static void send_to(uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in to = local(port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)!sendto(fd, data, len, 0, (struct sockaddr *)&to, sizeof(to));
	(void)close(fd);
}

static void send_a_message(unsigned int i)
{
	send_to((uint16_t)(DISCARD + i % 4), "x", 1);
}

static void ask_for_a_name(unsigned int i)
{
	static const char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\2nj\4test\0\0\1\0\1";

	(void)i;
	send_to(DNS, question, sizeof(question) - 1);
}

static void send_first_bytes(unsigned int i)
{
	struct sockaddr_in to = local(0);
	socklen_t len = sizeof(to);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	(void)i;
	if (bind(server, (struct sockaddr *)&to, sizeof(to)) == 0 && listen(server, 1) == 0 &&
	    getsockname(server, (struct sockaddr *)&to, &len) == 0 &&
	    connect(client, (struct sockaddr *)&to, sizeof(to)) == 0)
		(void)!send(client, "hello", 5, MSG_NOSIGNAL);
	(void)close(client);
	(void)close(server);
}

static void fail_to_execute(unsigned int i)
{
	(void)i;
	(void)execl("/nonexistent", "nonexistent", (char *)NULL);
}

static void enter_no_namespace(unsigned int i)
{
	(void)i;
	(void)setns(-1, 0);
}

static void read_the_parent(unsigned int i)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {NULL, 1};

	(void)i;
	(void)!process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

static void unload_no_module(unsigned int i)
{
	(void)i;
	(void)syscall(SYS_delete_module, "nj_no_such_module", O_NONBLOCK);
}

static void make_a_memfd(unsigned int i)
{
	(void)i;
	(void)close(memfd_create("nj", MFD_CLOEXEC));
}

static void signal_the_parent(unsigned int i)
{
	/* Which nobody minds. */
	(void)kill(getppid(), i & 1 ? SIGURG : SIGCHLD);
}

static void copy_a_pipe(unsigned int i)
{
	int from[2], to[2];

	(void)i;
	if (pipe(from) < 0)
		return;
	if (pipe(to) == 0) {
		(void)!write(from[1], "x", 1);
		(void)!tee(from[0], to[1], 1, SPLICE_F_NONBLOCK);
		close_both(to);
	}
	close_both(from);
}

static void make_no_ring(unsigned int i)
{
	(void)i;
	(void)syscall(SYS_io_uring_setup, 0, NULL);
}

static void (*const acts[NJ_CLASS_MAX])(unsigned int) = {
	[NJ_CLASS_PROCESS] = fork_one,
	[NJ_CLASS_TCP] = fail_to_connect,
	[NJ_CLASS_FILE] = open_something,
	[NJ_CLASS_DESCRIPTOR] = make_a_pipe,
	[NJ_CLASS_SOCKET] = make_a_socket,
	[NJ_CLASS_PRIVILEGE] = take_a_name,
	[NJ_CLASS_CGROUP] = make_a_cgroup,
	[NJ_CLASS_CHANGE] = change_something,
	[NJ_CLASS_MOUNT] = mount_nothing,
	[NJ_CLASS_MESSAGE] = send_a_message,
	[NJ_CLASS_DNS] = ask_for_a_name,
	[NJ_CLASS_PAYLOAD] = send_first_bytes,
	[NJ_CLASS_EXEC_FAILED] = fail_to_execute,
	[NJ_CLASS_NAMESPACE] = enter_no_namespace,
	[NJ_CLASS_ACCESS] = read_the_parent,
	[NJ_CLASS_KERNEL] = unload_no_module,
	[NJ_CLASS_MEMORY] = make_a_memfd,
	[NJ_CLASS_SIGNAL] = signal_the_parent,
	[NJ_CLASS_SPLICE] = copy_a_pipe,
	[NJ_CLASS_IO_URING] = make_no_ring,
};

void acts_do(enum nj_class class, unsigned int i)
{
	if (acts[class])
		acts[class](i);
}

bool acts_exist(enum nj_class class)
{
	return acts[class] && (class != NJ_CLASS_CGROUP || access(cgroups(), W_OK) == 0);
}
