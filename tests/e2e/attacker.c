/* The attacker's end of a connection, in a process and session of its own: an outside party even on
 * loopback. It proves that an attack was real: a command goes in and its computed answer comes out.
 */
#include "tests/e2e/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define SHELL_MS  20000
#define SINK_HELD 512

static int listen_on(uint32_t address, uint16_t *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		_exit(1);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

/* Reads until the text has come. What was read before the last 4 KiB is forgotten. */
static bool read_until(int fd, const char *text, int timeout_ms)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	char seen[8192];
	size_t len = 0;

	while (clock_monotonic_ns() < deadline) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, timeout_ms) <= 0)
			return false;
		n = read(fd, seen + len, sizeof(seen) - len);
		if (n <= 0)
			return false;
		len += (size_t)n;
		if (memmem(seen, len, text, strlen(text)))
			return true;
		if (len > sizeof(seen) / 2) {
			memmove(seen, seen + len - sizeof(seen) / 4, sizeof(seen) / 4);
			len = sizeof(seen) / 4;
		}
	}
	return false;
}

static void serve_shell(int listener, int result)
{
	static const char command[] = "echo marker-$((6*7))\n";
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char yes = 'y', rest[512];

	if (fd < 0 || send(fd, command, sizeof(command) - 1, MSG_NOSIGNAL) < 0 ||
	    !read_until(fd, "marker-42", SHELL_MS))
		_exit(1);
	(void)!write(result, &yes, 1);
	while (read(fd, rest, sizeof(rest)) > 0)
		;
	_exit(0);
}

/* Leaves the closing to the client, as long as there is room for it. */
static void serve_sink(int listener)
{
	int held[SINK_HELD];

	for (size_t i = 0;; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			_exit(1);
		if (i >= SINK_HELD)
			(void)close(held[i % SINK_HELD]);
		held[i % SINK_HELD] = fd;
	}
}

static void serve(enum attacker_kind kind, int result)
{
	uint16_t port;
	int listener;

	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	listener = listen_on(kind == ATTACKER_SINK ? INADDR_ANY : INADDR_LOOPBACK, &port);
	if (write(result, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	if (kind == ATTACKER_SINK)
		serve_sink(listener);
	serve_shell(listener, result);
}

int attacker_start(enum attacker_kind kind, struct attacker *ret_attacker)
{
	struct attacker a = {.pid = -1, .result = -1};
	int pipe_fds[2];

	if (kind == ATTACKER_NONE) {
		*ret_attacker = a;
		return 0;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	a.pid = fork();
	if (a.pid == 0)
		serve(kind, pipe_fds[1]);
	(void)close(pipe_fds[1]);
	a.result = pipe_fds[0];
	if (a.pid < 0 || read(a.result, &a.port, sizeof(a.port)) != sizeof(a.port)) {
		attacker_stop(&a);
		return -ECHILD;
	}
	*ret_attacker = a;
	return 0;
}

bool attacker_got_shell(struct attacker *a, int timeout_ms)
{
	struct pollfd p = {.fd = a->result, .events = POLLIN};
	char answer;

	return poll(&p, 1, timeout_ms) > 0 && read(a->result, &answer, 1) == 1 && answer == 'y';
}

void attacker_stop(struct attacker *a)
{
	if (a->pid > 0) {
		(void)kill(a->pid, SIGKILL);
		(void)waitpid(a->pid, NULL, 0);
	}
	closep(&a->result);
	*a = (struct attacker){.pid = -1, .result = -1};
}
