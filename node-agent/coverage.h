/* Coverage of all classes in a sentence, for who reads the log. */
#pragma once

#include <stdbool.h>

#include "common/buf.h"
#include "node-agent/capture.h"

/* "18 of 21 classes, in part: file (32-bit calls are not seen); not: tcp (…): kernel 5.10 is older than 5.15".
 * A reason is named once. obstacle: see kernel_caps.h. False: every class is full, and out stays as it is. */
bool coverage_gaps(const struct capture_coverage *rows, uint32_t count, const char *obstacle, struct buf *out);
