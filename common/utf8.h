/* Text from the kernel is any bytes; what leaves the product is UTF-8. Every byte that begins no
 * well-formed sequence becomes one U+FFFD, so the same bytes always give the same text. */
#pragma once

#include <stdbool.h>

#include "common/arena.h"
#include "common/buf.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Length of the well-formed sequence (no surrogates, nothing overlong) that left begins with, 1 to
 * 4; 0 when there is none. */
size_t utf8_sequence(struct bytes left);
/* How many bytes from the start are well formed. */
size_t utf8_valid_prefix(struct bytes text);
/* Appends text with the replacements. */
void utf8_add(struct buf *out, struct bytes text);
