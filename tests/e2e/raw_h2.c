/* Frames are written as they are asked for; nothing is ever read unless h2_drain is called. */
#include "tests/unit/unit.h"

#include "tests/e2e/raw_h2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#define PATIENCE_MS 5000

static SSL_CTX *make_context(const struct collected *c, const char *name)
{
	static const unsigned char alpn[] = "\x02h2";
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char cert[128], key[128];

	(void)snprintf(cert, sizeof(cert), "%s/%s.pem", c->site->dir, name);
	(void)snprintf(key, sizeof(key), "%s/%s-key.pem", c->site->dir, name);
	assert_non_null(context);
	assert_int_equal(SSL_CTX_use_certificate_file(context, cert, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_set_alpn_protos(context, alpn, 3), 0);
	return context;
}

bool h2_open(struct h2 *h, const struct collected *c, const char *name, uint32_t window)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	uint8_t settings[6] = {0, 4, (uint8_t)(window >> 24), (uint8_t)(window >> 16), (uint8_t)(window >> 8),
			       (uint8_t)window};

	*h = (struct h2){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .stream = 1};
	to.sin_port = htons((uint16_t)strtoul(strrchr(c->grpc, ':') + 1, NULL, 10));
	assert_true(h->fd >= 0);
	(void)setsockopt(h->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)setsockopt(h->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	h->context = make_context(c, name);
	h->tls = SSL_new(h->context);
	assert_non_null(h->tls);
	if (connect(h->fd, (struct sockaddr *)&to, sizeof(to)) < 0 || SSL_set_fd(h->tls, h->fd) != 1 ||
	    SSL_connect(h->tls) != 1 || SSL_write(h->tls, preface, sizeof(preface) - 1) <= 0) {
		ERR_clear_error();
		return false;
	}
	return h2_frame(h, H2_SETTINGS, 0, 0, bytes_of(settings, sizeof(settings)));
}

void h2_close(struct h2 *h)
{
	SSL_free(h->tls);
	SSL_CTX_free(h->context);
	if (h->fd >= 0)
		(void)close(h->fd);
	*h = (struct h2){.fd = -1};
}

bool h2_frame(struct h2 *h, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload)
{
	uint8_t frame[9 + 16384] = {(uint8_t)(payload.len >> 16),
				    (uint8_t)(payload.len >> 8),
				    (uint8_t)payload.len,
				    type,
				    flags,
				    (uint8_t)(stream >> 24),
				    (uint8_t)(stream >> 16),
				    (uint8_t)(stream >> 8),
				    (uint8_t)stream};
	int r;

	assert_true(payload.len <= 16384);
	if (payload.len > 0)
		memcpy(frame + 9, payload.data, payload.len);
	r = SSL_write(h->tls, frame, (int)(9 + payload.len));
	ERR_clear_error();
	return r > 0;
}

bool h2_drain(struct h2 *h)
{
	char skipped[16384];

	for (;;) {
		struct pollfd fd = {.fd = h->fd, .events = POLLIN};
		int r;

		if (SSL_pending(h->tls) == 0 && poll(&fd, 1, 0) <= 0)
			return true;
		r = SSL_read(h->tls, skipped, sizeof(skipped));
		ERR_clear_error();
		if (r <= 0)
			return false;
	}
}

static void add_length(struct buf *out, size_t len)
{
	if (len < 127) {
		buf_add_byte(out, (uint8_t)len);
		return;
	}
	buf_add_byte(out, 127);
	for (len -= 127; len >= 128; len >>= 7)
		buf_add_byte(out, (uint8_t)(len | 128));
	buf_add_byte(out, (uint8_t)len);
}

/* Literal, not indexed, not compressed. */
static void add_header(struct buf *out, const char *name, const char *value, size_t len)
{
	buf_add_byte(out, 0);
	add_length(out, strlen(name));
	buf_add_text(out, name);
	add_length(out, len);
	buf_add(out, value, len);
}

void h2_request(const char *path, size_t extra, struct buf *out)
{
	_cleanup_(freep) char *long_value = malloc(extra + 1);

	assert_non_null(long_value);
	memset(long_value, 'x', extra);
	add_header(out, ":method", "POST", 4);
	add_header(out, ":scheme", "https", 5);
	add_header(out, ":path", path, strlen(path));
	add_header(out, ":authority", "localhost", 9);
	add_header(out, "te", "trailers", 8);
	add_header(out, "content-type", "application/grpc", 16);
	if (extra > 0)
		add_header(out, "x-long", long_value, extra);
	assert_int_equal(buf_error(out), 0);
}

uint32_t h2_call(struct h2 *h, struct bytes block, uint8_t flags)
{
	uint32_t stream = h->stream;

	h->stream += 2;
	return h2_frame(h, H2_HEADERS, flags | H2_END_HEADERS, stream, block) ? stream : 0;
}
