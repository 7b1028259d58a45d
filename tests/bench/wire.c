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

#define METHOD	    "/nightjar.v1.Ingest/Stream"
#define PROCESSES   64
#define PATHS	    16
#define DEFINED_MAX 4096 /* processes an epoch may define */
#define WINDOW	    32	 /* batches that wait for their Ack */

/* ---- server ---- */

struct session {
	struct wire_decoder *decoder;
	struct arena *arena;
};

static int session_open(void *ctx, struct listen_call *call, void **ret_state)
{
	struct session *s = calloc(1, sizeof(*s));

	(void)ctx;
	(void)call;
	if (!s)
		return LISTEN_RESOURCE_EXHAUSTED;
	s->decoder = wire_decoder_new(DEFINED_MAX);
	s->arena = arena_new(WIRE_MESSAGE_MAX * 4);
	*ret_state = s;
	return LISTEN_OK;
}

static void session_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	Nightjar__V1__CollectorMessage answer = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Ack ack = NIGHTJAR__V1__ACK__INIT;
	struct session *s = state;
	struct wire_batch batch;
	uint8_t data[64];
	int r;

	(void)ctx;
	arena_reset(s->arena);
	r = wire_decode_batch(s->decoder, message, s->arena, &batch);
	if (r < 0)
		bench_die("the server cannot decode a batch: %s", strerror(-r));
	ack.seq = batch.head.seq;
	answer.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK;
	answer.ack = &ack;
	if (listen_send(call, (struct bytes){data, nightjar__v1__collector_message__pack(
							   &answer, data)}) < 0)
		bench_die("the server cannot send an Ack");
}

static void session_half_closed(void *ctx, struct listen_call *call, void *state)
{
	(void)ctx;
	(void)state;
	listen_finish(call, LISTEN_OK, "");
}

static void session_closed(void *ctx, struct listen_call *call, void *state)
{
	struct session *s = state;

	(void)ctx;
	(void)call;
	wire_decoder_free(s->decoder);
	arena_free(s->arena);
	free(s);
}

static void load_files(const char *dir, const char *name, struct tls_files *ret_files)
{
	char ca[128], cert[128], key[128];
	struct err e = {0};

	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
	snprintf(key, sizeof(key), "%s/%s-key.pem", dir, name);
	if (tls_load(ca, cert, key, clock_wall_ns(), ret_files, &e) < 0)
		bench_die("%s", e.text);
}

/* Never returns; ends with the driver. */
static void serve(const char *dir, int port_pipe)
{
	static const struct listen_method methods[] = {
		{.path = METHOD,
		 .roles = TLS_ROLE_AGENT,
		 .open = session_open,
		 .message = session_message,
		 .half_closed = session_half_closed,
		 .closed = session_closed},
		{.path = NULL},
	};
	static const struct listen_method *const tables[] = {methods, NULL};
	struct tls_files files;
	struct listen_config config = {.address = "127.0.0.1:0",
				       .files = &files,
				       .threads = 1,
				       .methods = tables,
				       .metrics = metrics_new()};
	struct listen *l;
	struct err e = {0};
	uint16_t port;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	load_files(dir, "server", &files);
	if (!config.metrics || listen_new(&config, &l, &e) < 0)
		bench_die("%s", e.text);
	port = listen_port(l);
	if (write(port_pipe, &port, sizeof(port)) != sizeof(port))
		bench_die("no driver");
	for (;;)
		(void)pause();
}

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

static const struct container_def host = {.container_id = "",
					  .pod_uid = "",
					  .name = "",
					  .image = "",
					  .pod = "",
					  .namespace = "",
					  .cgroup = "/system.slice/app.service",
					  .image_id = "",
					  .workload = "app.service"};

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
						       .container = &host};
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

static void make_certificates(const char *dir)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	const struct tls_request server = {
		.name = "server",
		.identity = {.role = TLS_ROLE_COLLECTOR, .cluster = "c", .namespace = "n"},
		.hosts = hosts,
		.not_before_s = -60,
		.not_after_s = 3600};
	const struct tls_request agent = {
		.name = "agent",
		.identity = {.role = TLS_ROLE_AGENT, .cluster = "c", .namespace = "n", .node = "a"},
		.not_before_s = -60,
		.not_after_s = 3600};
	struct err e = {0};

	if (tls_make_ca(dir, "c", 1, &e) < 0 || tls_make_cert(dir, &server, &e) < 0 ||
	    tls_make_cert(dir, &agent, &e) < 0)
		bench_die("%s", e.text);
}

static pid_t start_server(const char *dir, uint16_t *ret_port)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds) < 0)
		bench_die("no pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		serve(dir, fds[1]);
	(void)close(fds[1]);
	if (pid < 0 || read(fds[0], ret_port, sizeof(*ret_port)) != sizeof(*ret_port))
		bench_die("no server");
	(void)close(fds[0]);
	return pid;
}

static void run(const char *dir, double seconds)
{
	static const unsigned int sizes[] = {1, 4, 16, 64, 256, 1024};
	struct client c = {.encoder = wire_encoder_new(DEFINED_MAX)};
	struct rpc_client *client;
	struct tls_files files;
	char target[32];
	struct err e = {0};
	uint16_t port;
	pid_t server = start_server(dir, &port);

	rpc_init();
	load_files(dir, "agent", &files);
	make_things(&c);
	snprintf(target, sizeof(target), "127.0.0.1:%u", port);
	if (!c.encoder || rpc_client_new(target, NULL, &files, &client, &e) < 0 ||
	    rpc_stream_open(client, METHOD, &c.stream, &e) < 0)
		bench_die("%s", e.text);
	wire_encoder_new_epoch(c.encoder);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		measure(&c, server, sizes[i], seconds);
	rpc_stream_free(c.stream);
	rpc_client_free(client);
	rpc_done();
	tls_files_done(&files);
	wire_encoder_free(c.encoder);
	buf_done(&c.message);
	(void)kill(server, SIGKILL);
	(void)waitpid(server, NULL, 0);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
	char dir[] = "/tmp/nightjar-wire-XXXXXX", command[64];

	if (seconds <= 0 || !mkdtemp(dir))
		bench_die("usage: wire [SECONDS_PER_SIZE]");
	make_certificates(dir);
	run(dir, seconds);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? 0 : 1;
}
