/* Bytes to UTF-8: what is refused, where the replacement goes. */
#include "tests/unit/unit.h"

#include "common/utf8.h"

static size_t prefix(const char *text, size_t len)
{
	return utf8_valid_prefix(bytes_of(text, len));
}

static void ill_formed_bytes_begin_no_sequence(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff", "\xfe", "\xc3(", "\xe2\x28\xa1", "\xe2\x82(", "\xf0\x90\x28\xbc", "\xf0\x90\x8c(",
	};

	(void)state;
	assert_int_equal(utf8_sequence((struct bytes){0}), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(utf8_sequence(bytes_of_text(bad[i])), 0);
}

static void a_sequence_cut_at_any_byte_is_ill_formed(void **state)
{
	static const char *const whole[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		assert_int_equal(prefix(whole[i], strlen(whole[i])), strlen(whole[i]));
		for (size_t cut = 1; cut < strlen(whole[i]); cut++)
			assert_int_equal(prefix(whole[i], cut), 0);
	}
}

static void each_bad_byte_becomes_one_replacement(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	utf8_add(&out, bytes_of_text("a\xff\xfe" "b\xe2\x82"));
	assert_string_equal(buf_text(&out), "a\xef\xbf\xbd\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd");
}

static void a_zero_byte_is_kept(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	utf8_add(&out, bytes_of("a\0b", 3));
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.data, "a\0b", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ill_formed_bytes_begin_no_sequence),
		cmocka_unit_test(a_sequence_cut_at_any_byte_is_ill_formed),
		cmocka_unit_test(each_bad_byte_becomes_one_replacement),
		cmocka_unit_test(a_zero_byte_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
