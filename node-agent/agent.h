/* The composition: builds every part of the agent, runs its loop, takes it all down again. */
#pragma once

#include "common/err.h"
#include "node-agent/options.h"

/* Captures and sends until SIGTERM or SIGINT; drains then. Blocks those signals itself: call it
 * before any thread is started. SIGHUP reads everything that the command line argv names again, and
 * applies what is reloadable of it. 0 for a clean stop, negative with the sentence. */
int agent_run(const struct agent_settings *settings, char **argv, struct err *e) must_check;
/* Captures and prints JSON lines on stdout until a signal; no collector. */
int agent_print_events(const struct agent_settings *settings, char **argv, struct err *e) must_check;
