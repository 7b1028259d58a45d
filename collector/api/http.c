/* libmicrohttpd with one thread of its own: 64 connections, 10 s each, GET only. */
#include "collector/api/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "collector/address.h"
#include "common/buf.h"

#define CONNECTIONS_MAX	   64U
#define CONNECTION_SECONDS 10U

struct http {
	struct http_config config;
	struct MHD_Daemon *daemon;
	uint16_t port;
};

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned int status, const char *type,
			     struct buf *body)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", type);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned int status,
				  const char *text)
{
	_cleanup_buf_ struct buf body = {0};

	buf_add_text(&body, text);
	return reply(connection, status, "text/plain; charset=utf-8", &body);
}

static enum MHD_Result serve(void *ctx, struct MHD_Connection *connection, const char *url,
			     const char *method, const char *version, const char *upload,
			     size_t *upload_size, void **request)
{
	const struct http *h = (const struct http *)ctx;

	(void)version;
	(void)upload;
	(void)request;
	*upload_size = 0;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return reply_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (strcmp(url, "/healthz") == 0)
		return reply_text(connection, MHD_HTTP_OK, "ok\n");
	if (strcmp(url, "/readyz") == 0)
		return h->config.ready(h->config.ctx) ?
			       reply_text(connection, MHD_HTTP_OK, "ready\n") :
			       reply_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n");
	if (strcmp(url, "/metrics") == 0) {
		_cleanup_buf_ struct buf body = {0};

		metrics_write(h->config.metrics, &body);
		return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &body);
	}
	return reply_text(connection, MHD_HTTP_NOT_FOUND, "see /metrics, /healthz, /readyz\n");
}

int http_new(const struct http_config *config, struct http **ret_http, struct err *e)
{
	_cleanup_(freep) struct http *h = calloc(1, sizeof(*h));
	_cleanup_(closep) int fd = -1;
	int r;

	if (!h)
		return err_set(e, -ENOMEM, "cannot start the HTTP server: no memory");
	h->config = *config;
	r = address_listen("http.listen", config->address, &fd, &h->port, e);
	if (r < 0)
		return r;
	h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL, serve,
				     h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				     CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_SECONDS,
				     MHD_OPTION_END);
	if (!h->daemon)
		return err_set(e, -EIO, "cannot start the HTTP server on '%s'", config->address);
	(void)take_fd(&fd); /* the daemon closes it */
	*ret_http = take_ptr(h);
	return 0;
}

uint16_t http_port(const struct http *h)
{
	return h->port;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	free(h);
}
