/* The gRPC side only checks sizes and queues; everything else is the thread's. See enroll.h. */
#include "collector/ingest/enroll.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/queue.h"
#include "common/table.h"
#include "nightjar/v1/enroll.pb-c.h"

#define REVIEW_S     5U
#define ANSWER_MAX   (64UL << 10) /* of a TokenReview */
#define NODES_MAX    16384U
#define TURN_MS	     100
#define MESSAGE_MAX  (TOKENREVIEW_TOKEN + TLS_CSR_MAX + 64)

struct request {
	struct listen_call *call; /* a reference */
	Nightjar__V1__IssueRequest *message;
	uint64_t queued_ns; /* monotonic */
};

struct node_key {
	char name[256];
};

struct issued {
	uint64_t since_ns;
	uint32_t count;
};

struct enroll {
	struct enroll_config config;
	struct apiclient *client;
	struct tls_signer *signer;
	char *ca_pem;
	struct queue *queue;
	struct table *nodes; /* node_key → struct issued; the thread's */
	pthread_t thread;
	bool running;
	struct listen_method methods[2];

	pthread_mutex_t lock; /* the two below */
	uint64_t second_ns;
	uint32_t taken; /* in it */

	/* The review under way; the thread's. */
	struct buf answer;
	struct apiclient_outcome outcome;
	bool answered;

	struct metric *issued, *limited, *refused, *failed, *busy;
};

static void request_free(struct request *r)
{
	if (!r)
		return;
	if (r->message) {
		explicit_bzero(r->message->token, strlen(r->message->token));
		nightjar__v1__issue_request__free_unpacked(r->message, NULL);
	}
	listen_call_unref(r->call);
	free(r);
}

DEFINE_CLEANUP(struct request *, request_free)

/* ---- the gRPC side ------------------------------------------------------------------------------ */

static bool has_room(struct enroll *en, uint64_t now_ns)
{
	bool yes;

	(void)pthread_mutex_lock(&en->lock);
	if (now_ns - en->second_ns >= NS_PER_SEC) {
		en->second_ns = now_ns;
		en->taken = 0;
	}
	yes = en->taken < ENROLL_PER_SECOND;
	en->taken += yes;
	(void)pthread_mutex_unlock(&en->lock);
	return yes;
}

static struct request *parse(struct listen_call *call, struct bytes message, uint64_t now_ns)
{
	_cleanup_(request_freep) struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->call = listen_call_ref(call);
	r->queued_ns = now_ns;
	r->message = message.len <= MESSAGE_MAX ?
			     nightjar__v1__issue_request__unpack(NULL, message.len, message.data) :
			     NULL;
	return take_ptr(r);
}

static void on_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct enroll *en = (struct enroll *)ctx;
	uint64_t now_ns = clock_monotonic_ns();
	_cleanup_(request_freep) struct request *r = NULL;

	(void)state;
	if (!has_room(en, now_ns)) {
		metric_add(en->busy, 1);
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "too many ask for a certificate: come back later");
		return;
	}
	r = parse(call, message, now_ns);
	if (!r || !r->message || !r->message->token[0] || strlen(r->message->token) >= TOKENREVIEW_TOKEN) {
		metric_add(en->refused, 1);
		listen_finish(call, LISTEN_INVALID_ARGUMENT, "the message is no IssueRequest with a token");
		return;
	}
	if (queue_try_push(en->queue, r) < 0) {
		metric_add(en->busy, 1);
		listen_finish(call, LISTEN_UNAVAILABLE, "too many wait for a certificate: come back later");
		return;
	}
	r = NULL;
}

/* ---- the review ---------------------------------------------------------------------------------- */

static int on_data(void *ctx, struct bytes text)
{
	struct enroll *en = (struct enroll *)ctx;

	buf_add(&en->answer, text.data, text.len);
	return buf_error(&en->answer);
}

static void on_done(void *ctx, const struct apiclient_outcome *outcome)
{
	struct enroll *en = (struct enroll *)ctx;

	en->outcome = *outcome;
	en->answered = true;
}

/* 0 with en->answer, or -EAGAIN with the sentence: the API does not answer. */
static int ask(struct enroll *en, const char *token, struct err *e)
{
	_cleanup_buf_ struct buf body = {0};
	struct apiclient_request request = {.path = TOKENREVIEW_PATH,
					    .timeout_s = REVIEW_S,
					    .data = on_data,
					    .done = on_done,
					    .ctx = en};
	struct apicall *call;
	int r = tokenreview_write(token, en->config.rules.audience, &body);

	if (r < 0)
		return err_set(e, -EINVAL, "the token is none");
	request.body = buf_bytes(&body);
	buf_clear(&en->answer);
	en->answered = false;
	r = apiclient_start(en->client, &request, &call, e);
	explicit_bzero(body.data, body.len);
	if (r < 0)
		return -EAGAIN;
	while (!en->answered)
		apiclient_turn(en->client, TURN_MS); /* ends: the call has its timeout */
	if (en->outcome.whole)
		return 0;
	*e = en->outcome.err;
	return -EAGAIN;
}

/* False: this node has had enough certificates for now. */
static bool may_have(struct enroll *en, const char *node, uint64_t now_ns)
{
	struct node_key key = {{0}};
	struct issued *issued;

	(void)snprintf(key.name, sizeof(key.name), "%s", node);
	issued = table_put(en->nodes, &key, NULL);
	if (now_ns - issued->since_ns >= ENROLL_NODE_NS || issued->count == 0)
		*issued = (struct issued){.since_ns = now_ns};
	return ++issued->count <= ENROLL_NODE_MAX;
}

static void answer(struct enroll *en, struct listen_call *call, char *certificate)
{
	Nightjar__V1__IssueResponse response = NIGHTJAR__V1__ISSUE_RESPONSE__INIT;
	_cleanup_buf_ struct buf out = {0};
	uint8_t *room;

	response.certificate_pem = certificate;
	response.ca_pem = en->ca_pem;
	response.valid_s = (int64_t)(en->config.valid_ns / NS_PER_SEC);
	response.now_s = (int64_t)(clock_wall_ns() / NS_PER_SEC);
	room = buf_extend(&out, nightjar__v1__issue_response__get_packed_size(&response));
	if (room)
		(void)nightjar__v1__issue_response__pack(&response, room);
	if (buf_error(&out) < 0 || listen_send(call, buf_bytes(&out)) < 0)
		listen_finish(call, LISTEN_UNAVAILABLE, "the answer cannot be sent: come back later");
	else
		listen_finish(call, LISTEN_OK, "");
}

/* The certificate, or the status to refuse it with and the sentence. */
static enum listen_status issue(struct enroll *en, const struct request *r, uint64_t now_ns, char **ret_certificate,
				struct err *e)
{
	const Nightjar__V1__IssueRequest *m = r->message;
	struct tokenreview review;
	int result = ask(en, m->token, e);

	if (result == -EAGAIN) {
		metric_add(en->failed, 1);
		return LISTEN_UNAVAILABLE;
	}
	if (result == 0)
		result = tokenreview_read(buf_bytes(&en->answer), &en->config.rules, &review, e);
	if (result < 0)
		return result == -EPERM ? LISTEN_PERMISSION_DENIED : LISTEN_UNAUTHENTICATED;
	if (!may_have(en, review.identity.node, now_ns)) {
		metric_add(en->limited, 1);
		(void)err_set(e, 0, "node '%s' has had %u certificates within ten minutes: come back later",
			      review.identity.node, ENROLL_NODE_MAX);
		return LISTEN_RESOURCE_EXHAUSTED;
	}
	result = tls_sign_request(en->signer, bytes_of_text(m->csr_pem), &review.identity,
				  (int64_t)(en->config.valid_ns / NS_PER_SEC), ret_certificate, e);
	if (result < 0)
		return result == -EINVAL ? LISTEN_INVALID_ARGUMENT : LISTEN_INTERNAL;
	log_info("issued a certificate for node '%s' to %s, pod '%s', for %llu hours", review.identity.node,
		 listen_call_peer(r->call), review.pod, (unsigned long long)(en->config.valid_ns / NS_PER_SEC / 3600));
	return LISTEN_OK;
}

static void handle(struct enroll *en, struct request *request)
{
	_cleanup_(request_freep) struct request *r = request;
	_cleanup_(freep) char *certificate = NULL;
	uint64_t now_ns = clock_monotonic_ns();
	enum listen_status status;
	struct err e = {0};

	if (now_ns - r->queued_ns > ENROLL_PATIENCE_NS) {
		metric_add(en->busy, 1);
		listen_finish(r->call, LISTEN_UNAVAILABLE, "the Kubernetes API is slow: come back later");
		return;
	}
	status = issue(en, r, now_ns, &certificate, &e);
	if (status == LISTEN_OK) {
		metric_add(en->issued, 1);
		answer(en, r->call, certificate);
		return;
	}
	if (status != LISTEN_UNAVAILABLE && status != LISTEN_RESOURCE_EXHAUSTED)
		metric_add(en->refused, 1);
	log_limited(LOG_LEVEL_WARNING, "no certificate for %s: %s", listen_call_peer(r->call), e.text);
	listen_finish(r->call, status, e.text);
}

static void *run(void *ctx)
{
	struct enroll *en = (struct enroll *)ctx;
	struct request *r;

	while ((r = (struct request *)queue_pop(en->queue, -1)))
		handle(en, r);
	return NULL;
}

/* ---- building ------------------------------------------------------------------------------------- */

static void register_counters(struct enroll *en)
{
	static const char name[] = "nightjar_enrolments_total";
	static const char help[] = "Requests for a certificate, by what became of them.";
	struct metrics *m = en->config.metrics;

	en->issued = metrics_counter(m, name, "result=\"issued\"", help);
	en->limited = metrics_counter(m, name, "result=\"node_limited\"", help);
	en->refused = metrics_counter(m, name, "result=\"refused\"", help);
	en->failed = metrics_counter(m, name, "result=\"api_failed\"", help);
	en->busy = metrics_counter(m, name, "result=\"busy\"", help);
}

static int set_up(struct enroll *en, struct err *e)
{
	const struct table_config nodes = {.key_size = sizeof(struct node_key),
					   .record_size = sizeof(struct issued),
					   .capacity = NODES_MAX};
	struct tls_files files = {0};
	int r = tls_signer_load(en->config.ca, en->config.ca_key, &en->signer, e);

	if (r >= 0)
		r = tls_load_ca(en->config.ca, &files, e);
	if (r >= 0)
		r = apiclient_new(&en->config.api, &en->client, e);
	en->ca_pem = take_ptr(files.ca);
	en->answer = buf_with_max(ANSWER_MAX);
	en->queue = queue_new(ENROLL_QUEUE);
	en->nodes = table_new(&nodes);
	if (r >= 0 && (!en->queue || !en->nodes))
		r = err_set(e, -ENOMEM, "no memory");
	if (r >= 0) {
		r = -pthread_create(&en->thread, NULL, run, en);
		en->running = r == 0;
		if (r < 0)
			return err_set(e, r, "cannot start the enrolment's thread: %s", strerror(-r));
		(void)pthread_setname_np(en->thread, "nj-enroll");
	}
	return r;
}

int enroll_new(const struct enroll_config *config, struct enroll **ret_enroll, struct err *e)
{
	struct enroll *en = calloc(1, sizeof(*en));
	int r;

	if (!en)
		return err_set(e, -ENOMEM, "no memory");
	en->config = *config;
	(void)pthread_mutex_init(&en->lock, NULL);
	register_counters(en);
	en->methods[0] = (struct listen_method){
		.path = "/nightjar.v1.Enroll/Issue", .anonymous = true, .message = on_message, .ctx = en};
	r = set_up(en, e);
	if (r < 0) {
		enroll_free(en);
		return r;
	}
	*ret_enroll = en;
	return 0;
}

const struct listen_method *enroll_methods(struct enroll *en)
{
	return en->methods;
}

void enroll_free(struct enroll *en)
{
	struct request *r;

	if (!en)
		return;
	if (en->queue)
		queue_close(en->queue);
	if (en->running)
		(void)pthread_join(en->thread, NULL);
	while (en->queue && (r = (struct request *)queue_pop(en->queue, 0)))
		request_free(r);
	queue_free(en->queue);
	table_free(en->nodes);
	apiclient_free(en->client);
	tls_signer_free(en->signer);
	buf_done(&en->answer);
	free(en->ca_pem);
	(void)pthread_mutex_destroy(&en->lock);
	free(en);
}
