/* See coverage.h. Two dozen rows, once a start. */
#include "node-agent/coverage.h"

#include <string.h>

static uint32_t count_of(const struct capture_coverage *rows, uint32_t count, const char *state)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++)
		found += strcmp(rows[i].state, state) == 0;
	return found;
}

static const struct capture_coverage *last_of(const struct capture_coverage *rows, uint32_t before, const char *state)
{
	for (uint32_t i = before; i-- > 0;)
		if (strcmp(rows[i].state, state) == 0)
			return &rows[i];
	return NULL;
}

/* The reason of a class, unless the one before it has the same. */
static void add_rows(const struct capture_coverage *rows, uint32_t count, const char *state, const char *title,
		     struct buf *out)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct capture_coverage *before = last_of(rows, i, state);

		if (strcmp(rows[i].state, state) != 0)
			continue;
		buf_printf(out, "%s%s", before ? ", " : title, rows[i].class);
		if (rows[i].reason[0] && !(before && strcmp(before->reason, rows[i].reason) == 0))
			buf_printf(out, " (%s)", rows[i].reason);
	}
}

bool coverage_gaps(const struct capture_coverage *rows, uint32_t count, const char *obstacle, struct buf *out)
{
	uint32_t full = count_of(rows, count, "full");

	if (full == count)
		return false;
	buf_printf(out, "%u of %u classes", full, count);
	add_rows(rows, count, "degraded", "; in part: ", out);
	add_rows(rows, count, "missing", "; not: ", out);
	if (obstacle[0])
		buf_printf(out, "; %s", obstacle);
	return true;
}
