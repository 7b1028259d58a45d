/* Alerts on stdout or in a file: for people, or as JSON lines. Each alert is one write, so it is
 * there at once and lines never mix. The process ignores SIGPIPE. */
#pragma once

#include "collector/sink/sink.h"

extern const struct sink_type sink_log_type;
