/* Tables for people; see columns.h. */
#include "tools/nightjar/columns.h"

#include "common/alert_text.h"

#define GAP 2 /* blanks between two columns */

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

static void write_row(struct buf *out, const char *const *cells, const unsigned int *widths, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned int used = alert_text_safe(out, cells[i], widths[i]);

		for (; i + 1 < count && used < widths[i] + GAP; used++)
			buf_add_byte(out, ' ');
	}
	buf_add_byte(out, '\n');
}

void columns_write(struct buf *out, const struct column *columns, size_t column_count,
		   const char *const *cells, size_t rows, unsigned int width)
{
	unsigned int widths[COLUMNS_MAX];
	const char *titles[COLUMNS_MAX];

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
	if (width)
		shrink(columns, widths, column_count, width);
	write_row(out, titles, widths, column_count);
	for (size_t row = 0; row < rows; row++)
		write_row(out, cells + row * column_count, widths, column_count);
}
