/* Tables for people; see columns.h. */
#include "tools/nightjar/columns.h"

#include <string.h>

#include "common/alert_text.h"

#define GAP 2 /* blanks between two columns */
#define INDENT "    "

static unsigned int columns_of(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static unsigned int total(const unsigned int *widths, size_t count)
{
	unsigned int sum = (unsigned int)(count - 1) * GAP;

	for (size_t i = 0; i < count; i++)
		sum += widths[i];
	return sum;
}

/* Takes columns from the widest that may be cut, one at a time, until all fits or nothing is left. */
static void shrink(const struct column *columns, unsigned int *widths, size_t count, unsigned int width)
{
	while (total(widths, count) > width) {
		size_t widest = count;

		for (size_t i = 0; i < count; i++)
			if (columns[i].shrink_to && widths[i] > columns[i].shrink_to &&
			    (widest == count || widths[i] > widths[widest]))
				widest = i;
		if (widest == count)
			return;
		widths[widest]--;
	}
}

/* below: the column that is left out, count: none. */
static void write_row(struct buf *out, const char *const *cells, const unsigned int *widths, size_t count,
		      size_t below)
{
	size_t last = below + 1 == count ? count - 2 : count - 1;

	for (size_t i = 0; i <= last; i++) {
		unsigned int used = i == below ? widths[i] + GAP : alert_text_safe(out, cells[i], widths[i]);

		for (; i < last && used < widths[i] + GAP; used++)
			buf_add_byte(out, ' ');
	}
	buf_add_byte(out, '\n');
}

static void write_below(struct buf *out, const char *cell, unsigned int width)
{
	buf_add_text(out, INDENT);
	(void)alert_text_safe(out, cell, width - (unsigned int)strlen(INDENT));
	buf_add_byte(out, '\n');
}

/* The column that goes on a line of its own in this width; count: none. */
static size_t find_below(const struct column *columns, const unsigned int *widths, size_t count, unsigned int width)
{
	size_t i = 0;

	while (i < count && columns[i].shrink_to != COLUMN_BELOW)
		i++;
	return count > 1 && width > strlen(INDENT) && total(widths, count) > width ? i : count;
}

void columns_write(struct buf *out, const struct column *columns, size_t column_count,
		   const char *const *cells, size_t rows, unsigned int width)
{
	unsigned int widths[COLUMNS_MAX];
	const char *titles[COLUMNS_MAX];
	size_t below;

	if (column_count == 0 || column_count > COLUMNS_MAX)
		return;
	for (size_t i = 0; i < column_count; i++) {
		titles[i] = columns[i].title;
		widths[i] = columns_of(columns[i].title);
		for (size_t row = 0; row < rows; row++) {
			unsigned int n = columns_of(cells[row * column_count + i]);

			widths[i] = n > widths[i] ? n : widths[i];
		}
	}
	below = find_below(columns, widths, column_count, width);
	if (width)
		shrink(columns, widths, column_count, below < column_count ? width + widths[below] + GAP : width);
	write_row(out, titles, widths, column_count, below);
	for (size_t row = 0; row < rows; row++) {
		write_row(out, cells + row * column_count, widths, column_count, below);
		if (below < column_count)
			write_below(out, cells[row * column_count + below], width);
	}
}
