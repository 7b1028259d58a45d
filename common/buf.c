/* The checked growing buffer; see buf.h. */
#include "common/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAP_MIN 256UL

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

void buf_clear_to(struct buf *b, size_t cap)
{
	if (b->cap > cap)
		buf_done(b);
	buf_clear(b);
}

static int reserve(struct buf *b, size_t more)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
	size_t cap = b->cap ? b->cap : CAP_MIN;
	uint8_t *data;

	if (b->error)
		return b->error;
	if (more > max || b->len > max - more)
		return b->error = -EMSGSIZE;
	if (b->len + more <= b->cap)
		return 0;
	while (cap < b->len + more)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return b->error = -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
	if (reserve(b, len) < 0)
		return NULL;
	b->len += len;
	return b->data + b->len - len;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	uint8_t *room = len ? buf_extend(b, len) : NULL;

	if (room)
		memcpy(room, data, len);
}

void buf_add_text(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
	buf_add(b, &byte, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	/* One byte more than counted, for the terminator that vsnprintf insists on. */
	if (len > 0 && reserve(b, (size_t)len + 1) == 0) {
		(void)vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, again);
		b->len += (size_t)len;
	}
	va_end(again);
	va_end(ap);
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len <= b->len)
		b->len = len;
	b->error = 0;
}

int buf_error(const struct buf *b)
{
	return b->error;
}

struct bytes buf_bytes(const struct buf *b)
{
	return bytes_of(b->data, b->len);
}

const char *buf_text(struct buf *b)
{
	if (reserve(b, 1) < 0)
		return "";
	b->data[b->len] = '\0';
	return (const char *)b->data;
}
