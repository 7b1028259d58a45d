/* An alert as people read it: one line with time, severity, the sentence and where, then its steps,
 * one a line. Text of an attacker's making (arguments, paths) cannot move the cursor or break the
 * line: every control character is written as \xNN. */
#pragma once

#include <stdbool.h>

#include "common/buf.h"
#include "nightjar/v1/alert.pb-c.h"

/* Appends the lines, each ended by a newline; color: ANSI colours for the severity. */
void people_write(struct buf *out, const Nightjar__V1__Alert *alert, bool color);
