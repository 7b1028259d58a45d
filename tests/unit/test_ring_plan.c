/* Rings for machines of every size: what the kernel demands of them, and what they take. */
#include "tests/unit/unit.h"

#include "node-agent/ring_plan.h"

#define CPUS_MOST 1024U

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static uint64_t total(const struct probe_config *plan)
{
	return plan->process_ring_bytes + plan->cpu_rings * plan->cpu_ring_bytes;
}

static void every_size_is_one_that_the_kernel_takes(void **state)
{
	(void)state;
	for (uint32_t cpus = 1; cpus <= CPUS_MOST; cpus++) {
		const struct probe_config plan = ring_plan(0, cpus);

		assert_true(is_power_of_two(plan.process_ring_bytes));
		assert_true(is_power_of_two(plan.cpu_ring_bytes));
		assert_true(is_power_of_two(plan.windows_per_cpu));
		assert_in_range(plan.cpu_rings, 1, RING_PLAN_RINGS);
		assert_int_equal(plan.cpus, cpus);
	}
}

/* The floor costs half a megabyte more than the budget, and that only above 24 CPUs. */
static void the_budget_holds_but_for_the_floor_of_many_rings(void **state)
{
	(void)state;
	for (uint32_t cpus = 1; cpus <= CPUS_MOST; cpus++) {
		const struct probe_config plan = ring_plan(0, cpus);

		if (plan.cpu_ring_bytes > RING_PLAN_FLOOR)
			assert_true(total(&plan) <= RING_PLAN_BUDGET);
		assert_true(total(&plan) <= RING_PLAN_BUDGET + RING_PLAN_BUDGET / 4);
		assert_true(plan.windows_per_cpu * cpus <= RING_PLAN_WINDOWS);
	}
}

static void a_budget_below_the_floor_gives_the_floor(void **state)
{
	const struct probe_config plan = ring_plan(1, 3);

	(void)state;
	assert_int_equal(plan.process_ring_bytes, RING_PLAN_FLOOR);
	assert_int_equal(plan.cpu_ring_bytes, RING_PLAN_FLOOR);
}

static void no_two_plans_hash_alike(void **state)
{
	(void)state;
	assert_true(ring_plan(0, 1).seed != ring_plan(0, 1).seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_one_that_the_kernel_takes),
		cmocka_unit_test(the_budget_holds_but_for_the_floor_of_many_rings),
		cmocka_unit_test(a_budget_below_the_floor_gives_the_floor),
		cmocka_unit_test(no_two_plans_hash_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
