/* Where the next page of a list begins, as the text that a client hands back. It holds the order
 * key of the last row it got and a check over key and filter: a token that was cut, changed or
 * given with another filter is refused instead of answered with a wrong page. */
#pragma once

#include <stdint.h>

#include "collector/store/store.h"

struct page_cursor {
	int64_t time_ns;
	char id[STORE_ID_MAX]; /* terminated */
};

/* filter may be NULL. 0, -ENOMEM. */
int page_token_write(const struct page_cursor *cursor, const Nightjar__V1__AlertFilter *filter,
		     struct arena *arena, char **ret_token) must_check;
/* 0, -ENOMEM, -EINVAL: not a token for this filter. */
int page_token_read(const char *token, const Nightjar__V1__AlertFilter *filter,
		    struct page_cursor *ret_cursor) must_check;
