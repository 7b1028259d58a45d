/* The wire: events through the agent's encoder, a stream over mutual TLS on loopback, the
 * collector's listener and decoder, with an Ack for every batch. The server is a process of its
 * own, so that each side's CPU time is its own.
 *
 *   events_per_s_core_bN     events per CPU second of the server, N events a batch
 *   client_cpu_s_per_mev_bN, server_cpu_s_per_mev_bN   CPU seconds per million events
 *
 * usage: wire [SECONDS_PER_SIZE]     (2 when not said) */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/ingest/listen.h"
#include "common/clock.h"
#include "common/rpc.h"
#include "common/wire.h"
#include "nightjar/v1/agent.pb-c.h"
#include "tests/bench/bench.h"
#include "tests/bench/sink.h"

#define METHOD	    "/nightjar.v1.Ingest/Stream"
#define PROCESSES   64
#define PATHS	    16
#define DEFINED_MAX 4096 /* processes an epoch may define */
#define WINDOW	    32	 /* batches that wait for their Ack */

/* ---- client ---- */

struct client {
	struct wire_encoder *encoder;
	struct rpc_stream *stream;
	struct buf message;
	struct process_def processes[PROCESSES];
	char paths[PATHS][64];
	uint64_t events; /* made so far */
	uint64_t sent;	 /* batches */
	uint64_t acked;
};

static void make_things(struct client *c)
{
	static const struct bytes args[] = {{(const uint8_t *)"/usr/bin/app", 12},
					    {(const uint8_t *)"--serve", 7}};

	for (unsigned int i = 0; i < PROCESSES; i++)
		c->processes[i] = (struct process_def){.exec_id = 1000 + i,
						       .parent_exec_id = 1000,
						       .pid = 1000 + i,
						       .ppid = 1,
						       .start_ns = i,
						       .exe = {.path = "/usr/bin/app", .inode = 7},
						       .args = args,
						       .arg_count = 2,
						       .cwd = "/srv",
						       .comm = "app",
						       .exe_raw = "/usr/bin/app",
						       .container = &bench_host};
	for (unsigned int i = 0; i < PATHS; i++)
		snprintf(c->paths[i], sizeof(c->paths[i]), "/srv/app/data/part-%u/table.db", i);
}

/* Three opens to one connection attempt, spread over processes and paths. */
static void add_event(struct client *c)
{
	const char *path = c->paths[c->events % PATHS];
	struct endpoint to = {.kind = ENDPOINT_KIND_TCP,
			      .fd = 5,
			      .family = AF_INET,
			      .remote_port = 5432,
			      .remote_ip = {10, 0, 0, 7},
			      .id = c->events,
			      .id2 = 4026531840};
	struct event event = {.seq = c->events + 1,
			      .time_ns = 1000000000 + c->events * 1000,
			      .kind = c->events % 4 ? EVENT_KIND_OPEN : EVENT_KIND_CONNECT,
			      .process = &c->processes[c->events % PROCESSES],
			      .raw_path = "",
			      .file = {.path = ""}};

	if (event.kind == EVENT_KIND_OPEN) {
		event.file = (struct file_info){.path = path, .inode = c->events, .mode = 0100644};
		event.raw_path = path;
		event.result = 5;
	} else {
		event.endpoints = &to;
		event.endpoint_count = 1;
	}
	if (wire_encode_event(c->encoder, &event) < 0)
		bench_die("cannot encode an event");
	c->events++;
}

static void send_batch(struct client *c, unsigned int size)
{
	struct wire_batch_head head = {.seq = ++c->sent, .node = ""};

	if (wire_encoder_epoch_full(c->encoder))
		wire_encoder_new_epoch(c->encoder);
	buf_clear(&c->message);
	wire_encode_begin(c->encoder);
	for (unsigned int i = 0; i < size; i++)
		add_event(c);
	if (wire_encode_end(c->encoder, &head, &c->message) < 0 ||
	    rpc_stream_send(c->stream, buf_bytes(&c->message)) < 0)
		bench_die("cannot send a batch");
}

/* Until the last message has left and no more than window batches wait for their Ack. */
static void await(struct client *c, bool sent, uint64_t window)
{
	struct rpc_event event;

	while (!sent || c->sent - c->acked > window) {
		rpc_stream_wait(c->stream, 10000, &event);
		if (event.kind == RPC_EVENT_SENT)
			sent = true;
		else if (event.kind == RPC_EVENT_MESSAGE)
			c->acked++;
		else
			bench_die("the stream ended: %s",
				  event.kind == RPC_EVENT_CLOSED ? event.text : "no answer");
	}
}

static double cpu_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;

	if ((pid && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &t) < 0)
		bench_die("cannot read a CPU clock");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(struct client *c, pid_t server, unsigned int size, double seconds)
{
	double client_cpu = cpu_of(0), server_cpu = cpu_of(server), wall;
	uint64_t begun = clock_monotonic_ns(), events = c->events;
	char figure[64], note[96];

	do {
		send_batch(c, size);
		await(c, false, WINDOW);
	} while ((double)(clock_monotonic_ns() - begun) < seconds * 1e9);
	await(c, true, 0);
	wall = (double)(clock_monotonic_ns() - begun) / 1e9;
	events = c->events - events;
	client_cpu = (cpu_of(0) - client_cpu) / (double)events * 1e6;
	server_cpu = (cpu_of(server) - server_cpu) / (double)events * 1e6;
	snprintf(figure, sizeof(figure), "events_per_s_core_b%u", size);
	snprintf(note, sizeof(note), "per CPU second of the server; %.0f events/s on the clock",
		 (double)events / wall);
	bench_print("wire", figure, 1e6 / server_cpu, "events/s", events, note);
	snprintf(figure, sizeof(figure), "client_cpu_s_per_mev_b%u", size);
	bench_print("wire", figure, client_cpu, "s", events, "");
	snprintf(figure, sizeof(figure), "server_cpu_s_per_mev_b%u", size);
	bench_print("wire", figure, server_cpu, "s", events, "");
}

static void run(const char *dir, double seconds)
{
	static const unsigned int sizes[] = {1, 4, 16, 64, 256, 1024};
	struct client c = {.encoder = wire_encoder_new(DEFINED_MAX)};
	struct rpc_client *client;
	struct tls_files files;
	char target[32];
	struct err e = {0};
	struct sink server;

	sink_start(dir, 0, &server);
	rpc_init();
	bench_tls(dir, "agent", &files);
	make_things(&c);
	snprintf(target, sizeof(target), "127.0.0.1:%u", server.port);
	if (!c.encoder || rpc_client_new(target, NULL, &files, &client, &e) < 0 ||
	    rpc_stream_open(client, METHOD, &c.stream, &e) < 0)
		bench_die("%s", e.text);
	wire_encoder_new_epoch(c.encoder);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		measure(&c, server.pid, sizes[i], seconds);
	rpc_stream_free(c.stream);
	rpc_client_free(client);
	rpc_done();
	tls_files_done(&files);
	wire_encoder_free(c.encoder);
	buf_done(&c.message);
	sink_stop(&server);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
	char dir[] = "/tmp/nightjar-wire-XXXXXX", command[64];

	if (seconds <= 0 || !mkdtemp(dir))
		bench_die("usage: wire [SECONDS_PER_SIZE]");
	sink_certificates(dir);
	run(dir, seconds);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : 1;
}
