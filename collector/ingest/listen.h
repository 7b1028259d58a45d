/* The collector's gRPC server: mTLS on the C core, one completion queue a thread, every method of
 * every service as a row of one table. Handlers never see gRPC.
 *
 * Bounds for peers with a valid certificate: connections and what each may cost (gate.h), calls per
 * identity (peers.h), streams per connection, message size (WIRE_MESSAGE_MAX), queued bytes per
 * stream, connection age and ping rate. A peer without a
 * certificate of our CA, or with an identity whose role the method does not allow, is refused and
 * counted. */
#pragma once

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/metrics.h"
#include "common/tls.h"

/* gRPC status codes that handlers use. */
enum listen_status {
	LISTEN_OK = 0,
	LISTEN_INVALID_ARGUMENT = 3,
	LISTEN_NOT_FOUND = 5,
	LISTEN_PERMISSION_DENIED = 7,
	LISTEN_RESOURCE_EXHAUSTED = 8,
	LISTEN_UNIMPLEMENTED = 12,
	LISTEN_INTERNAL = 13,
	LISTEN_UNAVAILABLE = 14,
	LISTEN_UNAUTHENTICATED = 16,
};

struct listen_call; /* one call or stream, counted references */

struct listen_method {
	const char *path;   /* "/nightjar.v1.Alerts/List" */
	unsigned int roles; /* enum tls_role bits that may call it */
	/* A peer without a certificate may call it too, on the enrolment port: its identity then has no
	 * role, and its address as the node. */
	bool anonymous;
	/* A call has come in: *ret_state becomes the call's own. LISTEN_OK or the status to refuse
	 * it with (text via listen_refuse). May be NULL. */
	int (*open)(void *ctx, struct listen_call *call, void **ret_state);
	/* One message of the client. For a unary method: listen_send once, then listen_finish. */
	void (*message)(void *ctx, struct listen_call *call, void *state, struct bytes message);
	/* The client sends no more. NULL: the call goes on until it is finished or cancelled. */
	void (*half_closed)(void *ctx, struct listen_call *call, void *state);
	/* The last call-back for this call, in every case once open has answered LISTEN_OK. */
	void (*closed)(void *ctx, struct listen_call *call, void *state);
	void *ctx;
};
/* open, message, half_closed and closed of one call are never run at the same time, but come from
 * any completion-queue thread. They must not block. */

/* For open: keeps the sentence for the refused peer and returns status. */
int listen_refuse(struct listen_call *call, enum listen_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* From within open or message: no further message until listen_resume; the peer's flow control
 * window fills and it waits. Resume comes from any thread. */
void listen_pause(struct listen_call *call);
void listen_resume(struct listen_call *call);

const struct tls_identity *listen_call_identity(const struct listen_call *call);
const char *listen_call_peer(const struct listen_call *call); /* "ipv4:127.0.0.1:4242" */
struct listen_call *listen_call_ref(struct listen_call *call);
void listen_call_unref(struct listen_call *call);

/* Any thread, while a reference is held. Copies. -ENOBUFS when the peer is too slow (256 messages
 * or 4 MiB are waiting), -EPIPE when the call is over. */
int listen_send(struct listen_call *call, struct bytes message) must_check;
/* Ends the call after what is queued; later calls do nothing. Any thread. */
void listen_finish(struct listen_call *call, enum listen_status status, const char *text);

struct listen_config {
	const char *address; /* "HOST:PORT"; port 0: any */
	/* Another one, where no certificate is asked for and only anonymous methods can be called. On a
	 * port of its own, so that the other goes on refusing strangers in the handshake, before a byte
	 * of HTTP/2, and so that a network policy can tell them apart. NULL or "": none. */
	const char *enroll_address;
	const struct tls_files *files;
	unsigned int threads;
	unsigned int connections; /* at a time, of the process (gate.h); 0: as descriptors allow */
	/* Tables, each ended by a NULL path; NULL-ended. They and the array outlive the listener. */
	const struct listen_method *const *methods;
	struct metrics *metrics;
};

struct listen;

int listen_new(const struct listen_config *config, struct listen **ret_listen, struct err *e) must_check;
uint16_t listen_port(const struct listen *l);
uint16_t listen_enroll_port(const struct listen *l); /* 0: none */
/* New connections get these from now on. */
int listen_reload(struct listen *l, const struct tls_files *files, struct err *e) must_check;
/* No new calls; waits at most timeout_ms for open ones, then cancels them. */
void listen_stop(struct listen *l, int timeout_ms);
void listen_free(struct listen *l); /* NULL allowed; after listen_stop */
