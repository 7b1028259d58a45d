/* A span of bytes that somebody else owns. Not terminated, may hold any byte. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *data;
	size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
	return (struct bytes){.data = (const uint8_t *)data, .len = len};
}

static inline struct bytes bytes_of_text(const char *text)
{
	return text ? bytes_of(text, strlen(text)) : (struct bytes){0};
}

static inline int bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
