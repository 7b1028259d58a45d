/* Bump allocation in a chain of blocks; see arena.h. */
#include "common/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

#define BLOCK_MIN 4096UL
#define BLOCK_MAX 262144UL
#define ALIGN	  alignof(max_align_t)

struct block {
	struct block *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct block *blocks; /* the newest first: the one that is filled */
	size_t next_size;
	size_t used;
	size_t limit;
};

struct arena *arena_new(size_t limit)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->limit = limit ? limit : SIZE_MAX;
	a->next_size = BLOCK_MIN;
	return a;
}

static void free_chain(struct block *b)
{
	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	free_chain(a->blocks);
	free(a);
}

/* Blocks double, so the newest regular one is the largest; one made for a single large request is
 * not worth keeping. */
void arena_reset(struct arena *a)
{
	struct block *keep = a->blocks;

	a->used = 0;
	if (!keep)
		return;
	free_chain(keep->next);
	keep->next = NULL;
	keep->used = 0;
	if (keep->size > BLOCK_MAX) {
		free(keep);
		a->blocks = NULL;
	}
}

static struct block *add_block(struct arena *a, size_t at_least)
{
	size_t size = a->next_size > at_least ? a->next_size : at_least;
	struct block *b = malloc(sizeof(*b) + size);

	if (!b)
		return NULL;
	b->size = size;
	b->used = 0;
	b->next = a->blocks;
	a->blocks = b;
	if (a->next_size < BLOCK_MAX)
		a->next_size *= 2;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t rounded = (size + ALIGN - 1) & ~(ALIGN - 1);
	struct block *b = a->blocks;
	void *p;

	if (rounded < size || rounded > a->limit - a->used)
		return NULL;
	if (!b || b->size - b->used < rounded)
		b = add_block(a, rounded);
	if (!b)
		return NULL;
	p = b->data + b->used;
	b->used += rounded;
	a->used += rounded;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	if (p)
		memset(p, 0, size);
	return p;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
	return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *text = NULL;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len >= 0)
		text = arena_alloc(a, (size_t)len + 1);
	if (text)
		(void)vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return text;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
