/* Alerts written to a descriptor as they come: "log" is log.path or stdout in log.format,
 * "alerts_file" is log.alerts_file, JSON lines. Two sinks, so that neither waits for the other.
 *
 * A terminal that is stopped or a pipe that nobody reads holds up nobody: the sink is full until
 * the rest of its text is taken. */
#pragma once

#include "collector/sink/sink.h"

extern const struct sink_type sink_log_type;
extern const struct sink_type sink_file_type;
