/* HTTP/2 frames by hand over mutual TLS: what no well-behaved library would send. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "common/bytes.h"
#include "tests/e2e/product.h"

#define H2_HEADERS	0x1
#define H2_RST_STREAM	0x3
#define H2_SETTINGS	0x4
#define H2_PING		0x6
#define H2_CONTINUATION 0x9
#define H2_DATA		0x0

#define H2_END_STREAM  0x1
#define H2_END_HEADERS 0x4

struct h2 {
	int fd;
	SSL_CTX *context;
	SSL *tls;
	uint32_t stream; /* of the next request */
};

/* Connects with NAME's certificate and sends preface and settings; window: what the peer may send on
 * a stream before it is allowed more, which never happens. False: refused. */
bool h2_open(struct h2 *h, const struct collected *c, const char *name, uint32_t window);
void h2_close(struct h2 *h);
/* False once the connection is over, or the peer takes nothing for some seconds. */
bool h2_frame(struct h2 *h, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload);
/* Reads what has come and forgets it. False: the connection is over. */
bool h2_drain(struct h2 *h);
/* The header block of a gRPC request; extra: bytes of one more header's value. */
void h2_request(const char *path, size_t extra, struct buf *out);
/* Opens a request and returns its stream. */
uint32_t h2_call(struct h2 *h, struct bytes block, uint8_t flags);
