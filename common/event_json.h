/* One event as a JSON object in snake_case, for --print-events and for tests that read them. Names
 * follow event.proto; 64-bit ids are strings (exec_id 16 hex digits), what is absent is left out. */
#pragma once

#include "common/buf.h"
#include "common/event.h"

/* Appends one line with its newline. wall_offset_ns: wall clock - boot clock. 0 or -ENOMEM. */
int event_json_write(const struct event *event, int64_t wall_offset_ns, struct buf *out) must_check;
