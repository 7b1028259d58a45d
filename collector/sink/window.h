/* Which of the alerts that a sink took its far side has, when confirmations come in any order: the
 * last row of the store before which nothing is missing.
 *
 * One thread at a time. A slot takes 16 bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct window;

struct window *window_new(size_t capacity); /* alerts on their way; NULL without memory */
void window_free(struct window *w);	    /* NULL allowed */
bool window_is_full(const struct window *w);
/* An alert is on its way; not when full. Rows ascend; 0: it has none. Its ticket, for
 * window_settle. */
uint64_t window_add(struct window *w, uint64_t row);
/* The newest is not on its way after all. */
void window_take_back(struct window *w);
/* The far side has it, or never will. Once for each ticket. */
void window_settle(struct window *w, uint64_t ticket);
uint64_t window_settled_row(const struct window *w);

DEFINE_CLEANUP(struct window *, window_free)
