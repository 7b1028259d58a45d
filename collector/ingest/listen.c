/* The server side of the C core: sockets, certificates, completion queues, and the dispatch of calls
 * by path. What happens within a call is call.c.
 *
 * Each thread owns one completion queue and always has one request for a call armed on it; a call
 * stays on the queue that it came in on. Sizes: a connection costs the library about 50 KiB, a
 * stream about 10 KiB, so the bounds below keep a hostile peer with a valid certificate at some
 * MiB. */
#include "collector/ingest/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/impl/codegen/compression_types.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>

#include "collector/address.h"
#include "collector/ingest/call.h"
#include "collector/ingest/gate.h"
#include "collector/ingest/identity.h"
#include "collector/ingest/peers.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"

#define THREADS_MAX    64U
#define NAMES_MAX      16U /* subject alternative names that are looked at */
#define PATH_MAX_BYTES 256U

struct listen_thread {
	struct listen *listen;
	pthread_t id;
	bool running;
	grpc_completion_queue *queue;
	struct buf flat; /* for messages that came in several pieces */
	struct completion accepted;
	grpc_call *call; /* of the armed request, as the two below */
	grpc_call_details details;
	grpc_metadata_array metadata;
};

/* A socket and the version of the certificates that the library has for it. */
struct listen_socket {
	struct listen *listen;
	uint16_t port;
	uint64_t files_seen; /* under the listener's lock */
};

struct listen {
	grpc_server *server;
	const struct listen_method *const *methods;
	struct listen_counters counters;
	struct listen_thread *threads;
	unsigned int thread_count;
	struct listen_socket agents, strangers;
	bool started;

	pthread_mutex_t arm_lock; /* the two below; nothing else is locked inside */
	bool stopping;
	unsigned int armed; /* requests for a call that a queue holds or a thread handles */

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	struct tls_files files;
	uint64_t files_version; /* from 1 */
	bool down;	/* the server's shutdown is complete */
	struct completion on_down;
};

/* ---- what a gRPC process has once -------------------------------------------------------- */

/* The library reports a failed handshake in its log and nowhere else, and its log is one per
 * process: hence the only process-wide state here. */
static _Atomic(struct metric *) handshakes_failed;

static void library_log(gpr_log_func_args *args)
{
	struct metric *failed = atomic_load(&handshakes_failed);

	if (strstr(args->message, "andshake failed") || strstr(args->message, "andshaking failed")) {
		if (failed)
			metric_add(failed, 1);
		log_limited(LOG_LEVEL_WARNING, "refused a TLS connection: %s", args->message);
		return;
	}
	/* Why it cannot listen is said by whoever asked for it. */
	if (args->severity == GPR_LOG_SEVERITY_ERROR && !strstr(args->message, "No address added"))
		log_limited(LOG_LEVEL_WARNING, "grpc: %s", args->message);
}

/* ---- certificates ------------------------------------------------------------------------ */

/* Called by the library before every handshake, on any of its threads. */
static grpc_ssl_certificate_config_reload_status
fetch_files(void *ctx, grpc_ssl_server_certificate_config **ret_config)
{
	struct listen_socket *socket = (struct listen_socket *)ctx;
	struct listen *l = socket->listen;
	grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;

	(void)pthread_mutex_lock(&l->lock);
	if (socket->files_seen != l->files_version) {
		grpc_ssl_pem_key_cert_pair pair = {.private_key = l->files.key,
						   .cert_chain = l->files.cert};

		*ret_config = grpc_ssl_server_certificate_config_create(l->files.ca, &pair, 1);
		socket->files_seen = l->files_version;
		status = *ret_config ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW :
				       GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
	}
	(void)pthread_mutex_unlock(&l->lock);
	return status;
}

static int copy_files(const struct tls_files *files, struct tls_files *ret_copy)
{
	struct tls_files copy = {
		.ca = strdup(files->ca), .cert = strdup(files->cert), .key = strdup(files->key)};

	if (!copy.ca || !copy.cert || !copy.key) {
		tls_files_done(&copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

int listen_reload(struct listen *l, const struct tls_files *files, struct err *e)
{
	struct tls_files copy = {0};
	int r = copy_files(files, &copy);

	if (r < 0)
		return err_set(e, r, "cannot take the new certificates: no memory");
	(void)pthread_mutex_lock(&l->lock);
	tls_files_done(&l->files);
	l->files = copy;
	l->files_version++;
	(void)pthread_mutex_unlock(&l->lock);
	return 0;
}

/* ---- a new call -------------------------------------------------------------------------- */

static const struct listen_method *find_method(const struct listen *l, grpc_slice path)
{
	struct bytes wanted = bytes_of(GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path));
	const struct listen_method *const *table;
	const struct listen_method *m;

	for (table = l->methods; *table; table++)
		for (m = *table; m->path; m++)
			if (bytes_equal(bytes_of_text(m->path), wanted))
				return m;
	return NULL;
}

static int identify(grpc_call *call, struct tls_identity *ret_identity, struct err *e)
{
	struct bytes names[NAMES_MAX];
	size_t count = 0;
	grpc_auth_context *context = grpc_call_auth_context(call);
	grpc_auth_property_iterator it;
	const grpc_auth_property *property;
	int r;

	if (!context)
		return err_set(e, -EACCES, "the connection carries no certificate");
	it = grpc_auth_context_find_properties_by_name(context, "x509_subject_alternative_name");
	while (count < NAMES_MAX && (property = grpc_auth_property_iterator_next(&it)))
		names[count++] = bytes_of(property->value, property->value_length);
	r = identity_from_names(names, count, ret_identity, e);
	grpc_auth_context_release(context);
	return r;
}

/* Who has no certificate is known by address: "ipv4:10.0.0.1:4242" without the port. */
static void name_stranger(grpc_call *call, struct tls_identity *identity)
{
	char *peer = grpc_call_get_peer(call);
	const char *end = peer ? strrchr(peer, ':') : NULL;

	(void)snprintf(identity->node, sizeof(identity->node), "%.*s", end ? (int)(end - peer) : 0, peer ? peer : "");
	gpr_free(peer);
}

/* Whether the call may go on; the status and the sentence for the peer otherwise. */
static enum listen_status admit(struct listen *l, struct listen_thread *t, struct tls_identity *identity,
				const struct listen_method **ret_method, struct err *e)
{
	const struct listen_method *m = find_method(l, t->details.method);
	bool anonymous = m && m->anonymous;
	int r = identify(t->call, identity, e);

	if (r < 0 && !anonymous) {
		metric_add(l->counters.anonymous, 1);
		return LISTEN_UNAUTHENTICATED;
	}
	if (r < 0)
		name_stranger(t->call, identity);
	if (!m) {
		metric_add(l->counters.unimplemented, 1);
		(void)err_set(e, 0, "no such method: '%.*s'",
			      (int)(GRPC_SLICE_LENGTH(t->details.method) < PATH_MAX_BYTES ?
					    GRPC_SLICE_LENGTH(t->details.method) :
					    PATH_MAX_BYTES),
			      (const char *)GRPC_SLICE_START_PTR(t->details.method));
		return LISTEN_UNIMPLEMENTED;
	}
	if (!anonymous && !(m->roles & (unsigned int)identity->role)) {
		metric_add(l->counters.denied, 1);
		(void)err_set(e, 0, "a certificate with role '%s' may not call '%s'",
			      tls_role_name(identity->role), m->path);
		return LISTEN_PERMISSION_DENIED;
	}
	*ret_method = m;
	return LISTEN_OK;
}

/* After admit: takes a place among the calls of the identity. */
static enum listen_status enter(struct listen *l, const struct tls_identity *identity, uint32_t *ret_slot,
				struct err *e)
{
	if (!peers_enter(l->counters.peers, identity, ret_slot)) {
		metric_add(l->counters.crowded, 1);
		(void)err_set(e, 0, "this certificate has too many calls open: close some of them first");
		return LISTEN_RESOURCE_EXHAUSTED;
	}
	metric_add(l->counters.accepted, 1);
	return LISTEN_OK;
}

static void take_call(struct listen *l, struct listen_thread *t)
{
	static const struct listen_method nothing = {.path = ""};
	const struct listen_method *method = &nothing;
	struct tls_identity identity = {0};
	struct err e = {0};
	enum listen_status status = admit(l, t, &identity, &method, &e);
	uint32_t slot = CALL_NO_SLOT;
	struct listen_call *c;

	if (status == LISTEN_OK)
		status = enter(l, &identity, &slot, &e);
	c = call_new(t->call, method, &identity, slot, &t->flat, &l->counters);
	if (!c) {
		if (slot != CALL_NO_SLOT)
			peers_leave(l->counters.peers, slot);
		(void)grpc_call_cancel(t->call, NULL);
		grpc_call_unref(t->call);
	} else if (status == LISTEN_OK) {
		call_start(c);
	} else {
		call_reject(c, status, e.text);
	}
	t->call = NULL;
}

/* Asks for the next call, unless the server stops. Armed requests are counted so that no queue is
 * shut down under one: the library aborts when that happens. */
static void arm(struct listen_thread *t)
{
	struct listen *l = t->listen;

	(void)pthread_mutex_lock(&l->arm_lock);
	if (!l->stopping) {
		grpc_call_details_init(&t->details);
		grpc_metadata_array_init(&t->metadata);
		l->armed++;
		(void)grpc_server_request_call(l->server, &t->call, &t->details, &t->metadata, t->queue,
					       t->queue, &t->accepted);
	}
	(void)pthread_mutex_unlock(&l->arm_lock);
}

/* On the queue's thread: a call has come in, or (not ok) the server goes down. */
static void accepted(struct completion *self, bool ok)
{
	struct listen_thread *t =
		(struct listen_thread *)((char *)self - offsetof(struct listen_thread, accepted));

	if (ok)
		take_call(t->listen, t);
	grpc_call_details_destroy(&t->details);
	grpc_metadata_array_destroy(&t->metadata);
	if (ok)
		arm(t);
	(void)pthread_mutex_lock(&t->listen->arm_lock);
	t->listen->armed--;
	(void)pthread_mutex_unlock(&t->listen->arm_lock);
}

static void *run(void *ctx)
{
	struct listen_thread *t = (struct listen_thread *)ctx;

	for (;;) {
		grpc_event event = grpc_completion_queue_next(
			t->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		struct completion *c = (struct completion *)event.tag;

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.type == GRPC_OP_COMPLETE)
			c->done(c, event.success != 0);
	}
}

/* ---- building ---------------------------------------------------------------------------- */

static void register_counters(struct listen_counters *c, struct metrics *m)
{
	static const char name[] = "nightjar_grpc_calls_total";
	static const char help[] = "Calls that came in, by what became of them.";

	c->accepted = metrics_counter(m, name, "result=\"accepted\"", help);
	c->unimplemented = metrics_counter(m, name, "result=\"unknown_method\"", help);
	c->denied = metrics_counter(m, name, "result=\"wrong_role\"", help);
	c->anonymous = metrics_counter(m, name, "result=\"no_identity\"", help);
	c->crowded = metrics_counter(m, name, "result=\"too_many\"", help);
	c->broken = metrics_counter(m, "nightjar_grpc_calls_broken_total", NULL,
				    "Calls that ended before their status was sent: cancelled, reset, connection "
				    "lost, or a message above the limit.");
	c->open = metrics_gauge(m, "nightjar_grpc_open_calls", NULL, "Calls and streams under way.");
	c->received = metrics_counter(m, "nightjar_grpc_messages_received_total", NULL,
				      "Messages that peers have sent.");
	c->sent = metrics_counter(m, "nightjar_grpc_messages_sent_total", NULL,
				  "Messages that were sent to peers.");
	c->slow = metrics_counter(m, "nightjar_grpc_send_queue_full_total", NULL,
				  "Messages refused because the peer reads too slowly.");
	atomic_store(&handshakes_failed,
		     metrics_counter(m, "nightjar_tls_handshakes_failed_total", NULL,
				     "Connections refused before any call: certificate or protocol."));
}

/* Limits for peers that have a valid certificate and mean harm, or are broken. */
static grpc_server *create_server(void)
{
	static const struct {
		const char *key;
		int value;
	} limits[] = {
		{GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)WIRE_MESSAGE_MAX},
		{GRPC_ARG_MAX_CONCURRENT_STREAMS, 64},
		{GRPC_ARG_MAX_METADATA_SIZE, 8192},
		{GRPC_ARG_MAX_CONNECTION_AGE_MS, 12 * 3600 * 1000},
		{GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 60 * 1000},
		{GRPC_ARG_KEEPALIVE_TIME_MS, 30 * 1000},
		{GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * 1000},
		{GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
		{GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000},
		{GRPC_ARG_HTTP2_MAX_PING_STRIKES, 3},
		{GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10 * 1000},
		{GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1}, /* none: no bombs */
		/* A stream's window stays what it is at first: what a peer may have under way is known. */
		{GRPC_ARG_HTTP2_BDP_PROBE, 0},
		/* Little is read at a time, so that peers take turns. */
		{GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 64 << 10},
		{GRPC_ARG_ALLOW_REUSEPORT, 0}, /* a second collector on the port must be an error */
	};
	grpc_arg args[sizeof(limits) / sizeof(limits[0])];
	grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
	size_t i;

	for (i = 0; i < all.num_args; i++) {
		args[i] = (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)limits[i].key};
		args[i].value.integer = limits[i].value;
	}
	return grpc_server_create(&all, NULL);
}

/* The library only says that it could not listen; a socket of our own says why. */
static int why_not(const char *address, struct err *e)
{
	_cleanup_(closep) int fd = -1;
	uint16_t port;
	int r = address_listen("grpc.listen", address, &fd, &port, e);

	return r < 0 ? r : err_set(e, -EADDRNOTAVAIL, "cannot listen on '%s': gRPC refuses it", address);
}

static int add_port(struct listen *l, struct listen_socket *socket, const char *address,
		    grpc_ssl_client_certificate_request_type wanted, struct err *e)
{
	grpc_server_credentials *credentials = grpc_ssl_server_credentials_create_with_options(
		grpc_ssl_server_credentials_create_options_using_config_fetcher(wanted, fetch_files, socket));
	int port;

	if (!credentials)
		return err_set(e, -EINVAL, "gRPC does not take the server's certificate");
	port = grpc_server_add_http2_port(l->server, address, credentials);
	grpc_server_credentials_release(credentials);
	if (port <= 0)
		return why_not(address, e);
	socket->port = (uint16_t)port;
	return 0;
}

static int add_ports(struct listen *l, const struct listen_config *config, struct err *e)
{
	int r = add_port(l, &l->agents, config->address, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
			 e);

	if (r < 0 || !config->enroll_address || !config->enroll_address[0])
		return r;
	return add_port(l, &l->strangers, config->enroll_address, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, e);
}

static int start_threads(struct listen *l, struct err *e)
{
	unsigned int i;

	grpc_server_start(l->server);
	l->started = true;
	for (i = 0; i < l->thread_count; i++) {
		struct listen_thread *t = &l->threads[i];
		char name[16];
		int r;

		arm(t);
		r = pthread_create(&t->id, NULL, run, t);
		if (r != 0)
			return err_set(e, -r, "cannot start a listener thread: %s", strerror(r));
		t->running = true;
		(void)snprintf(name, sizeof(name), "nj-grpc-%u", i);
		(void)pthread_setname_np(t->id, name);
	}
	return 0;
}

static void server_down(struct completion *self, bool ok)
{
	struct listen *l = (struct listen *)((char *)self - offsetof(struct listen, on_down));

	(void)ok;
	(void)pthread_mutex_lock(&l->lock);
	l->down = true;
	(void)pthread_cond_broadcast(&l->changed);
	(void)pthread_mutex_unlock(&l->lock);
}

static struct listen *allocate(const struct listen_config *config)
{
	struct listen *l = calloc(1, sizeof(*l));
	unsigned int i, count = config->threads < THREADS_MAX ? config->threads : THREADS_MAX;

	if (!l)
		return NULL;
	grpc_init();
	gpr_set_log_function(library_log);
	(void)pthread_mutex_init(&l->arm_lock, NULL);
	(void)pthread_mutex_init(&l->lock, NULL);
	(void)pthread_cond_init(&l->changed, NULL);
	l->methods = config->methods;
	l->agents.listen = l->strangers.listen = l;
	l->on_down.done = server_down;
	l->files_version = 1;
	l->threads = calloc(count ? count : 1, sizeof(*l->threads));
	l->counters.peers = peers_new();
	if (!l->threads || !l->counters.peers || copy_files(config->files, &l->files) < 0) {
		listen_free(l);
		return NULL;
	}
	l->server = create_server();
	for (i = 0; i < (count ? count : 1); i++) {
		struct listen_thread *t = &l->threads[i];

		*t = (struct listen_thread){.listen = l, .flat = buf_with_max(WIRE_MESSAGE_MAX)};
		t->accepted.done = accepted;
		t->queue = grpc_completion_queue_create_for_next(NULL);
		grpc_server_register_completion_queue(l->server, t->queue, NULL);
		l->thread_count++;
	}
	return l;
}

int listen_new(const struct listen_config *config, struct listen **ret_listen, struct err *e)
{
	struct listen *l = allocate(config);
	int r;

	if (!l)
		return err_set(e, -ENOMEM, "cannot start the gRPC server: no memory");
	register_counters(&l->counters, config->metrics);
	r = gate_open(config->connections, config->metrics, e);
	if (r == 0)
		r = add_ports(l, config, e);
	if (r == 0)
		r = start_threads(l, e);
	if (r < 0) {
		listen_stop(l, 0);
		listen_free(l);
		return r;
	}
	*ret_listen = l;
	return 0;
}

uint16_t listen_port(const struct listen *l)
{
	return l->agents.port;
}

uint16_t listen_enroll_port(const struct listen *l)
{
	return l->strangers.port;
}

/* ---- stopping ---------------------------------------------------------------------------- */

/* False after the time. */
static bool wait_down(struct listen *l, int timeout_ms)
{
	const struct timespec at = clock_timespec(clock_wall_ns() + (uint64_t)timeout_ms * NS_PER_MS);
	bool down;

	(void)pthread_mutex_lock(&l->lock);
	while (!l->down)
		if (pthread_cond_timedwait(&l->changed, &l->lock, &at) != 0)
			break;
	down = l->down;
	(void)pthread_mutex_unlock(&l->lock);
	return down;
}

/* Whether some operation may still be begun on a queue. */
static bool is_busy(struct listen *l)
{
	bool busy;

	(void)pthread_mutex_lock(&l->arm_lock);
	busy = l->armed > 0;
	(void)pthread_mutex_unlock(&l->arm_lock);
	return busy || atomic_load(&l->counters.open_now) > 0;
}

void listen_stop(struct listen *l, int timeout_ms)
{
	const struct timespec millisecond = {.tv_nsec = NS_PER_MS};
	unsigned int i;

	if (!l->started)
		return;
	l->started = false;
	(void)pthread_mutex_lock(&l->arm_lock);
	l->stopping = true;
	(void)pthread_mutex_unlock(&l->arm_lock);
	grpc_server_shutdown_and_notify(l->server, l->threads[0].queue, &l->on_down);
	if (l->threads[0].running && !wait_down(l, timeout_ms)) {
		grpc_server_cancel_all_calls(l->server);
		while (!wait_down(l, 1000))
			;
	}
	/* The calls' last completions are on their way: a moment, once, at the very end. */
	while (l->threads[l->thread_count - 1].running && is_busy(l))
		(void)nanosleep(&millisecond, NULL);
	for (i = 0; i < l->thread_count; i++) {
		grpc_completion_queue_shutdown(l->threads[i].queue);
		if (l->threads[i].running)
			(void)pthread_join(l->threads[i].id, NULL);
		else
			(void)run(&l->threads[i]);
	}
}

void listen_free(struct listen *l)
{
	unsigned int i;

	if (!l)
		return;
	if (l->server)
		grpc_server_destroy(l->server);
	for (i = 0; i < l->thread_count; i++) {
		grpc_completion_queue_destroy(l->threads[i].queue);
		buf_done(&l->threads[i].flat);
	}
	atomic_store(&handshakes_failed, NULL);
	gate_close();
	free(l->threads);
	peers_free(l->counters.peers);
	tls_files_done(&l->files);
	(void)pthread_cond_destroy(&l->changed);
	(void)pthread_mutex_destroy(&l->lock);
	(void)pthread_mutex_destroy(&l->arm_lock);
	free(l);
	grpc_shutdown();
}
