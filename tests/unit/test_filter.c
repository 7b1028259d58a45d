/* Filters of callers: each wrong field is named with what is allowed; matching as the store does it. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "collector/api/filter.h"
#include "collector/store/store.h"
#include "tests/unit/alert_sample.h"

static Nightjar__V1__AlertFilter empty(void)
{
	return (Nightjar__V1__AlertFilter)NIGHTJAR__V1__ALERT_FILTER__INIT;
}

static void a_severity_that_is_none_is_named(void **state)
{
	char *severities[] = {sample_text("high"), sample_text("hihg")};
	Nightjar__V1__AlertFilter f = empty();
	struct err e = {0};

	(void)state;
	f.severities = severities;
	f.n_severities = 2;
	assert_int_equal(filter_check(&f, &e), -EINVAL);
	assert_string_equal(e.text,
			    "filter.severities[1] is 'hihg'; allowed are low, medium, high, critical");
}

static void a_technique_of_the_wrong_shape_is_named(void **state)
{
	static const char *const bad[] = {"t1059", "T105", "T10590", "T1059.", "T1059.04", "T1059.0044", "T105a",
					  "T1059/004", "shell", "T1059.00a"};
	Nightjar__V1__AlertFilter f = empty();
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f.technique = sample_text(bad[i]);
		assert_int_equal(filter_check(&f, &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i]));
		assert_non_null(strstr(e.text, "T1059.004"));
	}
}

static void a_time_outside_the_calendar_is_named(void **state)
{
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Nightjar__V1__AlertFilter f = empty();
	struct err e = {0};

	(void)state;
	t.nanos = -1;
	f.since = &t;
	assert_int_equal(filter_check(&f, &e), -EINVAL);
	assert_non_null(strstr(e.text, "filter.since"));
	f = empty();
	t.nanos = 0;
	t.seconds = INT64_MAX;
	f.until = &t;
	assert_int_equal(filter_check(&f, &e), -EINVAL);
	assert_non_null(strstr(e.text, "filter.until"));
}

static void too_many_rules_are_refused(void **state)
{
	char *rules[STORE_FILTER_MAX + 1] = {0};
	Nightjar__V1__AlertFilter f = empty();
	struct err e = {0};

	(void)state;
	f.rules = rules;
	f.n_rules = STORE_FILTER_MAX + 1;
	assert_int_equal(filter_check(&f, &e), -EINVAL);
	assert_non_null(strstr(e.text, "filter.rules 65"));
}

static void no_filter_and_an_empty_one_match_everything(void **state)
{
	Nightjar__V1__Alert nothing = NIGHTJAR__V1__ALERT__INIT;
	Nightjar__V1__AlertFilter f = empty();
	struct err e = {0};

	(void)state;
	assert_int_equal(filter_check(NULL, &e), 0);
	assert_int_equal(filter_check(&f, &e), 0);
	assert_true(filter_matches(NULL, &nothing));
	assert_true(filter_matches(&f, &nothing));
}

/* Every filter is asked of filter_matches and of the store: they must agree. */
static void matching_agrees_with_the_store(void **state)
{
	static const struct {
		const char *severity, *rule, *namespace, *workload, *node, *technique;
		int64_t since, until; /* relative to the alert; INT64_MIN: unset */
		bool matches;
	} cases[] = {
		{"critical", "", "", "", "", "", INT64_MIN, INT64_MIN, true},
		{"low", "", "", "", "", "", INT64_MIN, INT64_MIN, false},
		{"", "reverse_shell", "", "", "", "", INT64_MIN, INT64_MIN, true},
		{"", "reverse", "", "", "", "", INT64_MIN, INT64_MIN, false},
		{"", "", "shop", "web", "node-1", "T1059.004", INT64_MIN, INT64_MIN, true},
		{"", "", "shop", "db", "", "", INT64_MIN, INT64_MIN, false},
		{"", "", "other", "", "", "", INT64_MIN, INT64_MIN, false},
		{"", "", "", "", "node-2", "", INT64_MIN, INT64_MIN, false},
		{"", "", "", "", "", "T1059", INT64_MIN, INT64_MIN, true},
		{"", "", "", "", "", "T1059.001", INT64_MIN, INT64_MIN, false},
		{"", "", "", "", "", "T1105", INT64_MIN, INT64_MIN, false},
		{"", "", "", "", "", "", 0, INT64_MIN, true},
		{"", "", "", "", "", "", 1, INT64_MIN, false},
		{"", "", "", "", "", "", INT64_MIN, 0, false},
		{"", "", "", "", "", "", INT64_MIN, 1, true},
	};
	struct alert_sample s;
	struct store *store = NULL;
	struct err e = {0};

	(void)state;
	alert_sample_fill(&s);
	assert_int_equal(store_open(":memory:", &store, &e), 0);
	assert_int_equal(store_put(store, &s.alert, NULL, &e), 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(arena_freep) struct arena *arena = arena_new(0);
		Google__Protobuf__Timestamp since = s.time, until = s.time;
		char *severity = sample_text(cases[i].severity), *rule = sample_text(cases[i].rule);
		Nightjar__V1__AlertFilter f = empty();
		Nightjar__V1__Alert **list;
		size_t count = 0;
		char *token;

		f.severities = &severity;
		f.n_severities = *severity != '\0';
		f.rules = &rule;
		f.n_rules = *rule != '\0';
		f.namespace_ = sample_text(cases[i].namespace);
		f.workload = sample_text(cases[i].workload);
		f.node = sample_text(cases[i].node);
		f.technique = sample_text(cases[i].technique);
		since.nanos += cases[i].since != INT64_MIN ? (int32_t)cases[i].since : 0;
		until.nanos += cases[i].until != INT64_MIN ? (int32_t)cases[i].until : 0;
		f.since = cases[i].since != INT64_MIN ? &since : NULL;
		f.until = cases[i].until != INT64_MIN ? &until : NULL;
		assert_int_equal(filter_check(&f, &e), 0);
		assert_int_equal(filter_matches(&f, &s.alert), cases[i].matches);
		assert_int_equal(store_list(store, &f, 1, "", arena, &list, &count, &token), 0);
		assert_int_equal(count, cases[i].matches);
	}
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_severity_that_is_none_is_named),
		cmocka_unit_test(a_technique_of_the_wrong_shape_is_named),
		cmocka_unit_test(a_time_outside_the_calendar_is_named),
		cmocka_unit_test(too_many_rules_are_refused),
		cmocka_unit_test(no_filter_and_an_empty_one_match_everything),
		cmocka_unit_test(matching_agrees_with_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
