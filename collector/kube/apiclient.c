/* A curl multi handle and a list of calls; see apiclient.h. A call is about 100 KiB while it runs, its
 * connection included. HTTP/1.1 on purpose: with HTTP/2 all watches would share one connection, and one
 * that stalls would hold up the others. */
#include "collector/kube/apiclient.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define POD_DIR	      "/var/run/secrets/kubernetes.io/serviceaccount"
#define TOKEN_MAX     16384
#define REFUSAL_MAX   8192 /* bytes of an answer that says why not */
#define SENTENCE_MAX  300
#define URL_MAX	      4096
#define CONNECT_MS    5000L
#define KEEPALIVE_S   15L /* so that a dead server is noticed during a quiet watch */

struct apiclient {
	CURLM *multi;
	char *server, *token_file, *ca_file;
	struct apicall *calls;
};

struct apicall {
	struct apicall *next;
	struct apiclient *client;
	CURL *easy;
	struct curl_slist *headers;
	struct apiclient_request request; /* path and body point into copies */
	char *path;
	struct buf body;
	struct buf refusal;
	int failed; /* what data returned */
	char why[CURL_ERROR_SIZE];
};

bool apiclient_in_cluster(void)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");

	return host && host[0] && port && port[0];
}

/* ---- where the API is -------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The environment of a pod; an IPv6 address goes into brackets. */
static int find_server(char **ret_server)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	bool v6 = strchr(host, ':') != NULL;

	return asprintf(ret_server, v6 ? "https://[%s]:%s" : "https://%s:%s", host, port) < 0 ? -ENOMEM : 0;
}

/* Whether what follows http:// is this host itself. */
static bool is_loopback(const char *rest)
{
	char host[64];
	struct in_addr v4;

	(void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(rest, ":/"), rest);
	if (begins(rest, "[::1]:") || strcmp(host, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

static int check_server(char *server, struct err *e)
{
	size_t len = strlen(server);

	while (len > 0 && server[len - 1] == '/')
		server[--len] = '\0';
	if (begins(server, "https://") || (begins(server, "http://") && is_loopback(server + strlen("http://"))))
		return 0;
	return err_set(e, -EINVAL,
		       "kubernetes.server is '%.200s', allowed: https://HOST:PORT, or http:// with a loopback "
		       "address",
		       server);
}

static char *choose(const char *given, bool in_pod, const char *usual)
{
	return strdup(given[0] || !in_pod ? given : usual);
}

static int set_up(struct apiclient *c, const struct apiclient_config *config, struct err *e)
{
	bool in_pod = !config->server[0];
	int r = 0;

	if (in_pod && !apiclient_in_cluster())
		return err_set(e, -EINVAL, "kubernetes.server is not set and this is no pod: KUBERNETES_SERVICE_HOST "
					   "is missing in the environment");
	if (in_pod)
		r = find_server(&c->server);
	else
		c->server = strdup(config->server);
	c->token_file = choose(config->token_file, in_pod, POD_DIR "/token");
	c->ca_file = choose(config->ca_file, in_pod, POD_DIR "/ca.crt");
	if (r < 0 || !c->server || !c->token_file || !c->ca_file)
		return err_set(e, -ENOMEM, "no memory");
	return check_server(c->server, e);
}

int apiclient_new(const struct apiclient_config *config, struct apiclient **ret_client, struct err *e)
{
	_cleanup_(apiclient_freep) struct apiclient *c = calloc(1, sizeof(*c));
	int r;

	if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, -ENOMEM, "no memory");
	c->multi = curl_multi_init();
	if (!c->multi)
		return err_set(e, -ENOMEM, "no memory");
	r = set_up(c, config, e);
	if (r < 0)
		return r;
	*ret_client = take_ptr(c);
	return 0;
}

static void call_free(struct apicall *call)
{
	curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	buf_done(&call->body);
	buf_done(&call->refusal);
	free(call->path);
	free(call);
}

void apiclient_free(struct apiclient *c)
{
	if (!c)
		return;
	while (c->calls)
		apiclient_cancel(c->calls);
	(void)curl_multi_cleanup(c->multi);
	free(c->server);
	free(c->token_file);
	free(c->ca_file);
	free(c);
}

/* ---- one call ---------------------------------------------------------------------------------- */

/* A bearer token, or 0 bytes: there is none to send. */
static int read_token(const struct apiclient *c, char *ret_token, size_t size, struct err *e)
{
	_cleanup_(fclosep) FILE *f = NULL;
	size_t n;

	ret_token[0] = '\0';
	if (!c->token_file[0] || begins(c->server, "http://"))
		return 0;
	f = fopen(c->token_file, "re");
	if (!f)
		return err_set(e, -errno, "cannot read the token '%s': %s", c->token_file, strerror(errno));
	n = fread(ret_token, 1, size - 1, f);
	ret_token[n] = '\0';
	n = strcspn(ret_token, "\r\n");
	if (n == 0 || n >= size - 1)
		return err_set(e, -EINVAL, "'%s' holds no token", c->token_file);
	ret_token[n] = '\0';
	return 0;
}

static bool add_header(struct apicall *call, const char *name, const char *value)
{
	_cleanup_(freep) char *line = NULL;
	struct curl_slist *longer;

	if (asprintf(&line, "%s: %s", name, value) < 0)
		return false;
	longer = curl_slist_append(call->headers, line);
	if (longer)
		call->headers = longer;
	return longer != NULL;
}

static int add_headers(struct apicall *call, struct err *e)
{
	char token[TOKEN_MAX], bearer[TOKEN_MAX + 8];
	int r = read_token(call->client, token, sizeof(token), e);
	bool ok;

	if (r < 0)
		return r;
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", token);
	ok = (!token[0] || add_header(call, "Authorization", bearer)) &&
	     add_header(call, "Accept", call->request.accept ? call->request.accept : "application/json") &&
	     (call->body.len == 0 || add_header(call, "Content-Type", "application/json"));
	explicit_bzero(token, sizeof(token));
	explicit_bzero(bearer, sizeof(bearer));
	return ok ? 0 : err_set(e, -ENOMEM, "no memory");
}

static int status_of(const struct apicall *call)
{
	long status = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

static bool is_success(int status)
{
	return status == 200 || status == 201;
}

/* Every header line; the empty one is the last. */
static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
	struct apicall *call = (struct apicall *)ctx;

	if (size * count <= 2 && call->request.opened && is_success(status_of(call)))
		call->request.opened(call->request.ctx);
	(void)line;
	return size * count;
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
	struct apicall *call = (struct apicall *)ctx;
	struct bytes text = bytes_of(data, size * count);

	if (!is_success(status_of(call))) {
		buf_add(&call->refusal, text.data, text.len); /* what is too much is cut */
		return text.len;
	}
	call->failed = call->request.data(call->request.ctx, text);
	return call->failed < 0 ? CURL_WRITEFUNC_ERROR : text.len;
}

static void set_options(struct apicall *call, const char *url)
{
	CURL *easy = call->easy;

	(void)curl_easy_setopt(easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, begins(url, "https") ? "https" : "http");
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "nightjar-collector");
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)call->request.timeout_s);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	if (call->client->ca_file[0])
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, call->client->ca_file);
	if (call->body.len == 0)
		return;
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)call->body.data);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)call->body.len);
}

static int start(struct apicall *call, struct err *e)
{
	struct apiclient *c = call->client;
	char url[URL_MAX];
	int r = add_headers(call, e);

	if (r < 0)
		return r;
	if (snprintf(url, sizeof(url), "%s%s", c->server, call->path) >= (int)sizeof(url))
		return err_set(e, -ENAMETOOLONG, "the request to the Kubernetes API is too long");
	set_options(call, url);
	if (curl_multi_add_handle(c->multi, call->easy) != CURLM_OK)
		return err_set(e, -ENOMEM, "no memory");
	call->next = c->calls;
	c->calls = call;
	return 0;
}

int apiclient_start(struct apiclient *c, const struct apiclient_request *request, struct apicall **ret_call,
		    struct err *e)
{
	struct apicall *call = calloc(1, sizeof(*call));
	int r;

	if (!call)
		return err_set(e, -ENOMEM, "no memory");
	call->client = c;
	call->request = *request;
	call->refusal = buf_with_max(REFUSAL_MAX);
	call->path = strdup(request->path);
	call->easy = curl_easy_init();
	buf_add(&call->body, request->body.data, request->body.len);
	r = call->path && call->easy && buf_error(&call->body) == 0 ? start(call, e) :
								       err_set(e, -ENOMEM, "no memory");
	if (r < 0) {
		call_free(call);
		return r;
	}
	*ret_call = call;
	return 0;
}

static void unlist(struct apicall *call)
{
	struct apicall **at = &call->client->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	(void)curl_multi_remove_handle(call->client->multi, call->easy);
}

void apiclient_cancel(struct apicall *call)
{
	if (!call)
		return;
	unlist(call);
	call_free(call);
}

/* ---- how a call ended -------------------------------------------------------------------------- */

/* What others wrote, as part of a line of ours. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			*text = '?';
}

/* The message of a Status object, else nothing. */
static void read_refusal(struct apicall *call, char *ret_text, size_t size)
{
	json_t *status = json_loadb((const char *)call->refusal.data, call->refusal.len, 0, NULL);
	const char *message = json_string_value(json_object_get(status, "message"));

	(void)snprintf(ret_text, size, "%s", message ? message : "");
	clean(ret_text);
	json_decref(status);
}

static void explain(struct apicall *call, CURLcode code, struct apiclient_outcome *o)
{
	char said[SENTENCE_MAX] = "";
	int path_len = (int)strcspn(call->path, "?");

	if (call->failed < 0) {
		(void)err_set(&o->err, 0, "the answer to %.*s makes no sense: %s", path_len, call->path,
			      strerror(-call->failed));
	} else if (o->status != 0 && !is_success(o->status)) {
		read_refusal(call, said, sizeof(said));
		(void)err_set(&o->err, 0, "the Kubernetes API answers %.*s with %d%s%s", path_len, call->path,
			      o->status, said[0] ? ": " : "", said);
	} else if (code != CURLE_OK) {
		(void)snprintf(said, sizeof(said), "%s", call->why[0] ? call->why : curl_easy_strerror(code));
		clean(said);
		(void)err_set(&o->err, 0, "the Kubernetes API at %.200s cannot be reached: %s", call->client->server,
			      said);
	} else {
		o->whole = true;
	}
}

static void finish(CURL *easy, CURLcode code)
{
	struct apiclient_outcome outcome = {0};
	struct apicall *call = NULL;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
	outcome.status = status_of(call);
	explain(call, code, &outcome);
	unlist(call);
	call->request.done(call->request.ctx, &outcome);
	call_free(call);
}

void apiclient_turn(struct apiclient *c, int timeout_ms)
{
	CURLMsg *message;
	int running, left;

	(void)curl_multi_poll(c->multi, NULL, 0, timeout_ms, NULL);
	(void)curl_multi_perform(c->multi, &running);
	while ((message = curl_multi_info_read(c->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			finish(message->easy_handle, message->data.result);
}

void apiclient_wakeup(struct apiclient *c)
{
	(void)curl_multi_wakeup(c->multi);
}
