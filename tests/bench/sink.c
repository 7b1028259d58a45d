/* The sink: see sink.h. */
#include "tests/bench/sink.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/ingest/listen.h"
#include "common/clock.h"
#include "common/rpc.h"
#include "common/wire.h"
#include "nightjar/v1/agent.pb-c.h"
#include "tests/bench/bench.h"

#define METHOD	    "/nightjar.v1.Ingest/Stream"
#define DEFINED_MAX 65536 /* processes an epoch may define */

struct session {
	struct wire_decoder *decoder;
	struct arena *arena;
	bool greeted; /* Hello is answered */
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

static void acknowledge(struct listen_call *call, uint64_t seq)
{
	Nightjar__V1__CollectorMessage answer = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Ack ack = NIGHTJAR__V1__ACK__INIT;
	uint8_t data[64];

	ack.seq = seq;
	answer.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK;
	answer.ack = &ack;
	if (listen_send(call, (struct bytes){data, nightjar__v1__collector_message__pack(
							   &answer, data)}) < 0)
		bench_die("the sink cannot send an Ack");
}

static void count(struct sink_counts *c, const struct wire_batch *batch)
{
	c->batches++;
	for (uint32_t i = 0; i < batch->event_count; i++) {
		c->events += batch->events[i].repeats == 0;
		c->suppressed += batch->events[i].repeats;
	}
	for (uint32_t i = 0; i < batch->loss_count; i++)
		c->lost += batch->losses[i].count;
}

static void session_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct sink_counts *counts = ctx;
	struct session *s = state;
	struct wire_batch batch;
	int r;

	arena_reset(s->arena);
	r = wire_decode_batch(s->decoder, message, s->arena, &batch);
	if (r == -ENOMSG && s->greeted) {
		counts->heartbeats++;
		return;
	}
	if (r < 0 && r != -ENOMSG)
		bench_die("the sink cannot decode a batch: %s", strerror(-r));
	if (r == 0)
		count(counts, &batch);
	s->greeted = true;
	acknowledge(call, r == 0 ? batch.head.seq : 0);
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

/* Never returns. */
static void serve(const char *dir, int niceness, struct sink_counts *counts, int port_pipe)
{
	const struct listen_method methods[] = {
		{.path = METHOD,
		 .roles = TLS_ROLE_AGENT,
		 .open = session_open,
		 .message = session_message,
		 .half_closed = session_half_closed,
		 .closed = session_closed,
		 .ctx = counts},
		{.path = NULL},
	};
	const struct listen_method *const tables[] = {methods, NULL};
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
	(void)setpriority(PRIO_PROCESS, 0, niceness);
	bench_tls(dir, "server", &files);
	if (!config.metrics || listen_new(&config, &l, &e) < 0)
		bench_die("%s", e.text);
	port = listen_port(l);
	if (write(port_pipe, &port, sizeof(port)) != sizeof(port))
		bench_die("no driver");
	for (;;)
		(void)pause();
}

void sink_certificates(const char *dir)
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

void sink_start(const char *dir, int niceness, struct sink *ret_sink)
{
	struct sink_counts *counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint16_t port;
	int fds[2];
	pid_t pid;

	if (counts == MAP_FAILED || pipe(fds) < 0)
		bench_die("no sink: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		serve(dir, niceness, counts, fds[1]);
	(void)close(fds[1]);
	if (pid < 0 || read(fds[0], &port, sizeof(port)) != sizeof(port))
		bench_die("no sink");
	(void)close(fds[0]);
	*ret_sink = (struct sink){.pid = pid, .port = port, .counts = counts};
}

void sink_stop(struct sink *s)
{
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
	(void)munmap((void *)(uintptr_t)s->counts, sizeof(*s->counts));
}
