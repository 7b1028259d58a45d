/* An alert's life: nothing to free, and a message that packs as it was made. */
#include "tests/unit/unit.h"

#include "collector/alert.h"

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	alert_free(NULL);
}

static void a_new_alert_is_an_empty_message(void **state)
{
	_cleanup_(alert_freep) struct alert *a = alert_new();

	(void)state;
	assert_non_null(a);
	assert_int_equal(nightjar__v1__alert__get_packed_size(&a->msg), 0);
	a->msg.id = arena_strdup(a->arena, "01");
	assert_int_equal(nightjar__v1__alert__get_packed_size(&a->msg), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(a_new_alert_is_an_empty_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
