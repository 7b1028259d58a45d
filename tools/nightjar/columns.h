/* A table for people: columns as wide as their longest cell, and when that is more than the terminal
 * has, the columns that may be cut share what is left. Cells are made harmless (alert_text.h). */
#pragma once

#include <stdbool.h>

#include "common/buf.h"

#define COLUMNS_MAX  12
#define COLUMN_BELOW (~0U) /* shrink_to of one column: when not all fits, it goes on a line of its own */

struct column {
	const char *title;
	unsigned int shrink_to; /* columns it keeps at least when cut; 0: never cut */
};

/* Appends the heading and rows of cells (rows × columns of them, none NULL). width 0: nothing is cut. */
void columns_write(struct buf *out, const struct column *columns, size_t column_count,
		   const char *const *cells, size_t rows, unsigned int width);
