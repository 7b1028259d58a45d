/* Getting and renewing; see certificate.h. */
#include "node-agent/certificate.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rpc.h"
#include "common/tls.h"
#include "nightjar/v1/enroll.pb-c.h"

#define METHOD	      "/nightjar.v1.Enroll/Issue"
#define ANSWER_MS     10000
#define TOKEN_MAX     16384
#define SKEW_S	      60 /* worth a word: certificates are good from five minutes ago */
#define IDLE_S	      3600 /* between two looks at the files */

struct certificate {
	struct certificate_config config;
	pthread_t thread;
	pthread_mutex_t lock; /* the two below */
	pthread_cond_t changed;
	bool stopping;
};

int64_t certificate_due_s(const struct certificate_config *config, uint64_t now_wall_ns)
{
	struct tls_summary summary;
	struct tls_files files = {0};
	int64_t now_s = (int64_t)(now_wall_ns / NS_PER_SEC), due_s;

	if (tls_load(config->ca, config->cert, config->key, now_wall_ns, &files, NULL) < 0)
		return 0;
	tls_files_done(&files);
	if (tls_summarize(config->cert, &summary, NULL) < 0)
		return 0;
	due_s = summary.not_before_s + (summary.not_after_s - summary.not_before_s) * 2 / 3;
	return due_s > now_s ? due_s - now_s : 0;
}

/* ---- one attempt --------------------------------------------------------------------------------- */

static int read_token(const char *path, char *ret_token, size_t size, struct err *e)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return err_set(e, -errno, "cannot read the token '%s': %s", path, strerror(errno));
	n = fread(ret_token, 1, size - 1, f);
	ret_token[n] = '\0';
	n = strcspn(ret_token, "\r\n");
	if (n == 0 || n >= size - 1)
		return err_set(e, -EINVAL, "'%s' holds no token", path);
	ret_token[n] = '\0';
	return 0;
}

static int pack_request(const char *token_file, char *csr, struct buf *out, struct err *e)
{
	Nightjar__V1__IssueRequest request = NIGHTJAR__V1__ISSUE_REQUEST__INIT;
	char token[TOKEN_MAX];
	int r = read_token(token_file, token, sizeof(token), e);
	uint8_t *room;

	if (r < 0)
		return r;
	request.token = token;
	request.csr_pem = csr;
	room = buf_extend(out, nightjar__v1__issue_request__get_packed_size(&request));
	if (room)
		(void)nightjar__v1__issue_request__pack(&request, room);
	explicit_bzero(token, sizeof(token));
	return room ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* *ret_response: malloc'ed by protobuf-c. */
static int ask(const struct certificate_config *config, struct bytes request, Nightjar__V1__IssueResponse **ret_response,
	       struct err *e)
{
	_cleanup_(rpc_client_freep) struct rpc_client *client = NULL;
	struct tls_files files = {0};
	struct bytes reply = {0};
	int r = tls_load_ca(config->ca, &files, e);

	if (r >= 0)
		r = rpc_client_new(config->address, config->server_name, &files, &client, e);
	tls_files_done(&files);
	if (r >= 0)
		r = rpc_client_call(client, METHOD, request, ANSWER_MS, &reply, NULL, e);
	if (r < 0)
		return r;
	*ret_response = nightjar__v1__issue_response__unpack(NULL, reply.len, reply.data);
	free((void *)(uintptr_t)reply.data);
	return *ret_response ? 0 : err_set(e, -EBADMSG, "the collector's answer is no IssueResponse");
}

static void compare_clocks(int64_t collector_s)
{
	int64_t ahead_s = (int64_t)(clock_wall_ns() / NS_PER_SEC) - collector_s;

	if (collector_s > 0 && (ahead_s > SKEW_S || ahead_s < -SKEW_S))
		log_warning("this node's clock is %" PRId64 " s %s the collector's: set it, or certificates will be "
			    "refused", ahead_s > 0 ? ahead_s : -ahead_s, ahead_s > 0 ? "ahead of" : "behind");
}

/* Only what a later start would accept takes the place of what is there. */
static int keep(const struct certificate_config *config, const char *key, const Nightjar__V1__IssueResponse *response,
		struct err *e)
{
	struct tls_identity id;
	int r = tls_identify(response->certificate_pem, &id, e);

	if (r < 0 || id.role != TLS_ROLE_AGENT)
		return err_set(e, -EBADMSG, "the collector has sent a certificate that is no agent's");
	r = tls_write_pair(config->cert, response->certificate_pem, config->key, key, e);
	if (r < 0)
		return r;
	if (certificate_due_s(config, clock_wall_ns()) == 0)
		return err_set(e, -EKEYEXPIRED, "the new certificate in '%s' is not good: is this clock right, and is "
						"'%s' the collector's CA?", config->cert, config->ca);
	log_info("has a certificate for node '%s' that lasts %" PRId64 " hours", id.node, response->valid_s / 3600);
	return 0;
}

int certificate_get(const struct certificate_config *config, struct err *e)
{
	Nightjar__V1__IssueResponse *response = NULL;
	_cleanup_(freep) char *csr = NULL;
	_cleanup_buf_ struct buf request = {0};
	char *key = NULL;
	int r = tls_make_request(&key, &csr, e);

	if (r >= 0)
		r = pack_request(config->token_file, csr, &request, e);
	if (r >= 0)
		r = ask(config, buf_bytes(&request), &response, e);
	if (request.data)
		explicit_bzero(request.data, request.len);
	if (r >= 0) {
		compare_clocks(response->now_s);
		r = keep(config, key, response, e);
		nightjar__v1__issue_response__free_unpacked(response, NULL);
	}
	if (key)
		explicit_bzero(key, strlen(key));
	free(key);
	return r;
}

/* ---- until there is one -------------------------------------------------------------------------- */

/* The wait after a number of failures: doubles, its last half by chance. */
static uint64_t backoff_ns(const struct certificate_config *config, uint32_t failures)
{
	uint64_t wait = config->backoff_min_ns;

	while (failures-- > 1 && wait < config->backoff_max_ns)
		wait *= 2;
	if (wait > config->backoff_max_ns)
		wait = config->backoff_max_ns;
	return wait / 2 + clock_monotonic_ns() / NS_PER_US * NS_PER_US % (wait / 2 + 1);
}

static void complain(const struct err *e, struct err *last)
{
	if (strcmp(e->text, last->text) != 0)
		log_warning("no certificate yet, it is tried again: %s", e->text);
	*last = *e;
}

void certificate_ensure(const struct certificate_config *config)
{
	struct err e = {0}, last = {0};
	uint32_t failures = 0;

	if (certificate_due_s(config, clock_wall_ns()) > 0)
		return;
	rpc_init();
	while (certificate_get(config, &e) < 0) {
		const struct timespec wait = clock_timespec(backoff_ns(config, ++failures));

		complain(&e, &last);
		(void)nanosleep(&wait, NULL);
	}
	rpc_done();
}

/* ---- renewal -------------------------------------------------------------------------------------- */

/* True: stop. */
static bool wait_ns(struct certificate *c, uint64_t ns)
{
	const struct timespec at = clock_timespec(clock_monotonic_ns() + ns);
	bool stopping;

	(void)pthread_mutex_lock(&c->lock);
	while (!c->stopping && pthread_cond_timedwait(&c->changed, &c->lock, &at) == 0)
		;
	stopping = c->stopping;
	(void)pthread_mutex_unlock(&c->lock);
	return stopping;
}

static uint64_t next_look_ns(const struct certificate *c)
{
	int64_t due_s = certificate_due_s(&c->config, clock_wall_ns());

	/* The wall clock may be set meanwhile. */
	return (uint64_t)(due_s < IDLE_S ? due_s : IDLE_S) * NS_PER_SEC;
}

static void *run(void *ctx)
{
	struct certificate *c = (struct certificate *)ctx;
	struct err e = {0}, last = {0};
	uint32_t failures = 0;
	uint64_t wait = next_look_ns(c);

	while (!wait_ns(c, wait)) {
		wait = next_look_ns(c);
		if (wait > 0)
			continue;
		if (certificate_get(&c->config, &e) < 0) {
			complain(&e, &last);
			wait = backoff_ns(&c->config, ++failures);
			continue;
		}
		failures = 0;
		last.text[0] = '\0';
		wait = next_look_ns(c);
	}
	return NULL;
}

int certificate_start(const struct certificate_config *config, struct certificate **ret_certificate, struct err *e)
{
	struct certificate *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->config = *config;
	(void)pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	r = pthread_create(&c->thread, NULL, run, c);
	if (r != 0) {
		free(c);
		return err_set(e, -r, "cannot start the thread that renews the certificate: %s", strerror(r));
	}
	*ret_certificate = c;
	return 0;
}

void certificate_free(struct certificate *c)
{
	if (!c)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stopping = true;
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->lock);
	(void)pthread_join(c->thread, NULL);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
