/* nightjar dev: the two real programs on this host, with certificates made for the run.
 *
 * Order: files, collector, its ready line, agent, its ready line, live; then until a signal, the end of
 * the duration or the death of either; then the agent is stopped first, so that the collector still
 * takes what it has. The collector writes alerts straight to this process's stdout (log.format people
 * or json): nothing stands between a detector and the terminal, so nothing is later or lost there.
 * Everything this process waits for is a descriptor; it never polls by time. */
#include "tools/nightjar/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/alert_text.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ready.h"
#include "tools/nightjar/child.h"
#include "tools/nightjar/command.h"
#include "tools/nightjar/programs.h"
#include "tools/nightjar/run_file.h"

#define READY_MS 30000 /* from the start of a program to its ready line */
#define STOP_MS	 7000  /* from SIGTERM to its end, for each; longer than an agent drains */

#define ROW(k, t, f, d, h)                                                                         \
	{.key = (k), .type = (t), .offset = offsetof(struct dev_settings, f), .fallback = (d), .help = (h)}

static const struct opt opts[] = {
	ROW("json", OPT_BOOL, json, "false", "JSON lines on stdout instead of sentences"),
	ROW("alerts", OPT_PATH, alerts, "", "append every alert to this file, one JSON object a line"),
	ROW("record", OPT_PATH, record, "", "record what the agent sends into this file, for nightjar replay"),
	ROW("kafka", OPT_TEXT, kafka, "", "also send alerts to these brokers, HOST:PORT,..."),
	ROW("grpc", OPT_TEXT, grpc, "127.0.0.1:0", "HOST:PORT of the query API and of agents; port 0 is a free one"),
	ROW("http", OPT_TEXT, http, "127.0.0.1:0", "HOST:PORT of /metrics, /healthz, /readyz; port 0 is a free one"),
	ROW("certs", OPT_PATH, certs, "",
	    "directory of the CA and its certificates, made when missing; empty: one that ends with the run"),
	ROW("rules", OPT_LIST, rules, "", "rule files to load; refused until the collector can load some"),
	ROW("config", OPT_PATH, config, "", "configuration of the collector for all that dev does not set itself"),
	ROW("duration", OPT_COUNT, duration_s, "0", "ends so many seconds after it is ready; 0 is never"),
	ROW("run_dir", OPT_PATH, run_dir, RUN_FILE_DIR, "where to say how this dev can be reached"),
};

const struct optable dev_table = {
	.program = "nightjar dev",
	.summary = "watch this host: agent and collector with nothing to set up",
	.opts = opts,
	.count = sizeof(opts) / sizeof(*opts),
	.command = true,
};

struct dev {
	const struct dev_settings *settings;
	struct dev_files files;
	struct child collector;
	struct child agent;
	int signal_fd;
	int timer_fd; /* the duration */
	bool stopping; /* a signal or the end of the duration has come */
};

/* ---- waiting -------------------------------------------------------------------------------- */

/* One turn: waits for anything to happen and takes it in. -ECHILD when a program has died. */
static int turn(struct dev *d, int timeout_ms, struct err *e)
{
	struct pollfd fds[] = {
		{.fd = d->signal_fd, .events = POLLIN},
		{.fd = d->timer_fd, .events = POLLIN},
		{.fd = d->collector.stderr_fd, .events = POLLIN},
		{.fd = d->agent.stderr_fd, .events = POLLIN},
		{.fd = d->collector.pidfd, .events = POLLIN},
		{.fd = d->agent.pidfd, .events = POLLIN},
	};

	if (poll(fds, sizeof(fds) / sizeof(*fds), timeout_ms) < 0 && errno != EINTR)
		return err_set(e, -errno, "cannot wait: %s", strerror(errno));
	child_listen(&d->collector);
	child_listen(&d->agent);
	if (fds[0].revents || fds[1].revents)
		d->stopping = true;
	if (child_has_ended(&d->collector))
		return child_explain(&d->collector, e);
	if (child_has_ended(&d->agent))
		return child_explain(&d->agent, e);
	return 0;
}

/* 0 once the program has said that it is ready, or when the run is to stop. */
static int await_ready(struct dev *d, const struct child *c, struct err *e)
{
	uint64_t deadline = clock_monotonic_ns() + READY_MS * NS_PER_MS;
	int r = 0;

	while (r >= 0 && !*c->ready && !d->stopping) {
		uint64_t now = clock_monotonic_ns();

		if (now >= deadline)
			return err_set(e, -ETIMEDOUT, "%s was not ready within %d s%s%s", c->name, READY_MS / 1000,
				       *c->last ? ": " : "", c->last);
		r = turn(d, (int)((deadline - now) / NS_PER_MS) + 1, e);
	}
	return r;
}

/* ---- start ---------------------------------------------------------------------------------- */

static int open_descriptors(struct dev *d, struct err *e)
{
	sigset_t stop;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->signal_fd < 0 || d->timer_fd < 0)
		return err_set(e, -errno, "cannot wait for signals: %s", strerror(errno));
	return 0;
}

static int start_collector(struct dev *d, struct err *e)
{
	const struct dev_settings *s = d->settings;
	char program[PATH_MAX], *argv[8] = {program};
	int n = 1, r = programs_find("nightjar-collector", program, e);

	if (r >= 0)
		r = dev_files_write_collector(&d->files, s, e);
	if (r < 0)
		return r;
	if (*s->config) {
		argv[n++] = (char *)"--config";
		argv[n++] = s->config;
	}
	argv[n++] = (char *)"--config";
	argv[n++] = d->files.collector;
	argv[n] = NULL;
	r = child_start(&d->collector, "nightjar-collector", argv, STDOUT_FILENO, e);
	return r < 0 ? r : await_ready(d, &d->collector, e);
}

/* Where this host reaches what listens everywhere. */
static void target_of(const char *grpc, char *ret, size_t size)
{
	if (strncmp(grpc, "0.0.0.0:", 8) == 0)
		(void)snprintf(ret, size, "127.0.0.1:%s", grpc + 8);
	else if (strncmp(grpc, "[::]:", 5) == 0)
		(void)snprintf(ret, size, "[::1]:%s", grpc + 5);
	else
		(void)snprintf(ret, size, "%s", grpc);
}

static int start_agent(struct dev *d, struct err *e)
{
	char program[PATH_MAX], grpc[256], target[280];
	char *argv[] = {program, (char *)"--config", d->files.agent, NULL};
	int r;

	if (!ready_value(d->collector.ready, "grpc", grpc, sizeof(grpc)))
		return err_set(e, -EPROTO, "nightjar-collector is ready but names no gRPC address");
	target_of(grpc, target, sizeof(target));
	r = programs_find("nightjar-agent", program, e);
	if (r >= 0)
		r = dev_files_write_agent(&d->files, target, e);
	if (r >= 0)
		r = child_start(&d->agent, "nightjar-agent", argv, STDERR_FILENO, e);
	return r < 0 ? r : await_ready(d, &d->agent, e);
}

/* ---- live ----------------------------------------------------------------------------------- */

/* "degraded:no_BTF" as " (degraded: no BTF)". */
static void add_state(struct buf *out, const char *state, size_t len)
{
	size_t name = strcspn(state, ": ");

	buf_printf(out, " (%.*s%s", (int)name, state, name < len ? ": " : "");
	for (size_t i = name + 1; i < len; i++)
		buf_add_byte(out, (uint8_t)(state[i] == '_' ? ' ' : state[i]));
	buf_add_byte(out, ')');
}

/* "process, tcp, file (degraded: no BTF)" from the words of the agent's ready line. */
static void add_coverage(struct buf *out, const char *words)
{
	const char *separator = "";

	while (*words) {
		size_t len = strcspn(words, " "), name = strcspn(words, "= ");
		const char *state = words + name + (name < len);

		if (name < len && strncmp(words, "collector=", 10) != 0 && strncmp(words, "node=", 5) != 0) {
			buf_printf(out, "%s%.*s", separator, (int)name, words);
			if (strncmp(state, "full", 4) != 0)
				add_state(out, state, (size_t)(words + len - state));
			separator = ", ";
		}
		words += len;
		words += strspn(words, " ");
	}
}

static void announce(struct dev *d)
{
	struct alert_text_style style = alert_text_style_of(STDERR_FILENO);
	_cleanup_buf_ struct buf coverage = {0};
	struct run_file file = {.pid = getpid()};
	struct err e = {0};

	(void)ready_value(d->collector.ready, "grpc", file.grpc, sizeof(file.grpc));
	(void)ready_value(d->collector.ready, "http", file.http, sizeof(file.http));
	(void)snprintf(file.certs, sizeof(file.certs), "%s", d->files.certs);
	add_coverage(&coverage, d->agent.ready);
	(void)fprintf(stderr, "%snightjar: watching %s: %s%s\n", style.color ? "\x1b[1;32m" : "", d->files.node,
		      buf_text(&coverage), style.color ? "\x1b[0m" : "");
	(void)fprintf(stderr, "nightjar: ready grpc=%s http=%s certs=%s\n", file.grpc, file.http, file.certs);
	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "nightjar: alerts appear below; Ctrl-C stops\n");
	if (run_file_write(d->settings->run_dir, &file, &e) < 0)
		(void)fprintf(stderr, "nightjar: warning: other commands need --server %s: %s\n", file.grpc, e.text);
}

/* Live from here on: the duration begins. */
static int go_live(struct dev *d, struct err *e)
{
	struct itimerspec end = {.it_value.tv_sec = (time_t)d->settings->duration_s};

	announce(d);
	if (timerfd_settime(d->timer_fd, 0, &end, NULL) < 0)
		return err_set(e, -errno, "cannot set a timer: %s", strerror(errno));
	return 0;
}

static int run_until_stopped(struct dev *d, struct err *e)
{
	int r = open_descriptors(d, e);

	if (r >= 0)
		r = dev_files_make(d->settings, &d->files, e);
	if (r >= 0)
		r = start_collector(d, e);
	if (r >= 0 && !d->stopping)
		r = start_agent(d, e);
	if (r >= 0 && !d->stopping)
		r = go_live(d, e);
	while (r >= 0 && !d->stopping)
		r = turn(d, -1, e);
	if (r >= 0 && isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\nnightjar: stopping\n");
	return r;
}

/* The agent first: what it still has, the collector still takes. Keeps the first reason. */
static int stop_all(struct dev *d, int r, struct err *e)
{
	struct child *order[] = {&d->agent, &d->collector};

	for (size_t i = 0; i < 2; i++) {
		struct err why = {0};
		int stopped = order[i]->ended && r < 0 ? 0 : child_stop(order[i], STOP_MS, &why);

		if (r >= 0 && stopped < 0) {
			r = stopped;
			*e = why;
		}
		child_done(order[i]);
	}
	return r;
}

static int run(const void *settings, char **arguments)
{
	struct dev d = {
		.settings = settings,
		.collector = {.pidfd = -1, .stderr_fd = -1, .quiet = isatty(STDERR_FILENO)},
		.agent = {.pidfd = -1, .stderr_fd = -1, .quiet = isatty(STDERR_FILENO)},
		.signal_fd = -1,
		.timer_fd = -1,
	};
	struct err e = {0};
	int r;

	(void)arguments;
	if (geteuid() != 0)
		return command_fail(EXIT_STATUS_USAGE, "dev", "run it as root: the agent loads BPF programs");
	if (d.settings->rules.count)
		return command_fail(EXIT_STATUS_USAGE, "dev",
				    "--rules: this version has its built-in detectors only and loads no rule files");
	r = run_until_stopped(&d, &e);
	r = stop_all(&d, r, &e);
	run_file_remove(d.settings->run_dir);
	dev_files_remove(&d.files);
	closep(&d.signal_fd);
	closep(&d.timer_fd);
	return r < 0 ? command_fail(EXIT_STATUS_FAILED, "dev", "%s", e.text) : EXIT_STATUS_OK;
}

/* record FILE is dev with --record FILE. */
static int run_record(const void *settings, char **arguments)
{
	struct dev_settings s = *(const struct dev_settings *)settings;

	s.record = arguments[0];
	return run(&s, arguments + 1);
}

static const struct optable record_table = {
	.program = "nightjar record FILE",
	.summary = "nightjar dev that also records what the agent sends",
	.opts = opts,
	.count = sizeof(opts) / sizeof(*opts),
	.command = true,
};

const struct command command_dev = {
	.words = "dev",
	.table = &dev_table,
	.settings_size = sizeof(struct dev_settings),
	.run = run,
};
const struct command command_record = {
	.words = "record",
	.table = &record_table,
	.settings_size = sizeof(struct dev_settings),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_record,
};
