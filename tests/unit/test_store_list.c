/* Lists: filters, pages that miss and repeat nothing, tokens that are not ours. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/store/store.h"
#include "tests/unit/alert_sample.h"

static struct store *opened(void)
{
	struct store *s = NULL;
	struct err e = {0};

	assert_int_equal(store_open(":memory:", &s, &e), 0);
	return s;
}

/* An alert of second n with id n; the rest as in sample. */
static void put_at(struct store *s, struct alert_sample *sample, int n)
{
	char id[32];
	struct err e = {0};

	(void)snprintf(id, sizeof(id), "%026d", n);
	sample->alert.id = id;
	sample->time.seconds = n;
	sample->time.nanos = 0;
	assert_int_equal(store_put(s, &sample->alert, NULL, &e), 1);
}

static size_t count_for(struct store *s, const Nightjar__V1__AlertFilter *filter)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert **list = NULL;
	size_t count = 0;
	char *token = NULL;

	assert_int_equal(store_list(s, filter, 1000, NULL, arena, &list, &count, &token), 0);
	assert_string_equal(token, "");
	return count;
}

static void a_foreign_token_is_refused(void **state)
{
	struct store *s = opened();
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert **list = NULL;
	size_t count = 7;
	char *token = NULL;

	(void)state;
	assert_int_equal(store_list(s, NULL, 10, "nonsense", arena, &list, &count, &token),
			 -EINVAL);
	assert_int_equal(count, 7);
	assert_null(list);
	store_close(s);
}

static void a_filter_past_the_maximum_is_refused(void **state)
{
	struct store *s = opened();
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__AlertFilter filter = NIGHTJAR__V1__ALERT_FILTER__INIT;
	Nightjar__V1__Alert **list = NULL;
	char *rules[STORE_FILTER_MAX + 1], longer[200];
	size_t count = 0;
	char *token = NULL;

	(void)state;
	for (int i = 0; i <= STORE_FILTER_MAX; i++)
		rules[i] = sample_text("r");
	filter.rules = rules;
	filter.n_rules = STORE_FILTER_MAX + 1;
	assert_int_equal(store_list(s, &filter, 10, "", arena, &list, &count, &token), -E2BIG);
	filter.n_rules = STORE_FILTER_MAX;
	filter.severities = rules;
	filter.n_severities = STORE_FILTER_MAX;
	assert_int_equal(store_list(s, &filter, 10, "", arena, &list, &count, &token), 0);
	memset(longer, 'T', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	filter.technique = longer;
	assert_int_equal(store_list(s, &filter, 10, "", arena, &list, &count, &token), -E2BIG);
	store_close(s);
}

static void an_arena_that_is_too_small_is_an_error(void **state)
{
	struct store *s = opened();
	_cleanup_(arena_freep) struct arena *arena = arena_new(256);
	struct alert_sample sample;
	Nightjar__V1__Alert **list = NULL;
	size_t count = 0;
	char *token = NULL;

	(void)state;
	alert_sample_fill(&sample);
	put_at(s, &sample, 1);
	assert_true(store_list(s, NULL, 10, "", arena, &list, &count, &token) < 0);
	store_close(s);
}

static void an_empty_store_lists_nothing(void **state)
{
	struct store *s = opened();

	(void)state;
	assert_int_equal(count_for(s, NULL), 0);
	store_close(s);
}

static void each_filter_keeps_what_matches_and_only_that(void **state)
{
	struct store *s = opened();
	struct alert_sample a;
	Nightjar__V1__AlertFilter f = NIGHTJAR__V1__ALERT_FILTER__INIT;
	char *severities[] = {sample_text("critical"), sample_text("low")};
	char *rules[] = {sample_text("reverse_shell")};

	(void)state;
	alert_sample_fill(&a);
	put_at(s, &a, 1);
	a.alert.severity = sample_text("low");
	a.alert.rule = sample_text("lateral_scan");
	a.alert.namespace_ = sample_text("");
	a.alert.workload = sample_text("ssh.service");
	a.alert.node = sample_text("node-2");
	put_at(s, &a, 2);
	f.severities = severities;
	f.n_severities = 1;
	assert_int_equal(count_for(s, &f), 1);
	f.n_severities = 2;
	assert_int_equal(count_for(s, &f), 2);
	f.rules = rules;
	f.n_rules = 1;
	assert_int_equal(count_for(s, &f), 1);
	f = (Nightjar__V1__AlertFilter)NIGHTJAR__V1__ALERT_FILTER__INIT;
	f.namespace_ = sample_text("shop");
	assert_int_equal(count_for(s, &f), 1);
	f.workload = sample_text("ssh.service");
	assert_int_equal(count_for(s, &f), 0);
	f.namespace_ = sample_text("");
	assert_int_equal(count_for(s, &f), 1);
	f.node = sample_text("node-2");
	assert_int_equal(count_for(s, &f), 1);
	f.node = sample_text("node-1");
	assert_int_equal(count_for(s, &f), 0);
	store_close(s);
}

static void since_is_inclusive_and_until_exclusive(void **state)
{
	struct store *s = opened();
	struct alert_sample a;
	Nightjar__V1__AlertFilter f = NIGHTJAR__V1__ALERT_FILTER__INIT;
	Google__Protobuf__Timestamp since = GOOGLE__PROTOBUF__TIMESTAMP__INIT, until = since;

	(void)state;
	alert_sample_fill(&a);
	for (int i = 1; i <= 5; i++)
		put_at(s, &a, i);
	f.since = &since;
	since.seconds = 2;
	assert_int_equal(count_for(s, &f), 4);
	f.until = &until;
	until.seconds = 4;
	assert_int_equal(count_for(s, &f), 2);
	until.seconds = 2;
	assert_int_equal(count_for(s, &f), 0);
	store_close(s);
}

static void a_technique_matches_its_sub_techniques_and_no_namesake(void **state)
{
	static const struct {
		const char *filter;
		size_t count;
	} cases[] = {{"T1059", 2}, {"T1059.004", 1}, {"T1059.00", 0},
		     {"T105", 0},  {"T10590", 1},    {"T1090", 0}};
	static const char *const techniques[] = {"T1059.004", "T1059", "T10590"};
	struct store *s = opened();
	struct alert_sample a;
	Nightjar__V1__AlertFilter f = NIGHTJAR__V1__ALERT_FILTER__INIT;

	(void)state;
	alert_sample_fill(&a);
	for (int i = 0; i < 3; i++) {
		a.techniques[0] = sample_text(techniques[i]);
		put_at(s, &a, i);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f.technique = sample_text(cases[i].filter);
		assert_int_equal(count_for(s, &f), cases[i].count);
	}
	store_close(s);
}

static void a_filter_is_data_and_never_sql(void **state)
{
	struct store *s = opened();
	struct alert_sample a;
	Nightjar__V1__AlertFilter f = NIGHTJAR__V1__ALERT_FILTER__INIT;
	char *rules[] = {sample_text("x') OR 1=1 --")};

	(void)state;
	alert_sample_fill(&a);
	put_at(s, &a, 1);
	f.rules = rules;
	f.n_rules = 1;
	assert_int_equal(count_for(s, &f), 0);
	f = (Nightjar__V1__AlertFilter)NIGHTJAR__V1__ALERT_FILTER__INIT;
	f.node = sample_text("'; DROP TABLE alert; --");
	assert_int_equal(count_for(s, &f), 0);
	assert_int_equal(store_count(s), 1);
	store_close(s);
}

/* Pages of three over thirty alerts while newer ones, older ones and revisions come in. */
static void pages_miss_and_repeat_nothing_while_rows_are_added(void **state)
{
	struct store *s = opened();
	struct alert_sample a;
	bool seen[31] = {0};
	char *token = NULL;
	size_t total = 0;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);

	(void)state;
	alert_sample_fill(&a);
	for (int i = 1; i <= 30; i++)
		put_at(s, &a, i);
	for (int page = 0; page == 0 || *token; page++) {
		Nightjar__V1__Alert **list = NULL;
		size_t count = 0;

		assert_int_equal(store_list(s, NULL, 3, token, arena, &list, &count, &token), 0);
		for (size_t i = 0; i < count; i++) {
			int n = atoi(list[i]->id);

			assert_in_range(n, 1, 30);
			assert_false(seen[n]);
			seen[n] = true;
		}
		total += count;
		a.alert.revision = 0;
		put_at(s, &a, 1000 + page);
		a.alert.revision = (uint32_t)page + 1;
		put_at(s, &a, 15);
	}
	assert_int_equal(total, 30);
	store_close(s);
}

static void alerts_of_one_moment_are_paged_by_id(void **state)
{
	struct store *s = opened();
	struct alert_sample a;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert **list = NULL;
	size_t count = 0, total = 0;
	char *token = NULL;
	struct err e = {0};

	(void)state;
	alert_sample_fill(&a);
	for (int i = 0; i < 5; i++) {
		char id[8];

		(void)snprintf(id, sizeof(id), "id%d", i);
		a.alert.id = id;
		assert_int_equal(store_put(s, &a.alert, NULL, &e), 1);
	}
	do {
		assert_int_equal(store_list(s, NULL, 2, token, arena, &list, &count, &token), 0);
		for (size_t i = 0; i < count; i++, total++)
			assert_int_equal(list[i]->id[2] - '0', 4 - total);
	} while (*token);
	assert_int_equal(total, 5);
	store_close(s);
}

static void a_page_of_large_alerts_ends_early(void **state)
{
	struct store *s = opened();
	struct alert_sample a;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	char *large = malloc(STORE_PAGE_BYTES / 2);
	Nightjar__V1__Alert **list = NULL;
	size_t count = 0;
	char *token = NULL;

	(void)state;
	memset(large, 'x', STORE_PAGE_BYTES / 2 - 1);
	large[STORE_PAGE_BYTES / 2 - 1] = '\0';
	alert_sample_fill(&a);
	a.alert.output = large;
	for (int i = 0; i < 3; i++)
		put_at(s, &a, i);
	assert_int_equal(store_list(s, NULL, 3, token, arena, &list, &count, &token), 0);
	assert_int_equal(count, 1);
	assert_string_not_equal(token, "");
	free(large);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_foreign_token_is_refused),
		cmocka_unit_test(a_filter_past_the_maximum_is_refused),
		cmocka_unit_test(an_arena_that_is_too_small_is_an_error),
		cmocka_unit_test(an_empty_store_lists_nothing),
		cmocka_unit_test(each_filter_keeps_what_matches_and_only_that),
		cmocka_unit_test(since_is_inclusive_and_until_exclusive),
		cmocka_unit_test(a_technique_matches_its_sub_techniques_and_no_namesake),
		cmocka_unit_test(a_filter_is_data_and_never_sql),
		cmocka_unit_test(pages_miss_and_repeat_nothing_while_rows_are_added),
		cmocka_unit_test(alerts_of_one_moment_are_paged_by_id),
		cmocka_unit_test(a_page_of_large_alerts_ends_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
