/* The client side of gRPC on the C core; see rpc.h.
 *
 * Each stream has a completion queue of its own, which its thread polls: there are no other threads
 * in between. Every operation that is started is taken off the queue again before its memory goes.
 * Channels share nothing, so that a new one begins without the back-off of an older one. */
#include "common/rpc.h"

#include <errno.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/tls_diagnose.h"
#include "common/wire.h"

#define CONNECT_TIMEOUT_MS  5000
#define DIAGNOSE_TIMEOUT_MS 2000
#define KEEPALIVE_MS	    20000 /* finds a peer that is gone without a word */
#define KEEPALIVE_WAIT_MS   10000

struct rpc_client {
	grpc_channel *channel;
	char *target;
	char *server_name; /* NULL: the target's host */
	struct tls_files files;
	bool local; /* a UNIX socket, without TLS */
	size_t max_bytes;
};

/* What gRPC has to say is for its developers; people get a sentence from rpc_client_explain. */
static void log_for_developers(gpr_log_func_args *args)
{
	log_debug("grpc: %s", args->message);
}

void rpc_log_quietly(void)
{
	gpr_set_log_function(log_for_developers);
}

void rpc_init(void)
{
	grpc_init();
}

void rpc_done(void)
{
	grpc_shutdown_blocking();
}

static grpc_channel_credentials *credentials(const struct tls_files *files)
{
	grpc_ssl_pem_key_cert_pair pair = {.private_key = files->key, .cert_chain = files->cert};
	bool has_pair = files->cert && files->cert[0];

	return grpc_ssl_credentials_create_ex(files->ca, has_pair ? &pair : NULL, NULL, NULL);
}

static grpc_arg int_arg(const char *key, int value)
{
	grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key};

	arg.value.integer = value;
	return arg;
}

static grpc_channel *new_channel(const struct rpc_client *c)
{
	grpc_channel_credentials *creds = c->local ? grpc_insecure_credentials_create() :
						     credentials(&c->files);
	grpc_channel *channel;
	grpc_arg list[] = {
		int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
		int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS),
		int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_WAIT_MS),
		int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)c->max_bytes),
		int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, (int)WIRE_MESSAGE_MAX),
		int_arg(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0),
		{.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG},
	};
	grpc_channel_args args = {.num_args = sizeof(list) / sizeof(list[0]), .args = list};

	if (!creds)
		return NULL;
	list[args.num_args - 1].value.string = c->server_name;
	if (!c->server_name)
		args.num_args--;
	channel = grpc_channel_create(c->target, creds, &args);
	grpc_channel_credentials_release(creds);
	return channel;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

int rpc_client_new(const char *target, const char *server_name, const struct tls_files *files,
		   struct rpc_client **ret_client, struct err *e)
{
	_cleanup_(rpc_client_freep) struct rpc_client *c = calloc(1, sizeof(*c));
	char host[256], port[8];
	int r = tls_split_target(target, host, port, e);

	if (r < 0)
		return r;
	if (!c)
		return err_set(e, -ENOMEM, "cannot connect to %s: out of memory", target);
	c->max_bytes = WIRE_MESSAGE_MAX;
	c->target = copy(target);
	c->server_name = copy(server_name);
	c->files = (struct tls_files){copy(files->ca), copy(files->cert), copy(files->key)};
	c->channel = new_channel(c);
	if (!c->channel)
		return err_set(e, -EINVAL, "cannot connect to %s: gRPC does not accept our certificates", target);
	*ret_client = take_ptr(c);
	return 0;
}

int rpc_client_new_local(const char *path, size_t max_bytes, struct rpc_client **ret_client, struct err *e)
{
	_cleanup_(rpc_client_freep) struct rpc_client *c = calloc(1, sizeof(*c));

	if (!c || asprintf(&c->target, "unix:%s", path) < 0)
		return err_set(e, -ENOMEM, "cannot connect to %s: out of memory", path);
	c->local = true;
	c->max_bytes = max_bytes;
	c->channel = new_channel(c);
	if (!c->channel)
		return err_set(e, -EINVAL, "cannot connect to %s", path);
	*ret_client = take_ptr(c);
	return 0;
}

void rpc_client_free(struct rpc_client *c)
{
	if (!c)
		return;
	if (c->channel)
		grpc_channel_destroy(c->channel);
	free(c->target);
	free(c->server_name);
	free(c->files.ca);
	free(c->files.cert);
	if (c->files.key)
		explicit_bzero(c->files.key, strlen(c->files.key));
	free(c->files.key);
	free(c);
}

int rpc_status_errno(int status)
{
	switch (status) {
	case GRPC_STATUS_OK:
		return 0;
	case GRPC_STATUS_CANCELLED:
		return -ECANCELED;
	case GRPC_STATUS_DEADLINE_EXCEEDED:
		return -ETIMEDOUT;
	case GRPC_STATUS_INVALID_ARGUMENT:
		return -EINVAL;
	case GRPC_STATUS_NOT_FOUND:
		return -ENOENT;
	case GRPC_STATUS_PERMISSION_DENIED:
	case GRPC_STATUS_UNAUTHENTICATED:
		return -EACCES;
	case GRPC_STATUS_UNIMPLEMENTED:
		return -ENOSYS;
	case GRPC_STATUS_UNAVAILABLE:
		return -ECONNREFUSED;
	default:
		return -EREMOTEIO;
	}
}

int rpc_client_explain(const struct rpc_client *c, int status, const char *text, struct err *e)
{
	int r = 0;

	if (status == GRPC_STATUS_OK)
		return 0;
	if (!c->local && (status == GRPC_STATUS_UNAVAILABLE || status == GRPC_STATUS_DEADLINE_EXCEEDED))
		r = tls_diagnose(c->target, c->server_name, &c->files, DIAGNOSE_TIMEOUT_MS, e);
	if (r < 0)
		return r;
	return err_set(e, rpc_status_errno(status), "%s: %s", c->target, text && text[0] ? text : "call failed");
}

/* ---- bytes ---- */

static grpc_byte_buffer *to_buffer(struct bytes message)
{
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)message.data, message.len);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

	grpc_slice_unref(slice);
	return buffer;
}

static int from_buffer(grpc_byte_buffer *buffer, struct buf *out)
{
	grpc_byte_buffer_reader reader;
	grpc_slice *slice;

	if (!grpc_byte_buffer_reader_init(&reader, buffer))
		return -EBADMSG;
	while (grpc_byte_buffer_reader_peek(&reader, &slice))
		buf_add(out, GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
	grpc_byte_buffer_reader_destroy(&reader);
	return buf_error(out);
}

static gpr_timespec after_ms(int timeout_ms)
{
	if (timeout_ms < 0)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

static grpc_call *new_call(struct rpc_client *c, grpc_completion_queue *queue, const char *method,
			   gpr_timespec deadline)
{
	grpc_slice path = grpc_slice_from_copied_string(method);
	grpc_call *call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue, path,
						   NULL, deadline, NULL);

	grpc_slice_unref(path);
	return call;
}

/* Nothing may be left in a queue that goes. */
static void drain(grpc_completion_queue *queue)
{
	grpc_event event;

	grpc_completion_queue_shutdown(queue);
	do
		event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	while (event.type != GRPC_QUEUE_SHUTDOWN);
	grpc_completion_queue_destroy(queue);
}

/* ---- one request, one answer ---- */

struct unary {
	grpc_completion_queue *queue;
	grpc_call *call;
	grpc_byte_buffer *request, *reply;
	grpc_metadata_array initial, trailing;
	grpc_status_code status;
	grpc_slice details;
};

static void unary_run(struct unary *u)
{
	grpc_op ops[6] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA},
		{.op = GRPC_OP_SEND_MESSAGE},
		{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
		{.op = GRPC_OP_RECV_INITIAL_METADATA},
		{.op = GRPC_OP_RECV_MESSAGE},
		{.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
	};

	ops[1].data.send_message.send_message = u->request;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
	ops[4].data.recv_message.recv_message = &u->reply;
	ops[5].data.recv_status_on_client.trailing_metadata = &u->trailing;
	ops[5].data.recv_status_on_client.status = &u->status;
	ops[5].data.recv_status_on_client.status_details = &u->details;
	if (grpc_call_start_batch(u->call, ops, 6, u, NULL) != GRPC_CALL_OK)
		u->status = GRPC_STATUS_INTERNAL;
	else /* the call's deadline ends this */
		(void)grpc_completion_queue_next(u->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void unary_done(struct unary *u)
{
	grpc_call_unref(u->call);
	drain(u->queue);
	grpc_byte_buffer_destroy(u->request);
	grpc_byte_buffer_destroy(u->reply);
	grpc_metadata_array_destroy(&u->initial);
	grpc_metadata_array_destroy(&u->trailing);
	grpc_slice_unref(u->details);
}

static int unary_result(const struct rpc_client *c, struct unary *u, struct bytes *ret_reply, struct err *e)
{
	_cleanup_buf_ struct buf reply = buf_with_max(c->max_bytes);
	char *text = grpc_slice_to_c_string(u->details);
	int r = rpc_client_explain(c, u->status, text, e);

	gpr_free(text);
	if (r < 0)
		return r;
	if (u->reply && from_buffer(u->reply, &reply) < 0)
		return err_set(e, -ENOMEM, "%s: no memory for the answer", c->target);
	*ret_reply = buf_bytes(&reply);
	reply = (struct buf){0};
	return 0;
}

int rpc_client_call(struct rpc_client *c, const char *method, struct bytes request, int timeout_ms,
		    struct bytes *ret_reply, int *ret_status, struct err *e)
{
	struct unary u = {.details = grpc_empty_slice()};
	int r;

	u.queue = grpc_completion_queue_create_for_next(NULL);
	u.call = new_call(c, u.queue, method, after_ms(timeout_ms));
	u.request = to_buffer(request);
	grpc_metadata_array_init(&u.initial);
	grpc_metadata_array_init(&u.trailing);
	unary_run(&u);
	if (ret_status)
		*ret_status = (int)u.status;
	r = unary_result(c, &u, ret_reply, e);
	unary_done(&u);
	return r;
}

/* ---- streams ---- */

enum tag { TAG_START = 1, TAG_RECEIVE, TAG_SEND, TAG_FINISH, TAG_STATUS, TAG_WAKEUP };

struct rpc_stream {
	grpc_completion_queue *queue;
	grpc_call *call;
	grpc_byte_buffer *sending, *received;
	grpc_metadata_array initial, trailing;
	grpc_status_code status;
	grpc_slice details;
	char *text; /* of status, once it is there */
	bool closed;
	int waking; /* atomic: an empty batch is on its way through the queue */
	struct buf in;
};

static void *tag_of(enum tag tag)
{
	return (void *)(uintptr_t)tag;
}

static int start(struct rpc_stream *s, const grpc_op *ops, size_t count, enum tag tag)
{
	return grpc_call_start_batch(s->call, ops, count, tag_of(tag), NULL) == GRPC_CALL_OK ? 0 : -EIO;
}

static int receive(struct rpc_stream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	op.data.recv_message.recv_message = &s->received;
	return start(s, &op, 1, TAG_RECEIVE);
}

static int start_stream(struct rpc_stream *s)
{
	grpc_op begin[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
	grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

	begin[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	status.data.recv_status_on_client.trailing_metadata = &s->trailing;
	status.data.recv_status_on_client.status = &s->status;
	status.data.recv_status_on_client.status_details = &s->details;
	if (start(s, &begin[0], 2, TAG_START) < 0 || start(s, &status, 1, TAG_STATUS) < 0)
		return -EIO;
	return receive(s);
}

int rpc_stream_open(struct rpc_client *c, const char *method, struct rpc_stream **ret_stream, struct err *e)
{
	_cleanup_(rpc_stream_freep) struct rpc_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "%s: out of memory", c->target);
	s->in = buf_with_max(c->max_bytes);
	s->details = grpc_empty_slice();
	grpc_metadata_array_init(&s->initial);
	grpc_metadata_array_init(&s->trailing);
	s->queue = grpc_completion_queue_create_for_next(NULL);
	s->call = new_call(c, s->queue, method, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	if (start_stream(s) < 0)
		return err_set(e, -EIO, "%s: cannot open a stream", c->target);
	*ret_stream = take_ptr(s);
	return 0;
}

int rpc_stream_send(struct rpc_stream *s, struct bytes message)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	if (s->closed)
		return -EPIPE;
	if (s->sending)
		return -EAGAIN;
	s->sending = to_buffer(message);
	op.data.send_message.send_message = s->sending;
	return start(s, &op, 1, TAG_SEND);
}

int rpc_stream_finish_sending(struct rpc_stream *s)
{
	grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

	if (s->sending)
		return -EAGAIN;
	return s->closed ? -EPIPE : start(s, &op, 1, TAG_FINISH);
}

/* An empty batch comes straight out of the queue again: the way to wake its thread from another. */
void rpc_stream_wakeup(struct rpc_stream *s)
{
	if (__atomic_exchange_n(&s->waking, 1, __ATOMIC_ACQ_REL))
		return;
	if (start(s, NULL, 0, TAG_WAKEUP) < 0)
		__atomic_store_n(&s->waking, 0, __ATOMIC_RELEASE);
}

static void report_closed(const struct rpc_stream *s, struct rpc_event *ret_event)
{
	*ret_event = (struct rpc_event){.kind = RPC_EVENT_CLOSED,
					.status = (int)s->status,
					.text = s->text ? s->text : ""};
}

/* True when there is something to report; the end of the messages is not: the status follows. */
static bool take_message(struct rpc_stream *s, bool ok, struct rpc_event *ret_event)
{
	int r;

	if (!ok || !s->received)
		return false;
	buf_clear(&s->in);
	r = from_buffer(s->received, &s->in);
	grpc_byte_buffer_destroy(s->received);
	s->received = NULL;
	if (r < 0 || receive(s) < 0) {
		grpc_call_cancel_with_status(s->call, GRPC_STATUS_INTERNAL, "cannot take the message in", NULL);
		return false;
	}
	*ret_event = (struct rpc_event){.kind = RPC_EVENT_MESSAGE, .data = buf_bytes(&s->in)};
	return true;
}

static bool take_event(struct rpc_stream *s, enum tag tag, bool ok, struct rpc_event *ret_event)
{
	switch (tag) {
	case TAG_RECEIVE:
		return take_message(s, ok, ret_event);
	case TAG_SEND:
		grpc_byte_buffer_destroy(s->sending);
		s->sending = NULL;
		*ret_event = (struct rpc_event){.kind = RPC_EVENT_SENT};
		return ok;
	case TAG_WAKEUP:
		__atomic_store_n(&s->waking, 0, __ATOMIC_RELEASE);
		*ret_event = (struct rpc_event){.kind = RPC_EVENT_WAKEUP};
		return true;
	case TAG_STATUS:
		s->closed = true;
		s->text = grpc_slice_to_c_string(s->details);
		report_closed(s, ret_event);
		return true;
	case TAG_START:
	case TAG_FINISH:
	default:
		return false;
	}
}

void rpc_stream_wait(struct rpc_stream *s, int timeout_ms, struct rpc_event *ret_event)
{
	gpr_timespec deadline = after_ms(timeout_ms);

	if (s->closed) {
		report_closed(s, ret_event);
		return;
	}
	for (;;) {
		grpc_event event = grpc_completion_queue_next(s->queue, deadline, NULL);

		if (event.type != GRPC_OP_COMPLETE) {
			*ret_event = (struct rpc_event){.kind = RPC_EVENT_TIMEOUT};
			return;
		}
		if (take_event(s, (enum tag)(uintptr_t)event.tag, event.success, ret_event))
			return;
	}
}

void rpc_stream_free(struct rpc_stream *s)
{
	if (!s)
		return;
	(void)grpc_call_cancel(s->call, NULL);
	grpc_call_unref(s->call);
	drain(s->queue);
	grpc_byte_buffer_destroy(s->sending);
	grpc_byte_buffer_destroy(s->received);
	grpc_metadata_array_destroy(&s->initial);
	grpc_metadata_array_destroy(&s->trailing);
	grpc_slice_unref(s->details);
	gpr_free(s->text);
	buf_done(&s->in);
	free(s);
}
