/* Log lines for the people who run a program: one line on stderr, "PROGRAM: LEVEL: text".
 * Any thread; a line is written in one call, so lines never mix. What an attacker can trigger is
 * logged through log_limited, at most once a second per place, with the number left out. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Names the program and the most detailed level that is written. Call once, before any thread. */
void log_init(const char *program, enum log_level max);
void log_set_level(enum log_level max); /* any thread, any time */
/* The level of this name, as log.level has it; info for NULL and for anything else. */
enum log_level log_level_of(const char *name);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Any line: head, the text, a newline, in one write; the text is cut to fit. */
void log_line(const char *head, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

struct log_limit {
	uint64_t next_ns; /* CLOCK_MONOTONIC; before this the place stays silent */
	uint64_t skipped;
};

/* True when the place may log now; *ret_skipped is how many lines it left out before. */
bool log_limit_pass(struct log_limit *limit, uint64_t *ret_skipped);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#define log_limited(level, fmt, ...)                                                               \
	do {                                                                                       \
		static struct log_limit limit_;                                                    \
		char suffix_[48] = "";                                                             \
		uint64_t skipped_;                                                                 \
		if (log_limit_pass(&limit_, &skipped_)) {                                          \
			if (skipped_)                                                              \
				(void)snprintf(suffix_, sizeof(suffix_), " (and %llu alike before)",  \
					       (unsigned long long)skipped_);                      \
			log_write(level, fmt "%s", ##__VA_ARGS__, suffix_);                         \
		}                                                                                  \
	} while (0)
