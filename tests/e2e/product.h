/* The product's programs one by one, as an operator starts them: what they say, how they end, what
 * they count; and the other side of each, played by the test. For suites about what goes wrong.
 *
 * stdout and stderr of a program are one text, which is read through a pipe: waiting is a poll with
 * a deadline. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/rpc.h"
#include "common/tls.h"

#define PRODUCT_READY_MS 30000
#define PRODUCT_STOP_MS	 15000
#define PRODUCT_SAY_MS	 10000

/* ---- a CA with certificates, and a directory for everything a test makes ---- */

struct site {
	char dir[64];
};

void site_init(struct site *s); /* collector.pem, agent.pem (node n1), reader.pem, each with its key */
void site_done(struct site *s);
/* NAME.pem and NAME-key.pem; not_after_s in the past makes an expired one. */
void site_cert(const struct site *s, const char *name, enum tls_role role, const char *node,
	       int64_t not_after_s);

/* ---- a program ---- */

struct product {
	pid_t pid; /* -1: none */
	int pidfd, out_fd;
	int status; /* wait status, -1 while it runs */
	struct buf text;
	size_t seen; /* product_says goes on here */
};

#define PRODUCT_NONE {.pid = -1, .pidfd = -1, .out_fd = -1, .status = -1}

/* argv[0] is a program of build/bin. prepare, if any, runs in the child before it is executed and
 * answers whether that has worked. */
void product_start(struct product *p, const char *const *argv, bool (*prepare)(void *ctx), void *ctx);
/* True once text stands somewhere behind what an earlier call has found. */
bool product_says(struct product *p, const char *text, int timeout_ms);
/* How often it has said so. */
unsigned int product_count(struct product *p, const char *text);
/* The exit status, 128 + signal, or -ETIMEDOUT. */
int product_wait(struct product *p, int timeout_ms);
int product_stop(struct product *p); /* SIGTERM first */
void product_done(struct product *p);
bool product_is_alive(struct product *p);

/* ---- a collector ---- */

struct collected {
	struct site *site;
	struct product product;
	char grpc[64], http[64];
};

/* With flags besides, NULL-ended, up to 8; ready once it returns. */
void collected_start(struct collected *c, struct site *site, const char *const *flags,
		     bool (*prepare)(void *ctx), void *ctx);
void collected_stop(struct collected *c); /* must end well */
/* A sample of /metrics, with its labels as they stand there; 0 when there is none. */
uint64_t collected_metric(const struct collected *c, const char *sample);
/* Waits until the sample is at least that. */
bool collected_counts(const struct collected *c, const char *sample, uint64_t least);
uint64_t collected_rss_kb(const struct collected *c);
/* An answer of the HTTP port, whole. */
void collected_get(const struct collected *c, const char *path, struct buf *out);

/* ---- an agent, played ---- */

struct rpc_client *agent_client(const struct collected *c, const char *cert);
struct rpc_stream *agent_stream(struct rpc_client *client);
/* Sends once what was sent before has left. */
void agent_send(struct rpc_stream *s, struct bytes message);
void agent_hello(struct rpc_stream *s, const char *node);
/* Status of the stream's end, its sentence in ret_text. What comes before is skipped. */
int agent_ended(struct rpc_stream *s, char ret_text[256]);
/* A batch with one shell that talks to port of 198.51.100.7, numbered seq. */
void agent_batch(uint64_t seq, uint16_t port, const char *node, struct buf *out);
/* Waits until batch seq has been acknowledged. */
bool agent_acked(struct rpc_stream *s, uint64_t seq);
/* A whole attack through a new connection: the batch is acknowledged and its alert printed. */
void collected_canary(struct collected *c);
