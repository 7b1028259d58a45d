/* What the product costs the programs beside it: each load bare, with the agent, and bare again, in
 * every round of one run, so that the machine's drift shows as the spread of the bare runs.
 *
 *   LOAD_ratio      throughput with the agent / mean of the bare runs around it, median of rounds
 *   LOAD_p99_ratio  the same of the 99th percentile of one operation
 *   LOAD_shipped, LOAD_suppressed, LOAD_lost  events during the agent's runs, of the whole host
 *
 * usage: overhead [ROUNDS [LOAD]...]      (5 rounds of all loads when not said) */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "tests/bench/bench.h"
#include "tests/e2e/harness.h"

#define ROUNDS_DEFAULT 5
#define ROUNDS_MAX     101
#define OUTPUT_BYTES   4096
#define COPIES_MAX     2

enum server { SERVER_NONE, SERVER_REDIS, SERVER_NGINX };

struct load_row {
	const char *name;
	enum server server;
	const char *load; /* name in load.c; NULL: redis-benchmark */
	unsigned int copies; /* processes that run it at the same time */
};

static const struct load_row rows[] = {
	{"openclose", SERVER_NONE, "openclose", 1},
	{"openclose2", SERVER_NONE, "openclose", 2},
	{"openuniq", SERVER_NONE, "openuniq", 1},
	{"stat", SERVER_NONE, "stat", 1},
	{"pipe", SERVER_NONE, "pipe", 1},
	{"getppid", SERVER_NONE, "getppid", 1},
	{"forkexec", SERVER_NONE, "forkexec", 1},
	{"connect", SERVER_NONE, "connect", 1},
	{"redis", SERVER_REDIS, NULL, 1},
	{"nginx_close", SERVER_NGINX, "http_close", 1},
	{"nginx_keep", SERVER_NGINX, "http_keep", 1},
	{"compile", SERVER_NONE, "compile", 2},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

struct sample {
	double per_s;
	double p99;
};

enum counter { COUNTER_SHIPPED, COUNTER_SUPPRESSED, COUNTER_LOST, COUNTERS };

static const struct {
	const char *figure;
	const char *metric;
} counters[COUNTERS] = {
	[COUNTER_SHIPPED] = {"shipped", BENCH_METRIC_EVENTS},
	[COUNTER_SUPPRESSED] = {"suppressed", BENCH_METRIC_SUPPRESSED},
	[COUNTER_LOST] = {"lost", BENCH_METRIC_LOST},
};

struct overhead {
	bool wanted[ROWS];
	uint16_t redis_port;
	uint16_t nginx_port;
	double ratio[ROWS][ROUNDS_MAX];
	double p99_ratio[ROWS][ROUNDS_MAX];
	double bare_spread[ROWS][ROUNDS_MAX]; /* second bare run / first */
	double counted[ROWS][COUNTERS];
	bool counts[COUNTERS]; /* the product has this counter */
	size_t rounds;
};

/* ---- servers ---- */

static uint16_t free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		bench_die("no free port: %s", strerror(errno));
	return ntohs(at.sin_port);
}

static void await_port(uint16_t port, const char *name)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (int i = 0; i < 500; i++) {
		_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
			return;
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	bench_die("%s does not answer", name);
}

static pid_t start_redis(uint16_t port)
{
	char number[8];
	const char *const argv[] = {"redis-server", "--port",	 number, "--save", "",
				    "--bind",	    "127.0.0.1", NULL};
	int out;
	pid_t pid;

	snprintf(number, sizeof(number), "%u", port);
	pid = bench_spawn(argv, &out);
	await_port(port, "redis-server");
	return pid;
}

static void write_file(const char *dir, const char *name, const char *text)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f || fputs(text, f) < 0)
		bench_die("cannot write '%s': %s", path, strerror(errno));
}

static pid_t start_nginx(const char *dir, uint16_t port)
{
	_cleanup_buf_ struct buf conf = {0};
	char path[256];
	const char *const argv[] = {"nginx", "-p", dir, "-e", "stderr", "-c", path, NULL};
	int out;
	pid_t pid;

	buf_printf(
		&conf,
		"daemon off;\nworker_processes 1;\nuser root;\npid %s/pid;\nerror_log stderr "
		"crit;\n"
		"events { worker_connections 256; }\n"
		"http { access_log off; keepalive_requests 10000000; client_body_temp_path %s;\n"
		"proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;\n"
		"server { listen 127.0.0.1:%u; root %s; } }\n",
		dir, dir, dir, dir, dir, dir, port, dir);
	write_file(dir, "nginx.conf", buf_text(&conf));
	write_file(dir, "index.html", "a page\nEND\n");
	snprintf(path, sizeof(path), "%s/nginx.conf", dir);
	pid = bench_spawn(argv, &out);
	await_port(port, "nginx");
	return pid;
}

/* ---- one load ---- */

/* The second line of --csv: "GET","rps","avg","min","p50","p95","p99","max", in milliseconds. */
static struct sample parse_redis(const char *text)
{
	struct sample s = {0};
	const char *line = strchr(text, '\n');

	if (!line || sscanf(line, " \"GET\",\"%lf\",\"%*f\",\"%*f\",\"%*f\",\"%*f\",\"%lf\"",
			    &s.per_s, &s.p99) != 2)
		bench_die("redis-benchmark said: %s", text);
	return s;
}

/* The throughput of all copies together, the slowest's 99th percentile. */
static struct sample run_load(const struct load_row *row, const char *port)
{
	const char *const argv[] = {"load", row->load, "0", port, NULL};
	struct sample sum = {0};
	int out[COPIES_MAX];
	pid_t pid[COPIES_MAX];

	for (unsigned int i = 0; i < row->copies; i++)
		pid[i] = bench_spawn(argv, &out[i]);
	for (unsigned int i = 0; i < row->copies; i++) {
		char text[OUTPUT_BYTES];
		struct sample s = {0};

		bench_read_all(out[i], text, sizeof(text));
		bench_stop(pid[i]);
		if (sscanf(text, "%lf %lf", &s.per_s, &s.p99) != 2)
			bench_die("load %s failed", row->load);
		sum.per_s += s.per_s;
		sum.p99 = s.p99 > sum.p99 ? s.p99 : sum.p99;
	}
	return sum;
}

static struct sample run_redis(const char *port)
{
	const char *const argv[] = {"redis-benchmark", "-p", port, "-t",	"get", "-n",
				    "40000",	       "-c", "8",  "--csv", NULL};
	char text[OUTPUT_BYTES];
	int out;
	pid_t pid = bench_spawn(argv, &out);

	bench_read_all(out, text, sizeof(text));
	bench_stop(pid);
	return parse_redis(text);
}

static struct sample run_row(const struct overhead *o, const struct load_row *row)
{
	char port[8];

	snprintf(port, sizeof(port), "%u",
		 row->server == SERVER_REDIS ? o->redis_port : o->nginx_port);
	return row->load ? run_load(row, port) : run_redis(port);
}

static void read_counters(struct overhead *o, const struct dev *d, double *ret_values)
{
	for (int c = 0; c < COUNTERS; c++) {
		uint64_t value = 0;

		o->counts[c] = dev_metric(d, counters[c].metric, &value) == 0;
		ret_values[c] = (double)value;
	}
}

/* ---- rounds ---- */

static void run_bare(const struct overhead *o, struct sample *ret_samples)
{
	for (size_t i = 0; i < ROWS; i++)
		if (o->wanted[i])
			ret_samples[i] = run_row(o, &rows[i]);
}

static void run_with_agent(struct overhead *o, struct sample *ret_samples)
{
	const struct dev_options options = {.duration_s = 600};
	_cleanup_(dev_freep) struct dev *dev = NULL;
	double before[COUNTERS], after[COUNTERS];
	struct err e = {0};

	if (dev_start(&options, &dev, &e) < 0)
		bench_die("%s", e.text);
	for (size_t i = 0; i < ROWS; i++) {
		if (!o->wanted[i])
			continue;
		read_counters(o, dev, before);
		ret_samples[i] = run_row(o, &rows[i]);
		read_counters(o, dev, after);
		for (int c = 0; c < COUNTERS; c++)
			o->counted[i][c] += after[c] - before[c];
	}
}

static void run_round(struct overhead *o)
{
	struct sample first[ROWS] = {0}, agent[ROWS] = {0}, second[ROWS] = {0};
	size_t r = o->rounds++;

	run_bare(o, first);
	run_with_agent(o, agent);
	run_bare(o, second);
	for (size_t i = 0; i < ROWS; i++) {
		o->ratio[i][r] = 2 * agent[i].per_s / (first[i].per_s + second[i].per_s);
		o->p99_ratio[i][r] = 2 * agent[i].p99 / (first[i].p99 + second[i].p99);
		o->bare_spread[i][r] = second[i].per_s / first[i].per_s;
	}
}

static void print_row(struct overhead *o, size_t i)
{
	char figure[64], note[96];
	double low = bench_quantile(o->bare_spread[i], o->rounds, 0);
	double high = bench_quantile(o->bare_spread[i], o->rounds, 1);

	snprintf(note, sizeof(note), "bare again / bare: %.3f to %.3f", low, high);
	snprintf(figure, sizeof(figure), "%s_ratio", rows[i].name);
	bench_print("overhead", figure, bench_quantile(o->ratio[i], o->rounds, 0.5), "agent/bare",
		    o->rounds, note);
	snprintf(figure, sizeof(figure), "%s_p99_ratio", rows[i].name);
	bench_print("overhead", figure, bench_quantile(o->p99_ratio[i], o->rounds, 0.5),
		    "agent/bare", o->rounds, "");
	for (int c = 0; c < COUNTERS; c++) {
		if (!o->counts[c])
			continue;
		snprintf(figure, sizeof(figure), "%s_%s", rows[i].name, counters[c].figure);
		bench_print("overhead", figure, o->counted[i][c], "events", o->rounds,
			    "sum of rounds");
	}
}

static void choose(struct overhead *o, int count, char **names)
{
	for (size_t i = 0; i < ROWS; i++) {
		o->wanted[i] = count == 0;
		for (int n = 0; n < count; n++)
			o->wanted[i] |= strcmp(names[n], rows[i].name) == 0;
	}
}

int main(int argc, char **argv)
{
	_cleanup_(freep) struct overhead *o = calloc(1, sizeof(*o));
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS_DEFAULT;
	char dir[] = "/tmp/nightjar-bench-XXXXXX", command[64];
	struct sample warm_up[ROWS]; /* the first run of all pays for caches and is not counted */
	pid_t redis, nginx;

	if (!o || rounds < 1 || rounds > ROUNDS_MAX || !mkdtemp(dir))
		bench_die("usage: overhead [ROUNDS [LOAD]...]");
	choose(o, argc > 2 ? argc - 2 : 0, argv + 2);
	o->redis_port = free_port();
	redis = start_redis(o->redis_port);
	o->nginx_port = free_port();
	nginx = start_nginx(dir, o->nginx_port);
	run_bare(o, warm_up);
	while (o->rounds < rounds)
		run_round(o);
	for (size_t i = 0; i < ROWS; i++)
		if (o->wanted[i])
			print_row(o, i);
	bench_stop(redis);
	bench_stop(nginx);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : 1;
}
