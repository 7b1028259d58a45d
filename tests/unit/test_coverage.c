/* Coverage in a sentence. */
#include "tests/unit/unit.h"

#include "node-agent/coverage.h"

static const char *sentence(const struct capture_coverage *rows, uint32_t count, const char *obstacle)
{
	static char text[512];
	struct buf out = {0};
	bool has_gaps = coverage_gaps(rows, count, obstacle, &out);

	assert_int_equal(has_gaps, out.len > 0);
	(void)snprintf(text, sizeof(text), "%s", out.len ? buf_text(&out) : "");
	buf_done(&out);
	return text;
}

static void nothing_is_said_of_what_is_whole(void **state)
{
	const struct capture_coverage rows[] = {{"process", "full", "hook", ""}, {"tcp", "full", "hook", ""}};

	(void)state;
	assert_string_equal(sentence(NULL, 0, "old"), "");
	assert_string_equal(sentence(rows, 2, "old"), "");
}

static void what_is_missing_and_what_is_seen_in_part_is_named_with_each_reason_once(void **state)
{
	const struct capture_coverage rows[] = {
		{"process", "full", "hook", ""},
		{"tcp", "missing", "hook", "tcp_state refused: no"},
		{"file", "degraded", "hook", "32-bit calls are not seen"},
		{"mount", "degraded", "hook", "32-bit calls are not seen"},
		{"dns", "missing", "hook", "egress refused: no"},
	};

	(void)state;
	assert_string_equal(sentence(rows, 5, ""),
			    "1 of 5 classes; in part: file (32-bit calls are not seen), mount; "
			    "not: tcp (tcp_state refused: no), dns (egress refused: no)");
	assert_string_equal(sentence(rows, 2, "kernel 5.4 is older than 5.15"),
			    "1 of 2 classes; not: tcp (tcp_state refused: no); kernel 5.4 is older than 5.15");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_said_of_what_is_whole),
		cmocka_unit_test(what_is_missing_and_what_is_seen_in_part_is_named_with_each_reason_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
