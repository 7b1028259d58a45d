/* Arena: limits first, then alignment, growth and reuse. */
#include "tests/unit/unit.h"

#include "common/arena.h"

static void past_the_limit_every_allocation_fails_until_the_reset(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new(64);

	(void)state;
	assert_null(arena_alloc(a, 65));
	assert_non_null(arena_alloc(a, 64));
	assert_null(arena_alloc(a, 1));
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	assert_non_null(arena_alloc(a, 64));
}

static void a_size_that_wraps_around_is_refused(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new(0);

	(void)state;
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 14));
	assert_int_equal(arena_used(a), 0);
}

static void everything_is_aligned_and_keeps_its_content(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new(0);
	unsigned char *kept[2000];

	(void)state;
	for (size_t i = 0; i < 2000; i++) {
		kept[i] = arena_alloc(a, i % 700 + 1);
		assert_non_null(kept[i]);
		assert_int_equal((uintptr_t)kept[i] % 16, 0);
		memset(kept[i], (int)(i % 251), i % 700 + 1);
	}
	for (size_t i = 0; i < 2000; i++)
		for (size_t j = 0; j < i % 700 + 1; j++)
			assert_int_equal(kept[i][j], i % 251);
}

static void a_block_larger_than_any_regular_one_still_works(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new(0);
	char *big = arena_zalloc(a, 3 << 20);

	(void)state;
	assert_non_null(big);
	assert_int_equal(big[(3 << 20) - 1], 0);
	arena_reset(a);
	assert_non_null(arena_alloc(a, 16));
}

static void texts_are_terminated_copies(void **state)
{
	_cleanup_(arena_freep) struct arena *a = arena_new(0);

	(void)state;
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(a, NULL, 0), "");
	assert_string_equal(arena_strdup(a, "x"), "x");
	assert_string_equal(arena_printf(a, "%s-%d", "a", 7), "a-7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(past_the_limit_every_allocation_fails_until_the_reset),
		cmocka_unit_test(a_size_that_wraps_around_is_refused),
		cmocka_unit_test(everything_is_aligned_and_keeps_its_content),
		cmocka_unit_test(a_block_larger_than_any_regular_one_still_works),
		cmocka_unit_test(texts_are_terminated_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
