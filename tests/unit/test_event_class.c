/* Classes: every kind has one, every one has a name of its own. */
#include "tests/unit/unit.h"

#include "node-agent/event_class.h"

static void what_is_no_kind_counts_as_process_life(void **state)
{
	(void)state;
	assert_int_equal(event_class_of(0, NULL, 0), NJ_CLASS_PROCESS);
	assert_int_equal(event_class_of(EVENT_KIND_MAX, NULL, 0), NJ_CLASS_PROCESS);
	assert_int_equal(event_class_of((enum event_kind) - 1, NULL, 0), NJ_CLASS_PROCESS);
	assert_string_equal(event_class_name(NJ_CLASS_MAX), "unknown");
	assert_string_equal(event_class_name((enum nj_class) - 1), "unknown");
}

static void classes_have_names_that_differ(void **state)
{
	(void)state;
	for (int a = 0; a < NJ_CLASS_MAX; a++) {
		assert_non_null(event_class_name((enum nj_class)a));
		assert_string_not_equal(event_class_name((enum nj_class)a), "unknown");
		for (int b = 0; b < a; b++)
			assert_string_not_equal(event_class_name((enum nj_class)a),
						event_class_name((enum nj_class)b));
	}
}

/* A kind that the table forgets would be counted as process life: only three are. */
static void every_kind_but_three_has_a_class_other_than_process_life(void **state)
{
	const struct endpoint tcp = {.kind = ENDPOINT_KIND_TCP};
	uint32_t seen = 0;

	(void)state;
	for (int kind = 1; kind < EVENT_KIND_MAX; kind++) {
		enum nj_class class = event_class_of((enum event_kind)kind, NULL, 0);
		bool life = kind == EVENT_KIND_FORK || kind == EVENT_KIND_EXEC ||
			    kind == EVENT_KIND_EXIT;

		assert_int_equal(class == NJ_CLASS_PROCESS, life);
		assert_string_not_equal(event_kind_name((enum event_kind)kind), "unknown");
		seen |= 1U << class | 1U << event_class_of((enum event_kind)kind, &tcp, 1);
	}
	assert_int_equal(seen, (1U << NJ_CLASS_MAX) - 1);
}

static void a_connection_is_tcp_only_over_tcp(void **state)
{
	const struct endpoint tcp = {.kind = ENDPOINT_KIND_TCP}, udp = {.kind = ENDPOINT_KIND_UDP};

	(void)state;
	assert_int_equal(event_class_of(EVENT_KIND_CONNECT, &tcp, 1), NJ_CLASS_TCP);
	assert_int_equal(event_class_of(EVENT_KIND_CONNECT, &udp, 1), NJ_CLASS_SOCKET);
	assert_int_equal(event_class_of(EVENT_KIND_LISTEN, &tcp, 1), NJ_CLASS_TCP);
	assert_int_equal(event_class_of(EVENT_KIND_ACCEPT, &tcp, 1), NJ_CLASS_SOCKET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_kind_counts_as_process_life),
		cmocka_unit_test(classes_have_names_that_differ),
		cmocka_unit_test(every_kind_but_three_has_a_class_other_than_process_life),
		cmocka_unit_test(a_connection_is_tcp_only_over_tcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
