/* An alert as people read it: one sentence, then where, who and the chain of steps, indented and
 * aligned. Used by the collector's log sink and by the command.
 *
 *   20:43:16.123 CRITICAL reverse_shell  bash takes its commands from 192.0.2.7:4444
 *     where    node-1, pod shop/web-5d9c-x2x, container web (nginx:1.27)
 *     process  bash -i, pid 4242, www-data, started by /usr/sbin/nginx
 *            0 ms  connect  connected to 192.0.2.7:4444
 *         +1.2 ms  exec     bash -i
 *     alert    01JDFGQ4M00000000000000001  T1059.004
 *
 * Names and arguments come from whoever is being watched: control characters, escape sequences,
 * text that runs backwards and bytes that are no UTF-8 never reach the terminal as such. */
#pragma once

#include <stdbool.h>

#include "common/buf.h"
#include "nightjar/v1/alert.pb-c.h"

struct alert_text_style {
	bool color;
	unsigned int width; /* columns; lines are cut there; 0: never */
};

/* What suits the descriptor: colours on a terminal unless NO_COLOR is set or TERM is dumb, and its
 * width; neither elsewhere. */
struct alert_text_style alert_text_style_of(int fd);

/* Appends the lines above, each with its newline. */
void alert_text_write(struct buf *out, const Nightjar__V1__Alert *alert,
		      const struct alert_text_style *style);

/* Appends text made harmless for a terminal, at most max columns of it ("…" marks a cut; a column is
 * a code point here); max 0: all. Returns the columns it took. */
unsigned int alert_text_safe(struct buf *out, const char *text, unsigned int max);
