/* A CA with certificates in a directory of its own, a listener on any port of loopback, and clients
 * for it: what the tests of the server side start from. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/ingest/listen.h"
#include "common/clock.h"
#include "common/rpc.h"
#include "common/tls.h"
#include "tests/unit/counter.h"
#include "tests/unit/unit.h"

#define PEER_WAIT_MS 10000 /* for an answer that must come; a test that needs it all has failed */

struct peer {
	char dir[64];
	struct metrics *metrics;
	struct listen *listen;
	char target[64];
};

static inline void peer_cert(struct peer *p, const char *name, enum tls_role role, const char *node,
			     int64_t not_after_s)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	struct tls_request request = {.name = name,
				      .identity = {.role = role, .cluster = "c", .namespace = "n"},
				      .hosts = role == TLS_ROLE_COLLECTOR ? hosts : NULL,
				      .not_before_s = -7200,
				      .not_after_s = not_after_s};
	struct err e = {0};

	(void)snprintf(request.identity.node, sizeof(request.identity.node), "%s", node);
	if (tls_make_cert(p->dir, &request, &e) != 0)
		fail_msg("%s", e.text);
}

static inline struct tls_files peer_files(const struct peer *p, const char *name)
{
	char ca[128], cert[128], key[128];
	struct tls_files files = {0};
	struct err e = {0};

	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", p->dir);
	(void)snprintf(cert, sizeof(cert), "%s/%s.pem", p->dir, name);
	(void)snprintf(key, sizeof(key), "%s/%s-key.pem", p->dir, name);
	if (tls_load(ca, cert, key, clock_wall_ns(), &files, &e) != 0)
		fail_msg("%s", e.text);
	return files;
}

static inline void peer_init(struct peer *p)
{
	*p = (struct peer){0};
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/nj-peer-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(tls_make_ca(p->dir, "c", 1, NULL), 0);
	peer_cert(p, "server", TLS_ROLE_COLLECTOR, "", 3600);
	peer_cert(p, "agent1", TLS_ROLE_AGENT, "n1", 3600);
	peer_cert(p, "reader", TLS_ROLE_READER, "", 3600);
	p->metrics = metrics_new();
	rpc_init();
}

static inline void peer_listen(struct peer *p, const struct listen_method *const *methods)
{
	struct tls_files files = peer_files(p, "server");
	struct listen_config config = {.address = "127.0.0.1:0",
				       .files = &files,
				       .threads = 2,
				       .methods = methods,
				       .metrics = p->metrics};
	struct err e = {0};

	if (listen_new(&config, &p->listen, &e) != 0)
		fail_msg("%s", e.text);
	tls_files_done(&files);
	(void)snprintf(p->target, sizeof(p->target), "127.0.0.1:%u", listen_port(p->listen));
}

static inline void peer_unlisten(struct peer *p)
{
	if (!p->listen)
		return;
	listen_stop(p->listen, 100);
	listen_free(p->listen);
	p->listen = NULL;
}

static inline void peer_done(struct peer *p)
{
	char command[128];

	peer_unlisten(p);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
	assert_int_equal(system(command), 0);
	metrics_free(p->metrics);
	rpc_done();
}

static inline struct rpc_client *peer_client(const struct peer *p, const char *name)
{
	struct tls_files files = peer_files(p, name);
	struct rpc_client *client = NULL;
	struct err e = {0};

	if (rpc_client_new(p->target, NULL, &files, &client, &e) != 0)
		fail_msg("%s", e.text);
	tls_files_done(&files);
	return client;
}

/* The next thing that happens on the stream, sends left out. */
static inline struct rpc_event peer_next(struct rpc_stream *s)
{
	struct rpc_event event;

	do
		rpc_stream_wait(s, PEER_WAIT_MS, &event);
	while (event.kind == RPC_EVENT_SENT);
	if (event.kind == RPC_EVENT_TIMEOUT)
		fail_msg("nothing came in time");
	return event;
}

/* Sends once what was sent before has left. */
static inline void peer_send(struct rpc_stream *s, struct bytes message)
{
	struct rpc_event event;

	while (rpc_stream_send(s, message) == -EAGAIN) {
		rpc_stream_wait(s, PEER_WAIT_MS, &event);
		assert_int_equal(event.kind, RPC_EVENT_SENT);
	}
}
