/* How many connections the process takes. The gRPC library has no such limit in 1.51, and stops
 * listening for good once accept4 fails for want of descriptors, so that whoever may connect could
 * shut everybody else out. */
#pragma once

#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"

/* Raises the soft limit of descriptors to the hard one, then takes at most max connections (fewer
 * where the limit of descriptors is lower). Process-wide; refused: counts those that were closed at
 * once, until accept_forget. max 0: as many as descriptors allow. */
int accept_limit(unsigned int max, struct metric *refused, struct err *e) must_check;
/* Before the metric goes: takes everything again, and counts nothing. */
void accept_forget(void);
