/* What is normal for a workload. Profiles are learned later; until then the answer is always that
 * nothing is known, and detectors fall back on their reviewed tables. */
#pragma once

#include <stdint.h>

struct baseline;

enum baseline_answer {
	BASELINE_UNKNOWN, /* too little seen: decide without it */
	BASELINE_USUAL,
	BASELINE_NOVEL,
};

enum baseline_act {
	BASELINE_READS_SECRET,
	BASELINE_SCANS,
};

/* Does this image of this workload do that as a matter of course? b may be NULL. */
static inline enum baseline_answer baseline_ask(const struct baseline *b, const char *workload,
						const char *exe, enum baseline_act act)
{
	(void)b;
	(void)workload;
	(void)exe;
	(void)act;
	return BASELINE_UNKNOWN;
}
