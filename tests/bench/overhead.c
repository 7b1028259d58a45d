/* What the agent costs the programs beside it: each load bare, with the agent, and bare again, in
 * every round of one run, so that the machine's drift shows as the spread of the bare runs. The
 * agent captures everything that the 93 upstream Falco rules need, every open among it, and sends
 * it to a collector that only takes in (sink.h): a real one is on another machine. With --product
 * it is the whole product, its collector on the load's own cores.
 *
 *   LOAD_ratio      throughput with the agent / mean of the bare runs around it, median of rounds
 *   LOAD_p99_ratio  the same of the 99th percentile of one operation
 *   LOAD_shipped, LOAD_suppressed, LOAD_lost  events during the agent's runs, of the whole host
 *   LOAD_events_per_s  shipped and suppressed, while the load ran
 *   LOAD_PROGRAM_ns    of a run of that program, in one more run of the load while the kernel
 * counts
 *
 * usage: overhead [--product] [ROUNDS [LOAD]...]      (5 rounds of all loads when not said) */
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
#include "common/clock.h"
#include "tests/await.h"
#include "tests/bench/bench.h"
#include "tests/bench/programs.h"
#include "tests/bench/sink.h"
#include "tests/e2e/harness.h"

#define ROUNDS_DEFAULT 5
#define ROUNDS_MAX     101
#define OUTPUT_BYTES   4096
#define COPIES_MAX     2
#define RUNS_LEAST     400 /* of a program that a load is charged with */
#define READY_NS       (20 * NS_PER_SEC)
#define NICENESS       10 /* of the sink */
#define FALCO_CLASSES  "file,descriptor,socket,privilege,namespace,change,message,access,kernel"

enum server { SERVER_NONE, SERVER_REDIS, SERVER_NGINX };

struct load_row {
	const char *name;
	enum server server;
	const char *load;    /* name in load.c; NULL: redis-benchmark */
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

static const char *const counter_names[COUNTERS] = {"shipped", "suppressed", "lost"};

struct counts {
	double of[COUNTERS];
};

struct overhead {
	bool product;
	bool wanted[ROWS];
	char dir[64];
	uint16_t redis_port;
	uint16_t nginx_port;
	double ratio[ROWS][ROUNDS_MAX];
	double p99_ratio[ROWS][ROUNDS_MAX];
	double bare_spread[ROWS][ROUNDS_MAX]; /* second bare run / first */
	double counted[ROWS][COUNTERS];
	double seconds[ROWS]; /* that the load ran with the agent */
	size_t rounds;
};

/* What is measured: the agent and a sink, or the product. */
struct subject {
	struct sink sink;
	pid_t agent;
	int agent_out;
	struct dev *dev;
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

static bool answers(const struct sockaddr_in *to)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0;
}

static void await_port(uint16_t port, const char *name)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (!AWAIT(answers(&to), 5 * NS_PER_SEC))
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
	const char *const argv[] = {"redis-benchmark", "-p", port, "-t",    "get", "-n",
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

/* ---- what is measured ---- */

static void start_agent(const struct overhead *o, struct subject *s)
{
	char address[32], ca[96], cert[96], key[96];
	const char *const argv[] = {"nightjar-agent",
				    "--collector-address",
				    address,
				    "--tls-ca",
				    ca,
				    "--tls-cert",
				    cert,
				    "--tls-key",
				    key,
				    "--log-level",
				    "warning",
				    NULL};

	sink_start(o->dir, NICENESS, &s->sink);
	snprintf(address, sizeof(address), "127.0.0.1:%u", s->sink.port);
	snprintf(ca, sizeof(ca), "%s/ca.pem", o->dir);
	snprintf(cert, sizeof(cert), "%s/agent.pem", o->dir);
	snprintf(key, sizeof(key), "%s/agent-key.pem", o->dir);
	s->agent = bench_spawn(argv, &s->agent_out);
	if (!AWAIT(s->sink.counts->batches > 0, READY_NS))
		bench_die("nightjar-agent sends nothing");
}

static void subject_start(const struct overhead *o, struct subject *ret_subject)
{
	const struct dev_options options = {.duration_s = 600};
	struct err e = {0};

	*ret_subject = (struct subject){0};
	if (!o->product)
		start_agent(o, ret_subject);
	else if (dev_start(&options, &ret_subject->dev, &e) < 0)
		bench_die("%s", e.text);
}

static void subject_stop(struct subject *s)
{
	dev_free(s->dev);
	if (s->agent <= 0)
		return;
	bench_stop(s->agent);
	(void)close(s->agent_out);
	sink_stop(&s->sink);
}

static double metric(const struct dev *dev, const char *name)
{
	uint64_t value = 0;

	if (dev_metric(dev, name, &value) < 0)
		bench_die("no metric %s", name);
	return (double)value;
}

static double heartbeats(const struct subject *s)
{
	return s->dev ? metric(s->dev, BENCH_METRIC_HEARTBEATS)
		      : (double)s->sink.counts->heartbeats;
}

/* Losses and repeats are told as often as heartbeats come: between two of them everything has
 * arrived. */
static void subject_read(const struct subject *s, struct counts *ret_counts)
{
	double before = heartbeats(s);

	if (!AWAIT(heartbeats(s) >= before + 2, READY_NS))
		bench_die("nightjar-agent has fallen silent");
	if (s->dev)
		*ret_counts = (struct counts){{metric(s->dev, BENCH_METRIC_EVENTS),
					       metric(s->dev, BENCH_METRIC_SUPPRESSED),
					       metric(s->dev, BENCH_METRIC_LOST)}};
	else
		*ret_counts = (struct counts){{(double)s->sink.counts->events,
					       (double)s->sink.counts->suppressed,
					       (double)s->sink.counts->lost}};
}

/* ---- rounds ---- */

static void run_bare(const struct overhead *o, struct sample *ret_samples)
{
	for (size_t i = 0; i < ROWS; i++)
		if (o->wanted[i])
			ret_samples[i] = run_row(o, &rows[i]);
}

static void run_counted(struct overhead *o, const struct subject *s, size_t row,
			struct sample *ret_sample)
{
	struct counts before, after;
	uint64_t begun;

	subject_read(s, &before);
	begun = clock_monotonic_ns();
	*ret_sample = run_row(o, &rows[row]);
	o->seconds[row] += (double)(clock_monotonic_ns() - begun) / 1e9;
	subject_read(s, &after);
	for (int c = 0; c < COUNTERS; c++)
		o->counted[row][c] += after.of[c] - before.of[c];
}

static void run_with_agent(struct overhead *o, struct sample *ret_samples)
{
	struct subject s;

	subject_start(o, &s);
	for (size_t i = 0; i < ROWS; i++)
		if (o->wanted[i])
			run_counted(o, &s, i, &ret_samples[i]);
	subject_stop(&s);
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
		snprintf(figure, sizeof(figure), "%s_%s", rows[i].name, counter_names[c]);
		bench_print("overhead", figure, o->counted[i][c], "events", o->rounds,
			    "sum of rounds");
	}
	snprintf(figure, sizeof(figure), "%s_events_per_s", rows[i].name);
	bench_print("overhead", figure,
		    (o->counted[i][COUNTER_SHIPPED] + o->counted[i][COUNTER_SUPPRESSED]) /
			    o->seconds[i],
		    "events/s", o->rounds, "while the load ran");
}

/* Programs that ran as often as the load did something, or nearly. */
static void print_programs(const struct overhead *o, size_t row)
{
	struct program before[PROGRAMS_MAX], after[PROGRAMS_MAX];
	size_t before_count = programs_read(before), after_count;

	(void)run_row(o, &rows[row]);
	after_count = programs_read(after);
	for (size_t i = 0; i < after_count; i++) {
		const struct program *old = programs_find(before, before_count, after[i].id);
		uint64_t runs = old ? after[i].runs - old->runs : 0;
		char figure[64];

		if (runs < RUNS_LEAST)
			continue;
		snprintf(figure, sizeof(figure), "%s_%s_ns", rows[row].name, after[i].name);
		bench_print("overhead", figure, (double)(after[i].ns - old->ns) / (double)runs,
			    "ns", runs, "n: runs; programs reached by a tail call included");
	}
}

static void print_costs(const struct overhead *o)
{
	_cleanup_(closep) int counting = programs_count();
	struct subject s;

	subject_start(o, &s);
	for (size_t i = 0; i < ROWS; i++)
		if (o->wanted[i])
			print_programs(o, i);
	subject_stop(&s);
}

static void choose(struct overhead *o, int count, char **names)
{
	for (size_t i = 0; i < ROWS; i++) {
		o->wanted[i] = count == 0;
		for (int n = 0; n < count; n++)
			o->wanted[i] |= strcmp(names[n], rows[i].name) == 0;
	}
}

static void start_servers(struct overhead *o, pid_t *ret_redis, pid_t *ret_nginx)
{
	o->redis_port = free_port();
	*ret_redis = start_redis(o->redis_port);
	o->nginx_port = free_port();
	*ret_nginx = start_nginx(o->dir, o->nginx_port);
}

static void measure(struct overhead *o, size_t rounds)
{
	struct sample warm_up[ROWS]; /* the first run of all pays for caches and is not counted */

	run_bare(o, warm_up);
	while (o->rounds < rounds)
		run_round(o);
	for (size_t i = 0; i < ROWS; i++)
		if (o->wanted[i])
			print_row(o, i);
	print_costs(o);
}

int main(int argc, char **argv)
{
	_cleanup_(freep) struct overhead *o = calloc(1, sizeof(*o));
	bool product = argc > 1 && strcmp(argv[1], "--product") == 0;
	size_t rounds = argc > 1 + product ? strtoul(argv[1 + product], NULL, 10) : ROUNDS_DEFAULT;
	char command[96];
	pid_t redis, nginx;

	if (!o || rounds < 1 || rounds > ROUNDS_MAX)
		bench_die("usage: overhead [--product] [ROUNDS [LOAD]...]");
	snprintf(o->dir, sizeof(o->dir), "/tmp/nightjar-bench-XXXXXX");
	if (!mkdtemp(o->dir) || setenv("NIGHTJAR_CAPTURE_CLASSES", FALCO_CLASSES, 0) < 0 ||
	    setenv("NIGHTJAR_CAPTURE_OPEN_ALL", "true", 0) < 0)
		bench_die("cannot begin: %s", strerror(errno));
	o->product = product;
	choose(o, argc > 2 + product ? argc - 2 - product : 0, argv + 2 + product);
	sink_certificates(o->dir);
	start_servers(o, &redis, &nginx);
	measure(o, rounds);
	bench_stop(redis);
	bench_stop(nginx);
	snprintf(command, sizeof(command), "rm -rf %s", o->dir);
	return system(command) == 0 ? 0 : 1;
}
