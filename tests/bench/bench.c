/* Figures, percentiles and children of the bench drivers. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "common/clock.h"

const struct container_def bench_host = {.container_id = "",
					 .pod_uid = "",
					 .name = "",
					 .image = "",
					 .pod = "",
					 .namespace = "",
					 .cgroup = "/system.slice/app.service",
					 .image_id = "",
					 .workload = "app.service"};

void bench_print(const char *bench, const char *figure, double value, const char *unit, size_t n,
		 const char *note)
{
	json_t *line = json_pack("{sssssfsssIss}", "bench", bench, "figure", figure, "value", value,
				 "unit", unit, "n", (json_int_t)n, "note", note);

	if (!line)
		bench_die("no memory for a figure");
	(void)json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(line);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t count, double share)
{
	size_t at = (size_t)(share * (double)count);

	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare);
	return values[at < count ? at : count - 1];
}

static void exec_load(const char *const *argv, int out)
{
	char own[PATH_MAX];
	const char *build = getenv("NJ_BUILD");
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out, 1) < 0)
		_exit(126);
	if (strcmp(argv[0], "load") == 0 || strcmp(argv[0], "nightjar-agent") == 0) {
		snprintf(own, sizeof(own), "%s/%s/%s", build ? build : "build",
			 argv[0][0] == 'l' ? "tests/bench" : "bin", argv[0]);
		execv(own, (char *const *)argv);
	}
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

pid_t bench_spawn(const char *const *argv, int *ret_out)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		bench_die("no pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		exec_load(argv, fds[1]);
	if (pid < 0)
		bench_die("no child: %s", strerror(errno));
	(void)close(fds[1]);
	*ret_out = fds[0];
	return pid;
}

void bench_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
}

void bench_read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len + 1 < size && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	(void)close(fd);
}

void bench_tls(const char *dir, const char *name, struct tls_files *ret_files)
{
	char ca[128], cert[128], key[128];
	struct err e = {0};

	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
	snprintf(key, sizeof(key), "%s/%s-key.pem", dir, name);
	if (tls_load(ca, cert, key, clock_wall_ns(), ret_files, &e) < 0)
		bench_die("%s", e.text);
}

void bench_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}
