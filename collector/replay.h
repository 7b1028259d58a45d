/* --replay FILE: a recording through both stages on one thread. The same file and thresholds give
 * the same output, byte for byte. */
#pragma once

#include "collector/options.h"

/* Prints each alert in log.format (auto: one JSON object a line) on stdout or log.path. */
int replay_run(const struct options *o, const char *path, struct err *e) must_check;
