/* The registry: too many metrics, names with labels, and the text that a scraper reads. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "common/metrics.h"

static void metrics_past_the_cap_are_counted_nowhere_but_still_usable(void **state)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	_cleanup_buf_ struct buf text = {0};

	(void)state;
	for (int i = 0; i < 600; i++)
		metric_add(metrics_counter(m, "nightjar_many_total", NULL, "many"), 1);
	metrics_write(m, &text);
	assert_int_equal(buf_error(&text), 0);
	assert_non_null(strstr(buf_text(&text), "nightjar_many_total 1\n"));
	assert_null(strstr(buf_text(&text), "nightjar_many_total 89\n"));
}

static uint64_t answer(void *ctx)
{
	return *(uint64_t *)ctx;
}

static void a_name_is_explained_once_and_its_rows_stand_together(void **state)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	_cleanup_buf_ struct buf text = {0};
	uint64_t value = 42;

	(void)state;
	metric_add(metrics_counter(m, "a_total", "k=\"1\"", "counts a"), 3);
	metrics_gauge_fn(m, "b", NULL, "shows b", answer, &value);
	metric_set(metrics_counter(m, "a_total", "k=\"2\"", "counts a"), 9);
	metrics_write(m, &text);
	assert_string_equal(buf_text(&text), "# HELP a_total counts a\n# TYPE a_total counter\n"
					     "a_total{k=\"1\"} 3\na_total{k=\"2\"} 9\n"
					     "# HELP b shows b\n# TYPE b gauge\nb 42\n");
}

static void collect(void *ctx, const char *name, uint64_t value)
{
	char *all = ctx;

	(void)snprintf(all + strlen(all), 200 - strlen(all), "%s=%llu;", name, (unsigned long long)value);
}

static void every_metric_is_visited_with_its_labels(void **state)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	char all[200] = "";

	(void)state;
	metric_add(metrics_counter(m, "a_total", "k=\"1\"", "counts a"), 3);
	metric_set(metrics_gauge(m, "b", NULL, "shows b"), 4);
	metrics_each(m, collect, all);
	assert_string_equal(all, "a_total{k=\"1\"}=3;b=4;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_past_the_cap_are_counted_nowhere_but_still_usable),
		cmocka_unit_test(a_name_is_explained_once_and_its_rows_stand_together),
		cmocka_unit_test(every_metric_is_visited_with_its_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
