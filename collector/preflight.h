/* What serving needs from outside, looked at before anything is begun and without changing anything:
 * the options that have no default, the certificates, the data directory. The same for a start and
 * for --check-config, so that both say the same sentence. */
#pragma once

#include <stdint.h>

#include "collector/options.h"

/* now_wall_ns: for the dates of certificates. 0, or negative with a sentence that names the key. */
int preflight_check(const struct options *o, uint64_t now_wall_ns, struct err *e) must_check;
