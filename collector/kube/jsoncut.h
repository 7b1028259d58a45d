/* Cuts JSON text that arrives in pieces into the objects that are worth parsing, so that nobody holds
 * more than one of them in memory. It knows strings and brackets and nothing else: whether an object
 * is JSON at all is for its parser to say.
 *
 *   JSONCUT_STREAM  {…}\n{…}\n…                               every object: the answer to a watch
 *   JSONCUT_LIST    {…,"metadata":{…},"items":[{…},{…}]}      the objects one level down: to a list
 *
 * Foreign bytes. An object above the maximum is passed over and counted, one that never ends is
 * refused. Memory: one object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum jsoncut_mode { JSONCUT_STREAM, JSONCUT_LIST };

enum jsoncut_place {
	JSONCUT_OBJECT, /* of a stream */
	JSONCUT_MEMBER, /* of the list itself: its metadata */
	JSONCUT_ITEM,	/* of an array of the list: one of its items */
};

#define JSONCUT_ENDLESS 16U /* times the maximum, after which an object will not end */

struct jsoncut {
	enum jsoncut_mode mode;
	size_t max; /* bytes of one object */
	/* Negative ends jsoncut_feed, which returns it. object is valid during the call. */
	int (*visit)(void *ctx, enum jsoncut_place place, struct bytes object);
	void *ctx;

	/* ---- its own; zeroed at start ---- */
	uint32_t depth;	   /* brackets open */
	uint32_t inside;   /* depth at which the object under way began; 0: none */
	bool in_string, escaped;
	bool array;	   /* what is open at depth 2 is one */
	bool complete;	   /* the list has ended */
	size_t seen;	   /* bytes of the object under way */
	uint64_t too_large; /* objects that were passed over */
	struct buf object;
};

/* Ready for text from its beginning; mode, max, visit and ctx stay. */
void jsoncut_restart(struct jsoncut *c);
void jsoncut_done(struct jsoncut *c);
/* 0, what visit returned, -EBADMSG (no JSON of this shape), -EMSGSIZE (an object does not end) or
 * -ENOMEM. After a failure only restart and done are allowed. */
int jsoncut_feed(struct jsoncut *c, struct bytes text) must_check;
/* Whether the text may end here. */
bool jsoncut_is_whole(const struct jsoncut *c);
