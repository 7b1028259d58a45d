/* Load generators: what a program does to the kernel, timed from inside.
 *
 * usage: load NAME [OPERATIONS [PORT]]
 *   openclose  the same file      openuniq  a file of its own each time    getppid
 *   stat       of the same file   pipe      a byte through a pipe
 *   forkexec   vfork, execve, wait connect   to a listener of its own on loopback
 *   compile    a small C program, with the cc in PATH
 *   http_close http_keep          requests to the web server on PORT
 *   churn      openuniq until SIGTERM, with new files: for latency under load; prints nothing
 *
 * Prints "OPERATIONS_PER_SECOND P99_NS": throughput over the whole run, 99th percentile of one
 * operation. Operations too short to be timed alone are timed in chunks. At most 1 M samples. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/bench/bench.h"

struct state {
	char dir[64]; /* on a memory file system where there is one */
	int listener;
	int connection; /* http_keep */
	int pipe[2];
	uint16_t port;
};

static void make_dir(struct state *s)
{
	snprintf(s->dir, sizeof(s->dir), "%s/nightjar-load-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(s->dir))
		bench_die("cannot make '%s': %s", s->dir, strerror(errno));
}

static void name_file(const struct state *s, uint64_t i, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/%llu", s->dir, (unsigned long long)i);
}

static void make_file(const struct state *s, uint64_t i)
{
	char path[96];
	int fd;

	name_file(s, i, path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die("cannot make '%s': %s", path, strerror(errno));
	(void)close(fd);
}

static void open_file(const struct state *s, uint64_t i)
{
	char path[96];
	int fd;

	name_file(s, i, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bench_die("cannot open '%s': %s", path, strerror(errno));
	(void)close(fd);
}

static void remove_files(struct state *s, uint64_t count)
{
	char path[96];

	for (uint64_t i = 0; i < count; i++) {
		name_file(s, i, path, sizeof(path));
		(void)unlink(path);
	}
	if (s->dir[0])
		(void)rmdir(s->dir);
}

static void connect_to(uint16_t port, int *ret_fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		bench_die("cannot connect to port %u: %s", port, strerror(errno));
	*ret_fd = fd;
}

static void listen_any(struct state *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(s->listener, 128) < 0 ||
	    getsockname(s->listener, (struct sockaddr *)&at, &len) < 0)
		bench_die("cannot listen: %s", strerror(errno));
	s->port = ntohs(at.sin_port);
}

/* ---- operations ---- */

static void op_openclose(struct state *s, uint64_t i)
{
	(void)i;
	open_file(s, 0);
}

static void op_openuniq(struct state *s, uint64_t i)
{
	open_file(s, i);
}

static void op_getppid(struct state *s, uint64_t i)
{
	(void)s;
	(void)i;
	(void)syscall(SYS_getppid);
}

static void op_stat(struct state *s, uint64_t i)
{
	struct stat st;
	char path[96];

	(void)i;
	name_file(s, 0, path, sizeof(path));
	if (stat(path, &st) < 0)
		bench_die("cannot stat '%s': %s", path, strerror(errno));
}

static void op_pipe(struct state *s, uint64_t i)
{
	char byte = (char)i;

	if (write(s->pipe[1], &byte, 1) != 1 || read(s->pipe[0], &byte, 1) != 1)
		bench_die("the pipe broke: %s", strerror(errno));
}

static void op_compile(struct state *s, uint64_t i)
{
	char source[96], object[128];
	const char *const argv[] = {"cc", "-O1", "-c", "-x", "c", "-o", object, source, NULL};
	int status = -1;
	pid_t pid;

	(void)i;
	name_file(s, 0, source, sizeof(source));
	snprintf(object, sizeof(object), "%s.o", source);
	pid = fork();
	if (pid == 0) {
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		bench_die("cc failed with status %d", status);
	(void)unlink(object);
}

/* vfork and execve, as shells and libraries start programs. */
static void op_forkexec(struct state *s, uint64_t i)
{
	char arg[] = "true", *const argv[] = {arg, NULL}, *const envp[] = {NULL};
	pid_t pid;
	int r = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, envp);

	(void)s;
	(void)i;
	if (r != 0)
		bench_die("cannot start '/bin/true': %s", strerror(r));
	(void)waitpid(pid, NULL, 0);
}

/* The client closes with a reset, so that no port is left in TIME_WAIT. */
static void op_connect(struct state *s, uint64_t i)
{
	struct linger reset = {.l_onoff = 1};
	int fd, accepted;

	(void)i;
	connect_to(s->port, &fd);
	accepted = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
	(void)close(accepted);
}

static void request(int fd, const char *text)
{
	char answer[4096];
	size_t len = 0;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		bench_die("cannot send a request: %s", strerror(errno));
	/* The page ends with this mark, headers before it. */
	while (len < sizeof(answer)) {
		ssize_t n = recv(fd, answer + len, sizeof(answer) - len, 0);

		if (n <= 0)
			bench_die("the web server closed early");
		len += (size_t)n;
		if (memmem(answer, len, "END", 3))
			return;
	}
}

static void op_http_close(struct state *s, uint64_t i)
{
	char rest[64];
	int fd;

	(void)i;
	connect_to(s->port, &fd);
	request(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
	(void)close(fd);
}

static void op_http_keep(struct state *s, uint64_t i)
{
	(void)i;
	if (s->connection < 0)
		connect_to(s->port, &s->connection);
	request(s->connection, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

/* ---- rows ---- */

static void begin_one_file(struct state *s, uint64_t count)
{
	(void)count;
	make_dir(s);
	make_file(s, 0);
}

static void begin_files(struct state *s, uint64_t count)
{
	make_dir(s);
	for (uint64_t i = 0; i < count; i++)
		make_file(s, i);
}

static void begin_pipe(struct state *s, uint64_t count)
{
	(void)count;
	if (pipe2(s->pipe, O_CLOEXEC) < 0)
		bench_die("cannot make a pipe: %s", strerror(errno));
}

/* As many functions as a small source file of ours has, and the headers it includes. */
static void begin_source(struct state *s, uint64_t count)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[96];

	(void)count;
	make_dir(s);
	name_file(s, 0, path, sizeof(path));
	f = fopen(path, "we");
	if (!f)
		bench_die("cannot write '%s': %s", path, strerror(errno));
	(void)fputs("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include "
		    "<unistd.h>\n",
		    f);
	for (int i = 0; i < 20; i++)
		fprintf(f, "int f%d(int x) { int s = %d; while (x--) s += x * %d; return s; }\n", i,
			i, i + 1);
}

static void begin_listener(struct state *s, uint64_t count)
{
	(void)count;
	listen_any(s);
}

struct load {
	const char *name;
	void (*begin)(struct state *s, uint64_t count); /* untimed; NULL: nothing */
	void (*operation)(struct state *s, uint64_t i);
	uint64_t count; /* default */
	uint64_t chunk; /* operations between two clock reads */
};

static const struct load loads[] = {
	{"openclose", begin_one_file, op_openclose, 200000, 8},
	{"openuniq", begin_files, op_openuniq, 20000, 1},
	{"getppid", NULL, op_getppid, 3000000, 64},
	{"stat", begin_one_file, op_stat, 300000, 16},
	{"pipe", begin_pipe, op_pipe, 300000, 16},
	{"forkexec", NULL, op_forkexec, 1000, 1},
	{"compile", begin_source, op_compile, 8, 1},
	{"connect", begin_listener, op_connect, 10000, 1},
	{"http_close", NULL, op_http_close, 5000, 1},
	{"http_keep", NULL, op_http_keep, 15000, 1},
};

/* Opens files that nobody has opened before, until SIGTERM. */
static void churn(struct state *s)
{
	const struct timespec now = {0};
	char path[96];
	sigset_t term;

	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
	make_dir(s);
	for (uint64_t i = 0; i % 256 != 0 || sigtimedwait(&term, NULL, &now) < 0; i++) {
		name_file(s, i, path, sizeof(path));
		make_file(s, i);
		(void)unlink(path);
	}
	remove_files(s, 0);
	exit(0);
}

static void run(const struct load *l, struct state *s, uint64_t count)
{
	uint64_t chunks = count / l->chunk, begun, before, now;
	_cleanup_(freep) double *samples = calloc(chunks, sizeof(*samples));

	if (!samples)
		bench_die("no memory for %llu samples", (unsigned long long)chunks);
	if (l->begin)
		l->begin(s, count);
	begun = before = clock_monotonic_ns();
	for (uint64_t c = 0; c < chunks; c++) {
		for (uint64_t i = 0; i < l->chunk; i++)
			l->operation(s, c * l->chunk + i);
		now = clock_monotonic_ns();
		samples[c] = (double)(now - before) / (double)l->chunk;
		before = now;
	}
	printf("%.1f %.0f\n", (double)(chunks * l->chunk) * 1e9 / (double)(before - begun),
	       bench_quantile(samples, chunks, 0.99));
	if (s->dir[0])
		remove_files(s, l->operation == op_openuniq ? count : 1);
}

int main(int argc, char **argv)
{
	struct state s = {.listener = -1, .connection = -1};

	if (argc > 3)
		s.port = (uint16_t)strtoul(argv[3], NULL, 10);
	if (argc > 1 && strcmp(argv[1], "churn") == 0)
		churn(&s);
	for (size_t i = 0; argc > 1 && i < sizeof(loads) / sizeof(*loads); i++) {
		uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

		if (strcmp(loads[i].name, argv[1]) != 0)
			continue;
		run(&loads[i], &s, count >= loads[i].chunk ? count : loads[i].count);
		return 0;
	}
	bench_die("usage: load NAME [OPERATIONS [PORT]]");
}
