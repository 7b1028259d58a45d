/* A client of nightjar.v1 over mTLS: what the uplink and the command line share; and of a server behind a
 * UNIX socket. One connection, used by one thread. Wraps the gRPC C core so that nobody else on the client side includes it.
 *
 * rpc_init once in main after every fork; rpc_done at the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/tls.h"

void rpc_init(void);
void rpc_done(void);
/* What gRPC itself has to say becomes debug lines. For programs that are clients only: a listener
 * reads those lines. Before rpc_init. */
void rpc_log_quietly(void);

struct rpc_client;

/* target "HOST:PORT"; server_name: what the server's certificate must carry, NULL: HOST. */
int rpc_client_new(const char *target, const char *server_name, const struct tls_files *files,
		   struct rpc_client **ret_client, struct err *e) must_check;
/* A server on this machine, at a UNIX socket: no certificates, the file's owner is trusted for who
 * answers, and for nothing that it says. Messages of at most max_bytes are taken in. */
int rpc_client_new_local(const char *path, size_t max_bytes, struct rpc_client **ret_client,
			 struct err *e) must_check;
void rpc_client_free(struct rpc_client *c); /* cancels what is open; NULL allowed */

/* One request, one answer; waits at most timeout_ms. *ret_reply is malloc'ed (empty: may be NULL). On failure negative
 * errno, the server's sentence in e, and its gRPC status code in *ret_status when not NULL. */
int rpc_client_call(struct rpc_client *c, const char *method, struct bytes request, int timeout_ms,
		    struct bytes *ret_reply, int *ret_status, struct err *e) must_check;

/* Why a call or stream ended, for people: when the peer could not be reached it looks for the reason
 * itself (tls_diagnose.h), which may take some seconds. 0 for status 0, else negative errno with the
 * sentence. */
int rpc_client_explain(const struct rpc_client *c, int status, const char *text, struct err *e) must_check;
/* The negative errno that goes with a gRPC status code. */
int rpc_status_errno(int status) must_check;

/* A stream in both directions. Events come out of rpc_stream_wait one at a time. */
struct rpc_stream;

enum rpc_event_kind {
	RPC_EVENT_TIMEOUT, /* nothing within the time */
	RPC_EVENT_WAKEUP,  /* rpc_stream_wakeup was called */
	RPC_EVENT_MESSAGE, /* data: valid until the next wait */
	RPC_EVENT_SENT,	   /* the message given to rpc_stream_send has left: the next may be sent; may
			    * come after the answer to it, and not at all once the stream is over */
	RPC_EVENT_CLOSED,  /* over: status and text say why; free the stream */
};

struct rpc_event {
	enum rpc_event_kind kind;
	struct bytes data;
	int status;	  /* gRPC status code of CLOSED */
	const char *text; /* sentence of CLOSED */
};

int rpc_stream_open(struct rpc_client *c, const char *method, struct rpc_stream **ret_stream,
		    struct err *e) must_check;
/* Copies the message. One at a time: -EAGAIN until RPC_EVENT_SENT. */
int rpc_stream_send(struct rpc_stream *s, struct bytes message) must_check;
/* No more messages from this side. */
int rpc_stream_finish_sending(struct rpc_stream *s) must_check;
void rpc_stream_wait(struct rpc_stream *s, int timeout_ms, struct rpc_event *ret_event);
/* Ends a wait from another thread; the only call that is allowed from one. */
void rpc_stream_wakeup(struct rpc_stream *s);
void rpc_stream_free(struct rpc_stream *s); /* cancels; NULL allowed */

DEFINE_CLEANUP(struct rpc_client *, rpc_client_free)
DEFINE_CLEANUP(struct rpc_stream *, rpc_stream_free)
