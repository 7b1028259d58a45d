/* CPU time of processes from that of their threads. */
#include "tests/unit/unit.h"

#include "common/clock.h"
#include "node-agent/cpu_use.h"

#define SECOND NS_PER_SEC

static struct told {
	uint32_t count;
	struct nj_owner process;
	uint64_t used_ns, over_ns;
} told;

static void on_use(void *ctx, const struct nj_owner *process, uint64_t used_ns, uint64_t over_ns)
{
	struct told *t = ctx;

	t->count++;
	t->process = *process;
	t->used_ns = used_ns;
	t->over_ns = over_ns;
}

static void end(struct cpu_use *u)
{
	told = (struct told){0};
	cpu_use_end(u, on_use, &told);
}

static void add(struct cpu_use *u, uint32_t tgid, uint32_t tid, uint64_t start_ns, uint64_t used_ns)
{
	struct nj_cpu thread = {.thread = {.task = {.tgid = tgid, .start_ns = start_ns}, .tid = tid}, .used_ns = used_ns};

	cpu_use_add(u, bytes_of(&thread, sizeof(thread)));
}

static void one_sample_tells_nobody(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_free(NULL);
	cpu_use_begin(u, 100 * SECOND);
	add(u, 1, 1, 5, 90 * SECOND);
	end(u);
	assert_int_equal(told.count, 0);
	cpu_use_free(u);
}

static void what_is_cut_is_left_out(void **state)
{
	struct cpu_use *u = cpu_use_new(10);
	struct nj_cpu threads[2] = {{.thread.task = {.tgid = 1, .start_ns = 150 * SECOND}, .used_ns = SECOND},
				    {.thread.task = {.tgid = 2, .start_ns = 150 * SECOND}, .used_ns = SECOND}};

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	end(u);
	for (size_t cut = 0; cut < 2 * sizeof(threads[0]); cut++) {
		cpu_use_begin(u, 105 * SECOND + cut);
		cpu_use_add(u, bytes_of(threads, cut));
		end(u);
		assert_true(told.count <= cut / sizeof(threads[0]));
	}
	cpu_use_free(u);
}

static void threads_are_summed_and_the_difference_told(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	add(u, 1, 1, 5, 3 * SECOND);
	add(u, 2, 2, 5, 9 * SECOND);
	add(u, 1, 11, 5, 4 * SECOND);
	end(u);
	cpu_use_begin(u, 105 * SECOND);
	add(u, 1, 11, 5, 5 * SECOND);
	add(u, 2, 2, 5, 9 * SECOND);
	add(u, 1, 1, 5, 3 * SECOND + SECOND / 2);
	end(u);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.process.task.tgid, 1);
	assert_int_equal(told.used_ns, SECOND + SECOND / 2);
	assert_int_equal(told.over_ns, 5 * SECOND);
	cpu_use_free(u);
}

static void only_what_reaches_the_share_is_told(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	add(u, 1, 1, 5, SECOND);
	end(u);
	cpu_use_begin(u, 110 * SECOND);
	add(u, 1, 1, 5, 2 * SECOND - 100);
	end(u);
	assert_int_equal(told.count, 0);
	cpu_use_begin(u, 120 * SECOND);
	add(u, 1, 1, 5, 3 * SECOND);
	end(u);
	assert_int_equal(told.count, 1);
	cpu_use_free(u);
}

static void who_began_in_between_began_with_nothing(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	end(u);
	cpu_use_begin(u, 105 * SECOND);
	add(u, 1, 1, 101 * SECOND, 2 * SECOND);
	add(u, 2, 2, 99 * SECOND, 2 * SECOND); /* was below the floor before: nobody knows by how much */
	end(u);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.process.task.tgid, 1);
	assert_int_equal(told.used_ns, 2 * SECOND);
	cpu_use_free(u);
}

static void a_number_that_comes_again_is_another_process(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	add(u, 1, 1, 5, SECOND);
	end(u);
	cpu_use_begin(u, 105 * SECOND);
	add(u, 1, 1, 99 * SECOND, 4 * SECOND);
	end(u);
	assert_int_equal(told.count, 0);
	cpu_use_free(u);
}

static void time_that_runs_backwards_is_no_use(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	add(u, 1, 1, 5, 4 * SECOND);
	end(u);
	cpu_use_begin(u, 105 * SECOND);
	add(u, 1, 1, 5, 3 * SECOND);
	end(u);
	assert_int_equal(told.count, 0);
	cpu_use_free(u);
}

static void a_flood_of_processes_does_not_grow_it(void **state)
{
	struct cpu_use *u = cpu_use_new(10);

	(void)state;
	cpu_use_begin(u, 100 * SECOND);
	for (uint32_t i = 0; i < 3 * CPU_USE_PROCESSES; i++)
		add(u, i + 1, i + 1, 5, SECOND);
	end(u);
	cpu_use_begin(u, 101 * SECOND);
	for (uint32_t i = 0; i < 3 * CPU_USE_PROCESSES; i++)
		add(u, i + 1, i + 1, 5, 2 * SECOND);
	end(u);
	assert_true(told.count <= CPU_USE_PROCESSES);
	cpu_use_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_sample_tells_nobody),
		cmocka_unit_test(what_is_cut_is_left_out),
		cmocka_unit_test(threads_are_summed_and_the_difference_told),
		cmocka_unit_test(only_what_reaches_the_share_is_told),
		cmocka_unit_test(who_began_in_between_began_with_nothing),
		cmocka_unit_test(a_number_that_comes_again_is_another_process),
		cmocka_unit_test(time_that_runs_backwards_is_no_use),
		cmocka_unit_test(a_flood_of_processes_does_not_grow_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
