/* A growing run of bytes with a hard maximum: what an encoder fills and a sender empties.
 *
 * Appending never fails in the middle of an expression: the first append that lacks memory or room
 * sets the buffer's error, later ones do nothing, and the owner asks once with buf_error. One
 * thread at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct buf {
	uint8_t *data; /* owned; not terminated, see buf_text */
	size_t len;
	size_t cap;
	size_t max; /* bytes; 0: BUF_MAX_DEFAULT */
	int error;  /* 0, -ENOMEM or -EMSGSIZE */
};

#define BUF_MAX_DEFAULT (16UL << 20)

/* A zeroed struct buf is an empty buffer with the default maximum. */
static inline struct buf buf_with_max(size_t max)
{
	return (struct buf){.max = max};
}

void buf_done(struct buf *b);  /* releases; the buffer is empty and usable after */
void buf_clear(struct buf *b); /* length 0 and no error; keeps the memory */
/* The same, but memory of more than cap bytes, which something rare has needed, is released. */
void buf_clear_to(struct buf *b, size_t cap);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_text(struct buf *b, const char *text);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for len bytes at the end, already counted in b->len; NULL after an error. The pointer is
 * valid until the next append. */
uint8_t *buf_extend(struct buf *b, size_t len);
/* Forgets everything after len and any error that came later. */
void buf_truncate(struct buf *b, size_t len);

/* 0 or the first error since the last clear. */
int buf_error(const struct buf *b) must_check;
struct bytes buf_bytes(const struct buf *b);
/* The content as a terminated string, valid until the next append; "" after an error. */
const char *buf_text(struct buf *b);

#define _cleanup_buf_ __attribute__((cleanup(buf_done)))
