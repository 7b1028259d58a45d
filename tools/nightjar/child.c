/* Programs that this one started; see child.h. */
#include "tools/nightjar/child.h"

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

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ready.h"

/* ---- start ---------------------------------------------------------------------------------- */

/* In the child: never returns. Signals as a program expects them, except SIGPIPE, which stays ignored
 * so that the loss of this process's pipes does not end a child that drains. */
static void become(char *const argv[], pid_t parent, int stdout_fd, int stderr_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		_exit(126);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(stdout_fd, STDOUT_FILENO) < 0 ||
	    dup2(stderr_fd, STDERR_FILENO) < 0)
		_exit(126);
	(void)execv(argv[0], argv);
	_exit(127);
}

int child_start(struct child *c, const char *name, char *const argv[], int stdout_fd, struct err *e)
{
	pid_t parent = getpid();
	int fds[2];

	*c = (struct child){.name = name, .pidfd = -1, .stderr_fd = -1, .quiet = c->quiet};
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
	c->stderr_fd = fds[0];
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c->pid = fork();
	if (c->pid == 0)
		become(argv, parent, stdout_fd, fds[1]);
	(void)close(fds[1]);
	if (c->pid > 0)
		c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd >= 0)
		return 0;
	(void)err_set(e, -errno, "cannot start %s: %s", name, strerror(errno));
	child_done(c);
	return -EAGAIN;
}

/* ---- what it says --------------------------------------------------------------------------- */

static bool is_detail(const char *line)
{
	return strstr(line, ": info: ") || strstr(line, ": debug: ");
}

static void take_line(struct child *c)
{
	bool passed_on;
	const char *words;

	c->line[c->line_len] = '\0';
	c->line_len = 0;
	words = ready_words(c->line);
	if (words && !*c->ready) {
		(void)snprintf(c->ready, sizeof(c->ready), "%s", words);
		return;
	}
	passed_on = !c->quiet || !is_detail(c->line);
	if (passed_on)
		(void)fprintf(stderr, "%s\n", c->line);
	if (*c->line) /* said once is enough */
		(void)snprintf(c->last, sizeof(c->last), "%s", passed_on ? "" : c->line);
}

static void take_bytes(struct child *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n')
			c->line[c->line_len++] = data[i];
		if (data[i] == '\n' || c->line_len == sizeof(c->line) - 1)
			take_line(c);
	}
}

void child_listen(struct child *c)
{
	char data[4096];
	ssize_t n = -1;

	while (c->stderr_fd >= 0 && (n = read(c->stderr_fd, data, sizeof(data))) > 0)
		take_bytes(c, data, (size_t)n);
	if (n == 0) { /* nobody holds the other end any more */
		closep(&c->stderr_fd);
		c->stderr_fd = -1;
		if (c->line_len)
			take_line(c);
	}
}

/* ---- end ------------------------------------------------------------------------------------ */

bool child_has_ended(struct child *c)
{
	if (c->pid > 0 && !c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid) {
		c->ended = true;
		child_listen(c);
	}
	return c->ended;
}

int child_explain(const struct child *c, struct err *e)
{
	const char *colon = *c->last ? ": " : "";

	if (WIFSIGNALED(c->status))
		return err_set(e, -ECHILD, "%s was ended by signal %d (%s)%s%s", c->name, WTERMSIG(c->status),
			       strsignal(WTERMSIG(c->status)), colon, c->last);
	return err_set(e, -ECHILD, "%s ended with exit status %d%s%s", c->name, WEXITSTATUS(c->status), colon,
		       c->last);
}

/* Until it has ended or the time is over. */
static void await_end(struct child *c, int timeout_ms)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

	while (!child_has_ended(c)) {
		struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = c->stderr_fd, .events = POLLIN}};
		uint64_t now = clock_monotonic_ns();

		if (now >= deadline)
			return;
		(void)poll(fds, 2, (int)((deadline - now) / NS_PER_MS) + 1);
		child_listen(c);
	}
}

int child_stop(struct child *c, int timeout_ms, struct err *e)
{
	if (c->pid <= 0)
		return 0;
	if (!c->ended)
		(void)kill(c->pid, SIGTERM);
	await_end(c, timeout_ms);
	if (!c->ended) {
		child_done(c);
		return err_set(e, -ETIMEDOUT, "%s did not stop within %d ms and was killed", c->name, timeout_ms);
	}
	return WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0 ? 0 : child_explain(c, e);
}

void child_done(struct child *c)
{
	if (c->pid > 0 && !child_has_ended(c)) {
		(void)kill(c->pid, SIGKILL);
		c->ended = waitpid(c->pid, &c->status, 0) == c->pid;
	}
	closep(&c->pidfd);
	closep(&c->stderr_fd);
	c->pidfd = c->stderr_fd = -1;
}
