/* Errors: functions return an int, >= 0 for success and a negative errno for failure; the text of a
 * code is strerror's. Where a person must be told what to do about it, the function also takes a
 * struct err and leaves one sentence there: lower case, no full stop, the failed act first.
 *
 * Library code returns; whoever owns the operation logs it, once. */
#pragma once

#define must_check __attribute__((warn_unused_result))

struct err {
	char text[512]; /* NUL-terminated, cut when longer; empty after success */
};

/* Formats the sentence and returns code, so that "return err_set(...)" is one expression. e may be
 * NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "WHAT: " before the sentence that a callee left; returns code. e may be NULL. */
int err_prefix(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
