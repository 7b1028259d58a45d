/* The sentence that goes with a failed operation; see err.h. */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
	struct err tail;
	va_list ap;
	int used;

	if (!e)
		return code;
	tail = *e;
	va_start(ap, fmt);
	used = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (used >= 0 && (size_t)used < sizeof(e->text))
		(void)snprintf(e->text + used, sizeof(e->text) - (size_t)used, ": %s", tail.text);
	return code;
}
