/* Runs `nightjar dev` and reads what it reports.
 *
 * The alerts file is watched with inotify and read as a stream of lines; a line is complete once
 * its newline is there. All alerts of a suite stay in memory: a few hundred at most. */
#include "tests/e2e/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

struct dev {
	pid_t pid;
	int pidfd;
	int status; /* wait status, -1 while it runs */
	int watch;  /* inotify on the directory */
	int alerts_fd;
	struct buf line; /* the part of a line that has been read so far */
	json_t *alerts;	 /* array */
	char dir[64];
	char alerts_path[96];
	char record_path[96];
	char stderr_path[96];
	char http_host[64];
	uint16_t http_port;
};

const char *harness_skip_reason(void)
{
	if (geteuid() != 0)
		return "loading BPF programs needs root";
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return "this kernel has no BTF (/sys/kernel/btf/vmlinux)";
	return "";
}

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / NS_PER_MS) + 1;
}

static const char *build_dir(void)
{
	const char *dir = getenv("NJ_BUILD");

	return dir ? dir : "build";
}

static void exec_dev(const struct dev *d, const struct dev_options *o)
{
	char program[PATH_MAX], duration[16];
	const char *argv[24];
	int n = 0;
	int err_fd = open(d->stderr_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (err_fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 ||
	    dup2(err_fd, 2) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		_exit(126);
	snprintf(program, sizeof(program), "%s/bin/nightjar", build_dir());
	snprintf(duration, sizeof(duration), "%u", o->duration_s);
	argv[n++] = program;
	argv[n++] = "dev";
	argv[n++] = "--json";
	argv[n++] = "--alerts";
	argv[n++] = d->alerts_path;
	argv[n++] = "--duration";
	argv[n++] = duration;
	argv[n++] = "--grpc";
	argv[n++] = "127.0.0.1:0";
	argv[n++] = "--http";
	argv[n++] = "127.0.0.1:0";
	if (o->record) {
		argv[n++] = "--record";
		argv[n++] = d->record_path;
	}
	if (o->kafka) {
		argv[n++] = "--kafka";
		argv[n++] = o->kafka;
	}
	argv[n] = NULL;
	execv(program, (char *const *)argv);
	_exit(127);
}

static bool parse_ready(struct dev *d)
{
	_cleanup_(fclosep) FILE *f = fopen(d->stderr_path, "re");
	char line[1024], http[96];

	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "nightjar: ready ");
		char *colon;

		if (!at || !strchr(line, '\n') || !(at = strstr(at, " http=")) ||
		    sscanf(at, " http=%95s", http) != 1 || !(colon = strrchr(http, ':')))
			continue;
		*colon = '\0';
		snprintf(d->http_host, sizeof(d->http_host), "%.63s", http);
		d->http_port = (uint16_t)strtoul(colon + 1, NULL, 10);
		return true;
	}
	return false;
}

/* Sleeps until something is written below the directory, the product ends, or the deadline. */
static void await_change(struct dev *d, uint64_t deadline_ns)
{
	struct pollfd fds[] = {{.fd = d->watch, .events = POLLIN},
			       {.fd = d->pidfd, .events = POLLIN}};
	char events[4096];

	if (poll(fds, d->status < 0 ? 2 : 1, remaining_ms(deadline_ns)) <= 0)
		return;
	if (fds[0].revents)
		(void)!read(d->watch, events, sizeof(events));
}

static void reap(struct dev *d, int flags)
{
	int status;

	if (d->status < 0 && waitpid(d->pid, &status, flags) == d->pid)
		d->status = status;
}

bool dev_is_alive(struct dev *d)
{
	reap(d, WNOHANG);
	return d->status < 0;
}

static int await_ready(struct dev *d, struct err *e)
{
	uint64_t deadline = clock_monotonic_ns() + HARNESS_READY_MS * NS_PER_MS;

	while (!parse_ready(d)) {
		if (!dev_is_alive(d))
			return err_set(e, -ECHILD, "nightjar dev ended before it was ready");
		if (remaining_ms(deadline) == 0)
			return err_set(e, -ETIMEDOUT, "nightjar dev was not ready within %d ms",
				       HARNESS_READY_MS);
		await_change(d, deadline);
	}
	return 0;
}

static int make_files(struct dev *d)
{
	snprintf(d->dir, sizeof(d->dir), "/tmp/nightjar-e2e-XXXXXX");
	if (!mkdtemp(d->dir))
		return -errno;
	snprintf(d->alerts_path, sizeof(d->alerts_path), "%s/alerts", d->dir);
	snprintf(d->record_path, sizeof(d->record_path), "%s/record.njr", d->dir);
	snprintf(d->stderr_path, sizeof(d->stderr_path), "%s/stderr", d->dir);
	d->alerts_fd = open(d->alerts_path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (d->alerts_fd < 0)
		return -errno;
	d->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (d->watch < 0 || inotify_add_watch(d->watch, d->dir, IN_MODIFY | IN_CREATE) < 0)
		return -errno;
	return 0;
}

int dev_start(const struct dev_options *options, struct dev **ret_dev, struct err *e)
{
	_cleanup_(dev_freep) struct dev *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->pid = d->pidfd = d->status = d->watch = d->alerts_fd = -1;
	d->alerts = json_array();
	if (!d->alerts)
		return -ENOMEM;
	r = make_files(d);
	if (r < 0)
		return err_set(e, r, "cannot make '%s': %s", d->dir, strerror(-r));
	d->pid = fork();
	if (d->pid < 0)
		return -errno;
	if (d->pid == 0)
		exec_dev(d, options);
	d->pidfd = pidfd_open(d->pid, 0);
	r = await_ready(d, e);
	if (r < 0) {
		char command[160];

		snprintf(command, sizeof(command), "tail -20 %s >&2", d->stderr_path);
		(void)!system(command);
		return r;
	}
	*ret_dev = take_ptr(d);
	return 0;
}

int dev_stop(struct dev *d)
{
	struct pollfd ended = {.fd = d->pidfd, .events = POLLIN};

	if (d->pid <= 0)
		return 0;
	if (dev_is_alive(d)) {
		(void)kill(d->pid, SIGTERM);
		if (poll(&ended, 1, HARNESS_STOP_MS) <= 0) {
			(void)kill(d->pid, SIGKILL);
			reap(d, 0);
			return -ETIMEDOUT;
		}
		reap(d, 0);
	}
	return WIFEXITED(d->status) ? WEXITSTATUS(d->status) : 128 + WTERMSIG(d->status);
}

void dev_free(struct dev *d)
{
	char command[96];

	if (!d)
		return;
	(void)dev_stop(d);
	if (d->dir[0] && !getenv("NJ_KEEP")) {
		snprintf(command, sizeof(command), "rm -rf %s", d->dir);
		(void)!system(command);
	}
	closep(&d->pidfd);
	closep(&d->watch);
	closep(&d->alerts_fd);
	buf_done(&d->line);
	json_decref(d->alerts);
	free(d);
}

pid_t dev_pid(const struct dev *d)
{
	return d->pid;
}

const char *dev_recording(const struct dev *d)
{
	return d->record_path;
}

const char *dev_stderr(const struct dev *d)
{
	return d->stderr_path;
}

static bool has_comm(pid_t pid, const char *name)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[64], comm[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	return f && fgets(comm, sizeof(comm), f) && strncmp(comm, name, strlen(name)) == 0;
}

pid_t dev_child(const struct dev *d, const char *name)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", d->pid, d->pid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		if (has_comm(pid, name))
			return pid;
	return -ESRCH;
}

/* ---- alerts ---- */

static void take_line(struct dev *d, const char *line, size_t len)
{
	json_t *alert = json_loadb(line, len, 0, NULL);

	if (alert)
		(void)json_array_append_new(d->alerts, alert);
	else
		fprintf(stderr, "not JSON in the alerts file: %.*s\n", (int)len, line);
}

static void read_alerts(struct dev *d)
{
	char data[16384];
	ssize_t n;

	while ((n = read(d->alerts_fd, data, sizeof(data))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (data[i] != '\n') {
				buf_add_byte(&d->line, (uint8_t)data[i]);
				continue;
			}
			take_line(d, (const char *)d->line.data, d->line.len);
			buf_clear(&d->line);
		}
	}
}

size_t dev_alert_count(struct dev *d)
{
	read_alerts(d);
	return json_array_size(d->alerts);
}

json_t *dev_await_alert(struct dev *d, size_t *from, bool (*match)(void *ctx, json_t *alert),
			void *ctx, int timeout_ms)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

	for (;;) {
		size_t count = dev_alert_count(d);

		while (*from < count) {
			json_t *alert = json_array_get(d->alerts, (*from)++);

			if (match(ctx, alert))
				return alert;
		}
		if (remaining_ms(deadline) == 0 || !dev_is_alive(d))
			return NULL;
		await_change(d, deadline);
	}
}

int dev_metric(const struct dev *d, const char *name, uint64_t *ret_value)
{
	return harness_metric(d->http_host, d->http_port, name, ret_value);
}
