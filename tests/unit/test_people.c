/* Alerts for people: hostile text stays text, missing parts stay readable. */
#include "tests/unit/unit.h"

#include "collector/sink/people.h"
#include "tests/unit/alert_sample.h"

static char *written(struct buf *out, const Nightjar__V1__Alert *a, bool color)
{
	buf_clear(out);
	people_write(out, a, color);
	return (char *)(uintptr_t)buf_text(out);
}

static void an_empty_alert_is_still_one_line(void **state)
{
	Nightjar__V1__Alert a = NIGHTJAR__V1__ALERT__INIT;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_string_equal(written(&out, &a, false), "(no time)   ( on an unknown node) []\n");
}

static void control_characters_cannot_reach_the_terminal(void **state)
{
	_cleanup_buf_ struct buf out = {0};
	struct alert_sample s;

	(void)state;
	alert_sample_fill(&s);
	s.alert.output = sample_text("a\x1b]0;owned\x07 b\r\nc\x7f \xc2\x9b" "31m \xff");
	s.step.summary = sample_text("\n2026-01-01 forged line");
	s.alert.pod = sample_text("p\x1b[2J");
	(void)written(&out, &s.alert, false);
	for (size_t i = 0; i + 1 < out.len; i++)
		assert_true(out.data[i] >= 0x20 || out.data[i] == '\n');
	assert_non_null(strstr(buf_text(&out), "a\\x1b]0;owned\\x07 b\\x0d\\x0ac\\x7f \\x9b31m \xef\xbf\xbd"));
	assert_non_null(strstr(buf_text(&out), "exec         \\x0a2026"));
}

static void a_long_chain_is_cut_and_counted(void **state)
{
	_cleanup_buf_ struct buf out = {0};
	Nightjar__V1__Step *steps[40];
	struct alert_sample s;

	(void)state;
	alert_sample_fill(&s);
	for (int i = 0; i < 40; i++)
		steps[i] = &s.step;
	s.alert.steps = steps;
	s.alert.n_steps = 40;
	assert_non_null(strstr(written(&out, &s.alert, false), "    and 8 more steps\n"));
}

static void the_sentence_comes_first_and_the_chain_below(void **state)
{
	_cleanup_buf_ struct buf out = {0};
	struct alert_sample s;

	(void)state;
	alert_sample_fill(&s);
	assert_string_equal(written(&out, &s.alert, false),
			    "2025-11-24T20:43:16.123Z CRITICAL bash takes its commands from 192.0.2.7:4444 "
			    "(reverse_shell, shop/web/web-5d9c-x2x on node-1) [" ALERT_SAMPLE_ID "]\n"
			    "    20:43:16.123Z  exec         bash started with its input and output on a socket\n");
}

static void colour_only_where_it_is_wanted(void **state)
{
	_cleanup_buf_ struct buf out = {0};
	struct alert_sample s;

	(void)state;
	alert_sample_fill(&s);
	assert_null(strchr(written(&out, &s.alert, false), '\x1b'));
	assert_non_null(strstr(written(&out, &s.alert, true), "\x1b[1;31mCRITICAL\x1b[0m"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_alert_is_still_one_line),
		cmocka_unit_test(control_characters_cannot_reach_the_terminal),
		cmocka_unit_test(a_long_chain_is_cut_and_counted),
		cmocka_unit_test(the_sentence_comes_first_and_the_chain_below),
		cmocka_unit_test(colour_only_where_it_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
