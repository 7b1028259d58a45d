/* One pass over the bytes, copying runs of them; see jsoncut.h. */
#include "collector/kube/jsoncut.h"

#include <errno.h>

void jsoncut_restart(struct jsoncut *c)
{
	c->depth = c->inside = 0;
	c->in_string = c->escaped = c->array = c->complete = false;
	c->seen = 0;
	buf_clear(&c->object);
	c->object.max = c->max;
}

void jsoncut_done(struct jsoncut *c)
{
	buf_done(&c->object);
}

bool jsoncut_is_whole(const struct jsoncut *c)
{
	return c->depth == 0 && (c->mode == JSONCUT_STREAM || c->complete);
}

/* Whether the object that opens at this depth is one to cut out. */
static bool is_wanted(const struct jsoncut *c, uint32_t depth)
{
	if (c->mode == JSONCUT_STREAM)
		return depth == 1;
	return c->array ? depth == 3 : depth == 2;
}

static enum jsoncut_place place_of(const struct jsoncut *c)
{
	static const enum jsoncut_place places[] = {JSONCUT_OBJECT, JSONCUT_OBJECT, JSONCUT_MEMBER, JSONCUT_ITEM};

	return places[c->inside];
}

/* Keeps what belongs to the object under way. */
static int keep(struct jsoncut *c, struct bytes text)
{
	int r;

	c->seen += text.len;
	if (c->seen > c->max * JSONCUT_ENDLESS)
		return -EMSGSIZE;
	buf_add(&c->object, text.data, text.len);
	r = buf_error(&c->object);
	return r == -EMSGSIZE ? 0 : r;
}

static int end_object(struct jsoncut *c, struct bytes last)
{
	enum jsoncut_place place = place_of(c);
	int r = keep(c, last);

	if (r < 0)
		return r;
	if (buf_error(&c->object) < 0)
		c->too_large++;
	else
		r = c->visit(c->ctx, place, buf_bytes(&c->object));
	c->inside = 0;
	c->seen = 0;
	buf_clear(&c->object);
	return r;
}

/* 1: an object begins with this bracket. */
static int open_bracket(struct jsoncut *c, uint8_t bracket)
{
	bool begins;

	if (c->complete || c->depth == UINT32_MAX || (c->depth == 0 && bracket != '{'))
		return -EBADMSG;
	c->depth++;
	if (c->depth == 2 && c->inside == 0)
		c->array = bracket == '[';
	begins = bracket == '{' && c->inside == 0 && is_wanted(c, c->depth);
	if (begins)
		c->inside = c->depth;
	return begins ? 1 : 0;
}

/* 2: the object under way ends with this bracket. */
static int close_bracket(struct jsoncut *c)
{
	bool ends = c->inside != 0 && c->depth == c->inside;

	if (c->depth == 0)
		return -EBADMSG;
	c->depth--;
	if (c->depth < 2 && c->inside == 0)
		c->array = false;
	if (c->depth == 0)
		c->complete = c->mode == JSONCUT_LIST;
	return ends ? 2 : 0;
}

static void pass_string(struct jsoncut *c, uint8_t byte)
{
	if (c->escaped)
		c->escaped = false;
	else if (byte == '\\')
		c->escaped = true;
	else if (byte == '"')
		c->in_string = false;
}

static bool is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* Between strings. 0; 1: an object begins with this byte; 2: the one under way ends with it. */
static int pass_byte(struct jsoncut *c, uint8_t byte)
{
	if (byte == '{' || byte == '[')
		return open_bracket(c, byte);
	if (byte == '}' || byte == ']')
		return close_bracket(c);
	if (c->depth == 0 && !is_space(byte))
		return -EBADMSG;
	c->in_string = byte == '"';
	return 0;
}

int jsoncut_feed(struct jsoncut *c, struct bytes text)
{
	size_t from = 0; /* first byte that is not kept yet */
	int r;

	for (size_t i = 0; i < text.len; i++) {
		if (c->in_string) {
			pass_string(c, text.data[i]);
			continue;
		}
		r = pass_byte(c, text.data[i]);
		if (r == 1)
			from = i;
		if (r == 2)
			r = end_object(c, bytes_of(text.data + from, i + 1 - from));
		if (r < 0)
			return r;
	}
	return c->inside ? keep(c, bytes_of(text.data + from, text.len - from)) : 0;
}
