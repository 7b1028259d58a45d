/* One call or stream, inside the listener only (listen.c makes it, call.c runs it; everybody else
 * sees listen.h).
 *
 * Life: listen.c learns of a call on a completion queue and gives it to call_start or call_reject.
 * Every operation under way holds a reference. The method's call-backs run on the one thread of the
 * call's queue, so they need no lock; what other threads may do (send, finish, pause) is under the
 * call's lock. The last completion after the peer is gone ends it: closed, then grpc_call_unref. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <grpc/grpc.h>

#include "collector/ingest/listen.h"
#include "common/buf.h"

#define CALL_QUEUE_MESSAGES 256U
#define CALL_QUEUE_BYTES    (4UL << 20)
#define CALL_TEXT_MAX	    256

/* What a completion queue's tag points to. */
struct completion {
	void (*done)(struct completion *self, bool ok);
	struct listen_call *call; /* NULL for the listener's own */
};

struct listen_counters {
	struct peers *peers;
	struct metric *accepted, *unimplemented, *denied, *anonymous, *crowded, *broken;
	struct metric *open, *received, *sent, *slow;
	atomic_uint_fast64_t open_now;
};

struct listen_call;

#define CALL_NO_SLOT UINT32_MAX

/* Takes over call, and slot of peers.h when it has one. method and identity have been checked. flat: scratch of the queue's thread. */
struct listen_call *call_new(grpc_call *call, const struct listen_method *method,
			     const struct tls_identity *identity, uint32_t slot, struct buf *flat,
			     struct listen_counters *counters); /* NULL without memory */
void call_start(struct listen_call *c);
/* Answers with the status and ends. */
void call_reject(struct listen_call *c, enum listen_status status, const char *text);
