/* Says and reads the ready line; see ready.h. */
#include "common/ready.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define MARK ": ready "

void ready_say(const char *program, const char *fmt, ...)
{
	char head[64];
	va_list ap;

	(void)snprintf(head, sizeof(head), "%s" MARK, program);
	va_start(ap, fmt);
	log_line(head, fmt, ap);
	va_end(ap);
}

const char *ready_words(const char *line)
{
	const char *mark = strstr(line, MARK);

	/* Only the program's name may stand before it. */
	if (!mark || mark == line || memchr(line, ' ', (size_t)(mark - line)))
		return NULL;
	return mark + strlen(MARK);
}

bool ready_value(const char *words, const char *key, char *ret_value, size_t size)
{
	size_t key_len = strlen(key);

	while (*words) {
		size_t len = strcspn(words, " \n");

		if (len > key_len && strncmp(words, key, key_len) == 0 && words[key_len] == '=') {
			if (len - key_len - 1 >= size)
				return false;
			(void)snprintf(ret_value, size, "%.*s", (int)(len - key_len - 1), words + key_len + 1);
			return true;
		}
		words += len + (words[len] != '\0');
	}
	return false;
}
