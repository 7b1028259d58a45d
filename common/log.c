/* Log lines on stderr; see log.h. */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define LINE_BYTES 2048 /* a ready line with the reason of each class that is not covered */

static const char *program_name = "nightjar";
static enum log_level max_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_init(const char *program, enum log_level max)
{
	program_name = program;
	max_level = max;
}

void log_set_level(enum log_level max)
{
	__atomic_store_n(&max_level, max, __ATOMIC_RELAXED);
}

void log_line(const char *head, const char *fmt, va_list ap)
{
	char line[LINE_BYTES];
	int used = snprintf(line, sizeof(line), "%s", head), more;

	more = vsnprintf(line + used, sizeof(line) - (size_t)used, fmt, ap);
	if (more < 0)
		return;
	used += more;
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)used) < 0)
		return; /* stderr is gone: there is nobody left to tell */
}

enum log_level log_level_of(const char *name)
{
	for (int level = LOG_LEVEL_ERROR; name && level <= LOG_LEVEL_DEBUG; level++)
		if (strcmp(level_names[level], name) == 0)
			return (enum log_level)level;
	return LOG_LEVEL_INFO;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char head[64];
	va_list ap;

	if (level > __atomic_load_n(&max_level, __ATOMIC_RELAXED))
		return;
	(void)snprintf(head, sizeof(head), "%s: %s: ", program_name, level_names[level]);
	va_start(ap, fmt);
	log_line(head, fmt, ap);
	va_end(ap);
}

bool log_limit_pass(struct log_limit *limit, uint64_t *ret_skipped)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t next = __atomic_load_n(&limit->next_ns, __ATOMIC_RELAXED);

	if (now < next || !__atomic_compare_exchange_n(&limit->next_ns, &next, now + NS_PER_SEC,
						       false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		(void)__atomic_fetch_add(&limit->skipped, 1, __ATOMIC_RELAXED);
		return false;
	}
	*ret_skipped = __atomic_exchange_n(&limit->skipped, 0, __ATOMIC_RELAXED);
	return true;
}
