/* Page tokens: everything that is not exactly what we gave is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#include "collector/store/page_token.h"
#include "tests/unit/alert_sample.h"

static const struct page_cursor cursor = {.time_ns = 1764016996123456789, .id = ALERT_SAMPLE_ID};

static char *token_for(const Nightjar__V1__AlertFilter *filter, struct arena *arena)
{
	char *token = NULL;

	assert_int_equal(page_token_write(&cursor, filter, arena, &token), 0);
	return token;
}

static void what_is_no_token_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "x", "1", "0000000000000000", "00000000000000000000000000000000", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzid",
		"000000000000000000000000000000000123456789012345678901234567890123456789012345678901234567890123456789",
	};
	struct page_cursor got = {.time_ns = 7};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(page_token_read(bad[i], NULL, &got), -EINVAL);
	assert_int_equal(got.time_ns, 7);
}

static void a_token_cut_or_changed_at_any_byte_is_refused(void **state)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	char *token = token_for(NULL, arena);
	size_t len = strlen(token);
	struct page_cursor got;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char kept = token[i];

		token[i] = '\0';
		assert_int_equal(page_token_read(token, NULL, &got), -EINVAL);
		token[i] = kept == 'a' ? 'b' : 'a';
		assert_int_equal(page_token_read(token, NULL, &got), -EINVAL);
		token[i] = kept;
	}
	assert_int_equal(page_token_read(token, NULL, &got), 0);
}

static void a_token_of_another_filter_is_refused(void **state)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__AlertFilter filter = NIGHTJAR__V1__ALERT_FILTER__INIT;
	struct page_cursor got;
	char *token;

	(void)state;
	filter.node = sample_text("a");
	token = token_for(&filter, arena);
	filter.node = sample_text("b");
	assert_int_equal(page_token_read(token, &filter, &got), -EINVAL);
	assert_int_equal(page_token_read(token, NULL, &got), -EINVAL);
}

static void the_position_comes_back(void **state)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	struct page_cursor got;

	(void)state;
	assert_int_equal(page_token_read(token_for(NULL, arena), NULL, &got), 0);
	assert_true(got.time_ns == cursor.time_ns);
	assert_string_equal(got.id, cursor.id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(a_token_cut_or_changed_at_any_byte_is_refused),
		cmocka_unit_test(a_token_of_another_filter_is_refused),
		cmocka_unit_test(the_position_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
