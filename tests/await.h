/* Waiting for what tells nobody that it has changed: a counter, a file that is replaced, a port, what the
 * kernel frees after a while. It is looked at again every 5 ms, until it is as wanted or the limit is over,
 * which is for a test that fails, not for one that passes. What has a descriptor, a signal or a process that ends
 * is awaited by that instead. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/clock.h"

#define AWAIT_STEP_NS (5 * NS_PER_MS)

static inline void await_step(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = AWAIT_STEP_NS}, NULL);
}

/* Whether the condition, which is looked at again and again, has come true. */
#define AWAIT(condition, limit_ns)                                                                 \
	({                                                                                         \
		const uint64_t until_ = clock_monotonic_ns() + (limit_ns);                         \
		bool met_;                                                                         \
                                                                                                   \
		while (!(met_ = (condition)) && clock_monotonic_ns() < until_)                     \
			await_step();                                                              \
		met_;                                                                              \
	})
