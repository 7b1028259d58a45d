/* Alerts for people: what an attacker names his processes does not reach the terminal as it is, the
 * lines fit, and the chain is there. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/alert_text.h"
#include "tests/unit/alert_sample.h"

static const struct alert_text_style plain = {0};

static const char *written(struct buf *out, const Nightjar__V1__Alert *a, const struct alert_text_style *style)
{
	buf_clear(out);
	alert_text_write(out, a, style);
	return buf_text(out);
}

static void an_empty_alert_is_still_readable(void **state)
{
	Nightjar__V1__Alert a = NIGHTJAR__V1__ALERT__INIT;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_non_null(strstr(written(&out, &a, &plain), "unknown node\n"));
}

static void escape_sequences_of_a_process_are_harmless(void **state)
{
	static const char *const evil[] = {"\x1b[2J", "a\rb", "a\nb", "\xc2\x9b" "2J", "\xe2\x80\xae" "gpj", "\xff", "\x7f"};
	struct alert_sample s;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(evil) / sizeof(*evil); i++) {
		const char *text;
		size_t lines = 0;

		alert_sample_fill(&s);
		s.args[1] = s.alert.output = s.step.summary = s.alert.pod = sample_text(evil[i]);
		text = written(&out, &s.alert, &plain);
		assert_null(strstr(text, evil[i]));
		assert_null(strpbrk(text, "\x1b\r\x7f"));
		for (const char *c = text; (c = strchr(c, '\n')); c++)
			lines++;
		assert_int_equal(lines, 5);
	}
}

static void lines_are_cut_at_the_width_between_characters(void **state)
{
	struct alert_text_style narrow = {.color = true, .width = 50};
	struct alert_sample s;
	_cleanup_buf_ struct buf out = {0};
	const char *line, *end;

	(void)state;
	alert_sample_fill(&s);
	s.alert.output = sample_text("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
				     "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
	for (line = written(&out, &s.alert, &narrow); *line; line = end + 1) {
		unsigned int columns = 0;
		bool escape = false;

		end = strchr(line, '\n');
		for (const char *c = line; c < end; c++) {
			escape = escape || *c == '\x1b';
			columns += !escape && ((unsigned char)*c & 0xc0) != 0x80;
			escape = escape && *c != 'm';
		}
		assert_true(columns <= 50);
	}
	assert_non_null(strstr(buf_text(&out), "…"));
}

static void a_sentence_goes_on_below_instead_of_losing_its_end(void **state)
{
	struct alert_text_style narrow = {.width = 60};
	struct alert_sample s;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	alert_sample_fill(&s);
	assert_non_null(strstr(written(&out, &s.alert, &narrow),
			       "20:43:16.123 CRITICAL reverse_shell  bash takes its commands\n"
			       "           from 192.0.2.7:4444\n  where "));
}

static void text_is_cut_only_when_it_does_not_fit(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_int_equal(alert_text_safe(&out, "abc", 3), 3);
	assert_string_equal(buf_text(&out), "abc");
	buf_clear(&out);
	assert_int_equal(alert_text_safe(&out, "abcd", 3), 3);
	assert_string_equal(buf_text(&out), "ab…");
	buf_clear(&out);
	assert_int_equal(alert_text_safe(&out, "\xf0\x9f\x90\xa6\xf0\x9f\x90", 0), 4);
	assert_string_equal(buf_text(&out), "\xf0\x9f\x90\xa6\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void the_chain_stands_below_the_sentence(void **state)
{
	Google__Protobuf__Timestamp later = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Nightjar__V1__Step second = NIGHTJAR__V1__STEP__INIT, *steps[2];
	struct alert_sample s;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	alert_sample_fill(&s);
	later.seconds = s.time.seconds;
	later.nanos = s.time.nanos + 1200000;
	second.time = &later;
	second.event = sample_text("established");
	second.summary = sample_text("connected to 192.0.2.7:4444");
	steps[0] = &s.step;
	steps[1] = &second;
	s.alert.steps = steps;
	s.alert.n_steps = 2;
	assert_string_equal(written(&out, &s.alert, &plain),
			    "20:43:16.123 CRITICAL reverse_shell  bash takes its commands from 192.0.2.7:4444\n"
			    "  where    node-1, pod shop/web-5d9c-x2x, container web (nginx:1.27)\n"
			    "  process  bash -c echo \"quoted\" \\ tab\xef\xbf\xbd caf\xc3\xa9, pid 4242, www-data, "
			    "started by /usr/sbin/nginx\n"
			    "         0 ms  exec         bash started with its input and output on a socket\n"
			    "      +1.2 ms  established  connected to 192.0.2.7:4444\n"
			    "  alert    01JDFGQ4M00000000000000001  T1059.004\n");
}

static void colours_are_for_terminals_that_want_them(void **state)
{
	int fds[2];
	struct alert_text_style style;
	struct alert_sample s;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_int_equal(pipe(fds), 0);
	style = alert_text_style_of(fds[1]);
	assert_int_equal(close(fds[0]) | close(fds[1]), 0);
	assert_false(style.color);
	assert_int_equal(style.width, 0);
	alert_sample_fill(&s);
	assert_null(strchr(written(&out, &s.alert, &style), '\x1b'));
	style.color = true;
	assert_non_null(strchr(written(&out, &s.alert, &style), '\x1b'));
}

static void no_color_is_honoured_on_a_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(setenv("TERM", "xterm", 1) | unsetenv("NO_COLOR"), 0);
	assert_true(alert_text_style_of(slave).color);
	assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
	assert_false(alert_text_style_of(slave).color);
	assert_int_equal(unsetenv("NO_COLOR") | setenv("TERM", "dumb", 1), 0);
	assert_false(alert_text_style_of(slave).color);
	assert_int_equal(close(slave) | close(master), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_alert_is_still_readable),
		cmocka_unit_test(escape_sequences_of_a_process_are_harmless),
		cmocka_unit_test(lines_are_cut_at_the_width_between_characters),
		cmocka_unit_test(a_sentence_goes_on_below_instead_of_losing_its_end),
		cmocka_unit_test(text_is_cut_only_when_it_does_not_fit),
		cmocka_unit_test(the_chain_stands_below_the_sentence),
		cmocka_unit_test(colours_are_for_terminals_that_want_them),
		cmocka_unit_test(no_color_is_honoured_on_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
