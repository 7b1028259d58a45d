/* One program of the product at a time: started with a pipe from what it says, read line by line. */
#include "tests/e2e/part.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / NS_PER_MS) + 1;
}

static void become(const char *const *argv, int said, int write_fd)
{
	const char *build = getenv("NJ_BUILD");
	char path[PATH_MAX];
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    (said == STDERR_FILENO && dup2(null_fd, STDOUT_FILENO) < 0) || dup2(write_fd, said) < 0)
		_exit(126);
	(void)snprintf(path, sizeof(path), "%s/bin/%s", build ? build : "build", argv[0]);
	execv(path, (char *const *)argv);
	_exit(127);
}

int part_start(const char *const *argv, int said, struct part *ret_part)
{
	struct part p = {.said_fd = -1};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	p.pid = fork();
	if (p.pid == 0)
		become(argv, said, fds[1]);
	(void)close(fds[1]);
	p.said_fd = fds[0];
	*ret_part = p;
	return p.pid < 0 ? -EAGAIN : 0;
}

/* A whole line from what has been read so far. */
static bool take_line(struct part *p, char *ret_line, size_t size)
{
	char *end = memchr(p->said, '\n', p->len);
	size_t len = end ? (size_t)(end - p->said) : 0;

	if (!end)
		return false;
	(void)snprintf(ret_line, size, "%.*s", (int)len, p->said);
	p->len -= len + 1;
	memmove(p->said, end + 1, p->len);
	return true;
}

bool part_line(struct part *p, uint64_t deadline_ns, char *ret_line, size_t size)
{
	struct pollfd said = {.fd = p->said_fd, .events = POLLIN};
	ssize_t n;

	while (!take_line(p, ret_line, size)) {
		if (p->len == sizeof(p->said) || poll(&said, 1, remaining_ms(deadline_ns)) <= 0)
			return false;
		n = read(p->said_fd, p->said + p->len, sizeof(p->said) - p->len);
		if (n <= 0)
			return false;
		p->len += (size_t)n;
	}
	return true;
}

bool part_says(struct part *p, const char *text, int timeout_ms, char *ret_line, size_t size)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

	while (part_line(p, deadline, ret_line, size)) {
		if (strstr(ret_line, text))
			return true;
		fprintf(stderr, "said: %s\n", ret_line);
	}
	return false;
}

int part_stop(struct part *p)
{
	_cleanup_(closep) int pidfd = p->pid > 0 ? pidfd_open(p->pid, 0) : -1;
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	int status = 0;

	if (p->pid <= 0)
		return 0;
	(void)kill(p->pid, SIGTERM);
	if (poll(&ended, 1, HARNESS_STOP_MS) <= 0)
		(void)kill(p->pid, SIGKILL);
	(void)waitpid(p->pid, &status, 0);
	closep(&p->said_fd);
	*p = (struct part){.said_fd = -1};
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
