/* The line with which a program says that it is ready, for people and for whoever started it:
 *
 *   nightjar-collector: ready grpc=127.0.0.1:7443 http=127.0.0.1:7480
 *   nightjar-agent: ready collector=127.0.0.1:7443 node=n1 process=full tcp=full file=degraded:no_BTF
 *
 * on stderr, once, in one write. The collector says it when it accepts agents and answers queries,
 * with the addresses it really got. The agent says it when capture is live and the collector has
 * answered its Hello, with a word for each class of its coverage
 * (one that is not full has its reason behind a colon, with underscores for blanks). `nightjar dev` waits for both. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Any thread. The text after "ready ": KEY=VALUE, separated by blanks. */
void ready_say(const char *program, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The words behind "ready " of such a line, NULL when it is another one. */
const char *ready_words(const char *line);
/* The value of a key among them. False when it is not there or does not fit. */
bool ready_value(const char *words, const char *key, char *ret_value, size_t size);
