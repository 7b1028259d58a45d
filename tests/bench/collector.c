/* Bench collector: events through stage 1 on one thread, memory at 100 000 live processes, and
 * whether the same events give the same alerts again. The mix, a round of 12 events: a shell forks
 * and executes a program with pipes, which opens a file, connects and ends, every 4096th one a
 * reverse shell. */
#include "tests/bench/bench.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "collector/detect/detect.h"
#include "collector/stage1.h"
#include "common/clock.h"

#define ROUNDS	  200000U
#define BATCH	  64U
#define PROCESSES 100000U

struct feed {
	struct stage1 *stage1;
	struct process_def shell, child;
	struct bytes args[2];
	struct endpoint fds[3];
	struct endpoint tcp;
	struct event batch[BATCH];
	uint32_t batched;
	uint64_t seq;
	uint64_t digest; /* of all alerts */
	uint64_t alerts;
};

static void on_alert(void *ctx, struct alert *alert)
{
	struct feed *f = ctx;
	uint8_t packed[8192];
	size_t len = nightjar__v1__alert__get_packed_size(&alert->msg);

	if (len <= sizeof(packed))
		(void)nightjar__v1__alert__pack(&alert->msg, packed);
	f->digest = XXH3_64bits_withSeed(packed, len <= sizeof(packed) ? len : 0, f->digest);
	f->alerts++;
	alert_free(alert);
}

static void on_observation(void *ctx, const struct observation *observation)
{
	(void)ctx;
	(void)observation;
}

static void flush(struct feed *f, const char *node)
{
	struct wire_batch batch = {.events = f->batch, .event_count = f->batched};
	struct stage1_batch in = {.node = {"bench", node, "boot"}, .batch = &batch};

	stage1_feed(f->stage1, stage1_shard("bench", node), &in);
	f->batched = 0;
}

/* Definitions live until the batch is fed, so one that changes is fed at once before it does. */
static void add(struct feed *f, enum event_kind kind, struct process_def *who,
		const struct endpoint *e, uint16_t n)
{
	f->seq++;
	f->batch[f->batched++] = (struct event){
		.seq = f->seq,
		.time_ns = f->seq * 1000,
		.kind = kind,
		.process = who,
		.raw_path = "",
		.file.path = "/usr/lib/x86_64-linux-gnu/libc.so.6",
		.endpoints = e,
		.endpoint_count = n,
		.child = kind == EVENT_KIND_FORK ? &f->child : NULL,
		.old_fd = -1,
	};
}

static void round_of_12(struct feed *f, uint32_t i)
{
	struct process_def *child = &f->child;
	bool attack = i % 4096 == 4095;

	*child = f->shell;
	child->pid = 1000 + i;
	child->start_ns = i + 10;
	child->exec_id = i + 10;
	child->exe.path = attack ? "/usr/bin/bash" : "/usr/bin/gcc-12";
	child->arg_count = 1;
	f->fds[0] = f->fds[1] = (struct endpoint){.kind = ENDPOINT_KIND_PIPE, .mode = 1, .id = i};
	f->fds[1].mode = 2;
	f->fds[1].fd = 1;
	f->tcp.id = i;
	f->tcp.remote_ip[3] = (uint8_t)(i % 5);
	if (attack) {
		f->fds[0] = f->fds[1] = f->tcp;
		f->fds[1].fd = 1;
	}
	add(f, EVENT_KIND_PIPE, &f->shell, f->fds, 2);
	add(f, EVENT_KIND_FORK, &f->shell, NULL, 0);
	add(f, EVENT_KIND_DUP, child, f->fds, 1);
	add(f, EVENT_KIND_DUP, child, f->fds + 1, 1);
	add(f, EVENT_KIND_EXEC, child, f->fds, 2);
	for (int k = 0; k < 3; k++)
		add(f, EVENT_KIND_OPEN, child, NULL, 0);
	add(f, EVENT_KIND_CONNECT, child, &f->tcp, 1);
	add(f, EVENT_KIND_ESTABLISHED, child, &f->tcp, 1);
	add(f, EVENT_KIND_CLOSE, child, &f->tcp, 1);
	add(f, EVENT_KIND_EXIT, child, NULL, 0);
	flush(f, "node");
}

static void begin(struct feed *f, struct metrics *metrics)
{
	struct detect_options options;
	struct stage1_out out = {.alert = on_alert, .observe = on_observation, .ctx = f};

	memset(f, 0, sizeof(*f));
	detect_options_default(&options);
	f->stage1 = stage1_new(&options, &out, metrics);
	if (!f->stage1)
		bench_die("no memory");
	f->args[0] = bytes_of_text("gcc");
	f->shell = (struct process_def){.exec_id = 1,
					.pid = 1,
					.start_ns = 1,
					.exe.path = "/usr/bin/make",
					.args = f->args,
					.cwd = "/src",
					.comm = "make",
					.exe_raw = "",
					.session = 1,
					.container = &bench_host};
	f->tcp = (struct endpoint){.kind = ENDPOINT_KIND_TCP,
				   .mode = 3,
				   .state = 1,
				   .family = AF_INET,
				   .local_port = 40000,
				   .remote_port = 443,
				   .local_ip = {10, 0, 0, 1},
				   .remote_ip = {192, 0, 2}};
}

static double run(struct feed *f, struct metrics *metrics)
{
	uint64_t start = clock_monotonic_ns();

	begin(f, metrics);
	start = clock_monotonic_ns();
	for (uint32_t i = 0; i < ROUNDS; i++)
		round_of_12(f, i);
	return (double)f->seq * 1e9 / (double)(clock_monotonic_ns() - start);
}

static double rss_mb(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");

	if (!statm || fscanf(statm, "%*u %lu", &pages) != 1)
		bench_die("cannot read /proc/self/statm");
	(void)fclose(statm);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* On 200 nodes, 500 each: spread over the shards as in a cluster. */
static double memory(struct feed *f, struct metrics *metrics)
{
	double before = rss_mb();
	char node[32];

	begin(f, metrics);
	for (uint32_t i = 0; i < PROCESSES; i++) {
		(void)snprintf(node, sizeof(node), "node-%u", i % 200);
		f->child = f->shell;
		f->child.pid = i + 10;
		f->child.start_ns = f->child.exec_id = i + 10;
		f->child.arg_count = 1;
		f->fds[0] = (struct endpoint){.kind = ENDPOINT_KIND_PIPE, .mode = 1, .id = i};
		f->tcp.id = i;
		add(f, EVENT_KIND_EXEC, &f->child, f->fds, 1);
		add(f, EVENT_KIND_CONNECT, &f->child, &f->tcp, 1);
		flush(f, node);
	}
	return rss_mb() - before;
}

int main(void)
{
	static struct feed first, second, live;
	struct metrics *metrics = metrics_new();
	double rate, mb = memory(&live, metrics);

	stage1_free(live.stage1);
	rate = run(&first, metrics);
	(void)run(&second, metrics);
	bench_print("collector", "events_per_s_core", rate, "1/s", first.seq,
		    "stage 1, batches of 12");
	bench_print("collector", "memory_mb_100k", mb, "MB", PROCESSES,
		    "live processes on 200 nodes");
	bench_print("collector", "replay_identical",
		    first.alerts > 0 && first.digest == second.digest &&
			    first.alerts == second.alerts,
		    "", first.alerts, "alerts of two runs compared");
	stage1_free(first.stage1);
	stage1_free(second.stage1);
	metrics_free(metrics);
	return 0;
}
