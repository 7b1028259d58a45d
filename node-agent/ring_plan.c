/* See ring_plan.h. */
#include "node-agent/ring_plan.h"

#include <sys/random.h>

#include "common/clock.h"

#define WINDOWS_PER_CPU 1024

static uint64_t power_of_two_below(uint64_t bytes)
{
	uint64_t power = RING_PLAN_FLOOR;

	while (power * 2 <= bytes)
		power *= 2;
	return power;
}

struct probe_config ring_plan(uint64_t budget, uint32_t cpus)
{
	struct probe_config config = {.cpu_rings = cpus < RING_PLAN_RINGS ? cpus : RING_PLAN_RINGS,
				      .cpus = cpus,
				      .windows_per_cpu = WINDOWS_PER_CPU};

	if (getrandom(&config.seed, sizeof(config.seed), GRND_NONBLOCK) < 0)
		config.seed = clock_boot_ns();
	while (config.windows_per_cpu * cpus > RING_PLAN_WINDOWS && config.windows_per_cpu > 1)
		config.windows_per_cpu /= 2;
	if (budget == 0)
		budget = RING_PLAN_BUDGET;
	config.process_ring_bytes = power_of_two_below(budget / 4);
	config.cpu_ring_bytes = power_of_two_below((budget - budget / 4) / config.cpu_rings);
	return config;
}
